/* SPDX-License-Identifier: MIT */
/*
 * main.c - random operations on a real folder and on the model, in step
 *
 *    model DIR [--seed N] [--ops N] [--check-every N]
 *
 * Every answer is compared, error for error and byte for byte, and every N operations and at the end the whole tree.
 * The seed is printed; the same seed does the same operations again. DIR must be empty. The last operations
 * before a difference are printed with it.
 * Exit status 0: no difference; 1: a difference; 2: wrong use.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "compare.h"
#include "model.h"

#define HANDLES	  12
#define NODES_MAX 400u
#define REMEMBER  16u /* operations shown with a difference */
#define ROOM	  (64u * 1024)

struct handle {
	int fd; /* -1: free */
	int flags;
	struct model_node *node;
};

struct session {
	struct model model;
	struct compare_traits traits;
	struct handle handles[HANDLES];
	uint64_t state; /* of the random numbers */
	bool holes;	/* fallocate punches and zeroes */
	bool one_name;	/* files have one name: link(2) is not tried */
	uint64_t done;
	char said[REMEMBER][256];
	uint8_t one[ROOM], two[ROOM];
};

static uint32_t number(struct session *session, uint32_t below)
{
	/* splitmix64 */
	uint64_t z = session->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 16) % below;
}

static void say(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct session *session, const char *format, ...)
{
	char *room = session->said[session->done % REMEMBER];
	va_list list;

	va_start(list, format);
	vsnprintf(room, sizeof(session->said[0]), format, list);
	va_end(list);
}

/* real: what the call returned, with errno set when it is -1. Returns the number of differences. */
static int agree(struct session *session, long real, long expected)
{
	long got = real == -1 ? -errno : real;
	const char *one, *two;

	if (got == expected)
		return 0;
	one = got < 0 ? strerrorname_np((int)-got) : NULL;
	two = expected < 0 ? strerrorname_np((int)-expected) : NULL;
	printf("  answered %ld%s%s, expected %ld%s%s\n", got, one ? " " : "", one ? one : "", expected, two ? " " : "",
	       two ? two : "");
	return 1;
}

static void random_path(struct session *session, char *path, size_t room)
{
	uint32_t depth = 1 + number(session, 4);
	size_t at = 0;

	/* Few names, so that operations meet. */
	for (uint32_t i = 0; i < depth; i++)
		at += (size_t)snprintf(path + at, room - at, "%s%c%s", i ? "/" : "", 'a' + (int)number(session, 7),
				       number(session, 9) == 0 ? "-with-a-longer-name" : "");
}

static size_t random_size(struct session *session)
{
	switch (number(session, 4)) {
	case 0:
		return number(session, 20);
	case 1:
		return number(session, 5000);
	case 2:
		return 4096 * number(session, 16);
	default:
		return number(session, ROOM);
	}
}

static size_t random_offset(struct session *session)
{
	switch (number(session, 4)) {
	case 0:
		return 0;
	case 1:
		return number(session, 10000);
	case 2:
		return 4096 * number(session, 60);
	default:
		return number(session, 300000);
	}
}

