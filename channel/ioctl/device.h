/* SPDX-License-Identifier: MIT */
/*
 * device.h - the communication device of the Windows driver
 *
 * Windows only. A device is the service's one handle of \\.\DrivewayCommunication. Some buffers always lie with the
 * driver (SEND_REQUEST); a request that comes gets a work item of its own on the Win32 thread pool, and its buffer, or
 * a fresh one, goes back to the driver at once. So any number of requests may wait for something slow, and the next one
 * is taken all the same.
 *
 *    DeviceRequestThreadProc          work item of the request
 *    buffer came back ------------> disk's volume: ioctl_dispatch --> RECEIVE_RESPONSE --> ioctl_answered
 *      '-- SEND_REQUEST again
 *
 * Disks come and go by FS_DISK_ADDED and FS_DISK_REMOVED, which the owner answers; the device knows which volume is
 * whose. A volume is not taken away while a request uses it.
 *
 * Threads: ioctl_device_open and ioctl_device_close from one; the owner's functions are called on threads of the pool,
 * for different disks at the same time. One lock, of the table of disks; a leaf.
 */
#ifndef CHANNEL_IOCTL_DEVICE_H
#define CHANNEL_IOCTL_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "channel/ioctl/volume.h"
#include "driver/protocol.h"

struct ioctl_device;

struct ioctl_owner {
	/* request is sound (ioctl_check) and FS_DISK_ADDED: the volume, or an NTSTATUS. May take its time. */
	int32_t (*disk_added)(struct ioctl_owner *owner, const struct fs_request *request, struct volume **out);
	/* No request uses volume any more. unmapped: the disk is gone, and not only this service. */
	void (*disk_removed)(struct ioctl_owner *owner, uint64_t disk, struct volume *volume, bool unmapped);
	/* The driver is gone, or does not answer any more: close the device. Once. */
	void (*lost)(struct ioctl_owner *owner);
};

/*
 * Open the device and say START; patience in seconds (protocol.h). 0 or the error of Win32. From then on requests are
 * answered until ioctl_device_close.
 */
uint32_t ioctl_device_open(struct ioctl_device **out, struct ioctl_owner *owner, uint32_t patience);
/*
 * Requests under way are answered, then the owner is told that each disk is removed (not unmapped). stop: say STOP, so
 * that nothing waits for another service.
 */
void ioctl_device_close(struct ioctl_device *device, bool stop);

#endif
