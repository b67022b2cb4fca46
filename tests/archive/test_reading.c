/* SPDX-License-Identifier: MIT */
/*
 * What opening and reading cost, in bytes and calls that the kernel counts (/proc/self/io), not in time: an index is
 * made by few reads and loaded by one; a read in the middle of a big member does not read what comes before it again.
 */
#include "tests/archive/client.h"
#include "tests/archive/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BIG	 (8u << 20)
#define READS	 50u
#define PIECE	 4096u
#define COUNTING 4096u /* bytes that looking at the counters costs, at most */
#define MEMBERS	 50000u

struct room {
	char *folder;
	char path[4096];
	struct client_host host;
	struct client client;
};

struct cost {
	uint64_t bytes;
	uint64_t calls;
};

static int set_up(void **state)
{
	struct room *room = calloc(1, sizeof(*room));

	room->folder = client_folder();
	snprintf(room->path, sizeof(room->path), "%s/it", room->folder);
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

static struct cost cost_now(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	struct cost cost = {0};
	char line[128];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "rchar: ", 7) == 0)
			cost.bytes = strtoull(line + 7, NULL, 10);
		if (strncmp(line, "syscr: ", 7) == 0)
			cost.calls = strtoull(line + 7, NULL, 10);
	}
	fclose(file);
	return cost;
}

static struct cost cost_since(const struct cost *before)
{
	struct cost now = cost_now();

	return (struct cost){now.bytes - before->bytes, now.calls - before->calls};
}

static struct cost open_room(struct room *room)
{
	struct cost before = cost_now();

	client_close(&room->client);
	if (client_open(&room->client, &room->host, room->path, room->folder, NULL, false))
		fail_msg("%s", room->client.error);
	return cost_since(&before);
}

/* Bytes that no method makes smaller. */
static unsigned char content_at(uint64_t offset)
{
	uint64_t value = (offset / 8 + 1) * 0x9e3779b97f4a7c15ull;

	value ^= value >> 29;
	value *= 0xbf58476d1ce4e5b9ull;
	value ^= value >> 32;
	return (unsigned char)(value >> offset % 8 * 8);
}

static void write_big(const char *path, const char *format, const char *filter, const char *options)
{
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	unsigned char *bytes = malloc(BIG);

	for (uint64_t i = 0; i < BIG; i++)
		bytes[i] = content_at(i);
	assert_int_equal(archive_write_set_format_by_name(archive, format), ARCHIVE_OK);
	if (filter)
		assert_int_equal(archive_write_add_filter_by_name(archive, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_set_options(archive, options), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
	archive_entry_set_pathname(entry, "big");
	archive_entry_set_mode(entry, S_IFREG | 0644);
	archive_entry_set_size(entry, BIG);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, bytes, BIG), BIG);
	archive_entry_free(entry);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
	free(bytes);
}

/* Cost of a read of the big member, which must be right. */
static struct cost read_piece(struct room *room, uint64_t offset)
{
	unsigned char bytes[PIECE];
	struct cost before, cost;
	struct dw_entry entry;
	size_t got;

	assert_int_equal(client_find(&room->client, "big", &entry), 0);
	before = cost_now();
	assert_int_equal(client_read(&room->client, entry.node, bytes, PIECE, offset, &got), 0);
	cost = cost_since(&before);
	assert_int_equal(got, PIECE);
	for (size_t i = 0; i < PIECE; i++)
		assert_int_equal(bytes[i], content_at(offset + i));
	return cost;
}

/* Once the end was read, no read costs more than most bytes, also after a new start when kept. */
static void check_reads(struct room *room, uint64_t most, bool kept)
{
	uint64_t random = 88172645463325252ull;

	open_room(room);
	for (int round = 0; round < (kept ? 2 : 1); round++) {
		if (!round)
			assert_true(read_piece(room, BIG - PIECE).bytes < 3ull * BIG);
		for (unsigned i = 0; i < READS; i++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			assert_true(read_piece(room, (random >> 20) % (BIG - PIECE)).bytes <= most + COUNTING);
		}
		if (kept)
			assert_true(open_room(room).bytes < (64u << 10));
	}
}

static void test_stored_zip(void **state)
{
	struct room *room = *state;

	write_big(room->path, "zip", NULL, "zip:compression=store");
	assert_true(open_room(room).bytes < (1u << 20));
	check_reads(room, PIECE, true);
}

