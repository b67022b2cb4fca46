/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/zisofs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HEADER_SIZE   16u
#define POINTER_SIZE  4u
#define BLOCK_LOG_MIN 15u
#define BLOCK_LOG_MAX 17u

static const unsigned char magic[8] = {0x37, 0xe4, 0x53, 0x96, 0xc9, 0xdb, 0xd6, 0x07};

static uint32_t get32(const unsigned char *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int read_exactly(struct space *base, void *buffer, size_t size, uint64_t offset,
			const volatile uint32_t *interrupted)
{
	size_t got;
	int error = space_read(base, buffer, size, offset, false, interrupted, &got);

	return !error && got < size ? -EIO : error;
}

/* -EIO when it is no header of such a file. */
static int zisofs_header(struct space *base, uint64_t place, uint64_t size, const volatile uint32_t *interrupted,
			 unsigned *block_log)
{
	unsigned char header[HEADER_SIZE];
	int error = read_exactly(base, header, sizeof(header), place, interrupted);

	if (error)
		return error;
	*block_log = header[13];
	return memcmp(header, magic, sizeof(magic)) == 0 && get32(header + 8) == size &&
			       header[12] == HEADER_SIZE / 4 && *block_log >= BLOCK_LOG_MIN &&
			       *block_log <= BLOCK_LOG_MAX
		       ? 0
		       : -EIO;
}

bool zisofs_is_at(struct space *base, uint64_t place, uint64_t size)
{
	unsigned block_log;

	return zisofs_header(base, place, size, NULL, &block_log) == 0;
}

/* Decode the block that lies from start to end behind place; it gives exactly size bytes. */
static int zisofs_block(struct space *base, uint64_t place, uint32_t start, uint32_t end, unsigned char *packed,
			unsigned char *out, size_t size, const volatile uint32_t *interrupted)
{
	uLongf got = size;
	int error, result;

	if (start == end) {
		memset(out, 0, size);
		return 0;
	}
	if (end < start || end - start > compressBound(size))
		return -EIO;
	error = read_exactly(base, packed, end - start, place + start, interrupted);
	if (error)
		return error;
	result = uncompress(out, &got, packed, end - start);
	if (result == Z_MEM_ERROR)
		return -ENOMEM;
	return result == Z_OK && got == size ? 0 : -EIO;
}

int zisofs_read(struct space *base, uint64_t place, uint64_t content_size, void *buffer, size_t size, uint64_t offset,
		const volatile uint32_t *interrupted)
{
	unsigned char pointers[2 * POINTER_SIZE];
	unsigned char *packed = NULL, *block = NULL;
	unsigned block_log;
	size_t block_size, total = 0;
	int error = zisofs_header(base, place, content_size, interrupted, &block_log);

	if (error)
		return error;
	block_size = (size_t)1 << block_log;
	packed = malloc(compressBound(block_size));
	block = malloc(block_size);
	if (!packed || !block)
		error = -ENOMEM;
	while (!error && total < size) {
		uint64_t number = (offset + total) >> block_log;
		uint64_t first = number << block_log;
		size_t length = content_size - first < block_size ? (size_t)(content_size - first) : block_size;
		size_t skip = (size_t)(offset + total - first);
		size_t part = length - skip < size - total ? length - skip : size - total;

		error = read_exactly(base, pointers, sizeof(pointers), place + HEADER_SIZE + number * POINTER_SIZE,
				     interrupted);
		if (!error)
			error = zisofs_block(base, place, get32(pointers), get32(pointers + POINTER_SIZE), packed,
					     block, length, interrupted);
		if (error)
			break;
		memcpy((char *)buffer + total, block + skip, part);
		total += part;
	}
	free(packed);
	free(block);
	return error;
}
