/* SPDX-License-Identifier: MIT */
/* Archives that were made to do harm, or that are broken. */
#include "tests/archive/client.h"
#include "tests/archive/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

static int try_open(struct room *room, const char *options)
{
	fclose(room->file);
	room->file = NULL;
	return client_open(&room->client, &room->host, room->path, room->folder, options, false);
}

static void open_room(struct room *room)
{
	tarball_end(room->file);
	if (try_open(room, NULL))
		fail_msg("%s", room->client.error);
}

static void check_content(struct room *room, const char *path, const char *content)
{
	struct dw_entry entry;
	char text[256];
	size_t got;

	if (client_find(&room->client, path, &entry))
		fail_msg("%s is not there", path);
	assert_int_equal(entry.attr.mode & DW_MODE_TYPE, DW_MODE_FILE);
	assert_int_equal(entry.attr.size, strlen(content));
	assert_int_equal(client_read(&room->client, entry.node, text, sizeof(text), 0, &got), 0);
	assert_int_equal(got, strlen(content));
	assert_memory_equal(text, content, got);
}

static void check_missing(struct room *room, const char *path)
{
	struct dw_entry entry;
	int error = client_find(&room->client, path, &entry);

	assert_true(error == -ENOENT || error == -ENOTDIR);
}

static void check_names(struct room *room, const char *folder, const char *names)
{
	struct dw_entry entry;
	char text[4096];

	assert_int_equal(client_find(&room->client, folder, &entry), 0);
	assert_int_equal(client_list(&room->client, entry.node, text, sizeof(text)), 0);
	assert_string_equal(text, names);
}

static void test_paths(void **state)
{
	struct room *room = *state;

	tarball_member(room->file, '0', "../../outside", NULL, 1, "1");
	tarball_member(room->file, '0', "/etc/passwd", NULL, 1, "2");
	tarball_member(room->file, '0', "a//./b/../c", NULL, 1, "3");
	tarball_member(room->file, '0', "..", NULL, 1, "4");
	tarball_member(room->file, '5', "./", NULL, 0, NULL);
	tarball_member(room->file, '0', "caf\xe9", NULL, 1, "6"); /* Latin-1 */
	tarball_member(room->file, '0', "new\nline", NULL, 1, "7");
	tarball_long_member(room->file, '0', "raw \xe9 in pax", "8");
	open_room(room);
	check_names(room, "", "a\ncaf\xe9\netc\nnew\nline\noutside\nraw \xe9 in pax\n");
	check_content(room, "outside", "1");
	check_content(room, "etc/passwd", "2");
	check_content(room, "a/b/c", "3");
	check_content(room, "caf\xe9", "6");
	check_content(room, "new\nline", "7");
	check_content(room, "raw \xe9 in pax", "8");
	assert_non_null(strstr(room->host.log, "1 members are not shown"));
}

