/* SPDX-License-Identifier: MIT */
/*
 * check.h - what most calls have to check before they do anything
 *
 * Each answers true when all is well; otherwise it has set the answer and the handler returns.
 *
 * Threads: with the store's lock held.
 */
#ifndef BOX_CHECK_H
#define BOX_CHECK_H

#include "emulators/box/item.h"

/* The call is about a folder: its path begins with /folders. */
bool check_about_folder(const struct request *request);
/* The user's item that text names; 404 when it is not there, and when its status is another one than wanted. */
bool check_item(struct request *request, bool folder, const char *text, enum item_status wanted, struct item *item);
/* The item of the call's first argument, which is active. */
bool check_this_item(struct request *request, struct item *item);
/* If-Match, with or without quotes: 412. */
bool check_if_match(struct request *request, const struct item *item);
/* name may be NULL, when it is missing: 400. */
bool check_name(struct request *request, const char *name);
/* No other item than the one with the key except may have this name in the folder: 409. */
bool check_free(struct request *request, int64_t folder, const char *name, int64_t except);
/* The active folder {"parent": {"id": ...}} of a body: 400, 404. */
bool check_parent(struct request *request, const json_t *body, struct item *folder);
/* The user may store so many bytes more, and a single file may be so large: 403. */
bool check_room(struct request *request, int64_t size);
/* A time in a body: absent leaves *time; 400. */
bool check_time(struct request *request, const json_t *body, const char *name, int64_t *time);

#endif
