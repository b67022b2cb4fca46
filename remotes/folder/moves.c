/* SPDX-License-Identifier: MIT */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STAGING_SECONDS 86400 /* no call takes so long */

int etag_check(const struct row *row, const char *etag)
{
	char now[24];

	snprintf(now, sizeof(now), "%" PRId64, row->version);
	return etag == NULL || etag[0] == '\0' || strcmp(etag, now) == 0 ? 0 : DW_REMOTE_CHANGED;
}

int folder_mkdir(struct dw_remote *remote, struct dw_remote_call *remote_call, const char *parent, const char *name,
		 const struct dw_remote_items *items)
{
	struct folder *folder = folder_of(remote);
	struct row row = {.type = DW_REMOTE_FOLDER, .state = ROW_LIVE, .version = 1};
	struct reached reached = REACHED_NONE;
	struct shown shown = {0};
	struct statx stx;
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_MKDIR);
	if (err != 0)
		return err;
	err = tree_take(&call, parent, &reached);
	if (err != 0)
		goto out;
	err = reached_folder(&reached);
	if (err == 0)
		err = tree_name_free(&call, &reached, name, 0);
	if (err == 0 && mkdirat(reached.self, name, 0777) != 0)
		err = disk_error(errno);
	if (err == 0)
		err = tree_statx(reached.self, name, &stx);
	if (err == 0)
		err = tree_sync(folder, reached.self);
	if (err == 0) {
		tree_stamp(&row, &stx);
		row.parent = reached.row.id;
		memcpy(row.name, name, strlen(name) + 1);
		names_fold(folder, name, row.folded);
		err = index_insert(&folder->index, &row);
	}
	if (err == 0)
		err = event_write(folder, DW_REMOTE_EVENT_CHANGED, &row);
	if (err == 0)
		err = shown_fill(folder, &row, true, &shown);
	call_middle(&call);
	err = tree_finish(&call, err);
out:
	reached_clear(&reached);
	return shown_answer(&call, err == DW_REMOTE_TRASHED ? -ENOENT : err, &shown, items);
}

/* --- move ------------------------------------------------------------------------------------------------- */

static int move_to(struct call *call, struct reached *item, const char *parent, const char *name)
{
	struct folder *folder = call->folder;
	struct reached target = REACHED_NONE;
	struct row *row = &item->row;
	struct statx stx;
	int64_t id;
	int err;

	err = tree_parse_id(parent, &id);
	if (err == 0)
		err = tree_reach(call, id, &target);
	if (err == 0)
		err = reached_folder(&target);
	if (err == 0 && row->type == DW_REMOTE_FOLDER) {
		err = tree_below(folder, id, row->id);
		err = err == 1 ? -ELOOP : err;
	}
	if (err != 0 || (row->parent == id && strcmp(row->name, name) == 0))
		goto out; /* or there is nothing to do */
	err = tree_name_free(call, &target, name, row->id);
	if (err == 0)
		err = rename_new(item->dir, row->name, target.self, name);
	if (err == 0)
		err = tree_statx(target.self, name, &stx);
	if (err == 0)
		err = tree_sync(folder, target.self);
	if (err == 0 && row->parent != id)
		err = tree_sync(folder, item->dir);
	if (err != 0)
		goto out;
	tree_stamp(row, &stx);
	row->parent = id;
	row->version++;
	memcpy(row->name, name, strlen(name) + 1);
	names_fold(folder, name, row->folded);
	err = index_update(&folder->index, row);
	if (err == 0)
		err = event_write(folder, DW_REMOTE_EVENT_CHANGED, row);
	call_middle(call);
out:
	reached_clear(&target);
	return err;
}

int folder_move(struct dw_remote *remote, struct dw_remote_call *remote_call, const char *id, enum dw_remote_type type,
		const char *etag, const char *parent, const char *name, const struct dw_remote_items *items)
{
	struct folder *folder = folder_of(remote);
	struct reached reached = REACHED_NONE;
	struct shown shown = {0};
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_MOVE);
	if (err != 0)
		return err;
	err = tree_take(&call, id, &reached);
	if (err != 0)
		goto out;
	if (reached.row.type != (int)type)
		err = -ENOENT;
	else if (reached.row.id == ROOT_ID)
		err = -EACCES;
	else
		err = etag_check(&reached.row, etag);
	if (err == 0)
		err = move_to(&call, &reached, parent, name);
	if (err == 0)
		err = shown_fill(folder, &reached.row, true, &shown);
	err = tree_finish(&call, err);
