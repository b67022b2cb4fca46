/* SPDX-License-Identifier: MIT */
#include "tests/http/server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX    65536u
#define THREADS_MAX 256u

struct server {
	int fd;
	unsigned port;
	pthread_t thread;
	pthread_t served[THREADS_MAX];
	unsigned count;
	uint32_t stopping, connections, requests; /* atomic */
};

struct connection {
	struct server *server;
	int fd;
	bool once;
};

static bool stopping(struct server *server)
{
	return __atomic_load_n(&server->stopping, __ATOMIC_RELAXED);
}

/* Wait for input; false: the server stops. */
static bool wait_input(struct server *server, int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	while (!stopping(server)) {
		if (poll(&wait, 1, 20) > 0)
			return true;
	}
	return false;
}

static bool put(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		at += sent;
		size -= (size_t)sent;
	}
	return true;
}

static bool put_head(int fd, unsigned status, const char *more, unsigned long length)
{
	char head[512];
	int size = snprintf(head, sizeof(head), "HTTP/1.1 %u Status\r\nContent-Length: %lu\r\n%s\r\n", status, length,
			    more);

	return put(fd, head, (size_t)size);
}

static bool put_bytes(int fd, unsigned long from, unsigned long count)
{
	char piece[65536];

	while (count) {
		unsigned long size = count < sizeof(piece) ? count : sizeof(piece);

		for (unsigned long i = 0; i < size; i++)
			piece[i] = (char)((from + i) % 251);
		if (!put(fd, piece, size))
			return false;
		from += size;
		count -= size;
	}
	return true;
}

static bool put_chunks(int fd, unsigned long count)
{
	unsigned long from = 0;

	if (!put(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47))
		return false;
	while (count) {
		unsigned long size = count < 10000 ? count : 10000;
		char line[32];
		int length = snprintf(line, sizeof(line), "%lx\r\n", size);

		if (!put(fd, line, (size_t)length) || !put_bytes(fd, from, size) || !put(fd, "\r\n", 2))
			return false;
		from += size;
		count -= size;
	}
	return put(fd, "0\r\n\r\n", 5);
}

