// SPDX-License-Identifier: MIT
/*
 * test_files.c DRIVER INJECT - files of a volume, by IRPs that inject.sys sends, with ourselves as the service
 *
 * Each step begins an IRP, takes the request that it became, answers it, and looks at what the IRP brought.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winternl.h>

#include "tests/wine/device.h"
#include "tests/wine/inject.h"

#define MJ_CREATE	   0x00
#define MJ_CLOSE	   0x02
#define MJ_READ		   0x03
#define MJ_WRITE	   0x04
#define MJ_QUERY_FILE	   0x05
#define MJ_SET_FILE	   0x06
#define MJ_QUERY_VOLUME	   0x0a
#define MJ_DIRECTORY	   0x0c
#define MJ_CLEANUP	   0x12
#define MJ_QUERY_SECURITY  0x14
#define MN_QUERY_DIRECTORY 1

#define OK		  0
#define END_OF_FILE	  ((int32_t)0xc0000011)
#define SHARING_VIOLATION ((int32_t)0xc0000043)
#define NO_SUCH_FILE	  ((int32_t)0xc000000f)
#define NO_MORE_FILES	  ((int32_t)0x80000006)
#define NAME_INVALID	  ((int32_t)0xc0000033)
#define DATA_ERROR	  ((int32_t)0xc000003e)
#define DISMOUNTED	  ((int32_t)0xc000026e)
#define DELETE_PENDING	  ((int32_t)0xc0000056)
#define FILE_INVALID	  ((int32_t)0xc0000098)
#define BUFFER_OVERFLOW	  ((int32_t)0x80000005)

static HANDLE device, service, injector;
static struct inject io;
static struct call io_call;
static struct offer offer;

static void io_clear(uint32_t major, uint32_t file)
{
	memset(&io, 0, sizeof(io));
	io.major = major;
	io.file = file;
	io.related = INJECT_NO_FILE;
}

static void io_begin(void)
{
	call_begin(&io_call, injector, IOCTL_INJECT, &io, sizeof(io), &io, sizeof(io));
}

static int32_t io_end(void)
{
	CHECK(call_end(&io_call, NULL) == 0);
	return io.status;
}

static int32_t io_do(void)
{
	io_begin();
	return io_end();
}

/* The next request, which is of this type. */
static struct fs_request *take(uint32_t type)
{
	static struct fs_request *last;

	free(last);
	last = next_request(&offer, service);
	if (last->type != type)
		fprintf(stderr, "type %u, not %u\n", last->type, type);
	CHECK(last->type == type);
	return last;
}

static struct fs_file file_of(uint64_t node, uint64_t size, uint32_t attributes)
{
	struct fs_file file = {.node = node, .size = size, .allocated = size, .attributes = attributes, .links = 1};

	return file;
}

static void reply(const struct fs_request *request, int32_t status)
{
	struct fs_response response = response_to(request, status);

	CHECK(answer(service, &response, NULL) == 0);
}

static void reply_file(const struct fs_request *request, struct fs_file file, uint64_t information)
{
	struct fs_response response = response_to(request, 0);

	response.file = file;
	response.information = information;
	CHECK(answer(service, &response, NULL) == 0);
}

static void reply_opened(const struct fs_request *request, uint64_t name, struct fs_file file, uint32_t information)
{
	struct fs_response response = response_to(request, 0);

	response.file = file;
	response.u.created.file = name;
	response.u.created.information = information;
	response.u.created.granted = request->u.create.access;
	CHECK(answer(service, &response, NULL) == 0);
}

static void reply_data(const struct fs_request *request, const void *data, uint32_t length)
{
	struct fs_response response = response_to(request, 0);
	uint8_t copy[4096]; /* Wine wants to be able to write to it, too */

	memcpy(copy, data, length);
	response.data = length;
	CHECK(answer(service, &response, copy) == 0);
}

static void begin_create(uint32_t file, const WCHAR *name, uint32_t access, uint32_t share, uint32_t disposition,
			 uint32_t options)
{
	io_clear(MJ_CREATE, file);
	io.name_length = (uint32_t)(wcslen(name) * sizeof(WCHAR));
	memcpy(io.name, name, io.name_length);
	io.access = access;
	io.share = share;
	io.options = disposition << 24 | options;
	io_begin();
}

