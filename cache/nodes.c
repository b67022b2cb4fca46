/* SPDX-License-Identifier: MIT */
#include "cache/nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "cache/properties.h"
#include "cache/schema.sql.h"
#include "support/text.h"

#define SECOND	  INT64_C(1000000000)
#define DEPTH_MAX 4096u /* folders below one another; the path of more could not be named */
#define ROW                                                                                                            \
	"n.id, n.parent, n.mode, n.uid, n.gid, n.size, n.mtime, n.ctime, n.atime, n.btime, n.content, n.dirty, "       \
	"n.change, n.since, n.listed, n.pinned, n.remote IS NOT NULL, n.rights, n.echo, n.heard"

/* --- names --------------------------------------------------------------------------------------------- */

size_t nodes_fold(struct cache *cache, const char *name, char *out)
{
	size_t length = strnlen(name, NODE_FOLD_SIZE - 1), at = 0, put = 0;
	mbstate_t in = {0}, back = {0};
	locale_t before;

	if (!(cache->remote->flags & DW_REMOTE_FOLDS_CASE)) {
		memcpy(out, name, length);
		out[length] = '\0';
		return length;
	}
	/* ASCII, which most names are made of alone, needs no locale. */
	for (; at < length && (unsigned char)name[at] < 0x80; at++)
		out[at] = (char)(name[at] >= 'A' && name[at] <= 'Z' ? name[at] - 'A' + 'a' : name[at]);
	put = at;
	if (at == length) {
		out[put] = '\0';
		return put;
	}
	before = uselocale(cache->unicode);
	while (at < length) {
		wchar_t one;
		size_t took = mbrtowc(&one, name + at, length - at, &in);
		size_t made = 0;

		if (took != 0 && took != (size_t)-1 && took != (size_t)-2 && put + MB_CUR_MAX < NODE_FOLD_SIZE)
			made = wcrtomb(out + put, (wchar_t)towlower((wint_t)one), &back);
		if (made == 0 || made == (size_t)-1) {
			put = 0;
			break;
		}
		at += took;
		put += made;
	}
	uselocale(before);
	out[put] = '\0';
	return put;
}

/* --- reading ------------------------------------------------------------------------------------------- */

static void row_of(sqlite3_stmt *found, struct node_row *out)
{
	*out = (struct node_row){
		.id = (uint64_t)sqlite3_column_int64(found, 0),
		.parent = (uint64_t)sqlite3_column_int64(found, 1),
		.mode = (uint32_t)sqlite3_column_int64(found, 2),
		.uid = (uint32_t)sqlite3_column_int64(found, 3),
		.gid = (uint32_t)sqlite3_column_int64(found, 4),
		.size = (uint64_t)sqlite3_column_int64(found, 5),
		.mtime = sqlite3_column_int64(found, 6),
		.ctime = sqlite3_column_int64(found, 7),
		.atime = sqlite3_column_int64(found, 8),
		.btime = sqlite3_column_int64(found, 9),
		.content = (uint64_t)sqlite3_column_int64(found, 10),
		.dirty = (uint32_t)sqlite3_column_int64(found, 11),
		.change = sqlite3_column_int64(found, 12),
		.since = sqlite3_column_int64(found, 13),
		.listed = sqlite3_column_int64(found, 14),
		.pinned = sqlite3_column_int(found, 15) != 0,
		.has_remote = sqlite3_column_int(found, 16) != 0,
		.rights = (uint32_t)sqlite3_column_int64(found, 17),
		.echo = sqlite3_column_int(found, 18) != 0,
		.heard = sqlite3_column_int64(found, 19),
	};
}

static int take_row(struct database_connection *connection, sqlite3_stmt *query, struct node_row *out)
{
	int ret = database_step(connection, query);

	if (ret > 0)
		row_of(query, out);
	if (query)
		sqlite3_reset(query);
	return ret < 0 ? ret : ret ? 0 : -ENOENT;
}

int nodes_read(struct database_connection *connection, uint64_t id, struct node_row *out)
{
	sqlite3_stmt *query = database_statement(connection, "SELECT " ROW " FROM node n WHERE n.id = ?");

	sqlite3_bind_int64(query, 1, (int64_t)id);
	return take_row(connection, query, out);
}

int nodes_holder(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
		 struct node_row *out)
{
	sqlite3_stmt *query = database_statement(connection,
						 "SELECT " ROW " FROM node n WHERE n.parent = ? AND n.fold = ?");
	char fold[NODE_FOLD_SIZE];
	size_t length = nodes_fold(cache, name, fold);

