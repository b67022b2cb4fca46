/* SPDX-License-Identifier: MIT */
#include "emulators/box/faults.h"

#include "emulators/box/clock.h"
#include "support/text.h"

#include <errno.h>
#include <pthread.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANDWIDTH	 FAULT_KINDS /* not a fault of single requests */
#define CARRY_NAP_NANO	 100000000
#define CARRY_SLACK_NANO 10000000 /* what the line may carry at once after it was idle */

static const char *const fault_names[FAULT_KINDS + 1] = {
	[FAULT_LATENCY] = "latency",
	[FAULT_STATUS] = "status",
	[FAULT_RESET_BEFORE] = "reset_before",
	[FAULT_RESET_AFTER] = "reset_after",
	[FAULT_RESET_BODY] = "reset_body",
	[FAULT_RESET_UPLOAD] = "reset_upload",
	[FAULT_TRUNCATE] = "truncate",
	[FAULT_CORRUPT] = "corrupt",
	[FAULT_STALL] = "stall",
	[FAULT_ACCEPTED] = "accepted",
	[FAULT_EXPIRED_TOKEN] = "expired_token",
	[FAULT_SKEW] = "skew",
	[FAULT_DROP] = "drop",
	[BANDWIDTH] = "bandwidth",
};

struct fault {
	struct fault *next;
	int64_t id;
	int kind;
	char call[64], method[16]; /* "": any */
	char *pattern;
	regex_t path; /* compiled when pattern is there */
	int64_t after, times;
	int64_t struck;
	int64_t value;	     /* milliseconds, seconds, bytes a second or a status */
	int64_t at;	     /* -1: before the answer */
	int64_t retry_after; /* -1: none */
	char code[64];
};

struct faults {
	pthread_mutex_t lock; /* guards all below but the atomics */
	pthread_cond_t changed;
	struct fault *first;
	int64_t last_id;
	uint64_t generation; /* counts resets and removals */
	atomic_bool stopped; /* changed with the lock held */
	atomic_int count, drops;
	_Atomic int64_t bandwidth;
	pthread_mutex_t line; /* guards free_at; may be taken with lock held */
	int64_t free_at[2];   /* when the line has carried what was given to it, down and up; monotonic nanoseconds */
};

struct faults *faults_new(void)
{
	struct faults *faults = calloc(1, sizeof(*faults));
	pthread_condattr_t attributes;

