/* SPDX-License-Identifier: MIT */
/*
 * Each scenario is run again and again, with the first, the second ... call failing that may fail, until none is left
 * that does. Whatever fails: no crash, nothing left at the end (nt_shutdown looks), nothing half-made, and what is done
 * again without faults goes well.
 */
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
#define ROOM 4096u

static _Alignas(8) char scratch[ROOM];
static struct fs_added_disk added;

static void set_up(bool mapped)
{
	NTSTATUS status;

	nt_boot();
	model_init(&model);
	model_add(&model, "\\folder", true, NULL);
	model_add(&model, "\\folder\\a.txt", false, "alpha");
	model_add(&model, "\\file", false, "contents of it");
	nt_pump(service_pump, &service);
	assert_int_equal(nt_load(DriverEntry), STATUS_SUCCESS);
	control = control_open(NT_ADMIN, &status);
	assert_int_equal(status, STATUS_SUCCESS);
	assert_int_equal(service_start(&service, &model, 30), STATUS_SUCCESS);
	if (mapped)
		assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
}

static void tear_down(void)
{
	nt_fault_arm(0);
	while (service_step(&service))
		;
	for (unsigned i = 0; i < RTL_NUMBER_OF(model.opens); i++)
		if (model.opens[i].name)
			nt_fail("the service was not told that a file is closed");
	assert_int_equal(unmap(control, 'X', false), STATUS_SUCCESS);
	assert_int_equal(disks_count(control), 0);
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
	assert_int_equal(unmap(control, 'X', false), STATUS_SUCCESS);
	nt_close(control);
	assert_int_equal(service_stop(&service), STATUS_SUCCESS);
	nt_run();
	assert_true(nt_unload());
	nt_shutdown();
	model_free(&model);
}

static void test_load(void **state)
{
	NTSTATUS status;

	for (unsigned long n = 1;; n++) {
		bool fired;

		nt_boot();
		nt_fault_arm(n);
		status = nt_load(DriverEntry);
		fired = nt_fault_fired();
		nt_fault_arm(0);
		if (NT_SUCCESS(status))
			assert_true(nt_unload());
		nt_shutdown();
		if (!fired)
			break;
		assert_false(NT_SUCCESS(status));
	}
	assert_int_equal(status, STATUS_SUCCESS);
}

static void test_map(void **state)
{
	for (unsigned long n = 1;; n++) {
		NTSTATUS status;
		bool fired;

		set_up(false);
		nt_fault_arm(n);
		status = map(control, 'X', "memory:", &added);
		fired = nt_fault_fired();
		nt_fault_arm(0);
		while (service_step(&service))
			;
		assert_int_equal(disks_count(control), NT_SUCCESS(status));
		if (!NT_SUCCESS(status))
			assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
		tear_down();
		if (!fired) {
			assert_int_equal(status, STATUS_SUCCESS);
			break;
		}
	}
}

static void test_unmap(void **state)
{
	for (unsigned long n = 1;; n++) {
		HANDLE file;
		NTSTATUS status;
		bool fired;

		set_up(true);
		assert_int_equal(open_file("\\??\\X:\\file", ALL, FILE_OPEN, 0, &file, NULL), STATUS_SUCCESS);
		nt_fault_arm(n);
		status = unmap(control, 'X', true);
		nt_close(file);
		while (service_step(&service))
			;
		fired = nt_fault_fired();
		nt_fault_arm(0);
		memset(model.opens, 0, sizeof(model.opens));
		if (NT_SUCCESS(status))
			assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
		tear_down();
		if (!fired)
			break;
	}
}

static unsigned clients; /* threads of programs that are at work */

