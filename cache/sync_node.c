/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cache/properties.h"
#include "cache/sent.h"
#include "cache/sync_internal.h"
#include "support/text.h"

#define STEPS 8 /* more than a node ever needs */

/* Read the node as it is now. -ENOENT: there is nothing to do any more. */
static int read_subject(struct sync *sync, uint64_t node, struct sync_subject *out)
{
	struct database_connection *connection = database_read(sync->cache->database);
	struct node_item *parent = NULL;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = nodes_read(connection, node, &out->row);
	if (!ret && (!out->row.dirty || !out->row.parent))
		ret = -ENOENT;
	if (!ret)
		ret = nodes_item(connection, node, &out->item);
	if (!ret)
		ret = nodes_name(connection, node, out->name);
	if (!ret) {
		parent = calloc(1, sizeof(*parent));
		ret = parent ? nodes_item(connection, out->row.parent, parent) : -ENOMEM;
	}
	if (!ret)
		memcpy(out->parent, parent->remote, sizeof(out->parent));
	free(parent);
	database_read_end(connection);
	return ret;
}

static bool is_folder(const struct sync_subject *subject)
{
	return (subject->row.mode & DW_MODE_TYPE) == DW_MODE_FOLDER;
}

static enum dw_remote_type type_of(const struct sync_subject *subject)
{
	return is_folder(subject) ? DW_REMOTE_FOLDER : DW_REMOTE_FILE;
}

static int absorb_end(struct absorb *absorb, int ret)
{
	if (!ret)
		return absorb_finish(absorb);
	absorb_abandon(absorb);
	return ret;
}

int sync_answered(struct sync_job *job, const struct sync_subject *subject, uint32_t done,
		  const struct dw_remote_item *item)
{
	struct absorb *absorb;
	int ret = absorb_begin(&absorb, job->sync->cache);

	if (ret)
		return ret;
	ret = absorb_answer(absorb, subject->row.id, subject->row.change, done, item);
	if (!ret && done & DIRTY_NEW)
		ret = sent_answered(absorb_connection(absorb), subject->row.id, item, subject->parent);
	return absorb_end(absorb, ret);
}

/* The folder was on the server already, and what is in it there is not known. */
static int join_folder(struct sync_job *job, const struct sync_subject *subject, const struct dw_remote_item *item)
{
	struct absorb *absorb;
	int ret = absorb_begin(&absorb, job->sync->cache);

	if (ret)
		return ret;
	ret = absorb_answer(absorb, subject->row.id, subject->row.change, DIRTY_NEW, item);
	if (!ret)
		ret = sent_answered(absorb_connection(absorb), subject->row.id, item, subject->parent);
	if (!ret)
		ret = nodes_unlist(absorb_connection(absorb), subject->row.id);
	absorb_forget_node(absorb, subject->row.id);
	return absorb_end(absorb, ret);
}

static int item_is_gone(struct sync_job *job, const char *remote)
{
	struct absorb *absorb;
	int ret = absorb_begin(&absorb, job->sync->cache);

	return ret ? ret : absorb_end(absorb, absorb_gone(absorb, remote));
}

int sync_item_lost(struct sync_job *job, const struct sync_subject *subject)
{
	return item_is_gone(job, subject->item.remote);
}

/* 1: the item is there; 0: it was not, and is gone here too, now. */
static int look_for(struct sync_job *job, const char *remote, struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct sync_item there = {0};
	const struct dw_remote_items items = {.item = sync_item_take, .context = &there};
	int ret = cache->remote->ops->stat(cache->remote, call, remote, &items);

	(void)cache_answered(cache, ret, call);
	sync_item_free(&there);
	if (ret == -ENOENT || ret == DW_REMOTE_TRASHED)
		return item_is_gone(job, remote);
	return ret ? ret : 1;
}

int sync_folder_lost(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call)
{
	int ret = look_for(job, subject->parent, call);

	/* Its node is new now, or gone; it comes first. */
	return ret < 0 ? ret : -EBUSY;
}

/* Has the node got another place since the call began, or none? 1; 0; negative. */
static int was_renamed(struct database_connection *connection, const struct sync_subject *subject)
{
	char name[NODE_NAME_SIZE];
	struct node_row row;
	int ret = nodes_read(connection, subject->row.id, &row);

	if (!ret)
		ret = nodes_name(connection, subject->row.id, name);
	if (ret)
		return ret == -ENOENT ? 1 : ret;
	return row.parent != subject->row.parent || strcmp(name, subject->name) != 0;
}

