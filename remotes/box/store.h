/* SPDX-License-Identifier: MIT */
/*
 * store.h - the login of an account, kept on disk
 *
 * In the provider's state folder, for an account called NAME:
 *
 *    NAME.login    JSON, 0600: the settings of the login (settings.h), "user-id" and "user-login" as Box told them, and
 *                  of a login by a person "access-token", "refresh-token" and "expires" (seconds since 1970)
 *                  or, where a Secret Service runs, that JSON sealed with a key that is kept there (keyring.h, seal.h),
 *                  and beside it whose account it is
 *    NAME.lock     empty; whoever asks Box for new tokens holds it (flock)
 *    NAME.root-*   the id of a folder that a drive has as its root (root.h)
 *
 * A file is replaced as a whole: written under another name, synced, renamed, and the folder synced. A refresh token
 * works once, so before one is spent box_store_begin has made sure that its successor can be written: the name and
 * the room on disk are taken by then.
 *
 * Sealed or not: as it was found by the last load, so that it stays as the last login left it.
 *
 * Threads: any; box_store_load, _seal and _commit of one store by one at a time. Two processes may use one folder.
 */
#ifndef BOX_STORE_H
#define BOX_STORE_H

#include "remotes/box/keyring.h"

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define BOX_LOGIN_MAX (256u << 10)

struct box_store {
	char login[PATH_MAX];
	char lock[PATH_MAX];
	char folder[PATH_MAX];

	bool sealed;	      /* the file is, and is to be */
	bool keyed;	      /* key holds one */
	int refused;	      /* why there is none: an error of keyring.h */
	uint64_t asked_again; /* CLOCK_MONOTONIC in nanoseconds: when the keyring may be asked again */
	uint8_t key[BOX_KEY];
};

/* Which file it was: another one has been put in its place when it differs. */
struct box_store_stamp {
	uint64_t inode;
	int64_t seconds;
	int64_t nanoseconds;
	bool there;
};

/* A file that is going to take the place of NAME.login. */
struct box_store_write {
	char temporary[PATH_MAX + 16];
	int fd;
};

/* -ENAMETOOLONG. */
int box_store_init(struct box_store *store, const char *folder, const char *account);
void box_store_forget(struct box_store *store);
/*
 * -ENOENT, -EINVAL (it is no login, or belongs to somebody else or can be read by others), -EIO, -ENOMEM; -ENOKEY: it
 * is sealed, store->refused says why there is no key, and *out is what stands beside the seal.
 */
int box_store_load(struct box_store *store, json_t **out, struct box_store_stamp *stamp);
/* From now on the file is sealed, with the key that the Secret Service has for it, or a new one. Errors of keyring.h.
 */
int box_store_seal(struct box_store *store, bool prompt);
void box_store_look(const struct box_store *store, struct box_store_stamp *stamp);
bool box_store_same(const struct box_store_stamp *a, const struct box_store_stamp *b);

/* Prepare. -ENOSPC, -EACCES, -EROFS and others of the file system. */
int box_store_begin(const struct box_store *store, struct box_store_write *write);
/* login is durable under its name when this returns 0. Ends write in every case. */
int box_store_commit(const struct box_store *store, struct box_store_write *write, const json_t *login);
void box_store_cancel(struct box_store_write *write);

/* Take the lock; the descriptor for box_store_unlock. -EAGAIN: somebody else has it. */
int box_store_try_lock(const struct box_store *store, int *fd);
void box_store_unlock(int fd);

/* Small texts beside the login, replaced atomically. out has room for size bytes. -ENOENT, -EINVAL. */
int box_store_get_text(const struct box_store *store, const char *ending, char *out, size_t size);
int box_store_put_text(const struct box_store *store, const char *ending, const char *text);
void box_store_drop_text(const struct box_store *store, const char *ending);

#endif
