/* SPDX-License-Identifier: MIT */
/* Reading what Box sends: items as they should be, as they are, and damaged at random. */
#include "remotes/box/item.h"
#include "remotes/box/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define ROUNDS 30000

static const char whole[] =
	"{\"type\":\"file\",\"id\":\"123\",\"etag\":\"4\",\"name\":\"a \\u00e4 b.txt\",\"size\":1.0e+3,"
	"\"sha1\":\"85136C79CBF9FE36BB9D05D0639C70C265C18D37\",\"file_version\":{\"type\":\"file_version\",\"id\":"
	"\"77\"},"
	"\"content_created_at\":\"2012-12-12T10:53:43-08:00\",\"content_modified_at\":\"2020-02-29T00:00:00.25Z\","
	"\"item_status\":\"active\",\"parent\":{\"type\":\"folder\",\"id\":\"9\"},\"permissions\":{\"can_delete\":"
	"false},"
	"\"metadata\":{\"global\":{\"properties\":{\"$type\":\"x\",\"mode\":\"0644\",\"bad key\":\"y\",\"n\":5}}}}";

static json_t *parse(const char *text)
{
	json_t *json = box_json_parse(text, strlen(text));

	assert_non_null(json);
	return json;
}

static void test_whole(void **state)
{
	struct box_alias alias = {.real = "d9", .shown = "r"};
	json_t *json = parse(whole);
	struct box_item item;

	(void)state;
	assert_int_equal(box_item_read(&item, json, NULL, &alias), 0);
	assert_int_equal(item.item.type, DW_REMOTE_FILE);
	assert_string_equal(item.item.id, "f123");
	assert_string_equal(item.item.parent, "r");
	assert_string_equal(item.item.name, "a \xc3\xa4 b.txt");
	assert_string_equal(item.item.etag, "4");
	assert_int_equal(item.item.bytes, 1000);
	assert_int_equal(item.item.digest_length, 20);
	assert_int_equal(item.item.digest[0], 0x85);
	assert_string_equal(item.item.content, "77-85136C79CBF9FE36BB9D05D0639C70C265C18D37");
	assert_int_equal(item.item.created.seconds, 1355338423);
	assert_int_equal(item.item.modified.seconds, 1582934400);
	assert_int_equal(item.item.modified.nanoseconds, 250000000);
	assert_int_equal(item.item.rights, DW_REMOTE_MAY_READ | DW_REMOTE_MAY_WRITE | DW_REMOTE_MAY_RENAME);
	assert_true(item.item.properties_known);
	assert_int_equal(item.item.property_count, 1);
	assert_string_equal(item.item.properties[0].key, "mode");
	assert_string_equal(item.item.properties[0].value, "0644");
	json_decref(json);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"type\":\"folder\",\"id\":\"1\"}",
		"{\"type\":\"folder\",\"id\":\"../1\",\"name\":\"a\"}",
		"{\"type\":\"folder\",\"id\":\"\",\"name\":\"a\"}",
		"{\"type\":\"folder\",\"id\":\"1?a=b\",\"name\":\"a\"}",
		"{\"type\":\"folder\",\"id\":{},\"name\":\"a\"}",
		"{\"type\":\"folder\",\"id\":\"1\",\"name\":\"a\\u0000b\"}",
		"{\"type\":\"file\",\"id\":\"1\",\"name\":\"a\"}",
		"{\"type\":\"file\",\"id\":\"1\",\"name\":\"a\",\"size\":-1,\"file_version\":{\"id\":\"1\"}}",
		"{\"type\":\"file\",\"id\":\"1\",\"name\":\"a\",\"size\":1,\"file_version\":{\"id\":\"a/b\"}}",
	};
	struct box_item item;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		json_t *json = parse(bad[i]);

		assert_int_equal(box_item_read(&item, json, NULL, NULL), -EPROTO);
		json_decref(json);
	}
}

