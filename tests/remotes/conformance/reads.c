/* SPDX-License-Identifier: MIT */
/* reads.c - read */
#include "suite.h"

#include <errno.h>
#include <string.h>

#define SIZE 700001u

static void of_an_empty_file(struct suite *suite)
{
	struct item item = make_file(suite, "empty", 0, 1);

	EXPECT(item.bytes == 0);
	EXPECT_FILE(suite, &item, 0, 1);
	EXPECT_RESULT(do_read(suite, item.id, NULL, 0, 100, 0, 1), 0);
	EXPECT_RESULT(do_read(suite, item.id, item.content, 5, 100, 0, 1), 0);
}

static void of_ranges(struct suite *suite)
{
	static const struct {
		uint64_t offset;
		uint64_t bytes;
	} ranges[] = {
		{0, UINT64_MAX},      {0, SIZE},       {0, 1},		 {1, 1},
		{SIZE - 1, 1},	      {SIZE - 1, 100}, {SIZE, 1},	 {SIZE + 1, 1},
		{UINT64_MAX, 1},      {0, 0},	       {SIZE / 2, 0},	 {65535, 65537},
		{300000, UINT64_MAX}, {0, SIZE + 1},   {4096, 1u << 18}, {SIZE, 0},
	};
	struct item item = make_file(suite, "file", SIZE, 7);

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		EXPECT_RESULT(do_read(suite, item.id, item.content, ranges[i].offset, ranges[i].bytes, SIZE, 7), 0);
		EXPECT_RESULT(do_read(suite, item.id, NULL, ranges[i].offset, ranges[i].bytes, SIZE, 7), 0);
	}
}

static int refuse(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	return -ECONNRESET;
}

static void sink_ends_it(struct suite *suite)
{
	struct item item = make_file(suite, "file", SIZE, 7);
	struct dw_remote_sink sink = {.write = refuse};
	struct dw_remote_call call = call_new();

	EXPECT_RESULT(suite->ops->read(suite->remote, &call, item.id, item.content, 0, UINT64_MAX, &sink), -ECONNRESET);
}

struct cancelling {
	struct dw_remote_sink sink;
	uint32_t cancelled;
};

static int cancel(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	struct cancelling *cancelling = sink->context;

	cancelling->cancelled = 1;
	return 0;
}

static void is_cancelled(struct suite *suite)
{
	struct item item = make_file(suite, "file", 2u << 20, 7);
	struct cancelling cancelling = {.sink = {.write = cancel}};
	struct dw_remote_call call = call_new();

	cancelling.sink.context = &cancelling;
	call.cancelled = &cancelling.cancelled;
	EXPECT_RESULT(suite->ops->read(suite->remote, &call, item.id, item.content, 0, UINT64_MAX, &cancelling.sink),
		      -ECANCELED);
}

static void of_another_content(struct suite *suite)
{
	struct item item = make_file(suite, "file", 1000, 1);
	struct item other = make_file(suite, "other", 1000, 99);
	struct pattern pattern;
	struct item now;

	pattern_begin(suite, &pattern, 500, 2);
	NEED_OK(do_replace(suite, item.id, item.etag, &pattern, &now));
	EXPECT(strcmp(now.content, item.content) != 0);
	EXPECT_FILE(suite, &now, 500, 2);
	EXPECT_RESULT(do_read(suite, item.id, NULL, 0, UINT64_MAX, 500, 2), 0);
	if ((suite->remote->flags & DW_REMOTE_VERSIONS) != 0) {
		EXPECT_FILE(suite, &item, 1000, 1);
		EXPECT_RESULT(do_read(suite, item.id, item.content, 900, 500, 1000, 1), 0);
	} else {
		EXPECT_RESULT(do_read(suite, item.id, item.content, 0, UINT64_MAX, 1000, 1), DW_REMOTE_CHANGED);
	}
	/* A content that this file never had. */
	EXPECT_RESULT(do_read(suite, item.id, other.content, 0, UINT64_MAX, 1000, 99), DW_REMOTE_CHANGED);
	EXPECT_RESULT(do_read(suite, item.id, "no-such-content", 0, 1, 1000, 1), DW_REMOTE_CHANGED);
}

static void of_no_file(struct suite *suite)
{
	struct item folder = make_folder(suite, suite->folder, "folder");
	struct item item = make_file(suite, "file", 10, 1);
	int err = do_read(suite, folder.id, NULL, 0, 1, 0, 0);

	/* A service with ids of their own for files does not know this one. */
	EXPECT(err == -EISDIR || err == -ENOENT);
	NEED_OK(do_remove(suite, &item, NULL, false));
	EXPECT_RESULT(do_read(suite, item.id, NULL, 0, 1, 10, 1), -ENOENT);
	EXPECT_RESULT(do_read(suite, "no-such-id", NULL, 0, 1, 10, 1), -ENOENT);
}

const struct suite_case read_cases[] = {
	{"read_of_an_empty_file", of_an_empty_file, NEEDS_WRITE},
	{"read_of_ranges", of_ranges, NEEDS_WRITE},
	{"read_sink_ends_it", sink_ends_it, NEEDS_WRITE},
	{"read_is_cancelled", is_cancelled, NEEDS_WRITE},
	{"read_of_another_content", of_another_content, NEEDS_WRITE},
	{"read_of_no_file", of_no_file, NEEDS_WRITE},
	{NULL, NULL, 0},
};
