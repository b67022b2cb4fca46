/* SPDX-License-Identifier: MIT */
#include "cache/sync.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "cache/operations.h"
#include "cache/sent.h"
#include "cache/sync_internal.h"

#define PAUSE_FIRST  SYNC_SECOND	 /* before the second try; doubles with every failure */
#define PAUSE_MOST   (300 * SYNC_SECOND) /* also for what a person has to mend */
#define PAUSE_BUSY   (SYNC_SECOND / 2)	 /* something else comes first; doubles, too */
#define PAUSE_TURN   (8 * SYNC_SECOND)	 /* and is at most this */
#define LATER_MOST   (3600 * SYNC_SECOND)
#define WATCH_PERIOD (SYNC_SECOND / 10) /* how often a waiting thread looks whether it was interrupted */
#define FEW	     16			/* so many are counted again after each that is done */

static struct timespec timespec_of(int64_t nanoseconds)
{
	return (struct timespec){.tv_sec = nanoseconds / SYNC_SECOND, .tv_nsec = nanoseconds % SYNC_SECOND};
}

/* Between half of pause and all of it, so that those who failed together do not come back together. */
static int64_t some_of(int64_t pause)
{
	uint32_t chance = 0;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
		chance = UINT32_MAX / 2;
	return pause / 2 + (int64_t)((double)pause / 2 * chance / UINT32_MAX);
}

static int64_t grown(int64_t pause, int64_t attempts, int64_t most)
{
	while (attempts-- > 0 && pause < most)
		pause *= 2;
	return pause < most ? pause : most;
}

static int64_t pause_after(int ret, int64_t attempts)
{
	switch (ret) {
	case -EBUSY:
		return grown(PAUSE_BUSY, attempts, PAUSE_TURN);
	case -EBADMSG:
	case DW_REMOTE_LATER:
	case DW_REMOTE_UNKNOWN:
	case DW_REMOTE_CHANGED:
	case DW_REMOTE_EXPIRED:
	case -EIO:
	case -EPROTO:
	case -ETIMEDOUT:
	case -ESTALE:
	case -ENOMEM:
		return some_of(grown(PAUSE_FIRST, attempts, PAUSE_MOST));
	default:
		return some_of(PAUSE_MOST);
	}
}

static const char *reason_of(int ret, const struct dw_remote_call *call)
{
	if (call->message[0])
		return call->message;
	switch (ret) {
	case DW_REMOTE_UNKNOWN:
		return "the connection broke";
	case DW_REMOTE_LATER:
		return "the service asks to wait";
	case DW_REMOTE_CHANGED:
	case DW_REMOTE_EXPIRED:
		return "it changes on the server";
	default:
		return ret > -10000 ? strerrordesc_np(-ret) : "the service failed";
	}
}

/* Somebody began to wait after this try had begun: what it failed with says nothing about how it is now. */
static bool is_outdated(const struct sync_job *job)
{
	bool outdated;

	pthread_mutex_lock(&job->sync->lock);
	outdated = job->round != job->sync->round;
	pthread_mutex_unlock(&job->sync->lock);
	return outdated;
}

