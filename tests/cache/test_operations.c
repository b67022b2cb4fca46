/* SPDX-License-Identifier: MIT */
/* What programs do with a drive, given once and given twice, and by a process that took over. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/cache/drive.h"

#define ROOT DW_NODE_ROOT

static void test_files(void **state)
{
	uint64_t folder, node, handle, other;
	struct drive drive;
	char text[64];

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	assert_int_equal(do_mkdir(&drive, ROOT, "folder", &folder), 0);
	assert_int_equal(do_mkdir(&drive, ROOT, "folder", &other), -EEXIST);
	assert_int_equal(do_create(&drive, folder, "file", &node, &handle), 0);
	assert_int_equal(do_write(&drive, node, handle, "hello world", 0), 11);
	assert_int_equal(do_read(&drive, node, handle, text, sizeof(text)), 11);
	assert_string_equal(text, "hello world");
	do_close(&drive, node, handle);
	assert_int_equal(do_truncate(&drive, node, 5), 0);
	assert_int_equal(size_of(&drive, node), 5);
	assert_int_equal(do_rmdir(&drive, ROOT, "folder"), -ENOTEMPTY);
	settle(&drive);
	assert_true(server_is(&drive, "folder/file", "hello"));
	assert_int_equal(do_rename(&drive, folder, "file", ROOT, "moved", 0), 0);
	assert_int_equal(do_rmdir(&drive, ROOT, "folder"), 0);
	settle(&drive);
	assert_true(server_is(&drive, "moved", "hello"));
	assert_false(server_has(&drive, "folder"));
	assert_int_equal(node_of(&drive, ROOT, "moved"), node);
	assert_int_equal(do_unlink(&drive, ROOT, "moved"), 0);
	assert_int_equal(do_unlink(&drive, ROOT, "moved"), -ENOENT);
	settle(&drive);
	assert_int_equal(server_count(&drive), 0);
	drive_destroy(&drive);
}

static void test_links_and_attributes(void **state)
{
	struct dw_entry entry;
	struct request r;
	struct drive drive;
	char text[64];
	size_t size = sizeof(text);

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	assert_int_equal(
		drive.fs->ops->symlink(drive.fs, request_new(&drive, &r), ROOT, "link", "where/it/leads", &entry), 0);
	put_file(&drive, "file", "text");
	assert_int_equal(do_setxattr(&drive, node_of(&drive, ROOT, "file"), "user.colour", "blue"), 0);
	settle(&drive);
	drive_unmap(&drive);

	/* A new machine: nothing but what the server has. */
	drive.options[drive.option_count++] = (struct dw_option){"list-properties", "yes"};
	snprintf(text, sizeof(text), "%s", drive.folder);
	{
		char command[512];

		snprintf(command, sizeof(command), "rm -rf '%s/cache/'*", drive.folder);
		assert_int_equal(system(command), 0);
	}
	drive_map(&drive, false);
	assert_int_equal(
		drive.fs->ops->readlink(drive.fs, request_new(&drive, &r), node_of(&drive, ROOT, "link"), text, &size),
		0);
	assert_int_equal(size, 14);
	assert_memory_equal(text, "where/it/leads", 14);
	assert_int_equal(do_getxattr(&drive, node_of(&drive, ROOT, "file"), "user.colour", text, sizeof(text)), 0);
	assert_string_equal(text, "blue");
	assert_true(file_is(&drive, "file", "text"));
	drive_destroy(&drive);
}

/* Each that must not be done twice is given again, as to a process that took over before it could answer. */
static int backing_open(struct dw_host *host, int fd, uint32_t *id)
{
	(void)host;
	*id = (uint32_t)fd + 1;
	return 0;
}

static int backing_close(struct dw_host *host, uint32_t id)
{
	(void)host;
	(void)id;
	return 0;
}

/* Pages that the kernel may have of a file are to be forgotten after writes past it; of one that was empty it has none.
 */
