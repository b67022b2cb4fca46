/* SPDX-License-Identifier: MIT */
/*
 * store.h - what is kept on disk between two mappings of an archive
 *
 * In the drive's cache folder, named by a hash of the archive's path:
 *
 *    HASH.index          the index, exactly the block of index.h. Valid when its checksums are, its version is this
 *                        program's, and its identity (device, inode, size, mtime) is the archive's. Written
 *                        to a temporary name, synced, and renamed.
 *    HASH.base.spill     what the compression filters of the archive decode to, from its start on
 *    HASH.sequence.spill the members that must be decoded in sequence, one after another
 *
 * A spill file begins with a header of 4096 bytes and only grows. How much of it counts: in the boot
 * in which it was written, all of it, since what a dead process wrote is still there; after that, as much as
 * a clean end has synced. A file of another archive state or version, or one that holds a damaged
 * member (tainted), starts again. It is locked while it is in use; a second drive of the same archive gets a nameless
 * file of its own. When the folder holds more than its bound, the files that were not used for longest go first.
 *
 * Threads: one at a time, but store_spill_taint: any.
 */
#ifndef ARCHIVE_STORE_H
#define ARCHIVE_STORE_H

#include "filesystems/archive/index.h"
#include "filesystems/archive/space.h"

/* -ENOENT (there is none), -EINVAL (it is damaged, or of another version or state), -ENOMEM, -EIO. */
int store_load_index(const char *folder, const char *path, const struct index_identity *identity, struct index *out);
/* -ENOSPC, -EIO and others of the file system. */
int store_save_index(const char *folder, const char *path, const struct index *index);

/*
 * Open the spill file called name. key: changes when content would, besides identity. limit: how much it may hold; also
 * the bound of the folder. out->fd is -1 when no file can be had; it is the caller's, for store_spill_close.
 */
void store_spill_open(const char *folder, const char *path, const char *name, const struct index_identity *identity,
		      uint32_t key, uint64_t limit, struct spill *out);
/* have: what it holds now. Makes it durable and closes it. */
void store_spill_close(struct spill *spill, uint64_t have);
/* The file must not be used again after this process. fd may be -1. */
void store_spill_taint(int fd);

#endif
