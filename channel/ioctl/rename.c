/* SPDX-License-Identifier: MIT */
/*
 * rename.c - RENAME, CLEANUP, CAN_DELETE: what becomes of names
 *
 * The driver says by which path a file is meant, as a program opened it. That path is walked again, and nothing is done
 * when it does not lead to the file's node: no request ever removes or renames what somebody else has put there.
 *
 * A target that is there in other letters of case is replaced, and then has the letters that were asked for: two steps,
 * of which the second is repeated without harm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/ioctl/volume_internal.h"
#include "support/text.h"

/* The name by which the file is meant; STATUS_OBJECT_NAME_NOT_FOUND when it is another's by now. */
static int32_t find_own(struct call *call, struct file *file, struct fs_text name, struct place *out)
{
	/* First the name itself, then, when it is a link that was followed, what it leads to. */
	for (unsigned i = 0; i < 2; i++) {
		int32_t status = walk(call, name, i ? WALK_FOLLOW : 0, out);

		if (status)
			return status == STATUS_REPARSE ? STATUS_OBJECT_NAME_NOT_FOUND : status;
		if (out->found && out->entry.node == file->kept->node)
			return STATUS_SUCCESS;
		place_release(call, out);
	}
	return STATUS_OBJECT_NAME_NOT_FOUND;
}

/* --- Deleting --- */

static int remove_entry(struct call *call, const struct place *place, const struct dw_request *req)
{
	struct volume *volume = call->volume;
	bool is_folder = (place->entry.attr.mode & DW_MODE_TYPE) == DW_MODE_FOLDER;
	int error = call_may_change(call, is_folder ? volume->ops.rmdir != NULL : volume->ops.unlink != NULL);

	if (error)
		return error;
	if (is_folder)
		error = volume->ops.rmdir(volume->fs, req, place->parent, place->name);
	else
		error = volume->ops.unlink(volume->fs, req, place->parent, place->name);
	if (!error) {
		folds_removed(&volume->folds, place->parent, place->name);
		if (is_folder)
			folds_drop(&volume->folds, place->entry.node);
	}
	return error;
}

static int32_t delete_own(struct call *call, struct file *file)
{
	struct volume *volume = call->volume;
	struct place place;
	int32_t status = find_own(call, file, call->in.u.cleanup.name, &place);
	int error;

	if (status)
		return call->replayed && status == STATUS_OBJECT_NAME_NOT_FOUND ? STATUS_SUCCESS : status;
	if (!place.parent) {
		place_release(call, &place);
		return STATUS_CANNOT_DELETE;
	}
	error = locks_take(&volume->locks, place.parent);
	if (!error) {
		struct dw_entry now;

		/* Under the lock it must still be so. */
		error = call_lookup(call, place.parent, place.name, &now);
		if (!error) {
			call_forget(call, now.node);
			error = now.node == file->kept->node ? remove_entry(call, &place, call_main(call)) : -ENOENT;
		}
		locks_give(&volume->locks, place.parent);
	}
	place_release(call, &place);
	return status_of(error);
}

int32_t request_cleanup(struct call *call, struct file *file)
{
	struct volume *volume = call->volume;
	int error = 0;

	if (call->in.u.cleanup.flags & FS_CLEANUP_DELETE)
		return delete_own(call, file);
	if ((file->kept->flags & FILE_KEPT_RELEASE) && !(file->kept->flags & FILE_KEPT_FOLDER) && volume->ops.flush)
		error = volume->ops.flush(volume->fs, call_step(call), file->kept->node, file->kept->handle,
					  file->kept->id);
	return status_of(error);
}

/* A listing that only wants to know whether there is anything. */
struct emptiness {
	struct dw_listing base;
	bool any;
};

