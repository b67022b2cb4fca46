/* SPDX-License-Identifier: MIT */
/* Every operation of local, called as the channel calls it, over a temporary folder. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "filesystems/local/local.h"
#include "host.h"

#define ROOT DW_NODE_ROOT

struct fixture {
	char path[64];
	struct test_host host;
	struct dw_filesystem *fs;
	struct test_request request;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->path, sizeof(f->path), "/tmp/local-test-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	assert_int_equal(chmod(f->path, 0755), 0);
	test_host_make(&f->host);
	f->fs = test_open(&f->host, f->path, false);
	assert_non_null(f->fs);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	f->fs->ops->close(f->fs);
	test_host_free(&f->host);
	snprintf(command, sizeof(command), "rm -rf %s", f->path);
	int status = system(command);
	free(f);
	return status;
}

#define REQ (test_request(&f->request, 0))
#define OPS (f->fs->ops)

static const char *on_host(struct fixture *f, const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *out = path[turn++ % 4];

	snprintf(out, 256, "%s/%s", f->path, name);
	return out;
}

static void host_file(struct fixture *f, const char *name, const char *content)
{
	FILE *file = fopen(on_host(f, name), "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static uint64_t look(struct fixture *f, uint64_t parent, const char *name)
{
	struct dw_entry entry;

	assert_int_equal(OPS->lookup(f->fs, REQ, parent, name, &entry), 0);
	return entry.node;
}

static int get(struct fixture *f, uint64_t node, struct dw_attr *attr)
{
	uint64_t timeout = DW_TIMEOUT_DEFAULT;

	return OPS->getattr(f->fs, REQ, node, DW_NO_HANDLE, attr, &timeout);
}

static uint64_t create(struct fixture *f, uint64_t parent, const char *name, uint32_t mode, struct dw_open *open)
{
	struct dw_entry entry;

	assert_int_equal(OPS->create(f->fs, REQ, parent, name, mode, O_RDWR | O_CREAT | O_EXCL, &entry, open), 0);
	assert_int_equal(entry.attr.mode & 07777, mode & ~022u);
	return entry.node;
}

static void forget(struct fixture *f, uint64_t node, uint64_t count)
{
	struct dw_forget item = {.node = node, .count = count};

	OPS->forget(f->fs, REQ, &item, 1);
}

static uint64_t nodes(struct fixture *f)
{
	return table_nodes(&local_of(f->fs)->table);
}

static void restart(struct fixture *f)
{
	OPS->close(f->fs);
	f->fs = test_open(&f->host, f->path, true);
	assert_non_null(f->fs);
}

static void test_lookup(void **state)
{
	struct fixture *f = *state;
	struct dw_entry entry;
	struct dw_attr attr;
	struct stat st;
	char longest[300];

	host_file(f, "a", "hello");
	assert_int_equal(OPS->lookup(f->fs, REQ, ROOT, "a", &entry), 0);
	assert_int_equal(stat(on_host(f, "a"), &st), 0);
	assert_int_equal(entry.attr.size, 5);
	assert_int_equal(entry.attr.ino, st.st_ino);
	assert_int_equal(entry.attr.mtime.nanoseconds, st.st_mtim.tv_nsec);
	assert_int_equal(get(f, entry.node, &attr), 0);
	assert_int_equal(attr.ino, entry.attr.ino);
	assert_int_equal(attr.mode, entry.attr.mode);
	assert_int_equal(attr.ctime.nanoseconds, entry.attr.ctime.nanoseconds);
	assert_int_equal(attr.btime.seconds, entry.attr.btime.seconds);
	assert_int_equal(look(f, ROOT, "a"), entry.node);
	assert_int_equal(look(f, ROOT, "b"), 0);
	assert_int_equal(OPS->lookup(f->fs, REQ, entry.node, "x", &entry), -ENOTDIR);
	assert_int_equal(OPS->lookup(f->fs, REQ, 12345678, "x", &entry), -ESTALE);
	assert_int_equal(OPS->lookup(f->fs, REQ, UINT64_MAX, "x", &entry), -ESTALE);
	memset(longest, 'n', sizeof(longest));
	longest[299] = '\0';
	assert_int_equal(OPS->lookup(f->fs, REQ, ROOT, longest, &entry), -ENAMETOOLONG);
	assert_int_equal(OPS->lookup(f->fs, REQ, ROOT, "..", &entry), -EINVAL);
	assert_int_equal(OPS->lookup(f->fs, REQ, ROOT, "a/b", &entry), -EINVAL);
	assert_int_equal(nodes(f), 2);
	forget(f, look(f, ROOT, "a"), 3);
	assert_int_equal(nodes(f), 1);
	assert_int_equal(get(f, 77, &attr), -ESTALE);
}

static void test_hard_links(void **state)
{
	struct fixture *f = *state;
	struct dw_entry entry;
	struct dw_attr attr;

	host_file(f, "a", "x");
	assert_int_equal(link(on_host(f, "a"), on_host(f, "b")), 0);
	uint64_t node = look(f, ROOT, "a");
	assert_int_equal(look(f, ROOT, "b"), node);
	assert_int_equal(OPS->link(f->fs, REQ, node, ROOT, "c", &entry), 0);
	assert_int_equal(entry.node, node);
	assert_int_equal(entry.attr.nlink, 3);
	assert_int_equal(OPS->link(f->fs, REQ, node, ROOT, "c", &entry), -EEXIST);
	/* Whichever names go, the node is found by those that are left. */
	assert_int_equal(OPS->unlink(f->fs, REQ, ROOT, "c"), 0);
	assert_int_equal(get(f, node, &attr), 0);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(unlink(on_host(f, "b")), 0);
	assert_int_equal(get(f, node, &attr), 0);
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(OPS->unlink(f->fs, REQ, ROOT, "a"), 0);
	assert_int_equal(get(f, node, &attr), -ESTALE);
	forget(f, node, 3);
	assert_int_equal(nodes(f), 1);
}

