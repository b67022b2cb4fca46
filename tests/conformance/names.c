/* SPDX-License-Identifier: MIT */
/* names.c - open and its flags, unlink, link, symlink, special files, what a name may be */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "conformance.h"

static void open_create(void)
{
	struct stat st;
	int fd = (int)NEED_OK(open("new", O_CREAT | O_WRONLY, 0640));

	NEED_OK(fstat(fd, &st));
	EXPECT(S_ISREG(st.st_mode));
	EXPECT_EQUAL(st.st_mode & 07777, 0640);
	EXPECT_EQUAL(st.st_size, 0);
	EXPECT_EQUAL(st.st_nlink, 1);
	EXPECT_EQUAL(st.st_uid, geteuid());
	EXPECT_EQUAL(st.st_gid, getegid());
	EXPECT_EQUAL(st.st_ino, stat_of("new").st_ino);
	EXPECT_OK(close(fd));
	fd = (int)EXPECT_OK(open("new", O_CREAT | O_WRONLY, 0777));
	NEED_OK(fstat(fd, &st));
	EXPECT_EQUAL(st.st_mode & 07777, 0640);
	EXPECT_OK(close(fd));
	EXPECT_ERRNO(open("missing", O_RDONLY), ENOENT);
	EXPECT_ERRNO(open("missing/new", O_CREAT | O_RDWR, 0600), ENOENT);
	EXPECT_ERRNO(open("new/below", O_CREAT | O_RDWR, 0600), ENOTDIR);
	EXPECT_ERRNO(open("new/", O_RDONLY), ENOTDIR);
	EXPECT_ERRNO(open("", O_RDONLY), ENOENT);
	EXPECT_ERRNO(open("new", O_RDONLY | O_DIRECTORY), ENOTDIR);
}

static void open_modes_are_kept(void)
{
	int mode;

	umask(0);
	for (mode = 0; mode <= 0777; mode += 0111) {
		char name[16];
		int fd;

		snprintf(name, sizeof(name), "m%04o", (unsigned)mode);
		fd = (int)NEED_OK(open(name, O_CREAT | O_EXCL | O_RDWR, mode));
		EXPECT_EQUAL(stat_of(name).st_mode & 07777, mode);
		EXPECT_EQUAL(write(fd, "x", 1), 1);
		NEED_OK(close(fd));
	}
}

static void open_umask(void)
{
	umask(027);
	NEED_OK(close(make_open("file")));
	EXPECT_EQUAL(stat_of("file").st_mode & 07777, 0640);
	make_folder("folder");
	EXPECT_EQUAL(stat_of("folder").st_mode & 0777, 0750);
	NEED_OK(mkfifo("fifo", 0666));
	EXPECT_EQUAL(stat_of("fifo").st_mode & 07777, 0640);
}

