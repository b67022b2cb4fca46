/* SPDX-License-Identifier: MIT */
/*
 * content_store.h - what the files of content*.c, fetch*.c and evict.c share
 *
 *    content_store.c  opening and closing the store, the table of contents that are got
 *    content.c        the life of one content: made, expected, local, settled
 *    content_rows.c   rows of the tables content and extent
 *    content_map.c    which bytes are here
 *    content_io.c     bytes and files: read, write, truncate, copy, sync
 *    content_check.c  digests
 *    fetch.c          flights: ranges that are being fetched, and their threads
 *    fetch_ahead.c    which ranges to fetch for a reader, and waiting for them
 *    evict.c          the tidying thread: making room, deleting files, settling what was synced
 *
 * Locks, first taken first
 *    content.io          changes of a file that is not whole are made under it, one after another
 *    a connection of the database
 *    content.lock        what is known of one content. Never held while a system call may block
 *    store.lock, fetch.lock, tidy.lock      leaves
 *
 * What reads the database and then memory, or changes both, does it inside one writing transaction, so that memory and
 * rows change in the same order. A struct content is counted twice: users are those of content_get and kin; count is
 * users and whatever else keeps it alive (flights). While a content is counted it is in the table, and there is never
 * a second one of the same number. One that nobody counts any more rests in the table, open, until others that were
 * used later push it out, or until it is deleted or evicted: most files that are opened are opened again.
 */
#ifndef CACHE_CONTENT_STORE_H
#define CACHE_CONTENT_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "cache/content.h"
#include "cache/content_map.h"

#define CONTENT_BUCKETS	   1024u
#define CONTENT_STREAMS	   8
#define CONTENT_DIGEST_MAX 64
#define CONTENT_LEAVING	   64

#define CONTENT_SMALL (1ull << 20) /* files up to this are fetched whole, and read when they were checked */
#define CONTENT_ROUND (128ull << 10)

/* column boot of table content, for local ones */
#define CONTENT_SYNCED	 0
#define CONTENT_UNSYNCED 1
#define CONTENT_TORN	 2

struct fetch;
struct flight;
struct tidy;

/* Somebody who waits for [start, stop); on the waiter's stack. stop 0: for the whole file and its check. */
struct content_wait {
	struct content_wait *next;
	uint64_t start, stop;
	int error; /* why its bytes do not come; 0 */
};

/* A place at which somebody reads on. */
struct content_stream {
	uint64_t position; /* where it will go on */
	uint64_t window;   /* 0: it has not gone on yet */
	uint64_t grows;	   /* where the window grows */
	uint64_t ahead;	   /* up to where bytes were asked for */
	uint64_t used;
};

struct content {
	struct content_store *store;
	uint64_t id;
	int fd;

	/* Guarded by store.lock. */
	struct content *next;
	unsigned count, users;
	struct content *later, *earlier; /* while it rests: its neighbours in store.rest_last ... rest_first */
	bool deleted;			 /* its row is deleted, or was never committed: the tidying thread looks */
	bool in_saves;			 /* waits in store.saves */
	struct content *next_save;

	pthread_mutex_t io;

	pthread_mutex_t lock;	/* guards all below */
	pthread_cond_t changed; /* bytes arrived, a flight or a check ended */
	char *remote, *version; /* NULL: made here */
	uint64_t size;		/* of that version */
	uint8_t digest[CONTENT_DIGEST_MAX];
	size_t digest_length;
	struct content_map map;
	bool whole; /* every byte of the version is here and checked, or it is made here */
	bool local;
	bool checking;	   /* a thread computes its digest */
	unsigned misfits;  /* how often it did not fit its digest */
	int boot;	   /* CONTENT_SYNCED and kin */
	bool trusted;	   /* a row that promises synced bytes may be on disk */
	bool linked;	   /* its name is durable in its folder */
	uint64_t writes;   /* changes since it was loaded */
	uint64_t bytes;	   /* allocated, as counted in store.bytes */
	uint64_t clean;	   /* and in store.clean */
	uint64_t used;	   /* seconds */
	bool used_changed; /* used or bytes; the row does not know yet */
	struct flight *flights;
	struct content_wait *waits;
	uint64_t in_vain; /* CLOCK_MONOTONIC; when somebody last gave up after a long wait; 0: never */
	struct content_stream streams[CONTENT_STREAMS];
	uint64_t stream_clock;
};

struct content_store {
	struct content_config config;
	int folder_fd;		  /* of content/ */
	uint64_t parallel, range; /* of reads of the remote */
	struct fetch *fetch;
	struct tidy *tidy;
	_Atomic uint64_t next_id;
	_Atomic uint64_t epoch;
	_Atomic uint64_t bytes; /* on disk, of all */
	_Atomic uint64_t clean; /* of these, of those that are not local */
	_Atomic uint64_t fetched, evicted;
	_Atomic bool untidy; /* something is left for the next opening to clean up */

