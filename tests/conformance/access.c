/* SPDX-License-Identifier: MIT */
/* access.c - who may do what: the same questions asked as another user */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conformance.h"

static void files_run(void *argument)
{
	struct stat st;

	EXPECT(file_is("readable", "r"));
	EXPECT_ERRNO(open("readable", O_WRONLY), EACCES);
	EXPECT_ERRNO(open("readable", O_RDONLY | O_TRUNC), EACCES);
	EXPECT_ERRNO(truncate("readable", 0), EACCES);
	EXPECT_ERRNO(open("private", O_RDONLY), EACCES);
	EXPECT_ERRNO(access("private", R_OK), EACCES);
	EXPECT_OK(access("private", F_OK));
	EXPECT_OK(stat("private", &st));
	EXPECT_ERRNO(access("readable", X_OK), EACCES);
	EXPECT_ERRNO(chmod("readable", 0777), EPERM);
	EXPECT_ERRNO(chown("readable", OTHER_ID, (gid_t)-1), EPERM);
	EXPECT_ERRNO(utimensat(AT_FDCWD, "readable", (struct timespec[2]){{1, 1}, {1, 1}}, 0), EPERM);
	EXPECT_ERRNO(utimensat(AT_FDCWD, "readable", NULL, 0), EACCES);
	EXPECT_OK(utimensat(AT_FDCWD, "writable", NULL, 0));
	EXPECT_ERRNO(open("readable", O_RDONLY | O_NOATIME), EPERM);
}

static void access_files(void)
{
	make_file("readable", "r");
	make_file("private", "p");
	make_file("writable", "w");
	NEED_OK(chmod("private", 0600));
	NEED_OK(chmod("writable", 0666));
	as_other(files_run, NULL);
	EXPECT(file_is("readable", "r"));
}

static void folders_run(void *argument)
{
	struct stat st;

	EXPECT_ERRNO(open("closed/file", O_RDONLY), EACCES);
	EXPECT_ERRNO(stat("closed/file", &st), EACCES);
	EXPECT_ERRNO(stat("closed/missing", &st), EACCES);
	EXPECT_ERRNO(chdir("closed"), EACCES);
	EXPECT_ERRNO(open("closed", O_RDONLY | O_DIRECTORY), EACCES);
	EXPECT_OK(stat("walked/file", &st));
	EXPECT_ERRNO(open("walked", O_RDONLY | O_DIRECTORY), EACCES);
	EXPECT_ERRNO(open("walked/new", O_CREAT | O_RDWR, 0600), EACCES);
	EXPECT_ERRNO(unlink("walked/file"), EACCES);
	EXPECT_ERRNO(rename("walked/file", "open/file"), EACCES);
	EXPECT_ERRNO(mkdir("walked/new", 0700), EACCES);
	EXPECT_ERRNO(symlink("x", "walked/new"), EACCES);
	EXPECT_ERRNO(mkfifo("walked/new", 0600), EACCES);
	EXPECT_EQUAL(count_entries("listed"), 1);
	EXPECT_ERRNO(stat("listed/file", &st), EACCES);
	make_file("open/mine", "m");
	EXPECT_EQUAL(stat_of("open/mine").st_uid, OTHER_ID);
	EXPECT_EQUAL(stat_of("open/mine").st_gid, OTHER_ID);
	EXPECT_OK(unlink("open/theirs"));
	EXPECT_ERRNO(rename("open/mine", "walked/mine"), EACCES);
	EXPECT_OK(rename("open/mine", "open/moved"));
}

static void access_folders(void)
{
	static const struct {
		const char *name;
		mode_t mode;
	} folders[] = {{"closed", 0700}, {"walked", 0711}, {"listed", 0744}, {"open", 0777}};

	for (size_t i = 0; i < 4; i++) {
		char path[64];

		make_folder(folders[i].name);
		snprintf(path, sizeof(path), "%s/%s", folders[i].name, i == 3 ? "theirs" : "file");
		make_file(path, "x");
		NEED_OK(chmod(folders[i].name, folders[i].mode));
	}
	as_other(folders_run, NULL);
}

static void sticky_run(void *argument)
{
	EXPECT_ERRNO(unlink("sticky/theirs"), EPERM);
	EXPECT_ERRNO(rename("sticky/theirs", "sticky/x"), EPERM);
	EXPECT_ERRNO(rmdir("sticky/folder"), EPERM);
	make_file("sticky/mine", "m");
	EXPECT_ERRNO(rename("sticky/mine", "sticky/theirs"), EPERM);
	EXPECT_OK(rename("sticky/mine", "sticky/moved"));
	EXPECT_OK(unlink("sticky/moved"));
}

static void access_sticky(void)
{
	make_folder("sticky");
	NEED_OK(chmod("sticky", 01777));
	make_file("sticky/theirs", "t");
	NEED_OK(chmod("sticky/theirs", 0666));
	make_folder("sticky/folder");
	as_other(sticky_run, NULL);
	EXPECT(exists("sticky/theirs"));
}

