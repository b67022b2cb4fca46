/* SPDX-License-Identifier: MIT */
/*
 * restart.h - death of the process at random moments, against a model of the folder
 *
 * The parent plays the channel and the kernel: it makes up operations, hands each to a child that runs the file
 * system, kills the child at a random moment, starts another one, and hands it the same request as replayed, with its
 * notes. Every answer is compared with the model's, and at the end the folder is: each operation must have taken effect
 * exactly once. When all is closed and forgotten the table must be empty, so no count was lost or doubled either.
 *
 *    restart_child.c    the child: runs what it is handed
 *    restart_parent.c   hands over, kills, hands over again
 *    restart_model.c    the model: what the operations are and what they must answer
 *    restart.c          the test
 *
 * The child shares the parent's descriptors (and nothing else), so that what is put into the host's keeping outlives
 * it. Parent and child have one thread each.
 */
#ifndef TESTS_LOCAL_RESTART_H
#define TESTS_LOCAL_RESTART_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#include <cmocka.h>

#include "host.h"

#define FOLDERS	    3
#define NAMES	    6
#define OBJECTS	    256
#define HANDLES	    24
#define LISTED_ROOM 12
#define KEPT_LOW    700 /* descriptors from here on are in the host's keeping */

enum operation {
	OP_LOOKUP,
	OP_CREATE,
	OP_MKDIR,
	OP_SYMLINK,
	OP_MKNOD,
	OP_LINK,
	OP_UNLINK,
	OP_RMDIR,
	OP_RENAME,
	OP_OPEN,
	OP_RELEASE,
	OP_FORGET,
	OP_SETXATTR,
	OP_REMOVEXATTR,
	OP_TMPFILE,
	OP_WRITE,
	OP_TRUNCATE,
	OP_GETATTR,
	OP_LIST, /* opendir, readdir to the end, release */
	OP_COUNT,
	OP_OPENDIR,
	OP_READDIR,
	OP_NODES, /* how many nodes does the table hold */
};

/* What parent and child share. */
struct command {
	_Atomic uint32_t state; /* 0 idle, 1 delivered, 2 answered */
	enum operation op;
	uint64_t folder, new_folder, node, handle, count, size;
	char name[16], new_name[16];
	uint32_t flags;
	struct test_request request;
	int result;
	struct dw_entry entry;
	struct dw_open open;
	struct dw_attr attr;
	uint64_t nodes;
	struct {
		char name[16];
		uint64_t next;
		uint64_t node; /* 0: not counted */
	} listed[LISTED_ROOM];
	uint32_t listed_room;
	uint32_t listed_count;
};

struct object {
	bool used;
	uint32_t type;
	uint32_t nlink;
	uint64_t node; /* 0: not known to the kernel */
	uint64_t lookups;
	uint64_t size;
	uint32_t handles;
	bool xattr;
};

struct world {
	char path[64];
	struct test_host host;
	struct command *command;
	pid_t parent;
	pid_t child;
	int first_fd;
	unsigned random;
	unsigned kills, wanted_kills, kills_in_flight, operations;
	uint64_t folders[FOLDERS];  /* node ids */
	int grid[FOLDERS][NAMES];   /* objects, -1 none */
	bool known[FOLDERS][NAMES]; /* the kernel has looked it up and not forgotten the node */
	struct object objects[OBJECTS];
	struct {
		uint64_t id;
		int object;
	} handles[HANDLES];
	bool xattrs;
};

/* The child's program; does not return. */
void child_main(struct world *w);

/* Start a child; kill it. */
void start_child(struct world *w);
void kill_child(struct world *w);
/* Have w->command done by the child, now and then by several in turn; returns it. */
struct command *perform(struct world *w);
/* A random number below below. */
unsigned draw(struct world *w, unsigned below);

/* One random operation, compared with the model. */
void model_step(struct world *w);
/* The folder itself, past the drive, is as the model. */
void model_check_host(struct world *w);
/* Close and forget everything: nothing must be left. */
void model_forget_all(struct world *w);

#endif
