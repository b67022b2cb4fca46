/* SPDX-License-Identifier: MIT */
/*
 * tree.c - map from 64-bit keys to 32-bit values that are not 0
 *
 * A radix tree: each level is an array of 32 references, the lowest one of 32 values. A level that becomes
 * empty is freed, so a window of keys that moves upwards for ever costs what it holds. A tree with key 0 alone needs no
 * memory: the value stands in place of the root.
 */
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

#define FAN	   32u
#define FAN_BITS   5u
#define LEVEL_SIZE (FAN * sizeof(uint32_t))
#define HEIGHT_MAX 13u /* 65 bits */

static inline bool covers(uint32_t height, uint64_t key)
{
	return height * FAN_BITS >= 64 || key >> (height * FAN_BITS) == 0;
}

static inline uint32_t position(uint64_t key, uint32_t level)
{
	return (uint32_t)(key >> (level * FAN_BITS)) & (FAN - 1);
}

static void set(struct memory *memory, uint32_t *where, uint32_t value)
{
	arena_save(memory->arena, where, sizeof(*where));
	*where = value;
}

uint32_t tree_get(const struct memory *memory, const struct tree *tree, uint64_t key)
{
	uint32_t ref = tree->root;

	if (!covers(tree->height, key))
		return 0;
	for (uint32_t level = tree->height; ref && level-- > 0;)
		ref = ((uint32_t *)at(memory, ref))[position(key, level)];
	return ref;
}

int tree_set(struct memory *memory, struct tree *tree, uint64_t key, uint32_t value)
{
	SAVE(memory, tree);
	if (!tree->root)
		tree->height = 0;
	while (!covers(tree->height, key)) {
		if (tree->root) {
			arena_ref above = arena_alloc(memory->arena, LEVEL_SIZE);
			if (!above)
				return -ENOSPC;
			*(uint32_t *)at(memory, above) = tree->root;
			tree->root = above;
		}
		tree->height++;
	}
	uint32_t *where = &tree->root;
	for (uint32_t level = tree->height; level-- > 0;) {
		if (!*where) {
			arena_ref below = arena_alloc(memory->arena, LEVEL_SIZE);
			if (!below)
				return -ENOSPC;
			set(memory, where, below);
		}
		where = (uint32_t *)at(memory, *where) + position(key, level);
	}
	set(memory, where, value);
	return 0;
}

static bool is_empty(const uint32_t *entries)
{
	uint32_t any = 0;

	for (uint32_t i = 0; i < FAN; i++)
		any |= entries[i];
	return any == 0;
}

/* path[level] holds the entry of that level; free those levels that an entry set to 0 leaves empty. */
static void prune(struct memory *memory, struct tree *tree, uint32_t **path, uint32_t level)
{
	for (; level < tree->height; level++) {
		uint32_t *above = path[level + 1];
		if (!is_empty(at(memory, *above)))
			return;
		arena_free(memory->arena, *above, LEVEL_SIZE);
		set(memory, above, 0);
	}
	set(memory, &tree->height, 0);
}

uint32_t tree_clear(struct memory *memory, struct tree *tree, uint64_t key)
{
	uint32_t *path[HEIGHT_MAX + 1];

	if (!covers(tree->height, key) || !tree->root)
		return 0;
	path[tree->height] = &tree->root;
	for (uint32_t level = tree->height; level-- > 0;) {
		path[level] = (uint32_t *)at(memory, *path[level + 1]) + position(key, level);
		if (!*path[level])
			return 0;
	}
	uint32_t value = *path[0];
	set(memory, path[0], 0);
	prune(memory, tree, path, 0);
	return value;
}

const uint32_t *tree_span(const struct memory *memory, const struct tree *tree, uint64_t key, uint64_t *count)
{
	if (!tree->root || !covers(tree->height, key)) {
		*count = UINT64_MAX;
		return NULL;
	}
	if (tree->height == 0) {
		*count = 1;
		return &tree->root;
	}
	uint32_t ref = tree->root;
	for (uint32_t level = tree->height; level-- > 0;) {
		const uint32_t *entries = at(memory, ref);
		uint32_t i = position(key, level);
		if (level == 0) {
			*count = FAN - i;
			return entries + i;
		}
		ref = entries[i];
		if (!ref) {
			uint64_t span = level * FAN_BITS >= 64 ? UINT64_MAX : (uint64_t)1 << (level * FAN_BITS);
			*count = span - (key & (span - 1));
			return NULL;
		}
	}
	return NULL;
}

bool tree_next(const struct memory *memory, const struct tree *tree, uint64_t *key, uint32_t *value)
{
	for (;;) {
		uint64_t count;
		const uint32_t *entries = tree_span(memory, tree, *key, &count);
		if (entries) {
			for (uint64_t i = 0; i < count; i++) {
				if (!entries[i])
					continue;
				*key += i;
				*value = entries[i];
				return true;
			}
		}
		if (count > UINT64_MAX - *key)
			return false;
		*key += count;
	}
}

unsigned tree_shed(struct memory *memory, struct tree *tree, uint32_t *values)
{
	uint32_t *path[HEIGHT_MAX + 1];
	unsigned count = 0;

	if (!tree->root)
		return 0;
	if (tree->height == 0) {
		values[0] = tree->root;
		set(memory, &tree->root, 0);
		return 1;
	}
	path[tree->height] = &tree->root;
	for (uint32_t level = tree->height - 1; level > 0; level--) {
		uint32_t *entries = at(memory, *path[level + 1]);
		uint32_t i = FAN - 1;
		while (!entries[i])
			i--;
		path[level] = entries + i;
	}
	const uint32_t *leaf = at(memory, *path[1]);
	for (uint32_t i = 0; i < FAN; i++)
		if (leaf[i])
			values[count++] = leaf[i];
	arena_free(memory->arena, *path[1], LEVEL_SIZE);
	set(memory, path[1], 0);
	prune(memory, tree, path, 1);
	return count;
}