static void test_long_names(void **state)
{
	struct room *room = *state;
	char path[1024] = "f/", *deep;
	char names[1024], *rest;
	struct dw_entry entry;

	memset(path + 2, 'n', 300);
	memcpy(path + 302, "1", 2);
	tarball_long_member(room->file, '0', path, "one");
	path[302] = '2';
	tarball_long_member(room->file, '0', path, "two");
	memset(path + 2, 'm', 255);
	path[257] = 0;
	tarball_long_member(room->file, '0', path, "three");
	deep = malloc(2001);
	for (size_t i = 0; i < 2000; i += 2)
		memcpy(deep + i, "d/", 3);
	tarball_long_member(room->file, '5', deep, NULL);
	free(deep);
	open_room(room);
	check_content(room, path, "three");
	assert_int_equal(client_find(&room->client, "f", &entry), 0);
	assert_int_equal(client_list(&room->client, entry.node, names, sizeof(names)), 0);
	assert_int_equal(strlen(names), 3 * 256);
	check_missing(room, "d");
	for (char *name = strtok_r(names, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
		assert_int_equal(strlen(name), 255);
		if (name[0] == 'n')
			assert_int_equal(name[246], '~');
	}
}

static void test_conflicts(void **state)
{
	struct room *room = *state;

	tarball_member(room->file, '0', "twice", NULL, 5, "first");
	tarball_member(room->file, '0', "twice", NULL, 6, "second");
	tarball_member(room->file, '0', "file", NULL, 1, "x");
	tarball_member(room->file, '0', "file/below", NULL, 2, "it");
	tarball_member(room->file, '2', "link", "/etc", 0, NULL);
	tarball_member(room->file, '0', "link/passwd", NULL, 4, "mine");
	tarball_member(room->file, '0', "full/one", NULL, 3, "one");
	tarball_member(room->file, '0', "full", NULL, 4, "file");
	tarball_member(room->file, '5', "empty", NULL, 0, NULL);
	tarball_member(room->file, '0', "empty", NULL, 4, "file");
	tarball_member(room->file, '5', "full", NULL, 0, NULL);
	open_room(room);
	check_content(room, "twice", "second");
	check_content(room, "file/below", "it");
	check_content(room, "link/passwd", "mine");
	check_content(room, "full/one", "one");
	check_content(room, "empty", "file");
	check_names(room, "", "empty\nfile\nfull\nlink\ntwice\n");
}

static void test_hard_links(void **state)
{
	struct room *room = *state;
	struct dw_entry entry, other;

	tarball_member(room->file, '1', "early", "late", 0, NULL);
	tarball_member(room->file, '1', "self", "self", 0, NULL);
	tarball_member(room->file, '1', "x", "y", 0, NULL);
	tarball_member(room->file, '1', "y", "x", 0, NULL);
	tarball_member(room->file, '1', "nothing", "missing", 0, NULL);
	tarball_member(room->file, '0', "late", NULL, 4, "data");
	tarball_member(room->file, '1', "late", "late", 0, NULL);
	tarball_member(room->file, '5', "folder", NULL, 0, NULL);
	tarball_member(room->file, '1', "to folder", "folder", 0, NULL);
	tarball_member(room->file, '1', "outside", "../../late", 0, NULL);
	tarball_member(room->file, '0', "old", NULL, 3, "old");
	tarball_member(room->file, '1', "old2", "old", 0, NULL);
	tarball_member(room->file, '0', "old", NULL, 3, "new");
	tarball_member(room->file, '0', "own", NULL, 1, "1");
	tarball_member(room->file, '1', "own/below", "own", 0, NULL);
	open_room(room);
	check_names(room, "", "early\nfolder\nlate\nold\nold2\noutside\nown\n");
	check_content(room, "early", "data");
	check_content(room, "outside", "data");
	check_content(room, "old", "new");
	check_content(room, "old2", "old");
	assert_int_equal(client_find(&room->client, "early", &entry), 0);
	assert_int_equal(client_find(&room->client, "outside", &other), 0);
	assert_int_equal(entry.node, other.node);
	assert_int_equal(entry.attr.nlink, 3);
	assert_int_equal(client_find(&room->client, "old2", &entry), 0);
	assert_int_equal(entry.attr.nlink, 1);
}

static void test_truncated(void **state)
{
	struct room *room = *state;
	struct dw_entry entry;
	char text[4096];
	size_t got;

	tarball_member(room->file, '0', "whole", NULL, 5, "whole");
	tarball_member(room->file, '0', "cut", NULL, 1u << 30, "only this");
	if (try_open(room, NULL))
		fail_msg("%s", room->client.error);
	assert_non_null(strstr(room->host.log, "ends early"));
	check_content(room, "whole", "whole");
	assert_int_equal(client_find(&room->client, "cut", &entry), 0);
	assert_int_equal(entry.attr.size, 1u << 30);
	assert_int_equal(client_read(&room->client, entry.node, text, 512, 0, &got), 0);
	assert_int_equal(client_read(&room->client, entry.node, text, sizeof(text), 0, &got), -EIO);
	assert_int_equal(client_read(&room->client, entry.node, text, 16, (1u << 30) - 16, &got), -EIO);
}

static void test_no_archive(void **state)
{
	struct room *room = *state;

	for (int i = 0; i < 100; i++)
		fputs("this is a letter, not an archive\n", room->file);
	assert_int_equal(try_open(room, NULL), -EINVAL);
	assert_non_null(strstr(room->client.error, "not an archive"));
	assert_null(strchr(room->client.error, '\n'));
	assert_int_equal(client_open(&room->client, &room->host, room->folder, NULL, NULL, false), -EISDIR);
	assert_non_null(strstr(room->client.error, "is a folder"));
	assert_int_equal(client_open(&room->client, &room->host, "/nowhere/at all", NULL, NULL, false), -ENOENT);
	assert_non_null(strstr(room->client.error, "check the path"));
	assert_int_equal(client_open(&room->client, &room->host, "", NULL, NULL, false), -EINVAL);
	assert_int_equal(truncate(room->path, 0), 0);
	assert_int_equal(client_open(&room->client, &room->host, room->path, NULL, NULL, false), -EINVAL);
	assert_non_null(strstr(room->client.error, "is empty"));
}

static void write_bytes(struct room *room, const void *bytes, size_t size, size_t zeros)
{
	room->file = fopen(room->path, "w");
	fwrite(bytes, 1, size, room->file);
	while (zeros--)
		fputc(0, room->file);
}

/* One part of an archive of several is refused, whatever it is called; whole ones are not. */
static void test_volumes(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *said;
	} parts[] = {
		{"PK\7\10PK\3\4\x14\0", 10, "split zip"},
		{"PK\3\4\0\0\0\0PK\5\6\3\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0\0\0", 30, "split zip"},
		{"Rar!\x1a\7\0\xcf\x90\x73\1\0\x0d\0\0\0\0\0\0\0", 20, "volume of a rar"},
		{"Rar!\x1a\7\1\0\1\2\3\4\x0b\1\5\7\1\1\0\0", 20, "volume of a rar"},
		{"Rar!\x1a\7\1\0\1\2\3\4\x0b\1\4\3\1\0\0\0", 20, "volume of a rar"},
		{"7z\xbc\xaf\x27\x1c\0\4\1\2\3\4\0\0\1\0\0\0\0\0\x20\0\0\0\0\0\0\0\0\0\0\0", 32, "first of several"},
		{"7z\xbc\xaf\x27\x1c\0\4\1\2\3\4\xff\xff\xff\xff\xff\xff\xff\xff\x20\0\0\0\0\0\0\0\0\0\0\0", 32,
		 "first of several"},
	};
	static const char whole[] = "Rar!\x1a\7\1\0\1\2\3\4\x0b\1\5\7\0\1\0\0";
	struct room *room = *state;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		fclose(room->file);
		write_bytes(room, parts[i].bytes, parts[i].size, i == 1 ? 0 : 200);
		assert_int_equal(try_open(room, NULL), -EOPNOTSUPP);
		assert_non_null(strstr(room->client.error, parts[i].said));
		room->file = fopen(room->path, "r");
	}
	fclose(room->file);
	write_bytes(room, whole, sizeof(whole) - 1, 200);
	assert_int_not_equal(try_open(room, NULL), -EOPNOTSUPP);
}

