/* SPDX-License-Identifier: MIT */
/*
 * files.c - the table of open files
 *
 * An id is a slot (its low 16 bits) and 48 random bits, never all zero. Slots that became free are used in turn.
 *
 *    files_add           files_close             last files_put
 *    free --> open, 1 user --> closed, users left --> handle released, lookup given back, slot free
 */
#include <stdlib.h>
#include <string.h>

#include "channel/ioctl/volume_internal.h"

#define NONE UINT32_MAX

static void append_free(struct files *files, uint32_t slot)
{
	files->slot[slot].next = NONE;
	if (files->first_free == NONE)
		files->first_free = slot;
	else
		files->slot[files->last_free].next = slot;
	files->last_free = slot;
}

int files_create(struct files *files, struct volume_kept *kept, uint64_t seed)
{
	files->slot = calloc(VOLUME_FILES, sizeof(*files->slot));
	if (!files->slot)
		return -ENOMEM;
	pthread_mutex_init(&files->lock, NULL);
	files->random = seed;
	files->first_free = NONE;
	for (uint32_t i = 0; i < VOLUME_FILES; i++) {
		files->slot[i].kept = &kept->files[i];
		if (kept->files[i].id) {
			files->slot[i].users = 1;
			files->slot[i].inherited = true;
			files->count++;
		} else {
			append_free(files, i);
		}
	}
	return 0;
}

void files_destroy(struct files *files)
{
	for (uint32_t i = 0; i < VOLUME_FILES; i++)
		free(files->slot[i].path);
	free(files->slot);
	pthread_mutex_destroy(&files->lock);
}

/* splitmix64 */
static uint64_t draw(struct files *files)
{
	uint64_t x = files->random += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Take a certain slot out of the list of free ones: rare. */
static bool take_slot(struct files *files, uint32_t slot)
{
	uint32_t before = NONE;

	for (uint32_t i = files->first_free; i != NONE; before = i, i = files->slot[i].next) {
		if (i != slot)
			continue;
		if (before == NONE)
			files->first_free = files->slot[i].next;
		else
			files->slot[before].next = files->slot[i].next;
		if (files->last_free == i)
			files->last_free = before;
		return true;
	}
	return false;
}

int files_add(struct files *files, const struct kept_file *as, char *path, struct file **out)
{
	struct file *file;
	uint64_t id = as->id;
	uint32_t slot;

	pthread_mutex_lock(&files->lock);
	slot = id ? (uint32_t)(id % VOLUME_FILES) : files->first_free;
	if (slot == NONE || !take_slot(files, slot)) {
		pthread_mutex_unlock(&files->lock);
		return -EMFILE;
	}
	while (id / VOLUME_FILES == 0)
		id = draw(files) / VOLUME_FILES * VOLUME_FILES + slot;
	file = &files->slot[slot];
	*file->kept = *as;
	file->kept->id = 0;
	file->path = path;
	file->users = 2;
	file->closed = false;
	file->inherited = false;
	files->count++;
	__atomic_store_n(&file->kept->id, id, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&files->lock);
	*out = file;
	return 0;
}

struct file *files_get(struct files *files, uint64_t id)
{
	struct file *file = &files->slot[id % VOLUME_FILES];

	pthread_mutex_lock(&files->lock);
	if (!id || file->kept->id != id || file->closed)
		file = NULL;
	else
		file->users++;
	pthread_mutex_unlock(&files->lock);
	return file;
}

bool files_close(struct files *files, struct file *file)
{
	bool was_open;

	pthread_mutex_lock(&files->lock);
	was_open = !file->closed;
	if (was_open)
		file->users--;
	file->closed = true;
	pthread_mutex_unlock(&files->lock);
	return was_open;
}

void files_release(struct call *call, const struct dw_request *req, const struct kept_file *kept)
{
	struct volume *volume = call->volume;

	if (!(kept->flags & FILE_KEPT_RELEASE))
		return;
	if ((kept->flags & FILE_KEPT_FOLDER) && volume->ops.releasedir)
		volume->ops.releasedir(volume->fs, req, kept->node, kept->handle);
	else if (!(kept->flags & FILE_KEPT_FOLDER) && volume->ops.release)
		volume->ops.release(volume->fs, req, kept->node, kept->handle);
}

/* files->lock is held. */
static void free_slot(struct files *files, struct file *file)
{
	free(file->path);
	file->path = NULL;
	files->count--;
	__atomic_store_n(&file->kept->id, 0, __ATOMIC_RELEASE);
	append_free(files, (uint32_t)(file - files->slot));
}

void files_put(struct call *call, struct file *file)
{
	struct files *files = &call->volume->files;
	bool last;

	pthread_mutex_lock(&files->lock);
	last = --file->users == 0;
	pthread_mutex_unlock(&files->lock);
	if (!last)
		return;
	files_release(call, call_main(call), file->kept);
	call_forget(call, file->kept->node);
	pthread_mutex_lock(&files->lock);
	free_slot(files, file);
	pthread_mutex_unlock(&files->lock);
}

struct file *files_get_inherited(struct files *files, uint32_t *slot)
{
	struct file *found = NULL;

	pthread_mutex_lock(&files->lock);
	for (; !found && *slot < VOLUME_FILES; ++*slot) {
		struct file *file = &files->slot[*slot];

		if (!file->kept->id || !file->inherited || file->closed)
			continue;
		file->users++;
		found = file;
	}
	pthread_mutex_unlock(&files->lock);
	return found;
}

void files_adopt(struct files *files, struct file *file)
{
	pthread_mutex_lock(&files->lock);
	file->inherited = false;
	pthread_mutex_unlock(&files->lock);
}

bool files_lose(struct files *files, struct file *file)
{
	bool lost;

	pthread_mutex_lock(&files->lock);
	lost = file->inherited && !file->closed && file->users == 2;
	if (lost)
		free_slot(files, file);
	else
		file->users--;
	pthread_mutex_unlock(&files->lock);
	return lost;
}

/* --- Paths --- */

char *files_path(struct files *files, struct file *file)
{
	char *path;

	pthread_mutex_lock(&files->lock);
	path = file->path ? strdup(file->path) : NULL;
	pthread_mutex_unlock(&files->lock);
	return path;
}

void files_set_path(struct files *files, struct file *file, char *path)
{
	pthread_mutex_lock(&files->lock);
	free(file->path);
	file->path = path;
	pthread_mutex_unlock(&files->lock);
}

void files_renamed(struct files *files, const char *from, const char *to)
{
	size_t length = strlen(from), new_length = strlen(to);

	pthread_mutex_lock(&files->lock);
	for (uint32_t i = 0, left = files->count; i < VOLUME_FILES && left; i++) {
		struct file *file = &files->slot[i];
		char *path;
		size_t rest;

		if (!file->kept->id)
			continue;
		left--;
		if (!file->path || strncmp(file->path, from, length) != 0 ||
		    (file->path[length] != '/' && file->path[length] != '\0'))
			continue;
		rest = strlen(file->path + length);
		path = malloc(new_length + rest + 1);
		if (path) {
			memcpy(path, to, new_length);
			memcpy(path + new_length, file->path + length, rest + 1);
		}
		/* Without memory it is not known any more. */
		free(file->path);
		file->path = path;
	}
	pthread_mutex_unlock(&files->lock);
}
