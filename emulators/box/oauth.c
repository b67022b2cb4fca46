/* SPDX-License-Identifier: MIT */
#include "emulators/box/oauth.h"

#include "emulators/box/answer.h"
#include "support/text.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define CODE_LIFE 30 /* seconds, as at Box */
#define TOKEN_MAX 4096

/* A row of the table token. */
struct token {
	int64_t user, expires, used;
	char client[128], family[OAUTH_TOKEN], redirect[1024], challenge[128];
};

/* A row of the table app. */
struct app {
	char client[128], secret[128], enterprise[64];
	int64_t user; /* the service account */
	json_t *redirects, *keys;
};

static bool oauth_find(struct store *store, const char *token, const char *kind, struct token *out)
{
	sqlite3_stmt *statement = store_ask(store,
					    "SELECT user, expires, used, client, family, redirect, challenge FROM token"
					    " WHERE token = ? AND kind = ?",
					    "ss", token, kind);

	if (!store_next(store, statement))
		return false;
	out->user = sqlite3_column_int64(statement, 0);
	out->expires = sqlite3_column_int64(statement, 1);
	out->used = sqlite3_column_int64(statement, 2);
	text_copy(out->client, sizeof(out->client), store_text(statement, 3));
	text_copy(out->family, sizeof(out->family), store_text(statement, 4));
	text_copy(out->redirect, sizeof(out->redirect), store_text(statement, 5));
	text_copy(out->challenge, sizeof(out->challenge), store_text(statement, 6));
	store_done(statement);
	return true;
}

void oauth_add_token(struct emulator *emulator, const char *token, const char *kind, int64_t user, const char *client,
		     int64_t seconds, const char *family, const char *redirect, const char *challenge)
{
	int64_t expires = seconds ? clock_now(&emulator->clock) + seconds : INT64_MAX;

	store_run(emulator->store, "INSERT OR REPLACE INTO token VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)", "ssisisss", token,
		  kind, user, client, expires, family, redirect, challenge);
}

bool oauth_user(struct store *store, int64_t id, struct user *user)
{
	sqlite3_stmt *statement = store_ask(
		store, "SELECT root, quota, used, upload_limit, login, name FROM user WHERE id = ?", "i", id);

	if (!store_next(store, statement))
		return false;
	user->id = id;
	user->root = sqlite3_column_int64(statement, 0);
	user->quota = sqlite3_column_int64(statement, 1);
	user->used = sqlite3_column_int64(statement, 2);
	user->upload_limit = sqlite3_column_int64(statement, 3);
	text_copy(user->login, sizeof(user->login), store_text(statement, 4));
	text_copy(user->name, sizeof(user->name), store_text(statement, 5));
	store_done(statement);
	return true;
}

void oauth_unauthorized(struct request *request, bool expired)
{
	answer_empty(request, 401);
	answer_header(request, "WWW-Authenticate",
		      expired ? "Bearer realm=\"Service\", error=\"expired_token\","
				" error_description=\"The access token provided has expired.\""
			      : "Bearer realm=\"Service\", error=\"invalid_token\","
				" error_description=\"The access token provided is invalid.\"");
}

bool oauth_check(struct request *request)
{
	const char *header = request_header(request, "Authorization"), *token = NULL;
	struct store *store = request->emulator->store;
	struct token row;

	if (header && strncasecmp(header, "Bearer ", 7) == 0)
		token = header + 7 + strspn(header + 7, " ");
	else if (!header)
		token = request_query(request, "access_token");
	if (!token || (!oauth_find(store, token, "access", &row) && !oauth_find(store, token, "developer", &row)) ||
	    !oauth_user(store, row.user, &request->user)) {
		oauth_unauthorized(request, false);
		return false;
	}
	if (row.expires > clock_now(&request->emulator->clock))
		return true;
	oauth_unauthorized(request, true);
	return false;
}

