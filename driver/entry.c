// SPDX-License-Identifier: MIT
/*
 * entry.c - the driver is loaded and unloaded
 *
 *    \Device\DrivewayControl         \DosDevices\DrivewayControl          SYSTEM, Administrators
 *    \Device\DrivewayCommunication   \DosDevices\DrivewayCommunication    SYSTEM: the service's account
 *    \Device\DrivewayRedirector      -                                    SYSTEM; registered as a file system
 *
 * What DriverEntry has made is taken back by FSUnload, also when it could not make it all. The I/O manager calls
 * FSUnload when no handle is open any more, hence no file of a drive, either. PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

struct fs_driver FSDriver;

#define FS_WIDE(text)	   FS_WIDE2(text)
#define FS_WIDE2(text)	   L##text
#define FS_DEVICE_OF(name) L"\\Device\\" FS_WIDE(name)
#define FS_LINK_OF(name)   L"\\DosDevices\\" FS_WIDE(name)

static NTSTATUS FSLink(const WCHAR *link, const WCHAR *target)
{
	UNICODE_STRING from, to;

	RtlInitUnicodeString(&from, link);
	RtlInitUnicodeString(&to, target);
	return IoCreateSymbolicLink(&from, &to);
}

static void FSUnlink(const WCHAR *link)
{
	UNICODE_STRING from;

	RtlInitUnicodeString(&from, link);
	IoDeleteSymbolicLink(&from);
}

static NTSTATUS FSDeviceAdd(const WCHAR *name, DEVICE_TYPE type, enum fs_kind kind, BOOLEAN administrators,
			    DEVICE_OBJECT **made)
{
	NTSTATUS status = FSDeviceMake(name, type, FILE_DEVICE_SECURE_OPEN, sizeof(struct fs_device), kind, NULL, made);

	return NT_SUCCESS(status) ? FSDeviceProtect(*made, administrators) : status;
}

static NTSTATUS FSDevicesMake(void)
{
	NTSTATUS status = FSDeviceAdd(FS_DEVICE_OF(FS_CONTROL_NAME), FS_DEVICE_TYPE, FS_KIND_CONTROL, TRUE,
				      &FSDriver.control);

	if (NT_SUCCESS(status))
		status = FSDeviceAdd(FS_DEVICE_OF(FS_COMMUNICATION_NAME), FS_DEVICE_TYPE, FS_KIND_COMMUNICATION, FALSE,
				     &FSDriver.communication);
	if (NT_SUCCESS(status))
		status = FSDeviceAdd(FS_DEVICE_OF(FS_REDIRECTOR_NAME), FILE_DEVICE_DISK_FILE_SYSTEM, FS_KIND_REDIRECTOR,
				     FALSE, &FSDriver.redirector);
	return status;
}

static NTSTATUS FSDevicesPublish(void)
{
	NTSTATUS status = FSLink(FS_LINK_OF(FS_CONTROL_NAME), FS_DEVICE_OF(FS_CONTROL_NAME));

	FSDriver.control_linked = NT_SUCCESS(status);
	if (NT_SUCCESS(status)) {
		status = FSLink(FS_LINK_OF(FS_COMMUNICATION_NAME), FS_DEVICE_OF(FS_COMMUNICATION_NAME));
		FSDriver.communication_linked = NT_SUCCESS(status);
	}
	if (NT_SUCCESS(status)) {
		IoRegisterFileSystem(FSDriver.redirector);
		FSDriver.registered = TRUE;
	}
	return status;
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *object, UNICODE_STRING *registry)
{
	NTSTATUS status;

	RtlZeroMemory(&FSDriver, sizeof(FSDriver));
	FSDriver.object = object;
	InitializeListHead(&FSDriver.drives);
	KeInitializeSpinLock(&FSDriver.devices_lock);
	KeInitializeEvent(&FSDriver.no_drives, NotificationEvent, TRUE);
	status = ExInitializeResourceLite(&FSDriver.drives_lock);
	if (!NT_SUCCESS(status))
		return status;
	FSDriver.drives_lock_made = TRUE;
	for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
		object->MajorFunction[i] = FSDispatchRequest;
	object->DriverUnload = FSUnload;
	status = FSDevicesMake();
	if (NT_SUCCESS(status))
		status = FSServiceInitialize(&FSDriver.service);
	if (NT_SUCCESS(status))
		status = FSDevicesPublish();
	if (!NT_SUCCESS(status)) {
		FSUnload(object);
		return status;
	}
	FSDeviceOpenForUse(FSDriver.control);
	FSDeviceOpenForUse(FSDriver.communication);
	FSDeviceOpenForUse(FSDriver.redirector);
	return STATUS_SUCCESS;
}

void NTAPI FSUnload(DRIVER_OBJECT *object)
{
	DEVICE_OBJECT *devices[] = {FSDriver.redirector, FSDriver.communication, FSDriver.control};

	if (FSDriver.registered)
		IoUnregisterFileSystem(FSDriver.redirector);
	if (FSDriver.communication_linked)
		FSUnlink(FS_LINK_OF(FS_COMMUNICATION_NAME));
	if (FSDriver.control_linked)
		FSUnlink(FS_LINK_OF(FS_CONTROL_NAME));
	if (FSDriver.service.sweeper != NULL) {
		FSDrivesEnd();
		FSServiceEnd();
		KeWaitForSingleObject(&FSDriver.no_drives, Executive, KernelMode, FALSE, NULL);
	}
	for (ULONG i = 0; i < RTL_NUMBER_OF(devices); i++)
		if (devices[i] != NULL)
			IoDeleteDevice(devices[i]);
	if (FSDriver.drives_lock_made)
		ExDeleteResourceLite(&FSDriver.drives_lock);
}
