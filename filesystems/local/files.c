/* SPDX-License-Identifier: MIT */
/*
 * files.c - open files
 *
 * Exactly once. A handle is made and given up by a transaction with notes: a replayed open answers the handle in
 * its notes, a replayed release whose transaction was committed only closes the backing id in its notes (again:
 * the kernel gives ids out in a cycle, so a second close finds nothing). O_TRUNC is done before the handle is
 * made: an open that is replayed may truncate a second time, which is what it would have done had it come a moment
 * later. Everything else here gives the same when it is done twice.
 *
 * Descriptors are this process's own. The next process opens a handle's file again when it is first needed, by the
 * node's names; a file that loses its last name while it is open is given into the host's keeping before.
 *
 * Passthrough. The first open of a node hands its descriptor to the kernel, which opens the file anew for
 * each open of the drive with that open's own flags, so it does not matter how the first one was opened. All
 * opens of a node until the last release have the same id, or all have none: the kernel refuses a mixture. When two
 * first opens meet, the one that is entered first decides, and the other's id is given back.
 * The host's descriptor is kept open beside it: for fsync, truncation, allocation, and so that fstat
 * reaches a file without a name.
 *
 * Without passthrough O_DIRECT is not asked of the host, whose demands on alignment the buffers here do not meet;
 * the kernel's page cache is bypassed on the drive's side (DW_OPEN_DIRECT).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "local.h"

#define INLINE_WRITE	(128u << 10) /* a buffered write up to this is done at once */
#define INLINE_ALLOCATE (1u << 20)

int host_flags(uint32_t flags)
{
	int keep = O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME;

	/* Non-blocking, in case a FIFO has taken the file's place. */
	return ((int)flags & keep) | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
}

static bool good_for(uint32_t have, uint32_t want)
{
	if (have & O_PATH)
		return false;
	return (have & O_ACCMODE) == O_RDWR || (have & O_ACCMODE) == (want & O_ACCMODE);
}

