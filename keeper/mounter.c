/* SPDX-License-Identifier: MIT */
#include "keeper/mounter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where the child puts what it goes on using. */
#define REPORT_FD   3
#define FUSE_FD	    4
#define FIRST_SPARE 5
#define TALK_FD	    31 /* in fusermount3 */

#define SYNC_TENTHS 30 /* how long writing back may take, in 0.1 s */

extern char **environ;

/* What the child works on. Made before the fork, because making text is not async-signal-safe. */
struct job {
	const struct mounter_order *order;
	char options[128];			    /* mount(2)'s data */
	char fuse_options[KEEPER_FSNAME_MAX + 128]; /* fusermount3's -o */
	char abort_path[64];
	struct mounter_report report;
	int fuse_fd; /* to send along, or -1 */
};

bool mounter_privileged(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return false;
	return data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

/* Add text to the report's, as much as fits. */
static void say(struct job *job, const char *text)
{
	size_t used = strlen(job->report.text);

	while (*text && used + 1 < sizeof(job->report.text))
		job->report.text[used++] = *text++;
	job->report.text[used] = 0;
}

static void fail(struct job *job, int error, const char *text)
{
	job->report.error = error;
	job->report.text[0] = 0;
	say(job, text);
}

static void send_report(const struct job *job)
{
	struct iovec part = {(void *)(uintptr_t)&job->report, sizeof(job->report)};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = {.bytes = {0}};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (job->fuse_fd >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &job->fuse_fd, sizeof(int));
	}
	sendmsg(REPORT_FD, &header, MSG_NOSIGNAL);
}

/* The one descriptor that fusermount3 sends, or -1. */
static int receive_fd(int socket)
{
	char byte;
	struct iovec part = {&byte, 1};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control;
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *first;
	int fd = -1;

	if (recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	first = CMSG_FIRSTHDR(&header);
	if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS &&
	    first->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(first), sizeof(int));
	return fd;
}

