/* SPDX-License-Identifier: MIT */
/*
 * content_map.h - which bytes of a version are here
 *
 * A map is a sorted list of ranges [start, stop) that do not overlap. It only ever grows, until it is cleared: bytes
 * arrive, are overwritten or cut off, and are then no longer missing. It speaks of the version that a content began
 * with; what a file has beyond that version's end is here by nature and stands in no map.
 *
 * Each range has an epoch: 0 when its bytes are surely on disk, else the store's epoch when they were written. A sync
 * takes the next epoch before it begins, and what is older has been synced when it has ended (content_map_settle).
 * Ranges of different epochs touch and stay apart.
 *
 * The map remembers the span within which it differs from its rows in the database.
 *
 * No locks here: the owner's content lock guards it. -ENOMEM is the only error.
 */
#ifndef CACHE_CONTENT_MAP_H
#define CACHE_CONTENT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct content_extent {
	uint64_t start, stop;
	uint64_t epoch;
};

struct content_map {
	struct content_extent *extents;
	size_t count, room;
	uint64_t changed_start, changed_stop; /* equal: nothing has changed since it was saved */
};

/* All zero is an empty map. */
void content_map_free(struct content_map *map);
/* What is missing of [start, stop) is here now; what was here stays as it is. On -ENOMEM a part of it may be in. */
int content_map_add(struct content_map *map, uint64_t start, uint64_t stop, uint64_t epoch);
void content_map_clear(struct content_map *map);
/* The first range of [start, stop) that is missing; false when there is none. */
bool content_map_missing(const struct content_map *map, uint64_t start, uint64_t stop, uint64_t *from, uint64_t *to);
/* Bytes that are here. */
uint64_t content_map_bytes(const struct content_map *map);
/* Everything older than epoch is on disk. */
void content_map_settle(struct content_map *map, uint64_t epoch);
/* Is any range not known to be on disk? Is any? */
bool content_map_is_fresh(const struct content_map *map);
bool content_map_is_settled(const struct content_map *map);
/* Widen [*start, *stop) to the ranges that it touches; the index of the first that lies in it, or count. */
size_t content_map_widen(const struct content_map *map, uint64_t *start, uint64_t *stop);
void content_map_touch(struct content_map *map, uint64_t start, uint64_t stop);

#endif
