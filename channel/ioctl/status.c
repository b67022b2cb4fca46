/* SPDX-License-Identifier: MIT */
#include "channel/ioctl/status.h"

#include <string.h>

#include "channel/ioctl/nt.h"

#define UNITS_PER_SECOND 10000000
/* Seconds from 1601 to 1970. */
#define EPOCH 11644473600
/* The last second whose units fit a positive 64-bit number. */
#define LAST_SECOND (INT64_MAX / UNITS_PER_SECOND - 1)

int32_t status_of(int error)
{
	static const struct {
		int error;
		int32_t status;
	} table[] = {
		{0, STATUS_SUCCESS},
		{-ENOENT, STATUS_OBJECT_NAME_NOT_FOUND},
		{-EEXIST, STATUS_OBJECT_NAME_COLLISION},
		{-EACCES, STATUS_ACCESS_DENIED},
		{-EPERM, STATUS_ACCESS_DENIED},
		{-EROFS, STATUS_MEDIA_WRITE_PROTECTED},
		{-ENOSPC, STATUS_DISK_FULL},
		{-EDQUOT, STATUS_QUOTA_EXCEEDED},
		{-EFBIG, STATUS_FILE_TOO_LARGE},
		{-ENOTDIR, STATUS_NOT_A_DIRECTORY},
		{-EISDIR, STATUS_FILE_IS_A_DIRECTORY},
		{-ENOTEMPTY, STATUS_DIRECTORY_NOT_EMPTY},
		{-ENAMETOOLONG, STATUS_OBJECT_NAME_INVALID},
		{-EILSEQ, STATUS_OBJECT_NAME_INVALID},
		{-EINVAL, STATUS_INVALID_PARAMETER},
		{-EBADF, STATUS_ACCESS_DENIED},
		{-EBUSY, STATUS_SHARING_VIOLATION},
		{-ETXTBSY, STATUS_SHARING_VIOLATION},
		{-EAGAIN, STATUS_DEVICE_BUSY},
		{-EXDEV, STATUS_NOT_SAME_DEVICE},
		{-EMLINK, STATUS_TOO_MANY_LINKS},
		{-ELOOP, STATUS_REPARSE_POINT_NOT_RESOLVED},
		{-EMFILE, STATUS_TOO_MANY_OPENED_FILES},
		{-ENFILE, STATUS_TOO_MANY_OPENED_FILES},
		{-ENOMEM, STATUS_INSUFFICIENT_RESOURCES},
		{-EINTR, STATUS_CANCELLED},
		{-ETIMEDOUT, STATUS_IO_TIMEOUT},
		{-ESTALE, STATUS_FILE_INVALID},
		{-ENOSYS, STATUS_NOT_SUPPORTED},
		{-EOPNOTSUPP, STATUS_NOT_SUPPORTED},
		{-ENODEV, STATUS_NO_SUCH_DEVICE},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].error == error)
			return table[i].status;
	return STATUS_UNEXPECTED_IO_ERROR;
}

uint64_t time_to_windows(struct dw_time time)
{
	if ((time.seconds == 0 && time.nanoseconds == 0) || time.seconds < -EPOCH)
		return 0;
	if (time.seconds > LAST_SECOND - EPOCH)
		time.seconds = LAST_SECOND - EPOCH;
	return (uint64_t)(time.seconds + EPOCH) * UNITS_PER_SECOND + time.nanoseconds / 100;
}

struct dw_time time_from_windows(uint64_t time)
{
	return (struct dw_time){.seconds = (int64_t)(time / UNITS_PER_SECOND) - EPOCH,
				.nanoseconds = (uint32_t)(time % UNITS_PER_SECOND) * 100};
}

uint32_t attributes_kept(uint32_t attributes, bool is_folder)
{
	uint32_t kept = FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE |
			FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;

	return attributes & (is_folder ? kept | FILE_ATTRIBUTE_READONLY : kept);
}

uint32_t attributes_default(bool is_folder)
{
	return is_folder ? 0 : FILE_ATTRIBUTE_ARCHIVE;
}

void attributes_write(uint32_t kept, char out[STATUS_XATTR_SIZE])
{
	for (unsigned i = 0; i < STATUS_XATTR_SIZE; i++)
		out[i] = "0123456789abcdef"[kept >> 4 * (STATUS_XATTR_SIZE - 1 - i) & 15];
}

uint32_t attributes_read(const char *value, size_t size, bool is_folder)
{
	uint32_t kept = 0;

	if (size != STATUS_XATTR_SIZE)
		return attributes_default(is_folder);
	for (size_t i = 0; i < size; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = value[i] ? strchr(digits, value[i]) : NULL;

		if (!digit)
			return attributes_default(is_folder);
		kept = kept << 4 | (uint32_t)(digit - digits);
	}
	return attributes_kept(kept, is_folder);
}

uint32_t attributes_mode(uint32_t mode, bool read_only)
{
	if (read_only)
		return mode & ~0222u;
	return mode & 0222 ? mode : mode | 0200;
}

uint32_t attributes_tag(uint32_t mode)
{
	switch (mode & DW_MODE_TYPE) {
	case DW_MODE_LINK:
		return IO_REPARSE_TAG_SYMLINK;
	case DW_MODE_SOCKET:
		return IO_REPARSE_TAG_AF_UNIX;
	case DW_MODE_FIFO:
		return IO_REPARSE_TAG_LX_FIFO;
	case DW_MODE_CHARACTER:
		return IO_REPARSE_TAG_LX_CHR;
	case DW_MODE_BLOCK:
		return IO_REPARSE_TAG_LX_BLK;
	default:
		return 0;
	}
}

void attributes_file(const struct dw_attr *attr, uint32_t kept, struct fs_file *out)
{
	bool is_folder = (attr->mode & DW_MODE_TYPE) == DW_MODE_FOLDER;
	bool is_file = (attr->mode & DW_MODE_TYPE) == DW_MODE_FILE;

	memset(out, 0, sizeof(*out));
	out->accessed = time_to_windows(attr->atime);
	out->written = time_to_windows(attr->mtime);
	out->changed = time_to_windows(attr->ctime);
	out->created = time_to_windows(attr->btime);
	if (!out->created)
		out->created = out->written < out->changed ? out->written : out->changed;
	out->links = is_folder ? 1 : attr->nlink;
	out->attributes = attributes_kept(kept, is_folder);
	if (is_folder)
		out->attributes |= FILE_ATTRIBUTE_DIRECTORY;
	if (is_file) {
		out->size = attr->size > INT64_MAX ? INT64_MAX : attr->size;
		out->allocated = attr->blocks > INT64_MAX / 512 ? INT64_MAX : attr->blocks * 512;
		if (!(attr->mode & 0222))
			out->attributes |= FILE_ATTRIBUTE_READONLY;
	}
	out->reparse_tag = attributes_tag(attr->mode);
	if (out->reparse_tag)
		out->attributes |= FILE_ATTRIBUTE_REPARSE_POINT;
	if (!out->attributes)
		out->attributes = FILE_ATTRIBUTE_NORMAL;
}
