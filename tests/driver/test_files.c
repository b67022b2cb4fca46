/* SPDX-License-Identifier: MIT */
/* Files of a drive: each IRP family, with a service that has its files in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service.h"

DRIVER_INITIALIZE DriverEntry;

#define ALL (GENERIC_READ | GENERIC_WRITE | DELETE)

static struct model model;
static struct service service;
static HANDLE control;
static _Alignas(8) char buffer[8192];

static int begin(void **state)
{
	struct fs_added_disk added;
	NTSTATUS status;

	nt_boot();
	model_init(&model);
	model_add(&model, "\\folder", true, NULL);
	model_add(&model, "\\folder\\a.txt", false, "alpha");
	model_add(&model, "\\folder\\b.doc", false, "beta");
	model_add(&model, "\\file", false, "contents of it");
	nt_pump(service_pump, &service);
	if (nt_load(DriverEntry) != STATUS_SUCCESS)
		return -1;
	control = control_open(NT_ADMIN, &status);
	return status || service_start(&service, &model, 30) || map(control, 'X', "memory:", &added) ? -1 : 0;
}

static int end(void **state)
{
	while (service_step(&service))
		;
	if (unmap(control, 'X', false) != STATUS_SUCCESS) {
		print_error("files are open at the end of a test\n");
		return -1;
	}
	nt_close(control);
	service_stop(&service);
	nt_run();
	if (!nt_unload())
		nt_fail("the driver cannot be unloaded");
	nt_shutdown();
	for (unsigned i = 0; i < RTL_NUMBER_OF(model.opens); i++)
		if (model.opens[i].name)
			nt_fail("the service was not told that a file is closed");
	model_free(&model);
	return 0;
}

static HANDLE open_ok(const char *path, ACCESS_MASK access, ULONG disposition, ULONG options)
{
	HANDLE handle;

	assert_int_equal(open_file(path, access, disposition, options, &handle, NULL), STATUS_SUCCESS);
	return handle;
}

static void test_dispositions(void **state)
{
	static const struct {
		ULONG disposition;
		NTSTATUS there, absent;
		ULONG_PTR there_information, absent_information;
	} cases[] = {
		{FILE_SUPERSEDE, STATUS_SUCCESS, STATUS_SUCCESS, FILE_SUPERSEDED, FILE_CREATED},
		{FILE_OPEN, STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND, FILE_OPENED, 0},
		{FILE_CREATE, STATUS_OBJECT_NAME_COLLISION, STATUS_SUCCESS, 0, FILE_CREATED},
		{FILE_OPEN_IF, STATUS_SUCCESS, STATUS_SUCCESS, FILE_OPENED, FILE_CREATED},
		{FILE_OVERWRITE, STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND, FILE_OVERWRITTEN, 0},
		{FILE_OVERWRITE_IF, STATUS_SUCCESS, STATUS_SUCCESS, FILE_OVERWRITTEN, FILE_CREATED},
	};
	HANDLE handle;
	ULONG_PTR information;

	for (unsigned i = 0; i < RTL_NUMBER_OF(cases); i++) {
		char name[] = "\\??\\X:\\new0";

		name[sizeof(name) - 2] = (char)('0' + i);
		assert_int_equal(open_file(name, ALL, cases[i].disposition, 0, &handle, &information), cases[i].absent);
		if (NT_SUCCESS(cases[i].absent)) {
			assert_int_equal(information, cases[i].absent_information);
			nt_close(handle);
		}
		model_find(&model, "\\file")->size = 5;
		assert_int_equal(open_file("\\??\\X:\\FILE", ALL, cases[i].disposition, 0, &handle, &information),
				 cases[i].there);
		if (NT_SUCCESS(cases[i].there)) {
			assert_int_equal(information, cases[i].there_information);
			nt_close(handle);
			assert_int_equal(model_find(&model, "\\file")->size, information == FILE_OPENED ? 5 : 0);
		}
	}
	assert_int_equal(open_file("\\??\\X:\\file", ALL, 6, 0, &handle, NULL), STATUS_INVALID_PARAMETER);
	assert_int_equal(open_file("\\??\\X:\\file\\", ALL, FILE_OPEN, FILE_NON_DIRECTORY_FILE, &handle, NULL),
			 STATUS_OBJECT_NAME_INVALID);
	assert_int_equal(open_file("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, FILE_NON_DIRECTORY_FILE, &handle, NULL),
			 STATUS_FILE_IS_A_DIRECTORY);
	assert_int_equal(open_file("\\??\\X:\\file", GENERIC_READ, FILE_OPEN, FILE_DIRECTORY_FILE, &handle, NULL),
			 STATUS_NOT_A_DIRECTORY);
	assert_int_equal(open_file("\\??\\X:\\no\\file", GENERIC_READ, FILE_OPEN, 0, &handle, NULL),
			 STATUS_OBJECT_PATH_NOT_FOUND);
}

static void test_bad_names(void **state)
{
	static const char *const names[] = {"\\??\\X:\\a\\\\b", "\\??\\X:\\a*b",    "\\??\\X:\\a?",  "\\??\\X:\\a|b",
					    "\\??\\X:\\a<b",	"\\??\\X:\\a\x01z", "\\??\\X:\\a\"b"};
	HANDLE handle;

	for (unsigned i = 0; i < RTL_NUMBER_OF(names); i++)
		assert_int_equal(open_file(names[i], ALL, FILE_OPEN_IF, 0, &handle, NULL), STATUS_OBJECT_NAME_INVALID);
}

static void test_relative(void **state)
{
	HANDLE folder = open_ok("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, FILE_DIRECTORY_FILE);
	struct nt_open open = {.path = "a.txt",
			       .folder = folder,
			       .access = GENERIC_READ,
			       .share = 7,
			       .disposition = FILE_OPEN,
			       .mode = UserMode};
	struct nt_request *request = nt_open(&open);
	HANDLE file;
	ULONG_PTR bytes;

	assert_true(nt_wait(request));
	file = request->handle;
	assert_int_equal(nt_finish(request, NULL), STATUS_SUCCESS);
	assert_int_equal(run(nt_read(file, 0, buffer, 100), &bytes), STATUS_SUCCESS);
	assert_int_equal(bytes, 5);
	open.path = "\\a.txt";
	request = nt_open(&open);
	assert_true(nt_wait(request));
	assert_false(NT_SUCCESS(nt_finish(request, NULL)));
	nt_close(file);
	nt_close(folder);
}

static void test_read_write(void **state)
{
	HANDLE file = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0);
	FILE_STANDARD_INFORMATION standard;
	ULONG_PTR bytes;
	char *large = calloc(1, 3u << 20);

	assert_int_equal(run(nt_read(file, 3, buffer, 5), &bytes), STATUS_SUCCESS);
	assert_int_equal(bytes, 5);
	assert_memory_equal(buffer, "tents", 5);
	assert_int_equal(run(nt_read(file, 1000, buffer, 5), NULL), STATUS_END_OF_FILE);
	assert_int_equal(run(nt_read(file, 0, NULL, 0), NULL), STATUS_SUCCESS);
	assert_int_equal(run(nt_read(file, -5, buffer, 5), NULL), STATUS_INVALID_PARAMETER);
	assert_int_equal(run(nt_write(file, 20, "more", 4), &bytes), STATUS_SUCCESS);
	assert_int_equal(bytes, 4);
	assert_int_equal(run(nt_query(file, FileStandardInformation, &standard, sizeof(standard)), NULL),
			 STATUS_SUCCESS);
	assert_int_equal(standard.EndOfFile.QuadPart, 24);
	/* More than one request carries. */
	memset(large, 'x', 3u << 20);
	assert_int_equal(run(nt_write(file, 0, large, (2u << 20) + 77), &bytes), STATUS_SUCCESS);
	assert_int_equal(bytes, (2u << 20) + 77);
	memset(large, 0, 3u << 20);
	assert_int_equal(run(nt_read(file, 0, large, 3u << 20), &bytes), STATUS_SUCCESS);
	assert_int_equal(bytes, (2u << 20) + 77);
	assert_int_equal(large[bytes - 1], 'x');
	/* At the end, wherever that is. */
	assert_int_equal(run(nt_write(file, -1, "tail", 4), &bytes), STATUS_SUCCESS);
	assert_int_equal(model_find(&model, "\\file")->size, (2u << 20) + 81);
	assert_int_equal(run(nt_flush(file), NULL), STATUS_SUCCESS);
	free(large);
	nt_close(file);
	file = open_ok("\\??\\X:\\file", FILE_READ_DATA, FILE_OPEN, 0);
	assert_int_equal(run(nt_write(file, 0, "no", 2), NULL), STATUS_ACCESS_DENIED);
	assert_int_equal(run(nt_read(file, 0, nt_bad_address(), 8), NULL), STATUS_ACCESS_VIOLATION);
	nt_close(file);
}

