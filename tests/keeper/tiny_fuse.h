/* SPDX-License-Identifier: MIT */
/*
 * tiny_fuse.h - the smallest file system that can be mounted: an empty root folder
 *
 * Speaks the FUSE protocol just far enough that stat, readdir, statfs and unmounting work, on both transports of a
 * region, with taking up what a dead predecessor left. It stands in for the channel in tests of the keeper.
 */
#ifndef TESTS_KEEPER_TINY_FUSE_H
#define TESTS_KEEPER_TINY_FUSE_H

#include <stdbool.h>

#include "channel/fuse/region.h"

/* Serve the plain transport until the connection ends (returns 0) or something goes wrong (negative errno). Negotiates
 * io_uring when ring is true and the kernel offers it, and calls started, if not NULL, once INIT is answered or was
 * answered before. */
int tiny_fuse_serve(int fuse_fd, struct region *region, bool ring, void (*started)(void *context), void *context);
/* The kernel has agreed to io_uring. Valid once region->initialized is set. */
bool tiny_fuse_has_ring(const struct region *region);
/*
 * Serve queue of the ring; event is its eventfd. Ends when all its entries are dead. Some requests stay DELIVERED for
 * dwell_us microseconds, so that a kill finds them there.
 */
void tiny_fuse_serve_queue(struct region *region, uint32_t queue, int event, uint32_t dwell_us);

#endif
