/* SPDX-License-Identifier: MIT */
/*
 * oauth.h - asking Box for tokens
 *
 * One function for each grant, all of them one POST of a form to the token URL. Nothing here stores anything.
 *
 * Errors, besides those that any call of a remote may give (driveway/remote.h):
 *   DW_REMOTE_LOGIN: Box refuses what was sent (a spent or revoked token, a wrong secret, a wrong code), and message
 *   says what Box says about it. DW_REMOTE_UNKNOWN: a single-use token or code may have been spent without an answer.
 *
 * Threads: any.
 */
#ifndef BOX_OAUTH_H
#define BOX_OAUTH_H

#include "remotes/box/settings.h"
#include "support/http/http.h"

#define BOX_TOKEN_MAX 4096 /* with its NUL */

struct box_grant {
	char access[BOX_TOKEN_MAX];
	char refresh[BOX_TOKEN_MAX]; /* "": this way of logging in has none */
	uint64_t lifetime;	     /* nanoseconds */
};

/* The form's fields besides client_id and client_secret; value NULL: left out. */
struct box_form_field {
	const char *name;
	const char *value;
};

int box_oauth_refresh(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
		      const char *refresh, struct box_grant *out);
/* verifier: of PKCE. redirect: as it was in the authorize URL. */
int box_oauth_code(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
		   const char *code, const char *verifier, const char *redirect, struct box_grant *out);
int box_oauth_credentials(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
			  struct box_grant *out);
int box_oauth_jwt(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
		  struct box_grant *out);
/* Whatever fields say. *server_time: seconds since 1970 as the server has them, or 0. */
int box_oauth_post(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
		   const struct box_form_field *fields, size_t count, struct box_grant *out, int64_t *server_time);

/* The URL where a person says yes, malloc'd; NULL: no memory. */
char *box_oauth_page(const struct box_settings *settings, const char *redirect, const char *state,
		     const char *challenge);

/* jwt.c: an assertion signed with the app's key, for a clock that shows now; malloc'd. -EINVAL (the key cannot be used:
 * message), -ENOMEM. */
int box_jwt_assertion(const struct box_settings *settings, int64_t now, char **out, char *message, size_t message_size);

#endif