static bool oauth_app(struct store *store, const char *client, struct app *app)
{
	sqlite3_stmt *statement = store_ask(
		store, "SELECT secret, redirects, keys, user, enterprise FROM app WHERE client = ?", "s",
		client ? client : "");

	if (!store_next(store, statement))
		return false;
	text_copy(app->client, sizeof(app->client), client);
	text_copy(app->secret, sizeof(app->secret), store_text(statement, 0));
	app->redirects = json_loads(store_text(statement, 1), 0, NULL);
	app->keys = json_loads(store_text(statement, 2), 0, NULL);
	app->user = sqlite3_column_int64(statement, 3);
	text_copy(app->enterprise, sizeof(app->enterprise), store_text(statement, 4));
	store_done(statement);
	return true;
}

static void oauth_app_clear(struct app *app)
{
	json_decref(app->redirects);
	json_decref(app->keys);
}

static int oauth_digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

/* Undo percent and plus signs, in place. What is no UTF-8 or holds a NUL byte is made empty by the reader of it. */
static void oauth_decode(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (*text == '%' && oauth_digit(text[1]) >= 0 && oauth_digit(text[2]) >= 0) {
			*out++ = (char)(oauth_digit(text[1]) << 4 | oauth_digit(text[2]));
			text += 2;
		} else {
			*out++ = (char)(*text == '+' ? ' ' : *text);
		}
	}
	*out = '\0';
}

char *oauth_form_value(const char *form, const char *name)
{
	size_t length = strlen(name);
	const char *at = form;
	char *value;

	while (at && *at) {
		if (strncmp(at, name, length) == 0 && at[length] == '=') {
			at += length + 1;
			value = strndup(at, strcspn(at, "&"));
			if (value)
				oauth_decode(value);
			return value;
		}
		at = strchr(at, '&');
		if (at)
			at++;
	}
	return NULL;
}

/* Text for a URL's query; to be freed. */
static char *oauth_encode(const char *text)
{
	char *out = malloc(3 * strlen(text) + 1), *at = out;

	if (!out)
		return NULL;
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr("-._~", *text)) {
			*at++ = *text;
		} else {
			text_format(at, 4, "%%%02X", (unsigned char)*text);
			at += 3;
		}
	}
	*at = '\0';
	return out;
}

/* The part of a URL of this machine before and after its port; false for other hosts. */
static bool oauth_loopback(const char *url, size_t *host, const char **path)
{
	static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		*host = strlen(hosts[i]);
		if (strncmp(url, hosts[i], *host) != 0)
			continue;
		*path = url + *host;
		if (**path == ':')
			*path += 1 + strspn(*path + 1, "0123456789");
		return !**path || **path == '/';
	}
	return false;
}

/* A registered URL fits letter by letter; one of this machine on any port. */
static bool oauth_redirect_fits(const struct app *app, const char *redirect)
{
	const char *path, *registered_path, *registered;
	size_t at, host, registered_host;
	const json_t *one;

	json_array_foreach(app->redirects, at, one)
	{
		registered = json_string_value(one);
		if (!registered)
			continue;
		if (strcmp(registered, redirect) == 0)
			return true;
		if (oauth_loopback(redirect, &host, &path) &&
		    oauth_loopback(registered, &registered_host, &registered_path) && host == registered_host &&
		    strncmp(redirect, registered, host) == 0 && strcmp(path, registered_path) == 0)
			return true;
	}
	return false;
}

/* What an authorize request asks for; the texts belong to the request or the caller. */
struct approval {
	const char *client, *redirect, *state, *challenge, *method, *type;
};

/* Go back to the client with a code or an error. */
static void oauth_return(struct request *request, const struct approval *approval, const char *name, const char *value)
{
	char *state = approval->state ? oauth_encode(approval->state) : NULL, url[TOKEN_MAX];
	const char *mark = strchr(approval->redirect, '?') ? "&" : "?";
	bool fits;

	fits = text_format(url, sizeof(url), "%s%s%s=%s%s%s", approval->redirect, mark, name, value,
			   state ? "&state=" : "", state ? state : "");
	free(state);
	if (!fits || strpbrk(url, "\r\n")) {
		answer_error(request, 400, NULL, "the redirect URL is not valid");
		return;
	}
	answer_empty(request, 302);
	answer_header(request, "Location", url);
}

