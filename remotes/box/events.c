/* SPDX-License-Identifier: MIT */
/*
 * The change feed.
 *
 *      changes("")        GET /events?stream_position=now        -> a position, nothing else
 *      changes(position)  GET /events?stream_position=position   -> events: told, and the next position
 *                         none: OPTIONS /events -> address; GET it, which answers when something has happened
 *                                "new_change": ask for events again; "reconnect": begin at OPTIONS
 *
 * Box tells an event more than once; those of the last BOX_SEEN that went out with a position that the caller has taken
 * over are left out. A position that Box does not know any more is DW_REMOTE_EXPIRED.
 */
#include "remotes/box/box.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE	     "500"
#define POLL_DEFAULT 610u /* seconds that the long poll is quiet at most */
#define POLL_MARGIN  20u
#define PAUSE_QUIET  1000000000ull /* between two empty answers: the poll has ended without a reason */

static uint64_t now_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	return hash ? hash : 1;
}

static bool was_seen(struct box *box, const char *event)
{
	uint64_t hash = hash_of(event);
	bool found = false;

	pthread_mutex_lock(&box->feed_lock);
	for (unsigned i = 0; i < BOX_SEEN && !found; i++)
		found = box->seen[i] == hash;
	pthread_mutex_unlock(&box->feed_lock);
	return found;
}

/* The caller goes on from cursor. From another place than where it was left, it may have lost what it was told. */
static void feed_enter(struct box *box, const char *cursor)
{
	pthread_mutex_lock(&box->feed_lock);
	if (strcmp(box->feed_cursor, cursor) != 0) {
		memset(box->seen, 0, sizeof(box->seen));
		text_copy(box->feed_cursor, sizeof(box->feed_cursor), cursor);
	}
	pthread_mutex_unlock(&box->feed_lock);
}

/* All events of a page were told. */
static void feed_leave(struct box *box, const json_t *entries, const char *cursor)
{
	const json_t *entry;
	size_t i;

	pthread_mutex_lock(&box->feed_lock);
	json_array_foreach(entries, i, entry)
	{
		const char *id = box_json_text(entry, "event_id");

		if (id) {
			box->seen[box->seen_next] = hash_of(id);
			box->seen_next = (box->seen_next + 1) % BOX_SEEN;
		}
	}
	text_copy(box->feed_cursor, sizeof(box->feed_cursor), cursor);
	pthread_mutex_unlock(&box->feed_lock);
}

/* How an item is now, where an event does not say. */
static int tell_current(struct box *box, struct dw_remote_call *call, const char *real, const struct box_item *known,
			const struct dw_remote_events *events)
{
	struct box_answer answer;
	struct box_item item;
	int result = box_get_item(box, call, real, BOX_FIELDS_ITEM, &answer, &item);

	if (!result)
		result = events->event(events, DW_REMOTE_EVENT_CHANGED, &item.item);
	else if (result == -ENOENT || result == -EACCES)
		result = events->event(events, DW_REMOTE_EVENT_REMOVED, &known->item);
	box_answer_free(&answer);
	return result;
}

/* An id and as much of the rest as there is, of something that cannot be read as an item. */
static bool read_stub(const json_t *source, struct box_item *out, const struct box_alias *alias,
		      char real[BOX_NUMBER_MAX + 2])
{
	const char *type = box_json_text(source, "type");
	const char *name = box_json_text(source, "name");

	if (!type || (strcmp(type, "file") != 0 && strcmp(type, "folder") != 0) ||
	    !box_json_copy(source, "id", real + 1, BOX_NUMBER_MAX) || !box_number_valid(real + 1))
		return false;
	real[0] = strcmp(type, "file") == 0 ? 'f' : 'd';
	if (box_item_read(out, source, NULL, alias) == 0)
		return true;
	memset(out, 0, offsetof(struct box_item, properties));
	text_copy(out->id, sizeof(out->id), strcmp(real, alias->real) == 0 ? alias->shown : real);
	out->item = (struct dw_remote_item){.size = sizeof(struct dw_remote_item),
					    .type = *real == 'f' ? DW_REMOTE_FILE : DW_REMOTE_FOLDER,
					    .id = out->id,
					    .parent = out->parent,
					    .name = name ? name : "",
					    .etag = out->etag,
					    .content = out->content};
	return true;
}

static int tell_event(struct box *box, struct dw_remote_call *call, const json_t *event,
		      const struct dw_remote_events *events)
{
	const json_t *source = json_object_get(event, "source");
	const char *type = box_json_text(event, "event_type");
	char alias_real[BOX_NUMBER_MAX + 2], real[BOX_NUMBER_MAX + 2];
	struct box_alias alias;
	struct box_item item;
	bool whole;

	box_alias(box, &alias, alias_real);
	if (!type || !read_stub(source, &item, &alias, real))
		return 0; /* about something that is no file and no folder */
	if (strcmp(type, "ITEM_TRASH") == 0 || item.trashed)
		return events->event(events, DW_REMOTE_EVENT_REMOVED, &item.item);
	whole = item.parent[0] && *item.item.name && item.etag[0] && (*real == 'd' || item.content[0]) &&
		!text_starts_with(type, "COLLAB_");
	return whole ? events->event(events, DW_REMOTE_EVENT_CHANGED, &item.item)
		     : tell_current(box, call, real, &item, events);
}

