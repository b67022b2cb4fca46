/* SPDX-License-Identifier: MIT */
/*
 * xattrs.c - extended attributes
 *
 * They are kept as the server can keep them (properties.h): a node's fit into its set of properties, or are refused.
 * Those that begin with user.driveway. are the drive's own (own.c) and not listed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/operations.h"
#include "cache/properties.h"
#include "cache/sync.h"
#include "support/text.h"

#define OWN_SIZE 4096 /* of the value of an own attribute */

static bool is_own(const char *name)
{
	return text_starts_with(name, OPERATIONS_NAMED_OWN);
}

/* Access control lists are not understood here, and what the kernel derives from them would be wrong. */
static int check_name(const char *name)
{
	static const char *const spaces[] = {"user.", "trusted.", "security."};

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		if (text_starts_with(name, spaces[i]))
			return name[strlen(spaces[i])] ? 0 : -EINVAL;
	}
	return -EOPNOTSUPP;
}

static int answer(const void *bytes, size_t length, void *out, size_t *size)
{
	size_t room = *size;

	*size = length;
	if (!room)
		return 0;
	if (length > room)
		return -ERANGE;
	if (length)
		memcpy(out, bytes, length);
	return 0;
}

static int get_own(struct cache *cache, const struct dw_request *req, uint64_t node, const char *name, void *value,
		   size_t *size)
{
	char *text = malloc(OWN_SIZE);
	int ret;

	(void)req;
	if (!text)
		return -ENOMEM;
	ret = own_get(cache, node, name + strlen(OPERATIONS_NAMED_OWN), text, OWN_SIZE);
	if (!ret)
		ret = answer(text, strlen(text), value, size);
	free(text);
	return ret;
}

/* The statement is at the value, or is done. */
static sqlite3_stmt *find(struct database_connection *connection, uint64_t node, const char *name, int *ret)
{
	sqlite3_stmt *query = database_statement(connection, "SELECT value FROM xattr WHERE node = ? AND name = ?");

	sqlite3_bind_int64(query, 1, (int64_t)node);
	sqlite3_bind_blob(query, 2, name, (int)strlen(name), SQLITE_STATIC);
	*ret = database_step(connection, query);
	return query;
}

int cache_getxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name, void *value,
		   size_t *size)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection;
	struct node_row row;
	sqlite3_stmt *query;
	int ret = check_name(name);

	if (ret)
		return ret;
	if (is_own(name))
		return get_own(cache, req, node, name, value, size);
	connection = database_glance(cache->database);
	ret = nodes_read(connection, node, &row);
	if (ret) {
		database_read_end(connection);
		return ret == -ENOENT ? -ESTALE : ret;
	}
	query = find(connection, node, name, &ret);
	if (ret > 0)
		ret = answer(sqlite3_column_blob(query, 0), (size_t)sqlite3_column_bytes(query, 0), value, size);
	else if (!ret)
		ret = -ENODATA;
	database_read_end(connection);
	return ret;
}

int cache_listxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *list, size_t *size)
{
	struct database_connection *connection = database_read(cache_of(fs)->database);
	size_t room = *size, length = 0;
	struct node_row row;
	sqlite3_stmt *query;
	int ret = nodes_read(connection, node, &row);

	(void)req;
	if (ret) {
		database_read_end(connection);
		return ret == -ENOENT ? -ESTALE : ret;
	}
	query = database_statement(connection, "SELECT name FROM xattr WHERE node = ? ORDER BY name");
	sqlite3_bind_int64(query, 1, (int64_t)node);
	while ((ret = database_step(connection, query)) > 0) {
		size_t one = (size_t)sqlite3_column_bytes(query, 0);

		if (room && length + one + 1 > room) {
			ret = -ERANGE;
			break;
		}
		if (room) {
			memcpy(list + length, sqlite3_column_blob(query, 0), one);
			list[length + one] = '\0';
		}
		length += one + 1;
	}
	database_read_end(connection);
	if (ret)
		return ret;
	*size = length;
	return 0;
}

