/* SPDX-License-Identifier: MIT */
/*
 * driveway.h - the inside of the Windows driver
 *
 * Devices
 *   DriverEntry makes three devices, control, communication and redirector; the last is the file system's own device,
 * by which the I/O manager asks us to mount a volume. Each drive that ADD_DISK makes has two more: a disk device, which
 *   the letter is linked to and which answers storage codes, and a volume device, on which our file system is mounted.
 *   Every device extension begins with struct fs_device, whose kind tells FSDispatchRequest whose IRP it has.
 *
 * Who answers
 *   Control and communication codes are answered here at once, but ADD_DISK, DELETE_DISK, SEND_REQUEST and
 *   FILE_CACHE_CONTROL, which pend. IRPs of a volume that need the file system become requests: struct fs_pending, made
 *   by FSRequestMake, filled in by the file of their IRP family, and given to FSRequestSend, which marks the IRP
 * pending. The answer is handled by the family's done routine, on the thread of the service that brought it. Nothing
 * here ever waits for an answer: one thread may carry all IRPs.
 *
 *   A handler of an IRP family gets a struct fs_call and returns a status; FSDispatchRequest completes the IRP with it,
 *   unless call->taken says that the IRP belongs to somebody else by now (a request, FsRtl): then it is not touched
 * again.
 *
 * A request
 *
 *      FSRequestMake      FSRequestSend         SEND_REQUEST              RECEIVE_RESPONSE
 *          | MADE ----------> | QUEUED ---> SENDING ---> | SENT ------------> | DONE: done() -> IRP completed -> freed
 *                              |   ^                       |
 *                              |   '----- service dies ----'   (patience runs)
 *                              '-- cancel, patience over, STOP, drive removed --> DOOMED --> done(status) -> ...
 *
 *   SENDING is the moment in which the request is copied into the service's buffer, without the lock. DOOMED requests
 *   wait for the sweeper, a work item, since done routines run at PASSIVE_LEVEL and what dooms may be a DPC.
 *
 *   The IRP of a request that is cancelled is completed by the cancel routine at once. A request that was queued is
 * then doomed; one that was sent stays known, without its IRP, until its answer comes: what the service opened for
 * nobody is closed then. FS_CANCEL tells the service. So a done routine must look whether it still has an IRP. Cleanup
 * cannot be cancelled, and close has no IRP (it is completed at once and the request runs by itself); both are made
 * when the file is opened, so that they need no memory later.
 *
 *   The text and data of a request are pieces: pointers to memory that lives as long as the request does (it refers to
 *   the drive, the CCB, and paths, and an IRP's buffer is its own while it has the IRP). They are copied once, into the
 *   buffer that the service offers.
 *
 *   The answer's data lies in memory of the service, which may change it while we look: it is read once, and what is
 *   checked is the copy.
 *
 * Services come and go
 *   FS_SERVICE_NONE --START--> RESTORING --> RUNNING --handle closed--> LOST --START--> RESTORING ...
 *                                                    --STOP--> NONE         --patience over--> NONE
 *   NONE: every request ends at once with STATUS_DEVICE_NOT_READY. LOST: requests wait. RESTORING goes in two steps:
 * one FS_DISK_ADDED for each drive, and when all are answered one FS_REOPEN for each open file; when these are answered
 *   too, what was sent to the former service goes first, in its order and with its ids, then what is new. A close that
 *   the former service was to be told of is dropped: the next one never had that file open.
 *
 * FCB and CCB
 *   FileObject->FsContext is the FCB, one for each file that is open, found by (drive, node); FsContext2 is the CCB,
 * one for each open. The FCB begins with FSRTL_ADVANCED_FCB_HEADER. A CCB is referred to by its file object until
 *   IRP_MJ_CLOSE, and by each request of it; an FCB by each of its CCBs; a drive by each FCB and request and by the
 * list of drives. The last reference frees, at PASSIVE_LEVEL. Share access, delete-pending, byte-range locks and
 * oplocks are the FCB's.
 *
 * Reads, writes, mappings
 *   No file is cached by Cc: reads and writes of programs go to the service. Sections are made of files by paging I/O,
 *   which IRP_MJ_READ and IRP_MJ_WRITE serve like any other; before a read the section's changes are flushed, around a
 *   write its pages are purged (CcFlushCache, CcPurgeCacheSection on SectionObjectPointers), and what the service says
 *   by FILE_CACHE_CONTROL does the same. Only in the thread of the caller or in a work item: both may wait for paging
 *   I/O, which the service must be free to answer.
 *
 * Locks, in the order in which they are taken
 *   1. FSDriver.drives_lock  ERESOURCE, PASSIVE_LEVEL: the list of drives, and adding and removing them
 *   2. drive->files_lock     FAST_MUTEX, APC_LEVEL: FCBs by node, sizes, attributes, paths, opens, share access
 *   3. FSDriver.service.lock spin lock, DISPATCH_LEVEL: queues and table of requests, state of the service
 *   The FCB header's Resource and PagingIoResource are there for the memory manager, which holds them while it waits
 * for our paging I/O and our answers. Taking them in a done routine would wait for ourselves: we never take them, and
 * what they protect elsewhere is under files_lock here. No lock is held while a request waits, while an IRP is
 * completed, or while Ob, Cc, Mm or FsRtl routines that may call back are called; FAST_MUTEX and ERESOURCE are
 * taken in a critical region.
 *
 * Memory is non-paged and never executable (requests, FCBs: they are touched at DISPATCH_LEVEL), tagged FS_TAG_*.
 * What touches a user's memory, or calls a routine that raises, runs under FSGuard, since this is C without structured
 * exception handling. FsRtl routines are called only for files that are used that way (oplocks, locks, notification).
 *
 * IRQL: a routine runs at PASSIVE_LEVEL unless its comment says otherwise; done routines do, too. Paging I/O may come
 * at APC_LEVEL: read.c, write.c, and what they call are fit for that.
 */
