/* SPDX-License-Identifier: MIT */
/*
 * The driver is a service that is started on demand; drivewayd.exe is one that starts with the system, needs the driver
 * and is started again when it dies: what programs asked of a drive waits for the next one. Both are files in the
 * folder of this program.
 */
#include <stdlib.h>
#include <string.h>

#include "support/text.h"
#include "tool/windows/command.h"

#define WAIT_MILLISECONDS 20000
#define STEP_MILLISECONDS 50

static const struct service {
	const wchar_t *name, *title, *file, *group, *needs, *description;
	DWORD type, start;
} services[SERVICES_COUNT] = {
	[SERVICES_DRIVER] = {.name = L"driveway",
			     .title = L"Driveway file system driver",
			     .file = L"driveway.sys",
			     .group = L"File System",
			     .type = SERVICE_FILE_SYSTEM_DRIVER,
			     .start = SERVICE_DEMAND_START},
	[SERVICES_DAEMON] = {.name = L"drivewayd",
			     .title = L"Driveway",
			     .file = L"drivewayd.exe",
			     .needs = L"driveway\0",
			     .description = L"Serves the drives that driveway map makes.",
			     .type = SERVICE_WIN32_OWN_PROCESS,
			     .start = SERVICE_AUTO_START},
};

static int complain_of(const char *what, const struct service *service, DWORD error)
{
	char text[512], name[64];

	text_from(name, sizeof(name), (const uint16_t *)service->name, wcslen(service->name));
	if (error == ERROR_ACCESS_DENIED)
		return complain(
			"only an administrator may %s the service %s: use a prompt that was opened as administrator",
			what, name);
	if (error == ERROR_INVALID_IMAGE_HASH)
		return complain(
			"Windows does not take the driver's signature: a test build needs bcdedit /set testsigning on "
			"and a restart");
	device_error_text(error, text, sizeof(text));
	return complain("cannot %s the service %s: %s", what, name, text);
}

/* Wait until the service has got to state, or has stopped instead. 0, or the error of Win32. */
static DWORD wait_for(SC_HANDLE handle, DWORD state)
{
	SERVICE_STATUS status;

	for (DWORD waited = 0; waited < WAIT_MILLISECONDS; waited += STEP_MILLISECONDS) {
		if (!QueryServiceStatus(handle, &status))
			return GetLastError();
		if (status.dwCurrentState == state)
			return 0;
		if (status.dwCurrentState == SERVICE_STOPPED)
			return status.dwWin32ExitCode ? status.dwWin32ExitCode : ERROR_SERVICE_NOT_ACTIVE;
		Sleep(STEP_MILLISECONDS);
	}
	return ERROR_SERVICE_REQUEST_TIMEOUT;
}

static DWORD start(SC_HANDLE handle)
{
	/* The services that start with the system may keep the list locked for a while. */
	for (DWORD waited = 0; !StartServiceW(handle, 0, NULL); waited += STEP_MILLISECONDS) {
		DWORD error = GetLastError();

		if (error == ERROR_SERVICE_ALREADY_RUNNING)
			break;
		if (error != ERROR_SERVICE_DATABASE_LOCKED || waited >= WAIT_MILLISECONDS)
			return error;
		Sleep(STEP_MILLISECONDS);
	}
	return wait_for(handle, SERVICE_RUNNING);
}

static DWORD stop(SC_HANDLE handle)
{
	SERVICE_STATUS status;
	DWORD error;

	if (!ControlService(handle, SERVICE_CONTROL_STOP, &status)) {
		error = GetLastError();
		return error == ERROR_SERVICE_NOT_ACTIVE ? 0 : error;
	}
	return wait_for(handle, SERVICE_STOPPED);
}

/* A file beside this program, as a path or as the command line of a program. false: it is too long or not there. */
static bool find_file(const struct service *service, wchar_t path[MAX_PATH])
{
	wchar_t folder[MAX_PATH], plain[MAX_PATH], *slash;
	DWORD length = GetModuleFileNameW(NULL, folder, MAX_PATH);
	bool is_program = service->type == SERVICE_WIN32_OWN_PROCESS;

	slash = length && length < MAX_PATH ? wcsrchr(folder, L'\\') : NULL;
	if (!slash)
		return false;
	slash[1] = L'\0';
	if (wcslen(folder) + wcslen(service->file) + 16 > MAX_PATH)
		return false;
	_snwprintf(plain, MAX_PATH, L"%ls%ls", folder, service->file);
	_snwprintf(path, MAX_PATH, is_program ? L"\"%ls\" --service" : L"%ls", plain);
	return GetFileAttributesW(plain) != INVALID_FILE_ATTRIBUTES;
}

/*
 * Started again a second after it died, every time. 0, also where the system knows no such thing (ERROR_INVALID_LEVEL):
 * then the next map starts it. Or the error of Win32.
 */
