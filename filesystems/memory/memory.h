/* SPDX-License-Identifier: MIT */
/*
 * memory.h - the file system `memory`: a POSIX drive that lives in kept memory
 *
 * Everything that the drive holds stands in regions that the host keeps (dw_host.keep), so it survives a
 * kill of this process at any instruction:
 *
 *    "shape"   sizes chosen when the drive was made (struct shape)
 *    "arena"   nodes, names, block maps, extended attributes: a heap with transactions (support/arena.h)
 *    "data"    file contents, in blocks of 4 KiB
 *    "dirty"   one bit a block: it may hold other bytes than zero
 *
 * Files
 *    memory.c      provider, options, opening, lock and transactions
 *    nodes.c       node table: ids, counts of lookups, destruction
 *    tree.c        map from 64-bit keys to 32-bit values
 *    names.c       names: hash table and the order in which a folder lists them
 *    folders.c     operations on names: lookup, mkdir, mknod, unlink, rmdir, link, symlink, readdir
 *    rename.c      rename
 *    attributes.c  getattr, setattr, statfs, and the files' opening
 *    blocks.c      which blocks are in use; what waits to be freed; giving memory back to the system
 *    content.c     read and write
 *    space.c       fallocate, lseek, copy_file_range
 *    xattrs.c      extended attributes
 *    acl.c         POSIX ACLs: what they do to the mode, and how new nodes inherit them
 *
 * Exactly once. Each change of the drive is one transaction, whose number and result go into the request's
 * notes as its last step (memory_finish). A replayed request whose notes hold a committed number is
 * answered from them and changes nothing. Work that does not fit one transaction (the blocks of a large file) is
 * arranged so that doing part of it twice is the same as doing it once.
 *
 * Contents and transactions. The bytes of blocks are not in the undo log; order makes them safe. A block that a file
 * does not hold yet is filled first and entered into the file's map afterwards. Bytes of a last block
 * behind the end of the file mean nothing: whoever makes the file longer clears them. The dirty bits are set before a
 * block is filled and cleared after it was given back to the system, both outside transactions, so that
 * a block never looks cleaner than it is.
 *
 * Lock. One reader-writer lock for the whole drive: exclusive for every transaction, shared for reading
 * metadata and for copying contents in or out of blocks that a file holds (so that they cannot be freed meanwhile and
 * show another file's bytes). Blocks that are being filled for the first time belong to one request
 * only and are copied to without the lock.
 *
 * Open files have no state: a handle is the flags of its open. A node lives while it has a name or the kernel has
 * lookups of it, and the kernel keeps a lookup for as long as a file is open.
 *
 * Locks (getlk, setlk, flock) are left to the kernel: all programs that see the drive are on this machine, and the
 * kernel's own locks survive whatever happens to this process. fsync, fsyncdir, syncfs and flush have
 * nothing to do and are not there.
 *
 * atime: as a native file system mounted with relatime. A read, readlink or listing that reaches the file system
 * sets it if it is not later than mtime and ctime, or is a day old. What the kernel answers from its page cache does
 * not count, as the file system does not hear of it.
 */
#ifndef FILESYSTEMS_MEMORY_MEMORY_H
#define FILESYSTEMS_MEMORY_MEMORY_H

#include <driveway/filesystem.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"

/* Not on every platform. */
#ifndef ESTALE
#define ESTALE 116
#endif

#define BLOCK_SIZE	 4096u
#define MEMORY_SIZE_MAX	 ((uint64_t)8 << 40)
#define MEMORY_NAME_MAX	 255u
#define MEMORY_LINKS_MAX 0x7fffffffu
/* Bytes that may be free and not given back to the system yet, of contents and of metadata each. */
#define MEMORY_SLACK (16u << 20)
/* A request that has more blocks than this to free is not one for a thread that may not block. */
#define MEMORY_LONG 16384u

/* A map from keys to values that are not 0; 32 entries a level. All zero is an empty one. */
struct tree {
	arena_ref root;	 /* height 0: the value of key 0 itself */
	uint32_t height; /* levels below root */
};

