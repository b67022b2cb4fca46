/* SPDX-License-Identifier: MIT */
#include "emulators/box/events.h"

#include "emulators/box/answer.h"
#include "emulators/box/render.h"
#include "support/text.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS_PAGE 500

struct events {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	uint64_t count; /* of wakes */
	bool stopped;
};

struct events *events_new(void)
{
	struct events *events = calloc(1, sizeof(*events));
	pthread_condattr_t attributes;

	if (!events)
		return NULL;
	pthread_mutex_init(&events->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&events->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return events;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	pthread_cond_destroy(&events->changed);
	pthread_mutex_destroy(&events->lock);
	free(events);
}

void events_add(struct request *request, const char *type, const struct item *item)
{
	struct emulator *emulator = request->emulator;
	json_t *creator = render_user(emulator, request->actor), *source = render_source(request, item);
	char *creator_text = json_dumps(creator, JSON_COMPACT | JSON_ENCODE_ANY),
	     *source_text = json_dumps(source, JSON_COMPACT);
	char id[41];

	if (!creator_text || !source_text || !emulator_random_hex(id, 20))
		emulator->store->failed = true;
	else
		store_run(emulator->store,
			  "INSERT INTO event (user, type, public, created, source, creator) VALUES (?, ?, ?, ?, ?, ?)",
			  "ississ", item->owner, type, id, clock_now(&emulator->clock), source_text, creator_text);
	free(creator_text);
	free(source_text);
	json_decref(creator);
	json_decref(source);
}

void events_wake(struct events *events)
{
	pthread_mutex_lock(&events->lock);
	events->count++;
	pthread_cond_broadcast(&events->changed);
	pthread_mutex_unlock(&events->lock);
}

void events_stop(struct events *events)
{
	pthread_mutex_lock(&events->lock);
	events->stopped = true;
	pthread_cond_broadcast(&events->changed);
	pthread_mutex_unlock(&events->lock);
}

static json_t *events_row(sqlite3_stmt *statement)
{
	json_t *source = json_loads(store_text(statement, 4), 0, NULL);
	json_t *creator = json_loads(store_text(statement, 5), JSON_DECODE_ANY, NULL);
	int64_t created = sqlite3_column_int64(statement, 3);

	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o?, s:o?}", "type", "event", "event_id", store_text(statement, 2),
			 "event_type", store_text(statement, 1), "created_at", render_time(created), "recorded_at",
			 render_time(created), "source", source, "created_by", creator);
}

static int64_t events_last(struct request *request)
{
	return store_number(request->emulator->store, 0, "SELECT max(id) FROM event WHERE user = ?", "i",
			    request->user.id);
}

void events_get(struct request *request)
{
	struct store *store = request->emulator->store;
	const char *position = request_query(request, "stream_position");
	int64_t limit = request_query_number(request, "limit", 100, INT64_MAX), next;
	json_t *entries = json_array(), *answer;
	sqlite3_stmt *statement;
	uint64_t from = 0;

	if (limit < 0 || (position && strcmp(position, "now") != 0 && text_parse_number(position, INT64_MAX, &from))) {
		json_decref(entries);
		answer_error(request, 400, NULL, "stream_position or limit is not valid");
		return;
	}
	limit = limit < 1 ? 1 : limit > EVENTS_PAGE ? EVENTS_PAGE : limit;
	next = (int64_t)from;
	if (position && strcmp(position, "now") == 0) {
		next = events_last(request);
	} else {
		statement = store_ask(store,
				      "SELECT id, type, public, created, source, creator FROM event WHERE user = ? AND"
				      " id > ? ORDER BY id LIMIT ?",
				      "iii", request->user.id, (int64_t)from, limit);
		while (store_next(store, statement)) {
			next = sqlite3_column_int64(statement, 0);
			json_array_append_new(entries, events_row(statement));
		}
	}
	answer = json_pack("{s:I, s:o, s:o}", "chunk_size", (json_int_t)json_array_size(entries),
			   "next_stream_position",
			   emulator_setting(request->emulator, SETTING_POSITION_TEXT) ? render_number_text(next)
										      : json_integer(next),
			   "entries", entries);
	answer_json(request, 200, answer);
}

void events_servers(struct request *request)
{
	struct emulator *emulator = request->emulator;
	char base[512], channel[21];

	if (!request_base(request, HOST_API, base, sizeof(base)) || !emulator_random_hex(channel, 10)) {
		answer_error(request, 500, NULL, "there is no URL to give");
		return;
	}
	answer_json(request, 200,
		    json_pack("{s:i, s:[{s:s, s:o, s:s, s:s, s:I}]}", "chunk_size", 1, "entries", "type",
			      "realtime_server", "url",
			      json_sprintf("%s/subscribe?channel=%s&stream_type=changes&user=%lld", base, channel,
					   (long long)request->user.id),
			      "ttl", "10", "max_retries", "10", "retry_timeout",
			      (json_int_t)emulator_setting(emulator, SETTING_POLL_SECONDS)));
}

static bool events_client_left(struct request *request)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection,
								       MHD_CONNECTION_INFO_CONNECTION_FD);
	struct pollfd poll_fd = {.events = POLLRDHUP};

	if (!info)
		return false;
	poll_fd.fd = info->connect_fd;
	return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

void events_poll(struct request *request)
{
	struct emulator *emulator = request->emulator;
	struct events *events = emulator->events;
	int64_t user = request_query_number(request, "user", 0, INT64_MAX), last = -1, now, end, from, next;
	const char *position = request_query(request, "stream_position");
	struct timespec until;
	uint64_t number = 0, seen;
	bool stopped = false, new_change = false;

	request->user.id = user;
	if (position && text_parse_number(position, INT64_MAX, &number) == 0)
		last = (int64_t)number;
	end = clock_monotonic() + emulator_setting(emulator, SETTING_POLL_SECONDS) * 1000000000;
	from = last;
	do {
		pthread_mutex_lock(&events->lock);
		seen = events->count;
		pthread_mutex_unlock(&events->lock);
		store_lock(emulator->store);
		next = events_last(request);
		store_end(emulator->store);
		store_unlock(emulator->store);
		if (from < 0)
			from = next; /* no position was given: what changes from now on */
		new_change = next > from;
		now = clock_monotonic();
		if (new_change || now >= end || events_client_left(request))
			break;
		/* A second at most, to see whether the client is still there. */
		now = now + 1000000000 < end ? now + 1000000000 : end;
		until = (struct timespec){.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
		pthread_mutex_lock(&events->lock);
		while (!events->stopped && events->count == seen &&
		       pthread_cond_timedwait(&events->changed, &events->lock, &until) == 0)
			;
		stopped = events->stopped;
		pthread_mutex_unlock(&events->lock);
	} while (!stopped);
	answer_json(request, 200,
		    new_change ? json_pack("{s:s}", "message", "new_change")
			       : json_pack("{s:s, s:i}", "message", "reconnect", "version", 1));
}
