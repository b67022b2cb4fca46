/* SPDX-License-Identifier: MIT */
/*
 * builtin.h - the providers that are linked into the service
 *
 * Defined in filesystems/memory and filesystems/local, whose headers are for their own rooms: of a
 * provider the service needs its one symbol, as of a plug-in.
 */
#ifndef SERVICE_BUILTIN_H
#define SERVICE_BUILTIN_H

#include <driveway/filesystem.h>

extern const struct dw_provider memory_provider;
extern const struct dw_provider local_provider;

#endif