#ifndef DRIVEWAY_DRIVER_DRIVEWAY_H
#define DRIVEWAY_DRIVER_DRIVEWAY_H

#include <ntifs.h>

#include "driver/annotations.h"
#include "driver/protocol.h"

/* Of the kernel, where its headers do not say so. */
#ifndef MdlMappingNoExecute
#define MdlMappingNoExecute 0x40000000
#endif

/* Classes of information that the headers may not have. */
#define FS_CLASS_NORMALIZED_NAME   48u
#define FS_CLASS_ID		   59u
#define FS_CLASS_ID_EXTD_DIRECTORY 60u
#define FS_CLASS_DISPOSITION_EX	   64u
#define FS_CLASS_RENAME_EX	   65u
#define FS_CLASS_LINK_EX	   72u
#define FS_CLASS_SECTOR_SIZE	   11u /* of a volume */

/* FILE_FS_SECTOR_SIZE_INFORMATION. */
struct fs_sector_size {
	ULONG logical, physical_atomic, physical_fast, effective, flags, offset_sector, offset_partition;
};
#define FS_SECTORS_ALIGNED 3u /* the device, and the partition on it */

#define FS_NODE_FCB	  0x4644 /* NodeTypeCode */
#define FS_REPARSE_HEADER 8u	 /* bytes: tag, length, reserved */
#define FS_SECTOR_SIZE	  512u
#define FS_CACHE_STEP	  (64u * 1024 * 1024) /* bytes of one flush or purge */

/* Of pool: "Dw" and two letters, as a debugger shows them. */
#define FS_TAG(a, b)   ((ULONG)('D' | 'w' << 8 | (a) << 16 | (b) << 24))
#define FS_TAG_REQUEST FS_TAG('R', 'q') /* struct fs_pending */
#define FS_TAG_FCB     FS_TAG('F', 'c')
#define FS_TAG_CCB     FS_TAG('C', 'c')
#define FS_TAG_PATH    FS_TAG('P', 'a')
#define FS_TAG_DRIVE   FS_TAG('D', 'r')
#define FS_TAG_WORK    FS_TAG('W', 'k')
#define FS_TAG_COPY    FS_TAG('C', 'p') /* what lives for one call */

