/* SPDX-License-Identifier: MIT */
/*
 * open.c - CREATE, REOPEN, CLOSE
 *
 * What a disposition does, by whether the name is there:
 *
 *    disposition         there                               missing
 *    FILE_SUPERSEDE      opened; FILE_SUPERSEDED: the        made, FILE_CREATED
 *    FILE_OVERWRITE_IF   or FILE_OVERWRITTEN: driver sends   made, FILE_CREATED
 *    FILE_OVERWRITE      FS_OVERWRITE next                   STATUS_OBJECT_NAME_NOT_FOUND
 *    FILE_OPEN           opened, FILE_OPENED                 STATUS_OBJECT_NAME_NOT_FOUND
 *    FILE_OPEN_IF        opened, FILE_OPENED                 made, FILE_CREATED
 *    FILE_CREATE         STATUS_OBJECT_NAME_COLLISION        made, FILE_CREATED
 *
 * Replays. STAGE_MAKING is noted before a name is made: when the request comes again, that the name is there says
 * nothing, and the making is repeated, which a persistent file system recognises. STAGE_OPENED is noted with the file's
 * id when all is done: then the answer is just given again.
 */
#include <stdlib.h>
#include <string.h>

#include "channel/ioctl/volume_internal.h"

#define DATA_READ  (FILE_READ_DATA | FILE_EXECUTE)
#define DATA_WRITE (FILE_WRITE_DATA | FILE_APPEND_DATA)
#define CHANGES                                                                                                        \
	(DATA_WRITE | FILE_WRITE_EA | FILE_DELETE_CHILD | FILE_WRITE_ATTRIBUTES | DELETE | WRITE_DAC | WRITE_OWNER)

static bool overwrites(const struct fs_create *in)
{
	return in->disposition == FILE_SUPERSEDE || in->disposition == FILE_OVERWRITE ||
	       in->disposition == FILE_OVERWRITE_IF;
}

static bool is_folder_mode(uint32_t mode)
{
	return (mode & DW_MODE_TYPE) == DW_MODE_FOLDER;
}

static int32_t check_options(const struct fs_create *in)
{
	bool folder = in->options & FILE_DIRECTORY_FILE;

	if (in->disposition > FILE_OVERWRITE_IF || (folder && (in->options & FILE_NON_DIRECTORY_FILE)))
		return STATUS_INVALID_PARAMETER;
	if (folder && (overwrites(in) || (in->disposition != FILE_OPEN && (in->attributes & FILE_ATTRIBUTE_TEMPORARY))))
		return STATUS_INVALID_PARAMETER;
	if ((in->options & FILE_DELETE_ON_CLOSE) && !(in->access & (DELETE | GENERIC_ALL | MAXIMUM_ALLOWED)))
		return STATUS_INVALID_PARAMETER;
	return in->options & FILE_OPEN_BY_FILE_ID ? STATUS_NOT_SUPPORTED : STATUS_SUCCESS;
}

/* What is granted of what is asked for. */
static int32_t grant(const struct volume *volume, uint32_t asked, bool read_only_file, uint32_t *granted)
{
	uint32_t most = FILE_ALL_ACCESS;

	if (asked & GENERIC_READ)
		asked |= FILE_GENERIC_READ;
	if (asked & GENERIC_WRITE)
		asked |= FILE_GENERIC_WRITE;
	if (asked & GENERIC_EXECUTE)
		asked |= FILE_GENERIC_EXECUTE;
	if (asked & GENERIC_ALL)
		asked |= FILE_ALL_ACCESS;
	if (volume->read_only)
		most &= ~CHANGES;
	if (read_only_file)
		most &= ~DATA_WRITE;
	if ((asked & FILE_ALL_ACCESS) & ~most)
		return volume->read_only ? STATUS_MEDIA_WRITE_PROTECTED : STATUS_ACCESS_DENIED;
	*granted = asked & MAXIMUM_ALLOWED ? most : asked & FILE_ALL_ACCESS;
	return STATUS_SUCCESS;
}