static void oauth_give_code(struct request *request, const struct approval *approval, int64_t user)
{
	char code[OAUTH_TOKEN], family[OAUTH_TOKEN];

	if (!emulator_random_hex(code, 16) || !emulator_random_hex(family, 16)) {
		answer_error(request, 500, NULL, "no random numbers");
		return;
	}
	oauth_add_token(request->emulator, code, "code", user, approval->client, CODE_LIFE, family, approval->redirect,
			approval->challenge);
	oauth_return(request, approval, "code", code);
}

/* client and redirect are known and fit; only then may an error be sent to the redirect URL. */
static bool oauth_approval_valid(struct request *request, struct approval *approval, struct app *app)
{
	const char *problem = NULL;

	if (!oauth_app(request->emulator->store, approval->client, app)) {
		answer_oauth_error(request, 400, "invalid_client", "The client_id is missing or unknown");
		return false;
	}
	if (!approval->redirect && json_array_size(app->redirects) == 1)
		approval->redirect = json_string_value(json_array_get(app->redirects, 0));
	if (!approval->redirect || !oauth_redirect_fits(app, approval->redirect)) {
		answer_oauth_error(request, 400, "redirect_uri_mismatch",
				   "The redirect_uri is missing or not registered");
		return false;
	}
	if (!approval->type || strcmp(approval->type, "code") != 0)
		problem = "unsupported_response_type";
	else if (approval->challenge &&
		 ((approval->method ? strcmp(approval->method, "S256") : 1) != 0 || strlen(approval->challenge) != 43))
		problem = "invalid_request";
	if (problem)
		oauth_return(request, approval, "error", problem);
	return !problem;
}

static void oauth_append_escaped(char **page, const char *text)
{
	char *more;
	size_t used = strlen(*page), at = used;

	more = realloc(*page, used + 6 * strlen(text) + 1);
	if (!more)
		return;
	*page = more;
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr(" -._~:/?=%+", *text)) {
			more[at++] = *text;
		} else {
			text_format(more + at, 7, "&#%d;", (unsigned char)*text);
			at += strlen(more + at);
		}
	}
	more[at] = '\0';
}

static void oauth_append(char **page, const char *text)
{
	size_t used = strlen(*page), size = strlen(text);
	char *more = realloc(*page, used + size + 1);

	if (!more)
		return;
	*page = more;
	memcpy(more + used, text, size + 1);
}

/* The page on which the user says yes or no. */
static void oauth_form(struct request *request, const struct approval *approval)
{
	const struct {
		const char *name, *value;
	} members[] = {
		{"client_id", approval->client},
		{"redirect_uri", approval->redirect},
		{"state", approval->state},
		{"code_challenge", approval->challenge},
		{"code_challenge_method", approval->method},
		{"response_type", approval->type},
	};
	char *page = strdup("<!doctype html><title>Box emulator</title><h1>Grant access?</h1><p>");

	if (page) {
		oauth_append_escaped(&page, approval->client);
		oauth_append(&page, " asks to read and write all files of this account.<form method=post>");
		for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
			if (!members[i].value)
				continue;
			oauth_append(&page, "<input type=hidden name=");
			oauth_append(&page, members[i].name);
			oauth_append(&page, " value=\"");
			oauth_append_escaped(&page, members[i].value);
			oauth_append(&page, "\">");
		}
		oauth_append(&page, "<button name=decision value=allow>Grant access</button> "
				    "<button name=decision value=deny>Deny</button></form>");
	}
	answer_text(request, 200, "text/html; charset=utf-8", page ? page : "");
	free(page);
}

