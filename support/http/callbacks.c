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

/* Up to size bytes of what is left of a text. */
static size_t take_text(const char *text, size_t text_size, size_t *sent, char *buffer, size_t size)
{
	size_t left = text_size - *sent;

	size = size < left ? size : left;
	if (size)
		memcpy(buffer, text + *sent, size);
	*sent += size;
	return size;
}

/* The body is a text, or what stands before the source, the source, and what stands behind it. */
size_t transfer_on_send(char *buffer, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	const struct http_request *request = transfer->request;
	size_t taken = 0;

	size *= count;
	pthread_mutex_lock(&transfer->client->lock);
	transfer->moved_at = http_now();
	if (request->body) {
		taken = take_text(request->body, request->body_size, &transfer->body_offset, buffer, size);
	} else if (transfer->before_sent < transfer->before_size) {
		taken = take_text(transfer->before, transfer->before_size, &transfer->before_sent, buffer, size);
	} else if (transfer->sending.count) {
		taken = ring_take(&transfer->sending, buffer, size);
		transfer->gone += taken;
		pthread_cond_signal(&transfer->moved);
	} else if (transfer->source && transfer->gone < transfer->source->bytes) {
		transfer->send_paused = true;
		pthread_cond_signal(&transfer->moved);
		taken = CURL_READFUNC_PAUSE;
	} else {
		taken = take_text(transfer->after, transfer->after_size, &transfer->after_sent, buffer, size);
	}
	pthread_mutex_unlock(&transfer->client->lock);
	return taken;
}
