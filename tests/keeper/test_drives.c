/* SPDX-License-Identifier: MIT */
/*
 * The keeper with drives, served by the fake service: mounting and unmounting with and without privileges, what
 * outlives the service, and that nothing is left behind. Mounts in a namespace of its own, with a /dev/fuse of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/protocol.h"
#include "tests/keeper/enable_uring.h"
#include "tests/keeper/harness.h"
#include "tests/keeper/usage.h"

#define FUSE_MAGIC 0x65735546
#define NOBODY	   65534

static struct harness_programs programs;
static bool ring_possible;

static const char *folder_for(struct harness *h, const char *name)
{
	static char paths[4][128];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", h->folder, name);
	if (mkdir(path, 0755))
		assert_int_equal(errno, EEXIST);
	return path;
}

static bool is_mounted(const char *path)
{
	struct statfs st;

	return !statfs(path, &st) && st.f_type == FUSE_MAGIC;
}

/* Mount a drive that the service serves; its id. */
static long add(struct harness *h, unsigned flags, const char *path)
{
	harness_say(h, "add %u serve %s", flags, path ? path : "");
	assert_int_equal(harness_number(h, NULL), 0);
	return harness_number(h, "id=");
}

static long remove_drive(struct harness *h, long id, bool force)
{
	harness_say(h, "remove %ld %d", id, force);
	return harness_number(h, NULL);
}

static void test_mount_and_unmount(void **state)
{
	struct harness h;
	struct stat st;
	const char *path;
	char line[512], found[512] = "";
	FILE *mounts;
	long id;
	int fd;

	harness_open(&h);
	harness_start(&h, &programs, "--stay");
	path = folder_for(&h, "drive");
	id = add(&h, KEEPER_FLAG_READ_ONLY, path);
	assert_true(is_mounted(path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_ino, 1);
	mounts = fopen("/proc/self/mounts", "re");
	while (fgets(line, sizeof(line), mounts))
		if (strstr(line, path))
			snprintf(found, sizeof(found), "%s", line);
	fclose(mounts);
	assert_non_null(strstr(found, "fake:source "));
	assert_non_null(strstr(found, " fuse.driveway ro,"));
	assert_null(strstr(found, "allow_other"));
	assert_null(strstr(found, "nosuid"));
	harness_say(&h, "stop");
	assert_int_equal(harness_number(&h, NULL), -EBUSY);

	/* in use: nothing changes; by force it goes anyway */
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(remove_drive(&h, id, false), -EBUSY);
	assert_true(is_mounted(path));
	assert_int_equal(remove_drive(&h, id, true), 0);
	assert_false(is_mounted(path));
	for (int i = 0; i < 300 && !fstat(fd, &st); i++)
		harness_pause(10);
	assert_int_equal(fstat(fd, &st), -1);
	close(fd);
	assert_int_equal(remove_drive(&h, id, false), -ENODEV);

	/* mistakes leave nothing behind */
	harness_say(&h, "add 0 serve %s/missing", h.folder);
	assert_int_equal(harness_number(&h, NULL), -ENOENT);
	harness_say(&h, "add 0 serve relative");
	assert_int_equal(harness_number(&h, NULL), -EINVAL);
	harness_say(&h, "drives");
	assert_string_equal(h.reply, "0\n");

	/* somebody else unmounts it: noticed, and forgotten */
	id = add(&h, KEEPER_FLAG_ALLOW_OTHER | KEEPER_FLAG_DEFAULT_PERMISSIONS, path);
	assert_int_equal(umount(path), 0);
	for (int i = 0; i < 300 && strcmp(harness_say(&h, "drives"), "0\n") != 0; i++)
		harness_pause(10);
	assert_string_equal(h.reply, "0\n");
	harness_close(&h);
}

/* Everything that the keeper holds comes back to the next service, and the drive answers before and after. */
static void test_what_outlives_the_service(void **state)
{
	struct harness h;
	struct stat st;
	const char *path;
	char file[160];
	pid_t service;
	long id;
	int fd, folder;

	harness_open(&h);
	harness_start(&h, &programs, NULL);
	path = folder_for(&h, "drive");
	id = add(&h, 0, path);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder >= 0);

	harness_say(&h, "keep %ld nodes 65536 42", id);
	assert_string_equal(h.reply, "0 fresh=1 was=0\n");
	harness_say(&h, "keep %ld nodes 4096", id);
	assert_int_equal(harness_number(&h, NULL), -EINVAL);
	for (int i = 1; i < KEEPER_KEEPS_MAX; i++) {
		harness_say(&h, "keep %ld other%d 4096", id, i);
		assert_int_equal(harness_number(&h, NULL), 0);
	}
	harness_say(&h, "keep %ld onemore 4096", id);
	assert_int_equal(harness_number(&h, NULL), -ENOSPC);

	snprintf(file, sizeof(file), "%s/kept", h.folder);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "content", 7), 7);
	close(fd);
	harness_say(&h, "fd put %ld 77 %s", id, file);
	assert_int_equal(harness_number(&h, NULL), 0);
	harness_say(&h, "fd put %ld 77 %s", id, file);
	assert_int_equal(harness_number(&h, NULL), -EEXIST);
	unlink(file);
	/* a file of a drive itself would make the keeper wait for its own child */
	harness_say(&h, "fd put %ld 78 %s", id, path);
	assert_int_equal(harness_number(&h, NULL), -EXDEV);

	service = harness_service(&h, 0);
	for (int i = 0; i < 20; i++) {
		kill(service, SIGKILL);
		/* waits for the next service, and gets its answer */
		assert_int_equal(fstat(folder, &st), 0);
		service = harness_service(&h, service);
		assert_int_equal(harness_number(&h, "drives="), 1);
	}
	harness_say(&h, "drives");
	assert_non_null(strstr(h.reply, path));
	harness_say(&h, "keep %ld nodes 65536", id);
	assert_string_equal(h.reply, "0 fresh=0 was=42\n");
	harness_say(&h, "fd get %ld 77", id);
	assert_string_equal(h.reply, "0 content\n");
	harness_say(&h, "fd drop %ld 77", id);
	assert_int_equal(harness_number(&h, NULL), 0);
	harness_say(&h, "fd get %ld 77", id);
	assert_int_equal(harness_number(&h, NULL), -ENOENT);

	close(folder);
	assert_int_equal(remove_drive(&h, id, false), 0);
	harness_close(&h);
}

