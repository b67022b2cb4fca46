// SPDX-License-Identifier: MIT
/*
 * test_whole.c DRIVER INJECT SERVICE - the whole way of file requests, with drivewayd.exe and a memory drive
 *
 *    inject.sys -> driveway.sys -> drivewayd.exe -> memory: -> and back
 *
 * What an IRP brings is looked at, and nothing of what passes in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winternl.h>

#include "tests/wine/device.h"
#include "tests/wine/inject.h"

#define MJ_CREATE	  0x00
#define MJ_CLOSE	  0x02
#define MJ_READ		  0x03
#define MJ_WRITE	  0x04
#define MJ_QUERY_FILE	  0x05
#define MJ_SET_FILE	  0x06
#define MJ_FLUSH	  0x09
#define MJ_QUERY_VOLUME	  0x0a
#define MJ_DIRECTORY	  0x0c
#define MJ_CLEANUP	  0x12
#define MJ_QUERY_SECURITY 0x14

#define CLASS_BOTH	  3
#define CLASS_BASIC	  4
#define CLASS_STANDARD	  5
#define CLASS_RENAME	  10
#define CLASS_DISPOSITION 13
#define CLASS_END_OF_FILE 20

#define OK		  0
#define NAME_COLLISION	  ((int32_t)0xc0000035)
#define NAME_NOT_FOUND	  ((int32_t)0xc0000034)
#define PATH_NOT_FOUND	  ((int32_t)0xc000003a)
#define IS_A_FOLDER	  ((int32_t)0xc00000ba)
#define NOT_A_FOLDER	  ((int32_t)0xc0000103)
#define FOLDER_NOT_EMPTY  ((int32_t)0xc0000101)
#define SHARING_VIOLATION ((int32_t)0xc0000043)
#define END_OF_FILE	  ((int32_t)0xc0000011)
#define NO_MORE_FILES	  ((int32_t)0x80000006)
#define NO_SUCH_FILE	  ((int32_t)0xc000000f)
#define ALL_ACCESS                                                                                                     \
	(FILE_READ_DATA | FILE_WRITE_DATA | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | DELETE | READ_CONTROL)
#define FOLDER_OPTION	  0x1u
#define NOT_FOLDER_OPTION 0x40u
#define DELETE_ON_CLOSE	  0x1000u

#define FLYING 64u   /* requests at a time */
#define ROUNDS 1024u /* requests in all */
#define BLOCK  4096u

static HANDLE device, injector;
static struct inject io;
static PROCESS_INFORMATION daemon;

static void start_daemon(const char *path)
{
	STARTUPINFOA startup = {.cb = sizeof(startup)};
	char line[1024];

	snprintf(line, sizeof(line), "\"%s\" C:\\kept", path);
	CHECK(CreateProcessA(path, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &daemon));
}

static void kill_daemon(void)
{
	CHECK(TerminateProcess(daemon.hProcess, 9));
	CHECK(WaitForSingleObject(daemon.hProcess, 10000) == WAIT_OBJECT_0);
	CloseHandle(daemon.hProcess);
	CloseHandle(daemon.hThread);
}

/* As soon as the service runs. */
static void add_disk(struct fs_added_disk *added)
{
	struct add_disk disk;
	DWORD error = ERROR_NOT_READY;

	fill_add_disk(&disk, 0, L"Whole", L"memory:");
	for (int i = 0; i < 200 && error == ERROR_NOT_READY; i++) {
		error = control(device, IOCTL_FS_ADD_DISK, &disk, disk.add.size, added, sizeof(*added), NULL);
		if (error == ERROR_NOT_READY)
			Sleep(50);
	}
	CHECK(error == 0);
}

static void fill(struct inject *in, uint32_t major, uint32_t file)
{
	memset(in, 0, offsetof(struct inject, data));
	in->major = major;
	in->file = file;
	in->related = INJECT_NO_FILE;
}

static int32_t io_do(void)
{
	CHECK(control(injector, IOCTL_INJECT, &io, sizeof(io), &io, sizeof(io), NULL) == 0);
	return io.status;
}

static int32_t create(uint32_t file, const WCHAR *name, uint32_t share, uint32_t disposition, uint32_t options)
{
	fill(&io, MJ_CREATE, file);
	io.name_length = (uint32_t)(wcslen(name) * sizeof(WCHAR));
	memcpy(io.name, name, io.name_length);
	io.access = ALL_ACCESS;
	io.share = share;
	io.options = disposition << 24 | options;
	return io_do();
}

