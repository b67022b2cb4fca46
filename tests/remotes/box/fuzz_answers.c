/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what Box answers: listings, items, events, errors, upload sessions, tokens, contents. The operations of
 * the remote run on them, with an HTTP client that takes its answers from the input:
 *
 *    first byte    which operation
 *    then          answers, each behind a byte 0x1e: "STATUS\nName: value\n...\n\nBODY", or "R" (the connection broke),
 *                  "N" (none came about); behind the last one there is no connection
 *
 * Whatever comes, what the cache is told keeps to driveway/remote.h.
 */
#include "remotes/box/box.h"
#include "tests/remotes/box/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_END  0x1e
#define PATIENCE    1000000u /* nanoseconds: nobody sleeps here */
#define LARGE_BYTES 100000u
#define PARTS_MAX   64u
#define PAGES_MAX   4

extern const struct dw_remote_provider driveway_remote;

struct http_client {
	const uint8_t *data;
	size_t size;
};

/* The answers that are left; the remote makes its client itself. */
static struct http_client input;

/* What was asked of a read, and what of it has come. */
struct wanted {
	uint64_t offset, bytes, done;
};

struct told {
	const struct dw_remote *remote;
	unsigned items;
};

int http_client_create(struct http_client **out, const struct http_options *options)
{
	(void)options;
	*out = &input;
	return 0;
}

void http_client_destroy(struct http_client *client)
{
	(void)client;
}

static size_t take_answer(struct http_client *client, const uint8_t **answer)
{
	const uint8_t *end;
	size_t size;

	if (!client->size)
		return 0;
	*answer = client->data;
	end = memchr(client->data, ANSWER_END, client->size);
	size = end ? (size_t)(end - client->data) : client->size;
	client->data += size + (end != NULL);
	client->size -= size + (end != NULL);
	return size;
}

/* Headers as the real client keeps them. */
static size_t take_headers(const uint8_t *data, size_t size, struct http_response *out)
{
	size_t at = 0;

	out->headers = calloc(1, size + 2);
	FUZZ_CHECK(out->headers);
	while (at < size && data[at] != '\n') {
		while (at < size && data[at] != '\n') {
			out->headers[out->headers_size++] = data[at] ? (char)data[at] : '?';
			at++;
		}
		out->headers[out->headers_size++] = 0;
		at += at < size;
	}
	return at + (at < size);
}

static int hand_on(const struct http_request *request, struct http_response *out, const uint8_t *body, size_t size)
{
	int error = request->head ? request->head(request->context, out) : 0;

	if (error)
		return error;
	if (!request->data || (out->status != 200 && out->status != 206)) {
		out->body = calloc(1, size + 1);
		FUZZ_CHECK(out->body);
		memcpy(out->body, body, size);
		out->body_size = size;
		return 0;
	}
	for (size_t at = 0; !error && at < size;) {
		size_t piece = size - at < 97 ? size - at : 97;

		error = request->data(request->context, body + at, piece);
		at += piece;
	}
	return error;
}

static void send_body(const struct http_request *request)
{
	const struct http_source *source = request->source;
	char buffer[512];

	for (size_t i = 0; i < request->field_count; i++)
		source = request->fields[i].source ? request->fields[i].source : source;
	if (source && source->bytes) {
		size_t size = source->bytes < sizeof(buffer) ? (size_t)source->bytes : sizeof(buffer);

		FUZZ_CHECK(source->read(source->context, buffer, size, source->bytes - size) == 0);
	}
}

int http_perform(struct http_client *client, const struct http_request *request, struct http_response *out)
{
	const uint8_t *data = NULL;
	size_t size = take_answer(client, &data), used = 3;
	int error;

	*out = (struct http_response){.outcome = HTTP_NOT_SENT};
	FUZZ_CHECK(strncmp(request->url, "https://", 8) == 0);
	FUZZ_CHECK(!request->deadline || request->deadline > 0);
	send_body(request);
	if (size < 3 || data[0] == 'N')
		return -ECONNREFUSED;
	out->outcome = HTTP_MAYBE;
	if (data[0] == 'R')
		return -ECONNRESET;
	for (int i = 0; i < 3; i++)
		out->status = out->status * 10 + (data[i] - '0') % 10u;
	out->status = out->status < 200 || out->status > 599 ? 200 : out->status;
	used += used < size && data[used] == '\n';
	used += take_headers(data + used, size - used, out);
	used = used < size ? used : size;
	error = hand_on(request, out, data + used, size - used);
	out->outcome = error ? HTTP_MAYBE : HTTP_ANSWERED;
	return error;
}

static struct dw_remote_call *fresh(struct dw_remote_call *call)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	*call = (struct dw_remote_call){.size = sizeof(*call),
					.deadline = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec +
						    PATIENCE};
	return call;
}

