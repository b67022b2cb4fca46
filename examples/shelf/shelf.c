/* SPDX-License-Identifier: MIT */
/*
 * shelf - a whole remote in nine functions: shelf:/srv/shelf keeps files and folders as a cloud service would
 *
 * An item with the number N is the file item.N: a line of numbers, and its name. The bytes of a file are in data.C,
 * where C is its content name; a new version is a new file. "last" holds the last number that was given out, and is
 * what every call locks, so that threads and processes take turns. A crash leaves at most a file that nothing names.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <driveway/remote.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { ROOT = 1, PIECE = 65536, NAME_BYTES = 255 };

struct shelf {
	struct dw_remote remote;
	int dir;
	char account[4096 + 8];
};

struct item {
	uint64_t id, parent, etag, content, bytes;
	int type;
	int64_t seconds;
	uint32_t nanoseconds;
	char name[NAME_BYTES + 1];
};

/* Has the caller given up? Every long call asks now and then. */
static int call_over(const struct dw_remote_call *call)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (call->cancelled && __atomic_load_n(call->cancelled, __ATOMIC_RELAXED))
		return -ECANCELED;
	return call->deadline && (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec >= call->deadline
		       ? -ETIMEDOUT
		       : 0;
}

/* The lock: a descriptor to close, or a negative errno. Calls wait for one another, but never for bytes on their way.
 */
