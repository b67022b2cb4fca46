/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/log.h"

/* What one log_write writes. */
static size_t written(int level, int limit, const char *message, char *out, size_t size)
{
	int ends[2];
	struct log log = {.level = limit};
	ssize_t length;

	assert_int_equal(pipe(ends), 0);
	log.fd = ends[1];
	log_write(&log, level, "%s", message);
	close(ends[1]);
	length = read(ends[0], out, size - 1);
	close(ends[0]);
	assert_true(length >= 0);
	out[length] = '\0';
	return (size_t)length;
}

static void a_line_has_time_and_level(void **state)
{
	char out[2048];

	written(LOG_LEVEL_WARNING, LOG_LEVEL_INFORMATION, "the message", out, sizeof(out));
	assert_non_null(strstr(out, "Z warning: the message\n"));
	assert_int_equal(strlen(out), strlen("2031-05-17T08:30:00Z warning: the message\n"));
}

static void less_important_lines_are_left_out(void **state)
{
	char out[2048];

	assert_int_equal(written(LOG_LEVEL_TRACE, LOG_LEVEL_INFORMATION, "no", out, sizeof(out)), 0);
	log_write(NULL, LOG_LEVEL_ERROR, "nowhere");
}

static void a_message_cannot_forge_a_line(void **state)
{
	char out[2048];
	size_t length = written(LOG_LEVEL_ERROR, LOG_LEVEL_ERROR, "one\ntwo\r", out, sizeof(out));

	assert_ptr_equal(strchr(out, '\n'), out + length - 1);
	assert_non_null(strstr(out, "one?two?"));
}

static void long_lines_are_cut(void **state)
{
	char message[4096], out[4096];
	size_t length;

	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	length = written(LOG_LEVEL_ERROR, LOG_LEVEL_ERROR, message, out, sizeof(out));
	assert_true(length <= LOG_LINE_MAX);
	assert_int_equal(out[length - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_and_level),
		cmocka_unit_test(less_important_lines_are_left_out),
		cmocka_unit_test(a_message_cannot_forge_a_line),
		cmocka_unit_test(long_lines_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
