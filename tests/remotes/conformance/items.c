/* SPDX-License-Identifier: MIT */
/* items.c - stat and list */
#include "suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void same_item(const struct item *one, const struct item *other)
{
	EXPECT(one->type == other->type && one->bytes == other->bytes);
	EXPECT(strcmp(one->id, other->id) == 0);
	EXPECT(strcmp(one->name, other->name) == 0);
	EXPECT(strcmp(one->etag, other->etag) == 0);
	EXPECT(strcmp(one->content, other->content) == 0);
	EXPECT(one->modified.seconds == other->modified.seconds);
}

static void stat_tells_what_upload_made(struct suite *suite)
{
	struct item made = make_file(suite, "file", 1000, 3);
	struct item item;
	struct pattern pattern;

	NEED_OK(do_stat(suite, made.id, &item));
	same_item(&made, &item);
	EXPECT(item.type == DW_REMOTE_FILE && item.bytes == 1000);
	EXPECT(strcmp(item.name, "file") == 0);
	EXPECT(item.parent[0] == '\0' || strcmp(item.parent, suite->folder) == 0);
	EXPECT(item.properties_known && item.property_count == 0);
	EXPECT((item.rights & DW_REMOTE_MAY_WRITE) != 0);
	EXPECT(item.modified.seconds == 1700000003);
	pattern_begin(suite, &pattern, 1000, 3);
	if (item.digest_length > 0)
		EXPECT(memcmp(item.digest, pattern.digest, item.digest_length) == 0);
}

static void stat_of_nothing(struct suite *suite)
{
	struct item item = make_file(suite, "file", 1, 1);
	int err;

	NEED_OK(do_remove(suite, &item, NULL, false));
	err = do_stat(suite, item.id, NULL);
	EXPECT(err == DW_REMOTE_TRASHED || err == -ENOENT);
	EXPECT_RESULT(do_stat(suite, "no-such-id", NULL), -ENOENT);
}

static void callback_ends_stat(struct suite *suite)
{
	struct item item = make_file(suite, "file", 1, 1);
	struct collector collector = collector_new();
	struct dw_remote_call call = call_new();

	collector.stop_after = 1;
	collector.stop_with = -ECONNRESET;
	EXPECT_RESULT(suite->ops->stat(suite->remote, &call, item.id, &collector.items), -ECONNRESET);
	collector_clear(&collector);
}

static void list_of_an_empty_folder(struct suite *suite)
{
	struct item_list list;

	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 0);
	item_list_clear(&list);
}

static void list_tells_what_stat_tells(struct suite *suite)
{
	struct item file = make_file(suite, "file", 12345, 1);
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item_list list;

	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 2);
	NEED(item_find(&list, "file") != NULL && item_find(&list, "folder") != NULL);
	same_item(item_find(&list, "file"), &file);
	EXPECT(item_find(&list, "folder")->type == DW_REMOTE_FOLDER);
	EXPECT(strcmp(item_find(&list, "folder")->id, folder.id) == 0);
	item_list_clear(&list);
}

static void make_many(struct suite *suite)
{
	for (unsigned i = 0; i < suite->many; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file %02u", i);
		(void)make_file(suite, name, i, i);
	}
}

static void list_of_many(struct suite *suite)
{
	struct item_list list;

	make_many(suite);
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == suite->many);
	for (unsigned i = 0; i < suite->many; i++) {
		char name[32];
		const struct item *item;

		snprintf(name, sizeof(name), "file %02u", i);
		item = item_find(&list, name);
		EXPECT(item != NULL && item->bytes == i);
	}
	item_list_clear(&list);
}