static void exec_fusermount(const struct job *job, char *const *arguments)
{
	static const char *const places[] = {"/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3",
					     "/run/wrappers/bin/fusermount3"};

	if (job->order->fusermount) {
		execve(job->order->fusermount, arguments, environ);
		return;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		execve(places[i], arguments, environ);
}

#define EXIT_NO_FUSERMOUNT 117

/* In the child's child: become fusermount3. */
static void become_fusermount(const struct job *job, char *const *arguments, int talk, int errors)
{
	static char variable[] = "_FUSE_COMMFD=31";

	dup2(talk, TALK_FD);
	dup2(errors, 2);
	putenv(variable);
	exec_fusermount(job, arguments);
	_exit(EXIT_NO_FUSERMOUNT);
}

/* Read until the end, the first line of it into the report's text. */
static void read_errors(struct job *job, int fd)
{
	char *text = job->report.text;
	size_t used = 0;
	char rest[256];
	ssize_t got;

	do {
		bool full = used + 1 >= sizeof(job->report.text);

		got = read(fd, full ? rest : text + used, full ? sizeof(rest) : sizeof(job->report.text) - 1 - used);
		if (got > 0 && !full)
			used += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	text[used] = 0;
	text[strcspn(text, "\n")] = 0;
}

/* Run fusermount3. 0, or -1 with the report filled in. *fuse_fd, if wanted, is what it sent. */
static int run_fusermount(struct job *job, char *const *arguments, int *fuse_fd)
{
	int talk[2], errors[2];
	int status = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk) || pipe2(errors, O_CLOEXEC)) {
		fail(job, -errno, "");
		return -1;
	}
	pid = fork();
	if (pid == 0)
		become_fusermount(job, arguments, talk[1], errors[1]);
	close(talk[1]);
	close(errors[1]);
	if (pid < 0) {
		fail(job, -EAGAIN, "");
		return -1;
	}
	read_errors(job, errors[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	close(errors[0]);
	if (fuse_fd)
		*fuse_fd = receive_fd(talk[0]);
	close(talk[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		job->report.error = 0;
		job->report.text[0] = 0;
		return 0;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_FUSERMOUNT)
		fail(job, -ENOENT, "fusermount3 is missing: install the package fuse3 (apt install fuse3)");
	else
		job->report.error = -EPERM;
	return -1;
}

/* The device number of what is mounted at target, without asking the file system there. False: errno says why. */
static bool device_at(const char *target, uint32_t *major_out, uint32_t *minor_out)
{
	struct statx st;

	if (statx(AT_FDCWD, target, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &st))
		return false;
	*major_out = st.stx_dev_major;
	*minor_out = st.stx_dev_minor;
	return true;
}

/* Out of the tree, whether used or not. 0 or -1, and then the report says why. */
static int detach(struct job *job, bool lazily)
{
	char *const arguments[] = {(char *)"fusermount3", (char *)(lazily ? "-uz" : "-u"), (char *)"--",
				   (char *)(uintptr_t)job->order->target, NULL};
	int error;

	if (!umount2(job->order->target, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)))
		return 0;
	error = errno;
	if (error == EPERM)
		return run_fusermount(job, arguments, NULL);
	fail(job, -error, "");
	return -1;
}

/* A file system whose process has died answers ENOTCONN to everything that the kernel has not cached. */
static bool is_dead(const char *target)
{
	struct statx stx;

	return statx(AT_FDCWD, target, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx) && errno == ENOTCONN;
}

static void mount_by_fusermount(struct job *job)
{
	char *const arguments[] = {(char *)"fusermount3",
				   (char *)"-o",
				   job->fuse_options,
				   (char *)"--",
				   (char *)(uintptr_t)job->order->target,
				   NULL};
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		fail(job, -EACCES,
		     "no permission on /dev/fuse: ask an administrator for read and write permission on it (mode 666, "
		     "as "
		     "the package fuse3 sets it)");
		return;
	}
	if (fd < 0) {
		fail(job, -errno, "/dev/fuse cannot be opened: load the kernel's module (modprobe fuse)");
		return;
	}
	close(fd);
	if (run_fusermount(job, arguments, &job->fuse_fd))
		return;
	if (job->fuse_fd < 0)
		fail(job, -EPROTO, "fusermount3 has mounted but sent no descriptor");
}

static void mount_drive(struct job *job)
{
	const struct mounter_order *order = job->order;
	unsigned long flags = order->flags & KEEPER_FLAG_READ_ONLY ? MS_RDONLY : 0;

	if (is_dead(order->target) && detach(job, true))
		return;
	if (geteuid() != 0)
		flags |= MS_NOSUID | MS_NODEV;
	if (order->fuse_fd < 0) {
		mount_by_fusermount(job);
	} else if (mount(order->fsname, order->target, "fuse.driveway", flags, job->options)) {
		if (errno == EPERM)
			mount_by_fusermount(job);
		else
			fail(job, -errno, "");
	}
	if (!job->report.error && !device_at(order->target, &job->report.device_major, &job->report.device_minor))
		fail(job, -errno, "the drive vanished as soon as it was mounted");
}

/* syncfs, in a child, for no longer than SYNC_TENTHS: the drive may hang. */
static void write_back(const char *target)
{
	struct timespec pause = {.tv_nsec = 5000000};
	pid_t pid = fork();

	if (pid == 0) {
		int fd;

		close(REPORT_FD);
		fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		_exit(fd < 0 || syncfs(fd) ? 1 : 0);
	}
	for (int i = 0; pid > 0 && i < SYNC_TENTHS * 20; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&pause, NULL);
	}
	if (pid > 0)
		kill(pid, SIGKILL);
}

/*
 * By the connection's file in fusectl. Where that is not mounted, mount it in a namespace of this process's own;
 * without the privilege for that, the connection ends when the service has closed its descriptor too.
 */