static void test_read_write(void **state)
{
	struct fixture *f = *state;
	struct dw_open open;
	struct dw_attr attr;
	char buffer[64] = {0};
	size_t done = 0;
	uint64_t found = 0;

	uint64_t node = create(f, ROOT, "file", 0644, &open);
	assert_int_equal(OPS->write(f->fs, test_request(&f->request, DW_REQUEST_NOWAIT), node, open.handle, "hello", 5,
				    3, 0, &done),
			 0);
	assert_int_equal(done, 5);
	assert_int_equal(OPS->read(f->fs, REQ, node, open.handle, buffer, sizeof(buffer), 0, &done), 0);
	assert_int_equal(done, 8);
	assert_memory_equal(buffer, "\0\0\0hello", 8);
	assert_int_equal(OPS->read(f->fs, test_request(&f->request, DW_REQUEST_NOWAIT), node, open.handle, buffer,
				   sizeof(buffer), 8, &done),
			 0);
	assert_int_equal(done, 0);
	assert_int_equal(OPS->read(f->fs, REQ, node, 999, buffer, 1, 0, &done), -EBADF);
	assert_int_equal(OPS->fsync(f->fs, test_request(&f->request, DW_REQUEST_NOWAIT), node, open.handle, true),
			 -EAGAIN);
	assert_int_equal(OPS->fsync(f->fs, REQ, node, open.handle, true), 0);
	assert_int_equal(OPS->fallocate(f->fs, REQ, node, open.handle, 0, 1 << 16, 0), 0);
	assert_int_equal(get(f, node, &attr), 0);
	assert_int_equal(attr.size, 1 << 16);
	assert_int_equal(OPS->fallocate(f->fs, REQ, node, open.handle, 0, 4096,
					DW_FALLOCATE_KEEP_SIZE | DW_FALLOCATE_PUNCH_HOLE),
			 0);
	assert_int_equal(OPS->fallocate(f->fs, REQ, node, open.handle, 0, 4096, 0x40), -EOPNOTSUPP);
	assert_int_equal(OPS->lseek(f->fs, REQ, node, open.handle, 1 << 16, DW_SEEK_DATA, &found), -ENXIO);
	assert_int_equal(OPS->lseek(f->fs, REQ, node, open.handle, 0, DW_SEEK_HOLE, &found), 0);

	struct dw_open second;
	assert_int_equal(OPS->open(f->fs, REQ, node, O_RDONLY, &second), 0);
	assert_int_equal(OPS->write(f->fs, REQ, node, second.handle, "x", 1, 0, 0, &done), -EBADF);
	struct dw_open other;
	uint64_t copy = create(f, ROOT, "copy", 0600, &other);
	assert_int_equal(OPS->write(f->fs, REQ, node, open.handle, "data", 4, 0, 0, &done), 0);
	assert_int_equal(OPS->copy_file_range(f->fs, REQ, node, second.handle, 0, copy, other.handle, 10, 4, &done), 0);
	assert_int_equal(done, 4);
	assert_int_equal(OPS->read(f->fs, REQ, copy, other.handle, buffer, 4, 10, &done), 0);
	assert_memory_equal(buffer, "data", 4);
	OPS->release(f->fs, REQ, copy, other.handle);
	OPS->release(f->fs, REQ, node, second.handle);
	OPS->release(f->fs, REQ, node, open.handle);
	assert_int_equal(OPS->open(f->fs, REQ, node, O_RDWR | O_TRUNC, &open), 0);
	assert_int_equal(get(f, node, &attr), 0);
	assert_int_equal(attr.size, 0);
	OPS->release(f->fs, REQ, node, open.handle);
}

