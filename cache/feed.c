/* SPDX-License-Identifier: MIT */
#include "cache/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/absorb.h"
#include "cache/items.h"
#include "cache/listing.h"
#include "cache/sync.h"
#include "support/text.h"

#define SECOND	     UINT64_C(1000000000)
#define WAIT	     (60 * SECOND) /* in changes, in one go */
#define PAUSE_FIRST  SECOND
#define PAUSE_MOST   (30 * SECOND)
#define PROBE	     (10 * SECOND) /* is long enough for a service that is there to say something small */
#define PAUSE_LOGIN  (2 * SECOND)
#define QUOTA_PERIOD (60 * (int64_t)SECOND)
#define CHUNK	     256 /* nodes that the kernel is told of in one read of the database */

struct feed {
	struct cache *cache;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* a leaf; of what follows */
	pthread_cond_t wake;  /* CLOCK_MONOTONIC */
	bool stopping, woken;
	bool running;
	pthread_t self;	      /* of the thread, while it is running */
	_Atomic uint32_t cut; /* not zero: waiting in the feed ends; see feed_look */
	_Atomic bool doubt;   /* see feed_doubt */
	/* Whoever takes the first position holds this, and no other lock. */
	pthread_mutex_t first;
};

static bool has_feed(struct cache *cache)
{
	const struct dw_remote_ops *ops = cache->remote->ops;

	return ops->size >= offsetof(struct dw_remote_ops, changes) + sizeof(ops->changes) && ops->changes;
}

static int read_cursor(struct cache *cache, char cursor[DW_REMOTE_CURSOR_MAX + 1])
{
	struct database_connection *connection = database_read(cache->database);
	int ret = database_get_text(connection, "cursor", cursor, DW_REMOTE_CURSOR_MAX + 1);

	database_read_end(connection);
	return ret;
}

/* Take a position from now on. */
static int take_position(struct cache *cache, struct dw_remote_call *call, char cursor[DW_REMOTE_CURSOR_MAX + 1])
{
	struct items none = {0};
	const struct dw_remote_events to = {.event = items_take_event, .context = &none};
	struct database_connection *connection;
	int ret;

	cursor[0] = '\0';
	ret = cache->remote->ops->changes(cache->remote, call, cursor, &to);
	items_clear(&none);
	(void)cache_answered(cache, ret, call);
	if (ret)
		return ret;
	connection = database_write(cache->database);
	ret = database_set_text(connection, "cursor", cursor);
	if (ret) {
		database_rollback(connection);
		return ret;
	}
	return database_commit(connection);
}

int feed_prepare(struct cache *cache, struct dw_remote_call *call)
{
	char *cursor;
	int ret;

	if (!has_feed(cache))
		return 0;
	cursor = malloc(DW_REMOTE_CURSOR_MAX + 1);
	if (!cursor)
		return -ENOMEM;
	ret = read_cursor(cache, cursor);
	if (!ret && !cursor[0]) {
		pthread_mutex_lock(&cache->feed->first);
		ret = read_cursor(cache, cursor);
		if (!ret && !cursor[0])
			ret = take_position(cache, call, cursor);
		pthread_mutex_unlock(&cache->feed->first);
	}
	free(cursor);
	return ret;
}

/* --- Lost track ---------------------------------------------------------------------------------------- */

static int raise_generation(struct cache *cache)
{
	struct database_connection *connection = database_write(cache->database);
	int64_t generation = atomic_load(&cache->generation) + 1;
	int ret = database_set_number(connection, "generation", generation);

	/* No older news will come. */
	if (!ret)
		ret = database_run(connection, database_statement(connection, "DELETE FROM buried"));
	if (!ret)
		ret = database_run(connection, database_statement(connection, "UPDATE node SET echo = 0 WHERE echo"));
	if (ret) {
		database_rollback(connection);
		return ret;
	}
	ret = database_commit(connection);
	if (!ret)
		atomic_store(&cache->generation, generation);
	return ret;
}

struct told_node {
	uint64_t id, parent;
	bool folder;
	char name[NODE_NAME_SIZE];
};

