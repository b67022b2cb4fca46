// SPDX-License-Identifier: MIT
/*
 * lock.c - IRP_MJ_LOCK_CONTROL: byte-range locks, by FsRtl
 *
 * They are kept here, not by the service: they live as long as their handles, whichever service runs. FsRtl keeps or
 * completes the IRP, and raises where it gets no memory. <= APC_LEVEL.
 */
#include "driver/driveway.h"

struct fs_lock_call {
	struct fs_fcb *fcb;
	IRP *irp;
	NTSTATUS status;
};

static void FSLockCall(void *context)
{
	struct fs_lock_call *lock = context;

	lock->status = FsRtlProcessFileLock(&lock->fcb->locks, lock->irp, NULL);
}

NTSTATUS FSVolumeLockControl(struct fs_call *call)
{
	struct fs_lock_call lock = {.irp = call->irp};
	struct fs_ccb *ccb;
	NTSTATUS status = FSCcbOfFile(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (FSFcbIsFolder(ccb->fcb))
		return STATUS_INVALID_PARAMETER;
	status = FSOplockCheck(call, ccb->fcb);
	if (status == STATUS_PENDING || !NT_SUCCESS(status))
		return status;
	FSFilesLock(call->drive);
	if (!ccb->fcb->has_locks) {
		FsRtlInitializeFileLock(&ccb->fcb->locks, NULL, NULL);
		ccb->fcb->has_locks = TRUE;
	}
	FSFilesUnlock(call->drive);
	lock.fcb = ccb->fcb;
	status = FSGuard(FSLockCall, &lock);
	if (!NT_SUCCESS(status))
		return status;
	call->taken = TRUE;
	return lock.status;
}
