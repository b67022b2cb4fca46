/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "cache/listing.h"
#include "cache/operations.h"

#define SECOND INT64_C(1000000000)

struct dw_time entry_time(int64_t nanoseconds)
{
	int64_t seconds = nanoseconds / SECOND - (nanoseconds % SECOND < 0);

	return (struct dw_time){.seconds = seconds, .nanoseconds = (uint32_t)(nanoseconds - seconds * SECOND)};
}

int64_t entry_nanoseconds(struct dw_time time)
{
	/* About the years 1678 and 2262. */
	if (time.seconds >= INT64_MAX / SECOND)
		return INT64_MAX;
	if (time.seconds <= INT64_MIN / SECOND)
		return INT64_MIN + SECOND;
	return time.seconds * SECOND + time.nanoseconds;
}

int entry_attr(struct cache *cache, struct node_row *row, struct dw_attr *out, bool *changing)
{
	struct active_node *open = node_is_file(row) ? active_find(cache, row->id) : NULL;
	uint64_t allocated = UINT64_MAX;
	unsigned opens = 0, writers = 0;
	int ret = 0;

	*changing = false;
	if (open) {
		active_counts(cache, row->id, &opens, &writers);
		pthread_mutex_lock(&open->lock);
		if (writers)
			ret = opened_content(cache, open);
		if (!ret && open->content && (writers || content_is_local(open->content))) {
			struct dw_time modified;

			ret = content_stat(open->content, &row->size, &modified, &allocated);
			if (!ret)
				row->mtime = entry_nanoseconds(modified);
			*changing = writers != 0;
		}
		pthread_mutex_unlock(&open->lock);
		active_put(cache, open);
	}
	if (ret)
		return ret;
	*out = (struct dw_attr){
		.ino = row->id,
		.size = row->size,
		.blocks = allocated != UINT64_MAX ? allocated / 512 : (row->size + 4095) / 4096 * 8,
		.mode = row->mode,
		.nlink = row->parent || row->id == DW_NODE_ROOT ? 1 : 0,
		.uid = row->uid,
		.gid = row->gid,
		.atime = entry_time(row->atime),
		.mtime = entry_time(row->mtime),
		.ctime = entry_time(row->ctime > row->mtime || !*changing ? row->ctime : row->mtime),
		.btime = entry_time(row->btime),
	};
	return 0;
}

int entry_of(struct cache *cache, struct node_row *row, struct dw_entry *out)
{
	bool changing;
	int ret;

	*out = (struct dw_entry){
		.node = row->id, .entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};
	ret = entry_attr(cache, row, &out->attr, &changing);
	if (changing)
		out->attr_timeout = 0;
	return ret;
}

int entry_read(struct cache *cache, uint64_t id, struct dw_entry *out)
{
	struct database_connection *connection = database_glance(cache->database);
	struct node_row row;
	int ret = nodes_read(connection, id, &row);

	database_read_end(connection);
	return ret == -ENOENT ? -ESTALE : ret ? ret : entry_of(cache, &row, out);
}

/* As the rows are now. */
static int look(struct cache *cache, uint64_t parent, const char *name, bool fold, struct node_row *folder,
		struct node_row *row)
{
	struct database_connection *connection = database_glance(cache->database);
	int ret = nodes_read(connection, parent, folder);

	if (ret == -ENOENT)
		ret = -ESTALE;
	else if (!ret && !node_is_folder(folder))
		ret = -ENOTDIR;
	else if (!ret)
		ret = (fold ? nodes_holder : nodes_find)(connection, cache, parent, name, row);
	database_read_end(connection);
	return ret;
}

int entry_find(struct cache *cache, const struct dw_request *req, uint64_t parent, const char *name, bool fold,
	       struct node_row *folder, struct node_row *row)
{
	uint64_t deadline, pages = 0;
	struct listing *listing;
	bool ended = false;
	int error = 0, ret;

	if (strlen(name) >= NODE_NAME_SIZE)
		return -ENAMETOOLONG;
	ret = look(cache, parent, name, fold, folder, row);
	/* In a folder that was never listed a node that is there was just brought, by us or by its lister. */
	if ((ret && ret != -ENOENT) || !listing_needed(cache, folder) || (!ret && !folder->listed))
		return ret;
	if (is_nowait(req))
		return -EAGAIN;
	ret = listing_get(cache, parent, &listing);
	if (ret)
		return ret;
	deadline = cache_clock() + cache->options.timeout;
	for (;;) {
		bool old = folder->listed != 0;

		pages = listing_pages(cache, listing, &ended, &error);
		if (ended && error) {
			ret = cache_errno(error);
			break;
		}
		ret = look(cache, parent, name, fold, folder, row);
		if (ended || (ret && ret != -ENOENT) || (!ret && !old))
			break;
		ret = listing_wait(cache, listing, pages, deadline, req->interrupted);
		if (ret)
			break;
	}
	listing_put(cache, listing);
	return ret;
}

int entry_may(struct cache *cache, const struct node_row *row, uint32_t right)
{
	if (cache->options.read_only)
		return -EROFS;
	return row->rights & right ? 0 : -EACCES;
}

int entry_may_make(struct cache *cache, const struct node_row *folder, const char *name)
{
	const struct dw_remote_ops *ops = cache->remote->ops;
	char fold[NODE_FOLD_SIZE];
	int ret;

	if (strlen(name) >= NODE_NAME_SIZE)
		return -ENAMETOOLONG;
	ret = entry_may(cache, folder, DW_REMOTE_MAY_WRITE);
	if (!ret && !folder->parent && folder->id != DW_NODE_ROOT)
		ret = -ENOENT;
	if (!ret && ops->check_name)
		ret = ops->check_name(cache->remote, name);
	if (!ret && nodes_fold(cache, name, fold) == 0)
		ret = -EILSEQ;
	return ret;
}

int operation_done(struct cache *cache, const struct dw_request *req, uint64_t *node)
{
	struct database_connection *connection;
	int64_t value;
	int ret;

	if (!(req->flags & DW_REQUEST_REPLAYED))
		return 0;
	connection = database_read(cache->database);
	ret = nodes_done(connection, req->id, node, &value);
	database_read_end(connection);
	return ret;
}

int operation_end(struct database_connection *connection, int ret)
{
	if (!ret)
		return database_commit(connection);
	database_rollback(connection);
	return ret;
}
