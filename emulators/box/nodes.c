/* SPDX-License-Identifier: MIT */
#include "emulators/box/nodes.h"

#include "emulators/box/answer.h"
#include "emulators/box/check.h"
#include "emulators/box/events.h"
#include "emulators/box/render.h"
#include "support/text.h"

#include <stdlib.h>
#include <string.h>

static void nodes_answer(struct request *request, unsigned int status, const struct item *item)
{
	struct fields fields;
	char etag[ITEM_ID];

	fields_read(request, &fields);
	answer_json(request, status, render_item(request, item, &fields, RENDER_FULL));
	text_format(etag, sizeof(etag), "%lld", (long long)item->etag);
	if (item->parent)
		answer_header(request, "ETag", etag);
}

void nodes_get(struct request *request)
{
	const char *known = request_header(request, "If-None-Match");
	char etag[ITEM_ID], quoted[ITEM_ID + 2];
	struct item item;

	if (!check_this_item(request, &item))
		return;
	text_format(etag, sizeof(etag), "%lld", (long long)item.etag);
	text_format(quoted, sizeof(quoted), "\"%s\"", etag);
	if (known && item.parent && (strcmp(known, etag) == 0 || strcmp(known, quoted) == 0)) {
		answer_empty(request, 304);
		return;
	}
	nodes_answer(request, 200, &item);
}

/* Set or remove what is kept beside the item: a shared link, a description, tags. */
static void nodes_set_extra(struct request *request, struct item *item, enum item_extras bit, const char *text)
{
	struct store *store = request->emulator->store;

	store_run(store, "INSERT OR IGNORE INTO extra (key) VALUES (?)", "i", item->key);
	if (bit == ITEM_SHARED)
		store_run(store, "UPDATE extra SET shared = ? WHERE key = ?", "si", text, item->key);
	else if (bit == ITEM_DESCRIBED)
		store_run(store, "UPDATE extra SET description = ? WHERE key = ?", "si", text, item->key);
	else
		store_run(store, "UPDATE extra SET tags = ? WHERE key = ?", "si", text, item->key);
	item->extras = text ? item->extras | bit : item->extras & ~(int64_t)bit;
}

static bool nodes_set_shared(struct request *request, struct item *item, const json_t *wanted)
{
	const char *access = json_string_value(json_object_get(wanted, "access"));
	char name[33], *text;
	json_t *link;

	if (json_is_null(wanted)) {
		nodes_set_extra(request, item, ITEM_SHARED, NULL);
		return true;
	}
	if (access && strcmp(access, "open") != 0 && strcmp(access, "company") != 0 &&
	    strcmp(access, "collaborators") != 0) {
		answer_invalid(request, 400, NULL, "shared_link.access", "invalid_parameter",
			       "there is no such access");
		return false;
	}
	if (!emulator_random_hex(name, 16)) {
		answer_error(request, 500, NULL, "no random numbers");
		return false;
	}
	access = access ? access : "open";
	link = json_pack("{s:o, s:n, s:n, s:b, s:n, s:s, s:s, s:s, s:i, s:i, s:{s:b, s:b, s:b}}", "url",
			 json_sprintf("https://app.box.com/s/%s", name), "download_url", "vanity_url",
			 "is_password_enabled", json_is_string(json_object_get(wanted, "password")), "unshared_at",
			 "access", access, "effective_access", access, "effective_permission", "can_download",
			 "download_count", 0, "preview_count", 0, "permissions", "can_download", 1, "can_preview", 1,
			 "can_edit", 0);
	if (link && !item->folder)
		json_object_set_new(link, "download_url", json_sprintf("https://app.box.com/shared/static/%s", name));
	text = link ? json_dumps(link, JSON_COMPACT) : NULL;
	json_decref(link);
	if (!text) {
		answer_error(request, 500, NULL, "no memory");
		return false;
	}
	nodes_set_extra(request, item, ITEM_SHARED, text);
	free(text);
	return true;
}

