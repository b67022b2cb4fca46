/* SPDX-License-Identifier: MIT */
/*
 * load.h - what one measured workload is made of
 *
 * The program load runs one workload with a number of threads and prints what came out as one line of JSON. It
 * knows nothing of drives: it is given a folder. bench/run decides which folder and in what order.
 *
 * A workload is four functions. Each thread calls open once, then step again and again, then
 * close. Two ways to measure:
 *
 *    timed     threads step until told to stop. The main thread lets them warm up, then reads every thread's
 *              counter twice, some seconds apart: operations a second are the difference.
 *    counted   threads step until step says LOAD_DONE, then call finish (fsync) where there is one. The time is
 *              from the moment when all threads were ready until the last one has finished.
 *
 * Threads never share a folder or file that they change: thread i works in the folder t<i> of the
 * given one, in sub-folders d0, d1, ... of files f0, f1, ... Paths are resolved relative to an open
 * sub-folder, so an operation names one component, and each figure is that of one name.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_DONE	 1 /* from step: nothing is left to do */
#define LOAD_SMALL	 4096u
#define LOAD_LARGE	 (1u << 20)
#define LOAD_THREADS_MAX 64u

struct load_options {
	const char *folder;
	unsigned threads;
	unsigned folders; /* sub-folders a thread */
	unsigned files;	  /* files a sub-folder; for fill: in the one folder */
	uint64_t size;	  /* of a data file, bytes; a multiple of LOAD_LARGE */
	double seconds;	  /* timed: length of the measurement */
	double warmup;	  /* timed: before it */
	bool pin;	  /* thread i runs on CPU i only */
	bool direct;	  /* data files are opened with O_DIRECT */
};

/* One thread's state; its own cache lines, since step counts without a pause. */
struct load_thread {
	_Atomic uint64_t operations;
	const struct load_options *options;
	unsigned index;
	uint64_t random; /* state of load_random, never 0 */
	uint64_t next;	 /* for workloads that go through something in order */
	int *folders;	 /* open sub-folders, options->folders of them */
	int file;
	char *buffer; /* LOAD_LARGE bytes, aligned to pages */
	void *own;    /* of the workload, between open and close */
} __attribute__((aligned(128)));

struct load_work {
	const char *name;
	const char *summary;
	bool counted;
	uint32_t bytes; /* of one operation; 0: it moves no data worth counting */
	/* All of them: 0 or a negative errno. open and close may be NULL, and so may finish. */
	int (*open)(struct load_thread *thread);
	int (*step)(struct load_thread *thread);
	int (*finish)(struct load_thread *thread);
	int (*close)(struct load_thread *thread);
};

/* Both end with an entry whose name is NULL. */
extern const struct load_work load_names_works[];
extern const struct load_work load_data_works[];
extern const struct load_work load_tree_works[];

/* A number from 0 to below - 1, quick and repeatable. */
static inline uint64_t load_random(struct load_thread *thread, uint64_t below)
{
	thread->random ^= thread->random << 13;
	thread->random ^= thread->random >> 7;
	thread->random ^= thread->random << 17;
	return thread->random % below;
}

#endif
