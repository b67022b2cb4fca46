/* SPDX-License-Identifier: MIT */
/* Deflated zip members: zlib from the member's own first byte on, with copies to go back to. */
#include "filesystems/archive/reader.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define INPUT_SIZE (16u << 10)

struct inflater {
	const struct decode_context *decode;
	const struct index_node *node;
	z_stream stream;
	uint64_t input; /* offset in the base space of what comes behind stream.next_in */
	uint64_t produced;
	uint32_t check; /* CRC-32 of what was decoded */
	bool ended;
	unsigned char *buffer; /* made when it is first needed */
};

static int inflater_open(void *context, uint64_t member, void **state)
{
	struct inflater *inflater = calloc(1, sizeof(*inflater));

	if (!inflater)
		return -ENOMEM;
	inflater->decode = context;
	inflater->node = &inflater->decode->index->nodes[member];
	inflater->input = inflater->node->place;
	inflater->check = (uint32_t)crc32(0, NULL, 0);
	if (inflateInit2(&inflater->stream, -MAX_WBITS) != Z_OK) {
		free(inflater);
		return -ENOMEM;
	}
	*state = inflater;
	return 0;
}

static void inflater_close(void *state)
{
	struct inflater *inflater = state;

	inflateEnd(&inflater->stream);
	free(inflater->buffer);
	free(inflater);
}

static int inflater_copy(void *state, void **copy)
{
	struct inflater *from = state;
	struct inflater *to = malloc(sizeof(*to));

	if (!to)
		return -ENOMEM;
	*to = *from;
	if (inflateCopy(&to->stream, &from->stream) != Z_OK) {
		free(to);
		return -ENOMEM;
	}
	to->input -= to->stream.avail_in;
	to->stream.avail_in = 0;
	to->buffer = NULL;
	*copy = to;
	return 0;
}

static int inflater_refill(struct inflater *inflater)
{
	size_t got;
	int error;

	if (!inflater->buffer && !(inflater->buffer = malloc(INPUT_SIZE)))
		return -ENOMEM;
	error = space_read(inflater->decode->base, inflater->buffer, INPUT_SIZE, inflater->input, false, NULL, &got);
	if (error)
		return error;
	if (!got)
		return -EIO;
	inflater->input += got;
	inflater->stream.next_in = inflater->buffer;
	inflater->stream.avail_in = (unsigned)got;
	return 0;
}

static int inflater_read(void *state, void *buffer, size_t size, size_t *done)
{
	struct inflater *inflater = state;
	const struct index_node *node = inflater->node;
	int error = 0;

	if (size > node->size - inflater->produced)
		size = (size_t)(node->size - inflater->produced);
	inflater->stream.next_out = buffer;
	inflater->stream.avail_out = (unsigned)size;
	while (inflater->stream.avail_out && !inflater->ended) {
		int result;

		if (!inflater->stream.avail_in) {
			error = inflater_refill(inflater);
			if (error)
				return error;
		}
		result = inflate(&inflater->stream, Z_NO_FLUSH);
		if (result == Z_STREAM_END)
			inflater->ended = true;
		else if (result != Z_OK)
			return result == Z_MEM_ERROR ? -ENOMEM : -EIO;
	}
	*done = size - inflater->stream.avail_out;
	inflater->produced += *done;
	inflater->check = (uint32_t)crc32_z(inflater->check, buffer, *done);
	if (inflater->stream.avail_out)
		return -EIO;
	if ((node->flags & NODE_HAS_CHECK) && inflater->produced == node->size && inflater->check != node->check)
		return -EIO;
	return 0;
}

const struct cursor_kind decode_deflate = {
	.open = inflater_open,
	.read = inflater_read,
	.copy = inflater_copy,
	.close = inflater_close,
};
