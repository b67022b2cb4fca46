/* SPDX-License-Identifier: MIT */
/* What is kept on disk and in memory: used when right, made again when damaged or stale, and the life of node ids. */
#include "filesystems/archive/index.h"
#include "tests/archive/client.h"
#include "tests/archive/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct room {
	char *folder;
	char path[4096];
	char cache[4096];
	struct client_host host;
	struct client client;
};

static int set_up(void **state)
{
	struct room *room = calloc(1, sizeof(*room));

	room->folder = client_folder();
	snprintf(room->path, sizeof(room->path), "%s/it", room->folder);
	snprintf(room->cache, sizeof(room->cache), "%s/cache", room->folder);
	mkdir(room->cache, 0700);
	client_host_init(&room->host);
	*state = room;
	return 0;
}

static int tear_down(void **state)
{
	struct room *room = *state;

	client_close(&room->client);
	client_host_free(&room->host);
	client_remove(room->folder);
	free(room);
	return 0;
}

/* A tar of one file with this content, and a time that no earlier one had. */
static void write_tar(const char *path, const char *name, const char *content)
{
	static time_t clock = 1000000000;
	struct timespec times[2] = {{.tv_sec = clock + 1}, {.tv_sec = clock + 1}};
	FILE *file = fopen(path, "w");

	clock++;
	tarball_member(file, '0', name, NULL, strlen(content), content);
	tarball_end(file);
	fclose(file);
	utimensat(AT_FDCWD, path, times, 0);
}

static void open_room(struct room *room, bool restarted)
{
	if (client_open(&room->client, &room->host, room->path, room->cache, NULL, restarted))
		fail_msg("%s", room->client.error);
}

static void check(struct room *room, const char *path, const char *content)
{
	struct dw_entry entry;
	char text[256];
	size_t got;

	assert_int_equal(client_find(&room->client, path, &entry), 0);
	assert_int_equal(client_read(&room->client, entry.node, text, sizeof(text), 0, &got), 0);
	assert_int_equal(got, strlen(content));
	assert_memory_equal(text, content, got);
}

/* The one file in the cache folder with this ending. */
static bool kept(struct room *room, const char *ending, char *out, size_t size)
{
	DIR *listing = opendir(room->cache);
	struct dirent *entry;
	bool found = false;

	while ((entry = readdir(listing))) {
		size_t length = strlen(entry->d_name), tail = strlen(ending);

		if (length < tail || strcmp(entry->d_name + length - tail, ending))
			continue;
		assert_false(found);
		found = true;
		snprintf(out, size, "%s/%s", room->cache, entry->d_name);
	}
	closedir(listing);
	return found;
}

static void damage(const char *path, long offset)
{
	FILE *file = fopen(path, "r+");
	int byte;

	fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET);
	byte = fgetc(file);
	fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET);
	fputc(byte ^ 0xff, file);
	fclose(file);
}