/* Open the node, checked to be the right file, as flags say. */
static int file_open(struct local *local, uint64_t node, uint32_t flags, struct opened **out, struct statx *stx)
{
	char path[64];
	int err = node_open(local, node, DW_NO_HANDLE, host_flags(flags), out, stx);

	if (err == -EPERM && (flags & O_NOATIME))
		err = node_open(local, node, DW_NO_HANDLE, host_flags(flags & ~(uint32_t)O_NOATIME), out, stx);
	if (err == -ESTALE) /* No name leads to it any more; perhaps it is open. */
		err = node_open(local, node, DW_NO_HANDLE, O_PATH, out, stx);
	if (err != 0 || good_for((*out)->flags, flags))
		return err;
	/* That descriptor was opened for something else. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", (*out)->fd);
	int fd = open(path, host_flags(flags) & ~O_NOFOLLOW);
	err = fd < 0 ? -errno : 0;
	opened_put(*out);
	*out = NULL;
	if (err != 0)
		return err;
	*out = opened_make(fd, flags);
	return *out == NULL ? -ENOMEM : 0;
}

int handle_get(struct local *local, uint64_t id, uint64_t handle, struct opened **out)
{
	uint32_t flags = 0;
	int err = -EBADF;

	*out = NULL;
	table_lock(&local->table);
	struct handle *known = table_handle(&local->table, handle);
	if (known != NULL) {
		err = 0;
		flags = known->flags;
		id = table_node_at(&local->table, known->node)->id;
		struct opened *opened = table_opened(&local->table, known);

		if (opened != NULL)
			*out = opened_get(opened);
	}
	table_unlock(&local->table);
	if (err != 0 || *out != NULL)
		return err;
	if (flags & O_DIRECTORY)
		err = node_open(local, id, DW_NO_HANDLE, O_RDONLY | O_DIRECTORY, out, NULL);
	else
		err = file_open(local, id, flags, out, NULL);
	if (err != 0)
		return err;
	table_lock(&local->table);
	known = table_handle(&local->table, handle);
	if (known != NULL) {
		struct opened *other = table_opened(&local->table, known);

		if (other != NULL) {
			table_put_later(&local->table, *out);
			*out = opened_get(other);
		} else {
			table_set_opened(&local->table, known, opened_get(*out));
		}
	}
	table_unlock(&local->table);
	return 0;
}

/*
 * The mark comes before the descriptor: a mark without one does no harm. It does not mean that there is one, because
 * a process may have died in between, so the descriptor is given again; the host knows if it has it.
 */
void node_keep_open(struct local *local, uint64_t id)
{
	struct opened *best = NULL;
	uint64_t handle = DW_NO_HANDLE;

	table_lock(&local->table);
	struct node *node = table_node(&local->table, id);
	for (arena_ref ref = node == NULL ? 0 : node->handles; ref != 0;) {
		struct handle *known = table_handle_at(&local->table, ref);

		/* The one that allows most. */
		if (handle == DW_NO_HANDLE || (known->flags & O_ACCMODE) == O_RDWR) {
			handle = known->id;
			best = table_opened(&local->table, known);
		}
		ref = known->next;
	}
	if (best != NULL)
		opened_get(best);
	if (handle != DW_NO_HANDLE)
		node->kept = true;
	table_unlock(&local->table);
	if (handle == DW_NO_HANDLE || (best == NULL && handle_get(local, id, handle, &best) != 0))
		return;
	local->host->kept_fd_put(local->host, id, best->fd);
	opened_put(best);
}

/* --- open and release ---------------------------------------------------------------------------------- */

void backing_offer(struct local *local, uint64_t node, int fd, uint32_t mode, uint32_t *id)
{
	*id = 0;
	if (!atomic_load_explicit(&local->backing, memory_order_relaxed) || (mode & (S_ISUID | S_ISGID)))
		return;
	if (node != 0) {
		table_lock(&local->table);
		struct node *known = table_node(&local->table, node);
		bool open = known != NULL && known->handles != 0;
		table_unlock(&local->table);
		if (open)
			return;
	}
	int err = local->host->backing_open(local->host, fd, id);
	if (err == -EOPNOTSUPP || err == -EPERM)
		atomic_store_explicit(&local->backing, false, memory_order_relaxed);
	if (err != 0)
		*id = 0;
}

static void open_answer(struct dw_open *out, uint64_t handle, uint32_t flags, uint32_t backing)
{
	*out = (struct dw_open){.handle = handle, .flags = DW_OPEN_NO_FLUSH, .backing_id = backing};
	if (backing == 0 && (flags & O_DIRECT))
		out->flags |= DW_OPEN_DIRECT;
}

int handle_enter(struct local *local, const struct dw_request *req, struct node *node, uint32_t flags,
		 struct opened *opened, uint32_t offered, struct dw_open *out, uint32_t *unused)
{
	bool first = node->handles == 0;
	struct handle *handle = table_make_handle(&local->table, node, flags);

	*unused = offered;
	if (handle == NULL)
		return -ENOMEM;
	if (first) {
		table_set_backing(&local->table, node, offered);
		*unused = 0;
	}
	table_set_opened(&local->table, handle, opened);
	req->notes->word[NOTE_HANDLE] = handle->id;
	open_answer(out, handle->id, flags, node->backing);
	return 0;
}

int handle_again(struct local *local, const struct dw_request *req, struct dw_open *out)
{
	int err = -ESTALE;

	table_lock(&local->table);
	struct handle *handle = table_handle(&local->table, req->notes->word[NOTE_HANDLE]);
	if (handle != NULL) {
		open_answer(out, handle->id, handle->flags, table_node_at(&local->table, handle->node)->backing);
		err = 0;
	}
	table_unlock(&local->table);
	return err;
}

int local_open(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
	       struct dw_open *out)
{
	struct local *local = local_of(fs);
	struct opened *opened;
	uint32_t offered;
	uint32_t unused;
	struct statx stx;

	if ((req->flags & DW_REQUEST_REPLAYED) && table_noted(&local->table, req->notes))
		return handle_again(local, req, out);
	int err = file_open(local, node, flags, &opened, &stx);
	if (err != 0)
		return err;
	if ((flags & O_TRUNC) && ftruncate(opened->fd, 0) != 0) {
		err = -errno;
		opened_put(opened);
		return err;
	}
	backing_offer(local, node, opened->fd, stx.stx_mode, &offered);
	unused = offered;
	table_lock(&local->table);
	struct node *known = table_node(&local->table, node);
	if (known == NULL) {
		err = -ESTALE;
	} else {
		table_begin(&local->table);
		err = handle_enter(local, req, known, flags & ~(uint32_t)(O_TRUNC | O_CREAT | O_EXCL), opened, offered,
				   out, &unused);
		if (err == 0)
			table_commit(&local->table, req->notes);
		else
			table_rollback(&local->table);
	}
	table_unlock(&local->table);
	if (unused != 0)
		local->host->backing_close(local->host, unused);
	if (err != 0)
		opened_put(opened);
	return err;
}

void local_release(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle)
{
	struct local *local = local_of(fs);
	uint64_t *word = req->notes->word;
	struct opened *opened = NULL;
	uint64_t kept = 0;

	if (!(req->flags & DW_REQUEST_REPLAYED) || !table_noted(&local->table, req->notes)) {
		table_lock(&local->table);
		struct handle *known = table_handle(&local->table, handle);
		if (known != NULL) {
			struct node *owner = table_node_at(&local->table, known->node);
			bool last = owner->handle_count == 1;

			word[NOTE_BACKING] = last ? owner->backing : 0;
			word[NOTE_NODE] = last && owner->kept ? owner->id : 0;
			table_begin(&local->table);
			if (last) {
				table_set_backing(&local->table, owner, 0);
				table_set_unkept(&local->table, owner);
			}
			opened = table_drop_handle(&local->table, known);
			table_commit(&local->table, req->notes);
		}
		table_unlock(&local->table);
	}
	kept = word[NOTE_NODE];
	if (word[NOTE_BACKING] != 0)
		local->host->backing_close(local->host, (uint32_t)word[NOTE_BACKING]);
	if (kept != 0)
		local->host->kept_fd_drop(local->host, kept);
	opened_put(opened);
}

/* --- reading and writing ------------------------------------------------------------------------------- */

int local_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, void *buffer,
	       size_t size, uint64_t offset, size_t *done)
{
	struct local *local = local_of(fs);
	int how = req->flags & DW_REQUEST_NOWAIT ? RWF_NOWAIT : 0;
	struct opened *opened;
	size_t total = 0;
	int err = handle_get(local, node, handle, &opened);

	if (err != 0)
		return err;
	while (total < size) {
		struct iovec piece = {.iov_base = (char *)buffer + total, .iov_len = size - total};
		ssize_t got = preadv2(opened->fd, &piece, 1, (off_t)(offset + total), how);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EOPNOTSUPP && how != 0) {
			/* This file system cannot say whether it would wait: a worker reads. */
			err = -EAGAIN;
			break;
		}
		if (got < 0)
			err = -errno;
		if (got <= 0)
			break;
		total += (size_t)got;
	}
	opened_put(opened);
	*done = total;
	return err;
}

