/* SPDX-License-Identifier: MIT */
#include "emulators/box/answer.h"
#include "emulators/box/check.h"
#include "emulators/box/events.h"
#include "emulators/box/nodes.h"
#include "emulators/box/render.h"
#include "support/text.h"

#define VERSION_COLUMNS "id, sha1, size, name, created, modified, number"

void versions_list(struct request *request)
{
	struct store *store = request->emulator->store;
	int64_t limit = request_query_number(request, "limit", 1000, INT64_MAX);
	int64_t offset = request_query_number(request, "offset", 0, 300000), total;
	json_t *entries;
	sqlite3_stmt *statement;
	struct item item;

	if (!check_this_item(request, &item))
		return;
	if (limit < 0 || offset < 0) {
		answer_error(request, 400, NULL, "limit or offset is not valid");
		return;
	}
	limit = limit > 1000 ? 1000 : limit;
	entries = json_array();
	statement = store_ask(store,
			      "SELECT " VERSION_COLUMNS " FROM version WHERE file = ? AND id <> ? ORDER BY number DESC"
			      " LIMIT ? OFFSET ?",
			      "iiii", item.key, item.version, limit, offset);
	while (store_next(store, statement))
		json_array_append_new(entries, render_version(statement));
	total = store_number(store, 0, "SELECT count(*) FROM version WHERE file = ? AND id <> ?", "ii", item.key,
			     item.version);
	answer_json(request, 200,
		    json_pack("{s:I, s:o, s:I, s:I}", "total_count", (json_int_t)total, "entries", entries, "offset",
			      (json_int_t)offset, "limit", (json_int_t)limit));
}

/* The row of a version of the file; NULL with the answer 404. */
static sqlite3_stmt *versions_find(struct request *request, const struct item *item, const char *id)
{
	struct store *store = request->emulator->store;
	sqlite3_stmt *statement;
	uint64_t number;

	if (text_parse_number(id, INT64_MAX, &number) == 0) {
		statement = store_ask(store, "SELECT " VERSION_COLUMNS " FROM version WHERE file = ? AND id = ?", "ii",
				      item->key, (int64_t)number);
		if (store_next(store, statement))
			return statement;
	}
	answer_error(request, 404, NULL, "there is no such version");
	return NULL;
}

void versions_get(struct request *request)
{
	sqlite3_stmt *statement;
	struct item item;

	if (!check_this_item(request, &item))
		return;
	statement = versions_find(request, &item, request->arguments[1]);
	if (!statement)
		return;
	answer_json(request, 200, render_version(statement));
	store_done(statement);
}

static void versions_make_current(struct request *request, struct item *item, const json_t *body)
{
	struct emulator *emulator = request->emulator;
	const char *id = json_string_value(json_object_get(body, "id"));
	char sha1[CONTENT_SHA1];
	sqlite3_stmt *statement;
	int64_t size;

	statement = versions_find(request, item, id ? id : "");
	if (!statement)
		return;
	text_copy(sha1, sizeof(sha1), store_text(statement, 1));
	size = sqlite3_column_int64(statement, 2);
	store_done(statement);
	if (!check_room(request, size))
		return;
	item_add_version(emulator, item, sha1, size);
	item->content_modified = clock_now(&emulator->clock);
	item_update(emulator, item);
	events_add(request, "ITEM_MAKE_CURRENT_VERSION", item);
	statement = store_ask(emulator->store, "SELECT " VERSION_COLUMNS " FROM version WHERE id = ?", "i",
			      item->version);
	if (!store_next(emulator->store, statement))
		return;
	answer_json(request, 201, render_version(statement));
	store_done(statement);
}

void versions_promote(struct request *request)
{
	struct item item;
	json_t *body;

	if (!check_this_item(request, &item))
		return;
	body = request_json(request);
	if (!body)
		return;
	versions_make_current(request, &item, body);
	json_decref(body);
}

void versions_delete(struct request *request)
{
	struct store *store = request->emulator->store;
	char sha1[CONTENT_SHA1];
	sqlite3_stmt *statement;
	int64_t id, size;
	struct item item;

	if (!check_this_item(request, &item) || !check_if_match(request, &item))
		return;
	statement = versions_find(request, &item, request->arguments[1]);
	if (!statement)
		return;
	id = sqlite3_column_int64(statement, 0);
	text_copy(sha1, sizeof(sha1), store_text(statement, 1));
	size = sqlite3_column_int64(statement, 2);
	store_done(statement);
	if (id == item.version) {
		answer_error(request, 403, NULL, "The current version cannot be deleted");
		return;
	}
	store_run(store, "DELETE FROM version WHERE id = ?", "i", id);
	store_run(store, "UPDATE user SET used = used - ? WHERE id = ?", "ii", size, item.owner);
	content_drop(store, sha1);
	answer_empty(request, 204);
}
