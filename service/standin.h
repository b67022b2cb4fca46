/* SPDX-License-Identifier: MIT */
/*
 * standin.h - a file system that answers every request with EIO
 *
 * It stands in for one that cannot be opened again after a restart of the service (its source is gone, the
 * network is down): the drive stays mapped, programs get an error instead of a hang, and nothing that is
 * open is torn down. It has no state; forgets that come while it stands in are lost, which costs the file system
 * that follows it some remembered nodes until the drive is unmapped.
 */
#ifndef SERVICE_STANDIN_H
#define SERVICE_STANDIN_H

#include <driveway/filesystem.h>

/* Fill in fs; it needs no closing. */
void standin_prepare(struct dw_filesystem *fs);

#endif
