/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of support/http share
 *
 * A transfer is one request under way. It lives on the stack of http_perform and has two halves:
 *
 *   - the caller's: request, out. The client's thread reads request (which does not change) and writes out only until
 *     ended is set.
 *   - shared, under client->lock: in, taken, out buffer, the flags. Both sides signal changes: the client's thread by
 *     transfer->moved, the caller by client_wake.
 *
 * States, under client->lock:
 *
 *   queued --thread takes it--> active --curl says done, deadline, flag, callback error--> ended
 *      \________________________________destroy, no memory________________________________/
 *
 * Lock order: client->lock is the only lock. libcurl is called without it, and only by the client's thread (but
 * curl_multi_wakeup, which any thread may call).
 */
#ifndef SUPPORT_HTTP_INTERNAL_H
#define SUPPORT_HTTP_INTERNAL_H

#include "support/http/http.h"

#include <curl/curl.h>
#include <pthread.h>

#define HTTP_LOOK 100000000ull /* nanoseconds between looks at the callers' flags */

/* A ring of HTTP_BUFFER bytes. */
struct ring {
	char *bytes; /* NULL until it is used */
	size_t start;
	size_t count;
};

struct transfer {
	struct http_client *client;
	const struct http_request *request;
	struct http_response *out;
	struct transfer *next; /* in client->queued or ->active; guarded by the lock while queued */

	/* The client's thread's own. */
	CURL *easy;
	struct curl_slist *headers;
	size_t body_room;   /* allocated bytes of out->body */
	size_t body_offset; /* of request->body: sent so far */
	char *before;	    /* of a form: the text before the bytes of source, and behind them; malloc'd */
	char *after;
	size_t before_size, before_sent;
	size_t after_size, after_sent;
	int result;	    /* why it was broken off, negative errno; 0: it was not */
	bool informational; /* the headers that come belong to a status 1xx */
	bool date_done;
	char message[CURL_ERROR_SIZE];

	/* Guarded by client->lock. */
	uint64_t moved_at;    /* when a byte went either way last */
	unsigned starts;      /* how often the request was begun to be sent */
	pthread_cond_t moved; /* something is there for the caller */
	const struct http_source *source;
	struct ring arrived; /* for request->data */
	struct ring sending; /* from source */
	uint64_t fetched;    /* of source: bytes put into sending */
	uint64_t gone;	     /* of source: bytes taken from sending */
	bool head_known;
	bool streaming;	     /* the body goes to request->data */
	bool receive_paused; /* the client's thread waits for room in arrived */
	bool send_paused;    /* the client's thread waits for bytes in sending */
	bool resume;	     /* the caller has made room or put bytes: go on */
	int stop;	     /* negative errno: the caller wants it ended */
	int caller_error;    /* what a callback answered: holds whatever became of the request */
	bool ended;
};

struct http_client {
	CURLM *multi;
	pthread_t thread;
	char *ca_file;
	char *proxy;
	char *agent;
	long connect_timeout;	 /* milliseconds */
	struct transfer *active; /* the client's thread's own */

	pthread_mutex_t lock;
	struct transfer *queued; /* guarded by lock, like what follows */
	pthread_cond_t idle;	 /* no caller is inside any more */
	unsigned callers;
	bool closing;
};

uint64_t http_now(void);

/* setup.c: make, and take down, transfer->easy. -ENOMEM, -EINVAL. */
int transfer_setup(struct transfer *transfer);
void transfer_takedown(struct transfer *transfer);
/* Whether the request can be sent as it is: no control characters, one body at most. -EINVAL. */
int request_check(const struct http_request *request);

/* form.c: transfer->before and after, and the boundary between the fields, which has size bytes of room. -ENOMEM. */
int transfer_make_form(struct transfer *transfer, char *boundary, size_t size);

/* callbacks.c: what libcurl calls, on the client's thread. */
size_t transfer_on_header(char *line, size_t size, size_t count, void *context);
size_t transfer_on_body(char *data, size_t size, size_t count, void *context);
size_t transfer_on_send(char *buffer, size_t size, size_t count, void *context);
int transfer_on_start(void *context, char *to, char *from, int to_port, int from_port);

/* outcome.c: the outcome of a transfer that libcurl has ended with code, into its out. The error for http_perform. */
int transfer_outcome(struct transfer *transfer, CURLcode code);

#endif