int sync_keep_both(struct sync_job *job, const struct sync_subject *subject, const struct dw_remote_item *there)
{
	struct absorb *absorb;
	int ret = absorb_begin(&absorb, job->sync->cache);

	if (ret)
		return ret;
	/* What is in the way of a place matters to who still wants it. */
	if (strcmp(there->id, subject->item.remote) != 0)
		ret = was_renamed(absorb_connection(absorb), subject);
	if (ret)
		return absorb_end(absorb, ret > 0 ? -EBUSY : ret);
	cache_log(job->sync->cache, 1, "%s was changed here and on the server: both are kept", subject->name);
	pthread_mutex_lock(&job->sync->lock);
	job->name[0] = '\0';
	pthread_mutex_unlock(&job->sync->lock);
	ret = absorb_aside(absorb, subject->row.id);
	if (!ret)
		ret = absorb_item(absorb, subject->row.parent, there);
	return absorb_end(absorb, ret);
}

bool sync_will_leave(struct cache *cache, const char *parent, const struct dw_remote_item *there)
{
	struct database_connection *connection = database_read(cache->database);
	sqlite3_stmt *statement = database_statement(connection, "SELECT 1 FROM gone WHERE remote = ?1 UNION ALL "
								 "SELECT 1 FROM buried WHERE remote = ?1 UNION ALL "
								 "SELECT 1 FROM node WHERE remote = ?1 AND (dirty & 2 "
								 "OR remote_parent != ?2 OR remote_name != ?3)");
	bool leaves;

	database_bind_text(statement, 1, there->id);
	database_bind_text(statement, 2, there->parent && *there->parent ? there->parent : parent);
	database_bind_text(statement, 3, there->name);
	leaves = database_step(connection, statement) > 0;
	database_read_end(connection);
	return leaves;
}

static int note_folder(struct cache *cache, const struct sync_subject *subject)
{
	struct sent *sent = calloc(1, sizeof(*sent));
	int ret = sent ? 0 : -ENOMEM;

	if (ret)
		return ret;
	sent->node = subject->row.id;
	if (text_copy(sent->parent, sizeof(sent->parent), subject->parent) &&
	    text_copy(sent->name, sizeof(sent->name), subject->name))
		ret = sent_note(cache, sent);
	free(sent);
	return ret;
}

/*
 * Something that was sent when the node was elsewhere, and whose answer was lost: when it is there, it is the node's.
 * 1: it is; 0: there is nothing (more) of that kind; negative.
 */
static int find_sent(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct sent *sent = malloc(sizeof(*sent));
	struct sync_item there = {0};
	struct database_connection *connection;
	struct node_row holder;
	int ret = sent ? 0 : -ENOMEM, known = 0;

	while (!ret) {
		connection = database_read(cache->database);
		ret = sent_elsewhere(connection, subject->row.id, subject->parent, subject->name, sent);
		database_read_end(connection);
		if (ret <= 0)
			break;
		ret = sync_item_find(cache, call, sent->parent, sent->name, &there);
		(void)cache_answered(cache, ret, call);
		if (ret && ret != -ENOENT && ret != DW_REMOTE_TRASHED)
			break;
		if (!ret && sent_fits(sent, &there.item)) {
			connection = database_read(cache->database);
			known = nodes_find_remote(connection, there.item.id, &holder);
			database_read_end(connection);
		}
		if (!ret && known == -ENOENT)
			ret = sync_answered(job, subject, DIRTY_NEW, &there.item);
		else
			known = ret = 0;
		if (!ret)
			ret = sent_drop(cache, sent);
		sync_item_free(&there);
		if (!ret && known == -ENOENT)
			ret = 1;
	}
	free(sent);
	sync_item_free(&there);
	return ret;
}

static int make_folder(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct sync_item there = {0};
	struct dw_remote_items items = {.item = sync_item_take, .context = &there};
	int ret = note_folder(cache, subject);

	if (ret)
		return ret;
	ret = cache->remote->ops->mkdir(cache->remote, call, subject->parent, subject->name, &items);
	(void)cache_answered(cache, ret, call);
	if (ret == -EEXIST) {
		/* Made by an earlier try, or by somebody else: two folders of one name are one folder. */
		sync_item_free(&there);
		ret = sync_item_find(cache, call, subject->parent, subject->name, &there);
		if (ret == -ENOENT || (!ret && sync_will_leave(cache, subject->parent, &there.item))) {
			ret = -EBUSY;
		} else if (!ret && there.item.type != DW_REMOTE_FOLDER) {
			ret = sync_keep_both(job, subject, &there.item);
		} else if (!ret) {
			ret = join_folder(job, subject, &there.item);
		}
	} else if (ret == -ENOENT || ret == DW_REMOTE_TRASHED) {
		ret = sync_folder_lost(job, subject, call);
	} else if (!ret) {
		ret = sync_answered(job, subject, DIRTY_NEW, &there.item);
	}
	sync_item_free(&there);
	return ret;
}

