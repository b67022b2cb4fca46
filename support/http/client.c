/* SPDX-License-Identifier: MIT */
#include "support/http/internal.h"

#include "support/text.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_TIMEOUT	 15000l /* milliseconds */
#define HOST_CONNECTIONS 16l
#define KEPT_CONNECTIONS 32l
#define POLL_MOST	 1000 /* milliseconds */

uint64_t http_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The transfer is over: its caller may go on, and transfer is gone with that. */
static void transfer_end(struct transfer *transfer, CURLcode code)
{
	struct http_client *client = transfer->client;
	int error;

	if (transfer->easy)
		curl_multi_remove_handle(client->multi, transfer->easy);
	pthread_mutex_lock(&client->lock);
	error = transfer_outcome(transfer, code);
	pthread_mutex_unlock(&client->lock);
	transfer_takedown(transfer);

	pthread_mutex_lock(&client->lock);
	transfer->result = error;
	transfer->ended = true;
	pthread_cond_signal(&transfer->moved);
	pthread_mutex_unlock(&client->lock);
}

static void client_admit(struct http_client *client)
{
	struct transfer *transfer, *next;
	bool closing;

	pthread_mutex_lock(&client->lock);
	transfer = client->queued;
	client->queued = NULL;
	closing = client->closing;
	pthread_mutex_unlock(&client->lock);

	for (; transfer; transfer = next) {
		next = transfer->next;
		transfer->result = closing ? -ECANCELED : transfer_setup(transfer);
		if (!transfer->result && curl_multi_add_handle(client->multi, transfer->easy))
			transfer->result = -ENOMEM;
		if (transfer->result) {
			transfer_end(transfer, CURLE_ABORTED_BY_CALLBACK);
			continue;
		}
		transfer->next = client->active;
		client->active = transfer;
	}
}

/* Do what callers have asked for: go on after a pause, or stop. */
static void client_attend(struct http_client *client)
{
	struct transfer **link = &client->active;

	while (*link) {
		struct transfer *transfer = *link;
		bool resume;
		int stop;

		pthread_mutex_lock(&client->lock);
		stop = client->closing && !transfer->stop ? -ECANCELED : transfer->stop;
		resume = transfer->resume && !stop;
		if (resume) {
			transfer->resume = transfer->receive_paused = transfer->send_paused = false;
			transfer->moved_at = http_now();
		}
		pthread_mutex_unlock(&client->lock);
		if (stop) {
			*link = transfer->next;
			transfer->result = stop;
			transfer_end(transfer, CURLE_ABORTED_BY_CALLBACK);
			continue;
		}
		/* Calls transfer_on_body for what waits; a failure ends the transfer in the next round. */
		if (resume)
			curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
		link = &transfer->next;
	}
}

static void client_collect(struct http_client *client)
{
	struct CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left))) {
		struct transfer **link = &client->active;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		while (*link && (*link)->easy != message->easy_handle)
			link = &(*link)->next;
		if (*link) {
			struct transfer *transfer = *link;

			*link = transfer->next;
			transfer_end(transfer, code);
		}
	}
}

static void *client_main(void *context)
{
	struct http_client *client = context;
	bool done = false;

	while (!done) {
		int running;

		client_admit(client);
		client_attend(client);
		curl_multi_perform(client->multi, &running);
		client_collect(client);
		curl_multi_poll(client->multi, NULL, 0, POLL_MOST, NULL);
		pthread_mutex_lock(&client->lock);
		done = client->closing && !client->queued && !client->active;
		pthread_mutex_unlock(&client->lock);
	}
	return NULL;
}

static void client_free(struct http_client *client)
{
	curl_multi_cleanup(client->multi);
	pthread_cond_destroy(&client->idle);
	pthread_mutex_destroy(&client->lock);
	free(client->ca_file);
	free(client->proxy);
	free(client->agent);
	free(client);
	curl_global_cleanup();
}

static int client_configure(struct http_client *client, const struct http_options *options)
{
	long host = options->host_connections ? (long)options->host_connections : HOST_CONNECTIONS;

	client->ca_file = text_duplicate(options->ca_file);
	client->proxy = text_duplicate(options->proxy);
	client->agent = text_duplicate(options->agent);
	if (options->connect_timeout)
		client->connect_timeout = (long)(options->connect_timeout / 1000000u) + 1;
	if ((options->ca_file && !client->ca_file) || (options->proxy && !client->proxy) ||
	    (options->agent && !client->agent))
		return -ENOMEM;
	if (curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX) ||
	    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, host) ||
	    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS))
		return -ENOMEM;
	return 0;
}

int http_client_create(struct http_client **out, const struct http_options *options)
{
	static const struct http_options defaults;
	struct http_client *client;
	sigset_t all, before;
	int error = -ENOMEM;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return -EIO;
	client = calloc(1, sizeof(*client));
	if (!client) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	client->connect_timeout = CONNECT_TIMEOUT;
	pthread_mutex_init(&client->lock, NULL);
	pthread_cond_init(&client->idle, NULL);
	client->multi = curl_multi_init();
	if (!client->multi)
		goto fail;
	error = client_configure(client, options ? options : &defaults);
	if (error)
		goto fail;
	/* Signals are for others, and SIGPIPE of a broken connection is for nobody. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	error = -pthread_create(&client->thread, NULL, client_main, client);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		goto fail;
	*out = client;
	return 0;

fail:
	client_free(client);
	return error;
}

void http_client_destroy(struct http_client *client)
{
	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	client->closing = true;
	pthread_mutex_unlock(&client->lock);
	curl_multi_wakeup(client->multi);
	pthread_join(client->thread, NULL);
	pthread_mutex_lock(&client->lock);
	while (client->callers)
		pthread_cond_wait(&client->idle, &client->lock);
	pthread_mutex_unlock(&client->lock);
	client_free(client);
}
