/* SPDX-License-Identifier: MIT */
#include "cache/ahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/operations.h"
#include "support/workers.h"

#define FOLDERS	    8u
#define FILES_MAX   32u
#define BYTES_MAX   (UINT64_C(16) << 20)
#define SMALL	    (UINT64_C(1) << 20)
#define SLACK	    64 /* ids that may be skipped: folders and large files in between */
#define WINDOW_FROM 2u

struct watched {
	uint64_t folder;  /* 0: free */
	uint64_t last;	  /* node that was opened last */
	uint64_t fetched; /* up to this node they have been asked for */
	uint64_t used;
	unsigned window;
};

struct ahead {
	struct workers *workers;
	pthread_mutex_t lock;
	struct watched watched[FOLDERS];
	uint64_t clock;
};

struct ahead_job {
	struct workers_job job; /* first */
	struct cache *cache;
	uint64_t folder, after;
	unsigned count;
};

int ahead_start(struct ahead **out, struct cache *cache)
{
	struct ahead *ahead = calloc(1, sizeof(*ahead));
	int ret;

	(void)cache;
	if (!ahead)
		return -ENOMEM;
	ret = workers_create(&ahead->workers, "dw-ahead", 1);
	if (ret) {
		free(ahead);
		return ret;
	}
	pthread_mutex_init(&ahead->lock, NULL);
	*out = ahead;
	return 0;
}

void ahead_stop(struct ahead *ahead)
{
	workers_destroy(ahead->workers);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead);
}

static bool is_wanted(const struct node_row *row)
{
	return node_is_file(row) && row->has_remote && row->size > 0 && row->size <= SMALL && !row->dirty;
}

static void fetch(struct cache *cache, uint64_t id)
{
	struct active_node *node;

	if (active_get(cache, id, &node))
		return;
	pthread_mutex_lock(&node->lock);
	if (opened_content(cache, node) == 0) {
		unsigned opens, writers;

		if (!content_is_whole(node->content))
			content_prefetch(node->content, 0, UINT64_MAX);
		active_counts(cache, id, &opens, &writers);
		if (opens == 0) {
			content_put(node->content);
			node->content = NULL;
		}
	}
	pthread_mutex_unlock(&node->lock);
	active_put(cache, node);
}

static void run(struct workers_job *base)
{
	struct ahead_job *job = (struct ahead_job *)base;
	struct cache *cache = job->cache;
	struct node_row rows[FILES_MAX];
	uint64_t ids[FILES_MAX * 2], bytes = 0;
	struct database_connection *connection = database_read(cache->database);
	int count = nodes_children(connection, job->folder, job->after, ids, FILES_MAX * 2);
	unsigned wanted = 0;

	for (int i = 0; i < count && wanted < job->count && bytes < BYTES_MAX; i++) {
		if (nodes_read(connection, ids[i], &rows[wanted]) == 0 && is_wanted(&rows[wanted]))
			bytes += rows[wanted++].size;
	}
	database_read_end(connection);
	for (unsigned i = 0; i < wanted && !atomic_load(&cache->stopping); i++)
		fetch(cache, rows[i].id);
	if (wanted) {
		pthread_mutex_lock(&cache->ahead->lock);
		for (unsigned i = 0; i < FOLDERS; i++) {
			struct watched *one = &cache->ahead->watched[i];

			if (one->folder == job->folder && one->fetched < rows[wanted - 1].id)
				one->fetched = rows[wanted - 1].id;
		}
		pthread_mutex_unlock(&cache->ahead->lock);
	}
	free(job);
}

/* lock is held. What is watched of the folder, or the oldest of all, emptied. */
static struct watched *find(struct ahead *ahead, uint64_t folder)
{
	struct watched *oldest = &ahead->watched[0];

	for (unsigned i = 0; i < FOLDERS; i++) {
		if (ahead->watched[i].folder == folder)
			return &ahead->watched[i];
		if (ahead->watched[i].used < oldest->used)
			oldest = &ahead->watched[i];
	}
	*oldest = (struct watched){.folder = folder};
	return oldest;
}

void ahead_opened(struct cache *cache, const struct node_row *row)
{
	struct ahead *ahead = cache->ahead;
	struct ahead_job *job = NULL;
	struct watched *one;
	bool in_order;

	if (!ahead || !is_wanted(row) || !row->parent || !cache_is_online(cache))
		return;
	pthread_mutex_lock(&ahead->lock);
	one = find(ahead, row->parent);
	one->used = ++ahead->clock;
	in_order = one->last && row->id > one->last && row->id <= one->last + SLACK;
	if (in_order)
		one->window = one->window ? one->window * 2 : WINDOW_FROM;
	else if (row->id != one->last)
		one->window = 0;
	one->window = one->window < FILES_MAX ? one->window : FILES_MAX;
	one->last = row->id;
	if (one->fetched < row->id)
		one->fetched = row->id;
	/* Ask for more when half of the window was used. */
	if (one->window && one->fetched <= row->id + one->window / 2) {
		job = calloc(1, sizeof(*job));
		if (job) {
			*job = (struct ahead_job){.job.run = run,
						  .cache = cache,
						  .folder = row->parent,
						  .after = one->fetched,
						  .count = one->window};
			one->fetched += one->window;
		}
	}
	pthread_mutex_unlock(&ahead->lock);
	if (job && workers_submit(ahead->workers, &job->job))
		free(job);
}
