/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/absorb.h"
#include "cache/listing.h"
#include "cache/operations.h"
#include "cache/sync.h"

#define TARGET_SIZE 4096 /* of a symbolic link, with its NUL */

int cache_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 struct dw_entry *out)
{
	struct cache *cache = cache_of(fs);
	struct node_row folder, row;
	int ret = entry_find(cache, req, parent, name, false, &folder, &row);

	if (ret == -ENOENT) {
		*out = (struct dw_entry){.entry_timeout = DW_TIMEOUT_DEFAULT};
		return 0;
	}
	return ret ? ret : entry_of(cache, &row, out);
}

void cache_forget(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list, size_t count)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection = database_read(cache->database);
	struct node_row row;
	uint64_t *gone = calloc(count, sizeof(*gone));
	size_t gone_count = 0;

	(void)req;
	for (size_t i = 0; gone && i < count; i++) {
		if (nodes_read(connection, list[i].node, &row) == 0 && !row.parent && row.id != DW_NODE_ROOT &&
		    active_forget(cache, row.id))
			gone[gone_count++] = row.id;
	}
	database_read_end(connection);
	if (gone_count) {
		int ret = 0;

		connection = database_write(cache->database);
		for (size_t i = 0; !ret && i < gone_count; i++) {
			ret = nodes_read(connection, gone[i], &row);
			if (!ret && !row.parent)
				ret = nodes_delete(connection, cache, &row);
			ret = ret == -ENOENT ? 0 : ret;
		}
		/* What fails is swept when the drive is mapped again. */
		(void)operation_end(connection, ret);
	}
	free(gone);
}

/* --- Links --------------------------------------------------------------------------------------------- */

struct target {
	char text[TARGET_SIZE];
	size_t length;
};

static int take_target(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	struct target *target = sink->context;

	if (offset != target->length || size >= TARGET_SIZE - target->length)
		return -EIO;
	memcpy(target->text + target->length, data, size);
	target->length += size;
	target->text[target->length] = '\0';
	return 0;
}

/* The bytes of the link's item are its target. */
static int fetch_target(struct cache *cache, const struct dw_request *req, uint64_t id, struct target *target)
{
	struct database_connection *connection = database_read(cache->database);
	struct dw_remote_sink sink = {.write = take_target, .context = target};
	struct node_item *item = malloc(sizeof(*item));
	struct dw_remote_call call;
	int ret = item ? nodes_item(connection, id, item) : -ENOMEM;

	database_read_end(connection);
	if (!ret && (!item->remote[0] || item->remote_size >= TARGET_SIZE))
		ret = -EIO;
	if (!ret && item->remote_size) {
		cache_call(cache, &call, req->interrupted);
		ret = cache->remote->ops->read(cache->remote, &call, item->remote, item->version, 0, item->remote_size,
					       &sink);
		ret = cache_answered(cache, ret, &call);
	}
	if (!ret && strlen(target->text) != target->length)
		ret = -EIO;
	if (!ret) {
		connection = database_write(cache->database);
		ret = operation_end(connection, nodes_set_target(connection, id, target->text));
	}
	free(item);
	return ret;
}

int cache_readlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *out, size_t *length)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection = database_read(cache->database);
	struct target target = {.length = 0};
	struct node_row row;
	int ret = nodes_read(connection, node, &row);

	if (ret == -ENOENT)
		ret = -ESTALE;
	else if (!ret && (row.mode & DW_MODE_TYPE) != DW_MODE_LINK)
		ret = -EINVAL;
	if (!ret)
		ret = nodes_target(connection, node, target.text, sizeof(target.text));
	database_read_end(connection);
	if (ret == -ENODATA)
		ret = is_nowait(req) ? -EAGAIN : fetch_target(cache, req, node, &target);
	if (ret)
		return ret;
	target.length = strlen(target.text);
	*length = target.length < *length ? target.length : *length;
	memcpy(out, target.text, *length);
	return 0;
}

/* --- Removing ------------------------------------------------------------------------------------------ */

/* In a transaction: what entry_find found, as it is now. -ENOENT: it is not there any more. */
static int find_again(struct database_connection *connection, struct cache *cache, uint64_t parent, const char *name,
		      struct node_row *folder, struct node_row *row)
{
	int ret = nodes_read(connection, parent, folder);

	return ret ? ret : nodes_find(connection, cache, parent, name, row);
}

