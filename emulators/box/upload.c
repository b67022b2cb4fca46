/* SPDX-License-Identifier: MIT */
#include "emulators/box/upload.h"

#include "emulators/box/answer.h"
#include "emulators/box/check.h"
#include "emulators/box/events.h"
#include "emulators/box/multipart.h"
#include "emulators/box/render.h"
#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ATTRIBUTES_MAX (256u << 10)

enum part {
	PART_OTHER,
	PART_ATTRIBUTES,
	PART_FILE,
};

/* What the multipart callbacks work on. */
struct upload_parts {
	struct multipart multipart;
	struct request *request;
	enum part part;
	size_t attributes_size;
};

static int upload_part_begin(void *context, const char *name, bool is_file)
{
	struct upload_parts *parts = context;
	struct request *request = parts->request;

	if (strcmp(name, "attributes") == 0) {
		/* Only the first counts. */
		parts->part = request->attributes ? PART_OTHER : PART_ATTRIBUTES;
		if (parts->part == PART_OTHER)
			return 0;
		request->attributes = calloc(1, 1);
		return request->attributes ? 0 : -ENOMEM;
	}
	parts->part = PART_OTHER;
	if ((!is_file && strcmp(name, "file") != 0 && strcmp(name, "contents") != 0) || request->file_seen)
		return 0;
	request->file_seen = true;
	request->file_first = !request->attributes;
	if (request->file_first)
		return 0;
	parts->part = PART_FILE;
	return 0;
}

static int upload_part_data(void *context, const char *data, size_t size)
{
	struct upload_parts *parts = context;
	struct request *request = parts->request;
	char *more;

	if (parts->part == PART_FILE)
		return content_write(&request->writer, data, size);
	if (parts->part != PART_ATTRIBUTES)
		return 0;
	if (size > ATTRIBUTES_MAX - parts->attributes_size || memchr(data, '\0', size))
		return -EINVAL;
	more = realloc(request->attributes, parts->attributes_size + size + 1);
	if (!more)
		return -ENOMEM;
	request->attributes = more;
	memcpy(more + parts->attributes_size, data, size);
	parts->attributes_size += size;
	more[parts->attributes_size] = '\0';
	return 0;
}

static int upload_part_end(void *context)
{
	return 0;
}

int upload_begin(struct request *request)
{
	static const struct multipart_calls calls = {upload_part_begin, upload_part_data, upload_part_end};
	struct upload_parts *parts;
	int error;

	if (request->route->body == BODY_MULTIPART) {
		parts = calloc(1, sizeof(*parts));
		if (!parts)
			return -ENOMEM;
		parts->request = request;
		request->multipart = &parts->multipart;
		error = multipart_start(&parts->multipart, request_header(request, "Content-Type"), &calls, parts);
		if (error)
			return error;
	}
	error = content_start(&request->writer, request->emulator->store->folder);
	request->writing = !error;
	return error;
}

void upload_take(struct request *request, const char *data, size_t size)
{
	if (request->body_error)
		return;
	if (request->route->body == BODY_MULTIPART)
		request->body_error = multipart_feed(request->multipart, data, size);
	else
		request->body_error = content_write(&request->writer, data, size);
}

void upload_end(struct request *request)
{
	free(request->multipart); /* the first member of its struct upload_parts */
	request->multipart = NULL;
	if (request->writing)
		content_discard(&request->writer);
	request->writing = false;
}

static void upload_answer(struct request *request, unsigned int status, const struct item *item)
{
	struct fields fields;

	fields_read(request, &fields);
	answer_json(request, status,
		    json_pack("{s:i, s:[o]}", "total_count", 1, "entries",
			      render_item(request, item, &fields, RENDER_FULL)));
}

/* The attributes of a complete and intact body; NULL with the answer set. */
static json_t *upload_attributes(struct request *request)
{
	const char *digest = request_header(request, "Content-MD5");
	json_t *attributes;

	if (request->file_first) {
		answer_error(request, 400, "metadata_after_file_contents",
			     "The attributes part must come before the file part");
		return NULL;
	}
	if (request->body_error && request->body_error != -EINVAL) {
		answer_error(request, 500, NULL, "the upload cannot be stored");
		return NULL;
	}
	if (request->body_error || !multipart_complete(request->multipart) || !request->attributes ||
	    !request->file_seen) {
		answer_error(request, 400, NULL, "The multipart body is malformed or lacks attributes or file");
		return NULL;
	}
	if (content_finish(&request->writer)) {
		answer_error(request, 500, NULL, "the upload cannot be hashed");
		return NULL;
	}
	if (digest && strcasecmp(digest, request->writer.sha1) != 0) {
		answer_error(request, 400, "bad_digest", "The specified content-md5 did not match what was received");
		return NULL;
	}
	attributes = json_loads(request->attributes, 0, NULL);
	if (json_is_object(attributes))
		return attributes;
	json_decref(attributes);
	answer_invalid(request, 400, NULL, "attributes", "invalid_parameter", "the attributes are no JSON object");
	return NULL;
}

