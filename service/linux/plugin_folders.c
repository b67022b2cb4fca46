/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/plugin.h"
#include "support/text.h"

int plugin_folders(char *folders[PLUGIN_FOLDERS_MAX + 1])
{
	static const char *const built[] = {"filesystems/archive", "remotes/box", "remotes/folder", "cache"};
	char self[PATH_MAX], beside[PATH_MAX + 64];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *parent;
	size_t count = 0;

	for (size_t i = 0; i <= PLUGIN_FOLDERS_MAX; i++)
		folders[i] = NULL;
	folders[count] = text_duplicate(PLUGIN_FOLDER);
	if (!folders[count++])
		return -ENOMEM;
	if (length <= 0)
		return 0;
	self[length] = '\0';
	parent = dirname(self);
	for (size_t i = 0; i < sizeof(built) / sizeof(built[0]); i++) {
		if (!text_format(beside, sizeof(beside), "%s/../%s", parent, built[i]) || access(beside, X_OK))
			continue;
		folders[count] = text_duplicate(beside);
		if (!folders[count++]) {
			plugin_folders_free(folders);
			return -ENOMEM;
		}
	}
	return 0;
}

void plugin_folders_free(char *folders[PLUGIN_FOLDERS_MAX + 1])
{
	for (size_t i = 0; folders[i]; i++) {
		free(folders[i]);
		folders[i] = NULL;
	}
}
