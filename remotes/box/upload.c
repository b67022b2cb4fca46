/* SPDX-License-Identifier: MIT */
/*
 * Uploads in one go. Box is told the SHA-1 beforehand and refuses what does not fit. When the connection breaks behind
 * an upload, the place is looked at: a file with this SHA-1 there is ours, and only where there is none is it sent
 * again.
 */
#include "remotes/box/upload.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFLIGHT_FROM (4u << 20) /* bytes: less is sent faster than it is asked about */

static int read_source(void *context, void *buffer, size_t size, uint64_t offset)
{
	struct box_sending_content *sending = context;

	sending->error = sending->content->read(sending->content, buffer, size, sending->start + offset);
	return sending->error ? BOX_CALLBACK_ERROR : 0;
}

void box_sending_init(struct box_sending_content *sending, const struct dw_remote_content *content, uint64_t start,
		      uint64_t bytes)
{
	*sending = (struct box_sending_content){.content = content, .start = start};
	sending->source = (struct http_source){.read = read_source, .context = sending, .bytes = bytes};
}

void box_sending_told(void *context, uint64_t sent)
{
	struct box_sending_content *sending = context;

	if (sending->content->progress)
		sending->content->progress(sending->content, sent);
}

int box_content_digest(struct dw_remote_call *call, const struct dw_remote_content *content, uint8_t digest[BOX_SHA1])
{
	if (!content->digest)
		return box_digest_content(content, 0, content->bytes, call->cancelled, digest);
	memcpy(digest, content->digest, BOX_SHA1);
	return 0;
}

int box_place_resolve(struct box *box, struct dw_remote_call *call, const struct dw_remote_place *place,
		      char real[BOX_NUMBER_MAX + 2])
{
	int result = place->id ? 0 : box_check_name(&box->remote, place->name);

	if (!result)
		result = box_resolve(box, call, place->id ? place->id : place->parent, real);
	if (!result && *real != (place->id ? 'f' : 'd'))
		result = -ENOENT;
	return result;
}

json_t *box_attributes(const struct dw_remote_place *place, const char *real, const struct dw_remote_content *content)
{
	json_t *json = json_object();
	bool failed = !json;
	char time[32];

	/* A new version may be given a name too: only where nobody can have renamed the file meanwhile. */
	if (place->name && *place->name && (!place->id || place->etag))
		failed = failed || json_object_set_new(json, "name", json_string(place->name));
	if (!place->id)
		failed = failed || json_object_set_new(json, "parent", json_pack("{s:s}", "id", real + 1));
	if ((content->modified.seconds || content->modified.nanoseconds) && box_time_text(&content->modified, time))
		failed = failed || json_object_set_new(json, "content_modified_at", json_string(time));
	if (failed) {
		json_decref(json);
		return NULL;
	}
	return json;
}

bool box_place_holds(struct box *box, struct dw_remote_call *call, const struct dw_remote_place *place,
		     const char *real, uint64_t bytes, const uint8_t digest[BOX_SHA1], struct box_answer *answer,
		     struct box_item *item)
{
	char there[BOX_NUMBER_MAX + 2];

	box_answer_free(answer);
	if (place->id)
		text_copy(there, sizeof(there), real);
	else if (box_find(box, call, real, place->name, bytes, there) || *there != 'f')
		return false;
	return box_get_item(box, call, there, BOX_FIELDS_ITEM, answer, item) == 0 &&
	       item->item.digest_length == BOX_SHA1 && memcmp(item->item.digest, digest, BOX_SHA1) == 0;
}

/* Ask whether this upload would be taken. */
static int preflight(struct box *box, struct dw_remote_call *call, const struct dw_remote_place *place,
		     const char *real, uint64_t bytes)
{
	char *path = place->id ? box_path("/files/%s/content", real + 1) : box_path("/files/content");
	json_t *json = place->id ? json_pack("{s:I}", "size", (json_int_t)bytes)
				 : json_pack("{s:s, s:I, s:{s:s}}", "name", place->name, "size", (json_int_t)bytes,
					     "parent", "id", real + 1);
	struct box_answer answer = {.status = 0};
	int result = -ENOMEM;

	if (path && json)
		result = box_send(box, call, &(struct box_request){.method = "OPTIONS", .path = path, .json = json},
				  &answer);
	json_decref(json);
	free(path);
	box_answer_free(&answer);
	return result;
}

