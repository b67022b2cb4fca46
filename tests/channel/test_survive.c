/* SPDX-License-Identifier: MIT */
/*
 * A service is killed again and again while programs use its drive: they see pauses and nothing else. The parent plays
 * the keeper (it has the descriptors and, with the argument "ring", the pump), one child after another serves, and
 * a further process holds the programs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drive.h"

#define KILLS	60
#define CLIENTS 4

struct shared {
	struct test_keeper keeper;
	_Atomic uint32_t go_on;
	_Atomic uint64_t operations;
	_Atomic uint32_t errors;
	_Atomic uint32_t first_line; /* of this file, of the first error */
};

static struct test_drive drive;
static struct shared *shared;
static bool ring;

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			uint32_t none = 0;                                                                             \
			fprintf(stderr, "%s: %s\n", #condition, strerror(errno));                                      \
			atomic_compare_exchange_strong(&shared->first_line, &none, (uint32_t)__LINE__);                \
			atomic_fetch_add(&shared->errors, 1);                                                          \
		}                                                                                                      \
		atomic_fetch_add(&shared->operations, 1);                                                              \
	} while (0)

static void *client(void *context)
{
	unsigned number = (unsigned)(uintptr_t)context;
	char name[FAKE_NAME], out[3000], in[3000];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "file-%u", number);
	fd = open(drive_path(&drive, name), O_CREAT | O_RDWR, 0644);
	CHECK(fd >= 0);
	for (unsigned round = 0; atomic_load(&shared->go_on); round++) {
		off_t offset = (off_t)(round * 977 % (FAKE_CONTENT - sizeof(out)));

		memset(out, (int)(round + number), sizeof(out));
		CHECK(stat(drive.path, &st) == 0);
		CHECK(access(drive_path(&drive, "missing"), F_OK) != 0 && errno == ENOENT);
		CHECK(pwrite(fd, out, sizeof(out), offset) == (ssize_t)sizeof(out));
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		CHECK(pread(fd, in, sizeof(in), offset) == (ssize_t)sizeof(in) && memcmp(in, out, sizeof(in)) == 0);
		snprintf(name, sizeof(name), "folder-%u-%u", number, round);
		CHECK(mkdir(drive_path(&drive, name), 0755) == 0);
		CHECK(mkdir(drive_path(&drive, name), 0755) != 0 && errno == EEXIST);
		CHECK(rmdir(drive_path(&drive, name)) == 0);
	}
	CHECK(close(fd) == 0);
	return NULL;
}

static pid_t start_clients(void)
{
	pthread_t threads[CLIENTS];
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(drive.fuse_fd); /* or the drive would never end while it waits for itself */
	for (uintptr_t i = 0; i < CLIENTS; i++)
		if (pthread_create(&threads[i], NULL, client, (void *)i) != 0)
			_exit(1);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

static void without_locks(struct fake_fs *fake)
{
	fake->ops.getlk = NULL;
	fake->ops.setlk = NULL;
	fake->ops.flock = NULL;
}

static pid_t start_service(uint32_t flags, bool poisoned)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (drive_serve(&drive, flags, without_locks, poisoned) != 0)
		_exit(1);
	for (;;)
		pause();
}

/* What a keeper does while a service lives. */
static void keep(int milliseconds)
{
	struct timespec now, until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += milliseconds / 1000;
	until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	do {
		if (atomic_load(&shared->keeper.wanted) && !atomic_load(&shared->keeper.answered)) {
			shared->keeper.error = pump_start(drive.pump);
			atomic_store(&shared->keeper.answered, 1);
		}
		usleep(1000);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < until.tv_sec * 1000 + until.tv_nsec / 1000000);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (drive.pump)
		pump_kick(drive.pump);
}

