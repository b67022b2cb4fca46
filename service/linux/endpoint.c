/* SPDX-License-Identifier: MIT */
#include "service/linux/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support/jsonrpc.h"

struct endpoint {
	struct service *service;
	int listener;
	endpoint_handler handler;
	pthread_mutex_t lock; /* a leaf */
	pthread_cond_t quiet;
	unsigned connections;
	unsigned busy; /* requests being carried out */
};

struct connection {
	struct endpoint *endpoint;
	int fd;
	size_t length; /* bytes in buffer */
	char buffer[JSONRPC_LINE_MAX];
};

int endpoint_create(struct endpoint **out, struct service *service, int listener, endpoint_handler handler)
{
	struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
	pthread_condattr_t attributes;

	if (!endpoint)
		return -ENOMEM;
	endpoint->service = service;
	endpoint->listener = listener;
	endpoint->handler = handler;
	pthread_mutex_init(&endpoint->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&endpoint->quiet, &attributes);
	pthread_condattr_destroy(&attributes);
	fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
	*out = endpoint;
	return 0;
}

static int64_t now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

/* Wait for events on fd until deadline. */
static bool wait_until(int fd, short events, int64_t deadline)
{
	struct pollfd one = {.fd = fd, .events = events};
	int ret;

	do {
		int64_t left = deadline - now_milliseconds();

		ret = left > 0 ? poll(&one, 1, (int)left) : 0;
	} while (ret < 0 && errno == EINTR);
	return ret > 0;
}

static bool send_all(int fd, const char *text, size_t length)
{
	int64_t deadline = now_milliseconds() + ENDPOINT_SECONDS * 1000;

	while (length > 0) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (sent > 0) {
			text += sent;
			length -= (size_t)sent;
		} else if (!wait_until(fd, POLLOUT, deadline)) {
			return false;
		}
	}
	return true;
}

static void send_refusal(int fd, int error_number, const char *message)
{
	struct jsonrpc_error error = {0};
	char *line;

	jsonrpc_fault(&error, error_number, "%s", message);
	line = jsonrpc_write_error(NULL, &error);
	if (line)
		send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
	free(line);
}

/* A whole line into buffer; its length with the newline, 0 when there is none to be had. */
static size_t read_line(struct connection *connection)
{
	int64_t deadline = now_milliseconds() + ENDPOINT_SECONDS * 1000;
	size_t searched = 0;

	for (;;) {
		char *end = memchr(connection->buffer + searched, '\n', connection->length - searched);
		ssize_t got;

		if (end)
			return (size_t)(end - connection->buffer) + 1;
		searched = connection->length;
		if (connection->length == sizeof(connection->buffer)) {
			send_refusal(connection->fd, -E2BIG, "the request is longer than 65536 bytes");
			return 0;
		}
		if (!wait_until(connection->fd, POLLIN, deadline))
			return 0;
		got = recv(connection->fd, connection->buffer + connection->length,
			   sizeof(connection->buffer) - connection->length, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return 0;
		if (got > 0)
			connection->length += (size_t)got;
	}
}

static void count_busy(struct endpoint *endpoint, int change)
{
	pthread_mutex_lock(&endpoint->lock);
	endpoint->busy += (unsigned)change;
	if (endpoint->busy == 0)
		pthread_cond_broadcast(&endpoint->quiet);
	pthread_mutex_unlock(&endpoint->lock);
}

/* One request and its answer; false: close. */
static bool serve_one(struct connection *connection)
{
	struct endpoint *endpoint = connection->endpoint;
	size_t length = read_line(connection);
	bool go_on = true;
	char *answer;

	if (!length)
		return false;
	count_busy(endpoint, 1);
	answer = endpoint->handler(endpoint->service, connection->buffer, length);
	if (answer)
		go_on = send_all(connection->fd, answer, strlen(answer));
	count_busy(endpoint, -1);
	free(answer);
	connection->length -= length;
	memmove(connection->buffer, connection->buffer + length, connection->length);
	return go_on;
}

static void *run_connection(void *argument)
{
	struct connection *connection = argument;
	struct endpoint *endpoint = connection->endpoint;

	while (serve_one(connection))
		continue;
	close(connection->fd);
	free(connection);
	malloc_trim(0);
	pthread_mutex_lock(&endpoint->lock);
	endpoint->connections--;
	pthread_mutex_unlock(&endpoint->lock);
	return NULL;
}

static bool take_place(struct endpoint *endpoint)
{
	bool free_place;

	pthread_mutex_lock(&endpoint->lock);
	free_place = endpoint->connections < ENDPOINT_CONNECTIONS;
	endpoint->connections += free_place;
	pthread_mutex_unlock(&endpoint->lock);
	return free_place;
}

static void give_place_back(struct endpoint *endpoint)
{
	pthread_mutex_lock(&endpoint->lock);
	endpoint->connections--;
	pthread_mutex_unlock(&endpoint->lock);
}

/* Takes fd over. */
static void start_connection(struct endpoint *endpoint, int fd)
{
	struct connection *connection;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.uid != geteuid()) {
		log_write(&endpoint->service->log, LOG_LEVEL_WARNING, "a connection of another user was refused");
		send_refusal(fd, -EPERM, "this service belongs to another user");
		close(fd);
		return;
	}
	if (!take_place(endpoint)) {
		send_refusal(fd, -EAGAIN, "too many connections at a time: try again");
		close(fd);
		return;
	}
	connection = calloc(1, sizeof(*connection));
	if (connection) {
		connection->endpoint = endpoint;
		connection->fd = fd;
		if (service_start_thread(run_connection, connection, SERVICE_STACK_LARGE) == 0)
			return;
	}
	free(connection);
	give_place_back(endpoint);
	send_refusal(fd, -EAGAIN, "the service cannot start a thread: try again");
	close(fd);
}

void endpoint_accept(struct endpoint *endpoint)
{
	int fd;

	while ((fd = accept4(endpoint->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		start_connection(endpoint, fd);
}

void endpoint_drain(struct endpoint *endpoint, int milliseconds)
{
	struct timespec deadline;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_nsec += (long)milliseconds % 1000 * 1000000;
	deadline.tv_sec += milliseconds / 1000 + deadline.tv_nsec / 1000000000;
	deadline.tv_nsec %= 1000000000;
	pthread_mutex_lock(&endpoint->lock);
	while (endpoint->busy && !ret)
		ret = pthread_cond_timedwait(&endpoint->quiet, &endpoint->lock, &deadline);
	pthread_mutex_unlock(&endpoint->lock);
}
