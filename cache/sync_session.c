/* SPDX-License-Identifier: MIT */
/*
 * sync_session.c - large files go up in parts
 *
 * A row of upload names the session and what is being sent: node, change, length and digest. It is durable before the
 * first part goes out, so a new process, or the next start of the machine, finds it, asks the server which parts it
 * has, and sends the others. A session of other bytes than those that are to be sent now is given up.
 *
 * Parts are sent by the task's own thread and by up to SYNC_SENDERS more, which all files share. A helper that gets its
 * turn late finds the run closed and leaves; so a run is counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/active.h"
#include "cache/sync_internal.h"
#include "support/text.h"

#define PARTS_MAX    1000000u
#define EXPIRY_SPARE (60 * SYNC_SECOND) /* a session that ends sooner is not begun upon */

struct session_run {
	struct sync_job *job;
	struct sync_source *source;
	struct dw_remote_session session;
	struct dw_remote_part *parts; /* by index; bytes 0: not there yet */
	uint64_t count;
	pthread_mutex_t lock; /* of all below; a leaf but for sync->lock */
	pthread_cond_t idle;
	uint64_t next;
	uint64_t sent; /* bytes of parts that are there, and of those under way */
	unsigned active, references;
	bool closed;
	int error;
	char message[DW_REMOTE_MESSAGE_MAX];
};

struct helper {
	struct workers_job job; /* first */
	struct session_run *run;
};

/* One part as the remote sees it. */
struct part_source {
	struct dw_remote_content content; /* first */
	struct session_run *run;
	uint64_t offset, bytes;
	uint64_t shown; /* of these, counted in run->sent */
};

static void release(struct session_run *run)
{
	bool last;

	pthread_mutex_lock(&run->lock);
	last = --run->references == 0;
	pthread_mutex_unlock(&run->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&run->lock);
	pthread_cond_destroy(&run->idle);
	free(run->parts);
	free(run);
}

static int part_read(const struct dw_remote_content *content, void *buffer, size_t size, uint64_t offset)
{
	const struct part_source *part = (const struct part_source *)content;

	return part->run->source->content.read(&part->run->source->content, buffer, size, offset);
}

/* sent: of this part. With run->lock. */
static void show(struct session_run *run, struct part_source *part, uint64_t sent)
{
	struct sync *sync = run->job->sync;

	if (sent > part->bytes)
		sent = part->bytes;
	run->sent = run->sent - part->shown + sent;
	part->shown = sent;
	pthread_mutex_lock(&sync->lock);
	run->job->sent = run->sent;
	pthread_mutex_unlock(&sync->lock);
}

static void part_progress(const struct dw_remote_content *content, uint64_t sent)
{
	struct part_source *part = (struct part_source *)content;

	pthread_mutex_lock(&part->run->lock);
	show(part->run, part, sent);
	pthread_mutex_unlock(&part->run->lock);
}

/* Send parts until there are none left to begin. Takes and gives back run->lock. */
static void send_parts(struct session_run *run)
{
	struct cache *cache = run->job->sync->cache;
	struct dw_remote_part *sent = calloc(1, sizeof(*sent));
	struct dw_remote_call call;
	int ret = sent ? 0 : -ENOMEM;

	pthread_mutex_lock(&run->lock);
	run->active++;
	if (ret && !run->error)
		run->error = ret;
	while (!run->closed && !run->error && run->next < run->count) {
		uint64_t index = run->next++;
		struct part_source part = {.content = run->source->content, .run = run};

		if (run->parts[index].bytes)
			continue;
		part.content.read = part_read;
		part.content.progress = part_progress;
		part.offset = index * run->session.part_bytes;
		part.bytes = run->source->content.bytes - part.offset;
		if (part.bytes > run->session.part_bytes)
			part.bytes = run->session.part_bytes;
		pthread_mutex_unlock(&run->lock);
		cache_call_background(cache, &call);
		ret = cache->remote->ops->session_part(cache->remote, &call, &run->session, &part.content, part.offset,
						       sent);
		(void)cache_answered(cache, ret, &call);
		pthread_mutex_lock(&run->lock);
		show(run, &part, ret ? 0 : part.bytes);
		if (!ret) {
			run->parts[index] = *sent;
			run->parts[index].offset = part.offset;
			run->parts[index].bytes = part.bytes;
		} else if (!run->error) {
			run->error = ret;
			(void)text_copy(run->message, sizeof(run->message), call.message);
		}
	}
	if (--run->active == 0)
		pthread_cond_broadcast(&run->idle);
	pthread_mutex_unlock(&run->lock);
	free(sent);
}

