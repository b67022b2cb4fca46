/* SPDX-License-Identifier: MIT */
/*
 * The plain transport. Only slots with all pages of their buffer in place are read into: then the kernel cannot stop
 * half-way through copying a request, and a slot that is FETCHING after a death holds all of one or nothing.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "channel_internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void populate(struct channel *channel, uint32_t index)
{
	uint64_t bit = UINT64_C(1) << index;
	char *buffer = region_buffer(channel->region, index);

	if (atomic_load_explicit(&channel->populated, memory_order_relaxed) & bit)
		return;
	if (madvise(buffer, REGION_BUFFER, MADV_POPULATE_WRITE) != 0) {
		/* Kernels before 5.14: a store that changes nothing does it as well. */
		for (size_t at = 0; at < REGION_BUFFER; at += REGION_PAGE)
			atomic_fetch_or_explicit((_Atomic uint8_t *)(buffer + at), 0, memory_order_relaxed);
	}
	(void)mlock(buffer, REGION_BUFFER); /* where the limit allows */
	atomic_fetch_or_explicit(&channel->populated, bit, memory_order_relaxed);
}

/* The lowest free slot, so that few buffers are ever touched; -1 when the channel stops. Waits for one. */
static int take_slot(struct channel *channel)
{
	for (;;) {
		uint64_t seen = atomic_load(&channel->free_plain);

		while (seen) {
			uint32_t index = (uint32_t)__builtin_ctzll(seen);

			if (atomic_compare_exchange_weak(&channel->free_plain, &seen, seen & (seen - 1))) {
				populate(channel, index);
				return (int)index;
			}
		}
		pthread_mutex_lock(&channel->lock);
		atomic_fetch_add(&channel->waiting_for_slot, 1);
		while (atomic_load(&channel->free_plain) == 0 && !atomic_load(&channel->stopping))
			pthread_cond_wait(&channel->changed, &channel->lock);
		atomic_fetch_sub(&channel->waiting_for_slot, 1);
		pthread_mutex_unlock(&channel->lock);
		if (atomic_load(&channel->stopping))
			return -1;
	}
}

void plain_release(struct channel *channel, uint32_t index)
{
	atomic_fetch_or(&channel->free_plain, UINT64_C(1) << index);
	if (atomic_load(&channel->waiting_for_slot)) {
		pthread_mutex_lock(&channel->lock);
		pthread_cond_broadcast(&channel->changed);
		pthread_mutex_unlock(&channel->lock);
	}
}

void plain_send(struct channel *channel, uint32_t index)
{
	struct region_slot *slot = region_slot(channel->region, index);
	struct fuse_out_header header = {
		.len = (uint32_t)sizeof(header) + slot->reply_size,
		.error = slot->error,
		.unique = slot->in.unique,
	};
	struct iovec parts[2] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = slot->reply, .iov_len = slot->reply_size},
	};

	if (slot->reply_external)
		parts[1].iov_base = (char *)region_buffer(channel->region, index) + slot->reply_offset;
	while (writev(channel->config.fuse_fd, parts, slot->reply_size ? 2 : 1) < 0) {
		if (errno == EINTR || errno == EAGAIN)
			continue;
		/* Given once already, or nobody is there to take it. */
		if (errno == ENOENT || errno == ENODEV || errno == EPERM)
			break;
		channel_log(channel, 0, "the kernel refused the answer to %s: %s",
			    decode_shape(slot->in.opcode)->label ? decode_shape(slot->in.opcode)->label : "a request",
			    strerror(errno));
		if (header.error == -EIO)
			break;
		header.error = -EIO;
		header.len = sizeof(header);
		slot->reply_size = 0;
	}
	atomic_store_explicit(&slot->state, SLOT_IDLE, memory_order_release);
}

