/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/keeper.h"

#define QUICK		1000 /* milliseconds: a service that lives less long has died quickly */
#define PAUSE_FIRST	100  /* before it is started for the third time */
#define PAUSE_MAX	5000
#define GIVE_UP_AFTER	5     /* quick deaths, when there is no drive to stay for */
#define FINISH_LIMIT	10000 /* milliseconds for a service that was asked to finish */
#define UNMOUNT_LIMIT	6000  /* milliseconds for all drives at the end, while the service works */
#define REST_LIMIT	5000  /* milliseconds for those that are taken down by force */
#define EXIT_NO_SERVICE 127

/* In the child: become the service. */
static void become_service(const struct keeper *keeper, int socket)
{
	char *const arguments[] = {(char *)"driveway-service", NULL};
	sigset_t none;

	if (socket == KEEPER_SOCKET)
		fcntl(socket, F_SETFD, 0);
	else
		dup2(socket, KEEPER_SOCKET);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(keeper->service_path, arguments);
	_exit(EXIT_NO_SERVICE);
}

static void start_service(struct keeper *keeper)
{
	struct service *service = &keeper->service;
	int pair[2] = {-1, -1};

	service->start_at = keeper_now() + PAUSE_MAX; /* if it cannot be started now */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		keeper_log("cannot start the service: %s", strerror(errno));
		return;
	}
	service->pid = fork();
	if (service->pid == 0)
		become_service(keeper, pair[1]);
	close(pair[1]);
	if (service->pid < 0) {
		keeper_log("cannot start the service: %s", strerror(errno));
		service->pid = 0;
		close(pair[0]);
		return;
	}
	service->socket = pair[0];
	service->started++;
	service->start_time = keeper_now();
	service->kill_at = 0;
	service->replace = false;
}

/* By its own fault: not because somebody has sent it away. */
static bool is_own_fault(int status)
{
	return !(WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM));
}

static void close_socket(struct keeper *keeper)
{
	if (keeper->service.socket >= 0)
		close(keeper->service.socket);
	keeper->service.socket = -1;
	keeper->answer_waits = false;
}

static void end(struct keeper *keeper, int exit_status)
{
	keeper->ending = ENDING_DONE;
	keeper->exit_status = exit_status;
}

static void service_died(struct keeper *keeper, int status)
{
	struct service *service = &keeper->service;
	int64_t pause = 0;

	close_socket(keeper);
	service->pid = 0;
	service->last_status = status;
	drives_service_died(keeper);
	if (keeper->ending == ENDING_STOP) {
		end(keeper, 0);
		return;
	}
	if (service->replace || keeper->ending != ENDING_NOT)
		; /* as it was asked to */
	else if (WIFSIGNALED(status))
		keeper_log("the service was ended by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == EXIT_NO_SERVICE)
		keeper_log("the service cannot be run: %s", keeper->service_path);
	else if (WEXITSTATUS(status))
		keeper_log("the service ended with status %d", WEXITSTATUS(status));

	if (is_own_fault(status) && !service->replace && keeper_now() - service->start_time < QUICK)
		service->quick_deaths++;
	else
		service->quick_deaths = 0;
	if (service->quick_deaths >= GIVE_UP_AFTER && !drives_count(keeper) && !keeper->stay) {
		keeper_log("giving up: the service ends as soon as it is started, and there is no drive to keep");
		end(keeper, 1);
		return;
	}
	if (service->quick_deaths > 1) {
		pause = PAUSE_FIRST;
		for (uint32_t i = 2; i < service->quick_deaths && pause < PAUSE_MAX; i++)
			pause *= 2;
	}
	service->start_at = keeper_now() + (pause < PAUSE_MAX ? pause : PAUSE_MAX);
}

static void reap(struct keeper *keeper)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid <= 0)
			return;
		if (pid == keeper->service.pid)
			service_died(keeper, status);
	}
}

/* Ask the service to finish, and set its limit. */
static void finish_service(struct keeper *keeper)
{
	if (!keeper->service.pid)
		return;
	kill(keeper->service.pid, SIGTERM);
	if (!keeper->service.kill_at)
		keeper->service.kill_at = keeper_now() + FINISH_LIMIT;
}

