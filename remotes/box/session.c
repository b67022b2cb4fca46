/* SPDX-License-Identifier: MIT */
/*
 * Uploads in parts.
 *
 *      begin --> [part, part, ... in any order, again after a restart] --> commit --> file
 *                          \--> 7 days, or abort --> gone
 *
 * The handle that the cache keeps is JSON: the addresses that Box named for this session. A part's receipt is what Box
 * said about it, to be said again at the commit. Parts carry their SHA-1, the commit that of the whole.
 *
 * A commit can be asked for again at any time: a session that is gone, or a name that is taken or has changed, means
 * that it was done before when the place holds a file with this SHA-1.
 */
#include "remotes/box/upload.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_STALL 300000000000ull
#define PART_MOST    (1ull << 30)
#define PARTS_PAGE   1000u

/* Put the address called name, or its usual place, into the handle. */
static int set_address(json_t *handle, const struct box *box, const json_t *endpoints, const char *name,
		       const char *number, const char *ending)
{
	const char *named = box_json_text(endpoints, name);
	json_t *text = named ? json_string(named)
			     : json_sprintf("%s/files/upload_sessions/%s%s", box->settings.upload_url, number, ending);

	return json_object_set_new(handle, name, text) ? -ENOMEM : 0;
}

static int make_session(const struct box *box, const json_t *json, uint64_t bytes, struct dw_remote_session *out)
{
	const json_t *endpoints = json_object_get(json, "session_endpoints");
	char number[BOX_NUMBER_MAX], *text = NULL;
	uint64_t part = 0;
	json_t *handle = NULL;
	int result = -EPROTO;

	if (!box_json_copy(json, "id", number, sizeof(number)) || !box_number_valid(number) ||
	    !box_json_number(json, "part_size", &part) || part == 0 || part > PART_MOST)
		return result;
	/* Box takes so many parts and no more; a server that wants millions of them is no Box. */
	if (bytes / part > 1000000)
		return result;
	handle = json_object();
	if (!handle || set_address(handle, box, endpoints, "upload_part", number, "") ||
	    set_address(handle, box, endpoints, "commit", number, "/commit") ||
	    set_address(handle, box, endpoints, "list_parts", number, "/parts") ||
	    set_address(handle, box, endpoints, "abort", number, "") || !(text = json_dumps(handle, JSON_COMPACT)))
		result = -ENOMEM;
	else
		result = text_copy(out->handle, sizeof(out->handle), text) ? 0 : -EPROTO;
	out->part_bytes = part;
	out->expires = box_json_time(json, "session_expires_at");
	free(text);
	json_decref(handle);
	return result;
}

int box_session_begin(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
		      const struct dw_remote_content *content, struct dw_remote_session *out)
{
	struct box *box = (struct box *)remote;
	struct box_answer answer = {.status = 0};
	char real[BOX_NUMBER_MAX + 2], *path = NULL;
	json_t *json = NULL;
	int result = box_place_resolve(box, call, place, real);

	if (result)
		return result;
	*out = (struct dw_remote_session){.part_bytes = 0};
	if (place->id) {
		path = box_path("/files/%s/upload_sessions", real + 1);
		json = json_pack("{s:I}", "file_size", (json_int_t)content->bytes);
	} else {
		path = box_path("/files/upload_sessions");
		json = json_pack("{s:s, s:I, s:s}", "folder_id", real + 1, "file_size", (json_int_t)content->bytes,
				 "file_name", place->name);
	}
	result = json && path ? box_send(box, call,
					 &(struct box_request){.method = "POST",
							       .base = BOX_UPLOAD,
							       .kind = BOX_REPEATABLE,
							       .path = path,
							       .json = json,
							       .upload = true},
					 &answer)
			      : -EINVAL;
	/* A session that nobody knows of does no harm. */
	if (result == DW_REMOTE_UNKNOWN)
		result = DW_REMOTE_OFFLINE;
	if (!result) {
		result = make_session(box, answer.json, content->bytes, out);
		if (result == -EPROTO)
			box_say(call, "Box's answer makes no sense");
	}
	json_decref(json);
	free(path);
	box_answer_free(&answer);
	return result;
}

/* An address out of a handle, malloc'd; NULL: it is no handle, or there is no memory. */
static char *get_address(const struct dw_remote_session *session, const char *name)
{
	json_t *handle = box_json_parse(session->handle, strnlen(session->handle, sizeof(session->handle)));
	char *address = text_duplicate(box_json_text(handle, name));

	json_decref(handle);
	return address;
}

/* Box says that it does not know a session in more than one way. */
static int expired(int result)
{
	return result == -ENOENT ? DW_REMOTE_EXPIRED : result;
}

static int read_part(const json_t *json, struct dw_remote_part *out)
{
	char *text;
	bool fits;

	if (!box_json_number(json, "offset", &out->offset) || !box_json_number(json, "size", &out->bytes) ||
	    !box_json_text(json, "part_id"))
		return -EPROTO;
	text = json_dumps(json, JSON_COMPACT);
	fits = text && text_copy(out->receipt, sizeof(out->receipt), text);
	free(text);
	return !text ? -ENOMEM : fits ? 0 : -EPROTO;
}

