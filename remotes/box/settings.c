/* SPDX-License-Identifier: MIT */
#include "remotes/box/settings.h"

#include "support/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define API_URL	     "https://api.box.com/2.0"
#define UPLOAD_URL   "https://upload.box.com/api/2.0"
#define AUTH_URL     "https://account.box.com/api/oauth2/authorize"
#define FILE_MAX     (256u << 10)
#define RATE_CALLS   1000u
#define RATE_UPLOADS 240u
#define RETRY_PAUSE  250000000ull
#define PARTS_ABOVE  20000000u

const char box_settings_help[] =
	"auth=how to log in: browser, paste, ccg, jwt or token (browser)\n"
	"account=name of the login, where there are several (default)\n"
	"client-id=of your Box app\n"
	"client-secret=of your Box app; better in client-secret-file or $DRIVEWAY_BOX_CLIENT_SECRET\n"
	"client-secret-file=file with the client secret\n"
	"config=JSON file with the key of a Box app, for auth=jwt\n"
	"enterprise=id of the enterprise whose service account is used, for auth=ccg and jwt\n"
	"user=id of the user to be, for auth=ccg and jwt\n"
	"token=developer token, for auth=token; better in token-file or $DRIVEWAY_BOX_TOKEN\n"
	"token-file=file with a developer token\n"
	"redirect-port=port of 127.0.0.1 to which the browser comes back (any that is free)\n"
	"api-url=where Box answers (" API_URL ")\n"
	"upload-url=where uploads go (" UPLOAD_URL ")\n"
	"auth-url=the page for logging in (" AUTH_URL ")\n"
	"ca=file with the certificates of private authorities (the system's)\n"
	"proxy=URL of a proxy, or nothing for none ($HTTPS_PROXY, $NO_PROXY)\n"
	"rate-calls=most calls a minute, 0: no limit (1000)\n"
	"rate-uploads=most uploads a minute, 0: no limit (240)\n"
	"retry-pause=seconds before the first new try (0.25)\n"
	"keyring=seal the login with a key in the Secret Service: auto (where one runs), yes or no; at login (auto)\n"
	"parts-above=bytes; larger files go up in parts (20000000, and Box takes no smaller ones so)\n";

static const char *const option_names[] = {
	"auth",	       "account",     "client-id", "client-secret", "client-secret-file", "config",
	"enterprise",  "user",	      "token",	   "token-file",    "redirect-port",	  "api-url",
	"upload-url",  "auth-url",    "ca",	   "proxy",	    "rate-calls",	  "rate-uploads",
	"retry-pause", "parts-above", "keyring",
};

const char *box_option(const struct dw_option *options, size_t count, const char *key)
{
	const char *value = NULL;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(options[i].key, key) == 0)
			value = options[i].value;
	}
	return value;
}

bool box_account_valid(const char *name)
{
	size_t length = strlen(name);

	if (!length || length > 64 || *name == '.')
		return false;
	for (; *name; name++) {
		char c = *name;

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.@+", c)))
			return false;
	}
	return true;
}

static bool known_option(const char *key)
{
	for (size_t i = 0; i < sizeof(option_names) / sizeof(*option_names); i++) {
		if (strcmp(key, option_names[i]) == 0)
			return true;
	}
	return false;
}

/* A small file as text; malloc'd. */
static int read_file(const char *path, char **out, char *error, size_t error_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = malloc(FILE_MAX + 1);
	size_t size = 0;
	ssize_t got = 1;
	int result = 0;

	if (!text) {
		result = -ENOMEM;
	} else if (fd < 0) {
		result = -errno;
	} else {
		while (size < FILE_MAX && got > 0) {
			got = read(fd, text + size, FILE_MAX - size);
			if (got < 0 && errno == EINTR)
				got = 1;
			else if (got > 0)
				size += (size_t)got;
		}
		result = got < 0 ? -errno : size == FILE_MAX ? -EFBIG : 0;
		text[size] = 0;
	}
	if (fd >= 0)
		close(fd);
	if (result) {
		snprintf(error, error_size, "%s: %s", path, strerror(-result));
		free(text);
		return result;
	}
	*out = text;
	return 0;
}

/* The first line of a file is the value of key. */
static int set_from_file(json_t *values, const char *key, const char *path, char *error, size_t error_size)
{
	char *text;
	int result = read_file(path, &text, error, error_size);

	if (result)
		return result;
	text[strcspn(text, "\r\n")] = 0;
	if (json_object_set_new(values, key, json_string(text))) {
		snprintf(error, error_size, "%s: there is no usable text in it", path);
		result = -EINVAL;
	}
	explicit_bzero(text, strlen(text));
	free(text);
	return result;
}

static int set_text(json_t *values, const char *key, const json_t *text)
{
	return json_is_string(text) && *json_string_value(text) ? json_object_set(values, key, (json_t *)text) : 0;
}

