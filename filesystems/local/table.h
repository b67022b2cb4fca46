/* SPDX-License-Identifier: MIT */
/*
 * table.h - what a mirrored folder's file system remembers of its nodes
 *
 * The table lives in an arena in kept memory, so node ids and handles outlive the process. It holds
 *
 *    node    one file, folder, link or device of the host, told by (device, inode number, mount) and, where
 *            the host's file system has it, by the time of birth: an inode number that was given to another file
 *            is another node. Hard links are one node.
 *    name    (folder node, text) -> node. A node is reached on the host by one of its names: the
 *            descriptor of the name's folder, and one *at() call. Names refer to the folder by its
 *            node, so renaming a folder changes one name and nothing below it.
 *    handle  one open file or folder of the drive.
 *
 *        names (hash)          node -- names, last seen first --> name --> name
 *        nodes (hash)           |----- handles -----------------> handle --> handle
 *
 * A node is freed when the kernel counts no lookup of it, it has no handle, and no name lies in it.
 * Names are knowledge, not truth: the host's folder can be changed by others at any time. Whoever
 * uses a name checks that it leads to the node.
 *
 * Ids: an object's place in the arena in the lower 32 bits, a running number in the upper ones. An id is
 * checked against the one that stands in the object, so an id that is not valid any more is
 * recognised. The root has the id DW_NODE_ROOT.
 *
 * Exactly once: a transaction that belongs to a request is committed with table_commit(table,
 * notes), which writes the commit's number into the notes just before; table_noted tells later whether that commit
 * happened (arena.h).
 *
 * What belongs to this process alone (descriptors) stands in the same objects, valid while the object's epoch is the
 * table's: the number of times that the table was opened.
 *
 * Locks: table->lock guards everything here, and the folder cache (folders.h). It is held for memory accesses
 * only, never over a system call. Functions here expect it to be held, but for table_open and table_close.
 */
#ifndef FILESYSTEMS_LOCAL_TABLE_H
#define FILESYSTEMS_LOCAL_TABLE_H

#include <driveway/filesystem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "support/arena.h"

/* Words of dw_notes that the room uses. What an operation puts into the others stands at the head of its file. */
enum note {
	NOTE_NUMBER,	  /* number of the commit, 0: none was begun */
	NOTE_ACTING,	  /* 1: the host may have been asked to change */
	NOTE_TIME,	  /* nanoseconds, the host's clock before it was asked */
	NOTE_NODE,	  /* result: node id */
	NOTE_HANDLE,	  /* result: handle id */
	NOTE_BACKING,	  /* release: backing id to close */
	NOTE_DONE_BEFORE, /* work in several transactions: items done before the commit, and with it */
	NOTE_DONE_WITH,
	NOTE_FROM, /* identity of names involved: inode and device of each, 0 for unknown */
	NOTE_FROM_DEVICE,
	NOTE_TO,
	NOTE_TO_DEVICE,
	NOTE_EXISTED,		 /* xattr: 1 absent before, 2 there before */
	NOTE_LISTED = NOTE_FROM, /* readdir: the nodes that were counted, two references a word, to the end */
};

/* What tells one file of the host from every other. */
struct identity {
	uint64_t ino;
	uint64_t device;
	uint64_t birth; /* nanoseconds; 0: not known */
	uint32_t mount;
	uint32_t type; /* DW_MODE_TYPE bits */
};

/* An open descriptor of this process, closed with its last reference. */
struct opened {
	struct opened *next_leaving;
	_Atomic uint32_t references;
	int fd;
	uint32_t flags; /* O_* it was opened with */
	/* For listing; guarded by lock. */
	pthread_mutex_t lock;
	uint64_t position; /* offset of the next entry in buffer */
	uint32_t fill, next;
	char *buffer;
};

struct link { /* first in what a hash holds */
	arena_ref next;
	uint32_t hash;
};

struct name {
	struct link link;
	arena_ref folder;
	arena_ref node;
	arena_ref other; /* next name of node */
	uint16_t length;
	char text[];
};

struct node {
	struct link link;
	uint64_t id; /* 0: freed */
	uint64_t lookups;
	struct identity identity;
	arena_ref names;
	arena_ref handles;
	uint32_t children; /* names that lie in it */
	uint32_t links;	   /* link count when it was last looked at */
	uint32_t backing;  /* passthrough id of all its opens, 0: none */
	uint32_t handle_count;
	bool hashed; /* found by identity */
	bool kept;   /* a descriptor is in the host's keeping */
	/* This process's own, valid while epoch is the table's: */
	uint32_t epoch;
	uint32_t slot; /* in the folder cache */
	struct opened *folder;
};

