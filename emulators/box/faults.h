/* SPDX-License-Identifier: MIT */
/*
 * faults.h - what goes wrong on demand, and how wide the line is
 *
 * A fault has a match (a kind of call, a method, a pattern for the path; what is left out matches everything), a number
 * of matching requests to let pass first, a number of times that it strikes (-1: always) and an effect. When a request
 * has arrived, faults_choose collects the effects of all faults that strike it. A fault of kind drop strikes for as
 * long as it stands.
 *
 * The bandwidth is that of a line between all clients and the service: bytes a second, shared by all connections,
 * as much in each direction. The control interface is not on the line.
 *
 * Threads: any, after faults_new and before faults_free.
 */
#ifndef BOX_FAULTS_H
#define BOX_FAULTS_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct faults;

enum fault_kind {
	FAULT_LATENCY,	     /* ms before the answer */
	FAULT_STATUS,	     /* another status instead of doing it; retry_after */
	FAULT_RESET_BEFORE,  /* the connection is reset, nothing was done */
	FAULT_RESET_AFTER,   /* done, then reset */
	FAULT_RESET_BODY,    /* reset after at bytes of the answer's body */
	FAULT_RESET_UPLOAD,  /* reset after at bytes of the request's body, nothing was done */
	FAULT_TRUNCATE,	     /* closed after at bytes of the answer's body */
	FAULT_CORRUPT,	     /* the byte at at of the answer's body is another one */
	FAULT_STALL,	     /* nothing for seconds, at byte at of the answer's body */
	FAULT_ACCEPTED,	     /* 202 and retry_after instead of doing it */
	FAULT_EXPIRED_TOKEN, /* 401 */
	FAULT_SKEW,	     /* the Date header is seconds wrong */
	FAULT_DROP,	     /* no answer, no byte, until the fault is removed; then a reset */
	FAULT_KINDS,
};

struct fault_effect {
	unsigned int kinds; /* bits 1 << enum fault_kind */
	unsigned int status;
	int64_t retry_after; /* -1: no such header */
	int64_t latency_ms;
	int64_t stall_seconds;
	int64_t stall_at;
	int64_t at; /* of reset_body, truncate, corrupt */
	int64_t upload_at;
	int64_t skew;
	char code[64]; /* of status; "": the common one */
};

static inline bool fault_has(const struct fault_effect *effect, enum fault_kind kind)
{
	return effect->kinds & 1u << kind;
}

struct faults *faults_new(void);
void faults_free(struct faults *faults);

/*
 * Add the fault that the object describes; docs/emulator.md tells its members. *id: its number. -EINVAL with *problem,
 * a text that stays, -ENOMEM.
 */
int faults_add(struct faults *faults, const json_t *fault, int64_t *id, const char **problem);
/* Remove one; false when there is none. */
bool faults_remove(struct faults *faults, int64_t id);
/* Remove all, the bandwidth too. */
void faults_reset(struct faults *faults);
/* What stands, as an array. */
json_t *faults_list(struct faults *faults);

/* Once for each request: what strikes it. kind may be NULL. */
void faults_choose(struct faults *faults, const char *kind, const char *method, const char *path,
		   struct fault_effect *effect);
/* Wait while a drop fault matches; true when there was one. Ends when stop is true, too. */
bool faults_wait_dropped(struct faults *faults, const char *kind, const char *method, const char *path);
/* Sleep that ends early when the faults are reset or the service ends. */
void faults_sleep(struct faults *faults, int64_t milliseconds);
/* The service ends: nothing waits any more. */
void faults_stop(struct faults *faults);

/* Bytes a second, 0: no limit. */
int64_t faults_bandwidth(struct faults *faults);
/* Wait for the line to carry size bytes to the service or from it. */
void faults_carry(struct faults *faults, uint64_t size, bool upload);

#endif
