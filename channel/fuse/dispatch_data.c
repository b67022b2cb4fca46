/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "request.h"

/*
 * "." and ".." are ours to list. They come first, and these are the offsets behind them: so far up that no
 * file system uses them, and positive for programs that take an offset for a signed number. INT64_MAX itself is what
 * ext4 and btrfs call the end of a folder, and local gives out the host's own offsets.
 */
#define OFFSET_DOT     ((uint64_t)INT64_MAX - 2)
#define OFFSET_DOT_DOT ((uint64_t)INT64_MAX - 1)
#define UNKNOWN_INO    0xffffffffu
#define COPY_SIZE_32   (UINT32_MAX & ~4095u)

struct listing {
	struct dw_listing listing; /* first: add gets its address */
	const struct call *call;
	char *at;
	size_t used;
	size_t room;
};

int dispatch_read(struct call *call)
{
	const struct fuse_read_in *in = &call->message.in.read;
	size_t room, done = 0;
	char *space = reply_space(call, false, &room);
	size_t size = in->size < room ? in->size : room;
	int error;

	if (!CALL_OPS(call)->read)
		return -ENOSYS;
	error = CALL_OPS(call)->read(CALL_FS(call), &call->req, call->message.node, in->fh, space, size, in->offset,
				     &done);
	if (error)
		return call_answer(error);
	reply_built(call, space, done < size ? done : size);
	return 0;
}