/* Would the server take all that the node has now? */
static int check_set(struct database_connection *connection, struct cache *cache, uint64_t node)
{
	char *set = NULL;
	int ret = properties_want(connection, cache, node, &set);

	free(set);
	return ret == -E2BIG ? -ENOSPC : ret;
}

static int changed(struct database_connection *connection, struct cache *cache, const struct dw_request *req,
		   struct node_row *row)
{
	int ret = check_set(connection, cache, row->id);

	row->ctime = cache_now();
	if (!ret)
		ret = nodes_set_stat(connection, row);
	if (!ret)
		ret = nodes_dirty(connection, row->id, DIRTY_PROPERTIES);
	return ret ? ret : nodes_set_done(connection, req->id, row->id, 0);
}

static int put(struct database_connection *connection, struct cache *cache, const struct dw_request *req, uint64_t node,
	       const char *name, const void *value, size_t size, uint32_t flags)
{
	struct node_row row;
	sqlite3_stmt *set;
	int there, ret = nodes_read(connection, node, &row);

	if (ret)
		return ret == -ENOENT ? -ESTALE : ret;
	set = find(connection, node, name, &there);
	if (set)
		sqlite3_reset(set);
	if (there < 0)
		return there;
	if (there && flags & DW_XATTR_CREATE)
		return -EEXIST;
	if (!there && flags & DW_XATTR_REPLACE)
		return -ENODATA;
	set = database_statement(connection, "INSERT OR REPLACE INTO xattr VALUES(?, ?, ?)");
	sqlite3_bind_int64(set, 1, (int64_t)node);
	sqlite3_bind_blob(set, 2, name, (int)strlen(name), SQLITE_STATIC);
	sqlite3_bind_blob(set, 3, size ? value : "", (int)size, SQLITE_STATIC);
	ret = database_run(connection, set);
	return ret ? ret : changed(connection, cache, req, &row);
}

int cache_setxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
		   const void *value, size_t size, uint32_t flags)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection;
	char text[64];
	uint64_t done;
	int ret = check_name(name);

	if (ret)
		return ret;
	if (is_own(name)) {
		if (size >= sizeof(text))
			return -EINVAL;
		memcpy(text, value, size);
		text[size] = '\0';
		return own_set(cache, req, node, name + strlen(OPERATIONS_NAMED_OWN), text);
	}
	ret = operation_done(cache, req, &done);
	if (ret)
		return ret < 0 ? ret : 0;
	if (cache->options.read_only)
		return -EROFS;
	if (strlen(name) > 255)
		return -ERANGE;
	if (size > PROPERTIES_BYTES / 2)
		return -ENOSPC;
	connection = database_write(cache->database);
	ret = operation_end(connection, put(connection, cache, req, node, name, value, size, flags));
	if (!ret)
		sync_wake(cache->sync);
	return ret;
}

int cache_removexattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection;
	struct node_row row;
	sqlite3_stmt *remove;
	uint64_t done;
	int ret = check_name(name);

	if (ret)
		return ret;
	if (is_own(name))
		return -EPERM;
	ret = operation_done(cache, req, &done);
	if (ret)
		return ret < 0 ? ret : 0;
	if (cache->options.read_only)
		return -EROFS;
	connection = database_write(cache->database);
	ret = nodes_read(connection, node, &row);
	if (ret == -ENOENT)
		ret = -ESTALE;
	if (!ret) {
		remove = database_statement(connection, "DELETE FROM xattr WHERE node = ? AND name = ?");
		sqlite3_bind_int64(remove, 1, (int64_t)node);
		sqlite3_bind_blob(remove, 2, name, (int)strlen(name), SQLITE_STATIC);
		ret = database_run(connection, remove);
		if (!ret && database_changed(connection) == 0)
			ret = -ENODATA;
	}
	if (!ret)
		ret = changed(connection, cache, req, &row);
	ret = operation_end(connection, ret);
	if (!ret)
		sync_wake(cache->sync);
	return ret;
}
