/* SPDX-License-Identifier: MIT */
#include "emulators/box/item.h"

#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#define FIRST_ID 10000000001 /* above what people take for a small number */

int64_t item_key(const struct user *user, bool folder, const char *text)
{
	uint64_t id;

	if (folder && strcmp(text, "0") == 0)
		return user->root;
	if (text_parse_number(text, INT64_MAX / 2 - 1, &id) || id == 0)
		return 0;
	return (int64_t)id * 2 + folder;
}

void item_id(const struct item *item, char out[ITEM_ID])
{
	text_format(out, ITEM_ID, "%lld", item->parent ? (long long)(item->key / 2) : 0LL);
}

void item_read(sqlite3_stmt *statement, struct item *item)
{
	item->key = sqlite3_column_int64(statement, 0);
	item->owner = sqlite3_column_int64(statement, 1);
	item->parent = sqlite3_column_int64(statement, 2);
	item->folder = sqlite3_column_int(statement, 3);
	text_copy(item->name, sizeof(item->name), store_text(statement, 4));
	item->size = sqlite3_column_int64(statement, 5);
	text_copy(item->sha1, sizeof(item->sha1), store_text(statement, 6));
	item->version = sqlite3_column_int64(statement, 7);
	item->etag = sqlite3_column_int64(statement, 8);
	item->created = sqlite3_column_int64(statement, 9);
	item->modified = sqlite3_column_int64(statement, 10);
	item->content_created = sqlite3_column_int64(statement, 11);
	item->content_modified = sqlite3_column_int64(statement, 12);
	item->trashed = sqlite3_column_int64(statement, 13);
	item->extras = sqlite3_column_int64(statement, 14);
}

bool item_get(struct store *store, int64_t key, struct item *item)
{
	sqlite3_stmt *statement = store_ask(store, "SELECT " ITEM_COLUMNS " FROM item WHERE key = ?", "i", key);

	if (!store_next(store, statement))
		return false;
	item_read(statement, item);
	store_done(statement);
	return true;
}

bool item_find(struct emulator *emulator, int64_t parent, const char *name, struct item *item)
{
	char *fold = item_fold(emulator, name);
	sqlite3_stmt *statement;
	bool found;

	if (!fold)
		return false;
	statement = store_ask(emulator->store,
			      "SELECT " ITEM_COLUMNS " FROM item WHERE parent = ? AND fold = ? AND trashed = 0", "is",
			      parent, fold);
	found = store_next(emulator->store, statement);
	if (found) {
		item_read(statement, item);
		store_done(statement);
	}
	free(fold);
	return found;
}

enum item_status item_status(struct store *store, const struct item *item)
{
	int64_t parent = item->parent;
	sqlite3_stmt *statement;

	if (item->trashed)
		return ITEM_TRASHED;
	for (int depth = 0; parent && depth < ITEM_DEPTH; depth++) {
		statement = store_ask(store, "SELECT parent, trashed FROM item WHERE key = ?", "i", parent);
		if (!store_next(store, statement))
			return ITEM_TRASHED;
		parent = sqlite3_column_int64(statement, 0);
		if (sqlite3_column_int64(statement, 1))
			parent = -1;
		store_done(statement);
		if (parent == -1)
			return ITEM_TRASHED;
	}
	return ITEM_ACTIVE;
}

bool item_within(struct store *store, int64_t key, int64_t folder)
{
	for (int depth = 0; key && depth < ITEM_DEPTH; depth++) {
		if (key == folder)
			return true;
		key = store_number(store, 0, "SELECT parent FROM item WHERE key = ?", "i", key);
	}
	return false;
}

/* The next character of UTF-8 text, or -1 when it is none. jansson has checked what comes from JSON. */
static int32_t item_character(const unsigned char **text)
{
	const unsigned char *at = *text;
	int more = *at < 0x80 ? 0 : *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : 1;
	int32_t value = more == 0 ? *at : *at & (0x3f >> more);

	if (*at >= 0x80 && *at < 0xc2)
		return -1;
	for (at++; more; more--, at++) {
		if ((*at & 0xc0) != 0x80)
			return -1;
		value = value << 6 | (*at & 0x3f);
	}
	*text = at;
	return value;
}

const char *item_name_problem(const char *name)
{
	const unsigned char *at = (const unsigned char *)name;
	int count = 0;
	int32_t value;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "item_name_invalid";
	while (*at) {
		value = item_character(&at);
		if (value < 0x20 || value == 0x7f || value == '/' || value == '\\')
			return "item_name_invalid";
		if (++count > ITEM_NAME_MAX)
			return "item_name_too_long";
	}
	return name[strlen(name) - 1] == ' ' ? "item_name_invalid" : NULL;
}

