/* SPDX-License-Identifier: MIT */
/*
 * content_bench.h - a content store to test: a folder of its own, a database, and a remote in memory
 *
 * The remote keeps a few versions of files. What it does when it is read is set by the members of struct far, under its
 * lock: delays, errors, wrong bytes, gates. It notes every call.
 *
 * bench_open and bench_close open and close the store on the same folder, as a service does that is started again.
 * Every check is cmocka's: these work in the test's own thread only.
 */
#ifndef TESTS_CONTENT_BENCH_H
#define TESTS_CONTENT_BENCH_H

#include <driveway/remote.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the headers above first. */
#include <cmocka.h>

#include "cache/content.h"
#include "cache/database.h"

#define FAR_VERSIONS 64
#define FAR_CALLS    4096

struct far_version {
	char name[32];
	uint8_t *bytes;
	uint64_t size;
	uint8_t digest[20];
};

struct far_call {
	uint64_t offset, bytes;
	bool background;
};

struct far {
	struct dw_remote remote; /* first */
	pthread_mutex_t lock;	 /* guards all below */
	pthread_cond_t changed;
	struct far_version versions[FAR_VERSIONS];
	size_t version_count;
	bool full; /* for tests: no version is to be added */

	uint64_t delay;	    /* nanoseconds before the first byte */
	size_t piece;	    /* bytes a call of the sink */
	uint64_t rate;	    /* bytes a second of all calls together; 0: no limit */
	uint64_t line_at;   /* when the line is free again */
	int error;	    /* what reads return */
	unsigned errors;    /* for so many calls; UINT_MAX: for all */
	uint64_t good;	    /* bytes that come before the error */
	unsigned corrupt;   /* calls that bring a wrong byte */
	bool overrun;	    /* bring more than was asked for */
	bool gate;	    /* reads wait until it is opened, or they are cancelled */
	uint64_t gate_from; /* only those that begin here or behind */

	unsigned flying, flying_most;
	unsigned cancelled;
	struct far_call calls[FAR_CALLS];
	size_t call_count;
	uint64_t brought;
};

struct bench {
	char folder[64];
	int folder_fd;
	struct far far;
	struct content_config config;
	struct database *database;
	struct content_store *store;
	int answered, last_answer; /* guarded by far.lock */
};

/* Setup and teardown of cmocka; *state is a struct bench whose store is open. */
int bench_setup(void **state);
int bench_teardown(void **state);
void bench_open(struct bench *bench);
void bench_close(struct bench *bench);
/* As after a power cut: everything that another boot would find. */
void bench_boot(struct bench *bench, const char *boot);

/* A version of size bytes from seed. */
struct far_version *far_add(struct far *far, uint64_t size, uint64_t seed);
struct far_version *far_add_bytes(struct far *far, const uint8_t *bytes, uint64_t size);
/* Memory that is shared with children. */
void *far_share(size_t size);
void far_unshare(void *shared, size_t size);
void far_clear(struct far *far);  /* all versions; nothing is being fetched */
void far_forget(struct far *far); /* the calls that were noted */
size_t far_calls(struct far *far);
uint64_t far_brought(struct far *far); /* bytes */
void far_open_gate(struct far *far);
void far_set_error(struct far *far, int error, unsigned errors);

/* A content of a version, or one made here, with a node that names it; got. */
struct content *bench_expect(struct bench *bench, const struct far_version *version);
struct content *bench_make(struct bench *bench);
struct content *bench_get(struct bench *bench, uint64_t id);
void bench_delete(struct bench *bench, uint64_t id);
/* The first number of a query. */
int64_t bench_number(struct bench *bench, const char *query, uint64_t id);
void bench_run(struct bench *bench, const char *statement, uint64_t id);
/* Read, and compare with what it should be; size bytes must come. */
void bench_check(struct content *content, const uint8_t *expected, uint64_t offset, size_t size);
void bench_write(struct content *content, const void *bytes, size_t size, uint64_t offset);
bool bench_file_exists(const struct bench *bench, uint64_t id);
/* Until what(bench, context) is true, at most 20 s. */
void bench_await(struct bench *bench, bool (*what)(struct bench *bench, uint64_t number), uint64_t number);
/* Nothing is being fetched. */
bool bench_is_idle(struct bench *bench, uint64_t unused);

uint64_t bench_clock(void);
void bench_sleep(uint64_t nanoseconds);
/* A generator with its state in view. */
uint64_t bench_random(uint64_t *state);

#endif
