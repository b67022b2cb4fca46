/* SPDX-License-Identifier: MIT */
#include "remotes/box/store.h"

#include "remotes/box/seal.h"
#include "support/file.h"
#include "support/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define RESERVED 16384		/* more than a login by a person needs */
#define AGAIN	 10000000000ull /* nanoseconds before a keyring that was of no use is asked again */

int box_store_init(struct box_store *store, const char *folder, const char *account)
{
	store->sealed = store->keyed = false;
	store->asked_again = 0;
	if (!text_copy(store->folder, sizeof(store->folder), folder) ||
	    !text_format(store->login, sizeof(store->login), "%s/%s.login", folder, account) ||
	    !text_format(store->lock, sizeof(store->lock), "%s/%s.lock", folder, account))
		return -ENAMETOOLONG;
	return 0;
}

void box_store_forget(struct box_store *store)
{
	explicit_bzero(store->key, sizeof(store->key));
	store->keyed = false;
}

static uint64_t now_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The login in a sealed file takes its place. -ENOKEY: what stands beside the seal does. */
static int unseal(struct box_store *store, json_t **file)
{
	json_t *login = store->keyed ? box_unseal(*file, store->key) : NULL;

	/* Perhaps somebody has logged in since, where there was no key any more. */
	if (!login && now_monotonic() >= store->asked_again) {
		store->refused = box_keyring_get(store->login, false, store->key);
		store->keyed = store->refused == 0;
		login = store->keyed ? box_unseal(*file, store->key) : NULL;
		if (store->keyed && !login)
			store->refused = -ENOKEY;
		store->asked_again = login ? 0 : now_monotonic() + AGAIN;
	}
	if (!login) {
		json_object_del(*file, "sealed");
		return -ENOKEY;
	}
	json_decref(*file);
	*file = login;
	return 0;
}

int box_store_seal(struct box_store *store, bool prompt)
{
	uint8_t made[BOX_KEY];
	int result = box_keyring_get(store->login, prompt, store->key);

	if (result == -ENOKEY) {
		result = getrandom(made, sizeof(made), 0) == BOX_KEY ? box_keyring_put(store->login, prompt, made)
								     : -EIO;
		/* What cannot be had back is no key. */
		if (!result)
			result = box_keyring_get(store->login, prompt, store->key);
		if (!result && memcmp(store->key, made, BOX_KEY) != 0)
			result = -EIO;
		explicit_bzero(made, sizeof(made));
	}
	store->keyed = store->sealed = result == 0;
	return result;
}

static void stamp_of(struct box_store_stamp *stamp, const struct stat *state)
{
	*stamp = (struct box_store_stamp){.inode = state->st_ino,
					  .seconds = state->st_ctim.tv_sec,
					  .nanoseconds = state->st_ctim.tv_nsec,
					  .there = true};
}

void box_store_look(const struct box_store *store, struct box_store_stamp *stamp)
{
	struct stat state;

	*stamp = (struct box_store_stamp){.there = false};
	if (lstat(store->login, &state) == 0)
		stamp_of(stamp, &state);
}

bool box_store_same(const struct box_store_stamp *a, const struct box_store_stamp *b)
{
	return a->there == b->there && a->inode == b->inode && a->seconds == b->seconds &&
	       a->nanoseconds == b->nanoseconds;
}

