/* SPDX-License-Identifier: MIT */
#include "support/http/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (1u << 20)

/* Break off: libcurl ends the transfer when a callback answers something impossible. */
static size_t broken(struct transfer *transfer, int error)
{
	transfer->result = error;
	return 0;
}

int transfer_on_start(void *context, char *to, char *from, int to_port, int from_port)
{
	struct transfer *transfer = context;

	(void)to;
	(void)from;
	(void)to_port;
	(void)from_port;
	/* A second time means that a kept connection broke: the server may have seen the request on the first. */
	if (transfer->starts && !transfer->request->repeatable) {
		transfer->result = -ECONNRESET;
		return CURL_PREREQFUNC_ABORT;
	}
	pthread_mutex_lock(&transfer->client->lock);
	transfer->starts++;
	transfer->moved_at = http_now();
	pthread_cond_signal(&transfer->moved); /* bytes to send are wanted now */
	pthread_mutex_unlock(&transfer->client->lock);
	return CURL_PREREQFUNC_OK;
}

/* Append "line\0", without the line's end. */
static int keep_header(struct http_response *out, const char *line, size_t size)
{
	char *longer;

	while (size && (line[size - 1] == '\r' || line[size - 1] == '\n'))
		size--;
	if (out->headers_size + size + 2 > HTTP_HEADERS_MAX)
		return -EFBIG;
	longer = realloc(out->headers, out->headers_size + size + 2);
	if (!longer)
		return -ENOMEM;
	memcpy(longer + out->headers_size, line, size);
	longer[out->headers_size + size] = 0;
	longer[out->headers_size + size + 1] = 0;
	out->headers = longer;
	out->headers_size += size + 1;
	return 0;
}

size_t transfer_on_header(char *line, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	struct http_response *out = transfer->out;
	size_t length = size * count;
	long status = 0;
	int error = 0;

	pthread_mutex_lock(&transfer->client->lock);
	transfer->moved_at = http_now();
	if (transfer->head_known) { /* a trailer */
		pthread_mutex_unlock(&transfer->client->lock);
		return length;
	}
	if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		out->headers_size = 0;
	} else if (length && line[0] != '\r' && line[0] != '\n') {
		error = keep_header(out, line, length);
	} else {
		curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status >= 200) {
			out->status = (unsigned)status;
			transfer->streaming = transfer->request->data && (status == 200 || status == 206);
			transfer->head_known = true;
			pthread_cond_signal(&transfer->moved);
		}
	}
	pthread_mutex_unlock(&transfer->client->lock);
	return error ? broken(transfer, error) : length;
}

static int keep_body(struct transfer *transfer, const char *data, size_t size)
{
	struct http_response *out = transfer->out;
	size_t most = transfer->request->body_max ? transfer->request->body_max : BODY_MAX;
	size_t need = out->body_size + size + 1;

	if (size > most - out->body_size)
		return -EFBIG;
	if (need > transfer->body_room) {
		size_t room = transfer->body_room ? transfer->body_room : 4096;
		char *larger;

		while (room < need)
			room *= 2;
		larger = realloc(out->body, room);
		if (!larger)
			return -ENOMEM;
		out->body = larger;
		transfer->body_room = room;
	}
	memcpy(out->body + out->body_size, data, size);
	out->body_size += size;
	out->body[out->body_size] = 0;
	return 0;
}

static void ring_put(struct ring *ring, const char *data, size_t size)
{
	size_t at = (ring->start + ring->count) % HTTP_BUFFER;
	size_t first = size < HTTP_BUFFER - at ? size : HTTP_BUFFER - at;

	memcpy(ring->bytes + at, data, first);
	memcpy(ring->bytes, data + first, size - first);
	ring->count += size;
}

static size_t ring_take(struct ring *ring, char *out, size_t size)
{
	size_t taken = size < ring->count ? size : ring->count;
	size_t first = taken < HTTP_BUFFER - ring->start ? taken : HTTP_BUFFER - ring->start;

	memcpy(out, ring->bytes + ring->start, first);
	memcpy(out + first, ring->bytes, taken - first);
	ring->start = (ring->start + taken) % HTTP_BUFFER;
	ring->count -= taken;
	return taken;
}

size_t transfer_on_body(char *data, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t length = size * count;
	int error = 0;

	pthread_mutex_lock(&transfer->client->lock);
	transfer->moved_at = http_now();
	if (!transfer->streaming) {
		error = keep_body(transfer, data, length);
	} else if (!transfer->arrived.bytes && !(transfer->arrived.bytes = malloc(HTTP_BUFFER))) {
		error = -ENOMEM;
	} else if (length > HTTP_BUFFER - transfer->arrived.count) {
		transfer->receive_paused = true;
		length = CURL_WRITEFUNC_PAUSE;
	} else {
		ring_put(&transfer->arrived, data, length);
		pthread_cond_signal(&transfer->moved);
	}
	pthread_mutex_unlock(&transfer->client->lock);
	return error ? broken(transfer, error) : length;
}

static size_t send_memory(struct transfer *transfer, char *buffer, size_t size)
{
	const struct http_request *request = transfer->request;
	size_t left = request->body_size - transfer->body_offset;

	size = size < left ? size : left;
	memcpy(buffer, (const char *)request->body + transfer->body_offset, size);
	transfer->body_offset += size;
	return size;
}

size_t transfer_on_send(char *buffer, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t taken = 0;

	pthread_mutex_lock(&transfer->client->lock);
	transfer->moved_at = http_now();
	if (!transfer->source) {
		taken = send_memory(transfer, buffer, size * count);
	} else if (transfer->sending.count) {
		taken = ring_take(&transfer->sending, buffer, size * count);
		transfer->gone += taken;
		pthread_cond_signal(&transfer->moved);
	} else if (transfer->gone < transfer->source->bytes) {
		transfer->send_paused = true;
		taken = CURL_READFUNC_PAUSE;
	}
	pthread_mutex_unlock(&transfer->client->lock);
	return taken;
}
