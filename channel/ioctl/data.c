/* SPDX-License-Identifier: MIT */
/*
 * data.c - READ, WRITE, FLUSH, SET_SIZE, OVERWRITE
 *
 * Writes and changes of size of one file run one after another, unless the file system has said that it does not care.
 * A paging write never makes a file longer; an appending one asks for the size under the same lock that it writes
 * under, and notes the offset first, so that it goes to the same place when it is replayed.
 */
#include "channel/ioctl/volume_internal.h"

static bool is_folder(const struct file *file)
{
	return file->kept->flags & FILE_KEPT_FOLDER;
}

int32_t request_read(struct call *call, struct file *file)
{
	const struct fs_io *in = &call->in.u.io;
	struct volume *volume = call->volume;
	size_t done = 0;
	int error;

	if (is_folder(file) || (file->kept->flags & FILE_KEPT_LINK))
		return STATUS_INVALID_DEVICE_REQUEST;
	if (file->kept->handle == DW_NO_HANDLE)
		return STATUS_ACCESS_DENIED;
	error = volume->ops.read(volume->fs, call_step(call), file->kept->node, file->kept->handle, call->data,
				 in->length, in->offset, &done);
	if (error)
		return status_of(error);
	if (done > in->length)
		return STATUS_UNEXPECTED_IO_ERROR;
	if (done == 0 && in->length)
		return STATUS_END_OF_FILE;
	call->out->data = (uint32_t)done;
	return STATUS_SUCCESS;
}

/* Where a write goes, and how much of it. The node is locked. */
static int place_write(struct call *call, struct file *file, uint64_t *offset, uint32_t *length)
{
	const struct fs_io *in = &call->in.u.io;
	struct dw_attr attr;
	int error;

	*offset = in->offset;
	*length = in->length;
	if (!(in->flags & (FS_IO_PAGING | FS_IO_APPEND)))
		return 0;
	if (call->replayed && call->kept->stage == STAGE_APPENDING) {
		*offset = call->kept->value;
		return 0;
	}
	error = call_getattr(call, file->kept->node, file->kept->handle, &attr);
	if (error)
		return error;
	if (in->flags & FS_IO_APPEND) {
		if (attr.size > (uint64_t)INT64_MAX - *length)
			return -EFBIG;
		*offset = attr.size;
		call->kept->value = *offset;
		__atomic_store_n(&call->kept->stage, STAGE_APPENDING, __ATOMIC_RELEASE);
	} else if (*offset >= attr.size) {
		*length = 0;
	} else if (*length > attr.size - *offset) {
		*length = (uint32_t)(attr.size - *offset);
	}
	return 0;
}

static int write_locked(struct call *call, struct file *file)
{
	const struct fs_io *in = &call->in.u.io;
	struct volume *volume = call->volume;
	uint32_t flags = in->flags & FS_IO_PAGING ? DW_WRITE_CACHED : 0, length;
	uint64_t offset;
	size_t done = 0;
	int error = place_write(call, file, &offset, &length);

	if (error || !length)
		return error;
	error = volume->ops.write(volume->fs, call_main(call), file->kept->node, file->kept->handle,
				  call->message + in->data, length, offset, flags, &done);
	if (!error && done == 0)
		error = -ENOSPC;
	call->out->information = done < length ? done : length;
	return error;
}

int32_t request_write(struct call *call, struct file *file)
{
	struct volume *volume = call->volume;
	bool direct = file->kept->flags & FILE_KEPT_DIRECT && !call->in.u.io.flags;
	int error = call_may_change(call, volume->ops.write);

	if (is_folder(file) || (file->kept->flags & FILE_KEPT_LINK))
		return STATUS_INVALID_DEVICE_REQUEST;
	if (error)
		return status_of(error);
	if (file->kept->handle == DW_NO_HANDLE)
		return STATUS_ACCESS_DENIED;
	error = direct ? 0 : locks_take(&volume->locks, file->kept->node);
	if (error)
		return status_of(error);
	error = write_locked(call, file);
	if (!direct)
		locks_give(&volume->locks, file->kept->node);
	return error ? status_of(error) : call_answer_file(call, file);
}

