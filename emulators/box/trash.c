/* SPDX-License-Identifier: MIT */
#include "emulators/box/answer.h"
#include "emulators/box/check.h"
#include "emulators/box/events.h"
#include "emulators/box/nodes.h"
#include "emulators/box/render.h"
#include "support/text.h"

#include <string.h>

void trash_items(struct request *request)
{
	struct store *store = request->emulator->store;
	int64_t limit = request_query_number(request, "limit", 100, INT64_MAX);
	int64_t offset = request_query_number(request, "offset", 0, 300000), total, after;
	bool by_marker = request_query_true(request, "usemarker");
	const char *marker = request_query(request, "marker");
	struct item last = {0};
	sqlite3_stmt *statement;
	uint64_t number = 0;
	json_t *entries, *next;

	if (limit < 0 || offset < 0 || (marker && *marker && text_parse_number(marker, INT64_MAX, &number))) {
		answer_error(request, 400, NULL, "limit, offset or marker is not valid");
		return;
	}
	limit = limit < 1 ? 1 : limit > 1000 ? 1000 : limit;
	after = (int64_t)number;
	statement = store_ask(store,
			      "SELECT " ITEM_COLUMNS
			      " FROM item WHERE owner = ? AND trashed > 0 AND key > ? ORDER BY key"
			      " LIMIT ? OFFSET ?",
			      "iiii", request->user.id, after, limit + 1, by_marker ? 0 : offset);
	entries = nodes_entries(request, statement, limit, &last);
	if (by_marker) {
		next = (int64_t)json_array_size(entries) == limit && store_next(store, statement)
			       ? render_number_text(last.key)
			       : json_null();
		store_done(statement);
		answer_json(request, 200,
			    json_pack("{s:o, s:I, s:o}", "entries", entries, "limit", (json_int_t)limit, "next_marker",
				      next));
		return;
	}
	store_done(statement);
	total = store_number(store, 0, "SELECT count(*) FROM item WHERE owner = ? AND trashed > 0", "i",
			     request->user.id);
	answer_json(request, 200,
		    json_pack("{s:I, s:o, s:I, s:I}", "total_count", (json_int_t)total, "entries", entries, "offset",
			      (json_int_t)offset, "limit", (json_int_t)limit));
}

/* The item of the first argument, which was itself deleted; 404. */
static bool trash_item(struct request *request, struct item *item)
{
	if (!check_item(request, check_about_folder(request), request->arguments[0], ITEM_TRASHED, item))
		return false;
	if (item->trashed)
		return true;
	answer_error(request, 404, "not_trashed", "Item is not trashed");
	return false;
}

void trash_get(struct request *request)
{
	struct fields fields;
	struct item item;

	if (!trash_item(request, &item))
		return;
	fields_read(request, &fields);
	answer_json(request, 200, render_item(request, &item, &fields, RENDER_FULL));
}

void trash_purge(struct request *request)
{
	struct item item;

	if (!trash_item(request, &item) || !check_if_match(request, &item))
		return;
	item_purge(request->emulator, &item);
	answer_empty(request, 204);
}

static void trash_put_back(struct request *request, struct item *item, const json_t *body)
{
	struct emulator *emulator = request->emulator;
	const char *name = json_string_value(json_object_get(body, "name"));
	struct item parent;
	struct fields fields;

	/* Where it was, when that is still there; otherwise, or when that is not wanted, where the body says. */
	if (json_object_get(body, "parent") && (!item_get(emulator->store, item->parent, &parent) ||
						item_status(emulator->store, &parent) != ITEM_ACTIVE || name)) {
		if (!check_parent(request, body, &parent))
			return;
	} else if (!item_get(emulator->store, item->parent, &parent) ||
		   item_status(emulator->store, &parent) != ITEM_ACTIVE) {
		answer_error(request, 403, "forbidden", "The folder that it was in is gone, and no parent is given");
		return;
	}
	name = name ? name : item->name;
	if (!check_name(request, name) || !check_free(request, parent.key, name, item->key))
		return;
	item->parent = parent.key;
	memmove(item->name, name, strlen(name) + 1);
	item->trashed = 0;
	item_update(emulator, item);
	item_touch(emulator, parent.key);
	events_add(request, "ITEM_UNDELETE_VIA_TRASH", item);
	fields_read(request, &fields);
	answer_json(request, 201, render_item(request, item, &fields, RENDER_FULL));
}

void trash_restore(struct request *request)
{
	struct item item;
	json_t *body;

	if (!trash_item(request, &item))
		return;
	body = request_json(request);
	if (!body)
		return;
	trash_put_back(request, &item, body);
	json_decref(body);
}