static void open_file(uint32_t file, const WCHAR *name, uint64_t node, uint32_t attributes)
{
	struct fs_request *request;

	begin_create(file, name, FILE_READ_DATA | FILE_WRITE_DATA | DELETE, 7, FILE_OPEN, 0);
	request = take(FS_CREATE);
	CHECK(request->u.create.name.length == wcslen(name) * sizeof(WCHAR) &&
	      memcmp((char *)request + request->u.create.name.offset, name, request->u.create.name.length) == 0);
	reply_opened(request, 1000 + file, file_of(node, 100, attributes), FILE_OPENED);
	CHECK(io_end() == OK && io.information == FILE_OPENED);
}

static void close_file(uint32_t file, BOOL deletes)
{
	struct fs_request *request;

	io_clear(MJ_CLEANUP, file);
	io_begin();
	request = take(FS_CLEANUP);
	CHECK(request->file != 0);
	CHECK(request->u.cleanup.flags == (deletes ? FS_CLEANUP_DELETE : 0u));
	reply(request, 0);
	CHECK(io_end() == OK);
	io_clear(MJ_CLOSE, file);
	CHECK(io_do() == OK);
	reply(take(FS_CLOSE), 0);
}

static void creating(void)
{
	begin_create(0, L"\\a:b", FILE_READ_DATA, 7, FILE_OPEN, 0);
	CHECK(io_end() == NAME_INVALID);
	begin_create(0, L"\\a\\\\b", FILE_READ_DATA, 7, FILE_OPEN, 0);
	CHECK(io_end() == NAME_INVALID);
	begin_create(0, L"\\missing", FILE_READ_DATA, 7, FILE_OPEN, 0);
	reply(take(FS_CREATE), NO_SUCH_FILE);
	CHECK(io_end() == NO_SUCH_FILE);

	open_file(0, L"\\a", 10, FILE_ATTRIBUTE_ARCHIVE);
	/* It shares everything; this one nothing. */
	begin_create(1, L"\\a", FILE_READ_DATA, 0, FILE_OPEN, 0);
	reply_opened(take(FS_CREATE), 7, file_of(10, 100, 0), FILE_OPENED);
	CHECK(io_end() == SHARING_VIOLATION);
	reply(take(FS_CLOSE), 0);
	/* Emptied. */
	begin_create(1, L"\\a", FILE_WRITE_DATA, 7, FILE_OVERWRITE_IF, 0);
	reply_opened(take(FS_CREATE), 8, file_of(10, 100, 0), FILE_OVERWRITTEN);
	reply_file(take(FS_OVERWRITE), file_of(10, 0, 0), 0);
	CHECK(io_end() == OK && io.information == FILE_OVERWRITTEN);
	close_file(1, FALSE);
	close_file(0, FALSE);
}

static void reading(void)
{
	struct fs_request *request;

	open_file(0, L"\\a", 10, FILE_ATTRIBUTE_ARCHIVE);
	io_clear(MJ_READ, 0);
	io.length = 1000;
	io.offset = 5;
	io_begin();
	request = take(FS_READ);
	CHECK(request->file == 1000 && request->u.io.offset == 5 && request->u.io.length == 1000);
	reply_data(request, "hello", 5);
	CHECK(io_end() == OK && io.information == 5 && memcmp(io.data, "hello", 5) == 0);
	io_clear(MJ_READ, 0);
	io.length = 10;
	io_begin();
	reply_data(take(FS_READ), "", 0);
	CHECK(io_end() == END_OF_FILE);

	io_clear(MJ_WRITE, 0);
	io.length = 60000;
	memset(io.data, 'x', 60000);
	io_begin();
	request = take(FS_WRITE);
	CHECK(request->u.io.length == 60000 && request->size >= request->u.io.data + 60000 &&
	      ((char *)request)[request->u.io.data] == 'x' && ((char *)request)[request->u.io.data + 59999] == 'x');
	reply_file(request, file_of(10, 60000, 0), 60000);
	CHECK(io_end() == OK && io.information == 60000);

	io_clear(MJ_QUERY_FILE, 0);
	io.class = 5; /* standard */
	io.length = 24;
	io_begin();
	reply_file(take(FS_QUERY_FILE), file_of(10, 60000, 0), 0);
	CHECK(io_end() == OK && io.information == 24 && *(uint64_t *)(io.data + 8) == 60000);
	io_clear(MJ_QUERY_FILE, 0);
	io.class = 18; /* all */
	io.length = 1000;
	io_begin();
	reply_file(take(FS_QUERY_FILE), file_of(10, 60000, 0), 0);
	CHECK(io_end() == OK && io.information == 104);
	io_clear(MJ_QUERY_FILE, 0);
	io.class = 9; /* name */
	io.length = 6;
	CHECK(io_do() == BUFFER_OVERFLOW && io.information == 6);
	close_file(0, FALSE);
}

