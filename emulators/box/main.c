/* SPDX-License-Identifier: MIT */
/* The program driveway-box-emulator: options, start and stop. */
#include "emulators/box/account.h"
#include "emulators/box/certificate.h"
#include "emulators/box/content.h"
#include "emulators/box/emulator.h"
#include "emulators/box/events.h"
#include "emulators/box/oauth.h"
#include "emulators/box/seed.h"
#include "emulators/box/server.h"
#include "support/text.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEEDS_MAX 64
#define HOST_SIZE 256

static const char usage[] =
	"Usage: driveway-box-emulator --data DIR [OPTION]...\n"
	"A stand-in for Box (box.com) that keeps its data in DIR.\n"
	"\n"
	"  --http HOST:PORT        serve HTTP there (default 127.0.0.1:0, any free port)\n"
	"  --https HOST:PORT       serve HTTPS there, too, with a certificate of its own (DIR/ca.pem)\n"
	"  --seed demo             fill the account with folders, documents, pictures, a film\n"
	"  --seed files=N[,size=BYTES][,folder=NAME][,prefix=NAME][,content=same]\n"
	"                          fill it with so many files; may be given again\n"
	"  --developer-token TEXT  a token that never expires (default: made at the first start)\n"
	"  --quota BYTES           space of the account (k, m, g, t; default 10t)\n"
	"  --set NAME=NUMBER       a setting of docs/emulator.md; may be given again\n"
	"  --help, --version\n";

struct options {
	const char *data, *http, *https, *token;
	const char *seeds[SEEDS_MAX];
	int seed_count;
	uint64_t quota;
};

static int fail(const char *what, const char *value)
{
	fprintf(stderr, "driveway-box-emulator: %s%s%s\n", what, value ? ": " : "", value ? value : "");
	return -EINVAL;
}

static int set(struct emulator *emulator, const char *text)
{
	const char *equals = strchr(text, '=');
	uint64_t number;

	for (int i = 0; equals && i < SETTING_COUNT; i++) {
		if (strlen(setting_names[i].name) != (size_t)(equals - text) ||
		    strncmp(setting_names[i].name, text, (size_t)(equals - text)) != 0)
			continue;
		if (text_parse_number(equals + 1, INT64_MAX / 1000000000, &number))
			break;
		atomic_store(&emulator->settings[i], (int64_t)number);
		return 0;
	}
	return fail("there is no such setting, or its number is not valid", text);
}

/* 0: go on; 1: all was said; a negative errno. */
static int parse(int count, char **words, struct emulator *emulator, struct options *options)
{
	static const struct option long_options[] = {
		{"data", required_argument, NULL, 'd'},
		{"http", required_argument, NULL, 'p'},
		{"https", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'e'},
		{"seed-demo", no_argument, NULL, 'D'},
		{"developer-token", required_argument, NULL, 't'},
		{"quota", required_argument, NULL, 'q'},
		{"set", required_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int choice, error;

	while ((choice = getopt_long(count, words, "", long_options, NULL)) != -1) {
		switch (choice) {
		case 'd':
			options->data = optarg;
			break;
		case 'p':
			options->http = optarg;
			break;
		case 's':
			options->https = optarg;
			break;
		case 'e':
		case 'D':
			if (options->seed_count == SEEDS_MAX)
				return fail("too many seeds", NULL);
			options->seeds[options->seed_count++] = choice == 'e' ? optarg : "demo";
			break;
		case 't':
			options->token = optarg;
			break;
		case 'q':
			if (text_parse_size(optarg, &options->quota) || options->quota > INT64_MAX)
				return fail("the quota is no number of bytes", optarg);
			break;
		case 'S':
			if ((error = set(emulator, optarg)))
				return error;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		case 'v':
			puts("driveway-box-emulator " DRIVEWAY_VERSION);
			return 1;
		default:
			fputs(usage, stderr);
			return -EINVAL;
		}
	}
	if (optind < count)
		return fail("there are no arguments, only options", words[optind]);
	return options->data ? 0 : fail("--data is missing", NULL);
}

/* "HOST:PORT", with brackets around an IPv6 address. */
static int parse_endpoint(const char *text, char host[HOST_SIZE], int *port)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	uint64_t number;

	if (!colon || length >= HOST_SIZE || text_parse_number(colon + 1, 65535, &number))
		return fail("this is not HOST:PORT", text);
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']')
		text_format(host, HOST_SIZE, "%.*s", (int)length - 2, text + 1);
	else
		text_format(host, HOST_SIZE, "%.*s", (int)length, text);
	*port = (int)number;
	return 0;
}

