/* SPDX-License-Identifier: MIT */
#include "cache/properties.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/operations.h"
#include "support/text.h"

#define SECOND	   INT64_C(1000000000)
#define KEY_MODE   PROPERTIES_PREFIX "mode"
#define KEY_OWNER  PROPERTIES_PREFIX "owner"
#define KEY_MTIME  PROPERTIES_PREFIX "mtime"
#define KEY_XATTR  PROPERTIES_PREFIX "xattr."
#define KEY_LONG   PROPERTIES_PREFIX "long."
#define KEY_MAX	   64u
#define VALUE_MAX  (PROPERTIES_BYTES / 2)
#define XATTR_NAME 255u

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* --- A set in the making ------------------------------------------------------------------------------- */

struct set {
	char *lines[PROPERTIES_MAX];
	size_t count, bytes;
};

static void set_free(struct set *set)
{
	for (size_t i = 0; i < set->count; i++)
		free(set->lines[i]);
	set->count = 0;
}

/* -E2BIG, -ENOMEM. */
static int set_add(struct set *set, const char *key, const char *value)
{
	size_t size = strlen(key) + strlen(value) + 3;
	char *line;

	if (set->count == PROPERTIES_MAX || size > PROPERTIES_BYTES - set->bytes)
		return -E2BIG;
	line = malloc(size);
	if (!line)
		return -ENOMEM;
	snprintf(line, size, "%s=%s\n", key, value);
	set->lines[set->count++] = line;
	set->bytes += size - 1;
	return 0;
}

static int compare_lines(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

/* The set as one text; set is freed. */
static int set_take(struct set *set, char **out)
{
	char *text = malloc(set->bytes + 1);
	size_t at = 0;

	if (text) {
		qsort(set->lines, set->count, sizeof(set->lines[0]), compare_lines);
		for (size_t i = 0; i < set->count; i++) {
			size_t length = strlen(set->lines[i]);

			memcpy(text + at, set->lines[i], length);
			at += length;
		}
		text[at] = '\0';
	}
	set_free(set);
	*out = text;
	return text ? 0 : -ENOMEM;
}

/* The next line of a set: false at its end. key and value point into it. */
struct line {
	const char *key, *value;
	size_t key_length, value_length;
};

static bool next_line(const char **at, struct line *out)
{
	const char *end, *equals;

	for (;;) {
		end = strchr(*at, '\n');
		if (!end)
			return false;
		equals = memchr(*at, '=', (size_t)(end - *at));
		out->key = *at;
		*at = end + 1;
		if (!equals)
			continue;
		out->key_length = (size_t)(equals - out->key);
		out->value = equals + 1;
		out->value_length = (size_t)(end - out->value);
		return true;
	}
}

static bool key_is(const struct line *line, const char *key)
{
	return line->key_length == strlen(key) && memcmp(line->key, key, line->key_length) == 0;
}

/* --- Names and values of attributes -------------------------------------------------------------------- */

/* A name that is too long for a key: the key is its hash, and the value begins with it. */
static void long_key(const char *name, char key[KEY_MAX + 1])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	(void)text_format(key, KEY_MAX + 1, KEY_LONG "%016" PRIx64, hash);
}