/* --- Devices --------------------------------------------------------------------------------------------- */

enum fs_kind { FS_KIND_CONTROL = 0x46534431, FS_KIND_COMMUNICATION, FS_KIND_REDIRECTOR, FS_KIND_DISK, FS_KIND_VOLUME };

/* First in every device extension; drive is NULL but for disks and volumes. */
struct fs_device {
	enum fs_kind kind;
	DEVICE_OBJECT *object;
	struct fs_drive *drive;
};

/* One IRP in a handler's hands. */
struct fs_call {
	IRP *irp;
	IO_STACK_LOCATION *stack;
	struct fs_device *device;
	struct fs_drive *drive; /* of a disk or volume */
	BOOLEAN taken;		/* the IRP is no longer ours to complete */
};

/* --- Paths: text that is shared, never changed ------------------------------------------------------------ */

/* Whole path from the root, "\a\b"; references are counted; length in bytes. */
struct fs_path {
	LONG references;
	uint32_t length;
	WCHAR text[1];
};

/* --- Requests --------------------------------------------------------------------------------------------- */

enum fs_state { FS_STATE_MADE, FS_STATE_QUEUED, FS_STATE_SENDING, FS_STATE_SENT, FS_STATE_DONE, FS_STATE_DOOMED };

#define FS_PIECES_MAX 4

struct fs_piece {
	const void *bytes;
	uint32_t length;
};

/*
 * How a request ended. response is a copy, checked for size, type and id; NULL when the driver itself ends the request,
 * with status. data is the service's memory: read once.
 */
struct fs_answer {
	NTSTATUS status;
	const struct fs_response *response;
	const uint8_t *data;
	uint32_t length;
};

struct fs_pending;

/*
 * Handles an answer at PASSIVE_LEVEL, and returns the status with which the IRP is completed (p->information is what
 * comes of it); the request is freed then. STATUS_PENDING: the request was sent again or handed on. p->irp is NULL when
 * nobody waits any more.
 */
typedef NTSTATUS FSDone(struct fs_pending *p, const struct fs_answer *answer);

/* Under service.lock: link, bucket, state, id, generation, irp, doom; the rest belongs to who made the request. */
struct fs_pending {
	LIST_ENTRY link;   /* service.queued, .sent, .doomed */
	LIST_ENTRY bucket; /* service.table, from SENDING on */
	enum fs_state state;
	BOOLEAN cancellable;
	BOOLEAN armed;		  /* the cancel routine is set on irp */
	BOOLEAN abandoned;	  /* it has completed the IRP: nobody waits any more */
	BOOLEAN replayed;	  /* an earlier service was given it */
	BOOLEAN kept;		  /* part of a CCB: not freed by itself */
	BOOLEAN restores;	  /* FS_DISK_ADDED, FS_REOPEN of RESTORING */
	uint32_t generation;	  /* of the service that was given it */
	NTSTATUS doom;		  /* status of a doomed request */
	IRP *irp;		  /* waits for it; NULL */
	ULONG_PTR information;	  /* for the IRP */
	struct fs_drive *drive;	  /* reference; NULL: FS_CANCEL */
	struct fs_ccb *ccb;	  /* reference; NULL */
	struct fs_path *paths[2]; /* references */
	FSDone *done;
	struct fs_piece pieces[FS_PIECES_MAX];
	uint32_t piece_count;
	void *owned; /* freed with it (FS_TAG_COPY) */
	/* What the IRP's family needs between steps. */
	uint8_t *buffer;    /* system address of the IRP's buffer */
	uint32_t room;	    /* bytes of it */
	uint32_t moved;	    /* bytes that are done */
	uint64_t offset;    /* in the file, of the beginning */
	uint32_t operation; /* class, code, or what the family says */
	void *more;	    /* of the family */
	struct fs_request request;
};

