/* SPDX-License-Identifier: MIT */
/* loads_names.c - programs that make, move, link and remove, and know each answer beforehand */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "survival.h"

static bool absent(const char *path)
{
	struct stat st;

	return lstat(path, &st) == -1 && errno == ENOENT;
}

static bool links_are(const char *path, unsigned long count)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_nlink == count;
}

/* Without folders in it. Not everything counts links of folders: that is 1 then. */
static bool is_lone_folder(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_nlink == 2 || st.st_nlink == 1);
}

static bool create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd >= 0 && close(fd) == 0;
}

/* Each of these, done twice, answers EEXIST or ENOENT. */
static void load_names(struct load *load)
{
	char name[64], moved[64];

	for (uint32_t round = 0; load_going(load); round++) {
		snprintf(name, sizeof(name), "n-%u", round);
		snprintf(moved, sizeof(moved), "m-%u", round);
		LOAD_CHECK(load, mkdir(name, 0700) == 0);
		LOAD_CHECK(load, mkdir(name, 0700) == -1 && errno == EEXIST);
		LOAD_CHECK(load, rename(name, moved) == 0);
		LOAD_CHECK(load, absent(name));
		LOAD_CHECK(load, rmdir(moved) == 0);
		LOAD_CHECK(load, rmdir(moved) == -1 && errno == ENOENT);
		LOAD_CHECK(load, create(name));
		LOAD_CHECK(load, renameat2(AT_FDCWD, name, AT_FDCWD, moved, RENAME_NOREPLACE) == 0);
		LOAD_CHECK(load, unlink(moved) == 0);
		LOAD_CHECK(load, absent(moved));
		LOAD_CHECK(load, symlink("somewhere", name) == 0);
		LOAD_CHECK(load, unlink(name) == 0);
		LOAD_CHECK(load, mknod(name, S_IFIFO | 0600, 0) == 0);
		LOAD_CHECK(load, unlink(name) == 0);
	}
}

static void load_links(struct load *load)
{
	char name[64];

	LOAD_CHECK(load, create("file"));
	while (load_going(load)) {
		uint32_t count = 1 + load_random(load, 12);

		for (uint32_t i = 1; i <= count; i++) {
			snprintf(name, sizeof(name), "link-%u", i);
			LOAD_CHECK(load, link("file", name) == 0);
			LOAD_CHECK(load, links_are("file", i + 1));
		}
		/* A name onto another name of the same file: both stay. */
		LOAD_CHECK(load, rename("link-1", "file") == 0 && links_are("file", count + 1));
		for (uint32_t i = count; i >= 1; i--) {
			snprintf(name, sizeof(name), "link-%u", i);
			LOAD_CHECK(load, unlink(name) == 0);
			LOAD_CHECK(load, links_are("file", i));
		}
	}
}

/* Done twice, an exchange is not done at all. */
static void load_exchange(struct load *load)
{
	struct stat one, two, now;
	bool turned = false;

	LOAD_CHECK(load, create("one"));
	LOAD_CHECK(load, mkdir("two", 0700) == 0);
	LOAD_CHECK(load, mkdir("folder", 0700) == 0);
	LOAD_CHECK(load, rename("two", "folder/two") == 0);
	LOAD_CHECK(load, stat("one", &one) == 0 && stat("folder/two", &two) == 0);
	while (load_going(load)) {
		LOAD_CHECK(load, renameat2(AT_FDCWD, "one", AT_FDCWD, "folder/two", RENAME_EXCHANGE) == 0);
		turned = !turned;
		LOAD_CHECK(load, stat("one", &now) == 0);
		LOAD_CHECK(load, now.st_ino == (turned ? two.st_ino : one.st_ino));
		LOAD_CHECK(load, S_ISDIR(now.st_mode) == turned);
	}
}

static void load_xattrs(struct load *load)
{
	char name[64], value[64], got[64];

	LOAD_CHECK(load, create("file"));
	if (setxattr("file", "user.probe", "x", 1, 0) == -1 && errno == EOPNOTSUPP)
		return;
	for (uint32_t round = 0; load_going(load); round++) {
		int length = snprintf(value, sizeof(value), "value of %u", round);

		snprintf(name, sizeof(name), "user.name-%u", round % 5);
		LOAD_CHECK(load, setxattr("file", name, value, (size_t)length, XATTR_CREATE) == 0);
		LOAD_CHECK(load, setxattr("file", name, "", 0, XATTR_CREATE) == -1 && errno == EEXIST);
		LOAD_CHECK(load, getxattr("file", name, got, sizeof(got)) == length &&
					 memcmp(got, value, (size_t)length) == 0);
		LOAD_CHECK(load, setxattr("file", name, "other", 5, XATTR_REPLACE) == 0);
		LOAD_CHECK(load, removexattr("file", name) == 0);
		LOAD_CHECK(load, removexattr("file", name) == -1 && errno == ENODATA);
	}
}

