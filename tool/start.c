/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/runtime_folder.h"
#include "support/text.h"

#define START_MILLISECONDS 10000 /* that a new service has to answer */
#define GRACE_MILLISECONDS 500	 /* after drivewayd has ended: another one may have been faster */
#define LOG_NAME	   "service.log"

static int64_t now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

int start_connect(const char *folder, int *out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, ret;

	if (!text_format(address.sun_path, sizeof(address.sun_path), "%s/" RUNTIME_FOLDER_SOCKET, folder))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		*out = fd;
		return 0;
	}
	ret = errno == ECONNREFUSED ? -ENOENT : -errno;
	close(fd);
	return ret;
}

/* drivewayd belongs beside this command, where it was built or installed, or to the system's folders. */
static bool find_keeper(char *out, size_t size)
{
	static const char *const places[] = {"drivewayd", "../keeper/drivewayd", "../sbin/drivewayd",
					     "../bin/drivewayd"};
	static const char *const system_places[] = {"/usr/local/sbin/drivewayd", "/usr/sbin/drivewayd",
						    "/usr/local/bin/drivewayd", "/usr/bin/drivewayd"};
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *folder;

	if (length > 0) {
		self[length] = '\0';
		folder = dirname(self);
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			if (text_format(out, size, "%s/%s", folder, places[i]) && access(out, X_OK) == 0)
				return true;
		}
	}
	for (size_t i = 0; i < sizeof(system_places) / sizeof(system_places[0]); i++) {
		if (text_copy(out, size, system_places[i]) && access(out, X_OK) == 0)
			return true;
	}
	return false;
}

static void run_keeper(const char *path, int log)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (chdir("/"))
		_exit(126);
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	closefrom(3);
	execl(path, path, (char *)NULL);
	_exit(127);
}

/* The last line that log has received since offset start, without its time. */
static void read_reason(int log, off_t start, char *out, size_t size)
{
	char text[4096];
	off_t end = lseek(log, 0, SEEK_END);
	off_t from = end - start > (off_t)sizeof(text) - 1 ? end - (off_t)sizeof(text) + 1 : start;
	ssize_t length = pread(log, text, sizeof(text) - 1, from);
	char *line, *stamp;

	out[0] = '\0';
	while (length > 0 && text[length - 1] == '\n')
		length--;
	if (length <= 0)
		return;
	text[length] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	stamp = strstr(line, "Z ");
	if (stamp && stamp - line == 19)
		line = stamp + 2;
	text_printable(out, size, line);
}

/* Has the service answered a question on fd by deadline? The socket listens before the service runs. */
static bool answers(int fd, int64_t deadline)
{
	static const char question[] = "{\"jsonrpc\":\"2.0\",\"method\":\"version\",\"id\":0}\n";
	struct pollfd one = {.fd = fd, .events = POLLIN};
	char answer[1024];
	size_t length = 0;

	if (send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) != sizeof(question) - 1)
		return false;
	while (length == 0 || answer[length - 1] != '\n') {
		int64_t left = deadline - now_milliseconds();
		ssize_t got;

		if (left <= 0 || length == sizeof(answer) || poll(&one, 1, (int)left) <= 0)
			return false;
		got = recv(fd, answer + length, sizeof(answer) - length, 0);
		if (got <= 0)
			return false;
		length += (size_t)got;
	}
	return true;
}

/* Wait until the service answers; -ETIMEDOUT, or -ECHILD when drivewayd ended with a failure. */
static int wait_for_service(const char *folder, pid_t keeper, int *out)
{
	int64_t deadline = now_milliseconds() + START_MILLISECONDS;
	const struct timespec pause = {.tv_nsec = 2000000};
	bool failed = false;
	int status, fd = -1;

	while (now_milliseconds() < deadline) {
		if (start_connect(folder, &fd) == 0) {
			if (answers(fd, deadline)) {
				*out = fd;
				return 0;
			}
			close(fd);
		}
		if (!failed && waitpid(keeper, &status, WNOHANG) == keeper) {
			failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
			if (failed)
				deadline = now_milliseconds() + GRACE_MILLISECONDS;
		}
		nanosleep(&pause, NULL);
	}
	return failed ? -ECHILD : -ETIMEDOUT;
}

int start_service(const char *folder, int *out, char *error, size_t error_size)
{
	char path[PATH_MAX], log_path[256], reason[512];
	off_t start;
	pid_t keeper;
	int log, ret;

	if (!find_keeper(path, sizeof(path))) {
		snprintf(error, error_size, "drivewayd is not installed beside this command: install Driveway again");
		return -ENOENT;
	}
	text_format(log_path, sizeof(log_path), "%s/" LOG_NAME, folder);
	log = open(log_path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log < 0) {
		ret = -errno;
		snprintf(error, error_size, "cannot write %s: %s", log_path, strerror(-ret));
		return ret;
	}
	start = lseek(log, 0, SEEK_END);
	keeper = fork();
	if (keeper == 0)
		run_keeper(path, log);
	if (keeper < 0) {
		ret = -errno;
		snprintf(error, error_size, "cannot start drivewayd: %s", strerror(-ret));
		goto out;
	}
	ret = wait_for_service(folder, keeper, out);
	if (ret) {
		read_reason(log, start, reason, sizeof(reason));
		snprintf(error, error_size, "the service does not start: %s", *reason ? reason : log_path);
	}
out:
	close(log);
	return ret;
}
