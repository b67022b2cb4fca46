/* SPDX-License-Identifier: MIT */
/*
 * folders.c - operations on names: finding, making, removing and listing them
 */
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

/* What one counted entry of a listing adds to the undo log, and what must stay free in it. */
#define LISTING_LOG 64u

int folder_find(const struct memory *memory, uint64_t id, struct node **out)
{
	*out = node_find(memory, id);
	if (!*out)
		return -ESTALE;
	return node_is(*out, DW_MODE_FOLDER) ? 0 : -ENOTDIR;
}

int folder_find_living(const struct memory *memory, uint64_t id, struct node **out)
{
	int error = folder_find(memory, id, out);

	if (!error && !(*out)->nlink)
		error = -ENOENT;
	return error;
}

int name_check(const char *name, size_t *length)
{
	*length = strlen(name);
	if (*length > MEMORY_NAME_MAX)
		return -ENAMETOOLONG;
	if (*length == 0 || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/'))
		return -EINVAL;
	return 0;
}

/* Answer a replayed request that made or found the node with this id. The kernel's lookup keeps it alive. */
static int answer_again(struct memory *memory, uint64_t id, struct dw_entry *out)
{
	int error = -ESTALE;

	memory_lock_shared(memory);
	struct node *node = node_find(memory, id);
	if (node) {
		node_entry(memory, node, out);
		error = 0;
	}
	memory_unlock(memory);
	return error;
}

/*
 * The beginning of what makes or finds a node by name: true when *error is the answer already, because of the name or
 * because an earlier process gave it.
 */
static bool answered(struct memory *memory, const struct dw_request *req, const char *name, size_t *length,
		     struct dw_entry *out, int *error)
{
	uint64_t id;

	*error = name_check(name, length);
	if (*error)
		return true;
	if (!memory_replayed(memory, req, &id))
		return false;
	*error = answer_again(memory, id, out);
	return true;
}

int memory_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  struct dw_entry *out)
{
	struct memory *memory = memory_of(fs);
	struct node *folder;
	size_t length;
	int error;

	if (answered(memory, req, name, &length, out, &error))
		return error;
	memory_begin(memory);
	error = folder_find(memory, parent, &folder);
	if (error)
		return memory_cancel(memory, error);
	const struct name *found = name_find(memory, folder, name, length);
	if (!found)
		return memory_cancel(memory, -ENOENT);
	struct node *node = node_at(memory, found->node);
	node_count_lookup(memory, node);
	node_entry(memory, node, out);
	return memory_finish(memory, req, out->node);
}

/* --- Making --- */

/* What a new node is to be, beyond its name. */
struct making {
	uint32_t mode;
	uint32_t major;
	uint32_t minor;
	const char *target; /* of a symbolic link */
};

/* The node itself, as a member of folder but without a name. */
static int make_node(struct memory *memory, const struct dw_request *req, struct node *folder,
		     const struct making *making, struct node **out)
{
	uint32_t type = making->mode & DW_MODE_TYPE;
	uint32_t gid = folder->mode & DW_MODE_SETGID ? folder->gid : req->gid;
	struct node *node;
	int error = node_create(memory, making->mode, req->uid, gid, &node);

	if (error)
		return error;
	if (type == DW_MODE_LINK) {
		node->size = strlen(making->target);
		node->target = arena_alloc(memory->arena, node->size);
		if (!node->target)
			return -ENOSPC;
		memcpy(at(memory, node->target), making->target, node->size);
	} else {
		if (type == DW_MODE_CHARACTER || type == DW_MODE_BLOCK) {
			node->device.major = making->major;
			node->device.minor = making->minor;
		}
		error = acl_inherit(memory, folder, node, making->mode, req->umask);
		if (error)
			return error;
		if (type == DW_MODE_FOLDER && folder->mode & DW_MODE_SETGID)
			node->mode |= DW_MODE_SETGID;
	}
	*out = node;
	return 0;
}

