/* SPDX-License-Identifier: MIT */
/*
 * active.h - what is open
 *
 * A handle is a slot of a kept table (dw_host.keep "handles"), so it outlives this process: { node, flags, generation,
 * request, backing id }. From it the counts of readers and writers of each node are made again when a new process takes
 * over. An open node has a struct active_node in memory with its content and its lock.
 *
 *    slot life:      claim                        release
 *        free ----------------> used (node, flags) ----------> free, next generation
 *
 *    A claim is noted in request->notes first; the slot's member request says whose it is, so that an open that is
 *    given to the service twice finds its slot. A release names a generation, so that the second does nothing.
 *
 * Threads: any. Order: active_node.lock of one node, then active.lock (inside active.c), which is a leaf but for the
 * locks of contents, and is never held across a transaction.
 */
#ifndef CACHE_ACTIVE_H
#define CACHE_ACTIVE_H

#include "cache/nodes.h"

#define ACTIVE_HANDLES 65536u /* at one time in a drive */
#define NOTE_HANDLE    0      /* dw_notes.word: the handle that an open is about to claim */
#define NOTE_BACKING   1      /* the backing id that a release is about to give back */

struct active_node {
	struct active_node *next; /* of its bucket */
	uint64_t node;
	unsigned users; /* threads and handles that hold it */
	unsigned opens; /* handles; guarded by active.lock, as are the next two */
	unsigned writers;
	bool forgotten; /* the kernel has forgotten it: an orphan goes with its last handle */
	/* The rest is guarded by lock. */
	pthread_mutex_t lock;
	struct content *content; /* once needed */
	uint32_t backing;	 /* passthrough; 0: reads and writes come to us */
	bool mode_chosen;	 /* backing says how all opens are served until the last is closed */
	bool was_empty;		 /* when it was chosen: the kernel has no pages of it that we gave */
	bool stamped;
	struct content_stamp stamp; /* of the content when the row last agreed with it */
};

static inline bool active_same_stamp(const struct content_stamp *one, const struct content_stamp *other)
{
	return one->size == other->size && one->writes == other->writes &&
	       one->modified.seconds == other->modified.seconds &&
	       one->modified.nanoseconds == other->modified.nanoseconds &&
	       one->changed.seconds == other->changed.seconds && one->changed.nanoseconds == other->changed.nanoseconds;
}

int active_start(struct active **out, struct cache *cache);
/* Every active node has been put. */
void active_stop(struct active *active);

/* Is node open, and open for writing? Any thread; the answer may be old when it arrives. */
void active_counts(struct cache *cache, uint64_t node, unsigned *opens, unsigned *writers);
/* The active node of node, made where there is none; put it. -ENOMEM. */
int active_get(struct cache *cache, uint64_t node, struct active_node **out);
/* That of node if there is one, else NULL; put it. */
struct active_node *active_find(struct cache *cache, uint64_t node);
void active_put(struct cache *cache, struct active_node *active);

/* A handle, claimed for req; node->lock is held. The node is held by it until the release. -EMFILE. */
int active_claim(struct cache *cache, struct active_node *node, const struct dw_request *req, uint32_t flags,
		 uint64_t *handle);
/* The handle that an earlier process claimed for req: 1; 0: it did not. */
int active_claimed(struct cache *cache, const struct dw_request *req, uint64_t *handle, uint64_t *node);
/* flags of an open, node that it is of. -EBADF. */
int active_handle(struct cache *cache, uint64_t handle, uint64_t *node, uint32_t *flags);
/* Free the handle; node->lock is held, and the caller puts the hold that the claim took. False: it was free already.
 * last: it was the last of its node. */
bool active_release(struct cache *cache, struct active_node *node, uint64_t handle, bool *last);
/* Count as one who has it open for writing, without a handle, from begin to end. */
void active_begin_change(struct cache *cache, struct active_node *node);
void active_end_change(struct cache *cache, struct active_node *node);
/* The kernel has forgotten node: true when nothing has it open. */
bool active_forget(struct cache *cache, uint64_t node);
/* Call each for every node that is open, without a lock. */
void active_each(struct cache *cache, void (*each)(struct cache *cache, struct active_node *node, void *context),
		 void *context);

#endif
