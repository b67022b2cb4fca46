/* SPDX-License-Identifier: MIT */
#include "service/linux/mapping.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service/linux/spec.h"
#include "service/standin.h"
#include "support/text.h"

#define ANSWER_MILLISECONDS 10000 /* that a new drive has to begin to answer */
#define STOP_MILLISECONDS   5000  /* that calls under way have to return */

static void mapping_destroy(struct drive *drive)
{
	struct mapping *mapping = (struct mapping *)drive;

	notifier_destroy(mapping->notifier);
	if (mapping->region)
		munmap(mapping->region, mapping->region_bytes);
	if (mapping->fuse_fd >= 0)
		close(mapping->fuse_fd);
	host_release(mapping);
	pthread_rwlock_destroy(&mapping->calls);
	pthread_mutex_destroy(&mapping->lock);
	pthread_mutex_destroy(&mapping->keeps_lock);
	pthread_cond_destroy(&mapping->changed);
	map_request_free(drive->request);
	free(mapping);
}

/* Takes request over, also when it fails. */
static struct mapping *mapping_create(struct service *service, struct map_request *request)
{
	struct mapping *mapping = calloc(1, sizeof(*mapping));
	pthread_condattr_t attributes;

	if (!mapping) {
		map_request_free(request);
		return NULL;
	}
	mapping->drive.request = request;
	mapping->drive.destroy = mapping_destroy;
	mapping->service = service;
	mapping->fuse_fd = -1;
	pthread_rwlock_init(&mapping->calls, NULL);
	pthread_mutex_init(&mapping->lock, NULL);
	pthread_mutex_init(&mapping->keeps_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&mapping->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	host_prepare(mapping);
	standin_prepare(&mapping->standin);
	return mapping;
}

/* --- What the channel calls ---------------------------------------------------------------------- */

static int on_start_ring(void *context, int *ring_fds, uint32_t *count)
{
	struct mapping *mapping = context;

	return keeper_client_ring(mapping->service->keeper, mapping->keeper_id, ring_fds, count);
}

static void on_gone(void *context)
{
	struct mapping *mapping = context;

	atomic_store(&mapping->gone, true);
	atomic_store(&mapping->service->vanished, true);
	service_wake(mapping->service);
}

static void on_log(void *context, int level, const char *message)
{
	struct mapping *mapping = context;
	struct log log = mapping->service->log;

	if (mapping->options.trace)
		log.level = LOG_LEVEL_TRACE;
	log_write(&log, level, "%s: %s", mapping->drive.request->target, message);
}

/* --- Steps ---------------------------------------------------------------------------------------- */

static void set_error(struct mapping *mapping, const char *line)
{
	pthread_mutex_lock(&mapping->lock);
	text_printable(mapping->error, sizeof(mapping->error), line);
	pthread_mutex_unlock(&mapping->lock);
}

/* To state to, and tell those who wait for it. */
static bool change_state(struct mapping *mapping, enum drive_state from, enum drive_state to)
{
	bool changed;

	pthread_mutex_lock(&mapping->lock);
	changed = drives_change(mapping->service->drives, &mapping->drive, from, to);
	pthread_cond_broadcast(&mapping->changed);
	pthread_mutex_unlock(&mapping->lock);
	return changed;
}

/* Take what the keeper gave; the descriptors are taken over in any case. */
static int adopt(struct mapping *mapping, struct keeper_drive *drive)
{
	struct stat st;
	void *address;
	int ret = 0;

	mapping->keeper_id = drive->id;
	mapping->queues_possible = drive->queues_possible;
	mapping->fuse_fd = drive->fuse_fd;
	if (fstat(drive->region_fd, &st) || st.st_size < (off_t)sizeof(struct region)) {
		ret = -EPROTO;
		goto out;
	}
	address = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, drive->region_fd, 0);
	if (address == MAP_FAILED) {
		ret = -errno;
		goto out;
	}
	mapping->region = address;
	mapping->region_bytes = (uint64_t)st.st_size;
	/* A region that we do not understand has none: see open_source. */
	if (channel_check_region(mapping->region, mapping->region_bytes) == 0)
		ret = notifier_create(&mapping->notifier, mapping->region);
out:
	close(drive->region_fd);
	return ret;
}

