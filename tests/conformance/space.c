/* SPDX-License-Identifier: MIT */
/* space.c - holes, fallocate, copy_file_range, what the drive says of its space */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "conformance.h"

#define MIB ((off_t)1 << 20)

/* The size of every byte range from..to is checked to be value. */
static void expect_bytes(int fd, off_t from, off_t to, int value, int line)
{
	uint8_t buffer[65536];

	while (from < to) {
		size_t want = to - from < (off_t)sizeof(buffer) ? (size_t)(to - from) : sizeof(buffer);
		ssize_t got = pread(fd, buffer, want, from);

		if (got != (ssize_t)want) {
			case_report(__FILE__, line, "read", "%zd of %zu bytes at %lld", got, want, (long long)from);
			return;
		}
		for (size_t i = 0; i < want; i++)
			if (buffer[i] != value) {
				case_report(__FILE__, line, "read", "byte %lld is %#x, expected %#x",
					    (long long)from + (long long)i, buffer[i], (unsigned)value);
				return;
			}
		from += (off_t)want;
	}
}

static void fill(int fd, off_t size, int value)
{
	uint8_t *buffer = malloc((size_t)MIB);

	NEED(buffer != NULL);
	memset(buffer, value, (size_t)MIB);
	for (off_t at = 0; at < size; at += MIB) {
		size_t want = size - at < MIB ? (size_t)(size - at) : (size_t)MIB;

		NEED(pwrite(fd, buffer, want, at) == (ssize_t)want);
	}
	free(buffer);
}

static void holes_are_found(void)
{
	int fd = make_open("file");

	NEED(pwrite(fd, "first", 5, 0) == 5);
	NEED(pwrite(fd, "second", 6, 8 * MIB) == 6);
	NEED_OK(ftruncate(fd, 16 * MIB));
	NEED_OK(fsync(fd));
	EXPECT_EQUAL(lseek(fd, 0, SEEK_DATA), 0);
	{
		off_t hole = lseek(fd, 0, SEEK_HOLE);
		off_t data = lseek(fd, MIB, SEEK_DATA);

		EXPECT(hole >= 5 && hole <= MIB);
		EXPECT(data > 7 * MIB && data <= 8 * MIB);
		hole = lseek(fd, 8 * MIB, SEEK_HOLE);
		EXPECT(hole > 8 * MIB && hole <= 9 * MIB);
	}
	EXPECT_EQUAL(lseek(fd, 4 * MIB, SEEK_HOLE), 4 * MIB);
	EXPECT_ERRNO(lseek(fd, 12 * MIB, SEEK_DATA), ENXIO);
	EXPECT_ERRNO(lseek(fd, 16 * MIB, SEEK_DATA), ENXIO);
	EXPECT_ERRNO(lseek(fd, 16 * MIB, SEEK_HOLE), ENXIO);
	EXPECT_EQUAL(lseek(fd, 12 * MIB, SEEK_HOLE), 12 * MIB);
	EXPECT(stat_of("file").st_blocks < 4096);
	EXPECT_OK(close(fd));
}

static void holes_full_file(void)
{
	int fd = make_open("file");

	fill(fd, 300000, 0x5a);
	NEED_OK(fsync(fd));
	EXPECT_EQUAL(lseek(fd, 0, SEEK_HOLE), 300000);
	EXPECT_EQUAL(lseek(fd, 299999, SEEK_DATA), 299999);
	EXPECT_EQUAL(lseek(fd, 299999, SEEK_HOLE), 300000);
	EXPECT(stat_of("file").st_blocks >= 300000 / 512);
	EXPECT_OK(close(fd));
}

static void fallocate_extends(void)
{
	struct stat before, after;
	int fd = make_open("file");

	before = stat_of("file");
	clock_step();
	NEED_OK(fallocate(fd, 0, 0, 3 * MIB));
	after = stat_of("file");
	EXPECT_EQUAL(after.st_size, 3 * MIB);
	EXPECT(after.st_blocks >= 3 * MIB / 512);
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	expect_bytes(fd, 0, 3 * MIB, 0, __LINE__);
	EXPECT_OK(fallocate(fd, 0, MIB, 1000));
	EXPECT_EQUAL(stat_of("file").st_size, 3 * MIB);
	EXPECT_OK(fallocate(fd, 0, 3 * MIB + 5, 10));
	EXPECT_EQUAL(stat_of("file").st_size, 3 * MIB + 15);
	EXPECT_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
	EXPECT_ERRNO(fallocate(fd, 0, -1, 10), EINVAL);
	EXPECT_OK(close(fd));
	fd = (int)NEED_OK(open("file", O_RDONLY));
	EXPECT_ERRNO(fallocate(fd, 0, 0, 10), EBADF);
	EXPECT_OK(close(fd));
}

