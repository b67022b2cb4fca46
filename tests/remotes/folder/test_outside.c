/* SPDX-License-Identifier: MIT */
/* test_outside.c - what other programs do in the folder */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_edit_in_place(void **state)
{
	struct fixture f;
	struct item before;
	struct item now;

	fixture_open(&f, NULL);
	outside_write(&f, "file", "one");
	before = item_named(&f, "file");
	assert_int_equal(before.digest_length, 20);
	outside_write(&f, "file", "two");
	assert_int_equal(do_stat(&f.suite, before.id, &now), 0);
	assert_string_not_equal(now.etag, before.etag);
	assert_string_not_equal(now.content, before.content);
	assert_true(text_is(&f, before.id, now.content, "two"));
	assert_false(text_is(&f, before.id, before.content, "one"));
	/* Seen in a list first. */
	outside_write(&f, "file", "three");
	before = now;
	now = item_named(&f, "file");
	assert_string_equal(now.id, before.id);
	assert_string_not_equal(now.etag, before.etag);
	/* Touched only: the bytes, and so their name, are the same. */
	before = now;
	assert_int_equal(utimensat(f.dir, "file", NULL, 0), 0);
	assert_int_equal(fchmodat(f.dir, "file", 0600, 0), 0);
	assert_int_equal(do_stat(&f.suite, before.id, &now), 0);
	assert_string_equal(now.content, before.content);
	/* The mode is nothing that is shown. */
	before = now;
	assert_int_equal(fchmodat(f.dir, "file", 0644, 0), 0);
	assert_int_equal(do_stat(&f.suite, before.id, &now), 0);
	assert_string_equal(now.etag, before.etag);
	fixture_close(&f);
}

static void test_edit_by_replacing(void **state)
{
	struct fixture f;
	struct item before;
	struct item now;

	fixture_open(&f, NULL);
	outside_write(&f, "file", "one");
	before = item_named(&f, "file");
	outside_write(&f, "file.tmp", "two");
	outside_move(&f, "file.tmp", "file");
	assert_int_equal(do_stat(&f.suite, before.id, &now), 0);
	assert_string_equal(now.name, "file");
	assert_string_not_equal(now.etag, before.etag);
	assert_true(text_is(&f, before.id, NULL, "two"));
	fixture_close(&f);
}

static void test_edit_makes_conditional_calls_fail(void **state)
{
	struct fixture f;
	struct pattern pattern;
	struct item file;

	fixture_open(&f, NULL);
	file = make_file(&f.suite, "file", 1000, 1);
	outside_write(&f, "file", "edited");
	pattern_begin(&f.suite, &pattern, 10, 2);
	assert_int_equal(do_replace(&f.suite, file.id, file.etag, &pattern, NULL), DW_REMOTE_CHANGED);
	assert_int_equal(do_move(&f.suite, &file, file.etag, f.suite.folder, "moved", NULL), DW_REMOTE_CHANGED);
	assert_int_equal(do_remove(&f.suite, &file, file.etag, false), DW_REMOTE_CHANGED);
	assert_true(text_is(&f, file.id, NULL, "edited"));
	fixture_close(&f);
}

static void test_ids_survive_moves(void **state)
{
	struct fixture f;
	struct item file;
	struct item folder;
	struct item inner;
	struct item now;
	struct pattern pattern;

	fixture_open(&f, NULL);
	file = make_file(&f.suite, "file", 1000, 1);
	folder = make_folder(&f.suite, f.suite.folder, "folder");
	pattern_begin(&f.suite, &pattern, 10, 2);
	assert_int_equal(do_upload(&f.suite, folder.id, "inner", &pattern, &inner), 0);
	/* In its folder. */
	outside_move(&f, "file", "renamed");
	assert_int_equal(do_stat(&f.suite, file.id, &now), 0);
	assert_string_equal(now.name, "renamed");
	assert_string_equal(now.content, file.content);
	assert_string_not_equal(now.etag, file.etag);
	/* Elsewhere, with the folder it stood in. */
	assert_int_equal(mkdirat(f.dir, "new", 0700), 0);
	outside_move(&f, "folder", "new/moved");
	outside_move(&f, "renamed", "new/moved/deep");
	assert_int_equal(do_stat(&f.suite, inner.id, &now), 0);
	assert_string_equal(now.parent, folder.id);
	assert_string_equal(now.name, "inner");
	assert_int_equal(do_stat(&f.suite, file.id, &now), 0);
	assert_string_equal(now.parent, folder.id);
	assert_string_equal(now.name, "deep");
	EXPECT_FILE(&f.suite, &now, 1000, 1);
	/* Two change places. */
	outside_move(&f, "new/moved/deep", "new/moved/third");
	outside_move(&f, "new/moved/inner", "new/moved/deep");
	outside_move(&f, "new/moved/third", "new/moved/inner");
	assert_int_equal(do_stat(&f.suite, file.id, &now), 0);
	assert_string_equal(now.name, "inner");
	assert_int_equal(do_stat(&f.suite, inner.id, &now), 0);
	assert_string_equal(now.name, "deep");
	fixture_close(&f);
}

