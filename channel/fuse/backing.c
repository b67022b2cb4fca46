/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/ioctl.h>

#include "channel_internal.h"

int channel_backing_open(struct channel *channel, int fd, uint32_t *id)
{
	struct fuse_backing_map map = {.fd = fd};
	int result;

	if (!(channel->drive.flags & FUSE_PASSTHROUGH))
		return -EOPNOTSUPP;
	result = ioctl(channel->config.fuse_fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
	if (result > 0) {
		*id = (uint32_t)result;
		return 0;
	}
	/* Without the privilege, or over a file system that itself lies on too many others. */
	if (result == 0 || errno == EPERM || errno == ELOOP || errno == ENOTTY)
		return -EOPNOTSUPP;
	return -errno;
}

int channel_backing_close(struct channel *channel, uint32_t id)
{
	if (!(channel->drive.flags & FUSE_PASSTHROUGH))
		return -EOPNOTSUPP;
	return ioctl(channel->config.fuse_fd, FUSE_DEV_IOC_BACKING_CLOSE, &id) == 0 ? 0 : -errno;
}
