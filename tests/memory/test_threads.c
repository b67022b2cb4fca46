/* SPDX-License-Identifier: MIT */
/*
 * Several threads at once, as the channel calls: each file and folder is changed by one thread at a time, everything
 * is read by all.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/memory/check.h"
#include "tests/memory/host.h"

#define THREADS 4
#define TURNS	300
#define PIECE	70000u

struct worker {
	struct dw_filesystem *fs;
	pthread_t thread;
	int number;
	uint64_t folder;
	atomic_int *failures;
};

/* cmocka's assertions belong to the main thread. */
#define EXPECT(worker, condition)                                                                                      \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
			atomic_fetch_add((worker)->failures, 1);                                                       \
		}                                                                                                      \
	} while (0)

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct dw_filesystem *fs = worker->fs;
	struct collector collector = {.room = 50, .entries = calloc(50, sizeof(struct listed))};
	uint8_t *data = malloc(PIECE), *got = malloc(PIECE);
	struct dw_entry entry, shared;
	struct dw_attr attr;
	char name[32];

	for (int i = 0; i < TURNS; i++) {
		snprintf(name, sizeof(name), "w%d-%d", worker->number, i % 20);
		if (do_lookup(fs, worker->folder, name, &entry) == 0) {
			EXPECT(worker, do_unlink(fs, worker->folder, name) == 0);
			EXPECT(worker, do_getattr(fs, entry.node, &attr) == 0 && attr.nlink == 0);
			do_forget(fs, entry.node, 1);
		}
		EXPECT(worker, do_create(fs, worker->folder, name, 0644, &entry) == 0);
		memset(data, worker->number * 50 + i % 50, PIECE);
		EXPECT(worker, do_write(fs, entry.node, data, PIECE, (uint64_t)i * 100) == PIECE);
		EXPECT(worker, do_read(fs, entry.node, got, PIECE, (uint64_t)i * 100) == PIECE);
		EXPECT(worker, !memcmp(data, got, PIECE));
		do_forget(fs, entry.node, 1);
		if (i % 3 == 0)
			EXPECT(worker, do_truncate(fs, entry.node, 5000) == 0);
		EXPECT(worker, do_lookup(fs, DW_NODE_ROOT, "shared", &shared) == 0);
		EXPECT(worker, do_read(fs, shared.node, got, 6, 0) == 6 && !memcmp(got, "shared", 6));
		do_forget(fs, shared.node, 1);
		EXPECT(worker, do_readdir(fs, DW_NODE_ROOT, 0, true, &collector) == 0);
		EXPECT(worker, collector.count == THREADS + 1);
		for (size_t j = 0; j < collector.count; j++)
			do_forget(fs, collector.entries[j].node, 1);
	}
	free(data);
	free(got);
	collector_free(&collector);
	return NULL;
}

static void test_threads(void **state)
{
	struct host host;
	struct worker workers[THREADS];
	struct dw_entry entry;
	atomic_int failures = 0;
	char name[32];

	host_create(&host);
	struct dw_filesystem *fs = host_open(&host, "size", "64M", NULL);
	assert_int_equal(do_create(fs, DW_NODE_ROOT, "shared", 0644, &entry), 0);
	assert_int_equal(do_write(fs, entry.node, "shared", 6, 0), 6);
	for (int i = 0; i < THREADS; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(do_mkdir(fs, DW_NODE_ROOT, name, 0755, &entry), 0);
		workers[i] = (struct worker){.fs = fs, .number = i, .folder = entry.node, .failures = &failures};
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	assert_int_equal(failures, 0);
	check_drive(fs);
	fs->ops->close(fs);
	host_destroy(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};

	return cmocka_run_group_tests_name("memory: threads", tests, NULL, NULL);
}
