/* SPDX-License-Identifier: MIT */
/*
 * user.c - system calls of programs, as the I/O manager makes IRPs of them
 *
 * How a buffer is handed over is decided here as there: by the control code's method, by the device's flags for reads,
 * writes and listings, by a copy for information classes, as it is for security descriptors. A copy that goes back is
 * looked through for bytes that nobody has filled.
 */
#include "internal.h"

static bool (*pump)(void *context);
static void *pump_context;

void nt_pump(bool (*routine)(void *context), void *context)
{
	pump = routine;
	pump_context = context;
}

static void put_file(void *file, void *unused, void *unused2)
{
	file_dereference(file);
}

/* The last reference brings IRP_MJ_CLOSE: not inside of the driver, which may just be completing an IRP. */
static void file_put_later(struct nt_file *file)
{
	if (file->references > 1)
		file->references--;
	else
		work_queue(put_file, file, NULL, NULL);
}

static void free_mdls(PIRP irp)
{
	while (irp->MdlAddress) {
		PMDL mdl = irp->MdlAddress;

		irp->MdlAddress = mdl->Next;
		if (mdl->MdlFlags & MDL_PAGES_LOCKED)
			MmUnlockPages(mdl);
		IoFreeMdl(mdl);
	}
}

static struct nt_request *request_make(struct nt_file *file)
{
	struct nt_request *request = take(sizeof(*request));

	request->file = file;
	request->process = current()->process;
	if (file) {
		file->references++;
		InsertTailList(&file->requests, &request->entry);
	}
	return request;
}

static void request_end(struct nt_request *request)
{
	request->done = true;
	free(request->system);
	free(request->more);
	request->system = request->more = NULL;
	if (request->finished)
		request->finished(request);
	if (request->file) {
		RemoveEntryList(&request->entry);
		file_put_later(request->file);
		request->file = NULL;
	}
}

/* IoCompleteRequest's second half. */
static void finish(PIRP irp)
{
	struct nt_request *request = irp->nt->request;
	NTSTATUS status = irp->IoStatus.Status;
	ULONG_PTR bytes = irp->IoStatus.Information;

	request->status = irp->IoStatus;
	if (request->user && !NT_ERROR(status)) {
		if (bytes > request->user_length && status != STATUS_BUFFER_OVERFLOW)
			nt_fail("Information is %llu, the buffer has %u bytes", bytes, request->user_length);
		if (bytes > request->user_length)
			bytes = request->user_length;
		if (request->system)
			memcpy(request->user, request->system, bytes);
		check_pattern(request->user, bytes, "output");
	}
	free_mdls(irp);
	request_end(request);
}

static struct nt_request *refuse(struct nt_request *request, NTSTATUS status)
{
	request->returned = request->status.Status = status;
	request_end(request);
	return request;
}

static struct nt_request *send(struct nt_request *request, DEVICE_OBJECT *device, PIRP irp)
{
	request->irp = irp;
	irp->nt->request = request;
	irp->nt->finish = finish;
	request->returned = STATUS_PENDING;
	/* The request may be over, and the test's, when the driver returns: it does not run on before this does. */
	request->returned = IoCallDriver(device, irp);
	return request;
}

bool nt_done(const struct nt_request *request)
{
	return request->done;
}

bool nt_wait(struct nt_request *request)
{
	while (!request->done)
		if (!run_others() && !request->done && !(pump && pump(pump_context)))
			return false;
	return true;
}

void nt_cancel(struct nt_request *request)
{
	if (request->irp)
		IoCancelIrp(request->irp);
}

NTSTATUS nt_finish(struct nt_request *request, ULONG_PTR *information)
{
	NTSTATUS status = request->status.Status;

	if (!request->done)
		nt_fail("nt_finish: the request is still pending");
	if (information)
		*information = request->status.Information;
	free(request);
	return status;
}

/* --- Buffers --------------------------------------------------------------------------------------------- */

