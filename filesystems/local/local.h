/* SPDX-License-Identifier: MIT */
/*
 * local.h - a folder of this machine as a drive
 *
 *    local.c        the provider: opens the folder, the table, fills in the operations
 *    table.c        what is known of nodes, names and handles; survives the process
 *    folders.c      descriptors of folders, and how a node is reached on the host
 *    names.c        lookup, readlink, unlink, rmdir, rename, link, forget
 *    making.c       create, tmpfile, mknod, mkdir, symlink
 *    files.c        open, release, read, write and what else takes a handle
 *    attributes.c   getattr, setattr, statfs, syncfs
 *    xattrs.c       extended attributes
 *    listing.c      opendir, readdir, releasedir, fsyncdir
 *    credentials.c  making files as the one who asks
 *    dropper.c      files without a name go behind the answer
 *
 * Truth is on the host; the table only says where to look. An operation on a node is one *at() call in
 * its folder by its name, or on a descriptor that is open already. Whatever is found is compared with
 * the node's identity (identity_equal) before it is believed or changed; where another file stands
 * there, the next known name is tried, then the answer is -ESTALE and the kernel looks the path up again.
 *
 * Nothing outside the mirrored folder can be reached: every call names one component relative to a
 * folder's descriptor, and symbolic links are never followed. Mounts inside are crossed.
 *
 * Order of locks: opened.lock, then table.lock. The table's is never held over a system call. The dropper's is a leaf.
 */
#ifndef FILESYSTEMS_LOCAL_LOCAL_H
#define FILESYSTEMS_LOCAL_LOCAL_H

#include <driveway/filesystem.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "dropper.h"
#include "table.h"

#define LOCAL_STATX  (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)
#define LOCAL_PASSES 8u	   /* over a node's names, when they change meanwhile */
#define LOCAL_DEPTH  2048u /* folders below one another that are opened in one go */

struct folder_slot {
	arena_ref node; /* 0: free */
	bool used;	/* since the hand came by */
};

/* What programs want of listings; see files_wanted in listing.c. Hints, without order. */
struct local_wants {
	_Atomic uint32_t left_out;  /* files that were listed without attributes */
	_Atomic uint32_t looked_up; /* files that were asked for by name meanwhile */
	_Atomic uint32_t listings;  /* that are still to give attributes */
};

struct local {
	struct dw_filesystem fs;
	struct dw_host *host;
	struct table table;
	struct opened *root;
	struct dropper *dropper;
	uint32_t uid; /* of this process */
	uint32_t gid;
	bool privileged;      /* can make files for others */
	_Atomic bool backing; /* passthrough has not been refused */
	struct local_wants wants;
	/* The folder cache, guarded by table.lock; a clock. */
	struct folder_slot *slots;
	uint32_t slot_count;
	uint32_t slot_hand;
};

static inline struct local *local_of(struct dw_filesystem *fs)
{
	return (struct local *)fs;
}

/* A node as it can be reached: in folder at under name, or, when name is empty, it is at itself. */
struct place {
	struct opened *at;
	struct identity identity;
	char name[NAME_MAX + 1];
};

/* --- local.c ------------------------------------------------------------------------------------------- */

/*
 * *err is what the host answered. True when it said that there is no room, and files that were removed have given
 * theirs back since: try once more. *err becomes -EAGAIN where that may not be waited for.
 */
bool local_room_made(struct local *local, const struct dw_request *req, int *err);

/* --- folders.c ----------------------------------------------------------------------------------------- */

/* Room for count descriptors. -ENOMEM. */
int folders_open(struct local *local, uint32_t count);
void folders_close(struct local *local);
/* A descriptor of a folder, good for *at() calls; put it. -ESTALE, -ENOTDIR, -ENOENT (removed), what openat says. */
int folder_get(struct local *local, uint64_t id, struct opened **out);
/* The folder's descriptor goes into the cache too. */
void folder_keep(struct local *local, uint64_t id, struct opened *opened);
/*
 * Where node id is, and, unless stx is NULL, its attributes. handle: as in the interface. Put out->at. With stx
 * the place was checked to be this node's. -ESTALE, what statx says.
 */
int node_place(struct local *local, uint64_t id, uint64_t handle, struct place *out, struct statx *stx);
/* A descriptor of the node itself, checked; at least O_PATH. flags: O_PATH, or how to open it. */
int node_open(struct local *local, uint64_t id, uint64_t handle, int flags, struct opened **out, struct statx *stx);
int local_statx(int fd, const char *name, struct statx *out);

/* --- attributes.c -------------------------------------------------------------------------------------- */

void attr_of(const struct statx *stx, struct dw_attr *out);
/* Clear set-user-id and set-group-id as a write by somebody without privileges does. */
int attr_kill_privileges(int fd);

/* --- files.c ------------------------------------------------------------------------------------------- */

