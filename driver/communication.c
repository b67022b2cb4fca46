// SPDX-License-Identifier: MIT
/*
 * communication.c - the communication device: a service comes, works, and goes
 *
 * The handle that says START is the service's; only by it come buffers, answers and STOP, until STOP or until the
 * handle is closed. It is known by its file object, which is compared only. Cleanup, which comes when the last handle
 * is closed, and close, which comes when nothing refers to the file object any more, do the same: whichever is seen
 * first.
 *
 * PASSIVE_LEVEL, but the timer's routine: DISPATCH_LEVEL.
 */
#include "driver/driveway.h"

#define FS_SECOND (-10000000LL) /* of a timer, from now on */

static KDEFERRED_ROUTINE FSServiceExpired;

/* Patience is over: what waits ends. DISPATCH_LEVEL */
static void NTAPI FSServiceExpired(KDPC *dpc, void *context, void *first, void *second)
{
	struct fs_service *service = context;

	KeAcquireSpinLockAtDpcLevel(&service->lock);
	if (service->state == FS_SERVICE_LOST) {
		service->state = FS_SERVICE_NONE;
		FSRequestFailHeld(service, NULL, STATUS_DEVICE_NOT_READY);
	}
	KeReleaseSpinLockFromDpcLevel(&service->lock);
}