/* The members that a PUT may change beside name and parent; false with the answer set. */
static bool nodes_set_others(struct request *request, struct item *item, const json_t *body, bool *shared)
{
	const json_t *link = json_object_get(body, "shared_link"), *tags = json_object_get(body, "tags");
	const char *description = json_string_value(json_object_get(body, "description"));
	char *text;

	*shared = link != NULL;
	if (link && !nodes_set_shared(request, item, link))
		return false;
	if (description && strlen(description) > 1024) {
		answer_invalid(request, 400, NULL, "description", "invalid_parameter", "it is too long");
		return false;
	}
	if (description)
		nodes_set_extra(request, item, ITEM_DESCRIBED, *description ? description : NULL);
	if (json_is_array(tags)) {
		text = json_dumps(tags, JSON_COMPACT);
		nodes_set_extra(request, item, ITEM_TAGGED, text);
		free(text);
	}
	return check_time(request, body, "content_created_at", &item->content_created) &&
	       check_time(request, body, "content_modified_at", &item->content_modified);
}

static void nodes_change(struct request *request, struct item *item, const json_t *body)
{
	struct emulator *emulator = request->emulator;
	const json_t *name = json_object_get(body, "name");
	int64_t old_parent = item->parent;
	struct item parent;
	bool moved = false, renamed = false, shared;

	if (name && (!check_name(request, json_string_value(name))))
		return;
	if (json_is_object(json_object_get(body, "parent"))) {
		if (!check_parent(request, body, &parent))
			return;
		moved = parent.key != item->parent;
		item->parent = parent.key;
		if (item->folder && item_within(emulator->store, parent.key, item->key)) {
			answer_error(request, 400, "cyclical_folder_structure", "A folder cannot be put inside itself");
			return;
		}
	}
	if (name) {
		renamed = strcmp(item->name, json_string_value(name)) != 0;
		text_copy(item->name, sizeof(item->name), json_string_value(name));
	}
	if ((moved || renamed) && !check_free(request, item->parent, item->name, item->key))
		return;
	if (!nodes_set_others(request, item, body, &shared))
		return;
	item_update(emulator, item);
	if (moved) {
		item_touch(emulator, old_parent);
		item_touch(emulator, item->parent);
		events_add(request, "ITEM_MOVE", item);
	}
	if (renamed)
		events_add(request, "ITEM_RENAME", item);
	if (shared)
		events_add(request, item->extras & ITEM_SHARED ? "ITEM_SHARED" : "ITEM_SHARED_UNSHARE", item);
	if (!moved && !renamed && !shared)
		events_add(request, "ITEM_MODIFY", item);
	nodes_answer(request, 200, item);
}

void nodes_update(struct request *request)
{
	struct item item;
	json_t *body;

	if (!check_this_item(request, &item) || !check_if_match(request, &item))
		return;
	if (!item.parent) {
		answer_error(request, 403, "access_denied_insufficient_permissions", "The root cannot be changed");
		return;
	}
	body = request_json(request);
	if (!body)
		return;
	nodes_change(request, &item, body);
	json_decref(body);
}

void nodes_trash(struct request *request, struct item *item)
{
	item->trashed = clock_now(&request->emulator->clock);
	item_update(request->emulator, item);
	item_touch(request->emulator, item->parent);
	events_add(request, "ITEM_TRASH", item);
}

void nodes_delete(struct request *request)
{
	struct store *store = request->emulator->store;
	struct item item;

	if (!check_this_item(request, &item) || !check_if_match(request, &item))
		return;
	if (!item.parent) {
		answer_error(request, 403, "access_denied_insufficient_permissions", "The root cannot be deleted");
		return;
	}
	if (item.folder && !request_query_true(request, "recursive") &&
	    store_number(store, 0, "SELECT 1 FROM item WHERE parent = ? AND trashed = 0 LIMIT 1", "i", item.key)) {
		answer_error(request, 400, "folder_not_empty", "Cannot delete - folder not empty");
		return;
	}
	nodes_trash(request, &item);
	answer_empty(request, 204);
}

