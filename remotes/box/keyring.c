/* SPDX-License-Identifier: MIT */
#include "remotes/box/keyring.h"

#include "support/text.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM	      "driveway-keyring"
#define HEX	      (2u * BOX_KEY)
#define QUICK	      5000 /* milliseconds */
#define WITH_A_PERSON 60000

extern char **environ;

/* The program that asks, while it runs. */
struct helper {
	pid_t pid;
	int in, out;
	int64_t deadline; /* milliseconds, CLOCK_MONOTONIC */
};

static int64_t now_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Beside the plug-in that this is in. */
static bool find_program(char path[PATH_MAX])
{
	static const char here = 0;
	const char *slash;
	Dl_info self;

	if (!dladdr(&here, &self) || !self.dli_fname)
		return false;
	slash = strrchr(self.dli_fname, '/');
	return slash && text_format(path, PATH_MAX, "%.*s/" PROGRAM, (int)(slash - self.dli_fname), self.dli_fname) &&
	       access(path, X_OK) == 0;
}

/* In a child without the signal mask of this thread, with pipes at its standard input and output. */
static int spawn(struct helper *helper, const char *path, const char *const *words, int in, int out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int error;

	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions))
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes)) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	error = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!error)
		error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!error)
		error = posix_spawnattr_setsigmask(&attributes, &none);
	if (!error)
		error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (!error)
		error = posix_spawn(&helper->pid, path, &actions, &attributes, (char *const *)(uintptr_t)words,
				    environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

static int start(struct helper *helper, const char *verb, bool prompt, const char *login)
{
	const char *words[] = {PROGRAM, verb, prompt ? "--prompt" : login, prompt ? login : NULL, NULL};
	int to[2] = {-1, -1}, from[2] = {-1, -1}, error;
	char path[PATH_MAX];

	if (!find_program(path))
		return -ENODEV;
	/* A socket towards it, since writing to one that nobody reads can be told not to be a signal. */
	error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) || pipe2(from, O_CLOEXEC) ? -errno : 0;
	if (!error)
		error = spawn(helper, path, words, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	helper->in = to[1];
	helper->out = from[0];
	helper->deadline = now_milliseconds() + (prompt ? WITH_A_PERSON : QUICK);
	if (error) {
		close(helper->in);
		close(helper->out);
	}
	return error == -ENOENT || error == -EACCES ? -ENODEV : error;
}

/* Take what it says until it ends; -ETIMEDOUT. */
static int listen_to(const struct helper *helper, char *text, size_t size, size_t *length)
{
	*length = 0;
	for (;;) {
		int64_t left = helper->deadline - now_milliseconds();
		struct pollfd wait = {.fd = helper->out, .events = POLLIN};
		char ignored[64];
		ssize_t got;
		int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return ready ? -errno : -ETIMEDOUT;
		got = *length < size ? read(helper->out, text + *length, size - *length)
				     : read(helper->out, ignored, sizeof(ignored));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : 0;
		if (*length < size)
			*length += (size_t)got;
	}
}

/* It has closed its output, or is to end now: its verdict. */
static int finish(const struct helper *helper, int error)
{
	static const int meanings[] = {0, -ENOKEY, -ENODEV, -EACCES};
	int status = 0;

	close(helper->out);
	if (error)
		kill(helper->pid, SIGKILL);
	while (waitpid(helper->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error ? error : -EIO;
	}
	if (error)
		return error;
	if (!WIFEXITED(status) || WEXITSTATUS(status) >= (int)(sizeof(meanings) / sizeof(*meanings)))
		return -EIO;
	return meanings[WEXITSTATUS(status)];
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int box_keyring_get(const char *login, bool prompt, uint8_t key[BOX_KEY])
{
	struct helper helper;
	char text[HEX];
	size_t length;
	int result = start(&helper, "get", prompt, login);

	if (result)
		return result;
	close(helper.in);
	result = finish(&helper, listen_to(&helper, text, sizeof(text), &length));
	for (size_t i = 0; !result && i < BOX_KEY; i++) {
		int high = length == HEX ? digit_of(text[2 * i]) : -1;
		int low = length == HEX ? digit_of(text[2 * i + 1]) : -1;

		if (high < 0 || low < 0)
			result = -ENOKEY; /* somebody else's */
		else
			key[i] = (uint8_t)(high << 4 | low);
	}
	explicit_bzero(text, sizeof(text));
	return result;
}

int box_keyring_put(const char *login, bool prompt, const uint8_t key[BOX_KEY])
{
	static const char digits[] = "0123456789abcdef";
	struct helper helper;
	char text[HEX], answer[8];
	size_t length;
	ssize_t put;
	int result = start(&helper, "put", prompt, login);

	if (result)
		return result;
	for (size_t i = 0; i < BOX_KEY; i++) {
		text[2 * i] = digits[key[i] >> 4];
		text[2 * i + 1] = digits[key[i] & 15];
	}
	put = send(helper.in, text, sizeof(text), MSG_NOSIGNAL);
	close(helper.in);
	explicit_bzero(text, sizeof(text));
	result = finish(&helper, listen_to(&helper, answer, sizeof(answer), &length));
	return !result && put != (ssize_t)sizeof(text) ? -EIO : result;
}

const char *box_keyring_reason(int error)
{
	switch (error) {
	case -ENOKEY:
		return "does not have its key";
	case -ENODEV:
		return "does not run here";
	case -EACCES:
		return "is locked";
	case -ETIMEDOUT:
		return "does not answer";
	default:
		return "cannot be used";
	}
}
