/* SPDX-License-Identifier: MIT */
/* uploads.c - upload */
#include "suite.h"

#include <errno.h>
#include <string.h>

static void count_is(struct suite *suite, size_t count)
{
	struct item_list list;

	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == count);
	item_list_clear(&list);
}

static void of_sizes(struct suite *suite)
{
	static const uint64_t sizes[] = {0, 1, 65536, 262144, 1000003};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char name[] = {'f', (char)('0' + i), '\0'};
		struct pattern pattern;
		struct item item;

		pattern_begin(suite, &pattern, sizes[i], (uint32_t)i);
		NEED_OK(do_upload(suite, suite->folder, name, &pattern, &item));
		EXPECT(pattern.read >= sizes[i] && pattern.sent == sizes[i]);
		EXPECT(item.type == DW_REMOTE_FILE && item.bytes == sizes[i] && strcmp(item.name, name) == 0);
		EXPECT(item.modified.seconds == 1700000000 + (int64_t)i);
		EXPECT_FILE(suite, &item, sizes[i], (uint32_t)i);
	}
}

static void of_a_new_version(struct suite *suite)
{
	struct item first = make_file(suite, "file", 1000, 1);
	struct pattern pattern;
	struct item second;
	struct item third;

	pattern_begin(suite, &pattern, 2000, 2);
	NEED_OK(do_replace(suite, first.id, first.etag, &pattern, &second));
	EXPECT(strcmp(second.id, first.id) == 0 && strcmp(second.name, "file") == 0 && second.bytes == 2000);
	EXPECT(first.etag[0] == '\0' || strcmp(second.etag, first.etag) != 0);
	EXPECT(strcmp(second.content, first.content) != 0);
	EXPECT_FILE(suite, &second, 2000, 2);
	/* The same bytes once more, unconditionally. */
	NEED_OK(do_replace(suite, first.id, NULL, &pattern, &third));
	EXPECT_FILE(suite, &third, 2000, 2);
	count_is(suite, 1);
}

static void with_a_stale_etag(struct suite *suite)
{
	struct item first = make_file(suite, "file", 1000, 1);
	struct pattern pattern;
	struct item second;
	struct item now;

	if (first.etag[0] == '\0')
		suite_skip("it has no etags");
	pattern_begin(suite, &pattern, 2000, 2);
	NEED_OK(do_replace(suite, first.id, first.etag, &pattern, &second));
	pattern_begin(suite, &pattern, 3000, 3);
	EXPECT_RESULT(do_replace(suite, first.id, first.etag, &pattern, NULL), DW_REMOTE_CHANGED);
	NEED_OK(do_stat(suite, first.id, &now));
	EXPECT(strcmp(now.etag, second.etag) == 0 && strcmp(now.content, second.content) == 0);
	EXPECT_FILE(suite, &now, 2000, 2);
}

static void where_a_name_is_taken(struct suite *suite)
{
	struct item file = make_file(suite, "file", 1000, 1);
	struct pattern pattern;

	(void)make_folder(suite, suite->folder, "folder");
	pattern_begin(suite, &pattern, 10, 2);
	EXPECT_RESULT(do_upload(suite, suite->folder, "file", &pattern, NULL), -EEXIST);
	EXPECT_RESULT(do_upload(suite, suite->folder, "folder", &pattern, NULL), -EEXIST);
	EXPECT_FILE(suite, &file, 1000, 1);
	count_is(suite, 2);
}

static void to_nowhere(struct suite *suite)
{
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item file = make_file(suite, "file", 10, 1);
	struct pattern pattern;
	int err;

	pattern_begin(suite, &pattern, 10, 2);
	NEED_OK(do_remove(suite, &folder, NULL, false));
	EXPECT_RESULT(do_upload(suite, folder.id, "a", &pattern, NULL), -ENOENT);
	EXPECT_RESULT(do_upload(suite, "no-such-id", "a", &pattern, NULL), -ENOENT);
	err = do_upload(suite, file.id, "a", &pattern, NULL);
	EXPECT(err == -ENOTDIR || err == -ENOENT);
	NEED_OK(do_remove(suite, &file, NULL, false));
	EXPECT_RESULT(do_replace(suite, file.id, NULL, &pattern, NULL), -ENOENT);
}

static void with_a_wrong_digest(struct suite *suite)
{
	struct item file = make_file(suite, "file", 1000, 1);
	struct pattern pattern;

	pattern_begin(suite, &pattern, 1000, 2);
	pattern.digest[0] ^= 1;
	EXPECT_RESULT(do_upload(suite, suite->folder, "new", &pattern, NULL), -EBADMSG);
	EXPECT_RESULT(do_replace(suite, file.id, file.etag, &pattern, NULL), -EBADMSG);
	EXPECT_FILE(suite, &file, 1000, 1);
	count_is(suite, 1);
}

static void without_a_digest(struct suite *suite)
{
	struct pattern pattern;
	struct item item;

	pattern_begin(suite, &pattern, 1000, 2);
	pattern.content.digest = NULL;
	pattern.content.progress = NULL;
	NEED_OK(do_upload(suite, suite->folder, "file", &pattern, &item));
	EXPECT_FILE(suite, &item, 1000, 2);
}

static void whose_content_fails(struct suite *suite)
{
	struct item file = make_file(suite, "file", 1000, 1);
	struct pattern pattern;

	pattern_begin(suite, &pattern, 1000000, 2);
	pattern.fail_at = 600000;
	pattern.fail_with = -ECONNRESET;
	EXPECT_RESULT(do_upload(suite, suite->folder, "new", &pattern, NULL), -ECONNRESET);
	EXPECT_RESULT(do_replace(suite, file.id, file.etag, &pattern, NULL), -ECONNRESET);
	EXPECT_FILE(suite, &file, 1000, 1);
	count_is(suite, 1);
}

static void that_is_too_large(struct suite *suite)
{
	struct pattern pattern;

	if (suite->remote->upload_max == UINT64_MAX)
		suite_skip("any size goes in one upload");
	pattern_begin(suite, &pattern, 1, 2);
	pattern.content.bytes = suite->remote->upload_max + 1;
	pattern.content.digest = NULL;
	EXPECT_RESULT(do_upload(suite, suite->folder, "file", &pattern, NULL), -EFBIG);
	EXPECT(pattern.read == 0);
	count_is(suite, 0);
}

const struct suite_case upload_cases[] = {
	{"upload_of_sizes", of_sizes, NEEDS_WRITE},
	{"upload_of_a_new_version", of_a_new_version, NEEDS_WRITE},
	{"upload_with_a_stale_etag", with_a_stale_etag, NEEDS_WRITE},
	{"upload_where_a_name_is_taken", where_a_name_is_taken, NEEDS_WRITE},
	{"upload_to_nowhere", to_nowhere, NEEDS_WRITE},
	{"upload_with_a_wrong_digest", with_a_wrong_digest, NEEDS_WRITE | NEEDS_DIGEST},
	{"upload_without_a_digest", without_a_digest, NEEDS_WRITE},
	{"upload_whose_content_fails", whose_content_fails, NEEDS_WRITE},
	{"upload_that_is_too_large", that_is_too_large, NEEDS_WRITE},
	{NULL, NULL, 0},
};
