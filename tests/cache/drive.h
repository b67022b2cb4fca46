/* SPDX-License-Identifier: MIT */
/*
 * drive.h - a whole drive over a folder: remote, for tests of its operations
 *
 * A struct drive has a folder of its own in /tmp: below it the server's files (server), the cache and the fault rules.
 * Kept memory is shared with children and outlives the file system, as in the service. The remote is the plug-in, with
 * its calls counted; a second one of the same folder, peer, notices what a test changes on the server by hand.
 */
#ifndef TESTS_CACHE_DRIVE_H
#define TESTS_CACHE_DRIVE_H

#include <driveway/remote.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DRIVE_REGIONS 8

/* Calls of the remote, by all drives of this process. */
struct calls {
	_Atomic unsigned list, read, upload, mkdir, move, remove, set_properties, session_part, quota;
};

struct region {
	char name[32];
	uint64_t size;
	void *address;
};

struct drive {
	struct dw_host host; /* first */
	struct region regions[DRIVE_REGIONS];
	unsigned count;
	char folder[64]; /* with server, cache, state and faults in it */
	struct dw_option options[16];
	size_t option_count;
	struct dw_remote *peer;
	struct dw_filesystem *fs;
	struct calls *calls;
	_Atomic uint64_t next_request;
	_Atomic unsigned invalidated; /* calls of host.invalidate_node */
};

/* What is done with context when a page has come from the remote and nobody has it yet; NULL: nothing. Once. */
void drive_at_list(void (*act)(void *context), void *context);
/* The same for an upload that is about to be done, and for one that is done and not answered. */
void drive_before_upload(void (*act)(void *context), void *context);
void drive_at_upload(void (*act)(void *context), void *context);
/* Once, by main. */
void drive_plugin(const char *path);
/* Options end with NULL: key, value, key, value... They live as long as drive. */
void drive_make(struct drive *drive, ...);
void drive_destroy(struct drive *drive);
/* Map, and unmap: what the service does at a restart, but for the end of the process. */
void drive_map(struct drive *drive, bool restarted);
void drive_unmap(struct drive *drive);
/* One rule a line; "": none. */
void drive_faults(struct drive *drive, const char *rules);

/* A file on the server, by hand. */
void server_write(struct drive *drive, const char *name, const char *text);
void server_remove(struct drive *drive, const char *name);
void server_rename(struct drive *drive, const char *from, const char *to);
/* Whatever was done by hand becomes known to the remote. */
void server_look(struct drive *drive);
bool server_has(struct drive *drive, const char *name);
bool server_is(struct drive *drive, const char *name, const char *text);
/* Names that are shown on the server, in the root. */
unsigned server_count(struct drive *drive);

/* Try for a while. */
#define EVENTUALLY(condition)                                                                                          \
	do {                                                                                                           \
		unsigned tries_ = 0;                                                                                   \
		while (!(condition) && tries_++ < 1000)                                                                \
			usleep(20000);                                                                                 \
		if (tries_ > 1000)                                                                                     \
			fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #condition);                                  \
	} while (0)

struct request {
	struct dw_request req;
	struct dw_notes notes;
};
struct dw_request *request_new(struct drive *drive, struct request *request);
/* The same again, as a new process gets it. */
struct dw_request *request_again(struct request *request);

/* Operations with a request of their own. */
uint64_t node_of(struct drive *drive, uint64_t parent, const char *name); /* 0: there is none */
int do_mkdir(struct drive *drive, uint64_t parent, const char *name, uint64_t *node);
int do_create(struct drive *drive, uint64_t parent, const char *name, uint64_t *node, uint64_t *handle);
int do_open(struct drive *drive, uint64_t node, uint32_t flags, uint64_t *handle);
int do_write(struct drive *drive, uint64_t node, uint64_t handle, const char *text, uint64_t offset);
int do_read(struct drive *drive, uint64_t node, uint64_t handle, char *text, size_t size);
void do_close(struct drive *drive, uint64_t node, uint64_t handle);
int do_unlink(struct drive *drive, uint64_t parent, const char *name);
int do_rmdir(struct drive *drive, uint64_t parent, const char *name);
int do_rename(struct drive *drive, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
	      uint32_t flags);
int do_truncate(struct drive *drive, uint64_t node, uint64_t size);
int do_setxattr(struct drive *drive, uint64_t node, const char *name, const char *value);
/* As text. */
int do_getxattr(struct drive *drive, uint64_t node, const char *name, char *value, size_t size);
uint64_t size_of(struct drive *drive, uint64_t node);
/* What report says. */
void report_of(struct drive *drive, char *json, size_t size);
bool report_has(struct drive *drive, const char *text);

/* A whole file in one go: made, or overwritten. */
void put_file(struct drive *drive, const char *name, const char *text);
/* Its bytes are text, read through the drive. */
bool file_is(struct drive *drive, const char *name, const char *text);
/* All is on the server. */
void settle(struct drive *drive);

#endif
