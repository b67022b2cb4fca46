/* SPDX-License-Identifier: MIT */
/* xattrs.c - extended attributes and, as their bytes, access control lists */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conformance.h"

static bool listed(const char *path, const char *name)
{
	char list[65536];
	ssize_t size = llistxattr(path, list, sizeof(list));

	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(list + at) + 1)
		if (strcmp(list + at, name) == 0)
			return true;
	return false;
}

static void xattr_basics(void)
{
	char buffer[64];
	struct stat before, after;

	make_file("file", "x");
	before = stat_of("file");
	clock_step();
	EXPECT_OK(setxattr("file", "user.one", "first", 5, 0));
	after = stat_of("file");
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	EXPECT(time_equal(before.st_mtim, after.st_mtim));
	EXPECT_EQUAL(getxattr("file", "user.one", buffer, sizeof(buffer)), 5);
	EXPECT(memcmp(buffer, "first", 5) == 0);
	EXPECT_EQUAL(getxattr("file", "user.one", NULL, 0), 5);
	EXPECT_ERRNO(getxattr("file", "user.one", buffer, 4), ERANGE);
	EXPECT_ERRNO(getxattr("file", "user.two", buffer, sizeof(buffer)), ENODATA);
	EXPECT_ERRNO(setxattr("file", "user.one", "x", 1, XATTR_CREATE), EEXIST);
	EXPECT_ERRNO(setxattr("file", "user.two", "x", 1, XATTR_REPLACE), ENODATA);
	EXPECT_OK(setxattr("file", "user.one", "replaced", 8, XATTR_REPLACE));
	EXPECT_OK(setxattr("file", "user.two", "", 0, XATTR_CREATE));
	EXPECT_EQUAL(getxattr("file", "user.one", buffer, sizeof(buffer)), 8);
	EXPECT_EQUAL(getxattr("file", "user.two", buffer, sizeof(buffer)), 0);
	EXPECT(listed("file", "user.one"));
	EXPECT(listed("file", "user.two"));
	EXPECT_OK(removexattr("file", "user.one"));
	EXPECT_ERRNO(removexattr("file", "user.one"), ENODATA);
	EXPECT(!listed("file", "user.one"));
	EXPECT(listed("file", "user.two"));
	EXPECT_ERRNO(setxattr("file", "nonsense", "x", 1, 0), EOPNOTSUPP);
	EXPECT_ERRNO(setxattr("missing", "user.one", "x", 1, 0), ENOENT);
}

static void xattr_list_sizes(void)
{
	char list[4096];
	ssize_t base, size;

	make_file("file", "");
	base = EXPECT_OK(listxattr("file", NULL, 0));
	NEED_OK(setxattr("file", "user.abc", "1", 1, 0));
	NEED_OK(setxattr("file", "user.de", "2", 1, 0));
	size = listxattr("file", NULL, 0);
	EXPECT_EQUAL(size, base + 9 + 8);
	EXPECT_EQUAL(listxattr("file", list, (size_t)size), size);
	EXPECT_ERRNO(listxattr("file", list, (size_t)size - 1), ERANGE);
}

static void xattr_sizes(void)
{
	static const size_t sizes[] = {1, 255, 256, 1000, 2000, 3000};
	static char got[65537];
	char value[4096], name[300];

	make_file("file", "");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pattern_fill(value, sizes[i], 0, (uint32_t)i);
		NEED_OK(setxattr("file", "user.value", value, sizes[i], 0));
		EXPECT_EQUAL(getxattr("file", "user.value", got, sizeof(got)), sizes[i]);
		EXPECT_EQUAL(pattern_differs(got, sizes[i], 0, (uint32_t)i), -1);
	}
	NEED_OK(removexattr("file", "user.value"));
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[255] = 0;
	EXPECT_OK(setxattr("file", name, "x", 1, 0));
	EXPECT_EQUAL(getxattr("file", name, got, sizeof(got)), 1);
	name[255] = 'n';
	name[256] = 0;
	EXPECT_ERRNO(setxattr("file", name, "x", 1, 0), ERANGE);
	EXPECT_ERRNO(setxattr("file", "user.", "x", 1, 0), EINVAL);
	EXPECT_ERRNO(setxattr("file", "user.big", got, sizeof(got), 0), E2BIG);
}

