/* SPDX-License-Identifier: MIT */
/*
 * Thousands of broken archives: each is a good one of some format with bytes changed, cut or repeated by a generator
 * with a fixed seed. Each is opened, walked and read; none may crash, hang or leak (run it under the sanitizers). With
 * arguments (first last) only those mutations run; the number of the one at hand is printed when a signal ends the
 * test.
 */
#include "tests/archive/client.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define MUTATIONS 3000u
#define SECONDS	  20 /* of processor time that one may take before the test ends itself */
#define MEMBERS	  8u
#define SIZE	  3000u

static const struct {
	const char *format;
	const char *filter;
	const char *options;
} seeds[] = {
	{"pax", NULL, NULL},
	{"gnutar", NULL, NULL},
	{"zip", NULL, NULL},
	{"zip", NULL, "zip:compression=store"},
	{"7zip", NULL, NULL},
	{"newc", NULL, NULL},
	{"odc", NULL, NULL},
	{"iso9660", NULL, NULL},
	{"xar", NULL, NULL},
	{"pax", "gzip", NULL},
	{"pax", "xz", "compression-level=0"},
	{"pax", "zstd", NULL},
	{"pax", "lz4", NULL},
	{"pax", "bzip2", NULL},
	{"arbsd", NULL, NULL},
	{"iso9660", NULL, "zisofs=direct"},
	{"zip", NULL, "zip:encryption=aes256"},
	{"zip", NULL, "zip:encryption=zipcrypt"},
	{"7zip", NULL, "compression=deflate"},
	{"7zip", NULL, "compression=ppmd"},
	{"zip", "gzip", NULL},
	{"iso9660", "lz4", "zisofs=direct"},
	{"warc", NULL, NULL},
};
#define SEEDS (sizeof(seeds) / sizeof(*seeds))

static char current[64];

static void on_signal(int signal)
{
	ssize_t put = write(2, current, strlen(current));

	(void)put;
	_exit(1);
}

/* Attributes, lists and holes, for the formats that have them. */
static void decorate(struct archive_entry *entry, unsigned number)
{
	archive_entry_xattr_add_entry(entry, "user.note", "some text", 9);
	archive_entry_xattr_add_entry(entry, "trusted.empty", "", 0);
	archive_entry_acl_add_entry(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 6, ARCHIVE_ENTRY_ACL_USER, 1000, "root");
	archive_entry_acl_add_entry(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 4, ARCHIVE_ENTRY_ACL_GROUP, -1, "root");
	archive_entry_acl_add_entry(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, 6, ARCHIVE_ENTRY_ACL_MASK, -1, "");
	if (number == 2) {
		archive_entry_sparse_add_entry(entry, 512, 512);
		archive_entry_sparse_add_entry(entry, 2048, 512);
	}
}

static uint64_t random_state;

static uint64_t next_random(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static char *make_seed(size_t number, size_t *size)
{
	struct archive *archive = archive_write_new();
	size_t room = 4u << 20;
	char *buffer = malloc(room);
	char bytes[SIZE];

	archive_write_set_format_by_name(archive, seeds[number].format);
	if (seeds[number].filter)
		archive_write_add_filter_by_name(archive, seeds[number].filter);
	if (seeds[number].options)
		archive_write_set_options(archive, seeds[number].options);
	archive_write_set_passphrase(archive, "x");
	archive_write_open_memory(archive, buffer, room, size);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i % 700 < 350 ? i * 2654435761u >> 9 : i);
	for (unsigned i = 0; i < MEMBERS; i++) {
		struct archive_entry *entry = archive_entry_new();
		char path[32];

		snprintf(path, sizeof(path), i % 3 ? "folder/member%u" : "member%u", i);
		archive_entry_set_pathname(entry,
					   strcmp(seeds[number].format, "arbsd") ? path : path + (i % 3 ? 7 : 0));
		archive_entry_set_mode(entry, (i == 5 ? S_IFLNK : S_IFREG) | 0644);
		archive_entry_set_mtime(entry, 1000000000, 0);
		archive_entry_set_size(entry, i == 5 ? 0 : SIZE);
		if (strcmp(seeds[number].format, "pax") == 0 && i != 5)
			decorate(entry, i);
		if (i == 5)
			archive_entry_set_symlink(entry, "member0");
		if (archive_write_header(archive, entry) >= ARCHIVE_WARN && i != 5)
			archive_write_data(archive, bytes, SIZE);
		archive_entry_free(entry);
	}
	archive_write_close(archive);
	archive_write_free(archive);
	return buffer;
}

