/* SPDX-License-Identifier: MIT */
/*
 * oplock.c - opportunistic locks, in the old kinds and as combinations of read, write and handle caching
 *
 * A file has one exclusive oplock (level 1, batch, filter; RW, RWH), or shared ones (level 2; R, RH). Whoever does what
 * an oplock forbids breaks it: shared ones to none at once, an exclusive one to what its kind allows, and waits until
 * the owner has acknowledged, or closed. Who waits hands in what is called then, or gets
 * STATUS_OPLOCK_BREAK_IN_PROGRESS.
 */
#include "internal.h"

#define TAG_OPLOCK 0x6b6c704fu

enum { R = OPLOCK_LEVEL_CACHE_READ, H = OPLOCK_LEVEL_CACHE_HANDLE, W = OPLOCK_LEVEL_CACHE_WRITE };

struct shared {
	LIST_ENTRY entry;
	PIRP irp;
	PFILE_OBJECT file;
};

struct waiter {
	LIST_ENTRY entry;
	PIRP irp;
	void *context;
	POPLOCK_WAIT_COMPLETE_ROUTINE done;
};

struct oplock {
	PIRP irp; /* of the exclusive one, until it is broken */
	PFILE_OBJECT owner;
	ULONG level; /* of the exclusive one */
	bool batch, legacy, breaking;
	ULONG to; /* what it is broken to */
	LIST_ENTRY shared, waiters;
};

void FsRtlInitializeOplock(POPLOCK oplock)
{
	ATOMIC;
	*oplock = NULL;
}

static struct oplock *made(POPLOCK oplock)
{
	struct oplock *o = *oplock;

	if (!o) {
		if (fault())
			return NULL;
		o = take(sizeof(*o));
		counts.allocations++;
		InitializeListHead(&o->shared);
		InitializeListHead(&o->waiters);
		*oplock = o;
	}
	return o;
}

static void complete(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = information;
	IoCompleteRequest(irp, IO_DISK_INCREMENT);
}

/* The IRP of an oplock ends by the break: in the old kinds Information says to what, in the new one a struct does. */
static void complete_break(PIRP irp, bool legacy, ULONG from, ULONG to)
{
	if (!legacy) {
		REQUEST_OPLOCK_OUTPUT_BUFFER *out = irp->AssociatedIrp.SystemBuffer;

		*out = (REQUEST_OPLOCK_OUTPUT_BUFFER){.StructureVersion = REQUEST_OPLOCK_CURRENT_VERSION,
						      .StructureLength = sizeof(*out),
						      .OriginalOplockLevel = from,
						      .NewOplockLevel = to,
						      .Flags = from & (W | H) ? REQUEST_OPLOCK_OUTPUT_FLAG_ACK_REQUIRED
									      : 0};
		memset((char *)out + offsetof(REQUEST_OPLOCK_OUTPUT_BUFFER, ShareMode) + 2, 0, 2);
		complete(irp, STATUS_SUCCESS, sizeof(*out));
		return;
	}
	complete(irp, STATUS_SUCCESS, to ? FILE_OPLOCK_BROKEN_TO_LEVEL_2 : FILE_OPLOCK_BROKEN_TO_NONE);
}

static void wake(struct oplock *o)
{
	while (!o->breaking && !IsListEmpty(&o->waiters)) {
		struct waiter *waiter = CONTAINING_RECORD(RemoveHeadList(&o->waiters), struct waiter, entry);
		PIRP irp = waiter->irp;

		if (IoSetCancelRoutine(irp, NULL)) {
			irp->IoStatus.Status = STATUS_SUCCESS;
			waiter->done(waiter->context, irp);
		} else {
			irp->Tail.Overlay.DriverContext[1] = NULL;
		}
		free(waiter);
	}
}

