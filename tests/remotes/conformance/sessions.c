/* SPDX-License-Identifier: MIT */
/* sessions.c - uploads in parts */
#include "suite.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 11u

/* An upload under way. */
struct sending {
	struct suite *suite;
	struct pattern pattern;
	struct dw_remote_place place;
	struct dw_remote_session session;
	struct dw_remote_part *parts; /* as session_part filled them in, by place */
	size_t count;
};

static int begin(struct suite *suite, struct sending *sending, uint64_t bytes)
{
	struct dw_remote_call call;
	int err;

	sending->suite = suite;
	pattern_begin(suite, &sending->pattern, bytes, SEED);
	do {
		call = call_new();
		err = suite->ops->session_begin(suite->remote, &call, &sending->place, &sending->pattern.content,
						&sending->session);
	} while (call_again(&call, err));
	if (err != 0)
		return err;
	NEED(sending->session.part_bytes > 0);
	NEED(sending->session.handle[0] != '\0' && memchr(sending->session.handle, '\0', DW_REMOTE_CURSOR_MAX) != NULL);
	sending->count = (size_t)((bytes + sending->session.part_bytes - 1) / sending->session.part_bytes);
	sending->parts = calloc(sending->count + 1, sizeof(*sending->parts));
	NEED(sending->parts != NULL);
	return 0;
}

static int send_part(struct sending *sending, size_t number)
{
	struct suite *suite = sending->suite;
	uint64_t offset = number * sending->session.part_bytes;
	struct dw_remote_part *part = &sending->parts[number];
	struct dw_remote_call call;
	int err;

	do {
		call = call_new();
		err = suite->ops->session_part(suite->remote, &call, &sending->session, &sending->pattern.content,
					       offset, part);
	} while (call_again(&call, err));
	if (err == 0) {
		uint64_t left = sending->pattern.content.bytes - offset;

		EXPECT(part->offset == offset);
		EXPECT(part->bytes == (left < sending->session.part_bytes ? left : sending->session.part_bytes));
		EXPECT(memchr(part->receipt, '\0', sizeof(part->receipt)) != NULL);
	}
	return err;
}

static int commit(struct sending *sending, size_t count, struct item *out)
{
	struct suite *suite = sending->suite;
	struct collector collector;
	struct dw_remote_call call;
	int err;

	do {
		collector = collector_new();
		call = call_new();
		err = suite->ops->session_commit(suite->remote, &call, &sending->session, &sending->place,
						 &sending->pattern.content, sending->parts, count, &collector.items);
	} while (call_again(&call, err));
	EXPECT(collector.list.count == (err == 0 ? 1 : 0));
	if (err == 0 && collector.list.count == 1 && out != NULL)
		*out = collector.list.items[0];
	collector_clear(&collector);
	return err;
}

static int take_part(const struct dw_remote_parts *parts, const struct dw_remote_part *part)
{
	struct sending *sending = parts->context;
	size_t number = (size_t)(part->offset / sending->session.part_bytes);

	NEED(part->offset % sending->session.part_bytes == 0 && number < sending->count);
	EXPECT(sending->parts[number].bytes == 0);
	sending->parts[number] = *part;
	return 0;
}

/* What the service has, into parts. */
static int ask_parts(struct sending *sending)
{
	struct suite *suite = sending->suite;
	struct dw_remote_parts parts = {.part = take_part, .context = sending};
	struct dw_remote_call call;
	int err;

	do {
		memset(sending->parts, 0, sending->count * sizeof(*sending->parts));
		call = call_new();
		err = suite->ops->session_parts(suite->remote, &call, &sending->session, &parts);
	} while (call_again(&call, err));
	return err;
}

static struct sending new_file(struct suite *suite, const char *name)
{
	return (struct sending){.place = {.parent = suite->folder, .name = name}};
}

static void parts_in_order(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct item item;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = 0; i < sending.count; i++)
		NEED_OK(send_part(&sending, i));
	NEED_OK(commit(&sending, sending.count, &item));
	EXPECT(strcmp(item.name, "file") == 0 && item.bytes == suite->session_bytes);
	EXPECT(item.modified.seconds == 1700000000 + SEED);
	EXPECT_FILE(suite, &item, suite->session_bytes, SEED);
	free(sending.parts);
}

