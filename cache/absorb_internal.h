/* SPDX-License-Identifier: MIT */
/*
 * absorb_internal.h - what the files of absorb.h share
 *
 *    absorb.c          the batch; items that are there, items that are gone
 *    absorb_first.c    new rows; items of a folder that is listed for the first time
 *    absorb_answer.c   answers to our own calls, and nodes that are set aside
 */
#ifndef CACHE_ABSORB_INTERNAL_H
#define CACHE_ABSORB_INTERNAL_H

#include "cache/absorb.h"

#define ABSORB_DEPTH 4096u /* folders below one another */

enum absorb_kind {
	ABSORB_NODE,	/* the kernel forgets bytes and attributes of a node */
	ABSORB_ENTRY,	/* or a name */
	ABSORB_DELETED, /* or a name whose node is gone, which those who watch the folder are told */
};

struct absorb_told {
	enum absorb_kind kind;
	uint64_t parent, node;
	char *name;
};

/* The folder of a page, where nothing that is known here bears on what it brings. */
struct absorb_first {
	struct node_row folder;
};

struct absorb {
	struct cache *cache;
	struct database_connection *connection;
	struct absorb_told *told;
	size_t count, room;
	int error;
	bool replacing;	 /* cache->replacing counts this one */
	int64_t listing; /* what is older than this was told before the listing began; INT64_MAX: it is none */
	char listed[DW_REMOTE_ID_MAX + 1]; /* the folder that it is of */
	bool pinned;			   /* something that is to be kept here has come */
	struct absorb_first *first;	   /* or NULL */
};

/* An item, and what it means for a row. */
struct absorb_seen {
	const struct dw_remote_item *item;
	char *set; /* its properties; NULL: not known */
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t modified; /* the item's own time; 0: not known */
	int64_t mtime, btime;
};

/* A name that can be that of a node. */
bool absorb_can_show(struct cache *cache, const char *name);
/* A new row for an item. 1; 0: its place, or the item, is another node's, and nothing was done. */
int absorb_insert(struct absorb *absorb, const struct node_row *folder, const char *remote_parent,
		  const struct absorb_seen *seen, bool pinned, bool tell);
/* An item of the page of absorb->first. 1: it has become a node, 0: it has to be looked at like any other. */
int absorb_add_first(struct absorb *absorb, const struct dw_remote_item *item);
/* What the kernel is told after the commit. No memory: the whole batch fails. */
void absorb_tell(struct absorb *absorb, enum absorb_kind kind, uint64_t parent, uint64_t node, const char *name);
int absorb_seen_read(struct absorb *absorb, const struct dw_remote_item *item, struct absorb_seen *out);
/* The columns of the item of node id become what seen->item says. */
int absorb_store_item(struct absorb *absorb, uint64_t id, const char *remote_parent, const struct absorb_seen *seen);

#endif