static char *item_put_character(char *out, wint_t value)
{
	if (value < 0x80) {
		*out++ = (char)value;
	} else if (value < 0x800) {
		*out++ = (char)(0xc0 | value >> 6);
		*out++ = (char)(0x80 | (value & 0x3f));
	} else if (value < 0x10000) {
		*out++ = (char)(0xe0 | value >> 12);
		*out++ = (char)(0x80 | (value >> 6 & 0x3f));
		*out++ = (char)(0x80 | (value & 0x3f));
	} else {
		*out++ = (char)(0xf0 | value >> 18);
		*out++ = (char)(0x80 | (value >> 12 & 0x3f));
		*out++ = (char)(0x80 | (value >> 6 & 0x3f));
		*out++ = (char)(0x80 | (value & 0x3f));
	}
	return out;
}

char *item_fold(struct emulator *emulator, const char *name)
{
	const unsigned char *at = (const unsigned char *)name;
	char *fold = malloc(strlen(name) * 4 + 1), *out = fold;
	int32_t value;

	if (!fold)
		return NULL;
	while (*at) {
		value = item_character(&at);
		if (value < 0)
			value = *at++;
		out = item_put_character(out, towlower_l((wint_t)value, emulator->locale));
	}
	*out = '\0';
	return fold;
}

/* The next free key of files or of folders. */
static int64_t item_next_key(struct store *store, bool folder)
{
	const char *name = folder ? "next_folder" : "next_file";
	int64_t id = store_number(store, FIRST_ID, "SELECT value FROM setting WHERE name = ?", "s", name);

	store_run(store, "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", "si", name, id + 1);
	return id * 2 + folder;
}

void item_insert(struct emulator *emulator, struct item *item)
{
	struct store *store = emulator->store;
	char *fold = item_fold(emulator, item->name);

	item->key = item_next_key(store, item->folder);
	if (!fold)
		store->failed = true;
	store_run(store,
		  "INSERT INTO item (" ITEM_COLUMNS ", fold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		  "iiiisisiiiiiiiis", item->key, item->owner, item->parent, (int64_t)item->folder, item->name,
		  item->size, item->sha1, item->version, item->etag, item->created, item->modified,
		  item->content_created, item->content_modified, item->trashed, item->extras, fold);
	free(fold);
}

void item_update(struct emulator *emulator, struct item *item)
{
	struct store *store = emulator->store;
	char *fold = item_fold(emulator, item->name);

	if (!fold)
		store->failed = true;
	item->etag++;
	item->modified = clock_now(&emulator->clock);
	store_run(store,
		  "UPDATE item SET parent = ?, name = ?, fold = ?, size = ?, sha1 = ?, version = ?, etag = ?,"
		  " modified = ?, content_created = ?, content_modified = ?, trashed = ?, extras = ? WHERE key = ?",
		  "issisiiiiiiii", item->parent, item->name, fold, item->size, item->sha1, item->version, item->etag,
		  item->modified, item->content_created, item->content_modified, item->trashed, item->extras,
		  item->key);
	free(fold);
}

void item_add_version(struct emulator *emulator, struct item *item, const char *sha1, int64_t size)
{
	struct store *store = emulator->store;
	int64_t number = store_number(store, 0, "SELECT max(number) FROM version WHERE file = ?", "i", item->key);
	int64_t now = clock_now(&emulator->clock);

	store_run(
		store,
		"INSERT INTO version (file, number, sha1, size, name, created, modified) VALUES (?, ?, ?, ?, ?, ?, ?)",
		"iisisii", item->key, number + 1, sha1, size, item->name, now, now);
	item->version = sqlite3_last_insert_rowid(store->database);
	item->size = size;
	text_copy(item->sha1, sizeof(item->sha1), sha1);
	store_run(store, "UPDATE user SET used = used + ? WHERE id = ?", "ii", size, item->owner);
}

void item_touch(struct emulator *emulator, int64_t folder)
{
	store_run(emulator->store, "UPDATE item SET modified = ? WHERE key = ?", "ii", clock_now(&emulator->clock),
		  folder);
}

