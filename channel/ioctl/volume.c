/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "channel/ioctl/call.h"
#include "channel/ioctl/volume_internal.h"

/* --- The volume --- */

static void set_up_calls(struct volume *volume)
{
	for (unsigned i = VOLUME_CALLS; i-- > 0;) {
		volume->left[i] = volume->kept->calls[i].id != 0;
		if (volume->left[i])
			volume->left_count++;
		else
			volume->free_calls[volume->free_count++] = (uint16_t)i;
	}
}

int volume_create(struct volume **out, struct dw_filesystem *fs, const struct volume_options *options)
{
	struct volume *volume;
	size_t size = fs->ops->size < sizeof(volume->ops) ? fs->ops->size : sizeof(volume->ops);

	if (options->label_length > FS_LABEL_MAX || options->label_length % 2)
		return -EINVAL;
	volume = calloc(1, sizeof(*volume));
	if (!volume)
		return -ENOMEM;
	volume->kept = options->kept;
	if (!volume->kept)
		volume->kept = volume->own_kept = calloc(1, sizeof(*volume->own_kept));
	if (!volume->kept || files_create(&volume->files, volume->kept, options->seed)) {
		free(volume->own_kept);
		free(volume);
		return -ENOMEM;
	}
	volume->fs = fs;
	memcpy(&volume->ops, fs->ops, size);
	volume->read_only = options->read_only || (fs->flags & DW_FS_READ_ONLY);
	volume->owner = options->owner;
	volume->serial = (uint32_t)((options->disk + 1) * 0x9e3779b1u);
	volume->label_length = options->label_length;
	if (options->label_length)
		memcpy(volume->label, options->label, options->label_length);
	if (volume->kept->label_set && volume->kept->label_length <= FS_LABEL_MAX) {
		volume->label_length = volume->kept->label_length;
		memcpy(volume->label, volume->kept->label, sizeof(volume->label));
	}
	locks_create(&volume->locks);
	folds_create(&volume->folds);
	pthread_mutex_init(&volume->label_lock, NULL);
	pthread_mutex_init(&volume->calls_lock, NULL);
	pthread_cond_init(&volume->calls_free, NULL);
	set_up_calls(volume);
	volume->restoring = volume->files.count != 0;
	*out = volume;
	return 0;
}

void volume_abandon(struct volume *volume)
{
	files_destroy(&volume->files);
	locks_destroy(&volume->locks);
	folds_destroy(&volume->folds);
	pthread_mutex_destroy(&volume->label_lock);
	pthread_mutex_destroy(&volume->calls_lock);
	pthread_cond_destroy(&volume->calls_free);
	free(volume->own_kept);
	free(volume);
}

void volume_destroy(struct volume *volume)
{
	for (uint32_t i = 0; i < VOLUME_FILES; i++) {
		struct file *file = files_get(&volume->files, volume->kept->files[i].id);
		struct call call;

		if (!file)
			continue;
		call_prepare(&call, volume);
		files_close(&volume->files, file);
		files_put(&call, file);
		call_forget_all(&call);
	}
	volume_abandon(volume);
}

void volume_names_changed(struct volume *volume, uint64_t folder)
{
	folds_drop(&volume->folds, folder);
}

unsigned volume_open_files(struct volume *volume)
{
	unsigned count;

	pthread_mutex_lock(&volume->files.lock);
	count = volume->files.count;
	pthread_mutex_unlock(&volume->files.lock);
	return count;
}

/* --- Beginning and end of a call --- */

void call_prepare(struct call *call, struct volume *volume)
{
	memset(call, 0, sizeof(*call));
	call->volume = volume;
	call->req = (struct dw_request){.size = sizeof(call->req),
					.uid = volume->owner.uid,
					.gid = volume->owner.gid,
					.umask = VOLUME_UMASK,
					.interrupted = &call->interrupted};
}

/* Is this file the answer to a request that is to come again? */
static bool is_awaited(struct volume *volume, uint64_t id)
{
	bool awaited = false;

	pthread_mutex_lock(&volume->calls_lock);
	for (unsigned i = 0; volume->left_count && i < VOLUME_CALLS; i++)
		if (volume->left[i] && volume->kept->calls[i].stage == STAGE_OPENED &&
		    volume->kept->calls[i].value == id)
			awaited = true;
	pthread_mutex_unlock(&volume->calls_lock);
	return awaited;
}

