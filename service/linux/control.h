/* SPDX-License-Identifier: MIT */
/*
 * control.h - the methods of the control endpoint
 *
 * map, unmap, list, status, providers, version; docs/control.md is their manual. Called on the thread of a
 * connection, which a method may block as long as it takes: map waits for the provider.
 */
#ifndef SERVICE_LINUX_CONTROL_H
#define SERVICE_LINUX_CONTROL_H

#include <stddef.h>

#include "service/linux/service.h"

/*
 * Carry out the request in line (length bytes) and return the answer with its newline, for the caller to free;
 * NULL: there is nothing to answer (a notification), or no memory. Any thread.
 */
char *control_handle(struct service *service, const char *line, size_t length);

#endif
