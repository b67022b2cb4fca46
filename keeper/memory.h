/* SPDX-License-Identifier: MIT */
/*
 * memory.h - memory that is a descriptor
 *
 * A memfd outlives whoever maps it, as long as the keeper holds its descriptor. It is sealed against shrinking, so that
 * nobody who maps it can be killed (SIGBUS) by another one who cuts it. Pages cost memory when they are touched.
 */
#ifndef KEEPER_MEMORY_H
#define KEEPER_MEMORY_H

#include "channel/fuse/region.h"

/* A memfd of size zero bytes, close-on-exec, never to be executed or resized. name is for /proc only. Returns the
 * descriptor or a negative errno: -EMFILE, -ENOMEM, -EINVAL or -EFBIG (size). */
int memory_create(const char *name, uint64_t size);

/*
 * A drive's fresh region (region.h), mapped shared at *out; returns its descriptor or a negative errno. queue_count may
 * be 0. Given back with memory_free_region and close.
 */
int memory_create_region(struct region **out, uint32_t queue_count, uint32_t depth);
void memory_free_region(struct region *region, uint64_t bytes);

/* CPUs that the kernel counts as possible, from /sys; 0 where that cannot be read. FUSE wants one ring queue for each.
 * Parses text: for start-up. */
uint32_t memory_possible_cpus(void);

#endif
