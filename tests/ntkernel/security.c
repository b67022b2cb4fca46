/* SPDX-License-Identifier: MIT */
/* security.c - security identifiers, access control lists, descriptors, and the check of access. */
#include "internal.h"

static SID world = {1, 1, {{0, 0, 0, 0, 0, 1}}, {0}}, local_system = {1, 1, {SECURITY_NT_AUTHORITY}, {18}},
	   authenticated = {1, 1, {SECURITY_NT_AUTHORITY}, {11}};
static union {
	SID sid;
	ULONG room[4];
} administrators;
static SE_EXPORTS exports;
PSE_EXPORTS SeExports = &exports;

void security_boot(void)
{
	administrators.sid = (SID){1, 2, {SECURITY_NT_AUTHORITY}, {32}};
	administrators.room[3] = 544;
	exports.SeWorldSid = &world;
	exports.SeLocalSystemSid = &local_system;
	exports.SeAliasAdminsSid = &administrators;
	exports.SeAuthenticatedUsersSid = &authenticated;
	exports.SeManageVolumePrivilege.LowPart = SE_MANAGE_VOLUME_PRIVILEGE;
	exports.SeBackupPrivilege.LowPart = SE_BACKUP_PRIVILEGE;
	exports.SeRestorePrivilege.LowPart = SE_RESTORE_PRIVILEGE;
	exports.SeTcbPrivilege.LowPart = SE_TCB_PRIVILEGE;
	exports.SeLoadDriverPrivilege.LowPart = SE_LOAD_DRIVER_PRIVILEGE;
}

static GENERIC_MAPPING file_mapping = {FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_GENERIC_EXECUTE, FILE_ALL_ACCESS};

PGENERIC_MAPPING IoGetFileObjectGenericMapping(void)
{
	return &file_mapping;
}

void RtlMapGenericMask(PACCESS_MASK mask, const GENERIC_MAPPING *mapping)
{
	if (*mask & GENERIC_READ)
		*mask |= mapping->GenericRead;
	if (*mask & GENERIC_WRITE)
		*mask |= mapping->GenericWrite;
	if (*mask & GENERIC_EXECUTE)
		*mask |= mapping->GenericExecute;
	if (*mask & GENERIC_ALL)
		*mask |= mapping->GenericAll;
	*mask &= ~(GENERIC_READ | GENERIC_WRITE | GENERIC_EXECUTE | GENERIC_ALL);
}

ULONG RtlLengthRequiredSid(ULONG count)
{
	return 8 + 4 * count;
}

ULONG RtlLengthSid(PSID sid)
{
	return RtlLengthRequiredSid(((SID *)sid)->SubAuthorityCount);
}

BOOLEAN RtlValidSid(PSID sid)
{
	return sid && ((SID *)sid)->Revision == 1 && ((SID *)sid)->SubAuthorityCount <= 15;
}

BOOLEAN RtlEqualSid(PSID a, PSID b)
{
	return RtlLengthSid(a) == RtlLengthSid(b) && memcmp(a, b, RtlLengthSid(a)) == 0;
}

NTSTATUS RtlCopySid(ULONG size, PSID to, PSID from)
{
	if (size < RtlLengthSid(from))
		return STATUS_BUFFER_TOO_SMALL;
	memcpy(to, from, RtlLengthSid(from));
	return STATUS_SUCCESS;
}

NTSTATUS RtlCreateSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, ULONG revision)
{
	*(SECURITY_DESCRIPTOR *)descriptor = (SECURITY_DESCRIPTOR){.Revision = (UCHAR)revision};
	return STATUS_SUCCESS;
}

NTSTATUS RtlCreateAcl(PACL acl, ULONG size, ULONG revision)
{
	if (size < sizeof(ACL) || size > 0xffff)
		return STATUS_INVALID_PARAMETER;
	*acl = (ACL){(UCHAR)revision, 0, (USHORT)size, 0, 0};
	return STATUS_SUCCESS;
}

static ULONG acl_used(const ACL *acl)
{
	ULONG used = sizeof(ACL);

	for (unsigned i = 0; i < acl->AceCount; i++)
		used += ((const ACE_HEADER *)(const void *)((const char *)acl + used))->AceSize;
	return used;
}

NTSTATUS RtlAddAccessAllowedAce(PACL acl, ULONG revision, ACCESS_MASK access, PSID sid)
{
	ULONG at = acl_used(acl), size = (ULONG)offsetof(ACCESS_ALLOWED_ACE, SidStart) + RtlLengthSid(sid);
	ACCESS_ALLOWED_ACE *ace = (void *)((char *)acl + at);

	if (at + size > acl->AclSize)
		return STATUS_ALLOTTED_SPACE_EXCEEDED;
	ace->Header = (ACE_HEADER){ACCESS_ALLOWED_ACE_TYPE, 0, (USHORT)size};
	ace->Mask = access;
	memcpy(&ace->SidStart, sid, RtlLengthSid(sid));
	acl->AceCount++;
	return STATUS_SUCCESS;
}

