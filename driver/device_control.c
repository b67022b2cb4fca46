// SPDX-License-Identifier: MIT
/*
 * device_control.c - the disk device, and IRP_MJ_DEVICE_CONTROL of disk and volume: codes of the mount manager and of
 * storage
 *
 * There is no disk below us: the answers describe one of the drive's size. All codes are METHOD_BUFFERED.
 * PASSIVE_LEVEL.
 */
#include <initguid.h>

#include "driver/driveway.h"

#include <mountdev.h>
#include <mountmgr.h>
#include <ntdddisk.h>

#define FS_TRACKS_PER_CYLINDER 255u
#define FS_SECTORS_PER_TRACK   63u
#define FS_SIZE_UNKNOWN	       (1024ull * 1024 * 1024 * 1024)

struct fs_control {
	void *buffer;
	ULONG code, in, out;
	ULONG_PTR *information;
};

/* An answer of fixed size, which has been put together elsewhere. */
static NTSTATUS FSStorageAnswer(const struct fs_control *control, const void *answer, ULONG size)
{
	if (control->out < size || control->buffer == NULL)
		return STATUS_BUFFER_TOO_SMALL;
	RtlCopyMemory(control->buffer, answer, size);
	*control->information = size;
	return STATUS_SUCCESS;
}

/* A length of 16 bits at the beginning, then bytes: what does not fit is told by its length alone. */
static NTSTATUS FSStorageCounted(const struct fs_control *control, const void *bytes, USHORT length, ULONG fixed)
{
	if (control->out < fixed || control->buffer == NULL)
		return STATUS_BUFFER_TOO_SMALL;
	RtlZeroMemory(control->buffer, fixed);
	*(USHORT *)control->buffer = length;
	*control->information = fixed;
	if (control->out - fixed < length)
		return STATUS_BUFFER_OVERFLOW;
	RtlCopyMemory((uint8_t *)control->buffer + fixed, bytes, length);
	*control->information = fixed + length;
	return STATUS_SUCCESS;
}

static NTSTATUS FSStorageLink(struct fs_drive *drive, const struct fs_control *control)
{
	static const WCHAR pattern[] = L"\\DosDevices\\?:";
	WCHAR name[RTL_NUMBER_OF(pattern)];
	ULONG fixed = FIELD_OFFSET(MOUNTDEV_SUGGESTED_LINK_NAME, Name);
	USHORT length = sizeof(pattern) - sizeof(WCHAR);
	MOUNTDEV_SUGGESTED_LINK_NAME *link = control->buffer;

	if (control->out < fixed || link == NULL)
		return STATUS_BUFFER_TOO_SMALL;
	RtlCopyMemory(name, pattern, sizeof(pattern));
	name[RTL_NUMBER_OF(pattern) - 3] = drive->letter;
	RtlZeroMemory(link, fixed);
	link->UseOnlyIfThereAreNoOtherLinks = FALSE;
	link->NameLength = length;
	*control->information = fixed;
	if (control->out - fixed < length)
		return STATUS_BUFFER_OVERFLOW;
	RtlCopyMemory(link->Name, name, length);
	*control->information = fixed + length;
	return STATUS_SUCCESS;
}

static uint64_t FSStorageSize(const struct fs_drive *drive)
{
	uint64_t size = drive->total;

	return size >= FS_SECTOR_SIZE ? size / FS_SECTOR_SIZE * FS_SECTOR_SIZE : FS_SIZE_UNKNOWN;
}

static NTSTATUS FSStorageGeometry(struct fs_drive *drive, const struct fs_control *control)
{
	DISK_GEOMETRY geometry = {0};

	geometry.Cylinders.QuadPart = (LONGLONG)(FSStorageSize(drive) /
						 (FS_TRACKS_PER_CYLINDER * FS_SECTORS_PER_TRACK * FS_SECTOR_SIZE));
	geometry.MediaType = FixedMedia;
	geometry.TracksPerCylinder = FS_TRACKS_PER_CYLINDER;
	geometry.SectorsPerTrack = FS_SECTORS_PER_TRACK;
	geometry.BytesPerSector = FS_SECTOR_SIZE;
	return FSStorageAnswer(control, &geometry, sizeof(geometry));
}

static NTSTATUS FSStorageNumber(struct fs_drive *drive, const struct fs_control *control)
{
	STORAGE_DEVICE_NUMBER number;

	RtlZeroMemory(&number, sizeof(number));
	number.DeviceType = FILE_DEVICE_DISK;
	number.DeviceNumber = (ULONG)drive->number;
	number.PartitionNumber = (ULONG)-1;
	return FSStorageAnswer(control, &number, sizeof(number));
}

