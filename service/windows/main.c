/* SPDX-License-Identifier: MIT */
/*
 * main.c - drivewayd.exe: the service on Windows
 *
 *    drivewayd.exe [--service] [FOLDER]
 *
 * Answers the driver until the driver goes or Ctrl+C (or its console's end) comes; with --service,
 * as the service control manager starts it, until that says stop, and then the log is FOLDER\drivewayd.log. FOLDER is
 * where memory is kept that the next service is to find; %ProgramData%\Driveway as it comes. Exit status 0, or 1 with
 * one line that says why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "channel/ioctl/device.h"
#include "service/builtin.h"
#include "service/providers.h"
#include "service/windows/control.h"
#include "service/windows/disk.h"
#include "support/log.h"
#include "support/text.h"

#define PATIENCE 60u /* seconds that requests wait for the next service */

struct program {
	struct ioctl_owner owner; /* first */
	struct disks disks;
	bool lost;
};

/* What the console's handler signals: it is given no context. */
static HANDLE ending;

static BOOL WINAPI end_asked(DWORD what)
{
	(void)what;
	SetEvent(ending);
	return TRUE;
}

static int32_t added(struct ioctl_owner *owner, const struct fs_request *request, struct volume **out)
{
	return disks_added(&((struct program *)owner)->disks, request, out);
}

static void removed(struct ioctl_owner *owner, uint64_t disk, struct volume *volume, bool unmapped)
{
	(void)disk;
	disks_removed(&((struct program *)owner)->disks, volume, unmapped);
}

static void lost(struct ioctl_owner *owner)
{
	((struct program *)owner)->lost = true;
	SetEvent(ending);
}

static bool find_folder(const char *given, char *out, size_t size)
{
	const char *data = getenv("ProgramData");

	if (given)
		return text_copy(out, size, given);
	return text_format(out, size, "%s\\Driveway", data ? data : "C:");
}

static int fail(const char *what, unsigned long error)
{
	fprintf(stderr, "drivewayd: %s, error %lu\n", what, error);
	return 1;
}

static int run(struct program *program)
{
	struct ioctl_device *device;
	uint32_t error = ioctl_device_open(&device, &program->owner, PATIENCE);

	if (error)
		return fail("cannot reach the driver: is it installed and started, and is no other service running?",
			    error);
	control_ready();
	printf("drivewayd: ready\n");
	fflush(stdout);
	WaitForSingleObject(ending, INFINITE);
	ioctl_device_close(device, false);
	return program->lost ? fail("the driver does not answer any more", 0) : 0;
}

/* With what the log and the mistakes of a service that has no console go to. */
static void open_log(const char *folder)
{
	char path[MAX_PATH];

	if (text_format(path, sizeof(path), "%s\\drivewayd.log", folder) && freopen(path, "a", stderr))
		setvbuf(stderr, NULL, _IONBF, 0);
}

static int serve(const char *folder, bool is_service)
{
	static const struct dw_provider *const builtin[] = {&memory_provider};
	static const char *const folders[] = {NULL};
	static struct program program;
	struct log log = {.fd = 2, .level = LOG_LEVEL_INFORMATION};
	int status;

	program.owner = (struct ioctl_owner){.disk_added = added, .disk_removed = removed, .lost = lost};
	program.disks.log = &log;
	if (!find_folder(folder, program.disks.folder, sizeof(program.disks.folder)))
		return fail("the folder's path is too long", 0);
	if (!CreateDirectoryA(program.disks.folder, NULL) && GetLastError() != ERROR_ALREADY_EXISTS)
		return fail("the folder for kept memory cannot be made", GetLastError());
	if (is_service) {
		open_log(program.disks.folder);
		log.fd = _fileno(stderr);
	}
	if (providers_create(&program.disks.providers, builtin, 1, folders))
		return fail("out of memory", 0);
	pthread_mutex_init(&program.disks.lock, NULL);
	status = run(&program);
	providers_destroy(program.disks.providers);
	return status;
}

int main(int count, char **arguments)
{
	bool is_service = count > 1 && strcmp(arguments[1], "--service") == 0;
	const char *folder = arguments[is_service ? 2 : 1]; /* a NULL ends them */

	ending = CreateEventW(NULL, TRUE, FALSE, NULL);
	if (!ending || !SetConsoleCtrlHandler(end_asked, TRUE))
		return fail("out of memory", GetLastError());
	return is_service ? control_run(serve, folder, ending) : serve(folder, false);
}
