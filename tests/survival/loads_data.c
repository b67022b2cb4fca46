/* SPDX-License-Identifier: MIT */
/* loads_data.c - programs that write, append, map and sync, and read all of it back */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "survival.h"

#define MIB ((size_t)1 << 20)

/* Files of random sizes, written in random pieces, read back by another descriptor. */
static void load_files(struct load *load)
{
	uint8_t *bytes = malloc(2 * MIB);
	char name[32];

	for (uint32_t round = 0; bytes && load_going(load); round++) {
		size_t size = 1 + load_random(load, round % 4 ? 60000 : 2 * MIB - 1);
		size_t at = 0;
		struct stat st;
		int fd;

		snprintf(name, sizeof(name), "file-%u", round % 8);
		fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (!LOAD_CHECK(load, fd >= 0))
			continue;
		while (at < size) {
			size_t piece = 1 + load_random(load, 300000);

			if (piece > size - at)
				piece = size - at;
			load_fill(bytes, piece, at, round);
			LOAD_CHECK(load, load_write_all(fd, bytes, piece, (int64_t)at));
			at += piece;
		}
		if (!LOAD_CHECK(load, fstat(fd, &st) == 0 && st.st_size == (off_t)size))
			load_wrong(load, "%s of round %u has %lld bytes instead of %zu", name, round,
				   (long long)st.st_size, size);
		LOAD_CHECK(load, close(fd) == 0);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		LOAD_CHECK(load, fd >= 0);
		LOAD_CHECK(load, pread(fd, bytes, 2 * MIB, 0) == (ssize_t)size);
		LOAD_CHECK(load, load_filled(bytes, size, 0, round));
		LOAD_CHECK(load, close(fd) == 0);
		if (round % 3 == 0)
			LOAD_CHECK(load, truncate(name, (off_t)size / 2) == 0 && stat(name, &st) == 0 &&
						 st.st_size == (off_t)size / 2);
	}
	free(bytes);
}

/* One record of a log: writer, number, and as many bytes as the number says. */
static size_t record_make(char *room, int writer, uint32_t number)
{
	size_t length = 20 + number * 7919u % 3000;
	int head = snprintf(room, 32, "%d %010u ", writer, number);

	for (size_t i = (size_t)head; i < length; i++)
		room[i] = (char)('a' + (i + number) % 26);
	room[length] = '\n';
	return length + 1;
}

static void log_check(struct load *load, const char *name, const uint32_t *expected, int writers)
{
	uint32_t next[4] = {0, 0, 0, 0};
	char line[4096], record[4096];
	FILE *file = fopen(name, "re");

	if (!LOAD_CHECK(load, file != NULL))
		return;
	while (fgets(line, sizeof(line), file)) {
		int writer = line[0] - '0';
		size_t length;

		if (writer < 0 || writer >= writers) {
			load_wrong(load, "%s holds a torn record", name);
			break;
		}
		length = record_make(record, writer, next[writer]);
		if (strlen(line) != length || memcmp(line, record, length) != 0) {
			load_wrong(load, "%s: writer %d's record %u is \"%.20s\"", name, writer, next[writer], line);
			break;
		}
		next[writer]++;
	}
	for (int i = 0; i < writers; i++)
		if (next[i] != expected[i])
			load_wrong(load, "%s: %u records of writer %d, expected %u", name, next[i], i, expected[i]);
	fclose(file);
	load_did(load);
}

