/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/sent.h"
#include "cache/sync_internal.h"

struct removal {
	int64_t id;
	char remote[DW_REMOTE_ID_MAX + 1];
	char etag[DW_REMOTE_ID_MAX + 1];
	char version[DW_REMOTE_ID_MAX + 1];
	bool folder;
};

static void column_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	const void *bytes = sqlite3_column_blob(statement, column);
	size_t length = (size_t)sqlite3_column_bytes(statement, column);

	if (!bytes || length >= size)
		length = 0;
	if (length)
		memcpy(out, bytes, length);
	out[length] = '\0';
}

static int read_removal(struct cache *cache, int64_t id, struct removal *out)
{
	struct database_connection *connection = database_read(cache->database);
	sqlite3_stmt *statement = database_statement(connection,
						     "SELECT remote, etag, version, mode FROM gone WHERE id = ?");
	int ret;

	out->id = id;
	if (statement)
		sqlite3_bind_int64(statement, 1, id);
	ret = database_step(connection, statement);
	if (ret > 0) {
		column_text(statement, 0, out->remote, sizeof(out->remote));
		column_text(statement, 1, out->etag, sizeof(out->etag));
		column_text(statement, 2, out->version, sizeof(out->version));
		out->folder = (sqlite3_column_int64(statement, 3) & DW_MODE_TYPE) == DW_MODE_FOLDER;
	}
	database_read_end(connection);
	return ret > 0 ? 0 : ret < 0 ? ret : -ENOENT;
}

static int forget_row(struct database_connection *connection, int64_t id)
{
	sqlite3_stmt *statement = database_statement(connection, "DELETE FROM gone WHERE id = ?");

	if (statement)
		sqlite3_bind_int64(statement, 1, id);
	return database_run(connection, statement);
}

static int done(struct cache *cache, int64_t id)
{
	struct database_connection *connection = database_write(cache->database);

	sqlite3_stmt *statement;

	/* Its feed will tell of it; without one there is no older news either. */
	if (cache->remote->ops->changes) {
		statement = database_statement(connection,
					       "INSERT OR IGNORE INTO buried SELECT remote FROM gone WHERE id = ?");
		if (statement)
			sqlite3_bind_int64(statement, 1, id);
		(void)database_run(connection, statement);
	}
	(void)forget_row(connection, id);
	return database_commit(connection);
}

/* Somebody changed it, or put something into it, after it was removed here: it comes back. */
static int come_back(struct cache *cache, int64_t id, const struct dw_remote_item *item)
{
	struct absorb *absorb;
	int ret = absorb_begin(&absorb, cache);

	if (ret)
		return ret;
	ret = forget_row(absorb_connection(absorb), id);
	if (!ret)
		ret = absorb_item(absorb, 0, item);
	if (ret) {
		absorb_abandon(absorb);
		return ret;
	}
	return absorb_finish(absorb);
}

/* Children that were removed or moved away here, or were on their way to it, and whose turn has not come. */
static bool still_emptying(struct cache *cache, const char *remote)
{
	struct database_connection *connection = database_read(cache->database);
	sqlite3_stmt *statement = database_statement(connection,
						     "SELECT 1 FROM gone WHERE remote_parent = ?1 UNION ALL "
						     "SELECT 1 FROM node WHERE remote_parent = ?1 AND dirty & 2 "
						     "UNION ALL SELECT 1 FROM sent WHERE parent = ?1 AND " SENT_LOST);
	bool found;

	if (statement)
		sqlite3_bind_blob(statement, 1, remote, (int)strlen(remote), SQLITE_TRANSIENT);
	found = database_step(connection, statement) > 0;
	database_read_end(connection);
	return found;
}

/* Bytes that we sent before we removed it, by a call whose answer was lost. */
static bool was_sent(struct cache *cache, const struct dw_remote_item *item)
{
	struct database_connection *connection = database_read(cache->database);
	uint64_t node;
	int ret = sent_find(connection, item, item->parent ? item->parent : "", &node);

	database_read_end(connection);
	return ret > 0;
}

static int remove_item(struct sync_job *job, struct removal *removal, struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct dw_remote *remote = cache->remote;
	struct sync_item there = {0};
	struct dw_remote_items items = {.item = sync_item_take, .context = &there};
	int ret;

	/* A folder has no bytes that could be lost unseen, and is only removed when it is empty. */
	ret = remote->ops->remove(remote, call, removal->remote, removal->folder ? DW_REMOTE_FOLDER : DW_REMOTE_FILE,
				  removal->folder || !removal->etag[0] ? NULL : removal->etag, false);
	(void)cache_answered(cache, ret, call);
	if (ret == 0 || ret == -ENOENT || ret == DW_REMOTE_TRASHED)
		return done(cache, removal->id);
	if (ret == -ENOTEMPTY && still_emptying(cache, removal->remote))
		return -EBUSY;
	if (ret != DW_REMOTE_CHANGED && ret != -ENOTEMPTY)
		return ret;
	ret = remote->ops->stat(remote, call, removal->remote, &items);
	(void)cache_answered(cache, ret, call);
	if (ret == -ENOENT || ret == DW_REMOTE_TRASHED) {
		ret = done(cache, removal->id);
	} else if (!ret && !removal->folder &&
		   (strcmp(there.item.content, removal->version) == 0 || was_sent(cache, &there.item)) &&
		   strlen(there.item.etag) < sizeof(removal->etag) && strcmp(there.item.etag, removal->etag) != 0) {
		/* The same bytes under another name, or what we sent to it: still what was removed. */
		memcpy(removal->etag, there.item.etag, strlen(there.item.etag) + 1);
		ret = DW_REMOTE_CHANGED;
	} else if (!ret) {
		ret = come_back(cache, removal->id, &there.item);
	}
	sync_item_free(&there);
	return ret;
}

void sync_run_gone(struct sync_job *job)
{
	struct removal *removal = calloc(1, sizeof(*removal));
	struct dw_remote_call call;
	int ret = removal ? read_removal(job->sync->cache, job->task.gone, removal) : -ENOMEM;

	cache_call_background(job->sync->cache, &call);
	for (int tries = 0; !ret && tries < 3; tries++) {
		ret = remove_item(job, removal, &call);
		if (ret != DW_REMOTE_CHANGED)
			goto out;
		ret = 0;
	}
	if (!ret)
		ret = -EBUSY;
out:
	sync_failed(job, ret == -ENOENT ? 0 : ret, &call);
	free(removal);
}
