/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/linux/spec.h"
#include "support/text.h"

static int load(const char *text)
{
	struct map_request *request = NULL;
	char error[256] = "";
	int ret = spec_load(&request, text, strlen(text), error, sizeof(error));

	assert_true(ret == 0 || error[0] != '\0');
	if (ret == 0)
		map_request_free(request);
	return ret;
}

static void what_is_stored_is_loaded(void **state)
{
	struct map_request *request = map_request_create(), *again = NULL;
	char error[256];
	char *text;

	request->target = text_duplicate("/m/\"x\"\n");
	assert_int_equal(map_request_set_source(request, "local:/srv", error, sizeof(error)), 0);
	request->label = text_duplicate("L");
	request->read_only = true;
	request->rest_is_path = true;
	request->since = 123;
	assert_int_equal(map_request_add_option(request, "a", "b=c,d"), 0);
	assert_int_equal(map_request_add_option(request, "a", ""), 0);
	text = spec_store(request);
	assert_non_null(text);
	assert_int_equal(spec_load(&again, text, strlen(text), error, sizeof(error)), 0);
	assert_string_equal(again->target, request->target);
	assert_string_equal(again->source, "local:/srv");
	assert_string_equal(again->label, "L");
	assert_null(again->cache);
	assert_true(again->read_only && again->rest_is_path);
	assert_int_equal(again->since, 123);
	assert_int_equal(again->option_count, 2);
	assert_string_equal(again->options[0].value, "b=c,d");
	free(text);
	map_request_free(request);
	map_request_free(again);
}

static void what_is_damaged_is_refused(void **state)
{
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory:\"}"), 0);
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory:\",\"options\":{\"size\":\"1g\"}}"), 0);
	assert_int_equal(load(""), -EINVAL);
	assert_int_equal(load("[]"), -EINVAL);
	assert_int_equal(load("{}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"x\",\"source\":\"memory:\"}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"/x\"}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory\"}"), -EINVAL);
	assert_int_equal(load("{\"target\":7,\"source\":\"memory:\"}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory:\",\"more\":1}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory:\",\"read_only\":\"yes\"}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory:\",\"options\":7}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory:\",\"options\":[[\"a\"]]}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory:\",\"options\":[7]}"), -EINVAL);
	assert_int_equal(load("{\"target\":\"/x\",\"source\":\"memory:\",\"options\":{\"a\":7}}"), -EINVAL);
}

static void clients_may_not_say_what_the_service_fills_in(void **state)
{
	json_t *object = json_pack("{s:s, s:s, s:i}", "target", "/x", "source", "memory:", "since", 1);
	struct map_request *request = NULL;
	char error[256] = "";

	assert_int_equal(spec_read(&request, object, false, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "since"));
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_stored_is_loaded),
		cmocka_unit_test(what_is_damaged_is_refused),
		cmocka_unit_test(clients_may_not_say_what_the_service_fills_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
