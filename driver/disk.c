// SPDX-License-Identifier: MIT
/*
 * disk.c - drives: added, told of, removed
 *
 *    ADD_DISK    FSAddDisk      the drive is made and given a letter nobody else is being given     the caller's thread
 *                FSDriveAdd     disk and volume device, the letter's link; the service is told      work item
 *                FSDriveOpened  its answer                                                          the service's
 * thread FSDriveReady   the mount manager is told; the caller's IRP is completed            work item DELETE_DISK
 * FSDriveDismount  no request gets through any more; those that wait are ended       any thread FSDriveRemove  mount
 * manager, link, service; out of the list                       work item FSDriveFree    the last file is closed: the
 * devices go                             work item
 *
 * What fails in adding undoes what was done, in reverse order: FSDriveUndo does that from any point, since each step
 * notes what it has made. One work item serves all steps, as they follow one another; drive->busy says that
 * FSDriveReady is at work, and what would remove the drive then leaves it to that.
 *
 * References are held by the list of drives, FCBs, CCBs, requests, and by each IRP that is being dispatched
 * (FSDriveOf): an IRP that comes while the devices go finds no drive, and fails. PASSIVE_LEVEL but where it is said.
 */
#include "driver/driveway.h"

static IO_WORKITEM_ROUTINE FSDriveWork;
static FSDone FSDriveOpened;
static void FSDriveAdd(struct fs_drive *drive);
static void FSDriveReady(struct fs_drive *drive);
static void FSDriveRemove(struct fs_drive *drive);
static void FSDriveFree(struct fs_drive *drive);

void FSDrivesLock(void)
{
	KeEnterCriticalRegion();
	ExAcquireResourceExclusiveLite(&FSDriver.drives_lock, TRUE);
}

void FSDrivesUnlock(void)
{
	ExReleaseResourceLite(&FSDriver.drives_lock);
	KeLeaveCriticalRegion();
}

void FSDriveRetain(struct fs_drive *drive)
{
	InterlockedIncrement(&drive->references);
}

/* <= DISPATCH_LEVEL */
void FSDriveRelease(struct fs_drive *drive)
{
	if (InterlockedDecrement(&drive->references) == 0) {
		drive->task = FSDriveFree;
		IoQueueWorkItem(drive->work, FSDriveWork, DelayedWorkQueue, drive);
	}
}

/* The drive of a disk's or volume's device, with a reference; NULL when it is gone. <= DISPATCH_LEVEL */
struct fs_drive *FSDriveOf(struct fs_device *device)
{
	struct fs_drive *drive;
	KIRQL irql;

	KeAcquireSpinLock(&FSDriver.devices_lock, &irql);
	drive = device->drive;
	while (drive != NULL) {
		LONG now = drive->references;

		if (now == 0)
			drive = NULL;
		else if (InterlockedCompareExchange(&drive->references, now + 1, now) == now)
			break;
	}
	KeReleaseSpinLock(&FSDriver.devices_lock, irql);
	return drive;
}

static void NTAPI FSDriveWork(DEVICE_OBJECT *device, void *context)
{
	struct fs_drive *drive = context;

	drive->task(drive);
}

static void FSDriveQueue(struct fs_drive *drive, void (*task)(struct fs_drive *drive))
{
	drive->task = task;
	IoQueueWorkItem(drive->work, FSDriveWork, DelayedWorkQueue, drive);
}

/* Unload waits until none is left. */
static void FSDriveCount(int by)
{
	KIRQL irql;

	KeAcquireSpinLock(&FSDriver.devices_lock, &irql);
	FSDriver.drive_count += (uint32_t)by;
	if (FSDriver.drive_count == 0)
		KeSetEvent(&FSDriver.no_drives, IO_NO_INCREMENT, FALSE);
	else
		KeClearEvent(&FSDriver.no_drives);
	KeReleaseSpinLock(&FSDriver.devices_lock, irql);
}

