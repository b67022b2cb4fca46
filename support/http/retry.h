/* SPDX-License-Identifier: MIT */
/*
 * retry.h - when to ask again, and the texts of HTTP that several callers need
 *
 * A struct http_backoff belongs to one operation. After each failure http_backoff_wait pauses for a random time
 * between nothing and first * 2^n, at most most (full jitter: many clients that failed together do not come back
 * together), or for as long as the server asked and a little more. It does not pause at all when the deadline would
 * pass meanwhile, so that the caller can say at once what is wrong.
 *
 * Threads: all functions may be called from any thread; a backoff by one at a time.
 */
#ifndef SUPPORT_HTTP_RETRY_H
#define SUPPORT_HTTP_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_backoff {
	uint64_t first;			    /* nanoseconds */
	uint64_t most;			    /* of one pause */
	uint64_t deadline;		    /* CLOCK_MONOTONIC; 0: none */
	const volatile uint32_t *cancelled; /* may be NULL */
	unsigned attempts;		    /* failures so far; starts as 0 */
};

/*
 * Pause. asked: what the server asked for, in nanoseconds; 0: nothing. 0: try again. -ETIMEDOUT: at once, when the
 * pause would end behind the deadline. -ECANCELED.
 */
int http_backoff_wait(struct http_backoff *backoff, uint64_t asked);

/* Sleep, at most until deadline (0: none). 0, -ETIMEDOUT (the deadline has passed), -ECANCELED (within 50 ms). */
int http_sleep(uint64_t duration, uint64_t deadline, const volatile uint32_t *cancelled);

/* A date as HTTP writes it, "Sun, 06 Nov 1994 08:49:37 GMT", as seconds since 1970. -EINVAL. */
int http_parse_date(const char *text, int64_t *out);
/*
 * What Retry-After says, seconds or a date, as nanoseconds from now; at most a day. now: the server's clock in seconds
 * since 1970. -EINVAL; text may be NULL.
 */
int http_parse_retry_after(const char *text, int64_t now, uint64_t *out);
/* "bytes 5-9/20" of Content-Range: 5, 9 and 20; total is UINT64_MAX for "*". -EINVAL. */
int http_parse_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *total);

/* text with all but letters, digits and "-._~" as %XX, for a query or a form. malloc'd; NULL: no memory. */
char *http_escape(const char *text);
/* The way back; '+' counts as a space. Text ends at size bytes. malloc'd; NULL: no memory, or a NUL is in it. */
char *http_unescape(const char *text, size_t size);

#endif
