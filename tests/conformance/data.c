/* SPDX-License-Identifier: MIT */
/* data.c - read, write, append, truncate, big offsets, files without names */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conformance.h"

#define MIB ((size_t)1 << 20)

static void write_and_read(void)
{
	static const size_t sizes[] = {1, 511, 512, 513, 4095, 4096, 4097, 65536, 131073, 1048575, 1048577, 3145729};
	uint8_t *buffer = malloc(4 * MIB);
	uint64_t at = 0;
	int fd = make_open("file");

	NEED(buffer != NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pattern_fill(buffer, sizes[i], at, 1);
		NEED(pwrite(fd, buffer, sizes[i], (off_t)at) == (ssize_t)sizes[i]);
		at += sizes[i];
	}
	EXPECT_EQUAL(stat_of("file").st_size, at);
	for (uint64_t from = 0; from < at; from += 700001) {
		size_t want = 4 * MIB;
		ssize_t got = pread(fd, buffer, want, (off_t)from);

		EXPECT_EQUAL(got, at - from < want ? at - from : want);
		EXPECT(got < 0 || pattern_differs(buffer, (size_t)got, from, 1) == -1);
	}
	EXPECT_EQUAL(pread(fd, buffer, 10, (off_t)at), 0);
	EXPECT_EQUAL(pread(fd, buffer, 10, (off_t)at + 100000), 0);
	EXPECT_EQUAL(pread(fd, buffer, 10, (off_t)at - 4), 4);
	EXPECT_ERRNO(pread(fd, buffer, 10, -1), EINVAL);
	EXPECT_OK(close(fd));
	fd = (int)NEED_OK(open("file", O_RDONLY));
	EXPECT_EQUAL(lseek(fd, 0, SEEK_END), at);
	EXPECT_EQUAL(lseek(fd, -5, SEEK_CUR), at - 5);
	EXPECT_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
	EXPECT_OK(close(fd));
	free(buffer);
}

static void write_random_places(void)
{
	enum { SIZE = 600000 };
	uint8_t *model = calloc(1, SIZE), *got = malloc(SIZE);
	int fd = make_open("file");
	unsigned state = 12345;
	size_t end = 0;

	NEED(model && got);
	for (int i = 0; i < 400; i++) {
		size_t at, length;

		at = (size_t)rand_r(&state) % (SIZE - 70000);
		length = 1 + (size_t)rand_r(&state) % (i % 4 ? 3000 : 70000);
		for (size_t j = 0; j < length; j++)
			model[at + j] = (uint8_t)rand_r(&state);
		NEED(pwrite(fd, model + at, length, (off_t)at) == (ssize_t)length);
		if (at + length > end)
			end = at + length;
		if (i % 50 == 0) {
			NEED(pread(fd, got, SIZE, 0) == (ssize_t)end);
			EXPECT(memcmp(got, model, end) == 0);
		}
	}
	EXPECT_OK(close(fd));
	fd = (int)NEED_OK(open("file", O_RDONLY));
	EXPECT_EQUAL(read(fd, got, SIZE), end);
	EXPECT(memcmp(got, model, end) == 0);
	EXPECT_OK(close(fd));
	free(model);
	free(got);
}

static void write_vectors(void)
{
	char one[3], two[5], first[] = "abc", last[] = "defgh";
	struct iovec out[3] = {{first, 3}, {NULL, 0}, {last, 5}};
	struct iovec in[2] = {{one, 3}, {two, 5}};
	int fd = make_open("file");

	EXPECT_EQUAL(writev(fd, out, 3), 8);
	EXPECT_EQUAL(preadv(fd, in, 2, 0), 8);
	EXPECT(memcmp(one, "abc", 3) == 0 && memcmp(two, "defgh", 5) == 0);
	EXPECT_OK(close(fd));
}

static void write_times(void)
{
	struct timespec old[2] = {{1000, 5}, {2000, 6}};
	struct stat before, after;
	char byte;
	int fd = make_open("file");

	EXPECT_EQUAL(write(fd, "x", 1), 1);
	NEED_OK(futimens(fd, old));
	NEED_OK(fstat(fd, &before));
	EXPECT(time_equal(before.st_mtim, old[1]));
	EXPECT_EQUAL(pread(fd, &byte, 1, 0), 1);
	NEED_OK(fstat(fd, &after));
	EXPECT(time_equal(before.st_mtim, after.st_mtim));
	EXPECT(time_equal(before.st_ctim, after.st_ctim));
	clock_step();
	EXPECT_EQUAL(write(fd, "y", 1), 1);
	NEED_OK(fstat(fd, &after));
	EXPECT(time_less(before.st_mtim, after.st_mtim));
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	NEED_OK(futimens(fd, old));
	EXPECT_EQUAL(write(fd, "", 0), 0);
	EXPECT_EQUAL(stat_of("file").st_size, 2);
	EXPECT(time_equal(stat_of("file").st_mtim, old[1]));
	EXPECT_OK(close(fd));
}

