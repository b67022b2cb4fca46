/* SPDX-License-Identifier: MIT */
/* How changes made here reach the server, and what becomes of them when the server changes too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/cache/drive.h"

#define ROOT DW_NODE_ROOT

static void id_of(struct drive *drive, const char *name, char id[128])
{
	assert_int_equal(do_getxattr(drive, node_of(drive, ROOT, name), "user.driveway.remote", id, 128), 0);
}

/* Editors that write a new file and rename it over the old one make a new version of the old one. */
static void test_atomic_save(void **state)
{
	char before[128], after[128];
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.3", NULL);
	put_file(&drive, "document", "one");
	settle(&drive);
	id_of(&drive, "document", before);
	put_file(&drive, "document.tmp", "two");
	assert_int_equal(do_rename(&drive, ROOT, "document.tmp", ROOT, "document", 0), 0);
	settle(&drive);
	id_of(&drive, "document", after);
	assert_string_equal(before, after);
	assert_true(server_is(&drive, "document", "two"));
	assert_int_equal(drive.calls->remove, 0);
	assert_int_equal(drive.calls->move, 0);
	assert_int_equal(drive.calls->upload, 2);
	drive_destroy(&drive);
}

/* And those that move the old one away, write it anew and remove the old one. */
static void test_backup_save(void **state)
{
	char before[128], after[128];
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.3", NULL);
	put_file(&drive, "document", "one");
	settle(&drive);
	id_of(&drive, "document", before);
	assert_int_equal(do_rename(&drive, ROOT, "document", ROOT, "document~", 0), 0);
	put_file(&drive, "document", "two");
	assert_int_equal(do_unlink(&drive, ROOT, "document~"), 0);
	settle(&drive);
	id_of(&drive, "document", after);
	assert_string_equal(before, after);
	assert_true(server_is(&drive, "document", "two"));
	assert_false(server_has(&drive, "document~"));
	assert_int_equal(drive.calls->remove, 0);
	assert_int_equal(drive.calls->upload, 2);
	drive_destroy(&drive);
}

static void test_temporary_name(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.3", NULL);
	put_file(&drive, "download.part", "all of it");
	assert_int_equal(do_rename(&drive, ROOT, "download.part", ROOT, "download", 0), 0);
	settle(&drive);
	assert_true(server_is(&drive, "download", "all of it"));
	assert_int_equal(drive.calls->upload, 1);
	assert_int_equal(drive.calls->move, 0);
	drive_destroy(&drive);
}

static void test_exchange(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "a", "was a");
	put_file(&drive, "b", "was b");
	settle(&drive);
	assert_int_equal(do_rename(&drive, ROOT, "a", ROOT, "b", DW_RENAME_EXCHANGE), 0);
	settle(&drive);
	assert_true(server_is(&drive, "a", "was b"));
	assert_true(server_is(&drive, "b", "was a"));
	assert_int_equal(server_count(&drive), 2);
	assert_int_equal(drive.calls->upload, 2);
	drive_destroy(&drive);
}

/* A file takes the name of the folder that it was in. */
static void test_out_of_removed_folder(void **state)
{
	uint64_t folder, node, handle;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.3", NULL);
	assert_int_equal(do_mkdir(&drive, ROOT, "name", &folder), 0);
	assert_int_equal(do_create(&drive, folder, "file", &node, &handle), 0);
	assert_int_equal(do_write(&drive, node, handle, "text", 0), 4);
	do_close(&drive, node, handle);
	settle(&drive);
	assert_int_equal(do_rename(&drive, folder, "file", ROOT, "other", 0), 0);
	assert_int_equal(do_rmdir(&drive, ROOT, "name"), 0);
	assert_int_equal(do_rename(&drive, ROOT, "other", ROOT, "name", 0), 0);
	settle(&drive);
	assert_true(server_is(&drive, "name", "text"));
	assert_int_equal(server_count(&drive), 1);
	drive_destroy(&drive);
}

/* What was above comes to lie below. */
static void test_upside_down(void **state)
{
	uint64_t upper, lower;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.3", NULL);
	assert_int_equal(do_mkdir(&drive, ROOT, "upper", &upper), 0);
	assert_int_equal(do_mkdir(&drive, upper, "lower", &lower), 0);
	settle(&drive);
	assert_int_equal(do_rename(&drive, upper, "lower", ROOT, "lower", 0), 0);
	assert_int_equal(do_rename(&drive, ROOT, "upper", lower, "upper", 0), 0);
	settle(&drive);
	assert_true(server_has(&drive, "lower/upper"));
	assert_false(server_has(&drive, "upper"));
	drive_destroy(&drive);
}

