/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/drives.h"
#include "support/text.h"

static _Atomic unsigned destroyed;

static void destroy(struct drive *drive)
{
	map_request_free(drive->request);
	free(drive);
	destroyed++;
}

static struct drive *make(const char *target, const char *source, bool is_path)
{
	struct drive *drive = calloc(1, sizeof(*drive));
	char error[256];

	drive->request = map_request_create();
	drive->destroy = destroy;
	drive->request->target = text_duplicate(target);
	assert_int_equal(map_request_set_source(drive->request, source, error, sizeof(error)), 0);
	drive->request->rest_is_path = is_path;
	return drive;
}

/* Enter a drive and keep no reference. */
static int enter(struct drives *drives, const char *target, const char *source, bool is_path)
{
	struct drive *drive = make(target, source, is_path);
	char error[512] = "";
	int ret = drives_reserve(drives, drive, DRIVE_READY, error, sizeof(error));

	assert_true(ret == 0 || error[0] != '\0');
	if (ret)
		destroy(drive);
	else
		drives_put(drives, drive);
	return ret;
}

static void leave(struct drives *drives, const char *target)
{
	struct drive *drive = drives_find(drives, target);

	assert_non_null(drive);
	drives_remove(drives, drive);
	drives_put(drives, drive);
}

static void one_target_one_drive(void **state)
{
	struct drives *drives;

	assert_int_equal(drives_create(&drives), 0);
	assert_int_equal(enter(drives, "/a", "memory:", false), 0);
	assert_int_equal(enter(drives, "/a", "memory:", false), -EEXIST);
	assert_int_equal(enter(drives, "/ab", "memory:", false), 0);
	leave(drives, "/a");
	assert_null(drives_find(drives, "/a"));
	assert_int_equal(enter(drives, "/a", "memory:", false), 0);
	leave(drives, "/a");
	leave(drives, "/ab");
	drives_destroy(drives);
}

static void drives_do_not_nest(void **state)
{
	struct drives *drives;

	assert_int_equal(drives_create(&drives), 0);
	assert_int_equal(enter(drives, "/m/a", "local:/srv/data", true), 0);
	assert_int_equal(enter(drives, "/m/a/b", "memory:", false), -ELOOP);
	assert_int_equal(enter(drives, "/m", "memory:", false), -ELOOP);
	assert_int_equal(enter(drives, "/x", "archive:/m/a/x.zip", true), -ELOOP);
	assert_int_equal(enter(drives, "/srv", "memory:", false), -ELOOP);
	assert_int_equal(enter(drives, "/y", "local:/y/z", true), -ELOOP);
	/* What only looks like a path is none. */
	assert_int_equal(enter(drives, "/x", "box:/m/a/x", false), 0);
	assert_int_equal(enter(drives, "/z", "local:/srv/data", true), 0);
	leave(drives, "/m/a");
	leave(drives, "/x");
	leave(drives, "/z");
	drives_destroy(drives);
}

static void there_is_a_limit(void **state)
{
	struct drives *drives;
	struct drive *all[DRIVES_MAX];
	char target[32];

	assert_int_equal(drives_create(&drives), 0);
	for (unsigned i = 0; i < DRIVES_MAX; i++) {
		text_format(target, sizeof(target), "/%u", i);
		assert_int_equal(enter(drives, target, "memory:", false), 0);
	}
	assert_int_equal(enter(drives, "/more", "memory:", false), -ENOSPC);
	assert_int_equal(drives_snapshot(drives, all), DRIVES_MAX);
	assert_string_equal(all[3]->request->target, "/3");
	destroyed = 0;
	for (unsigned i = 0; i < DRIVES_MAX; i++) {
		drives_remove(drives, all[i]);
		drives_remove(drives, all[i]); /* twice does no harm */
	}
	assert_int_equal(destroyed, 0);
	for (unsigned i = 0; i < DRIVES_MAX; i++)
		drives_put(drives, all[i]);
	assert_int_equal(destroyed, DRIVES_MAX);
	drives_destroy(drives);
}

