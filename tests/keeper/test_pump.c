/* SPDX-License-Identifier: MIT */
/*
 * The pump in this process, the handler of requests in a child that is killed again and again: no program may see an
 * error. Mounts, so it needs root; works in a mount namespace of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/memory.h"
#include "keeper/pump.h"
#include "tests/keeper/enable_uring.h"
#include "tests/keeper/tiny_fuse.h"
#include "tests/keeper/usage.h"

#define KILLS	100
#define CLIENTS 3
#define DEPTH	4
#define DWELL	300

struct mount_point {
	char path[64];
	int fuse_fd;
	int region_fd;
	struct region *region;
	struct pump *pump;
};

static char switch_before;

static bool set_switch(bool on)
{
	char ignored;

	return enable_uring_set(on, switch_before ? &ignored : &switch_before);
}

static void pause_us(unsigned us)
{
	struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

	nanosleep(&time, NULL);
}

static void mount_it(struct mount_point *m)
{
	char options[64];

	snprintf(m->path, sizeof(m->path), "%s", "/tmp/driveway-pump-XXXXXX");
	assert_non_null(mkdtemp(m->path));
	m->region_fd = memory_create_region(&m->region, memory_possible_cpus(), DEPTH);
	assert_true(m->region_fd >= 0);
	m->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	assert_true(m->fuse_fd >= 0);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", m->fuse_fd);
	assert_int_equal(mount("test", m->path, "fuse.driveway", MS_NOSUID | MS_NODEV, options), 0);
	m->pump = NULL;
}

static void unmount_it(struct mount_point *m)
{
	uint64_t bytes = region_size(memory_possible_cpus(), DEPTH, REGION_PLAIN_SLOTS);

	assert_int_equal(umount2(m->path, MNT_DETACH), 0);
	close(m->fuse_fd);
	pump_destroy(m->pump);
	memory_free_region(m->region, bytes);
	close(m->region_fd);
	assert_int_equal(rmdir(m->path), 0);
}

struct queue_argument {
	struct mount_point *mount;
	uint32_t queue;
};

static void *queue_thread(void *argument)
{
	struct queue_argument *a = argument;

	tiny_fuse_serve_queue(a->mount->region, a->queue, pump_eventfd(a->mount->pump, a->queue), DWELL);
	return NULL;
}

/* The handler process: plain on one thread, a thread for each queue of the ring if there is one. */
static pid_t start_handler(struct mount_point *m, bool with_queues)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (uint32_t i = 0; with_queues && i < pump_queues(m->pump); i++) {
		struct queue_argument *argument = malloc(sizeof(*argument));
		pthread_t thread;

		*argument = (struct queue_argument){m, i};
		pthread_create(&thread, NULL, queue_thread, argument);
	}
	_exit(tiny_fuse_serve(m->fuse_fd, m->region, true, NULL, NULL) ? 1 : 0);
}

static void kill_handler(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void wait_initialized(struct mount_point *m)
{
	for (int i = 0; i < 2000 && !atomic_load(&m->region->initialized); i++)
		pause_us(1000);
	assert_int_equal(atomic_load(&m->region->initialized), 1);
}

struct client {
	const char *path;
	_Atomic bool stop;
	_Atomic uint64_t operations;
	_Atomic uint64_t errors;
	_Atomic int first_error;
};

static void *client_thread(void *argument)
{
	struct client *client = argument;
	int folder = open(client->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (!atomic_load(&client->stop)) {
		struct statx st;
		int error = 0;

		if (statx(folder, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st))
			error = errno;
		else if (!faccessat(folder, "missing", F_OK, 0) || errno != ENOENT)
			error = errno ? errno : EEXIST;
		atomic_fetch_add(&client->operations, 2);
		if (error) {
			atomic_fetch_add(&client->errors, 1);
			atomic_store(&client->first_error, error);
		}
	}
	close(folder);
	return NULL;
}

static bool has_ring(void)
{
	char value = 0;
	int fd = open("/sys/module/fuse/parameters/enable_uring", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, &value, 1) != 1)
		value = 0;
	if (fd >= 0)
		close(fd);
	return value == 'Y';
}

static void test_requests_survive_kills(void **state)
{
	struct mount_point m;
	struct client client = {0};
	pthread_t threads[CLIENTS];
	struct timespec start, end;
	double seconds;
	pid_t handler;
	unsigned seed = (unsigned)time(NULL);

	if (!set_switch(true) || !has_ring())
		skip();
	mount_it(&m);
	assert_int_equal(pump_create(&m.pump, m.region, m.fuse_fd), 0);
	handler = start_handler(&m, false);
	wait_initialized(&m);
	assert_true(tiny_fuse_has_ring(m.region));
	assert_int_equal(pump_start(m.pump), 0);
	kill_handler(handler);
	handler = start_handler(&m, true);

	client.path = m.path;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, client_thread, &client), 0);
	for (int i = 0; i < KILLS; i++) {
		pause_us(1000 + (unsigned)rand_r(&seed) % 20000);
		kill_handler(handler);
		pump_kick(m.pump);
		handler = start_handler(&m, true);
	}
	atomic_store(&client.stop, true);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	print_message("%llu operations in %.1f s, %d kills, %llu requests taken up\n",
		      (unsigned long long)client.operations, seconds, KILLS,
		      (unsigned long long)atomic_load(&m.region->replays));
	assert_int_equal(client.errors, 0);
	assert_true(client.operations > KILLS);
	assert_true(atomic_load(&m.region->replays) > 0); /* else nothing was in flight and nothing is proved */

	unmount_it(&m);
	kill_handler(handler);
}

