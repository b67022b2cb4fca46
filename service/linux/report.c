/* SPDX-License-Identifier: MIT */
#include "service/linux/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "version.h"

#define PROBE_SECONDS 1
#define REPORT_MAX    (256u << 10)

/* A question after the size, on a thread of its own because it may never be answered. */
struct probe {
	struct mapping *mapping;
	char *facts; /* what the file system tells of itself, REPORT_MAX bytes; "": nothing */
	pthread_mutex_t lock;
	pthread_cond_t done_changed;
	bool done;
	bool abandoned; /* nobody waits: the thread frees it */
	int result;
	struct dw_statfs answer;
};

static void probe_free(struct probe *probe)
{
	pthread_mutex_destroy(&probe->lock);
	pthread_cond_destroy(&probe->done_changed);
	free(probe->facts);
	free(probe);
}

static bool has_op(const struct dw_filesystem *fs, size_t offset)
{
	return fs->ops->size >= offset + sizeof(void *) && *(void *const *)((const char *)fs->ops + offset);
}

static void *run_probe(void *argument)
{
	struct probe *probe = argument;
	struct mapping *mapping = probe->mapping;
	struct dw_filesystem *fs = mapping->fs;
	struct dw_notes notes = {0};
	uint32_t interrupted = 0;
	struct dw_request request = {
		.size = sizeof(request),
		.id = UINT64_MAX,
		.uid = (uint32_t)geteuid(),
		.gid = (uint32_t)getegid(),
		.notes = &notes,
		.interrupted = &interrupted,
	};
	struct dw_statfs answer = {0};
	size_t length = REPORT_MAX;
	int result = -ENOSYS;
	bool abandoned;

	if (has_op(fs, offsetof(struct dw_filesystem_ops, statfs)))
		result = fs->ops->statfs(fs, &request, DW_NODE_ROOT, &answer);
	if (has_op(fs, offsetof(struct dw_filesystem_ops, report)) && fs->ops->report(fs, probe->facts, &length))
		probe->facts[0] = '\0';

	pthread_mutex_lock(&mapping->lock);
	mapping->probing = false;
	pthread_cond_broadcast(&mapping->changed);
	pthread_mutex_unlock(&mapping->lock);
	drives_put(mapping->service->drives, &mapping->drive);

	pthread_mutex_lock(&probe->lock);
	probe->result = result;
	probe->answer = answer;
	probe->done = true;
	abandoned = probe->abandoned;
	pthread_cond_signal(&probe->done_changed);
	pthread_mutex_unlock(&probe->lock);
	if (abandoned)
		probe_free(probe);
	return NULL;
}

/* Claim the right to be inside the file system, which unmapping waits for. */
static bool probe_begin(struct mapping *mapping)
{
	struct dw_filesystem *fs = mapping->fs;
	bool claimed = false;

	pthread_mutex_lock(&mapping->lock);
	if (!mapping->probing && drives_state(mapping->service->drives, &mapping->drive) == DRIVE_READY && fs &&
	    (has_op(fs, offsetof(struct dw_filesystem_ops, statfs)) ||
	     has_op(fs, offsetof(struct dw_filesystem_ops, report)))) {
		mapping->probing = true;
		claimed = true;
	}
	pthread_mutex_unlock(&mapping->lock);
	return claimed;
}

static void probe_cancel(struct mapping *mapping)
{
	pthread_mutex_lock(&mapping->lock);
	mapping->probing = false;
	pthread_cond_broadcast(&mapping->changed);
	pthread_mutex_unlock(&mapping->lock);
}