	if (length == 0)
		return -ENOENT;
	sqlite3_bind_int64(query, 1, (int64_t)parent);
	sqlite3_bind_blob(query, 2, fold, (int)length, SQLITE_STATIC);
	return take_row(connection, query, out);
}

int nodes_find(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
	       struct node_row *out)
{
	char known[NODE_NAME_SIZE];
	int ret = nodes_holder(connection, cache, parent, name, out);

	if (ret || !(cache->remote->flags & DW_REMOTE_FOLDS_CASE))
		return ret;
	ret = nodes_name(connection, out->id, known);
	return ret ? ret : strcmp(known, name) == 0 ? 0 : -ENOENT;
}

int nodes_find_remote(struct database_connection *connection, const char *remote, struct node_row *out)
{
	sqlite3_stmt *query = database_statement(connection, "SELECT " ROW " FROM node n WHERE n.remote = ?");

	sqlite3_bind_blob(query, 1, remote, (int)strlen(remote), SQLITE_STATIC);
	return take_row(connection, query, out);
}

/* A BLOB column as text; too long is as good as damaged. */
static int take_text(sqlite3_stmt *found, int column, char *out, size_t size)
{
	const void *bytes = sqlite3_column_blob(found, column);
	size_t length = (size_t)sqlite3_column_bytes(found, column);

	out[0] = '\0';
	if (length >= size)
		return -EUCLEAN;
	if (length)
		memcpy(out, bytes, length);
	out[length] = '\0';
	return 0;
}

int nodes_name(struct database_connection *connection, uint64_t id, char name[NODE_NAME_SIZE])
{
	sqlite3_stmt *query = database_statement(connection,
						 "SELECT name FROM node WHERE id = ? AND parent IS NOT NULL");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)id);
	ret = database_step(connection, query);
	if (ret > 0)
		ret = take_text(query, 0, name, NODE_NAME_SIZE);
	else if (ret == 0)
		ret = -ENOENT;
	if (query)
		sqlite3_reset(query);
	return ret;
}

int nodes_item(struct database_connection *connection, uint64_t id, struct node_item *out)
{
	sqlite3_stmt *query = database_statement(connection,
						 "SELECT remote, remote_parent, remote_name, etag, version, digest, "
						 "remote_size, remote_mtime FROM node WHERE id = ?");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)id);
	ret = database_step(connection, query);
	if (ret <= 0) {
		ret = ret ? ret : -ENOENT;
		goto out;
	}
	*out = (struct node_item){0};
	ret = take_text(query, 0, out->remote, sizeof(out->remote));
	if (!ret)
		ret = take_text(query, 1, out->remote_parent, sizeof(out->remote_parent));
	if (!ret)
		ret = take_text(query, 2, out->remote_name, sizeof(out->remote_name));
	if (!ret)
		ret = take_text(query, 3, out->etag, sizeof(out->etag));
	if (!ret)
		ret = take_text(query, 4, out->version, sizeof(out->version));
	if (!ret && (size_t)sqlite3_column_bytes(query, 5) > sizeof(out->digest))
		ret = -EUCLEAN;
	if (ret)
		goto out;
	out->digest_length = (uint32_t)sqlite3_column_bytes(query, 5);
	if (out->digest_length)
		memcpy(out->digest, sqlite3_column_blob(query, 5), out->digest_length);
	out->remote_size = (uint64_t)sqlite3_column_int64(query, 6);
	out->remote_mtime = sqlite3_column_int64(query, 7);
out:
	if (query)
		sqlite3_reset(query);
	return ret;
}

/* 1: *parent (0: the end); 0: no such node. */
static int parent_of(struct database_connection *connection, uint64_t id, uint64_t *parent)
{
	sqlite3_stmt *query = database_statement(connection, "SELECT parent FROM node WHERE id = ?");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)id);
	ret = database_step(connection, query);
	if (ret > 0)
		*parent = (uint64_t)sqlite3_column_int64(query, 0);
	if (query)
		sqlite3_reset(query);
	return ret;
}

