/* SPDX-License-Identifier: MIT */
/*
 * changes.c - the feed
 *
 * Every change of the index is an event with a number; the last feed_length of them are kept. A position is the number
 * of the last event that was told, with the name of the feed, which is a new one when the database is. Whoever waits is
 * woken by changes of this process and looks for those of other processes a few times a second. What programs changed
 * in the folder itself becomes known when somebody looks there, at the latest by the scan that a waiting call does
 * every rescan seconds, or more seldom where scans take long.
 */
#include "folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH	   256
#define LOOK_AGAIN UINT64_C(50000000) /* for cancellation */
#define LOOKS	   4u		      /* so many of them between two looks at the index */
#define SCAN_SHARE 20u		      /* a scan may take this fraction of the time */

struct told {
	int64_t number;
	int64_t id;
	int64_t parent;
	enum dw_remote_event_type type;
	char name[NAME_MAX + 1];
};

int event_write(struct folder *folder, enum dw_remote_event_type type, const struct row *row)
{
	struct index *index = &folder->index;
	int64_t number;
	int err;

	err = index_run(index,
			index_start(index, INDEX_EVENT_INSERT, "iiin", (int64_t)type, row->id, row->parent, row->name));
	number = sqlite3_last_insert_rowid(index->database);
	if (err == 0 && number > (int64_t)folder->feed_length)
		err = index_run(index,
				index_start(index, INDEX_EVENT_TRIM, "i", number - (int64_t)folder->feed_length));
	if (err == 0)
		pthread_cond_broadcast(&folder->changed);
	return err;
}

/* Under the transaction: the number of the newest event. */
static int last_event(struct folder *folder, int64_t *out)
{
	sqlite3_stmt *statement = index_start(&folder->index, INDEX_EVENT_LAST, "");
	int err = index_step(&folder->index, statement);

	*out = 0;
	if (err != 1)
		return err;
	*out = sqlite3_column_int64(statement, 0);
	index_stop(statement);
	return 0;
}

static int parse_cursor(const struct folder *folder, const char *cursor, int64_t *out)
{
	size_t length = strlen(folder->feed);

	*out = 0;
	if (strncmp(cursor, folder->feed, length) != 0 || cursor[length] != ':')
		return DW_REMOTE_EXPIRED;
	cursor += length + 1;
	if (strcmp(cursor, "0") == 0)
		return 0;
	return tree_parse_id(cursor, out) == 0 ? 0 : DW_REMOTE_EXPIRED;
}

static void write_cursor(const struct folder *folder, int64_t number, char *cursor)
{
	snprintf(cursor, DW_REMOTE_CURSOR_MAX + 1, "%s:%" PRId64, folder->feed, number);
}

/* Under the transaction: the next events after number. */
static int read_events(struct folder *folder, int64_t after, struct told *list, size_t *count)
{
	sqlite3_stmt *statement;
	int64_t last;
	int err;

	*count = 0;
	err = last_event(folder, &last);
	if (err != 0)
		return err;
	if (after > last || after < last - (int64_t)folder->feed_length)
		return DW_REMOTE_EXPIRED;
	if (after == last)
		return 0;
	statement = index_start(&folder->index, INDEX_EVENTS, "ii", after, (int64_t)BATCH);
	while (*count < BATCH && (err = index_step(&folder->index, statement)) == 1) {
		struct told *told = &list[*count];

		told->number = sqlite3_column_int64(statement, 0);
		told->type = sqlite3_column_int(statement, 1) == DW_REMOTE_EVENT_REMOVED ? DW_REMOTE_EVENT_REMOVED
											 : DW_REMOTE_EVENT_CHANGED;
		told->id = sqlite3_column_int64(statement, 2);
		told->parent = sqlite3_column_int64(statement, 3);
		if (!index_text(statement, 4, told->name, sizeof(told->name))) {
			index_stop(statement);
			return -EIO;
		}
		(*count)++;
	}
	if (*count == BATCH)
		index_stop(statement);
	return err < 0 ? err : 0;
}

/* An item as the event left it: only its names are sure. */
static void fill_removed(const struct told *told, struct shown *shown)
{
	snprintf(shown->id, sizeof(shown->id), "%" PRId64, told->id);
	if (told->parent != 0)
		snprintf(shown->parent, sizeof(shown->parent), "%" PRId64, told->parent);
	memcpy(shown->row.name, told->name, sizeof(told->name));
	shown->item = (struct dw_remote_item){
		.size = sizeof(shown->item),
		.type = DW_REMOTE_OTHER,
		.id = shown->id,
		.parent = shown->parent,
		.name = shown->row.name,
		.etag = "",
		.content = "",
	};
}

