/* SPDX-License-Identifier: MIT */
/* model.c - the smallest file system that is right */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* A path split at its last component. */
struct place {
	struct model_node *folder;
	char name[32];
	struct model_node *node; /* what is there, or NULL */
	struct model_entry *entry;
};

void model_touch(struct model_node *node)
{
	node->time_kind = MODEL_TIME_AFTER;
	clock_gettime(CLOCK_REALTIME, &node->mtime);
}

static struct model_node *node_new(struct model *model, enum model_type type, mode_t mode)
{
	struct model_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->type = type;
	node->mode = mode;
	model_touch(node);
	model->nodes++;
	return node;
}

static void node_put(struct model *model, struct model_node *node)
{
	if (node->links > 0 || node->opens > 0)
		return;
	free(node->entries);
	free(node->bytes);
	free(node);
	model->nodes--;
}

static struct model_entry *entry_find(struct model_node *folder, const char *name)
{
	for (size_t i = 0; i < folder->entry_count; i++)
		if (strcmp(folder->entries[i].name, name) == 0)
			return &folder->entries[i];
	return NULL;
}

static int entry_add(struct model_node *folder, const char *name, struct model_node *node)
{
	struct model_entry *entry;

	if (folder->entry_count == folder->entry_room) {
		size_t room = folder->entry_room ? folder->entry_room * 2 : 8;
		struct model_entry *more = realloc(folder->entries, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		folder->entries = more;
		folder->entry_room = room;
	}
	entry = &folder->entries[folder->entry_count++];
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->node = node;
	node->links++;
	if (node->type == MODEL_FOLDER)
		node->parent = folder;
	model_touch(folder);
	return 0;
}

static void entry_remove(struct model *model, struct model_node *folder, const char *name)
{
	struct model_entry *entry = entry_find(folder, name);
	struct model_node *node = entry->node;

	*entry = folder->entries[--folder->entry_count];
	node->links--;
	model_touch(folder);
	node_put(model, node);
}

int model_init(struct model *model)
{
	model->nodes = 0;
	model->root = node_new(model, MODEL_FOLDER, 0755);
	if (!model->root)
		return -ENOMEM;
	model->root->links = 1;
	model->root->parent = model->root;
	return 0;
}

static void free_below(struct model *model, struct model_node *folder)
{
	while (folder->entry_count) {
		struct model_entry entry = folder->entries[folder->entry_count - 1];

		if (entry.node->type == MODEL_FOLDER)
			free_below(model, entry.node);
		entry_remove(model, folder, entry.name);
	}
}

void model_free(struct model *model)
{
	free_below(model, model->root);
	model->root->links = 0;
	node_put(model, model->root);
	model->root = NULL;
}

static int walk(struct model *model, const char *path, struct place *out)
{
	struct model_node *at = model->root;
	const char *slash;

	for (; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		struct model_entry *entry;
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		if (at->type != MODEL_FOLDER)
			return -ENOTDIR;
		entry = entry_find(at, name);
		if (!entry || entry->node->type == MODEL_LINK)
			return -ENOENT;
		at = entry->node;
	}
	if (at->type != MODEL_FOLDER)
		return -ENOTDIR;
	out->folder = at;
	snprintf(out->name, sizeof(out->name), "%s", path);
	out->entry = entry_find(at, path);
	out->node = out->entry ? out->entry->node : NULL;
	return 0;
}

int model_find(struct model *model, const char *path, bool follow, struct model_node **out)
{
	struct place place;
	int error;

	if (strcmp(path, ".") == 0) {
		*out = model->root;
		return 0;
	}
	error = walk(model, path, &place);
	if (error)
		return error;
	if (!place.node || (follow && place.node->type == MODEL_LINK))
		return -ENOENT;
	*out = place.node;
	return 0;
}

static int add_new(struct model *model, const struct place *place, enum model_type type, mode_t mode,
		   struct model_node **out)
{
	struct model_node *node = node_new(model, type, mode);
	int error = node ? entry_add(place->folder, place->name, node) : -ENOMEM;

	if (error && node)
		node_put(model, node);
	if (!error && out)
		*out = node;
	return error;
}

int model_open(struct model *model, const char *path, int flags, mode_t mode, struct model_node **out)
{
	struct place place;
	int error = walk(model, path, &place);

	if (error)
		return error;
	if (!place.node) {
		if (!(flags & O_CREAT))
			return -ENOENT;
		error = add_new(model, &place, MODEL_FILE, mode, &place.node);
		if (error)
			return error;
	} else if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
		return -EEXIST;
	} else if (place.node->type == MODEL_LINK) {
		return -ELOOP;
	} else if (place.node->type == MODEL_FOLDER) {
		return -EISDIR;
	} else if (flags & O_TRUNC) {
		model_resize(place.node, 0);
	}
	place.node->opens++;
	*out = place.node;
	return 0;
}

