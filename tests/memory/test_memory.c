/* SPDX-License-Identifier: MIT */
/*
 * Operations of `memory` on names, attributes and extended attributes, with their errors, called directly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/memory/check.h"
#include "tests/memory/drive.h"
#include "tests/memory/host.h"

/* --- Names --- */

static void test_lookup_and_create(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	struct dw_entry entry, found;
	char long_name[300];

	assert_int_equal(do_lookup(fs, DW_NODE_ROOT, "a", &found), -ENOENT);
	assert_int_equal(do_create(fs, DW_NODE_ROOT, "a", 0640, &entry), 0);
	assert_int_equal(entry.attr.mode, DW_MODE_FILE | 0640);
	assert_int_equal(entry.attr.nlink, 1);
	assert_int_equal(entry.attr.ino, entry.node);
	assert_int_equal(do_create(fs, DW_NODE_ROOT, "a", 0640, &found), -EEXIST);
	assert_int_equal(do_lookup(fs, DW_NODE_ROOT, "a", &found), 0);
	assert_int_equal(found.node, entry.node);
	assert_int_equal(do_lookup(fs, entry.node, "b", &found), -ENOTDIR);
	assert_int_equal(do_lookup(fs, 999, "b", &found), -ESTALE);
	assert_int_equal(do_create(fs, entry.node, "b", 0644, &found), -ENOTDIR);
	memset(long_name, 'x', sizeof(long_name));
	long_name[256] = 0;
	assert_int_equal(do_lookup(fs, DW_NODE_ROOT, long_name, &found), -ENAMETOOLONG);
	assert_int_equal(do_create(fs, DW_NODE_ROOT, long_name, 0644, &found), -ENAMETOOLONG);
	long_name[255] = 0;
	assert_int_equal(do_create(fs, DW_NODE_ROOT, long_name, 0644, &found), 0);
	assert_int_equal(do_lookup(fs, DW_NODE_ROOT, long_name, &entry), 0);
	assert_int_equal(do_create(fs, DW_NODE_ROOT, "..", 0644, &found), -EINVAL);
	assert_int_equal(do_create(fs, DW_NODE_ROOT, "x/y", 0644, &found), -EINVAL);
}

