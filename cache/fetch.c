/* SPDX-License-Identifier: MIT */
#include "cache/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "support/text.h"

#define MAXIMUM_FLIGHTS	   64
#define BACKGROUND_FLIGHTS 16
#define BACKGROUND_QUEUED  65536
#define BACKGROUND_RANGE   (8ull << 20)
#define JOIN		   (64ull << 10) /* two missing pieces that are nearer than this are asked for together */
#define WAIT_NEAR	   (1ull << 20)	 /* a flight that is nearer than this is waited for */

#define UNIT (256ul << 10) /* the kernel's cache of a content file is made in pieces of this size */

#define PAUSE_FIRST 100000000ull
#define PAUSE_LAST  2000000000ull

/* What content_prefetch asked for. */
struct wish {
	struct wish *next;
	uint64_t content, start, stop;
};

struct runner {
	struct workers_job job;
	struct content_store *store;
	struct runner *next; /* of those that are free */
	struct wish *wish;
};

struct fetch {
	struct content_store *store;
	struct workers *workers;
	pthread_mutex_t lock; /* guards all below; a leaf but for the pool's own */
	pthread_cond_t ended;
	struct flight *first[2], **last[2]; /* queues of DEMAND and AHEAD */
	unsigned flying[FLIGHT_KINDS];
	struct wish *wishes, **last_wish;
	size_t wish_count;
	struct runner runners[BACKGROUND_FLIGHTS];
	struct runner *free;
	bool stopping;
	_Atomic uint64_t pending;
};

static void flight_run(struct workers_job *job);
static void runner_run(struct workers_job *job);

/* --- the queues ---------------------------------------------------------------------------------------------- */

static unsigned flying_now(const struct fetch *fetch)
{
	return fetch->flying[FLIGHT_DEMAND] + fetch->flying[FLIGHT_AHEAD] + fetch->flying[FLIGHT_BACKGROUND];
}

/* fetch.lock is held. */
static bool start_flight(struct fetch *fetch, enum flight_kind kind)
{
	struct flight *flight = fetch->first[kind];

	if (!flight || (kind == FLIGHT_AHEAD && !fetch->stopping && fetch->flying[kind] >= fetch->store->parallel) ||
	    flying_now(fetch) >= MAXIMUM_FLIGHTS)
		return false;
	flight->job.run = flight_run;
	fetch->first[kind] = flight->queue_next;
	if (!fetch->first[kind])
		fetch->last[kind] = &fetch->first[kind];
	if (workers_submit(fetch->workers, &flight->job)) {
		/* Not one thread could be started: those who wait try again. */
		flight->queue_next = fetch->first[kind];
		if (!fetch->first[kind])
			fetch->last[kind] = &flight->queue_next;
		fetch->first[kind] = flight;
		return false;
	}
	fetch->flying[kind]++;
	return true;
}

/* fetch.lock is held. */
static bool start_wish(struct fetch *fetch)
{
	struct wish *wish = fetch->wishes;
	struct runner *runner = fetch->free;

	if (!wish || !runner || flying_now(fetch) >= MAXIMUM_FLIGHTS - BACKGROUND_FLIGHTS)
		return false;
	runner->wish = wish;
	runner->job.run = runner_run;
	if (workers_submit(fetch->workers, &runner->job))
		return false;
	fetch->free = runner->next;
	fetch->wishes = wish->next;
	if (!fetch->wishes)
		fetch->last_wish = &fetch->wishes;
	fetch->wish_count--;
	fetch->flying[FLIGHT_BACKGROUND]++;
	return true;
}

/* Start what may be started. fetch.lock is held. */
static void dispatch(struct fetch *fetch)
{
	while (start_flight(fetch, FLIGHT_DEMAND) || start_flight(fetch, FLIGHT_AHEAD) || start_wish(fetch))
		;
}

static void enqueue(struct fetch *fetch, struct flight *flight)
{
	flight->queue_next = NULL;
	*fetch->last[flight->kind] = flight;
	fetch->last[flight->kind] = &flight->queue_next;
}

/* Move a flight that waits in the queue of read-ahead to the one of those that are waited for. */
static void promote(struct fetch *fetch, struct flight *flight)
{
	struct flight **at;

	pthread_mutex_lock(&fetch->lock);
	for (at = &fetch->first[FLIGHT_AHEAD]; *at && *at != flight; at = &(*at)->queue_next)
		;
	if (*at) {
		*at = flight->queue_next;
		if (!*at)
			fetch->last[FLIGHT_AHEAD] = at;
		flight->kind = FLIGHT_DEMAND;
		enqueue(fetch, flight);
	}
	dispatch(fetch);
	pthread_mutex_unlock(&fetch->lock);
}