static void buffer_direct(struct nt_request *request, PIRP irp, void *buffer, ULONG length, bool output)
{
	if (output) {
		request->user = buffer;
		request->user_length = length;
	}
	if (length == 0)
		return;
	irp->MdlAddress = take(sizeof(MDL));
	counts.mdls++;
	*irp->MdlAddress = (MDL){.ByteCount = length,
				 .StartVa = (void *)((uintptr_t)buffer & ~0xfffULL),
				 .ByteOffset = (ULONG)((uintptr_t)buffer & 0xfff),
				 .magic = MAGIC_MDL};
	MmProbeAndLockPages(irp->MdlAddress, UserMode, output ? IoWriteAccess : IoReadAccess);
}

static void buffer_system(struct nt_request *request, PIRP irp, const void *in, ULONG in_length, void *out,
			  ULONG out_length)
{
	ULONG size = max(in_length, out_length);

	request->user = out_length ? out : NULL; /* without room nothing is copied, whatever Information says */
	request->user_length = out_length;
	if (size) {
		request->system = malloc(size);
		if (!request->system)
			nt_fail("the test itself has no memory");
		memset(request->system, NT_PATTERN, size);
		if (in_length)
			memcpy(request->system, in, in_length);
	}
	irp->AssociatedIrp.SystemBuffer = request->system;
	irp->UserBuffer = out;
}

static void buffer_by_device(struct nt_request *request, PIRP irp, DEVICE_OBJECT *device, void *buffer, ULONG length,
			     bool output)
{
	if (device->Flags & DO_BUFFERED_IO) {
		buffer_system(request, irp, output ? NULL : buffer, output ? 0 : length, output ? buffer : NULL,
			      output ? length : 0);
	} else if (device->Flags & DO_DIRECT_IO) {
		buffer_direct(request, irp, buffer, length, output);
	} else {
		irp->UserBuffer = buffer;
		if (output) {
			request->user = buffer;
			request->user_length = length;
		}
	}
}

static bool by_device(UCHAR major)
{
	return major == IRP_MJ_READ || major == IRP_MJ_WRITE || major == IRP_MJ_DIRECTORY_CONTROL ||
	       major == IRP_MJ_QUERY_EA || major == IRP_MJ_SET_EA;
}

static void buffer_of(struct nt_request *request, PIRP irp, DEVICE_OBJECT *device, PIO_STACK_LOCATION stack,
		      const struct nt_io *io)
{
	bool output = io->major != IRP_MJ_WRITE && io->major != IRP_MJ_SET_EA && io->major != IRP_MJ_SET_INFORMATION &&
		      io->major != IRP_MJ_SET_VOLUME_INFORMATION;

	if (io->major == IRP_MJ_DEVICE_CONTROL || io->major == IRP_MJ_FILE_SYSTEM_CONTROL) {
		ULONG method = stack->Parameters.DeviceIoControl.IoControlCode & 3;

		stack->Parameters.DeviceIoControl.InputBufferLength = io->input_length;
		stack->Parameters.DeviceIoControl.OutputBufferLength = io->length;
		if (method == METHOD_BUFFERED) {
			buffer_system(request, irp, io->input, io->input_length, io->buffer, io->length);
		} else if (method == METHOD_NEITHER) {
			stack->Parameters.DeviceIoControl.Type3InputBuffer = (void *)(uintptr_t)io->input;
			irp->UserBuffer = io->buffer;
		} else {
			buffer_system(request, irp, io->input, io->input_length, NULL, 0);
			buffer_direct(request, irp, io->buffer, io->length, method == METHOD_OUT_DIRECT);
		}
	} else if (io->irp_flags & IRP_PAGING_IO) {
		buffer_direct(request, irp, io->buffer, io->length, output);
	} else if (by_device(io->major)) {
		buffer_by_device(request, irp, device, io->buffer, io->length, output);
	} else if (io->major == IRP_MJ_QUERY_SECURITY) {
		irp->UserBuffer = io->buffer;
		request->user = io->buffer;
		request->user_length = io->length;
	} else if (io->buffer) {
		buffer_system(request, irp, output ? NULL : io->buffer, output ? 0 : io->length,
			      output ? io->buffer : NULL, output ? io->length : 0);
	}
}

