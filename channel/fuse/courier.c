/* SPDX-License-Identifier: MIT */
#include "courier.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- The process --------------------------------------------------------------------------------------- */

static void close_between(unsigned first, unsigned last)
{
	if (first > last || !syscall(SYS_close_range, first, last, 0))
		return;
	/* Before Linux 5.9. */
	for (unsigned fd = first; fd <= last && fd < 65536; fd++)
		(void)syscall(SYS_close, fd);
}

/* What the service has open (files, locks, sockets of others) would stay open as long as this process. */
static void keep_only(int socket, int device)
{
	unsigned low = (unsigned)(socket < device ? socket : device);
	unsigned high = (unsigned)(socket < device ? device : socket);

	if (low > 0)
		close_between(0, low - 1);
	close_between(low + 1, high - 1);
	close_between(high + 1, UINT32_MAX);
}

static void __attribute__((noreturn)) serve(int socket, int device)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	char message[COURIER_MESSAGE];
	sigset_t none;

	keep_only(socket, device);
	/* Whoever ends the service ends this by that. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_NAME, "dw-courier");
	for (;;) {
		ssize_t size = recv(socket, message, sizeof(message), 0);
		int32_t error = 0;

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			_exit(0);
		while (write(device, message, (size_t)size) < 0) {
			if (errno == EINTR)
				continue;
			error = -errno;
			break;
		}
		if (send(socket, &error, sizeof(error), MSG_NOSIGNAL) < 0)
			_exit(0);
	}
}

/* --- The service --------------------------------------------------------------------------------------- */

static int start(struct courier *courier, int device)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -EAGAIN;
	pid = fork();
	if (pid == 0)
		serve(pair[1], device);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	*courier = (struct courier){.socket = pair[0], .pid = pid};
	return 0;
}

void courier_end(struct courier *courier)
{
	if (courier->socket < 0)
		return;
	close(courier->socket);
	while (waitpid(courier->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*courier = COURIER_NONE;
}

int courier_deliver(struct courier *courier, int device, const void *message, size_t size)
{
	int32_t error;
	ssize_t got;

	if (size > COURIER_MESSAGE)
		return -EMSGSIZE;
	if (courier->socket < 0 && start(courier, device))
		return -EAGAIN;
	if (send(courier->socket, message, size, MSG_NOSIGNAL) < 0) {
		courier_end(courier);
		return -EAGAIN;
	}
	do
		got = recv(courier->socket, &error, sizeof(error), 0);
	while (got < 0 && errno == EINTR);
	if (got == (ssize_t)sizeof(error))
		return error;
	courier_end(courier);
	return -EAGAIN;
}
