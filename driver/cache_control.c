// SPDX-License-Identifier: MIT
/*
 * cache_control.c - what the system has of a file: pages of mappings, and programs that watch
 *
 * Flushing and purging wait for paging I/O, which comes to us and goes to the service: so it is never done on a thread
 * of the service, nor under a lock, but in the thread of the program that reads or writes, or in a work item. A file of
 * which the memory manager has no section costs a look at two pointers. PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static IO_WORKITEM_ROUTINE FSCacheWork;

struct fs_cache_work {
	PIO_WORKITEM item;
	IRP *irp;
	struct fs_fcb *fcb; /* reference */
	uint32_t operation;
	uint64_t offset, length; /* length 0: to the end */
};

BOOLEAN FSCacheUsed(const struct fs_fcb *fcb)
{
	return fcb->section.DataSectionObject != NULL;
}

void FSCacheFlush(struct fs_fcb *fcb, uint64_t offset, uint32_t length)
{
	LARGE_INTEGER at = {.QuadPart = (LONGLONG)offset};
	IO_STATUS_BLOCK io;

	if (FSCacheUsed(fcb))
		CcFlushCache(&fcb->section, length != 0 || offset != 0 ? &at : NULL, length, &io);
}

/* FALSE: a program has it mapped, so that what it sees stays. */
BOOLEAN FSCachePurge(struct fs_fcb *fcb, uint64_t offset, uint32_t length)
{
	LARGE_INTEGER at = {.QuadPart = (LONGLONG)offset};

	if (!FSCacheUsed(fcb))
		return TRUE;
	return CcPurgeCacheSection(&fcb->section, length != 0 || offset != 0 ? &at : NULL, length, FALSE);
}

/* The system's routines take lengths of 32 bits; 0 is all of the rest. */
static NTSTATUS FSCacheDo(const struct fs_cache_work *work)
{
	uint64_t at = work->offset, left = work->length;
	BOOLEAN done = TRUE;

	do {
		uint32_t length = left > FS_CACHE_STEP ? FS_CACHE_STEP : (uint32_t)left;

		if (work->operation == FS_CACHE_FLUSH)
			FSCacheFlush(work->fcb, at, length);
		else if (!FSCachePurge(work->fcb, at, length))
			done = FALSE;
		at += length;
		left -= length;
	} while (left > 0);
	return done ? STATUS_SUCCESS : STATUS_USER_MAPPED_FILE;
}

static void NTAPI FSCacheWork(DEVICE_OBJECT *device, void *context)
{
	struct fs_cache_work *work = context;
	NTSTATUS status = FSCacheDo(work);
	IRP *irp = work->irp;

	IoFreeWorkItem(work->item);
	FSFcbRelease(work->fcb);
	FSFree(work, FS_TAG_WORK);
	FSComplete(irp, status, 0);
}

static NTSTATUS FSCacheOfFile(struct fs_call *call, struct fs_drive *drive, const struct fs_cache_control *control)
{
	struct fs_cache_work *work;
	struct fs_fcb *fcb;

	FSFilesLock(drive);
	fcb = FSFcbFind(drive, control->node);
	if (fcb != NULL)
		InterlockedIncrement(&fcb->references);
	FSFilesUnlock(drive);
	if (fcb == NULL)
		return STATUS_SUCCESS;
	work = FSCacheUsed(fcb) ? FSAllocate(sizeof(*work), FS_TAG_WORK) : NULL;
	if (work != NULL)
		work->item = IoAllocateWorkItem(FSDriver.communication);
	if (work == NULL || work->item == NULL) {
		NTSTATUS status = FSCacheUsed(fcb) ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;

		FSFree(work, FS_TAG_WORK);
		FSFcbRelease(fcb);
		return status;
	}
	work->irp = call->irp;
	work->fcb = fcb;
	work->operation = control->operation;
	work->offset = control->offset;
	work->length = control->length;
	IoMarkIrpPending(call->irp);
	call->taken = TRUE;
	IoQueueWorkItem(work->item, FSCacheWork, DelayedWorkQueue, work);
	return STATUS_PENDING;
}

static NTSTATUS FSCacheChanged(struct fs_drive *drive, const struct fs_cache_control *control)
{
	const WCHAR *name = (const WCHAR *)((const uint8_t *)control + control->name.offset);
	struct fs_path *path;

	if (control->name.length < sizeof(WCHAR) || control->name.length > FS_PATH_MAX || name[0] != L'\\')
		return STATUS_INVALID_PARAMETER;
	path = FSPathOf(name, control->name.length);
	if (path == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	FSNotifyReport(drive, path, control->filter, control->action);
	FSPathRelease(path);
	return STATUS_SUCCESS;
}

static BOOLEAN FSCacheControlValid(const struct fs_cache_control *control, ULONG length)
{
	const struct fs_text *name = &control->name;

	if (length < sizeof(*control) || control->size != length || control->offset > INT64_MAX ||
	    control->length > INT64_MAX - control->offset)
		return FALSE;
	if (name->length == 0)
		return TRUE;
	return name->length % sizeof(WCHAR) == 0 && name->offset % sizeof(WCHAR) == 0 &&
	       name->offset >= sizeof(*control) && name->offset <= length && name->length <= length - name->offset;
}

NTSTATUS FSFileCacheControl(struct fs_call *call)
{
	const struct fs_cache_control *control = call->irp->AssociatedIrp.SystemBuffer;
	struct fs_drive *drive;
	NTSTATUS status;

	if (!FSCacheControlValid(control, call->stack->Parameters.DeviceIoControl.InputBufferLength))
		return STATUS_INVALID_PARAMETER;
	if (FSDriver.service.owner != call->stack->FileObject)
		return STATUS_INVALID_DEVICE_STATE;
	drive = FSDriveFind(control->disk);
	if (drive == NULL)
		return STATUS_NO_SUCH_DEVICE;
	switch (control->operation) {
	case FS_CACHE_PURGE:
	case FS_CACHE_FLUSH:
		status = FSCacheOfFile(call, drive, control);
		break;
	case FS_CACHE_CHANGED:
		status = FSCacheChanged(drive, control);
		break;
	default:
		status = STATUS_INVALID_PARAMETER;
		break;
	}
	FSDriveRelease(drive);
	return status;
}
