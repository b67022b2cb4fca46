/* SPDX-License-Identifier: MIT */
/*
 * Fetching: which ranges are asked for and how often, who waits for what, what becomes of errors, and digests.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cache/content_bench.h"

#define MIB (1ull << 20)

/* A read in a thread of its own. */
struct reader {
	pthread_t thread;
	struct content *content;
	uint64_t offset;
	size_t size;
	uint8_t *bytes;
	uint32_t interrupted;
	size_t done;
	int ret;
};

static void *reader_run(void *context)
{
	struct reader *reader = context;

	reader->ret = content_read(reader->content, reader->bytes, reader->size, reader->offset, false,
				   &reader->interrupted, &reader->done);
	return NULL;
}

static void reader_start(struct reader *reader, struct content *content, uint64_t offset, size_t size)
{
	*reader = (struct reader){.content = content, .offset = offset, .size = size, .bytes = malloc(size)};
	assert_non_null(reader->bytes);
	assert_int_equal(pthread_create(&reader->thread, NULL, reader_run, reader), 0);
}

static int reader_end(struct reader *reader)
{
	assert_int_equal(pthread_join(reader->thread, NULL), 0);
	free(reader->bytes);
	return reader->ret;
}

static bool has_called(struct bench *bench, uint64_t count)
{
	return far_calls(&bench->far) >= count;
}

static void close_gate(struct far *far, uint64_t from)
{
	pthread_mutex_lock(&far->lock);
	far->gate = true;
	far->gate_from = from;
	pthread_mutex_unlock(&far->lock);
}

static void never_asks_twice(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 4 * MIB, 1);
	struct content *content = bench_expect(bench, version);
	struct reader readers[6];

	close_gate(&bench->far, 0);
	for (size_t i = 0; i < 6; i++)
		reader_start(&readers[i], content, 2 * MIB, 1000);
	bench_await(bench, has_called, 1);
	bench_sleep(20000000);
	assert_int_equal(far_calls(&bench->far), 1);
	far_open_gate(&bench->far);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(reader_end(&readers[i]), 0);
	assert_int_equal(far_calls(&bench->far), 1);
	content_put(content);
}

/* The first bytes that come make a large piece of the file, of which nothing but these is believed. */
static void begins_units_whole(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 2 * MIB, 12);
	struct content *content = bench_expect(bench, version);
	uint8_t *expected = malloc(version->size), *bytes = malloc(300000), mine[100];
	uint64_t size, allocated;
	struct dw_time modified;
	size_t done;

	assert_non_null(expected);
	assert_non_null(bytes);
	memcpy(expected, version->bytes, version->size);
	memset(mine, 0x5a, sizeof(mine));
	pthread_mutex_lock(&bench->far.lock);
	bench->far.good = 3000;
	pthread_mutex_unlock(&bench->far.lock);
	far_set_error(&bench->far, -EACCES, UINT_MAX);
	assert_int_equal(content_read(content, bytes, 300000, 0, false, NULL, &done), -EACCES);
	bench_await(bench, bench_is_idle, 0);
	assert_in_range(content_present(content), 3000, 6000);
	assert_int_equal(content_stat(content, &size, &modified, &allocated), 0);
	assert_int_equal(size, version->size);
	assert_true(allocated >= 256 << 10);

	/* What is changed here before the rest comes stays. */
	assert_int_equal(content_modify(content), 0);
	bench_write(content, mine, sizeof(mine), 110000);
	memcpy(expected + 110000, mine, sizeof(mine));
	bench_write(content, mine, sizeof(mine), 250000);
	memcpy(expected + 250000, mine, sizeof(mine));
	far_set_error(&bench->far, 0, 0);
	bench_check(content, expected, 0, version->size);
	content_put(content);
	free(expected);
	free(bytes);
}

