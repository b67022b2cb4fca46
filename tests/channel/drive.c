/* SPDX-License-Identifier: MIT */
#include "drive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper/memory.h"

#define DEPTH 8u

int drive_open(struct test_drive *drive, bool with_ring)
{
	char options[128];
	int error;

	memset(drive, 0, sizeof(*drive));
	drive->verbose = getenv("CHANNEL_TEST_TRACE") != NULL;
	snprintf(drive->path, sizeof(drive->path), "%s", "/tmp/channel-XXXXXX");
	if (!mkdtemp(drive->path))
		return -errno;
	drive->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (drive->fuse_fd < 0) {
		fprintf(stderr, "skipped: /dev/fuse: %s\n", strerror(errno));
		rmdir(drive->path);
		return -ENOTSUP;
	}
	drive->region_fd = memory_create_region(&drive->region, with_ring ? memory_possible_cpus() : 0, DEPTH);
	if (drive->region_fd < 0)
		return drive->region_fd;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", drive->fuse_fd, getuid(),
		 getgid());
	if (mount("test", drive->path, "fuse.test", MS_NOSUID | MS_NODEV, options) != 0) {
		fprintf(stderr, "skipped: mount: %s\n", strerror(errno));
		rmdir(drive->path);
		close(drive->fuse_fd);
		return -ENOTSUP;
	}
	drive->mounted = true;
	if (with_ring) {
		error = pump_create(&drive->pump, drive->region, drive->fuse_fd);
		if (error) {
			fprintf(stderr, "skipped: no io_uring: %s\n", strerror(-error));
			drive_close(drive);
			return -ENOTSUP;
		}
	}
	drive->state = mmap(NULL, sizeof(*drive->state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (drive->state == MAP_FAILED)
		return -ENOMEM;
	fake_state_init(drive->state, true);
	return 0;
}

void drive_abort(struct test_drive *drive)
{
	umount2(drive->path, MNT_FORCE);
	umount2(drive->path, MNT_DETACH);
	rmdir(drive->path);
}

void drive_close(struct test_drive *drive)
{
	umount2(drive->path, MNT_DETACH);
	drive->mounted = false;
	if (drive->channel)
		channel_stop(drive->channel, 5000);
	notifier_destroy(drive->notifier);
	close(drive->fuse_fd);
	pump_destroy(drive->pump);
	memory_free_region(drive->region, drive->region->size);
	close(drive->region_fd);
	if (drive->state)
		munmap(drive->state, sizeof(*drive->state));
	rmdir(drive->path);
}

static int start_ring(void *context, int *events, uint32_t *count)
{
	struct test_drive *drive = context;
	int error = 0;

	if (drive->keeper) {
		atomic_store(&drive->keeper->wanted, 1);
		while (!atomic_load(&drive->keeper->answered))
			usleep(1000);
		error = drive->keeper->error;
	} else if (!drive->ring_started) {
		error = pump_start(drive->pump);
		drive->ring_started = true;
	}
	if (error)
		return error;
	*count = pump_queues(drive->pump);
	for (uint32_t i = 0; i < *count; i++)
		events[i] = dup(pump_eventfd(drive->pump, i));
	return 0;
}

static void gone(void *context)
{
	atomic_fetch_add(&((struct test_drive *)context)->gone, 1);
}

static void log_line(void *context, int level, const char *message)
{
	if (level < 2 || ((struct test_drive *)context)->verbose)
		fprintf(stderr, "%d %s\n", level, message);
}

int drive_serve(struct test_drive *drive, uint32_t flags, void (*change)(struct fake_fs *fake), bool poisoned)
{
	int error = drive->notifier ? 0 : notifier_create(&drive->notifier, drive->region);
	struct channel_config config = {
		.fuse_fd = drive->fuse_fd,
		.region = drive->region,
		.notifier = drive->notifier,
		.fs = &drive->fake.base,
		.want_ring = drive->pump != NULL,
		.poisoned = poisoned,
		.start_ring = drive->pump ? start_ring : NULL,
		.gone = gone,
		.log = log_line,
		.trace = drive->verbose,
		.context = drive,
	};

	if (error)
		return error;
	fake_fs_init(&drive->fake, drive->state, flags);
	if (change)
		change(&drive->fake);
	error = channel_start(&drive->channel, &config);
	return error ? error : channel_wait(drive->channel, 5000);
}

const char *drive_path(const struct test_drive *drive, const char *name)
{
	static __thread char paths[4][256];
	static __thread unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", drive->path, name);
	return path;
}