int32_t request_flush(struct call *call, struct file *file)
{
	struct volume *volume = call->volume;
	int error = 0;

	if (!file)
		error = volume->ops.syncfs ? volume->ops.syncfs(volume->fs, call_step(call)) : 0;
	else if (file->kept->handle == DW_NO_HANDLE)
		error = 0;
	else if (is_folder(file) && volume->ops.fsyncdir)
		error = volume->ops.fsyncdir(volume->fs, call_step(call), file->kept->node, file->kept->handle, false);
	else if (!is_folder(file) && volume->ops.fsync)
		error = volume->ops.fsync(volume->fs, call_step(call), file->kept->node, file->kept->handle, false);
	return status_of(error);
}

void data_allocate(struct call *call, struct file *file, uint64_t size)
{
	struct volume *volume = call->volume;

	/* Whether it fits is found out by writing: there are file systems that cannot reserve. */
	if (size && volume->ops.fallocate && file->kept->handle != DW_NO_HANDLE && size <= INT64_MAX)
		(void)volume->ops.fallocate(volume->fs, call_step(call), file->kept->node, file->kept->handle, 0, size,
					    DW_FALLOCATE_KEEP_SIZE);
}

static int set_size(struct call *call, struct file *file, uint64_t size)
{
	struct volume *volume = call->volume;
	struct dw_setattr in = {.valid = DW_SET_SIZE, .size = size};
	struct dw_attr attr;

	return volume->ops.setattr(volume->fs, call_main(call), file->kept->node, file->kept->handle, &in, &attr);
}

/* The size of what is reserved: cuts the file off there. */
static int set_allocation(struct call *call, struct file *file, uint64_t size)
{
	struct dw_attr attr;
	int error = call_getattr(call, file->kept->node, file->kept->handle, &attr);

	if (error)
		return error;
	if (size < attr.size)
		return set_size(call, file, size);
	data_allocate(call, file, size);
	return 0;
}

int32_t request_set_size(struct call *call, struct file *file)
{
	const struct fs_set_size *in = &call->in.u.set_size;
	struct volume *volume = call->volume;
	int error = call_may_change(call, volume->ops.setattr);

	if (is_folder(file) || (file->kept->flags & FILE_KEPT_LINK))
		return STATUS_INVALID_PARAMETER;
	if (error)
		return status_of(error);
	error = locks_take(&volume->locks, file->kept->node);
	if (error)
		return status_of(error);
	error = in->what == FS_SIZE_END ? set_size(call, file, in->size) : set_allocation(call, file, in->size);
	locks_give(&volume->locks, file->kept->node);
	return error ? status_of(error) : call_answer_file(call, file);
}

/* Attributes of a file that is overwritten: the mode says read-only, the extended attribute the rest. */
static int overwrite_locked(struct call *call, struct file *file)
{
	const struct fs_overwrite *in = &call->in.u.overwrite;
	struct volume *volume = call->volume;
	uint32_t attributes = attributes_kept(in->attributes, false) | FILE_ATTRIBUTE_ARCHIVE;
	bool read_only = in->attributes & FILE_ATTRIBUTE_READONLY;
	struct dw_attr attr;
	int error = set_size(call, file, 0);

	if (error)
		return error;
	if (!in->supersede)
		attributes |= call_attributes(call, file->kept->node, false);
	call_set_attributes(call, file->kept->node, attributes, false);
	if (read_only) {
		error = call_getattr(call, file->kept->node, file->kept->handle, &attr);
		if (!error) {
			struct dw_setattr set = {.valid = DW_SET_MODE,
						 .mode = attributes_mode(attr.mode & 07777, true)};

			error = volume->ops.setattr(volume->fs, call_step(call), file->kept->node, DW_NO_HANDLE, &set,
						    &attr);
		}
	}
	if (!error)
		data_allocate(call, file, in->allocation);
	return error;
}

int32_t request_overwrite(struct call *call, struct file *file)
{
	struct volume *volume = call->volume;
	int error = call_may_change(call, volume->ops.setattr);

	if (is_folder(file) || (file->kept->flags & FILE_KEPT_LINK))
		return STATUS_INVALID_DEVICE_REQUEST;
	if (error)
		return status_of(error);
	error = locks_take(&volume->locks, file->kept->node);
	if (error)
		return status_of(error);
	error = overwrite_locked(call, file);
	locks_give(&volume->locks, file->kept->node);
	return error ? status_of(error) : call_answer_file(call, file);
}
