/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "request.h"

#define NANOSECONDS   1000000000u
#define KERNEL_ERRORS 512 /* the kernel refuses a reply with an error of this size or larger */

void *reply_make(struct call *call, size_t size)
{
	struct region_slot *slot = call->slot;

	slot->reply_size = (uint32_t)size;
	slot->reply_external = 0;
	memset(slot->reply, 0, size);
	return slot->reply;
}

void reply_empty(struct call *call)
{
	call->slot->reply_size = 0;
	call->slot->reply_external = 0;
}

char *reply_space(struct call *call, bool beside_payload, size_t *room)
{
	size_t offset = beside_payload ? REPLY_STAGE : call->ring ? 0 : REPLY_PLAIN;

	*room = beside_payload ? REGION_PAYLOAD - REPLY_STAGE : REGION_PAYLOAD;
	return call->buffer + offset;
}

void reply_built(struct call *call, const char *at, size_t size)
{
	call->slot->reply_size = (uint32_t)size;
	call->slot->reply_external = 1;
	call->slot->reply_offset = (uint32_t)(at - call->buffer);
}

uint32_t reply_device_pack(uint32_t major, uint32_t minor)
{
	return (minor & 0xffu) | (major << 8) | ((minor & ~0xffu) << 12);
}

void reply_device_unpack(uint32_t packed, uint32_t *major, uint32_t *minor)
{
	*major = (packed & 0xfff00u) >> 8;
	*minor = (packed & 0xffu) | ((packed >> 12) & 0xfff00u);
}

void reply_fill_attr(struct fuse_attr *out, uint64_t node, const struct dw_attr *attr)
{
	out->ino = attr->ino ? attr->ino : node;
	out->size = attr->size;
	out->blocks = attr->blocks;
	out->atime = (uint64_t)attr->atime.seconds;
	out->mtime = (uint64_t)attr->mtime.seconds;
	out->ctime = (uint64_t)attr->ctime.seconds;
	out->atimensec = attr->atime.nanoseconds;
	out->mtimensec = attr->mtime.nanoseconds;
	out->ctimensec = attr->ctime.nanoseconds;
	out->mode = attr->mode;
	out->nlink = attr->nlink;
	out->uid = attr->uid;
	out->gid = attr->gid;
	out->rdev = reply_device_pack(attr->rdev_major, attr->rdev_minor);
	out->blksize = attr->blksize ? attr->blksize : 4096;
	out->flags = 0;
}

static void fill_attr_valid(const struct call *call, uint64_t timeout, uint64_t *seconds, uint32_t *nanoseconds)
{
	if (timeout == DW_TIMEOUT_DEFAULT) {
		*seconds = call->drive->attr_seconds;
		*nanoseconds = call->drive->attr_nanoseconds;
	} else {
		*seconds = timeout / NANOSECONDS;
		*nanoseconds = (uint32_t)(timeout % NANOSECONDS);
	}
}

void reply_entry(const struct call *call, struct fuse_entry_out *out, const struct dw_entry *entry)
{
	out->nodeid = entry->node;
	out->generation = entry->generation;
	if (entry->entry_timeout == DW_TIMEOUT_DEFAULT) {
		out->entry_valid = call->drive->entry_seconds;
		out->entry_valid_nsec = call->drive->entry_nanoseconds;
	} else {
		out->entry_valid = entry->entry_timeout / NANOSECONDS;
		out->entry_valid_nsec = (uint32_t)(entry->entry_timeout % NANOSECONDS);
	}
	fill_attr_valid(call, entry->attr_timeout, &out->attr_valid, &out->attr_valid_nsec);
	reply_fill_attr(&out->attr, entry->node, &entry->attr);
}

void reply_negative(const struct call *call, struct fuse_entry_out *out)
{
	memset(out, 0, sizeof(*out));
	out->entry_valid = call->drive->negative_seconds;
	out->entry_valid_nsec = call->drive->negative_nanoseconds;
}

void reply_attr(const struct call *call, struct fuse_attr_out *out, uint64_t node, const struct dw_attr *attr,
		uint64_t timeout)
{
	fill_attr_valid(call, timeout, &out->attr_valid, &out->attr_valid_nsec);
	out->dummy = 0;
	reply_fill_attr(&out->attr, node, attr);
}

static struct fuse_sx_time statx_time(struct dw_time time)
{
	return (struct fuse_sx_time){.tv_sec = time.seconds, .tv_nsec = time.nanoseconds};
}

void reply_statx(const struct call *call, struct fuse_statx_out *out, uint64_t node, const struct dw_attr *attr,
		 uint64_t timeout)
{
	struct fuse_statx *stat = &out->stat;

	fill_attr_valid(call, timeout, &out->attr_valid, &out->attr_valid_nsec);
	stat->mask = 0x7ffu; /* STATX_BASIC_STATS */
	if (attr->btime.seconds || attr->btime.nanoseconds)
		stat->mask |= 0x800u; /* STATX_BTIME */
	stat->blksize = attr->blksize ? attr->blksize : 4096;
	stat->nlink = attr->nlink;
	stat->uid = attr->uid;
	stat->gid = attr->gid;
	stat->mode = (uint16_t)attr->mode;
	stat->ino = attr->ino ? attr->ino : node;
	stat->size = attr->size;
	stat->blocks = attr->blocks;
	stat->atime = statx_time(attr->atime);
	stat->btime = statx_time(attr->btime);
	stat->ctime = statx_time(attr->ctime);
	stat->mtime = statx_time(attr->mtime);
	stat->rdev_major = attr->rdev_major;
	stat->rdev_minor = attr->rdev_minor;
}

void reply_open(const struct call *call, struct fuse_open_out *out, const struct dw_open *open, bool folder)
{
	uint32_t flags = 0;

	out->fh = open->handle;
	if (open->flags & DW_OPEN_KEEP_CACHE)
		flags |= FOPEN_KEEP_CACHE;
	if (open->flags & DW_OPEN_DIRECT)
		flags |= FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	if (open->flags & DW_OPEN_NONSEEKABLE)
		flags |= FOPEN_NONSEEKABLE;
	if (open->flags & DW_OPEN_NO_FLUSH)
		flags |= FOPEN_NOFLUSH;
	if (folder && (open->flags & DW_OPEN_CACHE_DIR))
		flags |= FOPEN_CACHE_DIR;
	if (!folder && open->backing_id && (call->drive->flags & FUSE_PASSTHROUGH)) {
		flags &= ~(uint32_t)(FOPEN_KEEP_CACHE | FOPEN_NONSEEKABLE);
		flags |= FOPEN_PASSTHROUGH;
		memcpy((char *)out + PROTOCOL_OPEN_OUT_BACKING_ID_OFFSET, &open->backing_id, sizeof(open->backing_id));
	}
	out->open_flags = flags;
}

int reply_error(int error)
{
	return error > 0 || error <= -KERNEL_ERRORS ? -EIO : error;
}
