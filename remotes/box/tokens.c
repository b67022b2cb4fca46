/* SPDX-License-Identifier: MIT */
#include "remotes/box/tokens.h"

#include "remotes/box/json.h"
#include "support/http/retry.h"
#include "support/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MARGIN	    60000000000ull /* a token is renewed so long before its end */
#define LOOK	    50000000ull	   /* nanoseconds between looks at the lock of another process */
#define AGAIN	    30000000000ull /* a refused app is tried again after this: an administrator may have let it in */
#define TOKEN_AGAIN 1000000000ull  /* so is a refused developer token: nobody tells that it is good again */
#define LAPSED	    "the Box login is missing, expired or revoked; run: driveway login box"

struct box_tokens {
	const struct box_settings *settings;
	struct box_store *store;
	struct http_client *http;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t settled;
	bool renewing; /* a thread is at it */
	bool lapsed;
	bool another; /* the file holds the login of another user now */
	uint64_t lapsed_at;
	char access[BOX_TOKEN_MAX]; /* "": none */
	char refresh[BOX_TOKEN_MAX];
	char rejected[BOX_TOKEN_MAX]; /* the last one that Box refused */
	uint64_t good_until;	      /* CLOCK_MONOTONIC; UINT64_MAX: until it is refused */
	json_t *login;		      /* what the file holds, or held */
	struct box_store_stamp stamp;
};

static uint64_t now_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Take over what a login file says. */
static void adopt(struct box_tokens *tokens, const json_t *login)
{
	uint64_t expires = 0, now = (uint64_t)time(NULL);

	if (tokens->settings->auth == BOX_AUTH_TOKEN) {
		const char *token = box_json_text(login, "token");

		if (tokens->settings->credentials || !token)
			token = tokens->settings->token;
		text_copy(tokens->access, sizeof(tokens->access), token ? token : "");
		tokens->good_until = UINT64_MAX;
	} else if (tokens->settings->auth == BOX_AUTH_OAUTH) {
		box_json_copy(login, "access-token", tokens->access, sizeof(tokens->access));
		box_json_copy(login, "refresh-token", tokens->refresh, sizeof(tokens->refresh));
		box_json_number(login, "expires", &expires);
		tokens->good_until = now_monotonic();
		if (expires > now)
			tokens->good_until += (expires - now < 86400 ? expires - now : 86400) * 1000000000u;
	}
	if (strcmp(tokens->access, tokens->rejected) == 0)
		tokens->access[0] = 0;
}

int box_tokens_create(struct box_tokens **out, const struct box_settings *settings, struct box_store *store,
		      const json_t *stored, const struct box_store_stamp *stamp, struct http_client *http)
{
	struct box_tokens *tokens = calloc(1, sizeof(*tokens));

	if (!tokens)
		return -ENOMEM;
	tokens->settings = settings;
	tokens->store = store;
	tokens->http = http;
	tokens->login = stored ? json_deep_copy(stored) : json_object();
	tokens->stamp = *stamp;
	if (!tokens->login) {
		free(tokens);
		return -ENOMEM;
	}
	pthread_mutex_init(&tokens->lock, NULL);
	pthread_cond_init(&tokens->settled, NULL);
	adopt(tokens, tokens->login);
	*out = tokens;
	return 0;
}

void box_tokens_destroy(struct box_tokens *tokens)
{
	if (!tokens)
		return;
	json_decref(tokens->login);
	pthread_cond_destroy(&tokens->settled);
	pthread_mutex_destroy(&tokens->lock);
	explicit_bzero(tokens, sizeof(*tokens));
	free(tokens);
}

static bool is_of_another(const json_t *before, const json_t *now)
{
	const char *one = box_json_text(before, "user-id"), *other = box_json_text(now, "user-id");

	return one && other && strcmp(one, other) != 0;
}

/* Read the file again when it is another one than before; whether it was, and is the same user's. Under the lock. */
static bool reload(struct box_tokens *tokens)
{
	struct box_store_stamp stamp;
	json_t *login = NULL;

	box_store_look(tokens->store, &stamp);
	if (box_store_same(&stamp, &tokens->stamp) || box_store_load(tokens->store, &login, &stamp)) {
		json_decref(login);
		return false;
	}
	tokens->stamp = stamp;
	tokens->another = is_of_another(tokens->login, login);
	if (tokens->another) {
		/* What waits here to be sent is not for that account, and its login is not ours to renew. */
		json_decref(login);
		tokens->access[0] = tokens->refresh[0] = 0;
		tokens->lapsed = true;
		tokens->lapsed_at = now_monotonic();
		return false;
	}
	json_decref(tokens->login);
	tokens->login = login;
	tokens->lapsed = false;
	adopt(tokens, login);
	return true;
}