static bool see_entry(struct dw_listing *base, const char *name, size_t length, uint64_t next,
		      const struct dw_entry *entry)
{
	struct emptiness *emptiness = (struct emptiness *)base;

	if ((length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.'))
		return true;
	emptiness->any = true;
	return false;
}

static int32_t check_empty(struct call *call, struct file *file)
{
	struct volume *volume = call->volume;
	struct emptiness emptiness = {.base = {.add = see_entry}};
	struct dw_open open = {.handle = 0};
	int error = 0;

	if (volume->ops.opendir)
		error = volume->ops.opendir(volume->fs, call_step(call), file->kept->node, &open);
	if (error)
		return status_of(error);
	error = volume->ops.readdir(volume->fs, call_step(call), file->kept->node, open.handle, 0, &emptiness.base);
	if (volume->ops.releasedir)
		volume->ops.releasedir(volume->fs, call_step(call), file->kept->node, open.handle);
	if (error)
		return status_of(error);
	return emptiness.any ? STATUS_DIRECTORY_NOT_EMPTY : STATUS_SUCCESS;
}

int32_t request_can_delete(struct call *call, struct file *file)
{
	struct dw_attr attr;
	int error;

	if (call->volume->read_only)
		return STATUS_MEDIA_WRITE_PROTECTED;
	if (file->kept->node == DW_NODE_ROOT)
		return STATUS_CANNOT_DELETE;
	if (file->kept->flags & FILE_KEPT_FOLDER)
		return check_empty(call, file);
	error = call_getattr(call, file->kept->node, file->kept->handle, &attr);
	if (error)
		return status_of(error);
	return (attr.mode & DW_MODE_TYPE) == DW_MODE_FILE && !(attr.mode & 0222) ? STATUS_CANNOT_DELETE
										 : STATUS_SUCCESS;
}

/* --- Renaming --- */

/* The name as it was asked for, which a place that was found has in the letters that it really has. */
static bool asked_name(struct call *call, struct fs_text path, char out[NAME_BYTES + 1])
{
	const uint16_t *text = call_text(call, path);
	size_t end = path.length / 2, begin = end;

	while (begin > 0 && text[begin - 1] != '\\')
		begin--;
	return name_from_windows(text + begin, end - begin, out);
}

/* May what is at to be replaced by what is at from? They are two entries. */
static int32_t check_target(const struct call *call, const struct place *from, const struct place *to)
{
	uint32_t mode = to->entry.attr.mode;

	if (!(call->in.u.rename.flags & FS_RENAME_REPLACE))
		return STATUS_OBJECT_NAME_COLLISION;
	if ((mode & DW_MODE_TYPE) == DW_MODE_FOLDER)
		return STATUS_ACCESS_DENIED;
	if ((from->entry.attr.mode & DW_MODE_TYPE) == DW_MODE_FOLDER)
		return STATUS_ACCESS_DENIED;
	return (mode & DW_MODE_TYPE) == DW_MODE_FILE && !(mode & 0222) ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;
}

static int move(struct call *call, const struct dw_request *req, const struct place *from, uint64_t parent,
		const char *name, uint32_t flags)
{
	struct volume *volume = call->volume;
	int error = volume->ops.rename(volume->fs, req, from->parent, from->name, parent, name, flags);

	if (!error) {
		folds_removed(&volume->folds, from->parent, from->name);
		folds_added(&volume->folds, parent, name);
	}
	return error;
}

/* The path of to, but with the name that was asked for. */
static char *new_path(const struct place *to, const char *name)
{
	size_t folder = strlen(to->path) - strlen(to->name), size = folder + strlen(name) + 1;
	char *path = malloc(size);

	if (path)
		(void)text_format(path, size, "%.*s%s", (int)folder, to->path, name);
	return path;
}

/* Both folders are locked. */
static int32_t rename_locked(struct call *call, struct place *from, struct place *to, const char *name)
{
	struct volume *volume = call->volume;
	bool same_entry = to->found && to->parent == from->parent && !strcmp(to->name, from->name);
	int32_t status;
	char *path;
	int error;

	if (to->found && !same_entry) {
		status = check_target(call, from, to);
		if (status)
			return status;
		if (to->entry.node == from->entry.node) {
			/* Two names of one file: one goes. POSIX would do nothing. */
			error = remove_entry(call, from, call_main(call));
		} else {
			error = move(call, call_main(call), from, to->parent, to->name, 0);
		}
		if (!error && strcmp(to->name, name) != 0)
			error = move(call, call_step(call), to, to->parent, name, 0);
	} else if (same_entry && !strcmp(from->name, name)) {
		return STATUS_SUCCESS;
	} else {
		error = move(call, call_main(call), from, to->parent, name, same_entry ? 0 : DW_RENAME_NOREPLACE);
		if (error == -EINVAL && !same_entry) {
			/* Not every file system knows the flag; the folder is locked, and the name was not there. */
			error = move(call, call_step(call), from, to->parent, name, 0);
		}
	}
	if (error)
		return status_of(error);
	path = new_path(to, name);
	if (path)
		files_renamed(&volume->files, from->path, path);
	free(path);
	return STATUS_SUCCESS;
}

static int32_t link_locked(struct call *call, struct place *from, struct place *to, const char *name)
{
	struct volume *volume = call->volume;
	struct dw_entry entry = {.node = 0};
	char temporary[NAME_BYTES + 1];
	int32_t status;
	int error = call_may_change(call, volume->ops.link);

	if (error)
		return status_of(error);
	if ((from->entry.attr.mode & DW_MODE_TYPE) == DW_MODE_FOLDER)
		return STATUS_FILE_IS_A_DIRECTORY;
	if (to->found && to->entry.node == from->entry.node && call->replayed)
		return STATUS_SUCCESS;
	if (!to->found) {
		error = volume->ops.link(volume->fs, call_main(call), from->entry.node, to->parent, name, &entry);
		if (!error) {
			call_forget(call, entry.node);
			folds_added(&volume->folds, to->parent, name);
		}
		return status_of(error);
	}
	status = check_target(call, from, to);
	if (status || to->entry.node == from->entry.node)
		return status;
	/* By a name of its own first, so that there is never a moment without the target. */
	snprintf(temporary, sizeof(temporary), ".driveway-link-%016llx", (unsigned long long)call->in.id);
	error = volume->ops.link(volume->fs, call_step(call), from->entry.node, to->parent, temporary, &entry);
	if (!error) {
		struct place made = {.parent = to->parent};

		call_forget(call, entry.node);
		memcpy(made.name, temporary, sizeof(made.name));
		error = volume->ops.rename ? move(call, call_main(call), &made, to->parent, to->name, 0) : -ENOSYS;
		if (error)
			(void)volume->ops.unlink(volume->fs, call_step(call), to->parent, temporary);
	}
	return status_of(error);
}

/* The target, with both folders locked and looked at again. */
static int32_t rename_to(struct call *call, struct file *file, struct place *from)
{
	const struct fs_rename *in = &call->in.u.rename;
	struct volume *volume = call->volume;
	char name[NAME_BYTES + 1];
	struct dw_entry now;
	struct place to;
	uint64_t a, b;
	int32_t status = walk(call, in->to, 0, &to);
	int error;

	if (status)
		return status == STATUS_REPARSE ? STATUS_OBJECT_PATH_NOT_FOUND : status;
	if (!to.parent || !asked_name(call, in->to, name)) {
		place_release(call, &to);
		return to.parent ? STATUS_OBJECT_NAME_INVALID : STATUS_ACCESS_DENIED;
	}
	a = from->parent;
	b = to.parent;
	error = locks_take_two(&volume->locks, a, b);
	if (error) {
		place_release(call, &to);
		return status_of(error);
	}
	place_release(call, &to);
	status = walk(call, in->to, 0, &to);
	if (!status) {
		status = status_of(call_lookup(call, a, from->name, &now));
		if (!status) {
			call_forget(call, now.node);
			/* What has moved in the time between is as if it had never been there. */
			if (now.node != file->kept->node)
				status = STATUS_OBJECT_NAME_NOT_FOUND;
			else if (to.parent != b)
				status = STATUS_OBJECT_PATH_NOT_FOUND;
			else if (in->flags & FS_RENAME_LINK)
				status = link_locked(call, from, &to, name);
			else
				status = rename_locked(call, from, &to, name);
		}
		place_release(call, &to);
	}
	locks_give_two(&volume->locks, a, b);
	return status;
}

int32_t request_rename(struct call *call, struct file *file)
{
	const struct fs_rename *in = &call->in.u.rename;
	struct place from, to;
	int32_t status;
	int error = call_may_change(call, call->volume->ops.rename || (in->flags & FS_RENAME_LINK));

	if (error)
		return status_of(error);
	if (file->kept->node == DW_NODE_ROOT)
		return STATUS_ACCESS_DENIED;
	status = find_own(call, file, in->from, &from);
	if (status == STATUS_OBJECT_NAME_NOT_FOUND && call->replayed && !find_own(call, file, in->to, &to)) {
		/* An earlier process has done it. */
		place_release(call, &to);
		return STATUS_SUCCESS;
	}
	if (status)
		return status;
	status = from.parent ? rename_to(call, file, &from) : STATUS_ACCESS_DENIED;
	place_release(call, &from);
	return status;
}