int local_write(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *done)
{
	struct local *local = local_of(fs);
	struct opened *opened;
	size_t total = 0;
	int err = handle_get(local, node, handle, &opened);

	if (err != 0)
		return err;
	if ((req->flags & DW_REQUEST_NOWAIT) && (size > INLINE_WRITE || (opened->flags & O_DSYNC))) {
		opened_put(opened);
		return -EAGAIN;
	}
	if (flags & DW_WRITE_KILL_PRIV)
		err = attr_kill_privileges(opened->fd);
	while (err == 0 && total < size) {
		ssize_t put = pwrite(opened->fd, (const char *)buffer + total, size - total, (off_t)(offset + total));

		if (put < 0 && errno == EINTR)
			continue;
		if (put > 0) {
			total += (size_t)put;
			continue;
		}
		err = put == 0 ? -EIO : -errno;
		if (total == 0 && local_room_made(local, req, &err))
			err = 0;
	}
	opened_put(opened);
	*done = total;
	return total > 0 ? 0 : err;
}

int local_fsync(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, bool data_only)
{
	struct local *local = local_of(fs);
	struct opened *opened;

	if (req->flags & DW_REQUEST_NOWAIT)
		return -EAGAIN;
	int err = handle_get(local, node, handle, &opened);
	if (err != 0)
		return err;
	if ((data_only ? fdatasync(opened->fd) : fsync(opened->fd)) != 0)
		err = -errno;
	opened_put(opened);
	return err;
}