static void states_change_only_from_what_they_are(void **state)
{
	struct drives *drives;
	struct drive *drive;

	assert_int_equal(drives_create(&drives), 0);
	assert_int_equal(enter(drives, "/a", "memory:", false), 0);
	drive = drives_find(drives, "/a");
	assert_false(drives_change(drives, drive, DRIVE_FAILED, DRIVE_OPENING));
	assert_true(drives_change(drives, drive, DRIVE_READY, DRIVE_UNMAPPING));
	assert_false(drives_change(drives, drive, DRIVE_READY, DRIVE_UNMAPPING));
	assert_int_equal(drives_state(drives, drive), DRIVE_UNMAPPING);
	drives_remove(drives, drive);
	drives_put(drives, drive);
	drives_destroy(drives);
}

static void closing_needs_an_empty_table(void **state)
{
	struct drives *drives;

	assert_int_equal(drives_create(&drives), 0);
	assert_int_equal(enter(drives, "/a", "memory:", false), 0);
	assert_false(drives_close_if_empty(drives));
	leave(drives, "/a");
	assert_true(drives_close_if_empty(drives));
	assert_int_equal(enter(drives, "/a", "memory:", false), -ESHUTDOWN);
	drives_reopen(drives);
	assert_int_equal(enter(drives, "/a", "memory:", false), 0);
	leave(drives, "/a");
	drives_destroy(drives);
}

/* Many threads want the same target; whoever has it gives it up again. */
static void *contend(void *argument)
{
	struct drives *drives = argument;
	uintptr_t won = 0;

	for (unsigned i = 0; i < 500; i++) {
		struct drive *drive = make("/same", "memory:", false);
		char error[512];

		if (drives_reserve(drives, drive, DRIVE_MAPPING, error, sizeof(error))) {
			map_request_free(drive->request);
			free(drive);
			continue;
		}
		won++;
		if (!drives_change(drives, drive, DRIVE_MAPPING, DRIVE_READY))
			won += 1000000;
		drives_remove(drives, drive);
		drives_put(drives, drive);
	}
	return (void *)won;
}

static void only_one_of_many_threads_gets_a_target(void **state)
{
	struct drives *drives;
	pthread_t threads[4];
	uintptr_t won = 0;
	void *each;

	assert_int_equal(drives_create(&drives), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, contend, drives), 0);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], &each);
		won += (uintptr_t)each;
	}
	assert_true(won > 0 && won <= 2000);
	assert_true(drives_close_if_empty(drives));
	drives_destroy(drives);
}

static void sources_are_split(void **state)
{
	struct map_request *request = map_request_create();
	char error[256] = "";

	assert_int_equal(map_request_set_source(request, "local:/srv/a:b", error, sizeof(error)), 0);
	assert_string_equal(request->provider, "local");
	assert_string_equal(request->rest, "/srv/a:b");
	assert_int_equal(map_request_set_source(request, "/opt/my:own/mine.so:rest", error, sizeof(error)), 0);
	assert_string_equal(request->provider, "/opt/my:own/mine.so");
	assert_string_equal(request->rest, "rest");
	assert_int_equal(map_request_set_source(request, "./mine.so:", error, sizeof(error)), 0);
	assert_string_equal(request->provider, "./mine.so");
	assert_string_equal(request->rest, "");
	assert_int_equal(map_request_set_source(request, "archive:/a/b.so:c.zip", error, sizeof(error)), 0);
	assert_string_equal(request->provider, "archive");
	assert_int_equal(map_request_set_source(request, "memory", error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "PROVIDER:REST"));
	assert_int_equal(map_request_set_source(request, ":x", error, sizeof(error)), -EINVAL);
	assert_int_equal(map_request_set_source(request, "", error, sizeof(error)), -EINVAL);
	assert_int_equal(map_request_set_rest(request, "/else"), 0);
	assert_string_equal(request->source, "archive:/else");
	for (unsigned i = 0; i < MAP_OPTIONS_MAX; i++)
		assert_int_equal(map_request_add_option(request, "k", "v"), 0);
	assert_int_equal(map_request_add_option(request, "k", "v"), -E2BIG);
	map_request_free(request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_target_one_drive),
		cmocka_unit_test(drives_do_not_nest),
		cmocka_unit_test(there_is_a_limit),
		cmocka_unit_test(states_change_only_from_what_they_are),
		cmocka_unit_test(closing_needs_an_empty_table),
		cmocka_unit_test(only_one_of_many_threads_gets_a_target),
		cmocka_unit_test(sources_are_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
