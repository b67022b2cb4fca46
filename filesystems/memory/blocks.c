/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - which blocks of the data region are in use
 *
 * One bitmap for each group of 32768 blocks, in the arena and so part of transactions. Blocks are taken from the lowest
 * free ones, in runs as long as can be found without a long search.
 *
 * A second bitmap, "dirty", stands outside transactions: its bit is set before a block is used for the first time and
 * cleared after the block's memory was given back to the system, so a block without it holds zeros. Blocks
 * that are free and dirty are used again first come first served; only when they are many is their memory given
 * back, in long stretches.
 */
#ifdef __linux__
#include <fcntl.h>
#include <linux/falloc.h>
#endif
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

#define DIRTY_MAX     (MEMORY_SLACK / BLOCK_SIZE)
#define GROUP_WORDS   (GROUP_BLOCKS / 64)
#define BITMAP_SIZE   (GROUP_BLOCKS / 8)
#define RUNS_EXAMINED 64u
#define GROUPS_LOOKED 4u
#define SHED_LEAVES   64u
#define LEAF_VALUES   32u
#define PUNCH_BLOCKS  2048u

static struct group *group_at(const struct memory *memory, uint32_t number)
{
	return (struct group *)at(memory, memory->root->groups) + number;
}

static uint32_t group_size(const struct memory *memory, uint32_t number)
{
	uint32_t rest = memory->block_count - number * GROUP_BLOCKS;

	return rest < GROUP_BLOCKS ? rest : GROUP_BLOCKS;
}

int blocks_create(struct memory *memory)
{
	struct root *root = memory->root;

	root->group_count = (uint32_t)(((uint64_t)memory->block_count + GROUP_BLOCKS - 1) / GROUP_BLOCKS);
	root->groups = arena_alloc(memory->arena, root->group_count * sizeof(struct group));
	if (!root->groups)
		return -ENOSPC;
	for (uint32_t i = 0; i < root->group_count; i++)
		group_at(memory, i)->free = group_size(memory, i);
	return 0;
}

/* The first bit from start on that is value, or end. */
static uint32_t next_bit(const uint64_t *words, uint32_t start, uint32_t end, bool value)
{
	while (start < end) {
		uint64_t word = value ? words[start / 64] : ~words[start / 64];
		word >>= start % 64;
		if (word) {
			start += (uint32_t)__builtin_ctzll(word);
			return start < end ? start : end;
		}
		start = (start / 64 + 1) * 64;
	}
	return end;
}

static void change_bits(uint64_t *words, uint32_t start, uint32_t count, bool value)
{
	while (count) {
		uint32_t n = 64 - start % 64;
		if (n > count)
			n = count;
		uint64_t mask = (n == 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1) << start % 64;
		if (value)
			words[start / 64] |= mask;
		else
			words[start / 64] &= ~mask;
		start += n;
		count -= n;
	}
}

static bool any_bit(const uint64_t *words, uint32_t start, uint32_t count)
{
	return next_bit(words, start, start + count, true) < start + count;
}

/* Look in one group, from block number start of it on. *lowest becomes its first free block. */
static struct run search_group(const struct memory *memory, uint32_t number, uint32_t start, uint32_t want,
			       uint32_t *lowest)
{
	const struct group *group = group_at(memory, number);
	uint32_t size = group_size(memory, number);
	const uint64_t *used = group->used ? at(memory, group->used) : NULL;
	struct run best = {0, 0};

	*lowest = start;
	if (!used)
		return (struct run){start, size - start < want ? size - start : want};
	for (uint32_t i = 0; i < RUNS_EXAMINED && best.count < want; i++) {
		start = next_bit(used, start, size, false);
		if (i == 0)
			*lowest = start;
		if (start == size)
			break;
		uint32_t stop = size - start < want ? size : start + want;
		uint32_t end = next_bit(used, start, stop, true);
		if (end - start > best.count)
			best = (struct run){start, end - start};
		start = end;
	}
	return best;
}

/* Whole search; the run's start is a block number of the region. */
static struct run search(struct memory *memory, uint32_t want, uint32_t goal)
{
	const struct root *root = memory->root;
	struct run best = {0, 0};
	bool lowest_known = false;
	uint32_t lowest, looked = 0;

