/* SPDX-License-Identifier: MIT */
/*
 * items.h - items of a page, kept after the callbacks that brought them
 *
 * The remote calls back while it holds a connection; rows are written afterwards, in one transaction. A page is one
 * thread's.
 */
#ifndef CACHE_ITEMS_H
#define CACHE_ITEMS_H

#include <driveway/remote.h>

struct kept_item {
	struct dw_remote_item item; /* all that it points to is in texts and properties */
	enum dw_remote_event_type event;
	char *texts;
	struct dw_remote_property *properties;
	/* Of an event that was doubtful (absorb.h): item is what the server said when it was asked, while we knew the
	 * etag known, and told is the etag that the event had. NULL: the item is the event's own. */
	char *known, *told;
	bool gone; /* when it was asked for the item was gone: the event tells nothing any more */
};

struct items {
	struct kept_item *list;
	size_t count, room;
};

/* A copy at the end of the page; item may be NULL for DW_REMOTE_EVENT_LOST. -ENOMEM. */
int items_add(struct items *items, enum dw_remote_event_type event, const struct dw_remote_item *item);
/* Empty it; what it had is freed. */
void items_clear(struct items *items);
/* For dw_remote_items and dw_remote_events whose context is a struct items. */
int items_take(const struct dw_remote_items *to, const struct dw_remote_item *item);
int items_take_event(const struct dw_remote_events *to, enum dw_remote_event_type type,
		     const struct dw_remote_item *item);

#endif
