/* SPDX-License-Identifier: MIT */
#include "tests/keeper/enable_uring.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define SWITCH "/sys/module/fuse/parameters/enable_uring"

bool enable_uring_set(bool on, char *before)
{
	int fd = open(SWITCH, O_RDWR | O_CLOEXEC);
	char wanted = on ? 'Y' : 'N';
	bool done;

	*before = wanted;
	if (fd < 0)
		return false;
	done = pread(fd, before, 1, 0) == 1 && (*before == wanted || pwrite(fd, &wanted, 1, 0) == 1);
	close(fd);
	if (done && *before != wanted)
		fprintf(stderr, "(switched fuse's enable_uring to %c for this test; it was %c)\n", wanted, *before);
	return done;
}

void enable_uring_restore(char before)
{
	int fd = open(SWITCH, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	if (pwrite(fd, &before, 1, 0) == 1)
		fprintf(stderr, "(fuse's enable_uring is %c again)\n", before);
	close(fd);
}
