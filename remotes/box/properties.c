/* SPDX-License-Identifier: MIT */
/*
 * The properties of an item: Box's free metadata, global.properties. They are made by POST when there are none yet, and
 * changed by JSON Patch after Box has said so (409). A key can only be removed that is there, so a change that removes
 * some looks first. Doing the same twice is harmless.
 */
#include "remotes/box/box.h"

#include "remotes/box/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 32768u
#define TRIES	  3u

struct change {
	struct box *box;
	struct dw_remote_call *call;
	const char *path;
	const struct dw_remote_property *properties;
	size_t count;
};

static int check(const struct dw_remote_property *properties, size_t count)
{
	if (count > BOX_PROPERTIES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(properties[i].key);

		if (!length || length > BOX_KEY_MAX ||
		    strspn(properties[i].key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
			    length)
			return -EINVAL;
		if (properties[i].value && strlen(properties[i].value) > VALUE_MAX)
			return -E2BIG;
	}
	return 0;
}

static int send_json(const struct change *change, const char *method, const json_t *json, struct box_answer *answer)
{
	struct box_request request = {
		.method = method, .kind = json ? BOX_REPEATABLE : BOX_READ, .path = change->path, .json = json};

	return box_send(change->box, change->call, &request, answer);
}

static int create(const struct change *change, struct box_answer *answer)
{
	json_t *json = json_object();
	int result = json ? 0 : -ENOMEM;

	for (size_t i = 0; !result && i < change->count; i++) {
		const struct dw_remote_property *one = &change->properties[i];

		if (one->value && json_object_set_new(json, one->key, json_string(one->value)))
			result = -EINVAL; /* no UTF-8 */
	}
	if (!result && json_object_size(json))
		result = send_json(change, "POST", json, answer);
	json_decref(json);
	return result;
}

/* there: what the item has; NULL: not known, and nothing is to be removed. */
static json_t *make_patch(const struct change *change, const json_t *there)
{
	json_t *patch = json_array();

	for (size_t i = 0; patch && i < change->count; i++) {
		const struct dw_remote_property *one = &change->properties[i];
		const json_t *old = json_object_get(there, one->key);
		const char *text = json_string_value(old);
		json_t *step = NULL;

		if (!one->value && !old)
			continue;
		if (one->value && text && strcmp(text, one->value) == 0)
			continue;
		step = json_object();
		if (!step ||
		    json_object_set_new(step, "op",
					json_string(!one->value ? "remove"
						    : old	? "replace"
								: "add")) ||
		    json_object_set_new(step, "path", json_sprintf("/%s", one->key)) ||
		    (one->value && json_object_set_new(step, "value", json_string(one->value))) ||
		    json_array_append_new(patch, json_incref(step))) {
			json_decref(patch);
			patch = NULL;
		}
		json_decref(step);
	}
	return patch;
}

static int send_patch(const struct change *change, const json_t *there, struct box_answer *answer)
{
	json_t *patch = make_patch(change, there);
	int result = patch ? 0 : -EINVAL;

	if (patch && json_array_size(patch)) {
		const struct box_request request = {.method = "PUT",
						    .kind = BOX_REPEATABLE,
						    .path = change->path,
						    .json = patch,
						    .json_type = "application/json-patch+json"};

		result = box_send(change->box, change->call, &request, answer);
	}
	json_decref(patch);
	return result;
}

/* Look, then change what has to be. */
static int change_known(const struct change *change, struct box_answer *answer)
{
	struct box_answer there = {.status = 0};
	int result = send_json(change, "GET", NULL, &there);

	if (!result)
		result = send_patch(change, there.json, answer);
	else if (result == -ENOENT)
		result = create(change, answer);
	box_answer_free(&there);
	return result;
}

/* Whether what was known about the item is not true any more. */
static bool overtaken(const struct box_answer *answer)
{
	return answer->status == 400 || answer->status == 409;
}

int box_set_properties(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		       const struct dw_remote_property *properties, size_t count)
{
	struct box *box = (struct box *)remote;
	struct change change = {.box = box, .call = call, .properties = properties, .count = count};
	struct box_answer answer = {.status = 0};
	char real[BOX_NUMBER_MAX + 2], *path = NULL;
	bool removes = false;
	int result = check(properties, count);

	for (size_t i = 0; i < count; i++)
		removes = removes || !properties[i].value;
	if (!result)
		result = box_resolve(box, call, id, real);
	if (!result && box_id_type(real) != type)
		result = -ENOENT;
	if (result || !count)
		return result;
	path = box_path("/%s/%s/metadata/global/properties", *real == 'f' ? "files" : "folders", real + 1);
	if (!path)
		return -ENOMEM;
	change.path = path;
	if (!removes) {
		result = create(&change, &answer);
		if (result && answer.status == 409) {
			box_answer_free(&answer);
			result = send_patch(&change, NULL, &answer);
		}
	}
	/* A service that will not add what is there, and what has changed in between. */
	for (unsigned tries = 0; tries < TRIES && ((removes && !tries) || (result && overtaken(&answer))); tries++) {
		box_answer_free(&answer);
		result = change_known(&change, &answer);
	}
	if (result == -EFBIG)
		result = -E2BIG;
	free(path);
	box_answer_free(&answer);
	return result;
}
