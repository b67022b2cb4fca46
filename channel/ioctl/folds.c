/* SPDX-License-Identifier: MIT */
/*
 * folds.c - names of folders, found without regard to case
 *
 * A folder in which a name was not found as it stands is listed once, and its names are kept by the hash of their upper
 * case. They are believed for as long as the file system says that a name, and that there is none, may be believed (the
 * shorter of both; 0 keeps nothing), and changed with every change that goes through the volume.
 *
 *                      listing done                     change of the folder, or a listing that failed
 *    absent -> BUILDING -----------> known              BUILDING --> spoiled: used once, then thrown away
 *                                    known --time over, folds_drop, too many names--> absent
 *
 * A change that comes while a folder is listed may or may not be in the listing: that is what spoiled is for.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "channel/ioctl/volume_internal.h"

#define NAMES_MAX   200000u
#define FOLDERS_MAX 512u
#define SIZE_FIRST  64u

struct fold_name {
	struct fold_name *next;
	uint32_t hash;
	char text[];
};

struct fold_folder {
	struct fold_folder *next;
	uint64_t node;
	uint64_t generation;
	uint64_t until; /* monotonic nanoseconds */
	uint64_t used;	/* tick */
	bool building;
	bool spoiled;
	size_t count;
	size_t size; /* buckets, a power of two */
	struct fold_name **bucket;
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void folds_create(struct folds *folds)
{
	pthread_mutex_init(&folds->lock, NULL);
}

/* --- One folder --- */

static void folder_free(struct fold_folder *folder)
{
	for (size_t i = 0; i < folder->size; i++) {
		while (folder->bucket[i]) {
			struct fold_name *name = folder->bucket[i];

			folder->bucket[i] = name->next;
			free(name);
		}
	}
	free(folder->bucket);
	free(folder);
}

static bool folder_grow(struct fold_folder *folder)
{
	size_t size = folder->size ? folder->size * 2 : SIZE_FIRST;
	struct fold_name **bucket = calloc(size, sizeof(struct fold_name *));

	if (!bucket)
		return false;
	for (size_t i = 0; i < folder->size; i++) {
		while (folder->bucket[i]) {
			struct fold_name *name = folder->bucket[i];

			folder->bucket[i] = name->next;
			name->next = bucket[name->hash & (size - 1)];
			bucket[name->hash & (size - 1)] = name;
		}
	}
	free(folder->bucket);
	folder->bucket = bucket;
	folder->size = size;
	return true;
}

static struct fold_name **folder_exact(struct fold_folder *folder, uint32_t hash, const char *text)
{
	struct fold_name **where = &folder->bucket[hash & (folder->size - 1)];

	while (*where && ((*where)->hash != hash || strcmp((*where)->text, text) != 0))
		where = &(*where)->next;
	return where;
}

/* False: no memory. */
static bool folder_add(struct fold_folder *folder, uint32_t hash, const char *text, bool *added)
{
	struct fold_name *name, **where;
	size_t length = strlen(text);

	*added = false;
	if (folder->count >= folder->size && !folder_grow(folder))
		return false;
	where = folder_exact(folder, hash, text);
	if (*where)
		return true;
	name = malloc(sizeof(*name) + length + 1);
	if (!name)
		return false;
	name->next = NULL;
	name->hash = hash;
	memcpy(name->text, text, length + 1);
	*where = name;
	folder->count++;
	*added = true;
	return true;
}

static bool folder_search(const struct fold_folder *folder, uint32_t hash, const char *text,
			  char actual[NAME_BYTES + 1])
{
	if (!folder->size)
		return false;
	for (struct fold_name *name = folder->bucket[hash & (folder->size - 1)]; name; name = name->next) {
		if (name->hash == hash && name_same(name->text, text)) {
			memcpy(actual, name->text, strlen(name->text) + 1);
			return true;
		}
	}
	return false;
}

/* --- All folders; folds->lock is held --- */

static struct fold_folder **locate(struct folds *folds, uint64_t node)
{
	struct fold_folder **where = &folds->bucket[(node ^ node >> 32) % FOLD_BUCKETS];

	while (*where && (*where)->node != node)
		where = &(*where)->next;
	return where;
}

static void drop(struct folds *folds, struct fold_folder **where)
{
	struct fold_folder *folder = *where;

	*where = folder->next;
	folds->names -= folder->count;
	folds->folders--;
	folder_free(folder);
}

/* Make room: what was used longest ago goes. What is being built is its builder's. */
static void shrink(struct folds *folds)
{
	while (folds->names > NAMES_MAX || folds->folders > FOLDERS_MAX) {
		struct fold_folder **oldest = NULL;

		for (size_t i = 0; i < FOLD_BUCKETS; i++)
			for (struct fold_folder **where = &folds->bucket[i]; *where; where = &(*where)->next)
				if (!(*where)->building && (!oldest || (*where)->used < (*oldest)->used))
					oldest = where;
		if (!oldest)
			return;
		drop(folds, oldest);
	}
}

void folds_destroy(struct folds *folds)
{
	for (size_t i = 0; i < FOLD_BUCKETS; i++)
		while (folds->bucket[i])
			drop(folds, &folds->bucket[i]);
	pthread_mutex_destroy(&folds->lock);
}

/* --- Changes --- */

void folds_added(struct folds *folds, uint64_t node, const char *name)
{
	struct fold_folder **where;
	bool added;

	pthread_mutex_lock(&folds->lock);
	where = locate(folds, node);
	if (*where && (*where)->building) {
		(*where)->spoiled = true;
	} else if (*where) {
		if (!folder_add(*where, name_hash(name), name, &added))
			drop(folds, where);
		else if (added)
			folds->names++;
		shrink(folds);
	}
	pthread_mutex_unlock(&folds->lock);
}

