/* SPDX-License-Identifier: MIT */
/*
 * cache.h - the file system over any remote
 *
 * cache/ makes of a struct dw_remote (what a cloud service can do) a struct dw_filesystem (what programs expect):
 * metadata in a database, bytes in sparse files, changes made here at once and on the server afterwards.
 *
 * Files
 * - provider.c: from a remote provider to a dw_provider: options, opening, closing
 * - state.c: struct cache: calls of the remote and the state of the connection
 * - database.c: SQLite: connections, transactions, durability; schema.sql.h: the tables
 * - nodes.c: rows of nodes: read, make, change, remove; exactly once (table done)
 * - rows.c: rows that were read lately, in memory
 * - properties.c: what the server cannot hold, as properties of its items
 * - active.c: what is open: handles that survive this process, counts of readers and writers
 * - opened.c: content of open nodes
 * - absorb*.c: what the server says becomes rows: listings, the feed, answers to uploads
 * - listing.c: folders are listed page by page when first needed, and again when the feed has lost track
 * - feed.c: the thread that waits for the remote's changes, and looks whether the service is back
 * - names.c: operations on names: lookup, unlink, rmdir, rename, link, readlink, forget
 * - making.c: those that make something; folders.c: readdir and kin
 * - attributes.c: getattr, setattr, statfs
 * - xattrs.c: extended attributes; own.c: those of the drive's own (user.driveway.*)
 * - files.c: open, read, write, flush, fsync, release and kin; ahead.c: small files before they are asked for
 * - pins.c: what is pinned is fetched
 * - sync*.c: the journal: what is dirty is brought to the server, with retries, sessions and conflicts (sync.h)
 * - content*.c, fetch*.c, evict.c: content files (content.h)
 * - report.c: facts for `driveway status`
 *
 * Ideas
 *   The state is the journal. A node row holds side by side how the node is here and how the server has it (the columns
 *   remote*, etag, version, properties). Where they differ, dirty says so, and sync brings the server there by the
 *   shortest way, whatever number of steps were made here meanwhile: a temporary file that is renamed over another
 *   within the settling time costs one upload of a new version. There is no log of steps to replay, and after a crash
 * at any point the same comparison goes on. Kernel caches are kept as long as they like and are invalidated by name
 * when the feed says so. A node keeps its id for as long as its item lives, but for one case: when the server has a new
 *   version of a file that is open here, the open node becomes an orphan with the old bytes, and the name gets a new
 *   node, as rename(2) over it would do it. Identity on the server follows the name: when the item X is to be removed
 * and the place (parent, name) that X has on the server is now held by a file that the server has not got, that file
 * takes X over and becomes its new version (nodes_adopt). So every atomic save is a new version and never a delete and
 * an upload.
 *
 * Lock order (first taken first)
 *   active node (active.h) -> content -> connection of the database -> kept table of handles. cache.state is a leaf. No
 * lock is held across a call of the remote.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <driveway/remote.h>
#include <locale.h>
#include <pthread.h>
#include <stdatomic.h>

#include "cache/content.h"
#include "cache/database.h"

struct active;
struct ahead;
struct feed;
struct listings;
struct pins;
struct rows;
struct sync;

enum cache_connection {
	CACHE_UNKNOWN, /* nothing was asked yet */
	CACHE_ONLINE,
	CACHE_OFFLINE, /* calls are answered from the cache; the feed's thread looks whether the service is back */
	CACHE_LOGIN,   /* a person has to log in; until then as offline */
};

struct cache_options {
	uint64_t cache_size;	 /* bytes; UINT64_MAX */
	uint64_t cache_min_free; /* bytes; 1 GiB */
	uint64_t read_ahead;	 /* bytes; 64 MiB */
	uint64_t timeout;	 /* nanoseconds; 30 s */
	uint64_t poll;		 /* nanoseconds between looks at a remote without a feed; 60 s */
	uint64_t settle;	 /* nanoseconds that a file must have rested before it is uploaded; 1 s */
	bool sync;		 /* close waits until the bytes are durable here */
	bool read_only;
};

struct cache {
	struct dw_filesystem fs; /* first */
	struct dw_filesystem_ops ops;
	struct dw_host *host;
	struct dw_remote *remote;
	struct cache_options options;
	char *folder;
	int folder_fd;
	int lock_fd; /* the file "lock" in it, locked */
	struct database *database;
	struct rows *rows;
	struct content_store *contents;
	struct active *active;
	struct listings *listings;
	struct feed *feed;
	struct sync *sync;
	struct ahead *ahead;
	struct pins *pins;
	locale_t unicode;	    /* for nodes_fold */
	_Atomic int64_t generation; /* meta.generation: a folder whose listed is less has to be listed */
	_Atomic uint32_t
		replacing;	   /* absorb.c is about to drop the content of a node that it saw closed: who has
				      claimed a handle meanwhile waits for its transaction before it believes the row */
	_Atomic uint64_t replaced; /* raised when such a transaction has ended, before replacing falls */
	_Atomic int64_t heard;	   /* meta.heard */
	uint32_t uid, gid;	   /* whose files that nobody said an owner of are */
	_Atomic uint32_t stopping; /* non-zero: calls of the remote give up (dw_remote_call.cancelled) */

	struct {
		pthread_mutex_t lock; /* a leaf */
		pthread_cond_t changed;
		enum cache_connection connection;
		char message[DW_REMOTE_MESSAGE_MAX]; /* why it is not online; or the last error */
		int64_t since;			     /* seconds since 1970 that connection has this value */
		uint64_t quota_total, quota_used;
		int64_t quota_at;
	} state;
};

/* A call of the remote that somebody waits for: ends at cache->options.timeout from now, or when interrupted (may be
 * NULL) or the drive goes away. */
void cache_call(struct cache *cache, struct dw_remote_call *call, const volatile uint32_t *interrupted);
/* One that nobody waits for, without a deadline. */
void cache_call_background(struct cache *cache, struct dw_remote_call *call);
/* Every answer of the remote is told here: keeps state, wakes the feed and sync when the service is back. Returns ret
 * as the errno that a program gets: OFFLINE, LATER, UNKNOWN, EXPIRED -EIO (-ETIMEDOUT where it was waited for), LOGIN
 * -EACCES, CHANGED -ESTALE, TRASHED -ENOENT, others as they are. */
int cache_answered(struct cache *cache, int ret, const struct dw_remote_call *call);
/* The two halves of cache_answered. */
void cache_note_answer(struct cache *cache, int ret, const char *message);
int cache_errno(int ret);
bool cache_is_online(struct cache *cache); /* or not known to be offline */
void cache_log(struct cache *cache, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
int64_t cache_now(void);    /* nanoseconds since 1970 */
uint64_t cache_clock(void); /* CLOCK_MONOTONIC, nanoseconds */

#endif
