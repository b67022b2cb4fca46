/* SPDX-License-Identifier: MIT */
/*
 * dropper.h - files that have lost their last name go behind the answer
 *
 * Taking a name out of a folder is quick; what follows in the same system call need not be: with the last name goes
 * the file, and its blocks are given back. Where the host waits for the disk in that (ext4 without a journal sends a
 * discard of its own for each file and waits for it) one removal costs hundreds of microseconds, none of
 * which the program has to wait for. So, where removals turn out to be slow, the file is held by an O_PATH
 * descriptor while its name is removed, the request is answered, and the descriptor is closed by a worker.
 *
 * Nothing is lost by that: the name is gone before the answer, and a descriptor of a process that dies is
 * closed by the kernel. What changes is when the blocks are free. So
 *    - only a file with one name and at most 1 MiB is held, and at most so many at a time as dropper_create was told;
 *    - dropper_wait is called before free blocks are counted (statfs), before a sync of everything, and when
 *      the host says that there is no room, after which the operation is tried again.
 *
 * Where removals are quick nothing is held, because two more system calls would cost more than is won: a running mean
 * of what the last ones took decides.
 *
 * Any thread may call; no lock of the caller's may be held. One lock, a leaf.
 */
#ifndef FILESYSTEMS_LOCAL_DROPPER_H
#define FILESYSTEMS_LOCAL_DROPPER_H

#include <stdbool.h>
#include <stdint.h>

struct dropper;

/* room: files held at the same time. -ENOMEM. */
int dropper_create(struct dropper **out, uint32_t room);
/* Waits for what is held. NULL is fine. */
void dropper_destroy(struct dropper *dropper);
/*
 * Before the file name in folder is removed: a descriptor that holds it, or -1 when it is to go with its name. Give
 * it to dropper_release in any case.
 */
int dropper_hold(struct dropper *dropper, int folder, const char *name);
/* After that: takes held over (-1: none). nanoseconds: what the removal took. */
void dropper_release(struct dropper *dropper, int held, uint64_t nanoseconds);
/* Whether dropper_wait would wait. */
bool dropper_busy(struct dropper *dropper);
/* Until everything that was released before has gone. True when there was anything. */
bool dropper_wait(struct dropper *dropper);

#endif
