/* SPDX-License-Identifier: MIT */
/*
 * http.h - HTTP requests as blocking calls
 *
 * A client keeps the connections to a few servers and makes requests over them: http_perform blocks until the answer
 * is there, or the deadline has passed, or the caller's flag says to give up. What does the work underneath is not
 * visible here, so that another library can take its place on another system.
 *
 *      http_perform (any thread)                    the client's own thread
 *        | adds its request, wakes the thread  ------> drives every connection, never blocks on anything else
 *        | takes bytes from a bounded buffer   <------ puts what arrives there, stops reading while it is full
 *        | fills a bounded buffer              ------> sends from there, stops sending while it is empty
 *        | gets the outcome                    <------ request ended
 *
 *   All callbacks of a request run on the thread that called http_perform, so a slow disk behind one of them slows down
 *   that request only, and no more than HTTP_BUFFER bytes in each direction wait for it.
 *
 * What it promises
 *   - Certificates are always verified, with the system's authorities or those of ca_file. TLS 1.2 at least.
 *   - Redirects are not followed: the answer's Location is for the caller, who knows what may be told to whom.
 *   - A request is sent once. Where a connection that was kept turns out to be closed, it is only sent again when the
 *     server cannot have seen it or when the request says that it may be repeated.
 *   - Connections are kept and shared, with HTTP/2 several requests share one.
 *   - Names and values with control characters in them are refused (-EINVAL) before anything is sent.
 *   - An answer that is kept in memory is bounded, as its headers are.
 *
 * Errors of http_perform
 *   0: there is an answer, whatever its status. Otherwise out->outcome says whether the server may have seen the
 *   request, and the error is
 *   - -ECONNREFUSED: no connection came about (name, network, proxy, refused)
 *   - -ENOTCONN: TLS: the certificate is not valid for this server, or the handshake failed
 *   - -ECONNRESET: the connection broke, or the answer ended early or was nonsense on the level of HTTP
 *   - -ETIME: nothing moved for http_request.stall
 *   - -ETIMEDOUT: the deadline has passed; -ECANCELED: *cancelled was seen set (within about 0.1 s)
 *   - -EFBIG: the answer is larger than body_max
 *   - -EINVAL: the request is none; -ENOMEM
 *   - what a callback returned
 *
 * Threads: every function but create and destroy may be called from any thread. No lock is held during a callback.
 */
#ifndef SUPPORT_HTTP_H
#define SUPPORT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BUFFER	 (256u << 10) /* bytes between the network and a callback */
#define HTTP_HEADERS_MAX (64u << 10)  /* bytes of the headers of one answer */
#define HTTP_FIELDS_MAX	 16u	      /* of a form, and headers of a request */

struct http_client;

struct http_options {
	const char *ca_file;	   /* PEM; NULL: the system's authorities */
	const char *proxy;	   /* URL; "": none; NULL: what the environment says (HTTPS_PROXY, NO_PROXY, ...) */
	const char *agent;	   /* what User-Agent says; NULL: nothing */
	uint64_t connect_timeout;  /* nanoseconds; 0: 15 s */
	unsigned host_connections; /* at most, to one server; 0: 16 */
};

struct http_header {
	const char *name;
	const char *value;
};

/* Bytes to send. read fills buffer with size bytes from offset; 0 or a negative errno. */
struct http_source {
	int (*read)(void *context, void *buffer, size_t size, uint64_t offset);
	void *context;
	uint64_t bytes;
};

/* A field of multipart/form-data: text, or a file whose bytes come from source. At most one has a source. */
struct http_field {
	const char *name;
	const char *text;
	const char *filename; /* NULL: none */
	const char *type;     /* NULL: none */
	const struct http_source *source;
};

enum http_outcome {
	HTTP_NOT_SENT, /* the server has seen nothing of it */
	HTTP_MAYBE,    /* it was sent, at least in part: the server may have done it */
	HTTP_ANSWERED, /* there is a status */
};

/* Filled in by http_perform in every case; http_response_free afterwards. */
struct http_response {
	enum http_outcome outcome;
	unsigned status;
	char *headers; /* "name: value\0name: value\0\0", for http_response_header */
	size_t headers_size;
	char *body; /* with a NUL behind it; NULL where it went to http_request.data */
	size_t body_size;
	int64_t date;	 /* the server's clock as it said it, seconds since 1970; 0: it did not */
	char error[160]; /* on an error: one line */
};

struct http_request {
	const char *method; /* capital letters */
	const char *url;    /* http: or https: */
	const struct http_header *headers;
	size_t header_count;

	/* The body: one of these, or none. */
	const void *body;
	size_t body_size;
	const struct http_source *source;
	const struct http_field *fields;
	size_t field_count;

	/*
	 * The answer. head, when set, is called once when status and headers are known, before data; not for the
	 * statuses 1xx. data, when set, takes the body of an answer with status 200 or 206 as it comes; every other
	 * body is kept in out->body, at most body_max bytes. sent tells how much of source, or of the field's, has been
	 * taken to be sent. 0, or a negative errno that ends the request.
	 */
	int (*head)(void *context, const struct http_response *response);
	int (*data)(void *context, const void *data, size_t size);
	void (*sent)(void *context, uint64_t sent);
	void *context;
	size_t body_max; /* 0: 1 MiB */

	bool repeatable;		    /* asking twice does no harm */
	uint64_t deadline;		    /* CLOCK_MONOTONIC in nanoseconds; 0: none */
	const volatile uint32_t *cancelled; /* may be NULL */
	uint64_t stall;			    /* nanoseconds without a byte in either direction; 0: no limit */
};

/* options may be NULL. -ENOMEM, -EAGAIN (no thread), -EIO (the library cannot start). */
int http_client_create(struct http_client **out, const struct http_options *options);
/* Requests that are still under way end with -ECANCELED; the call waits until the last of them has returned. */
void http_client_destroy(struct http_client *client);

int http_perform(struct http_client *client, const struct http_request *request, struct http_response *out);

/* The value of a header, case being ignored; the last one where there are several; NULL: there is none. */
const char *http_response_header(const struct http_response *response, const char *name);
void http_response_free(struct http_response *response);

#endif
