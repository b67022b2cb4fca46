/* SPDX-License-Identifier: MIT */
/* readonly.c - a folder that cannot be written: every change is refused, everything reads the same each way */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conformance.h"

struct walk {
	int folders, files, links;
	uint64_t bytes;
};

static void check_changes_refused(void)
{
	struct statvfs fs;

	EXPECT_ERRNO(open("new-file", O_CREAT | O_RDWR, 0600), EROFS);
	EXPECT_ERRNO(mkdir("new-folder", 0700), EROFS);
	EXPECT_ERRNO(symlink("x", "new-link"), EROFS);
	EXPECT_ERRNO(mkfifo("new-fifo", 0600), EROFS);
	EXPECT_ERRNO(chmod(".", 0700), EROFS);
	EXPECT_ERRNO(utimensat(AT_FDCWD, ".", NULL, 0), EROFS);
	EXPECT_ERRNO(access(".", W_OK), EROFS);
	EXPECT_ERRNO(open("missing", O_RDONLY), ENOENT);
	NEED_OK(statvfs(".", &fs));
	EXPECT(fs.f_flag & ST_RDONLY);
}

static void check_file_refuses(const char *path)
{
	EXPECT_ERRNO(open(path, O_WRONLY), EROFS);
	EXPECT_ERRNO(open(path, O_RDWR), EROFS);
	EXPECT_ERRNO(truncate(path, 0), EROFS);
	EXPECT_ERRNO(unlink(path), EROFS);
	EXPECT_ERRNO(rename(path, "renamed"), EROFS);
	EXPECT_ERRNO(link(path, "linked"), EROFS);
	EXPECT_ERRNO(chmod(path, 0777), EROFS);
	EXPECT_ERRNO(chown(path, 0, 0), EROFS);
	EXPECT_ERRNO(setxattr(path, "user.x", "v", 1, 0), EROFS);
	EXPECT_ERRNO(open(path, O_RDONLY | O_DIRECTORY), ENOTDIR);
	EXPECT_ERRNO(mkdir(path, 0700), EEXIST);
}

/* The whole, then pieces from the back to the front, then a mapping: all the same bytes. */
static void check_content(const char *path, const struct stat *st)
{
	size_t size = (size_t)st->st_size;
	uint8_t *whole = malloc(size + 1), *piece = malloc(70000);
	int fd = (int)EXPECT_OK(open(path, O_RDONLY | O_CLOEXEC));
	void *address;
	size_t got = 0;

	if (fd < 0 || !whole || !piece)
		goto out;
	while (got < size) {
		ssize_t n = read(fd, whole + got, size - got);

		if (n <= 0) {
			case_report(__FILE__, __LINE__, path, "%s after %zu of %zu bytes",
				    n ? strerrorname_np(errno) : "the end", got, size);
			goto out;
		}
		got += (size_t)n;
	}
	if (read(fd, piece, 1) != 0)
		case_report(__FILE__, __LINE__, path, "has more bytes than stat says");
	for (size_t end = size, round = 0; end > 0 && round < 200; round++) {
		size_t want = 1 + (end * 2654435761u) % 69999;
		size_t from = end > want ? end - want : 0;

		if (pread(fd, piece, end - from, (off_t)from) != (ssize_t)(end - from) ||
		    memcmp(piece, whole + from, end - from) != 0) {
			case_report(__FILE__, __LINE__, path, "%zu bytes at %zu read otherwise", end - from, from);
			break;
		}
		end = size > 10000000 ? from / 2 : from;
	}
	if (size > 0) {
		address = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		if (address == MAP_FAILED || memcmp(address, whole, size) != 0)
			case_report(__FILE__, __LINE__, path, "the mapping differs");
		if (address != MAP_FAILED)
			munmap(address, size);
	}
out:
	if (fd >= 0)
		close(fd);
	free(whole);
	free(piece);
}

