/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/options.h"

static int split_one(struct options *own, const char *key, const char *value, size_t *rest_count, char *error)
{
	struct dw_option option = {.key = key, .value = value}, rest;

	error[0] = '\0';
	return options_split(own, &option, 1, &rest, rest_count, error, 256);
}

static void nothing_given_means_the_defaults(void **state)
{
	struct options own;
	size_t rest_count = 7;
	char error[256];

	assert_int_equal(options_split(&own, NULL, 0, NULL, &rest_count, error, sizeof(error)), 0);
	assert_int_equal(rest_count, 0);
	assert_int_equal(own.transport, OPTIONS_TRANSPORT_AUTO);
	assert_true(own.passthrough);
	assert_false(own.allow_other);
	assert_false(own.default_permissions);
	assert_true(own.entry_timeout == DW_TIMEOUT_DEFAULT);
}

static void our_own_are_read(void **state)
{
	struct options own;
	size_t rest_count;
	char error[256];

	assert_int_equal(split_one(&own, "transport", "plain", &rest_count, error), 0);
	assert_int_equal(own.transport, OPTIONS_TRANSPORT_PLAIN);
	assert_int_equal(split_one(&own, "transport", "io_uring", &rest_count, error), 0);
	assert_int_equal(own.transport, OPTIONS_TRANSPORT_RING);
	assert_int_equal(split_one(&own, "passthrough", "no", &rest_count, error), 0);
	assert_false(own.passthrough);
	assert_int_equal(split_one(&own, "entry-timeout", "0.5", &rest_count, error), 0);
	assert_true(own.entry_timeout == 500000000);
	assert_int_equal(split_one(&own, "workers", "256", &rest_count, error), 0);
	assert_int_equal(own.workers, 256);
	assert_int_equal(split_one(&own, "allow-other", "", &rest_count, error), 0);
	assert_true(own.allow_other && own.default_permissions);
	assert_int_equal(rest_count, 0);
}

static void what_makes_no_sense_is_refused_with_a_line(void **state)
{
	static const char *const wrong[][2] = {
		{"transport", "fast"}, {"passthrough", "perhaps"}, {"workers", "0"},	   {"workers", "257"},
		{"workers", "-1"},     {"entry-timeout", ""},	   {"attr-timeout", "1s"}, {"negative-timeout", "x"},
	};
	struct options own;
	size_t rest_count;
	char error[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(split_one(&own, wrong[i][0], wrong[i][1], &rest_count, error), -EINVAL);
		assert_non_null(strstr(error, wrong[i][0]));
		assert_non_null(strstr(error, ": write "));
	}
}

static void others_are_left_for_the_provider_in_order(void **state)
{
	const struct dw_option all[] = {{"size", "1g"}, {"trace", ""}, {"colour", "red"}, {"size", "2g"}};
	struct dw_option rest[4];
	struct options own;
	size_t rest_count;
	char error[256];

	assert_int_equal(options_split(&own, all, 4, rest, &rest_count, error, sizeof(error)), 0);
	assert_true(own.trace);
	assert_int_equal(rest_count, 3);
	assert_string_equal(rest[0].key, "size");
	assert_string_equal(rest[1].key, "colour");
	assert_string_equal(rest[2].value, "2g");
}

static void every_option_is_in_the_help(void **state)
{
	static const char *const keys[] = {
		"transport=", "passthrough=", "allow-other",	"default-permissions", "nonempty",
		"trace",      "workers=",     "entry-timeout=", "attr-timeout=",       "negative-timeout="};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(strstr(options_help(), keys[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_means_the_defaults),
		cmocka_unit_test(our_own_are_read),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_a_line),
		cmocka_unit_test(others_are_left_for_the_provider_in_order),
		cmocka_unit_test(every_option_is_in_the_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
