// SPDX-License-Identifier: MIT
/*
 * requests.c - the life of a request: made, queued, cancelled, ended
 *
 * driveway.h draws the state machine. Who may touch what:
 *
 *    MADE, DONE           the one who holds it, without a lock
 *    QUEUED, SENT, DOOMED in a list, under service.lock
 *    SENDING              in the list of what is sent, so that it is found, but the pump copies from it without the
 * lock; whoever wants to end it says so by p->doom, and the pump does it
 *
 * The IRP. While p->armed, the cancel routine is set on p->irp, and DriverContext[0] of the IRP is p. To take the IRP
 * back is to clear the cancel routine (FSRequestClaim, under service.lock); when that finds none, the I/O manager has
 * taken it to cancel, and the IRP is the cancel routine's: p->irp becomes NULL and DriverContext[0] becomes NULL, which
 * tells the cancel routine that there is no request any more. So each IRP is completed by exactly one side.
 *
 * Ids are SipHash-2-4 of a counter with a key drawn when the driver is loaded: they never repeat within a service's
 * life (the table is looked up all the same), and who has seen some cannot tell the next.
 *
 * FSRequestMake, FSRequestSend, FSRequestFail: <= APC_LEVEL. With the lock: DISPATCH_LEVEL. FSRequestFinish and
 * FSRequestFree: PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static DRIVER_CANCEL FSRequestCancel;

static uint64_t rotate(uint64_t value, unsigned int by)
{
	return value << by | value >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-2-4 of eight bytes. */
