/* SPDX-License-Identifier: MIT */
/*
 * The channel against the real kernel: a drive of the fake file system, mounted and served by this process.
 * With the argument "ring" requests go over io_uring.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "drive.h"

static struct test_drive drive;
static bool ring;

/* The ring is not used where the file system does locks. */
static void without_locks(struct fake_fs *fake)
{
	fake->ops.getlk = NULL;
	fake->ops.setlk = NULL;
	fake->ops.flock = NULL;
}

static void start_with(uint32_t flags, void (*change)(struct fake_fs *fake))
{
	int error = drive_open(&drive, ring);

	if (error == -ENOTSUP)
		exit(77);
	assert_int_equal(error, 0);
	assert_int_equal(drive_serve(&drive, flags, change, false), 0);
}

static void start(uint32_t flags)
{
	start_with(flags, without_locks);
}

static void check_transport(void)
{
	struct channel_status status;

	channel_status(drive.channel, &status);
	assert_string_equal(status.transport, ring ? "io_uring" : "plain");
	assert_true(status.protocol_minor >= PROTOCOL_MINOR_MIN);
}

static void stop(void)
{
	int error;

	assert_int_equal(umount2(drive.path, MNT_DETACH), 0);
	for (int i = 0; i < 500 && !atomic_load(&drive.gone); i++)
		usleep(10000);
	assert_int_equal(atomic_load(&drive.gone), 1);
	error = channel_stop(drive.channel, 5000);
	assert_int_equal(error, 0);
	drive.channel = NULL;
	drive_close(&drive);
}

