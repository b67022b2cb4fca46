/* SPDX-License-Identifier: MIT */
/*
 * fixture.h - a folder remote in a room of its own, for cmocka
 *
 * The plug-in's path is the first argument of the test program. The helpers of the conformance suite (suite.h) do the
 * calls; what they find wrong ends up in suite_failures, which fixture_close checks.
 */
#ifndef TESTS_REMOTES_FOLDER_FIXTURE_H
#define TESTS_REMOTES_FOLDER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/remotes/conformance/suite.h"

#define FIXTURE_OPTIONS 8u

struct fixture {
	struct suite suite;
	struct dw_option options[FIXTURE_OPTIONS + 1];
	char room[64];
	char path[128]; /* of the folder */
	int dir;	/* it is open there */
};

/* For main, before the tests. */
void fixture_plugin(const char *path);
/* A new room and a remote with these options ("key", "value", ..., NULL), and durable=no. */
void fixture_open(struct fixture *fixture, ...) __attribute__((sentinel));
/* Close and open the remote again with other options. */
void fixture_reopen(struct fixture *fixture, ...) __attribute__((sentinel));
void fixture_close(struct fixture *fixture);

/* What another program does in the folder. */
void outside_write(struct fixture *fixture, const char *name, const char *text);
void outside_move(struct fixture *fixture, const char *from, const char *to);
void outside_remove(struct fixture *fixture, const char *name);
/* The item of that name in the root folder, or the test fails. */
struct item item_named(struct fixture *fixture, const char *name);
/* The whole of a file is this text. */
bool text_is(struct fixture *fixture, const char *id, const char *content, const char *text);

#endif
