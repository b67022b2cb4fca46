/* SPDX-License-Identifier: MIT */
/*
 * Make requests with support/http and say how each went, for the tests that bring servers and proxies of their own.
 *
 *    ask [--ca FILE] [--proxy URL] [--together] [--slow] [--put BYTES] [--patience SECONDS] URL...
 *
 * One line an URL: the error (0 or a negative errno), the outcome as the number of its enum, the status, the bytes of
 * the body, and the text of the error or the body's first 60 characters. --together asks for all at once, --slow
 * takes what comes for the first URL in small pieces, --put sends so many bytes, --patience is the deadline.
 */
#include "support/http/http.h"
#include "support/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define URLS_MAX 64

struct asking {
	struct http_client *client;
	const char *url;
	uint64_t put;
	uint64_t patience; /* nanoseconds; 0: no end */
	bool slow;

	uint64_t got;
	char text[64];
	int error;
	struct http_response response;
};

static int take(void *context, const void *data, size_t size)
{
	struct asking *asking = context;

	if (!asking->got)
		text_format(asking->text, sizeof(asking->text), "%.*s", size < 60 ? (int)size : 60, (const char *)data);
	asking->got += size;
	if (asking->slow)
		usleep(20000);
	return 0;
}

static int give(void *context, void *buffer, size_t size, uint64_t offset)
{
	(void)context;
	for (size_t i = 0; i < size; i++)
		((char *)buffer)[i] = (char)('a' + (offset + i) % 23);
	return 0;
}

static void *ask(void *context)
{
	struct asking *asking = context;
	struct http_source source = {.read = give, .bytes = asking->put};
	struct http_request request = {.method = asking->put ? "PUT" : "GET",
				       .url = asking->url,
				       .source = asking->put ? &source : NULL,
				       .data = take,
				       .context = asking,
				       .repeatable = true};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (asking->patience)
		request.deadline = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + asking->patience;
	asking->error = http_perform(asking->client, &request, &asking->response);
	return NULL;
}

static void report(struct asking *asking)
{
	const char *text = asking->error ? asking->response.error : asking->got ? asking->text : asking->response.body;

	printf("%d %d %u %llu %s\n", asking->error, (int)asking->response.outcome, asking->response.status,
	       (unsigned long long)asking->got + asking->response.body_size, text ? text : "");
	http_response_free(&asking->response);
}

static void ask_together(struct asking *asked, size_t count)
{
	pthread_t threads[URLS_MAX];

	for (size_t i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, ask, &asked[i]))
			abort();
	}
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

int main(int count, char **words)
{
	struct http_options options = {.agent = "ask"};
	struct asking asked[URLS_MAX], plain = {.put = 0};
	struct http_client *client;
	bool together = false, slow = false;
	size_t urls = 0;

	for (int i = 1; i < count; i++) {
		if (strcmp(words[i], "--ca") == 0 && i + 1 < count)
			options.ca_file = words[++i];
		else if (strcmp(words[i], "--proxy") == 0 && i + 1 < count)
			options.proxy = words[++i];
		else if (strcmp(words[i], "--put") == 0 && i + 1 < count)
			plain.put = strtoull(words[++i], NULL, 10);
		else if (strcmp(words[i], "--patience") == 0 && i + 1 < count)
			plain.patience = strtoull(words[++i], NULL, 10) * 1000000000u;
		else if (strcmp(words[i], "--together") == 0)
			together = true;
		else if (strcmp(words[i], "--slow") == 0)
			slow = true;
		else if (urls < URLS_MAX)
			asked[urls++] = (struct asking){.url = words[i]};
	}
	if (!urls || http_client_create(&client, &options))
		return 2;
	for (size_t i = 0; i < urls; i++) {
		asked[i].client = client;
		asked[i].put = plain.put;
		asked[i].patience = plain.patience;
		asked[i].slow = slow && i == 0;
		if (!together)
			ask(&asked[i]);
	}
	if (together)
		ask_together(asked, urls);
	for (size_t i = 0; i < urls; i++)
		report(&asked[i]);
	http_client_destroy(client);
	return 0;
}
