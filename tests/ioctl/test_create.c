/* SPDX-License-Identifier: MIT */
/*
 * CREATE: every disposition on what is there and what is not, options, access, case, links, and names that are none.
 */
#include "tests/ioctl/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct answer answer;

#define NOTHING UINT32_MAX /* no file is open afterwards */

/* Status and what was done, or NOTHING. */
struct result {
	uint32_t status;
	uint32_t information;
};

static void check(struct harness *harness, const char *path, const struct opening *as, uint32_t status,
		  uint32_t information)
{
	int32_t got = send_create(harness, path, as, &answer);

	if ((uint32_t)got != status)
		fail_msg("%s, disposition %u, options 0x%x: 0x%08x instead of 0x%08x", path, as->disposition,
			 as->options, (unsigned)got, status);
	if (got)
		return;
	assert_int_equal(answer.out.u.created.information, information);
	assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
}

static void test_dispositions(void **state)
{
	struct harness *harness = *state;
	static const struct {
		uint32_t disposition;
		uint32_t options;
		struct result file, folder, missing;
	} table[] = {
		{FILE_SUPERSEDE, 0, {0, FILE_SUPERSEDED}, {STATUS_OBJECT_NAME_COLLISION, NOTHING}, {0, FILE_CREATED}},
		{FILE_OPEN, 0, {0, FILE_OPENED}, {0, FILE_OPENED}, {STATUS_OBJECT_NAME_NOT_FOUND, NOTHING}},
		{FILE_CREATE,
		 0,
		 {STATUS_OBJECT_NAME_COLLISION, NOTHING},
		 {STATUS_OBJECT_NAME_COLLISION, NOTHING},
		 {0, FILE_CREATED}},
		{FILE_OPEN_IF, 0, {0, FILE_OPENED}, {0, FILE_OPENED}, {0, FILE_CREATED}},
		{FILE_OVERWRITE,
		 0,
		 {0, FILE_OVERWRITTEN},
		 {STATUS_OBJECT_NAME_COLLISION, NOTHING},
		 {STATUS_OBJECT_NAME_NOT_FOUND, NOTHING}},
		{FILE_OVERWRITE_IF,
		 0,
		 {0, FILE_OVERWRITTEN},
		 {STATUS_OBJECT_NAME_COLLISION, NOTHING},
		 {0, FILE_CREATED}},
		{FILE_OPEN,
		 FILE_DIRECTORY_FILE,
		 {STATUS_NOT_A_DIRECTORY, NOTHING},
		 {0, FILE_OPENED},
		 {STATUS_OBJECT_NAME_NOT_FOUND, NOTHING}},
		{FILE_CREATE,
		 FILE_DIRECTORY_FILE,
		 {STATUS_OBJECT_NAME_COLLISION, NOTHING},
		 {STATUS_OBJECT_NAME_COLLISION, NOTHING},
		 {0, FILE_CREATED}},
		{FILE_OPEN_IF,
		 FILE_DIRECTORY_FILE,
		 {STATUS_NOT_A_DIRECTORY, NOTHING},
		 {0, FILE_OPENED},
		 {0, FILE_CREATED}},
		{FILE_OPEN,
		 FILE_NON_DIRECTORY_FILE,
		 {0, FILE_OPENED},
		 {STATUS_FILE_IS_A_DIRECTORY, NOTHING},
		 {STATUS_OBJECT_NAME_NOT_FOUND, NOTHING}},
		{FILE_CREATE,
		 FILE_NON_DIRECTORY_FILE,
		 {STATUS_OBJECT_NAME_COLLISION, NOTHING},
		 {STATUS_OBJECT_NAME_COLLISION, NOTHING},
		 {0, FILE_CREATED}},
		{FILE_OVERWRITE_IF,
		 FILE_NON_DIRECTORY_FILE,
		 {0, FILE_OVERWRITTEN},
		 {STATUS_FILE_IS_A_DIRECTORY, NOTHING},
		 {0, FILE_CREATED}},
	};

	make_file_at(harness, "\\file", "x");
	make_folder_at(harness, "\\folder");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct opening as = {.disposition = table[i].disposition, .options = table[i].options};

		check(harness, "\\file", &as, table[i].file.status, table[i].file.information);
		check(harness, "\\folder", &as, table[i].folder.status, table[i].folder.information);
		check(harness, "\\missing", &as, table[i].missing.status, table[i].missing.information);
		if (!table[i].missing.status)
			assert_status(delete_at(harness, "\\missing"), STATUS_SUCCESS);
	}
}

