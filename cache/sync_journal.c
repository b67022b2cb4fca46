/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "cache/active.h"
#include "cache/sent.h"
#include "cache/sync_internal.h"

#define CANDIDATES  64	 /* of nodes, and of removals, that are read in one go */
#define LOOKS	    4096 /* of each that are looked at for one that can run */
#define CHAIN	    64	 /* of things that stand in one another's way */
#define OPEN_FACTOR 10	 /* settling times that a file rests while it is open for writing */

struct chain {
	struct sync *sync;
	struct database_connection *connection;
	struct sync_task links[CHAIN];
	size_t length;
	int64_t now;
	int64_t settle;
};

static bool same_task(const struct sync_task *one, const struct sync_task *other)
{
	return one->node == other->node && one->gone == other->gone && one->sent == other->sent;
}

bool sync_is_busy(struct sync *sync, const struct sync_task *task)
{
	bool busy = false;

	pthread_mutex_lock(&sync->lock);
	for (size_t i = 0; i < SYNC_TASKS && !busy; i++)
		busy = sync->jobs[i].used && same_task(&sync->jobs[i].task, task);
	pthread_mutex_unlock(&sync->lock);
	return busy;
}

/* Run a statement that answers one number: 1 and *out; 0; negative. */
static int one_number(struct database_connection *connection, sqlite3_stmt *statement, int64_t *out)
{
	int ret = database_step(connection, statement);

	if (ret > 0) {
		*out = sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
	}
	return ret;
}

/* Who, other than node, has its item at (parent, name) on the server: 1 and *task; 0: nobody that we know of. */
static int find_holder(struct database_connection *connection, const char *parent, const char *name, uint64_t node,
		       struct sync_task *task)
{
	sqlite3_stmt *statement;
	int64_t found;
	int ret;

	*task = (struct sync_task){0};
	statement = database_statement(connection,
				       "SELECT id FROM node WHERE remote_parent = ? AND remote_name = ? AND "
				       "dirty & 2 AND id != ? AND parent IS NOT NULL");
	if (statement) {
		database_bind_text(statement, 1, parent);
		database_bind_text(statement, 2, name);
		sqlite3_bind_int64(statement, 3, (int64_t)node);
	}
	ret = one_number(connection, statement, &found);
	if (ret) {
		task->node = ret > 0 ? (uint64_t)found : 0;
		return ret;
	}
	statement = database_statement(connection, "SELECT id FROM gone WHERE remote_parent = ? AND remote_name = ?");
	if (statement) {
		database_bind_text(statement, 1, parent);
		database_bind_text(statement, 2, name);
	}
	ret = one_number(connection, statement, &found);
	if (ret > 0)
		task->gone = found;
	return ret;
}

/* What must be done before node can be brought to its place: 1 and *before; 0: nothing. */
static int before_node(struct chain *chain, const struct node_row *row, struct sync_task *before)
{
	struct node_row parent;
	struct node_item item;
	char name[NODE_NAME_SIZE];
	int ret;

	if (!(row->dirty & (DIRTY_NEW | DIRTY_PLACE)))
		return 0;
	ret = nodes_read(chain->connection, row->parent, &parent);
	if (ret)
		return ret;
	if (!parent.has_remote) {
		*before = (struct sync_task){.node = parent.id};
		return 1;
	}
	ret = nodes_item(chain->connection, parent.id, &item);
	if (!ret)
		ret = nodes_name(chain->connection, row->id, name);
	return ret ? ret : find_holder(chain->connection, item.remote, name, row->id, before);
}

/*
 * What must be done before something can be removed: the bytes of a file are sent to where they are needed now, and a
 * folder becomes empty. 1 and *before; 0: nothing.
 */
