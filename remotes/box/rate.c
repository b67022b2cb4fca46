/* SPDX-License-Identifier: MIT */
#include "remotes/box/rate.h"

#include "support/http/retry.h"
#include "support/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define MINUTE 60000000000ull
#define LOOK   20000000ull /* nanoseconds at most between two looks, when somebody else goes first */

/* The times of the last count grants, oldest at next. */
struct window {
	uint64_t *times;
	unsigned count; /* 0: no limit */
	unsigned next;
};

struct box_rate {
	pthread_mutex_t lock; /* guards all below */
	struct window calls;
	struct window uploads;
	uint64_t held_until;
	unsigned waiting; /* calls that somebody waits for */
};

static uint64_t now_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int window_create(struct window *window, unsigned count)
{
	*window = (struct window){.count = count};
	if (count)
		window->times = calloc(count, sizeof(*window->times));
	return count && !window->times ? -ENOMEM : 0;
}

int box_rate_create(struct box_rate **out, unsigned calls, unsigned uploads)
{
	struct box_rate *rate = calloc(1, sizeof(*rate));

	if (!rate)
		return -ENOMEM;
	pthread_mutex_init(&rate->lock, NULL);
	if (window_create(&rate->calls, calls) || window_create(&rate->uploads, uploads)) {
		box_rate_destroy(rate);
		return -ENOMEM;
	}
	*out = rate;
	return 0;
}

void box_rate_destroy(struct box_rate *rate)
{
	if (!rate)
		return;
	pthread_mutex_destroy(&rate->lock);
	free(rate->calls.times);
	free(rate->uploads.times);
	free(rate);
}

/* When the next grant may be given; background leaves a tenth of them. */
static uint64_t window_ready(const struct window *window, bool background)
{
	unsigned spare = background ? window->count / 10 : 0;
	uint64_t oldest = window->count ? window->times[(window->next + spare) % window->count] : 0;

	return oldest ? oldest + MINUTE : 0;
}

static void window_grant(struct window *window, uint64_t now)
{
	if (!window->count)
		return;
	window->times[window->next] = now;
	window->next = (window->next + 1) % window->count;
}

/* 0 and the grant is given, or the time until which it is worth waiting. */
static uint64_t try_take(struct box_rate *rate, bool upload, bool background, uint64_t now)
{
	uint64_t ready = rate->held_until;
	uint64_t calls = window_ready(&rate->calls, background);
	uint64_t uploads = upload ? window_ready(&rate->uploads, background) : 0;

	ready = calls > ready ? calls : ready;
	ready = uploads > ready ? uploads : ready;
	if (ready <= now && background && rate->waiting)
		ready = now + LOOK;
	if (ready > now)
		return ready;
	window_grant(&rate->calls, now);
	if (upload)
		window_grant(&rate->uploads, now);
	return 0;
}

int box_rate_take(struct box_rate *rate, struct dw_remote_call *call, bool upload)
{
	bool counted = false;
	int error = 0;

	for (;;) {
		uint64_t now = now_monotonic();
		uint64_t ready;

		pthread_mutex_lock(&rate->lock);
		ready = try_take(rate, upload, call->background, now);
		if (ready && !counted && !call->background) {
			rate->waiting++;
			counted = true;
		}
		pthread_mutex_unlock(&rate->lock);
		if (!ready)
			break;
		if (call->deadline && ready >= call->deadline) {
			call->retry_after = ready - now;
			text_copy(call->message, sizeof(call->message), "Box limits how often this account may ask");
			error = DW_REMOTE_LATER;
			break;
		}
		error = http_sleep(ready - now, 0, call->cancelled);
		if (error)
			break;
	}
	if (counted) {
		pthread_mutex_lock(&rate->lock);
		rate->waiting--;
		pthread_mutex_unlock(&rate->lock);
	}
	return error;
}

void box_rate_hold(struct box_rate *rate, uint64_t duration)
{
	uint64_t until = now_monotonic() + duration;

	pthread_mutex_lock(&rate->lock);
	rate->held_until = until > rate->held_until ? until : rate->held_until;
	pthread_mutex_unlock(&rate->lock);
}
