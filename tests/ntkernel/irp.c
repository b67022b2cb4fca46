/* SPDX-License-Identifier: MIT */
/*
 * irp.c - IRPs: made, sent to drivers, cancelled, completed
 *
 * Beside each IRP lies a struct nt_irp, which outlives it: IoCallDriver compares with it what the dispatch routine
 * returned. What was completed goes into a quarantine, poisoned but for the pointer to its struct nt_irp, so that
 * whoever completes it once more is told so.
 */
#include "internal.h"

#define QUARANTINE 512

static PIRP quarantine[QUARANTINE];
static unsigned quarantine_at;
static KSPIN_LOCK cancel_lock;
static LIST_ENTRY live;

void irp_boot(void)
{
	InitializeListHead(&live);
	KeInitializeSpinLock(&cancel_lock);
}

static void irp_put(struct nt_irp *nt)
{
	if (--nt->references == 0)
		free(nt);
}

void irp_end(void)
{
	if (!IsListEmpty(&live)) {
		struct nt_irp *nt = CONTAINING_RECORD(live.Flink, struct nt_irp, entry);

		nt_fail("an IRP was never completed (pending: %d)", nt->pending_marked);
	}
	for (unsigned i = 0; i < QUARANTINE; i++) {
		if (!quarantine[i])
			continue;
		irp_put(quarantine[i]->nt);
		UNPOISON(quarantine[i], sizeof(IRP));
		free(quarantine[i]);
		quarantine[i] = NULL;
	}
}

PIRP irp_make(CCHAR stack)
{
	size_t size = sizeof(IRP) + (size_t)(stack + 1) * sizeof(IO_STACK_LOCATION);
	PIRP irp = take(size);

	irp->nt = take(sizeof(*irp->nt));
	irp->nt->references = 1;
	irp->nt->size = size;
	InsertTailList(&live, &irp->nt->entry);
	irp->Type = 6;
	irp->Size = (USHORT)size;
	irp->StackCount = stack;
	irp->CurrentLocation = (CHAR)(stack + 1);
	irp->Tail.Overlay.CurrentStackLocation = (IO_STACK_LOCATION *)(irp + 1) + stack;
	irp->Tail.Overlay.Thread = current();
	InitializeListHead(&irp->ThreadListEntry);
	counts.irps++;
	return irp;
}

void irp_discard(PIRP irp)
{
	struct nt_irp *nt = irp->nt;
	PIRP oldest = quarantine[quarantine_at];

	RemoveEntryList(&nt->entry);
	nt->state = IRP_FREED;
	counts.irps--;
	if (oldest) {
		irp_put(oldest->nt);
		UNPOISON(oldest, sizeof(IRP));
		free(oldest);
	}
	memset(irp, 0xdd, offsetof(IRP, nt));
	memset(irp + 1, 0xdd, nt->size - sizeof(IRP));
	POISON(irp, offsetof(IRP, nt));
	quarantine[quarantine_at] = irp;
	quarantine_at = (quarantine_at + 1) % QUARANTINE;
}

PIRP IoAllocateIrp(CCHAR stack, BOOLEAN quota)
{
	if (current()->irql > DISPATCH_LEVEL)
		nt_fail("IoAllocateIrp at IRQL %u", current()->irql);
	return fault() ? NULL : irp_make(stack);
}

static struct nt_irp *alive(PIRP irp, const char *routine)
{
	if (irp->nt->state == IRP_COMPLETED)
		nt_fail("%s: the IRP has been completed, it is not yours any more", routine);
	if (irp->nt->state == IRP_FREED)
		nt_fail("%s: the IRP has been completed and freed", routine);
	return irp->nt;
}

void IoFreeIrp(PIRP irp)
{
	if (irp->nt->state == IRP_FREED)
		nt_fail("IoFreeIrp: freed twice");
	if (irp->nt->request)
		nt_fail("IoFreeIrp: it is the I/O manager's");
	irp_discard(irp);
}

