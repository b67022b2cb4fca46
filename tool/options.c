/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "tool/command.h"

bool options_add(json_t *options, const char *text)
{
	char *copy = strdup(text), *from, *to, *start;
	bool more = true;

	if (!copy)
		return false;
	for (from = to = start = copy; more; from++) {
		if (from[0] == '\\' && from[1] == ',') {
			*to++ = *++from;
		} else if (*from && *from != ',') {
			*to++ = *from;
		} else {
			char *value;

			more = *from == ',';
			*to = '\0';
			value = strchr(start, '=');
			if (value)
				*value++ = '\0';
			if (*start && json_array_append_new(options, json_pack("[ss]", start, value ? value : ""))) {
				free(copy);
				return false;
			}
			to = start = from + 1;
		}
	}
	free(copy);
	return true;
}
