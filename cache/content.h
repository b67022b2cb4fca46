/* SPDX-License-Identifier: MIT */
/*
 * content.h - the bytes of files: sparse content files, fetching what is missing, reading ahead, making room
 *
 * A content is the bytes of one version of one file. It lives in content/XX/ID below the cache folder (ID: its number
 * in hexadecimal, XX: its last two digits) with a row in the table content of the database, and belongs to one node,
 * which names it by its number. It begins in one of two ways:
 *
 *    content_make        made here, empty: local, and whole by nature
 *    content_expect      a version that the server has: as long as that version from the start (sparse), not one byte
 * of it there; what is read is fetched, by ranges, always of that very version
 *
 *                   content_modify                  content_settle (uploaded)
 *      fetched  ------------------------>  local  ------------------------------>  fetched, whole
 *
 * Local contents hold bytes that exist nowhere else: they are never evicted, and what was never modified of them may
 * still have to be fetched (of the version they began with).
 *
 * What survives
 *   Bytes are written to the file first and entered in the map (extent rows, content.whole) afterwards, so the map
 * never promises what is not there when this process dies. What is written over something missing is in the map before
 * the write is answered, so that nothing is fetched on top of it. When the machine dies, bytes may be lost that the map
 * promises; so ranges written since the machine was started carry a mark (extent.boot) until they were synced, and
 * content_store_open, when the machine was started anew (meta.boot differs from /proc/sys/kernel/random/boot_id or from
 * config.boot), forgets those: they are missing again, also in local contents, where the version that they began with
 * is then what was before. Half a minute after something was fetched it is synced together with all else, and the marks
 * go. Whether a local content that was never synced is to be trusted is the node's business (content_is_torn). A file
 * without a row is left over from a crash and is deleted at open; a row whose node does not exist likewise.
 * docs/cache-format.md has the whole of it.
 *
 * Fetching
 *   Missing ranges are fetched by fetch threads, several ranges at once (remote->read_parallel), never twice at the
 * same time. A range is readable as its bytes arrive. Read-ahead is adaptive: a reader that goes on where it stopped
 * gets a window that grows fourfold up to config.read_ahead and is fetched in parallel ranges; a reader that jumps gets
 * its range only, rounded to 128 KiB, at once, whatever else is on its way. A file of up to 1 MiB is fetched whole, and
 * read when it fits its digest. content_prefetch asks for what nobody waits for yet, in the background. A whole file
 * that was fetched in ranges is checked against its digest before it is called whole; when it does not fit, it is
 * dropped and fetched once more, then -EIO. Errors of the remote become errnos for programs: OFFLINE, LATER and UNKNOWN
 * are sat out until the reader's deadline (config.timeout after it began), then -EIO for LOGIN -EACCES, for CHANGED
 * -ESTALE; anything else as it is. A reader that is interrupted (request->interrupted) gets -EINTR at once; the fetch
 * goes on for a while, in case it comes back.
 *
 * Threads and locks
 *   Every function may be called from any thread. Those that take a connection may be called inside its transaction,
 * and so may those that only say what is known (content_id, again, put, discard, stat, is_*, present, fd, stamp). All
 * others may take the database themselves: none of its connections may be held, other locks of the callers' may. A
 * struct content is counted: get and put. The fd stays open for as long as it is got.
 */
#ifndef CACHE_CONTENT_H
#define CACHE_CONTENT_H

#include <driveway/remote.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/database.h"

struct content_store;
struct content;

struct content_config {
	struct database *database;
	int folder_fd; /* of the cache folder; stays the caller's and open */
	struct dw_remote *remote;
	uint64_t cache_size;	 /* bytes that fetched contents may take; UINT64_MAX: no limit */
	uint64_t cache_min_free; /* bytes that the file system must keep free */
	uint64_t read_ahead;	 /* bytes at most */
	uint64_t timeout;	 /* nanoseconds that a reader waits at most */
	const char *boot;	 /* NULL: the machine's; for tests of power cuts */
	/* A line for the log; any thread. */
	void (*log)(void *context, int level, const char *line);
	/* The remote answered (0, or its error): for the drive's state, online or not. Any thread, no lock is held. */
	void (*answered)(void *context, int ret, const char *message);
	void *context;
};

/* Which bytes are expected. Texts are copied. */
struct content_origin {
	const char *remote;  /* id of the item */
	const char *version; /* its content name */
	uint64_t size;
	const uint8_t *digest; /* of remote->digest's kind; NULL: not known */
	size_t digest_length;
};

struct content_numbers {
	uint64_t bytes;	   /* that contents take on disk */
	uint64_t fetching; /* bytes asked of the remote and not here yet */
	uint64_t fetched;  /* bytes fetched since the start */
	uint64_t evicted;
};

/* Opens, cleans up after a crash, starts what runs. -ENOMEM, -EIO, -ENOSPC and those of database.h. */
int content_store_open(struct content_store **out, const struct content_config *config);
/* Ends what runs; every content has been put. */
void content_store_close(struct content_store *store);
void content_store_numbers(struct content_store *store, struct content_numbers *out);

