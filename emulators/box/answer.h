/* SPDX-License-Identifier: MIT */
/*
 * answer.h - what a handler leaves to be sent
 *
 * Each function sets request->answer anew. Memory that runs out makes the answer a 500. Errors have Box's body.
 */
#ifndef BOX_ANSWER_H
#define BOX_ANSWER_H

#include "emulators/box/request.h"

/* body is taken over; NULL means that memory ran out. */
void answer_json(struct request *request, unsigned int status, json_t *body);
/* A body that is JSON already; it is copied. */
void answer_text(struct request *request, unsigned int status, const char *type, const char *text);
void answer_empty(struct request *request, unsigned int status);
/* Bytes of a descriptor, which is taken over. */
void answer_file(struct request *request, unsigned int status, int fd, uint64_t offset, uint64_t length,
		 const char *type);
void answer_header(struct request *request, const char *name, const char *value);

/* A Box error: code NULL is the common one of the status. */
void answer_error(struct request *request, unsigned int status, const char *code, const char *message);
/* The same with a reason in context_info.errors. */
void answer_invalid(struct request *request, unsigned int status, const char *code, const char *name,
		    const char *reason, const char *message);
/* The same with a context_info of the caller's, which is taken over. */
void answer_error_context(struct request *request, unsigned int status, const char *code, const char *message,
			  json_t *context);
/* An OAuth error: {"error", "error_description"}. */
void answer_oauth_error(struct request *request, unsigned int status, const char *error, const char *description);

void answer_clear(struct answer *answer);

#endif
