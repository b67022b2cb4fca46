/* SPDX-License-Identifier: MIT */
/*
 * seal.h - a login that only the holder of a key can read
 *
 * {"sealed": TEXT}, where TEXT is base64 of: 12 random bytes (the nonce), 16 bytes (the tag), and the login's JSON as
 * AES-256-GCM leaves it. Another nonce each time; a login is written too seldom for two to be the same.
 *   Beside it stands what names the account and is no secret ("user-id", "api-url", "upload-url"), so that a drive
 * knows whose it is, and finds what it has cached, while there is no key. It is sealed too, and believed only as long
 * as both say the same.
 *
 * Pure functions: any thread.
 */
#ifndef BOX_SEAL_H
#define BOX_SEAL_H

#include "remotes/box/keyring.h"

#include <jansson.h>

bool box_is_sealed(const json_t *file);
/* NULL: no memory, or no random numbers. */
json_t *box_seal(const json_t *login, const uint8_t key[BOX_KEY]);
/* NULL: it is not sealed, was sealed with another key, or was changed, also beside the seal; or there is no memory. */
json_t *box_unseal(const json_t *file, const uint8_t key[BOX_KEY]);

#endif