static void ended(struct fetch *fetch, enum flight_kind kind)
{
	pthread_mutex_lock(&fetch->lock);
	fetch->flying[kind]--;
	dispatch(fetch);
	pthread_cond_broadcast(&fetch->ended);
	pthread_mutex_unlock(&fetch->lock);
}

/* --- wanting ---------------------------------------------------------------------------------------------------- */

/* The flight that will bring the byte at; *to: how far it will go. */
static struct flight *flight_over(const struct content *content, uint64_t at)
{
	struct flight *flight;

	for (flight = content->flights; flight; flight = flight->next) {
		if (flight->at <= at && at < flight->stop && !atomic_load(&flight->cancelled))
			return flight;
	}
	return NULL;
}

/* Where a flight that begins at from may end: it leaps over what is here, when that is less than JOIN, and ends where
 * another flight begins. */
static uint64_t reach(const struct content *content, uint64_t from, uint64_t stop)
{
	uint64_t end = from, at, to;

	for (const struct flight *flight = content->flights; flight; flight = flight->next) {
		if (flight->at > from && flight->at < stop && flight->at < flight->stop &&
		    !atomic_load(&flight->cancelled))
			stop = flight->at;
	}
	while (content_map_missing(&content->map, end, stop, &at, &to) && (at - end <= JOIN || end == from))
		end = to;
	return end;
}

static struct flight *new_flight(struct content *content, uint64_t start, uint64_t stop, enum flight_kind kind,
				 uint64_t until)
{
	struct flight *flight = calloc(1, sizeof(*flight));

	if (!flight)
		return NULL;
	flight->content = content;
	flight->kind = kind;
	flight->start = flight->at = start;
	flight->stop = stop;
	flight->until = until;
	flight->next = content->flights;
	content->flights = flight;
	content_hold(content);
	atomic_fetch_add(&content->store->fetch->pending, stop - start);
	return flight;
}

static int launch(struct content *content, uint64_t start, uint64_t stop, enum flight_kind kind, uint64_t until)
{
	struct fetch *fetch = content->store->fetch;
	struct flight *flight = new_flight(content, start, stop, kind, until);

	if (!flight)
		return -ENOMEM;
	pthread_mutex_lock(&fetch->lock);
	if (fetch->stopping)
		atomic_store(&flight->cancelled, 1);
	enqueue(fetch, flight);
	dispatch(fetch);
	pthread_mutex_unlock(&fetch->lock);
	return 0;
}

/* Should a reader that came from elsewhere and needs the byte at not wait for this flight? */
static bool is_far(const struct flight *flight, uint64_t at)
{
	return flight->flying &&
	       (at - flight->at > WAIT_NEAR || (flight->kind == FLIGHT_BACKGROUND && flight->at == flight->start));
}

/* Let a flight end at stop, and another take over from there. */
static int split(struct flight *flight, uint64_t stop, enum flight_kind kind, uint64_t until)
{
	uint64_t end = flight->stop;

	atomic_fetch_sub(&flight->content->store->fetch->pending, end - stop);
	flight->stop = stop;
	if (flight->at == stop)
		atomic_store(&flight->cancelled, 1);
	return launch(flight->content, stop, end, kind, until);
}

int fetch_want(struct content *content, uint64_t start, uint64_t stop, enum flight_kind kind, uint64_t until, bool jump)
{
	struct flight *over;
	uint64_t from, to;
	int ret = 0;

	while (!ret && content_map_missing(&content->map, start, stop, &from, &to)) {
		over = flight_over(content, from);
		if (!over) {
			start = reach(content, from, stop);
			ret = launch(content, from, start, kind, until);
			continue;
		}
		start = over->stop;
		if (over->until < until)
			over->until = until;
		if (kind != FLIGHT_DEMAND)
			continue;
		if (jump && is_far(over, from))
			ret = split(over, from, kind, until);
		else
			promote(content->store->fetch, over);
	}
	return ret;
}

void fetch_abandon(struct content *content)
{
	pthread_mutex_lock(&content->lock);
	for (struct flight *flight = content->flights; flight; flight = flight->next) {
		if (flight->kind == FLIGHT_AHEAD && flight->until == 0)
			atomic_store(&flight->cancelled, 1);
	}
	pthread_mutex_unlock(&content->lock);
}