void folds_removed(struct folds *folds, uint64_t node, const char *name)
{
	struct fold_folder *folder;

	pthread_mutex_lock(&folds->lock);
	folder = *locate(folds, node);
	if (folder && folder->building) {
		folder->spoiled = true;
	} else if (folder && folder->size) {
		struct fold_name **where = folder_exact(folder, name_hash(name), name), *gone = *where;

		if (gone) {
			*where = gone->next;
			free(gone);
			folder->count--;
			folds->names--;
		}
	}
	pthread_mutex_unlock(&folds->lock);
}

void folds_drop(struct folds *folds, uint64_t node)
{
	struct fold_folder **where;

	pthread_mutex_lock(&folds->lock);
	where = locate(folds, node);
	if (*where && (*where)->building)
		(*where)->spoiled = true;
	else if (*where)
		drop(folds, where);
	pthread_mutex_unlock(&folds->lock);
}

/* --- Finding --- */

/* A listing that is compared with the wanted name, and kept where that is possible. */
struct fold_listing {
	struct dw_listing base;
	struct fold_folder *into; /* NULL: too many names, or no memory */
	const char *wanted;
	uint32_t hash;
	char *actual;
	bool found;
	bool any;
	uint64_t next;
};

static bool fold_add(struct dw_listing *base, const char *text, size_t length, uint64_t next,
		     const struct dw_entry *entry)
{
	struct fold_listing *listing = (struct fold_listing *)base;
	char name[NAME_BYTES + 1];
	uint32_t hash;
	bool added;

	listing->any = true;
	listing->next = next;
	if (length == 0 || length > NAME_BYTES)
		return true;
	memcpy(name, text, length);
	name[length] = '\0';
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return true;
	hash = name_hash(name);
	if (!listing->found && hash == listing->hash && name_same(name, listing->wanted)) {
		memcpy(listing->actual, name, length + 1);
		listing->found = true;
	}
	if (listing->into && (listing->into->count >= NAMES_MAX || !folder_add(listing->into, hash, name, &added)))
		listing->into = NULL;
	return true;
}

static int list_all(struct call *call, uint64_t node, struct fold_listing *listing)
{
	struct volume *volume = call->volume;
	struct dw_open open = {.handle = 0};
	int error = 0;

	if (volume->ops.opendir)
		error = volume->ops.opendir(volume->fs, call_step(call), node, &open);
	if (error)
		return error;
	do {
		listing->any = false;
		error = volume->ops.readdir(volume->fs, call_step(call), node, open.handle, listing->next,
					    &listing->base);
	} while (!error && listing->any);
	if (volume->ops.releasedir)
		volume->ops.releasedir(volume->fs, call_step(call), node, open.handle);
	return error;
}

/* Put an empty folder that is being built into the table, where there is none; and how long it will be believed. */
static bool begin_building(struct call *call, uint64_t node, uint64_t generation, struct fold_folder **where)
{
	struct volume *volume = call->volume;
	struct folds *folds = &volume->folds;
	uint64_t trust = volume->fs->negative_timeout < volume->fs->entry_timeout ? volume->fs->negative_timeout
										  : volume->fs->entry_timeout;
	struct fold_folder *folder;

	if (*where || trust == 0)
		return false;
	folder = calloc(1, sizeof(*folder));
	if (!folder)
		return false;
	folder->node = node;
	folder->generation = generation;
	folder->building = true;
	folder->used = ++folds->tick;
	folder->until = now();
	folder->until = trust > UINT64_MAX - folder->until ? UINT64_MAX : folder->until + trust;
	*where = folder;
	folds->folders++;
	return true;
}

static void end_building(struct folds *folds, uint64_t node, struct fold_folder *built, bool good)
{
	struct fold_folder **where;

	pthread_mutex_lock(&folds->lock);
	where = locate(folds, node);
	/* What is being built is taken out by its builder alone. */
	if (!good || (*where)->spoiled) {
		drop(folds, where);
	} else {
		(*where)->bucket = built->bucket;
		(*where)->size = built->size;
		(*where)->count = built->count;
		(*where)->building = false;
		folds->names += built->count;
		built->bucket = NULL;
		built->size = 0;
		shrink(folds);
	}
	pthread_mutex_unlock(&folds->lock);
	if (built)
		folder_free(built);
}

int folds_find(struct call *call, uint64_t node, uint64_t generation, const char *name, char actual[NAME_BYTES + 1])
{
	struct folds *folds = &call->volume->folds;
	struct fold_listing listing = {
		.base = {.add = fold_add}, .wanted = name, .hash = name_hash(name), .actual = actual};
	struct fold_folder **where, *built = NULL;
	bool building, found;
	int error;

	pthread_mutex_lock(&folds->lock);
	where = locate(folds, node);
	if (*where && !(*where)->building && ((*where)->generation != generation || (*where)->until <= now()))
		drop(folds, where);
	where = locate(folds, node);
	if (*where && !(*where)->building) {
		(*where)->used = ++folds->tick;
		found = folder_search(*where, listing.hash, name, actual);
		pthread_mutex_unlock(&folds->lock);
		return found ? 0 : -ENOENT;
	}
	building = begin_building(call, node, generation, where);
	pthread_mutex_unlock(&folds->lock);

	if (building)
		listing.into = built = calloc(1, sizeof(*built));
	error = list_all(call, node, &listing);
	if (building)
		end_building(folds, node, built, !error && listing.into);
	if (error)
		return error;
	return listing.found ? 0 : -ENOENT;
}
