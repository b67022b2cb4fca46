// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/wine/device.h"
#include "tests/wine/inject.h"

#define PATIENCE 30000 /* milliseconds for what must happen */

void check(int holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "%s:%d: not so: %s (last error %lu)\n", file, line, what, GetLastError());
	exit(1);
}

void load_driver(const char *name, const char *path)
{
	SC_HANDLE manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_ALL_ACCESS), service;
	BOOL started = FALSE;

	CHECK(manager != NULL);
	service = CreateServiceA(manager, name, name, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START,
				 SERVICE_ERROR_NORMAL, path, INJECT_GROUP, NULL, NULL, NULL, NULL);
	if (service == NULL && GetLastError() == ERROR_SERVICE_EXISTS) {
		/* A test that failed has left it. */
		service = OpenServiceA(manager, name, SERVICE_ALL_ACCESS);
		CHECK(service != NULL);
		CHECK(ChangeServiceConfigA(service, SERVICE_NO_CHANGE, SERVICE_NO_CHANGE, SERVICE_NO_CHANGE, path, NULL,
					   NULL, NULL, NULL, NULL, NULL));
	}
	CHECK(service != NULL);
	/* Services that start by themselves may be about it still. */
	for (int i = 0; !started && i < PATIENCE / 50; i++) {
		started = StartServiceA(service, 0, NULL);
		if (!started && GetLastError() != ERROR_SERVICE_DATABASE_LOCKED)
			break;
		if (!started)
			Sleep(50);
	}
	CHECK(started);
	CloseServiceHandle(service);
	CloseServiceHandle(manager);
}

void unload_driver(const char *name)
{
	SC_HANDLE manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_ALL_ACCESS), service;
	SERVICE_STATUS status = {0};

	CHECK(manager != NULL);
	service = OpenServiceA(manager, name, SERVICE_ALL_ACCESS);
	CHECK(service != NULL);
	CHECK(ControlService(service, SERVICE_CONTROL_STOP, &status));
	for (int i = 0; i < PATIENCE / 50 && status.dwCurrentState != SERVICE_STOPPED; i++) {
		Sleep(50);
		CHECK(QueryServiceStatus(service, &status));
	}
	CHECK(status.dwCurrentState == SERVICE_STOPPED);
	CHECK(DeleteService(service));
	CloseServiceHandle(service);
	CloseServiceHandle(manager);
}

static HANDLE open_device(const char *name)
{
	return CreateFileA(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING,
			   FILE_FLAG_OVERLAPPED, NULL);
}

HANDLE open_control(void)
{
	HANDLE device = open_device("\\\\.\\" FS_CONTROL_NAME);

	CHECK(device != INVALID_HANDLE_VALUE);
	return device;
}

HANDLE open_communication(void)
{
	HANDLE device = open_device("\\\\.\\" FS_COMMUNICATION_NAME);

	CHECK(device != INVALID_HANDLE_VALUE);
	return device;
}

void call_begin(struct call *call, HANDLE device, DWORD code, const void *in, DWORD in_length, void *out,
		DWORD out_length)
{
	memset(call, 0, sizeof(*call));
	call->device = device;
	call->overlapped.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
	CHECK(call->overlapped.hEvent != NULL);
	if (!DeviceIoControl(device, code, (void *)in, in_length, out, out_length, NULL, &call->overlapped))
		call->error = GetLastError();
}

BOOL call_done(struct call *call)
{
	return call->error != ERROR_IO_PENDING || WaitForSingleObject(call->overlapped.hEvent, 0) == WAIT_OBJECT_0;
}

DWORD call_end(struct call *call, DWORD *got)
{
	DWORD error = call->error, count = 0;

	if (error == ERROR_IO_PENDING) {
		CHECK(WaitForSingleObject(call->overlapped.hEvent, PATIENCE) == WAIT_OBJECT_0);
		error = 0;
	}
	if (error == 0 && !GetOverlappedResult(call->device, &call->overlapped, &count, FALSE))
		error = GetLastError();
	else if (error == ERROR_MORE_DATA)
		count = (DWORD)call->overlapped.InternalHigh;
	CloseHandle(call->overlapped.hEvent);
	if (got != NULL)
		*got = count;
	return error;
}

DWORD control(HANDLE device, DWORD code, const void *in, DWORD in_length, void *out, DWORD out_length, DWORD *got)
{
	struct call call;

	call_begin(&call, device, code, in, in_length, out, out_length);
	return call_end(&call, got);
}

DWORD start_service(HANDLE communication, uint32_t patience, struct fs_started *started)
{
	struct fs_start start = {.version = FS_PROTOCOL_VERSION, .patience = patience};

	return control(communication, IOCTL_FS_START, &start, sizeof(start), started, sizeof(*started), NULL);
}

void offer_begin(struct offer *offer, HANDLE communication)
{
	offer->request = malloc(FS_REQUEST_MAX);
	CHECK(offer->request != NULL);
	call_begin(&offer->call, communication, IOCTL_FS_SEND_REQUEST, NULL, 0, offer->request, FS_REQUEST_MAX);
}

struct fs_request *offer_end(struct offer *offer)
{
	DWORD got, error = call_end(&offer->call, &got);

	CHECK(error == 0);
	CHECK(got >= sizeof(struct fs_request) && got == offer->request->size);
	return offer->request;
}

struct fs_request *next_request(struct offer *offer, HANDLE communication)
{
	offer_begin(offer, communication);
	return offer_end(offer);
}

struct fs_response response_to(const struct fs_request *request, int32_t status)
{
	struct fs_response response = {
		.size = sizeof(response), .type = request->type, .id = request->id, .status = status};

	return response;
}

DWORD answer(HANDLE communication, const struct fs_response *response, const void *data)
{
	return control(communication, IOCTL_FS_RECEIVE_RESPONSE, response, sizeof(*response), (void *)data,
		       response->data, NULL);
}

static void add_text(struct add_disk *disk, struct fs_text *text, const WCHAR *from, uint32_t length)
{
	memcpy((uint8_t *)disk + disk->add.size, from, length);
	text->offset = disk->add.size;
	text->length = length;
	disk->add.size += length;
}

void fill_add_disk(struct add_disk *disk, WCHAR letter, const WCHAR *label, const WCHAR *source)
{
	memset(disk, 0, sizeof(*disk));
	disk->add.size = sizeof(disk->add);
	disk->add.letter = letter;
	add_text(disk, &disk->add.label, label, (uint32_t)(wcslen(label) * sizeof(WCHAR)));
	add_text(disk, &disk->add.source, source, (uint32_t)(wcslen(source) * sizeof(WCHAR)));
}