int nodes_path(struct database_connection *connection, uint64_t id, char *path, size_t size)
{
	size_t at = size - 1; /* written from the end */

	path[at] = '\0';
	for (unsigned depth = 0; id != DW_NODE_ROOT; depth++) {
		char name[NODE_NAME_SIZE];
		size_t length;
		int ret = nodes_name(connection, id, name);

		if (!ret && parent_of(connection, id, &id) <= 0)
			ret = -ENOENT;
		if (ret)
			return ret;
		length = strlen(name);
		if (depth > DEPTH_MAX || at < length + 1)
			return -ERANGE;
		if (at != size - 1)
			path[--at] = '/';
		at -= length;
		memcpy(path + at, name, length);
	}
	memmove(path, path + at, size - at);
	return 0;
}

int nodes_is_within(struct database_connection *connection, uint64_t id, uint64_t folder)
{
	for (unsigned depth = 0; id != 0; depth++) {
		int ret;

		if (id == folder)
			return 1;
		if (depth > DEPTH_MAX)
			return -ELOOP;
		ret = parent_of(connection, id, &id);
		if (ret <= 0)
			return ret;
	}
	return 0;
}

int nodes_children(struct database_connection *connection, uint64_t id, uint64_t after, uint64_t *out, size_t maximum)
{
	sqlite3_stmt *query = database_statement(
		connection, "SELECT id FROM node INDEXED BY node_by_parent WHERE parent = ? AND id > ? ORDER BY id");
	size_t count = 0;
	int ret = 0;

	sqlite3_bind_int64(query, 1, (int64_t)id);
	sqlite3_bind_int64(query, 2, (int64_t)after);
	while (count < maximum && (ret = database_step(connection, query)) > 0)
		out[count++] = (uint64_t)sqlite3_column_int64(query, 0);
	if (query)
		sqlite3_reset(query);
	return ret < 0 ? ret : (int)count;
}

int nodes_has_children(struct database_connection *connection, uint64_t id)
{
	uint64_t child;

	return nodes_children(connection, id, 0, &child, 1);
}

/* --- making and changing ------------------------------------------------------------------------------- */

int nodes_make_root(struct database_connection *connection, struct cache *cache)
{
	sqlite3_stmt *put = database_statement(
		connection, "INSERT OR IGNORE INTO node(id, mode, uid, gid, mtime, ctime, atime, btime, remote) "
			    "VALUES(1, ?1, ?2, ?3, ?4, ?4, ?4, ?4, ?5)");

	sqlite3_bind_int64(put, 1, NODE_FOLDER_MODE);
	sqlite3_bind_int64(put, 2, cache->uid);
	sqlite3_bind_int64(put, 3, cache->gid);
	sqlite3_bind_int64(put, 4, cache_now());
	sqlite3_bind_blob(put, 5, cache->remote->root, (int)strlen(cache->remote->root), SQLITE_STATIC);
	return database_run(connection, put);
}

/* The item of table gone that has the place of (parent, name) on the server. 1, 0. */
static int gone_at(struct database_connection *connection, uint64_t parent, const char *name, char *remote, size_t size)
{
	sqlite3_stmt *query = database_statement(
		connection, "SELECT g.remote FROM node p JOIN gone g ON g.remote_parent = p.remote "
			    "WHERE p.id = ? AND g.remote_name = ? ORDER BY g.id DESC");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)parent);
	sqlite3_bind_blob(query, 2, name, (int)strlen(name), SQLITE_STATIC);
	ret = database_step(connection, query);
	if (ret > 0 && take_text(query, 0, remote, size))
		ret = 0;
	if (query)
		sqlite3_reset(query);
	return ret;
}

/* A file that has come to (parent, name): take over the item that was there. */
static int adopt_at(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name)
{
	char remote[DW_REMOTE_ID_MAX + 1];
	int ret = gone_at(connection, parent, name, remote, sizeof(remote));

	if (ret > 0)
		ret = nodes_adopt(connection, cache, remote);
	return ret < 0 ? ret : 0;
}

static uint32_t dirty_of_new(struct cache *cache, const struct node_row *row)
{
	uint32_t dirty = DIRTY_NEW;
	uint32_t plain = node_is_folder(row) ? NODE_FOLDER_MODE : NODE_FILE_MODE;

	if (!node_is_folder(row))
		dirty |= DIRTY_CONTENT;
	if (row->mode != plain || row->uid != cache->uid || row->gid != cache->gid)
		dirty |= DIRTY_PROPERTIES;
	return dirty;
}

