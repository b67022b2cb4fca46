/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - what the keeper and the service say to one another
 *
 * The keeper is the process that may not die; the service is its only child that it talks to. They
 * share a SOCK_SEQPACKET socket pair; the service's end is its descriptor KEEPER_SOCKET. The service asks,
 * the keeper answers every message with one of the same type, in order. Both are struct keeper_message, always whole,
 * with descriptors attached (SCM_RIGHTS, fd_count of them). A message of another size or type is answered with -EPROTO
 * and changes nothing. The keeper parses no text in it; spec is opaque to it.
 *
 * type            asked with                      answered with
 * HELLO           arg[0] KEEPER_PROTOCOL          arg[0] keeper's pid, arg[1] services started so far,
 *                                                 arg[2] the last one's wait status, arg[3] drives now,
 *                                                 fd: the listening control socket
 * DRIVE           arg[0] n (0 to drives - 1)      drive, spec, target, flags, arg[0] ring queues started;
 *                                                 fds: fuse, region
 * ADD             target, spec, flags, arg[0]     drive; fds: fuse, region. Or -EBUSY (64 drives),
 *                 ring depth                      or mount's error, text says more
 * RING            drive                           arg[0] queues; fds: one io_uring a queue. A second call gives the
 * same. -EOPNOTSUPP: the kernel will not; use plain. REMOVE          drive, flags (FORCE)            0 or -EBUSY;
 * without FORCE nothing has changed then KEEP            drive, name, arg[0] size        fd, flags (FRESH) FD_PUT
 * drive, arg[0] key; fd           0, -EEXIST, -ENFILE FD_GET          drive, arg[0] key               fd or -ENOENT
 * FD_DROP         drive, arg[0] key               0 or -ENOENT
 * STOP            -                               0; the keeper ends when the service has; -EBUSY while
 *                                                 there are drives
 *
 * When the service's end closes because it died, the keeper waits for it and starts the next one: at
 * once, or after a growing pause (to 5 s) when it keeps dying within a second by its own fault. On
 * SIGHUP the keeper asks the service to finish (SIGTERM) and starts the next, from the file on disk as it is
 * then: an upgrade. On SIGTERM it does the same, removes all drives and ends.
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
#define KEEPER_TARGET_MAX      4096
#define KEEPER_SPEC_MAX	       16384
#define KEEPER_TEXT_MAX	       512

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
#define KEEPER_FLAG_FORCE		(1u << 8) /* REMOVE */
#define KEEPER_FLAG_FRESH		(1u << 9) /* KEEP */

struct keeper_message {
	uint32_t type;
	uint32_t drive;	   /* 1 to KEEPER_DRIVES_MAX... an id, never reused while the keeper lives */
	int32_t error;	   /* answers: 0 or negative errno */
	uint32_t flags;	   /* KEEPER_FLAG_* */
	uint32_t fd_count; /* descriptors attached */
	uint32_t spec_size;
	uint64_t arg[4];
	char name[32];
	char target[KEEPER_TARGET_MAX];
	char fsname[256];	    /* ADD: first column of the mount table, the SOURCE; ',' and '\\' never in it */
	char text[KEEPER_TEXT_MAX]; /* answers with an error: more about it, may be empty */
	uint8_t spec[KEEPER_SPEC_MAX];
};

#endif
