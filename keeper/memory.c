/* SPDX-License-Identifier: MIT */
#include "keeper/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

int memory_create(const char *name, uint64_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	int ret;

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (size > INT64_MAX || ftruncate(fd, (off_t)size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		ret = size > INT64_MAX ? -EFBIG : -errno;
		close(fd);
		return ret;
	}
	return fd;
}

int memory_create_region(struct region **out, uint32_t queue_count, uint32_t depth)
{
	uint64_t bytes = region_size(queue_count, depth, REGION_PLAIN_SLOTS);
	int fd = memory_create("driveway-region", bytes);
	struct region *region;

	*out = NULL;
	if (fd < 0)
		return fd;
	region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (region == MAP_FAILED) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	region->magic = REGION_MAGIC;
	region->version = REGION_VERSION;
	region->size = bytes;
	region->queue_count = queue_count;
	region->depth = depth;
	region->plain_count = REGION_PLAIN_SLOTS;
	*out = region;
	return fd;
}

void memory_free_region(struct region *region, uint64_t bytes)
{
	if (region)
		munmap(region, bytes);
}

uint32_t memory_possible_cpus(void)
{
	char text[1024];
	const char *at = text;
	unsigned long count = 0;
	ssize_t length;
	int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return 0;
	text[length] = 0;
	/* "0-3,8": ranges and single numbers */
	while (*at >= '0' && *at <= '9') {
		char *end;
		unsigned long first = strtoul(at, &end, 10);
		unsigned long last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last < first || last > INT_MAX)
			return 0;
		count += last - first + 1;
		at = *end == ',' ? end + 1 : end;
	}
	return (uint32_t)count;
}
