/* SPDX-License-Identifier: MIT */
/*
 * courier.h - a process that hands messages to the kernel for us
 *
 * Some messages wait in the kernel, and not even a kill ends that: to forget a name it takes the lock of the
 * folder, which a program may hold whose request only we can answer (fs/fuse/dir.c: fuse_reverse_inval_entry). Were the
 * waiting thread one of the service's, a service that is killed meanwhile could not end, so the keeper would not
 * start the next one, which alone could answer the request: a drive that hangs for ever. So the waiting is done by a
 * child process that has nothing but the device and a socket to us. It ends when the socket does, at once or when the
 * kernel lets go of it.
 *
 *    service                         courier
 *       |------ message (socket) ----->|
 *       |                              |---- write ----> /dev/fuse
 *       |<----- 0 or an errno ---------|
 *
 * The child is forked from a process with threads, so it calls nothing but system calls.
 *
 * Threads: one at a time.
 */
#ifndef CHANNEL_FUSE_COURIER_H
#define CHANNEL_FUSE_COURIER_H

#include <stddef.h>
#include <sys/types.h>

/* A message with its header, and more than the kernel takes. */
#define COURIER_MESSAGE 8192u

struct courier {
	int socket; /* -1: there is no process */
	pid_t pid;
};

#define COURIER_NONE ((struct courier){.socket = -1})

/*
 * Hand message, of size bytes, to device, and wait for what the kernel says to it; starts the process if there is none,
 * and anew where it was killed. device is the same until courier_end. 0 or what the kernel said (negative errno);
 * -EAGAIN: the process cannot be started, or did not live; -EMSGSIZE.
 */
int courier_deliver(struct courier *courier, int device, const void *message, size_t size);
/* The process ends. Nothing is under way. */
void courier_end(struct courier *courier);

#endif
