/* SPDX-License-Identifier: MIT */
#include "remotes/box/box.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX    (32u << 20)
#define STALL	      60000000000ull
#define PAUSE_MOST    8000000000ull
#define TRIES	      6u
#define TRIES_CONNECT 3u
#define TRIES_UNKNOWN 4u
#define TOKENS	      2u /* new ones after a refusal: what another service got may be over, too, by a clock that is wrong */

/* One box_send: what it has been through. */
struct sending {
	struct box *box;
	struct dw_remote_call *call;
	const struct box_request *request;
	struct box_answer *answer;
	char *url;
	char *body; /* the text of request->json */
	char token[BOX_TOKEN_MAX];
	struct http_backoff backoff;
	unsigned unconnected;
	unsigned refused; /* tokens */
	bool maybe;	  /* an earlier try may have been done */
};

static uint64_t now_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool box_is_cancelled(const struct dw_remote_call *call)
{
	return call->cancelled && __atomic_load_n(call->cancelled, __ATOMIC_RELAXED);
}

struct http_backoff box_backoff(const struct box *box, const struct dw_remote_call *call)
{
	return (struct http_backoff){.first = box->settings.retry_pause,
				     .most = PAUSE_MOST,
				     .deadline = call->deadline,
				     .cancelled = call->cancelled};
}

bool box_again(struct http_backoff *backoff, int error)
{
	return error == DW_REMOTE_UNKNOWN && backoff->attempts + 1 < TRIES_UNKNOWN &&
	       http_backoff_wait(backoff, 0) == 0;
}

char *box_path(const char *format, ...)
{
	va_list arguments;
	char *path = NULL;

	va_start(arguments, format);
	if (vasprintf(&path, format, arguments) < 0)
		path = NULL;
	va_end(arguments);
	return path;
}

void box_answer_free(struct box_answer *answer)
{
	json_decref(answer->json);
	free(answer->location);
	free(answer->headers);
	*answer = (struct box_answer){.status = 0};
}

/* URLs that Box names must be as safe as the one where it was asked. */
static bool url_allowed(const struct box *box, const char *url)
{
	return text_starts_with(url, "https://") ||
	       (text_starts_with(url, "http://") && text_starts_with(box->settings.api_url, "http://"));
}

static int prepare(struct sending *sending)
{
	const struct box_request *request = sending->request;
	const struct box *box = sending->box;

	if (request->base == BOX_API)
		sending->url = box_path("%s%s", box->settings.api_url, request->path);
	else if (request->base == BOX_UPLOAD)
		sending->url = box_path("%s%s", box->settings.upload_url, request->path);
	else
		sending->url = text_duplicate(request->path);
	if (request->json)
		sending->body = json_dumps(request->json, JSON_COMPACT);
	if (!sending->url || (request->json && !sending->body))
		return -ENOMEM;
	if (request->base >= BOX_URL && !url_allowed(box, sending->url)) {
		box_say(sending->call, "Box names an address that is not safe to ask");
		return -EPROTO;
	}
	return 0;
}

static int perform(struct sending *sending, struct http_response *response)
{
	const struct box_request *request = sending->request;
	struct http_header headers[BOX_HEADERS_MAX + 3];
	struct dw_remote_call *call = sending->call;
	char bearer[BOX_TOKEN_MAX + 16];
	uint64_t within = request->within ? now_monotonic() + request->within : 0;
	size_t count = 0;
	int error;

	if (request->base != BOX_OTHER) {
		snprintf(bearer, sizeof(bearer), "Bearer %s", sending->token);
		headers[count++] = (struct http_header){"Authorization", bearer};
	}
	if (request->etag)
		headers[count++] = (struct http_header){"If-Match", request->etag};
	if (request->json)
		headers[count++] = (struct http_header){"Content-Type",
							request->json_type ? request->json_type : "application/json"};
	for (size_t i = 0; i < request->header_count; i++)
		headers[count++] = request->headers[i];
	error = http_perform(
		sending->box->http,
		&(struct http_request){
			.method = request->method,
			.url = sending->url,
			.headers = headers,
			.header_count = count,
			.body = sending->body,
			.body_size = sending->body ? strlen(sending->body) : 0,
			.source = request->source,
			.fields = request->fields,
			.field_count = request->field_count,
			.head = request->head,
			.data = request->data,
			.sent = request->sent,
			.context = request->context,
			.body_max = ANSWER_MAX,
			.repeatable = request->kind != BOX_CHANGE,
			.deadline = within && (!call->deadline || within < call->deadline) ? within : call->deadline,
			.cancelled = call->cancelled,
			.stall = request->stall ? request->stall : STALL,
		},
		response);
	explicit_bzero(bearer, sizeof(bearer));
	if (request->within && error == -ETIMEDOUT && (!call->deadline || now_monotonic() < call->deadline))
		error = -ETIME;
	return error;
}

/* Pause before another try, or say that there is none: result is then what the caller gets. */
static bool go_on(struct sending *sending, uint64_t asked, int *result)
{
	int error;

	if (sending->request->single || sending->backoff.attempts + 1 >= TRIES)
		return false;
	error = http_backoff_wait(&sending->backoff, asked);
	if (error == -ECANCELED)
		*result = sending->maybe ? DW_REMOTE_UNKNOWN : -ECANCELED;
	return error == 0;
}

