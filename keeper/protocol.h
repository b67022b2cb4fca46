/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - what the keeper and the service say to one another
 *
 * The keeper is the process that may not die; the service is its only child that it talks to. They
 * share a SOCK_SEQPACKET socket pair; the service's end is its descriptor KEEPER_SOCKET. The service asks,
 * the keeper answers every message with one of the same type and tag. Both are struct keeper_message, always
 * whole, with descriptors attached (SCM_RIGHTS, fd_count of them). A message of another size or type is
 * answered with -EPROTO and changes nothing. The keeper parses no text in it; spec is opaque to it.
 *
 * Questions are answered in order, but for ADD and REMOVE: these run in a child process for as long as mount
 * and unmount take (an unmount may need requests of that very drive to be answered, which may need the keeper), and
 * are answered when they are done, at most about 10 s later. client.h matches the answers.
 *
 * HELLO     asks     arg[0] KEEPER_PROTOCOL
 *           answer   arg[0] the keeper's pid, arg[1] services started so far (1: this is the first), arg[2] the last
 *                    one's wait status (0: none before), arg[3] drives now, flags (STAY); fd: the listening
 *                    control socket. -EPROTO: another protocol
 * DRIVE     asks     drive: an id, 0 to begin
 *           answer   of the drive with the lowest id above it: drive, target, spec, fsname, flags, arg[0] ring queues
 *                    started, arg[1] ring queues that RING can start (0: plain only); fds: fuse, region. -ENOENT:
 *                    that was the last
 * ADD       asks     target, fsname, spec, flags, arg[0] ring depth, 1 to 64 (0: 16)
 *           answer   drive, arg[1] as DRIVE; fds: fuse, region. -EBUSY (64 drives), -ETIMEDOUT, or mount's error;
 *                    nothing is left behind then. A mount on target whose file system is dead (ENOTCONN) is
 *                    cleared first
 * RING      asks     drive, after INIT
 *           answer   arg[0] queues; fds: an eventfd a queue, see region.h. Asked again, by the next service, it
 *                    gives the same. -EAGAIN: region.initialized is not set yet. -EOPNOTSUPP and others: the
 *                    kernel will not; it sends everything by plain then, and for good
 * REMOVE    asks     drive, flags (FORCE)
 *           answer   0, also when somebody else has unmounted it; -EBUSY: in use; -EALREADY: being removed;
 *                    -ETIMEDOUT. Without FORCE nothing has changed then. FORCE: writes back what it can within
 *                    a limit, takes the drive out of the tree and cuts its connection
 * KEEP      asks     drive, name, arg[0] size
 *           answer   flags (FRESH); fd: the memory. -EINVAL (other size), -ENOSPC (16 a drive)
 * FD_PUT    asks     drive, arg[0] key; fd
 *           answer   0, -EEXIST, -ENFILE, -EXDEV (a file that lies on a drive: closing it could wait for us)
 * FD_GET    asks     drive, arg[0] key
 *           answer   fd, or -ENOENT
 * FD_DROP   asks     drive, arg[0] key
 *           answer   0, or -ENOENT
 * STOP      asks     -
 *           answer   0: the control socket's name is gone, and the keeper ends when the service has; -EBUSY while
 *                    there are drives, or when the keeper was told to stay
 *
 * Every question about a drive that does not exist is answered with -ENODEV.
 *
 * When the service's end closes because it died, the keeper waits for it and starts the next one: at
 * once, or after a growing pause (to 5 s) when it keeps dying within a second by its own fault. On
 * SIGHUP the keeper asks the service to finish (SIGTERM) and starts the next, from the file on disk as it is
 * then: an upgrade. On SIGTERM it unmounts all drives while the service still works, then asks it to finish, and
 * ends.
 */
#ifndef KEEPER_PROTOCOL_H
#define KEEPER_PROTOCOL_H

#include <stdint.h>

#define KEEPER_PROTOCOL	       1u
#define KEEPER_SOCKET	       3
#define KEEPER_DRIVES_MAX      64
#define KEEPER_KEEPS_MAX       16   /* kept regions a drive */
#define KEEPER_FDS_MAX	       4096 /* kept descriptors, all drives */
#define KEEPER_FDS_PER_MESSAGE 250
#define KEEPER_NAME_MAX	       32
#define KEEPER_TARGET_MAX      4096
#define KEEPER_FSNAME_MAX      256
#define KEEPER_SPEC_MAX	       16384
#define KEEPER_TEXT_MAX	       512
#define KEEPER_DEPTH_DEFAULT   16u

enum keeper_type {
	KEEPER_HELLO = 1,
	KEEPER_DRIVE,
	KEEPER_ADD,
	KEEPER_RING,
	KEEPER_REMOVE,
	KEEPER_KEEP,
	KEEPER_FD_PUT,
	KEEPER_FD_GET,
	KEEPER_FD_DROP,
	KEEPER_STOP,
};

#define KEEPER_FLAG_READ_ONLY		(1u << 0) /* ADD, DRIVE: mount flags */
#define KEEPER_FLAG_ALLOW_OTHER		(1u << 1)
#define KEEPER_FLAG_DEFAULT_PERMISSIONS (1u << 2)
#define KEEPER_FLAG_NO_RING		(1u << 3)  /* ADD, DRIVE: io_uring is not wanted: prepare none */
#define KEEPER_FLAG_FORCE		(1u << 8)  /* REMOVE */
#define KEEPER_FLAG_FRESH		(1u << 9)  /* KEEP */
#define KEEPER_FLAG_STAY		(1u << 10) /* HELLO */

struct keeper_message {
	uint32_t type;
	uint32_t drive;	   /* an id from 1 up, never used again while the keeper lives */
	int32_t error;	   /* answers: 0 or negative errno */
	uint32_t flags;	   /* KEEPER_FLAG_* */
	uint32_t fd_count; /* descriptors attached */
	uint32_t spec_size;
	uint64_t tag; /* chosen by who asks, given back in the answer */
	uint64_t arg[4];
	char name[KEEPER_NAME_MAX];
	char target[KEEPER_TARGET_MAX];
	char fsname[KEEPER_FSNAME_MAX]; /* first column of the mount table, the SOURCE; ',' and '\\' never in it */
	char text[KEEPER_TEXT_MAX];	/* answers with an error: more about it, may be empty */
	uint8_t spec[KEEPER_SPEC_MAX];
};

#endif