static void check_same_content(const char *path, const char *other)
{
	FILE *left = fopen(path, "re"), *right = fopen(other, "re");
	static char one[1 << 16], two[1 << 16];
	size_t got;

	if (!left || !right) {
		case_report(__FILE__, __LINE__, path, "%s", strerrorname_np(errno));
		goto out;
	}
	do {
		got = fread(one, 1, sizeof(one), left);
		if (fread(two, 1, sizeof(two), right) != got || memcmp(one, two, got) != 0) {
			case_report(__FILE__, __LINE__, path, "differs from %s", other);
			break;
		}
	} while (got > 0);
out:
	if (left)
		fclose(left);
	if (right)
		fclose(right);
}

static void check_against(const char *path, const char *reference)
{
	struct stat mine = stat_of(path), theirs;
	char other[PATH_MAX], one[PATH_MAX], two[PATH_MAX];

	snprintf(other, sizeof(other), "%s/%s", reference, path);
	if (lstat(other, &theirs) != 0) {
		case_report(__FILE__, __LINE__, path, "is not in %s", reference);
		return;
	}
	EXPECT_EQUAL(mine.st_mode, theirs.st_mode);
	EXPECT_EQUAL(mine.st_mtim.tv_sec, theirs.st_mtim.tv_sec);
	if (S_ISREG(mine.st_mode)) {
		EXPECT_EQUAL(mine.st_size, theirs.st_size);
		EXPECT_EQUAL(mine.st_nlink, theirs.st_nlink);
		check_same_content(path, other);
	} else if (S_ISLNK(mine.st_mode)) {
		ssize_t a = readlink(path, one, sizeof(one)), b = readlink(other, two, sizeof(two));

		EXPECT(a == b && a > 0 && memcmp(one, two, (size_t)a) == 0);
	} else if (S_ISDIR(mine.st_mode)) {
		EXPECT_EQUAL(count_entries(path), count_entries(other));
	}
}

static void check_folder(const char *path, const char *reference, struct walk *walk)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int entries = 0;

	if (!dir) {
		case_report(__FILE__, __LINE__, path, "%s when opened", strerrorname_np(errno));
		return;
	}
	walk->folders++;
	if (reference)
		check_against(path, reference);
	while ((entry = readdir(dir)) != NULL) {
		char below[PATH_MAX];
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		entries++;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		st = stat_of(below);
		EXPECT_EQUAL(entry->d_ino, st.st_ino);
		EXPECT(entry->d_type == DT_UNKNOWN || entry->d_type == IFTODT(st.st_mode));
		if (S_ISDIR(st.st_mode)) {
			check_folder(below, reference, walk);
			continue;
		}
		if (reference)
			check_against(below, reference);
		if (S_ISREG(st.st_mode)) {
			walk->bytes += (uint64_t)st.st_size;
			if (walk->files++ < 20)
				check_file_refuses(below);
			check_content(below, &st);
		} else if (S_ISLNK(st.st_mode)) {
			char target[PATH_MAX];

			walk->links++;
			EXPECT_EQUAL(readlink(below, target, sizeof(target)), st.st_size);
			EXPECT_ERRNO(unlink(below), EROFS);
		}
	}
	rewinddir(dir);
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			entries--;
	EXPECT_EQUAL(entries, 0);
	EXPECT_OK(closedir(dir));
}

int readonly_check(const char *folder, const char *reference)
{
	struct walk walk = {0, 0, 0, 0};
	char there[PATH_MAX];

	if (reference && !realpath(reference, there)) {
		case_report(__FILE__, __LINE__, reference, "%s", strerrorname_np(errno));
		return case_failures();
	}
	if (chdir(folder) != 0) {
		case_report(__FILE__, __LINE__, folder, "%s", strerrorname_np(errno));
		return case_failures();
	}
	check_changes_refused();
	check_folder(".", reference ? there : NULL, &walk);
	EXPECT(walk.files > 0);
	printf("%d folders, %d files, %d links, %llu bytes\n", walk.folders, walk.files, walk.links,
	       (unsigned long long)walk.bytes);
	return case_failures();
}
