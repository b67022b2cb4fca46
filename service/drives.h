/* SPDX-License-Identifier: MIT */
/*
 * drives.h - the table of drives
 *
 * Each drive that is mapped, or is being mapped or unmapped, has one entry; no two have the same target.
 * The table knows names and states; what a drive is made of hangs on it (the platform's part embeds struct drive).
 *
 *                       opened                     unmap asked, or the kernel's half is gone
 *    (reserve) MAPPING --------> READY <--+-------------------------------> UNMAPPING --> (remove)
 *       |         |                ^      |busy                                  ^
 *       |         | failed         |      +--------------------------------------|
 *       |         +--> (remove)    | opened after all                            |
 *       |                          |                                             |
 *       +-- restarted, failed --> FAILED <--> OPENING ---------------------------+
 *
 * A drive that was mapped before a restart and cannot be opened now is FAILED: it stays mapped, answers
 * every request with EIO, and is tried again (OPENING) when somebody asks for its status.
 *
 * Drives do not nest: a target inside another drive, a source that lies on a drive, or a target that covers a drive or
 * a drive's source is refused. Otherwise the process that serves the one would use the other through the kernel,
 * and would wait for itself when it dies.
 *
 * Ownership: entries are counted. The table holds one reference from reserve to remove; find and snapshot give the
 * caller one. The last drives_put calls destroy.
 * Threads: every function may be called from any thread. One lock, a leaf, held for no call to the outside.
 * state is read and changed only through the functions here.
 */
#ifndef SERVICE_DRIVES_H
#define SERVICE_DRIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/map_request.h"

#define DRIVES_MAX 64

enum drive_state {
	DRIVE_MAPPING,
	DRIVE_READY,
	DRIVE_FAILED,
	DRIVE_OPENING,
	DRIVE_UNMAPPING,
};

struct drive {
	struct map_request *request;	      /* owned; not changed after reserve */
	void (*destroy)(struct drive *drive); /* frees it all; called without the lock */
	/* The rest is the table's. */
	enum drive_state state;
	unsigned references;
	bool listed;
	struct drive *next;
};

struct drives;

int drives_create(struct drives **out);
/* The table must be empty. */
void drives_destroy(struct drives *drives);

/*
 * Enter drive, whose request and destroy are set, with state. On success the table has taken one
 * reference and the caller has another. -EEXIST (target is mapped), -ELOOP (nested), -ENOSPC (DRIVES_MAX),
 * -ESHUTDOWN (drives_close_if_empty has said yes): nothing was taken; error receives one line.
 */
int drives_reserve(struct drives *drives, struct drive *drive, enum drive_state state, char *error, size_t error_size);
/* Out of the table; drops its reference. */
void drives_remove(struct drives *drives, struct drive *drive);
/* A reference to the drive with this target, NULL: none. */
struct drive *drives_find(struct drives *drives, const char *target);
/* One reference more to a drive of which the caller has one. */
void drives_get(struct drives *drives, struct drive *drive);
void drives_put(struct drives *drives, struct drive *drive);
/* References to all drives in the order in which they were entered; out has room for DRIVES_MAX. Returns how many. */
size_t drives_snapshot(struct drives *drives, struct drive **out);

enum drive_state drives_state(struct drives *drives, struct drive *drive);
/* From state from to state to, or false and no change when it is in another one. */
bool drives_change(struct drives *drives, struct drive *drive, enum drive_state from, enum drive_state to);
/* As JSON and people have it: "mapping", "ready", "failed", "opening", "unmapping". */
const char *drives_state_name(enum drive_state state);

/* When there is no drive: take no more, and say true. */
bool drives_close_if_empty(struct drives *drives);
/* Take drives again after all. */
void drives_reopen(struct drives *drives);

#endif
