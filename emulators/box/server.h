/* SPDX-License-Identifier: MIT */
/*
 * server.h - the listening sockets and a request's way through the service
 *
 *    headers in -> route, faults chosen -> body in -> latency, drop, stall -> status, 202, expired token?
 *               -> token, rate limit -> handler (in a transaction) -> reset? -> answer out, through the faults of
 * bodies
 *
 * libmicrohttpd runs one thread a connection, so whatever a request waits for, it holds up no other.
 */
#ifndef BOX_SERVER_H
#define BOX_SERVER_H

#include "emulators/box/emulator.h"

struct server;

/*
 * Listen at host:port (0: any free one) and, when certificate and key (PEM) are given, speak TLS. control: serve the
 * control interface instead of Box. -EADDRINUSE and others of bind, -ENOMEM, -EIO.
 */
int server_start(struct server **out, struct emulator *emulator, const char *host, int port, const char *certificate,
		 const char *key, bool control);
int server_port(const struct server *server);
/* Close the connections; emulator->stopping is set and the waiters were woken before. */
void server_stop(struct server *server);

#endif
