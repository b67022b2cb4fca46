/* SPDX-License-Identifier: MIT */
/*
 * Every type of request but CREATE: what it does, what it answers, and what it refuses.
 */
#include "tests/ioctl/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct answer answer;
static struct message message;

/* --- Data --- */

static void test_read_and_write(void **state)
{
	struct harness *harness = *state;
	uint64_t file = open_file(harness, "\\f", FILE_CREATE, 0);

	assert_status(send_read(harness, file, 0, 10, &answer), STATUS_END_OF_FILE);
	assert_status(send_read(harness, file, 0, 0, &answer), STATUS_SUCCESS);
	assert_status(send_write(harness, file, 3, "hello", 5, 0, &answer), STATUS_SUCCESS);
	assert_true(answer.out.information == 5 && answer.out.file.size == 8);
	assert_status(send_read(harness, file, 0, 100, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.data, 8);
	assert_memory_equal(answer.data, "\0\0\0hello", 8);
	assert_status(send_read(harness, file, 8, 1, &answer), STATUS_END_OF_FILE);
	/* Appending goes to the end whatever the offset says. */
	assert_status(send_write(harness, file, UINT64_MAX, "!!", 2, FS_IO_APPEND, &answer), STATUS_SUCCESS);
	assert_true(answer.out.file.size == 10);
	/* A paging write stops at the end. */
	assert_status(send_write(harness, file, 8, "abcd", 4, FS_IO_PAGING, &answer), STATUS_SUCCESS);
	assert_true(answer.out.information == 2 && answer.out.file.size == 10);
	assert_status(send_write(harness, file, 10, "abcd", 4, FS_IO_PAGING, &answer), STATUS_SUCCESS);
	assert_true(answer.out.information == 0 && answer.out.file.size == 10);
	assert_status(send_read(harness, file, 3, 7, &answer), STATUS_SUCCESS);
	assert_memory_equal(answer.data, "helloab", 7);
	assert_status(send_simple(harness, FS_FLUSH, file, NULL), STATUS_SUCCESS);
	assert_status(send_simple(harness, FS_FLUSH, 0, NULL), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	assert_status(send_read(harness, file, 0, 1, NULL), STATUS_INVALID_HANDLE);
	assert_status(send_close(harness, file), STATUS_INVALID_HANDLE);
}

static void test_data_refused(void **state)
{
	struct harness *harness = *state;
	struct opening as = {.disposition = FILE_CREATE, .access = FILE_READ_ATTRIBUTES};
	uint64_t folder, file;

	make_folder_at(harness, "\\d");
	folder = open_file(harness, "\\d", FILE_OPEN, 0);
	assert_status(send_read(harness, folder, 0, 1, NULL), STATUS_INVALID_DEVICE_REQUEST);
	assert_status(send_write(harness, folder, 0, "x", 1, 0, NULL), STATUS_INVALID_DEVICE_REQUEST);
	assert_status(send_simple(harness, FS_OVERWRITE, folder, NULL), STATUS_INVALID_DEVICE_REQUEST);
	assert_status(send_simple(harness, FS_FLUSH, folder, NULL), STATUS_SUCCESS);
	message_begin(harness, &message, FS_SET_SIZE, folder);
	message.in.u.set_size.what = FS_SIZE_END;
	assert_status(message_send(harness, &message, NULL), STATUS_INVALID_PARAMETER);
	assert_status(send_close(harness, folder), STATUS_SUCCESS);

	assert_status(send_create(harness, "\\f", &as, &answer), STATUS_SUCCESS);
	file = answer.out.u.created.file;
	assert_status(send_read(harness, file, 0, 1, NULL), STATUS_ACCESS_DENIED);
	assert_status(send_write(harness, file, 0, "x", 1, 0, NULL), STATUS_ACCESS_DENIED);
	assert_status(send_query(harness, file, &answer), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);

	/* Only reading. */
	as = (struct opening){.disposition = FILE_OPEN, .access = FILE_GENERIC_READ};
	assert_status(send_create(harness, "\\f", &as, &answer), STATUS_SUCCESS);
	file = answer.out.u.created.file;
	assert_status(send_write(harness, file, 0, "x", 1, 0, NULL), STATUS_ACCESS_DENIED);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

static int32_t set_size(struct harness *harness, uint64_t file, uint32_t what, uint64_t size)
{
	message_begin(harness, &message, FS_SET_SIZE, file);
	message.in.u.set_size.what = what;
	message.in.u.set_size.size = size;
	return message_send(harness, &message, &answer);
}

static void test_set_size(void **state)
{
	struct harness *harness = *state;
	uint64_t file;

	make_file_at(harness, "\\f", "0123456789");
	file = open_file(harness, "\\f", FILE_OPEN, 0);
	assert_status(set_size(harness, file, FS_SIZE_END, 5), STATUS_SUCCESS);
	assert_true(answer.out.file.size == 5);
	assert_status(set_size(harness, file, FS_SIZE_ALLOCATION, 100000), STATUS_SUCCESS);
	assert_true(answer.out.file.size == 5 && answer.out.file.allocated >= 100000);
	assert_status(set_size(harness, file, FS_SIZE_ALLOCATION, 3), STATUS_SUCCESS);
	assert_true(answer.out.file.size == 3);
	assert_status(set_size(harness, file, FS_SIZE_END, (uint64_t)1 << 50), STATUS_SUCCESS);
	assert_status(set_size(harness, file, FS_SIZE_END, (uint64_t)1 << 63), STATUS_INVALID_PARAMETER);
	assert_status(set_size(harness, file, 3, 1), STATUS_INVALID_PARAMETER);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

static void test_disk_full(void **state)
{
	struct harness *harness = *state;
	static const char block[32768];
	uint64_t file = open_file(harness, "\\f", FILE_CREATE, 0), at = 0;
	int32_t status;

	do {
		status = send_write(harness, file, at, block, sizeof(block), 0, &answer);
		at += answer.out.information;
	} while (status == STATUS_SUCCESS);
	assert_status(status, STATUS_DISK_FULL);
	assert_true(at > 32u << 20 && at <= 64u << 20);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

static void test_overwrite(void **state)
{
	struct harness *harness = *state;
	struct opening as = {.disposition = FILE_OVERWRITE_IF, .attributes = FILE_ATTRIBUTE_HIDDEN};
	uint64_t file;

	make_file_at(harness, "\\f", "content");
	assert_status(send_create(harness, "\\f", &as, &answer), STATUS_SUCCESS);
	file = answer.out.u.created.file;
	/* Opened only: OVERWRITE is to come. */
	assert_true(answer.out.file.size == 7);
	message_begin(harness, &message, FS_OVERWRITE, file);
	message.in.u.overwrite.attributes = FILE_ATTRIBUTE_HIDDEN;
	message.in.u.overwrite.allocation = 8192;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	assert_true(answer.out.file.size == 0 && answer.out.file.allocated >= 8192);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_ARCHIVE);
	message_begin(harness, &message, FS_OVERWRITE, file);
	message.in.u.overwrite.attributes = FILE_ATTRIBUTE_SYSTEM;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.attributes,
			 FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE);
	message_begin(harness, &message, FS_OVERWRITE, file);
	message.in.u.overwrite.supersede = 1;
	message.in.u.overwrite.attributes = FILE_ATTRIBUTE_READONLY;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_ARCHIVE);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

/* --- Attributes and security --- */

static void test_basic(void **state)
{
	struct harness *harness = *state;
	uint64_t file = open_file(harness, "\\f", FILE_CREATE, 0), folder, written;

	assert_status(send_query(harness, file, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_ARCHIVE);
	assert_true(answer.out.file.created && answer.out.file.written && answer.out.file.changed);
	assert_int_equal(answer.out.file.links, 1);
	written = answer.out.file.written;
	message_begin(harness, &message, FS_SET_BASIC, file);
	message.in.u.basic.accessed = 130000000000000010;
	message.in.u.basic.attributes = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	assert_true(answer.out.file.accessed == 130000000000000010 && answer.out.file.written == written);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN);
	message_begin(harness, &message, FS_SET_BASIC, file);
	message.in.u.basic.written = 130000000000000020;
	message.in.u.basic.changed = 130000000000000030;
	message.in.u.basic.created = UINT64_MAX;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	assert_true(answer.out.file.written == 130000000000000020 && answer.out.file.changed == 130000000000000030);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN);
	message_begin(harness, &message, FS_SET_BASIC, file);
	message.in.u.basic.attributes = FILE_ATTRIBUTE_NORMAL;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_NORMAL);
	message_begin(harness, &message, FS_SET_BASIC, file);
	message.in.u.basic.attributes = FILE_ATTRIBUTE_DIRECTORY;
	assert_status(message_send(harness, &message, NULL), STATUS_INVALID_PARAMETER);
	assert_status(send_close(harness, file), STATUS_SUCCESS);

	folder = open_file(harness, "\\d", FILE_CREATE, FILE_DIRECTORY_FILE);
	message_begin(harness, &message, FS_SET_BASIC, folder);
	message.in.u.basic.attributes = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_DIRECTORY;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.attributes, FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_DIRECTORY);
	assert_status(send_close(harness, folder), STATUS_SUCCESS);
	/* Read-only of a folder is a mark, not a lock. */
	make_file_at(harness, "\\d\\inside", NULL);
}

