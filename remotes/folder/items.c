/* SPDX-License-Identifier: MIT */
#include "folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define PROPERTIES_MAX	 64u
#define PROPERTIES_BYTES (64u << 10)
#define PROPERTY_KEY_MAX 64u

static struct dw_time time_of(int64_t nanoseconds)
{
	int64_t seconds = nanoseconds / NANOSECONDS;
	int64_t rest = nanoseconds % NANOSECONDS;

	if (rest < 0) {
		seconds--;
		rest += NANOSECONDS;
	}
	return (struct dw_time){seconds, (uint32_t)rest};
}

int shown_fill(struct folder *folder, const struct row *row, bool properties, struct shown *shown)
{
	struct dw_remote_item *item = &shown->item;
	struct dw_remote_property *list = NULL;
	int err = 0;

	shown->row = *row;
	snprintf(shown->id, sizeof(shown->id), "%" PRId64, row->id);
	snprintf(shown->etag, sizeof(shown->etag), "%" PRId64, row->version);
	if (row->id != ROOT_ID)
		snprintf(shown->parent, sizeof(shown->parent), "%" PRId64, row->parent);
	if (properties)
		err = index_properties(&folder->index, row->id, &shown->properties);
	if (err == 0 && shown->properties.count > 0) {
		list = calloc(shown->properties.count, sizeof(*list));
		err = list == NULL ? -ENOMEM : 0;
	}
	for (size_t i = 0; i < shown->properties.count && err == 0; i++) {
		list[i].key = shown->properties.list[i].key;
		list[i].value = shown->properties.list[i].value;
	}
	*item = (struct dw_remote_item){
		.size = sizeof(*item),
		.type = (enum dw_remote_type)row->type,
		.id = shown->id,
		.parent = shown->parent,
		.name = shown->row.name,
		.etag = shown->etag,
		.content = row->type == DW_REMOTE_FILE ? shown->row.content : "",
		.bytes = row->type == DW_REMOTE_FILE ? (uint64_t)row->bytes : 0,
		.rights = folder->read_only ? DW_REMOTE_MAY_READ
					    : DW_REMOTE_MAY_READ | DW_REMOTE_MAY_WRITE | DW_REMOTE_MAY_RENAME |
						      DW_REMOTE_MAY_DELETE,
		.created = time_of(row->birth),
		.modified = time_of(row->modified),
		.properties = list,
		.property_count = err == 0 ? shown->properties.count : 0,
		.properties_known = properties,
	};
	if (row->type == DW_REMOTE_FILE)
		item->digest_length = content_digest(folder, row->content, item->digest);
	return err;
}

void shown_clear(struct shown *shown)
{
	property_list_clear(&shown->properties);
	free((void *)shown->item.properties);
	shown->item.properties = NULL;
}

int shown_answer(struct call *call, int err, struct shown *shown, const struct dw_remote_items *items)
{
	err = call_end(call, err);
	if (err == 0)
		err = items->item(items, &shown->item);
	shown_clear(shown);
	return err;
}

int folder_stat(struct dw_remote *remote, struct dw_remote_call *remote_call, const char *id,
		const struct dw_remote_items *items)
{
	struct reached reached = REACHED_NONE;
	struct shown shown = {0};
	struct call call;
	int err;

	err = call_begin(&call, folder_of(remote), remote_call, FAULT_STAT);
	if (err != 0)
		return err;
	err = tree_take(&call, id, &reached);
	if (err == 0) {
		err = shown_fill(call.folder, &reached.row, true, &shown);
		err = tree_finish(&call, err);
	}
	reached_clear(&reached);
	return shown_answer(&call, err, &shown, items);
}

/* --- Lists ---------------------------------------------------------------------------------------------- */

/*
 * The position in a list is the id of the last item that was told: ids only grow and never change, so whatever exists
 * throughout is told, once, however names change.
 */
