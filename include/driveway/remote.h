/* SPDX-License-Identifier: MIT */
/*
 * remote.h - the interface between Driveway's cache and a cloud service
 *
 * A remote is a place far away that keeps files and folders: a Box account, a WebDAV server, a bucket. Whoever can
 * list, read and write there fills in struct dw_remote_ops, about ten functions, and the cache (cache/) makes a
 * whole file system of it: random writes, renames, locks, offline use and survival of crashes are the cache's work.
 *
 * This header includes nothing of Driveway's own and links against nothing, as filesystem.h, which it is the smaller
 * sister of. docs/remote-authors.md has a walk through it.
 *
 * Items
 *   A file or a folder is an item and has an id: text that the service chose, that never contains a NUL, and that
 *   stays the same when the item is renamed or moved. The root folder of what is mapped is dw_remote.root. An item's
 *   etag changes with every change of the item but of its properties: it is what conditional calls compare (If-Match).
 *   Its content name changes whenever the bytes of a file change, and may change with a new version of the same bytes;
 * it is what the cache files the bytes under. Texts of an item are valid during the callback or until the struct that
 *   holds them is written again.
 *
 * Answers
 *   A call blocks until it is done and returns 0 or a negative number: a negative errno that every platform has, or
 *   one of DW_REMOTE_* below for what errno cannot say. The errors that any call may give:
 *   - DW_REMOTE_OFFLINE: the service cannot be reached (name, connection, TLS handshake, proxy); nothing was changed
 *   - DW_REMOTE_UNKNOWN: the connection broke after a change had been sent: it may have been made or not
 *   - DW_REMOTE_LOGIN: the login is missing, expired or revoked: a person has to log in
 *   - DW_REMOTE_LATER: the service asks to be left alone (rate limit, maintenance); dw_remote_call.retry_after says
 *     how long
 *   - -EACCES: this account may not do that
 *   - -ENOENT: the item does not exist any more, or is in the trash
 *   - -ETIMEDOUT: dw_remote_call.deadline has passed
 *   - -ECANCELED: *dw_remote_call.cancelled was seen set
 *   - -EPROTO: the answer makes no sense
 *   - -ENOMEM, -EIO: as everywhere; -EIO: the service failed and did not say how
 *
 *   Short troubles are the remote's own to sit out: it tries again by itself, with growing pauses and some chance in
 *   them, as long as the deadline allows and as it is safe (reads always; changes when they are conditional or had
 *   surely not been made). Each function lists what else it may return. dw_remote_call.message says in one line what
 *   went wrong.
 *
 * Threads
 *   Every function may be called by several threads at once, close excepted. The remote does its own locking and
 *   keeps its own connections. A function never calls back into the cache but through the callbacks that it was given,
 *   on the calling thread or on one of the remote's own, one at a time for one call.
 *
 * Versions
 *   Sizes first, as in filesystem.h: new members come at the end, and what lies beyond the other side's size counts
 *   as NULL or 0.
 */
#ifndef DRIVEWAY_REMOTE_H
#define DRIVEWAY_REMOTE_H

#include <driveway/filesystem.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DW_REMOTE_API_VERSION 0x00010000u

/* What errno cannot say. Far from any errno. */
#define DW_REMOTE_OFFLINE (-20001)
#define DW_REMOTE_UNKNOWN (-20002)
#define DW_REMOTE_LOGIN	  (-20003)
#define DW_REMOTE_LATER	  (-20004)
#define DW_REMOTE_CHANGED (-20005) /* the item is not at the etag that the call named: nothing was done */
#define DW_REMOTE_EXPIRED (-20006) /* an upload session, a position in a list or in the feed is no longer known */
#define DW_REMOTE_TRASHED (-20007) /* the item is in the trash */

#define DW_REMOTE_ID_MAX      1024 /* bytes of an id, an etag or a content name, without the NUL */
#define DW_REMOTE_CURSOR_MAX  4096 /* bytes of a position in a list or in the feed, and of a session */
#define DW_REMOTE_MESSAGE_MAX 256

struct dw_remote;

/* One call. The caller fills it in; the remote fills in what stands behind the line. */
struct dw_remote_call {
	size_t size;
	uint64_t deadline;		    /* CLOCK_MONOTONIC in nanoseconds; 0: none */
	const volatile uint32_t *cancelled; /* becomes non-zero: give up soon; may be NULL */
	bool background;		    /* nobody waits: give way to calls that somebody waits for */
	/* ------------------------------------------------------------------------------------------ */
	uint64_t retry_after; /* nanoseconds, with DW_REMOTE_LATER */
	char message[DW_REMOTE_MESSAGE_MAX];
};

