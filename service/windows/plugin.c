/* SPDX-License-Identifier: MIT */
#include "service/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

int plugin_load(const char *path, const char *symbol, const void **out, char *error, size_t error_size)
{
	HMODULE module;

	if (GetFileAttributesA(path) == INVALID_FILE_ATTRIBUTES)
		return -ENOENT;
	module = LoadLibraryA(path);
	if (!module) {
		snprintf(error, error_size, "Windows cannot load it, error %lu", GetLastError());
		return -EINVAL;
	}
	*out = (const void *)(uintptr_t)GetProcAddress(module, symbol);
	if (!*out) {
		snprintf(error, error_size, "it does not export %s", symbol);
		FreeLibrary(module);
		return -EINVAL;
	}
	return 0;
}

void plugin_list(const char *folder, void (*each)(void *context, const char *name), void *context)
{
	const size_t suffix = strlen(PLUGIN_SUFFIX);
	WIN32_FIND_DATAA found;
	char pattern[MAX_PATH];
	HANDLE search;

	snprintf(pattern, sizeof(pattern), "%s/*%s", folder, PLUGIN_SUFFIX);
	search = FindFirstFileA(pattern, &found);
	if (search == INVALID_HANDLE_VALUE)
		return;
	do {
		size_t length = strlen(found.cFileName);

		if (length <= suffix)
			continue;
		found.cFileName[length - suffix] = '\0';
		each(context, found.cFileName);
	} while (FindNextFileA(search, &found));
	FindClose(search);
}
