/* SPDX-License-Identifier: MIT */
/*
 * arena.h - a heap with transactions, in memory that outlives its process
 *
 * A file system whose state must survive a kill of the service (memory:, the node table of local:)
 * keeps it in an arena: a heap inside a kept region (dw_host.keep). The process may be killed at any
 * instruction; the next one opens the arena and finds the state of the last commit.
 *
 * How: an undo log at the head of the region. Before the owner changes bytes, arena_save copies the old ones
 * to the log; arena_commit makes the log empty by one store. arena_open on a region whose log is not
 * empty copies the old bytes back, newest first. Stores of one thread are seen by the next process
 * in program order because the dead one's stores are all in the same memory; no flush is needed, only
 * that the compiler keeps the order (signal fences).
 *
 *    layout: | header | undo log | heap .............................. |
 *
 * References are 32-bit numbers in units of 16 bytes from the region's start, so they mean the same at any
 * address and reach 64 GiB; 0 is none.
 *
 * Exactly once: every commit has a number, one more than the one before. Inside a transaction
 * arena_sequence(a) + 1 is the number that the commit will have. As the last thing before
 * arena_commit an operation stores this number and its result in the request's notes. When the request is
 * replayed, arena_committed of that number says whether it took effect; the result in the notes is then its
 * answer. The number of a transaction that a death cut off is never given out again: arena_open
 * writes it down, so that a later commit is not taken for it. After arena_rollback the number is used again, which
 * is why nothing may come between the notes and the commit.
 *
 * The heap is cut into chunks of 64 KiB. A chunk holds objects of one size class or is part of a run of
 * chunks that holds one large object; a chunk whose last object is freed can become anything again.
 * What a transaction frees keeps its bytes until the commit, or they are in the log, so that it can be undone.
 *
 * Threads: the arena has no lock. Its owner holds one exclusively from arena_begin to arena_commit, and
 * shared or exclusively for everything else.
 */
#ifndef SUPPORT_ARENA_H
#define SUPPORT_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
typedef uint32_t arena_ref;

#define ARENA_UNIT	16u
#define ARENA_LOG_SIZE	(16u << 20) /* address space of the undo log; its pages cost memory only when used */
#define ARENA_ALLOC_MAX (1u << 20)  /* largest single object */

/*
 * Open the arena in the size bytes at base (page-aligned). fresh: the bytes are all zero and a new one is made.
 * kind: the owner's format number; -EINVAL when the region holds another one. Otherwise rolls back a transaction
 * that was under way (*rolled_back, may be NULL). -ENOMEM.
 */
int arena_open(struct arena **out, void *base, uint64_t size, bool fresh, uint32_t kind, bool *rolled_back);
/* Forget the handle; the bytes stay. */
void arena_close(struct arena *arena);

/* Address of an object; valid while the arena is open. */
static inline void *arena_at(const struct arena *arena, arena_ref ref);

/* The owner's first object, 0 until arena_set_root. Inside a transaction. */
arena_ref arena_root(const struct arena *arena);
void arena_set_root(struct arena *arena, arena_ref ref);

void arena_begin(struct arena *arena);
/*
 * Remember size bytes at address, which lies in the heap and is about to change. A transaction may
 * save ARENA_LOG_SIZE bytes, with 16 for each call; arena_room says what is left. Saving more ends
 * the process, and so undoes the transaction.
 */
void arena_save(struct arena *arena, void *address, size_t size);
size_t arena_room(const struct arena *arena);
/* All changes since arena_begin hold; returns the new sequence number. */
uint64_t arena_commit(struct arena *arena);
/* All changes since arena_begin are undone. */
void arena_rollback(struct arena *arena);
/* Number of the last commit; 1 for a new arena, so that 0 in a request's notes is no commit. */
uint64_t arena_sequence(const struct arena *arena);
/* Whether the transaction with this number (from a request's notes; 0 is none) was committed. */
bool arena_committed(const struct arena *arena, uint64_t sequence);

/*
 * Inside a transaction. Memory of size bytes (1 to ARENA_ALLOC_MAX), zeroed, aligned to 16; 0 when the arena is full.
 * A new object needs no arena_save until the commit. Freeing needs the size that was asked for.
 */
arena_ref arena_alloc(struct arena *arena, size_t size);
void arena_free(struct arena *arena, arena_ref ref, size_t size);

/* Bytes of the heap in use, with the allocator's rounding. */
uint64_t arena_used(const struct arena *arena);

/*
 * Outside a transaction, the owner's lock held exclusively. Finds memory of the heap that is not in use any more and
 * was touched, for the owner to give back to the system (the bytes may change as they like): *offset and *length
 * in bytes from the region's start. *cursor starts as 0 and is the arena's from then on; false: there is no more.
 */
bool arena_trim(struct arena *arena, uint32_t *cursor, uint64_t *offset, uint64_t *length);

struct arena {
	char *base;
	struct arena_header *header;
	uint64_t size;
};

static inline void *arena_at(const struct arena *arena, arena_ref ref)
{
	return arena->base + (uint64_t)ref * ARENA_UNIT;
}

#endif
