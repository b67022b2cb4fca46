/* SPDX-License-Identifier: MIT */
/*
 * item.h - files and folders: names, the tree, versions, etags
 *
 * An item's key is its id times two, and one more for a folder, so that a file and a folder may have the same id, as
 * they may at Box. The root folder of a user is called 0 on the wire. Deleting marks the item itself only; what is
 * below a deleted folder is in the trash because of it, which item_status finds by walking up.
 *
 * Every change of an item counts its etag up and writes an event (events.h). Sizes of all versions, in the trash too,
 * count toward the owner's quota.
 *
 * Threads: all with the store's lock held, what changes inside a transaction. Failures of the database are the store's
 * sticky ones.
 */
#ifndef BOX_ITEM_H
#define BOX_ITEM_H

#include "emulators/box/request.h"

#define ITEM_NAME     1024 /* 255 characters of four bytes, and a NUL */
#define ITEM_NAME_MAX 255
#define ITEM_DEPTH    512

enum item_extras {
	ITEM_SHARED = 1,
	ITEM_DESCRIBED = 2,
	ITEM_TAGGED = 4,
	ITEM_METADATA = 8,
};

struct item {
	int64_t key;
	int64_t owner;
	int64_t parent; /* 0: a user's root */
	bool folder;
	char name[ITEM_NAME];
	int64_t size;
	char sha1[CONTENT_SHA1];
	int64_t version; /* the current one's id */
	int64_t etag;
	int64_t created, modified, content_created, content_modified;
	int64_t trashed; /* when it was deleted, 0: it was not, itself */
	int64_t extras;
};

enum item_status {
	ITEM_ACTIVE,
	ITEM_TRASHED,
};

/* The key that a text on the wire names; 0 when it is no id. */
int64_t item_key(const struct user *user, bool folder, const char *text);
/* What the item is called on the wire. */
#define ITEM_ID 24
void item_id(const struct item *item, char out[ITEM_ID]);

bool item_get(struct store *store, int64_t key, struct item *item);
/* The item of this name in a folder, in whatever case. */
bool item_find(struct emulator *emulator, int64_t parent, const char *name, struct item *item);
/* The columns of "SELECT ITEM_COLUMNS FROM item". */
#define ITEM_COLUMNS                                                                                                   \
	"key, owner, parent, folder, name, size, sha1, version, etag, created, modified, content_created,"             \
	" content_modified, trashed, extras"
void item_read(sqlite3_stmt *statement, struct item *item);

enum item_status item_status(struct store *store, const struct item *item);
/* item is inside folder, or it itself. */
bool item_within(struct store *store, int64_t key, int64_t folder);

/* The code of what is wrong with a name, or NULL. */
const char *item_name_problem(const char *name);
/* The name in lower case; to be freed, NULL when memory ran out. */
char *item_fold(struct emulator *emulator, const char *name);

/* Add a folder or an empty place for a file; item has everything but the key, which is set. */
void item_insert(struct emulator *emulator, struct item *item);
/* Write a changed item back: etag one more, modified now. */
void item_update(struct emulator *emulator, struct item *item);
/* Give a file a new version with this content, which is in its place already. The item is not written back. */
void item_add_version(struct emulator *emulator, struct item *item, const char *sha1, int64_t size);
/* A folder's content has changed. */
void item_touch(struct emulator *emulator, int64_t folder);
/* Delete the item for good, with all that is below it. */
void item_purge(struct emulator *emulator, const struct item *item);
/* Copy the item (with all below it, when it is a folder) into a folder under a name. *copy: the new one. */
void item_copy(struct emulator *emulator, const struct item *item, int64_t parent, const char *name, struct item *copy);

/* Whether the owner may store so many bytes more. */
bool item_room(struct store *store, int64_t owner, int64_t size);

#endif