/* --- The service ------------------------------------------------------------------------------------------ */

enum fs_service_state { FS_SERVICE_NONE, FS_SERVICE_RESTORING, FS_SERVICE_RUNNING, FS_SERVICE_LOST };

#define FS_BUCKETS	256u
#define FS_PATIENCE_MAX 3600u /* seconds */
#define FS_OFFERS_MAX	1024u /* SEND_REQUESTs that may wait */

struct fs_service {
	KSPIN_LOCK lock;
	enum fs_service_state state;
	FILE_OBJECT *owner;  /* handle that said START; compared, never followed */
	uint32_t generation; /* counts STARTs */
	uint32_t patience;   /* seconds */
	uint32_t offer_count;
	uint32_t unrestored; /* requests of this step of RESTORING that are not answered */
	LIST_ENTRY offers;   /* IRPs of SEND_REQUEST, by Tail.Overlay.ListEntry */
	LIST_ENTRY restore;  /* requests of this step of RESTORING, not sent yet */
	LIST_ENTRY reopen;   /* of its next step */
	LIST_ENTRY queued, sent, doomed;
	LIST_ENTRY table[FS_BUCKETS]; /* by id, from SENDING on */
	uint64_t key[2];	      /* of the ids */
	uint64_t counter;
	KTIMER timer; /* patience */
	KDPC expired;
	PIO_WORKITEM sweeper;
	BOOLEAN sweeping; /* it is queued */
	KEVENT swept;	  /* nothing is queued for it; unload waits */
};

/* --- Drives ----------------------------------------------------------------------------------------------- */

#define FS_FILE_BUCKETS 64u

enum fs_drive_state {
	FS_DRIVE_ADDING, /* the service has not opened it yet */
	FS_DRIVE_READY,
	FS_DRIVE_DISMOUNTED /* deleted, or lost with the service: every request gets STATUS_VOLUME_DISMOUNTED */
};

struct fs_drive {
	LIST_ENTRY link; /* FSDriver.drives */
	volatile LONG references;
	volatile LONG state; /* enum fs_drive_state; changed under drives_lock */
	uint64_t number;
	uint16_t letter;
	uint32_t flags; /* FS_DISK_* */
	BOOLEAN linked; /* the letter's link is ours */
	BOOLEAN told;	/* the mount manager knows it */
	BOOLEAN busy;	/* FSDriveReady is at work: it looks at state when it is done */
	DEVICE_OBJECT *disk, *volume;
	WCHAR device_name[64]; /* \Device\DrivewayVolume{...}, of disk; NUL at its end */
	GUID identity;
	LARGE_INTEGER created;
	UNICODE_STRING label, source, cache, options; /* memory of its own; label: label_text, under files_lock */
	WCHAR label_text[FS_LABEL_MAX / sizeof(WCHAR)];
	uint64_t total; /* bytes, as last told by the service; 0: not yet */
	PIO_WORKITEM work;
	void (*task)(struct fs_drive *drive); /* of work */
	IRP *irp;			      /* of ADD_DISK or DELETE_DISK, for the next task; NULL */
	NTSTATUS status;		      /* of the service's answer, for the next task */
	struct fs_pending *removed;	      /* FS_DISK_REMOVED, made beforehand */

	FAST_MUTEX files_lock;
	LIST_ENTRY files[FS_FILE_BUCKETS]; /* FCBs by node */
	LONG open_count;		   /* CCBs of files */
	struct fs_fcb *volume_fcb;	   /* of opens of the volume itself */
	FILE_OBJECT *locked_by;		   /* FSCTL_LOCK_VOLUME; compared only */
	PNOTIFY_SYNC notify_sync;	   /* NULL until somebody watches */
	LIST_ENTRY notify_list;
};

/* --- Files ------------------------------------------------------------------------------------------------ */

