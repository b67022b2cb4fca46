/* SPDX-License-Identifier: MIT */
/* Every format that libarchive can write, written from one table of members and compared with it through the drive. */
#include "tests/archive/client.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BIG	(2u << 20)
#define SPARSE	(3u << 20)
#define PIECE_1 65536u /* pieces of the sparse file: 8 KiB each */
#define PIECE_2 2097152u
#define PIECE	8192u
#define SECONDS 1234567890

struct member {
	const char *path;
	mode_t mode;
	uint64_t size;
	const char *target; /* link: where to; "=x": hard link to x */
};

static const struct member tree[] = {
	{"folder", S_IFDIR | 0750, 0, NULL},
	{"folder/empty folder", S_IFDIR | 0700, 0, NULL},
	{"folder/small", S_IFREG | 0644, 100, NULL},
	{"folder/nothing", S_IFREG | 0600, 0, NULL},
	{"folder/tool", S_IFREG | 0755, 70000, NULL},
	{"implied/by/path", S_IFREG | 0640, 4097, NULL},
	{"big", S_IFREG | 0644, BIG, NULL},
	{"after", S_IFREG | 0444, 123456, NULL},
	{"link", S_IFLNK | 0777, 0, "folder/small"},
	{"gr\xc3\xbc\xc3\x9f"
	 "e",
	 S_IFREG | 0644, 10, NULL},
};
#define TREE_SIZE (sizeof(tree) / sizeof(*tree))

#define HAS_HARD_LINKS (1u << 0)
#define HAS_MODES      (1u << 1)
#define HAS_LINKS      (1u << 2)
#define HAS_FOLDERS    (1u << 3)
#define HAS_NS	       (1u << 4)
#define HAS_SPARSE     (1u << 5)
#define HAS_OWNERS     (1u << 6)
#define HAS_DEVICES    (1u << 7)
#define TAR	       (HAS_HARD_LINKS | HAS_MODES | HAS_LINKS | HAS_FOLDERS | HAS_OWNERS | HAS_DEVICES)

struct format {
	const char *name;
	const char *filter; /* NULL: none */
	const char *options;
	unsigned has;
};

static const struct format formats[] = {
	{"pax", NULL, NULL, TAR | HAS_NS | HAS_SPARSE},
	{"ustar", NULL, NULL, TAR},
	{"gnutar", NULL, NULL, TAR},
	{"pax", "gzip", NULL, TAR | HAS_NS | HAS_SPARSE},
	{"pax", "bzip2", NULL, TAR | HAS_NS | HAS_SPARSE},
	{"pax", "xz", "compression-level=1", TAR | HAS_NS | HAS_SPARSE},
	{"pax", "zstd", NULL, TAR | HAS_NS | HAS_SPARSE},
	{"pax", "lz4", NULL, TAR | HAS_NS | HAS_SPARSE},
	{"pax", "lzip", "compression-level=1", TAR | HAS_NS | HAS_SPARSE},
	{"pax", "compress", NULL, TAR | HAS_NS | HAS_SPARSE},
	{"zip", NULL, NULL, HAS_MODES | HAS_LINKS | HAS_FOLDERS | HAS_OWNERS},
	{"zip", NULL, "zip:compression=store", HAS_MODES | HAS_LINKS | HAS_FOLDERS | HAS_OWNERS},
	{"zip", "gzip", NULL, HAS_FOLDERS},
	{"7zip", NULL, "compression-level=1", HAS_MODES | HAS_LINKS | HAS_FOLDERS},
	{"7zip", NULL, "compression=store", HAS_MODES | HAS_LINKS | HAS_FOLDERS},
	{"newc", NULL, NULL, HAS_MODES | HAS_LINKS | HAS_FOLDERS | HAS_OWNERS | HAS_HARD_LINKS},
	{"odc", NULL, NULL, HAS_MODES | HAS_LINKS | HAS_FOLDERS | HAS_OWNERS},
	{"iso9660", NULL, NULL, HAS_MODES | HAS_LINKS | HAS_FOLDERS | HAS_OWNERS},
	{"iso9660", "xz", "compression-level=1", HAS_MODES | HAS_LINKS | HAS_FOLDERS | HAS_OWNERS},
	{"xar", NULL, NULL, HAS_MODES | HAS_LINKS | HAS_FOLDERS | HAS_OWNERS},
};

