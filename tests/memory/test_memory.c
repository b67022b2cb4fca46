/* SPDX-License-Identifier: MIT */
/*
 * Every operation of `memory`, with its errors, called directly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/memory/check.h"
#include "tests/memory/host.h"

struct drive {
	struct host host;
	struct dw_filesystem *fs;
};

static int set_up_sized(void **state, const char *size)
{
	struct drive *drive = calloc(1, sizeof(*drive));

	host_create(&drive->host);
	drive->fs = host_open(&drive->host, "size", size, NULL);
	*state = drive;
	return 0;
}

static int set_up(void **state)
{
	return set_up_sized(state, "64M");
}

static int set_up_small(void **state)
{
	return set_up_sized(state, "4M");
}

static int tear_down(void **state)
{
	struct drive *drive = *state;

	check_drive(drive->fs);
	drive->fs->ops->close(drive->fs);
	host_destroy(&drive->host);
	free(drive);
	return 0;
}

static struct dw_filesystem *fs_of(void **state)
{
	return ((struct drive *)*state)->fs;
}

/* The process ends and another one opens the drive. */
static struct dw_filesystem *reopen(void **state)
{
	struct drive *drive = *state;

	drive->fs->ops->close(drive->fs);
	drive->fs = host_open(&drive->host, NULL);
	return drive->fs;
}

static uint64_t make_file(struct dw_filesystem *fs, uint64_t parent, const char *name)
{
	struct dw_entry entry;

	assert_int_equal(do_create(fs, parent, name, 0644, &entry), 0);
	return entry.node;
}

static uint64_t make_folder(struct dw_filesystem *fs, uint64_t parent, const char *name)
{
	struct dw_entry entry;

	assert_int_equal(do_mkdir(fs, parent, name, 0755, &entry), 0);
	return entry.node;
}

static struct dw_attr attr_of(struct dw_filesystem *fs, uint64_t node)
{
	struct dw_attr attr;

	assert_int_equal(do_getattr(fs, node, &attr), 0);
	return attr;
}

static void fill(uint8_t *buffer, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525u + 1013904223u;
		buffer[i] = (uint8_t)(seed >> 24);
	}
}

static bool is_earlier(struct dw_time a, struct dw_time b)
{
	return a.seconds < b.seconds || (a.seconds == b.seconds && a.nanoseconds < b.nanoseconds);
}

static bool is_same_time(struct dw_time a, struct dw_time b)
{
	return a.seconds == b.seconds && a.nanoseconds == b.nanoseconds;
}

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

/* --- Contents --- */

static void test_write_and_read(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f");
	size_t size = 6u << 20;
	uint8_t *model = calloc(1, size), *got = malloc(size), *piece = malloc(size);
	uint64_t end = 0;
	struct request r;
	size_t done;

	srand(7);
	for (int turn = 0; turn < 400; turn++) {
		size_t length = turn % 3 ? (size_t)rand() % 20000 : (size_t)rand() % (2u << 20);
		size_t offset = (size_t)rand() % (size - length);
		if (turn % 10 == 9) {
			offset = (size_t)rand() % size;
			assert_int_equal(do_truncate(fs, node, offset), 0);
			if (offset < end)
				memset(model + offset, 0, end - offset);
			end = offset;
		} else if (turn % 10 == 8) {
			assert_int_equal(do_fallocate(fs, node, offset, length + 1,
						      DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_KEEP_SIZE),
					 0);
			memset(model + offset, 0, length + 1);
		} else {
			fill(piece, length, (uint32_t)turn);
			assert_int_equal(do_write(fs, node, piece, length, offset), (int64_t)length);
			memcpy(model + offset, piece, length);
			if (length && offset + length > end)
				end = offset + length;
		}
		assert_int_equal(attr_of(fs, node).size, end);
		assert_int_equal(do_read(fs, node, got, size, 0), (int64_t)end);
		assert_memory_equal(got, model, end);
	}
	assert_int_equal(do_read(fs, node, got, 10, end), 0);
	assert_int_equal(do_read(fs, DW_NODE_ROOT, got, 10, 0), -EISDIR);
	assert_int_equal(do_write(fs, DW_NODE_ROOT, got, 10, 0), -EISDIR);
	assert_int_equal(do_read(fs, 5555, got, 10, 0), -ESTALE);
	assert_int_equal(do_write(fs, node, "x", 1, INT64_MAX), -EFBIG);
	assert_int_equal(fs->ops->write(fs, request_new(&r), node, DW_O_RDONLY, "x", 1, 0, 0, &done), -EBADF);
	assert_int_equal(fs->ops->read(fs, request_new(&r), node, DW_O_WRONLY, got, 1, 0, &done), -EBADF);
	free(model);
	free(got);
	free(piece);
}

