/* SPDX-License-Identifier: MIT */
/*
 * request.h - one request on its way through the file system
 *
 * struct call lives on the stack of the thread that handles the request, be it the thread that took
 * it or a worker; everything that must outlive the thread is in the slot. A handler (one an
 * operation, in the dispatch_*.c files) calls the file system and stores the reply by one of the reply_*
 * functions; it returns 0, or a negative errno and stores nothing. It may be run any number of times for
 * one request: after -EAGAIN on a worker, after a death in the next service.
 *
 * Where replies stand
 *    up to REGION_REPLY_MAX bytes: slot->reply.
 *    more (data, listings, link targets, values of attributes): in the slot's buffer, built there by the
 *    file system itself, at an offset where nothing lies that a second run would need:
 *       plain   the request is in the first page of the buffer, data goes behind it, at REPLY_PLAIN
 *       ring    operations without names or data in their payload use the buffer's start, where the kernel looks
 *               for the reply anyway; the others REPLY_STAGE, and the transport moves it when all is ANSWERED.
 *
 * A call inside another (reading an attribute to know what to do, truncating's side effects) must not use the
 * request's notes, which belong to the operation proper: call_scratch makes a request with notes of
 * its own, which are all zero and forgotten afterwards. Only what may be repeated is called with it.
 */
#ifndef CHANNEL_FUSE_REQUEST_H
#define CHANNEL_FUSE_REQUEST_H

#include <driveway/filesystem.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"
#include "region.h"

#define REPLY_PLAIN 4096u	 /* offset in the buffer of a plain slot */
#define REPLY_STAGE (512u << 10) /* offset in any buffer for replies beside a payload */

/* What handlers need to know of the drive. Constant once INIT is answered. */
struct drive {
	struct dw_filesystem *fs;
	struct dw_filesystem_ops ops; /* those that the file system has; NULL beyond its size */
	uint64_t flags;		      /* FUSE_* agreed in INIT */
	uint32_t minor;
	bool read_only;
	bool zero_open;	   /* OPEN is answered -ENOSYS: the kernel opens files by itself from then on */
	bool zero_opendir; /* the same for folders */
	uint64_t entry_seconds, attr_seconds, negative_seconds; /* the file system's default time-outs */
	uint32_t entry_nanoseconds, attr_nanoseconds, negative_nanoseconds;
};

struct call {
	const struct drive *drive;
	struct region_slot *slot;
	char *buffer; /* the slot's, REGION_BUFFER bytes */
	bool ring;
	struct dw_request req;
	struct fuse_request message;
};

struct scratch {
	struct dw_request req;
	struct dw_notes notes;
};

#define CALL_OPS(call) (&(call)->drive->ops)
#define CALL_FS(call)  ((call)->drive->fs)

/* What a change answers when the drive takes none or the file system does not implement it; else 0. */
static inline int call_may_change(const struct call *call, bool implemented)
{
	if (call->drive->read_only)
		return -EROFS;
	return implemented ? 0 : -ENOSYS;
}

/* The file system's own answer. Its -ENOSYS must not make the kernel believe that the operation is missing for good. */
static inline int call_answer(int error)
{
	return error == -ENOSYS ? -EOPNOTSUPP : error;
}

/* An entry for the file system to fill in. */
static inline struct dw_entry call_entry(void)
{
	return (struct dw_entry){.entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};
}

/* Attributes of the message's node. flags: FUSE_GETATTR_FH when handle is one. dispatch_attr.c. */
int call_attr(struct call *call, uint32_t flags, uint64_t handle, struct dw_attr *attr, uint64_t *timeout);

/* A request like call's with empty notes, for calls that may be repeated. */
const struct dw_request *call_scratch(const struct call *call, struct scratch *scratch);

/* Copy ops of the file system, members beyond its size as NULL, and all that is derived from it. */
void drive_prepare(struct drive *drive, struct dw_filesystem *fs, bool read_only);

/*
 * Run the handler of call's message (decoded). Returns 0 or a negative errno that the kernel accepts; -EAGAIN with
 * DW_REQUEST_NOWAIT set means: again on a worker. Stores the reply's bytes, not slot->error and not the state.
 */
int dispatch(struct call *call);

typedef int dispatch_handler(struct call *call);
/* dispatch_name.c */
dispatch_handler dispatch_lookup, dispatch_forget, dispatch_batch_forget, dispatch_mknod, dispatch_mkdir,
	dispatch_symlink, dispatch_link, dispatch_unlink, dispatch_rmdir, dispatch_rename, dispatch_rename2,
	dispatch_readlink;
/* dispatch_attr.c */
dispatch_handler dispatch_getattr, dispatch_statx, dispatch_setattr, dispatch_setxattr, dispatch_getxattr,
	dispatch_listxattr, dispatch_removexattr, dispatch_statfs, dispatch_access;
/* dispatch_open.c */
dispatch_handler dispatch_open, dispatch_create, dispatch_tmpfile, dispatch_opendir, dispatch_release,
	dispatch_releasedir, dispatch_flush, dispatch_fsync, dispatch_fsyncdir, dispatch_syncfs;
/* dispatch_data.c */
dispatch_handler dispatch_read, dispatch_write, dispatch_fallocate, dispatch_lseek, dispatch_copy_file_range,
	dispatch_copy_file_range_64, dispatch_readdir, dispatch_readdirplus;
/* dispatch_lock.c */
dispatch_handler dispatch_getlk, dispatch_setlk, dispatch_setlkw, dispatch_ioctl, dispatch_poll;

/* --- reply.c: storing replies; conversions --- */

/* size bytes (up to REGION_REPLY_MAX), zeroed, of slot->reply to fill in; they are the reply. */
void *reply_make(struct call *call, size_t size);
/* Nothing but the header. */
void reply_empty(struct call *call);
/* Where in the buffer a long reply is to be built, and how much fits. beside_payload: the message's payload must stay.
 */
char *reply_space(struct call *call, bool beside_payload, size_t *room);
/* The size bytes built at at, which came from reply_space, are the reply. */
void reply_built(struct call *call, const char *at, size_t size);

void reply_entry(const struct call *call, struct fuse_entry_out *out, const struct dw_entry *entry);
void reply_negative(const struct call *call, struct fuse_entry_out *out);
void reply_attr(const struct call *call, struct fuse_attr_out *out, uint64_t node, const struct dw_attr *attr,
		uint64_t timeout);
void reply_statx(const struct call *call, struct fuse_statx_out *out, uint64_t node, const struct dw_attr *attr,
		 uint64_t timeout);
void reply_open(const struct call *call, struct fuse_open_out *out, const struct dw_open *open, bool folder);
void reply_fill_attr(struct fuse_attr *out, uint64_t node, const struct dw_attr *attr);
/* Device numbers as the kernel packs them into 32 bits. */
uint32_t reply_device_pack(uint32_t major, uint32_t minor);
void reply_device_unpack(uint32_t packed, uint32_t *major, uint32_t *minor);
/* An errno that the kernel accepts in place of whatever error is. */
int reply_error(int error);

#endif