static void write_seen_by_others(void)
{
	char buffer[16];
	int one = make_open("file");
	int two = (int)NEED_OK(open("file", O_RDWR));

	for (int i = 0; i < 100; i++) {
		snprintf(buffer, sizeof(buffer), "round %03d", i);
		NEED(pwrite(i % 2 ? one : two, buffer, 9, i) == 9);
		EXPECT_EQUAL(pread(i % 2 ? two : one, buffer, sizeof(buffer), i), 9);
		EXPECT_EQUAL(strtol(buffer + 6, NULL, 10), i);
		EXPECT_EQUAL(stat_of("file").st_size, i + 9);
	}
	EXPECT_OK(close(one));
	EXPECT_OK(close(two));
}

static void append_from_two(void)
{
	char buffer[64] = {0};
	int one = (int)NEED_OK(open("file", O_WRONLY | O_CREAT | O_APPEND, 0600));
	int two = (int)NEED_OK(open("file", O_RDWR | O_APPEND));

	for (int i = 0; i < 3; i++) {
		EXPECT_EQUAL(write(one, "AAA", 3), 3);
		EXPECT_EQUAL(write(two, "BB", 2), 2);
	}
	EXPECT_EQUAL(lseek(two, 0, SEEK_SET), 0);
	EXPECT_EQUAL(write(two, "C", 1), 1);
	EXPECT_EQUAL(pread(two, buffer, sizeof(buffer), 0), 16);
	EXPECT(strcmp(buffer, "AAABBAAABBAAABBC") == 0);
	EXPECT_OK(close(one));
	EXPECT_OK(close(two));
}

static void *append_run(void *argument)
{
	int number = *(int *)argument;
	char record[16];
	int fd = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < 500; i++) {
		snprintf(record, sizeof(record), "%d %06d\n", number, i);
		if (write(fd, record, 9) != 9)
			return argument;
	}
	return fd < 0 || close(fd) != 0 ? argument : NULL;
}

static void append_from_threads(void)
{
	int numbers[4], next[4] = {0, 0, 0, 0};
	pthread_t threads[4];
	FILE *file;
	int number, count, lines = 0;

	make_file("log", "");
	for (int i = 0; i < 4; i++) {
		numbers[i] = i;
		NEED(pthread_create(&threads[i], NULL, append_run, &numbers[i]) == 0);
	}
	for (int i = 0; i < 4; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		EXPECT(failed == NULL);
	}
	EXPECT_EQUAL(stat_of("log").st_size, 4 * 500 * 9);
	file = fopen("log", "r");
	NEED(file != NULL);
	while (fscanf(file, "%d %d\n", &number, &count) == 2) {
		NEED(number >= 0 && number < 4);
		EXPECT_EQUAL(count, next[number]);
		next[number] = count + 1;
		lines++;
	}
	EXPECT_EQUAL(lines, 2000);
	fclose(file);
}

static void truncate_up_and_down(void)
{
	char buffer[32];
	struct stat before, after;

	make_file("file", "0123456789");
	NEED_OK(truncate("file", 4));
	EXPECT(file_is("file", "0123"));
	NEED_OK(truncate("file", 8));
	{
		int fd = (int)NEED_OK(open("file", O_RDWR));

		EXPECT_EQUAL(read(fd, buffer, sizeof(buffer)), 8);
		EXPECT(memcmp(buffer, "0123\0\0\0\0", 8) == 0);
		before = stat_of("file");
		clock_step();
		EXPECT_OK(ftruncate(fd, 8));
		clock_step();
		EXPECT_OK(ftruncate(fd, 3));
		after = stat_of("file");
		EXPECT(time_less(before.st_mtim, after.st_mtim));
		EXPECT(time_less(before.st_ctim, after.st_ctim));
		EXPECT_ERRNO(ftruncate(fd, -1), EINVAL);
		EXPECT_OK(close(fd));
	}
	make_folder("folder");
	EXPECT_ERRNO(truncate("folder", 0), EISDIR);
	EXPECT_ERRNO(truncate("missing", 0), ENOENT);
	EXPECT_ERRNO(truncate("file", -1), EINVAL);
}

