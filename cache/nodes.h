/* SPDX-License-Identifier: MIT */
/*
 * nodes.h - rows of nodes
 *
 * Every function works inside a transaction of the caller's (database.h) and takes no lock. What changes a row locally
 * raises node.change and sets dirty bits and since; what comes from the server goes through absorb.h instead. Besides
 * the errors that are listed, each returns those of database.h.
 *
 * The place of an item on the server is (remote_parent, remote_name), the place of a node here (parent, name). An
 * orphan has no place here: it was removed while it was open, or was made without a name; it is never dirty.
 */
#ifndef CACHE_NODES_H
#define CACHE_NODES_H

#include "cache/cache.h"

/* node.dirty: what the server does not know */
#define DIRTY_NEW	 (1u << 0) /* it has no item for it (remote is NULL) */
#define DIRTY_PLACE	 (1u << 1) /* another folder or name */
#define DIRTY_CONTENT	 (1u << 2) /* other bytes */
#define DIRTY_PROPERTIES (1u << 3) /* mode, owner, times, attributes */

/* What an item has of which nobody said another mode. */
#define NODE_FILE_MODE	 (DW_MODE_FILE | 0644u)
#define NODE_FOLDER_MODE (DW_MODE_FOLDER | 0755u)
#define NODE_LINK_MODE	 (DW_MODE_LINK | 0777u)

