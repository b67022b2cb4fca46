/* SPDX-License-Identifier: MIT */
/* attributes.c - times, modes, owners, statx */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conformance.h"

static void times_are_exact(void)
{
	static const struct timespec times[][2] = {
		{{0, 0}, {0, 1}},
		{{1, 999999999}, {1234567890, 123456789}},
		{{2000000000, 5}, {2147483647, 999999999}},
		{{2147483648, 1}, {4102444800, 987654321}},
		{{-1, 500000000}, {-86400, 7}},
	};

	make_file("file", "x");
	make_folder("folder");
	NEED_OK(symlink("nowhere", "link"));
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		static const char *const names[] = {"file", "folder", "link"};

		for (int j = 0; j < 3; j++) {
			struct stat st;

			NEED_OK(utimensat(AT_FDCWD, names[j], times[i], AT_SYMLINK_NOFOLLOW));
			st = stat_of(names[j]);
			EXPECT_EQUAL(st.st_atim.tv_sec, times[i][0].tv_sec);
			EXPECT_EQUAL(st.st_atim.tv_nsec, times[i][0].tv_nsec);
			EXPECT_EQUAL(st.st_mtim.tv_sec, times[i][1].tv_sec);
			EXPECT_EQUAL(st.st_mtim.tv_nsec, times[i][1].tv_nsec);
		}
	}
}

static void times_now_and_omit(void)
{
	struct timespec set[2] = {{100, 1}, {200, 2}};
	struct timespec now, later;
	struct stat before, after;

	make_file("file", "x");
	NEED_OK(utimensat(AT_FDCWD, "file", set, 0));
	before = stat_of("file");
	set[0].tv_nsec = UTIME_OMIT;
	set[1] = (struct timespec){300, 3};
	clock_step();
	NEED_OK(utimensat(AT_FDCWD, "file", set, 0));
	after = stat_of("file");
	EXPECT(time_equal(after.st_atim, before.st_atim));
	EXPECT(time_equal(after.st_mtim, set[1]));
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	set[0].tv_nsec = UTIME_NOW;
	set[1].tv_nsec = UTIME_OMIT;
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec -= 1;
	NEED_OK(utimensat(AT_FDCWD, "file", set, 0));
	clock_gettime(CLOCK_REALTIME, &later);
	later.tv_sec += 1;
	after = stat_of("file");
	EXPECT(time_less(now, after.st_atim) && time_less(after.st_atim, later));
	EXPECT_EQUAL(after.st_mtim.tv_sec, 300);
	NEED_OK(utimensat(AT_FDCWD, "file", NULL, 0));
	after = stat_of("file");
	EXPECT(time_less(now, after.st_mtim) && time_less(after.st_mtim, later));
	set[0].tv_nsec = UTIME_OMIT;
	set[1].tv_nsec = UTIME_OMIT;
	before = stat_of("file");
	clock_step();
	EXPECT_OK(utimensat(AT_FDCWD, "file", set, 0));
	EXPECT(time_equal(before.st_ctim, stat_of("file").st_ctim));
	set[0].tv_nsec = 1000000000;
	EXPECT_ERRNO(utimensat(AT_FDCWD, "file", set, 0), EINVAL);
	EXPECT_ERRNO(utimensat(AT_FDCWD, "missing", NULL, 0), ENOENT);
}

/* ctime moves with each of these, mtime with none of them. */
static void times_after_attribute_changes(void)
{
	static const char *const steps[] = {"chmod", "chown", "link", "rename", "unlink", "utimens"};

	make_file("file", "x");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct stat before = stat_of("file"), after;
		struct timespec keep[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};

		clock_step();
		switch (i) {
		case 0:
			NEED_OK(chmod("file", 0600));
			break;
		case 1:
			NEED_OK(chown("file", geteuid(), getegid()));
			break;
		case 2:
			NEED_OK(link("file", "second"));
			break;
		case 3:
			NEED_OK(rename("file", "third"));
			NEED_OK(rename("third", "file"));
			break;
		case 4:
			NEED_OK(unlink("second"));
			break;
		default:
			NEED_OK(utimensat(AT_FDCWD, "file", keep, 0));
			break;
		}
		after = stat_of("file");
		if (!time_less(before.st_ctim, after.st_ctim))
			case_report(__FILE__, __LINE__, steps[i], "ctime did not change");
		if (!time_equal(before.st_mtim, after.st_mtim))
			case_report(__FILE__, __LINE__, steps[i], "mtime changed");
	}
}

static void times_of_new_things(void)
{
	static const char *const names[] = {"file", "folder", "link", "fifo"};
	struct timespec before, after;

	clock_gettime(CLOCK_REALTIME, &before);
	before.tv_sec -= 1;
	make_file("file", "");
	make_folder("folder");
	NEED_OK(symlink("x", "link"));
	NEED_OK(mkfifo("fifo", 0600));
	clock_gettime(CLOCK_REALTIME, &after);
	after.tv_sec += 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stat st = stat_of(names[i]);

		EXPECT(time_less(before, st.st_atim) && time_less(st.st_atim, after));
		EXPECT(time_less(before, st.st_mtim) && time_less(st.st_mtim, after));
		EXPECT(time_less(before, st.st_ctim) && time_less(st.st_ctim, after));
	}
}