static int store_failure(const struct sync_job *job, int ret, const char *reason)
{
	static const struct {
		const char *read, *write;
	} texts[] = {
		{"SELECT attempts FROM node WHERE id = ?",
		 "UPDATE node SET attempts = ?, retry_at = ?, failure = ?, error = ? WHERE id = ?"},
		{"SELECT attempts FROM gone WHERE id = ?",
		 "UPDATE gone SET attempts = ?, retry_at = ?, failure = ?, error = ? WHERE id = ?"},
		{"SELECT attempts FROM sent WHERE id = ?",
		 "UPDATE sent SET attempts = ?, retry_at = ?, failure = ?, error = ? WHERE id = ?"},
	};
	const struct sync_task *task = &job->task;
	struct database_connection *connection = database_write(job->sync->cache->database);
	const size_t kind = task->node ? 0 : task->gone ? 1 : 2;
	const int64_t id = task->node ? (int64_t)task->node : task->gone ? task->gone : task->sent;
	int64_t attempts = 0;
	sqlite3_stmt *statement = database_statement(connection, texts[kind].read);

	if (statement)
		sqlite3_bind_int64(statement, 1, id);
	if (database_step(connection, statement) > 0)
		attempts = sqlite3_column_int64(statement, 0);
	statement = database_statement(connection, texts[kind].write);
	if (statement) {
		sqlite3_bind_int64(statement, 1, attempts + 1);
		sqlite3_bind_int64(statement, 2, is_outdated(job) ? 0 : cache_now() + pause_after(ret, attempts));
		/* What only waits for its turn has not failed. */
		if (ret != -EBUSY)
			sqlite3_bind_text(statement, 3, reason, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 4, ret == -EBUSY ? 0 : -ret);
		sqlite3_bind_int64(statement, 5, id);
	}
	(void)database_run(connection, statement);
	return database_commit(connection);
}

static int clear_failure(struct cache *cache, uint64_t node)
{
	struct database_connection *connection = database_write(cache->database);
	sqlite3_stmt *statement = database_statement(connection,
						     "UPDATE node SET attempts = 0, retry_at = 0, failure = NULL, "
						     "error = 0 WHERE id = ? AND (attempts OR retry_at)");

	if (statement)
		sqlite3_bind_int64(statement, 1, (int64_t)node);
	(void)database_run(connection, statement);
	return database_commit(connection);
}

static bool has_failed_before(struct cache *cache, uint64_t node)
{
	struct database_connection *connection = database_read(cache->database);
	sqlite3_stmt *statement = database_statement(connection,
						     "SELECT 1 FROM node WHERE id = ? AND (attempts OR retry_at)");
	bool failed;

	if (statement)
		sqlite3_bind_int64(statement, 1, (int64_t)node);
	failed = database_step(connection, statement) > 0;
	database_read_end(connection);
	return failed;
}

/* Nothing is asked of the remote before pause has passed. */
static void keep_quiet(struct sync *sync, uint64_t pause)
{
	int64_t until = cache_now() + (pause > LATER_MOST ? LATER_MOST : (int64_t)pause);

	pthread_mutex_lock(&sync->lock);
	if (sync->quiet < until)
		sync->quiet = until;
	pthread_mutex_unlock(&sync->lock);
}

void sync_failed(struct sync_job *job, int ret, const struct dw_remote_call *call)
{
	struct sync *sync = job->sync;

	switch (ret) {
	case 0:
		if (job->task.node && has_failed_before(sync->cache, job->task.node))
			(void)clear_failure(sync->cache, job->task.node);
		return;
	case DW_REMOTE_OFFLINE:
	case DW_REMOTE_LOGIN:
	case -ECANCELED:
		/* Nobody's fault: it goes on when the service is back. Other calls may find it there while these do
		 * not, so this does not go on at once. */
		keep_quiet(sync, SYNC_SECOND);
		return;
	case DW_REMOTE_LATER:
		keep_quiet(sync, call->retry_after > (uint64_t)SYNC_SECOND ? call->retry_after : SYNC_SECOND);
		return;
	default:
		/* The database's own error was logged. */
		if (store_failure(job, ret, reason_of(ret, call)))
			keep_quiet(sync, SYNC_SECOND);
	}
}

static void run_job(struct workers_job *base)
{
	struct sync_job *job = (struct sync_job *)base;
	struct sync *sync = job->sync;

	if (job->task.node)
		sync_run_node(job);
	else if (job->task.gone)
		sync_run_gone(job);
	else
		sync_run_sent(job);
	pthread_mutex_lock(&sync->lock);
	job->used = false;
	sync->woken = true;
	pthread_cond_signal(&sync->wake);
	pthread_cond_broadcast(&sync->progress);
	pthread_mutex_unlock(&sync->lock);
}

