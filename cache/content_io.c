/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "cache/content_store.h"
#include "cache/fetch.h"
#include "support/text.h"

#define COPY_PIECE (256u << 10)
#define LOOK_EVERY 64	      /* changes between looks at how full the disk is */
#define REPEAT	   200000000u /* nanoseconds in which a read that failed may be asked for once more */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static int read_file(struct content *content, char *buffer, size_t size, uint64_t offset, bool nowait, size_t *done)
{
	int how = nowait ? RWF_NOWAIT : 0;
	size_t total = 0;

	while (total < size) {
		struct iovec piece = {.iov_base = buffer + total, .iov_len = size - total};
		ssize_t got = preadv2(content->fd, &piece, 1, (off_t)(offset + total), how);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EOPNOTSUPP && how)
			return -EAGAIN;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		total += (size_t)got;
	}
	*done = total;
	return 0;
}

/* content.lock is held. */
static void note_use(struct content *content)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (content->used == (uint64_t)now.tv_sec)
		return;
	content->used = (uint64_t)now.tv_sec;
	content->used_changed = true;
}

/*
 * Wait for [offset, stop). The kernel asks for a page once more at once when reading it ahead failed: who has waited
 * for as long as the drive promises does not wait a second time for that. content.lock is held.
 */
static int wait_for(struct content *content, uint64_t offset, uint64_t stop, const volatile uint32_t *interrupted)
{
	uint64_t now = content_clock(), timeout = content->store->config.timeout;
	bool jump = fetch_ahead(content, offset, stop);
	int ret;

	if (content->in_vain && now - content->in_vain < REPEAT && !fetch_is_here(content, offset, stop))
		return -EIO;
	ret = fetch_wait(content, offset, stop, now + timeout, jump, interrupted, NULL);
	if (ret == -ETIMEDOUT)
		ret = -EIO;
	if (ret == -EIO && content_clock() - now >= timeout / 2)
		content->in_vain = content_clock();
	return ret;
}

/* Have [offset, stop) of the version here. content.lock is held. */
static int have(struct content *content, uint64_t offset, uint64_t stop, bool nowait,
		const volatile uint32_t *interrupted)
{
	if (offset >= stop)
		return 0;
	if (!nowait)
		return wait_for(content, offset, stop, interrupted);
	if (!fetch_is_here(content, offset, stop))
		return -EAGAIN;
	(void)fetch_ahead(content, offset, stop);
	return 0;
}

int content_read(struct content *content, void *buffer, size_t size, uint64_t offset, bool nowait,
		 const volatile uint32_t *interrupted, size_t *done)
{
	int ret = 0;

	*done = 0;
	if (offset > INT64_MAX)
		return 0;
	size = (size_t)least(size, INT64_MAX - offset);
	pthread_mutex_lock(&content->lock);
	note_use(content);
	if (!content->whole)
		ret = have(content, offset, least(offset + size, content->size), nowait, interrupted);
	pthread_mutex_unlock(&content->lock);
	return ret ? ret : read_file(content, buffer, size, offset, nowait, done);
}

int content_complete(struct content *content, uint64_t deadline, const volatile uint32_t *cancelled)
{
	int ret;

	pthread_mutex_lock(&content->lock);
	ret = fetch_wait(content, 0, 0, deadline, false, NULL, cancelled);
	pthread_mutex_unlock(&content->lock);
	return ret;
}

/* --- changing ---------------------------------------------------------------------------------------------------- */

/*
 * A change of [offset, stop): while one is under way, content_settle cannot make the content the server's. With
 * something missing in the range it is made under the io lock, so that what arrives does not come on top of it; *locked
 * says so.
 */
static int change_begin(struct content *content, uint64_t offset, uint64_t stop, bool *locked)
{
	bool look;
	int ret;

	*locked = false;
	pthread_mutex_lock(&content->lock);
	while (!content->local || (!*locked && content_is_missing(content, offset, stop))) {
		bool local = content->local;

		pthread_mutex_unlock(&content->lock);
		if (local) {
			pthread_mutex_lock(&content->io);
			*locked = true;
		} else {
			if (*locked)
				pthread_mutex_unlock(&content->io);
			*locked = false;
			ret = content_modify(content);
			if (ret)
				return ret;
		}
		pthread_mutex_lock(&content->lock);
	}
	look = content->writes++ % LOOK_EVERY == 0;
	pthread_mutex_unlock(&content->lock);
	if (look)
		tidy_grown(content->store);
	return 0;
}

/* The bytes of [offset, stop) are in the file: they are not missing any more, also for the next process. */
static int change_end(struct content *content, uint64_t offset, uint64_t stop, bool locked, int ret)
{
	if (!locked)
		return ret;
	if (!ret) {
		pthread_mutex_lock(&content->lock);
		ret = content_map_add(&content->map, offset, least(stop, content->size),
				      atomic_load(&content->store->epoch));
		if (!ret && !content_is_missing(content, 0, content->size))
			content->whole = true;
		pthread_cond_broadcast(&content->changed);
		pthread_mutex_unlock(&content->lock);
	}
	if (!ret)
		ret = content_save(content);
	pthread_mutex_unlock(&content->io);
	return ret;
}

