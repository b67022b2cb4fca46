/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/linux/endpoint.h"
#include "support/jsonrpc.h"

static char folder[] = "/tmp/driveway-test-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static struct service service = {.log = {.fd = 2, .level = -1}};
static struct endpoint *endpoint;
static int listener, stop;
static pthread_t accepter;

/* Echoes; "block" does not return before "release" has come. */
static _Atomic bool released;

static char *handle(struct service *unused, const char *line, size_t length)
{
	if (strncmp(line, "block", 5) == 0) {
		while (!atomic_load(&released))
			usleep(1000);
	}
	if (strncmp(line, "quiet", 5) == 0)
		return NULL;
	return strndup(line, length);
}

static void *run_accepter(void *unused)
{
	struct pollfd fds[] = {{.fd = listener, .events = POLLIN}, {.fd = stop, .events = POLLIN}};

	while (poll(fds, 2, -1) > 0 && !fds[1].revents)
		endpoint_accept(endpoint);
	return NULL;
}

static int open_connection(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What comes within two seconds: a line, or "" at the end, or NULL: nothing. */
static const char *receive(int fd)
{
	static char line[4096];
	struct pollfd one = {.fd = fd, .events = POLLIN};
	size_t length = 0;

	while (length == 0 || line[length - 1] != '\n') {
		ssize_t got;

		if (poll(&one, 1, 2000) <= 0)
			return NULL;
		got = recv(fd, line + length, 1, 0);
		if (got <= 0)
			return "";
		length += (size_t)got;
	}
	line[length] = '\0';
	return line;
}

static void say(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void check_alive(void)
{
	int fd = open_connection();

	say(fd, "alive\n");
	assert_string_equal(receive(fd), "alive\n");
	close(fd);
}

/* Until all connections of the other tests are gone. */
static void settle(void)
{
	for (unsigned i = 0; i < 200; i++) {
		int fd = open_connection();
		const char *answer;

		say(fd, "x\n");
		answer = receive(fd);
		close(fd);
		if (answer && strcmp(answer, "x\n") == 0)
			return;
		usleep(10000);
	}
	fail_msg("the endpoint never became free");
}

static void lines_are_answered_in_order(void **state)
{
	int fd = open_connection();

	say(fd, "one\ntwo\nquiet\nth");
	assert_string_equal(receive(fd), "one\n");
	assert_string_equal(receive(fd), "two\n");
	say(fd, "ree\n");
	assert_string_equal(receive(fd), "three\n");
	close(fd);
}

static void a_line_that_is_too_long_closes_the_connection(void **state)
{
	static char huge[JSONRPC_LINE_MAX + 1];
	int fd = open_connection();
	const char *answer;

	memset(huge, 'x', sizeof(huge));
	for (size_t sent = 0; sent < sizeof(huge);) {
		ssize_t part = send(fd, huge + sent, sizeof(huge) - sent, MSG_NOSIGNAL);

		if (part <= 0)
			break;
		sent += (size_t)part;
	}
	answer = receive(fd);
	assert_non_null(answer);
	assert_true(answer[0] == '\0' || strstr(answer, "longer than 65536"));
	close(fd);
	check_alive();
}

static void who_hangs_up_or_sends_rubbish_does_no_harm(void **state)
{
	for (unsigned i = 0; i < 100; i++) {
		int fd = open_connection();

		say(fd, i % 2 ? "half a li" : "whole\n");
		close(fd);
	}
	settle();
	check_alive();
}

static void a_request_that_blocks_delays_no_other(void **state)
{
	int blocked = open_connection();

	atomic_store(&released, false);
	say(blocked, "block\n");
	usleep(20000);
	for (unsigned i = 0; i < 20; i++)
		check_alive();
	atomic_store(&released, true);
	assert_string_equal(receive(blocked), "block\n");
	close(blocked);
}

static void too_many_connections_are_told_so(void **state)
{
	int fds[ENDPOINT_CONNECTIONS + 1];
	const char *answer;
	int more;

	settle();
	for (unsigned i = 0; i < ENDPOINT_CONNECTIONS; i++) {
		fds[i] = open_connection();
		for (unsigned attempt = 0;; attempt++) {
			say(fds[i], "x\n");
			answer = receive(fds[i]);
			if (answer && strcmp(answer, "x\n") == 0)
				break;
			assert_true(attempt < 200); /* those of earlier tests are still being closed */
			close(fds[i]);
			usleep(10000);
			fds[i] = open_connection();
		}
	}
	more = open_connection();
	answer = receive(more);
	assert_non_null(answer);
	assert_non_null(strstr(answer, "too many connections"));
	close(more);
	for (unsigned i = 0; i < ENDPOINT_CONNECTIONS; i++)
		close(fds[i]);
	settle();
	check_alive();
}

static void draining_waits_for_requests_but_not_for_ever(void **state)
{
	int blocked = open_connection();

	atomic_store(&released, false);
	say(blocked, "block\n");
	usleep(20000);
	endpoint_drain(endpoint, 50);
	atomic_store(&released, true);
	endpoint_drain(endpoint, 5000);
	assert_string_equal(receive(blocked), "block\n");
	close(blocked);
}

static int begin(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	stop = eventfd(0, EFD_CLOEXEC);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64))
		return -1;
	if (endpoint_create(&endpoint, &service, listener, handle))
		return -1;
	return pthread_create(&accepter, NULL, run_accepter, NULL);
}

static int end(void **state)
{
	eventfd_write(stop, 1);
	pthread_join(accepter, NULL);
	endpoint_drain(endpoint, 1000);
	unlink(address.sun_path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_answered_in_order),
		cmocka_unit_test(a_line_that_is_too_long_closes_the_connection),
		cmocka_unit_test(who_hangs_up_or_sends_rubbish_does_no_harm),
		cmocka_unit_test(a_request_that_blocks_delays_no_other),
		cmocka_unit_test(too_many_connections_are_told_so),
		cmocka_unit_test(draining_waits_for_requests_but_not_for_ever),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
