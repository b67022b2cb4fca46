/* SPDX-License-Identifier: MIT */
#include "cache/pins.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cache/listing.h"
#include "cache/operations.h"

#define SECOND UINT64_C(1000000000)
#define PERIOD (60 * SECOND)

struct pins {
	struct cache *cache;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* a leaf; of what follows */
	pthread_cond_t wake;  /* CLOCK_MONOTONIC */
	bool stopping, woken;
};

/* The next pinned node behind after that is not whole or not listed: 1, 0. */
static int next_pinned(struct cache *cache, uint64_t after, struct node_row *row)
{
	struct database_connection *connection = database_read(cache->database);
	sqlite3_stmt *query = database_statement(
		connection, "SELECT id FROM node INDEXED BY node_pinned WHERE pinned != 0 AND id > ? "
			    "AND parent IS NOT NULL ORDER BY id LIMIT 1");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)after);
	ret = database_step(connection, query);
	if (ret > 0) {
		ret = nodes_read(connection, (uint64_t)sqlite3_column_int64(query, 0), row);
		ret = ret ? ret : 1;
	}
	database_read_end(connection);
	return ret;
}

static void fetch(struct cache *cache, const struct node_row *row)
{
	struct active_node *node;
	struct content *content = NULL;
	unsigned opens, writers;

	if (active_get(cache, row->id, &node))
		return;
	pthread_mutex_lock(&node->lock);
	if (opened_content(cache, node) == 0) {
		content = content_again(node->content);
		active_counts(cache, row->id, &opens, &writers);
		if (opens == 0) {
			content_put(node->content);
			node->content = NULL;
		}
	}
	pthread_mutex_unlock(&node->lock);
	active_put(cache, node);
	if (!content)
		return;
	if (!content_is_whole(content))
		(void)content_complete(content, 0, (const volatile uint32_t *)&cache->stopping);
	content_put(content);
}

static void go_through(struct cache *cache)
{
	const struct dw_request req = {.size = sizeof(req)};
	struct node_row row = {.id = 0};

	while (!atomic_load(&cache->stopping) && cache_is_online(cache) && next_pinned(cache, row.id, &row) > 0) {
		if (node_is_folder(&row))
			(void)listing_complete(cache, &req, &row);
		else if (node_is_file(&row) && row.size)
			fetch(cache, &row);
	}
}

static void *run(void *argument)
{
	struct pins *pins = argument;
	bool going_on = true;

	while (going_on) {
		uint64_t until;
		struct timespec at;

		go_through(pins->cache);
		until = cache_clock() + PERIOD;
		at = (struct timespec){.tv_sec = (time_t)(until / SECOND), .tv_nsec = (long)(until % SECOND)};
		pthread_mutex_lock(&pins->lock);
		while (!pins->stopping && !pins->woken && cache_clock() < until)
			(void)pthread_cond_timedwait(&pins->wake, &pins->lock, &at);
		pins->woken = false;
		going_on = !pins->stopping;
		pthread_mutex_unlock(&pins->lock);
	}
	return NULL;
}

int pins_make(struct pins **out, struct cache *cache)
{
	struct pins *pins = calloc(1, sizeof(*pins));
	pthread_condattr_t monotonic;

	if (!pins)
		return -ENOMEM;
	pins->cache = cache;
	pthread_mutex_init(&pins->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pins->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*out = pins;
	return 0;
}

int pins_start(struct pins *pins)
{
	int ret = -pthread_create(&pins->thread, NULL, run, pins);

	pins->started = ret == 0;
	return ret;
}

void pins_stop(struct pins *pins)
{
	pthread_mutex_lock(&pins->lock);
	pins->stopping = true;
	pthread_cond_signal(&pins->wake);
	pthread_mutex_unlock(&pins->lock);
	if (pins->started)
		pthread_join(pins->thread, NULL);
}

void pins_free(struct pins *pins)
{
	pthread_cond_destroy(&pins->wake);
	pthread_mutex_destroy(&pins->lock);
	free(pins);
}

void pins_wake(struct pins *pins)
{
	pthread_mutex_lock(&pins->lock);
	pins->woken = true;
	pthread_cond_signal(&pins->wake);
	pthread_mutex_unlock(&pins->lock);
}