int box_store_load(struct box_store *store, json_t **out, struct box_store_stamp *stamp)
{
	struct stat state;
	char *text = NULL;
	int result = 0;
	int fd = open(store->login, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : errno == ELOOP ? -EINVAL : -EIO;
	if (fstat(fd, &state))
		result = -EIO;
	else if (!S_ISREG(state.st_mode) || state.st_uid != geteuid() || (state.st_mode & 077) || state.st_size <= 0 ||
		 state.st_size > BOX_LOGIN_MAX)
		result = -EINVAL;
	else if (!(text = malloc((size_t)state.st_size)))
		result = -ENOMEM;
	else
		result = file_read(fd, text, (size_t)state.st_size);
	close(fd);
	if (!result) {
		*out = json_loadb(text, (size_t)state.st_size, 0, NULL);
		if (!json_is_object(*out)) {
			json_decref(*out);
			*out = NULL;
			result = -EINVAL;
		} else {
			store->sealed = box_is_sealed(*out);
			if (store->sealed)
				result = unseal(store, out);
		}
		stamp_of(stamp, &state);
		explicit_bzero(text, (size_t)state.st_size);
	}
	free(text);
	return result;
}

int box_store_begin(const struct box_store *store, struct box_store_write *write)
{
	int error;

	if (!text_format(write->temporary, sizeof(write->temporary), "%s.XXXXXX", store->login))
		return -ENAMETOOLONG;
	write->fd = mkostemp(write->temporary, O_CLOEXEC); /* 0600 */
	if (write->fd < 0)
		return -errno;
	error = -posix_fallocate(write->fd, 0, RESERVED);
	if (error == -EOPNOTSUPP || error == -EINVAL)
		error = 0;
	if (error)
		box_store_cancel(write);
	return error;
}

void box_store_cancel(struct box_store_write *write)
{
	if (write->fd >= 0) {
		close(write->fd);
		unlink(write->temporary);
	}
	write->fd = -1;
}

static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) && errno != EINVAL) /* some file systems cannot */
		error = -errno;
	close(fd);
	return error;
}

static int replace_with(const struct box_store *store, struct box_store_write *write, const char *name,
			const char *text, size_t size)
{
	int error = file_write(write->fd, text, size);

	if (!error && ftruncate(write->fd, (off_t)size))
		error = -errno;
	if (!error && fsync(write->fd))
		error = -errno;
	if (!error && rename(write->temporary, name))
		error = -errno;
	if (error) {
		box_store_cancel(write);
		return error;
	}
	close(write->fd);
	write->fd = -1;
	return sync_folder(store->folder);
}

int box_store_commit(const struct box_store *store, struct box_store_write *write, const json_t *login)
{
	json_t *sealed = store->sealed && store->keyed ? box_seal(login, store->key) : NULL;
	char *text = store->sealed && !sealed ? NULL
					      : json_dumps(sealed ? sealed : login, JSON_INDENT(1) | JSON_SORT_KEYS);
	int error;

	json_decref(sealed);
	if (!text) {
		box_store_cancel(write);
		return -ENOMEM;
	}
	error = replace_with(store, write, store->login, text, strlen(text));
	explicit_bzero(text, strlen(text));
	free(text);
	return error;
}

int box_store_try_lock(const struct box_store *store, int *fd)
{
	*fd = open(store->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return -errno;
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	close(*fd);
	*fd = -1;
	return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -EIO;
}

void box_store_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}

static bool text_path(const struct box_store *store, const char *ending, char *out, size_t size)
{
	size_t base = strlen(store->login) - strlen("login");

	return text_format(out, size, "%.*s%s", (int)base, store->login, ending);
}

int box_store_get_text(const struct box_store *store, const char *ending, char *out, size_t size)
{
	char path[PATH_MAX];
	ssize_t got;
	int fd;

	if (!text_path(store, ending, path, sizeof(path)))
		return -ENOENT;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -ENOENT;
	got = read(fd, out, size - 1);
	close(fd);
	if (got <= 0)
		return -EINVAL;
	out[got] = 0;
	return 0;
}

int box_store_put_text(const struct box_store *store, const char *ending, const char *text)
{
	struct box_store_write write;
	char path[PATH_MAX];
	int error;

	if (!text_path(store, ending, path, sizeof(path)))
		return -ENAMETOOLONG;
	error = box_store_begin(store, &write);
	return error ? error : replace_with(store, &write, path, text, strlen(text));
}

void box_store_drop_text(const struct box_store *store, const char *ending)
{
	char path[PATH_MAX];

	if (text_path(store, ending, path, sizeof(path)))
		unlink(path);
}
