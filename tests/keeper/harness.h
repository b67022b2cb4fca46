/* SPDX-License-Identifier: MIT */
/* harness.h - a keeper with the fake service, for tests */
#ifndef TESTS_KEEPER_HARNESS_H
#define TESTS_KEEPER_HARNESS_H

#include <stdbool.h>
#include <sys/types.h>

struct harness {
	char folder[64]; /* a fresh one; the runtime folder is folder/run */
	char runtime[80];
	pid_t keeper; /* 0: does not run */
	char reply[4096];
};

/* Paths of the programs under test, from the arguments of the test. */
struct harness_programs {
	const char *drivewayd;
	const char *service;
};

/* Make the folders; nothing runs yet. */
void harness_open(struct harness *h);
/* Start drivewayd in the foreground, with an option more if not NULL, and wait until the service answers. */
void harness_start(struct harness *h, const struct harness_programs *programs, const char *option);
/* Say a line to the service; h->reply is its answer, which is also returned. "" when the connection broke. */
const char *harness_say(struct harness *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The number at the start of the last reply, or behind key. */
long harness_number(const struct harness *h, const char *key);
/* Its service's process id, asked anew; waits for one that is another than not. */
pid_t harness_service(struct harness *h, pid_t not );
/* Wait for the keeper's end; its wait status, or -1 after seconds. */
int harness_wait(struct harness *h, int seconds);
/* End what runs, remove the folder. Fails the test when the folder cannot be emptied. */
void harness_close(struct harness *h);
/* For a program to start: its runtime folder in the environment. */
void harness_environment(const struct harness *h);
void harness_pause(unsigned milliseconds);

#endif