/* The key of an attribute; false: its name is too long, and stands in the value. */
static bool xattr_key(const char *name, char key[KEY_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	const char *whole = name;
	size_t at = strlen(KEY_XATTR);

	memcpy(key, KEY_XATTR, at);
	for (; *name; name++) {
		unsigned char one = (unsigned char)*name;
		bool plain = one == '-' || (one >= '0' && one <= '9') || ((one | 0x20) >= 'a' && (one | 0x20) <= 'z');

		if (at + (plain ? 1 : 3) > KEY_MAX) {
			long_key(whole, key);
			return false;
		}
		if (plain) {
			key[at++] = (char)one;
		} else {
			key[at++] = '_';
			key[at++] = digits[one >> 4];
			key[at++] = digits[one & 15];
		}
	}
	key[at] = '\0';
	return true;
}

static int hex_of(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The name that the key behind KEY_XATTR stands for. */
static bool xattr_name(const char *key, size_t length, char name[XATTR_NAME + 1])
{
	size_t put = 0;

	for (size_t i = 0; i < length; i++) {
		char one = key[i];

		if (one == '_') {
			int high = i + 2 < length ? hex_of(key[i + 1]) : -1;
			int low = i + 2 < length ? hex_of(key[i + 2]) : -1;

			if (high < 0 || low < 0 || (high | low) == 0)
				return false;
			one = (char)(high << 4 | low);
			i += 2;
		}
		if (put == XATTR_NAME)
			return false;
		name[put++] = one;
	}
	name[put] = '\0';
	return put > 0;
}

static char *encode(const uint8_t *bytes, size_t size)
{
	char *text = malloc((size + 2) / 3 * 4 + 1);
	size_t put = 0;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i += 3) {
		uint32_t three = (uint32_t)bytes[i] << 16;

		three |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
		three |= i + 2 < size ? bytes[i + 2] : 0;
		text[put++] = base64[three >> 18];
		text[put++] = base64[three >> 12 & 63];
		if (i + 1 < size)
			text[put++] = base64[three >> 6 & 63];
		if (i + 2 < size)
			text[put++] = base64[three & 63];
	}
	text[put] = '\0';
	return text;
}

/* Into out, which has room for length bytes; -1: no base64url. */
static int64_t decode(const char *text, size_t length, uint8_t *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t put = 0;

	if (length % 4 == 1)
		return -1;
	for (size_t i = 0; i < length; i++) {
		const char *found = text[i] ? strchr(base64, text[i]) : NULL;

		if (!found)
			return -1;
		bits = bits << 6 | (uint32_t)(found - base64);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[put++] = (uint8_t)(bits >> have);
		}
	}
	return (int64_t)put;
}

/* --- From the server ----------------------------------------------------------------------------------- */

static bool is_plain(const char *text, size_t maximum)
{
	size_t length = strlen(text);

	return length <= maximum && !strchr(text, '\n');
}

int properties_of_item(const struct dw_remote_item *item, char **set)
{
	struct set all = {.count = 0};

	for (size_t i = 0; i < item->property_count; i++) {
		const struct dw_remote_property *property = &item->properties[i];

		if (!property->key || !property->value || !text_starts_with(property->key, PROPERTIES_PREFIX))
			continue;
		if (!is_plain(property->key, KEY_MAX) || strchr(property->key, '=') ||
		    !is_plain(property->value, VALUE_MAX))
			continue;
		/* More than we ever set: hostile, and of no use. */
		if (set_add(&all, property->key, property->value) == -ENOMEM) {
			set_free(&all);
			return -ENOMEM;
		}
	}
	return set_take(&all, set);
}

void properties_read(const char *set, struct properties_facts *out)
{
	struct line line;

	*out = (struct properties_facts){0};
	while (next_line(&set, &line)) {
		char value[64], end;

		if (line.value_length >= sizeof(value))
			continue;
		memcpy(value, line.value, line.value_length);
		value[line.value_length] = '\0';
		if (key_is(&line, KEY_MODE)) {
			char *rest;
			unsigned long mode = strtoul(value, &rest, 8);
			uint32_t type = (uint32_t)mode & DW_MODE_TYPE;

			out->has_mode = *value >= '0' && *value <= '7' && !*rest && mode <= 0177777 &&
					(type == DW_MODE_FILE || type == DW_MODE_FOLDER || type == DW_MODE_LINK ||
					 type == DW_MODE_FIFO || type == DW_MODE_SOCKET);
			out->mode = (uint32_t)mode;
		} else if (key_is(&line, KEY_OWNER)) {
			out->has_owner = sscanf(value, "%" SCNu32 ":%" SCNu32 "%c", &out->uid, &out->gid, &end) == 2;
		} else if (key_is(&line, KEY_MTIME)) {
			int64_t seconds = 0;
			uint32_t nanoseconds = 0;

			out->has_mtime = sscanf(value, "%" SCNd64 ".%9" SCNu32 "/%" SCNd64 "%c", &seconds, &nanoseconds,
						&out->instead, &end) == 3 &&
					 seconds > INT64_MIN / SECOND && seconds < INT64_MAX / SECOND;
			out->mtime = out->has_mtime ? seconds * SECOND + nanoseconds : 0;
		}
	}
}

int64_t properties_mtime(const struct properties_facts *facts, int64_t modified)
{
	return facts->has_mtime && facts->instead == entry_time(modified).seconds ? facts->mtime : modified;
}

