/* SPDX-License-Identifier: MIT */
/* slot.h - what a request's slot is in the real service: shared memory, which is not lost with the process */
#ifndef TESTS_MEMORY_SLOT_H
#define TESTS_MEMORY_SLOT_H

#include <sys/mman.h>

#include "tests/memory/host.h"
#include "tests/memory/steps.h"

struct slot {
	struct request request;
	struct step step;
	volatile uint64_t state;  /* steps that were answered, times 2; plus 1: another is under way */
	volatile uint64_t result; /* of the last one */
	uint64_t seed;
};

static inline struct slot *slot_create(void)
{
	void *slot = mmap(NULL, sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(slot, MAP_FAILED);
	return slot;
}

#endif
