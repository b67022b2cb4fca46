// SPDX-License-Identifier: MIT
/*
 * test_control.c DRIVER - the control and communication devices, as the command and the service use them
 *
 * Loads the driver, is the service by itself, adds and deletes drives, answers wrongly, dies and comes again, and
 * unloads the driver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/wine/device.h"

#define STATUS_REFUSED ((int32_t)0xc0000034) /* STATUS_OBJECT_NAME_NOT_FOUND */

static HANDLE device, service;

static uint32_t count_disks(struct fs_disk *disks, uint32_t max)
{
	DWORD got = 0, error = control(device, IOCTL_FS_GET_DISKS, NULL, 0, disks, max * sizeof(*disks), &got);

	CHECK(error == 0 || error == ERROR_MORE_DATA);
	return got / sizeof(*disks);
}

static DWORD delete_disk(WCHAR letter, uint32_t flags)
{
	struct fs_delete_disk delete = {.letter = letter, .flags = flags};

	return control(device, IOCTL_FS_DELETE_DISK, &delete, sizeof(delete), NULL, 0, NULL);
}

static BOOL has_letter(char letter)
{
	char name[3] = {letter, ':', 0}, target[256];

	return QueryDosDeviceA(name, target, sizeof(target)) != 0;
}

static void answer_type(uint32_t type, int32_t status)
{
	struct offer offer;
	struct fs_request *request = next_request(&offer, service);
	struct fs_response response;

	CHECK(request->type == type);
	response = response_to(request, status);
	CHECK(answer(service, &response, NULL) == 0);
	free(request);
}

/* Adds a drive, with ourselves as the service. */
static uint64_t add_disk(WCHAR letter)
{
	struct add_disk disk;
	struct fs_added_disk added = {0};
	struct call call;
	DWORD got;

	fill_add_disk(&disk, letter, L"", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	answer_type(FS_DISK_ADDED, 0);
	CHECK(call_end(&call, &got) == 0);
	CHECK(got == sizeof(added));
	CHECK(letter == 0 || added.letter == letter);
	CHECK(has_letter((char)added.letter));
	return added.disk;
}

static void without_service(void)
{
	struct add_disk disk;
	struct fs_added_disk added;

	fill_add_disk(&disk, L'Q', L"", L"memory:");
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added), NULL) == ERROR_NOT_READY);
	CHECK(delete_disk(L'Q', 0) != 0);
	CHECK(count_disks((struct fs_disk[1]){{0}}, 1) == 0);
}

static void bad_structs(void)
{
	struct add_disk disk;
	struct fs_added_disk added;
	struct fs_start start = {.version = FS_PROTOCOL_VERSION + 1};
	struct fs_started started;
	char byte = 0;

	fill_add_disk(&disk, L'q', L"", L"memory:");
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added), NULL) != 0);
	fill_add_disk(&disk, L'Q', L"", L"memory");
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added), NULL) != 0);
	fill_add_disk(&disk, L'Q', L"a\\b", L"memory:");
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added), NULL) != 0);
	fill_add_disk(&disk, L'Q', L"", L"memory:");
	disk.add.source.offset = 0xfffffff0u;
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added), NULL) != 0);
	fill_add_disk(&disk, L'Q', L"", L"memory:");
	disk.add.source.length = disk.add.size;
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added), NULL) != 0);
	fill_add_disk(&disk, L'Q', L"", L"memory:");
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size - 1, &added, sizeof(added), NULL) != 0);
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, 1, NULL) != 0);
	CHECK(control(device, IOCTL_FS_ADD_DISK, NULL, 0, NULL, 0, NULL) != 0);
	CHECK(control(device, IOCTL_FS_DELETE_DISK, &byte, 1, NULL, 0, NULL) != 0);
	CHECK(control(device, FS_CODE(99u, FS_METHOD_BUFFERED, 0u), &byte, 1, &byte, 1, NULL) != 0);
	CHECK(control(service, IOCTL_FS_START, &start, sizeof(start), &started, sizeof(started), NULL) != 0);
	CHECK(control(service, IOCTL_FS_STOP, NULL, 0, NULL, 0, NULL) != 0);
}

