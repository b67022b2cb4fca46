/* SPDX-License-Identifier: MIT */
/* locks.c - POSIX, open file description and flock locks between processes */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

static int lock(int fd, int command, short type, off_t start, off_t length)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	return fcntl(fd, command, &lock);
}

static void other_process_tries(void *argument)
{
	struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
	int fd = (int)NEED_OK(open("file", O_RDWR));

	EXPECT_ERRNO(lock(fd, F_SETLK, F_WRLCK, 15, 1), EAGAIN);
	EXPECT_ERRNO(lock(fd, F_SETLK, F_RDLCK, 10, 10), EAGAIN);
	EXPECT_OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	EXPECT_OK(lock(fd, F_SETLK, F_WRLCK, 20, 10));
	EXPECT_OK(lock(fd, F_SETLK, F_RDLCK, 100, 5));
	EXPECT_ERRNO(lock(fd, F_SETLK, F_WRLCK, 104, 1), EAGAIN);
	query.l_start = 12;
	query.l_len = 1;
	EXPECT_OK(fcntl(fd, F_GETLK, &query));
	EXPECT_EQUAL(query.l_type, F_WRLCK);
	EXPECT_EQUAL(query.l_start, 10);
	EXPECT_EQUAL(query.l_len, 10);
	EXPECT_EQUAL(query.l_pid, getppid());
}

static void locks_posix(void)
{
	int fd = make_open("file");

	NEED_OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	NEED_OK(lock(fd, F_SETLK, F_RDLCK, 100, 10));
	in_child(other_process_tries, NULL);
	NEED_OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	NEED_OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	EXPECT_ERRNO(lock(fd, F_SETLK, F_WRLCK, -5, 1), EINVAL);
	EXPECT_OK(close(fd));
}