static void parts_backwards_and_again(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct item item;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = sending.count; i > 0; i--)
		NEED_OK(send_part(&sending, i - 1));
	NEED_OK(send_part(&sending, 0));
	NEED_OK(send_part(&sending, sending.count - 1));
	NEED_OK(commit(&sending, sending.count, &item));
	EXPECT_FILE(suite, &item, suite->session_bytes, SEED);
	free(sending.parts);
}

struct sender {
	struct sending *sending;
	size_t first;
	size_t step;
	int err;
};

static void *send_some(void *argument)
{
	struct sender *sender = argument;

	for (size_t i = sender->first; i < sender->sending->count && sender->err == 0; i += sender->step)
		sender->err = send_part(sender->sending, i);
	return NULL;
}

static void parts_by_threads(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct sender senders[4];
	pthread_t threads[4];
	struct item item;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = 0; i < 4; i++) {
		senders[i] = (struct sender){.sending = &sending, .first = i, .step = 4};
		NEED(pthread_create(&threads[i], NULL, send_some, &senders[i]) == 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_RESULT(senders[i].err, 0);
	}
	NEED_OK(commit(&sending, sending.count, &item));
	EXPECT_FILE(suite, &item, suite->session_bytes, SEED);
	free(sending.parts);
}

static void resumes_after_reopening(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct item item;
	size_t have = 0;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	NEED(sending.count > 1);
	NEED_OK(send_part(&sending, 1));
	suite_reopen(suite);
	NEED_OK(ask_parts(&sending));
	for (size_t i = 0; i < sending.count; i++)
		have += sending.parts[i].bytes != 0;
	EXPECT(have == 1 && sending.parts[1].bytes != 0);
	for (size_t i = 0; i < sending.count; i++)
		if (sending.parts[i].bytes == 0)
			NEED_OK(send_part(&sending, i));
	suite_reopen(suite);
	NEED_OK(ask_parts(&sending));
	NEED_OK(commit(&sending, sending.count, &item));
	EXPECT_FILE(suite, &item, suite->session_bytes, SEED);
	free(sending.parts);
}

static void is_committed_twice(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct item_list list;
	struct item first;
	struct item again;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = 0; i < sending.count; i++)
		NEED_OK(send_part(&sending, i));
	NEED_OK(commit(&sending, sending.count, &first));
	NEED_OK(commit(&sending, sending.count, &again));
	EXPECT(strcmp(first.id, again.id) == 0 && strcmp(first.content, again.content) == 0);
	suite_reopen(suite);
	NEED_OK(commit(&sending, sending.count, &again));
	EXPECT(strcmp(first.id, again.id) == 0);
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 1);
	item_list_clear(&list);
	free(sending.parts);
}

static void makes_a_new_version(struct suite *suite)
{
	struct item file = make_file(suite, "file", 1000, 1);
	struct sending sending = {.place = {.id = file.id, .etag = file.etag}};
	struct item item;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = 0; i < sending.count; i++)
		NEED_OK(send_part(&sending, i));
	NEED_OK(do_stat(suite, file.id, &item));
	EXPECT(strcmp(item.etag, file.etag) == 0);
	NEED_OK(commit(&sending, sending.count, &item));
	EXPECT(strcmp(item.id, file.id) == 0);
	EXPECT(item.etag[0] == '\0' || strcmp(item.etag, file.etag) != 0);
	EXPECT_FILE(suite, &item, suite->session_bytes, SEED);
	free(sending.parts);
}

static void file_changes_meanwhile(struct suite *suite)
{
	struct item file = make_file(suite, "file", 1000, 1);
	struct sending sending = {.place = {.id = file.id, .etag = file.etag}};
	struct pattern pattern;
	struct item now;

	if (file.etag[0] == '\0')
		suite_skip("it has no etags");
	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = 0; i < sending.count; i++)
		NEED_OK(send_part(&sending, i));
	pattern_begin(suite, &pattern, 500, 2);
	NEED_OK(do_replace(suite, file.id, NULL, &pattern, &now));
	EXPECT_RESULT(commit(&sending, sending.count, NULL), DW_REMOTE_CHANGED);
	EXPECT_FILE(suite, &now, 500, 2);
	free(sending.parts);
}

