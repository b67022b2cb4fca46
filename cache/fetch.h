/* SPDX-License-Identifier: MIT */
/*
 * fetch.h - flights: ranges of contents on their way from the remote
 *
 * A flight is one range [at, stop) of one content, asked of the remote by one call. It stands in content.flights from
 * when it is wanted until it has ended, so that nothing is asked for twice: what a flight covers is not missing for
 * those who want it, they wait. at moves on as bytes arrive; stop may be moved back, when a reader needs something far
 * ahead of at and gets a flight of its own from there: the first one then ends where the second began.
 *
 *    wanted --> queued --> flying --> ended: what was waited for is here, or content_wait.error says why not
 *                 |           |
 *                 |           +--> pausing --> flying     the service is away, and somebody waits for it
 *                 +--> ended (abandoned: the file was closed)
 *
 * Kinds
 *    DEMAND      somebody waits: starts at once, above every limit but MAXIMUM_FLIGHTS
 *    AHEAD       read-ahead: at most store.parallel of a store at a time
 *    BACKGROUND  content_prefetch. These wait as numbers, not as contents, so that thousands hold no file open;
 *                at most BACKGROUND_FLIGHTS at a time, each content opened when its turn comes
 *
 * Threads: a flight is a job of a pool of workers (support/workers.h), which has no threads when it is idle. Its calls
 * have a deadline of config.timeout each, which counts only while nothing arrives: a call that brought bytes is
 * followed by another for the rest.
 */
#ifndef CACHE_FETCH_H
#define CACHE_FETCH_H

#include "cache/content_store.h"
#include "support/workers.h"

enum flight_kind {
	FLIGHT_DEMAND,
	FLIGHT_AHEAD,
	FLIGHT_BACKGROUND,
	FLIGHT_KINDS,
};

/* Guarded by content.lock, but for job, queue_next and kind, which fetch.lock guards too: both to change them. */
struct flight {
	struct workers_job job;
	struct flight *queue_next;
	struct flight *next; /* of content.flights */
	struct content *content;
	enum flight_kind kind;
	uint64_t start, at, stop;
	uint64_t until; /* the latest deadline of those who wait; 0: nobody does */
	bool flying;	/* its call is under way */
	bool skipped;	/* something of it had come another way */
	_Atomic uint32_t cancelled;
	struct content_digest *digest; /* of all from 0 to at, when it is to bring the whole file */
	uint64_t asked;		       /* end of the call that is under way */
	int sink_error;
};

/* Make flights for what is missing of [start, stop) and not on its way. until: who waits does so until then; 0: nobody
 * does. jump: the reader came from elsewhere, and does not wait for a flight to arrive there. content.lock is held.
 * -ENOMEM. */
int fetch_want(struct content *content, uint64_t start, uint64_t stop, enum flight_kind kind, uint64_t until,
	       bool jump);

/* No user is left: what was read ahead is given up. Takes content.lock. */
void fetch_abandon(struct content *content);

/* Bytes asked for and not here yet. */
uint64_t fetch_pending(struct content_store *store);

/*
 * Wait until [start, stop) can be read, fetching what is missing; stop 0: until all is here and checked. content.lock
 * is held, and is let go while waiting. deadline: CLOCK_MONOTONIC; 0: none. interrupted and cancelled may be NULL.
 * -EINTR, -ECANCELED, -ETIMEDOUT, or why it cannot be had.
 */
int fetch_wait(struct content *content, uint64_t start, uint64_t stop, uint64_t deadline, bool jump,
	       const volatile uint32_t *interrupted, const volatile uint32_t *cancelled);
/* Can [start, stop) be read? content.lock is held. */
bool fetch_is_here(const struct content *content, uint64_t start, uint64_t stop);

/* Note that [start, stop) is being read, and read ahead where a reader goes on. content.lock is held. Did the reader
 * come from elsewhere? */
bool fetch_ahead(struct content *content, uint64_t start, uint64_t stop);

#endif