/* One upload; what it is refused with, or 0 and the file in answer. */
static int send_once(struct box *box, struct dw_remote_call *call, const struct dw_remote_place *place,
		     const char *real, const struct dw_remote_content *content, const char *attributes,
		     const char *sha1, struct box_answer *answer)
{
	char *path = place->id ? box_path("/files/%s/content?fields=" BOX_FIELDS_ITEM, real + 1)
			       : box_path("/files/content?fields=" BOX_FIELDS_ITEM);
	struct box_sending_content sending;
	struct http_field fields[] = {
		{.name = "attributes", .text = attributes},
		{.name = "file", .filename = "file", .type = "application/octet-stream", .source = &sending.source}};
	int result = -ENOMEM;

	box_sending_init(&sending, content, 0, content->bytes);
	box_answer_free(answer);
	if (path)
		result = box_send(box, call,
				  &(struct box_request){.method = "POST",
							.base = BOX_UPLOAD,
							.kind = BOX_CHANGE,
							.path = path,
							.etag = place->id ? place->etag : NULL,
							.headers = {{"Content-MD5", sha1}},
							.header_count = 1,
							.fields = fields,
							.field_count = 2,
							.sent = box_sending_told,
							.context = &sending,
							.upload = true},
				  answer);
	free(path);
	return result == BOX_CALLBACK_ERROR ? sending.error : result;
}

static int check_uploaded(struct dw_remote_call *call, const struct box_item *item, const uint8_t digest[BOX_SHA1])
{
	if (item->item.digest_length == 0 || memcmp(item->item.digest, digest, BOX_SHA1) == 0)
		return 0;
	box_say(call, "the file arrived at Box damaged: its SHA-1 is not the one that was sent");
	return -EBADMSG;
}

int box_upload(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
	       const struct dw_remote_content *content, const struct dw_remote_items *items)
{
	struct box *box = (struct box *)remote;
	struct http_backoff backoff = box_backoff(box, call);
	struct box_answer answer = {.status = 0};
	char real[BOX_NUMBER_MAX + 2], sha1[BOX_SHA1_HEX], *attributes = NULL;
	uint8_t digest[BOX_SHA1];
	bool maybe = false, have = false;
	json_t *json = NULL;
	struct box_item item;
	int result = box_place_resolve(box, call, place, real);

	if (!result && content->bytes > remote->upload_max)
		result = -EFBIG;
	if (!result)
		result = box_content_digest(call, content, digest);
	if (!result && content->bytes >= PREFLIGHT_FROM)
		result = preflight(box, call, place, real, content->bytes);
	if (result)
		return result;
	box_digest_hex(digest, sha1);
	json = box_attributes(place, real, content);
	attributes = json ? json_dumps(json, JSON_COMPACT) : NULL;
	if (!attributes) {
		result = -EINVAL;
		goto out;
	}
	do {
		/* What was said about the try before is not needed any more once the file is found. */
		have = maybe && box_place_holds(box, call, place, real, content->bytes, digest, &answer, &item);
		if (have) {
			result = 0;
			break;
		}
		result = send_once(box, call, place, real, content, attributes, sha1, &answer);
		if (maybe && (result == -EEXIST || result == DW_REMOTE_CHANGED) &&
		    box_place_holds(box, call, place, real, content->bytes, digest, &answer, &item)) {
			have = true;
			result = 0;
		}
		maybe = maybe || result == DW_REMOTE_UNKNOWN;
	} while (box_again(&backoff, result));
	if (!result && !have)
		result = box_answer_item(box, call, &answer, &item);
	if (!result)
		result = check_uploaded(call, &item, digest);
	if (!result)
		result = items->item(items, &item.item);
out:
	json_decref(json);
	free(attributes);
	box_answer_free(&answer);
	return result;
}
