/* SPDX-License-Identifier: MIT */
/* renames.c - rename, every kind onto every kind, and its flags */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conformance.h"

static int rename_flags(const char *from, const char *to, unsigned flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void rename_file(void)
{
	struct stat before, after, folder;

	make_file("a", "content");
	make_folder("to");
	before = stat_of("a");
	folder = stat_of("to");
	clock_step();
	EXPECT_OK(rename("a", "to/b"));
	after = stat_of("to/b");
	EXPECT(!exists("a"));
	EXPECT_EQUAL(before.st_ino, after.st_ino);
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	EXPECT(time_equal(before.st_mtim, after.st_mtim));
	EXPECT(time_less(folder.st_mtim, stat_of("to").st_mtim));
	EXPECT(file_is("to/b", "content"));
	EXPECT_ERRNO(rename("a", "c"), ENOENT);
	EXPECT_ERRNO(rename("to/b", "missing/c"), ENOENT);
	EXPECT_ERRNO(rename("to/b/x", "c"), ENOTDIR);
	EXPECT_ERRNO(rename("to/b", "to/b/c"), ENOTDIR);
}

static void rename_over_file(void)
{
	struct stat st;
	char buffer[8] = {0};
	int fd;

	make_file("a", "new");
	make_file("b", "old");
	fd = (int)NEED_OK(open("b", O_RDONLY));
	EXPECT_OK(rename("a", "b"));
	EXPECT(!exists("a"));
	EXPECT(file_is("b", "new"));
	EXPECT_EQUAL(read(fd, buffer, sizeof(buffer)), 3);
	EXPECT(memcmp(buffer, "old", 3) == 0);
	NEED_OK(fstat(fd, &st));
	EXPECT_EQUAL(st.st_nlink, 0);
	NEED_OK(close(fd));
	EXPECT_EQUAL(count_entries("."), 1);
}

static void rename_folder(void)
{
	nlink_t from, to;

	make_folder("from");
	make_folder("to");
	make_folder("from/a");
	make_file("from/a/file", "inside");
	from = stat_of("from").st_nlink;
	to = stat_of("to").st_nlink;
	EXPECT_OK(rename("from/a", "to/b"));
	EXPECT(!exists("from/a"));
	EXPECT(file_is("to/b/file", "inside"));
	if (from != 1 || to != 1) {
		EXPECT_EQUAL(stat_of("from").st_nlink, from - 1);
		EXPECT_EQUAL(stat_of("to").st_nlink, to + 1);
	}
	EXPECT_EQUAL(stat_of("to/b/..").st_ino, stat_of("to").st_ino);
}

static void rename_folder_over(void)
{
	make_folder("a");
	make_file("a/file", "kept");
	make_folder("empty");
	make_folder("full");
	make_file("full/x", "x");
	make_file("file", "f");
	EXPECT_OK(rename("a", "empty"));
	EXPECT(file_is("empty/file", "kept"));
	EXPECT(!exists("a"));
	EXPECT(rename("empty", "full") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
	EXPECT_ERRNO(rename("empty", "file"), ENOTDIR);
	EXPECT_ERRNO(rename("file", "full"), EISDIR);
	EXPECT(file_is("empty/file", "kept"));
	EXPECT(file_is("file", "f"));
	EXPECT(file_is("full/x", "x"));
}

static void rename_into_itself(void)
{
	make_folder("a");
	make_folder("a/b");
	make_folder("a/b/c");
	EXPECT_ERRNO(rename("a", "a/x"), EINVAL);
	EXPECT_ERRNO(rename("a", "a/b/c/x"), EINVAL);
	EXPECT_ERRNO(rename("a", "a/b"), EINVAL);
	EXPECT(rename("a/b/c", "a") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
	EXPECT_ERRNO(rename("a/.", "x"), EBUSY);
	EXPECT_OK(rename("a", "a"));
	EXPECT(exists("a/b/c"));
}

static void rename_same_file(void)
{
	make_file("a", "one");
	NEED_OK(link("a", "b"));
	EXPECT_OK(rename("a", "b"));
	EXPECT(exists("a"));
	EXPECT(exists("b"));
	EXPECT_EQUAL(stat_of("a").st_nlink, 2);
	EXPECT_OK(rename("a", "a"));
	EXPECT(file_is("a", "one"));
}

static void rename_no_replace(void)
{
	make_file("a", "a");
	make_file("b", "b");
	make_folder("folder");
	EXPECT_ERRNO(rename_flags("a", "b", RENAME_NOREPLACE), EEXIST);
	EXPECT_ERRNO(rename_flags("a", "folder", RENAME_NOREPLACE), EEXIST);
	EXPECT_ERRNO(rename_flags("a", "a", RENAME_NOREPLACE), EEXIST);
	EXPECT(file_is("a", "a"));
	EXPECT(file_is("b", "b"));
	EXPECT_OK(rename_flags("a", "c", RENAME_NOREPLACE));
	EXPECT(file_is("c", "a"));
	EXPECT(!exists("a"));
	EXPECT_ERRNO(rename_flags("b", "c", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	EXPECT_ERRNO(rename_flags("b", "d", 1u << 30), EINVAL);
}

static void rename_exchange(void)
{
	nlink_t links;

	make_file("a", "a");
	make_file("b", "b");
	make_folder("one");
	make_folder("one/folder");
	make_folder("two");
	make_file("two/file", "f");
	EXPECT_OK(rename_flags("a", "b", RENAME_EXCHANGE));
	EXPECT(file_is("a", "b"));
	EXPECT(file_is("b", "a"));
	links = stat_of("one").st_nlink;
	EXPECT_OK(rename_flags("one/folder", "two/file", RENAME_EXCHANGE));
	EXPECT(file_is("one/folder", "f"));
	EXPECT(S_ISDIR(stat_of("two/file").st_mode));
	EXPECT_EQUAL(stat_of("two/file/..").st_ino, stat_of("two").st_ino);
	if (links != 1)
		EXPECT_EQUAL(stat_of("one").st_nlink, links - 1);
	EXPECT_ERRNO(rename_flags("a", "missing", RENAME_EXCHANGE), ENOENT);
	EXPECT_ERRNO(rename_flags("missing", "a", RENAME_EXCHANGE), ENOENT);
	EXPECT_ERRNO(rename_flags("two", "two/file", RENAME_EXCHANGE), EINVAL);
	make_folder("full");
	make_file("full/x", "x");
	EXPECT_OK(rename_flags("full", "two", RENAME_EXCHANGE));
	EXPECT(file_is("two/x", "x"));
	EXPECT(exists("full/file"));
}

static void rename_links(void)
{
	make_file("target", "t");
	NEED_OK(symlink("target", "link"));
	make_file("file", "f");
	EXPECT_OK(rename("link", "moved"));
	EXPECT(S_ISLNK(stat_of("moved").st_mode));
	EXPECT(file_is("moved", "t"));
	EXPECT_OK(rename("file", "moved"));
	EXPECT(S_ISREG(stat_of("moved").st_mode));
	EXPECT(file_is("target", "t"));
	NEED_OK(symlink("target", "again"));
	EXPECT_OK(rename("again", "moved"));
	EXPECT(S_ISLNK(stat_of("moved").st_mode));
	NEED_OK(mkfifo("fifo", 0600));
	EXPECT_OK(rename("fifo", "moved"));
	EXPECT(S_ISFIFO(stat_of("moved").st_mode));
}

static void rename_while_open(void)
{
	int fd = make_open("a");

	make_folder("folder");
	EXPECT_EQUAL(write(fd, "one", 3), 3);
	EXPECT_OK(rename("a", "folder/b"));
	EXPECT_EQUAL(write(fd, "two", 3), 3);
	EXPECT_OK(rename("folder", "moved"));
	EXPECT_EQUAL(write(fd, "three", 5), 5);
	EXPECT_OK(close(fd));
	EXPECT(file_is("moved/b", "onetwothree"));
}

static void rename_many_times(void)
{
	char from[32], to[32];
	struct stat st;
	int i;

	make_file("n0", "content");
	st = stat_of("n0");
	for (i = 0; i < 500; i++) {
		snprintf(from, sizeof(from), "n%d", i);
		snprintf(to, sizeof(to), "n%d", i + 1);
		NEED_OK(rename(from, to));
		EXPECT(!exists(from));
	}
	EXPECT(file_is("n500", "content"));
	EXPECT_EQUAL(stat_of("n500").st_ino, st.st_ino);
	EXPECT_EQUAL(count_entries("."), 1);
}

static void rename_working_directory(void)
{
	char path[4096];

	make_folder("a");
	make_folder("b");
	NEED_OK(chdir("a"));
	EXPECT_OK(rename("../a", "../b/c"));
	make_file("inside", "x");
	NEED(getcwd(path, sizeof(path)) != NULL);
	EXPECT(strlen(path) > 4 && strcmp(path + strlen(path) - 4, "/b/c") == 0);
	NEED_OK(chdir("../.."));
	EXPECT(file_is("b/c/inside", "x"));
}

const struct conformance_case rename_cases[] = {
	{"rename_file", rename_file, 0},
	{"rename_over_file", rename_over_file, 0},
	{"rename_folder", rename_folder, 0},
	{"rename_folder_over", rename_folder_over, 0},
	{"rename_into_itself", rename_into_itself, 0},
	{"rename_same_file", rename_same_file, FEATURE_LINKS},
	{"rename_no_replace", rename_no_replace, 0},
	{"rename_exchange", rename_exchange, 0},
	{"rename_links", rename_links, 0},
	{"rename_while_open", rename_while_open, 0},
	{"rename_many_times", rename_many_times, 0},
	{"rename_working_directory", rename_working_directory, 0},
	{NULL, NULL, 0},
};
