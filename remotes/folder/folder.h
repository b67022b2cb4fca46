/* SPDX-License-Identifier: MIT */
/*
 * folder.h - a folder of this machine as if it were a cloud service
 *
 *    provider.c   options, open, close
 *    calls.c      what every call begins and ends with: deadline, cancellation, injected faults, the message
 *    faults.c     the plan of faults that the options fail, delay and faults give (faults.h)
 *    index.c      the database of what disk cannot tell: ids, etags, properties, events (index.h)
 *    tree.c       how an id is reached on disk, and how the index learns what others changed there
 *    items.c      an item as it is shown; stat, list, set_properties, quota
 *    contents.c   content names, read, old versions
 *    uploads.c    staged files and how they take their place; upload
 *    sessions.c   uploads in parts
 *    moves.c      mkdir, move, remove
 *    copies.c     copy
 *    changes.c    the feed
 *    names.c      which names are taken, and folding of case
 *
 * The files are real files under their own names. What a service knows beyond them stands in a hidden folder,
 * SIDE_NAME in the folder itself (for a read-only remote below the provider's state folder):
 *    index.db     SQLite, with a rollback journal, which is right wherever locks are, network file systems too
 *    staging/     uploads under way: u-* of a call, s-HANDLE of a session
 *    versions/    old contents by content name; hard links made before a file is replaced
 *    trash/       what was removed, by id
 *
 * Identity: an item of the index stands for what has its inode number and time of birth. Disk is the truth: each call
 * looks at the disk first and brings the index up to date where another program made changes (tree.c). A crash between
 * a change on disk and the commit of the index is such a change, made by ourselves.
 *
 * Content names are the digest of the bytes in hexadecimal digits; of files that came from elsewhere and are larger
 * than hash_max, '~' and what stat says, because reading all of a large disk to list it would be no service.
 *
 * Nothing outside the folder is reached: one component at a time, relative to descriptors, symbolic links and
 * mounts not followed. Links, mounts, devices are items of type DW_REMOTE_OTHER.
 *
 * Locks: folder.lock guards all that is said to be under it. Who holds it is in a transaction of the index,
 * which keeps other processes out as well. It is never held over callbacks, nor while the bytes of files are read or
 * written, but for the whole walk of a scan. faults.lock is taken alone.
 */
#ifndef REMOTES_FOLDER_FOLDER_H
#define REMOTES_FOLDER_FOLDER_H

#include <driveway/remote.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "faults.h"
#include "index.h"

#define SIDE_NAME    ".driveway-folder"
#define CHUNK	     (256u << 10)
#define ROOT_ID	     1
#define DIGEST_MAX   64u
#define FOLDER_STATX (STATX_BASIC_STATS | STATX_BTIME)
#define NANOSECONDS  INT64_C(1000000000)
#define STAGED_NAME  48u
#define DEPTH_MAX    2048u

struct folder {
	struct dw_remote remote;
	/* Constant while it is open. */
	int root; /* O_PATH descriptors */
	int side;
	int staging;
	int versions;
	int trash;
	dev_t device;
	bool read_only;
	bool fold;
	bool windows_names;
	bool durable;
	bool list_properties;
	uint32_t digest; /* DW_REMOTE_DIGEST_*, what content names are made by */
	uint64_t page;
	uint64_t hash_max;
	uint64_t quota; /* UINT64_MAX: what the disk has */
	uint64_t version_count;
	uint64_t part_bytes;
	uint64_t session_lifetime; /* nanoseconds */
	uint64_t trash_lifetime;
	uint64_t feed_length;
	uint64_t rescan; /* nanoseconds, 0: never */
	char account[64];
	char feed[40]; /* stands in every position */
	struct faults *faults;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* an event was written, or closing; CLOCK_MONOTONIC */
	struct index index;	/* under lock */
	unsigned active;	/* calls under way; under lock */
	bool closing;		/* under lock */
	uint64_t next_scan;	/* CLOCK_MONOTONIC; under lock */
	uint64_t staged;	/* counter for names; under lock */
};

/* A call under way. */
struct call {
	struct folder *folder;
	struct dw_remote_call *remote;
	enum fault_operation operation;
	struct fault fault; /* what is to go wrong, or nothing */
};

static inline struct folder *folder_of(struct dw_remote *remote)
{
	return (struct folder *)remote;
}

/* --- provider.c ---------------------------------------------------------------------------------------- */

void folder_close(struct dw_remote *remote);
int folder_check_name(struct dw_remote *remote, const char *name);

/* --- calls.c ------------------------------------------------------------------------------------------- */

uint64_t clock_now(void);
/*
 * Begin a call: waits and fails as the plan of faults wants. On a failure the call is over: return what it returned.
 */
