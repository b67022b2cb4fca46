/* SPDX-License-Identifier: MIT */
/*
 * loopback.h - where the browser comes back to
 *
 * A web server for one question, on 127.0.0.1 only: GET /callback?code=...&state=... Whatever else is asked (an icon,
 * another path, another state) is answered with 404 or 400 and waiting goes on, so that no page in the browser can end
 * or take over a login. Requests are read up to 8 KiB and 5 seconds, one after another.
 *
 * Threads: one.
 */
#ifndef BOX_LOOPBACK_H
#define BOX_LOOPBACK_H

#include <stddef.h>
#include <stdint.h>

struct box_loopback {
	int fd;
	unsigned port;
};

/* port 0: any that is free. -EADDRINUSE and others of the system. */
int box_loopback_open(struct box_loopback *out, unsigned port);
void box_loopback_close(struct box_loopback *loopback);
/*
 * Wait for the answer that carries state. *code: malloc'd. -ECANCELED (*cancelled, may be NULL), -EACCES (the person or
 * Box said no: message), -ETIMEDOUT (deadline, CLOCK_MONOTONIC in nanoseconds), -EIO, -ENOMEM.
 */
int box_loopback_wait(const struct box_loopback *loopback, const char *state, const volatile uint32_t *cancelled,
		      uint64_t deadline, char **code, char *message, size_t message_size);

/*
 * Take code and state out of an address, or of its query. *code: malloc'd. 0; -EACCES: it says error=... (message);
 * -EINVAL: there is no code in it, or state does not fit.
 */
int box_loopback_parse(const char *address, const char *state, char **code, char *message, size_t message_size);

#endif
