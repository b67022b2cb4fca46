/* SPDX-License-Identifier: MIT */
/*
 * The tidying thread: sleeps until somebody has something for it, and does it where nobody waits.
 *
 * Making room: the rows of what is given up are forgotten durably first and the files are deleted afterwards, so that
 * no row that a power cut leaves can promise bytes that are gone.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "cache/content_store.h"

#define USED_MAX     512
#define SYNC_AFTER   30000000000ull /* nanoseconds that fresh ranges wait for a sync that covers many */
#define RETRY_AFTER  1000000000ull
#define RETRY_GROWTH (16ull << 20)
#define ROOM	     (64ull << 20) /* what is made when the disk is full */

struct doomed {
	uint64_t id, bytes, clean;
};

struct used {
	uint64_t id, seconds, bytes;
};

struct tidy {
	struct content_store *store;
	pthread_t thread;
	pthread_mutex_t room; /* one makes room at a time; taken after io, before the database */
	pthread_mutex_t lock; /* guards all below; a leaf */
	pthread_cond_t work;
	bool stopping;
	bool grown;
	uint64_t sync_at; /* 0: nothing is fresh */
	struct doomed *doomed;
	size_t doomed_count, doomed_room;
	struct used used[USED_MAX];
	size_t used_count;
	uint64_t stuck_at;    /* when there was nothing left to give up; 0: there was */
	uint64_t stuck_clean; /* how much there was then */
};

/* --- making room ---------------------------------------------------------------------------------------------------
 */

static uint64_t free_bytes(const struct content_store *store)
{
	struct statvfs space;

	if (fstatvfs(store->folder_fd, &space))
		return UINT64_MAX;
	return (uint64_t)space.f_bavail * space.f_frsize;
}

static bool is_over(struct content_store *store)
{
	return atomic_load(&store->clean) > store->config.cache_size ||
	       (store->config.cache_min_free > 0 && free_bytes(store) < store->config.cache_min_free);
}

/* Down to 90 % of the size, and a tenth more free than asked for. */
static bool is_satisfied(struct content_store *store)
{
	uint64_t size = store->config.cache_size, min_free = store->config.cache_min_free;

	return atomic_load(&store->clean) <= size - size / 10 &&
	       (min_free == 0 || free_bytes(store) >= min_free + min_free / 10);
}

/* Forget those of ids that may go, durably, and delete their files. The number that went, or a negative errno. */
static int give_up(struct content_store *store, uint64_t *ids, size_t count)
{
	struct database_connection *connection;
	uint64_t bytes[CONTENT_LEAVING] = {0};
	bool went[CONTENT_LEAVING] = {false};
	int ret = 0, gone = 0;

	count = content_begin_leaving(store, ids, count);
	connection = database_write(store->config.database);
	for (size_t i = 0; i < count && (ret == 0 || ret == -EBUSY); i++) {
		ret = content_row_forget(connection, ids[i], &bytes[i]);
		went[i] = ret == 0;
	}
	if (ret && ret != -EBUSY)
		database_rollback(connection);
	else
		ret = database_commit(connection);
	if (!ret)
		ret = database_sync(store->config.database);
	for (size_t i = 0; i < count && !ret; i++) {
		if (!went[i])
			continue;
		content_unlink_file(store, ids[i]);
		atomic_fetch_sub(&store->bytes, bytes[i]);
		atomic_fetch_sub(&store->clean, bytes[i]);
		atomic_fetch_add(&store->evicted, bytes[i]);
		gone++;
	}
	content_have_left(store);
	return ret ? ret : gone;
}

int content_evict(struct content_store *store, uint64_t id)
{
	int ret;

	pthread_mutex_lock(&store->tidy->room);
	ret = give_up(store, &id, 1);
	pthread_mutex_unlock(&store->tidy->room);
	return ret < 0 ? ret : ret == 0 ? -EBUSY : 0;
}

/* Is its node, or a folder above it, pinned? */
static bool is_pinned(struct database_connection *connection, uint64_t id)
{
	sqlite3_stmt *row = database_statement(
		connection, "WITH RECURSIVE above(parent, pinned) AS (SELECT parent, pinned FROM node WHERE content = ?"
			    " UNION SELECT node.parent, node.pinned FROM node JOIN above ON node.id = above.parent)"
			    " SELECT 1 FROM above WHERE pinned != 0");
	bool pinned;

	if (row)
		sqlite3_bind_int64(row, 1, (int64_t)id);
	pinned = database_step(connection, row) != 0;
	if (row)
		sqlite3_reset(row);
	return pinned;
}

