/* SPDX-License-Identifier: MIT */
/*
 * copies.c - copy
 *
 * What is copied is made in staging, without the lock, from what the folder holds at that time, and takes its place in
 * one step. The properties of each item go with it. Things that are neither file nor folder are left out.
 */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* One copied item: what it is a copy of, and, in row, what is to stand in the index. row.parent: place in the list. */
struct copied {
	int64_t source;
	struct row row;
};

struct copying {
	struct call *call;
	struct copied *list;
	size_t count;
	size_t room;
	uint64_t bytes;
};

static int copying_add(struct copying *copying, const struct row *source, size_t parent, int dir, const char *name,
		       const char *content)
{
	struct copied *copied;
	struct statx stx;
	int err;

	if (copying->count == copying->room) {
		size_t room = copying->room == 0 ? 16 : copying->room * 2;
		struct copied *more = reallocarray(copying->list, room, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		copying->list = more;
		copying->room = room;
	}
	err = tree_statx(dir, name, &stx);
	if (err != 0)
		return err;
	copied = &copying->list[copying->count++];
	*copied = (struct copied){.source = source->id, .row = *source};
	copied->row.id = 0;
	copied->row.parent = (int64_t)parent;
	copied->row.version = 1;
	copied->row.stale = false;
	tree_stamp(&copied->row, &stx);
	memcpy(copied->row.content, content, strlen(content) + 1);
	copying->bytes += (uint64_t)copied->row.bytes;
	return 0;
}

static int copy_bytes(struct call *call, int from, int to)
{
	char *buffer;
	int err = 0;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	buffer = malloc(CHUNK);
	if (buffer == NULL)
		return -ENOMEM;
	while (err == 0) {
		ssize_t got = read(from, buffer, CHUNK);
		ssize_t done = 0;

		if (got < 0)
			err = disk_error(errno);
		if (got <= 0)
			break;
		while (err == 0 && done < got) {
			ssize_t wrote = write(to, buffer + done, (size_t)(got - done));

			if (wrote < 0)
				err = disk_error(errno);
			else
				done += wrote;
		}
		if (err == 0)
			err = call_check(call);
	}
	free(buffer);
	return err;
}

/* Copy the file row of the folder from as name into the folder to. */
static int copy_file(struct copying *copying, int from, const struct row *row, size_t parent, int to, const char *name)
{
	struct folder *folder = copying->call->folder;
	char content[CONTENT_SIZE];
	struct statx stx;
	int target = -1;
	int source;
	int err;

	source = openat(from, row->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (source < 0)
		return disk_error(errno);
	err = tree_statx(source, "", &stx);
	if (err == 0 && !S_ISREG(stx.stx_mode))
		err = -ENOENT;
	if (err == 0) {
		target = openat(to, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, stx.stx_mode & 0777);
		err = target < 0 ? disk_error(errno) : copy_bytes(copying->call, source, target);
	}
	if (err == 0) {
		struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					    {stx.stx_mtime.tv_sec, (long)stx.stx_mtime.tv_nsec}};

		if (futimens(target, times) != 0 || (folder->durable && fsync(target) != 0))
			err = disk_error(errno);
	}
	if (err == 0)
		err = hash_file(copying->call, target, content);
	if (err == 0)
		err = copying_add(copying, row, parent, to, name, content);
	if (target >= 0)
		close(target);
	close(source);
	return err;
}

static int copy_item(struct copying *copying, int64_t id, size_t parent, int to, const char *name, unsigned depth);

static int copy_folder(struct copying *copying, const struct reached *source, size_t parent, int to, const char *name,
		       const struct id_list *children, unsigned depth)
{
	size_t self = copying->count;
	int target = -1;
	int err;

	if (depth > DEPTH_MAX / 8)
		return -ELOOP;
	if (mkdirat(to, name, 0777) != 0)
		return disk_error(errno);
	target = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = target < 0 ? disk_error(errno) : copying_add(copying, &source->row, parent, to, name, "");
	for (size_t i = 0; i < children->count && err == 0; i++) {
		err = copy_item(copying, children->ids[i], self, target, NULL, depth + 1);
		if (err == -ENOENT || err == DW_REMOTE_TRASHED)
			err = 0; /* it went meanwhile */
	}
	if (err == 0)
		err = tree_sync(copying->call->folder, target);
	if (target >= 0)
		close(target);
	return err;
}

/* Copy an item into the folder to, as name, or under its own where that is NULL. */
static int copy_item(struct copying *copying, int64_t id, size_t parent, int to, const char *name, unsigned depth)
{
	struct call *call = copying->call;
	struct folder *folder = call->folder;
	struct reached source = REACHED_NONE;
	struct id_list children = {0};
	int err;

	err = tree_begin(call);
	if (err != 0)
		return err;
	err = tree_reach(call, id, &source);
	if (err == 0 && source.row.type == DW_REMOTE_FOLDER) {
		err = tree_compare(call, &source);
		if (err == 0)
			err = index_ids(&folder->index, index_start(&folder->index, INDEX_IDS_LIVE, "i", id),
					&children);
	}
	err = tree_finish(call, err);
	if (name == NULL)
		name = source.row.name;
	if (err == 0 && source.row.type == DW_REMOTE_FILE)
		err = copy_file(copying, source.dir, &source.row, parent, to, name);
	else if (err == 0 && source.row.type == DW_REMOTE_FOLDER)
		err = copy_folder(copying, &source, parent, to, name, &children, depth);
	reached_clear(&source);
	free(children.ids);
	return err;
}

/* Under the transaction: write what was copied into the index; the first of the list stands in the folder parent. */
static int copying_note(struct copying *copying, int64_t parent)
{
	struct index *index = &copying->call->folder->index;
	int err = 0;

	for (size_t i = 0; i < copying->count && err == 0; i++) {
		struct copied *copied = &copying->list[i];

		copied->row.parent = i == 0 ? parent : copying->list[copied->row.parent].row.id;
		err = index_insert(index, &copied->row);
		if (err == 0)
			err = index_run(
				index, index_start(index, INDEX_PROPERTIES_COPY, "ii", copied->row.id, copied->source));
		if (err == 0)
			err = event_write(copying->call->folder, DW_REMOTE_EVENT_CHANGED, &copied->row);
	}
	return err;
}

/* Give the copy its place. */
static int copying_place(struct copying *copying, const char *staged, const char *parent, const char *name,
			 struct shown *shown)
{
	struct folder *folder = copying->call->folder;
	struct row *first = &copying->list[0].row;
	struct reached target = REACHED_NONE;
	struct statx stx;
	int err;

	err = tree_take(copying->call, parent, &target);
	if (err != 0)
		return err;
	err = reached_folder(&target);
	if (err == 0)
		err = tree_name_free(copying->call, &target, name, 0);
	if (err == 0)
		err = quota_check(folder, copying->bytes, 0);
	if (err == 0)
		err = rename_new(folder->staging, staged, target.self, name);
	if (err == 0)
		err = tree_statx(target.self, name, &stx);
	if (err == 0)
		err = tree_sync(folder, target.self);
	if (err == 0) {
		tree_stamp(first, &stx);
		memcpy(first->name, name, strlen(name) + 1);
		names_fold(folder, name, first->folded);
		err = copying_note(copying, target.row.id);
	}
	if (err == 0)
		err = shown_fill(folder, first, true, shown);
	call_middle(copying->call);
	err = tree_finish(copying->call, err);
	reached_clear(&target);
	return err;
}

/* Refuse early what would be refused in the end. */
static int copy_check(struct call *call, int64_t id, enum dw_remote_type type, const char *parent, const char *name)
{
	struct reached source = REACHED_NONE;
	struct reached target = REACHED_NONE;
	int err;

	err = tree_take(call, parent, &target);
	if (err != 0)
		return err;
	err = reached_folder(&target);
	if (err == 0)
		err = tree_name_free(call, &target, name, 0);
	if (err == 0)
		err = tree_reach(call, id, &source);
	if (err == 0 && source.row.type != (int)type)
		err = -ENOENT;
	if (err == 0 && type == DW_REMOTE_FOLDER) {
		err = tree_below(call->folder, target.row.id, id);
		err = err == 1 ? -ELOOP : err;
	}
	err = tree_finish(call, err);
	reached_clear(&source);
	reached_clear(&target);
	return err;
}

int folder_copy(struct dw_remote *remote, struct dw_remote_call *remote_call, const char *id, enum dw_remote_type type,
		const char *parent, const char *name, const struct dw_remote_items *items)
{
	struct folder *folder = folder_of(remote);
	struct copying copying = {0};
	struct shown shown = {0};
	struct staged staged = {.fd = -1};
	struct call call;
	int64_t source;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_COPY);
	if (err != 0)
		return err;
	copying.call = &call;
	err = tree_parse_id(id, &source);
	if (err == 0)
		err = copy_check(&call, source, type, parent, name);
	/* The staged file only gives its name. */
	if (err == 0)
		err = staged_make(&call, &staged);
	if (err == 0 && unlinkat(folder->staging, staged.name, 0) != 0)
		err = disk_error(errno);
	if (err == 0)
		err = copy_item(&copying, source, 0, folder->staging, staged.name, 0);
	if (err == 0 && copying.count == 0)
		err = -ENOENT;
	if (err == 0)
		err = copying_place(&copying, staged.name, parent, name, &shown);
	if (err != 0 && staged.name[0] != '\0')
		(void)remove_all(folder->staging, staged.name, 0);
	staged_clear(folder, &staged);
	free(copying.list);
	return shown_answer(&call, err == DW_REMOTE_TRASHED ? -ENOENT : err, &shown, items);
}