void call_restored(struct call *call)
{
	struct volume *volume = call->volume;
	struct file *file;

	if (!__atomic_exchange_n(&volume->restoring, false, __ATOMIC_ACQ_REL))
		return;
	for (uint32_t slot = 0; (file = files_get_inherited(&volume->files, &slot));) {
		if (is_awaited(volume, file->kept->id)) {
			files_put(call, file);
		} else if (volume->fs->flags & DW_FS_PERSISTENT) {
			files_close(&volume->files, file);
			files_put(call, file);
		} else {
			files_lose(&volume->files, file);
		}
	}
}

/* The slot that an earlier process left for this id; or UINT32_MAX. */
static uint32_t find_left(const struct volume *volume, uint64_t id)
{
	for (uint32_t i = 0; volume->left_count && i < VOLUME_CALLS; i++)
		if (volume->left[i] && volume->kept->calls[i].id == id)
			return i;
	return UINT32_MAX;
}

/* A slot that was left goes when there is no other: what it was for was never asked for again. */
static uint32_t take_slot(struct volume *volume)
{
	while (!volume->free_count && !volume->left_count)
		pthread_cond_wait(&volume->calls_free, &volume->calls_lock);
	if (volume->free_count)
		return volume->free_calls[--volume->free_count];
	for (uint32_t i = 0;; i++) {
		if (volume->left[i]) {
			volume->left[i] = false;
			volume->left_count--;
			return i;
		}
	}
}

uint32_t call_begin(struct call *call)
{
	struct volume *volume = call->volume;
	uint32_t slot = UINT32_MAX;
	struct kept_call *kept;

	call->req.id = call->in.id;
	call->req.pid = call->in.process;
	pthread_mutex_lock(&volume->calls_lock);
	if (call->in.flags & FS_REQUEST_REPLAYED)
		slot = find_left(volume, call->in.id);
	if (slot != UINT32_MAX) {
		volume->left[slot] = false;
		volume->left_count--;
		call->replayed = true;
		kept = &volume->kept->calls[slot];
	} else {
		call->replayed = call->in.flags & FS_REQUEST_REPLAYED;
		slot = take_slot(volume);
		kept = &volume->kept->calls[slot];
		__atomic_store_n(&kept->id, 0, __ATOMIC_RELEASE);
		memset(kept, 0, sizeof(*kept));
		__atomic_store_n(&kept->id, call->in.id, __ATOMIC_RELEASE);
	}
	call->kept = kept;
	call->next = volume->calls;
	if (call->next)
		call->next->previous = call;
	volume->calls = call;
	pthread_mutex_unlock(&volume->calls_lock);
	return slot;
}

void call_end(struct call *call)
{
	struct volume *volume = call->volume;

	call_forget_all(call);
	pthread_mutex_lock(&volume->calls_lock);
	if (call->next)
		call->next->previous = call->previous;
	if (call->previous)
		call->previous->next = call->next;
	else
		volume->calls = call->next;
	pthread_mutex_unlock(&volume->calls_lock);
}

void call_slot_free(struct volume *volume, uint32_t slot)
{
	pthread_mutex_lock(&volume->calls_lock);
	__atomic_store_n(&volume->kept->calls[slot].id, 0, __ATOMIC_RELEASE);
	volume->free_calls[volume->free_count++] = (uint16_t)slot;
	pthread_cond_signal(&volume->calls_free);
	pthread_mutex_unlock(&volume->calls_lock);
}

void call_interrupt(struct volume *volume, uint64_t id)
{
	pthread_mutex_lock(&volume->calls_lock);
	for (struct call *call = volume->calls; call; call = call->next)
		if (call->in.id == id)
			__atomic_store_n(&call->interrupted, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&volume->calls_lock);
}

/* --- Calling the file system --- */

const struct dw_request *call_step(struct call *call)
{
	memset(&call->scratch, 0, sizeof(call->scratch));
	call->req.notes = &call->scratch;
	call->req.flags = 0;
	return &call->req;
}

