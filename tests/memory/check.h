/* SPDX-License-Identifier: MIT */
/*
 * check.h - the invariants of a memory drive's kept state, as fsck would check them
 */
#ifndef TESTS_MEMORY_CHECK_H
#define TESTS_MEMORY_CHECK_H

#include <driveway/filesystem.h>

/*
 * Fails the test unless: every name is in its bucket, its folder's tree and points to a living node; link counts,
 * folder counts and parents are right; nodes are reachable or looked up; each block in use belongs to exactly one file;
 * counts of nodes, names and blocks agree with what is there. Nothing may be running.
 */
void check_drive(struct dw_filesystem *fs);

#endif
