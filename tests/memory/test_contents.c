/* SPDX-License-Identifier: MIT */
/*
 * Operations of `memory` on contents, and the drive's size and options.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/memory/check.h"
#include "tests/memory/drive.h"
#include "tests/memory/host.h"

/* --- Contents --- */

static void test_write_and_read(void **state)
{
	struct dw_filesystem *fs = fs_of(state);
	uint64_t node = make_file(fs, DW_NODE_ROOT, "f");
	size_t size = 6u << 20;
	uint8_t *model = calloc(1, size), *got = malloc(size), *piece = malloc(size);
	uint64_t end = 0;
	struct request r;
	unsigned seed = 7;
	size_t done;

	for (int turn = 0; turn < 400; turn++) {
		size_t length = turn % 3 ? (size_t)rand_r(&seed) % 20000 : (size_t)rand_r(&seed) % (2u << 20);
		size_t offset = (size_t)rand_r(&seed) % (size - length);
		if (turn % 10 == 9) {
			offset = (size_t)rand_r(&seed) % size;
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
	/* And hides what stood behind the end, in a block that the file still has. */
	assert_int_equal(do_write(fs, out, data, 4096, 0), 4096);
	assert_int_equal(do_truncate(fs, out, 100), 0);
	assert_int_equal(fs->ops->copy_file_range(fs, request_new(&r), sparse, 0, 0, out, 0, 3000, 8192, &done), 0);
	assert_int_equal(done, 8192);
	assert_int_equal(do_read(fs, out, got, 11192, 100), 11092);
	memset(data, 0, 11092);
	assert_memory_equal(got, data, 11092);
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
		TEST(test_write_and_read),
		TEST(test_sparse),
		TEST(test_grow_after_cut),
		TEST(test_fallocate),
		TEST(test_copy),
		TEST(test_open),
		TEST_SMALL(test_full),
		cmocka_unit_test(test_node_limit),
		cmocka_unit_test(test_options),
		TEST(test_memory_returns),
	};

	return cmocka_run_group_tests_name("memory: contents", tests, NULL, NULL);
}