static int parse_cursor(const struct folder *folder, const char *cursor, int64_t *out)
{
	size_t length = strlen(folder->feed);

	*out = 0;
	if (cursor[0] == '\0')
		return 0;
	if (strncmp(cursor, folder->feed, length) != 0 || cursor[length] != ':' ||
	    tree_parse_id(cursor + length + 1, out) != 0)
		return DW_REMOTE_EXPIRED;
	return 0;
}

/* A page of rows, compared with the disk where it is the first or where what is listed looks different on disk. */
static int read_page(struct call *call, const char *id, int64_t after, struct row_list *page, struct reached *reached)
{
	struct folder *folder = call->folder;
	bool compare = after == 0;
	int err;

	for (int round = 0; round < 3; round++) {
		bool right = true;

		err = tree_take(call, id, reached);
		if (err != 0)
			return err;
		err = reached->row.type != DW_REMOTE_FOLDER ? -ENOTDIR : 0;
		if (err == 0 && compare)
			err = tree_compare(call, reached);
		if (err == 0)
			err = index_rows(&folder->index,
					 index_start(&folder->index, INDEX_ROWS_PAGE, "iii", reached->row.id, after,
						     (int64_t)folder->page + 1),
					 page);
		err = tree_finish(call, err);
		for (size_t i = 0; i < page->count && err == 0; i++) {
			struct row *row = &page->rows[i];
			struct row now = *row;
			struct statx stx;

			if (tree_statx(reached->self, row->name, &stx) != 0) {
				right = false;
				continue;
			}
			tree_stamp(&now, &stx);
			if (now.inode != row->inode)
				right = false;
			if (row->type == DW_REMOTE_FILE &&
			    (now.changed != row->changed || now.modified != row->modified || now.bytes != row->bytes))
				row->stale = true;
		}
		if (err != 0 || right || round == 2)
			return err;
		free(page->rows);
		*page = (struct row_list){0};
		reached_clear(reached);
		compare = true;
	}
	return 0;
}

/* Tell one row of a page. told: false: it is not there any more. */
static int list_row(struct call *call, int dir, struct row *row, const struct dw_remote_items *items, bool *told)
{
	struct folder *folder = call->folder;
	struct shown shown = {0};
	int64_t parent = row->parent;
	int err = call_check(call);

	*told = false;
	for (int round = 0; err == 0 && row->stale && row->type == DW_REMOTE_FILE && round < 2; round++) {
		err = content_settle(call, dir, row);
		if (err != 0)
			break;
		err = tree_begin(call);
		if (err != 0)
			break;
		err = index_row(&folder->index, index_start(&folder->index, INDEX_ROW, "i", row->id), row);
		err = tree_finish(call, err);
		if (err == -ENOENT)
			return 0;
	}
	if (err != 0 || row->parent != parent || row->state != ROW_LIVE || (row->type == DW_REMOTE_FILE && row->stale))
		return err;
	if (folder->list_properties) {
		err = tree_begin(call);
		if (err == 0)
			err = tree_finish(call, shown_fill(folder, row, true, &shown));
	} else {
		err = shown_fill(folder, row, false, &shown);
	}
	if (err == 0)
		err = items->item(items, &shown.item);
	*told = err == 0;
	shown_clear(&shown);
	return err;
}

int folder_list(struct dw_remote *remote, struct dw_remote_call *remote_call, const char *id, char *cursor,
		const struct dw_remote_items *items)
{
	struct folder *folder = folder_of(remote);
	struct reached reached = REACHED_NONE;
	struct row_list page = {0};
	struct call call;
	int64_t after;
	size_t count;
	bool told;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_LIST);
	if (err != 0)
		return err;
	err = parse_cursor(folder, cursor, &after);
	if (err == 0)
		err = read_page(&call, id, after, &page, &reached);
	count = page.count > folder->page ? folder->page : page.count;
	for (size_t i = 0; i < count && err == 0; i++)
		err = list_row(&call, reached.self, &page.rows[i], items, &told);
	err = call_end(&call, err == DW_REMOTE_TRASHED ? -ENOENT : err);
	if (err == 0 && page.count > count)
		snprintf(cursor, DW_REMOTE_CURSOR_MAX + 1, "%s:%" PRId64, folder->feed, page.rows[count - 1].id);
	else if (err == 0)
		cursor[0] = '\0';
	free(page.rows);
	reached_clear(&reached);
	return err;
}

