/* SPDX-License-Identifier: MIT */
/* Extended attributes and ACLs: which are shown, to whom, in which form, and that they are kept with the index. */
#include "tests/archive/client.h"
#include "tests/archive/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ACCESS	 "system.posix_acl_access"
#define DEFAULTS "system.posix_acl_default"
#define NOBODY	 65534u

struct room {
	char *folder;
	char path[4096];
	FILE *file;
	struct client_host host;
	struct client client;
};

static int set_up(void **state)
{
	struct room *room = calloc(1, sizeof(*room));

	room->folder = client_folder();
	snprintf(room->path, sizeof(room->path), "%s/it", room->folder);
	room->file = fopen(room->path, "w");
	client_host_init(&room->host);
	*state = room;
	return room->file ? 0 : -1;
}

static int tear_down(void **state)
{
	struct room *room = *state;

	client_close(&room->client);
	client_host_free(&room->host);
	if (room->file)
		fclose(room->file);
	client_remove(room->folder);
	free(room);
	return 0;
}

static void open_room(struct room *room)
{
	if (room->file) {
		tarball_end(room->file);
		fclose(room->file);
		room->file = NULL;
	}
	client_close(&room->client);
	if (client_open(&room->client, &room->host, room->path, room->folder, NULL, false))
		fail_msg("%s", room->client.error);
}

static void check_names(struct room *room, const char *path, uint32_t uid, const char *names)
{
	struct dw_entry entry;
	char text[1024];

	assert_int_equal(client_find(&room->client, path, &entry), 0);
	assert_int_equal(client_attributes(&room->client, entry.node, uid, text, sizeof(text)), 0);
	assert_string_equal(text, names);
}

static void check_value(struct room *room, const char *path, const char *name, const void *value, size_t size)
{
	struct dw_entry entry;
	char bytes[1024];
	size_t got = sizeof(bytes);

	assert_int_equal(client_find(&room->client, path, &entry), 0);
	assert_int_equal(client_attribute(&room->client, entry.node, name, bytes, &got), 0);
	assert_int_equal(got, size);
	assert_memory_equal(bytes, value, size);
}

static int value_error(struct room *room, const char *path, const char *name, size_t size)
{
	struct dw_entry entry;
	char bytes[1024];

	assert_int_equal(client_find(&room->client, path, &entry), 0);
	return client_attribute(&room->client, entry.node, name, bytes, &size);
}

static void test_families(void **state)
{
	struct room *room = *state;

	tarball_pax(room->file, "SCHILY.xattr.user.colour=red\n"
				"SCHILY.xattr.user.empty=\n"
				"LIBARCHIVE.xattr.user.encoded=AAEC\n"
				"SCHILY.xattr.trusted.secret=for root\n"
				"SCHILY.xattr.security.capability=power\n"
				"SCHILY.xattr.system.posix_acl_access=raw\n"
				"SCHILY.xattr.user.=nameless\n"
				"SCHILY.xattr.foreign=x");
	tarball_member(room->file, '0', "file", NULL, 4, "data");
	tarball_pax(room->file, "SCHILY.xattr.user.colour=red\n"
				"SCHILY.xattr.trusted.secret=for root");
	tarball_member(room->file, '2', "link", "file", 0, NULL);
	tarball_member(room->file, '0', "bare", NULL, 4, "data");
	/* The second time from the index that was kept. */
	for (int round = 0; round < 2; round++) {
		open_room(room);
		check_names(room, "file", 0, "trusted.secret\nuser.colour\nuser.empty\nuser.encoded\n");
		check_names(room, "file", NOBODY, "user.colour\nuser.empty\nuser.encoded\n");
		check_names(room, "file", UINT32_MAX, "user.colour\nuser.empty\nuser.encoded\n");
		check_names(room, "link", 0, "trusted.secret\n");
		check_names(room, "bare", 0, "");
		check_names(room, "", 0, "");
		check_value(room, "file", "user.colour", "red", 3);
		check_value(room, "file", "user.empty", "", 0);
		check_value(room, "file", "user.encoded", "\0\1\2", 3);
		check_value(room, "file", "trusted.secret", "for root", 8);
		assert_int_equal(value_error(room, "file", "security.capability", 100), -ENODATA);
		assert_int_equal(value_error(room, "file", ACCESS, 100), -ENODATA);
		assert_int_equal(value_error(room, "bare", "user.colour", 100), -ENODATA);
		assert_int_equal(value_error(room, "file", "user.colour", 2), -ERANGE);
		assert_int_equal(value_error(room, "file", "user.colour", 0), 0);
		assert_false(room->client.fs->flags & DW_FS_ACL);
	}
}

/* A list of the kernel's form: version 2, then tag, permissions and id of each line. */
struct line {
	uint8_t tag;
	uint8_t permissions;
	uint32_t id;
};

static void check_list(struct room *room, const char *path, const char *name, const struct line *lines, size_t count)
{
	unsigned char bytes[256] = {2};
	size_t size = 4;

	for (size_t i = 0; i < count; i++, size += 8) {
		bytes[size] = lines[i].tag;
		bytes[size + 2] = lines[i].permissions;
		for (int j = 0; j < 4; j++)
			bytes[size + 4 + (size_t)j] = (unsigned char)(lines[i].id >> 8 * j);
	}
	check_value(room, path, name, bytes, size);
}

#define NO_ID UINT32_MAX

