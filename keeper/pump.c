/* SPDX-License-Identifier: MIT */
#include "keeper/pump.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "keeper/ring.h"

#define STACK_SIZE (64u << 10)

/* What the threads are to do: set by pump_start and pump_destroy, under lock. */
enum order { ORDER_WAIT, ORDER_GO, ORDER_END };

struct pump_queue {
	struct pump *pump;
	uint32_t index;
	int event;
	bool open; /* ring and event exist */
	bool running;
	bool reported; /* under pump->lock: the first entry is registered or refused */
	_Atomic bool ended;
	pthread_t thread;
	struct ring ring;
	struct iovec buffers[REGION_DEPTH_MAX][2]; /* of REGISTER: headers, payload */
};

struct pump {
	struct region *region;
	int fuse_fd;
	uint32_t queue_count; /* the region's shape as it was made: what stands in the region may be scribbled over */
	uint32_t depth;
	uint32_t plain_count;
	size_t bytes; /* of this mapping */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum order order; /* under lock */
	int error;	  /* under lock: the first refusal */
	_Atomic bool stop;
	struct pump_queue queues[];
};

static long futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
	return syscall(SYS_futex, (uint32_t *)word, operation, value, NULL, NULL, 0);
}

static void pause_shortly(void)
{
	struct timespec pause = {.tv_nsec = 1000000};

	nanosleep(&pause, NULL);
}

static void ring_bell(struct region_queue *shared)
{
	atomic_fetch_add_explicit(&shared->doorbell, 1, memory_order_seq_cst);
	futex(&shared->doorbell, FUTEX_WAKE, INT_MAX);
}

static uint64_t slot_index(const struct pump_queue *queue, uint32_t entry)
{
	return queue->pump->plain_count + (uint64_t)queue->index * queue->pump->depth + entry;
}

static void *slot_buffer(const struct pump *pump, uint64_t index)
{
	return (char *)pump->region + region_buffers_offset(pump->queue_count, pump->depth, pump->plain_count) +
	       index * (uint64_t)REGION_BUFFER;
}

static int prepare_command(struct pump_queue *queue, uint32_t command, uint32_t queue_id, uint32_t entry,
			   uint64_t commit_id)
{
	struct fuse_uring_cmd_req request = {.commit_id = commit_id, .qid = (uint16_t)queue_id};
	struct io_uring_sqe *sqe = ring_prepare(&queue->ring);

	if (!sqe)
		return -EIO;
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = queue->pump->fuse_fd;
	sqe->cmd_op = command;
	sqe->user_data = entry;
	memcpy(sqe->cmd, &request, sizeof(request));
	if (command == FUSE_IO_URING_CMD_REGISTER) {
		sqe->addr = (uint64_t)(uintptr_t)queue->buffers[entry];
		sqe->len = 2;
	}
	return 0;
}

static int register_entries(struct pump_queue *queue, uint32_t first, uint32_t end)
{
	int ret = 0;

	for (uint32_t entry = first; entry < end && !ret; entry++) {
		uint64_t index = slot_index(queue, entry);
		struct region_slot *slot = region_slot(queue->pump->region, index);

		queue->buffers[entry][0] = (struct iovec){&slot->ring, sizeof(slot->ring)};
		queue->buffers[entry][1] = (struct iovec){slot_buffer(queue->pump, index), REGION_BUFFER};
		atomic_store_explicit(&slot->state, SLOT_FETCHING, memory_order_release);
		ret = prepare_command(queue, FUSE_IO_URING_CMD_REGISTER, queue->index, entry, 0);
	}
	return ret ? ret : ring_submit(&queue->ring);
}

