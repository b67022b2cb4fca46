/* SPDX-License-Identifier: MIT */
#include "channel/ioctl/dispatch.h"

#include <string.h>

#include "channel/ioctl/call.h"

/* --- Checking --- */

struct check {
	const uint8_t *message;
	size_t size;
};

/* Bytes behind the fixed part. An empty piece may lie anywhere. */
static bool bytes_are_inside(const struct check *check, uint32_t offset, uint32_t length, uint32_t most)
{
	if (length == 0)
		return true;
	return length <= most && offset >= sizeof(struct fs_request) && offset <= check->size &&
	       length <= check->size - offset;
}

/* UTF-16 without a NUL. */
static bool text_is_sound(const struct check *check, struct fs_text text, uint32_t most)
{
	if (!bytes_are_inside(check, text.offset, text.length, most) || text.length % 2)
		return false;
	if (text.length && text.offset % 2)
		return false;
	for (uint32_t i = 0; i < text.length; i += 2)
		if (!check->message[text.offset + i] && !check->message[text.offset + i + 1])
			return false;
	return true;
}

/* Options are ended by NULs each. */
static bool options_are_sound(const struct check *check, struct fs_text text)
{
	return bytes_are_inside(check, text.offset, text.length, FS_TEXT_MAX) && text.length % 2 == 0 &&
	       (!text.length || text.offset % 2 == 0);
}

static bool io_is_sound(const struct check *check, const struct fs_request *in, size_t room)
{
	const struct fs_io *io = &in->u.io;

	if (io->length > FS_TRANSFER_MAX || (io->flags & ~(FS_IO_PAGING | FS_IO_APPEND)))
		return false;
	/* Where an append says that it goes means nothing. */
	if (!(io->flags & FS_IO_APPEND) && io->offset > (uint64_t)INT64_MAX - io->length)
		return false;
	if (in->type == FS_READ)
		return io->length <= room;
	return bytes_are_inside(check, io->data, io->length, FS_TRANSFER_MAX);
}

static bool type_is_sound(const struct check *check, const struct fs_request *in, size_t room)
{
	switch (in->type) {
	case FS_DISK_ADDED:
		return text_is_sound(check, in->u.disk_added.label, FS_LABEL_MAX) &&
		       text_is_sound(check, in->u.disk_added.source, FS_TEXT_MAX) &&
		       text_is_sound(check, in->u.disk_added.cache, FS_TEXT_MAX) &&
		       options_are_sound(check, in->u.disk_added.options);
	case FS_CREATE:
	case FS_REOPEN:
		return text_is_sound(check, in->u.create.name, FS_PATH_MAX);
	case FS_CLEANUP:
		return text_is_sound(check, in->u.cleanup.name, FS_PATH_MAX);
	case FS_READ:
	case FS_WRITE:
		return io_is_sound(check, in, room);
	case FS_SET_SIZE:
		return in->u.set_size.size <= INT64_MAX &&
		       (in->u.set_size.what == FS_SIZE_END || in->u.set_size.what == FS_SIZE_ALLOCATION);
	case FS_RENAME:
		return text_is_sound(check, in->u.rename.from, FS_PATH_MAX) &&
		       text_is_sound(check, in->u.rename.to, FS_PATH_MAX) &&
		       !(in->u.rename.flags & ~(FS_RENAME_REPLACE | FS_RENAME_LINK));
	case FS_LIST:
		return in->u.list.room <= room && text_is_sound(check, in->u.list.pattern, FS_PATH_MAX);
	case FS_SET_LABEL:
		return text_is_sound(check, in->u.text, FS_LABEL_MAX);
	case FS_QUERY_SECURITY:
		return in->u.security.room <= room;
	case FS_SET_SECURITY:
		return bytes_are_inside(check, in->u.security.descriptor.offset, in->u.security.descriptor.length,
					FS_TEXT_MAX) &&
		       in->u.security.descriptor.length;
	case FS_FILE_CONTROL:
		return in->u.control.room <= room &&
		       bytes_are_inside(check, in->u.control.input.offset, in->u.control.input.length, FS_TEXT_MAX);
	default:
		return in->type > 0 && in->type < FS_TYPES;
	}
}

static bool check_request(const struct check *check, struct fs_request *in, size_t room)
{
	if (check->size < sizeof(*in) || check->size > FS_REQUEST_MAX)
		return false;
	memcpy(in, check->message, sizeof(*in));
	return in->size == check->size && type_is_sound(check, in, room);
}

