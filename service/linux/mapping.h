/* SPDX-License-Identifier: MIT */
/*
 * mapping.h - one drive on Linux: keeper, provider and channel put together
 *
 * map      reserve the target in the table, have the keeper mount, open the provider, start the channel, wait until
 *          the drive answers. A step that fails undoes those before it: the mount goes first, so that no program
 *          can reach what is being taken apart.
 *          The keeper mounts before the provider opens because kept memory (dw_host.keep) belongs to a mounted
 *          drive; programs that look at the target in between wait until the drive answers.
 * reload   the same for a drive that the keeper holds from before a restart. When the provider cannot open,
 *          a stand-in (standin.h) serves; when the drive had never answered anybody, it is removed instead.
 * unmap    the keeper unmounts, then the channel is stopped, then the file system closed.
 * finish   the service ends and the drive stays: the channel is stopped, and that is all. Nothing is closed,
 *          because for a file system an orderly end is a death without requests under way.
 *
 * A call into a file system that never returns keeps its channel from stopping. unmap then takes the drive out
 * of the table all the same and has the process end; the next one takes up the other drives.
 *
 * Locks: lock guards error, probing, and the fields of opening; calls guards channel against
 * being freed while a report looks at it. Neither is held while a provider's code runs. lock before calls.
 */
#ifndef SERVICE_LINUX_MAPPING_H
#define SERVICE_LINUX_MAPPING_H

#include <driveway/filesystem.h>
#include <pthread.h>

#include "channel/fuse/channel.h"
#include "service/linux/service.h"
#include "service/options.h"
#include "support/jsonrpc.h"

#define MAPPING_ERROR_MAX 512
#define MAPPING_KEEPS_MAX KEEPER_KEEPS_MAX

/* A region of kept memory that is mapped here. */
struct mapping_keep {
	char name[KEEPER_NAME_MAX];
	void *address;
	uint64_t size;
	int fd;
};

struct mapping {
	struct drive drive; /* first */
	struct dw_host host;
	struct service *service;
	struct options options;
	const struct dw_provider *provider; /* NULL: not found yet */
	char label_buffer[40];
	bool restarted;

	/* From the keeper; 0, -1 and NULL before. */
	uint32_t keeper_id;
	uint32_t queues_possible;
	int fuse_fd;
	struct region *region;
	uint64_t region_bytes;
	struct notifier *notifier;

	struct dw_filesystem *fs; /* the provider's, NULL while there is none */
	struct dw_filesystem standin;
	struct channel *serving; /* where channel_start puts the channel; for calls from inside operations */

	pthread_rwlock_t calls;
	struct channel *channel; /* NULL when there is none that may be called from outside */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	char error[MAPPING_ERROR_MAX]; /* why the provider could not be opened again; "" */
	bool probing;		       /* a thread is inside the file system to ask for its size */
	_Atomic bool gone;	       /* the kernel has closed the connection */
	_Atomic uint64_t errors;       /* lines that the provider logged as errors */

	pthread_mutex_t keeps_lock;
	struct mapping_keep keeps[MAPPING_KEEPS_MAX];
	size_t keep_count;
};

/*
 * Map what request says; takes request over. On success *out is a reference to the drive (drives_put). Blocks
 * as long as the provider does.
 */
int mapping_map(struct service *service, struct map_request *request, struct mapping **out,
		struct jsonrpc_error *error);
/* Unmap drive; with force also when it is in use. The caller keeps its reference. */
int mapping_unmap(struct mapping *mapping, bool force, struct jsonrpc_error *error);
/* Take up drive from before a restart, on a thread of its own; takes its descriptors over. */
void mapping_reload(struct service *service, struct keeper_drive *drive);
/* When the drive is FAILED: try once more on another thread, and wait up to so many milliseconds for the result. */
void mapping_retry(struct mapping *mapping, int milliseconds);
/* The kernel's half is gone: tidy up, on another thread. Only main calls it. */
void mapping_reap(struct mapping *mapping);
/* Stop serving within so many milliseconds, and leave the drive to the next service. */
void mapping_finish(struct mapping *mapping, int milliseconds);

/* host.c: fill in mapping->host. */
void host_prepare(struct mapping *mapping);
/* Unmap the kept memory from this process. */
void host_release(struct mapping *mapping);

/* source.c: find the provider and make all of request absolute; fills in mapping->provider and options. */
int source_resolve(struct mapping *mapping, struct jsonrpc_error *error);
/* Open the provider into mapping->fs. -ENOMEM or what the provider said; error: one line. */
int source_open(struct mapping *mapping, char *error, size_t error_size);
/* target.c: can a drive appear there? */
int target_check(struct mapping *mapping, struct jsonrpc_error *error);

#endif
