/* SPDX-License-Identifier: MIT */
/* The test of restart.h. TEST_SEED sets the seed, TEST_KILLS how many deaths there shall be. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "filesystems/local/local.h"
#include "restart.h"
#include "tests/sanitizers.h"

#define OPS_MAX 4000000u

static unsigned number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void test_restart(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[160];

	w->random = number("TEST_SEED", (unsigned)time(NULL));
	w->wanted_kills = number("TEST_KILLS", 1000);
	printf("TEST_SEED=%u\n", w->random);
	snprintf(w->path, sizeof(w->path), "/tmp/local-restart-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	test_host_make(&w->host);
	w->host.shared->backing_wanted = true;
	w->command = mmap(NULL, sizeof(*w->command), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(w->command != MAP_FAILED);
	memset(w->grid, 0xff, sizeof(w->grid));
	snprintf(path, sizeof(path), "%s/A", w->path);
	assert_int_equal(mkdir(path, 0755), 0);
	w->xattrs = setxattr(path, "user.test", "", 0, 0) == 0;
	snprintf(path, sizeof(path), "%s/B", w->path);
	assert_int_equal(mkdir(path, 0755), 0);

	/* The first one makes the table, the children open it again. */
	struct dw_filesystem *fs = test_open(&w->host, w->path, false);
	struct test_request request;
	struct dw_entry entry;
	assert_non_null(fs);
	w->folders[0] = DW_NODE_ROOT;
	for (unsigned i = 1; i < FOLDERS; i++) {
		assert_int_equal(
			fs->ops->lookup(fs, test_request(&request, 0), DW_NODE_ROOT, i == 1 ? "A" : "B", &entry), 0);
		w->folders[i] = entry.node;
	}
	fs->ops->close(fs);
	w->first_fd = open("/dev/null", O_RDONLY);
	close(w->first_fd);
	w->parent = getpid();
	start_child(w);
	while (w->kills < w->wanted_kills && w->operations < OPS_MAX)
		model_step(w);
	model_check_host(w);
	model_forget_all(w);
	kill_child(w);
	printf("%u operations, %u deaths, %u of them inside an operation\n", w->operations, w->kills,
	       w->kills_in_flight);
	assert_true(w->kills_in_flight > w->kills / 10);

	munmap(w->command, sizeof(*w->command));
	test_host_free(&w->host);
	snprintf(path, sizeof(path), "rm -rf %s", w->path);
	assert_int_equal(system(path), 0);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_restart)};

#if UNDER_TSAN
	puts("skipped: a process under ThreadSanitizer cannot be cloned with shared descriptors");
	return 77;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
