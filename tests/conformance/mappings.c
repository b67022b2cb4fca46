/* SPDX-License-Identifier: MIT */
/* mappings.c - files in memory, and what read, write and truncate make of them */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

#define SIZE 200000

static uint8_t *map(int fd, size_t size, int protection, int flags)
{
	void *address = mmap(NULL, size, protection, flags, fd, 0);

	NEED(address != MAP_FAILED);
	return address;
}

static int patterned(const char *name, uint32_t seed)
{
	static uint8_t buffer[SIZE];
	int fd = make_open(name);

	pattern_fill(buffer, SIZE, 0, seed);
	NEED(write(fd, buffer, SIZE) == SIZE);
	return fd;
}

static void mmap_reads(void)
{
	int fd = patterned("file", 4);
	uint8_t *bytes = map(fd, SIZE, PROT_READ, MAP_SHARED);

	EXPECT_EQUAL(pattern_differs(bytes, SIZE, 0, 4), -1);
	EXPECT_OK(close(fd));
	NEED_OK(unlink("file"));
	EXPECT_EQUAL(pattern_differs(bytes, SIZE, 0, 4), -1);
	EXPECT_OK(munmap(bytes, SIZE));
}

static void mmap_stores_are_read(void)
{
	static uint8_t buffer[SIZE];
	int fd = patterned("file", 5);
	int other = (int)NEED_OK(open("file", O_RDONLY));
	uint8_t *bytes = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);

	for (size_t at = 0; at < SIZE; at += 5003) {
		bytes[at] = (uint8_t)(at ^ 0x5a);
		NEED(pread(other, buffer, 1, (off_t)at) == 1);
		EXPECT_EQUAL(buffer[0], (uint8_t)(at ^ 0x5a));
	}
	EXPECT_OK(msync(bytes, SIZE, MS_SYNC));
	EXPECT_OK(munmap(bytes, SIZE));
	EXPECT_OK(close(fd));
	NEED(pread(other, buffer, SIZE, 0) == SIZE);
	for (size_t at = 0; at < SIZE; at += 5003)
		EXPECT_EQUAL(buffer[at], (uint8_t)(at ^ 0x5a));
	EXPECT_OK(close(other));
}

static void mmap_sees_writes(void)
{
	int fd = patterned("file", 6);
	uint8_t *bytes = map(fd, SIZE, PROT_READ, MAP_SHARED);

	for (off_t at = 0; at < SIZE; at += 7001) {
		uint8_t value = (uint8_t)(at / 3);

		NEED(pwrite(fd, &value, 1, at) == 1);
		EXPECT_EQUAL(bytes[at], value);
	}
	EXPECT_OK(munmap(bytes, SIZE));
	EXPECT_OK(close(fd));
}

static void mmap_private(void)
{
	uint8_t byte;
	int fd = patterned("file", 8);
	uint8_t *bytes = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	uint8_t before = bytes[1000];

	bytes[1000] = (uint8_t)~before;
	NEED(pread(fd, &byte, 1, 1000) == 1);
	EXPECT_EQUAL(byte, before);
	EXPECT_EQUAL(bytes[1000], (uint8_t)~before);
	EXPECT_OK(munmap(bytes, SIZE));
	EXPECT_OK(close(fd));
}

static void mmap_times(void)
{
	struct stat before, after;
	int fd = patterned("file", 9);
	uint8_t *bytes = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);

	NEED_OK(fsync(fd));
	before = stat_of("file");
	clock_step();
	bytes[0] = 1;
	EXPECT_OK(msync(bytes, SIZE, MS_SYNC));
	/* A mirror may believe what it knew of the file for a second; nothing else shows that the mapping was used. */
	for (int tries = 0; tries < 150; tries++) {
		after = stat_of("file");
		if (time_less(before.st_mtim, after.st_mtim))
			break;
		clock_step();
	}
	EXPECT(time_less(before.st_mtim, after.st_mtim));
	EXPECT(time_less(before.st_ctim, after.st_ctim));
	EXPECT_OK(munmap(bytes, SIZE));
	EXPECT_OK(close(fd));
}

static void touch_behind_the_end(void *argument)
{
	volatile uint8_t *bytes = argument;

	signal(SIGBUS, SIG_DFL);
	bytes[SIZE - 1] = 1;
}

