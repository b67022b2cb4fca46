/* SPDX-License-Identifier: MIT */
/*
 * sync.h - bringing to the server what was changed here
 *
 * A few threads take dirty nodes and removed items, oldest first, those that rested for cache->options.settle, and
 * bring the server to where the node is by the fewest calls:
 *
 * - parent not there yet: the parent first
 * - place taken there: the one that holds it first (moved away or removed); those that stand in one another's way are
 *   parted by a temporary name
 * - DIRTY_NEW: upload (a session above remote->upload_max) or mkdir
 * - DIRTY_PLACE: move
 * - DIRTY_CONTENT: upload as a new version of that very version
 * - DIRTY_PROPERTIES: set_properties
 * - a row of gone: remove, unless the item changed since: then it comes back
 * - a row of sent that is lost (sent.h): look whether the server has it, and then remove it
 *
 * Every call is made against a row as it was read; its answer clears what the row still agrees with (absorb_answer). A
 * crash between a call and its row is found by the next try: EEXIST with the same bytes, CHANGED with the same bytes,
 * ENOENT of a removal are success. A conflict (CHANGED, other bytes): the server's version becomes the node's, the
 * local bytes go on as a new file "NAME (conflicted copy HOST DATE).EXT" beside it, noted in the table conflict.
 *   Failures are tried again with growing pauses (1 s to 5 min, at random); what a person must mend (no space, refused
 * name, no rights) shows in status and is tried again every 5 minutes. Nothing is ever given up.
 */
#ifndef CACHE_SYNC_H
#define CACHE_SYNC_H

#include "cache/cache.h"

int sync_start(struct sync **out, struct cache *cache);
void sync_stop(struct sync *sync);
/* Something became dirty, or the service is back. Any thread, any lock may be held. */
void sync_wake(struct sync *sync);
/* A file was opened for writing. Any thread, any lock may be held. */
void sync_opened(struct sync *sync);
/*
 * Wait until node, and what is below it, is on the server as it is here now. Does not wait for the settling time, and
 * what failed before is tried again at once; only a failure of a try that began after this call is answered.
 * deadline: CLOCK_MONOTONIC nanoseconds, 0: none. -ETIMEDOUT, -EINTR (interrupted, may be NULL), or the failure that
 * keeps it.
 */
int sync_wait(struct cache *cache, uint64_t node, uint64_t deadline, const volatile uint32_t *interrupted);

/*
 * Is a call under way that puts something new to this name in the folder parent (its remote id)? Then an item that the
 * server tells of there is its answer, which absorb_answer will bring. Any thread, any lock may be held.
 */
bool sync_is_placing(struct sync *sync, const char *parent, const char *name);

/* A transfer that is under way. */
struct sync_transfer {
	uint64_t node;
	uint64_t bytes; /* in all */
	uint64_t sent;
	int64_t began; /* nanoseconds since 1970 */
};
/* Up to maximum transfers into out; their number. */
size_t sync_transfers(struct sync *sync, struct sync_transfer *out, size_t maximum);

struct sync_numbers {
	uint64_t pending; /* nodes and removals that the server does not know of, and what may be there of lost ones */
	uint64_t pending_bytes;
	uint64_t failing;  /* of these, those whose last try failed */
	uint64_t uploaded; /* bytes since the start */
	uint64_t conflicts;
};
int sync_numbers(struct cache *cache, struct sync_numbers *out);

#endif
