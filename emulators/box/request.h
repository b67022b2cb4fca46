/* SPDX-License-Identifier: MIT */
/*
 * request.h - one request, from its first line to its answer
 *
 * The server (server.c) makes it, finds its route, takes in its body as the route wants it, asks the faults what is to
 * go wrong, finds the user by the token and calls the route's handler. The handler leaves an answer (answer.h) in it.
 *
 * A request belongs to the thread of its connection.
 */
#ifndef BOX_REQUEST_H
#define BOX_REQUEST_H

#include "emulators/box/content.h"
#include "emulators/box/emulator.h"

#include <jansson.h>
#include <microhttpd.h>

#define REQUEST_ARGUMENTS 3
#define REQUEST_TEXT	  256 /* the longest argument in a path */
#define REQUEST_BODY_MAX  (16u << 20)
#define REQUEST_HEADERS	  8

struct request;
struct multipart;

typedef void (*request_handler)(struct request *request);

enum route_body {
	BODY_COLLECT,	/* request->body */
	BODY_MULTIPART, /* request->attributes and request->writer */
	BODY_PART,	/* request->writer */
};

/* How the handler is called. */
enum route_lock {
	LOCK_NONE,  /* it takes the store's lock itself */
	LOCK_READ,  /* with the store's lock */
	LOCK_WRITE, /* in a transaction, which is undone when the answer is an error */
};

struct route {
	const char *kind; /* the call's name for counters and faults */
	const char *method;
	const char *path; /* ":" stands for one argument */
	request_handler handler;
	enum route_lock lock;
	enum route_body body;
	bool upload; /* lives on the upload host: below /api/2.0 only */
	bool open;   /* needs no token */
};

struct user {
	int64_t id;
	int64_t root; /* key of the root folder */
	int64_t quota, used, upload_limit;
	char login[128], name[128];
};

struct answer {
	unsigned int status;
	char *text; /* the body, or NULL */
	size_t size;
	const char *type;  /* Content-Type */
	const char *error; /* the code when it is an error */
	int fd;		   /* a body that comes from a file, or -1 */
	uint64_t offset, length;
	int headers;
	struct answer_header {
		char name[40];
		char *value;
	} header[REQUEST_HEADERS];
};

struct request {
	struct emulator *emulator;
	struct MHD_Connection *connection;
	const struct route *route;
	char method[16];
	char *path; /* as it came */
	char arguments[REQUEST_ARGUMENTS][REQUEST_TEXT];
	bool secure; /* over TLS */
	char id[20]; /* request_id */

	struct user user;
	int64_t actor; /* the user by whom the change is made: user.id, but for the control interface */

	char *body; /* NUL-terminated */
	size_t body_size;
	struct multipart *multipart;
	char *attributes; /* the JSON before the file, or NULL */
	bool file_first;  /* the file came before it */
	bool file_seen;
	bool writing; /* writer is in use */
	struct content_writer writer;
	int body_error;	      /* what went wrong while the body came in */
	uint64_t upload_size; /* bytes that came in */

	struct fault_effect effect;
	struct answer answer;
};

const char *request_header(struct request *request, const char *name);
const char *request_query(struct request *request, const char *name);
/* A number in the query, within bounds; otherwise when it is missing; -1 when it is not a number. */
int64_t request_query_number(struct request *request, const char *name, int64_t otherwise, int64_t most);
bool request_query_true(struct request *request, const char *name);
/* The body as a JSON object, or NULL with the answer 400 set. To be released. */
json_t *request_json(struct request *request);
/* The base URL of the API, of uploads and of downloads as this client reaches them. False without a Host. */
enum request_host {
	HOST_API,
	HOST_UPLOAD,
	HOST_DOWNLOAD,
};
bool request_base(struct request *request, enum request_host host, char *out, size_t size);

#endif