int call_begin(struct call *call, struct folder *folder, struct dw_remote_call *remote, enum fault_operation operation);
/* The effect is there (err is 0) or not: turns it into what the plan wants, writes the message, ends the call. */
int call_end(struct call *call, int err);
/* -ECANCELED, -ETIMEDOUT, or 0: go on. */
int call_check(const struct call *call);
/* How many of the next size bytes may go through, done having gone already; *err is set where the plan ends it. */
size_t call_clip(const struct call *call, uint64_t done, size_t size, int *err);
/* Sleep, at most nanoseconds, until call_check says stop. */
int call_sleep(const struct call *call, uint64_t nanoseconds);
/* What remote.h allows for an errno of a system call: negative. */
int disk_error(int error);
/* Stand where the disk is changed and the index is not committed. */
void call_middle(const struct call *call);

/* --- names.c ------------------------------------------------------------------------------------------- */

/* -EINVAL, -ENAMETOOLONG. */
int names_check(const struct folder *folder, const char *name);
/* What two names that are one have in common. out has NAME_MAX + 1 bytes. */
void names_fold(const struct folder *folder, const char *name, char *out);

/* --- tree.c -------------------------------------------------------------------------------------------- */

/* An item as it was found on disk. */
struct reached {
	struct row row;
	int dir;  /* O_RDONLY descriptor of the folder that it is in; -1 for the root */
	int self; /* of a folder that may be read: its own O_RDONLY descriptor; else negative */
};

#define REACHED_NONE                                                                                                   \
	{                                                                                                              \
		.dir = -1, .self = -1                                                                                  \
	}

void reached_clear(struct reached *reached);
/* Is it a folder that may be read? -ENOTDIR, -EACCES. */
int reached_folder(const struct reached *reached);
/*
 * Take folder.lock and begin a transaction, with id (decimal text) reached and known as it is on disk: its content name
 * is right. On success end with tree_finish. -ENOENT, DW_REMOTE_TRASHED, what call_check says, -EIO.
 */
int tree_take(struct call *call, const char *id, struct reached *out);
/* The same inside a transaction; the content name of a file may be stale (row.stale). */
int tree_reach(struct call *call, int64_t id, struct reached *out);
/* Lock and begin without an item; tree_finish ends it. */
int tree_begin(struct call *call);
/* Commit (or undo, where the database failed), unlock; err, or what the commit says. */
int tree_finish(struct call *call, int err);
/* Under the transaction: compare a folder with the disk. */
int tree_compare(struct call *call, const struct reached *folder);
/* Under the transaction: compare everything; items that are nowhere are forgotten. */
int tree_scan(struct call *call);
/* Under the transaction: forget an item and what is below it, with its versions and properties; tell: by an event.
 * -ENOENT.
 */
int tree_forget(struct folder *folder, int64_t id, bool tell);
/* Decimal text to an id; -ENOENT. */
int tree_parse_id(const char *text, int64_t *out);
/* Is descendant below ancestor, or ancestor itself? 1, 0, negative errno. */
int tree_below(struct folder *folder, int64_t descendant, int64_t ancestor);
/* The statx of name in dir without following anything. */
int tree_statx(int dir, const char *name, struct statx *out);
void tree_stamp(struct row *row, const struct statx *stx);
/* May name be made in the folder parent? Disk is looked at, and with fold the other names. except: the item that may
 * have the name, or 0. -EEXIST, names_check. */
int tree_name_free(struct call *call, const struct reached *parent, const char *name, int64_t except);
/* fsync of a folder, where durable. */
int tree_sync(const struct folder *folder, int dir);

/* --- items.c ------------------------------------------------------------------------------------------- */

/* An item as callbacks see it, with its texts. */
struct shown {
	struct dw_remote_item item;
	struct row row;
	char id[24];
	char parent[24];
	char etag[24];
	struct property_list properties;
};

/* Under the transaction. shown is zero. -ENOMEM, -EIO. */
int shown_fill(struct folder *folder, const struct row *row, bool properties, struct shown *shown);
void shown_clear(struct shown *shown);
/* call_end, and the item to items where that is 0. Clears shown. */
int shown_answer(struct call *call, int err, struct shown *shown, const struct dw_remote_items *items);

int folder_stat(struct dw_remote *remote, struct dw_remote_call *call, const char *id,
		const struct dw_remote_items *items);
int folder_list(struct dw_remote *remote, struct dw_remote_call *call, const char *id, char *cursor,
		const struct dw_remote_items *items);
int folder_set_properties(struct dw_remote *remote, struct dw_remote_call *call, const char *id,
			  enum dw_remote_type type, const struct dw_remote_property *properties, size_t count);
int folder_quota(struct dw_remote *remote, struct dw_remote_call *call, struct dw_remote_quota *out);
/* Under the transaction: -ENOSPC when bytes more in place of old are too many. */
int quota_check(struct folder *folder, uint64_t bytes, uint64_t old);

