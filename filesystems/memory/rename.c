/* SPDX-License-Identifier: MIT */
/*
 * rename.c - rename, with or without replacing, and exchange
 *
 * An entry that is renamed inside its folder keeps its slot, so a program that renames what it lists
 * comes to an end. All is one transaction.
 */
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

/* One side of a rename. */
struct side {
	struct node *folder;
	const char *text;
	size_t length;
	struct name *name; /* NULL: there is none */
	struct node *node;
};

static int side_find(const struct memory *memory, struct side *side, uint64_t parent, const char *text)
{
	int error = name_check(text, &side->length);

	if (!error)
		error = folder_find_living(memory, parent, &side->folder);
	if (error)
		return error;
	side->text = text;
	side->name = name_find(memory, side->folder, text, side->length);
	side->node = side->name ? node_at(memory, side->name->node) : NULL;
	return 0;
}

/* Whether node is folder or stands above it. */
static bool is_above(const struct memory *memory, const struct node *node, const struct node *folder)
{
	if (!node_is(node, DW_MODE_FOLDER))
		return false;
	while (folder != node) {
		if (folder->index == DW_NODE_ROOT)
			return false;
		folder = node_at(memory, folder_of(memory, folder)->parent);
	}
	return true;
}

static void change_links(struct memory *memory, struct node *node, int by)
{
	SAVE(memory, &node->nlink);
	node->nlink += (uint32_t)by;
}

/* node went from one folder to another. */
static void moved(struct memory *memory, struct node *node, struct node *from, struct node *to)
{
	node_touch(memory, node, 1u << TIME_CHANGE);
	if (from == to || !node_is(node, DW_MODE_FOLDER))
		return;
	change_links(memory, from, -1);
	change_links(memory, to, 1);
	struct folder *folder = folder_of(memory, node);
	SAVE(memory, &folder->parent);
	folder->parent = to->index;
}

static void point(struct memory *memory, struct name *name, const struct node *node)
{
	SAVE(memory, name);
	name->node = node->index;
	name->generation = node->generation;
	name->type = (uint8_t)(node->mode >> 12);
}

static int exchange(struct memory *memory, struct side *old, struct side *new)
{
	if (!new->name)
		return -ENOENT;
	if (old->node == new->node)
		return 0;
	if (is_above(memory, old->node, new->folder) || is_above(memory, new->node, old->folder))
		return -EINVAL;
	point(memory, old->name, new->node);
	point(memory, new->name, old->node);
	moved(memory, old->node, old->folder, new->folder);
	moved(memory, new->node, new->folder, old->folder);
	return 0;
}

static int replace(struct memory *memory, struct side *old, struct side *new, uint32_t flags)
{
	bool is_folder = node_is(old->node, DW_MODE_FOLDER);
	uint64_t slot = old->folder == new->folder ? name_slot(old->name) : UINT64_MAX;

	if (is_above(memory, old->node, new->folder))
		return -EINVAL;
	if (new->name) {
		if (flags & DW_RENAME_NOREPLACE)
			return -EEXIST;
		if (old->node == new->node)
			return 0;
		if (is_folder && !node_is(new->node, DW_MODE_FOLDER))
			return -ENOTDIR;
		if (!is_folder && node_is(new->node, DW_MODE_FOLDER))
			return -EISDIR;
		if (is_folder && folder_of(memory, new->node)->count)
			return -ENOTEMPTY;
		name_remove(memory, new->folder, new->name);
	}
	name_remove(memory, old->folder, old->name);
	int error = name_add(memory, new->folder, new->text, new->length, old->node, slot);
	if (error)
		return error;
	moved(memory, old->node, old->folder, new->folder);
	if (new->name)
		node_unlinked(memory, new->folder, new->node);
	return 0;
}

int memory_rename(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  uint64_t new_parent, const char *new_name, uint32_t flags)
{
	struct memory *memory = memory_of(fs);
	struct side old, new;
	uint64_t nothing;
	int error;

	if (flags & ~(DW_RENAME_NOREPLACE | DW_RENAME_EXCHANGE) || flags == (DW_RENAME_NOREPLACE | DW_RENAME_EXCHANGE))
		return -EINVAL;
	if (memory_replayed(memory, req, &nothing)) {
		blocks_collect(memory);
		return 0;
	}
	memory_begin(memory);
	error = side_find(memory, &old, parent, name);
	if (!error)
		error = side_find(memory, &new, new_parent, new_name);
	if (!error && !old.name)
		error = -ENOENT;
	if (!error && flags & DW_RENAME_EXCHANGE)
		error = exchange(memory, &old, &new);
	else if (!error)
		error = replace(memory, &old, &new, flags);
	if (error)
		return memory_cancel(memory, error);
	if (old.node != new.node) {
		node_touch(memory, old.folder, 1u << TIME_MODIFY | 1u << TIME_CHANGE);
		node_touch(memory, new.folder, 1u << TIME_MODIFY | 1u << TIME_CHANGE);
	}
	error = memory_finish(memory, req, 0);
	blocks_collect(memory);
	return error;
}
