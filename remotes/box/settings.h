/* SPDX-License-Identifier: MIT */
/*
 * settings.h - what the person said about a Box account
 *
 * Settings are texts under the names of the options. They come, the later ones over the earlier ones, from
 *   1. what `driveway login box` stored for the account (store.h),
 *   2. the environment: DRIVEWAY_BOX_CLIENT_ID, DRIVEWAY_BOX_CLIENT_SECRET, DRIVEWAY_BOX_TOKEN,
 *   3. the options of this drive or login.
 * struct box_settings is a view on them: its texts belong to values, are never empty but NULL, and do not change.
 *
 * Secrets among them (client-secret, token, what config names) never reach a message or a log.
 */
#ifndef BOX_SETTINGS_H
#define BOX_SETTINGS_H

#include <driveway/remote.h>
#include <jansson.h>

enum box_auth {
	BOX_AUTH_OAUTH, /* a person logged in, in the browser or by pasting */
	BOX_AUTH_CCG,	/* client credentials */
	BOX_AUTH_JWT,	/* the key file of an app */
	BOX_AUTH_TOKEN, /* a developer token */
};

struct box_settings {
	json_t *values;
	enum box_auth auth;
	bool paste;	     /* of BOX_AUTH_OAUTH: no browser on this machine */
	bool credentials;    /* how to log in was said by options, not by a stored login */
	const char *account; /* name of the login in the state folder; "default" */
	const char *client_id;
	const char *client_secret;
	const char *subject_type; /* of ccg and jwt: "enterprise" or "user" */
	const char *subject_id;
	const char *key; /* of jwt: PEM */
	const char *key_pass;
	const char *key_id;
	const char *token;	/* of token */
	const char *api_url;	/* https://api.box.com/2.0 */
	const char *upload_url; /* https://upload.box.com/api/2.0 */
	const char *auth_url;	/* the page where a person says yes */
	const char *token_url;
	const char *ca;
	const char *proxy;	/* NULL: as the environment says; "" is kept here and means none */
	unsigned redirect_port; /* 0: any that is free */
	unsigned rate_calls;	/* a minute; 0: no limit of our own */
	unsigned rate_uploads;
	unsigned parts_above; /* bytes: larger files go up in parts */
	uint64_t retry_pause; /* nanoseconds: the first pause before trying again */
};

/*
 * Read options over stored (may be NULL; not consumed). -EINVAL, -ENOMEM, or the error of reading a file that an
 * option names, with one line in error. box_settings_free in every case.
 */
int box_settings_read(struct box_settings *out, const json_t *stored, const struct dw_option *options, size_t count,
		      char *error, size_t error_size);
void box_settings_free(struct box_settings *settings);

/* Lines "key=what it is\n". */
extern const char box_settings_help[];

/* The value of option key, before anything is read; NULL. */
const char *box_option(const struct dw_option *options, size_t count, const char *key);
/* Whether an account may be called so: it becomes a file name. */
bool box_account_valid(const char *name);

#endif
