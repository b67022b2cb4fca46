// SPDX-License-Identifier: MIT
/*
 * notify.c - programs that watch folders, by FsRtl
 *
 * The drive's list is made by the first one who watches; until then, what is reported costs a look at a pointer. FsRtl
 * keeps the watched path by reference: it lives in the CCB, with the path that the folder had at the first watch. FsRtl
 * raises where it gets no memory: its routines run under FSGuard. <= APC_LEVEL.
 */
#include "driver/driveway.h"

struct fs_notify_call {
	struct fs_call *call;
	struct fs_ccb *ccb;
	struct fs_drive *drive;
	PNOTIFY_SYNC sync;
	UNICODE_STRING name;
	USHORT last; /* where the last name begins, bytes */
	uint32_t filter, action;
};

static void FSNotifyInitializeCall(void *context)
{
	struct fs_notify_call *notify = context;

	FsRtlNotifyInitializeSync(&notify->sync);
}

static NTSTATUS FSNotifyPrepare(struct fs_drive *drive)
{
	struct fs_notify_call notify = {0};
	NTSTATUS status;

	if (drive->notify_sync != NULL)
		return STATUS_SUCCESS;
	status = FSGuard(FSNotifyInitializeCall, &notify);
	if (!NT_SUCCESS(status))
		return status;
	FSFilesLock(drive);
	if (drive->notify_sync == NULL) {
		drive->notify_sync = notify.sync;
		notify.sync = NULL;
	}
	FSFilesUnlock(drive);
	/* Two came at once: the other one's is used. */
	if (notify.sync != NULL)
		FsRtlNotifyUninitializeSync(&notify.sync);
	return STATUS_SUCCESS;
}

static void FSNotifyWatchCall(void *context)
{
	struct fs_notify_call *notify = context;
	IO_STACK_LOCATION *stack = notify->call->stack;

	FsRtlNotifyFullChangeDirectory(notify->drive->notify_sync, &notify->drive->notify_list, notify->ccb,
				       (STRING *)&notify->ccb->watched_name, (stack->Flags & SL_WATCH_TREE) != 0, FALSE,
				       stack->Parameters.NotifyDirectory.CompletionFilter, notify->call->irp, NULL,
				       NULL);
}

NTSTATUS FSNotifyWatch(struct fs_call *call, struct fs_ccb *ccb)
{
	struct fs_notify_call notify = {.call = call, .ccb = ccb, .drive = call->drive};
	NTSTATUS status = FSNotifyPrepare(call->drive);
	ULONG length = call->stack->Parameters.NotifyDirectory.Length;
	uint8_t *buffer;

	/* FsRtl writes into it on somebody else's thread. */
	if (NT_SUCCESS(status))
		status = FSBufferMap(call->irp, length, IoWriteAccess, &buffer);
	if (!NT_SUCCESS(status))
		return status;
	FSFilesLock(call->drive);
	if (ccb->watched == NULL) {
		ccb->watched = FSPathRetain(ccb->fcb->path);
		ccb->watched_name = FSPathString(ccb->watched);
	}
	ccb->notifying = TRUE;
	FSFilesUnlock(call->drive);
	status = FSGuard(FSNotifyWatchCall, &notify);
	if (!NT_SUCCESS(status))
		return status;
	call->taken = TRUE;
	return STATUS_PENDING;
}

static void FSNotifyReportCall(void *context)
{
	struct fs_notify_call *notify = context;

	FsRtlNotifyFullReportChange(notify->drive->notify_sync, &notify->drive->notify_list, (STRING *)&notify->name,
				    notify->last, NULL, NULL, notify->filter, notify->action, NULL);
}

/* Who cannot be told for want of memory asks for the folder again, some time. */
void FSNotifyReport(struct fs_drive *drive, const struct fs_path *path, uint32_t filter, uint32_t action)
{
	struct fs_notify_call notify = {.drive = drive, .filter = filter, .action = action};

	if (drive->notify_sync == NULL)
		return;
	notify.name = FSPathString(path);
	notify.last = (USHORT)(path->length - FSPathLast(path).Length);
	FSGuard(FSNotifyReportCall, &notify);
}

void FSNotifyFile(struct fs_fcb *fcb, uint32_t filter, uint32_t action)
{
	struct fs_path *path;

	if (fcb->drive->notify_sync == NULL)
		return;
	path = FSFcbPath(fcb);
	FSNotifyReport(fcb->drive, path, filter, action);
	FSPathRelease(path);
}

/* The handle is closed: what waits by it ends. */
void FSNotifyCleanup(struct fs_ccb *ccb)
{
	if (ccb->notifying)
		FsRtlNotifyCleanup(ccb->drive->notify_sync, &ccb->drive->notify_list, ccb);
}

/* The drive is dismounted: everybody's. */
void FSNotifyEnd(struct fs_drive *drive)
{
	if (drive->notify_sync != NULL)
		FsRtlNotifyCleanupAll(drive->notify_sync, &drive->notify_list);
}

/* The drive is freed. */
void FSNotifyForget(struct fs_drive *drive)
{
	if (drive->notify_sync != NULL)
		FsRtlNotifyUninitializeSync(&drive->notify_sync);
}
