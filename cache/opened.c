/* SPDX-License-Identifier: MIT */
/*
 * opened.c - the content of nodes that are open, and how changes of it come into the rows
 *
 * While a file is open for writing its content file is the truth: writes, by passthrough too, change it without a word
 * to the database. A stamp of the content, taken when the row last agreed with it, tells whether there is something to
 * be told; opened_settle tells it, at flush, fsync and release.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/operations.h"
#include "cache/properties.h"
#include "cache/rows.h"
#include "cache/sync.h"

/* A content for a node that has none, and its number in the row. */
static int make_content(struct cache *cache, struct active_node *node)
{
	struct database_connection *connection = database_write(cache->database);
	struct node_item *item = malloc(sizeof(*item));
	struct content_origin origin;
	struct content *content = NULL;
	struct node_row row;
	int ret = item ? nodes_read(connection, node->node, &row) : -ENOMEM;

	if (ret == -ENOENT)
		ret = -ESTALE;
	if (!ret)
		ret = nodes_item(connection, node->node, item);
	if (!ret && row.content) {
		/* Made meanwhile. */
		database_rollback(connection);
		free(item);
		return content_get(cache->contents, row.content, &node->content);
	}
	/* Bytes that were only here are not there any more. */
	if (!ret && row.size && (!row.has_remote || row.dirty & DIRTY_CONTENT))
		ret = -EIO;
	if (!ret && row.has_remote && !(row.dirty & DIRTY_CONTENT)) {
		origin = (struct content_origin){
			.remote = item->remote,
			.version = item->version,
			.size = item->remote_size,
			.digest = item->digest_length ? item->digest : NULL,
			.digest_length = item->digest_length,
		};
		ret = content_expect(cache->contents, connection, &origin, &content);
	} else if (!ret) {
		ret = content_make(cache->contents, connection, &content);
	}
	if (!ret)
		ret = nodes_set_content(connection, node->node, content_id(content));
	ret = operation_end(connection, ret);
	free(item);
	if (ret && content) {
		content_discard(content);
		content_put(content);
		content = NULL;
	}
	node->content = content;
	return ret;
}

int opened_content(struct cache *cache, struct active_node *node)
{
	struct database_connection *connection;
	struct node_row row;
	int ret;

	if (node->content)
		return 0;
	connection = database_read(cache->database);
	ret = nodes_read(connection, node->node, &row);
	database_read_end(connection);
	if (ret)
		return ret == -ENOENT ? -ESTALE : ret;
	if (!node_is_file(&row))
		return -EINVAL;
	if (row.content)
		return content_get(cache->contents, row.content, &node->content);
	return make_content(cache, node);
}

int opened_read_row(struct cache *cache, uint64_t id, struct node_row *row)
{
	struct database_connection *connection;
	int ret;

	if (atomic_load(&cache->replacing)) {
		connection = database_write(cache->database);
		ret = nodes_read(connection, id, row);
		database_rollback(connection);
	} else {
		ret = rows_read(cache, id, row);
	}
	return ret == -ENOENT ? -ESTALE : ret;
}

int opened_verify(struct cache *cache, struct active_node *node, uint64_t seen)
{
	struct node_row row;
	int ret;

	/* Whoever saw the node closed has raised replacing before it looked, and raises replaced before it lowers it.
	 */
	if (!atomic_load(&cache->replacing) && atomic_load(&cache->replaced) == seen)
		return 0;
	ret = opened_read_row(cache, node->node, &row);

	return ret ? ret : row.content == content_id(node->content) ? 0 : -EAGAIN;
}

static int row_mtime(struct cache *cache, uint64_t id, int64_t *mtime)
{
	struct database_connection *connection = database_read(cache->database);
	struct node_row row;
	int ret = nodes_read(connection, id, &row);

	database_read_end(connection);
	*mtime = row.mtime;
	return ret == -ENOENT ? -ESTALE : ret;
}

