/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "keeper/keeper.h"
#include "keeper/memory.h"
#include "support/runtime_folder.h"
#include "support/text.h"
#include "version.h"

#define LOG_MAX	      (1 << 20) /* bytes: a larger log is begun anew */
#define LOCK_PATIENCE 15000	/* milliseconds that a keeper which is ending may take */

static const char help[] = "Usage: drivewayd [OPTION]...\n"
			   "Keep Driveway's drives mounted, and the service that runs them alive.\n"
			   "`driveway map` starts it when it is not running.\n"
			   "\n"
			   "  --stay             go on when the last drive is unmapped\n"
			   "  --foreground       do not become a daemon; messages go to standard error\n"
			   "  --service PATH     run PATH as the service (for development)\n"
			   "  --fusermount PATH  mount and unmount with PATH instead of fusermount3\n"
			   "  --version          print the version and end\n"
			   "  --help             print this and end\n"
			   "\n"
			   "SIGHUP replaces the service by the program file as it is now; drives go on.\n"
			   "SIGTERM unmaps all drives and ends.\n";

struct options {
	bool stay;
	bool foreground;
	const char *service;
	const char *fusermount;
};

int64_t keeper_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void keeper_log(const char *format, ...)
{
	char line[512];
	va_list arguments;
	int used = snprintf(line, sizeof(line), "drivewayd: ");
	int more;

	va_start(arguments, format);
	more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, arguments);
	va_end(arguments);
	used += more < 0 ? 0 : more;
	if (used > (int)sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used++] = '\n';
	while (write(STDERR_FILENO, line, (size_t)used) < 0 && errno == EINTR)
		;
}

/* 0: go on. 1: done, successfully. -1: done, with a message. */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{"stay", no_argument, NULL, 's'},
		{"foreground", no_argument, NULL, 'f'},
		{"service", required_argument, NULL, 'S'},
		{"fusermount", required_argument, NULL, 'F'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 's':
			options->stay = true;
			break;
		case 'f':
			options->foreground = true;
			break;
		case 'S':
			options->service = optarg;
			break;
		case 'F':
			options->fusermount = optarg;
			break;
		case 'v':
			puts("drivewayd " DRIVEWAY_VERSION);
			return 1;
		case 'h':
			fputs(help, stdout);
			return 1;
		default:
			return -1;
		}
	}
	if (optind < argc) {
		keeper_log("%s is not understood: see drivewayd --help", argv[optind]);
		return -1;
	}
	return 0;
}

/* Where the service's program is: beside us, where the build puts it, or where it is installed. */
static bool find_service(const char *asked, char out[PATH_MAX])
{
	static const char *const places[] = {"driveway-service", "../service/driveway-service",
					     "../libexec/driveway/driveway-service"};
	char self[PATH_MAX];
	char place[PATH_MAX + 64];
	ssize_t length;

	if (asked) {
		if (realpath(asked, out) && !access(out, X_OK))
			return true;
		keeper_log("%s cannot be run: %s", asked, strerror(errno));
		return false;
	}
	length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (length > 0) {
		self[length] = 0;
		*strrchr(self, '/') = 0;
		for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
			text_format(place, sizeof(place), "%s/%s", self, places[i]);
			if (realpath(place, out) && !access(out, X_OK))
				return true;
		}
	}
	keeper_log("driveway-service is not beside drivewayd nor in ../libexec/driveway: install Driveway again");
	return false;
}

/* Somebody listens there, or will in a moment. */
static bool answers_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes;

	text_copy(address.sun_path, sizeof(address.sun_path), path);
	yes = fd >= 0 && (!connect(fd, (struct sockaddr *)&address, sizeof(address)) || errno == EAGAIN);
	if (fd >= 0)
		close(fd);
	return yes;
}

/*
 * Become the only keeper of folder. 0; 1 when one is running already; -1 with a message. One that is ending has taken
 * its socket away and keeps the lock for a moment: wait for it. The lock lasts as long as the process.
 */
