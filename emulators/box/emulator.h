/* SPDX-License-Identifier: MIT */
/*
 * emulator.h - the emulated service as a whole
 *
 * A stand-in for Box: the API under /2.0 and /api/2.0, the authorize page and the token calls, the host that downloads
 * are redirected to, and a control interface on a loopback port of its own for tests and benchmarks.
 *
 *    main.c         options, start and stop
 *    certificate.c  its own certificate authority and server certificate
 *    server.c       connections: request in, body in, answer out     (libmicrohttpd, one thread a connection)
 *    route.c        which call a request is
 *    answer.c       what is sent back, Box's errors among it
 *    faults.c       what goes wrong on demand, and the bandwidth
 *    calls.c        how often each call was made, and which
 *    store.c        the database; content.c the bytes; item.c names, tree, etags; render.c items as JSON
 *    oauth.c ...    one file a family of calls: jwt, users, folders, files, copy, download, upload, multipart,
 *                   sessions, parts, trash, versions, events, metadata
 *    control.c      the control interface; seed.c accounts to begin with
 *
 * Lock order: the store's lock, then one of: events' lock, faults' lock, calls' lock, rates' lock; none of the last
 * four is held while another is taken.
 *
 * Settings are numbers that the control interface changes while the service runs; setting_names tells each.
 */
#ifndef BOX_EMULATOR_H
#define BOX_EMULATOR_H

#include "emulators/box/calls.h"
#include "emulators/box/clock.h"
#include "emulators/box/faults.h"
#include "emulators/box/store.h"

#include <locale.h>
#include <semaphore.h>

enum setting {
	SETTING_AUTO_APPROVE,	   /* the authorize page answers without asking */
	SETTING_RATE_LIMITS,	   /* 1000 calls and 240 uploads a minute a user */
	SETTING_CALLS_A_MINUTE,	   /* the first of them */
	SETTING_UPLOADS_A_MINUTE,  /* the second */
	SETTING_CONFLICT_ARRAY,	   /* context_info.conflicts is an array, not an object */
	SETTING_EXPONENT_NUMBERS,  /* space numbers are always like 1.0e+10; if not, only from 10^15 on */
	SETTING_POSITION_TEXT,	   /* next_stream_position is a string */
	SETTING_ACCESS_LIFE,	   /* seconds of an access token */
	SETTING_REFRESH_LIFE,	   /* seconds of a refresh token */
	SETTING_SESSION_LIFE,	   /* seconds of an upload session */
	SETTING_DOWNLOAD_LIFE,	   /* seconds of a download URL */
	SETTING_SESSION_LEAST,	   /* bytes of the smallest file for an upload session */
	SETTING_PART_SIZE,	   /* bytes of a part; 0: by the file's size as Box does it */
	SETTING_POLL_SECONDS,	   /* how long a long poll waits before it says reconnect; retry_timeout */
	SETTING_UPLOAD_READY_LAST, /* how often a commit first answers 202 */
	SETTING_COUNT,
};

struct emulator {
	struct store *store;
	struct clock clock;
	struct faults *faults;
	struct calls *calls;
	struct rates *rates;
	struct events *events;
	locale_t locale; /* for the case of letters */
	_Atomic int64_t settings[SETTING_COUNT];
	unsigned char secret[32]; /* what download URLs are signed with */
	char control_secret[33];
	int http_port, https_port, control_port;
	atomic_bool stopping;
	sem_t stop; /* posted to end the program */
};

/* Every setting's name and what it is at first. */
struct setting_name {
	const char *name;
	int64_t value;
};
extern const struct setting_name setting_names[SETTING_COUNT];

static inline int64_t emulator_setting(struct emulator *emulator, enum setting setting)
{
	return atomic_load(&emulator->settings[setting]);
}

/* count random bytes as 2 * count hexadecimal digits and a NUL. False when the system has none. */
bool emulator_random_hex(char *out, size_t count);

#endif