int opened_modify(struct cache *cache, struct active_node *node)
{
	bool was_local;
	int64_t mtime;
	int ret = opened_content(cache, node);

	if (ret)
		return ret;
	was_local = content_is_local(node->content);
	ret = content_modify(node->content);
	if (!ret && !was_local) {
		ret = row_mtime(cache, node->node, &mtime);
		if (!ret)
			ret = content_set_modified(node->content, entry_time(mtime));
	}
	if (!ret && !node->stamped) {
		ret = content_stamp(node->content, &node->stamp);
		node->stamped = !ret;
	}
	return ret;
}

/* The row of id becomes what its content file says, and dirty. */
static int store_content_state(struct cache *cache, uint64_t id, uint64_t size, struct dw_time modified)
{
	struct database_connection *connection = database_write(cache->database);
	int ret = nodes_set_bytes(connection, id, size, entry_nanoseconds(modified));

	return operation_end(connection, ret == -ENOENT ? -ESTALE : ret);
}

int opened_settle(struct cache *cache, struct active_node *node, bool *changed)
{
	struct content_stamp stamp;
	struct dw_time modified;
	uint64_t size, allocated;
	int ret;

	if (changed)
		*changed = false;
	if (!node->content) {
		/* Taken over from an earlier process. */
		ret = opened_content(cache, node);
		if (ret)
			return ret;
	}
	ret = content_stamp(node->content, &stamp);
	if (ret || (node->stamped && active_same_stamp(&stamp, &node->stamp)))
		return ret;
	/* An upload may have made it the server's while it was open. */
	ret = content_modify(node->content);
	if (!ret)
		ret = content_stat(node->content, &size, &modified, &allocated);
	if (!ret)
		ret = store_content_state(cache, node->node, size, modified);
	if (ret)
		return ret;
	node->stamp = stamp;
	node->stamped = true;
	if (changed)
		*changed = true;
	/* Pages that the kernel read through us before are not what was written past them. */
	if (node->backing && !node->was_empty && cache->host->invalidate_node)
		cache->host->invalidate_node(cache->host, node->node, 0, 0);
	sync_wake(cache->sync);
	return 0;
}

void opened_idle(struct cache *cache, struct active_node *node)
{
	struct database_connection *connection;
	struct node_row row;
	int ret;

	node->stamped = false;
	if (!node->content || !content_is_local(node->content) || !content_has_origin(node->content))
		return;
	connection = database_glance(cache->database);
	ret = nodes_read(connection, node->node, &row);
	database_read_end(connection);
	/* The server has these very bytes. */
	if (!ret && row.parent && row.has_remote && !(row.dirty & (DIRTY_CONTENT | DIRTY_NEW)))
		(void)content_unmodify(node->content);
}

int opened_truncate(struct cache *cache, struct active_node *node, uint64_t size)
{
	int ret = opened_modify(cache, node);

	if (!ret)
		ret = content_truncate(node->content, size);
	return ret ? ret : opened_settle(cache, node, NULL);
}

int opened_kill_privileges(struct cache *cache, uint64_t id)
{
	struct database_connection *connection = database_read(cache->database);
	struct node_row row;
	uint32_t mode;
	int ret = nodes_read(connection, id, &row);

	database_read_end(connection);
	if (ret)
		return ret == -ENOENT ? -ESTALE : ret;
	mode = row.mode & ~DW_MODE_SETUID;
	if (mode & 010)
		mode &= ~DW_MODE_SETGID;
	if (mode == row.mode)
		return 0;
	connection = database_write(cache->database);
	ret = nodes_read(connection, id, &row);
	if (!ret) {
		row.mode = mode;
		ret = nodes_set_stat(connection, &row);
	}
	if (!ret)
		ret = nodes_dirty(connection, id, DIRTY_PROPERTIES);
	return operation_end(connection, ret);
}

/* --- After a crash ------------------------------------------------------------------------------------- */

