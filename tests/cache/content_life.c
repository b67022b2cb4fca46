/* SPDX-License-Identifier: MIT */
/*
 * The life of contents: made, expected, changed, uploaded, given up, deleted; and what a start of the process or of the
 * machine finds of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cache/content_bench.h"

static bool file_is_gone(struct bench *bench, uint64_t id)
{
	return !bench_file_exists(bench, id);
}

static bool is_saved_whole(struct bench *bench, uint64_t id)
{
	return bench_number(bench, "SELECT whole FROM content WHERE id = ?", id) == 1;
}

static void makes_and_writes(void **state)
{
	struct bench *bench = *state;
	struct content *content = bench_make(bench);
	uint64_t id = content_id(content), size;
	size_t done;
	char text[16];

	assert_true(content_is_local(content));
	assert_true(content_is_whole(content));
	assert_false(content_is_torn(content));
	bench_write(content, "hello", 5, 3);
	assert_int_equal(content_stat(content, &size, NULL, NULL), 0);
	assert_int_equal(size, 8);
	assert_int_equal(content_present(content), 8);
	assert_int_equal(content_read(content, text, sizeof(text), 0, true, NULL, &done), 0);
	assert_int_equal(done, 8);
	assert_memory_equal(text, "\0\0\0hello", 8);
	assert_true(content_fd(content) >= 0);
	content_put(content);

	bench_close(bench);
	bench_open(bench);
	content = bench_get(bench, id);
	assert_true(content_is_local(content));
	bench_check(content, (const uint8_t *)"\0\0\0hello", 0, 8);
	content_put(content);
	assert_int_equal(content_get(bench->store, 4711, &content), -ENOENT);
	assert_int_equal(far_calls(&bench->far), 0);
}

static void fetches_small_files_whole(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 100000, 1);
	struct content *content = bench_expect(bench, version);
	uint64_t id = content_id(content), size;
	uint8_t byte;
	size_t done;

	assert_false(content_is_local(content));
	assert_false(content_is_whole(content));
	assert_int_equal(content_fd(content), -EAGAIN);
	assert_int_equal(content_stat(content, &size, NULL, NULL), 0);
	assert_int_equal(size, version->size);
	assert_int_equal(content_present(content), 0);
	assert_int_equal(content_read(content, &byte, 1, 50, true, NULL, &done), -EAGAIN);
	bench_check(content, version->bytes + 50000, 50000, 1000);
	assert_true(content_is_whole(content));
	bench_check(content, version->bytes, 0, version->size);
	assert_int_equal(content_read(content, &byte, 1, version->size, false, NULL, &done), 0);
	assert_int_equal(done, 0);
	assert_int_equal(far_calls(&bench->far), 1);
	assert_int_equal(bench->far.calls[0].offset, 0);
	assert_int_equal(bench->far.calls[0].bytes, version->size);
	bench_await(bench, is_saved_whole, id);
	content_put(content);

	bench_close(bench);
	bench_open(bench);
	content = bench_get(bench, id);
	assert_true(content_is_whole(content));
	bench_check(content, version->bytes, 0, version->size);
	assert_int_equal(far_calls(&bench->far), 1);
	content_put(content);
}

static void fetches_ranges_of_large_files(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 20u << 20, 2);
	struct content *content = bench_expect(bench, version);

	bench_check(content, version->bytes + (9u << 20) + 5, (9u << 20) + 5, 1000);
	assert_int_equal(far_calls(&bench->far), 1);
	assert_int_equal(bench->far.calls[0].offset, 9u << 20);
	assert_int_equal(bench->far.calls[0].bytes, 128u << 10);
	assert_false(content_is_whole(content));
	/* Read through: everything comes once. */
	for (uint64_t at = 0; at < version->size; at += 128u << 10)
		bench_check(content, version->bytes + at, at, 128u << 10);
	assert_int_equal(content_complete(content, 0, NULL), 0);
	assert_true(content_is_whole(content));
	assert_int_equal(far_brought(&bench->far), version->size);
	content_put(content);
}

static void keeps_what_was_written_over_what_comes(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 4u << 20, 3);
	struct content *content = bench_expect(bench, version);
	uint64_t id = content_id(content);
	uint8_t *expected = malloc(version->size);

	memcpy(expected, version->bytes, version->size);
	memset(expected + 1000000, 'x', 3333);
	bench_write(content, expected + 1000000, 3333, 1000000);
	assert_int_equal(far_calls(&bench->far), 0);
	assert_true(content_is_local(content));
	content_put(content);
	bench_close(bench);
	bench_open(bench);
	content = bench_get(bench, id);
	assert_true(content_is_local(content));
	bench_check(content, expected, 0, version->size);
	assert_int_equal(content_complete(content, 0, NULL), 0);
	assert_true(content_is_whole(content));
	bench_check(content, expected, 0, version->size);
	content_put(content);
	free(expected);
}