static void test_paging(void **state)
{
	HANDLE file = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0);
	FILE_OBJECT *object = nt_file_object(file);
	ULONG_PTR bytes;
	char page[4096];

	memset(page, 'z', sizeof(page));
	assert_int_equal(run(nt_page_in(object, 0, page, sizeof(page)), &bytes), STATUS_SUCCESS);
	assert_memory_equal(page, "contents of it", 14);
	assert_int_equal(page[14], 0);
	memset(page, 'p', sizeof(page));
	assert_int_equal(run(nt_page_out(object, 0, page, sizeof(page)), NULL), STATUS_SUCCESS);
	assert_int_equal(model_find(&model, "\\file")->size, 14);
	/* What a mapping has changed is seen by a read. */
	assert_int_equal(nt_section_make(file, false, false), STATUS_SUCCESS);
	nt_section_dirty(object, 2, "MAPPED", 6);
	assert_int_equal(run(nt_read(file, 0, buffer, 14), NULL), STATUS_SUCCESS);
	assert_memory_equal(buffer, "ppMAPPEDpppppp", 14);
	assert_int_equal(run(nt_write(file, 0, "w", 1), NULL), STATUS_SUCCESS);
	assert_true(nt_purges() > 0);
	nt_section_drop(object);
	nt_close(file);
}