static void abort_connection(const struct job *job)
{
	int fd = open(job->abort_path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 && !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	    !mount("fusectl", "/sys/fs/fuse/connections", "fusectl", 0, NULL))
		fd = open(job->abort_path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while (write(fd, "1", 1) < 0 && errno == EINTR)
		;
	close(fd);
}

static void unmount_drive(struct job *job)
{
	const struct mounter_order *order = job->order;
	uint32_t device_major, device_minor;
	bool there = device_at(order->target, &device_major, &device_minor) && device_major == order->device_major &&
		     device_minor == order->device_minor;

	if (order->task == MOUNTER_DETACH || order->task == MOUNTER_LEAVE) {
		if (there)
			write_back(order->target);
		if (there && (order->task == MOUNTER_DETACH || detach(job, false)))
			detach(job, true);
		job->report.error = 0;
		if (order->task == MOUNTER_DETACH)
			abort_connection(job);
		return;
	}
	if (!there) {
		fail(job, -EBUSY,
		     "the drive is not at its folder any more, but is still in use or mounted over (--force ends it)");
		return;
	}
	if (detach(job, false) && job->report.error == -EPERM &&
	    device_at(order->target, &device_major, &device_minor) && device_minor == order->device_minor)
		job->report.error = -EBUSY; /* fusermount3 says it in words only */
}

/* Close all but what the child works with. */
static void leave_keeper(int report_fd, int fuse_fd)
{
	sigset_t none;
	int high = fcntl(report_fd, F_DUPFD, 64);
	int high_fuse = fuse_fd >= 0 ? fcntl(fuse_fd, F_DUPFD, 64) : -1;

	dup2(high, REPORT_FD);
	fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
	if (high_fuse >= 0) {
		dup2(high_fuse, FUSE_FD);
		fcntl(FUSE_FD, F_SETFD, FD_CLOEXEC);
	} else {
		close(FUSE_FD);
	}
	if (syscall(SYS_close_range, (unsigned)FIRST_SPARE, ~0u, 0u))
		for (int fd = FIRST_SPARE; fd < 65536; fd++)
			close(fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
}

static void child(struct job *job, int report_fd)
{
	leave_keeper(report_fd, job->order->fuse_fd);
	switch (job->order->task) {
	case MOUNTER_MOUNT:
		mount_drive(job);
		break;
	case MOUNTER_CLEAR:
		if (is_dead(job->order->target))
			detach(job, true);
		break;
	case MOUNTER_UNMOUNT:
	case MOUNTER_DETACH:
	case MOUNTER_LEAVE:
		unmount_drive(job);
		break;
	}
	send_report(job);
	_exit(0);
}

pid_t mounter_start(const struct mounter_order *order, int *report_fd)
{
	struct job job = {.order = order, .fuse_fd = -1};
	const char *others = order->flags & KEEPER_FLAG_ALLOW_OTHER ? ",allow_other" : "";
	const char *check = order->flags & KEEPER_FLAG_DEFAULT_PERMISSIONS ? ",default_permissions" : "";
	int pair[2];
	pid_t pid;
	int ret;

	snprintf(job.options, sizeof(job.options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s%s", FUSE_FD,
		 geteuid(), getegid(), check, others);
	snprintf(job.fuse_options, sizeof(job.fuse_options), "%sfsname=%s,subtype=driveway%s%s",
		 order->flags & KEEPER_FLAG_READ_ONLY ? "ro," : "", order->fsname ? order->fsname : "", check, others);
	snprintf(job.abort_path, sizeof(job.abort_path), "/sys/fs/fuse/connections/%u/abort", order->device_minor);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	pid = fork();
	if (pid == 0)
		child(&job, pair[1]);
	ret = -errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return ret;
	}
	setpgid(pid, pid);
	*report_fd = pair[0];
	return pid;
}

int mounter_receive(int report_fd, struct mounter_report *report, int *fuse_fd)
{
	struct iovec part = {report, sizeof(*report)};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control;
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *first;
	ssize_t length;

	*fuse_fd = -1;
	length = recvmsg(report_fd, &header, MSG_CMSG_CLOEXEC);
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (length != sizeof(*report))
		return -EIO;
	first = CMSG_FIRSTHDR(&header);
	if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS &&
	    first->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fuse_fd, CMSG_DATA(first), sizeof(int));
	report->text[sizeof(report->text) - 1] = 0;
	return 0;
}