static void cuts_what_is_missing(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 4u << 20, 4);
	struct content *content = bench_expect(bench, version);
	uint64_t id = content_id(content);
	uint8_t *expected = calloc(1, version->size);

	memcpy(expected, version->bytes, 1u << 20);
	assert_int_equal(content_modify(content), 0);
	assert_int_equal(content_truncate(content, 1u << 20), 0);
	assert_int_equal(content_truncate(content, 3u << 20), 0);
	content_put(content);
	bench_close(bench);
	bench_open(bench);
	content = bench_get(bench, id);
	bench_check(content, expected, 0, 3u << 20);
	assert_true(far_brought(&bench->far) <= 1u << 20);
	content_put(content);
	free(expected);
}

static void settles_after_an_upload(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 5000, 5);
	struct content_origin origin = {.remote = "item",
					.version = version->name,
					.size = 5000,
					.digest = version->digest,
					.digest_length = 20};
	struct content *content = bench_make(bench);
	struct database_connection *connection;
	struct content_stamp stamp;
	uint64_t id = content_id(content);

	bench_write(content, version->bytes, 5000, 0);
	assert_int_equal(content_stamp(content, &stamp), 0);
	bench_write(content, "late", 4, 100);
	connection = database_write(bench->database);
	assert_false(content_settle(content, connection, &origin, &stamp));
	assert_int_equal(database_commit(connection), 0);
	assert_true(content_is_local(content));

	bench_write(content, version->bytes + 100, 4, 100);
	assert_int_equal(content_stamp(content, &stamp), 0);
	connection = database_write(bench->database);
	assert_true(content_settle(content, connection, &origin, &stamp));
	assert_int_equal(database_commit(connection), 0);
	assert_false(content_is_local(content));
	assert_true(content_is_whole(content));
	content_put(content);
	assert_int_equal(content_evict(bench->store, id), 0);
	assert_false(bench_file_exists(bench, id));
	content = bench_get(bench, id);
	assert_false(content_is_whole(content));
	bench_check(content, version->bytes, 0, 5000);
	assert_int_equal(far_calls(&bench->far), 1);
	content_put(content);
}

static void unmodifies(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 5000, 6);
	struct content *content = bench_expect(bench, version);
	uint64_t id = content_id(content);

	assert_int_equal(content_complete(content, 0, NULL), 0);
	assert_int_equal(content_modify(content), 0);
	assert_int_equal(bench_number(bench, "SELECT local FROM content WHERE id = ?", id), 1);
	assert_int_equal(content_unmodify(content), 0);
	assert_false(content_is_local(content));
	assert_int_equal(bench_number(bench, "SELECT local FROM content WHERE id = ?", id), 0);
	content_put(content);
}

static void gives_up_only_what_may_go(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 5000, 7);
	struct content *content = bench_expect(bench, version), *local = bench_make(bench);
	uint64_t id = content_id(content), local_id = content_id(local);

	assert_int_equal(content_complete(content, 0, NULL), 0);
	assert_int_equal(content_evict(bench->store, id), -EBUSY);
	bench_write(local, "x", 1, 0);
	content_put(local);
	assert_int_equal(content_evict(bench->store, local_id), -EBUSY);
	content_put(content);
	assert_int_equal(content_evict(bench->store, 4711), -EBUSY);
}

static void deletes_files_after_the_commit(void **state)
{
	struct bench *bench = *state;
	struct content *content = bench_make(bench);
	struct database_connection *connection;
	uint64_t id = content_id(content);

	/* Rolled back: nothing has happened. */
	connection = database_write(bench->database);
	content_delete(bench->store, connection, id);
	database_rollback(connection);
	content_put(content);
	bench_sleep(20000000);
	assert_true(bench_file_exists(bench, id));
	connection = database_write(bench->database);
	content_delete(bench->store, connection, id);
	bench_sleep(20000000);
	assert_true(bench_file_exists(bench, id));
	database_rollback(connection);
	bench_sleep(20000000);
	assert_true(bench_file_exists(bench, id));
	/* While it is got its bytes stay. */
	content = bench_get(bench, id);
	bench_write(content, "abc", 3, 0);
	bench_delete(bench, id);
	bench_check(content, (const uint8_t *)"abc", 0, 3);
	assert_true(bench_file_exists(bench, id));
	content_put(content);
	bench_await(bench, file_is_gone, id);
	/* One that was never committed. */
	connection = database_write(bench->database);
	assert_int_equal(content_make(bench->store, connection, &content), 0);
	database_rollback(connection);
	id = content_id(content);
	content_discard(content);
	content_put(content);
	bench_await(bench, file_is_gone, id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(makes_and_writes, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(fetches_small_files_whole, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(fetches_ranges_of_large_files, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(keeps_what_was_written_over_what_comes, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(cuts_what_is_missing, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(settles_after_an_upload, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(unmodifies, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(gives_up_only_what_may_go, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(deletes_files_after_the_commit, bench_setup, bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
