/* SPDX-License-Identifier: MIT */
#include "cache/content_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/fetch.h"
#include "support/text.h"

#define REST_MOST	 4096u
#define PATH_SIZE	 32 /* XX/ID */
#define DEFAULT_PARALLEL 8
#define MAXIMUM_PARALLEL 32
#define DEFAULT_RANGE	 (1ull << 20)

uint64_t content_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void content_log(struct content_store *store, int level, const char *format, ...)
{
	char line[512];
	va_list arguments;

	if (!store->config.log)
		return;
	va_start(arguments, format);
	(void)vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	store->config.log(store->config.context, level, line);
}

bool content_is_missing(const struct content *content, uint64_t start, uint64_t stop)
{
	uint64_t from, to;

	if (stop > content->size)
		stop = content->size;
	return start < stop && !content->whole && content_map_missing(&content->map, start, stop, &from, &to);
}

/* --- files ------------------------------------------------------------------------------------------------ */

static void file_path(uint64_t id, char path[PATH_SIZE])
{
	(void)text_format(path, PATH_SIZE, "%02x/%llx", (unsigned)(id & 0xff), (unsigned long long)id);
}

int content_open_file(struct content_store *store, uint64_t id, int flags, int *fd)
{
	char path[PATH_SIZE], folder[PATH_SIZE];

	file_path(id, path);
	*fd = openat(store->folder_fd, path, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0 && errno == ENOENT && (flags & O_CREAT)) {
		(void)text_format(folder, sizeof(folder), "%02x", (unsigned)(id & 0xff));
		if (mkdirat(store->folder_fd, folder, 0700) && errno != EEXIST)
			return -errno;
		*fd = openat(store->folder_fd, path, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	return *fd < 0 ? -errno : 0;
}

void content_unlink_file(struct content_store *store, uint64_t id)
{
	char path[PATH_SIZE];

	file_path(id, path);
	if (unlinkat(store->folder_fd, path, 0) && errno != ENOENT)
		content_log(store, 1, "the content file %s cannot be deleted: %s", path, strerrordesc_np(errno));
}

/* --- the table ---------------------------------------------------------------------------------------------- */

static struct content **bucket(struct content_store *store, uint64_t id)
{
	return &store->buckets[id % CONTENT_BUCKETS];
}

static struct content *find(struct content_store *store, uint64_t id)
{
	struct content *content = *bucket(store, id);

	while (content && content->id != id)
		content = content->next;
	return content;
}

/* --- those that rest, all under store.lock --- */

static void wake(struct content *content)
{
	struct content_store *store = content->store;

	*(content->earlier ? &content->earlier->later : &store->rest_first) = content->later;
	*(content->later ? &content->later->earlier : &store->rest_last) = content->earlier;
	content->earlier = content->later = NULL;
	store->rest_count--;
}

static void lay_to_rest(struct content *content)
{
	struct content_store *store = content->store;

	content->later = NULL;
	content->earlier = store->rest_last;
	*(store->rest_last ? &store->rest_last->later : &store->rest_first) = content;
	store->rest_last = content;
	store->rest_count++;
}

static void count_once(struct content *content)
{
	if (content->count++ == 0)
		wake(content);
}

/* Take one that nobody counts out of the table; leave is the caller's, without the lock. */
static void take_out(struct content *content)
{
	struct content **at = bucket(content->store, content->id);

	while (*at != content)
		at = &(*at)->next;
	*at = content->next;
	content->next = NULL;
	content->store->departures[content->id % CONTENT_BUCKETS]++;
}

/* store.lock is held. */
static bool is_leaving(const struct content_store *store, uint64_t id)
{
	for (size_t i = 0; i < store->leaving_count; i++) {
		if (store->leaving[i] == id)
			return true;
	}
	return false;
}

size_t content_begin_leaving(struct content_store *store, uint64_t *ids, size_t count)
{
	struct content *rested = NULL;
	size_t kept = 0;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < count; i++) {
		struct content *content = find(store, ids[i]);

		if (content && content->count)
			continue;
		if (content) {
			wake(content);
			take_out(content);
			content->next = rested;
			rested = content;
		}
		ids[kept] = ids[i];
		store->leaving[kept++] = ids[i];
	}
	store->leaving_count = kept;
	pthread_mutex_unlock(&store->lock);
	while (rested) {
		struct content *next = rested->next;

		content_free(rested);
		rested = next;
	}
	return kept;
}

void content_have_left(struct content_store *store)
{
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < store->leaving_count; i++)
		store->departures[store->leaving[i] % CONTENT_BUCKETS]++;
	store->leaving_count = 0;
	pthread_cond_broadcast(&store->left);
	pthread_mutex_unlock(&store->lock);
}

