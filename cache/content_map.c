/* SPDX-License-Identifier: MIT */
#include "cache/content_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void content_map_free(struct content_map *map)
{
	free(map->extents);
	*map = (struct content_map){0};
}

void content_map_touch(struct content_map *map, uint64_t start, uint64_t stop)
{
	if (map->changed_start == map->changed_stop) {
		map->changed_start = start;
		map->changed_stop = stop;
		return;
	}
	if (start < map->changed_start)
		map->changed_start = start;
	if (stop > map->changed_stop)
		map->changed_stop = stop;
}

/* The first extent that ends behind at. */
static size_t find(const struct content_map *map, uint64_t at)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->extents[middle].stop > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool content_map_missing(const struct content_map *map, uint64_t start, uint64_t stop, uint64_t *from, uint64_t *to)
{
	size_t i = find(map, start);

	while (start < stop && i < map->count && map->extents[i].start <= start)
		start = map->extents[i++].stop;
	if (start >= stop)
		return false;
	*from = start;
	*to = i < map->count && map->extents[i].start < stop ? map->extents[i].start : stop;
	return true;
}

static void drop(struct content_map *map, size_t i)
{
	memmove(map->extents + i, map->extents + i + 1, (map->count - i - 1) * sizeof(*map->extents));
	map->count--;
}

/* Put in a range of which nothing is there, before extent i. */
static int insert(struct content_map *map, size_t i, const struct content_extent *extent)
{
	bool before, behind;

	before = i > 0 && map->extents[i - 1].stop == extent->start && map->extents[i - 1].epoch == extent->epoch;
	behind = i < map->count && map->extents[i].start == extent->stop && map->extents[i].epoch == extent->epoch;
	if (before && behind) {
		map->extents[i - 1].stop = map->extents[i].stop;
		drop(map, i);
	} else if (before) {
		map->extents[i - 1].stop = extent->stop;
	} else if (behind) {
		map->extents[i].start = extent->start;
	} else {
		if (map->count == map->room) {
			size_t room = map->room ? map->room * 2 : 4;
			struct content_extent *more = reallocarray(map->extents, room, sizeof(*more));

			if (!more)
				return -ENOMEM;
			map->extents = more;
			map->room = room;
		}
		memmove(map->extents + i + 1, map->extents + i, (map->count - i) * sizeof(*map->extents));
		map->extents[i] = *extent;
		map->count++;
	}
	content_map_touch(map, extent->start, extent->stop);
	return 0;
}

int content_map_add(struct content_map *map, uint64_t start, uint64_t stop, uint64_t epoch)
{
	struct content_extent piece = {.epoch = epoch};

	while (content_map_missing(map, start, stop, &piece.start, &piece.stop)) {
		int ret = insert(map, find(map, piece.start), &piece);

		if (ret)
			return ret;
		start = piece.stop;
	}
	return 0;
}

void content_map_clear(struct content_map *map)
{
	map->count = 0;
	content_map_touch(map, 0, UINT64_MAX);
}

uint64_t content_map_bytes(const struct content_map *map)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < map->count; i++)
		bytes += map->extents[i].stop - map->extents[i].start;
	return bytes;
}

void content_map_settle(struct content_map *map, uint64_t epoch)
{
	size_t kept = 0;

	for (size_t i = 0; i < map->count; i++) {
		struct content_extent extent = map->extents[i];

		if (extent.epoch && extent.epoch < epoch) {
			content_map_touch(map, extent.start, extent.stop);
			extent.epoch = 0;
		}
		if (kept && map->extents[kept - 1].stop == extent.start && map->extents[kept - 1].epoch == extent.epoch)
			map->extents[kept - 1].stop = extent.stop;
		else
			map->extents[kept++] = extent;
	}
	map->count = kept;
}

bool content_map_is_fresh(const struct content_map *map)
{
	for (size_t i = 0; i < map->count; i++) {
		if (map->extents[i].epoch)
			return true;
	}
	return false;
}

bool content_map_is_settled(const struct content_map *map)
{
	for (size_t i = 0; i < map->count; i++) {
		if (map->extents[i].epoch == 0)
			return true;
	}
	return false;
}

size_t content_map_widen(const struct content_map *map, uint64_t *start, uint64_t *stop)
{
	size_t first = find(map, *start ? *start - 1 : 0), i;

	for (i = first; i < map->count && map->extents[i].start <= *stop; i++) {
		if (map->extents[i].start < *start)
			*start = map->extents[i].start;
		if (map->extents[i].stop > *stop)
			*stop = map->extents[i].stop;
	}
	return first;
}
