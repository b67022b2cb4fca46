/* SPDX-License-Identifier: MIT */
/*
 * workers.h - a pool of threads that run what would block
 *
 * One pool a drive, so that a drive that hangs delays no other. Threads are started when there is
 * more to do than threads that are free, up to a maximum, and end after 10 s without work: an idle pool
 * has none and wakes nobody. Jobs start in the order in which they were submitted. Jobs wait in a list that
 * runs through themselves, so submitting allocates nothing.
 */
#ifndef SUPPORT_WORKERS_H
#define SUPPORT_WORKERS_H

struct workers;

/* Owned by the submitter; put it into your own struct. Not to be touched from submission until run is called. */
struct workers_job {
	struct workers_job *next;
	void (*run)(struct workers_job *job);
};

/* maximum: 1 to 256 threads. name: for debuggers, up to 15 bytes. -ENOMEM, -EINVAL. */
int workers_create(struct workers **out, const char *name, unsigned maximum);
/* Any thread. 0, or -EAGAIN when not one thread can be started: the job was not taken. */
int workers_submit(struct workers *workers, struct workers_job *job);
/* Runs what was submitted, then ends the threads and frees the pool. */
void workers_destroy(struct workers *workers);
/* Jobs submitted and not finished. */
unsigned workers_pending(struct workers *workers);

#endif
