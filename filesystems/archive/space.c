/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/space.h"

#include "support/file.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHUNK	    (256u << 10)
#define DECODED_MAX 3u /* decoders beyond the spill file; each may hold a large dictionary */

struct space {
	int fd; /* file space: the archive; decoded space: the spill file or -1 */
	uint64_t size;
	/* Of a decoded space: */
	const struct cursor_kind *kind;
	void *context;
	uint64_t start;
	_Atomic uint64_t have;
	_Atomic uint64_t limit;
	struct cursors *cursors;
	pthread_mutex_t fill; /* guards what follows */
	void *filler;
	uint64_t filler_position;
	bool ended;
	int error;
	char *chunk;
};

int space_open_file(struct space **out, int fd, uint64_t size)
{
	struct space *space = calloc(1, sizeof(*space));

	if (!space)
		return -ENOMEM;
	space->fd = fd;
	space->size = size;
	*out = space;
	return 0;
}

int space_open_decoded(struct space **out, const struct cursor_kind *kind, void *context, const struct spill *spill)
{
	struct space *space = calloc(1, sizeof(*space));
	int error = -ENOMEM;

	if (!space)
		return -ENOMEM;
	space->fd = spill->fd;
	space->size = UINT64_MAX;
	space->kind = kind;
	space->context = context;
	space->start = spill->start;
	space->have = spill->fd >= 0 ? spill->have : 0;
	space->limit = spill->fd >= 0 ? spill->limit : 0;
	if (space->limit < space->have)
		space->limit = space->have;
	space->chunk = malloc(CHUNK);
	if (space->chunk)
		error = cursors_create(&space->cursors, kind, context, DECODED_MAX);
	if (error) {
		free(space->chunk);
		free(space);
		return error;
	}
	pthread_mutex_init(&space->fill, NULL);
	*out = space;
	return 0;
}

void space_close(struct space *space)
{
	if (!space)
		return;
	if (space->kind) {
		if (space->filler)
			space->kind->close(space->filler);
		cursors_destroy(space->cursors);
		pthread_mutex_destroy(&space->fill);
		free(space->chunk);
	}
	free(space);
}

uint64_t space_size(const struct space *space)
{
	return space->size;
}

uint64_t space_spilled(struct space *space)
{
	return space->kind ? atomic_load(&space->have) : 0;
}

/* pread of all size bytes, less only at the end of the file. */
static int space_pread(int fd, void *buffer, size_t size, uint64_t offset, bool nowait, size_t *done)
{
	size_t total = 0;

	if (offset > INT64_MAX - size) {
		*done = 0;
		return 0;
	}
	while (total < size) {
		struct iovec piece = {(char *)buffer + total, size - total};
		ssize_t got = nowait ? preadv2(fd, &piece, 1, (off_t)(offset + total), RWF_NOWAIT)
				     : pread(fd, piece.iov_base, piece.iov_len, (off_t)(offset + total));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return nowait && (errno == EOPNOTSUPP || errno == EAGAIN) ? -EAGAIN : -EIO;
		if (got == 0)
			break;
		total += (size_t)got;
	}
	*done = total;
	return 0;
}

/* Decode into the spill file until it holds what lies before end, or cannot. fill is locked. */
static int space_fill(struct space *space, uint64_t end, const volatile uint32_t *interrupted)
{
	size_t got;
	int error;

	while (space->have < end && space->have < space->limit && !space->ended) {
		uint64_t have = space->have;
		uint64_t room = CHUNK;

		if (space->error)
			return space->error;
		if (interrupted && *interrupted)
			return -EINTR;
		if (!space->filler) {
			error = space->kind->open(space->context, 0, &space->filler);
			if (error)
				return error;
			space->filler_position = 0;
		}
		if (space->filler_position < have)
			room = have - space->filler_position;
		else if (room > space->limit - have)
			room = space->limit - have;
		if (room > CHUNK)
			room = CHUNK;
		error = space->kind->read(space->filler, space->chunk, (size_t)room, &got);
		if (error) {
			if (error != -ENOMEM)
				space->error = error;
			return error;
		}
		if (!got) {
			space->ended = true;
			break;
		}
		if (space->filler_position >= have) {
			if (file_write_at(space->fd, space->chunk, got, space->start + have) == 0)
				space->have = have + got;
			else
				space->limit = have; /* the disk is full: the rest goes by cursors */
		}
		space->filler_position += got;
	}
	/* A decoder that has done its work goes on as a cursor. One that is past unspilled data would lose it. */
	if (space->filler && space->have >= space->limit && !space->ended) {
		cursors_adopt(space->cursors, 0, space->filler, space->filler_position);
		space->filler = NULL;
	}
	return 0;
}

static int space_read_decoded(struct space *space, char *buffer, size_t size, uint64_t offset, bool nowait,
			      const volatile uint32_t *interrupted, size_t *done)
{
	uint64_t have = atomic_load(&space->have);
	size_t total = 0, got = 0;
	int error = 0;

	if (offset + size > have && offset < atomic_load(&space->limit)) {
		if (nowait)
			return -EAGAIN;
		pthread_mutex_lock(&space->fill);
		error = space_fill(space, offset + size, interrupted);
		have = space->have;
		pthread_mutex_unlock(&space->fill);
		/* Damage behind what was asked for in part: give that part; the next read gets the error. */
		if (error && offset >= have)
			return error;
	}
	if (offset < have) {
		size_t room = size < have - offset ? size : (size_t)(have - offset);

		error = space_pread(space->fd, buffer, room, space->start + offset, nowait, &total);
		if (!error && total < room)
			error = -EIO;
		if (error)
			return error;
	}
	if (total < size && offset + total >= atomic_load(&space->limit)) {
		if (nowait)
			return -EAGAIN;
		error = cursors_read(space->cursors, 0, 0, buffer + total, size - total, offset + total, interrupted,
				     &got);
		if (error && !(total + got))
			return error;
	}
	*done = total + got;
	return 0;
}

int space_read(struct space *space, void *buffer, size_t size, uint64_t offset, bool nowait,
	       const volatile uint32_t *interrupted, size_t *done)
{
	*done = 0;
	if (offset > UINT64_MAX - size)
		return 0;
	if (space->kind)
		return space_read_decoded(space, buffer, size, offset, nowait, interrupted, done);
	return space_pread(space->fd, buffer, size, offset, nowait, done);
}
