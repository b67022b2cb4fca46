// SPDX-License-Identifier: MIT
/*
 * volume_information.c - IRP_MJ_QUERY_VOLUME_INFORMATION and IRP_MJ_SET_VOLUME_INFORMATION
 *
 * What kind of device this is, and how its sectors lie, is answered here; label and space are the service's. A handle
 * of the volume itself may ask as well as one of a file. <= APC_LEVEL.
 */
#include "driver/driveway.h"

static FSDone FSVolumeDone, FSLabelDone;

static const WCHAR FSFileSystemName[] = L"Driveway";

static ULONG FSVolumeRoom(ULONG class)
{
	switch (class) {
	case FileFsVolumeInformation:
		return FIELD_OFFSET(FILE_FS_VOLUME_INFORMATION, VolumeLabel);
	case FileFsSizeInformation:
		return sizeof(FILE_FS_SIZE_INFORMATION);
	case FileFsFullSizeInformation:
		return sizeof(FILE_FS_FULL_SIZE_INFORMATION);
	case FileFsAttributeInformation:
		return FIELD_OFFSET(FILE_FS_ATTRIBUTE_INFORMATION, FileSystemName);
	case FileFsDeviceInformation:
		return sizeof(FILE_FS_DEVICE_INFORMATION);
	case FS_CLASS_SECTOR_SIZE:
		return sizeof(struct fs_sector_size);
	default:
		return 0;
	}
}