static void test_share_modes(void **state)
{
	struct nt_open open = {.path = "\\??\\X:\\file",
			       .access = GENERIC_READ,
			       .share = FILE_SHARE_READ,
			       .disposition = FILE_OPEN,
			       .mode = UserMode};
	HANDLE first, second;
	struct nt_request *request = nt_open(&open);

	assert_true(nt_wait(request));
	first = request->handle;
	assert_int_equal(nt_finish(request, NULL), STATUS_SUCCESS);
	assert_int_equal(open_file("\\??\\X:\\file", GENERIC_WRITE, FILE_OPEN, 0, &second, NULL),
			 STATUS_SHARING_VIOLATION);
	assert_int_equal(open_file("\\??\\X:\\file", DELETE, FILE_OPEN, 0, &second, NULL), STATUS_SHARING_VIOLATION);
	assert_int_equal(open_file("\\??\\X:\\file", FILE_READ_ATTRIBUTES, FILE_OPEN, 0, &second, NULL),
			 STATUS_SUCCESS);
	nt_close(second);
	assert_int_equal(open_file("\\??\\X:\\file", GENERIC_READ, FILE_OPEN, 0, &second, NULL), STATUS_SUCCESS);
	nt_close(second);
	nt_close(first);
	second = open_ok("\\??\\X:\\file", GENERIC_WRITE, FILE_OPEN, 0);
	nt_close(second);
}