static uint32_t add_entry(uint8_t *to, const WCHAR *name, uint64_t next)
{
	struct fs_entry entry = {.name_length = (uint32_t)(wcslen(name) * sizeof(WCHAR)), .next = next};

	entry.size = (sizeof(entry) + entry.name_length + 7) & ~7u;
	entry.file = file_of(next + 100, 1, FILE_ATTRIBUTE_ARCHIVE);
	memset(to, 0, entry.size);
	memcpy(to, &entry, sizeof(entry));
	memcpy(to + sizeof(entry), name, entry.name_length);
	return entry.size;
}

static void begin_list(uint32_t length)
{
	io_clear(MJ_DIRECTORY, 0);
	io.minor = MN_QUERY_DIRECTORY;
	io.class = 3; /* both */
	io.length = length;
	io.name_length = 2;
	io.name[0] = '*';
	io_begin();
}

static void listing(void)
{
	struct fs_request *request;
	uint8_t entries[1024];
	uint32_t length;

	open_file(0, L"\\", 1, FILE_ATTRIBUTE_DIRECTORY);
	begin_list(4096);
	request = take(FS_LIST);
	CHECK(request->u.list.pattern.length == 2 && request->u.list.marker == 0);
	length = add_entry(entries, L"one", 1);
	length += add_entry(entries + length, L"two", 2);
	reply_data(request, entries, length);
	CHECK(io_end() == OK && io.information == 94 + 6 + 4 + 94 + 6);
	CHECK(*(uint32_t *)io.data == 104 && memcmp(io.data + 94, L"one", 6) == 0 &&
	      *(uint32_t *)(io.data + 104) == 0 && memcmp(io.data + 104 + 94, L"two", 6) == 0);
	/* Room for one of two. */
	begin_list(120);
	request = take(FS_LIST);
	CHECK(request->u.list.marker == 2);
	length = add_entry(entries, L"three", 3);
	length += add_entry(entries + length, L"four", 4);
	reply_data(request, entries, length);
	CHECK(io_end() == OK && io.information == 104);
	begin_list(96);
	request = take(FS_LIST);
	CHECK(request->u.list.marker == 3);
	reply_data(request, entries, add_entry(entries, L"four", 4));
	CHECK(io_end() == BUFFER_OVERFLOW && io.information == 96);
	/* Entries that are none. */
	begin_list(4096);
	request = take(FS_LIST);
	length = add_entry(entries, L"five", 5);
	((struct fs_entry *)entries)->name_length = 0x10000;
	reply_data(request, entries, length);
	CHECK(io_end() == DATA_ERROR);
	begin_list(4096);
	reply_data(take(FS_LIST), "", 0);
	CHECK(io_end() == NO_MORE_FILES);
	close_file(0, FALSE);
}

static void renaming(void)
{
	struct fs_request *request;
	uint8_t rename[64] = {0};

	open_file(0, L"\\a", 10, FILE_ATTRIBUTE_ARCHIVE);
	*(uint32_t *)(rename + 16) = 2;
	*(WCHAR *)(rename + 20) = L'b';
	io_clear(MJ_SET_FILE, 0);
	io.class = 10; /* rename */
	io.length = 24;
	memcpy(io.data, rename, 24);
	io_begin();
	request = take(FS_RENAME);
	CHECK(request->u.rename.to.length == 4 &&
	      memcmp((char *)request + request->u.rename.to.offset, L"\\b", 4) == 0);
	reply(request, 0);
	CHECK(io_end() == OK);
	io_clear(MJ_SET_FILE, 0);
	io.class = 13; /* disposition */
	io.length = 1;
	io.data[0] = 1;
	io_begin();
	reply(take(FS_CAN_DELETE), 0);
	CHECK(io_end() == OK);
	begin_create(1, L"\\b", FILE_READ_DATA, 7, FILE_OPEN, 0);
	reply_opened(take(FS_CREATE), 9, file_of(10, 0, 0), FILE_OPENED);
	CHECK(io_end() == DELETE_PENDING);
	reply(take(FS_CLOSE), 0);
	close_file(0, TRUE);
}

