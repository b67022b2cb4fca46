/* SPDX-License-Identifier: MIT */
#include "channel_internal.h"
#include "deadline.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAKE_SIGNAL (SIGRTMIN + 5)
#define WAKE_PAUSE  2 /* milliseconds between signals until a thread has ended */
#define WAITERS_MAX 128u
#define TRACE_LINE  512

void channel_log(struct channel *channel, int level, const char *format, ...)
{
	char line[TRACE_LINE];
	va_list arguments;

	if (!channel->config.log)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	channel->config.log(channel->config.context, level, line);
}

void channel_set_ready(struct channel *channel, int error)
{
	pthread_mutex_lock(&channel->lock);
	channel->ready = !error;
	channel->error = error;
	pthread_cond_broadcast(&channel->changed);
	pthread_mutex_unlock(&channel->lock);
	if (!error)
		notifier_serve(channel->config.notifier, channel->config.fuse_fd);
}

void channel_hung_up(struct channel *channel)
{
	if (atomic_exchange(&channel->gone, true))
		return;
	channel_set_ready(channel, -ENODEV);
	if (channel->config.gone)
		channel->config.gone(channel->config.context);
}

/* --- One request --- */

static void trace_request(struct channel *channel, const struct call *call, int error)
{
	const struct fuse_request *message = &call->message;

	channel_log(channel, 3, "%llu %s node %llu%s%s%s%s: %s%s", (unsigned long long)call->slot->in.unique,
		    decode_shape(message->opcode)->label, (unsigned long long)message->node, message->name ? " " : "",
		    message->name ? message->name : "", message->name2 ? " " : "", message->name2 ? message->name2 : "",
		    error ? strerror(-error) : "ok", call->req.flags & DW_REQUEST_REPLAYED ? " (taken up)" : "");
}

/* The reply is stored: make it final and send it. */
static void finish(struct channel *channel, struct region_slot *slot, uint32_t index, int error, bool *wake)
{
	atomic_store_explicit(&channel->active[index], 0, memory_order_release);
	slot->error = error;
	if (error) {
		slot->reply_size = 0;
		slot->reply_external = 0;
	}
	if (index >= channel->region->plain_count) {
		atomic_store_explicit(&slot->state, SLOT_ANSWERED, memory_order_release);
		ring_post(channel, index, wake);
	} else if (decode_shape(slot->in.opcode)->no_reply && error == 0) {
		atomic_store_explicit(&slot->state, SLOT_IDLE, memory_order_release);
	} else {
		atomic_store_explicit(&slot->state, SLOT_ANSWERED, memory_order_release);
		plain_send(channel, index);
	}
}

static int decode(struct channel *channel, struct call *call, uint32_t index)
{
	struct region_slot *slot = call->slot;
	bool short_setxattr = !(channel->drive.flags & FUSE_SETXATTR_EXT);

	if (index >= channel->region->plain_count)
		return decode_parts(&slot->in, slot->ring.op_in, slot->op_size, call->buffer, slot->payload_size,
				    short_setxattr, &call->message);
	return decode_run(&slot->in, call->buffer + sizeof(slot->in), slot->payload_size, short_setxattr,
			  &call->message);
}

static void prepare(struct channel *channel, struct call *call, uint32_t index, uint32_t flags)
{
	struct region_slot *slot = region_slot(channel->region, index);

	call->drive = &channel->drive;
	call->slot = slot;
	call->buffer = region_buffer(channel->region, index);
	call->ring = index >= channel->region->plain_count;
	call->req = (struct dw_request){
		.size = sizeof(call->req),
		.id = slot->in.unique,
		.uid = slot->in.uid,
		.gid = slot->in.gid,
		.pid = slot->in.pid,
		.flags = flags,
		.notes = &slot->notes,
		.interrupted = (const volatile uint32_t *)(const volatile void *)&slot->interrupted,
	};
}

/*
 * A program was signalled while it waits. A request that is not here yet is on its way to another
 * thread: -EAGAIN makes the kernel say it once more.
 */
