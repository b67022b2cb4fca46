/* SPDX-License-Identifier: MIT */
/*
 * drive.h - an archive as a read-only file system
 *
 *      operations.c   lookup, getattr, readdir, readlink, statfs, xattrs: from the index, at memory speed
 *           |         read, lseek: by what the index says of the node's content
 *        index.h                       |
 *           |             +------------+-------------+------------------+
 *        scan.h        direct,      deflate       zip member        sequence
 *      (libarchive)    extents,     (zlib)       (libarchive)      (libarchive)
 *           |         zisofs          |             |                  |
 *           |             |            |             |                  |
 *           +-------------+------------+-------------+------------------+
 *                                      |
 *                            base space: the archive file, or what its
 *                            compression filters decode to (space.h)
 *
 * Node ids are index numbers plus one, below the epoch in the upper bits. The epoch is 0 until the service is started
 * again over an archive that has another content than before; ids of the old epoch then answer -ESTALE.
 *
 * The archive file is opened once and its descriptor is kept by the host, so that an archive that is replaced or
 * deleted while it is mapped stays readable as it was. One that is changed in place cannot be read any more.
 */
#ifndef ARCHIVE_DRIVE_H
#define ARCHIVE_DRIVE_H

#include "filesystems/archive/cursors.h"
#include "filesystems/archive/index.h"
#include "filesystems/archive/reader.h"
#include "filesystems/archive/space.h"
#include "include/driveway/filesystem.h"

#include <stdatomic.h>

#define NODE_BITS 40u
#define NODE_MASK (((uint64_t)1 << NODE_BITS) - 1)

struct archive_drive {
	struct dw_filesystem fs;
	struct dw_filesystem_ops ops; /* archive_ops, without those that this archive has no use for */
	struct dw_host *host;
	int fd;
	struct index_identity identity;
	struct index index;
	uint64_t epoch;
	char *password;
	_Atomic bool changed; /* the file was changed in place, and that was told */

	struct space *file;
	struct space *base; /* file, or a decoded space */
	struct spill base_spill;
	struct space *sequence; /* NULL when no member needs it */
	struct spill sequence_spill;
	struct cursors *deflate;
	struct cursors *zip_member;
	struct decode_context filters_context;
	struct decode_context members_context;
};

extern const struct dw_filesystem_ops archive_ops;

/* Frees all of it; the argument is the drive's fs. */
void archive_close(struct dw_filesystem *fs);

/* Content of a node with content; *done is size unless an error is returned. The range lies inside the file. */
int archive_read_content(struct archive_drive *drive, uint32_t number, void *buffer, size_t size, uint64_t offset,
			 const struct dw_request *req);

/* One line to the host's log. */
void archive_log(struct archive_drive *drive, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
