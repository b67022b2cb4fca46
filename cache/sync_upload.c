/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "cache/active.h"
#include "cache/digest.h"
#include "cache/operations.h"
#include "cache/properties.h"
#include "cache/sent.h"
#include "cache/sync_internal.h"
#include "support/text.h"

#define HASH_STEP   (1u << 20)
#define TARGET_SIZE 4096 /* of a symbolic link, with its NUL */

static int source_read(const struct dw_remote_content *content, void *buffer, size_t size, uint64_t offset)
{
	const struct sync_source *source = (const struct sync_source *)content;
	size_t done = 0;
	int ret;

	if (!source->file) {
		if (offset > content->bytes || size > content->bytes - offset)
			return -EIO;
		if (size)
			memcpy(buffer, source->text + offset, size);
		return 0;
	}
	ret = content_read(source->file, buffer, size, offset, false, NULL, &done);
	if (ret)
		return ret;
	/* It became shorter while it was sent: what was promised cannot be sent any more. */
	return done == size ? 0 : -EBUSY;
}

static void source_progress(const struct dw_remote_content *content, uint64_t sent)
{
	const struct sync_source *source = (const struct sync_source *)content;

	pthread_mutex_lock(&source->job->sync->lock);
	source->job->sent = sent;
	pthread_mutex_unlock(&source->job->sync->lock);
}

static int hash_source(struct sync_source *source, const EVP_MD *kind)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	char *buffer = malloc(HASH_STEP);
	unsigned length = 0;
	int ret = context && buffer && EVP_DigestInit_ex(context, kind, NULL) ? 0 : -ENOMEM;

	for (uint64_t at = 0; !ret && at < source->content.bytes;) {
		size_t size = source->content.bytes - at < HASH_STEP ? (size_t)(source->content.bytes - at) : HASH_STEP;

		ret = source_read(&source->content, buffer, size, at);
		if (!ret && !EVP_DigestUpdate(context, buffer, size))
			ret = -ENOMEM;
		at += size;
	}
	if (!ret && !EVP_DigestFinal_ex(context, source->digest, &length))
		ret = -ENOMEM;
	if (!ret) {
		source->digest_length = length;
		source->content.digest = source->digest;
	}
	free(buffer);
	EVP_MD_CTX_free(context);
	return ret;
}

static int copy_target(struct cache *cache, uint64_t node, char **target)
{
	struct database_connection *connection;
	int ret;

	*target = malloc(TARGET_SIZE);
	if (!*target)
		return -ENOMEM;
	connection = database_read(cache->database);
	ret = nodes_target(connection, node, *target, TARGET_SIZE);
	database_read_end(connection);
	return ret;
}

/* The bytes of the node, all here, with their digest. */
static int open_source(struct sync_job *job, const struct sync_subject *subject, struct sync_source *source,
		       char **target)
{
	struct cache *cache = job->sync->cache;
	const EVP_MD *kind = digest_kind(cache->remote);
	struct dw_time modified = entry_time(subject->row.mtime);
	struct content_stamp now;
	int ret = 0;

	memset(source, 0, sizeof(*source));
	source->job = job;
	source->content.read = source_read;
	source->content.progress = source_progress;
	if ((subject->row.mode & DW_MODE_TYPE) == DW_MODE_LINK) {
		ret = copy_target(cache, subject->row.id, target);
		if (ret)
			return ret;
		source->text = *target;
		source->content.bytes = strlen(*target);
	} else if (subject->row.content) {
		ret = content_get(cache->contents, subject->row.content, &source->file);
		if (!ret)
			ret = content_complete(source->file, 0, (const volatile uint32_t *)&cache->stopping);
		if (!ret)
			ret = content_stamp(source->file, &source->stamp);
		if (ret)
			return ret;
		source->content.bytes = source->stamp.size;
		modified = source->stamp.modified;
	} else if (subject->row.size && node_is_file(&subject->row)) {
		/* Its bytes are lost: an empty file must not take the place of what the server has. */
		return -EIO;
	}
	source->content.modified = modified;
	if (!kind)
		return 0;
	ret = hash_source(source, kind);
	if (!ret && source->file)
		ret = content_stamp(source->file, &now);
	/* It changes while it is read: what was hashed may be a mixture. */
	return ret || !source->file || active_same_stamp(&now, &source->stamp) ? ret : -EBUSY;
}

static bool same_bytes(const struct sync_source *source, const struct dw_remote_item *item)
{
	return item->type == DW_REMOTE_FILE && item->bytes == source->content.bytes && source->digest_length &&
	       item->digest_length == source->digest_length &&
	       memcmp(item->digest, source->digest, source->digest_length) == 0;
}

/* The bytes are the server's whatever else has changed of the row meanwhile. */
static void bytes_are_there(struct database_connection *connection, const struct sync_subject *subject)
{
	sqlite3_stmt *statement = database_statement(connection, "UPDATE node SET dirty = dirty & ~4 WHERE id = ? AND "
								 "content = ?");

	if (statement) {
		sqlite3_bind_int64(statement, 1, (int64_t)subject->row.id);
		sqlite3_bind_int64(statement, 2, (int64_t)subject->row.content);
	}
	(void)database_run(connection, statement);
}

