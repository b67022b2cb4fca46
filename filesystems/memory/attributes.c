/* SPDX-License-Identifier: MIT */
/*
 * attributes.c - getattr, setattr, statfs, and the opening of files and folders
 */
#include <errno.h>

#include "filesystems/memory/memory.h"

/* About what a small file costs in metadata: for telling how many more there may be. */
#define NODE_COST 256u

int memory_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, uint64_t handle,
		   struct dw_attr *out, uint64_t *timeout)
{
	struct memory *memory = memory_of(fs);
	int error = -ESTALE;

	memory_lock_shared(memory);
	const struct node *node = node_find(memory, id);
	if (node) {
		node_attr(memory, node, out);
		error = 0;
	}
	memory_unlock(memory);
	return error;
}

static void set_time(struct node *node, enum node_time which, struct dw_time time)
{
	node->seconds[which] = time.seconds;
	node->nanoseconds[which] = time.nanoseconds;
}

static void set_times(struct node *node, const struct dw_setattr *in)
{
	struct dw_time now = memory_now();

	if (in->valid & DW_SET_ATIME)
		set_time(node, TIME_ACCESS, in->valid & DW_SET_ATIME_NOW ? now : in->atime);
	if (in->valid & DW_SET_MTIME)
		set_time(node, TIME_MODIFY, in->valid & DW_SET_MTIME_NOW ? now : in->mtime);
	else if (in->valid & DW_SET_SIZE)
		set_time(node, TIME_MODIFY, now);
	set_time(node, TIME_CHANGE, in->valid & DW_SET_CTIME ? in->ctime : now);
}

static bool times_are_valid(const struct dw_setattr *in)
{
	return !((in->valid & DW_SET_ATIME && in->atime.nanoseconds > 999999999) ||
		 (in->valid & DW_SET_MTIME && in->mtime.nanoseconds > 999999999) ||
		 (in->valid & DW_SET_CTIME && in->ctime.nanoseconds > 999999999));
}

static int set_mode(struct memory *memory, struct node *node, uint32_t mode)
{
	size_t size;

	SAVE(memory, &node->mode);
	node->mode = (node->mode & DW_MODE_TYPE) | (mode & 07777);
	if (node->flags & NODE_HAS_ACCESS_ACL) {
		void *acl = (void *)xattr_find(memory, node, XATTR_ACCESS_ACL, &size);
		arena_save(memory->arena, acl, size);
		acl_apply_mode(acl, size, mode);
	}
	return 0;
}

/* Inside a transaction. Blocks behind the new end are gone already, unless it is 0. */
static void set_size(struct memory *memory, struct node *node, uint64_t size)
{
	if (size > node->size) {
		content_extend(memory, node, size, size);
		return;
	}
	SAVE(memory, node);
	node->size = size;
	if (size == 0) {
		blocks_discard(memory, &node->map);
		node->blocks = 0;
	}
}

static int change(struct memory *memory, struct node *node, const struct dw_setattr *in)
{
	bool owner = in->valid & (DW_SET_UID | DW_SET_GID);
	int error = 0;

	SAVE(memory, node);
	if (in->valid & DW_SET_SIZE)
		set_size(memory, node, in->size);
	if (in->valid & DW_SET_UID)
		node->uid = in->uid;
	if (in->valid & DW_SET_GID)
		node->gid = in->gid;
	if (in->valid & DW_SET_MODE)
		error = set_mode(memory, node, in->mode);
	if (!error && !node_is(node, DW_MODE_FOLDER) && (owner || in->valid & (DW_SET_SIZE | DW_SET_KILL_PRIV)))
		error = node_kill_privileges(memory, node,
					     (owner && !(in->valid & DW_SET_MODE)) || in->valid & DW_SET_KILL_PRIV);
	set_times(node, in);
	return error;
}

