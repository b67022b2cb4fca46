// SPDX-License-Identifier: MIT
/*
 * service.c - requests out, answers in
 *
 * FSServicePump pairs buffers that the service has offered with requests that are queued. Both are taken under
 * service.lock, the copy is made without it, and then the request is SENT, before the service's buffer is completed:
 * its answer cannot come earlier. What happened to the service or the drive meanwhile is looked at under the lock
 * again.
 *
 * FSServiceAnswer takes an answer. Everything in it that can be checked against the request is checked before the
 * request is taken out of the table, so that a refused answer changes nothing: the request waits on for a better one.
 *
 * The pump: <= DISPATCH_LEVEL, PASSIVE_LEVEL as a rule. Answers: PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static DRIVER_CANCEL FSOfferCancel;

/* A buffer's IRP is cancelled: the service ends one of its threads, or goes. */
static void NTAPI FSOfferCancel(DEVICE_OBJECT *device, IRP *irp)
{
	struct fs_service *service = &FSDriver.service;
	KIRQL irql;

	IoReleaseCancelSpinLock(irp->CancelIrql);
	KeAcquireSpinLock(&service->lock, &irql);
	/* Who has taken it off the list, and lost it to us, has made its entry a list by itself. */
	if (!IsListEmpty(&irp->Tail.Overlay.ListEntry)) {
		RemoveEntryList(&irp->Tail.Overlay.ListEntry);
		service->offer_count--;
	}
	KeReleaseSpinLock(&service->lock, irql);
	FSComplete(irp, STATUS_CANCELLED, 0);
}

/* Under service.lock. FALSE: the IRP was cancelled already, and is the caller's to complete. */
BOOLEAN FSOfferInsert(struct fs_service *service, IRP *irp, BOOLEAN first)
{
	IoSetCancelRoutine(irp, FSOfferCancel);
	if (irp->Cancel && IoSetCancelRoutine(irp, NULL) != NULL)
		return FALSE;
	/* When the cancel routine runs already, it waits for the lock, and finds the IRP in the list. */
	if (first)
		InsertHeadList(&service->offers, &irp->Tail.Overlay.ListEntry);
	else
		InsertTailList(&service->offers, &irp->Tail.Overlay.ListEntry);
	service->offer_count++;
	return TRUE;
}

/* Under service.lock: the next buffer, of one handle or of any (NULL); NULL when there is none. */
IRP *FSOfferTake(struct fs_service *service, const FILE_OBJECT *object)
{
	LIST_ENTRY *at = service->offers.Flink;

	while (at != &service->offers) {
		IRP *irp = CONTAINING_RECORD(at, IRP, Tail.Overlay.ListEntry);

		at = at->Flink;
		if (object != NULL && IoGetCurrentIrpStackLocation(irp)->FileObject != object)
			continue;
		RemoveEntryList(&irp->Tail.Overlay.ListEntry);
		service->offer_count--;
		if (IoSetCancelRoutine(irp, NULL) != NULL)
			return irp;
		InitializeListHead(&irp->Tail.Overlay.ListEntry);
	}
	return NULL;
}

/* Writes the request into the service's buffer, which has room for FS_REQUEST_MAX bytes; how many it has. */
static uint32_t FSRequestWrite(const struct fs_pending *p, uint8_t *to)
{
	uint32_t at = sizeof(p->request);

	RtlCopyMemory(to, &p->request, sizeof(p->request));
	for (uint32_t i = 0; i < p->piece_count; i++) {
		uint32_t length = p->pieces[i].length, whole = (length + 7u) & ~7u;

		RtlCopyMemory(to + at, p->pieces[i].bytes, length);
		RtlZeroMemory(to + at + length, whole - length);
		at += whole;
	}
	return at;
}

/* Under service.lock: may this request be given to the service as it is now? */
NTSTATUS FSRequestFit(const struct fs_service *service, const struct fs_pending *p)
{
	const struct fs_ccb *ccb = p->ccb;

	if (p->abandoned)
		return STATUS_CANCELLED;
	if (p->drive != NULL && p->drive->state == FS_DRIVE_DISMOUNTED && p->request.type != FS_DISK_REMOVED)
		return STATUS_VOLUME_DISMOUNTED;
	/* A file that this service does not know: it could not be opened again, or is closed by now. */
	if (ccb != NULL && p->request.type != FS_CREATE && p->request.type != FS_REOPEN &&
	    (ccb->lost || ccb->file == 0 || ccb->generation != service->generation))
		return STATUS_FILE_INVALID;
	return STATUS_SUCCESS;
}

/* Under service.lock: the next request is SENDING and its IRP nobody else's; NULL: there is none. */
static struct fs_pending *FSRequestTake(struct fs_service *service)
{
	LIST_ENTRY *list = service->state == FS_SERVICE_RESTORING ? &service->restore : &service->queued;

