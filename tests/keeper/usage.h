/* SPDX-License-Identifier: MIT */
/* usage.h - what a process holds, from /proc: to see that nothing leaks. pid 0: this process. */
#ifndef TESTS_KEEPER_USAGE_H
#define TESTS_KEEPER_USAGE_H

#include <stdbool.h>
#include <sys/types.h>

/* False under a sanitizer, whose own memory would be counted. */
bool usage_memory_counts(void);

int usage_threads(pid_t pid);
int usage_descriptors(pid_t pid);
/* kB that are resident and not shared with others. */
long usage_resident(pid_t pid);
/* kB of the heap, all of it; 0 when there is none. */
long usage_heap(pid_t pid);

#endif
