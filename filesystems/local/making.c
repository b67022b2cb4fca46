/* SPDX-License-Identifier: MIT */
/*
 * making.c - everything that makes a file
 *
 * Exactly once. Before the host is asked, what the table knows under the name (NOTE_TO), the host's clock (NOTE_TIME)
 * and then NOTE_ACTING are noted. A replayed request that finds NOTE_ACTING looks at the name: if what stands there is
 * not what was known, was born at or after the noted time and has the type that was asked for (and, a
 * symbolic link, the target), it is what the earlier process made: the kernel looks the name up before it asks, and
 * holds the folder's lock for the whole of the request, so nobody using the drive can have made it.
 * Otherwise the request is done now, and finds -EEXIST by itself if there is something.
 *
 * Node, count of the lookup, handle and their notes are one transaction after that; once it is committed,
 * node and handle are in the notes and are the answer.
 *
 * tmpfile   has no name to look for. The descriptor goes into the host's keeping under the node's id before
 *           the answer. A replayed request whose transaction was committed either finds it there, or makes a new
 *           file and lets the node stand for it: nobody has seen the first.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "local.h"

/* What is to be made. */
struct making {
	uint32_t mode; /* with type */
	dev_t device;
	const char *target; /* of a symbolic link */
	int flags;	    /* open it: O_CREAT and more; -1: do not */
};

static uint64_t host_now(void)
{
	struct timespec now;

	/* The clock that file systems take their times from. */
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int make_once(const struct dw_request *req, int folder, const char *name, const struct making *making)
{
	mode_t mode = (mode_t)credentials_mode(req, making->mode);
	int result;

	if (making->flags != -1)
		result = openat(folder, name, making->flags, mode & 07777);
	else if (making->target != NULL)
		result = symlinkat(making->target, folder, name);
	else if ((making->mode & DW_MODE_TYPE) == DW_MODE_FOLDER)
		result = mkdirat(folder, name, mode & 07777);
	else
		result = mknodat(folder, name, mode, making->device);
	return result < 0 ? -errno : result;
}

/* The owner may always open what he has made, whatever its mode says. */
static int open_own(int folder, const char *name, int flags, const struct statx *stx)
{
	int fd = openat(folder, name, flags);

	if (fd >= 0 || errno != EACCES)
		return fd < 0 ? -errno : fd;
	if (fchmodat(folder, name, (mode_t)((stx->stx_mode & 07777u) | 0600u), 0) != 0)
		return -EACCES;
	fd = openat(folder, name, flags);
	int err = fd < 0 ? -errno : 0;
	if (fchmodat(folder, name, (mode_t)(stx->stx_mode & 07777u), 0) != 0 && fd >= 0) {
		close(fd);
		return -EACCES;
	}
	return err != 0 ? err : fd;
}

static bool made_before(const struct dw_request *req, int folder, const char *name, const struct making *making,
			struct statx *stx)
{
	const uint64_t *word = req->notes->word;
	char target[PATH_MAX];
	struct identity found;

	if (!(req->flags & DW_REQUEST_REPLAYED) || word[NOTE_ACTING] == 0)
		return false;
	if (local_statx(folder, name, stx) != 0 || (stx->stx_mode & DW_MODE_TYPE) != (making->mode & DW_MODE_TYPE))
		return false;
	identity_of(stx, &found);
	if (word[NOTE_TO] != 0 && found.ino == word[NOTE_TO] && found.device == word[NOTE_TO_DEVICE])
		return false;
	const struct statx_timestamp *born = stx->stx_mask & STATX_BTIME ? &stx->stx_btime : &stx->stx_ctime;
	if ((uint64_t)born->tv_sec * 1000000000u + born->tv_nsec < word[NOTE_TIME])
		return false;
	if (making->target == NULL)
		return true;
	ssize_t length = readlinkat(folder, name, target, sizeof(target));
	return length >= 0 && (size_t)length == strlen(making->target) &&
	       memcmp(target, making->target, (size_t)length) == 0;
}

/*
 * Make it on the host, or find that it was made. A descriptor or 0 on success. stx receives its attributes.
 */
static int make_on_host(struct local *local, const struct dw_request *req, uint64_t parent, int folder,
			const char *name, const struct making *making, struct statx *stx)
{
	uint64_t *word = req->notes->word;
	struct credentials saved;
	bool give = false;
	int result;

	if (made_before(req, folder, name, making, stx)) {
		result = making->flags == -1
				 ? 0
				 : open_own(folder, name, making->flags & ~(O_CREAT | O_EXCL | O_TRUNC), stx);
		give = stx->stx_uid == local->uid;
	} else {
		if (!(req->flags & DW_REQUEST_REPLAYED) || word[NOTE_ACTING] == 0)
			name_identity(local, parent, name, &word[NOTE_TO], &word[NOTE_TO_DEVICE]);
		word[NOTE_TIME] = host_now();
		atomic_signal_fence(memory_order_seq_cst);
		word[NOTE_ACTING] = 1;
		atomic_signal_fence(memory_order_seq_cst);
		credentials_take(local, req, &saved);
		result = make_once(req, folder, name, making);
		if (local_room_made(local, req, &result))
			result = make_once(req, folder, name, making);
		credentials_restore(local, &saved);
		if (result == -EACCES && saved.changed) {
			result = make_once(req, folder, name, making);
			give = true;
		}
	}
	if (result < 0)
		return result;
	int at = making->flags == -1 ? folder : result;
	const char *path = making->flags == -1 ? name : "";
	int err = give ? credentials_give(local, req, folder, folder, name, making->mode) : 0;
	if (err == 0)
		err = local_statx(at, path, stx);
	if (err != 0 && making->flags != -1)
		close(result);
	return err != 0 ? err : result;
}

/* For all but files that are opened. */
static int make(struct local *local, const struct dw_request *req, uint64_t parent, const char *name,
		const struct making *making, struct dw_entry *out)
{
	struct opened *folder;
	struct statx stx;
	int err = folder_get(local, parent, &folder);

	if (err != 0)
		return err;
	bool again = (req->flags & DW_REQUEST_REPLAYED) && table_noted(&local->table, req->notes);
	if (again)
		err = local_statx(folder->fd, name, &stx);
	else
		err = make_on_host(local, req, parent, folder->fd, name, making, &stx);
	opened_put(folder);
	if (err < 0)
		return err;
	if (!again)
		return entry_found(local, req, parent, name, &stx, out);
	*out = (struct dw_entry){.node = req->notes->word[NOTE_NODE],
				 .entry_timeout = DW_TIMEOUT_DEFAULT,
				 .attr_timeout = DW_TIMEOUT_DEFAULT};
	attr_of(&stx, &out->attr);
	return 0;
}

static bool name_is_good(const char *name)
{
	return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int local_mknod(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor, struct dw_entry *out)
{
	struct making making = {.mode = mode, .device = makedev(rdev_major, rdev_minor), .flags = -1};

	if (!name_is_good(name))
		return -EINVAL;
	if ((mode & DW_MODE_TYPE) == 0)
		making.mode |= DW_MODE_FILE;
	return make(local_of(fs), req, parent, name, &making, out);
}

int local_mkdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, struct dw_entry *out)
{
	struct making making = {.mode = (mode & 07777u) | DW_MODE_FOLDER, .flags = -1};

	if (!name_is_good(name))
		return -EINVAL;
	return make(local_of(fs), req, parent, name, &making, out);
}

int local_symlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  const char *target, struct dw_entry *out)
{
	struct making making = {.mode = DW_MODE_LINK | 0777u, .target = target, .flags = -1};

	if (!name_is_good(name))
		return -EINVAL;
	return make(local_of(fs), req, parent, name, &making, out);
}

