// SPDX-License-Identifier: MIT
/*
 * shutdown.c - IRP_MJ_SHUTDOWN: nothing is cached here, and the service is stopped by itself before. Any IRQL.
 */
#include "driver/driveway.h"

NTSTATUS FSVolumeShutdown(struct fs_call *call)
{
	return STATUS_SUCCESS;
}