static int make(struct memory *memory, const struct dw_request *req, uint64_t parent, const char *name,
		const struct making *making, struct dw_entry *out)
{
	bool is_folder = (making->mode & DW_MODE_TYPE) == DW_MODE_FOLDER;
	struct node *folder, *node;
	size_t length;
	int error;

	if (answered(memory, req, name, &length, out, &error))
		return error;
	memory_begin(memory);
	error = folder_find_living(memory, parent, &folder);
	if (!error && name_find(memory, folder, name, length))
		error = -EEXIST;
	if (!error && is_folder && folder->nlink >= MEMORY_LINKS_MAX)
		error = -EMLINK;
	if (!error)
		error = make_node(memory, req, folder, making, &node);
	if (!error)
		error = name_add(memory, folder, name, length, node, UINT64_MAX);
	if (error)
		return memory_cancel(memory, error);
	node->nlink = 1;
	node->lookups = 1;
	if (is_folder) {
		node->nlink = 2;
		folder_of(memory, node)->parent = folder->index;
		SAVE(memory, &folder->nlink);
		folder->nlink++;
	}
	node_touch(memory, folder, 1u << TIME_MODIFY | 1u << TIME_CHANGE);
	node_entry(memory, node, out);
	return memory_finish(memory, req, out->node);
}

int memory_mknod(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor, struct dw_entry *out)
{
	uint32_t type = mode & DW_MODE_TYPE ? mode & DW_MODE_TYPE : DW_MODE_FILE;
	struct making making = {.mode = type | (mode & 07777), .major = rdev_major, .minor = rdev_minor};

	switch (type) {
	case DW_MODE_FILE:
	case DW_MODE_FIFO:
	case DW_MODE_SOCKET:
	case DW_MODE_CHARACTER:
	case DW_MODE_BLOCK:
		return make(memory_of(fs), req, parent, name, &making, out);
	default:
		return -EINVAL;
	}
}

int memory_mkdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint32_t mode, struct dw_entry *out)
{
	struct making making = {.mode = DW_MODE_FOLDER | (mode & 07777)};

	return make(memory_of(fs), req, parent, name, &making, out);
}

int memory_symlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		   const char *target, struct dw_entry *out)
{
	struct making making = {.mode = DW_MODE_LINK | 0777, .target = target};

	if (!target[0])
		return -ENOENT;
	if (strlen(target) >= BLOCK_SIZE)
		return -ENAMETOOLONG;
	return make(memory_of(fs), req, parent, name, &making, out);
}

int memory_create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	struct making making = {.mode = DW_MODE_FILE | (mode & 07777)};

	open_answer(flags, open);
	return make(memory_of(fs), req, parent, name, &making, out);
}

int memory_tmpfile(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, uint32_t mode,
		   uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	struct memory *memory = memory_of(fs);
	struct making making = {.mode = DW_MODE_FILE | (mode & 07777)};
	struct node *folder, *node;
	uint64_t id;
	int error;

	open_answer(flags, open);
	if (memory_replayed(memory, req, &id))
		return answer_again(memory, id, out);
	memory_begin(memory);
	error = folder_find_living(memory, parent, &folder);
	if (!error)
		error = make_node(memory, req, folder, &making, &node);
	if (error)
		return memory_cancel(memory, error);
	node->lookups = 1;
	node_entry(memory, node, out);
	return memory_finish(memory, req, out->node);
}

int memory_link(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node_name, uint64_t new_parent,
		const char *new_name, struct dw_entry *out)
{
	struct memory *memory = memory_of(fs);
	struct node *folder, *node;
	size_t length;
	int error;

	if (answered(memory, req, new_name, &length, out, &error))
		return error;
	memory_begin(memory);
	node = node_find(memory, node_name);
	error = node ? folder_find_living(memory, new_parent, &folder) : -ESTALE;
	if (!error && node_is(node, DW_MODE_FOLDER))
		error = -EPERM;
	if (!error && node->nlink >= MEMORY_LINKS_MAX)
		error = -EMLINK;
	if (!error && name_find(memory, folder, new_name, length))
		error = -EEXIST;
	if (!error)
		error = name_add(memory, folder, new_name, length, node, UINT64_MAX);
	if (error)
		return memory_cancel(memory, error);
	SAVE(memory, &node->nlink);
	node->nlink++;
	node_touch(memory, node, 1u << TIME_CHANGE);
	node_touch(memory, folder, 1u << TIME_MODIFY | 1u << TIME_CHANGE);
	node_count_lookup(memory, node);
	node_entry(memory, node, out);
	return memory_finish(memory, req, out->node);
}

/* --- Removing --- */

void node_unlinked(struct memory *memory, struct node *parent, struct node *node)
{
	SAVE(memory, &node->nlink);
	node->nlink--;
	if (node_is(node, DW_MODE_FOLDER)) {
		node->nlink = 0;
		SAVE(memory, &parent->nlink);
		parent->nlink--;
	}
	node_touch(memory, node, 1u << TIME_CHANGE);
	node_release(memory, node);
}