enum node_time { TIME_ACCESS, TIME_MODIFY, TIME_CHANGE, TIME_BIRTH, TIME_COUNT };

#define NODE_HAS_CAPABILITY  (1u << 0) /* security.capability is among the extended attributes */
#define NODE_HAS_ACCESS_ACL  (1u << 1)
#define NODE_HAS_DEFAULT_ACL (1u << 2)

struct node {
	uint64_t size;
	uint64_t lookups; /* that the kernel has not given back */
	int64_t seconds[TIME_COUNT];
	uint32_t nanoseconds[TIME_COUNT];
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t index; /* in the node table */
	uint32_t generation;
	uint32_t blocks;  /* of contents */
	uint32_t flags;	  /* NODE_HAS_* */
	arena_ref xattrs; /* struct xattrs, 0: none */
	uint32_t reserved;
	union {
		struct tree map;  /* file: block index -> block number + 1 */
		arena_ref folder; /* folder: struct folder */
		arena_ref target; /* symbolic link: its text, of size bytes */
		struct {
			uint32_t major;
			uint32_t minor;
		} device;
	};
};

struct folder {
	struct tree entries; /* slot -> struct name */
	uint64_t next_slot;  /* slots only grow, so a listing goes on from where it was */
	uint64_t count;
	uint32_t parent; /* node index; the root's is itself */
	uint32_t reserved;
};

struct name {
	arena_ref next; /* in its bucket */
	uint32_t hash;
	uint32_t parent; /* node index of the folder */
	uint32_t node;	 /* node index */
	uint32_t generation;
	uint32_t slot_low;
	uint16_t slot_high;
	uint8_t length;
	uint8_t type; /* the node's mode >> 12 */
	char text[];  /* length bytes, no NUL */
};

/* A two-level array of numbers. */
#define VECTOR_PAGE 1024u
#define VECTOR_TOP  16384u
#define VECTOR_MAX  (VECTOR_PAGE * VECTOR_TOP)

/* 128 MiB of contents. */
#define GROUP_BLOCKS 32768u
struct group {
	arena_ref used; /* bitmap, 4 KiB; 0: no block of the group was ever used */
	uint32_t free;
};

struct root {
	uint64_t seed; /* of the name hash */
	uint64_t node_count;
	uint64_t blocks_used;
	/* Node table: slabs of 64. */
	arena_ref slabs;       /* vector: slab number -> struct slab */
	uint32_t slab_end;     /* slab numbers from here on were never used */
	uint32_t slab_hint;    /* no slab number below is unused */
	uint32_t slab_partial; /* first slab with room, number + 1 */
	uint32_t generation;   /* of the nodes in new slabs */
	/* Names: linear hashing. */
	arena_ref buckets; /* vector: bucket -> struct name */
	uint32_t bucket_mask;
	uint32_t bucket_split; /* buckets below are already split with the next mask */
	uint64_t name_count;
	arena_ref groups; /* struct group[group_count] */
	uint32_t group_count;
	arena_ref garbage;	/* struct garbage: block maps whose blocks are to be freed */
	arena_ref reservations; /* struct reservation */
};

struct garbage {
	arena_ref next;
	uint32_t reserved;
	struct tree map;
};

struct run {
	uint32_t start;
	uint32_t count;
};

/* Blocks taken for a write that has not entered them into the file's map; freed if the process dies meanwhile. */
struct reservation {
	arena_ref next;
	arena_ref prev;
	uint32_t capacity;
	uint32_t count;
	struct run runs[];
};

struct memory {
	struct dw_filesystem base; /* first */
	struct dw_host *host;
	pthread_rwlock_t lock;
	struct arena *arena;
	struct root *root;
	uint8_t *data;
	uint64_t *dirty;
	int data_fd;  /* -1: no holes can be punched */
	int arena_fd; /* likewise */
	uint64_t limit;
	uint64_t nodes_max;
	uint32_t block_count;
	/* Under the lock, exclusive; not kept. */
	uint64_t used_before; /* at the begin of the transaction */
	uint64_t used_peak;   /* of the arena, since it was trimmed */
	uint64_t promised;    /* blocks that running fallocate calls will still take */
	uint64_t dirty_free;  /* at most so many blocks are free and dirty */
	bool taken;	      /* this transaction took blocks */
	bool sweeping;	      /* a thread gives memory back to the system */
	_Atomic bool work;    /* blocks_collect has something to do; read without the lock */
	uint32_t cursor;      /* no block below is free */
};

