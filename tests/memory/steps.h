/* SPDX-License-Identifier: MIT */
/*
 * steps.h - random operations on a memory drive, and a fingerprint of what the drive holds
 *
 * A step is an operation with all of its arguments, so that it can be run, cut off, and run again as a replay. The
 * same seed on drives of the same state gives the same steps.
 */
#ifndef TESTS_MEMORY_STEPS_H
#define TESTS_MEMORY_STEPS_H

#include <driveway/filesystem.h>

enum step_kind {
	STEP_LOOKUP,
	STEP_CREATE,
	STEP_MKDIR,
	STEP_SYMLINK,
	STEP_TMPFILE,
	STEP_LINK,
	STEP_UNLINK,
	STEP_RMDIR,
	STEP_RENAME,
	STEP_EXCHANGE,
	STEP_WRITE,
	STEP_WRITE_LARGE,
	STEP_TRUNCATE,
	STEP_TRUNCATE_OPEN,
	STEP_ALLOCATE,
	STEP_PUNCH,
	STEP_COPY,
	STEP_CHMOD,
	STEP_SETXATTR,
	STEP_REMOVEXATTR,
	STEP_LIST,
	STEP_FORGET,
	STEP_COUNT,
};

struct step {
	enum step_kind kind;
	uint32_t seed; /* of the bytes written */
	uint64_t node;
	uint64_t parent;
	uint64_t new_parent;
	uint64_t offset;
	uint64_t size;
	char name[16];
	char new_name[16];
};

/* The step of this kind, or STEP_COUNT for a random one, that *seed gives on the drive as it is. */
struct step step_random(struct dw_filesystem *fs, enum step_kind kind, uint64_t *seed);
/* Result: the operation's error, or what it answers (node, count), which must be the same for a replay. */
int64_t step_run(struct dw_filesystem *fs, const struct dw_request *req, const struct step *step);
/* A number that depends on everything but times: names, nodes, counts of lookups, attributes, contents. */
uint64_t drive_fingerprint(struct dw_filesystem *fs);
uint64_t random_next(uint64_t *seed);

#endif
