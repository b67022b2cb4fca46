/* SPDX-License-Identifier: MIT */
/* Several threads at once: made for ThreadSanitizer, and a check that nothing is counted wrongly. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "filesystems/local/local.h"
#include "host.h"
#include "tests/sanitizers.h"

#if UNDER_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#define THREADS 4
#define ROUNDS	300

struct work {
	struct dw_filesystem *fs;
	unsigned number;
	unsigned failures;
};

#define EXPECT(condition) expect(work, (condition), #condition)

static void expect(struct work *work, bool condition, const char *what)
{
	if (condition)
		return;
	work->failures++;
	fprintf(stderr, "not so: %s\n", what);
}

static bool add(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		const struct dw_entry *entry)
{
	return true;
}

/* Own files in a folder of its own that the others rename, list and pass through. */
static void *run(void *argument)
{
	struct work *work = argument;
	const struct dw_filesystem_ops *ops = work->fs->ops;
	struct dw_filesystem *fs = work->fs;
	struct test_request request;
	struct dw_entry folder;
	struct dw_entry entry;
	struct dw_open open;
	struct dw_attr attr;
	char own[16];
	char buffer[16];
	size_t done;

	snprintf(own, sizeof(own), "own%u", work->number);
	EXPECT(ops->mkdir(fs, test_request(&request, 0), DW_NODE_ROOT, own, 0755, &folder) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct dw_listing listing = {.add = add};
		struct dw_entry shared;
		uint64_t timeout = DW_TIMEOUT_DEFAULT;

		EXPECT(ops->create(fs, test_request(&request, 0), folder.node, "f", 0644, O_RDWR | O_CREAT | O_EXCL,
				   &entry, &open) == 0);
		EXPECT(ops->write(fs, test_request(&request, 0), entry.node, open.handle, "text", 4, 0, 0, &done) == 0);
		EXPECT(ops->read(fs, test_request(&request, 0), entry.node, open.handle, buffer, 16, 0, &done) == 0 &&
		       done == 4);
		EXPECT(ops->lookup(fs, test_request(&request, 0), DW_NODE_ROOT, "shared", &shared) == 0);
		EXPECT(ops->getattr(fs, test_request(&request, 0), shared.node, DW_NO_HANDLE, &attr, &timeout) == 0);
		EXPECT(ops->link(fs, test_request(&request, 0), shared.node, folder.node, "l", &shared) == 0);
		EXPECT(ops->rename(fs, test_request(&request, 0), folder.node, "f", DW_NODE_ROOT, own + 3, 0) == 0);
		EXPECT(ops->unlink(fs, test_request(&request, 0), folder.node, "l") == 0);
		EXPECT(ops->unlink(fs, test_request(&request, 0), DW_NODE_ROOT, own + 3) == 0);
		EXPECT(ops->getattr(fs, test_request(&request, 0), entry.node, DW_NO_HANDLE, &attr, &timeout) == 0 &&
		       attr.nlink == 0);
		ops->release(fs, test_request(&request, 0), entry.node, open.handle);
		EXPECT(ops->opendir(fs, test_request(&request, 0), DW_NODE_ROOT, &open) == 0);
		EXPECT(ops->readdir(fs, test_request(&request, 0), DW_NODE_ROOT, open.handle, 0, &listing) == 0);
		ops->releasedir(fs, test_request(&request, 0), DW_NODE_ROOT, open.handle);
		EXPECT(ops->open(fs, test_request(&request, 0), shared.node, O_RDWR, &open) == 0);
		ops->release(fs, test_request(&request, 0), shared.node, open.handle);
		struct dw_forget forget[2] = {{.node = entry.node, .count = 1}, {.node = shared.node, .count = 2}};
		ops->forget(fs, test_request(&request, 0), forget, 2);
	}
	EXPECT(ops->rmdir(fs, test_request(&request, 0), DW_NODE_ROOT, own) == 0);
	struct dw_forget last = {.node = folder.node, .count = 1};
	ops->forget(fs, test_request(&request, 0), &last, 1);
	return NULL;
}

/* Handles of an earlier process, each first used by several threads at once. */
struct inherited {
	struct work work; /* first */
	const struct dw_entry *entry;
	const struct dw_open *file;
	const struct dw_open *folder;
};

