/* SPDX-License-Identifier: MIT */
#include "cache/listing.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/absorb.h"
#include "cache/feed.h"
#include "cache/items.h"
#include "support/workers.h"

#define LISTERS	    16u
#define SECOND	    UINT64_C(1000000000)
#define WATCH	    (SECOND / 50) /* how often who waits looks whether it was interrupted */
#define BEGIN_AGAIN 3u		  /* times, when the service forgets a position in the list */
#define SWEEP	    500		  /* children that are gone, in one transaction */
#define WALKS	    8u
#define WALK_AHEAD  3u	/* folders */
#define WALK_LOOK   64u /* children among which they are looked for */
#define WALK_BUSY   5u	/* listings that run: nothing is listed ahead beside more */

struct listing {
	struct workers_job job; /* first */
	struct listing *next;
	struct cache *cache;
	uint64_t folder;
	/* Guarded by listings.lock. */
	unsigned users;
	uint64_t pages;
	bool ended;
	int error;
};

/* A page of a listing: asked for while the one before it is absorbed. */
struct page {
	struct workers_job job; /* first */
	struct listing *listing;
	const char *remote;		       /* the folder's id */
	char cursor[DW_REMOTE_CURSOR_MAX + 1]; /* of the page; when it has come, of the next one */
	struct items items;
	struct dw_remote_call call;
	int ret;
	bool come; /* guarded by listings.lock */
};

/* A folder whose folders programs list. */
struct walk {
	uint64_t parent; /* 0: free */
	uint64_t last;	 /* the folder that was listed last */
	uint64_t used;
};

/* An item without a node, of which the feed told while a listing ran. */
struct elsewhere {
	const char *remote; /* first, in texts */
	const char *parent; /* where it was told to be */
	int64_t heard;	    /* meta.heard then: listings with greater numbers began later */
	char texts[];
};

struct listings {
	struct workers *workers, *askers;
	struct walk walks[WALKS]; /* guarded by lock */
	uint64_t clock;
	pthread_mutex_t lock; /* a leaf */
	pthread_cond_t changed;
	struct listing *running;
	void *elsewhere; /* a tree (tsearch); empty while nothing runs */
};

