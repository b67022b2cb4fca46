/* SPDX-License-Identifier: MIT */
#include "cache/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/content_store.h"
#include "cache/fetch.h"
#include "support/text.h"

static uint64_t seconds_now(void)
{
	return (uint64_t)time(NULL);
}

/* --- made and expected --------------------------------------------------------------------------------------- */

/* Make the file and the row of a content that is filled in, and enter it. */
static int begin(struct content *content, struct database_connection *connection, struct content **out)
{
	int ret = content_open_file(content->store, content->id, O_CREAT | O_EXCL, &content->fd);

	if (ret)
		goto failed;
	if (content->size > 0 && ftruncate(content->fd, (off_t)content->size))
		ret = -errno;
	if (!ret)
		ret = content_row_insert(connection, content);
	if (ret) {
		content_unlink_file(content->store, content->id);
		goto failed;
	}
	content_enter(content);
	*out = content;
	return 0;
failed:
	content_free(content);
	return ret;
}

static struct content *new_content(struct content_store *store)
{
	struct content *content = content_new(store, atomic_fetch_add(&store->next_id, 1));

	if (content)
		content->used = seconds_now();
	return content;
}

int content_make(struct content_store *store, struct database_connection *connection, struct content **out)
{
	struct content *content = new_content(store);

	if (!content)
		return -ENOMEM;
	content->local = true;
	content->whole = true;
	content->boot = CONTENT_UNSYNCED;
	return begin(content, connection, out);
}

int content_expect(struct content_store *store, struct database_connection *connection,
		   const struct content_origin *origin, struct content **out)
{
	struct content *content;

	if (origin->size > INT64_MAX)
		return -EFBIG;
	content = new_content(store);
	if (!content)
		return -ENOMEM;
	content->remote = text_duplicate(origin->remote);
	content->version = text_duplicate(origin->version);
	if (!content->remote || !content->version) {
		content_free(content);
		return -ENOMEM;
	}
	content->size = origin->size;
	content->whole = origin->size == 0;
	if (origin->digest && origin->digest_length <= CONTENT_DIGEST_MAX) {
		memcpy(content->digest, origin->digest, origin->digest_length);
		content->digest_length = origin->digest_length;
	}
	return begin(content, connection, out);
}

/* --- counted --------------------------------------------------------------------------------------------------- */

struct content *content_again(struct content *content)
{
	pthread_mutex_lock(&content->store->lock);
	content->count++;
	content->users++;
	pthread_mutex_unlock(&content->store->lock);
	return content;
}

void content_put(struct content *content)
{
	struct content_store *store = content->store;
	bool last;

	pthread_mutex_lock(&store->lock);
	last = --content->users == 0;
	pthread_mutex_unlock(&store->lock);
	if (last) {
		fetch_abandon(content);
		pthread_mutex_lock(&content->lock);
		/* What is whole and the server's takes what it took when that was found. */
		if (content->local || !content->whole || content->bytes == 0)
			content_count_bytes(content);
		pthread_mutex_unlock(&content->lock);
	}
	content_drop(content);
}

uint64_t content_id(const struct content *content)
{
	return content->id;
}

void content_delete(struct content_store *store, struct database_connection *connection, uint64_t id)
{
	uint64_t bytes = 0, clean = 0;

	if (content_row_delete(connection, id, &bytes, &clean))
		return; /* the transaction has failed, as its owner will see */
	if (!content_mark_deleted(store, id))
		tidy_delete(store, id, bytes, clean);
}

void content_discard(struct content *content)
{
	(void)content_mark_deleted(content->store, content->id);
}

/* --- what it is ------------------------------------------------------------------------------------------------- */

int content_stat(struct content *content, uint64_t *size, struct dw_time *modified, uint64_t *allocated)
{
	struct stat found;

	if (fstat(content->fd, &found))
		return -errno;
	if (size)
		*size = (uint64_t)found.st_size;
	if (modified)
		*modified = (struct dw_time){.seconds = found.st_mtim.tv_sec,
					     .nanoseconds = (uint32_t)found.st_mtim.tv_nsec};
	if (allocated)
		*allocated = (uint64_t)found.st_blocks * 512;
	return 0;
}

bool content_is_whole(struct content *content)
{
	bool whole;

	pthread_mutex_lock(&content->lock);
	whole = content->whole;
	pthread_mutex_unlock(&content->lock);
	return whole;
}

bool content_is_local(struct content *content)
{
	bool local;

	pthread_mutex_lock(&content->lock);
	local = content->local;
	pthread_mutex_unlock(&content->lock);
	return local;
}

bool content_has_origin(struct content *content)
{
	bool has;

	pthread_mutex_lock(&content->lock);
	has = content->remote != NULL;
	pthread_mutex_unlock(&content->lock);
	return has;
}

bool content_is_torn(struct content *content)
{
	bool torn;

	pthread_mutex_lock(&content->lock);
	torn = content->local && content->boot == CONTENT_TORN;
	pthread_mutex_unlock(&content->lock);
	return torn;
}

uint64_t content_present(struct content *content)
{
	uint64_t size = 0, present, missing;

	if (content_stat(content, &size, NULL, NULL))
		return 0;
	pthread_mutex_lock(&content->lock);
	present = content->whole ? content->size : content_map_bytes(&content->map);
	missing = content->size - present;
	pthread_mutex_unlock(&content->lock);
	return size > missing ? size - missing : 0;
}

int content_fd(struct content *content)
{
	return content_is_whole(content) ? content->fd : -EAGAIN;
}