PIO_STACK_LOCATION IoGetCurrentIrpStackLocation(PIRP irp)
{
	alive(irp, __func__);
	if (irp->CurrentLocation > irp->StackCount)
		nt_fail("IoGetCurrentIrpStackLocation: the IRP was not sent to a driver");
	return irp->Tail.Overlay.CurrentStackLocation;
}

PIO_STACK_LOCATION IoGetNextIrpStackLocation(PIRP irp)
{
	alive(irp, __func__);
	if (irp->CurrentLocation <= 1)
		nt_fail("IoGetNextIrpStackLocation: the IRP has no more stack locations");
	return irp->Tail.Overlay.CurrentStackLocation - 1;
}

void IoSetNextIrpStackLocation(PIRP irp)
{
	irp->Tail.Overlay.CurrentStackLocation = IoGetNextIrpStackLocation(irp);
	irp->CurrentLocation--;
}

void IoSkipCurrentIrpStackLocation(PIRP irp)
{
	alive(irp, __func__);
	irp->CurrentLocation++;
	irp->Tail.Overlay.CurrentStackLocation++;
}

void IoCopyCurrentIrpStackLocationToNext(PIRP irp)
{
	PIO_STACK_LOCATION next = IoGetNextIrpStackLocation(irp);

	*next = *IoGetCurrentIrpStackLocation(irp);
	next->CompletionRoutine = NULL;
	next->Context = NULL;
	next->Control = 0;
}

void IoSetCompletionRoutine(PIRP irp, PIO_COMPLETION_ROUTINE routine, PVOID context, BOOLEAN success, BOOLEAN error,
			    BOOLEAN cancel)
{
	PIO_STACK_LOCATION next = IoGetNextIrpStackLocation(irp);

	next->CompletionRoutine = routine;
	next->Context = context;
	next->Control = (UCHAR)((success ? SL_INVOKE_ON_SUCCESS : 0) | (error ? SL_INVOKE_ON_ERROR : 0) |
				(cancel ? SL_INVOKE_ON_CANCEL : 0));
}

void IoMarkIrpPending(PIRP irp)
{
	alive(irp, __func__)->pending_marked = true;
	if (irp->CurrentLocation <= irp->StackCount)
		irp->Tail.Overlay.CurrentStackLocation->Control |= SL_PENDING_RETURNED;
}

NTSTATUS IofCallDriver(PDEVICE_OBJECT device, PIRP irp)
{
	struct nt_irp *nt = alive(irp, __func__);
	struct _KTHREAD *me = current();
	KIRQL irql = me->irql;
	int critical = me->critical;
	unsigned held = me->held_count;
	UCHAR major;
	NTSTATUS status;

	IoSetNextIrpStackLocation(irp);
	irp->Tail.Overlay.CurrentStackLocation->DeviceObject = device;
	major = irp->Tail.Overlay.CurrentStackLocation->MajorFunction;
	nt->references++;
	nt->pending_marked = false;
	nt->dispatches++;
	preempt();
	status = device->DriverObject->MajorFunction[major](device, irp);
	if (me->irql != irql || me->critical != critical || me->held_count != held)
		nt_fail("the dispatch routine for major function %02x returns at IRQL %u (was %u), in %d critical "
			"regions "
			"(%d), with %u locks (%u)",
			major, me->irql, irql, me->critical, critical, me->held_count, held);
	if (status == STATUS_PENDING && !nt->pending_marked)
		nt_fail("major function %02x returns STATUS_PENDING without IoMarkIrpPending", major);
	if (status != STATUS_PENDING && nt->pending_marked)
		nt_fail("major function %02x marks the IRP pending and returns %08x", major, (unsigned)status);
	if (status != STATUS_PENDING && nt->state == IRP_LIVE && !nt->taken_back)
		nt_fail("major function %02x returns %08x and has not completed the IRP", major, (unsigned)status);
	if (status != STATUS_PENDING && nt->completed_with != status)
		nt_fail("major function %02x returns %08x and completed the IRP with %08x", major, (unsigned)status,
			(unsigned)nt->completed_with);
	irp_put(nt);
	return status;
}