static void test_node_life(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "a");
	struct dw_entry entry;
	char byte = 'x';

	assert_int_equal(do_lookup(fs, DW_NODE_ROOT, "a", &entry), 0); /* counts two now */
	assert_int_equal(do_unlink(fs, DW_NODE_ROOT, "a"), 0);
	assert_int_equal(do_lookup(fs, DW_NODE_ROOT, "a", &entry), -ENOENT);
	assert_int_equal(attr_of(fs, node).nlink, 0);
	assert_int_equal(do_write(fs, node, &byte, 1, 0), 1);
	do_forget(fs, node, 1);
	assert_int_equal(attr_of(fs, node).size, 1);
	fs = reopen(state);
	assert_int_equal(do_read(fs, node, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
	do_forget(fs, node, 1);
	struct dw_attr attr;
	assert_int_equal(do_getattr(fs, node, &attr), -ESTALE);
	uint64_t other = make_file(fs, DW_NODE_ROOT, "a");
	assert_int_not_equal(other, node); /* ids are not used again */
	assert_int_equal(do_getattr(fs, node, &attr), -ESTALE);
	do_forget(fs, other, 1);
	assert_int_equal(do_getattr(fs, other, &attr), 0); /* it has a name */
}

static void test_folders(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t a = make_folder(fs, DW_NODE_ROOT, "a"), b = make_folder(fs, a, "b");
	struct dw_entry entry;

	assert_int_equal(attr_of(fs, DW_NODE_ROOT).nlink, 3);
	assert_int_equal(attr_of(fs, a).nlink, 3);
	assert_int_equal(attr_of(fs, b).nlink, 2);
	make_file(fs, a, "f");
	assert_int_equal(do_mkdir(fs, a, "b", 0755, &entry), -EEXIST);
	assert_int_equal(do_mkdir(fs, a, "f", 0755, &entry), -EEXIST);
	assert_int_equal(do_rmdir(fs, DW_NODE_ROOT, "a"), -ENOTEMPTY);
	assert_int_equal(do_rmdir(fs, a, "f"), -ENOTDIR);
	assert_int_equal(do_unlink(fs, a, "b"), -EISDIR);
	assert_int_equal(do_rmdir(fs, a, "none"), -ENOENT);
	assert_int_equal(do_unlink(fs, a, "none"), -ENOENT);
	assert_int_equal(do_rmdir(fs, a, "b"), 0);
	assert_int_equal(attr_of(fs, a).nlink, 2);
	assert_int_equal(attr_of(fs, b).nlink, 0);
	/* Nothing can be made in a folder that is removed. */
	assert_int_equal(do_create(fs, b, "x", 0644, &entry), -ENOENT);
	assert_int_equal(do_unlink(fs, a, "f"), 0);
	assert_int_equal(do_rmdir(fs, DW_NODE_ROOT, "a"), 0);
	assert_int_equal(attr_of(fs, DW_NODE_ROOT).nlink, 2);
}

static void test_special_files(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	struct request r;
	struct dw_entry entry;
	char target[64] = "", long_target[5000];
	size_t length = sizeof(target);

	assert_int_equal(fs->ops->mknod(fs, request_new(&r), DW_NODE_ROOT, "c", DW_MODE_CHARACTER | 0600, 5, 1, &entry),
			 0);
	assert_int_equal(entry.attr.rdev_major, 5);
	assert_int_equal(entry.attr.rdev_minor, 1);
	assert_int_equal(fs->ops->mknod(fs, request_new(&r), DW_NODE_ROOT, "p", DW_MODE_FIFO | 0600, 0, 0, &entry), 0);
	assert_int_equal(entry.attr.mode, DW_MODE_FIFO | 0600);
	assert_int_equal(do_truncate(fs, entry.node, 0), -EINVAL);
	assert_int_equal(fs->ops->mknod(fs, request_new(&r), DW_NODE_ROOT, "s", DW_MODE_SOCKET | 0600, 0, 0, &entry),
			 0);
	assert_int_equal(fs->ops->mknod(fs, request_new(&r), DW_NODE_ROOT, "f", DW_MODE_FILE | 0600, 0, 0, &entry), 0);
	assert_int_equal(fs->ops->mknod(fs, request_new(&r), DW_NODE_ROOT, "d", DW_MODE_FOLDER | 0600, 0, 0, &entry),
			 -EINVAL);
	assert_int_equal(fs->ops->symlink(fs, request_new(&r), DW_NODE_ROOT, "l", "over/there", &entry), 0);
	assert_int_equal(entry.attr.mode, DW_MODE_LINK | 0777);
	assert_int_equal(entry.attr.size, 10);
	assert_int_equal(fs->ops->readlink(fs, request_new(&r), entry.node, target, &length), 0);
	assert_int_equal(length, 10);
	assert_memory_equal(target, "over/there", 10);
	assert_int_equal(fs->ops->readlink(fs, request_new(&r), DW_NODE_ROOT, target, &length), -EINVAL);
	memset(long_target, 'y', sizeof(long_target));
	long_target[4999] = 0;
	assert_int_equal(fs->ops->symlink(fs, request_new(&r), DW_NODE_ROOT, "m", long_target, &entry), -ENAMETOOLONG);
	assert_int_equal(fs->ops->symlink(fs, request_new(&r), DW_NODE_ROOT, "l", "x", &entry), -EEXIST);
	assert_int_equal(do_unlink(fs, DW_NODE_ROOT, "l"), 0);
}

static void test_link(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "a"), folder = make_folder(fs, DW_NODE_ROOT, "d");
	struct dw_entry entry;

	assert_int_equal(do_link(fs, node, folder, "b", &entry), 0);
	assert_int_equal(entry.node, node);
	assert_int_equal(entry.attr.nlink, 2);
	assert_int_equal(do_link(fs, node, folder, "b", &entry), -EEXIST);
	assert_int_equal(do_link(fs, folder, DW_NODE_ROOT, "e", &entry), -EPERM);
	assert_int_equal(do_link(fs, 12345, DW_NODE_ROOT, "e", &entry), -ESTALE);
	assert_int_equal(do_unlink(fs, DW_NODE_ROOT, "a"), 0);
	assert_int_equal(attr_of(fs, node).nlink, 1);
	assert_int_equal(do_lookup(fs, folder, "b", &entry), 0);
}