static void help(struct workers_job *job)
{
	struct helper *helper = (struct helper *)job;
	struct session_run *run = helper->run;

	free(helper);
	send_parts(run);
	release(run);
}

static void call_helpers(struct session_run *run)
{
	for (uint64_t i = 1; i < run->count && i <= SYNC_SENDERS; i++) {
		struct helper *helper = calloc(1, sizeof(*helper));

		if (!helper)
			return;
		helper->run = run;
		helper->job.run = help;
		pthread_mutex_lock(&run->lock);
		run->references++;
		pthread_mutex_unlock(&run->lock);
		if (workers_submit(run->job->sync->senders, &helper->job)) {
			free(helper);
			/* Never the last: the caller has one. */
			pthread_mutex_lock(&run->lock);
			run->references--;
			pthread_mutex_unlock(&run->lock);
			return;
		}
	}
}

static int delete_row(struct cache *cache, uint64_t node)
{
	struct database_connection *connection = database_write(cache->database);
	sqlite3_stmt *statement = database_statement(connection, "DELETE FROM upload WHERE node = ?");

	if (statement)
		sqlite3_bind_int64(statement, 1, (int64_t)node);
	(void)database_run(connection, statement);
	return database_commit(connection);
}

static int store_row(struct cache *cache, const struct sync_subject *subject, const struct session_run *run)
{
	struct database_connection *connection = database_write(cache->database);
	sqlite3_stmt *statement = database_statement(
		connection, "INSERT OR REPLACE INTO upload(node, change, handle, part_bytes, expires, "
			    "bytes, digest) VALUES(?, ?, ?, ?, ?, ?, ?)");
	int ret;

	if (statement) {
		sqlite3_bind_int64(statement, 1, (int64_t)subject->row.id);
		sqlite3_bind_int64(statement, 2, subject->row.change);
		sqlite3_bind_text(statement, 3, run->session.handle, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 4, (int64_t)run->session.part_bytes);
		sqlite3_bind_int64(statement, 5, run->session.expires.seconds * SYNC_SECOND);
		sqlite3_bind_int64(statement, 6, (int64_t)run->source->content.bytes);
		sqlite3_bind_blob(statement, 7, run->source->digest, (int)run->source->digest_length, SQLITE_STATIC);
	}
	(void)database_run(connection, statement);
	ret = database_commit(connection);
	return ret ? ret : database_sync(cache->database);
}

/* The session that an earlier try began: 1, when it is one of these bytes; 0: there is none; 2: it is one of others. */
static int load_row(struct cache *cache, const struct sync_subject *subject, struct session_run *run)
{
	struct database_connection *connection = database_read(cache->database);
	sqlite3_stmt *statement = database_statement(
		connection, "SELECT handle, part_bytes, expires, bytes, digest, change FROM upload WHERE node = ?");
	const struct sync_source *source = run->source;
	int ret;

	if (statement)
		sqlite3_bind_int64(statement, 1, (int64_t)subject->row.id);
	ret = database_step(connection, statement);
	if (ret > 0) {
		int64_t part_bytes = sqlite3_column_int64(statement, 1), expires = sqlite3_column_int64(statement, 2);
		const char *handle = (const char *)sqlite3_column_text(statement, 0);

		run->session.part_bytes = (uint64_t)part_bytes;
		run->session.expires.seconds = expires / SYNC_SECOND;
		if (!handle || !text_copy(run->session.handle, sizeof(run->session.handle), handle))
			ret = -EIO;
		else if (part_bytes <= 0 || (expires && expires < cache_now() + EXPIRY_SPARE) ||
			 (uint64_t)sqlite3_column_int64(statement, 3) != source->content.bytes ||
			 (size_t)sqlite3_column_bytes(statement, 4) != source->digest_length ||
			 (source->digest_length &&
			  memcmp(sqlite3_column_blob(statement, 4), source->digest, source->digest_length) != 0) ||
			 (!source->digest_length && sqlite3_column_int64(statement, 5) != subject->row.change))
			ret = 2;
	}
	database_read_end(connection);
	return ret;
}

/* A part that the server has. One that does not fit is sent once more. */
static int take_part(const struct dw_remote_parts *parts, const struct dw_remote_part *part)
{
	struct session_run *run = parts->context;
	uint64_t index = part->offset / run->session.part_bytes;
	uint64_t bytes = run->source->content.bytes - part->offset;

	if (part->offset % run->session.part_bytes || index >= run->count)
		return 0;
	if (bytes > run->session.part_bytes)
		bytes = run->session.part_bytes;
	if (part->bytes != bytes || run->parts[index].bytes)
		return 0;
	run->parts[index] = *part;
	run->sent += bytes;
	return 0;
}