void oauth_authorize(struct request *request)
{
	struct approval approval = {
		.client = request_query(request, "client_id"),
		.redirect = request_query(request, "redirect_uri"),
		.state = request_query(request, "state"),
		.challenge = request_query(request, "code_challenge"),
		.method = request_query(request, "code_challenge_method"),
		.type = request_query(request, "response_type"),
	};
	struct app app = {0};

	if (oauth_approval_valid(request, &approval, &app)) {
		if (emulator_setting(request->emulator, SETTING_AUTO_APPROVE))
			oauth_give_code(request, &approval, app.user);
		else
			oauth_form(request, &approval);
	}
	oauth_app_clear(&app);
}

void oauth_approve(struct request *request)
{
	static const char *const names[] = {"client_id",      "redirect_uri",	       "state",
					    "code_challenge", "code_challenge_method", "response_type",
					    "decision"};
	const char *form = request->body ? request->body : "";
	struct approval approval;
	struct app app = {0};
	char *values[7];

	for (int i = 0; i < 7; i++)
		values[i] = oauth_form_value(form, names[i]);
	approval = (struct approval){values[0], values[1], values[2], values[3], values[4], values[5]};
	if (oauth_approval_valid(request, &approval, &app)) {
		if (values[6] && strcmp(values[6], "allow") == 0)
			oauth_give_code(request, &approval, app.user);
		else
			oauth_return(request, &approval, "error", "access_denied");
	}
	oauth_app_clear(&app);
	for (int i = 0; i < 7; i++)
		free(values[i]);
}

/* Answer with a new access token, and a refresh token when the grant has one. */
static void oauth_grant(struct request *request, int64_t user, const char *client, const char *family, bool refresh)
{
	struct emulator *emulator = request->emulator;
	int64_t life = emulator_setting(emulator, SETTING_ACCESS_LIFE);
	char access[OAUTH_TOKEN], next[OAUTH_TOKEN];
	json_t *body;

	if (!emulator_random_hex(access, 16) || !emulator_random_hex(next, 16)) {
		answer_error(request, 500, NULL, "no random numbers");
		return;
	}
	oauth_add_token(emulator, access, "access", user, client, life, family, NULL, NULL);
	body = json_pack("{s:s, s:I, s:[], s:s}", "access_token", access, "expires_in", (json_int_t)life,
			 "restricted_to", "token_type", "bearer");
	if (refresh) {
		oauth_add_token(emulator, next, "refresh", user, client,
				emulator_setting(emulator, SETTING_REFRESH_LIFE), family, NULL, NULL);
		json_object_set_new(body, "refresh_token", json_string(next));
	}
	answer_json(request, 200, body);
}

/* What was asked of the token call: the form's values. */
struct grant {
	char *type, *client, *secret, *code, *redirect, *verifier, *refresh, *subject_type, *subject, *assertion;
};

