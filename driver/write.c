// SPDX-License-Identifier: MIT
/*
 * write.c - IRP_MJ_WRITE, of programs and of the memory manager
 *
 * A write is cut into FS_TRANSFER_MAX bytes, one request after another, until one takes less than was given. The data
 * is copied once, from the IRP's buffer into the service's. Paging I/O writes within the file: what a mapping has
 * behind its end is cut off by the service, and counts as written.
 *
 * Pages of a section that a program's write makes stale are purged before it, and after it as well when there is a
 * section then: that waits for paging I/O, so the IRP is completed by a work item. <= APC_LEVEL.
 */
#include "driver/driveway.h"

static FSDone FSWriteDone;
static IO_WORKITEM_ROUTINE FSWritePurge;

struct fs_write_purge {
	PIO_WORKITEM item;
	struct fs_pending *p;
};

static void FSWriteNext(struct fs_call *call, struct fs_pending *p)
{
	uint32_t left = p->room - p->moved, length = left < FS_TRANSFER_MAX ? left : FS_TRANSFER_MAX;

	FSRequestClear(p);
	p->request.type = FS_WRITE;
	p->request.u.io.offset = p->offset + p->moved;
	p->request.u.io.length = length;
	p->request.u.io.flags = p->operation;
	FSRequestPiece(p, &p->request.u.io.data, NULL, p->buffer + p->moved, length);
	FSRequestSend(call, p);
}

static void NTAPI FSWritePurge(DEVICE_OBJECT *device, void *context)
{
	struct fs_write_purge purge = *(struct fs_write_purge *)context;
	struct fs_answer answer = {.status = STATUS_SUCCESS};

	IoFreeWorkItem(purge.item);
	FSFree(context, FS_TAG_WORK);
	FSCachePurge(purge.p->ccb->fcb, purge.p->offset, purge.p->moved);
	purge.p->done = NULL; /* it has nothing left to do */
	FSRequestFinish(purge.p, &answer);
}

/* The IRP is completed later, unless there is no memory for that: the pages stay as they are then. */
static NTSTATUS FSWriteEnd(struct fs_pending *p)
{
	struct fs_write_purge *purge;

	p->information = p->moved;
	if ((p->operation & FS_IO_PAGING) || !FSCacheUsed(p->ccb->fcb))
		return STATUS_SUCCESS;
	purge = FSAllocate(sizeof(*purge), FS_TAG_WORK);
	if (purge != NULL)
		purge->item = IoAllocateWorkItem(FSDriver.control);
	if (purge == NULL || purge->item == NULL) {
		FSFree(purge, FS_TAG_WORK);
		return STATUS_SUCCESS;
	}
	purge->p = p;
	IoQueueWorkItem(purge->item, FSWritePurge, DelayedWorkQueue, purge);
	return STATUS_PENDING;
}

static NTSTATUS FSWriteDone(struct fs_pending *p, const struct fs_answer *answer)
{
	uint32_t given = p->request.u.io.length, written;
	FILE_OBJECT *object;

	if (NT_SUCCESS(answer->status))
		FSFcbUpdate(p->ccb->fcb, &answer->response->file);
	if (p->irp == NULL)
		return STATUS_CANCELLED;
	if (!NT_SUCCESS(answer->status))
		return p->moved > 0 ? FSWriteEnd(p) : answer->status;
	written = p->operation & FS_IO_PAGING ? given : (uint32_t)answer->response->information;
	p->moved += written;
	if (written == given && p->moved < p->room) {
		FSWriteNext(NULL, p);
		return STATUS_PENDING;
	}
	if (!(p->operation & FS_IO_PAGING)) {
		object = IoGetCurrentIrpStackLocation(p->irp)->FileObject;
		/* Where it was appended is known now. */
		if ((p->operation & FS_IO_APPEND) && answer->response->file.size >= p->moved)
			p->offset = answer->response->file.size - p->moved;
		if (object->Flags & FO_SYNCHRONOUS_IO)
			object->CurrentByteOffset.QuadPart = (LONGLONG)(p->offset + p->moved);
		object->Flags |= FO_FILE_MODIFIED;
		FSNotifyFile(p->ccb->fcb, FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE,
			     FILE_ACTION_MODIFIED);
	}
	return FSWriteEnd(p);
}

static NTSTATUS FSWriteOffset(const struct fs_call *call, const struct fs_ccb *ccb, uint32_t length, uint64_t *offset,
			      uint32_t *flags)
{
	LARGE_INTEGER at = call->stack->Parameters.Write.ByteOffset;

	if (*flags & FS_IO_PAGING)
		return FSIoOffset(call, at, length, offset);
	if ((at.HighPart == -1 && at.LowPart == FILE_WRITE_TO_END_OF_FILE) ||
	    (ccb->granted & (FILE_WRITE_DATA | FILE_APPEND_DATA)) == FILE_APPEND_DATA) {
		*flags |= FS_IO_APPEND;
		*offset = 0;
		return STATUS_SUCCESS;
	}
	return FSIoOffset(call, at, length, offset);
}

NTSTATUS FSVolumeWrite(struct fs_call *call)
{
	ULONG length = call->stack->Parameters.Write.Length;
	uint32_t flags = call->irp->Flags & IRP_PAGING_IO ? FS_IO_PAGING : 0;
	struct fs_pending *p;
	struct fs_ccb *ccb;
	uint64_t offset;
	uint8_t *buffer;
	NTSTATUS status = FSCcbOfFile(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (FSFcbIsFolder(ccb->fcb))
		return STATUS_INVALID_DEVICE_REQUEST;
	if (call->drive->flags & FS_DISK_READ_ONLY)
		return STATUS_MEDIA_WRITE_PROTECTED;
	if (call->stack->MinorFunction & (IRP_MN_MDL | IRP_MN_COMPLETE))
		return STATUS_NOT_SUPPORTED;
	if (!(flags & FS_IO_PAGING) && !(ccb->granted & (FILE_WRITE_DATA | FILE_APPEND_DATA)))
		return STATUS_ACCESS_DENIED;
	status = FSWriteOffset(call, ccb, length, &offset, &flags);
	if (!NT_SUCCESS(status) || length == 0)
		return status;
	if (!(flags & FS_IO_PAGING)) {
		status = FSOplockCheck(call, ccb->fcb);
		if (status == STATUS_PENDING || !NT_SUCCESS(status))
			return status;
		if (ccb->fcb->has_locks && !FsRtlCheckLockForWriteAccess(&ccb->fcb->locks, call->irp))
			return STATUS_FILE_LOCK_CONFLICT;
		FSCacheFlush(ccb->fcb, offset, length);
		FSCachePurge(ccb->fcb, offset, length);
	}
	status = FSBufferMap(call->irp, length, IoReadAccess, &buffer);
	if (NT_SUCCESS(status))
		status = FSRequestMake(call->drive, ccb, call->irp, FS_WRITE, FSWriteDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->buffer = buffer;
	p->room = length;
	p->offset = offset;
	p->operation = flags;
	FSWriteNext(call, p);
	return STATUS_PENDING;
}