static void test_lists(void **state)
{
	static const struct line access[] = {{1, 6, NO_ID}, {2, 4, 7},	      {2, 7, 1000},    {4, 4, NO_ID},
					     {8, 5, 2000},  {0x10, 5, NO_ID}, {0x20, 0, NO_ID}};
	static const struct line defaults[] = {{1, 7, NO_ID}, {4, 5, NO_ID}, {0x20, 1, NO_ID}};
	static const struct line by_name[] = {{1, 6, NO_ID}, {2, 6, 0},	       {4, 4, NO_ID},
					      {8, 4, 0},     {0x10, 6, NO_ID}, {0x20, 4, NO_ID}};
	struct room *room = *state;
	struct dw_entry entry;

	tarball_pax(room->file, "SCHILY.acl.access=user::rw-,group::r--,other::---,user:x:rwx:1000,user:7:r--,"
				"group:y:r-x:2000,mask::r-x");
	tarball_member(room->file, '0', "file", NULL, 4, "data");
	tarball_pax(room->file, "SCHILY.acl.default=user::rwx,group::r-x,other::--x");
	tarball_member(room->file, '5', "folder", NULL, 0, NULL);
	/* As GNU tar writes it: names only, and here without a mask. */
	tarball_pax(room->file, "SCHILY.acl.access=user::rw-,user:root:rw-,group::r--,group:root:r--,other::r--");
	tarball_member(room->file, '0', "named", NULL, 4, "data");
	tarball_pax(room->file,
		    "SCHILY.acl.access=user::rw-,user:no such user here:rw-,group::r--,mask::rw-,other::r--");
	tarball_member(room->file, '0', "unknown", NULL, 4, "data");
	tarball_pax(room->file, "SCHILY.acl.access=user::rw-,group::r--,other::r--");
	tarball_member(room->file, '0', "plain", NULL, 4, "data");
	tarball_pax(room->file, "SCHILY.acl.default=user::rwx,group::r-x,other::--x");
	tarball_member(room->file, '0', "no folder", NULL, 4, "data");
	for (int round = 0; round < 2; round++) {
		open_room(room);
		check_list(room, "file", ACCESS, access, 7);
		check_names(room, "file", NOBODY, ACCESS "\n");
		assert_int_equal(client_find(&room->client, "file", &entry), 0);
		assert_int_equal(entry.attr.mode & 0777, 0650); /* the group bits are the mask */
		check_list(room, "folder", DEFAULTS, defaults, 3);
		check_names(room, "folder", NOBODY, DEFAULTS "\n");
		check_list(room, "named", ACCESS, by_name, 6);
		check_names(room, "unknown", 0, "");
		check_names(room, "plain", 0, "");
		check_names(room, "no folder", 0, "");
		assert_int_equal(room->client.fs->flags & DW_FS_ACL, DW_FS_ACL);
	}
}

/* Attributes go with the member: replaced by a later one, shared by hard links. */
static void test_members(void **state)
{
	struct room *room = *state;

	tarball_pax(room->file, "SCHILY.xattr.user.a=1");
	tarball_member(room->file, '0', "twice", NULL, 4, "data");
	tarball_pax(room->file, "SCHILY.xattr.user.b=2");
	tarball_member(room->file, '0', "twice", NULL, 4, "data");
	tarball_pax(room->file, "SCHILY.xattr.user.b=2");
	tarball_member(room->file, '0', "gone", NULL, 4, "data");
	tarball_member(room->file, '0', "gone", NULL, 4, "data");
	tarball_pax(room->file, "SCHILY.xattr.user.b=2");
	tarball_member(room->file, '0', "linked", NULL, 4, "data");
	tarball_member(room->file, '1', "other", "linked", 0, NULL);
	tarball_pax(room->file, "SCHILY.xattr.user.b=3");
	tarball_member(room->file, '5', "folder", NULL, 0, NULL);
	open_room(room);
	check_names(room, "twice", 0, "user.b\n");
	check_names(room, "gone", 0, "");
	check_names(room, "other", 0, "user.b\n");
	check_value(room, "linked", "user.b", "2", 1);
	check_value(room, "folder", "user.b", "3", 1);
}

/* A value of any bytes, written by the library; more than can be listed is cut off. */
static void test_written(void **state)
{
	struct room *room = *state;
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	struct dw_entry found;
	char name[256], *names = malloc(70000);
	char value[600];

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)(i * 37);
	archive_write_set_format_pax(archive);
	assert_int_equal(archive_write_open_filename(archive, room->path), ARCHIVE_OK);
	archive_entry_set_pathname(entry, "file");
	archive_entry_set_mode(entry, S_IFREG | 0644);
	archive_entry_xattr_add_entry(entry, "user.bytes", value, sizeof(value));
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	archive_entry_clear(entry);
	archive_entry_set_pathname(entry, "many");
	archive_entry_set_mode(entry, S_IFREG | 0644);
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "user.%0200d", i);
		archive_entry_xattr_add_entry(entry, name, "v", 1);
	}
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	archive_entry_free(entry);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
	fclose(room->file);
	room->file = NULL;
	open_room(room);
	check_value(room, "file", "user.bytes", value, sizeof(value));
	assert_int_equal(client_find(&room->client, "many", &found), 0);
	assert_int_equal(client_attributes(&room->client, found.node, 0, names, 70000), 0);
	assert_true(strlen(names) > 60000 && strlen(names) <= 65536);
	free(names);
}

/* Where no member has any there is nothing to ask. */
static void test_none(void **state)
{
	struct room *room = *state;

	tarball_pax(room->file, "SCHILY.xattr.security.selinux=label");
	tarball_member(room->file, '0', "file", NULL, 4, "data");
	open_room(room);
	assert_null(room->client.fs->ops->listxattr);
	assert_null(room->client.fs->ops->getxattr);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_families), TEST(test_lists), TEST(test_members), TEST(test_written), TEST(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