/* --- Properties and quota --------------------------------------------------------------------------------- */

static bool key_right(const char *key)
{
	size_t length = strlen(key);

	return length > 0 && length <= PROPERTY_KEY_MAX &&
	       strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == length;
}

static int set_properties(struct folder *folder, int64_t id, const struct dw_remote_property *properties, size_t count)
{
	struct property_list list;
	size_t bytes = 0;
	int err = 0;

	for (size_t i = 0; i < count && err == 0; i++) {
		if (!key_right(properties[i].key))
			return -EINVAL;
		if (properties[i].value == NULL)
			err = index_run(&folder->index, index_start(&folder->index, INDEX_PROPERTY_DELETE, "it", id,
								    properties[i].key));
		else
			err = index_run(&folder->index, index_start(&folder->index, INDEX_PROPERTY_SET, "itt", id,
								    properties[i].key, properties[i].value));
	}
	if (err == 0)
		err = index_properties(&folder->index, id, &list);
	if (err != 0)
		return err;
	for (size_t i = 0; i < list.count; i++)
		bytes += strlen(list.list[i].key) + strlen(list.list[i].value);
	err = list.count > PROPERTIES_MAX || bytes > PROPERTIES_BYTES ? -E2BIG : 0;
	property_list_clear(&list);
	return err;
}

int folder_set_properties(struct dw_remote *remote, struct dw_remote_call *remote_call, const char *id,
			  enum dw_remote_type type, const struct dw_remote_property *properties, size_t count)
{
	struct folder *folder = folder_of(remote);
	struct reached reached = REACHED_NONE;
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_SET_PROPERTIES);
	if (err != 0)
		return err;
	err = tree_take(&call, id, &reached);
	if (err == 0) {
		err = reached.row.type == (int)type ? set_properties(folder, reached.row.id, properties, count)
						    : -ENOENT;
		if (err == 0)
			err = event_write(folder, DW_REMOTE_EVENT_CHANGED, &reached.row);
		else
			folder->index.broken = true; /* all of them or none */
		call_middle(&call);
		err = tree_finish(&call, err);
	}
	reached_clear(&reached);
	return call_end(&call, err == DW_REMOTE_TRASHED ? -ENOENT : err);
}

static int quota_used(struct folder *folder, uint64_t *out)
{
	sqlite3_stmt *statement = index_start(&folder->index, INDEX_BYTES, "");
	int err = index_step(&folder->index, statement);

	if (err != 1)
		return err == 0 ? -EIO : err;
	*out = (uint64_t)sqlite3_column_int64(statement, 0);
	index_stop(statement);
	return 0;
}

int quota_check(struct folder *folder, uint64_t bytes, uint64_t old)
{
	uint64_t used = 0;
	int err;

	if (folder->quota == UINT64_MAX)
		return 0;
	err = quota_used(folder, &used);
	if (err != 0)
		return err;
	used = used > old ? used - old : 0;
	return used > folder->quota || bytes > folder->quota - used ? -ENOSPC : 0;
}

int folder_quota(struct dw_remote *remote, struct dw_remote_call *remote_call, struct dw_remote_quota *out)
{
	struct folder *folder = folder_of(remote);
	struct statvfs space;
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_QUOTA);
	if (err != 0)
		return err;
	if (folder->quota != UINT64_MAX) {
		out->total = folder->quota;
		err = tree_begin(&call);
		if (err == 0)
			err = tree_finish(&call, quota_used(folder, &out->used));
	} else if (fstatvfs(folder->side, &space) != 0) {
		err = disk_error(errno);
	} else {
		out->total = (uint64_t)space.f_blocks * space.f_frsize;
		out->used = out->total - (uint64_t)space.f_bavail * space.f_frsize;
	}
	return call_end(&call, err);
}