/*
 * Is there, which stands in the way, something that was sent from here and of which no answer came? Then it becomes its
 * sender's, or is to be removed: 1. 0: no.
 */
static int give_to_sender(struct sync_job *job, const struct sync_subject *subject, const struct dw_remote_item *there)
{
	struct database_connection *connection = database_read(job->sync->cache->database);
	struct absorb *absorb;
	struct node_row row;
	uint64_t sender;
	int ret = nodes_find_remote(connection, there->id, &row);

	/* A node has it already. */
	if (!ret)
		ret = -EEXIST;
	else if (ret == -ENOENT)
		ret = sent_find(connection, there, subject->parent, &sender);
	database_read_end(connection);
	if (ret <= 0)
		return ret == -EEXIST ? 0 : ret;
	ret = absorb_begin(&absorb, job->sync->cache);
	if (!ret)
		ret = absorb_end(absorb, absorb_item(absorb, subject->row.parent, there));
	return ret ? ret : 1;
}

/* Somebody else's item is where the node should go; or one that will leave, or turns out to be ours: -EBUSY. */
static int move_is_blocked(struct sync_job *job, const struct sync_subject *subject, const struct dw_remote_item *there)
{
	int ret = give_to_sender(job, subject, there);

	if (ret)
		return ret > 0 ? -EBUSY : ret;
	if (sync_will_leave(job->sync->cache, subject->parent, there))
		return -EBUSY;
	return sync_keep_both(job, subject, there);
}

static int move_item(struct sync_job *job, const struct sync_subject *subject, const char *parent, const char *name,
		     struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct sync_item there = {0};
	struct dw_remote_items items = {.item = sync_item_take, .context = &there};
	/* No condition: a new name loses nobody's bytes. */
	int ret = cache->remote->ops->move(cache->remote, call, subject->item.remote, type_of(subject), NULL, parent,
					   name, &items);

	(void)cache_answered(cache, ret, call);
	switch (ret) {
	case 0:
		ret = sync_answered(job, subject, DIRTY_PLACE, &there.item);
		break;
	case -ENOENT:
	case DW_REMOTE_TRASHED:
		/* The item, or the folder that it should go to? */
		ret = look_for(job, subject->item.remote, call);
		if (ret > 0)
			ret = sync_folder_lost(job, subject, call);
		break;
	case -ELOOP:
		/* What is above it here is below it there, and will move. */
		ret = -EBUSY;
		break;
	case -EEXIST:
		sync_item_free(&there);
		ret = sync_item_find(cache, call, parent, name, &there);
		if (ret == -ENOENT)
			ret = -EBUSY;
		else if (!ret && strcmp(there.item.id, subject->item.remote) == 0)
			ret = sync_answered(job, subject, DIRTY_PLACE, &there.item);
		else if (!ret)
			ret = move_is_blocked(job, subject, &there.item);
		break;
	default:
		break;
	}
	sync_item_free(&there);
	return ret;
}

/*
 * Nodes, or a node and a folder that is to be removed, stand in one another's way: this node goes to the folder that it
 * belongs in, or where that is not there yet stays where it is, with a name that nobody else uses, for as long as that
 * takes.
 */
static int step_aside(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call)
{
	const char *parent = subject->parent[0] ? subject->parent : subject->item.remote_parent;
	char name[64];

	if (!subject->row.has_remote || !parent[0])
		return -EBUSY;
	(void)text_format(name, sizeof(name), ".driveway-%" PRIx64 "-%" PRIx64, subject->row.id, (uint64_t)cache_now());
	return move_item(job, subject, parent, name, call);
}

