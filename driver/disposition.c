// SPDX-License-Identifier: MIT
/*
 * disposition.c - FileDispositionInformation, and its form with flags
 *
 * Deleting marks the file: the service is asked whether it may be (FS_CAN_DELETE: a folder must be empty), and nobody
 * opens it any more. The name goes when the last handle is closed, or with POSIX semantics when this one is
 * (cleanup.c).
 * <= APC_LEVEL.
 */
#include "driver/driveway.h"

#define FS_DISPOSE_DELETE	   0x1u
#define FS_DISPOSE_POSIX	   0x2u
#define FS_DISPOSE_IMAGE_CHECK	   0x4u
#define FS_DISPOSE_ON_CLOSE	   0x8u
#define FS_DISPOSE_IGNORE_READONLY 0x10u

static FSDone FSDispositionDone;

static NTSTATUS FSDispositionDone(struct fs_pending *p, const struct fs_answer *answer)
{
	if (p->irp == NULL)
		return STATUS_CANCELLED;
	if (!NT_SUCCESS(answer->status))
		return answer->status;
	FSFilesLock(p->drive);
	p->ccb->fcb->delete_pending = TRUE;
	p->ccb->posix_delete = (p->operation & FS_DISPOSE_POSIX) != 0;
	FSFilesUnlock(p->drive);
	return STATUS_SUCCESS;
}

static void FSDispositionKeep(struct fs_ccb *ccb, ULONG flags)
{
	FSFilesLock(ccb->drive);
	if (flags & FS_DISPOSE_ON_CLOSE) {
		ccb->delete_on_close = FALSE;
	} else if (!ccb->fcb->deleted) {
		ccb->fcb->delete_pending = FALSE;
		ccb->posix_delete = FALSE;
	}
	FSFilesUnlock(ccb->drive);
}

NTSTATUS FSDisposition(struct fs_call *call, struct fs_ccb *ccb, ULONG class)
{
	struct fs_fcb *fcb = ccb->fcb;
	struct fs_pending *p;
	NTSTATUS status;
	ULONG flags;
	BOOLEAN root;

	if (class == FS_CLASS_DISPOSITION_EX)
		flags = *(const ULONG *)call->irp->AssociatedIrp.SystemBuffer;
	else
		flags = *(const UCHAR *)call->irp->AssociatedIrp.SystemBuffer != 0 ? FS_DISPOSE_DELETE : 0;
	if (!(flags & FS_DISPOSE_DELETE)) {
		FSDispositionKeep(ccb, flags);
		return STATUS_SUCCESS;
	}
	FSFilesLock(call->drive);
	root = fcb->path->length <= sizeof(WCHAR);
	FSFilesUnlock(call->drive);
	if (root || ((fcb->file.attributes & FILE_ATTRIBUTE_READONLY) && !(flags & FS_DISPOSE_IGNORE_READONLY)))
		return STATUS_CANNOT_DELETE;
	/* A program that runs keeps its file. */
	if (fcb->section.ImageSectionObject != NULL &&
	    (!(flags & FS_DISPOSE_POSIX) || (flags & FS_DISPOSE_IMAGE_CHECK)) &&
	    !MmFlushImageSection(&fcb->section, MmFlushForDelete))
		return STATUS_CANNOT_DELETE;
	if (flags & FS_DISPOSE_ON_CLOSE) {
		FSFilesLock(call->drive);
		ccb->delete_on_close = TRUE;
		ccb->posix_delete = (flags & FS_DISPOSE_POSIX) != 0;
		FSFilesUnlock(call->drive);
		return STATUS_SUCCESS;
	}
	status = FSOplockCheck(call, fcb);
	if (status == STATUS_PENDING || !NT_SUCCESS(status))
		return status;
	status = FSRequestMake(call->drive, ccb, call->irp, FS_CAN_DELETE, FSDispositionDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->operation = flags;
	return FSRequestSend(call, p);
}
