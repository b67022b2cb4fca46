/* SPDX-License-Identifier: MIT */
#include "cache/sent.h"

#include <errno.h>
#include <string.h>

#include "support/text.h"

#define DAY (INT64_C(86400) * 1000000000)

/* A folder has no digest: an empty one. */
static void bind_digest(sqlite3_stmt *statement, int at, const uint8_t *digest, size_t length)
{
	if (statement)
		sqlite3_bind_blob(statement, at, length ? (const void *)digest : "", (int)length, SQLITE_TRANSIENT);
}

static void bind_number(sqlite3_stmt *statement, int at, uint64_t number)
{
	if (statement)
		sqlite3_bind_int64(statement, at, (int64_t)number);
}

int sent_note(struct cache *cache, const struct sent *sent)
{
	struct database_connection *connection = database_write(cache->database);
	sqlite3_stmt *put = database_statement(connection,
					       "DELETE FROM sent WHERE at < ? AND (looked OR remote != x'')");

	bind_number(put, 1, (uint64_t)(cache_now() - DAY));
	(void)database_run(connection, put);
	put = database_statement(connection,
				 "INSERT OR REPLACE INTO sent(node, remote, parent, name, digest, bytes, at) "
				 "VALUES(?, ?, ?, ?, ?, ?, ?)");
	bind_number(put, 1, sent->node);
	database_bind_text(put, 2, sent->remote);
	database_bind_text(put, 3, sent->parent);
	database_bind_text(put, 4, sent->name);
	bind_digest(put, 5, sent->digest, sent->digest_length);
	bind_number(put, 6, sent->bytes);
	bind_number(put, 7, (uint64_t)cache_now());
	(void)database_run(connection, put);
	return database_commit(connection);
}

int sent_find(struct database_connection *connection, const struct dw_remote_item *item, const char *parent,
	      uint64_t *node)
{
	sqlite3_stmt *statement;
	int ret;

	/* Bytes without a digest cannot be told from others. */
	if (item->type == DW_REMOTE_OTHER || (item->type == DW_REMOTE_FILE) != (item->digest_length != 0))
		return 0;
	statement = database_statement(connection,
				       "SELECT node FROM sent WHERE digest = ?1 AND bytes = ?2 AND (remote = ?3 OR "
				       "(remote = x'' AND parent = ?4 AND name = ?5)) ORDER BY remote = x'' LIMIT 1");
	bind_digest(statement, 1, item->digest, item->digest_length);
	bind_number(statement, 2, item->type == DW_REMOTE_FILE ? item->bytes : 0);
	database_bind_text(statement, 3, item->id);
	database_bind_text(statement, 4, parent);
	database_bind_text(statement, 5, item->name ? item->name : "");
	ret = database_step(connection, statement);
	if (ret > 0) {
		*node = (uint64_t)sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
	}
	return ret;
}

static bool column_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
	const void *bytes = sqlite3_column_blob(statement, column);
	size_t length = (size_t)sqlite3_column_bytes(statement, column);

	if (length >= size)
		return false;
	if (length)
		memcpy(out, bytes, length);
	out[length] = '\0';
	return true;
}

/* Columns parent, name, digest, bytes. False: they are damaged. */
static bool take_sent(sqlite3_stmt *statement, struct sent *out)
{
	out->digest_length = (size_t)sqlite3_column_bytes(statement, 2);
	out->bytes = (uint64_t)sqlite3_column_int64(statement, 3);
	if (!column_text(statement, 0, out->parent, sizeof(out->parent)) ||
	    !column_text(statement, 1, out->name, sizeof(out->name)) || out->digest_length > sizeof(out->digest))
		return false;
	if (out->digest_length)
		memcpy(out->digest, sqlite3_column_blob(statement, 2), out->digest_length);
	return true;
}

int sent_elsewhere(struct database_connection *connection, uint64_t node, const char *parent, const char *name,
		   struct sent *out)
{
	sqlite3_stmt *statement = database_statement(connection,
						     "SELECT parent, name, digest, bytes FROM sent WHERE node = ?1 AND "
						     "remote = x'' AND (parent != ?2 OR name != ?3) LIMIT 1");
	int ret;

	*out = (struct sent){.node = node};
	bind_number(statement, 1, node);
	database_bind_text(statement, 2, parent);
	database_bind_text(statement, 3, name);
	ret = database_step(connection, statement);
	if (ret <= 0)
		return ret;
	ret = take_sent(statement, out);
	sqlite3_reset(statement);
	return ret;
}

int sent_read_lost(struct database_connection *connection, int64_t id, struct sent *out)
{
	sqlite3_stmt *statement = database_statement(
		connection, "SELECT parent, name, digest, bytes, node FROM sent WHERE id = ? AND " SENT_LOST);
	int ret;

	*out = (struct sent){.node = 0};
	bind_number(statement, 1, (uint64_t)id);
	ret = database_step(connection, statement);
	if (ret <= 0)
		return ret ? ret : -ENOENT;
	ret = take_sent(statement, out) ? 0 : -EUCLEAN;
	out->node = (uint64_t)sqlite3_column_int64(statement, 4);
	sqlite3_reset(statement);
	return ret;
}

int sent_looked(struct database_connection *connection, int64_t id)
{
	sqlite3_stmt *put = database_statement(connection, "UPDATE sent SET looked = 1, failure = NULL, error = 0 "
							   "WHERE id = ?");

	bind_number(put, 1, (uint64_t)id);
	return database_run(connection, put);
}

bool sent_fits(const struct sent *sent, const struct dw_remote_item *item)
{
	if (!sent->digest_length)
		return item->type == DW_REMOTE_FOLDER;
	return item->type == DW_REMOTE_FILE && item->bytes == sent->bytes &&
	       item->digest_length == sent->digest_length &&
	       memcmp(item->digest, sent->digest, sent->digest_length) == 0;
}

int sent_answered(struct database_connection *connection, uint64_t node, const struct dw_remote_item *item,
		  const char *parent)
{
	sqlite3_stmt *put = database_statement(connection,
					       "UPDATE sent SET looked = 1 WHERE node = ?1 AND remote = x'' "
					       "AND parent = ?2 AND name = ?3 AND digest = ?4");
	int ret;

	bind_number(put, 1, node);
	database_bind_text(put, 2, parent);
	database_bind_text(put, 3, item->name ? item->name : "");
	bind_digest(put, 4, item->digest, item->type == DW_REMOTE_FILE ? item->digest_length : 0);
	ret = database_run(connection, put);
	if (ret)
		return ret;
	put = database_statement(connection, "DELETE FROM sent WHERE node = ?1 AND (remote = ?2 OR (remote = x'' AND "
					     "parent = ?3 AND name = ?4)) AND EXISTS (SELECT 1 FROM node WHERE id = ?1 "
					     "AND remote = ?2)");

	bind_number(put, 1, node);
	database_bind_text(put, 2, item->id);
	database_bind_text(put, 3, parent);
	database_bind_text(put, 4, item->name ? item->name : "");
	return database_run(connection, put);
}

int sent_drop(struct cache *cache, const struct sent *sent)
{
	struct database_connection *connection = database_write(cache->database);
	sqlite3_stmt *put = database_statement(connection,
					       "DELETE FROM sent WHERE node = ? AND parent = ? AND name = ? AND "
					       "digest = ?");

	bind_number(put, 1, sent->node);
	database_bind_text(put, 2, sent->parent);
	database_bind_text(put, 3, sent->name);
	bind_digest(put, 4, sent->digest, sent->digest_length);
	(void)database_run(connection, put);
	return database_commit(connection);
}