static void test_options_refused(void **state)
{
	struct harness *harness = *state;
	static const struct {
		uint32_t disposition, options, access, attributes, status;
	} table[] = {
		{FILE_OPEN, FILE_DIRECTORY_FILE | FILE_NON_DIRECTORY_FILE, 0, 0, STATUS_INVALID_PARAMETER},
		{FILE_OVERWRITE, FILE_DIRECTORY_FILE, 0, 0, STATUS_INVALID_PARAMETER},
		{FILE_SUPERSEDE, FILE_DIRECTORY_FILE, 0, 0, STATUS_INVALID_PARAMETER},
		{6, 0, 0, 0, STATUS_INVALID_PARAMETER},
		{FILE_CREATE, FILE_DIRECTORY_FILE, 0, FILE_ATTRIBUTE_TEMPORARY, STATUS_INVALID_PARAMETER},
		{FILE_OPEN_IF, FILE_DELETE_ON_CLOSE, FILE_READ_DATA, 0, STATUS_INVALID_PARAMETER},
		{FILE_OPEN_IF, FILE_DELETE_ON_CLOSE, 0, FILE_ATTRIBUTE_READONLY, STATUS_CANNOT_DELETE},
		{FILE_OPEN, FILE_OPEN_BY_FILE_ID, 0, 0, STATUS_NOT_SUPPORTED},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct opening as = {.disposition = table[i].disposition,
					   .options = table[i].options,
					   .access = table[i].access,
					   .attributes = table[i].attributes};

		check(harness, "\\missing", &as, table[i].status, NOTHING);
	}
}

static void test_paths(void **state)
{
	struct harness *harness = *state;
	static const struct {
		const char *path;
		uint32_t open, create;
	} table[] = {
		{"\\", 0, STATUS_OBJECT_NAME_COLLISION},
		{"\\folder\\", 0, STATUS_OBJECT_NAME_COLLISION},
		{"\\file\\", STATUS_NOT_A_DIRECTORY, STATUS_OBJECT_NAME_COLLISION},
		{"\\new\\", STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_NAME_INVALID},
		{"\\none\\file", STATUS_OBJECT_PATH_NOT_FOUND, STATUS_OBJECT_PATH_NOT_FOUND},
		{"\\file\\below", STATUS_OBJECT_PATH_NOT_FOUND, STATUS_OBJECT_PATH_NOT_FOUND},
		{"", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"file", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"\\folder\\\\x", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"\\folder\\\\", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"\\\\", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"\\folder\\.", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"\\folder\\..\\file", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"\\a/b", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"\\file:stream", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
		{"\\fil*", STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_NAME_INVALID},
	};

	make_file_at(harness, "\\file", NULL);
	make_folder_at(harness, "\\folder");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct opening as = {.disposition = FILE_OPEN};

		check(harness, table[i].path, &as, table[i].open, FILE_OPENED);
		as.disposition = FILE_CREATE;
		check(harness, table[i].path, &as, table[i].create, FILE_CREATED);
	}
}

static void test_root(void **state)
{
	struct harness *harness = *state;
	struct opening as = {.disposition = FILE_OPEN_IF, .options = FILE_DIRECTORY_FILE};

	check(harness, "\\", &as, 0, FILE_OPENED);
	as = (struct opening){.disposition = FILE_OPEN, .options = FILE_NON_DIRECTORY_FILE};
	check(harness, "\\", &as, STATUS_FILE_IS_A_DIRECTORY, NOTHING);
	as = (struct opening){.disposition = FILE_OPEN, .options = FILE_DELETE_ON_CLOSE};
	check(harness, "\\", &as, STATUS_CANNOT_DELETE, NOTHING);
	as = (struct opening){.disposition = FILE_OVERWRITE_IF};
	check(harness, "\\", &as, STATUS_OBJECT_NAME_COLLISION, NOTHING);
	as = (struct opening){.disposition = FILE_OPEN, .flags = FS_OPEN_TARGET_FOLDER};
	check(harness, "\\", &as, STATUS_INVALID_PARAMETER, NOTHING);
}