void model_close(struct model *model, struct model_node *node)
{
	node->opens--;
	node_put(model, node);
}

int model_mkdir(struct model *model, const char *path, mode_t mode)
{
	struct place place;
	int error = walk(model, path, &place);

	if (error)
		return error;
	return place.node ? -EEXIST : add_new(model, &place, MODEL_FOLDER, mode, NULL);
}

int model_unlink(struct model *model, const char *path)
{
	struct place place;
	int error = walk(model, path, &place);

	if (error)
		return error;
	if (!place.node)
		return -ENOENT;
	if (place.node->type == MODEL_FOLDER)
		return -EISDIR;
	entry_remove(model, place.folder, place.name);
	return 0;
}

int model_rmdir(struct model *model, const char *path)
{
	struct place place;
	int error = walk(model, path, &place);

	if (error)
		return error;
	if (!place.node)
		return -ENOENT;
	if (place.node->type != MODEL_FOLDER)
		return -ENOTDIR;
	if (place.node->entry_count)
		return -ENOTEMPTY;
	entry_remove(model, place.folder, place.name);
	return 0;
}

/* Is folder inside ancestor, or the same? */
static bool is_inside(const struct model_node *folder, const struct model_node *ancestor)
{
	for (;; folder = folder->parent) {
		if (folder == ancestor)
			return true;
		if (folder->parent == folder)
			return false;
	}
}

static int exchange(struct place *from, struct place *to)
{
	struct model_node *one = from->node;

	from->entry->node = to->node;
	to->entry->node = one;
	if (from->entry->node->type == MODEL_FOLDER)
		from->entry->node->parent = from->folder;
	if (to->entry->node->type == MODEL_FOLDER)
		to->entry->node->parent = to->folder;
	model_touch(from->folder);
	model_touch(to->folder);
	return 0;
}

int model_rename(struct model *model, const char *from_path, const char *to_path, unsigned flags)
{
	struct place from, to;
	struct model_node *moved;
	int error = walk(model, from_path, &from);

	if (!error)
		error = walk(model, to_path, &to);
	if (error)
		return error;
	if (!from.node)
		return -ENOENT;
	if ((flags & RENAME_NOREPLACE) && to.node)
		return -EEXIST;
	if ((flags & RENAME_EXCHANGE) && !to.node)
		return -ENOENT;
	/* The two folders on the way: neither may be the thing that moves. */
	if (from.node->type == MODEL_FOLDER && from.folder != to.folder && is_inside(to.folder, from.node))
		return -EINVAL;
	if (to.node && to.node->type == MODEL_FOLDER && from.folder != to.folder && is_inside(from.folder, to.node))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (from.node == to.node)
		return 0;
	if (flags & RENAME_EXCHANGE)
		return exchange(&from, &to);
	if (to.node) {
		if (from.node->type == MODEL_FOLDER && to.node->type != MODEL_FOLDER)
			return -ENOTDIR;
		if (from.node->type != MODEL_FOLDER && to.node->type == MODEL_FOLDER)
			return -EISDIR;
		if (to.node->entry_count)
			return -ENOTEMPTY;
		entry_remove(model, to.folder, to.name);
	}
	moved = from.node;
	moved->opens++;
	entry_remove(model, from.folder, from.name);
	error = entry_add(to.folder, to.name, moved);
	moved->opens--;
	return error;
}

