// SPDX-License-Identifier: MIT
/*
 * ea.c - IRP_MJ_QUERY_EA and IRP_MJ_SET_EA: there are no extended attributes. Any IRQL.
 */
#include "driver/driveway.h"

NTSTATUS FSVolumeQueryEa(struct fs_call *call)
{
	return STATUS_EAS_NOT_SUPPORTED;
}

NTSTATUS FSVolumeSetEa(struct fs_call *call)
{
	return STATUS_EAS_NOT_SUPPORTED;
}