static void test_delete(void **state)
{
	HANDLE file = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, FILE_DELETE_ON_CLOSE), other;
	FILE_DISPOSITION_INFORMATION delete = {TRUE};
	FILE_DISPOSITION_INFORMATION_EX posix = {FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS};

	nt_close(file);
	assert_null(model_find(&model, "\\file"));
	file = open_ok("\\??\\X:\\folder\\a.txt", ALL, FILE_OPEN, 0);
	other = open_ok("\\??\\X:\\folder\\a.txt", GENERIC_READ, FILE_OPEN, 0);
	assert_int_equal(run(nt_set(file, FileDispositionInformation, &delete, sizeof(delete), NULL), NULL),
			 STATUS_SUCCESS);
	nt_close(file);
	assert_non_null(model_find(&model, "\\folder\\a.txt"));
	assert_int_equal(open_file("\\??\\X:\\folder\\a.txt", GENERIC_READ, FILE_OPEN, 0, &file, NULL),
			 STATUS_DELETE_PENDING);
	nt_close(other);
	assert_null(model_find(&model, "\\folder\\a.txt"));
	file = open_ok("\\??\\X:\\folder", ALL, FILE_OPEN, FILE_DIRECTORY_FILE);
	assert_int_equal(run(nt_set(file, FileDispositionInformation, &delete, sizeof(delete), NULL), NULL),
			 STATUS_DIRECTORY_NOT_EMPTY);
	nt_close(file);
	file = open_ok("\\??\\X:\\folder\\b.doc", ALL, FILE_OPEN, 0);
	other = open_ok("\\??\\X:\\folder\\b.doc", GENERIC_READ, FILE_OPEN, 0);
	assert_int_equal(run(nt_set(file, FileDispositionInformationEx, &posix, sizeof(posix), NULL), NULL),
			 STATUS_SUCCESS);
	nt_close(file);
	assert_null(model_find(&model, "\\folder\\b.doc"));
	assert_int_equal(run(nt_read(other, 0, buffer, 4), NULL), STATUS_SUCCESS);
	nt_close(other);
}

static NTSTATUS rename_to(HANDLE file, const char *to, bool replace)
{
	FILE_RENAME_INFORMATION *rename = (void *)buffer;

	memset(buffer, 0, 1024);
	rename->ReplaceIfExists = replace;
	for (unsigned i = 0; to[i]; i++)
		rename->FileName[i] = (WCHAR)to[i];
	rename->FileNameLength = (ULONG)(2 * strlen(to));
	return run(nt_set(file, FileRenameInformation, rename,
			  (ULONG)offsetof(FILE_RENAME_INFORMATION, FileName) + rename->FileNameLength, NULL),
		   NULL);
}

static void test_rename(void **state)
{
	HANDLE file = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0);
	FILE_NAME_INFORMATION *name = (void *)buffer;

	assert_int_equal(rename_to(file, "other", false), STATUS_SUCCESS);
	assert_non_null(model_find(&model, "\\other"));
	assert_null(model_find(&model, "\\file"));
	assert_int_equal(run(nt_query(file, FileNameInformation, buffer, sizeof(buffer)), NULL), STATUS_SUCCESS);
	assert_int_equal(name->FileNameLength, 12);
	assert_int_equal(name->FileName[1], 'o');
	assert_int_equal(rename_to(file, "folder", false), STATUS_OBJECT_NAME_COLLISION);
	model_add(&model, "\\third", false, "3");
	assert_int_equal(rename_to(file, "third", false), STATUS_OBJECT_NAME_COLLISION);
	assert_int_equal(rename_to(file, "third", true), STATUS_SUCCESS);
	assert_int_equal(rename_to(file, "a*b", true), STATUS_OBJECT_NAME_INVALID);
	nt_close(file);
}