static void close_file(uint32_t file)
{
	fill(&io, MJ_CLEANUP, file);
	CHECK(io_do() == OK);
	fill(&io, MJ_CLOSE, file);
	CHECK(io_do() == OK);
}

static int32_t read_at(uint32_t file, uint64_t offset, uint32_t length)
{
	fill(&io, MJ_READ, file);
	io.offset = offset;
	io.length = length;
	return io_do();
}

static int32_t write_at(uint32_t file, uint64_t offset, const void *data, uint32_t length)
{
	fill(&io, MJ_WRITE, file);
	io.offset = offset;
	io.length = length;
	memcpy(io.data, data, length);
	return io_do();
}

static int32_t query(uint32_t file, uint32_t class, uint32_t length)
{
	fill(&io, MJ_QUERY_FILE, file);
	io.class = class;
	io.length = length;
	return io_do();
}

static int32_t set(uint32_t file, uint32_t class, const void *data, uint32_t length)
{
	fill(&io, MJ_SET_FILE, file);
	io.class = class;
	io.length = length;
	memcpy(io.data, data, length);
	return io_do();
}

static uint64_t size_of(uint32_t file)
{
	CHECK(query(file, CLASS_STANDARD, 24) == OK && io.information == 24);
	return *(uint64_t *)(io.data + 8);
}

/* Every disposition, of a name that is there and of one that is not. */
static void dispositions(void)
{
	static const struct {
		uint32_t disposition;
		int32_t there, absent;
		uint32_t there_did, absent_did;
	} cases[] = {
		{FILE_SUPERSEDE, OK, OK, FILE_SUPERSEDED, FILE_CREATED},
		{FILE_OPEN, OK, NAME_NOT_FOUND, FILE_OPENED, 0},
		{FILE_CREATE, NAME_COLLISION, OK, 0, FILE_CREATED},
		{FILE_OPEN_IF, OK, OK, FILE_OPENED, FILE_CREATED},
		{FILE_OVERWRITE, OK, NAME_NOT_FOUND, FILE_OVERWRITTEN, 0},
		{FILE_OVERWRITE_IF, OK, OK, FILE_OVERWRITTEN, FILE_CREATED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK(create(0, L"\\d.txt", 7, cases[i].disposition, 0) == cases[i].absent);
		if (cases[i].absent == OK) {
			CHECK(io.information == cases[i].absent_did);
			close_file(0);
		}
		CHECK(create(0, L"\\d.txt", 7, FILE_OPEN_IF, 0) == OK);
		CHECK(write_at(0, 0, "12345", 5) == OK && io.information == 5);
		close_file(0);
		CHECK(create(0, L"\\D.TXT", 7, cases[i].disposition, 0) == cases[i].there);
		if (cases[i].there == OK) {
			CHECK(io.information == cases[i].there_did);
			CHECK(size_of(0) == (cases[i].there_did == FILE_OPENED ? 5u : 0u));
			close_file(0);
		}
		CHECK(create(0, L"\\d.txt", 7, FILE_OPEN, DELETE_ON_CLOSE) == OK);
		close_file(0);
	}
	CHECK(create(0, L"\\no\\d.txt", 7, FILE_CREATE, 0) == PATH_NOT_FOUND);
	CHECK(create(0, L"\\", 7, FILE_OPEN, NOT_FOLDER_OPTION) == IS_A_FOLDER);
}

static void contents(void)
{
	static uint8_t block[60000];
	uint64_t size = 7;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i * 7 + i / 256);
	CHECK(create(0, L"\\file", 7, FILE_CREATE, 0) == OK);
	CHECK(create(1, L"\\file", 0, FILE_OPEN, 0) == SHARING_VIOLATION);
	CHECK(create(1, L"\\file", 7, FILE_OPEN, FOLDER_OPTION) == NOT_A_FOLDER);
	CHECK(read_at(0, 0, 10) == END_OF_FILE);
	CHECK(write_at(0, 100, block, sizeof(block)) == OK && io.information == sizeof(block));
	CHECK(size_of(0) == sizeof(block) + 100);
	CHECK(read_at(0, 100, sizeof(block)) == OK && io.information == sizeof(block));
	CHECK(memcmp(io.data, block, sizeof(block)) == 0);
	CHECK(read_at(0, 0, 100) == OK && io.information == 100 && io.data[0] == 0 && io.data[99] == 0);
	fill(&io, MJ_FLUSH, 0);
	CHECK(io_do() == OK);
	CHECK(set(0, CLASS_END_OF_FILE, &size, sizeof(size)) == OK && size_of(0) == 7);
	CHECK(read_at(0, 0, 100) == OK && io.information == 7);
	CHECK(query(0, CLASS_BASIC, 40) == OK && io.information == 40);
	CHECK(*(uint64_t *)io.data > 0x01d0000000000000u); /* made in this age */
	close_file(0);
}

