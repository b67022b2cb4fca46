/* SPDX-License-Identifier: MIT */
/* calls.c - system calls by name: each fills in the parameters of its IRP. */
#include "internal.h"

struct values {
	ULONG number, number2;
	LONGLONG offset;
	LARGE_INTEGER *length;
	UNICODE_STRING *text;
	void *pointer;
	bool replace;
};

static void set_control(IO_STACK_LOCATION *stack, void *context)
{
	stack->Parameters.DeviceIoControl.IoControlCode = ((struct values *)context)->number;
}

static struct nt_request *control(UCHAR major, HANDLE handle, ULONG code, const void *in, ULONG in_length, void *out,
				  ULONG out_length)
{
	struct values values = {.number = code};
	struct nt_io io = {.major = major,
			   .buffer = out,
			   .length = out_length,
			   .input = in,
			   .input_length = in_length,
			   .set = set_control,
			   .context = &values};
	ULONG access = code >> 14 & 3;
	ACCESS_MASK granted = nt_file_object(handle)->nt->granted;

	if (current()->process && (((access & FILE_READ_ACCESS) && !(granted & FILE_READ_DATA)) ||
				   ((access & FILE_WRITE_ACCESS) && !(granted & FILE_WRITE_DATA)))) {
		struct nt_request *request = take(sizeof(*request));

		request->done = true;
		request->returned = request->status.Status = STATUS_ACCESS_DENIED;
		return request;
	}
	return nt_io(handle, &io);
}

struct nt_request *nt_ioctl(HANDLE handle, ULONG code, const void *in, ULONG in_length, void *out, ULONG out_length)
{
	return control(IRP_MJ_DEVICE_CONTROL, handle, code, in, in_length, out, out_length);
}

struct nt_request *nt_fsctl(HANDLE handle, ULONG code, const void *in, ULONG in_length, void *out, ULONG out_length)
{
	return control(IRP_MJ_FILE_SYSTEM_CONTROL, handle, code, in, in_length, out, out_length);
}

static void set_offset(IO_STACK_LOCATION *stack, void *context)
{
	stack->Parameters.Read.ByteOffset.QuadPart = ((struct values *)context)->offset;
	stack->Parameters.Read.Key = ((struct values *)context)->number;
}

static struct nt_request *transfer(FILE_OBJECT *file, UCHAR major, LONGLONG offset, void *buffer, ULONG length,
				   ULONG flags)
{
	struct values values = {.offset = offset};
	struct nt_io io = {.major = major,
			   .buffer = buffer,
			   .length = length,
			   .irp_flags = flags,
			   .kernel = (flags & IRP_PAGING_IO) != 0,
			   .set = set_offset,
			   .context = &values};

	return nt_io_file(file, &io);
}

struct nt_request *nt_read(HANDLE handle, LONGLONG offset, void *buffer, ULONG length)
{
	return transfer(nt_file_object(handle), IRP_MJ_READ, offset, buffer, length, IRP_READ_OPERATION);
}

struct nt_request *nt_write(HANDLE handle, LONGLONG offset, const void *buffer, ULONG length)
{
	return transfer(nt_file_object(handle), IRP_MJ_WRITE, offset, (void *)(uintptr_t)buffer, length,
			IRP_WRITE_OPERATION);
}

struct nt_request *nt_page_in(FILE_OBJECT *file, LONGLONG offset, void *buffer, ULONG length)
{
	return transfer(file, IRP_MJ_READ, offset, buffer, length,
			IRP_PAGING_IO | IRP_NOCACHE | IRP_SYNCHRONOUS_PAGING_IO);
}

struct nt_request *nt_page_out(FILE_OBJECT *file, LONGLONG offset, void *buffer, ULONG length)
{
	return transfer(file, IRP_MJ_WRITE, offset, buffer, length, IRP_PAGING_IO | IRP_NOCACHE);
}

static void set_class(IO_STACK_LOCATION *stack, void *context)
{
	struct values *values = context;

	stack->Parameters.SetFile.FileInformationClass = values->number;
	if (stack->MajorFunction == IRP_MJ_SET_INFORMATION) {
		stack->Parameters.SetFile.FileObject = values->pointer;
		stack->Parameters.SetFile.ReplaceIfExists = values->replace;
	}
}

static struct nt_request *information(HANDLE handle, UCHAR major, ULONG class, void *buffer, ULONG length, void *other)
{
	struct values values = {.number = class, .pointer = other};
	struct nt_io io = {.major = major, .buffer = buffer, .length = length, .set = set_class, .context = &values};

	if (major == IRP_MJ_SET_INFORMATION && length > 0 &&
	    (class == FileRenameInformation || class == FileLinkInformation))
		values.replace = *(const UCHAR *)buffer != 0;
	return nt_io(handle, &io);
}

struct nt_request *nt_query(HANDLE handle, FILE_INFORMATION_CLASS class, void *buffer, ULONG length)
{
	return information(handle, IRP_MJ_QUERY_INFORMATION, class, buffer, length, NULL);
}

struct nt_request *nt_set(HANDLE handle, FILE_INFORMATION_CLASS class, const void *buffer, ULONG length, HANDLE other)
{
	return information(handle, IRP_MJ_SET_INFORMATION, class, (void *)(uintptr_t)buffer, length,
			   other ? nt_file_object(other) : NULL);
}

