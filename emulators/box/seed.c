/* SPDX-License-Identifier: MIT */
#include "emulators/box/seed.h"

#include "emulators/box/item.h"
#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK	   (64u << 10)
#define FILES_MAX  10000000
#define LONG_AGO   1577836800 /* 2020-01-01, when the oldest files were made */
#define DEMO_VIDEO (192u << 20)
#define DEMO_SMALL 3000

enum seed_kind {
	SEED_BYTES, /* nothing can be read out of it, or packed */
	SEED_TEXT,
	SEED_TABLE,
	SEED_PICTURE,
};

/* Where made up numbers come from: xorshift. */
struct seed_source {
	uint64_t state;
};

static uint64_t seed_next(struct seed_source *source)
{
	source->state ^= source->state << 13;
	source->state ^= source->state >> 7;
	source->state ^= source->state << 17;
	return source->state;
}

static struct seed_source seed_source(const char *name)
{
	struct seed_source source = {0xcbf29ce484222325u};

	for (; *name; name++)
		source.state = (source.state ^ (unsigned char)*name) * 0x100000001b3u;
	source.state |= 1;
	for (int i = 0; i < 8; i++)
		seed_next(&source);
	return source;
}

static void seed_words(struct seed_source *source, char *block, size_t size, char gap)
{
	static const char *const words[] = {"river",  "report", "meeting", "budget",  "garden", "letter",
					    "window", "plan",	"autumn",  "figures", "travel", "client",
					    "the",    "of",	"and",	   "with",    "a",	"to",
					    "in",     "first",	"second",  "draft",   "final",	"note"};
	size_t at = 0, length;
	const char *word;
	uint64_t number;

	while (at < size) {
		number = seed_next(source);
		word = words[number % (sizeof(words) / sizeof(words[0]))];
		length = strlen(word);
		if (length + 1 > size - at) {
			memset(block + at, '\n', size - at);
			break;
		}
		memcpy(block + at, word, length);
		at += length;
		block[at++] = (char)((number >> 32) % 12 ? gap : '\n');
	}
}

static void seed_put(unsigned char *out, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		out[i] = (unsigned char)(value >> 8 * i);
}

/* A picture that viewers show: the header of a BMP with 24 bits a pixel for size bytes in all, which it rounds down to.
 */
static size_t seed_picture_header(unsigned char *out, size_t size)
{
	uint32_t width = 640, height = (uint32_t)((size - 54) / (width * 3));

	memset(out, 0, 54);
	out[0] = 'B';
	out[1] = 'M';
	seed_put(out + 2, 54 + width * 3 * height, 4);
	seed_put(out + 10, 54, 4);
	seed_put(out + 14, 40, 4);
	seed_put(out + 18, width, 4);
	seed_put(out + 22, height, 4);
	seed_put(out + 26, 1, 2);
	seed_put(out + 28, 24, 2);
	return 54 + (size_t)width * 3 * height;
}

static void seed_fill(struct seed_source *source, enum seed_kind kind, char *block, size_t size, size_t offset)
{
	uint64_t number;

	switch (kind) {
	case SEED_TEXT:
		seed_words(source, block, size, ' ');
		break;
	case SEED_TABLE:
		seed_words(source, block, size, ';');
		break;
	case SEED_PICTURE:
		for (size_t i = 0; i < size; i++)
			block[i] = (char)((offset + i) / 1920 / 2 + (offset + i) % 1920 / 12 * ((offset + i) % 3));
		break;
	default:
		for (size_t i = 0; i < size; i += sizeof(number)) {
			number = seed_next(source);
			memcpy(block + i, &number, size - i < sizeof(number) ? size - i : sizeof(number));
		}
	}
}

static int seed_content(struct content_writer *writer, const char *name, enum seed_kind kind, uint64_t size)
{
	struct seed_source source = seed_source(name);
	char *block = malloc(BLOCK + 64);
	unsigned char header[54];
	uint64_t done = 0;
	size_t piece;
	int error = 0;

	if (!block)
		return -ENOMEM;
	if (kind == SEED_PICTURE && size > 4096) {
		size = seed_picture_header(header, size);
		error = content_write(writer, header, sizeof(header));
		done = sizeof(header);
	}
	while (done < size && !error) {
		piece = size - done < BLOCK ? (size_t)(size - done) : BLOCK;
		seed_fill(&source, kind, block, piece, done);
		error = content_write(writer, block, piece);
		done += piece;
	}
	free(block);
	return error ? error : content_finish(writer);
}