static int nodes_after(struct cache *cache, uint64_t after, struct told_node *out)
{
	struct database_connection *connection = database_read(cache->database);
	sqlite3_stmt *query = database_statement(connection, "SELECT id, parent, mode, name FROM node WHERE id > ? AND "
							     "parent IS NOT NULL ORDER BY id");
	int count = 0;

	sqlite3_bind_int64(query, 1, (int64_t)after);
	while (count < CHUNK && database_step(connection, query) > 0) {
		struct told_node *one = &out[count++];
		size_t length = (size_t)sqlite3_column_bytes(query, 3);

		one->id = (uint64_t)sqlite3_column_int64(query, 0);
		one->parent = (uint64_t)sqlite3_column_int64(query, 1);
		one->folder = (sqlite3_column_int64(query, 2) & DW_MODE_TYPE) == DW_MODE_FOLDER;
		length = length < NODE_NAME_SIZE ? length : 0;
		if (length)
			memcpy(one->name, sqlite3_column_blob(query, 3), length);
		one->name[length] = '\0';
	}
	database_read_end(connection);
	return count;
}

/* The kernel asks for every name again, and for every folder. */
static void expire_all(struct cache *cache)
{
	struct told_node *some = calloc(CHUNK, sizeof(*some));
	struct dw_host *host = cache->host;
	uint64_t after = 0;
	int count;

	if (!some || !host->invalidate_entry || !host->invalidate_node) {
		free(some);
		return;
	}
	host->invalidate_node(host, DW_NODE_ROOT, 0, 0);
	while ((count = nodes_after(cache, after, some)) > 0) {
		for (int i = 0; i < count; i++) {
			host->invalidate_entry(host, some[i].parent, some[i].name, true);
			if (some[i].folder)
				host->invalidate_node(host, some[i].id, 0, 0);
		}
		after = some[count - 1].id;
	}
	free(some);
}

static int lose_track(struct feed *feed, char cursor[DW_REMOTE_CURSOR_MAX + 1])
{
	struct cache *cache = feed->cache;
	struct dw_remote_call call;
	int ret;

	cache_log(cache, 2, "the service does not tell what changed meanwhile: folders are listed again");
	cache_call_background(cache, &call);
	/* Before the position, so that it is not forgotten when this process dies in between; and afterwards, because
	 * what was listed meanwhile may have changed before the position was taken. */
	ret = raise_generation(cache);
	if (!ret)
		ret = take_position(cache, &call, cursor);
	if (!ret)
		ret = raise_generation(cache);
	if (!ret)
		expire_all(cache);
	return ret;
}

/* --- Events -------------------------------------------------------------------------------------------- */

/* What the server says of the item now takes the place of what the event told. */
static int ask(struct cache *cache, struct kept_item *kept, const char *known)
{
	struct items one = {0};
	struct dw_remote_items to = {.item = items_take, .context = &one};
	struct kept_item *now;
	struct dw_remote_call call;
	int ret;

	cache_call(cache, &call, NULL);
	call.background = true;
	ret = cache->remote->ops->stat(cache->remote, &call, kept->item.id, &to);
	(void)cache_answered(cache, ret, &call);
	if (ret == -ENOENT || ret == DW_REMOTE_TRASHED) {
		/* Gone meanwhile: that will be told, too. */
		kept->gone = true;
		ret = 0;
	} else if (!ret && one.count == 1) {
		now = &one.list[0];
		now->known = text_duplicate(known);
		now->told = text_duplicate(kept->told ? kept->told : kept->item.etag);
		if (now->known && now->told) {
			/* What was there goes with one. */
			const struct kept_item before = *kept;

			*kept = *now;
			*now = before;
		} else {
			ret = -ENOMEM;
		}
	}
	items_clear(&one);
	return ret;
}

/* What was asked is as good as what we knew then: has anything been answered since? */
static bool is_settled(const struct kept_item *kept, const char *known)
{
	return kept->known && strcmp(kept->known, known) == 0;
}

