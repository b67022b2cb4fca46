/* SPDX-License-Identifier: MIT */
/* test_faults.c - the plan of faults, crashes in the middle of changes, limits, several processes */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAULT_STATUS 86 /* remotes/folder/faults.h */

static void test_errors_of_a_plan(void **state)
{
	struct fixture f;
	struct item item;

	fixture_open(&f, "fail", "stat:OFFLINE:after=1:times=2;mkdir:done-UNKNOWN;*:EIO:after=4", NULL);
	assert_int_equal(do_stat(&f.suite, "1", NULL), 0);
	assert_int_equal(do_stat(&f.suite, "1", NULL), DW_REMOTE_OFFLINE);
	assert_int_equal(do_stat(&f.suite, "1", NULL), DW_REMOTE_OFFLINE);
	assert_int_equal(do_mkdir(&f.suite, "1", "made", NULL), DW_REMOTE_UNKNOWN);
	assert_int_equal(do_stat(&f.suite, "1", NULL), -EIO);
	assert_int_equal(do_stat(&f.suite, "1", NULL), 0);
	item = item_named(&f, "made");
	assert_int_equal(item.type, DW_REMOTE_FOLDER);
	fixture_close(&f);
}

static void test_plan_that_makes_no_sense(void **state)
{
	static const char *const wrong[] = {"stat",
					    "stat:",
					    "no:EIO",
					    "stat:EWHAT",
					    "stat:EIO:after",
					    "stat:EIO:x=1",
					    "stat:EIO:after=-1",
					    "stat:done-delay"};
	struct fixture f;

	fixture_open(&f, NULL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct dw_option option = {.key = "fail", .value = wrong[i]};
		struct dw_remote_source source = f.suite.source;
		struct dw_remote *remote = NULL;
		char error[256] = "";

		source.options = &option;
		source.option_count = 1;
		assert_int_equal(f.suite.provider->open(f.suite.provider, &source, &remote, error, sizeof(error)),
				 -EINVAL);
		assert_non_null(strstr(error, wrong[i]));
	}
	fixture_close(&f);
}

static void write_plan(const char *path, const char *text)
{
	char other[160];
	FILE *file;

	snprintf(other, sizeof(other), "%s.new", path);
	file = fopen(other, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(other, path), 0);
}

static void test_plan_in_a_file(void **state)
{
	char path[128];
	struct fixture f;

	fixture_open(&f, NULL);
	snprintf(path, sizeof(path), "%s/plan", f.room);
	fixture_reopen(&f, "faults", path, NULL);
	assert_int_equal(do_stat(&f.suite, "1", NULL), 0);
	write_plan(path, "# the line is cut\n*:OFFLINE:times=0\n");
	for (int i = 0; i < 3; i++)
		assert_int_equal(do_stat(&f.suite, "1", NULL), DW_REMOTE_OFFLINE);
	write_plan(path, "stat:EACCES");
	assert_int_equal(do_stat(&f.suite, "1", NULL), -EACCES);
	assert_int_equal(do_stat(&f.suite, "1", NULL), 0);
	write_plan(path, "stat:EACCES");
	assert_int_equal(do_stat(&f.suite, "1", NULL), -EACCES);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(do_stat(&f.suite, "1", NULL), 0);
	fixture_close(&f);
}

static int count_bytes(const struct dw_remote_sink *sink, const void *data, size_t size, uint64_t offset)
{
	uint64_t *count = sink->context;

	*count += size;
	return 0;
}

static void test_partial_calls(void **state)
{
	struct dw_remote_call call = call_new();
	struct pattern pattern;
	uint64_t count = 0;
	struct dw_remote_sink sink = {count_bytes, &count};
	struct fixture f;
	struct item file;

	fixture_open(&f, "fail", "read:OFFLINE:bytes=300000;upload:UNKNOWN:after=1:bytes=1000", NULL);
	file = make_file(&f.suite, "file", 1000000, 1);
	assert_int_equal(f.suite.ops->read(f.suite.remote, &call, file.id, NULL, 0, UINT64_MAX, &sink),
			 DW_REMOTE_OFFLINE);
	assert_int_equal(count, 300000);
	EXPECT_FILE(&f.suite, &file, 1000000, 1);
	pattern_begin(&f.suite, &pattern, 5000, 2);
	assert_int_equal(do_replace(&f.suite, file.id, file.etag, &pattern, NULL), DW_REMOTE_UNKNOWN);
	assert_int_equal(pattern.read, 1000);
	EXPECT_FILE(&f.suite, &file, 1000000, 1);
	fixture_close(&f);
}

