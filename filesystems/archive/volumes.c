/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/volumes.h"

#include <string.h>

#define HEAD_SIZE      64u
#define ZIP_END_RECORD 22u
#define RAR4_VOLUME    0x0001u
#define RAR5_VOLUME    0x0001u
#define RAR5_HAS_EXTRA 0x0001u
#define RAR5_MAIN      1u

static uint64_t get_number(const unsigned char *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | at[bytes];
	return value;
}

/* A number of variable length: seven bits a byte, the lowest first. False when it does not end in time. */
static bool get_variable(const unsigned char *bytes, size_t size, size_t *at, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; *at < size && shift < 63; shift += 7) {
		unsigned char byte = bytes[(*at)++];

		*out |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool rar5_is_volume(const unsigned char *bytes, size_t size)
{
	uint64_t length, type, flags, extra, archive_flags;
	size_t at = 12; /* signature and checksum */

	return get_variable(bytes, size, &at, &length) && get_variable(bytes, size, &at, &type) && type == RAR5_MAIN &&
	       get_variable(bytes, size, &at, &flags) &&
	       (!(flags & RAR5_HAS_EXTRA) || get_variable(bytes, size, &at, &extra)) &&
	       get_variable(bytes, size, &at, &archive_flags) && (archive_flags & RAR5_VOLUME);
}

/* Only a record without a comment is looked for: tools that split write none, and a comment may hold anything. */
static bool zip_is_last_part(struct space *file)
{
	unsigned char record[ZIP_END_RECORD];
	uint64_t size = space_size(file);
	size_t got;

	if (size < sizeof(record) ||
	    space_read(file, record, sizeof(record), size - sizeof(record), false, NULL, &got) ||
	    got < sizeof(record) || memcmp(record, "PK\5\6", 4) != 0 || get_number(record + 20, 2) != 0)
		return false;
	return get_number(record + 4, 2) != 0 && get_number(record + 4, 2) != UINT16_MAX;
}

static bool seven_zip_is_cut(const unsigned char *bytes, uint64_t file_size)
{
	uint64_t offset = get_number(bytes + 12, 8), length = get_number(bytes + 20, 8), end;

	return __builtin_add_overflow(offset, length, &end) || end > file_size - 32;
}

const char *volumes_refusal(struct space *file)
{
	static const char zip[] = "this is one part of a split zip archive; join the parts first (zip -s 0)";
	static const char rar[] = "this is one volume of a rar archive; join them or unpack it with unrar";
	static const char seven_zip[] = "this 7z archive ends early: it was cut off, get it again, or is the first of "
					"several parts, join them first (cat)";
	unsigned char bytes[HEAD_SIZE] = {0};
	size_t got;

	if (space_read(file, bytes, sizeof(bytes), 0, false, NULL, &got))
		return NULL;
	if (got > 8 && memcmp(bytes, "PK\7\10PK\3\4", 8) == 0)
		return zip;
	if (got > 14 && memcmp(bytes, "Rar!\x1a\7\0", 7) == 0)
		return bytes[9] == 0x73 && (get_number(bytes + 10, 2) & RAR4_VOLUME) ? rar : NULL;
	if (got > 14 && memcmp(bytes, "Rar!\x1a\7\1\0", 8) == 0)
		return rar5_is_volume(bytes, got) ? rar : NULL;
	if (got >= 32 && memcmp(bytes, "7z\xbc\xaf\x27\x1c", 6) == 0)
		return seven_zip_is_cut(bytes, space_size(file)) ? seven_zip : NULL;
	return zip_is_last_part(file) ? zip : NULL;
}
