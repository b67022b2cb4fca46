/* SPDX-License-Identifier: MIT */
/*
 * notes - a small drive in memory that can be written: folders and files, gone when it is unmapped
 *
 * Every file and folder is an item in one table, and its node id is its place in the table plus one. An
 * item knows its folder and its name there, so finding a name is a walk over the table. A deleted item has
 * no folder, and its place may be used again once the kernel has forgotten it. One lock guards all.
 */
#include <driveway/filesystem.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ITEMS  1024u
#define SECOND 1000000000u
#define NOW    ((struct dw_time){time(NULL), 0})
#define CALL   struct dw_filesystem *fs, const struct dw_request *req /* how every operation begins */

struct item {
	uint64_t parent;     /* node id of its folder; 0: deleted, or never used */
	uint64_t lookups;    /* how often the kernel was told of it and has not forgotten it */
	struct dw_attr attr; /* what stat shows; attr.ino is the node id */
	char name[256];
	char *data; /* at least attr.size bytes; a later item of this place takes it over */
};

struct notes {
	struct dw_filesystem fs; /* first, so that a pointer to it is a pointer to the whole */
	pthread_mutex_t lock;
	struct item items[ITEMS];
};

static struct notes *lock(struct dw_filesystem *fs)
{
	pthread_mutex_lock(&((struct notes *)fs)->lock);
	return (struct notes *)fs;
}

static int unlock(struct notes *notes, int result)
{
	pthread_mutex_unlock(&notes->lock);
	return result;
}

/* The item of this name in a folder, or any item of the folder when name is NULL. */
static struct item *find(struct notes *notes, uint64_t parent, const char *name)
{
	for (size_t i = 1; i < ITEMS; i++) {
		if (notes->items[i].parent == parent && (!name || strcmp(notes->items[i].name, name) == 0))
			return &notes->items[i];
	}
	return NULL;
}

/* Take an item out of its folder, unless it has items itself. */
static int discard(struct notes *notes, struct item *item)
{
	if (!item || find(notes, item->attr.ino, NULL))
		return item ? -ENOTEMPTY : -ENOENT;
	item->parent = item->attr.nlink = 0;
	return 0;
}

/* Answer a node, which counts as one lookup. */
static int answer(struct item *item, struct dw_entry *out)
{
	item->lookups++;
	*out = (struct dw_entry){item->attr.ino, 0, DW_TIMEOUT_DEFAULT, DW_TIMEOUT_DEFAULT, item->attr};
	return 0;
}

static int notes_lookup(CALL, uint64_t parent, const char *name, struct dw_entry *out)
{
	struct notes *notes = lock(fs);
	struct item *item = find(notes, parent, name);

	return unlock(notes, item ? answer(item, out) : -ENOENT);
}

static void notes_forget(CALL, const struct dw_forget *list, size_t count)
{
	struct notes *notes = lock(fs);

	for (size_t i = 0; i < count; i++)
		notes->items[list[i].node - 1].lookups -= list[i].count;
	unlock(notes, 0);
}

static int notes_getattr(CALL, uint64_t node, uint64_t handle, struct dw_attr *out, uint64_t *timeout)
{
	*out = lock(fs)->items[node - 1].attr;
	return unlock((struct notes *)fs, 0);
}

/* The offset behind an entry is its node id, which stays right whatever else comes and goes. */
static int notes_readdir(CALL, uint64_t node, uint64_t handle, uint64_t offset, struct dw_listing *listing)
{
	struct notes *notes = lock(fs);

	for (size_t i = offset ? (size_t)offset : 1; i < ITEMS; i++) {
		struct item *item = &notes->items[i];
		struct dw_entry entry = {item->attr.ino, 0, DW_TIMEOUT_DEFAULT, DW_TIMEOUT_DEFAULT, item->attr};

		if (item->parent != node)
			continue;
		if (!listing->add(listing, item->name, strlen(item->name), i + 1, &entry))
			break;
		item->lookups += listing->attributes; /* with attributes, the node is given out */
	}
	return unlock(notes, 0);
}

/* Also creates files, since there is no create. */
static int notes_mknod(CALL, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor,
		       struct dw_entry *out)
{
	struct notes *notes = lock(fs);
	struct item *item = &notes->items[1], *end = &notes->items[ITEMS];

	if (find(notes, parent, name))
		return unlock(notes, -EEXIST);
	while (item < end && (item->parent || item->lookups))
		item++;
	if (item == end)
		return unlock(notes, -ENOSPC);
	item->parent = parent;
	item->attr = (struct dw_attr){.mode = mode, .nlink = 1, .uid = req->uid, .gid = req->gid, .mtime = NOW};
	item->attr.ino = (uint64_t)(item - notes->items) + 1;
	snprintf(item->name, sizeof(item->name), "%s", name);
	return unlock(notes, answer(item, out));
}

