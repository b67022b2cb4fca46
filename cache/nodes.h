/* SPDX-License-Identifier: MIT */
/*
 * nodes.h - rows of nodes
 *
 * Every function works inside a transaction of the caller's (database.h) and takes no lock. What changes a row locally
 * raises node.change and sets dirty bits and since; what comes from the server goes through absorb.h instead.
 */
#ifndef CACHE_NODES_H
#define CACHE_NODES_H

#include "cache/cache.h"

/* node.dirty: what the server does not know */
#define DIRTY_NEW	 (1u << 0) /* it has no item for it (remote is NULL) */
#define DIRTY_PLACE	 (1u << 1) /* another folder or name */
#define DIRTY_CONTENT	 (1u << 2) /* other bytes */
#define DIRTY_PROPERTIES (1u << 3) /* mode, owner, times, attributes */

/* What stat tells, and the state. */
struct node_row {
	uint64_t id;
	uint64_t parent; /* 0: an orphan, or the root */
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t mtime, ctime, atime, btime; /* nanoseconds since 1970 */
	uint64_t content;		    /* 0: none */
	uint32_t dirty;
	int64_t change, since, listed;
	bool pinned;
	bool has_remote;
	uint32_t rights; /* DW_REMOTE_MAY_* */
};

/* The item as the server had it when it was last heard of. Texts "" where the column is NULL. */
struct node_item {
	char remote[DW_REMOTE_ID_MAX + 1];
	char remote_parent[DW_REMOTE_ID_MAX + 1];
	char remote_name[1024];
	char etag[DW_REMOTE_ID_MAX + 1];
	char version[DW_REMOTE_ID_MAX + 1];
	uint8_t digest[64];
	uint32_t digest_length;
	uint64_t remote_size;
	int64_t remote_mtime;
};

#define NODE_NAME_SIZE 256 /* 255 bytes and the NUL */

/* -ENOENT */
int nodes_read(struct database_connection *connection, uint64_t id, struct node_row *out);
int nodes_find(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
	       struct node_row *out);
int nodes_find_remote(struct database_connection *connection, const char *remote, struct node_row *out);
int nodes_name(struct database_connection *connection, uint64_t id, char name[NODE_NAME_SIZE]);
int nodes_item(struct database_connection *connection, uint64_t id, struct node_item *out);
/* The path below the drive's root, without a leading '/'; "" for the root. -ERANGE. */
int nodes_path(struct database_connection *connection, uint64_t id, char *path, size_t size);

/* Make a row here (no item yet): dirty = DIRTY_NEW | what it takes. -EEXIST (the name is taken, also by one that folds
 * to it). */
int nodes_make(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
	       const struct node_row *row, uint64_t *id);
/* Set dirty bits, raise change, since = now. */
int nodes_dirty(struct database_connection *connection, uint64_t id, uint32_t dirty);
/*
 * Take the name away: the node becomes an orphan when keep is set (it is open), else its row, attributes and content
 * are deleted. Its item, if it has one, is adopted by the file that holds the item's place now, or goes into the table
 * gone.
 */
int nodes_remove(struct database_connection *connection, struct cache *cache, const struct node_row *row, bool keep);
/* The file at the place that the item of gone row has takes the item over: 1 when there was one, 0 when not. */
int nodes_adopt(struct database_connection *connection, struct cache *cache, const char *remote);
/* Move within the drive; the new place is free. Sets DIRTY_PLACE (or clears it, when it is back where the server has
 * it). */
int nodes_move(struct database_connection *connection, struct cache *cache, uint64_t id, uint64_t parent,
	       const char *name);

/* Exactly once: the result of request, if it was applied already: 1 and *node and *value; 0. */
int nodes_done(struct database_connection *connection, uint64_t request, uint64_t *node, int64_t *value);
int nodes_set_done(struct database_connection *connection, uint64_t request, uint64_t node, int64_t value);

/* What must differ within a folder, for name: name itself, or case-folded. out has room for 1024 bytes; its length. */
size_t nodes_fold(struct cache *cache, const char *name, char *out);

#endif