static int mount_target(struct mapping *mapping, struct jsonrpc_error *error)
{
	struct map_request *request = mapping->drive.request;
	struct keeper_drive *drive = calloc(1, sizeof(*drive));
	char *spec = spec_store(request);
	char fsname[KEEPER_FSNAME_MAX], text[KEEPER_TEXT_MAX] = "";
	struct keeper_mount mount = {.target = request->target, .fsname = fsname, .spec = spec};
	int ret;

	if (!drive || !spec) {
		ret = -ENOMEM;
		jsonrpc_fault(error, ret, "out of memory, or a name that is not valid UTF-8");
		goto out;
	}
	mount.spec_size = (uint32_t)strlen(spec);
	if (mount.spec_size > KEEPER_SPEC_MAX || strlen(request->target) >= KEEPER_TARGET_MAX) {
		ret = -E2BIG;
		jsonrpc_fault(error, ret, "paths and options are too long together: shorten them");
		goto out;
	}
	text_printable(fsname, sizeof(fsname), request->source);
	for (char *c = fsname; *c; c++)
		*c = *c == ',' || *c == '\\' ? '_' : *c;
	mount.flags = (request->read_only || (mapping->provider->flags & DW_PROVIDER_READ_ONLY) ? KEEPER_FLAG_READ_ONLY
												: 0) |
		      (mapping->options.allow_other ? KEEPER_FLAG_ALLOW_OTHER : 0) |
		      (mapping->options.default_permissions ? KEEPER_FLAG_DEFAULT_PERMISSIONS : 0) |
		      (mapping->options.transport == OPTIONS_TRANSPORT_RING ? 0 : KEEPER_FLAG_NO_RING);
	ret = keeper_client_add(mapping->service->keeper, &mount, drive, text, sizeof(text));
	if (ret) {
		jsonrpc_fault(error, ret, "%s", *text ? text : strerror(-ret));
		goto out;
	}
	ret = adopt(mapping, drive);
	if (ret)
		jsonrpc_fault(error, ret, "cannot map the drive's request memory: %s", strerror(-ret));
out:
	free(spec);
	free(drive);
	return ret;
}

static int open_source(struct mapping *mapping, char *line, size_t line_size)
{
	if (mapping->notifier)
		return source_open(mapping, line, line_size);
	text_copy(line, line_size,
		  "the keeper that runs is of another version than the service: unmap all drives, so that it ends");
	return -EPROTO;
}

static int start_channel(struct mapping *mapping, struct dw_filesystem *fs)
{
	struct channel_config config = {
		.fuse_fd = mapping->fuse_fd,
		.region = mapping->region,
		.notifier = mapping->notifier,
		.fs = fs,
		.read_only = mapping->drive.request->read_only,
		.default_permissions = mapping->options.default_permissions,
		.want_ring = mapping->options.transport == OPTIONS_TRANSPORT_RING && mapping->queues_possible > 0,
		.want_passthrough = mapping->options.passthrough,
		.poisoned = mapping->restarted && mapping->service->poisoned,
		.workers_max = mapping->options.workers,
		.start_ring = on_start_ring,
		.gone = on_gone,
		.log = on_log,
		.trace = mapping->options.trace,
		.context = mapping,
	};
	int ret = channel_start(&mapping->serving, &config);

	if (ret) {
		mapping->serving = NULL;
		return ret;
	}
	pthread_rwlock_wrlock(&mapping->calls);
	mapping->channel = mapping->serving;
	pthread_rwlock_unlock(&mapping->calls);
	return 0;
}

/* 0 also when there is no channel; -ETIMEDOUT: it lives on, and its file system must not be closed. */
static int stop_channel(struct mapping *mapping, int milliseconds)
{
	struct channel *channel;
	int ret;

	pthread_rwlock_wrlock(&mapping->calls);
	channel = mapping->channel;
	mapping->channel = NULL;
	pthread_rwlock_unlock(&mapping->calls);
	if (!channel)
		return 0;
	ret = channel_stop(channel, milliseconds);
	if (!ret)
		mapping->serving = NULL;
	return ret;
}

/* Wait until no thread asks the file system for its size. */
static int wait_for_probe(struct mapping *mapping, int milliseconds)
{
	struct timespec deadline;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += milliseconds / 1000;
	pthread_mutex_lock(&mapping->lock);
	while (mapping->probing && !ret)
		ret = -pthread_cond_timedwait(&mapping->changed, &mapping->lock, &deadline);
	pthread_mutex_unlock(&mapping->lock);
	return ret;
}