/* The next candidates, those that were not used for longest first, behind *used and *id. */
static size_t candidates(struct content_store *store, uint64_t *ids, int64_t *used, int64_t *id, bool *more)
{
	struct database_connection *connection = database_read(store->config.database);
	sqlite3_stmt *row = database_statement(connection, "SELECT id, used FROM content WHERE local = 0 AND bytes > 0"
							   " AND (used, id) > (?, ?) ORDER BY used, id LIMIT ?");
	size_t count = 0, seen = 0;

	if (row) {
		sqlite3_bind_int64(row, 1, *used);
		sqlite3_bind_int64(row, 2, *id);
		sqlite3_bind_int(row, 3, CONTENT_LEAVING);
	}
	while (seen < CONTENT_LEAVING && database_step(connection, row) > 0) {
		seen++;
		*id = sqlite3_column_int64(row, 0);
		*used = sqlite3_column_int64(row, 1);
		if (!is_pinned(connection, (uint64_t)*id))
			ids[count++] = (uint64_t)*id;
	}
	database_read_end(connection);
	*more = seen == CONTENT_LEAVING;
	return count;
}

static void write_used(struct tidy *tidy);

/* Until there is room; with least, until that was made. What was made. */
static uint64_t make_room(struct tidy *tidy, uint64_t least)
{
	struct content_store *store = tidy->store;
	uint64_t before = atomic_load(&store->evicted), ids[CONTENT_LEAVING];
	int64_t used = -1, id = 0;
	bool more = true, enough = false;

	write_used(tidy);
	pthread_mutex_lock(&tidy->room);
	while (more && !enough) {
		size_t count = candidates(store, ids, &used, &id, &more);

		/* A few at a time, so that not more goes than must. */
		for (size_t i = 0; i < count && !enough; i += 8) {
			if (give_up(store, ids + i, count - i < 8 ? count - i : 8) < 0)
				more = false;
			enough = least ? atomic_load(&store->evicted) - before >= least : is_satisfied(store);
		}
	}
	pthread_mutex_unlock(&tidy->room);
	pthread_mutex_lock(&tidy->lock);
	tidy->stuck_at = enough ? 0 : content_clock();
	tidy->stuck_clean = atomic_load(&store->clean);
	pthread_mutex_unlock(&tidy->lock);
	return atomic_load(&store->evicted) - before;
}

bool tidy_make_room(struct content_store *store)
{
	return make_room(store->tidy, ROOM) > 0;
}

/* tidy.lock is held. */
static bool is_stuck(const struct tidy *tidy)
{
	return tidy->stuck_at && atomic_load(&tidy->store->clean) < tidy->stuck_clean + RETRY_GROWTH &&
	       content_clock() < tidy->stuck_at + RETRY_AFTER;
}

void tidy_grown(struct content_store *store)
{
	struct tidy *tidy = store->tidy;

	if (!is_over(store))
		return;
	pthread_mutex_lock(&tidy->lock);
	if (!tidy->grown && !is_stuck(tidy)) {
		tidy->grown = true;
		pthread_cond_signal(&tidy->work);
	}
	pthread_mutex_unlock(&tidy->lock);
}

/* --- what was used ---------------------------------------------------------------------------------------------------
 */

void tidy_used(struct content_store *store, uint64_t id, uint64_t seconds, uint64_t bytes)
{
	struct tidy *tidy = store->tidy;

	pthread_mutex_lock(&tidy->lock);
	/* When the table is full the thread is about to write it. What is lost is only an order. */
	if (tidy->used_count < USED_MAX)
		tidy->used[tidy->used_count++] = (struct used){.id = id, .seconds = seconds, .bytes = bytes};
	if (tidy->used_count == USED_MAX)
		pthread_cond_signal(&tidy->work);
	pthread_mutex_unlock(&tidy->lock);
}