static void test_sparse(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f"), where[] = {0, 1ull << 30, 1ull << 42, (1ull << 62) + 5};
	struct request r;
	uint64_t found;
	char got[3];

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(do_write(fs, node, "ab", 2, where[i]), 2);
	assert_int_equal(attr_of(fs, node).blocks, 4 * 8);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(do_read(fs, node, got, 2, where[i]), 2);
		assert_memory_equal(got, "ab", 2);
		assert_int_equal(fs->ops->lseek(fs, request_new(&r), node, 0, where[i], DW_SEEK_HOLE, &found), 0);
		assert_int_equal(found, i == 3 ? where[3] + 2 : where[i] / 4096 * 4096 + 4096);
		if (i == 3)
			break;
		assert_int_equal(fs->ops->lseek(fs, request_new(&r), node, 0, found, DW_SEEK_DATA, &found), 0);
		assert_int_equal(found, where[i + 1] / 4096 * 4096);
	}
	assert_int_equal(do_read(fs, node, got, 3, (1ull << 62) + 4), 3);
	assert_int_equal(got[0], 0);
	assert_int_equal(fs->ops->lseek(fs, request_new(&r), node, 0, where[3] + 2, DW_SEEK_DATA, &found), -ENXIO);
	assert_int_equal(do_truncate(fs, node, (1ull << 62) + 5), 0);
	assert_int_equal(do_truncate(fs, node, 1ull << 50), 0);
	assert_int_equal(attr_of(fs, node).blocks, 3 * 8);
	assert_int_equal(fs->ops->lseek(fs, request_new(&r), node, 0, (1ull << 42) + 4096, DW_SEEK_DATA, &found),
			 -ENXIO);
	assert_int_equal(fs->ops->lseek(fs, request_new(&r), node, 0, (1ull << 42) + 4096, DW_SEEK_HOLE, &found), 0);
	assert_int_equal(found, (1ull << 42) + 4096);
}

/* What stood behind the end of a file never comes back when it grows again. */
static void test_grow_after_cut(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f");
	char buffer[5000], zeros[5000] = {0};

	for (int how = 0; how < 3; how++) {
		memset(buffer, 'x', sizeof(buffer));
		assert_int_equal(do_write(fs, node, buffer, 5000, 0), 5000);
		assert_int_equal(do_truncate(fs, node, 10), 0);
		if (how == 0)
			assert_int_equal(do_truncate(fs, node, 5000), 0);
		else if (how == 1)
			assert_int_equal(do_write(fs, node, zeros, 1, 4999), 1);
		else
			assert_int_equal(do_fallocate(fs, node, 0, 5000, 0), 0);
		assert_int_equal(do_read(fs, node, buffer, 5000, 0), 5000);
		assert_memory_equal(buffer + 10, zeros, 4990);
	}
}

