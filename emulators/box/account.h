/* SPDX-License-Identifier: MIT */
/*
 * account.h - making users and applications
 *
 * Threads: inside a transaction.
 */
#ifndef BOX_ACCOUNT_H
#define BOX_ACCOUNT_H

#include "emulators/box/request.h"

#define ACCOUNT_DEMO_USER	1000001
#define ACCOUNT_COLLEAGUE	1000002 /* who makes the changes of the control interface */
#define ACCOUNT_DEMO_CLIENT	"driveway-demo"
#define ACCOUNT_DEMO_SECRET	"driveway-secret"
#define ACCOUNT_DEMO_ENTERPRISE "900001"
#define ACCOUNT_UPLOAD_LIMIT	(INT64_C(150) << 30)

/* Add a user with an empty root folder. id 0: the next. Its id. */
int64_t account_add_user(struct emulator *emulator, int64_t id, const char *login, const char *name, int64_t quota);
/* Add or replace an application. redirects: a JSON array, keys: an object of key id to public key in PEM. */
void account_add_app(struct emulator *emulator, const char *client, const char *secret, const char *redirects,
		     const char *keys, int64_t user, const char *enterprise);
/* The demonstration's user and application, when they are not there. quota 0: the usual one. */
void account_prepare(struct emulator *emulator, int64_t quota);

#endif