NTSTATUS RtlSetDaclSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, BOOLEAN present, PACL dacl, BOOLEAN defaulted)
{
	SECURITY_DESCRIPTOR *sd = descriptor;

	sd->Dacl = present ? dacl : NULL;
	sd->Control |= present ? SE_DACL_PRESENT : 0;
	return STATUS_SUCCESS;
}

NTSTATUS RtlSetOwnerSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, PSID owner, BOOLEAN defaulted)
{
	((SECURITY_DESCRIPTOR *)descriptor)->Owner = owner;
	return STATUS_SUCCESS;
}

NTSTATUS RtlSetGroupSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, PSID group, BOOLEAN defaulted)
{
	((SECURITY_DESCRIPTOR *)descriptor)->Group = group;
	return STATUS_SUCCESS;
}

static const void *part(const void *descriptor, ULONG offset, const void *pointer)
{
	if (((const SECURITY_DESCRIPTOR *)descriptor)->Control & SE_SELF_RELATIVE)
		return offset ? (const char *)descriptor + offset : NULL;
	return pointer;
}

#define PART(sd, what)                                                                                                 \
	part((sd), ((const SECURITY_DESCRIPTOR_RELATIVE *)(sd))->what,                                                 \
	     ((const SECURITY_DESCRIPTOR *)(sd))->Control &SE_SELF_RELATIVE                                            \
		     ? NULL                                                                                            \
		     : ((const SECURITY_DESCRIPTOR *)(sd))->what)

void *descriptor_copy(const void *descriptor, size_t *size)
{
	const void *owner = PART(descriptor, Owner), *group = PART(descriptor, Group);
	const ACL *dacl = PART(descriptor, Dacl), *sacl = PART(descriptor, Sacl);
	SECURITY_DESCRIPTOR_RELATIVE *copy;
	ULONG at = sizeof(*copy);

	*size = sizeof(*copy) + (owner ? RtlLengthSid((PSID)(uintptr_t)owner) : 0) +
		(group ? RtlLengthSid((PSID)(uintptr_t)group) : 0) + (dacl ? dacl->AclSize : 0) +
		(sacl ? sacl->AclSize : 0);
	copy = take(*size);
	copy->Revision = 1;
	copy->Control = ((const SECURITY_DESCRIPTOR *)descriptor)->Control | SE_SELF_RELATIVE;
#define COPY(member, from, length)                                                                                     \
	if (from) {                                                                                                    \
		copy->member = at;                                                                                     \
		memcpy((char *)copy + at, from, length);                                                               \
		at += length;                                                                                          \
	}
	COPY(Owner, owner, RtlLengthSid((PSID)(uintptr_t)owner))
	COPY(Group, group, RtlLengthSid((PSID)(uintptr_t)group))
	/* What is behind the entries of a list was never filled. */
	COPY(Dacl, dacl, acl_used(dacl))
	COPY(Sacl, sacl, acl_used(sacl))
	return copy;
}

ULONG RtlLengthSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor)
{
	size_t size;

	free(descriptor_copy(descriptor, &size));
	return (ULONG)size;
}

static bool relative_ok(const void *descriptor, ULONG size, ULONG offset, bool acl)
{
	const char *at = (const char *)descriptor + offset;

	if (offset == 0)
		return true;
	if (offset % 4 || offset < sizeof(SECURITY_DESCRIPTOR_RELATIVE) || offset > size || size - offset < 8)
		return false;
	if (!acl)
		return ((const SID *)(const void *)at)->Revision == 1 &&
		       ((const SID *)(const void *)at)->SubAuthorityCount <= 15 &&
		       RtlLengthSid((PSID)(uintptr_t)at) <= size - offset;
	if (((const ACL *)(const void *)at)->AclSize > size - offset)
		return false;
	for (ULONG i = 0, used = sizeof(ACL); i < ((const ACL *)(const void *)at)->AceCount; i++) {
		const ACE_HEADER *ace = (const void *)(at + used);

		if (used + sizeof(*ace) > ((const ACL *)(const void *)at)->AclSize || ace->AceSize < sizeof(*ace) ||
		    used + ace->AceSize > ((const ACL *)(const void *)at)->AclSize)
			return false;
		used += ace->AceSize;
	}
	return true;
}

BOOLEAN SeValidSecurityDescriptor(ULONG size, PSECURITY_DESCRIPTOR descriptor)
{
	const SECURITY_DESCRIPTOR_RELATIVE *sd = descriptor;

	irql_at_most(PASSIVE_LEVEL, __func__);
	return size >= sizeof(*sd) && sd->Revision == 1 && (sd->Control & SE_SELF_RELATIVE) &&
	       relative_ok(sd, size, sd->Owner, false) && relative_ok(sd, size, sd->Group, false) &&
	       relative_ok(sd, size, sd->Dacl, true) && relative_ok(sd, size, sd->Sacl, true);
}