int nodes_make(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
	       const struct node_row *row, const char *target, uint64_t *id)
{
	sqlite3_stmt *put = database_statement(
		connection, "INSERT INTO node(parent, name, fold, mode, uid, gid, size, mtime, ctime, atime, btime, "
			    "target, content, dirty, change, since, listed) "
			    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)");
	char fold[NODE_FOLD_SIZE];
	size_t length;
	int ret;

	if (parent) {
		length = nodes_fold(cache, name, fold);
		if (length == 0)
			return -EILSEQ;
		sqlite3_bind_int64(put, 1, (int64_t)parent);
		sqlite3_bind_blob(put, 2, name, (int)strlen(name), SQLITE_STATIC);
		sqlite3_bind_blob(put, 3, fold, (int)length, SQLITE_STATIC);
		sqlite3_bind_int64(put, 14, dirty_of_new(cache, row));
	} else {
		sqlite3_bind_int64(put, 14, 0);
	}
	sqlite3_bind_int64(put, 4, row->mode);
	sqlite3_bind_int64(put, 5, row->uid);
	sqlite3_bind_int64(put, 6, row->gid);
	sqlite3_bind_int64(put, 7, (int64_t)row->size);
	sqlite3_bind_int64(put, 8, row->mtime);
	sqlite3_bind_int64(put, 9, row->ctime);
	sqlite3_bind_int64(put, 10, row->atime);
	sqlite3_bind_int64(put, 11, row->btime);
	if (target)
		sqlite3_bind_blob(put, 12, target, (int)strlen(target), SQLITE_STATIC);
	if (row->content)
		sqlite3_bind_int64(put, 13, (int64_t)row->content);
	sqlite3_bind_int64(put, 15, cache_now());
	/* A folder that was made here has no children that we do not know. */
	sqlite3_bind_int64(put, 16, node_is_folder(row) ? atomic_load(&cache->generation) : 0);
	ret = database_run(connection, put);
	if (ret)
		return ret;
	*id = (uint64_t)database_inserted(connection);
	return parent && !node_is_folder(row) ? adopt_at(connection, cache, parent, name) : 0;
}

int nodes_dirty(struct database_connection *connection, uint64_t id, uint32_t dirty)
{
	sqlite3_stmt *put = database_statement(connection,
					       "UPDATE node SET dirty = dirty | ?2, change = change + 1, "
					       "since = CASE ?2 WHEN 0 THEN since ELSE ?3 END, retry_at = 0 "
					       "WHERE id = ?1 AND parent IS NOT NULL");

	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_int64(put, 2, dirty);
	sqlite3_bind_int64(put, 3, cache_now());
	return database_run(connection, put);
}

/* A statement whose only parameters are an id and, perhaps, a number. */
static int run_on(struct database_connection *connection, const char *text, uint64_t id, int64_t number)
{
	sqlite3_stmt *put = database_statement(connection, text);

	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_int64(put, 2, number);
	return database_run(connection, put);
}

int nodes_mark(struct database_connection *connection, uint64_t id, uint32_t dirty)
{
	return run_on(connection, "UPDATE node SET dirty = dirty | ?2 WHERE id = ?1 AND parent IS NOT NULL", id, dirty);
}

/* The node goes away from its place: what it hides there comes to light when the folder is listed again. */
static int uncover(struct database_connection *connection, uint64_t id)
{
	int ret = run_on(connection,
			 "UPDATE node SET listed = ?2 WHERE id = (SELECT parent FROM node WHERE id = ?1 AND hides)", id,
			 0);

	return ret ? ret : run_on(connection, "UPDATE node SET hides = ?2 WHERE id = ?1 AND hides", id, 0);
}

int nodes_let_go(struct database_connection *connection, struct cache *cache, uint64_t id)
{
	struct node_row row;
	uint32_t dirty;
	int ret = nodes_read(connection, id, &row);

	if (ret)
		return ret;
	dirty = dirty_of_new(cache, &row);
	ret = run_on(
		connection,
		"UPDATE node SET remote = NULL, remote_parent = NULL, remote_name = NULL, etag = NULL, version = NULL, "
		"digest = NULL, remote_size = NULL, remote_mtime = NULL, properties = NULL, rights = 15, dirty = ?2, "
		"attempts = 0, error = 0, failure = NULL WHERE id = ?1",
		id, dirty | (row.dirty & DIRTY_PROPERTIES));
	/* A session that is under way would make a version of the item that it was. */
	if (!ret)
		ret = run_on(connection, "DELETE FROM upload WHERE node = ?1 AND ?2 = 0", id, 0);
	return ret ? ret : nodes_dirty(connection, id, dirty);
}

