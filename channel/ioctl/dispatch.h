/* SPDX-License-Identifier: MIT */
/*
 * dispatch.h - one request of the driver, answered by a volume
 *
 * The whole of channel/ioctl behind one function, without anything of Windows: whoever gets requests from the
 * communication device (device.c), or makes them up (tests), gives them here.
 *
 *    request --> ioctl_dispatch --> response and data --> to the driver --> ioctl_answered
 *
 * A request is believed in nothing: its length, every offset and length in it, and the room of the answer are checked
 * before anything is done. One that is wrong gets STATUS_INVALID_PARAMETER and changes nothing. FS_DISK_ADDED and
 * FS_DISK_REMOVED are the service's; ioctl_check looks at all types.
 *
 * Threads: any number at once, each with its own buffers. A request may wait for a network as long as that takes;
 * FS_CANCEL must not wait behind it.
 */
#ifndef CHANNEL_IOCTL_DISPATCH_H
#define CHANNEL_IOCTL_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/ioctl/volume.h"
#include "driver/protocol.h"

/* Is message, size bytes from an address that is a multiple of 8, one sound request with an answer of at most room
 * bytes? */
bool ioctl_check(const void *message, size_t size, size_t room);

/*
 * Answer message (as above). data, room bytes, receives what the answer brings; response->data says how much. The
 * ticket is for ioctl_answered, which is to be called when the driver has the answer: until then the request's notes
 * are kept, for a service that comes after this one. No more than VOLUME_CALLS tickets are out at a time: a further
 * call waits.
 */
#define IOCTL_NO_TICKET UINT32_MAX
uint32_t ioctl_dispatch(struct volume *volume, const void *message, size_t size, struct fs_response *response,
			void *data, size_t room);
void ioctl_answered(struct volume *volume, uint32_t ticket);

/* The same response without a volume: status and nothing else. */
void ioctl_refuse(const void *message, size_t size, int32_t status, struct fs_response *response);

#endif