static void fallocate_keep_size(void)
{
	int fd = make_open("file");

	NEED(write(fd, "data", 4) == 4);
	NEED_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * MIB));
	EXPECT_EQUAL(stat_of("file").st_size, 4);
	EXPECT(stat_of("file").st_blocks >= 2 * MIB / 512);
	EXPECT(file_is("file", "data"));
	NEED(pwrite(fd, "x", 1, MIB) == 1);
	expect_bytes(fd, 4, MIB, 0, __LINE__);
	EXPECT_OK(close(fd));
}

static void fallocate_punch_hole(void)
{
	struct stat before, after;
	int fd = make_open("file");

	fill(fd, 4 * MIB, 0x77);
	NEED_OK(fsync(fd));
	before = stat_of("file");
	clock_step();
	NEED_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 2 * MIB));
	after = stat_of("file");
	EXPECT_EQUAL(after.st_size, 4 * MIB);
	EXPECT(after.st_blocks <= before.st_blocks - MIB / 512);
	EXPECT(time_less(before.st_mtim, after.st_mtim));
	expect_bytes(fd, 0, MIB, 0x77, __LINE__);
	expect_bytes(fd, MIB, 3 * MIB, 0, __LINE__);
	expect_bytes(fd, 3 * MIB, 4 * MIB, 0x77, __LINE__);
	EXPECT_EQUAL(lseek(fd, 0, SEEK_HOLE), MIB);
	EXPECT_EQUAL(lseek(fd, MIB, SEEK_DATA), 3 * MIB);
	/* Not aligned to anything, and across the end. */
	NEED_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 5000));
	expect_bytes(fd, 0, 100, 0x77, __LINE__);
	expect_bytes(fd, 100, 5100, 0, __LINE__);
	expect_bytes(fd, 5100, MIB, 0x77, __LINE__);
	NEED_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * MIB - 10, MIB));
	EXPECT_EQUAL(stat_of("file").st_size, 4 * MIB);
	expect_bytes(fd, 4 * MIB - 20, 4 * MIB - 10, 0x77, __LINE__);
	expect_bytes(fd, 4 * MIB - 10, 4 * MIB, 0, __LINE__);
	EXPECT_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	EXPECT_OK(close(fd));
}

static void fallocate_zero_range(void)
{
	int fd = make_open("file");

	fill(fd, MIB, 0x11);
	NEED_OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 1000, 200000));
	expect_bytes(fd, 0, 1000, 0x11, __LINE__);
	expect_bytes(fd, 1000, 201000, 0, __LINE__);
	expect_bytes(fd, 201000, MIB, 0x11, __LINE__);
	NEED_OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, MIB - 100, 4096));
	EXPECT_EQUAL(stat_of("file").st_size, MIB);
	expect_bytes(fd, MIB - 100, MIB, 0, __LINE__);
	NEED_OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, MIB - 100, 4096));
	EXPECT_EQUAL(stat_of("file").st_size, MIB - 100 + 4096);
	expect_bytes(fd, MIB - 100, MIB - 100 + 4096, 0, __LINE__);
	EXPECT_OK(close(fd));
}