static void *use_inherited(void *argument)
{
	struct inherited *inherited = argument;
	struct work *work = &inherited->work;
	const struct dw_filesystem_ops *ops = work->fs->ops;
	struct dw_filesystem *fs = work->fs;
	struct dw_listing listing = {.attributes = false, .add = add};
	struct test_request request;
	uint64_t node = inherited->entry->node, timeout = DW_TIMEOUT_DEFAULT;
	struct dw_attr attr;
	char buffer[16];
	size_t done;

	for (unsigned i = 0; i < ROUNDS; i++) {
		EXPECT(ops->write(fs, test_request(&request, 0), node, inherited->file->handle, "text", 4, 0, 0,
				  &done) == 0);
		EXPECT(ops->read(fs, test_request(&request, 0), node, inherited->file->handle, buffer, 16, 0, &done) ==
			       0 &&
		       done == 4);
		EXPECT(ops->getattr(fs, test_request(&request, 0), node, inherited->file->handle, &attr, &timeout) ==
		       0);
		EXPECT(ops->readdir(fs, test_request(&request, 0), DW_NODE_ROOT, inherited->folder->handle, 0,
				    &listing) == 0);
	}
	return NULL;
}

/* What a process has allocated dies with it; here it stays, and is no leak. */
#if UNDER_ASAN
#define BEGIN_OF_WHAT_DIES __lsan_disable()
#define END_OF_WHAT_DIES   __lsan_enable()
#else
#define BEGIN_OF_WHAT_DIES ((void)0)
#define END_OF_WHAT_DIES   ((void)0)
#endif

static struct dw_filesystem *before; /* what the earlier process had: a death closes nothing */

static void test_inherited_handles(void **state)
{
	char path[64] = "/tmp/local-threads-XXXXXX";
	char command[96];
	pthread_t threads[THREADS];
	struct inherited inherited[THREADS];
	struct test_host host;
	struct test_request request;
	struct dw_open file, folder;
	struct dw_entry entry;

	assert_non_null(mkdtemp(path));
	test_host_make(&host);
	BEGIN_OF_WHAT_DIES;
	before = test_open(&host, path, false);
	assert_non_null(before);
	assert_int_equal(before->ops->create(before, test_request(&request, 0), DW_NODE_ROOT, "file", 0644,
					     O_RDWR | O_CREAT | O_EXCL, &entry, &file),
			 0);
	assert_int_equal(before->ops->opendir(before, test_request(&request, 0), DW_NODE_ROOT, &folder), 0);
	END_OF_WHAT_DIES;
	struct dw_filesystem *fs = test_open(&host, path, true);
	assert_non_null(fs);
	for (unsigned i = 0; i < THREADS; i++) {
		inherited[i] = (struct inherited){{.fs = fs, .number = i}, &entry, &file, &folder};
		assert_int_equal(pthread_create(&threads[i], NULL, use_inherited, &inherited[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(inherited[i].work.failures, 0);
	fs->ops->release(fs, test_request(&request, 0), entry.node, file.handle);
	fs->ops->releasedir(fs, test_request(&request, 0), DW_NODE_ROOT, folder.handle);
	struct dw_forget forget = {.node = entry.node, .count = 1};
	fs->ops->forget(fs, test_request(&request, 0), &forget, 1);
	assert_int_equal(table_nodes(&local_of(fs)->table), 1);
	fs->ops->close(fs);
	test_host_free(&host);
	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

static void test_threads(void **state)
{
	char path[64] = "/tmp/local-threads-XXXXXX";
	char command[96];
	pthread_t threads[THREADS];
	struct work work[THREADS];
	struct test_host host;
	struct dw_open open;
	struct dw_entry entry;
	struct test_request request;

	assert_non_null(mkdtemp(path));
	test_host_make(&host);
	struct dw_filesystem *fs = test_open(&host, path, false);
	assert_non_null(fs);
	assert_int_equal(fs->ops->create(fs, test_request(&request, 0), DW_NODE_ROOT, "shared", 0644,
					 O_RDWR | O_CREAT | O_EXCL, &entry, &open),
			 0);
	fs->ops->release(fs, test_request(&request, 0), entry.node, open.handle);
	for (unsigned i = 0; i < THREADS; i++) {
		work[i] = (struct work){.fs = fs, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, run, &work[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(work[i].failures, 0);
	struct dw_forget forget = {.node = entry.node, .count = 1};
	fs->ops->forget(fs, test_request(&request, 0), &forget, 1);
	assert_int_equal(table_nodes(&local_of(fs)->table), 1);
	fs->ops->close(fs);
	test_host_free(&host);
	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads), cmocka_unit_test(test_inherited_handles)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
