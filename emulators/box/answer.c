/* SPDX-License-Identifier: MIT */
#include "emulators/box/answer.h"

#include "support/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char out_of_memory[] = "{\"type\":\"error\",\"status\":500,\"code\":\"internal_server_error\"}";

void answer_clear(struct answer *answer)
{
	free(answer->text);
	for (int i = 0; i < answer->headers; i++)
		free(answer->header[i].value);
	if (answer->fd >= 0)
		close(answer->fd);
	*answer = (struct answer){.fd = -1};
}

static void answer_own(struct request *request, unsigned int status, const char *type, char *text)
{
	answer_clear(&request->answer);
	if (!text) {
		status = 500;
		text = strdup(out_of_memory);
		type = "application/json";
	}
	request->answer.status = status;
	request->answer.type = type;
	request->answer.text = text;
	request->answer.size = text ? strlen(text) : 0;
}

void answer_json(struct request *request, unsigned int status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	answer_own(request, status, "application/json", text);
}

void answer_text(struct request *request, unsigned int status, const char *type, const char *text)
{
	answer_own(request, status, type, strdup(text));
}

void answer_empty(struct request *request, unsigned int status)
{
	answer_clear(&request->answer);
	request->answer.status = status;
}

void answer_file(struct request *request, unsigned int status, int fd, uint64_t offset, uint64_t length,
		 const char *type)
{
	answer_clear(&request->answer);
	request->answer.status = status;
	request->answer.fd = fd;
	request->answer.offset = offset;
	request->answer.length = length;
	request->answer.type = type;
}

void answer_header(struct request *request, const char *name, const char *value)
{
	struct answer *answer = &request->answer;
	struct answer_header *header = &answer->header[answer->headers];

	if (answer->headers == REQUEST_HEADERS)
		return;
	header->value = strdup(value);
	if (!header->value)
		return;
	text_copy(header->name, sizeof(header->name), name);
	answer->headers++;
}

static const char *answer_code(unsigned int status)
{
	switch (status) {
	case 400:
		return "bad_request";
	case 401:
		return "unauthorized";
	case 403:
		return "forbidden";
	case 404:
		return "not_found";
	case 405:
		return "method_not_allowed";
	case 409:
		return "conflict";
	case 412:
		return "precondition_failed";
	case 429:
		return "rate_limit_exceeded";
	case 502:
		return "bad_gateway";
	case 503:
		return "unavailable";
	default:
		return "internal_server_error";
	}
}

void answer_error_context(struct request *request, unsigned int status, const char *code, const char *message,
			  json_t *context)
{
	json_t *body;

	code = code ? code : answer_code(status);
	body = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "type", "error", "status", (int)status, "code", code,
			 "help_url", "http://developers.box.com/docs/#errors", "message", message, "request_id",
			 request->id);
	if (body && context)
		json_object_set_new(body, "context_info", context);
	else
		json_decref(context);
	answer_json(request, status, body);
	request->answer.error = code;
}

void answer_error(struct request *request, unsigned int status, const char *code, const char *message)
{
	answer_error_context(request, status, code, message, NULL);
}

void answer_invalid(struct request *request, unsigned int status, const char *code, const char *name,
		    const char *reason, const char *message)
{
	json_t *context = json_pack("{s:[{s:s, s:s, s:s}]}", "errors", "reason", reason, "name", name, "message",
				    message);

	answer_error_context(request, status, code, status == 404 ? "Not Found" : "Bad Request", context);
}

void answer_oauth_error(struct request *request, unsigned int status, const char *error, const char *description)
{
	answer_json(request, status, json_pack("{s:s, s:s}", "error", error, "error_description", description));
	request->answer.error = error;
}
