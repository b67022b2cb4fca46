/* SPDX-License-Identifier: MIT */
/*
 * call.h - the beginning and the end of a request in a volume, for dispatch.c
 */
#ifndef CHANNEL_IOCTL_CALL_H
#define CHANNEL_IOCTL_CALL_H

#include "channel/ioctl/volume_internal.h"

/* A call that is not in the volume's list, without a slot: no request's. */
void call_prepare(struct call *call, struct volume *volume);
/* call->in is filled in. Waits while VOLUME_CALLS are under way or not answered. The slot, for call_slot_free. */
uint32_t call_begin(struct call *call);
/* What the call holds is given back; its slot stays. */
void call_end(struct call *call);
/*
 * Before a request that is not FS_REOPEN: files of an earlier process that the driver did not open again are closed.
 * What a request that comes again had opened is not among them. call is not begun yet.
 */
void call_restored(struct call *call);
/* The answer has arrived. */
void call_slot_free(struct volume *volume, uint32_t slot);
/* The call with this id, if it is under way, shall not wait any longer. */
void call_interrupt(struct volume *volume, uint64_t id);

#endif
