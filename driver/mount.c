// SPDX-License-Identifier: MIT
/*
 * mount.c - the letter of a drive, and the mount manager
 *
 * A letter is a symbolic link \DosDevices\X: to the disk device. We make it ourselves first: that tells whether it is
 * free, at once and without a race. When the service has opened the source, the mount manager is told; since it makes
 * letters' links by itself, ours is taken away for that moment, and comes back when the mount manager does not want it
 * (its automatic letters may be off, or there may be none). If it cannot come back, the drive is not added.
 *
 * All of it runs in work items, that is in the system's process: \DosDevices is the global folder there, whoever asked.
 * And nothing of it may run in a thread of the service: the mount manager and those whom it tells open the new volume.
 * PASSIVE_LEVEL.
 */
#include <initguid.h>

#include "driver/driveway.h"

#include <mountmgr.h>

#define FS_LETTER_LENGTH 14 /* characters of \DosDevices\X: */
#define FS_MANAGER_NAME	 L"\\Device\\MountPointManager"
#define FS_MOUNT_ROOM	 512u

struct fs_letter_name {
	WCHAR text[FS_LETTER_LENGTH + 1];
	UNICODE_STRING string;
};

static void FSLetterName(struct fs_letter_name *name, WCHAR letter)
{
	static const WCHAR pattern[] = L"\\DosDevices\\?:";

	RtlCopyMemory(name->text, pattern, sizeof(pattern));
	name->text[FS_LETTER_LENGTH - 2] = letter;
	RtlInitUnicodeString(&name->string, name->text);
}