void FsRtlUninitializeOplock(POPLOCK oplock)
{
	ATOMIC;
	struct oplock *o = *oplock;

	if (!o)
		return;
	if (o->irp || !IsListEmpty(&o->shared) || !IsListEmpty(&o->waiters))
		nt_fail("FsRtlUninitializeOplock: an oplock is held, or somebody waits");
	counts.allocations--;
	free(o);
	*oplock = NULL;
}

/* A program takes back its request: the oplock is gone. DriverContext[0] is the oplock. */
static void cancel_holder(PDEVICE_OBJECT device, PIRP irp)
{
	ATOMIC;
	struct oplock *o = irp->Tail.Overlay.DriverContext[0];

	IoReleaseCancelSpinLock(irp->CancelIrql);
	if (o->irp == irp) {
		o->irp = NULL;
		o->owner = NULL;
		o->level = 0;
	}
	for (LIST_ENTRY *at = o->shared.Flink; at != &o->shared; at = at->Flink)
		if (CONTAINING_RECORD(at, struct shared, entry)->irp == irp) {
			RemoveEntryList(at);
			free(CONTAINING_RECORD(at, struct shared, entry));
			break;
		}
	complete(irp, STATUS_CANCELLED, 0);
	wake(o);
}

static void cancel_waiter(PDEVICE_OBJECT device, PIRP irp)
{
	ATOMIC;
	struct waiter *waiter = irp->Tail.Overlay.DriverContext[1];

	IoReleaseCancelSpinLock(irp->CancelIrql);
	if (!waiter)
		nt_fail("an IRP that waits for an oplock is cancelled while it goes on");
	RemoveEntryList(&waiter->entry);
	irp->IoStatus.Status = STATUS_CANCELLED;
	waiter->done(waiter->context, irp);
	free(waiter);
}

static NTSTATUS hold(struct oplock *o, PIRP irp, bool exclusive, ULONG level, bool batch, bool legacy)
{
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);

	if (exclusive) {
		o->irp = irp;
		o->owner = stack->FileObject;
		o->level = level;
		o->batch = batch;
		o->legacy = legacy;
	} else {
		struct shared *shared = take(sizeof(*shared));

		shared->irp = irp;
		shared->file = stack->FileObject;
		InsertTailList(&o->shared, &shared->entry);
	}
	IoMarkIrpPending(irp);
	irp->Tail.Overlay.DriverContext[0] = o;
	irp->Tail.Overlay.DriverContext[2] = (void *)(uintptr_t)legacy;
	irp->Tail.Overlay.DriverContext[3] = (void *)(uintptr_t)level;
	IoSetCancelRoutine(irp, cancel_holder);
	if (irp->Cancel && IoSetCancelRoutine(irp, NULL)) {
		irp->CancelIrql = PASSIVE_LEVEL;
		o->irp = exclusive ? NULL : o->irp;
		if (!exclusive)
			free(CONTAINING_RECORD(RemoveTailList(&o->shared), struct shared, entry));
		complete(irp, STATUS_CANCELLED, 0);
	}
	return STATUS_PENDING;
}

static NTSTATUS answer(PIRP irp, NTSTATUS status)
{
	complete(irp, status, 0);
	return status;
}

static void shared_break(struct oplock *o)
{
	while (!IsListEmpty(&o->shared)) {
		struct shared *shared = CONTAINING_RECORD(RemoveHeadList(&o->shared), struct shared, entry);
		PIRP irp = shared->irp;

		free(shared);
		if (IoSetCancelRoutine(irp, NULL))
			complete_break(irp, irp->Tail.Overlay.DriverContext[2] != NULL,
				       (ULONG)(uintptr_t)irp->Tail.Overlay.DriverContext[3] & R, 0);
	}
}

static NTSTATUS acknowledge(struct oplock *o, PIRP irp, bool keep_nothing)
{
	if (!o || !o->breaking || o->owner != IoGetCurrentIrpStackLocation(irp)->FileObject)
		return answer(irp, STATUS_INVALID_OPLOCK_PROTOCOL);
	o->breaking = false;
	o->owner = NULL;
	o->level = 0;
	if (o->to && !keep_nothing) {
		NTSTATUS status = hold(o, irp, false, o->to, false, o->legacy);

		wake(o);
		return status;
	}
	wake(o);
	return answer(irp, STATUS_SUCCESS);
}

