/* SPDX-License-Identifier: MIT */
/*
 * oauth.h - who may call: tokens, and the ways to get them
 *
 * Rows of the table token, by kind: access, refresh, code (what the authorize page gives), developer. All that comes of
 * one approval is a family. A refresh token is good for one use; using it again is refused and revokes its family,
 * since then two parties hold it.
 *
 * Threads: oauth_check, oauth_user and oauth_add_token with the store's lock; the calls as their routes say.
 */
#ifndef BOX_OAUTH_H
#define BOX_OAUTH_H

#include "emulators/box/request.h"

#define OAUTH_TOKEN 33

/* Find the user of the request's token. False with the answer 401. */
bool oauth_check(struct request *request);
/* What a client gets that has no valid token, or had one. */
void oauth_unauthorized(struct request *request, bool expired);
/* Read a user's row into *user. */
bool oauth_user(struct store *store, int64_t id, struct user *user);
/* Add a token; seconds of life from now, 0: without end. */
void oauth_add_token(struct emulator *emulator, const char *token, const char *kind, int64_t user, const char *client,
		     int64_t seconds, const char *family, const char *redirect, const char *challenge);

void oauth_authorize(struct request *request);
void oauth_approve(struct request *request);
void oauth_token(struct request *request);
void oauth_revoke(struct request *request);

/* A form's value, decoded; NULL when it is missing. To be freed. */
char *oauth_form_value(const char *form, const char *name);

/*
 * Check a JWT assertion (jwt.c): header and claims in their form, RS256 by the key registered for kid in keys (a JSON
 * object of kid to PEM), aud, times and a jti that was not seen before. NULL when it is good, or what is wrong, a text
 * that stays. claims: the claims, to be released.
 */
const char *jwt_check(const char *assertion, const json_t *keys, int64_t now, json_t **claims);
#endif