/* The mount is gone: stop, close, and out of the table. */
static void dismantle(struct mapping *mapping)
{
	struct service *service = mapping->service;
	int ret = stop_channel(mapping, STOP_MILLISECONDS);

	if (!ret)
		ret = wait_for_probe(mapping, STOP_MILLISECONDS);
	if (ret) {
		log_write(&service->log, LOG_LEVEL_ERROR,
			  "%s: a call into %s does not return; the service is started anew to be rid of it",
			  mapping->drive.request->target, mapping->drive.request->source);
		drives_get(service->drives, &mapping->drive); /* threads still use it: for ever */
		drives_remove(service->drives, &mapping->drive);
		atomic_store(&service->finish, true);
		service_wake(service);
		return;
	}
	if (mapping->fs && mapping->fs->ops->close)
		mapping->fs->ops->close(mapping->fs);
	mapping->fs = NULL;
	drives_remove(service->drives, &mapping->drive);
}

/* A map that failed: the mount first, then the rest. */
static void undo(struct mapping *mapping)
{
	int ret;

	if (mapping->keeper_id) {
		/* Force would wait for a drive that never answered to write back what it does not have. */
		ret = keeper_client_remove(mapping->service->keeper, mapping->keeper_id, false, NULL, 0);
		if (ret)
			ret = keeper_client_remove(mapping->service->keeper, mapping->keeper_id, true, NULL, 0);
		if (ret)
			log_write(&mapping->service->log, LOG_LEVEL_ERROR, "%s: cannot be unmounted: %s",
				  mapping->drive.request->target, strerror(-ret));
	}
	dismantle(mapping);
}

static const char *channel_reason(int ret)
{
	switch (ret) {
	case -ETIMEDOUT:
		return "the drive did not begin to answer within 10 s";
	case -ENODEV:
		return "the drive was unmounted while it was being mapped";
	case -EPROTO:
		return "this kernel's FUSE is too old: Driveway needs protocol 7.31, Linux 5.4 or later";
	default:
		return strerror(-ret);
	}
}

/* Everything after the target is reserved. */
static int bring_up(struct mapping *mapping, struct jsonrpc_error *error)
{
	char line[MAPPING_ERROR_MAX];
	int ret;

	ret = target_check(mapping, error);
	if (ret)
		return ret;
	ret = mount_target(mapping, error);
	if (ret)
		return ret;
	ret = open_source(mapping, line, sizeof(line));
	if (ret) {
		jsonrpc_fault(error, ret, "%s", line);
		return ret;
	}
	ret = start_channel(mapping, mapping->fs);
	if (!ret)
		ret = channel_wait(mapping->serving, ANSWER_MILLISECONDS);
	if (ret)
		jsonrpc_fault(error, ret, "%s cannot be mapped: %s", mapping->drive.request->target,
			      channel_reason(ret));
	return ret;
}