static int before_gone(struct chain *chain, int64_t gone, struct sync_task *before)
{
	sqlite3_stmt *statement;
	int64_t found;
	int ret;

	*before = (struct sync_task){0};
	statement = database_statement(chain->connection,
				       "SELECT n.id FROM node n JOIN gone g ON g.heir = n.id WHERE g.id = ? AND "
				       "n.parent IS NOT NULL AND n.remote IS NOT NULL AND n.dirty & 4");
	if (statement)
		sqlite3_bind_int64(statement, 1, gone);
	ret = one_number(chain->connection, statement, &found);
	if (ret) {
		before->node = ret > 0 ? (uint64_t)found : 0;
		before->bytes = true;
		return ret;
	}
	statement = database_statement(chain->connection, "SELECT id FROM gone WHERE remote_parent = "
							  "(SELECT remote FROM gone WHERE id = ?)");
	if (statement)
		sqlite3_bind_int64(statement, 1, gone);
	ret = one_number(chain->connection, statement, &found);
	if (ret) {
		before->gone = ret > 0 ? found : 0;
		return ret;
	}
	statement = database_statement(chain->connection,
				       "SELECT id FROM node WHERE remote_parent = (SELECT remote FROM "
				       "gone WHERE id = ?) AND dirty & 2 AND parent IS NOT NULL");
	if (statement)
		sqlite3_bind_int64(statement, 1, gone);
	ret = one_number(chain->connection, statement, &found);
	if (ret) {
		before->node = ret > 0 ? (uint64_t)found : 0;
		return ret;
	}
	statement = database_statement(chain->connection,
				       "SELECT id FROM sent WHERE parent = (SELECT remote FROM gone WHERE id = ?) "
				       "AND " SENT_LOST);
	if (statement)
		sqlite3_bind_int64(statement, 1, gone);
	ret = one_number(chain->connection, statement, &found);
	if (ret > 0)
		before->sent = found;
	return ret;
}

/* The call that sent it is under way, and its answer is to come: 1. */
static int is_being_sent(struct chain *chain, int64_t sent)
{
	sqlite3_stmt *statement = database_statement(chain->connection, "SELECT node FROM sent WHERE id = ?");
	int64_t node;
	int ret;

	if (statement)
		sqlite3_bind_int64(statement, 1, sent);
	ret = one_number(chain->connection, statement, &node);
	return ret > 0 ? sync_is_busy(chain->sync, &(struct sync_task){.node = (uint64_t)node}) : ret;
}

/* When may task be tried? */
static int retry_at(struct chain *chain, const struct sync_task *task, int64_t *when)
{
	sqlite3_stmt *statement = database_statement(chain->connection,
						     task->node	  ? "SELECT retry_at FROM node WHERE id = ?"
						     : task->gone ? "SELECT retry_at FROM gone WHERE id = ?"
								  : "SELECT retry_at FROM sent WHERE id = ?");

	if (statement)
		sqlite3_bind_int64(statement, 1,
				   task->node	? (int64_t)task->node
				   : task->gone ? task->gone
						: task->sent);
	return one_number(chain->connection, statement, when);
}

/* Bytes of a file that is open for writing will change again: they rest longer. */
static bool must_rest(struct chain *chain, const struct node_row *row)
{
	unsigned opens, writers;

	if (!(row->dirty & DIRTY_CONTENT) || row->since <= chain->now - OPEN_FACTOR * chain->settle)
		return false;
	active_counts(chain->sync->cache, row->id, &opens, &writers);
	return writers != 0;
}

/*
 * The links from first on wait for one another. One that has an item gives way, since that can be moved somewhere for a
 * while: *task is that, or stays as it is where there is none. 1; negative.
 */
static int break_circle(struct chain *chain, size_t first, struct sync_task *task)
{
	for (size_t i = first; i < chain->length; i++) {
		struct node_row row;
		int ret;

		if (!chain->links[i].node)
			continue;
		ret = nodes_read(chain->connection, chain->links[i].node, &row);
		if (ret)
			return ret;
		if (row.has_remote) {
			*task = chain->links[i];
			break;
		}
	}
	task->aside = task->node != 0;
	return 1;
}

/* Follow what stands in the way of *task until something can run: 1 and *task is that; 0: it has to wait. */
static int clear_the_way(struct chain *chain, struct sync_task *task)
{
	for (chain->length = 0; chain->length < CHAIN; chain->length++) {
		struct sync_task before;
		struct node_row row;
		int64_t when;
		int ret;

		if (sync_is_busy(chain->sync, task))
			return 0;
		ret = retry_at(chain, task, &when);
		if (ret <= 0 || when > chain->now)
			return ret < 0 ? ret : 0;
		for (size_t i = 0; i < chain->length; i++)
			if (same_task(&chain->links[i], task))
				return break_circle(chain, i, task);
		chain->links[chain->length] = *task;
		if (task->node) {
			ret = nodes_read(chain->connection, task->node, &row);
			if (ret || !row.dirty || must_rest(chain, &row))
				return ret == -ENOENT ? 0 : ret;
			ret = task->bytes ? 0 : before_node(chain, &row, &before);
		} else if (task->gone) {
			ret = before_gone(chain, task->gone, &before);
		} else {
			ret = is_being_sent(chain, task->sent);
			return ret < 0 ? ret : !ret;
		}
		if (ret <= 0)
			return ret < 0 ? ret : 1;
		*task = before;
	}
	return 0;
}