static void test_invalidated(void **state)
{
	struct dw_entry entry = {.node = 0};
	struct dw_open opened = {.handle = 0};
	struct drive drive;
	struct request r;
	uint64_t handle;

	(void)state;
	drive_make(&drive, "settle", "60", NULL);
	drive.host.backing_open = backing_open;
	drive.host.backing_close = backing_close;
	assert_int_equal(drive.fs->ops->create(drive.fs, request_new(&drive, &r), ROOT, "file", 0644, DW_O_RDWR, &entry,
					       &opened),
			 0);
	assert_int_not_equal(opened.backing_id, 0);
	assert_int_equal(entry.attr.size, 0);
	/* Long enough for who asks at once, and gone before anybody could see an old time. */
	assert_true(entry.attr_timeout > 0 && entry.attr_timeout <= 20000000u);
	assert_int_equal(do_write(&drive, entry.node, opened.handle, "hello", 0), 5);
	do_close(&drive, entry.node, opened.handle);
	assert_int_equal(atomic_load(&drive.invalidated), 0);
	assert_int_equal(size_of(&drive, entry.node), 5);
	assert_int_equal(do_open(&drive, entry.node, DW_O_RDWR, &handle), 0);
	assert_int_equal(do_write(&drive, entry.node, handle, "HELLO", 0), 5);
	do_close(&drive, entry.node, handle);
	assert_int_equal(atomic_load(&drive.invalidated), 1);
	drive_destroy(&drive);
}

static void test_replay(void **state)
{
	struct dw_filesystem *fs;
	struct dw_entry first, again;
	struct dw_open opened, reopened;
	struct request r;
	struct drive drive;
	uint64_t node;
	char text[64];

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	fs = drive.fs;
	assert_int_equal(fs->ops->mkdir(fs, request_new(&drive, &r), ROOT, "folder", 0755, &first), 0);
	assert_int_equal(fs->ops->mkdir(fs, request_again(&r), ROOT, "folder", 0755, &again), 0);
	assert_int_equal(first.node, again.node);
	assert_int_equal(fs->ops->create(fs, request_new(&drive, &r), ROOT, "file", 0644, DW_O_RDWR, &first, &opened),
			 0);
	assert_int_equal(fs->ops->create(fs, request_again(&r), ROOT, "file", 0644, DW_O_RDWR, &again, &reopened), 0);
	assert_int_equal(first.node, again.node);
	assert_int_equal(do_write(&drive, first.node, reopened.handle, "text", 0), 4);
	do_close(&drive, first.node, reopened.handle);
	node = first.node;
	/* Dead between the claim of the handle and what the open is to do: it is done by the next. */
	assert_int_equal(fs->ops->open(fs, request_new(&drive, &r), node, DW_O_RDONLY, &opened), 0);
	assert_int_equal(fs->ops->open(fs, request_again(&r), node, DW_O_RDWR | DW_O_TRUNC, &reopened), 0);
	assert_int_equal(size_of(&drive, node), 0);
	assert_int_equal(do_write(&drive, node, reopened.handle, "text", 0), 4);
	do_close(&drive, node, reopened.handle);
	assert_int_equal(do_read(&drive, node, opened.handle, text, sizeof(text)), -EBADF);
	assert_int_equal(fs->ops->symlink(fs, request_new(&drive, &r), ROOT, "link", "to", &first), 0);
	assert_int_equal(fs->ops->symlink(fs, request_again(&r), ROOT, "link", "to", &again), 0);
	assert_int_equal(first.node, again.node);
	assert_int_equal(fs->ops->rename(fs, request_new(&drive, &r), ROOT, "file", ROOT, "other", 0), 0);
	assert_int_equal(fs->ops->rename(fs, request_again(&r), ROOT, "file", ROOT, "other", 0), 0);
	put_file(&drive, "one", "1");
	put_file(&drive, "two", "2");
	assert_int_equal(fs->ops->rename(fs, request_new(&drive, &r), ROOT, "one", ROOT, "two", DW_RENAME_EXCHANGE), 0);
	assert_int_equal(fs->ops->rename(fs, request_again(&r), ROOT, "one", ROOT, "two", DW_RENAME_EXCHANGE), 0);
	assert_true(file_is(&drive, "one", "2"));
	assert_int_equal(fs->ops->setxattr(fs, request_new(&drive, &r), node, "user.a", "b", 1, DW_XATTR_CREATE), 0);
	assert_int_equal(fs->ops->setxattr(fs, request_again(&r), node, "user.a", "b", 1, DW_XATTR_CREATE), 0);
	assert_int_equal(fs->ops->removexattr(fs, request_new(&drive, &r), node, "user.a"), 0);
	assert_int_equal(fs->ops->removexattr(fs, request_again(&r), node, "user.a"), 0);
	assert_int_equal(fs->ops->unlink(fs, request_new(&drive, &r), ROOT, "one"), 0);
	put_file(&drive, "one", "new");
	assert_int_equal(fs->ops->unlink(fs, request_again(&r), ROOT, "one"), 0);
	assert_true(file_is(&drive, "one", "new"));
	assert_int_equal(fs->ops->rmdir(fs, request_new(&drive, &r), ROOT, "folder"), 0);
	assert_int_equal(fs->ops->rmdir(fs, request_again(&r), ROOT, "folder"), 0);
	settle(&drive);
	assert_true(server_is(&drive, "one", "new"));
	assert_true(server_is(&drive, "two", "1"));
	assert_true(server_is(&drive, "other", "text"));
	assert_false(server_has(&drive, "folder"));
	drive_destroy(&drive);
}