/*
 * An event may be older than what we know, or may not bring properties where they matter: then the server is asked.
 */
static int complete_item(struct cache *cache, struct kept_item *kept)
{
	char known[DW_REMOTE_ID_MAX + 1] = "";
	struct database_connection *connection;
	struct node_item *item;
	struct node_row row;
	bool needed;
	int ret;

	if (kept->event != DW_REMOTE_EVENT_CHANGED || kept->item.type == DW_REMOTE_OTHER || kept->gone)
		return 0;
	item = malloc(sizeof(*item));
	if (!item)
		return -ENOMEM;
	connection = database_read(cache->database);
	ret = absorb_is_doubtful(connection, &kept->item, known);
	needed = ret > 0 && !is_settled(kept, known);
	if (ret == 0 && !kept->item.properties_known && cache->remote->ops->set_properties) {
		ret = nodes_find_remote(connection, kept->item.id, &row);
		if (!ret) {
			ret = nodes_item(connection, row.id, item);
			/* Our own change, or no change at all. */
			needed = !ret && strcmp(item->etag, kept->item.etag) != 0;
			memcpy(known, item->etag, sizeof(known));
		} else {
			ret = nodes_find_remote(connection, kept->item.parent, &row);
			needed = !ret && row.listed;
		}
	}
	database_read_end(connection);
	free(item);
	return needed ? ask(cache, kept, known) : ret < 0 && ret != -ENOENT ? ret : 0;
}

/* A page of a listing that is on its way may know nothing of this event yet. */
static int tell_listings(struct absorb *absorb, struct cache *cache, const struct dw_remote_item *item, bool gone)
{
	struct node_row row;
	int ret = nodes_find_remote(absorb_connection(absorb), item->id, &row);

	if (ret == -ENOENT)
		return listing_told(cache, item->id, gone || !item->parent ? "" : item->parent);
	if (!ret)
		listing_told_node(cache, item->id);
	return ret;
}

/* Every event of a batch. 1: an answer came meanwhile, and has to be compared with; 0; negative. */
static int absorb_batch(struct absorb *absorb, struct cache *cache, const struct items *events)
{
	char known[DW_REMOTE_ID_MAX + 1];
	int ret = 0;

	for (size_t i = 0; !ret && i < events->count; i++) {
		const struct kept_item *one = &events->list[i];

		if (one->gone)
			continue;
		if (one->event == DW_REMOTE_EVENT_CHANGED) {
			ret = absorb_is_doubtful(absorb_connection(absorb), &one->item, known);
			if (ret > 0 && is_settled(one, known))
				ret = 0;
			if (!ret)
				ret = absorb_item(absorb, 0, &one->item);
			if (!ret)
				ret = absorb_told(absorb, one->item.id, one->told ? one->told : one->item.etag);
			if (!ret)
				ret = tell_listings(absorb, cache, &one->item, false);
		} else if (one->event == DW_REMOTE_EVENT_REMOVED && one->item.id[0]) {
			ret = absorb_gone(absorb, one->item.id);
			if (!ret)
				ret = tell_listings(absorb, cache, &one->item, true);
		}
	}
	return ret;
}

static int absorb_events(struct cache *cache, struct items *events, const char *cursor)
{
	struct absorb *absorb;
	int ret = 0;

	do {
		for (size_t i = 0; ret >= 0 && i < events->count; i++)
			ret = complete_item(cache, &events->list[i]);
		if (ret >= 0)
			ret = absorb_begin(&absorb, cache);
		if (ret < 0)
			return ret;
		ret = absorb_batch(absorb, cache, events);
		if (!ret)
			ret = database_set_text(absorb_connection(absorb), "cursor", cursor);
		if (ret)
			absorb_abandon(absorb);
	} while (ret > 0);
	if (ret)
		return ret;
	ret = absorb_finish(absorb);
	if (!ret && events->count && cache->sync)
		sync_wake(cache->sync);
	return ret;
}

