/* SPDX-License-Identifier: MIT */
#include "remotes/box/login.h"

#include "remotes/box/box.h"
#include "remotes/box/digest.h"
#include "remotes/box/json.h"
#include "remotes/box/loopback.h"
#include "support/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define PATIENCE      600000000000ull /* for a person to say yes */
#define CALL_PATIENCE 120000000000ull /* for Box to answer */
#define REDIRECT      "http://127.0.0.1"

/* A login under way. */
struct entering {
	const struct dw_remote_login *login;
	struct box_settings settings;
	struct box_store store;
	struct http_client *http;
	struct box_grant grant;
	char verifier[48], challenge[48], state[48];
	char redirect[64];
	char *user_id, *user_login;
	struct dw_remote_call call;
};

static uint64_t soon(uint64_t patience)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + patience;
}

static int ask(struct entering *entering, const char *key, const char *question, bool secret, const char **out)
{
	char *answer = NULL;
	int result;

	if (*out)
		return 0;
	result = entering->login->ask ? entering->login->ask(entering->login, question, secret, &answer) : -ECANCELED;
	if (result)
		return result;
	answer[strcspn(answer, "\r\n")] = 0;
	if (!*answer || json_object_set_new(entering->settings.values, key, json_string(answer)))
		result = -EINVAL;
	explicit_bzero(answer, strlen(answer));
	free(answer);
	*out = json_string_value(json_object_get(entering->settings.values, key));
	return result;
}

static int make_secrets(struct entering *entering)
{
	uint8_t random[64], hash[EVP_MAX_MD_SIZE];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	box_base64url(random, 32, entering->verifier);
	box_base64url(random + 32, 32, entering->state);
	if (EVP_Digest(entering->verifier, strlen(entering->verifier), hash, NULL, EVP_sha256(), NULL) != 1)
		return -EIO;
	box_base64url(hash, 32, entering->challenge);
	return 0;
}

static int finish_person(struct entering *entering, char *code)
{
	int result;

	entering->call.deadline = soon(CALL_PATIENCE);
	result = box_oauth_code(entering->http, &entering->settings, &entering->call, code, entering->verifier,
				entering->redirect, &entering->grant);
	explicit_bzero(code, strlen(code));
	free(code);
	if (!result && !entering->grant.refresh[0]) {
		box_say(&entering->call, "Box gave no refresh token; this app cannot keep a login");
		result = -EACCES;
	}
	return result;
}

static int enter_browser(struct entering *entering)
{
	struct box_loopback loopback;
	char *page, *code = NULL;
	int result = box_loopback_open(&loopback, entering->settings.redirect_port);

	if (result) {
		box_say(&entering->call, "port %u of 127.0.0.1 cannot be used: %s; choose another redirect-port",
			entering->settings.redirect_port, strerror(-result));
		return result;
	}
	text_format(entering->redirect, sizeof(entering->redirect), REDIRECT ":%u/callback", loopback.port);
	page = box_oauth_page(&entering->settings, entering->redirect, entering->state, entering->challenge);
	result = page ? entering->login->browse(entering->login, page) : -ENOMEM;
	free(page);
	if (!result)
		result = box_loopback_wait(&loopback, entering->state, entering->login->cancelled, soon(PATIENCE),
					   &code, entering->call.message, sizeof(entering->call.message));
	if (result == -ETIMEDOUT)
		box_say(&entering->call, "nobody answered in the browser; try again, or with -o auth=paste");
	box_loopback_close(&loopback);
	return result ? result : finish_person(entering, code);
}

/* What was pasted: an address with a code in it, or the code. */
static int read_pasted(struct entering *entering, const char *pasted, char **code)
{
	size_t length = strcspn(pasted, " \t\r\n");

	if (strchr(pasted, '=') || strchr(pasted, '?'))
		return box_loopback_parse(pasted, entering->state, code, entering->call.message,
					  sizeof(entering->call.message));
	*code = length ? http_unescape(pasted, length) : NULL;
	return *code ? 0 : -EINVAL;
}

static int enter_paste(struct entering *entering)
{
	char *page, *pasted = NULL, *code = NULL;
	int result;

	if (entering->settings.redirect_port)
		text_format(entering->redirect, sizeof(entering->redirect), REDIRECT ":%u/callback",
			    entering->settings.redirect_port);
	else
		text_copy(entering->redirect, sizeof(entering->redirect), REDIRECT "/callback");
	page = box_oauth_page(&entering->settings, entering->redirect, entering->state, entering->challenge);
	if (!page)
		return -ENOMEM;
	if (entering->login->say)
		entering->login->say(entering->login,
				     "Open this page anywhere and say yes. The browser then ends at an address that "
				     "does not load: copy it from the address bar.");
	result = entering->login->browse(entering->login, page);
	free(page);
	if (!result)
		result = entering->login->ask(entering->login, "The address, or the code in it", false, &pasted);
	if (result)
		return result;
	result = read_pasted(entering, pasted + strspn(pasted, " \t"), &code);
	free(pasted);
	if (result == -EINVAL && !entering->call.message[0])
		box_say(&entering->call, "there is no code in what was pasted");
	return result ? result : finish_person(entering, code);
}