static void everyday_calls(uint32_t flags)
{
	char buffer[4096];
	struct stat st;
	struct statx stx;
	struct statfs sfs;
	struct dirent *entry;
	DIR *folder;
	unsigned seen = 0, all = 0;
	int fd;

	start(flags);
	check_transport();
	assert_int_equal(stat(drive.path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(stat(drive_path(&drive, "missing"), &st), -1);
	assert_int_equal(errno, ENOENT);

	fd = open(drive_path(&drive, "file"), O_CREAT | O_EXCL | O_RDWR, 0640);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "hello world", 11), 11);
	assert_int_equal(pread(fd, buffer, sizeof(buffer), 6), 5);
	assert_memory_equal(buffer, "world", 5);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 11);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(ftruncate(fd, 5), 0);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 5);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(statx(AT_FDCWD, drive_path(&drive, "file"), 0, STATX_BTIME | STATX_BASIC_STATS, &stx), 0);
	assert_true(stx.stx_mask & STATX_BTIME);
	assert_int_equal(stx.stx_btime.tv_sec, fake_attr(drive.state, 2).btime.seconds);
	fd = open(drive_path(&drive, "file"), O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fake_attr(drive.state, 2).size, 0);
	assert_int_equal(chmod(drive_path(&drive, "file"), 0600), 0);
	assert_int_equal(stat(drive_path(&drive, "file"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	assert_int_equal(mkdir(drive_path(&drive, "folder"), 0755), 0);
	assert_int_equal(mkdir(drive_path(&drive, "folder"), 0755), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(symlink("some/where", drive_path(&drive, "link")), 0);
	assert_int_equal(readlink(drive_path(&drive, "link"), buffer, sizeof(buffer)), 10);
	assert_memory_equal(buffer, "some/where", 10);
	assert_int_equal(mknod(drive_path(&drive, "device"), S_IFCHR | 0600, makedev(300, 70000)), 0);
	assert_int_equal(stat(drive_path(&drive, "device"), &st), 0);
	assert_int_equal(major(st.st_rdev), 300);
	assert_int_equal(minor(st.st_rdev), 70000);
	assert_int_equal(rename(drive_path(&drive, "file"), drive_path(&drive, "folder/moved")), 0);
	assert_int_equal(access(drive_path(&drive, "folder/moved"), F_OK), 0);
	assert_int_equal(link(drive_path(&drive, "folder/moved"), drive_path(&drive, "second")), -1);

	assert_int_equal(setxattr(drive_path(&drive, "folder"), "user.color", "blue", 4, 0), 0);
	assert_int_equal(getxattr(drive_path(&drive, "folder"), "user.color", NULL, 0), 4);
	assert_int_equal(getxattr(drive_path(&drive, "folder"), "user.color", buffer, 2), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(getxattr(drive_path(&drive, "folder"), "user.color", buffer, 100), 4);
	assert_memory_equal(buffer, "blue", 4);
	assert_int_equal(listxattr(drive_path(&drive, "folder"), buffer, 100), 11);
	assert_memory_equal(buffer, "user.color", 11);
	assert_int_equal(removexattr(drive_path(&drive, "folder"), "user.color"), 0);
	assert_int_equal(getxattr(drive_path(&drive, "folder"), "user.color", buffer, 100), -1);
	assert_int_equal(errno, ENODATA);

	assert_int_equal(statfs(drive.path, &sfs), 0);
	assert_int_equal(sfs.f_blocks, 1000);
	assert_int_equal(sfs.f_bavail, 500);
	folder = opendir(drive.path);
	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		all++;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			seen += entry->d_type == DT_DIR;
		else if (strcmp(entry->d_name, "folder") == 0)
			seen += entry->d_type == DT_DIR;
		else if (strcmp(entry->d_name, "link") == 0)
			seen += entry->d_type == DT_LNK;
		else if (strcmp(entry->d_name, "device") == 0)
			seen += entry->d_type == DT_CHR;
	}
	closedir(folder);
	assert_int_equal(all, 5);
	assert_int_equal(seen, 5);
	assert_int_equal(unlink(drive_path(&drive, "folder/moved")), 0);
	assert_int_equal(rmdir(drive_path(&drive, "folder")), 0);
	stop();
}

static void everyday_nowait(void **state)
{
	everyday_calls(DW_FS_NOWAIT);
}

static void everyday_on_workers(void **state)
{
	everyday_calls(0);
}

/* More names than one request takes, with and without attributes. */
static void long_listing(void **state)
{
	struct stat st;
	DIR *folder;
	struct dirent *entry;
	unsigned count = 0;

	start(DW_FS_NOWAIT);
	for (int i = 0; i < 200; i++) {
		char name[FAKE_NAME];

		snprintf(name, sizeof(name), "a-name-that-takes-some-room-in-the-listing-%d", i);
		assert_true(fake_add(drive.state, name, DW_MODE_FILE | 0644, "") > 0);
	}
	for (int pass = 0; pass < 2; pass++) {
		folder = opendir(drive.path);
		assert_non_null(folder);
		count = 0;
		while ((entry = readdir(folder)) != NULL) {
			count++;
			assert_int_equal(fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		}
		closedir(folder);
		assert_int_equal(count, 202);
	}
	stop();
}

/* Large transfers come in large requests and arrive whole. */
static void large_data(void **state)
{
	size_t size = FAKE_CONTENT;
	unsigned char *out = malloc(size), *in = malloc(size);
	int fd;

	start(DW_FS_NOWAIT);
	for (size_t i = 0; i < size; i++)
		out[i] = (unsigned char)(i * 7 + i / 4096);
	fd = open(drive_path(&drive, "data"), O_CREAT | O_RDWR, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, out, size), size);
	close(fd);
	pthread_mutex_lock(&drive.state->lock);
	assert_memory_equal(drive.state->nodes[2].content, out, size);
	pthread_mutex_unlock(&drive.state->lock);
	fd = open(drive_path(&drive, "data"), O_RDONLY);
	assert_int_equal(read(fd, in, size), size);
	assert_memory_equal(in, out, size);
	close(fd);
	free(out);
	free(in);
	stop();
}

static void *read_slow(void *context)
{
	char byte;
	int fd = open(drive_path(&drive, "slow"), O_RDONLY);
	ssize_t result = fd < 0 ? -1 : read(fd, &byte, 1);
	int error = errno;

	if (fd >= 0)
		close(fd);
	return (void *)(intptr_t)(result < 0 ? -error : result);
}

static void nothing(int number)
{
}

/* A program that is signalled gets EINTR, and one that waits delays no other. */
static void interrupts(void **state)
{
	struct sigaction action = {.sa_handler = nothing};
	struct stat st;
	pthread_t thread;
	void *result;

	start(DW_FS_NOWAIT);
	sigaction(SIGUSR1, &action, NULL);
	assert_true(fake_add(drive.state, "slow", DW_MODE_FILE | 0644, "x") > 0);
	assert_int_equal(pthread_create(&thread, NULL, read_slow, NULL), 0);
	for (int i = 0; i < 500 && !atomic_load(&drive.state->slow_reads); i++)
		usleep(10000);
	assert_int_equal(atomic_load(&drive.state->slow_reads), 1);
	assert_int_equal(stat(drive.path, &st), 0);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EINTR);
	assert_int_equal(atomic_load(&drive.state->interrupted), 1);

	assert_int_equal(pthread_create(&thread, NULL, read_slow, NULL), 0);
	for (int i = 0; i < 500 && !atomic_load(&drive.state->slow_reads); i++)
		usleep(10000);
	atomic_store(&drive.state->release, 1);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 1);
	stop();
}

static void long_timeouts(struct fake_fs *fake)
{
	without_locks(fake);
	fake->base.entry_timeout = fake->base.attr_timeout = fake->base.negative_timeout = 3600ull * 1000000000;
}

static bool soon(bool (*condition)(void))
{
	for (int i = 0; i < 300; i++) {
		if (condition())
			return true;
		usleep(10000);
	}
	return false;
}

static bool size_is_new(void)
{
	struct stat st;

	return stat(drive_path(&drive, "known"), &st) == 0 && st.st_size == 7;
}

static bool appeared(void)
{
	struct stat st;

	return stat(drive_path(&drive, "later"), &st) == 0;
}

static bool disappeared(void)
{
	return !appeared() && errno == ENOENT;
}

/* What the kernel has cached for an hour goes when the file system says so. */
static void invalidates(void **state)
{
	struct stat st;
	uint64_t node, later;

	start_with(DW_FS_NOWAIT | DW_FS_INVALIDATES_DATA, long_timeouts);
	node = fake_add(drive.state, "known", DW_MODE_FILE | 0644, "abc");
	assert_int_equal(stat(drive_path(&drive, "known"), &st), 0);
	assert_int_equal(st.st_size, 3);
	fake_set_size(drive.state, node, 7);
	assert_int_equal(stat(drive_path(&drive, "known"), &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(notifier_invalidate_node(drive.notifier, node, 0, 0), 0);
	assert_true(soon(size_is_new));

	assert_false(appeared());
	later = fake_add(drive.state, "later", DW_MODE_FILE | 0644, "");
	assert_false(appeared());
	assert_int_equal(notifier_invalidate_entry(drive.notifier, DW_NODE_ROOT, "later", false), 0);
	assert_true(soon(appeared));
	atomic_store(&drive.state->nodes[later].used, 0);
	assert_true(appeared());
	assert_int_equal(notifier_entry_deleted(drive.notifier, DW_NODE_ROOT, later, "later"), 0);
	assert_true(soon(disappeared));
	assert_int_equal(notifier_invalidate_entry(drive.notifier, DW_NODE_ROOT, "", false), -EINVAL);
	stop();
}

static void polls(void **state)
{
	struct pollfd wait = {.events = POLLIN};

	start(DW_FS_NOWAIT);
	assert_true(fake_add(drive.state, "pipe", DW_MODE_FILE | 0644, "") > 0);
	wait.fd = open(drive_path(&drive, "pipe"), O_RDONLY);
	assert_true(wait.fd >= 0);
	assert_int_equal(poll(&wait, 1, 50), 0);
	assert_true(atomic_load(&drive.state->wake) != 0);
	atomic_store(&drive.state->poll_ready, DW_POLL_IN);
	assert_int_equal(notifier_poll_wake(drive.notifier, atomic_load(&drive.state->wake)), 0);
	assert_int_equal(poll(&wait, 1, 3000), 1);
	assert_int_equal(wait.revents, POLLIN);
	close(wait.fd);
	stop();
}

static void ioctls(void **state)
{
	char bytes[8] = "abcdefg";
	int fd;

	start(DW_FS_NOWAIT);
	assert_true(fake_add(drive.state, "f", DW_MODE_FILE | 0644, "") > 0);
	fd = open(drive_path(&drive, "f"), O_RDONLY);
	assert_int_equal(ioctl(fd, FAKE_IOCTL, bytes), 42);
	assert_memory_equal(bytes, "bcdefgh\1", 8);
	assert_int_equal(ioctl(fd, _IOR('D', 2, int), bytes), -1);
	assert_int_equal(errno, ENOTTY);
	close(fd);
	stop();
}

static void *lock_waits(void *context)
{
	int fd = open(drive_path(&drive, "f"), O_RDWR);
	int result = flock(fd, LOCK_EX);

	close(fd);
	return (void *)(intptr_t)result;
}

/* A file system's own locks: by the plain transport whatever was wanted. */
static void locks(void **state)
{
	struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
	struct channel_status status;
	pthread_t thread;
	void *result;
	int one, two;

	start_with(DW_FS_NOWAIT, NULL);
	channel_status(drive.channel, &status);
	assert_string_equal(status.transport, "plain");
	if (ring)
		assert_string_equal(status.reason, "the file system does its own locks");
	assert_true(fake_add(drive.state, "f", DW_MODE_FILE | 0644, "") > 0);
	one = open(drive_path(&drive, "f"), O_RDWR);
	two = open(drive_path(&drive, "f"), O_RDWR);
	assert_int_equal(fcntl(one, F_OFD_SETLK, &range), 0);
	assert_int_equal(fcntl(two, F_OFD_SETLK, &range), -1);
	assert_int_equal(errno, EAGAIN);
	range.l_type = F_UNLCK;
	assert_int_equal(fcntl(one, F_OFD_SETLK, &range), 0);
	assert_int_equal(flock(one, LOCK_EX), 0);
	assert_int_equal(flock(two, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	assert_int_equal(pthread_create(&thread, NULL, lock_waits, NULL), 0);
	usleep(50000);
	assert_int_equal(close(one), 0); /* the last close gives the lock back */
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	close(two);
	stop();
}

static void four_members(struct fake_fs *fake)
{
	fake->ops = (struct dw_filesystem_ops){
		.size = offsetof(struct dw_filesystem_ops, close),
		.lookup = fake->ops.lookup,
		.getattr = fake->ops.getattr,
		.readdir = fake->ops.readdir,
		.read = fake->ops.read,
		.statfs = fake->ops.statfs, /* beyond size: not there */
	};
}

/* Four members make a drive, and members beyond the struct's size are never called. */
static void smallest(uint32_t flags)
{
	char buffer[16];
	struct statfs sfs;
	struct stat st;
	int fd;

	start_with(flags, four_members);
	assert_true(fake_add(drive.state, "f", DW_MODE_FILE | 0644, "text") > 0);
	fd = open(drive_path(&drive, "f"), flags & DW_FS_READ_ONLY ? O_RDONLY : O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, buffer, sizeof(buffer)), 4);
	assert_memory_equal(buffer, "text", 4);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 4);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(fallocate(fd, 0, 0, 10), -1);
	assert_int_equal(errno, flags & DW_FS_READ_ONLY ? EBADF : EOPNOTSUPP);
	assert_int_equal(close(fd), 0);
	assert_int_equal(statfs(drive.path, &sfs), 0);
	assert_int_equal(sfs.f_namelen, 255);
	assert_int_equal(atomic_load(&drive.state->statfs_calls), 0);
	assert_int_equal(getxattr(drive_path(&drive, "f"), "user.x", buffer, 1), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(mkdir(drive_path(&drive, "d"), 0755), -1);
	assert_int_equal(errno, flags & DW_FS_READ_ONLY ? EROFS : ENOSYS);
	assert_int_equal(readlink(drive_path(&drive, "f"), buffer, 1), -1);
	assert_int_equal(stat(drive_path(&drive, "f"), &st), 0);
	stop();
}

static void smallest_as_it_comes(void **state)
{
	smallest(0);
}

static void smallest_zero_open(void **state)
{
	smallest(DW_FS_NOWAIT | DW_FS_INVALIDATES_DATA);
}

static void smallest_read_only(void **state)
{
	smallest(DW_FS_READ_ONLY);
}

static void *keep_asking(void *context)
{
	_Atomic uint32_t *go_on = context;
	struct stat st;
	uintptr_t errors = 0;

	while (atomic_load(go_on)) {
		errors += stat(drive.path, &st) != 0;
		errors += access(drive_path(&drive, "none"), F_OK) == 0 || errno != ENOENT;
	}
	return (void *)errors;
}

/* Channels come and go under load: requests in between wait, none is lost. */
static void stops_and_starts(void **state)
{
	_Atomic uint32_t go_on = 1;
	pthread_t threads[3];
	struct channel_status status;
	uint64_t before = 0;

	start(DW_FS_NOWAIT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_asking, &go_on), 0);
	for (int i = 0; i < 30; i++) {
		usleep(20000);
		channel_status(drive.channel, &status);
		assert_true(status.requests > before);
		before = status.requests;
		assert_int_equal(channel_stop(drive.channel, 5000), 0);
		assert_int_equal(drive_serve(&drive, DW_FS_NOWAIT, without_locks, false), 0);
		check_transport();
	}
	atomic_store(&go_on, 0);
	for (int i = 0; i < 3; i++) {
		void *errors;

		pthread_join(threads[i], &errors);
		assert_int_equal((uintptr_t)errors, 0);
	}
	stop();
}

/* A call that does not return: stopping says so in time, and works once it has returned. */
static void stop_times_out(void **state)
{
	pthread_t thread;
	void *result;

	start(DW_FS_NOWAIT);
	assert_true(fake_add(drive.state, "slow", DW_MODE_FILE | 0644, "x") > 0);
	assert_int_equal(pthread_create(&thread, NULL, read_slow, NULL), 0);
	for (int i = 0; i < 500 && !atomic_load(&drive.state->slow_reads); i++)
		usleep(10000);
	assert_int_equal(channel_stop(drive.channel, 100), -ETIMEDOUT);
	atomic_store(&drive.state->release, 1);
	assert_int_equal(channel_stop(drive.channel, 5000), 0);
	assert_int_equal(drive_serve(&drive, DW_FS_NOWAIT, without_locks, false), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 1);
	stop();
}

static int clean_up(void **state)
{
	if (drive.mounted)
		drive_abort(&drive);
	drive.mounted = false;
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(everyday_nowait, clean_up),
		cmocka_unit_test_teardown(everyday_on_workers, clean_up),
		cmocka_unit_test_teardown(long_listing, clean_up),
		cmocka_unit_test_teardown(large_data, clean_up),
		cmocka_unit_test_teardown(interrupts, clean_up),
		cmocka_unit_test_teardown(invalidates, clean_up),
		cmocka_unit_test_teardown(polls, clean_up),
		cmocka_unit_test_teardown(ioctls, clean_up),
		cmocka_unit_test_teardown(locks, clean_up),
		cmocka_unit_test_teardown(smallest_as_it_comes, clean_up),
		cmocka_unit_test_teardown(smallest_zero_open, clean_up),
		cmocka_unit_test_teardown(smallest_read_only, clean_up),
		cmocka_unit_test_teardown(stops_and_starts, clean_up),
		cmocka_unit_test_teardown(stop_times_out, clean_up),
	};

	ring = argc > 1 && strcmp(argv[1], "ring") == 0;
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
