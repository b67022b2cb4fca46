/* SPDX-License-Identifier: MIT */
/*
 * tree.c - how an id is reached on disk, and how the index learns what others changed there
 *
 * An item is looked for where the index says. What stands there is it when inode number, time of birth and type are the
 * same. If not, its folder is compared with the disk, then, if it is still not found, the whole tree (tree_scan); what
 * is then nowhere is forgotten. Comparing a folder, for each name on disk: the item of that name has this inode it is
 * the same another item has it, and is not where it was it was moved here the item of that name has another one it was
 * replaced, as editors do: the id stays, the content is stale else                                         it is new
 * and an item whose name is not on disk is missing until it is found elsewhere or a scan is over. An item that another
 * program moves while a scan is under way may be found too late and be given a new id.
 */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NOT_THERE     (-EAGAIN) /* inside of this file: the item is not where the index says */
#define FOLDER_FLAGS  (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define SETTLE_ROUNDS 8

void reached_clear(struct reached *reached)
{
	if (reached->dir >= 0)
		close(reached->dir);
	if (reached->self >= 0)
		close(reached->self);
	reached->dir = -1;
	reached->self = -1;
}

int reached_folder(const struct reached *reached)
{
	if (reached->row.type != DW_REMOTE_FOLDER)
		return -ENOTDIR;
	return reached->self >= 0 ? 0 : -EACCES;
}

int tree_parse_id(const char *text, int64_t *out)
{
	size_t length = strlen(text);
	int64_t id = 0;

	if (length == 0 || length > 18 || strspn(text, "0123456789") != length || text[0] == '0')
		return -ENOENT;
	for (size_t i = 0; i < length; i++)
		id = id * 10 + (text[i] - '0');
	*out = id;
	return 0;
}

static int64_t nanoseconds_of(struct statx_timestamp time)
{
	return time.tv_sec * NANOSECONDS + (int64_t)time.tv_nsec;
}

int tree_statx(int dir, const char *name, struct statx *out)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] == '\0' ? AT_EMPTY_PATH : 0);

	return statx(dir, name, flags, FOLDER_STATX, out) == 0 ? 0 : disk_error(errno);
}

static int64_t birth_of(const struct statx *stx)
{
	return (stx->stx_mask & STATX_BTIME) != 0 ? nanoseconds_of(stx->stx_btime) : 0;
}

static int type_of(const struct folder *folder, const struct statx *stx)
{
	if (makedev(stx->stx_dev_major, stx->stx_dev_minor) != folder->device)
		return DW_REMOTE_OTHER;
	if (S_ISREG(stx->stx_mode))
		return DW_REMOTE_FILE;
	return S_ISDIR(stx->stx_mode) ? DW_REMOTE_FOLDER : DW_REMOTE_OTHER;
}

void tree_stamp(struct row *row, const struct statx *stx)
{
	row->inode = (int64_t)stx->stx_ino;
	row->birth = birth_of(stx);
	row->changed = nanoseconds_of(stx->stx_ctime);
	row->modified = nanoseconds_of(stx->stx_mtime);
	row->bytes = row->type == DW_REMOTE_FILE ? (int64_t)stx->stx_size : 0;
}

static bool same_item(const struct folder *folder, const struct row *row, const struct statx *stx)
{
	return row->inode == (int64_t)stx->stx_ino && row->birth == birth_of(stx) && row->type == type_of(folder, stx);
}

static bool same_stamp(const struct row *row, const struct statx *stx)
{
	struct row now = *row;

	tree_stamp(&now, stx);
	return now.changed == row->changed && now.modified == row->modified && now.bytes == row->bytes;
}

static int get_row(struct folder *folder, int64_t id, struct row *out)
{
	return index_row(&folder->index, index_start(&folder->index, INDEX_ROW, "i", id), out);
}

struct chain {
	char (*names)[NAME_MAX + 1];
	size_t count;
	size_t room;
};

