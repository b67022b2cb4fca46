/* SPDX-License-Identifier: MIT */
/*
 * ring.h - an io_uring whose completion queue lies where its maker says
 *
 * The system calls themselves, for two reasons: the completion queue has to lie in memory that another process maps
 * too (IORING_SETUP_NO_MMAP, Linux 6.5), and the keeper is to link nothing but the C library. Only what a pump
 * needs: submission by one thread at a time; completions are taken by others.
 *
 * The kernel's counters of the submission queue share a page with the completion queue, so the other process could
 * change them. It could make the kernel submit an old entry again by that, which the kernel refuses; it cannot change
 * an entry, and the ring never reads a counter back.
 */
#ifndef KEEPER_RING_H
#define KEEPER_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>

#define RING_SUBMISSIONS 32u /* of 128 bytes: one page */

struct ring {
	int fd;
	char *shared;	   /* the page with all counters and the completions */
	char *submissions; /* a page of our own */
	uint32_t sq_tail;  /* offset in shared */
	uint32_t sq_mask;
	uint32_t tail;	      /* next submission, free-running */
	uint32_t unsubmitted; /* prepared, not yet given to the kernel */
	uint32_t cq_head;     /* offsets in shared */
	uint32_t cq_tail;
	uint32_t cq_entries;
	uint32_t cq_mask;
};

/*
 * Make a ring of RING_SUBMISSIONS 128-byte submissions and completions (a power of two, RING_SUBMISSIONS to 128)
 * completions in the page at shared, which is zeroed. -ENOSYS, -EPERM, -EINVAL (kernel too old), -ENOMEM, -EMFILE.
 */
int ring_open(struct ring *ring, void *shared, uint32_t completions);
void ring_close(struct ring *ring);
/* The next free submission, zeroed; submits first when there is none left. NULL: that failed. */
struct io_uring_sqe *ring_prepare(struct ring *ring);
/* All are prepared and none is submitted. */
bool ring_full(const struct ring *ring);
/* Give all that is prepared to the kernel. 0 or a negative errno (-EBUSY after some tries); what was not taken stays
 * prepared. */
int ring_submit(struct ring *ring);
/* The first failed completion that is in the queue and was not taken, 0 for none. Takes none. */
int ring_failure(const struct ring *ring);

#endif
