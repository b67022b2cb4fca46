/* SPDX-License-Identifier: MIT */
#include "cache/absorb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/absorb_internal.h"
#include "cache/active.h"
#include "cache/listing.h"
#include "cache/pins.h"
#include "cache/properties.h"
#include "cache/sent.h"
#include "cache/sync_internal.h"
#include "support/text.h"

#define SECOND INT64_C(1000000000)
#define CHUNK  16 /* children that are looked at in one go, on the stack of every level */

/* --- A batch ------------------------------------------------------------------------------------------- */

int absorb_begin(struct absorb **out, struct cache *cache)
{
	struct absorb *absorb = calloc(1, sizeof(*absorb));

	*out = NULL;
	if (!absorb)
		return -ENOMEM;
	absorb->cache = cache;
	absorb->listing = INT64_MAX;
	absorb->connection = database_write(cache->database);
	*out = absorb;
	return 0;
}

struct database_connection *absorb_connection(struct absorb *absorb)
{
	return absorb->connection;
}

void absorb_tell(struct absorb *absorb, enum absorb_kind kind, uint64_t parent, uint64_t node, const char *name)
{
	struct absorb_told *told;

	if (absorb->count == absorb->room) {
		size_t room = absorb->room ? absorb->room * 2 : 16;

		told = reallocarray(absorb->told, room, sizeof(*told));
		if (!told) {
			absorb->error = -ENOMEM;
			return;
		}
		absorb->told = told;
		absorb->room = room;
	}
	told = &absorb->told[absorb->count];
	*told = (struct absorb_told){.kind = kind, .parent = parent, .node = node};
	if (name) {
		told->name = text_duplicate(name);
		if (!told->name) {
			absorb->error = -ENOMEM;
			return;
		}
	}
	absorb->count++;
}

void absorb_forget_node(struct absorb *absorb, uint64_t node)
{
	absorb_tell(absorb, ABSORB_NODE, 0, node, NULL);
}

void absorb_forget_entry(struct absorb *absorb, uint64_t parent, const char *name)
{
	absorb_tell(absorb, ABSORB_ENTRY, parent, 0, name);
}

static void absorb_free(struct absorb *absorb)
{
	if (absorb->replacing) {
		atomic_fetch_add(&absorb->cache->replaced, 1);
		atomic_fetch_sub(&absorb->cache->replacing, 1);
	}
	for (size_t i = 0; i < absorb->count; i++)
		free(absorb->told[i].name);
	free(absorb->told);
	free(absorb->first);
	free(absorb);
}

void absorb_abandon(struct absorb *absorb)
{
	database_rollback(absorb->connection);
	absorb_free(absorb);
}

static void tell_host(struct dw_host *host, const struct absorb_told *told, uint64_t before)
{
	switch (told->kind) {
	case ABSORB_NODE:
		if (host->invalidate_node)
			host->invalidate_node(host, told->node, 0, 0);
		break;
	case ABSORB_ENTRY:
		if (host->invalidate_entry)
			host->invalidate_entry(host, told->parent, told->name, false);
		break;
	default:
		if (host->entry_deleted)
			host->entry_deleted(host, told->parent, told->node, told->name);
	}
	/* The kernel may have cached the folder's listing. */
	if (told->parent && told->parent != before && host->invalidate_node)
		host->invalidate_node(host, told->parent, 0, 0);
}

int absorb_finish(struct absorb *absorb)
{
	int ret;

	if (absorb->error) {
		ret = absorb->error;
		absorb_abandon(absorb);
		return ret;
	}
	ret = database_commit(absorb->connection);
	for (size_t i = 0; !ret && i < absorb->count; i++)
		tell_host(absorb->cache->host, &absorb->told[i], i ? absorb->told[i - 1].parent : 0);
	if (!ret && absorb->pinned && absorb->cache->pins)
		pins_wake(absorb->cache->pins);
	absorb_free(absorb);
	return ret;
}

void absorb_look_whether_open(struct absorb *absorb, uint64_t node, unsigned *opens, unsigned *writers)
{
	if (!absorb->replacing) {
		absorb->replacing = true;
		atomic_fetch_add(&absorb->cache->replacing, 1);
	}
	active_counts(absorb->cache, node, opens, writers);
}

