/* SPDX-License-Identifier: MIT */
/*
 * client.h - the service's side of the conversation with the keeper
 *
 * One function a question of protocol.h. All may be called from any thread: a mutex guards the list of questions under
 * way, and whichever waiting thread is free reads answers for all. So a question that takes long (keeper_client_add,
 * keeper_client_remove) delays no other.
 *
 * Every function returns 0 or a negative errno: the keeper's answer, or -EPIPE when the keeper is gone (the
 * service had better end), or -EPROTO when it answers nonsense. Descriptors that come out belong to the
 * caller and are close-on-exec; they are -1 after an error. Descriptors that go in stay the caller's.
 */
#ifndef KEEPER_CLIENT_H
#define KEEPER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

struct keeper_client;

struct keeper_hello {
	uint64_t keeper_pid;
	uint64_t services;  /* started so far; 1: this is the first */
	int last_status;    /* of the one before, as waitpid gives it; 0 when this is the first */
	uint32_t drives;    /* mounted now: ask keeper_client_drive for each */
	bool stay;	    /* do not send stop when the last drive is gone */
	int control_socket; /* listening */
};

struct keeper_drive {
	uint32_t id;
	uint32_t flags;		  /* KEEPER_FLAG_READ_ONLY ... NO_RING as given to add */
	uint32_t queues_started;  /* of the ring; 0: keeper_client_ring was not called yet or failed */
	uint32_t queues_possible; /* 0: no io_uring here: do not negotiate it with the kernel */
	int fuse_fd;
	int region_fd; /* as long as region.h says; map it shared */
	uint32_t spec_size;
	char target[KEEPER_TARGET_MAX];
	char fsname[KEEPER_FSNAME_MAX];
	uint8_t spec[KEEPER_SPEC_MAX];
};

/* What to mount. Strings end with NUL. */
struct keeper_mount {
	const char *target; /* absolute path of a folder */
	const char *fsname; /* first column of the mount table; ',' and '\\' not allowed */
	const void *spec;   /* anything, given back by keeper_client_drive to the next service */
	uint32_t spec_size; /* up to KEEPER_SPEC_MAX */
	uint32_t flags;	    /* KEEPER_FLAG_READ_ONLY ... NO_RING */
	uint32_t depth;	    /* ring slots a queue, 1 to 64; 0: the usual */
};

/* Talk over socket (KEEPER_SOCKET), which becomes the client's. -ENOMEM. */
int keeper_client_open(struct keeper_client **out, int socket);
/* No call may be under way. Closes the socket. */
void keeper_client_close(struct keeper_client *client);

int keeper_client_hello(struct keeper_client *client, struct keeper_hello *out);
/*
 * The mounted drive with the lowest id above after; 0 gives the first, its id the second, and so on. (Not by
 * position: a drive may go away between two questions.) -ENOENT: that was the last.
 */
int keeper_client_drive(struct keeper_client *client, uint32_t after, struct keeper_drive *out);
/*
 * Mount. On success *out is as keeper_client_drive gives it, but that spec stays empty. Blocks up to 10 s. On failure
 * text (text_size bytes, may be NULL) receives one line, or "". -EBUSY, -ETIMEDOUT, -EPERM, -EACCES, -ENOENT, ...:
 * mount(2)'s.
 */
int keeper_client_add(struct keeper_client *client, const struct keeper_mount *mount, struct keeper_drive *out,
		      char *text, uint32_t text_size);
/* Start, or after a restart find again, the ring: *count eventfds into fds, which has room for
 * KEEPER_FDS_PER_MESSAGE. Any error: plain. */
int keeper_client_ring(struct keeper_client *client, uint32_t drive, int *fds, uint32_t *count);
/* Unmount. Blocks up to 10 s; the drive must go on being served meanwhile. -EBUSY: in use; nothing has changed. After 0
 * the id is gone. text as with keeper_client_add. */
int keeper_client_remove(struct keeper_client *client, uint32_t drive, bool force, char *text, uint32_t text_size);
/* Kept memory: a memfd of size bytes. name: 1 to 31 bytes. -EINVAL, -ENOSPC, -ENOMEM. */
int keeper_client_keep(struct keeper_client *client, uint32_t drive, const char *name, uint64_t size, bool *fresh,
		       int *fd);
/* -EEXIST, -ENFILE, -EXDEV: the file lies on a drive itself. */
int keeper_client_fd_put(struct keeper_client *client, uint32_t drive, uint64_t key, int fd);
int keeper_client_fd_get(struct keeper_client *client, uint32_t drive, uint64_t key, int *fd);
int keeper_client_fd_drop(struct keeper_client *client, uint32_t drive, uint64_t key);
/* The keeper ends when this process has. -EBUSY: there are drives, or it was told to stay. */
int keeper_client_stop(struct keeper_client *client);

#endif