/* Ask for what came after cursor, tell it, and move cursor on; *count: events told. */
static int take_events(struct box *box, struct dw_remote_call *call, char *cursor,
		       const struct dw_remote_events *events, size_t *count)
{
	char next[DW_REMOTE_CURSOR_MAX + 1] = "";
	struct box_answer answer = {.status = 0};
	const json_t *entries, *entry;
	char *escaped = http_escape(*cursor ? cursor : "now"), *path = NULL;
	int result = -ENOMEM;
	size_t i;

	*count = 0;
	if (escaped)
		path = box_path("/events?stream_type=changes&limit=" PAGE "&stream_position=%s", escaped);
	if (path)
		result = box_send(box, call, &(struct box_request){.method = "GET", .path = path}, &answer);
	free(escaped);
	free(path);
	if (*cursor && answer.status == 400)
		result = DW_REMOTE_EXPIRED;
	if (!result && (!box_json_copy(answer.json, "next_stream_position", next, sizeof(next)) || !*next)) {
		box_say(call, "Box's answer makes no sense");
		result = -EPROTO;
	}
	entries = json_object_get(answer.json, "entries");
	if (!result && *cursor) {
		json_array_foreach(entries, i, entry)
		{
			const char *id = box_json_text(entry, "event_id");

			if (id && was_seen(box, id))
				continue;
			result = tell_event(box, call, entry, events);
			if (result)
				break;
			(*count)++;
		}
	}
	if (!result) {
		/* A page that moves the position has been dealt with, even if all of it was known. */
		*count += strcmp(cursor, next) != 0;
		feed_leave(box, *cursor ? entries : NULL, next);
		text_copy(cursor, DW_REMOTE_CURSOR_MAX + 1, next);
	}
	box_answer_free(&answer);
	return result;
}

/* Where to wait for news: *url, malloc'd, and for how many seconds at most. */
static int ask_address(struct box *box, struct dw_remote_call *call, const char *cursor, char **url, uint64_t *quiet)
{
	struct box_answer answer;
	const json_t *server;
	const char *address;
	char *escaped = NULL;
	int result = box_send(box, call, &(struct box_request){.method = "OPTIONS", .path = "/events"}, &answer);

	server = json_array_get(json_object_get(answer.json, "entries"), 0);
	address = box_json_text(server, "url");
	if (!box_json_number(server, "retry_timeout", quiet) || *quiet > 86400 || !*quiet)
		*quiet = POLL_DEFAULT;
	if (!result && !address)
		result = -EPROTO;
	if (!result) {
		escaped = http_escape(cursor);
		*url = escaped ? box_path("%s%cstream_position=%s", address, strchr(address, '?') ? '&' : '?', escaped)
			       : NULL;
		result = *url ? 0 : -ENOMEM;
	}
	free(escaped);
	box_answer_free(&answer);
	return result;
}

/* Wait until there may be news: 0. */
static int wait_news(struct box *box, struct dw_remote_call *call, const char *cursor)
{
	uint64_t quiet = POLL_DEFAULT;
	struct box_answer answer;
	const char *message;
	char *url = NULL;
	int result = ask_address(box, call, cursor, &url, &quiet);
	bool news;

	if (result)
		return result;
	quiet = (quiet + POLL_MARGIN) * 1000000000u;
	result = box_send(box, call,
			  &(struct box_request){.method = "GET",
						.base = BOX_OTHER,
						.path = url,
						.single = true,
						.stall = quiet,
						.within = quiet},
			  &answer);
	free(url);
	message = box_json_text(answer.json, "message");
	news = !result && message && strcmp(message, "new_change") == 0;
	box_answer_free(&answer);
	if (news || result == -ETIMEDOUT || result == -ECANCELED)
		return result;
	/* reconnect, or a poll that broke: the events themselves are asked for before the next one, after a moment. */
	return http_sleep(result ? PAUSE_QUIET : box->settings.retry_pause, call->deadline, call->cancelled);
}

int box_changes(struct dw_remote *remote, struct dw_remote_call *call, char *cursor,
		const struct dw_remote_events *events)
{
	struct box *box = (struct box *)remote;
	char real[BOX_NUMBER_MAX + 2];
	bool first = !*cursor;
	size_t count = 0;
	int result = box_resolve(box, call, remote->root, real); /* or its id would not be known in events */

	if (result)
		return result;
	feed_enter(box, cursor);
	for (;;) {
		result = take_events(box, call, cursor, events, &count);
		if (result || count || first)
			break;
		result = wait_news(box, call, cursor);
		if (result)
			break;
		if (call->deadline && now_monotonic() >= call->deadline) {
			result = -ETIMEDOUT;
			break;
		}
	}
	return result;
}
