/* SPDX-License-Identifier: MIT */
/*
 * cursors.h - decoders that wait where they stopped
 *
 * Compressed data can only be decoded forwards. A cursor is a decoder with the position that it has
 * reached in the decoded data; a pool keeps a few of them open, so that a reader who asks for what
 * comes next goes on where the last one stopped, and one who goes back starts at the nearest cursor
 * before it rather than at the start.
 *
 *    absent --open--> busy --read--> idle --taken by a reader--> busy
 *                       \             \--least recently used, room needed--> absent
 *                        \--error--> absent
 *
 * A decoder that can be copied (inflate) leaves copies behind at regular distances as it passes:
 * these are the points to which a reader can go back.
 *
 * Two readers of one member who ask for neighbouring ranges at once, as the kernel's read-ahead
 * does, share one cursor: the second waits for the first when that is nearer than any other start.
 *
 * Threads: any; the pool has one lock, never held while decoding.
 */
#ifndef ARCHIVE_CURSORS_H
#define ARCHIVE_CURSORS_H

#include <stddef.h>
#include <stdint.h>

struct cursors;

/* How a kind of decoder works. All return 0 or a negative errno. */
struct cursor_kind {
	/* A decoder at position 0 of member. */
	int (*open)(void *context, uint64_t member, void **state);
	/* Decode up to size bytes; *done is 0 only at the end. */
	int (*read)(void *state, void *buffer, size_t size, size_t *done);
	/* Another decoder at the same position. NULL: cannot be done. */
	int (*copy)(void *state, void **copy);
	void (*close)(void *state);
};

/* maximum: cursors in the pool, which bounds its memory. context is given to kind->open. -ENOMEM. */
int cursors_create(struct cursors **out, const struct cursor_kind *kind, void *context, unsigned maximum);
/* No reader may be inside. NULL is fine. */
void cursors_destroy(struct cursors *cursors);

/*
 * Read size bytes at offset of the decoded member. *done is less than size only at its end. step: distance in
 * bytes between the copies that are left behind, 0 for none. interrupted: polled, may be NULL.
 * Errors of the kind, -EINTR, -ENOMEM.
 */
int cursors_read(struct cursors *cursors, uint64_t member, uint64_t step, void *buffer, size_t size, uint64_t offset,
		 const volatile uint32_t *interrupted, size_t *done);

/* Hand a decoder of member at position to the pool, which closes it when it has no room. */
void cursors_adopt(struct cursors *cursors, uint64_t member, void *state, uint64_t position);

#endif
