/* SPDX-License-Identifier: MIT */
#include "service/linux/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/text.h"

static int check_members(json_t *object, bool stored, char *error, size_t error_size)
{
	static const char *const known[] = {"target",	 "source",  "label", "cache",	    "folder",
					    "read_only", "options", "since", "rest_is_path"};
	const size_t count = sizeof(known) / sizeof(known[0]) - (stored ? 0 : 2);
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		bool found = false;

		for (size_t i = 0; i < count && !found; i++)
			found = strcmp(key, known[i]) == 0;
		if (!found) {
			snprintf(error, error_size, "there is no parameter \"%.64s\"", key);
			return -EINVAL;
		}
	}
	return 0;
}

/* A member that is a string, copied; NULL stays where it is absent. */
static int read_string(json_t *object, const char *key, char **out, char *error, size_t error_size)
{
	json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value)) {
		snprintf(error, error_size, "%s must be a string", key);
		return -EINVAL;
	}
	*out = text_duplicate(json_string_value(value));
	return *out ? 0 : -ENOMEM;
}

static int read_bool(json_t *object, const char *key, bool *out, char *error, size_t error_size)
{
	json_t *value = json_object_get(object, key);

	if (!value)
		return 0;
	if (!json_is_boolean(value)) {
		snprintf(error, error_size, "%s must be true or false", key);
		return -EINVAL;
	}
	*out = json_is_true(value);
	return 0;
}

static int add_option(struct map_request *request, const char *key, json_t *value, char *error, size_t error_size)
{
	int ret;

	if (!key || !*key || !json_is_string(value)) {
		snprintf(error, error_size, "options are names with strings as values");
		return -EINVAL;
	}
	ret = map_request_add_option(request, key, json_string_value(value));
	if (ret == -E2BIG) {
		snprintf(error, error_size, "there are more than %d options", MAP_OPTIONS_MAX);
		ret = -EINVAL;
	}
	return ret;
}

static int read_options(struct map_request *request, json_t *options, char *error, size_t error_size)
{
	const char *key;
	json_t *value;
	size_t i;
	int ret = 0;

	if (!options)
		return 0;
	if (json_is_object(options)) {
		json_object_foreach(options, key, value)
		{
			ret = add_option(request, key, value, error, error_size);
			if (ret)
				return ret;
		}
		return 0;
	}
	if (!json_is_array(options)) {
		snprintf(error, error_size, "options must be an object or an array of pairs");
		return -EINVAL;
	}
	json_array_foreach(options, i, value)
	{
		ret = add_option(request, json_string_value(json_array_get(value, 0)), json_array_get(value, 1), error,
				 error_size);
		if (ret)
			return ret;
	}
	return 0;
}

int spec_read(struct map_request **out, json_t *object, bool stored, char *error, size_t error_size)
{
	struct map_request *request = map_request_create();
	const char *source = json_string_value(json_object_get(object, "source"));
	int ret;

	if (!request)
		return -ENOMEM;
	ret = check_members(object, stored, error, error_size);
	if (!ret)
		ret = read_string(object, "target", &request->target, error, error_size);
	if (!ret && (!request->target || request->target[0] != '/')) {
		snprintf(error, error_size, "target must be an absolute path");
		ret = -EINVAL;
	}
	if (!ret && !source) {
		snprintf(error, error_size, "source must be a string");
		ret = -EINVAL;
	}
	if (!ret)
		ret = map_request_set_source(request, source, error, error_size);
	if (!ret)
		ret = read_string(object, "label", &request->label, error, error_size);
	if (!ret)
		ret = read_string(object, "cache", &request->cache, error, error_size);
	if (!ret)
		ret = read_string(object, "folder", &request->folder, error, error_size);
	if (!ret)
		ret = read_bool(object, "read_only", &request->read_only, error, error_size);
	if (!ret)
		ret = read_bool(object, "rest_is_path", &request->rest_is_path, error, error_size);
	if (!ret)
		ret = read_options(request, json_object_get(object, "options"), error, error_size);
	request->since = json_integer_value(json_object_get(object, "since"));
	if (ret)
		map_request_free(request);
	else
		*out = request;
	return ret;
}

int spec_load(struct map_request **out, const void *bytes, size_t size, char *error, size_t error_size)
{
	json_t *object = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);
	int ret;

	if (!json_is_object(object)) {
		json_decref(object);
		snprintf(error, error_size, "the stored description of the drive is damaged");
		return -EINVAL;
	}
	ret = spec_read(out, object, true, error, error_size);
	json_decref(object);
	return ret;
}

char *spec_store(const struct map_request *request)
{
	json_t *options = json_array();
	json_t *object;
	char *text;

	for (size_t i = 0; i < request->option_count; i++) {
		json_t *pair = json_pack("[ss]", request->options[i].key, request->options[i].value);

		if (json_array_append_new(options, pair)) {
			json_decref(options);
			return NULL;
		}
	}
	object = json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:b, s:b, s:I, s:o}", "target", request->target, "source",
			   request->source, "label", request->label, "cache", request->cache, "folder", request->folder,
			   "read_only", request->read_only, "rest_is_path", request->rest_is_path, "since",
			   (json_int_t)request->since, "options", options);
	text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	return text;
}
