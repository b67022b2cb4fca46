/* SPDX-License-Identifier: MIT */
/*
 * absorb.h - what the server says becomes rows
 *
 * The same rules hold whether an item comes from a listing, from the feed or as the answer to an upload:
 *
 * - an item that is unknown, in a folder that was listed, becomes a node; in another folder it is not kept;
 * - of a known one, what is not dirty here follows the server: place, attributes and, with a new version, the bytes
 * (the old ones are dropped, or go to an orphan while the file is open);
 * - what is dirty here stays as it is, and so do the columns that sync compares (etag, version): the upload then meets
 * DW_REMOTE_CHANGED and sync decides (sync.h). The echo of our own change (same etag) changes nothing;
 * - a name that is taken here by a node that the server has not got (or that is to be moved away) is a clash: when both
 * are folders, the node takes the item; when both are files with the same bytes, likewise; else the local one moves to
 * a conflicted name;
 * - an item that is gone: its node goes, with what is below; what is dirty below it stays and becomes new (DIRTY_NEW);
 *   an open file becomes an orphan.
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
/* parent: node of the folder that was listed, or 0 to go by item->parent. listing: the generation of the listing that
 * brings it, so that what it does not bring can be told afterwards; 0: none. */
int absorb_item(struct absorb *absorb, uint64_t parent, const struct dw_remote_item *item);
int absorb_gone(struct absorb *absorb, const char *remote);
/* The answer to an upload, mkdir, move or properties of node, which was at change when the call began: its remote
 * columns become the item's, and the dirty bits in done are cleared where the row has not changed since. */
int absorb_answer(struct absorb *absorb, uint64_t node, int64_t change, uint32_t done,
		  const struct dw_remote_item *item);
/*
 * Set a node aside whose place and item somebody else's item takes: it gets a conflicted name beside its own (NAME
 * (conflicted copy HOST DATE).EXT, numbered when that is taken), has no item any more (DIRTY_NEW and all else that goes
 * up with it), and is noted in the table conflict. Open files go on with it.
 */
int absorb_aside(struct absorb *absorb, uint64_t node);
/* Commits, then tells the kernel. On error nothing has changed. */
int absorb_finish(struct absorb *absorb);
void absorb_abandon(struct absorb *absorb);

#endif