	while (!IsListEmpty(list)) {
		struct fs_pending *p = CONTAINING_RECORD(list->Flink, struct fs_pending, link);
		NTSTATUS status;

		FSRequestClaim(p);
		status = FSRequestFit(service, p);
		if (!NT_SUCCESS(status)) {
			FSRequestDoom(p, status);
			continue;
		}
		RemoveEntryList(&p->link);
		InsertTailList(&service->sent, &p->link);
		p->state = FS_STATE_SENDING;
		p->generation = service->generation;
		if (p->request.id == 0)
			p->request.id = FSRequestNewId(service);
		InsertTailList(&service->table[p->request.id % FS_BUCKETS], &p->bucket);
		if (p->ccb != NULL && p->request.type != FS_CREATE && p->request.type != FS_REOPEN)
			p->request.file = p->ccb->file;
		if (p->replayed)
			p->request.flags |= FS_REQUEST_REPLAYED;
		return p;
	}
	return NULL;
}

/* Under service.lock, after the copy; the IRP to complete as cancelled, or NULL. */
static IRP *FSRequestSent(struct fs_service *service, struct fs_pending *p)
{
	IRP *cancelled = NULL;

	p->state = FS_STATE_SENT;
	p->replayed = TRUE;
	if (!NT_SUCCESS(p->doom)) {
		FSRequestDoom(p, p->doom);
	} else if (p->generation != service->generation || service->owner == NULL) {
		/* The service died meanwhile. */
		FSRequestRequeue(service, p);
		if (p->state == FS_STATE_QUEUED && !FSRequestArm(p))
			FSRequestDoom(p, STATUS_CANCELLED);
	} else if (!FSRequestArm(p)) {
		cancelled = p->irp;
		p->irp = NULL;
		p->abandoned = TRUE;
	}
	return cancelled;
}

void FSServicePump(struct fs_service *service)
{
	for (;;) {
		struct fs_pending *p = NULL;
		IRP *offer = NULL, *cancelled = NULL;
		uint32_t size;
		KIRQL irql;

		KeAcquireSpinLock(&service->lock, &irql);
		if (service->state == FS_SERVICE_RUNNING || service->state == FS_SERVICE_RESTORING)
			offer = FSOfferTake(service, NULL);
		if (offer != NULL)
			p = FSRequestTake(service);
		if (offer != NULL && p == NULL && FSOfferInsert(service, offer, TRUE))
			offer = NULL;
		KeReleaseSpinLock(&service->lock, irql);
		if (p == NULL) {
			if (offer == NULL)
				return;
			FSComplete(offer, STATUS_CANCELLED, 0);
			continue;
		}
		size = FSRequestWrite(p, offer->Tail.Overlay.DriverContext[0]);
		if (p->request.type == FS_CANCEL) {
			/* It has no answer. */
			KeAcquireSpinLock(&service->lock, &irql);
			RemoveEntryList(&p->link);
			RemoveEntryList(&p->bucket);
			KeReleaseSpinLock(&service->lock, irql);
			FSRequestFree(p);
		} else {
			KeAcquireSpinLock(&service->lock, &irql);
			cancelled = FSRequestSent(service, p);
			KeReleaseSpinLock(&service->lock, irql);
		}
		if (cancelled != NULL)
			FSComplete(cancelled, STATUS_CANCELLED, 0);
		FSComplete(offer, STATUS_SUCCESS, size);
	}
}

/* --- Answers ---------------------------------------------------------------------------------------------- */

static BOOLEAN FSAnswerIsZero(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size-- > 0)
		if (*at++ != 0)
			return FALSE;
	return TRUE;
}

static BOOLEAN FSAnswerFileValid(const struct fs_file *file)
{
	return file->size <= INT64_MAX && file->allocated <= INT64_MAX && file->created <= INT64_MAX &&
	       file->accessed <= INT64_MAX && file->written <= INT64_MAX && file->changed <= INT64_MAX &&
	       file->reserved == 0;
}

static BOOLEAN FSAnswerVolumeValid(const struct fs_volume *volume)
{
	/* Sizes in units are signed numbers in what programs ask for. */
	return volume->unit >= 512 && volume->unit % 512 == 0 && volume->unit <= FS_TRANSFER_MAX &&
	       volume->total <= INT64_MAX && volume->free <= volume->total && volume->available <= volume->total &&
	       volume->created <= INT64_MAX && volume->label_length <= FS_LABEL_MAX &&
	       volume->label_length % sizeof(uint16_t) == 0 && volume->name_max <= FS_NAME_MAX / sizeof(uint16_t) &&
	       volume->reserved == 0;
}

/* How much data an answer may have; 0 for those that bring none. */
static uint32_t FSAnswerRoom(const struct fs_request *request)
{
	switch (request->type) {
	case FS_READ:
		return request->u.io.length;
	case FS_LIST:
		return request->u.list.room;
	case FS_QUERY_SECURITY:
		return request->u.security.room;
	case FS_FILE_CONTROL:
		return request->u.control.room;
	default:
		return 0;
	}
}