void IofCompleteRequest(PIRP irp, CCHAR boost)
{
	struct nt_irp *nt = irp->nt;
	struct nt_request *request;

	if (nt->state != IRP_LIVE)
		nt_fail("an IRP is completed twice");
	if (current()->irql > DISPATCH_LEVEL)
		nt_fail("IoCompleteRequest at IRQL %u", current()->irql);
	locks_none_held("while an IRP is completed", false);
	if (irp->CancelRoutine)
		nt_fail("an IRP is completed while its cancel routine is set");
	if (irp->IoStatus.Status == STATUS_PENDING)
		nt_fail("an IRP is completed with STATUS_PENDING");
	nt->completed_with = irp->IoStatus.Status;
	nt->state = IRP_COMPLETED;
	while (irp->CurrentLocation <= irp->StackCount) {
		PIO_STACK_LOCATION stack = irp->Tail.Overlay.CurrentStackLocation;
		bool invoke = NT_SUCCESS(irp->IoStatus.Status) ? stack->Control & SL_INVOKE_ON_SUCCESS
							       : stack->Control & SL_INVOKE_ON_ERROR;

		if (irp->Cancel && (stack->Control & SL_INVOKE_ON_CANCEL))
			invoke = true;
		irp->PendingReturned = (stack->Control & SL_PENDING_RETURNED) != 0;
		irp->CurrentLocation++;
		irp->Tail.Overlay.CurrentStackLocation++;
		if (invoke && stack->CompletionRoutine) {
			nt->state = IRP_LIVE;
			if (stack->CompletionRoutine(NULL, irp, stack->Context) == STATUS_MORE_PROCESSING_REQUIRED) {
				nt->taken_back = true;
				return;
			}
			nt->state = IRP_COMPLETED;
		}
	}
	request = nt->request;
	if (nt->finish)
		nt->finish(irp);
	if (request)
		request->irp = NULL;
	irp_discard(irp);
	preempt();
}

/* --- Cancellation ---------------------------------------------------------------------------------------- */

void IoAcquireCancelSpinLock(PKIRQL irql)
{
	*irql = KeAcquireSpinLockRaiseToDpc(&cancel_lock);
}

void IoReleaseCancelSpinLock(KIRQL irql)
{
	KeReleaseSpinLock(&cancel_lock, irql);
}

PDRIVER_CANCEL IoSetCancelRoutine(PIRP irp, PDRIVER_CANCEL routine)
{
	PDRIVER_CANCEL former;

	alive(irp, __func__);
	preempt();
	former = irp->CancelRoutine;
	irp->CancelRoutine = routine;
	return former;
}

BOOLEAN IoCancelIrp(PIRP irp)
{
	PDRIVER_CANCEL routine;
	KIRQL irql;

	alive(irp, __func__);
	IoAcquireCancelSpinLock(&irql);
	irp->Cancel = TRUE;
	routine = IoSetCancelRoutine(irp, NULL);
	if (!routine) {
		IoReleaseCancelSpinLock(irql);
		return FALSE;
	}
	irp->CancelIrql = irql;
	routine(irp->CurrentLocation <= irp->StackCount ? irp->Tail.Overlay.CurrentStackLocation->DeviceObject : NULL,
		irp);
	if (lock_is_held(&cancel_lock))
		nt_fail("a cancel routine does not release the cancel spin lock");
	if (current()->irql != irql)
		nt_fail("a cancel routine comes back at IRQL %u, it was %u", current()->irql, irql);
	return TRUE;
}

PEPROCESS IoGetRequestorProcess(PIRP irp)
{
	return IoThreadToProcess(irp->Tail.Overlay.Thread);
}

ULONG IoGetRequestorProcessId(PIRP irp)
{
	return HandleToULong(PsGetProcessId(IoGetRequestorProcess(irp)));
}

BOOLEAN IoIsOperationSynchronous(PIRP irp)
{
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);

	return (stack->FileObject && (stack->FileObject->Flags & FO_SYNCHRONOUS_IO)) ||
	       (irp->Flags & (IRP_SYNCHRONOUS_API | IRP_SYNCHRONOUS_PAGING_IO));
}

/* --- Cancel-safe queues ---------------------------------------------------------------------------------- */

enum { CSQ_PLAIN = 1, CSQ_EX, CSQ_CONTEXT };