int64_t seed_folder(struct emulator *emulator, int64_t owner, int64_t from, const char *path)
{
	char copy[4096], *next = copy, *name;
	struct item item;

	if (!text_copy(copy, sizeof(copy), path))
		return 0;
	while ((name = strsep(&next, "/"))) {
		if (!*name)
			continue;
		if (item_name_problem(name))
			return 0;
		if (item_find(emulator, from, name, &item)) {
			if (!item.folder)
				return 0;
			from = item.key;
			continue;
		}
		item = (struct item){.folder = true,
				     .owner = owner,
				     .parent = from,
				     .created = LONG_AGO,
				     .modified = LONG_AGO,
				     .content_created = LONG_AGO,
				     .content_modified = LONG_AGO};
		text_copy(item.name, sizeof(item.name), name);
		item_insert(emulator, &item);
		from = item.key;
	}
	return from;
}

/* Add a file with content that is in its place. */
static void seed_file(struct emulator *emulator, int64_t owner, int64_t folder, const char *name, const char *sha1,
		      uint64_t size, int64_t age)
{
	struct item item = {.owner = owner, .parent = folder};

	text_copy(item.name, sizeof(item.name), name);
	item.created = item.modified = item.content_created = item.content_modified = LONG_AGO + age;
	item_insert(emulator, &item);
	item_add_version(emulator, &item, sha1, (int64_t)size);
	store_run(emulator->store, "UPDATE item SET version = ?, sha1 = ?, size = ? WHERE key = ?", "isii",
		  item.version, item.sha1, item.size, item.key);
}

/* Make a file with bytes of its own, if there is none of this name. */
static int seed_make(struct emulator *emulator, int64_t owner, int64_t folder, const char *name, enum seed_kind kind,
		     uint64_t size, int64_t age)
{
	const char *data = emulator->store->folder;
	struct content_writer writer;
	struct item item;
	int error;

	if (item_find(emulator, folder, name, &item))
		return 0;
	error = content_start(&writer, data);
	if (error)
		return error;
	error = seed_content(&writer, name, kind, size);
	if (!error)
		error = content_keep(&writer, data);
	if (!error)
		seed_file(emulator, owner, folder, name, writer.sha1, writer.size, age);
	content_discard(&writer);
	return error;
}

/* What a specification with keys says. */
struct seed_plan {
	uint64_t files, size;
	char folder[1024], prefix[128];
	bool same;
};

static int seed_parse(const char *specification, struct seed_plan *plan)
{
	char copy[2048], *next = copy, *pair, *value;
	int error = 0;

	*plan = (struct seed_plan){.size = 1024, .folder = "Files", .prefix = "file-"};
	if (!text_copy(copy, sizeof(copy), specification))
		return -EINVAL;
	while (!error && (pair = strsep(&next, ","))) {
		value = strchr(pair, '=');
		if (!value)
			return -EINVAL;
		*value++ = '\0';
		if (strcmp(pair, "files") == 0)
			error = text_parse_number(value, FILES_MAX, &plan->files);
		else if (strcmp(pair, "size") == 0)
			error = text_parse_size(value, &plan->size);
		else if (strcmp(pair, "folder") == 0)
			error = text_copy(plan->folder, sizeof(plan->folder), value) ? 0 : -EINVAL;
		else if (strcmp(pair, "prefix") == 0)
			error = text_copy(plan->prefix, sizeof(plan->prefix), value) ? 0 : -EINVAL;
		else if (strcmp(pair, "content") == 0)
			plan->same = strcmp(value, "same") == 0;
		else
			error = -EINVAL;
	}
	return error || !plan->files ? -EINVAL : 0;
}

