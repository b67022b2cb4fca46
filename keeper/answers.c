/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/keeper.h"
#include "keeper/memory.h"

/* Room for two descriptors, so that one too many is seen; the rest the kernel drops, and says so. */
#define RECEIVE_MAX 2

union control {
	char bytes[CMSG_SPACE(KEEPER_FDS_PER_MESSAGE * sizeof(int))];
	struct cmsghdr header;
};

void answers_send(struct keeper *keeper)
{
	struct iovec part = {&keeper->message, sizeof(keeper->message)};
	union control control;
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	uint32_t count = keeper->answer_fd_count;

	keeper->answer_waits = false;
	if (keeper->service.socket < 0)
		return;
	keeper->message.fd_count = count;
	if (count) {
		memset(&control, 0, sizeof(control));
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), keeper->answer_fds, count * sizeof(int));
	}
	if (sendmsg(keeper->service.socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return;
	if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) {
		keeper->answer_waits = true;
	} else if (count && errno != EPIPE && errno != ECONNRESET) {
		/* These descriptors cannot travel (too many in flight): say so instead. */
		keeper->message.error = -errno;
		keeper->answer_fd_count = 0;
		answers_send(keeper);
	}
}

static void answer(struct keeper *keeper, int error)
{
	keeper->message.error = error;
	if (error)
		keeper->answer_fd_count = 0;
	answers_send(keeper);
}

static void answer_fd(struct keeper *keeper, int fd)
{
	keeper->answer_fds[0] = fd;
	keeper->answer_fd_count = 1;
	answer(keeper, 0);
}

static void say_hello(struct keeper *keeper)
{
	struct keeper_message *message = &keeper->message;

	if (message->arg[0] != KEEPER_PROTOCOL) {
		answer(keeper, -EPROTO);
		return;
	}
	message->arg[0] = (uint64_t)getpid();
	message->arg[1] = keeper->service.started;
	message->arg[2] = (uint64_t)(uint32_t)keeper->service.last_status;
	message->arg[3] = drives_count(keeper);
	message->flags = keeper->stay ? KEEPER_FLAG_STAY : 0;
	answer_fd(keeper, keeper->control_socket);
}

static void tell_drive(struct keeper *keeper)
{
	struct drive *drive = drives_next(keeper, keeper->message.drive);

	if (drive)
		drives_describe(keeper, drive);
	answer(keeper, drive ? 0 : -ENOENT);
}

static void start_ring(struct keeper *keeper, struct drive *drive)
{
	int ret = drives_start_ring(drive);

	for (uint32_t i = 0; !ret && i < drive->queues_started; i++)
		keeper->answer_fds[i] = pump_eventfd(drive->pump, i);
	keeper->answer_fd_count = drive->queues_started;
	keeper->message.arg[0] = drive->queues_started;
	answer(keeper, ret);
}

static void keep_memory(struct keeper *keeper, struct drive *drive)
{
	struct keeper_message *message = &keeper->message;
	struct keep *keep;
	int fd;

	message->flags = 0;
	if (!message->name[0] || !memchr(message->name, 0, sizeof(message->name)) || !message->arg[0]) {
		answer(keeper, -EINVAL);
		return;
	}
	for (uint32_t i = 0; i < drive->keep_count; i++) {
		keep = &drive->keeps[i];
		if (strcmp(keep->name, message->name) != 0)
			continue;
		if (keep->size == message->arg[0])
			answer_fd(keeper, keep->fd);
		else
			answer(keeper, -EINVAL);
		return;
	}
	if (drive->keep_count == KEEPER_KEEPS_MAX) {
		answer(keeper, -ENOSPC);
		return;
	}
	fd = memory_create(message->name, message->arg[0]);
	if (fd < 0) {
		answer(keeper, fd);
		return;
	}
	keep = &drive->keeps[drive->keep_count++];
	memcpy(keep->name, message->name, sizeof(keep->name));
	keep->size = message->arg[0];
	keep->fd = fd;
	message->flags = KEEPER_FLAG_FRESH;
	answer_fd(keeper, fd);
}

static struct kept_fd *find_kept(struct keeper *keeper, uint32_t drive, uint64_t key)
{
	for (uint32_t i = 0; i < keeper->kept_count; i++)
		if (keeper->kept[i].key == key && keeper->kept[i].drive == drive)
			return &keeper->kept[i];
	return NULL;
}

static void drop_kept(struct keeper *keeper, struct kept_fd *kept)
{
	close(kept->fd);
	*kept = keeper->kept[--keeper->kept_count];
}

/*
 * Closing a descriptor of a file on a drive asks that drive's service (FUSE_FLUSH), which may be the one that is
 * waiting for us or not running: such a one must not be kept. Asks the file system nothing.
 */
static bool is_on_a_drive(const struct keeper *keeper, int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st))
		return true;
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
		if (keeper->drives[i].state != DRIVE_FREE && keeper->drives[i].device_minor == st.stx_dev_minor &&
		    keeper->drives[i].device_major == st.stx_dev_major)
			return true;
	return false;
}

/* fd is given over. */
static void put_fd(struct keeper *keeper, struct drive *drive, int fd)
{
	uint64_t key = keeper->message.arg[0];
	int ret = 0;

	if (find_kept(keeper, drive->id, key))
		ret = -EEXIST;
	else if (keeper->kept_count == KEEPER_FDS_MAX)
		ret = -ENFILE;
	else if (is_on_a_drive(keeper, fd))
		ret = -EXDEV;
	if (ret)
		close(fd);
	else
		keeper->kept[keeper->kept_count++] = (struct kept_fd){.drive = drive->id, .fd = fd, .key = key};
	answer(keeper, ret);
}