static void test_list(void **state)
{
	HANDLE folder = open_ok("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, FILE_DIRECTORY_FILE);
	FILE_BOTH_DIR_INFORMATION *entry = (void *)buffer;
	static const FILE_INFORMATION_CLASS classes[] = {FileDirectoryInformation,	 FileFullDirectoryInformation,
							 FileBothDirectoryInformation,	 FileNamesInformation,
							 FileIdBothDirectoryInformation, FileIdFullDirectoryInformation,
							 FileIdExtdDirectoryInformation};
	unsigned count = 0;
	ULONG_PTR bytes;

	assert_int_equal(run(nt_list(folder, FileBothDirectoryInformation, "*", 0, buffer, sizeof(buffer)), &bytes),
			 STATUS_SUCCESS);
	for (char *at = buffer;; at += ((FILE_BOTH_DIR_INFORMATION *)(void *)at)->NextEntryOffset) {
		count++;
		if (!((FILE_BOTH_DIR_INFORMATION *)(void *)at)->NextEntryOffset)
			break;
	}

	assert_int_equal(count, 2);
	assert_int_equal(run(nt_list(folder, FileBothDirectoryInformation, NULL, 0, buffer, sizeof(buffer)), NULL),
			 STATUS_NO_MORE_FILES);
	for (unsigned i = 0; i < RTL_NUMBER_OF(classes); i++)
		for (ULONG size = 0; size < 400; size += 4) {
			struct nt_request *request = nt_list(folder, classes[i], NULL,
							     SL_RESTART_SCAN | (size % 8 ? SL_RETURN_SINGLE_ENTRY : 0),
							     buffer, size);
			NTSTATUS status = run(request, NULL);

			if (size > 250)
				assert_int_equal(status, STATUS_SUCCESS);
		}
	nt_close(folder);
	folder = open_ok("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, FILE_DIRECTORY_FILE);
	assert_int_equal(run(nt_list(folder, FileBothDirectoryInformation, "*.TXT", 0, buffer, sizeof(buffer)), NULL),
			 STATUS_SUCCESS);
	assert_int_equal(entry->NextEntryOffset, 0);
	assert_int_equal(entry->FileNameLength, 10);
	assert_int_equal(entry->EndOfFile.QuadPart, 5);
	nt_close(folder);
	folder = open_ok("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, FILE_DIRECTORY_FILE);
	assert_int_equal(run(nt_list(folder, FileBothDirectoryInformation, "none", 0, buffer, sizeof(buffer)), NULL),
			 STATUS_NO_SUCH_FILE);
	nt_close(folder);
}

/* Every class with every length: an answer, and nothing that was not filled in. */
static void test_information(void **state)
{
	HANDLE file = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT);
	HANDLE folder = open_ok("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, 0);
	FILE_ALL_INFORMATION *all = (void *)buffer;
	FILE_BASIC_INFORMATION basic = {.FileAttributes = FILE_ATTRIBUTE_HIDDEN};
	FILE_END_OF_FILE_INFORMATION end_of_file = {{.QuadPart = 3}};

	for (int class = 0; class < FileMaximumInformation + 4; class ++)
		for (ULONG size = 0; size <= 320; size += size < 150 ? 1 : 10) {
			run(nt_query(file, (FILE_INFORMATION_CLASS) class, buffer, size), NULL);
			run(nt_query(folder, (FILE_INFORMATION_CLASS) class, buffer, size), NULL);
		}
	assert_int_equal(run(nt_query(file, FileAllInformation, buffer, sizeof(buffer)), NULL), STATUS_SUCCESS);
	assert_int_equal(all->StandardInformation.EndOfFile.QuadPart, 14);
	assert_int_equal(all->NameInformation.FileNameLength, 10);
	assert_int_equal(run(nt_set(file, FileBasicInformation, &basic, sizeof(basic), NULL), NULL), STATUS_SUCCESS);
	assert_int_equal(model_find(&model, "\\file")->attributes, FILE_ATTRIBUTE_HIDDEN);
	assert_int_equal(run(nt_set(file, FileEndOfFileInformation, &end_of_file, sizeof(end_of_file), NULL), NULL),
			 STATUS_SUCCESS);
	assert_int_equal(model_find(&model, "\\file")->size, 3);
	for (ULONG class = 0; class < 20; class ++)
		for (ULONG size = 0; size < 200; size++)
			run(nt_query_volume(file, class, buffer, size), NULL);
	for (ULONG size = 0; size < 64; size++)
		run(nt_query_security(file, 7, buffer, size), NULL);
	assert_int_equal(run(nt_query_volume(file, FileFsSizeInformation, buffer, sizeof(buffer)), NULL),
			 STATUS_SUCCESS);
	nt_close(folder);
	nt_close(file);
}

static void test_notify(void **state)
{
	HANDLE folder = open_ok("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, FILE_DIRECTORY_FILE), file;
	FILE_NOTIFY_INFORMATION *change = (void *)buffer;
	struct nt_request *request;
	ULONG_PTR bytes;

	request = nt_watch(folder, FILE_NOTIFY_CHANGE_FILE_NAME, false, buffer, sizeof(buffer));
	assert_false(nt_wait(request));
	file = open_ok("\\??\\X:\\folder\\new", ALL, FILE_CREATE, 0);
	assert_int_equal(run(request, &bytes), STATUS_SUCCESS);
	assert_int_equal(change->Action, FILE_ACTION_ADDED);
	assert_int_equal(change->FileNameLength, 6);
	nt_close(file);
	request = nt_watch(folder, FILE_NOTIFY_CHANGE_FILE_NAME, false, buffer, sizeof(buffer));
	nt_cancel(request);
	assert_int_equal(run(request, NULL), STATUS_CANCELLED);
	request = nt_watch(folder, FILE_NOTIFY_CHANGE_FILE_NAME, false, buffer, sizeof(buffer));
	nt_close(folder);
	assert_int_equal(run(request, NULL), STATUS_NOTIFY_CLEANUP);
}

static void test_locks(void **state)
{
	HANDLE one = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0), two = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0);
	struct nt_request *waiting;

	assert_int_equal(run(nt_lock(one, 0, 5, 0, SL_EXCLUSIVE_LOCK), NULL), STATUS_SUCCESS);
	assert_int_equal(run(nt_lock(two, 4, 5, 0, SL_FAIL_IMMEDIATELY), NULL), STATUS_LOCK_NOT_GRANTED);
	assert_int_equal(run(nt_read(two, 0, buffer, 2), NULL), STATUS_FILE_LOCK_CONFLICT);
	assert_int_equal(run(nt_write(two, 0, "no", 2), NULL), STATUS_FILE_LOCK_CONFLICT);
	assert_int_equal(run(nt_read(one, 0, buffer, 2), NULL), STATUS_SUCCESS);
	waiting = nt_lock(two, 4, 5, 0, SL_EXCLUSIVE_LOCK);
	assert_false(nt_wait(waiting));
	assert_int_equal(run(nt_unlock(one, 0, 5, 0), NULL), STATUS_SUCCESS);
	assert_int_equal(run(waiting, NULL), STATUS_SUCCESS);
	waiting = nt_lock(one, 4, 1, 0, SL_EXCLUSIVE_LOCK);
	nt_cancel(waiting);
	assert_int_equal(run(waiting, NULL), STATUS_CANCELLED);
	waiting = nt_lock(one, 4, 1, 0, SL_EXCLUSIVE_LOCK);
	nt_close(two);
	assert_int_equal(run(waiting, NULL), STATUS_SUCCESS);
	assert_int_equal(run(nt_unlock(one, 100, 5, 0), NULL), STATUS_RANGE_NOT_LOCKED);
	nt_close(one);
}

static void test_oplocks(void **state)
{
	HANDLE one = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0), two;
	struct nt_request *oplock = nt_fsctl(one, FSCTL_REQUEST_BATCH_OPLOCK, NULL, 0, NULL, 0), *opening;
	struct nt_open open = {
		.path = "\\??\\X:\\file", .access = ALL, .share = 7, .disposition = FILE_OPEN, .mode = UserMode};
	ULONG_PTR level;

	assert_false(nt_wait(oplock));
	opening = nt_open(&open);
	assert_false(nt_wait(opening));
	assert_int_equal(run(oplock, &level), STATUS_SUCCESS);
	assert_int_equal(level, FILE_OPLOCK_BROKEN_TO_LEVEL_2);
	assert_int_equal(run(nt_fsctl(one, FSCTL_OPBATCH_ACK_CLOSE_PENDING, NULL, 0, NULL, 0), NULL), STATUS_SUCCESS);
	assert_true(nt_wait(opening));
	two = opening->handle;
	assert_int_equal(nt_finish(opening, NULL), STATUS_SUCCESS);
	oplock = nt_fsctl(two, FSCTL_REQUEST_OPLOCK_LEVEL_2, NULL, 0, NULL, 0);
	assert_false(nt_wait(oplock));
	assert_int_equal(run(nt_write(one, 0, "w", 1), NULL), STATUS_SUCCESS);
	assert_int_equal(run(oplock, NULL), STATUS_SUCCESS);
	/* An open that waits for an oplock is given up. */
	nt_close(two);
	oplock = nt_fsctl(one, FSCTL_REQUEST_BATCH_OPLOCK, NULL, 0, NULL, 0);
	opening = nt_open(&open);
	assert_false(nt_wait(opening));
	nt_cancel(opening);
	assert_int_equal(run(opening, NULL), STATUS_CANCELLED);
	run(oplock, NULL);
	nt_close(one);
}

/* Structs that are cut off, and an output buffer where the answer is no bytes. */
static void test_oplock_buffers(void **state)
{
	HANDLE file = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0);
	REQUEST_OPLOCK_INPUT_BUFFER in = {.StructureVersion = REQUEST_OPLOCK_CURRENT_VERSION,
					  .StructureLength = sizeof(in),
					  .RequestedOplockLevel = OPLOCK_LEVEL_CACHE_READ | OPLOCK_LEVEL_CACHE_WRITE,
					  .Flags = REQUEST_OPLOCK_INPUT_FLAG_REQUEST};
	REQUEST_OPLOCK_OUTPUT_BUFFER out;
	struct nt_request *request;

	for (ULONG size = 0; size < sizeof(in); size++)
		assert_int_equal(run(nt_fsctl(file, FSCTL_REQUEST_OPLOCK, &in, size, &out, sizeof(out)), NULL),
				 STATUS_BUFFER_TOO_SMALL);
	for (ULONG size = 0; size < sizeof(out); size++)
		assert_int_equal(run(nt_fsctl(file, FSCTL_REQUEST_OPLOCK, &in, sizeof(in), &out, size), NULL),
				 STATUS_BUFFER_TOO_SMALL);
	assert_int_equal(run(nt_fsctl(file, FSCTL_REQUEST_BATCH_OPLOCK, NULL, 0, buffer, 64), NULL),
			 STATUS_INVALID_PARAMETER);
	request = nt_fsctl(file, FSCTL_REQUEST_OPLOCK, &in, sizeof(in), &out, sizeof(out));
	assert_false(nt_wait(request));
	nt_close(file);
	assert_int_equal(run(request, NULL), STATUS_SUCCESS);
	assert_int_equal(out.StructureLength, sizeof(out));
}