/* Under drive->files_lock but header (what of it is ours: sizes, too) and section, which the memory manager shares. */
struct fs_fcb {
	FSRTL_ADVANCED_FCB_HEADER header; /* first: FileObject->FsContext */
	SECTION_OBJECT_POINTERS section;
	ERESOURCE resource, paging;
	FAST_MUTEX header_mutex;
	LIST_ENTRY bucket; /* drive->files */
	LIST_ENTRY opens;  /* CCBs */
	LONG references;
	struct fs_drive *drive; /* reference */
	uint64_t node;
	struct fs_path *path; /* reference; replaced by a rename */
	struct fs_file file;  /* as last told by the service */
	SHARE_ACCESS share;
	uint32_t handles; /* CCBs before their cleanup */
	BOOLEAN is_volume;
	BOOLEAN listed;		/* in drive->files */
	BOOLEAN delete_pending; /* no more opens; its name goes with the last handle */
	BOOLEAN deleted;	/* its name is gone */
	BOOLEAN has_locks;	/* locks is initialised */
	BOOLEAN has_oplock;	/* oplock is initialised */
	FILE_LOCK locks;
	OPLOCK oplock;
};

/* One open. fields under drive->files_lock; cleanup and close are requests made beforehand. */
struct fs_ccb {
	LIST_ENTRY link; /* fcb->opens */
	LONG references;
	struct fs_drive *drive; /* reference */
	struct fs_fcb *fcb;	/* reference; NULL until CREATE is answered */
	FILE_OBJECT *object;	/* until IRP_MJ_CLOSE; compared only, but by cleanup */
	uint64_t file;		/* the service's name; 0: none */
	uint32_t generation;	/* of the service that gave it */
	ACCESS_MASK granted;
	uint32_t share;	       /* FILE_SHARE_* */
	uint32_t options;      /* FILE_* of CreateOptions */
	uint32_t create_flags; /* FS_OPEN_* */
	BOOLEAN open;	       /* counted in drive->open_count */
	BOOLEAN counted;       /* in share access and handles */
	BOOLEAN cleaned;       /* IRP_MJ_CLEANUP came */
	BOOLEAN closing;       /* FS_CLOSE is on its way */
	BOOLEAN lost;	       /* could not be opened again: STATUS_FILE_INVALID */
	BOOLEAN delete_on_close;
	BOOLEAN posix_delete; /* its cleanup takes the name away, whoever else has it open */
	BOOLEAN notifying;
	BOOLEAN listing;	 /* a pattern is set */
	uint64_t marker;	 /* where the listing goes on */
	BOOLEAN listed_any;	 /* something was found: the end is NO_MORE_FILES, not NO_SUCH_FILE */
	struct fs_path *pattern; /* reference */
	struct fs_path *watched; /* reference; NULL: nobody does */
	UNICODE_STRING watched_name;
	struct fs_pending *cleanup, *close;
};

/* --- The driver ------------------------------------------------------------------------------------------- */

/* All state of the driver; there is one, FSDriver. */
struct fs_driver {
	DRIVER_OBJECT *object;
	DEVICE_OBJECT *control, *communication, *redirector;
	BOOLEAN control_linked, communication_linked, registered;
	ERESOURCE drives_lock;
	BOOLEAN drives_lock_made;
	KSPIN_LOCK devices_lock; /* fs_device.drive of disks and volumes, drive_count; with no other */
	uint32_t drive_count;	 /* in memory */
	KEVENT no_drives;	 /* it is 0 */
	LIST_ENTRY drives;
	uint64_t last_number;
	struct fs_service service;
};
extern struct fs_driver FSDriver;

typedef NTSTATUS FSHandler(struct fs_call *call);

/* entry.c */
DRIVER_INITIALIZE DriverEntry;
DRIVER_UNLOAD FSUnload;

