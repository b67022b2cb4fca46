/* SPDX-License-Identifier: MIT */
/*
 * report.h - what `list` and `status` tell of a drive
 *
 * Everything here is bounded: a drive whose file system hangs is reported without its size, after a second.
 * docs/control.md documents the members. Any thread.
 */
#ifndef SERVICE_LINUX_REPORT_H
#define SERVICE_LINUX_REPORT_H

#include <jansson.h>

#include "service/linux/mapping.h"

/* target, source, label, provider, state, transport, ...; a new reference, NULL: no memory. */
json_t *report_brief(struct mapping *mapping);
/* The same and the figures; size: ask the file system how big and how full it is. */
json_t *report_full(struct mapping *mapping);
/* keeper_pid, service_pid, version, ...; drives (stolen) becomes a member. */
json_t *report_service(struct service *service, json_t *drives);

#endif
