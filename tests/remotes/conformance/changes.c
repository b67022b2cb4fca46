/* SPDX-License-Identifier: MIT */
/*
 * changes.c - the feed
 *
 * Other things may happen to the account meanwhile, so a case only looks for what it did itself.
 */
#include "suite.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct told {
	enum dw_remote_event_type type;
	char id[DW_REMOTE_ID_MAX + 1];
	char name[1025];
};

struct following {
	struct dw_remote_events events;
	char cursor[DW_REMOTE_CURSOR_MAX + 1];
	struct told *list;
	size_t count;
	int stop_with;
};

static int take_event(const struct dw_remote_events *events, enum dw_remote_event_type type,
		      const struct dw_remote_item *item)
{
	struct following *following = events->context;
	struct told *more = reallocarray(following->list, following->count + 1, sizeof(*more));

	NEED(more != NULL);
	following->list = more;
	more += following->count++;
	memset(more, 0, sizeof(*more));
	more->type = type;
	NEED(type >= DW_REMOTE_EVENT_CHANGED && type <= DW_REMOTE_EVENT_LOST);
	if (type != DW_REMOTE_EVENT_LOST) {
		NEED(item != NULL && item->id != NULL && item->id[0] != '\0' && strlen(item->id) <= DW_REMOTE_ID_MAX);
		memcpy(more->id, item->id, strlen(item->id));
	}
	if (type == DW_REMOTE_EVENT_CHANGED && item->name != NULL && strlen(item->name) < sizeof(more->name))
		memcpy(more->name, item->name, strlen(item->name));
	return following->stop_with;
}

static int ask(struct suite *suite, struct following *following, uint64_t wait)
{
	struct dw_remote_call call;
	int err;

	following->events.event = take_event;
	following->events.context = following;
	do {
		call = call_new();
		call.deadline = now_monotonic() + wait;
		err = suite->ops->changes(suite->remote, &call, following->cursor, &following->events);
	} while (call_again(&call, err));
	EXPECT(memchr(following->cursor, '\0', sizeof(following->cursor)) != NULL);
	return err;
}

static void begin(struct suite *suite, struct following *following)
{
	memset(following, 0, sizeof(*following));
	NEED_OK(ask(suite, following, CALL_SECONDS * SECOND));
	EXPECT(following->count == 0 && following->cursor[0] != '\0');
}

/* Follow until the last that is told of id is this, for at most half a minute. */
static bool is_told(struct suite *suite, struct following *following, const char *id, enum dw_remote_event_type type,
		    const char *name)
{
	uint64_t end = now_monotonic() + 30 * SECOND;

	do {
		for (size_t i = following->count; i > 0; i--) {
			struct told *told = &following->list[i - 1];

			if (strcmp(told->id, id) != 0)
				continue;
			if (told->type == type && (name == NULL || strcmp(told->name, name) == 0))
				return true;
			break;
		}
		if (ask(suite, following, SECOND) == DW_REMOTE_EXPIRED)
			return false;
	} while (now_monotonic() < end);
	return false;
}

static void end(struct following *following)
{
	free(following->list);
}

static void own_ones_are_told(struct suite *suite)
{
	struct following following;
	struct pattern pattern;
	struct item folder;
	struct item file;
	struct item now;

	begin(suite, &following);
	folder = make_folder(suite, suite->folder, "folder");
	EXPECT(is_told(suite, &following, folder.id, DW_REMOTE_EVENT_CHANGED, "folder"));
	file = make_file(suite, "file", 10, 1);
	EXPECT(is_told(suite, &following, file.id, DW_REMOTE_EVENT_CHANGED, "file"));
	following.count = 0;
	pattern_begin(suite, &pattern, 20, 2);
	NEED_OK(do_replace(suite, file.id, NULL, &pattern, &now));
	EXPECT(is_told(suite, &following, file.id, DW_REMOTE_EVENT_CHANGED, NULL));
	NEED_OK(do_move(suite, &file, NULL, folder.id, "moved", &now));
	EXPECT(is_told(suite, &following, file.id, DW_REMOTE_EVENT_CHANGED, "moved"));
	NEED_OK(do_remove(suite, &file, NULL, false));
	EXPECT(is_told(suite, &following, file.id, DW_REMOTE_EVENT_REMOVED, NULL));
	NEED_OK(do_remove(suite, &folder, NULL, true));
	EXPECT(is_told(suite, &following, folder.id, DW_REMOTE_EVENT_REMOVED, NULL));
	end(&following);
}

static void position_survives_reopening(struct suite *suite)
{
	struct following following;
	struct item one;
	struct item two;

	begin(suite, &following);
	one = make_file(suite, "one", 10, 1);
	suite_reopen(suite);
	two = make_file(suite, "two", 10, 1);
	EXPECT(is_told(suite, &following, one.id, DW_REMOTE_EVENT_CHANGED, "one"));
	EXPECT(is_told(suite, &following, two.id, DW_REMOTE_EVENT_CHANGED, "two"));
	end(&following);
}

/* Ask until all that is old has been told. */
static void drain(struct suite *suite, struct following *following)
{
	for (int i = 0; i < 100 && ask(suite, following, SECOND / 2) == 0; i++)
		;
	following->count = 0;
}

