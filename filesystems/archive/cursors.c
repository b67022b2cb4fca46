/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/cursors.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* A reader waits for a cursor on its way to it if that is at most this far away. */
#define WAIT_DISTANCE ((uint64_t)8 << 20)
/* Bytes decoded and thrown away at a time. */
#define SKIP_SIZE 65536u

enum cursor_life { CURSOR_ABSENT, CURSOR_IDLE, CURSOR_BUSY };

struct cursor {
	enum cursor_life life;
	uint64_t member;
	uint64_t position; /* idle: reached; busy: where it will stop */
	uint64_t used;	   /* clock of the last use */
	void *state;
};

struct cursors {
	const struct cursor_kind *kind;
	void *context;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t clock;
	unsigned maximum;
	struct cursor cursor[];
};

int cursors_create(struct cursors **out, const struct cursor_kind *kind, void *context, unsigned maximum)
{
	struct cursors *cursors = calloc(1, sizeof(*cursors) + maximum * sizeof(struct cursor));

	if (!cursors)
		return -ENOMEM;
	cursors->kind = kind;
	cursors->context = context;
	cursors->maximum = maximum;
	pthread_mutex_init(&cursors->lock, NULL);
	pthread_cond_init(&cursors->changed, NULL);
	*out = cursors;
	return 0;
}

void cursors_destroy(struct cursors *cursors)
{
	if (!cursors)
		return;
	for (unsigned i = 0; i < cursors->maximum; i++) {
		if (cursors->cursor[i].life != CURSOR_ABSENT)
			cursors->kind->close(cursors->cursor[i].state);
	}
	pthread_cond_destroy(&cursors->changed);
	pthread_mutex_destroy(&cursors->lock);
	free(cursors);
}

/* A free place, made by giving up the least recently used idle cursor if need be. *old: a state to close. Locked. */
static struct cursor *cursors_place(struct cursors *cursors, void **old)
{
	struct cursor *oldest = NULL;

	*old = NULL;
	for (unsigned i = 0; i < cursors->maximum; i++) {
		struct cursor *cursor = &cursors->cursor[i];

		if (cursor->life == CURSOR_ABSENT)
			return cursor;
		if (cursor->life == CURSOR_IDLE && (!oldest || cursor->used < oldest->used))
			oldest = cursor;
	}
	if (oldest) {
		*old = oldest->state;
		oldest->life = CURSOR_ABSENT;
	}
	return oldest;
}

/* Find or make a cursor at or before offset and mark it busy until end. Waits where that is better. */
static int cursors_take(struct cursors *cursors, uint64_t member, uint64_t offset, uint64_t end, struct cursor **out,
			uint64_t *position)
{
	struct cursor *best;
	void *old = NULL;
	int error = 0;

	pthread_mutex_lock(&cursors->lock);
	for (;;) {
		struct cursor *runner = NULL;

		best = NULL;
		for (unsigned i = 0; i < cursors->maximum; i++) {
			struct cursor *cursor = &cursors->cursor[i];

			if (cursor->life == CURSOR_ABSENT || cursor->member != member || cursor->position > offset)
				continue;
			if (cursor->life == CURSOR_IDLE && (!best || cursor->position > best->position))
				best = cursor;
			if (cursor->life == CURSOR_BUSY && (!runner || cursor->position > runner->position))
				runner = cursor;
		}
		if (runner && offset - runner->position <= WAIT_DISTANCE &&
		    (!best || best->position < runner->position)) {
			pthread_cond_wait(&cursors->changed, &cursors->lock);
			continue;
		}
		if (best) {
			*position = best->position;
			break;
		}
		best = cursors_place(cursors, &old);
		if (best) {
			best->state = NULL;
			best->member = member;
			*position = 0;
			break;
		}
		pthread_cond_wait(&cursors->changed, &cursors->lock);
	}
	best->life = CURSOR_BUSY;
	best->position = end;
	pthread_mutex_unlock(&cursors->lock);

	if (old)
		cursors->kind->close(old);
	if (!best->state)
		error = cursors->kind->open(cursors->context, member, &best->state);
	if (error) {
		pthread_mutex_lock(&cursors->lock);
		best->life = CURSOR_ABSENT;
		pthread_cond_broadcast(&cursors->changed);
		pthread_mutex_unlock(&cursors->lock);
	}
	*out = best;
	return error;
}

