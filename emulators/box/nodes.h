/* SPDX-License-Identifier: MIT */
/*
 * nodes.h - the calls that files and folders share, and those of folders
 *
 * Threads: handlers, called as their routes say.
 */
#ifndef BOX_NODES_H
#define BOX_NODES_H

#include "emulators/box/item.h"

void nodes_get(struct request *request);
void nodes_update(struct request *request);
void nodes_delete(struct request *request);
void nodes_copy(struct request *request);
void folders_create(struct request *request);
void folders_items(struct request *request);

/* Trash (trash.c). */
void trash_items(struct request *request);
void trash_get(struct request *request);
void trash_restore(struct request *request);
void trash_purge(struct request *request);

/* Old versions (versions.c). */
void versions_list(struct request *request);
void versions_get(struct request *request);
void versions_promote(struct request *request);
void versions_delete(struct request *request);

/* Users (users.c). */
void users_me(struct request *request);

/* Metadata (metadata.c). */
void metadata_list(struct request *request);
void metadata_get(struct request *request);
void metadata_create(struct request *request);
void metadata_update(struct request *request);
void metadata_delete(struct request *request);

/* Answer with a page of items; statement gives ITEM_COLUMNS. Used by listings of folders and of the trash. */
json_t *nodes_entries(struct request *request, sqlite3_stmt *statement, int64_t limit, struct item *last);
/* Mark an item as deleted, with its event; what the control interface does as another user, too. */
void nodes_trash(struct request *request, struct item *item);

#endif