static int write_file(struct content *content, const char *buffer, size_t size, uint64_t offset, size_t *done)
{
	bool retried = false;
	size_t total = 0;

	while (total < size) {
		ssize_t put = pwrite(content->fd, buffer + total, size - total, (off_t)(offset + total));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno == ENOSPC && !retried && tidy_make_room(content->store)) {
			retried = true;
			continue;
		}
		if (put < 0) {
			int ret = -errno;

			*done = total;
			return total > 0 ? 0 : ret;
		}
		total += (size_t)put;
	}
	*done = total;
	return 0;
}

int content_write(struct content *content, const void *buffer, size_t size, uint64_t offset, size_t *done)
{
	bool locked;
	int ret;

	*done = 0;
	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -EFBIG;
	ret = change_begin(content, offset, offset + size, &locked);
	if (ret)
		return ret;
	ret = write_file(content, buffer, size, offset, done);
	ret = change_end(content, offset, offset + *done, locked, ret);
	if (ret)
		*done = 0;
	return ret;
}

int content_truncate(struct content *content, uint64_t size)
{
	bool locked;
	int ret;

	if (size > INT64_MAX)
		return -EFBIG;
	ret = change_begin(content, size, UINT64_MAX, &locked);
	if (ret)
		return ret;
	if (ftruncate(content->fd, (off_t)size))
		ret = -errno;
	return change_end(content, size, UINT64_MAX, locked, ret);
}

int content_fallocate(struct content *content, uint64_t offset, uint64_t length, uint32_t flags)
{
	int mode = 0, ret;
	bool locked, clears;

	if (length == 0)
		return -EINVAL;
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return -EFBIG;
	if (flags & ~(DW_FALLOCATE_KEEP_SIZE | DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (flags & DW_FALLOCATE_KEEP_SIZE)
		mode |= FALLOC_FL_KEEP_SIZE;
	if (flags & DW_FALLOCATE_PUNCH_HOLE)
		mode |= FALLOC_FL_PUNCH_HOLE;
	if (flags & DW_FALLOCATE_ZERO_RANGE)
		mode |= FALLOC_FL_ZERO_RANGE;
	clears = flags & (DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_ZERO_RANGE);
	/* Room alone takes nothing away from what is missing. */
	ret = change_begin(content, offset, clears ? offset + length : offset, &locked);
	if (ret)
		return ret;
	do {
		ret = fallocate(content->fd, mode, (off_t)offset, (off_t)length) ? -errno : 0;
	} while (ret == -EINTR || (ret == -ENOSPC && tidy_make_room(content->store)));
	return change_end(content, offset, offset + length, locked, ret);
}

int content_set_modified(struct content *content, struct dw_time modified)
{
	struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = (time_t)modified.seconds, .tv_nsec = (long)modified.nanoseconds},
	};

	return futimens(content->fd, times) ? -errno : 0;
}

/* --- holes ---------------------------------------------------------------------------------------------------------
 */

static int seek_file(const struct content *content, uint64_t offset, int whence, uint64_t *out)
{
	off_t found = lseek(content->fd, (off_t)offset, whence);

	if (found < 0)
		return -errno;
	*out = (uint64_t)found;
	return 0;
}

int content_seek(struct content *content, uint64_t offset, uint32_t whence, uint64_t *out)
{
	uint64_t from = 0, to = 0;
	bool missing, passed = false;
	int ret;

	if (offset > INT64_MAX)
		return -ENXIO;
	if (whence != DW_SEEK_DATA && whence != DW_SEEK_HOLE)
		return -EINVAL;
	for (;;) {
		ret = seek_file(content, offset, whence == DW_SEEK_DATA ? SEEK_DATA : SEEK_HOLE, out);
		if (ret == -ENXIO && whence == DW_SEEK_HOLE && passed) {
			*out = offset; /* what is missing goes to the end of the file */
			return 0;
		}
		if (ret && (ret != -ENXIO || whence == DW_SEEK_HOLE))
			return ret;
		pthread_mutex_lock(&content->lock);
		missing = !content->whole && content_map_missing(&content->map, offset, content->size, &from, &to);
		if (missing && whence == DW_SEEK_HOLE)
			missing = content_map_missing(&content->map, *out, content->size, &from, &to) && from == *out;
		pthread_mutex_unlock(&content->lock);
		if (!missing)
			return ret;
		if (whence == DW_SEEK_DATA) {
			if (ret || from < *out)
				*out = from;
			return 0;
		}
		offset = to;
		passed = true;
	}
}