BOOLEAN FSLetterTaken(WCHAR letter)
{
	struct fs_letter_name name;
	OBJECT_ATTRIBUTES attributes;
	HANDLE link;
	NTSTATUS status;

	FSLetterName(&name, letter);
	InitializeObjectAttributes(&attributes, &name.string, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
	status = ZwOpenSymbolicLinkObject(&link, GENERIC_READ, &attributes);
	if (NT_SUCCESS(status))
		ZwClose(link);
	return status != STATUS_OBJECT_NAME_NOT_FOUND && status != STATUS_OBJECT_PATH_NOT_FOUND;
}

/* Does the letter lead to our disk device? */
static BOOLEAN FSLetterOurs(struct fs_drive *drive)
{
	struct fs_letter_name name;
	OBJECT_ATTRIBUTES attributes;
	WCHAR target[RTL_NUMBER_OF(drive->device_name)];
	UNICODE_STRING found = {.MaximumLength = sizeof(target), .Buffer = target}, wanted;
	HANDLE link;
	NTSTATUS status;

	FSLetterName(&name, drive->letter);
	InitializeObjectAttributes(&attributes, &name.string, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
	status = ZwOpenSymbolicLinkObject(&link, GENERIC_READ, &attributes);
	if (!NT_SUCCESS(status))
		return FALSE;
	status = ZwQuerySymbolicLinkObject(link, &found, NULL);
	ZwClose(link);
	RtlInitUnicodeString(&wanted, drive->device_name);
	return NT_SUCCESS(status) && RtlEqualUnicodeString(&found, &wanted, TRUE);
}

NTSTATUS FSLetterLink(struct fs_drive *drive)
{
	struct fs_letter_name name;
	UNICODE_STRING target;
	NTSTATUS status;

	FSLetterName(&name, drive->letter);
	RtlInitUnicodeString(&target, drive->device_name);
	status = IoCreateSymbolicLink(&name.string, &target);
	drive->linked = NT_SUCCESS(status);
	return status;
}

void FSLetterUnlink(struct fs_drive *drive)
{
	struct fs_letter_name name;

	if (!drive->linked)
		return;
	drive->linked = FALSE;
	FSLetterName(&name, drive->letter);
	if (FSLetterOurs(drive))
		IoDeleteSymbolicLink(&name.string);
}

static NTSTATUS FSManagerOpen(HANDLE *manager)
{
	UNICODE_STRING name;
	OBJECT_ATTRIBUTES attributes;
	IO_STATUS_BLOCK io;

	RtlInitUnicodeString(&name, FS_MANAGER_NAME);
	InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
	return ZwCreateFile(manager, FILE_READ_DATA | FILE_WRITE_DATA | SYNCHRONIZE, &attributes, &io, NULL,
			    FILE_ATTRIBUTE_NORMAL, FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN,
			    FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0);
}

static NTSTATUS FSManagerControl(HANDLE manager, ULONG code, void *input, ULONG length, void *output, ULONG room)
{
	IO_STATUS_BLOCK io;

	return ZwDeviceIoControlFile(manager, NULL, NULL, NULL, &io, code, input, length, output, room);
}

static NTSTATUS FSManagerArrival(HANDLE manager, const UNICODE_STRING *device)
{
	union {
		MOUNTMGR_TARGET_NAME name;
		uint8_t room[FS_MOUNT_ROOM];
	} target;

	RtlZeroMemory(&target, sizeof(target));
	target.name.DeviceNameLength = device->Length;
	RtlCopyMemory(target.name.DeviceName, device->Buffer, device->Length);
	return FSManagerControl(manager, IOCTL_MOUNTMGR_VOLUME_ARRIVAL_NOTIFICATION, &target,
				FIELD_OFFSET(MOUNTMGR_TARGET_NAME, DeviceName) + device->Length, NULL, 0);
}

static NTSTATUS FSManagerPoint(HANDLE manager, const UNICODE_STRING *link, const UNICODE_STRING *device)
{
	union {
		MOUNTMGR_CREATE_POINT_INPUT point;
		uint8_t room[FS_MOUNT_ROOM];
	} input;

	RtlZeroMemory(&input, sizeof(input));
	input.point.SymbolicLinkNameOffset = sizeof(input.point);
	input.point.SymbolicLinkNameLength = link->Length;
	input.point.DeviceNameOffset = (USHORT)(sizeof(input.point) + link->Length);
	input.point.DeviceNameLength = device->Length;
	RtlCopyMemory(input.room + input.point.SymbolicLinkNameOffset, link->Buffer, link->Length);
	RtlCopyMemory(input.room + input.point.DeviceNameOffset, device->Buffer, device->Length);
	return FSManagerControl(manager, IOCTL_MOUNTMGR_CREATE_POINT, &input,
				input.point.DeviceNameOffset + device->Length, NULL, 0);
}

/* A failure: the letter has been lost to somebody else meanwhile. */
NTSTATUS FSMountManagerTell(struct fs_drive *drive)
{
	struct fs_letter_name name;
	UNICODE_STRING device;
	HANDLE manager;
	NTSTATUS status = FSManagerOpen(&manager);

	if (!NT_SUCCESS(status))
		return STATUS_SUCCESS;
	FSLetterName(&name, drive->letter);
	RtlInitUnicodeString(&device, drive->device_name);
	FSLetterUnlink(drive);
	status = FSManagerArrival(manager, &device);
	if (NT_SUCCESS(status)) {
		drive->told = TRUE;
		if (!FSLetterOurs(drive))
			FSManagerPoint(manager, &name.string, &device);
	}
	ZwClose(manager);
	if (FSLetterOurs(drive)) {
		drive->linked = TRUE;
		return STATUS_SUCCESS;
	}
	return FSLetterLink(drive);
}

void FSMountManagerForget(struct fs_drive *drive)
{
	union {
		MOUNTMGR_MOUNT_POINT point;
		uint8_t room[FS_MOUNT_ROOM];
	} input;
	uint8_t *output;
	UNICODE_STRING device;
	HANDLE manager;

	if (!drive->told)
		return;
	drive->told = FALSE;
	output = FSAllocate(PAGE_SIZE, FS_TAG_COPY);
	if (output == NULL)
		return;
	if (NT_SUCCESS(FSManagerOpen(&manager))) {
		RtlInitUnicodeString(&device, drive->device_name);
		RtlZeroMemory(&input, sizeof(input));
		input.point.DeviceNameOffset = sizeof(input.point);
		input.point.DeviceNameLength = device.Length;
		RtlCopyMemory(input.room + sizeof(input.point), device.Buffer, device.Length);
		FSManagerControl(manager, IOCTL_MOUNTMGR_DELETE_POINTS, &input, sizeof(input.point) + device.Length,
				 output, PAGE_SIZE);
		ZwClose(manager);
	}
	FSFree(output, FS_TAG_COPY);
}