/* Read one request into the slot. 0: it is DELIVERED; -EINTR: none came; -ENODEV: the kernel has hung up. */
static int fetch(struct channel *channel, uint32_t index)
{
	struct region_slot *slot = region_slot(channel->region, index);
	struct fuse_in_header *header = region_buffer(channel->region, index);
	ssize_t size;

	memset(header, 0, sizeof(*header));
	memset(&slot->notes, 0, sizeof(slot->notes));
	slot->attempts = 0;
	slot->running = 0;
	atomic_store_explicit(&slot->interrupted, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->state, SLOT_FETCHING, memory_order_release);
	size = read(channel->config.fuse_fd, header, REGION_BUFFER);
	if (size < (ssize_t)sizeof(*header)) {
		int error = size < 0 ? errno : EINTR;

		atomic_store_explicit(&slot->state, SLOT_IDLE, memory_order_release);
		if (error == ENODEV || error == ECONNABORTED || error == EBADF)
			return -ENODEV;
		return -EINTR;
	}
	slot->in = *header;
	slot->op_size = 0;
	slot->payload_size = (uint32_t)((size_t)size - sizeof(*header));
	atomic_store_explicit(&slot->state, SLOT_DELIVERED, memory_order_release);
	return 0;
}

/* Slots as the dead service left them: what was being read becomes DELIVERED or nothing. */
static bool settle(struct channel *channel, uint32_t index)
{
	struct region_slot *slot = region_slot(channel->region, index);
	struct fuse_in_header *header = region_buffer(channel->region, index);

	if (atomic_load_explicit(&slot->state, memory_order_acquire) != SLOT_FETCHING)
		return false;
	if (header->len < sizeof(*header) || header->len > REGION_BUFFER) {
		atomic_store_explicit(&slot->state, SLOT_IDLE, memory_order_release);
		return false;
	}
	slot->in = *header;
	slot->op_size = 0;
	slot->payload_size = header->len - (uint32_t)sizeof(*header);
	atomic_store_explicit(&slot->state, SLOT_DELIVERED, memory_order_release);
	return true;
}

/* The channel's first act, on plain thread 0. */
static void take_up(struct channel *channel)
{
	uint32_t count = channel->region->plain_count;
	uint64_t fresh = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (settle(channel, i))
			fresh |= UINT64_C(1) << i;
		if (atomic_load(&region_slot(channel->region, i)->state) == SLOT_ANSWERED)
			plain_send(channel, i);
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t state = atomic_load(&region_slot(channel->region, i)->state);

		if (state == SLOT_DELIVERED)
			channel_replay(channel, i, fresh & (UINT64_C(1) << i) ? 0 : DW_REQUEST_REPLAYED);
		else
			plain_release(channel, i);
	}
}

static void spawn_others(struct channel *channel)
{
	for (uint32_t i = 1; i < channel->plain_wanted; i++)
		if (channel_spawn(&channel->plain[i], channel, i, plain_run) != 0)
			channel_log(channel, 1, "only %u threads take requests", i);
}

/* INIT is answered, now or by an earlier service: which transport. */
static void choose_transport(struct channel *channel)
{
	struct region *region = channel->region;

	if ((region->init_flags & FUSE_OVER_IO_URING) && !region->ring_failed) {
		int error = ring_start(channel);

		if (error == 0) {
			channel_set_ready(channel, 0);
			return;
		}
		channel_log(channel, 1, "no io_uring: %s", strerror(-error));
		region->ring_failed = 1;
		atomic_store(&channel->reason, "the ring could not be started");
	}
	spawn_others(channel);
	channel_set_ready(channel, 0);
}

void *plain_run(void *context)
{
	struct channel_thread *thread = context;
	struct channel *channel = thread->channel;
	bool chosen = thread->number != 0;
	int slot = -1;

	if (thread->number == 0)
		take_up(channel);
	while (!atomic_load_explicit(&channel->stopping, memory_order_relaxed)) {
		int error;

		if (!chosen && atomic_load_explicit(&channel->region->initialized, memory_order_acquire)) {
			choose_transport(channel);
			chosen = true;
		}
		if (slot < 0)
			slot = take_slot(channel);
		if (slot < 0)
			break;
		error = fetch(channel, (uint32_t)slot);
		if (error == -ENODEV) {
			channel_hung_up(channel);
			break;
		}
		if (error)
			continue;
		atomic_fetch_add_explicit(&channel->region->requests, 1, memory_order_relaxed);
		if (!channel_handle(channel, (uint32_t)slot, NULL))
			slot = -1;
	}
	if (slot >= 0)
		plain_release(channel, (uint32_t)slot);
	pthread_mutex_lock(&channel->lock);
	atomic_store(&thread->ended, true);
	pthread_cond_broadcast(&channel->changed);
	pthread_mutex_unlock(&channel->lock);
	return NULL;
}