uint64_t fetch_pending(struct content_store *store)
{
	return atomic_load(&store->fetch->pending);
}

/* --- flying ------------------------------------------------------------------------------------------------------ */

/* One after the other, at offset. */
static int write_both(int fd, struct iovec parts[2], uint64_t offset)
{
	while (parts[0].iov_len + parts[1].iov_len > 0) {
		ssize_t put = pwritev(fd, parts, 2, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		offset += (uint64_t)put;
		for (size_t i = 0; i < 2; i++) {
			size_t done = (size_t)put < parts[i].iov_len ? (size_t)put : parts[i].iov_len;

			parts[i].iov_base = (char *)parts[i].iov_base + done;
			parts[i].iov_len -= done;
			put -= (ssize_t)done;
		}
	}
	return 0;
}

/*
 * How many zeros to write behind [from, to). Bytes come from a network in pieces of a few KiB, and the kernel keeps a
 * file in memory in folios as large as the writes that made them: a file that was written in small ones is read at two
 * thirds of the speed for as long as it stays there. So the first write into a unit goes up to its end, or the end of
 * the flight, where all of that is missing: what stands there is believed by nobody, and the bytes are about to come.
 * content.lock is held.
 */
static size_t padding(const struct flight *flight, uint64_t from, uint64_t to)
{
	uint64_t unit = to - to % UNIT, end = unit + UNIT, first, last;

	if (end > flight->stop)
		end = flight->stop;
	if (to >= end || (from > unit && from > flight->start))
		return 0;
	if (!content_map_missing(&flight->content->map, to, end, &first, &last) || first != to || last != end)
		return 0;
	return (size_t)(end - to);
}

/* Write what is missing of [offset, stop), and nothing else: the rest may have been changed here. io is held. */
static int keep_missing(struct flight *flight, const char *data, uint64_t offset, uint64_t stop)
{
	static const char zeros[UNIT];
	struct content *content = flight->content;
	uint64_t at = offset, from, to;
	size_t pad;
	bool missing;
	int ret = 0;

	while (!ret) {
		pthread_mutex_lock(&content->lock);
		missing = content_map_missing(&content->map, at, stop, &from, &to);
		pad = missing ? padding(flight, from, to) : 0;
		pthread_mutex_unlock(&content->lock);
		if (!missing || from > at)
			flight->skipped = true;
		if (!missing)
			return 0;
		for (unsigned tries = 0; tries < 2; tries++) {
			struct iovec parts[2] = {
				{.iov_base = (char *)data + (from - offset), .iov_len = to - from},
				{.iov_base = (char *)zeros, .iov_len = pad},
			};

			ret = write_both(content->fd, parts, from);
			if (ret != -ENOSPC || !tidy_make_room(content->store))
				break;
		}
		if (ret)
			return ret;
		pthread_mutex_lock(&content->lock);
		ret = content_map_add(&content->map, from, to, atomic_load(&content->store->epoch));
		pthread_mutex_unlock(&content->lock);
		at = to;
		if (at == stop)
			return ret;
	}
	return ret;
}

/* Wake those who wait when one of them has what it waits for. content.lock is held. */
static void wake_satisfied(struct content *content)
{
	for (const struct content_wait *wait = content->waits; wait; wait = wait->next) {
		if (wait->stop && !content_is_missing(content, wait->start, wait->stop)) {
			pthread_cond_broadcast(&content->changed);
			return;
		}
	}
}

static int flight_write(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	struct flight *flight = sink->context;
	struct content *content = flight->content;
	uint64_t stop;
	int ret = 0;

	if (flight->digest)
		content_digest_add(flight->digest, data, size);
	pthread_mutex_lock(&content->io);
	pthread_mutex_lock(&content->lock);
	stop = offset + size;
	if (offset != flight->at || size > flight->asked - offset)
		ret = -EPROTO;
	else if (atomic_load(&flight->cancelled))
		ret = -ECANCELED;
	if (stop > flight->stop)
		stop = flight->stop;
	pthread_mutex_unlock(&content->lock);
	if (!ret)
		ret = keep_missing(flight, data, offset, stop);
	pthread_mutex_lock(&content->lock);
	if (!ret) {
		struct content_store *store = content->store;

		flight->at = stop;
		atomic_fetch_sub(&store->fetch->pending, stop - offset);
		atomic_fetch_add(&store->fetched, stop - offset);
		wake_satisfied(content);
		/* Its end may have been moved back meanwhile. */
		if (flight->at >= flight->stop && flight->at < flight->asked)
			ret = -ECANCELED;
	} else if (ret != -ECANCELED) {
		flight->sink_error = ret;
	}
	pthread_mutex_unlock(&content->lock);
	pthread_mutex_unlock(&content->io);
	return ret;
}

static int error_for_programs(int ret)
{
	switch (ret) {
	case DW_REMOTE_OFFLINE:
	case DW_REMOTE_LATER:
	case DW_REMOTE_UNKNOWN:
	case DW_REMOTE_EXPIRED:
	case -ETIMEDOUT:
		return -EIO;
	case DW_REMOTE_LOGIN:
		return -EACCES;
	case DW_REMOTE_CHANGED:
		return -ESTALE;
	case DW_REMOTE_TRASHED:
		return -ENOENT;
	default:
		return ret < -4095 ? -EIO : ret;
	}
}

static bool may_pass(int ret)
{
	return ret == DW_REMOTE_OFFLINE || ret == DW_REMOTE_LATER || ret == DW_REMOTE_UNKNOWN || ret == -ETIMEDOUT;
}

/* Wait a while, as long as those who wait for the flight do; false: they do not. content.lock is held. */
static bool pause_flight(struct flight *flight, uint64_t nanoseconds)
{
	struct content *content = flight->content;
	uint64_t now = content_clock(), end = now + nanoseconds;

	while (now < end && now < flight->until && !atomic_load(&flight->cancelled)) {
		uint64_t until = end < flight->until ? end : flight->until;
		struct timespec time = {.tv_sec = (time_t)(until / 1000000000u),
					.tv_nsec = (long)(until % 1000000000u)};

		pthread_cond_timedwait(&content->changed, &content->lock, &time);
		now = content_clock();
	}
	return now < flight->until && !atomic_load(&flight->cancelled);
}

/* One call of the remote for what is left of the flight. content.lock is held, and let go meanwhile. */
static int call_remote(struct flight *flight, struct dw_remote_call *call)
{
	struct content *content = flight->content;
	struct content_store *store = content->store;
	struct dw_remote_sink sink = {.write = flight_write, .context = flight};
	char *remote = text_duplicate(content->remote), *version = text_duplicate(content->version);
	uint64_t at = flight->at;
	bool ours;
	int ret = -ENOMEM;

	*call = (struct dw_remote_call){.size = sizeof(*call)};
	call->deadline = content_clock() + store->config.timeout;
	call->cancelled = (const volatile uint32_t *)&flight->cancelled;
	call->background = flight->kind == FLIGHT_BACKGROUND;
	flight->asked = flight->stop;
	pthread_mutex_unlock(&content->lock);
	if (remote && version) {
		ret = store->config.remote->ops->read(store->config.remote, call, remote, version, at,
						      flight->asked - at, &sink);
	}
	free(remote);
	free(version);
	pthread_mutex_lock(&content->lock);
	ours = flight->at >= flight->stop || atomic_load(&flight->cancelled) || flight->sink_error;
	if (store->config.answered && (!ours || flight->at > at)) {
		pthread_mutex_unlock(&content->lock);
		store->config.answered(store->config.context, ours ? 0 : ret, call->message);
		pthread_mutex_lock(&content->lock);
	}
	return ret;
}

/* Until all of the flight is here, or cannot be had. content.lock is held. */
static int fly(struct flight *flight)
{
	uint64_t pause = PAUSE_FIRST, at;
	struct dw_remote_call call;
	int ret;

	while (flight->at < flight->stop && !atomic_load(&flight->cancelled)) {
		at = flight->at;
		ret = call_remote(flight, &call);
		if (flight->at >= flight->stop)
			break;
		if (flight->sink_error)
			return flight->sink_error;
		if (atomic_load(&flight->cancelled))
			break;
		if (flight->at > at) {
			/* It got on: the rest is asked for again, unless that is of no use. */
			pause = PAUSE_FIRST;
			if (ret == 0 || may_pass(ret))
				continue;
		} else if (ret == 0) {
			return -EIO; /* the file is shorter than the service said */
		}
		if (!may_pass(ret))
			return error_for_programs(ret);
		if (ret == DW_REMOTE_LATER && call.retry_after > pause)
			pause = call.retry_after;
		if (!pause_flight(flight, pause))
			return error_for_programs(ret);
		pause = pause * 2 > PAUSE_LAST ? PAUSE_LAST : pause * 2;
	}
	return atomic_load(&flight->cancelled) && flight->at < flight->stop ? -ECANCELED : 0;
}

/* Does the flight bring the whole file, so that its digest can be computed on the way? content.lock is held. */
static void begin_digest(struct flight *flight)
{
	const struct content *content = flight->content;

	if (flight->start == 0 && flight->stop == content->size && !content->local && content->map.count == 0 &&
	    content->digest_length > 0)
		flight->digest = content_digest_new(content->store);
}

/* All is here: is it what it should be? content.lock is held. */
static void check_arrived(struct flight *flight)
{
	struct content *content = flight->content;

	if (content->whole || content->checking || content_is_missing(content, 0, content->size))
		return;
	if (flight->digest && flight->at == content->size && !flight->skipped && !content->local) {
		bool fits = content_digest_fits(flight->digest, content->digest, content->digest_length);

		flight->digest = NULL;
		if (fits)
			content->whole = true;
		else
			content_misfit(content);
		return;
	}
	(void)content_check(content);
}

/* content.lock is held. */
static void end_flight(struct flight *flight, int error)
{
	struct content *content = flight->content;
	struct flight **at;

	for (at = &content->flights; *at != flight; at = &(*at)->next)
		;
	*at = flight->next;
	atomic_fetch_sub(&content->store->fetch->pending, flight->stop - flight->at);
	if (error == -EBADMSG && !content->local) {
		content_misfit(content);
		error = 0;
	}
	if (error && error != -ECANCELED && flight->until > 0) {
		for (struct content_wait *wait = content->waits; wait; wait = wait->next) {
			if (!wait->stop || (wait->start < flight->stop && flight->at < wait->stop))
				wait->error = error;
		}
	}
	check_arrived(flight);
	pthread_cond_broadcast(&content->changed);
}

/* Fly, end, save what came, and let go of the content. */
static int fly_and_end(struct flight *flight)
{
	struct content *content = flight->content;
	struct content_store *store = content->store;
	int ret;

	pthread_mutex_lock(&content->lock);
	flight->flying = true;
	begin_digest(flight);
	ret = fly(flight);
	end_flight(flight, ret);
	pthread_mutex_unlock(&content->lock);
	content_digest_free(flight->digest);
	free(flight);
	content_save_later(content);
	content_drop(content);
	tidy_grown(store);
	return ret;
}

static void flight_run(struct workers_job *job)
{
	struct flight *flight = (struct flight *)job;
	struct fetch *fetch = flight->content->store->fetch;
	enum flight_kind kind = flight->kind; /* nobody changes it once it is off the queue */

	(void)fly_and_end(flight);
	ended(fetch, kind);
}

/* --- background -------------------------------------------------------------------------------------------------- */

void content_prefetch(struct content *content, uint64_t offset, uint64_t length)
{
	struct fetch *fetch = content->store->fetch;
	struct wish *wish;
	bool missing;

	pthread_mutex_lock(&content->lock);
	if (length > content->size || offset > content->size - length)
		length = offset < content->size ? content->size - offset : 0;
	missing = content_is_missing(content, offset, offset + length);
	pthread_mutex_unlock(&content->lock);
	if (!missing)
		return;
	wish = malloc(sizeof(*wish));
	if (!wish)
		return;
	*wish = (struct wish){.content = content->id, .start = offset, .stop = offset + length};
	pthread_mutex_lock(&fetch->lock);
	if (fetch->wish_count < BACKGROUND_QUEUED && !fetch->stopping) {
		*fetch->last_wish = wish;
		fetch->last_wish = &wish->next;
		fetch->wish_count++;
		wish = NULL;
		dispatch(fetch);
	}
	pthread_mutex_unlock(&fetch->lock);
	free(wish);
}

/* The flight for the first piece of a wish that is missing and not on its way; the rest stays in the wish. content.lock
 * is held. */
static struct flight *first_flight(struct content *content, struct wish *wish)
{
	uint64_t from, to, stop;
	const struct flight *over;

	if (content->size <= CONTENT_SMALL) {
		wish->start = 0;
		wish->stop = content->size;
	}
	while (content_map_missing(&content->map, wish->start, wish->stop, &from, &to)) {
		over = flight_over(content, from);
		if (!over) {
			stop = from + BACKGROUND_RANGE < wish->stop ? from + BACKGROUND_RANGE : wish->stop;
			wish->start = reach(content, from, stop);
			return new_flight(content, from, wish->start, FLIGHT_BACKGROUND, 0);
		}
		wish->start = over->stop;
	}
	wish->start = wish->stop;
	return NULL;
}

static void drop_wishes(struct fetch *fetch)
{
	struct wish *wish;

	while ((wish = fetch->wishes) != NULL) {
		fetch->wishes = wish->next;
		free(wish);
	}
	fetch->last_wish = &fetch->wishes;
	fetch->wish_count = 0;
}

/* Put what is left of a wish first, so that another runner takes it; flight (or NULL) is about to fly. */
static void give_back(struct fetch *fetch, struct wish *wish, struct flight *flight)
{
	pthread_mutex_lock(&fetch->lock);
	if (flight && fetch->stopping)
		atomic_store(&flight->cancelled, 1);
	if (wish->start >= wish->stop || fetch->stopping) {
		free(wish);
	} else {
		wish->next = fetch->wishes;
		if (!wish->next)
			fetch->last_wish = &wish->next;
		fetch->wishes = wish;
		fetch->wish_count++;
		dispatch(fetch);
	}
	pthread_mutex_unlock(&fetch->lock);
}

static void runner_run(struct workers_job *job)
{
	struct runner *runner = (struct runner *)job;
	struct fetch *fetch = runner->store->fetch;
	struct flight *flight = NULL;
	struct content *content;
	bool away = false;

	if (content_get(runner->store, runner->wish->content, &content)) {
		free(runner->wish);
		goto out;
	}
	pthread_mutex_lock(&content->lock);
	if (content->whole)
		runner->wish->start = runner->wish->stop;
	else
		flight = first_flight(content, runner->wish);
	pthread_mutex_unlock(&content->lock);
	give_back(fetch, runner->wish, flight);
	if (flight) {
		int ret = fly_and_end(flight);

		away = ret == -EIO || ret == -EACCES;
	}
	content_put(content);
out:
	pthread_mutex_lock(&fetch->lock);
	if (away || fetch->stopping)
		drop_wishes(fetch);
	runner->next = fetch->free;
	fetch->free = runner;
	pthread_mutex_unlock(&fetch->lock);
	ended(fetch, FLIGHT_BACKGROUND);
}

/* --- starting and stopping --------------------------------------------------------------------------------------- */

int fetch_start(struct content_store *store)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));
	int ret;

	if (!fetch)
		return -ENOMEM;
	fetch->store = store;
	ret = workers_create(&fetch->workers, "fetch", MAXIMUM_FLIGHTS + BACKGROUND_FLIGHTS);
	if (ret) {
		free(fetch);
		return ret;
	}
	pthread_mutex_init(&fetch->lock, NULL);
	pthread_cond_init(&fetch->ended, NULL);
	fetch->last[FLIGHT_DEMAND] = &fetch->first[FLIGHT_DEMAND];
	fetch->last[FLIGHT_AHEAD] = &fetch->first[FLIGHT_AHEAD];
	fetch->last_wish = &fetch->wishes;
	for (size_t i = 0; i < BACKGROUND_FLIGHTS; i++) {
		fetch->runners[i].store = store;
		fetch->runners[i].next = fetch->free;
		fetch->free = &fetch->runners[i];
	}
	store->fetch = fetch;
	return 0;
}

