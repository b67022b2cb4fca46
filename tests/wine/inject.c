// SPDX-License-Identifier: MIT
/* inject.c - see inject.h. For tests only. */
#include <ntifs.h>

#include "driver/driveway.h"
#include "tests/wine/inject.h"

extern __declspec(dllimport) POBJECT_TYPE IoDriverObjectType;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_DISPATCH inject_dispatch;
static DRIVER_UNLOAD inject_unload;

static FILE_OBJECT *files[INJECT_FILES];
static DEVICE_OBJECT *inject_device;

/* Everything of one IRP. */
struct sent {
	IRP *outer;
	IO_SECURITY_CONTEXT security;
	ACCESS_STATE state;
	UNICODE_STRING pattern;
};

static DEVICE_OBJECT *find_volume(void)
{
	UNICODE_STRING name;
	DRIVER_OBJECT *driver;
	DEVICE_OBJECT *found = NULL;

	RtlInitUnicodeString(&name, L"\\Driver\\DrivewayTest");
	if (!NT_SUCCESS(ObReferenceObjectByName(&name, OBJ_CASE_INSENSITIVE, NULL, 0, IoDriverObjectType, KernelMode,
						NULL, (void **)&driver)))
		return NULL;
	for (DEVICE_OBJECT *device = driver->DeviceObject; found == NULL && device != NULL; device = device->NextDevice)
		if (((struct fs_device *)device->DeviceExtension)->kind == FS_KIND_VOLUME)
			found = device;
	ObDereferenceObject(driver);
	return found;
}

static void end_file(uint32_t file)
{
	ExFreePoolWithTag(files[file], 0x20696e6a);
	files[file] = NULL;
}

static NTSTATUS NTAPI inject_done(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	struct sent *sent = context;
	IRP *outer = sent->outer;
	struct inject *inject = outer->AssociatedIrp.SystemBuffer;

	inject->status = irp->IoStatus.Status;
	inject->information = irp->IoStatus.Information;
	if ((inject->major == IRP_MJ_CREATE && !NT_SUCCESS(irp->IoStatus.Status)) || inject->major == IRP_MJ_CLOSE)
		end_file(inject->file);
	/* Wine frees it with the IRP otherwise. */
	if (irp->MdlAddress != NULL)
		IoFreeMdl(irp->MdlAddress);
	irp->MdlAddress = NULL;
	ExFreePoolWithTag(sent, 0x20696e6a);
	IoFreeIrp(irp);
	outer->IoStatus.Status = STATUS_SUCCESS;
	outer->IoStatus.Information = sizeof(*inject);
	IoCompleteRequest(outer, IO_NO_INCREMENT);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

static void fill_stack(struct inject *inject, struct sent *sent, IRP *irp, IO_STACK_LOCATION *stack)
{
	FILE_OBJECT *related = inject->related < INJECT_FILES ? files[inject->related] : NULL;

	switch (inject->major) {
	case IRP_MJ_CREATE:
		stack->FileObject->RelatedFileObject = related;
		sent->security.AccessState = &sent->state;
		sent->security.DesiredAccess = inject->access;
		stack->Parameters.Create.SecurityContext = &sent->security;
		stack->Parameters.Create.Options = inject->options;
		stack->Parameters.Create.FileAttributes = (USHORT)inject->attributes;
		stack->Parameters.Create.ShareAccess = (USHORT)inject->share;
		break;
	case IRP_MJ_READ:
	case IRP_MJ_WRITE:
		stack->Parameters.Read.Length = inject->length;
		stack->Parameters.Read.ByteOffset.QuadPart = (LONGLONG)inject->offset;
		break;
	case IRP_MJ_QUERY_INFORMATION:
		stack->Parameters.QueryFile.Length = inject->length;
		stack->Parameters.QueryFile.FileInformationClass = inject->class;
		break;
	case IRP_MJ_SET_INFORMATION:
		stack->Parameters.SetFile.Length = inject->length;
		stack->Parameters.SetFile.FileInformationClass = inject->class;
		stack->Parameters.SetFile.FileObject = related;
		break;
	case IRP_MJ_QUERY_VOLUME_INFORMATION:
	case IRP_MJ_SET_VOLUME_INFORMATION:
		stack->Parameters.QueryVolume.Length = inject->length;
		stack->Parameters.QueryVolume.FsInformationClass = inject->class;
		break;
	case IRP_MJ_DIRECTORY_CONTROL:
		stack->Parameters.QueryDirectory.Length = inject->length;
		stack->Parameters.QueryDirectory.FileInformationClass = inject->class;
		sent->pattern.Buffer = inject->name;
		sent->pattern.Length = sent->pattern.MaximumLength = (USHORT)inject->name_length;
		stack->Parameters.QueryDirectory.FileName = inject->name_length != 0 ? &sent->pattern : NULL;
		break;
	case IRP_MJ_FILE_SYSTEM_CONTROL:
	case IRP_MJ_DEVICE_CONTROL:
		stack->Parameters.FileSystemControl.FsControlCode = inject->class;
		stack->Parameters.FileSystemControl.InputBufferLength = inject->input;
		stack->Parameters.FileSystemControl.OutputBufferLength = inject->length;
		break;
	case IRP_MJ_QUERY_SECURITY:
		stack->Parameters.QuerySecurity.SecurityInformation = inject->class;
		stack->Parameters.QuerySecurity.Length = inject->length;
		break;
	case IRP_MJ_SET_SECURITY:
		stack->Parameters.SetSecurity.SecurityInformation = inject->class;
		stack->Parameters.SetSecurity.SecurityDescriptor = inject->data;
		break;
	default:
		break;
	}
	stack->Flags = (UCHAR)inject->stack_flags;
}

static NTSTATUS make_file(struct inject *inject)
{
	FILE_OBJECT *object;

	if (files[inject->file] != NULL || inject->name_length > sizeof(inject->name))
		return STATUS_INVALID_PARAMETER;
	object = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*object) + inject->name_length, 0x20696e6a);
	if (object == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	RtlZeroMemory(object, sizeof(*object));
	object->Type = IO_TYPE_FILE;
	object->Size = sizeof(*object);
	object->Flags = FO_SYNCHRONOUS_IO;
	object->FileName.Buffer = (WCHAR *)(object + 1);
	object->FileName.Length = object->FileName.MaximumLength = (USHORT)inject->name_length;
	RtlCopyMemory(object + 1, inject->name, inject->name_length);
	files[inject->file] = object;
	return STATUS_SUCCESS;
}