/* Go through the parts that Box has. */
static int each_part(struct box *box, struct dw_remote_call *call, const struct dw_remote_session *session,
		     int (*told)(void *context, const struct dw_remote_part *part, const char *sha1), void *context)
{
	char *address = get_address(session, "list_parts");
	uint64_t offset = 0, total = 1;
	int result = address ? 0 : DW_REMOTE_EXPIRED;

	while (!result && offset < total) {
		char *path = box_path("%s%coffset=%llu&limit=%u", address, strchr(address, '?') ? '&' : '?',
				      (unsigned long long)offset, PARTS_PAGE);
		struct box_answer answer = {.status = 0};
		const json_t *entries, *entry;
		size_t i;

		result = path ? expired(box_send(box, call,
						 &(struct box_request){.method = "GET", .base = BOX_URL, .path = path},
						 &answer))
			      : -ENOMEM;
		free(path);
		entries = json_object_get(answer.json, "entries");
		if (!result && !json_is_array(entries))
			result = -EPROTO;
		if (result) {
			box_answer_free(&answer);
			break;
		}
		json_array_foreach(entries, i, entry)
		{
			struct dw_remote_part part = {.offset = 0};

			if (read_part(entry, &part) == 0 && !result)
				result = told(context, &part, box_json_text(entry, "sha1"));
		}
		offset += json_array_size(entries);
		if (!box_json_number(answer.json, "total_count", &total))
			total = json_array_size(entries) == PARTS_PAGE ? UINT64_MAX : 0;
		if (!json_array_size(entries))
			total = 0;
		box_answer_free(&answer);
	}
	free(address);
	return result;
}

struct wanted_part {
	uint64_t offset;
	uint64_t bytes;
	const char *sha1;
	struct dw_remote_part *out;
	bool found;
};

static int match_part(void *context, const struct dw_remote_part *part, const char *sha1)
{
	struct wanted_part *wanted = context;

	if (part->offset == wanted->offset && part->bytes == wanted->bytes && sha1 &&
	    strcasecmp(sha1, wanted->sha1) == 0) {
		*wanted->out = *part;
		wanted->found = true;
	}
	return 0;
}

static int send_part(struct box *box, struct dw_remote_call *call, const char *address,
		     const struct dw_remote_content *content, uint64_t offset, uint64_t bytes,
		     const uint8_t digest[BOX_SHA1], struct box_answer *answer)
{
	char base64[BOX_SHA1_TEXT], sha[BOX_SHA1_TEXT + 8], range[96];
	struct box_sending_content sending;
	int result;

	box_digest_base64(digest, base64);
	text_format(sha, sizeof(sha), "sha=%s", base64);
	text_format(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)offset,
		    (unsigned long long)(offset + bytes - 1), (unsigned long long)content->bytes);
	box_sending_init(&sending, content, offset, bytes);
	result = box_send(box, call,
			  &(struct box_request){.method = "PUT",
						.base = BOX_URL,
						.kind = BOX_REPEATABLE,
						.path = address,
						.headers = {{"Content-Type", "application/octet-stream"},
							    {"Digest", sha},
							    {"Content-Range", range}},
						.header_count = 3,
						.source = &sending.source,
						.sent = box_sending_told,
						.context = &sending},
			  answer);
	return result == BOX_CALLBACK_ERROR ? sending.error : result;
}

int box_session_part(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session,
		     const struct dw_remote_content *content, uint64_t offset, struct dw_remote_part *out)
{
	struct box *box = (struct box *)remote;
	struct box_answer answer = {.status = 0};
	uint8_t digest[BOX_SHA1];
	char *address, sha1[BOX_SHA1_HEX];
	uint64_t bytes;
	int result;

	if (!session->part_bytes || offset >= content->bytes || offset % session->part_bytes)
		return -EINVAL;
	bytes = content->bytes - offset < session->part_bytes ? content->bytes - offset : session->part_bytes;
	result = box_digest_content(content, offset, bytes, call->cancelled, digest);
	if (result)
		return result;
	address = get_address(session, "upload_part");
	result = address ? send_part(box, call, address, content, offset, bytes, digest, &answer) : DW_REMOTE_EXPIRED;
	free(address);
	if (!result) {
		result = read_part(json_object_get(answer.json, "part"), out);
		if (result == -EPROTO)
			box_say(call, "Box's answer makes no sense");
	} else if (answer.status == 409 || answer.status == 412 || answer.status == 416) {
		struct wanted_part wanted = {.offset = offset, .bytes = bytes, .sha1 = sha1, .out = out};

		/* It may be there from a try before. */
		box_digest_hex(digest, sha1);
		if (each_part(box, call, session, match_part, &wanted) == 0 && wanted.found)
			result = 0;
	}
	/* A part that arrived although nobody said so is found by session_parts, or sent again. */
	if (result == DW_REMOTE_UNKNOWN)
		result = box_is_cancelled(call) ? -ECANCELED : DW_REMOTE_OFFLINE;
	box_answer_free(&answer);
	return expired(result);
}