/* --- What an item says --------------------------------------------------------------------------------- */

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static int64_t nanoseconds_of(struct dw_time time)
{
	if (time.seconds > INT64_MAX / SECOND - 1 || time.seconds < INT64_MIN / SECOND + 1 ||
	    time.nanoseconds >= SECOND)
		return 0;
	return time.seconds * SECOND + time.nanoseconds;
}

bool absorb_can_show(struct cache *cache, const char *name)
{
	char fold[NODE_FOLD_SIZE];
	size_t length = strlen(name);

	return length > 0 && length < NODE_NAME_SIZE && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 && nodes_fold(cache, name, fold) > 0;
}

static bool is_sound(const struct dw_remote_item *item)
{
	return item->id && *item->id && strlen(item->id) <= DW_REMOTE_ID_MAX &&
	       strlen(text_of(item->etag)) <= DW_REMOTE_ID_MAX && strlen(text_of(item->content)) <= DW_REMOTE_ID_MAX &&
	       strlen(text_of(item->parent)) <= DW_REMOTE_ID_MAX && item->bytes <= INT64_MAX &&
	       item->digest_length <= sizeof(item->digest);
}

int absorb_seen_read(struct absorb *absorb, const struct dw_remote_item *item, struct absorb_seen *out)
{
	bool folder = item->type == DW_REMOTE_FOLDER;
	int64_t modified = nanoseconds_of(item->modified), created = nanoseconds_of(item->created);
	struct properties_facts facts = {0};
	int ret;

	*out = (struct absorb_seen){.item = item};
	if (item->properties_known) {
		ret = properties_of_item(item, &out->set);
		if (ret)
			return ret;
		properties_read(out->set, &facts);
	}
	if (facts.has_mode && ((facts.mode & DW_MODE_TYPE) == DW_MODE_FOLDER) == folder)
		out->mode = facts.mode;
	else
		out->mode = folder ? NODE_FOLDER_MODE : NODE_FILE_MODE;
	out->uid = facts.has_owner ? facts.uid : absorb->cache->uid;
	out->gid = facts.has_owner ? facts.gid : absorb->cache->gid;
	out->modified = modified ? modified : created;
	out->mtime = out->modified || facts.has_mtime ? properties_mtime(&facts, out->modified) : cache_now();
	out->btime = created ? created : out->mtime;
	out->size = folder || (out->mode & DW_MODE_TYPE) == DW_MODE_FIFO || (out->mode & DW_MODE_TYPE) == DW_MODE_SOCKET
			    ? 0
			    : item->bytes;
	return 0;
}

/* The columns of the item, as it is now, of node id. */
int absorb_store_item(struct absorb *absorb, uint64_t id, const char *remote_parent, const struct absorb_seen *seen)
{
	const struct dw_remote_item *item = seen->item;
	sqlite3_stmt *put = database_statement(absorb->connection,
					       "UPDATE node SET remote = ?2, remote_parent = ?3, remote_name = ?4, "
					       "etag = ?5, version = ?6, digest = ?7, "
					       "remote_size = ?8, remote_mtime = ?9, rights = ?10, properties = "
					       "coalesce(?11, properties), heard = ?12 "
					       "WHERE id = ?1");

	sqlite3_bind_int64(put, 1, (int64_t)id);
	database_bind_text(put, 2, item->id);
	database_bind_text(put, 3, remote_parent);
	database_bind_text(put, 4, text_of(item->name));
	database_bind_text(put, 5, text_of(item->etag));
	database_bind_text(put, 6, text_of(item->content));
	if (item->digest_length)
		sqlite3_bind_blob(put, 7, item->digest, (int)item->digest_length, SQLITE_STATIC);
	sqlite3_bind_int64(put, 8, (int64_t)item->bytes);
	sqlite3_bind_int64(put, 9, seen->modified);
	sqlite3_bind_int64(put, 10, item->rights);
	if (seen->set)
		database_bind_text(put, 11, seen->set);
	sqlite3_bind_int64(put, 12, atomic_load(&absorb->cache->heard));
	return database_run(absorb->connection, put);
}