static int enter_app(struct entering *entering)
{
	struct box_settings *settings = &entering->settings;
	int result = 0;

	if (!settings->subject_id) {
		box_say(&entering->call, "say whose account the app is to use: -o enterprise=ID or -o user=ID");
		return -EINVAL;
	}
	if (settings->auth == BOX_AUTH_CCG) {
		result = ask(entering, "client-id", "Client ID of the Box app", false, &settings->client_id);
		if (!result)
			result = ask(entering, "client-secret", "Client secret of the Box app", true,
				     &settings->client_secret);
	}
	entering->call.deadline = soon(CALL_PATIENCE);
	if (result)
		return result;
	return settings->auth == BOX_AUTH_CCG
		       ? box_oauth_credentials(entering->http, settings, &entering->call, &entering->grant)
		       : box_oauth_jwt(entering->http, settings, &entering->call, &entering->grant);
}

static int enter(struct entering *entering)
{
	struct box_settings *settings = &entering->settings;
	int result = 0;

	switch (settings->auth) {
	case BOX_AUTH_OAUTH:
		result = ask(entering, "client-id", "Client ID of your Box app (docs/box.md says how to make one)",
			     false, &settings->client_id);
		if (!result)
			result = ask(entering, "client-secret", "Client secret of your Box app", true,
				     &settings->client_secret);
		if (!result)
			result = make_secrets(entering);
		if (!result)
			result = settings->paste ? enter_paste(entering) : enter_browser(entering);
		break;
	case BOX_AUTH_CCG:
	case BOX_AUTH_JWT:
		result = enter_app(entering);
		break;
	case BOX_AUTH_TOKEN:
		result = ask(entering, "token", "Developer token", true, &settings->token);
		if (!result && !text_copy(entering->grant.access, sizeof(entering->grant.access), settings->token))
			result = -EINVAL;
		break;
	}
	return result;
}

/* Ask Box whose token that is. */
static int ask_who(struct entering *entering)
{
	char bearer[BOX_TOKEN_MAX + 16],
		*url = box_path("%s/users/me?fields=type,id,login", entering->settings.api_url);
	struct http_header header = {"Authorization", bearer};
	struct http_response response;
	json_t *json = NULL;
	char number[BOX_NUMBER_MAX];
	int result;

	snprintf(bearer, sizeof(bearer), "Bearer %s", entering->grant.access);
	if (!url)
		return -ENOMEM;
	result = http_perform(entering->http,
			      &(struct http_request){.method = "GET",
						     .url = url,
						     .headers = &header,
						     .header_count = 1,
						     .repeatable = true,
						     .deadline = soon(CALL_PATIENCE),
						     .cancelled = entering->login->cancelled},
			      &response);
	explicit_bzero(bearer, sizeof(bearer));
	free(url);
	if (result)
		box_say_unreachable(&entering->call, result, &response);
	else if (response.status != 200)
		box_say(&entering->call, "Box does not accept this login (status %u)", response.status);
	else
		json = box_json_parse(response.body, response.body_size);
	if (!result && response.status != 200)
		result = response.status < 500 ? -EACCES : -EIO;
	if (!result && (!box_json_copy(json, "id", number, sizeof(number)) || !box_number_valid(number))) {
		box_say(&entering->call, "Box does not say whose login this is");
		result = -EPROTO;
	}
	if (!result) {
		const char *name = box_json_text(json, "login");

		entering->user_id = text_duplicate(number);
		entering->user_login = text_duplicate(name ? name : number);
		result = entering->user_id && entering->user_login ? 0 : -ENOMEM;
	}
	json_decref(json);
	http_response_free(&response);
	return result;
}

/* Settings that are for one drive or one login only. */
static void drop_passing(json_t *values)
{
	static const char *const passing[] = {"redirect-port", "rate-calls",  "rate-uploads",
					      "retry-pause",   "parts-above", "token-url"};

	for (size_t i = 0; i < sizeof(passing) / sizeof(*passing); i++)
		json_object_del(values, passing[i]);
}

