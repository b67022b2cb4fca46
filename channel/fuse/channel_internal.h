/* SPDX-License-Identifier: MIT */
/*
 * channel_internal.h - what the files of the channel share
 *
 * Threads of a channel
 *    plain 0      starts first: takes up what is left, answers INIT, starts the ring or the other plain
 *                 threads, then reads requests like them (by the ring it stays alone, for FORGET and INTERRUPT)
 *    plain 1..    read requests from /dev/fuse
 *    ring q       one a queue, on the queue's CPU: takes completions
 *    workers      run what may block; waiters run what blocks for as long as another program likes (locks)
 *    notifier     see notifier.h; started when first needed
 *
 * Who owns a slot: from delivery to answer the thread that handles the request, and no lock is needed. It changes hands
 * by workers_submit. A plain slot without a request is in free_plain; a ring slot's state says whose it is.
 *
 * Locks: lock guards the life of the channel (ready, threads) and is never held while the file system,
 * the kernel or the keeper is called. It is a leaf but for the notifier's own, which is a leaf too.
 *
 * Order in shared memory: everything of a slot is written before its state (release). A plain slot
 * that becomes free is put into free_plain before waiting_for_slot is looked at, and a thread that waits
 * raises that before it looks at free_plain again (both sequentially consistent), so no wake-up is lost.
 */
#ifndef CHANNEL_FUSE_CHANNEL_INTERNAL_H
#define CHANNEL_FUSE_CHANNEL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "channel.h"
#include "notifier.h"
#include "request.h"
#include "support/workers.h"

#define CHANNEL_PLAIN_THREADS 4u
#define CHANNEL_WORKERS	      16u
#define CHANNEL_POISON	      3u /* deaths after which a request is answered EIO */

/* A slot's place in a queue of work. */
struct slot_job {
	struct workers_job job;
	struct channel *channel;
	uint32_t index;
	uint32_t flags; /* DW_REQUEST_* that the request runs with */
};

struct channel_thread {
	struct channel *channel;
	pthread_t thread;
	uint32_t number; /* of plain thread or queue */
	bool joinable;
	atomic_bool ended;
};

struct channel {
	struct channel_config config;
	struct region *region;
	struct drive drive;
	uint32_t slot_total;
	struct slot_job *jobs;	  /* one a slot */
	_Atomic uint64_t *active; /* one a slot: unique of the request that is being handled, for INTERRUPT; 0: none */
	struct workers *workers;
	struct workers *waiters;
	bool nowait; /* the file system has DW_FS_NOWAIT */

	_Atomic uint64_t free_plain; /* bit i: plain slot i holds nothing and nobody reads into it */
	_Atomic uint64_t populated;  /* bit i: its buffer's pages are there */
	_Atomic uint32_t waiting_for_slot;
	atomic_bool stopping;
	atomic_bool gone;
	atomic_bool trace;
	atomic_bool on_ring;
	const char *_Atomic reason; /* why not io_uring */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* ready, slots, threads that ended; monotonic clock */
	bool ready;
	int error; /* that keeps it from ever being ready */

	struct channel_thread plain[CHANNEL_PLAIN_THREADS];
	uint32_t plain_wanted;
	struct channel_thread *ring; /* queue_count of them, NULL before the ring is started */
	uint32_t ring_count;
	int *ring_events; /* eventfds */
};

/* --- channel.c --- */

/* Handle the request in slot index, which is DELIVERED. Returns true when it is done and the slot is idle (plain) or
 * posted (ring); false when it is with a worker, which then gives the slot back. *wake: see ring_post; may be NULL. */
bool channel_handle(struct channel *channel, uint32_t index, bool *wake);
/* Take up a request that an earlier service left DELIVERED: poison is counted, and a worker runs it. */
void channel_replay(struct channel *channel, uint32_t index, uint32_t flags);
void channel_log(struct channel *channel, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The kernel has hung up. */
void channel_hung_up(struct channel *channel);
void channel_set_ready(struct channel *channel, int error);
/* Start a thread of the channel; 0 or -EAGAIN. */
int channel_spawn(struct channel_thread *thread, struct channel *channel, uint32_t number, void *(*run)(void *context));

/* --- init.c --- */

/* Negotiate: call's message is INIT. Fills the reply, drive and region. 0 or -EPROTO. */
int init_negotiate(struct channel *channel, struct call *call);
/* What was agreed in an earlier service, from region to drive. */
void init_restore(struct channel *channel);

/* --- plain.c --- */

void *plain_run(void *thread);
/* Send what is stored in a slot that is ANSWERED; the slot is IDLE then. */
void plain_send(struct channel *channel, uint32_t index);
/* Give a plain slot back to the free ones. */
void plain_release(struct channel *channel, uint32_t index);

/* --- ring.c --- */

void *ring_run(void *thread);
/* Start the ring's threads, asking the keeper for its queues; 0 or negative errno: go on plain. */
int ring_start(struct channel *channel);
/*
 * Hand an ANSWERED slot to the pump. wake NULL: wake it if it sleeps; else *wake is set when that is to be done later
 * (ring_wake), after several.
 */
void ring_post(struct channel *channel, uint32_t index, bool *wake);
void ring_wake(struct channel *channel, uint32_t queue);

#endif
