/* SPDX-License-Identifier: MIT */
/*
 * space.c - fallocate, lseek, copy_file_range
 */
#include <errno.h>
#include <stdlib.h>

#include "filesystems/memory/memory.h"

#define COPY_BUFFER ((uint64_t)262144)
#define COPY_MAX    ((uint64_t)4 << 20) /* of one call; the caller comes again */

static inline uint64_t minimum(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t block_up(uint64_t offset)
{
	return (offset + BLOCK_SIZE - 1) / BLOCK_SIZE;
}

/* --- fallocate --- */

/* The file has no blocks in offset to end any more, and reads as zeros there. */
static int punch_range(struct memory *memory, uint64_t id, uint64_t offset, uint64_t end)
{
	uint64_t first = block_up(offset), last = end / BLOCK_SIZE;
	int error;

	if (first >= last)
		return content_zero(memory, id, offset, end);
	error = content_zero(memory, id, offset, first * BLOCK_SIZE);
	if (!error)
		error = content_zero(memory, id, last * BLOCK_SIZE, end);
	if (!error)
		error = content_unmap(memory, id, first, last);
	return error;
}

static uint64_t count_holes(const struct memory *memory, const struct node *node, uint64_t first, uint64_t last)
{
	uint64_t holes = 0;

	while (first < last) {
		uint64_t count;
		const uint32_t *blocks = tree_span(memory, &node->map, first, &count);
		count = minimum(count, last - first);
		for (uint64_t i = 0; blocks && i < count; i++)
			holes += !blocks[i];
		if (!blocks)
			holes += count;
		first += count;
	}
	return holes;
}

/* All of the holes in a range become blocks of zeros, or none does and the answer is -ENOSPC. */
static int allocate_range(struct memory *memory, uint64_t id, uint64_t offset, uint64_t end)
{
	uint64_t position = offset / BLOCK_SIZE, last = block_up(end), claim;
	int error = -ESTALE;

	memory_lock_exclusive(memory);
	const struct node *node = node_find(memory, id);
	if (node) {
		/* Some 4.2 bytes of map for each block. */
		claim = count_holes(memory, node, position, last);
		uint64_t room = content_room(memory);
		error = claim && (claim > room || claim + claim / 512 + 2 > room) ? -ENOSPC : 0;
		if (!error)
			memory->promised += claim;
	}
	memory_unlock(memory);
	if (error)
		return error;
	while (position < last && claim && !error) {
		struct filling filling = {
			.first = position, .last = minimum(last, position + CONTENT_SLICE), .claim = &claim};
		error = content_fill(memory, id, &filling);
		if (!error && filling.there < filling.last - filling.first)
			error = -ENOSPC;
		position = filling.last;
	}
	memory_lock_exclusive(memory);
	memory->promised -= claim;
	memory_unlock(memory);
	return error;
}

int memory_fallocate(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, uint64_t handle,
		     uint64_t offset, uint64_t length, uint32_t flags)
{
	struct memory *memory = memory_of(fs);
	bool keep = flags & DW_FALLOCATE_KEEP_SIZE;
	bool punch = flags & DW_FALLOCATE_PUNCH_HOLE, zero = flags & DW_FALLOCATE_ZERO_RANGE;
	uint64_t end = offset + length, nothing;
	int error;

	if (flags & ~(DW_FALLOCATE_KEEP_SIZE | DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_ZERO_RANGE) ||
	    (punch && (zero || !keep)))
		return -EOPNOTSUPP;
	if (length == 0)
		return -EINVAL;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return -EFBIG;
	if (length / BLOCK_SIZE > MEMORY_LONG && req->flags & DW_REQUEST_NOWAIT)
		return -EAGAIN;
	if (memory_replayed(memory, req, &nothing))
		return 0;

	memory_lock_shared(memory);
	const struct node *before = node_find(memory, id);
	error = !before				  ? -ESTALE
		: node_is(before, DW_MODE_FILE)	  ? 0
		: node_is(before, DW_MODE_FOLDER) ? -EISDIR
						  : -ENODEV;
	memory_unlock(memory);
	if (!error && !punch)
		error = allocate_range(memory, id, offset, end);
	if (!error && zero)
		error = content_zero(memory, id, offset, end);
	if (!error && punch)
		error = punch_range(memory, id, offset, end);
	if (error)
		return error;
	memory_begin(memory);
	struct node *node = node_find(memory, id);
	if (!node)
		return memory_cancel(memory, -ESTALE);
	if (!keep)
		content_extend(memory, node, end, end);
	node_touch(memory, node, 1u << TIME_MODIFY | 1u << TIME_CHANGE);
	error = node_kill_privileges(memory, node, req->uid != 0);
	if (error)
		return memory_cancel(memory, error);
	return memory_finish(memory, req, 0);
}

/* --- lseek --- */

/* First byte from offset on that is data (or hole), at most the size. Under the lock. */
static uint64_t seek(const struct memory *memory, const struct node *node, uint64_t offset, bool data)
{
	uint64_t key = offset / BLOCK_SIZE, last = block_up(node->size), count;

	while (key < last) {
		const uint32_t *blocks = tree_span(memory, &node->map, key, &count);
		uint64_t i = 0;
		count = minimum(count, last - key);
		if (blocks)
			while (i < count && !blocks[i] == data)
				i++;
		else if (data)
			i = count;
		key += i;
		if (i < count)
			break;
	}
	uint64_t found = key * BLOCK_SIZE > offset ? key * BLOCK_SIZE : offset;
	return minimum(found, node->size);
}

int memory_lseek(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, uint64_t handle, uint64_t offset,
		 uint32_t whence, uint64_t *out)
{
	struct memory *memory = memory_of(fs);
	int error = 0;

	if (whence != DW_SEEK_DATA && whence != DW_SEEK_HOLE)
		return -EINVAL;
	memory_lock_shared(memory);
	const struct node *node = node_find(memory, id);
	if (!node) {
		error = -ESTALE;
	} else if (!node_is(node, DW_MODE_FILE)) {
		error = -EINVAL;
	} else if (offset >= node->size) {
		error = -ENXIO;
	} else {
		*out = seek(memory, node, offset, whence == DW_SEEK_DATA);
		if (whence == DW_SEEK_DATA && *out == node->size)
			error = -ENXIO;
	}
	memory_unlock(memory);
	return error;
}

/* --- copy_file_range --- */

/* How many bytes from offset on, at most size, are a hole of the file. */
static uint64_t hole_at(struct memory *memory, uint64_t id, uint64_t offset, uint64_t size)
{
	uint64_t hole = 0;

	memory_lock_shared(memory);
	const struct node *node = node_find(memory, id);
	if (node && node_is(node, DW_MODE_FILE))
		hole = offset >= node->size ? size : minimum(size, seek(memory, node, offset, true) - offset);
	memory_unlock(memory);
	return hole;
}

/* The file is so large at least, and reads as zeros from where it ended. */
static int extend_to(struct memory *memory, uint64_t id, uint64_t size)
{
	memory_begin(memory);
	struct node *node = node_find(memory, id);
	if (!node)
		return memory_cancel(memory, -ESTALE);
	content_extend(memory, node, size, size);
	return memory_finish(memory, NULL, 0);
}

/* *done is also right when an error is returned. */
static int copy(struct memory *memory, uint64_t node_in, uint64_t offset_in, uint64_t node_out, uint64_t offset_out,
		uint64_t size, uint64_t *done)
{
	uint8_t *buffer = malloc(COPY_BUFFER);
	int error = buffer ? 0 : -ENOMEM;

	while (!error && *done < size) {
		uint64_t from = offset_in + *done, to = offset_out + *done;
		uint64_t hole = minimum(hole_at(memory, node_in, from, size - *done),
					hole_at(memory, node_out, to, size - *done));
		if (hole) {
			error = extend_to(memory, node_out, to + hole);
			if (!error)
				*done += hole;
			continue;
		}
		size_t got, put;
		bool due;
		error = content_read(memory, node_in, buffer, (size_t)minimum(size - *done, COPY_BUFFER), from, &got,
				     &due);
		if (error || !got)
			break;
		error = content_write(memory, NULL, node_out, buffer, got, to, 0, &put);
		if (!error)
			*done += put;
	}
	free(buffer);
	return error;
}

int memory_copy_file_range(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node_in, uint64_t handle_in,
			   uint64_t offset_in, uint64_t node_out, uint64_t handle_out, uint64_t offset_out, size_t size,
			   size_t *done)
{
	struct memory *memory = memory_of(fs);
	uint64_t wanted = minimum(size, COPY_MAX), copied = 0, result;
	int error = 0;

	*done = 0;
	if (memory_replayed(memory, req, &result)) {
		*done = (size_t)result;
		return 0;
	}
	memory_lock_shared(memory);
	const struct node *in = node_find(memory, node_in), *out = node_find(memory, node_out);
	if (!in || !out)
		error = -ESTALE;
	else if (node_is(in, DW_MODE_FOLDER) || node_is(out, DW_MODE_FOLDER))
		error = -EISDIR;
	else if (!node_is(in, DW_MODE_FILE) || !node_is(out, DW_MODE_FILE))
		error = -EINVAL;
	else
		wanted = offset_in < in->size ? minimum(wanted, in->size - offset_in) : 0;
	memory_unlock(memory);
	if (!error && (offset_out > INT64_MAX || wanted > INT64_MAX - offset_out))
		error = -EFBIG;
	if (!error && node_in == node_out && offset_in < offset_out + wanted && offset_out < offset_in + wanted)
		error = -EINVAL;
	if (error || !wanted)
		return error;
	error = copy(memory, node_in, offset_in, node_out, offset_out, wanted, &copied);
	if (error && !copied)
		return error;
	memory_begin(memory);
	struct node *node = node_find(memory, node_out);
	if (!node)
		return memory_cancel(memory, -ESTALE);
	node_touch(memory, node, 1u << TIME_MODIFY | 1u << TIME_CHANGE);
	error = node_kill_privileges(memory, node, req->uid != 0);
	if (error)
		return memory_cancel(memory, error);
	*done = (size_t)copied;
	return memory_finish(memory, req, copied);
}
