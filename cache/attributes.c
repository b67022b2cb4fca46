/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "cache/operations.h"
#include "cache/sync.h"

#define BLOCK	    4096u
#define UNLIMITED   (UINT64_C(1) << 50) /* what df shows where nobody says how large it is: 1 PiB */
#define MANY_FILES  (UINT64_C(1) << 40)
#define NANOSECONDS 1000000000u

int cache_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  struct dw_attr *out, uint64_t *timeout)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection = database_glance(cache->database);
	struct node_row row;
	bool changing;
	int ret = nodes_read(connection, node, &row);

	(void)req;
	(void)handle;
	database_read_end(connection);
	if (ret)
		return ret == -ENOENT ? -ESTALE : ret;
	ret = entry_attr(cache, &row, out, &changing);
	if (changing)
		*timeout = 0;
	return ret;
}

/* --- setattr ------------------------------------------------------------------------------------------- */

static bool times_are_valid(const struct dw_setattr *in)
{
	return !((in->valid & DW_SET_ATIME && in->atime.nanoseconds >= NANOSECONDS) ||
		 (in->valid & DW_SET_MTIME && in->mtime.nanoseconds >= NANOSECONDS) ||
		 (in->valid & DW_SET_CTIME && in->ctime.nanoseconds >= NANOSECONDS));
}

/* Set-user-id and set-group-id go when somebody else may become the owner, or bytes change. */
static uint32_t mode_after(const struct node_row *row, const struct dw_setattr *in)
{
	uint32_t mode = row->mode;

	if (in->valid & DW_SET_MODE)
		mode = (mode & DW_MODE_TYPE) | (in->mode & 07777);
	if (node_is_folder(row))
		return mode;
	if (in->valid & DW_SET_KILL_PRIV || (in->valid & (DW_SET_UID | DW_SET_GID) && !(in->valid & DW_SET_MODE))) {
		mode &= ~DW_MODE_SETUID;
		if (mode & 010)
			mode &= ~DW_MODE_SETGID;
	}
	return mode;
}

/* Everything but the size. What the content file has to be told is in *modified. */
static int change_row(struct cache *cache, const struct dw_request *req, uint64_t node, const struct dw_setattr *in,
		      int64_t *modified)
{
	struct database_connection *connection = database_write(cache->database);
	int64_t now = cache_now();
	struct node_row row, old;
	uint32_t dirty = 0;
	int ret = nodes_read(connection, node, &row);

	(void)req;
	if (ret)
		goto out;
	old = row;
	row.mode = mode_after(&row, in);
	row.uid = in->valid & DW_SET_UID ? in->uid : row.uid;
	row.gid = in->valid & DW_SET_GID ? in->gid : row.gid;
	if (in->valid & DW_SET_ATIME)
		row.atime = in->valid & DW_SET_ATIME_NOW ? now : entry_nanoseconds(in->atime);
	if (in->valid & DW_SET_MTIME)
		row.mtime = in->valid & DW_SET_MTIME_NOW ? now : entry_nanoseconds(in->mtime);
	row.ctime = in->valid & DW_SET_CTIME ? entry_nanoseconds(in->ctime) : now;
	*modified = row.mtime;
	ret = nodes_set_stat(connection, &row);
	/* A folder's time is this machine's own affair, as it is wherever something is made in it. */
	if (row.mode != old.mode || row.uid != old.uid || row.gid != old.gid ||
	    (row.mtime != old.mtime && !node_is_folder(&row)))
		dirty = DIRTY_PROPERTIES;
	/* Bytes that are on their way need not go once more for this: properties follow them. */
	if (!ret && dirty)
		ret = row.dirty & (DIRTY_CONTENT | DIRTY_NEW) ? nodes_mark(connection, node, dirty)
							      : nodes_dirty(connection, node, dirty);
out:
	return operation_end(connection, ret == -ENOENT ? -ESTALE : ret);
}

/* The content file shows the time that the row does, where it is the truth. */
static int change_content_time(struct cache *cache, struct active_node *active, const struct node_row *row,
			       int64_t modified)
{
	struct content_stamp stamp;
	bool agreed = false;
	int ret = 0;

	if (!node_is_file(row) || (!row->content && !active->content))
		return 0;
	if (!active->content)
		ret = opened_content(cache, active);
	if (ret || !content_is_local(active->content))
		return ret;
	if (active->stamped && content_stamp(active->content, &stamp) == 0)
		agreed = active_same_stamp(&stamp, &active->stamp);
	ret = content_set_modified(active->content, entry_time(modified));
	if (!ret && agreed)
		ret = content_stamp(active->content, &active->stamp);
	return ret;
}

static int change_size(struct cache *cache, struct active_node *active, uint64_t size)
{
	unsigned opens, writers;
	int ret;

	active_begin_change(cache, active);
	do {
		ret = opened_content(cache, active);
		if (!ret)
			ret = opened_verify(cache, active, UINT64_MAX);
		active_counts(cache, active->node, &opens, &writers);
		if (ret == -EAGAIN && opens == 1) {
			content_put(active->content);
			active->content = NULL;
		}
	} while (ret == -EAGAIN && opens == 1);
	if (!ret)
		ret = opened_truncate(cache, active, size);
	active_end_change(cache, active);
	return ret == -EAGAIN ? -ESTALE : ret;
}

