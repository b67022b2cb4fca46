/* SPDX-License-Identifier: MIT */
/*
 * calls.h - how often each call was made, and which; and the limits a minute
 *
 * calls: counters by kind of call, and, while recording, a list of every call with its method, path, status and bytes.
 * rates: the calls and uploads of each user within the minute.
 *
 * Threads: any.
 */
#ifndef BOX_CALLS_H
#define BOX_CALLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct calls;
struct rates;

struct calls *calls_new(void);
void calls_free(struct calls *calls);
/* A call has been answered. kind NULL: no call of the API. */
void calls_count(struct calls *calls, const char *kind, const char *method, const char *path, unsigned int status,
		 uint64_t received, uint64_t sent);
/* {"total": N, "calls": {kind: N}, "bytes_received": N, "bytes_sent": N} */
json_t *calls_report(struct calls *calls);
void calls_reset(struct calls *calls);
/* Start (with an empty list) or end recording. */
void calls_record(struct calls *calls, bool on);
json_t *calls_recorded(struct calls *calls);

struct rates *rates_new(void);
void rates_free(struct rates *rates);
/* Count a call at a time in seconds. 0, or the seconds to wait because the limit of the minute is reached. */
int rates_take(struct rates *rates, int64_t user, bool upload, int64_t now, int64_t limit);

#endif
