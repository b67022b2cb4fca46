/* SPDX-License-Identifier: MIT */
/*
 * survival.h - the programs that must not notice
 *
 * The survival test maps a drive, starts programs on it (loads), and kills the service that serves the drive again
 * and again at random moments. A load is a function that runs in a process of its own, in a folder of
 * its own on the drive, until it is told to stop, and knows at every step exactly what each call must answer. Whatever
 * differs, an error that the kernel never gives on a healthy disk or a byte out of place, is an error of the drive: a
 * service that was killed may cost time and nothing else.
 *
 * So each load asks things that go wrong when a request is lost or done twice: a mkdir done twice answers EEXIST, an
 * unlink ENOENT, an append leaves its record twice, an exchange changes back.
 */
#ifndef TESTS_SURVIVAL_H
#define TESTS_SURVIVAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOADS_MAX 16

/* What a load tells the test; lives in memory that they share. */
struct load {
	const char *name;
	_Atomic uint64_t operations; /* done and found right */
	_Atomic uint64_t errors;
	_Atomic bool *stop;
	uint32_t seed;
	uint64_t state; /* of its random numbers */
};

struct load_kind {
	const char *name; /* NULL ends the list */
	/* Returns when *load->stop is set, after checking what it left. Called in its folder. */
	void (*run)(struct load *load);
};

extern const struct load_kind data_loads[];
extern const struct load_kind name_loads[];
extern const struct load_kind saved_loads[];

/* May the load begin another round? */
bool load_going(const struct load *load);
/* Something was right. */
void load_did(struct load *load);
/* Something was wrong: printed, counted; errno's name is added when it is not 0. Returns false. */
bool load_wrong(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* condition, or load_wrong with what was asked; counts as an operation when right. */
#define LOAD_CHECK(load, condition) load_check((load), (condition), #condition, __LINE__)
bool load_check(struct load *load, bool condition, const char *what, int line);
uint32_t load_random(struct load *load, uint32_t below);
/* Bytes that depend on their position and on seed. */
void load_fill(void *buffer, size_t size, uint64_t offset, uint32_t seed);
bool load_filled(const void *buffer, size_t size, uint64_t offset, uint32_t seed);
/* write and pwrite all of it; false when not all was taken. */
bool load_write_all(int fd, const void *buffer, size_t size, int64_t offset);

/* The machine's side of it: killer.c */

struct killer {
	int keeper_pid;
	int service_pid; /* the one killed last */
	uint64_t kills;
	uint32_t life;	/* milliseconds that most services live at most; three times as many at times */
	uint64_t state; /* of its random numbers */
};

/*
 * Wait for a service that is not the one killed last, let it live for a random moment, and kill it. milliseconds: how
 * long to wait for it. Returns 0, -ETIMEDOUT when none came, -ESRCH when the keeper is gone.
 */
int killer_strike(struct killer *killer, int milliseconds);

#endif