static inline struct memory *memory_of(struct dw_filesystem *fs)
{
	return (struct memory *)fs;
}

static inline void *at(const struct memory *memory, arena_ref ref)
{
	return arena_at(memory->arena, ref);
}

#define SAVE(memory, object) arena_save((memory)->arena, (object), sizeof(*(object)))

/* --- memory.c: lock and transactions ------------------------------------------------------- */

extern const struct dw_provider memory_provider;

void memory_lock_shared(struct memory *memory);
void memory_lock_exclusive(struct memory *memory);
void memory_unlock(struct memory *memory);

/* Lock exclusively and begin a transaction. */
void memory_begin(struct memory *memory);
/*
 * Note result and the transaction's number in req (NULL: nothing is noted), commit and unlock. But if the drive
 * has grown beyond its size: undo, unlock, -ENOSPC.
 */
int memory_finish(struct memory *memory, const struct dw_request *req, uint64_t result);
/* Undo, unlock, return error. */
int memory_cancel(struct memory *memory, int error);
/* Whether req is a replay that took effect; *result is then what memory_finish noted. Takes the lock itself. */
bool memory_replayed(struct memory *memory, const struct dw_request *req, uint64_t *result);
/* Bytes that are in use or promised. Under the lock. */
uint64_t memory_used(const struct memory *memory);
struct dw_time memory_now(void);

/* --- tree.c: all but tree_get, tree_span inside a transaction ---------------------------------- */

uint32_t tree_get(const struct memory *memory, const struct tree *tree, uint64_t key);
/* -ENOSPC. value: not 0. */
int tree_set(struct memory *memory, struct tree *tree, uint64_t key, uint32_t value);
/* Returns the value that key had. */
uint32_t tree_clear(struct memory *memory, struct tree *tree, uint64_t key);
/*
 * The values from key on: *count of them in a row in memory. NULL: the next *count keys (at least; UINT64_MAX: all)
 * have no value.
 */
const uint32_t *tree_span(const struct memory *memory, const struct tree *tree, uint64_t key, uint64_t *count);
/* First key from *key on that has a value. */
bool tree_next(const struct memory *memory, const struct tree *tree, uint64_t *key, uint32_t *value);
/* Take the last leaf off: its values go to values (32 at most). Returns their number; 0: the tree is empty. */
unsigned tree_shed(struct memory *memory, struct tree *tree, uint32_t *values);

/* --- nodes.c ------------------------------------------------------------------------------- */

arena_ref vector_create(struct memory *memory);
/* NULL: the page is not there. */
uint32_t *vector_at(const struct memory *memory, arena_ref vector, uint32_t index);
/* Makes the page. NULL: -ENOSPC. Inside a transaction. */
uint32_t *vector_grow(struct memory *memory, arena_ref vector, uint32_t index);

static inline uint64_t node_id(const struct node *node)
{
	return (uint64_t)node->generation << 32 | node->index;
}

/* NULL: there is none (any more). Under the lock. */
struct node *node_find(const struct memory *memory, uint64_t id);
struct node *node_at(const struct memory *memory, uint32_t index);
/* A new node with all times now; nlink and lookups are 0. Inside a transaction. -ENOSPC. */
int node_create(struct memory *memory, uint32_t mode, uint32_t uid, uint32_t gid, struct node **out);
/* If node has neither name nor lookup, destroy it. Inside a transaction. */
void node_release(struct memory *memory, struct node *node);
void node_count_lookup(struct memory *memory, struct node *node);
void node_attr(const struct memory *memory, const struct node *node, struct dw_attr *out);
void node_entry(const struct memory *memory, const struct node *node, struct dw_entry *out);
/* Set several times of a node to now. times: bits 1 << TIME_*. Inside a transaction. */
void node_touch(struct memory *memory, struct node *node, unsigned times);
/* Access time after a read, as relatime has it. Takes the lock itself. */
bool node_atime_is_due(const struct node *node);
void node_accessed(struct memory *memory, uint64_t id);
void memory_forget(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list, size_t count);