static void test_fallocate(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f"), dirty = make_file(fs, DW_NODE_ROOT, "g");
	uint8_t *got = malloc(1u << 20), *zeros = calloc(1, 1u << 20);

	/* Blocks that held something else before. */
	memset(got, 0xff, 1u << 20);
	assert_int_equal(do_write(fs, dirty, got, 1u << 20, 0), 1 << 20);
	assert_int_equal(do_truncate(fs, dirty, 0), 0);

	assert_int_equal(do_fallocate(fs, node, 0, 1000000, DW_FALLOCATE_KEEP_SIZE), 0);
	assert_int_equal(attr_of(fs, node).size, 0);
	assert_int_equal(attr_of(fs, node).blocks, (1000000 + 4095) / 4096 * 8);
	assert_int_equal(do_fallocate(fs, node, 5000, 1000000 - 5000, 0), 0);
	assert_int_equal(attr_of(fs, node).size, 1000000);
	assert_int_equal(do_read(fs, node, got, 1u << 20, 0), 1000000);
	assert_memory_equal(got, zeros, 1000000);
	memset(got, 'a', 1000000);
	assert_int_equal(do_write(fs, node, got, 1000000, 0), 1000000);
	assert_int_equal(do_fallocate(fs, node, 100, 500000, DW_FALLOCATE_ZERO_RANGE), 0);
	assert_int_equal(attr_of(fs, node).blocks, (1000000 + 4095) / 4096 * 8);
	assert_int_equal(do_read(fs, node, got, 1000000, 0), 1000000);
	assert_memory_equal(got + 100, zeros, 500000);
	assert_int_equal(got[99], 'a');
	assert_int_equal(got[500100], 'a');
	assert_int_equal(
		do_fallocate(fs, node, 4096 * 3 + 1, 4096 * 4, DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_KEEP_SIZE), 0);
	assert_int_equal(attr_of(fs, node).blocks, ((1000000 + 4095) / 4096 - 3) * 8);

	assert_int_equal(do_fallocate(fs, node, 0, 0, 0), -EINVAL);
	assert_int_equal(do_fallocate(fs, node, 0, 10, DW_FALLOCATE_PUNCH_HOLE), -EOPNOTSUPP);
	assert_int_equal(do_fallocate(fs, node, 0, 10, 64), -EOPNOTSUPP);
	assert_int_equal(do_fallocate(fs, node, INT64_MAX, 10, 0), -EFBIG);
	assert_int_equal(do_fallocate(fs, DW_NODE_ROOT, 0, 10, 0), -EISDIR);
	uint64_t free_before = do_statfs(fs).blocks_free, blocks = attr_of(fs, node).blocks;
	assert_int_equal(do_fallocate(fs, node, 0, 1ull << 30, 0), -ENOSPC);
	assert_int_equal(do_statfs(fs).blocks_free, free_before);
	assert_int_equal(attr_of(fs, node).blocks, blocks);
	assert_int_equal(attr_of(fs, node).size, 1000000);
	assert_int_equal(do_fallocate(fs, node, 0, 1ull << 60, 0), -ENOSPC);
	free(got);
	free(zeros);
}

static void test_copy(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t in = make_file(fs, DW_NODE_ROOT, "in"), out = make_file(fs, DW_NODE_ROOT, "out");
	uint8_t *data = malloc(700000), *got = malloc(700000);
	struct request r;
	size_t done;

	fill(data, 700000, 3);
	assert_int_equal(do_write(fs, in, data, 700000, 0), 700000);
	assert_int_equal(fs->ops->copy_file_range(fs, request_new(&r), in, 0, 1000, out, 0, 77, 699000, &done), 0);
	assert_int_equal(done, 699000);
	assert_int_equal(attr_of(fs, out).size, 699077);
	assert_int_equal(do_read(fs, out, got, 699000, 77), 699000);
	assert_memory_equal(got, data + 1000, 699000);
	assert_int_equal(fs->ops->copy_file_range(fs, request_new(&r), in, 0, 700000, out, 0, 0, 10, &done), 0);
	assert_int_equal(done, 0);
	assert_int_equal(fs->ops->copy_file_range(fs, request_new(&r), in, 0, 0, in, 0, 10, 100, &done), -EINVAL);
	assert_int_equal(fs->ops->copy_file_range(fs, request_new(&r), in, 0, 0, in, 0, 100, 100, &done), 0);
	assert_int_equal(fs->ops->copy_file_range(fs, request_new(&r), DW_NODE_ROOT, 0, 0, in, 0, 0, 9, &done),
			 -EISDIR);
	/* A hole stays one. */
	uint64_t sparse = make_file(fs, DW_NODE_ROOT, "sparse"), target = make_file(fs, DW_NODE_ROOT, "target");
	assert_int_equal(do_write(fs, sparse, data, 10, 3u << 20), 10);
	assert_int_equal(
		fs->ops->copy_file_range(fs, request_new(&r), sparse, 0, 0, target, 0, 0, (3u << 20) + 10, &done), 0);
	assert_int_equal(done, (3u << 20) + 10);
	assert_int_equal(attr_of(fs, target).blocks, 8);
	assert_int_equal(do_read(fs, target, got, 20, 3u << 20), 10);
	assert_memory_equal(got, data, 10);
	free(data);
	free(got);
}

