/* SPDX-License-Identifier: MIT */
/*
 * own.c - attributes of the drive's own, by which people and the command see and steer the cache
 *
 *    user.driveway.state     cached, partial, online, uploading, waiting, conflict, failed
 *    user.driveway.progress  bytes that are done and bytes in all, with a space between
 *    user.driveway.remote    id of the item on the server
 *    user.driveway.pinned    "1" or "0"; set: keep this file, or all below this folder, here
 *    user.driveway.evict     set: give up the bytes of this file, or of all below
 *    user.driveway.sync      set: wait until all of it is on the server
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cache/listing.h"
#include "cache/operations.h"
#include "cache/pins.h"
#include "cache/sync.h"
#include "support/text.h"

#define TRANSFERS 64u
#define CHUNK	  64u

/* --- Reading ------------------------------------------------------------------------------------------- */

struct state {
	struct node_row row;
	bool failed, conflict, sending;
	uint64_t present, sent, to_send;
};

static int read_state(struct cache *cache, uint64_t node, struct state *out)
{
	struct database_connection *connection = database_read(cache->database);
	struct sync_transfer transfers[TRANSFERS];
	struct content *content;
	sqlite3_stmt *query;
	size_t count;
	int ret = nodes_read(connection, node, &out->row);

	if (!ret) {
		query = database_statement(connection,
					   "SELECT error != 0, EXISTS(SELECT 1 FROM conflict c WHERE c.node = node.id) "
					   "FROM node WHERE id = ?");
		sqlite3_bind_int64(query, 1, (int64_t)node);
		if (database_step(connection, query) > 0) {
			out->failed = sqlite3_column_int(query, 0) != 0;
			out->conflict = sqlite3_column_int(query, 1) != 0;
		}
	}
	database_read_end(connection);
	if (ret)
		return ret == -ENOENT ? -ESTALE : ret;
	if (out->row.content && content_get(cache->contents, out->row.content, &content) == 0) {
		out->present = content_is_whole(content) ? out->row.size : content_present(content);
		content_put(content);
	}
	count = sync_transfers(cache->sync, transfers, TRANSFERS);
	for (size_t i = 0; i < count; i++) {
		if (transfers[i].node != node)
			continue;
		out->sending = true;
		out->sent = transfers[i].sent;
		out->to_send = transfers[i].bytes;
	}
	return 0;
}

static const char *state_name(const struct state *state)
{
	if (state->sending)
		return "uploading";
	if (state->row.dirty)
		return state->failed ? "failed" : "waiting";
	if (state->conflict)
		return "conflict";
	if (!node_is_file(&state->row) || state->present >= state->row.size)
		return "cached";
	return state->present ? "partial" : "online";
}

int own_get(struct cache *cache, uint64_t node, const char *name, char *value, size_t size)
{
	struct database_connection *connection;
	struct state state = {.present = 0};
	struct node_item *item;
	int ret = read_state(cache, node, &state);

	if (ret)
		return ret;
	if (strcmp(name, "state") == 0) {
		(void)text_copy(value, size, state_name(&state));
	} else if (strcmp(name, "progress") == 0) {
		(void)text_format(value, size, "%" PRIu64 " %" PRIu64, state.sending ? state.sent : state.present,
				  state.sending ? state.to_send : state.row.size);
	} else if (strcmp(name, "pinned") == 0) {
		(void)text_copy(value, size, state.row.pinned ? "1" : "0");
	} else if (strcmp(name, "remote") == 0) {
		item = malloc(sizeof(*item));
		if (!item)
			return -ENOMEM;
		connection = database_read(cache->database);
		ret = nodes_item(connection, node, item);
		database_read_end(connection);
		if (!ret && item->remote[0])
			(void)text_copy(value, size, item->remote);
		else
			ret = -ENODATA;
		free(item);
	} else {
		ret = -ENODATA;
	}
	return ret;
}

/* --- Steering ------------------------------------------------------------------------------------------ */

static int set_pinned(struct cache *cache, uint64_t node, bool pinned)
{
	struct database_connection *connection = database_write(cache->database);
	sqlite3_stmt *put = database_statement(
		connection, "WITH RECURSIVE below(id) AS (SELECT ?1 UNION ALL SELECT n.id FROM node n JOIN below b ON "
			    "n.parent = b.id) UPDATE node SET pinned = ?2 WHERE id IN (SELECT id FROM below)");
	int ret;

	sqlite3_bind_int64(put, 1, (int64_t)node);
	sqlite3_bind_int64(put, 2, pinned);
	ret = operation_end(connection, database_run(connection, put));
	if (!ret && pinned)
		pins_wake(cache->pins);
	return ret;
}

/* 0: evicted, or there was nothing to evict. */
static int evict_file(struct cache *cache, const struct node_row *row)
{
	unsigned opens, writers;
	int ret;

	active_counts(cache, row->id, &opens, &writers);
	if (opens || row->dirty & DIRTY_CONTENT)
		return -EBUSY;
	if (!row->content)
		return 0;
	ret = content_evict(cache->contents, row->content);
	if (!ret && cache->host->invalidate_node)
		cache->host->invalidate_node(cache->host, row->id, 0, 0);
	return ret == -ENOENT ? 0 : ret;
}

/* Of all below, what can be; -EBUSY when some of it could not. */
static int evict(struct cache *cache, uint64_t node, unsigned depth)
{
	struct database_connection *connection = database_read(cache->database);
	uint64_t ids[CHUNK], after = 0;
	bool busy = false;
	struct node_row row;
	int count, ret = nodes_read(connection, node, &row);

	database_read_end(connection);
	if (ret)
		return ret == -ENOENT ? -ESTALE : ret;
	if (!node_is_folder(&row))
		return evict_file(cache, &row);
	if (depth > 4096)
		return -ELOOP;
	do {
		connection = database_read(cache->database);
		count = nodes_children(connection, node, after, ids, CHUNK);
		database_read_end(connection);
		for (int i = 0; i < count; i++) {
			ret = evict(cache, ids[i], depth + 1);
			busy = busy || ret == -EBUSY;
			if (ret && ret != -EBUSY && ret != -ESTALE)
				return ret;
		}
		after = count > 0 ? ids[count - 1] : 0;
	} while (count > 0);
	return count < 0 ? count : busy ? -EBUSY : 0;
}

int own_set(struct cache *cache, const struct dw_request *req, uint64_t node, const char *name, const char *value)
{
	bool on = strcmp(value, "1") == 0;

	if (strcmp(name, "pinned") == 0)
		return on || strcmp(value, "0") == 0 ? set_pinned(cache, node, on) : -EINVAL;
	if (is_nowait(req))
		return -EAGAIN;
	if (strcmp(name, "evict") == 0)
		return evict(cache, node, 0);
	if (strcmp(name, "sync") == 0)
		return cache_errno(sync_wait(cache, node, 0, req->interrupted));
	return -EPERM;
}
