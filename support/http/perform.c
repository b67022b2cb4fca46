/* SPDX-License-Identifier: MIT */
/* The caller's side of a request: callbacks, deadline, giving up. */
#include "support/http/internal.h"

#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the caller has told its callbacks so far. */
struct progress {
	bool head_told;
	uint64_t sent_told;
};

static void transfer_stop(struct transfer *transfer, int error)
{
	if (!transfer->stop && !transfer->ended) {
		transfer->stop = error;
		curl_multi_wakeup(transfer->client->multi);
	}
}

static void transfer_fail(struct transfer *transfer, int error)
{
	transfer->caller_error = error;
	transfer_stop(transfer, error);
}

/* The callback of the other side may wait for this. */
static void transfer_resume(struct transfer *transfer)
{
	transfer->resume = true;
	curl_multi_wakeup(transfer->client->multi);
}

static void tell_head(struct transfer *transfer)
{
	int error;

	pthread_mutex_unlock(&transfer->client->lock);
	error = transfer->request->head(transfer->request->context, transfer->out);
	pthread_mutex_lock(&transfer->client->lock);
	if (error)
		transfer_fail(transfer, error);
}

/* Hand on what lies in one piece at the start of the ring; the other side only adds behind it. */
static void tell_data(struct transfer *transfer)
{
	struct ring *ring = &transfer->arrived;
	size_t size = ring->count < HTTP_BUFFER - ring->start ? ring->count : HTTP_BUFFER - ring->start;
	const char *data = ring->bytes + ring->start;
	int error;

	pthread_mutex_unlock(&transfer->client->lock);
	error = transfer->request->data(transfer->request->context, data, size);
	pthread_mutex_lock(&transfer->client->lock);
	ring->start = (ring->start + size) % HTTP_BUFFER;
	ring->count -= size;
	if (error) {
		transfer_fail(transfer, error);
		ring->count = 0;
	} else if (transfer->receive_paused && ring->count <= HTTP_BUFFER / 2) {
		transfer_resume(transfer);
	}
}

/* Whether there is room to fill: half of the ring, or what is left to send. */
static bool wants_filling(const struct transfer *transfer)
{
	uint64_t left = transfer->source ? transfer->source->bytes - transfer->fetched : 0;
	size_t room = HTTP_BUFFER - transfer->sending.count;

	return left && transfer->starts && (room >= HTTP_BUFFER / 2 || room >= left);
}

static void fill(struct transfer *transfer)
{
	struct ring *ring = &transfer->sending;
	uint64_t left = transfer->source->bytes - transfer->fetched;
	size_t at = (ring->start + ring->count) % HTTP_BUFFER;
	size_t size = HTTP_BUFFER - (at >= ring->start && ring->count < HTTP_BUFFER ? at : 0);
	int error;

	if (!ring->bytes && !(ring->bytes = malloc(HTTP_BUFFER))) {
		transfer_fail(transfer, -ENOMEM);
		return;
	}
	if (ring->count + size > HTTP_BUFFER)
		size = HTTP_BUFFER - ring->count;
	size = size < left ? size : (size_t)left;
	pthread_mutex_unlock(&transfer->client->lock);
	error = transfer->source->read(transfer->source->context, ring->bytes + at, size, transfer->fetched);
	pthread_mutex_lock(&transfer->client->lock);
	if (error) {
		transfer_fail(transfer, error);
		return;
	}
	ring->count += size;
	transfer->fetched += size;
	if (transfer->send_paused)
		transfer_resume(transfer);
}

static void tell_sent(struct transfer *transfer, struct progress *progress)
{
	progress->sent_told = transfer->gone;
	pthread_mutex_unlock(&transfer->client->lock);
	transfer->request->sent(transfer->request->context, progress->sent_told);
	pthread_mutex_lock(&transfer->client->lock);
}

