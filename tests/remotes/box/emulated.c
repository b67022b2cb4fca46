/* SPDX-License-Identifier: MIT */
#include "tests/remotes/box/emulated.h"

#include "support/http/http.h"
#include "support/text.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void run(struct emulated *emulated, const char *program, const char *setting)
{
	char data[96];
	int null;

	snprintf(data, sizeof(data), "%s/data", emulated->room);
	emulated->pid = fork();
	if (emulated->pid < 0)
		fail("fork failed");
	if (emulated->pid > 0)
		return;
	null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(null, 1);
	execl(program, program, "--data", data, "--https", "127.0.0.1:0", setting ? "--set" : NULL, setting,
	      (char *)NULL);
	_exit(127);
}

void emulated_start(struct emulated *emulated, const char *program, const char *setting)
{
	char path[128];
	json_t *endpoints = NULL;

	memset(emulated, 0, sizeof(*emulated));
	snprintf(emulated->room, sizeof(emulated->room), "/tmp/driveway-box-test.XXXXXX");
	if (!mkdtemp(emulated->room))
		fail("no temporary folder");
	snprintf(emulated->state, sizeof(emulated->state), "%s/state", emulated->room);
	if (mkdir(emulated->state, 0700))
		fail("no state folder");
	run(emulated, program, setting);
	snprintf(path, sizeof(path), "%s/data/endpoints.json", emulated->room);
	for (int i = 0; i < 600 && !endpoints; i++) {
		usleep(50000);
		endpoints = json_load_file(path, 0, NULL);
	}
	if (!endpoints)
		fail("the emulator did not start");
	text_copy(emulated->api, sizeof(emulated->api),
		  json_string_value(json_object_get(json_object_get(endpoints, "http"), "api")));
	text_copy(emulated->secure, sizeof(emulated->secure),
		  json_string_value(json_object_get(json_object_get(endpoints, "https"), "api")));
	text_copy(emulated->ca, sizeof(emulated->ca), json_string_value(json_object_get(endpoints, "ca")));
	text_copy(emulated->control, sizeof(emulated->control),
		  json_string_value(json_object_get(endpoints, "control")));
	text_copy(emulated->token, sizeof(emulated->token),
		  json_string_value(json_object_get(endpoints, "developer_token")));
	json_decref(endpoints);
	if (http_client_create(&emulated->http, &(struct http_options){.proxy = ""}))
		fail("no HTTP client");
}

static int remove_one(const char *path, const struct stat *state, int kind, struct FTW *where)
{
	(void)state;
	(void)kind;
	(void)where;
	return remove(path);
}

void emulated_stop(struct emulated *emulated)
{
	int status;

	http_client_destroy(emulated->http);
	kill(emulated->pid, SIGTERM);
	waitpid(emulated->pid, &status, 0);
	nftw(emulated->room, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

json_t *emulated_control(struct emulated *emulated, const char *method, const char *path, const char *body)
{
	struct http_header header = {"Content-Type", "application/json"};
	struct http_response response;
	char url[512];
	json_t *answer;

	snprintf(url, sizeof(url), "%s/%s", emulated->control, path);
	if (http_perform(emulated->http,
			 &(struct http_request){.method = method,
						.url = url,
						.headers = &header,
						.header_count = body != NULL,
						.body = body,
						.body_size = body ? strlen(body) : 0,
						.body_max = 16u << 20,
						.repeatable = true},
			 &response) ||
	    response.status >= 300)
		fail("a call of the emulator's control interface failed");
	answer = json_loads(response.body, 0, NULL);
	http_response_free(&response);
	return answer;
}

long emulated_count(struct emulated *emulated, const char *kind)
{
	json_t *counters = emulated_control(emulated, "GET", "counters", NULL);
	const json_t *value = kind ? json_object_get(json_object_get(counters, "calls"), kind)
				   : json_object_get(counters, "total");
	long count = (long)json_integer_value(json_is_object(value) ? json_object_get(value, "count") : value);

	json_decref(counters);
	return count;
}

/* Split "key=value"s; the API's address comes first. */
static size_t make_options(struct emulated *emulated, const char *const *more, struct dw_option *options,
			   char (*texts)[1024])
{
	static const char *const always[] = {"retry-pause=0.01", "proxy=",     "rate-calls=0",
					     "rate-uploads=0",	 "keyring=no", NULL};
	size_t count = 0;

	options[count++] = (struct dw_option){.key = "api-url", .value = emulated->api};
	for (int i = 0; i < 2; i++) {
		for (const char *const *one = i ? more : always; one && *one; one++) {
			char *equals;

			text_copy(texts[count], 1024, *one);
			equals = strchr(texts[count], '=');
			*equals = 0;
			options[count] = (struct dw_option){.key = texts[count], .value = equals + 1};
			count++;
		}
	}
	return count;
}

int emulated_open(struct emulated *emulated, const char *rest, const char *const *more, struct dw_remote **out,
		  char *error, size_t error_size)
{
	struct dw_option options[EMULATED_OPTIONS];
	char texts[EMULATED_OPTIONS][1024];
	struct dw_remote_source source = {.size = sizeof(source),
					  .rest = rest,
					  .state = emulated->state,
					  .options = options,
					  .option_count = make_options(emulated, more, options, texts)};

	return driveway_remote.open(&driveway_remote, &source, out, error, error_size);
}

static void *follow(void *context)
{
	struct emulated_person *person = context;
	struct http_response response;

	http_perform(person->emulated->http, &(struct http_request){.method = "GET", .url = person->answers[0]},
		     &response);
	http_response_free(&response);
	return NULL;
}

static int browse(const struct dw_remote_login *login, const char *url)
{
	struct emulated_person *person = (struct emulated_person *)login->context;
	struct http_response response;
	const char *location;
	pthread_t thread;

	if (http_perform(person->emulated->http, &(struct http_request){.method = "GET", .url = url}, &response))
		fail("the page for logging in cannot be had");
	location = http_response_header(&response, "location");
	text_copy(person->answers[0], sizeof(person->answers[0]), location ? location : "");
	http_response_free(&response);
	if (person->follow) {
		if (pthread_create(&thread, NULL, follow, person))
			fail("no thread");
		pthread_detach(thread);
	}
	return 0;
}

static int ask(const struct dw_remote_login *login, const char *question, bool secret, char **answer)
{
	struct emulated_person *person = (struct emulated_person *)login->context;

	(void)question;
	(void)secret;
	if (person->asked >= 3 || !person->answers[person->asked][0])
		return -ECANCELED;
	*answer = strdup(person->answers[person->asked++]);
	return *answer ? 0 : -ENOMEM;
}

static void say(const struct dw_remote_login *login, const char *line)
{
	struct emulated_person *person = (struct emulated_person *)login->context;

	text_copy(person->said, sizeof(person->said), line);
}

int emulated_login(struct emulated *emulated, const char *const *more, struct emulated_person *person, char *error,
		   size_t error_size)
{
	struct dw_option options[EMULATED_OPTIONS];
	char texts[EMULATED_OPTIONS][1024];

	person->emulated = emulated;
	person->login = (struct dw_remote_login){.size = sizeof(person->login),
						 .account = "",
						 .state = emulated->state,
						 .options = options,
						 .option_count = make_options(emulated, more, options, texts),
						 .browse = browse,
						 .ask = ask,
						 .say = say,
						 .context = person};
	return driveway_remote.login(&driveway_remote, &person->login, error, error_size);
}