/* Whether the login is to be sealed with a key in the Secret Service, as keyring= says: auto, yes or no. */
static int choose_keyring(struct entering *entering)
{
	const char *wish = json_string_value(json_object_get(entering->settings.values, "keyring"));
	const char *display = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
	bool prompt = (display && *display) || (wayland && *wayland);
	int result;

	if (wish && strcmp(wish, "no") == 0)
		return 0;
	result = box_store_seal(&entering->store, prompt);
	if (!result)
		return 0;
	if (wish && strcmp(wish, "yes") == 0) {
		box_say(&entering->call, "the login cannot be sealed by the Secret Service, which %s",
			box_keyring_reason(result));
		return -EACCES;
	}
	if (result != -ENODEV && entering->login->say) {
		char line[DW_REMOTE_MESSAGE_MAX];

		text_format(line, sizeof(line),
			    "The Secret Service %s: the login is kept in a file that only you can read.",
			    box_keyring_reason(result));
		entering->login->say(entering->login, line);
	}
	return 0;
}

static int store(struct entering *entering)
{
	json_t *login = entering->settings.values;
	bool person = entering->settings.auth == BOX_AUTH_OAUTH;
	struct box_store_write write;
	int fd = -1, result = 0;

	drop_passing(login);
	if (person && (json_object_set_new(login, "access-token", json_string(entering->grant.access)) ||
		       json_object_set_new(login, "refresh-token", json_string(entering->grant.refresh)) ||
		       json_object_set_new(login, "expires",
					   json_integer((json_int_t)time(NULL) +
							(json_int_t)(entering->grant.lifetime / 1000000000u)))))
		result = -ENOMEM;
	if (json_object_set_new(login, "user-id", json_string(entering->user_id)) ||
	    json_object_set_new(login, "user-login", json_string(entering->user_login)))
		result = -ENOMEM;
	while (!result && (result = box_store_try_lock(&entering->store, &fd)) == -EAGAIN)
		result = http_sleep(100000000u, 0, entering->login->cancelled);
	if (!result) {
		result = choose_keyring(entering);
		if (result) {
			box_store_unlock(fd);
			return result;
		}
		result = box_store_begin(&entering->store, &write);
	}
	if (!result)
		result = box_store_commit(&entering->store, &write, login);
	box_store_unlock(fd);
	if (result)
		box_say(&entering->call, "the login cannot be stored in %s: %s", entering->store.folder,
			strerror(-result));
	return result;
}

static int begin(struct entering *entering, char *error, size_t error_size)
{
	const struct dw_remote_login *login = entering->login;
	const char *account = login->account && *login->account
				      ? login->account
				      : box_option(login->options, login->option_count, "account");
	int result;

	account = account && *account ? account : "default";
	if (!box_account_valid(account)) {
		snprintf(error, error_size, "%s is no name for a login; use letters, digits and -_.@+", account);
		return -EINVAL;
	}
	result = box_settings_read(&entering->settings, NULL, login->options, login->option_count, error, error_size);
	if (!result && json_object_set_new(entering->settings.values, "account", json_string(account)))
		result = -ENOMEM;
	if (!result)
		result = box_store_init(&entering->store, login->state, account);
	if (!result)
		result = http_client_create(&entering->http, &(struct http_options){.ca_file = entering->settings.ca,
										    .proxy = entering->settings.proxy,
										    .agent = "Driveway"});
	return result;
}

int box_login(const struct dw_remote_provider *provider, const struct dw_remote_login *login, char *error,
	      size_t error_size)
{
	struct entering *entering = calloc(1, sizeof(*entering));
	int result;

	(void)provider;
	if (!entering)
		return -ENOMEM;
	error[0] = 0;
	entering->login = login;
	entering->call = (struct dw_remote_call){.size = sizeof(struct dw_remote_call), .cancelled = login->cancelled};
	result = begin(entering, error, error_size);
	if (!result)
		result = enter(entering);
	if (!result)
		result = ask_who(entering);
	if (!result)
		result = store(entering);
	if (!result && login->say) {
		char line[DW_REMOTE_MESSAGE_MAX];

		box_say(&entering->call, "logged in to Box as %s", entering->user_login);
		text_copy(line, sizeof(line), entering->call.message);
		login->say(login, line);
	}
	if (result == DW_REMOTE_LOGIN)
		result = -EACCES;
	if (result && !error[0])
		snprintf(error, error_size, "%s",
			 entering->call.message[0] ? entering->call.message
						   : strerror(result < -20000 ? EIO : -result));
	http_client_destroy(entering->http);
	box_store_forget(&entering->store);
	box_settings_free(&entering->settings);
	free(entering->user_id);
	free(entering->user_login);
	explicit_bzero(entering, sizeof(*entering));
	free(entering);
	return result;
}
