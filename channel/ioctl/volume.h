/* SPDX-License-Identifier: MIT */
/*
 * volume.h - one disk of the Windows driver over one file system
 *
 * The driver knows paths, file objects and IRPs; a dw_filesystem knows nodes, handles and counts of lookups. A volume
 * is what stands between: a table of open files, by the ids that the driver was given; walking of paths, without regard
 * to case; and one function for each type of request (dispatch.h calls them).
 *
 * Who owns what
 *   The file system is the caller's, before and after. An open file (files.c) holds one lookup of its node and one
 *   handle; both are given back when it is closed and no request uses it any more. While a request runs, its struct
 *   call holds one lookup of each node that it went through; all are given back, in one list, when it ends. So at
 *   rest the file system's counts are those of the open files, exactly.
 *
 * Case
 *   A name is first looked up as it stands. When it is not there, and the request is not for exact case, the
 *   folder's names are compared in upper case (names.h). The names of folders that this was done in are remembered,
 *   up to a bound, for as long as the file system lets names be believed (folds.c); a hit is looked up before it is
 *   used, and every change through the volume changes what is remembered.
 *
 * Links
 *   A symbolic link inside of a path, and at its end unless the link itself is meant, is followed here when it leads to
 *   somewhere on the volume. One that leads elsewhere ("C:\...") is the system's to follow: protocol.h,
 *   FS_OPEN_REPARSE. A file's path in the table is what was really gone, without links.
 *
 * What has no place
 *   Streams, extended attributes as Windows has them, short names, object ids and a time of creation that is set:
 *   refused, or left out, as a file system may. No request is refused for the sake of who asks: the driver judges by
 *   the security descriptor, and the file system by what it likes.
 *
 * Survival
 *   What must outlive the process stands in struct volume_kept, which the caller keeps where it survives (or not: then
 *   open files are found by their paths again). A new volume over old kept memory has the open files and the notes of
 *   requests that were under way; the driver sends FS_REOPEN for each file, then what was not answered. With the first
 *   request that is not FS_REOPEN, files that did not come are closed: the driver has lost them. Lookups that a
 *   request held at the instant of a death are lost: the file system remembers some nodes longer than needed.
 *
 * Threads
 *   Any number, but volume_create, volume_destroy and volume_abandon. The file system never has two changes of one
 *   folder's names, or two writes to one file, at a time: locks.c has a lock for each node that is being changed.
 *
 * Locks, in the order in which they are taken
 *   1. of nodes       over a change, and so over calls of the file system; two of them by ascending node
 *   2. files.lock, folds.lock, calls_lock    leaves: memory only
 */
#ifndef CHANNEL_IOCTL_VOLUME_H
#define CHANNEL_IOCTL_VOLUME_H

#include <driveway/filesystem.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/ioctl/security.h"
#include "driver/protocol.h"

struct volume;

#define VOLUME_FILES 65536u /* open at once */
#define VOLUME_CALLS 1024u  /* requests under way at once */

/* An open file. A slot is in use while id is not 0; id is written after the rest. */
struct kept_file {
	uint64_t id;
	uint64_t node;
	uint64_t generation;
	uint64_t handle; /* DW_NO_HANDLE: none */
	uint32_t access; /* that was granted */
	uint32_t flags;	 /* volume_internal.h */
};

/* A request under way. */
struct kept_call {
	uint64_t id;
	uint64_t value; /* by stage */
	uint32_t stage; /* volume_internal.h */
	uint32_t information;
	struct dw_notes notes[2]; /* of the operation that changes something, and of forget */
};

/* All zero for a new disk. About 3.5 MiB of address space; what was never used is never touched. */
struct volume_kept {
	uint32_t label_set; /* the label is the one below */
	uint32_t label_length;
	uint16_t label[FS_LABEL_MAX / 2];
	struct kept_call calls[VOLUME_CALLS];
	struct kept_file files[VOLUME_FILES];
};

struct volume_options {
	uint64_t disk;		     /* its number; for the volume's serial number */
	uint64_t seed;		     /* random: ids of files come of it */
	bool read_only;		     /* even if the file system is not */
	struct security_owner owner; /* whom new files belong to */
	const uint16_t *label;
	uint32_t label_length;	  /* bytes, up to FS_LABEL_MAX */
	struct volume_kept *kept; /* the caller's, until the volume is gone; NULL: of the volume's own */
};

/* -ENOMEM, -EINVAL (the label is too long). options and what it points to, but kept, are copied. */
int volume_create(struct volume **out, struct dw_filesystem *fs, const struct volume_options *options);
/* No call runs any more. Closes what is open. */
void volume_destroy(struct volume *volume);
/* The same for a process that makes way for the next: what is open stays so, in kept. */
void volume_abandon(struct volume *volume);

/* The names of a folder have changed by themselves (dw_host.invalidate_entry and its kin). Any thread, at any time. */
void volume_names_changed(struct volume *volume, uint64_t folder);

/* Open files. */
unsigned volume_open_files(struct volume *volume);

#endif