struct content *content_new(struct content_store *store, uint64_t id)
{
	struct content *content = calloc(1, sizeof(*content));
	pthread_condattr_t monotonic;

	if (!content)
		return NULL;
	content->store = store;
	content->id = id;
	content->fd = -1;
	pthread_mutex_init(&content->io, NULL);
	pthread_mutex_init(&content->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&content->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return content;
}

void content_free(struct content *content)
{
	if (content->fd >= 0)
		close(content->fd);
	content_map_free(&content->map);
	free(content->remote);
	free(content->version);
	pthread_cond_destroy(&content->changed);
	pthread_mutex_destroy(&content->lock);
	pthread_mutex_destroy(&content->io);
	free(content);
}

/* store.lock is held. */
static void enter(struct content *content)
{
	struct content **first = bucket(content->store, content->id);

	content->count = content->users = 1;
	content->next = *first;
	*first = content;
}

void content_enter(struct content *content)
{
	pthread_mutex_lock(&content->store->lock);
	enter(content);
	pthread_mutex_unlock(&content->store->lock);
}

void content_hold(struct content *content)
{
	pthread_mutex_lock(&content->store->lock);
	count_once(content);
	pthread_mutex_unlock(&content->store->lock);
}

/* Nobody counts it, and it is in no table any more. */
static void leave(struct content *content)
{
	struct content_store *store = content->store;

	if (content->deleted)
		tidy_delete(store, content->id, content->bytes, content->clean);
	else if (content->used_changed)
		tidy_used(store, content->id, content->used, content->bytes);
	tidy_grown(store);
	content_free(content);
}

void content_drop(struct content *content)
{
	struct content_store *store = content->store;
	struct content *goes = NULL;
	uint64_t id = content->id, used = 0, bytes = 0;
	bool tell = false;

	pthread_mutex_lock(&store->lock);
	if (--content->count == 0) {
		if (content->deleted || store->rest_most == 0) {
			goes = content;
		} else {
			/* Its row must know what it takes on disk: it may be evicted while it rests. */
			tell = content->used_changed;
			used = content->used;
			bytes = content->bytes;
			content->used_changed = false;
			lay_to_rest(content);
			if (store->rest_count > store->rest_most) {
				goes = store->rest_first;
				wake(goes);
			}
		}
		if (goes)
			take_out(goes);
	}
	pthread_mutex_unlock(&store->lock);
	if (tell)
		tidy_used(store, id, used, bytes);
	if (goes)
		leave(goes);
}

bool content_mark_deleted(struct content_store *store, uint64_t id)
{
	struct content *content;
	bool rested = false;

	pthread_mutex_lock(&store->lock);
	content = find(store, id);
	if (content) {
		content->deleted = true;
		rested = content->count == 0;
		if (rested) {
			wake(content);
			take_out(content);
		}
	}
	pthread_mutex_unlock(&store->lock);
	if (rested)
		leave(content);
	return content != NULL;
}

struct content **content_all(struct content_store *store)
{
	struct content **all;
	size_t count = 0;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < CONTENT_BUCKETS; i++) {
		for (struct content *content = store->buckets[i]; content; content = content->next)
			count++;
	}
	all = calloc(count + 1, sizeof(void *));
	count = 0;
	for (size_t i = 0; all && i < CONTENT_BUCKETS; i++) {
		for (struct content *content = store->buckets[i]; content; content = content->next) {
			count_once(content);
			all[count++] = content;
		}
	}
	pthread_mutex_unlock(&store->lock);
	return all;
}

