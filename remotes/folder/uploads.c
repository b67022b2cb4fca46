/* SPDX-License-Identifier: MIT */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int staged_make(struct call *call, struct staged *out)
{
	struct folder *folder = call->folder;
	uint64_t number;

	pthread_mutex_lock(&folder->lock);
	number = folder->staged++;
	pthread_mutex_unlock(&folder->lock);
	*out = (struct staged){.fd = -1};
	snprintf(out->name, sizeof(out->name), "u-%ld-%" PRIx64 "-%" PRIx64, (long)getpid(), clock_now(), number);
	out->fd = openat(folder->staging, out->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (out->fd >= 0)
		return 0;
	out->name[0] = '\0';
	return disk_error(errno);
}

void staged_clear(struct folder *folder, struct staged *staged)
{
	if (staged->fd >= 0)
		close(staged->fd);
	if (staged->name[0] != '\0')
		unlinkat(folder->staging, staged->name, 0);
	staged->fd = -1;
	staged->name[0] = '\0';
}

int digest_check(const struct folder *folder, const uint8_t *digest, const char *content)
{
	uint8_t found[DIGEST_MAX];
	uint32_t length = content_digest(folder, content, found);

	return digest == NULL || length == 0 || memcmp(digest, found, length) == 0 ? 0 : -EBADMSG;
}

static int write_all(int fd, const char *data, size_t size, uint64_t offset)
{
	while (size > 0) {
		ssize_t done = pwrite(fd, data, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done == 0 ? -EIO : disk_error(errno);
		data += done;
		size -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

int content_fetch(struct call *call, const struct dw_remote_content *content, uint64_t offset, uint64_t bytes, int fd,
		  struct hash *hash)
{
	char *buffer = malloc(CHUNK);
	uint64_t done = 0;
	int err = buffer == NULL ? -ENOMEM : 0;

	while (err == 0 && done < bytes) {
		size_t want = bytes - done < CHUNK ? (size_t)(bytes - done) : CHUNK;
		int stop;

		want = call_clip(call, done, want, &stop);
		if (want > 0)
			err = content->read(content, buffer, want, offset + done);
		if (err == 0 && want > 0)
			err = write_all(fd, buffer, want, offset + done);
		if (err == 0 && want > 0)
			err = hash_add(hash, buffer, want);
		if (err == 0) {
			done += want;
			err = stop;
			if (content->progress != NULL && want > 0)
				content->progress(content, offset + done);
		}
	}
	free(buffer);
	return err;
}

int rename_new(int from, const char *old, int to, const char *name)
{
	struct statx stx;
	int err;

	if (syscall(SYS_renameat2, from, old, to, name, 1u /* RENAME_NOREPLACE */) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return disk_error(errno);
	/* Not every file system knows it; those who use this remote keep one another out by the lock. */
	err = tree_statx(to, name, &stx);
	if (err != -ENOENT)
		return err == 0 ? -EEXIST : err;
	return renameat(from, old, to, name) == 0 ? 0 : disk_error(errno);
}

/* --- Taking a place ----------------------------------------------------------------------------------------- */

/* The folder or file that place names, as it is on disk, with the transaction under way when it answers 0. */
static int place_reach(struct call *call, const struct dw_remote_place *place, uint64_t bytes, struct reached *reached)
{
	struct folder *folder = call->folder;
	uint64_t old = 0;
	int err;

	err = tree_take(call, place->id != NULL ? place->id : place->parent, reached);
	if (err != 0)
		return err == DW_REMOTE_TRASHED ? -ENOENT : err;
	if (place->id != NULL) {
		err = reached->row.type == DW_REMOTE_FILE ? etag_check(&reached->row, place->etag) : -EISDIR;
		old = (uint64_t)reached->row.bytes;
	} else {
		err = reached_folder(reached);
		if (err == 0)
			err = tree_name_free(call, reached, place->name, 0);
	}
	if (err == 0)
		err = quota_check(folder, bytes, old);
	if (err != 0)
		err = tree_finish(call, err);
	return err;
}

int place_check(struct call *call, const struct dw_remote_place *place, uint64_t bytes)
{
	struct reached reached = REACHED_NONE;
	int err;

	err = place_reach(call, place, bytes, &reached);
	if (err == 0)
		err = tree_finish(call, 0);
	reached_clear(&reached);
	return err;
}

static int staged_finish(struct folder *folder, struct staged *staged, struct dw_time modified)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = modified.seconds, .tv_nsec = (long)modified.nanoseconds}};

	if ((modified.seconds != 0 || modified.nanoseconds != 0) && futimens(staged->fd, times) != 0)
		return disk_error(errno);
	if (folder->durable && fsync(staged->fd) != 0)
		return disk_error(errno);
	return 0;
}

/* Under the transaction: what stands at dir/name now is the item of row with the staged content. */
static int place_note(struct call *call, int dir, const struct staged *staged, struct row *row)
{
	struct folder *folder = call->folder;
	struct statx stx;
	int err;

	err = tree_statx(dir, row->name, &stx);
	if (err != 0)
		return err;
	tree_stamp(row, &stx);
	row->stale = false;
	memcpy(row->content, staged->content, sizeof(row->content));
	row->version++;
	err = row->id == 0 ? index_insert(&folder->index, row) : index_update(&folder->index, row);
	return err != 0 ? err : event_write(folder, DW_REMOTE_EVENT_CHANGED, row);
}

/* The new file has the mode and owner of the one that it replaces, as far as this process may give them. */
static int keep_mode(int fd, int dir, const char *name)
{
	struct statx stx;
	int err = tree_statx(dir, name, &stx);

	if (err != 0)
		return err;
	if (fchown(fd, stx.stx_uid, stx.stx_gid) != 0 && errno != EPERM)
		return disk_error(errno);
	return fchmod(fd, stx.stx_mode & 0777) == 0 || errno == EPERM ? 0 : disk_error(errno);
}

int place_take(struct call *call, struct staged *staged, const struct dw_remote_place *place, struct dw_time modified,
	       const char *session, struct shown *shown)
{
	struct folder *folder = call->folder;
	struct reached reached = REACHED_NONE;
	struct row row = {.type = DW_REMOTE_FILE, .state = ROW_LIVE};
	int dir = -1;
	int err;

	err = staged_finish(folder, staged, modified);
	if (err != 0)
		return err;
	err = place_reach(call, place, staged->bytes, &reached);
	if (err != 0)
		goto out;
	if (place->id != NULL) {
		row = reached.row;
		dir = reached.dir;
		err = keep_mode(staged->fd, dir, row.name);
		if (err == 0)
			err = versions_keep(call, &reached);
		if (err == 0 && renameat(folder->staging, staged->name, dir, row.name) != 0)
			err = disk_error(errno);
	} else {
		row.parent = reached.row.id;
		dir = reached.self;
		memcpy(row.name, place->name, strlen(place->name) + 1);
		names_fold(folder, row.name, row.folded);
		err = rename_new(folder->staging, staged->name, dir, row.name);
	}
	if (err == 0) {
		staged->name[0] = '\0';
		err = place_note(call, dir, staged, &row);
	}
	if (err == 0)
		err = tree_sync(folder, dir);
	if (err == 0 && session != NULL)
		err = index_run(&folder->index, index_start(&folder->index, INDEX_SESSION_DONE, "it", row.id, session));
	if (err == 0)
		err = shown_fill(folder, &row, true, shown);
	call_middle(call);
	err = tree_finish(call, err);
out:
	reached_clear(&reached);
	return err;
}

int folder_upload(struct dw_remote *remote, struct dw_remote_call *remote_call, const struct dw_remote_place *place,
		  const struct dw_remote_content *content, const struct dw_remote_items *items)
{
	struct folder *folder = folder_of(remote);
	struct staged staged = {.fd = -1};
	struct shown shown = {0};
	struct hash *hash = NULL;
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_UPLOAD);
	if (err != 0)
		return err;
	err = content->bytes > folder->remote.upload_max ? -EFBIG : place_check(&call, place, content->bytes);
	if (err == 0)
		err = staged_make(&call, &staged);
	if (err == 0)
		err = hash_begin(&hash, folder->digest);
	if (err == 0)
		err = content_fetch(&call, content, 0, content->bytes, staged.fd, hash);
	if (err == 0)
		err = hash_end(hash, staged.content);
	if (err == 0)
		err = digest_check(folder, content->digest, staged.content);
	staged.bytes = content->bytes;
	if (err == 0)
		err = place_take(&call, &staged, place, content->modified, NULL, &shown);
	hash_free(hash);
	staged_clear(folder, &staged);
	return shown_answer(&call, err, &shown, items);
}
