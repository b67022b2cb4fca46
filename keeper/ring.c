/* SPDX-License-Identifier: MIT */
#include "keeper/ring.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef IORING_SETUP_NO_MMAP
#define IORING_SETUP_NO_MMAP (1u << 14)
#endif
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1u << 16)
#endif

#define PAGE	   4096u
#define SUBMISSION 128u
#define TRIES	   100u

/* The last member of both offset structs is the address of caller's memory; older headers call it reserved. */
static void set_user_address(void *offsets, size_t size, const void *address)
{
	uint64_t value = (uint64_t)(uintptr_t)address;

	memcpy((char *)offsets + size - sizeof(value), &value, sizeof(value));
}

int ring_open(struct ring *ring, void *shared, uint32_t completions)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_NO_MMAP |
			 IORING_SETUP_NO_SQARRAY,
		.cq_entries = completions,
	};
	int ret;

	*ring = (struct ring){.fd = -1, .shared = shared};
	ring->submissions = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ring->submissions == MAP_FAILED)
		return -ENOMEM;
	madvise(ring->submissions, PAGE, MADV_DONTFORK);
	set_user_address(&params.cq_off, sizeof(params.cq_off), shared);
	set_user_address(&params.sq_off, sizeof(params.sq_off), ring->submissions);
	ring->fd = (int)syscall(SYS_io_uring_setup, RING_SUBMISSIONS, &params);
	if (ring->fd < 0) {
		ret = -errno;
		munmap(ring->submissions, PAGE);
		return ret;
	}
	if (params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe) > PAGE) {
		ring_close(ring);
		return -EINVAL;
	}
	ring->sq_tail = params.sq_off.tail;
	ring->sq_mask = params.sq_entries - 1;
	ring->cq_head = params.cq_off.head;
	ring->cq_tail = params.cq_off.tail;
	ring->cq_entries = params.cq_off.cqes;
	ring->cq_mask = params.cq_entries - 1;
	return 0;
}

void ring_close(struct ring *ring)
{
	close(ring->fd);
	munmap(ring->submissions, PAGE);
	ring->fd = -1;
}

bool ring_full(const struct ring *ring)
{
	return ring->unsubmitted > ring->sq_mask;
}

struct io_uring_sqe *ring_prepare(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	if (ring_full(ring) && ring_submit(ring))
		return NULL;
	sqe = (struct io_uring_sqe *)(ring->submissions + (size_t)(ring->tail & ring->sq_mask) * SUBMISSION);
	memset(sqe, 0, SUBMISSION);
	ring->tail++;
	ring->unsubmitted++;
	return sqe;
}

int ring_submit(struct ring *ring)
{
	unsigned tries = 0;

	while (ring->unsubmitted) {
		long taken;

		atomic_store_explicit((_Atomic uint32_t *)(ring->shared + ring->sq_tail), ring->tail,
				      memory_order_release);
		taken = syscall(SYS_io_uring_enter, ring->fd, ring->unsubmitted, 0, 0, NULL, 0);
		if (taken > 0) {
			ring->unsubmitted -= (uint32_t)taken < ring->unsubmitted ? (uint32_t)taken : ring->unsubmitted;
			continue;
		}
		if (taken < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY)
			return -errno;
		if (++tries == TRIES)
			return -EBUSY;
		sched_yield();
	}
	return 0;
}

int ring_failure(const struct ring *ring)
{
	uint32_t head = atomic_load_explicit((_Atomic uint32_t *)(ring->shared + ring->cq_head), memory_order_relaxed);
	uint32_t tail = atomic_load_explicit((_Atomic uint32_t *)(ring->shared + ring->cq_tail), memory_order_acquire);
	const struct io_uring_cqe *entries = (const struct io_uring_cqe *)(ring->shared + ring->cq_entries);

	for (uint32_t i = 0; i <= ring->cq_mask && head + i != tail; i++)
		if (entries[(head + i) & ring->cq_mask].res < 0)
			return entries[(head + i) & ring->cq_mask].res;
	return 0;
}
