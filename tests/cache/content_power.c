/* SPDX-License-Identifier: MIT */
/*
 * Starts of the machine, deaths of the process, and making room.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/text.h"
#include "tests/cache/content_bench.h"

#define MIB (1ull << 20)

static bool is_saved_whole(struct bench *bench, uint64_t id)
{
	return bench_number(bench, "SELECT whole FROM content WHERE id = ?", id) == 1;
}

static uint64_t whole_one(struct bench *bench, const struct far_version *version, bool sync)
{
	struct content *content = bench_expect(bench, version);
	uint64_t id = content_id(content);

	assert_int_equal(content_complete(content, 0, NULL), 0);
	bench_await(bench, is_saved_whole, id);
	if (sync)
		assert_int_equal(content_sync(content), 0);
	content_put(content);
	return id;
}

/* What is in a file at the end of its machine may be anything. */
static void spoil(struct bench *bench, uint64_t id)
{
	char path[64];
	int fd;

	(void)text_format(path, sizeof(path), "content/%02x/%llx", (unsigned)(id & 0xff), (unsigned long long)id);
	fd = openat(bench->folder_fd, path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
}

static void forgets_what_was_not_synced(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 3 * MIB, 1);
	uint64_t synced = whole_one(bench, version, true), not = whole_one(bench, version, false);
	struct content *content;

	assert_int_equal(bench_number(bench, "SELECT count(*) FROM extent WHERE content = ?", synced), 0);
	/* The same machine: both are there. */
	bench_close(bench);
	bench_open(bench);
	content = bench_get(bench, not );
	assert_true(content_is_whole(content));
	content_put(content);
	bench_close(bench);
	spoil(bench, not );
	bench->config.boot = "second";
	bench_open(bench);
	far_forget(&bench->far);
	content = bench_get(bench, synced);
	assert_true(content_is_whole(content));
	bench_check(content, version->bytes, 0, version->size);
	assert_int_equal(far_calls(&bench->far), 0);
	content_put(content);
	content = bench_get(bench, not );
	assert_false(content_is_whole(content));
	assert_int_equal(content_present(content), 0);
	bench_check(content, version->bytes, 0, version->size);
	content_put(content);
}

static void keeps_ranges_that_were_synced(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 8 * MIB, 2);
	struct content *content = bench_expect(bench, version);
	uint64_t id = content_id(content);

	bench_check(content, version->bytes + 2 * MIB, 2 * MIB, 4096);
	bench_await(bench, bench_is_idle, 0);
	assert_int_equal(content_sync(content), 0);
	bench_check(content, version->bytes + 6 * MIB, 6 * MIB, 4096);
	content_put(content);
	bench_boot(bench, "second");
	content = bench_get(bench, id);
	assert_int_equal(content_present(content), 128u << 10);
	far_forget(&bench->far);
	bench_check(content, version->bytes + 2 * MIB, 2 * MIB, 4096);
	assert_int_equal(far_calls(&bench->far), 0);
	content_put(content);
}

static void tells_what_is_torn(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 3 * MIB, 3);
	uint64_t changed = whole_one(bench, version, true), synced = whole_one(bench, version, true);
	struct content *content = bench_get(bench, changed);

	bench_write(content, "x", 1, 0);
	assert_false(content_is_torn(content));
	content_put(content);
	content = bench_get(bench, synced);
	bench_write(content, "x", 1, 0);
	assert_int_equal(content_sync(content), 0);
	bench_write(content, "y", 1, 1);
	content_put(content);
	/* A new process on the same machine. */
	bench_close(bench);
	bench_open(bench);
	content = bench_get(bench, changed);
	assert_false(content_is_torn(content));
	content_put(content);
	bench_boot(bench, "second");
	content = bench_get(bench, changed);
	assert_true(content_is_local(content));
	assert_true(content_is_torn(content));
	content_put(content);
	content = bench_get(bench, synced);
	assert_true(content_is_local(content));
	assert_false(content_is_torn(content));
	bench_check(content, (const uint8_t *)"xy", 0, 2);
	content_put(content);
	/* Torn until somebody says that it is good. */
	bench_boot(bench, "third");
	content = bench_get(bench, changed);
	assert_true(content_is_torn(content));
	assert_int_equal(content_sync(content), 0);
	assert_false(content_is_torn(content));
	content_put(content);
}

