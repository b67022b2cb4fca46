// SPDX-License-Identifier: MIT
/*
 * pnp.c - IRP_MJ_PNP: our devices are not of plug and play
 *
 * What asks whether the device may go is answered by who has it open; the rest keeps the status that it came with, as
 * is due for what a driver does not handle. PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

NTSTATUS FSVolumePnp(struct fs_call *call)
{
	LONG open;

	if (call->stack->MinorFunction != IRP_MN_QUERY_REMOVE_DEVICE)
		return call->irp->IoStatus.Status;
	FSFilesLock(call->drive);
	open = call->drive->open_count;
	FSFilesUnlock(call->drive);
	return open > 0 ? STATUS_DEVICE_BUSY : STATUS_SUCCESS;
}
