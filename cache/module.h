/* SPDX-License-Identifier: MIT */
/*
 * module.h - how the service makes a provider of drives of a provider of remotes
 *
 * The cache is a shared object of its own, cache.so in the plug-in folder, which exports one symbol, driveway_cache.
 * service/providers.c loads it when it first meets a plug-in that exports driveway_remote, and wraps that one by it.
 * Service and cache.so are built and installed together: the size is checked, and nothing else.
 */
#ifndef CACHE_MODULE_H
#define CACHE_MODULE_H

#include <driveway/remote.h>

struct cache_module {
	size_t size;
	/* A provider of drives over remotes of remote; lives as long as the process. -ENOMEM, -EPROTO (built for
	 * another version of the interface), -EINVAL (not complete); one line in error. Any thread. */
	int (*wrap)(const struct dw_remote_provider *remote, const struct dw_provider **out, char *error,
		    size_t error_size);
};

/* provider.c: what wrap is. */
int cache_provider_wrap(const struct dw_remote_provider *remote, const struct dw_provider **out, char *error,
			size_t error_size);

#define CACHE_MODULE_SYMBOL "driveway_cache"
#define CACHE_MODULE_NAME   "cache"

#endif
