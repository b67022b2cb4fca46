/* SPDX-License-Identifier: MIT */
/*
 * drive.h - a drive of the fake file system, mounted by the test itself
 *
 * drive_open mounts; drive_serve starts a channel in this process. They are apart so that a test can serve from child
 * processes that it kills.
 */
#ifndef TESTS_CHANNEL_DRIVE_H
#define TESTS_CHANNEL_DRIVE_H

#include "channel/fuse/channel.h"
#include "fake_fs.h"
#include "keeper/pump.h"

/* In shared memory: how a child that serves asks the parent that has the pump to start it. */
struct test_keeper {
	_Atomic uint32_t wanted, answered;
	int error;
};

struct test_drive {
	char path[64]; /* the mount point */
	int fuse_fd;
	int region_fd;
	struct region *region;
	struct notifier *notifier; /* of this process */
	struct fake_state *state;  /* shared memory */
	struct fake_fs fake;
	struct pump *pump; /* NULL: plain */
	bool mounted;
	bool ring_started;
	struct test_keeper *keeper; /* NULL: the pump is this process's */
	struct channel *channel;
	_Atomic uint32_t gone;
	bool verbose;
};

/* Mount. with_ring: prepare a pump. 0, or a negative errno; -ENOTSUP: this machine cannot (why goes to stderr). */
int drive_open(struct test_drive *drive, bool with_ring);
/* Unmount and free all. */
void drive_close(struct test_drive *drive);
/* For a test that failed: every program that uses the drive gets an error, so the process can end. */
void drive_abort(struct test_drive *drive);
/* Start a channel in this process. flags: DW_FS_*. change: may alter the fake's operations; NULL: none. */
int drive_serve(struct test_drive *drive, uint32_t flags, void (*change)(struct fake_fs *fake), bool poisoned);
/* Path of a name in it; static memory, 4 in turn. */
const char *drive_path(const struct test_drive *drive, const char *name);

#endif
