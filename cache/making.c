/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "cache/operations.h"
#include "cache/sync.h"

/*
 * For how long the kernel may believe the attributes that come with a file that was made and opened for writing.
 * Programs ask for them at once, and would ask the service. The kernel itself forgets them when it writes; what a
 * mapping has changed shows this much later in the times.
 */
#define MADE_TIMEOUT 20000000u /* nanoseconds */

/* What is to be made. */
struct making {
	uint64_t parent;
	const char *name;   /* NULL: without one */
	const char *target; /* of a link */
	uint32_t mode;
};

static int apply(struct database_connection *connection, struct cache *cache, const struct dw_request *req,
		 const struct making *making, const struct node_row *folder, struct content *content, uint64_t *id)
{
	int64_t now = cache_now();
	struct node_row row = {
		.mode = making->mode,
		.uid = req->uid == UINT32_MAX ? cache->uid : req->uid,
		.gid = req->gid == UINT32_MAX ? cache->gid : req->gid,
		.size = making->target ? strlen(making->target) : 0,
		.mtime = now,
		.ctime = now,
		.atime = now,
		.btime = now,
		.content = content ? content_id(content) : 0,
	};
	struct content_stamp stamp;
	int ret;

	/* Its content file's time goes to the server, and is some milliseconds behind. */
	if (content) {
		ret = content_stamp(content, &stamp);
		if (ret)
			return ret;
		row.mtime = entry_nanoseconds(stamp.modified);
	}
	if (folder->mode & DW_MODE_SETGID) {
		row.gid = folder->gid;
		if (node_is_folder(&row))
			row.mode |= DW_MODE_SETGID;
	}
	ret = nodes_make(connection, cache, making->name ? making->parent : 0, making->name, &row, making->target, id);
	if (!ret && making->name)
		ret = nodes_touch_folder(connection, making->parent);
	return ret ? ret : nodes_set_done(connection, req->id, *id, 0);
}

/* What was made. */
struct made {
	struct node_row row;
	uint64_t seen; /* cache->replaced before the row was read */
};

/* The node, made or, when the request is replayed, found. */
static int make(struct cache *cache, const struct dw_request *req, const struct making *making, struct made *out)
{
	struct database_connection *connection;
	struct content *content = NULL;
	struct node_row folder;
	uint64_t id;
	int ret = operation_done(cache, req, &id);

	out->seen = atomic_load(&cache->replaced);
	if (ret)
		return ret < 0 ? ret : opened_read_row(cache, id, &out->row);
	ret = entry_find(cache, req, making->parent, making->name ? making->name : "/", true, &folder, &out->row);
	if (ret != -ENOENT)
		return ret ? ret : -EEXIST;
	ret = making->name ? entry_may_make(cache, &folder, making->name)
			   : entry_may(cache, &folder, DW_REMOTE_MAY_WRITE);
	if (ret)
		return ret;
	connection = database_write(cache->database);
	/* Removed while we looked. */
	ret = nodes_read(connection, making->parent, &folder);
	if (!ret && !folder.parent && folder.id != DW_NODE_ROOT)
		ret = -ENOENT;
	if (!ret && (making->mode & DW_MODE_TYPE) == DW_MODE_FILE)
		ret = content_make(cache->contents, connection, &content);
	if (!ret)
		ret = apply(connection, cache, req, making, &folder, content, &id);
	if (!ret)
		ret = nodes_read(connection, id, &out->row);
	ret = operation_end(connection, ret);
	if (content) {
		if (ret)
			content_discard(content);
		content_put(content);
	}
	if (!ret && making->name)
		sync_wake(cache->sync);
	return ret;
}

static int make_entry(struct cache *cache, const struct dw_request *req, const struct making *making,
		      struct dw_entry *out)
{
	struct made made;
	int ret = make(cache, req, making, &made);

	return ret ? ret : entry_of(cache, &made.row, out);
}

/* A file, open. */
static int make_open(struct cache *cache, const struct dw_request *req, const struct making *making, uint32_t flags,
		     struct dw_entry *out, struct dw_open *open)
{
	struct made made;
	int ret = make(cache, req, making, &made);

	if (!ret)
		ret = entry_of(cache, &made.row, out);
	if (!ret)
		ret = files_open_node(cache, req, &made.row, made.seen, flags & ~DW_O_TRUNC, open);
	if (!ret && (flags & DW_O_ACCMODE) != DW_O_RDONLY)
		out->attr_timeout = MADE_TIMEOUT;
	return ret;
}

int cache_mknod(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor, struct dw_entry *out)
{
	struct making making = {.parent = parent, .name = name, .mode = mode};

	(void)rdev_major;
	(void)rdev_minor;
	switch (mode & DW_MODE_TYPE) {
	case 0:
		making.mode |= DW_MODE_FILE;
		break;
	case DW_MODE_FILE:
	case DW_MODE_FIFO:
	case DW_MODE_SOCKET:
		break;
	default:
		/* A device means something on one machine only. */
		return -EPERM;
	}
	return make_entry(cache_of(fs), req, &making, out);
}

int cache_mkdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, struct dw_entry *out)
{
	const struct making making = {.parent = parent, .name = name, .mode = DW_MODE_FOLDER | (mode & 07777)};

	return make_entry(cache_of(fs), req, &making, out);
}

int cache_symlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  const char *target, struct dw_entry *out)
{
	const struct making making = {.parent = parent, .name = name, .target = target, .mode = NODE_LINK_MODE};

	if (strlen(target) >= 4096)
		return -ENAMETOOLONG;
	return make_entry(cache_of(fs), req, &making, out);
}

int cache_create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	const struct making making = {.parent = parent, .name = name, .mode = DW_MODE_FILE | (mode & 07777)};

	return make_open(cache_of(fs), req, &making, flags, out, open);
}

int cache_tmpfile(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, uint32_t mode,
		  uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	const struct making making = {.parent = parent, .mode = DW_MODE_FILE | (mode & 07777)};

	return make_open(cache_of(fs), req, &making, flags, out, open);
}
