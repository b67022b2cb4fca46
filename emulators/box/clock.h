/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the emulated server's time, and how Box writes times
 *
 * The server's clock is the machine's plus an offset that a test may grow, so that tokens and upload sessions expire
 * without waiting. Box writes times with whole seconds and the offset of the Pacific coast, and reads any RFC 3339.
 *
 * Threads: any.
 */
#ifndef BOX_CLOCK_H
#define BOX_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CLOCK_TEXT 32

struct clock {
	_Atomic int64_t offset; /* seconds ahead of the machine */
};

/* Seconds since 1970 by the server's clock. */
int64_t clock_now(struct clock *clock);
void clock_advance(struct clock *clock, int64_t seconds);

/* "2012-12-12T10:53:43-08:00" */
void clock_format(char out[CLOCK_TEXT], int64_t time);
/* "Wed, 12 Dec 2012 18:53:43 GMT", for a Date header. */
void clock_format_http(char out[CLOCK_TEXT], int64_t time);
/* RFC 3339 with or without a fraction, which is cut off; false when it is something else. */
bool clock_parse(const char *text, int64_t *time);

/* Nanoseconds of a clock that never jumps. */
int64_t clock_monotonic(void);

#endif
