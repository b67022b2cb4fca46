/* SPDX-License-Identifier: MIT */
/*
 * space.h - bytes that can be read at any offset
 *
 * Everything above reads through a space and need not know what is below it:
 *
 *   a file space       the archive file itself: every read is a pread;
 *   a decoded space    what a decoder makes, in order, from its start: the content of a .tar.gz after
 *                      decompression, or the members of a .7z one after another. What has been decoded once is
 *                      kept in a spill file, so that no byte is decoded twice. Where the spill file is full (its
 *                      limit) or absent, a few decoders are kept open instead (cursors.h).
 *
 *      decoded space: |########## spilled ##########|.......... by cursors ..........|
 *                     0                            have, at most limit              end
 *
 * Threads: any. A read of what is spilled takes no lock. One thread at a time decodes into the spill file; others
 * that want what is not there yet wait for it.
 */
#ifndef ARCHIVE_SPACE_H
#define ARCHIVE_SPACE_H

#include "filesystems/archive/cursors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct space;

/* A spill file: fd, the offset where content starts in it, how much content it holds, and how much it may hold. */
struct spill {
	int fd; /* -1: none */
	uint64_t start;
	uint64_t have;
	uint64_t limit;
};

/* fd stays the caller's and open as long as the space. -ENOMEM. */
int space_open_file(struct space **out, int fd, uint64_t size);
/*
 * spill: copied; its fd stays the caller's. context goes to kind->open, with member 0. -ENOMEM.
 */
int space_open_decoded(struct space **out, const struct cursor_kind *kind, void *context, const struct spill *spill);
void space_close(struct space *space);

/*
 * Read size bytes at offset; *done is less only at the end of the space. nowait: -EAGAIN instead of
 * waiting for a disk or a decoder. -EIO (also: the decoder found damage), -EINTR, -ENOMEM.
 */
int space_read(struct space *space, void *buffer, size_t size, uint64_t offset, bool nowait,
	       const volatile uint32_t *interrupted, size_t *done);

/* Size of a file space; UINT64_MAX for a decoded one. */
uint64_t space_size(const struct space *space);
/* Bytes that are in the spill file now. */
uint64_t space_spilled(struct space *space);

#endif
