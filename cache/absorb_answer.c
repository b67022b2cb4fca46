/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/absorb_internal.h"
#include "cache/active.h"
#include "cache/sent.h"
#include "support/text.h"

#define COPIES_MAX 1000u /* of one file in one folder on one day */

/* The node was removed while the call was under way: so is its item. */
static int remove_answer(struct absorb *absorb, const struct dw_remote_item *item)
{
	sqlite3_stmt *put = database_statement(
		absorb->connection,
		"INSERT INTO gone(remote, mode, remote_parent, remote_name, etag, version, digest, remote_size, "
		"remote_mtime, since) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9) ON CONFLICT(remote) DO UPDATE SET "
		"remote_parent = ?3, remote_name = ?4, etag = ?5, version = ?6, digest = ?7, remote_size = ?8");
	int ret;

	database_bind_text(put, 1, item->id);
	sqlite3_bind_int64(put, 2, item->type == DW_REMOTE_FOLDER ? NODE_FOLDER_MODE : NODE_FILE_MODE);
	database_bind_text(put, 3, item->parent ? item->parent : "");
	database_bind_text(put, 4, item->name ? item->name : "");
	database_bind_text(put, 5, item->etag ? item->etag : "");
	database_bind_text(put, 6, item->content ? item->content : "");
	if (item->digest_length)
		sqlite3_bind_blob(put, 7, item->digest, (int)item->digest_length, SQLITE_STATIC);
	sqlite3_bind_int64(put, 8, (int64_t)item->bytes);
	sqlite3_bind_int64(put, 9, cache_now());
	ret = database_run(absorb->connection, put);
	if (!ret)
		ret = nodes_adopt(absorb->connection, absorb->cache, item->id);
	return ret < 0 ? ret : 0;
}

/* The feed told of the item before the answer came, and it became a node of its own: there is one file only. */
static int remove_twin(struct absorb *absorb, uint64_t node, const char *remote)
{
	unsigned opens, writers;
	struct node_row twin;
	char name[NODE_NAME_SIZE];
	int ret = nodes_find_remote(absorb->connection, remote, &twin);

	if (ret || twin.id == node)
		return ret == -ENOENT ? 0 : ret;
	/* What somebody has begun to change in it goes on as a file of its own. */
	active_counts(absorb->cache, twin.id, &opens, &writers);
	if (writers || twin.dirty & DIRTY_CONTENT || nodes_has_children(absorb->connection, twin.id) > 0)
		return absorb_aside(absorb, twin.id);
	ret = nodes_name(absorb->connection, twin.id, name);
	if (ret)
		return ret;
	absorb_tell(absorb, ABSORB_DELETED, twin.parent, twin.id, name);
	twin.has_remote = false;
	return nodes_remove(absorb->connection, absorb->cache, &twin, opens != 0);
}

/* The node has lost its name; made: by the call that was answered the item came to be. */
static int answer_removed(struct absorb *absorb, uint64_t node, bool made, const struct dw_remote_item *item)
{
	struct node_row heir;
	int ret = nodes_find_remote(absorb->connection, item->id, &heir);

	if (ret && ret != -ENOENT)
		return ret;
	/* Another node has taken the item over, and may know newer things of it. It finds out by table sent. */
	if (!ret && !made && heir.id != node)
		return 0;
	ret = remove_twin(absorb, node, item->id);
	return ret ? ret : remove_answer(absorb, item);
}

/*
 * The item of a node that has one, as it is to be noted: an answer to a move says nothing of bytes that somebody else
 * has changed meanwhile, and no other answer of a place that somebody else has moved it to. These stay as known, so
 * that news bring what is new of it, and calls that name the etag meet DW_REMOTE_CHANGED.
 */
static void keep_known(const struct node_row *row, const struct node_item *known, uint32_t done,
		       struct dw_remote_item *item)
{
	if (done == DIRTY_PLACE && item->type == DW_REMOTE_FILE && known->etag[0] &&
	    strcmp(item->content ? item->content : "", known->version) != 0) {
		item->content = known->version;
		item->etag = known->etag;
		item->bytes = known->remote_size;
		item->digest_length = known->digest_length;
		memcpy(item->digest, known->digest, sizeof(item->digest));
	}
	if (done != DIRTY_PLACE && !(row->dirty & DIRTY_PLACE) && known->remote_name[0]) {
		item->parent = known->remote_parent;
		item->name = known->remote_name;
	}
}