/* Errors are those of the interface, and what a person reads can be read. */
static void check_end(int result, const struct dw_remote_call *call)
{
	FUZZ_CHECK(result <= 0 && result != BOX_CALLBACK_ERROR && result != -EUCLEAN && result != -EOVERFLOW);
	FUZZ_CHECK(result > -200 || (result <= DW_REMOTE_OFFLINE && result >= DW_REMOTE_TRASHED));
	FUZZ_CHECK(memchr(call->message, 0, sizeof(call->message)));
	for (const char *c = call->message; *c; c++)
		FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_text(const char *text, size_t most)
{
	json_t *valid;

	FUZZ_CHECK(text && strlen(text) <= most);
	valid = json_string(text); /* UTF-8 */
	FUZZ_CHECK(valid);
	json_decref(valid);
}

static int check_item(const struct dw_remote_items *items, const struct dw_remote_item *item)
{
	struct told *told = items->context;

	told->items++;
	FUZZ_CHECK(item->type >= DW_REMOTE_FILE && item->type <= DW_REMOTE_OTHER);
	check_text(item->id, DW_REMOTE_ID_MAX);
	FUZZ_CHECK(box_id_type(item->id) == item->type || strcmp(item->id, told->remote->root) == 0);
	check_text(item->parent, DW_REMOTE_ID_MAX);
	check_text(item->name, SIZE_MAX);
	check_text(item->etag, DW_REMOTE_ID_MAX);
	check_text(item->content, DW_REMOTE_ID_MAX);
	FUZZ_CHECK(item->bytes <= INT64_MAX && item->digest_length <= sizeof(item->digest));
	FUZZ_CHECK(item->modified.nanoseconds < 1000000000 && item->created.nanoseconds < 1000000000);
	FUZZ_CHECK(item->property_count <= BOX_PROPERTIES_MAX);
	for (size_t i = 0; i < item->property_count; i++) {
		check_text(item->properties[i].key, BOX_KEY_MAX);
		check_text(item->properties[i].value, SIZE_MAX);
	}
	return 0;
}

static int check_event(const struct dw_remote_events *events, enum dw_remote_event_type type,
		       const struct dw_remote_item *item)
{
	struct dw_remote_items items = {.item = check_item, .context = events->context};

	FUZZ_CHECK(type >= DW_REMOTE_EVENT_CHANGED && type <= DW_REMOTE_EVENT_LOST);
	if (type == DW_REMOTE_EVENT_CHANGED)
		return check_item(&items, item);
	if (type == DW_REMOTE_EVENT_REMOVED)
		check_text(item->id, DW_REMOTE_ID_MAX);
	return 0;
}

static int check_bytes(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	struct wanted *wanted = sink->context;

	(void)data;
	FUZZ_CHECK(size && offset == wanted->offset + wanted->done && size <= wanted->bytes - wanted->done);
	wanted->done += size;
	return 0;
}

static int check_part(const struct dw_remote_parts *parts, const struct dw_remote_part *part)
{
	(void)parts;
	FUZZ_CHECK(memchr(part->receipt, 0, sizeof(part->receipt)));
	return 0;
}

static int read_zeros(const struct dw_remote_content *content, void *buffer, size_t size, uint64_t offset)
{
	FUZZ_CHECK(offset <= content->bytes && size <= content->bytes - offset);
	memset(buffer, 0, size);
	return 0;
}

static int read_file(struct dw_remote *remote, struct dw_remote_call *call, const char *content, uint64_t offset,
		     uint64_t bytes)
{
	struct wanted wanted = {.offset = offset, .bytes = bytes};
	struct dw_remote_sink sink = {.write = check_bytes, .context = &wanted};

	return remote->ops->read(remote, fresh(call), "f1", content, offset, bytes, &sink);
}

static int list_folder(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_items *items)
{
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	int result = 0;

	for (int page = 0; !result && page < PAGES_MAX; page++) {
		result = remote->ops->list(remote, fresh(call), remote->root, cursor, items);
		FUZZ_CHECK(memchr(cursor, 0, sizeof(cursor)));
		if (!*cursor)
			break;
	}
	return result;
}

static int upload_in_parts(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
			   const struct dw_remote_items *items)
{
	struct dw_remote_content content = {.read = read_zeros, .bytes = LARGE_BYTES};
	struct dw_remote_parts list = {.part = check_part};
	struct dw_remote_part parts[PARTS_MAX];
	struct dw_remote_session session;
	size_t count = 0;
	int result = remote->ops->session_begin(remote, fresh(call), place, &content, &session);

	if (result)
		return result;
	FUZZ_CHECK(session.part_bytes && memchr(session.handle, 0, sizeof(session.handle)));
	for (uint64_t at = 0; !result && at < LARGE_BYTES && count < PARTS_MAX; at += session.part_bytes)
		result = remote->ops->session_part(remote, fresh(call), &session, &content, at, &parts[count++]);
	check_end(remote->ops->session_parts(remote, fresh(call), &session, &list), call);
	if (!result)
		result = remote->ops->session_commit(remote, fresh(call), &session, place, &content, parts, count,
						     items);
	check_end(remote->ops->session_abort(remote, fresh(call), &session), call);
	return result;
}

static int follow(struct dw_remote *remote, struct dw_remote_call *call, const char *from, struct told *told)
{
	struct dw_remote_events events = {.event = check_event, .context = told};
	char cursor[DW_REMOTE_CURSOR_MAX + 1];
	int result;

	snprintf(cursor, sizeof(cursor), "%s", from);
	result = remote->ops->changes(remote, fresh(call), cursor, &events);
	FUZZ_CHECK(memchr(cursor, 0, sizeof(cursor)));
	return result;
}

static int operate(unsigned which, struct dw_remote *remote, struct dw_remote_call *call)
{
	static const char content_name[] = "7-0000000000000000000000000000000000000000";
	static const struct dw_remote_property properties[] = {{"mode", "0644"}, {"other", NULL}};
	const struct dw_remote_ops *ops = remote->ops;
	struct told told = {.remote = remote};
	struct dw_remote_items items = {.item = check_item, .context = &told};
	struct dw_remote_content content = {.read = read_zeros, .bytes = 1000};
	struct dw_remote_place made = {.parent = remote->root, .name = "new"}, replaced = {.id = "f1", .etag = "3"};
	struct dw_remote_quota quota;
	int result;

	switch (which) {
	case 'i':
		result = ops->stat(remote, fresh(call), "f1", &items);
		break;
	case 'l':
		return list_folder(remote, call, &items);
	case 'r':
		return read_file(remote, call, NULL, 0, UINT64_MAX);
	case 's':
		return read_file(remote, call, content_name, 5, 100);
	case 'u':
		result = ops->upload(remote, fresh(call), &made, &content, &items);
		break;
	case 'v':
		result = ops->upload(remote, fresh(call), &replaced, &content, &items);
		break;
	case 'p':
		result = upload_in_parts(remote, call, &made, &items);
		break;
	case 'e':
		return follow(remote, call, "17", &told);
	case 'f':
		return follow(remote, call, "", &told);
	case 'm':
		result = ops->mkdir(remote, fresh(call), remote->root, "new", &items);
		break;
	case 'n':
		result = ops->move(remote, fresh(call), "d1", DW_REMOTE_FOLDER, NULL, remote->root, "new", &items);
		break;
	case 'c':
		result = ops->copy(remote, fresh(call), "f1", DW_REMOTE_FILE, remote->root, "new", &items);
		break;
	case 'd':
		return ops->remove(remote, fresh(call), "f1", DW_REMOTE_FILE, "3", false);
	case 'a':
		return ops->set_properties(remote, fresh(call), "f1", DW_REMOTE_FILE, properties, 2);
	default:
		return ops->quota(remote, fresh(call), &quota);
	}
	/* Exactly one item on success, none on failure. */
	FUZZ_CHECK(told.items == (result == 0));
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dw_option token[] = {{"auth", "token"},
						 {"token", "t"},
						 {"retry-pause", "0"},
						 {"rate-calls", "0"},
						 {"rate-uploads", "0"}},
				      app[] = {{"auth", "ccg"},
					       {"client-id", "c"},
					       {"client-secret", "s"},
					       {"enterprise", "1"},
					       {"retry-pause", "0"}};
	struct dw_remote_source source = {.size = sizeof(source), .rest = "", .state = "/nowhere", .option_count = 5};
	struct dw_remote_call call = {.size = sizeof(call)};
	struct dw_remote *remote;
	char error[256];
	bool by_app;

	if (size < 2)
		return 0;
	/* Capital letters: as an app, which asks for a token first. "L" and "E": of a folder, which is looked for, too.
	 */
	by_app = data[0] >= 'A' && data[0] <= 'Z';
	source.options = by_app ? app : token;
	source.rest = data[0] == 'L' || data[0] == 'E' ? "A/B" : "";
	input = (struct http_client){.data = data + 1, .size = size - 1};
	if (data[1] == ANSWER_END)
		input = (struct http_client){.data = data + 2, .size = size - 2};
	FUZZ_CHECK(driveway_remote.open(&driveway_remote, &source, &remote, error, sizeof(error)) == 0);
	check_end(operate(by_app ? data[0] + 32u : data[0], remote, &call), &call);
	remote->ops->close(remote);
	return 0;
}
