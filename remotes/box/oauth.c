/* SPDX-License-Identifier: MIT */
#include "remotes/box/oauth.h"

#include "remotes/box/box.h"
#include "remotes/box/json.h"
#include "support/http/retry.h"
#include "support/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX (64u << 10)
#define STALL	   30000000000ull
#define TRIES	   4u
#define PAUSE_MOST 8000000000ull
#define JWT_GRANT  "urn:ietf:params:oauth:grant-type:jwt-bearer"

/* name=value&..., malloc'd. */
static char *make_form(const struct box_form_field *fields, size_t count)
{
	char *form = calloc(1, 1);
	size_t used = 0;

	for (size_t i = 0; form && i < count; i++) {
		char *value, *longer;
		size_t more;

		if (!fields[i].value)
			continue;
		value = http_escape(fields[i].value);
		more = value ? strlen(fields[i].name) + strlen(value) + 2 : 0;
		longer = value ? realloc(form, used + more + 1) : NULL;
		if (!longer) {
			free(value);
			free(form);
			return NULL;
		}
		form = longer;
		used += (size_t)snprintf(form + used, more + 1, "%s%s=%s", used ? "&" : "", fields[i].name, value);
		explicit_bzero(value, strlen(value));
		free(value);
	}
	return form;
}

static int read_grant(const struct http_response *response, struct box_grant *out)
{
	json_t *json = box_json_parse(response->body ? response->body : "", response->body_size);
	uint64_t seconds = 0;
	int result = 0;

	if (!box_json_copy(json, "access_token", out->access, sizeof(out->access)) || !out->access[0])
		result = -EPROTO;
	if (json_object_get(json, "refresh_token") &&
	    !box_json_copy(json, "refresh_token", out->refresh, sizeof(out->refresh)) &&
	    !json_is_null(json_object_get(json, "refresh_token")))
		result = -EPROTO;
	if (!box_json_number(json, "expires_in", &seconds))
		seconds = 3600;
	out->lifetime = (seconds < 86400 ? seconds : 86400) * 1000000000u;
	json_decref(json);
	return result;
}

/* What a status that is no success means; whether it is worth another try is *again. */
static int refused(const struct http_response *response, struct dw_remote_call *call, bool *again)
{
	json_t *json = box_json_parse(response->body ? response->body : "", response->body_size);
	const char *code = box_json_text(json, "error");
	const char *why = box_json_text(json, "error_description");
	char printable[160];
	int result;

	text_printable(printable, sizeof(printable), why ? why : code ? code : "no reason given");
	*again = false;
	if (response->status == 429 || response->status >= 500) {
		*again = true;
		result = response->status == 429 || response->status == 503 ? DW_REMOTE_LATER : -EIO;
		text_format(call->message, sizeof(call->message), "Box cannot give out tokens now (status %u)",
			    response->status);
	} else if (code && (response->status == 400 || response->status == 401 || response->status == 403)) {
		result = DW_REMOTE_LOGIN;
		text_format(call->message, sizeof(call->message), "Box refuses the login: %s", printable);
	} else {
		/* Whoever says so without a reason of OAuth's is not who gives out tokens: the login stays good. */
		*again = true;
		result = -EIO;
		text_format(call->message, sizeof(call->message),
			    "the answer to a request for tokens makes no sense (status %u)", response->status);
	}
	json_decref(json);
	return result;
}

static int no_answer(int error, const struct http_response *response, struct dw_remote_call *call, bool *again)
{
	*again = false;
	box_say_unreachable(call, error, response);
	if (error == -ECANCELED || error == -ENOMEM)
		return error;
	if (error == -EINVAL || error == -EFBIG)
		return -EPROTO;
	if (response->outcome == HTTP_NOT_SENT) {
		*again = error == -ECONNREFUSED;
		return error == -ETIMEDOUT ? error : DW_REMOTE_OFFLINE;
	}
	*again = error != -ETIMEDOUT;
	return DW_REMOTE_UNKNOWN;
}

