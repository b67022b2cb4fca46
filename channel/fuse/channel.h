/* SPDX-License-Identifier: MIT */
/*
 * channel.h - one drive's conversation with the kernel
 *
 * A channel takes the requests of one mounted drive from its region (region.h), calls the
 * dw_filesystem for each and answers. It knows nothing of keeper or control endpoint: the service gives it
 * descriptors and a function to start the ring with.
 *
 * Inside:
 *    decode.c      request bytes -> struct fuse_request; checks every length (fuzzed)
 *    dispatch_*.c  one file a family of operations: calls the file system, stores the reply in the slot
 *    init.c        negotiation of protocol version and features
 *    reply.c       storing replies; conversion of attributes, times, errors
 *    plain.c       transport: read and write of /dev/fuse
 *    ring.c        transport: completion queues of the keeper's io_urings
 *    notify.c      invalidation and other messages that we begin
 *    channel.c     threads, take-up after a restart, stopping
 *
 * Life of a request: transport marks the slot DELIVERED -> decode -> if the file system has DW_FS_NOWAIT: dispatch on
 * this thread with DW_REQUEST_NOWAIT; on -EAGAIN, or without the flag: dispatch on a worker
 * -> reply stored, slot ANSWERED -> transport sends it. The reply of every operation that is not
 * repeatable is in the slot before the kernel can see it, so a death at any point in between repeats the answer and not
 * the operation; a death inside the operation is the file system's to recognise (filesystem.h, "Survival").
 *
 * A request that was under way during three deaths of the service by its own fault (not SIGKILL or SIGTERM)
 * is answered with EIO: one poisonous request must not hang the drive for ever.
 */
#ifndef CHANNEL_FUSE_CHANNEL_H
#define CHANNEL_FUSE_CHANNEL_H

#include <driveway/filesystem.h>
#include <stdbool.h>
#include <stdint.h>

#include "notifier.h"
#include "region.h"

struct channel;

struct channel_config {
	int fuse_fd;		   /* the mount's /dev/fuse; stays the caller's and open for the channel's life */
	struct region *region;	   /* mapped shared and writable; stays the caller's */
	struct notifier *notifier; /* of region; stays the caller's. Sends while the channel is ready */
	struct dw_filesystem *fs;  /* stays the caller's; used until channel_stop has returned */
	bool read_only;
	bool default_permissions; /* the mount has it: the kernel checks modes; ACLs and id mapping are possible */
	bool want_ring;		  /* use io_uring where the kernel has it */
	bool want_passthrough;	  /* negotiate passthrough if fs asks for it (DW_FS_BACKING) and the kernel has it */
	bool poisoned;		  /* the last service died by its own fault: count attempts */
	unsigned plain_threads;	  /* on the plain transport; 0: one a CPU, 2 to 4 */
	unsigned workers_max;	  /* 0: 16 */
	int stack_depth;	  /* for passthrough, 1 or 2; 0: 2 */
	/*
	 * Start the ring: ask the keeper. ring_fds has room for REGION_QUEUES_MAX; on success ring_fds[0 .. *count-1]
	 * are eventfds, one a queue, which count completions (region.h, "ring"), for the channel to close. Called at
	 * most once, after INIT, from a channel thread. A negative errno: plain.
	 */
	int (*start_ring)(void *context, int *ring_fds, uint32_t *count);
	/* The kernel has closed the connection (unmounted or aborted). Called once, from a channel thread, which then
	 * ends. */
	void (*gone)(void *context);
	/* One line a request, only when trace is true. */
	void (*log)(void *context, int level, const char *message);
	bool trace;
	void *context;
};

struct channel_status {
	const char *transport; /* "io_uring", "plain"; "starting" before INIT */
	const char *reason;    /* why not io_uring, one phrase; "" where it is or was not wanted */
	uint32_t protocol_minor;
	bool passthrough;
	uint64_t requests; /* answered since the drive was mapped */
	uint64_t replays;  /* of them taken up after a death */
	uint32_t in_flight;
};

/* Is a region, of which so many bytes are mapped, one that this code understands? 0 or -EPROTO. */
int channel_check_region(const struct region *region, uint64_t bytes);
/*
 * Take up what an earlier service left in the region, then serve. Returns when the threads run; a fresh drive
 * answers once INIT has come (channel_wait). -ENOMEM, -EAGAIN (no threads), -EPROTO (region of another version).
 */
int channel_start(struct channel **out, const struct channel_config *config);
/* Wait until the drive answers programs. milliseconds; -ETIMEDOUT, -ENODEV (gone), -EPROTO (kernel too old). */
int channel_wait(struct channel *channel, int milliseconds);
/*
 * Take no more requests, finish those under way, end the threads. Requests that come in between wait in the
 * kernel for the next channel_start. Frees channel. Returns -ETIMEDOUT after milliseconds when a call into the file
 * system does not return; the channel then lives on and the process had better end (its requests are replayed).
 */
int channel_stop(struct channel *channel, int milliseconds);
void channel_status(struct channel *channel, struct channel_status *out);
/* All at once for the trace switch. */
void channel_set_trace(struct channel *channel, bool trace);

/* The parts of dw_host that are the channel's; same errors. Safe from any thread while the channel lives. */
int channel_backing_open(struct channel *channel, int fd, uint32_t *id);
int channel_backing_close(struct channel *channel, uint32_t id);

#endif