/* Cancel all flights there are. */
static void cancel_all(struct content_store *store)
{
	struct content **all = content_all(store);

	for (size_t i = 0; all && all[i]; i++) {
		pthread_mutex_lock(&all[i]->lock);
		for (struct flight *flight = all[i]->flights; flight; flight = flight->next)
			atomic_store(&flight->cancelled, 1);
		pthread_cond_broadcast(&all[i]->changed);
		pthread_mutex_unlock(&all[i]->lock);
		content_drop(all[i]);
	}
	free(all);
}

void fetch_stop(struct content_store *store)
{
	struct fetch *fetch = store->fetch;

	pthread_mutex_lock(&fetch->lock);
	fetch->stopping = true;
	drop_wishes(fetch);
	pthread_mutex_unlock(&fetch->lock);
	cancel_all(store);
	pthread_mutex_lock(&fetch->lock);
	dispatch(fetch);
	while (flying_now(fetch) > 0 || fetch->first[FLIGHT_DEMAND] || fetch->first[FLIGHT_AHEAD])
		pthread_cond_wait(&fetch->ended, &fetch->lock);
	pthread_mutex_unlock(&fetch->lock);
	workers_destroy(fetch->workers);
	pthread_cond_destroy(&fetch->ended);
	pthread_mutex_destroy(&fetch->lock);
	free(fetch);
	store->fetch = NULL;
}