static NTSTATUS request(struct oplock *o, PIRP irp, ULONG level, bool batch, bool legacy, ULONG open_count)
{
	bool exclusive = (level & W) != 0;

	if (o->irp || o->breaking || (exclusive && (open_count > 1 || !IsListEmpty(&o->shared))))
		return answer(irp, STATUS_OPLOCK_NOT_GRANTED);
	return hold(o, irp, exclusive, level, batch, legacy);
}

NTSTATUS FsRtlOplockFsctrlEx(POPLOCK oplock, PIRP irp, ULONG open_count, ULONG flags)
{
	ATOMIC;
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
	struct oplock *o = made(oplock);
	REQUEST_OPLOCK_INPUT_BUFFER *in = irp->AssociatedIrp.SystemBuffer;

	irql_at_most(APC_LEVEL, __func__);
	if (!o)
		return answer(irp, STATUS_INSUFFICIENT_RESOURCES);
	switch (stack->Parameters.FileSystemControl.FsControlCode) {
	case FSCTL_REQUEST_OPLOCK_LEVEL_1:
		return request(o, irp, R | W, false, true, open_count);
	case FSCTL_REQUEST_BATCH_OPLOCK:
	case FSCTL_REQUEST_FILTER_OPLOCK:
		return request(o, irp, R | W | H, true, true, open_count);
	case FSCTL_REQUEST_OPLOCK_LEVEL_2:
		return request(o, irp, R, false, true, 0);
	case FSCTL_OPLOCK_BREAK_ACKNOWLEDGE:
		return acknowledge(o, irp, false);
	case FSCTL_OPBATCH_ACK_CLOSE_PENDING:
	case FSCTL_OPLOCK_BREAK_ACK_NO_2:
		return acknowledge(o, irp, true);
	case FSCTL_OPLOCK_BREAK_NOTIFY:
		return answer(irp, STATUS_SUCCESS);
	case FSCTL_REQUEST_OPLOCK:
		if (stack->Parameters.FileSystemControl.InputBufferLength < sizeof(*in) ||
		    stack->Parameters.FileSystemControl.OutputBufferLength < sizeof(REQUEST_OPLOCK_OUTPUT_BUFFER))
			return answer(irp, STATUS_BUFFER_TOO_SMALL);
		if (in->Flags & REQUEST_OPLOCK_INPUT_FLAG_ACK)
			return acknowledge(o, irp, in->RequestedOplockLevel == 0);
		if (in->RequestedOplockLevel & ~(ULONG)(R | W | H) || !(in->RequestedOplockLevel & R))
			return answer(irp, STATUS_INVALID_PARAMETER);
		return request(o, irp, in->RequestedOplockLevel, (in->RequestedOplockLevel & H) != 0, false,
			       open_count);
	default:
		return answer(irp, STATUS_INVALID_PARAMETER);
	}
}

NTSTATUS FsRtlOplockFsctrl(POPLOCK oplock, PIRP irp, ULONG open_count)
{
	ATOMIC;
	return FsRtlOplockFsctrlEx(oplock, irp, open_count, 0);
}

static NTSTATUS wait_for(struct oplock *o, PIRP irp, void *context, POPLOCK_WAIT_COMPLETE_ROUTINE done,
			 POPLOCK_FS_PREPOST_IRP post)
{
	struct waiter *waiter;

	if (!o->breaking)
		return STATUS_SUCCESS;
	if (!done)
		return STATUS_OPLOCK_BREAK_IN_PROGRESS;
	waiter = take(sizeof(*waiter));
	*waiter = (struct waiter){.irp = irp, .context = context, .done = done};
	if (post)
		post(context, irp);
	IoMarkIrpPending(irp);
	InsertTailList(&o->waiters, &waiter->entry);
	irp->Tail.Overlay.DriverContext[1] = waiter;
	IoSetCancelRoutine(irp, cancel_waiter);
	return STATUS_PENDING;
}

