/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/zip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_HEADER  30u
#define CENTRAL_ENTRY 46u
#define END_RECORD    22u
#define END_LOCATOR64 20u
#define END_RECORD64  56u
#define COMMENT_MAX   65535u
#define DIRECTORY_MAX ((uint64_t)1 << 30)

struct zip_directory {
	size_t count;
	struct zip_member members[]; /* sorted by header */
};

static uint16_t get16(const unsigned char *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const unsigned char *at)
{
	return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(const unsigned char *at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static bool read_exactly(struct space *space, void *buffer, size_t size, uint64_t offset)
{
	size_t got;

	return space_read(space, buffer, size, offset, false, NULL, &got) == 0 && got == size;
}

/* Where the directory is, by the record at the end of the file. */
static bool zip_find_directory(struct space *space, uint64_t *start, uint64_t *size, uint64_t *count)
{
	uint64_t file_size = space_size(space);
	size_t tail_size = file_size < END_RECORD + COMMENT_MAX ? (size_t)file_size : END_RECORD + COMMENT_MAX;
	unsigned char *tail = NULL;
	unsigned char far[END_RECORD64];
	bool found = false;

	if (file_size == UINT64_MAX || tail_size < END_RECORD || !(tail = malloc(tail_size)) ||
	    !read_exactly(space, tail, tail_size, file_size - tail_size))
		goto out;
	for (size_t at = tail_size - END_RECORD + 1; at-- > 0 && !found;) {
		const unsigned char *record = tail + at;
		uint64_t record_offset = file_size - tail_size + at;

		if (memcmp(record, "PK\5\6", 4) != 0)
			continue;
		*count = get16(record + 10);
		*size = get32(record + 12);
		*start = get32(record + 16);
		if (at >= END_LOCATOR64 && memcmp(record - END_LOCATOR64, "PK\6\7", 4) == 0 &&
		    read_exactly(space, far, sizeof(far), get64(record - END_LOCATOR64 + 8)) &&
		    memcmp(far, "PK\6\6", 4) == 0) {
			*count = get64(far + 32);
			*size = get64(far + 40);
			*start = get64(far + 48);
		}
		found = *start <= record_offset && *size <= record_offset - *start && *size <= DIRECTORY_MAX &&
			*count <= *size / CENTRAL_ENTRY;
	}
out:
	free(tail);
	return found;
}

/* 64-bit sizes and offset, where the 32-bit ones are all ones. */
static void zip_read_extra(const unsigned char *extra, size_t size, struct zip_member *member)
{
	while (size >= 4) {
		uint16_t tag = get16(extra);
		size_t length = get16(extra + 2);
		const unsigned char *at = extra + 4;
		uint64_t *wanted[3] = {&member->size, &member->packed_size, &member->header};

		if (length > size - 4)
			return;
		if (tag == 1) {
			size_t left = length;

			for (int i = 0; i < 3; i++) {
				if (*wanted[i] != UINT32_MAX)
					continue;
				if (left < 8)
					return;
				*wanted[i] = get64(at);
				at += 8;
				left -= 8;
			}
			return;
		}
		extra += 4 + length;
		size -= 4 + length;
	}
}

static int member_order(const void *a, const void *b)
{
	const struct zip_member *first = a, *second = b;

	return first->header < second->header ? -1 : first->header > second->header;
}

int zip_directory_read(struct zip_directory **out, struct space *space)
{
	struct zip_directory *directory = NULL;
	unsigned char *bytes = NULL;
	uint64_t start, size, count;
	int error = -ENOMEM;

	*out = NULL;
	if (!zip_find_directory(space, &start, &size, &count))
		return 0;
	bytes = malloc(size ? (size_t)size : 1);
	directory = malloc(sizeof(*directory) + (size_t)count * sizeof(struct zip_member));
	if (!bytes || !directory)
		goto fail;
	error = -EIO;
	if (!read_exactly(space, bytes, (size_t)size, start))
		goto fail;

	directory->count = 0;
	for (size_t at = 0; directory->count < count && at + CENTRAL_ENTRY <= size;) {
		const unsigned char *entry = bytes + at;
		size_t name = get16(entry + 28), extra = get16(entry + 30), comment = get16(entry + 32);
		struct zip_member *member = &directory->members[directory->count];

		if (memcmp(entry, "PK\1\2", 4) != 0 || CENTRAL_ENTRY + name + extra + comment > size - at)
			break;
		member->flags = get16(entry + 8);
		member->method = get16(entry + 10);
		member->check = get32(entry + 16);
		member->packed_size = get32(entry + 20);
		member->size = get32(entry + 24);
		member->header = get32(entry + 42);
		zip_read_extra(entry + CENTRAL_ENTRY + name, extra, member);
		directory->count++;
		at += CENTRAL_ENTRY + name + extra + comment;
	}
	qsort(directory->members, directory->count, sizeof(struct zip_member), member_order);
	free(bytes);
	*out = directory;
	return 0;

fail:
	free(bytes);
	free(directory);
	return error;
}

void zip_directory_free(struct zip_directory *directory)
{
	free(directory);
}

/* The last member of the directory whose header is before data. */
static const struct zip_member *zip_before(const struct zip_directory *directory, uint64_t data)
{
	size_t low = 0, high = directory ? directory->count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (directory->members[middle].header < data)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &directory->members[low - 1] : NULL;
}

bool zip_locate(const struct zip_directory *directory, struct window *window, uint64_t data, uint64_t hint,
		struct zip_member *out)
{
	const struct zip_member *known = zip_before(directory, data);
	unsigned char header[LOCAL_HEADER];
	uint64_t at = known ? known->header : hint;

	if (at >= data || !window_read(window, header, sizeof(header), at) || memcmp(header, "PK\3\4", 4) != 0 ||
	    LOCAL_HEADER + (uint64_t)get16(header + 26) + get16(header + 28) != data - at)
		return false;
	if (known) {
		*out = *known;
		return known->method == get16(header + 8);
	}
	*out = (struct zip_member){
		.header = at,
		.packed_size = get32(header + 18),
		.size = get32(header + 22),
		.check = get32(header + 14),
		.method = get16(header + 8),
		.flags = get16(header + 6),
	};
	return true;
}