static void test_ring(void **state)
{
	struct harness h;
	struct stat st;
	const char *path;
	pid_t service;
	long id, count;

	if (!ring_possible)
		skip();
	harness_open(&h);
	harness_start(&h, &programs, NULL);
	path = folder_for(&h, "drive");
	id = add(&h, 0, path);
	assert_true(harness_number(&h, "possible=") > 0);
	assert_int_equal(stat(path, &st), 0);
	harness_say(&h, "ring %ld", id);
	assert_int_equal(harness_number(&h, NULL), 0);
	count = harness_number(&h, "count=");
	assert_int_equal(count, sysconf(_SC_NPROCESSORS_CONF));
	assert_int_equal(usage_threads(h.keeper), 1 + count);
	service = harness_service(&h, 0);
	for (int i = 0; i < 20; i++) {
		kill(service, SIGKILL);
		assert_int_equal(stat(path, &st), 0);
		service = harness_service(&h, service);
	}
	harness_say(&h, "ring %ld", id);
	assert_int_equal(harness_number(&h, "count="), count);
	assert_int_equal(usage_threads(h.keeper), 1 + count);
	assert_int_equal(remove_drive(&h, id, false), 0);
	assert_int_equal(usage_threads(h.keeper), 1);
	/* not wanted: none is prepared */
	id = add(&h, KEEPER_FLAG_NO_RING, path);
	assert_int_equal(harness_number(&h, "possible="), 0);
	harness_say(&h, "ring %ld", id);
	assert_int_equal(harness_number(&h, NULL), -EOPNOTSUPP);
	harness_close(&h);
	assert_false(is_mounted(path));
}

