/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "cache/sent.h"
#include "cache/sync_internal.h"

/* Is item another node's, or one that is to be removed? 1; 0; negative. */
static int is_known(struct database_connection *connection, const char *remote)
{
	sqlite3_stmt *query = database_statement(connection, "SELECT 1 FROM node WHERE remote = ?1 UNION ALL "
							     "SELECT 1 FROM gone WHERE remote = ?1");
	int ret;

	database_bind_text(query, 1, remote);
	ret = database_step(connection, query);
	if (query)
		sqlite3_reset(query);
	return ret;
}

/* What was looked at is done; there: what was found of it, or NULL. */
static int store(struct cache *cache, int64_t id, const struct dw_remote_item *there)
{
	struct absorb *absorb;
	struct sent sent;
	int ret = absorb_begin(&absorb, cache);

	if (ret)
		return ret;
	/* Its node may have come back meanwhile (linkat), and looks for itself then. */
	ret = sent_read_lost(absorb_connection(absorb), id, &sent);
	if (!ret && there) {
		ret = is_known(absorb_connection(absorb), there->id);
		if (!ret)
			ret = absorb_answer(absorb, 0, 0, DIRTY_NEW, there);
		ret = ret > 0 ? 0 : ret;
	}
	if (!ret)
		ret = sent_looked(absorb_connection(absorb), id);
	if (!ret)
		return absorb_finish(absorb);
	absorb_abandon(absorb);
	return ret;
}

void sync_run_sent(struct sync_job *job)
{
	struct cache *cache = job->sync->cache;
	struct sent *sent = malloc(sizeof(*sent));
	struct sync_item there = {0};
	struct database_connection *connection;
	struct dw_remote_call call;
	int ret = sent ? 0 : -ENOMEM;

	cache_call_background(cache, &call);
	if (!ret) {
		connection = database_read(cache->database);
		ret = sent_read_lost(connection, job->task.sent, sent);
		database_read_end(connection);
	}
	if (ret)
		goto out;
	ret = sync_item_find(cache, &call, sent->parent, sent->name, &there);
	(void)cache_answered(cache, ret, &call);
	if (ret == 0 || ret == -ENOENT || ret == DW_REMOTE_TRASHED)
		ret = store(cache, job->task.sent, ret == 0 && sent_fits(sent, &there.item) ? &there.item : NULL);
out:
	/* Not lost any more. */
	sync_failed(job, ret == -ENOENT ? 0 : ret, &call);
	sync_item_free(&there);
	free(sent);
}