static inline bool node_is(const struct node *node, uint32_t type)
{
	return (node->mode & DW_MODE_TYPE) == type;
}

static inline struct folder *folder_of(const struct memory *memory, const struct node *node)
{
	return at(memory, node->folder);
}

/* --- names.c: inside a transaction but for find ------------------------------------------------------- */

int names_create(struct memory *memory);
struct name *name_find(const struct memory *memory, const struct node *parent, const char *text, size_t length);
/* Enter node as text into parent, at the end of its listing or, slot != UINT64_MAX, in a slot that is free. -ENOSPC. */
int name_add(struct memory *memory, struct node *parent, const char *text, size_t length, const struct node *node,
	     uint64_t slot);
void name_remove(struct memory *memory, struct node *parent, struct name *name);
uint64_t name_slot(const struct name *name);

/* --- blocks.c ------------------------------------------------------------------------------------ */

int blocks_create(struct memory *memory);
/*
 * Take up to want blocks in a row, from goal on if that is free. *dirty: some of them may hold other bytes than
 * zero. Returns the run; count 0: none is left. Inside a transaction.
 */
struct run blocks_take(struct memory *memory, uint32_t want, uint32_t goal, bool *dirty);
void blocks_free(struct memory *memory, struct run run);
/* Free a whole map: at once if it is small, else by blocks_collect. Inside a transaction. */
void blocks_discard(struct memory *memory, struct tree *map);
arena_ref reservation_create(struct memory *memory, uint32_t capacity);
void reservation_remove(struct memory *memory, arena_ref ref, bool free_blocks);
/* Free what waits for it, and give memory back to the system when much is free. Outside the lock. */
void blocks_collect(struct memory *memory);
/* After a restart: free what an earlier process had taken and not used. Outside the lock. */
void blocks_recover(struct memory *memory);

static inline uint8_t *block_at(const struct memory *memory, uint32_t block)
{
	return memory->data + (uint64_t)block * BLOCK_SIZE;
}

/* --- content.c ------------------------------------------------------------------------------- */

/* Make the file end at size: clears the bytes behind the old end, up to limit. Inside a transaction. */
void content_extend(struct memory *memory, struct node *node, uint64_t size, uint64_t limit);
/* Free the blocks first to last - 1, in bounded transactions of its own. Outside the lock. 0 or -ESTALE. */
int content_unmap(struct memory *memory, uint64_t id, uint64_t first, uint64_t last);
/* Overwrite with zeros what the file holds of offset to end. Outside the lock. 0 or -ESTALE. */
int content_zero(struct memory *memory, uint64_t id, uint64_t offset, uint64_t end);
/* What content_fill is to do; offsets and sizes in bytes. */
#define CONTENT_SLICE 257u
struct filling {
	uint64_t first; /* blocks first to last - 1, CONTENT_SLICE at most */
	uint64_t last;
	const uint8_t *source;	/* what the blocks are filled with; NULL: zeros */
	uint64_t source_offset; /* where in the file its first byte belongs */
	uint64_t source_size;
	uint64_t *claim; /* blocks promised to the caller (memory.promised); NULL: none */
	uint64_t there;	 /* answer: so many blocks from first on are in the map; less than all: the drive is full */
	bool filled[CONTENT_SLICE]; /* answer: the block was a hole and holds source now */
};
/* Take blocks for the holes in a range, fill them and enter them into the map. Outside the lock. 0 or -ESTALE. */
int content_fill(struct memory *memory, uint64_t id, struct filling *filling);
/* Blocks that contents may still take. Under the lock. */
uint64_t content_room(const struct memory *memory);
/* As the write operation; req NULL: nothing is noted. */
int content_write(struct memory *memory, const struct dw_request *req, uint64_t id, const void *buffer, size_t size,
		  uint64_t offset, uint32_t flags, size_t *done);