/* --- local or not ------------------------------------------------------------------------------------------------- */

/* Write the mark into the row, and make it durable. */
static int mark(struct content *content, bool local, int boot, bool durable)
{
	struct database *database = content->store->config.database;
	struct database_connection *connection = database_write(database);
	int ret = content_row_mark(connection, content->id, local, boot);

	if (ret) {
		database_rollback(connection);
		return ret;
	}
	ret = database_commit(connection);
	return ret || !durable ? ret : database_sync(database);
}

static void set_local(struct content *content, bool local, int boot)
{
	pthread_mutex_lock(&content->lock);
	content->local = local;
	content->boot = boot;
	content_count_bytes(content);
	pthread_mutex_unlock(&content->lock);
}

int content_modify(struct content *content)
{
	bool local, trusted;
	int ret = 0;

	if (content_is_local(content))
		return 0;
	/* The io lock keeps out others who modify, and what arrives meanwhile. */
	pthread_mutex_lock(&content->io);
	pthread_mutex_lock(&content->lock);
	/* A digest that is being computed would not fit what is written. */
	while (content->checking)
		pthread_cond_wait(&content->changed, &content->lock);
	if (!content->whole && !content_is_missing(content, 0, content->size))
		ret = content_check(content);
	if (ret == -EIO && content->map.count == 0)
		ret = 0; /* it did not fit, and is missing again */
	local = content->local;
	trusted = content->trusted;
	pthread_mutex_unlock(&content->lock);
	if (!ret && !local) {
		ret = mark(content, true, CONTENT_UNSYNCED, trusted);
		if (!ret)
			set_local(content, true, CONTENT_UNSYNCED);
	}
	pthread_mutex_unlock(&content->io);
	return ret;
}

int content_unmodify(struct content *content)
{
	uint64_t size;
	int ret = content_stat(content, &size, NULL, NULL);

	if (ret)
		return ret;
	pthread_mutex_lock(&content->io);
	if (!content->remote || size != content->size)
		ret = -EINVAL;
	else if (content_is_local(content))
		ret = mark(content, false, CONTENT_SYNCED, false);
	if (!ret)
		set_local(content, false, CONTENT_SYNCED);
	pthread_mutex_unlock(&content->io);
	return ret;
}

int content_stamp(struct content *content, struct content_stamp *out)
{
	struct stat found;

	pthread_mutex_lock(&content->lock);
	out->writes = content->writes;
	pthread_mutex_unlock(&content->lock);
	if (fstat(content->fd, &found))
		return -errno;
	out->size = (uint64_t)found.st_size;
	out->modified.seconds = found.st_mtim.tv_sec;
	out->modified.nanoseconds = (uint32_t)found.st_mtim.tv_nsec;
	out->changed.seconds = found.st_ctim.tv_sec;
	out->changed.nanoseconds = (uint32_t)found.st_ctim.tv_nsec;
	return 0;
}

/* content.lock is held. */
static bool is_unchanged(const struct content *content, const struct content_stamp *stamp)
{
	struct stat found;

	return content->writes == stamp->writes && fstat(content->fd, &found) == 0 &&
	       (uint64_t)found.st_size == stamp->size && found.st_mtim.tv_sec == stamp->modified.seconds &&
	       (uint32_t)found.st_mtim.tv_nsec == stamp->modified.nanoseconds &&
	       found.st_ctim.tv_sec == stamp->changed.seconds &&
	       (uint32_t)found.st_ctim.tv_nsec == stamp->changed.nanoseconds;
}

/* Take over what the origin says. content.lock is held. -ENOMEM: nothing has changed. */
static int take_origin(struct content *content, const struct content_origin *origin, uint64_t epoch)
{
	struct content_map map = {0};
	char *remote = text_duplicate(origin->remote), *version = text_duplicate(origin->version);
	int ret = remote && version ? content_map_add(&map, 0, origin->size, epoch) : -ENOMEM;

	if (ret) {
		free(remote);
		free(version);
		content_map_free(&map);
		return ret;
	}
	free(content->remote);
	free(content->version);
	content_map_free(&content->map);
	content->remote = remote;
	content->version = version;
	content->map = map;
	content_map_touch(&content->map, 0, UINT64_MAX);
	content->size = origin->size;
	content->digest_length = 0;
	if (origin->digest && origin->digest_length <= CONTENT_DIGEST_MAX) {
		memcpy(content->digest, origin->digest, origin->digest_length);
		content->digest_length = origin->digest_length;
	}
	return 0;
}

bool content_settle(struct content *content, struct database_connection *connection,
		    const struct content_origin *origin, const struct content_stamp *stamp)
{
	bool unchanged;

	pthread_mutex_lock(&content->lock);
	/* What was uploaded was all here. What may not be on disk yet can be fetched again now, unless it stays local:
	 * then it holds what only the disk has. */
	unchanged = is_unchanged(content, stamp) && stamp->size == origin->size;
	if (!content->whole || origin->size > INT64_MAX ||
	    take_origin(content, origin, unchanged ? atomic_load(&content->store->epoch) : 0)) {
		pthread_mutex_unlock(&content->lock);
		return false;
	}
	if (unchanged) {
		content->local = false;
		content->boot = CONTENT_SYNCED;
	}
	content_count_bytes(content);
	pthread_mutex_unlock(&content->lock);

	/* Who modifies it from here on waits for this transaction. */
	if (!content_row_settle(connection, content, !unchanged))
		(void)content_row_save(connection, content);
	return unchanged;
}
