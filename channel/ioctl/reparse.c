/* SPDX-License-Identifier: MIT */
/*
 * reparse.c - FILE_CONTROL: symbolic links as reparse points
 *
 * A link's target is the file system's text with backslashes. A relative one, and one that begins at the volume's root,
 * have SYMLINK_FLAG_RELATIVE; "X:/..." and "//server/..." are absolute, "\??\X:\..." and "\??\UNC\server\...".
 *
 * To set a reparse point is to make a link of a new, empty file or folder. The file system cannot change what a node
 * is, so the link is made beside it and takes its name. The handle that it was done by goes on meaning what it was
 * opened as, which has no name any more: programs close it then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/ioctl/volume_internal.h"

#define TARGET_MAX 4096u /* with NUL */

/* REPARSE_DATA_BUFFER of a symbolic link, up to its text. */
struct symlink_head {
	uint32_t tag;
	uint16_t data_length; /* behind the first 8 bytes */
	uint16_t reserved;
	uint16_t substitute_offset;
	uint16_t substitute_length;
	uint16_t print_offset;
	uint16_t print_length;
	uint32_t flags;
};

_Static_assert(sizeof(struct symlink_head) == 20, "as it is on the wire");

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool has_drive(const char *target)
{
	return is_letter(target[0]) && target[1] == ':' && (target[2] == '/' || target[2] == '\0');
}

bool reparse_leads_away(const char *target)
{
	return has_drive(target) || (target[0] == '/' && target[1] == '/');
}

uint32_t reparse_build(const char *target, size_t length, uint8_t *out, uint32_t room)
{
	static const uint16_t drive[] = {'\\', '?', '?', '\\'}, unc[] = {'\\', '?', '?', '\\', 'U', 'N', 'C'};
	struct symlink_head head = {.tag = IO_REPARSE_TAG_SYMLINK};
	uint16_t text[TARGET_MAX];
	const uint16_t *prefix = NULL;
	size_t prefix_units = 0, skip = 0, print, substitute;
	int units = text_to_windows(target, length, text, TARGET_MAX);

	if (units < 0)
		return 0;
	if (has_drive(target)) {
		prefix = drive;
		prefix_units = 4;
	} else if (reparse_leads_away(target)) {
		/* "\\server" becomes "\??\UNC\server". */
		prefix = unc;
		prefix_units = 7;
		skip = 1;
	} else {
		head.flags = SYMLINK_FLAG_RELATIVE;
	}
	print = 2 * (size_t)units;
	substitute = 2 * (prefix_units + (size_t)units - skip);
	if (sizeof(head) + substitute + print > room)
		return 0;
	head.data_length = (uint16_t)(sizeof(head) - 8 + substitute + print);
	head.substitute_length = head.print_offset = (uint16_t)substitute;
	head.print_length = (uint16_t)print;
	memcpy(out, &head, sizeof(head));
	out += sizeof(head);
	if (prefix)
		memcpy(out, prefix, 2 * prefix_units);
	memcpy(out + 2 * prefix_units, text + skip, substitute - 2 * prefix_units);
	memcpy(out + substitute, text, print);
	return (uint32_t)(sizeof(head) + substitute + print);
}

static bool begins_with(const uint16_t *text, size_t units, const char *prefix)
{
	size_t length = strlen(prefix);

	if (units < length)
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] != (uint16_t)prefix[i])
			return false;
	return true;
}

/* The target of a REPARSE_DATA_BUFFER from outside. */
static int32_t parse(const uint8_t *data, size_t size, char target[TARGET_MAX])
{
	struct symlink_head head = {.tag = 0};
	uint16_t text[TARGET_MAX];
	size_t units, skip = 0, lead = 0;

	if (size < 8)
		return STATUS_IO_REPARSE_DATA_INVALID;
	memcpy(&head, data, size < sizeof(head) ? size : sizeof(head));
	if (head.data_length != size - 8)
		return STATUS_IO_REPARSE_DATA_INVALID;
	if (head.tag != IO_REPARSE_TAG_SYMLINK)
		return STATUS_NOT_SUPPORTED;
	if (size < sizeof(head) || head.substitute_offset % 2 || head.substitute_length % 2 ||
	    head.substitute_length == 0 || head.substitute_length > sizeof(text) ||
	    (size_t)head.substitute_offset + head.substitute_length > size - sizeof(head))
		return STATUS_IO_REPARSE_DATA_INVALID;
	units = head.substitute_length / 2;
	memcpy(text, data + sizeof(head) + head.substitute_offset, head.substitute_length);
	if (!(head.flags & SYMLINK_FLAG_RELATIVE)) {
		if (begins_with(text, units, "\\??\\UNC\\")) {
			skip = 7;
			lead = 1;
		} else if (begins_with(text, units, "\\??\\")) {
			skip = 4;
		}
	}
	target[0] = '/';
	if (text_from_windows(text + skip, units - skip, target + lead, TARGET_MAX - lead) <= 0)
		return STATUS_IO_REPARSE_DATA_INVALID;
	return STATUS_SUCCESS;
}

