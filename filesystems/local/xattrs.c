/* SPDX-License-Identifier: MIT */
/*
 * xattrs.c - extended attributes, POSIX ACLs among them
 *
 * A descriptor opened O_PATH has no extended attributes, but its link in /proc leads to the very file, also
 * to a symbolic link itself. Reading goes by folder and name in one call where the node is not open.
 *
 * Exactly once: setting twice is the same as once but for DW_XATTR_CREATE, and removing. These note first whether the
 * attribute was there (NOTE_EXISTED: 1 no, 2 yes). A replayed one that was legal then, and finds the attribute (create)
 * or does not find it (remove), took effect.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "local.h"

#define PROC_PATH_MAX (NAME_MAX + 64)

static void proc_path(char *path, const struct opened *at, const char *name)
{
	snprintf(path, PROC_PATH_MAX, name[0] == '\0' ? "/proc/self/fd/%d%s" : "/proc/self/fd/%d/%s", at->fd, name);
}

/* Reading: by name, not followed, or by descriptor. */
static int read_path(struct local *local, uint64_t node, struct place *place, char *path)
{
	int err = node_place(local, node, DW_NO_HANDLE, place, NULL);

	if (err == 0)
		proc_path(path, place->at, place->name);
	return err;
}

/* Does the place's descriptor itself have the attributes? */
static bool is_open(const struct place *place)
{
	return place->name[0] == '\0' && !(place->at->flags & O_PATH);
}

/* Writing: the node itself, checked. */
static int write_path(struct local *local, uint64_t node, struct opened **opened, char *path)
{
	int err = node_open(local, node, DW_NO_HANDLE, O_PATH, opened, NULL);

	if (err == 0)
		proc_path(path, *opened, "");
	return err;
}

int local_getxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name, void *value,
		   size_t *size)
{
	char path[PROC_PATH_MAX];
	struct place place;
	int err = read_path(local_of(fs), node, &place, path);

	if (err != 0)
		return err;
	ssize_t got;
	if (is_open(&place)) /* the kernel asks for security.capability at the first write to every file */
		got = fgetxattr(place.at->fd, name, value, *size);
	else
		got = place.name[0] == '\0' ? getxattr(path, name, value, *size) : lgetxattr(path, name, value, *size);
	err = got < 0 ? -errno : 0;
	opened_put(place.at);
	if (err == 0)
		*size = (size_t)got;
	return err == -ENOENT ? -ESTALE : err;
}

int local_listxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *list, size_t *size)
{
	char path[PROC_PATH_MAX];
	struct place place;
	int err = read_path(local_of(fs), node, &place, path);

	if (err != 0)
		return err;
	ssize_t got = place.name[0] == '\0' ? listxattr(path, list, *size) : llistxattr(path, list, *size);
	err = got < 0 ? -errno : 0;
	opened_put(place.at);
	if (err == 0)
		*size = (size_t)got;
	return err == -ENOENT ? -ESTALE : err;
}

/* Note whether the attribute is there, unless that was noted before the host was asked the first time. */
static bool note_existed(const struct dw_request *req, const char *path, const char *name)
{
	uint64_t *word = req->notes->word;

	if (!(req->flags & DW_REQUEST_REPLAYED) || word[NOTE_EXISTED] == 0) {
		word[NOTE_EXISTED] = getxattr(path, name, NULL, 0) >= 0 ? 2 : 1;
		atomic_signal_fence(memory_order_seq_cst);
		return false;
	}
	return true;
}

int local_setxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
		   const void *value, size_t size, uint32_t flags)
{
	struct local *local = local_of(fs);
	char path[PROC_PATH_MAX];
	struct opened *opened;
	int how = (flags & DW_XATTR_CREATE ? XATTR_CREATE : 0) | (flags & DW_XATTR_REPLACE ? XATTR_REPLACE : 0);
	int err = write_path(local, node, &opened, path);

	if (err != 0)
		return err;
	if (how == XATTR_CREATE && note_existed(req, path, name) && req->notes->word[NOTE_EXISTED] == 1)
		how = 0;
	if (setxattr(path, name, value, size, how) != 0)
		err = -errno;
	if (err == 0 && (flags & DW_XATTR_KILL_SGID)) {
		struct stat st;

		if (stat(path, &st) == 0 && (st.st_mode & S_ISGID) && chmod(path, st.st_mode & 05777u) != 0)
			err = -errno;
	}
	opened_put(opened);
	return err;
}

int local_removexattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name)
{
	struct local *local = local_of(fs);
	char path[PROC_PATH_MAX];
	struct opened *opened;
	int err = write_path(local, node, &opened, path);

	if (err != 0)
		return err;
	bool again = note_existed(req, path, name);
	if (removexattr(path, name) != 0)
		err = -errno;
	if (err == -ENODATA && again && req->notes->word[NOTE_EXISTED] == 2)
		err = 0;
	opened_put(opened);
	return err;
}
