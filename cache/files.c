/* SPDX-License-Identifier: MIT */
/*
 * files.c - open files
 *
 * Passthrough. A node whose content is whole when it is first opened is handed to the kernel, which then reads and
 * writes the content file itself; all opens of the node until the last is closed are served the same way. Files with
 * set-user-id or set-group-id are never handed over: a write through the backing file would leave the bits.
 *
 * A replayed open finds its handle by its notes, gives it back and opens anew: what follows the claim (a truncation,
 * the mark that the content is changed here) may not have been done, and nobody has heard of the handle. A replayed
 * release finds the generation of its slot gone and only gives the backing id in its notes back (a second time finds
 * nothing). What else is done here gives the same when it is done twice.
 */
#include <errno.h>
#include <string.h>

#include "cache/ahead.h"
#include "cache/operations.h"
#include "cache/sync.h"

#define INLINE_WRITE (128u << 10) /* a write up to this is done at once */
#define OPEN_TRIES   8u		  /* while the server changes the file */

static bool writes(uint32_t flags)
{
	return (flags & DW_O_ACCMODE) != DW_O_RDONLY;
}

static void answer_open(uint64_t handle, uint32_t flags, uint32_t backing, struct dw_open *out)
{
	*out = (struct dw_open){.handle = handle, .flags = DW_OPEN_KEEP_CACHE, .backing_id = backing};
	if (!writes(flags))
		out->flags |= DW_OPEN_NO_FLUSH;
	if (backing)
		out->flags &= ~DW_OPEN_KEEP_CACHE;
	else if (flags & DW_O_DIRECT)
		out->flags = (out->flags & ~DW_OPEN_KEEP_CACHE) | DW_OPEN_DIRECT;
}

/* Choose how all opens of the node are served; node->lock is held, and nobody has it open. */
static void choose_mode(struct cache *cache, struct active_node *node, uint32_t mode)
{
	struct dw_host *host = cache->host;
	uint64_t size;

	node->mode_chosen = true;
	node->backing = 0;
	node->was_empty = content_stat(node->content, &size, NULL, NULL) == 0 && size == 0;
	if (mode & (DW_MODE_SETUID | DW_MODE_SETGID) || !host->backing_open || !content_is_whole(node->content))
		return;
	if (host->backing_open(host, content_fd(node->content), &node->backing))
		node->backing = 0;
}

/* The last handle is gone, or none could be made. node->lock is held. */
static void close_node(struct cache *cache, struct active_node *node, uint32_t backing)
{
	struct database_connection *connection;
	struct node_row row;

	node->mode_chosen = false;
	node->backing = 0;
	if (backing && cache->host->backing_close)
		cache->host->backing_close(cache->host, backing);
	if (node->content)
		content_put(node->content);
	node->content = NULL;
	node->stamped = false;
	if (!node->forgotten)
		return;
	connection = database_write(cache->database);
	if (nodes_read(connection, node->node, &row) == 0 && !row.parent && row.id != DW_NODE_ROOT)
		(void)operation_end(connection, nodes_delete(connection, cache, &row));
	else
		database_rollback(connection);
}

/* A handle that nobody was told of. node->lock is held. */
static void give_back(struct cache *cache, struct active_node *node, uint64_t handle)
{
	bool last;

	if (!active_release(cache, node, handle, &last))
		return;
	if (last)
		close_node(cache, node, node->backing);
	active_put(cache, node);
}

/* node->lock is held. -EAGAIN: the content that was found is not the node's any more. */
static int open_locked(struct cache *cache, const struct dw_request *req, struct active_node *node,
		       const struct node_row *row, uint64_t seen, uint32_t flags, struct dw_open *out)
{
	bool chosen = !node->mode_chosen;
	uint64_t handle;
	int ret = 0;

	if (!node->content && row->content)
		ret = content_get(cache->contents, row->content, &node->content);
	else if (!node->content)
		ret = opened_content(cache, node);
	if (!ret && chosen)
		choose_mode(cache, node, row->mode);
	if (!ret)
		ret = active_claim(cache, node, req, flags & ~DW_O_TRUNC, &handle);
	if (ret) {
		if (chosen)
			close_node(cache, node, node->backing);
		return ret;
	}
	/* From here on the node is seen open. */
	ret = opened_verify(cache, node, seen);
	if (!ret && flags & DW_O_TRUNC)
		ret = opened_truncate(cache, node, 0);
	else if (!ret && writes(flags))
		ret = opened_modify(cache, node);
	if (!ret) {
		answer_open(handle, flags, node->backing, out);
		if (writes(flags))
			sync_opened(cache->sync);
		return 0;
	}
	give_back(cache, node, handle);
	return ret;
}