static int interrupt(struct channel *channel, uint64_t unique)
{
	for (uint32_t i = 0; i < channel->slot_total; i++) {
		struct region_slot *slot = region_slot(channel->region, i);

		if (atomic_load(&channel->active[i]) != unique)
			continue;
		atomic_store(&slot->interrupted, 1);
		/* Answered meanwhile, and perhaps another request has come into the slot. */
		if (atomic_load(&channel->active[i]) != unique)
			atomic_store(&slot->interrupted, 0);
		return 0;
	}
	return -EAGAIN;
}

static void run_job(struct workers_job *job)
{
	struct slot_job *slot_job = (struct slot_job *)job;
	struct channel *channel = slot_job->channel;
	uint32_t index = slot_job->index;
	struct call call;
	int error;

	prepare(channel, &call, index, slot_job->flags);
	error = decode(channel, &call, index);
	if (error == 0) {
		call.slot->running = 1;
		error = dispatch(&call);
		if (atomic_load_explicit(&channel->trace, memory_order_relaxed))
			trace_request(channel, &call, error);
	}
	finish(channel, call.slot, index, error, NULL);
	if (index < channel->region->plain_count)
		plain_release(channel, index);
}

/* To a worker; when there is none, here. */
static void submit(struct channel *channel, uint32_t index, uint32_t flags)
{
	struct slot_job *job = &channel->jobs[index];
	struct workers *workers = region_slot(channel->region, index)->in.opcode == FUSE_SETLKW ? channel->waiters
												: channel->workers;

	job->flags = flags;
	if (workers_submit(workers, &job->job) != 0)
		run_job(&job->job);
}

/* Requests that are for the channel itself. */
static bool handle_own(struct channel *channel, struct call *call, uint32_t index)
{
	int error;

	switch (call->message.opcode) {
	case FUSE_INIT:
		error = init_negotiate(channel, call);
		finish(channel, call->slot, index, error, NULL);
		if (error)
			channel_set_ready(channel, error);
		return true;
	case FUSE_INTERRUPT:
		error = interrupt(channel, call->message.in.interrupt.unique);
		finish(channel, call->slot, index, error, NULL);
		return true;
	default:
		return false;
	}
}

bool channel_handle(struct channel *channel, uint32_t index, bool *wake)
{
	struct call call;
	int error;

	atomic_store_explicit(&channel->active[index], region_slot(channel->region, index)->in.unique,
			      memory_order_release);
	prepare(channel, &call, index, channel->nowait ? DW_REQUEST_NOWAIT : 0);
	error = decode(channel, &call, index);
	if (error == 0) {
		if (handle_own(channel, &call, index))
			return true;
		if (!channel->nowait) {
			submit(channel, index, 0);
			return false;
		}
		call.slot->running = 1;
		error = dispatch(&call);
		if (error == -EAGAIN) {
			call.slot->running = 0;
			submit(channel, index, 0);
			return false;
		}
		if (atomic_load_explicit(&channel->trace, memory_order_relaxed))
			trace_request(channel, &call, error);
	}
	finish(channel, call.slot, index, error, wake);
	return true;
}

void channel_replay(struct channel *channel, uint32_t index, uint32_t flags)
{
	struct region_slot *slot = region_slot(channel->region, index);

	if (flags & DW_REQUEST_REPLAYED) {
		atomic_fetch_add_explicit(&channel->region->replays, 1, memory_order_relaxed);
		if (channel->config.poisoned && slot->running && ++slot->attempts >= CHANNEL_POISON) {
			channel_log(channel, 0, "%s of node %llu ended the service %u times and is refused",
				    decode_shape(slot->in.opcode)->label ? decode_shape(slot->in.opcode)->label : "?",
				    (unsigned long long)slot->in.nodeid, slot->attempts);
			finish(channel, slot, index, -EIO, NULL);
			if (index < channel->region->plain_count)
				plain_release(channel, index);
			return;
		}
	}
	slot->running = 0;
	if (index < channel->region->plain_count &&
	    (slot->in.opcode == FUSE_INIT || slot->in.opcode == FUSE_INTERRUPT)) {
		if (channel_handle(channel, index, NULL))
			plain_release(channel, index);
	} else {
		atomic_store_explicit(&channel->active[index], slot->in.unique, memory_order_release);
		submit(channel, index, flags);
	}
}