/* The item of the node goes into the table gone. heir: see there; 0: none. */
static int bury(struct database_connection *connection, uint64_t id, uint64_t heir)
{
	sqlite3_stmt *put = database_statement(
		connection, "INSERT OR REPLACE INTO gone(remote, mode, remote_parent, remote_name, etag, version, "
			    "digest, remote_size, remote_mtime, properties, since, heir) SELECT remote, mode, "
			    "remote_parent, remote_name, etag, version, digest, remote_size, remote_mtime, "
			    "properties, ?2, nullif(?3, 0) FROM node WHERE id = ?1");

	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_int64(put, 2, cache_now());
	sqlite3_bind_int64(put, 3, (int64_t)heir);
	return database_run(connection, put);
}

int nodes_give_up(struct database_connection *connection, struct cache *cache, uint64_t id)
{
	int ret = bury(connection, id, id);

	return ret ? ret : nodes_let_go(connection, cache, id);
}

int nodes_delete(struct database_connection *connection, struct cache *cache, const struct node_row *row)
{
	int ret = run_on(connection, "DELETE FROM node WHERE id = ?", row->id, 0);

	if (!ret)
		ret = run_on(connection, "DELETE FROM xattr WHERE node = ?", row->id, 0);
	if (!ret)
		ret = run_on(connection, "DELETE FROM conflict WHERE node = ?", row->id, 0);
	if (!ret && row->content)
		content_delete(cache->contents, connection, row->content);
	return ret;
}

int nodes_remove(struct database_connection *connection, struct cache *cache, const struct node_row *row, bool keep)
{
	struct node_item item;
	int ret = uncover(connection, row->id);

	if (!ret && row->has_remote) {
		ret = nodes_item(connection, row->id, &item);
		if (!ret)
			ret = bury(connection, row->id, 0);
	}
	if (!ret && keep)
		ret = run_on(connection,
			     "UPDATE node SET parent = NULL, fold = NULL, dirty = 0, change = change + 1, ctime = ?2, "
			     "remote = NULL, remote_parent = NULL, remote_name = NULL, etag = NULL, attempts = 0, "
			     "retry_at = 0, failure = NULL, pinned = 0 WHERE id = ?1",
			     row->id, cache_now());
	else if (!ret)
		ret = nodes_delete(connection, cache, row);
	if (!ret && row->has_remote)
		ret = nodes_adopt(connection, cache, item.remote);
	return ret < 0 ? ret : 0;
}

/* The node at the place that an item of gone has: 1 and *out; 0. */
static int holder_of_place(struct database_connection *connection, struct cache *cache, const char *remote,
			   uint32_t *mode, struct node_row *out)
{
	sqlite3_stmt *query = database_statement(
		connection, "SELECT n.id, g.remote_name, g.mode FROM gone g JOIN node n ON n.remote = g.remote_parent "
			    "WHERE g.remote = ?");
	char name[NODE_FOLD_SIZE];
	uint64_t parent = 0;
	int ret;

	sqlite3_bind_blob(query, 1, remote, (int)strlen(remote), SQLITE_STATIC);
	ret = database_step(connection, query);
	if (ret > 0) {
		parent = (uint64_t)sqlite3_column_int64(query, 0);
		*mode = (uint32_t)sqlite3_column_int64(query, 2);
		ret = take_text(query, 1, name, sizeof(name)) ? 0 : 1;
	}
	if (query)
		sqlite3_reset(query);
	if (ret <= 0)
		return ret;
	ret = nodes_holder(connection, cache, parent, name, out);
	return ret == -ENOENT ? 0 : ret ? ret : 1;
}

