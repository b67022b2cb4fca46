/* SPDX-License-Identifier: MIT */
/*
 * vigil.h - staying awake for a moment without being in anybody's way
 *
 * On the way of a request the pump thread is switched to twice: to let the kernel fill the slot, and to commit the
 * answer. Falling asleep and being woken is most of what that costs. A pump thread that has been busy therefore keeps
 * vigil before it sleeps: it looks at its bits of done for a short while, at the scheduling policy SCHED_IDLE, at which
 * every other thread takes the CPU from it the moment it wants it. Client and service run as if it slept; when both
 * wait, it is there already.
 *
 *             busy: 16 rounds, each within 200 us of the last         500 us without work
 *     asleep ---------------------------------------------> vigil --------------------------> asleep
 *     (normal policy)                                         |  kept from the CPU for 1 ms
 *                                                             +-------------------------> asleep, no vigil for 100 ms
 *
 * The last arrow is for CPUs that programs keep busy for themselves: at SCHED_IDLE the pump would have to wait for a
 * scarce turn there, so it goes back to the normal policy, at which it is woken and scheduled as any thread.
 *
 * An idle drive's pump sleeps: no wake-ups. Going back from SCHED_IDLE needs CAP_SYS_NICE or RLIMIT_NICE of 20
 * (sched(7)); without either no vigil is kept.
 *
 * One struct a thread; no locks.
 */
#ifndef KEEPER_VIGIL_H
#define KEEPER_VIGIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct vigil {
	bool allowed;
	bool kept;	     /* at SCHED_IDLE now */
	uint32_t rounds;     /* busy ones in a row */
	uint64_t last;	     /* ns, CLOCK_MONOTONIC: the last work */
	uint64_t not_before; /* ns: no vigil until then */
};

/* By the thread that it is for. */
void vigil_start(struct vigil *vigil);
/* Work was done. */
void vigil_worked(struct vigil *vigil);
/*
 * There is no work. Returns true when *word became non-zero, at once or during the vigil; false: sleep. The calling
 * thread has its normal policy then.
 */
bool vigil_keep(struct vigil *vigil, const _Atomic uint64_t *word);

#endif
