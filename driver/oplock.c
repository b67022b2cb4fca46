// SPDX-License-Identifier: MIT
/*
 * oplock.c - opportunistic locks, by FsRtl
 *
 * An FCB's oplock is initialised by the first request for one; files that nobody asks an oplock of cost a look at a
 * flag. An IRP that has to wait until the owner of an oplock has given it up is held by FsRtl, which tells us by
 * FSOplockFreed; that may be on any thread, with FsRtl's own lock held, so the IRP goes on in a work item, made
 * beforehand.
 *
 * FsRtl raises where it gets no memory: its routines run under FSGuard. <= APC_LEVEL.
 */
#include "driver/driveway.h"

static IO_WORKITEM_ROUTINE FSOplockWork;

/* An IRP that may have to wait; FsRtl's once it waits. */
struct fs_oplock_wait {
	PIO_WORKITEM item;
	IRP *irp;
	FSResume *resume;
	void *context;
};

struct fs_oplock_call {
	struct fs_oplock_wait *wait;
	struct fs_fcb *fcb;
	IRP *irp;
	BOOLEAN handle_only;
	ULONG count;
	NTSTATUS status;
};

static void NTAPI FSOplockWork(DEVICE_OBJECT *device, void *context)
{
	struct fs_oplock_wait wait = *(struct fs_oplock_wait *)context;

	IoFreeWorkItem(wait.item);
	FSFree(context, FS_TAG_WORK);
	wait.resume(wait.context, wait.irp, wait.irp->IoStatus.Status);
}

static void NTAPI FSOplockFreed(void *context, IRP *irp)
{
	struct fs_oplock_wait *wait = context;

	IoQueueWorkItem(wait->item, FSOplockWork, DelayedWorkQueue, wait);
}

static void NTAPI FSOplockPosted(void *context, IRP *irp)
{
	IoMarkIrpPending(irp);
}

static void FSOplockCall(void *context)
{
	struct fs_oplock_call *call = context;

	if (call->handle_only)
		call->status = FsRtlOplockBreakH(&call->fcb->oplock, call->irp, 0, call->wait, FSOplockFreed,
						 FSOplockPosted);
	else
		call->status = FsRtlCheckOplock(&call->fcb->oplock, call->irp, call->wait, FSOplockFreed,
						FSOplockPosted);
}

NTSTATUS FSOplockCheckThen(IRP *irp, struct fs_fcb *fcb, BOOLEAN handle_only, FSResume *resume, void *context)
{
	struct fs_oplock_call call = {.fcb = fcb, .irp = irp, .handle_only = handle_only};
	NTSTATUS raised;

	if (!fcb->has_oplock)
		return STATUS_SUCCESS;
	call.wait = FSAllocate(sizeof(*call.wait), FS_TAG_WORK);
	if (call.wait == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	call.wait->irp = irp;
	call.wait->resume = resume;
	call.wait->context = context;
	call.wait->item = IoAllocateWorkItem(FSDriver.control);
	if (call.wait->item == NULL) {
		FSFree(call.wait, FS_TAG_WORK);
		return STATUS_INSUFFICIENT_RESOURCES;
	}
	raised = FSGuard(FSOplockCall, &call);
	if (!NT_SUCCESS(raised))
		call.status = raised;
	if (call.status != STATUS_PENDING) {
		IoFreeWorkItem(call.wait->item);
		FSFree(call.wait, FS_TAG_WORK);
	}
	return call.status;
}

static void FSOplockAgain(void *context, IRP *irp, NTSTATUS status)
{
	if (NT_SUCCESS(status))
		FSDispatchAgain(irp);
	else
		FSComplete(irp, status, 0);
}

/* Before an IRP of an open file does its work; STATUS_PENDING: it begins again later. */
NTSTATUS FSOplockCheck(struct fs_call *call, struct fs_fcb *fcb)
{
	NTSTATUS status = FSOplockCheckThen(call->irp, fcb, FALSE, FSOplockAgain, NULL);

	if (status == STATUS_PENDING)
		call->taken = TRUE;
	return status;
}

static void FSOplockControlCall(void *context)
{
	struct fs_oplock_call *call = context;

	call->status = FsRtlOplockFsctrl(&call->fcb->oplock, call->irp, call->count);
}

/* FSCTL_REQUEST_OPLOCK and kin: FsRtl keeps or completes the IRP. */
/*
 * FsRtl reads and writes the two structs of the newer code without looking whether there is room. The older codes
 * answer by a number in Information, which the I/O manager takes for a count of bytes to copy: there must be no output
 * buffer.
 */
static NTSTATUS FSOplockBuffers(const struct fs_call *call)
{
	ULONG input = call->stack->Parameters.FileSystemControl.InputBufferLength,
	      output = call->stack->Parameters.FileSystemControl.OutputBufferLength;

	if (call->stack->Parameters.FileSystemControl.FsControlCode != FSCTL_REQUEST_OPLOCK)
		return output == 0 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
	return input >= sizeof(REQUEST_OPLOCK_INPUT_BUFFER) && output >= sizeof(REQUEST_OPLOCK_OUTPUT_BUFFER)
		       ? STATUS_SUCCESS
		       : STATUS_BUFFER_TOO_SMALL;
}

NTSTATUS FSOplockControl(struct fs_call *call, struct fs_ccb *ccb)
{
	ULONG code = call->stack->Parameters.FileSystemControl.FsControlCode;
	struct fs_oplock_call oplock = {.fcb = ccb->fcb, .irp = call->irp};
	NTSTATUS status = FSOplockBuffers(call);

	if (!NT_SUCCESS(status))
		return status;
	if (FSFcbIsFolder(ccb->fcb) && code != FSCTL_REQUEST_OPLOCK)
		return STATUS_INVALID_PARAMETER;
	FSFilesLock(call->drive);
	if (!oplock.fcb->has_oplock) {
		FsRtlInitializeOplock(&oplock.fcb->oplock);
		oplock.fcb->has_oplock = TRUE;
	}
	/* A shared one is not given while there are byte-range locks, another one only to the single handle. */
	if (code == FSCTL_REQUEST_OPLOCK_LEVEL_2 ||
	    (code == FSCTL_REQUEST_OPLOCK && FsRtlOplockIsSharedRequest(call->irp)))
		oplock.count = oplock.fcb->has_locks && FsRtlAreThereCurrentFileLocks(&oplock.fcb->locks);
	else if (code == FSCTL_REQUEST_OPLOCK || code == FSCTL_REQUEST_OPLOCK_LEVEL_1 ||
		 code == FSCTL_REQUEST_BATCH_OPLOCK || code == FSCTL_REQUEST_FILTER_OPLOCK)
		oplock.count = oplock.fcb->handles;
	FSFilesUnlock(call->drive);
	status = FSGuard(FSOplockControlCall, &oplock);
	if (!NT_SUCCESS(status))
		return status;
	call->taken = TRUE;
	return oplock.status;
}