/* A new folder takes the place of another one, which comes to lie in it under that name. */
static void test_into_its_namesake(void **state)
{
	uint64_t folder, outer, node, handle;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.3", NULL);
	assert_int_equal(do_mkdir(&drive, ROOT, "name", &folder), 0);
	settle(&drive);
	assert_int_equal(do_rename(&drive, ROOT, "name", ROOT, "other", 0), 0);
	assert_int_equal(do_mkdir(&drive, ROOT, "name", &outer), 0);
	assert_int_equal(do_rename(&drive, ROOT, "other", outer, "name", 0), 0);
	assert_int_equal(do_create(&drive, outer, "file", &node, &handle), 0);
	assert_int_equal(do_write(&drive, node, handle, "text", 0), 4);
	do_close(&drive, node, handle);
	settle(&drive);
	assert_true(server_has(&drive, "name/name"));
	assert_true(server_is(&drive, "name/file", "text"));
	assert_int_equal(server_count(&drive), 1);
	drive_destroy(&drive);
}

/* More than is looked at in one go wait for a folder that cannot be made: others pass. */
static void test_refused_folder(void **state)
{
	uint64_t folder, node, handle;
	struct drive drive;
	char name[16];

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	drive_faults(&drive, "mkdir:EACCES:times=0\n");
	assert_int_equal(do_mkdir(&drive, ROOT, "refused", &folder), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(do_create(&drive, folder, name, &node, &handle), 0);
		do_close(&drive, node, handle);
	}
	put_file(&drive, "passes", "text");
	EVENTUALLY(server_is(&drive, "passes", "text"));
	EVENTUALLY(report_has(&drive, "\"failing\":1"));
	assert_int_equal(do_setxattr(&drive, ROOT, "user.driveway.sync", "1"), -EACCES);
	drive_destroy(&drive);
}

/* Who waits learns how it is now, not how it was at the last try; and of what fails still, after one more. */
static void test_wait_tries_again(void **state)
{
	uint64_t folder, node, handle;
	struct drive drive;
	unsigned before;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "old", "text");
	settle(&drive);
	drive_faults(&drive, "upload:EACCES:times=0\nremove:EACCES:times=0\nmkdir:EACCES:times=0\n");
	put_file(&drive, "file", "text");
	assert_int_equal(do_unlink(&drive, ROOT, "old"), 0);
	assert_int_equal(do_mkdir(&drive, ROOT, "folder", &folder), 0);
	assert_int_equal(do_create(&drive, folder, "inner", &node, &handle), 0);
	do_close(&drive, node, handle);
	EVENTUALLY(report_has(&drive, "\"failing\":3"));
	before = drive.calls->upload;
	assert_int_equal(do_setxattr(&drive, node_of(&drive, ROOT, "file"), "user.driveway.sync", "1"), -EACCES);
	assert_int_equal(drive.calls->upload, before + 1);
	drive_faults(&drive, "");
	assert_int_equal(do_setxattr(&drive, node_of(&drive, ROOT, "file"), "user.driveway.sync", "1"), 0);
	assert_true(server_is(&drive, "file", "text"));
	/* What waits for the folder above it, and only that. */
	assert_int_equal(do_setxattr(&drive, node, "user.driveway.sync", "1"), 0);
	assert_true(server_has(&drive, "folder/inner"));
	assert_true(server_has(&drive, "old"));
	settle(&drive);
	assert_false(server_has(&drive, "old"));
	drive_destroy(&drive);
}

/* A try that is under way when somebody begins to wait is not the one that counts. */
static void test_wait_outlives_try(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	drive_faults(&drive, "upload:delay:ms=500\nupload:EACCES\n");
	put_file(&drive, "file", "text");
	EVENTUALLY(drive.calls->upload == 1);
	assert_int_equal(do_setxattr(&drive, ROOT, "user.driveway.sync", "1"), 0);
	assert_true(server_is(&drive, "file", "text"));
	assert_int_equal(drive.calls->upload, 2);
	drive_destroy(&drive);
}

/* --- Both sides ----------------------------------------------------------------------------------------- */