static void copy_range(void)
{
	uint8_t *buffer = malloc(400000);
	loff_t from, to;
	size_t left = 300000;
	int in = make_open("in");
	int out = make_open("out");

	NEED(buffer != NULL);
	pattern_fill(buffer, 400000, 0, 3);
	NEED(write(in, buffer, 400000) == 400000);
	from = 50001;
	to = 7;
	while (left) {
		ssize_t got = copy_file_range(in, &from, out, &to, left, 0);

		NEED(got > 0);
		left -= (size_t)got;
	}
	EXPECT_EQUAL(from, 350001);
	EXPECT_EQUAL(to, 300007);
	EXPECT_EQUAL(stat_of("out").st_size, 300007);
	NEED(pread(out, buffer, 300000, 7) == 300000);
	EXPECT_EQUAL(pattern_differs(buffer, 300000, 50001, 3), -1);
	from = 400000;
	EXPECT_EQUAL(copy_file_range(in, &from, out, &to, 100, 0), 0);
	from = 399990;
	EXPECT_EQUAL(copy_file_range(in, &from, out, &to, 100, 0), 10);
	/* In one file, apart and overlapping. */
	from = 0;
	to = 200000;
	EXPECT_EQUAL(copy_file_range(in, &from, in, &to, 1000, 0), 1000);
	NEED(pread(in, buffer, 1000, 200000) == 1000);
	EXPECT_EQUAL(pattern_differs(buffer, 1000, 0, 3), -1);
	from = 0;
	to = 500;
	EXPECT_ERRNO(copy_file_range(in, &from, in, &to, 1000, 0), EINVAL);
	EXPECT_OK(close(in));
	in = (int)NEED_OK(open("in", O_WRONLY));
	EXPECT_ERRNO(copy_file_range(in, NULL, out, NULL, 10, 0), EBADF);
	EXPECT_OK(close(in));
	EXPECT_OK(close(out));
	free(buffer);
}

static void copy_range_large(void)
{
	enum { SIZE = 24 << 20 };
	uint8_t *buffer = malloc(SIZE);
	size_t left = SIZE;
	int in = make_open("in");
	int out = make_open("out");

	NEED(buffer != NULL);
	pattern_fill(buffer, SIZE, 0, 9);
	for (size_t at = 0; at < SIZE;) {
		ssize_t put = write(in, buffer + at, SIZE - at);

		NEED(put > 0);
		at += (size_t)put;
	}
	NEED_OK(lseek(in, 0, SEEK_SET));
	while (left) {
		ssize_t got = copy_file_range(in, NULL, out, NULL, left, 0);

		NEED(got > 0);
		left -= (size_t)got;
	}
	memset(buffer, 0, SIZE);
	NEED(pread(out, buffer, SIZE, 0) == SIZE);
	EXPECT_EQUAL(pattern_differs(buffer, SIZE, 0, 9), -1);
	EXPECT_OK(close(in));
	EXPECT_OK(close(out));
	free(buffer);
}

static void send_file(void)
{
	off_t from = 100;
	char buffer[64];
	int in = make_open("in");
	int out = make_open("out");

	fill(in, 200, 'q');
	EXPECT_EQUAL(sendfile(out, in, &from, 50), 50);
	EXPECT_EQUAL(pread(out, buffer, 64, 0), 50);
	EXPECT_EQUAL(buffer[49], 'q');
	EXPECT_OK(close(in));
	EXPECT_OK(close(out));
}

static void space_is_told(void)
{
	struct statvfs before, after;
	struct statfs fs;
	int fd = make_open("file");

	NEED_OK(statvfs(".", &before));
	EXPECT(before.f_blocks > 0);
	EXPECT(before.f_bfree <= before.f_blocks);
	EXPECT(before.f_bavail <= before.f_bfree);
	EXPECT_EQUAL(before.f_namemax, 255);
	EXPECT(before.f_frsize >= 512);
	EXPECT(!(before.f_flag & ST_RDONLY));
	NEED_OK(fstatfs(fd, &fs));
	EXPECT_EQUAL(fs.f_namelen, 255);
	fill(fd, 8 * MIB, 0x42);
	NEED_OK(fsync(fd));
	NEED_OK(statvfs(".", &after));
	EXPECT_EQUAL(after.f_blocks, before.f_blocks);
	EXPECT_EQUAL(after.f_frsize, before.f_frsize);
	EXPECT_OK(close(fd));
}

const struct conformance_case space_cases[] = {
	{"holes_are_found", holes_are_found, FEATURE_HOLES},
	{"holes_full_file", holes_full_file, 0},
	{"fallocate_extends", fallocate_extends, FEATURE_FALLOCATE},
	{"fallocate_keep_size", fallocate_keep_size, FEATURE_FALLOCATE},
	{"fallocate_punch_hole", fallocate_punch_hole, FEATURE_HOLES},
	{"fallocate_zero_range", fallocate_zero_range, FEATURE_HOLES},
	{"copy_range", copy_range, 0},
	{"copy_range_large", copy_range_large, 0},
	{"send_file", send_file, 0},
	{"space_is_told", space_is_told, 0},
	{NULL, NULL, 0},
};