enum kind { OF_NODES, OF_GONE, OF_SENT };

/* Ids of what is due behind the first skip of them; their number. */
static int read_candidates(struct chain *chain, enum kind kind, int64_t skip, int64_t *ids)
{
	/* What is in a folder that the server has not got waits for the folder, which is due itself. */
	static const char of_nodes[] = "SELECT n.id FROM node n WHERE n.dirty != 0 AND n.since <= ?1 AND "
				       "n.retry_at <= ?2 AND n.parent IS NOT NULL AND EXISTS(SELECT 1 FROM node p "
				       "WHERE p.id = n.parent AND p.remote IS NOT NULL) ORDER BY n.since, n.id "
				       "LIMIT 64 OFFSET ?3";
	static const char of_gone[] = "SELECT id FROM gone WHERE since <= ?1 AND retry_at <= ?2 ORDER BY id "
				      "LIMIT 64 OFFSET ?3";
	static const char of_sent[] = "SELECT id FROM sent WHERE at <= ?1 AND retry_at <= ?2 AND " SENT_LOST
				      " ORDER BY "
				      "id LIMIT 64 OFFSET ?3";
	sqlite3_stmt *statement = database_statement(chain->connection, kind == OF_NODES  ? of_nodes
									: kind == OF_GONE ? of_gone
											  : of_sent);
	int count = 0, ret = 0;

	if (statement) {
		sqlite3_bind_int64(statement, 1, chain->now - chain->settle);
		sqlite3_bind_int64(statement, 2, chain->now);
		sqlite3_bind_int64(statement, 3, skip);
	}
	while (count < CANDIDATES && (ret = database_step(chain->connection, statement)) > 0)
		ids[count++] = sqlite3_column_int64(statement, 0);
	if (statement)
		sqlite3_reset(statement);
	return ret < 0 ? ret : count;
}

/* The first that is due and can run, or what stands in its way. */
static int try_candidates(struct chain *chain, enum kind kind, struct sync_task *task)
{
	int64_t ids[CANDIDATES];
	int count, ret;

	for (int64_t skip = 0; skip < LOOKS; skip += CANDIDATES) {
		count = read_candidates(chain, kind, skip, ids);
		for (int i = 0; i < count; i++) {
			*task = (struct sync_task){.node = kind == OF_NODES ? (uint64_t)ids[i] : 0,
						   .gone = kind == OF_GONE ? ids[i] : 0,
						   .sent = kind == OF_SENT ? ids[i] : 0};
			ret = clear_the_way(chain, task);
			if (ret)
				return ret;
		}
		if (count < CANDIDATES)
			return count < 0 ? count : 0;
	}
	return 0;
}

static int find_due(struct database_connection *connection, const char *text, int64_t settle, int64_t *due)
{
	sqlite3_stmt *statement = database_statement(connection, text);
	int ret;

	if (statement)
		sqlite3_bind_int64(statement, 1, settle);
	ret = database_step(connection, statement);
	if (ret > 0 && sqlite3_column_type(statement, 0) != SQLITE_NULL && sqlite3_column_int64(statement, 0) < *due)
		*due = sqlite3_column_int64(statement, 0);
	return ret < 0 ? ret : 0;
}

int sync_next(struct sync *sync, struct sync_task *task, int64_t *due)
{
	struct chain chain = {.sync = sync, .now = cache_now()};
	int ret;

	pthread_mutex_lock(&sync->lock);
	chain.settle = sync->urgent ? 0 : (int64_t)sync->cache->options.settle;
	pthread_mutex_unlock(&sync->lock);

	*due = SYNC_NEVER;
	chain.connection = database_read(sync->cache->database);
	ret = try_candidates(&chain, OF_NODES, task);
	if (!ret)
		ret = try_candidates(&chain, OF_GONE, task);
	if (!ret)
		ret = try_candidates(&chain, OF_SENT, task);
	if (ret)
		goto out;
	ret = find_due(chain.connection,
		       "SELECT min(max(since + ?, retry_at)) FROM node WHERE dirty != 0 AND "
		       "parent IS NOT NULL",
		       chain.settle, due);
	if (!ret)
		ret = find_due(chain.connection, "SELECT min(max(since + ?, retry_at)) FROM gone", chain.settle, due);
	if (!ret)
		ret = find_due(chain.connection, "SELECT min(max(at + ?, retry_at)) FROM sent WHERE " SENT_LOST,
			       chain.settle, due);
out:
	database_read_end(chain.connection);
	return ret;
}
