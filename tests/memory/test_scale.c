/* SPDX-License-Identifier: MIT */
/*
 * A million files: what they cost in memory, and that nothing grows faster than their number. Times are printed, not
 * judged, but for the slowest single insertion and the growth of the whole, with room for a busy machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "filesystems/memory/memory.h"
#include "tests/memory/check.h"
#include "tests/memory/host.h"

#define MILLION 1000000u

/* Of this thread's processor time: what else the machine does is not counted. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const char *name_of(char *buffer, size_t size, unsigned i)
{
	snprintf(buffer, size, "file-%07u", i); /* 12 bytes */
	return buffer;
}

static uint64_t list_all(struct dw_filesystem *fs, uint64_t folder, bool attributes, uint64_t *nodes)
{
	struct collector collector = collector_new(500);
	uint64_t offset = 0, total = 0;

	do {
		assert_int_equal(do_readdir(fs, folder, offset, attributes, &collector), 0);
		for (size_t i = 0; i < collector.count; i++)
			if (nodes)
				nodes[total + i] = collector.entries[i].node;
		if (collector.count)
			offset = collector.entries[collector.count - 1].next;
		total += collector.count;
	} while (collector.count);
	collector_free(&collector);
	return total;
}

static void test_million(void **state)
{
	struct host host;
	struct dw_entry entry;
	struct stat stat;
	char name[32];
	uint64_t *nodes = malloc(MILLION * sizeof(*nodes));
	double start, half = 0, slowest = 0;

	assert_non_null(nodes);
	host_create(&host);
	struct dw_filesystem *fs = host_open(&host, "size", "1G", NULL);
	struct memory *memory = memory_of(fs);
	uint64_t empty = arena_used(memory->arena);

	start = now();
	for (unsigned i = 0; i < MILLION; i++) {
		double before = now();
		assert_int_equal(do_create(fs, DW_NODE_ROOT, name_of(name, sizeof(name), i), 0644, &entry), 0);
		double took = now() - before;
		slowest = took > slowest ? took : slowest;
		nodes[i] = entry.node;
		if (i == MILLION / 2)
			half = now() - start;
	}
	double whole = now() - start;
	uint64_t used = arena_used(memory->arena) - empty;
	assert_int_equal(fstat(host_find(&host, "arena")->fd, &stat), 0);
	print_message("create %.0f ns each (first half %.0f), slowest %.0f us; %llu bytes each, %llu resident\n",
		      whole * 1e9 / MILLION, half * 2e9 / MILLION, slowest * 1e6, (unsigned long long)used / MILLION,
		      (unsigned long long)stat.st_blocks * 512 / MILLION);
	assert_true(used / MILLION <= 300);
	assert_true((uint64_t)stat.st_blocks * 512 / MILLION <= 300);
	assert_true(whole < 6 * half);
	assert_true(slowest < 0.2);

	start = now();
	for (unsigned i = 0; i < MILLION; i++)
		assert_int_equal(do_lookup(fs, DW_NODE_ROOT,
					   name_of(name, sizeof(name), (unsigned)((uint64_t)i * 7919u % MILLION)),
					   &entry),
				 0);
	print_message("lookup %.0f ns each\n", (now() - start) * 1e9 / MILLION);
	start = now();
	for (unsigned i = 0; i < MILLION; i++)
		assert_int_equal(do_lookup(fs, DW_NODE_ROOT, name_of(name, sizeof(name), MILLION + i), &entry),
				 -ENOENT);
	print_message("lookup of a missing name %.0f ns each\n", (now() - start) * 1e9 / MILLION);

	start = now();
	assert_int_equal(list_all(fs, DW_NODE_ROOT, false, NULL), MILLION);
	print_message("list %.0f ns each\n", (now() - start) * 1e9 / MILLION);
	start = now();
	assert_int_equal(list_all(fs, DW_NODE_ROOT, true, NULL), MILLION);
	print_message("list with attributes %.0f ns each\n", (now() - start) * 1e9 / MILLION);

	start = now();
	for (unsigned i = 0; i < MILLION; i++) {
		assert_int_equal(do_unlink(fs, DW_NODE_ROOT, name_of(name, sizeof(name), i)), 0);
		do_forget(fs, nodes[i], 3);
		if (i == MILLION / 2)
			half = now() - start;
	}
	whole = now() - start;
	print_message("unlink and forget %.0f ns each (first half %.0f)\n", whole * 1e9 / MILLION,
		      half * 2e9 / MILLION);
	assert_true(whole < 6 * half);
	assert_int_equal(fstat(host_find(&host, "arena")->fd, &stat), 0);
	print_message("left: %llu bytes in use, %llu resident\n",
		      (unsigned long long)(arena_used(memory->arena) - empty),
		      (unsigned long long)stat.st_blocks * 512);
	assert_true(arena_used(memory->arena) - empty < 1u << 20);
	assert_true(stat.st_blocks * 512 < 48 << 20);
	check_drive(fs);
	fs->ops->close(fs);
	host_destroy(&host);
	free(nodes);
}

