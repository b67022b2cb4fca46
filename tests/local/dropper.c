/* SPDX-License-Identifier: MIT */
/*
 * dropper.c - files that go behind the answer: what is held, for how long, and that no descriptor is left
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "filesystems/local/dropper.h"

#define SLOWLY	1000000u /* nanoseconds: a removal that makes the dropper hold the next */
#define QUICKLY 1000u
#define ROOM	4u

struct fixture {
	char path[64];
	int folder;
	struct dropper *dropper;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->path, sizeof(f->path), "/tmp/dropper.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->folder = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->folder >= 0);
	assert_int_equal(dropper_create(&f->dropper, ROOM), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	dropper_destroy(f->dropper);
	close(f->folder);
	assert_int_equal(rmdir(f->path), 0);
	free(f);
	return 0;
}

static void make(struct fixture *f, const char *name, off_t bytes)
{
	int fd = openat(f->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, bytes), 0);
	close(fd);
}

static void learn(struct fixture *f, uint64_t nanoseconds)
{
	for (unsigned i = 0; i < 64; i++)
		dropper_release(f->dropper, -1, nanoseconds);
}

static unsigned descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

static void test_quick_ones_go_at_once(void **state)
{
	struct fixture *f = *state;

	make(f, "a", 4096);
	assert_int_equal(dropper_hold(f->dropper, f->folder, "a"), -1);
	learn(f, SLOWLY);
	int held = dropper_hold(f->dropper, f->folder, "a");
	assert_true(held >= 0);
	close(held);
	learn(f, QUICKLY);
	assert_int_equal(dropper_hold(f->dropper, f->folder, "a"), -1);
	assert_int_equal(unlinkat(f->folder, "a", 0), 0);
}

static void test_what_is_held(void **state)
{
	struct fixture *f = *state;

	learn(f, SLOWLY);
	make(f, "large", (2 << 20));
	make(f, "linked", 4096);
	assert_int_equal(linkat(f->folder, "linked", f->folder, "other", 0), 0);
	assert_int_equal(symlinkat("linked", f->folder, "symbolic"), 0);
	assert_int_equal(mkdirat(f->folder, "folder", 0700), 0);
	unsigned before = descriptors();
	assert_int_equal(dropper_hold(f->dropper, f->folder, "large"), -1);
	assert_int_equal(dropper_hold(f->dropper, f->folder, "linked"), -1);
	assert_int_equal(dropper_hold(f->dropper, f->folder, "symbolic"), -1);
	assert_int_equal(dropper_hold(f->dropper, f->folder, "folder"), -1);
	assert_int_equal(dropper_hold(f->dropper, f->folder, "nothing"), -1);
	assert_int_equal(descriptors(), before);
	assert_int_equal(unlinkat(f->folder, "large", 0), 0);
	assert_int_equal(unlinkat(f->folder, "linked", 0), 0);
	assert_int_equal(unlinkat(f->folder, "other", 0), 0);
	assert_int_equal(unlinkat(f->folder, "symbolic", 0), 0);
	assert_int_equal(unlinkat(f->folder, "folder", AT_REMOVEDIR), 0);
}

/* Removes name as the drive does. */
static void drop(struct fixture *f, const char *name)
{
	int held = dropper_hold(f->dropper, f->folder, name);

	assert_int_equal(unlinkat(f->folder, name, 0), 0);
	dropper_release(f->dropper, held, SLOWLY);
}

static void *remove_many(void *argument)
{
	struct fixture *f = argument;
	char name[32];

	for (unsigned i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "%lx-%u", (unsigned long)pthread_self(), i);
		make(f, name, 4096);
		learn(f, SLOWLY);
		drop(f, name);
		if (i % 50 == 0)
			(void)dropper_wait(f->dropper);
	}
	return NULL;
}

/* More at a time than there is room for, and waits in between: no descriptor is left. */
static void test_many(void **state)
{
	struct fixture *f = *state;
	unsigned before = descriptors();
	pthread_t threads[3];

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, remove_many, f), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)dropper_wait(f->dropper);
	assert_false(dropper_busy(f->dropper));
	assert_false(dropper_wait(f->dropper));
	assert_int_equal(descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_quick_ones_go_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
