/* SPDX-License-Identifier: MIT */
/*
 * mounter.h - mounting and unmounting, in a child process each
 *
 * Resolving a path may touch a drive that hangs, and mount(2) and umount(2) may wait for one. Nothing of the kind
 * may ever stop the keeper, so each mount and each unmount is the work of a short-lived child that sends one
 * report and ends. The keeper waits for the report along with everything else, and kills the child's process group when
 * it takes too long. The child is forked from a process with threads: until it ends it calls only what is
 * async-signal-safe, and it closes every descriptor of the keeper's first, so that a child that hangs holds
 * nothing open.
 *
 * With CAP_SYS_ADMIN the child calls mount(2) and umount2(2) itself; without, or where these are refused, it runs
 * fusermount3, whose standard error becomes the report's text. What fusermount3 mounts is nosuid and nodev; so is what
 * a user other than root mounts here. Root's drives allow both, as other file systems that root mounts do.
 */
#ifndef KEEPER_MOUNTER_H
#define KEEPER_MOUNTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol.h"

enum mounter_task {
	MOUNTER_MOUNT,
	MOUNTER_UNMOUNT, /* -EBUSY when in use */
	MOUNTER_DETACH,	 /* write back within a limit, then out of the tree, used or not, and cut the connection */
	MOUNTER_LEAVE,	 /* write back within a limit, unmount; out of the tree when used, connection stays */
	MOUNTER_CLEAR,	 /* out of the tree if what is there is dead (ENOTCONN) */
};

struct mounter_order {
	enum mounter_task task;
	const char *target;
	const char *fsname;	/* MOUNT */
	const char *fusermount; /* NULL: where it usually is */
	uint32_t flags;		/* MOUNT: KEEPER_FLAG_* */
	int fuse_fd;		/* MOUNT with privileges: /dev/fuse, opened; else -1 */
	uint32_t device_major;	/* the others: what MOUNT reported */
	uint32_t device_minor;
};

/* What a child sends when it is done, with one descriptor, /dev/fuse, when fusermount3 has mounted. */
struct mounter_report {
	int32_t error;
	uint32_t device_major; /* MOUNT: of the new file system, its st_dev */
	uint32_t device_minor;
	char text[KEEPER_TEXT_MAX]; /* one line about the error, or empty */
};

/*
 * Start a child. *report_fd is a socket, the caller's, non-blocking, from which mounter_receive reads; end of file
 * without a report means that the child died. Returns its process (and process group) id or a negative errno.
 */
pid_t mounter_start(const struct mounter_order *order, int *report_fd);
/*
 * 0, or -EAGAIN (not done yet), -EIO (the child died). *fuse_fd is the descriptor that came, or -1.
 */
int mounter_receive(int report_fd, struct mounter_report *report, int *fuse_fd);
/* This process may call mount(2): it has CAP_SYS_ADMIN. */
bool mounter_privileged(void);

#endif