static int take_lock(const char *folder, const char *socket_path)
{
	char path[PATH_MAX];
	int64_t limit = keeper_now() + LOCK_PATIENCE;
	struct timespec pause = {.tv_nsec = 10000000};
	int fd;

	text_format(path, sizeof(path), "%s/lock", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		keeper_log("cannot open %s: %s", path, strerror(errno));
		return -1;
	}
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			keeper_log("cannot lock %s: %s", path, strerror(errno));
			return -1;
		}
		if (answers_at(socket_path))
			return 1;
		if (keeper_now() > limit) {
			keeper_log("another drivewayd holds %s and does not listen: end it first", path);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* The listening control socket, in place of what an earlier keeper left; or -1 with a message. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int ret;

	text_copy(address.sun_path, sizeof(address.sun_path), path);
	unlink(path);
	mask = umask(0177);
	ret = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (!ret && !listen(fd, 64))
		return fd;
	keeper_log("cannot listen at %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The parent ends, successfully, since the socket listens. Standard error goes to the log. */
static int become_daemon(const char *folder)
{
	char path[PATH_MAX];
	struct stat st;
	int null, log;
	pid_t pid;

	text_format(path, sizeof(path), "%s/service.log", folder);
	log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (log < 0 || null < 0) {
		keeper_log("cannot open %s: %s", log < 0 ? path : "/dev/null", strerror(errno));
		return -1;
	}
	if (!fstat(log, &st) && st.st_size > LOG_MAX && ftruncate(log, 0))
		keeper_log("cannot empty %s: %s", path, strerror(errno));
	pid = fork();
	if (pid < 0) {
		keeper_log("cannot become a daemon: %s", strerror(errno));
		return -1;
	}
	if (pid > 0)
		_exit(0);
	setsid();
	dup2(null, 0);
	dup2(null, 1);
	dup2(log, 2);
	if (null > 2)
		close(null);
	if (log > 2)
		close(log);
	return chdir("/");
}

static int open_signals(void)
{
	sigset_t wanted;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGHUP);
	sigaddset(&wanted, SIGCHLD);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void take_signals(struct keeper *keeper)
{
	struct signalfd_siginfo info;

	while (read(keeper->signal_fd, &info, sizeof(info)) == sizeof(info))
		supervisor_signal(keeper, (int)info.ssi_signo);
}

/* Poll for signals, the service and the children; then serve what is there. */
static void turn(struct keeper *keeper)
{
	struct pollfd waits[2 + KEEPER_DRIVES_MAX];
	int wait = supervisor_tick(keeper);

	waits[0] = (struct pollfd){.fd = keeper->signal_fd, .events = POLLIN};
	waits[1] = (struct pollfd){.fd = keeper->service.socket, .events = keeper->answer_waits ? POLLOUT : POLLIN};
	/* An answer that waits occupies the only message: the reports have to wait too. */
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
		waits[2 + i] = (struct pollfd){.fd = keeper->answer_waits ? -1 : keeper->drives[i].report_fd,
					       .events = POLLIN};
	if (poll(waits, 2 + KEEPER_DRIVES_MAX, wait) < 0)
		return;
	if (waits[0].revents)
		take_signals(keeper);
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX && !keeper->answer_waits; i++) {
		struct drive *drive = &keeper->drives[i];

		if (drive->report_fd >= 0 && (waits[2 + i].revents || keeper_now() >= drive->deadline))
			drives_report(keeper, drive);
	}
	if (waits[1].revents && keeper->service.socket == waits[1].fd && !answers_serve(keeper))
		supervisor_connection_lost(keeper);
}

static int run(const struct options *options)
{
	static struct keeper keeper = {.control_socket = -1, .service.socket = -1};
	static char service_path[PATH_MAX];
	char folder[PATH_MAX];
	char error[512];
	int ret;

	if (runtime_folder_find(folder, sizeof(folder), true, error, sizeof(error))) {
		keeper_log("%s", error);
		return 1;
	}
	if (!find_service(options->service, service_path))
		return 1;
	text_format(keeper.socket_path, sizeof(keeper.socket_path), "%s/%s", folder, RUNTIME_FOLDER_SOCKET);
	ret = take_lock(folder, keeper.socket_path);
	if (ret)
		return ret > 0 ? 0 : 1;
	keeper.control_socket = listen_at(keeper.socket_path);
	if (keeper.control_socket < 0 || (!options->foreground && become_daemon(folder)))
		return 1;
	keeper.signal_fd = open_signals();
	if (keeper.signal_fd < 0) {
		keeper_log("cannot watch signals: %s", strerror(errno));
		return 1;
	}
	raise_descriptors();
	/* What a service that was killed leaves behind (channel/fuse/courier.h) is reaped here. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
		keeper.drives[i].report_fd = -1;
	keeper.stay = options->stay;
	keeper.service_path = service_path;
	keeper.fusermount = options->fusermount;
	keeper.privileged = mounter_privileged();
	keeper.cpus = memory_possible_cpus();
	if (keeper.cpus > REGION_QUEUES_MAX)
		keeper.cpus = 0;
	while (keeper.ending != ENDING_DONE)
		turn(&keeper);
	return keeper.exit_status;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	int ret = parse_options(&options, argc, argv);

	if (ret)
		return ret > 0 ? 0 : 2;
	return run(&options);
}