static void test_removed_and_made_again(void **state)
{
	struct fixture f;
	struct item before;
	struct item now;

	fixture_open(&f, NULL);
	outside_write(&f, "file", "one");
	before = item_named(&f, "file");
	outside_remove(&f, "file");
	assert_int_equal(do_stat(&f.suite, before.id, NULL), -ENOENT);
	assert_int_equal(do_stat(&f.suite, before.id, NULL), -ENOENT);
	outside_write(&f, "file", "two");
	now = item_named(&f, "file");
	assert_string_not_equal(now.id, before.id);
	/* A folder in the place of a file. */
	outside_remove(&f, "file");
	assert_int_equal(mkdirat(f.dir, "file", 0700), 0);
	before = now;
	now = item_named(&f, "file");
	assert_int_equal(now.type, DW_REMOTE_FOLDER);
	assert_string_not_equal(now.id, before.id);
	fixture_close(&f);
}

static void test_taken_out_of_the_trash(void **state)
{
	struct fixture f;
	struct pattern pattern;
	struct item folder;
	struct item inner;
	struct item now;
	char trashed[64];

	fixture_open(&f, NULL);
	folder = make_folder(&f.suite, f.suite.folder, "folder");
	pattern_begin(&f.suite, &pattern, 10, 2);
	assert_int_equal(do_upload(&f.suite, folder.id, "inner", &pattern, &inner), 0);
	assert_int_equal(do_remove(&f.suite, &folder, NULL, true), 0);
	assert_int_equal(do_stat(&f.suite, inner.id, NULL), DW_REMOTE_TRASHED);
	snprintf(trashed, sizeof(trashed), ".driveway-folder/trash/%.20s", folder.id);
	outside_move(&f, trashed, "back");
	now = item_named(&f, "back");
	assert_string_equal(now.id, folder.id);
	assert_int_equal(do_stat(&f.suite, inner.id, &now), 0);
	EXPECT_FILE(&f.suite, &now, 10, 2);
	fixture_close(&f);
}

