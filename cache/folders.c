/* SPDX-License-Identifier: MIT */
/*
 * folders.c - listing what is in a folder
 *
 * Entries come in the order of node ids, and the offset behind an entry is its node's id plus one: rows that a later
 * page brings have larger ids, so the first entries are shown while the others are still on their way, and an entry
 * that was there all the time is shown exactly once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/listing.h"
#include "cache/operations.h"

#define OFFSET 1u  /* what stands in an offset beside the id: it is never 0 */
#define BATCH  64u /* rows that are read in one go */

struct row_named {
	struct node_row row;
	char name[NODE_NAME_SIZE];
};

static int read_rows(struct cache *cache, uint64_t folder, uint64_t after, struct row_named *out)
{
	struct database_connection *connection = database_read(cache->database);
	uint64_t ids[BATCH];
	int count = nodes_children(connection, folder, after, ids, BATCH), ret = count;

	for (int i = 0; ret >= 0 && i < count; i++) {
		ret = nodes_read(connection, ids[i], &out[i].row);
		if (!ret)
			ret = nodes_name(connection, ids[i], out[i].name);
	}
	database_read_end(connection);
	return ret < 0 ? ret : count;
}

/* Put rows behind after into listing. 1: it is full; 0: there are no more; *after moves on. */
static int show_rows(struct cache *cache, uint64_t folder, uint64_t *after, struct dw_listing *listing, bool *any)
{
	struct row_named *rows = malloc(BATCH * sizeof(*rows));
	int count, ret = 0;

	if (!rows)
		return -ENOMEM;
	while (!ret && (count = read_rows(cache, folder, *after, rows)) != 0) {
		if (count < 0)
			ret = count;
		for (int i = 0; !ret && i < count; i++) {
			struct dw_entry entry = {.attr = {.mode = rows[i].row.mode, .ino = rows[i].row.id}};

			if (listing->attributes)
				ret = entry_of(cache, &rows[i].row, &entry);
			if (!ret &&
			    !listing->add(listing, rows[i].name, strlen(rows[i].name), rows[i].row.id + OFFSET, &entry))
				ret = 1;
			if (!ret) {
				*after = rows[i].row.id;
				*any = true;
			}
		}
	}
	free(rows);
	return ret;
}

/* Show rows as pages bring them. */
static int show_pages(struct cache *cache, const struct dw_request *req, const struct node_row *folder, uint64_t *after,
		      struct dw_listing *listing)
{
	uint64_t deadline = cache_clock() + cache->options.timeout, pages;
	/* Rows of an old listing may be gone: what is true is known at the end. */
	bool ended = false, any = false, early = folder->listed == 0;
	struct listing *lister;
	int error = 0, ret;

	ret = listing_get(cache, folder->id, &lister);
	if (ret)
		return ret;
	for (;;) {
		pages = listing_pages(cache, lister, &ended, &error);
		if (ended && error) {
			ret = any ? 0 : cache_errno(error);
			break;
		}
		ret = ended || early ? show_rows(cache, folder->id, after, listing, &any) : 0;
		if (ret || ended || any)
			break;
		ret = listing_wait(cache, lister, early ? pages : UINT64_MAX, deadline, req->interrupted);
		if (ret)
			break;
	}
	listing_put(cache, lister);
	return ret < 0 ? ret : 0;
}

int cache_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  uint64_t offset, struct dw_listing *listing)
{
	struct cache *cache = cache_of(fs);
	struct database_connection *connection = database_read(cache->database);
	uint64_t after = offset ? offset - OFFSET : 0;
	struct node_row folder;
	bool any = false;
	int ret = nodes_read(connection, node, &folder);

	(void)handle;
	database_read_end(connection);
	if (ret)
		return ret == -ENOENT ? -ESTALE : ret;
	if (!node_is_folder(&folder))
		return -ENOTDIR;
	if (!listing_needed(cache, &folder))
		ret = show_rows(cache, node, &after, listing, &any);
	else if (is_nowait(req))
		return -EAGAIN;
	else
		ret = show_pages(cache, req, &folder, &after, listing);
	if (ret >= 0 && !offset)
		listing_walk(cache, &folder);
	return ret < 0 ? ret : 0;
}

int cache_opendir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_open *out)
{
	(void)fs;
	(void)req;
	(void)node;
	/* Nobody tells when what is in it changes: the kernel asks each time. */
	*out = (struct dw_open){.handle = 0};
	return 0;
}

int cache_fsyncdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   bool data_only)
{
	(void)node;
	(void)handle;
	(void)data_only;
	return is_nowait(req) ? -EAGAIN : database_sync(cache_of(fs)->database);
}