/* --- Life --- */

static void wake_handler(int number)
{
	(void)number;
}

int channel_spawn(struct channel_thread *thread, struct channel *channel, uint32_t number, void *(*run)(void *context))
{
	sigset_t all, before;
	int error;

	thread->channel = channel;
	thread->number = number;
	sigfillset(&all);
	sigdelset(&all, WAKE_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&channel->lock);
	error = pthread_create(&thread->thread, NULL, run, thread);
	thread->joinable = error == 0;
	pthread_mutex_unlock(&channel->lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error ? -EAGAIN : 0;
}

int channel_check_region(const struct region *region, uint64_t bytes)
{
	if (region->magic != REGION_MAGIC || region->version != REGION_VERSION || region->size > bytes)
		return -EPROTO;
	if (region->plain_count == 0 || region->plain_count > REGION_PLAIN_SLOTS ||
	    region->queue_count > REGION_QUEUES_MAX || region->depth > REGION_DEPTH_MAX ||
	    region->size < region_size(region->queue_count, region->depth, region->plain_count))
		return -EPROTO;
	return 0;
}

static void channel_free(struct channel *channel)
{
	if (channel->workers)
		workers_destroy(channel->workers);
	if (channel->waiters)
		workers_destroy(channel->waiters);
	for (uint32_t i = 0; i < channel->ring_count; i++)
		close(channel->ring_events[i]);
	free(channel->ring_events);
	free(channel->ring);
	free(channel->jobs);
	free(channel->active);
	pthread_cond_destroy(&channel->changed);
	pthread_mutex_destroy(&channel->lock);
	free(channel);
}

static uint32_t plain_threads(unsigned wanted)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (wanted == 0)
		wanted = cpus < 2 ? 2 : (unsigned)cpus;
	return wanted > CHANNEL_PLAIN_THREADS ? CHANNEL_PLAIN_THREADS : wanted;
}

