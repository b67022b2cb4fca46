/* SPDX-License-Identifier: MIT */
/*
 * listing.h - folders are listed when first needed, and again when the feed has lost track
 *
 * One lister a folder, on a thread of a pool; those who need the folder wait for it, each as far as it has to: a lookup
 * until its name has come, a readdir until there is a row behind its offset, the others until the end. A page is a
 * transaction; the next one is asked for meanwhile, so that two are held at most, and they are absorbed in their order.
 * The listing takes its number from meta.heard at the start; when the last page has come, children that the server told
 * nothing of since (node.heard is less) are gone, and the folder is listed in the generation that was current when the
 * listing began.
 *
 *    unlisted --------> being listed --------> listed (node.listed = generation)
 *        ^                   | error                    | generation raised, or nodes_unlist
 *        +-------------------+--------------------------+
 *
 * A page may be older than the news that come while it is on its way. What it says of an item that is known is put
 * beside what was told of it since (node.heard); of one that is not known any more the listings note where the feed
 * told it to be, as long as any of them runs.
 *
 * Who walks through a tree lists its folders one after the other, in the order in which readdir shows them. When a
 * program has listed two neighbours in that order, the next few are listed ahead, and one more with each that it lists:
 * no more than a few at a time, none when it stops, and never any for the listing of a single folder.
 *
 * Threads: any. listings.lock is a leaf: the database is not touched while it is held.
 */
#ifndef CACHE_LISTING_H
#define CACHE_LISTING_H

#include "cache/nodes.h"

struct listing; /* one folder that is being listed; counted */

int listings_start(struct listings **out, struct cache *cache);
/* cache->stopping is set, so that calls of the remote end. */
void listings_stop(struct listings *listings);

/* Does the folder have to be listed before row can be believed? Offline a list that is old is better than none. */
bool listing_needed(struct cache *cache, const struct node_row *row);
/* Is it being listed now? Any thread, any lock may be held. */
bool listing_runs(struct cache *cache, uint64_t folder);
/* Join the listing of folder, or begin one; put it. -ENOMEM, -EAGAIN. */
int listing_get(struct cache *cache, uint64_t folder, struct listing **out);
void listing_put(struct cache *cache, struct listing *listing);
/* How many pages have come; ended: the listing is over, and *error is how (0: the folder is listed). */
uint64_t listing_pages(struct cache *cache, struct listing *listing, bool *ended, int *error);
/* Wait until there are more pages than that, or it is over. deadline: CLOCK_MONOTONIC nanoseconds. -ETIMEDOUT, -EINTR.
 */
int listing_wait(struct cache *cache, struct listing *listing, uint64_t pages, uint64_t deadline,
		 const volatile uint32_t *interrupted);
/* Until it is over. Its error as cache_answered gives it. For whom needs the whole folder: rmdir, a rename onto it. */
int listing_complete(struct cache *cache, const struct dw_request *req, const struct node_row *row);
/* The feed told that an item of which there is no node is in the folder parent (a remote id), or nowhere (""). Within
 * the transaction that absorbs this. -ENOMEM. */
int listing_told(struct cache *cache, const char *remote, const char *parent);
/* The feed told of it, and there is a node. */
void listing_told_node(struct cache *cache, const char *remote);
/* Has the feed told, since the listing with this number began, that the item is not in the folder parent? Within a
 * transaction. */
bool listing_was_told_elsewhere(struct cache *cache, int64_t number, const char *remote, const char *parent);
/* A program has begun to read folder. */
void listing_walk(struct cache *cache, const struct node_row *folder);

#endif