static void test_security(void **state)
{
	struct harness *harness = *state;
	uint64_t file = open_file(harness, "\\f", FILE_CREATE, 0);
	uint8_t descriptor[1024];
	struct dw_entry entry;
	uint32_t size;

	message_begin(harness, &message, FS_QUERY_SECURITY, file);
	message.in.u.security.information = 7;
	message.in.u.security.room = 1024;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	size = answer.out.data;
	memcpy(descriptor, answer.data, size);
	message_begin(harness, &message, FS_QUERY_SECURITY, file);
	message.in.u.security.information = 7;
	message.in.u.security.room = size - 1;
	assert_status(message_send(harness, &message, &answer), STATUS_BUFFER_OVERFLOW);
	assert_true(answer.out.data == 0 && answer.out.information == 0);
	/* Back as it was, after a change behind. */
	assert_int_equal(do_lookup(harness->fs, DW_NODE_ROOT, "f", &entry), 0);
	assert_int_equal(entry.attr.mode & 0777, 0644);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(do_setattr(harness->fs, entry.node,
				    &(struct dw_setattr){.valid = DW_SET_MODE | DW_SET_UID, .mode = 04600, .uid = 5},
				    &entry.attr),
			 0);
	message_begin(harness, &message, FS_SET_SECURITY, file);
	message.in.u.security.information = 7;
	message.in.u.security.descriptor = message_bytes(&message, descriptor, size);
	assert_status(message_send(harness, &message, NULL), STATUS_SUCCESS);
	assert_int_equal(do_getattr(harness->fs, entry.node, &entry.attr), 0);
	assert_int_equal(entry.attr.mode & 0777, 0644);
	assert_int_equal(entry.attr.uid, 1000);
	do_forget(harness->fs, entry.node, 1);
	message_begin(harness, &message, FS_SET_SECURITY, file);
	message.in.u.security.information = 7;
	message.in.u.security.descriptor = message_bytes(&message, descriptor, 19);
	assert_status(message_send(harness, &message, NULL), STATUS_INVALID_SECURITY_DESCR);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

static void test_volume(void **state)
{
	struct harness *harness = *state;
	static const uint16_t label[] = {'N', 'e', 'w'};

	assert_status(send_simple(harness, FS_QUERY_VOLUME, 0, &answer), STATUS_SUCCESS);
	assert_true(answer.out.u.volume.total == 64u << 20);
	assert_true(answer.out.u.volume.free <= answer.out.u.volume.total && answer.out.u.volume.free > 0);
	assert_int_equal(answer.out.u.volume.unit, 4096);
	assert_int_equal(answer.out.u.volume.name_max, 255);
	assert_int_equal(answer.out.u.volume.label_length, 8);
	assert_int_equal(answer.out.u.volume.label[0], 'T');
	message_begin(harness, &message, FS_SET_LABEL, 0);
	message.in.u.text = message_bytes(&message, label, sizeof(label));
	assert_status(message_send(harness, &message, NULL), STATUS_SUCCESS);
	assert_status(send_simple(harness, FS_QUERY_VOLUME, 0, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.u.volume.label_length, 6);
	assert_memory_equal(answer.out.u.volume.label, label, 6);
	/* It stays over a restart. */
	harness_restart(harness);
	assert_status(send_simple(harness, FS_QUERY_VOLUME, 0, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.u.volume.label_length, 6);
}

/* --- Names --- */

static int32_t rename_at(struct harness *harness, const char *from, const char *to, uint32_t flags)
{
	const struct opening as = {.disposition = FILE_OPEN, .access = DELETE, .options = FILE_OPEN_REPARSE_POINT};
	uint64_t file;
	int32_t status = send_create(harness, from, &as, &answer);

	if (status)
		return status;
	file = answer.out.u.created.file;
	status = send_rename(harness, file, from, to, flags);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	return status;
}

static void test_rename(void **state)
{
	struct harness *harness = *state;
	char names[256];

	make_folder_at(harness, "\\d");
	make_folder_at(harness, "\\d\\e");
	make_file_at(harness, "\\a", "a");
	make_file_at(harness, "\\b", "bb");
	assert_status(rename_at(harness, "\\a", "\\B", 0), STATUS_OBJECT_NAME_COLLISION);
	assert_status(rename_at(harness, "\\a", "\\none\\x", 0), STATUS_OBJECT_PATH_NOT_FOUND);
	assert_status(rename_at(harness, "\\a", "\\b\\x", 0), STATUS_OBJECT_PATH_NOT_FOUND);
	assert_status(rename_at(harness, "\\a", "\\x:y", 0), STATUS_OBJECT_NAME_INVALID);
	assert_status(rename_at(harness, "\\a", "\\", FS_RENAME_REPLACE), STATUS_ACCESS_DENIED);
	assert_status(rename_at(harness, "\\a", "\\d", FS_RENAME_REPLACE), STATUS_ACCESS_DENIED);
	assert_status(rename_at(harness, "\\d", "\\a", FS_RENAME_REPLACE), STATUS_ACCESS_DENIED);
	assert_status(rename_at(harness, "\\d", "\\d\\e\\x", 0), STATUS_INVALID_PARAMETER);
	/* To itself, and to itself in other letters. */
	assert_status(rename_at(harness, "\\a", "\\a", 0), STATUS_SUCCESS);
	assert_status(rename_at(harness, "\\a", "\\A", 0), STATUS_SUCCESS);
	list_names(harness, "\\", "*", HARNESS_ROOM, names, sizeof(names));
	assert_non_null(strstr(names, "A|"));
	assert_null(strstr(names, "a|"));
	/* A target in other letters is replaced and gets those that were asked for. */
	assert_status(rename_at(harness, "\\a", "\\B", FS_RENAME_REPLACE), STATUS_SUCCESS);
	list_names(harness, "\\", "*", HARNESS_ROOM, names, sizeof(names));
	assert_string_equal(names, "d|B|");
	/* Into a folder, and a folder with what is in it. */
	assert_status(rename_at(harness, "\\b", "\\D\\E\\file", 0), STATUS_SUCCESS);
	assert_status(rename_at(harness, "\\d\\e", "\\e2", 0), STATUS_SUCCESS);
	list_names(harness, "\\e2", "*", HARNESS_ROOM, names, sizeof(names));
	assert_string_equal(names, ".|..|file|");
	assert_status(rename_at(harness, "\\none", "\\x", 0), STATUS_OBJECT_NAME_NOT_FOUND);
}

static void test_rename_read_only_target(void **state)
{
	struct harness *harness = *state;
	const struct opening as = {.disposition = FILE_CREATE, .attributes = FILE_ATTRIBUTE_READONLY};

	make_file_at(harness, "\\a", NULL);
	assert_status(send_create(harness, "\\fixed", &as, &answer), STATUS_SUCCESS);
	assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
	assert_status(rename_at(harness, "\\a", "\\fixed", FS_RENAME_REPLACE), STATUS_ACCESS_DENIED);
}

/* What another program has put at the path is not touched. */
static void test_rename_of_another(void **state)
{
	struct harness *harness = *state;
	uint64_t file;

	make_file_at(harness, "\\a", NULL);
	file = open_file(harness, "\\a", FILE_OPEN, 0);
	assert_status(rename_at(harness, "\\a", "\\b", 0), STATUS_SUCCESS);
	make_file_at(harness, "\\a", "other");
	assert_status(send_rename(harness, file, "\\a", "\\c", 0), STATUS_OBJECT_NAME_NOT_FOUND);
	assert_status(send_cleanup(harness, file, "\\a"), STATUS_OBJECT_NAME_NOT_FOUND);
	assert_status(send_cleanup(harness, file, "\\b"), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	assert_status(delete_at(harness, "\\b"), STATUS_OBJECT_NAME_NOT_FOUND);
	assert_status(delete_at(harness, "\\a"), STATUS_SUCCESS);
}

static void test_hard_links(void **state)
{
	struct harness *harness = *state;
	char names[256];
	uint64_t file;

	make_folder_at(harness, "\\d");
	make_file_at(harness, "\\a", "aaa");
	make_file_at(harness, "\\b", NULL);
	assert_status(rename_at(harness, "\\a", "\\c", FS_RENAME_LINK), STATUS_SUCCESS);
	assert_status(rename_at(harness, "\\a", "\\B", FS_RENAME_LINK), STATUS_OBJECT_NAME_COLLISION);
	assert_status(rename_at(harness, "\\d", "\\x", FS_RENAME_LINK), STATUS_FILE_IS_A_DIRECTORY);
	assert_status(rename_at(harness, "\\a", "\\B", FS_RENAME_LINK | FS_RENAME_REPLACE), STATUS_SUCCESS);
	file = open_file(harness, "\\b", FILE_OPEN, 0);
	assert_status(send_query(harness, file, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.links, 3);
	assert_true(answer.out.file.size == 3);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	/* One name of a file onto another one. */
	assert_status(rename_at(harness, "\\a", "\\c", FS_RENAME_REPLACE), STATUS_SUCCESS);
	list_names(harness, "\\", "*", HARNESS_ROOM, names, sizeof(names));
	assert_null(strstr(names, "a|"));
	assert_non_null(strstr(names, "c|"));
}

static void test_deletion(void **state)
{
	struct harness *harness = *state;
	uint64_t file, folder;

	make_folder_at(harness, "\\d");
	file = open_file(harness, "\\d\\f", FILE_CREATE, 0);
	folder = open_file(harness, "\\d", FILE_OPEN, 0);
	assert_status(send_simple(harness, FS_CAN_DELETE, folder, NULL), STATUS_DIRECTORY_NOT_EMPTY);
	assert_status(send_cleanup(harness, folder, "\\d"), STATUS_DIRECTORY_NOT_EMPTY);
	assert_status(send_simple(harness, FS_CAN_DELETE, file, NULL), STATUS_SUCCESS);
	assert_status(send_cleanup(harness, file, "\\d\\f"), STATUS_SUCCESS);
	/* Without a name, but open: it can be read and written still. */
	assert_status(send_write(harness, file, 0, "x", 1, 0, NULL), STATUS_SUCCESS);
	assert_status(send_read(harness, file, 0, 1, &answer), STATUS_SUCCESS);
	assert_status(send_query(harness, file, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.links, 0);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	assert_status(send_simple(harness, FS_CAN_DELETE, folder, NULL), STATUS_SUCCESS);
	assert_status(send_cleanup(harness, folder, "\\d"), STATUS_SUCCESS);
	assert_status(send_close(harness, folder), STATUS_SUCCESS);
	folder = open_file(harness, "\\", FILE_OPEN, 0);
	assert_status(send_simple(harness, FS_CAN_DELETE, folder, NULL), STATUS_CANNOT_DELETE);
	assert_status(send_cleanup(harness, folder, "\\"), STATUS_CANNOT_DELETE);
	assert_status(send_close(harness, folder), STATUS_SUCCESS);
}

/* --- Listings --- */

static void test_list(void **state)
{
	struct harness *harness = *state;
	static char names[65536], again[65536];
	char path[64];
	uint64_t folder;

	make_folder_at(harness, "\\d");
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "\\d\\File%03d.%s", i, i % 3 ? "txt" : "c");
		make_file_at(harness, path, NULL);
	}
	list_names(harness, "\\d", "", HARNESS_ROOM, names, sizeof(names));
	assert_memory_equal(names, ".|..|File000.c|File001.txt|", 27);
	/* The same in small pieces. */
	for (uint32_t room = 120; room < 5000; room += 613) {
		list_names(harness, "\\d", "*", room, again, sizeof(again));
		assert_string_equal(names, again);
	}
	list_names(harness, "\\d", "*29>.C", 200, names, sizeof(names));
	assert_string_equal(names, "File129.c|File291.c|File294.c|File297.c|");
	list_names(harness, "\\d", "file007.TXT", 200, names, sizeof(names));
	assert_string_equal(names, "File007.txt|");
	list_names(harness, "\\d", ".", 200, names, sizeof(names));
	assert_string_equal(names, ".|");
	list_names(harness, "\\d", "none", 200, names, sizeof(names));
	assert_string_equal(names, "");
	list_names(harness, "\\d", "x*", 200, names, sizeof(names));
	assert_string_equal(names, "");
	list_names(harness, "\\", "*", 200, names, sizeof(names));
	assert_string_equal(names, "d|");

	folder = open_file(harness, "\\d", FILE_OPEN, 0);
	assert_status(send_list(harness, folder, "*", 0, 60, NULL), STATUS_BUFFER_TOO_SMALL);
	message_begin(harness, &message, FS_LIST, folder);
	message.in.u.list.room = 1000;
	message.in.u.list.flags = FS_LIST_ONE;
	assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.data, sizeof(struct fs_entry) + 8);
	/* A marker that was never given out. */
	assert_status(send_list(harness, folder, "*", (uint64_t)1 << 40, 1000, NULL), STATUS_INVALID_PARAMETER);
	assert_status(send_close(harness, folder), STATUS_SUCCESS);
	folder = open_file(harness, "\\d\\File000.c", FILE_OPEN, 0);
	assert_status(send_list(harness, folder, "*", 0, 1000, NULL), STATUS_INVALID_PARAMETER);
	assert_status(send_close(harness, folder), STATUS_SUCCESS);
}

/* What an entry tells is what a query tells, "." and ".." included. */
static void test_list_attributes(void **state)
{
	struct harness *harness = *state;
	struct fs_entry entry;
	struct fs_file root, folder;
	uint64_t file;

	make_folder_at(harness, "\\d");
	make_file_at(harness, "\\d\\f", "12345");
	file = open_file(harness, "\\", FILE_OPEN, 0);
	assert_status(send_query(harness, file, &answer), STATUS_SUCCESS);
	root = answer.out.file;
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	file = open_file(harness, "\\d", FILE_OPEN, 0);
	assert_status(send_query(harness, file, &answer), STATUS_SUCCESS);
	folder = answer.out.file;
	assert_status(send_list(harness, file, "", 0, 1000, &answer), STATUS_SUCCESS);
	memcpy(&entry, answer.data, sizeof(entry));
	assert_memory_equal(&entry.file, &folder, sizeof(folder));
	memcpy(&entry, answer.data + entry.size, sizeof(entry));
	entry.file.accessed = root.accessed;
	assert_memory_equal(&entry.file, &root, sizeof(root));
	memcpy(&entry, answer.data + 2 * (size_t)entry.size, sizeof(entry));
	assert_true(entry.file.size == 5 && entry.file.attributes == FILE_ATTRIBUTE_ARCHIVE);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

/* --- Reparse points --- */

static int32_t control(struct harness *harness, uint64_t file, uint32_t code, const void *input, uint32_t size)
{
	message_begin(harness, &message, FS_FILE_CONTROL, file);
	message.in.u.control.code = code;
	message.in.u.control.room = 20000;
	message.in.u.control.input = message_bytes(&message, input, size);
	return message_send(harness, &message, &answer);
}

/* A REPARSE_DATA_BUFFER as mklink makes it. */
static uint32_t build(uint8_t *out, const char *target, bool relative)
{
	uint32_t length = 2 * (uint32_t)strlen(target);
	uint16_t head[10] = {0x000c, 0xa000, (uint16_t)(12 + length), 0, 0, (uint16_t)length, 0, 0, relative, 0};

	memcpy(out, head, sizeof(head));
	for (uint32_t i = 0; i < length / 2; i++) {
		out[20 + 2 * i] = (uint8_t)target[i];
		out[21 + 2 * i] = 0;
	}
	return 20 + length;
}

static void check_link(struct harness *harness, const char *path, const char *name, const char *target, bool relative,
		       uint32_t attributes)
{
	const struct opening as = {.disposition = FILE_OPEN, .options = FILE_OPEN_REPARSE_POINT};
	uint8_t buffer[256], expected[256];
	struct request request;
	struct dw_entry entry;
	char bytes[64] = "";
	size_t length = sizeof(bytes) - 1;
	uint32_t size = build(expected, target, relative);
	uint16_t substitute;
	uint64_t file;

	assert_int_equal(do_lookup(harness->fs, DW_NODE_ROOT, path + 1, &entry), 0);
	assert_int_equal(harness->fs->ops->readlink(harness->fs, request_new(&request), entry.node, bytes, &length), 0);
	assert_string_equal(bytes, name);
	do_forget(harness->fs, entry.node, 1);
	assert_status(send_create(harness, path, &as, &answer), STATUS_SUCCESS);
	file = answer.out.u.created.file;
	assert_int_equal(answer.out.file.attributes, attributes);
	assert_status(control(harness, file, FSCTL_GET_REPARSE_POINT, NULL, 0), STATUS_SUCCESS);
	assert_true(answer.out.data < sizeof(buffer));
	memcpy(buffer, answer.data, answer.out.data);
	memcpy(&substitute, buffer + 10, sizeof(substitute));
	assert_int_equal(substitute, size - 20);
	assert_memory_equal(buffer + 20, expected + 20, substitute);
	assert_int_equal(buffer[16], relative);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

static void set_link(struct harness *harness, const char *path, bool folder, const char *target, bool relative)
{
	uint8_t buffer[256];
	uint64_t file = open_file(harness, path, FILE_CREATE, folder ? FILE_DIRECTORY_FILE : 0);

	assert_status(control(harness, file, FSCTL_SET_REPARSE_POINT, buffer, build(buffer, target, relative)),
		      STATUS_SUCCESS);
	assert_status(send_cleanup(harness, file, NULL), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

static void test_reparse_points(void **state)
{
	struct harness *harness = *state;
	const uint32_t link = FILE_ATTRIBUTE_REPARSE_POINT;
	uint8_t buffer[256];
	uint64_t file;
	uint32_t size;

	make_folder_at(harness, "\\d");
	make_file_at(harness, "\\d\\f", "1");
	set_link(harness, "\\l1", false, "d\\f", true);
	check_link(harness, "\\l1", "d/f", "d\\f", true, link);
	set_link(harness, "\\l2", true, "\\d", true);
	check_link(harness, "\\l2", "/d", "\\d", true, link | FILE_ATTRIBUTE_DIRECTORY);
	set_link(harness, "\\l3", false, "\\??\\C:\\x", false);
	check_link(harness, "\\l3", "C:/x", "\\??\\C:\\x", false, link);
	set_link(harness, "\\l4", false, "\\??\\UNC\\host\\x", false);
	check_link(harness, "\\l4", "//host/x", "\\??\\UNC\\host\\x", false, link);
	assert_status(send_close(harness, open_file(harness, "\\L2\\F", FILE_OPEN, 0)), STATUS_SUCCESS);

	/* A link is given another target. */
	file = open_file(harness, "\\l1", FILE_OPEN, FILE_OPEN_REPARSE_POINT);
	size = build(buffer, "d", true);
	assert_status(control(harness, file, FSCTL_SET_REPARSE_POINT, buffer, size), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	check_link(harness, "\\l1", "d", "d", true, link | FILE_ATTRIBUTE_DIRECTORY);

	/* What is no link, not empty, or not a buffer of one. */
	file = open_file(harness, "\\d\\f", FILE_OPEN, 0);
	assert_status(control(harness, file, FSCTL_GET_REPARSE_POINT, NULL, 0), STATUS_NOT_A_REPARSE_POINT);
	assert_status(control(harness, file, FSCTL_SET_REPARSE_POINT, buffer, size), STATUS_NOT_SUPPORTED);
	assert_status(control(harness, file, 0x90000, buffer, size), STATUS_INVALID_DEVICE_REQUEST);
	assert_status(control(harness, file, FSCTL_DELETE_REPARSE_POINT, buffer, 8), STATUS_NOT_SUPPORTED);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	file = open_file(harness, "\\d", FILE_OPEN, 0);
	assert_status(control(harness, file, FSCTL_SET_REPARSE_POINT, buffer, size), STATUS_DIRECTORY_NOT_EMPTY);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	file = open_file(harness, "\\new", FILE_CREATE, 0);
	for (uint32_t cut = 0; cut < size; cut++)
		assert_status(control(harness, file, FSCTL_SET_REPARSE_POINT, buffer, cut),
			      STATUS_IO_REPARSE_DATA_INVALID);
	buffer[0] = 3; /* a junction */
	assert_status(control(harness, file, FSCTL_SET_REPARSE_POINT, buffer, size), STATUS_NOT_SUPPORTED);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

/* --- Ids --- */

static void test_ids(void **state)
{
	struct harness *harness = *state;
	uint64_t first, second;

	make_file_at(harness, "\\f", NULL);
	first = open_file(harness, "\\f", FILE_OPEN, 0);
	assert_int_equal(volume_open_files(harness->volume), 1);
	assert_status(send_close(harness, first), STATUS_SUCCESS);
	second = open_file(harness, "\\f", FILE_OPEN, 0);
	assert_true(first != second && first % VOLUME_FILES != second % VOLUME_FILES);
	assert_status(send_query(harness, first, NULL), STATUS_INVALID_HANDLE);
	assert_status(send_query(harness, second + VOLUME_FILES, NULL), STATUS_INVALID_HANDLE);
	assert_status(send_query(harness, 0, NULL), STATUS_INVALID_HANDLE);
	assert_status(send_close(harness, second), STATUS_SUCCESS);
	assert_status(send_simple(harness, FS_DISK_ADDED, 0, NULL), STATUS_INVALID_DEVICE_REQUEST);
	assert_status(send_simple(harness, FS_CANCEL, 0, NULL), STATUS_SUCCESS);
	assert_status(send_simple(harness, FS_TYPES, 0, NULL), STATUS_INVALID_PARAMETER);
	assert_int_equal(volume_open_files(harness->volume), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_set_up, harness_tear_down)
		TEST(test_read_and_write),
		TEST(test_data_refused),
		TEST(test_set_size),
		TEST(test_disk_full),
		TEST(test_overwrite),
		TEST(test_basic),
		TEST(test_security),
		TEST(test_volume),
		TEST(test_rename),
		TEST(test_rename_read_only_target),
		TEST(test_rename_of_another),
		TEST(test_hard_links),
		TEST(test_deletion),
		TEST(test_list),
		TEST(test_list_attributes),
		TEST(test_reparse_points),
		TEST(test_ids),
	};

	return cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}
