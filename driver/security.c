// SPDX-License-Identifier: MIT
/*
 * security.c - IRP_MJ_QUERY_SECURITY and IRP_MJ_SET_SECURITY
 *
 * Security descriptors are the service's, made from a file's owner and mode. A query's buffer is a plain address of the
 * program: it is locked in the program's own thread, since the answer comes on one of the service's. Whole descriptors
 * are asked for, whatever room the program has, so that it can be told how much it needs; the answer is copied out of
 * the service's memory and checked before any of it is handed out. PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static FSDone FSSecurityQueryDone, FSSecuritySetDone;

#define FS_DESCRIPTOR_MAX 65536u

static NTSTATUS FSSecurityQueryDone(struct fs_pending *p, const struct fs_answer *answer)
{
	SECURITY_DESCRIPTOR *descriptor;
	NTSTATUS status = STATUS_SUCCESS;

	if (p->irp == NULL)
		return STATUS_CANCELLED;
	if (!NT_SUCCESS(answer->status))
		return answer->status == STATUS_BUFFER_OVERFLOW ? STATUS_DATA_ERROR : answer->status;
	if (answer->length == 0)
		return STATUS_DATA_ERROR;
	descriptor = FSAllocate(answer->length, FS_TAG_COPY);
	if (descriptor == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	RtlCopyMemory(descriptor, answer->data, answer->length);
	if (!RtlValidRelativeSecurityDescriptor(descriptor, answer->length, 0)) {
		status = STATUS_DATA_ERROR;
	} else {
		ULONG length = RtlLengthSecurityDescriptor(descriptor);

		p->information = length;
		if (length > p->room)
			status = STATUS_BUFFER_OVERFLOW;
		else
			RtlCopyMemory(p->buffer, descriptor, length);
	}
	FSFree(descriptor, FS_TAG_COPY);
	return status;
}

NTSTATUS FSVolumeQuerySecurity(struct fs_call *call)
{
	ULONG length = call->stack->Parameters.QuerySecurity.Length;
	struct fs_pending *p;
	struct fs_ccb *ccb;
	uint8_t *buffer;
	NTSTATUS status = FSCcbOfFile(call, &ccb);

	if (NT_SUCCESS(status))
		status = FSBufferMap(call->irp, length, IoWriteAccess, &buffer);
	if (NT_SUCCESS(status))
		status = FSRequestMake(call->drive, ccb, call->irp, FS_QUERY_SECURITY, FSSecurityQueryDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->buffer = buffer;
	p->room = length;
	p->request.u.security.information = call->stack->Parameters.QuerySecurity.SecurityInformation;
	p->request.u.security.room = FS_DESCRIPTOR_MAX;
	return FSRequestSend(call, p);
}

static NTSTATUS FSSecuritySetDone(struct fs_pending *p, const struct fs_answer *answer)
{
	if (NT_SUCCESS(answer->status))
		FSNotifyFile(p->ccb->fcb, FILE_NOTIFY_CHANGE_SECURITY, FILE_ACTION_MODIFIED);
	return answer->status;
}

/* A self-relative copy. */
static NTSTATUS FSSecurityCopy(SECURITY_DESCRIPTOR *from, void **copy, ULONG *length)
{
	NTSTATUS status = STATUS_SUCCESS;
	ULONG room;

	*copy = NULL;
	if (!RtlValidSecurityDescriptor(from))
		return STATUS_INVALID_SECURITY_DESCR;
	room = RtlLengthSecurityDescriptor(from);
	if (room == 0 || room > FS_DESCRIPTOR_MAX)
		return STATUS_INVALID_SECURITY_DESCR;
	*copy = FSAllocate(room, FS_TAG_COPY);
	if (*copy == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	*length = room;
	if (from->Control & SE_SELF_RELATIVE)
		RtlCopyMemory(*copy, from, room);
	else
		status = RtlAbsoluteToSelfRelativeSD(from, *copy, length);
	if (!NT_SUCCESS(status)) {
		FSFree(*copy, FS_TAG_COPY);
		*copy = NULL;
	}
	return status;
}

/* The object manager has captured the descriptor: it is the system's memory. */
NTSTATUS FSVolumeSetSecurity(struct fs_call *call)
{
	SECURITY_DESCRIPTOR *descriptor = call->stack->Parameters.SetSecurity.SecurityDescriptor;
	struct fs_pending *p;
	struct fs_ccb *ccb;
	void *copy;
	ULONG length;
	NTSTATUS status = FSCcbOfFile(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (call->drive->flags & FS_DISK_READ_ONLY)
		return STATUS_MEDIA_WRITE_PROTECTED;
	if (descriptor == NULL)
		return STATUS_INVALID_PARAMETER;
	status = FSSecurityCopy(descriptor, &copy, &length);
	if (!NT_SUCCESS(status))
		return status;
	status = FSRequestMake(call->drive, ccb, call->irp, FS_SET_SECURITY, FSSecuritySetDone, &p);
	if (!NT_SUCCESS(status)) {
		FSFree(copy, FS_TAG_COPY);
		return status;
	}
	p->owned = copy;
	p->request.u.security.information = call->stack->Parameters.SetSecurity.SecurityInformation;
	FSRequestText(p, &p->request.u.security.descriptor, copy, length);
	return FSRequestSend(call, p);
}
