/* SPDX-License-Identifier: MIT */
/*
 * notify.c - change notification of folders
 *
 * A watch is a folder of one open (context), kept in the file system's own list. It collects changes while no IRP
 * waits; what does not fit is answered by STATUS_NOTIFY_ENUM_DIR. A NULL IRP of a context is a cleanup in disguise: not
 * known here.
 */
#include "internal.h"

#define TAG_NOTIFY 0x79746f4eu

struct change {
	struct change *next;
	ULONG action, length;
	WCHAR name[];
};

struct watch {
	LIST_ENTRY entry;
	void *context;
	bool tree, ignore, overflow, cleaned;
	ULONG filter;
	STRING *name; /* the file system's memory: the watch needs it until cleanup */
	LIST_ENTRY irps;
	struct change *first, **last;
	PCHECK_FOR_TRAVERSE_ACCESS traverse;
};

struct _REAL_NOTIFY_SYNC {
	ULONG magic;
};

void FsRtlNotifyInitializeSync(PNOTIFY_SYNC *sync)
{
	ATOMIC;
	irql_at_most(APC_LEVEL, __func__);
	*sync = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(**sync), TAG_NOTIFY);
	if (!*sync)
		ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
	(*sync)->magic = TAG_NOTIFY;
}

void FsRtlNotifyUninitializeSync(PNOTIFY_SYNC *sync)
{
	ATOMIC;
	if (*sync)
		ExFreePoolWithTag(*sync, TAG_NOTIFY);
	*sync = NULL;
}

static void changes_drop(struct watch *watch)
{
	while (watch->first) {
		struct change *change = watch->first;

		watch->first = change->next;
		free(change);
	}
	watch->last = &watch->first;
}

static void notify_cancel(PDEVICE_OBJECT device, PIRP irp)
{
	ATOMIC;
	IoReleaseCancelSpinLock(irp->CancelIrql);
	RemoveEntryList(&irp->Tail.Overlay.ListEntry);
	irp->IoStatus.Status = STATUS_CANCELLED;
	irp->IoStatus.Information = 0;
	IoCompleteRequest(irp, IO_DISK_INCREMENT);
}

static void complete(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = information;
	IoCompleteRequest(irp, IO_DISK_INCREMENT);
}

/* The changes as FILE_NOTIFY_INFORMATION, into the buffer that the IRP has. */
static void deliver(struct watch *watch, PIRP irp)
{
	PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
	ULONG room = stack->Parameters.NotifyDirectory.Length, used = 0, last = 0;
	char *buffer = irp->MdlAddress			 ? MmGetMdlVirtualAddress(irp->MdlAddress)
		       : irp->AssociatedIrp.SystemBuffer ? irp->AssociatedIrp.SystemBuffer
							 : irp->UserBuffer;
	bool fits = !watch->overflow && !watch->ignore && room && buffer;

	for (struct change *change = watch->first; change && fits; change = change->next) {
		ULONG size = (ULONG)offsetof(FILE_NOTIFY_INFORMATION, FileName) + change->length;
		FILE_NOTIFY_INFORMATION *out;

		used = (used + 3) & ~3u;
		fits = used + size <= room;
		if (!fits)
			break;
		out = (void *)(buffer + used);
		if (used) {
			FILE_NOTIFY_INFORMATION *before = (void *)(buffer + last);

			before->NextEntryOffset = used - last;
			memset((char *)before + offsetof(FILE_NOTIFY_INFORMATION, FileName) + before->FileNameLength, 0,
			       used - last - offsetof(FILE_NOTIFY_INFORMATION, FileName) - before->FileNameLength);
		}
		out->NextEntryOffset = 0;
		out->Action = change->action;
		out->FileNameLength = change->length;
		memcpy(out->FileName, change->name, change->length);
		last = used;
		used += size;
	}
	watch->overflow = false;
	changes_drop(watch);
	complete(irp, fits ? STATUS_SUCCESS : STATUS_NOTIFY_ENUM_DIR, fits ? used : 0);
}

static struct watch *watch_find(PLIST_ENTRY list, void *context)
{
	for (LIST_ENTRY *at = list->Flink; at != list; at = at->Flink)
		if (CONTAINING_RECORD(at, struct watch, entry)->context == context)
			return CONTAINING_RECORD(at, struct watch, entry);
	return NULL;
}

