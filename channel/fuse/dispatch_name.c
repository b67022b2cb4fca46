/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "request.h"

static int entry_made(struct call *call, int error, const struct dw_entry *entry)
{
	if (error)
		return call_answer(error);
	reply_entry(call, reply_make(call, sizeof(struct fuse_entry_out)), entry);
	return 0;
}

int dispatch_lookup(struct call *call)
{
	struct dw_entry entry = call_entry();
	int error;

	if (!CALL_OPS(call)->lookup)
		return -ENOSYS;
	error = CALL_OPS(call)->lookup(CALL_FS(call), &call->req, call->message.node, call->message.name, &entry);
	if (error == -ENOENT) {
		if (call->drive->negative_seconds == 0 && call->drive->negative_nanoseconds == 0)
			return -ENOENT;
		reply_negative(call, reply_make(call, sizeof(struct fuse_entry_out)));
		return 0;
	}
	if (error)
		return call_answer(error);
	if (entry.node == 0) {
		struct fuse_entry_out *out = reply_make(call, sizeof(*out));

		if (entry.entry_timeout == DW_TIMEOUT_DEFAULT)
			reply_negative(call, out);
		else
			reply_entry(call, out, &entry);
		return 0;
	}
	return entry_made(call, 0, &entry);
}

int dispatch_forget(struct call *call)
{
	struct dw_forget one = {.node = call->message.node, .count = call->message.in.forget.nlookup};

	if (CALL_OPS(call)->forget)
		CALL_OPS(call)->forget(CALL_FS(call), &call->req, &one, 1);
	reply_empty(call);
	return 0;
}

_Static_assert(sizeof(struct dw_forget) == sizeof(struct fuse_forget_one), "one list serves as the other");
_Static_assert(offsetof(struct dw_forget, count) == offsetof(struct fuse_forget_one, nlookup), "likewise");

int dispatch_batch_forget(struct call *call)
{
	if (CALL_OPS(call)->forget && call->message.in.batch_forget.count > 0)
		CALL_OPS(call)->forget(CALL_FS(call), &call->req, call->message.data,
				       call->message.in.batch_forget.count);
	reply_empty(call);
	return 0;
}

int dispatch_mknod(struct call *call)
{
	const struct fuse_mknod_in *in = &call->message.in.mknod;
	struct dw_entry entry = call_entry();
	uint32_t major, minor;
	int error = call_may_change(call, CALL_OPS(call)->mknod);

	if (error)
		return error;
	call->req.umask = in->umask;
	reply_device_unpack(in->rdev, &major, &minor);
	error = CALL_OPS(call)->mknod(CALL_FS(call), &call->req, call->message.node, call->message.name, in->mode,
				      major, minor, &entry);
	return entry_made(call, error, &entry);
}

int dispatch_mkdir(struct call *call)
{
	struct dw_entry entry = call_entry();
	uint32_t mode = DW_MODE_FOLDER | (call->message.in.mkdir.mode & 07777u);
	int error = call_may_change(call, CALL_OPS(call)->mkdir);

	if (error)
		return error;
	call->req.umask = call->message.in.mkdir.umask;
	error = CALL_OPS(call)->mkdir(CALL_FS(call), &call->req, call->message.node, call->message.name, mode, &entry);
	return entry_made(call, error, &entry);
}

int dispatch_symlink(struct call *call)
{
	struct dw_entry entry = call_entry();
	int error = call_may_change(call, CALL_OPS(call)->symlink);

	if (error)
		return error;
	error = CALL_OPS(call)->symlink(CALL_FS(call), &call->req, call->message.node, call->message.name,
					call->message.name2, &entry);
	return entry_made(call, error, &entry);
}

int dispatch_link(struct call *call)
{
	struct dw_entry entry = call_entry();
	int error = call_may_change(call, CALL_OPS(call)->link);

	if (error)
		return error;
	error = CALL_OPS(call)->link(CALL_FS(call), &call->req, call->message.in.link.oldnodeid, call->message.node,
				     call->message.name, &entry);
	return entry_made(call, error, &entry);
}

int dispatch_unlink(struct call *call)
{
	int error = call_may_change(call, CALL_OPS(call)->unlink);

	if (error)
		return error;
	reply_empty(call);
	return call_answer(CALL_OPS(call)->unlink(CALL_FS(call), &call->req, call->message.node, call->message.name));
}

int dispatch_rmdir(struct call *call)
{
	int error = call_may_change(call, CALL_OPS(call)->rmdir);

	if (error)
		return error;
	reply_empty(call);
	return call_answer(CALL_OPS(call)->rmdir(CALL_FS(call), &call->req, call->message.node, call->message.name));
}

static int rename_node(struct call *call, uint64_t new_parent, uint32_t flags)
{
	int error = call_may_change(call, CALL_OPS(call)->rename);

	if (error)
		return error;
	if ((flags & ~(DW_RENAME_NOREPLACE | DW_RENAME_EXCHANGE)) ||
	    flags == (DW_RENAME_NOREPLACE | DW_RENAME_EXCHANGE))
		return -EINVAL;
	reply_empty(call);
	return call_answer(CALL_OPS(call)->rename(CALL_FS(call), &call->req, call->message.node, call->message.name,
						  new_parent, call->message.name2, flags));
}

int dispatch_rename(struct call *call)
{
	return rename_node(call, call->message.in.rename.newdir, 0);
}

int dispatch_rename2(struct call *call)
{
	return rename_node(call, call->message.in.rename2.newdir, call->message.in.rename2.flags);
}

int dispatch_readlink(struct call *call)
{
	size_t length, room;
	char *space = reply_space(call, false, &room);
	int error;

	if (!CALL_OPS(call)->readlink)
		return -EINVAL;
	/* The kernel takes one page and adds a NUL of its own. */
	length = 4095;
	error = CALL_OPS(call)->readlink(CALL_FS(call), &call->req, call->message.node, space, &length);
	if (error)
		return call_answer(error);
	reply_built(call, space, length > 4095 ? 4095 : length);
	return 0;
}