/* --- What is gone -------------------------------------------------------------------------------------- */

/* The node of row leaves its name; its row is deleted, or stays as an orphan while it is open. */
static int drop(struct absorb *absorb, const struct node_row *row, unsigned opens)
{
	struct node_row bare = *row;
	char name[NODE_NAME_SIZE];
	int ret = nodes_name(absorb->connection, row->id, name);

	if (!ret)
		absorb_tell(absorb, ABSORB_DELETED, row->parent, row->id, name);
	else if (ret != -ENOENT)
		return ret;
	bare.has_remote = false;
	return nodes_remove(absorb->connection, absorb->cache, &bare, opens != 0);
}

/* 1: the node, or something below it, stays; 0: it is gone. */
static int gone_below(struct absorb *absorb, uint64_t id, unsigned depth)
{
	unsigned opens, writers;
	struct node_row row;
	bool stays = false;
	int ret = nodes_read(absorb->connection, id, &row);

	if (ret || depth > ABSORB_DEPTH)
		return ret ? ret : -ELOOP;
	if (node_is_folder(&row)) {
		uint64_t children[CHUNK], after = 0;
		int count;

		while ((count = nodes_children(absorb->connection, id, after, children, CHUNK)) > 0) {
			for (int i = 0; i < count; i++) {
				struct node_row child;

				ret = nodes_read(absorb->connection, children[i], &child);
				if (!ret && (!child.has_remote || child.dirty & DIRTY_PLACE))
					stays = true; /* made or brought here by us */
				else if (!ret)
					ret = gone_below(absorb, children[i], depth + 1);
				if (ret < 0)
					return ret;
				stays = stays || ret > 0;
			}
			after = children[count - 1];
		}
		if (count < 0)
			return count;
		opens = 0;
	} else {
		absorb_look_whether_open(absorb, id, &opens, &writers);
		stays = writers || row.dirty & DIRTY_CONTENT;
	}
	if (stays)
		ret = nodes_let_go(absorb->connection, absorb->cache, id);
	else
		ret = drop(absorb, &row, opens);
	return ret ? ret : stays;
}

int absorb_gone(struct absorb *absorb, const char *remote)
{
	sqlite3_stmt *put = database_statement(absorb->connection, "DELETE FROM gone WHERE remote = ?");
	struct node_row row;
	int ret;

	database_bind_text(put, 1, remote);
	ret = database_run(absorb->connection, put);
	put = database_statement(absorb->connection, "DELETE FROM buried WHERE remote = ?");
	database_bind_text(put, 1, remote);
	if (!ret)
		ret = database_run(absorb->connection, put);
	if (!ret)
		ret = nodes_find_remote(absorb->connection, remote, &row);
	if (ret || row.id == DW_NODE_ROOT)
		return ret == -ENOENT ? 0 : ret;
	ret = gone_below(absorb, row.id, 0);
	return ret < 0 ? ret : 0;
}

/* --- News and answers ---------------------------------------------------------------------------------- */

int absorb_is_doubtful(struct database_connection *connection, const struct dw_remote_item *item,
		       char etag[DW_REMOTE_ID_MAX + 1])
{
	sqlite3_stmt *query = database_statement(connection,
						 "SELECT etag FROM node WHERE remote = ?1 AND echo AND etag != ?2");
	size_t length;
	int ret;

	database_bind_text(query, 1, text_of(item->id));
	database_bind_text(query, 2, text_of(item->etag));
	ret = database_step(connection, query);
	if (ret <= 0)
		return ret;
	length = (size_t)sqlite3_column_bytes(query, 0);
	length = length <= DW_REMOTE_ID_MAX ? length : 0;
	if (length)
		memcpy(etag, sqlite3_column_blob(query, 0), length);
	etag[length] = '\0';
	sqlite3_reset(query);
	return 1;
}

int absorb_told(struct absorb *absorb, const char *remote, const char *etag)
{
	sqlite3_stmt *put = database_statement(absorb->connection,
					       "UPDATE node SET echo = 0 WHERE remote = ?1 AND etag = ?2 AND echo");

	database_bind_text(put, 1, remote);
	database_bind_text(put, 2, text_of(etag));
	return database_run(absorb->connection, put);
}