static void test_nothing_leaks(void **state)
{
	struct harness h;
	const char *path;
	int descriptors = 0, threads = 0;
	long heap = 0;

	harness_open(&h);
	harness_start(&h, &programs, "--stay");
	path = folder_for(&h, "drive");
	for (int round = 0; round < 200; round++) {
		long id = add(&h, 0, path);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		harness_say(&h, "keep %ld memory 4096", id);
		harness_say(&h, "fd put %ld 1 /dev/null", id);
		assert_int_equal(remove_drive(&h, id, false), 0);
		if (round == 10) {
			descriptors = usage_descriptors(h.keeper);
			threads = usage_threads(h.keeper);
			heap = usage_heap(h.keeper);
		}
	}
	assert_int_equal(usage_descriptors(h.keeper), descriptors);
	assert_int_equal(usage_threads(h.keeper), threads);
	assert_true(!usage_memory_counts() || usage_heap(h.keeper) == heap);
	print_message("keeper after 200 drives: %ld kB of its own\n", usage_resident(h.keeper));
	assert_true(!usage_memory_counts() || usage_resident(h.keeper) < 2048);
	harness_close(&h);
}

/* A target on a drive that hangs: the mount gives up after its limit, and all else goes on meanwhile. */
static void test_hanging_target(void **state)
{
	struct harness h;
	const char *hanging, *other;
	struct timespec start, end;
	pid_t asker;
	long id;
	int status;

	harness_open(&h);
	harness_start(&h, &programs, "--stay");
	hanging = folder_for(&h, "hanging");
	other = folder_for(&h, "other");
	harness_say(&h, "add 0 hang %s", hanging);
	assert_int_equal(harness_number(&h, NULL), 0);
	asker = fork();
	if (asker == 0) {
		harness_say(&h, "add 0 serve %s/below", hanging);
		_exit(harness_number(&h, NULL) == -ETIMEDOUT ? 0 : 1);
	}
	harness_pause(200);
	clock_gettime(CLOCK_MONOTONIC, &start);
	id = add(&h, 0, other);
	assert_int_equal(remove_drive(&h, id, false), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - start.tv_sec < 5);
	assert_int_equal(waitpid(asker, &status, 0), asker);
	assert_int_equal(status, 0);
	harness_say(&h, "drives");
	assert_null(strstr(h.reply, "below"));
	assert_int_equal(remove_drive(&h, 1, true), 0);
	assert_false(is_mounted(hanging));
	harness_close(&h);
}

/* The keeper's own death ends the drives; the folder can be mapped again. */
static void test_death_of_the_keeper(void **state)
{
	struct harness h;
	struct stat st;
	const char *path;
	pid_t service;

	harness_open(&h);
	harness_start(&h, &programs, NULL);
	path = folder_for(&h, "drive");
	add(&h, 0, path);
	service = harness_service(&h, 0);
	kill(h.keeper, SIGKILL);
	assert_true(harness_wait(&h, 5) >= 0);
	for (int i = 0; i < 500 && !kill(service, 0); i++)
		harness_pause(10);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(errno, ENOTCONN);
	harness_start(&h, &programs, NULL);
	add(&h, 0, path);
	assert_int_equal(stat(path, &st), 0);
	harness_close(&h);
	assert_int_equal(access(path, F_OK), -1);
}

/* SIGTERM unmounts everything, used or not. */
static void test_end_with_drives(void **state)
{
	struct harness h;
	const char *path = "";
	int fd;

	harness_open(&h);
	harness_start(&h, &programs, "--stay");
	for (int i = 0; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof(name), "drive%d", i);
		path = folder_for(&h, name);
		add(&h, 0, path);
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	kill(h.keeper, SIGTERM);
	assert_int_equal(harness_wait(&h, 30), 0);
	for (int i = 0; i < 5; i++) {
		char name[128];

		snprintf(name, sizeof(name), "%s/drive%d", h.folder, i);
		assert_false(is_mounted(name));
		assert_int_equal(access(name, F_OK), 0);
	}
	close(fd);
	harness_close(&h);
}