static int32_t rename_to(uint32_t file, const WCHAR *name, BYTE replace)
{
	uint8_t rename[256] = {replace};
	uint32_t length = (uint32_t)(wcslen(name) * sizeof(WCHAR));

	memcpy(rename + 16, &length, sizeof(length));
	memcpy(rename + 20, name, length);
	return set(file, CLASS_RENAME, rename, 20 + length < 24 ? 24 : 20 + length);
}

static int32_t list(uint32_t file, const WCHAR *pattern)
{
	fill(&io, MJ_DIRECTORY, file);
	io.minor = 1;
	io.class = CLASS_BOTH;
	io.length = 4096;
	io.name_length = (uint32_t)(wcslen(pattern) * sizeof(WCHAR));
	memcpy(io.name, pattern, io.name_length);
	return io_do();
}

static int has_entry(const WCHAR *name)
{
	for (const uint8_t *at = io.data;; at += *(const uint32_t *)at) {
		if (*(const uint32_t *)(at + 60) == wcslen(name) * sizeof(WCHAR) &&
		    memcmp(at + 94, name, wcslen(name) * sizeof(WCHAR)) == 0)
			return 1;
		if (*(const uint32_t *)at == 0)
			return 0;
	}
}

static void names(void)
{
	static const WCHAR *const made[] = {L"\\f\\one.txt", L"\\f\\Two.TXT", L"\\f\\three.doc"};
	uint8_t yes = 1;

	CHECK(create(0, L"\\f", 7, FILE_CREATE, FOLDER_OPTION) == OK);
	for (size_t i = 0; i < 3; i++) {
		CHECK(create(1, made[i], 7, FILE_CREATE, 0) == OK);
		close_file(1);
	}
	CHECK(list(0, L"*.txt") == OK && has_entry(L"one.txt") && has_entry(L"Two.TXT") && !has_entry(L"three.doc"));
	CHECK(list(0, L"") == NO_MORE_FILES);
	close_file(0);
	CHECK(create(0, L"\\F", 7, FILE_OPEN, FOLDER_OPTION) == OK);
	CHECK(list(0, L"none*") == NO_SUCH_FILE);
	CHECK(set(0, CLASS_DISPOSITION, &yes, 1) == FOLDER_NOT_EMPTY);
	close_file(0);

	CHECK(create(0, L"\\f\\one.txt", 7, FILE_OPEN, 0) == OK);
	CHECK(rename_to(0, L"TWO.txt", 0) == NAME_COLLISION);
	CHECK(rename_to(0, L"TWO.txt", 1) == OK);
	CHECK(rename_to(0, L"four", 0) == OK);
	CHECK(create(1, L"\\f\\one.txt", 7, FILE_OPEN, 0) == NAME_NOT_FOUND);
	CHECK(set(0, CLASS_DISPOSITION, &yes, 1) == OK);
	close_file(0);
	CHECK(create(1, L"\\f\\four", 7, FILE_OPEN, 0) == NAME_NOT_FOUND);
	CHECK(create(1, L"\\f\\three.doc", 7, FILE_OPEN, DELETE_ON_CLOSE) == OK);
	close_file(1);
	CHECK(create(0, L"\\f", 7, FILE_OPEN, FOLDER_OPTION | DELETE_ON_CLOSE) == OK);
	close_file(0);
	CHECK(create(0, L"\\f", 7, FILE_OPEN, FOLDER_OPTION) == NAME_NOT_FOUND);
}

