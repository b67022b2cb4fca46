/* SPDX-License-Identifier: MIT */
/*
 * source.c - from SOURCE to an open file system
 *
 * source_resolve makes a request complete before anything is mounted: the provider found, options split,
 * paths absolute, label and cache folder filled in. What it leaves in the request is what the keeper
 * stores, so a reload opens exactly the same.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service/linux/mapping.h"
#include "support/state_folder.h"
#include "support/text.h"

static int out_of_memory(struct jsonrpc_error *error)
{
	jsonrpc_fault(error, -ENOMEM, "out of memory");
	return -ENOMEM;
}

/* rest of a provider that takes paths: absolute, symbolic links resolved if it is there. */
static int make_rest_absolute(struct map_request *request, struct jsonrpc_error *error)
{
	char joined[PATH_MAX], resolved[PATH_MAX];
	bool fits;

	if (!*request->rest) {
		jsonrpc_fault(error, -EINVAL, "%s: lacks a path: write %s:PATH", request->provider, request->provider);
		return -EINVAL;
	}
	if (request->rest[0] == '/')
		fits = text_copy(joined, sizeof(joined), request->rest);
	else
		fits = text_format(joined, sizeof(joined), "%s/%s", request->folder ? request->folder : "",
				   request->rest);
	if (!fits) {
		jsonrpc_fault(error, -ENAMETOOLONG, "the path in %.100s... is too long", request->source);
		return -ENAMETOOLONG;
	}
	if (joined[0] != '/') {
		jsonrpc_fault(error, -EINVAL, "%s is not an absolute path and no current folder was given",
			      request->rest);
		return -EINVAL;
	}
	if (map_request_set_rest(request, realpath(joined, resolved) ? resolved : joined))
		return out_of_memory(error);
	request->rest_is_path = true;
	return 0;
}

static int make_label(struct map_request *request, struct jsonrpc_error *error)
{
	char label[TEXT_UUID_SIZE];
	uint8_t random[16];

	if (request->label && strlen(request->label) > 255) {
		jsonrpc_fault(error, -EINVAL, "the label is longer than 255 bytes: shorten it");
		return -EINVAL;
	}
	if (request->label && *request->label)
		return 0;
	if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
		jsonrpc_fault(error, -EIO, "the system has no random numbers for a label: give one with --label");
		return -EIO;
	}
	text_uuid(label, random);
	free(request->label);
	request->label = text_duplicate(label);
	return request->label ? 0 : out_of_memory(error);
}

/* Where the cache of a provider is unless somebody says otherwise. */
static bool default_cache(char *out, size_t size, const char *provider)
{
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (geteuid() == 0)
		return text_format(out, size, "/var/cache/driveway/%s", provider);
	if (cache && cache[0] == '/')
		return text_format(out, size, "%s/driveway/%s", cache, provider);
	return home && home[0] == '/' && text_format(out, size, "%s/.cache/driveway/%s", home, provider);
}

static int make_cache(struct mapping *mapping, struct jsonrpc_error *error)
{
	struct map_request *request = mapping->drive.request;
	char path[PATH_MAX];
	int ret;

	if (request->cache) {
		if (request->cache[0] != '/') {
			jsonrpc_fault(error, -EINVAL, "the cache folder %s must be an absolute path", request->cache);
			return -EINVAL;
		}
		ret = folders_make(request->cache);
		if (!ret && access(request->cache, W_OK | X_OK))
			ret = -errno;
		if (ret)
			jsonrpc_fault(error, ret, "cannot use the cache folder %s: %s", request->cache, strerror(-ret));
		return ret;
	}
	if (!default_cache(path, sizeof(path), mapping->provider->name) || folders_make(path)) {
		/* A home that cannot be written to; the drive can still do without a lasting cache. */
		if (!text_format(path, sizeof(path), "%s/cache/%s", mapping->service->runtime_folder,
				 mapping->provider->name))
			return out_of_memory(error);
		ret = folders_make(path);
		if (ret) {
			jsonrpc_fault(error, ret, "cannot make the cache folder %s: %s: give one with --cache", path,
				      strerror(-ret));
			return ret;
		}
	}
	request->cache = text_duplicate(path);
	return request->cache ? 0 : out_of_memory(error);
}

int source_resolve(struct mapping *mapping, struct jsonrpc_error *error)
{
	struct map_request *request = mapping->drive.request;
	struct dw_option rest[MAP_OPTIONS_MAX];
	char line[MAPPING_ERROR_MAX] = "out of memory";
	size_t rest_count;
	int ret;

	ret = options_split(&mapping->options, request->options, request->option_count, rest, &rest_count, line,
			    sizeof(line));
	if (!ret)
		ret = providers_find(mapping->service->providers, request->provider, &mapping->provider, line,
				     sizeof(line));
	if (ret) {
		jsonrpc_fault(error, ret, "%s", line);
		return ret;
	}
	if (mapping->provider->flags & DW_PROVIDER_PATH)
		ret = make_rest_absolute(request, error);
	if (!ret)
		ret = make_label(request, error);
	if (!ret)
		ret = make_cache(mapping, error);
	if (!request->since)
		request->since = time(NULL);
	return ret;
}

static void override_timeouts(struct dw_filesystem *fs, const struct options *options)
{
	if (options->entry_timeout != DW_TIMEOUT_DEFAULT)
		fs->entry_timeout = options->entry_timeout;
	if (options->attr_timeout != DW_TIMEOUT_DEFAULT)
		fs->attr_timeout = options->attr_timeout;
	if (options->negative_timeout != DW_TIMEOUT_DEFAULT)
		fs->negative_timeout = options->negative_timeout;
}

int source_open(struct mapping *mapping, char *error, size_t error_size)
{
	const struct map_request *request = mapping->drive.request;
	struct dw_option rest[MAP_OPTIONS_MAX];
	struct dw_source source = {
		.size = sizeof(source),
		.rest = request->rest,
		.cache = request->cache,
		.options = rest,
		.read_only = request->read_only,
		.restarted = mapping->restarted,
	};
	struct dw_filesystem *fs = NULL;
	int ret;

	error[0] = '\0';
	ret = options_split(&mapping->options, request->options, request->option_count, rest, &source.option_count,
			    error, error_size);
	if (ret)
		return ret;
	ret = mapping->provider->open(mapping->provider, &source, &mapping->host, &fs, error, error_size);
	if (!ret && !fs)
		ret = -EIO;
	if (ret > 0)
		ret = -EIO;
	if (ret && !*error)
		snprintf(error, error_size, "%s cannot be opened: %s", request->source, strerror(-ret));
	if (ret)
		return ret;
	ret = providers_check_filesystem(fs, mapping->provider->name, error, error_size);
	if (ret)
		return ret;
	override_timeouts(fs, &mapping->options);
	mapping->fs = fs;
	return 0;
}
