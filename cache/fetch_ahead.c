/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <time.h>

#include "cache/fetch.h"

#define WINDOW_FIRST CONTENT_SMALL
#define GROWTH	     4 /* of the window, each time that half of it was read */
#define RANGE_MAX    (8ull << 20)
#define SLACK_MIN    CONTENT_ROUND
#define SLACK_MAX    (4ull << 20)
#define LOOK	     100000000ull /* nanoseconds between looks at who interrupts */
#define MISFITS_MAX  2

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* --- reading ahead -------------------------------------------------------------------------------------------------
 */

/* The kernel sends what one reader reads in pieces that may overtake one another. */
static bool goes_on(const struct content_stream *stream, uint64_t start)
{
	uint64_t slack = least(most(stream->window, SLACK_MIN), SLACK_MAX);

	return stream->used && start <= stream->position + slack && start + slack >= stream->position;
}

static struct content_stream *find_stream(struct content *content, uint64_t start, bool *known)
{
	struct content_stream *oldest = &content->streams[0];

	for (size_t i = 0; i < CONTENT_STREAMS; i++) {
		struct content_stream *stream = &content->streams[i];

		*known = goes_on(stream, start);
		if (*known)
			return stream;
		if (stream->used < oldest->used)
			oldest = stream;
	}
	return oldest;
}

bool fetch_ahead(struct content *content, uint64_t start, uint64_t stop)
{
	const struct content_store *store = content->store;
	uint64_t maximum = store->config.read_ahead, range, end;
	struct content_stream *stream;
	bool known;

	stream = find_stream(content, start, &known);
	stream->used = ++content->stream_clock;
	if (!known) {
		stream->position = stop;
		stream->ahead = stop;
		stream->window = 0;
		stream->grows = 0;
		return true;
	}
	if (stop <= stream->position)
		return false; /* it was there already */
	stream->position = stop;
	stream->ahead = most(stream->ahead, stream->position);
	if (stream->position >= stream->grows) {
		stream->window = least(most(stream->window * GROWTH, WINDOW_FIRST), maximum);
		stream->grows = stream->position + stream->window / 2;
	}
	/* As many ranges as are fetched at a time make a window, but none too small to pay; a window that is small yet
	 * is two. */
	range = most(stream->window / store->parallel, least(store->range, stream->window / 2));
	range = least(range, RANGE_MAX);
	end = least(stream->position + stream->window, content->size);
	while (stream->ahead < end && (end - stream->ahead >= range || end == content->size)) {
		uint64_t next = least(stream->ahead + range, end);

		if (fetch_want(content, stream->ahead, next, FLIGHT_AHEAD, 0, false))
			break;
		stream->ahead = next;
	}
	return false;
}

/* --- waiting -------------------------------------------------------------------------------------------------------
 */

/* Small files are read when they are known to be right. */
static bool must_be_whole(const struct content *content)
{
	return content->size <= CONTENT_SMALL && content->digest_length > 0 && !content->local;
}

bool fetch_is_here(const struct content *content, uint64_t start, uint64_t stop)
{
	if (content->whole)
		return true;
	if (stop == 0 || must_be_whole(content))
		return false;
	return !content_is_missing(content, start, stop);
}

/* The flight that brought the last bytes is about to check them. */
static bool is_landing(const struct content *content)
{
	for (const struct flight *flight = content->flights; flight; flight = flight->next) {
		if (flight->at >= flight->stop)
			return true;
	}
	return false;
}

/* Everything: a window of ranges from the first that is missing. */
static int want_all(struct content *content, uint64_t until)
{
	const struct content_store *store = content->store;
	uint64_t from, to, end;
	int ret = 0;

	if (!content_map_missing(&content->map, 0, content->size, &from, &to)) {
		if (!content->checking && !is_landing(content))
			ret = content_check(content);
		return ret == -ENOMEM ? ret : 0;
	}
	end = least(from + store->parallel * RANGE_MAX, content->size);
	while (!ret && from < end) {
		to = least(from + RANGE_MAX, end);
		ret = fetch_want(content, from, to, FLIGHT_AHEAD, until, false);
		from = to;
	}
	return ret;
}

static int want(struct content *content, uint64_t start, uint64_t stop, uint64_t until, bool jump)
{
	if (stop == 0)
		return want_all(content, until);
	if (content->size <= CONTENT_SMALL) {
		if (!content_is_missing(content, 0, content->size))
			return want_all(content, until);
		return fetch_want(content, 0, content->size, FLIGHT_DEMAND, until, false);
	}
	start -= start % 4096;
	stop = least(stop + (CONTENT_ROUND - stop % CONTENT_ROUND) % CONTENT_ROUND, content->size);
	return fetch_want(content, start, stop, FLIGHT_DEMAND, until, jump);
}

static int give_up(const struct content *content, const struct content_wait *wait, uint64_t deadline,
		   const volatile uint32_t *interrupted, const volatile uint32_t *cancelled)
{
	if (deadline && content_clock() >= deadline)
		return -ETIMEDOUT;
	if (wait->error)
		return wait->error;
	if (content->misfits >= MISFITS_MAX && !content->local)
		return -EIO;
	if (interrupted && __atomic_load_n(interrupted, __ATOMIC_ACQUIRE))
		return -EINTR;
	if (cancelled && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE))
		return -ECANCELED;
	return 0;
}

static void wait_a_while(struct content *content, uint64_t deadline)
{
	uint64_t until = content_clock() + LOOK;
	struct timespec time;

	if (deadline)
		until = least(until, deadline);
	time.tv_sec = (time_t)(until / 1000000000u);
	time.tv_nsec = (long)(until % 1000000000u);
	pthread_cond_timedwait(&content->changed, &content->lock, &time);
}

int fetch_wait(struct content *content, uint64_t start, uint64_t stop, uint64_t deadline, bool jump,
	       const volatile uint32_t *interrupted, const volatile uint32_t *cancelled)
{
	struct content_wait wait = {.next = content->waits, .start = start, .stop = stop}, **at;
	int ret = 0;

	content->waits = &wait;
	while (!fetch_is_here(content, start, stop)) {
		ret = give_up(content, &wait, deadline, interrupted, cancelled);
		if (!ret)
			ret = want(content, start, stop, deadline ? deadline : UINT64_MAX, jump);
		if (ret)
			break;
		if (!fetch_is_here(content, start, stop))
			wait_a_while(content, deadline);
	}
	for (at = &content->waits; *at != &wait; at = &(*at)->next)
		;
	*at = wait.next;
	return ret;
}