void content_count_bytes(struct content *content)
{
	struct content_store *store = content->store;
	struct stat found;
	uint64_t bytes, clean;

	if (fstat(content->fd, &found))
		return;
	bytes = (uint64_t)found.st_blocks * 512;
	clean = content->local ? 0 : bytes;
	atomic_fetch_add(&store->bytes, bytes - content->bytes);
	atomic_fetch_add(&store->clean, clean - content->clean);
	content->used_changed = content->used_changed || bytes != content->bytes;
	content->bytes = bytes;
	content->clean = clean;
}

/* Open the file of a content whose row was read, and bring both in line. */
static int open_loaded(struct content *content)
{
	struct content_store *store = content->store;
	struct stat found;
	int ret;

	ret = content_open_file(store, content->id, 0, &content->fd);
	if (ret == -ENOENT && (!content->local || content->boot == CONTENT_TORN)) {
		/* Evicted, or its name was lost with the machine: begin anew. */
		content_map_clear(&content->map);
		content->whole = content->local || content->size == 0;
		content->trusted = false;
		ret = content_open_file(store, content->id, O_CREAT, &content->fd);
	}
	if (ret)
		return ret == -ENOENT ? -EIO : ret;
	if (fstat(content->fd, &found))
		return -errno;
	if (!S_ISREG(found.st_mode))
		return -EIO;
	if (!content->local && (uint64_t)found.st_size != content->size)
		return ftruncate(content->fd, (off_t)content->size) ? -errno : 0;
	/* The process died between a cut and its row. */
	if (content->local && !content->whole && (uint64_t)found.st_size < content->size)
		return content_map_add(&content->map, (uint64_t)found.st_size, content->size,
				       atomic_load(&store->epoch));
	return 0;
}

static int load(struct content_store *store, uint64_t id, uint64_t departures, struct content **out)
{
	struct content *content = content_new(store, id), *other;
	int ret;

	if (!content)
		return -ENOMEM;
	ret = content_row_load(content);
	if (!ret)
		ret = open_loaded(content);
	if (ret) {
		content_free(content);
		return ret;
	}
	pthread_mutex_lock(&store->lock);
	/* What was read above may be old when it was evicted, or got by another and let go, meanwhile. */
	other = find(store, id);
	if (is_leaving(store, id) || store->departures[id % CONTENT_BUCKETS] != departures) {
		other = NULL;
		ret = -EAGAIN;
	} else if (other) {
		count_once(other);
		other->users++;
	} else {
		enter(content);
	}
	pthread_mutex_unlock(&store->lock);
	*out = other ? other : content;
	if (ret || other)
		content_free(content);
	return ret;
}

int content_get(struct content_store *store, uint64_t id, struct content **out)
{
	struct content *content;
	uint64_t departures;
	int ret;

	do {
		pthread_mutex_lock(&store->lock);
		while (is_leaving(store, id))
			pthread_cond_wait(&store->left, &store->lock);
		departures = store->departures[id % CONTENT_BUCKETS];
		content = find(store, id);
		if (content) {
			count_once(content);
			content->users++;
		}
		pthread_mutex_unlock(&store->lock);
		if (content) {
			*out = content;
			return 0;
		}
		ret = load(store, id, departures, out);
	} while (ret == -EAGAIN);
	return ret;
}

void content_store_numbers(struct content_store *store, struct content_numbers *out)
{
	out->bytes = atomic_load(&store->bytes);
	out->fetching = fetch_pending(store);
	out->fetched = atomic_load(&store->fetched);
	out->evicted = atomic_load(&store->evicted);
}

