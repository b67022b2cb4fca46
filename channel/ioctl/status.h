/* SPDX-License-Identifier: MIT */
/*
 * status.h - errors, times and attributes between POSIX and Windows
 *
 * Attributes of Windows that POSIX has no place for (hidden, system, archive, not indexed; read-only of a folder) stand
 * in an extended attribute, STATUS_XATTR, as four hexadecimal digits, where the file system has extended attributes,
 * and are not kept where it has none. A file without one is ARCHIVE, a folder has none. Read-only of a file is its mode
 * without any permission to write. No state; any thread.
 */
#ifndef CHANNEL_IOCTL_STATUS_H
#define CHANNEL_IOCTL_STATUS_H

#include <driveway/filesystem.h>
#include <errno.h>
#include <stdint.h>

#include "driver/protocol.h"

/* Not on every platform. */
#ifndef ESTALE
#define ESTALE 116
#endif
#ifndef EDQUOT
#define EDQUOT 122
#endif

#define STATUS_XATTR	  "user.driveway.attributes"
#define STATUS_XATTR_SIZE 4u

/* NTSTATUS of a negative errno; 0 of 0. */
int32_t status_of(int error);

/* Times: 100 ns since 1601; what lies before, and all zero, is 0. */
uint64_t time_to_windows(struct dw_time time);
struct dw_time time_from_windows(uint64_t time);

/* The part of FILE_ATTRIBUTE_* that stands in the extended attribute. */
uint32_t attributes_kept(uint32_t attributes, bool is_folder);
/* What the file has when there is none. */
uint32_t attributes_default(bool is_folder);
/* The value of the extended attribute, and back; 0 for what is none. */
void attributes_write(uint32_t kept, char out[STATUS_XATTR_SIZE]);
uint32_t attributes_read(const char *value, size_t size, bool is_folder);
/* The mode with or without FILE_ATTRIBUTE_READONLY. */
uint32_t attributes_mode(uint32_t mode, bool read_only);
/* IO_REPARSE_TAG_* that a node of this mode is shown as; 0: none. */
uint32_t attributes_tag(uint32_t mode);
/* All of a file but its node; kept: of the extended attribute. */
void attributes_file(const struct dw_attr *attr, uint32_t kept, struct fs_file *out);

#endif