/* The name and the value that a line stands for; value is malloc'd. 1; 0: it is no attribute, or makes no sense. */
static int read_xattr(const struct line *line, char name[XATTR_NAME + 1], uint8_t **value, int64_t *size)
{
	bool is_long = line->key_length > strlen(KEY_LONG) && memcmp(line->key, KEY_LONG, strlen(KEY_LONG)) == 0;
	bool is_short = line->key_length > strlen(KEY_XATTR) && memcmp(line->key, KEY_XATTR, strlen(KEY_XATTR)) == 0;
	const char *text = line->value, *dot = memchr(line->value, '.', line->value_length);
	size_t length = line->value_length;
	uint8_t long_name[XATTR_NAME + 2];
	int64_t named;

	if (is_long && dot && dot - text <= (ptrdiff_t)(XATTR_NAME * 4 / 3)) {
		named = decode(text, (size_t)(dot - text), long_name);
		if (named <= 0 || named > XATTR_NAME || memchr(long_name, 0, (size_t)named))
			return 0;
		memcpy(name, long_name, (size_t)named);
		name[named] = '\0';
		length -= (size_t)(dot + 1 - text);
		text = dot + 1;
	} else if (is_long || !is_short ||
		   !xattr_name(line->key + strlen(KEY_XATTR), line->key_length - strlen(KEY_XATTR), name)) {
		return 0;
	}
	*value = malloc(length + 1);
	if (!*value)
		return -ENOMEM;
	*size = decode(text, length, *value);
	if (*size >= 0)
		return 1;
	free(*value);
	return 0;
}

int properties_store_xattrs(struct database_connection *connection, uint64_t id, const char *set)
{
	sqlite3_stmt *put = database_statement(connection, "DELETE FROM xattr WHERE node = ?");
	char name[XATTR_NAME + 1];
	struct line line;
	uint8_t *value;
	int64_t size;
	int ret;

	sqlite3_bind_int64(put, 1, (int64_t)id);
	ret = database_run(connection, put);
	while (!ret && next_line(&set, &line)) {
		ret = read_xattr(&line, name, &value, &size);
		if (ret <= 0)
			continue;
		put = database_statement(connection, "INSERT OR REPLACE INTO xattr VALUES(?, ?, ?)");
		sqlite3_bind_int64(put, 1, (int64_t)id);
		sqlite3_bind_blob(put, 2, name, (int)strlen(name), SQLITE_STATIC);
		sqlite3_bind_blob(put, 3, value, (int)size, SQLITE_STATIC);
		ret = database_run(connection, put);
		free(value);
	}
	return ret;
}

/* --- To the server ------------------------------------------------------------------------------------- */

static int add_xattr(struct set *all, const char *name, const void *bytes, size_t size)
{
	char key[KEY_MAX + 1], *value = encode(bytes, size), *named = NULL, *both = NULL;
	size_t room;
	int ret = value ? 0 : -ENOMEM;

	if (!ret && !xattr_key(name, key)) {
		named = encode((const uint8_t *)name, strlen(name));
		room = named ? strlen(named) + strlen(value) + 2 : 0;
		both = named ? malloc(room) : NULL;
		if (both)
			(void)text_format(both, room, "%s.%s", named, value);
		ret = both ? 0 : -ENOMEM;
	}
	if (!ret)
		ret = set_add(all, key, both ? both : value);
	free(both);
	free(named);
	free(value);
	return ret;
}

static int add_xattrs(struct database_connection *connection, uint64_t id, struct set *all)
{
	sqlite3_stmt *query = database_statement(connection, "SELECT name, value FROM xattr WHERE node = ?");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)id);
	while ((ret = database_step(connection, query)) > 0) {
		char name[XATTR_NAME + 1];
		size_t length = (size_t)sqlite3_column_bytes(query, 0);

		if (length == 0 || length > XATTR_NAME)
			continue;
		memcpy(name, sqlite3_column_blob(query, 0), length);
		name[length] = '\0';
		ret = add_xattr(all, name, sqlite3_column_blob(query, 1), (size_t)sqlite3_column_bytes(query, 1));
		if (ret)
			break;
	}
	if (query)
		sqlite3_reset(query);
	return ret;
}

