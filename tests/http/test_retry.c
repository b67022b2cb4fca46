/* SPDX-License-Identifier: MIT */
/* Pauses, dates, ranges and escapes. */
#include "support/http/retry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define SECOND 1000000000ull

static uint64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * SECOND + (uint64_t)at.tv_nsec;
}

static void test_dates(void **state)
{
	static const char *const bad[] = {"Sun, 06 Nov -194 08:49:37 GMT",
					  "",
					  "Sun",
					  "Sun, 06 Nov 1994 08:49:37",
					  "Sun, 06 Nov 1994 08:49:37 CET",
					  "Sun, 06 Xxx 1994 08:49:37 GMT",
					  "Sun, 06 ovD 1994 08:49:37 GMT",
					  "Sun, 32 Nov 1994 08:49:37 GMT",
					  "Sun, 06 Nov 1994 25:49:37 GMT",
					  "Sun, 06 Nov 1994 08:49:37 GMT and more"};
	int64_t seconds;

	(void)state;
	assert_int_equal(http_parse_date("Sun, 06 Nov 1994 08:49:37 GMT", &seconds), 0);
	assert_int_equal(seconds, 784111777);
	assert_int_equal(http_parse_date("Thu, 01 Jan 1970 00:00:00 GMT", &seconds), 0);
	assert_int_equal(seconds, 0);
	assert_int_equal(http_parse_date("Thu, 29 Feb 2024 23:59:60 GMT", &seconds), 0);
	assert_int_equal(seconds, 1709251200);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(http_parse_date(bad[i], &seconds), -EINVAL);
}

static void test_retry_after(void **state)
{
	uint64_t pause;

	(void)state;
	assert_int_equal(http_parse_retry_after("7", 0, &pause), 0);
	assert_int_equal(pause, 7 * SECOND);
	assert_int_equal(http_parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111770, &pause), 0);
	assert_int_equal(pause, 7 * SECOND);
	assert_int_equal(http_parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111790, &pause), 0);
	assert_int_equal(pause, 0);
	assert_int_equal(http_parse_retry_after("4000000000", 0, &pause), 0);
	assert_int_equal(pause, 86400 * SECOND);
	assert_int_equal(http_parse_retry_after("soon", 0, &pause), -EINVAL);
	assert_int_equal(http_parse_retry_after("-1", 0, &pause), -EINVAL);
	assert_int_equal(http_parse_retry_after(NULL, 0, &pause), -EINVAL);
}

static void test_ranges(void **state)
{
	static const char *const bad[] = {"bytes -5--3/*",
					  "bytes 5-+9/20",
					  "bytes 0-99999999999999999999/*",
					  "",
					  "bytes",
					  "bytes 5-4/9",
					  "bytes 0-9/9",
					  "bytes 0-9",
					  "bytes */9",
					  "bytes 0-4/9 ",
					  "bits 0-4/9",
					  "bytes -1-4/9"};
	uint64_t first, last, total;

	(void)state;
	assert_int_equal(http_parse_range("bytes 5-9/20", &first, &last, &total), 0);
	assert_int_equal(first, 5);
	assert_int_equal(last, 9);
	assert_int_equal(total, 20);
	assert_int_equal(http_parse_range("bytes 0-0/*", &first, &last, &total), 0);
	assert_true(total == UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(http_parse_range(bad[i], &first, &last, &total), -EINVAL);
	assert_int_equal(http_parse_range(NULL, &first, &last, &total), -EINVAL);
}

static void test_escapes(void **state)
{
	char *text;

	(void)state;
	text = http_escape("a-Z_0.~ /\xc3\xa4&=%");
	assert_string_equal(text, "a-Z_0.~%20%2F%C3%A4%26%3D%25");
	free(text);
	text = http_unescape("a%2Fb+c%zz%4", 12);
	assert_string_equal(text, "a/b c%zz%4");
	free(text);
	assert_null(http_unescape("a%00b", 5));
}

static void test_pauses(void **state)
{
	uint32_t cancelled = 1;
	struct http_backoff backoff = {.first = 1000000, .most = 4000000};
	uint64_t before = now();

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(http_backoff_wait(&backoff, 0), 0);
	assert_int_equal(backoff.attempts, 100);
	assert_true(now() - before < 60 * SECOND);

	before = now();
	assert_int_equal(http_backoff_wait(&backoff, SECOND / 20), 0);
	assert_true(now() - before >= SECOND / 20);

	backoff.deadline = now() + SECOND;
	assert_int_equal(http_backoff_wait(&backoff, 3600 * SECOND), -ETIMEDOUT);
	backoff.deadline = 0;
	backoff.cancelled = &cancelled;
	assert_int_equal(http_backoff_wait(&backoff, 3600 * SECOND), -ECANCELED);
	assert_int_equal(http_sleep(3600 * SECOND, 0, &cancelled), -ECANCELED);
	assert_int_equal(http_sleep(3600 * SECOND, now(), NULL), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates),	cmocka_unit_test(test_retry_after), cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_escapes), cmocka_unit_test(test_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
