/* SPDX-License-Identifier: MIT */
#include "support/jsonrpc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/text.h"

void jsonrpc_fault(struct jsonrpc_error *error, int error_number, const char *format, ...)
{
	va_list arguments;

	error->code = JSONRPC_FAULT;
	error->error = error_number;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
}

void jsonrpc_refuse(struct jsonrpc_error *error, int code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	error->error = 0;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
}

int jsonrpc_parse_request(struct jsonrpc_request *request, const char *line, size_t length, struct jsonrpc_error *error)
{
	json_error_t where;
	json_t *version, *method;

	memset(request, 0, sizeof(*request));
	request->root = json_loadb(line, length, JSON_REJECT_DUPLICATES, &where);
	if (!request->root) {
		jsonrpc_refuse(error, JSONRPC_PARSE_ERROR, "not JSON: %s", where.text);
		return error->code;
	}
	if (!json_is_object(request->root)) {
		jsonrpc_refuse(error, JSONRPC_INVALID_REQUEST, "a request is one JSON object (batches are not taken)");
		return error->code;
	}
	request->id = json_object_get(request->root, "id");
	if (request->id && !json_is_string(request->id) && !json_is_number(request->id) && !json_is_null(request->id)) {
		request->id = NULL;
		jsonrpc_refuse(error, JSONRPC_INVALID_REQUEST, "id is a string, a number or null");
		return error->code;
	}
	version = json_object_get(request->root, "jsonrpc");
	if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0) {
		jsonrpc_refuse(error, JSONRPC_INVALID_REQUEST, "jsonrpc must be \"2.0\"");
		return error->code;
	}
	method = json_object_get(request->root, "method");
	if (!json_is_string(method)) {
		jsonrpc_refuse(error, JSONRPC_INVALID_REQUEST, "method must be a string");
		return error->code;
	}
	request->params = json_object_get(request->root, "params");
	if (!request->params) {
		request->params = json_object();
		if (!request->params || json_object_set_new(request->root, "params", request->params)) {
			jsonrpc_refuse(error, JSONRPC_INTERNAL_ERROR, "out of memory");
			return error->code;
		}
	}
	if (!json_is_object(request->params)) {
		jsonrpc_refuse(error, JSONRPC_INVALID_PARAMS, "params must be an object with named members");
		return error->code;
	}
	request->method = json_string_value(method);
	return 0;
}

void jsonrpc_request_clear(struct jsonrpc_request *request)
{
	json_decref(request->root);
	memset(request, 0, sizeof(*request));
}

/* message as one line; steals it. */
static char *write_line(json_t *message)
{
	char *text, *line = NULL;
	size_t length;

	text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	json_decref(message);
	if (!text)
		return NULL;
	length = strlen(text);
	line = realloc(text, length + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + length, "\n", 2);
	return line;
}

char *jsonrpc_write_result(json_t *id, json_t *result)
{
	return write_line(json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id ? id : json_null(), "result",
				    result ? result : json_null()));
}

char *jsonrpc_write_error(json_t *id, const struct jsonrpc_error *error)
{
	json_t *body, *data;
	const char *name;
	char message[JSONRPC_MESSAGE_MAX];

	text_printable(message, sizeof(message), error->message);
	body = json_pack("{s:i, s:s%}", "code", error->code, "message", message, strlen(message));
	if (!body) /* bytes in it that are no UTF-8 */
		body = json_pack("{s:i, s:s}", "code", error->code, "message", "the reason is not valid UTF-8");
	if (body && error->code == JSONRPC_FAULT) {
		name = strerrorname_np(-error->error);
		data = json_pack("{s:i, s:s}", "errno", -error->error, "name", name ? name : "");
		if (json_object_set_new(body, "data", data)) {
			json_decref(body);
			body = NULL;
		}
	}
	return write_line(json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id ? id : json_null(), "error", body));
}

char *jsonrpc_write_request(const char *method, json_t *params, int id)
{
	return write_line(json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", id, "method", method, "params",
				    params ? params : json_object()));
}

int jsonrpc_parse_answer(json_t **result, const char *line, size_t length, int id, struct jsonrpc_error *error)
{
	json_t *root = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	json_t *number = json_object_get(root, "id");
	json_t *failure = json_object_get(root, "error");
	json_t *value = json_object_get(root, "result");
	const char *message = json_string_value(json_object_get(failure, "message"));

	memset(error, 0, sizeof(*error));
	if (failure && message) {
		json_t *data = json_object_get(failure, "data");

		error->code = (int)json_integer_value(json_object_get(failure, "code"));
		if (!error->code)
			error->code = JSONRPC_INTERNAL_ERROR;
		error->error = -(int)json_integer_value(json_object_get(data, "errno"));
		text_printable(error->message, sizeof(error->message), message);
	} else if (!value || !json_is_integer(number) || json_integer_value(number) != id) {
		jsonrpc_refuse(error, JSONRPC_INTERNAL_ERROR, "the service gave an answer that makes no sense");
	} else {
		*result = json_incref(value);
	}
	json_decref(root);
	return error->code;
}