/* Content of a file: depends on the path and the offset; some of it compresses, some does not. */
static unsigned char content_at(const char *path, uint64_t offset)
{
	uint64_t value = (offset / 8 + 1) * 0x9e3779b97f4a7c15ull ^ (uint64_t)(unsigned char)path[0] << 7;

	value ^= value >> 31;
	return offset / 4096 % 3 ? (unsigned char)(value >> offset % 8 * 8) : (unsigned char)("abcdefgh"[offset % 8]);
}

static bool in_piece(uint64_t offset)
{
	return (offset >= PIECE_1 && offset < PIECE_1 + PIECE) || (offset >= PIECE_2 && offset < PIECE_2 + PIECE);
}

static unsigned char expected_at(const char *path, uint64_t offset)
{
	return strcmp(path, "sparse") || in_piece(offset) ? content_at(path, offset) : 0;
}

static void write_member(struct archive *archive, const struct member *member, unsigned has)
{
	struct archive_entry *entry = archive_entry_new();
	unsigned char *bytes = malloc(member->size + 1);

	archive_entry_set_pathname(entry, member->path);
	archive_entry_set_mode(entry, member->mode);
	archive_entry_set_mtime(entry, SECONDS, has & HAS_NS ? 987654321 : 0);
	archive_entry_set_uid(entry, 1234);
	archive_entry_set_gid(entry, 4321);
	archive_entry_set_nlink(entry, 1);
	archive_entry_set_size(entry, (la_int64_t)member->size);
	if (member->target && *member->target == '=')
		archive_entry_set_hardlink(entry, member->target + 1);
	else if (member->target)
		archive_entry_set_symlink(entry, member->target);
	if (S_ISCHR(member->mode)) {
		archive_entry_set_rdevmajor(entry, 4);
		archive_entry_set_rdevminor(entry, 65);
	}
	if (strcmp(member->path, "sparse") == 0) {
		archive_entry_sparse_add_entry(entry, PIECE_1, PIECE);
		archive_entry_sparse_add_entry(entry, PIECE_2, PIECE);
	}
	if (archive_write_header(archive, entry) != ARCHIVE_OK)
		fail_msg("%s: %s", member->path, archive_error_string(archive));
	for (uint64_t i = 0; i < member->size; i++)
		bytes[i] = expected_at(member->path, i);
	if (member->size)
		assert_int_equal(archive_write_data(archive, bytes, member->size), member->size);
	archive_entry_free(entry);
	free(bytes);
}