/* The old form of GNU tar for files with holes: the map stands in the header. */
static void test_gnu_sparse(void **state)
{
	struct room *room = *state;
	struct dw_request req = {.size = sizeof(req)};
	char header[512], text[16];
	struct dw_entry entry;
	unsigned sum = 0;
	uint64_t at;
	size_t got;

	tarball_member(room->file, 'S', "holes", NULL, 1024, NULL);
	fflush(room->file);
	fclose(room->file);
	room->file = fopen(room->path, "r+");
	assert_int_equal(fread(header, 1, sizeof(header), room->file), sizeof(header));
	memcpy(header + 257, "ustar  ", 8);
	snprintf(header + 386, 12, "%011o", 4096);
	snprintf(header + 398, 12, "%011o", 512);
	snprintf(header + 410, 12, "%011o", 1 << 20);
	snprintf(header + 422, 12, "%011o", 512);
	snprintf(header + 483, 12, "%011o", 2 << 20);
	memset(header + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(header); i++)
		sum += (unsigned char)header[i];
	snprintf(header + 148, 8, "%06o", sum);
	header[155] = ' ';
	rewind(room->file);
	fwrite(header, 1, sizeof(header), room->file);
	for (int i = 0; i < 1024; i++)
		fputc(i < 512 ? 'a' : 'b', room->file);
	open_room(room);
	assert_int_equal(client_find(&room->client, "holes", &entry), 0);
	assert_int_equal(entry.attr.size, 2 << 20);
	assert_int_equal(entry.attr.blocks, 2);
	assert_int_equal(client_read(&room->client, entry.node, text, 8, 4092, &got), 0);
	assert_memory_equal(text, "\0\0\0\0aaaa", 8);
	assert_int_equal(client_read(&room->client, entry.node, text, 8, (1 << 20) + 508, &got), 0);
	assert_memory_equal(text, "bbbb\0\0\0\0", 8);
	assert_int_equal(room->client.fs->ops->lseek(room->client.fs, &req, entry.node, 0, 5000, DW_SEEK_DATA, &at), 0);
	assert_int_equal(at, 1 << 20);
	assert_int_equal(room->client.fs->ops->lseek(room->client.fs, &req, entry.node, 0, 4096, DW_SEEK_HOLE, &at), 0);
	assert_int_equal(at, 4096 + 512);
}