/* In a child without privileges: run body, which asserts by its exit status. */
static int as_nobody(int (*body)(struct harness *h), struct harness *h)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(100);
		_exit(body(h));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static int body_without_privileges(struct harness *h)
{
	char path[128];
	struct stat st;
	long id;
	pid_t service;
	int fd;

	snprintf(path, sizeof(path), "%s/drive", h->folder);
	harness_start(h, &programs, "--stay");
	harness_say(h, "add 0 serve %s", path);
	if (harness_number(h, NULL))
		return fprintf(stderr, "add: %s", h->reply), 1;
	id = harness_number(h, "id=");
	if (!is_mounted(path) || stat(path, &st))
		return 2;
	service = harness_service(h, 0);
	kill(service, SIGKILL);
	if (stat(path, &st) || !harness_service(h, service))
		return 3;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (remove_drive(h, id, false) != -EBUSY || !is_mounted(path))
		return fprintf(stderr, "remove: %s", h->reply), 4;
	close(fd);
	if (remove_drive(h, id, false) || is_mounted(path))
		return fprintf(stderr, "remove: %s", h->reply), 5;
	/* allow_other needs a line in /etc/fuse.conf, which the text names */
	harness_say(h, "add %u serve %s", KEEPER_FLAG_ALLOW_OTHER, path);
	if (harness_number(h, NULL) != -EPERM || !strstr(h->reply, "user_allow_other"))
		return fprintf(stderr, "allow_other: %s", h->reply), 6;
	harness_say(h, "add 0 serve %s", path);
	id = harness_number(h, "id=");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || remove_drive(h, id, true) || is_mounted(path))
		return fprintf(stderr, "force: %s", h->reply), 7;
	close(fd);
	harness_say(h, "drives");
	if (strcmp(h->reply, "0\n") != 0)
		return 8;
	kill(h->keeper, SIGTERM);
	return harness_wait(h, 20) == 0 ? 0 : 9;
}

static int body_without_permission(struct harness *h)
{
	harness_start(h, &programs, "--stay");
	harness_say(h, "add 0 serve %s/drive", h->folder);
	if (harness_number(h, NULL) != -EACCES || !strstr(h->reply, "/dev/fuse"))
		return fprintf(stderr, "%s", h->reply), 1;
	kill(h->keeper, SIGTERM);
	return harness_wait(h, 20) == 0 ? 0 : 2;
}

static int body_without_fusermount(struct harness *h)
{
	harness_start(h, &programs, "--fusermount=/nonexistent");
	harness_say(h, "add 0 serve %s/drive", h->folder);
	if (harness_number(h, NULL) != -ENOENT || !strstr(h->reply, "fuse3"))
		return fprintf(stderr, "%s", h->reply), 1;
	kill(h->keeper, SIGTERM);
	return harness_wait(h, 20) == 0 ? 0 : 2;
}

static void test_without_privileges(void **state)
{
	struct harness h;

	harness_open(&h);
	folder_for(&h, "drive");
	assert_int_equal(chown(h.folder, NOBODY, NOBODY), 0);
	assert_int_equal(chown(folder_for(&h, "drive"), NOBODY, NOBODY), 0);
	assert_int_equal(chmod("/dev/fuse", 0600), 0);
	assert_int_equal(as_nobody(body_without_permission, &h), 0);
	assert_int_equal(chmod("/dev/fuse", 0666), 0);
	assert_int_equal(as_nobody(body_without_fusermount, &h), 0);
	assert_int_equal(as_nobody(body_without_privileges, &h), 0);
	harness_close(&h);
}

/* A mount namespace of our own, with a /dev/fuse of our own that we may change the mode of. */
static bool make_room(void)
{
	char node[] = "/tmp/driveway-node-XXXXXX";
	char path[64];
	bool done;

	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(node))
		return false;
	snprintf(path, sizeof(path), "%s/fuse", node);
	done = !mknod(path, S_IFCHR | 0666, makedev(10, 229)) && !mount(path, "/dev/fuse", NULL, MS_BIND, NULL);
	unlink(path);
	rmdir(node);
	return done;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mount_and_unmount),
		cmocka_unit_test(test_what_outlives_the_service),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_nothing_leaks),
		cmocka_unit_test(test_death_of_the_keeper),
		cmocka_unit_test(test_end_with_drives),
		cmocka_unit_test(test_without_privileges),
		cmocka_unit_test(test_hanging_target),
	};
	char before;
	int ret;

	if (argc != 3) {
		fprintf(stderr, "usage: %s DRIVEWAYD SERVICE\n", argv[0]);
		return 2;
	}
	programs = (struct harness_programs){argv[1], argv[2]};
	if (!make_room()) {
		puts("skipped: mounting needs root and /dev/fuse");
		return 77;
	}
	ring_possible = enable_uring_set(true, &before);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	enable_uring_restore(before);
	return ret;
}