static void test_open(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f");
	struct dw_open open;
	struct request r;

	assert_int_equal(do_write(fs, node, "hello", 5, 0), 5);
	assert_int_equal(fs->ops->open(fs, request_new(&r), node, DW_O_RDONLY, &open), 0);
	assert_int_equal(attr_of(fs, node).size, 5);
	fs->ops->release(fs, request_new(&r), node, open.handle);
	assert_int_equal(fs->ops->open(fs, request_new(&r), node, DW_O_RDWR | DW_O_TRUNC, &open), 0);
	assert_int_equal(attr_of(fs, node).size, 0);
	assert_int_equal(attr_of(fs, node).blocks, 0);
	assert_int_equal(fs->ops->open(fs, request_new(&r), DW_NODE_ROOT, DW_O_RDONLY, &open), -EISDIR);
	assert_int_equal(fs->ops->open(fs, request_new(&r), 888, DW_O_RDONLY, &open), -ESTALE);
	assert_int_equal(fs->ops->opendir(fs, request_new(&r), node, &open), -ENOTDIR);
	assert_int_equal(fs->ops->opendir(fs, request_new(&r), DW_NODE_ROOT, &open), 0);
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
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.", "x", 1, 0), -EOPNOTSUPP);
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

/* --- Size --- */

static void test_full(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f"), total = 0, free_at_first = do_statfs(fs).blocks_free;
	uint8_t *data = malloc(1u << 20), *got = malloc(1u << 20);
	int64_t done;

	fill(data, 1u << 20, 9);
	while ((done = do_write(fs, node, data, 1u << 20, total)) > 0)
		total += (uint64_t)done;
	assert_int_equal(done, -ENOSPC);
	assert_true(total > 3u << 20 && total < 4u << 20);
	assert_int_equal(attr_of(fs, node).size, total);
	assert_int_equal(total % 4096, 0);
	/* What was written is right, and overwriting still works. */
	assert_int_equal(do_read(fs, node, got, 1u << 20, 2u << 20), 1 << 20);
	assert_memory_equal(got, data, 1u << 20);
	assert_int_equal(do_write(fs, node, data, 1u << 20, 5000), 1 << 20);
	assert_int_equal(do_write(fs, node, "x", 1, total), -ENOSPC);
	/* Names and attributes until those do not fit either; each failure leaves nothing. */
	char name[64];
	struct dw_entry entry;
	int error = 0, count = 0;
	while (!(error = do_create(fs, DW_NODE_ROOT, (snprintf(name, sizeof(name), "n%d", count), name), 0644, &entry)))
		count++;
	assert_int_equal(error, -ENOSPC);
	assert_int_equal(do_lookup(fs, DW_NODE_ROOT, name, &entry), -ENOENT);
	struct request r;
	assert_int_equal(fs->ops->setxattr(fs, request_new(&r), node, "user.x", data, 60000, 0), -ENOSPC);
	assert_int_equal(fs->ops->symlink(fs, request_new(&r), DW_NODE_ROOT, "l", "abc", &entry), -ENOSPC);
	assert_int_equal(do_mkdir(fs, DW_NODE_ROOT, "d", 0755, &entry), -ENOSPC);
	check_drive(fs);
	/* A full drive can be emptied. */
	assert_int_equal(do_rename(fs, DW_NODE_ROOT, "f", DW_NODE_ROOT, "g", 0), 0);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(do_lookup(fs, DW_NODE_ROOT, name, &entry), 0);
		assert_int_equal(do_unlink(fs, DW_NODE_ROOT, name), 0);
		do_forget(fs, entry.node, 2);
	}
	assert_int_equal(do_truncate(fs, node, 100), 0);
	assert_int_equal(do_unlink(fs, DW_NODE_ROOT, "g"), 0);
	do_forget(fs, node, 1);
	assert_true(do_statfs(fs).blocks_free + 4 >= free_at_first);
	/* And filled again, with other things. */
	node = make_file(fs, DW_NODE_ROOT, "again");
	uint64_t second = 0;
	while ((done = do_write(fs, node, data, 10000, second)) > 0)
		second += (uint64_t)done;
	assert_true(second + 65536 > total);
	free(data);
	free(got);
}

