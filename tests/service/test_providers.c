/* SPDX-License-Identifier: MIT */
/* Usage: test_providers FOLDER, where the plug-ins of this test were built. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/providers.h"
#include "service/standin.h"

static const char *folder;

static int no_open(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
		   struct dw_filesystem **out, char *error, size_t error_size)
{
	return -ENOSYS;
}

static const struct dw_provider first = {
	.size = sizeof(first), .version = DW_API_VERSION, .name = "first", .open = no_open};
static const struct dw_provider second = {
	.size = sizeof(second), .version = DW_API_VERSION, .name = "second", .open = no_open};
static const struct dw_provider *const builtin[] = {&first, &second};

static struct providers *make(void)
{
	const char *folders[] = {"/nonexistent", folder, NULL};
	struct providers *providers;

	assert_int_equal(providers_create(&providers, builtin, 2, folders), 0);
	return providers;
}

static int find(const char *name, const struct dw_provider **out, char error[512])
{
	struct providers *providers = make();
	int ret;

	error[0] = '\0';
	ret = providers_find(providers, name, out, error, 512);
	providers_destroy(providers);
	return ret;
}

static int find_file(const char *name, char error[512])
{
	const struct dw_provider *provider;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.so", folder, name);
	return find(path, &provider, error);
}

static void built_in_ones_are_found(void **state)
{
	const struct dw_provider *provider = NULL;
	char error[512];

	assert_int_equal(find("second", &provider, error), 0);
	assert_ptr_equal(provider, &second);
}

static void a_plug_in_is_found_by_name_and_by_path(void **state)
{
	const struct dw_provider *provider = NULL;
	char error[512];

	assert_int_equal(find("odd", &provider, error), 0);
	assert_string_equal(provider->name, "odd");
	assert_int_equal(find_file("odd", error), 0);
	assert_int_equal(find_file("older", error), 0);
}

static void one_that_is_not_there_is_answered_with_those_that_are(void **state)
{
	const struct dw_provider *provider;
	char error[512];

	assert_int_equal(find("boxx", &provider, error), -ENOENT);
	assert_non_null(strstr(error, "first, second"));
	assert_non_null(strstr(error, "odd"));
	assert_int_equal(find("/nowhere/x.so", &provider, error), -ENOENT);
	assert_non_null(strstr(error, "/nowhere/x.so"));
	assert_int_equal(find("../plugins/odd", &provider, error), -ENOENT);
	assert_int_equal(find("", &provider, error), -ENOENT);
}

static void wrong_ones_are_refused_with_the_reason(void **state)
{
	char error[512];

	assert_int_equal(find_file("generation", error), -EPROTO);
	assert_non_null(strstr(error, "was built for version 2 of the interface and this is version 1"));
	assert_int_equal(find_file("short", error), -EPROTO);
	assert_non_null(strstr(error, "too short"));
	assert_int_equal(find_file("no_open", error), -EINVAL);
	assert_int_equal(find_file("bad_name", error), -EINVAL);
	assert_int_equal(find_file("no_symbol", error), -EINVAL);
	assert_non_null(strstr(error, "driveway_provider"));
}

static void a_file_that_is_no_shared_object_is_refused(void **state)
{
	const struct dw_provider *provider;
	char error[512];

	assert_int_equal(find("/proc/self/status", &provider, error), -EINVAL);
	assert_non_null(strstr(error, "is not a Driveway plug-in"));
}

static void count(void *context, const struct dw_provider *provider, const char *origin)
{
	unsigned *counts = context;

	counts[0]++;
	counts[1] += strcmp(origin, "built in") == 0;
	counts[2] += strcmp(provider->name, "odd") == 0;
}

static void all_that_can_be_used_are_listed(void **state)
{
	struct providers *providers = make();
	unsigned counts[3] = {0};

	providers_each(providers, count, counts);
	assert_int_equal(counts[1], 2);
	assert_int_equal(counts[2], 1);
	assert_true(counts[0] > 3);
	providers_destroy(providers);
}

static void file_systems_are_checked_too(void **state)
{
	struct dw_filesystem_ops ops = {.size = 16};
	struct dw_filesystem fs = {.size = sizeof(fs), .ops = &ops};
	char error[512];

	assert_int_equal(providers_check_filesystem(&fs, "x", error, sizeof(error)), -EPROTO);
	ops.size = sizeof(ops);
	assert_int_equal(providers_check_filesystem(&fs, "x", error, sizeof(error)), -EPROTO);
	assert_non_null(strstr(error, "lacks one of"));
	standin_prepare(&fs);
	assert_int_equal(providers_check_filesystem(&fs, "x", error, sizeof(error)), 0);
	fs.size = 8;
	assert_int_equal(providers_check_filesystem(&fs, "x", error, sizeof(error)), -EPROTO);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_in_ones_are_found),
		cmocka_unit_test(a_plug_in_is_found_by_name_and_by_path),
		cmocka_unit_test(one_that_is_not_there_is_answered_with_those_that_are),
		cmocka_unit_test(wrong_ones_are_refused_with_the_reason),
		cmocka_unit_test(a_file_that_is_no_shared_object_is_refused),
		cmocka_unit_test(all_that_can_be_used_are_listed),
		cmocka_unit_test(file_systems_are_checked_too),
	};

	folder = argc > 1 ? argv[1] : ".";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