static void FSDriveForget(struct fs_drive *drive)
{
	if (drive->work != NULL)
		IoFreeWorkItem(drive->work);
	if (drive->removed != NULL)
		FSFree(drive->removed, FS_TAG_REQUEST);
	FSFree(drive->source.Buffer, FS_TAG_DRIVE);
	FSFree(drive->cache.Buffer, FS_TAG_DRIVE);
	FSFree(drive->options.Buffer, FS_TAG_DRIVE);
	FSFree(drive, FS_TAG_DRIVE);
	FSDriveCount(-1);
}

/* --- Adding ----------------------------------------------------------------------------------------------- */

/* The generated names: of the disk device, and of a volume that was given none. */
static NTSTATUS FSDriveName(struct fs_drive *drive)
{
	static const WCHAR prefix[] = L"\\Device\\DrivewayVolume", label[] = L"Driveway-";
	UNICODE_STRING name = {.MaximumLength = sizeof(drive->device_name), .Buffer = drive->device_name}, guid;
	NTSTATUS status = ExUuidCreate(&drive->identity);

	if (!NT_SUCCESS(status))
		return status;
	status = RtlStringFromGUID(&drive->identity, &guid);
	if (!NT_SUCCESS(status))
		return status;
	status = RtlAppendUnicodeToString(&name, prefix);
	if (NT_SUCCESS(status))
		status = RtlAppendUnicodeStringToString(&name, &guid);
	if (NT_SUCCESS(status) && name.Length >= sizeof(drive->device_name))
		status = STATUS_BUFFER_TOO_SMALL;
	if (NT_SUCCESS(status) && drive->label.Length == 0) {
		/* The first eight digits, behind the brace. */
		RtlCopyMemory(drive->label_text, label, sizeof(label) - sizeof(WCHAR));
		RtlCopyMemory(drive->label_text + RTL_NUMBER_OF(label) - 1, guid.Buffer + 1, 8 * sizeof(WCHAR));
		drive->label.Length = sizeof(label) - sizeof(WCHAR) + 8 * sizeof(WCHAR);
	}
	RtlFreeUnicodeString(&guid);
	return status;
}