/* An index is really used: one that was changed, with right checksums, shows. */
static void test_index_is_used(void **state)
{
	struct room *room = *state;
	char index[4200];
	struct stat status;
	struct index_node *nodes;
	struct dw_entry entry;
	char *bytes;
	FILE *file;

	write_tar(room->path, "a", "content");
	open_room(room, false);
	client_close(&room->client);
	assert_true(kept(room, ".index", index, sizeof(index)));
	assert_int_equal(stat(index, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	bytes = malloc((size_t)status.st_size);
	file = fopen(index, "r+");
	assert_int_equal(fread(bytes, 1, (size_t)status.st_size, file), status.st_size);
	nodes = (struct index_node *)(void *)(bytes + sizeof(struct index_head));
	assert_int_equal(nodes[1].uid, 0);
	nodes[1].uid = 4711;
	index_seal(bytes);
	rewind(file);
	fwrite(bytes, 1, (size_t)status.st_size, file);
	fclose(file);
	free(bytes);
	open_room(room, false);
	assert_int_equal(client_find(&room->client, "a", &entry), 0);
	assert_int_equal(entry.attr.uid, 4711);
}

static void test_damaged_index(void **state)
{
	static const long places[] = {0, 9, 40, 100, 200, 400, 500, -1, -20};
	struct room *room = *state;
	char index[4200];

	write_tar(room->path, "a", "content");
	open_room(room, false);
	client_close(&room->client);
	assert_true(kept(room, ".index", index, sizeof(index)));
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		damage(index, places[i]);
		open_room(room, false);
		check(room, "a", "content");
		client_close(&room->client);
	}
	assert_int_equal(truncate(index, 300), 0);
	open_room(room, false);
	check(room, "a", "content");
	client_close(&room->client);
	assert_int_equal(truncate(index, 0), 0);
	open_room(room, false);
	check(room, "a", "content");
}

static void test_stale_index(void **state)
{
	struct room *room = *state;

	write_tar(room->path, "a", "one");
	open_room(room, false);
	check(room, "a", "one");
	client_close(&room->client);
	write_tar(room->path, "b", "two");
	open_room(room, false);
	check(room, "b", "two");
}

/* An index that another version wrote, sound as it is, is made again without a word. */
static void test_old_index(void **state)
{
	struct room *room = *state;
	struct index_head head;
	char index[4200];
	FILE *file;

	write_tar(room->path, "a", "content");
	open_room(room, false);
	client_close(&room->client);
	assert_true(kept(room, ".index", index, sizeof(index)));
	for (uint32_t version = 0; version <= INDEX_VERSION + 1; version++) {
		char *bytes;

		file = fopen(index, "r+");
		assert_int_equal(fread(&head, 1, sizeof(head), file), sizeof(head));
		assert_int_equal(head.version, INDEX_VERSION);
		bytes = malloc((size_t)head.total_size);
		rewind(file);
		assert_int_equal(fread(bytes, 1, (size_t)head.total_size, file), head.total_size);
		((struct index_head *)(void *)bytes)->version = version;
		index_seal(bytes);
		rewind(file);
		fwrite(bytes, 1, (size_t)head.total_size, file);
		fclose(file);
		free(bytes);
		room->host.log[0] = 0;
		open_room(room, false);
		check(room, "a", "content");
		assert_null(strstr(room->host.log, "1 ")); /* no warning */
		client_close(&room->client);
	}
}

/* Without a folder to keep anything in, it works all the same. */
static void test_no_cache(void **state)
{
	struct room *room = *state;

	write_tar(room->path, "a", "one");
	assert_int_equal(client_open(&room->client, &room->host, room->path, "/nowhere/at/all", NULL, false), 0);
	check(room, "a", "one");
	client_close(&room->client);
	assert_int_equal(client_open(&room->client, &room->host, room->path, NULL, NULL, false), 0);
	check(room, "a", "one");
}

static void write_compressed(const char *path, size_t size)
{
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	char *bytes = malloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 2654435761u >> 11);
	archive_write_set_format_pax_restricted(archive);
	archive_write_add_filter_gzip(archive);
	assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
	archive_entry_set_pathname(entry, "data");
	archive_entry_set_mode(entry, S_IFREG | 0600);
	archive_entry_set_size(entry, (la_int64_t)size);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, bytes, size), size);
	archive_entry_free(entry);
	archive_write_close(archive);
	archive_write_free(archive);
	free(bytes);
}

static void check_compressed(struct room *room, size_t size)
{
	struct dw_entry entry;
	char *bytes = malloc(size);
	size_t got;

	assert_int_equal(client_find(&room->client, "data", &entry), 0);
	assert_int_equal(client_read(&room->client, entry.node, bytes, size, 0, &got), 0);
	assert_int_equal(got, size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], (char)(i * 2654435761u >> 11));
	free(bytes);
}

#define COMPRESSED_SIZE (3u << 20)

