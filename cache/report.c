/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cache/operations.h"
#include "cache/sync.h"

#define TRANSFERS 64u
#define LISTED	  100 /* conflicts and failures that are told one by one */

static const char *connection_name(enum cache_connection connection)
{
	switch (connection) {
	case CACHE_ONLINE:
		return "online";
	case CACHE_OFFLINE:
		return "offline";
	case CACHE_LOGIN:
		return "login";
	default:
		return "unknown";
	}
}

/* Names may be any bytes: what is no UTF-8 is shown as "?". */
static json_t *text_json(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_string("?");
}

static json_t *path_json(struct database_connection *connection, uint64_t node)
{
	char path[8192];

	return text_json(nodes_path(connection, node, path, sizeof(path)) ? "" : path);
}

static json_t *state_json(struct cache *cache)
{
	json_t *quota = NULL, *state;

	pthread_mutex_lock(&cache->state.lock);
	if (cache->state.quota_at || cache->state.quota_total)
		quota = json_pack("{s:I, s:I}", "total",
				  (json_int_t)(cache->state.quota_total > INT64_MAX ? 0 : cache->state.quota_total),
				  "used", (json_int_t)cache->state.quota_used);
	state = json_pack("{s:s, s:o, s:I, s:o?}", "connection", connection_name(cache->state.connection), "message",
			  text_json(cache->state.message), "since", (json_int_t)cache->state.since, "quota", quota);
	pthread_mutex_unlock(&cache->state.lock);
	return state;
}

static json_t *transfers_json(struct cache *cache, struct database_connection *connection)
{
	struct sync_transfer transfers[TRANSFERS];
	size_t count = sync_transfers(cache->sync, transfers, TRANSFERS);
	json_t *list = json_array();

	for (size_t i = 0; list && i < count; i++)
		json_array_append_new(
			list, json_pack("{s:o, s:I, s:I, s:I}", "path", path_json(connection, transfers[i].node),
					"bytes", (json_int_t)transfers[i].bytes, "sent", (json_int_t)transfers[i].sent,
					"began", (json_int_t)(transfers[i].began / 1000000000)));
	return list;
}

/* Each row: node, a text. */
static json_t *rows_json(struct database_connection *connection, const char *query, const char *key)
{
	sqlite3_stmt *rows = database_statement(connection, query);
	json_t *list = json_array();
	char text[4096];

	for (int i = 0; list && i < LISTED && database_step(connection, rows) > 0; i++) {
		size_t length = (size_t)sqlite3_column_bytes(rows, 1);

		length = length < sizeof(text) ? length : sizeof(text) - 1;
		if (length)
			memcpy(text, sqlite3_column_blob(rows, 1), length);
		text[length] = '\0';
		json_array_append_new(list, json_pack("{s:o, s:o}", "path",
						      path_json(connection, (uint64_t)sqlite3_column_int64(rows, 0)),
						      key, text_json(text)));
	}
	if (rows)
		sqlite3_reset(rows);
	return list;
}

static json_t *whole_json(struct cache *cache)
{
	struct database_connection *connection;
	struct content_numbers contents = {0};
	struct sync_numbers numbers = {0};
	json_t *state = state_json(cache), *more;

	content_store_numbers(cache->contents, &contents);
	(void)sync_numbers(cache, &numbers);
	connection = database_read(cache->database);
	more = json_pack(
		"{s:s, s:{s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I}, s:o, s:o, s:o}", "folder", cache->folder, "cache",
		"bytes", (json_int_t)contents.bytes, "fetching", (json_int_t)contents.fetching, "fetched",
		(json_int_t)contents.fetched, "pending", "count", (json_int_t)numbers.pending, "bytes",
		(json_int_t)numbers.pending_bytes, "failing", (json_int_t)numbers.failing, "uploaded",
		(json_int_t)numbers.uploaded, "transfers", transfers_json(cache, connection), "conflicts",
		rows_json(connection,
			  "SELECT c.node, c.original FROM conflict c JOIN node n ON n.id = c.node ORDER BY c.id DESC",
			  "original"),
		"failures",
		rows_json(connection,
			  "SELECT id, failure FROM node WHERE failure IS NOT NULL AND dirty != 0 ORDER BY id",
			  "reason"));
	database_read_end(connection);
	if (!state || !more || json_object_update(state, more)) {
		json_decref(state);
		state = NULL;
	}
	json_decref(more);
	return state;
}

int cache_report(struct dw_filesystem *fs, char *json, size_t *size)
{
	json_t *whole = whole_json(cache_of(fs));
	char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
	size_t length = text ? strlen(text) : 0;
	int ret = text ? 0 : -ENOMEM;

	if (!ret && length >= *size)
		ret = -ERANGE;
	if (!ret)
		memcpy(json, text, length + 1);
	*size = length;
	free(text);
	json_decref(whole);
	return ret;
}
