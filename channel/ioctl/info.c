/* SPDX-License-Identifier: MIT */
/*
 * info.c - QUERY_FILE, SET_BASIC, QUERY_VOLUME, SET_LABEL, QUERY_SECURITY, SET_SECURITY
 */
#include <string.h>

#include "channel/ioctl/volume_internal.h"

int32_t request_query_file(struct call *call, struct file *file)
{
	return call_answer_file(call, file);
}

/* 0 leaves a time as it is, and so do the two values that stop and start the keeping of times for a handle. */
static bool is_time(uint64_t time)
{
	return time != 0 && time <= INT64_MAX;
}

static int set_basic_locked(struct call *call, struct file *file)
{
	const struct fs_set_basic *in = &call->in.u.basic;
	struct volume *volume = call->volume;
	bool is_folder = file->kept->flags & FILE_KEPT_FOLDER;
	bool is_file = !is_folder && !(file->kept->flags & FILE_KEPT_LINK);
	struct dw_setattr set = {.valid = 0};
	struct dw_attr attr;
	int error;

	if (is_time(in->accessed)) {
		set.valid |= DW_SET_ATIME;
		set.atime = time_from_windows(in->accessed);
	}
	if (is_time(in->written)) {
		set.valid |= DW_SET_MTIME;
		set.mtime = time_from_windows(in->written);
	}
	if (is_time(in->changed)) {
		set.valid |= DW_SET_CTIME;
		set.ctime = time_from_windows(in->changed);
	}
	if (in->attributes && is_file) {
		error = call_getattr(call, file->kept->node, file->kept->handle, &attr);
		if (error)
			return error;
		set.mode = attributes_mode(attr.mode & 07777, in->attributes & FILE_ATTRIBUTE_READONLY);
		if (set.mode != (attr.mode & 07777))
			set.valid |= DW_SET_MODE;
	}
	if (set.valid) {
		error = volume->ops.setattr(volume->fs, call_main(call), file->kept->node, file->kept->handle, &set,
					    &attr);
		if (error)
			return error;
	}
	if (in->attributes && (is_file || is_folder))
		call_set_attributes(call, file->kept->node, attributes_kept(in->attributes, is_folder), is_folder);
	return 0;
}

int32_t request_set_basic(struct call *call, struct file *file)
{
	const struct fs_set_basic *in = &call->in.u.basic;
	struct volume *volume = call->volume;
	int error = call_may_change(call, volume->ops.setattr);

	if (in->attributes & FILE_ATTRIBUTE_DIRECTORY && !(file->kept->flags & (FILE_KEPT_FOLDER | FILE_KEPT_LINK)))
		return STATUS_INVALID_PARAMETER;
	if (in->attributes & FILE_ATTRIBUTE_TEMPORARY && file->kept->flags & FILE_KEPT_FOLDER)
		return STATUS_INVALID_PARAMETER;
	if (error)
		return status_of(error);
	error = locks_take(&volume->locks, file->kept->node);
	if (error)
		return status_of(error);
	error = set_basic_locked(call, file);
	locks_give(&volume->locks, file->kept->node);
	return error ? status_of(error) : call_answer_file(call, file);
}

/* --- Volume --- */

static uint64_t bytes_of(uint64_t blocks, uint32_t size)
{
	return blocks > INT64_MAX / size ? INT64_MAX : blocks * size;
}