/* What was unpacked is kept, used again (a changed byte of it shows), and private. */
static void test_spill(void **state)
{
	struct room *room = *state;
	struct client second;
	struct client_host second_host;
	struct dw_entry entry;
	struct stat status;
	char spill[4200], byte;
	size_t got;

	write_compressed(room->path, COMPRESSED_SIZE);
	open_room(room, false);
	check_compressed(room, COMPRESSED_SIZE);

	/* A second drive of the same archive does not touch the file of the first. */
	client_host_init(&second_host);
	assert_int_equal(client_open(&second, &second_host, room->path, room->cache, NULL, false), 0);
	assert_int_equal(client_find(&second, "data", &entry), 0);
	assert_int_equal(client_read(&second, entry.node, &byte, 1, COMPRESSED_SIZE - 1, &got), 0);
	client_close(&second);
	client_host_free(&second_host);

	check_compressed(room, COMPRESSED_SIZE);
	client_close(&room->client);
	assert_true(kept(room, ".base.spill", spill, sizeof(spill)));
	assert_int_equal(stat(spill, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_true(status.st_size > COMPRESSED_SIZE);

	damage(spill, 1u << 20);
	open_room(room, false);
	assert_int_equal(client_find(&room->client, "data", &entry), 0);
	{
		char *bytes = malloc(COMPRESSED_SIZE);
		size_t wrong = 0;

		assert_int_equal(client_read(&room->client, entry.node, bytes, COMPRESSED_SIZE, 0, &got), 0);
		for (size_t i = 0; i < COMPRESSED_SIZE; i++)
			wrong += bytes[i] != (char)(i * 2654435761u >> 11);
		assert_int_equal(wrong, 1);
		free(bytes);
	}
	client_close(&room->client);

	damage(spill, 20); /* its header: it starts again */
	open_room(room, false);
	check_compressed(room, COMPRESSED_SIZE);
	client_close(&room->client);
	assert_int_equal(unlink(spill), 0);
	open_room(room, false);
	check_compressed(room, COMPRESSED_SIZE);
}

/* The folder stays within its bound: files of other archives go. */
static void test_bound(void **state)
{
	struct room *room = *state;
	char other[4200], spill[4200];
	struct stat status;

	write_compressed(room->path, COMPRESSED_SIZE);
	open_room(room, false);
	check_compressed(room, COMPRESSED_SIZE);
	client_close(&room->client);
	assert_true(kept(room, ".base.spill", spill, sizeof(spill)));
	snprintf(other, sizeof(other), "%s/other", room->folder);
	write_compressed(other, COMPRESSED_SIZE);
	assert_int_equal(client_open(&room->client, &room->host, other, room->cache, "cache-size=1M", false), 0);
	check_compressed(room, COMPRESSED_SIZE);
	client_close(&room->client);
	assert_int_not_equal(stat(spill, &status), 0);
	assert_true(kept(room, ".base.spill", spill, sizeof(spill)));
	assert_int_equal(stat(spill, &status), 0);
	assert_true(status.st_size <= (1 << 20) + 4096);
}

/* A restart finds the same ids; the archive that is replaced or deleted meanwhile stays as it was. */
static void test_restart(void **state)
{
	struct room *room = *state;
	struct dw_entry before, after;
	char other[4200];

	write_tar(room->path, "a", "one");
	open_room(room, false);
	assert_int_equal(client_find(&room->client, "a", &before), 0);
	client_close(&room->client);
	open_room(room, true);
	assert_int_equal(client_find(&room->client, "a", &after), 0);
	assert_int_equal(before.node, after.node);

	snprintf(other, sizeof(other), "%s/other", room->folder);
	write_tar(other, "b", "two");
	assert_int_equal(rename(other, room->path), 0);
	check(room, "a", "one");
	client_close(&room->client);
	open_room(room, true);
	check(room, "a", "one");
	assert_int_equal(client_find(&room->client, "a", &after), 0);
	assert_int_equal(before.node, after.node);
}

/* An archive that is changed in place cannot be read; after a restart its ids are new and the old ones stale. */
static void test_changed_in_place(void **state)
{
	struct room *room = *state;
	struct dw_request req = {.size = sizeof(req)};
	struct dw_entry before, after;
	struct dw_attr attr;
	uint64_t timeout = 0;
	char text[16];
	size_t got;

	write_tar(room->path, "a", "one");
	open_room(room, false);
	assert_int_equal(client_find(&room->client, "a", &before), 0);
	write_tar(room->path, "b", "other");
	assert_int_equal(client_read(&room->client, before.node, text, sizeof(text), 0, &got), -ESTALE);
	assert_non_null(strstr(room->host.log, "was changed while it is mapped"));
	client_close(&room->client);
	open_room(room, true);
	assert_int_equal(
		room->client.fs->ops->getattr(room->client.fs, &req, before.node, DW_NO_HANDLE, &attr, &timeout),
		-ESTALE);
	assert_int_equal(client_find(&room->client, "b", &after), 0);
	assert_int_not_equal(before.node, after.node);
	check(room, "b", "other");
	client_close(&room->client);
	open_room(room, true);
	assert_int_equal(client_find(&room->client, "b", &before), 0);
	assert_int_equal(before.node, after.node);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_index_is_used), TEST(test_damaged_index), TEST(test_stale_index),
		TEST(test_old_index),	  TEST(test_no_cache),	    TEST(test_spill),
		TEST(test_bound),	  TEST(test_restart),	    TEST(test_changed_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
