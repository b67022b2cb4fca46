/* SPDX-License-Identifier: MIT */
/* threads.c - many calls at once, and many calls */
#include "suite.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8u
#define ROUNDS	6u

struct worker {
	struct suite *suite;
	unsigned number;
	const char *id;
	const char *etag;
	int err;
};

static void run_threads(struct suite *suite, void *(*run)(void *), struct worker workers[THREADS])
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].suite = suite;
		workers[i].number = i;
		NEED(pthread_create(&threads[i], NULL, run, &workers[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void *live(void *argument)
{
	struct worker *worker = argument;
	struct suite *suite = worker->suite;
	char name[32];
	char other[32];

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t seed = worker->number * ROUNDS + round;
		struct pattern pattern;
		struct item_list list;
		struct item folder;
		struct item file;

		snprintf(name, sizeof(name), "thread %u", worker->number);
		snprintf(other, sizeof(other), "thread %u moved", worker->number);
		folder = make_folder(suite, suite->folder, name);
		file = make_file(suite, other, 5000 + seed, seed);
		NEED_OK(do_move(suite, &file, file.etag, folder.id, "file", &file));
		EXPECT_FILE(suite, &file, 5000 + seed, seed);
		pattern_begin(suite, &pattern, 100000 + seed, seed + 1);
		NEED_OK(do_replace(suite, file.id, file.etag, &pattern, &file));
		NEED_OK(do_list(suite, folder.id, &list));
		EXPECT(list.count == 1 && strcmp(list.items[0].id, file.id) == 0 && list.items[0].bytes == file.bytes);
		item_list_clear(&list);
		NEED_OK(do_list(suite, suite->folder, &list));
		EXPECT(item_find(&list, name) != NULL);
		item_list_clear(&list);
		EXPECT_FILE(suite, &file, 100000 + seed, seed + 1);
		NEED_OK(do_remove(suite, &folder, NULL, true));
	}
	return NULL;
}

static void live_side_by_side(struct suite *suite)
{
	struct worker workers[THREADS] = {0};
	struct item_list list;

	run_threads(suite, live, workers);
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 0);
	item_list_clear(&list);
}

static void *replace(void *argument)
{
	struct worker *worker = argument;
	struct pattern pattern;

	pattern_begin(worker->suite, &pattern, 3000 + worker->number, worker->number);
	worker->err = do_replace(worker->suite, worker->id, worker->etag, &pattern, NULL);
	return NULL;
}

static unsigned winners(const struct worker workers[THREADS], int others, unsigned *which)
{
	unsigned count = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		if (workers[i].err == 0) {
			count++;
			*which = i;
		} else {
			EXPECT_RESULT(workers[i].err, others);
		}
	}
	return count;
}

static void one_of_them_replaces(struct suite *suite)
{
	struct worker workers[THREADS] = {0};
	unsigned winner = 0;
	struct item file;
	struct item now;

	file = make_file(suite, "file", 10, 100);
	if (file.etag[0] == '\0')
		suite_skip("it has no etags");
	for (unsigned round = 0; round < 3; round++) {
		NEED_OK(do_stat(suite, file.id, &file));
		for (unsigned i = 0; i < THREADS; i++)
			workers[i] = (struct worker){.id = file.id, .etag = file.etag};
		run_threads(suite, replace, workers);
		EXPECT(winners(workers, DW_REMOTE_CHANGED, &winner) == 1);
		NEED_OK(do_stat(suite, file.id, &now));
		EXPECT_FILE(suite, &now, 3000 + winner, winner);
	}
}

static void *make(void *argument)
{
	struct worker *worker = argument;
	struct pattern pattern;

	pattern_begin(worker->suite, &pattern, 3000 + worker->number, worker->number);
	worker->err = do_upload(worker->suite, worker->suite->folder, "file", &pattern, NULL);
	return NULL;
}

static void one_of_them_makes(struct suite *suite)
{
	struct worker workers[THREADS] = {0};
	unsigned winner = 0;
	struct item_list list;

	run_threads(suite, make, workers);
	EXPECT(winners(workers, -EEXIST, &winner) == 1);
	NEED_OK(do_list(suite, suite->folder, &list));
	NEED(list.count == 1);
	EXPECT_FILE(suite, &list.items[0], 3000 + winner, winner);
	item_list_clear(&list);
}

static void do_everything(struct suite *suite)
{
	struct item file = make_file(suite, "file", 10000, 1);
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item_list list;

	NEED_OK(do_move(suite, &file, file.etag, folder.id, "moved", &file));
	EXPECT_FILE(suite, &file, 10000, 1);
	EXPECT_RESULT(do_stat(suite, "no-such-id", NULL), -ENOENT);
	NEED_OK(do_list(suite, folder.id, &list));
	item_list_clear(&list);
	NEED_OK(do_remove(suite, &folder, NULL, true));
}

static void memory_does_not_grow(struct suite *suite)
{
	size_t before;
	size_t after;

	for (int i = 0; i < 20; i++)
		do_everything(suite);
	before = mallinfo2().uordblks;
	if (before == 0)
		suite_skip("this allocator does not count; a leak checker does");
	for (int i = 0; i < 100; i++)
		do_everything(suite);
	after = mallinfo2().uordblks;
	if (after > before + 65536)
		suite_report(__FILE__, __LINE__, "%zu bytes in use before, %zu after", before, after);
}

const struct suite_case thread_cases[] = {
	{"threads_live_side_by_side", live_side_by_side, NEEDS_WRITE},
	{"threads_one_of_them_replaces", one_of_them_replaces, NEEDS_WRITE},
	{"threads_one_of_them_makes", one_of_them_makes, NEEDS_WRITE},
	{"threads_memory_does_not_grow", memory_does_not_grow, NEEDS_WRITE},
	{NULL, NULL, 0},
};