out:
	reached_clear(&reached);
	return shown_answer(&call, err == DW_REMOTE_TRASHED ? -ENOENT : err, &shown, items);
}

/* --- remove ----------------------------------------------------------------------------------------------- */

static int folder_empty(const struct reached *reached)
{
	int fd = openat(reached->self, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int err = 0;

	if (stream == NULL) {
		err = disk_error(errno);
		if (fd >= 0)
			close(fd);
		return err;
	}
	errno = 0;
	while (err == 0 && (entry = readdir(stream)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			err = -ENOTEMPTY;
	if (err == 0 && errno != 0)
		err = disk_error(errno);
	closedir(stream);
	return err;
}

static int trash(struct call *call, struct reached *reached, bool recursive)
{
	struct folder *folder = call->folder;
	struct row *row = &reached->row;
	char name[24];
	int err = 0;

	if (row->type == DW_REMOTE_FOLDER && !recursive) {
		err = reached_folder(reached);
		if (err == 0)
			err = folder_empty(reached);
	}
	if (err != 0)
		return err;
	snprintf(name, sizeof(name), "%" PRId64, row->id);
	err = rename_new(reached->dir, row->name, folder->trash, name);
	if (err == 0)
		err = tree_sync(folder, reached->dir);
	if (err == 0)
		err = index_run(&folder->index,
				index_start(&folder->index, INDEX_ROW_TRASH, "ii", (int64_t)time(NULL), row->id));
	if (err == 0)
		err = event_write(folder, DW_REMOTE_EVENT_REMOVED, row);
	call_middle(call);
	return err;
}

int folder_remove(struct dw_remote *remote, struct dw_remote_call *remote_call, const char *id,
		  enum dw_remote_type type, const char *etag, bool recursive)
{
	struct folder *folder = folder_of(remote);
	struct reached reached = REACHED_NONE;
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_REMOVE);
	if (err != 0)
		return err;
	err = tree_take(&call, id, &reached);
	if (err == 0) {
		if (reached.row.type != (int)type)
			err = -ENOENT;
		else if (reached.row.id == ROOT_ID)
			err = -EACCES;
		else
			err = etag_check(&reached.row, etag);
		if (err == 0)
			err = trash(&call, &reached, recursive);
		err = tree_finish(&call, err);
	}
	reached_clear(&reached);
	return call_end(&call, err == DW_REMOTE_TRASHED ? -ENOENT : err);
}

/* --- Emptying the trash -------------------------------------------------------------------------------------- */

int remove_all(int dir, const char *name, unsigned depth)
{
	struct dirent *entry;
	DIR *stream;
	int err = 0;
	int fd;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return disk_error(errno);
	if (depth > DEPTH_MAX)
		return -EIO;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	stream = fd < 0 ? NULL : fdopendir(fd);
	if (stream == NULL) {
		err = disk_error(errno);
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (err == 0 && (entry = readdir(stream)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			err = remove_all(fd, entry->d_name, depth + 1);
	closedir(stream);
	if (err == 0 && unlinkat(dir, name, AT_REMOVEDIR) != 0)
		err = disk_error(errno);
	return err;
}

int trash_purge(struct folder *folder)
{
	int64_t before = (int64_t)time(NULL) - (int64_t)(folder->trash_lifetime / NANOSECONDS);
	struct id_list list = {0};
	int err;

	err = index_ids(&folder->index, index_start(&folder->index, INDEX_IDS_TRASH_OLD, "i", before), &list);
	for (size_t i = 0; i < list.count && err == 0; i++) {
		char name[24];

		snprintf(name, sizeof(name), "%" PRId64, list.ids[i]);
		err = remove_all(folder->trash, name, 0);
		if (err == 0)
			err = tree_forget(folder, list.ids[i], false);
		if (err == -ENOENT)
			err = 0; /* it went with another one */
	}
	free(list.ids);
	return err;
}

int staging_purge(struct folder *folder)
{
	int fd = openat(folder->staging, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	int64_t before = (int64_t)time(NULL) - STAGING_SECONDS;
	struct dirent *entry;
	int err = 0;

	if (stream == NULL) {
		err = disk_error(errno);
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (err == 0 && (entry = readdir(stream)) != NULL) {
		struct statx stx;

		/* The time of modification is that of the file that was uploaded. */
		if (strncmp(entry->d_name, "u-", 2) != 0 || tree_statx(fd, entry->d_name, &stx) != 0 ||
		    stx.stx_ctime.tv_sec >= before)
			continue;
		err = remove_all(fd, entry->d_name, 0);
	}
	closedir(stream);
	return err;
}
