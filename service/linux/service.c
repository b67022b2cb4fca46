/* SPDX-License-Identifier: MIT */
#include "service/linux/service.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

void service_wake(struct service *service)
{
	eventfd_write(service->wake, 1);
}

void service_end_if_idle(struct service *service)
{
	int ret;

	if (service->stay || !drives_close_if_empty(service->drives))
		return;
	ret = keeper_client_stop(service->keeper);
	if (ret) {
		log_write(&service->log, LOG_LEVEL_WARNING, "the keeper goes on: %s", strerror(-ret));
		drives_reopen(service->drives);
		return;
	}
	log_write(&service->log, LOG_LEVEL_INFORMATION, "the last drive is unmapped");
	atomic_store(&service->finish, true);
	service_wake(service);
}

int service_start_thread(void *(*run)(void *), void *argument, uint64_t stack)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int ret;

	ret = pthread_attr_init(&attributes);
	if (ret)
		return -EAGAIN;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, stack);
	ret = pthread_create(&thread, &attributes, run, argument);
	pthread_attr_destroy(&attributes);
	return ret ? -EAGAIN : 0;
}