int32_t request_query_volume(struct call *call)
{
	struct volume *volume = call->volume;
	struct fs_volume *out = &call->out->u.volume;
	struct dw_statfs statfs = {.block_size = 4096, .name_max = NAME_BYTES};
	struct dw_attr root;
	int error = 0;

	if (volume->ops.statfs)
		error = volume->ops.statfs(volume->fs, call_step(call), DW_NODE_ROOT, &statfs);
	if (error)
		return status_of(error);
	if (!statfs.block_size)
		statfs.block_size = 4096;
	out->total = bytes_of(statfs.blocks, statfs.block_size);
	out->free = bytes_of(statfs.blocks_free, statfs.block_size);
	out->available = bytes_of(statfs.blocks_available, statfs.block_size);
	if (!call_getattr(call, DW_NODE_ROOT, DW_NO_HANDLE, &root))
		out->created = time_to_windows(root.btime);
	out->serial = volume->serial;
	out->attributes = FILE_CASE_SENSITIVE_SEARCH | FILE_CASE_PRESERVED_NAMES | FILE_UNICODE_ON_DISK |
			  FILE_PERSISTENT_ACLS;
	if (volume->ops.readlink)
		out->attributes |= FILE_SUPPORTS_REPARSE_POINTS;
	if (volume->ops.link)
		out->attributes |= FILE_SUPPORTS_HARD_LINKS;
	if (volume->read_only)
		out->attributes |= FILE_READ_ONLY_VOLUME;
	out->name_max = statfs.name_max && statfs.name_max < NAME_UNITS ? statfs.name_max : NAME_UNITS;
	/* Of 512 bytes to 64 KiB, as disks have them. */
	out->unit = 512;
	while (out->unit < statfs.block_size && out->unit < 65536)
		out->unit *= 2;
	pthread_mutex_lock(&volume->label_lock);
	out->label_length = volume->label_length;
	memcpy(out->label, volume->label, volume->label_length);
	pthread_mutex_unlock(&volume->label_lock);
	return STATUS_SUCCESS;
}

int32_t request_set_label(struct call *call)
{
	struct volume *volume = call->volume;
	struct volume_kept *kept = volume->kept;
	struct fs_text text = call->in.u.text;

	if (volume->read_only)
		return STATUS_MEDIA_WRITE_PROTECTED;
	pthread_mutex_lock(&volume->label_lock);
	volume->label_length = text.length;
	memset(volume->label, 0, sizeof(volume->label));
	if (text.length)
		memcpy(volume->label, call_text(call, text), text.length);
	__atomic_store_n(&kept->label_set, 0, __ATOMIC_RELEASE);
	memcpy(kept->label, volume->label, sizeof(volume->label));
	kept->label_length = text.length;
	__atomic_store_n(&kept->label_set, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&volume->label_lock);
	return STATUS_SUCCESS;
}

/* --- Security --- */

int32_t request_query_security(struct call *call, struct file *file)
{
	const struct fs_security *in = &call->in.u.security;
	uint8_t descriptor[SECURITY_SIZE_MAX];
	struct security security;
	struct dw_attr attr;
	size_t size;
	int error = call_getattr(call, file->kept->node, file->kept->handle, &attr);

	if (error)
		return status_of(error);
	security = (struct security){.uid = attr.uid, .gid = attr.gid, .mode = attr.mode & 0777};
	size = security_build(&call->volume->owner, &security, file->kept->flags & FILE_KEPT_FOLDER, in->information,
			      descriptor);
	if (size > in->room)
		return STATUS_BUFFER_OVERFLOW;
	memcpy(call->data, descriptor, size);
	call->out->data = (uint32_t)size;
	return STATUS_SUCCESS;
}

static int32_t set_security_locked(struct call *call, struct file *file)
{
	const struct fs_security *in = &call->in.u.security;
	struct volume *volume = call->volume;
	struct dw_setattr set = {.valid = 0};
	struct security security;
	struct dw_attr attr;
	int32_t status;
	int error = call_getattr(call, file->kept->node, file->kept->handle, &attr);

	if (error)
		return status_of(error);
	security = (struct security){.uid = attr.uid, .gid = attr.gid, .mode = attr.mode & 0777};
	status = security_parse(&volume->owner, call_text(call, in->descriptor), in->descriptor.length, in->information,
				&security);
	if (status)
		return status;
	set.uid = security.uid;
	set.gid = security.gid;
	set.mode = (attr.mode & 07000) | security.mode;
	set.valid = (set.uid != attr.uid ? DW_SET_UID : 0) | (set.gid != attr.gid ? DW_SET_GID : 0) |
		    (set.mode != (attr.mode & 07777) ? DW_SET_MODE : 0);
	if (!set.valid)
		return STATUS_SUCCESS;
	return status_of(
		volume->ops.setattr(volume->fs, call_main(call), file->kept->node, file->kept->handle, &set, &attr));
}

int32_t request_set_security(struct call *call, struct file *file)
{
	struct volume *volume = call->volume;
	int32_t status;
	int error = call_may_change(call, volume->ops.setattr);

	if (error)
		return status_of(error);
	error = locks_take(&volume->locks, file->kept->node);
	if (error)
		return status_of(error);
	status = set_security_locked(call, file);
	locks_give(&volume->locks, file->kept->node);
	return status;
}
