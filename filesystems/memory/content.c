/* SPDX-License-Identifier: MIT */
/*
 * content.c - reading and writing of files' bytes
 *
 * A small write is one transaction, copying included. A large one is three steps for each slice:
 *
 *    take     a transaction takes blocks for the holes and lists them in a reservation, so that a later process
 *             finds them when this one dies
 *    fill     the bytes are copied to them, without the lock, as nobody else knows these blocks
 *    enter    a transaction enters them into the file's map and removes the reservation
 *
 * and then copies what belongs into blocks that the file had, under the shared lock. The file's size and times, the
 * request's notes and the clearing of privileges are one last transaction. A write that is cut off before
 * that and replayed writes the same bytes again.
 */
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

#define SMALL_WRITE   16384u
#define COPY_AT_ONCE  ((uint64_t)131072)
#define UNMAP_AT_ONCE 2048u
#define SLICE	      ((uint64_t)(CONTENT_SLICE - 1) * BLOCK_SIZE)
/* Kept free for what a file's last blocks cost in metadata. */
#define ROOM_SPARE (4u * BLOCK_SIZE)

static inline uint64_t minimum(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t content_room(const struct memory *memory)
{
	uint64_t used = memory_used(memory) + ROOM_SPARE;

	return used < memory->limit ? (memory->limit - used) / BLOCK_SIZE : 0;
}

void content_extend(struct memory *memory, struct node *node, uint64_t size, uint64_t limit)
{
	uint64_t tail = node->size % BLOCK_SIZE;

	if (size <= node->size)
		return;
	if (tail && limit > node->size) {
		uint32_t block = tree_get(memory, &node->map, node->size / BLOCK_SIZE);
		if (block)
			memset(block_at(memory, block - 1) + tail, 0, minimum(BLOCK_SIZE - tail, limit - node->size));
	}
	SAVE(memory, &node->size);
	node->size = size;
}

static struct node *find_file(const struct memory *memory, uint64_t id)
{
	struct node *node = node_find(memory, id);

	return node && node_is(node, DW_MODE_FILE) ? node : NULL;
}

/* Why find_file found nothing. */
static int not_a_file(const struct memory *memory, uint64_t id)
{
	const struct node *node = node_find(memory, id);

	if (!node)
		return -ESTALE;
	return node_is(node, DW_MODE_FOLDER) ? -EISDIR : -EINVAL;
}

int content_unmap(struct memory *memory, uint64_t id, uint64_t first, uint64_t last)
{
	bool more = true;

	while (more) {
		struct run run = {0, 0};
		uint32_t value;
		memory_begin(memory);
		struct node *node = find_file(memory, id);
		if (!node)
			return memory_cancel(memory, not_a_file(memory, id));
		for (unsigned i = 0; i < UNMAP_AT_ONCE && more; i++) {
			more = tree_next(memory, &node->map, &first, &value) && first < last;
			if (!more)
				break;
			tree_clear(memory, &node->map, first);
			if (value - 1 != run.start + run.count) {
				blocks_free(memory, run);
				run = (struct run){value - 1, 0};
			}
			run.count++;
			SAVE(memory, &node->blocks);
			node->blocks--;
			first++;
		}
		blocks_free(memory, run);
		memory_finish(memory, NULL, 0);
	}
	blocks_collect(memory);
	return 0;
}

int content_zero(struct memory *memory, uint64_t id, uint64_t offset, uint64_t end)
{
	while (offset < end) {
		uint64_t count, slice;
		memory_lock_shared(memory);
		const struct node *node = find_file(memory, id);
		if (!node) {
			int error = not_a_file(memory, id);
			memory_unlock(memory);
			return error;
		}
		const uint32_t *blocks = tree_span(memory, &node->map, offset / BLOCK_SIZE, &count);
		if (!blocks) {
			slice = count > UINT64_MAX / BLOCK_SIZE - offset / BLOCK_SIZE
					? end
					: (offset / BLOCK_SIZE + count) * BLOCK_SIZE;
		} else {
			slice = minimum(end, (offset / BLOCK_SIZE + 1) * BLOCK_SIZE);
			if (*blocks)
				memset(block_at(memory, *blocks - 1) + offset % BLOCK_SIZE, 0, slice - offset);
		}
		memory_unlock(memory);
		offset = slice;
	}
	return 0;
}

/* --- Filling holes --- */

/* A block that was taken for a hole, with what stood there before unknown (dirty) or zero. */
static void fill_block(const struct memory *memory, const struct filling *filling, uint64_t index, uint32_t block,
		       bool dirty)
{
	uint8_t *to = block_at(memory, block);
	uint64_t start = index * BLOCK_SIZE, end = start + BLOCK_SIZE;

	if (!filling->source) {
		if (dirty)
			memset(to, 0, BLOCK_SIZE);
		return;
	}
	uint64_t from = start > filling->source_offset ? start : filling->source_offset;
	uint64_t stop = minimum(end, filling->source_offset + filling->source_size);
	memset(to, 0, from - start);
	memcpy(to + (from - start), filling->source + (from - filling->source_offset), stop - from);
	memset(to + (stop - start), 0, end - stop);
}

/*
 * Take blocks for the holes; blocks[i] becomes block number + 1 for those taken. filling->there becomes the number of
 * blocks that can be entered or are there. Inside a transaction.
 */
static arena_ref take_for_holes(struct memory *memory, const struct node *node, struct filling *filling,
				uint32_t *blocks, bool *dirty)
{
	uint32_t count = (uint32_t)(filling->last - filling->first), holes = 0;
	uint32_t goal = filling->first ? tree_get(memory, &node->map, filling->first - 1) : 0;
	bool hole[CONTENT_SLICE];

	for (uint32_t i = 0; i < count; i++) {
		hole[i] = !tree_get(memory, &node->map, filling->first + i);
		holes += hole[i];
	}
	filling->there = count;
	if (!holes)
		return 0;
	uint64_t room = filling->claim ? holes : minimum(holes, content_room(memory));
	arena_ref ref = room ? reservation_create(memory, (uint32_t)room) : 0;
	struct reservation *reservation = ref ? at(memory, ref) : NULL;
	for (uint32_t i = 0; i < count;) {
		bool run_dirty = false;
		uint32_t want = 0;
		if (!hole[i]) {
			goal = tree_get(memory, &node->map, filling->first + i);
			i++;
			continue;
		}
		while (i + want < count && hole[i + want] && want < room)
			want++;
		struct run run = want && ref ? blocks_take(memory, want, goal, &run_dirty) : (struct run){0, 0};
		if (!run.count) {
			filling->there = i;
			break;
		}
		reservation->runs[reservation->count++] = run;
		for (uint32_t j = 0; j < run.count; j++)
			blocks[i + j] = run.start + j + 1;
		*dirty |= run_dirty;
		goal = run.start + run.count;
		room -= run.count;
		i += run.count;
	}
	if (ref && !reservation->count) {
		reservation_remove(memory, ref, false);
		ref = 0;
	}
	return ref;
}

static void forget_reservation(struct memory *memory, arena_ref ref)
{
	memory_begin(memory);
	reservation_remove(memory, ref, true);
	memory_finish(memory, NULL, 0);
}

int content_fill(struct memory *memory, uint64_t id, struct filling *filling)
{
	uint32_t blocks[CONTENT_SLICE] = {0}, taken = 0;
	bool dirty = false;
	int error;

	memset(filling->filled, 0, sizeof(filling->filled));
	memory_begin(memory);
	struct node *node = find_file(memory, id);
	if (!node)
		return memory_cancel(memory, not_a_file(memory, id));
	arena_ref ref = take_for_holes(memory, node, filling, blocks, &dirty);
	if (!ref)
		return memory_cancel(memory, 0);
	for (uint32_t i = 0; i < filling->there; i++)
		taken += blocks[i] != 0;
	if (filling->claim) {
		*filling->claim -= taken;
		memory->promised -= taken;
	}
	error = memory_finish(memory, NULL, 0);
	if (error) {
		filling->there = 0;
		return 0;
	}

	for (uint32_t i = 0; i < filling->there; i++)
		if (blocks[i])
			fill_block(memory, filling, filling->first + i, blocks[i] - 1, dirty);

	memory_begin(memory);
	node = find_file(memory, id);
	error = node ? 0 : not_a_file(memory, id);
	for (uint32_t i = 0; i < filling->there && !error; i++) {
		if (!blocks[i])
			continue;
		if (tree_get(memory, &node->map, filling->first + i)) {
			blocks_free(memory, (struct run){blocks[i] - 1, 1});
			continue;
		}
		error = tree_set(memory, &node->map, filling->first + i, blocks[i]);
		filling->filled[i] = true;
		SAVE(memory, &node->blocks);
		node->blocks++;
	}
	if (!error) {
		reservation_remove(memory, ref, false);
		error = memory_finish(memory, NULL, 0);
	} else {
		memory_cancel(memory, error);
	}
	if (error) {
		forget_reservation(memory, ref);
		memset(filling->filled, 0, sizeof(filling->filled));
		filling->there = 0;
	}
	return error == -ENOSPC ? 0 : error;
}

/* --- Writing --- */

/* Size, times and privileges after bytes were written to offset up to end. Inside a transaction. */
static int written(struct memory *memory, struct node *node, uint64_t offset, uint64_t end, uint32_t flags)
{
	content_extend(memory, node, end, offset);
	node_touch(memory, node, 1u << TIME_MODIFY | 1u << TIME_CHANGE);
	return node_kill_privileges(memory, node, flags & DW_WRITE_KILL_PRIV);
}

/* All in one transaction. -EAGAIN: it may not fit into the drive as a whole; nothing has changed. */
static int write_small(struct memory *memory, const struct dw_request *req, uint64_t id, const uint8_t *buffer,
		       size_t size, uint64_t offset, uint32_t flags)
{
	uint64_t first = offset / BLOCK_SIZE, last = (offset + size - 1) / BLOCK_SIZE;
	uint32_t blocks[SMALL_WRITE / BLOCK_SIZE + 1];
	bool fresh[SMALL_WRITE / BLOCK_SIZE + 1];
	struct filling filling = {.source = buffer, .source_offset = offset, .source_size = size};
	int error = 0;

	memory_begin(memory);
	struct node *node = find_file(memory, id);
	if (!node)
		return memory_cancel(memory, not_a_file(memory, id));
	uint64_t room = content_room(memory);
	uint32_t goal = first ? tree_get(memory, &node->map, first - 1) : 0;
	for (uint64_t i = first; i <= last && !error; i++) {
		uint32_t block = tree_get(memory, &node->map, i);
		fresh[i - first] = !block;
		if (!block) {
			bool dirty;
			struct run run = room ? blocks_take(memory, 1, goal, &dirty) : (struct run){0, 0};
			if (!run.count)
				return memory_cancel(memory, -EAGAIN);
			room--;
			block = run.start + 1;
			error = tree_set(memory, &node->map, i, block);
			SAVE(memory, &node->blocks);
			node->blocks++;
		}
		blocks[i - first] = block;
		goal = block;
	}
	if (error || (memory_used(memory) > memory->limit && memory_used(memory) > memory->used_before))
		return memory_cancel(memory, -EAGAIN);
	for (uint64_t i = first; i <= last; i++) {
		if (fresh[i - first]) {
			fill_block(memory, &filling, i, blocks[i - first] - 1, true);
			continue;
		}
		uint64_t from = i == first ? offset % BLOCK_SIZE : 0;
		uint64_t stop = minimum(BLOCK_SIZE, offset + size - i * BLOCK_SIZE);
		memcpy(block_at(memory, blocks[i - first] - 1) + from, buffer + (i * BLOCK_SIZE + from - offset),
		       stop - from);
	}
	error = written(memory, node, offset, offset + size, flags);
	if (error)
		return memory_cancel(memory, error);
	return memory_finish(memory, req, size);
}

/* Copy into blocks that the file had already. */
static int overwrite(struct memory *memory, uint64_t id, const struct filling *filling)
{
	uint64_t end = minimum(filling->source_offset + filling->source_size,
			       (filling->first + filling->there) * BLOCK_SIZE);
	uint64_t offset = filling->source_offset;

	while (offset < end) {
		uint64_t stop = minimum(end, offset + COPY_AT_ONCE);
		memory_lock_shared(memory);
		const struct node *node = find_file(memory, id);
		if (!node) {
			int error = not_a_file(memory, id);
			memory_unlock(memory);
			return error;
		}
		while (offset < stop) {
			uint64_t index = offset / BLOCK_SIZE, next = minimum(stop, (index + 1) * BLOCK_SIZE);
			uint32_t block = filling->filled[index - filling->first] ? 0
										 : tree_get(memory, &node->map, index);
			if (block)
				memcpy(block_at(memory, block - 1) + offset % BLOCK_SIZE,
				       filling->source + (offset - filling->source_offset), next - offset);
			offset = next;
		}
		memory_unlock(memory);
	}
	return 0;
}

static int write_large(struct memory *memory, const struct dw_request *req, uint64_t id, const uint8_t *buffer,
		       size_t size, uint64_t offset, uint32_t flags, size_t *done)
{
	uint64_t position = offset, end = offset + size;
	bool full = false;
	int error;

	while (position < end && !full) {
		uint64_t stop = minimum(end, (position / BLOCK_SIZE * BLOCK_SIZE) + SLICE);
		struct filling filling = {
			.first = position / BLOCK_SIZE,
			.last = (stop + BLOCK_SIZE - 1) / BLOCK_SIZE,
			.source = buffer + (position - offset),
			.source_offset = position,
			.source_size = stop - position,
		};
		error = content_fill(memory, id, &filling);
		if (!error)
			error = overwrite(memory, id, &filling);
		if (error)
			return error;
		full = filling.there < filling.last - filling.first;
		stop = minimum(stop, (filling.first + filling.there) * BLOCK_SIZE);
		if (stop > position)
			position = stop;
	}
	if (position == offset)
		return -ENOSPC;
	memory_begin(memory);
	struct node *node = find_file(memory, id);
	error = node ? written(memory, node, offset, position, flags) : not_a_file(memory, id);
	if (error)
		return memory_cancel(memory, error);
	*done = (size_t)(position - offset);
	return memory_finish(memory, req, *done);
}

int content_write(struct memory *memory, const struct dw_request *req, uint64_t id, const void *buffer, size_t size,
		  uint64_t offset, uint32_t flags, size_t *done)
{
	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -EFBIG;
	*done = size;
	if (size == 0)
		return 0;
	if (size <= SMALL_WRITE) {
		int error = write_small(memory, req, id, buffer, size, offset, flags);
		if (error != -EAGAIN)
			return error;
	}
	return write_large(memory, req, id, buffer, size, offset, flags, done);
}

int memory_write(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		 const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *done)
{
	struct memory *memory = memory_of(fs);
	uint64_t result;

	if (handle != DW_NO_HANDLE && (handle & DW_O_ACCMODE) == DW_O_RDONLY)
		return -EBADF;
	if (memory_replayed(memory, req, &result)) {
		*done = (size_t)result;
		return 0;
	}
	return content_write(memory, req, node, buffer, size, offset, flags, done);
}

/* --- Reading --- */

static void read_blocks(const struct memory *memory, const struct node *node, uint8_t *to, uint64_t offset,
			uint64_t end)
{
	while (offset < end) {
		uint64_t count, stop;
		const uint32_t *blocks = tree_span(memory, &node->map, offset / BLOCK_SIZE, &count);
		if (blocks && *blocks) {
			uint64_t n = 1;
			while (n < count && blocks[n] == *blocks + n)
				n++;
			stop = minimum(end, (offset / BLOCK_SIZE + n) * BLOCK_SIZE);
			memcpy(to, block_at(memory, *blocks - 1) + offset % BLOCK_SIZE, stop - offset);
		} else {
			uint64_t blocks_left = (end - offset) / BLOCK_SIZE + 1;
			uint64_t n = blocks ? 1 : minimum(count, blocks_left);
			stop = minimum(end, (offset / BLOCK_SIZE + n) * BLOCK_SIZE);
			memset(to, 0, stop - offset);
		}
		to += stop - offset;
		offset = stop;
	}
}

int content_read(struct memory *memory, uint64_t id, void *buffer, size_t size, uint64_t offset, size_t *done,
		 bool *atime_is_due)
{
	*done = 0;
	while (*done < size) {
		memory_lock_shared(memory);
		const struct node *node = find_file(memory, id);
		if (!node) {
			int error = not_a_file(memory, id);
			memory_unlock(memory);
			return error;
		}
		uint64_t end = offset < node->size ? minimum(size - *done, node->size - offset) : 0;
		end = offset + minimum(end, COPY_AT_ONCE);
		read_blocks(memory, node, (uint8_t *)buffer + *done, offset, end);
		*atime_is_due = node_atime_is_due(node);
		memory_unlock(memory);
		if (end == offset)
			break;
		*done += (size_t)(end - offset);
		offset = end;
	}
	return 0;
}

int memory_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, void *buffer,
		size_t size, uint64_t offset, size_t *done)
{
	struct memory *memory = memory_of(fs);
	bool due = false;
	int error;

	if (handle != DW_NO_HANDLE && (handle & DW_O_ACCMODE) == DW_O_WRONLY)
		return -EBADF;
	error = content_read(memory, node, buffer, size, offset, done, &due);
	if (!error && due && *done && !(handle != DW_NO_HANDLE && handle & DW_O_NOATIME))
		node_accessed(memory, node);
	return error;
}
