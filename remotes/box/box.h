/* SPDX-License-Identifier: MIT */
/*
 * box.h - an open Box account, and calls to it
 *
 * struct box is the remote. What an operation does is always the same: it fills in a struct box_request, box_send
 * brings an answer or an error of driveway/remote.h, and the answer's JSON is read by item.h.
 *
 * box_send sits out what can be sat out: it waits for its turn (rate.h), renews the token on 401, honours
 * Retry-After, and tries again with growing pauses what may be tried again:
 *
 *      kind             what it is                          broken connection, 500, 502, 504
 *      BOX_READ         changes nothing                     again; at last DW_REMOTE_OFFLINE or -EIO
 *      BOX_REPEATABLE   twice is the same as once           again; at last DW_REMOTE_UNKNOWN or -EIO
 *      BOX_CHANGE       anything else                       DW_REMOTE_UNKNOWN at once: the operation finds out
 *
 *   A failure that comes before the request was sent, 429 and 503 mean that nothing was done: tried again for all
 * kinds. A change that was cut short by its deadline or flag is DW_REMOTE_UNKNOWN too, when it may have arrived.
 *
 * A remote whose login is sealed with a key that cannot be had (the keyring is locked) opens asleep: whose account it
 * is stands beside the seal (seal.h). Every call asks for the key then, DW_REMOTE_LOGIN until there is one, and the
 * first that gets it wakes the remote (box_wake).
 *
 * How an operation finds out after DW_REMOTE_UNKNOWN whether its change was made is written at each (change.c,
 * upload.c, session.c); box_again says whether there is time for another look.
 *
 * Threads: any, for every function. Locks, each for moments and none inside another: box->root_lock, box->feed_lock,
 * and those of tokens, rate and the HTTP client. box->wake_lock is held while the keyring is asked, for some seconds,
 * outside of all others.
 */
#ifndef BOX_BOX_H
#define BOX_BOX_H

#include "remotes/box/item.h"
#include "remotes/box/rate.h"
#include "remotes/box/settings.h"
#include "remotes/box/store.h"
#include "remotes/box/tokens.h"
#include "support/http/http.h"
#include "support/http/retry.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define BOX_HEADERS_MAX 6u
#define BOX_ACCOUNT_MAX 512u
#define BOX_TRASHED                                                                                                    \
	"trashed" /* box_answer.code of an item in the trash; the error is -ENOENT as for one that never was */
#define BOX_CALLBACK_ERROR (-ESTRPIPE) /* a callback of the request has ended it, and knows why */
#define BOX_SEEN	   2048u       /* repeated events are known among so many */
#define BOX_PATIENCE	   30000000000ull /* nanoseconds: when Box asks for a longer pause, it is DW_REMOTE_LATER at once */

struct box {
	struct dw_remote remote;      /* first: the cache's handle is this */
	struct box_settings settings; /* as they were known at opening: asleep, without what is sealed */
	struct box_store store;
	struct box_rate *rate;
	char account[BOX_ACCOUNT_MAX];

	_Atomic bool awake; /* what follows, up to wake_lock, is there and does not change any more */
	struct box_settings whole;
	struct box_tokens *tokens;
	struct http_client *http;
	pthread_mutex_t wake_lock;
	struct dw_option *options; /* a copy, to wake up with; NULL: it was never asleep */
	size_t option_count;

	char root[BOX_NUMBER_MAX + 2]; /* remote.root: "d0", or made up (root.h) */
	char *root_path;	       /* "Projects/X"; NULL: the account's own root */
	pthread_mutex_t root_lock;
	char root_real[BOX_NUMBER_MAX + 2]; /* "d123", once it is known; guarded by root_lock */

	pthread_mutex_t feed_lock;		    /* guards what follows */
	char feed_cursor[DW_REMOTE_CURSOR_MAX + 1]; /* the last one handed out */
	uint64_t seen[BOX_SEEN];		    /* hashes of the events told, oldest at seen_next */
	unsigned seen_next;
};

enum box_kind { BOX_READ, BOX_REPEATABLE, BOX_CHANGE };

enum box_base {
	BOX_API,    /* path is below api-url */
	BOX_UPLOAD, /* below upload-url */
	BOX_URL,    /* path is an URL that Box named, which gets the token */
	BOX_OTHER,  /* the same, without the token */
};

struct box_request {
	const char *method;
	enum box_base base;
	enum box_kind kind;
	const char *path;
	const char *etag; /* If-Match; NULL: none */
	struct http_header headers[BOX_HEADERS_MAX];
	size_t header_count;

	const json_t *json;    /* the body: one of these, or none */
	const char *json_type; /* NULL: application/json */
	const struct http_source *source;
	const struct http_field *fields;
	size_t field_count;

	int (*head)(void *context, const struct http_response *response);
	int (*data)(void *context, const void *data, size_t size);
	void (*sent)(void *context, uint64_t sent);
	void *context;