/* Each IRP is cancelled: when it is queued, when the service has it, and when it has answered. */
static void test_cancel(void **state)
{
	HANDLE file = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0);
	FILE_BASIC_INFORMATION basic;

	for (int what = 0; what < 5; what++)
		for (int seen = 0; seen < 2; seen++) {
			struct nt_open open = {
				.path = "\\??\\X:\\file", .access = ALL, .share = 7, .disposition = FILE_OPEN};
			struct nt_request *request = NULL;
			NTSTATUS status;

			service.hold = true;
			switch (what) {
			case 0:
				request = nt_read(file, 0, buffer, 10);
				break;
			case 1:
				request = nt_write(file, 0, buffer, 10);
				break;
			case 2:
				request = nt_open(&open);
				break;
			case 3:
				request = nt_query(file, FileBasicInformation, &basic, sizeof(basic));
				break;
			default:
				request = nt_flush(file);
			}
			if (seen)
				service_step(&service);
			nt_cancel(request);
			nt_run();
			assert_true(nt_done(request));
			status = nt_finish(request, NULL);
			if (status != STATUS_SUCCESS)
				assert_int_equal(status, STATUS_CANCELLED);
			while (service_step(&service))
				;
			service_release(&service);
		}
	nt_close(file);
}

static void test_forced_removal(void **state)
{
	HANDLE file = open_ok("\\??\\X:\\file", ALL, FILE_OPEN, 0);
	struct fs_added_disk added;
	struct nt_request *request;

	assert_int_equal(unmap(control, 'X', false), STATUS_DEVICE_BUSY);
	service.hold = true;
	request = nt_read(file, 0, buffer, 5);
	assert_int_equal(unmap(control, 'X', true), STATUS_SUCCESS);
	assert_int_equal(run(request, NULL), STATUS_VOLUME_DISMOUNTED);
	assert_int_equal(run(nt_read(file, 0, buffer, 5), NULL), STATUS_VOLUME_DISMOUNTED);
	service_release(&service);
	nt_close(file);
	/* The service of the test has no more use for what it had open. */
	memset(model.opens, 0, sizeof(model.opens));
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
}