int files_open_node(struct cache *cache, const struct dw_request *req, const struct node_row *row, uint64_t seen,
		    uint32_t flags, struct dw_open *out)
{
	struct node_row now = *row;
	struct active_node *node;
	uint64_t handle, known;
	int ret = active_get(cache, row->id, &node);

	if (ret)
		return ret;
	pthread_mutex_lock(&node->lock);
	if (req->flags & DW_REQUEST_REPLAYED && active_claimed(cache, req, &handle, &known) && known == row->id)
		give_back(cache, node, handle);
	for (unsigned tries = 0; tries < OPEN_TRIES; tries++) {
		ret = open_locked(cache, req, node, &now, seen, flags, out);
		if (ret != -EAGAIN)
			break;
		seen = atomic_load(&cache->replaced);
		ret = opened_read_row(cache, row->id, &now);
		if (ret)
			break;
		ret = -EAGAIN;
	}
	pthread_mutex_unlock(&node->lock);
	active_put(cache, node);
	return ret == -EAGAIN ? -ESTALE : ret;
}

int cache_open(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
	       struct dw_open *out)
{
	struct cache *cache = cache_of(fs);
	uint64_t seen = atomic_load(&cache->replaced);
	struct node_row row;
	int ret;

	/* Marking a content as changed here waits for the disk. */
	if (is_nowait(req) && (writes(flags) || flags & DW_O_TRUNC))
		return -EAGAIN;
	ret = opened_read_row(cache, node, &row);
	if (ret)
		return ret;
	if (node_is_folder(&row))
		return -EISDIR;
	if (!node_is_file(&row))
		return -ENXIO;
	if (writes(flags) || flags & DW_O_TRUNC)
		ret = entry_may(cache, &row, DW_REMOTE_MAY_WRITE);
	else if (!(row.rights & DW_REMOTE_MAY_READ))
		ret = -EACCES;
	if (!ret)
		ret = files_open_node(cache, req, &row, seen, flags, out);
	if (!ret && !writes(flags))
		ahead_opened(cache, &row);
	return ret;
}

void cache_release(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle)
{
	struct cache *cache = cache_of(fs);
	uint64_t *noted = &req->notes->word[NOTE_BACKING];
	struct active_node *active;
	uint32_t flags = 0;
	unsigned opens, writers;
	uint64_t of;
	bool last;

	active = active_handle(cache, handle, &of, &flags) == 0 && of == node ? active_find(cache, node) : NULL;
	if (!active) {
		if (req->flags & DW_REQUEST_REPLAYED && *noted && cache->host->backing_close)
			cache->host->backing_close(cache->host, (uint32_t)*noted);
		return;
	}
	pthread_mutex_lock(&active->lock);
	/* What cannot be stored now is found when the drive is mapped again. */
	if (writes(flags) && opened_settle(cache, active, NULL))
		cache_log(cache, 0, "the state of a file that was written could not be stored");
	active_counts(cache, node, &opens, &writers);
	if (writes(flags) && writers == 1)
		opened_idle(cache, active);
	*noted = opens == 1 ? active->backing : 0;
	if (active_release(cache, active, handle, &last)) {
		if (last)
			close_node(cache, active, active->backing);
		pthread_mutex_unlock(&active->lock);
		active_put(cache, active);
	} else {
		pthread_mutex_unlock(&active->lock);
	}
	active_put(cache, active);
}

/* --- reading and writing ------------------------------------------------------------------------------- */

/* The content of an open file, counted; *active too, put both. handle may be DW_NO_HANDLE. */
static int content_of(struct cache *cache, uint64_t node, struct active_node **active, struct content **out)
{
	int ret;

	*active = active_find(cache, node);
	if (!*active)
		return -EBADF;
	pthread_mutex_lock(&(*active)->lock);
	ret = opened_content(cache, *active);
	if (!ret)
		*out = content_again((*active)->content);
	pthread_mutex_unlock(&(*active)->lock);
	if (ret)
		active_put(cache, *active);
	return ret;
}

/* The same for one that will be changed. */
static int content_to_change(struct cache *cache, const struct dw_request *req, uint64_t node,
			     struct active_node **active, struct content **out)
{
	int ret = content_of(cache, node, active, out);

	if (ret)
		return ret;
	if (!content_is_local(*out)) {
		if (is_nowait(req)) {
			ret = -EAGAIN;
		} else {
			pthread_mutex_lock(&(*active)->lock);
			ret = opened_modify(cache, *active);
			pthread_mutex_unlock(&(*active)->lock);
		}
	}
	if (ret) {
		content_put(*out);
		active_put(cache, *active);
	}
	return ret;
}

int cache_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, void *buffer,
	       size_t size, uint64_t offset, size_t *done)
{
	struct cache *cache = cache_of(fs);
	struct active_node *active;
	struct content *content;
	int ret = content_of(cache, node, &active, &content);

	(void)handle;
	if (ret)
		return ret;
	ret = content_read(content, buffer, size, offset, is_nowait(req), req->interrupted, done);
	content_put(content);
	active_put(cache, active);
	return ret;
}