uint32_t open_mode(const struct volume *volume, bool is_folder, uint32_t attributes)
{
	uint32_t mode = is_folder ? 0777u : 0666u;

	if (!(volume->fs->flags & DW_FS_ACL))
		mode &= ~VOLUME_UMASK;
	return !is_folder && (attributes & FILE_ATTRIBUTE_READONLY) ? attributes_mode(mode, true) : mode;
}

static uint32_t open_flags(uint32_t access)
{
	return access & DATA_WRITE ? DW_O_RDWR : DW_O_RDONLY;
}

/* A handle, where the access is to data. */
static int open_handle(struct call *call, uint32_t mode, struct kept_file *file)
{
	struct volume *volume = call->volume;
	struct dw_open open = {.handle = 0};
	int error = 0;

	file->handle = DW_NO_HANDLE;
	if (is_folder_mode(mode)) {
		file->flags |= FILE_KEPT_FOLDER;
		if (!(file->access & FILE_READ_DATA))
			return 0;
		if (volume->ops.opendir)
			error = volume->ops.opendir(volume->fs, call_step(call), file->node, &open);
	} else if ((mode & DW_MODE_TYPE) != DW_MODE_FILE) {
		file->flags |= FILE_KEPT_LINK;
		return 0;
	} else if (file->access & (DATA_READ | DATA_WRITE)) {
		if (volume->ops.open)
			error = volume->ops.open(volume->fs, call_step(call), file->node, open_flags(file->access),
						 &open);
		/* Mapped files are read, too; but a file that may only be written is opened all the same. */
		if (error == -EACCES && !(file->access & DATA_READ))
			error = volume->ops.open(volume->fs, call_step(call), file->node, DW_O_WRONLY, &open);
	} else {
		return 0;
	}
	if (error)
		return error;
	file->handle = open.handle;
	file->flags |= FILE_KEPT_RELEASE | (open.flags & DW_OPEN_DIRECT ? FILE_KEPT_DIRECT : 0);
	return 0;
}

/*
 * Into the table and the answer. The lookup that place holds of its entry becomes the file's, and its path as well. On
 * failure kept's handle is closed and place is as it was.
 */
static int32_t enter(struct call *call, struct place *place, struct kept_file *kept, uint32_t information)
{
	struct fs_created *out = &call->out->u.created;
	struct file *file;
	int error;

	kept->node = place->entry.node;
	kept->generation = place->entry.generation;
	call_fill_file(call, kept->node, &place->entry.attr, place->path, &call->out->file);
	error = files_add(&call->volume->files, kept, place->path, &file);
	if (error) {
		files_release(call, call_step(call), kept);
		return status_of(error);
	}
	place->found = false;
	place->path = NULL;
	out->file = file->kept->id;
	out->granted = kept->access;
	out->information = information;
	call->kept->value = out->file;
	call->kept->information = information;
	__atomic_store_n(&call->kept->stage, STAGE_OPENED, __ATOMIC_RELEASE);
	files_put(call, file);
	return STATUS_SUCCESS;
}

/* --- A name that is there --- */

/* May a file with these attributes be opened that way? */
static int32_t check_existing(struct call *call, const struct place *place, uint32_t attributes)
{
	const struct fs_create *in = &call->in.u.create;
	uint32_t needed = attributes & (FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM);
	bool is_folder = attributes & FILE_ATTRIBUTE_DIRECTORY;
	bool read_only = !is_folder && (attributes & FILE_ATTRIBUTE_READONLY);

	if (in->disposition == FILE_CREATE)
		return STATUS_OBJECT_NAME_COLLISION;
	if (is_folder && (in->options & FILE_NON_DIRECTORY_FILE) && !(attributes & FILE_ATTRIBUTE_REPARSE_POINT))
		return STATUS_FILE_IS_A_DIRECTORY;
	if (!is_folder && ((in->options & FILE_DIRECTORY_FILE) || place->ends_open))
		return STATUS_NOT_A_DIRECTORY;
	if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) && !(in->options & FILE_OPEN_REPARSE_POINT))
		return STATUS_IO_REPARSE_TAG_NOT_HANDLED;
	if (overwrites(in)) {
		if (is_folder)
			return STATUS_OBJECT_NAME_COLLISION;
		if (call->volume->read_only)
			return STATUS_MEDIA_WRITE_PROTECTED;
		if (read_only || (attributes & FILE_ATTRIBUTE_REPARSE_POINT) || (needed & ~in->attributes))
			return STATUS_ACCESS_DENIED;
	}
	if (in->options & FILE_DELETE_ON_CLOSE) {
		if (call->volume->read_only)
			return STATUS_MEDIA_WRITE_PROTECTED;
		if (read_only || !place->parent)
			return STATUS_CANNOT_DELETE;
	}
	return STATUS_SUCCESS;
}