static void reads_ahead_in_parallel(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 64 * MIB, 2);
	struct content *content = bench_expect(bench, version);
	uint64_t longest = 0;

	pthread_mutex_lock(&bench->far.lock);
	bench->far.delay = 5000000;
	pthread_mutex_unlock(&bench->far.lock);
	for (uint64_t at = 0; at < version->size; at += 256u << 10)
		bench_check(content, version->bytes + at, at, 256u << 10);
	assert_int_equal(content_complete(content, 0, NULL), 0);
	pthread_mutex_lock(&bench->far.lock);
	for (size_t i = 0; i < bench->far.call_count; i++) {
		if (bench->far.calls[i].bytes > longest)
			longest = bench->far.calls[i].bytes;
	}
	assert_int_equal(bench->far.brought, version->size);
	assert_true(longest >= 2 * MIB);
	assert_true(longest <= 8 * MIB);
	assert_true(bench->far.call_count < 64);
	assert_true(bench->far.flying_most >= 4);
	assert_true(bench->far.flying_most <= 9);
	pthread_mutex_unlock(&bench->far.lock);
	content_put(content);
}

/* A reader that jumps gets its range, at once, whatever else is on its way. */
static void jumps_past_what_is_read_ahead(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 60 * MIB, 3);
	struct content *content = bench_expect(bench, version);
	size_t calls;

	for (uint64_t at = 0; at < 2 * MIB; at += 128u << 10)
		bench_check(content, version->bytes + at, at, 128u << 10);
	bench_await(bench, bench_is_idle, 0);
	close_gate(&bench->far, 4 * MIB);
	/* Goes on until the gate holds all that is read ahead. */
	for (uint64_t at = 2 * MIB; at < 3 * MIB; at += 128u << 10)
		bench_check(content, version->bytes + at, at, 128u << 10);
	bench_sleep(20000000);
	calls = far_calls(&bench->far);
	pthread_mutex_lock(&bench->far.lock);
	bench->far.gate_from = UINT64_MAX;
	pthread_mutex_unlock(&bench->far.lock);
	bench_check(content, version->bytes + 50 * MIB, 50 * MIB, 4096);
	assert_int_equal(far_calls(&bench->far), calls + 1);
	far_open_gate(&bench->far);
	bench_await(bench, bench_is_idle, 0);
	content_put(content);
}

static void splits_a_flight_for_a_jump(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 30 * MIB, 4);
	struct content *content = bench_expect(bench, version);
	struct reader first;

	close_gate(&bench->far, 0);
	reader_start(&first, content, 0, 8 * MIB);
	bench_await(bench, has_called, 1);
	pthread_mutex_lock(&bench->far.lock);
	bench->far.gate_from = 1; /* what is held stays held until the gate opens; new calls behind 0 too */
	pthread_mutex_unlock(&bench->far.lock);
	far_open_gate(&bench->far);
	bench_check(content, version->bytes + 6 * MIB, 6 * MIB, 4096);
	assert_int_equal(reader_end(&first), 0);
	bench_await(bench, bench_is_idle, 0);
	bench_check(content, version->bytes, 0, 8 * MIB);
	content_put(content);
}

static void tells_errors(void **state)
{
	static const struct {
		int remote, program;
	} errors[] = {
		{-ENOENT, -ENOENT},	      {DW_REMOTE_LOGIN, -EACCES}, {DW_REMOTE_CHANGED, -ESTALE},
		{DW_REMOTE_TRASHED, -ENOENT}, {-EPROTO, -EPROTO},	  {-EACCES, -EACCES},
		{DW_REMOTE_EXPIRED, -EIO},
	};
	struct bench *bench = *state;
	struct content *content = bench_expect(bench, far_add(&bench->far, 3 * MIB, 5));
	uint8_t byte;
	size_t done;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		far_set_error(&bench->far, errors[i].remote, 1);
		assert_int_equal(content_read(content, &byte, 1, MIB, false, NULL, &done), errors[i].program);
		bench_await(bench, bench_is_idle, 0);
		assert_int_equal(bench->last_answer, errors[i].remote);
	}
	assert_int_equal(content_read(content, &byte, 1, MIB, false, NULL, &done), 0);
	bench_await(bench, bench_is_idle, 0);
	assert_int_equal(bench->last_answer, 0);
	content_put(content);
}

