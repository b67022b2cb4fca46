/* SPDX-License-Identifier: MIT */
/* filelock.c - byte-range locks: granted ones in a list, IRPs that wait in another. */
#include "internal.h"

#define TAG_LOCK 0x6b636f4cu

struct range {
	LIST_ENTRY entry;
	FILE_LOCK_INFO info;
};

void FsRtlInitializeFileLock(PFILE_LOCK lock, PCOMPLETE_LOCK_IRP_ROUTINE complete, PUNLOCK_ROUTINE unlock)
{
	ATOMIC;
	*lock = (FILE_LOCK){.CompleteLockIrpRoutine = complete, .UnlockRoutine = unlock, .magic = MAGIC_LOCKS};
	InitializeListHead(&lock->locks);
	InitializeListHead(&lock->waiters);
}

static void check(PFILE_LOCK lock)
{
	if (lock->magic != MAGIC_LOCKS)
		nt_fail("a file lock was never initialised");
}

void FsRtlUninitializeFileLock(PFILE_LOCK lock)
{
	ATOMIC;
	check(lock);
	if (!IsListEmpty(&lock->waiters))
		nt_fail("FsRtlUninitializeFileLock: somebody waits for a lock");
	while (!IsListEmpty(&lock->locks)) {
		struct range *range = CONTAINING_RECORD(RemoveHeadList(&lock->locks), struct range, entry);

		free(range);
	}
	lock->magic = 0;
}

PFILE_LOCK FsRtlAllocateFileLock(PCOMPLETE_LOCK_IRP_ROUTINE complete, PUNLOCK_ROUTINE unlock)
{
	ATOMIC;
	PFILE_LOCK lock = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*lock), TAG_LOCK);

	if (lock)
		FsRtlInitializeFileLock(lock, complete, unlock);
	return lock;
}

void FsRtlFreeFileLock(PFILE_LOCK lock)
{
	ATOMIC;
	FsRtlUninitializeFileLock(lock);
	ExFreePoolWithTag(lock, TAG_LOCK);
}

static bool overlap(const FILE_LOCK_INFO *info, ULONGLONG start, ULONGLONG length)
{
	ULONGLONG begin = (ULONGLONG)info->StartingByte.QuadPart, size = (ULONGLONG)info->Length.QuadPart;

	return size && length && begin <= start + (length - 1) && start <= begin + (size - 1);
}

static bool grantable(PFILE_LOCK lock, const FILE_LOCK_INFO *wanted)
{
	for (LIST_ENTRY *at = lock->locks.Flink; at != &lock->locks; at = at->Flink) {
		const FILE_LOCK_INFO *info = &CONTAINING_RECORD(at, struct range, entry)->info;

		if ((wanted->ExclusiveLock || info->ExclusiveLock) &&
		    overlap(info, (ULONGLONG)wanted->StartingByte.QuadPart, (ULONGLONG)wanted->Length.QuadPart))
			return false;
	}
	return true;
}

static FILE_LOCK_INFO info_of(PIRP irp)
{
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);

	return (FILE_LOCK_INFO){.StartingByte = stack->Parameters.LockControl.ByteOffset,
				.Length = *stack->Parameters.LockControl.Length,
				.ExclusiveLock = (stack->Flags & SL_EXCLUSIVE_LOCK) != 0,
				.Key = stack->Parameters.LockControl.Key,
				.FileObject = stack->FileObject,
				.ProcessId = IoGetRequestorProcess(irp)};
}

static NTSTATUS finish(PFILE_LOCK lock, PIRP irp, NTSTATUS status, void *context)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = 0;
	if (lock->CompleteLockIrpRoutine)
		return lock->CompleteLockIrpRoutine(context, irp);
	IoCompleteRequest(irp, IO_DISK_INCREMENT);
	return status;
}

static void grant(PFILE_LOCK lock, const FILE_LOCK_INFO *info)
{
	struct range *range = take(sizeof(*range));

	range->info = *info;
	InsertTailList(&lock->locks, &range->entry);
}