static bool oauth_verifier_fits(const char *verifier, const char *challenge)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[64];
	size_t length;

	if (!*challenge)
		return true;
	if (!verifier || EVP_Digest(verifier, strlen(verifier), digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	EVP_EncodeBlock((unsigned char *)text, digest, 32);
	length = strcspn(text, "=");
	text[length] = '\0';
	for (char *at = text; *at; at++)
		*at = (char)(*at == '+' ? '-' : *at == '/' ? '_' : *at);
	return strcmp(text, challenge) == 0;
}

static void oauth_by_code(struct request *request, const struct grant *grant)
{
	struct store *store = request->emulator->store;
	struct token row;

	if (!grant->code || !oauth_find(store, grant->code, "code", &row) || row.used ||
	    row.expires <= clock_now(&request->emulator->clock) || strcmp(row.client, grant->client) != 0) {
		answer_oauth_error(request, 400, "invalid_grant",
				   "Auth code doesn't exist or is invalid for the client");
		return;
	}
	store_run(store, "UPDATE token SET used = 1 WHERE token = ?", "s", grant->code);
	if (grant->redirect && strcmp(grant->redirect, row.redirect) != 0)
		answer_oauth_error(request, 400, "redirect_uri_mismatch",
				   "The redirect_uri is another one than before");
	else if (!oauth_verifier_fits(grant->verifier, row.challenge))
		answer_oauth_error(request, 400, "invalid_grant", "The code_verifier does not fit");
	else
		oauth_grant(request, row.user, row.client, row.family, true);
}

static void oauth_by_refresh(struct request *request, const struct grant *grant)
{
	struct store *store = request->emulator->store;
	struct token row;

	if (!grant->refresh || !oauth_find(store, grant->refresh, "refresh", &row) ||
	    strcmp(row.client, grant->client) != 0 || row.used || row.expires <= clock_now(&request->emulator->clock)) {
		/* A second use: two parties hold the token, and neither is trusted any more. */
		if (grant->refresh && oauth_find(store, grant->refresh, "refresh", &row) && row.used)
			store_run(store, "DELETE FROM token WHERE family = ? AND used = 0", "s", row.family);
		answer_oauth_error(request, 400, "invalid_grant", "Refresh token has expired");
		return;
	}
	store_run(store, "UPDATE token SET used = 1 WHERE token = ?", "s", grant->refresh);
	oauth_grant(request, row.user, row.client, row.family, true);
}

/* The user whom a subject names; 0 when there is none. */
static int64_t oauth_subject(struct request *request, const struct app *app, const char *type, const char *subject)
{
	struct user user;
	uint64_t id;

	if (type && subject && strcmp(type, "enterprise") == 0)
		return strcmp(subject, app->enterprise) == 0 ? app->user : 0;
	if (!type || !subject || strcmp(type, "user") != 0 || text_parse_number(subject, INT64_MAX, &id) ||
	    !oauth_user(request->emulator->store, (int64_t)id, &user))
		return 0;
	return user.id;
}

static void oauth_by_subject(struct request *request, const struct app *app, const char *type, const char *subject)
{
	int64_t user = oauth_subject(request, app, type, subject);
	char family[OAUTH_TOKEN];

	if (!user || !emulator_random_hex(family, 16))
		answer_oauth_error(request, 400, "invalid_grant", "The subject is missing or unknown");
	else
		oauth_grant(request, user, app->client, family, false);
}

static void oauth_by_assertion(struct request *request, const struct grant *grant, const struct app *app)
{
	struct emulator *emulator = request->emulator;
	const char *problem, *jti;
	json_t *claims = NULL;

	problem = grant->assertion ? jwt_check(grant->assertion, app->keys, clock_now(&emulator->clock), &claims)
				   : "The assertion is missing";
	if (!problem && strcmp(json_string_value(json_object_get(claims, "iss")), app->client) != 0)
		problem = "iss is not the client";
	jti = problem ? NULL : json_string_value(json_object_get(claims, "jti"));
	if (jti && store_number(emulator->store, 0, "SELECT 1 FROM token WHERE token = 'jti:' || ?", "s", jti))
		problem = "Please use a unique 'jti' value";
	if (problem) {
		answer_oauth_error(request, 400, "invalid_grant", problem);
	} else {
		store_run(emulator->store, "INSERT INTO token (token, kind, expires) VALUES ('jti:' || ?, 'jti', ?)",
			  "si", jti, clock_now(&emulator->clock));
		oauth_by_subject(request, app, json_string_value(json_object_get(claims, "box_sub_type")),
				 json_string_value(json_object_get(claims, "sub")));
	}
	json_decref(claims);
}

static void oauth_dispatch(struct request *request, const struct grant *grant)
{
	struct app app = {0};

	if (!grant->type) {
		answer_oauth_error(request, 400, "invalid_request",
				   "Invalid grant_type parameter or parameter missing");
	} else if (!oauth_app(request->emulator->store, grant->client, &app) ||
		   (*app.secret && (!grant->secret || strcmp(grant->secret, app.secret) != 0))) {
		answer_oauth_error(request, 400, "invalid_client", "The client credentials are invalid");
	} else if (strcmp(grant->type, "authorization_code") == 0) {
		oauth_by_code(request, grant);
	} else if (strcmp(grant->type, "refresh_token") == 0) {
		oauth_by_refresh(request, grant);
	} else if (strcmp(grant->type, "client_credentials") == 0) {
		oauth_by_subject(request, &app, grant->subject_type, grant->subject);
	} else if (strcmp(grant->type, "urn:ietf:params:oauth:grant-type:jwt-bearer") == 0) {
		oauth_by_assertion(request, grant, &app);
	} else {
		answer_oauth_error(request, 400, "unsupported_grant_type", "Invalid grant_type parameter");
	}
	oauth_app_clear(&app);
}

/* Credentials may come in the form or as basic authorization. */
static void oauth_basic(struct request *request, struct grant *grant)
{
	const char *header = request_header(request, "Authorization");
	char text[1024], *colon;
	int size;

	if (grant->client || !header || strncasecmp(header, "Basic ", 6) != 0 || strlen(header + 6) > 1000)
		return;
	size = EVP_DecodeBlock((unsigned char *)text, (const unsigned char *)header + 6, (int)strlen(header + 6));
	if (size < 0)
		return;
	text[size] = '\0';
	colon = strchr(text, ':');
	if (!colon)
		return;
	*colon = '\0';
	oauth_decode(text);
	oauth_decode(colon + 1);
	grant->client = text_duplicate(text);
	free(grant->secret);
	grant->secret = text_duplicate(colon + 1);
}

void oauth_token(struct request *request)
{
	const char *form = request->body ? request->body : "";
	struct store *store = request->emulator->store;
	struct grant grant = {
		oauth_form_value(form, "grant_type"),	  oauth_form_value(form, "client_id"),
		oauth_form_value(form, "client_secret"),  oauth_form_value(form, "code"),
		oauth_form_value(form, "redirect_uri"),	  oauth_form_value(form, "code_verifier"),
		oauth_form_value(form, "refresh_token"),  oauth_form_value(form, "box_subject_type"),
		oauth_form_value(form, "box_subject_id"), oauth_form_value(form, "assertion"),
	};

	oauth_basic(request, &grant);
	store_lock(store);
	store_begin(store);
	oauth_dispatch(request, &grant);
	/* Refusals are kept too: they may have revoked something. */
	if (store_commit(store))
		answer_oauth_error(request, 500, "server_error", "the database failed");
	store_unlock(store);
	free(grant.type);
	free(grant.client);
	free(grant.secret);
	free(grant.code);
	free(grant.redirect);
	free(grant.verifier);
	free(grant.refresh);
	free(grant.subject_type);
	free(grant.subject);
	free(grant.assertion);
}

void oauth_revoke(struct request *request)
{
	const char *form = request->body ? request->body : "";
	char *client = oauth_form_value(form, "client_id"), *secret = oauth_form_value(form, "client_secret");
	char *token = oauth_form_value(form, "token");
	struct store *store = request->emulator->store;
	struct app app = {0};
	struct token row;

	if (!oauth_app(store, client, &app) || (*app.secret && (!secret || strcmp(secret, app.secret) != 0))) {
		answer_oauth_error(request, 400, "invalid_client", "The client credentials are invalid");
	} else if (!token) {
		answer_oauth_error(request, 400, "invalid_request", "The token is missing");
	} else {
		if (oauth_find(store, token, "access", &row) || oauth_find(store, token, "refresh", &row))
			store_run(store, "DELETE FROM token WHERE family = ?", "s", row.family);
		store_run(store, "DELETE FROM token WHERE token = ?", "s", token);
		answer_empty(request, 200);
	}
	oauth_app_clear(&app);
	free(client);
	free(secret);
	free(token);
}
