/* SPDX-License-Identifier: MIT */
/*
 * disk.h - the disks of the service on Windows: what FS_DISK_ADDED asks for
 *
 * A disk is a provider's file system, a volume over it (channel/ioctl) and its kept memory, in a folder named after the
 * disk's number. The owner of the device has one struct disks, which makes and ends them.
 *
 * Threads: disks_added and disks_removed from any thread, for one disk one after another.
 */
#ifndef SERVICE_WINDOWS_DISK_H
#define SERVICE_WINDOWS_DISK_H

#include <pthread.h>

#include "channel/ioctl/device.h"
#include "service/providers.h"
#include "support/log.h"

struct disk_mapped;

struct disks {
	struct log *log;
	struct providers *providers;
	char folder[200]; /* of kept memory; exists */
	pthread_mutex_t lock;
	struct disk_mapped *first;
};

/* request is sound: the volume, or an NTSTATUS. */
int32_t disks_added(struct disks *disks, const struct fs_request *request, struct volume **out);
/* unmapped: kept memory goes, too. */
void disks_removed(struct disks *disks, struct volume *volume, bool unmapped);

#endif