int dispatch_write(struct call *call)
{
	const struct fuse_write_in *in = &call->message.in.write;
	struct fuse_write_out *out;
	uint32_t flags = 0;
	size_t done = 0;
	int error = call_may_change(call, CALL_OPS(call)->write);

	if (error)
		return error;
	if (in->write_flags & FUSE_WRITE_CACHE)
		flags |= DW_WRITE_CACHED;
	if (in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		flags |= DW_WRITE_KILL_PRIV;
	error = CALL_OPS(call)->write(CALL_FS(call), &call->req, call->message.node, in->fh, call->message.data,
				      in->size, in->offset, flags, &done);
	if (error)
		return call_answer(error);
	out = reply_make(call, sizeof(*out));
	out->size = done < in->size ? (uint32_t)done : in->size;
	return 0;
}

int dispatch_fallocate(struct call *call)
{
	const struct fuse_fallocate_in *in = &call->message.in.fallocate;
	static const uint32_t keep_size = 0x01, punch_hole = 0x02, zero_range = 0x10; /* as <linux/falloc.h> has them */
	uint32_t flags = 0;
	int error = call_may_change(call, CALL_OPS(call)->fallocate);

	if (error)
		return error;
	if (in->mode & ~(keep_size | punch_hole | zero_range))
		return -EOPNOTSUPP;
	if (in->mode & keep_size)
		flags |= DW_FALLOCATE_KEEP_SIZE;
	if (in->mode & punch_hole)
		flags |= DW_FALLOCATE_PUNCH_HOLE;
	if (in->mode & zero_range)
		flags |= DW_FALLOCATE_ZERO_RANGE;
	reply_empty(call);
	return call_answer(CALL_OPS(call)->fallocate(CALL_FS(call), &call->req, call->message.node, in->fh, in->offset,
						     in->length, flags));
}

int dispatch_lseek(struct call *call)
{
	const struct fuse_lseek_in *in = &call->message.in.lseek;
	struct fuse_lseek_out *out;
	uint64_t offset = 0;
	int error;

	if (!CALL_OPS(call)->lseek)
		return -ENOSYS;
	if (in->whence != DW_SEEK_DATA && in->whence != DW_SEEK_HOLE)
		return -EINVAL;
	error = CALL_OPS(call)->lseek(CALL_FS(call), &call->req, call->message.node, in->fh, in->offset, in->whence,
				      &offset);
	if (error)
		return call_answer(error);
	out = reply_make(call, sizeof(*out));
	out->offset = offset;
	return 0;
}

static int copy_range(struct call *call, uint64_t size, size_t *done)
{
	const struct fuse_copy_file_range_in *in = &call->message.in.copy_file_range;
	int error = call_may_change(call, CALL_OPS(call)->copy_file_range);

	if (error)
		return error;
	if (in->flags)
		return -EINVAL;
	*done = 0;
	return call_answer(CALL_OPS(call)->copy_file_range(CALL_FS(call), &call->req, call->message.node, in->fh_in,
							   in->off_in, in->nodeid_out, in->fh_out, in->off_out,
							   (size_t)size, done));
}

int dispatch_copy_file_range(struct call *call)
{
	uint64_t size = call->message.in.copy_file_range.len;
	struct fuse_write_out *out;
	size_t done;
	int error = copy_range(call, size < COPY_SIZE_32 ? size : COPY_SIZE_32, &done);

	if (error)
		return error;
	out = reply_make(call, sizeof(*out));
	out->size = (uint32_t)done;
	return 0;
}

int dispatch_copy_file_range_64(struct call *call)
{
	struct fuse_copy_file_range_out *out;
	size_t done;
	int error = copy_range(call, call->message.in.copy_file_range.len, &done);

	if (error)
		return error;
	out = reply_make(call, sizeof(*out));
	out->bytes_copied = done;
	return 0;
}

static void put_dirent(char *at, const char *name, size_t length, uint64_t next, uint64_t ino, uint32_t mode)
{
	struct fuse_dirent *dirent = (struct fuse_dirent *)at;

	dirent->ino = ino ? ino : UNKNOWN_INO;
	dirent->off = next;
	dirent->namelen = (uint32_t)length;
	dirent->type = (mode & DW_MODE_TYPE) >> 12;
	memcpy(dirent->name, name, length);
	memset(dirent->name + length, 0, FUSE_DIRENT_SIZE(dirent) - FUSE_NAME_OFFSET - length);
}

static bool put_entry(struct listing *l, const char *name, size_t length, uint64_t next, const struct dw_entry *entry)
{
	size_t head = l->listing.attributes ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	size_t size = FUSE_DIRENT_ALIGN(head + length);
	char *at = l->at + l->used;

	if (size > l->room - l->used)
		return false;
	if (l->listing.attributes) {
		struct fuse_direntplus *plus = (struct fuse_direntplus *)at;

		if (entry->node)
			reply_entry(l->call, &plus->entry_out, entry);
		else
			memset(&plus->entry_out, 0, sizeof(plus->entry_out));
		at = (char *)&plus->dirent;
	}
	put_dirent(at, name, length, next, entry->attr.ino ? entry->attr.ino : entry->node, entry->attr.mode);
	l->used += size;
	return true;
}

static bool add_entry(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		      const struct dw_entry *entry)
{
	struct listing *l = (struct listing *)listing;

	if (length == 0 || length > DECODE_NAME_MAX)
		return true;
	if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
		return true;
	return put_entry(l, name, length, next, entry);
}

/* The inode number to show for "."; 0: not known. -EAGAIN as from any call. */
static int own_ino(struct call *call, uint64_t *ino)
{
	uint64_t timeout = DW_TIMEOUT_DEFAULT;
	struct dw_attr attr = {0};
	struct scratch scratch;
	int error = -ENOSYS;

	if (CALL_OPS(call)->getattr)
		error = CALL_OPS(call)->getattr(CALL_FS(call), call_scratch(call, &scratch), call->message.node,
						DW_NO_HANDLE, &attr, &timeout);
	*ino = error ? 0 : attr.ino;
	return error == -EAGAIN ? error : 0;
}

static int list_folder(struct call *call, bool attributes)
{
	const struct fuse_read_in *in = &call->message.in.read;
	struct listing l = {.listing = {.attributes = attributes, .add = add_entry}, .call = call};
	struct dw_entry dot = {.attr = {.mode = DW_MODE_FOLDER}};
	struct dw_entry dot_dot = {.attr = {.mode = DW_MODE_FOLDER}};
	uint64_t offset = in->offset;
	size_t room;
	bool fits = true;
	int error;

	if (!CALL_OPS(call)->readdir)
		return -ENOSYS;
	l.at = reply_space(call, false, &room);
	l.room = in->size < room ? in->size : room;
	if (offset == 0) {
		error = own_ino(call, &dot.attr.ino);
		if (error)
			return error;
		fits = put_entry(&l, ".", 1, OFFSET_DOT, &dot);
	}
	if (fits && (offset == 0 || offset == OFFSET_DOT))
		fits = put_entry(&l, "..", 2, OFFSET_DOT_DOT, &dot_dot);
	if (fits) {
		if (offset == OFFSET_DOT || offset == OFFSET_DOT_DOT)
			offset = 0;
		error = CALL_OPS(call)->readdir(CALL_FS(call), &call->req, call->message.node, in->fh, offset,
						&l.listing);
		if (error)
			return call_answer(error);
	}
	reply_built(call, l.at, l.used);
	return 0;
}

int dispatch_readdir(struct call *call)
{
	return list_folder(call, false);
}

int dispatch_readdirplus(struct call *call)
{
	return list_folder(call, true);
}