void FsRtlNotifyFullChangeDirectory(PNOTIFY_SYNC sync, PLIST_ENTRY list, PVOID context, PSTRING name, BOOLEAN tree,
				    BOOLEAN ignore, ULONG filter, PIRP irp, PCHECK_FOR_TRAVERSE_ACCESS traverse,
				    PSECURITY_SUBJECT_CONTEXT subject)
{
	ATOMIC;
	struct watch *watch = watch_find(list, context);

	irql_at_most(APC_LEVEL, __func__);
	if (!sync || sync->magic != TAG_NOTIFY)
		nt_fail("FsRtlNotifyFullChangeDirectory: sync is not initialised");
	if (!irp)
		return;
	if (watch && watch->cleaned) {
		complete(irp, STATUS_NOTIFY_CLEANUP, 0);
		return;
	}
	if (!watch) {
		if (fault())
			ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
		watch = take(sizeof(*watch));
		watch->context = context;
		watch->tree = tree;
		watch->ignore = ignore;
		watch->filter = filter;
		watch->name = name;
		watch->traverse = traverse;
		watch->last = &watch->first;
		InitializeListHead(&watch->irps);
		InsertTailList(list, &watch->entry);
	}
	IoMarkIrpPending(irp);
	if (watch->first || watch->overflow) {
		deliver(watch, irp);
		return;
	}
	InsertTailList(&watch->irps, &irp->Tail.Overlay.ListEntry);
	IoSetCancelRoutine(irp, notify_cancel);
	if (irp->Cancel && IoSetCancelRoutine(irp, NULL)) {
		RemoveEntryList(&irp->Tail.Overlay.ListEntry);
		complete(irp, STATUS_CANCELLED, 0);
	}
}

void FsRtlNotifyFilterChangeDirectory(PNOTIFY_SYNC sync, PLIST_ENTRY list, PVOID context, PSTRING name, BOOLEAN tree,
				      BOOLEAN ignore, ULONG filter, PIRP irp, PCHECK_FOR_TRAVERSE_ACCESS traverse,
				      PSECURITY_SUBJECT_CONTEXT subject, PFILTER_REPORT_CHANGE report)
{
	ATOMIC;
	FsRtlNotifyFullChangeDirectory(sync, list, context, name, tree, ignore, filter, irp, traverse, subject);
}

static bool below(const struct watch *watch, const STRING *name, USHORT last)
{
	const uint16_t *folder = (const uint16_t *)(const void *)watch->name->Buffer,
		       *whole = (const void *)name->Buffer;
	unsigned n = watch->name->Length / 2u, parent = last / 2u;

	if (n > 1 && folder[n - 1] == '\\')
		n--;
	if (n == 1) /* the root */
		return watch->tree || parent <= 1;
	if (n > name->Length / 2u)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (upcase(folder[i]) != upcase(whole[i]))
			return false;
	return watch->tree ? whole[n] == '\\' : parent == n + 1;
}

void FsRtlNotifyFullReportChange(PNOTIFY_SYNC sync, PLIST_ENTRY list, PSTRING name, USHORT last, PSTRING stream,
				 PSTRING parent, ULONG filter, ULONG action, PVOID target)
{
	ATOMIC;
	irql_at_most(APC_LEVEL, __func__);
	if (last > name->Length)
		nt_fail("FsRtlNotifyFullReportChange: the last name lies outside of the path");
	for (LIST_ENTRY *at = list->Flink, *next; at != list; at = next) {
		struct watch *watch = CONTAINING_RECORD(at, struct watch, entry);
		unsigned skip;
		struct change *change;
		ULONG length;

		next = at->Flink;
		if (watch->cleaned || !(watch->filter & filter) || !below(watch, name, last))
			continue;
		skip = watch->name->Length == 2 ? 2 : watch->name->Length + 2u;
		length = name->Length - skip;
		change = take(sizeof(*change) + length);
		change->action = action;
		change->length = length;
		memcpy(change->name, name->Buffer + skip, length);
		*watch->last = change;
		watch->last = &change->next;
		while (!IsListEmpty(&watch->irps)) {
			PIRP irp = CONTAINING_RECORD(RemoveHeadList(&watch->irps), IRP, Tail.Overlay.ListEntry);

			InitializeListHead(&irp->Tail.Overlay.ListEntry);
			if (!IoSetCancelRoutine(irp, NULL))
				continue;
			deliver(watch, irp);
			break;
		}
	}
}

void FsRtlNotifyFilterReportChange(PNOTIFY_SYNC sync, PLIST_ENTRY list, PSTRING name, USHORT last, PSTRING stream,
				   PSTRING parent, ULONG filter, ULONG action, PVOID target, PVOID filter_context)
{
	ATOMIC;
	FsRtlNotifyFullReportChange(sync, list, name, last, stream, parent, filter, action, target);
}

static void watch_end(struct watch *watch)
{
	RemoveEntryList(&watch->entry);
	while (!IsListEmpty(&watch->irps)) {
		PIRP irp = CONTAINING_RECORD(RemoveHeadList(&watch->irps), IRP, Tail.Overlay.ListEntry);

		InitializeListHead(&irp->Tail.Overlay.ListEntry);
		if (IoSetCancelRoutine(irp, NULL))
			complete(irp, STATUS_NOTIFY_CLEANUP, 0);
	}
	changes_drop(watch);
	free(watch);
}

void FsRtlNotifyCleanup(PNOTIFY_SYNC sync, PLIST_ENTRY list, PVOID context)
{
	ATOMIC;
	struct watch *watch = watch_find(list, context);

	irql_at_most(APC_LEVEL, __func__);
	if (watch)
		watch_end(watch);
}

void FsRtlNotifyCleanupAll(PNOTIFY_SYNC sync, PLIST_ENTRY list)
{
	ATOMIC;
	irql_at_most(APC_LEVEL, __func__);
	while (!IsListEmpty(list))
		watch_end(CONTAINING_RECORD(list->Flink, struct watch, entry));
}