/* --- copying -------------------------------------------------------------------------------------------------------
 */

static int copy_pieces(int in, uint64_t offset_in, int out, uint64_t offset_out, size_t size, size_t *done)
{
	char *piece = malloc(COPY_PIECE);
	int ret = piece ? 0 : -ENOMEM;

	while (!ret && *done < size) {
		ssize_t got = pread(in, piece, least(size - *done, COPY_PIECE), (off_t)(offset_in + *done));
		ssize_t put = 0;

		if (got > 0)
			put = pwrite(out, piece, (size_t)got, (off_t)(offset_out + *done));
		if (got < 0 || put < 0) {
			if (errno != EINTR)
				ret = -errno;
			continue;
		}
		if (got == 0)
			break;
		*done += (size_t)put;
	}
	free(piece);
	return ret;
}

static int copy_files(int in, uint64_t offset_in, int out, uint64_t offset_out, size_t size, size_t *done)
{
	while (*done < size) {
		off_t at_in = (off_t)(offset_in + *done), at_out = (off_t)(offset_out + *done);
		ssize_t put = copy_file_range(in, &at_in, out, &at_out, size - *done, 0);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && (errno == EXDEV || errno == ENOSYS || errno == EOPNOTSUPP || errno == EINVAL))
			return copy_pieces(in, offset_in, out, offset_out, size, done);
		if (put < 0)
			return -errno;
		if (put == 0)
			break;
		*done += (size_t)put;
	}
	return 0;
}

int content_copy(struct content *in, uint64_t offset_in, struct content *out, uint64_t offset_out, size_t size,
		 size_t *done)
{
	uint64_t in_size;
	bool here, locked;
	int ret = content_stat(in, &in_size, NULL, NULL);

	*done = 0;
	if (ret || offset_in >= in_size)
		return ret;
	size = (size_t)least(size, in_size - offset_in);
	if (offset_out > INT64_MAX || size > INT64_MAX - offset_out)
		return -EFBIG;
	if (in == out && offset_in < offset_out + size && offset_out < offset_in + size)
		return -EINVAL;
	pthread_mutex_lock(&in->lock);
	here = fetch_is_here(in, offset_in, least(offset_in + size, in->size));
	note_use(in);
	pthread_mutex_unlock(&in->lock);
	if (!here)
		return -EAGAIN;
	ret = change_begin(out, offset_out, offset_out + size, &locked);
	if (ret)
		return ret;
	ret = copy_files(in->fd, offset_in, out->fd, offset_out, size, done);
	if (*done > 0)
		ret = 0;
	ret = change_end(out, offset_out, offset_out + *done, locked, ret);
	if (ret)
		*done = 0;
	return ret;
}

/* --- syncing -------------------------------------------------------------------------------------------------------
 */

/* Make the file's name durable. */
static int sync_folders(struct content *content)
{
	struct content_store *store = content->store;
	char name[3];
	int fd, ret;

	(void)text_format(name, sizeof(name), "%02x", (unsigned)(content->id & 0xff));
	fd = openat(store->folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = fsync(fd) || fsync(store->folder_fd) || fsync(store->config.folder_fd) ? -errno : 0;
	close(fd);
	return ret;
}

/* The row of what was synced, but for what came since epoch. */
static int save_synced(struct content *content, uint64_t epoch)
{
	struct database_connection *connection = database_write(content->store->config.database);
	bool local;
	int ret = 0;

	pthread_mutex_lock(&content->lock);
	content_map_settle(&content->map, epoch);
	content->trusted = content->trusted || content_map_is_settled(&content->map);
	local = content->local;
	pthread_mutex_unlock(&content->lock);
	if (local)
		ret = content_row_mark(connection, content->id, true, CONTENT_SYNCED);
	if (!ret)
		ret = content_row_save(connection, content);
	if (ret)
		database_rollback(connection);
	else
		ret = database_commit(connection);
	pthread_mutex_lock(&content->lock);
	if (ret)
		content_map_touch(&content->map, 0, UINT64_MAX);
	else if (content->local == local)
		content->boot = CONTENT_SYNCED;
	pthread_mutex_unlock(&content->lock);
	return ret;
}

int content_sync(struct content *content)
{
	uint64_t epoch = atomic_fetch_add(&content->store->epoch, 1) + 1;
	bool linked, saved;
	int ret;

	if (fdatasync(content->fd))
		return -errno;
	pthread_mutex_lock(&content->lock);
	linked = content->linked;
	saved = content->boot == CONTENT_SYNCED && !content_map_is_fresh(&content->map);
	pthread_mutex_unlock(&content->lock);
	if (!linked) {
		ret = sync_folders(content);
		if (ret)
			return ret;
		pthread_mutex_lock(&content->lock);
		content->linked = true;
		pthread_mutex_unlock(&content->lock);
	}
	return saved ? 0 : save_synced(content, epoch);
}