static void write_used(struct tidy *tidy)
{
	struct database_connection *connection;
	struct used used[USED_MAX];
	size_t count;
	int ret = 0;

	pthread_mutex_lock(&tidy->lock);
	count = tidy->used_count;
	memcpy(used, tidy->used, count * sizeof(*used));
	tidy->used_count = 0;
	pthread_mutex_unlock(&tidy->lock);
	if (count == 0)
		return;
	connection = database_write(tidy->store->config.database);
	for (size_t i = 0; i < count && !ret; i++) {
		sqlite3_stmt *update = database_statement(connection,
							  "UPDATE content SET used = ?, bytes = ? WHERE id = ?");

		if (update) {
			sqlite3_bind_int64(update, 1, (int64_t)used[i].seconds);
			sqlite3_bind_int64(update, 2, (int64_t)used[i].bytes);
			sqlite3_bind_int64(update, 3, (int64_t)used[i].id);
		}
		ret = database_run(connection, update);
	}
	if (ret)
		database_rollback(connection);
	else
		(void)database_commit(connection);
}

/* --- files of rows that are gone -------------------------------------------------------------------------------------
 */

void tidy_delete(struct content_store *store, uint64_t id, uint64_t bytes, uint64_t clean)
{
	struct tidy *tidy = store->tidy;

	pthread_mutex_lock(&tidy->lock);
	if (tidy->doomed_count == tidy->doomed_room) {
		size_t room = tidy->doomed_room ? tidy->doomed_room * 2 : 64;
		struct doomed *doomed = reallocarray(tidy->doomed, room, sizeof(*doomed));

		if (!doomed) {
			atomic_store(&store->untidy, true);
			goto out;
		}
		tidy->doomed = doomed;
		tidy->doomed_room = room;
	}
	tidy->doomed[tidy->doomed_count++] = (struct doomed){.id = id, .bytes = bytes, .clean = clean};
	pthread_cond_signal(&tidy->work);
out:
	pthread_mutex_unlock(&tidy->lock);
}

/* Does the row exist, now that the transaction that deleted it has ended? */
static bool is_gone(struct content_store *store, struct database_connection *connection, uint64_t id)
{
	sqlite3_stmt *row = database_statement(connection, "SELECT 1 FROM content WHERE id = ?");
	int ret;

	if (row)
		sqlite3_bind_int64(row, 1, (int64_t)id);
	ret = database_step(connection, row);
	if (row)
		sqlite3_reset(row);
	if (ret < 0)
		atomic_store(&store->untidy, true);
	return ret == 0;
}

static void delete_files(struct tidy *tidy)
{
	struct content_store *store = tidy->store;
	struct database_connection *connection;
	struct doomed *doomed;
	size_t count;

	pthread_mutex_lock(&tidy->lock);
	doomed = tidy->doomed;
	count = tidy->doomed_count;
	tidy->doomed = NULL;
	tidy->doomed_count = tidy->doomed_room = 0;
	pthread_mutex_unlock(&tidy->lock);
	if (count == 0)
		return;
	/* The writing connection: it is had when nobody is in the middle of a change. */
	connection = database_write(store->config.database);
	for (size_t i = 0; i < count; i++) {
		if (!is_gone(store, connection, doomed[i].id))
			doomed[i].id = 0;
	}
	database_rollback(connection);
	for (size_t i = 0; i < count; i++) {
		if (doomed[i].id == 0)
			continue;
		content_unlink_file(store, doomed[i].id);
		atomic_fetch_sub(&store->bytes, doomed[i].bytes);
		atomic_fetch_sub(&store->clean, doomed[i].clean);
	}
	free(doomed);
}

/* --- what was synced
 * -------------------------------------------------------------------------------------------------- */

void tidy_fresh(struct content_store *store)
{
	struct tidy *tidy = store->tidy;

	pthread_mutex_lock(&tidy->lock);
	if (tidy->sync_at == 0) {
		tidy->sync_at = content_clock() + SYNC_AFTER;
		pthread_cond_signal(&tidy->work);
	}
	pthread_mutex_unlock(&tidy->lock);
}