static int serve(struct server **server, struct emulator *emulator, const char *endpoint, const char *certificate,
		 const char *key, bool control)
{
	char host[HOST_SIZE];
	int port = 0, error;

	error = parse_endpoint(endpoint, host, &port);
	if (error)
		return error;
	error = server_start(server, emulator, host, port, certificate, key, control);
	if (error)
		fprintf(stderr, "driveway-box-emulator: cannot listen at %s: %s\n", endpoint, strerror(-error));
	return error;
}

/* A secret that stays the same from start to start. */
static bool keep_secret(struct store *store, const char *name, char *out, size_t bytes)
{
	sqlite3_stmt *statement = store_ask(store, "SELECT value FROM setting WHERE name = ?", "s", name);

	if (store_next(store, statement)) {
		text_copy(out, 2 * bytes + 1, store_text(statement, 0));
		store_done(statement);
		return strlen(out) == 2 * bytes;
	}
	if (!emulator_random_hex(out, bytes))
		return false;
	store_run(store, "INSERT INTO setting VALUES (?, ?)", "ss", name, out);
	return true;
}

static int prepare_account(struct emulator *emulator, const struct options *options, char token[OAUTH_TOKEN])
{
	struct store *store = emulator->store;
	char secret[65] = "";
	struct user user;
	int error = 0;

	store_lock(store);
	store_begin(store);
	account_prepare(emulator, (int64_t)options->quota);
	if (!keep_secret(store, "secret", secret, 32) || !keep_secret(store, "developer_token", token, 16))
		error = -EIO;
	memcpy(emulator->secret, secret, sizeof(emulator->secret));
	oauth_add_token(emulator, options->token ? options->token : token, "developer", ACCOUNT_DEMO_USER,
			ACCOUNT_DEMO_CLIENT, 0, "developer", NULL, NULL);
	if (!oauth_user(store, ACCOUNT_DEMO_USER, &user))
		error = -EIO;
	for (int i = 0; i < options->seed_count && !error; i++) {
		error = seed_account(emulator, &user, options->seeds[i]);
		if (error == -EINVAL)
			fail("this seed is not valid", options->seeds[i]);
	}
	if (error)
		store_rollback(store);
	else
		error = store_commit(store);
	store_unlock(store);
	return error;
}

static json_t *urls(const char *scheme, int port)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "base", json_sprintf("%s://127.0.0.1:%d", scheme, port), "api",
			 json_sprintf("%s://127.0.0.1:%d/2.0", scheme, port), "upload",
			 json_sprintf("%s://127.0.0.1:%d/api/2.0", scheme, port), "token",
			 json_sprintf("%s://127.0.0.1:%d/oauth2/token", scheme, port), "authorize",
			 json_sprintf("%s://127.0.0.1:%d/api/oauth2/authorize", scheme, port));
}

/* Say on standard output, and in DIR/endpoints.json for programs, where everything is. */
static int announce(struct emulator *emulator, const struct options *options, const char *token)
{
	json_t *endpoints;
	char *path = NULL, *part = NULL;
	int error = -ENOMEM, fd;

	endpoints = json_pack(
		"{s:o, s:s, s:s, s:s, s:s, s:o, s:i}", "http", urls("http", emulator->http_port), "developer_token",
		options->token ? options->token : token, "client_id", ACCOUNT_DEMO_CLIENT, "client_secret",
		ACCOUNT_DEMO_SECRET, "enterprise", ACCOUNT_DEMO_ENTERPRISE, "control",
		json_sprintf("http://127.0.0.1:%d/emulator/%s", emulator->control_port, emulator->control_secret),
		"pid", (int)getpid());
	if (endpoints && emulator->https_port) {
		json_object_set_new(endpoints, "https", urls("https", emulator->https_port));
		json_object_set_new(endpoints, "ca", json_sprintf("%s/ca.pem", options->data));
	}
	if (!endpoints || asprintf(&path, "%s/endpoints.json", options->data) < 0 ||
	    asprintf(&part, "%s.part", path) < 0)
		goto out;
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	error = fd < 0 ? -errno : json_dumpfd(endpoints, fd, JSON_INDENT(1)) ? -EIO : 0;
	if (fd >= 0)
		close(fd);
	if (!error && rename(part, path))
		error = -errno;
	if (error)
		goto out;
	printf("http://127.0.0.1:%d", emulator->http_port);
	if (emulator->https_port)
		printf(" https://127.0.0.1:%d", emulator->https_port);
	printf("\n");
	fflush(stdout);

out:
	free(part);
	free(path);
	json_decref(endpoints);
	return error;
}