int properties_want(struct database_connection *connection, struct cache *cache, uint64_t id, char **set)
{
	struct set all = {.count = 0};
	struct node_item item;
	struct node_row row;
	char value[64];
	int ret = nodes_read(connection, id, &row);

	if (!ret)
		ret = nodes_item(connection, id, &item);
	if (!ret && row.mode != (node_is_folder(&row) ? NODE_FOLDER_MODE : NODE_FILE_MODE)) {
		(void)text_format(value, sizeof(value), "%o", row.mode);
		ret = set_add(&all, KEY_MODE, value);
	}
	if (!ret && (row.uid != cache->uid || row.gid != cache->gid)) {
		(void)text_format(value, sizeof(value), "%" PRIu32 ":%" PRIu32, row.uid, row.gid);
		ret = set_add(&all, KEY_OWNER, value);
	}
	/* An upload brings the time by itself. */
	if (!ret && !node_is_folder(&row) && !(row.dirty & (DIRTY_CONTENT | DIRTY_NEW)) &&
	    entry_time(row.mtime).seconds != entry_time(item.remote_mtime).seconds) {
		(void)text_format(value, sizeof(value), "%" PRId64 ".%09" PRIu32 "/%" PRId64,
				  entry_time(row.mtime).seconds, entry_time(row.mtime).nanoseconds,
				  entry_time(item.remote_mtime).seconds);
		ret = set_add(&all, KEY_MTIME, value);
	}
	if (!ret)
		ret = add_xattrs(connection, id, &all);
	if (ret) {
		set_free(&all);
		return ret;
	}
	return set_take(&all, set);
}

int properties_have(struct database_connection *connection, uint64_t id, char **set)
{
	sqlite3_stmt *query = database_statement(connection, "SELECT properties FROM node WHERE id = ?");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)id);
	ret = database_step(connection, query);
	if (ret > 0) {
		size_t length = (size_t)sqlite3_column_bytes(query, 0);

		*set = malloc(length + 1);
		if (*set) {
			if (length)
				memcpy(*set, sqlite3_column_blob(query, 0), length);
			(*set)[length] = '\0';
		}
		ret = *set ? 0 : -ENOMEM;
	} else if (ret == 0) {
		ret = -ENOENT;
	}
	if (query)
		sqlite3_reset(query);
	return ret;
}

int properties_sent(struct database_connection *connection, uint64_t id, int64_t change, const char *set)
{
	sqlite3_stmt *put = database_statement(
		connection, "UPDATE node SET properties = ?3, attempts = 0, retry_at = 0, failure = NULL, "
			    "dirty = CASE change WHEN ?2 THEN dirty & ~8 ELSE dirty END WHERE id = ?1");

	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_int64(put, 2, change);
	sqlite3_bind_blob(put, 3, set, (int)strlen(set), SQLITE_STATIC);
	return database_run(connection, put);
}

int properties_after_upload(struct database_connection *connection, uint64_t id, bool closed)
{
	sqlite3_stmt *put = database_statement(
		connection, "UPDATE node SET dirty = dirty | 8 WHERE id = ?1 AND remote IS NOT NULL AND "
			    "(instr(properties, '" KEY_MTIME "=') > 0 OR "
			    "(?2 AND dirty & 5 = 0 AND mtime / 1000000000 <> remote_mtime / 1000000000))");

	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_int(put, 2, closed);
	return database_run(connection, put);
}

/* The line of key in set. */
static bool find_line(const char *set, const struct line *key, struct line *out)
{
	while (next_line(&set, out)) {
		if (out->key_length == key->key_length && memcmp(out->key, key->key, key->key_length) == 0)
			return true;
	}
	return false;
}

/* Cut a copied set into texts: its '=' and '\n' become NULs. */
static char *part(char *copy, const char *set, const char *at, size_t length)
{
	char *text = copy + (at - set);

	text[length] = '\0';
	return text;
}

int properties_difference(const char *have, const char *want, struct properties_change *out)
{
	size_t have_size = strlen(have) + 1, want_size = strlen(want) + 1;
	const char *at = want;
	struct line line, other;

	*out = (struct properties_change){0};
	out->list = calloc(2 * PROPERTIES_MAX, sizeof(out->list[0]));
	out->text = malloc(have_size + want_size);
	if (!out->list || !out->text) {
		properties_change_free(out);
		return -ENOMEM;
	}
	memcpy(out->text, want, want_size);
	memcpy(out->text + want_size, have, have_size);
	while (out->count < PROPERTIES_MAX && next_line(&at, &line)) {
		if (find_line(have, &line, &other) && other.value_length == line.value_length &&
		    memcmp(other.value, line.value, line.value_length) == 0)
			continue;
		out->list[out->count].key = part(out->text, want, line.key, line.key_length);
		out->list[out->count++].value = part(out->text, want, line.value, line.value_length);
	}
	at = have;
	while (out->count < 2 * (size_t)PROPERTIES_MAX && next_line(&at, &line)) {
		if (!find_line(want, &line, &other))
			out->list[out->count++].key = part(out->text + want_size, have, line.key, line.key_length);
	}
	return 0;
}

void properties_change_free(struct properties_change *change)
{
	free(change->list);
	free(change->text);
	*change = (struct properties_change){0};
}