static void nodes_copy_to(struct request *request, struct item *item, const json_t *body)
{
	struct emulator *emulator = request->emulator;
	const char *name = json_string_value(json_object_get(body, "name"));
	const json_t *version = json_object_get(body, "version");
	struct item parent, copy;
	sqlite3_stmt *statement;
	int64_t size;

	if (!check_parent(request, body, &parent))
		return;
	name = name ? name : item->name;
	if (!check_name(request, name) || !check_free(request, parent.key, name, 0))
		return;
	if (item->folder && (!item->parent || item_within(emulator->store, parent.key, item->key))) {
		answer_error(request, 400, "cyclical_folder_structure", "A folder cannot be put inside itself");
		return;
	}
	if (json_is_string(version) && !item->folder) {
		statement = store_ask(emulator->store, "SELECT sha1, size FROM version WHERE id = ? AND file = ?", "si",
				      json_string_value(version), item->key);
		if (!store_next(emulator->store, statement)) {
			answer_error(request, 404, NULL, "there is no such version");
			return;
		}
		text_copy(item->sha1, sizeof(item->sha1), store_text(statement, 0));
		item->size = sqlite3_column_int64(statement, 1);
		store_done(statement);
	}
	size = item->folder ? 0 : item->size;
	if (!check_room(request, size))
		return;
	item_copy(emulator, item, parent.key, name, &copy);
	item_touch(emulator, parent.key);
	events_add(request, "ITEM_COPY", &copy);
	nodes_answer(request, 201, &copy);
}

void nodes_copy(struct request *request)
{
	struct item item;
	json_t *body;

	if (!check_this_item(request, &item))
		return;
	body = request_json(request);
	if (!body)
		return;
	nodes_copy_to(request, &item, body);
	json_decref(body);
}

static void folders_create_in(struct request *request, const json_t *body)
{
	struct emulator *emulator = request->emulator;
	const char *name = json_string_value(json_object_get(body, "name"));
	struct item parent, item = {.folder = true, .owner = request->user.id};

	if (!check_parent(request, body, &parent) || !check_name(request, name) ||
	    !check_free(request, parent.key, name, 0))
		return;
	item.parent = parent.key;
	text_copy(item.name, sizeof(item.name), name);
	item.created = item.modified = item.content_created = item.content_modified = clock_now(&emulator->clock);
	item_insert(emulator, &item);
	item_touch(emulator, parent.key);
	events_add(request, "ITEM_CREATE", &item);
	nodes_answer(request, 201, &item);
}

void folders_create(struct request *request)
{
	json_t *body = request_json(request);

	if (!body)
		return;
	folders_create_in(request, body);
	json_decref(body);
}

json_t *nodes_entries(struct request *request, sqlite3_stmt *statement, int64_t limit, struct item *last)
{
	struct store *store = request->emulator->store;
	json_t *entries = json_array();
	struct fields fields;

	fields_read(request, &fields);
	while (limit-- > 0 && store_next(store, statement)) {
		item_read(statement, last);
		json_array_append_new(entries, render_item(request, last, &fields, RENDER_MINI));
	}
	return entries;
}

/* A marker says which item was the last of the page: "1:123" for the folder with the key 123. */
static bool folders_marker(const char *text, int64_t *folder, int64_t *key)
{
	uint64_t number;

	*folder = 1;
	*key = 0;
	if (!text || !*text)
		return true;
	if ((text[0] != '0' && text[0] != '1') || text[1] != '-' || text_parse_number(text + 2, INT64_MAX, &number))
		return false;
	*folder = text[0] - '0';
	*key = (int64_t)number;
	return true;
}