static void csq_initialize(PIO_CSQ csq, ULONG type, void *insert, PIO_CSQ_REMOVE_IRP remove, PIO_CSQ_PEEK_NEXT_IRP peek,
			   PIO_CSQ_ACQUIRE_LOCK acquire, PIO_CSQ_RELEASE_LOCK release,
			   PIO_CSQ_COMPLETE_CANCELED_IRP complete)
{
	*csq = (IO_CSQ){type, insert, remove, peek, acquire, release, complete, NULL};
}

NTSTATUS IoCsqInitialize(PIO_CSQ csq, PIO_CSQ_INSERT_IRP insert, PIO_CSQ_REMOVE_IRP remove, PIO_CSQ_PEEK_NEXT_IRP peek,
			 PIO_CSQ_ACQUIRE_LOCK acquire, PIO_CSQ_RELEASE_LOCK release,
			 PIO_CSQ_COMPLETE_CANCELED_IRP complete)
{
	csq_initialize(csq, CSQ_PLAIN, insert, remove, peek, acquire, release, complete);
	return STATUS_SUCCESS;
}

NTSTATUS IoCsqInitializeEx(PIO_CSQ csq, PIO_CSQ_INSERT_IRP_EX insert, PIO_CSQ_REMOVE_IRP remove,
			   PIO_CSQ_PEEK_NEXT_IRP peek, PIO_CSQ_ACQUIRE_LOCK acquire, PIO_CSQ_RELEASE_LOCK release,
			   PIO_CSQ_COMPLETE_CANCELED_IRP complete)
{
	csq_initialize(csq, CSQ_EX, insert, remove, peek, acquire, release, complete);
	return STATUS_SUCCESS;
}

/* DriverContext[3] is the queue, or a context that the caller keeps. */
static void csq_cancel(PDEVICE_OBJECT device, PIRP irp)
{
	void *context = irp->Tail.Overlay.DriverContext[3];
	PIO_CSQ csq;
	KIRQL irql;

	IoReleaseCancelSpinLock(irp->CancelIrql);
	if (*(ULONG *)context == CSQ_CONTEXT) {
		csq = ((PIO_CSQ_IRP_CONTEXT)context)->Csq;
		((PIO_CSQ_IRP_CONTEXT)context)->Irp = NULL;
	} else {
		csq = context;
	}
	csq->CsqAcquireLock(csq, &irql);
	csq->CsqRemoveIrp(csq, irp);
	csq->CsqReleaseLock(csq, irql);
	csq->CsqCompleteCanceledIrp(csq, irp);
}

NTSTATUS IoCsqInsertIrpEx(PIO_CSQ csq, PIRP irp, PIO_CSQ_IRP_CONTEXT context, PVOID insert_context)
{
	NTSTATUS status = STATUS_SUCCESS;
	KIRQL irql;

	if (context) {
		*context = (IO_CSQ_IRP_CONTEXT){CSQ_CONTEXT, irp, csq};
		irp->Tail.Overlay.DriverContext[3] = context;
	} else {
		irp->Tail.Overlay.DriverContext[3] = csq;
	}
	csq->CsqAcquireLock(csq, &irql);
	if (csq->Type == CSQ_EX)
		status = ((PIO_CSQ_INSERT_IRP_EX)csq->insert)(csq, irp, insert_context);
	else
		((PIO_CSQ_INSERT_IRP)csq->insert)(csq, irp);
	if (!NT_SUCCESS(status)) {
		csq->CsqReleaseLock(csq, irql);
		return status;
	}
	IoMarkIrpPending(irp);
	IoSetCancelRoutine(irp, csq_cancel);
	if (irp->Cancel && IoSetCancelRoutine(irp, NULL)) {
		csq->CsqRemoveIrp(csq, irp);
		if (context)
			context->Irp = NULL;
		csq->CsqReleaseLock(csq, irql);
		csq->CsqCompleteCanceledIrp(csq, irp);
		return status;
	}
	csq->CsqReleaseLock(csq, irql);
	return status;
}

