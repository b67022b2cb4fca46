/* SPDX-License-Identifier: MIT */
#include "remotes/box/loopback.h"

#include "support/http/retry.h"
#include "support/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 8192u
#define LOOK	    100 /* milliseconds */
#define PATIENCE    50	/* looks that a request may take */

int box_loopback_open(struct box_loopback *out, unsigned port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t size = sizeof(address);
	int on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	out->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (out->fd < 0)
		return -errno;
	setsockopt(out->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(out->fd, (struct sockaddr *)&address, sizeof(address)) || listen(out->fd, 8) ||
	    getsockname(out->fd, (struct sockaddr *)&address, &size)) {
		int error = -errno;

		close(out->fd);
		out->fd = -1;
		return error;
	}
	out->port = ntohs(address.sin_port);
	return 0;
}

void box_loopback_close(struct box_loopback *loopback)
{
	if (loopback->fd >= 0)
		close(loopback->fd);
	loopback->fd = -1;
}

/* The value of name in a query, malloc'd; NULL. */
static char *query_value(const char *query, const char *name)
{
	size_t length = strlen(name);

	while (*query) {
		size_t part = strcspn(query, "&# \t\r\n");

		if (strncmp(query, name, length) == 0 && query[length] == '=' && part > length)
			return http_unescape(query + length + 1, part - length - 1);
		query += part;
		if (*query != '&')
			break;
		query++;
	}
	return NULL;
}

/* Compare without telling by the time it takes how much is right. */
static bool same(const char *a, const char *b)
{
	size_t length = strlen(a);
	unsigned char difference = 0;

	if (length != strlen(b))
		return false;
	for (size_t i = 0; i < length; i++)
		difference |= (unsigned char)(a[i] ^ b[i]);
	return difference == 0;
}

int box_loopback_parse(const char *address, const char *state, char **code, char *message, size_t message_size)
{
	const char *query = strchr(address, '?');
	char *given, *refused;
	int result = -EINVAL;

	*code = NULL;
	query = query ? query + 1 : address;
	given = query_value(query, "state");
	if (!given || !same(given, state)) {
		free(given);
		text_copy(message, message_size, "this is no answer to this login");
		return result;
	}
	refused = query_value(query, "error_description");
	if (!refused)
		refused = query_value(query, "error");
	*code = query_value(query, "code");
	if (*code && **code) {
		result = 0;
	} else if (refused) {
		char printable[128];

		text_printable(printable, sizeof(printable), refused);
		text_format(message, message_size, "Box says: %s", printable);
		result = -EACCES;
	} else {
		text_copy(message, message_size, "there is no code in this answer");
	}
	if (result) {
		free(*code);
		*code = NULL;
	}
	free(given);
	free(refused);
	return result;
}

/* Read the head of a request; false: it did not come. */
static bool read_request(int fd, const volatile uint32_t *cancelled, char *out)
{
	size_t size = 0;

	for (unsigned looks = 0; looks < PATIENCE && size < REQUEST_MAX - 1; looks++) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		ssize_t got;

		if (cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
			return false;
		if (poll(&wait, 1, LOOK) <= 0)
			continue;
		got = recv(fd, out + size, REQUEST_MAX - 1 - size, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (got > 0)
			size += (size_t)got;
		out[size] = 0;
		if (strstr(out, "\r\n\r\n"))
			return true;
	}
	return false;
}

static void answer(int fd, const char *status, const char *line)
{
	char text[1024];
	int size = snprintf(text, sizeof(text),
			    "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
			    "Content-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n"
			    "<!doctype html><title>Driveway</title><p>%s</p>\n",
			    status, line);

	(void)!send(fd, text, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
}

/* One connection; -EAGAIN: it was not the answer. */
static int serve(int fd, const char *state, const volatile uint32_t *cancelled, char **code, char *message,
		 size_t message_size)
{
	char request[REQUEST_MAX];
	char *end;
	int result;

	if (!read_request(fd, cancelled, request))
		return -EAGAIN;
	end = strpbrk(request, "\r\n");
	if (end)
		*end = 0;
	if (!text_starts_with(request, "GET /callback?")) {
		answer(fd, "404 Not Found", "There is nothing here.");
		return -EAGAIN;
	}
	result = box_loopback_parse(request + 4, state, code, message, message_size);
	if (result == 0)
		answer(fd, "200 OK", "You are logged in. This page can be closed.");
	else if (result == -EACCES)
		answer(fd, "200 OK", "The login was refused. This page can be closed.");
	else
		answer(fd, "400 Bad Request", "This is no answer to a login that is under way.");
	explicit_bzero(request, sizeof(request));
	return result == -EINVAL ? -EAGAIN : result;
}

int box_loopback_wait(const struct box_loopback *loopback, const char *state, const volatile uint32_t *cancelled,
		      uint64_t deadline, char **code, char *message, size_t message_size)
{
	int result = -EAGAIN;

	*code = NULL;
	while (result == -EAGAIN) {
		struct pollfd wait = {.fd = loopback->fd, .events = POLLIN};
		struct timespec now;
		int fd;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
			return -ECANCELED;
		if (deadline && (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec >= deadline)
			return -ETIMEDOUT;
		if (poll(&wait, 1, LOOK) <= 0)
			continue;
		fd = accept4(loopback->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		result = serve(fd, state, cancelled, code, message, message_size);
		close(fd);
	}
	return result;
}