/* The first member of most parameter blocks. */
static void length_of(PIO_STACK_LOCATION stack, const struct nt_io *io)
{
	switch (io->major) {
	case IRP_MJ_QUERY_SECURITY:
		stack->Parameters.QuerySecurity.Length = io->length;
		break;
	case IRP_MJ_READ:
	case IRP_MJ_WRITE:
	case IRP_MJ_QUERY_INFORMATION:
	case IRP_MJ_SET_INFORMATION:
	case IRP_MJ_QUERY_EA:
	case IRP_MJ_SET_EA:
	case IRP_MJ_QUERY_VOLUME_INFORMATION:
	case IRP_MJ_SET_VOLUME_INFORMATION:
	case IRP_MJ_DIRECTORY_CONTROL:
		stack->Parameters.Read.Length = io->length;
		break;
	default:
		break;
	}
}

static struct nt_request *start(struct nt_file *file, DEVICE_OBJECT *device, const struct nt_io *io)
{
	struct nt_request *request = request_make(file);
	PIRP irp;
	PIO_STACK_LOCATION stack;

	if ((io->buffer && address_is_bad(io->buffer) && !by_device(io->major) && io->major != IRP_MJ_QUERY_SECURITY) ||
	    (by_device(io->major) && (device->Flags & (DO_DIRECT_IO | DO_BUFFERED_IO)) && address_is_bad(io->buffer)))
		return refuse(request, STATUS_ACCESS_VIOLATION);
	irp = irp_make(device->StackSize);
	stack = IoGetNextIrpStackLocation(irp);
	stack->MajorFunction = io->major;
	stack->MinorFunction = io->minor;
	stack->Flags = io->flags;
	stack->FileObject = file ? &file->object : NULL;
	irp->Flags = io->irp_flags;
	irp->RequestorMode = io->kernel || !current()->process ? KernelMode : UserMode;
	irp->Tail.Overlay.OriginalFileObject = stack->FileObject;
	length_of(stack, io);
	if (io->set)
		io->set(stack, io->context);
	buffer_of(request, irp, device, stack, io);
	return send(request, device, irp);
}

struct nt_request *nt_io_file(FILE_OBJECT *object, const struct nt_io *io)
{
	return start(object->nt, object->nt->device, io);
}

struct nt_request *nt_io_device(DEVICE_OBJECT *device, const struct nt_io *io)
{
	return start(NULL, device, io);
}

FILE_OBJECT *nt_file_object(HANDLE handle)
{
	struct nt_file *file = handle_object(handle, HANDLE_FILE);

	if (!file)
		nt_fail("the test uses a handle that is not open");
	return &file->object;
}

struct nt_request *nt_io(HANDLE handle, const struct nt_io *io)
{
	return nt_io_file(nt_file_object(handle), io);
}

/* --- Opening and closing --------------------------------------------------------------------------------- */

struct opening {
	ACCESS_STATE state;
	IO_SECURITY_CONTEXT context;
	struct nt_file *made;
};

static void opened(struct nt_request *request)
{
	struct opening *opening = (struct opening *)(void *)(request + 1);
	struct nt_file *file = opening->made;

	if (NT_SUCCESS(request->status.Status) && request->status.Status != STATUS_REPARSE && file) {
		file->opened = true;
		file->object.Flags |= FO_HANDLE_CREATED;
		file->granted = opening->state.PreviouslyGrantedAccess | opening->state.RemainingDesiredAccess;
		file->handles = 1;
		request->handle = handle_make(HANDLE_FILE, file, request->process);
	} else if (file) {
		file_put_later(file);
	}
}

NTSTATUS mount_device(struct nt_device *device)
{
	struct nt_io io = {.major = IRP_MJ_FILE_SYSTEM_CONTROL, .minor = IRP_MN_MOUNT_VOLUME, .kernel = true};
	NTSTATUS status = STATUS_UNRECOGNIZED_VOLUME;

	for (DEVICE_OBJECT *fs = filesystem_next(NULL); fs; fs = filesystem_next(fs)) {
		struct nt_request *request = request_make(NULL);
		PIRP irp = irp_make(fs->StackSize);
		PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(irp);

		stack->MajorFunction = io.major;
		stack->MinorFunction = io.minor;
		stack->Parameters.MountVolume.Vpb = device->object->Vpb;
		stack->Parameters.MountVolume.DeviceObject = device->object;
		irp->RequestorMode = KernelMode;
		send(request, fs, irp);
		if (!nt_wait(request))
			nt_fail("a mount does not end");
		status = nt_finish(request, NULL);
		if (NT_SUCCESS(status)) {
			if (!device->object->Vpb->DeviceObject)
				nt_fail("a mount that succeeds leaves Vpb->DeviceObject empty");
			device->object->Vpb->Flags |= VPB_MOUNTED;
			return status;
		}
	}
	return status;
}

