/* SPDX-License-Identifier: MIT */
/*
 * feed.h - the thread that hears what changes on the server
 *
 * It waits in the remote's changes, absorbs what they tell, and stores the position in the feed in the same
 * transaction. When the feed has lost track (DW_REMOTE_EXPIRED, DW_REMOTE_EVENT_LOST), it takes a new position first
 * and then raises meta.generation, so that every folder is listed again at its next use, and the kernel asks for every
 * name again. Where the remote has no feed, the generation is raised every cache->options.poll. While the service
 * cannot be reached the thread tries again, after 1 s, later after up to 30 s, or when feed_wake says that somebody has
 * reached it. It keeps the quota fresh, too. When a call of others runs out of time, the thread asks for something
 * small: a service that does not answer that either cannot be reached.
 *
 *    start --> position known --> waiting in changes <--+
 *                  ^  |                  |  events, none |
 *                  |  +--- lost <--------+---------------+
 *                  +--- generation raised
 *
 * A folder must not be listed before a position is known, or what changes in between is never told: feed_prepare.
 */
#ifndef CACHE_FEED_H
#define CACHE_FEED_H

#include "cache/cache.h"

/* Make it; feed_start lets it run. -ENOMEM. */
int feed_make(struct feed **out, struct cache *cache);
int feed_start(struct feed *feed);
/* Also of one that was never started. cache->stopping is set, so that calls of the remote end. */
void feed_stop(struct feed *feed);
/* Try at once. Any thread, no lock. */
void feed_wake(struct feed *feed);
/* The service could not be reached: look when it is back, without waiting for what the feed may bring. Any thread. */
void feed_look(struct feed *feed);
/* A call ran out of time, which may be the service's fault or not: look. Any thread. */
void feed_doubt(struct feed *feed);
/* Take a position in the feed, where none is known. 0 or the remote's answer. Any thread, no lock. */
int feed_prepare(struct cache *cache, struct dw_remote_call *call);

#endif