	if (goal && goal < memory->block_count && group_at(memory, goal / GROUP_BLOCKS)->used) {
		const uint64_t *used = at(memory, group_at(memory, goal / GROUP_BLOCKS)->used);
		uint32_t size = group_size(memory, goal / GROUP_BLOCKS), start = goal % GROUP_BLOCKS;
		uint32_t stop = size - start < want ? size : start + want;
		uint32_t end = next_bit(used, start, stop, true);
		if (end > start)
			return (struct run){goal, end - start};
	}
	uint32_t start = memory->cursor % GROUP_BLOCKS;
	for (uint32_t i = memory->cursor / GROUP_BLOCKS; i < root->group_count && looked < GROUPS_LOOKED;
	     i++, start = 0) {
		if (!group_at(memory, i)->free)
			continue;
		struct run run = search_group(memory, i, start, want, &lowest);
		if (!run.count)
			continue;
		looked++;
		if (!lowest_known)
			memory->cursor = i * GROUP_BLOCKS + lowest;
		lowest_known = true;
		if (run.count > best.count)
			best = (struct run){i * GROUP_BLOCKS + run.start, run.count};
		if (best.count == want)
			break;
	}
	return best;
}

static void change_used(struct memory *memory, struct run run, bool value)
{
	struct group *group = group_at(memory, run.start / GROUP_BLOCKS);
	uint64_t *used = at(memory, group->used);
	uint32_t start = run.start % GROUP_BLOCKS, first = start / 64, last = (start + run.count - 1) / 64;

	arena_save(memory->arena, used + first, (last - first + 1) * sizeof(uint64_t));
	change_bits(used, start, run.count, value);
	SAVE(memory, &group->free);
	group->free += value ? -run.count : run.count;
	SAVE(memory, &memory->root->blocks_used);
	memory->root->blocks_used += value ? run.count : -(uint64_t)run.count;
}

struct run blocks_take(struct memory *memory, uint32_t want, uint32_t goal, bool *dirty)
{
	struct run run = search(memory, want, goal);

	if (!run.count)
		return run;
	struct group *group = group_at(memory, run.start / GROUP_BLOCKS);
	if (!group->used) {
		arena_ref used = arena_alloc(memory->arena, BITMAP_SIZE);
		if (!used)
			return (struct run){0, 0};
		SAVE(memory, &group->used);
		group->used = used;
	}
	memory->taken = true;
	change_used(memory, run, true);
	if (run.start == memory->cursor)
		memory->cursor = run.start + run.count;
	*dirty = any_bit(memory->dirty, run.start, run.count);
	change_bits(memory->dirty, run.start, run.count, true);
	return run;
}

void blocks_free(struct memory *memory, struct run run)
{
	while (run.count) {
		uint32_t n = GROUP_BLOCKS - run.start % GROUP_BLOCKS;
		if (n > run.count)
			n = run.count;
		change_used(memory, (struct run){run.start, n}, false);
		if (run.start < memory->cursor)
			memory->cursor = run.start;
		memory->dirty_free += n;
		run.start += n;
		run.count -= n;
	}
	if (memory->dirty_free >= DIRTY_MAX)
		memory->work = true;
}

/* values: block numbers + 1, as maps have them. */
static void free_values(struct memory *memory, const uint32_t *values, unsigned count)
{
	for (unsigned i = 0, n; i < count; i += n) {
		for (n = 1; i + n < count && values[i + n] == values[i] + n;)
			n++;
		blocks_free(memory, (struct run){values[i] - 1, n});
	}
}

void blocks_discard(struct memory *memory, struct tree *map)
{
	uint32_t values[LEAF_VALUES];
	unsigned count;
	arena_ref ref = map->height ? arena_alloc(memory->arena, sizeof(struct garbage)) : 0;

	SAVE(memory, map);
	if (!ref) {
		while ((count = tree_shed(memory, map, values)))
			free_values(memory, values, count);
		return;
	}
	struct garbage *garbage = at(memory, ref);
	garbage->map = *map;
	garbage->next = memory->root->garbage;
	SAVE(memory, &memory->root->garbage);
	memory->root->garbage = ref;
	*map = (struct tree){0, 0};
	memory->work = true;
}

arena_ref reservation_create(struct memory *memory, uint32_t capacity)
{
	struct root *root = memory->root;
	arena_ref ref = arena_alloc(memory->arena, sizeof(struct reservation) + capacity * sizeof(struct run));

	if (!ref)
		return 0;
	struct reservation *reservation = at(memory, ref);
	reservation->capacity = capacity;
	reservation->next = root->reservations;
	if (reservation->next) {
		struct reservation *next = at(memory, reservation->next);
		SAVE(memory, &next->prev);
		next->prev = ref;
	}
	SAVE(memory, &root->reservations);
	root->reservations = ref;
	return ref;
}

void reservation_remove(struct memory *memory, arena_ref ref, bool free_blocks)
{
	struct root *root = memory->root;
	struct reservation *reservation = at(memory, ref);

	if (free_blocks)
		for (uint32_t i = 0; i < reservation->count; i++)
			blocks_free(memory, reservation->runs[i]);
	if (reservation->next) {
		struct reservation *next = at(memory, reservation->next);
		SAVE(memory, &next->prev);
		next->prev = reservation->prev;
	}
	if (reservation->prev) {
		struct reservation *prev = at(memory, reservation->prev);
		SAVE(memory, &prev->next);
		prev->next = reservation->next;
	} else {
		SAVE(memory, &root->reservations);
		root->reservations = reservation->next;
	}
	arena_free(memory->arena, ref, sizeof(struct reservation) + reservation->capacity * sizeof(struct run));
}