/* The device that a name leads to, and the part of it that the device gets. */
static NTSTATUS open_where(const struct nt_open *open, struct nt_file **made, ACCESS_MASK access)
{
	size_t length = open->wide_length, rest_length;
	uint16_t *path = open->path ? wide(open->path, &length) : NULL, *rest;
	const uint16_t *text = path ? path : (const uint16_t *)open->wide;
	struct nt_file *file;
	struct nt_device *device;
	NTSTATUS status;

	if (open->folder) {
		struct nt_file *folder = nt_file_object(open->folder)->nt;

		file = file_make(folder->object.DeviceObject);
		file->object.RelatedFileObject = &folder->object;
		folder->references++;
		file->device = folder->device;
		rest = take(length + 2);
		memcpy(rest, text, length);
		rest_length = length;
		if ((file->object.Vpb = folder->object.Vpb) != NULL)
			file->object.Vpb->ReferenceCount++;
	} else {
		status = name_resolve(text, length, &device, &rest, &rest_length);
		if (NT_SUCCESS(status) && device->object->Flags & DO_DEVICE_INITIALIZING)
			status = STATUS_NO_SUCH_DEVICE;
		else if (NT_SUCCESS(status) && open->mode == UserMode &&
			 (rest_length == 0 || device->object->Characteristics & FILE_DEVICE_SECURE_OPEN) &&
			 !device_allows(device, current()->process, access))
			status = STATUS_ACCESS_DENIED;
		else if (NT_SUCCESS(status) && device->object->Vpb && !(device->object->Vpb->Flags & VPB_MOUNTED))
			status = mount_device(device);
		if (!NT_SUCCESS(status)) {
			if (status != STATUS_OBJECT_NAME_NOT_FOUND)
				free(rest);
			free(path);
			return status;
		}
		file = file_make(device->object);
		file->device = device->object;
		if (device->object->Vpb) {
			file->object.Vpb = device->object->Vpb;
			file->object.Vpb->ReferenceCount++;
			file->device = file->object.Vpb->DeviceObject;
		}
	}
	if (file->device != file->object.DeviceObject)
		device_reference(file->device);
	/* Exactly as long as the name is, so that AddressSanitizer sees its end. */
	file->name_memory = malloc(rest_length ? rest_length : 1);
	memcpy(file->name_memory, rest, rest_length);
	file->object.FileName = (UNICODE_STRING){(USHORT)rest_length, (USHORT)rest_length, file->name_memory};
	free(rest);
	free(path);
	*made = file;
	return STATUS_SUCCESS;
}

struct nt_request *nt_open(const struct nt_open *open)
{
	struct nt_request *request = take(sizeof(*request) + sizeof(struct opening));
	struct opening *opening = (struct opening *)(void *)(request + 1);
	struct nt_file *file;
	ACCESS_MASK access = open->access;
	PIRP irp;
	PIO_STACK_LOCATION stack;
	NTSTATUS status;