struct handle {
	uint64_t id;
	arena_ref node;
	arena_ref next; /* of node */
	uint32_t flags; /* DW_O_* it was opened with */
	uint32_t epoch; /* opened is valid while this is the table's */
	struct opened *opened;
	struct handle *before, *behind; /* in the list of those that this process has open */
};

struct table_root;

struct table {
	pthread_mutex_t lock;
	struct arena *arena;
	struct table_root *root; /* in the arena */
	uint32_t epoch;
	uint32_t name_changes; /* counts them */
	struct handle *open_handles;
	struct opened *leaving; /* references to be put by table_unlock */
	/* Called before a node goes that has a descriptor in the folder cache. */
	void (*folder_goes)(struct table *table, struct node *node);
};

/* size: of the region at base. root: the mirrored folder. -EINVAL (another format), -ENOMEM. */
int table_open(struct table *table, void *base, uint64_t size, bool fresh, const struct identity *root);
void table_close(struct table *table);

static inline void table_lock(struct table *table)
{
	pthread_mutex_lock(&table->lock);
}

/* Also puts what left the folder cache meanwhile. */
void table_unlock(struct table *table);
/* Put opened once the lock is free. */
void table_put_later(struct table *table, struct opened *opened);

/* Transactions: arena.h. notes may be NULL. */
void table_begin(struct table *table);
void table_commit(struct table *table, struct dw_notes *notes);
void table_rollback(struct table *table);
/*
 * For a request that takes several transactions: commit this one and note that done items are done with it, in such an
 * order that table_done tells the right number at any moment.
 */
void table_commit_done(struct table *table, struct dw_notes *notes, uint64_t done);
/* How many items of a request are done. Takes the lock itself. */
uint64_t table_done(struct table *table, const struct dw_notes *notes);
/* The transaction that the notes speak of was committed. Takes the lock itself. */
bool table_noted(struct table *table, const struct dw_notes *notes);

/* NULL: not known. */
struct node *table_node(struct table *table, uint64_t id);
struct node *table_node_at(struct table *table, arena_ref ref);
struct handle *table_handle(struct table *table, uint64_t id);
struct handle *table_handle_at(struct table *table, arena_ref ref);
struct name *table_name_at(struct table *table, arena_ref ref);
struct name *table_name(struct table *table, const struct node *folder, const char *text, size_t length);
arena_ref table_ref(const struct table *table, const void *object);
bool identity_equal(const struct identity *a, const struct identity *b);
void identity_of(const struct statx *stx, struct identity *out);

/* The process has no handle open any more; their descriptors are put by table_unlock. */
void table_drop_opened(struct table *table);

/* --- Inside a transaction. NULL or false: the arena is full (roll back). ------------------------------- */

/* The node of this identity, new if need be. A node whose inode number went to another file loses its names. */
struct node *table_enter(struct table *table, const struct identity *identity);
/* node becomes another file of the host (a file without a name that had to be made again). */
void table_become(struct table *table, struct node *node, const struct identity *identity);
/* node has this name, seen last. The name is taken from the node that had it. */
bool table_set_name(struct table *table, struct node *node, struct node *folder, const char *text, size_t length);
/* Forget a name. Its node may be gone afterwards, and its folder too. */
void table_drop_name(struct table *table, struct name *name);
/* node's last name was removed from the host: its inode number may come again for another file. */
void table_unhash(struct table *table, struct node *node);
void table_count(struct table *table, struct node *node, uint64_t lookups);
/* Counts given back; the node may be gone afterwards. */
void table_forget(struct table *table, struct node *node, uint64_t lookups);
struct handle *table_make_handle(struct table *table, struct node *node, uint32_t flags);
/* The handle's descriptor in this process; the reference goes to the handle. */
void table_set_opened(struct table *table, struct handle *handle, struct opened *opened);
/* The handle's descriptor in this process or NULL. */
struct opened *table_opened(const struct table *table, const struct handle *handle);
/* The reference of the handle's descriptor goes to the caller, NULL for none. The node may be gone afterwards. */
struct opened *table_drop_handle(struct table *table, struct handle *handle);
void table_set_backing(struct table *table, struct node *node, uint32_t backing);
/* Nothing of node is in the host's keeping any more. */
void table_set_unkept(struct table *table, struct node *node);
/* Free node unless something holds it. */
void table_settle(struct table *table, struct node *node);
/* Bytes that may still be saved in this transaction. */
size_t table_room(const struct table *table);

uint64_t table_nodes(const struct table *table);

/* --- Descriptors --------------------------------------------------------------------------------------- */

/* Takes fd over. NULL: out of memory, and fd is closed. */
struct opened *opened_make(int fd, uint32_t flags);
struct opened *opened_get(struct opened *opened);
/* May be NULL. Not under the table's lock: it may close. */
void opened_put(struct opened *opened);

#endif
