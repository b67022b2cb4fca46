/* SPDX-License-Identifier: MIT */
/*
 * Reading a file. Box answers where the bytes are (302); that address is asked without the token, is good for one read,
 * and is asked for again when a read breaks off in the middle: it goes on where it stopped. While Box still prepares a
 * file it says 202, and when to come back.
 */
#include "remotes/box/box.h"

#include "remotes/box/digest.h"
#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIES	   5u		/* in a row without a byte */
#define RANGE_MOST (1ull << 62) /* beyond, a range has no end; no file is so long */
#define ODD_ANSWER (-EUCLEAN)	/* likewise: the head of the answer does not fit */
#define ENOUGH	   (-EOVERFLOW) /* likewise: all that was wanted has come */

struct reading {
	const struct dw_remote_sink *sink;
	uint64_t start; /* first byte wanted */
	uint64_t end;	/* behind the last byte wanted; shrinks to the end of the file when that is known */
	uint64_t done;	/* bytes handed on */
	uint64_t skip;	/* bytes before them that come although nobody asked */
	uint64_t total; /* length of the file; UINT64_MAX: not known */
	bool ranged;	/* the request had a Range */
	bool surplus;	/* more will come than is wanted */
	bool final;	/* the failure was not one of the way to the bytes */
	int sink_error;
	struct box_digest *digest; /* of the whole; NULL: not checked */
};

static int on_head(void *context, const struct http_response *response)
{
	struct reading *reading = context;
	uint64_t at = reading->start + reading->done;
	uint64_t first, last, total;

	if (response->status == 206) {
		if (http_parse_range(http_response_header(response, "content-range"), &first, &last, &total) ||
		    first > at)
			return ODD_ANSWER;
		reading->skip = at - first;
		reading->surplus = last >= reading->end;
		if (total != UINT64_MAX)
			reading->total = total;
	} else if (response->status == 200) {
		const char *length = http_response_header(response, "content-length");

		reading->skip = at;
		if (length && text_parse_number(length, INT64_MAX, &total) == 0)
			reading->total = total;
		reading->surplus = reading->total > reading->end;
	} else {
		return 0;
	}
	if (reading->total < reading->end)
		reading->end = reading->total;
	if (reading->total != UINT64_MAX && reading->end <= at)
		return ENOUGH;
	return 0;
}

static int on_data(void *context, const void *data, size_t size)
{
	struct reading *reading = context;
	uint64_t left = reading->end - reading->start - reading->done;
	const char *bytes = data;

	if (reading->skip) {
		size_t skipped = reading->skip < size ? (size_t)reading->skip : size;

		reading->skip -= skipped;
		bytes += skipped;
		size -= skipped;
	}
	size = size < left ? size : (size_t)left;
	if (size) {
		reading->sink_error = reading->sink->write(reading->sink, bytes, size, reading->start + reading->done);
		if (reading->sink_error)
			return BOX_CALLBACK_ERROR;
		if (reading->digest)
			box_digest_add(reading->digest, bytes, size);
		reading->done += size;
	}
	/* Breaking off costs the connection. */
	return reading->surplus && reading->done == reading->end - reading->start ? ENOUGH : 0;
}

/* Where the bytes are: *url, malloc'd; NULL when they came with this answer. */
static int ask_address(struct box *box, struct dw_remote_call *call, const char *path, struct reading *reading,
		       const char *range, char **url)
{
	struct http_backoff backoff = box_backoff(box, call);
	struct box_request request = {.method = "GET",
				      .path = path,
				      .accepted = true,
				      .head = on_head,
				      .data = on_data,
				      .context = reading,
				      .headers = {{"Range", range}},
				      .header_count = reading->ranged};
	int result;

	for (;;) {
		struct box_answer answer;
		uint64_t asked;
		unsigned status;

		result = box_send(box, call, &request, &answer);
		status = answer.status;
		asked = answer.retry_after ? answer.retry_after : 1000000000u;
		*url = !result && (status == 302 || status == 303 || status == 307) ? text_duplicate(answer.location)
										    : NULL;
		box_answer_free(&answer);
		if (result || status != 202)
			break;
		call->retry_after = asked;
		box_say(call, "Box is still preparing this file");
		result = asked > BOX_PATIENCE ? -ETIMEDOUT : http_backoff_wait(&backoff, asked);
		if (result == -ETIMEDOUT)
			result = DW_REMOTE_LATER;
		if (result)
			break;
	}
	if (!result && !*url && !reading->done && reading->total == UINT64_MAX) {
		box_say(call, "Box does not say where the file is");
		result = -EPROTO;
	}
	return result;
}

