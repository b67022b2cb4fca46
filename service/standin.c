/* SPDX-License-Identifier: MIT */
#include "service/standin.h"

#include <errno.h>

static int standin_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			  struct dw_entry *out)
{
	return -EIO;
}

static int standin_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			   struct dw_attr *out, uint64_t *timeout)
{
	return -EIO;
}

static int standin_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			   uint64_t offset, struct dw_listing *listing)
{
	return -EIO;
}

static int standin_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			void *buffer, size_t size, uint64_t offset, size_t *done)
{
	return -EIO;
}

static int standin_write(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			 const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *done)
{
	return -EIO;
}

static int standin_open(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
			struct dw_open *out)
{
	return -EIO;
}

static int standin_opendir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_open *out)
{
	return -EIO;
}

static int standin_fsync(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			 bool data_only)
{
	return -EIO;
}

static int standin_setattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			   const struct dw_setattr *in, struct dw_attr *out)
{
	return -EIO;
}

static int standin_create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			  uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	return -EIO;
}

static int standin_mkdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			 uint32_t mode, struct dw_entry *out)
{
	return -EIO;
}

static int standin_remove(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	return -EIO;
}

static int standin_rename(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			  uint64_t new_parent, const char *new_name, uint32_t flags)
{
	return -EIO;
}

static int standin_statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out)
{
	return -EIO;
}

static const struct dw_filesystem_ops standin_ops = {
	.size = sizeof(struct dw_filesystem_ops),
	.lookup = standin_lookup,
	.getattr = standin_getattr,
	.readdir = standin_readdir,
	.read = standin_read,
	.write = standin_write,
	.open = standin_open,
	.opendir = standin_opendir,
	.fsync = standin_fsync,
	.fsyncdir = standin_fsync,
	.setattr = standin_setattr,
	.create = standin_create,
	.mkdir = standin_mkdir,
	.unlink = standin_remove,
	.rmdir = standin_remove,
	.rename = standin_rename,
	.statfs = standin_statfs,
};

void standin_prepare(struct dw_filesystem *fs)
{
	*fs = (struct dw_filesystem){
		.size = sizeof(*fs),
		.ops = &standin_ops,
		.flags = DW_FS_NOWAIT,
	};
}
