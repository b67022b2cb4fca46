/* SPDX-License-Identifier: MIT */
/*
 * pins.h - what is pinned is kept here whole
 *
 * A thread goes through all nodes that are pinned: folders are listed, files fetched, one after another, in the
 * background, when it is woken (something was pinned, the server has something new of what is, the service is back),
 * and every minute. The evictor spares what is pinned by itself.
 */
#ifndef CACHE_PINS_H
#define CACHE_PINS_H

#include "cache/cache.h"

/* Make it; pins_start lets it run. -ENOMEM. */
int pins_make(struct pins **out, struct cache *cache);
int pins_start(struct pins *pins);
/* Also of one that was never started. cache->stopping is set. */
void pins_stop(struct pins *pins);
/* Nobody wakes it any more. */
void pins_free(struct pins *pins);
/* There may be something to fetch. Any thread, any lock may be held. */
void pins_wake(struct pins *pins);

#endif
