// SPDX-License-Identifier: MIT
/*
 * create.c - IRP_MJ_CREATE
 *
 *    FSVolumeCreate    checks what can be checked here, and sends FS_CREATE          the caller's thread
 *    FSCreateDone      the service has opened the file: the FCB is found or made
 *    FSCreateGoOn      oplocks of others are broken (which may take a while and comes back here), share access is
 *                      checked, FS_OVERWRITE is sent when the file is to be emptied
 *    FSCreateFinish    the file object gets FCB and CCB
 *
 * Whatever fails behind FSCreateDone gives back the share access and tells the service to close (FSCreateUndo). When
 * the IRP was cancelled meanwhile, that is all there is to do.
 *
 * An open of the volume itself, by an empty name, is not the service's: its CCB has the drive's own FCB.
 */
#include "driver/driveway.h"

#define FS_CHANGES                                                                                                     \
	(FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_EA | FILE_WRITE_ATTRIBUTES | FILE_DELETE_CHILD | DELETE |     \
	 WRITE_DAC | WRITE_OWNER)

static FSDone FSCreateDone;
static NTSTATUS FSCreateGoOn(struct fs_pending *p);

/* What a create remembers while it goes on: fs_pending.operation. */
enum { FS_CREATE_OPENED, FS_CREATE_CHECKED = 1, FS_CREATE_BROKEN = 2, FS_CREATE_EMPTIED = 4, FS_CREATE_BREAKING = 8 };

/* The service forgets the file; FS_CLOSE was made with the CCB. */
void FSCcbCloseService(struct fs_ccb *ccb)
{
	struct fs_pending *p = ccb->close;
	BOOLEAN send;

	FSFilesLock(ccb->drive);
	send = !ccb->closing && ccb->file != 0;
	ccb->closing = TRUE;
	FSFilesUnlock(ccb->drive);
	if (!send)
		return;
	FSDriveRetain(ccb->drive);
	FSCcbRetain(ccb);
	p->drive = ccb->drive;
	p->ccb = ccb;
	FSRequestClear(p);
	p->request.type = FS_CLOSE;
	FSRequestSend(NULL, p);
}

static void FSCreateUndo(struct fs_pending *p)
{
	FSFilesLock(p->drive);
	FSShareRemove(p->ccb);
	FSFilesUnlock(p->drive);
	FSCcbEnd(p->ccb);
	FSCcbCloseService(p->ccb);
	p->information = 0;
}

/* The granted access becomes known to the I/O manager. */
static void FSCreateGrant(IO_STACK_LOCATION *stack, ACCESS_MASK granted)
{
	IO_SECURITY_CONTEXT *context = stack->Parameters.Create.SecurityContext;

	if (context == NULL || context->AccessState == NULL)
		return;
	context->AccessState->PreviouslyGrantedAccess |= granted;
	context->AccessState->RemainingDesiredAccess &= ~(granted | MAXIMUM_ALLOWED);
}

static void FSCreateAttach(IO_STACK_LOCATION *stack, struct fs_ccb *ccb)
{
	FILE_OBJECT *object = stack->FileObject;

	FSCcbRetain(ccb);
	ccb->object = object;
	object->FsContext = ccb->fcb;
	object->FsContext2 = ccb;
	object->SectionObjectPointer = &ccb->fcb->section;
	object->Vpb = ccb->drive->disk->Vpb;
	if (ccb->options & FILE_WRITE_THROUGH)
		object->Flags |= FO_WRITE_THROUGH;
	FSCreateGrant(stack, ccb->granted);
}

static NTSTATUS FSCreateVolume(struct fs_call *call)
{
	struct fs_drive *drive = call->drive;
	struct fs_ccb *ccb;
	NTSTATUS status;

	if (call->stack->Parameters.Create.Options >> 24 != FILE_OPEN &&
	    call->stack->Parameters.Create.Options >> 24 != FILE_OPEN_IF)
		return STATUS_ACCESS_DENIED;
	if (call->stack->Parameters.Create.Options & (FILE_DIRECTORY_FILE | FILE_DELETE_ON_CLOSE))
		return STATUS_INVALID_PARAMETER;
	status = FSCcbMake(drive, &ccb);
	if (!NT_SUCCESS(status))
		return status;
	/* It keeps nobody from deleting the drive. */
	FSCcbEnd(ccb);
	ccb->granted = call->stack->Parameters.Create.SecurityContext->DesiredAccess;
	if (ccb->granted & MAXIMUM_ALLOWED)
		ccb->granted = FILE_GENERIC_READ | FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_EA |
			       FILE_WRITE_ATTRIBUTES;
	ccb->closing = TRUE;
	FSFilesLock(drive);
	FSCcbJoin(ccb, drive->volume_fcb);
	FSFilesUnlock(drive);
	FSCreateAttach(call->stack, ccb);
	FSCcbRelease(ccb);
	call->irp->IoStatus.Information = FILE_OPENED;
	return STATUS_SUCCESS;
}