static int lay_out(struct session_run *run)
{
	const uint64_t bytes = run->source->content.bytes, part = run->session.part_bytes;

	if (!part || bytes / part >= PARTS_MAX)
		return -EPROTO;
	run->count = bytes / part + (bytes % part != 0);
	run->parts = calloc(run->count, sizeof(*run->parts));
	return run->parts ? 0 : -ENOMEM;
}

/* Take up the session of an earlier try: 0; DW_REMOTE_EXPIRED when there is none that can be. */
static int resume(struct sync_job *job, const struct sync_subject *subject, struct session_run *run,
		  struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	const struct dw_remote_parts parts = {.part = take_part, .context = run};
	int ret = load_row(cache, subject, run);

	if (ret < 0)
		return ret;
	if (ret == 2) {
		/* Whether this works makes no difference: a session that nobody goes on with ends by itself. */
		ret = cache->remote->ops->session_abort(cache->remote, call, &run->session);
		(void)cache_answered(cache, ret, call);
		return DW_REMOTE_EXPIRED;
	}
	if (ret == 0)
		return DW_REMOTE_EXPIRED;
	ret = lay_out(run);
	if (ret)
		return ret;
	ret = cache->remote->ops->session_parts(cache->remote, call, &run->session, &parts);
	(void)cache_answered(cache, ret, call);
	if (ret == DW_REMOTE_EXPIRED) {
		free(run->parts);
		run->parts = NULL;
		run->sent = 0;
	}
	return ret;
}

static int open_session(struct sync_job *job, const struct sync_subject *subject, struct session_run *run,
			const struct dw_remote_place *place, struct dw_remote_call *call)
{
	struct cache *cache = job->sync->cache;
	int ret = resume(job, subject, run, call);

	if (ret != DW_REMOTE_EXPIRED)
		return ret;
	memset(&run->session, 0, sizeof(run->session));
	ret = cache->remote->ops->session_begin(cache->remote, call, place, &run->source->content, &run->session);
	(void)cache_answered(cache, ret, call);
	if (!ret)
		ret = lay_out(run);
	return ret ? ret : store_row(cache, subject, run);
}

static int new_run(struct sync_job *job, struct sync_source *source, struct session_run **out)
{
	struct session_run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->job = job;
	run->source = source;
	run->references = 1;
	pthread_mutex_init(&run->lock, NULL);
	pthread_cond_init(&run->idle, NULL);
	*out = run;
	return 0;
}

/* Wait for those who are sending; who comes later finds it closed. */
static int close_run(struct session_run *run, struct dw_remote_call *call)
{
	int ret;

	pthread_mutex_lock(&run->lock);
	run->closed = true;
	while (run->active)
		pthread_cond_wait(&run->idle, &run->lock);
	ret = run->error;
	if (ret)
		(void)text_copy(call->message, sizeof(call->message), run->message);
	pthread_mutex_unlock(&run->lock);
	return ret;
}

/* Nothing more can come of the session. */
static bool is_over(int ret)
{
	return ret == 0 || ret == DW_REMOTE_EXPIRED || ret == DW_REMOTE_CHANGED || ret == DW_REMOTE_TRASHED ||
	       ret == -EEXIST || ret == -ENOENT || ret == -EBADMSG || ret == -EINVAL || ret == -ENAMETOOLONG;
}

int sync_session(struct sync_job *job, const struct sync_subject *subject, struct sync_source *source,
		 const struct dw_remote_place *place, struct dw_remote_call *call, struct sync_item *item)
{
	struct cache *cache = job->sync->cache;
	const struct dw_remote_items items = {.item = sync_item_take, .context = item};
	struct content_stamp stamp;
	struct session_run *run;
	int ret = new_run(job, source, &run);

	if (ret)
		return ret;
	ret = open_session(job, subject, run, place, call);
	if (!ret) {
		call_helpers(run);
		send_parts(run);
		ret = close_run(run, call);
	}
	if (!ret) {
		ret = content_stamp(source->file, &stamp);
		if (!ret && !active_same_stamp(&stamp, &source->stamp))
			ret = -EBUSY;
	}
	if (!ret) {
		ret = cache->remote->ops->session_commit(cache->remote, call, &run->session, place, &source->content,
							 run->parts, run->count, &items);
		(void)cache_answered(cache, ret, call);
	}
	if (is_over(ret)) {
		int deleted = delete_row(cache, subject->row.id);

		ret = ret ? ret : deleted;
	}
	release(run);
	return ret;
}