/* Attributes and handle of a create or tmpfile that took effect in an earlier process. */
static int made_again(struct local *local, const struct dw_request *req, struct dw_entry *out, struct dw_open *open)
{
	struct place place;
	struct statx stx;
	uint64_t node = req->notes->word[NOTE_NODE];
	int err = handle_again(local, req, open);

	if (err == 0)
		err = node_place(local, node, open->handle, &place, &stx);
	if (err != 0)
		return err;
	opened_put(place.at);
	*out = (struct dw_entry){.node = node, .entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};
	attr_of(&stx, &out->attr);
	return 0;
}

/* Node, count and handle of the file in opened. Takes opened over. */
static int made_enter(struct local *local, const struct dw_request *req, uint64_t parent, const char *name,
		      uint32_t flags, const struct statx *stx, struct opened *opened, struct dw_entry *out,
		      struct dw_open *open)
{
	uint32_t offered = 0;
	uint32_t unused = 0;
	int err;

	backing_offer(local, 0, opened->fd, stx->stx_mode, &offered);
	table_lock(&local->table);
	table_begin(&local->table);
	struct node *node = entry_enter(local, parent, name, stx, out, &err);
	if (node != NULL)
		err = handle_enter(local, req, node, flags, opened, offered, open, &unused);
	if (err == 0) {
		if (name[0] == '\0')
			node->kept = true;
		req->notes->word[NOTE_NODE] = node->id;
		table_commit(&local->table, req->notes);
	} else {
		table_rollback(&local->table);
		unused = offered;
	}
	table_unlock(&local->table);
	if (unused != 0)
		local->host->backing_close(local->host, unused);
	if (err != 0)
		opened_put(opened);
	return err;
}

