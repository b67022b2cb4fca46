/* SPDX-License-Identifier: MIT */
#include "service/windows/control.h"

#include <windows.h>

#define PENDING_MILLISECONDS 30000 /* that beginning and end may take */

/* What the manager's functions need; they are given no context at the beginning. */
static struct {
	int (*serve)(const char *folder, bool is_service);
	const char *folder;
	HANDLE event;
	int status;
	SERVICE_STATUS_HANDLE handle;
} control;

static void tell(DWORD state, DWORD error)
{
	SERVICE_STATUS status = {.dwServiceType = SERVICE_WIN32_OWN_PROCESS, .dwCurrentState = state};

	if (state == SERVICE_RUNNING)
		status.dwControlsAccepted = SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN;
	else if (state != SERVICE_STOPPED)
		status.dwWaitHint = PENDING_MILLISECONDS;
	status.dwWin32ExitCode = error;
	/* That it cannot be told has no cure. */
	(void)SetServiceStatus(control.handle, &status);
}

static DWORD WINAPI handle(DWORD what, DWORD type, void *data, void *context)
{
	(void)type;
	(void)data;
	(void)context;
	switch (what) {
	case SERVICE_CONTROL_STOP:
	case SERVICE_CONTROL_SHUTDOWN:
		tell(SERVICE_STOP_PENDING, NO_ERROR);
		SetEvent(control.event);
		return NO_ERROR;
	case SERVICE_CONTROL_INTERROGATE:
		return NO_ERROR;
	default:
		return ERROR_CALL_NOT_IMPLEMENTED;
	}
}

static void WINAPI service_main(DWORD count, char **arguments)
{
	(void)count;
	(void)arguments;
	control.handle = RegisterServiceCtrlHandlerExA(CONTROL_SERVICE_NAME, handle, NULL);
	if (!control.handle) {
		control.status = 1;
		return;
	}
	tell(SERVICE_START_PENDING, NO_ERROR);
	control.status = control.serve(control.folder, true);
	tell(SERVICE_STOPPED, control.status ? ERROR_NOT_READY : NO_ERROR);
}

int control_run(int (*serve)(const char *folder, bool is_service), const char *folder, void *event)
{
	SERVICE_TABLE_ENTRYA table[] = {{(char *)CONTROL_SERVICE_NAME, service_main}, {NULL, NULL}};

	control.serve = serve;
	control.folder = folder;
	control.event = event;
	if (!StartServiceCtrlDispatcherA(table))
		return 1;
	return control.status;
}

void control_ready(void)
{
	if (control.handle)
		tell(SERVICE_RUNNING, NO_ERROR);
}
