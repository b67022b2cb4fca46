/* SPDX-License-Identifier: MIT */
/*
 * pump.h - the keeper's half of FUSE over io_uring
 *
 * What the kernel ties a ring entry to is the task that submitted it: when that task dies, the entry is cancelled
 * and its request fails. So the submitting is done by threads that do nothing else, in the process that does not
 * die. A pump is these threads for one drive: one a CPU, pinned to it, each with an io_uring of its own.
 *
 *    kernel --- completion queue (in the region) + eventfd ---> service
 *      ^                                                           |
 *      |                                                           v
 *      +--- REGISTER once, COMMIT_AND_FETCH ever after --- pump <--- bits of done + doorbell (in the region)
 *
 * A pump thread sleeps on the doorbell's futex. The kernel fills the slot's buffers in that thread's context (task
 * work), which does not wake it up for user space. region.h has the state machine of a slot and its order of stores.
 *
 * Failing well. A drive that has negotiated FUSE_OVER_IO_URING with the kernel accepts no request until every
 * queue has an entry, or until one REGISTER was refused (fs/fuse/dev_uring.c: fuse_uring_cmd, is_ring_ready;
 * fs/fuse/dev.c: fuse_block_alloc). So:
 *    - pump_create makes all io_urings when the drive is mounted, before anything is negotiated.
 *      Where it fails, io_uring must not be negotiated;
 *    - pump_start registers one entry a queue first. When any of them is refused the ring never becomes ready, and
 *      the kernel has gone back to plain. When a thread cannot be started or a submission fails, pump_start has
 *      one REGISTER refused on purpose (a queue that does not exist), to the same end. A refusal completes at
 *      once, so a look at the completion queue after the submission tells, without taking anything out of it;
 *    - entries that are refused later only make the queue shallower.
 *
 * Memory: a pump takes no heap. Its tables are mapped; a thread's stack and the C library's small record of it come and
 * go with the thread. Nothing that the service may scribble into the region makes the pump touch memory outside of it:
 * it reads states, bits and commit ids there, and where the bell is; the submission queue is not in the region.
 */
#ifndef KEEPER_PUMP_H
#define KEEPER_PUMP_H

#include "channel/fuse/region.h"

struct pump;

/*
 * Make the io_urings and eventfds for region's queues. region and fuse_fd stay the caller's and are used until
 * pump_destroy. Fills in the region's cq_* members. Errors: -EOPNOTSUPP (the region has no queues, or pages are larger
 * than REGION_PAGE), -ENOSYS, -EPERM, -EINVAL (no io_uring, or one that lacks what this needs: before Linux 6.5),
 * -ENOMEM, -EMFILE. One thread at a time for this and all functions below.
 */
int pump_create(struct pump **out, struct region *region, int fuse_fd);
/*
 * Start the threads and register with the kernel. INIT must have been answered: before that the kernel refuses late
 * and unseen. On failure everything is as if it had not been tried
 * and the kernel sends by plain; the pump can only be destroyed then. -EOPNOTSUPP, -EAGAIN (no threads), -ENOTCONN
 * (unmounted), -ENOMEM, ...
 */
int pump_start(struct pump *pump);
uint32_t pump_queues(const struct pump *pump);
/* Counts up at each completion of queue; non-blocking reads are not set. Stays the pump's. */
int pump_eventfd(const struct pump *pump, uint32_t queue);
/* Ring every doorbell: a service has died and may have set bits without ringing. */
void pump_kick(struct pump *pump);
/*
 * End the threads, close everything. Called when the drive is unmounted; entries that the kernel still has are
 * cancelled. NULL is fine.
 */
void pump_destroy(struct pump *pump);

#endif