static void test_later_and_delay(void **state)
{
	struct collector collector = collector_new();
	struct dw_remote_call call = call_new();
	uint64_t began = now_monotonic();
	struct fixture f;

	fixture_open(&f, "fail", "stat:LATER:ms=1500", "delay", "stat:60", NULL);
	assert_int_equal(f.suite.ops->stat(f.suite.remote, &call, "1", &collector.items), DW_REMOTE_LATER);
	assert_int_equal(call.retry_after, 1500000000);
	assert_true(now_monotonic() - began >= 60000000);
	call = call_new();
	call.deadline = now_monotonic() + 20000000;
	assert_int_equal(f.suite.ops->stat(f.suite.remote, &call, "1", &collector.items), -ETIMEDOUT);
	assert_string_equal(call.message, "stat: the time is over");
	fixture_close(&f);
}

/* --- Crashes -------------------------------------------------------------------------------------------------- */

/* Do something in a process with this plan; it has to end by it. The fixture's own remote is closed meanwhile. */
static void crash(struct fixture *f, const char *plan, void (*act)(struct fixture *f))
{
	int status;
	pid_t pid;

	f->suite.ops->close(f->suite.remote);
	f->suite.remote = NULL;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fixture_reopen(f, "fail", plan, NULL);
		act(f);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), FAULT_STATUS);
	fixture_reopen(f, NULL);
}

static void act_upload(struct fixture *f)
{
	(void)make_file(&f->suite, "file", 1000, 1);
}

static void act_replace(struct fixture *f)
{
	struct item file = item_named(f, "file");
	struct pattern pattern;

	pattern_begin(&f->suite, &pattern, 2000, 2);
	(void)do_replace(&f->suite, file.id, file.etag, &pattern, NULL);
}

static void act_move(struct fixture *f)
{
	struct item file = item_named(f, "file");
	struct item folder = item_named(f, "folder");

	(void)do_move(&f->suite, &file, file.etag, folder.id, "moved", NULL);
}

static void act_remove(struct fixture *f)
{
	struct item file = item_named(f, "file");

	(void)do_remove(&f->suite, &file, file.etag, false);
}

static void test_crashes_of_upload(void **state)
{
	struct item_list list;
	struct fixture f;
	struct item item;

	fixture_open(&f, NULL);
	crash(&f, "upload:crash", act_upload);
	crash(&f, "upload:crash:bytes=10", act_upload);
	assert_int_equal(do_list(&f.suite, "1", &list), 0);
	assert_int_equal(list.count, 0);
	crash(&f, "upload:middle-crash", act_upload);
	item = item_named(&f, "file");
	EXPECT_FILE(&f.suite, &item, 1000, 1);
	assert_int_equal(do_remove(&f.suite, &item, NULL, false), 0);
	crash(&f, "upload:done-crash", act_upload);
	item = item_named(&f, "file");
	EXPECT_FILE(&f.suite, &item, 1000, 1);
	fixture_close(&f);
}

static void test_crashes_of_replacing(void **state)
{
	struct fixture f;
	struct item before;
	struct item now;

	fixture_open(&f, NULL);
	before = make_file(&f.suite, "file", 1000, 1);
	crash(&f, "upload:crash", act_replace);
	assert_int_equal(do_stat(&f.suite, before.id, &now), 0);
	assert_string_equal(now.etag, before.etag);
	crash(&f, "upload:middle-crash", act_replace);
	assert_int_equal(do_stat(&f.suite, before.id, &now), 0);
	assert_string_not_equal(now.etag, before.etag);
	EXPECT_FILE(&f.suite, &now, 2000, 2);
	fixture_close(&f);
}