enum dw_remote_type {
	DW_REMOTE_FILE = 1,
	DW_REMOTE_FOLDER = 2,
	DW_REMOTE_OTHER = 3, /* a thing that is neither, such as a link to a web page; the cache does not show it */
};

/* A small text that the service keeps with an item for whoever asks. */
struct dw_remote_property {
	const char *key;   /* letters, digits, '-', '_' and '.', up to 64 bytes */
	const char *value; /* UTF-8 */
};

/* dw_remote_item.rights: what this account may do; all set where the service does not say */
#define DW_REMOTE_MAY_READ   (1u << 0)
#define DW_REMOTE_MAY_WRITE  (1u << 1) /* a file: upload a new version; a folder: make items in it */
#define DW_REMOTE_MAY_RENAME (1u << 2) /* and move */
#define DW_REMOTE_MAY_DELETE (1u << 3)

struct dw_remote_item {
	size_t size;
	enum dw_remote_type type;
	const char *id;
	const char *parent; /* "": not known or none */
	const char *name;
	const char *etag;	/* "": the service has none, and conditional calls are not checked */
	const char *content;	/* of a file: content name */
	uint64_t bytes;		/* of a file: its length */
	uint8_t digest[64];	/* of a file's bytes, of the kind that dw_remote.digest says */
	uint32_t digest_length; /* 0: not known */
	uint32_t rights;	/* DW_REMOTE_MAY_* */
	struct dw_time created; /* all zero: not known; the same for modified */
	struct dw_time modified;
	const struct dw_remote_property *properties;
	size_t property_count;
	bool properties_known; /* false: this call did not bring them; ask stat */
};

/* Where the bytes of an upload come from. read fills buffer with size bytes from offset, or a negative errno, which
 * ends the upload and is what it returns. May be called again for the same place, when a part is sent once more. */
struct dw_remote_content {
	int (*read)(const struct dw_remote_content *content, void *buffer, size_t size, uint64_t offset);
	/* Bytes have gone out; may be NULL. sent: of this content in all (in session_part: of this part); may go back
	 * on a retry. */
	void (*progress)(const struct dw_remote_content *content, uint64_t sent);
	uint64_t bytes;
	struct dw_time modified; /* the time that the file is to show */
	const uint8_t *digest;	 /* of all of it, of dw_remote.digest's kind; NULL: not known */
	void *context;
};

/* Takes what a read brings, in order and without gaps. 0, or a negative errno, which ends the read and is what it
 * returns. */
struct dw_remote_sink {
	int (*write)(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset);
	void *context;
};

/* Where an uploaded file goes. With id: a new version of that file, if its etag is still etag (NULL: whatever it is).
 * Else a new file name in the folder parent. */
struct dw_remote_place {
	const char *id;
	const char *etag;
	const char *parent;
	const char *name;
};

/* Takes items of a list. The item is valid during the call. 0, or a negative errno, which ends the list and is what it
 * returns. */
struct dw_remote_items {
	int (*item)(const struct dw_remote_items *items, const struct dw_remote_item *item);
	void *context;
};

enum dw_remote_event_type {
	DW_REMOTE_EVENT_CHANGED = 1, /* made, changed, renamed, moved or restored: item is how it is now */
	DW_REMOTE_EVENT_REMOVED = 2, /* only item->id is sure, item->parent and name where they are known */
	DW_REMOTE_EVENT_LOST = 3,    /* the feed has lost track: believe nothing that was learned before */
};

struct dw_remote_events {
	int (*event)(const struct dw_remote_events *events, enum dw_remote_event_type type,
		     const struct dw_remote_item *item);
	void *context;
};

struct dw_remote_quota {
	uint64_t total; /* UINT64_MAX: no limit */
	uint64_t used;
};

/* A part of an upload session that the service has. */
struct dw_remote_part {
	uint64_t offset;
	uint64_t bytes;
	char receipt[512]; /* text that session_commit needs again; the cache stores it */
};

struct dw_remote_parts {
	int (*part)(const struct dw_remote_parts *parts, const struct dw_remote_part *part);
	void *context;
};

/* An upload in parts, as the cache stores it between calls and across restarts. */
struct dw_remote_session {
	char handle[DW_REMOTE_CURSOR_MAX]; /* text with which this remote finds it again */
	uint64_t part_bytes;		   /* every part has this size, but for the last */
	struct dw_time expires;		   /* all zero: not known */
};

/*
 * The operations. remote, call and every pointer are valid for the call only and never NULL unless it says so. Answers
 * that are items go through one struct dw_remote_items (items->item is called exactly once on success, not at all on
 * failure).
 */
struct dw_remote_ops {
	size_t size; /* sizeof(struct dw_remote_ops) */

	/* --- What a read-only remote needs -------------------------------------------------------- */

