// SPDX-License-Identifier: MIT
/*
 * control.c - the control device: what the command asks for
 *
 * All codes are METHOD_BUFFERED: the input is the system's copy, which no program can change while it is checked. Each
 * struct is checked whole before anything is done: its length, each piece of text in it, each reserved member.
 * PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

/* Lies the text inside of the struct, behind its fixed part, and is it whole characters? */
static BOOLEAN FSTextValid(const struct fs_add_disk *add, const struct fs_text *text, uint32_t max)
{
	if (text->length == 0)
		return TRUE;
	return text->length <= max && text->length % sizeof(WCHAR) == 0 && text->offset % sizeof(WCHAR) == 0 &&
	       text->offset >= sizeof(*add) && text->offset <= add->size && text->length <= add->size - text->offset;
}

static const WCHAR *FSTextOf(const struct fs_add_disk *add, const struct fs_text *text)
{
	return (const WCHAR *)((const uint8_t *)add + text->offset);
}

static BOOLEAN FSTextHas(const struct fs_add_disk *add, const struct fs_text *text, WCHAR character)
{
	const WCHAR *at = FSTextOf(add, text);

	for (uint32_t i = 0; i < text->length / sizeof(WCHAR); i++)
		if (at[i] == character)
			return TRUE;
	return FALSE;
}

static BOOLEAN FSLabelValid(const struct fs_add_disk *add)
{
	const WCHAR *at = FSTextOf(add, &add->label);

	for (uint32_t i = 0; i < add->label.length / sizeof(WCHAR); i++)
		if (at[i] < L' ' || at[i] == L'\\' || at[i] == L'/' || at[i] == L':')
			return FALSE;
	return TRUE;
}

/* "key=value", each ended by a NUL, the last one as well. */
static BOOLEAN FSOptionsValid(const struct fs_add_disk *add)
{
	uint32_t count = add->options.length / sizeof(WCHAR);

	return count == 0 || FSTextOf(add, &add->options)[count - 1] == 0;
}

static NTSTATUS FSControlAdd(struct fs_call *call)
{
	const struct fs_add_disk *add = call->irp->AssociatedIrp.SystemBuffer;
	ULONG length = call->stack->Parameters.DeviceIoControl.InputBufferLength;

	if (length < sizeof(*add) || add->size != length ||
	    call->stack->Parameters.DeviceIoControl.OutputBufferLength < sizeof(struct fs_added_disk))
		return STATUS_INVALID_PARAMETER;
	if (add->letter != 0 && (add->letter < 'A' || add->letter > 'Z'))
		return STATUS_INVALID_PARAMETER;
	if (add->reserved != 0 || add->reserved2 != 0 || (add->flags & ~FS_DISK_READ_ONLY) != 0)
		return STATUS_INVALID_PARAMETER;
	if (!FSTextValid(add, &add->label, FS_LABEL_MAX) || !FSTextValid(add, &add->source, FS_TEXT_MAX) ||
	    !FSTextValid(add, &add->cache, FS_TEXT_MAX) || !FSTextValid(add, &add->options, FS_TEXT_MAX))
		return STATUS_INVALID_PARAMETER;
	if (!FSTextHas(add, &add->source, L':') || FSTextHas(add, &add->source, 0) || FSTextHas(add, &add->cache, 0) ||
	    !FSLabelValid(add) || !FSOptionsValid(add))
		return STATUS_INVALID_PARAMETER;
	return FSAddDisk(call, add);
}

static NTSTATUS FSControlDelete(struct fs_call *call)
{
	const struct fs_delete_disk *delete = call->irp->AssociatedIrp.SystemBuffer;

	if (call->stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(*delete) || delete->reserved != 0 ||
	    (delete->flags & ~FS_DELETE_FORCE) != 0 || delete->letter < 'A' || delete->letter > 'Z')
		return STATUS_INVALID_PARAMETER;
	return FSDeleteDisk(call, delete);
}

static void FSDiskDescribe(struct fs_drive *drive, struct fs_disk *disk)
{
	const WCHAR *name = drive->device_name + RTL_NUMBER_OF(L"\\Device\\") - 1;

	RtlZeroMemory(disk, sizeof(*disk));
	disk->disk = drive->number;
	disk->letter = drive->letter;
	disk->flags = drive->flags;
	disk->waiting = FSRequestCount(drive);
	disk->volume_length = (uint16_t)(wcslen(name) * sizeof(WCHAR));
	RtlCopyMemory(disk->volume, name, disk->volume_length);
	disk->source_length = drive->source.Length < sizeof(disk->source) ? drive->source.Length : sizeof(disk->source);
	RtlCopyMemory(disk->source, drive->source.Buffer, disk->source_length);
	FSFilesLock(drive);
	disk->open_files = (uint32_t)drive->open_count;
	disk->label_length = drive->label.Length;
	RtlCopyMemory(disk->label, drive->label.Buffer, drive->label.Length);
	FSFilesUnlock(drive);
}

static NTSTATUS FSControlGet(struct fs_call *call)
{
	struct fs_disk *disks = call->irp->AssociatedIrp.SystemBuffer;
	ULONG room = call->stack->Parameters.DeviceIoControl.OutputBufferLength / sizeof(*disks);
	ULONG count = 0;
	NTSTATUS status = STATUS_SUCCESS;

	if (call->stack->Parameters.DeviceIoControl.InputBufferLength != 0)
		return STATUS_INVALID_PARAMETER;
	FSDrivesLock();
	for (LIST_ENTRY *at = FSDriver.drives.Flink; at != &FSDriver.drives; at = at->Flink) {
		struct fs_drive *drive = CONTAINING_RECORD(at, struct fs_drive, link);

		if (drive->state != FS_DRIVE_READY)
			continue;
		if (count == room) {
			status = STATUS_BUFFER_OVERFLOW;
			break;
		}
		FSDiskDescribe(drive, &disks[count++]);
	}
	FSDrivesUnlock();
	call->irp->IoStatus.Information = count * sizeof(*disks);
	return status;
}

NTSTATUS FSControlDevice(struct fs_call *call)
{
	switch (call->stack->MajorFunction) {
	case IRP_MJ_CREATE:
		return FSDeviceOpened(call);
	case IRP_MJ_CLEANUP:
	case IRP_MJ_CLOSE:
		return STATUS_SUCCESS;
	case IRP_MJ_DEVICE_CONTROL:
		break;
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
	switch (call->stack->Parameters.DeviceIoControl.IoControlCode) {
	case IOCTL_FS_ADD_DISK:
		return FSControlAdd(call);
	case IOCTL_FS_DELETE_DISK:
		return FSControlDelete(call);
	case IOCTL_FS_GET_DISKS:
		return FSControlGet(call);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}
