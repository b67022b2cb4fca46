/* SPDX-License-Identifier: MIT */
#include "tests/keeper/harness.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

void harness_pause(unsigned milliseconds)
{
	struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};

	nanosleep(&time, NULL);
}

void harness_open(struct harness *h)
{
	memset(h, 0, sizeof(*h));
	snprintf(h->folder, sizeof(h->folder), "%s", "/tmp/driveway-keeper-XXXXXX");
	assert_non_null(mkdtemp(h->folder));
	snprintf(h->runtime, sizeof(h->runtime), "%s/run", h->folder);
}

void harness_environment(const struct harness *h)
{
	setenv("DRIVEWAY_RUNTIME_DIR", h->runtime, 1);
}

void harness_start(struct harness *h, const struct harness_programs *programs, const char *option)
{
	h->keeper = fork();
	if (h->keeper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		harness_environment(h);
		execl(programs->drivewayd, "drivewayd", "--foreground", "--service", programs->service, option, NULL);
		_exit(126);
	}
	assert_true(h->keeper > 0);
	for (int i = 0; i < 500; i++) {
		if (strncmp(harness_say(h, "hello"), "0 ", 2) == 0)
			return;
		harness_pause(10);
	}
	fail_msg("the service does not answer");
}

const char *harness_say(struct harness *h, const char *format, ...)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = 30};
	char line[4200], *end;
	va_list arguments;
	size_t used = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	va_start(arguments, format);
	vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	end = line + strlen(line);
	memcpy(end, "\n", 2);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", h->runtime);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
	    send(fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line)) {
		while (used < sizeof(h->reply) - 1) {
			ssize_t got = recv(fd, h->reply + used, sizeof(h->reply) - 1 - used, 0);

			if (got <= 0)
				break;
			used += (size_t)got;
			if (h->reply[used - 1] == '\n')
				break;
		}
	}
	close(fd);
	h->reply[used] = 0;
	return h->reply;
}

long harness_number(const struct harness *h, const char *key)
{
	const char *at = h->reply;

	if (key) {
		at = strstr(h->reply, key);
		if (!at)
			fail_msg("no %s in: %s", key, h->reply);
		at += strlen(key);
	}
	return strtol(at, NULL, 10);
}

pid_t harness_service(struct harness *h, pid_t not )
{
	for (int i = 0; i < 1500; i++) {
		if (strncmp(harness_say(h, "hello"), "0 ", 2) == 0 && harness_number(h, " pid=") != not )
			return (pid_t)harness_number(h, " pid=");
		harness_pause(5);
	}
	fail_msg("no new service");
	return 0;
}

int harness_wait(struct harness *h, int seconds)
{
	int status;

	for (int i = 0; i < seconds * 100; i++) {
		if (waitpid(h->keeper, &status, WNOHANG) == h->keeper) {
			h->keeper = 0;
			return status;
		}
		harness_pause(10);
	}
	return -1;
}

void harness_close(struct harness *h)
{
	char command[160];

	if (h->keeper > 0) {
		kill(h->keeper, SIGTERM);
		if (harness_wait(h, 30) < 0) {
			kill(h->keeper, SIGKILL);
			fail_msg("the keeper does not end");
		}
	}
	snprintf(command, sizeof(command), "rm -rf --one-file-system %s", h->folder);
	assert_int_equal(system(command), 0);
}
