/* SPDX-License-Identifier: MIT */
/*
 * The ring transport, the service's half: completions in, answers out. region.h has the rules; the keeper's pump is the
 * other half. Everything that a queue needs is done by its own thread on its own CPU, because a wake-up across CPUs
 * costs ten times what the request does.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channel_internal.h"

static uint32_t queue_of(const struct region *region, uint32_t index)
{
	return (index - region->plain_count) / region->depth;
}

void ring_wake(struct channel *channel, uint32_t queue)
{
	struct region_queue *q = &channel->region->queues[queue];

	atomic_fetch_add(&q->doorbell, 1);
	(void)syscall(SYS_futex, &q->doorbell, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void ring_post(struct channel *channel, uint32_t index, bool *wake)
{
	struct region *region = channel->region;
	struct region_slot *slot = region_slot(region, index);
	char *buffer = region_buffer(region, index);
	uint32_t queue = queue_of(region, index);
	uint32_t entry = (index - region->plain_count) % region->depth;
	struct fuse_out_header header = {
		.len = (uint32_t)sizeof(header) + slot->reply_size,
		.error = slot->error,
		.unique = slot->in.unique,
	};

	if (!slot->reply_external)
		memcpy(buffer, slot->reply, slot->reply_size);
	else if (slot->reply_offset != 0)
		memcpy(buffer, buffer + slot->reply_offset, slot->reply_size);
	memcpy(slot->ring.in_out, &header, sizeof(header));
	slot->ring.ring_ent_in_out.payload_sz = slot->reply_size;
	if (!region_queue_post(region, queue, UINT64_C(1) << entry))
		return;
	if (wake)
		*wake = true;
	else
		ring_wake(channel, queue);
}

/* The completion of entry: its slot holds a request, from now on ours. */
static void deliver(struct region_slot *slot)
{
	memcpy(&slot->in, slot->ring.in_out, sizeof(slot->in));
	memset(&slot->notes, 0, sizeof(slot->notes));
	slot->op_size = (uint32_t)decode_operation_size(slot->in.opcode, false);
	slot->payload_size = slot->ring.ring_ent_in_out.payload_sz < REGION_PAYLOAD
				     ? slot->ring.ring_ent_in_out.payload_sz
				     : REGION_PAYLOAD;
	slot->attempts = 0;
	slot->running = 0;
	atomic_store_explicit(&slot->interrupted, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->state, SLOT_DELIVERED, memory_order_release);
}

/* Take the completions that are there. Returns the entries that were delivered, one bit each. */
static uint64_t take(struct channel *channel, uint32_t queue)
{
	struct region *region = channel->region;
	struct region_completion completion;
	uint64_t delivered = 0;

	while (region_queue_peek(region, queue, &completion)) {
		uint64_t entry = completion.user_data;

		if (entry < region->depth) {
			struct region_slot *slot = region_slot(region,
							       region_ring_index(region, queue, (uint32_t)entry));

			if (completion.res < 0) {
				atomic_store_explicit(&slot->state, SLOT_DEAD, memory_order_release);
			} else if (atomic_load_explicit(&slot->state, memory_order_acquire) == SLOT_FETCHING) {
				deliver(slot);
				delivered |= UINT64_C(1) << entry;
			}
		}
		region_queue_advance(region, queue);
		if (completion.res == -ENOTCONN || completion.res == -ECONNABORTED)
			channel_hung_up(channel);
	}
	return delivered;
}

static void handle(struct channel *channel, uint32_t queue, uint64_t entries)
{
	bool wake = false;

	while (entries) {
		uint32_t entry = (uint32_t)__builtin_ctzll(entries);

		entries &= entries - 1;
		channel_handle(channel, (uint32_t)region_ring_index(channel->region, queue, entry), &wake);
	}
	if (wake)
		ring_wake(channel, queue);
}