static int notes_mkdir(CALL, uint64_t parent, const char *name, uint32_t mode, struct dw_entry *out)
{
	return notes_mknod(fs, req, parent, name, DW_MODE_FOLDER | (mode & 07777), 0, 0, out);
}

/* unlink and rmdir: the kernel has checked that it is a file or a folder, as the caller said. */
static int notes_remove(CALL, uint64_t parent, const char *name)
{
	struct notes *notes = lock(fs);

	return unlock(notes, discard(notes, find(notes, parent, name)));
}

static int notes_rename(CALL, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
			uint32_t flags)
{
	struct notes *notes = lock(fs);
	struct item *item = find(notes, parent, name), *old = find(notes, new_parent, new_name);
	int error = !item ? -ENOENT : flags & DW_RENAME_EXCHANGE ? -EINVAL : 0;

	if (!error && old && old != item)
		error = flags & DW_RENAME_NOREPLACE ? -EEXIST : discard(notes, old);
	if (error)
		return unlock(notes, error);
	item->parent = new_parent;
	memmove(item->name, new_name, strlen(new_name) + 1);
	return unlock(notes, 0);
}

static int resize(struct item *item, uint64_t size)
{
	char *data = realloc(item->data, (size_t)size + 1);

	if (!data)
		return -ENOSPC;
	if (size > item->attr.size)
		memset(data + item->attr.size, 0, (size_t)(size - item->attr.size));
	item->data = data;
	item->attr.size = size;
	return 0;
}

static int notes_setattr(CALL, uint64_t node, uint64_t handle, const struct dw_setattr *in, struct dw_attr *out)
{
	struct notes *notes = lock(fs);
	struct item *item = &notes->items[node - 1];
	int error = in->valid & DW_SET_SIZE ? resize(item, in->size) : 0;

	if (!error && in->valid & DW_SET_MODE)
		item->attr.mode = (item->attr.mode & DW_MODE_TYPE) | (in->mode & 07777);
	if (!error && in->valid & DW_SET_MTIME)
		item->attr.mtime = in->valid & DW_SET_MTIME_NOW ? NOW : in->mtime;
	*out = item->attr;
	return unlock(notes, error);
}

static int notes_read(CALL, uint64_t node, uint64_t handle, void *buffer, size_t size, uint64_t offset, size_t *done)
{
	struct notes *notes = lock(fs);
	const struct item *item = &notes->items[node - 1];
	uint64_t left = offset < item->attr.size ? item->attr.size - offset : 0;

	*done = size < left ? size : (size_t)left;
	if (*done)
		memcpy(buffer, item->data + offset, *done);
	return unlock(notes, 0);
}

static int notes_write(CALL, uint64_t node, uint64_t handle, const void *buffer, size_t size, uint64_t offset,
		       uint32_t flags, size_t *done)
{
	struct notes *notes = lock(fs);
	struct item *item = &notes->items[node - 1];
	int error = offset + size > item->attr.size ? resize(item, offset + size) : 0;

	if (!error)
		memcpy(item->data + offset, buffer, size);
	item->attr.mtime = NOW;
	*done = size;
	return unlock(notes, error);
}

static void notes_close(struct dw_filesystem *fs)
{
	for (size_t i = 0; i < ITEMS; i++)
		free(((struct notes *)fs)->items[i].data);
	free(fs);
}

/* clang-format off */
static const struct dw_filesystem_ops ops = {
	.size = sizeof(ops), .lookup = notes_lookup, .getattr = notes_getattr, .readdir = notes_readdir, .read = notes_read,
	.close = notes_close, .forget = notes_forget, .mknod = notes_mknod, .mkdir = notes_mkdir, .unlink = notes_remove,
	.rmdir = notes_remove, .rename = notes_rename, .setattr = notes_setattr, .write = notes_write,
};
/* clang-format on */

static int notes_open(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
		      struct dw_filesystem **out, char *error, size_t error_size)
{
	struct notes *notes = calloc(1, sizeof(*notes));

	if (!notes)
		return -ENOMEM;
	notes->fs = (struct dw_filesystem){sizeof(notes->fs), &ops, 0, 0, SECOND, SECOND, SECOND};
	notes->items[0].attr = (struct dw_attr){.ino = DW_NODE_ROOT, .mode = DW_MODE_FOLDER | 0755, .nlink = 2};
	pthread_mutex_init(&notes->lock, NULL);
	*out = &notes->fs;
	return 0;
}

const struct dw_provider driveway_provider = {
	sizeof(driveway_provider), DW_API_VERSION, 0, "notes", "a small drive in memory", NULL, notes_open,
};