/* Whether in is possible for node. *cut: the first block that has to go; UINT64_MAX: none. */
static int check(const struct dw_request *req, const struct node *node, const struct dw_setattr *in, uint64_t *cut)
{
	*cut = UINT64_MAX;
	if (!times_are_valid(in))
		return -EINVAL;
	if (!(in->valid & DW_SET_SIZE))
		return 0;
	if (node_is(node, DW_MODE_FOLDER))
		return -EISDIR;
	if (!node_is(node, DW_MODE_FILE))
		return -EINVAL;
	if (in->size > INT64_MAX)
		return -EFBIG;
	/* Not only when the file becomes shorter: there may be blocks behind its end. */
	if (in->size && in->size <= node->size && node->map.root)
		*cut = (in->size + BLOCK_SIZE - 1) / BLOCK_SIZE;
	if (in->size <= node->size && node->blocks > MEMORY_LONG && req->flags & DW_REQUEST_NOWAIT)
		return -EAGAIN;
	return 0;
}

int memory_setattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, uint64_t handle,
		   const struct dw_setattr *in, struct dw_attr *out)
{
	struct memory *memory = memory_of(fs);
	uint64_t cut, nothing, timeout;
	int error = -ESTALE;

	if (memory_replayed(memory, req, &nothing)) {
		blocks_collect(memory);
		return memory_getattr(fs, req, id, handle, out, &timeout);
	}
	memory_lock_shared(memory);
	const struct node *before = node_find(memory, id);
	if (before)
		error = check(req, before, in, &cut);
	memory_unlock(memory);
	if (!error && cut != UINT64_MAX)
		error = content_unmap(memory, id, cut, UINT64_MAX);
	if (error)
		return error;
	memory_begin(memory);
	struct node *node = node_find(memory, id);
	error = node ? change(memory, node, in) : -ESTALE;
	if (error)
		return memory_cancel(memory, error);
	node_attr(memory, node, out);
	error = memory_finish(memory, req, 0);
	blocks_collect(memory);
	return error;
}

int memory_statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out)
{
	struct memory *memory = memory_of(fs);

	memory_lock_shared(memory);
	uint64_t used = memory_used(memory), count = memory->root->node_count;
	memory_unlock(memory);
	uint64_t free = used < memory->limit ? memory->limit - used : 0;
	*out = (struct dw_statfs){
		.blocks = memory->limit / BLOCK_SIZE,
		.blocks_free = free / BLOCK_SIZE,
		.blocks_available = free / BLOCK_SIZE,
		.block_size = BLOCK_SIZE,
		.name_max = MEMORY_NAME_MAX,
		.files_free = free / NODE_COST,
	};
	if (memory->nodes_max && memory->nodes_max - count < out->files_free)
		out->files_free = memory->nodes_max - count;
	out->files = count + out->files_free;
	return 0;
}

void open_answer(uint32_t flags, struct dw_open *out)
{
	out->handle = flags & (DW_O_ACCMODE | DW_O_NOATIME);
	out->flags = DW_OPEN_KEEP_CACHE | DW_OPEN_NO_FLUSH;
	out->backing_id = 0;
}

int memory_open(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, uint32_t flags,
		struct dw_open *out)
{
	struct memory *memory = memory_of(fs);
	int error = 0;

	memory_lock_shared(memory);
	const struct node *node = node_find(memory, id);
	if (!node)
		error = -ESTALE;
	else if (node_is(node, DW_MODE_FOLDER))
		error = -EISDIR;
	memory_unlock(memory);
	if (!error && flags & DW_O_TRUNC) {
		struct dw_setattr in = {.valid = DW_SET_SIZE};
		struct dw_attr attr;
		error = memory_setattr(fs, req, id, DW_NO_HANDLE, &in, &attr);
	}
	open_answer(flags, out);
	return error;
}

int memory_opendir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, struct dw_open *out)
{
	struct memory *memory = memory_of(fs);
	struct node *node;

	memory_lock_shared(memory);
	int error = folder_find(memory, id, &node);
	memory_unlock(memory);
	*out = (struct dw_open){.handle = 0};
	return error;
}

void memory_release(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle)
{
	(void)fs; /* an open file has no state */
}
