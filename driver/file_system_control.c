// SPDX-License-Identifier: MIT
/*
 * file_system_control.c - IRP_MJ_FILE_SYSTEM_CONTROL of the volume
 *
 * Oplocks go to oplock.c, reparse points to the service. The volume can be locked by a handle of it while no file is
 * open; dismounting is DELETE_DISK's, so FSCTL_DISMOUNT_VOLUME is refused. All codes that are taken are
 * METHOD_BUFFERED, but those without a buffer. PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static FSDone FSControlDone;

/* Whoever locks the volume keeps all others out: that takes the right to manage volumes. */
static NTSTATUS FSVolumeLock(struct fs_call *call, BOOLEAN lock)
{
	LUID manage = {.LowPart = SE_MANAGE_VOLUME_PRIVILEGE};
	struct fs_drive *drive = call->drive;
	FILE_OBJECT *object = call->stack->FileObject;
	NTSTATUS status = STATUS_SUCCESS;

	if (lock && !SeSinglePrivilegeCheck(manage, call->irp->RequestorMode))
		return STATUS_ACCESS_DENIED;
	FSFilesLock(drive);
	if (lock && (drive->locked_by != NULL || drive->open_count > 0))
		status = STATUS_ACCESS_DENIED;
	else if (!lock && drive->locked_by != object)
		status = STATUS_NOT_LOCKED;
	else
		drive->locked_by = lock ? object : NULL;
	FSFilesUnlock(drive);
	return status;
}

static NTSTATUS FSControlDone(struct fs_pending *p, const struct fs_answer *answer)
{
	if (p->irp == NULL)
		return STATUS_CANCELLED;
	if (answer->length > 0)
		RtlCopyMemory(p->buffer, answer->data, answer->length);
	p->information = answer->length;
	return answer->status;
}

/* Input and output share one buffer of the system's; the input is copied, as it may be sent after an answer is in. */
static NTSTATUS FSReparsePoint(struct fs_call *call, struct fs_ccb *ccb, ULONG code)
{
	ULONG in = call->stack->Parameters.FileSystemControl.InputBufferLength,
	      out = call->stack->Parameters.FileSystemControl.OutputBufferLength;
	struct fs_pending *p;
	NTSTATUS status;

	if (code == FSCTL_GET_REPARSE_POINT)
		in = 0;
	else
		out = 0;
	if (in > MAXIMUM_REPARSE_DATA_BUFFER_SIZE)
		return STATUS_IO_REPARSE_DATA_INVALID;
	if (out > MAXIMUM_REPARSE_DATA_BUFFER_SIZE)
		out = MAXIMUM_REPARSE_DATA_BUFFER_SIZE;
	if (code == FSCTL_GET_REPARSE_POINT ? out == 0 : in < FS_REPARSE_HEADER)
		return STATUS_INVALID_PARAMETER;
	if (code != FSCTL_GET_REPARSE_POINT) {
		if (call->drive->flags & FS_DISK_READ_ONLY)
			return STATUS_MEDIA_WRITE_PROTECTED;
		if (!(ccb->granted & (FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES)))
			return STATUS_ACCESS_DENIED;
	}
	status = FSRequestMake(call->drive, ccb, call->irp, FS_FILE_CONTROL, FSControlDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	if (in > 0) {
		p->owned = FSAllocate(in, FS_TAG_COPY);
		if (p->owned == NULL) {
			FSRequestFree(p);
			return STATUS_INSUFFICIENT_RESOURCES;
		}
		RtlCopyMemory(p->owned, call->irp->AssociatedIrp.SystemBuffer, in);
	}
	p->buffer = call->irp->AssociatedIrp.SystemBuffer;
	p->request.u.control.code = code;
	p->request.u.control.room = out;
	FSRequestText(p, &p->request.u.control.input, p->owned, in);
	return FSRequestSend(call, p);
}

static NTSTATUS FSVolumeIsDirty(struct fs_call *call)
{
	if (call->stack->Parameters.FileSystemControl.OutputBufferLength < sizeof(ULONG) ||
	    call->irp->AssociatedIrp.SystemBuffer == NULL)
		return STATUS_INVALID_PARAMETER;
	*(ULONG *)call->irp->AssociatedIrp.SystemBuffer = 0;
	call->irp->IoStatus.Information = sizeof(ULONG);
	return STATUS_SUCCESS;
}

static NTSTATUS FSControlOfVolume(struct fs_call *call, ULONG code)
{
	switch (code) {
	case FSCTL_LOCK_VOLUME:
		return FSVolumeLock(call, TRUE);
	case FSCTL_UNLOCK_VOLUME:
		return FSVolumeLock(call, FALSE);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}

NTSTATUS FSVolumeFileSystemControl(struct fs_call *call)
{
	ULONG code = call->stack->Parameters.FileSystemControl.FsControlCode;
	struct fs_ccb *ccb;
	NTSTATUS status;

	if (call->stack->MinorFunction != IRP_MN_USER_FS_REQUEST && call->stack->MinorFunction != IRP_MN_KERNEL_CALL)
		return STATUS_INVALID_DEVICE_REQUEST;
	status = FSCcbOf(call, &ccb);
	if (!NT_SUCCESS(status))
		return status;
	switch (code) {
	case FSCTL_IS_VOLUME_MOUNTED:
	case FSCTL_IS_PATHNAME_VALID:
		return STATUS_SUCCESS;
	case FSCTL_IS_VOLUME_DIRTY:
		return FSVolumeIsDirty(call);
	default:
		break;
	}
	if (ccb->fcb->is_volume)
		return FSControlOfVolume(call, code);
	switch (code) {
	case FSCTL_REQUEST_OPLOCK:
	case FSCTL_REQUEST_OPLOCK_LEVEL_1:
	case FSCTL_REQUEST_OPLOCK_LEVEL_2:
	case FSCTL_REQUEST_BATCH_OPLOCK:
	case FSCTL_REQUEST_FILTER_OPLOCK:
	case FSCTL_OPLOCK_BREAK_ACKNOWLEDGE:
	case FSCTL_OPBATCH_ACK_CLOSE_PENDING:
	case FSCTL_OPLOCK_BREAK_NOTIFY:
	case FSCTL_OPLOCK_BREAK_ACK_NO_2:
		return FSOplockControl(call, ccb);
	case FSCTL_GET_REPARSE_POINT:
	case FSCTL_SET_REPARSE_POINT:
	case FSCTL_DELETE_REPARSE_POINT:
		return FSReparsePoint(call, ccb, code);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}