/* --- contents.c ---------------------------------------------------------------------------------------- */

struct hash;
/* -ENOMEM. */
int hash_begin(struct hash **out, uint32_t digest);
int hash_add(struct hash *hash, const void *data, size_t size);
/* The digest as hexadecimal digits (CONTENT_SIZE bytes). */
int hash_end(struct hash *hash, char *content);
void hash_free(struct hash *hash);
/* Digest of all of an open file. */
int hash_file(struct call *call, int fd, char *content);
/* The digest of a content name, if it is one of the folder's kind; else length 0. */
uint32_t content_digest(const struct folder *folder, const char *content, uint8_t *out);

/* Not under the lock: make row's content name right by looking at the file name in dir; row is read anew. */
int content_settle(struct call *call, int dir, const struct row *row);
/* Under the transaction: keep what file's name holds now as an old version, before something takes its place. */
int versions_keep(struct call *call, const struct reached *file);
/* Under the transaction: forget the old versions of an item, all but the newest keep. */
int versions_prune(struct folder *folder, int64_t id, uint64_t keep);

int folder_read(struct dw_remote *remote, struct dw_remote_call *call, const char *id, const char *content,
		uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink);

/* --- uploads.c ----------------------------------------------------------------------------------------- */

/* A file in staging. */
struct staged {
	int fd;
	char name[STAGED_NAME];
	char content[CONTENT_SIZE];
	uint64_t bytes;
};

int staged_make(struct call *call, struct staged *out);
/* Remove it, unless it has taken its place. */
void staged_clear(struct folder *folder, struct staged *staged);
/* Where place would put bytes, before they are sent: all that can be refused is refused now. */
int place_check(struct call *call, const struct dw_remote_place *place, uint64_t bytes);
/*
 * Give the staged file its place, time and mode. session: the handle of the session that it was, or NULL. shown: the
 * item.
 */
int place_take(struct call *call, struct staged *staged, const struct dw_remote_place *place, struct dw_time modified,
	       const char *session, struct shown *shown);

int folder_upload(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
		  const struct dw_remote_content *content, const struct dw_remote_items *items);
/* -EBADMSG where the caller's digest (may be NULL) is not that of content. */
int digest_check(const struct folder *folder, const uint8_t *digest, const char *content);
/* Bytes [offset, offset + bytes) of content into fd at the same place, and into hash. */
int content_fetch(struct call *call, const struct dw_remote_content *content, uint64_t offset, uint64_t bytes, int fd,
		  struct hash *hash);

/* --- sessions.c ---------------------------------------------------------------------------------------- */

int folder_session_begin(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
			 const struct dw_remote_content *content, struct dw_remote_session *out);
int folder_session_part(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session,
			const struct dw_remote_content *content, uint64_t offset, struct dw_remote_part *out);
int folder_session_parts(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session,
			 const struct dw_remote_parts *parts);
int folder_session_commit(struct dw_remote *remote, struct dw_remote_call *call,
			  const struct dw_remote_session *session, const struct dw_remote_place *place,
			  const struct dw_remote_content *content, const struct dw_remote_part *parts, size_t count,
			  const struct dw_remote_items *items);
int folder_session_abort(struct dw_remote *remote, struct dw_remote_call *call,
			 const struct dw_remote_session *session);
/* At open, under the transaction: remove what has expired. */
int sessions_purge(struct folder *folder);

/* --- moves.c, copies.c ----------------------------------------------------------------------------------- */

int folder_mkdir(struct dw_remote *remote, struct dw_remote_call *call, const char *parent, const char *name,
		 const struct dw_remote_items *items);
int folder_move(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		const char *etag, const char *parent, const char *name, const struct dw_remote_items *items);
int folder_remove(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		  const char *etag, bool recursive);
int folder_copy(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		const char *parent, const char *name, const struct dw_remote_items *items);
/* DW_REMOTE_CHANGED where etag is given and not row's. */
int etag_check(const struct row *row, const char *etag);
/* rename without replacing anything; -EEXIST. */
int rename_new(int from, const char *old, int to, const char *name);
/* Remove name in dir, with all that is in it if it is a folder. Never leaves the device. */
int remove_all(int dir, const char *name, unsigned depth);
/* At open, under the transaction: empty the trash of what has been there too long. */
int trash_purge(struct folder *folder);
/* At open: remove what calls left in staging that ended with their process, a day ago or more. */
int staging_purge(struct folder *folder);

/* --- changes.c ----------------------------------------------------------------------------------------- */

int folder_changes(struct dw_remote *remote, struct dw_remote_call *call, char *cursor,
		   const struct dw_remote_events *events);
/* Under the transaction: write an event. row as it is now. */
int event_write(struct folder *folder, enum dw_remote_event_type type, const struct row *row);

#endif