/* A synced file of which a part is missing, changed without a sync: the old bytes come back, never holes. */
static void finds_old_bytes_behind_lost_ones(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 8 * MIB, 4);
	struct content *content = bench_expect(bench, version);
	uint64_t id = content_id(content);
	char path[64];
	int fd;

	bench_write(content, "first", 5, 0);
	assert_int_equal(content_sync(content), 0);
	bench_write(content, "second", 6, 4 * MIB);
	content_put(content);
	bench_close(bench);
	(void)text_format(path, sizeof(path), "content/%02x/%llx", (unsigned)(id & 0xff), (unsigned long long)id);
	fd = openat(bench->folder_fd, path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * MIB, 4096), 0);
	close(fd);
	bench->config.boot = "second";
	bench_open(bench);
	content = bench_get(bench, id);
	assert_false(content_is_torn(content));
	bench_check(content, (const uint8_t *)"first", 0, 5);
	bench_check(content, version->bytes + 4 * MIB, 4 * MIB, 4096);
	content_put(content);
}

static void cleans_up_after_a_crash(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 5000, 5);
	uint64_t kept = whole_one(bench, version, false), nameless, left;
	int status;
	pid_t child;

	bench_close(bench);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct database_connection *connection;
		struct content *content;

		bench_open(bench);
		bench_run(bench, "DELETE FROM node WHERE content = ?", kept + 1);
		content = bench_make(bench);
		bench_run(bench, "UPDATE node SET content = NULL WHERE content = ?", content_id(content));
		connection = database_write(bench->database);
		(void)content_make(bench->store, connection, &content);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	nameless = kept + 1;
	left = kept + 2;
	assert_true(bench_file_exists(bench, nameless));
	assert_true(bench_file_exists(bench, left));
	bench_open(bench);
	assert_false(bench_file_exists(bench, nameless));
	assert_false(bench_file_exists(bench, left));
	assert_true(bench_file_exists(bench, kept));
	assert_int_equal(bench_number(bench, "SELECT count(*) FROM content", 0), 1);
}

static bool has_room(struct bench *bench, uint64_t most)
{
	return bench_number(bench, "SELECT sum(bytes) FROM content WHERE local = 0", 0) <= (int64_t)most;
}

static void makes_room(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, MIB, 6);
	struct content *open, *local, *content;
	struct content_numbers numbers;
	uint64_t pinned, below, folder = 900, opened, oldest;

	bench_close(bench);
	bench->config.cache_size = 20 * MIB;
	bench_open(bench);
	pinned = whole_one(bench, version, false);
	bench_run(bench, "UPDATE node SET pinned = 1 WHERE content = ?", pinned);
	below = whole_one(bench, version, false);
	bench_run(bench,
		  "INSERT INTO node(id, mode, uid, gid, mtime, ctime, atime, btime, pinned)"
		  " VALUES(?, 16877, 0, 0, 0, 0, 0, 0, 1)",
		  folder);
	bench_run(bench, "UPDATE node SET parent = 900, fold = 'f' WHERE content = ?", below);
	opened = whole_one(bench, version, false);
	open = bench_get(bench, opened);
	local = bench_make(bench);
	for (uint64_t at = 0; at < 30; at++)
		bench_write(local, version->bytes, version->size, at * MIB);
	oldest = whole_one(bench, version, false);
	bench_run(bench, "UPDATE content SET used = used - 1000 WHERE id <= ?", opened);
	for (size_t i = 0; i < 40; i++)
		(void)whole_one(bench, version, false);
	bench_await(bench, has_room, 20 * MIB);
	content_store_numbers(bench->store, &numbers);
	assert_true(numbers.evicted > 0);
	assert_true(is_saved_whole(bench, pinned));
	assert_true(is_saved_whole(bench, below));
	assert_true(is_saved_whole(bench, opened));
	assert_false(is_saved_whole(bench, oldest));
	bench_check(open, version->bytes, 0, version->size);
	bench_check(local, version->bytes, 29 * MIB, version->size);
	content_put(open);
	content_put(local);
	content = bench_get(bench, oldest);
	bench_check(content, version->bytes, 0, version->size);
	content_put(content);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(forgets_what_was_not_synced, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(keeps_ranges_that_were_synced, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(tells_what_is_torn, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(finds_old_bytes_behind_lost_ones, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(cleans_up_after_a_crash, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(makes_room, bench_setup, bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
