/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "channel_internal.h"

#define MAX_BACKGROUND	     64u
#define CONGESTION_THRESHOLD 48u
#define STACK_DEPTH_USUAL    2

/*
 * What we ask for where the kernel has it, whatever the file system is. Not among it: WRITEBACK_CACHE
 * (an acknowledged write would be in the kernel only, and passthrough is off with it), EXPORT_SUPPORT (file systems are
 * never asked for "."), SECURITY_CTX, and HAS_RESEND (requests survive in their slots).
 */
#define FLAGS_ALWAYS                                                                                                   \
	(FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_HAS_IOCTL_DIR | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |        \
	 FUSE_ASYNC_DIO | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_NO_OPENDIR_SUPPORT |     \
	 FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_HAS_EXPIRE_ONLY | FUSE_DIRECT_IO_ALLOW_MMAP)

static bool may_use_ring(struct channel *channel, uint64_t offered)
{
	const char *reason = "";

	if (!channel->config.want_ring || !channel->config.start_ring || channel->region->queue_count == 0)
		reason = channel->config.want_ring ? "this machine has no io_uring for it" : "";
	else if (!(offered & FUSE_OVER_IO_URING))
		reason = "the kernel does not offer it (Linux 6.14 or newer, with fuse.enable_uring)";
	else if (channel->drive.ops.setlk || channel->drive.ops.flock)
		/* Programs that wait for a lock would hold all entries of a queue, and the one to give it free none. */
		reason = "the file system does its own locks";
	else
		return true;
	atomic_store(&channel->reason, reason);
	return false;
}

static uint64_t wanted_flags(struct channel *channel, uint64_t offered)
{
	const struct channel_config *config = &channel->config;
	const struct dw_filesystem_ops *ops = &channel->drive.ops;
	uint32_t fs_flags = channel->drive.fs->flags;
	uint64_t flags = FLAGS_ALWAYS;

	/* A kernel that opens by itself believes that the open did the truncating. */
	if (ops->open)
		flags |= FUSE_ATOMIC_O_TRUNC;
	flags |= fs_flags & DW_FS_INVALIDATES_DATA ? FUSE_EXPLICIT_INVAL_DATA : FUSE_AUTO_INVAL_DATA;
	if (fs_flags & DW_FS_CACHE_SYMLINKS)
		flags |= FUSE_CACHE_SYMLINKS;
	if (ops->setlk)
		flags |= FUSE_POSIX_LOCKS;
	if (ops->flock)
		flags |= FUSE_FLOCK_LOCKS;
	/* Whether the umask counts depends on the folder's default ACL, which the file system knows. */
	if (fs_flags & DW_FS_ACL)
		flags |= FUSE_DONT_MASK;
	if (config->default_permissions) {
		/* Without the option it would make the kernel check permissions all the same. */
		if (fs_flags & DW_FS_ACL)
			flags |= FUSE_POSIX_ACL;
		/* With it, requests name their user only where something is made. */
		if (!(fs_flags & DW_FS_CHECKS_ACCESS))
			flags |= FUSE_ALLOW_IDMAP;
	}
	if (config->want_passthrough && (fs_flags & DW_FS_BACKING))
		flags |= FUSE_PASSTHROUGH;
	if (may_use_ring(channel, offered))
		flags |= FUSE_OVER_IO_URING;
	return flags & offered;
}

static void apply(struct channel *channel, uint64_t flags, uint32_t minor)
{
	struct drive *drive = &channel->drive;

	drive->flags = flags;
	drive->minor = minor;
	if (!(flags & FUSE_NO_OPEN_SUPPORT))
		drive->zero_open = false;
	if (!(flags & FUSE_NO_OPENDIR_SUPPORT))
		drive->zero_opendir = false;
}

int init_negotiate(struct channel *channel, struct call *call)
{
	const struct fuse_init_in *in = &call->message.in.init;
	struct region *region = channel->region;
	struct fuse_init_out *out = reply_make(call, sizeof(*out));
	uint64_t offered = in->flags, flags;
	uint32_t stack_depth = channel->config.stack_depth ? (uint32_t)channel->config.stack_depth : STACK_DEPTH_USUAL;

	out->major = FUSE_KERNEL_VERSION;
	out->minor = PROTOCOL_MINOR;
	if (in->major > FUSE_KERNEL_VERSION) /* the kernel asks again, in the words of our version */
		return 0;
	if (in->major < FUSE_KERNEL_VERSION || in->minor < PROTOCOL_MINOR_MIN)
		return -EPROTO;
	if (in->flags & FUSE_INIT_EXT)
		offered |= (uint64_t)in->flags2 << 32;
	flags = wanted_flags(channel, offered);
	out->max_readahead = in->max_readahead;
	out->flags = (uint32_t)flags | (in->flags & FUSE_INIT_EXT);
	out->flags2 = (uint32_t)(flags >> 32);
	out->max_background = MAX_BACKGROUND;
	out->congestion_threshold = CONGESTION_THRESHOLD;
	out->max_write = REGION_PAYLOAD;
	out->time_gran = 1;
	out->max_pages = REGION_PAYLOAD / 4096;
	if (flags & FUSE_PASSTHROUGH)
		memcpy((char *)out + PROTOCOL_INIT_OUT_STACK_DEPTH_OFFSET, &stack_depth, sizeof(stack_depth));

	region->minor = in->minor < PROTOCOL_MINOR ? in->minor : PROTOCOL_MINOR;
	region->init_flags = flags;
	region->max_write = REGION_PAYLOAD;
	region->ring_failed = 0;
	apply(channel, flags, region->minor);
	atomic_store_explicit(&region->initialized, 1, memory_order_release);
	return 0;
}

void init_restore(struct channel *channel)
{
	struct region *region = channel->region;

	if (!atomic_load_explicit(&region->initialized, memory_order_acquire))
		return;
	apply(channel, region->init_flags, region->minor);
	if (region->ring_failed)
		atomic_store(&channel->reason, "the kernel refused the ring");
	else if (!(region->init_flags & FUSE_OVER_IO_URING))
		atomic_store(&channel->reason,
			     channel->config.want_ring ? "it was not agreed when the drive was mapped" : "");
}