	if (!faults)
		return NULL;
	pthread_mutex_init(&faults->lock, NULL);
	pthread_mutex_init(&faults->line, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&faults->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return faults;
}

static void fault_free(struct fault *fault)
{
	if (fault->pattern)
		regfree(&fault->path);
	free(fault->pattern);
	free(fault);
}

void faults_free(struct faults *faults)
{
	if (!faults)
		return;
	faults_reset(faults);
	pthread_cond_destroy(&faults->changed);
	pthread_mutex_destroy(&faults->lock);
	pthread_mutex_destroy(&faults->line);
	free(faults);
}

/* The line's width changes: what was to be carried at the old one is forgotten. */
static void faults_set_bandwidth(struct faults *faults, int64_t rate)
{
	pthread_mutex_lock(&faults->line);
	faults->free_at[0] = faults->free_at[1] = 0;
	atomic_store(&faults->bandwidth, rate);
	pthread_mutex_unlock(&faults->line);
}

static int64_t fault_number(const json_t *object, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static const char *fault_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* Which member holds the main number of each kind, and what it is when it is missing; -1: it must be there. */
static const struct fault_value {
	const char *name;
	int64_t otherwise;
} fault_values[FAULT_KINDS + 1] = {
	[FAULT_LATENCY] = {"ms", -1},	       [FAULT_STATUS] = {"status", -1}, [FAULT_STALL] = {"seconds", -1},
	[FAULT_ACCEPTED] = {"retry_after", 1}, [FAULT_SKEW] = {"seconds", 0},	[BANDWIDTH] = {"bytes_per_second", -1},
};

static int fault_parse(struct fault *fault, const json_t *object, const char **problem)
{
	const json_t *match = json_object_get(object, "match");
	const char *name = fault_text(object, "fault"), *pattern = fault_text(match, "path");
	const struct fault_value *value;
	bool body;

	for (fault->kind = 0; fault->kind <= BANDWIDTH; fault->kind++) {
		if (strcmp(fault_names[fault->kind], name) == 0)
			break;
	}
	*problem = "fault: there is no such kind";
	if (fault->kind > BANDWIDTH)
		return -EINVAL;
	*problem = "match: kind, method or code is too long";
	if (!text_copy(fault->call, sizeof(fault->call), fault_text(match, "kind")) ||
	    !text_copy(fault->method, sizeof(fault->method), fault_text(match, "method")) ||
	    !text_copy(fault->code, sizeof(fault->code), fault_text(object, "code")))
		return -EINVAL;
	fault->after = fault_number(object, "after", 0);
	fault->times = fault_number(object, "times", -1);
	fault->retry_after = fault_number(object, "retry_after", fault->kind == FAULT_ACCEPTED ? 1 : -1);
	body = fault->kind != FAULT_STALL;
	fault->at = fault_number(object, "at", body ? 0 : -1);
	value = &fault_values[fault->kind];
	if (value->name) {
		fault->value = fault_number(object, value->name, value->otherwise);
		*problem = "the number of the fault is missing or out of range";
		if (fault->kind != FAULT_SKEW && (fault->value < 0 || fault->value > INT64_MAX / 1000000000))
			return -EINVAL;
		if (fault->kind == FAULT_STATUS && (fault->value < 200 || fault->value > 599))
			return -EINVAL;
	}
	if (*pattern) {
		*problem = "match: the path is no regular expression";
		if (regcomp(&fault->path, pattern, REG_EXTENDED | REG_NOSUB) != 0)
			return -EINVAL;
		fault->pattern = strdup(pattern);
		if (!fault->pattern) {
			regfree(&fault->path);
			return -ENOMEM;
		}
	}
	return 0;
}

int faults_add(struct faults *faults, const json_t *object, int64_t *id, const char **problem)
{
	struct fault *fault = calloc(1, sizeof(*fault)), **at;
	int error;

	*problem = "no memory";
	if (!fault)
		return -ENOMEM;
	error = fault_parse(fault, object, problem);
	if (error) {
		fault_free(fault);
		return error;
	}
	pthread_mutex_lock(&faults->lock);
	*id = fault->id = ++faults->last_id;
	for (at = &faults->first; *at; at = &(*at)->next)
		;
	*at = fault;
	atomic_fetch_add(&faults->count, 1);
	if (fault->kind == FAULT_DROP)
		atomic_fetch_add(&faults->drops, 1);
	if (fault->kind == BANDWIDTH)
		faults_set_bandwidth(faults, fault->value);
	pthread_mutex_unlock(&faults->lock);
	return 0;
}

/* Take one out of the list, with the lock held. */
static void fault_unlink(struct faults *faults, struct fault **at)
{
	struct fault *fault = *at;

	*at = fault->next;
	atomic_fetch_sub(&faults->count, 1);
	if (fault->kind == FAULT_DROP)
		atomic_fetch_sub(&faults->drops, 1);
	if (fault->kind == BANDWIDTH)
		faults_set_bandwidth(faults, 0);
	fault_free(fault);
	faults->generation++;
	pthread_cond_broadcast(&faults->changed);
}

bool faults_remove(struct faults *faults, int64_t id)
{
	struct fault **at;
	bool found;

	pthread_mutex_lock(&faults->lock);
	for (at = &faults->first; *at && (*at)->id != id; at = &(*at)->next)
		;
	found = *at;
	if (found)
		fault_unlink(faults, at);
	pthread_mutex_unlock(&faults->lock);
	return found;
}

void faults_reset(struct faults *faults)
{
	pthread_mutex_lock(&faults->lock);
	while (faults->first)
		fault_unlink(faults, &faults->first);
	pthread_mutex_unlock(&faults->lock);
}

json_t *faults_list(struct faults *faults)
{
	json_t *list = json_array(), *one;

	pthread_mutex_lock(&faults->lock);
	for (const struct fault *fault = faults->first; fault; fault = fault->next) {
		one = json_pack("{s:I, s:s, s:I, s:I, s:I, s:{s:s, s:s, s:s}}", "id", (json_int_t)fault->id, "fault",
				fault_names[fault->kind], "struck", (json_int_t)fault->struck, "times",
				(json_int_t)fault->times, "after", (json_int_t)fault->after, "match", "kind",
				fault->call, "method", fault->method, "path", fault->pattern ? fault->pattern : "");
		if (one && fault_values[fault->kind].name)
			json_object_set_new(one, fault_values[fault->kind].name, json_integer(fault->value));
		json_array_append_new(list, one);
	}
	pthread_mutex_unlock(&faults->lock);
	return list;
}

static bool fault_matches(const struct fault *fault, const char *kind, const char *method, const char *path)
{
	return (!*fault->call || (kind && strcmp(fault->call, kind) == 0)) &&
	       (!*fault->method || strcmp(fault->method, method) == 0) &&
	       (!fault->pattern || regexec(&fault->path, path, 0, NULL, 0) == 0);
}

static void fault_apply(const struct fault *fault, struct fault_effect *effect)
{
	effect->kinds |= 1u << fault->kind;
	switch (fault->kind) {
	case FAULT_LATENCY:
		effect->latency_ms += fault->value;
		break;
	case FAULT_STATUS:
		effect->status = (unsigned int)fault->value;
		effect->retry_after = fault->retry_after;
		text_copy(effect->code, sizeof(effect->code), fault->code);
		break;
	case FAULT_ACCEPTED:
		effect->retry_after = fault->value;
		break;
	case FAULT_RESET_BODY:
	case FAULT_TRUNCATE:
	case FAULT_CORRUPT:
		effect->at = fault->at;
		break;
	case FAULT_RESET_UPLOAD:
		effect->upload_at = fault->at;
		break;
	case FAULT_STALL:
		effect->stall_seconds = fault->value;
		effect->stall_at = fault->at;
		break;
	case FAULT_SKEW:
		effect->skew = fault->value;
		break;
	default:
		break;
	}
}

void faults_choose(struct faults *faults, const char *kind, const char *method, const char *path,
		   struct fault_effect *effect)
{
	memset(effect, 0, sizeof(*effect));
	effect->retry_after = -1;
	if (atomic_load(&faults->count) == 0)
		return;
	pthread_mutex_lock(&faults->lock);
	for (struct fault *fault = faults->first; fault; fault = fault->next) {
		if (fault->kind == BANDWIDTH || fault->times == 0 || !fault_matches(fault, kind, method, path))
			continue;
		if (fault->after > 0) {
			fault->after--;
			continue;
		}
		if (fault->times > 0)
			fault->times--;
		fault->struck++;
		fault_apply(fault, effect);
	}
	pthread_mutex_unlock(&faults->lock);
}

bool faults_wait_dropped(struct faults *faults, const char *kind, const char *method, const char *path)
{
	bool waited = false;
	struct fault *fault;

	if (atomic_load(&faults->drops) == 0)
		return false;
	pthread_mutex_lock(&faults->lock);
	for (;;) {
		for (fault = faults->first; fault; fault = fault->next) {
			if (fault->kind == FAULT_DROP && fault_matches(fault, kind, method, path))
				break;
		}
		if (!fault || faults->stopped)
			break;
		waited = true;
		pthread_cond_wait(&faults->changed, &faults->lock);
	}
	pthread_mutex_unlock(&faults->lock);
	return waited;
}

void faults_sleep(struct faults *faults, int64_t milliseconds)
{
	int64_t end = clock_monotonic() + milliseconds * 1000000;
	struct timespec until = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
	uint64_t generation;

	pthread_mutex_lock(&faults->lock);
	generation = faults->generation;
	while (!faults->stopped && faults->generation == generation &&
	       pthread_cond_timedwait(&faults->changed, &faults->lock, &until) == 0)
		;
	pthread_mutex_unlock(&faults->lock);
}

void faults_stop(struct faults *faults)
{
	pthread_mutex_lock(&faults->lock);
	faults->stopped = true;
	pthread_cond_broadcast(&faults->changed);
	pthread_mutex_unlock(&faults->lock);
}

int64_t faults_bandwidth(struct faults *faults)
{
	return atomic_load(&faults->bandwidth);
}

void faults_carry(struct faults *faults, uint64_t size, bool upload)
{
	int64_t rate = faults_bandwidth(faults), now, until;

	if (rate <= 0)
		return;
	now = clock_monotonic();
	pthread_mutex_lock(&faults->line);
	if (faults->free_at[upload] < now - CARRY_SLACK_NANO)
		faults->free_at[upload] = now - CARRY_SLACK_NANO;
	faults->free_at[upload] += (int64_t)((double)size * 1e9 / (double)rate);
	until = faults->free_at[upload];
	pthread_mutex_unlock(&faults->line);
	/* In short sleeps: the line may become another one, or the service end, meanwhile. */
	while (now < until && faults_bandwidth(faults) == rate && !atomic_load(&faults->stopped)) {
		int64_t next = until - now > CARRY_NAP_NANO ? now + CARRY_NAP_NANO : until;
		struct timespec wake = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
		now = clock_monotonic();
	}
}