static int remove_name(struct cache *cache, const struct dw_request *req, uint64_t parent, const char *name,
		       bool is_folder)
{
	struct database_connection *connection;
	struct node_row folder, row;
	uint64_t node;
	int ret = operation_done(cache, req, &node);

	if (ret)
		return ret < 0 ? ret : 0;
	ret = entry_find(cache, req, parent, name, false, &folder, &row);
	if (!ret && is_folder && !node_is_folder(&row))
		ret = -ENOTDIR;
	if (!ret && !is_folder && node_is_folder(&row))
		ret = -EISDIR;
	if (!ret)
		ret = entry_may(cache, &row, DW_REMOTE_MAY_DELETE);
	if (!ret && is_folder)
		ret = listing_complete(cache, req, &row);
	if (ret)
		return ret;
	connection = database_write(cache->database);
	ret = find_again(connection, cache, parent, name, &folder, &row);
	if (!ret && is_folder) {
		ret = nodes_has_children(connection, row.id);
		ret = ret > 0 ? -ENOTEMPTY : ret;
	}
	/* The kernel still knows it: its row goes when it is forgotten. */
	if (!ret)
		ret = nodes_remove(connection, cache, &row, true);
	if (!ret)
		ret = nodes_touch_folder(connection, parent);
	if (!ret)
		ret = nodes_set_done(connection, req->id, row.id, 0);
	ret = operation_end(connection, ret);
	if (!ret)
		sync_wake(cache->sync);
	return ret;
}

int cache_unlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	return remove_name(cache_of(fs), req, parent, name, false);
}

int cache_rmdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	return remove_name(cache_of(fs), req, parent, name, true);
}

/* --- Moving -------------------------------------------------------------------------------------------- */

/* May row take the place of other? */
static int may_replace(struct database_connection *connection, const struct node_row *row, const struct node_row *other)
{
	int ret;

	if (node_is_folder(row) && !node_is_folder(other))
		return -ENOTDIR;
	if (!node_is_folder(row) && node_is_folder(other))
		return -EISDIR;
	if (!node_is_folder(other))
		return 0;
	ret = nodes_has_children(connection, other->id);
	return ret > 0 ? -ENOTEMPTY : ret;
}

struct renaming {
	uint64_t parent, new_parent;
	const char *name, *new_name;
	uint32_t flags;
	uint64_t content; /* of the file, when it can become a new version of the one that it replaces */
};

/*
 * A file that the server has is about to replace another one that it has. Where the server keeps versions, the one that
 * has the name is to have both: the file takes that item over, and gives its own one up. Its bytes are sent again for
 * it; so they have to be here, as what the server has not got.
 */
static bool can_supersede(struct cache *cache, const struct node_row *row, const struct node_row *target)
{
	return cache->remote->flags & DW_REMOTE_VERSIONS && row->id != target->id && node_is_file(row) &&
	       node_is_file(target) && row->has_remote && target->has_remote && !(target->dirty & DIRTY_PLACE) &&
	       row->content && row->rights & DW_REMOTE_MAY_DELETE && target->rights & DW_REMOTE_MAY_WRITE;
}

/* *content stays 0 where that cannot be: then the one is removed and the other one moved. */
static void make_ready(struct cache *cache, const struct node_row *row, uint64_t *content)
{
	struct content *file;
	bool was_local;

	if (content_get(cache->contents, row->content, &file))
		return;
	was_local = content_is_local(file);
	/* The time of what the server has not got is that of its file. */
	if (content_is_whole(file) && content_modify(file) == 0 &&
	    (was_local || content_set_modified(file, entry_time(row->mtime)) == 0) && content_sync(file) == 0)
		*content = row->content;
	content_put(file);
}

