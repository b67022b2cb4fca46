// SPDX-License-Identifier: MIT
/*
 * test_command.c DRIVER COMMAND SERVICE - driveway.exe with drivewayd.exe, from install to uninstall
 *
 * Puts the three files into one folder, as an installer does, and runs the command as people do: what it prints, its
 * one line of mistakes and its exit status are looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/wine/device.h"

#define FOLDER	"C:\\Driveway Test" /* with a blank, which command lines of services must be able to have */
#define COMMAND FOLDER "\\driveway.exe"

static char out[65536], err[65536];

static HANDLE make_file(const char *name)
{
	SECURITY_ATTRIBUTES inherited = {.nLength = sizeof(inherited), .bInheritHandle = TRUE};
	HANDLE file = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited,
				  CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);

	CHECK(file != INVALID_HANDLE_VALUE);
	return file;
}

static void read_back(HANDLE file, char *text, DWORD size)
{
	DWORD got = 0;

	CHECK(SetFilePointer(file, 0, NULL, FILE_BEGIN) == 0);
	CHECK(ReadFile(file, text, size - 1, &got, NULL));
	text[got] = '\0';
	CloseHandle(file);
}

/* Run the command; its exit status, with out and err filled. Files, not pipes: what it starts may outlive it. */
static DWORD command(const char *arguments)
{
	STARTUPINFOA startup = {.cb = sizeof(startup), .dwFlags = STARTF_USESTDHANDLES};
	PROCESS_INFORMATION process;
	char line[1024];
	DWORD status;

	startup.hStdOutput = make_file(FOLDER "\\out.txt");
	startup.hStdError = make_file(FOLDER "\\err.txt");
	snprintf(line, sizeof(line), "driveway %s", arguments);
	CHECK(CreateProcessA(COMMAND, line, NULL, NULL, TRUE, 0, NULL, FOLDER, &startup, &process));
	CHECK(WaitForSingleObject(process.hProcess, 60000) == WAIT_OBJECT_0);
	CHECK(GetExitCodeProcess(process.hProcess, &status));
	CloseHandle(process.hProcess);
	CloseHandle(process.hThread);
	read_back(startup.hStdOutput, out, sizeof(out));
	read_back(startup.hStdError, err, sizeof(err));
	return status;
}

static void show(const char *what)
{
	fprintf(stderr, "after %s\n--- standard output\n%s--- standard error\n%s---\n", what, out, err);
}

/* The exit status is so, and text is in what it said, on standard output when it went well. */
static void expect(const char *arguments, DWORD status, const char *text)
{
	DWORD got = command(arguments);

	if (got == status && strstr(status ? err : out, text) && (status ? !*out : !*err))
		return;
	fprintf(stderr, "exit status %lu, expected %lu and \"%s\"\n", got, status, text);
	show(arguments);
	exit(1);
}

/* As expect of a mistake, which is one line. */
static void refuse(const char *arguments, DWORD status, const char *text)
{
	expect(arguments, status, text);
	CHECK(strncmp(err, "driveway: ", 10) == 0);
	CHECK(strchr(err, '\n') && strchr(err, '\n')[strchr(err, '\n')[1] == '\r' ? 2 : 1] == '\0');
}

static void expect_also(const char *text)
{
	if (!strstr(out, text)) {
		fprintf(stderr, "\"%s\" is not there\n", text);
		show("the last one");
		exit(1);
	}
}

static BOOL has_letter(char letter)
{
	char name[3] = {letter, ':', 0}, target[256];

	return QueryDosDeviceA(name, target, sizeof(target)) != 0;
}

static DWORD service_state(const char *name, DWORD *process)
{
	SC_HANDLE manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_CONNECT);
	SC_HANDLE service = OpenServiceA(manager, name, SERVICE_QUERY_STATUS);
	SERVICE_STATUS_PROCESS status = {0};
	DWORD needed;

	if (service != NULL) {
		CHECK(QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)&status, sizeof(status), &needed));
		CloseServiceHandle(service);
	}
	CloseServiceHandle(manager);
	if (process != NULL)
		*process = status.dwProcessId;
	return service != NULL ? status.dwCurrentState : 0;
}

static void called_wrongly(void)
{
	refuse("", 2, "say what to do");
	refuse("mount X: memory:", 2, "there is no subcommand \"mount\"");
	refuse("map X:", 2, "map takes a letter and a source");
	refuse("map X memory:", 2, "X is no letter of a drive");
	refuse("map X:\\a memory:", 2, "is no letter of a drive");
	refuse("map X: memory: --colour", 2, "--colour is not an option of map");
	refuse("map X: memory: --label", 2, "lacks its value");
	refuse("map X: memory", 1, "is no source");
	refuse("map X: memory: --label a:b", 1, "may not have");
	refuse("map X: memory: --label 123456789012345678901234567890123", 1, "the label is too long");
	refuse("unmap", 2, "unmap takes one letter");
	refuse("unmap 7:", 2, "7: is no letter");
	refuse("list X:", 2, "list takes no arguments");
	refuse("status X: Y:", 2, "status takes at most one letter");
	refuse("install now", 2, "install takes no arguments");
	refuse("uninstall now", 2, "uninstall takes no arguments");
	refuse("help mount", 2, "there is no subcommand");
}

