/* SPDX-License-Identifier: MIT */
/*
 * map_request.h - what somebody asked for when a drive was mapped
 *
 * It is all that is needed to open the drive again after a restart: it is what the keeper stores, and what
 * provider and channel are set up from. Filled in once, then only read, so any thread may read it.
 */
#ifndef SERVICE_MAP_REQUEST_H
#define SERVICE_MAP_REQUEST_H

#include <driveway/filesystem.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_OPTIONS_MAX 64

struct map_request {
	char *target;	  /* absolute; where the drive appears */
	char *source;	  /* PROVIDER:REST, REST made absolute when it is a path */
	char *provider;	  /* the part of source before ':' */
	const char *rest; /* the part behind it, inside source */
	char *label;
	char *cache;	   /* folder for the provider; NULL: the default */
	char *folder;	   /* the caller's current folder, absolute; relative paths start here. May be NULL */
	bool rest_is_path; /* rest is an absolute path on this machine */
	bool read_only;
	int64_t since; /* seconds since 1970 when the drive was mapped */
	size_t option_count;
	struct dw_option options[MAP_OPTIONS_MAX]; /* all, the host's own too; key and value are owned */
};

/* A request with nothing in it; NULL: no memory. */
struct map_request *map_request_create(void);
void map_request_free(struct map_request *request);

/*
 * Set source and split it. SOURCE is PROVIDER:REST, PROVIDER being a name or the path of a shared object, which ends in
 * ".so" and may hold a ':' itself. -EINVAL (error says more), -ENOMEM.
 */
int map_request_set_source(struct map_request *request, const char *source, char *error, size_t error_size);
/* The same provider with another rest. -ENOMEM. */
int map_request_set_rest(struct map_request *request, const char *rest);
/* Append a copy. -E2BIG (MAP_OPTIONS_MAX), -ENOMEM. */
int map_request_add_option(struct map_request *request, const char *key, const char *value);

#endif
