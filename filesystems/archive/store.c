/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/store.h"

#include "support/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPILL_MAGIC   0x4c4c495053574944ull
#define SPILL_VERSION 1u
#define SPILL_START   4096u
#define FILES_MAX     4096u /* looked at when the folder is pruned */

struct spill_header {
	uint64_t magic;
	uint32_t version;
	uint32_t key;
	struct index_identity identity;
	char boot[40];
	uint64_t durable; /* content that a clean end has synced */
	uint32_t tainted;
	uint32_t reserved;
};

static uint64_t path_hash(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3ull;
	return hash;
}

static bool store_name(char *out, const char *folder, const char *path, const char *ending)
{
	int length = snprintf(out, PATH_MAX, "%s/%016llx.%s", folder, (unsigned long long)path_hash(path), ending);

	return length > 0 && length < PATH_MAX;
}

int store_load_index(const char *folder, const char *path, const struct index_identity *identity, struct index *out)
{
	char name[PATH_MAX];
	struct stat state;
	char *block = NULL;
	int error = -ENAMETOOLONG;
	int fd = -1;

	if (!store_name(name, folder, path, "index"))
		return error;
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EIO;
	error = -EINVAL;
	if (fstat(fd, &state) || !S_ISREG(state.st_mode) || state.st_size < (off_t)sizeof(struct index_head))
		goto out;
	error = -ENOMEM;
	block = malloc((size_t)state.st_size);
	if (!block)
		goto out;
	error = file_read(fd, block, (size_t)state.st_size);
	if (!error && !index_same_archive(&((struct index_head *)(void *)block)->identity, identity))
		error = -EINVAL;
	if (!error)
		error = index_adopt(out, block, (size_t)state.st_size);
	if (!error) {
		block = NULL;
		futimens(fd, NULL); /* used now: pruned last */
	}
out:
	free(block);
	close(fd);
	return error;
}

int store_save_index(const char *folder, const char *path, const struct index *index)
{
	char name[PATH_MAX], temporary[PATH_MAX + 8];
	int folder_fd, error, fd;

	if (!store_name(name, folder, path, "index"))
		return -ENAMETOOLONG;
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", name);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = file_write(fd, index->head, (size_t)index->head->total_size);
	if (!error && fsync(fd))
		error = -errno;
	close(fd);
	if (!error && rename(temporary, name))
		error = -errno;
	if (error) {
		unlink(temporary);
		return error;
	}
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd >= 0) {
		fsync(folder_fd);
		close(folder_fd);
	}
	return 0;
}

struct kept_file {
	char name[NAME_MAX + 1];
	uint64_t size;
	struct timespec used;
};

static int kept_file_order(const void *a, const void *b)
{
	const struct timespec *first = &((const struct kept_file *)a)->used;
	const struct timespec *second = &((const struct kept_file *)b)->used;

	if (first->tv_sec != second->tv_sec)
		return first->tv_sec < second->tv_sec ? -1 : 1;
	return first->tv_nsec < second->tv_nsec ? -1 : first->tv_nsec > second->tv_nsec;
}

static bool ends_with(const char *name, const char *ending)
{
	size_t length = strlen(name), tail = strlen(ending);

	return length > tail && strcmp(name + length - tail, ending) == 0;
}

/* Remove a file unless it is in use. */
static bool prune_file(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool gone = false;

	if (fd < 0)
		return false;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		gone = unlinkat(folder, name, 0) == 0;
	close(fd);
	return gone;
}