BOOLEAN RtlValidRelativeSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, ULONG size, SECURITY_INFORMATION required)
{
	const SECURITY_DESCRIPTOR_RELATIVE *sd = descriptor;

	return SeValidSecurityDescriptor(size, descriptor) && (!(required & OWNER_SECURITY_INFORMATION) || sd->Owner) &&
	       (!(required & GROUP_SECURITY_INFORMATION) || sd->Group) &&
	       (!(required & DACL_SECURITY_INFORMATION) || sd->Dacl);
}

BOOLEAN RtlValidSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor)
{
	return descriptor && ((SECURITY_DESCRIPTOR *)descriptor)->Revision == 1;
}

NTSTATUS RtlAbsoluteToSelfRelativeSD(PSECURITY_DESCRIPTOR absolute, PSECURITY_DESCRIPTOR relative, PULONG size)
{
	size_t needed;
	void *copy = descriptor_copy(absolute, &needed);
	NTSTATUS status = *size < needed ? STATUS_BUFFER_TOO_SMALL : STATUS_SUCCESS;

	if (NT_SUCCESS(status))
		memcpy(relative, copy, needed);
	*size = (ULONG)needed;
	free(copy);
	return status;
}

static bool has(unsigned account, PSID sid)
{
	return RtlEqualSid(sid, &world) || RtlEqualSid(sid, &authenticated) ||
	       (account == NT_SYSTEM && (RtlEqualSid(sid, &local_system) || RtlEqualSid(sid, &administrators.sid))) ||
	       (account == NT_ADMIN && RtlEqualSid(sid, &administrators.sid));
}

bool access_check(const void *descriptor, unsigned account, ACCESS_MASK desired, ACCESS_MASK *granted)
{
	const ACL *dacl = PART(descriptor, Dacl);
	ACCESS_MASK denied = 0, allowed = 0;
	ULONG at = sizeof(ACL);

	if (!(((const SECURITY_DESCRIPTOR *)descriptor)->Control & SE_DACL_PRESENT) || !dacl) {
		*granted = desired & MAXIMUM_ALLOWED ? FILE_ALL_ACCESS : desired;
		return true;
	}
	for (unsigned i = 0; i < dacl->AceCount; i++) {
		const ACCESS_ALLOWED_ACE *ace = (const void *)((const char *)dacl + at);
		ACCESS_MASK mask = ace->Mask;

		RtlMapGenericMask(&mask, &file_mapping);
		if (has(account, (PSID)(uintptr_t)&ace->SidStart)) {
			if (ace->Header.AceType == ACCESS_DENIED_ACE_TYPE)
				denied |= mask & ~allowed;
			else
				allowed |= mask & ~denied;
		}
		at += ace->Header.AceSize;
	}
	*granted = desired & MAXIMUM_ALLOWED ? allowed : desired;
	return (desired & ~MAXIMUM_ALLOWED & ~allowed) == 0;
}

BOOLEAN SeAccessCheck(PSECURITY_DESCRIPTOR descriptor, PSECURITY_SUBJECT_CONTEXT subject, BOOLEAN locked,
		      ACCESS_MASK desired, ACCESS_MASK previous, PPRIVILEGE_SET *privileges, PGENERIC_MAPPING mapping,
		      KPROCESSOR_MODE mode, PACCESS_MASK granted, PNTSTATUS status)
{
	PEPROCESS process = subject->PrimaryToken;
	BOOLEAN allowed;

	irql_at_most(PASSIVE_LEVEL, __func__);
	if (mode == KernelMode) {
		*granted = (desired & MAXIMUM_ALLOWED ? mapping->GenericAll : 0) | (desired & ~MAXIMUM_ALLOWED) |
			   previous;
		*status = STATUS_SUCCESS;
		return TRUE;
	}
	RtlMapGenericMask(&desired, mapping);
	allowed = access_check(descriptor, process->account, desired, granted);
	*granted = allowed ? *granted | previous : 0;
	*status = allowed ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
	return allowed;
}

void SeCaptureSubjectContext(PSECURITY_SUBJECT_CONTEXT subject)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	*subject = (SECURITY_SUBJECT_CONTEXT){.PrimaryToken = PsGetCurrentProcess()};
}

void SeReleaseSubjectContext(PSECURITY_SUBJECT_CONTEXT subject)
{
	subject->PrimaryToken = NULL;
}

void SeLockSubjectContext(PSECURITY_SUBJECT_CONTEXT subject)
{
}

void SeUnlockSubjectContext(PSECURITY_SUBJECT_CONTEXT subject)
{
}

BOOLEAN SeSinglePrivilegeCheck(LUID privilege, KPROCESSOR_MODE mode)
{
	return mode == KernelMode || PsGetCurrentProcess()->account != NT_USER;
}

BOOLEAN SeTokenIsAdmin(PACCESS_TOKEN token)
{
	return ((PEPROCESS)token)->account != NT_USER;
}

LUID RtlConvertLongToLuid(LONG value)
{
	return (LUID){(ULONG)value, 0};
}