/* What was cut off does not come back. */
static void truncate_forgets(void)
{
	static const off_t cuts[] = {0, 1, 4095, 4096, 5000, 131072, 200001};
	uint8_t *buffer = malloc(300000);
	int fd = make_open("file");

	NEED(buffer != NULL);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		long differs = -1;

		memset(buffer, 0xee, 300000);
		NEED(pwrite(fd, buffer, 300000, 0) == 300000);
		NEED_OK(ftruncate(fd, cuts[i]));
		NEED_OK(ftruncate(fd, 300000));
		NEED(pread(fd, buffer, 300000, 0) == 300000);
		for (long j = 0; j < 300000 && differs < 0; j++)
			if (buffer[j] != (j < cuts[i] ? 0xee : 0))
				differs = j;
		EXPECT_EQUAL(differs, -1);
	}
	NEED_OK(close(fd));
	free(buffer);
}

static void write_behind_the_end(void)
{
	uint8_t buffer[9000];
	int fd = make_open("file");

	EXPECT_EQUAL(pwrite(fd, "start", 5, 0), 5);
	EXPECT_EQUAL(pwrite(fd, "end", 3, 8000), 3);
	EXPECT_EQUAL(pread(fd, buffer, sizeof(buffer), 0), 8003);
	EXPECT(memcmp(buffer, "start", 5) == 0 && memcmp(buffer + 8000, "end", 3) == 0);
	for (int i = 5; i < 8000; i++)
		NEED(buffer[i] == 0);
	EXPECT_OK(close(fd));
}

static void offsets_beyond_4_gib(void)
{
	static const off_t places[] = {0x7ffffff0, 0x80000000, 0xfffffff0, 0x100000000, 0x140000000, 0x3ffffff0000};
	char buffer[16];
	int fd = make_open("file");

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(buffer, sizeof(buffer), "place %zu", i);
		NEED(pwrite(fd, buffer, 7, places[i]) == 7);
	}
	EXPECT_EQUAL(stat_of("file").st_size, 0x3ffffff0000 + 7);
	EXPECT(stat_of("file").st_blocks < 10000);
	NEED_OK(close(fd));
	fd = (int)NEED_OK(open("file", O_RDWR));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		NEED(pread(fd, buffer, 7, places[i]) == 7);
		EXPECT(memcmp(buffer, "place ", 6) == 0 && buffer[6] == (char)('0' + i));
	}
	/* One write across the 32-bit edge. */
	NEED(pwrite(fd, "across the edge", 15, 0xfffffff8) == 15);
	NEED(pread(fd, buffer, 15, 0xfffffff8) == 15);
	EXPECT(memcmp(buffer, "across the edge", 15) == 0);
	NEED(pread(fd, buffer, 8, 0x120000000) == 8);
	EXPECT(memcmp(buffer, "\0\0\0\0\0\0\0\0", 8) == 0);
	EXPECT_OK(ftruncate(fd, 0x100000003));
	EXPECT_EQUAL(stat_of("file").st_size, 0x100000003);
	EXPECT_EQUAL(pread(fd, buffer, 16, 0x100000000), 3);
	EXPECT_OK(close(fd));
}

static void size_limits(void)
{
	struct rlimit limit = {10000, RLIM_INFINITY};
	int fd = make_open("file");

	EXPECT_ERRNO(pwrite(fd, "x", 1, -5), EINVAL);
	signal(SIGXFSZ, SIG_IGN);
	NEED_OK(setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_EQUAL(pwrite(fd, "0123456789", 10, 9995), 5);
	EXPECT_ERRNO(pwrite(fd, "x", 1, 10000), EFBIG);
	EXPECT_ERRNO(ftruncate(fd, 10001), EFBIG);
	EXPECT_OK(ftruncate(fd, 10000));
	EXPECT_OK(close(fd));
}

static void sync_calls(void)
{
	int folder = (int)NEED_OK(open(".", O_RDONLY | O_DIRECTORY));
	int fd = make_open("file");

	EXPECT_EQUAL(write(fd, "data", 4), 4);
	EXPECT_OK(fsync(fd));
	EXPECT_OK(fdatasync(fd));
	EXPECT_OK(fsync(folder));
	EXPECT_OK(fdatasync(folder));
	EXPECT_OK(syncfs(fd));
	EXPECT_OK(sync_file_range(fd, 0, 4, SYNC_FILE_RANGE_WRITE));
	EXPECT_OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) ? -1 : 0);
	EXPECT(file_is("file", "data"));
	EXPECT_OK(close(fd));
	EXPECT_OK(close(folder));
	fd = (int)NEED_OK(open("file", O_WRONLY | O_SYNC));
	EXPECT_EQUAL(write(fd, "sync", 4), 4);
	EXPECT_OK(close(fd));
	fd = (int)NEED_OK(open("file", O_WRONLY | O_DSYNC | O_APPEND));
	EXPECT_EQUAL(write(fd, "more", 4), 4);
	EXPECT_OK(close(fd));
	EXPECT(file_is("file", "syncmore"));
}