/* The next node after that has a local content: 1, 0. */
static int next_local(struct cache *cache, uint64_t after, struct node_row *row)
{
	struct database_connection *connection = database_read(cache->database);
	sqlite3_stmt *query = database_statement(connection,
						 "SELECT n.id FROM content c JOIN node n ON n.content = c.id "
						 "WHERE c.local = 1 AND n.id > ? ORDER BY n.id LIMIT 1");
	uint64_t id = 0;
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)after);
	ret = database_step(connection, query);
	if (ret > 0) {
		id = (uint64_t)sqlite3_column_int64(query, 0);
		ret = nodes_read(connection, id, row);
		ret = ret ? ret : 1;
	}
	database_read_end(connection);
	return ret;
}

/* Bytes that may be a mixture, of a file whose whole bytes the server has: the server's are the ones to keep. */
static int go_back(struct cache *cache, const struct node_row *row)
{
	struct database_connection *connection = database_write(cache->database);
	struct node_item *item = malloc(sizeof(*item));
	struct node_row now = *row;
	struct properties_facts facts;
	sqlite3_stmt *put;
	char *set = NULL;
	int ret = item ? nodes_item(connection, row->id, item) : -ENOMEM;

	if (!ret)
		ret = properties_have(connection, row->id, &set);
	if (!ret) {
		properties_read(set, &facts);
		now.size = item->remote_size;
		now.mtime = item->remote_mtime ? properties_mtime(&facts, item->remote_mtime) : now.mtime;
		ret = nodes_set_stat(connection, &now);
	}
	free(set);
	if (!ret) {
		put = database_statement(connection, "UPDATE node SET dirty = dirty & ~4, content = NULL WHERE id = ?");
		sqlite3_bind_int64(put, 1, (int64_t)row->id);
		ret = database_run(connection, put);
	}
	if (!ret)
		content_delete(cache->contents, connection, row->content);
	free(item);
	return operation_end(connection, ret);
}

static int recover(struct cache *cache, const struct node_row *row)
{
	struct content *content;
	struct dw_time modified;
	uint64_t size, allocated;
	int ret = content_get(cache->contents, row->content, &content);

	if (ret) {
		cache_log(cache, 0, "bytes of a file that was changed here are lost: content %llx",
			  (unsigned long long)row->content);
		return ret == -ENOENT ? 0 : ret;
	}
	ret = content_stat(content, &size, &modified, &allocated);
	if (ret)
		goto out;
	if (row->has_remote && content_is_torn(content)) {
		content_put(content);
		cache_log(cache, 1, "changes of a file that were not yet on disk when the machine stopped are undone");
		return go_back(cache, row);
	}
	if (size != row->size || entry_nanoseconds(modified) != row->mtime)
		ret = store_content_state(cache, row->id, size, modified);
	else if (row->has_remote && !(row->dirty & (DIRTY_CONTENT | DIRTY_NEW)))
		ret = content_unmodify(content);
out:
	content_put(content);
	return ret;
}

int opened_recover(struct cache *cache, bool restarted)
{
	struct node_row row = {.id = 0};
	unsigned opens, writers;
	int ret;

	if (!restarted) {
		uint64_t orphans[64];
		int count;

		/* Nobody has them open any more. */
		do {
			struct database_connection *connection = database_write(cache->database);
			sqlite3_stmt *query = database_statement(connection,
								 "SELECT id FROM node INDEXED BY node_orphan "
								 "WHERE parent IS NULL AND id != 1 LIMIT 64");

			count = 0;
			while (count < 64 && (ret = database_step(connection, query)) > 0)
				orphans[count++] = (uint64_t)sqlite3_column_int64(query, 0);
			if (query)
				sqlite3_reset(query);
			for (int i = 0; ret >= 0 && i < count; i++) {
				ret = nodes_read(connection, orphans[i], &row);
				if (!ret)
					ret = nodes_delete(connection, cache, &row);
			}
			ret = operation_end(connection, ret < 0 ? ret : 0);
			if (ret)
				return ret;
		} while (count == 64);
		row.id = 0;
	}
	while ((ret = next_local(cache, row.id, &row)) > 0) {
		active_counts(cache, row.id, &opens, &writers);
		ret = opens ? 0 : recover(cache, &row);
		if (ret)
			return ret;
	}
	return ret;
}
