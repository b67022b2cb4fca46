/* SPDX-License-Identifier: MIT */
#include "index.h"

#include <driveway/remote.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MILLISECONDS 30000

/* clang-format off */
#define ROW_COLUMNS "id, parent, name, folded, type, state, inode, birth, changed, modified, bytes, version, stale, content"

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, name BLOB NOT NULL,"
	" folded BLOB NOT NULL, type INTEGER NOT NULL, state INTEGER NOT NULL, inode INTEGER NOT NULL,"
	" birth INTEGER NOT NULL, changed INTEGER NOT NULL, modified INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" version INTEGER NOT NULL, stale INTEGER NOT NULL, content TEXT NOT NULL, trashed_at INTEGER);"
	"CREATE INDEX IF NOT EXISTS item_place ON item (parent, folded);"
	"CREATE INDEX IF NOT EXISTS item_inode ON item (inode);"
	"CREATE INDEX IF NOT EXISTS item_state ON item (state) WHERE state <> 0;"
	"CREATE INDEX IF NOT EXISTS item_stale ON item (stale) WHERE stale = 1;"
	"CREATE TABLE IF NOT EXISTS property (item INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
	" PRIMARY KEY (item, key)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS version (number INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER NOT NULL,"
	" content TEXT NOT NULL, bytes INTEGER NOT NULL, UNIQUE (item, content));"
	"CREATE INDEX IF NOT EXISTS version_content ON version (content);"
	"CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY AUTOINCREMENT, type INTEGER NOT NULL,"
	" item INTEGER NOT NULL, parent INTEGER NOT NULL, name BLOB NOT NULL);"
	"CREATE TABLE IF NOT EXISTS session (handle TEXT PRIMARY KEY, inode INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" part_bytes INTEGER NOT NULL, expires INTEGER NOT NULL, item INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS part (session TEXT NOT NULL, start INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" receipt TEXT NOT NULL, PRIMARY KEY (session, start)) WITHOUT ROWID;";

static const char *const queries[INDEX_QUERIES] = {
	[INDEX_META_GET] = "SELECT value FROM meta WHERE key = ?",
	[INDEX_META_SET] = "INSERT INTO meta (key, value) VALUES (?, ?)",
	[INDEX_ROW] = "SELECT " ROW_COLUMNS " FROM item WHERE id = ?",
	[INDEX_ROW_NAMED] = "SELECT " ROW_COLUMNS " FROM item WHERE parent = ? AND folded = ? AND name = ? AND state <> 2"
			    " ORDER BY state, id",
	[INDEX_ROW_FOLDED] = "SELECT " ROW_COLUMNS " FROM item WHERE parent = ? AND folded = ? AND state = 0 AND id <> ?",
	[INDEX_ROWS_INODE] = "SELECT " ROW_COLUMNS " FROM item WHERE inode = ? ORDER BY state, id",
	[INDEX_ROWS_PAGE] = "SELECT " ROW_COLUMNS " FROM item WHERE parent = ? AND state = 0 AND id > ? ORDER BY id LIMIT ?",
	[INDEX_IDS_LIVE] = "SELECT id FROM item WHERE parent = ? AND state = 0",
	[INDEX_IDS_FOLDERS] = "SELECT id FROM item WHERE parent = ? AND state = 0 AND type = 2",
	[INDEX_IDS_MISSING] = "SELECT id FROM item WHERE state = 1",
	[INDEX_IDS_EDITED] = "SELECT id FROM item WHERE stale = 1 AND state = 0 AND content <> ''",
	[INDEX_IDS_CHILDREN] = "SELECT id FROM item WHERE parent = ?",
	[INDEX_IDS_TRASH_OLD] = "SELECT id FROM item WHERE state = 2 AND trashed_at < ?",
	[INDEX_ROW_INSERT] = "INSERT INTO item (parent, name, folded, type, state, inode, birth, changed, modified, bytes,"
			     " version, stale, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[INDEX_ROW_UPDATE] = "UPDATE item SET parent = ?, name = ?, folded = ?, type = ?, state = ?, inode = ?, birth = ?,"
			     " changed = ?, modified = ?, bytes = ?, version = ?, stale = ?, content = ? WHERE id = ?",
	[INDEX_ROW_DELETE] = "DELETE FROM item WHERE id = ?",
	[INDEX_ROW_TRASH] = "UPDATE item SET state = 2, trashed_at = ? WHERE id = ?",
	[INDEX_BYTES] = "SELECT COALESCE(SUM(bytes), 0) FROM item WHERE type = 1",
	[INDEX_PROPERTIES] = "SELECT key, value FROM property WHERE item = ? ORDER BY key",
	[INDEX_PROPERTY_SET] = "INSERT OR REPLACE INTO property (item, key, value) VALUES (?, ?, ?)",
	[INDEX_PROPERTY_DELETE] = "DELETE FROM property WHERE item = ? AND key = ?",
	[INDEX_PROPERTIES_DELETE] = "DELETE FROM property WHERE item = ?",
	[INDEX_PROPERTIES_COPY] = "INSERT OR REPLACE INTO property (item, key, value)"
				  " SELECT ?, key, value FROM property WHERE item = ?",
	[INDEX_VERSION_SET] = "INSERT OR REPLACE INTO version (item, content, bytes) VALUES (?, ?, ?)",
	[INDEX_VERSION_GET] = "SELECT bytes FROM version WHERE item = ? AND content = ?",
	[INDEX_VERSION_OLDEST] = "SELECT content FROM version WHERE item = ? ORDER BY number DESC LIMIT 1 OFFSET ?",
	[INDEX_VERSION_DELETE] = "DELETE FROM version WHERE item = ? AND content = ?",
	[INDEX_VERSION_USED] = "SELECT item FROM version WHERE content = ? LIMIT 1",
	[INDEX_EVENT_INSERT] = "INSERT INTO event (type, item, parent, name) VALUES (?, ?, ?, ?)",
	[INDEX_EVENT_TRIM] = "DELETE FROM event WHERE number <= ?",
	[INDEX_EVENTS] = "SELECT number, type, item, parent, name FROM event WHERE number > ? ORDER BY number LIMIT ?",
	[INDEX_EVENT_LAST] = "SELECT seq FROM sqlite_sequence WHERE name = 'event'",
	[INDEX_SESSION_INSERT] = "INSERT INTO session (handle, inode, bytes, part_bytes, expires, item)"
				 " VALUES (?, ?, ?, ?, ?, 0)",
	[INDEX_SESSION] = "SELECT inode, bytes, part_bytes, expires, item FROM session WHERE handle = ?",
	[INDEX_SESSION_DONE] = "UPDATE session SET item = ? WHERE handle = ?",
	[INDEX_SESSION_DELETE] = "DELETE FROM session WHERE handle = ?",
	[INDEX_SESSION_OLD] = "SELECT handle FROM session WHERE expires < ? LIMIT 1",
	[INDEX_PART_SET] = "INSERT OR REPLACE INTO part (session, start, bytes, receipt) VALUES (?, ?, ?, ?)",
	[INDEX_PARTS] = "SELECT start, bytes, receipt FROM part WHERE session = ? ORDER BY start",
	[INDEX_PARTS_DELETE] = "DELETE FROM part WHERE session = ?",
};
/* clang-format on */

static int index_error(int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return DW_REMOTE_LATER;
	default:
		return -EIO;
	}
}