static void sits_out_what_passes(void **state)
{
	static const int errors[] = {DW_REMOTE_OFFLINE, DW_REMOTE_LATER, DW_REMOTE_UNKNOWN, -ETIMEDOUT};
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 8 * MIB, 6);
	struct content *content = bench_expect(bench, version);

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		far_set_error(&bench->far, errors[i], 2);
		bench_check(content, version->bytes + 2 * i * MIB, 2 * i * MIB, 4096);
	}
	/* Broken in the middle: the rest is asked for. */
	pthread_mutex_lock(&bench->far.lock);
	bench->far.good = 50000;
	pthread_mutex_unlock(&bench->far.lock);
	far_forget(&bench->far);
	far_set_error(&bench->far, DW_REMOTE_UNKNOWN, 1);
	bench_check(content, version->bytes + MIB, MIB, 100000);
	assert_int_equal(far_calls(&bench->far), 2);
	assert_int_equal(bench->far.calls[1].offset, MIB + 50000);
	/* Ended too early without saying so. */
	far_forget(&bench->far);
	far_set_error(&bench->far, 0, 1);
	bench_check(content, version->bytes + 3 * MIB, 3 * MIB, 100000);
	assert_int_equal(far_calls(&bench->far), 2);
	content_put(content);
}

static void gives_up_at_the_deadline(void **state)
{
	struct bench *bench = *state;
	struct content *content;
	uint64_t began;
	uint8_t byte;
	size_t done;

	bench_close(bench);
	bench->config.timeout = 300000000;
	bench_open(bench);
	content = bench_expect(bench, far_add(&bench->far, 3 * MIB, 7));
	far_set_error(&bench->far, DW_REMOTE_OFFLINE, UINT_MAX);
	began = bench_clock();
	assert_int_equal(content_read(content, &byte, 1, 0, false, NULL, &done), -EIO);
	assert_true(bench_clock() - began >= 250000000);
	assert_int_equal(content_complete(content, bench_clock() + 100000000, NULL), -ETIMEDOUT);
	far_set_error(&bench->far, 0, 0);
	/* Nothing comes and nothing is said. */
	close_gate(&bench->far, 0);
	assert_int_equal(content_read(content, &byte, 1, 0, false, NULL, &done), -EIO);
	assert_int_equal(content_complete(content, bench_clock() + 100000000, NULL), -ETIMEDOUT);
	far_open_gate(&bench->far);
	assert_int_equal(content_complete(content, 0, NULL), 0);
	content_put(content);
}

static void ends_when_interrupted(void **state)
{
	struct bench *bench = *state;
	struct content *content = bench_expect(bench, far_add(&bench->far, 3 * MIB, 8));
	struct reader reader;
	uint32_t cancelled = 1;

	close_gate(&bench->far, 0);
	reader_start(&reader, content, MIB, 100);
	bench_await(bench, has_called, 1);
	__atomic_store_n(&reader.interrupted, 1, __ATOMIC_RELEASE);
	assert_int_equal(reader_end(&reader), -EINTR);
	assert_int_equal(content_complete(content, 0, &cancelled), -ECANCELED);
	/* The fetch went on: it is there for who comes back. */
	far_forget(&bench->far);
	far_open_gate(&bench->far);
	bench_await(bench, bench_is_idle, 0);
	reader_start(&reader, content, MIB, 100);
	assert_int_equal(reader_end(&reader), 0);
	assert_int_equal(far_calls(&bench->far), 0);
	content_put(content);
}

static void abandons_what_was_read_ahead(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 60 * MIB, 9);
	struct content *content = bench_expect(bench, version);

	close_gate(&bench->far, MIB);
	bench_check(content, version->bytes, 0, 4096);
	bench_check(content, version->bytes + 4096, 4096, 256u << 10);
	bench_await(bench, has_called, 3);
	content_put(content);
	bench_await(bench, bench_is_idle, 0);
	assert_true(far_brought(&bench->far) <= 2 * MIB);
}

