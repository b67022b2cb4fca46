/* SPDX-License-Identifier: MIT */
/* The driver loaded and unloaded, its control and communication devices, services that come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service.h"

DRIVER_INITIALIZE DriverEntry;

static struct model model;
static struct service service;
static HANDLE control;

static void begin(bool with_service)
{
	NTSTATUS status;

	nt_boot();
	model_init(&model);
	memset(&service, 0, sizeof(service));
	nt_pump(service_pump, &service);
	assert_int_equal(nt_load(DriverEntry), STATUS_SUCCESS);
	control = control_open(NT_ADMIN, &status);
	assert_int_equal(status, STATUS_SUCCESS);
	if (with_service)
		assert_int_equal(service_start(&service, &model, 30), STATUS_SUCCESS);
}

static void end(void)
{
	if (control)
		nt_close(control);
	control = NULL;
	if (service.handle)
		service_stop(&service);
	nt_run();
	assert_true(nt_unload());
	nt_shutdown();
	model_free(&model);
}

static void test_load(void **state)
{
	for (int i = 0; i < 3; i++) {
		begin(false);
		end();
	}
}

static void test_who_may_open(void **state)
{
	static const char *const names[] = {"\\??\\" FS_CONTROL_NAME, "\\??\\" FS_COMMUNICATION_NAME,
					    "\\Device\\" FS_REDIRECTOR_NAME};
	static const bool allowed[3][3] = {{false, true, true}, {false, false, true}, {false, false, true}};

	begin(false);
	for (unsigned name = 0; name < 3; name++)
		for (unsigned account = NT_USER; account <= NT_SYSTEM; account++) {
			HANDLE handle;
			NTSTATUS status;

			nt_process_enter(nt_process_make(account));
			status = open_file(names[name], GENERIC_READ | GENERIC_WRITE, FILE_OPEN, 0, &handle, NULL);
			assert_int_equal(status, allowed[name][account] ? STATUS_SUCCESS : STATUS_ACCESS_DENIED);
			if (NT_SUCCESS(status))
				nt_close(handle);
		}
	end();
}

static void test_map(void **state)
{
	struct fs_added_disk added;
	struct fs_disk disk;
	ULONG_PTR bytes;

	begin(true);
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
	assert_int_equal(added.letter, 'X');
	assert_int_equal(service.seen[FS_DISK_ADDED], 1);
	assert_int_equal(nt_mountmgr_arrivals(), 1);
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_OBJECT_NAME_COLLISION);
	assert_int_equal(map(control, 0, "memory:", &added), STATUS_SUCCESS);
	assert_int_equal(added.letter, 'Z');
	assert_int_equal(disks_count(control), 2);
	assert_int_equal(run(nt_ioctl(control, IOCTL_FS_GET_DISKS, NULL, 0, &disk, sizeof(disk)), &bytes),
			 STATUS_BUFFER_OVERFLOW);
	assert_int_equal(bytes, sizeof(disk));
	assert_int_equal(disk.letter, 'X');
	assert_true(disk.label_length > 0);
	assert_int_equal(unmap(control, 'Y', false), STATUS_NO_SUCH_DEVICE);
	assert_int_equal(unmap(control, 'X', false), STATUS_SUCCESS);
	while (service_step(&service))
		;
	assert_int_equal(service.seen[FS_DISK_REMOVED], 1);
	assert_int_equal(disks_count(control), 1);
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
	assert_int_equal(unmap(control, 'X', true), STATUS_SUCCESS);
	assert_int_equal(unmap(control, 'Z', false), STATUS_SUCCESS);
	end();
}

/* Left mapped: unloading takes the drives away. */
static void test_unload_with_drives(void **state)
{
	struct fs_added_disk added;

	begin(true);
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
	end();
}

static bool refuse_disk(struct service *of, const struct fs_request *request, struct fs_response *response, void **data)
{
	if (request->type != FS_DISK_ADDED)
		return false;
	response->status = STATUS_LOGON_FAILURE;
	return true;
}

static void test_source_refused(void **state)
{
	struct fs_added_disk added;

	begin(true);
	service.answer = refuse_disk;
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_LOGON_FAILURE);
	assert_int_equal(disks_count(control), 0);
	service.answer = NULL;
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
	assert_int_equal(unmap(control, 'X', false), STATUS_SUCCESS);
	end();
}