int absorb_answer(struct absorb *absorb, uint64_t node, int64_t change, uint32_t done,
		  const struct dw_remote_item *item)
{
	struct dw_remote_item noted = *item;
	struct absorb_seen seen = {0};
	struct node_item *known = NULL, *parent = NULL;
	struct node_row row;
	sqlite3_stmt *put;
	int ret = nodes_read(absorb->connection, node, &row);

	if (ret == -ENOENT || (!ret && !row.parent))
		return answer_removed(absorb, node, done & DIRTY_NEW, item);
	if (!ret && row.has_remote) {
		known = malloc(sizeof(*known));
		ret = known ? nodes_item(absorb->connection, node, known) : -ENOMEM;
		/* While it was sent as something new, it took over an item whose place it went to. */
		if (!ret && strcmp(known->remote, item->id) != 0) {
			ret = remove_answer(absorb, item);
			goto out;
		}
		if (!ret)
			keep_known(&row, known, done, &noted);
	}
	if (!ret)
		ret = remove_twin(absorb, node, item->id);
	if (!ret)
		ret = absorb_seen_read(absorb, &noted, &seen);
	if (ret)
		goto out;
	parent = malloc(sizeof(*parent));
	ret = parent ? nodes_item(absorb->connection, row.parent, parent) : -ENOMEM;
	if (!ret)
		ret = absorb_store_item(absorb, node, noted.parent && *noted.parent ? noted.parent : parent->remote,
					&seen);
	if (ret)
		goto out;
	if (row.change != change)
		done = 0;
	put = database_statement(
		absorb->connection,
		"UPDATE node SET dirty = dirty & ~?2, echo = 1, hides = 0, attempts = 0, retry_at = 0, "
		"failure = NULL, error = 0 WHERE id = ?1");
	sqlite3_bind_int64(put, 1, (int64_t)node);
	sqlite3_bind_int64(put, 2, DIRTY_NEW | (done & ~DIRTY_PLACE));
	ret = database_run(absorb->connection, put);
	if (!ret)
		ret = nodes_settle_place(absorb->connection, node);
out:
	free(seen.set);
	free(known);
	free(parent);
	return ret;
}

/* Where the ending of a file's name begins: ".gz" of "a.tar.gz", nothing of ".profile". */
static size_t stem_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name && strlen(dot) <= 16 ? (size_t)(dot - name) : strlen(name);
}

static void conflicted_name(const char *name, unsigned number, char out[NODE_NAME_SIZE])
{
	char host[65] = "", date[16] = "", middle[128], counted[16] = "";
	time_t now = cache_now() / 1000000000;
	size_t stem = stem_of(name), rest;
	struct tm day;

	if (gethostname(host, sizeof(host) - 1) || !*host)
		(void)text_copy(host, sizeof(host), "here");
	for (char *at = host; *at; at++)
		*at = *at == '/' ? '-' : *at;
	if (gmtime_r(&now, &day))
		(void)strftime(date, sizeof(date), "%Y-%m-%d", &day);
	if (number)
		(void)text_format(counted, sizeof(counted), " %u", number + 1);
	(void)text_format(middle, sizeof(middle), " (conflicted copy %s %s%s)", host, date, counted);
	rest = strlen(middle) + strlen(name + stem);
	if (stem + rest >= NODE_NAME_SIZE) {
		size_t cut = NODE_NAME_SIZE - 1 - rest;

		/* Not in the middle of a character. */
		while (cut > 0 && ((unsigned char)name[cut] & 0xc0) == 0x80)
			cut--;
		(void)text_format(out, NODE_NAME_SIZE, "%.*s%s%s", (int)cut, name, middle, name + stem);
		return;
	}
	(void)text_format(out, NODE_NAME_SIZE, "%.*s%s%s", (int)stem, name, middle, name + stem);
}

int absorb_aside(struct absorb *absorb, uint64_t node)
{
	struct database_connection *connection = absorb->connection;
	char name[NODE_NAME_SIZE], other[NODE_NAME_SIZE], path[4096];
	struct node_row row, holder;
	sqlite3_stmt *put;
	unsigned number = 0;
	int ret = nodes_read(connection, node, &row);

	if (!ret)
		ret = nodes_name(connection, node, name);
	if (!ret && nodes_path(connection, node, path, sizeof(path)))
		(void)text_copy(path, sizeof(path), name);
	if (!ret && row.has_remote && row.dirty & DIRTY_CONTENT)
		ret = nodes_let_go(connection, absorb->cache, node);
	if (ret)
		return ret;
	do {
		conflicted_name(name, number, other);
		ret = nodes_holder(connection, absorb->cache, row.parent, other, &holder);
	} while (!ret && number++ < COPIES_MAX);
	if (ret != -ENOENT)
		return ret ? ret : -EEXIST;
	put = database_statement(connection, "UPDATE node SET hides = 0 WHERE id = ?");
	sqlite3_bind_int64(put, 1, (int64_t)node);
	ret = database_run(connection, put);
	if (!ret)
		ret = nodes_move(connection, absorb->cache, node, row.parent, other);
	if (ret)
		return ret;
	put = database_statement(connection, "INSERT INTO conflict(node, original, at) VALUES(?, ?, ?)");
	sqlite3_bind_int64(put, 1, (int64_t)node);
	database_bind_text(put, 2, path);
	sqlite3_bind_int64(put, 3, cache_now());
	ret = database_run(connection, put);
	absorb_tell(absorb, ABSORB_ENTRY, row.parent, 0, name);
	absorb_tell(absorb, ABSORB_ENTRY, row.parent, 0, other);
	return ret;
}