/* One transaction's worth of what waits. False: nothing waits. */
static bool collect_some(struct memory *memory)
{
	uint32_t values[LEAF_VALUES];

	memory_begin(memory);
	struct root *root = memory->root;
	arena_ref ref = root->garbage;
	if (!ref) {
		memory->work = false;
		memory_cancel(memory, 0);
		return false;
	}
	struct garbage *garbage = at(memory, ref);
	SAVE(memory, garbage);
	for (unsigned i = 0; i < SHED_LEAVES; i++)
		free_values(memory, values, tree_shed(memory, &garbage->map, values));
	if (!garbage->map.root) {
		SAVE(memory, &root->garbage);
		root->garbage = garbage->next;
		arena_free(memory->arena, ref, sizeof(*garbage));
	}
	memory_finish(memory, NULL, 0);
	return true;
}

static void punch(int fd, uint64_t offset, uint64_t length)
{
#ifdef __linux__
	/* Failing leaves the memory in use, which nothing depends on. */
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) < 0)
		return;
#else
	(void)fd;
	(void)offset;
	(void)length;
#endif
}

/* Give back one stretch of free blocks of a group, from *start on. False: there is none. */
static bool punch_group(struct memory *memory, uint32_t number, uint32_t *start)
{
	const struct group *group = group_at(memory, number);
	uint32_t size = group_size(memory, number);
	const uint64_t *dirty = memory->dirty + (size_t)number * GROUP_WORDS;
	const uint64_t *used = group->used ? at(memory, group->used) : NULL;

	if (!used)
		return false;
	while (*start < size) {
		uint32_t first = next_bit(dirty, *start, size, true);
		uint32_t stop = size - first < PUNCH_BLOCKS ? size : first + PUNCH_BLOCKS;
		stop = next_bit(dirty, first, stop, false);
		first = next_bit(used, first, stop, false);
		stop = next_bit(used, first, stop, true);
		*start = stop;
		if (first == stop)
			continue;
		uint32_t block = number * GROUP_BLOCKS + first;
		punch(memory->data_fd, (uint64_t)block * BLOCK_SIZE, (uint64_t)(stop - first) * BLOCK_SIZE);
		/* Where memory stays as it is, the blocks stay dirty. */
		if (memory->data_fd >= 0)
			change_bits(memory->dirty, block, stop - first, false);
		return true;
	}
	return false;
}

static void sweep_data(struct memory *memory)
{
	uint32_t group_count = memory->root->group_count;

	for (uint32_t i = 0; i < group_count; i++) {
		bool more = true;
		for (uint32_t start = 0; more;) {
			memory_lock_exclusive(memory);
			more = punch_group(memory, i, &start);
			memory_unlock(memory);
		}
	}
}

static void sweep_arena(struct memory *memory)
{
	uint64_t offset, length;
	uint32_t cursor = 0;
	bool more = true;

	while (more) {
		memory_lock_exclusive(memory);
		more = arena_trim(memory->arena, &cursor, &offset, &length);
		if (more)
			punch(memory->arena_fd, offset, length);
		memory_unlock(memory);
	}
}

static void sweep(struct memory *memory, bool all)
{
	bool data, arena;

	memory_lock_exclusive(memory);
	data = memory->data_fd >= 0 && (all || memory->dirty_free >= DIRTY_MAX);
	arena = memory->arena_fd >= 0 && (all || memory->used_peak - arena_used(memory->arena) > MEMORY_SLACK);
	if (memory->sweeping)
		data = arena = false;
	if (data)
		memory->dirty_free = 0;
	if (arena)
		memory->used_peak = arena_used(memory->arena);
	if (data || arena)
		memory->sweeping = true;
	memory_unlock(memory);
	if (!data && !arena)
		return;
	if (data)
		sweep_data(memory);
	if (arena)
		sweep_arena(memory);
	memory_lock_exclusive(memory);
	memory->sweeping = false;
	memory_unlock(memory);
}

void blocks_collect(struct memory *memory)
{
	if (!memory->work)
		return;
	while (collect_some(memory))
		;
	sweep(memory, false);
}

void blocks_recover(struct memory *memory)
{
	memory->used_peak = arena_used(memory->arena);
	while (memory->root->reservations) {
		memory_begin(memory);
		reservation_remove(memory, memory->root->reservations, true);
		memory_finish(memory, NULL, 0);
	}
	while (collect_some(memory))
		;
	sweep(memory, true);
}