static void volume(void)
{
	CHECK(create(0, L"\\", 7, FILE_OPEN, FOLDER_OPTION) == OK);
	fill(&io, MJ_QUERY_VOLUME, 0);
	io.class = 3; /* size */
	io.length = 24;
	CHECK(io_do() == OK && io.information == 24 && *(uint64_t *)io.data > 0);
	fill(&io, MJ_QUERY_VOLUME, 0);
	io.class = 1; /* label */
	io.length = 200;
	CHECK(io_do() == OK && *(uint32_t *)(io.data + 12) == 10 && memcmp(io.data + 18, L"Whole", 10) == 0);
	fill(&io, MJ_QUERY_SECURITY, 0);
	io.class = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
	io.length = 1000;
	CHECK(io_do() == OK && IsValidSecurityDescriptor(io.data));
	close_file(0);
}

/* Many at a time, each read with bytes of its own place. */
static void many(void)
{
	static struct inject flying[FLYING];
	static struct call calls[FLYING];
	static uint8_t block[BLOCK];

	CHECK(create(0, L"\\many", 7, FILE_CREATE, 0) == OK);
	for (uint32_t i = 0; i < FLYING; i++) {
		memset(block, (int)i + 1, sizeof(block));
		CHECK(write_at(0, (uint64_t)i * BLOCK, block, BLOCK) == OK);
	}
	for (uint32_t round = 0; round < ROUNDS / FLYING; round++) {
		for (uint32_t i = 0; i < FLYING; i++) {
			fill(&flying[i], MJ_READ, 0);
			flying[i].offset = (uint64_t)i * BLOCK;
			flying[i].length = BLOCK;
			call_begin(&calls[i], injector, IOCTL_INJECT, &flying[i], sizeof(flying[i]), &flying[i],
				   sizeof(flying[i]));
		}
		for (uint32_t i = 0; i < FLYING; i++) {
			CHECK(call_end(&calls[i], NULL) == 0);
			CHECK(flying[i].status == OK && flying[i].information == BLOCK);
			CHECK(flying[i].data[0] == i + 1 && flying[i].data[BLOCK - 1] == i + 1);
		}
	}
}

/* The service is killed while file 0, "\many", is open; what is asked meanwhile waits, and the next one answers it. */
static void surviving(const char *path)
{
	struct call call;

	kill_daemon();
	fill(&io, MJ_READ, 0);
	io.offset = 3 * BLOCK;
	io.length = 10;
	call_begin(&call, injector, IOCTL_INJECT, &io, sizeof(io), &io, sizeof(io));
	Sleep(100);
	CHECK(!call_done(&call));
	start_daemon(path);
	CHECK(call_end(&call, NULL) == 0);
	CHECK(io.status == OK && io.information == 10 && io.data[0] == 4 && io.data[9] == 4);
	CHECK(write_at(0, 0, "again", 5) == OK);
	close_file(0);
	CHECK(create(0, L"\\many", 7, FILE_OPEN, 0) == OK);
	CHECK(read_at(0, 0, 5) == OK && memcmp(io.data, "again", 5) == 0);
	close_file(0);
}

int main(int argc, char **argv)
{
	struct fs_delete_disk delete = {0};
	struct fs_added_disk added;
	struct fs_disk disk;
	DWORD got;

	CHECK(argc == 4);
	load_driver(DRIVER_SERVICE, argv[1]);
	load_driver(INJECT_NAME, argv[2]);
	device = open_control();
	injector = CreateFileA("\\\\.\\" INJECT_NAME, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
			       FILE_FLAG_OVERLAPPED, NULL);
	CHECK(injector != INVALID_HANDLE_VALUE);
	start_daemon(argv[3]);
	add_disk(&added);
	dispositions();
	contents();
	names();
	volume();
	many();
	surviving(argv[3]);
	/* A close is completed before the service has heard of it. */
	for (int i = 0; i < 100; i++) {
		CHECK(control(device, IOCTL_FS_GET_DISKS, NULL, 0, &disk, sizeof(disk), &got) == 0);
		CHECK(got == sizeof(disk));
		if (disk.open_files == 0 && disk.waiting == 0)
			break;
		Sleep(50);
	}
	CHECK(disk.open_files == 0 && disk.waiting == 0);
	delete.letter = added.letter;
	CHECK(control(device, IOCTL_FS_DELETE_DISK, &delete, sizeof(delete), NULL, 0, NULL) == 0);
	kill_daemon();
	CloseHandle(device);
	CloseHandle(injector);
	unload_driver(DRIVER_SERVICE);
	unload_driver(INJECT_NAME);
	puts("whole: all is well");
	return 0;
}