	pthread_mutex_t lock;
	pthread_cond_t left; /* something left leaving */
	struct content *buckets[CONTENT_BUCKETS];
	uint64_t departures[CONTENT_BUCKETS]; /* contents that left each bucket, or were evicted */
	uint64_t leaving[CONTENT_LEAVING];    /* these are being evicted: nobody gets them meanwhile */
	size_t leaving_count;
	struct content *rest_first, *rest_last; /* least and most lately used of those that rest */
	unsigned rest_count, rest_most;
	struct content *saves;
	bool saving;
};

uint64_t content_clock(void); /* CLOCK_MONOTONIC, nanoseconds */
void content_log(struct content_store *store, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Is a byte of [start, stop) of its version missing? content.lock is held. */
bool content_is_missing(const struct content *content, uint64_t start, uint64_t stop);

/* --- content_store.c --- */

int content_open_file(struct content_store *store, uint64_t id, int flags, int *fd);
void content_unlink_file(struct content_store *store, uint64_t id);
struct content *content_new(struct content_store *store, uint64_t id);
void content_free(struct content *content); /* one that is in no table */
/* Put a new one into the table, counted for one user. */
void content_enter(struct content *content);
/* Count without being a user: for flights. */
void content_hold(struct content *content);
void content_drop(struct content *content);
/* Up to CONTENT_LEAVING contents that nobody may get until content_have_left; those that somebody has got are taken out
 * of the list. One caller at a time. The number of those that stay in. */
size_t content_begin_leaving(struct content_store *store, uint64_t *ids, size_t count);
void content_have_left(struct content_store *store);
/* Its row is going away; false: it is not counted by anybody. */
bool content_mark_deleted(struct content_store *store, uint64_t id);
/* All that are counted now, held; NULL-ended, for free(). NULL: no memory. */
struct content **content_all(struct content_store *store);
/* Its file takes bytes on disk now. content.lock is held. */
void content_count_bytes(struct content *content);

/* --- content_rows.c --- */

int content_row_insert(struct database_connection *connection, const struct content *content);
/* Fill in a new content; nothing of it is shared yet. -ENOENT. */
int content_row_load(struct content *content);
/* Bring whole, used, bytes and the extents to what memory says. Takes content.lock. local and boot are written by
 * those who change them, before memory says so. */
int content_row_save(struct database_connection *connection, struct content *content);
int content_row_mark(struct database_connection *connection, uint64_t id, bool local, int boot);
/* The row after an upload. */
int content_row_settle(struct database_connection *connection, struct content *content, bool local);
/* Nothing of it is here any more. -EBUSY: it is local, or there is no such row. *bytes: what it took. */
int content_row_forget(struct database_connection *connection, uint64_t id, uint64_t *bytes);
int content_row_delete(struct database_connection *connection, uint64_t id, uint64_t *bytes, uint64_t *clean);
/* In a transaction of its own. */
int content_save(struct content *content);
/* Soon, together with others; by this thread, or by the one that does so already. */
void content_save_later(struct content *content);

/* --- content_check.c --- */

/* Every byte is in the map: check and make it whole. content.lock is held and is let go meanwhile. 0, or -EIO: it did
 * not fit and is empty now. */
int content_check(struct content *content);
/* It does not fit its digest. content.lock is held. */
void content_misfit(struct content *content);

struct content_digest;
/* NULL: this remote has none, or no memory. */
struct content_digest *content_digest_new(const struct content_store *store);
void content_digest_add(struct content_digest *digest, const void *data, size_t size);
/* Frees it. Does it fit? */
bool content_digest_fits(struct content_digest *digest, const uint8_t *expected, size_t length);
void content_digest_free(struct content_digest *digest);

/* --- fetch.c --- */

int fetch_start(struct content_store *store);
void fetch_stop(struct content_store *store);

/* --- evict.c --- */

int tidy_start(struct content_store *store);
void tidy_stop(struct content_store *store);
/* More is on disk than before: look whether there must be room. Any lock but a leaf may be held. */
void tidy_grown(struct content_store *store);
/* A row was deleted, maybe not committed yet: when that is so, delete the file, which is counted with these bytes. */
void tidy_delete(struct content_store *store, uint64_t id, uint64_t bytes, uint64_t clean);
/* Note when a content was last used, and what it takes. */
void tidy_used(struct content_store *store, uint64_t id, uint64_t seconds, uint64_t bytes);
/* The disk is full: make room now. io locks may be held, no other. Was there any? */
bool tidy_make_room(struct content_store *store);
/* Fresh ranges have been saved: sync them some day. */
void tidy_fresh(struct content_store *store);

#endif
