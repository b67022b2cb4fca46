/* SPDX-License-Identifier: MIT */
/*
 * operations.h - the operations of the drive, and what they share
 *
 * What may be answered at once is: the database and content files are local. With DW_REQUEST_NOWAIT an operation that
 * would have to list a folder, fetch bytes, wait for the disk or for the server answers -EAGAIN before it changes
 * anything.
 *
 * Exactly once: a change notes its request in the table done, in its own transaction; a request that is replayed is
 * looked up there first (operation_done). Handles: active.h.
 */
#ifndef CACHE_OPERATIONS_H
#define CACHE_OPERATIONS_H

#include "cache/active.h"
#include "cache/nodes.h"

#define OPERATIONS_NAMED_OWN "user.driveway." /* attributes of the drive's own */

static inline struct cache *cache_of(struct dw_filesystem *fs)
{
	return (struct cache *)fs;
}

static inline bool is_nowait(const struct dw_request *req)
{
	return req->flags & DW_REQUEST_NOWAIT;
}

/* --- entries.c ----------------------------------------------------------------------------------------- */

struct dw_time entry_time(int64_t nanoseconds);
int64_t entry_nanoseconds(struct dw_time time);
/* As stat tells it; of a file that is open for writing what its content file says. *changing: it is, and the kernel
 * should not believe it for long. */
int entry_attr(struct cache *cache, struct node_row *row, struct dw_attr *out, bool *changing);
int entry_of(struct cache *cache, struct node_row *row, struct dw_entry *out);
/* The node of id as an entry. -ESTALE. */
int entry_read(struct cache *cache, uint64_t id, struct dw_entry *out);
/*
 * The folder parent, and in it the node called name (fold: or one that folds to it), listing the folder where that is
 * needed. -ENOENT: *folder is good and there is none. -ESTALE, -ENOTDIR, -EAGAIN, -ENAMETOOLONG, what a listing says.
 */
int entry_find(struct cache *cache, const struct dw_request *req, uint64_t parent, const char *name, bool fold,
	       struct node_row *folder, struct node_row *row);
/* May name be made in folder? -EROFS, -EACCES, -EINVAL, -EILSEQ, -ENAMETOOLONG. */
int entry_may_make(struct cache *cache, const struct node_row *folder, const char *name);
/* Is anything allowed to change, and has this item the right? -EROFS, -EACCES. */
int entry_may(struct cache *cache, const struct node_row *row, uint32_t right);
/* 1: an earlier process did it, and *node is what it was done to; 0. Only looks when the request is replayed. */
int operation_done(struct cache *cache, const struct dw_request *req, uint64_t *node);
/* End a transaction: commit, or roll back when ret is not 0. What came of it. */
int operation_end(struct database_connection *connection, int ret);

/* --- opened.c: content of nodes that are open ----------------------------------------------------------- */

/* All: node->lock is held. The content of the node, made where there is none. -ESTALE (the row is gone), -EIO. */
int opened_content(struct cache *cache, struct active_node *node);
/* The row as it is after whoever saw the node closed has committed (absorb.c). -ESTALE. */
int opened_read_row(struct cache *cache, uint64_t id, struct node_row *row);
/* The node is seen open now: is its content still the row's? -EAGAIN: no; let go of it and begin again. seen:
 * cache->replaced before the row was read, which mostly saves reading it again; UINT64_MAX: read it. */
int opened_verify(struct cache *cache, struct active_node *node, uint64_t seen);
/* Before bytes are changed. -ENOSPC, -EIO. */
int opened_modify(struct cache *cache, struct active_node *node);
/* Were bytes changed since the row last agreed? Then they go into the row. *changed may be NULL. */
int opened_settle(struct cache *cache, struct active_node *node, bool *changed);
/* Nobody writes any more. */
void opened_idle(struct cache *cache, struct active_node *node);
int opened_truncate(struct cache *cache, struct active_node *node, uint64_t size);
/* Set-user-id, set-group-id and the like go. */
int opened_kill_privileges(struct cache *cache, uint64_t id);
/* At the start: local contents of files that are not open tell what became of them when this process could not. */
int opened_recover(struct cache *cache, bool restarted);

/* --- own.c: user.driveway.* ----------------------------------------------------------------------------- */

int own_get(struct cache *cache, uint64_t node, const char *name, char *value, size_t size);
int own_set(struct cache *cache, const struct dw_request *req, uint64_t node, const char *name, const char *value);

/* --- The operations ------------------------------------------------------------------------------------ */

int cache_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 struct dw_entry *out);
void cache_forget(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list, size_t count);
int cache_readlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *out, size_t *length);
int cache_unlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name);
int cache_rmdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name);
int cache_rename(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint64_t new_parent, const char *new_name, uint32_t flags);
int cache_link(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t new_parent,
	       const char *new_name, struct dw_entry *out);

int cache_mknod(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor, struct dw_entry *out);
int cache_mkdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, struct dw_entry *out);
int cache_symlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  const char *target, struct dw_entry *out);
int cache_create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open);
int cache_tmpfile(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, uint32_t mode,
		  uint32_t flags, struct dw_entry *out, struct dw_open *open);

int cache_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  struct dw_attr *out, uint64_t *timeout);
int cache_setattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  const struct dw_setattr *in, struct dw_attr *out);
int cache_statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out);
int cache_syncfs(struct dw_filesystem *fs, const struct dw_request *req);

int cache_setxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
		   const void *value, size_t size, uint32_t flags);
int cache_getxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name, void *value,
		   size_t *size);
int cache_listxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *list, size_t *size);
int cache_removexattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name);

int cache_open(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
	       struct dw_open *out);
int cache_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, void *buffer,
	       size_t size, uint64_t offset, size_t *done);
int cache_write(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *done);
int cache_flush(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, uint64_t owner);
void cache_release(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle);
int cache_fsync(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, bool data_only);
int cache_fallocate(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		    uint64_t offset, uint64_t length, uint32_t flags);
int cache_copy_file_range(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node_in, uint64_t handle_in,
			  uint64_t offset_in, uint64_t node_out, uint64_t handle_out, uint64_t offset_out, size_t size,
			  size_t *done);
int cache_lseek(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, uint64_t offset,
		uint32_t whence, uint64_t *out);
/* The answer of an open or create of row's node; flags as in open. row may be a little old; seen: cache->replaced
 * before it was read. */
int files_open_node(struct cache *cache, const struct dw_request *req, const struct node_row *row, uint64_t seen,
		    uint32_t flags, struct dw_open *out);

int cache_opendir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_open *out);
int cache_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  uint64_t offset, struct dw_listing *listing);
int cache_fsyncdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   bool data_only);

int cache_report(struct dw_filesystem *fs, char *json, size_t *size);

#endif