/* Without the administrator's switch the registration is refused, and plain works on. */
static void test_refused_ring_leaves_plain(void **state)
{
	struct mount_point m;
	struct stat st;
	pid_t handler;

	if (!set_switch(false))
		skip();
	mount_it(&m);
	assert_int_equal(pump_create(&m.pump, m.region, m.fuse_fd), 0);
	handler = start_handler(&m, false);
	wait_initialized(&m);
	assert_false(tiny_fuse_has_ring(m.region));
	assert_int_equal(pump_start(m.pump), -EOPNOTSUPP);
	assert_int_equal(usage_threads(0), 1);
	assert_int_equal(stat(m.path, &st), 0);
	unmount_it(&m);
	kill_handler(handler);
}

/* Linked with --wrap=pthread_create: the call number fail_at fails. */
static int fail_at;
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	if (fail_at && --fail_at == 0)
		return EAGAIN;
	return __real_pthread_create(thread, attributes, run, argument);
}

/* The kernel has agreed to io_uring, and then the last queue has no thread: the drive must not hang but use plain. */
static void test_half_started_ring_leaves_plain(void **state)
{
	struct mount_point m;
	struct stat st;
	pid_t handler;

	if (!set_switch(true) || !has_ring())
		skip();
	mount_it(&m);
	assert_int_equal(pump_create(&m.pump, m.region, m.fuse_fd), 0);
	handler = start_handler(&m, false);
	wait_initialized(&m);
	assert_true(tiny_fuse_has_ring(m.region));
	fail_at = (int)memory_possible_cpus();
	assert_int_equal(pump_start(m.pump), -EAGAIN);
	assert_int_equal(usage_threads(0), 1);
	alarm(10); /* a drive that hangs ends the test by a signal */
	assert_int_equal(stat(m.path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	alarm(0);
	unmount_it(&m);
	kill_handler(handler);
}

/* Whatever stands in the region, the pump stays within it and ends when it is told to. */
static void test_scribbled_region(void **state)
{
	struct mount_point m;
	pid_t handler, scribbler;
	uint64_t shape = region_buffers_offset(memory_possible_cpus(), DEPTH, REGION_PLAIN_SLOTS);

	if (!set_switch(true) || !has_ring())
		skip();
	for (int round = 0; round < 5; round++) {
		mount_it(&m);
		assert_int_equal(pump_create(&m.pump, m.region, m.fuse_fd), 0);
		handler = start_handler(&m, false);
		wait_initialized(&m);
		assert_int_equal(pump_start(m.pump), 0);
		scribbler = fork();
		if (scribbler == 0) {
			unsigned seed = (unsigned)round;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;) {
				uint64_t at = ((uint64_t)rand_r(&seed) << 15 ^ (uint64_t)rand_r(&seed)) % (shape / 4);

				((volatile uint32_t *)m.region)[at] = (uint32_t)rand_r(&seed) << (rand_r(&seed) % 16);
			}
		}
		pause_us(200000);
		pump_kick(m.pump);
		pause_us(100000);
		alarm(20);
		assert_int_equal(umount2(m.path, MNT_DETACH), 0);
		kill_handler(handler);
		close(m.fuse_fd);
		pump_destroy(m.pump); /* with the scribbler at work */
		kill_handler(scribbler);
		alarm(0);
		memory_free_region(m.region, region_size(memory_possible_cpus(), DEPTH, REGION_PLAIN_SLOTS));
		close(m.region_fd);
		assert_int_equal(rmdir(m.path), 0);
	}
	assert_int_equal(usage_threads(0), 1);
}

static void test_nothing_leaks(void **state)
{
	struct mount_point m;
	int descriptors = 0;
	long resident = 0;

	if (!set_switch(true) || !has_ring())
		skip();
	for (int round = 0; round < 60; round++) {
		pid_t handler;

		mount_it(&m);
		assert_int_equal(pump_create(&m.pump, m.region, m.fuse_fd), 0);
		handler = start_handler(&m, false);
		wait_initialized(&m);
		assert_int_equal(pump_start(m.pump), 0);
		unmount_it(&m);
		kill_handler(handler);
		if (round == 10) {
			descriptors = usage_descriptors(0);
			resident = usage_resident(0);
		}
	}
	assert_int_equal(usage_descriptors(0), descriptors);
	assert_int_equal(usage_threads(0), 1);
	assert_true(!usage_memory_counts() || usage_resident(0) <= resident + 256);
}

static void test_shape_is_checked(void **state)
{
	struct region *region;
	struct pump *pump;
	int fd = memory_create_region(&region, 0, DEPTH);

	assert_true(fd >= 0);
	assert_int_equal(pump_create(&pump, region, -1), -EOPNOTSUPP);
	assert_null(pump);
	memory_free_region(region, region_size(0, DEPTH, REGION_PLAIN_SLOTS));
	close(fd);
	assert_int_equal(memory_create("x", (uint64_t)INT64_MAX + 1), -EFBIG);
	fd = memory_create("x", 4096);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape_is_checked),
		cmocka_unit_test(test_refused_ring_leaves_plain),
		cmocka_unit_test(test_half_started_ring_leaves_plain),
		cmocka_unit_test(test_nothing_leaks),
		cmocka_unit_test(test_scribbled_region),
		cmocka_unit_test(test_requests_survive_kills),
	};
	int ret;

	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		puts("skipped: mounting needs root and /dev/fuse");
		return 77;
	}
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	if (switch_before)
		enable_uring_restore(switch_before);
	return ret;
}
