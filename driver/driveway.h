/* SPDX-License-Identifier: MIT */
/*
 * driveway.h - the inside of the Windows driver
 *
 * Devices
 *   DriverEntry makes three devices, control, communication and redirector. Each disk that ADD_DISK makes has two more: a
 *   disk device, which the letter is linked to and which answers storage codes, and a volume device, on which our file
 *   system is mounted. Every device extension begins with struct fs_device, whose kind tells FSDispatchRequest whose
 *   IRP it has.
 *
 * Who answers
 *   Control and communication codes are answered here at once, but ADD_DISK and SEND_REQUEST, which pend. IRPs of a
 *   volume that need the file system become requests: struct fs_pending, made by FSRequestMake, filled in by the file of
 *   their IRP family, and given to FSRequestSend, which marks the IRP pending. The answer is handled by the family's
 *   done routine, on the thread of the service that brought it. Nothing here ever waits for an answer: one thread may
 *   carry all IRPs.
 *
 * A request
 *
 *      FSRequestMake     FSRequestSend       SEND_REQUEST         RECEIVE_RESPONSE
 *          | made ----------> | queued ----------> | sent ------------> | answered -> done() -> IRP completed -> freed
 *                              |    ^                |
 *                              |    '-- service dies-'  (patience runs)
 *                              '--- cancel, patience over, STOP, disk removed ------> done(status) -> ...
 *
 *   A request that was sent and whose IRP is cancelled stays known, without its IRP, until its answer comes: what the
 *   service opened for nobody is closed then. FS_CANCEL tells the service. Cleanup and close have no IRP (FSRequestMake
 *   with NULL) where the IRP must not fail or wait: they are completed at once and the request runs by itself; it is
 *   made when the file is opened, so that it needs no memory later.
 *
 * FCB and CCB
 *   FileObject->FsContext is the FCB, one for each file that is open, found by (disk, node); FsContext2 is the CCB, one
 *   for each open. The FCB begins with FSRTL_ADVANCED_FCB_HEADER and lives while a file object, a mapping or a pending
 *   request refers to it. Share access, delete-pending, byte-range locks and oplocks are the FCB's.
 *
 * Reads, writes, mappings
 *   No file is cached by Cc: reads and writes of programs go to the service. Sections are made of files by paging I/O,
 *   which IRP_MJ_READ and IRP_MJ_WRITE serve like any other; before a read the section's changes are flushed, after a
 *   write its pages are purged (CcFlushCache, CcPurgeCacheSection on SectionObjectPointers), and what the service says
 *   by FILE_CACHE_CONTROL does the same.
 *
 * Locks, in the order in which they are taken; all at PASSIVE_LEVEL or APC_LEVEL unless said otherwise
 *   1. fcb->header.Resource          size and attributes as known; exclusive by what changes them
 *   2. fcb->header.PagingIoResource  taken by the memory manager before paging I/O; by us around a change of size
 *   3. driver.disks_lock             (ERESOURCE) the list of disks
 *   4. disk->files_lock              (FAST_MUTEX) FCBs by node, open counts, share access
 *   5. service.lock                  (spin lock, DISPATCH_LEVEL) queues and table of requests, owner of the service
 *   None is held while a request waits, while an IRP is completed, or while Ob, Io or Zw routines are called.
 *
 * Memory is non-paged (requests, FCBs: they are touched at DISPATCH_LEVEL) or paged (text of disks), tagged FS_TAG_*.
 * What touches a user's memory runs under FSGuard, since this is C without structured exception handling.
 */
#ifndef DRIVEWAY_DRIVER_DRIVEWAY_H
#define DRIVEWAY_DRIVER_DRIVEWAY_H

#include <ntifs.h>

#include "driver/protocol.h"

/* First in every device extension. */
enum fs_kind { FS_KIND_CONTROL = 0x46534431, FS_KIND_COMMUNICATION, FS_KIND_REDIRECTOR, FS_KIND_DISK, FS_KIND_VOLUME };

struct fs_device {
	enum fs_kind kind;
	DEVICE_OBJECT *object;
};

#endif
