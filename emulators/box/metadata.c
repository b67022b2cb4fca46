/* SPDX-License-Identifier: MIT */
#include "emulators/box/answer.h"
#include "emulators/box/check.h"
#include "emulators/box/nodes.h"
#include "emulators/box/render.h"
#include "support/text.h"

#include <stdlib.h>
#include <string.h>

#define METADATA_VALUE_MAX (128u << 10)

/* The item and the template of the call; only global/properties is known. False with the answer set. */
static bool metadata_target(struct request *request, struct item *item)
{
	if (!check_this_item(request, item))
		return false;
	if (strcmp(request->arguments[1], "global") == 0 && strcmp(request->arguments[2], "properties") == 0)
		return true;
	answer_error(request, 404, "instance_tuple_not_found", "Template not found");
	return false;
}

void metadata_list(struct request *request)
{
	struct item item;
	json_t *entries, *one;

	if (!check_this_item(request, &item))
		return;
	entries = json_array();
	one = render_metadata(request->emulator->store, &item, "global", "properties");
	if (one)
		json_array_append_new(entries, one);
	answer_json(request, 200, json_pack("{s:o, s:i}", "entries", entries, "limit", 100));
}

/* The instance; NULL with the answer 404. */
static json_t *metadata_instance(struct request *request, const struct item *item)
{
	json_t *instance = render_metadata(request->emulator->store, item, "global", "properties");

	if (!instance)
		answer_error(request, 404, "instance_not_found", "Instance was not found");
	return instance;
}

void metadata_get(struct request *request)
{
	struct item item;
	json_t *instance;

	if (!metadata_target(request, &item))
		return;
	instance = metadata_instance(request, &item);
	if (instance)
		answer_json(request, 200, instance);
}

/* Keys of a user's do not begin with $, and all values are text. */
static bool metadata_valid(struct request *request, json_t *data)
{
	const char *key;
	json_t *value;

	json_object_foreach(data, key, value)
	{
		if (*key == '$' || !json_is_string(value) || json_string_length(value) > METADATA_VALUE_MAX) {
			answer_error(request, 400, "schema_validation_failed",
				     "Keys must not begin with $ and values must be strings");
			return false;
		}
	}
	return true;
}

static void metadata_store(struct request *request, struct item *item, json_t *data, bool fresh)
{
	struct store *store = request->emulator->store;
	char *text = json_dumps(data, JSON_COMPACT), id[33];

	if (!text || !emulator_random_hex(id, 16)) {
		store->failed = true;
	} else if (fresh) {
		store_run(store, "INSERT INTO metadata VALUES (?, 'global', 'properties', ?, 0, ?)", "iss", item->key,
			  id, text);
		item->extras |= ITEM_METADATA;
		store_run(store, "UPDATE item SET extras = ? WHERE key = ?", "ii", item->extras, item->key);
	} else {
		store_run(store,
			  "UPDATE metadata SET data = ?, version = version + 1 WHERE key = ? AND scope = 'global'",
			  "si", text, item->key);
	}
	free(text);
}

void metadata_create(struct request *request)
{
	struct item item;
	json_t *data;

	if (!metadata_target(request, &item))
		return;
	if (item.extras & ITEM_METADATA) {
		answer_error(request, 409, "tuple_already_exists", "Tuple already exists");
		return;
	}
	data = request_json(request);
	if (!data)
		return;
	if (metadata_valid(request, data)) {
		metadata_store(request, &item, data, true);
		answer_json(request, 201, metadata_instance(request, &item));
	}
	json_decref(data);
}

void metadata_delete(struct request *request)
{
	struct store *store = request->emulator->store;
	struct item item;

	if (!metadata_target(request, &item))
		return;
	if (!(item.extras & ITEM_METADATA)) {
		answer_error(request, 404, "instance_not_found", "Instance was not found");
		return;
	}
	store_run(store, "DELETE FROM metadata WHERE key = ?", "i", item.key);
	store_run(store, "UPDATE item SET extras = ? WHERE key = ?", "ii", item.extras & ~(int64_t)ITEM_METADATA,
		  item.key);
	answer_empty(request, 204);
}

/* The key that a JSON pointer of one step names: "/a~1b" is "a/b". False when it is no such thing. */
static bool metadata_pointer(const json_t *pointer, char *out, size_t size)
{
	const char *text = json_string_value(pointer);
	size_t used = 0;

	if (!text || *text++ != '/')
		return false;
	for (; *text; text++) {
		if (*text == '/' || used + 1 >= size)
			return false;
		out[used] = *text;
		if (*text == '~') {
			if (text[1] != '0' && text[1] != '1')
				return false;
			out[used] = *++text == '0' ? '~' : '/';
		}
		used++;
	}
	out[used] = '\0';
	return used > 0;
}

/* One operation of a JSON Patch (RFC 6902) on the flat object. The problem, or NULL. */
static const char *metadata_patch(json_t *data, const json_t *operation)
{
	const char *name = json_string_value(json_object_get(operation, "op"));
	json_t *value = json_object_get(operation, "value"), *there;
	char path[1024], from[1024];
	bool move;

	if (!name || !metadata_pointer(json_object_get(operation, "path"), path, sizeof(path)))
		return "an operation lacks op or a valid path";
	there = json_object_get(data, path);
	if (strcmp(name, "add") == 0)
		return value && json_object_set(data, path, value) == 0 ? NULL : "add needs a value";
	if (strcmp(name, "replace") == 0)
		return value && there && json_object_set(data, path, value) == 0 ? NULL
										 : "replace needs a value and a key";
	if (strcmp(name, "test") == 0)
		return value && there && json_equal(value, there) ? NULL : "test failed";
	if (strcmp(name, "remove") == 0)
		return json_object_del(data, path) == 0 ? NULL : "there is no such key to remove";
	move = strcmp(name, "move") == 0;
	if (!move && strcmp(name, "copy") != 0)
		return "there is no such operation";
	if (!metadata_pointer(json_object_get(operation, "from"), from, sizeof(from)))
		return "from is not a valid path";
	value = json_object_get(data, from);
	if (!value || json_object_set(data, path, value))
		return "there is no such key to take from";
	if (move && strcmp(path, from) != 0)
		json_object_del(data, from);
	return NULL;
}

void metadata_update(struct request *request)
{
	struct item item;
	json_t *data, *patch, *operation;
	const char *problem = NULL, *key;
	void *next;
	size_t at;

	if (!metadata_target(request, &item))
		return;
	data = metadata_instance(request, &item);
	if (!data)
		return;
	json_object_foreach_safe(data, next, key, operation)
	{
		if (*key == '$')
			json_object_del(data, key);
	}
	patch = json_loadb(request->body ? request->body : "", request->body_size, 0, NULL);
	if (!json_is_array(patch))
		problem = "The body is no JSON Patch";
	for (at = 0; !problem && at < json_array_size(patch); at++)
		problem = metadata_patch(data, json_array_get(patch, at));
	if (problem) {
		answer_error(request, 400, "bad_request", problem);
	} else if (metadata_valid(request, data)) {
		metadata_store(request, &item, data, false);
		answer_json(request, 200, metadata_instance(request, &item));
	}
	json_decref(patch);
	json_decref(data);
}
