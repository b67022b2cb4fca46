/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include <errno.h>
#include <string.h>

#define SETXATTR_SHORT 8u
#define SHAPES	       (FUSE_COPY_FILE_RANGE_64 + 1)

static const struct decode_shape shapes[SHAPES] = {
	[FUSE_LOOKUP] = {"LOOKUP", 0, 0, 1, false, false},
	[FUSE_FORGET] = {"FORGET", 8, sizeof(struct fuse_forget_in), 0, false, true},
	[FUSE_GETATTR] = {"GETATTR", 16, sizeof(struct fuse_getattr_in), 0, false, false},
	[FUSE_SETATTR] = {"SETATTR", 88, sizeof(struct fuse_setattr_in), 0, false, false},
	[FUSE_READLINK] = {"READLINK", 0, 0, 0, false, false},
	[FUSE_SYMLINK] = {"SYMLINK", 0, 0, 2, false, false},
	[FUSE_MKNOD] = {"MKNOD", 16, sizeof(struct fuse_mknod_in), 1, false, false},
	[FUSE_MKDIR] = {"MKDIR", 8, sizeof(struct fuse_mkdir_in), 1, false, false},
	[FUSE_UNLINK] = {"UNLINK", 0, 0, 1, false, false},
	[FUSE_RMDIR] = {"RMDIR", 0, 0, 1, false, false},
	[FUSE_RENAME] = {"RENAME", 8, sizeof(struct fuse_rename_in), 2, false, false},
	[FUSE_LINK] = {"LINK", 8, sizeof(struct fuse_link_in), 1, false, false},
	[FUSE_OPEN] = {"OPEN", 8, sizeof(struct fuse_open_in), 0, false, false},
	[FUSE_READ] = {"READ", 40, sizeof(struct fuse_read_in), 0, false, false},
	[FUSE_WRITE] = {"WRITE", 40, sizeof(struct fuse_write_in), 0, true, false},
	[FUSE_STATFS] = {"STATFS", 0, 0, 0, false, false},
	[FUSE_RELEASE] = {"RELEASE", 24, sizeof(struct fuse_release_in), 0, false, false},
	[FUSE_FSYNC] = {"FSYNC", 16, sizeof(struct fuse_fsync_in), 0, false, false},
	[FUSE_SETXATTR] = {"SETXATTR", 16, sizeof(struct fuse_setxattr_in), 1, true, false},
	[FUSE_GETXATTR] = {"GETXATTR", 8, sizeof(struct fuse_getxattr_in), 1, false, false},
	[FUSE_LISTXATTR] = {"LISTXATTR", 8, sizeof(struct fuse_getxattr_in), 0, false, false},
	[FUSE_REMOVEXATTR] = {"REMOVEXATTR", 0, 0, 1, false, false},
	[FUSE_FLUSH] = {"FLUSH", 24, sizeof(struct fuse_flush_in), 0, false, false},
	[FUSE_INIT] = {"INIT", 16, sizeof(struct fuse_init_in), 0, false, false},
	[FUSE_OPENDIR] = {"OPENDIR", 8, sizeof(struct fuse_open_in), 0, false, false},
	[FUSE_READDIR] = {"READDIR", 40, sizeof(struct fuse_read_in), 0, false, false},
	[FUSE_RELEASEDIR] = {"RELEASEDIR", 24, sizeof(struct fuse_release_in), 0, false, false},
	[FUSE_FSYNCDIR] = {"FSYNCDIR", 16, sizeof(struct fuse_fsync_in), 0, false, false},
	[FUSE_GETLK] = {"GETLK", 48, sizeof(struct fuse_lk_in), 0, false, false},
	[FUSE_SETLK] = {"SETLK", 48, sizeof(struct fuse_lk_in), 0, false, false},
	[FUSE_SETLKW] = {"SETLKW", 48, sizeof(struct fuse_lk_in), 0, false, false},
	[FUSE_ACCESS] = {"ACCESS", 8, sizeof(struct fuse_access_in), 0, false, false},
	[FUSE_CREATE] = {"CREATE", 16, sizeof(struct fuse_create_in), 1, false, false},
	[FUSE_INTERRUPT] = {"INTERRUPT", 8, sizeof(struct fuse_interrupt_in), 0, false, true},
	[FUSE_DESTROY] = {"DESTROY", 0, 0, 0, false, false},
	[FUSE_IOCTL] = {"IOCTL", 32, sizeof(struct fuse_ioctl_in), 0, true, false},
	[FUSE_POLL] = {"POLL", 24, sizeof(struct fuse_poll_in), 0, false, false},
	[FUSE_NOTIFY_REPLY] = {"NOTIFY_REPLY", 40, sizeof(struct fuse_notify_retrieve_in), 0, true, true},
	[FUSE_BATCH_FORGET] = {"BATCH_FORGET", 8, sizeof(struct fuse_batch_forget_in), 0, true, true},
	[FUSE_FALLOCATE] = {"FALLOCATE", 32, sizeof(struct fuse_fallocate_in), 0, false, false},
	[FUSE_READDIRPLUS] = {"READDIRPLUS", 40, sizeof(struct fuse_read_in), 0, false, false},
	[FUSE_RENAME2] = {"RENAME2", 16, sizeof(struct fuse_rename2_in), 2, false, false},
	[FUSE_LSEEK] = {"LSEEK", 24, sizeof(struct fuse_lseek_in), 0, false, false},
	[FUSE_COPY_FILE_RANGE] = {"COPY_FILE_RANGE", 56, sizeof(struct fuse_copy_file_range_in), 0, false, false},
	[FUSE_SYNCFS] = {"SYNCFS", 8, sizeof(struct fuse_syncfs_in), 0, false, false},
	[FUSE_TMPFILE] = {"TMPFILE", 16, sizeof(struct fuse_create_in), 1, false, false},
	[FUSE_STATX] = {"STATX", 24, sizeof(struct fuse_statx_in), 0, false, false},
	[FUSE_COPY_FILE_RANGE_64] = {"COPY_FILE_RANGE_64", 56, sizeof(struct fuse_copy_file_range_in), 0, false, false},
};

