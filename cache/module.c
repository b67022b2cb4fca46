/* SPDX-License-Identifier: MIT */
#include "cache/module.h"

#pragma GCC visibility push(default)
extern const struct cache_module driveway_cache;
const struct cache_module driveway_cache = {.size = sizeof(struct cache_module), .wrap = cache_provider_wrap};
#pragma GCC visibility pop