static bool stalled(const struct transfer *transfer, uint64_t now)
{
	/* While it is this side that makes the other wait, the network is not to blame. */
	return transfer->request->stall && transfer->starts && !transfer->receive_paused && !transfer->send_paused &&
	       now > transfer->moved_at && now - transfer->moved_at > transfer->request->stall;
}

static void wait_moved(struct transfer *transfer)
{
	uint64_t until = http_now() + HTTP_LOOK;
	struct timespec at;

	if (transfer->request->deadline && transfer->request->deadline < until)
		until = transfer->request->deadline;
	if (!transfer->request->deadline && !transfer->request->cancelled && !transfer->request->stall) {
		pthread_cond_wait(&transfer->moved, &transfer->client->lock);
		return;
	}
	at = (struct timespec){.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
	pthread_cond_timedwait(&transfer->moved, &transfer->client->lock, &at);
}

/* Serve the callbacks until the transfer is over. The lock is held. */
static void attend(struct transfer *transfer)
{
	const struct http_request *request = transfer->request;
	struct progress progress = {false, 0};

	while (!transfer->ended || (transfer->arrived.count && !transfer->result && !transfer->caller_error)) {
		uint64_t now = http_now();

		if (request->cancelled && __atomic_load_n(request->cancelled, __ATOMIC_RELAXED))
			transfer_stop(transfer, -ECANCELED);
		else if (request->deadline && now >= request->deadline)
			transfer_stop(transfer, -ETIMEDOUT);
		else if (stalled(transfer, now))
			transfer_stop(transfer, -ETIME);

		if (transfer->stop && !transfer->ended) {
			pthread_cond_wait(&transfer->moved, &transfer->client->lock);
		} else if (request->head && transfer->head_known && !progress.head_told) {
			progress.head_told = true;
			tell_head(transfer);
		} else if (transfer->arrived.count) {
			tell_data(transfer);
		} else if (request->sent && transfer->gone != progress.sent_told) {
			tell_sent(transfer, &progress);
		} else if (!transfer->ended && wants_filling(transfer)) {
			fill(transfer);
		} else if (!transfer->ended) {
			wait_moved(transfer);
		}
	}
	if (request->sent && transfer->gone != progress.sent_told)
		tell_sent(transfer, &progress);
	if (request->head && transfer->head_known && !progress.head_told && !transfer->result &&
	    !transfer->caller_error)
		tell_head(transfer);
}

static const struct http_source *source_of(const struct http_request *request)
{
	for (size_t i = 0; i < request->field_count; i++) {
		if (request->fields[i].source)
			return request->fields[i].source;
	}
	return request->source;
}

int http_perform(struct http_client *client, const struct http_request *request, struct http_response *out)
{
	struct transfer transfer = {.client = client, .request = request, .out = out};
	pthread_condattr_t monotonic;
	int error;

	*out = (struct http_response){.outcome = HTTP_NOT_SENT};
	error = request_check(request);
	if (error) {
		text_copy(out->error, sizeof(out->error), "the request cannot be sent");
		return error;
	}
	transfer.source = source_of(request);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&transfer.moved, &monotonic);
	pthread_condattr_destroy(&monotonic);

	pthread_mutex_lock(&client->lock);
	if (client->closing) {
		error = -ECANCELED;
	} else {
		client->callers++;
		transfer.next = client->queued;
		client->queued = &transfer;
		curl_multi_wakeup(client->multi);
		attend(&transfer);
		error = transfer.caller_error ? transfer.caller_error : transfer.result;
		if (--client->callers == 0)
			pthread_cond_broadcast(&client->idle);
	}
	pthread_mutex_unlock(&client->lock);

	pthread_cond_destroy(&transfer.moved);
	free(transfer.arrived.bytes);
	free(transfer.sending.bytes);
	if (!error && out->body == NULL && !transfer.streaming)
		out->body = calloc(1, 1);
	if (error && !out->error[0])
		text_copy(out->error, sizeof(out->error), "given up");
	return error;
}