int model_link(struct model *model, const char *from_path, const char *to_path)
{
	struct place from, to;
	int error = walk(model, from_path, &from);

	if (error)
		return error;
	if (!from.node)
		return -ENOENT;
	error = walk(model, to_path, &to);
	if (error)
		return error;
	if (to.node)
		return -EEXIST;
	if (from.node->type == MODEL_FOLDER)
		return -EPERM;
	return entry_add(to.folder, to.name, from.node);
}

int model_symlink(struct model *model, const char *target, const char *path)
{
	struct model_node *node;
	struct place place;
	int error = walk(model, path, &place);

	if (error)
		return error;
	if (place.node)
		return -EEXIST;
	error = add_new(model, &place, MODEL_LINK, 0777, &node);
	if (!error)
		error = model_write(node, target, strlen(target), 0);
	return error < 0 ? error : 0;
}

static int grow(struct model_node *node, size_t size)
{
	uint8_t *bytes;

	if (size <= node->size)
		return 0;
	if (size > MODEL_SIZE_MAX)
		return -EFBIG;
	bytes = realloc(node->bytes, size);
	if (!bytes)
		return -ENOMEM;
	memset(bytes + node->size, 0, size - node->size);
	node->bytes = bytes;
	node->size = size;
	return 0;
}

int model_resize(struct model_node *node, size_t size)
{
	int error = grow(node, size);

	if (error)
		return error;
	node->size = size;
	model_touch(node);
	return 0;
}

int model_write(struct model_node *node, const void *bytes, size_t size, size_t offset)
{
	int error = size ? grow(node, offset + size) : 0;

	if (error)
		return error;
	if (size) {
		memcpy(node->bytes + offset, bytes, size);
		model_touch(node);
	}
	return (int)size;
}

int model_read(const struct model_node *node, void *buffer, size_t size, size_t offset)
{
	if (offset >= node->size)
		return 0;
	if (size > node->size - offset)
		size = node->size - offset;
	memcpy(buffer, node->bytes + offset, size);
	return (int)size;
}

void model_zero(struct model_node *node, size_t offset, size_t size)
{
	if (offset < node->size)
		memset(node->bytes + offset, 0, size < node->size - offset ? size : node->size - offset);
	model_touch(node);
}

static int xattr_find(const struct model_node *node, const char *name)
{
	for (int i = 0; i < MODEL_XATTRS; i++)
		if (strcmp(node->xattrs[i].name, name) == 0)
			return i;
	return -1;
}

int model_xattr_set(struct model_node *node, const char *name, const void *value, size_t size, int flags)
{
	int at = xattr_find(node, name);

	if (at >= 0 && (flags & XATTR_CREATE))
		return -EEXIST;
	if (at < 0 && ((flags & XATTR_REPLACE) || !value))
		return -ENODATA;
	if (!value) {
		node->xattrs[at].name[0] = 0;
		return 0;
	}
	if (at < 0)
		at = xattr_find(node, "");
	if (at < 0)
		return -ENOSPC;
	snprintf(node->xattrs[at].name, sizeof(node->xattrs[at].name), "%s", name);
	memcpy(node->xattrs[at].value, value, size);
	node->xattrs[at].size = size;
	return 0;
}

int model_xattr_get(const struct model_node *node, const char *name, void *value, size_t room)
{
	int at = xattr_find(node, name);

	if (at < 0)
		return -ENODATA;
	if (node->xattrs[at].size > room)
		return -ERANGE;
	memcpy(value, node->xattrs[at].value, node->xattrs[at].size);
	return (int)node->xattrs[at].size;
}

int model_folders_in(const struct model_node *node)
{
	int count = 0;

	for (size_t i = 0; i < node->entry_count; i++)
		count += node->entries[i].node->type == MODEL_FOLDER;
	return count;
}
