// SPDX-License-Identifier: MIT
/*
 * files.c - FCBs, CCBs, share access
 *
 * files_lock of the drive guards the table of FCBs, their references and what they know. An FCB leaves the table in the
 * same hold of the lock in which its last reference goes, so what is found there is alive. CCBs count their references
 * by themselves, and are in the list of their FCB until the last one is gone.
 *
 * The FCB of a volume is the drive's own, and has no reference to it: its CCBs have.
 *
 * Share access is kept here rather than by the I/O manager's routines, since it has to be given back for a create that
 * was cancelled, whose file object is gone by then. The rules are theirs: an open that reads needs all others to share
 * reading, and all others that read need it to share reading; so for writing and deleting. An open that does none of
 * them takes no part. <= APC_LEVEL.
 */
#include "driver/driveway.h"

void FSFilesLock(struct fs_drive *drive)
{
	ExAcquireFastMutex(&drive->files_lock);
}

void FSFilesUnlock(struct fs_drive *drive)
{
	ExReleaseFastMutex(&drive->files_lock);
}

/* --- FCB -------------------------------------------------------------------------------------------------- */

struct fs_fcb *FSFcbMake(struct fs_drive *drive, BOOLEAN is_volume)
{
	struct fs_fcb *fcb = FSAllocate(sizeof(*fcb), FS_TAG_FCB);

	if (fcb == NULL)
		return NULL;
	ExInitializeFastMutex(&fcb->header_mutex);
	ExInitializeResourceLite(&fcb->resource);
	ExInitializeResourceLite(&fcb->paging);
	FsRtlSetupAdvancedHeader(&fcb->header, &fcb->header_mutex);
	fcb->header.NodeTypeCode = FS_NODE_FCB;
	fcb->header.NodeByteSize = sizeof(*fcb);
	fcb->header.IsFastIoPossible = FastIoIsNotPossible;
	fcb->header.Resource = &fcb->resource;
	fcb->header.PagingIoResource = &fcb->paging;
	InitializeListHead(&fcb->bucket);
	InitializeListHead(&fcb->opens);
	fcb->references = 1;
	fcb->drive = drive;
	fcb->is_volume = is_volume;
	if (!is_volume)
		FSDriveRetain(drive);
	return fcb;
}

void FSFcbForget(struct fs_fcb *fcb)
{
	if (fcb->has_locks)
		FsRtlUninitializeFileLock(&fcb->locks);
	if (fcb->has_oplock)
		FsRtlUninitializeOplock(&fcb->oplock);
	/* What filters have hung at it. */
	if (!IsListEmpty(&fcb->header.FilterContexts))
		FsRtlTeardownPerStreamContexts(&fcb->header);
	ExDeleteResourceLite(&fcb->resource);
	ExDeleteResourceLite(&fcb->paging);
	FSPathRelease(fcb->path);
	FSFree(fcb, FS_TAG_FCB);
}

void FSFcbRelease(struct fs_fcb *fcb)
{
	struct fs_drive *drive = fcb->drive;
	BOOLEAN last;

	FSFilesLock(drive);
	last = --fcb->references == 0;
	if (last && fcb->listed)
		RemoveEntryList(&fcb->bucket);
	FSFilesUnlock(drive);
	if (last) {
		FSFcbForget(fcb);
		FSDriveRelease(drive);
	}
}

/* files_lock is held. */
struct fs_fcb *FSFcbFind(struct fs_drive *drive, uint64_t node)
{
	LIST_ENTRY *head = &drive->files[node % FS_FILE_BUCKETS];

	for (LIST_ENTRY *at = head->Flink; at != head; at = at->Flink) {
		struct fs_fcb *fcb = CONTAINING_RECORD(at, struct fs_fcb, bucket);

		/* A file whose name is gone may live on beside a new one that got its number. */
		if (fcb->node == node && !fcb->deleted)
			return fcb;
	}
	return NULL;
}

/* files_lock is held: an open file that is this path, or with below, one that lies below it. */
static struct fs_fcb *FSFcbSearch(struct fs_drive *drive, const struct fs_path *path, BOOLEAN below)
{
	for (uint32_t i = 0; i < FS_FILE_BUCKETS; i++) {
		LIST_ENTRY *head = &drive->files[i];

		for (LIST_ENTRY *at = head->Flink; at != head; at = at->Flink) {
			struct fs_fcb *fcb = CONTAINING_RECORD(at, struct fs_fcb, bucket);

			if (fcb->handles > 0 && !fcb->deleted &&
			    (below ? FSPathBelow(fcb->path, path) : FSPathEqual(fcb->path, path)))
				return fcb;
		}
	}
	return NULL;
}