/* --- opening ------------------------------------------------------------------------------------------------- */

static int run(struct database_connection *connection, const char *text)
{
	return database_run(connection, database_statement(connection, text));
}

static int this_boot(const struct content_store *store, char boot[64])
{
	ssize_t got;
	int fd;

	if (store->config.boot)
		return text_copy(boot, 64, store->config.boot) ? 0 : -EINVAL;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, boot, 63);
	close(fd);
	if (got <= 0)
		return -EIO;
	boot[got] = '\0';
	boot[strcspn(boot, "\n")] = '\0';
	return 0;
}

/* The machine was started anew: what was not synced is not believed. */
static int forget_unsynced(struct database_connection *connection)
{
	int ret = run(connection, "UPDATE content SET whole = 0 WHERE id IN"
				  " (SELECT content FROM extent WHERE boot != 0) AND size > 0");

	if (!ret)
		ret = run(connection, "DELETE FROM extent WHERE boot != 0");
	if (!ret)
		ret = run(connection, "UPDATE content SET boot = iif(local, 2, 0) WHERE boot != 0");
	return ret;
}

static int number(struct database_connection *connection, const char *text, uint64_t *out)
{
	sqlite3_stmt *row = database_statement(connection, text);
	int ret = database_step(connection, row);

	*out = ret > 0 ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
	if (row)
		sqlite3_reset(row);
	return ret < 0 ? ret : 0;
}