/* Give the kernel the answers whose bits are set. On an error those that were not reached keep their bits. */
static int commit_entries(struct pump_queue *queue, uint64_t done)
{
	struct region_queue *shared = &queue->pump->region->queues[queue->index];

	for (; done; done &= done - 1) {
		uint32_t entry = (uint32_t)__builtin_ctzll(done);
		uint32_t answered = SLOT_ANSWERED;
		struct region_slot *slot;
		uint64_t commit_id = 0;
		bool ours = false;
		int ret;

		if (ring_full(&queue->ring)) {
			ret = ring_submit(&queue->ring);
			if (ret)
				return ret;
		}
		if (entry < queue->pump->depth) {
			slot = region_slot(queue->pump->region, slot_index(queue, entry));
			commit_id = slot->ring.ring_ent_in_out.commit_id;
			ours = atomic_compare_exchange_strong_explicit(&slot->state, &answered, SLOT_FETCHING,
								       memory_order_acq_rel, memory_order_acquire);
		}
		atomic_fetch_and_explicit(&shared->done, ~(1ull << entry), memory_order_release);
		if (ours)
			prepare_command(queue, FUSE_IO_URING_CMD_COMMIT_AND_FETCH, queue->index, entry, commit_id);
	}
	return ring_submit(&queue->ring);
}

static void serve(struct pump_queue *queue)
{
	struct region_queue *shared = &queue->pump->region->queues[queue->index];

	while (!atomic_load_explicit(&queue->pump->stop, memory_order_acquire)) {
		uint32_t bell = atomic_load_explicit(&shared->doorbell, memory_order_seq_cst);
		uint64_t done = atomic_load_explicit(&shared->done, memory_order_seq_cst);

		if (done || queue->ring.unsubmitted) {
			if (commit_entries(queue, done))
				pause_shortly();
			continue;
		}
		atomic_store_explicit(&shared->sleeping, 1, memory_order_seq_cst);
		if (!atomic_load_explicit(&shared->done, memory_order_seq_cst) &&
		    !atomic_load_explicit(&queue->pump->stop, memory_order_seq_cst))
			futex(&shared->doorbell, FUTEX_WAIT, bell);
		atomic_store_explicit(&shared->sleeping, 0, memory_order_seq_cst);
	}
}

static void *run(void *argument)
{
	struct pump_queue *queue = argument;
	struct pump *pump = queue->pump;
	enum order order;
	char name[16];
	cpu_set_t cpu;
	int ret;

	snprintf(name, sizeof(name), "pump-%u", queue->index);
	prctl(PR_SET_NAME, name);
	CPU_ZERO(&cpu);
	CPU_SET(queue->index, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu); /* refused where this CPU is not ours: unpinned is right then */

	ret = register_entries(queue, 0, 1);
	if (!ret)
		ret = ring_failure(&queue->ring);
	pthread_mutex_lock(&pump->lock);
	queue->reported = true;
	if (ret && !pump->error)
		pump->error = ret;
	pthread_cond_broadcast(&pump->changed);
	while (pump->order == ORDER_WAIT)
		pthread_cond_wait(&pump->changed, &pump->lock);
	order = pump->order;
	pthread_mutex_unlock(&pump->lock);

	if (order == ORDER_GO) {
		register_entries(queue, 1, pump->depth); /* a failure leaves them unsubmitted: serve tries again */
		serve(queue);
	}
	atomic_store(&queue->ended, true);
	return NULL;
}

static int open_queue(struct pump_queue *queue)
{
	struct region *region = queue->pump->region;
	struct region_queue *shared = &region->queues[queue->index];
	uint32_t completions = RING_SUBMISSIONS;
	int ret;

	while (completions < 2 * queue->pump->depth)
		completions *= 2;
	ret = ring_open(&queue->ring, region_completions(region, queue->index), completions);
	if (ret)
		return ret;
	shared->cq_head = queue->ring.cq_head;
	shared->cq_tail = queue->ring.cq_tail;
	shared->cq_entries = queue->ring.cq_entries;
	shared->cq_mask = queue->ring.cq_mask;
	queue->event = eventfd(0, EFD_CLOEXEC);
	if (queue->event < 0 ||
	    syscall(SYS_io_uring_register, queue->ring.fd, IORING_REGISTER_EVENTFD, &queue->event, 1)) {
		ret = -errno;
		if (queue->event >= 0)
			close(queue->event);
		ring_close(&queue->ring);
		return ret;
	}
	queue->open = true;
	return 0;
}