static uint64_t sip_hash(const uint64_t key[2], uint64_t message)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
			 key[1] ^ 0x7465646279746573u};
	const uint64_t words[2] = {message, (uint64_t)8 << 56};

	for (unsigned int i = 0; i < 2; i++) {
		v[3] ^= words[i];
		sip_round(v);
		sip_round(v);
		v[0] ^= words[i];
	}
	v[2] ^= 0xff;
	for (unsigned int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static LIST_ENTRY *FSRequestBucket(struct fs_service *service, uint64_t id)
{
	return &service->table[id % FS_BUCKETS];
}

struct fs_pending *FSRequestFind(struct fs_service *service, uint64_t id)
{
	LIST_ENTRY *head = FSRequestBucket(service, id);

	for (LIST_ENTRY *at = head->Flink; at != head; at = at->Flink) {
		struct fs_pending *p = CONTAINING_RECORD(at, struct fs_pending, bucket);

		if (p->request.id == id)
			return p;
	}
	return NULL;
}

uint64_t FSRequestNewId(struct fs_service *service)
{
	uint64_t id;

	do
		id = sip_hash(service->key, ++service->counter);
	while (id == 0 || FSRequestFind(service, id) != NULL);
	return id;
}

NTSTATUS FSRequestMake(struct fs_drive *drive, struct fs_ccb *ccb, IRP *irp, uint32_t type, FSDone *done,
		       struct fs_pending **made)
{
	struct fs_pending *p = FSAllocate(sizeof(*p), FS_TAG_REQUEST);

	*made = p;
	if (p == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	p->state = FS_STATE_MADE;
	p->cancellable = irp != NULL;
	p->irp = irp;
	p->drive = drive;
	p->ccb = ccb;
	p->done = done;
	InitializeListHead(&p->bucket);
	p->request.process = HandleToULong(PsGetCurrentProcessId());
	if (drive != NULL)
		FSDriveRetain(drive);
	if (ccb != NULL)
		FSCcbRetain(ccb);
	FSRequestClear(p);
	p->request.type = type;
	return STATUS_SUCCESS;
}

/* Parameters and pieces go; who asked for it, and its buffer, stay. */
void FSRequestClear(struct fs_pending *p)
{
	uint32_t process = p->request.process;

	RtlZeroMemory(&p->request, sizeof(p->request));
	p->request.size = sizeof(p->request);
	p->request.process = process;
	p->piece_count = 0;
	p->replayed = FALSE;
	p->generation = 0;
	p->doom = STATUS_SUCCESS;
}

/* The caller has looked that all pieces together are no longer than FS_TRANSFER_MAX. */
void FSRequestPiece(struct fs_pending *p, uint32_t *offset, uint32_t *length, const void *bytes, size_t size)
{
	if (length != NULL)
		*length = (uint32_t)size;
	*offset = size == 0 ? 0 : p->request.size;
	if (size == 0)
		return;
	NT_ASSERT(p->piece_count < FS_PIECES_MAX);
	p->pieces[p->piece_count].bytes = bytes;
	p->pieces[p->piece_count].length = (uint32_t)size;
	p->piece_count++;
	p->request.size += ((uint32_t)size + 7u) & ~7u;
}

void FSRequestText(struct fs_pending *p, struct fs_text *text, const void *bytes, size_t size)
{
	FSRequestPiece(p, &text->offset, &text->length, bytes, size);
}

/* Under service.lock: the IRP is p's alone from here on, or p has none. */
void FSRequestClaim(struct fs_pending *p)
{
	if (p->irp == NULL || !p->armed)
		return;
	p->armed = FALSE;
	if (IoSetCancelRoutine(p->irp, NULL) != NULL)
		return;
	p->irp->Tail.Overlay.DriverContext[0] = NULL;
	p->irp = NULL;
	p->abandoned = TRUE;
}

/* Under service.lock. FALSE: the IRP has been cancelled already, and is p's alone. */
BOOLEAN FSRequestArm(struct fs_pending *p)
{
	if (p->irp == NULL || !p->cancellable)
		return TRUE;
	p->irp->Tail.Overlay.DriverContext[0] = p;
	p->armed = TRUE;
	IoSetCancelRoutine(p->irp, FSRequestCancel);
	if (!p->irp->Cancel || IoSetCancelRoutine(p->irp, NULL) == NULL)
		return TRUE;
	p->armed = FALSE;
	return FALSE;
}

void FSSweepSoon(struct fs_service *service)
{
	if (service->sweeping)
		return;
	service->sweeping = TRUE;
	KeClearEvent(&service->swept);
	IoQueueWorkItem(service->sweeper, FSServiceSweep, DelayedWorkQueue, NULL);
}

void FSRequestDoom(struct fs_pending *p, NTSTATUS status)
{
	struct fs_service *service = &FSDriver.service;

	if (p->state == FS_STATE_SENDING) {
		p->doom = status;
		return;
	}
	if (p->state == FS_STATE_DOOMED)
		return;
	if (p->state != FS_STATE_MADE)
		RemoveEntryList(&p->link);
	RemoveEntryList(&p->bucket);
	InitializeListHead(&p->bucket);
	FSRequestClaim(p);
	p->state = FS_STATE_DOOMED;
	p->doom = status;
	InsertTailList(&service->doomed, &p->link);
	FSSweepSoon(service);
}

/* The sweeper: ends what is doomed. */
void NTAPI FSServiceSweep(DEVICE_OBJECT *device, void *context)
{
	struct fs_service *service = &FSDriver.service;

	for (;;) {
		struct fs_pending *p;
		struct fs_answer answer = {0};
		KIRQL irql;

		KeAcquireSpinLock(&service->lock, &irql);
		if (IsListEmpty(&service->doomed)) {
			service->sweeping = FALSE;
			KeSetEvent(&service->swept, IO_NO_INCREMENT, FALSE);
			KeReleaseSpinLock(&service->lock, irql);
			return;
		}
		p = CONTAINING_RECORD(RemoveHeadList(&service->doomed), struct fs_pending, link);
		p->state = FS_STATE_DONE;
		KeReleaseSpinLock(&service->lock, irql);
		answer.status = p->doom;
		FSRequestFinish(p, &answer);
	}
}

/* Under service.lock: tells the service that nobody waits for what it was given. Without memory it is not told. */
static BOOLEAN FSRequestTellCancel(struct fs_service *service, const struct fs_pending *cancelled)
{
	struct fs_pending *p;

	if (service->state != FS_SERVICE_RUNNING || !NT_SUCCESS(FSRequestMake(NULL, NULL, NULL, FS_CANCEL, NULL, &p)))
		return FALSE;
	p->request.disk = cancelled->request.disk;
	p->request.u.cancelled = cancelled->request.id;
	p->state = FS_STATE_QUEUED;
	InsertHeadList(&service->queued, &p->link);
	return TRUE;
}

/* Completes the IRP; what becomes of the request is under "A request" in driveway.h. <= DISPATCH_LEVEL */
static void NTAPI FSRequestCancel(DEVICE_OBJECT *device, IRP *irp)
{
	struct fs_service *service = &FSDriver.service;
	struct fs_pending *p;
	BOOLEAN told = FALSE;
	KIRQL irql;

	IoReleaseCancelSpinLock(irp->CancelIrql);
	KeAcquireSpinLock(&service->lock, &irql);
	p = irp->Tail.Overlay.DriverContext[0];
	if (p != NULL) {
		p->irp = NULL;
		p->armed = FALSE;
		p->abandoned = TRUE;
		if (p->state == FS_STATE_QUEUED)
			FSRequestDoom(p, STATUS_CANCELLED);
		else
			told = FSRequestTellCancel(service, p);
	}
	KeReleaseSpinLock(&service->lock, irql);
	FSComplete(irp, STATUS_CANCELLED, 0);
	if (told)
		FSServicePump(service);
}

/* Under service.lock: why a request cannot be queued now. */
static NTSTATUS FSRequestRefusal(struct fs_service *service, const struct fs_pending *p)
{
	uint32_t type = p->request.type;

	if (service->state == FS_SERVICE_NONE)
		return STATUS_DEVICE_NOT_READY;
	/* Of what the former service had, the next one knows nothing. */
	if (service->state == FS_SERVICE_LOST && (type == FS_CLOSE || type == FS_DISK_REMOVED))
		return STATUS_FILE_CLOSED;
	if (p->drive->state == FS_DRIVE_DISMOUNTED && type != FS_DISK_REMOVED)
		return STATUS_VOLUME_DISMOUNTED;
	/* What this service cannot be given need not wait for a buffer. */
	return service->state == FS_SERVICE_RUNNING ? FSRequestFit(service, p) : STATUS_SUCCESS;
}

NTSTATUS FSRequestSend(struct fs_call *call, struct fs_pending *p)
{
	struct fs_service *service = &FSDriver.service;
	NTSTATUS status;
	KIRQL irql;

	if (p->irp != NULL)
		IoMarkIrpPending(p->irp);
	if (call != NULL)
		call->taken = TRUE;
	p->request.disk = p->drive->number;
	p->state = FS_STATE_MADE;
	KeAcquireSpinLock(&service->lock, &irql);
	status = FSRequestRefusal(service, p);
	if (NT_SUCCESS(status) && !FSRequestArm(p))
		status = STATUS_CANCELLED;
	if (NT_SUCCESS(status)) {
		p->state = FS_STATE_QUEUED;
		InsertTailList(&service->queued, &p->link);
	} else {
		FSRequestDoom(p, status);
	}
	KeReleaseSpinLock(&service->lock, irql);
	if (NT_SUCCESS(status))
		FSServicePump(service);
	return STATUS_PENDING;
}

/* Part of a CCB or drive: its references are given back, and it may be sent again. Otherwise it is freed. */
void FSRequestFree(struct fs_pending *p)
{
	struct fs_drive *drive = p->drive;
	struct fs_ccb *ccb = p->ccb;

	for (uint32_t i = 0; i < RTL_NUMBER_OF(p->paths); i++) {
		FSPathRelease(p->paths[i]);
		p->paths[i] = NULL;
	}
	FSFree(p->owned, FS_TAG_COPY);
	p->owned = NULL;
	p->drive = NULL;
	p->ccb = NULL;
	p->irp = NULL;
	if (p->kept)
		p->state = FS_STATE_MADE;
	else
		FSFree(p, FS_TAG_REQUEST);
	if (ccb != NULL)
		FSCcbRelease(ccb);
	if (drive != NULL)
		FSDriveRelease(drive);
}

void FSRequestFinish(struct fs_pending *p, const struct fs_answer *answer)
{
	NTSTATUS status = p->done != NULL ? p->done(p, answer) : answer->status;
	ULONG_PTR information;
	IRP *irp;

	if (status == STATUS_PENDING)
		return;
	irp = p->irp;
	information = p->information;
	FSRequestFree(p);
	if (irp != NULL)
		FSComplete(irp, status, information);
}

static void FSRequestFailList(LIST_ENTRY *list, struct fs_drive *drive, NTSTATUS status)
{
	LIST_ENTRY *at = list->Flink;

	while (at != list) {
		struct fs_pending *p = CONTAINING_RECORD(at, struct fs_pending, link);

		at = at->Flink;
		if (drive == NULL || (p->drive == drive && p->request.type != FS_DISK_REMOVED))
			FSRequestDoom(p, status);
	}
}

/* Under service.lock. */
void FSRequestFailHeld(struct fs_service *service, struct fs_drive *drive, NTSTATUS status)
{
	FSRequestFailList(&service->queued, drive, status);
	FSRequestFailList(&service->sent, drive, status);
	FSRequestFailList(&service->restore, drive, status);
	FSRequestFailList(&service->reopen, drive, status);
}

void FSRequestFail(struct fs_drive *drive, NTSTATUS status)
{
	struct fs_service *service = &FSDriver.service;
	KIRQL irql;

	KeAcquireSpinLock(&service->lock, &irql);
	FSRequestFailHeld(service, drive, status);
	KeReleaseSpinLock(&service->lock, irql);
}

static uint32_t FSRequestCountList(const LIST_ENTRY *list, const struct fs_drive *drive)
{
	uint32_t count = 0;

	for (const LIST_ENTRY *at = list->Flink; at != list; at = at->Flink)
		count += CONTAINING_RECORD(at, struct fs_pending, link)->drive == drive;
	return count;
}

uint32_t FSRequestCount(struct fs_drive *drive)
{
	struct fs_service *service = &FSDriver.service;
	uint32_t count;
	KIRQL irql;

	KeAcquireSpinLock(&service->lock, &irql);
	count = FSRequestCountList(&service->queued, drive) + FSRequestCountList(&service->sent, drive);
	KeReleaseSpinLock(&service->lock, irql);
	return count;
}