struct telling_parts {
	const struct dw_remote_parts *parts;
};

static int tell_part(void *context, const struct dw_remote_part *part, const char *sha1)
{
	const struct telling_parts *telling = context;

	(void)sha1;
	return telling->parts->part(telling->parts, part);
}

int box_session_parts(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session,
		      const struct dw_remote_parts *parts)
{
	struct telling_parts telling = {.parts = parts};

	return each_part((struct box *)remote, call, session, tell_part, &telling);
}

/* {"parts": [...], "attributes": {...}} */
static json_t *make_commit(const struct dw_remote_content *content, const struct dw_remote_part *parts, size_t count)
{
	json_t *list = json_array(), *attributes = json_object(), *json = NULL;
	bool failed = !list || !attributes;
	char time[32];

	for (size_t i = 0; !failed && i < count; i++) {
		json_t *part = box_json_parse(parts[i].receipt, strnlen(parts[i].receipt, sizeof(parts[i].receipt)));

		failed = json_array_append_new(list, part);
	}
	if ((content->modified.seconds || content->modified.nanoseconds) && box_time_text(&content->modified, time))
		failed = failed || json_object_set_new(attributes, "content_modified_at", json_string(time));
	if (!failed)
		json = json_pack("{s:O, s:O}", "parts", list, "attributes", attributes);
	json_decref(list);
	json_decref(attributes);
	return json;
}

/* Ask for the commit until Box has done it, or refuses. */
static int commit_once(struct box *box, struct dw_remote_call *call, const char *address, const char *etag,
		       const char *sha, const json_t *json, struct box_answer *answer)
{
	struct http_backoff backoff = box_backoff(box, call);
	int result;

	do {
		uint64_t asked;

		box_answer_free(answer);
		result = box_send(box, call,
				  &(struct box_request){.method = "POST",
							.base = BOX_URL,
							.kind = BOX_CHANGE,
							.path = address,
							.etag = etag,
							.headers = {{"Digest", sha}},
							.header_count = 1,
							.json = json,
							.accepted = true,
							.stall = COMMIT_STALL},
				  answer);
		if (result || answer->status != 202)
			return result;
		asked = answer->retry_after ? answer->retry_after : 1000000000u;
		call->retry_after = asked;
		box_say(call, "Box is still putting the parts together");
		result = asked > BOX_PATIENCE ? -ETIMEDOUT : http_backoff_wait(&backoff, asked);
	} while (!result);
	return result == -ETIMEDOUT ? DW_REMOTE_LATER : DW_REMOTE_UNKNOWN;
}

int box_session_commit(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session,
		       const struct dw_remote_place *place, const struct dw_remote_content *content,
		       const struct dw_remote_part *parts, size_t count, const struct dw_remote_items *items)
{
	struct box *box = (struct box *)remote;
	struct http_backoff backoff = box_backoff(box, call);
	struct box_answer answer = {.status = 0};
	char real[BOX_NUMBER_MAX + 2], base64[BOX_SHA1_TEXT], sha[BOX_SHA1_TEXT + 8], *address = NULL;
	uint8_t digest[BOX_SHA1];
	json_t *json = NULL;
	struct box_item item;
	bool have = false;
	int result = box_place_resolve(box, call, place, real);

	if (!result)
		result = box_content_digest(call, content, digest);
	if (result)
		return result;
	box_digest_base64(digest, base64);
	text_format(sha, sizeof(sha), "sha=%s", base64);
	json = make_commit(content, parts, count);
	address = get_address(session, "commit");
	if (!json || !address) {
		result = DW_REMOTE_EXPIRED;
		goto out;
	}
	do {
		result = expired(commit_once(box, call, address, place->id ? place->etag : NULL, sha, json, &answer));
		if (result == DW_REMOTE_EXPIRED || result == -EEXIST || result == DW_REMOTE_CHANGED ||
		    result == DW_REMOTE_UNKNOWN)
			have = box_place_holds(box, call, place, real, content->bytes, digest, &answer, &item);
	} while (!have && box_again(&backoff, result));
	if (have)
		result = 0;
	else if (!result)
		result = box_answer_item(box, call, &answer, &item);
	if (!result && item.item.digest_length && memcmp(item.item.digest, digest, BOX_SHA1) != 0) {
		box_say(call, "the file arrived at Box damaged: its SHA-1 is not the one that was sent");
		result = -EBADMSG;
	}
	if (!result)
		result = items->item(items, &item.item);
out:
	json_decref(json);
	free(address);
	box_answer_free(&answer);
	return result;
}

int box_session_abort(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_session *session)
{
	struct box *box = (struct box *)remote;
	struct box_answer answer = {.status = 0};
	char *address = get_address(session, "abort");
	int result = -ENOENT;

	if (address)
		result = box_send(box, call,
				  &(struct box_request){
					  .method = "DELETE", .base = BOX_URL, .kind = BOX_REPEATABLE, .path = address},
				  &answer);
	free(address);
	box_answer_free(&answer);
	result = expired(result);
	return result == DW_REMOTE_EXPIRED ? 0 : result;
}