/* What stat tells, and the state. */
struct node_row {
	uint64_t id;
	uint64_t parent; /* 0: an orphan, or the root */
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t mtime, ctime, atime, btime; /* nanoseconds since 1970 */
	uint64_t content;		    /* 0: none */
	uint32_t dirty;
	int64_t change, since, listed, heard;
	bool pinned;
	bool has_remote;
	bool echo;	 /* what the feed tells of it may be older than what we know */
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
#define NODE_FOLD_SIZE 1024

static inline bool node_is_folder(const struct node_row *row)
{
	return (row->mode & DW_MODE_TYPE) == DW_MODE_FOLDER;
}

/* Is it, on the server, a file whose bytes are those of its content? (Not so a link, whose target is its bytes.) */
static inline bool node_is_file(const struct node_row *row)
{
	return (row->mode & DW_MODE_TYPE) == DW_MODE_FILE;
}

/* Make the root's row of a new database. */
int nodes_make_root(struct database_connection *connection, struct cache *cache);
/* -ENOENT */
int nodes_read(struct database_connection *connection, uint64_t id, struct node_row *out);
/* The one that has exactly this name. -ENOENT */
int nodes_find(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
	       struct node_row *out);
/* The one that holds the place of this name, perhaps with a name that only folds to the same. -ENOENT */
int nodes_holder(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
		 struct node_row *out);
int nodes_find_remote(struct database_connection *connection, const char *remote, struct node_row *out);
/* -ENOENT also for an orphan. */
int nodes_name(struct database_connection *connection, uint64_t id, char name[NODE_NAME_SIZE]);
int nodes_item(struct database_connection *connection, uint64_t id, struct node_item *out);
/* The path below the drive's root, without a leading '/'; "" for the root. -ENOENT (an orphan), -ERANGE. */
int nodes_path(struct database_connection *connection, uint64_t id, char *path, size_t size);
/* 1: below folder, or folder itself; 0. */
int nodes_is_within(struct database_connection *connection, uint64_t id, uint64_t folder);
/* 1: the folder has a child; 0. */
int nodes_has_children(struct database_connection *connection, uint64_t id);
/* Ids of children greater than after, in order; their number, at most maximum. */
int nodes_children(struct database_connection *connection, uint64_t id, uint64_t after, uint64_t *out, size_t maximum);

/*
 * Make a row here (no item yet): dirty = DIRTY_NEW | what it takes. A file takes over the item that had this place and
 * is to be removed (nodes_adopt). parent 0: an orphan, name is NULL. target: of a link, else NULL. -EEXIST (the name is
 * taken, also by one that folds to it), -EILSEQ (no UTF-8, where that is needed).
 */
int nodes_make(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
	       const struct node_row *row, const char *target, uint64_t *id);
/* Set dirty bits, raise change, since = now. No bits: since is kept as it was. Does nothing to an orphan. */
int nodes_dirty(struct database_connection *connection, uint64_t id, uint32_t dirty);
/* Set dirty bits and no more, of a node whose bytes are dirty. */
int nodes_mark(struct database_connection *connection, uint64_t id, uint32_t dirty);
/*
 * Take the name away: the node becomes an orphan when keep is set (it is open), else its row, attributes and content
 * are deleted. Its item, if it has one, is adopted by the file that holds the item's place now, or goes into the table
 * gone. The folder that lost it is not touched.
 */
int nodes_remove(struct database_connection *connection, struct cache *cache, const struct node_row *row, bool keep);
/* Delete the row of an orphan, its attributes and its content. */
int nodes_delete(struct database_connection *connection, struct cache *cache, const struct node_row *row);
/*
 * The file that holds the place that the item remote, of table gone, has on the server takes the item over, if the
 * server has not got that file: 1 when it did, 0 when not.
 */
int nodes_adopt(struct database_connection *connection, struct cache *cache, const char *remote);
/* Move within the drive; the new place is free. Sets DIRTY_PLACE (or clears it, when it is back where the server has
 * it). An orphan becomes a new file. -EEXIST, -EILSEQ. */
int nodes_move(struct database_connection *connection, struct cache *cache, uint64_t id, uint64_t parent,
	       const char *name);
/*
 * A file gives its item up: it goes into the table gone, to be removed once the file was sent to the item that it takes
 * over next. All its bytes are here, in a content that is local.
 */
int nodes_give_up(struct database_connection *connection, struct cache *cache, uint64_t id);
/* The server has not got the node any more, which stays: DIRTY_NEW and all that it takes. */
int nodes_let_go(struct database_connection *connection, struct cache *cache, uint64_t id);
/* Each takes the other's place. */
int nodes_exchange(struct database_connection *connection, struct cache *cache, const struct node_row *one,
		   const struct node_row *other);
/* DIRTY_PLACE as it should be: compare the two places. */
int nodes_settle_place(struct database_connection *connection, uint64_t id);

/* The folder is to be listed again at its next use. */
int nodes_unlist(struct database_connection *connection, uint64_t id);

/* Columns. 0 for content: NULL. */
int nodes_set_content(struct database_connection *connection, uint64_t id, uint64_t content);
/* What its content file says; ctime = now. Dirty for it (nodes_dirty). -ENOENT. */
int nodes_set_bytes(struct database_connection *connection, uint64_t id, uint64_t size, int64_t mtime);
/* size, mtime, ctime, atime, mode, uid, gid, as row has them. */
int nodes_set_stat(struct database_connection *connection, const struct node_row *row);
/* Where a link leads. -ENODATA: not known yet, its item's bytes tell; -ERANGE. */
int nodes_target(struct database_connection *connection, uint64_t id, char *target, size_t size);
int nodes_set_target(struct database_connection *connection, uint64_t id, const char *target);
/* The folder's mtime and ctime become now. */
int nodes_touch_folder(struct database_connection *connection, uint64_t id);

/* Exactly once: the result of request, if it was applied already: 1 and *node and *value; 0. */
int nodes_done(struct database_connection *connection, uint64_t request, uint64_t *node, int64_t *value);
int nodes_set_done(struct database_connection *connection, uint64_t request, uint64_t node, int64_t value);

/* What must differ within a folder, for name: name itself, or case-folded. out has room for NODE_FOLD_SIZE bytes; its
 * length, 0 when name is no UTF-8 and would have to be. */
size_t nodes_fold(struct cache *cache, const char *name, char *out);

#endif