static void help(void)
{
	static const char *const names[] = {"map", "unmap", "list", "status", "install", "uninstall"};
	char line[64], first[64];

	expect("--help", 0, "driveway gives any data a drive.");
	expect("version", 0, "driveway 0.");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(line, sizeof(line), "%s --help", names[i]);
		snprintf(first, sizeof(first), "driveway %s", names[i]);
		expect(line, 0, first);
		snprintf(line, sizeof(line), "help %s", names[i]);
		expect(line, 0, first);
	}
}

static void without_driver(void)
{
	expect("list", 0, "No drive is mapped.");
	expect("list --json", 0, "\"drives\": []");
	refuse("status", 1, "the driver does not run");
	refuse("map X: memory:", 1, "does not run");
	refuse("unmap X:", 1, "X: is not mapped, and the driver does not run");
	expect("uninstall", 0, "");
}

static void install(void)
{
	CHECK(MoveFileA(FOLDER "\\drivewayd.exe", FOLDER "\\away.exe"));
	refuse("install", 1, "drivewayd.exe is not in the folder of this program");
	CHECK(MoveFileA(FOLDER "\\away.exe", FOLDER "\\drivewayd.exe"));
	CHECK(service_state("driveway", NULL) == 0);
	expect("install", 0, "");
	CHECK(service_state("driveway", NULL) == SERVICE_RUNNING);
	CHECK(service_state("drivewayd", NULL) == SERVICE_RUNNING);
	expect("install", 0, "");
	expect("list", 0, "No drive is mapped.");
}

static void drives(void)
{
	expect("map x: memory: --label Photos -o size=16m", 0, "");
	CHECK(has_letter('X'));
	refuse("map X: memory:", 1, "X: is taken: choose another letter");
	refuse("map Y: nosuch:", 1, "nosuch: ");
	CHECK(!has_letter('Y'));
	refuse("map Y: memory: -o colour=red", 1, "memory: cannot be mapped");
	CHECK(!has_letter('Y'));
	expect("map Y: memory: --cache cache --read-only --json", 0, "\"target\": \"Y:\"");
	expect_also("\"read_only\": true");
	expect_also("\"label\": \"Driveway-");
	/* Wine has a Z: of its own, and X: and Y: are ours. */
	expect("map * memory:", 0, "W:");
	CHECK(has_letter('W'));
	expect("list", 0, "TARGET  SOURCE");
	expect_also("X:      memory:  Photos");
	expect("list --json", 0, "\"target\": \"X:\"");
	expect_also("\"source\": \"memory:\"");
	expect_also("\"label\": \"Photos\"");
	expect_also("\"provider\": \"memory\"");
	expect_also("\"state\": \"ready\"");
	expect("status X:", 0, "service ");
	expect_also("\nX:");
	expect_also("open files    0");
	CHECK(!strstr(out, "Y:"));
	expect("status --json", 0, "\"service_pid\": ");
	expect_also("\"transport\": \"ioctl\"");
	expect_also("\"target\": \"W:\"");
	refuse("status Q:", 1, "Q: is not mapped");
	expect("unmap w:", 0, "");
	expect("unmap Y: --force", 0, "");
	CHECK(!has_letter('W') && !has_letter('Y') && has_letter('X'));
	refuse("unmap Y:", 1, "Y: is not mapped");
}

/* Nothing starts it again here but the next map. */
static void service_dies(void)
{
	DWORD process;
	HANDLE handle;

	CHECK(service_state("drivewayd", &process) == SERVICE_RUNNING && process != 0);
	handle = OpenProcess(PROCESS_TERMINATE | SYNCHRONIZE, FALSE, process);
	CHECK(handle != NULL);
	CHECK(TerminateProcess(handle, 9));
	CHECK(WaitForSingleObject(handle, 10000) == WAIT_OBJECT_0);
	CloseHandle(handle);
	expect("list", 0, "X:      memory:  Photos");
	expect("install", 0, "");
	expect("map Y: memory:", 0, "");
	expect("list", 0, "X:      memory:  Photos");
	expect_also("Y: ");
	expect("unmap Y:", 0, "");
}

static void uninstall(void)
{
	refuse("uninstall", 1, "X: is mapped: driveway unmap X: first");
	expect("uninstall --force", 0, "");
	CHECK(!has_letter('X'));
	CHECK(service_state("driveway", NULL) == 0 && service_state("drivewayd", NULL) == 0);
	refuse("status", 1, "the driver does not run");
}

int main(int argc, char **argv)
{
	CHECK(argc == 4);
	CHECK(CreateDirectoryA(FOLDER, NULL));
	CHECK(CopyFileA(argv[1], FOLDER "\\driveway.sys", TRUE));
	CHECK(CopyFileA(argv[2], COMMAND, TRUE));
	CHECK(CopyFileA(argv[3], FOLDER "\\drivewayd.exe", TRUE));
	called_wrongly();
	help();
	without_driver();
	install();
	drives();
	service_dies();
	uninstall();
	puts("command: all is well");
	return 0;
}