static BOOLEAN FSAnswerBringsFile(uint32_t type)
{
	return type == FS_CREATE || type == FS_REOPEN || type == FS_OVERWRITE || type == FS_WRITE ||
	       type == FS_QUERY_FILE || type == FS_SET_BASIC || type == FS_SET_SIZE;
}

/* Can an open of this disposition have come to this? */
static BOOLEAN FSAnswerOpens(const struct fs_create *create, uint32_t information)
{
	uint32_t disposition = create->disposition;

	if (create->flags & FS_OPEN_TARGET_FOLDER)
		return information == FILE_OPENED || information == FILE_EXISTS || information == FILE_DOES_NOT_EXIST;
	switch (information) {
	case FILE_OPENED:
		return disposition == FILE_OPEN || disposition == FILE_OPEN_IF;
	case FILE_CREATED:
		return disposition != FILE_OPEN && disposition != FILE_OVERWRITE;
	case FILE_OVERWRITTEN:
		return disposition == FILE_OVERWRITE || disposition == FILE_OVERWRITE_IF;
	case FILE_SUPERSEDED:
		return disposition == FILE_SUPERSEDE;
	default:
		return FALSE;
	}
}

/* Is this an answer that the request may get? */
static BOOLEAN FSAnswerFits(const struct fs_request *request, const struct fs_response *response)
{
	uint32_t type = request->type;

	if (response->data > FSAnswerRoom(request))
		return FALSE;
	if (response->status != STATUS_SUCCESS) {
		if (NT_SUCCESS(response->status))
			return FALSE;
		return (response->data == 0 || response->status == STATUS_BUFFER_OVERFLOW) &&
		       response->information == 0 && FSAnswerIsZero(&response->file, sizeof(response->file)) &&
		       FSAnswerIsZero(&response->u, sizeof(response->u));
	}
	if (response->information != 0 && (type != FS_WRITE || response->information > request->u.io.length))
		return FALSE;
	if (FSAnswerBringsFile(type) ? !FSAnswerFileValid(&response->file)
				     : !FSAnswerIsZero(&response->file, sizeof(response->file)))
		return FALSE;
	if (type == FS_CREATE || type == FS_REOPEN)
		return response->u.created.file != 0 && response->file.node != 0 &&
		       FSAnswerOpens(&request->u.create, response->u.created.information);
	if (type == FS_QUERY_VOLUME)
		return FSAnswerVolumeValid(&response->u.volume);
	return FSAnswerIsZero(&response->u, sizeof(response->u));
}

/* Under service.lock: the request that is answered, taken out of the table; NULL: the answer is refused. */
static struct fs_pending *FSAnswerTake(struct fs_service *service, const FILE_OBJECT *object,
				       const struct fs_response *response)
{
	struct fs_pending *p;

	if (service->owner != object)
		return NULL;
	p = FSRequestFind(service, response->id);
	if (p == NULL || p->state != FS_STATE_SENT || p->generation != service->generation ||
	    p->request.type != response->type || !FSAnswerFits(&p->request, response))
		return NULL;
	RemoveEntryList(&p->link);
	RemoveEntryList(&p->bucket);
	InitializeListHead(&p->bucket);
	FSRequestClaim(p);
	p->state = FS_STATE_DONE;
	return p;
}

NTSTATUS FSServiceAnswer(struct fs_call *call)
{
	struct fs_service *service = &FSDriver.service;
	struct fs_response response;
	struct fs_answer answer = {.response = &response};
	struct fs_pending *p;
	KIRQL irql;

	if (call->stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(response))
		return STATUS_INVALID_PARAMETER;
	RtlCopyMemory(&response, call->irp->AssociatedIrp.SystemBuffer, sizeof(response));
	if (response.size != sizeof(response) ||
	    response.data > call->stack->Parameters.DeviceIoControl.OutputBufferLength)
		return STATUS_INVALID_PARAMETER;
	if (response.data > 0) {
		if (call->irp->MdlAddress == NULL || MmGetMdlByteCount(call->irp->MdlAddress) < response.data)
			return STATUS_INVALID_PARAMETER;
		answer.data = MmGetSystemAddressForMdlSafe(call->irp->MdlAddress,
							   NormalPagePriority | MdlMappingNoExecute);
		if (answer.data == NULL)
			return STATUS_INSUFFICIENT_RESOURCES;
		answer.length = response.data;
	}
	answer.status = response.status;
	KeAcquireSpinLock(&service->lock, &irql);
	p = FSAnswerTake(service, call->stack->FileObject, &response);
	KeReleaseSpinLock(&service->lock, irql);
	if (p == NULL)
		return STATUS_INVALID_PARAMETER;
	FSRequestFinish(p, &answer);
	return STATUS_SUCCESS;
}