int cache_write(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *done)
{
	struct cache *cache = cache_of(fs);
	struct active_node *active;
	struct content *content;
	int ret;

	(void)handle;
	if (is_nowait(req) && size > INLINE_WRITE)
		return -EAGAIN;
	if (offset > INT64_MAX - size)
		return -EFBIG;
	ret = content_to_change(cache, req, node, &active, &content);
	if (ret)
		return ret;
	if (flags & DW_WRITE_KILL_PRIV)
		ret = opened_kill_privileges(cache, node);
	if (!ret)
		ret = content_write(content, buffer, size, offset, done);
	content_put(content);
	active_put(cache, active);
	return ret;
}

/* Make what is in the file durable. */
static int make_durable(struct cache *cache, struct active_node *active)
{
	int ret;

	pthread_mutex_lock(&active->lock);
	ret = opened_settle(cache, active, NULL);
	if (!ret)
		ret = content_sync(active->content);
	pthread_mutex_unlock(&active->lock);
	return ret ? ret : database_sync(cache->database);
}

int cache_flush(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, uint64_t owner)
{
	struct cache *cache = cache_of(fs);
	struct active_node *active;
	uint32_t flags;
	uint64_t of;
	int ret;

	(void)owner;
	if (active_handle(cache, handle, &of, &flags) || of != node || !writes(flags))
		return 0;
	if (is_nowait(req) && cache->options.sync)
		return -EAGAIN;
	active = active_find(cache, node);
	if (!active)
		return 0;
	if (cache->options.sync) {
		ret = make_durable(cache, active);
	} else {
		pthread_mutex_lock(&active->lock);
		ret = opened_settle(cache, active, NULL);
		pthread_mutex_unlock(&active->lock);
	}
	active_put(cache, active);
	return ret;
}

int cache_fsync(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, bool data_only)
{
	struct cache *cache = cache_of(fs);
	struct active_node *active;
	unsigned opens, writers;
	int ret;

	(void)handle;
	(void)data_only;
	if (is_nowait(req))
		return -EAGAIN;
	active_counts(cache, node, &opens, &writers);
	active = writers ? active_find(cache, node) : NULL;
	/* Whoever only reads has nothing here but names. */
	if (!active)
		return database_sync(cache->database);
	ret = make_durable(cache, active);
	active_put(cache, active);
	return ret;
}

int cache_fallocate(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		    uint64_t offset, uint64_t length, uint32_t flags)
{
	struct cache *cache = cache_of(fs);
	struct active_node *active;
	struct content *content;
	int ret;

	(void)handle;
	if (flags & ~(DW_FALLOCATE_KEEP_SIZE | DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return -EFBIG;
	if (is_nowait(req))
		return -EAGAIN;
	ret = content_to_change(cache, req, node, &active, &content);
	if (ret)
		return ret;
	if (req->uid != 0)
		ret = opened_kill_privileges(cache, node);
	if (!ret)
		ret = content_fallocate(content, offset, length, flags);
	content_put(content);
	active_put(cache, active);
	return ret;
}

int cache_copy_file_range(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node_in, uint64_t handle_in,
			  uint64_t offset_in, uint64_t node_out, uint64_t handle_out, uint64_t offset_out, size_t size,
			  size_t *done)
{
	struct cache *cache = cache_of(fs);
	struct active_node *active_in, *active_out;
	struct content *in, *out;
	int ret;

	(void)handle_in;
	(void)handle_out;
	if (is_nowait(req))
		return -EAGAIN;
	ret = content_of(cache, node_in, &active_in, &in);
	if (ret)
		return ret;
	ret = content_to_change(cache, req, node_out, &active_out, &out);
	if (!ret) {
		if (req->uid != 0)
			ret = opened_kill_privileges(cache, node_out);
		if (!ret)
			ret = content_copy(in, offset_in, out, offset_out, size, done);
		content_put(out);
		active_put(cache, active_out);
	}
	content_put(in);
	active_put(cache, active_in);
	/* Not all here: the kernel reads, which fetches, and writes. */
	return ret == -EAGAIN ? -EOPNOTSUPP : ret;
}

int cache_lseek(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, uint64_t offset,
		uint32_t whence, uint64_t *out)
{
	struct cache *cache = cache_of(fs);
	struct active_node *active;
	struct content *content;
	int ret;

	(void)req;
	(void)handle;
	if (whence != DW_SEEK_DATA && whence != DW_SEEK_HOLE)
		return -EINVAL;
	ret = content_of(cache, node, &active, &content);
	if (ret)
		return ret;
	ret = content_seek(content, offset, whence, out);
	content_put(content);
	active_put(cache, active);
	return ret;
}