static void test_access(void **state)
{
	struct harness *harness = *state;
	static const struct {
		uint32_t asked, of_file, of_read_only;
	} table[] = {
		{FILE_READ_DATA, FILE_READ_DATA, FILE_READ_DATA},
		{GENERIC_READ, FILE_GENERIC_READ, FILE_GENERIC_READ},
		{GENERIC_EXECUTE, FILE_GENERIC_EXECUTE, FILE_GENERIC_EXECUTE},
		{GENERIC_WRITE, FILE_GENERIC_WRITE, 0},
		{GENERIC_ALL, FILE_ALL_ACCESS, 0},
		{FILE_APPEND_DATA, FILE_APPEND_DATA, 0},
		{DELETE | FILE_WRITE_ATTRIBUTES, DELETE | FILE_WRITE_ATTRIBUTES, DELETE | FILE_WRITE_ATTRIBUTES},
		{MAXIMUM_ALLOWED, FILE_ALL_ACCESS, FILE_ALL_ACCESS & ~(FILE_WRITE_DATA | FILE_APPEND_DATA)},
	};
	struct opening as = {.disposition = FILE_CREATE, .attributes = FILE_ATTRIBUTE_READONLY};

	make_file_at(harness, "\\file", NULL);
	/* Who makes a read-only file may write to it. */
	assert_status(send_create(harness, "\\fixed", &as, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.u.created.granted, FILE_ALL_ACCESS);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_ARCHIVE);
	assert_status(send_write(harness, answer.out.u.created.file, 0, "x", 1, 0, NULL), STATUS_SUCCESS);
	assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		as = (struct opening){.disposition = FILE_OPEN, .access = table[i].asked};
		assert_status(send_create(harness, "\\file", &as, &answer), STATUS_SUCCESS);
		assert_int_equal(answer.out.u.created.granted, table[i].of_file);
		assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
		assert_status(send_create(harness, "\\fixed", &as, &answer),
			      table[i].of_read_only ? STATUS_SUCCESS : STATUS_ACCESS_DENIED);
		assert_int_equal(answer.out.u.created.granted, table[i].of_read_only);
		if (table[i].of_read_only)
			assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
	}
	as = (struct opening){.disposition = FILE_OVERWRITE, .access = FILE_READ_DATA};
	check(harness, "\\fixed", &as, STATUS_ACCESS_DENIED, NOTHING);
	as = (struct opening){.disposition = FILE_OPEN, .access = DELETE, .options = FILE_DELETE_ON_CLOSE};
	check(harness, "\\fixed", &as, STATUS_CANNOT_DELETE, NOTHING);
	assert_status(delete_at(harness, "\\fixed"), STATUS_CANNOT_DELETE);
}

static void test_hidden_is_not_overwritten(void **state)
{
	struct harness *harness = *state;
	struct opening as = {.disposition = FILE_CREATE, .attributes = FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM};

	check(harness, "\\h", &as, 0, FILE_CREATED);
	as = (struct opening){.disposition = FILE_OVERWRITE_IF};
	check(harness, "\\h", &as, STATUS_ACCESS_DENIED, NOTHING);
	as.attributes = FILE_ATTRIBUTE_HIDDEN;
	check(harness, "\\h", &as, STATUS_ACCESS_DENIED, NOTHING);
	as.attributes |= FILE_ATTRIBUTE_SYSTEM;
	check(harness, "\\h", &as, 0, FILE_OVERWRITTEN);
}