static NTSTATUS exclusive_break(struct oplock *o, ULONG to, PIRP irp, void *context, POPLOCK_WAIT_COMPLETE_ROUTINE done,
				POPLOCK_FS_PREPOST_IRP post)
{
	if (o->irp) {
		PIRP holder = o->irp;

		o->irp = NULL;
		o->to = to;
		o->breaking = true;
		if (IoSetCancelRoutine(holder, NULL))
			complete_break(holder, o->legacy, o->level, to);
		else
			o->breaking = false;
	}
	return wait_for(o, irp, context, done, post);
}

/* What an IRP does to the oplocks of others: 0 nothing, 1 exclusive ones become shared, 2 all go. */
static int effect(PIRP irp, PIO_STACK_LOCATION stack)
{
	ULONG disposition;

	switch (stack->MajorFunction) {
	case IRP_MJ_CREATE:
		disposition = stack->Parameters.Create.Options >> 24;
		if ((stack->Parameters.Create.SecurityContext->DesiredAccess &
		     ~(FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE)) == 0)
			return 0;
		return disposition == FILE_SUPERSEDE || disposition == FILE_OVERWRITE ||
				       disposition == FILE_OVERWRITE_IF
			       ? 2
			       : 1;
	case IRP_MJ_READ:
	case IRP_MJ_FLUSH_BUFFERS:
		return irp->Flags & IRP_PAGING_IO ? 0 : 1;
	case IRP_MJ_WRITE:
		return irp->Flags & IRP_PAGING_IO ? 0 : 2;
	case IRP_MJ_LOCK_CONTROL:
		return 2;
	case IRP_MJ_SET_INFORMATION:
		switch (stack->Parameters.SetFile.FileInformationClass) {
		case FileEndOfFileInformation:
		case FileAllocationInformation:
		case FileValidDataLengthInformation:
		case FileRenameInformation:
		case FileRenameInformationEx:
		case FileLinkInformation:
			return 2;
		default:
			return 0;
		}
	case IRP_MJ_FILE_SYSTEM_CONTROL:
		return stack->Parameters.FileSystemControl.FsControlCode == FSCTL_SET_ZERO_DATA ? 2 : 0;
	default:
		return 0;
	}
}

NTSTATUS FsRtlCheckOplockEx(POPLOCK oplock, PIRP irp, ULONG flags, PVOID context, POPLOCK_WAIT_COMPLETE_ROUTINE done,
			    POPLOCK_FS_PREPOST_IRP post)
{
	ATOMIC;
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
	struct oplock *o = *oplock;
	int what = effect(irp, stack);

	irql_at_most(APC_LEVEL, __func__);
	if (!o)
		return STATUS_SUCCESS;
	if (stack->MajorFunction == IRP_MJ_CLEANUP) {
		/* Its own oplocks end with a handle. */
		for (LIST_ENTRY *at = o->shared.Flink, *next; at != &o->shared; at = next) {
			struct shared *shared = CONTAINING_RECORD(at, struct shared, entry);
			PIRP holder = shared->irp;

			next = at->Flink;
			if (shared->file != stack->FileObject)
				continue;
			RemoveEntryList(at);
			free(shared);
			if (IoSetCancelRoutine(holder, NULL))
				complete(holder, STATUS_OPLOCK_HANDLE_CLOSED, 0);
		}
		if (o->owner == stack->FileObject) {
			PIRP holder = o->irp;

			o->irp = NULL;
			o->owner = NULL;
			o->level = 0;
			o->breaking = false;
			if (holder && IoSetCancelRoutine(holder, NULL))
				complete_break(holder, o->legacy, 0, 0);
			wake(o);
		}
		return STATUS_SUCCESS;
	}
	if (what == 0 || (o->owner && o->owner == stack->FileObject))
		return STATUS_SUCCESS;
	if (what == 2)
		shared_break(o);
	if (o->irp || o->breaking) {
		if (flags & OPLOCK_FLAG_COMPLETE_IF_OPLOCKED ||
		    (stack->MajorFunction == IRP_MJ_CREATE &&
		     stack->Parameters.Create.Options & FILE_COMPLETE_IF_OPLOCKED))
			done = NULL;
		return exclusive_break(o, what == 2 ? 0 : R, irp, context, done, post);
	}
	return STATUS_SUCCESS;
}

