// SPDX-License-Identifier: MIT
/*
 * cleanup.c - IRP_MJ_CLEANUP: the last handle of an open is closed
 *
 * Share access, byte-range locks and notifications of the open end here at once. The service hears of it by FS_CLEANUP,
 * and the IRP waits for its answer: who closes a file that is to be deleted may look for its name right after. It
 * cannot fail, nor be cancelled; the request was made when the file was opened. <= APC_LEVEL.
 */
#include "driver/driveway.h"

static NTSTATUS FSCleanupDone(struct fs_pending *p, const struct fs_answer *answer)
{
	struct fs_fcb *fcb = p->ccb->fcb;

	if (!(p->request.u.cleanup.flags & FS_CLEANUP_DELETE))
		return STATUS_SUCCESS;
	if (NT_SUCCESS(answer->status)) {
		FSNotifyReport(p->drive, p->paths[0],
			       FSFcbIsFolder(fcb) ? FILE_NOTIFY_CHANGE_DIR_NAME : FILE_NOTIFY_CHANGE_FILE_NAME,
			       FILE_ACTION_REMOVED);
	} else {
		/* The service could not: the file is there still. */
		FSFilesLock(p->drive);
		fcb->deleted = FALSE;
		fcb->delete_pending = FALSE;
		FSFilesUnlock(p->drive);
	}
	return STATUS_SUCCESS;
}

static void FSCleanupVolume(struct fs_call *call)
{
	FSFilesLock(call->drive);
	if (call->drive->locked_by == call->stack->FileObject)
		call->drive->locked_by = NULL;
	FSFilesUnlock(call->drive);
}

/* files_lock is held: does the name go with this handle? */
static BOOLEAN FSCleanupDeletes(struct fs_ccb *ccb)
{
	struct fs_fcb *fcb = ccb->fcb;

	if (ccb->delete_on_close)
		fcb->delete_pending = TRUE;
	if (!fcb->delete_pending || fcb->deleted || (fcb->handles > 0 && !ccb->posix_delete))
		return FALSE;
	fcb->deleted = TRUE;
	return TRUE;
}

NTSTATUS FSVolumeCleanup(struct fs_call *call)
{
	FILE_OBJECT *object = call->stack->FileObject;
	struct fs_ccb *ccb;
	struct fs_fcb *fcb;
	struct fs_pending *p;
	BOOLEAN deletes, again;

	FSCcbOf(call, &ccb); /* also of a drive that is gone */
	if (ccb == NULL)
		ccb = object != NULL ? object->FsContext2 : NULL;
	if (ccb == NULL)
		return STATUS_SUCCESS;
	fcb = ccb->fcb;
	if (fcb->is_volume) {
		FSCleanupVolume(call);
		return STATUS_SUCCESS;
	}
	FSNotifyCleanup(ccb);
	if (fcb->has_locks)
		FsRtlFastUnlockAll(&fcb->locks, object, IoGetRequestorProcess(call->irp), NULL);
	if (fcb->has_oplock)
		FsRtlCheckOplock(&fcb->oplock, call->irp, NULL, NULL, NULL);
	FSFilesLock(call->drive);
	again = ccb->cleaned;
	ccb->cleaned = TRUE;
	FSShareRemove(ccb);
	deletes = !again && FSCleanupDeletes(ccb);
	FSFilesUnlock(call->drive);
	object->Flags |= FO_CLEANUP_COMPLETE;
	if (again)
		return STATUS_SUCCESS;

	p = ccb->cleanup;
	FSDriveRetain(call->drive);
	FSCcbRetain(ccb);
	p->drive = call->drive;
	p->ccb = ccb;
	p->irp = call->irp;
	p->done = FSCleanupDone;
	FSRequestClear(p);
	p->request.type = FS_CLEANUP;
	p->information = 0;
	p->paths[0] = FSFcbPath(fcb);
	if (deletes) {
		p->request.u.cleanup.flags = FS_CLEANUP_DELETE;
		FSRequestText(p, &p->request.u.cleanup.name, p->paths[0]->text, p->paths[0]->length);
	}
	return FSRequestSend(call, p);
}
