/* SPDX-License-Identifier: MIT */
#include "emulators/box/body.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK		(128u << 10)
#define PIECE		1024u /* the smallest piece, and how many a second, with a limited bandwidth */
#define PIECES_A_SECOND 50u

/* A body that is pulled. */
struct body {
	struct request *request; /* outlives the response's last pull */
	struct MHD_Connection *connection;
	int fd;
	char *text;
	uint64_t offset, length;
	bool stalled;
};

void body_reset(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	const struct timespec pause = {.tv_nsec = 1000000};
	int unsent = 0;

	if (!info)
		return;
	/* What was sent before should arrive: a reset throws away what waits. */
	for (int i = 0; i < 500 && ioctl(info->connect_fd, SIOCOUTQ, &unsent) == 0 && unsent > 0; i++)
		nanosleep(&pause, NULL);
	/* Dissolving the association sends the reset at once. */
	if (connect(info->connect_fd, &nobody, sizeof(nobody)))
		shutdown(info->connect_fd, SHUT_RDWR);
}

static ssize_t body_pull(void *context, uint64_t position, char *buffer, size_t size)
{
	struct body *body = context;
	struct request *request = body->request;
	const struct fault_effect *effect = &request->effect;
	uint64_t at = (uint64_t)effect->at;
	bool cut = fault_has(effect, FAULT_RESET_BODY) || fault_has(effect, FAULT_TRUNCATE);
	uint64_t rate = (uint64_t)faults_bandwidth(request->emulator->faults);
	ssize_t got;

	if (position >= body->length)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (faults_wait_dropped(request->emulator->faults, request->route ? request->route->kind : NULL,
				request->method, request->path)) {
		body_reset(body->connection);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (size > BLOCK)
		size = BLOCK;
	if (size > body->length - position)
		size = body->length - position;
	/* Through a narrow line it comes in small pieces, as it would. */
	if (rate > 0 && size > PIECE && size > rate / PIECES_A_SECOND)
		size = rate / PIECES_A_SECOND > PIECE ? rate / PIECES_A_SECOND : PIECE;
	if (fault_has(effect, FAULT_STALL) && effect->stall_at >= 0 && !body->stalled) {
		if ((uint64_t)effect->stall_at <= position) {
			body->stalled = true;
			faults_sleep(request->emulator->faults, effect->stall_seconds * 1000);
		} else if (size > (uint64_t)effect->stall_at - position) {
			size = (uint64_t)effect->stall_at - position;
		}
	}
	if (cut && position >= at) {
		if (fault_has(effect, FAULT_RESET_BODY))
			body_reset(body->connection);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (cut && size > at - position)
		size = at - position;
	if (body->fd >= 0) {
		got = pread(body->fd, buffer, size, (off_t)(body->offset + position));
		if (got <= 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	} else {
		memcpy(buffer, body->text + position, size);
		got = (ssize_t)size;
	}
	if (fault_has(effect, FAULT_CORRUPT) && at >= position && at < position + (uint64_t)got)
		buffer[at - position] = (char)~buffer[at - position];
	faults_carry(request->emulator->faults, (uint64_t)got, false);
	return got;
}

static void body_free(void *context)
{
	struct body *body = context;

	if (body->fd >= 0)
		close(body->fd);
	free(body->text);
	free(body);
}

static bool body_must_be_pulled(struct request *request)
{
	const unsigned int kinds = 1u << FAULT_RESET_BODY | 1u << FAULT_TRUNCATE | 1u << FAULT_CORRUPT |
				   1u << FAULT_STALL | 1u << FAULT_DROP;

	return request->effect.kinds & kinds || faults_bandwidth(request->emulator->faults) > 0;
}

struct MHD_Response *body_response(struct request *request)
{
	struct answer *answer = &request->answer;
	struct MHD_Response *response = NULL;
	struct body *body;

	if (answer->fd >= 0)
		request->answer.size = answer->length;
	if (answer->size && body_must_be_pulled(request)) {
		body = calloc(1, sizeof(*body));
		if (!body)
			return NULL;
		*body = (struct body){
			.request = request,
			.connection = request->connection,
			.fd = answer->fd,
			.text = answer->text,
			.offset = answer->offset,
			.length = answer->size,
		};
		response = MHD_create_response_from_callback(answer->size, BLOCK, body_pull, body, body_free);
		if (!response) {
			free(body);
			return NULL;
		}
		answer->fd = -1;
		answer->text = NULL;
	} else if (answer->fd >= 0) {
		response = MHD_create_response_from_fd_at_offset64(answer->length, answer->fd, answer->offset);
		if (response)
			answer->fd = -1;
	} else {
		response = MHD_create_response_from_buffer(answer->size, answer->text ? answer->text : (char *)"",
							   answer->text ? MHD_RESPMEM_MUST_FREE
									: MHD_RESPMEM_PERSISTENT);
		if (response)
			answer->text = NULL;
	}
	return response;
}
