/* SPDX-License-Identifier: MIT */
/*
 * tokens.h - the token that every call carries, and its renewal
 *
 *             get                    refused with 401, or its time is nearly over
 *      none ------> valid --------------------------------------------------------> stale
 *        \            ^                                                               |
 *         \           |  the file on disk has a newer one (another process, a new login), or Box gave one
 *          \          +---------------------------------------------------------------+
 *           \                                                                         | Box refuses
 *            +------------------------ lapsed <---------------------------------------+
 *                                        | a person logged in: the file is another one
 *                                        +-----------------------------------------------> stale
 *
 * A developer token has nothing to be renewed by. Refused, it is tried again a second later: Box may have erred, or be
 * reached where the token is known. A call that somebody waits for rests until then, so that it fails only when Box has
 * refused the token since.
 *
 * One thread renews, the others wait for it; one process renews, the others wait for its lock (store.h) and take what
 * it wrote. New tokens are on disk, synced, before the first of them is used, because a refresh token works only once.
 *
 * Threads: any. tokens->lock guards everything; it is not held while Box is asked.
 */
#ifndef BOX_TOKENS_H
#define BOX_TOKENS_H

#include "remotes/box/oauth.h"
#include "remotes/box/settings.h"
#include "remotes/box/store.h"

struct box_tokens;

/* settings, store and http are borrowed. stored: the login as it was loaded; NULL: there is none. -ENOMEM. */
int box_tokens_create(struct box_tokens **out, const struct box_settings *settings, struct box_store *store,
		      const json_t *stored, const struct box_store_stamp *stamp, struct http_client *http);
void box_tokens_destroy(struct box_tokens *tokens);

/* A token to use now. DW_REMOTE_LOGIN, DW_REMOTE_OFFLINE, DW_REMOTE_LATER, -ETIMEDOUT, -ECANCELED, -EIO... */
int box_tokens_get(struct box_tokens *tokens, struct dw_remote_call *call, char out[BOX_TOKEN_MAX]);
/* Box has refused token with 401. */
void box_tokens_reject(struct box_tokens *tokens, const char *token);

#endif
