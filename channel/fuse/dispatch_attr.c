/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "request.h"

int call_attr(struct call *call, uint32_t flags, uint64_t handle, struct dw_attr *attr, uint64_t *timeout)
{
	*timeout = DW_TIMEOUT_DEFAULT;
	memset(attr, 0, sizeof(*attr));
	if (!CALL_OPS(call)->getattr)
		return -ENOSYS;
	return call_answer(CALL_OPS(call)->getattr(CALL_FS(call), &call->req, call->message.node,
						   flags & FUSE_GETATTR_FH ? handle : DW_NO_HANDLE, attr, timeout));
}

int dispatch_getattr(struct call *call)
{
	const struct fuse_getattr_in *in = &call->message.in.getattr;
	struct dw_attr attr;
	uint64_t timeout;
	int error = call_attr(call, in->getattr_flags, in->fh, &attr, &timeout);

	if (error)
		return error;
	reply_attr(call, reply_make(call, sizeof(struct fuse_attr_out)), call->message.node, &attr, timeout);
	return 0;
}

int dispatch_statx(struct call *call)
{
	const struct fuse_statx_in *in = &call->message.in.statx;
	struct dw_attr attr;
	uint64_t timeout;
	int error = call_attr(call, in->getattr_flags, in->fh, &attr, &timeout);

	if (error)
		return error;
	reply_statx(call, reply_make(call, sizeof(struct fuse_statx_out)), call->message.node, &attr, timeout);
	return 0;
}

static struct dw_time wire_time(uint64_t seconds, uint32_t nanoseconds)
{
	return (struct dw_time){.seconds = (int64_t)seconds, .nanoseconds = nanoseconds};
}

static uint32_t wire_valid(uint32_t valid)
{
	static const struct {
		uint32_t wire, ours;
	} pairs[] = {
		{FATTR_MODE, DW_SET_MODE},
		{FATTR_UID, DW_SET_UID},
		{FATTR_GID, DW_SET_GID},
		{FATTR_SIZE, DW_SET_SIZE},
		{FATTR_ATIME, DW_SET_ATIME},
		{FATTR_MTIME, DW_SET_MTIME},
		{FATTR_CTIME, DW_SET_CTIME},
		{FATTR_ATIME_NOW, DW_SET_ATIME_NOW},
		{FATTR_MTIME_NOW, DW_SET_MTIME_NOW},
		{FATTR_KILL_SUIDGID, DW_SET_KILL_PRIV},
	};
	uint32_t ours = 0;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (valid & pairs[i].wire)
			ours |= pairs[i].ours;
	return ours;
}

/*
 * A kernel that has agreed to HANDLE_KILLPRIV_V2 leaves it to us that a file loses set-user-id and set-group-id when
 * its owner changes, and does not say so. Folders keep theirs.
 */
static int owner_change_clears(const struct call *call, uint64_t handle, struct dw_setattr *set)
{
	uint64_t timeout = DW_TIMEOUT_DEFAULT;
	struct dw_attr attr = {0};
	struct scratch scratch;
	int error;

	if (!(call->drive->flags & FUSE_HANDLE_KILLPRIV_V2) || !(set->valid & (DW_SET_UID | DW_SET_GID)) ||
	    (set->valid & DW_SET_MODE) || !CALL_OPS(call)->getattr)
		return 0;
	error = CALL_OPS(call)->getattr(CALL_FS(call), call_scratch(call, &scratch), call->message.node, handle, &attr,
					&timeout);
	if (error == 0 && (attr.mode & DW_MODE_TYPE) != DW_MODE_FOLDER)
		set->valid |= DW_SET_KILL_PRIV;
	return error;
}

