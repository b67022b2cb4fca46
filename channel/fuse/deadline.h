/* SPDX-License-Identifier: MIT */
/* deadline.h - waiting until a moment: what pthread_cond_timedwait with a monotonic condition wants */
#ifndef CHANNEL_FUSE_DEADLINE_H
#define CHANNEL_FUSE_DEADLINE_H

#include <stdint.h>
#include <time.h>

/* The moment in so many milliseconds, on the monotonic clock. */
static inline struct timespec deadline_in(int milliseconds)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += milliseconds / 1000;
	at.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* Milliseconds until then, 0 when it is past. */
static inline int milliseconds_until(const struct timespec *at)
{
	struct timespec now;
	int64_t left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (int64_t)(at->tv_sec - now.tv_sec) * 1000 + (at->tv_nsec - now.tv_nsec) / 1000000;
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

#endif
