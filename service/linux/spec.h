/* SPDX-License-Identifier: MIT */
/*
 * spec.h - a map request as JSON
 *
 * The same object is what `map` receives as its parameters (docs/control.md) and, with everything made absolute and the
 * label filled in, what the keeper stores of a drive, so that the next service can open it again.
 *
 *    {"target": "/mnt/x", "source": "memory:", "label": "...", "cache": "/home/a/.cache/driveway/memory",
 *     "folder": "/home/a", "read_only": false, "options": [["size", "64m"]], "rest_is_path": false, "since":
 * 1900000000}
 *
 * options may also be an object {"size": "64m"}. Pure functions: any thread.
 */
#ifndef SERVICE_LINUX_SPEC_H
#define SERVICE_LINUX_SPEC_H

#include <jansson.h>
#include <stddef.h>

#include "service/map_request.h"

/*
 * Read a request; target and source are required, unknown members refused. -EINVAL with one line in error, -ENOMEM.
 * stored: it comes from the keeper, so "since" and "rest_is_path" are allowed too.
 */
int spec_read(struct map_request **out, json_t *object, bool stored, char *error, size_t error_size);
/* From the keeper's bytes; as spec_read. */
int spec_load(struct map_request **out, const void *bytes, size_t size, char *error, size_t error_size);
/* The text for the keeper, which the caller frees; NULL: no memory, or bytes that are no UTF-8. */
char *spec_store(const struct map_request *request);

#endif
