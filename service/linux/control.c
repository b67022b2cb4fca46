/* SPDX-License-Identifier: MIT */
#include "service/linux/control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "service/linux/mapping.h"
#include "service/linux/report.h"
#include "service/linux/spec.h"
#include "support/jsonrpc.h"
#include "support/text.h"
#include "version.h"

#define RETRY_MILLISECONDS 1000

/* A method returns its result (a new reference), or NULL with error filled in. */
typedef json_t *(*method_function)(struct service *service, json_t *params, struct jsonrpc_error *error);

static json_t *or_out_of_memory(json_t *result, struct jsonrpc_error *error)
{
	if (!result)
		jsonrpc_refuse(error, JSONRPC_INTERNAL_ERROR, "out of memory, or a name that is not valid UTF-8");
	return result;
}

/* params may have no members but those in known (count of them). */
static bool check_params(json_t *params, const char *const *known, size_t count, struct jsonrpc_error *error)
{
	const char *key;
	json_t *value;

	json_object_foreach(params, key, value)
	{
		bool found = false;

		for (size_t i = 0; i < count && !found; i++)
			found = strcmp(key, known[i]) == 0;
		if (!found) {
			jsonrpc_refuse(error, JSONRPC_INVALID_PARAMS, "there is no parameter \"%.64s\"", key);
			return false;
		}
	}
	return true;
}

static json_t *method_map(struct service *service, json_t *params, struct jsonrpc_error *error)
{
	struct map_request *request;
	struct mapping *mapping;
	char line[MAPPING_ERROR_MAX] = "out of memory";
	json_t *result;

	if (spec_read(&request, params, false, line, sizeof(line))) {
		jsonrpc_fault(error, -EINVAL, "%s", line);
		return NULL;
	}
	if (mapping_map(service, request, &mapping, error))
		return NULL;
	result = report_brief(mapping);
	drives_put(service->drives, &mapping->drive);
	return or_out_of_memory(result, error);
}

/* The drive that params name; a reference. */
static struct mapping *find_target(struct service *service, json_t *params, struct jsonrpc_error *error)
{
	const char *target = json_string_value(json_object_get(params, "target"));
	struct drive *drive;

	if (!target) {
		jsonrpc_refuse(error, JSONRPC_INVALID_PARAMS, "target must be a string");
		return NULL;
	}
	drive = drives_find(service->drives, target);
	if (!drive)
		jsonrpc_fault(error, -ENOENT, "%s is not mapped: driveway list shows what is", target);
	return (struct mapping *)drive;
}

static json_t *method_unmap(struct service *service, json_t *params, struct jsonrpc_error *error)
{
	static const char *const known[] = {"target", "force"};
	json_t *force = json_object_get(params, "force");
	struct mapping *mapping;
	int ret;

	if (!check_params(params, known, 2, error))
		return NULL;
	if (force && !json_is_boolean(force)) {
		jsonrpc_refuse(error, JSONRPC_INVALID_PARAMS, "force must be true or false");
		return NULL;
	}
	mapping = find_target(service, params, error);
	if (!mapping)
		return NULL;
	ret = mapping_unmap(mapping, json_is_true(force), error);
	drives_put(service->drives, &mapping->drive);
	return ret ? NULL : or_out_of_memory(json_object(), error);
}

/* Every drive through report. NULL: no memory. */
static json_t *report_all(struct service *service, json_t *(*report)(struct mapping *mapping))
{
	struct drive *drives[DRIVES_MAX];
	size_t count = drives_snapshot(service->drives, drives);
	json_t *list = json_array();
	bool complete = list != NULL;

	for (size_t i = 0; i < count; i++) {
		struct mapping *mapping = (struct mapping *)drives[i];

		mapping_retry(mapping, RETRY_MILLISECONDS);
		if (json_array_append_new(list, report(mapping)))
			complete = false;
		drives_put(service->drives, drives[i]);
	}
	if (!complete) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *method_list(struct service *service, json_t *params, struct jsonrpc_error *error)
{
	json_t *list;

	if (!check_params(params, NULL, 0, error))
		return NULL;
	list = or_out_of_memory(report_all(service, report_brief), error);
	return list ? or_out_of_memory(json_pack("{s:o}", "drives", list), error) : NULL;
}

static json_t *method_status(struct service *service, json_t *params, struct jsonrpc_error *error)
{
	static const char *const known[] = {"target"};
	struct mapping *mapping;
	json_t *list, *one;

	if (!check_params(params, known, 1, error))
		return NULL;
	if (!json_object_get(params, "target")) {
		list = report_all(service, report_full);
	} else {
		mapping = find_target(service, params, error);
		if (!mapping)
			return NULL;
		mapping_retry(mapping, RETRY_MILLISECONDS);
		one = report_full(mapping);
		drives_put(service->drives, &mapping->drive);
		list = one ? json_pack("[o]", one) : NULL;
	}
	if (!or_out_of_memory(list, error))
		return NULL;
	return or_out_of_memory(report_service(service, list), error);
}

static void add_provider(void *context, const struct dw_provider *provider, const char *origin)
{
	json_array_append_new(context, json_pack("{s:s, s:s, s:s, s:b, s:s}", "name", provider->name, "summary",
						 provider->summary ? provider->summary : "", "options",
						 provider->options ? provider->options : "", "takes_path",
						 (provider->flags & DW_PROVIDER_PATH) != 0, "origin", origin));
}

static json_t *method_providers(struct service *service, json_t *params, struct jsonrpc_error *error)
{
	json_t *list;

	if (!check_params(params, NULL, 0, error))
		return NULL;
	list = or_out_of_memory(json_array(), error);
	if (!list)
		return NULL;
	providers_each(service->providers, add_provider, list);
	return or_out_of_memory(json_pack("{s:o, s:s}", "providers", list, "options", options_help()), error);
}

static json_t *method_version(struct service *service, json_t *params, struct jsonrpc_error *error)
{
	if (!check_params(params, NULL, 0, error))
		return NULL;
	return or_out_of_memory(json_pack("{s:s, s:I, s:I, s:i}", "version", DRIVEWAY_VERSION, "keeper_pid",
					  (json_int_t)service->keeper_pid, "service_pid", (json_int_t)getpid(),
					  "interface", (int)(DW_API_VERSION >> 16)),
				error);
}

static method_function find_method(const char *name)
{
	static const struct {
		const char *name;
		method_function function;
	} methods[] = {
		{"map", method_map},	   {"unmap", method_unmap},	    {"list", method_list},
		{"status", method_status}, {"providers", method_providers}, {"version", method_version},
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, name) == 0)
			return methods[i].function;
	}
	return NULL;
}

char *control_handle(struct service *service, const char *line, size_t length)
{
	struct jsonrpc_request request;
	struct jsonrpc_error error = {0};
	method_function method;
	json_t *result = NULL;
	char *answer = NULL;

	if (jsonrpc_parse_request(&request, line, length, &error)) {
		answer = jsonrpc_write_error(request.id, &error);
		goto out;
	}
	method = find_method(request.method);
	if (method)
		result = method(service, request.params, &error);
	else
		jsonrpc_refuse(&error, JSONRPC_METHOD_NOT_FOUND, "there is no method \"%.64s\"", request.method);
	if (!request.id)
		json_decref(result);
	else if (result)
		answer = jsonrpc_write_result(request.id, result);
	else
		answer = jsonrpc_write_error(request.id, &error);
out:
	jsonrpc_request_clear(&request);
	return answer;
}