/* secure.c: a device with a DACL for SYSTEM and, when wanted, Administrators; nobody can open it before it has it. */
NTSTATUS FSDeviceMake(const WCHAR *name, DEVICE_TYPE type, ULONG characteristics, ULONG size, enum fs_kind kind,
		      struct fs_drive *drive, DEVICE_OBJECT **made);
NTSTATUS FSDeviceProtect(DEVICE_OBJECT *device, BOOLEAN administrators);
void FSDeviceOpenForUse(DEVICE_OBJECT *device);

/* guard.S: calls routine(context); the status of an exception that it raised, or STATUS_SUCCESS. */
NTSTATUS FSGuard(void (*routine)(void *context), void *context);

/* dispatch.c */
DRIVER_DISPATCH FSDispatchRequest;
/* IRP_MJ_CREATE of the control or communication device itself; a name below it is nobody's. */
FSHandler FSDeviceOpened;
void FSDispatchAgain(IRP *irp);					   /* an IRP that had been held up; PASSIVE_LEVEL */
void FSComplete(IRP *irp, NTSTATUS status, ULONG_PTR information); /* <= DISPATCH_LEVEL */

/* memory.c: <= DISPATCH_LEVEL. FSAllocate gives zeroed non-paged memory, or NULL. */
void *FSAllocate(size_t size, ULONG tag);
void FSFree(void *memory, ULONG tag);
NTSTATUS FSCopyText(UNICODE_STRING *to, const void *bytes, size_t length);
struct fs_path *FSPathMake(size_t length); /* bytes */
struct fs_path *FSPathOf(const void *text, size_t length);
struct fs_path *FSPathRetain(struct fs_path *path);
void FSPathRelease(struct fs_path *path);
UNICODE_STRING FSPathString(const struct fs_path *path);
UNICODE_STRING FSPathLast(const struct fs_path *path);		       /* its last name */
BOOLEAN FSPathEqual(const struct fs_path *a, const struct fs_path *b); /* in any case of letters */
BOOLEAN FSPathBelow(const struct fs_path *path, const struct fs_path *folder);
/* The IRP's buffer as a system address; locked for the IRP when it is not yet. NULL status: STATUS_SUCCESS. */
NTSTATUS FSBufferMap(IRP *irp, ULONG length, LOCK_OPERATION operation, uint8_t **buffer);

/* control.c */
FSHandler FSControlDevice;

/* disk.c: drives. */
NTSTATUS FSAddDisk(struct fs_call *call, const struct fs_add_disk *add);
NTSTATUS FSDeleteDisk(struct fs_call *call, const struct fs_delete_disk *delete);
void FSDriveRetain(struct fs_drive *drive);		   /* <= DISPATCH_LEVEL */
void FSDriveRelease(struct fs_drive *drive);		   /* <= DISPATCH_LEVEL */
struct fs_drive *FSDriveOf(struct fs_device *device);	   /* reference; NULL. <= DISPATCH_LEVEL */
struct fs_drive *FSDriveFind(uint64_t number);		   /* reference; NULL */
BOOLEAN FSDriveDismount(struct fs_drive *drive, IRP *irp); /* its requests end now, the rest by a work item */
void FSDrivesEnd(void);					   /* unload: all of them */
void FSDrivesLock(void);
void FSDrivesUnlock(void);

/* mount.c: the letter's link and the mount manager. */
BOOLEAN FSLetterTaken(WCHAR letter);
NTSTATUS FSLetterLink(struct fs_drive *drive);
void FSLetterUnlink(struct fs_drive *drive);
NTSTATUS FSMountManagerTell(struct fs_drive *drive);
void FSMountManagerForget(struct fs_drive *drive);

/* communication.c: the service's device. */
FSHandler FSCommunicationDevice;
NTSTATUS FSServiceInitialize(struct fs_service *service);
void FSServiceEnd(void);						 /* unload */
void FSRequestRequeue(struct fs_service *service, struct fs_pending *p); /* service.lock held */