static void two_services(void)
{
	HANDLE other = open_communication();
	struct fs_started started;
	struct fs_response response = {.size = sizeof(response), .type = FS_READ, .id = 1};

	CHECK(start_service(service, 60, &started) == 0);
	CHECK(started.version == FS_PROTOCOL_VERSION && started.disks == 0);
	CHECK(start_service(other, 60, &started) != 0);
	CHECK(control(other, IOCTL_FS_STOP, NULL, 0, NULL, 0, NULL) != 0);
	CHECK(answer(other, &response, NULL) != 0);
	CHECK(answer(service, &response, NULL) != 0);
	CloseHandle(other);
}

static void refused_by_service(void)
{
	struct add_disk disk;
	struct fs_added_disk added;
	struct call call;

	fill_add_disk(&disk, L'Q', L"", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	answer_type(FS_DISK_ADDED, STATUS_REFUSED);
	CHECK(call_end(&call, NULL) == ERROR_FILE_NOT_FOUND);
	CHECK(!has_letter('Q'));
	CHECK(count_disks((struct fs_disk[1]){{0}}, 1) == 0);
}

static void wrong_answers(void)
{
	struct add_disk disk;
	struct fs_added_disk added;
	struct fs_response right, wrong;
	struct fs_request *request;
	struct offer offer;
	struct call call;
	char data[8] = {0};

	fill_add_disk(&disk, L'Q', L"label", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	request = next_request(&offer, service);
	CHECK(request->type == FS_DISK_ADDED && request->id != 0 && request->u.disk_added.letter == L'Q');
	CHECK(request->u.disk_added.label.length == 10 &&
	      memcmp((char *)request + request->u.disk_added.label.offset, L"label", 10) == 0);
	right = response_to(request, 0);
	wrong = right, wrong.id++;
	CHECK(answer(service, &wrong, NULL) != 0);
	wrong = right, wrong.type = FS_READ;
	CHECK(answer(service, &wrong, NULL) != 0);
	wrong = right, wrong.size--;
	CHECK(answer(service, &wrong, NULL) != 0);
	wrong = right, wrong.information = 1;
	CHECK(answer(service, &wrong, NULL) != 0);
	wrong = right, wrong.status = 0x103; /* STATUS_PENDING */
	CHECK(answer(service, &wrong, NULL) != 0);
	wrong = right, wrong.data = sizeof(data);
	CHECK(answer(service, &wrong, data) != 0);
	wrong = right, wrong.u.created.file = 1;
	CHECK(answer(service, &wrong, NULL) != 0);
	CHECK(control(service, IOCTL_FS_RECEIVE_RESPONSE, &right, sizeof(right) - 1, NULL, 0, NULL) != 0);
	CHECK(!call_done(&call));
	CHECK(answer(service, &right, NULL) == 0);
	CHECK(call_end(&call, NULL) == 0);
	CHECK(answer(service, &right, NULL) != 0); /* not twice */
	free(request);
	CHECK(delete_disk(L'Q', 0) == 0);
	answer_type(FS_DISK_REMOVED, 0);
	CHECK(!has_letter('Q'));
}

static void disks(void)
{
	struct fs_disk list[4];
	struct add_disk disk;
	struct fs_added_disk added;
	uint64_t first = add_disk(L'Q'), second = add_disk(0);

	CHECK(first != second);
	CHECK(count_disks(list, 4) == 2);
	CHECK(list[0].disk == first && list[0].letter == 'Q' && list[0].label_length > 0 && list[0].volume_length > 0);
	CHECK(count_disks(list, 1) == 1);
	fill_add_disk(&disk, L'Q', L"", L"memory:");
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added), NULL) != 0);
	fill_add_disk(&disk, L'C', L"", L"memory:");
	CHECK(control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added), NULL) != 0);
	CHECK(count_disks(list, 4) == 2);
	CHECK(delete_disk(list[1].letter, FS_DELETE_FORCE) == 0);
	answer_type(FS_DISK_REMOVED, 0);
	CHECK(delete_disk(list[1].letter, 0) != 0);
	CHECK(count_disks(list, 4) == 1);
}

