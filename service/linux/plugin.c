/* SPDX-License-Identifier: MIT */
#include "service/plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int plugin_load(const char *path, const char *symbol, const void **out, char *error, size_t error_size)
{
	void *handle;

	if (access(path, F_OK))
		return -ENOENT;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		snprintf(error, error_size, "%s", dlerror());
		return -EINVAL;
	}
	*out = dlsym(handle, symbol);
	if (!*out) {
		snprintf(error, error_size, "it does not export %s", symbol);
		dlclose(handle);
		return -EINVAL;
	}
	return 0;
}

void plugin_list(const char *folder, void (*each)(void *context, const char *name), void *context)
{
	const size_t suffix = strlen(PLUGIN_SUFFIX);
	DIR *stream = opendir(folder);
	struct dirent *entry;
	char name[256];

	if (!stream)
		return;
	while ((entry = readdir(stream))) {
		size_t length = strlen(entry->d_name);

		if (length <= suffix || strcmp(entry->d_name + length - suffix, PLUGIN_SUFFIX) != 0)
			continue;
		memcpy(name, entry->d_name, length - suffix);
		name[length - suffix] = '\0';
		each(context, name);
	}
	closedir(stream);
}
