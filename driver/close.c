// SPDX-License-Identifier: MIT
/*
 * close.c - IRP_MJ_CLOSE: nothing refers to the file object any more
 *
 * Completed at once: FS_CLOSE runs by itself, as the request that was made when the file was opened. <= APC_LEVEL.
 */
#include "driver/driveway.h"

NTSTATUS FSVolumeClose(struct fs_call *call)
{
	FILE_OBJECT *object = call->stack->FileObject;
	struct fs_ccb *ccb;

	if (object == NULL || object->FsContext2 == NULL)
		return STATUS_SUCCESS;
	ccb = object->FsContext2;
	object->FsContext = NULL;
	object->FsContext2 = NULL;
	FSFilesLock(call->drive);
	ccb->object = NULL;
	/* Of a create whose cleanup never came. */
	FSShareRemove(ccb);
	FSFilesUnlock(call->drive);
	FSCcbEnd(ccb);
	if (!ccb->fcb->is_volume)
		FSCcbCloseService(ccb);
	FSCcbRelease(ccb);
	return STATUS_SUCCESS;
}