NTSTATUS FSServiceInitialize(struct fs_service *service)
{
	LARGE_INTEGER now;
	UUID seeds[2];

	RtlZeroMemory(service, sizeof(*service));
	KeInitializeSpinLock(&service->lock);
	InitializeListHead(&service->offers);
	InitializeListHead(&service->restore);
	InitializeListHead(&service->reopen);
	InitializeListHead(&service->queued);
	InitializeListHead(&service->sent);
	InitializeListHead(&service->doomed);
	for (uint32_t i = 0; i < FS_BUCKETS; i++)
		InitializeListHead(&service->table[i]);
	KeInitializeTimer(&service->timer);
	KeInitializeDpc(&service->expired, FSServiceExpired, service);
	KeInitializeEvent(&service->swept, NotificationEvent, TRUE);
	for (uint32_t i = 0; i < RTL_NUMBER_OF(seeds); i++) {
		NTSTATUS status = ExUuidCreate(&seeds[i]);

		if (!NT_SUCCESS(status))
			return status;
		RtlCopyMemory(&service->key[i], (const uint8_t *)&seeds[i] + sizeof(uint64_t) * i, sizeof(uint64_t));
	}
	now = KeQueryPerformanceCounter(NULL);
	service->key[0] ^= (uint64_t)now.QuadPart << 20 ^ (uint64_t)(ULONG_PTR)&now;
	KeQuerySystemTime(&now);
	service->key[1] ^= (uint64_t)now.QuadPart ^ (uint64_t)(ULONG_PTR)FSDriver.object << 16;
	service->sweeper = IoAllocateWorkItem(FSDriver.communication);
	return service->sweeper != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* At unload no handle is open: nothing comes in any more. */
void FSServiceEnd(void)
{
	struct fs_service *service = &FSDriver.service;
	KIRQL irql;

	if (service->sweeper == NULL)
		return;
	KeCancelTimer(&service->timer);
	KeFlushQueuedDpcs();
	KeAcquireSpinLock(&service->lock, &irql);
	service->state = FS_SERVICE_NONE;
	FSRequestFailHeld(service, NULL, STATUS_DEVICE_NOT_READY);
	KeReleaseSpinLock(&service->lock, irql);
	KeWaitForSingleObject(&service->swept, Executive, KernelMode, FALSE, NULL);
	IoFreeWorkItem(service->sweeper);
	service->sweeper = NULL;
}

/* Under service.lock: what a service that is gone was given waits for the next one, if that can do anything with it. */
void FSRequestRequeue(struct fs_service *service, struct fs_pending *p)
{
	uint32_t type = p->request.type;

	if (p->abandoned || p->restores || type == FS_CANCEL || type == FS_CLOSE || type == FS_DISK_REMOVED) {
		FSRequestDoom(p, p->restores ? STATUS_DEVICE_NOT_READY : STATUS_FILE_CLOSED);
		return;
	}
	RemoveEntryList(&p->link);
	RemoveEntryList(&p->bucket);
	InitializeListHead(&p->bucket);
	p->state = FS_STATE_QUEUED;
	InsertHeadList(&service->queued, &p->link);
}

/* Under service.lock: closes and the like that were not sent yet are void, too. */
static void FSServiceForget(struct fs_service *service)
{
	LIST_ENTRY *at = service->queued.Flink;

	while (at != &service->queued) {
		struct fs_pending *p = CONTAINING_RECORD(at, struct fs_pending, link);
		uint32_t type = p->request.type;

		at = at->Flink;
		if (type == FS_CANCEL || type == FS_CLOSE || type == FS_DISK_REMOVED)
			FSRequestDoom(p, STATUS_FILE_CLOSED);
	}
	for (at = service->sent.Blink; at != &service->sent;) {
		struct fs_pending *p = CONTAINING_RECORD(at, struct fs_pending, link);

		at = at->Blink;
		if (p->state == FS_STATE_SENT) /* SENDING: the pump sees it */
			FSRequestRequeue(service, p);
	}
	while (!IsListEmpty(&service->restore))
		FSRequestDoom(CONTAINING_RECORD(service->restore.Flink, struct fs_pending, link),
			      STATUS_DEVICE_NOT_READY);
	while (!IsListEmpty(&service->reopen))
		FSRequestDoom(CONTAINING_RECORD(service->reopen.Flink, struct fs_pending, link),
			      STATUS_DEVICE_NOT_READY);
}

static void FSOffersEnd(struct fs_service *service, const FILE_OBJECT *object)
{
	for (;;) {
		IRP *irp;
		KIRQL irql;

		KeAcquireSpinLock(&service->lock, &irql);
		irp = FSOfferTake(service, object);
		KeReleaseSpinLock(&service->lock, irql);
		if (irp == NULL)
			return;
		FSComplete(irp, STATUS_CANCELLED, 0);
	}
}

/* The service's handle is gone: patience begins. */
static void FSServiceLost(const FILE_OBJECT *object)
{
	struct fs_service *service = &FSDriver.service;
	KIRQL irql;

	KeAcquireSpinLock(&service->lock, &irql);
	if (service->owner == object) {
		service->owner = NULL;
		if (service->patience > 0) {
			LARGE_INTEGER due = {.QuadPart = FS_SECOND * service->patience};

			service->state = FS_SERVICE_LOST;
			FSServiceForget(service);
			KeSetTimer(&service->timer, due, &service->expired);
		} else {
			service->state = FS_SERVICE_NONE;
			FSRequestFailHeld(service, NULL, STATUS_DEVICE_NOT_READY);
		}
	}
	KeReleaseSpinLock(&service->lock, irql);
	FSOffersEnd(service, object);
}

static NTSTATUS FSServiceStop(struct fs_call *call)
{
	struct fs_service *service = &FSDriver.service;
	NTSTATUS status = STATUS_INVALID_DEVICE_STATE;
	KIRQL irql;

	KeAcquireSpinLock(&service->lock, &irql);
	if (service->owner == call->stack->FileObject) {
		service->owner = NULL;
		service->state = FS_SERVICE_NONE;
		FSRequestFailHeld(service, NULL, STATUS_DEVICE_NOT_READY);
		status = STATUS_SUCCESS;
	}
	KeReleaseSpinLock(&service->lock, irql);
	if (NT_SUCCESS(status))
		FSOffersEnd(service, call->stack->FileObject);
	return status;
}

static void FSRestoreMove(LIST_ENTRY *from, LIST_ENTRY *to, struct fs_service *service)
{
	while (!IsListEmpty(from)) {
		struct fs_pending *p = CONTAINING_RECORD(RemoveHeadList(from), struct fs_pending, link);

		p->state = FS_STATE_QUEUED;
		p->generation = service->generation;
		InsertTailList(to, &p->link);
	}
}

static NTSTATUS FSServiceStart(struct fs_call *call)
{
	struct fs_service *service = &FSDriver.service;
	FILE_OBJECT *object = call->stack->FileObject;
	struct fs_started started = {.version = FS_PROTOCOL_VERSION};
	enum fs_service_state before;
	struct fs_start start;
	LIST_ENTRY disks, files;
	NTSTATUS status;
	BOOLEAN lost;
	KIRQL irql;

	if (call->stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(start) ||
	    call->stack->Parameters.DeviceIoControl.OutputBufferLength < sizeof(started))
		return STATUS_INVALID_PARAMETER;
	RtlCopyMemory(&start, call->irp->AssociatedIrp.SystemBuffer, sizeof(start));
	if (start.version != FS_PROTOCOL_VERSION)
		return STATUS_REVISION_MISMATCH;
	if (start.patience > FS_PATIENCE_MAX)
		return STATUS_INVALID_PARAMETER;

	KeAcquireSpinLock(&service->lock, &irql);
	before = service->state;
	status = service->owner != NULL ? STATUS_DEVICE_BUSY : STATUS_SUCCESS;
	if (NT_SUCCESS(status)) {
		KeCancelTimer(&service->timer);
		service->owner = object;
		service->state = FS_SERVICE_RESTORING;
		service->generation++;
		service->unrestored = 1; /* ours, until the lists are there */
		service->patience = start.patience;
	}
	KeReleaseSpinLock(&service->lock, irql);
	if (!NT_SUCCESS(status))
		return status;

	status = FSRestoreMake(&disks, &files, &started.disks);
	KeAcquireSpinLock(&service->lock, &irql);
	lost = service->owner != object; /* the handle was closed meanwhile */
	if (!lost && NT_SUCCESS(status)) {
		service->unrestored += started.disks;
		FSRestoreMove(&disks, &service->restore, service);
		FSRestoreMove(&files, &service->reopen, service);
	} else if (!lost) {
		service->owner = NULL;
		service->state = before;
		if (before == FS_SERVICE_LOST) {
			LARGE_INTEGER due = {.QuadPart = FS_SECOND * service->patience};

			KeSetTimer(&service->timer, due, &service->expired);
		}
	}
	KeReleaseSpinLock(&service->lock, irql);
	if (lost && NT_SUCCESS(status))
		status = STATUS_CANCELLED;
	if (!NT_SUCCESS(status)) {
		FSRestoreFree(&disks);
		FSRestoreFree(&files);
		return status;
	}
	FSRestoreStep(service->generation);
	RtlCopyMemory(call->irp->AssociatedIrp.SystemBuffer, &started, sizeof(started));
	call->irp->IoStatus.Information = sizeof(started);
	return STATUS_SUCCESS;
}

/* The service offers a buffer; it is completed when there is a request. */
static NTSTATUS FSServiceOffer(struct fs_call *call)
{
	struct fs_service *service = &FSDriver.service;
	IRP *irp = call->irp;
	NTSTATUS status = STATUS_PENDING;
	void *buffer;
	KIRQL irql;

	if (call->stack->Parameters.DeviceIoControl.OutputBufferLength < FS_REQUEST_MAX || irp->MdlAddress == NULL ||
	    MmGetMdlByteCount(irp->MdlAddress) < FS_REQUEST_MAX)
		return STATUS_BUFFER_TOO_SMALL;
	buffer = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute);
	if (buffer == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	irp->Tail.Overlay.DriverContext[0] = buffer;
	KeAcquireSpinLock(&service->lock, &irql);
	if (service->owner != call->stack->FileObject)
		status = STATUS_INVALID_DEVICE_STATE;
	else if (service->offer_count >= FS_OFFERS_MAX)
		status = STATUS_TOO_MANY_COMMANDS;
	if (status == STATUS_PENDING) {
		IoMarkIrpPending(irp);
		call->taken = TRUE;
		if (!FSOfferInsert(service, irp, FALSE))
			status = STATUS_CANCELLED;
	}
	KeReleaseSpinLock(&service->lock, irql);
	if (status == STATUS_CANCELLED)
		FSComplete(irp, status, 0);
	if (call->taken) {
		FSServicePump(service);
		return STATUS_PENDING;
	}
	return status;
}

static NTSTATUS FSCommunicationControl(struct fs_call *call)
{
	switch (call->stack->Parameters.DeviceIoControl.IoControlCode) {
	case IOCTL_FS_START:
		return FSServiceStart(call);
	case IOCTL_FS_STOP:
		return FSServiceStop(call);
	case IOCTL_FS_SEND_REQUEST:
		return FSServiceOffer(call);
	case IOCTL_FS_RECEIVE_RESPONSE:
		return FSServiceAnswer(call);
	case IOCTL_FS_FILE_CACHE_CONTROL:
		return FSFileCacheControl(call);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}

NTSTATUS FSCommunicationDevice(struct fs_call *call)
{
	switch (call->stack->MajorFunction) {
	case IRP_MJ_CREATE:
		return FSDeviceOpened(call);
	case IRP_MJ_CLEANUP:
	case IRP_MJ_CLOSE:
		FSServiceLost(call->stack->FileObject);
		return STATUS_SUCCESS;
	case IRP_MJ_DEVICE_CONTROL:
		return FSCommunicationControl(call);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}