/* service.c: requests out, answers in. */
void FSServicePump(struct fs_service *service); /* pairs offers and requests; <= DISPATCH_LEVEL, no lock held */
NTSTATUS FSServiceAnswer(struct fs_call *call);
BOOLEAN FSOfferInsert(struct fs_service *service, IRP *irp, BOOLEAN first); /* service.lock held, all three */
NTSTATUS FSRequestFit(const struct fs_service *service, const struct fs_pending *p);
IRP *FSOfferTake(struct fs_service *service, const FILE_OBJECT *object);

/* restore.c: what the next service is told first. */
NTSTATUS FSRestoreMake(LIST_ENTRY *disks, LIST_ENTRY *files, uint32_t *count);
void FSRestoreFree(LIST_ENTRY *requests);
void FSRestoreStep(uint32_t generation);
void FSDiskAddedFill(struct fs_pending *p, struct fs_drive *drive);

/* requests.c */
NTSTATUS FSRequestMake(struct fs_drive *drive, struct fs_ccb *ccb, IRP *irp, uint32_t type, FSDone *done,
		       struct fs_pending **made);
void FSRequestPiece(struct fs_pending *p, uint32_t *offset, uint32_t *length, const void *bytes, size_t size);
void FSRequestText(struct fs_pending *p, struct fs_text *text, const void *bytes, size_t size);
void FSRequestClear(struct fs_pending *p); /* parameters and pieces, to be sent as something else */
/*
 * Always STATUS_PENDING, and the IRP is taken; what cannot be sent comes back to done, by the sweeper. call is NULL
 * where a done routine sends p again, or sends another request. <= APC_LEVEL
 */
NTSTATUS FSRequestSend(struct fs_call *call, struct fs_pending *p);
void FSRequestFree(struct fs_pending *p); /* MADE or DONE */
void FSRequestFinish(struct fs_pending *p, const struct fs_answer *answer);
void FSRequestFail(struct fs_drive *drive, NTSTATUS status); /* what waits of a drive ends */
uint32_t FSRequestCount(struct fs_drive *drive);
IO_WORKITEM_ROUTINE FSServiceSweep;
/* With service.lock held, DISPATCH_LEVEL. */
void FSRequestDoom(struct fs_pending *p, NTSTATUS status);
void FSRequestClaim(struct fs_pending *p);
BOOLEAN FSRequestArm(struct fs_pending *p);
void FSRequestFailHeld(struct fs_service *service, struct fs_drive *drive, NTSTATUS status); /* drive NULL: all */
uint64_t FSRequestNewId(struct fs_service *service);
struct fs_pending *FSRequestFind(struct fs_service *service, uint64_t id);
void FSSweepSoon(struct fs_service *service);

/* cache_control.c */
NTSTATUS FSFileCacheControl(struct fs_call *call);
BOOLEAN FSCacheUsed(const struct fs_fcb *fcb);				 /* the memory manager has a section of it */
void FSCacheFlush(struct fs_fcb *fcb, uint64_t offset, uint32_t length); /* when a section is there; may wait */
BOOLEAN FSCachePurge(struct fs_fcb *fcb, uint64_t offset, uint32_t length);

