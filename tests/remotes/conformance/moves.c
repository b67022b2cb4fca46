/* SPDX-License-Identifier: MIT */
/* moves.c - mkdir, move, copy, remove */
#include "suite.h"

#include <errno.h>
#include <string.h>

static void gone(struct suite *suite, const char *id)
{
	int err = do_stat(suite, id, NULL);

	EXPECT(err == DW_REMOTE_TRASHED || err == -ENOENT);
}

static void folder_is_made(struct suite *suite)
{
	struct item folder;
	struct item inner;
	struct item now;

	NEED_OK(do_mkdir(suite, suite->folder, "folder", &folder));
	EXPECT(folder.type == DW_REMOTE_FOLDER && strcmp(folder.name, "folder") == 0);
	NEED_OK(do_mkdir(suite, folder.id, "inner", &inner));
	EXPECT(inner.parent[0] == '\0' || strcmp(inner.parent, folder.id) == 0);
	NEED_OK(do_stat(suite, inner.id, &now));
	EXPECT(now.type == DW_REMOTE_FOLDER);
	(void)make_file(suite, "file", 1, 1);
	EXPECT_RESULT(do_mkdir(suite, suite->folder, "folder", NULL), -EEXIST);
	EXPECT_RESULT(do_mkdir(suite, suite->folder, "file", NULL), -EEXIST);
	EXPECT_RESULT(do_mkdir(suite, "no-such-id", "folder", NULL), -ENOENT);
	NEED_OK(do_remove(suite, &inner, NULL, false));
	EXPECT_RESULT(do_mkdir(suite, inner.id, "folder", NULL), -ENOENT);
}

static void file_is_renamed(struct suite *suite)
{
	struct item file = make_file(suite, "file", 1000, 1);
	struct item_list list;
	struct item now;

	NEED_OK(do_move(suite, &file, file.etag, suite->folder, "renamed", &now));
	EXPECT(strcmp(now.id, file.id) == 0 && strcmp(now.name, "renamed") == 0);
	EXPECT(file.etag[0] == '\0' || strcmp(now.etag, file.etag) != 0);
	EXPECT(strcmp(now.content, file.content) == 0);
	EXPECT(now.modified.seconds == file.modified.seconds);
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 1 && strcmp(list.items[0].name, "renamed") == 0);
	item_list_clear(&list);
	EXPECT_FILE(suite, &now, 1000, 1);
	/* To where it is. */
	NEED_OK(do_move(suite, &now, NULL, suite->folder, "renamed", &now));
	EXPECT(strcmp(now.id, file.id) == 0);
}

static void file_is_moved(struct suite *suite)
{
	struct item file = make_file(suite, "file", 1000, 1);
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item_list list;
	struct item now;

	NEED_OK(do_move(suite, &file, file.etag, folder.id, "file", &now));
	EXPECT(strcmp(now.id, file.id) == 0);
	NEED_OK(do_move(suite, &now, now.etag, suite->folder, "other", &now));
	NEED_OK(do_move(suite, &now, now.etag, folder.id, "third", &now));
	NEED_OK(do_stat(suite, file.id, &now));
	EXPECT(strcmp(now.name, "third") == 0 && (now.parent[0] == '\0' || strcmp(now.parent, folder.id) == 0));
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 1);
	item_list_clear(&list);
	EXPECT_FILE(suite, &now, 1000, 1);
}

static void folder_is_moved_whole(struct suite *suite)
{
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item inner = make_folder(suite, folder.id, "inner");
	struct item other = make_folder(suite, suite->folder, "other");
	struct pattern pattern;
	struct item_list list;
	struct item file;
	struct item now;

	pattern_begin(suite, &pattern, 1000, 1);
	NEED_OK(do_upload(suite, inner.id, "file", &pattern, &file));
	NEED_OK(do_move(suite, &folder, NULL, other.id, "moved", &now));
	EXPECT(strcmp(now.id, folder.id) == 0);
	NEED_OK(do_stat(suite, file.id, &now));
	EXPECT(strcmp(now.name, "file") == 0);
	EXPECT_FILE(suite, &now, 1000, 1);
	NEED_OK(do_list(suite, folder.id, &list));
	EXPECT(list.count == 1 && strcmp(list.items[0].id, inner.id) == 0);
	item_list_clear(&list);
	EXPECT_RESULT(do_move(suite, &folder, NULL, folder.id, "self", NULL), -ELOOP);
	EXPECT_RESULT(do_move(suite, &folder, NULL, inner.id, "below", NULL), -ELOOP);
	NEED_OK(do_stat(suite, inner.id, &now));
}

static void move_is_refused(struct suite *suite)
{
	struct item one = make_file(suite, "one", 10, 1);
	struct item two = make_file(suite, "two", 20, 2);
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item now;
	int err;

	EXPECT_RESULT(do_move(suite, &one, NULL, suite->folder, "two", NULL), -EEXIST);
	EXPECT_RESULT(do_move(suite, &one, NULL, suite->folder, "folder", NULL), -EEXIST);
	EXPECT_RESULT(do_move(suite, &one, NULL, "no-such-id", "name", NULL), -ENOENT);
	err = do_move(suite, &one, NULL, two.id, "name", NULL);
	EXPECT(err == -ENOTDIR || err == -ENOENT);
	if (one.etag[0] != '\0') {
		NEED_OK(do_move(suite, &one, one.etag, folder.id, "one", &now));
		EXPECT_RESULT(do_move(suite, &one, one.etag, suite->folder, "back", NULL), DW_REMOTE_CHANGED);
		NEED_OK(do_stat(suite, one.id, &now));
		EXPECT(strcmp(now.name, "one") == 0);
	}
	NEED_OK(do_remove(suite, &two, NULL, false));
	EXPECT_RESULT(do_move(suite, &two, NULL, suite->folder, "name", NULL), -ENOENT);
	EXPECT_RESULT(do_move(suite, &one, NULL, two.id, "name", NULL), -ENOENT);
}