/* The keys of an item and of all below it, parents first. To be freed; *count of them. */
static int64_t *item_tree(struct store *store, int64_t top, bool trash_too, size_t *count)
{
	size_t room = 64;
	int64_t *keys = malloc(room * sizeof(*keys)), *more;
	sqlite3_stmt *statement;

	*count = 0;
	if (!keys)
		goto fail;
	keys[(*count)++] = top;
	for (size_t at = 0; at < *count; at++) {
		if (!(keys[at] & 1))
			continue;
		statement = store_ask(store, "SELECT key FROM item WHERE parent = ? AND (trashed = 0 OR ?)", "ii",
				      keys[at], (int64_t)trash_too);
		while (store_next(store, statement)) {
			if (*count == room) {
				room *= 2;
				more = realloc(keys, room * sizeof(*keys));
				if (!more) {
					store_done(statement);
					goto fail;
				}
				keys = more;
			}
			keys[(*count)++] = sqlite3_column_int64(statement, 0);
		}
	}
	return keys;

fail:
	store->failed = true;
	free(keys);
	*count = 0;
	return NULL;
}

static void item_purge_versions(struct store *store, int64_t file, int64_t owner)
{
	char sha1[CONTENT_SHA1];
	int64_t id, size;
	sqlite3_stmt *statement;

	for (;;) {
		statement = store_ask(store, "SELECT id, sha1, size FROM version WHERE file = ? LIMIT 1", "i", file);
		if (!store_next(store, statement))
			break;
		id = sqlite3_column_int64(statement, 0);
		text_copy(sha1, sizeof(sha1), store_text(statement, 1));
		size = sqlite3_column_int64(statement, 2);
		store_done(statement);
		store_run(store, "DELETE FROM version WHERE id = ?", "i", id);
		store_run(store, "UPDATE user SET used = used - ? WHERE id = ?", "ii", size, owner);
		content_drop(store, sha1);
	}
}

void item_purge(struct emulator *emulator, const struct item *item)
{
	struct store *store = emulator->store;
	size_t count;
	int64_t *keys = item_tree(store, item->key, true, &count);

	while (count) {
		count--;
		if (!(keys[count] & 1))
			item_purge_versions(store, keys[count], item->owner);
		store_run(store, "DELETE FROM extra WHERE key = ?", "i", keys[count]);
		store_run(store, "DELETE FROM metadata WHERE key = ?", "i", keys[count]);
		store_run(store, "DELETE FROM item WHERE key = ?", "i", keys[count]);
	}
	free(keys);
}

static void item_copy_one(struct emulator *emulator, const struct item *item, int64_t parent, const char *name,
			  struct item *copy)
{
	*copy = *item;
	copy->parent = parent;
	text_copy(copy->name, sizeof(copy->name), name);
	copy->created = copy->modified = clock_now(&emulator->clock);
	copy->etag = 0;
	copy->trashed = 0;
	copy->version = 0;
	copy->extras &= ITEM_DESCRIBED | ITEM_METADATA;
	item_insert(emulator, copy);
	store_run(emulator->store,
		  "INSERT INTO metadata SELECT ?, scope, template, id, version, data FROM metadata WHERE key = ?", "ii",
		  copy->key, item->key);
	store_run(emulator->store,
		  "INSERT INTO extra (key, description) SELECT ?, description FROM extra WHERE key = ?", "ii",
		  copy->key, item->key);
	if (!item->folder) {
		item_add_version(emulator, copy, item->sha1, item->size);
		store_run(emulator->store, "UPDATE item SET version = ? WHERE key = ?", "ii", copy->version, copy->key);
	}
}

void item_copy(struct emulator *emulator, const struct item *item, int64_t parent, const char *name, struct item *copy)
{
	struct store *store = emulator->store;
	size_t count = 0;
	int64_t *keys = item_tree(store, item->key, false, &count), *copies = calloc(count + 1, sizeof(*copies));
	struct item old, new;

	item_copy_one(emulator, item, parent, name, copy);
	if (!copies) {
		store->failed = true;
		goto out;
	}
	if (count)
		copies[0] = copy->key;
	for (size_t at = 1, above = 0; at < count; at++) {
		if (!item_get(store, keys[at], &old))
			continue;
		/* Parents come first and in the order of their children. */
		while (above < at && keys[above] != old.parent)
			above++;
		if (above == at)
			break;
		item_copy_one(emulator, &old, copies[above], old.name, &new);
		copies[at] = new.key;
	}

out:
	free(copies);
	free(keys);
}

bool item_room(struct store *store, int64_t owner, int64_t size)
{
	return store_number(store, 0, "SELECT quota - used FROM user WHERE id = ?", "i", owner) >= size;
}