/* Put the content in its place and give the item a version of it. False with the answer set. */
static bool upload_store(struct request *request, struct item *item)
{
	struct emulator *emulator = request->emulator;

	if (content_keep(&request->writer, emulator->store->folder)) {
		answer_error(request, 500, NULL, "the upload cannot be stored");
		return false;
	}
	item_add_version(emulator, item, request->writer.sha1, (int64_t)request->writer.size);
	return true;
}

static void upload_new_file(struct request *request, const json_t *attributes)
{
	struct emulator *emulator = request->emulator;
	const char *name = json_string_value(json_object_get(attributes, "name"));
	struct item parent, item = {.owner = request->user.id};

	item.created = item.modified = item.content_created = item.content_modified = clock_now(&emulator->clock);
	if (!check_parent(request, attributes, &parent) || !check_name(request, name) ||
	    !check_free(request, parent.key, name, 0) || !check_room(request, (int64_t)request->writer.size) ||
	    !check_time(request, attributes, "content_created_at", &item.content_created) ||
	    !check_time(request, attributes, "content_modified_at", &item.content_modified))
		return;
	item.parent = parent.key;
	text_copy(item.name, sizeof(item.name), name);
	item_insert(emulator, &item);
	if (!upload_store(request, &item))
		return;
	store_run(emulator->store, "UPDATE item SET version = ?, sha1 = ?, size = ? WHERE key = ?", "isii",
		  item.version, item.sha1, item.size, item.key);
	item_touch(emulator, parent.key);
	events_add(request, "ITEM_UPLOAD", &item);
	upload_answer(request, 201, &item);
}

void upload_file(struct request *request)
{
	json_t *attributes = upload_attributes(request);

	if (!attributes)
		return;
	upload_new_file(request, attributes);
	json_decref(attributes);
}

static void upload_new_version(struct request *request, struct item *item, const json_t *attributes)
{
	struct emulator *emulator = request->emulator;
	const json_t *name = json_object_get(attributes, "name");

	item->content_modified = clock_now(&emulator->clock);
	if (!check_if_match(request, item) || !check_room(request, (int64_t)request->writer.size) ||
	    !check_time(request, attributes, "content_modified_at", &item->content_modified))
		return;
	if (name) {
		if (!check_name(request, json_string_value(name)) ||
		    !check_free(request, item->parent, json_string_value(name), item->key))
			return;
		text_copy(item->name, sizeof(item->name), json_string_value(name));
	}
	if (!upload_store(request, item))
		return;
	item_update(emulator, item);
	item_touch(emulator, item->parent);
	events_add(request, "ITEM_UPLOAD", item);
	upload_answer(request, 201, item);
}

void upload_version(struct request *request)
{
	struct item item;
	json_t *attributes;

	if (!check_this_item(request, &item))
		return;
	attributes = upload_attributes(request);
	if (!attributes)
		return;
	upload_new_version(request, &item, attributes);
	json_decref(attributes);
}

static void upload_check(struct request *request, const json_t *body, const struct item *item)
{
	const char *name = json_string_value(json_object_get(body, "name"));
	const json_t *size = json_object_get(body, "size");
	struct item parent;
	char base[512], token[33];
	json_t *url;

	if (item) {
		if (!check_if_match(request, item) ||
		    (name && (!check_name(request, name) || !check_free(request, item->parent, name, item->key))))
			return;
	} else if (!check_name(request, name) || !check_parent(request, body, &parent) ||
		   !check_free(request, parent.key, name, 0)) {
		return;
	}
	if (json_is_integer(size) && json_integer_value(size) >= 0 && !check_room(request, json_integer_value(size)))
		return;
	if (!request_base(request, HOST_UPLOAD, base, sizeof(base)) || !emulator_random_hex(token, 16)) {
		answer_error(request, 500, NULL, "there is no URL to give");
		return;
	}
	if (item)
		url = json_sprintf("%s/files/%s/content?upload_session_id=%s", base, request->arguments[0], token);
	else
		url = json_sprintf("%s/files/content?upload_session_id=%s", base, token);
	answer_json(request, 200,
		    json_pack("{s:o, s:s, s:n}", "upload_url", url, "upload_token", token, "download_url"));
}

void upload_preflight(struct request *request)
{
	bool version = *request->arguments[0];
	struct item item;
	json_t *body;

	if (version && !check_this_item(request, &item))
		return;
	body = request_json(request);
	if (!body)
		return;
	upload_check(request, body, version ? &item : NULL);
	json_decref(body);
}
