/* SPDX-License-Identifier: MIT */
/*
 * kept.h - memory that outlives the service on Windows
 *
 * A region is a file in a folder of the disk's own, mapped shared: what was stored stays in the system's page cache
 * when the process dies, and the next one maps the same file. The file is sparse and marked as temporary, so what is
 * not touched costs nothing and the system writes it only when it needs the memory. A loss of power loses it: so does a
 * memory disk.
 *
 * Threads: every function from any thread, on different structs or under a lock of the caller.
 */
#ifndef SERVICE_WINDOWS_KEPT_H
#define SERVICE_WINDOWS_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#define KEPT_REGIONS 17u /* 16 of the file system, and the volume's */

struct kept_region {
	char name[32];
	uint64_t size;
	void *file;    /* HANDLE */
	void *mapping; /* HANDLE */
	void *address;
};

struct kept_folder {
	char path[260]; /* UTF-8, exists */
	unsigned count;
	struct kept_region region[KEPT_REGIONS];
};

/* Make the folder; fresh: throw away what is in it. A negative errno. */
int kept_open(struct kept_folder *folder, const char *path, bool fresh);
/* The region called name, made when it is not there. -EINVAL (another size, a bad name), -ENOSPC, -ENOMEM, -EIO. */
int kept_map(struct kept_folder *folder, const char *name, uint64_t size, void **address, bool *fresh);
/* Unmap all; remove: and delete it. */
void kept_close(struct kept_folder *folder, bool remove);

#endif