static void test_making(void **state)
{
	struct fixture *f = *state;
	struct dw_entry entry;
	struct dw_open open;
	struct dw_attr attr;
	char target[64];
	size_t length = sizeof(target);

	assert_int_equal(OPS->mkdir(f->fs, REQ, ROOT, "d", 0777, &entry), 0);
	assert_int_equal(entry.attr.mode, 0040755);
	uint64_t d = entry.node;
	assert_int_equal(OPS->mkdir(f->fs, REQ, ROOT, "d", 0777, &entry), -EEXIST);
	assert_int_equal(OPS->symlink(f->fs, REQ, d, "s", "/no/where", &entry), 0);
	assert_int_equal(OPS->readlink(f->fs, REQ, entry.node, target, &length), 0);
	assert_int_equal(length, 9);
	assert_memory_equal(target, "/no/where", 9);
	assert_int_equal(OPS->mknod(f->fs, REQ, d, "p", 0010600, 0, 0, &entry), 0);
	assert_int_equal(entry.attr.mode, 0010600);
	assert_int_equal(OPS->mknod(f->fs, REQ, d, "r", 0100666, 0, 0, &entry), 0);
	assert_int_equal(entry.attr.mode, 0100644);
	assert_int_equal(OPS->create(f->fs, REQ, d, "r", 0600, O_RDWR | O_CREAT | O_EXCL, &entry, &open), -EEXIST);
	assert_int_equal(OPS->rmdir(f->fs, REQ, ROOT, "d"), -ENOTEMPTY);
	assert_int_equal(OPS->unlink(f->fs, REQ, ROOT, "d"), -EISDIR);
	assert_int_equal(OPS->rmdir(f->fs, REQ, d, "r"), -ENOTDIR);
	assert_int_equal(OPS->unlink(f->fs, REQ, d, "nothing"), -ENOENT);
	assert_int_equal(OPS->unlink(f->fs, REQ, d, "s"), 0);
	assert_int_equal(OPS->unlink(f->fs, REQ, d, "p"), 0);
	assert_int_equal(OPS->unlink(f->fs, REQ, d, "r"), 0);
	assert_int_equal(OPS->rmdir(f->fs, REQ, ROOT, "d"), 0);
	assert_int_equal(access(on_host(f, "d"), F_OK), -1);
	/* A folder that was removed while it was in use still has attributes. */
	if (get(f, d, &attr) == 0)
		assert_int_equal(attr.nlink, 0);
	assert_int_equal(OPS->mkdir(f->fs, REQ, d, "below", 0777, &entry), -ENOENT);
}