/* Everything that a program does with files; what fails is skipped. */
static void use_files(char *buffer)
{
	static const FILE_INFORMATION_CLASS classes[] = {FileAllInformation, FileNameInformation, FileBasicInformation};
	FILE_DISPOSITION_INFORMATION delete = {TRUE};
	FILE_RENAME_INFORMATION *rename = (void *)buffer;
	FILE_END_OF_FILE_INFORMATION size = {{.QuadPart = 4}};
	struct nt_request *watch = NULL, *oplock = NULL, *waiting = NULL;
	HANDLE file, folder, made;

	if (NT_SUCCESS(open_file("\\??\\X:\\folder", GENERIC_READ, FILE_OPEN, FILE_DIRECTORY_FILE, &folder, NULL))) {
		run(nt_list(folder, FileBothDirectoryInformation, "*.txt", 0, buffer, ROOM), NULL);
		run(nt_list(folder, FileBothDirectoryInformation, NULL, 0, buffer, ROOM), NULL);
		watch = nt_watch(folder, FILE_NOTIFY_CHANGE_FILE_NAME, false, buffer, 512);
		if (NT_SUCCESS(open_file("\\??\\X:\\folder\\made", ALL, FILE_CREATE, 0, &made, NULL))) {
			run(nt_set(made, FileDispositionInformation, &delete, sizeof(delete), NULL), NULL);
			nt_close(made);
		}
	} else {
		folder = NULL;
	}
	if (NT_SUCCESS(open_file("\\??\\X:\\file", ALL, FILE_OVERWRITE_IF, 0, &file, NULL))) {
		char text[64] = "text";

		run(nt_write(file, 0, text, sizeof(text)), NULL);
		run(nt_read(file, 0, text, sizeof(text)), NULL);
		run(nt_page_in(nt_file_object(file), 0, text, sizeof(text)), NULL);
		run(nt_flush(file), NULL);
		for (unsigned i = 0; i < RTL_NUMBER_OF(classes); i++)
			run(nt_query(file, classes[i], buffer, ROOM), NULL);
		run(nt_set(file, FileEndOfFileInformation, &size, sizeof(size), NULL), NULL);
		run(nt_query_volume(file, FileFsAttributeInformation, buffer, ROOM), NULL);
		run(nt_query_security(file, 7, buffer, ROOM), NULL);
		run(nt_lock(file, 0, 1, 0, SL_EXCLUSIVE_LOCK | SL_FAIL_IMMEDIATELY), NULL);
		run(nt_unlock(file, 0, 1, 0), NULL);
		memset(buffer, 0, 256);
		rename->FileNameLength = 10;
		memcpy(rename->FileName, L"moved", 10);
		run(nt_set(file, FileRenameInformation, rename, 64, NULL), NULL);
		oplock = nt_fsctl(file, FSCTL_REQUEST_BATCH_OPLOCK, NULL, 0, NULL, 0);
		if (!nt_done(oplock)) {
			struct nt_open open = {.path = "\\??\\X:\\moved",
					       .access = ALL,
					       .share = 7,
					       .disposition = FILE_OPEN,
					       .mode = UserMode};

			/* It waits for the oplock, which ends with the handle below. */
			waiting = nt_open(&open);
			for (unsigned turns = 0; turns < 50 && !nt_done(waiting); turns++) {
				if (clients)
					nt_yield();
				else
					nt_wait(waiting);
			}
		}
		nt_close(file);
		run(oplock, NULL);
		if (waiting) {
			assert_true(nt_wait(waiting));
			if (waiting->handle)
				nt_close(waiting->handle);
			nt_finish(waiting, NULL);
		}
	}
	if (folder)
		nt_close(folder);
	if (watch)
		run(watch, NULL);
}

static void test_files(void **state)
{
	for (unsigned long n = 1;; n++) {
		bool fired;

		set_up(true);
		nt_fault_arm(n);
		use_files(scratch);
		fired = nt_fault_fired();
		nt_fault_arm(0);
		tear_down();
		if (!fired) {
			assert_true(n > 50);
			break;
		}
	}
}

/* The service dies with a read pending and files open, and the next one comes. */
static void test_take_over(void **state)
{
	for (unsigned long n = 1;; n++) {
		struct nt_request *request;
		HANDLE file;
		bool fired;

		set_up(true);
		assert_int_equal(open_file("\\??\\X:\\file", ALL, FILE_OPEN, 0, &file, NULL), STATUS_SUCCESS);
		service.hold = true;
		request = nt_read(file, 0, scratch, 10);
		service_step(&service);
		service_die(&service);
		memset(model.opens, 0, sizeof(model.opens));
		nt_fault_arm(n);
		if (service_start(&service, &model, 30) != STATUS_SUCCESS)
			assert_int_equal(service_start(&service, &model, 30), STATUS_SUCCESS);
		while (service_step(&service))
			;
		fired = nt_fault_fired();
		nt_fault_arm(0);
		run(request, NULL);
		nt_close(file);
		tear_down();
		if (!fired)
			break;
	}
}

#define CLIENTS 3

static void client(void *context)
{
	static _Alignas(8) char buffers[CLIENTS][ROOM];

	use_files(buffers[(uintptr_t)context]);
	clients--;
}

/*
 * Without faults: three programs and the service, each a thread, which take turns at places that are drawn. Some of the
 * programs' requests are in each other's way, and fail; none may hang, nothing may be left.
 */
static void test_turns(void **state)
{
	for (ULONG seed = 1; seed <= 100; seed++) {
		set_up(true);
		nt_pump(NULL, NULL);
		nt_thread_start(service_thread, &service);
		clients = CLIENTS;
		for (uintptr_t i = 0; i < CLIENTS; i++)
			nt_thread_start(client, (void *)i);
		nt_preempt_seed(seed);
		while (clients)
			nt_yield();
		nt_preempt_seed(0);
		service.leave = true;
		while (service.leave)
			nt_yield();
		nt_pump(service_pump, &service);
		tear_down();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),  cmocka_unit_test(test_map),	cmocka_unit_test(test_unmap),
		cmocka_unit_test(test_files), cmocka_unit_test(test_take_over), cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
