// SPDX-License-Identifier: MIT
/*
 * restore.c - what the next service is told before anything else
 *
 * First every drive, as FS_DISK_ADDED with FS_REQUEST_REPLAYED; when all are answered, every open file, as FS_REOPEN;
 * when these are, the service is RUNNING. service.unrestored counts what of the present step is not answered.
 *
 *    a drive that is refused      is dismounted, as by DELETE_DISK with force
 *    a file that is refused       is lost: what is done with its handles gets STATUS_FILE_INVALID
 *    a service that dies          takes its step with it: the requests are doomed, the next START makes new ones
 *
 * A file whose name is gone is not opened again: another file may have that name by now. PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static FSDone FSRestoreDone;

void FSDiskAddedFill(struct fs_pending *p, struct fs_drive *drive)
{
	struct fs_disk_added *added = &p->request.u.disk_added;

	added->letter = drive->letter;
	added->flags = drive->flags;
	FSRequestText(p, &added->label, drive->label.Buffer, drive->label.Length);
	FSRequestText(p, &added->source, drive->source.Buffer, drive->source.Length);
	FSRequestText(p, &added->cache, drive->cache.Buffer, drive->cache.Length);
	FSRequestText(p, &added->options, drive->options.Buffer, drive->options.Length);
}

static NTSTATUS FSRestoreDisk(struct fs_drive *drive, LIST_ENTRY *disks)
{
	struct fs_pending *p;
	NTSTATUS status = FSRequestMake(drive, NULL, NULL, FS_DISK_ADDED, FSRestoreDone, &p);

	if (!NT_SUCCESS(status))
		return status;
	p->restores = TRUE;
	p->replayed = TRUE;
	p->request.disk = drive->number;
	FSDiskAddedFill(p, drive);
	InsertTailList(disks, &p->link);
	return STATUS_SUCCESS;
}

/* files_lock is held. */
static NTSTATUS FSRestoreFile(struct fs_drive *drive, struct fs_fcb *fcb, struct fs_ccb *ccb, LIST_ENTRY *files)
{
	struct fs_pending *p;
	NTSTATUS status = FSRequestMake(drive, ccb, NULL, FS_REOPEN, FSRestoreDone, &p);

	if (!NT_SUCCESS(status))
		return status;
	p->restores = TRUE;
	p->request.disk = drive->number;
	p->paths[0] = FSPathRetain(fcb->path);
	p->request.u.create.access = ccb->granted;
	p->request.u.create.options = ccb->options;
	p->request.u.create.disposition = FILE_OPEN;
	p->request.u.create.flags = ccb->create_flags;
	p->request.u.create.file = ccb->file;
	FSRequestText(p, &p->request.u.create.name, fcb->path->text, fcb->path->length);
	InsertTailList(files, &p->link);
	return STATUS_SUCCESS;
}

static NTSTATUS FSRestoreFiles(struct fs_drive *drive, LIST_ENTRY *files)
{
	NTSTATUS status = STATUS_SUCCESS;

	FSFilesLock(drive);
	for (uint32_t i = 0; NT_SUCCESS(status) && i < FS_FILE_BUCKETS; i++) {
		LIST_ENTRY *head = &drive->files[i];

		for (LIST_ENTRY *at = head->Flink; NT_SUCCESS(status) && at != head; at = at->Flink) {
			struct fs_fcb *fcb = CONTAINING_RECORD(at, struct fs_fcb, bucket);

			for (LIST_ENTRY *open = fcb->opens.Flink; NT_SUCCESS(status) && open != &fcb->opens;
			     open = open->Flink) {
				struct fs_ccb *ccb = CONTAINING_RECORD(open, struct fs_ccb, link);

				if (fcb->deleted)
					ccb->lost = TRUE;
				else if (!ccb->closing && !ccb->lost && ccb->file != 0)
					status = FSRestoreFile(drive, fcb, ccb, files);
			}
		}
	}
	FSFilesUnlock(drive);
	return status;
}

/* Both lists are good to be freed, whatever comes back. */
NTSTATUS FSRestoreMake(LIST_ENTRY *disks, LIST_ENTRY *files, uint32_t *count)
{
	NTSTATUS status = STATUS_SUCCESS;

	InitializeListHead(disks);
	InitializeListHead(files);
	*count = 0;
	FSDrivesLock();
	for (LIST_ENTRY *at = FSDriver.drives.Flink; NT_SUCCESS(status) && at != &FSDriver.drives; at = at->Flink) {
		struct fs_drive *drive = CONTAINING_RECORD(at, struct fs_drive, link);

		if (drive->state != FS_DRIVE_READY)
			continue;
		status = FSRestoreDisk(drive, disks);
		if (NT_SUCCESS(status))
			status = FSRestoreFiles(drive, files);
		(*count)++;
	}
	FSDrivesUnlock();
	return status;
}

void FSRestoreFree(LIST_ENTRY *requests)
{
	while (!IsListEmpty(requests))
		FSRequestFree(CONTAINING_RECORD(RemoveHeadList(requests), struct fs_pending, link));
}

/* One of the present step is over. */
void FSRestoreStep(uint32_t generation)
{
	struct fs_service *service = &FSDriver.service;
	KIRQL irql;

	KeAcquireSpinLock(&service->lock, &irql);
	if (service->state == FS_SERVICE_RESTORING && service->generation == generation && --service->unrestored == 0) {
		while (!IsListEmpty(&service->reopen)) {
			InsertTailList(&service->restore, RemoveHeadList(&service->reopen));
			service->unrestored++;
		}
		if (service->unrestored == 0)
			service->state = FS_SERVICE_RUNNING;
	}
	KeReleaseSpinLock(&service->lock, irql);
	FSServicePump(service);
}

static void FSRestoredFile(struct fs_pending *p, const struct fs_answer *answer)
{
	struct fs_drive *drive = p->drive;
	struct fs_fcb *fcb = p->ccb->fcb;

	FSFilesLock(drive);
	if (!NT_SUCCESS(answer->status)) {
		p->ccb->lost = TRUE;
	} else {
		p->ccb->file = answer->response->u.created.file;
		p->ccb->generation = p->generation;
		if (fcb->node != answer->response->file.node && fcb->listed) {
			RemoveEntryList(&fcb->bucket);
			fcb->node = answer->response->file.node;
			InsertTailList(&drive->files[fcb->node % FS_FILE_BUCKETS], &fcb->bucket);
		}
	}
	FSFilesUnlock(drive);
	if (NT_SUCCESS(answer->status))
		FSFcbUpdate(fcb, &answer->response->file);
}

static NTSTATUS FSRestoreDone(struct fs_pending *p, const struct fs_answer *answer)
{
	/* Doomed: the service died, and the next one is asked again; or the drive is gone, and this was its part. */
	if (answer->response != NULL) {
		if (p->request.type == FS_REOPEN)
			FSRestoredFile(p, answer);
		else if (!NT_SUCCESS(answer->status))
			FSDriveDismount(p->drive, NULL);
	}
	FSRestoreStep(p->generation);
	return answer->status;
}