/* Without an open handle nobody else lets go of the content. */
static void close_unopened(struct cache *cache, struct active_node *active)
{
	unsigned opens, writers;

	active_counts(cache, active->node, &opens, &writers);
	if (writers == 0)
		opened_idle(cache, active);
	if (opens == 0 && active->content) {
		content_put(active->content);
		active->content = NULL;
	}
}

int cache_setattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  const struct dw_setattr *in, struct dw_attr *out)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection;
	struct active_node *active;
	struct node_row row;
	int64_t modified = 0;
	uint64_t timeout;
	int ret;

	if (!times_are_valid(in))
		return -EINVAL;
	if (is_nowait(req) && in->valid & DW_SET_SIZE)
		return -EAGAIN;
	connection = database_read(cache->database);
	ret = nodes_read(connection, node, &row);
	database_read_end(connection);
	if (ret)
		return ret == -ENOENT ? -ESTALE : ret;
	if (cache->options.read_only)
		return -EROFS;
	if (in->valid & DW_SET_SIZE) {
		if (node_is_folder(&row))
			return -EISDIR;
		if (!node_is_file(&row))
			return -EINVAL;
		if (in->size > INT64_MAX)
			return -EFBIG;
		ret = entry_may(cache, &row, DW_REMOTE_MAY_WRITE);
	}
	if (!ret)
		ret = active_get(cache, node, &active);
	if (ret)
		return ret;
	pthread_mutex_lock(&active->lock);
	if (in->valid & DW_SET_SIZE)
		ret = change_size(cache, active, in->size);
	if (!ret && (in->valid & ~(DW_SET_SIZE | DW_SET_CTIME) || !(in->valid & DW_SET_SIZE)))
		ret = change_row(cache, req, node, in, &modified);
	if (!ret && in->valid & DW_SET_MTIME)
		ret = change_content_time(cache, active, &row, modified);
	close_unopened(cache, active);
	pthread_mutex_unlock(&active->lock);
	active_put(cache, active);
	if (ret)
		return ret;
	sync_wake(cache->sync);
	return cache_getattr(fs, req, node, handle, out, &timeout);
}

/* --- The whole ----------------------------------------------------------------------------------------- */

int cache_statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out)
{
	struct cache *cache = cache_of(fs);
	uint64_t total, used;

	(void)req;
	(void)node;
	pthread_mutex_lock(&cache->state.lock);
	total = cache->state.quota_total;
	used = cache->state.quota_used;
	pthread_mutex_unlock(&cache->state.lock);
	if (!total || total > UNLIMITED)
		total = used < UNLIMITED ? UNLIMITED : used;
	used = used < total ? used : total;
	*out = (struct dw_statfs){
		.blocks = total / BLOCK,
		.blocks_free = (total - used) / BLOCK,
		.blocks_available = (total - used) / BLOCK,
		.files = MANY_FILES,
		.files_free = MANY_FILES,
		.block_size = BLOCK,
		.name_max = NODE_NAME_SIZE - 1,
	};
	return 0;
}

static void sync_one(struct cache *cache, struct active_node *node, void *context)
{
	unsigned opens, writers;
	int *result = context;
	int ret = 0;

	active_counts(cache, node->node, &opens, &writers);
	if (!writers)
		return;
	pthread_mutex_lock(&node->lock);
	ret = opened_settle(cache, node, NULL);
	if (!ret)
		ret = content_sync(node->content);
	pthread_mutex_unlock(&node->lock);
	if (ret)
		*result = ret;
}

/* Local contents that were closed without a word about durability. */
static int sync_closed(struct cache *cache)
{
	uint64_t after = 0;
	int ret;

	for (;;) {
		struct database_connection *connection = database_read(cache->database);
		sqlite3_stmt *query = database_statement(connection, "SELECT id FROM content WHERE boot = 1 AND "
								     "local = 1 AND id > ? ORDER BY id LIMIT 1");
		struct content *content;

		sqlite3_bind_int64(query, 1, (int64_t)after);
		ret = database_step(connection, query);
		if (ret > 0)
			after = (uint64_t)sqlite3_column_int64(query, 0);
		database_read_end(connection);
		if (ret <= 0)
			return ret;
		ret = content_get(cache->contents, after, &content);
		if (ret == -ENOENT)
			continue;
		if (!ret) {
			ret = content_sync(content);
			content_put(content);
		}
		if (ret)
			return ret;
	}
}

int cache_syncfs(struct dw_filesystem *fs, const struct dw_request *req)
{
	struct cache *cache = cache_of(fs);
	int ret = 0;

	if (is_nowait(req))
		return -EAGAIN;
	active_each(cache, sync_one, &ret);
	if (!ret)
		ret = sync_closed(cache);
	return ret ? ret : database_sync(cache->database);
}
