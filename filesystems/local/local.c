/* SPDX-License-Identifier: MIT */
/*
 * local.c - the provider: local:/srv/data is a drive that mirrors the folder /srv/data
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "local.h"

#define SECOND		 1000000000u
#define TABLE_REGION	 (UINT64_C(8) << 30) /* address space: some fifty million nodes */
#define FOLDERS_MIN	 16u
#define FOLDERS_MAX	 4096u
#define FOLDERS_FRACTION 4u /* of the descriptors that this process may have */
#define DROPS		 256u
#define DROPS_FRACTION	 16u

bool local_room_made(struct local *local, const struct dw_request *req, int *err)
{
	if ((*err != -ENOSPC && *err != -EDQUOT) || !dropper_busy(local->dropper))
		return false;
	if (req->flags & DW_REQUEST_NOWAIT) {
		*err = -EAGAIN;
		return false;
	}
	return dropper_wait(local->dropper);
}

static void local_close(struct dw_filesystem *fs)
{
	struct local *local = local_of(fs);

	dropper_destroy(local->dropper);
	folders_close(local);
	table_lock(&local->table);
	table_drop_opened(&local->table);
	table_unlock(&local->table);
	table_close(&local->table);
	opened_put(local->root);
	free(local);
}

static const struct dw_filesystem_ops local_ops = {
	.size = sizeof(local_ops),
	.lookup = local_lookup,
	.getattr = local_getattr,
	.readdir = local_readdir,
	.read = local_read,
	.close = local_close,
	.forget = local_forget,
	.statfs = local_statfs,
	.syncfs = local_syncfs,
	.readlink = local_readlink,
	.mknod = local_mknod,
	.mkdir = local_mkdir,
	.unlink = local_unlink,
	.rmdir = local_rmdir,
	.rename = local_rename,
	.link = local_link,
	.symlink = local_symlink,
	.setattr = local_setattr,
	.setxattr = local_setxattr,
	.getxattr = local_getxattr,
	.listxattr = local_listxattr,
	.removexattr = local_removexattr,
	.open = local_open,
	.create = local_create,
	.tmpfile = local_tmpfile,
	.write = local_write,
	.release = local_release,
	.fsync = local_fsync,
	.opendir = local_opendir,
	.releasedir = local_release,
	.fsyncdir = local_fsyncdir,
	.fallocate = local_fallocate,
	.copy_file_range = local_copy_file_range,
	.lseek = local_lseek,
};

/* May this process make files for others? */
static bool may_give_files(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	uint32_t wanted = 1u << CAP_CHOWN | 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_DAC_OVERRIDE;

	return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & wanted) == wanted;
}

/* How many descriptors something may take: most, but no more than a part of what this process may have. */
static uint32_t descriptor_room(uint32_t most, uint32_t part)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / part < most)
		return (uint32_t)(limit.rlim_cur / part);
	return most;
}

static int open_root(const char *path, struct opened **out, struct identity *identity, char *error, size_t error_size)
{
	struct statx stx;
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (err == -ENOENT)
		snprintf(error, error_size, "there is no folder %s", path);
	else if (err == -ENOTDIR)
		snprintf(error, error_size, "%s is not a folder", path);
	else if (err != 0)
		snprintf(error, error_size, "the folder %s cannot be opened: %s", path, strerror(-err));
	if (err != 0)
		return err;
	err = local_statx(fd, "", &stx);
	if (err != 0) {
		close(fd);
		return err;
	}
	identity_of(&stx, identity);
	*out = opened_make(fd, O_PATH | O_DIRECTORY);
	return *out == NULL ? -ENOMEM : 0;
}

static int local_start(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
		       struct dw_filesystem **out, char *error, size_t error_size)
{
	struct identity identity;
	struct local *local;
	void *region;
	bool fresh;
	int err;

	if (source->option_count > 0) {
		snprintf(error, error_size, "local: knows no option %s", source->options[0].key);
		return -EINVAL;
	}
	if (source->rest[0] == '\0') {
		snprintf(error, error_size, "say which folder: local:/path/of/folder");
		return -EINVAL;
	}
	local = calloc(1, sizeof(*local));
	if (local == NULL)
		return -ENOMEM;
	local->host = host;
	local->uid = (uint32_t)geteuid();
	local->gid = (uint32_t)getegid();
	local->privileged = may_give_files();
	atomic_init(&local->backing, true);
	err = open_root(source->rest, &local->root, &identity, error, error_size);
	if (err != 0)
		goto fail;
	uint32_t folders = descriptor_room(FOLDERS_MAX, FOLDERS_FRACTION);
	err = folders_open(local, folders < FOLDERS_MIN ? FOLDERS_MIN : folders);
	if (err == 0)
		err = dropper_create(&local->dropper, descriptor_room(DROPS, DROPS_FRACTION));
	if (err != 0)
		goto fail;
	err = host->keep(host, "nodes", TABLE_REGION, &region, &fresh, NULL);
	if (err == 0)
		err = table_open(&local->table, region, TABLE_REGION, fresh, &identity);
	if (err != 0) {
		snprintf(error, error_size, "no memory to keep the table of files in: %s", strerror(-err));
		goto fail;
	}
	local->fs = (struct dw_filesystem){
		.size = sizeof(local->fs),
		.ops = &local_ops,
		.flags = DW_FS_NOWAIT | DW_FS_PERSISTENT | DW_FS_BACKING | DW_FS_ACL |
			 (source->read_only ? DW_FS_READ_ONLY : 0),
		.entry_timeout = SECOND,
		.attr_timeout = SECOND,
		.negative_timeout = SECOND,
	};
	*out = &local->fs;
	return 0;
fail:
	dropper_destroy(local->dropper);
	free(local->slots);
	opened_put(local->root);
	free(local);
	return err;
}

const struct dw_provider local_provider = {
	.size = sizeof(local_provider),
	.version = DW_API_VERSION,
	.flags = DW_PROVIDER_PATH,
	.name = "local",
	.summary = "mirrors a folder of this machine: local:/srv/data",
	.options = NULL,
	.open = local_start,
};