static bool usable(const struct box_tokens *tokens)
{
	return tokens->access[0] && (tokens->good_until == UINT64_MAX || now_monotonic() + MARGIN < tokens->good_until);
}

/* Wait until no other process renews. */
static int lock_store(const struct box_tokens *tokens, struct dw_remote_call *call, int *fd)
{
	int error;

	while ((error = box_store_try_lock(tokens->store, fd)) == -EAGAIN) {
		error = http_sleep(LOOK, call->deadline, call->cancelled);
		if (error)
			break;
	}
	if (error && error != -ECANCELED && error != -ETIMEDOUT)
		text_format(call->message, sizeof(call->message), "%s: %s", tokens->store->lock, strerror(-error));
	return error;
}

/* Keep the new pair in memory and, of a login by a person, on disk. Under the lock. */
static int keep(struct box_tokens *tokens, const struct box_grant *grant, struct box_store_write *write,
		struct dw_remote_call *call)
{
	uint64_t lifetime = grant->lifetime > 2 * MARGIN ? grant->lifetime : 2 * MARGIN;
	int error = 0;

	if (tokens->settings->auth == BOX_AUTH_OAUTH) {
		if (json_object_set_new(tokens->login, "access-token", json_string(grant->access)) ||
		    json_object_set_new(tokens->login, "refresh-token",
					json_string(grant->refresh[0] ? grant->refresh : tokens->refresh)) ||
		    json_object_set_new(
			    tokens->login, "expires",
			    json_integer((json_int_t)time(NULL) + (json_int_t)(grant->lifetime / 1000000000u))))
			error = -ENOMEM;
		if (!error)
			error = box_store_commit(tokens->store, write, tokens->login);
		else
			box_store_cancel(write);
		box_store_look(tokens->store, &tokens->stamp);
		if (error)
			text_format(call->message, sizeof(call->message), "the new login could not be stored in %s: %s",
				    tokens->store->folder, strerror(-error));
		if (grant->refresh[0])
			text_copy(tokens->refresh, sizeof(tokens->refresh), grant->refresh);
	}
	text_copy(tokens->access, sizeof(tokens->access), grant->access);
	tokens->good_until = now_monotonic() + lifetime;
	/* What could not be stored is used all the same until it ends: the one before is spent. */
	return error == -ENOMEM ? error : 0;
}

static int ask_box(struct box_tokens *tokens, struct dw_remote_call *call, const char *refresh, struct box_grant *grant)
{
	switch (tokens->settings->auth) {
	case BOX_AUTH_OAUTH:
		return box_oauth_refresh(tokens->http, tokens->settings, call, refresh, grant);
	case BOX_AUTH_CCG:
		return box_oauth_credentials(tokens->http, tokens->settings, call, grant);
	case BOX_AUTH_JWT:
		return box_oauth_jwt(tokens->http, tokens->settings, call, grant);
	case BOX_AUTH_TOKEN:
		break;
	}
	return DW_REMOTE_LOGIN;
}

/* Get new tokens. Called by one thread at a time, without the lock. */
static int renew(struct box_tokens *tokens, struct dw_remote_call *call)
{
	bool person = tokens->settings->auth == BOX_AUTH_OAUTH;
	struct box_grant *grant = calloc(1, sizeof(*grant));
	struct box_store_write write = {.fd = -1};
	char refresh[BOX_TOKEN_MAX];
	int result = grant ? 0 : -ENOMEM;
	int fd = -1;
	bool done;

	if (!result && person)
		result = lock_store(tokens, call, &fd);
	if (result)
		goto out;
	pthread_mutex_lock(&tokens->lock);
	done = reload(tokens) && usable(tokens);
	text_copy(refresh, sizeof(refresh), tokens->refresh);
	pthread_mutex_unlock(&tokens->lock);
	if (done)
		goto out;
	if (tokens->settings->auth == BOX_AUTH_TOKEN || (person && !refresh[0])) {
		result = DW_REMOTE_LOGIN;
		goto out;
	}
	if (person && (result = box_store_begin(tokens->store, &write))) {
		text_format(call->message, sizeof(call->message),
			    "%s: %s; tokens are only renewed when they can be stored", tokens->store->folder,
			    strerror(-result));
		result = -EIO;
		goto out;
	}
	result = ask_box(tokens, call, refresh, grant);
	if (result) {
		box_store_cancel(&write);
		if (result == DW_REMOTE_UNKNOWN) /* nothing of the drive's was changed */
			result = DW_REMOTE_OFFLINE;
		goto out;
	}
	pthread_mutex_lock(&tokens->lock);
	result = keep(tokens, grant, &write, call);
	pthread_mutex_unlock(&tokens->lock);
out:
	box_store_unlock(fd);
	explicit_bzero(refresh, sizeof(refresh));
	if (grant)
		explicit_bzero(grant, sizeof(*grant));
	free(grant);
	return result;
}

