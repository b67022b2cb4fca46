/* SPDX-License-Identifier: MIT */
/*
 * rate.h - not asking Box too often
 *
 * Box allows a user so many calls and so many uploads a minute. Of each the times of the last N grants are kept: a call
 * may go when the N-th last one is a minute old, so no minute has more than N, wherever it begins. A tenth is kept back
 * for calls that somebody waits for, and while such a call waits none in the background goes first. When Box itself
 * says 429, everybody of this account waits until the time that it names (rate_hold).
 *
 * Threads: any. One lock, held for moments.
 */
#ifndef BOX_RATE_H
#define BOX_RATE_H

#include <driveway/remote.h>

struct box_rate;

/* calls, uploads: a minute; 0: no limit. -ENOMEM. */
int box_rate_create(struct box_rate **out, unsigned calls, unsigned uploads);
void box_rate_destroy(struct box_rate *rate);
/*
 * Wait for the turn of one call. DW_REMOTE_LATER with call->retry_after, when it would not come before the deadline;
 * -ECANCELED.
 */
int box_rate_take(struct box_rate *rate, struct dw_remote_call *call, bool upload);
/* Box has asked for duration nanoseconds of rest. */
void box_rate_hold(struct box_rate *rate, uint64_t duration);

#endif
