// SPDX-License-Identifier: MIT
/*
 * secure.c - devices with a discretionary access control list
 *
 * IoCreateDeviceSecure takes the list as text, which a library of the Windows kit parses; there is none here. So a
 * device is made, which nobody can open while DO_DEVICE_INITIALIZING is set; then its list is built and put on it by
 * handle; and FSDeviceOpenForUse, last, clears the flag. When any step fails, the device never becomes openable.
 *
 *    control         SYSTEM, Administrators: everything
 *    communication   SYSTEM, the account of the service: everything
 *    redirector      SYSTEM: everything; programs have nothing to say to it
 *
 * Nobody else is named, so nobody else has any access.
 */
#include "driver/driveway.h"

#define FS_SIDS_MAX 2

struct fs_sid {
	SID sid;
	ULONG second; /* S-1-5-32-544 has two sub-authorities; the first one is in sid */
};

NTSTATUS FSDeviceMake(const WCHAR *name, DEVICE_TYPE type, ULONG characteristics, ULONG size, enum fs_kind kind,
		      struct fs_drive *drive, DEVICE_OBJECT **made)
{
	UNICODE_STRING text;
	struct fs_device *device;
	NTSTATUS status;

	*made = NULL;
	if (name != NULL)
		RtlInitUnicodeString(&text, name);
	status = IoCreateDevice(FSDriver.object, size, name != NULL ? &text : NULL, type, characteristics, FALSE, made);
	if (!NT_SUCCESS(status))
		return status;
	device = (*made)->DeviceExtension;
	RtlZeroMemory(device, size);
	device->kind = kind;
	device->object = *made;
	device->drive = drive;
	return STATUS_SUCCESS;
}

static void FSSidMake(struct fs_sid *sid, UCHAR count, ULONG first, ULONG second)
{
	static const SID_IDENTIFIER_AUTHORITY authority = {SECURITY_NT_AUTHORITY};

	RtlZeroMemory(sid, sizeof(*sid));
	sid->sid.Revision = SID_REVISION;
	sid->sid.SubAuthorityCount = count;
	sid->sid.IdentifierAuthority = authority;
	sid->sid.SubAuthority[0] = first;
	sid->second = second;
}

NTSTATUS FSDeviceProtect(DEVICE_OBJECT *device, BOOLEAN administrators)
{
	struct fs_sid sids[FS_SIDS_MAX];
	uint32_t count = administrators ? 2 : 1;
	union {
		ACL acl;
		ULONG room[(sizeof(ACL) + FS_SIDS_MAX * (sizeof(ACCESS_ALLOWED_ACE) + sizeof(struct fs_sid))) /
			   sizeof(ULONG)];
	} list;
	SECURITY_DESCRIPTOR descriptor;
	HANDLE handle;
	NTSTATUS status;

	FSSidMake(&sids[0], 1, SECURITY_LOCAL_SYSTEM_RID, 0);
	FSSidMake(&sids[1], 2, SECURITY_BUILTIN_DOMAIN_RID, DOMAIN_ALIAS_RID_ADMINS);
	status = RtlCreateAcl(&list.acl, sizeof(list), ACL_REVISION);
	for (uint32_t i = 0; NT_SUCCESS(status) && i < count; i++)
		status = RtlAddAccessAllowedAce(&list.acl, ACL_REVISION, FILE_ALL_ACCESS, &sids[i].sid);
	if (NT_SUCCESS(status))
		status = RtlCreateSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION);
	if (NT_SUCCESS(status))
		status = RtlSetDaclSecurityDescriptor(&descriptor, TRUE, &list.acl, FALSE);
	if (!NT_SUCCESS(status))
		return status;
	status = ObOpenObjectByPointer(device, OBJ_KERNEL_HANDLE, NULL, WRITE_DAC, NULL, KernelMode, &handle);
	if (!NT_SUCCESS(status))
		return status;
	status = ZwSetSecurityObject(handle, DACL_SECURITY_INFORMATION, &descriptor);
	ZwClose(handle);
	return status;
}

void FSDeviceOpenForUse(DEVICE_OBJECT *device)
{
	device->Flags &= ~DO_DEVICE_INITIALIZING;
}
