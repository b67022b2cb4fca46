/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keeper/keeper.h"
#include "keeper/memory.h"

struct drive *drives_find(struct keeper *keeper, uint32_t id)
{
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++) {
		struct drive *drive = &keeper->drives[i];

		if (drive->id == id && (drive->state == DRIVE_MOUNTED || drive->state == DRIVE_UNMOUNTING))
			return drive;
	}
	return NULL;
}

struct drive *drives_next(struct keeper *keeper, uint32_t after)
{
	struct drive *next = NULL;

	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++) {
		struct drive *drive = &keeper->drives[i];

		if (drive->state != DRIVE_MOUNTED && drive->state != DRIVE_UNMOUNTING)
			continue;
		if (drive->id > after && (!next || drive->id < next->id))
			next = drive;
	}
	return next;
}

uint32_t drives_count(const struct keeper *keeper)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++)
		count += keeper->drives[i].state != DRIVE_FREE && keeper->drives[i].state != DRIVE_CLEARING;
	return count;
}

void drives_describe(struct keeper *keeper, const struct drive *drive)
{
	struct keeper_message *message = &keeper->message;

	message->drive = drive->id;
	message->flags = drive->flags;
	message->spec_size = drive->spec_size;
	message->arg[0] = drive->queues_started;
	message->arg[1] = drive->pump ? pump_queues(drive->pump) : 0;
	memcpy(message->target, drive->target, sizeof(message->target));
	memcpy(message->fsname, drive->fsname, sizeof(message->fsname));
	memcpy(message->spec, drive->spec, drive->spec_size);
	keeper->answer_fds[0] = drive->fuse_fd;
	keeper->answer_fds[1] = drive->region_fd;
	keeper->answer_fd_count = 2;
}

/* Give back all that a drive has but its place in the tree. */
static void release(struct keeper *keeper, struct drive *drive)
{
	if (drive->fuse_fd >= 0)
		close(drive->fuse_fd);
	pump_destroy(drive->pump);
	memory_free_region(drive->region, drive->region_bytes);
	if (drive->region_fd >= 0)
		close(drive->region_fd);
	if (drive->report_fd >= 0)
		close(drive->report_fd);
	answers_forget_drive(keeper, drive);
	drive->fuse_fd = drive->region_fd = drive->report_fd = -1;
	drive->pump = NULL;
	drive->region = NULL;
	drive->queues_started = 0;
}

static void forget(struct keeper *keeper, struct drive *drive)
{
	release(keeper, drive);
	drive->state = DRIVE_FREE;
	drive->asker = 0;
	drive->child = 0;
}

void drives_drop(struct keeper *keeper, struct drive *drive)
{
	if (drive->report_fd >= 0)
		kill(-drive->child, SIGKILL);
	forget(keeper, drive);
}