/* The file that Box's console offers for download. */
static int set_from_config(json_t *values, const char *path, char *error, size_t error_size)
{
	const json_t *app, *auth;
	json_error_t where;
	json_t *config;
	char *text;
	int result = read_file(path, &text, error, error_size);

	if (result)
		return result;
	config = json_loads(text, 0, &where);
	explicit_bzero(text, strlen(text));
	free(text);
	app = json_object_get(config, "boxAppSettings");
	auth = json_object_get(app, "appAuth");
	if (!json_is_string(json_object_get(app, "clientID")) || !json_is_string(json_object_get(auth, "privateKey"))) {
		snprintf(error, error_size,
			 "%s is no key file of a Box app; download one in the app's configuration on Box", path);
		result = -EINVAL;
	} else if (set_text(values, "client-id", json_object_get(app, "clientID")) ||
		   set_text(values, "client-secret", json_object_get(app, "clientSecret")) ||
		   set_text(values, "key", json_object_get(auth, "privateKey")) ||
		   set_text(values, "key-pass", json_object_get(auth, "passphrase")) ||
		   set_text(values, "key-id", json_object_get(auth, "publicKeyID")) ||
		   (!json_object_get(values, "enterprise") &&
		    set_text(values, "enterprise", json_object_get(config, "enterpriseID")))) {
		result = -ENOMEM;
	}
	json_decref(config);
	return result;
}

static const char *get(const struct box_settings *settings, const char *key)
{
	const char *text = json_string_value(json_object_get(settings->values, key));

	return text && *text ? text : NULL;
}

static int parse_auth(struct box_settings *out, char *error, size_t error_size)
{
	static const struct {
		const char *name;
		enum box_auth auth;
	} ways[] = {{"browser", BOX_AUTH_OAUTH},
		    {"paste", BOX_AUTH_OAUTH},
		    {"ccg", BOX_AUTH_CCG},
		    {"jwt", BOX_AUTH_JWT},
		    {"token", BOX_AUTH_TOKEN}};
	const char *name = get(out, "auth");

	if (!name)
		name = get(out, "token") ? "token" : get(out, "key") ? "jwt" : "browser";
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(name, ways[i].name) == 0) {
			out->auth = ways[i].auth;
			out->paste = strcmp(name, "paste") == 0;
			return json_object_set_new(out->values, "auth", json_string(name)) ? -ENOMEM : 0;
		}
	}
	snprintf(error, error_size, "auth=%s is no way to log in; there are browser, paste, ccg, jwt and token", name);
	return -EINVAL;
}

static int parse_number(const struct box_settings *settings, const char *key, uint64_t most, unsigned *out, char *error,
			size_t error_size)
{
	const char *text = get(settings, key);
	uint64_t value;

	if (!text)
		return 0;
	if (text_parse_number(text, most, &value)) {
		snprintf(error, error_size, "%s=%s is no number from 0 to %llu", key, text, (unsigned long long)most);
		return -EINVAL;
	}
	*out = (unsigned)value;
	return 0;
}

/* A base URL without a slash at its end; NULL where none is said. */
static int parse_url(struct box_settings *settings, const char *key, const char **out, char *error, size_t error_size)
{
	const char *text = get(settings, key);
	size_t length = text ? strlen(text) : 0;

	if (!text)
		return 0;
	if ((!text_starts_with(text, "https://") && !text_starts_with(text, "http://")) ||
	    strpbrk(text, " \t\r\n?#@") || length > 512) {
		snprintf(error, error_size, "%s=%s is no URL of a server; give one such as %s", key, text, API_URL);
		return -EINVAL;
	}
	while (length && text[length - 1] == '/')
		length--;
	if (json_object_set_new(settings->values, key, json_stringn(text, length)))
		return -ENOMEM;
	*out = get(settings, key);
	return 0;
}

static int set_format(struct box_settings *settings, const char *key, const char **out, const char *start,
		      size_t start_length, const char *end)
{
	if (json_object_set_new(settings->values, key, json_sprintf("%.*s%s", (int)start_length, start, end)))
		return -ENOMEM;
	*out = get(settings, key);
	return 0;
}

/* What is not said follows from api-url: an installation of one's own is one server as a rule. */
static int settle_urls(struct box_settings *out, char *error, size_t error_size)
{
	bool own = get(out, "api-url") != NULL;
	size_t base;
	int result;

	out->api_url = API_URL;
	out->upload_url = UPLOAD_URL;
	out->auth_url = AUTH_URL;
	result = parse_url(out, "api-url", &out->api_url, error, error_size);
	if (result)
		return result;
	base = strlen(out->api_url);
	if (base > 4 && strcmp(out->api_url + base - 4, "/2.0") == 0)
		base -= 4;
	if (own && !get(out, "upload-url"))
		result = set_format(out, "upload-url", &out->upload_url, out->api_url, base, "/api/2.0");
	if (!result && own && !get(out, "auth-url"))
		result = set_format(out, "auth-url", &out->auth_url, out->api_url, base, "/api/oauth2/authorize");
	if (!result)
		result = parse_url(out, "upload-url", &out->upload_url, error, error_size);
	if (!result)
		result = parse_url(out, "auth-url", &out->auth_url, error, error_size);
	if (!result)
		result = set_format(out, "token-url", &out->token_url, out->api_url, base, "/oauth2/token");
	return result;
}