/* In cpio the last of several hard links brings the content. */
static void test_cpio_links(void **state)
{
	static const char *const names[] = {"first", "second", "third"};
	struct room *room = *state;
	struct dw_entry entry, other;

	for (unsigned i = 0; i < 4; i++) {
		const char *name = i < 3 ? names[i] : "TRAILER!!!";
		const char *content = i == 2 ? "data" : "";
		size_t length = strlen(name) + 1;

		fprintf(room->file, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", i < 3 ? 77 : 0,
			i < 3 ? 0100644 : 0, 0, 0, i < 3 ? 3 : 1, 1000000000, strlen(content), 8, 1, 0, 0, length, 0);
		fwrite(name, 1, length, room->file);
		for (size_t j = 110 + length; j % 4; j++)
			fputc(0, room->file);
		fwrite(content, 1, strlen(content), room->file);
	}
	if (try_open(room, NULL))
		fail_msg("%s", room->client.error);
	check_names(room, "", "first\nsecond\nthird\n");
	check_content(room, "first", "data");
	check_content(room, "second", "data");
	assert_int_equal(client_find(&room->client, "first", &entry), 0);
	assert_int_equal(client_find(&room->client, "third", &other), 0);
	assert_int_equal(entry.node, other.node);
	assert_int_equal(entry.attr.nlink, 3);
}

static void test_options(void **state)
{
	struct room *room = *state;

	tarball_member(room->file, '0', "a", NULL, 1, "1");
	tarball_end(room->file);
	assert_int_equal(try_open(room, "colour=red"), -EINVAL);
	assert_non_null(strstr(room->client.error, "no option colour"));
	assert_int_equal(client_open(&room->client, &room->host, room->path, NULL, "cache-size=big", false), -EINVAL);
	assert_int_equal(client_open(&room->client, &room->host, room->path, NULL, "cache-size=-1", false), -EINVAL);
	assert_int_equal(client_open(&room->client, &room->host, room->path, NULL, "cache-size=99999999T", false),
			 -EINVAL);
	assert_int_equal(client_open(&room->client, &room->host, room->path, NULL, "password", false), -EINVAL);
	assert_int_equal(client_open(&room->client, &room->host, room->path, NULL, "cache-size=1g", false), 0);
	check_content(room, "a", "1");
}

