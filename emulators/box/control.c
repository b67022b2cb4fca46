/* SPDX-License-Identifier: MIT */
#include "emulators/box/control.h"

#include "emulators/box/account.h"
#include "emulators/box/answer.h"
#include "emulators/box/events.h"
#include "emulators/box/oauth.h"
#include "emulators/box/seed.h"
#include "support/text.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static int64_t control_number(const json_t *body, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(body, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static const char *control_text(const json_t *body, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(body, name));

	return text ? text : otherwise;
}

static void control_settings(struct request *request)
{
	json_t *settings = json_object();

	for (int i = 0; i < SETTING_COUNT; i++)
		json_object_set_new(settings, setting_names[i].name,
				    json_integer(emulator_setting(request->emulator, i)));
	answer_json(request, 200, settings);
}

static void control_set(struct request *request)
{
	json_t *body = request_json(request), *value;
	const char *name;
	int i;

	if (!body)
		return;
	json_object_foreach(body, name, value)
	{
		for (i = 0; i < SETTING_COUNT && strcmp(setting_names[i].name, name) != 0; i++)
			;
		if (i == SETTING_COUNT || !(json_is_integer(value) || json_is_boolean(value))) {
			answer_invalid(request, 400, NULL, name, "invalid_parameter", "no such setting, or no number");
			json_decref(body);
			return;
		}
		atomic_store(&request->emulator->settings[i],
			     json_is_integer(value) ? json_integer_value(value) : json_is_true(value));
	}
	json_decref(body);
	control_settings(request);
}

static void control_faults_list(struct request *request)
{
	answer_json(request, 200, json_pack("{s:o}", "faults", faults_list(request->emulator->faults)));
}

static void control_faults_add(struct request *request)
{
	json_t *body = request_json(request);
	const char *problem;
	int64_t id;

	if (!body)
		return;
	if (faults_add(request->emulator->faults, body, &id, &problem))
		answer_error(request, 400, NULL, problem);
	else
		answer_json(request, 201, json_pack("{s:I}", "id", (json_int_t)id));
	json_decref(body);
}

static void control_faults_reset(struct request *request)
{
	faults_reset(request->emulator->faults);
	answer_empty(request, 204);
}

static void control_faults_remove(struct request *request)
{
	uint64_t id;

	if (text_parse_number(request->arguments[0], INT64_MAX, &id) ||
	    !faults_remove(request->emulator->faults, (int64_t)id))
		answer_error(request, 404, NULL, "There is no such fault");
	else
		answer_empty(request, 204);
}

static void control_counters(struct request *request)
{
	answer_json(request, 200, calls_report(request->emulator->calls));
}

static void control_counters_reset(struct request *request)
{
	calls_reset(request->emulator->calls);
	answer_empty(request, 204);
}

static void control_recording(struct request *request)
{
	answer_json(request, 200, json_pack("{s:o}", "calls", calls_recorded(request->emulator->calls)));
}

static void control_record(struct request *request)
{
	json_t *body = request_json(request);

	if (!body)
		return;
	calls_record(request->emulator->calls, json_is_true(json_object_get(body, "on")));
	json_decref(body);
	answer_empty(request, 204);
}

static void control_clock(struct request *request)
{
	json_t *body = request_json(request);

	if (!body)
		return;
	clock_advance(&request->emulator->clock, control_number(body, "advance", 0));
	json_decref(body);
	answer_json(request, 200, json_pack("{s:I}", "now", (json_int_t)clock_now(&request->emulator->clock)));
}

static void control_stop(struct request *request)
{
	sem_post(&request->emulator->stop);
	answer_empty(request, 202);
}

/* The calls from here on run in a transaction. */

static void control_add_token(struct request *request)
{
	struct emulator *emulator = request->emulator;
	json_t *body = request_json(request);
	const char *kind, *token, *client;
	char made[OAUTH_TOKEN];
	struct user user;
	int64_t id;

	if (!body)
		return;
	kind = control_text(body, "kind", "developer");
	client = control_text(body, "client_id", ACCOUNT_DEMO_CLIENT);
	id = control_number(body, "user", ACCOUNT_DEMO_USER);
	token = control_text(body, "token", emulator_random_hex(made, 16) ? made : NULL);
	if (!token || !oauth_user(emulator->store, id, &user) ||
	    (strcmp(kind, "developer") != 0 && strcmp(kind, "access") != 0 && strcmp(kind, "refresh") != 0)) {
		answer_error(request, 400, NULL, "user or kind is not valid");
	} else {
		oauth_add_token(emulator, token, kind, id, client, control_number(body, "seconds", 0),
				control_text(body, "family", token), NULL, NULL);
		answer_json(request, 201, json_pack("{s:s, s:s}", "token", token, "kind", kind));
	}
	json_decref(body);
}

static void control_revoke_all(struct request *request)
{
	store_run(request->emulator->store, "DELETE FROM token", "");
	answer_empty(request, 204);
}

static void control_add_user(struct request *request)
{
	json_t *body = request_json(request);
	const char *login;
	int64_t id;

	if (!body)
		return;
	login = control_text(body, "login", "another@example.com");
	if (store_number(request->emulator->store, 0, "SELECT 1 FROM user WHERE login = ?", "s", login)) {
		answer_error(request, 409, NULL, "There is a user of this login");
	} else {
		id = account_add_user(request->emulator, 0, login, control_text(body, "name", login),
				      control_number(body, "quota", 0));
		answer_json(request, 201, json_pack("{s:I}", "id", (json_int_t)id));
	}
	json_decref(body);
}