static int read_environment(json_t *values)
{
	static const char *const names[][2] = {{"DRIVEWAY_BOX_CLIENT_ID", "client-id"},
					       {"DRIVEWAY_BOX_CLIENT_SECRET", "client-secret"},
					       {"DRIVEWAY_BOX_TOKEN", "token"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = getenv(names[i][0]);

		if (value && *value && json_object_set_new(values, names[i][1], json_string(value)))
			return -ENOMEM;
	}
	return 0;
}

static int read_options(struct box_settings *out, const struct dw_option *options, size_t count, char *error,
			size_t error_size)
{
	int result = 0;

	for (size_t i = 0; !result && i < count; i++) {
		const char *key = options[i].key, *value = options[i].value ? options[i].value : "";

		if (!known_option(key)) {
			snprintf(error, error_size, "box has no option %s; docs/box.md lists those that it has", key);
			result = -EINVAL;
		} else if (strcmp(key, "client-secret-file") == 0) {
			result = set_from_file(out->values, "client-secret", value, error, error_size);
		} else if (strcmp(key, "token-file") == 0) {
			result = set_from_file(out->values, "token", value, error, error_size);
		} else if (strcmp(key, "config") == 0) {
			result = set_from_config(out->values, value, error, error_size);
		} else if (json_object_set_new(out->values, key, json_string(value))) {
			snprintf(error, error_size, "option %s is not text in UTF-8", key);
			result = -EINVAL;
		}
		out->credentials = out->credentials ||
				   (!result && (strcmp(key, "auth") == 0 || strcmp(key, "config") == 0 ||
						strcmp(key, "token") == 0 || strcmp(key, "token-file") == 0));
	}
	return result;
}

static int read_numbers(struct box_settings *out, char *error, size_t error_size)
{
	const char *pause = get(out, "retry-pause");
	int result = parse_number(out, "redirect-port", 65535, &out->redirect_port, error, error_size);

	if (!result)
		result = parse_number(out, "rate-calls", 1000000, &out->rate_calls, error, error_size);
	if (!result)
		result = parse_number(out, "rate-uploads", 1000000, &out->rate_uploads, error, error_size);
	if (!result)
		result = parse_number(out, "parts-above", 50000000, &out->parts_above, error, error_size);
	if (!result && pause && text_parse_seconds(pause, &out->retry_pause)) {
		snprintf(error, error_size, "retry-pause=%s is no number of seconds", pause);
		result = -EINVAL;
	}
	return result;
}

static int check_keyring(const struct box_settings *out, char *error, size_t error_size)
{
	const char *wish = get(out, "keyring");

	if (!wish || strcmp(wish, "auto") == 0 || strcmp(wish, "yes") == 0 || strcmp(wish, "no") == 0)
		return 0;
	snprintf(error, error_size, "keyring=%s is not auto, yes or no", wish);
	return -EINVAL;
}

static int check_account(struct box_settings *out, char *error, size_t error_size)
{
	out->account = get(out, "account");
	if (!out->account)
		out->account = "default";
	if (box_account_valid(out->account))
		return 0;
	snprintf(error, error_size, "account=%s is no name for a login; use letters, digits and -_.@+", out->account);
	return -EINVAL;
}

int box_settings_read(struct box_settings *out, const json_t *stored, const struct dw_option *options, size_t count,
		      char *error, size_t error_size)
{
	int result;

	*out = (struct box_settings){.rate_calls = RATE_CALLS,
				     .rate_uploads = RATE_UPLOADS,
				     .retry_pause = RETRY_PAUSE,
				     .parts_above = PARTS_ABOVE};
	out->values = stored ? json_deep_copy(stored) : json_object();
	result = out->values ? 0 : -ENOMEM;
	if (!result)
		result = read_environment(out->values);
	if (!result)
		result = read_options(out, options, count, error, error_size);
	if (!result)
		result = parse_auth(out, error, error_size);
	if (!result)
		result = settle_urls(out, error, error_size);
	if (!result)
		result = read_numbers(out, error, error_size);
	if (!result)
		result = check_account(out, error, error_size);
	if (!result)
		result = check_keyring(out, error, error_size);
	if (result == -ENOMEM)
		snprintf(error, error_size, "no memory");
	if (result)
		return result;

	out->client_id = get(out, "client-id");
	out->client_secret = get(out, "client-secret");
	out->token = get(out, "token");
	out->key = get(out, "key");
	out->key_pass = get(out, "key-pass");
	out->key_id = get(out, "key-id");
	out->subject_id = get(out, "user");
	out->subject_type = out->subject_id ? "user" : "enterprise";
	if (!out->subject_id)
		out->subject_id = get(out, "enterprise");
	out->ca = get(out, "ca");
	out->proxy = json_string_value(json_object_get(out->values, "proxy"));
	return 0;
}

void box_settings_free(struct box_settings *settings)
{
	json_decref(settings->values);
	settings->values = NULL;
}
