/* SPDX-License-Identifier: MIT */
#include "tests/memory/check.h"

#include <stdlib.h>
#include <string.h>

#include "filesystems/memory/memory.h"
#include "tests/memory/host.h"

struct tally {
	const struct memory *memory;
	uint8_t *blocks;    /* one byte a block: times seen */
	uint32_t *links;    /* by node index: names (files) or 2 + subfolders (folders) */
	uint32_t index_end; /* of links */
	uint64_t names;
	uint64_t block_count;
};

static void tally_block(struct tally *tally, uint32_t block)
{
	assert_true(block < tally->memory->block_count);
	assert_int_equal(tally->blocks[block], 0);
	tally->blocks[block] = 1;
	tally->block_count++;
}

static uint64_t tally_map(struct tally *tally, const struct tree *map)
{
	uint64_t key = 0, count = 0;
	uint32_t value;

	while (tree_next(tally->memory, map, &key, &value)) {
		tally_block(tally, value - 1);
		count++;
		key++;
	}
	return count;
}

static void check_folder(struct tally *tally, const struct node *node)
{
	const struct memory *memory = tally->memory;
	const struct folder *folder = folder_of(memory, node);
	uint64_t slot = 0, count = 0;
	uint32_t ref;

	tally->links[node->index] += 2;
	while (tree_next(memory, &folder->entries, &slot, &ref)) {
		struct name *name = at(memory, ref);
		assert_int_equal(name_slot(name), slot);
		assert_true(slot < folder->next_slot);
		assert_int_equal(name->parent, node->index);
		assert_ptr_equal(name_find(memory, node, name->text, name->length), name);
		const struct node *child = node_at(memory, name->node);
		assert_non_null(child);
		assert_int_equal(child->generation, name->generation);
		assert_int_equal(child->mode >> 12, name->type);
		assert_true(child->nlink > 0);
		if (node_is(child, DW_MODE_FOLDER)) {
			assert_int_equal(folder_of(memory, child)->parent, node->index);
			tally->links[node->index]++;
		} else {
			tally->links[child->index]++;
		}
		count++;
		slot++;
	}
	assert_int_equal(count, folder->count);
	tally->names += count;
}

void check_drive(struct dw_filesystem *fs)
{
	const struct memory *memory = memory_of(fs);
	const struct root *root = memory->root;
	struct tally tally = {.memory = memory, .index_end = root->slab_end * 64};
	uint64_t nodes = 0, used = 0;

	tally.blocks = calloc(memory->block_count, 1);
	tally.links = calloc(tally.index_end, sizeof(uint32_t));
	assert_non_null(tally.blocks);
	assert_non_null(tally.links);
	for (uint32_t i = 0; i < tally.index_end; i++) {
		const struct node *node = node_at(memory, i);
		if (!node)
			continue;
		if (i == 0)
			continue;
		nodes++;
		assert_int_equal(node->index, i);
		assert_true(node->nlink || node->lookups);
		if (node_is(node, DW_MODE_FOLDER))
			check_folder(&tally, node);
		else if (node_is(node, DW_MODE_FILE))
			assert_int_equal(tally_map(&tally, &node->map), node->blocks);
	}
	for (uint32_t i = 1; i < tally.index_end; i++) {
		const struct node *node = node_at(memory, i);
		if (!node)
			continue;
		if (node_is(node, DW_MODE_FOLDER) && !node->nlink)
			assert_int_equal(tally.links[i], 2);
		else
			assert_int_equal(tally.links[i], node->nlink);
	}
	assert_int_equal(nodes, root->node_count);
	assert_int_equal(tally.names, root->name_count);
	for (arena_ref ref = root->garbage; ref;) {
		const struct garbage *garbage = at(memory, ref);
		tally_map(&tally, &garbage->map);
		ref = garbage->next;
	}
	for (arena_ref ref = root->reservations; ref;) {
		const struct reservation *reservation = at(memory, ref);
		for (uint32_t i = 0; i < reservation->count; i++)
			for (uint32_t j = 0; j < reservation->runs[i].count; j++)
				tally_block(&tally, reservation->runs[i].start + j);
		ref = reservation->next;
	}
	assert_int_equal(tally.block_count, root->blocks_used);
	for (uint32_t i = 0; i < memory->block_count; i++) {
		const struct group *group = (const struct group *)at(memory, root->groups) + i / GROUP_BLOCKS;
		const uint64_t *words = group->used ? at(memory, group->used) : NULL;
		uint32_t bit = i % GROUP_BLOCKS;
		bool in_use = words && words[bit / 64] >> bit % 64 & 1;
		assert_int_equal(in_use, tally.blocks[i]);
		used += in_use;
		if (!group->used)
			i |= GROUP_BLOCKS - 1;
	}
	assert_int_equal(used, root->blocks_used);
	free(tally.blocks);
	free(tally.links);
}
