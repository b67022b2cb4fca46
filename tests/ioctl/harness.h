/* SPDX-License-Identifier: MIT */
/*
 * harness.h - a volume over `memory`, and requests as the driver sends them
 *
 * Between volume and file system stand a few operations of the harness: they count lookups and handles, so that a test
 * sees that all of them come back, and fail the test when two changes of one folder run at the same time. Every request
 * is sent from a block of exactly its size, and its answer goes to one of exactly its room.
 */
#ifndef TESTS_IOCTL_HARNESS_H
#define TESTS_IOCTL_HARNESS_H

#include <stdatomic.h>

#include "channel/ioctl/dispatch.h"
#include "channel/ioctl/nt.h"
#include "channel/ioctl/volume.h"
#include "tests/memory/host.h"

#define HARNESS_ROOM 65536u

struct harness {
	struct host host;
	struct dw_filesystem *fs;
	struct dw_filesystem_ops ops; /* of the harness, in place of the file system's */
	struct volume_kept *kept;
	struct volume *volume;
	_Atomic uint64_t next_id;
};

/* Lookups, and handles, that were given out and not back; of the harness that was made last. */
int64_t harness_lookups(void);
int64_t harness_handles(void);

void harness_create(struct harness *harness);
/* Checks that nothing is held once the volume is gone. */
void harness_destroy(struct harness *harness);
/* The process dies; the next one begins. */
void harness_restart(struct harness *harness);
/* For cmocka. */
int harness_set_up(void **state);
int harness_tear_down(void **state);

/* A request that is being put together. */
struct message {
	struct fs_request in;
	uint8_t more[HARNESS_ROOM]; /* behind the fixed part */
	uint32_t more_size;
};

struct answer {
	struct fs_response out;
	uint8_t data[HARNESS_ROOM];
};

void message_begin(struct harness *harness, struct message *message, enum fs_type type, uint64_t file);
/* UTF-16 of text, in which U+F03A and such may be given as UTF-8. */
struct fs_text message_text(struct message *message, const char *text);
struct fs_text message_bytes(struct message *message, const void *bytes, uint32_t size);
/* Send, answer, and have it answered; the status. */
int32_t message_send(struct harness *harness, struct message *message, struct answer *answer);
/* Without telling that the answer has arrived. */
int32_t message_send_lost(struct harness *harness, struct message *message, struct answer *answer);

/* --- Requests. What is not asked for may be NULL. --- */

struct opening {
	uint32_t access; /* 0: FILE_ALL_ACCESS */
	uint32_t options;
	uint32_t disposition; /* as it is */
	uint32_t attributes;
	uint32_t flags;
};

int32_t send_create(struct harness *harness, const char *path, const struct opening *as, struct answer *answer);
/* Open or make, failing the test on a failure; the file's id. */
uint64_t open_file(struct harness *harness, const char *path, uint32_t disposition, uint32_t options);
int32_t send_close(struct harness *harness, uint64_t file);
int32_t send_cleanup(struct harness *harness, uint64_t file, const char *delete_path);
int32_t send_read(struct harness *harness, uint64_t file, uint64_t offset, uint32_t length, struct answer *answer);
int32_t send_write(struct harness *harness, uint64_t file, uint64_t offset, const void *bytes, uint32_t length,
		   uint32_t flags, struct answer *answer);
int32_t send_query(struct harness *harness, uint64_t file, struct answer *answer);
int32_t send_rename(struct harness *harness, uint64_t file, const char *from, const char *to, uint32_t flags);
int32_t send_list(struct harness *harness, uint64_t file, const char *pattern, uint64_t marker, uint32_t room,
		  struct answer *answer);
int32_t send_simple(struct harness *harness, enum fs_type type, uint64_t file, struct answer *answer);
/* Make a file or folder and close it. */
void make_file_at(struct harness *harness, const char *path, const char *content);
void make_folder_at(struct harness *harness, const char *path);
/* Delete what is there, as a program does it. */
int32_t delete_at(struct harness *harness, const char *path);

/* All names of a folder by a pattern, in UTF-8, each ended by '|'. room: of each answer. */
void list_names(struct harness *harness, const char *path, const char *pattern, uint32_t room, char *out,
		size_t out_size);

#define assert_status(status, expected) assert_int_equal((uint32_t)(status), (uint32_t)(expected))

#endif