static void setuid_run(void *argument)
{
	int fd = (int)NEED_OK(open("written", O_RDWR));

	EXPECT_EQUAL(write(fd, "x", 1), 1);
	EXPECT_OK(close(fd));
	EXPECT_OK(truncate("truncated", 0));
	fd = (int)NEED_OK(open("extended", O_RDWR));
	EXPECT_OK(fallocate(fd, 0, 0, 10000));
	EXPECT_OK(close(fd));
	EXPECT_OK(chown("chowned", (uid_t)-1, OTHER_ID));
}

/* A change by a user without privileges takes the set-user-id bit away. */
static void access_clears_setuid(void)
{
	static const char *const names[] = {"written", "truncated", "extended", "chowned"};

	for (size_t i = 0; i < 4; i++) {
		make_file(names[i], "content");
		NEED_OK(chown(names[i], OTHER_ID, OTHER_ID));
		NEED_OK(chmod(names[i], 06777));
	}
	as_other(setuid_run, NULL);
	for (size_t i = 0; i < 4; i++)
		if ((stat_of(names[i]).st_mode & 07777) != 0777)
			case_report(__FILE__, __LINE__, names[i], "mode is %04o, expected 0777",
				    stat_of(names[i]).st_mode & 07777);
}

static void owner_run(void *argument)
{
	EXPECT_OK(chmod("owned", 0400));
	EXPECT_ERRNO(open("owned", O_WRONLY), EACCES);
	EXPECT_OK(chmod("owned", 0200));
	EXPECT_ERRNO(open("owned", O_RDONLY), EACCES);
	EXPECT_OK(utimensat(AT_FDCWD, "owned", (struct timespec[2]){{1, 1}, {1, 1}}, 0));
	EXPECT_ERRNO(chown("owned", 0, (gid_t)-1), EPERM);
	EXPECT_ERRNO(chown("owned", (uid_t)-1, 0), EPERM);
	EXPECT_OK(chown("owned", OTHER_ID, OTHER_ID));
	/* Not a member of the file's group: the bit is not set. */
	EXPECT_OK(chmod("grouped", 02755));
	EXPECT_EQUAL(stat_of("grouped").st_mode & 07777, 0755);
}

static void access_owner(void)
{
	make_file("owned", "x");
	NEED_OK(chown("owned", OTHER_ID, OTHER_ID));
	make_file("grouped", "x");
	NEED_OK(chown("grouped", OTHER_ID, 12));
	as_other(owner_run, NULL);
}

/* The owner's bits count for the owner even where the others' give more. */
static void class_run(void *argument)
{
	EXPECT_ERRNO(open("owner-none", O_RDONLY), EACCES);
	EXPECT_ERRNO(open("group-none", O_RDONLY), EACCES);
	EXPECT(file_is("group-only", "x"));
}

static void access_classes(void)
{
	make_file("owner-none", "x");
	NEED_OK(chown("owner-none", OTHER_ID, 0));
	NEED_OK(chmod("owner-none", 0077));
	make_file("group-none", "x");
	NEED_OK(chown("group-none", 0, OTHER_ID));
	NEED_OK(chmod("group-none", 0707));
	make_file("group-only", "x");
	NEED_OK(chown("group-only", 0, OTHER_ID));
	NEED_OK(chmod("group-only", 0040));
	as_other(class_run, NULL);
}

static void xattr_run(void *argument)
{
	char buffer[8];

	EXPECT_EQUAL(getxattr("readable", "user.x", buffer, sizeof(buffer)), 1);
	EXPECT_ERRNO(setxattr("readable", "user.x", "y", 1, 0), EACCES);
	EXPECT_ERRNO(removexattr("readable", "user.x"), EACCES);
	EXPECT_ERRNO(getxattr("private", "user.x", buffer, sizeof(buffer)), EACCES);
	EXPECT_ERRNO(setxattr("readable", "trusted.x", "y", 1, 0), EPERM);
}

static void access_xattrs(void)
{
	make_file("readable", "x");
	make_file("private", "x");
	NEED_OK(chmod("private", 0600));
	NEED_OK(setxattr("readable", "user.x", "v", 1, 0));
	NEED_OK(setxattr("private", "user.x", "v", 1, 0));
	as_other(xattr_run, NULL);
}

const struct conformance_case access_cases[] = {
	{"access_files", access_files, FEATURE_OTHER},
	{"access_folders", access_folders, FEATURE_OTHER},
	{"access_sticky", access_sticky, FEATURE_OTHER},
	{"access_clears_setuid", access_clears_setuid, FEATURE_OTHER | FEATURE_FALLOCATE},
	{"access_owner", access_owner, FEATURE_OTHER},
	{"access_classes", access_classes, FEATURE_OTHER},
	{"access_xattrs", access_xattrs, FEATURE_OTHER | FEATURE_XATTR},
	{NULL, NULL, 0},
};