/* A new content, got; its row is inserted through connection (a transaction of the caller's: when that does not commit,
 * put it and content_discard). -ENOSPC, -EMFILE. */
int content_make(struct content_store *store, struct database_connection *connection, struct content **out);
int content_expect(struct content_store *store, struct database_connection *connection,
		   const struct content_origin *origin, struct content **out);
/* A content by its number. Not inside a transaction that writes: it may wait for an eviction, which needs one. -ENOENT,
 * -EMFILE, -EIO. */
int content_get(struct content_store *store, uint64_t id, struct content **out);
struct content *content_again(struct content *content); /* counts once more */
void content_put(struct content *content);
uint64_t content_id(const struct content *content);
/* The row is deleted through connection; the file when the last user has put it, after the commit. A crash between is
 * cleaned up at open. */
void content_delete(struct content_store *store, struct database_connection *connection, uint64_t id);
/* A content whose transaction was rolled back: delete its file at the last put. */
void content_discard(struct content *content);

/* How long the file is, and when it was last modified, as its content file says. */
int content_stat(struct content *content, uint64_t *size, struct dw_time *modified, uint64_t *allocated);
bool content_is_whole(struct content *content);
bool content_is_local(struct content *content);
/* Is there a version of the server's that it began with, or was settled as? */
bool content_has_origin(struct content *content);
/* What is there of it, in bytes. */
uint64_t content_present(struct content *content);
/* For passthrough: open for reading and writing, the content's; only when it is whole. */
int content_fd(struct content *content);

/*
 * Read. With nowait, -EAGAIN when it is not all there (nothing was changed, but fetching may have been started). *done
 * is less than size at the end of the file only. interrupted may be NULL.
 */
int content_read(struct content *content, void *buffer, size_t size, uint64_t offset, bool nowait,
		 const volatile uint32_t *interrupted, size_t *done);

/*
 * Before the first change of a content that is not local, and before it is opened for writing with passthrough: mark it
 * local, durably where bytes of it could be confused with the server's after a power cut. Does nothing when it is
 * local. -ENOSPC, -EIO. After a start of the machine, a content that was local and not yet synced by content_sync since
 * it became local answers true to content_is_torn (column boot = 1 of a local content): what was promised to nobody may
 * be mixed.
 */
int content_modify(struct content *content);
bool content_is_torn(struct content *content);
/* It was opened for writing and not changed after all: make it fetched again. Only while nobody writes. */
int content_unmodify(struct content *content);

/* All four: content_modify has been called. Ranges that are only partly overwritten need nothing fetched: the map is by
 * bytes. */
int content_write(struct content *content, const void *buffer, size_t size, uint64_t offset, size_t *done);
int content_truncate(struct content *content, uint64_t size);
/* flags: DW_FALLOCATE_*. */
int content_fallocate(struct content *content, uint64_t offset, uint64_t length, uint32_t flags);
int content_set_modified(struct content *content, struct dw_time modified);
/* whence: DW_SEEK_*. What is missing counts as data. -ENXIO. */
int content_seek(struct content *content, uint64_t offset, uint32_t whence, uint64_t *out);
/* From one content to another inside the cache, reflinked where the file system can. -EAGAIN: not all there. */
int content_copy(struct content *in, uint64_t offset_in, struct content *out, uint64_t offset_out, size_t size,
		 size_t *done);

/* The bytes are on disk, and the map of them durable once the next database_sync has returned. */
int content_sync(struct content *content);

/* Wait until every byte is here. cancelled may be NULL; deadline: CLOCK_MONOTONIC nanoseconds, 0: none. -ETIMEDOUT,
 * -ECANCELED and as content_read. */
int content_complete(struct content *content, uint64_t deadline, const volatile uint32_t *cancelled);
void content_prefetch(struct content *content, uint64_t offset, uint64_t length);

/*
 * Its bytes were uploaded (all of them were here) and are the server's version origin now: not local any more, unless
 * it was modified since stamp was taken (then true is not answered and it stays local, with origin as the version that
 * it began with). Writes that go past this process (passthrough) are seen by the file's times only: a content that is
 * open for these must not be settled, or content_modify be called again before the next write.
 */
struct content_stamp {
	uint64_t size;
	struct dw_time modified;
	struct dw_time changed;
	uint64_t writes;
};
int content_stamp(struct content *content, struct content_stamp *out);
bool content_settle(struct content *content, struct database_connection *connection,
		    const struct content_origin *origin, const struct content_stamp *stamp);

/* Give up the bytes of a content that is not local and not got by anybody. -EBUSY, also while the last of it that was
 * fetched is being put away. */
int content_evict(struct content_store *store, uint64_t id);
/* Is a pinned content exempt from eviction? The evictor asks the database: node.pinned of the node that names it. */

#endif