NTSTATUS FsRtlCheckOplock(POPLOCK oplock, PIRP irp, PVOID context, POPLOCK_WAIT_COMPLETE_ROUTINE done,
			  POPLOCK_FS_PREPOST_IRP post)
{
	ATOMIC;
	return FsRtlCheckOplockEx(oplock, irp, 0, context, done, post);
}

NTSTATUS FsRtlOplockBreakToNoneEx(POPLOCK oplock, PIRP irp, ULONG flags, PVOID context,
				  POPLOCK_WAIT_COMPLETE_ROUTINE done, POPLOCK_FS_PREPOST_IRP post)
{
	ATOMIC;
	struct oplock *o = *oplock;

	if (!o)
		return STATUS_SUCCESS;
	shared_break(o);
	return exclusive_break(o, 0, irp, context, done, post);
}

NTSTATUS FsRtlOplockBreakToNone(POPLOCK oplock, PIO_STACK_LOCATION stack, PIRP irp, PVOID context,
				POPLOCK_WAIT_COMPLETE_ROUTINE done, POPLOCK_FS_PREPOST_IRP post)
{
	ATOMIC;
	return FsRtlOplockBreakToNoneEx(oplock, irp, 0, context, done, post);
}

NTSTATUS FsRtlOplockBreakH(POPLOCK oplock, PIRP irp, ULONG flags, PVOID context, POPLOCK_WAIT_COMPLETE_ROUTINE done,
			   POPLOCK_FS_PREPOST_IRP post)
{
	ATOMIC;
	struct oplock *o = *oplock;

	if (!o || !(o->level & H) || o->owner == IoGetCurrentIrpStackLocation(irp)->FileObject)
		return STATUS_SUCCESS;
	return exclusive_break(o, R, irp, context, done, post);
}

BOOLEAN FsRtlOplockIsFastIoPossible(POPLOCK oplock)
{
	ATOMIC;
	struct oplock *o = *oplock;

	return !o || (!o->breaking && IsListEmpty(&o->shared));
}

BOOLEAN FsRtlCurrentBatchOplock(POPLOCK oplock)
{
	ATOMIC;
	struct oplock *o = *oplock;

	return o && (o->irp || o->breaking) && o->batch;
}

BOOLEAN FsRtlCurrentOplock(POPLOCK oplock)
{
	ATOMIC;
	struct oplock *o = *oplock;

	return o && (o->irp || o->breaking || !IsListEmpty(&o->shared));
}

BOOLEAN FsRtlCurrentOplockH(POPLOCK oplock)
{
	ATOMIC;
	struct oplock *o = *oplock;

	return o && (o->irp || o->breaking) && (o->level & H);
}

BOOLEAN FsRtlOplockIsSharedRequest(PIRP irp)
{
	ATOMIC;
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
	REQUEST_OPLOCK_INPUT_BUFFER *in = irp->AssociatedIrp.SystemBuffer;

	if (stack->Parameters.FileSystemControl.FsControlCode == FSCTL_REQUEST_OPLOCK_LEVEL_2)
		return TRUE;
	return stack->Parameters.FileSystemControl.FsControlCode == FSCTL_REQUEST_OPLOCK &&
	       !(in->RequestedOplockLevel & W);
}

BOOLEAN FsRtlOplockKeysEqual(PFILE_OBJECT a, PFILE_OBJECT b)
{
	ATOMIC;
	return a == b;
}