static void refuses_wrong_bytes(void **state)
{
	struct bench *bench = *state;
	const struct far_version *small = far_add(&bench->far, 50000, 10), *large = far_add(&bench->far, 3 * MIB, 11);
	struct content *content = bench_expect(bench, small);
	uint8_t byte;
	size_t done;

	/* Once: fetched again, and nobody has seen it. */
	bench->far.corrupt = 1;
	bench_check(content, small->bytes, 0, small->size);
	assert_int_equal(far_calls(&bench->far), 2);
	assert_true(content_is_whole(content));
	content_put(content);
	content = bench_expect(bench, small);
	bench->far.corrupt = 2;
	assert_int_equal(content_read(content, &byte, 1, 0, false, NULL, &done), -EIO);
	assert_false(content_is_whole(content));
	content_put(content);

	content = bench_expect(bench, large);
	bench->far.corrupt = 1;
	assert_int_equal(content_complete(content, 0, NULL), 0);
	bench_check(content, large->bytes, 0, large->size);
	content_put(content);
	content = bench_expect(bench, large);
	bench->far.corrupt = UINT_MAX;
	assert_int_equal(content_complete(content, 0, NULL), -EIO);
	bench->far.corrupt = 0;
	content_put(content);
	/* The remote saw it itself. */
	content = bench_expect(bench, large);
	far_set_error(&bench->far, -EBADMSG, 1);
	assert_int_equal(content_complete(content, 0, NULL), 0);
	content_put(content);
}

static void refuses_more_than_was_asked_for(void **state)
{
	struct bench *bench = *state;
	struct content *content = bench_expect(bench, far_add(&bench->far, 3 * MIB, 12));
	uint8_t byte;
	size_t done;

	bench->far.overrun = true;
	assert_int_equal(content_read(content, &byte, 1, MIB, false, NULL, &done), 0);
	bench_await(bench, bench_is_idle, 0);
	assert_int_equal(content_present(content), 128u << 10);
	bench->far.overrun = false;
	content_put(content);
}

static bool all_whole(struct bench *bench, uint64_t count)
{
	return bench_number(bench, "SELECT count(*) FROM content WHERE whole = 1", 0) == (int64_t)count;
}

static void prefetches_many(void **state)
{
	struct bench *bench = *state;
	const struct far_version *small = far_add(&bench->far, 9000, 13), *large = far_add(&bench->far, 20 * MIB, 14);

	pthread_mutex_lock(&bench->far.lock);
	bench->far.delay = 1000000;
	pthread_mutex_unlock(&bench->far.lock);
	for (size_t i = 0; i < 300; i++) {
		struct content *content = bench_expect(bench, i == 7 ? large : small);

		content_prefetch(content, 0, UINT64_MAX);
		content_put(content);
	}
	bench_await(bench, all_whole, 300);
	pthread_mutex_lock(&bench->far.lock);
	assert_true(bench->far.flying_most <= 16);
	assert_true(bench->far.flying_most >= 4);
	assert_true(bench->far.calls[0].background);
	pthread_mutex_unlock(&bench->far.lock);
}

static void prefetching_stops_when_the_service_is_away(void **state)
{
	struct bench *bench = *state;
	const struct far_version *small = far_add(&bench->far, 9000, 15);

	far_set_error(&bench->far, DW_REMOTE_OFFLINE, UINT_MAX);
	for (size_t i = 0; i < 200; i++) {
		struct content *content = bench_expect(bench, small);

		content_prefetch(content, 0, small->size);
		content_put(content);
	}
	bench_await(bench, bench_is_idle, 0);
	assert_true(all_whole(bench, 0));
}

static void closes_while_things_fly(void **state)
{
	struct bench *bench = *state;
	const struct far_version *version = far_add(&bench->far, 60 * MIB, 16);
	struct content *content = bench_expect(bench, version);

	bench_check(content, version->bytes, 0, 4096);
	close_gate(&bench->far, 0);
	bench_check(content, version->bytes + 4096, 4096, 4096);
	content_prefetch(content, 30 * MIB, 30 * MIB);
	content_put(content);
	bench_close(bench);
	bench_open(bench);
	far_open_gate(&bench->far);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(never_asks_twice, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(begins_units_whole, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(reads_ahead_in_parallel, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(jumps_past_what_is_read_ahead, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(splits_a_flight_for_a_jump, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(tells_errors, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(sits_out_what_passes, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(gives_up_at_the_deadline, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(ends_when_interrupted, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(abandons_what_was_read_ahead, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(refuses_wrong_bytes, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(refuses_more_than_was_asked_for, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(prefetches_many, bench_setup, bench_teardown),
		cmocka_unit_test_setup_teardown(prefetching_stops_when_the_service_is_away, bench_setup,
						bench_teardown),
		cmocka_unit_test_setup_teardown(closes_while_things_fly, bench_setup, bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
