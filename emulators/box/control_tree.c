/* SPDX-License-Identifier: MIT */
/* What the control interface does with files: changes as another user makes them, and the whole tree for comparing. */
#include "emulators/box/account.h"
#include "emulators/box/answer.h"
#include "emulators/box/control.h"
#include "emulators/box/events.h"
#include "emulators/box/nodes.h"
#include "emulators/box/oauth.h"
#include "emulators/box/render.h"
#include "emulators/box/seed.h"
#include "support/text.h"

#include <stdlib.h>
#include <string.h>

/* A path cut into the folder's part and the last name. */
struct control_path {
	char folder[4096];
	const char *name;
};

static bool control_split(const char *text, struct control_path *out)
{
	char *slash;

	if (!text || !text_copy(out->folder, sizeof(out->folder), text))
		return false;
	slash = strrchr(out->folder, '/');
	if (!slash) {
		out->name = text;
		out->folder[0] = '\0';
		return !item_name_problem(text);
	}
	out->name = text + (slash - out->folder) + 1;
	*slash = '\0';
	return !item_name_problem(out->name);
}

/* The active item that a path names. */
static bool control_lookup(struct request *request, const char *text, struct item *item)
{
	char copy[4096], *next = copy, *name;

	if (!text || !text_copy(copy, sizeof(copy), text) ||
	    !item_get(request->emulator->store, request->user.root, item))
		return false;
	while ((name = strsep(&next, "/"))) {
		if (*name && !item_find(request->emulator, item->key, name, item))
			return false;
	}
	return true;
}

static int control_write(struct request *request, const json_t *body)
{
	const json_t *content = json_object_get(body, "content"), *size = json_object_get(body, "size");
	char block[4096];
	json_int_t left;
	int error;

	error = content_start(&request->writer, request->emulator->store->folder);
	request->writing = !error;
	if (!error && json_is_string(content))
		error = content_write(&request->writer, json_string_value(content), json_string_length(content));
	memset(block, 'x', sizeof(block));
	for (left = json_is_integer(size) ? json_integer_value(size) : 0; left > 0 && !error;
	     left -= (json_int_t)sizeof(block))
		error = content_write(&request->writer, block,
				      left < (json_int_t)sizeof(block) ? (size_t)left : sizeof(block));
	error = error ? error : content_finish(&request->writer);
	return error ? error : content_keep(&request->writer, request->emulator->store->folder);
}

static void control_upload(struct request *request, const json_t *body, const char *path)
{
	struct emulator *emulator = request->emulator;
	struct item item = {.owner = request->user.id};
	struct control_path parts;
	int64_t folder;
	bool there = control_lookup(request, path, &item);

	if ((there && item.folder) || !control_split(path, &parts) ||
	    !(folder = seed_folder(emulator, request->user.id, request->user.root, parts.folder)) ||
	    control_write(request, body)) {
		answer_error(request, 400, NULL, "The file cannot be put there");
		return;
	}
	item.content_modified = clock_now(&emulator->clock);
	if (!there) {
		item = (struct item){.owner = request->user.id, .parent = folder};
		item.created = item.modified = item.content_created = item.content_modified = clock_now(
			&emulator->clock);
		text_copy(item.name, sizeof(item.name), parts.name);
		item_insert(emulator, &item);
		item.etag--; /* the update below counts it up */
	}
	item_add_version(emulator, &item, request->writer.sha1, (int64_t)request->writer.size);
	item_update(emulator, &item);
	item_touch(emulator, item.parent);
	events_add(request, "ITEM_UPLOAD", &item);
	answer_json(request, 200, render_full(request, &item));
}

static void control_move(struct request *request, struct item *item, const char *to)
{
	struct emulator *emulator = request->emulator;
	struct control_path parts;
	struct item other;
	int64_t folder;
	bool moved, renamed;

	if (!control_split(to, &parts) ||
	    !(folder = seed_folder(emulator, request->user.id, request->user.root, parts.folder)) ||
	    (item_find(emulator, folder, parts.name, &other) && other.key != item->key) ||
	    item_within(emulator->store, folder, item->key)) {
		answer_error(request, 400, NULL, "It cannot be moved there");
		return;
	}
	moved = folder != item->parent;
	renamed = strcmp(item->name, parts.name) != 0;
	item->parent = folder;
	text_copy(item->name, sizeof(item->name), parts.name);
	item_update(emulator, item);
	if (moved)
		events_add(request, "ITEM_MOVE", item);
	if (renamed)
		events_add(request, "ITEM_RENAME", item);
	answer_json(request, 200, render_full(request, item));
}