/* Should this call wait until a developer token that was refused just now may be tried again? */
static bool must_rest(const struct box_tokens *tokens, const struct dw_remote_call *call)
{
	return !tokens->renewing && !call->background && tokens->lapsed && tokens->settings->auth == BOX_AUTH_TOKEN &&
	       now_monotonic() - tokens->lapsed_at < TOKEN_AGAIN;
}

/* Wait for the thread that renews, or for a token that rests. Under the lock. */
static int wait_settled(struct box_tokens *tokens, struct dw_remote_call *call)
{
	while (tokens->renewing || must_rest(tokens, call)) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += (long)LOOK;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		if (call->cancelled && __atomic_load_n(call->cancelled, __ATOMIC_RELAXED))
			return -ECANCELED;
		if (call->deadline && now_monotonic() >= call->deadline)
			return -ETIMEDOUT;
		pthread_cond_timedwait(&tokens->settled, &tokens->lock, &until);
	}
	return 0;
}

static int login_lapsed(struct box_tokens *tokens, struct dw_remote_call *call)
{
	if (tokens->another)
		text_format(call->message, sizeof(call->message),
			    "%s is the login of another Box account now: unmap the drive, or log in as before",
			    tokens->store->login);
	else if (strcmp(tokens->settings->account, "default") == 0)
		text_copy(call->message, sizeof(call->message), LAPSED);
	else
		text_format(call->message, sizeof(call->message), "%s --account %s", LAPSED, tokens->settings->account);
	return DW_REMOTE_LOGIN;
}

static bool is_app(const struct box_tokens *tokens)
{
	return tokens->settings->auth == BOX_AUTH_CCG || tokens->settings->auth == BOX_AUTH_JWT;
}

static bool still_lapsed(struct box_tokens *tokens)
{
	uint64_t passed = now_monotonic() - tokens->lapsed_at;

	if (tokens->lapsed && is_app(tokens) && passed > AGAIN)
		tokens->lapsed = false;
	if (tokens->lapsed && tokens->settings->auth == BOX_AUTH_TOKEN && passed >= TOKEN_AGAIN) {
		tokens->lapsed = false;
		tokens->rejected[0] = 0;
		adopt(tokens, tokens->login);
	}
	return tokens->lapsed && !reload(tokens);
}

int box_tokens_get(struct box_tokens *tokens, struct dw_remote_call *call, char out[BOX_TOKEN_MAX])
{
	int result = 0;

	pthread_mutex_lock(&tokens->lock);
	while (!result && !usable(tokens)) {
		if (tokens->lapsed && reload(tokens))
			continue;
		if (tokens->renewing || must_rest(tokens, call)) {
			result = wait_settled(tokens, call);
			continue;
		}
		if (still_lapsed(tokens)) {
			result = login_lapsed(tokens, call);
			continue;
		}
		if (usable(tokens))
			break;
		tokens->renewing = true;
		pthread_mutex_unlock(&tokens->lock);
		result = renew(tokens, call);
		pthread_mutex_lock(&tokens->lock);
		tokens->renewing = false;
		pthread_cond_broadcast(&tokens->settled);
		if (result == DW_REMOTE_LOGIN) {
			tokens->lapsed = true;
			tokens->lapsed_at = now_monotonic();
			if (!is_app(tokens) || !call->message[0])
				login_lapsed(tokens, call);
		}
	}
	if (!result)
		text_copy(out, BOX_TOKEN_MAX, tokens->access);
	pthread_mutex_unlock(&tokens->lock);
	return result;
}

void box_tokens_reject(struct box_tokens *tokens, const char *token)
{
	pthread_mutex_lock(&tokens->lock);
	if (strcmp(tokens->access, token) == 0) {
		text_copy(tokens->rejected, sizeof(tokens->rejected), token);
		tokens->access[0] = 0;
	}
	pthread_mutex_unlock(&tokens->lock);
}