static void cancel(void)
{
	struct add_disk disk;
	struct fs_added_disk added;
	struct fs_request *request;
	struct fs_response response;
	struct offer offer;
	struct call call;
	uint64_t id;

	/* A buffer. */
	offer_begin(&offer, service);
	CHECK(offer.call.error == ERROR_IO_PENDING);
	CHECK(CancelIoEx(service, &offer.call.overlapped));
	CHECK(call_end(&offer.call, NULL) == ERROR_OPERATION_ABORTED);
	free(offer.request);

	/* A request that is queued. */
	fill_add_disk(&disk, L'R', L"", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	while (!has_letter('R'))
		Sleep(5);
	Sleep(50);
	CHECK(CancelIoEx(device, &call.overlapped));
	CHECK(call_end(&call, NULL) == ERROR_OPERATION_ABORTED);
	for (int i = 0; i < 200 && has_letter('R'); i++)
		Sleep(10);
	CHECK(!has_letter('R'));

	/* One that is sent: the service is told, and what it opens for nobody is removed again. */
	fill_add_disk(&disk, L'R', L"", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	request = next_request(&offer, service);
	CHECK(request->type == FS_DISK_ADDED);
	id = request->id;
	response = response_to(request, 0);
	free(request);
	CHECK(CancelIoEx(device, &call.overlapped));
	CHECK(call_end(&call, NULL) == ERROR_OPERATION_ABORTED);
	request = next_request(&offer, service);
	CHECK(request->type == FS_CANCEL && request->u.cancelled == id);
	free(request);
	CHECK(answer(service, &response, NULL) == 0);
	answer_type(FS_DISK_REMOVED, 0);
	CHECK(!has_letter('R'));
}

/* The service dies with a request, and the next one is given it again. */
static void replay(void)
{
	struct add_disk disk;
	struct fs_added_disk added;
	struct fs_started started;
	struct fs_request *request;
	struct fs_response response;
	struct offer offer;
	struct call call;
	uint64_t id;

	fill_add_disk(&disk, L'S', L"", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	request = next_request(&offer, service);
	CHECK(request->type == FS_DISK_ADDED && !(request->flags & FS_REQUEST_REPLAYED));
	id = request->id;
	free(request);
	CloseHandle(service);
	Sleep(100);
	CHECK(!call_done(&call));

	service = open_communication();
	CHECK(start_service(service, 1, &started) == 0);
	CHECK(started.disks == 1); /* Q: */
	request = next_request(&offer, service);
	CHECK(request->type == FS_DISK_ADDED && (request->flags & FS_REQUEST_REPLAYED) && request->id != id &&
	      request->u.disk_added.letter == L'Q');
	response = response_to(request, 0);
	free(request);
	CHECK(answer(service, &response, NULL) == 0);
	request = next_request(&offer, service);
	CHECK(request->type == FS_DISK_ADDED && (request->flags & FS_REQUEST_REPLAYED) && request->id == id &&
	      request->u.disk_added.letter == L'S');
	response = response_to(request, 0);
	free(request);
	CHECK(answer(service, &response, NULL) == 0);
	CHECK(call_end(&call, NULL) == 0);

	/* Nobody comes: patience is over. */
	fill_add_disk(&disk, L'T', L"", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	CloseHandle(service);
	CHECK(call_end(&call, NULL) == ERROR_NOT_READY);
	CHECK(!has_letter('T') && has_letter('S'));
	service = open_communication();
	CHECK(start_service(service, 1, &started) == 0 && started.disks == 2);
	answer_type(FS_DISK_ADDED, 0);
	answer_type(FS_DISK_ADDED, STATUS_REFUSED); /* it cannot open it any more */
	answer_type(FS_DISK_REMOVED, 0);
	CHECK(count_disks((struct fs_disk[4]){{0}}, 4) == 1);
}

static void stop(void)
{
	struct add_disk disk;
	struct fs_added_disk added;
	struct offer offer;
	struct call call;

	fill_add_disk(&disk, L'T', L"", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	free(next_request(&offer, service));
	CHECK(control(service, IOCTL_FS_STOP, NULL, 0, NULL, 0, NULL) == 0);
	CHECK(call_end(&call, NULL) == ERROR_NOT_READY);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	load_driver(DRIVER_SERVICE, argv[1]);
	device = open_control();
	service = open_communication();
	without_service();
	bad_structs();
	two_services();
	refused_by_service();
	wrong_answers();
	disks();
	cancel();
	replay();
	stop();
	CloseHandle(service);
	CloseHandle(device);
	unload_driver(DRIVER_SERVICE);
	puts("control: all is well");
	return 0;
}
