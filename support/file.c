/* SPDX-License-Identifier: MIT */
#include "support/file.h"

#include <errno.h>
#include <unistd.h>

int file_read(int fd, void *buffer, size_t size)
{
	char *at = buffer;

	while (size) {
		ssize_t got = read(fd, at, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -EIO : -EINVAL;
		at += got;
		size -= (size_t)got;
	}
	return 0;
}

int file_write(int fd, const void *buffer, size_t size)
{
	const char *at = buffer;

	while (size) {
		ssize_t put = write(fd, at, size);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		at += put;
		size -= (size_t)put;
	}
	return 0;
}

int file_write_at(int fd, const void *buffer, size_t size, uint64_t offset)
{
	const char *at = buffer;

	while (size) {
		ssize_t put = pwrite(fd, at, size, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		at += put;
		size -= (size_t)put;
		offset += (uint64_t)put;
	}
	return 0;
}