int nodes_adopt(struct database_connection *connection, struct cache *cache, const char *remote)
{
	struct node_row holder;
	uint32_t mode = 0;
	sqlite3_stmt *put;
	int ret = holder_of_place(connection, cache, remote, &mode, &holder);

	if (ret <= 0)
		return ret;
	if (holder.has_remote || node_is_folder(&holder) || (mode & DW_MODE_TYPE) == DW_MODE_FOLDER)
		return 0;
	put = database_statement(
		connection, "UPDATE node SET (remote, remote_parent, remote_name, etag, version, digest, remote_size, "
			    "remote_mtime, properties) = (SELECT remote, remote_parent, remote_name, etag, version, "
			    "digest, remote_size, remote_mtime, properties FROM gone WHERE remote = ?2), "
			    "dirty = (dirty & ~1) | 12, change = change + 1, echo = 1 WHERE id = ?1");
	sqlite3_bind_int64(put, 1, (int64_t)holder.id);
	sqlite3_bind_blob(put, 2, remote, (int)strlen(remote), SQLITE_STATIC);
	ret = database_run(connection, put);
	if (!ret) {
		put = database_statement(connection, "DELETE FROM gone WHERE remote = ?");
		sqlite3_bind_blob(put, 1, remote, (int)strlen(remote), SQLITE_STATIC);
		ret = database_run(connection, put);
	}
	/* A session that is under way would make a new file. */
	if (!ret)
		ret = run_on(connection, "DELETE FROM upload WHERE node = ?1 AND ?2 = 0", holder.id, 0);
	/* A name that only folds to the same. */
	if (!ret)
		ret = nodes_settle_place(connection, holder.id);
	return ret ? ret : 1;
}

int nodes_settle_place(struct database_connection *connection, uint64_t id)
{
	return run_on(connection,
		      "UPDATE node SET dirty = CASE WHEN remote_name = name AND remote_parent = "
		      "(SELECT p.remote FROM node p WHERE p.id = node.parent) THEN dirty & ~2 ELSE dirty | 2 END "
		      "WHERE id = ?1 AND parent IS NOT NULL AND remote IS NOT NULL AND ?2 = 0",
		      id, 0);
}

/* Put the node at (parent, name), and no more. */
static int place(struct database_connection *connection, struct cache *cache, uint64_t id, uint64_t parent,
		 const char *name)
{
	sqlite3_stmt *put;
	char fold[NODE_FOLD_SIZE];
	size_t length = nodes_fold(cache, name, fold);

	if (length == 0)
		return -EILSEQ;
	put = database_statement(connection, "UPDATE node SET parent = ?2, name = ?3, fold = ?4, ctime = ?5, "
					     "change = change + 1, since = ?5, retry_at = 0 WHERE id = ?1");
	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_int64(put, 2, (int64_t)parent);
	sqlite3_bind_blob(put, 3, name, (int)strlen(name), SQLITE_STATIC);
	sqlite3_bind_blob(put, 4, fold, (int)length, SQLITE_STATIC);
	sqlite3_bind_int64(put, 5, cache_now());
	return database_run(connection, put);
}

int nodes_move(struct database_connection *connection, struct cache *cache, uint64_t id, uint64_t parent,
	       const char *name)
{
	struct node_row row;
	int ret = nodes_read(connection, id, &row);

	if (!ret)
		ret = uncover(connection, id);
	if (!ret)
		ret = place(connection, cache, id, parent, name);
	if (ret)
		return ret;
	if (row.has_remote)
		return nodes_settle_place(connection, id);
	ret = nodes_dirty(connection, id, dirty_of_new(cache, &row));
	return ret || node_is_folder(&row) ? ret : adopt_at(connection, cache, parent, name);
}

int nodes_exchange(struct database_connection *connection, struct cache *cache, const struct node_row *one,
		   const struct node_row *other)
{
	char name[NODE_NAME_SIZE], other_name[NODE_NAME_SIZE];
	int ret = nodes_name(connection, one->id, name);

	if (!ret)
		ret = nodes_name(connection, other->id, other_name);
	if (!ret)
		ret = uncover(connection, one->id);
	if (!ret)
		ret = uncover(connection, other->id);
	/* Out of the way first: two rows with one name may not be, not even for a moment. */
	if (!ret)
		ret = run_on(connection, "UPDATE node SET parent = NULL, fold = NULL WHERE id = ?1 AND ?2 = 0", one->id,
			     0);
	if (!ret)
		ret = place(connection, cache, other->id, one->parent, name);
	if (!ret)
		ret = place(connection, cache, one->id, other->parent, other_name);
	if (!ret)
		ret = nodes_settle_place(connection, one->id);
	if (!ret)
		ret = nodes_settle_place(connection, other->id);
	return ret;
}

