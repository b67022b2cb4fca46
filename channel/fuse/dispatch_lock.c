/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "request.h"

int dispatch_getlk(struct call *call)
{
	const struct fuse_lk_in *in = &call->message.in.lk;
	struct dw_lock lock = {.start = in->lk.start, .end = in->lk.end, .owner = in->owner, .type = in->lk.type};
	struct fuse_lk_out *out;
	int error;

	if (!CALL_OPS(call)->getlk)
		return -ENOSYS;
	lock.pid = in->lk.pid;
	error = CALL_OPS(call)->getlk(CALL_FS(call), &call->req, call->message.node, in->fh, &lock);
	if (error)
		return call_answer(error);
	out = reply_make(call, sizeof(*out));
	out->lk.start = lock.start;
	out->lk.end = lock.end;
	out->lk.type = lock.type;
	out->lk.pid = lock.pid;
	return 0;
}

static int set_lock(struct call *call, bool wait)
{
	const struct fuse_lk_in *in = &call->message.in.lk;
	struct dw_lock lock = {.start = in->lk.start, .end = in->lk.end, .owner = in->owner, .type = in->lk.type};

	if (in->lk.type > DW_LOCK_UNLOCK)
		return -EINVAL;
	lock.pid = in->lk.pid;
	reply_empty(call);
	if (in->lk_flags & FUSE_LK_FLOCK) {
		if (!CALL_OPS(call)->flock)
			return -ENOSYS;
		return call_answer(CALL_OPS(call)->flock(CALL_FS(call), &call->req, call->message.node, in->fh,
							 in->owner, in->lk.type, wait));
	}
	if (!CALL_OPS(call)->setlk)
		return -ENOSYS;
	return call_answer(CALL_OPS(call)->setlk(CALL_FS(call), &call->req, call->message.node, in->fh, &lock, wait));
}

int dispatch_setlk(struct call *call)
{
	return set_lock(call, false);
}

int dispatch_setlkw(struct call *call)
{
	return set_lock(call, true);
}

/* The kernel has checked that what command encodes is what it copies; bytes in and out are its own. */
int dispatch_ioctl(struct call *call)
{
	const struct fuse_ioctl_in *in = &call->message.in.ioctl;
	struct fuse_ioctl_out *out;
	size_t room, size, wanted = in->out_size;
	char *space = reply_space(call, true, &room);
	int32_t result = 0;
	int error;

	if (!CALL_OPS(call)->ioctl || (in->flags & FUSE_IOCTL_UNRESTRICTED))
		return -ENOTTY;
	if (wanted > room - sizeof(*out))
		return -EINVAL;
	out = (struct fuse_ioctl_out *)space;
	size = wanted;
	error = CALL_OPS(call)->ioctl(CALL_FS(call), &call->req, call->message.node, in->fh, in->cmd,
				      call->message.data, in->in_size, out + 1, &size, &result);
	if (error)
		return error == -ENOSYS ? -ENOTTY : error;
	memset(out, 0, sizeof(*out));
	out->result = result;
	reply_built(call, space, sizeof(*out) + (size < wanted ? size : wanted));
	return 0;
}

int dispatch_poll(struct call *call)
{
	const struct fuse_poll_in *in = &call->message.in.poll;
	struct fuse_poll_out *out;
	uint32_t ready = 0;
	int error;

	if (!CALL_OPS(call)->poll)
		return -ENOSYS;
	error = CALL_OPS(call)->poll(CALL_FS(call), &call->req, call->message.node, in->fh, in->events,
				     in->flags & FUSE_POLL_SCHEDULE_NOTIFY ? in->kh : 0, &ready);
	if (error)
		return call_answer(error);
	out = reply_make(call, sizeof(*out));
	out->revents = ready;
	return 0;
}