/* A job that is free, taken for task; NULL: all are in use. */
static struct sync_job *take_job(struct sync *sync, const struct sync_task *task)
{
	struct sync_job *job = NULL;

	pthread_mutex_lock(&sync->lock);
	for (size_t i = 0; i < SYNC_TASKS && !job; i++) {
		if (!sync->jobs[i].used)
			job = &sync->jobs[i];
	}
	if (job) {
		job->used = true;
		job->round = sync->round;
		job->task = *task;
		job->parent[0] = job->name[0] = '\0';
		job->job.run = run_job;
	}
	pthread_mutex_unlock(&sync->lock);
	return job;
}

static bool jobs_are_full(struct sync *sync)
{
	size_t used = 0;

	pthread_mutex_lock(&sync->lock);
	for (size_t i = 0; i < SYNC_TASKS; i++)
		used += sync->jobs[i].used;
	pthread_mutex_unlock(&sync->lock);
	return used == SYNC_TASKS;
}

/* Give out what can run; answers when to look again. */
static int64_t give_out(struct sync *sync)
{
	struct sync_task task;
	struct sync_job *job;
	int64_t due = SYNC_NEVER, soonest = cache_now() + PAUSE_BUSY;
	int ret = 0;

	/* When all are taken, the first that is done wakes the scheduler. */
	while (!jobs_are_full(sync)) {
		ret = sync_next(sync, &task, &due);
		if (ret <= 0)
			break;
		due = SYNC_NEVER;
		job = take_job(sync, &task);
		if (workers_submit(sync->workers, &job->job)) {
			pthread_mutex_lock(&sync->lock);
			job->used = false;
			pthread_mutex_unlock(&sync->lock);
			return soonest;
		}
	}
	if (ret < 0)
		return cache_now() + SYNC_SECOND;
	/* What is due and cannot run is in a job, or waits for something else: look again after a while. */
	return ret || due > soonest ? due : soonest;
}

static void *schedule(void *context)
{
	struct sync *sync = context;

	pthread_mutex_lock(&sync->lock);
	while (!sync->stopping) {
		int64_t armed = SYNC_NEVER, quiet = sync->quiet, look = sync->look, now = cache_now();

		sync->woken = false;
		/* What becomes dirty while the rows are being looked at counts, too. */
		sync->armed = SYNC_NEVER;
		if (look <= now)
			sync->look = SYNC_NEVER;
		pthread_mutex_unlock(&sync->lock);
		if (look <= now)
			look = sync_look_at_open(sync);
		if (quiet > now)
			armed = quiet;
		else if (cache_is_online(sync->cache))
			armed = give_out(sync);
		pthread_mutex_lock(&sync->lock);
		sync->look = look < sync->look ? look : sync->look;
		armed = sync->look < armed ? sync->look : armed;
		sync->armed = armed;
		while (!sync->woken && !sync->stopping && cache_now() < armed) {
			struct timespec until = timespec_of(armed);

			if (armed == SYNC_NEVER)
				pthread_cond_wait(&sync->wake, &sync->lock);
			else
				(void)pthread_cond_timedwait(&sync->wake, &sync->lock, &until);
		}
	}
	pthread_mutex_unlock(&sync->lock);
	return NULL;
}

void sync_wake(struct sync *sync)
{
	pthread_mutex_lock(&sync->lock);
	/* What became dirty just now has to settle first: no need to look before. */
	if (sync->armed > cache_now() + (int64_t)sync->cache->options.settle || sync->urgent) {
		sync->woken = true;
		pthread_cond_signal(&sync->wake);
	}
	pthread_mutex_unlock(&sync->lock);
}

void sync_opened(struct sync *sync)
{
	pthread_mutex_lock(&sync->lock);
	if (sync->look == SYNC_NEVER) {
		sync->look = cache_now() + sync_quiet(sync);
		sync->woken = true;
		pthread_cond_signal(&sync->wake);
	}
	pthread_mutex_unlock(&sync->lock);
}