static void test_nothing_outside_is_reached(void **state)
{
	struct fixture f;
	struct item_list list;
	struct pattern pattern;
	struct item folder;
	struct item inner;
	char secret[128];

	fixture_open(&f, NULL);
	snprintf(secret, sizeof(secret), "%s/secret", f.room);
	assert_int_equal(mkdir(secret, 0700), 0);
	folder = make_folder(&f.suite, f.suite.folder, "folder");
	pattern_begin(&f.suite, &pattern, 10, 2);
	assert_int_equal(do_upload(&f.suite, folder.id, "inner", &pattern, &inner), 0);
	/* The folder is a link to another one with the same names. */
	outside_move(&f, "folder/inner", "inner");
	assert_int_equal(unlinkat(f.dir, "folder", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("../secret", f.dir, "folder"), 0);
	outside_move(&f, "inner", "folder/inner");
	assert_int_equal(do_list(&f.suite, folder.id, &list), -ENOENT);
	assert_int_equal(do_stat(&f.suite, inner.id, NULL), -ENOENT);
	assert_int_equal(do_upload(&f.suite, folder.id, "new", &pattern, NULL), -ENOENT);
	assert_int_equal(item_named(&f, "folder").type, DW_REMOTE_OTHER);
	/* A link in the place of a file. */
	inner = make_file(&f.suite, "file", 10, 1);
	outside_remove(&f, "file");
	assert_int_equal(symlinkat("/etc/passwd", f.dir, "file"), 0);
	assert_int_equal(do_read(&f.suite, inner.id, NULL, 0, 10, 10, 1), -ENOENT);
	assert_int_equal(item_named(&f, "file").type, DW_REMOTE_OTHER);
	/* Nothing waits for the other end of a pipe. */
	outside_remove(&f, "file");
	assert_int_equal(mkfifoat(f.dir, "file", 0600), 0);
	assert_int_equal(item_named(&f, "file").type, DW_REMOTE_OTHER);
	fixture_close(&f);
}

static void test_side_folder_is_hidden(void **state)
{
	struct fixture f;
	struct item_list list;
	struct item file;

	fixture_open(&f, NULL);
	assert_int_equal(do_list(&f.suite, f.suite.folder, &list), 0);
	assert_int_equal(list.count, 0);
	item_list_clear(&list);
	file = make_file(&f.suite, "file", 10, 1);
	assert_int_equal(do_mkdir(&f.suite, f.suite.folder, ".driveway-folder", NULL), -EINVAL);
	assert_int_equal(do_move(&f.suite, &file, NULL, f.suite.folder, ".driveway-folder", NULL), -EINVAL);
	fixture_close(&f);
}

static void test_planted_side_folder(void **state)
{
	struct fixture f;
	struct dw_remote *remote = NULL;
	char error[256] = "";

	fixture_open(&f, NULL);
	f.suite.ops->close(f.suite.remote);
	f.suite.remote = NULL;
	outside_move(&f, ".driveway-folder", "moved");
	assert_int_equal(symlinkat("moved", f.dir, ".driveway-folder"), 0);
	assert_true(f.suite.provider->open(f.suite.provider, &f.suite.source, &remote, error, sizeof(error)) < 0);
	assert_true(error[0] != '\0');
	outside_remove(&f, ".driveway-folder");
	assert_int_equal(mkdirat(f.dir, ".driveway-folder", 0700), 0);
	assert_int_equal(fchmodat(f.dir, ".driveway-folder", 0777, 0), 0);
	assert_int_equal(f.suite.provider->open(f.suite.provider, &f.suite.source, &remote, error, sizeof(error)),
			 -EPERM);
	fixture_close(&f);
}

static void test_large_files_are_not_read_to_be_listed(void **state)
{
	struct fixture f;
	struct item before;
	struct item now;

	fixture_open(&f, "hash-max", "10", NULL);
	outside_write(&f, "small", "0123456789");
	outside_write(&f, "large", "0123456789a");
	assert_int_equal(item_named(&f, "small").digest_length, 20);
	before = item_named(&f, "large");
	assert_int_equal(before.digest_length, 0);
	assert_int_equal(before.content[0], '~');
	assert_true(text_is(&f, before.id, before.content, "0123456789a"));
	outside_write(&f, "large", "0123456789b");
	now = item_named(&f, "large");
	assert_string_not_equal(now.content, before.content);
	/* What was uploaded was read anyway. */
	assert_int_equal(make_file(&f.suite, "mine", 100000, 1).digest_length, 20);
	fixture_close(&f);
}

struct heard {
	struct dw_remote_events events;
	char id[DW_REMOTE_ID_MAX + 1];
	enum dw_remote_event_type type; /* of the last one about id */
};

static int hear(const struct dw_remote_events *events, enum dw_remote_event_type type,
		const struct dw_remote_item *item)
{
	struct heard *heard = events->context;

	if (type != DW_REMOTE_EVENT_LOST && strcmp(item->id, heard->id) == 0)
		heard->type = type;
	return 0;
}

static int listen_once(struct fixture *f, struct heard *heard, char *cursor, uint64_t wait)
{
	struct dw_remote_call call = call_new();

	heard->events = (struct dw_remote_events){hear, heard};
	call.deadline = now_monotonic() + wait;
	return f->suite.ops->changes(f->suite.remote, &call, cursor, &heard->events);
}

static void test_scan_tells_the_feed(void **state)
{
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	struct heard heard = {0};
	struct fixture f;
	struct item file;

	fixture_open(&f, "rescan", "1", NULL);
	outside_write(&f, "file", "one");
	file = item_named(&f, "file");
	snprintf(heard.id, sizeof(heard.id), "%s", file.id);
	assert_int_equal(listen_once(&f, &heard, cursor, SECOND), 0);
	outside_write(&f, "file", "two");
	for (int i = 0; i < 60 && heard.type != DW_REMOTE_EVENT_CHANGED; i++)
		(void)listen_once(&f, &heard, cursor, SECOND / 2);
	assert_int_equal(heard.type, DW_REMOTE_EVENT_CHANGED);
	outside_remove(&f, "file");
	for (int i = 0; i < 60 && heard.type != DW_REMOTE_EVENT_REMOVED; i++)
		(void)listen_once(&f, &heard, cursor, SECOND / 2);
	assert_int_equal(heard.type, DW_REMOTE_EVENT_REMOVED);
	fixture_close(&f);
}

static void test_feed_forgets(void **state)
{
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	struct heard heard = {0};
	struct fixture f;

	fixture_open(&f, "feed", "3", NULL);
	assert_int_equal(listen_once(&f, &heard, cursor, SECOND), 0);
	for (char name[2] = "a"; name[0] <= 'c'; name[0]++)
		(void)make_file(&f.suite, name, 1, 1);
	assert_int_equal(listen_once(&f, &heard, cursor, SECOND), 0);
	for (char name[2] = "d"; name[0] <= 'g'; name[0]++)
		(void)make_file(&f.suite, name, 1, 1);
	assert_int_equal(listen_once(&f, &heard, cursor, SECOND), DW_REMOTE_EXPIRED);
	fixture_close(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edit_in_place),
		cmocka_unit_test(test_edit_by_replacing),
		cmocka_unit_test(test_edit_makes_conditional_calls_fail),
		cmocka_unit_test(test_ids_survive_moves),
		cmocka_unit_test(test_removed_and_made_again),
		cmocka_unit_test(test_taken_out_of_the_trash),
		cmocka_unit_test(test_nothing_outside_is_reached),
		cmocka_unit_test(test_side_folder_is_hidden),
		cmocka_unit_test(test_planted_side_folder),
		cmocka_unit_test(test_large_files_are_not_read_to_be_listed),
		cmocka_unit_test(test_scan_tells_the_feed),
		cmocka_unit_test(test_feed_forgets),
	};

	fixture_plugin(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