/* A folder through which names pass for ever costs what it holds. */
static void test_passing_names(void **state)
{
	struct host host;
	struct dw_entry entry;
	uint64_t ids[10] = {0};
	char name[32];

	host_create(&host);
	struct dw_filesystem *fs = host_open(&host, "size", "64M", NULL);
	uint64_t used = 0;
	for (unsigned i = 0; i < 200000; i++) {
		if (i >= 10) {
			assert_int_equal(do_unlink(fs, DW_NODE_ROOT, name_of(name, sizeof(name), i - 10)), 0);
			do_forget(fs, ids[i % 10], 1);
		}
		assert_int_equal(do_create(fs, DW_NODE_ROOT, name_of(name, sizeof(name), i), 0644, &entry), 0);
		ids[i % 10] = entry.node;
		if (i == 1000)
			used = arena_used(memory_of(fs)->arena);
	}
	assert_true(arena_used(memory_of(fs)->arena) < used + 4096);
	check_drive(fs);
	fs->ops->close(fs);
	host_destroy(&host);
}

/* Files that grow in turns still get long runs of blocks. */
static void test_large_files(void **state)
{
	struct host host;
	struct dw_entry entry;
	char *data = calloc(1, 1u << 20);
	uint64_t size = 512u << 20;

	assert_non_null(data);
	host_create(&host);
	struct dw_filesystem *fs = host_open(&host, "size", "1G", NULL);
	assert_int_equal(do_create(fs, DW_NODE_ROOT, "f", 0644, &entry), 0);
	double start = now();
	for (uint64_t at = 0; at < size; at += 1u << 20)
		assert_int_equal(do_write(fs, entry.node, data, 1u << 20, at), 1 << 20);
	print_message("write %.0f MB/s (fresh), ", (double)size / 1e6 / (now() - start));
	start = now();
	for (uint64_t at = 0; at < size; at += 1u << 20)
		assert_int_equal(do_write(fs, entry.node, data, 1u << 20, at), 1 << 20);
	print_message("%.0f MB/s (again), ", (double)size / 1e6 / (now() - start));
	start = now();
	for (uint64_t at = 0; at < size; at += 1u << 20)
		assert_int_equal(do_read(fs, entry.node, data, 1u << 20, at), 1 << 20);
	print_message("read %.0f MB/s, ", (double)size / 1e6 / (now() - start));
	assert_true(arena_used(memory_of(fs)->arena) < 4u << 20);
	start = now();
	assert_int_equal(do_truncate(fs, entry.node, 4096), 0);
	print_message("truncate %.0f ms\n", (now() - start) * 1e3);
	check_drive(fs);
	fs->ops->close(fs);
	host_destroy(&host);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_million),
		cmocka_unit_test(test_passing_names),
		cmocka_unit_test(test_large_files),
	};

	return cmocka_run_group_tests_name("memory: scale", tests, NULL, NULL);
}
