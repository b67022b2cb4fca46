/* SPDX-License-Identifier: MIT */
/*
 * upload.h - bytes that come in: whole files, and upload sessions with their parts
 *
 * The server feeds a request's body through upload_take while it arrives, so that nothing large is held in memory; the
 * handlers run when it is complete.
 */
#ifndef BOX_UPLOAD_H
#define BOX_UPLOAD_H

#include "emulators/box/request.h"

/* Make ready for a body of the route's kind. -EINVAL, -ENOMEM and errors of the file system, also below. */
int upload_begin(struct request *request);
/* The next bytes of it. What went wrong stays in request->body_error; the rest of the body is then skipped. */
void upload_take(struct request *request, const char *data, size_t size);
/* Give back what upload_begin took. */
void upload_end(struct request *request);

/* Calls (upload.c). */
void upload_preflight(struct request *request);
void upload_file(struct request *request);
void upload_version(struct request *request);

/* Calls (sessions.c). */
void sessions_create(struct request *request);
void sessions_get(struct request *request);
void sessions_abort(struct request *request);
void sessions_put_part(struct request *request);
void sessions_parts(struct request *request);
void sessions_commit(struct request *request);

#endif