static int execute(struct index *index, const char *sql)
{
	int code = sqlite3_exec(index->database, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : index_error(code);
}

int index_open(struct index *index, const char *path, bool durable)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
	int code;
	int err;

	memset(index, 0, sizeof(*index));
	code = sqlite3_open_v2(path, &index->database, flags, NULL);
	err = code == SQLITE_OK ? 0 : index_error(code);
	if (err == 0 && sqlite3_busy_timeout(index->database, BUSY_MILLISECONDS) != SQLITE_OK)
		err = -EIO;
	if (err == 0)
		err = execute(index, "PRAGMA journal_mode = TRUNCATE");
	if (err == 0)
		err = execute(index, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF");
	if (err == 0)
		err = execute(index, "BEGIN IMMEDIATE");
	if (err == 0)
		err = execute(index, schema);
	if (err == 0)
		err = execute(index, "COMMIT");
	if (err != 0)
		index_close(index);
	return err;
}

void index_close(struct index *index)
{
	for (size_t i = 0; i < INDEX_QUERIES; i++)
		sqlite3_finalize(index->statements[i]);
	sqlite3_close(index->database);
	memset(index, 0, sizeof(*index));
}

int index_begin(struct index *index)
{
	int err = execute(index, "BEGIN IMMEDIATE");

	index->begun = err == 0;
	index->broken = false;
	return err;
}

int index_end(struct index *index)
{
	int err = index->broken ? -EIO : execute(index, "COMMIT");

	if (err != 0)
		(void)execute(index, "ROLLBACK");
	index->begun = false;
	index->broken = false;
	return err;
}

sqlite3_stmt *index_start(struct index *index, enum index_query query, const char *kinds, ...)
{
	sqlite3_stmt *statement = index->statements[query];
	int code = SQLITE_OK;
	va_list values;

	if (statement == NULL) {
		code = sqlite3_prepare_v3(index->database, queries[query], -1, SQLITE_PREPARE_PERSISTENT, &statement,
					  NULL);
		if (code != SQLITE_OK) {
			index->broken = true;
			return NULL;
		}
		index->statements[query] = statement;
	}
	va_start(values, kinds);
	for (int i = 0; kinds[i] != '\0' && code == SQLITE_OK; i++) {
		if (kinds[i] == 'i') {
			code = sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
		} else {
			const char *text = va_arg(values, const char *);

			code = kinds[i] == 't'
				       ? sqlite3_bind_text(statement, i + 1, text, -1, SQLITE_TRANSIENT)
				       : sqlite3_bind_blob64(statement, i + 1, text, strlen(text), SQLITE_TRANSIENT);
		}
	}
	va_end(values);
	if (code == SQLITE_OK)
		return statement;
	index->broken = true;
	return NULL;
}

void index_stop(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

int index_step(struct index *index, sqlite3_stmt *statement)
{
	int code;

	if (statement == NULL)
		return -EIO;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		return 1;
	index_stop(statement);
	if (code == SQLITE_DONE)
		return 0;
	index->broken = true;
	return index_error(code);
}

bool index_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	const void *bytes = sqlite3_column_blob(statement, column);
	size_t length = (size_t)sqlite3_column_bytes(statement, column);

	if (length >= size || (length > 0 && (bytes == NULL || memchr(bytes, '\0', length) != NULL)))
		return false;
	if (length > 0)
		memcpy(out, bytes, length);
	out[length] = '\0';
	return true;
}

/* A row of ROW_COLUMNS; -EIO: the database holds what we never wrote. */
static int row_take(sqlite3_stmt *statement, struct row *out)
{
	memset(out, 0, sizeof(*out));
	out->id = sqlite3_column_int64(statement, 0);
	out->parent = sqlite3_column_int64(statement, 1);
	out->type = sqlite3_column_int(statement, 4);
	out->state = sqlite3_column_int(statement, 5);
	out->inode = sqlite3_column_int64(statement, 6);
	out->birth = sqlite3_column_int64(statement, 7);
	out->changed = sqlite3_column_int64(statement, 8);
	out->modified = sqlite3_column_int64(statement, 9);
	out->bytes = sqlite3_column_int64(statement, 10);
	out->version = sqlite3_column_int64(statement, 11);
	out->stale = sqlite3_column_int(statement, 12) != 0;
	if (!index_text(statement, 2, out->name, sizeof(out->name)) ||
	    !index_text(statement, 3, out->folded, sizeof(out->folded)) ||
	    !index_text(statement, 13, out->content, sizeof(out->content)) || strchr(out->name, '/') != NULL ||
	    strcmp(out->name, "..") == 0 || strcmp(out->name, ".") == 0)
		return -EIO;
	return 0;
}

int index_row(struct index *index, sqlite3_stmt *statement, struct row *out)
{
	int err = index_step(index, statement);

	if (err <= 0)
		return err == 0 ? -ENOENT : err;
	err = row_take(statement, out);
	index_stop(statement);
	return err;
}

int index_rows(struct index *index, sqlite3_stmt *statement, struct row_list *out)
{
	size_t room = 0;
	int err;

	*out = (struct row_list){0};
	while ((err = index_step(index, statement)) == 1) {
		if (out->count == room) {
			struct row *more;

			room = room == 0 ? 16 : room * 2;
			more = reallocarray(out->rows, room, sizeof(*more));
			if (more == NULL) {
				err = -ENOMEM;
				break;
			}
			out->rows = more;
		}
		err = row_take(statement, &out->rows[out->count]);
		if (err != 0)
			break;
		out->count++;
	}
	if (err != 0) {
		if (statement != NULL)
			index_stop(statement);
		free(out->rows);
		*out = (struct row_list){0};
	}
	return err;
}

int id_list_add(struct id_list *list, int64_t id)
{
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 64 : list->room * 2;
		int64_t *more = reallocarray(list->ids, room, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		list->ids = more;
		list->room = room;
	}
	list->ids[list->count++] = id;
	return 0;
}

int index_ids(struct index *index, sqlite3_stmt *statement, struct id_list *out)
{
	int err;

	while ((err = index_step(index, statement)) == 1) {
		err = id_list_add(out, sqlite3_column_int64(statement, 0));
		if (err != 0) {
			index_stop(statement);
			break;
		}
	}
	return err;
}

int index_run(struct index *index, sqlite3_stmt *statement)
{
	int err = index_step(index, statement);

	if (err == 1)
		index_stop(statement);
	return err < 0 ? err : 0;
}

int index_insert(struct index *index, struct row *row)
{
	int err = index_run(index,
			    index_start(index, INDEX_ROW_INSERT, "inniiiiiiiiit", row->parent, row->name, row->folded,
					(int64_t)row->type, (int64_t)row->state, row->inode, row->birth, row->changed,
					row->modified, row->bytes, row->version, (int64_t)row->stale, row->content));

	if (err == 0)
		row->id = sqlite3_last_insert_rowid(index->database);
	return err;
}

int index_update(struct index *index, const struct row *row)
{
	return index_run(index, index_start(index, INDEX_ROW_UPDATE, "inniiiiiiiiiti", row->parent, row->name,
					    row->folded, (int64_t)row->type, (int64_t)row->state, row->inode,
					    row->birth, row->changed, row->modified, row->bytes, row->version,
					    (int64_t)row->stale, row->content, row->id));
}

void property_list_clear(struct property_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->list[i].value);
	free(list->list);
	*list = (struct property_list){0};
}

int index_properties(struct index *index, int64_t id, struct property_list *out)
{
	sqlite3_stmt *statement = index_start(index, INDEX_PROPERTIES, "i", id);
	int err;

	*out = (struct property_list){0};
	while ((err = index_step(index, statement)) == 1) {
		struct property *more = reallocarray(out->list, out->count + 1, sizeof(*more));
		const unsigned char *value = sqlite3_column_text(statement, 1);

		err = -ENOMEM;
		if (more == NULL || value == NULL) {
			out->list = more == NULL ? out->list : more;
			break;
		}
		out->list = more;
		more[out->count].value = strdup((const char *)value);
		if (more[out->count].value == NULL)
			break;
		err = -EIO;
		out->count++;
		if (!index_text(statement, 0, more[out->count - 1].key, sizeof(more->key)))
			break;
	}
	if (err != 0) {
		if (statement != NULL)
			index_stop(statement);
		property_list_clear(out);
	}
	return err;
}
