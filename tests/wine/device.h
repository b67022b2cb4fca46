/* SPDX-License-Identifier: MIT */
/*
 * device.h - what tests of the driver need, as programs for Win32: the driver as a service, its devices, a service of
 * our own
 *
 * A test exits with 1 at the first thing that is not as it should be, and says where.
 */
#ifndef DRIVEWAY_TESTS_WINE_DEVICE_H
#define DRIVEWAY_TESTS_WINE_DEVICE_H

#include <stdint.h>
#include <windows.h>

#include "driver/protocol.h"

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)
void check(int holds, const char *what, const char *file, int line);

/* A driver as a service of this name, by its full path; loaded until unload_driver(). */
#define DRIVER_SERVICE "DrivewayTest"
void load_driver(const char *name, const char *path);
void unload_driver(const char *name);

HANDLE open_control(void);
HANDLE open_communication(void);

/* One control code that is waited for; 0, or the Win32 error. */
DWORD control(HANDLE device, DWORD code, const void *in, DWORD in_length, void *out, DWORD out_length, DWORD *got);

/* One control code that is not waited for. */
struct call {
	OVERLAPPED overlapped;
	HANDLE device;
	DWORD error; /* of the beginning: ERROR_IO_PENDING as a rule */
};
void call_begin(struct call *call, HANDLE device, DWORD code, const void *in, DWORD in_length, void *out,
		DWORD out_length);
BOOL call_done(struct call *call);	       /* without waiting */
DWORD call_end(struct call *call, DWORD *got); /* waits; 0, or the Win32 error */

/* A service of our own. */
DWORD start_service(HANDLE communication, uint32_t patience, struct fs_started *started);
struct offer {
	struct call call;
	struct fs_request *request; /* FS_REQUEST_MAX bytes */
};
void offer_begin(struct offer *offer, HANDLE communication);
struct fs_request *offer_end(struct offer *offer); /* waits for a request */
struct fs_request *next_request(struct offer *offer, HANDLE communication);
DWORD answer(HANDLE communication, const struct fs_response *response, const void *data);
struct fs_response response_to(const struct fs_request *request, int32_t status);

/* ADD_DISK, whose text is in the struct. */
struct add_disk {
	struct fs_add_disk add;
	WCHAR text[512];
};
void fill_add_disk(struct add_disk *disk, WCHAR letter, const WCHAR *label, const WCHAR *source);

#endif
