/* SPDX-License-Identifier: MIT */
/*
 * jsonrpc.h - JSON-RPC 2.0, one message a line
 *
 * What the control endpoint speaks: a request is one JSON object on one line, ended by a newline, and so is
 * its answer. Batches (arrays) are not taken; docs/control.md documents the methods. The same code serves
 * both sides: the service parses requests and builds answers, the tool builds requests and parses answers.
 *
 * Errors of the protocol carry the codes that JSON-RPC reserves. Errors of Driveway carry the code
 * JSONRPC_FAULT, a message that is one line fit for a person, and data: {"errno": number, "name": "EBUSY"}.
 *
 * Ownership: json_t values follow jansson's reference counts; "steals" says that a function takes over the
 * caller's reference. Texts that are returned are the caller's to free. Threads: no state; any thread.
 */
#ifndef SUPPORT_JSONRPC_H
#define SUPPORT_JSONRPC_H

#include <jansson.h>
#include <stddef.h>

#define JSONRPC_LINE_MAX 65536 /* longest request or answer, bytes, with its newline */

#define JSONRPC_PARSE_ERROR	 (-32700)
#define JSONRPC_INVALID_REQUEST	 (-32600)
#define JSONRPC_METHOD_NOT_FOUND (-32601)
#define JSONRPC_INVALID_PARAMS	 (-32602)
#define JSONRPC_INTERNAL_ERROR	 (-32603)
#define JSONRPC_FAULT		 (-32000)

#define JSONRPC_MESSAGE_MAX 1024

/* What went wrong with a call. */
struct jsonrpc_error {
	int code;			   /* JSONRPC_*; 0: nothing went wrong */
	int error;			   /* with JSONRPC_FAULT: a negative errno */
	char message[JSONRPC_MESSAGE_MAX]; /* one line */
};

struct jsonrpc_request {
	json_t *root;	    /* the whole message; the others lie inside it */
	const char *method; /* NULL when the message was not even a request */
	json_t *params;	    /* an object, never NULL after success */
	json_t *id;	    /* NULL: a notification, which is not answered */
};

/*
 * Parse line (length bytes, with or without the newline). 0, or a JSONRPC_* code with error filled in; request is to
 * be cleared in both cases, and its id is right in both cases (null when it could not be read).
 */
int jsonrpc_parse_request(struct jsonrpc_request *request, const char *line, size_t length,
			  struct jsonrpc_error *error);
void jsonrpc_request_clear(struct jsonrpc_request *request);

/* Fill in error: a fault of Driveway's with negative errno error_number, or a code of the protocol's. */
void jsonrpc_fault(struct jsonrpc_error *error, int error_number, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void jsonrpc_refuse(struct jsonrpc_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * One line with its newline, NULL when there is no memory. id may be NULL (then null is sent). Steals result and
 * params; both may be NULL.
 */
char *jsonrpc_write_result(json_t *id, json_t *result);
char *jsonrpc_write_error(json_t *id, const struct jsonrpc_error *error);
char *jsonrpc_write_request(const char *method, json_t *params, int id);

/*
 * Parse an answer to the request with number id. 0 and *result (a new reference), or a JSONRPC_* code with error
 * filled in from the answer; JSONRPC_INTERNAL_ERROR when it is no answer to that request.
 */
int jsonrpc_parse_answer(json_t **result, const char *line, size_t length, int id, struct jsonrpc_error *error);

#endif
