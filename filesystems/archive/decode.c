/* SPDX-License-Identifier: MIT */
/* The decoders that libarchive does. */
#include "filesystems/archive/reader.h"
#include "filesystems/archive/store.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* After damage, at most this much of a member is filled with zeros to reach the next member. */
#define FILL_MAX ((uint64_t)16 << 20)

/* The data of the member at which a handle stands, as one run of bytes: holes are zeros. */
struct member_data {
	struct archive *archive;
	uint64_t position;
	const char *block;
	uint64_t block_offset;
	size_t block_size;
	unsigned empty; /* blocks in a row */
	bool ended;
};

static int member_next_block(struct member_data *data)
{
	const void *block;
	la_int64_t offset;
	size_t size;
	int result = archive_read_data_block(data->archive, &block, &size, &offset);

	if (result == ARCHIVE_EOF) {
		data->ended = true;
		return 0;
	}
	if (result < ARCHIVE_WARN)
		return reader_errno(data->archive);
	data->empty = size ? 0 : data->empty + 1;
	if (data->empty > EMPTY_BLOCKS_MAX || (size && (offset < 0 || (uint64_t)offset < data->position)))
		return -EIO;
	if (!size)
		return 0;
	data->block = block;
	data->block_offset = (uint64_t)offset;
	data->block_size = size;
	return 0;
}

static int member_read(struct member_data *data, char *buffer, size_t size, size_t *done)
{
	size_t total = 0;

	while (total < size) {
		size_t room = size - total;
		uint64_t block_end = data->block_offset + data->block_size;

		if (data->block && data->position < data->block_offset) {
			if (room > data->block_offset - data->position)
				room = (size_t)(data->block_offset - data->position);
			memset(buffer + total, 0, room);
		} else if (data->block && data->position < block_end) {
			if (room > block_end - data->position)
				room = (size_t)(block_end - data->position);
			memcpy(buffer + total, data->block + (data->position - data->block_offset), room);
		} else {
			int error;

			if (data->ended)
				break;
			data->block = NULL;
			error = member_next_block(data);
			/* What was decoded before the damage counts; the next call meets the damage again. */
			if (error && !total)
				return error;
			if (error)
				break;
			continue;
		}
		data->position += room;
		total += room;
	}
	*done = total;
	return 0;
}

static void member_close(void *state)
{
	struct member_data *data = state;

	reader_close(data->archive);
	free(data);
}

/* A handle at the first header behind start. */
static int member_open(struct space *space, uint64_t start, enum reader_what what, const char *password, void **out)
{
	struct member_data *data = calloc(1, sizeof(*data));
	struct archive_entry *entry;
	int error;

	if (!data)
		return -ENOMEM;
	error = reader_open(&data->archive, space, start, what, password);
	if (!error && archive_read_next_header(data->archive, &entry) < ARCHIVE_WARN)
		error = reader_errno(data->archive);
	if (error) {
		member_close(data);
		return error;
	}
	*out = data;
	return 0;
}

static int member_state_read(void *state, void *buffer, size_t size, size_t *done)
{
	return member_read(state, buffer, size, done);
}

static int filters_open(void *context, uint64_t member, void **state)
{
	const struct decode_context *decode = context;

	return member_open(decode->base, 0, READER_FILTERS, NULL, state);
}

const struct cursor_kind decode_filters = {
	.open = filters_open,
	.read = member_state_read,
	.close = member_close,
};

static int zip_member_open(void *context, uint64_t member, void **state)
{
	const struct decode_context *decode = context;

	return member_open(decode->base, decode->index->nodes[member].place, READER_ZIP_MEMBER, decode->password,
			   state);
}

const struct cursor_kind decode_zip_member = {
	.open = zip_member_open,
	.read = member_state_read,
	.close = member_close,
};

/* Goes through the members of the sequence in order. Each gives exactly the bytes that the index says. */
struct sequence {
	const struct decode_context *decode;
	struct member_data data;
	uint32_t headers; /* read so far */
	uint32_t next;	  /* member of the sequence, also while inside it */
	bool inside;
	bool failed; /* the rest of this member is zeros */
};

static int sequence_open(void *context, uint64_t member, void **state)
{
	struct sequence *sequence = calloc(1, sizeof(*sequence));
	int error;

	if (!sequence)
		return -ENOMEM;
	sequence->decode = context;
	error = reader_open(&sequence->data.archive, sequence->decode->base, 0, READER_MEMBERS,
			    sequence->decode->password);
	if (error) {
		free(sequence);
		return error;
	}
	*state = sequence;
	return 0;
}

static void sequence_close(void *state)
{
	struct sequence *sequence = state;

	reader_close(sequence->data.archive);
	free(sequence);
}

static int sequence_enter(struct sequence *sequence)
{
	uint32_t ordinal = sequence->decode->index->sequence[sequence->next].ordinal;
	struct archive_entry *entry;

	while (sequence->headers <= ordinal) {
		int result = archive_read_next_header(sequence->data.archive, &entry);

		if (result == ARCHIVE_EOF || result == ARCHIVE_FATAL)
			return -EIO;
		if (result != ARCHIVE_RETRY)
			sequence->headers++;
	}
	sequence->data.position = 0;
	sequence->data.block = NULL;
	sequence->data.ended = false;
	sequence->inside = true;
	sequence->failed = false;
	return 0;
}

static int sequence_read(void *state, void *buffer, size_t size, size_t *done)
{
	struct sequence *sequence = state;
	const struct index *index = sequence->decode->index;
	size_t total = 0, got;
	int error = 0;

	while (total < size && sequence->next < index->head->sequence_count) {
		const struct index_member *member = &index->sequence[sequence->next];
		uint64_t room = member->size - sequence->data.position;

		if (!sequence->inside) {
			error = sequence_enter(sequence);
			if (error)
				break;
			continue;
		}
		if (!room) {
			sequence->next++;
			sequence->inside = false;
			sequence->data.position = 0;
			continue;
		}
		room = room < size - total ? room : size - total;
		if (sequence->failed) {
			memset((char *)buffer + total, 0, (size_t)room);
			sequence->data.position += room;
			total += (size_t)room;
			continue;
		}
		error = member_read(&sequence->data, (char *)buffer + total, (size_t)room, &got);
		if (!error)
			total += got;
		if (error || got < room) {
			store_spill_taint(sequence->decode->spill_fd);
			atomic_store(&sequence->decode->bad[sequence->next], 1);
			if (member->size - sequence->data.position > FILL_MAX) {
				error = -EIO;
				break;
			}
			error = 0;
			sequence->failed = true;
		}
	}
	*done = total;
	return total ? 0 : error;
}

const struct cursor_kind decode_sequence = {
	.open = sequence_open,
	.read = sequence_read,
	.close = sequence_close,
};