static bool has_copy(struct drive *drive, const char *text)
{
	char command[512];

	snprintf(command, sizeof(command), "grep -qx '%s' '%s/server/'*'conflicted copy'*", text, drive->folder);
	return system(command) == 0;
}

static void test_conflict(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.6", NULL);
	put_file(&drive, "file.txt", "base");
	settle(&drive);
	put_file(&drive, "file.txt", "mine");
	server_write(&drive, "file.txt", "theirs");
	EVENTUALLY(file_is(&drive, "file.txt", "theirs"));
	settle(&drive);
	assert_true(server_is(&drive, "file.txt", "theirs"));
	assert_int_equal(server_count(&drive), 2);
	assert_true(has_copy(&drive, "mine"));
	assert_true(report_has(&drive, "\"original\":\"file.txt\""));
	/* And that is the end of it. */
	usleep(300000);
	settle(&drive);
	assert_int_equal(server_count(&drive), 2);
	assert_int_equal(drive.calls->upload, 3);
	drive_destroy(&drive);
}

static void test_same_name(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.6", NULL);
	assert_int_equal(node_of(&drive, ROOT, "new"), 0);
	put_file(&drive, "new", "mine");
	put_file(&drive, "same", "equal bytes");
	server_write(&drive, "new", "theirs");
	server_write(&drive, "same", "equal bytes");
	EVENTUALLY(file_is(&drive, "new", "theirs"));
	settle(&drive);
	assert_true(server_is(&drive, "new", "theirs"));
	assert_true(has_copy(&drive, "mine"));
	assert_int_equal(server_count(&drive), 3);
	drive_destroy(&drive);
}

static void test_removed_here_changed_there(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.6", NULL);
	put_file(&drive, "file", "base");
	settle(&drive);
	assert_int_equal(do_unlink(&drive, ROOT, "file"), 0);
	server_write(&drive, "file", "changed");
	EVENTUALLY(file_is(&drive, "file", "changed"));
	settle(&drive);
	assert_true(server_is(&drive, "file", "changed"));
	drive_destroy(&drive);
}

static void test_changed_here_removed_there(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.6", NULL);
	put_file(&drive, "file", "base");
	settle(&drive);
	put_file(&drive, "file", "changed");
	server_remove(&drive, "file");
	EVENTUALLY(server_is(&drive, "file", "changed"));
	settle(&drive);
	assert_true(file_is(&drive, "file", "changed"));
	drive_destroy(&drive);
}

/* A file is moved into a folder that was removed on the server: neither is lost here. */
static void test_moved_into_removed_folder(void **state)
{
	uint64_t folder;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.6", NULL);
	assert_int_equal(do_mkdir(&drive, ROOT, "folder", &folder), 0);
	put_file(&drive, "file", "text");
	settle(&drive);
	assert_int_equal(do_rename(&drive, ROOT, "file", folder, "file", 0), 0);
	server_remove(&drive, "folder");
	EVENTUALLY(server_is(&drive, "folder/file", "text"));
	settle(&drive);
	assert_false(server_has(&drive, "file"));
	drive_destroy(&drive);
}

/* Two folders of one name are one, with what is in both. */
static void test_joined_folders(void **state)
{
	uint64_t folder, node, handle;
	struct drive drive;
	char command[512];

	(void)state;
	drive_make(&drive, "settle", "0.6", NULL);
	assert_int_equal(do_mkdir(&drive, ROOT, "folder", &folder), 0);
	assert_int_equal(do_create(&drive, folder, "mine", &node, &handle), 0);
	do_close(&drive, node, handle);
	snprintf(command, sizeof(command), "mkdir '%s/server/folder' && echo >'%s/server/folder/theirs'", drive.folder,
		 drive.folder);
	assert_int_equal(system(command), 0);
	settle(&drive);
	assert_true(server_has(&drive, "folder/mine"));
	EVENTUALLY(node_of(&drive, folder, "theirs") != 0);
	drive_destroy(&drive);
}

static void test_moved_there(void **state)
{
	uint64_t node;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "from", "text");
	settle(&drive);
	node = node_of(&drive, ROOT, "from");
	server_rename(&drive, "from", "to");
	EVENTUALLY(node_of(&drive, ROOT, "to") == node);
	assert_int_equal(node_of(&drive, ROOT, "from"), 0);
	server_remove(&drive, "to");
	EVENTUALLY(node_of(&drive, ROOT, "to") == 0);
	drive_destroy(&drive);
}