/* Without privileges, a file whose mode shuts its owner out could not be opened again by the next process. */
static void keep_if_shut(struct local *local, uint64_t node, int fd, uint32_t mode)
{
	if (local->privileged || (mode & 0600u) == 0600u)
		return;
	table_lock(&local->table);
	struct node *known = table_node(&local->table, node);
	if (known != NULL)
		known->kept = true;
	table_unlock(&local->table);
	local->host->kept_fd_put(local->host, node, fd);
}

int local_create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	struct local *local = local_of(fs);
	struct making making = {.mode = (mode & 07777u) | DW_MODE_FILE,
				.flags = host_flags(flags) | O_CREAT | (flags & (O_EXCL | O_TRUNC))};
	struct opened *folder;
	struct opened *opened;
	struct statx stx;

	if (!name_is_good(name))
		return -EINVAL;
	if ((req->flags & DW_REQUEST_REPLAYED) && table_noted(&local->table, req->notes))
		return made_again(local, req, out, open);
	int err = folder_get(local, parent, &folder);
	if (err != 0)
		return err;
	int fd = make_on_host(local, req, parent, folder->fd, name, &making, &stx);
	opened_put(folder);
	if (fd < 0)
		return fd;
	if ((stx.stx_mode & DW_MODE_TYPE) != DW_MODE_FILE) {
		/* Something else was put there behind our back. */
		close(fd);
		return -EEXIST;
	}
	opened = opened_make(fd, flags);
	if (opened == NULL)
		return -ENOMEM;
	err = made_enter(local, req, parent, name, flags, &stx, opened, out, open);
	if (err == 0)
		keep_if_shut(local, out->node, fd, stx.stx_mode);
	return err;
}

static int tmpfile_on_host(struct local *local, const struct dw_request *req, int folder, uint32_t mode, uint32_t flags,
			   struct statx *stx)
{
	struct credentials saved;
	int err = 0;
	int how = (host_flags(flags) & ~(O_NOFOLLOW | O_ACCMODE)) | O_TMPFILE | (int)(flags & O_EXCL);

	/* The host wants it writable. */
	how |= (flags & O_ACCMODE) == O_RDONLY ? O_RDWR : (int)(flags & O_ACCMODE);
	credentials_take(local, req, &saved);
	int fd = openat(folder, ".", how, (mode_t)(credentials_mode(req, mode) & 07777u));
	if (fd < 0)
		err = -errno;
	credentials_restore(local, &saved);
	if (err == -EACCES && saved.changed) {
		fd = openat(folder, ".", how, (mode_t)(credentials_mode(req, mode) & 07777u));
		err = fd < 0 ? -errno : credentials_give(local, req, folder, fd, "", mode);
	}
	if (err == 0)
		err = local_statx(fd, "", stx);
	if (err != 0 && fd >= 0)
		close(fd);
	return err != 0 ? err : fd;
}

/* The transaction was committed before; was the descriptor kept? If not, nobody has seen the file: make another. */
static int tmpfile_again(struct local *local, const struct dw_request *req, int folder, uint32_t mode, uint32_t flags)
{
	uint64_t node = req->notes->word[NOTE_NODE];
	struct identity identity;
	struct statx stx;
	int fd;

	if (local->host->kept_fd_get(local->host, node, &fd) == 0) {
		close(fd);
		return 0;
	}
	fd = tmpfile_on_host(local, req, folder, mode, flags, &stx);
	if (fd < 0)
		return fd;
	identity_of(&stx, &identity);
	table_lock(&local->table);
	struct node *known = table_node(&local->table, node);
	if (known != NULL) {
		table_begin(&local->table);
		table_become(&local->table, known, &identity);
		/* A backing id of the lost file is of no use. */
		table_set_backing(&local->table, known, 0);
		table_commit(&local->table, NULL);
	}
	table_unlock(&local->table);
	int err = local->host->kept_fd_put(local->host, node, fd);
	close(fd);
	return err;
}

int local_tmpfile(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, uint32_t mode,
		  uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	struct local *local = local_of(fs);
	struct opened *folder;
	struct opened *opened;
	struct statx stx;
	int err = folder_get(local, parent, &folder);

	if (err != 0)
		return err;
	if ((req->flags & DW_REQUEST_REPLAYED) && table_noted(&local->table, req->notes)) {
		err = tmpfile_again(local, req, folder->fd, mode, flags);
		opened_put(folder);
		return err != 0 ? err : made_again(local, req, out, open);
	}
	int fd = tmpfile_on_host(local, req, folder->fd, mode, flags, &stx);
	opened_put(folder);
	if (fd < 0)
		return fd;
	opened = opened_make(fd, (flags & O_ACCMODE) == O_RDONLY ? flags | O_RDWR : flags);
	if (opened == NULL)
		return -ENOMEM;
	err = made_enter(local, req, parent, "", flags, &stx, opened, out, open);
	if (err == 0)
		local->host->kept_fd_put(local->host, out->node, fd);
	return err;
}