static int clear_dirty(struct sync_job *job, const struct sync_subject *subject, uint32_t bits)
{
	struct database_connection *connection = database_write(job->sync->cache->database);
	sqlite3_stmt *statement = database_statement(connection,
						     "UPDATE node SET dirty = dirty & ~? WHERE id = ? AND change = ?");

	if (statement) {
		sqlite3_bind_int64(statement, 1, bits);
		sqlite3_bind_int64(statement, 2, (int64_t)subject->row.id);
		sqlite3_bind_int64(statement, 3, subject->row.change);
	}
	(void)database_run(connection, statement);
	return database_commit(connection);
}

static int note_sent(struct cache *cache, const struct sync_subject *subject, const char *set)
{
	struct database_connection *connection = database_write(cache->database);
	int ret = properties_sent(connection, subject->row.id, subject->row.change, set);

	if (ret) {
		database_rollback(connection);
		return ret;
	}
	return database_commit(connection);
}

static int send_properties(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct properties_change change = {0};
	struct database_connection *connection;
	char *have = NULL, *want = NULL;
	int ret;

	if (!cache->remote->ops->set_properties)
		return clear_dirty(job, subject, DIRTY_PROPERTIES);
	connection = database_read(cache->database);
	ret = properties_have(connection, subject->row.id, &have);
	if (!ret)
		ret = properties_want(connection, cache, subject->row.id, &want);
	database_read_end(connection);
	if (!ret)
		ret = properties_difference(have, want, &change);
	if (!ret && change.count) {
		ret = cache->remote->ops->set_properties(cache->remote, call, subject->item.remote, type_of(subject),
							 change.list, change.count);
		(void)cache_answered(cache, ret, call);
		if (ret == -ENOENT || ret == DW_REMOTE_TRASHED) {
			ret = sync_item_lost(job, subject);
			goto out;
		}
	}
	if (!ret)
		ret = note_sent(cache, subject, want);
out:
	properties_change_free(&change);
	free(have);
	free(want);
	return ret;
}

/* Tell absorb what is about to come (sync_is_placing). */
static void show_place(struct sync_job *job, const struct sync_subject *subject)
{
	pthread_mutex_lock(&job->sync->lock);
	memcpy(job->parent, subject->parent, sizeof(job->parent));
	memcpy(job->name, subject->name, sizeof(job->name));
	pthread_mutex_unlock(&job->sync->lock);
}

/* One call of the remote that brings the server nearer. */
static int step(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call)
{
	uint32_t dirty = subject->row.dirty;
	int ret;

	if (job->task.aside)
		return step_aside(job, subject, call);
	if (job->task.bytes && (dirty & DIRTY_CONTENT) && !(dirty & DIRTY_NEW))
		return sync_upload(job, subject, call);
	if ((dirty & (DIRTY_NEW | DIRTY_PLACE)) && !subject->parent[0])
		return -EBUSY;
	if (dirty & DIRTY_NEW) {
		ret = find_sent(job, subject, call);
		if (ret)
			return ret < 0 ? ret : 0;
		show_place(job, subject);
	}
	if (dirty & DIRTY_NEW)
		return is_folder(subject) ? make_folder(job, subject, call) : sync_upload(job, subject, call);
	if (dirty & DIRTY_PLACE)
		return move_item(job, subject, subject->parent, subject->name, call);
	if (dirty & DIRTY_CONTENT)
		return is_folder(subject) ? clear_dirty(job, subject, DIRTY_CONTENT) : sync_upload(job, subject, call);
	return send_properties(job, subject, call);
}

void sync_run_node(struct sync_job *job)
{
	struct sync_subject *subject = malloc(sizeof(*subject));
	struct dw_remote_call call;
	uint32_t dirty = 0;
	int64_t change = 0;
	int ret = subject ? 0 : -ENOMEM;

	cache_call_background(job->sync->cache, &call);
	for (int steps = 0; !ret; steps++) {
		ret = read_subject(job->sync, job->task.node, subject);
		if (ret) {
			ret = ret == -ENOENT ? 0 : ret;
			break;
		}
		/* What was changed meanwhile has to settle, and a new place to be looked at, before it goes on. A place
		 * that did not become the right one by this is tried again later: the server has its own opinion. */
		if (steps && (subject->row.change != change || (subject->row.dirty & (DIRTY_NEW | DIRTY_PLACE)))) {
			if (subject->row.change == change && subject->row.dirty == dirty)
				ret = -EBUSY;
			break;
		}
		change = subject->row.change;
		dirty = subject->row.dirty;
		ret = steps < STEPS ? step(job, subject, &call) : -EBUSY;
		if (job->task.aside)
			break;
	}
	sync_failed(job, ret, &call);
	free(subject);
}
