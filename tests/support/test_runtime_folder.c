/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/runtime_folder.h"

static char base[] = "/tmp/driveway-test-XXXXXX";
static char folder[128];

static int find(bool make, char *error, size_t error_size)
{
	char out[128];
	int ret = runtime_folder_find(out, sizeof(out), make, error, error_size);

	if (ret == 0)
		assert_string_equal(out, folder);
	return ret;
}

static void use(const char *name)
{
	snprintf(folder, sizeof(folder), "%s/%s", base, name);
	setenv("DRIVEWAY_RUNTIME_DIR", folder, 1);
}

static void it_is_made_for_its_owner_alone(void **state)
{
	char error[256] = "";
	struct stat st;

	use("new");
	assert_int_equal(find(false, error, sizeof(error)), -ENOENT);
	assert_int_equal(find(true, error, sizeof(error)), 0);
	assert_int_equal(find(false, error, sizeof(error)), 0);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	rmdir(folder);
}

static void one_that_is_open_to_others_is_refused(void **state)
{
	char error[256] = "";

	use("open");
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(find(true, error, sizeof(error)), -EPERM);
	assert_non_null(strstr(error, "chmod 700"));
	rmdir(folder);
}

static void one_of_somebody_else_is_refused(void **state)
{
	char error[256] = "";

	if (geteuid() != 0)
		skip();
	use("other");
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(chown(folder, 65534, 65534), 0);
	assert_int_equal(find(true, error, sizeof(error)), -EPERM);
	assert_non_null(strstr(error, "another user"));
	rmdir(folder);
}

static void a_link_or_a_file_is_refused(void **state)
{
	char error[256] = "";

	use("link");
	assert_int_equal(symlink("/", folder), 0);
	assert_int_equal(find(true, error, sizeof(error)), -ENOTDIR);
	unlink(folder);
}

static void a_path_that_is_relative_or_too_long_is_refused(void **state)
{
	char out[128], error[256] = "", path[200];

	setenv("DRIVEWAY_RUNTIME_DIR", "relative", 1);
	assert_int_equal(runtime_folder_find(out, sizeof(out), true, error, sizeof(error)), -EINVAL);
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	setenv("DRIVEWAY_RUNTIME_DIR", path, 1);
	assert_int_equal(runtime_folder_find(out, sizeof(out), true, error, sizeof(error)), -ENAMETOOLONG);
}

static int make_base(void **state)
{
	return mkdtemp(base) ? 0 : -1;
}

static int remove_base(void **state)
{
	return rmdir(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_made_for_its_owner_alone),
		cmocka_unit_test(one_that_is_open_to_others_is_refused),
		cmocka_unit_test(one_of_somebody_else_is_refused),
		cmocka_unit_test(a_link_or_a_file_is_refused),
		cmocka_unit_test(a_path_that_is_relative_or_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