static void test_tmpfile(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	struct request r;
	struct dw_entry entry, linked;
	struct dw_open open;

	assert_int_equal(fs->ops->tmpfile(fs, request_new(&r), DW_NODE_ROOT, 0600, DW_O_RDWR, &entry, &open), 0);
	assert_int_equal(entry.attr.nlink, 0);
	assert_int_equal(do_write(fs, entry.node, "hello", 5, 0), 5);
	assert_int_equal(do_link(fs, entry.node, DW_NODE_ROOT, "t", &linked), 0);
	assert_int_equal(linked.attr.nlink, 1);
	assert_int_equal(fs->ops->tmpfile(fs, request_new(&r), DW_NODE_ROOT, 0600, DW_O_RDWR, &entry, &open), 0);
	uint64_t before = do_statfs(fs).blocks_free;
	char *block = calloc(1, 65536);
	assert_int_equal(do_write(fs, entry.node, block, 65536, 0), 65536);
	free(block);
	do_forget(fs, entry.node, 1);
	assert_true(do_statfs(fs).blocks_free >= before);
}

/* --- Rename --- */

static void test_rename(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t a = make_folder(fs, DW_NODE_ROOT, "a"), b = make_folder(fs, DW_NODE_ROOT, "b");
	uint64_t sub = make_folder(fs, a, "sub"), file = make_file(fs, a, "f"), other = make_file(fs, b, "g");
	struct dw_entry entry;

	/* plain */
	assert_int_equal(do_rename(fs, a, "none", b, "x", 0), -ENOENT);
	assert_int_equal(do_rename(fs, a, "f", b, "f2", 0), 0);
	assert_int_equal(do_lookup(fs, b, "f2", &entry), 0);
	assert_int_equal(entry.node, file);
	assert_int_equal(do_lookup(fs, a, "f", &entry), -ENOENT);
	/* over a file */
	assert_int_equal(do_rename(fs, b, "f2", b, "g", DW_RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(do_rename(fs, b, "f2", b, "g", 0), 0);
	assert_int_equal(attr_of(fs, other).nlink, 0);
	assert_int_equal(do_lookup(fs, b, "g", &entry), 0);
	assert_int_equal(entry.node, file);
	/* kinds that do not go together */
	assert_int_equal(do_rename(fs, b, "g", a, "sub", 0), -EISDIR);
	assert_int_equal(do_rename(fs, a, "sub", b, "g", 0), -ENOTDIR);
	/* a folder, and its links */
	assert_int_equal(do_rename(fs, a, "sub", b, "moved", 0), 0);
	assert_int_equal(attr_of(fs, a).nlink, 2);
	assert_int_equal(attr_of(fs, b).nlink, 3);
	/* into itself */
	uint64_t below = make_folder(fs, sub, "below");
	assert_int_equal(do_rename(fs, DW_NODE_ROOT, "b", below, "x", 0), -EINVAL);
	assert_int_equal(do_rename(fs, DW_NODE_ROOT, "b", b, "x", 0), -EINVAL);
	/* over a folder */
	assert_int_equal(do_rename(fs, DW_NODE_ROOT, "a", b, "moved", 0), -ENOTEMPTY);
	assert_int_equal(do_rmdir(fs, sub, "below"), 0);
	assert_int_equal(do_rename(fs, DW_NODE_ROOT, "a", b, "moved", 0), 0);
	assert_int_equal(attr_of(fs, sub).nlink, 0);
	assert_int_equal(attr_of(fs, b).nlink, 3);
	assert_int_equal(attr_of(fs, DW_NODE_ROOT).nlink, 3);
	/* two names of one file: nothing happens */
	assert_int_equal(do_link(fs, file, b, "same", &entry), 0);
	assert_int_equal(do_rename(fs, b, "same", b, "g", 0), 0);
	assert_int_equal(do_lookup(fs, b, "same", &entry), 0);
	assert_int_equal(do_lookup(fs, b, "g", &entry), 0);
	/* flags that are not known */
	assert_int_equal(do_rename(fs, b, "g", b, "h", 8), -EINVAL);
	assert_int_equal(do_rename(fs, b, "g", b, "h", DW_RENAME_NOREPLACE | DW_RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(do_rename(fs, b, "g", b, "h", DW_RENAME_NOREPLACE), 0);
}

static void test_exchange(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t a = make_folder(fs, DW_NODE_ROOT, "a"), sub = make_folder(fs, a, "sub");
	uint64_t file = make_file(fs, DW_NODE_ROOT, "f");
	struct dw_entry entry;

	assert_int_equal(do_rename(fs, DW_NODE_ROOT, "f", a, "none", DW_RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(do_rename(fs, DW_NODE_ROOT, "f", a, "sub", DW_RENAME_EXCHANGE), 0);
	assert_int_equal(do_lookup(fs, DW_NODE_ROOT, "f", &entry), 0);
	assert_int_equal(entry.node, sub);
	assert_int_equal(do_lookup(fs, a, "sub", &entry), 0);
	assert_int_equal(entry.node, file);
	assert_int_equal(attr_of(fs, a).nlink, 2);
	assert_int_equal(attr_of(fs, DW_NODE_ROOT).nlink, 4);
	uint64_t deep = make_folder(fs, a, "deep");
	assert_int_equal(do_rename(fs, DW_NODE_ROOT, "a", a, "deep", DW_RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(do_rename(fs, a, "deep", DW_NODE_ROOT, "a", DW_RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(attr_of(fs, deep).nlink, 2);
}

/* --- Listing --- */

static void test_readdir(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	struct collector collector = collector_new(1000);
	uint64_t folder = make_folder(fs, DW_NODE_ROOT, "d"), file = make_file(fs, folder, "f");
	char name[32];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		do_forget(fs, make_file(fs, folder, name), 1);
	}
	assert_int_equal(do_readdir(fs, file, 0, false, &collector), -ENOTDIR);
	assert_int_equal(do_readdir(fs, 77777, 0, false, &collector), -ESTALE);
	assert_int_equal(do_readdir(fs, folder, 100000, false, &collector), -EINVAL);
	assert_int_equal(do_readdir(fs, folder, 0, false, &collector), 0);
	assert_int_equal(collector.count, 101);
	assert_string_equal(collector.entries[0].name, "f");
	assert_int_equal(collector.entries[0].attr.ino, file);
	assert_int_equal(collector.entries[0].attr.mode & DW_MODE_TYPE, DW_MODE_FILE);
	assert_int_equal(do_readdir(fs, folder, collector.entries[100].next, false, &collector), 0);
	assert_int_equal(collector.count, 0);

	/* With attributes, what fitted is counted and what did not is not. */
	collector.room = 50;
	assert_int_equal(do_readdir(fs, folder, 0, true, &collector), 0);
	assert_int_equal(collector.count, 50);
	uint64_t node = collector.entries[49].node, last = collector.entries[49].next;
	collector.room = 1;
	assert_int_equal(do_readdir(fs, folder, last, true, &collector), 0);
	uint64_t next_node = collector.entries[0].node;
	snprintf(name, sizeof(name), "n%d", 48);
	struct dw_attr attr;
	assert_int_equal(do_unlink(fs, folder, name), 0);
	assert_int_equal(do_getattr(fs, node, &attr), 0);
	do_forget(fs, node, 1);
	assert_int_equal(do_getattr(fs, node, &attr), -ESTALE);
	do_forget(fs, next_node, 1);
	snprintf(name, sizeof(name), "n%d", 49);
	assert_int_equal(do_unlink(fs, folder, name), 0);
	assert_int_equal(do_getattr(fs, next_node, &attr), -ESTALE);
	collector_free(&collector);
}

/* What exists throughout is listed exactly once, whatever is made, removed and renamed meanwhile. */
static void test_readdir_is_stable(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	struct collector collector = collector_new(7);
	uint64_t folder = make_folder(fs, DW_NODE_ROOT, "d"), offset = 0;
	char name[32], other[32];
	int seen[300] = {0}, turns = 0, made = 0;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "keep%d", i);
		make_file(fs, folder, name);
		snprintf(name, sizeof(name), "gone%d", i);
		make_file(fs, folder, name);
	}
	do {
		assert_int_equal(do_readdir(fs, folder, offset, turns % 2, &collector), 0);
		for (size_t i = 0; i < collector.count; i++) {
			int number;
			if (sscanf(collector.entries[i].name, "keep%d", &number) == 1 ||
			    sscanf(collector.entries[i].name, "renamed%d", &number) == 1)
				seen[number]++;
			/* Remove what was listed, also the entry that the offset points behind. */
			if (sscanf(collector.entries[i].name, "gone%d", &number) == 1)
				assert_int_equal(do_unlink(fs, folder, collector.entries[i].name), 0);
			if (sscanf(collector.entries[i].name, "keep%d", &number) == 1 && number % 3 == 0) {
				snprintf(other, sizeof(other), "renamed%d", number);
				assert_int_equal(do_rename(fs, folder, collector.entries[i].name, folder, other, 0), 0);
			}
			offset = collector.entries[i].next;
		}
		if (made < 50) {
			snprintf(name, sizeof(name), "new%d", made++);
			make_file(fs, folder, name);
		}
		turns++;
		assert_true(turns < 1000);
	} while (collector.count);
	for (int i = 0; i < 300; i++)
		assert_int_equal(seen[i], 1);
	collector_free(&collector);
}

static void test_empty_while_listing(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	struct collector collector = collector_new(10);
	uint64_t folder = make_folder(fs, DW_NODE_ROOT, "d"), offset = 0;
	char name[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		make_file(fs, folder, name);
	}
	do {
		assert_int_equal(do_readdir(fs, folder, offset, false, &collector), 0);
		for (size_t i = 0; i < collector.count; i++) {
			assert_int_equal(do_unlink(fs, folder, collector.entries[i].name), 0);
			offset = collector.entries[i].next;
		}
	} while (collector.count);
	assert_int_equal(do_rmdir(fs, DW_NODE_ROOT, "d"), 0);
	collector_free(&collector);
}

/* --- Attributes --- */

static void test_setattr(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f"), folder = make_folder(fs, DW_NODE_ROOT, "d");
	struct dw_setattr in = {.valid = DW_SET_MODE, .mode = 04751};
	struct dw_attr out, before = attr_of(fs, node);

	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	assert_int_equal(out.mode, DW_MODE_FILE | 04751);
	assert_true(is_earlier(before.ctime, out.ctime));
	assert_true(is_same_time(before.mtime, out.mtime));
	in = (struct dw_setattr){.valid = DW_SET_UID | DW_SET_GID, .uid = 12, .gid = 34};
	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	assert_int_equal(out.uid, 12);
	assert_int_equal(out.gid, 34);
	assert_int_equal(out.mode, DW_MODE_FILE | 0751); /* set-user-id is gone with the owner */
	in = (struct dw_setattr){
		.valid = DW_SET_ATIME | DW_SET_MTIME, .atime = {-5, 7}, .mtime = {1LL << 40, 999999999}};
	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	assert_int_equal(out.atime.seconds, -5);
	assert_int_equal(out.atime.nanoseconds, 7);
	assert_int_equal(out.mtime.seconds, 1LL << 40);
	assert_int_equal(out.mtime.nanoseconds, 999999999);
	assert_true(is_same_time(out.btime, before.btime));
	in = (struct dw_setattr){.valid = DW_SET_MTIME, .mtime = {0, 1000000000}};
	assert_int_equal(do_setattr(fs, node, &in, &out), -EINVAL);
	in = (struct dw_setattr){.valid = DW_SET_ATIME | DW_SET_ATIME_NOW};
	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	assert_false(is_earlier(out.atime, before.atime));
	assert_int_equal(do_truncate(fs, folder, 0), -EISDIR);
	assert_int_equal(do_truncate(fs, node, (uint64_t)INT64_MAX + 1), -EFBIG);
	assert_int_equal(do_truncate(fs, node, INT64_MAX), 0);
	assert_int_equal(attr_of(fs, node).size, INT64_MAX);
	assert_int_equal(do_setattr(fs, 4242, &in, &out), -ESTALE);
}

static void test_privileges(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f");
	struct dw_setattr in = {.valid = DW_SET_MODE, .mode = 06755};
	struct dw_attr out;
	struct request r;
	size_t done, size = 0;

	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "security.capability", "cap", 3, 0), 0);
	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	assert_int_equal(do_write(fs, node, "x", 1, 0), 1);
	assert_int_equal(attr_of(fs, node).mode & 07777, 06755);
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, "security.capability", NULL, &size), -ENODATA);
	assert_int_equal(fs->ops->write(fs, request_new(&r), node, DW_O_RDWR, "x", 1, 0, DW_WRITE_KILL_PRIV, &done), 0);
	assert_int_equal(attr_of(fs, node).mode & 07777, 0755);
	/* set-group-id without group execution means something else and stays */
	in.mode = 06745;
	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	in = (struct dw_setattr){.valid = DW_SET_SIZE | DW_SET_KILL_PRIV};
	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	assert_int_equal(out.mode & 07777, 02745);
}

static void test_inherited_group(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t folder = make_folder(fs, DW_NODE_ROOT, "d");
	struct dw_setattr in = {.valid = DW_SET_MODE | DW_SET_GID, .mode = 02775, .gid = 77};
	struct dw_attr out;
	struct dw_entry entry;
	struct request r;

	assert_int_equal(do_setattr(fs, folder, &in, &out), 0);
	assert_int_equal(do_create(fs, folder, "f", 0644, &entry), 0);
	assert_int_equal(entry.attr.gid, 77);
	assert_int_equal(entry.attr.mode, DW_MODE_FILE | 0644);
	assert_int_equal(do_mkdir(fs, folder, "s", 0755, &entry), 0);
	assert_int_equal(entry.attr.gid, 77);
	assert_int_equal(entry.attr.mode, DW_MODE_FOLDER | 02755);
	request_new(&r)->uid = 5;
	r.req.gid = 6;
	r.req.umask = 027;
	assert_int_equal(fs->ops->mkdir(fs, &r.req, DW_NODE_ROOT, "m", 0777, &entry), 0);
	assert_int_equal(entry.attr.uid, 5);
	assert_int_equal(entry.attr.gid, 6);
	assert_int_equal(entry.attr.mode, DW_MODE_FOLDER | 0750);
}

static void test_times(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t folder = make_folder(fs, DW_NODE_ROOT, "d");
	struct dw_attr before = attr_of(fs, folder), after;
	uint64_t node = make_file(fs, folder, "f");
	char byte;

	after = attr_of(fs, folder);
	assert_true(is_earlier(before.mtime, after.mtime));
	assert_true(is_earlier(before.ctime, after.ctime));
	before = attr_of(fs, node);
	assert_int_equal(do_write(fs, node, "a", 1, 0), 1);
	after = attr_of(fs, node);
	assert_true(is_earlier(before.mtime, after.mtime));
	assert_true(is_same_time(before.atime, after.atime));
	/* the first read after a change sets atime, the second does not */
	assert_int_equal(do_read(fs, node, &byte, 1, 0), 1);
	before = attr_of(fs, node);
	assert_true(is_earlier(after.atime, before.atime));
	assert_int_equal(do_read(fs, node, &byte, 1, 0), 1);
	after = attr_of(fs, node);
	assert_true(is_same_time(before.atime, after.atime));
	struct request r;
	size_t done;
	assert_int_equal(do_write(fs, node, "b", 1, 0), 1);
	assert_int_equal(fs->ops->read(fs, request_new(&r), node, DW_O_RDONLY | DW_O_NOATIME, &byte, 1, 0, &done), 0);
	assert_true(is_same_time(attr_of(fs, node).atime, after.atime));
	before = attr_of(fs, node);
	assert_int_equal(do_unlink(fs, folder, "f"), 0);
	assert_true(is_earlier(before.ctime, attr_of(fs, node).ctime));
}

/* --- Extended attributes --- */

static void test_xattrs(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f");
	struct request r;
	char value[64], list[256], *big = malloc(65537);
	size_t size = 0;

	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, "user.a", NULL, &size), -ENODATA);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.a", "one", 3, DW_XATTR_REPLACE), -ENODATA);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.a", "one", 3, 0), 0);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.a", "two", 3, DW_XATTR_CREATE), -EEXIST);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.b", NULL, 0, DW_XATTR_CREATE), 0);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.a", "three", 5, DW_XATTR_REPLACE), 0);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "trusted.t", "t", 1, 0), 0);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "other.a", "x", 1, 0), -EOPNOTSUPP);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.", "x", 1, 0), -EINVAL);
	size = 0;
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, "user.a", NULL, &size), 0);
	assert_int_equal(size, 5);
	size = 4;
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, "user.a", value, &size), -ERANGE);
	size = sizeof(value);
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, "user.a", value, &size), 0);
	assert_int_equal(size, 5);
	assert_memory_equal(value, "three", 5);
	size = sizeof(value);
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, "user.b", value, &size), 0);
	assert_int_equal(size, 0);
	size = 0;
	assert_int_equal(fs->ops->listxattr(fs, request_new(&r), node, NULL, &size), 0);
	assert_int_equal(size, 7 + 7 + 10);
	size = 8;
	assert_int_equal(fs->ops->listxattr(fs, request_new(&r), node, list, &size), -ERANGE);
	size = sizeof(list);
	request_new(&r)->uid = 1000;
	assert_int_equal(fs->ops->listxattr(fs, &r.req, node, list, &size), 0);
	assert_int_equal(size, 14); /* without trusted. */
	assert_int_equal(fs->ops->removexattr(fs, request_new(&r), node, "user.b"), 0);
	assert_int_equal(fs->ops->removexattr(fs, request_new(&r), node, "user.b"), -ENODATA);
	memset(big, 'z', 65537);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.big", big, 65537, 0), -E2BIG);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.big", big, 65536, 0), 0);
	fs = reopen(state);
	char *back = malloc(65536);
	size = 65536;
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, "user.big", back, &size), 0);
	assert_int_equal(size, 65536);
	assert_memory_equal(back, big, 65536);
	assert_int_equal(fs->ops->removexattr(fs, request_new(&r), node, "user.big"), 0);
	assert_int_equal(fs->ops->removexattr(fs, request_new(&r), node, "user.a"), 0);
	assert_int_equal(fs->ops->removexattr(fs, request_new(&r), node, "trusted.t"), 0);
	free(back);
	free(big);
}