/* It was written to meanwhile: wait until it has settled once more. */
static void rest_again(struct database_connection *connection, uint64_t node)
{
	sqlite3_stmt *statement = database_statement(connection, "UPDATE node SET since = ? WHERE id = ?");

	if (statement) {
		sqlite3_bind_int64(statement, 1, cache_now());
		sqlite3_bind_int64(statement, 2, (int64_t)node);
	}
	(void)database_run(connection, statement);
}

/*
 * The content is the server's version now. While somebody may write to it, by passthrough without a word to us, it
 * stays local: a crash must not leave bytes that the server has not got in a content that counts as fetched. Whoever
 * closes it last makes it fetched. Who opens it in this moment waits, and marks it as changed here again. False: it was
 * changed since.
 */
static bool settle(struct sync_source *source, struct database_connection *connection,
		   const struct content_origin *origin, unsigned writers)
{
	struct content_stamp now, none = source->stamp;
	bool same;

	if (!writers)
		return content_settle(source->file, connection, origin, &source->stamp);
	same = content_stamp(source->file, &now) == 0 && active_same_stamp(&now, &source->stamp) &&
	       now.size == origin->size;
	none.writes = UINT64_MAX;
	(void)content_settle(source->file, connection, origin, &none);
	return same;
}

/*
 * Is what was answered the state of the node? Not when it was removed, got another content, or took over another item
 * meanwhile: then what is here is still to be sent, and what was sent will be removed. 1; 0; negative.
 */
static int is_still_its(struct database_connection *connection, const struct sync_subject *subject,
			const struct dw_remote_item *item)
{
	sqlite3_stmt *query = database_statement(connection,
						 "SELECT 1 FROM node WHERE id = ?1 AND parent IS NOT NULL AND "
						 "ifnull(content, 0) = ?2 AND ifnull(remote, ?3) = ?3");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)subject->row.id);
	sqlite3_bind_int64(query, 2, (int64_t)subject->row.content);
	database_bind_text(query, 3, item->id);
	ret = database_step(connection, query);
	if (query)
		sqlite3_reset(query);
	return ret;
}

/* The server has the bytes, in item. */
static int accept(struct sync_job *job, const struct sync_subject *subject, struct sync_source *source,
		  const struct dw_remote_item *item)
{
	const struct content_origin origin = {.remote = item->id,
					      .version = item->content,
					      .size = item->bytes,
					      .digest = item->digest,
					      .digest_length = item->digest_length};
	struct database_connection *connection;
	struct absorb *absorb;
	unsigned opens, writers;
	bool settled = true;
	int its, ret = absorb_begin(&absorb, job->sync->cache);

	if (ret)
		return ret;
	connection = absorb_connection(absorb);
	its = is_still_its(connection, subject, item);
	if (its < 0) {
		absorb_abandon(absorb);
		return its;
	}
	absorb_look_whether_open(absorb, subject->row.id, &opens, &writers);
	if (source->file && its)
		settled = settle(source, connection, &origin, writers);
	if (!settled)
		rest_again(connection, subject->row.id);
	ret = absorb_answer(absorb, subject->row.id, subject->row.change,
			    (subject->row.dirty & DIRTY_NEW) | (settled ? DIRTY_CONTENT : 0), item);
	if (!ret)
		ret = sent_answered(connection, subject->row.id, item, subject->parent);
	if (!ret && source->file && its && settled)
		bytes_are_there(connection, subject);
	if (!ret && its)
		ret = properties_after_upload(connection, subject->row.id, settled && !writers);
	if (ret) {
		absorb_abandon(absorb);
		return ret;
	}
	ret = absorb_finish(absorb);
	if (!ret && !settled)
		ret = -EBUSY;
	if (!ret) {
		pthread_mutex_lock(&job->sync->lock);
		job->sync->uploaded += source->content.bytes;
		pthread_mutex_unlock(&job->sync->lock);
	}
	return ret;
}

/* Note what is about to go out. */
static int note_sent(struct cache *cache, const struct sync_subject *subject, const struct sync_source *source)
{
	const bool is_new = subject->row.dirty & DIRTY_NEW;
	struct sent *sent;
	int ret = 0;

	if (!source->digest_length)
		return 0;
	sent = calloc(1, sizeof(*sent));
	if (!sent)
		return -ENOMEM;
	sent->node = subject->row.id;
	sent->bytes = source->content.bytes;
	sent->digest_length = source->digest_length;
	memcpy(sent->digest, source->digest, source->digest_length);
	if (text_copy(sent->remote, sizeof(sent->remote), is_new ? "" : subject->item.remote) &&
	    text_copy(sent->parent, sizeof(sent->parent), subject->parent) &&
	    text_copy(sent->name, sizeof(sent->name), subject->name))
		ret = sent_note(cache, sent);
	free(sent);
	return ret;
}

