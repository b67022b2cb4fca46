/* SPDX-License-Identifier: MIT */
/*
 * events.h - the stream of changes and the long poll
 *
 * Every change adds a row with the item as it is then. A position in the stream is the number of the last row seen. A
 * long poll waits on a condition that events_wake signals after a transaction was committed.
 *
 * Threads: events_add inside a transaction; events_wake and events_stop without the store's lock.
 */
#ifndef BOX_EVENTS_H
#define BOX_EVENTS_H

#include "emulators/box/item.h"

struct events *events_new(void);
void events_free(struct events *events);
void events_add(struct request *request, const char *type, const struct item *item);
void events_wake(struct events *events);
/* The service ends: nobody waits any more. */
void events_stop(struct events *events);

/* Calls. */
void events_get(struct request *request);
void events_servers(struct request *request);
void events_poll(struct request *request);

#endif