/* Between two pages what was told goes away, what was not told gets another name, and new things come. */
static void list_under_changes(struct suite *suite)
{
	struct collector collector = collector_new();
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	struct item_list before;
	unsigned page = 0;
	int err;

	make_many(suite);
	NEED_OK(do_list(suite, suite->folder, &before));
	do {
		struct dw_remote_call call = call_new();

		err = suite->ops->list(suite->remote, &call, suite->folder, cursor, &collector.items);
		if (call_again(&call, err))
			continue;
		NEED_OK(err);
		if (page == 0) {
			struct item told = collector.list.items[0];
			struct item untold = {0};

			NEED_OK(do_remove(suite, &told, NULL, false));
			(void)make_file(suite, "a new one", 1, 1);
			for (size_t i = 0; i < before.count && untold.id[0] == '\0'; i++)
				if (item_find(&collector.list, before.items[i].name) == NULL)
					untold = before.items[i];
			if (untold.id[0] != '\0')
				NEED_OK(do_move(suite, &untold, NULL, suite->folder, "0 renamed", &untold));
		}
		page++;
	} while (cursor[0] != '\0' && page < 1000);
	EXPECT(page < 1000);
	for (size_t i = 0; i < before.count; i++) {
		bool found = false;

		for (size_t j = 0; j < collector.list.count; j++)
			found = found || strcmp(collector.list.items[j].id, before.items[i].id) == 0;
		EXPECT(found);
	}
	item_list_clear(&before);
	collector_clear(&collector);
}

static void list_of_no_folder(struct suite *suite)
{
	struct item file = make_file(suite, "file", 1, 1);
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item_list list;
	int err = do_list(suite, file.id, &list);

	/* A service with ids of their own for folders does not know this one. */
	EXPECT(err == -ENOTDIR || err == -ENOENT);
	NEED_OK(do_remove(suite, &folder, NULL, false));
	EXPECT_RESULT(do_list(suite, folder.id, &list), -ENOENT);
	EXPECT_RESULT(do_list(suite, "no-such-id", &list), -ENOENT);
}

static void callback_ends_list(struct suite *suite)
{
	struct collector collector = collector_new();
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	struct dw_remote_call call = call_new();

	(void)make_file(suite, "one", 1, 1);
	(void)make_file(suite, "two", 1, 1);
	collector.stop_after = 1;
	collector.stop_with = -ECONNRESET;
	EXPECT_RESULT(suite->ops->list(suite->remote, &call, suite->folder, cursor, &collector.items), -ECONNRESET);
	EXPECT(collector.list.count == 1);
	collector_clear(&collector);
}

static void list_from_nowhere(struct suite *suite)
{
	static const char *const wrong[] = {"nonsense", "\x01\xff", "1:2:3:4", "-1"};
	struct collector collector = collector_new();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
		struct dw_remote_call call = call_new();

		snprintf(cursor, sizeof(cursor), "%s", wrong[i]);
		EXPECT_RESULT(suite->ops->list(suite->remote, &call, suite->folder, cursor, &collector.items),
			      DW_REMOTE_EXPIRED);
	}
	collector_clear(&collector);
}

static void ended_before_it_began(struct suite *suite)
{
	struct collector collector = collector_new();
	struct dw_remote_call call = call_new();
	uint32_t cancelled = 1;

	call.cancelled = &cancelled;
	EXPECT_RESULT(suite->ops->stat(suite->remote, &call, suite->remote->root, &collector.items), -ECANCELED);
	call = call_new();
	call.deadline = now_monotonic() - 1;
	EXPECT_RESULT(suite->ops->stat(suite->remote, &call, suite->remote->root, &collector.items), -ETIMEDOUT);
	EXPECT(collector.list.count == 0);
	collector_clear(&collector);
}

const struct suite_case item_cases[] = {
	{"items_stat_tells_what_upload_made", stat_tells_what_upload_made, NEEDS_WRITE},
	{"items_stat_of_nothing", stat_of_nothing, NEEDS_WRITE},
	{"items_callback_ends_stat", callback_ends_stat, NEEDS_WRITE},
	{"items_list_of_an_empty_folder", list_of_an_empty_folder, NEEDS_WRITE},
	{"items_list_tells_what_stat_tells", list_tells_what_stat_tells, NEEDS_WRITE},
	{"items_list_of_many", list_of_many, NEEDS_WRITE},
	{"items_list_under_changes", list_under_changes, NEEDS_WRITE},
	{"items_list_of_no_folder", list_of_no_folder, NEEDS_WRITE},
	{"items_callback_ends_list", callback_ends_list, NEEDS_WRITE},
	{"items_list_from_nowhere", list_from_nowhere, NEEDS_WRITE},
	{"items_ended_before_it_began", ended_before_it_began, 0},
	{NULL, NULL, 0},
};
