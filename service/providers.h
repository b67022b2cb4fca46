/* SPDX-License-Identifier: MIT */
/*
 * providers.h - who can make a drive
 *
 * A provider is built in, or a plug-in: a shared object NAME.so in the plug-in folder, or one given by its path (with a
 * '/' in it). Built-in ones come first, so that no plug-in can take their place.
 * One that exports driveway_remote instead of driveway_provider (remote.h) becomes a provider of drives by cache.so,
 * which is looked for in the same folders (cache/module.h). A plug-in that was loaded stays loaded until the process
 * ends: its code may be in use by threads that nobody knows of, and drives that are mapped again find it ready.
 *
 * Checked when a provider is found: struct size, version (upper half equal: the same generation; a plug-in that is
 * older within it works, one that is newer may ask for what this host lacks but works too, since it reads
 * dw_host.size), a name and an open function.
 *
 * Threads: all functions may be called from any thread after providers_create; loading takes a lock of its own, which
 * is a leaf but for the dynamic loader's.
 */
#ifndef SERVICE_PROVIDERS_H
#define SERVICE_PROVIDERS_H

#include <driveway/filesystem.h>
#include <stddef.h>

struct providers;

/*
 * builtin: count providers, which stay the caller's; folders: up to PLUGIN_FOLDERS_MAX plug-in folders,
 * NULL-terminated, looked through in order; copied. -ENOMEM.
 */
int providers_create(struct providers **out, const struct dw_provider *const *builtin, size_t count,
		     const char *const *folders);
void providers_destroy(struct providers *providers);

/*
 * The provider called name, or in the shared object name when it has a '/' in it. It lives as long as providers.
 * -ENOENT (no such provider), -EPROTO (built for another version), -EINVAL (not a plug-in), -ENOMEM; error receives one
 * line that says what is wrong and what to do.
 */
int providers_find(struct providers *providers, const char *name, const struct dw_provider **out, char *error,
		   size_t error_size);

/*
 * Call each for every built-in provider and for every plug-in in the folders that loads. origin: "built in" or the
 * plug-in's path; valid for the call.
 */
void providers_each(struct providers *providers,
		    void (*each)(void *context, const struct dw_provider *provider, const char *origin), void *context);

/* Is provider one that this host can use? where: its file, for the message. -EPROTO, -EINVAL; error as above. */
int providers_check(const struct dw_provider *provider, const char *where, char *error, size_t error_size);
/* The same for a file system that a provider has opened. */
int providers_check_filesystem(const struct dw_filesystem *fs, const char *name, char *error, size_t error_size);

#endif