static int32_t open_existing(struct call *call, struct place *place)
{
	const struct fs_create *in = &call->in.u.create;
	struct kept_file kept = {.node = place->entry.node};
	struct fs_file file;
	uint32_t information;
	int32_t status;
	bool read_only;

	call_fill_file(call, place->entry.node, &place->entry.attr, place->path, &file);
	status = check_existing(call, place, file.attributes);
	if (status)
		return status;
	read_only = (file.attributes & FILE_ATTRIBUTE_READONLY) && !(file.attributes & FILE_ATTRIBUTE_DIRECTORY);
	status = grant(call->volume, in->access, read_only, &kept.access);
	if (!status)
		status = status_of(open_handle(call, place->entry.attr.mode, &kept));
	if (status)
		return status;
	if (in->disposition == FILE_SUPERSEDE)
		information = FILE_SUPERSEDED;
	else
		information = overwrites(in) ? FILE_OVERWRITTEN : FILE_OPENED;
	return enter(call, place, &kept, information);
}

/* --- A name that is missing --- */

static int make_folder(struct call *call, const struct place *place, struct dw_entry *entry)
{
	struct volume *volume = call->volume;
	int error = call_may_change(call, volume->ops.mkdir);

	if (error)
		return error;
	return volume->ops.mkdir(volume->fs, call_main(call), place->parent, place->name,
				 open_mode(volume, true, 0) | DW_MODE_FOLDER, entry);
}

/* With its handle, where create gives one. */
static int make_file(struct call *call, const struct place *place, struct kept_file *kept, struct dw_entry *entry)
{
	struct volume *volume = call->volume;
	uint32_t mode = open_mode(volume, false, call->in.u.create.attributes);
	struct dw_open open = {.handle = 0};
	int error = call_may_change(call, volume->ops.create || volume->ops.mknod);

	if (error)
		return error;
	if (!volume->ops.create || (!(kept->access & (DATA_READ | DATA_WRITE)) && volume->ops.mknod))
		return volume->ops.mknod(volume->fs, call_main(call), place->parent, place->name, mode | DW_MODE_FILE,
					 0, 0, entry);
	error = volume->ops.create(volume->fs, call_main(call), place->parent, place->name, mode,
				   open_flags(kept->access), entry, &open);
	if (error)
		return error;
	kept->handle = open.handle;
	kept->flags = FILE_KEPT_RELEASE | (open.flags & DW_OPEN_DIRECT ? FILE_KEPT_DIRECT : 0);
	return 0;
}

/* What a new file is to have beyond its name. */
static void dress(struct call *call, struct place *place, const struct kept_file *kept, bool is_folder)
{
	const struct fs_create *in = &call->in.u.create;
	uint32_t attributes = attributes_kept(in->attributes, is_folder) | attributes_default(is_folder);
	struct volume *volume = call->volume;

	call_set_attributes(call, place->entry.node, attributes, is_folder);
	/* Room is reserved as well as it goes: that there is less is found out by writing. */
	if (!is_folder && in->allocation && kept->handle != DW_NO_HANDLE && volume->ops.fallocate &&
	    in->allocation <= INT64_MAX &&
	    !volume->ops.fallocate(volume->fs, call_step(call), place->entry.node, kept->handle, 0, in->allocation,
				   DW_FALLOCATE_KEEP_SIZE))
		(void)call_getattr(call, place->entry.node, kept->handle, &place->entry.attr);
}

/* A name that a replayed request was about to make is there: did it make it? */
static int made_before(struct call *call, const struct place *place, int error)
{
	if (error != -EEXIST || !call->replayed || !place->found)
		return error;
	/* A persistent file system would have recognised its own. */
	return call->volume->fs->flags & DW_FS_PERSISTENT ? error : 0;
}

