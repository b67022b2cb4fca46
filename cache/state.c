/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cache/cache.h"
#include "cache/feed.h"
#include "cache/pins.h"
#include "cache/sync.h"
#include "support/text.h"

#define SECOND UINT64_C(1000000000)

int64_t cache_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * (int64_t)SECOND + now.tv_nsec;
}

uint64_t cache_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

void cache_log(struct cache *cache, int level, const char *format, ...)
{
	char line[1024], shown[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	text_printable(shown, sizeof(shown), line);
	cache->host->log(cache->host, level, shown);
}

void cache_call(struct cache *cache, struct dw_remote_call *call, const volatile uint32_t *interrupted)
{
	*call = (struct dw_remote_call){
		.size = sizeof(*call),
		.deadline = cache_clock() + cache->options.timeout,
		.cancelled = interrupted ? interrupted : (const volatile uint32_t *)&cache->stopping,
	};
}

void cache_call_background(struct cache *cache, struct dw_remote_call *call)
{
	*call = (struct dw_remote_call){
		.size = sizeof(*call),
		.cancelled = (const volatile uint32_t *)&cache->stopping,
		.background = true,
	};
}

bool cache_is_online(struct cache *cache)
{
	bool online;

	pthread_mutex_lock(&cache->state.lock);
	online = cache->state.connection == CACHE_ONLINE || cache->state.connection == CACHE_UNKNOWN;
	pthread_mutex_unlock(&cache->state.lock);
	return online;
}

static enum cache_connection connection_after(enum cache_connection before, int ret)
{
	switch (ret) {
	case DW_REMOTE_OFFLINE:
		return CACHE_OFFLINE;
	case DW_REMOTE_LOGIN:
		return CACHE_LOGIN;
	/* These say nothing of the service. */
	case DW_REMOTE_UNKNOWN:
	case -ETIMEDOUT:
	case -ECANCELED:
	case -ENOMEM:
		return before;
	default:
		return CACHE_ONLINE;
	}
}

/* Keeps the state; 1: it is online now, and was not; -1: it was, and is not any more; 0. */
static int note_answer(struct cache *cache, int ret, const char *message)
{
	enum cache_connection before, after;

	pthread_mutex_lock(&cache->state.lock);
	before = cache->state.connection;
	after = connection_after(before, ret);
	cache->state.connection = after;
	if (after != before)
		cache->state.since = cache_now() / (int64_t)SECOND;
	if (after == CACHE_ONLINE && before != CACHE_ONLINE)
		cache->state.message[0] = '\0';
	else if (after != CACHE_ONLINE && ret)
		(void)text_copy(cache->state.message, sizeof(cache->state.message), message);
	pthread_cond_broadcast(&cache->state.changed);
	pthread_mutex_unlock(&cache->state.lock);
	if (after == before)
		return 0;
	if (after == CACHE_ONLINE && before != CACHE_UNKNOWN)
		cache_log(cache, 2, "the service can be reached again");
	else if (after == CACHE_OFFLINE)
		cache_log(cache, 1, "the service cannot be reached: %s", message);
	else if (after == CACHE_LOGIN)
		cache_log(cache, 1, "somebody has to log in: %s", message);
	return after == CACHE_ONLINE ? 1 : -1;
}

int cache_errno(int ret)
{
	switch (ret) {
	case DW_REMOTE_OFFLINE:
	case DW_REMOTE_LATER:
	case DW_REMOTE_UNKNOWN:
	case DW_REMOTE_EXPIRED:
	case -EPROTO:
		return -EIO;
	case DW_REMOTE_LOGIN:
		return -EACCES;
	case DW_REMOTE_CHANGED:
		return -ESTALE;
	case DW_REMOTE_TRASHED:
		return -ENOENT;
	case -ECANCELED:
		return -EINTR;
	default:
		return ret;
	}
}

int cache_answered(struct cache *cache, int ret, const struct dw_remote_call *call)
{
	cache_note_answer(cache, ret, call->message);
	return cache_errno(ret);
}

void cache_note_answer(struct cache *cache, int ret, const char *message)
{
	int turn = note_answer(cache, ret, message ? message : "");

	if (turn < 0 && cache->feed)
		feed_look(cache->feed);
	if (ret == -ETIMEDOUT && cache->feed && cache_is_online(cache))
		feed_doubt(cache->feed);
	if (turn <= 0)
		return;
	if (cache->feed)
		feed_wake(cache->feed);
	if (cache->sync)
		sync_wake(cache->sync);
	if (cache->pins)
		pins_wake(cache->pins);
}