/* The descriptor of a handle, opened again if this process does not have it. -EBADF. */
int handle_get(struct local *local, uint64_t id, uint64_t handle, struct opened **out);
/* A file that is about to lose its last name is given into the host's keeping if it is open. */
void node_keep_open(struct local *local, uint64_t id);
/* Flags of an open as the host shall see them. */
int host_flags(uint32_t flags);
/*
 * Hand a file that is being opened to the kernel unless the node is open already. *id: 0 for none. A file whose mode
 * has set-user-id or set-group-id is never handed over: a write through the backing file is made with our
 * rights and would leave the bits, where a write that we are asked for says that they must go.
 */
void backing_offer(struct local *local, uint64_t node, int fd, uint32_t mode, uint32_t *id);
/*
 * Inside a transaction: a handle for node with what was offered, and the answer. *unused: an id to give
 * back after the commit, 0 for none. -ENOMEM.
 */
int handle_enter(struct local *local, const struct dw_request *req, struct node *node, uint32_t flags,
		 struct opened *opened, uint32_t offered, struct dw_open *out, uint32_t *unused);
/* The answer of an open that took effect in an earlier process. */
int handle_again(struct local *local, const struct dw_request *req, struct dw_open *out);

/* --- names.c ------------------------------------------------------------------------------------------- */

/*
 * stx was found in parent under name: make it a node, count a lookup, and fill in out. Inside a
 * transaction. NULL: parent is not known (-ESTALE) or the arena is full (-ENOMEM).
 */
struct node *entry_enter(struct local *local, uint64_t parent, const char *name, const struct statx *stx,
			 struct dw_entry *out, int *err);
/* The same as a transaction of its own. */
int entry_found(struct local *local, const struct dw_request *req, uint64_t parent, const char *name,
		const struct statx *stx, struct dw_entry *out);
/* What the table believes is there; zeros when it does not know. */
void name_identity(struct local *local, uint64_t parent, const char *name, uint64_t *ino, uint64_t *device);
/* The name was removed on the host. */
void name_gone(struct local *local, uint64_t parent, const char *name, struct dw_notes *notes);

/* --- listing.c ----------------------------------------------------------------------------------------- */

/* Somebody asked for a file by its name. */
void listing_looked_up(struct local *local);

/* --- credentials.c ------------------------------------------------------------------------------------- */

struct credentials {
	bool changed;
};

/* From here to credentials_restore this thread makes files as req's caller, with its umask. */
void credentials_take(struct local *local, const struct dw_request *req, struct credentials *saved);
/* The mode to ask the host for; after credentials_take. */
uint32_t credentials_mode(const struct dw_request *req, uint32_t mode);
void credentials_restore(struct local *local, const struct credentials *saved);
/* What we made ourselves in folder fd becomes the caller's, as if he had made it. name may be "" for fd itself. */
int credentials_give(struct local *local, const struct dw_request *req, int folder, int fd, const char *name,
		     uint32_t mode);

/* --- The operations ------------------------------------------------------------------------------------ */

int local_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 struct dw_entry *out);
void local_forget(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list, size_t count);
int local_readlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *out, size_t *length);
int local_unlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name);
int local_rmdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name);
int local_rename(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint64_t new_parent, const char *new_name, uint32_t flags);
int local_link(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t new_parent,
	       const char *new_name, struct dw_entry *out);

int local_mknod(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor, struct dw_entry *out);
int local_mkdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, struct dw_entry *out);
int local_symlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  const char *target, struct dw_entry *out);
int local_create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open);
int local_tmpfile(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, uint32_t mode,
		  uint32_t flags, struct dw_entry *out, struct dw_open *open);

int local_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  struct dw_attr *out, uint64_t *timeout);
int local_setattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  const struct dw_setattr *in, struct dw_attr *out);
int local_statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out);
int local_syncfs(struct dw_filesystem *fs, const struct dw_request *req);

int local_setxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
		   const void *value, size_t size, uint32_t flags);
int local_getxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name, void *value,
		   size_t *size);
int local_listxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *list, size_t *size);
int local_removexattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name);

int local_open(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
	       struct dw_open *out);
int local_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, void *buffer,
	       size_t size, uint64_t offset, size_t *done);
int local_write(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *done);
void local_release(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle);
int local_fsync(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, bool data_only);
int local_fallocate(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		    uint64_t offset, uint64_t length, uint32_t flags);
int local_copy_file_range(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node_in, uint64_t handle_in,
			  uint64_t offset_in, uint64_t node_out, uint64_t handle_out, uint64_t offset_out, size_t size,
			  size_t *done);
int local_lseek(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, uint64_t offset,
		uint32_t whence, uint64_t *out);

int local_opendir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_open *out);
int local_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  uint64_t offset, struct dw_listing *listing);
int local_fsyncdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   bool data_only);

extern const struct dw_provider local_provider;

#endif