static void mmap_and_truncate(void)
{
	uint8_t *bytes;
	long page = sysconf(_SC_PAGESIZE);
	int fd = patterned("file", 10);
	int status;
	pid_t pid;

	bytes = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	NEED_OK(ftruncate(fd, 1000));
	EXPECT_EQUAL(pattern_differs(bytes, 1000, 0, 10), -1);
	for (long i = 1000; i < page; i++)
		NEED(bytes[i] == 0);
	pid = (pid_t)NEED_OK(fork());
	if (pid == 0) {
		touch_behind_the_end(bytes);
		_exit(0);
	}
	NEED_OK(waitpid(pid, &status, 0));
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	NEED_OK(ftruncate(fd, SIZE));
	bytes[SIZE - 1] = 9;
	EXPECT_EQUAL(bytes[SIZE / 2], 0);
	EXPECT_OK(munmap(bytes, SIZE));
	EXPECT_OK(close(fd));
}

static void mmap_extended_file(void)
{
	static uint8_t buffer[SIZE];
	int fd = make_open("file");
	uint8_t *bytes;

	NEED_OK(ftruncate(fd, SIZE));
	bytes = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	pattern_fill(bytes, SIZE, 0, 11);
	EXPECT_OK(munmap(bytes, SIZE));
	EXPECT_OK(close(fd));
	fd = (int)NEED_OK(open("file", O_RDONLY));
	NEED(read(fd, buffer, SIZE) == SIZE);
	EXPECT_EQUAL(pattern_differs(buffer, SIZE, 0, 11), -1);
	EXPECT_ERRNO((long)mmap(NULL, SIZE, PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
	EXPECT_OK(close(fd));
}

static void mmap_write_source(void)
{
	static uint8_t buffer[SIZE];
	int fd = patterned("file", 12);
	int out = make_open("out");
	uint8_t *bytes = map(fd, SIZE, PROT_READ, MAP_SHARED);

	NEED(write(out, bytes, SIZE) == SIZE);
	NEED(pread(out, buffer, SIZE, 0) == SIZE);
	EXPECT_EQUAL(pattern_differs(buffer, SIZE, 0, 12), -1);
	/* A file written to from its own mapping. */
	NEED(pwrite(fd, bytes, 1000, 100000) == 1000);
	EXPECT_EQUAL(pattern_differs(bytes + 100000, 1000, 0, 12), -1);
	EXPECT_OK(munmap(bytes, SIZE));
	EXPECT_OK(close(fd));
	EXPECT_OK(close(out));
}

static void mmap_two_processes_run(void *argument)
{
	volatile uint8_t *bytes;
	int fd = (int)NEED_OK(open("file", O_RDWR));

	bytes = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	EXPECT_EQUAL(bytes[10], 42);
	bytes[20] = 43;
}

static void mmap_two_processes(void)
{
	int fd = make_open("file");
	volatile uint8_t *bytes;

	NEED_OK(ftruncate(fd, SIZE));
	bytes = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
	bytes[10] = 42;
	in_child(mmap_two_processes_run, NULL);
	EXPECT_EQUAL(bytes[20], 43);
	EXPECT_OK(close(fd));
}

static void program_is_run(void *argument)
{
	execl("./program", "./program", NULL);
	EXPECT_OK(-1);
}

/* A program on the drive is executed, and not while it is open for writing. */
static void programs_run(void)
{
	char buffer[65536];
	ssize_t got;
	int in = (int)NEED_OK(open("/bin/true", O_RDONLY));
	int out = (int)NEED_OK(open("program", O_CREAT | O_WRONLY | O_CLOEXEC, 0755));

	while ((got = read(in, buffer, sizeof(buffer))) > 0)
		NEED(write(out, buffer, (size_t)got) == got);
	EXPECT_ERRNO(execl("./program", "./program", NULL), ETXTBSY);
	NEED_OK(close(out));
	in_child(program_is_run, NULL);
	NEED_OK(chmod("program", 0644));
	EXPECT_ERRNO(execl("./program", "./program", NULL), EACCES);
	make_file("script", "#!/bin/sh\nexit 0\n");
	NEED_OK(chmod("script", 0755));
	NEED_OK(rename("script", "program"));
	in_child(program_is_run, NULL);
}

const struct conformance_case mapping_cases[] = {
	{"mmap_reads", mmap_reads, 0},
	{"mmap_stores_are_read", mmap_stores_are_read, 0},
	{"mmap_sees_writes", mmap_sees_writes, 0},
	{"mmap_private", mmap_private, 0},
	{"mmap_times", mmap_times, 0},
	{"mmap_and_truncate", mmap_and_truncate, 0},
	{"mmap_extended_file", mmap_extended_file, 0},
	{"mmap_write_source", mmap_write_source, 0},
	{"mmap_two_processes", mmap_two_processes, 0},
	{"programs_run", programs_run, 0},
	{NULL, NULL, 0},
};
