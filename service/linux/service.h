/* SPDX-License-Identifier: MIT */
/*
 * service.h - what the parts of the service share
 *
 * One struct, made by main and handed to everybody; there is no other global state. Everything but the flags at its end
 * is filled in before the first thread starts and then only read. The flags are raised by any thread
 * (service_wake tells main) and acted upon by main alone.
 */
#ifndef SERVICE_LINUX_SERVICE_H
#define SERVICE_LINUX_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "keeper/client.h"
#include "service/drives.h"
#include "service/providers.h"
#include "support/log.h"

#define SERVICE_STACK_SMALL (256u << 10) /* threads of ours */
#define SERVICE_STACK_LARGE (1u << 20)	 /* threads that run a provider's code */

struct service {
	struct log log;
	struct keeper_client *keeper;
	struct drives *drives;
	struct providers *providers;
	char runtime_folder[128];
	uint64_t keeper_pid;
	uint64_t restarts; /* services that went before this one */
	bool stay;	   /* go on without drives */
	bool poisoned;	   /* the service before this one died by its own fault */
	int wake;	   /* eventfd that main waits on */

	_Atomic bool finish;   /* end: the last drive is gone, or a call that never returns holds memory */
	_Atomic bool vanished; /* some drive was unmounted by somebody else */
};

/* Make main look at the flags. Any thread. */
void service_wake(struct service *service);
/* When the last drive is gone and the keeper was not told to stay: have both processes end. Any thread. */
void service_end_if_idle(struct service *service);
/* A detached thread with a stack of so many bytes. 0 or -EAGAIN. */
int service_start_thread(void *(*run)(void *), void *argument, uint64_t stack);

#endif