/* --- Setting --- */

static int32_t check_replaceable(struct call *call, struct file *file, const struct dw_attr *attr)
{
	switch (attr->mode & DW_MODE_TYPE) {
	case DW_MODE_FOLDER:
		/* The same question: is it empty? */
		return request_can_delete(call, file);
	case DW_MODE_FILE:
		return attr->size ? STATUS_NOT_SUPPORTED : STATUS_SUCCESS;
	case DW_MODE_LINK:
		return STATUS_SUCCESS;
	default:
		return STATUS_IO_REPARSE_TAG_MISMATCH;
	}
}

/* A link beside the file takes its place; the folder is locked. */
static int replace(struct call *call, const struct place *place, const char *target)
{
	struct volume *volume = call->volume;
	bool is_folder = (place->entry.attr.mode & DW_MODE_TYPE) == DW_MODE_FOLDER;
	struct dw_entry link = {.node = 0};
	char temporary[64];
	int error;

	snprintf(temporary, sizeof(temporary), ".driveway-link-%016llx", (unsigned long long)call->in.id);
	error = volume->ops.symlink(volume->fs, call_main(call), place->parent, temporary, target, &link);
	if (error)
		return error;
	call_forget(call, link.node);
	if (is_folder)
		error = volume->ops.rmdir(volume->fs, call_step(call), place->parent, place->name);
	if (!error)
		error = volume->ops.rename(volume->fs, call_step(call), place->parent, temporary, place->parent,
					   place->name, 0);
	if (error)
		(void)volume->ops.unlink(volume->fs, call_step(call), place->parent, temporary);
	folds_drop(&volume->folds, place->parent);
	return error;
}

/* The file's own path leads to place. */
static int32_t set_at(struct call *call, struct file *file, struct place *place, const char *target)
{
	struct volume *volume = call->volume;
	struct dw_entry now;
	int32_t status;
	int error;

	if (call->replayed && place->found && (place->entry.attr.mode & DW_MODE_TYPE) == DW_MODE_LINK) {
		char before[TARGET_MAX];

		if (!call_readlink(call, place->entry.node, before) && !strcmp(before, target))
			return STATUS_SUCCESS;
	}
	if (!place->found || place->entry.node != file->kept->node)
		return STATUS_OBJECT_NAME_NOT_FOUND;
	if (!place->parent)
		return STATUS_ACCESS_DENIED;
	error = locks_take(&volume->locks, place->parent);
	if (error)
		return status_of(error);
	error = call_lookup(call, place->parent, place->name, &now);
	if (!error) {
		call_forget(call, now.node);
		status = now.node == file->kept->node ? check_replaceable(call, file, &now.attr)
						      : STATUS_OBJECT_NAME_NOT_FOUND;
		if (!status)
			status = status_of(replace(call, place, target));
	} else {
		status = status_of(error);
	}
	locks_give(&volume->locks, place->parent);
	return status;
}

static int32_t set(struct call *call, struct file *file)
{
	const struct fs_file_control *in = &call->in.u.control;
	const struct dw_filesystem_ops *ops = &call->volume->ops;
	char target[TARGET_MAX];
	struct place place;
	int32_t status;
	char *path;
	int error = call_may_change(call, ops->symlink && ops->unlink && ops->rmdir && ops->rename);

	if (error)
		return status_of(error);
	status = parse(call->message + in->input.offset, in->input.length, target);
	if (status)
		return status;
	path = files_path(&call->volume->files, file);
	if (!path)
		return STATUS_OBJECT_PATH_NOT_FOUND;
	status = walk_resolved(call, path, WALK_CASE_SENSITIVE, &place);
	if (!status) {
		status = set_at(call, file, &place, target);
		place_release(call, &place);
	}
	free(path);
	return status;
}

static int32_t get(struct call *call, struct file *file)
{
	char target[TARGET_MAX];
	struct dw_attr attr;
	int error = call_getattr(call, file->kept->node, file->kept->handle, &attr);

	if (!error && (attr.mode & DW_MODE_TYPE) != DW_MODE_LINK)
		return STATUS_NOT_A_REPARSE_POINT;
	if (!error)
		error = call_readlink(call, file->kept->node, target);
	if (error)
		return status_of(error);
	call->out->data = reparse_build(target, strlen(target), call->data, call->in.u.control.room);
	return call->out->data ? STATUS_SUCCESS : STATUS_BUFFER_TOO_SMALL;
}

int32_t request_file_control(struct call *call, struct file *file)
{
	switch (call->in.u.control.code) {
	case FSCTL_GET_REPARSE_POINT:
		return get(call, file);
	case FSCTL_SET_REPARSE_POINT:
		return set(call, file);
	case FSCTL_DELETE_REPARSE_POINT:
		return STATUS_NOT_SUPPORTED;
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}