static void test_no_service(void **state)
{
	struct fs_added_disk added;

	begin(false);
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_DEVICE_NOT_READY);
	end();
}

/* Each code with each length from nothing to more than enough, of zeros, of ones, and of something sensible. */
static void test_bad_structs(void **state)
{
	static const ULONG codes[] = {IOCTL_FS_ADD_DISK,
				      IOCTL_FS_DELETE_DISK,
				      IOCTL_FS_GET_DISKS,
				      IOCTL_FS_START,
				      IOCTL_FS_STOP,
				      IOCTL_FS_RECEIVE_RESPONSE,
				      IOCTL_FS_SEND_REQUEST,
				      IOCTL_FS_FILE_CACHE_CONTROL,
				      0,
				      0xffffffff & ~3u};
	_Alignas(8) char in[256], out[1024];
	struct fs_added_disk added;

	begin(true);
	assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
	for (unsigned code = 0; code < RTL_NUMBER_OF(codes); code++)
		for (unsigned fill = 0; fill < 4; fill++)
			for (ULONG size = 0; size <= sizeof(in); size++) {
				struct fs_add_disk *add = (void *)in;
				struct nt_request *request;
				NTSTATUS status;

				memset(in, fill == 1 ? 0xff : 0, sizeof(in));
				if (fill >= 2) {
					add->size = fill == 2 ? size : size + 1;
					add->letter = fill == 2 ? 'X' : 'W';
					add->source = (struct fs_text){sizeof(*add), 0x7ffffffe};
				}
				request = nt_ioctl(codes[code] == 0 || code > 2 ? service.handle : control, codes[code],
						   in, size, out, size % 2 ? 0 : 256);
				if (codes[code] == IOCTL_FS_STOP || codes[code] == IOCTL_FS_GET_DISKS) {
					run(request, NULL);
					if (codes[code] == IOCTL_FS_STOP) {
						nt_close(service.handle);
						for (unsigned i = 0; i < OFFERS; i++) {
							nt_wait(service.offers[i].request);
							nt_finish(service.offers[i].request, NULL);
							free(service.offers[i].buffer);
						}
						assert_int_equal(service_start(&service, &model, 30), STATUS_SUCCESS);
						while (service_step(&service))
							;
					}
					continue;
				}
				status = run(request, NULL);
				assert_false(NT_SUCCESS(status));
			}
	assert_int_equal(disks_count(control), 1);
	assert_int_equal(unmap(control, 'X', false), STATUS_SUCCESS);
	end();
}

static void test_second_service(void **state)
{
	struct service second;

	begin(true);
	assert_int_equal(service_start(&second, &model, 30), STATUS_DEVICE_BUSY);
	assert_int_equal(service_stop(&service), STATUS_SUCCESS);
	assert_int_equal(service_start(&service, &model, 30), STATUS_SUCCESS);
	end();
}

/* A mapping that waits is taken back: before the service has seen it, and after. */
static void test_cancelled_map(void **state)
{
	struct fs_added_disk added;
	struct nt_request *request;

	for (int seen = 0; seen < 2; seen++) {
		begin(true);
		service.hold = true;
		request = map_start(control, 'X', "memory:", &added);
		nt_run();
		if (seen)
			service_step(&service);
		nt_cancel(request);
		service_release(&service);
		assert_true(nt_wait(request));
		nt_finish(request, NULL);
		while (service_step(&service))
			;
		assert_int_equal(disks_count(control), 0);
		assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
		assert_int_equal(unmap(control, 'X', false), STATUS_SUCCESS);
		end();
	}
}

