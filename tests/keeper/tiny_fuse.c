/* SPDX-License-Identifier: MIT */
#include "tests/keeper/tiny_fuse.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NO_REPLY 1

static void fill_root(struct fuse_attr *attr)
{
	attr->ino = 1;
	attr->mode = S_IFDIR | 0755;
	attr->nlink = 2;
	attr->uid = geteuid();
	attr->gid = getegid();
}

/* The answer to one request: its size in out, or a negative errno, or NO_REPLY. INIT is not here. */
static int answer(const struct fuse_in_header *in, void *out, uint32_t *size)
{
	*size = 0;
	switch (in->opcode) {
	case FUSE_GETATTR: {
		struct fuse_attr_out attr = {0};

		fill_root(&attr.attr);
		memcpy(out, &attr, sizeof(attr));
		*size = sizeof(attr);
		return in->nodeid == 1 ? 0 : -ESTALE;
	}
	case FUSE_LOOKUP:
		return -ENOENT;
	case FUSE_OPENDIR:
	case FUSE_OPEN: {
		struct fuse_open_out open = {0};

		memcpy(out, &open, sizeof(open));
		*size = sizeof(open);
		return 0;
	}
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_SYNCFS:
	case FUSE_DESTROY:
		return 0;
	case FUSE_STATFS: {
		struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};

		memcpy(out, &statfs, sizeof(statfs));
		*size = sizeof(statfs);
		return 0;
	}
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return NO_REPLY;
	default:
		return -ENOSYS;
	}
}

static void answer_init(const struct fuse_init_in *in, bool ring, struct region *region, struct fuse_init_out *out)
{
	uint64_t offered = in->flags | ((uint64_t)in->flags2 << 32);
	uint64_t flags = offered & (FUSE_MAX_PAGES | FUSE_INIT_EXT);

	if (ring && offered & FUSE_INIT_EXT && offered & FUSE_OVER_IO_URING)
		flags |= FUSE_OVER_IO_URING;
	memset(out, 0, sizeof(*out));
	out->major = FUSE_KERNEL_VERSION;
	out->minor = in->minor;
	out->flags = (uint32_t)flags;
	out->flags2 = (uint32_t)(flags >> 32);
	out->max_readahead = in->max_readahead;
	out->max_write = REGION_PAYLOAD;
	out->max_pages = REGION_PAYLOAD / 4096;
	region->minor = in->minor;
	region->init_flags = flags;
	region->max_write = REGION_PAYLOAD;
}

bool tiny_fuse_has_ring(const struct region *region)
{
	return region->init_flags & FUSE_OVER_IO_URING;
}

static int send_reply(int fuse_fd, uint64_t unique, int error, const void *body, uint32_t size)
{
	char reply[1024];
	struct fuse_out_header header = {
		.len = (uint32_t)sizeof(header) + (error ? 0 : size), .error = error, .unique = unique};

	memcpy(reply, &header, sizeof(header));
	if (!error)
		memcpy(reply + sizeof(header), body, size);
	return write(fuse_fd, reply, header.len) < 0 && errno != ENOENT ? -errno : 0;
}

int tiny_fuse_serve(int fuse_fd, struct region *region, bool ring, void (*started)(void *context), void *context)
{
	struct region_slot *slot = region_slot(region, 0);
	char *buffer = region_buffer(region, 0);
	struct fuse_in_header *in = (struct fuse_in_header *)buffer;

	if (atomic_load(&region->initialized) && started)
		started(context);
	for (;;) {
		char body[512];
		uint32_t size;
		int error;

		/* Slot 0 holds the request until it is answered; a predecessor may have left one. */
		if (atomic_load(&slot->state) == SLOT_IDLE || in->len == 0) {
			memset(in, 0, sizeof(*in));
			atomic_store(&slot->state, SLOT_FETCHING);
			if (read(fuse_fd, buffer, REGION_BUFFER) < 0) {
				if (errno == EINTR || errno == ENOENT || errno == EAGAIN)
					continue;
				return errno == ENODEV ? 0 : -errno;
			}
		}
		if (in->opcode == FUSE_INIT) {
			struct fuse_init_out init;

			answer_init((struct fuse_init_in *)(in + 1), ring, region, &init);
			error = send_reply(fuse_fd, in->unique, 0, &init, sizeof(init));
			if (error)
				return error;
			atomic_store(&region->initialized, 1);
			if (started)
				started(context);
		} else {
			error = answer(in, body, &size);
			if (error != NO_REPLY)
				error = send_reply(fuse_fd, in->unique, error, body, size);
			if (error < 0)
				return error;
		}
		atomic_fetch_add(&region->requests, 1);
		memset(in, 0, sizeof(*in));
		atomic_store(&slot->state, SLOT_IDLE);
	}
}