static void test_unlinked_while_open(void **state)
{
	struct fixture *f = *state;
	struct dw_open open;
	struct dw_open again;
	struct dw_attr attr;
	char buffer[8];
	size_t done;

	uint64_t node = create(f, ROOT, "gone", 0644, &open);
	assert_int_equal(OPS->write(f->fs, REQ, node, open.handle, "kept", 4, 0, 0, &done), 0);
	assert_int_equal(OPS->unlink(f->fs, REQ, ROOT, "gone"), 0);
	assert_int_equal(get(f, node, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	restart(f);
	assert_int_equal(get(f, node, &attr), 0);
	assert_int_equal(attr.size, 4);
	assert_int_equal(OPS->read(f->fs, REQ, node, open.handle, buffer, sizeof(buffer), 0, &done), 0);
	assert_int_equal(done, 4);
	assert_memory_equal(buffer, "kept", 4);
	assert_int_equal(OPS->open(f->fs, REQ, node, O_RDONLY, &again), 0);
	OPS->release(f->fs, REQ, node, again.handle);
	OPS->release(f->fs, REQ, node, open.handle);
	assert_int_equal(f->host.shared->kept[HOST_KEPT_MAX - 1].key, 0);
	forget(f, node, 1);
	assert_int_equal(nodes(f), 1);

	/* The same for a file that a rename replaces. */
	uint64_t replaced = create(f, ROOT, "replaced", 0644, &open);
	host_file(f, "new", "n");
	assert_int_equal(OPS->write(f->fs, REQ, replaced, open.handle, "old", 3, 0, 0, &done), 0);
	assert_int_equal(OPS->rename(f->fs, REQ, ROOT, "new", ROOT, "replaced", 0), 0);
	restart(f);
	assert_int_equal(OPS->read(f->fs, REQ, replaced, open.handle, buffer, sizeof(buffer), 0, &done), 0);
	assert_memory_equal(buffer, "old", 3);
	OPS->release(f->fs, REQ, replaced, open.handle);
}

static void test_tmpfile(void **state)
{
	struct fixture *f = *state;
	struct dw_entry entry;
	struct dw_entry linked;
	struct dw_open open;
	char buffer[8];
	size_t done;

	int err = OPS->tmpfile(f->fs, REQ, ROOT, 0600, O_RDWR, &entry, &open);
	if (err == -EOPNOTSUPP)
		skip();
	assert_int_equal(err, 0);
	assert_int_equal(OPS->write(f->fs, REQ, entry.node, open.handle, "tmp", 3, 0, 0, &done), 0);
	restart(f);
	assert_int_equal(OPS->read(f->fs, REQ, entry.node, open.handle, buffer, sizeof(buffer), 0, &done), 0);
	assert_int_equal(done, 3);
	assert_int_equal(OPS->link(f->fs, REQ, entry.node, ROOT, "named", &linked), 0);
	assert_int_equal(linked.node, entry.node);
	assert_int_equal(linked.attr.nlink, 1);
	OPS->release(f->fs, REQ, entry.node, open.handle);
	assert_int_equal(look(f, ROOT, "named"), entry.node);
}

static void test_rename(void **state)
{
	struct fixture *f = *state;
	struct dw_entry entry;
	struct dw_attr attr;

	assert_int_equal(OPS->mkdir(f->fs, REQ, ROOT, "d", 0755, &entry), 0);
	uint64_t d = entry.node;
	assert_int_equal(OPS->mkdir(f->fs, REQ, d, "e", 0755, &entry), 0);
	uint64_t e = entry.node;
	host_file(f, "d/e/file", "12");
	uint64_t file = look(f, e, "file");
	assert_int_equal(OPS->rename(f->fs, REQ, ROOT, "d", ROOT, "D", 0), 0);
	assert_int_equal(get(f, file, &attr), 0);
	assert_int_equal(look(f, e, "file"), file);
	assert_int_equal(look(f, ROOT, "d"), 0);
	assert_int_equal(look(f, ROOT, "D"), d);
	restart(f);
	assert_int_equal(get(f, file, &attr), 0);
	assert_int_equal(attr.size, 2);
	host_file(f, "other", "123");
	uint64_t other = look(f, ROOT, "other");
	assert_int_equal(OPS->rename(f->fs, REQ, ROOT, "other", e, "file", DW_RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(OPS->rename(f->fs, REQ, ROOT, "other", e, "file", DW_RENAME_EXCHANGE), 0);
	assert_int_equal(look(f, ROOT, "other"), file);
	assert_int_equal(look(f, e, "file"), other);
	assert_int_equal(get(f, other, &attr), 0);
	assert_int_equal(attr.size, 3);
	assert_int_equal(OPS->rename(f->fs, REQ, ROOT, "D", e, "x", 0), -EINVAL);
	assert_int_equal(OPS->rename(f->fs, REQ, ROOT, "other", ROOT, "nothing", DW_RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(OPS->rename(f->fs, REQ, ROOT, "other", ROOT, "y", 0x80), -EINVAL);
	assert_int_equal(OPS->rename(f->fs, REQ, ROOT, "other", e, "file", 0), 0);
	assert_int_equal(look(f, e, "file"), file);
	assert_int_equal(get(f, other, &attr), -ESTALE);
}

static void test_attributes(void **state)
{
	struct fixture *f = *state;
	struct dw_setattr set = {.valid = DW_SET_MODE, .mode = 0600};
	struct dw_attr attr;
	struct dw_entry entry;
	struct dw_statfs stats;

	host_file(f, "a", "12345");
	uint64_t node = look(f, ROOT, "a");
	assert_int_equal(OPS->setattr(f->fs, REQ, node, DW_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.mode, 0100600);
	set = (struct dw_setattr){.valid = DW_SET_SIZE, .size = 2};
	assert_int_equal(OPS->setattr(f->fs, REQ, node, DW_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.size, 2);
	set = (struct dw_setattr){.valid = DW_SET_ATIME | DW_SET_MTIME,
				  .atime = {.seconds = 10, .nanoseconds = 11},
				  .mtime = {.seconds = -5, .nanoseconds = 999999999}};
	assert_int_equal(OPS->setattr(f->fs, REQ, node, DW_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.atime.seconds, 10);
	assert_int_equal(attr.atime.nanoseconds, 11);
	assert_int_equal(attr.mtime.seconds, -5);
	assert_int_equal(attr.mtime.nanoseconds, 999999999);
	set = (struct dw_setattr){.valid = DW_SET_MTIME | DW_SET_MTIME_NOW};
	assert_int_equal(OPS->setattr(f->fs, REQ, node, DW_NO_HANDLE, &set, &attr), 0);
	assert_true(attr.mtime.seconds > 1000000000);
	assert_int_equal(attr.atime.seconds, 10);

	assert_int_equal(OPS->symlink(f->fs, REQ, ROOT, "l", "a", &entry), 0);
	set = (struct dw_setattr){.valid = DW_SET_MTIME, .mtime = {.seconds = 7}};
	assert_int_equal(OPS->setattr(f->fs, REQ, entry.node, DW_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.mtime.seconds, 7);
	set = (struct dw_setattr){.valid = DW_SET_MODE, .mode = 0600};
	assert_int_equal(OPS->setattr(f->fs, REQ, entry.node, DW_NO_HANDLE, &set, &attr), -EOPNOTSUPP);
	set = (struct dw_setattr){.valid = DW_SET_SIZE, .size = 0};
	assert_int_equal(OPS->setattr(f->fs, REQ, ROOT, DW_NO_HANDLE, &set, &attr), -EISDIR);
	assert_int_equal(OPS->statfs(f->fs, REQ, node, &stats), 0);
	assert_true(stats.blocks > 0 && stats.block_size > 0 && stats.name_max == 255);
	assert_int_equal(OPS->syncfs(f->fs, test_request(&f->request, DW_REQUEST_NOWAIT)), -EAGAIN);
	if (geteuid() != 0)
		return;
	set = (struct dw_setattr){.valid = DW_SET_UID | DW_SET_GID, .uid = 12, .gid = 34};
	assert_int_equal(OPS->setattr(f->fs, REQ, entry.node, DW_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.uid, 12);
	assert_int_equal(attr.gid, 34);
	assert_int_equal(get(f, node, &attr), 0);
	assert_int_equal(attr.uid, 0);
	/* A write or truncation by somebody without privileges takes these bits away. */
	set = (struct dw_setattr){.valid = DW_SET_MODE, .mode = 06755};
	assert_int_equal(OPS->setattr(f->fs, REQ, node, DW_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.mode & 07777, 06755);
	set = (struct dw_setattr){.valid = DW_SET_SIZE | DW_SET_KILL_PRIV, .size = 1};
	assert_int_equal(OPS->setattr(f->fs, REQ, node, DW_NO_HANDLE, &set, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0755);
}

static void test_xattrs(void **state)
{
	struct fixture *f = *state;
	char value[16];
	char list[256];
	size_t size = sizeof(value);
	struct dw_entry entry;

	host_file(f, "a", "");
	uint64_t node = look(f, ROOT, "a");
	int err = OPS->setxattr(f->fs, REQ, node, "user.k", "v1", 2, DW_XATTR_CREATE);
	if (err == -EOPNOTSUPP)
		skip();
	assert_int_equal(err, 0);
	assert_int_equal(OPS->setxattr(f->fs, REQ, node, "user.k", "v2", 2, DW_XATTR_CREATE), -EEXIST);
	assert_int_equal(OPS->setxattr(f->fs, REQ, node, "user.n", "v2", 2, DW_XATTR_REPLACE), -ENODATA);
	assert_int_equal(OPS->setxattr(f->fs, REQ, node, "user.empty", "", 0, 0), 0);
	assert_int_equal(OPS->getxattr(f->fs, REQ, node, "user.k", value, &size), 0);
	assert_int_equal(size, 2);
	assert_memory_equal(value, "v1", 2);
	size = 1;
	assert_int_equal(OPS->getxattr(f->fs, REQ, node, "user.k", value, &size), -ERANGE);
	size = 0;
	assert_int_equal(OPS->getxattr(f->fs, REQ, node, "user.k", value, &size), 0);
	assert_int_equal(size, 2);
	size = sizeof(list);
	assert_int_equal(OPS->listxattr(f->fs, REQ, node, list, &size), 0);
	assert_non_null(memmem(list, size, "user.k", 7));
	assert_non_null(memmem(list, size, "user.empty", 11));
	assert_int_equal(OPS->removexattr(f->fs, REQ, node, "user.k"), 0);
	assert_int_equal(OPS->removexattr(f->fs, REQ, node, "user.k"), -ENODATA);
	/* Never the file that a link leads to. */
	assert_int_equal(OPS->symlink(f->fs, REQ, ROOT, "l", "a", &entry), 0);
	size = sizeof(value);
	assert_int_equal(OPS->getxattr(f->fs, REQ, entry.node, "user.empty", value, &size), -ENODATA);
	assert_true(OPS->setxattr(f->fs, REQ, entry.node, "user.x", "1", 1, 0) < 0);
	assert_int_equal(getxattr(on_host(f, "a"), "user.x", value, 1), -1);
}

struct collected {
	struct dw_listing listing;
	char names[64][32];
	struct dw_entry entries[64];
	uint64_t next[64];
	unsigned count, room;
};

static bool collect(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		    const struct dw_entry *entry)
{
	struct collected *c = (struct collected *)listing;

	if (c->count == c->room)
		return false;
	assert_true(length < 32 && next != 0);
	snprintf(c->names[c->count], 32, "%.*s", (int)length, name);
	c->entries[c->count] = *entry;
	c->next[c->count++] = next;
	return true;
}

static void test_listing(void **state)
{
	struct fixture *f = *state;
	struct dw_open open;
	unsigned seen[40] = {0};
	char name[16];
	uint64_t offset = 0;
	struct collected c;

	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f%02u", i);
		host_file(f, name, "");
	}
	assert_int_equal(OPS->opendir(f->fs, REQ, ROOT, &open), 0);
	for (;;) {
		c = (struct collected){.listing = {.add = collect}, .room = 7};
		assert_int_equal(OPS->readdir(f->fs, REQ, ROOT, open.handle, offset, &c.listing), 0);
		if (c.count == 0)
			break;
		for (unsigned i = 0; i < c.count; i++) {
			assert_int_equal(c.entries[i].node, 0);
			if (c.names[i][0] == 'f') {
				assert_int_equal(c.entries[i].attr.mode & DW_MODE_TYPE, DW_MODE_FILE);
				seen[strtoul(c.names[i] + 1, NULL, 10)]++;
			}
		}
		offset = c.next[c.count - 1];
		/* The offset means the same to the next process, and what is removed meanwhile does no harm. */
		restart(f);
		unlink(on_host(f, c.names[c.count - 1]));
	}
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(nodes(f), 1);

	c = (struct collected){.listing = {.add = collect, .attributes = true}, .room = 10};
	assert_int_equal(OPS->readdir(f->fs, REQ, ROOT, open.handle, 0, &c.listing), 0);
	assert_int_equal(c.count, 10);
	/* At first files come without: nobody may want to know. */
	for (unsigned i = 0; i < c.count; i++)
		assert_int_equal(c.entries[i].node, 0);
	assert_int_equal(nodes(f), 1);
	offset = c.next[c.count - 1];
	c = (struct collected){.listing = {.add = collect, .attributes = true}, .room = 10};
	assert_int_equal(OPS->readdir(f->fs, REQ, ROOT, open.handle, offset, &c.listing), 0);
	assert_int_equal(c.count, 10);
	unsigned counted = 0;
	for (unsigned i = 0; i < c.count; i++) {
		if (c.names[i][0] == '.')
			continue;
		counted++;
		assert_int_equal(look(f, ROOT, c.names[i]), c.entries[i].node);
		forget(f, c.entries[i].node, 1);
	}
	assert_int_equal(nodes(f), 1 + counted);
	for (unsigned i = 0; i < c.count; i++)
		forget(f, c.entries[i].node, 1);
	assert_int_equal(nodes(f), 1);
	assert_int_equal(OPS->fsyncdir(f->fs, REQ, ROOT, open.handle, false), 0);
	OPS->releasedir(f->fs, REQ, ROOT, open.handle);
}

/* How many files the first answer of a listing of the root gives with attributes; their counts are given back. */
static unsigned listed_with_attributes(struct fixture *f, const struct dw_open *open)
{
	struct collected c = {.listing = {.add = collect, .attributes = true}, .room = 10};
	unsigned with = 0;

	assert_int_equal(OPS->readdir(f->fs, REQ, ROOT, open->handle, 0, &c.listing), 0);
	assert_int_equal(c.count, 10);
	for (unsigned i = 0; i < c.count; i++) {
		if (c.entries[i].node == 0)
			continue;
		with++;
		forget(f, c.entries[i].node, 1);
	}
	return with;
}

static void test_listing_learns(void **state)
{
	struct fixture *f = *state;
	struct dw_open open;
	unsigned listings = 0;
	char name[16];

	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%02u", i);
		host_file(f, name, "");
	}
	assert_int_equal(OPS->opendir(f->fs, REQ, ROOT, &open), 0);
	/* Nobody wants to know. */
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(listed_with_attributes(f, &open), 0);
	/* Programs ask for what was left out. */
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%02u", i);
		forget(f, look(f, ROOT, name), 1);
	}
	assert_true(listed_with_attributes(f, &open) > 0);
	/* Given for a while, left out once, and from then on when nothing was looked up. */
	while (listed_with_attributes(f, &open) > 0)
		assert_true(++listings < 1000);
	assert_true(listings > 10);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(listed_with_attributes(f, &open), 0);
	assert_int_equal(nodes(f), 1);
	OPS->releasedir(f->fs, REQ, ROOT, open.handle);
}

static void test_behind_our_back(void **state)
{
	struct fixture *f = *state;
	struct dw_attr attr;
	struct dw_open open;
	struct dw_entry entry;
	struct dw_setattr set = {.valid = DW_SET_MODE, .mode = 0};

	host_file(f, "a", "1");
	uint64_t a = look(f, ROOT, "a");
	/* Renamed: the node is not found any more until somebody looks the new name up. */
	assert_int_equal(rename(on_host(f, "a"), on_host(f, "b")), 0);
	assert_int_equal(get(f, a, &attr), -ESTALE);
	assert_int_equal(look(f, ROOT, "a"), 0);
	assert_int_equal(look(f, ROOT, "b"), a);
	assert_int_equal(get(f, a, &attr), 0);
	/* Replaced: the new file is never taken for the old one. */
	host_file(f, "new", "123");
	assert_int_equal(rename(on_host(f, "new"), on_host(f, "b")), 0);
	assert_int_equal(get(f, a, &attr), -ESTALE);
	assert_int_equal(OPS->setattr(f->fs, REQ, a, DW_NO_HANDLE, &set, &attr), -ESTALE);
	assert_int_equal(OPS->open(f->fs, REQ, a, O_RDWR | O_TRUNC, &open), -ESTALE);
	assert_int_equal(OPS->link(f->fs, REQ, a, ROOT, "wrong", &entry), -ESTALE);
	uint64_t b = look(f, ROOT, "b");
	assert_true(b != a && b != 0);
	assert_int_equal(get(f, b, &attr), 0);
	assert_int_equal(attr.size, 3);
	assert_true((attr.mode & 0777) != 0);
	/* A folder replaced by a link out of the drive leads nowhere. */
	assert_int_equal(mkdir(on_host(f, "d"), 0755), 0);
	uint64_t d = look(f, ROOT, "d");
	assert_int_equal(rmdir(on_host(f, "d")), 0);
	assert_int_equal(symlink("/etc", on_host(f, "d")), 0);
	assert_int_equal(OPS->lookup(f->fs, REQ, d, "passwd", &entry), -ESTALE);
	uint64_t l = look(f, ROOT, "d");
	assert_int_equal(OPS->lookup(f->fs, REQ, l, "passwd", &entry), -ENOTDIR);
	assert_true(OPS->open(f->fs, REQ, l, O_RDONLY, &open) < 0);
	/* A FIFO in a file's place does not block. */
	assert_int_equal(unlink(on_host(f, "b")), 0);
	assert_int_equal(mkfifo(on_host(f, "b"), 0600), 0);
	assert_int_equal(OPS->open(f->fs, REQ, b, O_RDONLY, &open), -ESTALE);
}

static void test_passthrough(void **state)
{
	struct fixture *f = *state;
	struct dw_open first;
	struct dw_open second;

	f->host.shared->backing_wanted = true;
	uint64_t node = create(f, ROOT, "a", 0644, &first);
	assert_true(first.backing_id != 0);
	assert_int_equal(OPS->open(f->fs, REQ, node, O_RDONLY, &second), 0);
	assert_int_equal(second.backing_id, first.backing_id);
	restart(f);
	OPS->release(f->fs, REQ, node, first.handle);
	assert_int_equal(f->host.shared->backing_now, 1);
	assert_int_equal(OPS->open(f->fs, REQ, node, O_RDWR, &first), 0);
	assert_int_equal(second.backing_id, first.backing_id);
	OPS->release(f->fs, REQ, node, second.handle);
	OPS->release(f->fs, REQ, node, first.handle);
	assert_int_equal(f->host.shared->backing_now, 0);
	/* While a file is open without, all opens are without. */
	f->host.shared->backing_wanted = false;
	assert_int_equal(OPS->open(f->fs, REQ, node, O_RDWR | O_DIRECT, &first), 0);
	assert_int_equal(first.backing_id, 0);
	assert_true(first.flags & DW_OPEN_DIRECT);
	restart(f);
	f->host.shared->backing_wanted = true;
	assert_int_equal(OPS->open(f->fs, REQ, node, O_RDWR, &second), 0);
	assert_int_equal(second.backing_id, 0);
	OPS->release(f->fs, REQ, node, first.handle);
	OPS->release(f->fs, REQ, node, second.handle);
}

static void test_other_callers(void **state)
{
	struct fixture *f = *state;
	struct dw_entry entry;
	struct dw_open open;
	const struct dw_request *req = REQ;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->path, 0777), 0);
	f->request.request.uid = 1000;
	f->request.request.gid = 1001;
	f->request.request.umask = 077;
	assert_int_equal(OPS->create(f->fs, req, ROOT, "a", 0666, O_RDWR | O_CREAT | O_EXCL, &entry, &open), 0);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(entry.attr.gid, 1001);
	assert_int_equal(entry.attr.mode, 0100600);
	memset(&f->request.notes, 0, sizeof(f->request.notes));
	/* Where the host refuses because it does not know the caller's groups, the file is made and given. */
	assert_int_equal(mkdir(on_host(f, "shut"), 0750), 0);
	assert_int_equal(chown(on_host(f, "shut"), 0, 7), 0);
	assert_int_equal(chmod(on_host(f, "shut"), 02770), 0);
	uint64_t shut = look(f, ROOT, "shut");
	test_request(&f->request, 0);
	f->request.request.uid = 1000;
	f->request.request.gid = 1001;
	assert_int_equal(OPS->mkdir(f->fs, req, shut, "d", 0777, &entry), 0);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(entry.attr.gid, 7);
	assert_int_equal(entry.attr.mode, 0042755);
	memset(&f->request.notes, 0, sizeof(f->request.notes));
	assert_int_equal(OPS->mknod(f->fs, req, shut, "f", 0100644, 0, 0, &entry), 0);
	assert_int_equal(entry.attr.uid, 1000);
	assert_int_equal(entry.attr.gid, 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_lookup),	    TEST(test_hard_links),
		TEST(test_read_write),	    TEST(test_making),
		TEST(test_tmpfile),	    TEST(test_rename),
		TEST(test_attributes),	    TEST(test_unlinked_while_open),
		TEST(test_xattrs),	    TEST(test_listing),
		TEST(test_listing_learns),  TEST(test_passthrough),
		TEST(test_behind_our_back), TEST(test_other_callers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