/* The item is there, and no more is believed of what was told. */
static int note_heard(struct absorb *absorb, uint64_t id)
{
	sqlite3_stmt *put = database_statement(absorb->connection, "UPDATE node SET heard = ?2 WHERE id = ?1");

	sqlite3_bind_int64(put, 1, (int64_t)id);
	sqlite3_bind_int64(put, 2, atomic_load(&absorb->cache->heard));
	return database_run(absorb->connection, put);
}

/* --- What is there ------------------------------------------------------------------------------------- */

static int is_in_gone(struct absorb *absorb, const char *remote)
{
	sqlite3_stmt *query = database_statement(absorb->connection, "SELECT 1 FROM gone WHERE remote = ?1 UNION ALL "
								     "SELECT 1 FROM buried WHERE remote = ?1");
	int ret;

	database_bind_text(query, 1, remote);
	ret = database_step(absorb->connection, query);
	if (query)
		sqlite3_reset(query);
	return ret;
}

enum room {
	ROOM_FREE,
	ROOM_LEFT_OUT, /* the one here stays, and sync will see to it */
	ROOM_TAKEN,    /* the folder that was there has become the item's node */
};

/* The folder that was made here is the server's too. */
static int join_folders(struct absorb *absorb, const struct node_row *folder, const char *remote_parent,
			const struct absorb_seen *seen)
{
	int ret = absorb_store_item(absorb, folder->id, remote_parent, seen);
	sqlite3_stmt *put;

	if (ret)
		return ret;
	/* What the server has in it is not known yet. */
	put = database_statement(absorb->connection, "UPDATE node SET dirty = dirty & ~1, listed = 0 WHERE id = ?");
	sqlite3_bind_int64(put, 1, (int64_t)folder->id);
	ret = database_run(absorb->connection, put);
	return ret ? ret : nodes_settle_place(absorb->connection, folder->id);
}

/* Make the place of an item free for node self (0: for a new one). An enum room, or negative. */
static int make_room(struct absorb *absorb, const struct node_row *folder, const char *remote_parent, uint64_t self,
		     const struct absorb_seen *seen)
{
	struct node_row holder;
	struct node_item there;
	sqlite3_stmt *put;
	int ret = nodes_holder(absorb->connection, absorb->cache, folder->id, seen->item->name, &holder);

	if (ret || holder.id == self)
		return ret == -ENOENT ? ROOM_FREE : ret ? ret : ROOM_FREE;
	if (holder.has_remote && !(holder.dirty & DIRTY_PLACE)) {
		/* The server says that another one is there now. */
		ret = nodes_item(absorb->connection, holder.id, &there);
		if (!ret)
			ret = absorb_gone(absorb, there.remote);
		if (!ret)
			ret = nodes_holder(absorb->connection, absorb->cache, folder->id, seen->item->name, &holder);
		if (ret)
			return ret == -ENOENT ? ROOM_FREE : ret;
	}
	if (self) {
		ret = absorb_aside(absorb, holder.id);
		return ret ? ret : ROOM_FREE;
	}
	if (!holder.has_remote && node_is_folder(&holder) && seen->item->type == DW_REMOTE_FOLDER) {
		ret = join_folders(absorb, &holder, remote_parent, seen);
		return ret ? ret : ROOM_TAKEN;
	}
	put = database_statement(absorb->connection, "UPDATE node SET hides = 1 WHERE id = ?");
	sqlite3_bind_int64(put, 1, (int64_t)holder.id);
	ret = database_run(absorb->connection, put);
	return ret ? ret : ROOM_LEFT_OUT;
}

/*
 * The item is new to us. Did we send it, by a call whose answer was lost? 1: then it has become the node's, or is to be
 * removed where the node is gone or has another item; 0: no.
 */