static void test_case(void **state)
{
	struct harness *harness = *state;
	struct opening as = {.disposition = FILE_OPEN};
	char names[256];
	uint64_t file;

	make_folder_at(harness, "\\Folder");
	make_file_at(harness, "\\Folder\\\xc3\x84pfel.TXT", "a");
	check(harness, "\\fOLDER\\\xc3\xa4PFEL.txt", &as, 0, FILE_OPENED);
	as.flags = FS_OPEN_CASE_SENSITIVE;
	check(harness, "\\Folder\\\xc3\xa4pfel.TXT", &as, STATUS_OBJECT_NAME_NOT_FOUND, NOTHING);
	check(harness, "\\folder\\\xc3\x84pfel.TXT", &as, STATUS_OBJECT_PATH_NOT_FOUND, NOTHING);
	as = (struct opening){.disposition = FILE_CREATE};
	check(harness, "\\FOLDER\\\xc3\x84PFEL.TXT", &as, STATUS_OBJECT_NAME_COLLISION, NOTHING);
	/* The case that it was made with stays. */
	list_names(harness, "\\FOLDER", "*", HARNESS_ROOM, names, sizeof(names));
	assert_string_equal(names, ".|..|\xc3\x84pfel.TXT|");
	/* What the cache of names has learnt stays right over changes. */
	check(harness, "\\folder\\other", &as, 0, FILE_CREATED);
	as.disposition = FILE_OPEN;
	check(harness, "\\folder\\OTHER", &as, 0, FILE_OPENED);
	file = open_file(harness, "\\folder\\OTHER", FILE_OPEN, 0);
	assert_status(send_rename(harness, file, "\\folder\\OTHER", "\\folder\\Third", 0), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	check(harness, "\\folder\\OTHER", &as, STATUS_OBJECT_NAME_NOT_FOUND, NOTHING);
	check(harness, "\\folder\\THIRD", &as, 0, FILE_OPENED);
	assert_status(delete_at(harness, "\\folder\\third"), STATUS_SUCCESS);
	check(harness, "\\folder\\THIRD", &as, STATUS_OBJECT_NAME_NOT_FOUND, NOTHING);
	/* A folder is deleted and made again. */
	assert_status(delete_at(harness, "\\folder\\\xc3\x84PFEL.TXT"), STATUS_SUCCESS);
	assert_status(delete_at(harness, "\\folder"), STATUS_SUCCESS);
	make_folder_at(harness, "\\fOlDeR");
	check(harness, "\\folder", &as, 0, FILE_OPENED);
}

/* Changes that do not come through the volume. */
static void test_names_change_behind(void **state)
{
	struct harness *harness = *state;
	const struct opening as = {.disposition = FILE_OPEN};
	struct dw_entry entry;

	check(harness, "\\NAME", &as, STATUS_OBJECT_NAME_NOT_FOUND, NOTHING);
	assert_int_equal(do_create(harness->fs, DW_NODE_ROOT, "name", 0644, &entry), 0);
	do_forget(harness->fs, entry.node, 1);
	harness->fs->ops->release(harness->fs, NULL, entry.node, 0);
	volume_names_changed(harness->volume, DW_NODE_ROOT);
	check(harness, "\\NAME", &as, 0, FILE_OPENED);
	/* What was remembered and is gone is looked for again. */
	assert_int_equal(do_rename(harness->fs, DW_NODE_ROOT, "name", DW_NODE_ROOT, "NaMe", 0), 0);
	check(harness, "\\NAME", &as, 0, FILE_OPENED);
	/* What was not there is believed until it is said to have changed. */
	assert_int_equal(do_rename(harness->fs, DW_NODE_ROOT, "NaMe", DW_NODE_ROOT, "next", 0), 0);
	check(harness, "\\NEXT", &as, STATUS_OBJECT_NAME_NOT_FOUND, NOTHING);
	volume_names_changed(harness->volume, DW_NODE_ROOT);
	check(harness, "\\NEXT", &as, 0, FILE_OPENED);
	/* A file system that lets no name be believed is asked every time. */
	harness->fs->negative_timeout = 0;
	volume_names_changed(harness->volume, DW_NODE_ROOT);
	check(harness, "\\OTHER", &as, STATUS_OBJECT_NAME_NOT_FOUND, NOTHING);
	assert_int_equal(do_rename(harness->fs, DW_NODE_ROOT, "next", DW_NODE_ROOT, "other", 0), 0);
	check(harness, "\\OTHER", &as, 0, FILE_OPENED);
}

static void test_names_that_windows_lacks(void **state)
{
	struct harness *harness = *state;
	const struct opening as = {.disposition = FILE_OPEN};
	struct dw_entry entry;
	char names[256];

	assert_int_equal(do_mkdir(harness->fs, DW_NODE_ROOT, "a:b.", 0755, &entry), 0);
	do_forget(harness->fs, entry.node, 1);
	list_names(harness, "\\", "*", HARNESS_ROOM, names, sizeof(names));
	assert_string_equal(names, "a\xef\x80\xba"
				   "b\xef\x80\xae|");
	check(harness,
	      "\\A\xef\x80\xba"
	      "b\xef\x80\xae",
	      &as, 0, FILE_OPENED);
	make_file_at(harness, "\\x\xef\x80\xbf", NULL);
	assert_int_equal(do_lookup(harness->fs, DW_NODE_ROOT, "x?", &entry), 0);
	do_forget(harness->fs, entry.node, 1);
}

static void test_target_folder(void **state)
{
	struct harness *harness = *state;
	struct opening as = {.disposition = FILE_OPEN, .flags = FS_OPEN_TARGET_FOLDER};
	struct answer folder;

	make_folder_at(harness, "\\f");
	make_file_at(harness, "\\f\\there", NULL);
	assert_status(send_close(harness, open_file(harness, "\\f", FILE_OPEN, 0)), STATUS_SUCCESS);
	assert_status(send_create(harness, "\\f", &(struct opening){.disposition = FILE_OPEN}, &folder),
		      STATUS_SUCCESS);
	check(harness, "\\f\\THERE", &as, 0, FILE_EXISTS);
	check(harness, "\\f\\new", &as, 0, FILE_DOES_NOT_EXIST);
	check(harness, "\\new", &as, 0, FILE_DOES_NOT_EXIST);
	assert_status(send_create(harness, "\\f\\new", &as, &answer), STATUS_SUCCESS);
	assert_true(answer.out.file.node == folder.out.file.node);
	assert_true(answer.out.file.attributes & FILE_ATTRIBUTE_DIRECTORY);
	assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
	assert_status(send_close(harness, folder.out.u.created.file), STATUS_SUCCESS);
	check(harness, "\\none\\new", &as, STATUS_OBJECT_PATH_NOT_FOUND, NOTHING);
}

static void make_link(struct harness *harness, uint64_t parent, const char *name, const char *target)
{
	struct request request;
	struct dw_entry entry;

	assert_int_equal(harness->fs->ops->symlink(harness->fs, request_new(&request), parent, name, target, &entry),
			 0);
	do_forget(harness->fs, entry.node, 1);
	volume_names_changed(harness->volume, parent);
}

static void test_links(void **state)
{
	struct harness *harness = *state;
	struct opening as = {.disposition = FILE_OPEN};
	struct dw_entry folder;

	make_folder_at(harness, "\\f");
	make_file_at(harness, "\\f\\file", "1234");
	assert_int_equal(do_lookup(harness->fs, DW_NODE_ROOT, "f", &folder), 0);
	make_link(harness, DW_NODE_ROOT, "to_folder", "f");
	make_link(harness, folder.node, "up", "../f/./file");
	make_link(harness, folder.node, "absolute", "/f/FILE");
	make_link(harness, DW_NODE_ROOT, "loop", "loop");
	make_link(harness, DW_NODE_ROOT, "nowhere", "f/new");
	make_link(harness, DW_NODE_ROOT, "away", "C:/Windows");
	do_forget(harness->fs, folder.node, 1);

	check(harness, "\\to_folder\\file", &as, 0, FILE_OPENED);
	assert_status(send_create(harness, "\\to_folder\\up", &as, &answer), STATUS_SUCCESS);
	assert_true(answer.out.file.size == 4);
	assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
	check(harness, "\\f\\absolute", &as, 0, FILE_OPENED);
	check(harness, "\\loop", &as, STATUS_REPARSE_POINT_NOT_RESOLVED, NOTHING);
	check(harness, "\\nowhere", &as, STATUS_OBJECT_NAME_NOT_FOUND, NOTHING);
	check(harness, "\\nowhere\\x", &as, STATUS_OBJECT_PATH_NOT_FOUND, NOTHING);
	/* Elsewhere is the system's: what is left of the path, and where to. */
	check(harness, "\\away\\System32\\x", &as, STATUS_REPARSE_POINT_NOT_RESOLVED, NOTHING);
	as.flags = FS_OPEN_REPARSE;
	assert_status(send_create(harness, "\\away\\System32\\x", &as, &answer), STATUS_REPARSE);
	assert_true(answer.out.information == 2 * strlen("\\System32\\x"));
	assert_true(answer.out.data > 20 && answer.out.u.created.file == 0);
	as.flags = 0;
	/* The link itself, and whether it is one to a folder. */
	as.options = FILE_OPEN_REPARSE_POINT;
	assert_status(send_create(harness, "\\to_folder", &as, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY);
	assert_int_equal(answer.out.file.reparse_tag, IO_REPARSE_TAG_SYMLINK);
	assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
	as.options |= FILE_DIRECTORY_FILE;
	check(harness, "\\to_folder", &as, 0, FILE_OPENED);
	check(harness, "\\nowhere", &as, STATUS_NOT_A_DIRECTORY, NOTHING);
	/* Making through a link that leads to nothing makes what it leads to. */
	as = (struct opening){.disposition = FILE_CREATE};
	check(harness, "\\nowhere", &as, 0, FILE_CREATED);
	as.disposition = FILE_OPEN;
	check(harness, "\\f\\new", &as, 0, FILE_OPENED);
	/* Deleting a link leaves what it leads to. */
	assert_status(delete_at(harness, "\\nowhere"), STATUS_SUCCESS);
	assert_status(delete_at(harness, "\\to_folder"), STATUS_SUCCESS);
	check(harness, "\\f\\new", &as, 0, FILE_OPENED);
}

static void test_special_files(void **state)
{
	struct harness *harness = *state;
	struct opening as = {.disposition = FILE_OPEN};
	struct request request;
	struct dw_entry entry;

	assert_int_equal(harness->fs->ops->mknod(harness->fs, request_new(&request), DW_NODE_ROOT, "fifo",
						 DW_MODE_FIFO | 0644, 0, 0, &entry),
			 0);
	do_forget(harness->fs, entry.node, 1);
	check(harness, "\\fifo", &as, STATUS_IO_REPARSE_TAG_NOT_HANDLED, NOTHING);
	as.options = FILE_OPEN_REPARSE_POINT;
	assert_status(send_create(harness, "\\fifo", &as, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.reparse_tag, IO_REPARSE_TAG_LX_FIFO);
	assert_status(send_read(harness, answer.out.u.created.file, 0, 1, NULL), STATUS_INVALID_DEVICE_REQUEST);
	assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
	assert_status(delete_at(harness, "\\fifo"), STATUS_SUCCESS);
}

static void test_read_only_drive(void **state)
{
	struct harness *harness = *state;
	struct volume_options options = {.disk = 2, .seed = 9, .read_only = true};
	struct opening as = {.disposition = FILE_OPEN, .access = FILE_GENERIC_READ};
	uint64_t file;

	make_file_at(harness, "\\file", "abc");
	volume_destroy(harness->volume);
	assert_int_equal(volume_create(&harness->volume, harness->fs, &options), 0);
	check(harness, "\\file", &as, 0, FILE_OPENED);
	as.access = FILE_WRITE_DATA;
	check(harness, "\\file", &as, STATUS_MEDIA_WRITE_PROTECTED, NOTHING);
	as.access = DELETE;
	check(harness, "\\file", &as, STATUS_MEDIA_WRITE_PROTECTED, NOTHING);
	as = (struct opening){.disposition = FILE_OPEN, .access = MAXIMUM_ALLOWED, .options = FILE_DELETE_ON_CLOSE};
	check(harness, "\\file", &as, STATUS_MEDIA_WRITE_PROTECTED, NOTHING);
	as = (struct opening){.disposition = FILE_OVERWRITE_IF, .access = FILE_READ_DATA};
	check(harness, "\\file", &as, STATUS_MEDIA_WRITE_PROTECTED, NOTHING);
	as = (struct opening){.disposition = FILE_CREATE, .access = FILE_READ_DATA};
	check(harness, "\\new", &as, STATUS_MEDIA_WRITE_PROTECTED, NOTHING);
	as = (struct opening){.disposition = FILE_OPEN, .access = MAXIMUM_ALLOWED};
	assert_status(send_create(harness, "\\file", &as, &answer), STATUS_SUCCESS);
	file = answer.out.u.created.file;
	assert_status(send_write(harness, file, 0, "x", 1, 0, NULL), STATUS_MEDIA_WRITE_PROTECTED);
	assert_status(send_simple(harness, FS_SET_BASIC, file, NULL), STATUS_MEDIA_WRITE_PROTECTED);
	assert_status(send_simple(harness, FS_CAN_DELETE, file, NULL), STATUS_MEDIA_WRITE_PROTECTED);
	assert_status(send_cleanup(harness, file, "\\file"), STATUS_MEDIA_WRITE_PROTECTED);
	assert_status(send_rename(harness, file, "\\file", "\\x", 0), STATUS_MEDIA_WRITE_PROTECTED);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_set_up, harness_tear_down)
		TEST(test_dispositions),
		TEST(test_options_refused),
		TEST(test_paths),
		TEST(test_root),
		TEST(test_access),
		TEST(test_hidden_is_not_overwritten),
		TEST(test_case),
		TEST(test_names_change_behind),
		TEST(test_names_that_windows_lacks),
		TEST(test_target_folder),
		TEST(test_links),
		TEST(test_special_files),
		TEST(test_read_only_drive),
	};

	return cmocka_run_group_tests_name("create", tests, NULL, NULL);
}