static void open_exclusive(void)
{
	make_file("there", "x");
	make_folder("folder");
	NEED_OK(symlink("nowhere", "dangling"));
	EXPECT_ERRNO(open("there", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	EXPECT_ERRNO(open("folder", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	EXPECT_ERRNO(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	EXPECT(!exists("nowhere"));
	EXPECT(file_is("there", "x"));
}

static void open_through_link(void)
{
	int fd;

	NEED_OK(symlink("target", "link"));
	fd = (int)NEED_OK(open("link", O_CREAT | O_WRONLY, 0600));
	EXPECT_EQUAL(write(fd, "hello", 5), 5);
	NEED_OK(close(fd));
	EXPECT(file_is("target", "hello"));
	EXPECT_ERRNO(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	fd = (int)EXPECT_OK(open("link", O_PATH | O_NOFOLLOW));
	EXPECT_OK(close(fd));
	NEED_OK(symlink("self", "self"));
	EXPECT_ERRNO(open("self", O_RDONLY), ELOOP);
}

static void open_truncate(void)
{
	struct stat before, after;
	int fd;

	make_file("file", "some content");
	before = stat_of("file");
	clock_step();
	fd = (int)NEED_OK(open("file", O_WRONLY | O_TRUNC));
	after = stat_of("file");
	EXPECT_EQUAL(after.st_size, 0);
	EXPECT_EQUAL(after.st_blocks, 0);
	EXPECT(time_less(before.st_mtim, after.st_mtim));
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	EXPECT_OK(close(fd));
}

static void open_folder_for_writing(void)
{
	int fd;

	make_folder("folder");
	EXPECT_ERRNO(open("folder", O_WRONLY), EISDIR);
	EXPECT_ERRNO(open("folder", O_RDWR), EISDIR);
	EXPECT_ERRNO(open("folder", O_RDONLY | O_CREAT, 0600), EISDIR);
	fd = (int)NEED_OK(open("folder", O_RDONLY | O_DIRECTORY));
	EXPECT_ERRNO(read(fd, (char[8]){0}, 8), EISDIR);
	EXPECT_ERRNO(write(fd, "x", 1), EBADF);
	EXPECT_OK(close(fd));
}

static void open_access_modes(void)
{
	char byte;
	int fd;

	make_file("file", "x");
	fd = (int)NEED_OK(open("file", O_RDONLY));
	EXPECT_ERRNO(write(fd, "y", 1), EBADF);
	EXPECT_ERRNO(ftruncate(fd, 0), EINVAL);
	NEED_OK(close(fd));
	fd = (int)NEED_OK(open("file", O_WRONLY));
	EXPECT_ERRNO(read(fd, &byte, 1), EBADF);
	NEED_OK(close(fd));
	EXPECT(file_is("file", "x"));
}

static void unlink_basics(void)
{
	struct stat before, after;
	int fd;

	make_file("file", "x");
	make_folder("folder");
	NEED_OK(link("file", "second"));
	fd = (int)NEED_OK(open("second", O_RDONLY));
	NEED_OK(fstat(fd, &before));
	EXPECT_EQUAL(before.st_nlink, 2);
	clock_step();
	EXPECT_OK(unlink("file"));
	NEED_OK(fstat(fd, &after));
	EXPECT_EQUAL(after.st_nlink, 1);
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	EXPECT_ERRNO(unlink("file"), ENOENT);
	EXPECT_ERRNO(unlink("folder"), EISDIR);
	EXPECT_ERRNO(unlink("second/x"), ENOTDIR);
	EXPECT_ERRNO(unlink("missing/x"), ENOENT);
	EXPECT_OK(close(fd));
}

static void unlink_while_open(void)
{
	char buffer[16] = {0};
	struct stat st;
	int fd = make_open("file");

	EXPECT_EQUAL(write(fd, "first", 5), 5);
	EXPECT_OK(unlink("file"));
	EXPECT(!exists("file"));
	EXPECT_EQUAL(write(fd, "second", 6), 6);
	EXPECT_EQUAL(pread(fd, buffer, sizeof(buffer), 0), 11);
	EXPECT(memcmp(buffer, "firstsecond", 11) == 0);
	NEED_OK(fstat(fd, &st));
	EXPECT_EQUAL(st.st_nlink, 0);
	EXPECT_EQUAL(st.st_size, 11);
	EXPECT_OK(ftruncate(fd, 3));
	EXPECT_OK(fchmod(fd, 0600));
	EXPECT_OK(futimens(fd, (struct timespec[2]){{1, 2}, {3, 4}}));
	NEED_OK(fstat(fd, &st));
	EXPECT_EQUAL(st.st_size, 3);
	EXPECT_EQUAL(st.st_mode & 07777, 0600);
	EXPECT_EQUAL(st.st_mtim.tv_nsec, 4);
	make_file("file", "another");
	EXPECT(stat_of("file").st_ino != st.st_ino);
	EXPECT_EQUAL(pread(fd, buffer, sizeof(buffer), 0), 3);
	EXPECT_OK(fsync(fd));
	EXPECT_OK(close(fd));
	EXPECT(file_is("file", "another"));
	EXPECT_EQUAL(count_entries("."), 1);
}

static void link_basics(void)
{
	struct stat before, after;

	make_file("file", "shared");
	before = stat_of("file");
	clock_step();
	EXPECT_OK(link("file", "second"));
	after = stat_of("file");
	EXPECT_EQUAL(after.st_nlink, 2);
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	EXPECT(time_equal(before.st_mtim, after.st_mtim));
	EXPECT_EQUAL(stat_of("second").st_ino, before.st_ino);
	EXPECT_OK(chmod("second", 0600));
	EXPECT_EQUAL(stat_of("file").st_mode & 07777, 0600);
	EXPECT_OK(truncate("second", 3));
	EXPECT(file_is("file", "sha"));
	make_folder("folder");
	EXPECT_ERRNO(link("file", "second"), EEXIST);
	EXPECT_ERRNO(link("missing", "third"), ENOENT);
	EXPECT_ERRNO(link("file", "missing/third"), ENOENT);
	EXPECT_ERRNO(link("file", "second/third"), ENOTDIR);
	EXPECT_ERRNO(link("folder", "third"), EPERM);
	EXPECT_OK(unlink("file"));
	EXPECT(file_is("second", "sha"));
	EXPECT_EQUAL(stat_of("second").st_nlink, 1);
}

static void link_of_link(void)
{
	NEED_OK(symlink("nowhere", "link"));
	EXPECT_OK(link("link", "again"));
	EXPECT(S_ISLNK(stat_of("again").st_mode));
	EXPECT_EQUAL(stat_of("again").st_ino, stat_of("link").st_ino);
	EXPECT_ERRNO(linkat(AT_FDCWD, "link", AT_FDCWD, "third", AT_SYMLINK_FOLLOW), ENOENT);
}

static void link_many(void)
{
	char name[32];
	int i;

	make_file("file", "x");
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		NEED_OK(link("file", name));
	}
	EXPECT_EQUAL(stat_of("file").st_nlink, 1001);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		NEED_OK(unlink(name));
	}
	EXPECT_EQUAL(stat_of("file").st_nlink, 1);
}

static void symlink_basics(void)
{
	char buffer[PATH_MAX];
	struct stat st;

	NEED_OK(symlink("some/where", "link"));
	EXPECT_EQUAL(readlink("link", buffer, sizeof(buffer)), 10);
	EXPECT(memcmp(buffer, "some/where", 10) == 0);
	EXPECT_EQUAL(readlink("link", buffer, 4), 4);
	st = stat_of("link");
	EXPECT(S_ISLNK(st.st_mode));
	EXPECT_EQUAL(st.st_size, 10);
	EXPECT_EQUAL(st.st_mode & 0777, 0777);
	EXPECT_ERRNO(symlink("x", "link"), EEXIST);
	EXPECT_ERRNO(symlink("", "empty"), ENOENT);
	EXPECT_ERRNO(symlink("x", "missing/link"), ENOENT);
	EXPECT_ERRNO(stat("link", &st), ENOENT);
	make_file("file", "");
	EXPECT_ERRNO(readlink("file", buffer, sizeof(buffer)), EINVAL);
	EXPECT_ERRNO(readlink("missing", buffer, sizeof(buffer)), ENOENT);
	make_folder("some");
	make_file("some/where", "found");
	EXPECT(file_is("link", "found"));
	EXPECT_OK(unlink("link"));
	EXPECT(exists("some/where"));
}

static void symlink_long_targets(void)
{
	static const int lengths[] = {1, 59, 60, 61, 255, 256, 1023, 1024, 2048, 4000, 4094, 4095};
	char target[4097], got[4097], name[32];
	size_t i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t length = (size_t)lengths[i];
		size_t j;

		for (j = 0; j < length; j++)
			target[j] = (char)('a' + (j + i) % 26);
		target[length] = 0;
		snprintf(name, sizeof(name), "link%zu", length);
		NEED_OK(symlink(target, name));
		EXPECT_EQUAL(stat_of(name).st_size, length);
		EXPECT_EQUAL(readlink(name, got, sizeof(got)), length);
		EXPECT(memcmp(target, got, length) == 0);
	}
	memset(target, 'x', 4096);
	target[4096] = 0;
	EXPECT_ERRNO(symlink(target, "toolong"), ENAMETOOLONG);
}

static void symlink_chain(void)
{
	char name[32], before[32];
	struct stat st;
	int i;

	make_file("l0", "end");
	for (i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(before, sizeof(before), "l%d", i - 1);
		NEED_OK(symlink(before, name));
	}
	EXPECT(file_is("l40", "end"));
	EXPECT_ERRNO(stat("l41", &st), ELOOP);
}

static void name_lengths(void)
{
	char name[258];
	struct stat st;

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	make_file(name, "long");
	EXPECT(file_is(name, "long"));
	EXPECT_ERRNO(mkdir(name, 0700), EEXIST);
	EXPECT_EQUAL(count_entries("."), 1);
	EXPECT_OK(rename(name, "short"));
	EXPECT_OK(rename("short", name));
	EXPECT_OK(unlink(name));
	EXPECT_OK(mkdir(name, 0700));
	EXPECT_OK(rmdir(name));
	name[255] = 'n';
	name[256] = 0;
	make_file("file", "x");
	EXPECT_ERRNO(open(name, O_CREAT | O_RDWR, 0600), ENAMETOOLONG);
	EXPECT_ERRNO(mkdir(name, 0700), ENAMETOOLONG);
	EXPECT_ERRNO(stat(name, &st), ENAMETOOLONG);
	EXPECT_ERRNO(unlink(name), ENAMETOOLONG);
	EXPECT_ERRNO(rename("file", name), ENAMETOOLONG);
	EXPECT_ERRNO(link("file", name), ENAMETOOLONG);
	EXPECT_ERRNO(symlink("file", name), ENAMETOOLONG);
	EXPECT_ERRNO(mkfifo(name, 0600), ENAMETOOLONG);
}

static void name_oddities(void)
{
	static const char *const odd[] = {
		" ",	     "  two",	 "trailing ", "trailing.", "...",
		"..x",	     ".hidden",	 "-rf",	      "a\nb",	   "tab\t",
		"\x01",	     "\x7f",	 "\xff\xfe",  "\xc0",	   "CON",
		"a:b",	     "a\\b",	 "a*b?",      "\"q\"",	   "%s%n",
		"~",	     "#x#",	 "$HOME",     "a;b",	   "\xf0\x9f\x98\x80",
		"e\xcc\x81", "\xc3\xa9", "A",	      "a",	   "\xc3\x84",
		"\xc3\xa4",
	};
	const size_t count = sizeof(odd) / sizeof(odd[0]);
	size_t i;

	for (i = 0; i < count; i++)
		make_file(odd[i], odd[i]);
	EXPECT_EQUAL(count_entries("."), count);
	for (i = 0; i < count; i++)
		EXPECT(file_is(odd[i], odd[i]));
	for (i = 0; i < count; i++)
		EXPECT_OK(unlink(odd[i]));
	EXPECT_EQUAL(count_entries("."), 0);
}

static void name_every_byte(void)
{
	int byte;

	for (byte = 1; byte < 256; byte++) {
		char name[4] = {'x', (char)byte, 'y', 0};

		if (byte != '/')
			make_file(name, name);
	}
	EXPECT_EQUAL(count_entries("."), 254);
	for (byte = 1; byte < 256; byte++) {
		char name[4] = {'x', (char)byte, 'y', 0};

		if (byte != '/')
			EXPECT(file_is(name, name));
	}
}

static void path_deep(void)
{
	int depth;

	for (depth = 0; depth < 200; depth++) {
		NEED_OK(mkdir("a-folder-with-a-name-that-is-somewhat-long", 0777));
		NEED_OK(chdir("a-folder-with-a-name-that-is-somewhat-long"));
	}
	make_file("bottom", "deep");
	EXPECT(file_is("bottom", "deep"));
	EXPECT_OK(unlink("bottom"));
	for (depth = 0; depth < 200; depth++) {
		NEED_OK(chdir(".."));
		EXPECT_OK(rmdir("a-folder-with-a-name-that-is-somewhat-long"));
	}
	EXPECT_EQUAL(count_entries("."), 0);
}

static void special_fifo(void)
{
	char byte = 0;
	int fd;

	NEED_OK(mkfifo("fifo", 0644));
	EXPECT(S_ISFIFO(stat_of("fifo").st_mode));
	EXPECT_ERRNO(mkfifo("fifo", 0644), EEXIST);
	fd = (int)NEED_OK(open("fifo", O_RDWR | O_NONBLOCK));
	EXPECT_EQUAL(write(fd, "p", 1), 1);
	EXPECT_EQUAL(read(fd, &byte, 1), 1);
	EXPECT_EQUAL(byte, 'p');
	EXPECT_OK(close(fd));
	EXPECT_ERRNO(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	EXPECT_OK(unlink("fifo"));
}

static void special_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int listener = (int)NEED_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	int client = (int)NEED_OK(socket(AF_UNIX, SOCK_STREAM, 0));

	NEED_OK(bind(listener, (struct sockaddr *)&address, sizeof(address)));
	EXPECT(S_ISSOCK(stat_of("socket").st_mode));
	NEED_OK(listen(listener, 1));
	EXPECT_OK(connect(client, (struct sockaddr *)&address, sizeof(address)));
	EXPECT_ERRNO(open("socket", O_RDONLY), ENXIO);
	EXPECT_OK(close(client));
	EXPECT_OK(close(listener));
	EXPECT_OK(unlink("socket"));
}

static void special_devices(void)
{
	struct stat st;

	NEED_OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	st = stat_of("null");
	EXPECT(S_ISCHR(st.st_mode));
	EXPECT_EQUAL(major(st.st_rdev), 1);
	EXPECT_EQUAL(minor(st.st_rdev), 3);
	NEED_OK(mknod("block", S_IFBLK | 0600, makedev(259, 70000)));
	st = stat_of("block");
	EXPECT(S_ISBLK(st.st_mode));
	EXPECT_EQUAL(major(st.st_rdev), 259);
	EXPECT_EQUAL(minor(st.st_rdev), 70000);
	NEED_OK(mknod("plain", S_IFREG | 0600, 0));
	EXPECT(S_ISREG(stat_of("plain").st_mode));
	EXPECT_ERRNO(mknod("plain", S_IFCHR | 0600, makedev(1, 3)), EEXIST);
	EXPECT_OK(unlink("null"));
	EXPECT_OK(unlink("block"));
}

const struct conformance_case names_cases[] = {
	{"open_create", open_create, 0},
	{"open_modes_are_kept", open_modes_are_kept, 0},
	{"open_umask", open_umask, 0},
	{"open_exclusive", open_exclusive, 0},
	{"open_through_link", open_through_link, 0},
	{"open_truncate", open_truncate, 0},
	{"open_folder_for_writing", open_folder_for_writing, 0},
	{"open_access_modes", open_access_modes, 0},
	{"unlink_basics", unlink_basics, FEATURE_LINKS},
	{"unlink_while_open", unlink_while_open, 0},
	{"link_basics", link_basics, FEATURE_LINKS},
	{"link_of_link", link_of_link, FEATURE_LINKS},
	{"link_many", link_many, FEATURE_LINKS},
	{"symlink_basics", symlink_basics, 0},
	{"symlink_long_targets", symlink_long_targets, 0},
	{"symlink_chain", symlink_chain, 0},
	{"name_lengths", name_lengths, 0},
	{"name_oddities", name_oddities, FEATURE_BYTES},
	{"name_every_byte", name_every_byte, FEATURE_BYTES},
	{"path_deep", path_deep, 0},
	{"special_fifo", special_fifo, 0},
	{"special_socket", special_socket, 0},
	{"special_devices", special_devices, FEATURE_NODES},
	{NULL, NULL, 0},
};