static int seed_many(struct emulator *emulator, const struct user *user, const struct seed_plan *plan)
{
	int64_t folder = seed_folder(emulator, user->id, user->root, plan->folder);
	struct content_writer writer = {.fd = -1};
	struct item item;
	char name[256];
	int error = 0;

	if (!folder)
		return -EINVAL;
	if (plan->same) {
		error = content_start(&writer, emulator->store->folder);
		if (!error)
			error = seed_content(&writer, plan->prefix, SEED_BYTES, plan->size);
		if (!error)
			error = content_keep(&writer, emulator->store->folder);
	}
	for (uint64_t i = 0; i < plan->files && !error; i++) {
		text_format(name, sizeof(name), "%s%06llu", plan->prefix, (unsigned long long)i);
		if (!plan->same)
			error = seed_make(emulator, user->id, folder, name, SEED_BYTES, plan->size, (int64_t)i);
		else if (!item_find(emulator, folder, name, &item))
			seed_file(emulator, user->id, folder, name, writer.sha1, plan->size, (int64_t)i);
	}
	if (plan->same)
		content_discard(&writer);
	return error;
}

static int seed_demo(struct emulator *emulator, const struct user *user)
{
	static const struct {
		const char *folder, *name;
		enum seed_kind kind;
		uint64_t size;
	} files[] = {
		{"", "Welcome.txt", SEED_TEXT, 2048},
		{"Documents", "Contract 2024.txt", SEED_TEXT, 38000},
		{"Documents", "Letter to the landlord.txt", SEED_TEXT, 6100},
		{"Documents", "Überblick – Größen.md", SEED_TEXT, 12000},
		{"Documents/Taxes/2022", "Statement.csv", SEED_TABLE, 220000},
		{"Documents/Taxes/2023", "Statement.csv", SEED_TABLE, 240000},
		{"Documents/Taxes/2023", "Notes.txt", SEED_TEXT, 900},
		{"Documents/Taxes/2024", "Statement.csv", SEED_TABLE, 180000},
		{"Documents/Empty folder/Below it", "empty.txt", SEED_TEXT, 0},
		{"Projects/Bridge", "Plan.md", SEED_TEXT, 24000},
		{"Projects/Bridge", "Measurements.csv", SEED_TABLE, 3500000},
		{"Projects/Bridge/Drawings", "North elevation.bmp", SEED_PICTURE, 2400000},
		{"Projects/Bridge/Drawings", "South elevation.bmp", SEED_PICTURE, 2400000},
		{"Projects/日本語", "計画.txt", SEED_TEXT, 4000},
		{"Videos", "Holiday film.mp4", SEED_BYTES, DEMO_VIDEO},
		{"Videos", "Trailer.mp4", SEED_BYTES, 12u << 20},
	};
	char name[128], path[128];
	int64_t folder;
	int error = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !error; i++) {
		folder = seed_folder(emulator, user->id, user->root, files[i].folder);
		error = seed_make(emulator, user->id, folder, files[i].name, files[i].kind, files[i].size,
				  (int64_t)i * 86400);
	}
	for (int i = 0; i < 48 && !error; i++) {
		text_format(path, sizeof(path), "Pictures/%d/%s", 2021 + i / 16, i % 16 < 8 ? "Spring" : "Autumn");
		text_format(name, sizeof(name), "IMG_%04d.bmp", 1000 + i);
		folder = seed_folder(emulator, user->id, user->root, path);
		error = seed_make(emulator, user->id, folder, name, SEED_PICTURE, 700000 + (uint64_t)i * 9600,
				  i * 86400);
	}
	for (int i = 0; i < DEMO_SMALL && !error; i++) {
		text_format(path, sizeof(path), "Archive/Mail/%02d", i % 30);
		text_format(name, sizeof(name), "message-%04d.txt", i);
		folder = seed_folder(emulator, user->id, user->root, path);
		error = seed_make(emulator, user->id, folder, name, SEED_TEXT, 600 + (uint64_t)(i * 37) % 6000,
				  i * 3600);
	}
	return error;
}

int seed_account(struct emulator *emulator, const struct user *user, const char *specification)
{
	struct seed_plan plan;
	int error;

	if (strcmp(specification, "demo") == 0)
		return seed_demo(emulator, user);
	error = seed_parse(specification, &plan);
	return error ? error : seed_many(emulator, user, &plan);
}
