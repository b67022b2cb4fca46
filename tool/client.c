/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/runtime_folder.h"

#define CALL_NUMBER 1

static bool send_all(int fd, const char *text)
{
	size_t length = strlen(text);

	while (length > 0) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		text += sent;
		length -= (size_t)sent;
	}
	return true;
}

/* One line, without a limit of its own: the list of 64 drives with long paths is long. NULL: the connection ended. */
static char *receive_line(int fd, size_t *length)
{
	size_t room = 0;
	char *line = NULL;

	*length = 0;
	for (;;) {
		ssize_t got;

		if (room - *length < 4096) {
			char *more = realloc(line, room + 65536);

			if (!more)
				break;
			line = more;
			room += 65536;
		}
		got = recv(fd, line + *length, room - *length, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		*length += (size_t)got;
		if (line[*length - 1] == '\n')
			return line;
	}
	free(line);
	return NULL;
}

static int exchange(int fd, const char *request, json_t **result, struct jsonrpc_error *error)
{
	size_t length;
	char *answer;
	int ret;

	send_all(fd, request); /* a refusal may have come before it was read: look for the answer in any case */
	answer = receive_line(fd, &length);
	if (!answer)
		return -ECONNRESET;
	ret = jsonrpc_parse_answer(result, answer, length, CALL_NUMBER, error) ? -EREMOTEIO : 0;
	free(answer);
	return ret;
}

int client_call(const char *method, json_t *params, bool start, json_t **result, struct jsonrpc_error *error)
{
	char *request = params ? jsonrpc_write_request(method, params, CALL_NUMBER) : NULL;
	char folder[128];
	int fd, ret;

	memset(error, 0, sizeof(*error));
	if (!request) {
		jsonrpc_fault(error, -EINVAL, "a path or an option is not valid UTF-8: rename it");
		return -EINVAL;
	}
	ret = runtime_folder_find(folder, sizeof(folder), start, error->message, sizeof(error->message));
	if (!ret) {
		ret = start_connect(folder, &fd);
		if (ret == -ENOENT && start)
			ret = start_service(folder, &fd, error->message, sizeof(error->message));
		else if (ret && ret != -ENOENT)
			snprintf(error->message, sizeof(error->message), "cannot connect to the service in %s: %s",
				 folder, strerror(-ret));
	}
	if (ret) {
		free(request);
		return ret;
	}
	ret = exchange(fd, request, result, error);
	if (ret == -ECONNRESET)
		snprintf(error->message, sizeof(error->message),
			 "the service ended before it answered: try again, and see service.log in %s", folder);
	close(fd);
	free(request);
	return ret;
}

int client_ask(const char *method, const char *target, json_t **result, struct jsonrpc_error *error)
{
	int ret = -ECONNRESET;

	for (int attempt = 0; attempt < 2 && ret == -ECONNRESET; attempt++)
		ret = client_call(method, target ? json_pack("{s:s}", "target", target) : json_object(), false, result,
				  error);
	return ret;
}
