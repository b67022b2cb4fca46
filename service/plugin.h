/* SPDX-License-Identifier: MIT */
/*
 * plugin.h - shared objects, as the platform loads them
 *
 * One implementation a platform: linux/plugin.c, windows/plugin.c. A plug-in is never unloaded.
 */
#ifndef SERVICE_PLUGIN_H
#define SERVICE_PLUGIN_H

#include <stddef.h>

#define PLUGIN_FOLDERS_MAX 8

#ifdef _WIN32
#define PLUGIN_SUFFIX ".dll"
#else
#define PLUGIN_SUFFIX ".so"
#endif

/*
 * Load the shared object at path and find symbol in it. -ENOENT (no such file), -EINVAL (it is no shared object that
 * can be loaded, or lacks the symbol); error then receives the loader's own words.
 */
int plugin_load(const char *path, const char *symbol, const void **out, char *error, size_t error_size);
/* Call each for the name without suffix of every plug-in in folder; a folder that is not there has none. */
void plugin_list(const char *folder, void (*each)(void *context, const char *name), void *context);

/*
 * The folders in which plug-ins are looked for, in order: the installed one, and in the build tree those where they
 * were built, found beside this program. NULL-terminated; free with plugin_folders_free. -ENOMEM.
 */
int plugin_folders(char *folders[PLUGIN_FOLDERS_MAX + 1]);
void plugin_folders_free(char *folders[PLUGIN_FOLDERS_MAX + 1]);

#endif