int mapping_map(struct service *service, struct map_request *request, struct mapping **out, struct jsonrpc_error *error)
{
	struct mapping *mapping = mapping_create(service, request);
	char line[MAPPING_ERROR_MAX];
	int ret;

	if (!mapping) {
		jsonrpc_fault(error, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	ret = source_resolve(mapping, error);
	if (ret) {
		mapping_destroy(&mapping->drive);
		return ret;
	}
	ret = drives_reserve(service->drives, &mapping->drive, DRIVE_MAPPING, line, sizeof(line));
	if (ret) {
		jsonrpc_fault(error, ret, "%s", line);
		mapping_destroy(&mapping->drive);
		return ret;
	}
	ret = bring_up(mapping, error);
	if (ret) {
		undo(mapping);
		drives_put(service->drives, &mapping->drive);
		service_end_if_idle(service);
		return ret;
	}
	change_state(mapping, DRIVE_MAPPING, DRIVE_READY);
	if (atomic_load(&mapping->gone))
		on_gone(mapping); /* while it was not READY, nobody tidied up */
	log_write(&service->log, LOG_LEVEL_INFORMATION, "%s: mapped to %s", request->target, request->source);
	*out = mapping;
	return 0;
}

/* --- Unmapping ------------------------------------------------------------------------------------ */

/* READY or FAILED to UNMAPPING; *from is what it was. */
static int begin_unmap(struct mapping *mapping, enum drive_state *from, struct jsonrpc_error *error)
{
	const char *target = mapping->drive.request->target;

	for (*from = DRIVE_READY; !change_state(mapping, *from, DRIVE_UNMAPPING); *from = DRIVE_FAILED) {
		if (*from == DRIVE_FAILED) {
			jsonrpc_fault(error, -EALREADY, "%s is %s just now: try again when that is done", target,
				      drives_state_name(drives_state(mapping->service->drives, &mapping->drive)));
			return -EALREADY;
		}
	}
	return 0;
}

int mapping_unmap(struct mapping *mapping, bool force, struct jsonrpc_error *error)
{
	struct service *service = mapping->service;
	const char *target = mapping->drive.request->target;
	char text[KEEPER_TEXT_MAX] = "";
	enum drive_state from;
	int ret = begin_unmap(mapping, &from, error);

	if (ret)
		return ret;
	ret = keeper_client_remove(service->keeper, mapping->keeper_id, force, text, sizeof(text));
	if (ret && !atomic_load(&mapping->gone)) {
		change_state(mapping, DRIVE_UNMAPPING, from);
		if (atomic_load(&mapping->gone))
			on_gone(mapping);
		if (ret == -EBUSY)
			jsonrpc_fault(error, ret, "%s is in use: close what uses it, or use --force", target);
		else
			jsonrpc_fault(error, ret, "%s cannot be unmounted: %s", target, *text ? text : strerror(-ret));
		return ret;
	}
	dismantle(mapping);
	log_write(&service->log, LOG_LEVEL_INFORMATION, "%s: unmapped", target);
	service_end_if_idle(service);
	return 0;
}

static void *run_reap(void *argument)
{
	struct mapping *mapping = argument;
	struct service *service = mapping->service;

	/* Nothing is mounted any more, so only the keeper's descriptors go. */
	keeper_client_remove(service->keeper, mapping->keeper_id, true, NULL, 0);
	dismantle(mapping);
	log_write(&service->log, LOG_LEVEL_INFORMATION, "%s: was unmounted by somebody else",
		  mapping->drive.request->target);
	drives_put(service->drives, &mapping->drive);
	service_end_if_idle(service);
	return NULL;
}

void mapping_reap(struct mapping *mapping)
{
	if (!atomic_load(&mapping->gone))
		return;
	if (!change_state(mapping, DRIVE_READY, DRIVE_UNMAPPING) &&
	    !change_state(mapping, DRIVE_FAILED, DRIVE_UNMAPPING))
		return;
	drives_get(mapping->service->drives, &mapping->drive);
	if (service_start_thread(run_reap, mapping, SERVICE_STACK_LARGE))
		run_reap(mapping);
}

void mapping_finish(struct mapping *mapping, int milliseconds)
{
	if (stop_channel(mapping, milliseconds))
		log_write(&mapping->service->log, LOG_LEVEL_WARNING,
			  "%s: requests are still under way; the next service takes them up",
			  mapping->drive.request->target);
}

/* --- After a restart ------------------------------------------------------------------------------ */

/* The provider cannot open a drive that is in use: serve errors until it can. */
static void fall_back(struct mapping *mapping, const char *line)
{
	log_write(&mapping->service->log, LOG_LEVEL_ERROR, "%s: %s; the drive answers with errors",
		  mapping->drive.request->target, line);
	set_error(mapping, line);
	if (start_channel(mapping, &mapping->standin))
		log_write(&mapping->service->log, LOG_LEVEL_ERROR, "%s: and not even those can be answered",
			  mapping->drive.request->target);
	change_state(mapping, DRIVE_OPENING, DRIVE_FAILED);
}

static void *run_reload(void *argument)
{
	struct mapping *mapping = argument;
	struct service *service = mapping->service;
	bool answered_before = atomic_load(&mapping->region->initialized);
	struct jsonrpc_error error;
	char line[MAPPING_ERROR_MAX];
	int ret = source_resolve(mapping, &error);

	if (ret)
		text_copy(line, sizeof(line), error.message);
	if (!ret)
		ret = open_source(mapping, line, sizeof(line));
	if (!ret) {
		ret = start_channel(mapping, mapping->fs);
		if (ret)
			text_copy(line, sizeof(line), channel_reason(ret));
	}
	if (!ret) {
		change_state(mapping, DRIVE_OPENING, DRIVE_READY);
		log_write(&service->log, LOG_LEVEL_INFORMATION, "%s: goes on", mapping->drive.request->target);
	} else if (answered_before) {
		fall_back(mapping, line);
	} else {
		log_write(&service->log, LOG_LEVEL_ERROR, "%s: %s; it was not mapped completely and is removed",
			  mapping->drive.request->target, line);
		undo(mapping);
	}
	if (atomic_load(&mapping->gone))
		on_gone(mapping);
	drives_put(service->drives, &mapping->drive);
	service_end_if_idle(service);
	return NULL;
}

/* A drive whose description is damaged cannot be served by anybody. */
static void remove_unreadable(struct service *service, struct keeper_drive *drive, const char *line)
{
	log_write(&service->log, LOG_LEVEL_ERROR, "%s: %s; it is unmounted", drive->target, line);
	keeper_client_remove(service->keeper, drive->id, true, NULL, 0);
}

void mapping_reload(struct service *service, struct keeper_drive *drive)
{
	struct map_request *request = NULL;
	struct mapping *mapping;
	char line[MAPPING_ERROR_MAX] = "out of memory";

	if (spec_load(&request, drive->spec, drive->spec_size, line, sizeof(line))) {
		close(drive->fuse_fd);
		close(drive->region_fd);
		remove_unreadable(service, drive, line);
		return;
	}
	mapping = mapping_create(service, request);
	if (!mapping) {
		close(drive->fuse_fd);
		close(drive->region_fd);
		remove_unreadable(service, drive, "out of memory");
		return;
	}
	mapping->restarted = true;
	if (adopt(mapping, drive) ||
	    drives_reserve(service->drives, &mapping->drive, DRIVE_OPENING, line, sizeof(line))) {
		mapping_destroy(&mapping->drive);
		remove_unreadable(service, drive, line);
		return;
	}
	if (service_start_thread(run_reload, mapping, SERVICE_STACK_LARGE))
		run_reload(mapping);
}

/* FAILED: open the provider once more, and put it in the stand-in's place. */
static void *run_retry(void *argument)
{
	struct mapping *mapping = argument;
	struct service *service = mapping->service;
	struct jsonrpc_error error;
	char line[MAPPING_ERROR_MAX];
	int ret = source_resolve(mapping, &error);

	if (ret)
		text_copy(line, sizeof(line), error.message);
	if (!ret && !mapping->fs)
		ret = open_source(mapping, line, sizeof(line));
	if (ret) {
		set_error(mapping, line);
		change_state(mapping, DRIVE_OPENING, DRIVE_FAILED);
	} else {
		ret = stop_channel(mapping, STOP_MILLISECONDS);
		if (!ret)
			ret = start_channel(mapping, mapping->fs);
		set_error(mapping, ret ? channel_reason(ret) : "");
		change_state(mapping, DRIVE_OPENING, ret ? DRIVE_FAILED : DRIVE_READY);
	}
	if (atomic_load(&mapping->gone))
		on_gone(mapping);
	drives_put(service->drives, &mapping->drive);
	return NULL;
}

void mapping_retry(struct mapping *mapping, int milliseconds)
{
	struct drives *drives = mapping->service->drives;
	struct timespec deadline;
	int ret = 0;

	if (!change_state(mapping, DRIVE_FAILED, DRIVE_OPENING))
		return;
	drives_get(drives, &mapping->drive);
	if (service_start_thread(run_retry, mapping, SERVICE_STACK_LARGE)) {
		change_state(mapping, DRIVE_OPENING, DRIVE_FAILED);
		drives_put(drives, &mapping->drive);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_nsec += (long)milliseconds % 1000 * 1000000;
	deadline.tv_sec += milliseconds / 1000 + deadline.tv_nsec / 1000000000;
	deadline.tv_nsec %= 1000000000;
	pthread_mutex_lock(&mapping->lock);
	while (!ret && drives_state(drives, &mapping->drive) == DRIVE_OPENING)
		ret = pthread_cond_timedwait(&mapping->changed, &mapping->lock, &deadline);
	pthread_mutex_unlock(&mapping->lock);
}
