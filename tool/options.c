/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

static bool append(void *options, const char *key, const char *value)
{
	return json_array_append_new(options, json_pack("[ss]", key, value)) == 0;
}

bool options_add(json_t *options, const char *text)
{
	return options_each(text, append, options);
}
