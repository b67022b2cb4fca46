/* SPDX-License-Identifier: MIT */
/*
 * keeper.h - the keeper's state and the parts that work on it
 *
 * One struct keeper, made by main, holds everything in tables of fixed size. After start-up nothing is allocated on
 * the heap and no text is parsed; pages of the tables cost memory when a drive uses them.
 *
 *    main.c        options, runtime folder, lock, control socket, becoming a daemon; the loop
 *    answers.c     messages of the service: checking, dispatch, answers; kept memory and kept descriptors
 *    drives.c      the table of drives; adding and removing, which run on while other messages are answered
 *    supervisor.c  the service process: start, death, start again; upgrade; the end of everything
 *    mounter.c     the children that mount and unmount
 *    pump.c        the io_uring threads of a drive
 *
 * All but the pumps runs on one thread, in the loop: poll, then signals, then children's reports, then one message of
 * the service. Nothing in the loop blocks: mounts are children, sockets do not block, and pump_start waits only for the
 * kernel to take or refuse a registration.
 *
 * Life of a drive:
 *
 *    FREE --ADD--> MOUNTING --report: mounted--> MOUNTED --REMOVE--> UNMOUNTING --report: unmounted--> FREE
 *                     |                             ^                    |
 *                     +--report: failed--> FREE     +--report: busy------+
 *                     +--limit, or the service that asked has died--> CLEARING --report--> FREE
 */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel/fuse/region.h"
#include "keeper/mounter.h"
#include "keeper/protocol.h"
#include "keeper/pump.h"

#define KEEPER_TASK_LIMIT 10000 /* milliseconds for one mount or unmount */

struct keep {
	char name[KEEPER_NAME_MAX];
	uint64_t size;
	int fd;
};

enum drive_state { DRIVE_FREE, DRIVE_MOUNTING, DRIVE_MOUNTED, DRIVE_UNMOUNTING, DRIVE_CLEARING };

struct drive {
	enum drive_state state;
	uint32_t id;
	uint32_t flags; /* KEEPER_FLAG_READ_ONLY ... NO_RING */
	int fuse_fd;
	int region_fd;
	struct region *region;
	uint64_t region_bytes;
	struct pump *pump; /* NULL: plain only */
	uint32_t queues_started;
	uint32_t device_major;
	uint32_t device_minor;
	/* the child at work, in all states but FREE and MOUNTED */
	pid_t child;
	int report_fd;
	int64_t deadline;
	/* who wants to know; asker 0: nobody */
	uint64_t asker; /* number of the service that asked */
	uint64_t tag;
	uint32_t asked; /* enum keeper_type */
	uint32_t keep_count;
	struct keep keeps[KEEPER_KEEPS_MAX];
	uint32_t spec_size;
	char target[KEEPER_TARGET_MAX];
	char fsname[KEEPER_FSNAME_MAX];
	uint8_t spec[KEEPER_SPEC_MAX];
};

struct kept_fd {
	uint32_t drive;
	int fd;
	uint64_t key;
};

/* What is going on with the service. */
struct service {
	pid_t pid;	  /* 0: none runs */
	int socket;	  /* -1: none, or it has closed its end */
	uint64_t started; /* so far */
	int64_t start_time;
	int64_t start_at; /* when the next one is due, if none runs */
	int64_t kill_at;  /* it was asked to finish: SIGKILL then; 0: it was not */
	int last_status;
	uint32_t quick_deaths; /* in a row */
	bool replace;	       /* its end is an upgrade */
};

enum ending {
	ENDING_NOT,
	ENDING_STOP,	/* the service has asked to stop */
	ENDING_UNMOUNT, /* told to end: drives are being unmounted, the service works */
	ENDING_SERVICE, /* the service was asked to finish */
	ENDING_REST,	/* what is still there is taken down by force */
	ENDING_DONE,
};

struct keeper {
	/* set at start-up */
	bool stay;
	const char *service_path;
	const char *fusermount; /* NULL: where it usually is */
	char socket_path[128];
	int control_socket;
	int signal_fd;
	bool privileged;
	uint32_t cpus; /* possible; 0: no ring */

	struct service service;
	enum ending ending;
	int64_t ending_limit;
	int exit_status;
	uint32_t last_drive_id;
	struct drive drives[KEEPER_DRIVES_MAX];
	uint32_t kept_count;
	struct kept_fd kept[KEEPER_FDS_MAX];
	struct keeper_message message; /* the question being looked at, then its answer */
	bool answer_waits;	       /* the service's socket was full: message and answer_fds are still to be sent */
	uint32_t answer_fd_count;
	int answer_fds[KEEPER_FDS_PER_MESSAGE]; /* belong to the tables */
};

/* Milliseconds of a clock that never jumps. */
int64_t keeper_now(void);
/* One line to standard error: the service's log, or the terminal. */
void keeper_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* answers.c */
/* Send what waits, or take one message of the service and answer it. False: the connection has ended. */
bool answers_serve(struct keeper *keeper);
/* Send keeper->message, with answer_fd_count answer_fds. When the socket is full it is kept for answers_serve. */
void answers_send(struct keeper *keeper);
/* Close what is kept for a drive. */
void answers_forget_drive(struct keeper *keeper, struct drive *drive);

/* drives.c */
struct drive *drives_find(struct keeper *keeper, uint32_t id);
struct drive *drives_next(struct keeper *keeper, uint32_t after);
uint32_t drives_count(const struct keeper *keeper);
/* Answers of DRIVE and ADD: fill keeper->message and answer_fds from drive. */
void drives_describe(struct keeper *keeper, const struct drive *drive);
/* ADD as keeper->message says. 0: under way, answered later. A negative errno: answer that. */
int drives_add(struct keeper *keeper);
/* REMOVE. 0: under way, answered later. A negative errno: answer that. asker 0: the keeper itself. */
int drives_remove(struct keeper *keeper, struct drive *drive, enum mounter_task task, uint64_t asker, uint64_t tag);
/* A child has something to say, or its time is over. */
void drives_report(struct keeper *keeper, struct drive *drive);
/* RING: 0 or a negative errno. */
int drives_start_ring(struct drive *drive);
/* The service has died: ring all doorbells; what it waited for is nobody's now. */
void drives_service_died(struct keeper *keeper);
/* Last resort: no child, no limit. Closes the drive's descriptors, so the kernel ends it. */
void drives_drop(struct keeper *keeper, struct drive *drive);

/* supervisor.c */
/* Everything that has to happen because time passes; returns milliseconds until it wants to be called again, -1 for
 * never. */
int supervisor_tick(struct keeper *keeper);
/* A signal came: enum of <signal.h>. */
void supervisor_signal(struct keeper *keeper, int number);
/* The service has closed its socket, or misbehaved. */
void supervisor_connection_lost(struct keeper *keeper);
/* STOP. 0 or -EBUSY. */
int supervisor_stop(struct keeper *keeper);

#endif
