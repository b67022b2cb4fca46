// SPDX-License-Identifier: MIT
/*
 * redirector.c - the file system's own device: it mounts our volumes on our disks
 *
 * The I/O manager asks each registered file system whether a disk that is opened for the first time is its own. Ours
 * are told by the driver of the disk's device; everything else is left to others. PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static NTSTATUS FSRedirectorMount(struct fs_call *call)
{
	VPB *vpb = call->stack->Parameters.MountVolume.Vpb;
	DEVICE_OBJECT *disk = vpb != NULL ? vpb->RealDevice : NULL;
	struct fs_device *device;
	struct fs_drive *drive;
	NTSTATUS status = STATUS_UNRECOGNIZED_VOLUME;

	if (disk == NULL || disk->DriverObject != FSDriver.object || disk->DeviceExtension == NULL)
		return status;
	device = disk->DeviceExtension;
	drive = device->kind == FS_KIND_DISK ? FSDriveOf(device) : NULL;
	if (drive == NULL)
		return status;
	if (drive->state == FS_DRIVE_READY) {
		FSFilesLock(drive);
		vpb->VolumeLabelLength = drive->label.Length < sizeof(vpb->VolumeLabel) ? drive->label.Length
											: sizeof(vpb->VolumeLabel);
		RtlCopyMemory(vpb->VolumeLabel, drive->label.Buffer, vpb->VolumeLabelLength);
		FSFilesUnlock(drive);
		vpb->SerialNumber = drive->identity.Data1;
		vpb->DeviceObject = drive->volume;
		status = STATUS_SUCCESS;
	}
	FSDriveRelease(drive);
	return status;
}

NTSTATUS FSRedirectorDevice(struct fs_call *call)
{
	switch (call->stack->MajorFunction) {
	case IRP_MJ_CREATE:
		call->irp->IoStatus.Information = FILE_OPENED;
		return STATUS_SUCCESS;
	case IRP_MJ_CLEANUP:
	case IRP_MJ_CLOSE:
	case IRP_MJ_SHUTDOWN:
		return STATUS_SUCCESS;
	case IRP_MJ_FILE_SYSTEM_CONTROL:
		return call->stack->MinorFunction == IRP_MN_MOUNT_VOLUME ? FSRedirectorMount(call)
									 : STATUS_INVALID_DEVICE_REQUEST;
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}
