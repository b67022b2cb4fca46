// SPDX-License-Identifier: MIT
/*
 * dispatch.c - where every IRP comes in
 *
 * The kind at the beginning of the device extension says whose IRP it is, and the major function which handler has it.
 * A handler's status completes the IRP here, unless the IRP is taken (call.taken): by a request, a work item, or a
 * routine of FsRtl that completes it by itself.
 *
 * IRPs of volumes run in a critical region, so that no kernel APC stops a thread that holds a mutex of ours. A volume's
 * handler is called with a reference to the drive. PASSIVE_LEVEL, APC_LEVEL for paging I/O.
 */
#include "driver/driveway.h"

static FSHandler *const FSVolumeHandlers[IRP_MJ_MAXIMUM_FUNCTION + 1] = {
	[IRP_MJ_CREATE] = FSVolumeCreate,
	[IRP_MJ_CLOSE] = FSVolumeClose,
	[IRP_MJ_READ] = FSVolumeRead,
	[IRP_MJ_WRITE] = FSVolumeWrite,
	[IRP_MJ_QUERY_INFORMATION] = FSVolumeQueryInformation,
	[IRP_MJ_SET_INFORMATION] = FSVolumeSetInformation,
	[IRP_MJ_QUERY_EA] = FSVolumeQueryEa,
	[IRP_MJ_SET_EA] = FSVolumeSetEa,
	[IRP_MJ_FLUSH_BUFFERS] = FSVolumeFlush,
	[IRP_MJ_QUERY_VOLUME_INFORMATION] = FSVolumeQueryVolume,
	[IRP_MJ_SET_VOLUME_INFORMATION] = FSVolumeSetVolume,
	[IRP_MJ_DIRECTORY_CONTROL] = FSVolumeDirectoryControl,
	[IRP_MJ_FILE_SYSTEM_CONTROL] = FSVolumeFileSystemControl,
	[IRP_MJ_DEVICE_CONTROL] = FSVolumeDeviceControl,
	[IRP_MJ_SHUTDOWN] = FSVolumeShutdown,
	[IRP_MJ_LOCK_CONTROL] = FSVolumeLockControl,
	[IRP_MJ_CLEANUP] = FSVolumeCleanup,
	[IRP_MJ_QUERY_SECURITY] = FSVolumeQuerySecurity,
	[IRP_MJ_SET_SECURITY] = FSVolumeSetSecurity,
	[IRP_MJ_PNP] = FSVolumePnp,
};

void FSComplete(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = information;
	IoCompleteRequest(irp, NT_SUCCESS(status) ? IO_DISK_INCREMENT : IO_NO_INCREMENT);
}

static NTSTATUS FSVolumeDispatch(struct fs_call *call)
{
	FSHandler *handler = FSVolumeHandlers[call->stack->MajorFunction];

	return handler != NULL ? handler(call) : STATUS_INVALID_DEVICE_REQUEST;
}

static NTSTATUS FSDriveDispatch(struct fs_call *call)
{
	NTSTATUS status;

	call->drive = FSDriveOf(call->device);
	if (call->drive == NULL)
		return STATUS_VOLUME_DISMOUNTED;
	KeEnterCriticalRegion();
	status = call->device->kind == FS_KIND_VOLUME ? FSVolumeDispatch(call) : FSDiskDevice(call);
	KeLeaveCriticalRegion();
	FSDriveRelease(call->drive);
	return status;
}

static NTSTATUS FSCallDispatch(struct fs_call *call)
{
	/* Information is set by who has any; that of plug and play passes through. */
	if (call->stack->MajorFunction != IRP_MJ_PNP)
		call->irp->IoStatus.Information = 0;
	switch (call->device->kind) {
	case FS_KIND_CONTROL:
		return FSControlDevice(call);
	case FS_KIND_COMMUNICATION:
		return FSCommunicationDevice(call);
	case FS_KIND_REDIRECTOR:
		return FSRedirectorDevice(call);
	case FS_KIND_DISK:
	case FS_KIND_VOLUME:
		return FSDriveDispatch(call);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}

NTSTATUS FSDeviceOpened(struct fs_call *call)
{
	if (call->stack->FileObject == NULL || call->stack->FileObject->FileName.Length != 0)
		return STATUS_OBJECT_NAME_NOT_FOUND;
	call->irp->IoStatus.Information = FILE_OPENED;
	return STATUS_SUCCESS;
}

NTSTATUS NTAPI FSDispatchRequest(DEVICE_OBJECT *device, IRP *irp)
{
	struct fs_call call = {
		.irp = irp, .stack = IoGetCurrentIrpStackLocation(irp), .device = device->DeviceExtension};
	NTSTATUS status = FSCallDispatch(&call);

	if (!call.taken)
		FSComplete(irp, status, irp->IoStatus.Information);
	return status;
}

/* An IRP of the volume that had been held up, and is marked pending, from its beginning. */
void FSDispatchAgain(IRP *irp)
{
	IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

	FSDispatchRequest(stack->DeviceObject, irp);
}