static void xattr_many(void)
{
	char name[64], value[16];

	make_file("file", "");
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "user.number-%d", i);
		snprintf(value, sizeof(value), "%d", i);
		NEED_OK(setxattr("file", name, value, strlen(value), XATTR_CREATE));
	}
	for (int i = 0; i < 40; i += 2) {
		snprintf(name, sizeof(name), "user.number-%d", i);
		NEED_OK(removexattr("file", name));
	}
	for (int i = 0; i < 40; i++) {
		char got[16] = {0};

		snprintf(name, sizeof(name), "user.number-%d", i);
		EXPECT_EQUAL(listed("file", name), i % 2 == 1);
		if (i % 2 == 0) {
			EXPECT_ERRNO(getxattr("file", name, got, sizeof(got)), ENODATA);
		} else {
			EXPECT(getxattr("file", name, got, sizeof(got)) > 0);
			EXPECT_EQUAL(strtol(got, NULL, 10), i);
		}
	}
}

static void xattr_of_kinds(void)
{
	char buffer[8];
	int fd;

	make_folder("folder");
	EXPECT_OK(setxattr("folder", "user.x", "v", 1, 0));
	EXPECT_EQUAL(getxattr("folder", "user.x", buffer, sizeof(buffer)), 1);
	NEED_OK(symlink("folder", "link"));
	EXPECT_ERRNO(lsetxattr("link", "user.x", "v", 1, 0), EPERM);
	EXPECT_EQUAL(getxattr("link", "user.x", buffer, sizeof(buffer)), 1);
	fd = make_open("file");
	EXPECT_OK(fsetxattr(fd, "user.x", "w", 1, 0));
	NEED_OK(link("file", "second"));
	NEED_OK(rename("file", "third"));
	EXPECT_EQUAL(getxattr("second", "user.x", buffer, sizeof(buffer)), 1);
	EXPECT_EQUAL(getxattr("third", "user.x", buffer, sizeof(buffer)), 1);
	NEED_OK(unlink("second"));
	NEED_OK(unlink("third"));
	EXPECT_EQUAL(fgetxattr(fd, "user.x", buffer, sizeof(buffer)), 1);
	EXPECT_EQUAL(buffer[0], 'w');
	EXPECT_OK(close(fd));
}

static void xattr_trusted(void)
{
	char buffer[8];

	make_file("file", "");
	EXPECT_OK(setxattr("file", "trusted.x", "t", 1, 0));
	EXPECT_EQUAL(getxattr("file", "trusted.x", buffer, sizeof(buffer)), 1);
	NEED_OK(symlink("file", "link"));
	EXPECT_OK(lsetxattr("link", "trusted.y", "l", 1, 0));
	EXPECT_EQUAL(lgetxattr("link", "trusted.y", buffer, sizeof(buffer)), 1);
	EXPECT_ERRNO(getxattr("file", "trusted.y", buffer, sizeof(buffer)), ENODATA);
}

/* The bytes of an access control list as the kernel takes them: version 2, then tag, permissions, id. */
struct acl_entry {
	uint16_t tag;
	uint16_t permissions;
	uint32_t id;
};
struct acl {
	uint32_t version;
	struct acl_entry entry[5];
};
#define ACL_USER_OBJ  1
#define ACL_USER      2
#define ACL_GROUP_OBJ 4
#define ACL_MASK      16
#define ACL_OTHER     32
#define ACL_NOBODY    0xffffffffu

static struct acl sample_acl(uint16_t user, uint16_t group, uint16_t mask)
{
	return (struct acl){2,
			    {{ACL_USER_OBJ, 7, ACL_NOBODY},
			     {ACL_USER, user, OTHER_ID},
			     {ACL_GROUP_OBJ, group, ACL_NOBODY},
			     {ACL_MASK, mask, ACL_NOBODY},
			     {ACL_OTHER, 0, ACL_NOBODY}}};
}

