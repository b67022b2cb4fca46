/* SPDX-License-Identifier: MIT */
/*
 * seed.h - accounts to begin with, filled without a single request
 *
 * A specification is "demo", a realistic account, or keys and values with commas:
 *
 *    files=N         how many files
 *    size=BYTES      of each, with k, m, g; default 1k
 *    folder=NAME     where, a path of names with slashes that is made; default "Files"
 *    prefix=NAME     what file names begin with; default "file-"
 *    content=same    all files have the same bytes, which makes many of them cheap; default each its own
 *
 * All bytes are made up from the specification, the same at every run. What is there already stays as it is: seeding
 * twice adds nothing. Seeding makes no events.
 *
 * Threads: with the store's lock held and inside a transaction.
 */
#ifndef BOX_SEED_H
#define BOX_SEED_H

#include "emulators/box/request.h"

/* -EINVAL: the specification is not valid. Errors of the file system. */
int seed_account(struct emulator *emulator, const struct user *user, const char *specification);
/* The folder that a path of names leads to from another folder; missing ones are made. 0 when a name is not valid. */
int64_t seed_folder(struct emulator *emulator, int64_t owner, int64_t from, const char *path);

#endif