static int take_sent(struct absorb *absorb, const struct node_row *folder, const char *remote_parent,
		     const struct dw_remote_item *item)
{
	struct node_row row;
	uint64_t node;
	int ret = sent_find(absorb->connection, item, remote_parent, &node);

	if (ret <= 0)
		return ret;
	ret = nodes_read(absorb->connection, node, &row);
	if (ret && ret != -ENOENT)
		return ret;
	if (!ret && row.parent && row.has_remote) {
		if (item->type == DW_REMOTE_FOLDER)
			return 0;
		node = 0;
	}
	if (node && absorb->cache->sync && sync_is_busy(absorb->cache->sync, &(struct sync_task){.node = node})) {
		/* It will look for itself. */
		ret = nodes_unlist(absorb->connection, folder->id);
		return ret ? ret : 1;
	}
	ret = absorb_answer(absorb, node, -1, DIRTY_NEW, item);
	return ret ? ret : 1;
}

static int add(struct absorb *absorb, const struct node_row *folder, const char *remote_parent, bool listed,
	       const struct absorb_seen *seen)
{
	int ret;

	/* The echo of a call of ours, whose answer is still to come. */
	if (absorb->cache->sync && sync_is_placing(absorb->cache->sync, remote_parent, seen->item->name))
		return 0;
	ret = take_sent(absorb, folder, remote_parent, seen->item);
	if (ret)
		return ret < 0 ? ret : 0;
	ret = make_room(absorb, folder, remote_parent, 0, seen);
	if (ret != ROOM_FREE)
		return ret < 0 ? ret : 0;
	/* Nobody was told yet what is in a folder that is listed for the first time. */
	ret = absorb_insert(absorb, folder, remote_parent, seen, folder->pinned, !listed || folder->listed);
	return ret > 0 ? 0 : ret ? ret : -EEXIST;
}

/* The node goes where its item went. */
static int follow_place(struct absorb *absorb, const struct node_row *row, const struct node_row *folder,
			const char *remote_parent, const struct absorb_seen *seen)
{
	char old[NODE_NAME_SIZE], fold[NODE_FOLD_SIZE];
	const char *name = seen->item->name;
	sqlite3_stmt *put;
	int ret = nodes_is_within(absorb->connection, folder->id, row->id);

	/* Below itself: news of other moves are still to come. */
	if (ret > 0)
		return nodes_unlist(absorb->connection, folder->id);
	if (!ret)
		ret = make_room(absorb, folder, remote_parent, row->id, seen);
	if (!ret)
		ret = nodes_name(absorb->connection, row->id, old);
	if (ret)
		return ret;
	put = database_statement(absorb->connection, "UPDATE node SET parent = ?2, name = ?3, fold = ?4, ctime = ?5 "
						     "WHERE id = ?1");
	sqlite3_bind_int64(put, 1, (int64_t)row->id);
	sqlite3_bind_int64(put, 2, (int64_t)folder->id);
	database_bind_text(put, 3, name);
	sqlite3_bind_blob(put, 4, fold, (int)nodes_fold(absorb->cache, name, fold), SQLITE_STATIC);
	sqlite3_bind_int64(put, 5, cache_now());
	ret = database_run(absorb->connection, put);
	if (!ret && (row->parent != folder->id || strcmp(old, name) != 0)) {
		absorb_tell(absorb, ABSORB_ENTRY, row->parent, 0, old);
		absorb_tell(absorb, ABSORB_ENTRY, folder->id, 0, name);
	}
	return ret;
}

/* The bytes are others. 1: the node has become an orphan, and a new one has its name. */
static int follow_content(struct absorb *absorb, struct node_row *row, const struct node_row *folder,
			  const char *remote_parent, const struct absorb_seen *seen, unsigned opens)
{
	sqlite3_stmt *put;
	int ret;

	if (opens) {
		struct node_row bare = *row;

		bare.has_remote = false;
		absorb_tell(absorb, ABSORB_ENTRY, row->parent, 0, seen->item->name);
		ret = nodes_remove(absorb->connection, absorb->cache, &bare, true);
		if (!ret)
			ret = absorb_insert(absorb, folder, remote_parent, seen, row->pinned, true);
		return ret ? ret : -EEXIST;
	}
	if (row->content)
		content_delete(absorb->cache->contents, absorb->connection, row->content);
	absorb->pinned = absorb->pinned || row->pinned;
	row->content = 0;
	row->size = seen->size;
	row->mtime = seen->mtime;
	row->ctime = cache_now();
	put = database_statement(absorb->connection, "UPDATE node SET content = NULL, target = NULL WHERE id = ?");
	sqlite3_bind_int64(put, 1, (int64_t)row->id);
	ret = database_run(absorb->connection, put);
	if (!ret)
		ret = nodes_set_stat(absorb->connection, row);
	if (!ret)
		absorb_tell(absorb, ABSORB_NODE, 0, row->id, NULL);
	return ret;
}