static DWORD restart_when_it_dies(SC_HANDLE handle)
{
	SC_ACTION again = {.Type = SC_ACTION_RESTART, .Delay = 1000};
	SERVICE_FAILURE_ACTIONSW actions = {.dwResetPeriod = 60, .cActions = 1, .lpsaActions = &again};
	SERVICE_FAILURE_ACTIONS_FLAG also_failed = {.fFailureActionsOnNonCrashFailures = TRUE};
	DWORD error = 0;

	if (!ChangeServiceConfig2W(handle, SERVICE_CONFIG_FAILURE_ACTIONS, &actions) ||
	    !ChangeServiceConfig2W(handle, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, &also_failed))
		error = GetLastError();
	return error == ERROR_INVALID_LEVEL ? 0 : error;
}

static DWORD install(SC_HANDLE manager, const struct service *service, const wchar_t *path)
{
	SERVICE_DESCRIPTIONW text = {.lpDescription = (wchar_t *)service->description};
	DWORD error = 0;
	SC_HANDLE handle = CreateServiceW(manager, service->name, service->title, SERVICE_ALL_ACCESS, service->type,
					  service->start, SERVICE_ERROR_NORMAL, path, service->group, NULL,
					  service->needs, NULL, NULL);

	if (!handle && GetLastError() == ERROR_SERVICE_EXISTS) {
		handle = OpenServiceW(manager, service->name, SERVICE_ALL_ACCESS);
		if (handle && !ChangeServiceConfigW(handle, service->type, service->start, SERVICE_ERROR_NORMAL, path,
						    service->group, NULL, service->needs, NULL, NULL, service->title))
			error = GetLastError();
	}
	if (!handle)
		return GetLastError();
	if (!error && service->description && !ChangeServiceConfig2W(handle, SERVICE_CONFIG_DESCRIPTION, &text))
		error = GetLastError();
	if (!error && service->type == SERVICE_WIN32_OWN_PROCESS)
		error = restart_when_it_dies(handle);
	CloseServiceHandle(handle);
	return error;
}

static DWORD start_all(SC_HANDLE manager, const struct service **failed)
{
	for (int i = 0; i < SERVICES_COUNT; i++) {
		SC_HANDLE handle = OpenServiceW(manager, services[i].name, SERVICE_START | SERVICE_QUERY_STATUS);
		DWORD error = handle ? start(handle) : GetLastError();

		if (handle)
			CloseServiceHandle(handle);
		if (error) {
			*failed = &services[i];
			return error;
		}
	}
	return 0;
}

int services_install(void)
{
	SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS);
	const struct service *failed = &services[SERVICES_DRIVER];
	wchar_t path[SERVICES_COUNT][MAX_PATH];
	int ret = EXIT_SUCCESS;
	DWORD error;

	if (!manager)
		return complain_of("install", failed, GetLastError());
	for (int i = 0; i < SERVICES_COUNT && ret == EXIT_SUCCESS; i++) {
		if (!find_file(&services[i], path[i]))
			ret = complain("%ls is not in the folder of this program: put them together", services[i].file);
	}
	for (int i = 0; i < SERVICES_COUNT && ret == EXIT_SUCCESS; i++) {
		error = install(manager, &services[i], path[i]);
		if (error)
			ret = complain_of("install", &services[i], error);
	}
	if (ret == EXIT_SUCCESS) {
		error = start_all(manager, &failed);
		if (error)
			ret = complain_of("start", failed, error);
	}
	CloseServiceHandle(manager);
	return ret;
}

int services_uninstall(void)
{
	SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS);
	int ret = EXIT_SUCCESS;

	if (!manager)
		return complain_of("uninstall", &services[SERVICES_DAEMON], GetLastError());
	for (int i = SERVICES_COUNT - 1; i >= 0 && ret == EXIT_SUCCESS; i--) {
		SC_HANDLE handle = OpenServiceW(manager, services[i].name,
						SERVICE_STOP | SERVICE_QUERY_STATUS | DELETE);
		DWORD error = handle ? stop(handle) : GetLastError();

		if (error && error != ERROR_SERVICE_DOES_NOT_EXIST)
			ret = complain_of("stop", &services[i], error);
		else if (handle && !DeleteService(handle) && GetLastError() != ERROR_SERVICE_MARKED_FOR_DELETE)
			ret = complain_of("uninstall", &services[i], GetLastError());
		if (handle)
			CloseServiceHandle(handle);
	}
	CloseServiceHandle(manager);
	return ret;
}

DWORD services_start(void)
{
	SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
	const struct service *failed;
	DWORD error = manager ? start_all(manager, &failed) : GetLastError();

	if (manager)
		CloseServiceHandle(manager);
	return error;
}

bool services_running(enum services_which which, DWORD *process)
{
	SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
	SC_HANDLE handle = manager ? OpenServiceW(manager, services[which].name, SERVICE_QUERY_STATUS) : NULL;
	SERVICE_STATUS_PROCESS status = {0};
	DWORD needed;
	bool running = handle &&
		       QueryServiceStatusEx(handle, SC_STATUS_PROCESS_INFO, (BYTE *)&status, sizeof(status), &needed) &&
		       status.dwCurrentState == SERVICE_RUNNING;

	*process = running ? status.dwProcessId : 0;
	if (handle)
		CloseServiceHandle(handle);
	if (manager)
		CloseServiceHandle(manager);
	return running;
}