int channel_start(struct channel **out, const struct channel_config *config)
{
	struct sigaction action = {.sa_handler = wake_handler};
	struct region *region = config->region;
	pthread_condattr_t attributes;
	struct channel *channel;
	int error = channel_check_region(region, region->size);

	if (error)
		return error;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return -ENOMEM;
	channel->config = *config;
	channel->region = region;
	channel->slot_total = (uint32_t)region_slot_total(region->queue_count, region->depth, region->plain_count);
	channel->nowait = config->fs->flags & DW_FS_NOWAIT;
	channel->plain_wanted = plain_threads(config->plain_threads);
	atomic_store(&channel->trace, config->trace);
	atomic_store(&channel->reason, "");
	pthread_mutex_init(&channel->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&channel->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	drive_prepare(&channel->drive, config->fs, config->read_only);
	init_restore(channel);

	error = -ENOMEM;
	channel->jobs = calloc(channel->slot_total, sizeof(*channel->jobs));
	channel->active = calloc(channel->slot_total, sizeof(*channel->active));
	if (!channel->jobs || !channel->active)
		goto fail;
	for (uint32_t i = 0; i < channel->slot_total; i++) {
		channel->jobs[i].job.run = run_job;
		channel->jobs[i].channel = channel;
		channel->jobs[i].index = i;
	}
	error = workers_create(&channel->workers, "worker",
			       config->workers_max ? config->workers_max : CHANNEL_WORKERS);
	if (error)
		goto fail;
	error = workers_create(&channel->waiters, "waiter", WAITERS_MAX);
	if (error)
		goto fail;
	sigemptyset(&action.sa_mask);
	sigaction(WAKE_SIGNAL, &action, NULL);
	*out = channel; /* before the first request, whose file system may call back by it */
	error = channel_spawn(&channel->plain[0], channel, 0, plain_run);
	if (error)
		goto fail;
	return 0;
fail:
	channel_free(channel);
	return error;
}

int channel_wait(struct channel *channel, int milliseconds)
{
	struct timespec until = deadline_in(milliseconds);
	int timed_out = 0, error;

	pthread_mutex_lock(&channel->lock);
	while (!channel->ready && !channel->error && !timed_out)
		timed_out = pthread_cond_timedwait(&channel->changed, &channel->lock, &until);
	error = channel->ready ? 0 : channel->error ? channel->error : -ETIMEDOUT;
	pthread_mutex_unlock(&channel->lock);
	return error;
}

/* Signal the thread out of its read until it has seen stopping. False: it is inside the file system. */
static bool end_thread(struct channel *channel, struct channel_thread *thread, const struct timespec *until)
{
	bool joinable;

	pthread_mutex_lock(&channel->lock);
	joinable = thread->joinable;
	while (joinable && !atomic_load(&thread->ended) && milliseconds_until(until) > 0) {
		struct timespec next = deadline_in(WAKE_PAUSE);

		pthread_kill(thread->thread, WAKE_SIGNAL);
		pthread_cond_timedwait(&channel->changed, &channel->lock, &next);
	}
	pthread_mutex_unlock(&channel->lock);
	if (!joinable)
		return true;
	if (!atomic_load(&thread->ended))
		return false;
	pthread_join(thread->thread, NULL);
	thread->joinable = false;
	return true;
}

static bool workers_idle(struct channel *channel, const struct timespec *until)
{
	while (workers_pending(channel->workers) || workers_pending(channel->waiters)) {
		if (milliseconds_until(until) == 0)
			return false;
		usleep(1000);
	}
	return true;
}

int channel_stop(struct channel *channel, int milliseconds)
{
	struct timespec until = deadline_in(milliseconds);

	/* First, while requests are still answered: a message may wait for one. */
	(void)notifier_drain(channel->config.notifier, milliseconds / 2);
	pthread_mutex_lock(&channel->lock);
	atomic_store(&channel->stopping, true);
	pthread_cond_broadcast(&channel->changed);
	pthread_mutex_unlock(&channel->lock);
	/* Thread 0 may start others, so it ends first. */
	for (uint32_t i = 0; i < CHANNEL_PLAIN_THREADS; i++)
		if (!end_thread(channel, &channel->plain[i], &until))
			return -ETIMEDOUT;
	for (uint32_t i = 0; channel->ring && i < channel->region->queue_count; i++)
		if (!end_thread(channel, &channel->ring[i], &until))
			return -ETIMEDOUT;
	if (!workers_idle(channel, &until) || notifier_stop(channel->config.notifier, milliseconds_until(&until)) != 0)
		return -ETIMEDOUT;
	channel_free(channel);
	return 0;
}

void channel_status(struct channel *channel, struct channel_status *out)
{
	struct region *region = channel->region;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&channel->lock);
	out->transport = !channel->ready ? "starting" : atomic_load(&channel->on_ring) ? "io_uring" : "plain";
	pthread_mutex_unlock(&channel->lock);
	out->reason = atomic_load(&channel->reason);
	if (atomic_load_explicit(&region->initialized, memory_order_acquire)) {
		out->protocol_minor = region->minor;
		out->passthrough = region->init_flags & FUSE_PASSTHROUGH;
	}
	out->requests = atomic_load_explicit(&region->requests, memory_order_relaxed);
	for (uint32_t i = 0; i < region->queue_count; i++)
		out->requests += atomic_load_explicit(&region->queues[i].requests, memory_order_relaxed);
	out->replays = atomic_load_explicit(&region->replays, memory_order_relaxed);
	for (uint32_t i = 0; i < channel->slot_total; i++) {
		uint32_t state = atomic_load_explicit(&region_slot(region, i)->state, memory_order_relaxed);

		out->in_flight += state == SLOT_DELIVERED || state == SLOT_ANSWERED;
	}
}

void channel_set_trace(struct channel *channel, bool trace)
{
	atomic_store(&channel->trace, trace);
}
