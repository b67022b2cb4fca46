/* SPDX-License-Identifier: MIT */
/*
 * window.h - small reads that mostly come close together
 *
 * The scan looks at a few bytes of every member. Where members are small, many of them lie in one piece of the
 * archive: a read that is near the one before fetches a whole piece, and what is in it costs no further read. One
 * that is far away fetches only what it asks for.
 *
 * Threads: one at a time.
 */
#ifndef ARCHIVE_WINDOW_H
#define ARCHIVE_WINDOW_H

#include "filesystems/archive/space.h"

#define WINDOW_SIZE (32u << 10)

struct window {
	struct space *space;
	uint64_t offset;
	size_t size;
	char bytes[WINDOW_SIZE];
};

/* An empty window; space stays the caller's. */
void window_open(struct window *window, struct space *space);
/* Read size bytes, at most WINDOW_SIZE, at offset. False when they cannot be read or the space ends before. */
bool window_read(struct window *window, void *buffer, size_t size, uint64_t offset);

#endif
