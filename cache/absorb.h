/* SPDX-License-Identifier: MIT */
/*
 * absorb.h - what the server says becomes rows
 *
 * The same rules hold whether an item comes from a listing, from the feed or as the answer to an upload:
 *
 * - an item that is unknown, in a folder that was listed or is being listed, becomes a node; in another folder it is
 *   not kept. One that is in the table gone stays away: sync is about to remove it;
 * - of a known one, what is not dirty here follows the server: place, attributes and, with a new version, the bytes
 *   (the old ones are dropped, or go to an orphan while the file is open for reading). A file that is open for writing
 *   counts as dirty, and becomes so;
 * - what is dirty here stays as it is. Where both sides changed the same thing (the bytes, or the place), the columns
 *   that sync names to the server (etag, version, or remote_parent and remote_name) stay too: its call then meets
 *   DW_REMOTE_CHANGED, and sync decides (sync.h). Where they changed different things both changes stand, and the
 *   columns follow. The echo of our own change (same etag) changes nothing;
 * - the feed tells late, and of every step: between an answer and the news of the same etag (column echo) other news of
 *   the item may be older than the answer, and with them bytes and names that were given up long ago would come back.
 * So they are not believed: feed.c asks the server how the item is now (absorb_is_doubtful), and a listing, which may
 * have begun before the answer, leaves it to the feed;
 * - a name that is taken here by a node that the server has not got, or has elsewhere, is a clash. When both are
 *   folders and the one here is new, it takes the item. Else the item is left out: sync meets -EEXIST when it brings
 *   the node there, compares bytes, and either lets the node take the item (absorb_answer) or gives it a conflicted
 *   name (absorb_aside) and absorbs the item afterwards;
 * - a name that is taken by another item, which the server said to be there: that item is not there any more, and is
 *   absorbed as gone;
 * - an item that is gone: its node goes, with what is below; what is dirty of it or below it stays and becomes new
 *   (DIRTY_NEW); an open file becomes an orphan;
 * - a name that cannot be shown (empty, ".", "..", with a '/', longer than 255 bytes) is left out.
 *
 * Kernel invalidations are collected during the transaction and sent after its commit (absorb_finish).
 */
#ifndef CACHE_ABSORB_H
#define CACHE_ABSORB_H

#include "cache/nodes.h"

struct absorb; /* one batch: a transaction and the invalidations that it will need */

/* Begins a writing transaction. -ENOMEM. */
int absorb_begin(struct absorb **out, struct cache *cache);
struct database_connection *absorb_connection(struct absorb *absorb);
/* Is node open, and for writing? Who opens it from now on waits for this transaction. */
void absorb_look_whether_open(struct absorb *absorb, uint64_t node, unsigned *opens, unsigned *writers);
/* What follows is a page of folder from a listing with this number, and may be older than what was told since it began.
 * absorb_item is given that folder. */
int absorb_from_listing(struct absorb *absorb, uint64_t folder, int64_t number);
/* parent: node of the folder that is being listed, or 0 to go by item->parent. */
int absorb_item(struct absorb *absorb, uint64_t parent, const struct dw_remote_item *item);
int absorb_gone(struct absorb *absorb, const char *remote);
/*
 * May what the feed tells of item be older than what we know? 1, and etag is the one that we know: ask the server, and
 * absorb what it says if this is still what we know; 0; negative.
 */
int absorb_is_doubtful(struct database_connection *connection, const struct dw_remote_item *item,
		       char etag[DW_REMOTE_ID_MAX + 1]);
/* The feed told that the item remote has etag: if that is what we know, no older news of it will come. */
int absorb_told(struct absorb *absorb, const char *remote, const char *etag);
/*
 * The answer to an upload, mkdir, move or properties of node, which was at change when the call began: its remote
 * columns become the item's, and the dirty bits in done are cleared where the row has not changed since; DIRTY_NEW
 * goes in any case and DIRTY_PLACE is compared anew. done is DIRTY_PLACE for a move and nothing else: what the item has
 * become beyond that by somebody else is left to the news. When the node was removed meanwhile, the item goes into the
 * table gone. With done 0: what the server has is accepted as what the next call starts from. */
int absorb_answer(struct absorb *absorb, uint64_t node, int64_t change, uint32_t done,
		  const struct dw_remote_item *item);
/*
 * Set a node aside whose place somebody else's item takes: it gets a conflicted name beside its own (NAME (conflicted
 * copy HOST DATE).EXT, numbered when that is taken) and is noted in the table conflict. Where its bytes are not those
 * of its item, it has no item any more (DIRTY_NEW and all else that goes up with it); else it keeps it and is to be
 * moved there. Open files go on with it.
 */
int absorb_aside(struct absorb *absorb, uint64_t node);
/* The kernel forgets what it knows of a node, or of a name, after the commit. */
void absorb_forget_node(struct absorb *absorb, uint64_t node);
void absorb_forget_entry(struct absorb *absorb, uint64_t parent, const char *name);
/* Commits, then tells the kernel. On error nothing has changed. */
int absorb_finish(struct absorb *absorb);
void absorb_abandon(struct absorb *absorb);

#endif