int content_read(struct memory *memory, uint64_t id, void *buffer, size_t size, uint64_t offset, size_t *done,
		 bool *atime_is_due);
int memory_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, void *buffer,
		size_t size, uint64_t offset, size_t *done);
int memory_write(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		 const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *done);

/* --- xattrs.c, acl.c -------------------------------------------------------------------------------- */

#define XATTR_CAPABILITY  "security.capability"
#define XATTR_ACCESS_ACL  "system.posix_acl_access"
#define XATTR_DEFAULT_ACL "system.posix_acl_default"

/* The stored value, NULL: none. Under the lock. */
const void *xattr_find(const struct memory *memory, const struct node *node, const char *name, size_t *size);
/* Store (value NULL: remove). Inside a transaction. -ENOSPC. */
int xattr_store(struct memory *memory, struct node *node, const char *name, const void *value, size_t size);
void xattrs_free(struct memory *memory, struct node *node);

/* -EINVAL: not an ACL. *mode receives its permission bits in place of the low nine; *minimal: it says no more than the
 * mode does. */
int acl_to_mode(const void *value, size_t size, uint32_t *mode, bool *minimal);
/* Change an access ACL in place, value of size bytes, so that it says what mode does. */
void acl_apply_mode(void *value, size_t size, uint32_t mode);
/*
 * The mode and, inside a transaction, the ACLs of a new node in parent. mode: what the program asked for. Without a
 * default ACL in parent, umask is taken off. -ENOSPC.
 */
int acl_inherit(struct memory *memory, const struct node *parent, struct node *node, uint32_t mode, uint32_t umask);

/* Clear set-user-id, set-group-id of what its group may execute (ids), and the capability (always). Inside a
 * transaction. */
int node_kill_privileges(struct memory *memory, struct node *node, bool ids);

int memory_setxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
		    const void *value, size_t size, uint32_t flags);
int memory_getxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
		    void *value, size_t *size);
int memory_listxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *list, size_t *size);
int memory_removexattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name);

/* --- folders.c, rename.c ------------------------------------------------------------------------- */

/* The folder with this id. -ESTALE, -ENOTDIR. Under the lock. */
int folder_find(const struct memory *memory, uint64_t id, struct node **out);
/* The folder, for an entry to be made: also -ENOENT when it was removed. */
int folder_find_living(const struct memory *memory, uint64_t id, struct node **out);
/* A name was taken from node, which is not in parent any more. Inside a transaction. */
void node_unlinked(struct memory *memory, struct node *parent, struct node *node);
/* 0, -ENAMETOOLONG, -EINVAL. */
int name_check(const char *name, size_t *length);

int memory_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  struct dw_entry *out);
int memory_readlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *out, size_t *length);
int memory_mknod(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor, struct dw_entry *out);
int memory_mkdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint32_t mode, struct dw_entry *out);
int memory_unlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name);
int memory_rmdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name);
int memory_rename(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  uint64_t new_parent, const char *new_name, uint32_t flags);
int memory_link(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t new_parent,
		const char *new_name, struct dw_entry *out);
int memory_symlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		   const char *target, struct dw_entry *out);
int memory_create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open);
int memory_tmpfile(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, uint32_t mode,
		   uint32_t flags, struct dw_entry *out, struct dw_open *open);
int memory_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   uint64_t offset, struct dw_listing *listing);

/* --- attributes.c, space.c ----------------------------------------------------------------------- */

int memory_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   struct dw_attr *out, uint64_t *timeout);
int memory_setattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   const struct dw_setattr *in, struct dw_attr *out);
int memory_statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out);
int memory_open(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
		struct dw_open *out);
void memory_release(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle);
int memory_opendir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_open *out);
/* What open and create answer. */
void open_answer(uint32_t flags, struct dw_open *out);

int memory_fallocate(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     uint64_t offset, uint64_t length, uint32_t flags);
int memory_lseek(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		 uint64_t offset, uint32_t whence, uint64_t *out);
int memory_copy_file_range(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node_in, uint64_t handle_in,
			   uint64_t offset_in, uint64_t node_out, uint64_t handle_out, uint64_t offset_out, size_t size,
			   size_t *done);

#endif