/* The volume itself, and the codes that programs ask a disk. */
static void test_volume(void **state)
{
	static const ULONG codes[] = {IOCTL_DISK_GET_DRIVE_GEOMETRY,  IOCTL_DISK_GET_PARTITION_INFO,
				      IOCTL_DISK_GET_LENGTH_INFO,     IOCTL_STORAGE_GET_DEVICE_NUMBER,
				      IOCTL_STORAGE_GET_HOTPLUG_INFO, IOCTL_MOUNTDEV_QUERY_DEVICE_NAME,
				      IOCTL_MOUNTDEV_QUERY_UNIQUE_ID, IOCTL_MOUNTDEV_QUERY_STABLE_GUID,
				      IOCTL_STORAGE_QUERY_PROPERTY,   IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS,
				      IOCTL_DISK_IS_WRITABLE,	      IOCTL_MOUNTDEV_QUERY_SUGGESTED_LINK_NAME,
				      IOCTL_STORAGE_CHECK_VERIFY};
	HANDLE volume = open_ok("\\??\\X:", GENERIC_READ | GENERIC_WRITE, FILE_OPEN, 0);

	for (unsigned i = 0; i < RTL_NUMBER_OF(codes); i++)
		for (ULONG size = 0; size < 300; size++)
			run(nt_ioctl(volume, codes[i], "\0\0\0\0\0\0\0\0\0\0\0", size % 12, buffer, size), NULL);
	for (ULONG function = 0; function < 200; function++)
		run(nt_fsctl(volume, CTL_CODE(FILE_DEVICE_FILE_SYSTEM, function, METHOD_BUFFERED, 0), buffer,
			     function % 30, buffer, function % 50),
		    NULL);
	nt_close(volume);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(test_dispositions),   TEST(test_bad_names),      TEST(test_relative), TEST(test_read_write),
		TEST(test_paging),	   TEST(test_share_modes),    TEST(test_delete),   TEST(test_rename),
		TEST(test_list),	   TEST(test_information),    TEST(test_notify),   TEST(test_locks),
		TEST(test_oplocks),	   TEST(test_oplock_buffers), TEST(test_cancel),   TEST(test_volume),
		TEST(test_forced_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
