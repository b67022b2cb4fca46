/* SPDX-License-Identifier: MIT */
/* Where Box is and how it is reached, as the options say it: other installations, authorities, proxies. */
#include "remotes/box/settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define OPTIONS_MAX 4

static int read_settings(struct box_settings *out, const char *const pairs[][2], size_t count, char error[256])
{
	struct dw_option options[OPTIONS_MAX] = {{.key = NULL}};

	for (size_t i = 0; i < count; i++)
		options[i] = (struct dw_option){.key = pairs[i][0], .value = pairs[i][1]};
	error[0] = 0;
	return box_settings_read(out, NULL, options, count, error, 256);
}

static void test_box_itself(void **state)
{
	struct box_settings settings;
	char error[256];

	(void)state;
	assert_int_equal(read_settings(&settings, NULL, 0, error), 0);
	assert_string_equal(settings.api_url, "https://api.box.com/2.0");
	assert_string_equal(settings.upload_url, "https://upload.box.com/api/2.0");
	assert_string_equal(settings.auth_url, "https://account.box.com/api/oauth2/authorize");
	assert_string_equal(settings.token_url, "https://api.box.com/oauth2/token");
	assert_null(settings.ca);
	assert_null(settings.proxy);
	box_settings_free(&settings);
}

static void test_other_installations(void **state)
{
	static const struct {
		const char *api, *upload, *auth;
		const char *token_is, *upload_is, *auth_is;
	} cases[] = {
		{"https://box.example.com/2.0", NULL, NULL, "https://box.example.com/oauth2/token",
		 "https://box.example.com/api/2.0", "https://box.example.com/api/oauth2/authorize"},
		{"https://box.example.com:8443/2.0/", NULL, NULL, "https://box.example.com:8443/oauth2/token",
		 "https://box.example.com:8443/api/2.0", "https://box.example.com:8443/api/oauth2/authorize"},
		{"https://box.example.com/gate/2.0", NULL, NULL, "https://box.example.com/gate/oauth2/token",
		 "https://box.example.com/gate/api/2.0", "https://box.example.com/gate/api/oauth2/authorize"},
		{"https://a.example.com/2.0", "https://u.example.com/up//", "https://l.example.com/login",
		 "https://a.example.com/oauth2/token", "https://u.example.com/up", "https://l.example.com/login"},
		{"https://[::1]:1/2.0", NULL, NULL, "https://[::1]:1/oauth2/token", "https://[::1]:1/api/2.0",
		 "https://[::1]:1/api/oauth2/authorize"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *const pairs[][2] = {
			{"api-url", cases[i].api}, {"upload-url", cases[i].upload}, {"auth-url", cases[i].auth}};
		struct box_settings settings;
		char error[256];

		assert_int_equal(read_settings(&settings, pairs, cases[i].upload ? 3 : 1, error), 0);
		assert_true(strncmp(settings.api_url, cases[i].api, strlen(settings.api_url)) == 0);
		assert_string_equal(settings.token_url, cases[i].token_is);
		assert_string_equal(settings.upload_url, cases[i].upload_is);
		assert_string_equal(settings.auth_url, cases[i].auth_is);
		box_settings_free(&settings);
	}
}

static void test_no_urls(void **state)
{
	static const char *const keys[] = {"api-url", "upload-url", "auth-url"};
	static const char *const bad[] = {"box.example.com",
					  "ftp://box.example.com",
					  "https://someone:secret@box.example.com",
					  "https://box.example.com/?a=b",
					  "https://box.example.com/#a",
					  "https://box.example.com/\r\nX: y",
					  "https://box example.com"};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		for (size_t j = 0; j < sizeof(bad) / sizeof(*bad); j++) {
			const char *const pairs[][2] = {{keys[i], bad[j]}};
			struct box_settings settings;
			char error[256];

			assert_int_equal(read_settings(&settings, pairs, 1, error), -EINVAL);
			assert_non_null(strstr(error, keys[i]));
			box_settings_free(&settings);
		}
	}
}

static void test_way_to_it(void **state)
{
	static const char *const pairs[][2] = {{"ca", "/etc/authorities.pem"}, {"proxy", ""}};
	struct box_settings settings;
	char error[256];

	(void)state;
	assert_int_equal(read_settings(&settings, pairs, 2, error), 0);
	assert_string_equal(settings.ca, "/etc/authorities.pem");
	assert_string_equal(settings.proxy, ""); /* none, whatever the environment says */
	box_settings_free(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_box_itself),
		cmocka_unit_test(test_other_installations),
		cmocka_unit_test(test_no_urls),
		cmocka_unit_test(test_way_to_it),
	};

	unsetenv("DRIVEWAY_BOX_CLIENT_ID");
	unsetenv("DRIVEWAY_BOX_CLIENT_SECRET");
	unsetenv("DRIVEWAY_BOX_TOKEN");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
