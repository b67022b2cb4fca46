// SPDX-License-Identifier: MIT
/*
 * flush.c - IRP_MJ_FLUSH_BUFFERS, of a file, or with the volume's handle of all
 *
 * What a mapping has changed is written first, in the caller's thread. FS_FLUSH of file 0 is the whole drive.
 * PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static NTSTATUS FSFlushDone(struct fs_pending *p, const struct fs_answer *answer)
{
	return answer->status;
}

NTSTATUS FSVolumeFlush(struct fs_call *call)
{
	struct fs_pending *p;
	struct fs_ccb *ccb;
	NTSTATUS status = FSCcbOf(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (call->drive->flags & FS_DISK_READ_ONLY)
		return STATUS_SUCCESS;
	FSCacheFlush(ccb->fcb, 0, 0);
	status = FSRequestMake(call->drive, ccb->fcb->is_volume ? NULL : ccb, call->irp, FS_FLUSH, FSFlushDone, &p);
	return NT_SUCCESS(status) ? FSRequestSend(call, p) : status;
}
