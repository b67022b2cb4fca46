/* SPDX-License-Identifier: MIT */
/* All of it or an error: also through a pipe that takes little at once, with signals in between. */
#include "support/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define SIZE 1000000u

static void on_signal(int number)
{
	(void)number;
}

struct writing {
	int fd;
	const char *bytes;
	int result;
};

static void *write_all(void *context)
{
	struct writing *writing = context;

	writing->result = file_write(writing->fd, writing->bytes, SIZE);
	close(writing->fd);
	return NULL;
}

static void test_pipe(void **state)
{
	const struct sigaction interrupting = {.sa_handler = on_signal};
	char *sent = malloc(SIZE), *got = calloc(1, SIZE);
	struct writing writing = {.bytes = sent};
	pthread_t thread;
	int ends[2];
	char more;

	(void)state;
	assert_non_null(sent);
	assert_non_null(got);
	for (size_t i = 0; i < SIZE; i++)
		sent[i] = (char)(i * 7 + (i >> 9));
	assert_int_equal(sigaction(SIGUSR1, &interrupting, NULL), 0);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	writing.fd = ends[1];
	assert_int_equal(pthread_create(&thread, NULL, write_all, &writing), 0);
	for (size_t at = 0; at < SIZE; at += SIZE / 10) {
		pthread_kill(thread, SIGUSR1);
		assert_int_equal(file_read(ends[0], got + at, SIZE / 10), 0);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(writing.result, 0);
	assert_memory_equal(sent, got, SIZE);
	assert_int_equal(file_read(ends[0], &more, 1), -EINVAL);
	close(ends[0]);
	free(sent);
	free(got);
}

static void test_ends_and_errors(void **state)
{
	char buffer[8] = "";
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_write_at(fd, "world", 5, 6), 0);
	assert_int_equal(file_write(fd, "hello ", 6), 0);
	assert_int_equal(lseek(fd, 4, SEEK_SET), 4);
	assert_int_equal(file_read(fd, buffer, 7), 0);
	assert_string_equal(buffer, "o world");
	assert_int_equal(file_read(fd, buffer, 0), 0);
	assert_int_equal(file_read(fd, buffer, 1), -EINVAL);
	close(fd);
	assert_int_equal(file_read(fd, buffer, 1), -EIO);
	assert_int_equal(file_write(fd, buffer, 1), -EBADF);
	assert_int_equal(file_write_at(fd, buffer, 1, 0), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_ends_and_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