static void nothing_happens(struct suite *suite)
{
	struct following following;
	char before[DW_REMOTE_CURSOR_MAX + 1];
	uint64_t began;
	int err;

	begin(suite, &following);
	drain(suite, &following);
	memcpy(before, following.cursor, sizeof(before));
	began = now_monotonic();
	err = ask(suite, &following, SECOND / 3);
	if (err == 0 && following.count > 0)
		suite_skip("something else happened");
	EXPECT_RESULT(err, -ETIMEDOUT);
	EXPECT(now_monotonic() - began >= SECOND / 3);
	EXPECT(now_monotonic() - began < 10 * SECOND);
	EXPECT(following.count == 0 && strcmp(before, following.cursor) == 0);
	end(&following);
}

static void position_is_nonsense(struct suite *suite)
{
	static const char *const wrong[] = {"nonsense", "\x7f\xff", ":", "99999999999999999999999"};
	struct following following = {0};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int err;

		memcpy(following.cursor, wrong[i], strlen(wrong[i]) + 1);
		err = ask(suite, &following, 5 * SECOND);
		EXPECT(err == DW_REMOTE_EXPIRED ||
		       (err == 0 && following.count > 0 && following.list[0].type == DW_REMOTE_EVENT_LOST));
		following.count = 0;
	}
	end(&following);
}

static void callback_ends_it(struct suite *suite)
{
	struct following following;
	char before[DW_REMOTE_CURSOR_MAX + 1];
	struct item file;
	int err = -ETIMEDOUT;

	begin(suite, &following);
	memcpy(before, following.cursor, sizeof(before));
	file = make_file(suite, "file", 10, 1);
	following.stop_with = -ECONNRESET;
	for (int i = 0; i < 30 && err == -ETIMEDOUT; i++)
		err = ask(suite, &following, SECOND);
	EXPECT_RESULT(err, -ECONNRESET);
	EXPECT(following.count == 1 && strcmp(before, following.cursor) == 0);
	following.stop_with = 0;
	following.count = 0;
	EXPECT(is_told(suite, &following, file.id, DW_REMOTE_EVENT_CHANGED, "file"));
	end(&following);
}

struct waiting {
	struct suite *suite;
	struct following following;
	uint32_t cancelled;
	int err;
};

static void *wait_cancelled(void *argument)
{
	struct waiting *waiting = argument;
	struct dw_remote_call call = call_new();

	waiting->following.events = (struct dw_remote_events){take_event, &waiting->following};
	call.cancelled = &waiting->cancelled;
	waiting->err = waiting->suite->ops->changes(waiting->suite->remote, &call, waiting->following.cursor,
						    &waiting->following.events);
	return NULL;
}

static void wait_is_cancelled(struct suite *suite)
{
	struct timespec pause = {.tv_nsec = 200000000};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	uint64_t began = now_monotonic();
	pthread_t thread;

	NEED(waiting != NULL);
	waiting->suite = suite;
	begin(suite, &waiting->following);
	drain(suite, &waiting->following);
	NEED(pthread_create(&thread, NULL, wait_cancelled, waiting) == 0);
	nanosleep(&pause, NULL);
	__atomic_store_n(&waiting->cancelled, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT(waiting->err == -ECANCELED || (waiting->err == 0 && waiting->following.count > 0));
	EXPECT(now_monotonic() - began < CALL_SECONDS * SECOND / 2);
	end(&waiting->following);
	free(waiting);
}

static void *wait_long(void *argument)
{
	struct waiting *waiting = argument;

	waiting->err = ask(waiting->suite, &waiting->following, CALL_SECONDS * SECOND / 2);
	return NULL;
}

/* A call that waits hears of what another remote of the same account does. */
static void of_another_remote(struct suite *suite)
{
	struct timespec pause = {.tv_nsec = 200000000};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct suite other = *suite;
	struct item file;
	pthread_t thread;

	NEED(waiting != NULL);
	waiting->suite = suite;
	other.remote = suite_open(suite);
	other.ops = other.remote->ops;
	begin(suite, &waiting->following);
	drain(suite, &waiting->following);
	NEED(pthread_create(&thread, NULL, wait_long, waiting) == 0);
	nanosleep(&pause, NULL);
	file = make_file(&other, "file", 10, 1);
	pthread_join(thread, NULL);
	EXPECT_RESULT(waiting->err, 0);
	EXPECT(is_told(suite, &waiting->following, file.id, DW_REMOTE_EVENT_CHANGED, "file"));
	other.ops->close(other.remote);
	end(&waiting->following);
	free(waiting);
}

#define NEEDS (NEEDS_WRITE | NEEDS_CHANGES)
const struct suite_case change_cases[] = {
	{"changes_own_ones_are_told", own_ones_are_told, NEEDS},
	{"changes_position_survives_reopening", position_survives_reopening, NEEDS},
	{"changes_nothing_happens", nothing_happens, NEEDS},
	{"changes_position_is_nonsense", position_is_nonsense, NEEDS},
	{"changes_callback_ends_it", callback_ends_it, NEEDS},
	{"changes_wait_is_cancelled", wait_is_cancelled, NEEDS},
	{"changes_of_another_remote", of_another_remote, NEEDS},
	{NULL, NULL, 0},
};
