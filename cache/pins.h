/* SPDX-License-Identifier: MIT */
/*
 * pins.h - what is pinned is kept here whole
 *
 * A thread goes through all nodes that are pinned: folders are listed, files fetched, one after another, in the
 * background, when it is woken, and every minute because the server may have new versions. The evictor spares what is
 * pinned by itself.
 */
#ifndef CACHE_PINS_H
#define CACHE_PINS_H

#include "cache/cache.h"

int pins_start(struct pins **out, struct cache *cache);
/* cache->stopping is set. */
void pins_stop(struct pins *pins);
/* Something was pinned. Any thread. */
void pins_wake(struct pins *pins);

#endif
