/* SPDX-License-Identifier: MIT */
#include "keeper/vigil.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MICROSECOND UINT64_C(1000)
#define BUSY_GAP    (200 * MICROSECOND)
#define BUSY_ROUNDS 16u
#define KEEP_FOR    (500 * MICROSECOND)
#define KEPT_OFF    (1000 * MICROSECOND)
#define PENALTY	    (100000 * MICROSECOND)
#define NICE_NEEDED 20 /* RLIMIT_NICE for nice 0: getrlimit(2) */

static uint64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static bool set_policy(int policy)
{
	struct sched_param parameters = {0};

	return sched_setscheduler(0, policy, &parameters) == 0;
}

/* May this thread leave SCHED_IDLE again? */
static bool may_return(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	struct rlimit nice;

	if (syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1u << CAP_SYS_NICE)))
		return true;
	return getrlimit(RLIMIT_NICE, &nice) == 0 && nice.rlim_cur >= NICE_NEEDED;
}

void vigil_start(struct vigil *vigil)
{
	*vigil = (struct vigil){.allowed = may_return()};
}

void vigil_worked(struct vigil *vigil)
{
	uint64_t at;

	if (!vigil->allowed)
		return;
	at = now();
	if (vigil->kept || at - vigil->last < BUSY_GAP) {
		if (vigil->rounds < BUSY_ROUNDS)
			vigil->rounds++;
	} else {
		vigil->rounds = 0;
	}
	vigil->last = at;
}

static bool begin(struct vigil *vigil)
{
	if (!vigil->allowed || vigil->rounds < BUSY_ROUNDS || vigil->last < vigil->not_before)
		return false;
	vigil->kept = set_policy(SCHED_IDLE);
	return vigil->kept;
}

static void end(struct vigil *vigil)
{
	/* Once allowed it stays so, unless somebody takes the right away: then this thread is slow, but works. */
	set_policy(SCHED_OTHER);
	vigil->kept = false;
	vigil->rounds = 0;
}

bool vigil_keep(struct vigil *vigil, const _Atomic uint64_t *word)
{
	uint64_t before, at;

	if (atomic_load_explicit(word, memory_order_acquire))
		return true;
	if (!vigil->kept && !begin(vigil))
		return false;
	for (before = vigil->last;; before = at) {
		bool work = atomic_load_explicit(word, memory_order_acquire) != 0;

		at = now();
		if (at - before > KEPT_OFF) {
			end(vigil);
			vigil->not_before = at + PENALTY;
			return work;
		}
		if (work)
			return true;
		if (at - vigil->last > KEEP_FOR) {
			end(vigil);
			return false;
		}
	}
}