static int chain_add(struct chain *chain, const char *name)
{
	if (chain->count == chain->room) {
		size_t room = chain->room == 0 ? 8 : chain->room * 2;
		char(*more)[NAME_MAX + 1] = reallocarray(chain->names, room, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		chain->names = more;
		chain->room = room;
	}
	memcpy(chain->names[chain->count++], name, strlen(name) + 1);
	return 0;
}

/* Open a component of a path. */
static int open_folder(int dir, const char *name)
{
	int fd = openat(dir, name, FOLDER_FLAGS);

	if (fd >= 0)
		return fd;
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? NOT_THERE : disk_error(errno);
}

/* Open the folder id. row: its row. NOT_THERE, -ENOENT, DW_REMOTE_TRASHED. */
static int open_by_id(struct folder *folder, int64_t id, struct row *row, int *out)
{
	struct chain chain = {0};
	struct statx stx;
	struct row at;
	int fd = -1;
	int err;

	err = get_row(folder, id, row);
	at = *row;
	while (err == 0 && at.id != ROOT_ID) {
		if (at.state != ROW_LIVE)
			err = at.state == ROW_TRASHED ? DW_REMOTE_TRASHED : NOT_THERE;
		else if (chain.count >= DEPTH_MAX)
			err = -EIO;
		else
			err = chain_add(&chain, at.name);
		if (err == 0)
			err = get_row(folder, at.parent, &at);
	}
	if (err != 0)
		goto out;
	fd = open_folder(folder->root, ".");
	for (size_t i = chain.count; i > 0 && fd >= 0; i--) {
		int next = open_folder(fd, chain.names[i - 1]);

		close(fd);
		fd = next;
	}
	if (fd < 0) {
		err = fd;
		goto out;
	}
	err = tree_statx(fd, "", &stx);
	if (err == 0 && id != ROOT_ID && !same_item(folder, row, &stx))
		err = NOT_THERE;
	if (err == 0) {
		row->modified = nanoseconds_of(stx.stx_mtime);
		*out = fd;
		fd = -1;
	}
out:
	if (fd >= 0)
		close(fd);
	free(chain.names);
	return err;
}

static int reach_once(struct call *call, int64_t id, struct reached *out)
{
	struct folder *folder = call->folder;
	struct row parent;
	struct statx stx;
	int err;

	err = get_row(folder, id, &out->row);
	if (err != 0)
		return err;
	if (id == ROOT_ID)
		return open_by_id(folder, id, &out->row, &out->self);
	if (out->row.state != ROW_LIVE)
		return out->row.state == ROW_TRASHED ? DW_REMOTE_TRASHED : NOT_THERE;
	err = open_by_id(folder, out->row.parent, &parent, &out->dir);
	if (err != 0)
		return err;
	err = tree_statx(out->dir, out->row.name, &stx);
	if (err != 0)
		return err == -ENOENT ? NOT_THERE : err;
	if (!same_item(folder, &out->row, &stx))
		return NOT_THERE;
	if (out->row.type == DW_REMOTE_FILE && !same_stamp(&out->row, &stx))
		out->row.stale = true;
	if (out->row.type != DW_REMOTE_FOLDER)
		return 0;
	out->row.modified = nanoseconds_of(stx.stx_mtime);
	out->self = open_folder(out->dir, out->row.name);
	/* What cannot be read can still be shown. */
	return out->self >= 0 || out->self == -EACCES ? 0 : out->self;
}

int tree_reach(struct call *call, int64_t id, struct reached *out)
{
	int err;

	for (int round = 0; round < 3; round++) {
		struct reached parent = REACHED_NONE;
		struct row row;

		reached_clear(out);
		err = reach_once(call, id, out);
		if (err != NOT_THERE)
			break;
		if (round == 0) {
			err = get_row(call->folder, id, &row);
			if (err == 0)
				err = reach_once(call, row.parent, &parent);
			if (err == 0)
				err = tree_compare(call, &parent);
			reached_clear(&parent);
			if (err == NOT_THERE || err == -ENOENT)
				err = 0;
		} else {
			err = tree_scan(call);
		}
		if (err != 0)
			break;
		err = -ENOENT;
	}
	if (err != 0)
		reached_clear(out);
	return err;
}

int tree_begin(struct call *call)
{
	struct folder *folder = call->folder;
	int err;

	pthread_mutex_lock(&folder->lock);
	err = index_begin(&folder->index);
	if (err == DW_REMOTE_LATER)
		call->remote->retry_after = NANOSECONDS;
	if (err != 0)
		pthread_mutex_unlock(&folder->lock);
	return err;
}

int tree_finish(struct call *call, int err)
{
	struct folder *folder = call->folder;
	int end = index_end(&folder->index);

	pthread_mutex_unlock(&folder->lock);
	return err != 0 ? err : end;
}

int tree_take(struct call *call, const char *text, struct reached *out)
{
	int64_t id;
	int err;

	err = tree_parse_id(text, &id);
	for (int round = 0; round < SETTLE_ROUNDS && err == 0; round++) {
		err = tree_begin(call);
		if (err != 0)
			return err;
		err = tree_reach(call, id, out);
		if (err == 0 && !(out->row.type == DW_REMOTE_FILE && out->row.stale))
			return 0;
		err = tree_finish(call, err);
		if (err == 0)
			err = content_settle(call, out->dir, &out->row);
		reached_clear(out);
	}
	if (err == 0) {
		/* Somebody writes to it all the time. */
		call->remote->retry_after = NANOSECONDS;
		err = DW_REMOTE_LATER;
	}
	return err;
}

int tree_below(struct folder *folder, int64_t descendant, int64_t ancestor)
{
	struct row row;
	int err = 0;

	for (unsigned depth = 0; depth <= DEPTH_MAX; depth++) {
		if (descendant == ancestor)
			return 1;
		if (descendant == ROOT_ID)
			return 0;
		err = get_row(folder, descendant, &row);
		if (err != 0)
			return err;
		descendant = row.parent;
	}
	return -EIO;
}

/* --- Comparing ------------------------------------------------------------------------------------------- */

/* Is row still where the index has it, under another name than the one that was just found? */
static int still_there(struct folder *folder, const struct row *row, bool *out)
{
	struct row parent;
	struct statx stx;
	int dir = -1;
	int err;

	*out = false;
	if (row->state != ROW_LIVE)
		return 0;
	if (row->id == ROOT_ID) {
		*out = true;
		return 0;
	}
	err = open_by_id(folder, row->parent, &parent, &dir);
	if (err == NOT_THERE || err == DW_REMOTE_TRASHED || err == -ENOENT)
		return 0;
	if (err != 0)
		return err;
	err = tree_statx(dir, row->name, &stx);
	*out = err == 0 && same_item(folder, row, &stx);
	close(dir);
	return err == -ENOENT ? 0 : err;
}

/* An item that stood elsewhere and now is what stx describes; moved->id is 0 when there is none. */
static int find_moved(struct folder *folder, const struct statx *stx, struct row *moved)
{
	struct row_list list;
	int err;

	moved->id = 0;
	err = index_rows(&folder->index, index_start(&folder->index, INDEX_ROWS_INODE, "i", (int64_t)stx->stx_ino),
			 &list);
	for (size_t i = 0; i < list.count && err == 0; i++) {
		bool there;

		if (!same_item(folder, &list.rows[i], stx))
			continue;
		err = still_there(folder, &list.rows[i], &there);
		if (err == 0 && !there) {
			*moved = list.rows[i];
			break;
		}
	}
	free(list.rows);
	return err;
}

static int set_missing(struct folder *folder, struct row *row)
{
	row->state = ROW_MISSING;
	return index_update(&folder->index, row);
}

/* A name that the index does not know this way: moved here, replaced or new. */
static int note_other(struct folder *folder, int64_t parent, const char *name, const struct statx *stx,
		      struct row *known, int64_t *id)
{
	struct row row;
	int err;

	err = find_moved(folder, stx, &row);
	if (err != 0)
		return err;
	if (row.id == 0 && known->id != 0 && known->type == type_of(folder, stx)) {
		/* Whether anything to be seen has changed is found with its content. */
		known->state = ROW_LIVE;
		known->stale = true;
		known->inode = (int64_t)stx->stx_ino;
		known->birth = birth_of(stx);
		*id = known->id;
		return index_update(&folder->index, known);
	}
	if (known->id != 0)
		err = set_missing(folder, known);
	if (err == 0 && row.id == 0) {
		row = (struct row){.type = type_of(folder, stx), .version = 1};
		row.stale = row.type == DW_REMOTE_FILE;
		tree_stamp(&row, stx);
	} else {
		row.version++;
	}
	row.parent = parent;
	row.state = ROW_LIVE;
	memcpy(row.name, name, strlen(name) + 1);
	names_fold(folder, name, row.folded);
	if (err == 0)
		err = row.id == 0 ? index_insert(&folder->index, &row) : index_update(&folder->index, &row);
	*id = row.id;
	return err != 0 ? err : event_write(folder, DW_REMOTE_EVENT_CHANGED, &row);
}

static int note_name(struct call *call, const struct reached *parent, const char *name, struct id_list *seen)
{
	struct folder *folder = call->folder;
	char folded[NAME_MAX + 1];
	struct row known = {0};
	struct statx stx;
	int64_t id;
	int err;

	err = tree_statx(parent->self, name, &stx);
	if (err != 0)
		return err == -ENOENT ? 0 : err;
	names_fold(folder, name, folded);
	err = index_row(&folder->index,
			index_start(&folder->index, INDEX_ROW_NAMED, "inn", parent->row.id, folded, name), &known);
	if (err != 0 && err != -ENOENT)
		return err;
	if (err == -ENOENT)
		known.id = 0;
	id = known.id;
	err = 0;
	if (known.id == 0 || !same_item(folder, &known, &stx)) {
		err = note_other(folder, parent->row.id, name, &stx, &known, &id);
	} else if (known.state != ROW_LIVE ||
		   (known.type == DW_REMOTE_FILE && !known.stale && !same_stamp(&known, &stx)) ||
		   (known.type == DW_REMOTE_FOLDER && known.modified != nanoseconds_of(stx.stx_mtime))) {
		known.state = ROW_LIVE;
		known.stale = known.type == DW_REMOTE_FILE;
		if (known.type == DW_REMOTE_FOLDER)
			known.modified = nanoseconds_of(stx.stx_mtime);
		err = index_update(&folder->index, &known);
	}
	return err != 0 ? err : id_list_add(seen, id);
}

static int compare_ids(const void *a, const void *b)
{
	int64_t one = *(const int64_t *)a;
	int64_t other = *(const int64_t *)b;

	return one < other ? -1 : one > other;
}

int tree_compare(struct call *call, const struct reached *parent)
{
	struct folder *folder = call->folder;
	struct id_list seen = {0};
	struct id_list known = {0};
	struct dirent *entry;
	DIR *stream = NULL;
	int err = 0;
	int fd;

	err = reached_folder(parent);
	if (err != 0)
		return err;
	fd = openat(parent->self, ".", FOLDER_FLAGS);
	if (fd >= 0)
		stream = fdopendir(fd);
	if (stream == NULL) {
		err = disk_error(errno);
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (err == 0) {
		errno = 0;
		entry = readdir(stream);
		if (entry == NULL) {
			err = errno == 0 ? 0 : disk_error(errno);
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, SIDE_NAME) == 0)
			continue;
		err = call_check(call);
		if (err == 0)
			err = note_name(call, parent, entry->d_name, &seen);
	}
	if (err == 0)
		err = index_ids(&folder->index, index_start(&folder->index, INDEX_IDS_LIVE, "i", parent->row.id),
				&known);
	if (seen.count > 1)
		qsort(seen.ids, seen.count, sizeof(seen.ids[0]), compare_ids);
	for (size_t i = 0; i < known.count && err == 0; i++) {
		struct row row;

		if (known.ids[i] == ROOT_ID || (seen.count > 0 && bsearch(&known.ids[i], seen.ids, seen.count,
									  sizeof(seen.ids[0]), compare_ids) != NULL))
			continue;
		err = get_row(folder, known.ids[i], &row);
		if (err == 0)
			err = set_missing(folder, &row);
	}
	closedir(stream);
	free(seen.ids);
	free(known.ids);
	return err;
}

int tree_forget(struct folder *folder, int64_t id, bool tell)
{
	struct id_list list = {0};
	struct row row;
	int err;

	err = get_row(folder, id, &row);
	if (err == 0 && tell)
		err = event_write(folder, DW_REMOTE_EVENT_REMOVED, &row);
	if (err == 0)
		err = id_list_add(&list, id);
	for (size_t i = 0; i < list.count && err == 0; i++) {
		id = list.ids[i];
		err = index_ids(&folder->index, index_start(&folder->index, INDEX_IDS_CHILDREN, "i", id), &list);
		if (err == 0)
			err = versions_prune(folder, id, 0);
		if (err == 0)
			err = index_run(&folder->index, index_start(&folder->index, INDEX_PROPERTIES_DELETE, "i", id));
		if (err == 0)
			err = index_run(&folder->index, index_start(&folder->index, INDEX_ROW_DELETE, "i", id));
	}
	free(list.ids);
	return err;
}

int tree_scan(struct call *call)
{
	struct folder *folder = call->folder;
	struct id_list list = {0};
	int err;

	err = id_list_add(&list, ROOT_ID);
	for (size_t i = 0; i < list.count && err == 0; i++) {
		struct reached reached = REACHED_NONE;
		int64_t id = list.ids[i];

		err = reach_once(call, id, &reached);
		if (err == 0)
			err = tree_compare(call, &reached);
		reached_clear(&reached);
		if (err == NOT_THERE || err == -ENOENT || err == -EACCES)
			err = 0;
		else if (err == 0)
			err = index_ids(&folder->index, index_start(&folder->index, INDEX_IDS_FOLDERS, "i", id), &list);
	}
	list.count = 0;
	if (err == 0)
		err = index_ids(&folder->index, index_start(&folder->index, INDEX_IDS_MISSING, ""), &list);
	for (size_t i = 0; i < list.count && err == 0; i++) {
		err = tree_forget(folder, list.ids[i], true);
		if (err == -ENOENT)
			err = 0; /* it was below another one */
	}
	free(list.ids);
	return err;
}

int tree_name_free(struct call *call, const struct reached *parent, const char *name, int64_t except)
{
	struct folder *folder = call->folder;
	char folded[NAME_MAX + 1];
	struct statx stx;
	struct row row;
	int err;

	err = names_check(folder, name);
	if (err != 0)
		return err;
	err = tree_statx(parent->self, name, &stx);
	if (err == 0) {
		if (except == 0)
			return -EEXIST;
		err = get_row(folder, except, &row);
		if (err == 0 && !same_item(folder, &row, &stx))
			err = -EEXIST;
	}
	if (err != 0 && err != -ENOENT)
		return err;
	if (!folder->fold)
		return 0;
	names_fold(folder, name, folded);
	err = tree_compare(call, parent);
	if (err == 0)
		err = index_row(&folder->index,
				index_start(&folder->index, INDEX_ROW_FOLDED, "ini", parent->row.id, folded, except),
				&row);
	return err == 0 ? -EEXIST : err == -ENOENT ? 0 : err;
}

int tree_sync(const struct folder *folder, int dir)
{
	if (!folder->durable)
		return 0;
	return fsync(dir) == 0 || errno == EINVAL ? 0 : disk_error(errno);
}
