/* SPDX-License-Identifier: MIT */
#include "folder.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SLICE UINT64_C(20000000) /* between two looks at *cancelled */

uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

int call_check(const struct call *call)
{
	const struct dw_remote_call *remote = call->remote;

	if (remote->cancelled != NULL && __atomic_load_n(remote->cancelled, __ATOMIC_RELAXED) != 0)
		return -ECANCELED;
	if (remote->deadline != 0 && clock_now() >= remote->deadline)
		return -ETIMEDOUT;
	return 0;
}

int call_sleep(const struct call *call, uint64_t nanoseconds)
{
	uint64_t end = clock_now() + nanoseconds;
	int err;

	for (;;) {
		uint64_t now = clock_now();
		uint64_t pause = end - now < SLICE ? end - now : SLICE;
		struct timespec time = {.tv_nsec = (long)pause};

		err = call_check(call);
		if (err != 0 || now >= end)
			return err;
		nanosleep(&time, NULL);
	}
}

/* Stand at a point where the plan may want something to go wrong. */
static int call_fault(const struct call *call, enum fault_when when)
{
	const struct fault *fault = &call->fault;

	if (fault->when != when)
		return 0;
	if (fault->crash)
		_exit(FAULT_STATUS);
	if (fault->error == DW_REMOTE_LATER)
		call->remote->retry_after = fault->retry;
	return fault->error;
}

int call_begin(struct call *call, struct folder *folder, struct dw_remote_call *remote, enum fault_operation operation)
{
	bool closing;
	int err;

	*call = (struct call){.folder = folder, .remote = remote, .operation = operation};
	remote->retry_after = 0;
	remote->message[0] = '\0';
	pthread_mutex_lock(&folder->lock);
	closing = folder->closing;
	folder->active++;
	pthread_mutex_unlock(&folder->lock);
	err = closing ? -ECANCELED : faults_next(folder->faults, operation, &call->fault);
	if (err == 0)
		err = call_sleep(call, call->fault.delay);
	if (err == 0 && !call->fault.partial)
		err = call_fault(call, FAULT_BEFORE);
	return err == 0 ? 0 : call_end(call, err);
}

int call_end(struct call *call, int err)
{
	struct folder *folder = call->folder;

	if (err == 0)
		err = call_fault(call, FAULT_DONE);
	if (err == 0 && call->fault.partial)
		err = call_fault(call, FAULT_BEFORE);
	if (err != 0)
		snprintf(call->remote->message, sizeof(call->remote->message), "%s: %s",
			 fault_operation_name(call->operation), fault_error_text(err));
	pthread_mutex_lock(&folder->lock);
	folder->active--;
	pthread_cond_broadcast(&folder->changed);
	pthread_mutex_unlock(&folder->lock);
	return err;
}

size_t call_clip(const struct call *call, uint64_t done, size_t size, int *err)
{
	const struct fault *fault = &call->fault;

	*err = call_check(call);
	if (*err != 0)
		return 0;
	if (fault->when != FAULT_BEFORE || !fault->partial || done + size <= fault->bytes)
		return size;
	*err = call_fault(call, FAULT_BEFORE);
	return done < fault->bytes ? (size_t)(fault->bytes - done) : 0;
}

void call_middle(const struct call *call)
{
	(void)call_fault(call, FAULT_MIDDLE);
}

int disk_error(int error)
{
	switch (error) {
	case EPERM:
		return -EACCES;
	case EDQUOT:
		return -ENOSPC;
	case EMFILE:
	case ENFILE:
		return -ENOMEM;
	case ESTALE:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENOTCONN:
	case ENODEV:
	case ESHUTDOWN:
		return DW_REMOTE_OFFLINE;
	case EACCES:
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
	case EEXIST:
	case ENOTEMPTY:
	case ENOSPC:
	case EROFS:
	case ENAMETOOLONG:
	case EINVAL:
	case EFBIG:
	case EBUSY:
	case ELOOP:
	case ENOMEM:
		return -error;
	default:
		return -EIO;
	}
}