int dispatch_setattr(struct call *call)
{
	const struct fuse_setattr_in *in = &call->message.in.setattr;
	uint64_t handle = in->valid & FATTR_FH ? in->fh : DW_NO_HANDLE;
	struct dw_setattr set = {
		.valid = wire_valid(in->valid),
		.mode = in->mode & 07777u,
		.uid = in->uid,
		.gid = in->gid,
		.size = in->size,
		.atime = wire_time(in->atime, in->atimensec),
		.mtime = wire_time(in->mtime, in->mtimensec),
		.ctime = wire_time(in->ctime, in->ctimensec),
	};
	struct dw_attr attr = {0};
	int error = call_may_change(call, CALL_OPS(call)->setattr);

	if (error)
		return error;
	error = owner_change_clears(call, handle, &set);
	if (error)
		return call_answer(error);
	error = CALL_OPS(call)->setattr(CALL_FS(call), &call->req, call->message.node, handle, &set, &attr);
	if (error)
		return call_answer(error);
	reply_attr(call, reply_make(call, sizeof(struct fuse_attr_out)), call->message.node, &attr, DW_TIMEOUT_DEFAULT);
	return 0;
}

int dispatch_setxattr(struct call *call)
{
	const struct fuse_setxattr_in *in = &call->message.in.setxattr;
	uint32_t flags = in->flags & (DW_XATTR_CREATE | DW_XATTR_REPLACE);

	if (!CALL_OPS(call)->setxattr)
		return -ENOSYS;
	if (call->drive->read_only)
		return -EROFS;
	if (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID)
		flags |= DW_XATTR_KILL_SGID;
	reply_empty(call);
	return call_answer(CALL_OPS(call)->setxattr(CALL_FS(call), &call->req, call->message.node, call->message.name,
						    call->message.data, in->size, flags));
}

int dispatch_removexattr(struct call *call)
{
	if (!CALL_OPS(call)->removexattr)
		return -ENOSYS;
	if (call->drive->read_only)
		return -EROFS;
	reply_empty(call);
	return call_answer(
		CALL_OPS(call)->removexattr(CALL_FS(call), &call->req, call->message.node, call->message.name));
}

/* The size bytes at space, or only how many there are when none were wanted. */
static int reply_xattr(struct call *call, const char *space, size_t wanted, size_t size)
{
	struct fuse_getxattr_out *out;

	if (size > wanted && wanted != 0)
		return -ERANGE;
	if (wanted != 0) {
		reply_built(call, space, size);
		return 0;
	}
	out = reply_make(call, sizeof(*out));
	out->size = (uint32_t)size;
	return 0;
}

int dispatch_getxattr(struct call *call)
{
	size_t room, wanted = call->message.in.getxattr.size;
	char *space = reply_space(call, true, &room);
	size_t size;
	int error;

	if (!CALL_OPS(call)->getxattr)
		return -ENOSYS;
	if (wanted > room)
		wanted = room;
	size = wanted;
	error = CALL_OPS(call)->getxattr(CALL_FS(call), &call->req, call->message.node, call->message.name,
					 wanted ? space : NULL, &size);
	return error ? call_answer(error) : reply_xattr(call, space, wanted, size);
}

int dispatch_listxattr(struct call *call)
{
	size_t room, wanted = call->message.in.getxattr.size;
	char *space = reply_space(call, false, &room);
	size_t size;
	int error;

	if (!CALL_OPS(call)->listxattr)
		return -ENOSYS;
	if (wanted > room)
		wanted = room;
	size = wanted;
	error = CALL_OPS(call)->listxattr(CALL_FS(call), &call->req, call->message.node, wanted ? space : NULL, &size);
	return error ? call_answer(error) : reply_xattr(call, space, wanted, size);
}

int dispatch_statfs(struct call *call)
{
	struct dw_statfs statfs = {.block_size = 4096, .name_max = DECODE_NAME_MAX};
	struct fuse_statfs_out *out;
	int error;

	if (CALL_OPS(call)->statfs) {
		error = CALL_OPS(call)->statfs(CALL_FS(call), &call->req, call->message.node, &statfs);
		if (error)
			return call_answer(error);
	}
	out = reply_make(call, sizeof(*out));
	out->st.blocks = statfs.blocks;
	out->st.bfree = statfs.blocks_free;
	out->st.bavail = statfs.blocks_available;
	out->st.files = statfs.files;
	out->st.ffree = statfs.files_free;
	out->st.bsize = statfs.block_size;
	out->st.frsize = statfs.block_size;
	out->st.namelen = statfs.name_max;
	return 0;
}