/*
 * What an earlier service left of this queue. Its completions come first: a slot that is FETCHING with a completion
 * holds a new request, and a completion whose slot is past that was seen but not taken off.
 */
static uint64_t take_up(struct channel *channel, uint32_t queue)
{
	struct region *region = channel->region;
	uint64_t fresh = take(channel, queue);

	for (uint32_t entry = 0; entry < region->depth; entry++) {
		uint32_t index = (uint32_t)region_ring_index(region, queue, entry);
		uint64_t bit = UINT64_C(1) << entry;
		struct region_slot *slot = region_slot(region, index);
		uint32_t state;

		if ((fresh & bit) || (atomic_load(&region->queues[queue].done) & bit))
			continue;
		state = atomic_load_explicit(&slot->state, memory_order_acquire);
		if (state == SLOT_ANSWERED)
			ring_post(channel, index, NULL);
		else if (state == SLOT_DELIVERED)
			channel_replay(channel, index, DW_REQUEST_REPLAYED);
	}
	return fresh;
}

static void pin(uint32_t queue)
{
	cpu_set_t *set = CPU_ALLOC(REGION_QUEUES_MAX);
	size_t size = CPU_ALLOC_SIZE(REGION_QUEUES_MAX);

	if (!set)
		return;
	CPU_ZERO_S(size, set);
	CPU_SET_S(queue, size, set);
	(void)sched_setaffinity(0, size, set); /* a CPU that is not ours or not there: it works from any other */
	CPU_FREE(set);
}

void *ring_run(void *context)
{
	struct channel_thread *thread = context;
	struct channel *channel = thread->channel;
	uint32_t queue = thread->number;
	struct region_queue *q = &channel->region->queues[queue];
	uint64_t entries;

	pin(queue);
	entries = take_up(channel, queue);
	while (!atomic_load_explicit(&channel->stopping, memory_order_relaxed)) {
		uint64_t events;

		if (entries) {
			uint64_t before = atomic_load_explicit(&q->requests, memory_order_relaxed);

			atomic_store_explicit(&q->requests, before + (uint64_t)__builtin_popcountll(entries),
					      memory_order_relaxed);
			handle(channel, queue, entries);
		} else if (read(channel->ring_events[queue], &events, sizeof(events)) < 0 && errno != EINTR) {
			channel_log(channel, 0, "queue %u of the ring is lost: %s", queue, strerror(errno));
			break;
		}
		entries = take(channel, queue);
	}
	handle(channel, queue, entries);
	pthread_mutex_lock(&channel->lock);
	atomic_store(&thread->ended, true);
	pthread_cond_broadcast(&channel->changed);
	pthread_mutex_unlock(&channel->lock);
	return NULL;
}

int ring_start(struct channel *channel)
{
	struct region *region = channel->region;
	struct channel_thread *threads = NULL;
	int *events = NULL;
	uint32_t count = 0;
	int error = -ENOMEM;

	if (!channel->config.start_ring)
		return -EOPNOTSUPP;
	events = calloc(REGION_QUEUES_MAX, sizeof(*events));
	threads = calloc(region->queue_count, sizeof(*threads));
	if (!events || !threads)
		goto fail;
	error = channel->config.start_ring(channel->config.context, events, &count);
	if (error)
		goto fail;
	pthread_mutex_lock(&channel->lock);
	channel->ring = threads;
	channel->ring_events = events;
	channel->ring_count = count;
	pthread_mutex_unlock(&channel->lock);
	atomic_store(&channel->on_ring, true);
	atomic_store(&channel->reason, "");
	/* The kernel sends by the ring now: a queue without a thread would hang its callers, so try until it has one.
	 */
	for (uint32_t i = 0; i < count && i < region->queue_count; i++)
		while (channel_spawn(&threads[i], channel, i, ring_run) != 0 && !atomic_load(&channel->stopping))
			usleep(10000);
	return 0;
fail:
	free(events);
	free(threads);
	return error;
}