static void test_mended(void **state)
{
	json_t *json = parse(
		"{\"a\":\"x\xff\xc3y\",\"b\":\"\\ud800z\",\"c\":99999999999999999999,\"d\":\"\\ud83d\\ude00\"}");
	uint64_t number;

	(void)state;
	assert_string_equal(box_json_text(json, "a"), "x\xef\xbf\xbd\xef\xbf\xbdy");
	assert_string_equal(box_json_text(json, "b"), "\xef\xbf\xbdz");
	assert_true(box_json_number(json, "c", &number));
	assert_true(number == UINT64_MAX);
	assert_string_equal(box_json_text(json, "d"), "\xf0\x9f\x98\x80");
	json_decref(json);
	assert_null(box_json_parse("{\"a\":", 5));
	assert_null(box_json_parse("", 0));
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		uint32_t nanoseconds;
	} times[] = {
		{"1970-01-01T00:00:01Z", 1, 0},
		{"1969-12-31T23:59:59Z", -1, 0},
		{"2012-12-12T10:53:43.123456789123-08:00", 1355338423, 123456789},
		{"2012-12-12T10:53:43+05:30", 1355289823, 0},
		{"2020-02-29T00:00:00", 1582934400, 0},
		{"2020-13-01T00:00:00Z", 0, 0},
		{"2020-02-29", 0, 0},
		{"2020-02-29T00:00:", 0, 0},
		{"2020-02-29T00:00:00+", 0, 0},
		{"2020-02-29T00:00:00+01", 0, 0},
		{"02020-02-29T00:00:00Z", 0, 0},
		{"-020-02-29T00:00:00Z", 0, 0},
		{"", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		json_t *json = json_pack("{s:s}", "t", times[i].text);
		struct dw_time time = box_json_time(json, "t");

		assert_int_equal(time.seconds, times[i].seconds);
		assert_int_equal(time.nanoseconds, times[i].nanoseconds);
		json_decref(json);
	}
}

static void test_content(void **state)
{
	char version[BOX_NUMBER_MAX];
	uint8_t digest[20];
	bool hashed;

	(void)state;
	assert_true(box_content_parse("77-85136C79CBF9FE36BB9D05D0639C70C265C18D37", version, digest, &hashed));
	assert_string_equal(version, "77");
	assert_true(hashed);
	assert_true(box_content_parse("77", version, digest, &hashed));
	assert_false(hashed);
	assert_false(box_content_parse("", version, digest, &hashed));
	assert_false(box_content_parse("a/../b", version, digest, &hashed));
	assert_false(box_content_parse("7&x=y-85136C79CBF9FE36BB9D05D0639C70C265C18D37", version, digest, &hashed));
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Whatever comes, what is said of an item holds together. */
static void test_mutations(void **state)
{
	static const char pieces[] = "{}[]\":,\\u0-9eE.\x80\xff\x00\xd8"
				     "dfn";
	uint64_t seed = 88172645463325252ull;
	unsigned good = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		char *text = malloc(sizeof(whole));
		size_t size = sizeof(whole) - 1;
		struct box_item item;
		json_t *json;

		memcpy(text, whole, sizeof(whole));
		for (uint64_t changes = next(&seed) % 5 + 1; changes; changes--)
			text[next(&seed) % size] = pieces[next(&seed) % (sizeof(pieces) - 1)];
		if (next(&seed) % 8 == 0)
			size = next(&seed) % size;
		json = box_json_parse(text, size);
		free(text);
		if (json && box_item_read(&item, json, NULL, NULL) == 0) {
			good++;
			assert_true(box_id_type(item.item.id) == item.item.type);
			assert_true(item.item.parent[0] == 0 || box_id_type(item.item.parent) != 0);
			assert_true(item.item.property_count <= BOX_PROPERTIES_MAX);
			assert_true(item.item.digest_length == 0 || item.item.digest_length == 20);
			assert_true(item.item.modified.nanoseconds < 1000000000);
		}
		json_decref(json);
	}
	assert_true(good > ROUNDS / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole), cmocka_unit_test(test_refused), cmocka_unit_test(test_mended),
		cmocka_unit_test(test_times), cmocka_unit_test(test_content), cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