/* files.c: FCB and CCB. */
struct fs_fcb *FSFcbMake(struct fs_drive *drive, BOOLEAN is_volume);
void FSFcbForget(struct fs_fcb *fcb); /* of the volume, which the drive owns */
void FSFcbRelease(struct fs_fcb *fcb);
struct fs_fcb *FSFcbFind(struct fs_drive *drive, uint64_t node);		  /* files_lock held; no reference */
struct fs_fcb *FSFcbFindPath(struct fs_drive *drive, const struct fs_path *path); /* the same */
BOOLEAN FSFcbOpenBelow(struct fs_drive *drive, const struct fs_path *folder);	  /* the same */
void FSFcbUpdate(struct fs_fcb *fcb, const struct fs_file *file);		  /* takes files_lock */
struct fs_path *FSFcbPath(struct fs_fcb *fcb);					  /* reference; takes files_lock */
BOOLEAN FSFcbIsFolder(const struct fs_fcb *fcb);
NTSTATUS FSCcbMake(struct fs_drive *drive, struct fs_ccb **made);
void FSCcbRetain(struct fs_ccb *ccb);
void FSCcbRelease(struct fs_ccb *ccb);
void FSCcbEnd(struct fs_ccb *ccb);				 /* it keeps nobody from deleting the drive any more */
void FSCcbJoin(struct fs_ccb *ccb, struct fs_fcb *fcb);		 /* files_lock held */
NTSTATUS FSCcbOf(struct fs_call *call, struct fs_ccb **ccb);	 /* of the IRP's file object, fit for use */
NTSTATUS FSCcbOfFile(struct fs_call *call, struct fs_ccb **ccb); /* not of the volume itself */
void FSFilesLock(struct fs_drive *drive);
void FSFilesUnlock(struct fs_drive *drive);
NTSTATUS FSShareCheck(const struct fs_ccb *ccb, const SHARE_ACCESS *now); /* files_lock held, all three */
void FSShareAdd(struct fs_ccb *ccb, FILE_OBJECT *object);
void FSShareRemove(struct fs_ccb *ccb);

/* path.c */
BOOLEAN FSNameValid(const WCHAR *name, uint32_t count);
struct fs_path *FSPathJoin(const struct fs_path *folder, const WCHAR *name, size_t length);
struct fs_path *FSPathParent(const struct fs_path *path);
NTSTATUS FSPathOfCreate(struct fs_drive *drive, const FILE_OBJECT *object, struct fs_path **made, BOOLEAN *is_folder);

/* oplock.c: what waits for an oplock goes on by resume, or from its beginning. */
typedef void FSResume(void *context, IRP *irp, NTSTATUS status);
NTSTATUS FSOplockCheck(struct fs_call *call, struct fs_fcb *fcb); /* STATUS_PENDING: the IRP is taken */
NTSTATUS FSOplockCheckThen(IRP *irp, struct fs_fcb *fcb, BOOLEAN handle_only, FSResume *resume, void *context);
NTSTATUS FSOplockControl(struct fs_call *call, struct fs_ccb *ccb);

/* create.c: the service forgets the file. */
void FSCcbCloseService(struct fs_ccb *ccb);

/* read.c: of reads and writes. */
NTSTATUS FSIoOffset(const struct fs_call *call, LARGE_INTEGER at, uint32_t length, uint64_t *offset);

/* One file for each IRP family. */
FSHandler FSVolumeCreate, FSVolumeCleanup, FSVolumeClose, FSVolumeRead, FSVolumeWrite, FSVolumeFlush;
FSHandler FSVolumeQueryInformation, FSVolumeSetInformation, FSVolumeQueryVolume, FSVolumeSetVolume;
FSHandler FSVolumeDirectoryControl, FSVolumeFileSystemControl, FSVolumeDeviceControl, FSVolumeLockControl;
FSHandler FSVolumeQuerySecurity, FSVolumeSetSecurity, FSVolumeQueryEa, FSVolumeSetEa, FSVolumeShutdown, FSVolumePnp;
FSHandler FSDiskDevice, FSRedirectorDevice;

/* rename.c, disposition.c: of FSVolumeSetInformation. */
NTSTATUS FSRename(struct fs_call *call, struct fs_ccb *ccb, ULONG class);
NTSTATUS FSDisposition(struct fs_call *call, struct fs_ccb *ccb, ULONG class);

/* notify.c */
NTSTATUS FSNotifyWatch(struct fs_call *call, struct fs_ccb *ccb);
void FSNotifyReport(struct fs_drive *drive, const struct fs_path *path, uint32_t filter, uint32_t action);
void FSNotifyFile(struct fs_fcb *fcb, uint32_t filter, uint32_t action);
void FSNotifyCleanup(struct fs_ccb *ccb);
void FSNotifyForget(struct fs_drive *drive);
void FSNotifyEnd(struct fs_drive *drive);

#endif
