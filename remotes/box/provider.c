/* SPDX-License-Identifier: MIT */
#include "remotes/box/box.h"

#include "remotes/box/digest.h"
#include "remotes/box/json.h"
#include "remotes/box/login.h"
#include "support/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_PARALLEL 4u
#define READ_RANGE    (16u << 20) /* each read counts as a call, of which there are 1000 a minute */

static const struct dw_remote_ops box_ops;

static void forget_options(struct box *box)
{
	for (size_t i = 0; box->options && i < box->option_count; i++) {
		free((char *)box->options[i].key);
		free((char *)box->options[i].value);
	}
	free(box->options);
	box->options = NULL;
}

static void box_close(struct dw_remote *remote)
{
	struct box *box = (struct box *)remote;

	http_client_destroy(box->http);
	box_tokens_destroy(box->tokens);
	box_rate_destroy(box->rate);
	box_settings_free(&box->settings);
	box_settings_free(&box->whole);
	box_store_forget(&box->store);
	forget_options(box);
	pthread_mutex_destroy(&box->wake_lock);
	pthread_mutex_destroy(&box->root_lock);
	pthread_mutex_destroy(&box->feed_lock);
	free(box->root_path);
	free(box);
}

/* The path without slashes at its ends and doubled ones; NULL: it is the account's root. */
static int settle_root(struct box *box, const char *rest)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	char name[BOX_NUMBER_MAX + 8];
	char *path = malloc(strlen(rest) + 1), *at = path;

	if (!path)
		return -ENOMEM;
	for (; *rest; rest++) {
		if (*rest != '/' || (at > path && at[-1] != '/'))
			*at++ = *rest;
	}
	if (at > path && at[-1] == '/')
		at--;
	*at = 0;
	text_copy(box->root, sizeof(box->root), "d0");
	if (!*path) {
		free(path);
		return 0;
	}
	box->root_path = path;
	if (EVP_Digest(path, strlen(path), hash, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	box->root[0] = 'r';
	for (size_t i = 0; i < 20; i++)
		snprintf(box->root + 1 + 2 * i, 3, "%02x", hash[i]);
	snprintf(name, sizeof(name), "root-%s", box->root + 1);
	if (box_store_get_text(&box->store, name, box->root_real, sizeof(box->root_real)) ||
	    box_id_type(box->root_real) != DW_REMOTE_FOLDER)
		box->root_real[0] = 0;
	return 0;
}

/*
 * Whose account it is, as far as that can be known here: as Box said at login, or by what the login is made of.
 */
static int settle_account(const struct box_settings *settings, const json_t *stored, char out[BOX_ACCOUNT_MAX])
{
	const char *user = box_json_text(stored, "user-id");
	uint8_t hash[EVP_MAX_MD_SIZE] = {0};
	const char *host = strstr(settings->api_url, "://") + 3;
	bool fits;

	if (!settings->credentials && user) {
		fits = text_format(out, BOX_ACCOUNT_MAX, "%s#%s", host, user);
	} else if (settings->auth == BOX_AUTH_TOKEN) {
		if (EVP_Digest(settings->token, strlen(settings->token), hash, NULL, EVP_sha256(), NULL) != 1)
			return -ENOMEM;
		fits = text_format(out, BOX_ACCOUNT_MAX, "%s#token-%02x%02x%02x%02x%02x%02x", host, hash[0], hash[1],
				   hash[2], hash[3], hash[4], hash[5]);
	} else {
		fits = text_format(out, BOX_ACCOUNT_MAX, "%s#%s-%s-%s", host, settings->client_id,
				   settings->subject_type, settings->subject_id);
	}
	return fits ? 0 : -ENAMETOOLONG;
}

/* Whether there is something to log in with. */
static int check_login(const struct box_settings *settings, const json_t *stored, char *error, size_t error_size)
{
	bool missing = false;

	switch (settings->auth) {
	case BOX_AUTH_OAUTH:
		missing = !box_json_text(stored, "refresh-token");
		break;
	case BOX_AUTH_TOKEN:
		missing = !settings->token;
		break;
	case BOX_AUTH_CCG:
		missing = !settings->client_id || !settings->client_secret || !settings->subject_id;
		break;
	case BOX_AUTH_JWT:
		missing = !settings->client_id || !settings->key || !settings->subject_id;
		break;
	}
	if (!missing)
		return 0;
	if (strcmp(settings->account, "default") == 0)
		snprintf(error, error_size, "nobody has logged in to Box yet; run: driveway login box");
	else
		snprintf(error, error_size,
			 "nobody has logged in to Box as %s yet; run: driveway login box --account %s",
			 settings->account, settings->account);
	return -EACCES;
}

/* Have what calls need, of settings that hold a login. */
static int start(struct box *box, const struct box_settings *settings, const json_t *stored,
		 const struct box_store_stamp *stamp)
{
	const struct http_options options = {.ca_file = settings->ca, .proxy = settings->proxy, .agent = "Driveway"};
	int result = http_client_create(&box->http, &options);

	if (!result)
		result = box_tokens_create(&box->tokens, settings, &box->store, stored, stamp, box->http);
	if (!result)
		atomic_store(&box->awake, true);
	return result;
}

/* The login of the account that the options name; *stored stays NULL when there is none. -ENOKEY: it is sealed, and
 * *stored is what stands beside the seal. */
static int load_login(struct box *box, const struct dw_remote_source *source, json_t **stored,
		      struct box_store_stamp *stamp, char *error, size_t error_size)
{
	const char *account = box_option(source->options, source->option_count, "account");
	int result;

	account = account && *account ? account : "default";
	if (!box_account_valid(account)) {
		snprintf(error, error_size, "account=%s is no name for a login; use letters, digits and -_.@+",
			 account);
		return -EINVAL;
	}
	result = box_store_init(&box->store, source->state, account);
	if (!result)
		result = box_store_load(&box->store, stored, stamp);
	if (result == -ENOENT)
		return 0;
	if (result == -EINVAL)
		snprintf(error, error_size, "%s is no login of yours alone; remove it and run: driveway login box",
			 box->store.login);
	else if (result == -ENOKEY)
		snprintf(error, error_size,
			 "%s is sealed with a key in the Secret Service, which %s; unlock it, or run: driveway login "
			 "box",
			 box->store.login, box_keyring_reason(box->store.refused));
	else if (result)
		snprintf(error, error_size, "%s: %s", box->store.login, strerror(-result));
	return result;
}

/* To wake up with what was said when the drive was mapped. */
static int keep_options(struct box *box, const struct dw_remote_source *source)
{
	box->options = calloc(source->option_count + 1, sizeof(*box->options));
	if (!box->options)
		return -ENOMEM;
	for (; box->option_count < source->option_count; box->option_count++) {
		const struct dw_option *from = &source->options[box->option_count];
		struct dw_option *to = &box->options[box->option_count];

		to->key = text_duplicate(from->key);
		to->value = from->value ? text_duplicate(from->value) : NULL;
		if (!to->key || (from->value && !to->value)) {
			box->option_count++;
			return -ENOMEM;
		}
	}
	return 0;
}

/* The login is sealed, and *sealed is what stands beside it. Only when that says whose it is can the drive be opened.
 */
static int open_asleep(struct box *box, const struct dw_remote_source *source, const json_t *named, char *error,
		       size_t error_size)
{
	char unused[DW_REMOTE_MESSAGE_MAX];
	int result = box_settings_read(&box->settings, named, source->options, source->option_count, unused,
				       sizeof(unused));

	if (!result && (box->settings.credentials || !box_json_text(named, "user-id")))
		return -EACCES;
	if (result)
		text_copy(error, error_size, unused);
	return result ? result : keep_options(box, source);
}

static int open_awake(struct box *box, const struct dw_remote_source *source, const json_t *stored, char *error,
		      size_t error_size)
{
	int result = box_settings_read(&box->settings, stored, source->options, source->option_count, error,
				       error_size);

	return result ? result : check_login(&box->settings, stored, error, error_size);
}

static int say_sealed(const struct box *box, struct dw_remote_call *call)
{
	const bool other = strcmp(box->settings.account, "default") != 0;

	box_say(call, "the keyring %s: %srun: driveway login box%s%s", box_keyring_reason(box->store.refused),
		box->store.refused == -EACCES ? "unlock it, or " : "", other ? " --account " : "",
		other ? box->settings.account : "");
	return DW_REMOTE_LOGIN;
}

/* Under wake_lock. */
static int wake(struct box *box, struct dw_remote_call *call)
{
	char account[BOX_ACCOUNT_MAX], error[DW_REMOTE_MESSAGE_MAX] = "";
	struct box_store_stamp stamp;
	json_t *stored = NULL;
	int result = box_store_load(&box->store, &stored, &stamp);

	if (result == -ENOKEY) {
		json_decref(stored);
		return say_sealed(box, call);
	}
	if (!result)
		result = box_settings_read(&box->whole, stored, box->options, box->option_count, error, sizeof(error));
	if (!result)
		result = check_login(&box->whole, stored, error, sizeof(error));
	if (!result)
		result = settle_account(&box->whole, stored, account);
	if (!result && strcmp(account, box->account) != 0) {
		snprintf(error, sizeof(error), "%s is the login of another Box account now: unmap the drive",
			 box->store.login);
		result = -EACCES;
	}
	if (!result)
		result = start(box, &box->whole, stored, &stamp);
	json_decref(stored);
	if (!result)
		return 0;
	http_client_destroy(box->http);
	box->http = NULL;
	box_settings_free(&box->whole);
	if (error[0])
		box_say(call, "%s", error);
	else
		box_say(call, "%s: %s", box->store.login, strerror(-result));
	return result == -ENOMEM ? result : DW_REMOTE_LOGIN;
}

int box_wake(struct box *box, struct dw_remote_call *call)
{
	int result = 0;

	if (atomic_load(&box->awake))
		return 0;
	pthread_mutex_lock(&box->wake_lock);
	if (!atomic_load(&box->awake))
		result = wake(box, call);
	pthread_mutex_unlock(&box->wake_lock);
	return result;
}

static int box_open(const struct dw_remote_provider *provider, const struct dw_remote_source *source,
		    struct dw_remote **out, char *error, size_t error_size)
{
	struct box *box = calloc(1, sizeof(*box));
	struct box_store_stamp stamp = {.there = false};
	json_t *stored = NULL;
	bool asleep;
	int result;

	(void)provider;
	if (!box)
		return -ENOMEM;
	error[0] = 0;
	pthread_mutex_init(&box->wake_lock, NULL);
	pthread_mutex_init(&box->root_lock, NULL);
	pthread_mutex_init(&box->feed_lock, NULL);
	result = load_login(box, source, &stored, &stamp, error, error_size);
	asleep = result == -ENOKEY;
	if (asleep)
		result = open_asleep(box, source, stored, error, error_size);
	else if (!result)
		result = open_awake(box, source, stored, error, error_size);
	if (!result)
		result = settle_account(&box->settings, stored, box->account);
	if (!result)
		result = settle_root(box, source->rest);
	if (!result)
		result = box_rate_create(&box->rate, box->settings.rate_calls, box->settings.rate_uploads);
	if (!result && !asleep)
		result = start(box, &box->settings, stored, &stamp);
	json_decref(stored);
	if (result) {
		if (!error[0])
			snprintf(error, error_size, "box: %s", strerror(-result));
		box_close(&box->remote);
		return result;
	}
	box->remote = (struct dw_remote){
		.size = sizeof(struct dw_remote),
		.ops = &box_ops,
		.flags = DW_REMOTE_FOLDS_CASE | DW_REMOTE_VERSIONS,
		.digest = DW_REMOTE_DIGEST_SHA1,
		.root = box->root,
		.account = box->account,
		.upload_max = box->settings.parts_above,
		.read_parallel = READ_PARALLEL,
		.read_range = READ_RANGE,
	};
	*out = &box->remote;
	return 0;
}

int box_check_name(struct dw_remote *remote, const char *name)
{
	size_t bytes = strlen(name), characters = 0;

	(void)remote;
	for (const char *c = name; *c; c++) {
		characters += ((unsigned char)*c & 0xc0) != 0x80;
		if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '/' || *c == '\\')
			return -EINVAL;
	}
	if (!bytes || name[bytes - 1] == ' ' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	return characters > 255 ? -ENAMETOOLONG : 0;
}

static const struct dw_remote_ops box_ops = {
	.size = sizeof(struct dw_remote_ops),
	.stat = box_stat,
	.list = box_list,
	.read = box_read,
	.close = box_close,
	.quota = box_quota,
	.changes = box_changes,
	.upload = box_upload,
	.mkdir = box_mkdir,
	.move = box_move,
	.copy = box_copy,
	.remove = box_remove,
	.set_properties = box_set_properties,
	.session_begin = box_session_begin,
	.session_part = box_session_part,
	.session_parts = box_session_parts,
	.session_commit = box_session_commit,
	.session_abort = box_session_abort,
	.check_name = box_check_name,
};

#pragma GCC visibility push(default)
extern const struct dw_remote_provider driveway_remote;
const struct dw_remote_provider driveway_remote = {
	.size = sizeof(struct dw_remote_provider),
	.version = DW_REMOTE_API_VERSION,
	.name = "box",
	.summary = "a Box account (box.com)",
	.options = box_settings_help,
	.open = box_open,
	.login = box_login,
};
#pragma GCC visibility pop
