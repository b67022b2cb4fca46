/* SPDX-License-Identifier: MIT */
#include "emulators/box/calls.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_KINDS    128
#define CALLS_RECORDED 1000000
#define RATES_USERS    64

struct calls {
	pthread_mutex_t lock; /* guards all below */
	struct {
		const char *kind; /* of the table of routes, compared by address */
		uint64_t count;
	} kinds[CALLS_KINDS];
	uint64_t total, received, sent;
	json_t *list; /* NULL: not recording */
};

struct calls *calls_new(void)
{
	struct calls *calls = calloc(1, sizeof(*calls));

	if (calls)
		pthread_mutex_init(&calls->lock, NULL);
	return calls;
}

void calls_free(struct calls *calls)
{
	if (!calls)
		return;
	json_decref(calls->list);
	pthread_mutex_destroy(&calls->lock);
	free(calls);
}

void calls_count(struct calls *calls, const char *kind, const char *method, const char *path, unsigned int status,
		 uint64_t received, uint64_t sent)
{
	if (!kind)
		kind = "unknown";
	pthread_mutex_lock(&calls->lock);
	for (int i = 0; i < CALLS_KINDS; i++) {
		if (!calls->kinds[i].kind)
			calls->kinds[i].kind = kind;
		if (calls->kinds[i].kind == kind) {
			calls->kinds[i].count++;
			break;
		}
	}
	calls->total++;
	calls->received += received;
	calls->sent += sent;
	if (calls->list && json_array_size(calls->list) < CALLS_RECORDED)
		json_array_append_new(calls->list, json_pack("{s:s, s:s, s:s, s:i, s:I, s:I}", "kind", kind, "method",
							     method, "path", path, "status", (int)status, "received",
							     (json_int_t)received, "sent", (json_int_t)sent));
	pthread_mutex_unlock(&calls->lock);
}

json_t *calls_report(struct calls *calls)
{
	json_t *report, *kinds = json_object();

	pthread_mutex_lock(&calls->lock);
	for (int i = 0; i < CALLS_KINDS && calls->kinds[i].kind; i++)
		json_object_set_new(kinds, calls->kinds[i].kind, json_integer((json_int_t)calls->kinds[i].count));
	report = json_pack("{s:I, s:o, s:I, s:I}", "total", (json_int_t)calls->total, "calls", kinds, "bytes_received",
			   (json_int_t)calls->received, "bytes_sent", (json_int_t)calls->sent);
	pthread_mutex_unlock(&calls->lock);
	return report;
}

void calls_reset(struct calls *calls)
{
	pthread_mutex_lock(&calls->lock);
	memset(calls->kinds, 0, sizeof(calls->kinds));
	calls->total = calls->received = calls->sent = 0;
	pthread_mutex_unlock(&calls->lock);
}

void calls_record(struct calls *calls, bool on)
{
	pthread_mutex_lock(&calls->lock);
	json_decref(calls->list);
	calls->list = on ? json_array() : NULL;
	pthread_mutex_unlock(&calls->lock);
}

json_t *calls_recorded(struct calls *calls)
{
	json_t *list;

	pthread_mutex_lock(&calls->lock);
	list = calls->list ? json_copy(calls->list) : json_array();
	pthread_mutex_unlock(&calls->lock);
	return list;
}

struct rates {
	pthread_mutex_t lock; /* guards all below */
	struct {
		int64_t user, minute;
		int64_t count[2]; /* calls, uploads */
	} users[RATES_USERS];
};

struct rates *rates_new(void)
{
	struct rates *rates = calloc(1, sizeof(*rates));

	if (rates)
		pthread_mutex_init(&rates->lock, NULL);
	return rates;
}

void rates_free(struct rates *rates)
{
	if (rates)
		pthread_mutex_destroy(&rates->lock);
	free(rates);
}

int rates_take(struct rates *rates, int64_t user, bool upload, int64_t now, int64_t limit)
{
	int wait = 0, at;

	pthread_mutex_lock(&rates->lock);
	for (at = 0; at < RATES_USERS - 1; at++) {
		if (rates->users[at].user == user || rates->users[at].user == 0)
			break;
	}
	if (rates->users[at].user != user || rates->users[at].minute != now / 60) {
		memset(&rates->users[at], 0, sizeof(rates->users[at]));
		rates->users[at].user = user;
		rates->users[at].minute = now / 60;
	}
	if (rates->users[at].count[upload] >= limit)
		wait = (int)(60 - now % 60);
	else
		rates->users[at].count[upload]++;
	pthread_mutex_unlock(&rates->lock);
	return wait;
}
