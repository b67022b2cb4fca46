/* SPDX-License-Identifier: MIT */
/*
 * zisofs.h - compressed files of an ISO 9660 file system
 *
 * A zisofs file is cut into blocks of one size, each compressed by itself, so any of them can be read without the
 * others:
 *
 *    0   magic, 8 bytes
 *    8   size of the content, 4 bytes
 *   12   size of this header in units of 4 bytes; base-2 logarithm of the block size: 15, 16 or 17; 2 bytes of 0
 *   16   for each block, and once more for the end: where it begins in this file, 4 bytes
 *        blocks: each a zlib stream, or of length 0 for a block of zeros
 *
 * Numbers are little-endian. libarchive reads these files too, but stops at blocks of zeros, and only forwards. Files
 * in the later form for sizes of 4 GiB and more are shown as they are stored, as the Linux kernel does.
 *
 * Threads: any.
 */
#ifndef ARCHIVE_ZISOFS_H
#define ARCHIVE_ZISOFS_H

#include "filesystems/archive/space.h"

/* Whether a zisofs file whose content has size bytes begins at place. */
bool zisofs_is_at(struct space *base, uint64_t place, uint64_t size);

/*
 * Read size bytes at offset of the content of the file at place, all of which must lie inside the content_size bytes.
 * -EIO (also: damaged), -EINTR, -ENOMEM.
 */
int zisofs_read(struct space *base, uint64_t place, uint64_t content_size, void *buffer, size_t size, uint64_t offset,
		const volatile uint32_t *interrupted);

#endif