static int32_t make(struct call *call, struct place *place)
{
	const struct fs_create *in = &call->in.u.create;
	struct kept_file kept = {.handle = DW_NO_HANDLE};
	bool is_folder = in->options & FILE_DIRECTORY_FILE;
	struct dw_entry entry = {.entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};
	int32_t status;
	int error;

	if (place->ends_open && !is_folder)
		return STATUS_OBJECT_NAME_INVALID;
	if (call->volume->read_only)
		return STATUS_MEDIA_WRITE_PROTECTED;
	if ((in->options & FILE_DELETE_ON_CLOSE) && !is_folder && (in->attributes & FILE_ATTRIBUTE_READONLY))
		return STATUS_CANNOT_DELETE;
	/* Who makes a file may write to it, whatever others may then. */
	status = grant(call->volume, in->access, false, &kept.access);
	if (status)
		return status;
	__atomic_store_n(&call->kept->stage, STAGE_MAKING, __ATOMIC_RELEASE);
	error = is_folder ? make_folder(call, place, &entry) : make_file(call, place, &kept, &entry);
	if (error) {
		error = made_before(call, place, error);
		if (error)
			return status_of(error);
	} else {
		if (place->found)
			call_forget(call, place->entry.node);
		place->found = true;
		place->entry = entry;
	}
	folds_added(&call->volume->folds, place->parent, place->name);
	kept.node = place->entry.node;
	dress(call, place, &kept, is_folder);
	if (is_folder || !(kept.flags & FILE_KEPT_RELEASE)) {
		status = status_of(open_handle(call, place->entry.attr.mode, &kept));
		if (status)
			return status;
	}
	return enter(call, place, &kept, FILE_CREATED);
}

/* --- CREATE --- */

/* SL_OPEN_TARGET_DIRECTORY: the folder itself is opened; whether the name is in it is told. */
static int32_t open_target_folder(struct call *call, struct place *place)
{
	uint32_t information = place->found ? FILE_EXISTS : FILE_DOES_NOT_EXIST;
	struct kept_file kept = {.flags = FILE_KEPT_FOLDER, .handle = DW_NO_HANDLE};
	struct place folder = {.found = true};
	char *slash;
	int32_t status;
	int error;

	if (!place->parent)
		return STATUS_INVALID_PARAMETER;
	error = call_getattr(call, place->parent, DW_NO_HANDLE, &folder.entry.attr);
	status = error ? status_of(error) : grant(call->volume, call->in.u.create.access, false, &kept.access);
	if (status)
		return status;
	/* The folder's lookup and the path before the name go over to the place of the folder. */
	slash = strrchr(place->path, '/');
	*(slash ? slash : place->path) = '\0';
	folder.entry.node = kept.node = place->parent;
	folder.entry.generation = place->parent_generation;
	folder.path = place->path;
	place->parent = 0;
	place->path = NULL;
	status = status_of(open_handle(call, DW_MODE_FOLDER, &kept));
	if (!status)
		status = enter(call, &folder, &kept, information);
	place_release(call, &folder);
	return status;
}

/* The answer was found by an earlier process. */
static int32_t answer_again(struct call *call)
{
	struct file *file = files_get(&call->volume->files, call->kept->value);
	int32_t status;

	if (!file)
		return STATUS_FILE_CLOSED;
	files_adopt(&call->volume->files, file);
	status = call_answer_file(call, file);
	call->out->u.created = (struct fs_created){
		.file = file->kept->id, .information = call->kept->information, .granted = file->kept->access};
	files_put(call, file);
	return status;
}