/* Brings the rows in order. *clean: the store was closed in good order when it was last used. */
static int prepare_rows(struct content_store *store, bool *clean, bool *fresh)
{
	struct database_connection *connection = database_write(store->config.database);
	char boot[64], before[64];
	uint64_t next = 0, bytes = 0, evictable = 0, waiting = 0;
	int64_t closed = 0;
	int ret;

	ret = this_boot(store, boot);
	if (!ret)
		ret = database_get_text(connection, "boot", before, sizeof(before));
	if (!ret)
		ret = database_get_number(connection, "contents_closed", &closed);
	if (ret)
		goto out;
	*clean = closed != 0 && !strcmp(boot, before);
	if (strcmp(boot, before) != 0)
		ret = forget_unsynced(connection);
	else
		ret = run(connection, "UPDATE extent SET boot = 1 WHERE boot > 1");
	if (!ret && !*clean)
		ret = run(connection, "DELETE FROM content WHERE id NOT IN"
				      " (SELECT content FROM node WHERE content IS NOT NULL)");
	if (!ret && !*clean)
		ret = run(connection, "DELETE FROM extent WHERE content NOT IN (SELECT id FROM content)");
	if (!ret)
		ret = database_set_text(connection, "boot", boot);
	if (!ret)
		ret = database_set_number(connection, "contents_closed", 0);
	if (!ret)
		ret = number(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'content'", &next);
	if (!ret)
		ret = number(connection, "SELECT sum(bytes) FROM content", &bytes);
	if (!ret)
		ret = number(connection, "SELECT sum(bytes) FROM content WHERE local = 0", &evictable);
	if (!ret)
		ret = number(connection, "SELECT EXISTS (SELECT 1 FROM extent WHERE boot != 0)", &waiting);
	atomic_init(&store->next_id, next + 1);
	atomic_init(&store->bytes, bytes);
	atomic_init(&store->clean, evictable);
	*fresh = waiting != 0;
out:
	if (ret) {
		database_rollback(connection);
		return ret;
	}
	return database_commit(connection);
}

/* A file without a row is left over. */
static int clean_file(struct content_store *store, struct database_connection *connection, int folder, const char *name)
{
	sqlite3_stmt *row;
	char *end;
	uint64_t id = strtoull(name, &end, 16);
	int ret = 0;

	if (name[0] == '.')
		return 0;
	if (*name && !*end && id <= INT64_MAX) {
		row = database_statement(connection, "SELECT 1 FROM content WHERE id = ?");
		if (row)
			sqlite3_bind_int64(row, 1, (int64_t)id);
		ret = database_step(connection, row);
	}
	if (ret == 0 && unlinkat(folder, name, 0) && errno != ENOENT)
		content_log(store, 1, "the left over file %s cannot be deleted: %s", name, strerrordesc_np(errno));
	return ret < 0 ? ret : 0;
}

static int clean_folder(struct content_store *store, struct database_connection *connection, const char *name)
{
	int fd = openat(store->folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *entry;
	DIR *folder;
	int ret = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	folder = fdopendir(fd);
	if (!folder) {
		ret = -errno;
		close(fd);
		return ret;
	}
	while (!ret && (entry = readdir(folder)) != NULL)
		ret = clean_file(store, connection, dirfd(folder), entry->d_name);
	closedir(folder);
	return ret;
}

static int clean_files(struct content_store *store)
{
	struct database_connection *connection = database_read(store->config.database);
	char name[3];
	int ret = 0;

	for (unsigned i = 0; i < 256 && !ret; i++) {
		(void)text_format(name, sizeof(name), "%02x", i);
		ret = clean_folder(store, connection, name);
	}
	database_read_end(connection);
	return ret;
}

static uint64_t clamp(uint64_t value, uint64_t standard, uint64_t maximum)
{
	if (value == 0)
		value = standard;
	return value > maximum ? maximum : value;
}

/* How many contents may rest with their files open. */
static unsigned descriptors_to_spare(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	return limit.rlim_cur / 4 < REST_MOST ? (unsigned)(limit.rlim_cur / 4) : REST_MOST;
}

int content_store_open(struct content_store **out, const struct content_config *config)
{
	struct content_store *store = calloc(1, sizeof(*store));
	bool clean = false, fresh = false;
	int ret = 0;

	if (!store)
		return -ENOMEM;
	store->config = *config;
	store->rest_most = descriptors_to_spare();
	store->parallel = clamp(config->remote->read_parallel, DEFAULT_PARALLEL, MAXIMUM_PARALLEL);
	store->range = clamp(config->remote->read_range, DEFAULT_RANGE, 8 * DEFAULT_RANGE);
	atomic_init(&store->epoch, 2); /* 1: fresh ranges of earlier processes */
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->left, NULL);
	if (mkdirat(config->folder_fd, "content", 0700) && errno != EEXIST)
		ret = -errno;
	store->folder_fd = openat(config->folder_fd, "content", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (!ret && store->folder_fd < 0)
		ret = -errno;
	if (!ret)
		ret = prepare_rows(store, &clean, &fresh);
	if (!ret && !clean)
		ret = clean_files(store);
	if (!ret)
		ret = tidy_start(store);
	if (!ret)
		ret = fetch_start(store);
	if (ret) {
		content_store_close(store);
		return ret;
	}
	if (fresh)
		tidy_fresh(store);
	tidy_grown(store);
	*out = store;
	return 0;
}

/* Nobody has anything got any more, and the table goes. */
static void end_rest(struct content_store *store)
{
	struct content *content = store->rest_first;

	while (content) {
		struct content *later = content->later;

		content_free(content);
		content = later;
	}
}

void content_store_close(struct content_store *store)
{
	struct database_connection *connection;

	if (store->fetch) {
		fetch_stop(store);
		tidy_stop(store);
		connection = database_write(store->config.database);
		if (database_set_number(connection, "contents_closed", !atomic_load(&store->untidy)))
			database_rollback(connection);
		else
			(void)database_commit(connection);
	} else if (store->tidy) {
		tidy_stop(store);
	}
	end_rest(store);
	if (store->folder_fd >= 0)
		close(store->folder_fd);
	pthread_cond_destroy(&store->left);
	pthread_mutex_destroy(&store->lock);
	free(store);
}