static void test_names(void **state)
{
	uint64_t node, handle;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", "case", "fold", "names", "windows", NULL);
	assert_int_equal(do_create(&drive, ROOT, "a:b", &node, &handle), -EINVAL);
	assert_int_equal(do_create(&drive, ROOT, "dot.", &node, &handle), -EINVAL);
	put_file(&drive, "Readme", "text");
	assert_int_equal(do_create(&drive, ROOT, "README", &node, &handle), -EEXIST);
	assert_int_equal(do_rename(&drive, ROOT, "Readme", ROOT, "README", 0), 0);
	settle(&drive);
	assert_true(server_is(&drive, "README", "text"));
	assert_int_equal(do_rename(&drive, ROOT, "README", ROOT, "readme", 0), 0);
	settle(&drive);
	assert_true(server_is(&drive, "readme", "text"));
	assert_int_equal(server_count(&drive), 1);
	drive_destroy(&drive);
}

/* Others change the bytes while we move it, and move it while we change the bytes: both changes stand. */
static void test_moved_and_changed(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "one", "first");
	put_file(&drive, "two", "second");
	settle(&drive);
	assert_true(file_is(&drive, "one", "first"));
	drive_faults(&drive, "changes:EIO:times=0\n");
	usleep(100000);
	server_write(&drive, "one", "theirs");
	server_rename(&drive, "two", "theirs");
	assert_int_equal(do_rename(&drive, ROOT, "one", ROOT, "ours", 0), 0);
	put_file(&drive, "two", "our bytes");
	settle(&drive);
	drive_faults(&drive, "");
	EVENTUALLY(file_is(&drive, "ours", "theirs"));
	EVENTUALLY(file_is(&drive, "theirs", "our bytes"));
	assert_int_equal(node_of(&drive, ROOT, "one"), 0);
	assert_int_equal(node_of(&drive, ROOT, "two"), 0);
	settle(&drive);
	assert_true(server_is(&drive, "ours", "theirs"));
	assert_true(server_is(&drive, "theirs", "our bytes"));
	assert_int_equal(server_count(&drive), 2);
	drive_destroy(&drive);
}

/* So do those whose temporary file was uploaded meanwhile; the server has the bytes all the time. */
static void test_late_save(void **state)
{
	char before[128], after[128];
	struct drive drive;
	unsigned uploads;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "document", "old");
	put_file(&drive, "document.tmp", "new");
	settle(&drive);
	id_of(&drive, "document", before);
	uploads = drive.calls->upload;
	drive_faults(&drive, "upload:ENOSPC:times=0\n");
	assert_int_equal(do_rename(&drive, ROOT, "document.tmp", ROOT, "document", 0), 0);
	EVENTUALLY(drive.calls->upload > uploads);
	usleep(200000);
	assert_true(server_is(&drive, "document", "old"));
	assert_true(server_is(&drive, "document.tmp", "new"));
	drive_unmap(&drive);
	drive_faults(&drive, "");
	drive_map(&drive, true);
	assert_true(file_is(&drive, "document", "new"));
	/* What makes room may not take it. */
	assert_int_equal(do_setxattr(&drive, node_of(&drive, ROOT, "document"), "user.driveway.evict", "1"), -EBUSY);
	/* The next try would come much later. */
	put_file(&drive, "document", "new");
	settle(&drive);
	id_of(&drive, "document", after);
	assert_string_equal(before, after);
	assert_true(server_is(&drive, "document", "new"));
	assert_int_equal(server_count(&drive), 1);
	assert_int_equal(drive.calls->move, 0);
	assert_int_equal(drive.calls->remove, 1);
	drive_destroy(&drive);
}

/* It goes back to its temporary name before that is free: bytes come before the place, and nothing waits in a circle.
 */
static void test_late_save_undone(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "document", "old");
	put_file(&drive, "document.tmp", "new");
	settle(&drive);
	drive_faults(&drive, "upload:OFFLINE:times=0\nremove:OFFLINE:times=0\n");
	assert_int_equal(do_rename(&drive, ROOT, "document.tmp", ROOT, "document", 0), 0);
	assert_int_equal(do_rename(&drive, ROOT, "document", ROOT, "document.tmp", 0), 0);
	drive_unmap(&drive);
	drive_faults(&drive, "");
	drive_map(&drive, true);
	settle(&drive);
	assert_int_equal(server_count(&drive), 1);
	assert_true(server_is(&drive, "document.tmp", "new"));
	drive_destroy(&drive);
}

