/* SPDX-License-Identifier: MIT */
/* support.c - reporting, and what many cases do */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conformance.h"

#define EXIT_SKIPPED 77

/* Of this process: each case has one of its own. Threads of a case add to it too. */
static _Atomic int failures;

int case_failures(void)
{
	return failures;
}

void case_report(const char *file, int line, const char *what, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	printf("  %s:%d: %s: %s\n", base ? base + 1 : file, line, what, text);
	failures++;
}

_Noreturn void case_skip(const char *format, ...)
{
	va_list list;

	if (failures)
		case_end();
	va_start(list, format);
	printf("  skipped: ");
	vprintf(format, list);
	printf("\n");
	va_end(list);
	fflush(stdout);
	_exit(EXIT_SKIPPED);
}

_Noreturn void case_end(void)
{
	fflush(stdout);
	_exit(failures ? 1 : 0);
}

static const char *errno_name(int error)
{
	const char *name = strerrorname_np(error);

	return error == 0 ? "success" : name ? name : "an unknown error";
}

bool case_check(bool condition, const char *file, int line, const char *what)
{
	if (!condition)
		case_report(file, line, what, "does not hold");
	return condition;
}

long case_check_ok(long result, const char *file, int line, const char *what)
{
	if (result == -1)
		case_report(file, line, what, "%s", errno_name(errno));
	return result;
}

long case_need_ok(long result, const char *file, int line, const char *what)
{
	if (case_check_ok(result, file, line, what) == -1)
		case_end();
	return result;
}

void case_check_errno(long result, int error, const char *file, int line, const char *what)
{
	int got = errno;

	if (result != -1)
		case_report(file, line, what, "returned %ld, expected %s", result, errno_name(error));
	else if (got != error)
		case_report(file, line, what, "%s, expected %s", errno_name(got), errno_name(error));
}

void case_check_equal(long long left, long long right, const char *file, int line, const char *what)
{
	if (left != right)
		case_report(file, line, what, "%lld (0x%llx) is not %lld (0x%llx)", left, (unsigned long long)left,
			    right, (unsigned long long)right);
}

void make_file(const char *path, const char *content)
{
	int fd = (int)NEED_OK(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
	size_t length = strlen(content);

	NEED(write(fd, content, length) == (ssize_t)length);
	NEED_OK(close(fd));
}

int make_open(const char *path)
{
	return (int)NEED_OK(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
}

void make_folder(const char *path)
{
	NEED_OK(mkdir(path, 0777));
}

bool file_is(const char *path, const char *content)
{
	size_t length = strlen(content);
	char buffer[8192];
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		case_report(__FILE__, __LINE__, path, "%s when opened", errno_name(errno));
		return false;
	}
	got = read(fd, buffer, sizeof(buffer));
	close(fd);
	if (got != (ssize_t)length || memcmp(buffer, content, length) != 0) {
		case_report(__FILE__, __LINE__, path, "holds \"%.*s\", expected \"%s\"", got < 0 ? 0 : (int)got, buffer,
			    content);
		return false;
	}
	return true;
}

bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

struct stat stat_of(const char *path)
{
	struct stat st;

	memset(&st, 0, sizeof(st));
	NEED_OK(lstat(path, &st));
	return st;
}

int count_entries(const char *path)
{
	struct dirent *entry;
	int count = 0;
	DIR *dir = opendir(path);

	NEED(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			count++;
	closedir(dir);
	return count;
}

static uint8_t pattern_byte(uint64_t position, uint32_t seed)
{
	uint64_t mixed = (position / 7 + seed) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint8_t)((mixed >> 56) + position);
}

void pattern_fill(void *buffer, size_t size, uint64_t offset, uint32_t seed)
{
	uint8_t *bytes = buffer;
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = pattern_byte(offset + i, seed);
}

long pattern_differs(const void *buffer, size_t size, uint64_t offset, uint32_t seed)
{
	const uint8_t *bytes = buffer;
	size_t i;

	for (i = 0; i < size; i++)
		if (bytes[i] != pattern_byte(offset + i, seed))
			return (long)i;
	return -1;
}

void clock_step(void)
{
	struct timespec pause = {0, 12 * 1000 * 1000};

	nanosleep(&pause, NULL);
}

bool time_less(struct timespec left, struct timespec right)
{
	return left.tv_sec < right.tv_sec || (left.tv_sec == right.tv_sec && left.tv_nsec < right.tv_nsec);
}

bool time_equal(struct timespec left, struct timespec right)
{
	return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

static int run_child(void (*function)(void *), void *argument, bool other)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = (pid_t)NEED_OK(fork());
	if (pid == 0) {
		failures = 0;
		alarm(CASE_SECONDS);
		if (other) {
			NEED_OK(setgroups(0, NULL));
			NEED_OK(setresgid(OTHER_ID, OTHER_ID, OTHER_ID));
			NEED_OK(setresuid(OTHER_ID, OTHER_ID, OTHER_ID));
			if (access(".", X_OK) != 0)
				case_skip("another user cannot reach this folder");
		}
		function(argument);
		case_end();
	}
	NEED_OK(waitpid(pid, &status, 0));
	if (!WIFEXITED(status)) {
		case_report(__FILE__, __LINE__, "child process", "ended by signal %d", WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	if (WEXITSTATUS(status) == EXIT_SKIPPED) {
		fflush(stdout);
		_exit(EXIT_SKIPPED);
	}
	if (WEXITSTATUS(status) != 0)
		failures++;
	return WEXITSTATUS(status);
}

int in_child(void (*function)(void *), void *argument)
{
	return run_child(function, argument, false);
}

int as_other(void (*function)(void *), void *argument)
{
	return run_child(function, argument, true);
}