static int on_two_paths(struct session *session)
{
	char from[128], to[128];
	static const unsigned kinds[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	unsigned flags = kinds[number(session, 5)];
	int expected;

	random_path(session, from, sizeof(from));
	random_path(session, to, sizeof(to));
	if (number(session, 3) == 0 && !session->one_name) {
		say(session, "link %s %s", from, to);
		expected = model_link(&session->model, from, to);
		return agree(session, link(from, to), expected);
	}
	say(session, "rename %s %s flags %u", from, to, flags);
	expected = model_rename(&session->model, from, to, flags);
	return agree(session, renameat2(AT_FDCWD, from, AT_FDCWD, to, flags), expected);
}

static int on_one_path(struct session *session)
{
	char path[128], target[300];
	int expected;

	random_path(session, path, sizeof(path));
	switch (number(session, 7)) {
	case 0:
	case 1:
	case 2:
		if (session->model.nodes > NODES_MAX)
			return 0;
		say(session, "mkdir %s", path);
		expected = model_mkdir(&session->model, path, 0755);
		return agree(session, mkdir(path, 0755), expected);
	case 3:
		say(session, "rmdir %s", path);
		expected = model_rmdir(&session->model, path);
		return agree(session, rmdir(path), expected);
	case 4:
		memset(target, 'x', sizeof(target));
		memcpy(target, "../nowhere/", 11);
		target[11 + number(session, 240)] = 0;
		say(session, "symlink %s", path);
		expected = model_symlink(&session->model, target, path);
		return agree(session, symlink(target, path), expected);
	default:
		say(session, "unlink %s", path);
		expected = model_unlink(&session->model, path);
		return agree(session, unlink(path), expected);
	}
}

static int on_attributes(struct session *session)
{
	struct model_node *node = NULL;
	struct timespec times[2];
	char path[128];
	mode_t mode;
	size_t size;
	int expected;

	random_path(session, path, sizeof(path));
	expected = model_find(&session->model, path, true, &node);
	switch (number(session, 4)) {
	case 0:
		mode = number(session, 0100) | 0700;
		say(session, "chmod %s %o", path, mode);
		if (!expected)
			node->mode = mode;
		return agree(session, chmod(path, mode), expected);
	case 1:
		times[0] = (struct timespec){number(session, 2000000000), number(session, 1000000000)};
		times[1] = (struct timespec){number(session, 2000000000), number(session, 1000000000)};
		say(session, "utimens %s", path);
		if (!expected) {
			node->time_kind = MODEL_TIME_EXACT;
			node->mtime = times[1];
		}
		return agree(session, utimensat(AT_FDCWD, path, times, 0), expected);
	case 2:
		size = random_offset(session);
		say(session, "truncate %s %zu", path, size);
		if (!expected && node->type == MODEL_FOLDER)
			expected = -EISDIR;
		if (!expected) {
			bool same = node->size == size;

			expected = model_resize(node, size);
			if (same)
				node->time_kind = MODEL_TIME_UNKNOWN;
		}
		return agree(session, truncate(path, (off_t)size), expected);
	default:
		say(session, "stat %s", path);
		expected = model_find(&session->model, path, false, &node);
		if (expected) {
			struct stat st;

			return agree(session, lstat(path, &st), expected);
		}
		return compare_attributes(&session->traits, path, -1, node);
	}
}

static int on_xattrs(struct session *session)
{
	struct model_node *node = NULL;
	uint8_t value[64], other[64];
	char path[128], name[24];
	size_t size = number(session, sizeof(value));
	int flags = (int)number(session, 3);
	int expected, differences;

	random_path(session, path, sizeof(path));
	snprintf(name, sizeof(name), "user.name-%u", number(session, MODEL_XATTRS));
	for (size_t i = 0; i < size; i++)
		value[i] = (uint8_t)number(session, 256);
	expected = model_find(&session->model, path, true, &node);
	switch (number(session, 4)) {
	case 0:
		say(session, "getxattr %s %s", path, name);
		if (!expected)
			expected = model_xattr_get(node, name, value, sizeof(value));
		differences = agree(session, getxattr(path, name, other, sizeof(other)), expected);
		if (!differences && expected > 0 && memcmp(value, other, (size_t)expected) != 0) {
			printf("  another value\n");
			differences = 1;
		}
		return differences;
	case 1:
		say(session, "removexattr %s %s", path, name);
		if (!expected)
			expected = model_xattr_set(node, name, NULL, 0, 0);
		return agree(session, removexattr(path, name), expected);
	default:
		say(session, "setxattr %s %s %zu bytes flags %d", path, name, size, flags);
		if (!expected)
			expected = model_xattr_set(node, name, value, size, flags);
		return agree(session, setxattr(path, name, value, size, flags), expected);
	}
}

static int open_one(struct session *session, struct handle *handle)
{
	static const int kinds[] = {
		O_RDWR | O_CREAT, O_RDWR | O_CREAT,  O_RDWR | O_CREAT | O_EXCL, O_RDWR | O_CREAT | O_TRUNC,
		O_RDWR,		  O_RDWR | O_APPEND, O_RDWR | O_TRUNC,		O_RDWR | O_CREAT | O_APPEND};
	char path[128];
	int fd, expected;

	random_path(session, path, sizeof(path));
	handle->flags = kinds[number(session, 8)];
	if (session->model.nodes > NODES_MAX)
		handle->flags &= ~(O_CREAT | O_EXCL);
	say(session, "open %s flags %#o", path, (unsigned)handle->flags);
	expected = model_open(&session->model, path, handle->flags, 0644, &handle->node);
	fd = open(path, handle->flags | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (expected == 0 && fd >= 0) {
		handle->fd = fd;
		return 0;
	}
	return agree(session, fd, expected);
}

static int store_mapped(struct session *session, struct handle *handle)
{
	struct model_node *node = handle->node;
	size_t from, size;
	uint8_t *bytes;

	if (node->size == 0)
		return 0;
	from = number(session, (uint32_t)node->size);
	size = 1 + number(session, 9000);
	if (size > node->size - from)
		size = node->size - from;
	say(session, "store %zu bytes at %zu through a mapping", size, from);
	memset(session->one, (int)number(session, 256), size);
	model_write(node, session->one, size, from);
	node->time_kind = MODEL_TIME_UNKNOWN;
	bytes = mmap(NULL, node->size, PROT_READ | PROT_WRITE, MAP_SHARED, handle->fd, 0);
	if (bytes == MAP_FAILED)
		return agree(session, -1, 0);
	memcpy(bytes + from, session->one, size);
	return agree(session, munmap(bytes, node->size), 0);
}

static int allocate(struct session *session, struct handle *handle)
{
	size_t from = random_offset(session), size = 1 + random_size(session);
	struct model_node *node = handle->node;
	int expected = 0, mode;

	switch (session->holes ? number(session, 3) : 0) {
	case 0:
		mode = 0;
		if (from + size > node->size)
			expected = model_resize(node, from + size);
		node->time_kind = MODEL_TIME_UNKNOWN;
		break;
	case 1:
		mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		model_zero(node, from, size);
		node->time_kind = MODEL_TIME_UNKNOWN;
		break;
	default:
		mode = FALLOC_FL_ZERO_RANGE;
		model_zero(node, from, size);
		if (from + size > node->size)
			expected = model_resize(node, from + size);
		node->time_kind = MODEL_TIME_UNKNOWN;
		break;
	}
	say(session, "fallocate mode %d %zu bytes at %zu", mode, size, from);
	return agree(session, fallocate(handle->fd, mode, (off_t)from, (off_t)size), expected);
}

static int copy_between(struct session *session, struct handle *from, struct handle *to)
{
	size_t size = random_size(session), at = random_offset(session), into = random_offset(session);
	loff_t in = (loff_t)at, out = (loff_t)into;
	size_t left;
	int got;

	if (from->node == to->node || (to->flags & O_APPEND))
		return 0;
	say(session, "copy_file_range %zu bytes from %zu to %zu", size, at, into);
	got = model_read(from->node, session->one, size, at);
	if (got > 0)
		model_write(to->node, session->one, (size_t)got, into);
	for (left = (size_t)got; left > 0;) {
		ssize_t copied = copy_file_range(from->fd, &in, to->fd, &out, left, 0);

		if (copied <= 0)
			return agree(session, copied, (long)left);
		left -= (size_t)copied;
	}
	return 0;
}

static int on_handle(struct session *session)
{
	struct handle *handle = &session->handles[number(session, HANDLES)];
	size_t offset = random_offset(session), size = random_size(session);
	struct model_node *node = handle->node;
	struct handle *other;
	int expected, differences;

	if (handle->fd < 0)
		return open_one(session, handle);
	switch (number(session, 11)) {
	case 0:
		say(session, "close");
		differences = agree(session, close(handle->fd), 0);
		handle->fd = -1;
		model_close(&session->model, node);
		return differences;
	case 1:
	case 2:
	case 3:
		if (handle->flags & O_APPEND)
			offset = node->size;
		if (offset + size > MODEL_SIZE_MAX)
			return 0;
		for (size_t i = 0; i < size; i++)
			session->one[i] = (uint8_t)(i * 31 + session->done);
		say(session, "write %zu bytes at %zu flags %#o", size, offset, (unsigned)handle->flags);
		expected = model_write(node, session->one, size, offset);
		return agree(session, pwrite(handle->fd, session->one, size, (off_t)offset), expected);
	case 4:
	case 5:
		say(session, "read %zu bytes at %zu", size, offset);
		expected = model_read(node, session->one, size, offset);
		differences = agree(session, pread(handle->fd, session->two, size, (off_t)offset), expected);
		if (!differences && memcmp(session->one, session->two, (size_t)expected) != 0) {
			printf("  other bytes\n");
			differences = 1;
		}
		return differences;
	case 6:
		say(session, "ftruncate %zu", offset);
		expected = model_resize(node, offset);
		return agree(session, ftruncate(handle->fd, (off_t)offset), expected);
	case 7:
		say(session, "fstat");
		return compare_attributes(&session->traits, "an open file", handle->fd, node);
	case 8:
		return store_mapped(session, handle);
	case 9:
		return allocate(session, handle);
	default:
		other = &session->handles[number(session, HANDLES)];
		return other->fd < 0 ? 0 : copy_between(session, handle, other);
	}
}

static int step(struct session *session)
{
	uint32_t kind = number(session, 100);

	say(session, "nothing");
	if (kind < 15)
		return on_two_paths(session);
	if (kind < 35)
		return on_one_path(session);
	if (kind < 50)
		return on_attributes(session);
	if (kind < 58)
		return session->traits.xattrs ? on_xattrs(session) : 0;
	return on_handle(session);
}

static int compare_all(struct session *session)
{
	int differences = compare_tree(&session->traits, &session->model);

	for (int i = 0; i < HANDLES; i++) {
		const struct handle *handle = &session->handles[i];

		if (handle->fd < 0)
			continue;
		differences += compare_attributes(&session->traits, "an open file", handle->fd, handle->node);
		differences += compare_content("an open file", handle->fd, handle->node);
	}
	return differences;
}

/* What this folder can do, found out once. */
static int look_around(struct session *session)
{
	struct stat st;
	int fd = open("probe", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || stat(".", &st) != 0) {
		fprintf(stderr, "model: cannot work here: %s\n", strerror(errno));
		return -1;
	}
	session->traits.xattrs = fsetxattr(fd, "user.probe", "x", 1, 0) == 0;
	session->traits.counts_folders = st.st_nlink == 2;
	session->holes = write(fd, session->one, 8192) == 8192 &&
			 fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 &&
			 fallocate(fd, FALLOC_FL_ZERO_RANGE, 4096, 4096) == 0;
	close(fd);
	if (unlink("probe") != 0 || chmod(".", 0755) != 0)
		return -1;
	model_touch(session->model.root);
	session->model.root->time_kind = MODEL_TIME_UNKNOWN;
	return 0;
}

static int run(struct session *session, uint64_t operations, uint64_t every)
{
	int differences = 0;

	for (session->done = 0; session->done < operations && !differences; session->done++) {
		differences = step(session);
		if (!differences && session->done % every == every - 1)
			differences = compare_all(session);
	}
	if (!differences)
		differences = compare_all(session);
	if (differences) {
		uint64_t last = session->done;

		printf("after operation %" PRIu64 "; the last ones:\n", last);
		for (uint64_t i = last > REMEMBER ? last - REMEMBER : 0; i < last; i++)
			printf("  %" PRIu64 " %s\n", i + 1, session->said[i % REMEMBER]);
	}
	return differences;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"ops", required_argument, NULL, 'o'},
		{"check-every", required_argument, NULL, 'c'},
		{"one-name", no_argument, NULL, 'n'},
		{NULL, 0, NULL, 0},
	};
	uint64_t seed = 0, operations = 20000, every = 1000;
	struct session *session;
	bool one_name = false;
	int option, result = 2;

	if (getrandom(&seed, 4, 0) != 4)
		seed = (uint64_t)getpid();
	while ((option = getopt_long(argc, argv, "s:o:c:n", options, NULL)) != -1) {
		if (option == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (option == 'o')
			operations = strtoull(optarg, NULL, 0);
		else if (option == 'c')
			every = strtoull(optarg, NULL, 0);
		else if (option == 'n')
			one_name = true;
		else
			return 2;
	}
	if (optind + 1 != argc || every == 0) {
		fprintf(stderr, "usage: model DIR [--seed N] [--ops N] [--check-every N] [--one-name]\n");
		return 2;
	}
	session = calloc(1, sizeof(*session));
	if (session)
		session->one_name = one_name;
	if (!session || model_init(&session->model) != 0 || chdir(argv[optind]) != 0) {
		fprintf(stderr, "model: %s: %s\n", argv[optind], strerror(errno));
		goto out;
	}
	umask(022);
	session->state = seed;
	for (int i = 0; i < HANDLES; i++)
		session->handles[i].fd = -1;
	if (look_around(session) != 0)
		goto out;
	printf("seed %" PRIu64 ", %" PRIu64 " operations%s%s\n", seed, operations,
	       session->traits.xattrs ? "" : ", no extended attributes", session->holes ? "" : ", no holes");
	fflush(stdout);
	result = run(session, operations, every) != 0;
	printf("model of %s: %s, %zu nodes at the end\n", argv[optind], result ? "DIFFERS" : "agrees",
	       session->model.nodes);
	for (int i = 0; i < HANDLES; i++)
		if (session->handles[i].fd >= 0) {
			close(session->handles[i].fd);
			model_close(&session->model, session->handles[i].node);
		}
out:
	if (session && session->model.root)
		model_free(&session->model);
	free(session);
	return result;
}