/* Returns the new size; bytes has room for twice size. */
static size_t mutate(char *bytes, size_t size)
{
	for (uint64_t changes = 1 + next_random(8); changes && size > 64; changes--) {
		size_t at = next_random(2) ? next_random(size) : next_random(size < 2048 ? size : 2048);
		size_t length = 1 + next_random(64);

		if (length > size - at)
			length = size - at;
		switch (next_random(6)) {
		case 0:
			bytes[at] ^= (char)(1u << next_random(8));
			break;
		case 1:
			bytes[at] = (char)next_random(256);
			break;
		case 2: /* a number that means much */
			memset(bytes + at, next_random(2) ? 0xff : 0, length < 8 ? length : 8);
			break;
		case 3:
			memmove(bytes + at, bytes + next_random(size - length + 1), length);
			break;
		case 4:
			if (next_random(4) == 0)
				size = at;
			break;
		default:
			bytes[at] = (char)('0' + next_random(10));
		}
	}
	return size;
}

static void run_one(struct client_host *host, const char *folder, const char *bytes, size_t size, size_t *opened)
{
	struct client client;
	char path[4096], *buffer = malloc(65536);
	FILE *file;

	snprintf(path, sizeof(path), "%s/it", folder);
	unlink(path); /* a new file: some file systems flush one that is overwritten */
	file = fopen(path, "w");
	fwrite(bytes, 1, size, file);
	fclose(file);
	host->log[0] = 0;
	if (client_open(&client, host, path, next_random(16) ? NULL : folder, next_random(4) ? NULL : "password=x",
			false) == 0) {
		(*opened)++;
		client_walk(&client, DW_NODE_ROOT, 10000, buffer, 65536, 4u << 20, NULL);
		client_close(&client);
	} else if (!*client.error || strchr(client.error, '\n')) {
		fprintf(stderr, "%sno error of one line\n", current);
		exit(1);
	}
	if (host->kept_fd >= 0)
		close(host->kept_fd);
	host->kept_fd = -1;
	free(buffer);
}

int main(int argc, char **argv)
{
	unsigned first = argc > 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	unsigned last = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : MUTATIONS - 1;
	char *folder = client_folder(), *seed[SEEDS];
	size_t seed_size[SEEDS], opened = 0;
	struct client_host host;
	struct itimerval limit = {0};

	signal(SIGPROF, on_signal);
	signal(SIGABRT, on_signal);
	client_host_init(&host);
	for (size_t i = 0; i < SEEDS; i++)
		seed[i] = make_seed(i, &seed_size[i]);
	for (unsigned i = first; i <= last; i++) {
		size_t which = i % SEEDS, size = seed_size[which];
		char *bytes = malloc(size);

		snprintf(current, sizeof(current), "mutation %u (%s %s)\n", i, seeds[which].format,
			 seeds[which].filter ? seeds[which].filter : "-");
		limit.it_value.tv_sec = SECONDS;
		setitimer(ITIMER_PROF, &limit, NULL);
		random_state = 0x9e3779b97f4a7c15ull ^ ((uint64_t)i + 1) * 0xbf58476d1ce4e5b9ull;
		memcpy(bytes, seed[which], size);
		if (i >= SEEDS) /* the first round is not changed */
			size = mutate(bytes, size);
		run_one(&host, folder, bytes, size, &opened);
		free(bytes);
		if (i + 1 == SEEDS && first == 0 && opened != SEEDS) {
			fprintf(stderr, "only %zu of the good archives can be opened\n", opened);
			return 1;
		}
	}
	limit.it_value.tv_sec = 0;
	setitimer(ITIMER_PROF, &limit, NULL);
	printf("%u archives, %zu opened\n", last - first + 1, opened);
	for (size_t i = 0; i < SEEDS; i++)
		free(seed[i]);
	client_host_free(&host);
	client_remove(folder);
	return 0;
}
