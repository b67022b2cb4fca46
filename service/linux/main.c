/* SPDX-License-Identifier: MIT */
/*
 * driveway-service: the process that does the work
 *
 * Started by the keeper (drivewayd) with its socket as descriptor KEEPER_SOCKET. Takes up the drives that the
 * keeper holds, serves the control socket, and ends
 *    on SIGTERM    in good order, leaving the drives to the next service: this is how an upgrade works;
 *    when the last drive is gone and the keeper agrees;
 *    when the keeper is gone, since nothing can be served without it.
 * The main thread accepts connections and waits for all of these; it does nothing that blocks.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service/builtin.h"
#include "service/linux/control.h"
#include "service/linux/endpoint.h"
#include "service/linux/mapping.h"
#include "service/linux/service.h"
#include "service/plugin.h"
#include "support/runtime_folder.h"
#include "support/text.h"

#define FINISH_MILLISECONDS 5000 /* for all drives together */
#define DRAIN_MILLISECONDS  2000

static const struct dw_provider *const builtin[] = {&memory_provider, &local_provider};

static bool is_keeper_socket(int fd)
{
	int type;
	socklen_t size = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/* One arena and quick trimming: an idle service is small. */
static void keep_memory_small(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 64 << 10);
	mallopt(M_MMAP_THRESHOLD, 64 << 10);
}

/* A descriptor that becomes readable when we are asked to end; the signals are blocked in every thread. */
static int watch_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int create_providers(struct service *service)
{
	char *folders[PLUGIN_FOLDERS_MAX + 1];
	int ret = plugin_folders(folders);

	if (ret)
		return ret;
	ret = providers_create(&service->providers, builtin, sizeof(builtin) / sizeof(builtin[0]),
			       (const char *const *)folders);
	plugin_folders_free(folders);
	return ret;
}

static bool died_by_own_fault(const struct keeper_hello *hello)
{
	int status = hello->last_status;

	if (hello->services <= 1)
		return false;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM;
	return WEXITSTATUS(status) != 0;
}

/* Say hello to the keeper; *listener receives the control socket. */
static int meet_keeper(struct service *service, int *listener)
{
	struct keeper_hello hello;
	int ret = keeper_client_open(&service->keeper, KEEPER_SOCKET);

	if (!ret)
		ret = keeper_client_hello(service->keeper, &hello);
	if (ret) {
		log_write(&service->log, LOG_LEVEL_ERROR, "the keeper does not answer: %s", strerror(-ret));
		return ret;
	}
	service->keeper_pid = hello.keeper_pid;
	service->restarts = hello.services - 1;
	service->stay = hello.stay;
	service->poisoned = died_by_own_fault(&hello);
	if (service->poisoned)
		log_write(&service->log, LOG_LEVEL_ERROR,
			  "the service before this one died by its own fault, status %#x", (unsigned)hello.last_status);
	*listener = hello.control_socket;
	return 0;
}

/* An error: a drive may be left out, whose programs would wait for ever. The service must not go on then. */
static int reload_drives(struct service *service)
{
	struct keeper_drive *drive = calloc(1, sizeof(*drive));
	int ret = drive ? 0 : -ENOMEM;

	while (!ret) {
		uint32_t after = drive->id;

		memset(drive, 0, sizeof(*drive));
		ret = keeper_client_drive(service->keeper, after, drive);
		if (!ret)
			mapping_reload(service, drive);
	}
	free(drive);
	return ret == -ENOENT ? 0 : ret;
}

static void reap_drives(struct service *service)
{
	struct drive *drives[DRIVES_MAX];
	size_t count = drives_snapshot(service->drives, drives);

	for (size_t i = 0; i < count; i++) {
		mapping_reap((struct mapping *)drives[i]);
		drives_put(service->drives, drives[i]);
	}
}

static void serve(struct service *service, struct endpoint *endpoint, int listener, int signals)
{
	struct pollfd fds[] = {
		{.fd = signals, .events = POLLIN},
		{.fd = service->wake, .events = POLLIN},
		{.fd = KEEPER_SOCKET},
		{.fd = listener, .events = POLLIN},
	};
	eventfd_t count;

	for (;;) {
		if (poll(fds, sizeof(fds) / sizeof(fds[0]), -1) < 0)
			continue;
		if (fds[0].revents || fds[2].revents)
			return;
		if (fds[1].revents)
			eventfd_read(service->wake, &count);
		if (atomic_load(&service->finish))
			return;
		if (atomic_exchange(&service->vanished, false))
			reap_drives(service);
		if (fds[3].revents)
			endpoint_accept(endpoint);
	}
}

static int64_t now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

static void finish_drives(struct service *service)
{
	struct drive *drives[DRIVES_MAX];
	size_t count = drives_snapshot(service->drives, drives);
	int64_t deadline = now_milliseconds() + FINISH_MILLISECONDS;

	for (size_t i = 0; i < count; i++) {
		int64_t left = deadline - now_milliseconds();

		mapping_finish((struct mapping *)drives[i], left > 100 ? (int)left : 100);
	}
}

int main(int argc, char **argv)
{
	static struct service service = {.log = {.fd = STDERR_FILENO, .level = LOG_LEVEL_INFORMATION}};
	struct endpoint *endpoint;
	char error[256];
	int listener, signals, ret;

	if (argc > 1 || !is_keeper_socket(KEEPER_SOCKET)) {
		fprintf(stderr, "%s: started by drivewayd, not by hand: run driveway map\n", argv[0]);
		return 2;
	}
	keep_memory_small();
	/* Named, the time zone is read once; else every conversion of a local time, one for each member of a zip file,
	 * looks whether the file has changed. */
	setenv("TZ", ":/etc/localtime", 0);
	signals = watch_signals();
	service.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signals < 0 || service.wake < 0 ||
	    runtime_folder_find(service.runtime_folder, sizeof(service.runtime_folder), false, error, sizeof(error)) ||
	    drives_create(&service.drives) || create_providers(&service)) {
		log_write(&service.log, LOG_LEVEL_ERROR, "the service cannot start: %s", strerror(errno));
		return 1;
	}
	if (meet_keeper(&service, &listener) || endpoint_create(&endpoint, &service, listener, control_handle))
		return 1;
	ret = reload_drives(&service);
	if (ret) {
		log_write(&service.log, LOG_LEVEL_ERROR, "the drives cannot be taken over: %s", strerror(-ret));
		_exit(1);
	}
	serve(&service, endpoint, listener, signals);
	endpoint_drain(endpoint, DRAIN_MILLISECONDS);
	finish_drives(&service);
	_exit(0); /* threads that wait for clients may still run, so nothing is taken down under them */
}