static void volume(void)
{
	struct fs_request *request;
	struct fs_response response;

	open_file(0, L"\\a", 10, FILE_ATTRIBUTE_ARCHIVE);
	io_clear(MJ_QUERY_VOLUME, 0);
	io.class = 3; /* size */
	io.length = 24;
	io_begin();
	request = take(FS_QUERY_VOLUME);
	response = response_to(request, 0);
	response.u.volume.total = 1 << 20;
	CHECK(answer(service, &response, NULL) != 0); /* no unit */
	response.u.volume.unit = 4096;
	CHECK(answer(service, &response, NULL) == 0);
	CHECK(io_end() == OK && io.information == 24 && *(uint64_t *)io.data == 256);
	/* A descriptor that is none. */
	io_clear(MJ_QUERY_SECURITY, 0);
	io.class = 4;
	io.length = 100;
	io_begin();
	reply_data(take(FS_QUERY_SECURITY), "xxxxxxxxxxxxxxxxxxxxxxxx", 24);
	CHECK(io_end() == DATA_ERROR);
	close_file(0, FALSE);
}

/* The service dies with files open and a read pending. */
static void surviving(void)
{
	struct fs_started started;
	struct fs_request *request;
	uint64_t id;

	open_file(0, L"\\a", 10, FILE_ATTRIBUTE_ARCHIVE);
	open_file(1, L"\\lost", 11, FILE_ATTRIBUTE_ARCHIVE);
	io_clear(MJ_READ, 0);
	io.length = 10;
	io_begin();
	id = take(FS_READ)->id;
	CloseHandle(service);
	service = open_communication();
	CHECK(start_service(service, 60, &started) == 0 && started.disks == 1);
	reply(take(FS_DISK_ADDED), 0);
	for (int i = 0; i < 2; i++) {
		request = take(FS_REOPEN);
		if (request->u.create.file == 1000)
			reply_opened(request, 2000, file_of(10, 100, 0), FILE_OPENED);
		else
			reply(request, NO_SUCH_FILE);
	}
	request = take(FS_READ);
	CHECK(request->id == id && request->file == 2000 && (request->flags & FS_REQUEST_REPLAYED));
	reply_data(request, "hello", 5);
	CHECK(io_end() == OK && io.information == 5);
	io_clear(MJ_READ, 1);
	io.length = 10;
	CHECK(io_do() == FILE_INVALID);
	io_clear(MJ_CLEANUP, 1);
	CHECK(io_do() == OK);
	io_clear(MJ_CLOSE, 1);
	CHECK(io_do() == OK);
}

/* The drive is deleted by force with a read pending; file 0 is open. */
static void forcing(WCHAR letter)
{
	struct fs_delete_disk delete = {.letter = letter};

	CHECK(control(device, IOCTL_FS_DELETE_DISK, &delete, sizeof(delete), NULL, 0, NULL) == ERROR_BUSY);
	io_clear(MJ_READ, 0);
	io.length = 10;
	io_begin();
	take(FS_READ);
	delete.flags = FS_DELETE_FORCE;
	CHECK(control(device, IOCTL_FS_DELETE_DISK, &delete, sizeof(delete), NULL, 0, NULL) == 0);
	CHECK(io_end() == DISMOUNTED);
	reply(take(FS_DISK_REMOVED), 0);
	io_clear(MJ_READ, 0);
	io.length = 10;
	CHECK(io_do() == DISMOUNTED);
	io_clear(MJ_CLEANUP, 0);
	CHECK(io_do() == OK);
	io_clear(MJ_CLOSE, 0);
	CHECK(io_do() == OK);
}

int main(int argc, char **argv)
{
	struct fs_started started;
	struct fs_added_disk added;
	struct add_disk disk;
	struct call call;

	CHECK(argc == 3);
	load_driver(DRIVER_SERVICE, argv[1]);
	load_driver(INJECT_NAME, argv[2]);
	device = open_control();
	service = open_communication();
	injector = CreateFileA("\\\\.\\" INJECT_NAME, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
			       FILE_FLAG_OVERLAPPED, NULL);
	CHECK(injector != INVALID_HANDLE_VALUE);
	CHECK(start_service(service, 60, &started) == 0);
	fill_add_disk(&disk, 0, L"", L"memory:");
	call_begin(&call, device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, &added, sizeof(added));
	reply(take(FS_DISK_ADDED), 0);
	CHECK(call_end(&call, NULL) == 0);
	creating();
	reading();
	listing();
	renaming();
	volume();
	surviving();
	forcing(added.letter);
	CloseHandle(service);
	CloseHandle(device);
	CloseHandle(injector);
	unload_driver(DRIVER_SERVICE);
	unload_driver(INJECT_NAME);
	puts("files: all is well");
	return 0;
}