static void direct_io(void)
{
	uint8_t *buffer = aligned_alloc(4096, MIB);
	char few[4];
	int fd, plain;

	NEED(buffer);
	fd = (int)NEED_OK(open("file", O_RDWR | O_CREAT | O_DIRECT, 0600));
	plain = (int)NEED_OK(open("file", O_RDWR));
	pattern_fill(buffer, MIB, 0, 7);
	EXPECT_EQUAL(pwrite(fd, buffer, MIB, 0), MIB);
	EXPECT_EQUAL(pwrite(fd, buffer, 4096, (off_t)MIB), 4096);
	memset(buffer, 0, MIB);
	EXPECT_EQUAL(pread(plain, buffer, MIB, 0), MIB);
	EXPECT_EQUAL(pattern_differs(buffer, MIB, 0, 7), -1);
	EXPECT_EQUAL(pwrite(plain, "cached", 6, 4096), 6);
	EXPECT_EQUAL(pread(fd, buffer, 8192, 4096), 8192);
	EXPECT(memcmp(buffer, "cached", 6) == 0);
	memset(buffer, 0x33, 4096);
	EXPECT_EQUAL(pwrite(fd, buffer, 4096, 8192), 4096);
	EXPECT_EQUAL(pread(plain, few, 4, 8192), 4);
	EXPECT(memcmp(few, "3333", 4) == 0);
	EXPECT_EQUAL(pread(fd, buffer, 8192, (off_t)MIB), 4096);
	EXPECT_OK(close(fd));
	EXPECT_OK(close(plain));
	free(buffer);
}

static void tmpfile_and_link(void)
{
	char path[64], buffer[8];
	struct stat st;
	int fd = (int)NEED_OK(open(".", O_TMPFILE | O_RDWR, 0640));

	EXPECT_EQUAL(count_entries("."), 0);
	NEED_OK(fstat(fd, &st));
	EXPECT_EQUAL(st.st_nlink, 0);
	EXPECT(S_ISREG(st.st_mode));
	EXPECT_EQUAL(st.st_mode & 07777, 0640);
	EXPECT_EQUAL(write(fd, "hidden", 6), 6);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_OK(linkat(AT_FDCWD, path, AT_FDCWD, "shown", AT_SYMLINK_FOLLOW));
	EXPECT(file_is("shown", "hidden"));
	EXPECT_EQUAL(stat_of("shown").st_nlink, 1);
	EXPECT_EQUAL(stat_of("shown").st_ino, st.st_ino);
	EXPECT_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "shown", AT_SYMLINK_FOLLOW), EEXIST);
	EXPECT_EQUAL(pread(fd, buffer, 6, 0), 6);
	EXPECT_OK(close(fd));
	fd = (int)NEED_OK(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT);
	EXPECT_OK(close(fd));
	make_file("file", "");
	EXPECT_ERRNO(open("file", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
	EXPECT_EQUAL(count_entries("."), 2);
}

static void fd_survives_many_opens(void)
{
	enum { COUNT = 300 };
	int fds[COUNT];
	char name[32], buffer[32];

	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		fds[i] = make_open(name);
		NEED(write(fds[i], name, strlen(name)) == (ssize_t)strlen(name));
		if (i % 3 == 0)
			NEED_OK(unlink(name));
	}
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		EXPECT_EQUAL(pread(fds[i], buffer, sizeof(buffer), 0), strlen(name));
		EXPECT(memcmp(buffer, name, strlen(name)) == 0);
		EXPECT_OK(close(fds[i]));
	}
	EXPECT_EQUAL(count_entries("."), COUNT - COUNT / 3);
}

const struct conformance_case data_cases[] = {
	{"write_and_read", write_and_read, 0},
	{"write_random_places", write_random_places, 0},
	{"write_vectors", write_vectors, 0},
	{"write_times", write_times, 0},
	{"write_seen_by_others", write_seen_by_others, 0},
	{"write_behind_the_end", write_behind_the_end, 0},
	{"append_from_two", append_from_two, 0},
	{"append_from_threads", append_from_threads, 0},
	{"truncate_up_and_down", truncate_up_and_down, 0},
	{"truncate_forgets", truncate_forgets, 0},
	{"offsets_beyond_4_gib", offsets_beyond_4_gib, 0},
	{"size_limits", size_limits, 0},
	{"sync_calls", sync_calls, 0},
	{"direct_io", direct_io, FEATURE_DIRECT},
	{"tmpfile_and_link", tmpfile_and_link, FEATURE_TMPFILE},
	{"fd_survives_many_opens", fd_survives_many_opens, 0},
	{NULL, NULL, 0},
};