/* One service a folder. */
static int lock_folder(const char *folder, int *fd)
{
	char *path;

	if (mkdir(folder, 0700) && errno != EEXIST)
		return -errno;
	if (asprintf(&path, "%s/lock", folder) < 0)
		return -ENOMEM;
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	free(path);
	if (*fd < 0)
		return -errno;
	return flock(*fd, LOCK_EX | LOCK_NB) ? -errno : 0;
}

static void *wait_for_signal(void *context)
{
	struct emulator *emulator = context;
	sigset_t signals;
	int number;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	while (sigwait(&signals, &number))
		;
	sem_post(&emulator->stop);
	return NULL;
}

static void block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static int run(struct emulator *emulator, const struct options *options)
{
	struct server *http = NULL, *https = NULL, *control = NULL;
	char *certificate = NULL, *key = NULL, token[OAUTH_TOKEN];
	pthread_t waiter;
	int error;

	if ((error = content_prepare(options->data)) || (error = store_open(&emulator->store, options->data)) ||
	    (error = prepare_account(emulator, options, token)))
		goto out;
	if (options->https && (error = certificate_prepare(options->data, &certificate, &key)))
		goto out;
	error = serve(&http, emulator, options->http, NULL, NULL, false);
	if (!error && options->https)
		error = serve(&https, emulator, options->https, certificate, key, false);
	if (!error)
		error = serve(&control, emulator, "127.0.0.1:0", NULL, NULL, true);
	if (error)
		goto out;
	emulator->http_port = server_port(http);
	emulator->https_port = https ? server_port(https) : 0;
	emulator->control_port = server_port(control);
	error = -pthread_create(&waiter, NULL, wait_for_signal, emulator);
	if (error)
		goto out;
	pthread_detach(waiter);
	error = announce(emulator, options, token);
	while (!error && sem_wait(&emulator->stop))
		;

out:
	atomic_store(&emulator->stopping, true);
	faults_stop(emulator->faults);
	events_stop(emulator->events);
	server_stop(control);
	server_stop(https);
	server_stop(http);
	store_close(emulator->store);
	free(certificate);
	free(key);
	return error;
}

int main(int count, char **words)
{
	struct emulator *emulator = calloc(1, sizeof(*emulator));
	struct options options = {.http = "127.0.0.1:0"};
	int error = -ENOMEM, lock = -1;

	if (!emulator)
		return 1;
	block_signals();
	sem_init(&emulator->stop, 0, 0);
	for (int i = 0; i < SETTING_COUNT; i++)
		atomic_store(&emulator->settings[i], setting_names[i].value);
	error = parse(count, words, emulator, &options);
	if (error)
		goto out;
	emulator->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
	emulator->faults = faults_new();
	emulator->calls = calls_new();
	emulator->rates = rates_new();
	emulator->events = events_new();
	error = -ENOMEM;
	if (!emulator->locale || !emulator->faults || !emulator->calls || !emulator->rates || !emulator->events ||
	    !emulator_random_hex(emulator->control_secret, 16))
		goto out;
	error = lock_folder(options.data, &lock);
	if (!error)
		error = run(emulator, &options);
	if (error)
		fprintf(stderr, "driveway-box-emulator: %s: %s\n", options.data, strerror(-error));

out:
	faults_free(emulator->faults);
	calls_free(emulator->calls);
	rates_free(emulator->rates);
	events_free(emulator->events);
	if (emulator->locale)
		freelocale(emulator->locale);
	if (lock >= 0)
		close(lock);
	sem_destroy(&emulator->stop);
	free(emulator);
	return error < 0 ? 1 : 0;
}
