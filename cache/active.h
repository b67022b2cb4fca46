/* SPDX-License-Identifier: MIT */
/*
 * active.h - what is open
 *
 * A handle is a slot of a kept table (dw_host.keep "handles"), so it outlives this process: { node, flags, generation
 * }. From it the counts of readers and writers of each node are made again when a new process takes over. An open node
 * has a struct active_node in memory with its content and its lock.
 */
#ifndef CACHE_ACTIVE_H
#define CACHE_ACTIVE_H

#include "cache/nodes.h"

/* Is node open, and open for writing? Any thread; the answer may be old when it arrives. */
void active_counts(struct cache *cache, uint64_t node, unsigned *opens, unsigned *writers);

#endif
