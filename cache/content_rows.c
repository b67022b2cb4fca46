/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/content_store.h"
#include "support/text.h"

#define BATCH 64

static void bind_bytes(sqlite3_stmt *statement, int index, const void *bytes, size_t length)
{
	if (bytes)
		sqlite3_bind_blob(statement, index, bytes, (int)length, SQLITE_TRANSIENT);
	else
		sqlite3_bind_null(statement, index);
}

/* Offsets beyond what a file can have are as good as its end. */
static int64_t row_offset(uint64_t offset)
{
	return offset > INT64_MAX ? INT64_MAX : (int64_t)offset;
}

int content_row_insert(struct database_connection *connection, const struct content *content)
{
	sqlite3_stmt *insert = database_statement(
		connection, "INSERT INTO content(id, version, remote, size, digest, local, whole, boot, used)"
			    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");

	if (insert) {
		sqlite3_bind_int64(insert, 1, (int64_t)content->id);
		database_bind_text(insert, 2, content->version);
		database_bind_text(insert, 3, content->remote);
		sqlite3_bind_int64(insert, 4, (int64_t)content->size);
		bind_bytes(insert, 5, content->digest_length ? content->digest : NULL, content->digest_length);
		sqlite3_bind_int(insert, 6, content->local);
		sqlite3_bind_int(insert, 7, content->whole);
		sqlite3_bind_int(insert, 8, content->boot);
		sqlite3_bind_int64(insert, 9, (int64_t)content->used);
	}
	return database_run(connection, insert);
}

static int column_text(sqlite3_stmt *row, int column, char **out)
{
	const void *bytes = sqlite3_column_blob(row, column);
	int length = sqlite3_column_bytes(row, column);

	*out = NULL;
	if (sqlite3_column_type(row, column) == SQLITE_NULL)
		return 0;
	*out = calloc(1, (size_t)length + 1);
	if (!*out)
		return -ENOMEM;
	if (length)
		memcpy(*out, bytes, (size_t)length);
	return 0;
}

static int load_content(struct database_connection *connection, struct content *content)
{
	sqlite3_stmt *row = database_statement(connection,
					       "SELECT version, remote, size, digest, local, whole, boot, used, bytes"
					       " FROM content WHERE id = ?");
	int ret, length;

	if (row)
		sqlite3_bind_int64(row, 1, (int64_t)content->id);
	ret = database_step(connection, row);
	if (ret <= 0)
		return ret ? ret : -ENOENT;
	ret = column_text(row, 0, &content->version);
	if (!ret)
		ret = column_text(row, 1, &content->remote);
	if (ret)
		return ret;
	content->size = (uint64_t)sqlite3_column_int64(row, 2);
	length = sqlite3_column_bytes(row, 3);
	if (length > 0 && length <= CONTENT_DIGEST_MAX) {
		memcpy(content->digest, sqlite3_column_blob(row, 3), (size_t)length);
		content->digest_length = (size_t)length;
	}
	content->local = sqlite3_column_int(row, 4) != 0;
	content->whole = sqlite3_column_int(row, 5) != 0;
	content->boot = sqlite3_column_int(row, 6);
	content->used = (uint64_t)sqlite3_column_int64(row, 7);
	content->bytes = (uint64_t)sqlite3_column_int64(row, 8);
	content->clean = content->local ? 0 : content->bytes;
	return 0;
}

static int load_extents(struct database_connection *connection, struct content *content)
{
	sqlite3_stmt *row = database_statement(connection,
					       "SELECT start, stop, boot FROM extent WHERE content = ? ORDER BY start");
	int ret;

	if (row)
		sqlite3_bind_int64(row, 1, (int64_t)content->id);
	while ((ret = database_step(connection, row)) > 0) {
		int64_t start = sqlite3_column_int64(row, 0), stop = sqlite3_column_int64(row, 1);

		if (start < 0 || stop <= start || (uint64_t)stop > content->size)
			return -EUCLEAN;
		ret = content_map_add(&content->map, (uint64_t)start, (uint64_t)stop,
				      (uint64_t)sqlite3_column_int64(row, 2));
		if (ret)
			return ret;
	}
	if (!ret && content->whole && content->size > 0)
		ret = content_map_add(&content->map, 0, content->size, 0);
	content->map.changed_start = content->map.changed_stop = 0;
	content->trusted = content_map_is_settled(&content->map);
	return ret;
}

int content_row_load(struct content *content)
{
	struct database_connection *connection = database_read(content->store->config.database);
	int ret = load_content(connection, content);

	if (!ret)
		ret = load_extents(connection, content);
	database_read_end(connection);
	return ret;
}

/* Up to BATCH ranges of the map within [start, stop); their number. */
static size_t take_extents(struct content *content, struct content_extent *out, uint64_t start, uint64_t stop)
{
	const struct content_map *map = &content->map;
	size_t first, taken = 0;
	uint64_t low = start, high = start;

	pthread_mutex_lock(&content->lock);
	first = content_map_widen(map, &low, &high);
	while (first < map->count && map->extents[first].start < start)
		first++;
	while (taken < BATCH && first + taken < map->count && map->extents[first + taken].start < stop) {
		out[taken] = map->extents[first + taken];
		taken++;
	}
	pthread_mutex_unlock(&content->lock);
	return taken;
}

static int delete_extents(struct database_connection *connection, uint64_t id, uint64_t start, uint64_t stop)
{
	sqlite3_stmt *gone = database_statement(connection,
						"DELETE FROM extent WHERE content = ? AND start >= ? AND start < ?");

	if (gone) {
		sqlite3_bind_int64(gone, 1, (int64_t)id);
		sqlite3_bind_int64(gone, 2, row_offset(start));
		sqlite3_bind_int64(gone, 3, row_offset(stop));
	}
	return database_run(connection, gone);
}

static int save_extents(struct database_connection *connection, struct content *content, uint64_t start, uint64_t stop)
{
	struct content_extent extents[BATCH];
	size_t count;
	int ret = delete_extents(connection, content->id, start, stop);

	while (!ret && (count = take_extents(content, extents, start, stop)) > 0) {
		for (size_t i = 0; i < count && !ret; i++) {
			sqlite3_stmt *put = database_statement(
				connection,
				"INSERT OR REPLACE INTO extent(content, start, stop, boot) VALUES(?, ?, ?, ?)");

			if (put) {
				sqlite3_bind_int64(put, 1, (int64_t)content->id);
				sqlite3_bind_int64(put, 2, row_offset(extents[i].start));
				sqlite3_bind_int64(put, 3, row_offset(extents[i].stop));
				sqlite3_bind_int64(put, 4, (int64_t)extents[i].epoch);
			}
			ret = database_run(connection, put);
		}
		start = extents[count - 1].start + 1;
	}
	return ret;
}

int content_row_save(struct database_connection *connection, struct content *content)
{
	sqlite3_stmt *update = database_statement(connection,
						  "UPDATE content SET whole = ?, used = ?, bytes = ? WHERE id = ?");
	uint64_t start, stop;
	bool bare, fresh;
	int ret;

	pthread_mutex_lock(&content->lock);
	start = content->map.changed_start;
	stop = content->map.changed_stop;
	if (start != stop)
		(void)content_map_widen(&content->map, &start, &stop);
	content->map.changed_start = content->map.changed_stop = 0;
	fresh = content_map_is_fresh(&content->map);
	bare = content->whole && !fresh; /* a row says it all */
	content_count_bytes(content);
	if (update) {
		sqlite3_bind_int(update, 1, content->whole);
		sqlite3_bind_int64(update, 2, (int64_t)content->used);
		sqlite3_bind_int64(update, 3, (int64_t)content->bytes);
		sqlite3_bind_int64(update, 4, (int64_t)content->id);
	}
	content->used_changed = false;
	pthread_mutex_unlock(&content->lock);

	ret = database_run(connection, update);
	if (!ret && database_changed(connection) > 0) {
		if (bare)
			ret = delete_extents(connection, content->id, 0, UINT64_MAX);
		else if (start != stop)
			ret = save_extents(connection, content, start, stop);
	}
	if (ret) {
		pthread_mutex_lock(&content->lock);
		content_map_touch(&content->map, 0, UINT64_MAX);
		pthread_mutex_unlock(&content->lock);
	} else if (fresh) {
		tidy_fresh(content->store);
	}
	return ret;
}

int content_row_mark(struct database_connection *connection, uint64_t id, bool local, int boot)
{
	sqlite3_stmt *update = database_statement(connection, "UPDATE content SET local = ?, boot = ? WHERE id = ?");

	if (update) {
		sqlite3_bind_int(update, 1, local);
		sqlite3_bind_int(update, 2, boot);
		sqlite3_bind_int64(update, 3, (int64_t)id);
	}
	return database_run(connection, update);
}

int content_row_settle(struct database_connection *connection, struct content *content, bool local)
{
	sqlite3_stmt *update = database_statement(
		connection, "UPDATE content SET version = ?, remote = ?, size = ?, digest = ? WHERE id = ?");
	int ret;

	pthread_mutex_lock(&content->lock);
	if (update) {
		database_bind_text(update, 1, content->version);
		database_bind_text(update, 2, content->remote);
		sqlite3_bind_int64(update, 3, (int64_t)content->size);
		bind_bytes(update, 4, content->digest_length ? content->digest : NULL, content->digest_length);
		sqlite3_bind_int64(update, 5, (int64_t)content->id);
	}
	pthread_mutex_unlock(&content->lock);
	ret = database_run(connection, update);
	return ret || local ? ret : content_row_mark(connection, content->id, false, CONTENT_SYNCED);
}

static int row_bytes(struct database_connection *connection, uint64_t id, uint64_t *bytes, bool *local)
{
	sqlite3_stmt *row = database_statement(connection, "SELECT bytes, local FROM content WHERE id = ?");
	int ret;

	if (row)
		sqlite3_bind_int64(row, 1, (int64_t)id);
	ret = database_step(connection, row);
	if (ret > 0) {
		*bytes = (uint64_t)sqlite3_column_int64(row, 0);
		*local = sqlite3_column_int(row, 1) != 0;
		sqlite3_reset(row);
	}
	return ret < 0 ? ret : ret == 0 ? -ENOENT : 0;
}

int content_row_forget(struct database_connection *connection, uint64_t id, uint64_t *bytes)
{
	sqlite3_stmt *update;
	bool local = false;
	int ret = row_bytes(connection, id, bytes, &local);

	if (ret || local)
		return ret && ret != -ENOENT ? ret : -EBUSY;
	update = database_statement(connection, "UPDATE content SET whole = (size = 0), bytes = 0 WHERE id = ?");
	if (update)
		sqlite3_bind_int64(update, 1, (int64_t)id);
	ret = database_run(connection, update);
	return ret ? ret : delete_extents(connection, id, 0, UINT64_MAX);
}

int content_row_delete(struct database_connection *connection, uint64_t id, uint64_t *bytes, uint64_t *clean)
{
	sqlite3_stmt *gone;
	bool local = false;
	int ret = row_bytes(connection, id, bytes, &local);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	*clean = local ? 0 : *bytes;
	gone = database_statement(connection, "DELETE FROM content WHERE id = ?");
	if (gone)
		sqlite3_bind_int64(gone, 1, (int64_t)id);
	ret = database_run(connection, gone);
	return ret ? ret : delete_extents(connection, id, 0, UINT64_MAX);
}

int content_save(struct content *content)
{
	struct database_connection *connection = database_write(content->store->config.database);
	int ret = content_row_save(connection, content);

	if (ret) {
		database_rollback(connection);
		return ret;
	}
	ret = database_commit(connection);
	if (ret) {
		pthread_mutex_lock(&content->lock);
		content_map_touch(&content->map, 0, UINT64_MAX);
		pthread_mutex_unlock(&content->lock);
	}
	return ret;
}

/* Save several in one transaction, and drop them. */
static void save_batch(struct content_store *store, struct content **batch, size_t count)
{
	struct database_connection *connection = database_write(store->config.database);
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++)
		ret = content_row_save(connection, batch[i]);
	if (ret)
		database_rollback(connection);
	else
		ret = database_commit(connection);
	for (size_t i = 0; i < count; i++) {
		if (ret) {
			/* What was fetched stays known to this process, and goes with the next save. */
			pthread_mutex_lock(&batch[i]->lock);
			content_map_touch(&batch[i]->map, 0, UINT64_MAX);
			pthread_mutex_unlock(&batch[i]->lock);
		}
		content_drop(batch[i]);
	}
}

void content_save_later(struct content *content)
{
	struct content_store *store = content->store;

	pthread_mutex_lock(&store->lock);
	if (!content->in_saves) {
		content->in_saves = true;
		content->count++;
		content->next_save = store->saves;
		store->saves = content;
	}
	if (store->saving) {
		pthread_mutex_unlock(&store->lock);
		return;
	}
	store->saving = true;
	while (store->saves) {
		struct content *batch[BATCH];
		size_t count = 0;

		for (; store->saves && count < BATCH; count++) {
			batch[count] = store->saves;
			store->saves = batch[count]->next_save;
			batch[count]->in_saves = false;
		}
		pthread_mutex_unlock(&store->lock);
		save_batch(store, batch, count);
		pthread_mutex_lock(&store->lock);
	}
	store->saving = false;
	pthread_mutex_unlock(&store->lock);
}