	request->process = current()->process;
	request->finished = opened;
	RtlMapGenericMask(&access, IoGetFileObjectGenericMapping());
	status = open_where(open, &file, access);
	if (!NT_SUCCESS(status))
		return refuse(request, status);
	opening->made = file;
	opening->state.OriginalDesiredAccess = access;
	if (open->mode == KernelMode)
		opening->state.PreviouslyGrantedAccess = access;
	else
		opening->state.RemainingDesiredAccess = access;
	if (open->options & (FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT))
		file->object.Flags |= FO_SYNCHRONOUS_IO;
	if (open->options & FILE_DELETE_ON_CLOSE)
		file->object.Flags |= FO_DELETE_ON_CLOSE;
	opening->context = (IO_SECURITY_CONTEXT){
		.AccessState = &opening->state, .DesiredAccess = access, .FullCreateOptions = open->options};
	irp = irp_make(file->device->StackSize);
	irp->Flags = IRP_CREATE_OPERATION | IRP_SYNCHRONOUS_API | IRP_DEFER_IO_COMPLETION;
	irp->RequestorMode = open->mode;
	irp->Overlay.AllocationSize.QuadPart = open->allocation;
	irp->Tail.Overlay.OriginalFileObject = &file->object;
	if (open->ea_length) {
		request->system = take(open->ea_length);
		memcpy(request->system, open->ea, open->ea_length);
		irp->AssociatedIrp.SystemBuffer = request->system;
	}
	stack = IoGetNextIrpStackLocation(irp);
	stack->MajorFunction = IRP_MJ_CREATE;
	stack->Flags = (UCHAR)open->stack_flags;
	stack->FileObject = &file->object;
	stack->Parameters.Create.SecurityContext = &opening->context;
	stack->Parameters.Create.Options = open->disposition << 24 | (open->options & FILE_VALID_OPTION_FLAGS);
	stack->Parameters.Create.FileAttributes = (USHORT)open->attributes;
	stack->Parameters.Create.ShareAccess = (USHORT)open->share;
	stack->Parameters.Create.EaLength = open->ea_length;
	return send(request, file->device, irp);
}

/* IRP_MJ_CLOSE, for the last reference: it has to end at once. */
void user_close_last(struct nt_file *file)
{
	struct nt_request *request = request_make(NULL);
	PIRP irp = irp_make(file->device->StackSize);
	PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(irp);

	if (current()->irql != PASSIVE_LEVEL)
		nt_fail("the last reference of a file object goes at IRQL %u", current()->irql);
	file->opened = false;
	stack->MajorFunction = IRP_MJ_CLOSE;
	stack->FileObject = &file->object;
	irp->Flags = IRP_CLOSE_OPERATION | IRP_SYNCHRONOUS_API;
	send(request, file->device, irp);
	if (!request->done)
		nt_fail("IRP_MJ_CLOSE pends");
	nt_finish(request, NULL);
}

static void cleaned(struct nt_request *request)
{
	if (!NT_SUCCESS(request->status.Status))
		nt_fail("IRP_MJ_CLEANUP ends with %08x", (unsigned)request->status.Status);
	request->file->object.Flags |= FO_CLEANUP_COMPLETE;
	file_put_later(request->file);
}

struct nt_request *nt_close_start(HANDLE handle)
{
	struct nt_file *file = nt_file_object(handle)->nt;
	struct nt_request *request = request_make(file);
	PIRP irp;
	PIO_STACK_LOCATION stack;

	handle_free(handle);
	if (--file->handles > 0)
		return refuse(request, STATUS_SUCCESS);
	request->finished = cleaned;
	irp = irp_make(file->device->StackSize);
	stack = IoGetNextIrpStackLocation(irp);
	stack->MajorFunction = IRP_MJ_CLEANUP;
	stack->FileObject = &file->object;
	irp->Flags = IRP_CLOSE_OPERATION | IRP_SYNCHRONOUS_API;
	return send(request, file->device, irp);
}

void nt_close(HANDLE handle)
{
	struct nt_file *file = nt_file_object(handle)->nt;
	struct nt_request *request;

	if (current()->process && current()->process->ended) {
		for (LIST_ENTRY *at = file->requests.Flink, *next; at != &file->requests; at = next) {
			next = at->Flink;
			nt_cancel(CONTAINING_RECORD(at, struct nt_request, entry));
		}
	}
	request = nt_close_start(handle);
	if (!nt_wait(request))
		nt_fail("IRP_MJ_CLEANUP does not end");
	nt_finish(request, NULL);
	nt_run();
}

HANDLE nt_duplicate(HANDLE handle)
{
	struct nt_file *file = nt_file_object(handle)->nt;

	file->handles++;
	return handle_make(HANDLE_FILE, file, current()->process);
}