static void test_crashes_of_move_and_remove(void **state)
{
	struct fixture f;
	struct item before;
	struct item folder;
	struct item now;

	fixture_open(&f, NULL);
	folder = make_folder(&f.suite, "1", "folder");
	before = make_file(&f.suite, "file", 1000, 1);
	crash(&f, "move:middle-crash", act_move);
	assert_int_equal(do_stat(&f.suite, before.id, &now), 0);
	assert_string_equal(now.parent, folder.id);
	assert_string_equal(now.name, "moved");
	assert_int_equal(do_move(&f.suite, &now, now.etag, "1", "file", &now), 0);
	crash(&f, "remove:middle-crash", act_remove);
	assert_int_equal(do_stat(&f.suite, before.id, NULL), -ENOENT);
	fixture_close(&f);
}

static struct dw_remote_session begun; /* what the processes of the next test know of the session */
static struct dw_remote_part sent[4];

static void act_commit(struct fixture *f)
{
	struct dw_remote_place place = {.parent = "1", .name = "large"};
	struct collector collector = collector_new();
	struct dw_remote_call call = call_new();
	struct pattern pattern;

	pattern_begin(&f->suite, &pattern, 3500, 5);
	(void)f->suite.ops->session_commit(f->suite.remote, &call, &begun, &place, &pattern.content, sent, 4,
					   &collector.items);
}