/* The name's own state, with its folder locked where something may have to be made. */
static int32_t create_locked(struct call *call, unsigned flags)
{
	const struct fs_create *in = &call->in.u.create;
	bool making = call->replayed && call->kept->stage == STAGE_MAKING;
	bool may_make = in->disposition != FILE_OPEN && in->disposition != FILE_OVERWRITE;
	struct place place;
	uint64_t locked = 0;
	int32_t status = walk(call, in->name, flags, &place);

	if (status)
		return status;
	if ((!place.found || making) && may_make && !(in->flags & FS_OPEN_TARGET_FOLDER) && place.parent) {
		/* Now that the folder is known, look again under its lock: another one may be making the name. */
		uint64_t parent = place.parent;
		int error = locks_take(&call->volume->locks, parent);

		if (error) {
			place_release(call, &place);
			return status_of(error);
		}
		locked = parent;
		place_release(call, &place);
		status = walk(call, in->name, flags, &place);
		if (!status && place.parent != parent) {
			place_release(call, &place);
			status = STATUS_OBJECT_PATH_NOT_FOUND;
		}
		if (status) {
			locks_give(&call->volume->locks, locked);
			return status;
		}
	}
	if (in->flags & FS_OPEN_TARGET_FOLDER)
		status = open_target_folder(call, &place);
	else if (place.found && !(making && place.parent))
		status = open_existing(call, &place);
	else if (may_make)
		status = make(call, &place);
	else
		status = STATUS_OBJECT_NAME_NOT_FOUND;
	if (locked)
		locks_give(&call->volume->locks, locked);
	place_release(call, &place);
	return status;
}

int32_t request_create(struct call *call)
{
	const struct fs_create *in = &call->in.u.create;
	unsigned flags = in->flags & FS_OPEN_CASE_SENSITIVE ? WALK_CASE_SENSITIVE : 0;
	int32_t status = check_options(in);

	if (status)
		return status;
	if (call->replayed && call->kept->stage == STAGE_OPENED)
		return answer_again(call);
	if (!(in->options & FILE_OPEN_REPARSE_POINT) && !(in->flags & FS_OPEN_TARGET_FOLDER))
		flags |= WALK_FOLLOW;
	return create_locked(call, flags);
}

/* --- REOPEN --- */

/* The table, kept, has the file and the file system still knows it. */
static int32_t reopen_kept(struct call *call, struct file *file)
{
	struct place place;
	int32_t status = call_answer_file(call, file);

	if (status)
		return status;
	files_adopt(&call->volume->files, file);
	if (!walk(call, call->in.u.create.name, file->kept->flags & FILE_KEPT_LINK ? 0 : WALK_FOLLOW, &place)) {
		if (place.found && place.entry.node == file->kept->node) {
			files_set_path(&call->volume->files, file, place.path);
			place.path = NULL;
		}
		place_release(call, &place);
	}
	call->out->u.created = (struct fs_created){
		.file = file->kept->id, .information = FILE_OPENED, .granted = file->kept->access};
	return STATUS_SUCCESS;
}

/* By its path, under the id that it had. */
static int32_t reopen_by_path(struct call *call, uint32_t access)
{
	const struct fs_create *in = &call->in.u.create;
	struct kept_file kept = {.id = in->file, .access = access};
	struct place place;
	int32_t status = walk(call, in->name, in->options & FILE_OPEN_REPARSE_POINT ? 0 : WALK_FOLLOW, &place);

	if (status)
		return status;
	kept.node = place.entry.node;
	if (!place.found)
		status = STATUS_OBJECT_NAME_NOT_FOUND;
	else
		status = status_of(open_handle(call, place.entry.attr.mode, &kept));
	if (!status)
		status = enter(call, &place, &kept, FILE_OPENED);
	place_release(call, &place);
	return status;
}

int32_t request_reopen(struct call *call)
{
	const struct fs_create *in = &call->in.u.create;
	struct volume *volume = call->volume;
	struct file *file;
	uint32_t access;
	int32_t status;

	/* As files.c makes them. */
	if (in->file / VOLUME_FILES == 0)
		return STATUS_INVALID_PARAMETER;
	file = files_get(&volume->files, in->file);
	if (!file) {
		status = grant(volume, in->access, false, &access);
		return status ? status : reopen_by_path(call, access);
	}
	if (volume->fs->flags & DW_FS_PERSISTENT) {
		status = reopen_kept(call, file);
		files_put(call, file);
		return status;
	}
	/* Its node and handle were the earlier process's: they go without being given back. */
	access = file->kept->access;
	return files_lose(&volume->files, file) ? reopen_by_path(call, access) : STATUS_INVALID_PARAMETER;
}

/* --- CLOSE --- */

int32_t request_close(struct call *call, struct file *file)
{
	return files_close(&call->volume->files, file) ? STATUS_SUCCESS : STATUS_FILE_CLOSED;
}