static void folders_page_by_marker(struct request *request, const struct item *folder, int64_t limit)
{
	struct store *store = request->emulator->store;
	int64_t kind, key;
	struct item last = {0};
	json_t *entries, *marker;
	sqlite3_stmt *statement;

	if (!folders_marker(request_query(request, "marker"), &kind, &key)) {
		answer_invalid(request, 400, NULL, "marker", "invalid_parameter", "the marker is not valid");
		return;
	}
	/* Folders come first, so what comes after has the smaller kind, or the same and a larger key. */
	statement = store_ask(
		store,
		"SELECT * FROM (SELECT " ITEM_COLUMNS " FROM item WHERE parent = ?1 AND folder = 1 AND ?2 = 1"
		" AND key > ?3 AND trashed = 0 ORDER BY key LIMIT ?4)"
		" UNION ALL SELECT * FROM (SELECT " ITEM_COLUMNS " FROM item WHERE parent = ?1 AND folder = 0"
		" AND key > iif(?2 = 1, 0, ?3) AND trashed = 0 ORDER BY key LIMIT ?4)",
		"iiii", folder->key, kind, key, limit + 1);
	entries = nodes_entries(request, statement, limit, &last);
	marker = json_null();
	if ((int64_t)json_array_size(entries) == limit && store_next(store, statement)) {
		json_decref(marker);
		marker = json_sprintf("%d-%lld", last.folder, (long long)last.key);
	}
	store_done(statement);
	answer_json(
		request, 200,
		json_pack("{s:o, s:I, s:o}", "entries", entries, "limit", (json_int_t)limit, "next_marker", marker));
}

static void folders_page_by_offset(struct request *request, const struct item *folder, int64_t limit)
{
	struct store *store = request->emulator->store;
	int64_t offset = request_query_number(request, "offset", 0, INT64_MAX);
	const char *sort = request_query(request, "sort"), *direction = request_query(request, "direction");
	bool down = direction && strcasecmp(direction, "DESC") == 0;
	struct item last;
	json_t *entries;
	sqlite3_stmt *statement;

	if (offset < 0 || offset > 300000) {
		answer_invalid(request, 400, NULL, "offset", "invalid_parameter", "offset must be at most 300000");
		return;
	}
	sort = sort ? sort : "name";
	statement = store_ask(store,
			      "SELECT " ITEM_COLUMNS
			      " FROM item WHERE parent = ?1 AND trashed = 0 ORDER BY folder DESC,"
			      " CASE WHEN ?2 = 'id' THEN key WHEN ?2 = 'size' THEN size WHEN ?2 = 'date' THEN modified"
			      " ELSE 0 END * ?3, CASE WHEN ?3 = 1 THEN fold END, CASE WHEN ?3 = -1 THEN fold END DESC"
			      " LIMIT ?4 OFFSET ?5",
			      "isiii", folder->key, sort, (int64_t)(down ? -1 : 1), limit, offset);
	entries = nodes_entries(request, statement, limit, &last);
	store_done(statement);
	answer_json(request, 200,
		    json_pack("{s:I, s:o, s:I, s:I, s:[{s:s, s:s}, {s:s, s:s}]}", "total_count",
			      (json_int_t)store_number(store, 0,
						       "SELECT count(*) FROM item WHERE parent = ? AND trashed = 0",
						       "i", folder->key),
			      "entries", entries, "offset", (json_int_t)offset, "limit", (json_int_t)limit, "order",
			      "by", "type", "direction", "ASC", "by", sort, "direction", down ? "DESC" : "ASC"));
}

void folders_items(struct request *request)
{
	int64_t limit = request_query_number(request, "limit", 100, INT64_MAX);
	struct item folder;

	if (!check_this_item(request, &folder))
		return;
	if (limit < 0) {
		answer_invalid(request, 400, NULL, "limit", "invalid_parameter", "the limit is not valid");
		return;
	}
	limit = limit > 1000 ? 1000 : limit;
	if (request_query_true(request, "usemarker"))
		folders_page_by_marker(request, &folder, limit);
	else
		folders_page_by_offset(request, &folder, limit);
}
