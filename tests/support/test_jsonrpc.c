/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/jsonrpc.h"

static int parse(const char *line)
{
	struct jsonrpc_request request;
	struct jsonrpc_error error = {0};
	int ret = jsonrpc_parse_request(&request, line, strlen(line), &error);

	assert_int_equal(ret, error.code);
	assert_true(ret == 0 || error.message[0] != '\0');
	jsonrpc_request_clear(&request);
	return ret;
}

static void a_request_is_taken_apart(void **state)
{
	static const char line[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"map\",\"params\":{\"target\":\"/x\"},\"id\":\"a\"}\n";
	struct jsonrpc_request request;
	struct jsonrpc_error error = {0};

	assert_int_equal(jsonrpc_parse_request(&request, line, strlen(line), &error), 0);
	assert_string_equal(request.method, "map");
	assert_string_equal(json_string_value(json_object_get(request.params, "target")), "/x");
	assert_string_equal(json_string_value(request.id), "a");
	jsonrpc_request_clear(&request);
}

static void params_may_be_left_out_and_so_may_id(void **state)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"method\":\"list\"}";
	struct jsonrpc_request request;
	struct jsonrpc_error error = {0};

	assert_int_equal(jsonrpc_parse_request(&request, line, strlen(line), &error), 0);
	assert_true(json_is_object(request.params));
	assert_null(request.id);
	jsonrpc_request_clear(&request);
}

static void garbage_is_refused(void **state)
{
	char deep[8192];

	assert_int_equal(parse(""), JSONRPC_PARSE_ERROR);
	assert_int_equal(parse("\n"), JSONRPC_PARSE_ERROR);
	assert_int_equal(parse("{"), JSONRPC_PARSE_ERROR);
	assert_int_equal(parse("{} {}"), JSONRPC_PARSE_ERROR);
	assert_int_equal(parse("\xff\xfe"), JSONRPC_PARSE_ERROR);
	assert_int_equal(parse("{\"a\":1,\"a\":2}"), JSONRPC_PARSE_ERROR);
	assert_int_equal(parse("{\"method\":\"\\u0000\"}"), JSONRPC_PARSE_ERROR);
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(parse(deep), JSONRPC_PARSE_ERROR);
	assert_int_equal(parse("[]"), JSONRPC_INVALID_REQUEST);
	assert_int_equal(parse("{}"), JSONRPC_INVALID_REQUEST);
	assert_int_equal(parse("{\"jsonrpc\":\"1.0\",\"method\":\"list\"}"), JSONRPC_INVALID_REQUEST);
	assert_int_equal(parse("{\"jsonrpc\":\"2.0\",\"method\":7}"), JSONRPC_INVALID_REQUEST);
	assert_int_equal(parse("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"id\":{}}"), JSONRPC_INVALID_REQUEST);
	assert_int_equal(parse("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"params\":[1]}"), JSONRPC_INVALID_PARAMS);
	assert_int_equal(parse("{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"params\":null}"), JSONRPC_INVALID_PARAMS);
}

static void every_prefix_and_every_flipped_byte_is_survived(void **state)
{
	static const char line[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"map\",\"params\":{\"a\":[1,-2.5e3,\"\\u00e4\"]},\"id\":1}";
	char copy[sizeof(line)];

	for (size_t length = 0; length < strlen(line); length++) {
		memcpy(copy, line, length);
		copy[length] = '\0';
		assert_int_not_equal(parse(copy), 0);
	}
	for (size_t i = 0; i < strlen(line); i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(copy, line, sizeof(line));
			copy[i] = (char)(copy[i] ^ 1 << bit);
			parse(copy); /* either way; it must not crash */
		}
	}
}

static void an_error_goes_there_and_back(void **state)
{
	struct jsonrpc_error sent = {0}, received;
	json_t *id = json_integer(3), *result = NULL;
	char *line;

	jsonrpc_fault(&sent, -EBUSY, "%s is in\nuse", "/x");
	line = jsonrpc_write_error(id, &sent);
	assert_non_null(line);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_int_equal(jsonrpc_parse_answer(&result, line, strlen(line), 3, &received), JSONRPC_FAULT);
	assert_int_equal(received.error, -EBUSY);
	assert_string_equal(received.message, "/x is in?use");
	assert_non_null(strstr(line, "\"EBUSY\""));
	free(line);
	json_decref(id);
}

static void an_error_with_bytes_that_are_no_text_is_still_an_error(void **state)
{
	struct jsonrpc_error sent = {0}, received;
	json_t *result = NULL;
	char *line;

	jsonrpc_fault(&sent, -ENOENT, "no \xff here");
	line = jsonrpc_write_error(NULL, &sent);
	assert_non_null(line);
	assert_int_equal(jsonrpc_parse_answer(&result, line, strlen(line), 1, &received), JSONRPC_FAULT);
	assert_int_equal(received.error, -ENOENT);
	free(line);
}

static void a_result_goes_there_and_back(void **state)
{
	struct jsonrpc_error error;
	json_t *id = json_integer(5), *result = NULL;
	char *line = jsonrpc_write_result(id, json_pack("{s:i}", "a", 1));

	assert_int_equal(jsonrpc_parse_answer(&result, line, strlen(line), 5, &error), 0);
	assert_int_equal(json_integer_value(json_object_get(result, "a")), 1);
	json_decref(result);
	assert_int_equal(jsonrpc_parse_answer(&result, line, strlen(line), 6, &error), JSONRPC_INTERNAL_ERROR);
	assert_int_equal(jsonrpc_parse_answer(&result, "no\n", 3, 5, &error), JSONRPC_INTERNAL_ERROR);
	assert_int_equal(jsonrpc_parse_answer(&result, "", 0, 5, &error), JSONRPC_INTERNAL_ERROR);
	free(line);
	json_decref(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(params_may_be_left_out_and_so_may_id),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(every_prefix_and_every_flipped_byte_is_survived),
		cmocka_unit_test(an_error_goes_there_and_back),
		cmocka_unit_test(an_error_with_bytes_that_are_no_text_is_still_an_error),
		cmocka_unit_test(a_result_goes_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