const struct dw_request *call_main(struct call *call)
{
	if (call->main_used || !call->kept)
		return call_step(call);
	call->main_used = true;
	call->req.notes = &call->kept->notes[0];
	call->req.flags = call->replayed ? DW_REQUEST_REPLAYED : 0;
	return &call->req;
}

int call_may_change(const struct call *call, bool there)
{
	if (call->volume->read_only)
		return -EROFS;
	return there ? 0 : -ENOSYS;
}

void call_forget_all(struct call *call)
{
	struct volume *volume = call->volume;

	if (call->forgets && volume->ops.forget)
		volume->ops.forget(volume->fs, call_step(call), call->forget, call->forgets);
	call->forgets = 0;
}

void call_forget(struct call *call, uint64_t node)
{
	if (node == DW_NODE_ROOT || node == 0)
		return;
	if (call->forgets == CALL_FORGETS)
		call_forget_all(call);
	call->forget[call->forgets++] = (struct dw_forget){.node = node, .count = 1};
}

int call_lookup(struct call *call, uint64_t parent, const char *name, struct dw_entry *out)
{
	struct volume *volume = call->volume;
	int error;

	memset(out, 0, sizeof(*out));
	error = volume->ops.lookup(volume->fs, call_step(call), parent, name, out);
	return !error && out->node == 0 ? -ENOENT : error;
}

int call_getattr(struct call *call, uint64_t node, uint64_t handle, struct dw_attr *out)
{
	struct volume *volume = call->volume;
	uint64_t timeout = DW_TIMEOUT_DEFAULT;

	memset(out, 0, sizeof(*out));
	return volume->ops.getattr(volume->fs, call_step(call), node, handle, out, &timeout);
}

int call_readlink(struct call *call, uint64_t node, char target[4096])
{
	struct volume *volume = call->volume;
	size_t length = 4095;
	int error;

	if (!volume->ops.readlink)
		return -EINVAL;
	error = volume->ops.readlink(volume->fs, call_step(call), node, target, &length);
	if (error)
		return error;
	target[length < 4095 ? length : 4095] = '\0';
	return 0;
}

uint32_t call_attributes(struct call *call, uint64_t node, bool is_folder)
{
	struct volume *volume = call->volume;
	char value[STATUS_XATTR_SIZE];
	size_t size = sizeof(value);

	if (!volume->ops.getxattr ||
	    volume->ops.getxattr(volume->fs, call_step(call), node, STATUS_XATTR, value, &size))
		return attributes_default(is_folder);
	return attributes_read(value, size, is_folder);
}

void call_set_attributes(struct call *call, uint64_t node, uint32_t kept, bool is_folder)
{
	struct volume *volume = call->volume;
	char value[STATUS_XATTR_SIZE];

	if (volume->read_only || !volume->ops.setxattr || call_attributes(call, node, is_folder) == kept)
		return;
	attributes_write(kept, value);
	/* A file system that cannot keep them does not keep them: status.h. */
	(void)volume->ops.setxattr(volume->fs, call_step(call), node, STATUS_XATTR, value, sizeof(value), 0);
}

const uint16_t *call_text(const struct call *call, struct fs_text text)
{
	return (const uint16_t *)(const void *)(call->message + text.offset);
}

void call_fill_file(struct call *call, uint64_t node, const struct dw_attr *attr, const char *path, struct fs_file *out)
{
	bool is_folder = (attr->mode & DW_MODE_TYPE) == DW_MODE_FOLDER;

	attributes_file(attr, attributes_tag(attr->mode) ? 0 : call_attributes(call, node, is_folder), out);
	out->node = node;
	if ((attr->mode & DW_MODE_TYPE) == DW_MODE_LINK && path && walk_leads_to_folder(call, path))
		out->attributes |= FILE_ATTRIBUTE_DIRECTORY;
}

int32_t call_answer_file(struct call *call, struct file *file)
{
	struct dw_attr attr;
	int error = call_getattr(call, file->kept->node, file->kept->handle, &attr);
	char *path;

	if (error)
		return status_of(error);
	path = file->kept->flags & FILE_KEPT_LINK ? files_path(&call->volume->files, file) : NULL;
	call_fill_file(call, file->kept->node, &attr, path, &call->out->file);
	free(path);
	return STATUS_SUCCESS;
}