static NTSTATUS inject_send(IRP *outer)
{
	struct inject *inject = outer->AssociatedIrp.SystemBuffer;
	DEVICE_OBJECT *volume = find_volume();
	IO_STACK_LOCATION *stack;
	struct sent *sent;
	NTSTATUS status = STATUS_SUCCESS;
	IRP *irp;

	if (volume == NULL || inject->file >= INJECT_FILES || inject->length > INJECT_DATA ||
	    inject->input > INJECT_DATA)
		return STATUS_INVALID_PARAMETER;
	if (inject->major == IRP_MJ_CREATE)
		status = make_file(inject);
	else if (files[inject->file] == NULL)
		status = STATUS_INVALID_HANDLE;
	if (!NT_SUCCESS(status))
		return status;
	sent = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*sent), 0x20696e6a);
	irp = IoAllocateIrp(volume->StackSize, FALSE);
	if (sent == NULL || irp == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	RtlZeroMemory(sent, sizeof(*sent));
	sent->outer = outer;
	irp->Flags = inject->irp_flags;
	irp->RequestorMode = KernelMode;
	irp->AssociatedIrp.SystemBuffer = inject->data;
	irp->UserBuffer = inject->data;
	if (inject->length != 0 &&
	    (inject->major == IRP_MJ_READ || inject->major == IRP_MJ_WRITE ||
	     inject->major == IRP_MJ_DIRECTORY_CONTROL || inject->major == IRP_MJ_QUERY_SECURITY)) {
		irp->MdlAddress = IoAllocateMdl(inject->data, inject->length, FALSE, FALSE, NULL);
		if (irp->MdlAddress == NULL)
			return STATUS_INSUFFICIENT_RESOURCES;
		/* Wine has no pages: the address is all that counts. */
		irp->MdlAddress->MappedSystemVa = inject->data;
		irp->MdlAddress->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
	}
	stack = IoGetNextIrpStackLocation(irp);
	stack->MajorFunction = (UCHAR)inject->major;
	stack->MinorFunction = (UCHAR)inject->minor;
	stack->FileObject = files[inject->file];
	stack->FileObject->DeviceObject = volume;
	fill_stack(inject, sent, irp, stack);
	IoSetCompletionRoutine(irp, inject_done, sent, TRUE, TRUE, TRUE);
	IoMarkIrpPending(outer);
	IoCallDriver(volume, irp);
	return STATUS_PENDING;
}

static NTSTATUS NTAPI inject_dispatch(DEVICE_OBJECT *device, IRP *irp)
{
	IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
	NTSTATUS status = STATUS_SUCCESS;

	if (stack->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
		status = STATUS_INVALID_PARAMETER;
		if (stack->Parameters.DeviceIoControl.IoControlCode == IOCTL_INJECT &&
		    stack->Parameters.DeviceIoControl.InputBufferLength == sizeof(struct inject) &&
		    stack->Parameters.DeviceIoControl.OutputBufferLength == sizeof(struct inject))
			status = inject_send(irp);
	}
	if (status == STATUS_PENDING)
		return status;
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = 0;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

static void NTAPI inject_unload(DRIVER_OBJECT *driver)
{
	UNICODE_STRING link;

	RtlInitUnicodeString(&link, L"\\DosDevices\\DrivewayInject");
	IoDeleteSymbolicLink(&link);
	IoDeleteDevice(inject_device);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry)
{
	UNICODE_STRING name, link;
	NTSTATUS status;

	RtlInitUnicodeString(&name, L"\\Device\\DrivewayInject");
	RtlInitUnicodeString(&link, L"\\DosDevices\\DrivewayInject");
	for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
		driver->MajorFunction[i] = inject_dispatch;
	driver->DriverUnload = inject_unload;
	status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &inject_device);
	return NT_SUCCESS(status) ? IoCreateSymbolicLink(&link, &name) : status;
}