static int apply_rename(struct database_connection *connection, struct cache *cache, const struct dw_request *req,
			const struct renaming *to)
{
	struct node_row folder, row, target;
	char holder[NODE_NAME_SIZE];
	bool taken;
	int ret = find_again(connection, cache, to->parent, to->name, &folder, &row);

	if (ret)
		return ret;
	ret = nodes_is_within(connection, to->new_parent, row.id);
	if (ret)
		return ret < 0 ? ret : -EINVAL;
	ret = nodes_holder(connection, cache, to->new_parent, to->new_name, &target);
	taken = !ret && target.id != row.id;
	if (ret && ret != -ENOENT)
		return ret;
	if (taken) {
		ret = nodes_name(connection, target.id, holder);
		if (ret || to->flags & DW_RENAME_NOREPLACE || strcmp(holder, to->new_name) != 0)
			return ret ? ret : -EEXIST;
	}
	if (to->flags & DW_RENAME_EXCHANGE) {
		if (!taken)
			return ret ? ret : 0;
		ret = nodes_is_within(connection, to->parent, target.id);
		if (ret)
			return ret < 0 ? ret : -EINVAL;
		ret = nodes_exchange(connection, cache, &row, &target);
	} else {
		ret = taken ? may_replace(connection, &row, &target) : 0;
		if (!ret && taken)
			ret = nodes_remove(connection, cache, &target, true);
		if (!ret && taken && to->content == row.content && can_supersede(cache, &row, &target))
			ret = nodes_give_up(connection, cache, row.id);
		if (!ret)
			ret = nodes_move(connection, cache, row.id, to->new_parent, to->new_name);
	}
	if (!ret)
		ret = nodes_touch_folder(connection, to->parent);
	if (!ret && to->parent != to->new_parent)
		ret = nodes_touch_folder(connection, to->new_parent);
	return ret ? ret : nodes_set_done(connection, req->id, row.id, 0);
}

int cache_rename(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint64_t new_parent, const char *new_name, uint32_t flags)
{
	struct renaming to = {
		.parent = parent, .new_parent = new_parent, .name = name, .new_name = new_name, .flags = flags};
	struct cache *cache = cache_of(fs);
	struct node_row folder, row, new_folder, target;
	struct database_connection *connection;
	bool superseding = false;
	uint64_t node;
	int ret = operation_done(cache, req, &node);

	if (ret)
		return ret < 0 ? ret : 0;
	if (flags & ~(DW_RENAME_NOREPLACE | DW_RENAME_EXCHANGE) ||
	    (flags & DW_RENAME_NOREPLACE && flags & DW_RENAME_EXCHANGE))
		return -EINVAL;
	ret = entry_find(cache, req, parent, name, false, &folder, &row);
	if (!ret)
		ret = entry_may(cache, &row, DW_REMOTE_MAY_RENAME);
	if (ret)
		return ret;
	ret = entry_find(cache, req, new_parent, new_name, true, &new_folder, &target);
	if (ret == -ENOENT && !(flags & DW_RENAME_EXCHANGE))
		ret = entry_may_make(cache, &new_folder, new_name);
	else if (!ret && target.id != row.id && !(flags & DW_RENAME_EXCHANGE) && node_is_folder(&target))
		ret = listing_complete(cache, req, &target);
	else if (!ret)
		superseding = !flags && can_supersede(cache, &row, &target);
	if (!ret)
		ret = entry_may(cache, &new_folder, DW_REMOTE_MAY_WRITE);
	if (!ret && superseding && is_nowait(req))
		ret = -EAGAIN;
	if (ret)
		return ret;
	if (superseding)
		make_ready(cache, &row, &to.content);
	connection = database_write(cache->database);
	ret = operation_end(connection, apply_rename(connection, cache, req, &to));
	if (!ret)
		sync_wake(cache->sync);
	return ret;
}

int cache_link(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t new_parent,
	       const char *new_name, struct dw_entry *out)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection;
	struct node_row folder, row;
	uint64_t done;
	int ret = operation_done(cache, req, &done);

	if (ret)
		return ret < 0 ? ret : entry_read(cache, done, out);
	ret = entry_find(cache, req, new_parent, new_name, true, &folder, &row);
	if (ret != -ENOENT)
		return ret ? ret : -EEXIST;
	ret = entry_may_make(cache, &folder, new_name);
	if (ret)
		return ret;
	connection = database_write(cache->database);
	ret = nodes_read(connection, node, &row);
	if (ret == -ENOENT)
		ret = -ESTALE;
	/* A file has one name; only one that has none yet (O_TMPFILE) can get it. */
	if (!ret && (row.parent || node_is_folder(&row)))
		ret = -EPERM;
	if (!ret)
		ret = nodes_move(connection, cache, node, new_parent, new_name);
	if (!ret)
		ret = nodes_touch_folder(connection, new_parent);
	if (!ret)
		ret = nodes_set_done(connection, req->id, node, 0);
	ret = operation_end(connection, ret);
	if (ret)
		return ret;
	sync_wake(cache->sync);
	return entry_read(cache, node, out);
}