/* An ACL's value: tag, permissions, id. */
static size_t acl_make(uint8_t *out, const uint32_t (*entries)[3], size_t count)
{
	uint8_t *p = out;

	*p++ = 2;
	*p++ = 0;
	*p++ = 0;
	*p++ = 0;
	for (size_t i = 0; i < count; i++) {
		*p++ = (uint8_t)entries[i][0];
		*p++ = 0;
		*p++ = (uint8_t)entries[i][1];
		*p++ = 0;
		for (int shift = 0; shift < 32; shift += 8)
			*p++ = (uint8_t)(entries[i][2] >> shift);
	}
	return (size_t)(p - out);
}

#define NO_ID UINT32_MAX

static void test_acls(void **state)
{
	static const uint32_t full[][3] = {{1, 7, NO_ID}, {2, 6, 1000}, {4, 5, NO_ID}, {16, 4, NO_ID}, {32, 1, NO_ID}};
	static const uint32_t minimal[][3] = {{1, 6, NO_ID}, {4, 4, NO_ID}, {32, 0, NO_ID}};
	static const uint32_t no_mask[][3] = {{1, 7, NO_ID}, {2, 6, 1000}, {4, 5, NO_ID}, {32, 1, NO_ID}};
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f"), folder = make_folder(fs, DW_NODE_ROOT, "d");
	const char *access = "system.posix_acl_access", *inherited = "system.posix_acl_default";
	uint8_t acl[256], got[256];
	struct dw_setattr in;
	struct dw_attr out;
	struct dw_entry entry;
	struct request r;
	size_t size = acl_make(acl, full, 5), got_size = sizeof(got);

	in = (struct dw_setattr){.valid = DW_SET_MODE, .mode = 02644};
	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, access, acl, size, 0), 0);
	assert_int_equal(attr_of(fs, node).mode & 07777, 02741); /* group bits are the mask */
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, access, acl, size, DW_XATTR_KILL_SGID), 0);
	assert_int_equal(attr_of(fs, node).mode & 07777, 0741);
	/* chmod changes the mask */
	in.mode = 0620;
	assert_int_equal(do_setattr(fs, node, &in, &out), 0);
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, access, got, &got_size), 0);
	assert_int_equal(got_size, size);
	assert_int_equal(got[4 + 2], 6);
	assert_int_equal(got[4 + 8 + 2], 6);
	assert_int_equal(got[4 + 16 + 2], 5);
	assert_int_equal(got[4 + 24 + 2], 2);
	assert_int_equal(got[4 + 32 + 2], 0);
	/* one that says no more than the mode is not kept */
	size = acl_make(acl, minimal, 3);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, access, acl, size, 0), 0);
	assert_int_equal(attr_of(fs, node).mode & 07777, 0640);
	got_size = 0;
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), node, access, NULL, &got_size), -ENODATA);
	size = acl_make(acl, no_mask, 4);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, access, acl, size, 0), -EINVAL);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, access, "xy", 2, 0), -EINVAL);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, inherited, acl, size, 0), -EACCES);

	/* inheritance */
	size = acl_make(acl, full, 5);
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), folder, inherited, acl, size, 0), 0);
	assert_int_equal(attr_of(fs, folder).mode & 07777, 0755);
	request_new(&r)->umask = 077;
	assert_int_equal(fs->ops->mkdir(fs, &r.req, folder, "s", 0777, &entry), 0);
	assert_int_equal(entry.attr.mode, DW_MODE_FOLDER | 0741); /* the umask does not count */
	got_size = sizeof(got);
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), entry.node, inherited, got, &got_size), 0);
	assert_memory_equal(got, acl, size);
	got_size = sizeof(got);
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), entry.node, access, got, &got_size), 0);
	assert_memory_equal(got, acl, size);
	assert_int_equal(do_create(fs, folder, "f", 0600, &entry), 0);
	assert_int_equal(entry.attr.mode, DW_MODE_FILE | 0600);
	got_size = sizeof(got);
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), entry.node, access, got, &got_size), 0);
	assert_int_equal(got[4 + 2], 6);
	assert_int_equal(got[4 + 24 + 2], 0);
	got_size = 0;
	assert_int_equal(fs->ops->getxattr(fs, request_new(&r), entry.node, inherited, NULL, &got_size), -ENODATA);
	assert_int_equal(fs->ops->removexattr(fs, request_new(&r), folder, inherited), 0);
	assert_int_equal(fs->ops->removexattr(fs, request_new(&r), folder, inherited), 0);
	assert_int_equal(do_create(fs, folder, "g", 0666, &entry), 0);
	assert_int_equal(entry.attr.mode, DW_MODE_FILE | 0666);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_lookup_and_create),
		TEST(test_node_life),
		TEST(test_folders),
		TEST(test_special_files),
		TEST(test_link),
		TEST(test_tmpfile),
		TEST(test_rename),
		TEST(test_exchange),
		TEST(test_readdir),
		TEST(test_readdir_is_stable),
		TEST(test_empty_while_listing),
		TEST(test_setattr),
		TEST(test_privileges),
		TEST(test_inherited_group),
		TEST(test_times),
		TEST(test_xattrs),
		TEST(test_acls),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