/* Mode, owner, times and attributes, where they are not changed here. */
static int follow_properties(struct absorb *absorb, struct node_row *row, const struct absorb_seen *seen)
{
	struct properties_facts facts;
	int64_t mtime = seen->mtime;
	char *have = NULL;
	bool same;
	int ret;

	if (row->dirty & DIRTY_PROPERTIES)
		return 0;
	ret = properties_have(absorb->connection, row->id, &have);
	if (ret)
		return ret;
	if (!seen->set) {
		/* Nothing was said of them: they are as we know them. */
		properties_read(have, &facts);
		mtime = properties_mtime(&facts, seen->mtime);
		free(have);
	} else {
		same = strcmp(have, seen->set) == 0;
		free(have);
		if (!same) {
			row->mode = seen->mode;
			row->uid = seen->uid;
			row->gid = seen->gid;
			ret = properties_store_xattrs(absorb->connection, row->id, seen->set);
			if (ret)
				return ret;
			absorb_tell(absorb, ABSORB_NODE, 0, row->id, NULL);
		}
	}
	/* Services keep seconds: the finer time that was set here is the better one. */
	if (!(row->dirty & DIRTY_CONTENT) && (seen->set || !node_is_folder(row)) &&
	    row->mtime / SECOND != mtime / SECOND && seen->modified)
		row->mtime = mtime;
	return nodes_set_stat(absorb->connection, row);
}

static int update(struct absorb *absorb, struct node_row *row, const struct node_row *folder, const char *remote_parent,
		  bool listed, struct absorb_seen *seen)
{
	const struct dw_remote_item *item = seen->item;
	struct dw_remote_item shown = *item;
	struct node_item known;
	unsigned opens = 0, writers = 0;
	bool moved, rewritten, place_clash, content_clash;
	int ret = nodes_item(absorb->connection, row->id, &known);

	if (ret)
		return ret;
	if (listed && (row->echo || row->heard >= absorb->listing) && strcmp(text_of(item->etag), known.etag) != 0)
		return note_heard(absorb, row->id);
	moved = strcmp(remote_parent, known.remote_parent) != 0 || strcmp(shown.name, known.remote_name) != 0;
	rewritten = shown.type == DW_REMOTE_FILE && strcmp(text_of(shown.content), known.version) != 0;
	if (rewritten) {
		absorb_look_whether_open(absorb, row->id, &opens, &writers);
		if (writers && !(row->dirty & DIRTY_CONTENT)) {
			ret = nodes_dirty(absorb->connection, row->id, DIRTY_CONTENT);
			row->dirty |= DIRTY_CONTENT;
		}
	}
	place_clash = moved && row->dirty & DIRTY_PLACE;
	content_clash = rewritten && row->dirty & DIRTY_CONTENT;
	if (!ret && moved && !place_clash)
		ret = follow_place(absorb, row, folder, remote_parent, seen);
	if (!ret)
		ret = nodes_read(absorb->connection, row->id, row);
	if (!ret && rewritten && !content_clash)
		ret = follow_content(absorb, row, folder, remote_parent, seen, opens);
	if (ret)
		return ret < 0 ? ret : 0;
	/* News of an item that is at the etag that we know is the echo of a call of ours, and may be older than the
	 * properties that we sent since. */
	if (listed || !known.etag[0] || strcmp(text_of(shown.etag), known.etag) != 0) {
		ret = follow_properties(absorb, row, seen);
	} else {
		free(seen->set);
		seen->set = NULL;
	}
	/* What sync compares with stays as it was where both sides changed the same. */
	if (content_clash) {
		shown.content = known.version;
		shown.bytes = known.remote_size;
		shown.digest_length = known.digest_length;
		memcpy(shown.digest, known.digest, sizeof(shown.digest));
		seen->modified = known.remote_mtime;
	}
	if (content_clash || place_clash)
		shown.etag = known.etag;
	if (place_clash) {
		shown.name = known.remote_name;
		remote_parent = known.remote_parent;
	}
	seen->item = &shown;
	if (!ret)
		ret = absorb_store_item(absorb, row->id, remote_parent, seen);
	seen->item = item;
	return ret || !(row->dirty & DIRTY_PLACE) ? ret : nodes_settle_place(absorb->connection, row->id);
}