/* A file is renamed over another one while it is sent as something new: the other one's new version is still to come.
 */
static void test_saved_while_sent(void **state)
{
	char before[128], after[128];
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "document", "old");
	settle(&drive);
	id_of(&drive, "document", before);
	drive_faults(&drive, "upload:delay:ms=400\n");
	put_file(&drive, "document.tmp", "new");
	EVENTUALLY(drive.calls->upload == 2);
	assert_int_equal(do_rename(&drive, ROOT, "document.tmp", ROOT, "document", 0), 0);
	settle(&drive);
	assert_true(server_is(&drive, "document", "new"));
	assert_false(server_has(&drive, "document.tmp"));
	assert_true(file_is(&drive, "document", "new"));
	id_of(&drive, "document", after);
	assert_string_equal(before, after);
	drive_destroy(&drive);
}

/* What is written to a file that stays open reaches the server when the program pauses, and not before. */
static void test_left_open(void **state)
{
	uint64_t node, handle;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	assert_int_equal(do_create(&drive, ROOT, "log", &node, &handle), 0);
	settle(&drive);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(do_write(&drive, node, handle, "line", (uint64_t)i * 4), 4);
		usleep(600000);
		assert_true(server_is(&drive, "log", ""));
	}
	EVENTUALLY(server_is(&drive, "log", "linelinelineline"));
	assert_int_equal(do_write(&drive, node, handle, "end", 16), 3);
	EVENTUALLY(server_is(&drive, "log", "linelinelinelineend"));
	do_close(&drive, node, handle);
	settle(&drive);
	drive_destroy(&drive);
}

/* What stands in the way is what another node sent, of which no answer came. */
static void test_place_of_lost(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	put_file(&drive, "b", "was b");
	settle(&drive);
	drive_faults(&drive, "upload:done-UNKNOWN\nchanges:EIO:times=0\n");
	put_file(&drive, "a", "was a");
	EVENTUALLY(server_is(&drive, "a", "was a"));
	drive_faults(&drive, "changes:EIO:times=0\n");
	assert_int_equal(do_rename(&drive, ROOT, "a", ROOT, "c", 0), 0);
	assert_int_equal(do_rename(&drive, ROOT, "b", ROOT, "a", 0), 0);
	assert_int_equal(do_rename(&drive, ROOT, "c", ROOT, "b", 0), 0);
	settle(&drive);
	assert_true(server_is(&drive, "a", "was b"));
	assert_true(server_is(&drive, "b", "was a"));
	assert_int_equal(server_count(&drive), 2);
	drive_destroy(&drive);
}

/* The server took a file, nobody heard of it, and it was removed here: nobody but the journal knows to remove it there.
 */
static void test_lost_and_removed(void **state)
{
	uint64_t folder, node, handle;
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	assert_int_equal(do_mkdir(&drive, ROOT, "folder", &folder), 0);
	settle(&drive);
	drive_faults(&drive, "upload:done-UNKNOWN:times=2\nchanges:EIO:times=0\n");
	put_file(&drive, "file", "text");
	assert_int_equal(do_create(&drive, folder, "below", &node, &handle), 0);
	assert_int_equal(do_write(&drive, node, handle, "other", 0), 5);
	do_close(&drive, node, handle);
	EVENTUALLY(server_is(&drive, "file", "text") && server_is(&drive, "folder/below", "other"));
	EVENTUALLY(drive.calls->upload >= 2);
	assert_int_equal(do_unlink(&drive, ROOT, "file"), 0);
	assert_int_equal(do_unlink(&drive, folder, "below"), 0);
	assert_int_equal(do_rmdir(&drive, ROOT, "folder"), 0);
	settle(&drive);
	assert_int_equal(server_count(&drive), 0);
	assert_int_equal(node_of(&drive, ROOT, "folder"), 0);
	drive_destroy(&drive);
}

