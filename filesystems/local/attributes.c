/* SPDX-License-Identifier: MIT */
/*
 * attributes.c - what stat tells and chmod, chown, truncate and utimensat change
 *
 * All of it gives the same when it is done twice, so a replayed request is simply done.
 *
 * Changes are made by a descriptor of the node that was checked, never by name: the file that somebody has put
 * into its place behind our back must not be changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "local.h"

static struct dw_time time_of(const struct statx_timestamp *stamp)
{
	return (struct dw_time){.seconds = stamp->tv_sec, .nanoseconds = stamp->tv_nsec};
}

void attr_of(const struct statx *stx, struct dw_attr *out)
{
	*out = (struct dw_attr){
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.rdev_major = stx->stx_rdev_major,
		.rdev_minor = stx->stx_rdev_minor,
		.blksize = stx->stx_blksize,
		.atime = time_of(&stx->stx_atime),
		.mtime = time_of(&stx->stx_mtime),
		.ctime = time_of(&stx->stx_ctime),
	};
	if (stx->stx_mask & STATX_BTIME)
		out->btime = time_of(&stx->stx_btime);
}

int local_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  struct dw_attr *out, uint64_t *timeout)
{
	struct place place;
	struct statx stx;
	int err = node_place(local_of(fs), node, handle, &place, &stx);

	if (err != 0)
		return err;
	opened_put(place.at);
	attr_of(&stx, out);
	return 0;
}

/* fd may be O_PATH. */
static int change_mode(int fd, uint32_t mode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, (mode_t)(mode & 07777u)) == 0 ? 0 : -errno;
}

int attr_kill_privileges(int fd)
{
	struct stat st;
	mode_t mode;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	mode = st.st_mode & (mode_t)~S_ISUID;
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		mode &= (mode_t)~S_ISGID;
	return mode == st.st_mode ? 0 : change_mode(fd, mode);
}

static int change_size(struct local *local, uint64_t node, uint64_t handle, int fd, uint64_t size)
{
	struct opened *opened;
	char path[64];
	int err;

	if (handle != DW_NO_HANDLE) {
		err = handle_get(local, node, handle, &opened);
		if (err != 0)
			return err;
		bool writable = (opened->flags & O_ACCMODE) != O_RDONLY && !(opened->flags & O_PATH);
		if (writable)
			err = ftruncate(opened->fd, (off_t)size) == 0 ? 0 : -errno;
		opened_put(opened);
		if (writable)
			return err;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return truncate(path, (off_t)size) == 0 ? 0 : -errno;
}

static struct timespec new_time(uint32_t valid, uint32_t set, uint32_t now, const struct dw_time *time)
{
	if (!(valid & set))
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	if (valid & now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return (struct timespec){.tv_sec = time->seconds, .tv_nsec = time->nanoseconds};
}

int local_setattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  const struct dw_setattr *in, struct dw_attr *out)
{
	struct local *local = local_of(fs);
	struct opened *opened;
	struct statx stx;
	uint32_t valid = in->valid;
	int err = node_open(local, node, handle, O_PATH, &opened, NULL);

	if (err != 0)
		return err;
	int fd = opened->fd;
	if (valid & DW_SET_SIZE)
		err = change_size(local, node, handle, fd, in->size);
	if (err == 0 && (valid & (DW_SET_UID | DW_SET_GID)) &&
	    fchownat(fd, "", valid & DW_SET_UID ? in->uid : (uid_t)-1, valid & DW_SET_GID ? in->gid : (gid_t)-1,
		     AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
		err = -errno;
	if (err == 0 && (valid & DW_SET_MODE))
		err = change_mode(fd, in->mode);
	else if (err == 0 && (valid & DW_SET_KILL_PRIV))
		err = attr_kill_privileges(fd);
	if (err == 0 && (valid & (DW_SET_ATIME | DW_SET_MTIME))) {
		struct timespec times[2] = {new_time(valid, DW_SET_ATIME, DW_SET_ATIME_NOW, &in->atime),
					    new_time(valid, DW_SET_MTIME, DW_SET_MTIME_NOW, &in->mtime)};

		if (utimensat(fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
			err = -errno;
	}
	if (err == 0)
		err = local_statx(fd, "", &stx);
	if (err == 0)
		attr_of(&stx, out);
	opened_put(opened);
	return err;
}

int local_statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out)
{
	struct local *local = local_of(fs);
	struct place place;
	struct statfs st;

	/* Who has removed something and asks for free space is told of all of it. */
	if (dropper_busy(local->dropper)) {
		if (req->flags & DW_REQUEST_NOWAIT)
			return -EAGAIN;
		(void)dropper_wait(local->dropper);
	}
	int err = node_place(local, node, DW_NO_HANDLE, &place, NULL);

	if (err != 0)
		return err;
	if (fstatfs(place.at->fd, &st) != 0)
		err = -errno;
	opened_put(place.at);
	if (err != 0)
		return err;
	*out = (struct dw_statfs){
		.blocks = st.f_blocks,
		.blocks_free = st.f_bfree,
		.blocks_available = st.f_bavail,
		.files = st.f_files,
		.files_free = st.f_ffree,
		.block_size = (uint32_t)(st.f_frsize != 0 ? st.f_frsize : st.f_bsize),
		.name_max = (uint32_t)st.f_namelen,
	};
	return 0;
}

int local_syncfs(struct dw_filesystem *fs, const struct dw_request *req)
{
	struct local *local = local_of(fs);

	if (req->flags & DW_REQUEST_NOWAIT)
		return -EAGAIN;
	(void)dropper_wait(local->dropper);
	int fd = openat(local->root->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int err = syncfs(fd) == 0 ? 0 : -errno;
	close(fd);
	return err;
}
