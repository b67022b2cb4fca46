/* SPDX-License-Identifier: MIT */
#include "service/map_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/plugin.h"
#include "support/text.h"

struct map_request *map_request_create(void)
{
	return calloc(1, sizeof(struct map_request));
}

void map_request_free(struct map_request *request)
{
	if (!request)
		return;
	free(request->target);
	free(request->source);
	free(request->provider);
	free(request->label);
	free(request->cache);
	free(request->folder);
	for (size_t i = 0; i < request->option_count; i++) {
		free((char *)request->options[i].key);
		free((char *)request->options[i].value);
	}
	free(request);
}

/* Where the ':' behind the provider stands, NULL when there is none. */
static const char *find_colon(const char *source)
{
	const char *slash = strchr(source, '/');
	const char *colon = strchr(source, ':');
	const char *object = strstr(source, PLUGIN_SUFFIX ":");

	if (slash && object && (!colon || slash < colon || source[0] == '/'))
		return object + strlen(PLUGIN_SUFFIX);
	return colon;
}

int map_request_set_source(struct map_request *request, const char *source, char *error, size_t error_size)
{
	const char *colon = find_colon(source);
	char *copy, *provider;

	if (!colon || colon == source) {
		snprintf(error, error_size,
			 "\"%.200s\" is no source: write PROVIDER:REST, such as memory: or local:/srv/data", source);
		return -EINVAL;
	}
	copy = text_duplicate(source);
	provider = text_duplicate(source);
	if (!copy || !provider) {
		free(copy);
		free(provider);
		return -ENOMEM;
	}
	provider[colon - source] = '\0';
	free(request->source);
	free(request->provider);
	request->source = copy;
	request->provider = provider;
	request->rest = copy + (colon - source) + 1;
	return 0;
}

int map_request_set_rest(struct map_request *request, const char *rest)
{
	size_t head = strlen(request->provider) + 1;
	size_t size = head + strlen(rest) + 1;
	char *source = malloc(size);

	if (!source)
		return -ENOMEM;
	snprintf(source, size, "%s:%s", request->provider, rest);
	free(request->source);
	request->source = source;
	request->rest = source + head;
	return 0;
}

int map_request_add_option(struct map_request *request, const char *key, const char *value)
{
	struct dw_option *option = &request->options[request->option_count];

	if (request->option_count == MAP_OPTIONS_MAX)
		return -E2BIG;
	option->key = text_duplicate(key);
	option->value = text_duplicate(value);
	if (!option->key || !option->value) {
		free((char *)option->key);
		free((char *)option->value);
		return -ENOMEM;
	}
	request->option_count++;
	return 0;
}