static const struct decode_shape unknown;

const struct decode_shape *decode_shape(uint32_t opcode)
{
	return opcode < SHAPES ? &shapes[opcode] : &unknown;
}

size_t decode_operation_size(uint32_t opcode, bool short_setxattr)
{
	if (opcode == FUSE_SETXATTR && short_setxattr)
		return SETXATTR_SHORT;
	return decode_shape(opcode)->whole;
}

/* One NUL-terminated string off the front of the payload; any length that fits. */
static int take_text(const char **payload, size_t *size, const char **text, size_t *length)
{
	const char *end = *size ? memchr(*payload, '\0', *size) : NULL;

	if (!end)
		return -EINVAL;
	*text = *payload;
	*length = (size_t)(end - *payload);
	*size -= *length + 1;
	*payload = end + 1;
	return 0;
}

/* The name of an entry of a folder. */
static int check_name(const char *name, size_t length)
{
	if (length == 0 || (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'))))
		return -EINVAL;
	if (length > DECODE_NAME_MAX)
		return -ENAMETOOLONG;
	return memchr(name, '/', length) ? -EINVAL : 0;
}

static bool names_entry(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_SETXATTR:
	case FUSE_GETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_TMPFILE:
		return false;
	default:
		return true;
	}
}

int decode_parts(const struct fuse_in_header *header, const void *operation, size_t operation_size, const void *payload,
		 size_t payload_size, bool short_setxattr, struct fuse_request *out)
{
	const struct decode_shape *shape = decode_shape(header->opcode);
	size_t least = shape->least;
	size_t extensions = (size_t)header->total_extlen * 8;
	const char *at = payload;
	int error;

	if (!shape->label)
		return -ENOSYS;
	if (header->opcode == FUSE_SETXATTR && short_setxattr)
		least = SETXATTR_SHORT;
	if (operation_size > shape->whole)
		operation_size = shape->whole;
	if (operation_size < least || extensions > payload_size)
		return -EINVAL;
	payload_size -= extensions;

	out->opcode = header->opcode;
	out->node = header->nodeid;
	if (operation_size < shape->whole)
		memset((char *)&out->in + operation_size, 0, shape->whole - operation_size);
	if (operation_size > 0)
		memcpy(&out->in, operation, operation_size);
	out->name = NULL;
	out->name2 = NULL;
	out->name_length = 0;
	out->name2_length = 0;
	if (shape->names > 0) {
		error = take_text(&at, &payload_size, &out->name, &out->name_length);
		if (error == 0 && names_entry(header->opcode))
			error = check_name(out->name, out->name_length);
		else if (error == 0 && header->opcode != FUSE_TMPFILE && out->name_length == 0)
			error = -EINVAL;
		if (error == 0 && out->name_length > DECODE_NAME_MAX)
			error = -ENAMETOOLONG;
		if (error)
			return error;
	}
	if (shape->names > 1) {
		error = take_text(&at, &payload_size, &out->name2, &out->name2_length);
		if (error == 0 && header->opcode != FUSE_SYMLINK)
			error = check_name(out->name2, out->name2_length);
		if (error)
			return error;
	}
	out->data = shape->data ? at : NULL;
	out->data_size = shape->data ? payload_size : 0;

	switch (header->opcode) {
	case FUSE_WRITE:
		return out->in.write.size <= out->data_size ? 0 : -EINVAL;
	case FUSE_SETXATTR:
		return out->in.setxattr.size <= out->data_size ? 0 : -EINVAL;
	case FUSE_IOCTL:
		return out->in.ioctl.in_size <= out->data_size ? 0 : -EINVAL;
	case FUSE_BATCH_FORGET:
		return out->in.batch_forget.count <= out->data_size / sizeof(struct fuse_forget_one) ? 0 : -EINVAL;
	default:
		return 0;
	}
}

int decode_run(const struct fuse_in_header *header, const void *body, size_t body_size, bool short_setxattr,
	       struct fuse_request *out)
{
	size_t split = decode_operation_size(header->opcode, short_setxattr);

	if (header->len < sizeof(*header) || header->len - sizeof(*header) != body_size)
		return -EINVAL;
	if (split > body_size)
		split = body_size;
	return decode_parts(header, body, split, (const char *)body + split, body_size - split, short_setxattr, out);
}
