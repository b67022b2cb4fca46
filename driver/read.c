// SPDX-License-Identifier: MIT
/*
 * read.c - IRP_MJ_READ, of programs and of the memory manager
 *
 * A read is cut into FS_TRANSFER_MAX bytes, one request after another, until one brings less than was asked for. What
 * it brings is copied from the service's memory straight into the IRP's buffer. Programs' reads break oplocks and meet
 * byte-range locks, and see what a mapping has changed; paging I/O does none of it. <= APC_LEVEL.
 */
#include "driver/driveway.h"

static FSDone FSReadDone;

static void FSReadNext(struct fs_call *call, struct fs_pending *p)
{
	uint32_t left = p->room - p->moved;

	FSRequestClear(p);
	p->request.type = FS_READ;
	p->request.u.io.offset = p->offset + p->moved;
	p->request.u.io.length = left < FS_TRANSFER_MAX ? left : FS_TRANSFER_MAX;
	p->request.u.io.flags = p->operation;
	FSRequestSend(call, p);
}

static NTSTATUS FSReadEnd(struct fs_pending *p)
{
	FILE_OBJECT *object = IoGetCurrentIrpStackLocation(p->irp)->FileObject;

	if (p->moved == 0)
		return STATUS_END_OF_FILE;
	if (p->operation & FS_IO_PAGING)
		RtlZeroMemory(p->buffer + p->moved, p->room - p->moved);
	else if (object->Flags & FO_SYNCHRONOUS_IO)
		object->CurrentByteOffset.QuadPart = (LONGLONG)(p->offset + p->moved);
	p->information = p->moved;
	return STATUS_SUCCESS;
}

static NTSTATUS FSReadDone(struct fs_pending *p, const struct fs_answer *answer)
{
	uint32_t asked = p->request.u.io.length;

	if (p->irp == NULL)
		return STATUS_CANCELLED;
	if (!NT_SUCCESS(answer->status))
		return p->moved > 0 ? FSReadEnd(p) : answer->status;
	if (answer->length > 0)
		RtlCopyMemory(p->buffer + p->moved, answer->data, answer->length);
	p->moved += answer->length;
	if (answer->length == asked && p->moved < p->room) {
		FSReadNext(NULL, p);
		return STATUS_PENDING;
	}
	return FSReadEnd(p);
}

/* Where it begins; by the file pointer when the offset says so. */
NTSTATUS FSIoOffset(const struct fs_call *call, LARGE_INTEGER at, uint32_t length, uint64_t *offset)
{
	FILE_OBJECT *object = call->stack->FileObject;

	if (at.HighPart == -1 && at.LowPart == FILE_USE_FILE_POINTER_POSITION && (object->Flags & FO_SYNCHRONOUS_IO))
		at = object->CurrentByteOffset;
	if (at.QuadPart < 0 || at.QuadPart > INT64_MAX - length)
		return STATUS_INVALID_PARAMETER;
	*offset = (uint64_t)at.QuadPart;
	return STATUS_SUCCESS;
}

NTSTATUS FSVolumeRead(struct fs_call *call)
{
	ULONG length = call->stack->Parameters.Read.Length;
	BOOLEAN paging = (call->irp->Flags & IRP_PAGING_IO) != 0;
	struct fs_pending *p;
	struct fs_ccb *ccb;
	uint64_t offset;
	uint8_t *buffer;
	NTSTATUS status = FSCcbOfFile(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (FSFcbIsFolder(ccb->fcb))
		return STATUS_INVALID_DEVICE_REQUEST;
	/* The cache's own memory is what these two want: there is none. */
	if (call->stack->MinorFunction & (IRP_MN_MDL | IRP_MN_COMPLETE))
		return STATUS_NOT_SUPPORTED;
	if (!paging && !(ccb->granted & (FILE_READ_DATA | FILE_EXECUTE)))
		return STATUS_ACCESS_DENIED;
	status = FSIoOffset(call, call->stack->Parameters.Read.ByteOffset, length, &offset);
	if (!NT_SUCCESS(status) || length == 0)
		return status;
	if (!paging) {
		status = FSOplockCheck(call, ccb->fcb);
		if (status == STATUS_PENDING || !NT_SUCCESS(status))
			return status;
		if (ccb->fcb->has_locks && !FsRtlCheckLockForReadAccess(&ccb->fcb->locks, call->irp))
			return STATUS_FILE_LOCK_CONFLICT;
		FSCacheFlush(ccb->fcb, offset, length);
	}
	status = FSBufferMap(call->irp, length, IoWriteAccess, &buffer);
	if (NT_SUCCESS(status))
		status = FSRequestMake(call->drive, ccb, call->irp, FS_READ, FSReadDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->buffer = buffer;
	p->room = length;
	p->offset = offset;
	p->operation = paging ? FS_IO_PAGING : 0;
	FSReadNext(call, p);
	return STATUS_PENDING;
}