struct nt_request *nt_query_volume(HANDLE handle, ULONG class, void *buffer, ULONG length)
{
	return information(handle, IRP_MJ_QUERY_VOLUME_INFORMATION, class, buffer, length, NULL);
}

struct nt_request *nt_set_volume(HANDLE handle, ULONG class, const void *buffer, ULONG length)
{
	return information(handle, IRP_MJ_SET_VOLUME_INFORMATION, class, (void *)(uintptr_t)buffer, length, NULL);
}

static void set_list(IO_STACK_LOCATION *stack, void *context)
{
	stack->Parameters.QueryDirectory.FileInformationClass = ((struct values *)context)->number;
	stack->Parameters.QueryDirectory.FileName = ((struct values *)context)->text;
}

/* The pattern lives as long as the request. */
struct nt_request *nt_list(HANDLE handle, FILE_INFORMATION_CLASS class, const char *pattern, UCHAR flags, void *buffer,
			   ULONG length)
{
	size_t bytes = 0;
	uint16_t *text = pattern ? wide(pattern, &bytes) : NULL;
	UNICODE_STRING *string = take(sizeof(*string) + bytes);
	struct values values = {.number = class, .text = pattern ? string : NULL};
	struct nt_io io = {.major = IRP_MJ_DIRECTORY_CONTROL,
			   .minor = IRP_MN_QUERY_DIRECTORY,
			   .flags = flags,
			   .buffer = buffer,
			   .length = length,
			   .set = set_list,
			   .context = &values};
	struct nt_request *request;

	string->Length = string->MaximumLength = (USHORT)bytes;
	string->Buffer = (WCHAR *)(string + 1);
	if (bytes)
		memcpy(string->Buffer, text, bytes);
	free(text);
	request = nt_io(handle, &io);
	if (request->done)
		free(string);
	else
		request->more = string;
	return request;
}

static void set_watch(IO_STACK_LOCATION *stack, void *context)
{
	stack->Parameters.NotifyDirectory.CompletionFilter = ((struct values *)context)->number;
}

struct nt_request *nt_watch(HANDLE handle, ULONG filter, bool tree, void *buffer, ULONG length)
{
	struct values values = {.number = filter};
	struct nt_io io = {.major = IRP_MJ_DIRECTORY_CONTROL,
			   .minor = IRP_MN_NOTIFY_CHANGE_DIRECTORY,
			   .flags = tree ? SL_WATCH_TREE : 0,
			   .buffer = buffer,
			   .length = length,
			   .set = set_watch,
			   .context = &values};

	return nt_io(handle, &io);
}

static void set_lock(IO_STACK_LOCATION *stack, void *context)
{
	struct values *values = context;

	stack->Parameters.LockControl.Length = values->length;
	stack->Parameters.LockControl.Key = values->number;
	stack->Parameters.LockControl.ByteOffset.QuadPart = values->offset;
}

static struct nt_request *lock(HANDLE handle, UCHAR minor, LONGLONG offset, LONGLONG length, ULONG key, UCHAR flags)
{
	LARGE_INTEGER *size = take(sizeof(*size));
	struct values values = {.number = key, .offset = offset, .length = size};
	struct nt_io io = {
		.major = IRP_MJ_LOCK_CONTROL, .minor = minor, .flags = flags, .set = set_lock, .context = &values};
	struct nt_request *request;

	size->QuadPart = length;
	request = nt_io(handle, &io);
	if (request->done)
		free(size);
	else
		request->more = size;
	return request;
}

struct nt_request *nt_lock(HANDLE handle, LONGLONG offset, LONGLONG length, ULONG key, UCHAR flags)
{
	return lock(handle, IRP_MN_LOCK, offset, length, key, flags);
}

struct nt_request *nt_unlock(HANDLE handle, LONGLONG offset, LONGLONG length, ULONG key)
{
	return lock(handle, IRP_MN_UNLOCK_SINGLE, offset, length, key, 0);
}

struct nt_request *nt_flush(HANDLE handle)
{
	struct nt_io io = {.major = IRP_MJ_FLUSH_BUFFERS};

	return nt_io(handle, &io);
}

static void set_security(IO_STACK_LOCATION *stack, void *context)
{
	struct values *values = context;

	stack->Parameters.QuerySecurity.SecurityInformation = values->number;
	if (stack->MajorFunction == IRP_MJ_SET_SECURITY)
		stack->Parameters.SetSecurity.SecurityDescriptor = values->pointer;
}

struct nt_request *nt_query_security(HANDLE handle, SECURITY_INFORMATION what, void *buffer, ULONG length)
{
	struct values values = {.number = what};
	struct nt_io io = {.major = IRP_MJ_QUERY_SECURITY,
			   .buffer = buffer,
			   .length = length,
			   .set = set_security,
			   .context = &values};

	return nt_io(handle, &io);
}

struct nt_request *nt_set_security(HANDLE handle, SECURITY_INFORMATION what, void *descriptor)
{
	struct values values = {.number = what, .pointer = descriptor};
	struct nt_io io = {.major = IRP_MJ_SET_SECURITY, .set = set_security, .context = &values};

	return nt_io(handle, &io);
}