void IoCsqInsertIrp(PIO_CSQ csq, PIRP irp, PIO_CSQ_IRP_CONTEXT context)
{
	IoCsqInsertIrpEx(csq, irp, context, NULL);
}

PIRP IoCsqRemoveIrp(PIO_CSQ csq, PIO_CSQ_IRP_CONTEXT context)
{
	PIRP irp;
	KIRQL irql;

	csq->CsqAcquireLock(csq, &irql);
	irp = context->Irp;
	if (irp && IoSetCancelRoutine(irp, NULL)) {
		context->Irp = NULL;
		csq->CsqRemoveIrp(csq, irp);
	} else {
		irp = NULL;
	}
	csq->CsqReleaseLock(csq, irql);
	return irp;
}

PIRP IoCsqRemoveNextIrp(PIO_CSQ csq, PVOID peek_context)
{
	PIRP irp = NULL;
	KIRQL irql;

	csq->CsqAcquireLock(csq, &irql);
	while ((irp = csq->CsqPeekNextIrp(csq, irp, peek_context)) != NULL) {
		if (!IoSetCancelRoutine(irp, NULL))
			continue;
		csq->CsqRemoveIrp(csq, irp);
		break;
	}
	csq->CsqReleaseLock(csq, irql);
	return irp;
}

/* --- Share access ---------------------------------------------------------------------------------------- */

static void share_set(ACCESS_MASK access, ULONG share, PFILE_OBJECT file)
{
	file->ReadAccess = (access & (FILE_READ_DATA | FILE_EXECUTE)) != 0;
	file->WriteAccess = (access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) != 0;
	file->DeleteAccess = (access & DELETE) != 0;
	file->SharedRead = file->SharedWrite = file->SharedDelete = FALSE;
	if (file->ReadAccess || file->WriteAccess || file->DeleteAccess) {
		file->SharedRead = (share & FILE_SHARE_READ) != 0;
		file->SharedWrite = (share & FILE_SHARE_WRITE) != 0;
		file->SharedDelete = (share & FILE_SHARE_DELETE) != 0;
	}
}

static void share_count(PFILE_OBJECT file, PSHARE_ACCESS state, ULONG by)
{
	if (!file->ReadAccess && !file->WriteAccess && !file->DeleteAccess)
		return;
	state->OpenCount += by;
	state->Readers += file->ReadAccess * by;
	state->Writers += file->WriteAccess * by;
	state->Deleters += file->DeleteAccess * by;
	state->SharedRead += file->SharedRead * by;
	state->SharedWrite += file->SharedWrite * by;
	state->SharedDelete += file->SharedDelete * by;
}

NTSTATUS IoCheckShareAccess(ACCESS_MASK access, ULONG share, PFILE_OBJECT file, PSHARE_ACCESS state, BOOLEAN update)
{
	share_set(access, share, file);
	if (file->ReadAccess || file->WriteAccess || file->DeleteAccess) {
		if ((file->ReadAccess && state->SharedRead < state->OpenCount) ||
		    (file->WriteAccess && state->SharedWrite < state->OpenCount) ||
		    (file->DeleteAccess && state->SharedDelete < state->OpenCount) ||
		    (state->Readers && !file->SharedRead) || (state->Writers && !file->SharedWrite) ||
		    (state->Deleters && !file->SharedDelete))
			return STATUS_SHARING_VIOLATION;
	}
	if (update)
		share_count(file, state, 1);
	return STATUS_SUCCESS;
}

void IoSetShareAccess(ACCESS_MASK access, ULONG share, PFILE_OBJECT file, PSHARE_ACCESS state)
{
	share_set(access, share, file);
	memset(state, 0, sizeof(*state));
	share_count(file, state, 1);
}

void IoUpdateShareAccess(PFILE_OBJECT file, PSHARE_ACCESS state)
{
	share_count(file, state, 1);
}

void IoRemoveShareAccess(PFILE_OBJECT file, PSHARE_ACCESS state)
{
	if ((file->ReadAccess || file->WriteAccess || file->DeleteAccess) && state->OpenCount == 0)
		nt_fail("IoRemoveShareAccess: nobody has the file open");
	share_count(file, state, (ULONG)-1);
}