/* Sessions of nodes that are not to be uploaded any more. The server forgets them by itself. */
static int drop_sessions(struct cache *cache)
{
	struct database_connection *connection = database_write(cache->database);

	(void)database_run(connection,
			   database_statement(connection, "DELETE FROM upload WHERE node NOT IN (SELECT id FROM node "
							  "WHERE dirty != 0 AND parent IS NOT NULL)"));
	return database_commit(connection);
}

int sync_start(struct sync **out, struct cache *cache)
{
	struct sync *sync = calloc(1, sizeof(*sync));
	pthread_condattr_t monotonic;
	int ret;

	if (!sync)
		return -ENOMEM;
	sync->cache = cache;
	pthread_mutex_init(&sync->lock, NULL);
	pthread_cond_init(&sync->wake, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&sync->progress, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (size_t i = 0; i < SYNC_TASKS; i++)
		sync->jobs[i].sync = sync;
	ret = drop_sessions(cache);
	if (!ret)
		ret = workers_create(&sync->workers, "dw-sync", SYNC_TASKS);
	if (!ret)
		ret = workers_create(&sync->senders, "dw-parts", SYNC_SENDERS);
	/* What it starts looks there. */
	*out = sync;
	if (!ret)
		ret = -pthread_create(&sync->scheduler, NULL, schedule, sync);
	if (ret) {
		*out = NULL;
		if (sync->senders)
			workers_destroy(sync->senders);
		if (sync->workers)
			workers_destroy(sync->workers);
		pthread_cond_destroy(&sync->progress);
		pthread_cond_destroy(&sync->wake);
		pthread_mutex_destroy(&sync->lock);
		free(sync);
	}
	return ret;
}

void sync_stop(struct sync *sync)
{
	pthread_mutex_lock(&sync->lock);
	sync->stopping = true;
	pthread_cond_signal(&sync->wake);
	pthread_cond_broadcast(&sync->progress);
	pthread_mutex_unlock(&sync->lock);
	pthread_join(sync->scheduler, NULL);
	workers_destroy(sync->workers);
	workers_destroy(sync->senders);
	pthread_cond_destroy(&sync->progress);
	pthread_cond_destroy(&sync->wake);
	pthread_mutex_destroy(&sync->lock);
	free(sync);
}

bool sync_is_placing(struct sync *sync, const char *parent, const char *name)
{
	bool found = false;

	pthread_mutex_lock(&sync->lock);
	for (size_t i = 0; i < SYNC_TASKS && !found; i++)
		found = sync->jobs[i].used && strcmp(sync->jobs[i].name, name) == 0 &&
			strcmp(sync->jobs[i].parent, parent) == 0;
	pthread_mutex_unlock(&sync->lock);
	return found;
}

size_t sync_transfers(struct sync *sync, struct sync_transfer *out, size_t maximum)
{
	size_t count = 0;

	pthread_mutex_lock(&sync->lock);
	for (size_t i = 0; i < SYNC_TASKS && count < maximum; i++) {
		const struct sync_job *job = &sync->jobs[i];

		if (!job->used || !job->began)
			continue;
		out[count++] = (struct sync_transfer){
			.node = job->task.node, .bytes = job->bytes, .sent = job->sent, .began = job->began};
	}
	pthread_mutex_unlock(&sync->lock);
	return count;
}

static int count_up(struct database_connection *connection, const char *text, uint64_t *first, uint64_t *second)
{
	sqlite3_stmt *statement = database_statement(connection, text);
	int ret = database_step(connection, statement);

	if (ret <= 0)
		return ret < 0 ? ret : -EIO;
	*first += (uint64_t)sqlite3_column_int64(statement, 0);
	*second += (uint64_t)sqlite3_column_int64(statement, 1);
	return 0;
}

int sync_numbers(struct cache *cache, struct sync_numbers *out)
{
	struct database_connection *connection = database_read(cache->database);
	uint64_t unused = 0;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = count_up(connection,
		       "SELECT count(*), count(nullif(error, 0)) FROM node WHERE dirty != 0 AND parent IS NOT NULL",
		       &out->pending, &out->failing);
	if (!ret)
		ret = count_up(connection, "SELECT count(*), count(nullif(error, 0)) FROM gone", &out->pending,
			       &out->failing);
	if (!ret)
		ret = count_up(connection, "SELECT count(*), count(nullif(error, 0)) FROM sent WHERE " SENT_LOST,
			       &out->pending, &out->failing);
	if (!ret)
		ret = count_up(connection,
			       "SELECT coalesce(sum(size), 0), 0 FROM node WHERE dirty & 4 AND parent IS NOT NULL AND "
			       "dirty != 0",
			       &out->pending_bytes, &unused);
	if (!ret)
		ret = count_up(connection, "SELECT count(*), 0 FROM conflict", &out->conflicts, &unused);
	database_read_end(connection);
	pthread_mutex_lock(&cache->sync->lock);
	out->uploaded = cache->sync->uploaded;
	pthread_mutex_unlock(&cache->sync->lock);
	return ret;
}

/*
 * How many of node and what is below it are not on the server, and *error is what each of them that was tried failed
 * with lastly (0 when one of them has not failed, or is to be tried again now; those in a folder that is not there yet
 * wait for it and say nothing). For a folder, removals, and what was lost on its way, count wherever they are.
 */
static int is_pending(struct cache *cache, uint64_t node, int *error)
{
	static const char below[] =
		"WITH RECURSIVE up(start, at) AS ("
		"  SELECT id, id FROM node WHERE dirty != 0 AND parent IS NOT NULL"
		"  UNION ALL SELECT up.start, node.parent FROM up JOIN node ON node.id = up.at"
		"  WHERE node.parent IS NOT NULL AND up.at != ?1) "
		"SELECT count(*), min(CASE WHEN p.remote IS NULL THEN NULL WHEN n.retry_at = 0 THEN 0 ELSE n.error "
		"END), max(n.error) FROM node n JOIN node p ON p.id = n.parent WHERE n.id IN (SELECT start FROM up "
		"WHERE at = ?1)";
	struct database_connection *connection = database_read(cache->database);
	struct node_row row;
	sqlite3_stmt *statement;
	int64_t pending = 0;
	int ret = nodes_read(connection, node, &row);

	*error = 0;
	if (ret)
		goto out;
	statement = database_statement(connection, below);
	if (statement)
		sqlite3_bind_int64(statement, 1, (int64_t)node);
	ret = database_step(connection, statement);
	if (ret > 0) {
		pending = sqlite3_column_int64(statement, 0);
		if (pending && sqlite3_column_int64(statement, 1))
			*error = (int)sqlite3_column_int64(statement, 2);
	}
	if (ret > 0 && (row.mode & DW_MODE_TYPE) == DW_MODE_FOLDER) {
		statement = database_statement(connection,
					       "SELECT count(*), min(CASE retry_at WHEN 0 THEN 0 ELSE error END), "
					       "max(error) FROM (SELECT retry_at, error FROM gone UNION ALL "
					       "SELECT retry_at, error FROM sent WHERE " SENT_LOST ")");
		ret = database_step(connection, statement);
		if (ret > 0 && sqlite3_column_int64(statement, 0)) {
			if (!sqlite3_column_int64(statement, 1))
				*error = 0;
			else if (!pending)
				*error = (int)sqlite3_column_int64(statement, 2);
			pending += sqlite3_column_int64(statement, 0);
		}
	}
out:
	database_read_end(connection);
	return ret < 0 ? ret : pending > INT_MAX ? INT_MAX : (int)pending;
}

/*
 * What is_pending counts and waits for its next try is to be tried now, and so are the folders that node is in: those
 * who wait want to know how it is, not how it was.
 */
static int try_again(struct cache *cache, uint64_t node)
{
	static const char nodes[] =
		"WITH RECURSIVE up(start, at) AS ("
		"  SELECT id, id FROM node WHERE dirty != 0 AND retry_at != 0 AND parent IS NOT NULL"
		"  UNION ALL SELECT up.start, node.parent FROM up JOIN node ON node.id = up.at"
		"  WHERE node.parent IS NOT NULL AND up.at != ?1), "
		"above(id) AS ("
		"  SELECT parent FROM node WHERE id = ?1"
		"  UNION ALL SELECT node.parent FROM above JOIN node ON node.id = above.id WHERE node.parent IS NOT "
		"NULL) "
		"UPDATE node SET retry_at = 0 WHERE dirty != 0 AND retry_at != 0 AND "
		"(id IN (SELECT start FROM up WHERE at = ?1) OR id IN (SELECT id FROM above))";
	struct database_connection *connection = database_write(cache->database);
	struct node_row row;
	sqlite3_stmt *statement;
	int ret = nodes_read(connection, node, &row);

	if (!ret) {
		statement = database_statement(connection, nodes);
		if (statement)
			sqlite3_bind_int64(statement, 1, (int64_t)node);
		ret = database_run(connection, statement);
	}
	if (!ret && (row.mode & DW_MODE_TYPE) == DW_MODE_FOLDER) {
		ret = database_run(connection, database_statement(connection, "UPDATE gone SET retry_at = 0 WHERE "
									      "retry_at != 0"));
		if (!ret)
			ret = database_run(connection,
					   database_statement(connection, "UPDATE sent SET retry_at = 0 WHERE "
									  "retry_at != 0 AND " SENT_LOST));
	}
	return operation_end(connection, ret);
}

/* What a person has to mend: waiting longer does not help. */
static bool is_lasting(int error)
{
	return error == EACCES || error == EPERM || error == ENOSPC || error == EINVAL || error == ENAMETOOLONG ||
	       error == EFBIG || error == EROFS || error == E2BIG || error == EDQUOT;
}

/* Until something is done, where few are waited for, else for a while: counting many costs time. */
static int wait_for_progress(struct sync *sync, bool few, uint64_t deadline)
{
	struct timespec now, until;
	int64_t at;

	clock_gettime(CLOCK_MONOTONIC, &now);
	at = now.tv_sec * SYNC_SECOND + now.tv_nsec;
	if (deadline && (uint64_t)at >= deadline)
		return -ETIMEDOUT;
	until = timespec_of(at + WATCH_PERIOD);
	pthread_mutex_lock(&sync->lock);
	while (!sync->stopping && pthread_cond_timedwait(&sync->progress, &sync->lock, &until) != ETIMEDOUT && !few)
		;
	pthread_mutex_unlock(&sync->lock);
	return 0;
}

int sync_wait(struct cache *cache, uint64_t node, uint64_t deadline, const volatile uint32_t *interrupted)
{
	struct sync *sync = cache->sync;
	int error, ret;

	pthread_mutex_lock(&sync->lock);
	sync->urgent++;
	sync->round++;
	pthread_mutex_unlock(&sync->lock);
	ret = try_again(cache, node);
	pthread_mutex_lock(&sync->lock);
	sync->woken = true;
	pthread_cond_signal(&sync->wake);
	pthread_mutex_unlock(&sync->lock);
	while (!ret) {
		ret = is_pending(cache, node, &error);
		if (ret <= 0)
			break;
		if (is_lasting(error)) {
			ret = -error;
			break;
		}
		if (interrupted && *interrupted) {
			ret = -EINTR;
			break;
		}
		if (cache->stopping) {
			ret = -ECANCELED;
			break;
		}
		ret = wait_for_progress(sync, ret <= FEW, deadline);
		if (ret)
			break;
	}
	pthread_mutex_lock(&sync->lock);
	sync->urgent--;
	pthread_mutex_unlock(&sync->lock);
	return ret;
}