static void control_change_user(struct request *request)
{
	struct store *store = request->emulator->store;
	json_t *body = request_json(request);
	struct user user;
	uint64_t id;

	if (!body)
		return;
	if (text_parse_number(request->arguments[0], INT64_MAX, &id) || !oauth_user(store, (int64_t)id, &user)) {
		answer_error(request, 404, NULL, "There is no such user");
	} else {
		store_run(store, "UPDATE user SET quota = ?, upload_limit = ? WHERE id = ?", "iii",
			  control_number(body, "quota", user.quota),
			  control_number(body, "upload_limit", user.upload_limit), user.id);
		answer_empty(request, 204);
	}
	json_decref(body);
}

static void control_add_app(struct request *request)
{
	json_t *body = request_json(request);
	char *redirects, *keys;
	const char *client;

	if (!body)
		return;
	client = control_text(body, "client_id", NULL);
	redirects = json_dumps(json_object_get(body, "redirect_uris"), JSON_COMPACT);
	keys = json_dumps(json_object_get(body, "public_keys"), JSON_COMPACT);
	if (!client) {
		answer_error(request, 400, NULL, "client_id is missing");
	} else {
		account_add_app(request->emulator, client, control_text(body, "client_secret", ""),
				redirects ? redirects : "[]", keys ? keys : "{}",
				control_number(body, "user", ACCOUNT_DEMO_USER),
				control_text(body, "enterprise", ACCOUNT_DEMO_ENTERPRISE));
		answer_empty(request, 201);
	}
	free(redirects);
	free(keys);
	json_decref(body);
}

static void control_seed(struct request *request)
{
	json_t *body = request_json(request);
	struct user user;
	int error = -EINVAL;

	if (!body)
		return;
	if (oauth_user(request->emulator->store, control_number(body, "user", ACCOUNT_DEMO_USER), &user))
		error = seed_account(request->emulator, &user, control_text(body, "seed", ""));
	if (error)
		answer_error(request, 400, NULL, error == -EINVAL ? "seed or user is not valid" : strerror(-error));
	else
		answer_empty(request, 204);
	json_decref(body);
}

static const struct control_call {
	const char *method, *path; /* a path that ends with a slash has one argument */
	request_handler handler;
	enum route_lock lock;
} calls[] = {
	{"GET", "settings", control_settings, LOCK_NONE},
	{"PUT", "settings", control_set, LOCK_NONE},
	{"GET", "faults", control_faults_list, LOCK_NONE},
	{"POST", "faults", control_faults_add, LOCK_NONE},
	{"DELETE", "faults", control_faults_reset, LOCK_NONE},
	{"DELETE", "faults/", control_faults_remove, LOCK_NONE},
	{"GET", "counters", control_counters, LOCK_NONE},
	{"DELETE", "counters", control_counters_reset, LOCK_NONE},
	{"GET", "recording", control_recording, LOCK_NONE},
	{"POST", "recording", control_record, LOCK_NONE},
	{"POST", "clock", control_clock, LOCK_NONE},
	{"POST", "stop", control_stop, LOCK_NONE},
	{"POST", "tokens", control_add_token, LOCK_WRITE},
	{"DELETE", "tokens", control_revoke_all, LOCK_WRITE},
	{"POST", "users", control_add_user, LOCK_WRITE},
	{"PUT", "users/", control_change_user, LOCK_WRITE},
	{"POST", "apps", control_add_app, LOCK_WRITE},
	{"POST", "seed", control_seed, LOCK_WRITE},
	{"POST", "changes", control_change, LOCK_WRITE},
	{"GET", "tree", control_tree, LOCK_READ},
};

static void control_run(struct request *request, const struct control_call *call)
{
	struct store *store = request->emulator->store;
	int error = 0;

	if (call->lock == LOCK_NONE) {
		call->handler(request);
		return;
	}
	store_lock(store);
	if (call->lock == LOCK_WRITE)
		store_begin(store);
	call->handler(request);
	if (call->lock == LOCK_READ)
		error = store_end(store);
	else if (request->answer.status >= 400)
		store_rollback(store);
	else
		error = store_commit(store);
	store_unlock(store);
	if (error)
		answer_error(request, 500, NULL, "the database failed");
	else if (call->lock == LOCK_WRITE)
		events_wake(request->emulator->events);
}

void control_handle(struct request *request)
{
	static const char prefix[] = "/emulator/";
	const char *secret = request->emulator->control_secret, *path = request->path;
	size_t length = strlen(secret);

	if (!text_starts_with(path, prefix) || strlen(path) < sizeof(prefix) + length ||
	    CRYPTO_memcmp(path + sizeof(prefix) - 1, secret, length) != 0 || path[sizeof(prefix) - 1 + length] != '/') {
		answer_error(request, 403, NULL, "The secret in the URL is not that of endpoints.json");
		return;
	}
	path += sizeof(prefix) + length;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		length = strlen(calls[i].path);
		if (strcmp(calls[i].method, request->method) != 0)
			continue;
		if (calls[i].path[length - 1] == '/' && text_starts_with(path, calls[i].path))
			text_copy(request->arguments[0], REQUEST_TEXT, path + length);
		else if (strcmp(calls[i].path, path) != 0)
			continue;
		control_run(request, &calls[i]);
		return;
	}
	answer_error(request, 404, NULL, "There is no such control call");
}