int listings_start(struct listings **out, struct cache *cache)
{
	struct listings *listings = calloc(1, sizeof(*listings));
	pthread_condattr_t monotonic;
	int ret;

	(void)cache;
	if (!listings)
		return -ENOMEM;
	pthread_mutex_init(&listings->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&listings->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	ret = workers_create(&listings->workers, "dw-list", LISTERS);
	/* As many: a lister that waits for a page must not wait for other listers. */
	if (!ret)
		ret = workers_create(&listings->askers, "dw-page", LISTERS);
	if (ret) {
		listings_stop(listings);
		return ret;
	}
	*out = listings;
	return 0;
}

static void forget_elsewhere(struct listings *listings)
{
	tdestroy(listings->elsewhere, free);
	listings->elsewhere = NULL;
}

void listings_stop(struct listings *listings)
{
	if (listings->workers)
		workers_destroy(listings->workers);
	if (listings->askers)
		workers_destroy(listings->askers);
	pthread_cond_destroy(&listings->changed);
	pthread_mutex_destroy(&listings->lock);
	forget_elsewhere(listings);
	free(listings);
}

bool listing_needed(struct cache *cache, const struct node_row *row)
{
	if (!row->has_remote || row->listed >= atomic_load(&cache->generation))
		return false;
	return row->listed == 0 || cache_is_online(cache);
}

static struct listing *find(struct listings *listings, uint64_t folder)
{
	struct listing *found = listings->running;

	while (found && found->folder != folder)
		found = found->next;
	return found;
}

bool listing_runs(struct cache *cache, uint64_t folder)
{
	struct listings *listings = cache->listings;
	bool runs;

	if (!listings)
		return false;
	pthread_mutex_lock(&listings->lock);
	runs = find(listings, folder) != NULL;
	pthread_mutex_unlock(&listings->lock);
	return runs;
}

/* --- What the feed told meanwhile ------------------------------------------------------------------------ */

static int compare_elsewhere(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* lock is held. */
static void drop_elsewhere(struct listings *listings, const char *remote)
{
	struct elsewhere **found = tfind(&remote, &listings->elsewhere, compare_elsewhere);
	struct elsewhere *one = found ? *found : NULL;

	if (one)
		tdelete(&remote, &listings->elsewhere, compare_elsewhere);
	free(one);
}

int listing_told(struct cache *cache, const char *remote, const char *parent)
{
	struct listings *listings = cache->listings;
	size_t first = strlen(remote) + 1, second = strlen(parent) + 1;
	struct elsewhere *one = malloc(sizeof(*one) + first + second);
	int ret = 0;

	if (!one)
		return -ENOMEM;
	memcpy(one->texts, remote, first);
	memcpy(one->texts + first, parent, second);
	one->remote = one->texts;
	one->parent = one->texts + first;
	one->heard = atomic_load(&cache->heard);
	pthread_mutex_lock(&listings->lock);
	drop_elsewhere(listings, remote);
	if (listings->running) {
		if (tsearch(one, &listings->elsewhere, compare_elsewhere))
			one = NULL;
		else
			ret = -ENOMEM;
	}
	pthread_mutex_unlock(&listings->lock);
	free(one);
	return ret;
}

void listing_told_node(struct cache *cache, const char *remote)
{
	pthread_mutex_lock(&cache->listings->lock);
	drop_elsewhere(cache->listings, remote);
	pthread_mutex_unlock(&cache->listings->lock);
}

bool listing_was_told_elsewhere(struct cache *cache, int64_t number, const char *remote, const char *parent)
{
	struct listings *listings = cache->listings;
	struct elsewhere **found;
	bool elsewhere;

	if (!listings)
		return false;
	pthread_mutex_lock(&listings->lock);
	found = tfind(&remote, &listings->elsewhere, compare_elsewhere);
	elsewhere = found && (*found)->heard >= number && strcmp((*found)->parent, parent) != 0;
	pthread_mutex_unlock(&listings->lock);
	return elsewhere;
}

/* lock is held. */
static void put(struct listing *listing)
{
	if (--listing->users == 0)
		free(listing);
}

void listing_put(struct cache *cache, struct listing *listing)
{
	pthread_mutex_lock(&cache->listings->lock);
	put(listing);
	pthread_mutex_unlock(&cache->listings->lock);
}

/* --- The lister ---------------------------------------------------------------------------------------- */

static void page_has_come(struct listing *listing)
{
	struct listings *listings = listing->cache->listings;

	pthread_mutex_lock(&listings->lock);
	listing->pages++;
	pthread_cond_broadcast(&listings->changed);
	pthread_mutex_unlock(&listings->lock);
}

static int absorb_page(struct listing *listing, int64_t number, const struct items *page)
{
	struct absorb *absorb;
	int ret = absorb_begin(&absorb, listing->cache);

	if (!ret)
		ret = absorb_from_listing(absorb, listing->folder, number);
	for (size_t i = 0; !ret && i < page->count; i++)
		ret = absorb_item(absorb, listing->folder, &page->list[i].item);
	if (!absorb)
		return ret;
	if (ret) {
		absorb_abandon(absorb);
		return ret;
	}
	return absorb_finish(absorb);
}

/* The number of this listing, and the generation that it makes the folder's. */
static int take_number(struct cache *cache, int64_t *number, int64_t *generation)
{
	struct database_connection *connection = database_write(cache->database);
	int ret;

	*number = atomic_load(&cache->heard) + 1;
	*generation = atomic_load(&cache->generation);
	ret = database_set_number(connection, "heard", *number);
	if (ret) {
		database_rollback(connection);
		return ret;
	}
	/* Within the transaction: what is absorbed from now on has this number. */
	atomic_store(&cache->heard, *number);
	return database_commit(connection);
}

/* Some of the children that the server told nothing of: their number. */
static int sweep_some(struct absorb *absorb, uint64_t folder, int64_t number)
{
	struct database_connection *connection = absorb_connection(absorb);
	sqlite3_stmt *query = database_statement(connection,
						 "SELECT id FROM node INDEXED BY node_by_parent WHERE parent = ? AND "
						 "heard < ? AND remote IS NOT NULL AND dirty & 2 = 0 LIMIT 500");
	struct node_item *item = malloc(sizeof(*item));
	uint64_t gone[SWEEP];
	int count = 0, ret = 0;

	if (!item)
		return -ENOMEM;
	sqlite3_bind_int64(query, 1, (int64_t)folder);
	sqlite3_bind_int64(query, 2, number);
	while (count < SWEEP && (ret = database_step(connection, query)) > 0)
		gone[count++] = (uint64_t)sqlite3_column_int64(query, 0);
	if (query)
		sqlite3_reset(query);
	for (int i = 0; ret >= 0 && i < count; i++) {
		ret = nodes_item(connection, gone[i], item);
		if (!ret)
			ret = absorb_gone(absorb, item->remote);
	}
	free(item);
	return ret < 0 ? ret : count;
}

static int sweep(struct listing *listing, int64_t number, int64_t generation)
{
	struct cache *cache = listing->cache;
	struct absorb *absorb;
	sqlite3_stmt *set;
	int count, ret;

	do {
		ret = absorb_begin(&absorb, cache);
		if (ret)
			return ret;
		count = sweep_some(absorb, listing->folder, number);
		if (count < 0) {
			absorb_abandon(absorb);
			return count;
		}
		if (count < SWEEP) {
			set = database_statement(absorb_connection(absorb), "UPDATE node SET listed = ? WHERE id = ?");
			sqlite3_bind_int64(set, 1, generation);
			sqlite3_bind_int64(set, 2, (int64_t)listing->folder);
			database_run(absorb_connection(absorb), set);
		}
		ret = absorb_finish(absorb);
	} while (!ret && count == SWEEP);
	return ret;
}

static void ask(struct page *page)
{
	struct cache *cache = page->listing->cache;
	struct dw_remote_items to = {.item = items_take, .context = &page->items};

	cache_call(cache, &page->call, NULL);
	page->ret = cache->remote->ops->list(cache->remote, &page->call, page->remote, page->cursor, &to);
	(void)cache_answered(cache, page->ret, &page->call);
}

static void run_ask(struct workers_job *job)
{
	struct page *page = (struct page *)job;
	struct listings *listings = page->listing->cache->listings;

	ask(page);
	pthread_mutex_lock(&listings->lock);
	page->come = true;
	pthread_cond_broadcast(&listings->changed);
	pthread_mutex_unlock(&listings->lock);
}

/* The page behind before, which has come, is asked for; await it in any case. */
static void ask_ahead(struct page *page, const struct page *before)
{
	page->come = false;
	memcpy(page->cursor, before->cursor, sizeof(page->cursor));
	page->job.run = run_ask;
	if (workers_submit(page->listing->cache->listings->askers, &page->job))
		run_ask(&page->job);
}

static void await(struct page *page)
{
	struct listings *listings = page->listing->cache->listings;

	pthread_mutex_lock(&listings->lock);
	while (!page->come)
		pthread_cond_wait(&listings->changed, &listings->lock);
	pthread_mutex_unlock(&listings->lock);
}

static int take_page(struct page *page, int64_t number)
{
	int ret = page->ret ? page->ret : absorb_page(page->listing, number, &page->items);

	items_clear(&page->items);
	if (!ret)
		page_has_come(page->listing);
	if (ret == -ENOENT || ret == -ENOTDIR || ret == DW_REMOTE_TRASHED)
		cache_log(page->listing->cache, 2, "a folder that was to be listed is gone: %s", page->call.message);
	return ret;
}

static int list_pages(struct listing *listing, const char *remote, int64_t number)
{
	struct page *pages = calloc(2, sizeof(*pages)), *page = pages, *next;
	bool more;
	int ret;

	if (!pages)
		return -ENOMEM;
	pages[0].listing = pages[1].listing = listing;
	pages[0].remote = pages[1].remote = remote;
	ask(page);
	for (;;) {
		next = &pages[page == pages];
		more = !page->ret && page->cursor[0] && !atomic_load(&listing->cache->stopping);
		if (more)
			ask_ahead(next, page);
		ret = take_page(page, number);
		if (more)
			await(next);
		if (ret || !more)
			break;
		page = next;
	}
	if (!ret && page->cursor[0])
		ret = -ECANCELED;
	items_clear(&next->items);
	free(pages);
	return ret;
}

static int list_folder(struct listing *listing)
{
	struct cache *cache = listing->cache;
	struct database_connection *connection;
	struct node_item *item = malloc(sizeof(*item));
	struct dw_remote_call call;
	int64_t number = 0, generation = 0;
	int ret;

	if (!item)
		return -ENOMEM;
	connection = database_read(cache->database);
	ret = nodes_item(connection, listing->folder, item);
	database_read_end(connection);
	if (ret || !item->remote[0])
		goto out;
	cache_call(cache, &call, NULL);
	ret = feed_prepare(cache, &call);
	if (ret)
		goto out;
	ret = take_number(cache, &number, &generation);
	for (unsigned tries = 0; !ret && tries < BEGIN_AGAIN; tries++) {
		ret = list_pages(listing, item->remote, number);
		if (ret != DW_REMOTE_EXPIRED)
			break;
		ret = tries + 1 < BEGIN_AGAIN ? 0 : ret;
	}
	if (!ret)
		ret = sweep(listing, number, generation);
out:
	free(item);
	return ret;
}

static void run(struct workers_job *job)
{
	struct listing *listing = (struct listing *)job;
	struct listings *listings = listing->cache->listings;
	struct listing **link = &listings->running;
	int ret = list_folder(listing);

	pthread_mutex_lock(&listings->lock);
	listing->ended = true;
	listing->error = ret;
	while (*link != listing)
		link = &(*link)->next;
	*link = listing->next;
	put(listing);
	if (!listings->running)
		forget_elsewhere(listings);
	pthread_cond_broadcast(&listings->changed);
	pthread_mutex_unlock(&listings->lock);
}

/* --- Those who wait ------------------------------------------------------------------------------------ */

/* Begin to list folder, which nobody does; lock is held. */
static int begin(struct cache *cache, uint64_t folder, struct listing **out)
{
	struct listings *listings = cache->listings;
	struct listing *listing = calloc(1, sizeof(*listing));
	int ret;

	if (!listing)
		return -ENOMEM;
	listing->job.run = run;
	listing->cache = cache;
	listing->folder = folder;
	listing->users = 2;
	listing->next = listings->running;
	listings->running = listing;
	ret = workers_submit(listings->workers, &listing->job);
	if (ret) {
		listings->running = listing->next;
		free(listing);
		return ret;
	}
	*out = listing;
	return 0;
}

int listing_get(struct cache *cache, uint64_t folder, struct listing **out)
{
	struct listings *listings = cache->listings;
	int ret = 0;

	pthread_mutex_lock(&listings->lock);
	*out = find(listings, folder);
	if (*out)
		(*out)->users++;
	else
		ret = begin(cache, folder, out);
	pthread_mutex_unlock(&listings->lock);
	return ret;
}

uint64_t listing_pages(struct cache *cache, struct listing *listing, bool *ended, int *error)
{
	uint64_t pages;

	pthread_mutex_lock(&cache->listings->lock);
	pages = listing->pages;
	*ended = listing->ended;
	*error = listing->error;
	pthread_mutex_unlock(&cache->listings->lock);
	return pages;
}

int listing_wait(struct cache *cache, struct listing *listing, uint64_t pages, uint64_t deadline,
		 const volatile uint32_t *interrupted)
{
	struct listings *listings = cache->listings;
	int ret = 0;

	pthread_mutex_lock(&listings->lock);
	while (!ret && !listing->ended && listing->pages <= pages) {
		uint64_t now = cache_clock(), until = now + WATCH;
		struct timespec at = {.tv_sec = (time_t)(until / SECOND), .tv_nsec = (long)(until % SECOND)};

		if (interrupted && *interrupted)
			ret = -EINTR;
		else if (now >= deadline)
			ret = -ETIMEDOUT;
		else
			(void)pthread_cond_timedwait(&listings->changed, &listings->lock, &at);
	}
	pthread_mutex_unlock(&listings->lock);
	return ret;
}

int listing_complete(struct cache *cache, const struct dw_request *req, const struct node_row *row)
{
	uint64_t deadline = cache_clock() + cache->options.timeout;
	struct listing *listing;
	bool ended;
	int error, ret;

	if (!listing_needed(cache, row))
		return 0;
	if (req->flags & DW_REQUEST_NOWAIT)
		return -EAGAIN;
	ret = listing_get(cache, row->id, &listing);
	if (ret)
		return ret;
	do {
		ret = listing_wait(cache, listing, UINT64_MAX, deadline, req->interrupted);
		(void)listing_pages(cache, listing, &ended, &error);
	} while (!ret && !ended);
	if (!ret)
		ret = cache_errno(error);
	listing_put(cache, listing);
	return ret;
}

/* --- Ahead of a walk ------------------------------------------------------------------------------------ */

/* The folder below parent that was listed before this one, or 0; this one takes its place. */
static uint64_t walk_step(struct listings *listings, uint64_t parent, uint64_t folder)
{
	struct walk *walk = &listings->walks[0];
	uint64_t last = 0;

	pthread_mutex_lock(&listings->lock);
	for (size_t i = 0; i < WALKS; i++) {
		if (listings->walks[i].parent == parent) {
			walk = &listings->walks[i];
			last = walk->last;
			break;
		}
		if (listings->walks[i].used < walk->used)
			walk = &listings->walks[i];
	}
	*walk = (struct walk){.parent = parent, .last = folder, .used = ++listings->clock};
	pthread_mutex_unlock(&listings->lock);
	return last;
}

static void list_ahead(struct cache *cache, uint64_t folder)
{
	struct listings *listings = cache->listings;
	struct listing *listing = NULL;
	unsigned running = 0;

	pthread_mutex_lock(&listings->lock);
	for (listing = listings->running; listing; listing = listing->next)
		running++;
	if (running < WALK_BUSY && !find(listings, folder) && begin(cache, folder, &listing) == 0)
		put(listing);
	pthread_mutex_unlock(&listings->lock);
}

/* The folders that come behind last below parent, if the first of them is next: those behind that one, as they are to
 * be listed. Their number. */
static unsigned find_ahead(struct cache *cache, uint64_t parent, uint64_t last, uint64_t next, uint64_t out[WALK_AHEAD])
{
	struct database_connection *connection = database_read(cache->database);
	uint64_t children[WALK_LOOK];
	int count = nodes_children(connection, parent, last, children, WALK_LOOK);
	unsigned folders = 0, found = 0;
	bool begun = false;

	for (int i = 0; i < count && folders < WALK_AHEAD; i++) {
		struct node_row row;

		if (nodes_read(connection, children[i], &row) || !node_is_folder(&row))
			continue;
		if (!begun && row.id != next)
			break;
		if (begun) {
			folders++;
			if (listing_needed(cache, &row))
				out[found++] = row.id;
		}
		begun = true;
	}
	database_read_end(connection);
	return found;
}

void listing_walk(struct cache *cache, const struct node_row *folder)
{
	uint64_t ahead[WALK_AHEAD], last;
	unsigned count;

	if (!folder->parent || !folder->has_remote || !cache_is_online(cache))
		return;
	last = walk_step(cache->listings, folder->parent, folder->id);
	if (!last || last >= folder->id)
		return;
	count = find_ahead(cache, folder->parent, last, folder->id, ahead);
	for (unsigned i = 0; i < count; i++)
		list_ahead(cache, ahead[i]);
}
