/* SPDX-License-Identifier: MIT */
/*
 * fake_fs.h - a small file system for testing the channel
 *
 * All of its state is one struct without pointers that the test allocates, shared between processes
 * if it likes, so a service can be killed and the next one goes on. One robust mutex guards it.
 * What makes a node uses the request's notes to take effect exactly once.
 *
 * Two names are special: reading "slow" blocks until fake_state.release is set or the request is interrupted, and
 * "crash" ends the process when it is read.
 */
#ifndef TESTS_CHANNEL_FAKE_FS_H
#define TESTS_CHANNEL_FAKE_FS_H

#include <driveway/filesystem.h>
#include <pthread.h>
#include <stdatomic.h>

#define FAKE_NODES   256
#define FAKE_CONTENT (256u << 10)
#define FAKE_NAME    64
#define FAKE_LOCKS   16
/* An ioctl that adds 1 to each of 8 bytes. */
#define FAKE_IOCTL _IOWR('D', 1, char[8])

struct fake_node {
	_Atomic uint32_t used;
	uint32_t parent;
	char name[FAKE_NAME]; /* "" when it has none any more */
	uint32_t nlink;
	struct dw_attr attr;
	char target[128];
	char xattr_name[32];
	char xattr_value[64];
	uint32_t xattr_size; /* 0: none */
	char content[FAKE_CONTENT];
};

struct fake_lock {
	uint32_t used, node, type;
	uint64_t owner, start, end;
};

struct fake_state {
	pthread_mutex_t lock;
	_Atomic uint32_t release;     /* "slow" may answer */
	_Atomic uint32_t interrupted; /* reads of "slow" that saw the signal */
	_Atomic uint32_t slow_reads;  /* under way */
	_Atomic uint32_t replayed;    /* calls with DW_REQUEST_REPLAYED */
	_Atomic uint64_t forgotten;
	_Atomic uint64_t opened, released;
	_Atomic uint64_t wake; /* last wake of poll */
	_Atomic uint32_t made; /* times that a node was made */
	_Atomic uint32_t statfs_calls;
	_Atomic uint32_t poll_ready;
	uint32_t dawdle; /* microseconds that mkdir takes after it has taken effect */
	struct fake_lock locks[FAKE_LOCKS];
	struct fake_node nodes[FAKE_NODES]; /* [0] is not used, [1] is the root */
};

struct fake_fs {
	struct dw_filesystem base;
	struct dw_filesystem_ops ops; /* base.ops; a test may clear members before the channel starts */
	struct fake_state *state;
};

/* state: zeroed memory. Makes the root and locks' mutex; shared: between processes. */
void fake_state_init(struct fake_state *state, bool shared);
/* flags: DW_FS_*. Time-outs are 0. */
void fake_fs_init(struct fake_fs *fake, struct fake_state *state, uint32_t flags);
/* A file or folder in the root without any request; returns its node. */
uint64_t fake_add(struct fake_state *state, const char *name, uint32_t mode, const char *content);

/* What a test looks at and changes behind the drive's back. */
struct dw_attr fake_attr(struct fake_state *state, uint64_t node);
void fake_set_size(struct fake_state *state, uint64_t node, uint64_t size);

#endif