/* The connection failed. Whether to try again; else *result. */
static bool after_failure(struct sending *sending, int error, const struct http_response *response, int *result)
{
	bool broken = error == -ECONNREFUSED || error == -ENOTCONN || error == -ECONNRESET || error == -ETIME;
	bool sent = response->outcome != HTTP_NOT_SENT;

	sending->maybe = sending->maybe || (sent && sending->request->kind != BOX_READ);
	*result = error;
	if (!broken) {
		if (sending->maybe && (error == -ETIMEDOUT || error == -ECANCELED))
			*result = DW_REMOTE_UNKNOWN;
		if (error == -EFBIG)
			*result = -EPROTO;
		box_say(sending->call, "%s", response->error);
		return false;
	}
	box_say_unreachable(sending->call, error, response);
	*result = sending->maybe ? DW_REMOTE_UNKNOWN : DW_REMOTE_OFFLINE;
	if (sending->maybe && sending->request->kind == BOX_CHANGE)
		return false;
	if (!sent && (error == -ENOTCONN || ++sending->unconnected >= TRIES_CONNECT))
		return false;
	return go_on(sending, 0, result);
}

/* Box says to come back later. */
static bool after_later(struct sending *sending, int *result)
{
	struct box_answer *answer = sending->answer;
	struct dw_remote_call *call = sending->call;

	call->retry_after = answer->retry_after;
	if (answer->status == 429)
		box_rate_hold(sending->box->rate, answer->retry_after);
	if (answer->retry_after > BOX_PATIENCE)
		return false;
	return go_on(sending, answer->retry_after, result);
}

/* 202: taken and not done, or not yet; nobody says which. Whether to try again; else *result. */
static bool after_accepted(struct sending *sending, int *result)
{
	struct dw_remote_call *call = sending->call;

	call->retry_after = sending->answer->retry_after;
	box_say(call, "Box has not done it yet");
	*result = sending->request->kind == BOX_CHANGE ? DW_REMOTE_UNKNOWN : DW_REMOTE_LATER;
	return *result == DW_REMOTE_LATER && call->retry_after <= BOX_PATIENCE &&
	       go_on(sending, call->retry_after, result);
}

/* A status of 400 and more. Whether to try again; else *result. */
static bool after_refusal(struct sending *sending, int *result)
{
	const struct box_request *request = sending->request;
	struct box_answer *answer = sending->answer;
	bool held = strcmp(answer->code, "name_temporarily_reserved") == 0 ||
		    strcmp(answer->code, "operation_blocked_temporary") == 0;

	*result = box_error(sending->call, answer->status, answer->code, answer->json);
	if (answer->status == 401 && request->base != BOX_OTHER) {
		box_tokens_reject(sending->box->tokens, sending->token);
		if (sending->refused++ < TOKENS)
			return true;
		box_say(sending->call, "Box refuses the login even with a new token; run: driveway login box");
		return false;
	}
	if (answer->status == 429)
		return after_later(sending, result);
	/* Which conflict it is gets lost when the connection breaks in the answer; asking again does no harm. */
	if (held || (answer->status == 409 && !answer->json))
		return go_on(sending, answer->retry_after, result);
	if (answer->status == 503)
		return !request->busy && after_later(sending, result);
	if (answer->status < 500 || answer->status == 507)
		return false;
	if (request->kind == BOX_CHANGE) {
		*result = DW_REMOTE_UNKNOWN;
		return false;
	}
	return go_on(sending, answer->retry_after, result);
}

static int take_answer(struct sending *sending, struct http_response *response)
{
	struct box_answer *answer = sending->answer;
	const char *location = http_response_header(response, "location");
	const char *code;

	box_answer_free(answer);
	answer->status = response->status;
	http_parse_retry_after(http_response_header(response, "retry-after"),
			       response->date ? response->date : (int64_t)time(NULL), &answer->retry_after);
	if (response->body_size)
		answer->json = box_json_parse(response->body, response->body_size);
	code = box_json_text(answer->json, "code");
	if (response->status >= 400 && code)
		text_copy(answer->code, sizeof(answer->code), code);
	if (location && !(answer->location = text_duplicate(location)))
		return -ENOMEM;
	answer->headers = response->headers;
	answer->headers_size = response->headers_size;
	response->headers = NULL;
	return 0;
}

int box_send(struct box *box, struct dw_remote_call *call, const struct box_request *request, struct box_answer *answer)
{
	struct sending sending = {
		.box = box, .call = call, .request = request, .answer = answer, .backoff = box_backoff(box, call)};
	bool again = true;
	int result;

	*answer = (struct box_answer){.status = 0};
	result = box_wake(box, call);
	if (!result)
		result = prepare(&sending);
	while (!result && again) {
		struct http_response response = {.outcome = HTTP_NOT_SENT};

		again = false;
		if (request->base != BOX_OTHER) {
			result = box_rate_take(box->rate, call, request->upload);
			if (!result)
				result = box_tokens_get(box->tokens, call, sending.token);
			if (result)
				break;
		}
		result = perform(&sending, &response);
		if (result) {
			again = after_failure(&sending, result, &response, &result);
		} else {
			result = take_answer(&sending, &response);
			if (!result && answer->status >= 400)
				again = after_refusal(&sending, &result);
			else if (!result && answer->status == 202 && !request->accepted)
				again = after_accepted(&sending, &result);
		}
		http_response_free(&response);
		if (again)
			result = 0;
	}
	if (sending.maybe && result && result != BOX_CALLBACK_ERROR && answer->status == 0)
		result = DW_REMOTE_UNKNOWN;
	explicit_bzero(sending.token, sizeof(sending.token));
	free(sending.url);
	free(sending.body);
	return result;
}