/* A new process takes over: what was open stays open, and what was not uploaded is. */
static void test_restart(void **state)
{
	uint64_t node, handle, orphan, orphan_handle, reader;
	struct drive drive;
	char text[64];

	(void)state;
	drive_make(&drive, "settle", "3600", NULL);
	assert_int_equal(do_create(&drive, ROOT, "file", &node, &handle), 0);
	assert_int_equal(do_write(&drive, node, handle, "before", 0), 6);
	assert_int_equal(do_create(&drive, ROOT, "orphan", &orphan, &orphan_handle), 0);
	assert_int_equal(do_write(&drive, orphan, orphan_handle, "still there", 0), 11);
	assert_int_equal(do_unlink(&drive, ROOT, "orphan"), 0);
	drive_unmap(&drive);
	drive_map(&drive, true);
	assert_int_equal(do_read(&drive, node, handle, text, sizeof(text)), 6);
	assert_string_equal(text, "before");
	assert_int_equal(do_write(&drive, node, handle, " and after", 6), 10);
	assert_int_equal(do_read(&drive, orphan, orphan_handle, text, sizeof(text)), 11);
	assert_string_equal(text, "still there");
	assert_int_equal(do_open(&drive, node, DW_O_RDONLY, &reader), 0);
	assert_int_not_equal(reader, handle);
	do_close(&drive, node, reader);
	do_close(&drive, node, handle);
	do_close(&drive, orphan, orphan_handle);
	settle(&drive);
	assert_true(server_is(&drive, "file", "before and after"));
	assert_int_equal(server_count(&drive), 1);
	drive_destroy(&drive);
}

/* The same by a real end of a process in the middle of it. */
static void test_kill(void **state)
{
	uint64_t *shared;
	struct drive drive;
	char text[64];
	int status;
	pid_t child;

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	drive_unmap(&drive);
	/* The first two words of a region that both see. */
	{
		void *address;
		bool fresh;

		assert_int_equal(drive.host.keep(&drive.host, "test", 4096, &address, &fresh, NULL), 0);
		shared = address;
	}
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		drive_map(&drive, true);
		if (do_create(&drive, ROOT, "file", &shared[0], &shared[1]) ||
		    do_write(&drive, shared[0], shared[1], "written", 0) != 7)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	drive_map(&drive, true);
	assert_int_equal(do_read(&drive, shared[0], shared[1], text, sizeof(text)), 7);
	assert_string_equal(text, "written");
	do_close(&drive, shared[0], shared[1]);
	settle(&drive);
	assert_true(server_is(&drive, "file", "written"));
	drive_destroy(&drive);
}

/* A file that is replaced on the server keeps its bytes for whoever has it open. */
static void test_replaced_while_open(void **state)
{
	uint64_t node, handle, now;
	struct drive drive;
	char text[64];

	(void)state;
	drive_make(&drive, "settle", "0.05", NULL);
	server_write(&drive, "file", "old bytes");
	node = node_of(&drive, ROOT, "file");
	assert_int_equal(do_open(&drive, node, DW_O_RDONLY, &handle), 0);
	assert_int_equal(do_read(&drive, node, handle, text, sizeof(text)), 9);
	server_write(&drive, "file", "the new bytes");
	EVENTUALLY(file_is(&drive, "file", "the new bytes"));
	assert_int_equal(do_read(&drive, node, handle, text, sizeof(text)), 9);
	assert_string_equal(text, "old bytes");
	now = node_of(&drive, ROOT, "file");
	assert_int_not_equal(now, node);
	do_close(&drive, node, handle);
	drive_destroy(&drive);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_links_and_attributes),
		cmocka_unit_test(test_invalidated),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_replaced_while_open),
	};

	drive_plugin(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
