/* SPDX-License-Identifier: MIT */
/* properties.c - set_properties */
#include "suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int set(struct suite *suite, const struct item *item, const struct dw_remote_property *list, size_t count)
{
	struct dw_remote_call call;
	int err;

	do {
		call = call_new();
		err = suite->ops->set_properties(suite->remote, &call, item->id, item->type, list, count);
	} while (call_again(&call, err));
	return err;
}

static int set_one(struct suite *suite, const struct item *item, const char *key, const char *value)
{
	struct dw_remote_property property = {key, value};

	return set(suite, item, &property, 1);
}

static bool property_is(const struct item *item, const char *key, const char *value)
{
	const char *now = item_property(item, key);

	return value == NULL ? now == NULL : now != NULL && strcmp(now, value) == 0;
}

static void are_set_and_removed(struct suite *suite)
{
	struct dw_remote_property both[] = {{"one", "1"}, {"two", "zw\xc3\xb6lf \xf0\x9f\x98\x80 \"\\\n"}};
	struct dw_remote_property change[] = {{"one", NULL}, {"three.of-it_all", ""}, {"none", NULL}};
	struct item items[2] = {make_file(suite, "file", 10, 1), make_folder(suite, suite->folder, "folder")};

	for (size_t i = 0; i < 2; i++) {
		struct item now;

		NEED_OK(set(suite, &items[i], both, 2));
		NEED_OK(do_stat(suite, items[i].id, &now));
		EXPECT(now.properties_known && now.property_count == 2);
		EXPECT(property_is(&now, "one", "1") && property_is(&now, "two", both[1].value));
		/* The etag of before is still the one to name in a conditional call. */
		EXPECT(strcmp(now.etag, items[i].etag) == 0);
		NEED_OK(set(suite, &items[i], change, 3));
		NEED_OK(do_stat(suite, items[i].id, &now));
		EXPECT(now.property_count == 2 && property_is(&now, "one", NULL));
		EXPECT(property_is(&now, "two", both[1].value) && property_is(&now, "three.of-it_all", ""));
		NEED_OK(set_one(suite, &items[i], "two", "other"));
		NEED_OK(do_stat(suite, items[i].id, &now));
		EXPECT(property_is(&now, "two", "other"));
	}
}

static void stay_with_the_item(struct suite *suite)
{
	struct item file = make_file(suite, "file", 10, 1);
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct pattern pattern;
	struct item_list list;
	struct item now;

	NEED_OK(set_one(suite, &file, "mode", "644"));
	NEED_OK(do_move(suite, &file, file.etag, folder.id, "moved", &now));
	pattern_begin(suite, &pattern, 20, 2);
	NEED_OK(do_replace(suite, file.id, now.etag, &pattern, &now));
	suite_reopen(suite);
	NEED_OK(do_stat(suite, file.id, &now));
	EXPECT(property_is(&now, "mode", "644"));
	/* A list either does not know them, or knows all of them. */
	NEED_OK(do_list(suite, folder.id, &list));
	NEED(list.count == 1);
	EXPECT(!list.items[0].properties_known || property_is(&list.items[0], "mode", "644"));
	item_list_clear(&list);
}

static void of_nothing(struct suite *suite)
{
	struct item file = make_file(suite, "file", 10, 1);

	NEED_OK(do_remove(suite, &file, NULL, false));
	EXPECT_RESULT(set_one(suite, &file, "key", "value"), -ENOENT);
}

static void that_are_too_large(struct suite *suite)
{
	struct item file = make_file(suite, "file", 10, 1);
	size_t size = 16u << 20;
	char *value = malloc(size + 1);
	struct item now;
	int err;

	NEED(value != NULL);
	memset(value, 'v', size);
	value[size] = '\0';
	NEED_OK(set_one(suite, &file, "small", "1"));
	err = set_one(suite, &file, "large", value);
	EXPECT(err == 0 || err == -E2BIG);
	NEED_OK(do_stat(suite, file.id, &now));
	EXPECT(property_is(&now, "small", "1"));
	EXPECT((now.property_count == 2) == (err == 0));
	free(value);
}

static void has_usual_size(struct suite *suite)
{
	struct item file = make_file(suite, "file", 10, 1);
	struct dw_remote_property list[6];
	char keys[6][64];
	char value[301];
	struct item now;

	memset(value, 'v', 300);
	value[300] = '\0';
	for (size_t i = 0; i < 6; i++) {
		snprintf(keys[i], sizeof(keys[i]), "driveway.key-%zu", i);
		list[i] = (struct dw_remote_property){keys[i], value};
	}
	NEED_OK(set(suite, &file, list, 6));
	NEED_OK(do_stat(suite, file.id, &now));
	EXPECT(now.property_count == 6);
	for (size_t i = 0; i < 6; i++)
		EXPECT(property_is(&now, keys[i], value));
}

#define NEEDS (NEEDS_WRITE | NEEDS_PROPERTIES)
const struct suite_case property_cases[] = {
	{"properties_are_set_and_removed", are_set_and_removed, NEEDS},
	{"properties_stay_with_the_item", stay_with_the_item, NEEDS},
	{"properties_of_nothing", of_nothing, NEEDS},
	{"properties_that_are_too_large", that_are_too_large, NEEDS},
	{"properties_have_usual_size", has_usual_size, NEEDS},
	{NULL, NULL, 0},
};
