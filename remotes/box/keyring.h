/* SPDX-License-Identifier: MIT */
/*
 * keyring.h - the key of a login, in the desktop's Secret Service
 *
 * Where a Secret Service runs (GNOME Keyring, KWallet, KeePassXC), a login on disk is sealed (seal.h) with a key that
 * is kept there, a key for each login. The tokens themselves stay on disk: a refresh token works only once, and its
 * successor is durable, in its place at once and locked against other services there (store.h), which a keyring across
 * D-Bus does not promise. The key never changes while the keyring has it.
 *
 * The keyring is asked by a program, driveway-keyring, which lies beside the plug-in that this is linked into; so
 * libsecret and what it needs are loaded by nobody who has no use for them. Keys go through a pipe and a socket.
 *
 *    driveway-keyring get|put [--prompt] LOGIN     the key as 64 hexadecimal digits on standard output or input
 *
 *    exit status 0; 1: it has no such key; 2: there is no Secret Service; 3: it is locked; 4: anything else
 *
 * Errors: -ENOKEY (1), -ENODEV (2; also when the program is not there), -EACCES (3), -ETIMEDOUT, -EIO (4), -ENOMEM.
 *
 * Threads: any. A call takes up to 5 seconds, or a minute when a person may be asked (prompt).
 */
#ifndef BOX_KEYRING_H
#define BOX_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#define BOX_KEY 32

/* login: which one, as the path of its file. */
int box_keyring_get(const char *login, bool prompt, uint8_t key[BOX_KEY]);
int box_keyring_put(const char *login, bool prompt, const uint8_t key[BOX_KEY]);
/* What error means, as the end of "... Secret Service, which". */
const char *box_keyring_reason(int error);

#endif
