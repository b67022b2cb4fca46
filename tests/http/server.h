/* SPDX-License-Identifier: MIT */
/*
 * server.h - a web server that misbehaves on demand
 *
 * It listens on a free port of 127.0.0.1 and serves each connection by a thread of its own, as long as the client keeps
 * it. The path says what to do:
 *
 *    /text            200, "hello", and two headers "X-Two"
 *    /echo            200, the body that was sent
 *    /head            200, the request's head as the body
 *    /bytes/N         200, N bytes, byte i being i % 251
 *    /chunked/N       the same in chunks
 *    /status/N        that status, with the body "status"
 *    /redirect        302 to /text
 *    /reset           the request is read, then the connection is reset
 *    /refuse          413 and a reset, while the body is still coming
 *    /half/N          200 with Content-Length N, but only half of the bytes
 *    /stall           a head, ten bytes, and then nothing
 *    /silent          nothing at all
 *    /once            200; the connection is closed as soon as another request comes over it, without an answer
 *    /headers/N       200 with N bytes of headers
 *    /nonsense        an answer that is none
 *    /continue        100, then 200 "hello"
 *
 * Threads: any, for the counters.
 */
#ifndef TESTS_HTTP_SERVER_H
#define TESTS_HTTP_SERVER_H

#include <stdint.h>

struct server;

/* NULL: it cannot be started. */
struct server *server_start(void);
void server_stop(struct server *server);
unsigned server_port(const struct server *server);
/* Connections accepted and requests read so far. */
unsigned server_connections(struct server *server);
unsigned server_requests(struct server *server);

#endif