int box_oauth_post(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
		   const struct box_form_field *fields, size_t count, struct box_grant *out, int64_t *server_time)
{
	static const struct http_header headers[] = {{"Content-Type", "application/x-www-form-urlencoded"},
						     {"Accept", "application/json"}};
	struct http_backoff backoff = {.first = settings->retry_pause,
				       .most = PAUSE_MOST,
				       .deadline = call->deadline,
				       .cancelled = call->cancelled};
	char *form = make_form(fields, count);
	bool again = form != NULL;
	int result = -ENOMEM;

	*server_time = 0;
	while (again) {
		struct http_response response;
		struct http_request request = {.method = "POST",
					       .url = settings->token_url,
					       .headers = headers,
					       .header_count = 2,
					       .body = form,
					       .body_size = strlen(form),
					       .body_max = ANSWER_MAX,
					       .deadline = call->deadline,
					       .cancelled = call->cancelled,
					       .stall = STALL};
		uint64_t asked = 0;
		int error = http_perform(http, &request, &response);

		memset(out, 0, sizeof(*out));
		if (response.date)
			*server_time = response.date;
		again = false;
		if (error) {
			result = no_answer(error, &response, call, &again);
		} else if (response.status == 200) {
			result = read_grant(&response, out);
			if (result)
				text_copy(call->message, sizeof(call->message), "Box's answer holds no token");
		} else {
			result = refused(&response, call, &again);
			http_parse_retry_after(http_response_header(&response, "retry-after"), response.date, &asked);
			if (result == DW_REMOTE_LATER)
				call->retry_after = asked;
		}
		if (response.body)
			explicit_bzero(response.body, response.body_size);
		http_response_free(&response);
		if (again && (backoff.attempts + 1 >= TRIES || http_backoff_wait(&backoff, asked)))
			again = false;
	}
	if (form) {
		explicit_bzero(form, strlen(form));
		free(form);
	}
	return result;
}

int box_oauth_refresh(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
		      const char *refresh, struct box_grant *out)
{
	const struct box_form_field fields[] = {{"grant_type", "refresh_token"},
						{"refresh_token", refresh},
						{"client_id", settings->client_id},
						{"client_secret", settings->client_secret}};
	int64_t ignored;

	return box_oauth_post(http, settings, call, fields, 4, out, &ignored);
}

int box_oauth_code(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
		   const char *code, const char *verifier, const char *redirect, struct box_grant *out)
{
	const struct box_form_field fields[] = {
		{"grant_type", "authorization_code"}, {"code", code},
		{"client_id", settings->client_id},   {"client_secret", settings->client_secret},
		{"redirect_uri", redirect},	      {"code_verifier", verifier}};
	int64_t ignored;

	return box_oauth_post(http, settings, call, fields, 6, out, &ignored);
}

int box_oauth_credentials(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
			  struct box_grant *out)
{
	const struct box_form_field fields[] = {{"grant_type", "client_credentials"},
						{"client_id", settings->client_id},
						{"client_secret", settings->client_secret},
						{"box_subject_type", settings->subject_type},
						{"box_subject_id", settings->subject_id}};
	int64_t ignored;

	return box_oauth_post(http, settings, call, fields, 5, out, &ignored);
}

int box_oauth_jwt(struct http_client *http, const struct box_settings *settings, struct dw_remote_call *call,
		  struct box_grant *out)
{
	int64_t now = (int64_t)time(NULL), server = 0;
	int result = 0;

	/* An assertion lives for less than a minute: with a wrong clock here the server's own is taken. */
	for (unsigned tries = 0; tries < 2; tries++) {
		char *assertion = NULL;
		struct box_form_field fields[] = {{"grant_type", JWT_GRANT},
						  {"client_id", settings->client_id},
						  {"client_secret", settings->client_secret},
						  {"assertion", NULL}};

		result = box_jwt_assertion(settings, now, &assertion, call->message, sizeof(call->message));
		if (result)
			return result == -EINVAL ? DW_REMOTE_LOGIN : result;
		fields[3].value = assertion;
		result = box_oauth_post(http, settings, call, fields, 4, out, &server);
		explicit_bzero(assertion, strlen(assertion));
		free(assertion);
		if (result != DW_REMOTE_LOGIN || !server || (server - now < 20 && now - server < 20))
			return result;
		now = server;
	}
	return result;
}

char *box_oauth_page(const struct box_settings *settings, const char *redirect, const char *state,
		     const char *challenge)
{
	char *client = http_escape(settings->client_id), *back = http_escape(redirect);
	char *page = NULL;

	if (!client || !back ||
	    asprintf(&page,
		     "%s?response_type=code&client_id=%s&redirect_uri=%s&state=%s&code_challenge=%s"
		     "&code_challenge_method=S256",
		     settings->auth_url, client, back, state, challenge) < 0)
		page = NULL;
	free(client);
	free(back);
	return page;
}
