/* SPDX-License-Identifier: MIT */
/*
 * faults.h - a plan of what goes wrong, for tests
 *
 * A plan is a list of rules, one a line or apart by ';':
 *    OPERATION:WHAT[:KEY=NUMBER]...
 * OPERATION is the name of an operation of remote.h, or '*'. WHAT is
 *    EIO, ENOSPC, ...        a name of an errno that remote.h has, or OFFLINE, UNKNOWN, LOGIN, LATER, CHANGED, EXPIRED:
 *                            the call answers it and has done nothing
 *    done-EIO, done-UNKNOWN  the same, after the call has done its work
 *    crash                   the process ends at once (exit status FAULT_STATUS) before the call does anything
 *    middle-crash            when the disk is changed and the index is not committed
 *    done-crash              when all is done and not answered
 *    delay                   the call takes ms more
 *    (an empty line, or one that begins with '#': nothing)
 * The keys:
 *    after=N   the first N calls of the operation pass
 *    times=N   so many calls go wrong; 0: all from then on; 1 when it is not given
 *    bytes=N   read, upload, session_part: that many bytes of the call pass, then it goes wrong
 *    ms=N      the length of a delay; with LATER what retry_after says
 * Every rule counts the calls that fit its operation for itself, from when the plan was read. All delays that fit are
 * served, then the first other rule that is due takes effect.
 *
 * A plan in a file (the option faults=PATH) is read again whenever the file was replaced or changed, with all counters
 * at zero; where there is no such file, nothing goes wrong. A test makes a service fail and work again by it, also one
 * in another process. Nothing is random: the same calls in the same order fail in the same way.
 *
 * Threads: all functions but open and close from any thread.
 */
#ifndef REMOTES_FOLDER_FAULTS_H
#define REMOTES_FOLDER_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULT_STATUS 86

enum fault_operation {
	FAULT_STAT,
	FAULT_LIST,
	FAULT_READ,
	FAULT_QUOTA,
	FAULT_CHANGES,
	FAULT_UPLOAD,
	FAULT_MKDIR,
	FAULT_MOVE,
	FAULT_COPY,
	FAULT_REMOVE,
	FAULT_SET_PROPERTIES,
	FAULT_SESSION_BEGIN,
	FAULT_SESSION_PART,
	FAULT_SESSION_PARTS,
	FAULT_SESSION_COMMIT,
	FAULT_SESSION_ABORT,
	FAULT_OPERATIONS, /* how many there are */
};

enum fault_when {
	FAULT_NEVER,
	FAULT_BEFORE,
	FAULT_MIDDLE,
	FAULT_DONE,
};

struct fault {
	enum fault_when when;
	bool crash;
	int error;
	bool partial; /* after bytes */
	uint64_t bytes;
	uint64_t retry; /* nanoseconds */
	uint64_t delay; /* nanoseconds, besides */
};

struct faults;

/* Nothing goes wrong. -ENOMEM. */
int faults_open(struct faults **out);
void faults_close(struct faults *faults);
/* Add the rules of a text (of delay: true: OPERATION:MILLISECONDS[:KEY=NUMBER]...). -EINVAL, -ENOMEM. */
int faults_add(struct faults *faults, const char *text, bool delay);
/* Read rules from the file path from now on. -ENOMEM. */
int faults_watch(struct faults *faults, const char *path);
/* What is to go wrong with this call. -EINVAL: the file makes no sense. */
int faults_next(struct faults *faults, enum fault_operation operation, struct fault *out);
const char *fault_operation_name(enum fault_operation operation);
/* A line for a person about an answer; never NULL. */
const char *fault_error_text(int error);

#endif