/* A folder whose lasting entries are listed exactly once while others come and go. */
static void load_listing(struct load *load)
{
	enum { LASTING = 400 };
	static uint8_t seen[LASTING];
	char name[64];

	for (int i = 0; i < LASTING; i++) {
		snprintf(name, sizeof(name), "lasting-%03d", i);
		if (!LOAD_CHECK(load, create(name)))
			return;
	}
	for (uint32_t round = 0; load_going(load); round++) {
		struct dirent *entry;
		uint32_t step = 0;
		DIR *dir = opendir(".");

		if (!LOAD_CHECK(load, dir != NULL))
			continue;
		memset(seen, 0, sizeof(seen));
		errno = 0;
		while ((entry = readdir(dir)) != NULL) {
			unsigned number;

			if (sscanf(entry->d_name, "lasting-%u", &number) == 1 && number < LASTING)
				seen[number]++;
			if (step++ % 40 == 0) {
				snprintf(name, sizeof(name), "passing-%u-%u", round, step);
				LOAD_CHECK(load, create(name));
				LOAD_CHECK(load, unlink(name) == 0);
			}
			errno = 0;
		}
		if (errno)
			load_wrong(load, "readdir");
		closedir(dir);
		for (int i = 0; i < LASTING; i++)
			if (seen[i] != 1)
				load_wrong(load, "lasting-%03d was listed %d times", i, seen[i]);
		load_did(load);
	}
}

/* Attributes: what was set is what is found, every time. */
static void load_attributes(struct load *load)
{
	LOAD_CHECK(load, create("file"));
	for (uint32_t round = 0; load_going(load); round++) {
		struct timespec times[2] = {{round, round % 1000000000}, {2 * round, (round * 3) % 1000000000}};
		mode_t mode = 0400 | (round % 0200);
		struct stat st;

		LOAD_CHECK(load, chmod("file", mode) == 0);
		LOAD_CHECK(load, utimensat(AT_FDCWD, "file", times, 0) == 0);
		LOAD_CHECK(load, truncate("file", round % 100000) == 0);
		LOAD_CHECK(load, utimensat(AT_FDCWD, "file", times, 0) == 0);
		LOAD_CHECK(load, stat("file", &st) == 0 && (st.st_mode & 07777) == mode &&
					 st.st_size == round % 100000 && st.st_mtim.tv_sec == times[1].tv_sec &&
					 st.st_mtim.tv_nsec == times[1].tv_nsec);
	}
}

/* Two processes would do: many names at once in a tree that grows and is torn down. */
static void load_tree(struct load *load)
{
	char path[256];

	for (uint32_t round = 0; load_going(load); round++) {
		uint32_t depth = 1 + load_random(load, 6);
		size_t at = 0;

		for (uint32_t i = 0; i < depth; i++) {
			at += (size_t)snprintf(path + at, sizeof(path) - at, "%sd%u", i ? "/" : "", i);
			LOAD_CHECK(load, mkdir(path, 0700) == 0);
			LOAD_CHECK(load, is_lone_folder(path));
		}
		snprintf(path + at, sizeof(path) - at, "/leaf");
		LOAD_CHECK(load, create(path));
		LOAD_CHECK(load, rename("d0", "top") == 0);
		LOAD_CHECK(load, absent(path));
		LOAD_CHECK(load, rename("top", "d0") == 0);
		LOAD_CHECK(load, unlink(path) == 0);
		for (uint32_t i = 0; i < depth; i++) {
			char *slash = strrchr(path, '/');

			*slash = 0;
			LOAD_CHECK(load, rmdir(path) == 0);
		}
	}
}

const struct load_kind name_loads[] = {
	{"names", load_names},	     {"links", load_links},
	{"exchange", load_exchange}, {"xattrs", load_xattrs},
	{"listing", load_listing},   {"attributes", load_attributes},
	{"tree", load_tree},	     {NULL, NULL},
};