static void test_forged_answers(void **state)
{
	struct fs_added_disk added;
	struct nt_request *request;
	struct fs_response response;

	begin(true);
	service.hold = true;
	request = map_start(control, 'X', "memory:", &added);
	nt_run();
	service_step(&service);
	assert_int_equal(service.held_count, 1);
	for (unsigned i = 0; i < 10; i++) {
		char data[8] = {0};

		response = (struct fs_response){
			.size = sizeof(response), .type = FS_DISK_ADDED, .id = service.held[0]->id};
		switch (i) {
		case 0:
			response.id++;
			break;
		case 1:
			response.type = FS_CREATE;
			break;
		case 2:
			response.size--;
			break;
		case 3:
			response.data = 8;
			break;
		case 4:
			response.status = STATUS_PENDING;
			break;
		case 5:
			response.information = 1;
			break;
		case 6:
			response.u.created.file = 1;
			break;
		case 7:
			response.file.node = 1;
			break;
		case 8:
			response.id = 0;
			break;
		case 9:
			response.data = 0x80000000;
			break;
		}
		assert_int_equal(service_respond(&service, &response, data, sizeof(data)), STATUS_INVALID_PARAMETER);
		assert_false(nt_done(request));
	}
	response = (struct fs_response){.size = sizeof(response), .type = FS_DISK_ADDED, .id = service.held[0]->id};
	assert_int_equal(service_respond(&service, &response, NULL, 0), STATUS_SUCCESS);
	/* Once more is once too often. */
	assert_int_equal(service_respond(&service, &response, NULL, 0), STATUS_INVALID_PARAMETER);
	free(service.held[--service.held_count]);
	service.hold = false;
	assert_int_equal(run(request, NULL), STATUS_SUCCESS);
	assert_int_equal(unmap(control, 'X', false), STATUS_SUCCESS);
	end();
}

static void test_service_dies(void **state)
{
	struct fs_added_disk added;
	struct nt_request *request;
	HANDLE file;
	char buffer[16] = {0};
	ULONG_PTR bytes;

	for (int seen = 0; seen < 2; seen++) {
		begin(true);
		model_add(&model, "\\file", false, "contents");
		assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
		assert_int_equal(open_file("\\??\\X:\\file", GENERIC_READ, FILE_OPEN, 0, &file, NULL), STATUS_SUCCESS);
		service.hold = true;
		request = nt_read(file, 0, buffer, sizeof(buffer));
		if (seen)
			service_step(&service);
		service_die(&service);
		assert_false(nt_wait(request));
		nt_advance(29000);
		assert_false(nt_done(request));
		assert_int_equal(service_start(&service, &model, 30), STATUS_SUCCESS);
		assert_int_equal(run(request, &bytes), STATUS_SUCCESS);
		assert_int_equal(bytes, 8);
		assert_memory_equal(buffer, "contents", 8);
		assert_int_equal(service.seen[FS_DISK_ADDED], 1);
		assert_int_equal(service.seen[FS_REOPEN], 1);
		/* It was put into a buffer that the service had offered, whether or not that looked. */
		assert_int_equal(service.replayed, 2);
		nt_close(file);
		assert_int_equal(unmap(control, 'X', false), STATUS_SUCCESS);
		end();
	}
}

/* Nobody comes: patience ends; STOP ends it at once. */
static void test_patience(void **state)
{
	struct fs_added_disk added;
	struct nt_request *request;
	HANDLE file;
	char buffer[16] = {0};

	for (int stop = 0; stop < 2; stop++) {
		begin(true);
		model_add(&model, "\\file", false, "contents");
		assert_int_equal(map(control, 'X', "memory:", &added), STATUS_SUCCESS);
		assert_int_equal(open_file("\\??\\X:\\file", GENERIC_READ, FILE_OPEN, 0, &file, NULL), STATUS_SUCCESS);
		service.hold = true;
		request = nt_read(file, 0, buffer, sizeof(buffer));
		service_step(&service);
		if (stop) {
			service_stop(&service);
			nt_run();
		} else {
			service_die(&service);
			nt_advance(31000);
		}
		assert_true(nt_done(request));
		assert_int_equal(nt_finish(request, NULL), STATUS_DEVICE_NOT_READY);
		nt_close(file);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_who_may_open),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_unload_with_drives),
		cmocka_unit_test(test_source_refused),
		cmocka_unit_test(test_no_service),
		cmocka_unit_test(test_bad_structs),
		cmocka_unit_test(test_second_service),
		cmocka_unit_test(test_cancelled_map),
		cmocka_unit_test(test_forged_answers),
		cmocka_unit_test(test_service_dies),
		cmocka_unit_test(test_patience),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