static void birth_time(void)
{
	struct statx one, two;

	make_file("file", "x");
	NEED_OK(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &one));
	if (!(one.stx_mask & STATX_BTIME))
		case_skip("no birth times here");
	clock_step();
	NEED_OK(chmod("file", 0600));
	NEED_OK(rename("file", "moved"));
	NEED_OK(statx(AT_FDCWD, "moved", 0, STATX_BASIC_STATS | STATX_BTIME, &two));
	EXPECT_EQUAL(one.stx_btime.tv_sec, two.stx_btime.tv_sec);
	EXPECT_EQUAL(one.stx_btime.tv_nsec, two.stx_btime.tv_nsec);
	EXPECT(one.stx_btime.tv_sec > 1000000000);
}

static void statx_agrees(void)
{
	struct statx got;
	struct stat st;

	make_file("file", "12345");
	st = stat_of("file");
	NEED_OK(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &got));
	EXPECT_EQUAL(got.stx_ino, st.st_ino);
	EXPECT_EQUAL(got.stx_size, 5);
	EXPECT_EQUAL(got.stx_nlink, 1);
	EXPECT_EQUAL(got.stx_mode, st.st_mode);
	EXPECT_EQUAL(got.stx_blocks, st.st_blocks);
	EXPECT_EQUAL(got.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	NEED_OK(statx(AT_FDCWD, "file", AT_STATX_DONT_SYNC, STATX_SIZE, &got));
	EXPECT_EQUAL(got.stx_size, 5);
	EXPECT_ERRNO(statx(AT_FDCWD, "missing", 0, STATX_BASIC_STATS, &got), ENOENT);
}

static void chmod_every_mode(void)
{
	make_file("file", "");
	make_folder("folder");
	for (mode_t mode = 0; mode <= 07777; mode += 0111) {
		NEED_OK(chmod("file", mode));
		EXPECT_EQUAL(stat_of("file").st_mode, S_IFREG | mode);
		NEED_OK(chmod("folder", mode));
		EXPECT_EQUAL(stat_of("folder").st_mode, S_IFDIR | mode);
	}
	EXPECT_ERRNO(chmod("missing", 0), ENOENT);
	NEED_OK(symlink("file", "link"));
	NEED_OK(chmod("link", 0640));
	EXPECT_EQUAL(stat_of("file").st_mode & 07777, 0640);
	EXPECT_EQUAL(stat_of("link").st_mode & 07777, 0777);
}

static void chown_basics(void)
{
	make_file("file", "");
	NEED_OK(symlink("file", "link"));
	NEED_OK(chown("file", 1234, 5678));
	EXPECT_EQUAL(stat_of("file").st_uid, 1234);
	EXPECT_EQUAL(stat_of("file").st_gid, 5678);
	NEED_OK(chown("file", (uid_t)-1, 99));
	EXPECT_EQUAL(stat_of("file").st_uid, 1234);
	EXPECT_EQUAL(stat_of("file").st_gid, 99);
	NEED_OK(chown("file", 4000000000u, (gid_t)-1));
	EXPECT_EQUAL(stat_of("file").st_uid, 4000000000u);
	EXPECT_EQUAL(stat_of("file").st_gid, 99);
	NEED_OK(lchown("link", 77, 88));
	EXPECT_EQUAL(stat_of("link").st_uid, 77);
	EXPECT_EQUAL(stat_of("file").st_uid, 4000000000u);
}

static void chown_clears_setuid(void)
{
	make_file("file", "");
	NEED_OK(chmod("file", 06755));
	NEED_OK(chown("file", 1234, 1234));
	EXPECT_EQUAL(stat_of("file").st_mode & 07777, 0755);
	NEED_OK(chmod("file", 06711));
	EXPECT_EQUAL(stat_of("file").st_mode & 07777, 06711);
}

static void numbers_of_inodes(void)
{
	struct stat one, two;

	make_file("one", "");
	make_file("two", "");
	one = stat_of("one");
	two = stat_of("two");
	EXPECT(one.st_ino != two.st_ino);
	EXPECT_EQUAL(one.st_dev, two.st_dev);
	EXPECT_EQUAL(one.st_dev, stat_of(".").st_dev);
	EXPECT(one.st_ino != stat_of(".").st_ino);
	for (int i = 0; i < 20; i++)
		EXPECT_EQUAL(stat_of("one").st_ino, one.st_ino);
}

static void blocks_are_counted(void)
{
	char buffer[65536];
	int fd = make_open("file");

	memset(buffer, 1, sizeof(buffer));
	EXPECT_EQUAL(stat_of("file").st_blocks, 0);
	NEED(write(fd, buffer, sizeof(buffer)) == (ssize_t)sizeof(buffer));
	NEED_OK(fsync(fd));
	EXPECT(stat_of("file").st_blocks >= 128);
	EXPECT(stat_of("file").st_blocks < 256);
	NEED_OK(ftruncate(fd, 0));
	EXPECT_EQUAL(stat_of("file").st_blocks, 0);
	NEED_OK(close(fd));
}

const struct conformance_case attribute_cases[] = {
	{"times_are_exact", times_are_exact, 0},
	{"times_now_and_omit", times_now_and_omit, 0},
	{"times_after_attribute_changes", times_after_attribute_changes, FEATURE_LINKS},
	{"times_of_new_things", times_of_new_things, 0},
	{"birth_time", birth_time, 0},
	{"statx_agrees", statx_agrees, 0},
	{"chmod_every_mode", chmod_every_mode, 0},
	{"chown_basics", chown_basics, FEATURE_OTHER},
	{"chown_clears_setuid", chown_clears_setuid, FEATURE_OTHER},
	{"numbers_of_inodes", numbers_of_inodes, 0},
	{"blocks_are_counted", blocks_are_counted, 0},
	{NULL, NULL, 0},
};
