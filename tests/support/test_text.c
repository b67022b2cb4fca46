/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/text.h"

static void copy_cuts_and_terminates(void **state)
{
	char out[4];

	assert_true(text_copy(out, sizeof(out), "abc"));
	assert_string_equal(out, "abc");
	assert_false(text_copy(out, sizeof(out), "abcd"));
	assert_string_equal(out, "abc");
	assert_false(text_copy(out, 1, "x"));
	assert_string_equal(out, "");
}

static void format_says_whether_it_fits(void **state)
{
	char out[4];

	assert_true(text_format(out, sizeof(out), "%d", 123));
	assert_false(text_format(out, sizeof(out), "%d", 1234));
	assert_string_equal(out, "123");
}

static void within_compares_whole_names(void **state)
{
	assert_true(text_path_within("/a/b", "/a/b"));
	assert_true(text_path_within("/a/b/c", "/a/b"));
	assert_true(text_path_within("/a/b/c", "/a/b/"));
	assert_true(text_path_within("/anything", "/"));
	assert_false(text_path_within("/a/bc", "/a/b"));
	assert_false(text_path_within("/a", "/a/b"));
	assert_false(text_path_within("", "/a"));
}

static void printable_has_no_control_characters(void **state)
{
	char out[8];

	text_printable(out, sizeof(out), "a\nb\033[1m");
	assert_string_equal(out, "a?b?[1m");
	text_printable(out, 3, "abcdef");
	assert_string_equal(out, "ab");
}

static void bools(void **state)
{
	bool value = false;

	assert_int_equal(text_parse_bool("", &value), 0);
	assert_true(value);
	assert_int_equal(text_parse_bool("no", &value), 0);
	assert_false(value);
	assert_int_equal(text_parse_bool("on", &value), 0);
	assert_true(value);
	assert_int_equal(text_parse_bool("maybe", &value), -EINVAL);
	assert_int_equal(text_parse_bool("YES", &value), -EINVAL);
}

static void numbers(void **state)
{
	uint64_t value = 7;

	assert_int_equal(text_parse_number("0", 10, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(text_parse_number("10", 10, &value), 0);
	assert_int_equal(value, 10);
	assert_int_equal(text_parse_number("11", 10, &value), -ERANGE);
	assert_int_equal(text_parse_number("18446744073709551615", UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(text_parse_number("18446744073709551616", UINT64_MAX, &value), -ERANGE);
	assert_int_equal(text_parse_number("", 10, &value), -EINVAL);
	assert_int_equal(text_parse_number("-1", 10, &value), -EINVAL);
	assert_int_equal(text_parse_number("1x", 10, &value), -EINVAL);
	assert_int_equal(text_parse_number(" 1", 10, &value), -EINVAL);
	assert_int_equal(text_parse_number("9", 5, &value), -ERANGE);
}

static void sizes(void **state)
{
	uint64_t value;

	assert_int_equal(text_parse_size("512", &value), 0);
	assert_int_equal(value, 512);
	assert_int_equal(text_parse_size("2k", &value), 0);
	assert_int_equal(value, 2048);
	assert_int_equal(text_parse_size("3G", &value), 0);
	assert_true(value == 3ull << 30);
	assert_int_equal(text_parse_size("17179869184g", &value), -ERANGE);
	assert_int_equal(text_parse_size("1kb", &value), -EINVAL);
	assert_int_equal(text_parse_size("k", &value), -EINVAL);
	assert_int_equal(text_parse_size("1x", &value), -EINVAL);
}

static void seconds(void **state)
{
	uint64_t value;

	assert_int_equal(text_parse_seconds("1", &value), 0);
	assert_true(value == 1000000000);
	assert_int_equal(text_parse_seconds("0.25", &value), 0);
	assert_true(value == 250000000);
	assert_int_equal(text_parse_seconds("0.0000000019", &value), 0);
	assert_true(value == 1);
	assert_int_equal(text_parse_seconds("0", &value), 0);
	assert_true(value == 0);
	assert_int_equal(text_parse_seconds("1.", &value), -EINVAL);
	assert_int_equal(text_parse_seconds(".5", &value), -EINVAL);
	assert_int_equal(text_parse_seconds("1s", &value), -EINVAL);
	assert_int_equal(text_parse_seconds("99999999999", &value), -ERANGE);
}

static void uuids_are_of_version_4(void **state)
{
	uint8_t random[16];
	char out[TEXT_UUID_SIZE];

	memset(random, 0xff, sizeof(random));
	text_uuid(out, random);
	assert_string_equal(out, "ffffffff-ffff-4fff-bfff-ffffffffffff");
	memset(random, 0, sizeof(random));
	text_uuid(out, random);
	assert_string_equal(out, "00000000-0000-4000-8000-000000000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_cuts_and_terminates),
		cmocka_unit_test(format_says_whether_it_fits),
		cmocka_unit_test(within_compares_whole_names),
		cmocka_unit_test(printable_has_no_control_characters),
		cmocka_unit_test(bools),
		cmocka_unit_test(numbers),
		cmocka_unit_test(sizes),
		cmocka_unit_test(seconds),
		cmocka_unit_test(uuids_are_of_version_4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