static void whole_is_free(void *argument)
{
	int fd = (int)NEED_OK(open("file", O_RDWR));

	EXPECT_OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

/* Closing any descriptor of the file drops the process's locks. */
static void locks_posix_close(void)
{
	int one = make_open("file");
	int two = (int)NEED_OK(open("file", O_RDWR));

	NEED_OK(lock(one, F_SETLK, F_WRLCK, 0, 0));
	EXPECT_OK(close(two));
	in_child(whole_is_free, NULL);
	EXPECT_OK(close(one));
}

static void part_is_locked(void *argument)
{
	int fd = (int)NEED_OK(open("file", O_RDWR));

	EXPECT_ERRNO(lock(fd, F_SETLK, F_WRLCK, 0, 10), EAGAIN);
	EXPECT_OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	EXPECT_ERRNO(lock(fd, F_SETLK, F_WRLCK, 20, 10), EAGAIN);
}

static void locks_posix_split(void)
{
	int fd = make_open("file");

	NEED_OK(lock(fd, F_SETLK, F_WRLCK, 0, 30));
	NEED_OK(lock(fd, F_SETLK, F_UNLCK, 10, 10));
	in_child(part_is_locked, NULL);
	EXPECT_OK(close(fd));
}

static void locks_posix_wait(void)
{
	int pipes[2], status;
	int fd = make_open("file");
	char byte;
	pid_t pid;

	NEED_OK(pipe(pipes));
	NEED_OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	pid = (pid_t)NEED_OK(fork());
	if (pid == 0) {
		int mine = open("file", O_RDWR);

		if (write(pipes[1], "1", 1) != 1 || mine < 0 || lock(mine, F_SETLKW, F_WRLCK, 0, 0) != 0)
			_exit(1);
		_exit(pread(mine, &byte, 1, 0) == 1 && byte == 'w' ? 0 : 2);
	}
	NEED(read(pipes[0], &byte, 1) == 1);
	usleep(100000);
	EXPECT_EQUAL(waitpid(pid, &status, WNOHANG), 0);
	NEED(pwrite(fd, "w", 1, 0) == 1);
	NEED_OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	NEED_OK(waitpid(pid, &status, 0));
	EXPECT(WIFEXITED(status));
	EXPECT_EQUAL(WEXITSTATUS(status), 0);
	EXPECT_OK(close(fd));
}

static void on_alarm(int number)
{
}

static void waits_until_alarm(void *argument)
{
	struct sigaction action = {.sa_handler = on_alarm};
	int fd = (int)NEED_OK(open("file", O_RDWR));

	NEED_OK(sigaction(SIGALRM, &action, NULL));
	ualarm(150000, 0);
	EXPECT_ERRNO(lock(fd, F_SETLKW, F_WRLCK, 0, 0), EINTR);
}

static void locks_posix_interrupted(void)
{
	int fd = make_open("file");

	NEED_OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	in_child(waits_until_alarm, NULL);
	EXPECT_OK(close(fd));
}

static void locks_deadlock(void)
{
	int ready[2], status;
	int fd = make_open("file");
	char byte;
	pid_t pid;

	NEED_OK(pipe(ready));
	NEED_OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	pid = (pid_t)NEED_OK(fork());
	if (pid == 0) {
		int mine = open("file", O_RDWR);

		alarm(20);
		if (mine < 0 || lock(mine, F_SETLK, F_WRLCK, 1, 1) != 0 || write(ready[1], "1", 1) != 1)
			_exit(1);
		_exit(lock(mine, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : 2);
	}
	NEED(read(ready[0], &byte, 1) == 1);
	usleep(200000);
	EXPECT_ERRNO(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	NEED_OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	NEED_OK(waitpid(pid, &status, 0));
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	EXPECT_OK(close(fd));
}

static void locks_of_descriptions(void)
{
	int one = make_open("file");
	int two = (int)NEED_OK(open("file", O_RDWR));

	NEED_OK(lock(one, F_OFD_SETLK, F_WRLCK, 0, 10));
	EXPECT_ERRNO(lock(two, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	EXPECT_OK(lock(two, F_OFD_SETLK, F_WRLCK, 10, 1));
	EXPECT_OK(close(one));
	EXPECT_OK(lock(two, F_OFD_SETLK, F_WRLCK, 5, 1));
	EXPECT_OK(close(two));
}

static void flock_is_taken(void *argument)
{
	int fd = (int)NEED_OK(open("file", O_RDONLY));

	EXPECT_ERRNO(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	EXPECT_ERRNO(flock(fd, LOCK_SH | LOCK_NB), EWOULDBLOCK);
}

static void flock_is_shared(void *argument)
{
	int fd = (int)NEED_OK(open("file", O_RDONLY));

	EXPECT_ERRNO(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	EXPECT_OK(flock(fd, LOCK_SH | LOCK_NB));
}

static void flock_is_free(void *argument)
{
	int fd = (int)NEED_OK(open("file", O_RDONLY));

	EXPECT_OK(flock(fd, LOCK_EX | LOCK_NB));
}

static void locks_flock(void)
{
	int fd = make_open("file");
	int again;

	NEED_OK(flock(fd, LOCK_EX));
	in_child(flock_is_taken, NULL);
	NEED_OK(flock(fd, LOCK_SH));
	in_child(flock_is_shared, NULL);
	again = (int)NEED_OK(dup(fd));
	EXPECT_OK(close(fd));
	in_child(flock_is_shared, NULL);
	EXPECT_OK(flock(again, LOCK_UN));
	in_child(flock_is_free, NULL);
	EXPECT_OK(close(again));
}

static void locks_end_with_the_process(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	NEED_OK(close(make_open("file")));
	NEED_OK(pipe(ready));
	pid = (pid_t)NEED_OK(fork());
	if (pid == 0) {
		int fd = open("file", O_RDWR);

		if (fd < 0 || lock(fd, F_SETLK, F_WRLCK, 0, 0) != 0 || flock(fd, LOCK_EX) != 0 ||
		    write(ready[1], "1", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	NEED(read(ready[0], &byte, 1) == 1);
	in_child(flock_is_taken, NULL);
	NEED_OK(kill(pid, SIGKILL));
	NEED_OK(waitpid(pid, NULL, 0));
	in_child(flock_is_free, NULL);
	in_child(whole_is_free, NULL);
}

const struct conformance_case lock_cases[] = {
	{"locks_posix", locks_posix, 0},
	{"locks_posix_close", locks_posix_close, 0},
	{"locks_posix_split", locks_posix_split, 0},
	{"locks_posix_wait", locks_posix_wait, 0},
	{"locks_posix_interrupted", locks_posix_interrupted, 0},
	{"locks_deadlock", locks_deadlock, 0},
	{"locks_of_descriptions", locks_of_descriptions, 0},
	{"locks_flock", locks_flock, 0},
	{"locks_end_with_the_process", locks_end_with_the_process, 0},
	{NULL, NULL, 0},
};