static int remove_name(struct memory *memory, const struct dw_request *req, uint64_t parent, const char *text,
		       bool is_folder)
{
	struct node *folder, *node;
	struct name *name;
	uint64_t nothing;
	size_t length;
	int error = name_check(text, &length);

	if (error)
		return error;
	if (memory_replayed(memory, req, &nothing)) {
		blocks_collect(memory);
		return 0;
	}
	memory_begin(memory);
	error = folder_find(memory, parent, &folder);
	if (error)
		return memory_cancel(memory, error);
	name = name_find(memory, folder, text, length);
	if (!name)
		return memory_cancel(memory, -ENOENT);
	node = node_at(memory, name->node);
	if (is_folder && !node_is(node, DW_MODE_FOLDER))
		error = -ENOTDIR;
	else if (!is_folder && node_is(node, DW_MODE_FOLDER))
		error = -EISDIR;
	else if (is_folder && folder_of(memory, node)->count)
		error = -ENOTEMPTY;
	if (error)
		return memory_cancel(memory, error);
	name_remove(memory, folder, name);
	node_touch(memory, folder, 1u << TIME_MODIFY | 1u << TIME_CHANGE);
	node_unlinked(memory, folder, node);
	error = memory_finish(memory, req, 0);
	blocks_collect(memory);
	return error;
}

int memory_unlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	return remove_name(memory_of(fs), req, parent, name, false);
}

int memory_rmdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	return remove_name(memory_of(fs), req, parent, name, true);
}

/* --- Reading --- */

int memory_readlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, char *out, size_t *length)
{
	struct memory *memory = memory_of(fs);
	bool due = false;
	int error = 0;

	memory_lock_shared(memory);
	const struct node *node = node_find(memory, id);
	if (!node) {
		error = -ESTALE;
	} else if (!node_is(node, DW_MODE_LINK)) {
		error = -EINVAL;
	} else {
		if (*length > node->size)
			*length = node->size;
		memcpy(out, at(memory, node->target), *length);
		due = node_atime_is_due(node);
	}
	memory_unlock(memory);
	if (due)
		node_accessed(memory, id);
	return error;
}

/* Give the listing what stands from *slot on, and leave *slot behind the last that fitted. */
static uint64_t list(struct memory *memory, struct folder *folder, uint64_t *slot, uint64_t limit,
		     struct dw_listing *listing, bool count)
{
	struct dw_entry entry = {0};
	uint64_t key = *slot, listed = 0;
	uint32_t ref;

	while (listed < limit && tree_next(memory, &folder->entries, &key, &ref)) {
		const struct name *name = at(memory, ref);
		struct node *node = NULL;
		if (listing->attributes) {
			if (count && arena_room(memory->arena) < LISTING_LOG)
				break;
			node = node_at(memory, name->node);
			node_entry(memory, node, &entry);
		} else {
			entry.attr.mode = (uint32_t)name->type << 12;
			entry.attr.ino = (uint64_t)name->generation << 32 | name->node;
		}
		if (!listing->add(listing, name->text, name->length, key + 1, &entry))
			break;
		if (count)
			node_count_lookup(memory, node);
		*slot = ++key;
		listed++;
	}
	return listed;
}

/*
 * A listing with attributes counts a lookup for each entry that fitted, all in one transaction. Its replay
 * lists as many entries again, from the same place, and counts none. They are the same: the kernel lets nobody change a
 * folder while a listing of it is under way.
 */
int memory_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, uint64_t handle,
		   uint64_t offset, struct dw_listing *listing)
{
	struct memory *memory = memory_of(fs);
	struct node *node;
	uint64_t limit = UINT64_MAX;
	bool again = memory_replayed(memory, req, &limit);
	bool count = listing->attributes && !again;
	bool due = false;
	int error;

	if (!again)
		limit = UINT64_MAX;
	if (count)
		memory_begin(memory);
	else
		memory_lock_shared(memory);
	error = folder_find(memory, id, &node);
	if (!error && offset > folder_of(memory, node)->next_slot)
		error = -EINVAL;
	if (!error) {
		limit = list(memory, folder_of(memory, node), &offset, limit, listing, count);
		due = node_atime_is_due(node);
	}
	if (!count)
		memory_unlock(memory);
	else if (error)
		return memory_cancel(memory, error);
	else
		error = memory_finish(memory, req, limit);
	if (due && !error)
		node_accessed(memory, id);
	return error;
}