/* Every range that is older than epoch is on disk: say so in the rows. */
static int settle_rows(struct database_connection *connection, uint64_t epoch)
{
	sqlite3_stmt *whole, *others;
	int ret;

	/* Whole contents need no ranges when none of them is fresh. */
	whole = database_statement(connection,
				   "DELETE FROM extent WHERE content IN (SELECT content FROM extent JOIN content"
				   " ON content.id = extent.content WHERE extent.boot != 0 AND whole = 1)"
				   " AND content NOT IN (SELECT content FROM extent WHERE boot != 0 AND boot >= ?)");
	if (whole)
		sqlite3_bind_int64(whole, 1, (int64_t)epoch);
	ret = database_run(connection, whole);
	if (ret)
		return ret;
	others = database_statement(connection, "UPDATE extent SET boot = 0 WHERE boot != 0 AND boot < ?");
	if (others)
		sqlite3_bind_int64(others, 1, (int64_t)epoch);
	return database_run(connection, others);
}

static void sync_fresh(struct tidy *tidy)
{
	struct content_store *store = tidy->store;
	struct database_connection *connection;
	struct content **all;
	uint64_t epoch;

	epoch = atomic_fetch_add(&store->epoch, 1) + 1;
	if (syncfs(store->folder_fd)) {
		content_log(store, 1, "what was fetched cannot be synced: %s", strerrordesc_np(errno));
		return;
	}
	all = content_all(store);
	if (!all)
		return;
	connection = database_write(store->config.database);
	for (size_t i = 0; all[i]; i++) {
		pthread_mutex_lock(&all[i]->lock);
		content_map_settle(&all[i]->map, epoch);
		all[i]->trusted = all[i]->trusted || content_map_is_settled(&all[i]->map);
		pthread_mutex_unlock(&all[i]->lock);
	}
	if (settle_rows(connection, epoch))
		database_rollback(connection);
	else
		(void)database_commit(connection);
	for (size_t i = 0; all[i]; i++)
		content_drop(all[i]);
	free(all);
}

/* --- the thread
 * --------------------------------------------------------------------------------------------------------- */

/* Wait for something to do; false: to end. tidy.lock is held. */
static bool wait_for_work(struct tidy *tidy)
{
	while (!tidy->stopping && !tidy->grown && tidy->doomed_count == 0 && tidy->used_count < USED_MAX) {
		struct timespec until = {.tv_sec = (time_t)(tidy->sync_at / 1000000000u),
					 .tv_nsec = (long)(tidy->sync_at % 1000000000u)};

		if (tidy->sync_at == 0)
			pthread_cond_wait(&tidy->work, &tidy->lock);
		else if (pthread_cond_timedwait(&tidy->work, &tidy->lock, &until) == ETIMEDOUT)
			break;
	}
	return !tidy->stopping;
}

static void *tidy_run(void *context)
{
	struct tidy *tidy = context;
	bool going = true, grown, sync;

	pthread_setname_np(pthread_self(), "tidy");
	while (going) {
		pthread_mutex_lock(&tidy->lock);
		going = wait_for_work(tidy);
		grown = tidy->grown && going;
		sync = tidy->sync_at && content_clock() >= tidy->sync_at && going;
		if (sync)
			tidy->sync_at = 0;
		pthread_mutex_unlock(&tidy->lock);
		delete_files(tidy);
		write_used(tidy);
		if (sync)
			sync_fresh(tidy);
		if (!grown)
			continue;
		if (is_over(tidy->store))
			(void)make_room(tidy, 0);
		pthread_mutex_lock(&tidy->lock);
		tidy->grown = false;
		pthread_mutex_unlock(&tidy->lock);
	}
	return NULL;
}

int tidy_start(struct content_store *store)
{
	struct tidy *tidy = calloc(1, sizeof(*tidy));
	pthread_condattr_t monotonic;
	sigset_t all, before;
	int error;

	if (!tidy)
		return -ENOMEM;
	tidy->store = store;
	pthread_mutex_init(&tidy->room, NULL);
	pthread_mutex_init(&tidy->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&tidy->work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&tidy->thread, NULL, tidy_run, tidy);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		free(tidy);
		return -EAGAIN;
	}
	store->tidy = tidy;
	return 0;
}

void tidy_stop(struct content_store *store)
{
	struct tidy *tidy = store->tidy;

	pthread_mutex_lock(&tidy->lock);
	tidy->stopping = true;
	pthread_cond_signal(&tidy->work);
	pthread_mutex_unlock(&tidy->lock);
	pthread_join(tidy->thread, NULL);
	pthread_cond_destroy(&tidy->work);
	pthread_mutex_destroy(&tidy->lock);
	pthread_mutex_destroy(&tidy->room);
	free(tidy->doomed);
	free(tidy);
	store->tidy = NULL;
}
