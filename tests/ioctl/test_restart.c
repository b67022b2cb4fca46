/* SPDX-License-Identifier: MIT */
/*
 * The service dies and the next one goes on: open files come back, and what had taken effect is not done again.
 */
#include "tests/ioctl/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct answer answer;
static struct message message;

static int32_t reopen(struct harness *harness, uint64_t file, const char *path)
{
	struct message *request = malloc(sizeof(*request));
	int32_t status;

	assert_non_null(request);
	message_begin(harness, request, FS_REOPEN, 0);
	request->in.u.create.file = file;
	request->in.u.create.access = FILE_ALL_ACCESS;
	request->in.u.create.disposition = FILE_OPEN;
	request->in.u.create.name = message_text(request, path);
	status = message_send(harness, request, &answer);
	free(request);
	return status;
}

/* Restart, open the request's file, and send the request again as the driver does. */
static int32_t replay(struct harness *harness)
{
	harness_restart(harness);
	if (message.in.file && message.in.type != FS_CLOSE)
		assert_status(reopen(harness, message.in.file, "\\gone"), STATUS_SUCCESS);
	message.in.flags |= FS_REQUEST_REPLAYED;
	return message_send(harness, &message, &answer);
}

static void test_open_files(void **state)
{
	struct harness *harness = *state;
	uint64_t file, folder, node;

	make_folder_at(harness, "\\d");
	make_file_at(harness, "\\d\\f", "abc");
	file = open_file(harness, "\\d\\f", FILE_OPEN, 0);
	folder = open_file(harness, "\\d", FILE_OPEN, 0);
	assert_status(send_query(harness, file, &answer), STATUS_SUCCESS);
	node = answer.out.file.node;
	harness_restart(harness);
	assert_status(reopen(harness, file, "\\D\\F"), STATUS_SUCCESS);
	assert_true(answer.out.u.created.file == file && answer.out.u.created.granted == FILE_ALL_ACCESS);
	assert_true(answer.out.file.node == node && answer.out.file.size == 3);
	assert_status(reopen(harness, folder, "\\d"), STATUS_SUCCESS);
	assert_status(send_read(harness, file, 0, 3, &answer), STATUS_SUCCESS);
	assert_status(send_list(harness, folder, "F", 0, 1000, &answer), STATUS_SUCCESS);
	/* Deleted, and open over a death all the same. */
	assert_status(send_cleanup(harness, file, "\\d\\f"), STATUS_SUCCESS);
	harness_restart(harness);
	assert_status(reopen(harness, file, "\\d\\f"), STATUS_SUCCESS);
	assert_status(reopen(harness, folder, "\\d"), STATUS_SUCCESS);
	assert_status(send_read(harness, file, 0, 3, &answer), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	assert_status(send_close(harness, folder), STATUS_SUCCESS);
	assert_status(reopen(harness, 1, "\\d"), STATUS_INVALID_PARAMETER);
}

/* Without kept memory, or over a file system whose nodes do not stay: by the path, under the same id. */
static void test_by_path(void **state)
{
	struct harness *harness = *state;
	uint64_t file;

	make_file_at(harness, "\\f", "abc");
	file = open_file(harness, "\\f", FILE_OPEN, 0);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	harness_restart(harness);
	assert_status(reopen(harness, file, "\\F"), STATUS_SUCCESS);
	assert_true(answer.out.u.created.file == file);
	assert_status(send_read(harness, file, 0, 3, &answer), STATUS_SUCCESS);
	/* Taken. */
	harness->fs->flags &= ~DW_FS_PERSISTENT;
	assert_status(reopen(harness, file, "\\f"), STATUS_INVALID_PARAMETER);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	assert_status(reopen(harness, file, "\\none"), STATUS_OBJECT_NAME_NOT_FOUND);
	assert_status(send_close(harness, file), STATUS_INVALID_HANDLE);
}

/* Every kind of change: it took effect, its answer got lost, and it comes again. */
static void test_create_again(void **state)
{
	struct harness *harness = *state;
	uint64_t file;

	message_begin(harness, &message, FS_CREATE, 0);
	message.in.u.create.access = FILE_ALL_ACCESS;
	message.in.u.create.disposition = FILE_CREATE;
	message.in.u.create.name = message_text(&message, "\\new");
	assert_status(message_send_lost(harness, &message, &answer), STATUS_SUCCESS);
	file = answer.out.u.created.file;
	assert_status(replay(harness), STATUS_SUCCESS);
	assert_true(answer.out.u.created.file == file);
	assert_int_equal(answer.out.u.created.information, FILE_CREATED);
	assert_int_equal(answer.out.u.created.granted, FILE_ALL_ACCESS);
	assert_int_equal(volume_open_files(harness->volume), 1);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

/* The name was made, and the death came before the file was entered into the table. */
static void create_cut(struct harness *harness, uint32_t options)
{
	struct kept_call *kept = NULL;
	uint64_t file;

	message_begin(harness, &message, FS_CREATE, 0);
	message.in.u.create.access = FILE_ALL_ACCESS;
	message.in.u.create.disposition = FILE_CREATE;
	message.in.u.create.options = options;
	message.in.u.create.name = message_text(&message, options ? "\\folder" : "\\file");
	assert_status(message_send_lost(harness, &message, &answer), STATUS_SUCCESS);
	file = answer.out.u.created.file;
	for (unsigned i = 0; i < VOLUME_CALLS; i++)
		if (harness->kept->calls[i].id == message.in.id)
			kept = &harness->kept->calls[i];
	assert_non_null(kept);
	/* As it was then: STAGE_MAKING, and no file. */
	kept->stage = 1;
	harness->kept->files[file % VOLUME_FILES].id = 0;
	assert_status(replay(harness), STATUS_SUCCESS);
	assert_int_equal(answer.out.u.created.information, FILE_CREATED);
	assert_status(send_close(harness, answer.out.u.created.file), STATUS_SUCCESS);
	/* A handle was lost with the death; one lookup came back with the answer that was given again. */
}

static void test_create_cut_off(void **state)
{
	struct harness harness;

	(void)state;
	harness_create(&harness);
	create_cut(&harness, 0);
	create_cut(&harness, FILE_DIRECTORY_FILE);
	/* The same request anew is not the one that made it. */
	message.in.flags = 0;
	message.in.id = 999;
	assert_status(message_send(&harness, &message, &answer), STATUS_OBJECT_NAME_COLLISION);
	volume_destroy(harness.volume);
	harness.fs->ops->close(harness.fs);
	host_destroy(&harness.host);
	free(harness.kept);
}

static void test_changes_again(void **state)
{
	struct harness *harness = *state;
	uint64_t file, other;

	make_file_at(harness, "\\a", "abc");
	file = open_file(harness, "\\a", FILE_OPEN, 0);

	message_begin(harness, &message, FS_RENAME, file);
	message.in.u.rename.from = message_text(&message, "\\a");
	message.in.u.rename.to = message_text(&message, "\\b");
	assert_status(message_send_lost(harness, &message, &answer), STATUS_SUCCESS);
	assert_status(replay(harness), STATUS_SUCCESS);

	message_begin(harness, &message, FS_RENAME, file);
	message.in.u.rename.flags = FS_RENAME_LINK;
	message.in.u.rename.from = message_text(&message, "\\b");
	message.in.u.rename.to = message_text(&message, "\\c");
	assert_status(message_send_lost(harness, &message, &answer), STATUS_SUCCESS);
	assert_status(replay(harness), STATUS_SUCCESS);
	assert_status(send_query(harness, file, &answer), STATUS_SUCCESS);
	assert_int_equal(answer.out.file.links, 2);

	message_begin(harness, &message, FS_WRITE, file);
	message.in.u.io.length = 4;
	message.in.u.io.flags = FS_IO_APPEND;
	message.in.u.io.data = message_bytes(&message, "defg", 4).offset;
	assert_status(message_send_lost(harness, &message, &answer), STATUS_SUCCESS);
	assert_status(replay(harness), STATUS_SUCCESS);
	assert_true(answer.out.information == 4 && answer.out.file.size == 7);

	message_begin(harness, &message, FS_CLEANUP, file);
	message.in.u.cleanup.flags = FS_CLEANUP_DELETE;
	message.in.u.cleanup.name = message_text(&message, "\\b");
	assert_status(message_send_lost(harness, &message, &answer), STATUS_SUCCESS);
	/* Somebody else's by now: stays. */
	make_file_at(harness, "\\b", "other");
	assert_status(replay(harness), STATUS_SUCCESS);
	other = open_file(harness, "\\b", FILE_OPEN, 0);
	assert_status(send_close(harness, other), STATUS_SUCCESS);

	message_begin(harness, &message, FS_CLOSE, file);
	assert_status(message_send_lost(harness, &message, &answer), STATUS_SUCCESS);
	assert_status(replay(harness), STATUS_SUCCESS);
	assert_int_equal(volume_open_files(harness->volume), 0);
}

/* What the driver does not open again is closed. */
static void test_files_not_wanted(void **state)
{
	struct harness *harness = *state;
	uint64_t kept, lost;

	make_file_at(harness, "\\f", "abc");
	kept = open_file(harness, "\\f", FILE_OPEN, 0);
	lost = open_file(harness, "\\f", FILE_OPEN, 0);
	harness_restart(harness);
	assert_status(reopen(harness, kept, "\\f"), STATUS_SUCCESS);
	assert_int_equal(volume_open_files(harness->volume), 2);
	assert_status(send_query(harness, kept, &answer), STATUS_SUCCESS);
	assert_int_equal(volume_open_files(harness->volume), 1);
	assert_status(send_query(harness, lost, &answer), STATUS_INVALID_HANDLE);
	assert_status(send_close(harness, kept), STATUS_SUCCESS);
}

/* Slots of requests that never came again serve others. */
static void test_left_slots(void **state)
{
	struct harness *harness = *state;

	for (unsigned i = 0; i < VOLUME_CALLS; i++) {
		message_begin(harness, &message, FS_QUERY_VOLUME, 0);
		assert_status(message_send_lost(harness, &message, &answer), STATUS_SUCCESS);
	}
	harness_restart(harness);
	for (unsigned i = 0; i < VOLUME_CALLS + 10; i++) {
		message_begin(harness, &message, FS_QUERY_VOLUME, 0);
		assert_status(message_send(harness, &message, &answer), STATUS_SUCCESS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_set_up, harness_tear_down)
		TEST(test_open_files),	  TEST(test_by_path),
		TEST(test_create_again),  cmocka_unit_test(test_create_cut_off),
		TEST(test_changes_again), TEST(test_files_not_wanted),
		TEST(test_left_slots),
	};

	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
