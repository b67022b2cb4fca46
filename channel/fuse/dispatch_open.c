/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "request.h"

/* Make a file (with a name, or without one) and open it: both halves of the reply. */
static int make_and_open(struct call *call, bool named)
{
	const struct fuse_create_in *in = &call->message.in.create;
	uint32_t flags = in->flags & ~(DW_O_CREAT | DW_O_EXCL);
	struct dw_entry entry = call_entry();
	struct dw_open open = {0};
	struct fuse_entry_out *out;
	int error;

	call->req.umask = in->umask;
	if (named)
		error = CALL_OPS(call)->create(CALL_FS(call), &call->req, call->message.node, call->message.name,
					       in->mode, flags, &entry, &open);
	else
		error = CALL_OPS(call)->tmpfile(CALL_FS(call), &call->req, call->message.node, in->mode, flags, &entry,
						&open);
	if (error)
		return call_answer(error);
	out = reply_make(call, sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
	reply_entry(call, out, &entry);
	reply_open(call, (struct fuse_open_out *)(out + 1), &open, false);
	return 0;
}

/* -ENOSYS makes the kernel use MKNOD and OPEN instead. */
int dispatch_create(struct call *call)
{
	int error = call_may_change(call, CALL_OPS(call)->create);

	return error ? error : make_and_open(call, true);
}

int dispatch_tmpfile(struct call *call)
{
	int error = call_may_change(call, CALL_OPS(call)->tmpfile);

	return error ? error : make_and_open(call, false);
}

/*
 * Opening with truncation by somebody without privileges also clears set-user-id and set-group-id. Returns -EAGAIN on
 * a thread that may not block when there is something to clear: the two calls belong together.
 */
static int open_clears(const struct call *call, bool *clear)
{
	struct dw_attr attr = {0};
	uint64_t timeout = DW_TIMEOUT_DEFAULT;
	struct scratch scratch;
	int error;

	*clear = false;
	if (!(call->message.in.open.open_flags & FUSE_OPEN_KILL_SUIDGID) ||
	    !(call->message.in.open.flags & DW_O_TRUNC) || !CALL_OPS(call)->setattr || !CALL_OPS(call)->getattr)
		return 0;
	error = CALL_OPS(call)->getattr(CALL_FS(call), call_scratch(call, &scratch), call->message.node, DW_NO_HANDLE,
					&attr, &timeout);
	if (error == -EAGAIN)
		return error;
	*clear = error == 0 && (attr.mode & (DW_MODE_SETUID | DW_MODE_SETGID));
	return *clear && (call->req.flags & DW_REQUEST_NOWAIT) ? -EAGAIN : 0;
}

int dispatch_open(struct call *call)
{
	const struct fuse_open_in *in = &call->message.in.open;
	struct dw_open open = {0};
	bool clear;
	int error;

	if (call->drive->zero_open)
		return -ENOSYS;
	if (call->drive->read_only && ((in->flags & DW_O_ACCMODE) != DW_O_RDONLY || (in->flags & DW_O_TRUNC)))
		return -EROFS;
	error = open_clears(call, &clear);
	if (error)
		return error;
	if (CALL_OPS(call)->open) {
		error = CALL_OPS(call)->open(CALL_FS(call), &call->req, call->message.node,
					     in->flags & ~(DW_O_CREAT | DW_O_EXCL), &open);
		if (error)
			return call_answer(error);
	}
	if (clear) {
		struct dw_setattr set = {.valid = DW_SET_KILL_PRIV};
		struct dw_attr attr;
		struct scratch scratch;

		(void)CALL_OPS(call)->setattr(CALL_FS(call), call_scratch(call, &scratch), call->message.node,
					      open.handle, &set, &attr);
	}
	reply_open(call, reply_make(call, sizeof(struct fuse_open_out)), &open, false);
	return 0;
}

int dispatch_opendir(struct call *call)
{
	struct dw_open open = {0};
	int error;

	if (call->drive->zero_opendir)
		return -ENOSYS;
	if (CALL_OPS(call)->opendir) {
		error = CALL_OPS(call)->opendir(CALL_FS(call), &call->req, call->message.node, &open);
		if (error)
			return call_answer(error);
	}
	reply_open(call, reply_make(call, sizeof(struct fuse_open_out)), &open, true);
	return 0;
}

int dispatch_release(struct call *call)
{
	const struct fuse_release_in *in = &call->message.in.release;
	struct scratch scratch;

	if ((in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK) && CALL_OPS(call)->flock) {
		int error = CALL_OPS(call)->flock(CALL_FS(call), call_scratch(call, &scratch), call->message.node,
						  in->fh, in->lock_owner, DW_LOCK_UNLOCK, false);

		if (error == -EAGAIN && (call->req.flags & DW_REQUEST_NOWAIT))
			return error;
	}
	if (CALL_OPS(call)->release)
		CALL_OPS(call)->release(CALL_FS(call), &call->req, call->message.node, in->fh);
	reply_empty(call);
	return 0;
}

int dispatch_releasedir(struct call *call)
{
	if (CALL_OPS(call)->releasedir)
		CALL_OPS(call)->releasedir(CALL_FS(call), &call->req, call->message.node, call->message.in.release.fh);
	reply_empty(call);
	return 0;
}

int dispatch_flush(struct call *call)
{
	const struct fuse_flush_in *in = &call->message.in.flush;

	if (!CALL_OPS(call)->flush)
		return -ENOSYS;
	reply_empty(call);
	return call_answer(
		CALL_OPS(call)->flush(CALL_FS(call), &call->req, call->message.node, in->fh, in->lock_owner));
}

int dispatch_fsync(struct call *call)
{
	const struct fuse_fsync_in *in = &call->message.in.fsync;

	if (!CALL_OPS(call)->fsync)
		return -ENOSYS;
	reply_empty(call);
	return call_answer(CALL_OPS(call)->fsync(CALL_FS(call), &call->req, call->message.node, in->fh,
						 in->fsync_flags & FUSE_FSYNC_FDATASYNC));
}

int dispatch_fsyncdir(struct call *call)
{
	const struct fuse_fsync_in *in = &call->message.in.fsync;

	if (!CALL_OPS(call)->fsyncdir)
		return -ENOSYS;
	reply_empty(call);
	return call_answer(CALL_OPS(call)->fsyncdir(CALL_FS(call), &call->req, call->message.node, in->fh,
						    in->fsync_flags & FUSE_FSYNC_FDATASYNC));
}

int dispatch_syncfs(struct call *call)
{
	if (!CALL_OPS(call)->syncfs)
		return -ENOSYS;
	reply_empty(call);
	return call_answer(CALL_OPS(call)->syncfs(CALL_FS(call), &call->req));
}