/*
 * Was item sent from here, by a try whose answer was lost? Then what is here now goes on from it: 1. But while the node
 * that sent it is somewhere else, it is that one's: -EBUSY, until it has found it. 0: no.
 */
static int was_sent(struct cache *cache, const struct sync_subject *subject, const struct dw_remote_item *item)
{
	struct database_connection *connection = database_read(cache->database);
	struct node_row sender;
	uint64_t node;
	int ret = sent_find(connection, item, subject->parent, &node);

	if (ret > 0 && node != subject->row.id && (subject->row.dirty & DIRTY_NEW) &&
	    nodes_read(connection, node, &sender) == 0 && sender.parent && !sender.has_remote)
		ret = -EBUSY;
	database_read_end(connection);
	return ret;
}

/* The item was changed on the server since we last heard of it. */
static int changed_there(struct sync_job *job, const struct sync_subject *subject, struct sync_source *source,
			 struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct sync_item there = {0};
	struct dw_remote_items items = {.item = sync_item_take, .context = &there};
	int ret = cache->remote->ops->stat(cache->remote, call, subject->item.remote, &items);

	(void)cache_answered(cache, ret, call);
	if (ret)
		return ret;
	if (same_bytes(source, &there.item)) {
		/* An earlier try of ours whose answer was lost. */
		ret = accept(job, subject, source, &there.item);
	} else if (strcmp(there.item.content, subject->item.version) == 0 ||
		   was_sent(cache, subject, &there.item) > 0) {
		/* The bytes are those that ours are made of, and only its name or its properties changed; or they are
		 * older ones of ours. */
		ret = sync_answered(job, subject, 0, &there.item);
	} else {
		ret = sync_keep_both(job, subject, &there.item);
	}
	sync_item_free(&there);
	return ret;
}

/* The name is taken on the server. */
static int taken_there(struct sync_job *job, const struct sync_subject *subject, struct sync_source *source,
		       struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct sync_item there = {0};
	int ret = sync_item_find(cache, call, subject->parent, subject->name, &there);
	int sent = ret ? 0 : was_sent(cache, subject, &there.item);

	(void)cache_answered(cache, ret, call);
	if (ret == -ENOENT || (!ret && sync_will_leave(cache, subject->parent, &there.item)))
		ret = -EBUSY;
	else if (!ret && same_bytes(source, &there.item))
		ret = accept(job, subject, source, &there.item);
	else if (!ret && sent)
		ret = sent < 0 ? sent : sync_answered(job, subject, 0, &there.item);
	else if (!ret)
		ret = sync_keep_both(job, subject, &there.item);
	sync_item_free(&there);
	return ret;
}

static void show_transfer(struct sync_job *job, uint64_t bytes, bool shown)
{
	pthread_mutex_lock(&job->sync->lock);
	job->bytes = bytes;
	job->sent = 0;
	job->began = shown ? cache_now() : 0;
	pthread_mutex_unlock(&job->sync->lock);
}

int sync_upload(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	struct dw_remote *remote = cache->remote;
	const bool is_new = subject->row.dirty & DIRTY_NEW;
	const struct dw_remote_place place = {
		.id = is_new ? NULL : subject->item.remote,
		.etag = is_new || !subject->item.etag[0] ? NULL : subject->item.etag,
		.parent = subject->parent,
		/* Where it is: a name that it is to have is told by a move. */
		.name = !is_new && subject->row.dirty & DIRTY_PLACE ? subject->item.remote_name : subject->name,
	};
	struct sync_item there = {0};
	struct dw_remote_items items = {.item = sync_item_take, .context = &there};
	struct sync_source source;
	char *target = NULL;
	int ret = open_source(job, subject, &source, &target);

	if (!ret)
		ret = note_sent(cache, subject, &source);
	if (ret)
		goto out;
	show_transfer(job, source.content.bytes, true);
	if (source.content.bytes > remote->upload_max && remote->ops->session_begin)
		ret = sync_session(job, subject, &source, &place, call, &there);
	else
		ret = remote->ops->upload(remote, call, &place, &source.content, &items);
	(void)cache_answered(cache, ret, call);
	switch (ret) {
	case 0:
		ret = accept(job, subject, &source, &there.item);
		break;
	case DW_REMOTE_CHANGED:
		ret = changed_there(job, subject, &source, call);
		break;
	case -EEXIST:
		ret = taken_there(job, subject, &source, call);
		break;
	case -ENOENT:
	case DW_REMOTE_TRASHED:
		/* Of a new file it is the folder that is gone. */
		ret = is_new ? sync_folder_lost(job, subject, call) : sync_item_lost(job, subject);
		break;
	default:
		break;
	}
	show_transfer(job, 0, false);
out:
	sync_item_free(&there);
	if (source.file)
		content_put(source.file);
	free(target);
	return ret;
}