/* DriverContext: 0 the lock, 1 the caller's context. */
static void cancel_waiter(PDEVICE_OBJECT device, PIRP irp)
{
	ATOMIC;
	PFILE_LOCK lock = irp->Tail.Overlay.DriverContext[0];

	IoReleaseCancelSpinLock(irp->CancelIrql);
	RemoveEntryList(&irp->Tail.Overlay.ListEntry);
	finish(lock, irp, STATUS_CANCELLED, irp->Tail.Overlay.DriverContext[1]);
}

static void wake(PFILE_LOCK lock)
{
	for (LIST_ENTRY *at = lock->waiters.Flink, *next; at != &lock->waiters; at = next) {
		PIRP irp = CONTAINING_RECORD(at, IRP, Tail.Overlay.ListEntry);
		FILE_LOCK_INFO info = info_of(irp);

		next = at->Flink;
		if (!grantable(lock, &info) || !IoSetCancelRoutine(irp, NULL))
			continue;
		RemoveEntryList(at);
		grant(lock, &info);
		finish(lock, irp, STATUS_SUCCESS, irp->Tail.Overlay.DriverContext[1]);
		next = lock->waiters.Flink;
	}
}

static NTSTATUS unlock_where(PFILE_LOCK lock, PFILE_OBJECT file, const FILE_LOCK_INFO *one, bool by_key, ULONG key,
			     PEPROCESS process, void *context)
{
	bool any = false;

	for (LIST_ENTRY *at = lock->locks.Flink, *next; at != &lock->locks; at = next) {
		struct range *range = CONTAINING_RECORD(at, struct range, entry);

		next = at->Flink;
		if (range->info.FileObject != file || (process && range->info.ProcessId != process))
			continue;
		if ((by_key || one) && range->info.Key != key)
			continue;
		if (one && (range->info.StartingByte.QuadPart != one->StartingByte.QuadPart ||
			    range->info.Length.QuadPart != one->Length.QuadPart))
			continue;
		RemoveEntryList(at);
		if (lock->UnlockRoutine)
			lock->UnlockRoutine(context, &range->info);
		free(range);
		any = true;
		if (one)
			break;
	}
	wake(lock);
	return any || !one ? STATUS_SUCCESS : STATUS_RANGE_NOT_LOCKED;
}

NTSTATUS FsRtlProcessFileLock(PFILE_LOCK lock, PIRP irp, PVOID context)
{
	ATOMIC;
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
	FILE_LOCK_INFO info;

	irql_at_most(APC_LEVEL, __func__);
	check(lock);
	switch (stack->MinorFunction) {
	case IRP_MN_LOCK:
		info = info_of(irp);
		if (fault())
			return finish(lock, irp, STATUS_INSUFFICIENT_RESOURCES, context);
		if ((ULONGLONG)info.Length.QuadPart &&
		    (ULONGLONG)info.StartingByte.QuadPart + ((ULONGLONG)info.Length.QuadPart - 1) <
			    (ULONGLONG)info.StartingByte.QuadPart)
			return finish(lock, irp, STATUS_INVALID_LOCK_RANGE, context);
		if (grantable(lock, &info)) {
			grant(lock, &info);
			return finish(lock, irp, STATUS_SUCCESS, context);
		}
		if (stack->Flags & SL_FAIL_IMMEDIATELY)
			return finish(lock, irp, STATUS_LOCK_NOT_GRANTED, context);
		IoMarkIrpPending(irp);
		irp->Tail.Overlay.DriverContext[0] = lock;
		irp->Tail.Overlay.DriverContext[1] = context;
		InsertTailList(&lock->waiters, &irp->Tail.Overlay.ListEntry);
		IoSetCancelRoutine(irp, cancel_waiter);
		if (irp->Cancel && IoSetCancelRoutine(irp, NULL)) {
			RemoveEntryList(&irp->Tail.Overlay.ListEntry);
			finish(lock, irp, STATUS_CANCELLED, context);
		}
		return STATUS_PENDING;
	case IRP_MN_UNLOCK_SINGLE:
		info = info_of(irp);
		return finish(lock, irp,
			      unlock_where(lock, stack->FileObject, &info, false, info.Key, info.ProcessId, context),
			      context);
	case IRP_MN_UNLOCK_ALL:
		return finish(
			lock, irp,
			unlock_where(lock, stack->FileObject, NULL, false, 0, IoGetRequestorProcess(irp), context),
			context);
	case IRP_MN_UNLOCK_ALL_BY_KEY:
		return finish(lock, irp,
			      unlock_where(lock, stack->FileObject, NULL, true, stack->Parameters.LockControl.Key,
					   IoGetRequestorProcess(irp), context),
			      context);
	default:
		return finish(lock, irp, STATUS_INVALID_DEVICE_REQUEST, context);
	}
}

