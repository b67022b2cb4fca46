/* SPDX-License-Identifier: MIT */
/*
 * enable_uring.h - the FUSE module's switch, for the time of a test
 *
 * io_uring for FUSE is off until an administrator switches it on. Tests that need it do so when they are root, say
 * so, and put it back.
 */
#ifndef TESTS_KEEPER_ENABLE_URING_H
#define TESTS_KEEPER_ENABLE_URING_H

#include <stdbool.h>

/* Switch it to on; *before is what enable_uring_restore needs. False: no such switch here, or not allowed. */
bool enable_uring_set(bool on, char *before);
void enable_uring_restore(char before);

#endif