int local_fallocate(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		    uint64_t offset, uint64_t length, uint32_t flags)
{
	struct local *local = local_of(fs);
	struct opened *opened;
	int mode = 0;

	if (flags & ~(DW_FALLOCATE_KEEP_SIZE | DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_ZERO_RANGE))
		return -EOPNOTSUPP;
	if ((req->flags & DW_REQUEST_NOWAIT) && length > INLINE_ALLOCATE)
		return -EAGAIN;
	mode |= flags & DW_FALLOCATE_KEEP_SIZE ? FALLOC_FL_KEEP_SIZE : 0;
	mode |= flags & DW_FALLOCATE_PUNCH_HOLE ? FALLOC_FL_PUNCH_HOLE : 0;
	mode |= flags & DW_FALLOCATE_ZERO_RANGE ? FALLOC_FL_ZERO_RANGE : 0;
	int err = handle_get(local, node, handle, &opened);
	if (err != 0)
		return err;
	/* The kernel leaves this to us and does not say so: without a right to keep the bits, they go. */
	if (req->uid != 0)
		err = attr_kill_privileges(opened->fd);
	while (err == 0) {
		err = fallocate(opened->fd, mode, (off_t)offset, (off_t)length) == 0 ? 0 : -errno;
		if (err != -EINTR && !local_room_made(local, req, &err))
			break;
		err = 0;
	}
	opened_put(opened);
	return err;
}

int local_copy_file_range(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node_in, uint64_t handle_in,
			  uint64_t offset_in, uint64_t node_out, uint64_t handle_out, uint64_t offset_out, size_t size,
			  size_t *done)
{
	struct local *local = local_of(fs);
	struct opened *in = NULL;
	struct opened *out = NULL;
	off_t from = (off_t)offset_in;
	off_t to = (off_t)offset_out;

	if (req->flags & DW_REQUEST_NOWAIT)
		return -EAGAIN;
	int err = handle_get(local, node_in, handle_in, &in);
	if (err == 0)
		err = handle_get(local, node_out, handle_out, &out);
	if (err == 0 && req->uid != 0)
		err = attr_kill_privileges(out->fd);
	if (err == 0) {
		ssize_t copied = copy_file_range(in->fd, &from, out->fd, &to, size, 0);

		if (copied < 0)
			err = -errno;
		else
			*done = (size_t)copied;
	}
	opened_put(out);
	opened_put(in);
	return err;
}

int local_lseek(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle, uint64_t offset,
		uint32_t whence, uint64_t *out)
{
	struct local *local = local_of(fs);
	struct opened *opened;

	if (whence != DW_SEEK_DATA && whence != DW_SEEK_HOLE)
		return -EINVAL;
	int err = handle_get(local, node, handle, &opened);
	if (err != 0)
		return err;
	off_t found = lseek(opened->fd, (off_t)offset, whence == DW_SEEK_DATA ? SEEK_DATA : SEEK_HOLE);
	if (found < 0)
		err = -errno;
	else
		*out = (uint64_t)found;
	opened_put(opened);
	return err;
}
