/* SPDX-License-Identifier: MIT */
/*
 * host.h - a host for unit tests of `memory`: kept regions that outlive the file system and child processes
 *
 * A region is a shared anonymous file, so a forked child works on the same bytes as its parent and may be killed.
 */
#ifndef TESTS_MEMORY_HOST_H
#define TESTS_MEMORY_HOST_H

#include <driveway/filesystem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HOST_REGIONS 8

struct host_region {
	char name[32];
	uint64_t size;
	void *address;
	int fd;
};

struct host {
	struct dw_host host; /* first */
	struct host_region regions[HOST_REGIONS];
	unsigned count;
};

/* A program's request, with notes of its own. */
struct request {
	struct dw_request req;
	struct dw_notes notes;
};

extern const struct dw_provider memory_provider;

void host_create(struct host *host);
void host_destroy(struct host *host);
struct host_region *host_find(struct host *host, const char *name);
/* Open the drive; options end with NULL: key, value, key, value... Fails the test on an error. */
struct dw_filesystem *host_open(struct host *host, ...);
int host_try_open(struct host *host, struct dw_filesystem **out, char *error, size_t error_size,
		  const struct dw_option *options, size_t count);
/* A fresh request of root, in the given place. */
struct dw_request *request_new(struct request *request);

/* Operations with a fresh request each. Return what the operation does. */
int do_lookup(struct dw_filesystem *fs, uint64_t parent, const char *name, struct dw_entry *out);
int do_mkdir(struct dw_filesystem *fs, uint64_t parent, const char *name, uint32_t mode, struct dw_entry *out);
int do_create(struct dw_filesystem *fs, uint64_t parent, const char *name, uint32_t mode, struct dw_entry *out);
int do_unlink(struct dw_filesystem *fs, uint64_t parent, const char *name);
int do_rmdir(struct dw_filesystem *fs, uint64_t parent, const char *name);
int do_rename(struct dw_filesystem *fs, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
	      uint32_t flags);
int do_link(struct dw_filesystem *fs, uint64_t node, uint64_t parent, const char *name, struct dw_entry *out);
void do_forget(struct dw_filesystem *fs, uint64_t node, uint64_t count);
int do_getattr(struct dw_filesystem *fs, uint64_t node, struct dw_attr *out);
int do_setattr(struct dw_filesystem *fs, uint64_t node, const struct dw_setattr *in, struct dw_attr *out);
int do_truncate(struct dw_filesystem *fs, uint64_t node, uint64_t size);
/* Bytes written or read, or a negative errno. */
int64_t do_write(struct dw_filesystem *fs, uint64_t node, const void *buffer, size_t size, uint64_t offset);
int64_t do_read(struct dw_filesystem *fs, uint64_t node, void *buffer, size_t size, uint64_t offset);
int do_fallocate(struct dw_filesystem *fs, uint64_t node, uint64_t offset, uint64_t length, uint32_t flags);
struct dw_statfs do_statfs(struct dw_filesystem *fs);

/* A listing into memory. */
struct listed {
	char name[256];
	uint64_t next;
	uint64_t node; /* 0 without attributes */
	struct dw_attr attr;
};

struct collector {
	struct dw_listing listing; /* first */
	struct listed *entries;
	size_t count;
	size_t room;
};

/* List up to room entries from offset on; returns the operation's result. */
int do_readdir(struct dw_filesystem *fs, uint64_t node, uint64_t offset, bool attributes, struct collector *collector);
struct collector collector_new(size_t room);
void collector_free(struct collector *collector);

#endif