static NTSTATUS FSStorageHotplug(const struct fs_control *control)
{
	STORAGE_HOTPLUG_INFO info;

	RtlZeroMemory(&info, sizeof(info));
	info.Size = sizeof(info);
	return FSStorageAnswer(control, &info, sizeof(info));
}

static NTSTATUS FSStoragePartition(struct fs_drive *drive, const struct fs_control *control)
{
	PARTITION_INFORMATION partition;

	RtlZeroMemory(&partition, sizeof(partition));
	partition.PartitionLength.QuadPart = (LONGLONG)FSStorageSize(drive);
	partition.PartitionType = PARTITION_IFS;
	partition.RecognizedPartition = TRUE;
	return FSStorageAnswer(control, &partition, sizeof(partition));
}

static NTSTATUS FSStorageControl(struct fs_call *call)
{
	struct fs_drive *drive = call->drive;
	struct fs_control control = {.buffer = call->irp->AssociatedIrp.SystemBuffer,
				     .code = call->stack->Parameters.DeviceIoControl.IoControlCode,
				     .in = call->stack->Parameters.DeviceIoControl.InputBufferLength,
				     .out = call->stack->Parameters.DeviceIoControl.OutputBufferLength,
				     .information = &call->irp->IoStatus.Information};
	LARGE_INTEGER length = {.QuadPart = (LONGLONG)FSStorageSize(drive)};

	switch (control.code) {
	case IOCTL_MOUNTDEV_QUERY_DEVICE_NAME:
		return FSStorageCounted(&control, drive->device_name,
					(USHORT)(wcslen(drive->device_name) * sizeof(WCHAR)),
					FIELD_OFFSET(MOUNTDEV_NAME, Name));
	case IOCTL_MOUNTDEV_QUERY_UNIQUE_ID:
		return FSStorageCounted(&control, &drive->identity, sizeof(drive->identity),
					FIELD_OFFSET(MOUNTDEV_UNIQUE_ID, UniqueId));
	case IOCTL_MOUNTDEV_QUERY_STABLE_GUID:
		return FSStorageAnswer(&control, &drive->identity, sizeof(drive->identity));
	case IOCTL_MOUNTDEV_QUERY_SUGGESTED_LINK_NAME:
		return FSStorageLink(drive, &control);
	case IOCTL_MOUNTDEV_LINK_CREATED:
	case IOCTL_MOUNTDEV_LINK_DELETED:
	case IOCTL_DISK_MEDIA_REMOVAL:
	case IOCTL_STORAGE_MEDIA_REMOVAL:
		return STATUS_SUCCESS;
	case IOCTL_DISK_CHECK_VERIFY:
	case IOCTL_STORAGE_CHECK_VERIFY:
	case IOCTL_STORAGE_CHECK_VERIFY2:
		return drive->state == FS_DRIVE_READY ? STATUS_SUCCESS : STATUS_DEVICE_NOT_READY;
	case IOCTL_DISK_IS_WRITABLE:
		return drive->flags & FS_DISK_READ_ONLY ? STATUS_MEDIA_WRITE_PROTECTED : STATUS_SUCCESS;
	case IOCTL_DISK_GET_DRIVE_GEOMETRY:
		return FSStorageGeometry(drive, &control);
	case IOCTL_DISK_GET_LENGTH_INFO:
		return FSStorageAnswer(&control, &length, sizeof(length));
	case IOCTL_DISK_GET_PARTITION_INFO:
		return FSStoragePartition(drive, &control);
	case IOCTL_STORAGE_GET_DEVICE_NUMBER:
		return FSStorageNumber(drive, &control);
	case IOCTL_STORAGE_GET_HOTPLUG_INFO:
		return FSStorageHotplug(&control);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}

NTSTATUS FSVolumeDeviceControl(struct fs_call *call)
{
	struct fs_ccb *ccb;
	NTSTATUS status = FSCcbOf(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	return ccb->fcb->is_volume ? FSStorageControl(call) : STATUS_INVALID_DEVICE_REQUEST;
}

/* Opened by itself, not as a volume: the mount manager does, to ask for its names. */
NTSTATUS FSDiskDevice(struct fs_call *call)
{
	switch (call->stack->MajorFunction) {
	case IRP_MJ_CREATE:
		call->irp->IoStatus.Information = FILE_OPENED;
		return STATUS_SUCCESS;
	case IRP_MJ_CLEANUP:
	case IRP_MJ_CLOSE:
	case IRP_MJ_FLUSH_BUFFERS:
	case IRP_MJ_SHUTDOWN:
		return STATUS_SUCCESS;
	case IRP_MJ_DEVICE_CONTROL:
		return FSStorageControl(call);
	case IRP_MJ_PNP:
		return FSVolumePnp(call);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}