static void name_is_taken_meanwhile(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct item other;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = 0; i < sending.count; i++)
		NEED_OK(send_part(&sending, i));
	other = make_file(suite, "file", 10, 1);
	EXPECT_RESULT(commit(&sending, sending.count, NULL), -EEXIST);
	EXPECT_FILE(suite, &other, 10, 1);
	free(sending.parts);
}

static void lacks_a_part(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct item_list list;
	struct item item;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = 0; i + 1 < sending.count; i++)
		NEED_OK(send_part(&sending, i));
	EXPECT(commit(&sending, sending.count - 1, NULL) < 0);
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 0);
	item_list_clear(&list);
	NEED_OK(send_part(&sending, sending.count - 1));
	NEED_OK(commit(&sending, sending.count, &item));
	EXPECT_FILE(suite, &item, suite->session_bytes, SEED);
	free(sending.parts);
}

static void has_a_wrong_digest(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct item_list list;

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	for (size_t i = 0; i < sending.count; i++)
		NEED_OK(send_part(&sending, i));
	sending.pattern.digest[3] ^= 0x40;
	EXPECT_RESULT(commit(&sending, sending.count, NULL), -EBADMSG);
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 0);
	item_list_clear(&list);
	free(sending.parts);
}

static void is_aborted(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	struct dw_remote_call call = call_new();

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	NEED_OK(send_part(&sending, 0));
	NEED_OK(suite->ops->session_abort(suite->remote, &call, &sending.session));
	EXPECT_RESULT(ask_parts(&sending), DW_REMOTE_EXPIRED);
	EXPECT_RESULT(send_part(&sending, 0), DW_REMOTE_EXPIRED);
	EXPECT_RESULT(commit(&sending, sending.count, NULL), DW_REMOTE_EXPIRED);
	free(sending.parts);
}

static void was_never_begun(struct suite *suite)
{
	static const char *const wrong[] = {"nonsense", "../../etc/passwd", "00000000000000000000000000000000"};
	struct sending sending = new_file(suite, "file");
	char handle[DW_REMOTE_CURSOR_MAX];

	NEED_OK(begin(suite, &sending, suite->session_bytes));
	memcpy(handle, sending.session.handle, sizeof(handle));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(sending.session.handle, sizeof(sending.session.handle), "%s", wrong[i]);
		EXPECT_RESULT(ask_parts(&sending), DW_REMOTE_EXPIRED);
		EXPECT_RESULT(send_part(&sending, 0), DW_REMOTE_EXPIRED);
	}
	free(sending.parts);
}

static void where_a_name_is_taken(struct suite *suite)
{
	struct sending sending = new_file(suite, "file");
	int err;

	(void)make_file(suite, "file", 10, 1);
	err = begin(suite, &sending, suite->session_bytes);
	for (size_t i = 0; i < sending.count && err == 0; i++)
		err = send_part(&sending, i);
	EXPECT_RESULT(err != 0 ? err : commit(&sending, sending.count, NULL), -EEXIST);
	free(sending.parts);
}

#define NEEDS (NEEDS_WRITE | NEEDS_SESSIONS)
const struct suite_case session_cases[] = {
	{"session_parts_in_order", parts_in_order, NEEDS},
	{"session_parts_backwards_and_again", parts_backwards_and_again, NEEDS},
	{"session_parts_by_threads", parts_by_threads, NEEDS},
	{"session_resumes_after_reopening", resumes_after_reopening, NEEDS},
	{"session_is_committed_twice", is_committed_twice, NEEDS},
	{"session_makes_a_new_version", makes_a_new_version, NEEDS},
	{"session_file_changes_meanwhile", file_changes_meanwhile, NEEDS},
	{"session_name_is_taken_meanwhile", name_is_taken_meanwhile, NEEDS},
	{"session_lacks_a_part", lacks_a_part, NEEDS},
	{"session_has_a_wrong_digest", has_a_wrong_digest, NEEDS | NEEDS_DIGEST},
	{"session_is_aborted", is_aborted, NEEDS},
	{"session_was_never_begun", was_never_begun, NEEDS},
	{"session_where_a_name_is_taken", where_a_name_is_taken, NEEDS},
	{NULL, NULL, 0},
};