bool ioctl_check(const void *message, size_t size, size_t room)
{
	const struct check check = {.message = message, .size = size};
	struct fs_request in;

	return check_request(&check, &in, room);
}

/* --- Answering --- */

typedef int32_t handler(struct call *call, struct file *file);

/* Types that are about an open file. */
static handler *const handlers[FS_TYPES] = {
	[FS_OVERWRITE] = request_overwrite,
	[FS_CLEANUP] = request_cleanup,
	[FS_CLOSE] = request_close,
	[FS_READ] = request_read,
	[FS_WRITE] = request_write,
	[FS_FLUSH] = request_flush,
	[FS_QUERY_FILE] = request_query_file,
	[FS_SET_BASIC] = request_set_basic,
	[FS_SET_SIZE] = request_set_size,
	[FS_RENAME] = request_rename,
	[FS_CAN_DELETE] = request_can_delete,
	[FS_LIST] = request_list,
	[FS_QUERY_SECURITY] = request_query_security,
	[FS_SET_SECURITY] = request_set_security,
	[FS_FILE_CONTROL] = request_file_control,
};

static int32_t answer_with_file(struct call *call)
{
	struct file *file = files_get(&call->volume->files, call->in.file);
	int32_t status;

	if (!file) {
		/* The whole volume is flushed; and a file that an earlier process closed is closed. */
		if (call->in.type == FS_FLUSH && !call->in.file)
			return request_flush(call, NULL);
		return call->in.type == FS_CLOSE && call->replayed ? STATUS_SUCCESS : STATUS_INVALID_HANDLE;
	}
	status = handlers[call->in.type](call, file);
	files_put(call, file);
	return status;
}

static int32_t answer(struct call *call)
{
	switch (call->in.type) {
	case FS_CREATE:
		return request_create(call);
	case FS_REOPEN:
		return request_reopen(call);
	case FS_QUERY_VOLUME:
		return request_query_volume(call);
	case FS_SET_LABEL:
		return request_set_label(call);
	default:
		return handlers[call->in.type] ? answer_with_file(call) : STATUS_INVALID_DEVICE_REQUEST;
	}
}

/* A failure brings nothing but its status. */
static void finish(struct fs_response *response, const struct fs_request *in, int32_t status)
{
	bool failed = !NT_SUCCESS(status) && status != STATUS_BUFFER_OVERFLOW;

	if (failed)
		memset(response, 0, sizeof(*response));
	response->size = sizeof(*response);
	response->type = in->type;
	response->id = in->id;
	response->status = status;
}

void ioctl_refuse(const void *message, size_t size, int32_t status, struct fs_response *response)
{
	struct fs_request in = {.size = 0};

	memcpy(&in, message, size < sizeof(in) ? size : sizeof(in));
	memset(response, 0, sizeof(*response));
	finish(response, &in, status);
}

uint32_t ioctl_dispatch(struct volume *volume, const void *message, size_t size, struct fs_response *response,
			void *data, size_t room)
{
	const struct check check = {.message = message, .size = size};
	struct call call;
	uint32_t ticket;
	int32_t status;

	call_prepare(&call, volume);
	if (!check_request(&check, &call.in, room)) {
		ioctl_refuse(message, size, STATUS_INVALID_PARAMETER, response);
		return IOCTL_NO_TICKET;
	}
	memset(response, 0, sizeof(*response));
	if (call.in.type == FS_CANCEL) {
		call_interrupt(volume, call.in.u.cancelled);
		finish(response, &call.in, STATUS_SUCCESS);
		return IOCTL_NO_TICKET;
	}
	call.message = message;
	call.out = response;
	call.data = data;
	call.room = (uint32_t)(room > UINT32_MAX ? UINT32_MAX : room);
	if (call.in.type != FS_REOPEN && __atomic_load_n(&volume->restoring, __ATOMIC_ACQUIRE)) {
		call_restored(&call);
		call_forget_all(&call);
	}
	ticket = call_begin(&call);
	status = answer(&call);
	call_end(&call);
	finish(response, &call.in, status);
	return ticket;
}

void ioctl_answered(struct volume *volume, uint32_t ticket)
{
	if (ticket < VOLUME_CALLS)
		call_slot_free(volume, ticket);
}