/* 0, or -ETIMEDOUT, -EAGAIN (another question is still under way), or the file system's own error. */
static int ask(struct mapping *mapping, struct dw_statfs *out, json_t **facts)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	pthread_condattr_t attributes;
	struct timespec deadline;
	int ret = 0;
	bool done;

	if (!probe)
		return -ENOMEM;
	probe->facts = calloc(1, REPORT_MAX);
	if (!probe->facts) {
		free(probe);
		return -ENOMEM;
	}
	probe->mapping = mapping;
	pthread_mutex_init(&probe->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&probe->done_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (!probe_begin(mapping)) {
		probe_free(probe);
		return -EAGAIN;
	}
	drives_get(mapping->service->drives, &mapping->drive);
	if (service_start_thread(run_probe, probe, SERVICE_STACK_LARGE)) {
		probe_cancel(mapping);
		drives_put(mapping->service->drives, &mapping->drive);
		probe_free(probe);
		return -EAGAIN;
	}
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += PROBE_SECONDS;
	pthread_mutex_lock(&probe->lock);
	while (!probe->done && !ret)
		ret = -pthread_cond_timedwait(&probe->done_changed, &probe->lock, &deadline);
	done = probe->done;
	probe->abandoned = !done;
	if (done) {
		ret = probe->result;
		*out = probe->answer;
		*facts = json_loads(probe->facts, 0, NULL);
	}
	pthread_mutex_unlock(&probe->lock);
	if (done)
		probe_free(probe);
	return ret;
}

/* Members that only a running channel knows. */
static int add_channel(json_t *object, struct mapping *mapping)
{
	struct channel_status status = {.transport = "none", .reason = ""};
	char protocol[16] = "";
	json_t *more;
	int ret;

	pthread_rwlock_rdlock(&mapping->calls);
	if (mapping->channel)
		channel_status(mapping->channel, &status);
	pthread_rwlock_unlock(&mapping->calls);
	if (status.protocol_minor)
		snprintf(protocol, sizeof(protocol), "7.%u", status.protocol_minor);
	more = json_pack("{s:s, s:s, s:b, s:s, s:I, s:i, s:I}", "transport", status.transport, "transport_reason",
			 status.reason ? status.reason : "", "passthrough", status.passthrough, "protocol", protocol,
			 "requests", (json_int_t)status.requests, "in_flight", (int)status.in_flight, "replays",
			 (json_int_t)status.replays);
	ret = more ? json_object_update(object, more) : -1;
	json_decref(more);
	return ret;
}

json_t *report_brief(struct mapping *mapping)
{
	const struct map_request *request = mapping->drive.request;
	enum drive_state state = drives_state(mapping->service->drives, &mapping->drive);
	char error[MAPPING_ERROR_MAX];
	json_t *object;

	pthread_mutex_lock(&mapping->lock);
	memcpy(error, mapping->error, sizeof(error));
	pthread_mutex_unlock(&mapping->lock);
	object = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:I}", "target", request->target, "source",
			   request->source, "label", request->label ? request->label : "", "provider",
			   request->provider, "read_only", request->read_only, "state", drives_state_name(state),
			   "error", error, "since", (json_int_t)request->since);
	if (object && add_channel(object, mapping)) {
		json_decref(object);
		object = NULL;
	}
	return object;
}

json_t *report_full(struct mapping *mapping)
{
	json_t *object = report_brief(mapping);
	json_t *more, *size = NULL, *facts = NULL;
	struct dw_statfs answer = {0};

	if (!object)
		return NULL;
	if (ask(mapping, &answer, &facts) == 0)
		size = json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)(answer.blocks * answer.block_size),
				 "free", (json_int_t)(answer.blocks_available * answer.block_size), "files",
				 (json_int_t)answer.files, "files_free", (json_int_t)answer.files_free);
	more = json_pack("{s:s?, s:I, s:I, s:o?, s:o?}", "cache", mapping->drive.request->cache, "errors",
			 (json_int_t)atomic_load(&mapping->errors), "restarts", (json_int_t)mapping->service->restarts,
			 "size", size, "provider_status", facts);
	if (!more || json_object_update(object, more)) {
		json_decref(object);
		object = NULL;
	}
	json_decref(more);
	return object;
}

json_t *report_service(struct service *service, json_t *drives)
{
	const char *transport = json_string_value(json_object_get(json_array_get(drives, 0), "transport"));

	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:o}", "version", DRIVEWAY_VERSION, "keeper_pid",
			 (json_int_t)service->keeper_pid, "service_pid", (json_int_t)getpid(), "restarts",
			 (json_int_t)service->restarts, "transport", transport ? transport : "none", "runtime_folder",
			 service->runtime_folder, "drives", drives);
}