	/* The item as it is now, with its properties. DW_REMOTE_TRASHED. */
	int (*stat)(struct dw_remote *remote, struct dw_remote_call *call, const char *id,
		    const struct dw_remote_items *items);
	/*
	 * The next page of a folder. cursor (DW_REMOTE_CURSOR_MAX + 1 bytes) comes as "" for the first page or as the
	 * last call left it, and leaves as "" when that was the end. Items that exist throughout are listed at least
	 * once. -ENOTDIR, DW_REMOTE_EXPIRED (begin again).
	 */
	int (*list)(struct dw_remote *remote, struct dw_remote_call *call, const char *folder, char *cursor,
		    const struct dw_remote_items *items);
	/*
	 * Bytes [offset, offset + bytes) of the file, clipped to its end, of the very content that content names (NULL:
	 * what is there now). DW_REMOTE_CHANGED: that content cannot be had any more. -EISDIR, -EBADMSG (the bytes do
	 * not fit their digest; checked where the whole file is read).
	 */
	int (*read)(struct dw_remote *remote, struct dw_remote_call *call, const char *id, const char *content,
		    uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink);

	/* --- The whole ------------------------------------------------------------------------------ */

	/* Last call, by one thread; ends what runs and frees remote. */
	void (*close)(struct dw_remote *remote);
	/* NULL: no limit is known. */
	int (*quota)(struct dw_remote *remote, struct dw_remote_call *call, struct dw_remote_quota *out);
	/*
	 * Wait until something changes, at most until the deadline, and tell it; -ETIMEDOUT when nothing did. cursor
	 * (DW_REMOTE_CURSOR_MAX + 1 bytes) comes as "" for "from now on" (answered at once with a cursor and no event)
	 * or as the last call left it. Events may come more than once and late; after an event the cursor is only
	 * advanced when the call returns 0. Changes of one's own are told too. NULL: there is no feed, and the cache
	 * looks again after -o poll seconds. DW_REMOTE_EXPIRED counts as DW_REMOTE_EVENT_LOST.
	 */
	int (*changes)(struct dw_remote *remote, struct dw_remote_call *call, char *cursor,
		       const struct dw_remote_events *events);

	/* --- Changes: NULL for all of them makes the drive read-only ------------------------------------ */
	/* All: -EROFS, -EINVAL (the service refuses the name), -ENAMETOOLONG, -ENOSPC (quota), -EEXIST (the name is
	 * taken, also by one that the service cannot tell from it), -EBUSY (locked by somebody, or a large move is
	 * still going on). etag may be NULL: unconditional. */

	/* Upload in one go; for contents up to dw_remote.upload_max. -EFBIG, DW_REMOTE_CHANGED, -EBADMSG (digest). */
	int (*upload)(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
		      const struct dw_remote_content *content, const struct dw_remote_items *items);
	int (*mkdir)(struct dw_remote *remote, struct dw_remote_call *call, const char *parent, const char *name,
		     const struct dw_remote_items *items);
	/* Rename, move or both, of a file or a whole folder: one step on the service. DW_REMOTE_CHANGED, -ELOOP (into
	 * itself). */
	int (*move)(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		    const char *etag, const char *parent, const char *name, const struct dw_remote_items *items);
	/* A copy on the service, of all that is in a folder. -ELOOP (into itself). NULL: the cache reads and uploads.
	 */
	int (*copy)(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		    const char *parent, const char *name, const struct dw_remote_items *items);
	/* Into the trash where there is one. A folder must be empty unless recursive. -ENOTEMPTY, DW_REMOTE_CHANGED. An
	 * item that is gone already is -ENOENT. */
	int (*remove)(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		      const char *etag, bool recursive);
	/* Set the properties that are named, remove those whose value is NULL, leave the others. NULL: the remote keeps
	 * none, and modes, links and attributes live in the cache only. -E2BIG. */
	int (*set_properties)(struct dw_remote *remote, struct dw_remote_call *call, const char *id,
			      enum dw_remote_type type, const struct dw_remote_property *properties, size_t count);

	/* --- Uploads in parts that survive a restart: all of them or none ----------------------------------- */

	/* Begin. content->bytes is the size of the whole. As upload. */
	int (*session_begin)(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
			     const struct dw_remote_content *content, struct dw_remote_session *out);
	/* Send the part at offset, a multiple of part_bytes. Parts may be sent by several threads, in any order, and
	 * again. DW_REMOTE_EXPIRED. */
	int (*session_part)(struct dw_remote *remote, struct dw_remote_call *call,
			    const struct dw_remote_session *session, const struct dw_remote_content *content,
			    uint64_t offset, struct dw_remote_part *out);
	/* The parts that the service has. DW_REMOTE_EXPIRED. */
	int (*session_parts)(struct dw_remote *remote, struct dw_remote_call *call,
			     const struct dw_remote_session *session, const struct dw_remote_parts *parts);
	/* Make a file of the parts, which are all there, in order; content->digest is set when the remote has a digest.
	 * As upload; DW_REMOTE_EXPIRED. After DW_REMOTE_UNKNOWN it may be called again: a session that was made a file
	 * answers the file. */
	int (*session_commit)(struct dw_remote *remote, struct dw_remote_call *call,
			      const struct dw_remote_session *session, const struct dw_remote_place *place,
			      const struct dw_remote_content *content, const struct dw_remote_part *parts, size_t count,
			      const struct dw_remote_items *items);
	int (*session_abort)(struct dw_remote *remote, struct dw_remote_call *call,
			     const struct dw_remote_session *session);