static void write_archive(const struct format *format, const char *path)
{
	static const struct member hard = {"hard", S_IFREG | 0644, 0, "=folder/small"};
	static const struct member sparse = {"sparse", S_IFREG | 0644, SPARSE, NULL};
	static const struct member fifo = {"fifo", S_IFIFO | 0600, 0, NULL};
	static const struct member device = {"device", S_IFCHR | 0600, 0, NULL};
	struct archive *archive = archive_write_new();

	/* The writer needs the locale for the name that is not ASCII; the reader must do without. */
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	assert_int_equal(archive_write_set_format_by_name(archive, format->name), ARCHIVE_OK);
	if (format->filter)
		assert_int_equal(archive_write_add_filter_by_name(archive, format->filter), ARCHIVE_OK);
	if (format->options)
		assert_int_equal(archive_write_set_options(archive, format->options), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
	for (size_t i = 0; i < TREE_SIZE; i++) {
		if (S_ISLNK(tree[i].mode) && !(format->has & HAS_LINKS))
			continue;
		write_member(archive, &tree[i], format->has);
	}
	if (format->has & HAS_HARD_LINKS && strcmp(format->name, "newc"))
		write_member(archive, &hard, format->has);
	if (format->has & HAS_SPARSE)
		write_member(archive, &sparse, format->has);
	if (format->has & HAS_DEVICES) {
		write_member(archive, &fifo, format->has);
		write_member(archive, &device, format->has);
	}
	assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
	archive_write_free(archive);
	setlocale(LC_CTYPE, "C");
}

static void check_range(struct client *client, uint64_t node, const char *path, uint64_t offset, size_t size,
			uint64_t file_size)
{
	unsigned char *bytes = malloc(size + 1);
	size_t wanted = offset >= file_size ? 0 : size < file_size - offset ? size : (size_t)(file_size - offset);
	size_t got;

	assert_int_equal(client_read(client, node, bytes, size, offset, &got), 0);
	assert_int_equal(got, wanted);
	for (size_t i = 0; i < got; i++) {
		if (bytes[i] != expected_at(path, offset + i))
			fail_msg("%s differs at %llu", path, (unsigned long long)(offset + i));
	}
	free(bytes);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Random reads of each file; few where every one may decode from the start. */
static int random_reads;

static void check_file(struct client *client, const char *path, uint64_t size, uint64_t seed)
{
	struct dw_entry entry;

	assert_int_equal(client_find(client, path, &entry), 0);
	assert_int_equal(entry.attr.size, size);
	/* From the end to the start first: the hardest order. */
	for (int i = random_reads < 4 ? 0 : 3; i >= 0; i--)
		check_range(client, entry.node, path, size * (unsigned)i / 4, 5000, size);
	for (uint64_t offset = 0; offset <= size; offset += 131072)
		check_range(client, entry.node, path, offset, 131072, size);
	for (int i = 0; i < random_reads; i++)
		check_range(client, entry.node, path, next_random(&seed) % (size + 1), next_random(&seed) % 9000, size);
}

static void check_member(struct client *client, const struct format *format, const struct member *member)
{
	struct dw_request req = {.size = sizeof(req)};
	struct dw_entry entry;
	char target[256];
	size_t length = sizeof(target);

	assert_int_equal(client_find(client, member->path, &entry), 0);
	assert_int_equal(entry.attr.mode & DW_MODE_TYPE, member->mode & DW_MODE_TYPE);
	if (format->has & HAS_MODES && !S_ISLNK(member->mode) && strcmp(format->name, "iso9660"))
		assert_int_equal(entry.attr.mode & 07777, member->mode & 07777);
	assert_int_equal(entry.attr.mtime.seconds, SECONDS);
	if (format->has & HAS_NS)
		assert_int_equal(entry.attr.mtime.nanoseconds, 987654321);
	if (format->has & HAS_OWNERS) {
		assert_int_equal(entry.attr.uid, 1234);
		assert_int_equal(entry.attr.gid, 4321);
	}
	if (S_ISLNK(member->mode)) {
		assert_int_equal(client->fs->ops->readlink(client->fs, &req, entry.node, target, &length), 0);
		assert_int_equal(length, strlen(member->target));
		assert_memory_equal(target, member->target, length);
	}
	if (S_ISREG(member->mode))
		check_file(client, member->path, member->size, 7 + entry.node);
}

static void check_specials(struct client *client, const struct format *format)
{
	struct dw_request req = {.size = sizeof(req)};
	struct dw_entry entry, other;
	uint64_t at;

	if (format->has & HAS_HARD_LINKS && strcmp(format->name, "newc")) {
		assert_int_equal(client_find(client, "hard", &entry), 0);
		assert_int_equal(client_find(client, "folder/small", &other), 0);
		assert_int_equal(entry.node, other.node);
		assert_int_equal(entry.attr.nlink, 2);
	}
	if (format->has & HAS_DEVICES) {
		assert_int_equal(client_find(client, "fifo", &entry), 0);
		assert_int_equal(entry.attr.mode, S_IFIFO | 0600);
		assert_int_equal(client_find(client, "device", &entry), 0);
		assert_int_equal(entry.attr.mode, S_IFCHR | 0600);
		assert_int_equal(entry.attr.rdev_major, 4);
		assert_int_equal(entry.attr.rdev_minor, 65);
	}
	if (format->has & HAS_SPARSE) {
		check_file(client, "sparse", SPARSE, 99);
		assert_int_equal(client_find(client, "sparse", &entry), 0);
		assert_int_equal(entry.attr.blocks, 2 * PIECE / 512);
		assert_int_equal(client->fs->ops->lseek(client->fs, &req, entry.node, 0, 0, DW_SEEK_DATA, &at), 0);
		assert_int_equal(at, PIECE_1);
		assert_int_equal(client->fs->ops->lseek(client->fs, &req, entry.node, 0, at, DW_SEEK_HOLE, &at), 0);
		assert_int_equal(at, PIECE_1 + PIECE);
		assert_int_equal(
			client->fs->ops->lseek(client->fs, &req, entry.node, 0, PIECE_2 + PIECE, DW_SEEK_DATA, &at),
			-ENXIO);
	}
}

static void check_tree(struct client *client, const struct format *format)
{
	struct dw_entry entry;
	char names[4096];

	for (size_t i = 0; i < TREE_SIZE; i++) {
		if (!S_ISLNK(tree[i].mode) || format->has & HAS_LINKS)
			check_member(client, format, &tree[i]);
	}
	assert_int_equal(client_find(client, "implied/by", &entry), 0);
	assert_int_equal(entry.attr.mode & DW_MODE_TYPE, DW_MODE_FOLDER);
	assert_int_equal(entry.attr.nlink, 2);
	assert_int_equal(client_find(client, "folder", &entry), 0);
	assert_int_equal(entry.attr.nlink, 3);
	assert_int_equal(client_list(client, entry.node, names, sizeof(names)), 0);
	assert_string_equal(names, "empty folder\nnothing\nsmall\ntool\n");
	assert_int_equal(client_find(client, "folder/missing", &entry), -ENOENT);
	check_specials(client, format);
}

static void test_format(void **state)
{
	const struct format *format = *state;
	static const char *const options[] = {NULL, "cache-size=0", "cache-size=1M"};
	char *folder = client_folder();
	char path[4096], cache[4096];

	snprintf(path, sizeof(path), "%s/it", folder);
	write_archive(format, path);
	for (size_t i = 0; i < 3; i++) {
		struct client_host host;
		struct client client;

		snprintf(cache, sizeof(cache), "%s/cache%zu", folder, i);
		mkdir(cache, 0700);
		random_reads = i ? 1 : 20;
		for (int round = 0; round < (i ? 1 : 2); round++) { /* the second one finds index and spill files */
			client_host_init(&host);
			if (client_open(&client, &host, path, cache, options[i], false))
				fail_msg("%s", client.error);
			check_tree(&client, format);
			client_close(&client);
			client_host_free(&host);
		}
	}
	client_remove(folder);
}

struct reader {
	struct client *client;
	uint64_t seed;
	bool failed;
};

static void *read_at_random(void *argument)
{
	struct reader *reader = argument;
	static const struct {
		const char *path;
		uint64_t size;
	} files[] = {{"big", BIG}, {"after", 123456}, {"folder/tool", 70000}};
	unsigned char *bytes = malloc(65536);

	for (int i = 0; i < 12 && !reader->failed; i++) {
		uint64_t chosen = next_random(&reader->seed) % 3;
		uint64_t offset = next_random(&reader->seed) % files[chosen].size;
		struct dw_entry entry;
		size_t got = 0;

		if (client_find(reader->client, files[chosen].path, &entry) ||
		    client_read(reader->client, entry.node, bytes, 65536, offset, &got) || !got)
			reader->failed = true;
		for (size_t j = 0; j < got; j += 61)
			reader->failed |= bytes[j] != content_at(files[chosen].path, offset + j);
	}
	free(bytes);
	return NULL;
}

static void test_threads(void **state)
{
	const struct format *format = *state;
	static const char *const options[] = {NULL, "cache-size=300K"};
	char *folder = client_folder();
	struct reader readers[6];
	pthread_t threads[6];
	char path[4096];

	snprintf(path, sizeof(path), "%s/it", folder);
	write_archive(format, path);
	for (size_t i = 0; i < 2; i++) {
		struct client_host host;
		struct client client;

		client_host_init(&host);
		assert_int_equal(client_open(&client, &host, path, folder, options[i], false), 0);
		for (size_t j = 0; j < 6; j++) {
			readers[j] = (struct reader){.client = &client, .seed = 1000 + j + i * 10};
			assert_int_equal(pthread_create(&threads[j], NULL, read_at_random, &readers[j]), 0);
		}
		for (size_t j = 0; j < 6; j++) {
			pthread_join(threads[j], NULL);
			assert_false(readers[j].failed);
		}
		client_close(&client);
		client_host_free(&host);
	}
	client_remove(folder);
}

/* A compressed file that is no archive is shown as the one file that is in it. */
static void test_single(void **state)
{
	struct format raw = {"raw", "gzip", NULL, 0};
	struct member only = {"report.txt", S_IFREG | 0644, 300000, NULL};
	struct archive *archive = archive_write_new();
	char *folder = client_folder();
	struct client_host host;
	struct client client;
	char path[4096];

	snprintf(path, sizeof(path), "%s/report.txt.gz", folder);
	archive_write_set_format_by_name(archive, raw.name);
	archive_write_add_filter_by_name(archive, raw.filter);
	assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
	write_member(archive, &only, 0);
	archive_write_close(archive);
	archive_write_free(archive);
	client_host_init(&host);
	if (client_open(&client, &host, path, folder, NULL, false))
		fail_msg("%s", client.error);
	check_file(&client, "report.txt", only.size, 5);
	client_close(&client);
	client_host_free(&host);
	client_remove(folder);
}

#define PACKED 1000000u

/* Compresses well, and has whole blocks of zeros in it. */
static unsigned char packed_at(uint64_t offset)
{
	if (offset >= 300000 && offset < 700000)
		return 0;
	return (unsigned char)(offset % 8 ? 'a' + offset % 8 : offset / 1024 * 7);
}

static void check_packed(const char *path, const char *cache)
{
	struct client_host host;
	struct client client;
	struct dw_entry entry;
	unsigned char *bytes = malloc(PACKED);
	uint64_t seed = 1234567;
	size_t got;

	client_host_init(&host);
	if (client_open(&client, &host, path, cache, NULL, false))
		fail_msg("%s", client.error);
	assert_int_equal(client_find(&client, "packed", &entry), 0);
	assert_int_equal(entry.attr.size, PACKED);
	assert_int_equal(client_read(&client, entry.node, bytes, PACKED, 0, &got), 0);
	assert_int_equal(got, PACKED);
	for (uint64_t i = 0; i < PACKED; i++)
		assert_int_equal(bytes[i], packed_at(i));
	for (int i = 0; i < 200; i++) {
		uint64_t offset = next_random(&seed) % PACKED;
		size_t size = 1 + next_random(&seed) % 70000;

		assert_int_equal(client_read(&client, entry.node, bytes, size, offset, &got), 0);
		assert_int_equal(got, size < PACKED - offset ? size : PACKED - offset);
		for (size_t j = 0; j < got; j += 17)
			assert_int_equal(bytes[j], packed_at(offset + j));
	}
	client_close(&client);
	client_host_free(&host);
	free(bytes);
}

/* A file of an iso that is compressed by itself, in which blocks of zeros take no room. */
static void test_zisofs(void **state)
{
	static const char *const filters[] = {NULL, "gzip"};
	unsigned char *bytes = malloc(PACKED);
	char *folder = client_folder();
	char path[4096];

	for (uint64_t i = 0; i < PACKED; i++)
		bytes[i] = packed_at(i);
	for (size_t i = 0; i < 2; i++) {
		struct archive *archive = archive_write_new();
		struct archive_entry *entry = archive_entry_new();

		snprintf(path, sizeof(path), "%s/it%zu", folder, i);
		archive_write_set_format_by_name(archive, "iso9660");
		if (filters[i])
			archive_write_add_filter_by_name(archive, filters[i]);
		assert_int_equal(archive_write_set_options(archive, "zisofs=direct"), ARCHIVE_OK);
		assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
		archive_entry_set_pathname(entry, "packed");
		archive_entry_set_mode(entry, S_IFREG | 0644);
		archive_entry_set_size(entry, PACKED);
		assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(archive, bytes, PACKED), PACKED);
		archive_entry_free(entry);
		assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
		archive_write_free(archive);
		check_packed(path, folder);
	}
	free(bytes);
	client_remove(folder);
}

int main(int argc, char **argv)
{
	size_t count = sizeof(formats) / sizeof(*formats);
	struct CMUnitTest *tests = calloc(2 * count + 2, sizeof(*tests));
	int failed;

	for (size_t i = 0; i < count; i++) {
		char *name;

		if (asprintf(&name, "%s %s %s", formats[i].name, formats[i].filter ? formats[i].filter : "-",
			     formats[i].options ? formats[i].options : "-") < 0)
			return 1;
		tests[2 * i] = (struct CMUnitTest){
			.name = name, .test_func = test_format, .initial_state = (void *)(uintptr_t)&formats[i]};
		tests[2 * i + 1] = (struct CMUnitTest){
			.name = name, .test_func = test_threads, .initial_state = (void *)(uintptr_t)&formats[i]};
	}
	tests[2 * count] = (struct CMUnitTest){.name = "one compressed file", .test_func = test_single};
	tests[2 * count + 1] = (struct CMUnitTest){.name = "zisofs", .test_func = test_zisofs};
	failed = _cmocka_run_group_tests("archive formats", tests, 2 * count + 2, NULL, NULL);
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)tests[2 * i].name);
	free(tests);
	return failed;
}