static int tell(struct call *call, const struct told *told, const struct dw_remote_events *events)
{
	struct reached reached = REACHED_NONE;
	enum dw_remote_event_type type = told->type;
	struct shown shown = {0};
	int err = 0;

	if (type == DW_REMOTE_EVENT_CHANGED) {
		char id[24];

		snprintf(id, sizeof(id), "%" PRId64, told->id);
		err = tree_take(call, id, &reached);
		if (err == 0)
			err = tree_finish(call, shown_fill(call->folder, &reached.row, true, &shown));
		reached_clear(&reached);
		if (err == -ENOENT || err == DW_REMOTE_TRASHED) {
			type = DW_REMOTE_EVENT_REMOVED;
			err = 0;
		}
	}
	if (type == DW_REMOTE_EVENT_REMOVED)
		fill_removed(told, &shown);
	if (err == 0)
		err = events->event(events, type, &shown.item);
	shown_clear(&shown);
	return err;
}

/* Look at a file, so that its event is written where it was edited. */
static int look_at(struct call *call, int64_t id)
{
	struct reached reached = REACHED_NONE;
	char text[24];
	int err;

	snprintf(text, sizeof(text), "%" PRId64, id);
	err = tree_take(call, text, &reached);
	if (err == 0)
		err = tree_finish(call, 0);
	reached_clear(&reached);
	/* Those that go, cannot be read or are being written now are for the next scan. */
	return err == -ENOENT || err == -EACCES || err == DW_REMOTE_TRASHED || err == DW_REMOTE_LATER ? 0 : err;
}

/* Scan the folder where it is time to. */
static int scan(struct call *call)
{
	struct folder *folder = call->folder;
	uint64_t began = clock_now();
	uint64_t pause = folder->rescan;
	struct id_list edited = {0};
	uint64_t took;
	int err;

	if (folder->rescan == 0)
		return 0;
	pthread_mutex_lock(&folder->lock);
	if (began < folder->next_scan) {
		pthread_mutex_unlock(&folder->lock);
		return 0;
	}
	folder->next_scan = began + pause;
	pthread_mutex_unlock(&folder->lock);
	err = tree_begin(call);
	if (err != 0)
		return err;
	err = tree_scan(call);
	if (err == 0)
		err = index_ids(&folder->index, index_start(&folder->index, INDEX_IDS_EDITED, ""), &edited);
	took = clock_now() - began;
	folder->next_scan = clock_now() + (took * SCAN_SHARE > pause ? took * SCAN_SHARE : pause);
	err = tree_finish(call, err);
	for (size_t i = 0; i < edited.count && err == 0; i++)
		err = look_at(call, edited.ids[i]);
	free(edited.ids);
	return err;
}

/* Sleep until this process has written an event, or for a while. closing: give up. */
static int sleep_a_while(struct folder *folder)
{
	uint64_t until = clock_now() + LOOK_AGAIN;
	struct timespec time = {(time_t)(until / NANOSECONDS), (long)(until % NANOSECONDS)};
	int err;

	pthread_mutex_lock(&folder->lock);
	err = folder->closing ? 0 : pthread_cond_timedwait(&folder->changed, &folder->lock, &time);
	if (folder->closing)
		err = -ECANCELED;
	pthread_mutex_unlock(&folder->lock);
	return err;
}

/* Wait for events after number. */
static int wait_events(struct call *call, int64_t after, struct told *list, size_t *count)
{
	struct folder *folder = call->folder;
	int err;

	for (;;) {
		err = scan(call);
		if (err == 0)
			err = tree_begin(call);
		if (err != 0)
			return err;
		err = tree_finish(call, read_events(folder, after, list, count));
		if (err != 0 || *count > 0)
			return err;
		for (unsigned i = 0; i < LOOKS; i++) {
			err = call_check(call);
			if (err == 0)
				err = sleep_a_while(folder);
			if (err < 0)
				return err;
			if (err == 0)
				break; /* woken */
		}
	}
}

int folder_changes(struct dw_remote *remote, struct dw_remote_call *remote_call, char *cursor,
		   const struct dw_remote_events *events)
{
	struct folder *folder = folder_of(remote);
	struct told *list = NULL;
	struct call call;
	size_t count = 0;
	int64_t number;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_CHANGES);
	if (err != 0)
		return err;
	if (cursor[0] == '\0') {
		err = tree_begin(&call);
		if (err == 0)
			err = tree_finish(&call, last_event(folder, &number));
		err = call_end(&call, err);
		if (err == 0)
			write_cursor(folder, number, cursor);
		return err;
	}
	list = calloc(BATCH, sizeof(*list));
	err = list == NULL ? -ENOMEM : parse_cursor(folder, cursor, &number);
	if (err == 0)
		err = wait_events(&call, number, list, &count);
	for (size_t i = 0; i < count && err == 0; i++)
		err = tell(&call, &list[i], events);
	err = call_end(&call, err);
	if (err == 0)
		write_cursor(folder, list[count - 1].number, cursor);
	free(list);
	return err;
}