/* A read-only drive. */
static NTSTATUS FSCreateProtected(ACCESS_MASK access, ULONG options, ULONG *disposition)
{
	if ((access & FS_CHANGES) || (options & FILE_DELETE_ON_CLOSE))
		return STATUS_MEDIA_WRITE_PROTECTED;
	if (*disposition == FILE_OPEN_IF)
		*disposition = FILE_OPEN;
	return *disposition == FILE_OPEN ? STATUS_SUCCESS : STATUS_MEDIA_WRITE_PROTECTED;
}

static NTSTATUS FSCreateCheck(const struct fs_call *call, ULONG options, ULONG disposition)
{
	if (disposition > FILE_MAXIMUM_DISPOSITION)
		return STATUS_INVALID_PARAMETER;
	if (call->stack->Flags & SL_OPEN_PAGING_FILE)
		return STATUS_ACCESS_DENIED;
	if (options & FILE_OPEN_BY_FILE_ID)
		return STATUS_NOT_SUPPORTED;
	if (call->stack->Parameters.Create.EaLength != 0)
		return STATUS_EAS_NOT_SUPPORTED;
	if ((options & FILE_DIRECTORY_FILE) && ((options & FILE_NON_DIRECTORY_FILE) || disposition == FILE_SUPERSEDE ||
						disposition == FILE_OVERWRITE || disposition == FILE_OVERWRITE_IF))
		return STATUS_INVALID_PARAMETER;
	if (call->drive->locked_by != NULL)
		return STATUS_ACCESS_DENIED;
	return STATUS_SUCCESS;
}

static NTSTATUS FSCreateSend(struct fs_call *call, struct fs_ccb *ccb, struct fs_path *path, ACCESS_MASK access,
			     ULONG disposition)
{
	IO_STACK_LOCATION *stack = call->stack;
	struct fs_create *create;
	struct fs_pending *p;
	NTSTATUS status = FSRequestMake(call->drive, ccb, call->irp, FS_CREATE, FSCreateDone, &p);

	if (!NT_SUCCESS(status))
		return status;
	p->paths[0] = FSPathRetain(path);
	create = &p->request.u.create;
	create->access = access;
	create->options = ccb->options;
	create->disposition = disposition;
	create->attributes = stack->Parameters.Create.FileAttributes & FILE_ATTRIBUTE_VALID_SET_FLAGS;
	create->allocation = (uint64_t)call->irp->Overlay.AllocationSize.QuadPart;
	create->flags = ccb->create_flags;
	FSRequestText(p, &create->name, path->text, path->length);
	return FSRequestSend(call, p);
}

NTSTATUS FSVolumeCreate(struct fs_call *call)
{
	IO_STACK_LOCATION *stack = call->stack;
	FILE_OBJECT *object = stack->FileObject;
	ULONG options = stack->Parameters.Create.Options & FILE_VALID_OPTION_FLAGS,
	      disposition = stack->Parameters.Create.Options >> 24;
	ACCESS_MASK access;
	struct fs_ccb *ccb;
	struct fs_path *path;
	BOOLEAN is_folder;
	NTSTATUS status;

	if (object == NULL || stack->Parameters.Create.SecurityContext == NULL)
		return STATUS_INVALID_PARAMETER;
	if (call->drive->state != FS_DRIVE_READY)
		return call->drive->state == FS_DRIVE_ADDING ? STATUS_DEVICE_NOT_READY : STATUS_VOLUME_DISMOUNTED;
	status = FSCreateCheck(call, options, disposition);
	if (!NT_SUCCESS(status))
		return status;
	if (object->FileName.Length == 0 && object->RelatedFileObject == NULL)
		return FSCreateVolume(call);
	access = stack->Parameters.Create.SecurityContext->DesiredAccess;
	if (call->drive->flags & FS_DISK_READ_ONLY)
		status = FSCreateProtected(access, options, &disposition);
	if (!NT_SUCCESS(status))
		return status;
	status = FSPathOfCreate(call->drive, object, &path, &is_folder);
	if (!NT_SUCCESS(status))
		return status;
	if (is_folder && (options & FILE_NON_DIRECTORY_FILE)) {
		FSPathRelease(path);
		return STATUS_OBJECT_NAME_INVALID;
	}
	status = FSCcbMake(call->drive, &ccb);
	if (NT_SUCCESS(status)) {
		ccb->options = options | (is_folder ? FILE_DIRECTORY_FILE : 0);
		ccb->share = stack->Parameters.Create.ShareAccess;
		ccb->create_flags = (stack->Flags & SL_CASE_SENSITIVE ? FS_OPEN_CASE_SENSITIVE : 0) |
				    (stack->Flags & SL_OPEN_TARGET_DIRECTORY ? FS_OPEN_TARGET_FOLDER : 0);
		status = FSCreateSend(call, ccb, path, access, disposition);
		FSCcbRelease(ccb);
	}
	FSPathRelease(path);
	return status;
}