static BOOLEAN allowed(PFILE_LOCK lock, ULONGLONG start, ULONGLONG length, ULONG key, PFILE_OBJECT file, PVOID process,
		       bool write)
{
	check(lock);
	for (LIST_ENTRY *at = lock->locks.Flink; at != &lock->locks; at = at->Flink) {
		const FILE_LOCK_INFO *info = &CONTAINING_RECORD(at, struct range, entry)->info;
		bool mine = info->FileObject == file && info->ProcessId == process && info->Key == key;

		if (overlap(info, start, length) && (info->ExclusiveLock ? !mine : write))
			return FALSE;
	}
	return TRUE;
}

static BOOLEAN allowed_irp(PFILE_LOCK lock, PIRP irp, bool write)
{
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);

	if (irp->Flags & IRP_PAGING_IO)
		return TRUE;
	return allowed(lock, (ULONGLONG)stack->Parameters.Read.ByteOffset.QuadPart, stack->Parameters.Read.Length,
		       stack->Parameters.Read.Key, stack->FileObject, IoGetRequestorProcess(irp), write);
}

BOOLEAN FsRtlCheckLockForReadAccess(PFILE_LOCK lock, PIRP irp)
{
	ATOMIC;
	return allowed_irp(lock, irp, false);
}

BOOLEAN FsRtlCheckLockForWriteAccess(PFILE_LOCK lock, PIRP irp)
{
	ATOMIC;
	return allowed_irp(lock, irp, true);
}

BOOLEAN FsRtlFastCheckLockForRead(PFILE_LOCK lock, PLARGE_INTEGER start, PLARGE_INTEGER length, ULONG key,
				  PFILE_OBJECT file, PVOID process)
{
	ATOMIC;
	return allowed(lock, (ULONGLONG)start->QuadPart, (ULONGLONG)length->QuadPart, key, file, process, false);
}

BOOLEAN FsRtlFastCheckLockForWrite(PFILE_LOCK lock, PLARGE_INTEGER start, PLARGE_INTEGER length, ULONG key,
				   PFILE_OBJECT file, PVOID process)
{
	ATOMIC;
	return allowed(lock, (ULONGLONG)start->QuadPart, (ULONGLONG)length->QuadPart, key, file, process, true);
}

NTSTATUS FsRtlFastUnlockAll(PFILE_LOCK lock, PFILE_OBJECT file, PEPROCESS process, PVOID context)
{
	ATOMIC;
	check(lock);
	/* Those of this file object who wait get nothing any more. */
	for (LIST_ENTRY *at = lock->waiters.Flink, *next; at != &lock->waiters; at = next) {
		PIRP irp = CONTAINING_RECORD(at, IRP, Tail.Overlay.ListEntry);

		next = at->Flink;
		if (IoGetCurrentIrpStackLocation(irp)->FileObject != file || !IoSetCancelRoutine(irp, NULL))
			continue;
		RemoveEntryList(at);
		finish(lock, irp, STATUS_RANGE_NOT_LOCKED, irp->Tail.Overlay.DriverContext[1]);
		next = lock->waiters.Flink;
	}
	return unlock_where(lock, file, NULL, false, 0, process, context);
}

BOOLEAN FsRtlAreThereCurrentFileLocks(PFILE_LOCK lock)
{
	ATOMIC;
	return !IsListEmpty(&lock->locks);
}