static NTSTATUS FSDriveMake(const struct fs_add_disk *add, struct fs_drive **made)
{
	struct fs_drive *drive = FSAllocate(sizeof(*drive), FS_TAG_DRIVE);
	const uint8_t *base = (const uint8_t *)add;
	NTSTATUS status;

	*made = NULL;
	if (drive == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	FSDriveCount(1);
	drive->references = 1; /* of the list */
	drive->state = FS_DRIVE_ADDING;
	drive->letter = add->letter;
	drive->flags = add->flags;
	KeQuerySystemTime(&drive->created);
	ExInitializeFastMutex(&drive->files_lock);
	InitializeListHead(&drive->link);
	InitializeListHead(&drive->notify_list);
	for (uint32_t i = 0; i < FS_FILE_BUCKETS; i++)
		InitializeListHead(&drive->files[i]);
	drive->label.Buffer = drive->label_text;
	drive->label.MaximumLength = sizeof(drive->label_text);
	drive->label.Length = (USHORT)add->label.length;
	if (add->label.length > 0)
		RtlCopyMemory(drive->label_text, base + add->label.offset, add->label.length);
	status = FSCopyText(&drive->source, base + add->source.offset, add->source.length);
	if (NT_SUCCESS(status))
		status = FSCopyText(&drive->cache, base + add->cache.offset, add->cache.length);
	if (NT_SUCCESS(status))
		status = FSCopyText(&drive->options, base + add->options.offset, add->options.length);
	if (NT_SUCCESS(status))
		status = FSDriveName(drive);
	if (NT_SUCCESS(status))
		status = FSRequestMake(NULL, NULL, NULL, FS_DISK_REMOVED, NULL, &drive->removed);
	if (NT_SUCCESS(status)) {
		drive->removed->kept = TRUE;
		drive->work = IoAllocateWorkItem(FSDriver.control);
		if (drive->work == NULL)
			status = STATUS_INSUFFICIENT_RESOURCES;
	}
	if (!NT_SUCCESS(status)) {
		FSDriveForget(drive);
		return status;
	}
	*made = drive;
	return STATUS_SUCCESS;
}

/* drives_lock is held. */
static struct fs_drive *FSDriveByLetter(uint16_t letter)
{
	for (LIST_ENTRY *at = FSDriver.drives.Flink; at != &FSDriver.drives; at = at->Flink) {
		struct fs_drive *drive = CONTAINING_RECORD(at, struct fs_drive, link);

		if (drive->letter == letter)
			return drive;
	}
	return NULL;
}

/* drives_lock is held: a letter that nothing in the system has, nor any drive of ours that is just being added. */
static NTSTATUS FSDriveChooseLetter(struct fs_drive *drive)
{
	if (drive->letter != 0)
		return FSDriveByLetter(drive->letter) != NULL || FSLetterTaken(drive->letter)
			       ? STATUS_OBJECT_NAME_COLLISION
			       : STATUS_SUCCESS;
	for (uint16_t letter = 'Z'; letter >= 'A'; letter--) {
		if (FSDriveByLetter(letter) == NULL && !FSLetterTaken(letter)) {
			drive->letter = letter;
			return STATUS_SUCCESS;
		}
	}
	return STATUS_OBJECT_NAME_COLLISION;
}

NTSTATUS FSAddDisk(struct fs_call *call, const struct fs_add_disk *add)
{
	struct fs_drive *drive;
	NTSTATUS status;

	/* The service may go at any time; here it only saves the work. */
	if (FSDriver.service.state == FS_SERVICE_NONE)
		return STATUS_DEVICE_NOT_READY;
	status = FSDriveMake(add, &drive);
	if (!NT_SUCCESS(status))
		return status;
	drive->irp = call->irp;
	IoMarkIrpPending(call->irp);
	call->taken = TRUE;
	FSDriveQueue(drive, FSDriveAdd);
	return STATUS_PENDING;
}

static NTSTATUS FSDriveDevices(struct fs_drive *drive)
{
	NTSTATUS status = FSDeviceMake(drive->device_name, FILE_DEVICE_DISK, FILE_DEVICE_SECURE_OPEN,
				       sizeof(struct fs_device), FS_KIND_DISK, drive, &drive->disk);

	if (!NT_SUCCESS(status))
		return status;
	status = FSDeviceMake(NULL, FILE_DEVICE_DISK_FILE_SYSTEM, 0, sizeof(struct fs_device), FS_KIND_VOLUME, drive,
			      &drive->volume);
	if (!NT_SUCCESS(status))
		return status;
	drive->volume_fcb = FSFcbMake(drive, TRUE);
	if (drive->volume_fcb == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	drive->disk->Flags |= DO_DIRECT_IO;
	drive->volume->Flags |= DO_DIRECT_IO;
	drive->volume->StackSize = drive->disk->StackSize + 1;
	drive->volume->SectorSize = FS_SECTOR_SIZE;
	FSDeviceOpenForUse(drive->volume);
	FSDeviceOpenForUse(drive->disk);
	return STATUS_SUCCESS;
}

/* Everything is as it was, whichever step failed; the drive is gone when its last reference is. */
static void FSDriveUndo(struct fs_drive *drive)
{
	drive->state = FS_DRIVE_DISMOUNTED;
	FSMountManagerForget(drive);
	FSLetterUnlink(drive);
	FSDrivesLock();
	if (!IsListEmpty(&drive->link)) {
		RemoveEntryList(&drive->link);
		InitializeListHead(&drive->link);
	}
	FSDrivesUnlock();
}

static void FSDriveAdd(struct fs_drive *drive)
{
	IRP *irp = drive->irp;
	struct fs_pending *p = NULL;
	NTSTATUS status;

	drive->irp = NULL;
	FSDrivesLock();
	status = FSDriveChooseLetter(drive);
	if (NT_SUCCESS(status)) {
		drive->number = ++FSDriver.last_number;
		InsertTailList(&FSDriver.drives, &drive->link);
	}
	FSDrivesUnlock();
	if (NT_SUCCESS(status))
		status = FSDriveDevices(drive);
	if (NT_SUCCESS(status))
		status = FSLetterLink(drive);
	if (NT_SUCCESS(status))
		status = FSRequestMake(drive, NULL, irp, FS_DISK_ADDED, FSDriveOpened, &p);
	if (!NT_SUCCESS(status)) {
		FSDriveUndo(drive);
		FSDriveRelease(drive);
		FSComplete(irp, status, 0);
		return;
	}
	FSDiskAddedFill(p, drive);
	FSRequestSend(NULL, p);
}

/* The service has opened the source, or not. What follows opens files of the drive: not on this thread. */
static NTSTATUS FSDriveOpened(struct fs_pending *p, const struct fs_answer *answer)
{
	struct fs_drive *drive = p->drive;

	drive->irp = p->irp;
	drive->status = answer->status;
	FSDriveQueue(drive, FSDriveReady);
	FSRequestFree(p);
	return STATUS_PENDING;
}

static void FSDriveTellRemoved(struct fs_drive *drive)
{
	struct fs_pending *p = drive->removed;

	FSDriveRetain(drive);
	p->drive = drive;
	FSRequestClear(p);
	p->request.type = FS_DISK_REMOVED;
	FSRequestSend(NULL, p);
}

static void FSDriveReady(struct fs_drive *drive)
{
	struct fs_added_disk *added;
	IRP *irp = drive->irp;
	NTSTATUS status = drive->status;
	BOOLEAN known = NT_SUCCESS(status), gone = FALSE;

	drive->irp = NULL;
	/* Who asked for it does not wait any more. */
	if (NT_SUCCESS(status) && irp == NULL)
		status = STATUS_CANCELLED;
	if (NT_SUCCESS(status)) {
		FSDrivesLock();
		drive->busy = TRUE;
		drive->state = FS_DRIVE_READY;
		FSDrivesUnlock();
		status = FSMountManagerTell(drive);
		FSDrivesLock();
		drive->busy = FALSE;
		gone = drive->state != FS_DRIVE_READY;
		if (!NT_SUCCESS(status))
			drive->state = FS_DRIVE_DISMOUNTED;
		FSDrivesUnlock();
		if (gone && NT_SUCCESS(status))
			status = STATUS_VOLUME_DISMOUNTED;
	}
	if (!NT_SUCCESS(status)) {
		FSRequestFail(drive, STATUS_VOLUME_DISMOUNTED);
		FSDriveUndo(drive);
		if (known)
			FSDriveTellRemoved(drive);
		FSDriveRelease(drive);
		if (irp != NULL)
			FSComplete(irp, status, 0);
		return;
	}
	added = irp->AssociatedIrp.SystemBuffer;
	RtlZeroMemory(added, sizeof(*added));
	added->disk = drive->number;
	added->letter = drive->letter;
	FSComplete(irp, STATUS_SUCCESS, sizeof(*added));
}

/* --- Removing --------------------------------------------------------------------------------------------- */

/* irp, or NULL, is completed when it is done. FALSE: it is being removed already; irp is the caller's. */
BOOLEAN FSDriveDismount(struct fs_drive *drive, IRP *irp)
{
	BOOLEAN ours, busy;

	FSDrivesLock();
	ours = drive->state == FS_DRIVE_READY;
	busy = drive->busy;
	if (ours) {
		drive->state = FS_DRIVE_DISMOUNTED;
		drive->irp = irp;
	}
	FSDrivesUnlock();
	if (!ours)
		return FALSE;
	FSRequestFail(drive, STATUS_VOLUME_DISMOUNTED);
	if (!busy)
		FSDriveQueue(drive, FSDriveRemove);
	return TRUE;
}

static void FSDriveRemove(struct fs_drive *drive)
{
	IRP *irp = drive->irp;

	drive->irp = NULL;
	FSNotifyEnd(drive);
	FSDriveUndo(drive);
	FSDriveTellRemoved(drive);
	FSDriveRelease(drive);
	if (irp != NULL)
		FSComplete(irp, STATUS_SUCCESS, 0);
}

NTSTATUS FSDeleteDisk(struct fs_call *call, const struct fs_delete_disk *delete)
{
	BOOLEAN force = (delete->flags & FS_DELETE_FORCE) != 0;
	NTSTATUS status = STATUS_SUCCESS;
	struct fs_drive *drive;

	FSDrivesLock();
	drive = FSDriveByLetter(delete->letter);
	if (drive == NULL || drive->state == FS_DRIVE_DISMOUNTED) {
		status = STATUS_NO_SUCH_DEVICE;
	} else if (drive->state == FS_DRIVE_ADDING || drive->busy) {
		status = STATUS_DEVICE_BUSY;
	} else {
		/* A create that begins after this look finds the drive dismounted. */
		FSFilesLock(drive);
		if (!force && drive->open_count > 0)
			status = STATUS_DEVICE_BUSY;
		else
			drive->state = FS_DRIVE_DISMOUNTED;
		FSFilesUnlock(drive);
	}
	if (NT_SUCCESS(status)) {
		IoMarkIrpPending(call->irp);
		call->taken = TRUE;
		drive->irp = call->irp;
		FSDriveRetain(drive);
	}
	FSDrivesUnlock();
	if (!NT_SUCCESS(status))
		return status;
	FSRequestFail(drive, STATUS_VOLUME_DISMOUNTED);
	FSDriveQueue(drive, FSDriveRemove);
	FSDriveRelease(drive);
	return STATUS_PENDING;
}

/* The file system lets the volume go: nothing finds it by the disk any more. */
static void FSDriveUnmount(struct fs_drive *drive)
{
	VPB *vpb = drive->disk->Vpb;
	KIRQL irql;

	if (vpb == NULL)
		return;
	IoAcquireVpbSpinLock(&irql);
	if (vpb->DeviceObject == drive->volume) {
		vpb->DeviceObject = NULL;
		vpb->Flags &= ~VPB_MOUNTED;
	}
	IoReleaseVpbSpinLock(irql);
}

static void FSDriveFree(struct fs_drive *drive)
{
	DEVICE_OBJECT *devices[] = {drive->volume, drive->disk};
	KIRQL irql;

	if (drive->disk != NULL)
		FSDriveUnmount(drive);
	for (uint32_t i = 0; i < RTL_NUMBER_OF(devices); i++) {
		if (devices[i] == NULL)
			continue;
		KeAcquireSpinLock(&FSDriver.devices_lock, &irql);
		((struct fs_device *)devices[i]->DeviceExtension)->drive = NULL;
		KeReleaseSpinLock(&FSDriver.devices_lock, irql);
		IoDeleteDevice(devices[i]);
	}
	FSNotifyForget(drive);
	if (drive->volume_fcb != NULL)
		FSFcbForget(drive->volume_fcb);
	FSDriveForget(drive);
}

/* At unload: no handle is open, so no file is, either. */
void FSDrivesEnd(void)
{
	for (;;) {
		struct fs_drive *drive = NULL;

		FSDrivesLock();
		for (LIST_ENTRY *at = FSDriver.drives.Flink; drive == NULL && at != &FSDriver.drives; at = at->Flink) {
			drive = CONTAINING_RECORD(at, struct fs_drive, link);
			/* One that is being added or removed goes by itself. */
			if (drive->state != FS_DRIVE_READY)
				drive = NULL;
			else
				drive->state = FS_DRIVE_DISMOUNTED;
		}
		FSDrivesUnlock();
		if (drive == NULL)
			return;
		FSRequestFail(drive, STATUS_VOLUME_DISMOUNTED);
		FSDriveUndo(drive);
		FSDriveRelease(drive); /* the list's reference */
	}
}

/* With a reference; NULL. */
struct fs_drive *FSDriveFind(uint64_t number)
{
	struct fs_drive *found = NULL;

	FSDrivesLock();
	for (LIST_ENTRY *at = FSDriver.drives.Flink; at != &FSDriver.drives; at = at->Flink) {
		struct fs_drive *drive = CONTAINING_RECORD(at, struct fs_drive, link);

		if (drive->number == number && drive->state == FS_DRIVE_READY) {
			FSDriveRetain(drive);
			found = drive;
			break;
		}
	}
	FSDrivesUnlock();
	return found;
}