static void test_crash_of_commit(void **state)
{
	struct dw_remote_place place = {.parent = "1", .name = "large"};
	struct collector collector = collector_new();
	struct dw_remote_call call = call_new();
	struct pattern pattern;
	struct item_list list;
	struct fixture f;

	fixture_open(&f, "part", "1k", NULL);
	pattern_begin(&f.suite, &pattern, 3500, 5);
	assert_int_equal(f.suite.ops->session_begin(f.suite.remote, &call, &place, &pattern.content, &begun), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			f.suite.ops->session_part(f.suite.remote, &call, &begun, &pattern.content, 1024 * i, &sent[i]),
			0);
	crash(&f, "session_commit:crash", act_commit);
	assert_int_equal(do_list(&f.suite, "1", &list), 0);
	assert_int_equal(list.count, 0);
	crash(&f, "session_commit:middle-crash", act_commit);
	/* It was made a file, and nobody was told. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f.suite.ops->session_commit(f.suite.remote, &call, &begun, &place, &pattern.content,
							     sent, 4, &collector.items),
				 0);
		EXPECT_FILE(&f.suite, &collector.list.items[0], 3500, 5);
		collector_clear(&collector);
	}
	assert_int_equal(do_list(&f.suite, "1", &list), 0);
	assert_int_equal(list.count, 1);
	item_list_clear(&list);
	fixture_close(&f);
}

/* --- Limits ---------------------------------------------------------------------------------------------------- */

static void test_session_expires(void **state)
{
	struct dw_remote_place place = {.parent = "1", .name = "large"};
	struct timespec pause = {.tv_nsec = 5000000};
	struct dw_remote_call call = call_new();
	struct dw_remote_session session;
	struct dw_remote_part part;
	struct pattern pattern;
	struct stat state_of;
	char name[64];
	struct fixture f;

	fixture_open(&f, "sessions", "0", NULL);
	pattern_begin(&f.suite, &pattern, 3500, 5);
	assert_int_equal(f.suite.ops->session_begin(f.suite.remote, &call, &place, &pattern.content, &session), 0);
	assert_true(session.expires.seconds > 0);
	nanosleep(&pause, NULL);
	assert_int_equal(f.suite.ops->session_part(f.suite.remote, &call, &session, &pattern.content, 0, &part),
			 DW_REMOTE_EXPIRED);
	snprintf(name, sizeof(name), ".driveway-folder/staging/s-%.32s", session.handle);
	assert_int_equal(fstatat(f.dir, name, &state_of, 0), 0);
	fixture_reopen(&f, NULL);
	assert_int_equal(fstatat(f.dir, name, &state_of, 0), -1);
	fixture_close(&f);
}

static void test_quota(void **state)
{
	struct dw_remote_call call = call_new();
	struct dw_remote_quota quota;
	struct pattern pattern;
	struct fixture f;
	struct item file;

	fixture_open(&f, "quota", "10k", NULL);
	file = make_file(&f.suite, "file", 6000, 1);
	assert_int_equal(f.suite.ops->quota(f.suite.remote, &call, &quota), 0);
	assert_int_equal(quota.total, 10240);
	assert_int_equal(quota.used, 6000);
	pattern_begin(&f.suite, &pattern, 5000, 2);
	assert_int_equal(do_upload(&f.suite, "1", "other", &pattern, NULL), -ENOSPC);
	assert_int_equal(do_copy(&f.suite, &file, "1", "other", NULL), -ENOSPC);
	pattern_begin(&f.suite, &pattern, 10000, 2);
	assert_int_equal(do_replace(&f.suite, file.id, NULL, &pattern, NULL), 0);
	fixture_close(&f);
}

static void test_versions_are_limited(void **state)
{
	struct pattern pattern;
	struct item items[5];
	struct fixture f;

	fixture_open(&f, "versions", "2", NULL);
	items[0] = make_file(&f.suite, "file", 100, 0);
	for (uint32_t i = 1; i < 5; i++) {
		pattern_begin(&f.suite, &pattern, 100, i);
		assert_int_equal(do_replace(&f.suite, items[0].id, NULL, &pattern, &items[i]), 0);
	}
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(do_read(&f.suite, items[0].id, items[i].content, 0, 100, 100, i),
				 i < 2 ? DW_REMOTE_CHANGED : 0);
	fixture_close(&f);
}

static void test_trash_is_emptied(void **state)
{
	struct timespec pause = {.tv_sec = 1, .tv_nsec = 100000000};
	struct fixture f;
	struct item folder;
	struct item file;
	struct pattern pattern;

	fixture_open(&f, NULL);
	folder = make_folder(&f.suite, "1", "folder");
	pattern_begin(&f.suite, &pattern, 10, 1);
	assert_int_equal(do_upload(&f.suite, folder.id, "file", &pattern, &file), 0);
	assert_int_equal(do_remove(&f.suite, &folder, NULL, true), 0);
	fixture_reopen(&f, NULL);
	assert_int_equal(do_stat(&f.suite, folder.id, NULL), DW_REMOTE_TRASHED);
	assert_int_equal(do_stat(&f.suite, file.id, NULL), DW_REMOTE_TRASHED);
	nanosleep(&pause, NULL);
	fixture_reopen(&f, "trash", "0", NULL);
	assert_int_equal(do_stat(&f.suite, folder.id, NULL), -ENOENT);
	assert_int_equal(do_stat(&f.suite, file.id, NULL), -ENOENT);
	fixture_close(&f);
}

static int ignore_event(const struct dw_remote_events *events, enum dw_remote_event_type type,
			const struct dw_remote_item *item)
{
	return 0;
}

/* What may have lain on disk for long before it comes back: ids, positions, sessions; and what people write. */
static void test_mutations(void **state)
{
	static const char plan[] = "stat:OFFLINE:after=1:times=2;*:delay:ms=5\nread:done-crash:bytes=100;#";
	char list_cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	char feed_cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	struct dw_remote_place place = {.parent = "1", .name = "large"};
	struct dw_remote_events events = {.event = ignore_event};
	struct collector collector = collector_new();
	struct dw_remote_parts parts = {.part = NULL};
	struct dw_remote_session session;
	struct dw_remote_call call = call_new();
	struct pattern pattern;
	uint64_t random = 1;
	struct fixture f;

	fixture_open(&f, "page", "1", NULL);
	(void)make_file(&f.suite, "one", 1, 1);
	(void)make_file(&f.suite, "two", 1, 1);
	pattern_begin(&f.suite, &pattern, 10, 1);
	assert_int_equal(f.suite.ops->list(f.suite.remote, &call, "1", list_cursor, &collector.items), 0);
	assert_int_equal(f.suite.ops->changes(f.suite.remote, &call, feed_cursor, &events), 0);
	assert_int_equal(f.suite.ops->session_begin(f.suite.remote, &call, &place, &pattern.content, &session), 0);
	for (int i = 0; i < 2000; i++) {
		char *texts[] = {list_cursor, feed_cursor, session.handle, (char[sizeof(plan)]){0}};
		char before[DW_REMOTE_CURSOR_MAX + 1];
		size_t which = (size_t)i % 4;
		char *text = texts[which];
		int err = -EINVAL;

		if (which == 3)
			memcpy(text, plan, sizeof(plan));
		memcpy(before, text, strlen(text) + 1);
		for (int n = 0; n < 1 + i % 3; n++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
			text[(random >> 33) % strlen(before)] = (char)(random >> 25);
		}
		call = call_new();
		call.deadline = now_monotonic() + 1000000;
		if (strcmp(text, before) == 0 || text[0] == '\0')
			err = -ETIMEDOUT; /* this is none, or a beginning */
		else if (which == 0)
			err = f.suite.ops->list(f.suite.remote, &call, "1", text, &collector.items);
		else if (which == 1)
			err = f.suite.ops->changes(f.suite.remote, &call, text, &events);
		else if (which == 2)
			err = f.suite.ops->session_parts(f.suite.remote, &call, &session, &parts);
		else
			(void)f.suite.ops->stat(f.suite.remote, &call, text, &collector.items);
		/* A position that is cut, or a little further on, may still be one. */
		assert_true(err == 0 || err == DW_REMOTE_EXPIRED || err == -ETIMEDOUT || err == -EINVAL);
		memcpy(text, before, strlen(before) + 1);
		if (which == 3) {
			struct dw_option option = {.key = "fail", .value = text};
			struct dw_remote_source source = f.suite.source;
			struct dw_remote *remote = NULL;
			char error[256] = "";

			source.options = &option;
			source.option_count = 1;
			text[(random >> 40) % strlen(before)] = (char)(random >> 50);
			err = f.suite.provider->open(f.suite.provider, &source, &remote, error, sizeof(error));
			assert_true(err == 0 || (err == -EINVAL && error[0] != '\0'));
			if (err == 0)
				remote->ops->close(remote);
		}
	}
	collector_clear(&collector);
	fixture_close(&f);
}

static void test_several_processes(void **state)
{
	struct item_list list;
	struct fixture f;
	pid_t pids[4];

	fixture_open(&f, NULL);
	f.suite.ops->close(f.suite.remote);
	f.suite.remote = NULL;
	fflush(NULL);
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] != 0)
			continue;
		fixture_reopen(&f, NULL);
		for (int n = 0; n < 20; n++) {
			char name[32];

			snprintf(name, sizeof(name), "file %d of %d", n, i);
			(void)make_file(&f.suite, name, 100, (uint32_t)n);
		}
		f.suite.ops->close(f.suite.remote);
		_exit(suite_failures() ? 1 : 0);
	}
	for (int i = 0; i < 4; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	fixture_reopen(&f, NULL);
	assert_int_equal(do_list(&f.suite, "1", &list), 0);
	assert_int_equal(list.count, 80);
	item_list_clear(&list);
	fixture_close(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors_of_a_plan),
		cmocka_unit_test(test_plan_that_makes_no_sense),
		cmocka_unit_test(test_plan_in_a_file),
		cmocka_unit_test(test_partial_calls),
		cmocka_unit_test(test_later_and_delay),
		cmocka_unit_test(test_crashes_of_upload),
		cmocka_unit_test(test_crashes_of_replacing),
		cmocka_unit_test(test_crashes_of_move_and_remove),
		cmocka_unit_test(test_crash_of_commit),
		cmocka_unit_test(test_session_expires),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_versions_are_limited),
		cmocka_unit_test(test_trash_is_emptied),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_several_processes),
	};

	fixture_plugin(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