/* The folder that an item is in, and its id on the server. -ENOENT: it is none that we know. */
static int find_folder(struct absorb *absorb, uint64_t parent, const struct dw_remote_item *item,
		       const struct node_row *known, struct node_row *folder, struct node_item *out)
{
	int ret;

	if (parent) {
		ret = nodes_read(absorb->connection, parent, folder);
	} else if (text_of(item->parent)[0]) {
		ret = nodes_find_remote(absorb->connection, item->parent, folder);
	} else {
		ret = known ? nodes_item(absorb->connection, known->id, out) : -ENOENT;
		if (!ret)
			ret = nodes_find_remote(absorb->connection, out->remote_parent, folder);
	}
	if (!ret && (!node_is_folder(folder) || !folder->has_remote))
		ret = -ENOENT;
	return ret ? ret : nodes_item(absorb->connection, folder->id, out);
}

/* item is sound and not in gone; row is its node, or NULL. */
static int absorb_known(struct absorb *absorb, uint64_t parent, const struct dw_remote_item *item, struct node_row *row)
{
	struct node_item *there = malloc(sizeof(*there));
	struct absorb_seen seen = {0};
	struct node_row folder;
	int ret = there ? 0 : -ENOMEM;

	if (!ret)
		ret = find_folder(absorb, parent, item, row, &folder, there);
	if (ret == -ENOENT) {
		/* Somewhere that was never looked at. But what was moved here, perhaps out of a folder that was removed
		 * here since, is not gone: it will be brought to where it is here. */
		ret = row && !(row->dirty & DIRTY_PLACE) ? absorb_gone(absorb, item->id) : 0;
		goto out;
	}
	if (!ret && !row && !parent && !folder.listed && !listing_runs(absorb->cache, folder.id))
		goto out;
	if (!ret)
		ret = absorb_seen_read(absorb, item, &seen);
	if (ret)
		goto out;
	ret = row ? update(absorb, row, &folder, there->remote, parent != 0, &seen)
		  : add(absorb, &folder, there->remote, parent != 0, &seen);
out:
	free(seen.set);
	free(there);
	return ret;
}

int absorb_item(struct absorb *absorb, uint64_t parent, const struct dw_remote_item *item)
{
	struct node_row row;
	bool known;
	int ret;

	if (!is_sound(item))
		return 0;
	/* The page is older than the news of it. */
	if (absorb->listing != INT64_MAX &&
	    listing_was_told_elsewhere(absorb->cache, absorb->listing, item->id, absorb->listed))
		return 0;
	if (absorb->first) {
		ret = absorb_add_first(absorb, item);
		if (ret)
			return ret < 0 ? ret : 0;
		/* Something is known here that it has to be compared with, and perhaps what follows, too. */
		free(absorb->first);
		absorb->first = NULL;
	}
	ret = is_in_gone(absorb, item->id);
	if (ret)
		return ret < 0 ? ret : 0;
	ret = nodes_find_remote(absorb->connection, item->id, &row);
	if (ret && ret != -ENOENT)
		return ret;
	known = !ret;
	if (known && row.id == DW_NODE_ROOT)
		return 0;
	if (item->type == DW_REMOTE_OTHER || !absorb_can_show(absorb->cache, text_of(item->name)))
		return known ? absorb_gone(absorb, item->id) : 0;
	if (known && node_is_folder(&row) != (item->type == DW_REMOTE_FOLDER)) {
		ret = absorb_gone(absorb, item->id);
		known = false;
		if (ret)
			return ret;
	}
	return absorb_known(absorb, parent, item, known ? &row : NULL);
}
