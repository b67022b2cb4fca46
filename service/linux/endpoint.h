/* SPDX-License-Identifier: MIT */
/*
 * endpoint.h - the control socket
 *
 * A Unix socket in the runtime folder; the keeper holds it, so connections wait while the service is replaced.
 * Only the user who runs the service is heard (SO_PEERCRED): another gets one error and is closed. Each
 * connection has its own thread, at most ENDPOINT_CONNECTIONS at a time, so no client holds up another; one that sends
 * or takes nothing for ENDPOINT_SECONDS, or sends a line longer than JSONRPC_LINE_MAX, is closed.
 */
#ifndef SERVICE_LINUX_ENDPOINT_H
#define SERVICE_LINUX_ENDPOINT_H

#include "service/linux/service.h"

#define ENDPOINT_CONNECTIONS 32
#define ENDPOINT_SECONDS     10

/* What carries out a line: control_handle, or a test's own. */
typedef char *(*endpoint_handler)(struct service *service, const char *line, size_t length);

struct endpoint;

/* listener: a listening socket, which stays the caller's. -ENOMEM. */
int endpoint_create(struct endpoint **out, struct service *service, int listener, endpoint_handler handler);
/* Take the connections that wait, without blocking. One thread. */
void endpoint_accept(struct endpoint *endpoint);
/*
 * Wait up to so many milliseconds until no request is being carried out. The endpoint itself is never freed: threads of
 * idle connections use it until the process ends.
 */
void endpoint_drain(struct endpoint *endpoint, int milliseconds);

#endif