/* There is a point to go back to in every megabyte. */
static void test_deflated_zip(void **state)
{
	struct room *room = *state;

	write_big(room->path, "zip", NULL, "zip:compression-level=1");
	assert_true(open_room(room).bytes < (1u << 20));
	check_reads(room, (1u << 20) + (128u << 10), false);
}

static void test_compressed_tar(void **state)
{
	struct room *room = *state;

	write_big(room->path, "pax", "gzip", "compression-level=1");
	check_reads(room, PIECE, true);
}

static void test_zstd_tar(void **state)
{
	struct room *room = *state;

	write_big(room->path, "pax", "zstd", "compression-level=1");
	check_reads(room, PIECE, true);
}

static void test_7z(void **state)
{
	struct room *room = *state;

	write_big(room->path, "7zip", NULL, "compression=deflate,compression-level=1");
	assert_true(open_room(room).bytes < (1u << 20));
	check_reads(room, PIECE, true);
}

/* A tar of 5 GB, which is a hole in the test's own file: neither opening nor reading goes through it. */
static void test_huge_tar(void **state)
{
	static const uint64_t size = 5ull << 30;
	struct room *room = *state;
	FILE *file = fopen(room->path, "w");
	struct dw_entry entry;
	struct cost before;
	char bytes[PIECE];
	size_t got;

	tarball_member(file, '0', "huge", NULL, size, NULL);
	fflush(file);
	assert_int_equal(ftruncate(fileno(file), (off_t)(512 + size)), 0);
	fseek(file, 0, SEEK_END);
	tarball_member(file, '0', "after", NULL, 5, "after");
	tarball_end(file);
	fclose(file);
	assert_true(open_room(room).bytes < (1u << 20));
	assert_int_equal(client_find(&room->client, "huge", &entry), 0);
	assert_int_equal(entry.attr.size, size);
	before = cost_now();
	assert_int_equal(client_read(&room->client, entry.node, bytes, PIECE, size / 2, &got), 0);
	assert_true(cost_since(&before).bytes <= PIECE + COUNTING);
	assert_int_equal(client_find(&room->client, "after", &entry), 0);
	assert_int_equal(client_read(&room->client, entry.node, bytes, PIECE, 0, &got), 0);
	assert_int_equal(got, 5);
	assert_memory_equal(bytes, "after", 5);
}

/* Many members: few reads make the index, and one loads it. */
static void check_many(struct room *room)
{
	struct cost cost = open_room(room);
	struct dw_entry entry;

	assert_true(cost.calls < MEMBERS / 10);
	assert_int_equal(client_walk(&room->client, DW_NODE_ROOT, 2 * MEMBERS, NULL, 0, 0, NULL), MEMBERS + 10);
	cost = open_room(room);
	assert_true(cost.calls < 64);
	assert_true(cost.bytes < MEMBERS * 160ull);
	assert_int_equal(client_walk(&room->client, DW_NODE_ROOT, 2 * MEMBERS, NULL, 0, 0, NULL), MEMBERS + 10);
	assert_int_equal(client_find(&room->client, "7/member-31237", &entry), 0);
	assert_int_equal(entry.attr.size, 1);
}

static void test_many_tar(void **state)
{
	struct room *room = *state;
	FILE *file = fopen(room->path, "w");
	char name[64];

	for (unsigned i = 0; i < MEMBERS; i++) {
		snprintf(name, sizeof(name), "%u/member-%u", i % 10, i);
		tarball_member(file, '0', name, NULL, 1, "x");
	}
	tarball_end(file);
	fclose(file);
	check_many(room);
}

static void test_many_zip(void **state)
{
	struct room *room = *state;
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	char name[64];

	archive_write_set_format_zip(archive);
	assert_int_equal(archive_write_set_options(archive, "zip:compression=store"), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(archive, room->path), ARCHIVE_OK);
	for (unsigned i = 0; i < MEMBERS; i++) {
		snprintf(name, sizeof(name), "%u/member-%u", i % 10, i);
		archive_entry_clear(entry);
		archive_entry_set_pathname(entry, name);
		archive_entry_set_mode(entry, S_IFREG | 0644);
		archive_entry_set_size(entry, 1);
		assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(archive, "x", 1), 1);
	}
	archive_entry_free(entry);
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
	check_many(room);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stored_zip), TEST(test_deflated_zip), TEST(test_compressed_tar), TEST(test_zstd_tar),
		TEST(test_7z),	       TEST(test_huge_tar),	TEST(test_many_tar),	   TEST(test_many_zip),
	};

	if (access("/proc/self/io", R_OK)) {
		puts("skipped: this kernel does not count what a process reads (/proc/self/io)");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