/* One try to get what is missing. */
static int fetch(struct box *box, struct dw_remote_call *call, const char *path, struct reading *reading)
{
	uint64_t first = reading->start + reading->done;
	struct box_request request = {.method = "GET",
				      .base = BOX_OTHER,
				      .single = true,
				      .head = on_head,
				      .data = on_data,
				      .context = reading};
	struct box_answer answer = {.status = 0};
	char range[64], *url = NULL;
	int result;

	reading->ranged = first || reading->end != UINT64_MAX;
	if (reading->end > RANGE_MOST)
		text_format(range, sizeof(range), "bytes=%llu-", (unsigned long long)first);
	else
		text_format(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)first,
			    (unsigned long long)reading->end - 1);
	result = ask_address(box, call, path, reading, range, &url);
	reading->final = result != 0;
	if (!result && url) {
		request.path = url;
		request.headers[0] = (struct http_header){"Range", range};
		request.header_count = reading->ranged;
		result = box_send(box, call, &request, &answer);
		if (answer.status == 416) {
			reading->end = reading->start + reading->done;
			result = 0;
		} else if (answer.status >= 400 && answer.status < 500 && answer.status != 429) {
			result = -EIO; /* the address is too old: there will be another one */
		}
		box_answer_free(&answer);
	}
	free(url);
	return result;
}

static bool complete(const struct reading *reading)
{
	return reading->end != UINT64_MAX && reading->done >= reading->end - reading->start;
}

/* Get all of it, however often the connection breaks. */
static int fetch_all(struct box *box, struct dw_remote_call *call, const char *path, struct reading *reading)
{
	struct http_backoff backoff = box_backoff(box, call);
	int result = 0;

	while (!complete(reading)) {
		uint64_t before = reading->done;
		int paused;

		result = fetch(box, call, path, reading);
		if (result == BOX_CALLBACK_ERROR)
			return reading->sink_error;
		if (result == ENOUGH)
			result = 0;
		if (result == ODD_ANSWER) {
			box_say(call, "Box sends other bytes than were asked for");
			return -EPROTO;
		}
		if (!result && (reading->end == UINT64_MAX || complete(reading))) {
			reading->end = reading->start + reading->done;
			break;
		}
		/* 0: the answer was shorter than it should have been */
		if (result &&
		    (reading->final || (result != DW_REMOTE_OFFLINE && result != DW_REMOTE_LATER && result != -EIO)))
			return result;
		if (reading->done > before)
			backoff.attempts = 0;
		if (!result)
			result = -EIO;
		if (backoff.attempts + 1 >= TRIES)
			return result;
		paused = http_backoff_wait(&backoff, result == DW_REMOTE_LATER ? call->retry_after : 0);
		if (paused)
			return paused == -ECANCELED ? paused : result;
		result = 0;
	}
	return result;
}

/* There is no such version: is the file still there? */
static int gone_or_changed(struct box *box, struct dw_remote_call *call, const char *real)
{
	struct box_answer answer;
	struct box_item item;
	int result = box_get_item(box, call, real, "type,id,etag,name,sha1,size,file_version,item_status", &answer,
				  &item);

	box_answer_free(&answer);
	if (!result)
		box_say(call, "this version of the file cannot be had any more");
	return result ? result : DW_REMOTE_CHANGED;
}

/* Which version to read, and what all of it should hash to. */
static int choose_version(struct box *box, struct dw_remote_call *call, const char *real, const char *content,
			  char version[BOX_NUMBER_MAX], uint8_t digest[BOX_SHA1], bool *hashed)
{
	struct box_answer answer;
	struct box_item item;
	int result = 0;

	if (content)
		return box_content_parse(content, version, digest, hashed) ? 0 : DW_REMOTE_CHANGED;
	result = box_get_item(box, call, real, "type,id,etag,name,sha1,size,file_version,item_status", &answer, &item);
	if (!result && !box_content_parse(item.content, version, digest, hashed))
		result = -EPROTO;
	box_answer_free(&answer);
	return result;
}

int box_read(struct dw_remote *remote, struct dw_remote_call *call, const char *id, const char *content,
	     uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink)
{
	struct box *box = (struct box *)remote;
	struct reading reading = {.sink = sink, .start = offset, .total = UINT64_MAX};
	char real[BOX_NUMBER_MAX + 2], version[BOX_NUMBER_MAX];
	uint8_t wanted[BOX_SHA1] = {0}, got[BOX_SHA1];
	bool hashed = false, whole;
	char *path;
	int result = box_resolve(box, call, id, real);

	if (!result && *real != 'f')
		result = *real == 'd' ? -EISDIR : -EINVAL;
	if (!result && bytes == 0)
		return 0;
	if (!result)
		result = choose_version(box, call, real, content, version, wanted, &hashed);
	if (result)
		return result;
	if (offset > RANGE_MOST)
		return 0;
	reading.end = bytes < UINT64_MAX - offset ? offset + bytes : UINT64_MAX;
	if (hashed && offset == 0)
		reading.digest = box_digest_begin();
	path = box_path("/files/%s/content?version=%s", real + 1, version);
	result = path && (!hashed || offset || reading.digest) ? fetch_all(box, call, path, &reading) : -ENOMEM;
	free(path);
	if (result == -ENOENT)
		result = gone_or_changed(box, call, real);
	whole = reading.total != UINT64_MAX ? reading.done == reading.total : bytes == UINT64_MAX;
	if (reading.digest && box_digest_end(reading.digest, got) == 0 && !result && whole &&
	    memcmp(got, wanted, sizeof(got)) != 0) {
		box_say(call, "the file arrived damaged: its SHA-1 is not the one that Box says");
		result = -EBADMSG;
	}
	return result;
}