int pump_create(struct pump **out, struct region *region, int fuse_fd)
{
	uint32_t count = region->queue_count;
	size_t bytes = sizeof(struct pump) + count * sizeof(struct pump_queue);
	struct pump *pump;
	int ret = 0;

	*out = NULL;
	if (!count || count > REGION_QUEUES_MAX || !region->depth || region->depth > REGION_DEPTH_MAX ||
	    sysconf(_SC_PAGESIZE) != REGION_PAGE)
		return -EOPNOTSUPP;
	pump = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pump == MAP_FAILED)
		return -ENOMEM;
	pump->region = region;
	pump->fuse_fd = fuse_fd;
	pump->queue_count = count;
	pump->depth = region->depth;
	pump->plain_count = region->plain_count;
	pump->bytes = bytes;
	pthread_mutex_init(&pump->lock, NULL);
	pthread_cond_init(&pump->changed, NULL);
	for (uint32_t i = 0; i < count && !ret; i++) {
		pump->queues[i].pump = pump;
		pump->queues[i].index = i;
		ret = open_queue(&pump->queues[i]);
	}
	if (ret) {
		pump_destroy(pump);
		return ret;
	}
	*out = pump;
	return 0;
}

/* End the threads; they may be at any point. */
static void end_threads(struct pump *pump)
{
	pthread_mutex_lock(&pump->lock);
	if (pump->order == ORDER_WAIT)
		pump->order = ORDER_END;
	pthread_cond_broadcast(&pump->changed);
	pthread_mutex_unlock(&pump->lock);
	atomic_store(&pump->stop, true);
	for (uint32_t i = 0; i < pump->queue_count; i++) {
		struct pump_queue *queue = &pump->queues[i];

		if (!queue->running)
			continue;
		/* Again and again: whoever writes nonsense into the region could make one ring of the bell get lost. */
		while (!atomic_load(&queue->ended)) {
			ring_bell(&pump->region->queues[i]);
			if (!atomic_load(&queue->ended))
				pause_shortly();
		}
		pthread_join(queue->thread, NULL);
		queue->running = false;
	}
}

/* Start one thread a queue. 0 or a negative errno; some may run then. */
static int start_threads(struct pump *pump)
{
	pthread_attr_t attributes;
	int ret = -pthread_attr_init(&attributes);

	if (ret)
		return ret;
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	for (uint32_t i = 0; i < pump->queue_count && !ret; i++) {
		ret = -pthread_create(&pump->queues[i].thread, &attributes, run, &pump->queues[i]);
		pump->queues[i].running = !ret;
	}
	pthread_attr_destroy(&attributes);
	return ret;
}

int pump_start(struct pump *pump)
{
	int ret = start_threads(pump);
	pthread_mutex_lock(&pump->lock);
	for (uint32_t i = 0; i < pump->queue_count; i++)
		while (pump->queues[i].running && !pump->queues[i].reported)
			pthread_cond_wait(&pump->changed, &pump->lock);
	if (!ret)
		ret = pump->error;
	if (!ret)
		pump->order = ORDER_GO;
	pthread_cond_broadcast(&pump->changed);
	pthread_mutex_unlock(&pump->lock);
	if (ret) {
		end_threads(pump);
		/* A queue that cannot exist: refused, and with that the kernel gives the ring up if it has not yet. */
		if (!prepare_command(&pump->queues[0], FUSE_IO_URING_CMD_REGISTER, UINT16_MAX, 0, 0))
			ring_submit(&pump->queues[0].ring);
		for (uint32_t i = 0; i < pump->queue_count; i++)
			atomic_store_explicit(&region_slot(pump->region, slot_index(&pump->queues[i], 0))->state,
					      SLOT_IDLE, memory_order_release);
	}
	return ret;
}

uint32_t pump_queues(const struct pump *pump)
{
	return pump->queue_count;
}

int pump_eventfd(const struct pump *pump, uint32_t queue)
{
	return pump->queues[queue].event;
}

void pump_kick(struct pump *pump)
{
	for (uint32_t i = 0; i < pump->queue_count; i++)
		ring_bell(&pump->region->queues[i]);
}

void pump_destroy(struct pump *pump)
{
	if (!pump)
		return;
	end_threads(pump);
	for (uint32_t i = 0; i < pump->queue_count; i++) {
		if (!pump->queues[i].open)
			continue;
		ring_close(&pump->queues[i].ring);
		close(pump->queues[i].event);
	}
	pthread_cond_destroy(&pump->changed);
	pthread_mutex_destroy(&pump->lock);
	munmap(pump, pump->bytes);
}