static void begin_end(struct keeper *keeper)
{
	if (keeper->ending >= ENDING_UNMOUNT)
		return;
	keeper->ending = ENDING_UNMOUNT;
	keeper->ending_limit = keeper_now() + UNMOUNT_LIMIT;
	unlink(keeper->socket_path);
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
		if (keeper->drives[i].state == DRIVE_MOUNTED)
			drives_remove(keeper, &keeper->drives[i], MOUNTER_LEAVE, 0, 0);
}

void supervisor_signal(struct keeper *keeper, int number)
{
	switch (number) {
	case SIGCHLD:
		reap(keeper);
		break;
	case SIGHUP:
		if (keeper->ending == ENDING_NOT) {
			keeper->service.replace = true;
			finish_service(keeper);
		}
		break;
	case SIGTERM:
	case SIGINT:
		begin_end(keeper);
		break;
	default:
		break;
	}
}

void supervisor_connection_lost(struct keeper *keeper)
{
	close_socket(keeper);
	/* It is dead, or deaf to us and of no use: after a moment for its own end, make it so. */
	if (keeper->service.pid && !keeper->service.kill_at)
		keeper->service.kill_at = keeper_now() + QUICK;
}

int supervisor_stop(struct keeper *keeper)
{
	if (drives_count(keeper) || (keeper->stay && keeper->ending == ENDING_NOT))
		return -EBUSY;
	if (keeper->ending == ENDING_NOT) {
		unlink(keeper->socket_path);
		keeper->ending = ENDING_STOP;
		keeper->service.kill_at = keeper_now() + FINISH_LIMIT;
	}
	return 0;
}

static bool any_drive(const struct keeper *keeper)
{
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
		if (keeper->drives[i].state != DRIVE_FREE)
			return true;
	return false;
}

/* One step of the end, as far as it can go now. */
static void advance_end(struct keeper *keeper)
{
	bool over = keeper_now() >= keeper->ending_limit;

	if (keeper->ending == ENDING_UNMOUNT && (!any_drive(keeper) || over)) {
		keeper->ending = ENDING_SERVICE;
		finish_service(keeper);
	}
	if (keeper->ending == ENDING_SERVICE && !keeper->service.pid) {
		keeper->ending = ENDING_REST;
		keeper->ending_limit = keeper_now() + REST_LIMIT;
		over = false;
		for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
			if (keeper->drives[i].state == DRIVE_MOUNTED || keeper->drives[i].state == DRIVE_UNMOUNTING)
				drives_remove(keeper, &keeper->drives[i], MOUNTER_DETACH, 0, 0);
	}
	if (keeper->ending == ENDING_REST && (!any_drive(keeper) || over)) {
		for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
			if (keeper->drives[i].state != DRIVE_FREE)
				drives_drop(keeper, &keeper->drives[i]);
		end(keeper, 0);
	}
}

/* Milliseconds until when, if that is sooner than wait (-1: never). */
static int sooner(int wait, int64_t when)
{
	int64_t left = when - keeper_now();

	if (left < 0)
		left = 0;
	return wait < 0 || left < wait ? (int)left : wait;
}

int supervisor_tick(struct keeper *keeper)
{
	struct service *service = &keeper->service;
	bool starts = keeper->ending == ENDING_NOT || keeper->ending == ENDING_UNMOUNT;
	int wait = -1;

	if (!service->pid && starts && keeper_now() >= service->start_at)
		start_service(keeper);
	if (service->pid && service->kill_at && keeper_now() >= service->kill_at) {
		kill(service->pid, SIGKILL);
		service->kill_at = keeper_now() + QUICK;
	}
	if (keeper->ending >= ENDING_UNMOUNT)
		advance_end(keeper);

	if (!service->pid && starts)
		wait = sooner(wait, service->start_at);
	if (service->pid && service->kill_at)
		wait = sooner(wait, service->kill_at);
	if (keeper->ending == ENDING_UNMOUNT || keeper->ending == ENDING_REST)
		wait = sooner(wait, keeper->ending_limit);
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
		if (keeper->drives[i].report_fd >= 0)
			wait = sooner(wait, keeper->drives[i].deadline);
	return keeper->ending == ENDING_DONE ? 0 : wait;
}