/* The kernel offers FUSE over io_uring at all: a parameter of its module. */
static bool ring_is_enabled(void)
{
	char value = 0;
	int fd = open("/sys/module/fuse/parameters/enable_uring", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = 0;
	close(fd);
	return value == 'Y' || value == '1';
}

static int start_child(struct keeper *keeper, struct drive *drive, enum mounter_task task)
{
	struct mounter_order order = {
		.task = task,
		.target = drive->target,
		.fsname = drive->fsname,
		.fusermount = keeper->fusermount,
		.flags = drive->flags,
		.fuse_fd = task == MOUNTER_MOUNT ? drive->fuse_fd : -1,
		.device_major = drive->device_major,
		.device_minor = drive->device_minor,
	};
	pid_t pid;

	if (drive->report_fd >= 0)
		close(drive->report_fd);
	drive->report_fd = -1;
	pid = mounter_start(&order, &drive->report_fd);
	if (pid < 0)
		return pid;
	drive->child = pid;
	drive->deadline = keeper_now() + KEEPER_TASK_LIMIT;
	return 0;
}

static bool is_text(const char *text, size_t size)
{
	return text[0] && memchr(text, 0, size);
}

int drives_add(struct keeper *keeper)
{
	const struct keeper_message *message = &keeper->message;
	uint32_t depth = message->arg[0] ? (uint32_t)message->arg[0] : KEEPER_DEPTH_DEFAULT;
	uint32_t queues;
	struct drive *drive = NULL;
	int ret;

	if (!is_text(message->target, sizeof(message->target)) || message->target[0] != '/' ||
	    !is_text(message->fsname, sizeof(message->fsname)) || strpbrk(message->fsname, ",\\") ||
	    message->spec_size > KEEPER_SPEC_MAX || message->arg[0] > REGION_DEPTH_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX && !drive; i++)
		if (keeper->drives[i].state == DRIVE_FREE)
			drive = &keeper->drives[i];
	if (!drive)
		return -EBUSY;

	drive->flags = message->flags & (KEEPER_FLAG_READ_ONLY | KEEPER_FLAG_ALLOW_OTHER |
					 KEEPER_FLAG_DEFAULT_PERMISSIONS | KEEPER_FLAG_NO_RING);
	drive->spec_size = message->spec_size;
	memcpy(drive->target, message->target, sizeof(drive->target));
	memcpy(drive->fsname, message->fsname, sizeof(drive->fsname));
	memcpy(drive->spec, message->spec, message->spec_size);
	drive->fuse_fd = drive->region_fd = drive->report_fd = -1;
	drive->device_major = drive->device_minor = 0;
	queues = drive->flags & KEEPER_FLAG_NO_RING || !ring_is_enabled() ? 0 : keeper->cpus;
	drive->region_bytes = region_size(queues, depth, REGION_PLAIN_SLOTS);
	ret = drive->region_fd = memory_create_region(&drive->region, queues, depth);
	if (ret < 0)
		goto failed;
	if (keeper->privileged) {
		drive->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		if (drive->fuse_fd < 0 && errno != EACCES && errno != EPERM) {
			ret = -errno;
			snprintf(keeper->message.text, sizeof(keeper->message.text), "%s",
				 "/dev/fuse cannot be opened: load the kernel's module (modprobe fuse)");
			goto failed;
		}
	}
	ret = start_child(keeper, drive, MOUNTER_MOUNT);
	if (ret)
		goto failed;
	drive->id = ++keeper->last_drive_id;
	drive->state = DRIVE_MOUNTING;
	drive->asker = keeper->service.started;
	drive->tag = message->tag;
	drive->asked = KEEPER_ADD;
	return 0;

failed:
	release(keeper, drive);
	return ret;
}

/* The kernel has ended the connection: somebody has unmounted the drive, or cut it off. */
static bool is_gone(const struct drive *drive)
{
	struct pollfd fuse = {.fd = drive->fuse_fd};

	return poll(&fuse, 1, 0) == 1 && fuse.revents & (POLLERR | POLLHUP);
}

int drives_remove(struct keeper *keeper, struct drive *drive, enum mounter_task task, uint64_t asker, uint64_t tag)
{
	int ret;

	if (drive->state == DRIVE_UNMOUNTING) {
		if (task != MOUNTER_DETACH || drive->asker)
			return -EALREADY;
		kill(-drive->child, SIGKILL);
	}
	ret = start_child(keeper, drive, is_gone(drive) ? MOUNTER_CLEAR : task);
	if (ret)
		return ret;
	drive->state = DRIVE_UNMOUNTING;
	drive->asker = asker;
	drive->tag = tag;
	drive->asked = KEEPER_REMOVE;
	return 0;
}

/* Tell who asked, if that service still lives. keeper->message and answer_fds have the rest of the answer. */
static void tell_asker(struct keeper *keeper, struct drive *drive, int error, const char *text)
{
	struct keeper_message *message = &keeper->message;

	if (!drive->asker || drive->asker != keeper->service.started || keeper->service.socket < 0)
		return;
	message->type = drive->asked;
	message->tag = drive->tag;
	message->drive = drive->id;
	message->error = error;
	if (error)
		keeper->answer_fd_count = 0;
	memcpy(message->text, text, strnlen(text, sizeof(message->text) - 1));
	answers_send(keeper);
}

/* The mount did not come about, or nobody wants it any more: leave nothing behind. */
static void undo_mount(struct keeper *keeper, struct drive *drive)
{
	/* With its descriptor closed the file system, if it is mounted, is dead; and dead ones can be told. */
	release(keeper, drive);
	drive->asker = 0;
	drive->state = DRIVE_CLEARING;
	if (start_child(keeper, drive, MOUNTER_CLEAR))
		forget(keeper, drive);
}

static void finish_mount(struct keeper *keeper, struct drive *drive, const struct mounter_report *report, int fuse_fd)
{
	bool wanted = drive->asker == keeper->service.started && keeper->service.socket >= 0 &&
		      keeper->ending == ENDING_NOT;

	if (fuse_fd >= 0) {
		if (drive->fuse_fd >= 0)
			close(drive->fuse_fd);
		drive->fuse_fd = fuse_fd;
	}
	if (report->error) {
		tell_asker(keeper, drive, report->error, report->text);
		if (report->error == -ETIMEDOUT || report->error == -EIO || report->error == -EPROTO)
			undo_mount(keeper, drive); /* it may have been mounted for all that */
		else
			forget(keeper, drive);
		return;
	}
	if (!wanted) {
		undo_mount(keeper, drive);
		return;
	}
	drive->device_major = report->device_major;
	drive->device_minor = report->device_minor;
	if (drive->region->queue_count)
		pump_create(&drive->pump, drive->region, drive->fuse_fd); /* NULL where it fails: plain */
	drive->state = DRIVE_MOUNTED;
	close(drive->report_fd);
	drive->report_fd = -1;
	drives_describe(keeper, drive);
	tell_asker(keeper, drive, 0, "");
	drive->asker = 0;
	drive->child = 0;
}

static void finish_unmount(struct keeper *keeper, struct drive *drive, const struct mounter_report *report)
{
	if (!report->error || is_gone(drive)) {
		release(keeper, drive); /* first: who asked may count on it */
		tell_asker(keeper, drive, 0, "");
		forget(keeper, drive);
		return;
	}
	close(drive->report_fd);
	drive->report_fd = -1;
	drive->state = DRIVE_MOUNTED;
	tell_asker(keeper, drive, report->error, report->text);
	drive->asker = 0;
	drive->child = 0;
}

void drives_report(struct keeper *keeper, struct drive *drive)
{
	struct mounter_report report = {0};
	int fuse_fd;
	int ret = mounter_receive(drive->report_fd, &report, &fuse_fd);

	if (ret == -EAGAIN && keeper_now() < drive->deadline)
		return;
	if (ret) {
		report.error = ret == -EAGAIN ? -ETIMEDOUT : ret;
		if (ret == -EAGAIN)
			kill(-drive->child, SIGKILL);
	}
	memset(&keeper->message, 0, sizeof(keeper->message));
	keeper->answer_fd_count = 0;
	switch (drive->state) {
	case DRIVE_MOUNTING:
		finish_mount(keeper, drive, &report, fuse_fd);
		return;
	case DRIVE_UNMOUNTING:
		finish_unmount(keeper, drive, &report);
		break;
	default:
		forget(keeper, drive);
		break;
	}
	if (fuse_fd >= 0)
		close(fuse_fd);
}

int drives_start_ring(struct drive *drive)
{
	int ret;

	if (!drive->pump)
		return -EOPNOTSUPP;
	if (drive->queues_started)
		return 0;
	if (!atomic_load_explicit(&drive->region->initialized, memory_order_acquire))
		return -EAGAIN;
	ret = pump_start(drive->pump);
	if (!ret) {
		drive->queues_started = pump_queues(drive->pump);
	} else {
		pump_destroy(drive->pump);
		drive->pump = NULL;
	}
	return ret;
}

void drives_service_died(struct keeper *keeper)
{
	for (uint32_t i = 0; i < KEEPER_DRIVES_MAX; i++) {
		struct drive *drive = &keeper->drives[i];

		drive->asker = 0;
		if (drive->state != DRIVE_FREE && drive->pump && drive->queues_started)
			pump_kick(drive->pump);
	}
}
