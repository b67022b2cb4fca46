/* SPDX-License-Identifier: MIT */
/*
 * control.h - drivewayd.exe as a service of Windows
 *
 *    START_PENDING --control_ready--> RUNNING --stop, shutdown--> STOP_PENDING --serve returns--> STOPPED
 *
 * A service that does not get as far as control_ready ends with an error, and so does one that returns another status
 * than 0: the service control manager starts it again, when it was installed so.
 *
 * One service a process. control_ready on the thread that serve was called on; the manager calls on a thread of its
 * own, which touches the event and the state alone.
 */
#ifndef SERVICE_WINDOWS_CONTROL_H
#define SERVICE_WINDOWS_CONTROL_H

#include <stdbool.h>

#define CONTROL_SERVICE_NAME "drivewayd"

/*
 * In a process that the service control manager has started: call serve, which is to return soon after the event (a
 * HANDLE) is set, and answer its status when the service has ended. 1: nobody waits for a service.
 */
int control_run(int (*serve)(const char *folder, bool is_service), const char *folder, void *event);
/* The service serves from now on. Does nothing in a process that is none. */
void control_ready(void);

#endif