/* What the service grants is at most what was asked for, and a failure when it is less. */
static NTSTATUS FSCreateAccess(struct fs_pending *p, ACCESS_MASK granted)
{
	ACCESS_MASK asked = p->request.u.create.access;

	if (asked & MAXIMUM_ALLOWED) {
		asked &= ~MAXIMUM_ALLOWED;
		granted &= FILE_ALL_ACCESS;
		if (p->drive->flags & FS_DISK_READ_ONLY)
			granted &= ~FS_CHANGES;
	} else {
		granted &= asked;
	}
	p->ccb->granted = granted;
	return (asked & ~granted & ~(GENERIC_ALL | GENERIC_READ | GENERIC_WRITE | GENERIC_EXECUTE)) == 0
		       ? STATUS_SUCCESS
		       : STATUS_ACCESS_DENIED;
}

/* Finds the FCB, or makes it of the path that was asked for. */
static NTSTATUS FSCreateJoin(struct fs_pending *p, const struct fs_response *response)
{
	struct fs_drive *drive = p->drive;
	struct fs_fcb *spare = FSFcbMake(drive, FALSE), *fcb;
	struct fs_path *path = p->paths[0];
	NTSTATUS status = STATUS_SUCCESS;

	if (spare == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	path = p->ccb->create_flags & FS_OPEN_TARGET_FOLDER ? FSPathParent(path) : FSPathRetain(path);
	if (path == NULL) {
		FSFcbRelease(spare);
		return STATUS_INSUFFICIENT_RESOURCES;
	}
	FSFilesLock(drive);
	fcb = FSFcbFind(drive, response->file.node);
	if (fcb == NULL) {
		fcb = spare;
		fcb->node = response->file.node;
		fcb->path = FSPathRetain(path);
		fcb->listed = TRUE;
		InsertTailList(&drive->files[fcb->node % FS_FILE_BUCKETS], &fcb->bucket);
	}
	FSCcbJoin(p->ccb, fcb);
	if (fcb->delete_pending)
		status = STATUS_DELETE_PENDING;
	FSFilesUnlock(drive);
	FSPathRelease(path);
	FSFcbRelease(spare);
	if (NT_SUCCESS(status))
		FSFcbUpdate(fcb, &response->file);
	return status;
}

/* --- Behind the service's answer --------------------------------------------------------------------------- */

static NTSTATUS FSCreateFinish(struct fs_pending *p)
{
	struct fs_ccb *ccb = p->ccb;
	uint32_t information = (uint32_t)p->information;

	if (ccb->options & FILE_DELETE_ON_CLOSE) {
		if ((ccb->fcb->file.attributes & FILE_ATTRIBUTE_READONLY) && information != FILE_CREATED) {
			FSCreateUndo(p);
			return STATUS_CANNOT_DELETE;
		}
		ccb->delete_on_close = TRUE;
	}
	FSCreateAttach(IoGetCurrentIrpStackLocation(p->irp), ccb);
	if (information == FILE_CREATED)
		FSNotifyFile(ccb->fcb,
			     FSFcbIsFolder(ccb->fcb) ? FILE_NOTIFY_CHANGE_DIR_NAME : FILE_NOTIFY_CHANGE_FILE_NAME,
			     FILE_ACTION_ADDED);
	else if (information == FILE_OVERWRITTEN || information == FILE_SUPERSEDED)
		FSNotifyFile(ccb->fcb,
			     FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_ATTRIBUTES,
			     FILE_ACTION_MODIFIED);
	return p->operation & FS_CREATE_BREAKING ? STATUS_OPLOCK_BREAK_IN_PROGRESS : STATUS_SUCCESS;
}

/* May the file be emptied by this open? Then the service does it. */
static NTSTATUS FSCreateOverwrite(struct fs_pending *p)
{
	IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(p->irp);
	ULONG attributes = stack->Parameters.Create.FileAttributes & FILE_ATTRIBUTE_VALID_SET_FLAGS;
	struct fs_fcb *fcb = p->ccb->fcb;
	ULONG kept = fcb->file.attributes & (FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM);
	LARGE_INTEGER zero = {.QuadPart = 0};

	if (FSFcbIsFolder(fcb))
		return STATUS_FILE_IS_A_DIRECTORY;
	if ((fcb->file.attributes & FILE_ATTRIBUTE_READONLY) || (kept & ~attributes) != 0)
		return STATUS_ACCESS_DENIED;
	if ((FSCacheUsed(fcb) || fcb->section.ImageSectionObject != NULL) &&
	    !MmCanFileBeTruncated(&fcb->section, &zero))
		return STATUS_USER_MAPPED_FILE;
	p->operation |= FS_CREATE_EMPTIED;
	FSRequestClear(p);
	p->request.type = FS_OVERWRITE;
	p->request.u.overwrite.attributes = attributes;
	p->request.u.overwrite.supersede = p->information == FILE_SUPERSEDED;
	p->request.u.overwrite.allocation = (uint64_t)p->irp->Overlay.AllocationSize.QuadPart;
	return FSRequestSend(NULL, p);
}

/* An oplock was broken, or the wait for it was cancelled. */
static void FSCreateResume(void *context, IRP *irp, NTSTATUS status)
{
	struct fs_pending *p = context;
	struct fs_answer answer = {.status = status};

	p->irp = irp;
	FSRequestFinish(p, &answer);
}

/* The status of the create, or STATUS_PENDING: it comes back by FSCreateResume or by the service's answer. */
static NTSTATUS FSCreateGoOn(struct fs_pending *p)
{
	struct fs_ccb *ccb = p->ccb;
	struct fs_fcb *fcb = ccb->fcb;
	NTSTATUS status;

	if (!(p->operation & FS_CREATE_CHECKED)) {
		p->operation |= FS_CREATE_CHECKED;
		status = FSOplockCheckThen(p->irp, fcb, FALSE, FSCreateResume, p);
		if (status == STATUS_OPLOCK_BREAK_IN_PROGRESS)
			p->operation |= FS_CREATE_BREAKING;
		if (status == STATUS_PENDING)
			return status;
		if (!NT_SUCCESS(status))
			goto out;
	}
	FSFilesLock(p->drive);
	status = fcb->delete_pending ? STATUS_DELETE_PENDING : FSShareCheck(ccb, &fcb->share);
	if (NT_SUCCESS(status))
		FSShareAdd(ccb, IoGetCurrentIrpStackLocation(p->irp)->FileObject);
	FSFilesUnlock(p->drive);
	if (status == STATUS_SHARING_VIOLATION && fcb->has_oplock && !(p->operation & FS_CREATE_BROKEN)) {
		p->operation |= FS_CREATE_BROKEN;
		status = FSOplockCheckThen(p->irp, fcb, TRUE, FSCreateResume, p);
		if (status == STATUS_PENDING)
			return status;
		if (NT_SUCCESS(status))
			return FSCreateGoOn(p);
	}
	if (!NT_SUCCESS(status))
		goto out;
	/* What runs is not written to. */
	if (fcb->section.ImageSectionObject != NULL && (ccb->granted & FILE_WRITE_DATA) &&
	    !MmFlushImageSection(&fcb->section, MmFlushForWrite)) {
		status = STATUS_SHARING_VIOLATION;
		goto out;
	}
	if (p->information == FILE_OVERWRITTEN || p->information == FILE_SUPERSEDED) {
		status = FSCreateOverwrite(p);
		if (NT_SUCCESS(status)) /* it is on its way */
			return status;
		goto out;
	}
	return FSCreateFinish(p);
out:
	FSCreateUndo(p);
	return status;
}

static NTSTATUS FSCreateOpened(struct fs_pending *p, const struct fs_response *response)
{
	struct fs_ccb *ccb = p->ccb;
	NTSTATUS status;

	FSFilesLock(p->drive);
	ccb->file = response->u.created.file;
	ccb->generation = p->generation;
	FSFilesUnlock(p->drive);
	p->information = response->u.created.information;
	status = p->irp != NULL ? FSCreateAccess(p, response->u.created.granted) : STATUS_CANCELLED;
	if (NT_SUCCESS(status))
		status = FSCreateJoin(p, response);
	if (!NT_SUCCESS(status)) {
		FSCreateUndo(p);
		return status;
	}
	return FSCreateGoOn(p);
}

static NTSTATUS FSCreateDone(struct fs_pending *p, const struct fs_answer *answer)
{
	struct fs_ccb *ccb = p->ccb;

	if (ccb->file == 0) {
		/* The service has opened nothing. */
		if (!NT_SUCCESS(answer->status)) {
			FSCcbEnd(ccb);
			return answer->status;
		}
		return FSCreateOpened(p, answer->response);
	}
	if (!NT_SUCCESS(answer->status) || p->irp == NULL) {
		FSCreateUndo(p);
		p->information = 0;
		return NT_SUCCESS(answer->status) ? STATUS_CANCELLED : answer->status;
	}
	if (!(p->operation & FS_CREATE_EMPTIED))
		return FSCreateGoOn(p);
	FSFcbUpdate(ccb->fcb, &answer->response->file);
	return FSCreateFinish(p);
}
