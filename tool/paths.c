/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/text.h"

int paths_target(const char *path, char *out)
{
	char copy[PATH_MAX], parent[PATH_MAX], link[2];
	char *name;
	size_t length;

	if (!*path)
		return -ENOENT;
	if (!text_copy(copy, sizeof(copy), path))
		return -ENAMETOOLONG;
	for (length = strlen(copy); length > 1 && copy[length - 1] == '/'; length--)
		copy[length - 1] = '\0';
	name = strrchr(copy, '/');
	name = name ? name + 1 : copy;
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return realpath(copy, out) ? 0 : -errno;
	if (name == copy) {
		if (!realpath(".", parent))
			return -errno;
	} else {
		char first = name[0];

		*name = '\0';
		if (!realpath(copy, parent))
			return -errno;
		*name = first;
	}
	if (!text_format(out, PATH_MAX, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name))
		return -ENAMETOOLONG;
	if (readlink(out, link, sizeof(link)) < 0)
		return 0;
	if (!text_copy(copy, sizeof(copy), out))
		return -ENAMETOOLONG;
	return realpath(copy, out) ? 0 : -errno;
}

char *paths_source(const char *source)
{
	const char *colon = strstr(source, ".so:");
	const char *slash = strchr(source, '/');
	char path[PATH_MAX], absolute[PATH_MAX];
	size_t length, size;
	char *out;

	if (!colon || !slash || slash > colon || strcspn(source, ":") < (size_t)(slash - source))
		return text_duplicate(source);
	length = (size_t)(colon - source) + 3;
	if (length >= sizeof(path))
		return text_duplicate(source);
	memcpy(path, source, length);
	path[length] = '\0';
	if (!realpath(path, absolute))
		return text_duplicate(source);
	size = strlen(absolute) + strlen(source + length) + 1;
	out = malloc(size);
	if (out)
		snprintf(out, size, "%s%s", absolute, source + length);
	return out;
}
