/* SPDX-License-Identifier: MIT */
/*
 * absorb_first.c - new rows, and the pages of a folder that is listed for the first time
 *
 * What is in such a folder is new to us as a rule, and a page has many items: where nothing that was done here could
 * bear on them, an item costs one statement. Whether its place or the item itself is known here after all, the unique
 * indices of the insertion tell.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/absorb_internal.h"
#include "cache/properties.h"
#include "cache/sync_internal.h"

/* Valid until the statement has run. */
static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	text = text ? text : "";
	sqlite3_bind_blob(statement, index, text, (int)strlen(text), SQLITE_STATIC);
}

int absorb_insert(struct absorb *absorb, const struct node_row *folder, const char *remote_parent,
		  const struct absorb_seen *seen, bool pinned, bool tell)
{
	sqlite3_stmt *put = database_statement(
		absorb->connection,
		"INSERT INTO node(parent, name, fold, mode, uid, gid, size, mtime, ctime, atime, btime, pinned, "
		"remote, remote_parent, remote_name, etag, version, digest, remote_size, remote_mtime, rights, "
		"properties, heard) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8, ?9, ?10, ?11, ?12, ?2, ?13, ?14, "
		"?15, ?16, ?17, ?18, ?19, ?20) ON CONFLICT DO NOTHING");
	const struct dw_remote_item *item = seen->item;
	char fold[NODE_FOLD_SIZE];
	size_t length = nodes_fold(absorb->cache, item->name, fold);
	uint64_t id;
	int ret;

	sqlite3_bind_int64(put, 1, (int64_t)folder->id);
	bind_text(put, 2, item->name);
	sqlite3_bind_blob(put, 3, fold, (int)length, SQLITE_STATIC);
	sqlite3_bind_int64(put, 4, seen->mode);
	sqlite3_bind_int64(put, 5, seen->uid);
	sqlite3_bind_int64(put, 6, seen->gid);
	sqlite3_bind_int64(put, 7, (int64_t)seen->size);
	sqlite3_bind_int64(put, 8, seen->mtime);
	sqlite3_bind_int64(put, 9, seen->btime);
	sqlite3_bind_int64(put, 10, pinned);
	bind_text(put, 11, item->id);
	bind_text(put, 12, remote_parent);
	bind_text(put, 13, item->etag);
	bind_text(put, 14, item->content);
	if (item->digest_length)
		sqlite3_bind_blob(put, 15, item->digest, (int)item->digest_length, SQLITE_STATIC);
	sqlite3_bind_int64(put, 16, (int64_t)item->bytes);
	sqlite3_bind_int64(put, 17, seen->modified);
	sqlite3_bind_int64(put, 18, item->rights);
	if (seen->set)
		bind_text(put, 19, seen->set);
	sqlite3_bind_int64(put, 20, atomic_load(&absorb->cache->heard));
	ret = database_run(absorb->connection, put);
	if (ret || database_changed(absorb->connection) == 0)
		return ret;
	id = (uint64_t)database_inserted(absorb->connection);
	absorb->pinned = absorb->pinned || pinned;
	if (seen->set && seen->set[0])
		ret = properties_store_xattrs(absorb->connection, id, seen->set);
	if (!ret && tell)
		absorb_tell(absorb, ABSORB_ENTRY, folder->id, 0, item->name);
	return ret ? ret : 1;
}

/* Is nothing being removed, or sent, that an item could turn out to be? 1, 0. */
static int is_quiet(struct absorb *absorb)
{
	sqlite3_stmt *query = database_statement(absorb->connection,
						 "SELECT 1 FROM gone UNION ALL SELECT 1 FROM buried UNION ALL "
						 "SELECT 1 FROM sent LIMIT 1");
	int ret = database_step(absorb->connection, query);

	if (query)
		sqlite3_reset(query);
	return ret < 0 ? ret : !ret;
}

int absorb_from_listing(struct absorb *absorb, uint64_t folder, int64_t number)
{
	struct node_item *item = malloc(sizeof(*item));
	struct node_row row;
	int ret = item ? nodes_item(absorb->connection, folder, item) : -ENOMEM;

	absorb->listing = number;
	if (!ret)
		memcpy(absorb->listed, item->remote, sizeof(absorb->listed));
	free(item);
	if (!ret)
		ret = nodes_read(absorb->connection, folder, &row);
	if (!ret)
		ret = is_quiet(absorb);
	if (ret > 0 && node_is_folder(&row) && row.has_remote && row.listed == 0) {
		absorb->first = malloc(sizeof(*absorb->first));
		if (!absorb->first)
			return -ENOMEM;
		absorb->first->folder = row;
	}
	return ret < 0 && ret != -ENOENT ? ret : 0;
}

int absorb_add_first(struct absorb *absorb, const struct dw_remote_item *item)
{
	const struct absorb_first *first = absorb->first;
	struct absorb_seen seen;
	int ret;

	if (item->type == DW_REMOTE_OTHER || !item->name || !absorb_can_show(absorb->cache, item->name) ||
	    (absorb->cache->sync && sync_is_placing(absorb->cache->sync, absorb->listed, item->name)))
		return 0;
	ret = absorb_seen_read(absorb, item, &seen);
	if (!ret)
		ret = absorb_insert(absorb, &first->folder, absorb->listed, &seen, first->folder.pinned, false);
	free(seen.set);
	return ret;
}