static void open_drive(void)
{
	int error = drive_open(&drive, ring);

	if (error == -ENOTSUP)
		exit(77);
	assert_int_equal(error, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	drive.keeper = &shared->keeper;
	atomic_store(&shared->go_on, 1);
}

static void wait_until_it_answers(void)
{
	for (int i = 0; i < 1000 && !atomic_load(&drive.region->initialized); i++)
		keep(5);
	assert_int_equal(atomic_load(&drive.region->initialized), 1);
	keep(50);
}

static void killed(uint32_t flags)
{
	unsigned seed = (unsigned)getpid();
	pid_t service, clients;
	int status = -1;

	open_drive();
	drive.state->dawdle = 300;
	service = start_service(flags, false);
	wait_until_it_answers();
	clients = start_clients();
	for (int i = 0; i < KILLS; i++) {
		keep(15 + rand_r(&seed) % 25);
		end(service);
		service = start_service(flags, false);
	}
	atomic_store(&shared->go_on, 0);
	for (int i = 0; i < 1000 && waitpid(clients, &status, WNOHANG) == 0; i++)
		keep(10);
	print_message("%llu operations, %llu taken up, %u seen by the file system\n",
		      (unsigned long long)atomic_load(&shared->operations),
		      (unsigned long long)atomic_load(&drive.region->replays), atomic_load(&drive.state->replayed));
	assert_int_equal(status, 0);
	assert_int_equal(atomic_load(&shared->errors), 0);
	assert_true(atomic_load(&shared->operations) > 200);
	assert_true(atomic_load(&drive.region->replays) > 0); /* else nothing was in flight and nothing is proved */
	drive_abort(&drive);
	end(service);
	drive_close(&drive);
	munmap(shared, sizeof(*shared));
}

static void killed_nowait(void **state)
{
	killed(DW_FS_NOWAIT | DW_FS_PERSISTENT);
}

static void killed_on_workers(void **state)
{
	killed(DW_FS_PERSISTENT);
}

static void long_timeouts(struct fake_fs *fake)
{
	without_locks(fake);
	fake->base.entry_timeout = fake->base.attr_timeout = fake->base.negative_timeout = 3600ull * 1000000000;
}

/* A service that queues one message and dies before it can be sent, by its own hand. */
static void queue_and_die(uint64_t node, const char *name)
{
	pid_t pid = fork();

	if (pid == 0) {
		int error = notifier_create(&drive.notifier, drive.region);

		if (!error)
			error = node ? notifier_invalidate_node(drive.notifier, node, 0, 0)
				     : notifier_invalidate_entry(drive.notifier, DW_NODE_ROOT, name, true);
		if (error)
			_exit(1);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static pid_t start_caching_service(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (drive_serve(&drive, DW_FS_NOWAIT | DW_FS_PERSISTENT | DW_FS_INVALIDATES_DATA, long_timeouts, false) != 0)
		_exit(1);
	for (;;)
		pause();
}

/* What the kernel may believe for an hour, and a dead service had wanted it to forget, the next one has it forget. */
static void invalidations(void **state)
{
	struct stat st;
	uint64_t node;
	pid_t service;
	bool fresh = false;

	open_drive();
	node = fake_add(drive.state, "known", DW_MODE_FILE | 0644, "abc");
	service = start_caching_service();
	wait_until_it_answers();
	assert_int_equal(stat(drive_path(&drive, "known"), &st), 0);
	assert_int_equal(stat(drive_path(&drive, "later"), &st), -1);
	end(service);

	fake_set_size(drive.state, node, 7);
	assert_true(fake_add(drive.state, "later", DW_MODE_FILE | 0644, "") > 0);
	queue_and_die(node, NULL);
	queue_and_die(0, "later");
	service = start_caching_service();
	for (int i = 0; i < 300 && !fresh; i++) {
		keep(10);
		fresh = stat(drive_path(&drive, "known"), &st) == 0 && st.st_size == 7 &&
			stat(drive_path(&drive, "later"), &st) == 0;
	}
	assert_true(fresh);
	assert_int_equal(drive.region->notices_end, 0);

	/* And without anything queued they are believed, or the above proves nothing. */
	end(service);
	fake_set_size(drive.state, node, 9);
	service = start_caching_service();
	keep(100);
	assert_int_equal(stat(drive_path(&drive, "known"), &st), 0);
	assert_int_equal(st.st_size, 7);
	drive_abort(&drive);
	end(service);
	drive_close(&drive);
	munmap(shared, sizeof(*shared));
}

/* A service that has the kernel forget a name as soon as a folder is being made beside it. */
static pid_t start_forgetful_service(void)
{
	uint32_t made = atomic_load(&drive.state->made);
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (drive_serve(&drive, DW_FS_PERSISTENT, long_timeouts, false) != 0)
		_exit(1);
	while (atomic_load(&drive.state->made) == made)
		usleep(1000);
	if (notifier_invalidate_entry(drive.notifier, DW_NODE_ROOT, "known", false) != 0)
		_exit(1);
	for (;;)
		pause();
}

/*
 * The kernel waits for a folder's lock, which a program holds whose request only the next service answers. The service
 * must be able to die meanwhile.
 */
static void dies_while_the_kernel_waits(void **state)
{
	pid_t service, client_pid;
	struct stat st;
	int status = -1;
	uint32_t made;
	bool ended = false;

	open_drive();
	assert_true(fake_add(drive.state, "known", DW_MODE_FILE | 0644, "abc") > 0);
	service = start_forgetful_service();
	wait_until_it_answers();
	assert_int_equal(stat(drive_path(&drive, "known"), &st), 0);
	drive.state->dawdle = 5000000;
	made = atomic_load(&drive.state->made);
	client_pid = fork();
	if (client_pid == 0) {
		close(drive.fuse_fd);
		_exit(mkdir(drive_path(&drive, "held"), 0755) == 0 ? 0 : 1);
	}
	for (int i = 0; i < 1000 && atomic_load(&drive.state->made) == made; i++)
		keep(5);
	keep(200);
	assert_true(atomic_load(&drive.region->notices_end) > 0); /* it waits, or nothing is proved */
	drive.state->dawdle = 0;
	kill(service, SIGKILL);
	for (int i = 0; i < 200 && !ended; i++) {
		keep(5);
		ended = waitpid(service, NULL, WNOHANG) == service;
	}
	assert_true(ended);
	if (drive.pump)
		pump_kick(drive.pump);
	service = start_caching_service();
	for (int i = 0; i < 1000 && waitpid(client_pid, &status, WNOHANG) == 0; i++)
		keep(5);
	assert_int_equal(status, 0);
	for (int i = 0; i < 1000 && atomic_load(&drive.region->notices_end) > 0; i++)
		keep(5);
	assert_int_equal(drive.region->notices_end, 0);
	drive_abort(&drive);
	end(service);
	drive_close(&drive);
	munmap(shared, sizeof(*shared));
}

/* A request that ends every service is answered EIO after the third; another one that waits is not blamed. */
static void poison(void **state)
{
	char byte;
	pid_t service, client_pid;
	int status = 0, deaths = 0;

	open_drive();
	assert_true(fake_add(drive.state, "crash", DW_MODE_FILE | 0644, "x") > 0);
	service = start_service(DW_FS_NOWAIT | DW_FS_PERSISTENT, false);
	wait_until_it_answers();
	client_pid = fork();
	if (client_pid == 0) {
		int fd;

		close(drive.fuse_fd);
		fd = open(drive_path(&drive, "crash"), O_RDONLY);
		_exit(fd >= 0 && read(fd, &byte, 1) < 0 && errno == EIO ? 0 : 1);
	}
	for (int i = 0; i < 1000 && waitpid(client_pid, &status, WNOHANG) == 0; i++) {
		keep(5);
		if (waitpid(service, NULL, WNOHANG) == service) {
			deaths++;
			if (drive.pump)
				pump_kick(drive.pump);
			service = start_service(DW_FS_NOWAIT | DW_FS_PERSISTENT, true);
		}
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(deaths, 3);
	drive_abort(&drive);
	end(service);
	drive_close(&drive);
	munmap(shared, sizeof(*shared));
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
		cmocka_unit_test_teardown(killed_nowait, clean_up),
		cmocka_unit_test_teardown(killed_on_workers, clean_up),
		cmocka_unit_test_teardown(invalidations, clean_up),
		cmocka_unit_test_teardown(dies_while_the_kernel_waits, clean_up),
		cmocka_unit_test_teardown(poison, clean_up),
	};

	ring = argc > 1 && strcmp(argv[1], "ring") == 0;
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
