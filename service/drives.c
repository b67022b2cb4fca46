/* SPDX-License-Identifier: MIT */
#include "service/drives.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/text.h"

#ifndef ESHUTDOWN
#define ESHUTDOWN 108
#endif

struct drives {
	pthread_mutex_t lock;
	struct drive *first;
	size_t count;
	bool closed;
};

int drives_create(struct drives **out)
{
	struct drives *drives = calloc(1, sizeof(*drives));

	if (!drives)
		return -ENOMEM;
	pthread_mutex_init(&drives->lock, NULL);
	*out = drives;
	return 0;
}

void drives_destroy(struct drives *drives)
{
	pthread_mutex_destroy(&drives->lock);
	free(drives);
}

/* May drive be there together with other? */
static int check_pair(const struct map_request *new, const struct map_request *other, char *error, size_t error_size)
{
	const char *target = new->target;

	if (strcmp(target, other->target) == 0) {
		snprintf(error, error_size, "%s is already mapped, to %s: unmap it first, or choose another folder",
			 target, other->source);
		return -EEXIST;
	}
	if (text_path_within(target, other->target)) {
		snprintf(error, error_size, "%s lies on the drive %s: choose a folder outside of it", target,
			 other->target);
		return -ELOOP;
	}
	if (text_path_within(other->target, target)) {
		snprintf(error, error_size, "%s would cover the drive %s: choose another folder", target,
			 other->target);
		return -ELOOP;
	}
	if (new->rest_is_path && text_path_within(new->rest, other->target)) {
		snprintf(error, error_size,
			 "%s lies on the drive %s, and a drive cannot be made of another: copy it off the drive first",
			 new->rest, other->target);
		return -ELOOP;
	}
	if (other->rest_is_path && text_path_within(other->rest, target)) {
		snprintf(error, error_size, "%s would cover %s, which the drive %s shows: choose another folder",
			 target, other->rest, other->target);
		return -ELOOP;
	}
	return 0;
}

static int check(struct drives *drives, const struct map_request *new, char *error, size_t error_size)
{
	struct drive *other;
	int ret = 0;

	if (drives->closed) {
		snprintf(error, error_size, "the service is about to end: try again");
		return -ESHUTDOWN;
	}
	if (drives->count >= DRIVES_MAX) {
		snprintf(error, error_size, "there are %d drives already, and that is the limit: unmap one first",
			 DRIVES_MAX);
		return -ENOSPC;
	}
	if (new->rest_is_path && text_path_within(new->rest, new->target)) {
		snprintf(error, error_size, "%s would cover its own source %s: choose a folder outside of it",
			 new->target, new->rest);
		return -ELOOP;
	}
	for (other = drives->first; other && !ret; other = other->next)
		ret = check_pair(new, other->request, error, error_size);
	return ret;
}

int drives_reserve(struct drives *drives, struct drive *drive, enum drive_state state, char *error, size_t error_size)
{
	struct drive **end;
	int ret;

	pthread_mutex_lock(&drives->lock);
	ret = check(drives, drive->request, error, error_size);
	if (!ret) {
		for (end = &drives->first; *end; end = &(*end)->next)
			continue;
		*end = drive;
		drive->next = NULL;
		drive->state = state;
		drive->references = 2;
		drive->listed = true;
		drives->count++;
	}
	pthread_mutex_unlock(&drives->lock);
	return ret;
}

void drives_remove(struct drives *drives, struct drive *drive)
{
	struct drive **link;
	bool was_listed;

	pthread_mutex_lock(&drives->lock);
	was_listed = drive->listed;
	for (link = &drives->first; was_listed; link = &(*link)->next) {
		if (*link == drive) {
			*link = drive->next;
			drive->listed = false;
			drives->count--;
			break;
		}
	}
	pthread_mutex_unlock(&drives->lock);
	if (was_listed)
		drives_put(drives, drive);
}

struct drive *drives_find(struct drives *drives, const char *target)
{
	struct drive *drive;

	pthread_mutex_lock(&drives->lock);
	for (drive = drives->first; drive; drive = drive->next) {
		if (strcmp(drive->request->target, target) == 0) {
			drive->references++;
			break;
		}
	}
	pthread_mutex_unlock(&drives->lock);
	return drive;
}

void drives_get(struct drives *drives, struct drive *drive)
{
	pthread_mutex_lock(&drives->lock);
	drive->references++;
	pthread_mutex_unlock(&drives->lock);
}

void drives_put(struct drives *drives, struct drive *drive)
{
	bool last;

	pthread_mutex_lock(&drives->lock);
	last = --drive->references == 0;
	pthread_mutex_unlock(&drives->lock);
	if (last)
		drive->destroy(drive);
}

size_t drives_snapshot(struct drives *drives, struct drive **out)
{
	struct drive *drive;
	size_t count = 0;

	pthread_mutex_lock(&drives->lock);
	for (drive = drives->first; drive; drive = drive->next) {
		drive->references++;
		out[count++] = drive;
	}
	pthread_mutex_unlock(&drives->lock);
	return count;
}

enum drive_state drives_state(struct drives *drives, struct drive *drive)
{
	enum drive_state state;

	pthread_mutex_lock(&drives->lock);
	state = drive->state;
	pthread_mutex_unlock(&drives->lock);
	return state;
}

bool drives_change(struct drives *drives, struct drive *drive, enum drive_state from, enum drive_state to)
{
	bool changed;

	pthread_mutex_lock(&drives->lock);
	changed = drive->state == from;
	if (changed)
		drive->state = to;
	pthread_mutex_unlock(&drives->lock);
	return changed;
}

const char *drives_state_name(enum drive_state state)
{
	switch (state) {
	case DRIVE_MAPPING:
		return "mapping";
	case DRIVE_READY:
		return "ready";
	case DRIVE_FAILED:
		return "failed";
	case DRIVE_OPENING:
		return "opening";
	case DRIVE_UNMAPPING:
		return "unmapping";
	}
	return "unknown";
}

bool drives_close_if_empty(struct drives *drives)
{
	bool empty;

	pthread_mutex_lock(&drives->lock);
	empty = drives->count == 0;
	if (empty)
		drives->closed = true;
	pthread_mutex_unlock(&drives->lock);
	return empty;
}

void drives_reopen(struct drives *drives)
{
	pthread_mutex_lock(&drives->lock);
	drives->closed = false;
	pthread_mutex_unlock(&drives->lock);
}