static void test_node_limit(void **state)
{
	struct drive drive;
	struct dw_entry entry;

	host_create(&drive.host);
	drive.fs = host_open(&drive.host, "size", "4M", "inodes", "3", NULL);
	assert_int_equal(do_create(drive.fs, DW_NODE_ROOT, "a", 0644, &entry), 0);
	assert_int_equal(do_mkdir(drive.fs, DW_NODE_ROOT, "b", 0755, &entry), 0);
	assert_int_equal(do_create(drive.fs, DW_NODE_ROOT, "c", 0644, &entry), -ENOSPC);
	assert_int_equal(do_statfs(drive.fs).files, 3);
	assert_int_equal(do_statfs(drive.fs).files_free, 0);
	assert_int_equal(do_rmdir(drive.fs, DW_NODE_ROOT, "b"), 0);
	do_forget(drive.fs, entry.node, 1);
	assert_int_equal(do_create(drive.fs, DW_NODE_ROOT, "c", 0644, &entry), 0);
	drive.fs->ops->close(drive.fs);
	host_destroy(&drive.host);
}

static void test_options(void **state)
{
	static const struct {
		const char *key, *value, *says;
	} wrong[] = {{"size", "", "size="},    {"size", "1x", "size="},	    {"size", "101%", "size="},
		     {"size", "-1", "size="},  {"size", "1K", "size="},	    {"size", "99999999999999999999", "size="},
		     {"size", "16T", "size="}, {"inodes", "0", "inodes="},  {"mode", "9", "mode="},
		     {"uid", "root", "uid="},  {"colour", "red", "colour"}, {"size", "1MB", "size="}};
	struct host host;
	struct dw_filesystem *fs;
	char error[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct dw_option option = {.key = wrong[i].key, .value = wrong[i].value};
		host_create(&host);
		assert_int_equal(host_try_open(&host, &fs, error, sizeof(error), &option, 1), -EINVAL);
		assert_non_null(strstr(error, wrong[i].says));
		assert_int_equal(host.count, 0);
	}
	host_create(&host);
	fs = host_open(&host, "size", "2m", "mode", "1777", "uid", "7", "gid", "8", NULL);
	assert_int_equal(do_statfs(fs).blocks, 512);
	assert_int_equal(attr_of(fs, DW_NODE_ROOT).mode, DW_MODE_FOLDER | 01777);
	assert_int_equal(attr_of(fs, DW_NODE_ROOT).uid, 7);
	assert_int_equal(attr_of(fs, DW_NODE_ROOT).gid, 8);
	fs->ops->close(fs);
	/* The size is the drive's for life, whatever memory the machine has later. */
	fs = host_open(&host, "size", "4m", NULL);
	assert_int_equal(do_statfs(fs).blocks, 512);
	fs->ops->close(fs);
	host_destroy(&host);
	struct dw_source source = {.size = sizeof(source), .rest = "/path", .cache = ""};
	host_create(&host);
	error[0] = 0;
	assert_int_equal(memory_provider.open(&memory_provider, &source, &host.host, &fs, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "/path"));
}

/* Freed memory goes back to the system. */
static void test_memory_returns(void **state)
{
	struct drive *drive = *state;
	struct dw_filesystem *fs = drive->fs;
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f");
	uint8_t *data = malloc(1u << 20);
	struct stat full, empty;

	memset(data, 1, 1u << 20);
	for (uint64_t i = 0; i < 48; i++)
		assert_int_equal(do_write(fs, node, data, 1u << 20, i << 20), 1 << 20);
	int fd = host_find(&drive->host, "data")->fd;
	assert_int_equal(fstat(fd, &full), 0);
	assert_true(full.st_blocks * 512 >= 48 << 20);
	assert_int_equal(do_unlink(fs, DW_NODE_ROOT, "f"), 0);
	do_forget(fs, node, 1);
	assert_int_equal(fstat(fd, &empty), 0);
	assert_true(empty.st_blocks * 512 <= 17 << 20);
	free(data);
}

int main(void)
{
#define TEST(name)	 cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SMALL(name) cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)
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
		TEST(test_write_and_read),
		TEST(test_sparse),
		TEST(test_grow_after_cut),
		TEST(test_fallocate),
		TEST(test_copy),
		TEST(test_open),
		TEST(test_xattrs),
		TEST(test_acls),
		TEST_SMALL(test_full),
		cmocka_unit_test(test_node_limit),
		cmocka_unit_test(test_options),
		TEST(test_memory_returns),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