static void reset(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void wait_end(struct connection *connection)
{
	char byte;

	while (wait_input(connection->server, connection->fd) && recv(connection->fd, &byte, 1, 0) > 0)
		;
}

/* Read the head of a request into head and as much of the body as has come; false: there is none. */
static bool read_head(struct connection *connection, char *head, size_t *size, char **body)
{
	*size = 0;
	while (*size < HEAD_MAX - 1) {
		ssize_t got;

		if (!wait_input(connection->server, connection->fd))
			return false;
		got = recv(connection->fd, head + *size, HEAD_MAX - 1 - *size, 0);
		if (got <= 0)
			return false;
		*size += (size_t)got;
		if (head[0] == 0x16) /* TLS */
			return false;
		head[*size] = 0;
		*body = strstr(head, "\r\n\r\n");
		if (*body) {
			*body += 4;
			return true;
		}
	}
	return false;
}

static unsigned long body_length(const char *head)
{
	const char *line = strcasestr(head, "\r\nContent-Length:");

	return line ? strtoul(line + 17, NULL, 10) : 0;
}

/* The whole body, malloc'd with a NUL behind it; NULL: it did not come. */
static char *read_body(struct connection *connection, const char *start, size_t have, unsigned long length)
{
	char *body = malloc(length + 1);
	size_t size = have < length ? have : length;

	if (!body)
		return NULL;
	memcpy(body, start, size);
	while (size < length) {
		ssize_t got = wait_input(connection->server, connection->fd)
				      ? recv(connection->fd, body + size, length - size, 0)
				      : 0;

		if (got <= 0) {
			free(body);
			return NULL;
		}
		size += (size_t)got;
	}
	body[length] = 0;
	return body;
}

static bool answer_headers(int fd, unsigned long count)
{
	bool good = put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", 36);

	for (unsigned long i = 0; good && i < count; i += 64)
		good = put(fd, "X-Long: 345678901234567890123456789012345678901234567890123456\r\n", 64);
	return good && put(fd, "\r\n", 2);
}

/* Answer one request; false: the connection ends. */
static bool answer(struct connection *connection, const char *head, const char *path, const char *body,
		   unsigned long length)
{
	const char *number = strrchr(path, '/') + 1;
	unsigned long n = strtoul(number, NULL, 10);
	int fd = connection->fd;

	if (strcmp(path, "/text") == 0)
		return put_head(fd, 200, "X-Two: first\r\nx-two:  second\r\n", 5) && put(fd, "hello", 5);
	if (strcmp(path, "/echo") == 0)
		return put_head(fd, 200, "", length) && put(fd, body, length);
	if (strcmp(path, "/head") == 0)
		return put_head(fd, 200, "", strlen(head)) && put(fd, head, strlen(head));
	if (strncmp(path, "/bytes/", 7) == 0)
		return put_head(fd, 200, "", n) && put_bytes(fd, 0, n);
	if (strncmp(path, "/chunked/", 9) == 0)
		return put_chunks(fd, n);
	if (strncmp(path, "/status/", 8) == 0)
		return put_head(fd, (unsigned)n, "Retry-After: 3\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 6) &&
		       put(fd, "status", 6);
	if (strcmp(path, "/redirect") == 0)
		return put_head(fd, 302, "Location: /text\r\n", 0);
	if (strncmp(path, "/half/", 6) == 0)
		return put_head(fd, 200, "", n) && put_bytes(fd, 0, n / 2) && false;
	if (strncmp(path, "/headers/", 9) == 0)
		return answer_headers(fd, n);
	if (strcmp(path, "/nonsense") == 0)
		return put(fd, "what?\r\n\r\n", 9) && false;
	if (strcmp(path, "/continue") == 0)
		return put(fd, "HTTP/1.1 100 Continue\r\nX-Early: yes\r\n\r\n", 39) && put_head(fd, 200, "", 5) &&
		       put(fd, "hello", 5);
	if (strcmp(path, "/once") == 0) {
		connection->once = true;
		return put_head(fd, 200, "", 5) && put(fd, "hello", 5);
	}
	if (strcmp(path, "/stall") == 0) {
		put_head(fd, 200, "", 100000);
		put_bytes(fd, 0, 10);
		wait_end(connection);
		return false;
	}
	if (strcmp(path, "/silent") == 0) {
		wait_end(connection);
		return false;
	}
	reset(fd); /* "/reset" and whatever else */
	return false;
}

static void *serve(void *context)
{
	struct connection *connection = context;
	char *head = malloc(HEAD_MAX), *start = NULL, *body = NULL;
	bool again = head != NULL;
	size_t size;

	while (again && read_head(connection, head, &size, &start)) {
		char path[128] = "";
		unsigned long length = body_length(head);

		__atomic_fetch_add(&connection->server->requests, 1, __ATOMIC_RELAXED);
		if (connection->once || sscanf(head, "%*s %127s", path) != 1)
			break;
		if (strcmp(path, "/refuse") == 0) {
			put_head(connection->fd, 413, "Connection: close\r\n", 6);
			put(connection->fd, "refuse", 6);
			shutdown(connection->fd, SHUT_WR);
			usleep(50000);
			reset(connection->fd);
			break;
		}
		body = read_body(connection, start, size - (size_t)(start - head), length);
		*start = 0;
		again = body && answer(connection, head, path, body, length);
		free(body);
	}
	free(head);
	close(connection->fd);
	free(connection);
	return NULL;
}

static void *accept_all(void *context)
{
	struct server *server = context;

	while (wait_input(server, server->fd) && server->count < THREADS_MAX) {
		struct connection *connection = calloc(1, sizeof(*connection));

		if (!connection)
			break;
		connection->server = server;
		connection->fd = accept(server->fd, NULL, NULL);
		if (connection->fd < 0 || pthread_create(&server->served[server->count], NULL, serve, connection)) {
			free(connection);
			continue;
		}
		server->count++;
		__atomic_fetch_add(&server->connections, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

struct server *server_start(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct server *server = calloc(1, sizeof(*server));
	socklen_t size = sizeof(address);

	if (!server)
		return NULL;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(server->fd, 128) || getsockname(server->fd, (struct sockaddr *)&address, &size)) {
		free(server);
		return NULL;
	}
	server->port = ntohs(address.sin_port);
	if (pthread_create(&server->thread, NULL, accept_all, server)) {
		close(server->fd);
		free(server);
		return NULL;
	}
	return server;
}

void server_stop(struct server *server)
{
	__atomic_store_n(&server->stopping, 1, __ATOMIC_RELAXED);
	pthread_join(server->thread, NULL);
	for (unsigned i = 0; i < server->count; i++)
		pthread_join(server->served[i], NULL);
	close(server->fd);
	free(server);
}

unsigned server_port(const struct server *server)
{
	return server->port;
}

unsigned server_connections(struct server *server)
{
	return __atomic_load_n(&server->connections, __ATOMIC_RELAXED);
}

unsigned server_requests(struct server *server)
{
	return __atomic_load_n(&server->requests, __ATOMIC_RELAXED);
}