static void cursors_give_back(struct cursors *cursors, struct cursor *cursor, uint64_t position, bool broken)
{
	void *state = broken ? cursor->state : NULL;

	pthread_mutex_lock(&cursors->lock);
	cursor->life = broken ? CURSOR_ABSENT : CURSOR_IDLE;
	cursor->position = position;
	cursor->used = ++cursors->clock;
	pthread_cond_broadcast(&cursors->changed);
	pthread_mutex_unlock(&cursors->lock);
	if (state)
		cursors->kind->close(state);
}

void cursors_adopt(struct cursors *cursors, uint64_t member, void *state, uint64_t position)
{
	struct cursor *place;
	void *old;

	pthread_mutex_lock(&cursors->lock);
	place = cursors_place(cursors, &old);
	if (place) {
		*place = (struct cursor){.life = CURSOR_IDLE,
					 .member = member,
					 .position = position,
					 .used = ++cursors->clock,
					 .state = state};
		pthread_cond_broadcast(&cursors->changed);
	}
	pthread_mutex_unlock(&cursors->lock);
	if (!place)
		old = state;
	if (old)
		cursors->kind->close(old);
}

/* Leave a copy at position unless one is there already. */
static void cursors_mark(struct cursors *cursors, const struct cursor *cursor, uint64_t position)
{
	bool there = false;
	void *copy;

	pthread_mutex_lock(&cursors->lock);
	for (unsigned i = 0; i < cursors->maximum && !there; i++) {
		const struct cursor *other = &cursors->cursor[i];

		there = other->life == CURSOR_IDLE && other->member == cursor->member && other->position == position;
	}
	pthread_mutex_unlock(&cursors->lock);
	if (!there && cursors->kind->copy(cursor->state, &copy) == 0)
		cursors_adopt(cursors, cursor->member, copy, position);
}

int cursors_read(struct cursors *cursors, uint64_t member, uint64_t step, void *buffer, size_t size, uint64_t offset,
		 const volatile uint32_t *interrupted, size_t *done)
{
	struct cursor *cursor;
	uint64_t position;
	char *waste = NULL;
	size_t total = 0, got;
	int error;

	error = cursors_take(cursors, member, offset, offset + size, &cursor, &position);
	if (error)
		return error;
	if (!cursors->kind->copy)
		step = 0;
	/* Read-ahead comes out of order: whoever asks for what is skipped now will be here in a moment. */
	if (step && position < offset && offset - position <= WAIT_DISTANCE)
		cursors_mark(cursors, cursor, position);

	while (total < size) {
		uint64_t room = position < offset ? offset - position : size - total;
		void *target = (char *)buffer + total;

		if (interrupted && *interrupted) {
			error = -EINTR;
			break;
		}
		if (position < offset) {
			if (!waste && !(waste = malloc(SKIP_SIZE))) {
				error = -ENOMEM;
				break;
			}
			target = waste;
			room = room < SKIP_SIZE ? room : SKIP_SIZE;
		}
		if (step && room > step - position % step)
			room = step - position % step;
		error = cursors->kind->read(cursor->state, target, (size_t)room, &got);
		if (error || !got)
			break;
		if (position >= offset)
			total += got;
		position += got;
		if (step && position % step == 0)
			cursors_mark(cursors, cursor, position);
	}
	free(waste);
	cursors_give_back(cursors, cursor, position, error && error != -EINTR && error != -ENOMEM);
	*done = total;
	return error;
}