struct fs_fcb *FSFcbFindPath(struct fs_drive *drive, const struct fs_path *path)
{
	return FSFcbSearch(drive, path, FALSE);
}

BOOLEAN FSFcbOpenBelow(struct fs_drive *drive, const struct fs_path *folder)
{
	return FSFcbSearch(drive, folder, TRUE) != NULL;
}

/* What the service said of a file. The node is its name, and is not changed by this. */
void FSFcbUpdate(struct fs_fcb *fcb, const struct fs_file *file)
{
	uint64_t allocated = file->allocated > file->size ? file->allocated : file->size;

	FSFilesLock(fcb->drive);
	fcb->file = *file;
	fcb->header.FileSize.QuadPart = (LONGLONG)file->size;
	fcb->header.ValidDataLength.QuadPart = (LONGLONG)file->size;
	fcb->header.AllocationSize.QuadPart = (LONGLONG)allocated;
	FSFilesUnlock(fcb->drive);
}

struct fs_path *FSFcbPath(struct fs_fcb *fcb)
{
	struct fs_path *path;

	FSFilesLock(fcb->drive);
	path = FSPathRetain(fcb->path);
	FSFilesUnlock(fcb->drive);
	return path;
}

BOOLEAN FSFcbIsFolder(const struct fs_fcb *fcb)
{
	return (fcb->file.attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

/* --- CCB -------------------------------------------------------------------------------------------------- */

/* With all that its end will need. Counted as an open of the drive, which must not be on its way out. */
NTSTATUS FSCcbMake(struct fs_drive *drive, struct fs_ccb **made)
{
	struct fs_ccb *ccb = FSAllocate(sizeof(*ccb), FS_TAG_CCB);
	NTSTATUS status;

	*made = NULL;
	if (ccb == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	ccb->references = 1;
	ccb->drive = drive;
	InitializeListHead(&ccb->link);
	FSDriveRetain(drive);
	status = FSRequestMake(NULL, NULL, NULL, FS_CLEANUP, NULL, &ccb->cleanup);
	if (NT_SUCCESS(status))
		status = FSRequestMake(NULL, NULL, NULL, FS_CLOSE, NULL, &ccb->close);
	if (NT_SUCCESS(status)) {
		ccb->cleanup->kept = TRUE;
		ccb->close->kept = TRUE;
		FSFilesLock(drive);
		if (drive->state == FS_DRIVE_READY) {
			drive->open_count++;
			ccb->open = TRUE;
		} else {
			status = drive->state == FS_DRIVE_ADDING ? STATUS_DEVICE_NOT_READY : STATUS_VOLUME_DISMOUNTED;
		}
		FSFilesUnlock(drive);
	}
	if (!NT_SUCCESS(status)) {
		FSCcbRelease(ccb);
		return status;
	}
	*made = ccb;
	return STATUS_SUCCESS;
}

void FSCcbRetain(struct fs_ccb *ccb)
{
	InterlockedIncrement(&ccb->references);
}

/* It does not keep the drive from being deleted any more. */
void FSCcbEnd(struct fs_ccb *ccb)
{
	FSFilesLock(ccb->drive);
	if (ccb->open) {
		ccb->open = FALSE;
		ccb->drive->open_count--;
	}
	FSFilesUnlock(ccb->drive);
}

void FSCcbRelease(struct fs_ccb *ccb)
{
	struct fs_drive *drive = ccb->drive;

	if (InterlockedDecrement(&ccb->references) > 0)
		return;
	FSCcbEnd(ccb);
	if (ccb->fcb != NULL) {
		FSFilesLock(drive);
		RemoveEntryList(&ccb->link);
		FSFilesUnlock(drive);
		FSFcbRelease(ccb->fcb);
	}
	FSFree(ccb->cleanup, FS_TAG_REQUEST);
	FSFree(ccb->close, FS_TAG_REQUEST);
	FSPathRelease(ccb->pattern);
	FSPathRelease(ccb->watched);
	FSFree(ccb, FS_TAG_CCB);
	FSDriveRelease(drive);
}

/* files_lock is held: the CCB becomes one of the file. */
void FSCcbJoin(struct fs_ccb *ccb, struct fs_fcb *fcb)
{
	fcb->references++;
	ccb->fcb = fcb;
	InsertTailList(&fcb->opens, &ccb->link);
}

NTSTATUS FSCcbOf(struct fs_call *call, struct fs_ccb **ccb)
{
	FILE_OBJECT *object = call->stack->FileObject;
	struct fs_fcb *fcb = object != NULL ? object->FsContext : NULL;

	*ccb = NULL;
	if (fcb == NULL || fcb->header.NodeTypeCode != FS_NODE_FCB || object->FsContext2 == NULL ||
	    fcb->drive != call->drive)
		return STATUS_INVALID_PARAMETER;
	if (call->drive->state == FS_DRIVE_DISMOUNTED)
		return STATUS_VOLUME_DISMOUNTED;
	*ccb = object->FsContext2;
	return (*ccb)->lost ? STATUS_FILE_INVALID : STATUS_SUCCESS;
}

/* Of a file, not of the volume itself. */
NTSTATUS FSCcbOfFile(struct fs_call *call, struct fs_ccb **ccb)
{
	NTSTATUS status = FSCcbOf(call, ccb);

	if (NT_SUCCESS(status) && (*ccb)->fcb->is_volume)
		status = STATUS_INVALID_DEVICE_REQUEST;
	return status;
}

/* --- Share access ----------------------------------------------------------------------------------------- */

#define FS_READS   (FILE_READ_DATA | FILE_EXECUTE)
#define FS_WRITES  (FILE_WRITE_DATA | FILE_APPEND_DATA)
#define FS_DELETES DELETE

/* files_lock is held, here and below. */
NTSTATUS FSShareCheck(const struct fs_ccb *ccb, const SHARE_ACCESS *now)
{
	BOOLEAN reads = (ccb->granted & FS_READS) != 0, writes = (ccb->granted & FS_WRITES) != 0,
		deletes = (ccb->granted & FS_DELETES) != 0;

	if (!reads && !writes && !deletes)
		return STATUS_SUCCESS;
	if ((reads && now->SharedRead < now->OpenCount) || (writes && now->SharedWrite < now->OpenCount) ||
	    (deletes && now->SharedDelete < now->OpenCount) ||
	    (now->Readers != 0 && (ccb->share & FILE_SHARE_READ) == 0) ||
	    (now->Writers != 0 && (ccb->share & FILE_SHARE_WRITE) == 0) ||
	    (now->Deleters != 0 && (ccb->share & FILE_SHARE_DELETE) == 0))
		return STATUS_SHARING_VIOLATION;
	return STATUS_SUCCESS;
}

static void FSShareChange(const struct fs_ccb *ccb, SHARE_ACCESS *now, int by)
{
	BOOLEAN reads = (ccb->granted & FS_READS) != 0, writes = (ccb->granted & FS_WRITES) != 0,
		deletes = (ccb->granted & FS_DELETES) != 0;

	if (!reads && !writes && !deletes)
		return;
	now->OpenCount += (ULONG)by;
	now->Readers += reads ? (ULONG)by : 0;
	now->Writers += writes ? (ULONG)by : 0;
	now->Deleters += deletes ? (ULONG)by : 0;
	now->SharedRead += (ccb->share & FILE_SHARE_READ) != 0 ? (ULONG)by : 0;
	now->SharedWrite += (ccb->share & FILE_SHARE_WRITE) != 0 ? (ULONG)by : 0;
	now->SharedDelete += (ccb->share & FILE_SHARE_DELETE) != 0 ? (ULONG)by : 0;
}

/* The system's own routines look at these members of a file object. */
void FSShareAdd(struct fs_ccb *ccb, FILE_OBJECT *object)
{
	struct fs_fcb *fcb = ccb->fcb;

	object->ReadAccess = (ccb->granted & FS_READS) != 0;
	object->WriteAccess = (ccb->granted & FS_WRITES) != 0;
	object->DeleteAccess = (ccb->granted & FS_DELETES) != 0;
	object->SharedRead = (ccb->share & FILE_SHARE_READ) != 0;
	object->SharedWrite = (ccb->share & FILE_SHARE_WRITE) != 0;
	object->SharedDelete = (ccb->share & FILE_SHARE_DELETE) != 0;
	FSShareChange(ccb, &fcb->share, 1);
	fcb->handles++;
	ccb->counted = TRUE;
}

void FSShareRemove(struct fs_ccb *ccb)
{
	if (!ccb->counted)
		return;
	ccb->counted = FALSE;
	FSShareChange(ccb, &ccb->fcb->share, -1);
	ccb->fcb->handles--;
}