static void file_is_removed(struct suite *suite)
{
	struct item file = make_file(suite, "file", 10, 1);
	struct item_list list;
	struct item again;
	struct pattern pattern;

	if (file.etag[0] != '\0') {
		pattern_begin(suite, &pattern, 20, 2);
		NEED_OK(do_replace(suite, file.id, NULL, &pattern, &again));
		EXPECT_RESULT(do_remove(suite, &file, file.etag, false), DW_REMOTE_CHANGED);
		NEED_OK(do_stat(suite, file.id, &file));
	}
	NEED_OK(do_remove(suite, &file, file.etag, false));
	gone(suite, file.id);
	EXPECT_RESULT(do_remove(suite, &file, NULL, false), -ENOENT);
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 0);
	item_list_clear(&list);
	/* Its name is free, and what takes it is another item. */
	again = make_file(suite, "file", 30, 3);
	EXPECT(strcmp(again.id, file.id) != 0);
	gone(suite, file.id);
}

static void folder_is_removed(struct suite *suite)
{
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item inner = make_folder(suite, folder.id, "inner");
	struct item file;
	struct pattern pattern;
	struct item now;

	pattern_begin(suite, &pattern, 10, 1);
	NEED_OK(do_upload(suite, inner.id, "file", &pattern, &file));
	EXPECT_RESULT(do_remove(suite, &folder, NULL, false), -ENOTEMPTY);
	EXPECT_RESULT(do_remove(suite, &inner, NULL, false), -ENOTEMPTY);
	NEED_OK(do_stat(suite, file.id, &now));
	NEED_OK(do_remove(suite, &folder, NULL, true));
	gone(suite, folder.id);
	gone(suite, inner.id);
	gone(suite, file.id);
	EXPECT_RESULT(do_read(suite, file.id, NULL, 0, 1, 10, 1), -ENOENT);
	folder = make_folder(suite, suite->folder, "folder");
	NEED_OK(do_remove(suite, &folder, folder.etag, false));
	gone(suite, folder.id);
}

static void file_is_copied(struct suite *suite)
{
	struct item file = make_file(suite, "file", 100000, 1);
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct pattern pattern;
	struct item copy;
	struct item now;

	NEED_OK(do_copy(suite, &file, folder.id, "copy", &copy));
	EXPECT(strcmp(copy.id, file.id) != 0 && strcmp(copy.name, "copy") == 0 && copy.bytes == 100000);
	EXPECT_FILE(suite, &copy, 100000, 1);
	pattern_begin(suite, &pattern, 10, 2);
	NEED_OK(do_replace(suite, file.id, NULL, &pattern, &now));
	EXPECT_FILE(suite, &copy, 100000, 1);
	NEED_OK(do_copy(suite, &now, suite->folder, "beside", &copy));
	EXPECT_FILE(suite, &copy, 10, 2);
	EXPECT_RESULT(do_copy(suite, &now, suite->folder, "file", NULL), -EEXIST);
	NEED_OK(do_remove(suite, &now, NULL, false));
	EXPECT_RESULT(do_copy(suite, &now, suite->folder, "new", NULL), -ENOENT);
}

static void folder_is_copied(struct suite *suite)
{
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item inner = make_folder(suite, folder.id, "inner");
	struct pattern pattern;
	struct item_list list;
	struct item file;
	struct item copy;

	pattern_begin(suite, &pattern, 1000, 1);
	NEED_OK(do_upload(suite, inner.id, "file", &pattern, &file));
	NEED_OK(do_copy(suite, &folder, suite->folder, "copy", &copy));
	EXPECT(copy.type == DW_REMOTE_FOLDER && strcmp(copy.id, folder.id) != 0);
	NEED_OK(do_list(suite, copy.id, &list));
	NEED(list.count == 1);
	EXPECT(strcmp(list.items[0].name, "inner") == 0 && strcmp(list.items[0].id, inner.id) != 0);
	inner = list.items[0];
	item_list_clear(&list);
	NEED_OK(do_list(suite, inner.id, &list));
	NEED(list.count == 1);
	EXPECT(strcmp(list.items[0].name, "file") == 0 && strcmp(list.items[0].id, file.id) != 0);
	EXPECT_FILE(suite, &list.items[0], 1000, 1);
	item_list_clear(&list);
	EXPECT_RESULT(do_copy(suite, &folder, inner.id, "ok elsewhere", NULL), 0);
	EXPECT_RESULT(do_copy(suite, &folder, folder.id, "self", NULL), -ELOOP);
}

const struct suite_case move_cases[] = {
	{"move_folder_is_made", folder_is_made, NEEDS_WRITE},
	{"move_file_is_renamed", file_is_renamed, NEEDS_WRITE},
	{"move_file_is_moved", file_is_moved, NEEDS_WRITE},
	{"move_folder_is_moved_whole", folder_is_moved_whole, NEEDS_WRITE},
	{"move_is_refused", move_is_refused, NEEDS_WRITE},
	{"move_file_is_removed", file_is_removed, NEEDS_WRITE},
	{"move_folder_is_removed", folder_is_removed, NEEDS_WRITE},
	{"move_file_is_copied", file_is_copied, NEEDS_WRITE | NEEDS_COPY},
	{"move_folder_is_copied", folder_is_copied, NEEDS_WRITE | NEEDS_COPY},
	{NULL, NULL, 0},
};