/* Text behind a fixed part, as much as there is room for. */
static NTSTATUS FSFillText(WCHAR *to, ULONG room, const void *text, ULONG length, ULONG fixed, ULONG_PTR *information)
{
	ULONG copied = room - fixed < length ? room - fixed : length;

	RtlCopyMemory(to, text, copied);
	*information = fixed + copied;
	return copied < length ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

static NTSTATUS FSVolumeFill(struct fs_pending *p, const struct fs_volume *volume)
{
	ULONG room = p->room, need = FSVolumeRoom(p->operation);

	RtlZeroMemory(p->buffer, need);
	p->information = need;
	switch (p->operation) {
	case FileFsVolumeInformation: {
		FILE_FS_VOLUME_INFORMATION *to = (void *)p->buffer;

		to->VolumeCreationTime.QuadPart = (LONGLONG)volume->created;
		to->VolumeSerialNumber = volume->serial;
		to->VolumeLabelLength = volume->label_length;
		to->SupportsObjects = FALSE;
		return FSFillText(to->VolumeLabel, room, volume->label, volume->label_length, need, &p->information);
	}
	case FileFsSizeInformation: {
		FILE_FS_SIZE_INFORMATION *to = (void *)p->buffer;

		to->TotalAllocationUnits.QuadPart = (LONGLONG)(volume->total / volume->unit);
		to->AvailableAllocationUnits.QuadPart = (LONGLONG)(volume->available / volume->unit);
		to->SectorsPerAllocationUnit = volume->unit / FS_SECTOR_SIZE;
		to->BytesPerSector = FS_SECTOR_SIZE;
		return STATUS_SUCCESS;
	}
	case FileFsFullSizeInformation: {
		FILE_FS_FULL_SIZE_INFORMATION *to = (void *)p->buffer;

		to->TotalAllocationUnits.QuadPart = (LONGLONG)(volume->total / volume->unit);
		to->CallerAvailableAllocationUnits.QuadPart = (LONGLONG)(volume->available / volume->unit);
		to->ActualAvailableAllocationUnits.QuadPart = (LONGLONG)(volume->free / volume->unit);
		to->SectorsPerAllocationUnit = volume->unit / FS_SECTOR_SIZE;
		to->BytesPerSector = FS_SECTOR_SIZE;
		return STATUS_SUCCESS;
	}
	default: { /* FileFsAttributeInformation */
		FILE_FS_ATTRIBUTE_INFORMATION *to = (void *)p->buffer;

		to->FileSystemAttributes = volume->attributes;
		if (p->drive->flags & FS_DISK_READ_ONLY)
			to->FileSystemAttributes |= FILE_READ_ONLY_VOLUME;
		to->MaximumComponentNameLength = (LONG)volume->name_max;
		to->FileSystemNameLength = sizeof(FSFileSystemName) - sizeof(WCHAR);
		return FSFillText(to->FileSystemName, room, FSFileSystemName, to->FileSystemNameLength, need,
				  &p->information);
	}
	}
}

static NTSTATUS FSVolumeDone(struct fs_pending *p, const struct fs_answer *answer)
{
	if (NT_SUCCESS(answer->status))
		p->drive->total = answer->response->u.volume.total;
	if (p->irp == NULL)
		return STATUS_CANCELLED;
	return NT_SUCCESS(answer->status) ? FSVolumeFill(p, &answer->response->u.volume) : answer->status;
}

static void FSVolumeDevice(struct fs_call *call, FILE_FS_DEVICE_INFORMATION *to)
{
	to->DeviceType = FILE_DEVICE_DISK;
	to->Characteristics = call->drive->flags & FS_DISK_READ_ONLY ? FILE_READ_ONLY_DEVICE | FILE_DEVICE_IS_MOUNTED
								     : FILE_DEVICE_IS_MOUNTED;
}

static void FSVolumeSectors(struct fs_sector_size *to)
{
	RtlZeroMemory(to, sizeof(*to));
	to->logical = to->physical_atomic = to->physical_fast = to->effective = FS_SECTOR_SIZE;
	to->flags = FS_SECTORS_ALIGNED;
}

NTSTATUS FSVolumeQueryVolume(struct fs_call *call)
{
	ULONG class = call->stack->Parameters.QueryVolume.FsInformationClass, need = FSVolumeRoom(class);
	void *buffer = call->irp->AssociatedIrp.SystemBuffer;
	struct fs_pending *p;
	struct fs_ccb *ccb;
	NTSTATUS status = FSCcbOf(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (need == 0)
		return STATUS_INVALID_PARAMETER;
	if (call->stack->Parameters.QueryVolume.Length < need || buffer == NULL)
		return STATUS_INFO_LENGTH_MISMATCH;
	if (class == FileFsDeviceInformation || class == FS_CLASS_SECTOR_SIZE) {
		if (class == FileFsDeviceInformation)
			FSVolumeDevice(call, buffer);
		else
			FSVolumeSectors(buffer);
		call->irp->IoStatus.Information = need;
		return STATUS_SUCCESS;
	}
	status = FSRequestMake(call->drive, NULL, call->irp, FS_QUERY_VOLUME, FSVolumeDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->operation = class;
	p->buffer = buffer;
	p->room = call->stack->Parameters.QueryVolume.Length;
	return FSRequestSend(call, p);
}

static NTSTATUS FSLabelDone(struct fs_pending *p, const struct fs_answer *answer)
{
	if (!NT_SUCCESS(answer->status))
		return answer->status;
	FSFilesLock(p->drive);
	RtlCopyMemory(p->drive->label_text, p->owned, p->room);
	p->drive->label.Length = (USHORT)p->room;
	FSFilesUnlock(p->drive);
	return STATUS_SUCCESS;
}

NTSTATUS FSVolumeSetVolume(struct fs_call *call)
{
	const FILE_FS_LABEL_INFORMATION *label = call->irp->AssociatedIrp.SystemBuffer;
	ULONG fixed = FIELD_OFFSET(FILE_FS_LABEL_INFORMATION, VolumeLabel);
	struct fs_pending *p;
	struct fs_ccb *ccb;
	NTSTATUS status = FSCcbOf(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (call->stack->Parameters.SetVolume.FsInformationClass != FileFsLabelInformation)
		return STATUS_INVALID_PARAMETER;
	if (call->stack->Parameters.SetVolume.Length < fixed || label == NULL)
		return STATUS_INFO_LENGTH_MISMATCH;
	if (label->VolumeLabelLength > call->stack->Parameters.SetVolume.Length - fixed ||
	    label->VolumeLabelLength % sizeof(WCHAR) != 0)
		return STATUS_INVALID_PARAMETER;
	if (label->VolumeLabelLength > FS_LABEL_MAX)
		return STATUS_INVALID_VOLUME_LABEL;
	if (call->drive->flags & FS_DISK_READ_ONLY)
		return STATUS_MEDIA_WRITE_PROTECTED;
	status = FSRequestMake(call->drive, NULL, call->irp, FS_SET_LABEL, FSLabelDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->owned = FSAllocate(FS_LABEL_MAX, FS_TAG_COPY);
	if (p->owned == NULL) {
		FSRequestFree(p);
		return STATUS_INSUFFICIENT_RESOURCES;
	}
	p->room = label->VolumeLabelLength;
	RtlCopyMemory(p->owned, label->VolumeLabel, p->room);
	FSRequestText(p, &p->request.u.text, p->owned, p->room);
	return FSRequestSend(call, p);
}