/* Keep what is in the folder within bound bytes, if what is in use allows it. */
static void store_prune(const char *folder, uint64_t bound)
{
	struct kept_file *files = malloc(FILES_MAX * sizeof(*files));
	DIR *listing = opendir(folder);
	struct dirent *entry;
	uint64_t total = 0;
	size_t count = 0;

	while (files && listing && count < FILES_MAX && (entry = readdir(listing))) {
		struct stat state;

		if ((!ends_with(entry->d_name, ".index") && !ends_with(entry->d_name, ".spill")) ||
		    fstatat(dirfd(listing), entry->d_name, &state, AT_SYMLINK_NOFOLLOW) || !S_ISREG(state.st_mode))
			continue;
		snprintf(files[count].name, sizeof(files[count].name), "%s", entry->d_name);
		files[count].size = (uint64_t)state.st_blocks * 512;
		files[count].used = state.st_mtim;
		total += files[count].size;
		count++;
	}
	if (total > bound) {
		qsort(files, count, sizeof(*files), kept_file_order);
		for (size_t i = 0; i < count && total > bound; i++) {
			if (prune_file(dirfd(listing), files[i].name))
				total -= files[i].size;
		}
	}
	if (listing)
		closedir(listing);
	free(files);
}

static void read_boot(char *boot, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, boot, size - 1) : 0;

	boot[got > 0 ? got : 0] = 0;
	if (fd >= 0)
		close(fd);
}

/* The named file, locked, or a nameless one when that is in use. */
static int spill_file(const char *folder, const char *name)
{
	struct stat state;
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &state) == 0 && S_ISREG(state.st_mode) &&
	    state.st_nlink == 1)
		return fd;
	if (fd >= 0)
		close(fd);
	return open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
}

void store_spill_open(const char *folder, const char *path, const char *name, const struct index_identity *identity,
		      uint32_t key, uint64_t limit, struct spill *out)
{
	struct spill_header header, wanted = {.magic = SPILL_MAGIC, .version = SPILL_VERSION, .key = key};
	char full[PATH_MAX], ending[64];
	struct statvfs disk;
	struct stat state;

	*out = (struct spill){.fd = -1, .start = SPILL_START, .limit = limit};
	wanted.identity = *identity;
	read_boot(wanted.boot, sizeof(wanted.boot));
	snprintf(ending, sizeof(ending), "%s.spill", name);
	if (!limit || !store_name(full, folder, path, ending))
		return;
	out->fd = spill_file(folder, full);
	if (out->fd < 0)
		return;
	store_prune(folder, limit);

	if (pread(out->fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) && header.magic == SPILL_MAGIC &&
	    header.version == SPILL_VERSION && header.key == key && !header.tainted &&
	    index_same_archive(&header.identity, identity) && fstat(out->fd, &state) == 0 &&
	    state.st_size >= SPILL_START) {
		uint64_t there = (uint64_t)state.st_size - SPILL_START;
		bool same_boot = wanted.boot[0] && strncmp(header.boot, wanted.boot, sizeof(header.boot)) == 0;

		out->have = same_boot ? there : header.durable <= there ? header.durable : 0;
		wanted.durable = header.durable < out->have ? header.durable : out->have;
	}
	if (ftruncate(out->fd, (off_t)(SPILL_START + out->have)) ||
	    pwrite(out->fd, &wanted, sizeof(wanted), 0) != (ssize_t)sizeof(wanted)) {
		close(out->fd);
		out->fd = -1;
		return;
	}
	/* Never take more than half of what is free. */
	if (fstatvfs(out->fd, &disk) == 0) {
		uint64_t most = out->have + (uint64_t)disk.f_bavail * disk.f_frsize / 2;

		out->limit = out->limit < most ? out->limit : most;
	}
}

void store_spill_close(struct spill *spill, uint64_t have)
{
	if (spill->fd < 0)
		return;
	if (fdatasync(spill->fd) == 0 &&
	    pwrite(spill->fd, &have, sizeof(have), offsetof(struct spill_header, durable)) == (ssize_t)sizeof(have))
		fdatasync(spill->fd);
	close(spill->fd);
	spill->fd = -1;
}

void store_spill_taint(int fd)
{
	uint32_t one = 1;
	ssize_t put;

	if (fd < 0)
		return;
	put = pwrite(fd, &one, sizeof(one), offsetof(struct spill_header, tainted));
	if (put != (ssize_t)sizeof(one))
		(void)!ftruncate(fd, 0); /* without its header the file means nothing */
}