/* The same across a restart; and another file that took the name meanwhile is left alone. */
static void test_lost_and_replaced(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	settle(&drive);
	assert_int_equal(node_of(&drive, ROOT, "file"), 0);
	drive_faults(&drive, "upload:done-UNKNOWN:times=2\nchanges:EIO:times=0\n");
	put_file(&drive, "file", "text");
	put_file(&drive, "other", "more");
	EVENTUALLY(drive.calls->upload >= 2);
	drive_unmap(&drive);
	drive_faults(&drive, "*:OFFLINE:times=0\n");
	drive_map(&drive, true);
	assert_int_equal(do_unlink(&drive, ROOT, "file"), 0);
	assert_int_equal(do_unlink(&drive, ROOT, "other"), 0);
	put_file(&drive, "other", "new text");
	drive_faults(&drive, "changes:EIO:times=0\n");
	settle(&drive);
	assert_false(server_has(&drive, "file"));
	assert_true(server_is(&drive, "other", "new text"));
	assert_int_equal(server_count(&drive), 1);
	drive_destroy(&drive);
}

/*
 * One file is uploaded to a name that another one has by the time of the answer, and has gone to its own place when the
 * other one hears that the name was taken. Nobody else was there.
 */
struct passing {
	struct drive *drive;
	_Atomic bool listed;
};

static void come_and_go(void *context)
{
	struct passing *passing = context;

	passing->listed = true;
	EVENTUALLY(server_is(passing->drive, "other", "first"));
	assert_int_equal(do_setxattr(passing->drive, node_of(passing->drive, ROOT, "other"), "user.driveway.sync", "1"),
			 0);
}

static void rename_meanwhile(void *context)
{
	struct passing *passing = context;

	assert_int_equal(do_rename(passing->drive, ROOT, "name", ROOT, "other", 0), 0);
	drive_at_list(come_and_go, passing);
	put_file(passing->drive, "name", "second");
	EVENTUALLY(passing->listed);
}

static void test_passing_names(void **state)
{
	struct drive drive;
	struct passing passing = {.drive = &drive};

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	assert_int_equal(node_of(&drive, ROOT, "name"), 0);
	drive_at_upload(rename_meanwhile, &passing);
	put_file(&drive, "name", "first");
	EVENTUALLY(passing.listed);
	settle(&drive);
	assert_true(server_is(&drive, "name", "second"));
	assert_true(server_is(&drive, "other", "first"));
	assert_int_equal(server_count(&drive), 2);
	drive_destroy(&drive);
}

static void take_name(void *context)
{
	struct drive *drive = context;

	assert_int_equal(do_rename(drive, ROOT, "name", ROOT, "other", 0), 0);
	put_file(drive, "name", "second");
	assert_int_equal(do_setxattr(drive, node_of(drive, ROOT, "name"), "user.driveway.sync", "1"), 0);
}

/* A file that is on its way to its old name finds there the one that has it now. */
static void test_taken_name(void **state)
{
	struct drive drive;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	assert_int_equal(node_of(&drive, ROOT, "name"), 0);
	drive_before_upload(take_name, &drive);
	put_file(&drive, "name", "first");
	EVENTUALLY(server_is(&drive, "name", "second"));
	settle(&drive);
	assert_true(server_is(&drive, "name", "second"));
	assert_true(server_is(&drive, "other", "first"));
	assert_int_equal(server_count(&drive), 2);
	drive_destroy(&drive);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_atomic_save),
		cmocka_unit_test(test_backup_save),
		cmocka_unit_test(test_temporary_name),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_out_of_removed_folder),
		cmocka_unit_test(test_upside_down),
		cmocka_unit_test(test_into_its_namesake),
		cmocka_unit_test(test_refused_folder),
		cmocka_unit_test(test_wait_tries_again),
		cmocka_unit_test(test_wait_outlives_try),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_same_name),
		cmocka_unit_test(test_removed_here_changed_there),
		cmocka_unit_test(test_changed_here_removed_there),
		cmocka_unit_test(test_moved_into_removed_folder),
		cmocka_unit_test(test_joined_folders),
		cmocka_unit_test(test_moved_there),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_moved_and_changed),
		cmocka_unit_test(test_late_save),
		cmocka_unit_test(test_late_save_undone),
		cmocka_unit_test(test_saved_while_sent),
		cmocka_unit_test(test_left_open),
		cmocka_unit_test(test_place_of_lost),
		cmocka_unit_test(test_lost_and_removed),
		cmocka_unit_test(test_lost_and_replaced),
		cmocka_unit_test(test_passing_names),
		cmocka_unit_test(test_taken_name),
	};

	drive_plugin(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
