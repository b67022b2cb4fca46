/* SPDX-License-Identifier: MIT */
/*
 * route.h - which call a request is
 *
 * Threads: any.
 */
#ifndef BOX_ROUTE_H
#define BOX_ROUTE_H

#include "emulators/box/request.h"

/*
 * The route of request->method and request->path, with the path's arguments in the request. NULL: there is none; *known
 * says whether the path has routes for other methods.
 */
const struct route *route_find(struct request *request, bool *known);

#endif