	bool upload;	 /* counts as one */
	bool busy;	 /* 503 is for the caller: the change goes on at Box */
	bool accepted;	 /* 202 is for the caller, who asks again; for others it is as if nobody knew */
	bool single;	 /* one try; the caller has its own loop */
	uint64_t stall;	 /* nanoseconds; 0: the usual */
	uint64_t within; /* nanoseconds that this may take although the deadline is further away; 0: no limit */
};

struct box_answer {
	unsigned status; /* 0: there is none */
	json_t *json;	 /* NULL: there is none */
	char code[64];	 /* of an error, as Box calls it; "" */
	uint64_t retry_after;
	char *location; /* malloc'd; NULL */
	char *headers;	/* as in struct http_response, for box_answer_header */
	size_t headers_size;
};

/* The answer of a status below 400 is 0, everything else an error. box_answer_free in every case. */
int box_send(struct box *box, struct dw_remote_call *call, const struct box_request *request,
	     struct box_answer *answer);
void box_answer_free(struct box_answer *answer);
/* provider.c: have a login to send with. DW_REMOTE_LOGIN: it is sealed, and there is no key. */
int box_wake(struct box *box, struct dw_remote_call *call);
/* malloc'd path; NULL: no memory. */
char *box_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* call->message. */
void box_say(struct dw_remote_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A backoff for an operation that asks again after DW_REMOTE_UNKNOWN or 202. */
struct http_backoff box_backoff(const struct box *box, const struct dw_remote_call *call);
/* After error: is it worth asking once more? Pauses. Only DW_REMOTE_UNKNOWN is, a few times, within the deadline. */
bool box_again(struct http_backoff *backoff, int error);
bool box_is_cancelled(const struct dw_remote_call *call);

/* errors.c: the error for a status of 400 and more, and the line that goes with it. */
int box_error(struct dw_remote_call *call, unsigned status, const char *code, const json_t *json);
/* The line for a request that got no answer for error. */
void box_say_unreachable(struct dw_remote_call *call, int error, const struct http_response *response);
/* The id of the item that is in the way of a 409; false: it does not say. */
bool box_conflict(const json_t *json, char out[BOX_NUMBER_MAX + 2]);

/* root.c: Box's own number for an id of ours, of the type wanted. -ENOENT: it is no such id (also of another type), or
 * what getting to know the root may give. */
int box_resolve(struct box *box, struct dw_remote_call *call, const char *id, char real[BOX_NUMBER_MAX + 2]);
void box_alias(struct box *box, struct box_alias *alias, char real[BOX_NUMBER_MAX + 2]);
/* The root was not found: it is looked for again the next time. */
void box_forget_root(struct box *box, const char *id);

/* items.c */
/* Get the item as it is now. answer holds its texts: box_answer_free. */
int box_get_item(struct box *box, struct dw_remote_call *call, const char *real, const char *fields,
		 struct box_answer *answer, struct box_item *out);
/* Read the item out of an answer, or of its "entries". -EPROTO. */
int box_answer_item(struct box *box, struct dw_remote_call *call, const struct box_answer *answer,
		    struct box_item *out);
/* Find name in the folder real by asking whether it is free. -ENOENT: it is. */
int box_find(struct box *box, struct dw_remote_call *call, const char *folder, const char *name, uint64_t bytes,
	     char out[BOX_NUMBER_MAX + 2]);

/* The operations: driveway/remote.h. */
int box_stat(struct dw_remote *remote, struct dw_remote_call *call, const char *id,
	     const struct dw_remote_items *items);
int box_list(struct dw_remote *remote, struct dw_remote_call *call, const char *folder, char *cursor,
	     const struct dw_remote_items *items);
int box_read(struct dw_remote *remote, struct dw_remote_call *call, const char *id, const char *content,
	     uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink);
int box_quota(struct dw_remote *remote, struct dw_remote_call *call, struct dw_remote_quota *out);
int box_changes(struct dw_remote *remote, struct dw_remote_call *call, char *cursor,
		const struct dw_remote_events *events);
int box_upload(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
	       const struct dw_remote_content *content, const struct dw_remote_items *items);
int box_mkdir(struct dw_remote *remote, struct dw_remote_call *call, const char *parent, const char *name,
	      const struct dw_remote_items *items);
int box_move(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
	     const char *etag, const char *parent, const char *name, const struct dw_remote_items *items);
int box_copy(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
	     const char *parent, const char *name, const struct dw_remote_items *items);
int box_remove(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
	       const char *etag, bool recursive);
int box_set_properties(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		       const struct dw_remote_property *properties, size_t count);
int box_session_begin(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
		      const struct dw_remote_content *content, struct dw_remote_session *out);
int box_session_part(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session,
		     const struct dw_remote_content *content, uint64_t offset, struct dw_remote_part *out);
int box_session_parts(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session,
		      const struct dw_remote_parts *parts);
int box_session_commit(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session,
		       const struct dw_remote_place *place, const struct dw_remote_content *content,
		       const struct dw_remote_part *parts, size_t count, const struct dw_remote_items *items);
int box_session_abort(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session);
int box_check_name(struct dw_remote *remote, const char *name);

#endif