static void control_do(struct request *request, const json_t *body)
{
	const char *name = json_string_value(json_object_get(body, "op"));
	const char *path = json_string_value(json_object_get(body, "path"));
	struct emulator *emulator = request->emulator;
	struct item item;
	int64_t folder;

	if (!name || !path) {
		answer_error(request, 400, NULL, "op or path is missing");
	} else if (strcmp(name, "upload") == 0) {
		control_upload(request, body, path);
	} else if (strcmp(name, "mkdir") == 0) {
		folder = control_lookup(request, path, &item)
				 ? 0
				 : seed_folder(emulator, request->user.id, request->user.root, path);
		if (!folder || !item_get(emulator->store, folder, &item)) {
			answer_error(request, 400, NULL, "The folder cannot be made");
			return;
		}
		events_add(request, "ITEM_CREATE", &item);
		answer_json(request, 200, render_source(request, &item));
	} else if (!control_lookup(request, path, &item) || !item.parent) {
		answer_error(request, 404, NULL, "There is no such item");
	} else if (strcmp(name, "move") == 0) {
		control_move(request, &item, json_string_value(json_object_get(body, "to")));
	} else if (strcmp(name, "delete") == 0) {
		nodes_trash(request, &item);
		answer_empty(request, 204);
	} else if (strcmp(name, "purge") == 0) {
		nodes_trash(request, &item);
		item_purge(emulator, &item);
		answer_empty(request, 204);
	} else {
		answer_error(request, 400, NULL, "op is none of upload, mkdir, move, delete, purge");
	}
}

void control_change(struct request *request)
{
	json_t *body = request_json(request);
	const json_t *user, *actor;

	if (!body)
		return;
	user = json_object_get(body, "user");
	actor = json_object_get(body, "as");
	if (!oauth_user(request->emulator->store, user ? json_integer_value(user) : ACCOUNT_DEMO_USER,
			&request->user)) {
		answer_error(request, 400, NULL, "There is no such user");
	} else {
		request->actor = actor ? json_integer_value(actor) : ACCOUNT_COLLEAGUE;
		control_do(request, body);
	}
	json_decref(body);
}

/* A folder whose children are still to be listed. */
struct control_folder {
	int64_t key;
	char *path;
};

struct control_walk {
	struct control_folder *folders;
	size_t count, room;
};

static bool control_push(struct control_walk *walk, int64_t key, const char *path, const char *name)
{
	struct control_folder *more;
	size_t room;

	if (walk->count == walk->room) {
		room = walk->room ? walk->room * 2 : 64;
		more = realloc(walk->folders, room * sizeof(*more));
		if (!more)
			return false;
		walk->folders = more;
		walk->room = room;
	}
	if (asprintf(&walk->folders[walk->count].path, "%s/%s", path, name) < 0)
		return false;
	walk->folders[walk->count++].key = key;
	return true;
}

static json_t *control_entry(const struct item *item, const char *path)
{
	char id[ITEM_ID], times[2][CLOCK_TEXT];
	json_t *entry;

	item_id(item, id);
	clock_format(times[0], item->content_created);
	clock_format(times[1], item->content_modified);
	entry = json_pack("{s:o, s:s, s:s, s:I, s:s, s:s}", "path", json_sprintf("%s/%s", path, item->name), "type",
			  item->folder ? "folder" : "file", "id", id, "etag", (json_int_t)item->etag,
			  "content_created_at", times[0], "content_modified_at", times[1]);
	if (!item->folder) {
		json_object_set_new(entry, "size", json_integer(item->size));
		json_object_set_new(entry, "sha1", json_string(item->sha1));
	}
	return entry;
}

static bool control_list(struct request *request, struct control_walk *walk, struct control_folder *folder,
			 json_t *entries)
{
	struct store *store = request->emulator->store;
	bool done = true;
	struct item item;
	sqlite3_stmt *statement = store_ask(store,
					    "SELECT " ITEM_COLUMNS
					    " FROM item WHERE parent = ? AND trashed = 0 ORDER BY"
					    " fold",
					    "i", folder->key);

	while (done && store_next(store, statement)) {
		item_read(statement, &item);
		json_array_append_new(entries, control_entry(&item, folder->path));
		if (item.folder)
			done = control_push(walk, item.key, folder->path, item.name);
	}
	store_done(statement);
	return done;
}

/* What the trash holds, by the names alone. */
static json_t *control_trash(struct request *request)
{
	struct store *store = request->emulator->store;
	json_t *trash = json_array();
	struct item item;
	sqlite3_stmt *statement = store_ask(
		store, "SELECT " ITEM_COLUMNS " FROM item WHERE owner = ? AND trashed > 0 ORDER BY key", "i",
		request->user.id);

	while (store_next(store, statement)) {
		item_read(statement, &item);
		json_array_append_new(trash, control_entry(&item, ""));
	}
	return trash;
}

void control_tree(struct request *request)
{
	int64_t id = request_query_number(request, "user", ACCOUNT_DEMO_USER, INT64_MAX);
	struct control_walk walk = {0};
	struct control_folder folder;
	json_t *entries;
	bool done;

	if (!oauth_user(request->emulator->store, id, &request->user)) {
		answer_error(request, 404, NULL, "There is no such user");
		return;
	}
	entries = json_array();
	done = control_push(&walk, request->user.root, "", "");
	if (done)
		walk.folders[0].path[0] = '\0';
	while (done && walk.count) {
		folder = walk.folders[--walk.count];
		done = control_list(request, &walk, &folder, entries);
		free(folder.path);
	}
	while (walk.count)
		free(walk.folders[--walk.count].path);
	free(walk.folders);
	if (done)
		answer_json(request, 200, json_pack("{s:o, s:o}", "entries", entries, "trash", control_trash(request)));
	else
		answer_error(request, 500, NULL, "no memory");
}
