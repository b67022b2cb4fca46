/* SPDX-License-Identifier: MIT */
/*
 * body.h - an answer on its way out
 *
 * Without faults and without a bandwidth a file goes out by sendfile and a text from memory. Otherwise the body is
 * pulled piece by piece through what is to go wrong with it.
 */
#ifndef BOX_BODY_H
#define BOX_BODY_H

#include "emulators/box/request.h"

/* The libmicrohttpd response of request->answer, whose body it takes over; NULL when memory ran out. */
struct MHD_Response *body_response(struct request *request);
/* Break the connection off so that the client sees a reset. */
void body_reset(struct MHD_Connection *connection);

#endif