static void write_protected(const char *path)
{
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	assert_int_equal(archive_write_set_format_zip(archive), ARCHIVE_OK);
	assert_int_equal(archive_write_set_options(archive, "zip:encryption=aes256"), ARCHIVE_OK);
	archive_write_set_passphrase(archive, "right");
	assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
	archive_entry_set_pathname(entry, "secret");
	archive_entry_set_mode(entry, S_IFREG | 0600);
	archive_entry_set_size(entry, 6);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, "hidden", 6), 6);
	archive_entry_free(entry);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
}

static void test_password(void **state)
{
	struct room *room = *state;
	struct dw_entry entry;
	char text[16];
	size_t got;

	write_protected(room->path);
	if (try_open(room, NULL))
		fail_msg("%s", room->client.error);
	assert_non_null(strstr(room->host.log, "-o password=WORD"));
	assert_int_equal(client_find(&room->client, "secret", &entry), 0);
	assert_int_equal(entry.attr.size, 6);
	assert_int_equal(client_read(&room->client, entry.node, text, sizeof(text), 0, &got), -EACCES);
	client_close(&room->client);
	assert_int_equal(client_open(&room->client, &room->host, room->path, room->folder, "password=wrong", false),
			 -EACCES);
	assert_non_null(strstr(room->client.error, "password is wrong"));
	assert_int_equal(client_open(&room->client, &room->host, room->path, room->folder, "password=right", false), 0);
	check_content(room, "secret", "hidden");
}

/* A deflated member whose bytes were changed: the checksum tells. */
static void test_damaged_content(void **state)
{
	struct room *room = *state;
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	struct dw_entry found;
	char *bytes = malloc(100000);
	size_t got;
	FILE *file;

	for (size_t i = 0; i < 100000; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	archive_write_set_format_zip(archive);
	archive_write_open_filename(archive, room->path);
	archive_entry_set_pathname(entry, "data");
	archive_entry_set_mode(entry, S_IFREG | 0600);
	archive_entry_set_size(entry, 100000);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, bytes, 100000), 100000);
	archive_entry_free(entry);
	archive_write_close(archive);
	archive_write_free(archive);
	fclose(room->file);
	room->file = file = fopen(room->path, "r+");
	fseek(file, 3000, SEEK_SET);
	fputc(fgetc(file) ^ 0x55, file);
	fseek(file, 3000, SEEK_SET);
	fwrite("damaged", 1, 7, file);
	assert_int_equal(try_open(room, NULL), 0);
	assert_int_equal(client_find(&room->client, "data", &found), 0);
	assert_int_equal(client_read(&room->client, found.node, bytes, 100000, 0, &got), -EIO);
	free(bytes);
}

static void test_readdir_offsets(void **state)
{
	struct room *room = *state;
	struct dw_request req = {.size = sizeof(req)};
	struct dw_listing listing = {0};
	struct dw_entry entry;
	uint64_t timeout = 0;

	tarball_member(room->file, '0', "a", NULL, 1, "1");
	open_room(room);
	assert_int_equal(room->client.fs->ops->readdir(room->client.fs, &req, 1, 0, 2, &listing), -EINVAL);
	assert_int_equal(room->client.fs->ops->readdir(room->client.fs, &req, 77, 0, 0, &listing), -ESTALE);
	assert_int_equal(room->client.fs->ops->getattr(room->client.fs, &req, UINT64_MAX, 0, &entry.attr, &timeout),
			 -ESTALE);
	assert_int_equal(client_find(&room->client, "a", &entry), 0);
	assert_int_equal(room->client.fs->ops->readdir(room->client.fs, &req, entry.node, 0, 0, &listing), -ENOTDIR);
	assert_int_equal(room->client.fs->ops->lookup(room->client.fs, &req, entry.node, "b", &entry), -ENOTDIR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_paths),	    TEST(test_long_names), TEST(test_conflicts),  TEST(test_hard_links),
		TEST(test_truncated),	    TEST(test_no_archive), TEST(test_options),	  TEST(test_password),
		TEST(test_damaged_content), TEST(test_volumes),	   TEST(test_gnu_sparse), TEST(test_cpio_links),
		TEST(test_readdir_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