int nodes_set_bytes(struct database_connection *connection, uint64_t id, uint64_t size, int64_t mtime)
{
	sqlite3_stmt *put = database_statement(
		connection, "UPDATE node SET size = ?2, mtime = ?3, ctime = ?4, "
			    "dirty = iif(parent IS NULL, dirty, dirty | ?5), "
			    "change = iif(parent IS NULL, change, change + 1), since = iif(parent IS NULL, since, ?4), "
			    "retry_at = iif(parent IS NULL, retry_at, 0) WHERE id = ?1");
	int ret;

	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_int64(put, 2, (int64_t)size);
	sqlite3_bind_int64(put, 3, mtime);
	sqlite3_bind_int64(put, 4, cache_now());
	sqlite3_bind_int64(put, 5, DIRTY_CONTENT);
	ret = database_run(connection, put);
	return ret ? ret : database_changed(connection) ? 0 : -ENOENT;
}

int nodes_set_content(struct database_connection *connection, uint64_t id, uint64_t content)
{
	return run_on(connection, "UPDATE node SET content = nullif(?2, 0) WHERE id = ?1", id, (int64_t)content);
}

int nodes_set_stat(struct database_connection *connection, const struct node_row *row)
{
	sqlite3_stmt *put = database_statement(connection,
					       "UPDATE node SET mode = ?2, uid = ?3, gid = ?4, size = ?5, mtime = ?6, "
					       "ctime = ?7, atime = ?8 WHERE id = ?1");

	sqlite3_bind_int64(put, 1, (int64_t)row->id);
	sqlite3_bind_int64(put, 2, row->mode);
	sqlite3_bind_int64(put, 3, row->uid);
	sqlite3_bind_int64(put, 4, row->gid);
	sqlite3_bind_int64(put, 5, (int64_t)row->size);
	sqlite3_bind_int64(put, 6, row->mtime);
	sqlite3_bind_int64(put, 7, row->ctime);
	sqlite3_bind_int64(put, 8, row->atime);
	return database_run(connection, put);
}

int nodes_target(struct database_connection *connection, uint64_t id, char *target, size_t size)
{
	sqlite3_stmt *query = database_statement(connection, "SELECT target FROM node WHERE id = ?");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)id);
	ret = database_step(connection, query);
	if (ret == 0)
		ret = -ENOENT;
	else if (ret > 0 && sqlite3_column_type(query, 0) == SQLITE_NULL)
		ret = -ENODATA;
	else if (ret > 0)
		ret = take_text(query, 0, target, size) ? -ERANGE : 0;
	if (query)
		sqlite3_reset(query);
	return ret;
}

int nodes_set_target(struct database_connection *connection, uint64_t id, const char *target)
{
	sqlite3_stmt *put = database_statement(connection, "UPDATE node SET target = ?2 WHERE id = ?1");

	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_blob(put, 2, target, (int)strlen(target), SQLITE_STATIC);
	return database_run(connection, put);
}

int nodes_touch_folder(struct database_connection *connection, uint64_t id)
{
	return run_on(connection, "UPDATE node SET mtime = ?2, ctime = ?2 WHERE id = ?1", id, cache_now());
}

int nodes_unlist(struct database_connection *connection, uint64_t id)
{
	return run_on(connection, "UPDATE node SET listed = ?2 WHERE id = ?1", id, 0);
}

/* --- exactly once -------------------------------------------------------------------------------------- */

int nodes_done(struct database_connection *connection, uint64_t request, uint64_t *node, int64_t *value)
{
	sqlite3_stmt *query = database_statement(connection,
						 "SELECT node, value FROM done WHERE slot = ? AND request = ?");
	int ret;

	sqlite3_bind_int64(query, 1, (int64_t)(request % DATABASE_DONE_SLOTS));
	sqlite3_bind_int64(query, 2, (int64_t)request);
	ret = database_step(connection, query);
	if (ret > 0) {
		*node = (uint64_t)sqlite3_column_int64(query, 0);
		*value = sqlite3_column_int64(query, 1);
	}
	if (query)
		sqlite3_reset(query);
	return ret;
}

int nodes_set_done(struct database_connection *connection, uint64_t request, uint64_t node, int64_t value)
{
	sqlite3_stmt *put = database_statement(connection, "INSERT OR REPLACE INTO done VALUES(?, ?, ?, ?)");

	sqlite3_bind_int64(put, 1, (int64_t)(request % DATABASE_DONE_SLOTS));
	sqlite3_bind_int64(put, 2, (int64_t)request);
	sqlite3_bind_int64(put, 3, (int64_t)node);
	sqlite3_bind_int64(put, 4, value);
	return database_run(connection, put);
}
