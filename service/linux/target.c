/* SPDX-License-Identifier: MIT */
/*
 * target.c - can a drive appear at this folder?
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/linux/mapping.h"

/* 0, -ENOTEMPTY, or why it cannot be read. */
static int check_empty(const char *path)
{
	DIR *stream = opendir(path);
	struct dirent *entry;
	int ret = 0;

	if (!stream)
		return -errno;
	while (!ret && (entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			ret = -ENOTEMPTY;
	}
	closedir(stream);
	return ret;
}

int target_check(struct mapping *mapping, struct jsonrpc_error *error)
{
	const char *target = mapping->drive.request->target;
	struct statx stx;
	/* What the kernel has cached of a drive that is dead is not asked for. */
	int ret = statx(AT_FDCWD, target, AT_STATX_FORCE_SYNC, STATX_TYPE, &stx) ? -errno : 0;

	if (ret == -ENOTCONN) {
		log_write(&mapping->service->log, LOG_LEVEL_WARNING,
			  "%s: a dead drive of an earlier keeper is there; it is unmounted first", target);
		return 0;
	}
	if (ret == -ENOENT) {
		jsonrpc_fault(error, ret, "there is no folder %s: make it first, mkdir -p %s", target, target);
		return ret;
	}
	if (ret) {
		jsonrpc_fault(error, ret, "cannot use the target %s: %s", target, strerror(-ret));
		return ret;
	}
	if (!S_ISDIR(stx.stx_mode)) {
		jsonrpc_fault(error, -ENOTDIR, "%s is not a folder: choose an empty folder as the target", target);
		return -ENOTDIR;
	}
	if (mapping->options.nonempty)
		return 0;
	ret = check_empty(target);
	if (ret == -ENOTEMPTY)
		jsonrpc_fault(error, ret,
			      "%s is not empty: choose an empty folder, or map over what it holds with -o nonempty",
			      target);
	else if (ret)
		jsonrpc_fault(error, ret, "cannot look into %s: %s", target, strerror(-ret));
	return ret;
}