static int shelf_lock(struct shelf *shelf)
{
	int fd = openat(shelf->dir, "last", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int next_number(int lock, uint64_t *out)
{
	char text[24] = "";

	if (pread(lock, text, sizeof(text) - 1, 0) < 0)
		return -EIO;
	*out = strtoull(text, NULL, 10) + 1;
	snprintf(text, sizeof(text), "%" PRIu64, *out);
	return pwrite(lock, text, strlen(text), 0) == (ssize_t)strlen(text) ? 0 : -EIO;
}

static int item_load(struct shelf *shelf, const char *id, struct item *item)
{
	char file[32], text[NAME_BYTES + 256];
	ssize_t size = -1;
	int at = 0, fd;

	*item = (struct item){0};
	if (strlen(id) > 18 || strspn(id, "0123456789") != strlen(id))
		return -ENOENT; /* ids come from outside */
	snprintf(file, sizeof(file), "item.%s", id);
	fd = openat(shelf->dir, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EIO;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = '\0';
	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNu32 "%n",
		   &item->id, &item->parent, &item->type, &item->etag, &item->content, &item->bytes, &item->seconds,
		   &item->nanoseconds, &at) != 8 ||
	    strlen(text + at) > NAME_BYTES + 1)
		return -EIO;
	memcpy(item->name, text + at + 1, strlen(text + at)); /* behind one newline */
	return 0;
}

static int item_save(struct shelf *shelf, const struct item *item)
{
	char file[32];
	int fd = openat(shelf->dir, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = 0;

	if (fd < 0)
		return -errno;
	snprintf(file, sizeof(file), "item.%" PRIu64, item->id);
	if (dprintf(fd, "%" PRIu64 " %" PRIu64 " %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu32 "\n%s",
		    item->id, item->parent, item->type, item->etag, item->content, item->bytes, item->seconds,
		    item->nanoseconds, item->name) < 0 ||
	    fdatasync(fd) != 0 || renameat(shelf->dir, "new", shelf->dir, file) != 0)
		err = -errno;
	close(fd);
	return err;
}

/* Call each for all items in a folder, until it answers something else than 0. */
static int folder_walk(struct shelf *shelf, uint64_t folder, int (*each)(struct shelf *, struct item *, void *),
		       void *context)
{
	int fd = openat(shelf->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct item item;
	int err = stream ? 0 : -errno;

	while (err == 0 && (entry = readdir(stream)))
		if (strncmp(entry->d_name, "item.", 5) == 0 && item_load(shelf, entry->d_name + 5, &item) == 0 &&
		    item.parent == folder)
			err = each(shelf, &item, context);
	if (stream)
		closedir(stream);
	return err;
}

/* Tell an item. An etag of 0 would be none; here they are numbers from 1. */
static int item_tell(const struct item *item, const struct dw_remote_items *items)
{
	char id[24], parent[24], etag[24], content[24];
	struct dw_remote_item told = {.size = sizeof(told),
				      .type = (enum dw_remote_type)item->type,
				      .id = id,
				      .parent = parent,
				      .name = item->name,
				      .etag = etag,
				      .content = content,
				      .bytes = item->bytes,
				      .modified = {item->seconds, item->nanoseconds}};

	snprintf(id, sizeof(id), "%" PRIu64, item->id);
	snprintf(parent, sizeof(parent), "%" PRIu64, item->parent);
	snprintf(etag, sizeof(etag), "%" PRIu64, item->etag);
	snprintf(content, sizeof(content), "%" PRIu64, item->content);
	told.parent = item->id == ROOT ? "" : parent;
	told.rights = DW_REMOTE_MAY_READ | DW_REMOTE_MAY_WRITE | DW_REMOTE_MAY_RENAME | DW_REMOTE_MAY_DELETE;
	told.properties_known = true; /* there are none */
	return items->item(items, &told);
}

/* --- Reading ---------------------------------------------------------------------------------------------- */

static int shelf_stat(struct dw_remote *remote, struct dw_remote_call *call, const char *id,
		      const struct dw_remote_items *items)
{
	struct item item;
	int err = call_over(call);

	if (err == 0)
		err = item_load((struct shelf *)remote, id, &item); /* saved in one step: no lock */
	return err ? err : item_tell(&item, items);
}

static int list_one(struct shelf *shelf, struct item *item, void *items)
{
	return item_tell(item, items);
}

static int shelf_list(struct dw_remote *remote, struct dw_remote_call *call, const char *folder, char *cursor,
		      const struct dw_remote_items *items)
{
	struct item item;
	int err = call_over(call);

	if (err == 0)
		err = item_load((struct shelf *)remote, folder, &item);
	if (err == 0 && item.type != DW_REMOTE_FOLDER)
		err = -ENOTDIR;
	if (err == 0 && cursor[0])
		err = DW_REMOTE_EXPIRED; /* all is one page, so no call ever left a position */
	return err ? err : folder_walk((struct shelf *)remote, item.id, list_one, (void *)items);
}

static int shelf_read(struct dw_remote *remote, struct dw_remote_call *call, const char *id, const char *content,
		      uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink)
{
	struct shelf *shelf = (struct shelf *)remote;
	char now[24], file[32], *buffer = malloc(PIECE);
	struct item item;
	int fd = -1, err = buffer ? item_load(shelf, id, &item) : -ENOMEM;

	if (err == 0 && item.type != DW_REMOTE_FILE)
		err = -EISDIR;
	if (err == 0) {
		snprintf(now, sizeof(now), "%" PRIu64, item.content);
		snprintf(file, sizeof(file), "data.%s", now);
		fd = openat(shelf->dir, file, O_RDONLY | O_CLOEXEC);
		/* It stays readable while it is open, whoever replaces it. */
		if (fd < 0 || (content && strcmp(content, now) != 0))
			err = DW_REMOTE_CHANGED;
	}
	if (err == 0 && offset >= item.bytes)
		bytes = 0;
	else if (err == 0 && bytes > item.bytes - offset)
		bytes = item.bytes - offset;
	while (err == 0 && bytes > 0 && (err = call_over(call)) == 0) {
		ssize_t got = pread(fd, buffer, bytes < PIECE ? bytes : PIECE, (off_t)offset);

		err = got > 0 ? sink->write(sink, buffer, (size_t)got, offset) : -EIO;
		offset += got > 0 ? (uint64_t)got : 0;
		bytes -= got > 0 ? (uint64_t)got : 0;
	}
	if (fd >= 0)
		close(fd);
	free(buffer);
	return err;
}

/* --- Changing: each is one step under the lock ---------------------------------------------------------------- */

static int shelf_check_name(struct dw_remote *remote, const char *name)
{
	if (strlen(name) > NAME_BYTES)
		return -ENAMETOOLONG;
	return !name[0] || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ? -EINVAL : 0;
}

static int etag_check(const struct item *item, const char *etag)
{
	char now[24];

	snprintf(now, sizeof(now), "%" PRIu64, item->etag);
	return etag && strcmp(etag, now) != 0 ? DW_REMOTE_CHANGED : 0;
}

static int same_name(struct shelf *shelf, struct item *item, void *name)
{
	return strcmp(item->name, name) == 0 ? -EEXIST : 0;
}

/* May name be made in the folder? Its number goes to item->parent, the name to item->name. */
static int place_new(struct shelf *shelf, const char *folder, const char *name, struct item *item)
{
	struct item parent;
	int err = shelf_check_name(&shelf->remote, name);

	if (err == 0)
		err = item_load(shelf, folder, &parent);
	if (err == 0 && parent.type != DW_REMOTE_FOLDER)
		err = -ENOTDIR;
	if (err == 0 && !(item->parent == parent.id && strcmp(item->name, name) == 0))
		err = folder_walk(shelf, parent.id, same_name, (void *)name);
	if (err == 0) {
		item->parent = parent.id;
		memcpy(item->name, name, strlen(name) + 1);
	}
	return err;
}

/* Under the lock: what place wants, in item. */
static int place_find(struct shelf *shelf, const struct dw_remote_place *place, struct item *item)
{
	int err;

	*item = (struct item){.type = DW_REMOTE_FILE};
	if (!place->id)
		return place_new(shelf, place->parent, place->name, item);
	err = item_load(shelf, place->id, item);
	if (err == 0)
		err = item->type == DW_REMOTE_FILE ? etag_check(item, place->etag) : -EISDIR;
	return err;
}

static int fetch(struct dw_remote_call *call, const struct dw_remote_content *content, int fd)
{
	char *buffer = malloc(PIECE);
	int err = buffer ? 0 : -ENOMEM;

	for (uint64_t at = 0; err == 0 && at < content->bytes;) {
		size_t size = content->bytes - at < PIECE ? (size_t)(content->bytes - at) : PIECE;

		err = call_over(call);
		if (err == 0)
			err = content->read(content, buffer, size, at);
		if (err == 0 && pwrite(fd, buffer, size, (off_t)at) != (ssize_t)size)
			err = -ENOSPC;
		at += size;
		if (err == 0 && content->progress)
			content->progress(content, at);
	}
	if (err == 0 && fdatasync(fd) != 0)
		err = -EIO;
	free(buffer);
	return err;
}

static int shelf_upload(struct dw_remote *remote, struct dw_remote_call *call, const struct dw_remote_place *place,
			const struct dw_remote_content *content, const struct dw_remote_items *items)
{
	struct shelf *shelf = (struct shelf *)remote;
	char file[32] = "", old[32] = "";
	int fd = -1, lock = shelf_lock(shelf), err = lock < 0 ? lock : 0;
	struct item item;
	uint64_t number = 0;

	/* Ask before the bytes come, for what is refused now need not be sent. */
	if (err == 0)
		err = place_find(shelf, place, &item);
	if (err == 0)
		err = next_number(lock, &number);
	if (lock >= 0)
		close(lock);
	if (err)
		return err;
	snprintf(file, sizeof(file), "data.%" PRIu64, number);
	fd = openat(shelf->dir, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	err = fd < 0 ? -errno : fetch(call, content, fd);
	lock = shelf_lock(shelf);
	if (err == 0)
		err = lock < 0 ? lock : place_find(shelf, place, &item); /* again: others were at work */
	if (err == 0) {
		if (item.id)
			snprintf(old, sizeof(old), "data.%" PRIu64, item.content);
		item.id = item.id ? item.id : number;
		item.etag = item.content = number;
		item.bytes = content->bytes;
		item.seconds = content->modified.seconds;
		item.nanoseconds = content->modified.nanoseconds;
		err = item_save(shelf, &item);
	}
	if (err || old[0])
		unlinkat(shelf->dir, err ? file : old, 0);
	if (lock >= 0)
		close(lock);
	if (fd >= 0)
		close(fd);
	return err ? err : item_tell(&item, items);
}

static int shelf_mkdir(struct dw_remote *remote, struct dw_remote_call *call, const char *parent, const char *name,
		       const struct dw_remote_items *items)
{
	struct shelf *shelf = (struct shelf *)remote;
	struct item item = {.type = DW_REMOTE_FOLDER, .seconds = time(NULL)};
	int lock = shelf_lock(shelf), err = lock < 0 ? lock : place_new(shelf, parent, name, &item);

	if (err == 0)
		err = next_number(lock, &item.id);
	item.etag = item.id;
	if (err == 0)
		err = item_save(shelf, &item);
	if (lock >= 0)
		close(lock);
	return err ? err : item_tell(&item, items);
}

/* Is the folder id the item above, or below it? */
static int below(struct shelf *shelf, const char *id, uint64_t above)
{
	char text[24];
	struct item at;
	int err = item_load(shelf, id, &at);

	while (err == 0 && at.id != above && at.id != ROOT) {
		snprintf(text, sizeof(text), "%" PRIu64, at.parent);
		err = item_load(shelf, text, &at);
	}
	return err ? err : at.id == above ? -ELOOP : 0;
}

static int shelf_move(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
		      const char *etag, const char *parent, const char *name, const struct dw_remote_items *items)
{
	struct shelf *shelf = (struct shelf *)remote;
	int lock = shelf_lock(shelf), err = lock < 0 ? lock : 0;
	struct item item;

	if (err == 0)
		err = item_load(shelf, id, &item);
	if (err == 0)
		err = item.type == (int)type && item.id != ROOT ? etag_check(&item, etag) : -ENOENT;
	if (err == 0 && type == DW_REMOTE_FOLDER)
		err = below(shelf, parent, item.id);
	if (err == 0)
		err = place_new(shelf, parent, name, &item);
	if (err == 0)
		err = next_number(lock, &item.etag);
	if (err == 0)
		err = item_save(shelf, &item);
	if (lock >= 0)
		close(lock);
	return err ? err : item_tell(&item, items);
}

static int remove_one(struct shelf *shelf, struct item *item, void *recursive)
{
	char file[32];

	if (!recursive)
		return -ENOTEMPTY;
	/* What is below goes last, so that a crash leaves nothing that can be seen and has no parent. */
	snprintf(file, sizeof(file), "item.%" PRIu64, item->id);
	if (unlinkat(shelf->dir, file, 0) != 0)
		return -errno;
	snprintf(file, sizeof(file), "data.%" PRIu64, item->content);
	unlinkat(shelf->dir, file, 0);
	return item->type == DW_REMOTE_FOLDER ? folder_walk(shelf, item->id, remove_one, recursive) : 0;
}

static int shelf_remove(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
			const char *etag, bool recursive)
{
	struct shelf *shelf = (struct shelf *)remote;
	int lock = shelf_lock(shelf), err = lock < 0 ? lock : 0;
	struct item item;

	if (err == 0)
		err = item_load(shelf, id, &item);
	if (err == 0)
		err = item.type == (int)type && item.id != ROOT ? etag_check(&item, etag) : -ENOENT;
	if (err == 0 && !recursive)
		err = folder_walk(shelf, item.id, remove_one, NULL);
	if (err == 0)
		err = remove_one(shelf, &item, &item);
	if (lock >= 0)
		close(lock);
	return err;
}

/* --- Open and close --------------------------------------------------------------------------------------------- */

static void shelf_close(struct dw_remote *remote)
{
	close(((struct shelf *)remote)->dir);
	free(remote);
}

static const struct dw_remote_ops ops = {
	.size = sizeof(ops),
	.stat = shelf_stat,
	.list = shelf_list,
	.read = shelf_read,
	.close = shelf_close,
	.upload = shelf_upload,
	.mkdir = shelf_mkdir,
	.move = shelf_move,
	.remove = shelf_remove,
	.check_name = shelf_check_name,
};

static int shelf_open(const struct dw_remote_provider *provider, const struct dw_remote_source *source,
		      struct dw_remote **out, char *error, size_t error_size)
{
	struct item root = {.id = ROOT, .type = DW_REMOTE_FOLDER, .etag = ROOT, .name = "shelf"};
	struct shelf *shelf;
	int lock, err;

	if (source->option_count > 0) {
		snprintf(error, error_size, "shelf: knows no option %s", source->options[0].key);
		return -EINVAL;
	}
	shelf = calloc(1, sizeof(*shelf));
	if (!shelf)
		return -ENOMEM;
	snprintf(shelf->account, sizeof(shelf->account), "shelf:%s", source->rest);
	shelf->remote = (struct dw_remote){.size = sizeof(shelf->remote),
					   .ops = &ops,
					   .root = "1",
					   .account = shelf->account,
					   .upload_max = UINT64_MAX};
	shelf->dir = open(source->rest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lock = shelf->dir < 0 ? -errno : shelf_lock(shelf);
	err = lock < 0 ? lock : item_load(shelf, "1", &root);
	if (err == -ENOENT && lock >= 0) {
		uint64_t number;

		root = (struct item){.id = ROOT, .type = DW_REMOTE_FOLDER, .etag = ROOT, .name = "shelf"};
		err = next_number(lock, &number); /* this is 1 */
		if (err == 0)
			err = item_save(shelf, &root);
	}
	if (lock >= 0)
		close(lock);
	if (err) {
		snprintf(error, error_size, "%s cannot be used: %s", source->rest, strerror(-err));
		if (shelf->dir >= 0)
			close(shelf->dir);
		free(shelf);
		return err;
	}
	*out = &shelf->remote;
	return 0;
}

const struct dw_remote_provider driveway_remote = {
	.size = sizeof(driveway_remote),
	.version = DW_REMOTE_API_VERSION,
	.flags = DW_PROVIDER_PATH,
	.name = "shelf",
	.summary = "keeps files in numbered files: shelf:/srv/shelf",
	.open = shelf_open,
};