/* Wait in the feed once. */
static int follow(struct feed *feed, char *cursor, char *before)
{
	struct cache *cache = feed->cache;
	struct items events = {0};
	const struct dw_remote_events to = {.event = items_take_event, .context = &events};
	struct dw_remote_call call;
	bool lost = false;
	int ret;

	memcpy(before, cursor, DW_REMOTE_CURSOR_MAX + 1);
	cache_call_background(cache, &call);
	call.deadline = cache_clock() + WAIT;
	call.cancelled = (const volatile uint32_t *)&feed->cut;
	ret = cache->remote->ops->changes(cache->remote, &call, cursor, &to);
	if (ret == -ETIMEDOUT || ret == -ECANCELED) {
		/* Nothing changed, or there is something else to do. */
		memcpy(cursor, before, DW_REMOTE_CURSOR_MAX + 1);
		items_clear(&events);
		return 0;
	}
	for (size_t i = 0; i < events.count; i++)
		lost = lost || events.list[i].event == DW_REMOTE_EVENT_LOST;
	(void)cache_answered(cache, ret == DW_REMOTE_EXPIRED ? 0 : ret, &call);
	if (!ret && !lost)
		ret = absorb_events(cache, &events, cursor);
	if (ret == DW_REMOTE_EXPIRED || (!ret && lost))
		ret = lose_track(feed, cursor);
	else if (ret)
		memcpy(cursor, before, DW_REMOTE_CURSOR_MAX + 1);
	items_clear(&events);
	return ret;
}

/* Is the service there? */
static int probe(struct cache *cache)
{
	struct items one = {0};
	const struct dw_remote_items to = {.item = items_take, .context = &one};
	struct dw_remote_call call;
	int ret;

	cache_call(cache, &call, NULL);
	if (cache->options.timeout > PROBE)
		call.deadline = cache_clock() + PROBE;
	call.background = true;
	ret = cache->remote->ops->stat(cache->remote, &call, cache->remote->root, &to);
	if (ret == -ETIMEDOUT) {
		ret = DW_REMOTE_OFFLINE;
		cache_note_answer(cache, ret, "the service does not answer");
	} else {
		(void)cache_answered(cache, ret, &call);
	}
	items_clear(&one);
	return ret;
}

/* Without a feed everything is looked at again at its next use. */
static int look(struct cache *cache)
{
	int ret = probe(cache);

	return ret ? ret : raise_generation(cache);
}

static void refresh_quota(struct cache *cache)
{
	struct dw_remote_quota quota = {0};
	struct dw_remote_call call;
	struct database_connection *connection;
	bool due;
	int ret;

	pthread_mutex_lock(&cache->state.lock);
	due = cache_now() - cache->state.quota_at > QUOTA_PERIOD;
	pthread_mutex_unlock(&cache->state.lock);
	if (!due || !cache->remote->ops->quota)
		return;
	cache_call(cache, &call, NULL);
	call.background = true;
	ret = cache->remote->ops->quota(cache->remote, &call, &quota);
	(void)cache_answered(cache, ret, &call);
	if (ret)
		return;
	pthread_mutex_lock(&cache->state.lock);
	cache->state.quota_total = quota.total;
	cache->state.quota_used = quota.used;
	cache->state.quota_at = cache_now();
	pthread_mutex_unlock(&cache->state.lock);
	connection = database_write(cache->database);
	(void)database_set_number(connection, "quota_total",
				  quota.total > INT64_MAX ? INT64_MAX : (int64_t)quota.total);
	(void)database_set_number(connection, "quota_used", quota.used > INT64_MAX ? INT64_MAX : (int64_t)quota.used);
	(void)database_commit(connection);
}

/* --- The thread ---------------------------------------------------------------------------------------- */

/* Sleep for a while; false: stop. */
static bool rest(struct feed *feed, uint64_t nanoseconds)
{
	uint64_t until = cache_clock() + nanoseconds;
	struct timespec at = {.tv_sec = (time_t)(until / SECOND), .tv_nsec = (long)(until % SECOND)};
	bool going_on;

	pthread_mutex_lock(&feed->lock);
	while (!feed->stopping && !feed->woken && !atomic_load(&feed->cut) && cache_clock() < until)
		(void)pthread_cond_timedwait(&feed->wake, &feed->lock, &at);
	feed->woken = false;
	going_on = !feed->stopping;
	pthread_mutex_unlock(&feed->lock);
	return going_on;
}