	/* --- Names ------------------------------------------------------------------------------------------ */

	/* Would the service take this name? 0, -EINVAL, -ENAMETOOLONG. Answers at once, without the network. NULL: any.
	 */
	int (*check_name)(struct dw_remote *remote, const char *name);
};

/* dw_remote.flags */
#define DW_REMOTE_FOLDS_CASE (1u << 0) /* names that differ only by case are one name */
#define DW_REMOTE_READ_ONLY  (1u << 1)
#define DW_REMOTE_VERSIONS   (1u << 2) /* old contents can be read by their content name for as long as they are kept */

/* dw_remote.digest */
#define DW_REMOTE_DIGEST_NONE	0u
#define DW_REMOTE_DIGEST_SHA1	1u
#define DW_REMOTE_DIGEST_SHA256 2u
#define DW_REMOTE_DIGEST_MD5	3u

/* A remote that is open. Its author puts this struct first in one of his own. Nothing here changes while it is open. */
struct dw_remote {
	size_t size;
	const struct dw_remote_ops *ops;
	uint32_t flags;
	uint32_t digest;
	const char *root;	/* id of the folder that is the drive's root */
	const char *account;	/* whose it is: differs for each account and service, stays the same for ever, is
				   known without the network; a cache folder belongs to one. No secret in it */
	uint64_t upload_max;	/* bytes: larger files go by a session; UINT64_MAX: sessions are not needed */
	uint64_t read_parallel; /* how many reads at once pay; 0: the cache's default */
	uint64_t read_range;	/* bytes that one read should be at least; 0: the cache's default */
};

/* What the person said, as dw_source does for a file system. */
struct dw_remote_source {
	size_t size;
	const char *rest;  /* SOURCE behind "PROVIDER:" */
	const char *state; /* folder of this provider's own, private, for logins; shared by all drives of it */
	const struct dw_option *options; /* those that neither host nor cache take; an unknown one is an error */
	size_t option_count;
};

/* How a login goes. The remote asks through these; every text is one line. */
struct dw_remote_login {
	size_t size;
	const char *account; /* "": the default one */
	const char *state;   /* as in dw_remote_source */
	const struct dw_option *options;
	size_t option_count;
	/* Show url to the person, and open it in a browser where there is one. */
	int (*browse)(const struct dw_remote_login *login, const char *url);
	/* Ask for a line; secret: do not show what is typed. *answer is malloc'd, the remote's to free. -ECANCELED. */
	int (*ask)(const struct dw_remote_login *login, const char *question, bool secret, char **answer);
	void (*say)(const struct dw_remote_login *login, const char *line);
	const volatile uint32_t *cancelled; /* may be NULL */
	void *context;
};

/*
 * A remote provider makes remotes of a kind. Built in, or a shared object NAME.so in the plug-in folder that exports
 *     const struct dw_remote_provider driveway_remote = { ... };
 */
struct dw_remote_provider {
	size_t size;
	uint32_t version; /* DW_REMOTE_API_VERSION */
	uint32_t flags;	  /* DW_PROVIDER_PATH: rest is a path on this machine */
	const char *name; /* lower-case letters, digits, '-' */
	const char *summary;
	const char *options; /* "key=what it is\n..."; NULL: none */

	/*
	 * Open source, without the network. Where nobody has logged in yet, -EACCES and a line that says how to; where
	 * the login has lapsed since, calls answer DW_REMOTE_LOGIN until there is a new one, which they take up by
	 * themselves. On failure a negative errno, and one line in
	 * error.
	 */
	int (*open)(const struct dw_remote_provider *provider, const struct dw_remote_source *source,
		    struct dw_remote **out, char *error, size_t error_size);
	/* Log in and store it durably below state. NULL: there is nothing to log in to. -ECANCELED, -EACCES (refused).
	 */
	int (*login)(const struct dw_remote_provider *provider, const struct dw_remote_login *login, char *error,
		     size_t error_size);
};

#define DW_REMOTE_SYMBOL "driveway_remote"

#ifdef __cplusplus
}
#endif

#endif
