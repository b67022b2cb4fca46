/* SPDX-License-Identifier: MIT */
/*
 * sync_open.c - files that stay open for writing
 *
 * What is written to an open file comes into its row at fsync, flush and the last close. A program that does none of
 * these for hours, as one that keeps a log does, would keep its bytes from the server for as long. So, while something
 * is open for writing, the scheduler looks at it from time to time: what was changed, and not for SYNC_QUIET settling
 * times, is told to the row as by a flush, and is uploaded as all else.
 *
 * One minute (of the default settling time) is longer than the kernel keeps a page of a mapping dirty without noting a
 * new time of change for the next store, so that a program that stores all the time is seen to do so. What changes
 * while it is sent is found by its stamp (open_source) or does not fit its digest: a version on the server is never a
 * mixture of two states, at worst it is one that its program was about to change.
 */
#include "cache/active.h"
#include "cache/operations.h"
#include "cache/sync_internal.h"

struct look {
	int64_t now, quiet;
	int64_t next;
};

/* When was the content last changed? The time of modification may have been set by a program, this one not. */
static int64_t last_change(const struct content_stamp *stamp)
{
	return stamp->changed.seconds * SYNC_SECOND + stamp->changed.nanoseconds;
}

static void look_at(struct cache *cache, struct active_node *node, void *context)
{
	struct look *look = context;
	struct content_stamp stamp;
	unsigned opens, writers;
	int64_t due = look->now + look->quiet;

	active_counts(cache, node->node, &opens, &writers);
	if (!writers)
		return;
	pthread_mutex_lock(&node->lock);
	if (!node->content && opened_content(cache, node))
		goto out;
	if (!content_is_local(node->content) || content_stamp(node->content, &stamp) ||
	    (node->stamped && active_same_stamp(&stamp, &node->stamp)))
		goto out;
	if (last_change(&stamp) > look->now - look->quiet)
		due = last_change(&stamp) + look->quiet < due ? last_change(&stamp) + look->quiet : due;
	else if (opened_settle(cache, node, NULL))
		cache_log(cache, 1, "what was written to a file that is open could not be noted");
out:
	pthread_mutex_unlock(&node->lock);
	if (due < look->next)
		look->next = due;
}

int64_t sync_look_at_open(struct sync *sync)
{
	struct look look = {.now = cache_now(), .quiet = sync_quiet(sync), .next = SYNC_NEVER};

	active_each(sync->cache, look_at, &look);
	return look.next;
}

int64_t sync_quiet(struct sync *sync)
{
	int64_t quiet = SYNC_QUIET * (int64_t)sync->cache->options.settle;

	return quiet > SYNC_SECOND ? quiet : SYNC_SECOND;
}