static void get_fd(struct keeper *keeper, struct drive *drive)
{
	struct kept_fd *kept = find_kept(keeper, drive->id, keeper->message.arg[0]);

	if (kept)
		answer_fd(keeper, kept->fd);
	else
		answer(keeper, -ENOENT);
}

static void drop_fd(struct keeper *keeper, struct drive *drive)
{
	struct kept_fd *kept = find_kept(keeper, drive->id, keeper->message.arg[0]);

	if (kept)
		drop_kept(keeper, kept);
	answer(keeper, kept ? 0 : -ENOENT);
}

void answers_forget_drive(struct keeper *keeper, struct drive *drive)
{
	for (uint32_t i = keeper->kept_count; i-- > 0;)
		if (keeper->kept[i].drive == drive->id)
			drop_kept(keeper, &keeper->kept[i]);
	for (uint32_t i = 0; i < drive->keep_count; i++)
		close(drive->keeps[i].fd);
	drive->keep_count = 0;
}

static void add(struct keeper *keeper)
{
	int ret = keeper->ending == ENDING_NOT ? drives_add(keeper) : -ESHUTDOWN;

	if (ret)
		answer(keeper, ret);
}

static void remove_drive(struct keeper *keeper, struct drive *drive)
{
	enum mounter_task task = keeper->message.flags & KEEPER_FLAG_FORCE ? MOUNTER_DETACH : MOUNTER_UNMOUNT;
	int ret = drives_remove(keeper, drive, task, keeper->service.started, keeper->message.tag);

	if (ret)
		answer(keeper, ret);
}

/* About a drive that exists. fd is -1 or given over. */
static void dispatch_drive(struct keeper *keeper, struct drive *drive, int fd)
{
	switch (keeper->message.type) {
	case KEEPER_RING:
		start_ring(keeper, drive);
		break;
	case KEEPER_REMOVE:
		remove_drive(keeper, drive);
		break;
	case KEEPER_KEEP:
		keep_memory(keeper, drive);
		break;
	case KEEPER_FD_PUT:
		put_fd(keeper, drive, fd);
		break;
	case KEEPER_FD_GET:
		get_fd(keeper, drive);
		break;
	default:
		drop_fd(keeper, drive);
		break;
	}
}

/* A whole message. fd is -1 or given over. */
static void dispatch(struct keeper *keeper, int fd)
{
	struct keeper_message *message = &keeper->message;
	struct drive *drive;

	switch (message->type) {
	case KEEPER_HELLO:
		say_hello(keeper);
		return;
	case KEEPER_DRIVE:
		tell_drive(keeper);
		return;
	case KEEPER_ADD:
		add(keeper);
		return;
	case KEEPER_STOP:
		answer(keeper, supervisor_stop(keeper));
		return;
	case KEEPER_RING:
	case KEEPER_REMOVE:
	case KEEPER_KEEP:
	case KEEPER_FD_PUT:
	case KEEPER_FD_GET:
	case KEEPER_FD_DROP:
		drive = drives_find(keeper, message->drive);
		if (drive) {
			dispatch_drive(keeper, drive, fd);
			return;
		}
		if (fd >= 0)
			close(fd);
		answer(keeper, -ENODEV);
		return;
	default:
		answer(keeper, -EPROTO);
	}
}

/* The descriptors that came; more than RECEIVE_MAX the kernel has dropped. */
static uint32_t take_fds(struct msghdr *header, int *fds)
{
	uint32_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		uint32_t here;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		here = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (uint32_t i = 0; i < here && count < RECEIVE_MAX; i++)
			memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return count;
}

bool answers_serve(struct keeper *keeper)
{
	struct keeper_message *message = &keeper->message;
	struct iovec part = {message, sizeof(*message)};
	union {
		char bytes[CMSG_SPACE(RECEIVE_MAX * sizeof(int))];
		struct cmsghdr header;
	} control;
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	int fds[RECEIVE_MAX] = {-1, -1};
	uint32_t count, wanted;
	ssize_t length;
	int error = 0;

	if (keeper->answer_waits) {
		answers_send(keeper);
		return true;
	}
	memset(message, 0, offsetof(struct keeper_message, spec));
	length = recvmsg(keeper->service.socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length < 0)
		return errno == EAGAIN || errno == EINTR;
	if (length == 0 && !(header.msg_flags & MSG_TRUNC))
		return false;
	count = take_fds(&header, fds);
	wanted = message->type == KEEPER_FD_PUT ? 1 : 0;
	if (length != sizeof(*message) || header.msg_flags & MSG_TRUNC || message->fd_count != wanted)
		error = -EPROTO;
	else if (header.msg_flags & MSG_CTRUNC && count < wanted)
		error = -ENFILE; /* no descriptor is free in this process */
	else if (header.msg_flags & MSG_CTRUNC || count != wanted)
		error = -EPROTO;
	keeper->answer_fd_count = 0;
	message->text[0] = 0;
	if (!error) {
		dispatch(keeper, fds[0]);
		return true;
	}
	for (uint32_t i = 0; i < count; i++)
		close(fds[i]);
	answer(keeper, error);
	return true;
}
