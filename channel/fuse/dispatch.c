/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "request.h"

#define NANOSECONDS 1000000000u

static int dispatch_destroy(struct call *call)
{
	reply_empty(call);
	return 0;
}

/* We never ask the kernel for data, so its answer is for nobody. */
static int dispatch_notify_reply(struct call *call)
{
	reply_empty(call);
	return 0;
}

static dispatch_handler *const handlers[] = {
	[FUSE_LOOKUP] = dispatch_lookup,
	[FUSE_FORGET] = dispatch_forget,
	[FUSE_GETATTR] = dispatch_getattr,
	[FUSE_SETATTR] = dispatch_setattr,
	[FUSE_READLINK] = dispatch_readlink,
	[FUSE_SYMLINK] = dispatch_symlink,
	[FUSE_MKNOD] = dispatch_mknod,
	[FUSE_MKDIR] = dispatch_mkdir,
	[FUSE_UNLINK] = dispatch_unlink,
	[FUSE_RMDIR] = dispatch_rmdir,
	[FUSE_RENAME] = dispatch_rename,
	[FUSE_LINK] = dispatch_link,
	[FUSE_OPEN] = dispatch_open,
	[FUSE_READ] = dispatch_read,
	[FUSE_WRITE] = dispatch_write,
	[FUSE_STATFS] = dispatch_statfs,
	[FUSE_RELEASE] = dispatch_release,
	[FUSE_FSYNC] = dispatch_fsync,
	[FUSE_SETXATTR] = dispatch_setxattr,
	[FUSE_GETXATTR] = dispatch_getxattr,
	[FUSE_LISTXATTR] = dispatch_listxattr,
	[FUSE_REMOVEXATTR] = dispatch_removexattr,
	[FUSE_FLUSH] = dispatch_flush,
	[FUSE_OPENDIR] = dispatch_opendir,
	[FUSE_READDIR] = dispatch_readdir,
	[FUSE_RELEASEDIR] = dispatch_releasedir,
	[FUSE_FSYNCDIR] = dispatch_fsyncdir,
	[FUSE_GETLK] = dispatch_getlk,
	[FUSE_SETLK] = dispatch_setlk,
	[FUSE_SETLKW] = dispatch_setlkw,
	[FUSE_ACCESS] = dispatch_access,
	[FUSE_CREATE] = dispatch_create,
	[FUSE_DESTROY] = dispatch_destroy,
	[FUSE_IOCTL] = dispatch_ioctl,
	[FUSE_POLL] = dispatch_poll,
	[FUSE_NOTIFY_REPLY] = dispatch_notify_reply,
	[FUSE_BATCH_FORGET] = dispatch_batch_forget,
	[FUSE_FALLOCATE] = dispatch_fallocate,
	[FUSE_READDIRPLUS] = dispatch_readdirplus,
	[FUSE_RENAME2] = dispatch_rename2,
	[FUSE_LSEEK] = dispatch_lseek,
	[FUSE_COPY_FILE_RANGE] = dispatch_copy_file_range,
	[FUSE_SYNCFS] = dispatch_syncfs,
	[FUSE_TMPFILE] = dispatch_tmpfile,
	[FUSE_STATX] = dispatch_statx,
	[FUSE_COPY_FILE_RANGE_64] = dispatch_copy_file_range_64,
};

int dispatch(struct call *call)
{
	uint32_t opcode = call->message.opcode;

	if (opcode >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[opcode])
		return -ENOSYS;
	return reply_error(handlers[opcode](call));
}

const struct dw_request *call_scratch(const struct call *call, struct scratch *scratch)
{
	memset(scratch, 0, sizeof(*scratch));
	scratch->req = call->req;
	scratch->req.flags &= ~DW_REQUEST_REPLAYED;
	scratch->req.notes = &scratch->notes;
	return &scratch->req;
}

void drive_prepare(struct drive *drive, struct dw_filesystem *fs, bool read_only)
{
	const struct dw_filesystem_ops *ops = fs->ops;
	size_t size = ops->size < sizeof(drive->ops) ? ops->size : sizeof(drive->ops);

	memset(drive, 0, sizeof(*drive));
	drive->fs = fs;
	memcpy(&drive->ops, ops, size);
	ops = &drive->ops;
	drive->read_only = read_only || (fs->flags & DW_FS_READ_ONLY);
	/*
	 * A kernel that opens by itself keeps what it has cached of files and lists folders from its cache, which
	 * is right only when the file system tells of changes.
	 */
	drive->zero_open = !ops->open && !ops->create && !ops->tmpfile && !ops->release &&
			   (fs->flags & DW_FS_INVALIDATES_DATA);
	drive->zero_opendir = !ops->opendir && !ops->releasedir && (fs->flags & DW_FS_INVALIDATES_DATA);
	drive->entry_seconds = fs->entry_timeout / NANOSECONDS;
	drive->entry_nanoseconds = (uint32_t)(fs->entry_timeout % NANOSECONDS);
	drive->attr_seconds = fs->attr_timeout / NANOSECONDS;
	drive->attr_nanoseconds = (uint32_t)(fs->attr_timeout % NANOSECONDS);
	drive->negative_seconds = fs->negative_timeout / NANOSECONDS;
	drive->negative_nanoseconds = (uint32_t)(fs->negative_timeout % NANOSECONDS);
}