static void post(struct region *region, uint32_t queue, uint32_t entry)
{
	struct region_slot *slot = region_slot(region, region_ring_index(region, queue, entry));
	struct fuse_out_header out = {.unique = slot->in.unique, .error = slot->error};

	out.len = (uint32_t)sizeof(out) + slot->reply_size;
	memcpy(region_buffer(region, region_ring_index(region, queue, entry)), slot->reply, slot->reply_size);
	memcpy(slot->ring.in_out, &out, sizeof(out));
	slot->ring.ring_ent_in_out.payload_sz = slot->reply_size;
	if (region_queue_post(region, queue, 1ull << entry)) {
		atomic_fetch_add(&region->queues[queue].doorbell, 1);
		syscall(SYS_futex, (uint32_t *)&region->queues[queue].doorbell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	}
}

static void handle(struct region *region, uint32_t queue, uint32_t entry)
{
	struct region_slot *slot = region_slot(region, region_ring_index(region, queue, entry));
	int error = answer(&slot->in, slot->reply, &slot->reply_size);

	slot->error = error < 0 ? error : 0;
	if (slot->error)
		slot->reply_size = 0;
	atomic_fetch_add(&region->requests, 1);
	atomic_store(&slot->state, SLOT_ANSWERED);
	post(region, queue, entry);
}

static void take_up(struct region *region, uint32_t queue)
{
	for (uint32_t entry = 0; entry < region->depth; entry++) {
		struct region_slot *slot = region_slot(region, region_ring_index(region, queue, entry));
		bool posted = atomic_load(&region->queues[queue].done) & 1ull << entry;
		uint32_t state = atomic_load(&slot->state);

		if (posted || (state != SLOT_ANSWERED && state != SLOT_DELIVERED))
			continue;
		atomic_fetch_add(&region->replays, 1);
		if (state == SLOT_ANSWERED)
			post(region, queue, entry);
		else
			handle(region, queue, entry);
	}
}

/* Completions whose slots were marked before their taker died, but which he could not take any more. */
static bool is_new(const struct region_slot *slot)
{
	return atomic_load(&slot->state) == SLOT_FETCHING;
}

void tiny_fuse_serve_queue(struct region *region, uint32_t queue, int event, uint32_t dwell_us)
{
	struct region_completion completion;
	uint32_t dead = 0;
	uint64_t count;

	if (region_queue_peek(region, queue, &completion) && completion.res >= 0 &&
	    completion.user_data < region->depth &&
	    !is_new(region_slot(region, region_ring_index(region, queue, (uint32_t)completion.user_data))))
		region_queue_advance(region, queue);
	take_up(region, queue);
	while (dead < region->depth) {
		while (region_queue_peek(region, queue, &completion)) {
			uint32_t entry = (uint32_t)completion.user_data;
			struct region_slot *slot = region_slot(region, region_ring_index(region, queue, entry));

			if (completion.res < 0) {
				atomic_store(&slot->state, SLOT_DEAD);
				region_queue_advance(region, queue);
				dead++;
				continue;
			}
			memcpy(&slot->in, slot->ring.in_out, sizeof(slot->in));
			atomic_store(&slot->state, SLOT_DELIVERED);
			region_queue_advance(region, queue);
			if (dwell_us && slot->in.unique % 16 == 0)
				usleep(dwell_us);
			handle(region, queue, entry);
		}
		if (dead < region->depth && read(event, &count, sizeof(count)) < 0 && errno != EINTR)
			return;
	}
}