static void acl_access(void)
{
	struct acl acl = sample_acl(6, 4, 6), got;
	struct acl bad = acl;

	make_file("file", "x");
	NEED_OK(chmod("file", 0600));
	EXPECT_ERRNO(getxattr("file", "system.posix_acl_access", &got, sizeof(got)), ENODATA);
	NEED_OK(setxattr("file", "system.posix_acl_access", &acl, sizeof(acl), 0));
	EXPECT_EQUAL(getxattr("file", "system.posix_acl_access", &got, sizeof(got)), sizeof(got));
	EXPECT(memcmp(&acl, &got, sizeof(acl)) == 0);
	/* The mask shows as the group's bits. */
	EXPECT_EQUAL(stat_of("file").st_mode & 07777, 0760);
	EXPECT(listed("file", "system.posix_acl_access"));
	/* chmod changes the mask, not the group. */
	NEED_OK(chmod("file", 0640));
	EXPECT_EQUAL(getxattr("file", "system.posix_acl_access", &got, sizeof(got)), sizeof(got));
	EXPECT_EQUAL(got.entry[0].permissions, 6);
	EXPECT_EQUAL(got.entry[2].permissions, 4);
	EXPECT_EQUAL(got.entry[3].permissions, 4);
	bad.entry[0].tag = 77;
	EXPECT_ERRNO(setxattr("file", "system.posix_acl_access", &bad, sizeof(bad), 0), EINVAL);
	EXPECT_OK(removexattr("file", "system.posix_acl_access"));
	EXPECT_ERRNO(getxattr("file", "system.posix_acl_access", &got, sizeof(got)), ENODATA);
}

static void acl_default(void)
{
	struct acl acl = sample_acl(7, 5, 7), got;

	make_folder("folder");
	NEED_OK(setxattr("folder", "system.posix_acl_default", &acl, sizeof(acl), 0));
	umask(077);
	NEED_OK(close((int)NEED_OK(open("folder/file", O_CREAT | O_RDWR, 0666))));
	EXPECT_EQUAL(getxattr("folder/file", "system.posix_acl_access", &got, sizeof(got)), sizeof(got));
	EXPECT_EQUAL(got.entry[1].permissions, 7);
	EXPECT_EQUAL(got.entry[3].permissions, 6);
	EXPECT_EQUAL(stat_of("folder/file").st_mode & 07777, 0660);
	NEED_OK(mkdir("folder/sub", 0777));
	EXPECT_EQUAL(getxattr("folder/sub", "system.posix_acl_default", &got, sizeof(got)), sizeof(got));
	EXPECT(memcmp(&acl, &got, sizeof(acl)) == 0);
	EXPECT_EQUAL(stat_of("folder/sub").st_mode & 0777, 0770);
	make_file("file", "");
	EXPECT_ERRNO(setxattr("file", "system.posix_acl_default", &acl, sizeof(acl), 0), EACCES);
}

static void acl_checked_run(void *argument)
{
	EXPECT_OK(access("allowed", R_OK));
	EXPECT(file_is("allowed", "x"));
	EXPECT_ERRNO(open("allowed", O_WRONLY), EACCES);
	EXPECT_ERRNO(open("masked", O_RDONLY), EACCES);
}

static void acl_is_checked(void)
{
	struct acl reads = sample_acl(4, 0, 4), masked = sample_acl(4, 0, 0);

	make_file("allowed", "x");
	make_file("masked", "x");
	NEED_OK(chmod("allowed", 0600));
	NEED_OK(chmod("masked", 0600));
	NEED_OK(setxattr("allowed", "system.posix_acl_access", &reads, sizeof(reads), 0));
	NEED_OK(setxattr("masked", "system.posix_acl_access", &masked, sizeof(masked), 0));
	as_other(acl_checked_run, NULL);
}

const struct conformance_case xattr_cases[] = {
	{"xattr_basics", xattr_basics, FEATURE_XATTR},
	{"xattr_list_sizes", xattr_list_sizes, FEATURE_XATTR},
	{"xattr_sizes", xattr_sizes, FEATURE_XATTR},
	{"xattr_many", xattr_many, FEATURE_XATTR},
	{"xattr_of_kinds", xattr_of_kinds, FEATURE_XATTR | FEATURE_LINKS},
	{"xattr_trusted", xattr_trusted, FEATURE_TRUSTED},
	{"acl_access", acl_access, FEATURE_ACL},
	{"acl_default", acl_default, FEATURE_ACL},
	{"acl_is_checked", acl_is_checked, FEATURE_ACL | FEATURE_OTHER},
	{NULL, NULL, 0},
};
