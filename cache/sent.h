/* SPDX-License-Identifier: MIT */
/*
 * sent.h - what was on its way to the server when nobody heard how it went
 *
 * Before a file's bytes go out, and before a folder is made, a row of sent notes the node, the place and the digest.
 * The answer takes the row away. When none comes (the connection breaks, the process dies) and the node is changed,
 * renamed or removed before the next try, the server may hold something that is no longer what the node is: by the row
 * it is known as ours, and not taken for somebody else's, of which a conflicted copy would have to be kept.
 *
 * A node that is still new looks for its own rows before it is sent again (sent_elsewhere). A row of something new
 * whose node was removed, or has another item now, is lost: nobody would ask for it any more. So it is a task of the
 * journal's like a node and a removal (sync_sent.c): its place is looked at, and what is found there of it is removed.
 * It waits for the call that sent it, if that is still under way.
 *
 *    noted --> answer: dropped
 *       |----> node removed, or has another item: lost --> looked at: nothing, or what is there goes into gone
 *       +----> the node finds it: dropped
 *
 * A row that was looked at does no harm: it fits the very bytes only that were sent from here to that place. It is kept
 * for a day, for news of a server that took its time.
 *
 * Threads: those of database.h; all but sent_note and sent_drop run inside a transaction of the caller's, or read.
 */
#ifndef CACHE_SENT_H
#define CACHE_SENT_H

#include "cache/cache.h"

/* A condition on table sent: rows whose place is to be looked at. */
#define SENT_LOST                                                                                                      \
	"sent.remote = x'' AND sent.looked = 0 AND NOT EXISTS(SELECT 1 FROM node own WHERE own.id = sent.node AND "    \
	"own.parent IS NOT NULL AND own.remote IS NULL)"

struct sent {
	uint64_t node;
	char remote[DW_REMOTE_ID_MAX + 1]; /* of a new version: the item; "": something new */
	char parent[DW_REMOTE_ID_MAX + 1];
	char name[DW_REMOTE_ID_MAX + 1];
	uint8_t digest[64];   /* of a file's bytes */
	size_t digest_length; /* 0: a folder */
	uint64_t bytes;
};

/* Note it, in a transaction of its own. Does nothing for a name that is too long to be noted. As database_commit. */
int sent_note(struct cache *cache, const struct sent *sent);
/* Is item what was sent to it, or to its place (in the folder parent, a remote id)? 1 and *node; 0: no; negative. */
int sent_find(struct database_connection *connection, const struct dw_remote_item *item, const char *parent,
	      uint64_t *node);
/* Something new that was sent for node to another place than (parent, name). 1 and *out; 0: nothing; negative. */
int sent_elsewhere(struct database_connection *connection, uint64_t node, const char *parent, const char *name,
		   struct sent *out);
/* Is item this very thing? */
bool sent_fits(const struct sent *sent, const struct dw_remote_item *item);
/* Row id, while it is lost. -ENOENT */
int sent_read_lost(struct database_connection *connection, int64_t id, struct sent *out);
/* The row was looked at. */
int sent_looked(struct database_connection *connection, int64_t id);
/* The answer came: item is the node's. What went to other places stays noted, and all of it when another node has taken
 * the item over. */
int sent_answered(struct database_connection *connection, uint64_t node, const struct dw_remote_item *item,
		  const char *parent);
/* It turned out to be nothing, in a transaction of its own. */
int sent_drop(struct cache *cache, const struct sent *sent);

#endif