static void *run(void *argument)
{
	struct feed *feed = argument;
	struct cache *cache = feed->cache;
	bool feeds = has_feed(cache), going_on = true;
	char *cursor = calloc(2, DW_REMOTE_CURSOR_MAX + 1);
	uint64_t pause = PAUSE_FIRST;
	struct dw_remote_call call;

	pthread_mutex_lock(&feed->lock);
	feed->self = pthread_self();
	feed->running = true;
	pthread_mutex_unlock(&feed->lock);
	while (cursor && going_on) {
		bool probed = false;
		int ret;

		/* Who finds the service away from here on cuts this short. */
		pthread_mutex_lock(&feed->lock);
		atomic_store(&feed->cut, feed->stopping);
		pthread_mutex_unlock(&feed->lock);
		if (feeds && !cursor[0]) {
			cache_call(cache, &call, NULL);
			ret = feed_prepare(cache, &call);
			if (!ret)
				ret = read_cursor(cache, cursor);
		} else if (feeds && (atomic_exchange(&feed->doubt, false) || !cache_is_online(cache))) {
			ret = probe(cache);
			probed = true;
		} else {
			ret = feeds ? follow(feed, cursor, cursor + DW_REMOTE_CURSOR_MAX + 1) : look(cache);
		}
		if (!ret && !probed && cache_is_online(cache))
			refresh_quota(cache);
		if (ret == DW_REMOTE_LOGIN) {
			/* Costs the service nothing: the remote looks whether there is a new login. */
			going_on = rest(feed, PAUSE_LOGIN);
		} else if (ret) {
			going_on = rest(feed, pause);
			pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST;
		} else {
			pause = probed ? pause : PAUSE_FIRST;
			going_on = rest(feed, feeds ? 0 : cache->options.poll);
		}
	}
	pthread_mutex_lock(&feed->lock);
	feed->running = false;
	pthread_mutex_unlock(&feed->lock);
	free(cursor);
	return NULL;
}

int feed_make(struct feed **out, struct cache *cache)
{
	struct feed *feed = calloc(1, sizeof(*feed));
	pthread_condattr_t monotonic;

	if (!feed)
		return -ENOMEM;
	feed->cache = cache;
	pthread_mutex_init(&feed->lock, NULL);
	pthread_mutex_init(&feed->first, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&feed->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*out = feed;
	return 0;
}

int feed_start(struct feed *feed)
{
	int ret = -pthread_create(&feed->thread, NULL, run, feed);

	feed->started = ret == 0;
	return ret;
}

void feed_stop(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	feed->stopping = true;
	atomic_store(&feed->cut, 1);
	pthread_cond_signal(&feed->wake);
	pthread_mutex_unlock(&feed->lock);
	if (feed->started)
		pthread_join(feed->thread, NULL);
	pthread_cond_destroy(&feed->wake);
	pthread_mutex_destroy(&feed->first);
	pthread_mutex_destroy(&feed->lock);
	free(feed);
}

/* What the thread finds out itself it acts upon anyway. */
static bool is_own_thread(struct feed *feed)
{
	return feed->running && pthread_equal(feed->self, pthread_self());
}

void feed_wake(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	if (!is_own_thread(feed)) {
		feed->woken = true;
		pthread_cond_signal(&feed->wake);
	}
	pthread_mutex_unlock(&feed->lock);
}

void feed_doubt(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	if (!is_own_thread(feed)) {
		atomic_store(&feed->doubt, true);
		atomic_store(&feed->cut, 1);
		pthread_cond_signal(&feed->wake);
	}
	pthread_mutex_unlock(&feed->lock);
}

void feed_look(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	if (!is_own_thread(feed)) {
		atomic_store(&feed->cut, 1);
		pthread_cond_signal(&feed->wake);
	}
	pthread_mutex_unlock(&feed->lock);
}