/* Two descriptors append to one log by turns: every record is there, once, in order. */
static void load_append(struct load *load)
{
	char record[4096];

	for (uint32_t round = 0; load_going(load); round++) {
		uint32_t numbers[2] = {0, 0};
		int fds[2];

		fds[0] = open("log", O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
		fds[1] = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
		if (!LOAD_CHECK(load, fds[0] >= 0 && fds[1] >= 0))
			return;
		while (load_going(load) && numbers[0] + numbers[1] < 700) {
			int writer = (int)load_random(load, 2);
			size_t length = record_make(record, writer, numbers[writer]);

			/* In one call: an append is whole or not there. */
			if (!LOAD_CHECK(load, write(fds[writer], record, length) == (ssize_t)length))
				break;
			numbers[writer]++;
			if (numbers[writer] % 50 == 0)
				LOAD_CHECK(load, fsync(fds[writer]) == 0);
		}
		LOAD_CHECK(load, close(fds[0]) == 0 && close(fds[1]) == 0);
		log_check(load, "log", numbers, 2);
		LOAD_CHECK(load, unlink("log") == 0);
	}
}

/* Stores through a mapping, read by read(2), and again after everything was closed. */
static void load_mapping(struct load *load)
{
	uint8_t *check = malloc(MIB);

	for (uint32_t round = 0; check && load_going(load); round++) {
		int fd = open("mapped", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		uint8_t *bytes;

		if (!LOAD_CHECK(load, fd >= 0))
			break;
		LOAD_CHECK(load, ftruncate(fd, (off_t)MIB) == 0);
		bytes = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (!LOAD_CHECK(load, bytes != MAP_FAILED))
			break;
		for (size_t at = 0; at < MIB; at += 65536) {
			load_fill(bytes + at, 65536, at, round);
			if (at % 262144 == 0)
				LOAD_CHECK(load, msync(bytes, MIB, MS_SYNC) == 0);
			LOAD_CHECK(load, pread(fd, check, 65536, (off_t)at) == 65536);
			LOAD_CHECK(load, load_filled(check, 65536, at, round));
		}
		LOAD_CHECK(load, munmap(bytes, MIB) == 0 && close(fd) == 0);
		fd = open("mapped", O_RDONLY | O_CLOEXEC);
		LOAD_CHECK(load, fd >= 0 && pread(fd, check, MIB, 0) == (ssize_t)MIB);
		LOAD_CHECK(load, load_filled(check, MIB, 0, round));
		LOAD_CHECK(load, close(fd) == 0 && unlink("mapped") == 0);
	}
	free(check);
}

/* Replace a file by rename, as an editor saves: whoever opens the name finds a whole version. */
static void load_replace(struct load *load)
{
	static uint8_t bytes[20000];

	for (uint32_t round = 0; load_going(load); round++) {
		size_t size = 100 + round * 37 % 19000;
		struct stat st;
		int fd = open("new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (!LOAD_CHECK(load, fd >= 0))
			return;
		load_fill(bytes, size, 0, round);
		LOAD_CHECK(load, load_write_all(fd, bytes, size, -1));
		LOAD_CHECK(load, fsync(fd) == 0);
		LOAD_CHECK(load, close(fd) == 0);
		LOAD_CHECK(load, rename("new", "current") == 0);
		LOAD_CHECK(load, stat("new", &st) == -1 && errno == ENOENT);
		fd = open("current", O_RDONLY | O_CLOEXEC);
		LOAD_CHECK(load, fd >= 0 && read(fd, bytes, sizeof(bytes)) == (ssize_t)size);
		LOAD_CHECK(load, load_filled(bytes, size, 0, round));
		LOAD_CHECK(load, close(fd) == 0);
	}
}

/* Files that stay open from beginning to end, some of them without a name. */
static void load_held(struct load *load)
{
	enum { COUNT = 16, SIZE = 8192 };
	static uint8_t bytes[SIZE], check[SIZE];
	uint32_t versions[COUNT] = {0};
	struct stat st;
	int fds[COUNT];
	char name[32];

	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "held-%d", i);
		fds[i] = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (!LOAD_CHECK(load, fds[i] >= 0))
			return;
		load_fill(bytes, SIZE, 0, (uint32_t)i);
		LOAD_CHECK(load, load_write_all(fds[i], bytes, SIZE, 0));
		if (i % 2)
			LOAD_CHECK(load, unlink(name) == 0);
	}
	while (load_going(load)) {
		uint32_t i = load_random(load, COUNT);

		LOAD_CHECK(load, pread(fds[i], check, SIZE, 0) == SIZE);
		LOAD_CHECK(load, load_filled(check, SIZE, 0, i + versions[i] * COUNT));
		LOAD_CHECK(load, fstat(fds[i], &st) == 0 && st.st_nlink == (i % 2 ? 0 : 1) && st.st_size == SIZE);
		versions[i]++;
		load_fill(bytes, SIZE, 0, i + versions[i] * COUNT);
		LOAD_CHECK(load, load_write_all(fds[i], bytes, SIZE, 0));
	}
	for (int i = 0; i < COUNT; i++)
		LOAD_CHECK(load, close(fds[i]) == 0);
}

/* Large transfers past the page cache, so that big requests are under way when the service dies. */
static void load_direct(struct load *load)
{
	void *bytes = NULL;
	int fd = open("direct", O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EINVAL)
		return; /* the folder below does no direct I/O */
	if (!LOAD_CHECK(load, fd >= 0) || posix_memalign(&bytes, 4096, MIB) != 0)
		return;
	for (uint32_t round = 0; load_going(load); round++) {
		off_t at = (off_t)(load_random(load, 8) * MIB);

		load_fill(bytes, MIB, (uint64_t)at, round);
		LOAD_CHECK(load, pwrite(fd, bytes, MIB, at) == (ssize_t)MIB);
		memset(bytes, 0, MIB);
		LOAD_CHECK(load, pread(fd, bytes, MIB, at) == (ssize_t)MIB);
		LOAD_CHECK(load, load_filled(bytes, MIB, (uint64_t)at, round));
	}
	LOAD_CHECK(load, close(fd) == 0);
	free(bytes);
}

/* The first line that the sqlite3 program prints for these words, or "". */
static bool sqlite_says(const char *words, char *line, size_t room)
{
	char command[1024];
	FILE *pipe;

	snprintf(command, sizeof(command), "sqlite3 -cmd '.timeout 60000' base '%s' 2>&1", words);
	pipe = popen(command, "re");
	if (!pipe)
		return false;
	if (!fgets(line, (int)room, pipe))
		line[0] = 0;
	line[strcspn(line, "\n")] = 0;
	return pclose(pipe) == 0;
}

/* A database in WAL mode: each transaction that was committed is there, and the whole is sound. */
static void load_sqlite(struct load *load)
{
	char line[512], words[512];
	uint32_t rows = 0;

	if (!sqlite_says("pragma journal_mode=wal; create table t (n integer primary key, v text);", line,
			 sizeof(line))) {
		if (strstr(line, "not found"))
			printf("  sqlite: the sqlite3 program is not installed, this load does nothing\n");
		else
			load_wrong(load, "sqlite3: %s", line);
		return;
	}
	while (load_going(load)) {
		snprintf(words, sizeof(words),
			 "with recursive c(i) as (select %u union all select i+1 from c where i < %u) "
			 "insert into t select i, hex(randomblob(200)) from c;",
			 rows, rows + 19);
		if (!sqlite_says(words, line, sizeof(line))) {
			load_wrong(load, "sqlite3: %s", line);
			break;
		}
		rows += 20;
		load_did(load);
	}
	if (!sqlite_says("select count(*) from t;", line, sizeof(line)) || strtoul(line, NULL, 10) != rows)
		load_wrong(load, "sqlite3: %s rows, expected %u", line, rows);
	if (!sqlite_says("pragma integrity_check;", line, sizeof(line)) || strcmp(line, "ok") != 0)
		load_wrong(load, "sqlite3: integrity_check says %s", line);
}

const struct load_kind data_loads[] = {
	{"files", load_files}, {"append", load_append}, {"mapping", load_mapping}, {"replace", load_replace},
	{"held", load_held},   {"direct", load_direct}, {"sqlite", load_sqlite},   {NULL, NULL},
};
