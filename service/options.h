/* SPDX-License-Identifier: MIT */
/*
 * options.h - the map options that are the host's own
 *
 * Of what people write behind -o, these are for Driveway itself and mean the same for every provider:
 *
 *    transport=auto|io_uring|plain    how requests come from the kernel; auto
 *    passthrough=yes|no               let the kernel read and write backing files itself; yes
 *    allow-other                      every user may use the drive, not only the one who mapped it
 *    default-permissions              the kernel checks owner and mode bits; comes with allow-other
 *    nonempty                         map over a folder that is not empty
 *    entry-timeout=S attr-timeout=S negative-timeout=S
 *                                     seconds that the kernel believes names, attributes and absences;
 *                                     the file system's own
 *    workers=N                        threads for calls that block, 1 to 256; 16
 *    trace                            one line a request in the log
 *
 * All others go to the provider, which refuses what it does not know. Pure functions: any thread.
 */
#ifndef SERVICE_OPTIONS_H
#define SERVICE_OPTIONS_H

#include <driveway/filesystem.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum options_transport {
	OPTIONS_TRANSPORT_AUTO, /* plain, the faster one: docs/architecture.md gives the figures */
	OPTIONS_TRANSPORT_RING,
	OPTIONS_TRANSPORT_PLAIN,
};

struct options {
	enum options_transport transport;
	bool passthrough;
	bool allow_other;
	bool default_permissions;
	bool nonempty;
	bool trace;
	unsigned workers;	   /* 0: the default */
	uint64_t entry_timeout;	   /* nanoseconds; DW_TIMEOUT_DEFAULT: the file system's own */
	uint64_t attr_timeout;	   /* likewise */
	uint64_t negative_timeout; /* likewise */
};

/*
 * Read the host's own from all (count of them) into own; the others are put into rest, which has room for
 * count, and their number into *rest_count; they still belong to all. -EINVAL with one line in error. Of an option
 * given twice the later one holds.
 */
int options_split(struct options *own, const struct dw_option *all, size_t count, struct dw_option *rest,
		  size_t *rest_count, char *error, size_t error_size);

/* Lines "key=what it is\n" of the options above, for help. */
const char *options_help(void);

#endif
