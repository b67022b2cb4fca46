/* SPDX-License-Identifier: MIT */
#include "notifier.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "courier.h"
#include "deadline.h"
#include "decode.h"

#define RETRIES	    10
#define RETRY_PAUSE 50000000L	 /* nanoseconds */
#define SPACE_KEPT  (256u << 10) /* of the queue, when it is empty again */

struct notifier {
	struct region *region;
	char *space; /* region_notices */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock, as are the two offsets in the region. */
	int fuse_fd; /* -1: not serving */
	bool sending;
	bool running; /* there is a thread to be joined */
	bool ending;
	pthread_t thread;
};

static uint64_t start_of(const struct notifier *notifier)
{
	return atomic_load_explicit(&notifier->region->notices_start, memory_order_relaxed);
}

static uint64_t end_of(const struct notifier *notifier)
{
	return atomic_load_explicit(&notifier->region->notices_end, memory_order_relaxed);
}

static void set_empty(struct notifier *notifier)
{
	atomic_store_explicit(&notifier->region->notices_end, 0, memory_order_release);
	atomic_store_explicit(&notifier->region->notices_start, 0, memory_order_release);
}

static uint64_t place_of(uint32_t length)
{
	return ((uint64_t)length + 7) & ~(uint64_t)7;
}

/* Where the oldest message lies; NULL: none waits. */
static const struct fuse_out_header *oldest(const struct notifier *notifier)
{
	uint64_t start = start_of(notifier), end = end_of(notifier);

	return start < end ? (const struct fuse_out_header *)(notifier->space + start) : NULL;
}

/* What was left is whole messages, one behind the other, or the region is not what it should be. */
static bool is_sound(const struct notifier *notifier)
{
	uint64_t at = start_of(notifier), end = end_of(notifier);

	if (at >= end)
		return true;
	if (end > REGION_NOTICES || at % 8 != 0 || end % 8 != 0)
		return false;
	while (at < end) {
		const struct fuse_out_header *header = (const struct fuse_out_header *)(notifier->space + at);

		if (end - at < sizeof(*header) || header->len < sizeof(*header) || place_of(header->len) > end - at)
			return false;
		at += place_of(header->len);
	}
	return true;
}

int notifier_create(struct notifier **out, struct region *region)
{
	struct notifier *notifier = calloc(1, sizeof(*notifier));
	pthread_condattr_t attributes;

	if (!notifier)
		return -ENOMEM;
	notifier->region = region;
	notifier->space = region_notices(region);
	notifier->fuse_fd = -1;
	pthread_mutex_init(&notifier->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&notifier->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (!oldest(notifier) || !is_sound(notifier))
		set_empty(notifier);
	*out = notifier;
	return 0;
}

void notifier_destroy(struct notifier *notifier)
{
	if (!notifier)
		return;
	pthread_cond_destroy(&notifier->changed);
	pthread_mutex_destroy(&notifier->lock);
	free(notifier);
}

/* --- Sending --------------------------------------------------------------------------------------- */

static void send_message(struct courier *courier, int fuse_fd, const struct fuse_out_header *message)
{
	for (int i = 0; i < RETRIES; i++) {
		struct timespec pause = {.tv_nsec = RETRY_PAUSE};
		int error = courier_deliver(courier, fuse_fd, message, message->len);

		if (error != -ENOMEM && error != -EAGAIN)
			return;
		nanosleep(&pause, NULL);
	}
}

/* The oldest message was sent. Under the lock. */
static void take_off(struct notifier *notifier, const struct fuse_out_header *message)
{
	uint64_t start = start_of(notifier) + place_of(message->len), end = end_of(notifier);

	atomic_store_explicit(&notifier->region->notices_start, start, memory_order_release);
	if (start < end)
		return;
	set_empty(notifier);
	if (end > SPACE_KEPT)
		(void)madvise(notifier->space, REGION_NOTICES, MADV_REMOVE);
}

static void *notifier_run(void *context)
{
	struct notifier *notifier = context;
	struct courier courier = COURIER_NONE;

	pthread_mutex_lock(&notifier->lock);
	while (!notifier->ending) {
		const struct fuse_out_header *message = oldest(notifier);

		if (!message) {
			pthread_cond_wait(&notifier->changed, &notifier->lock);
			continue;
		}
		notifier->sending = true;
		pthread_mutex_unlock(&notifier->lock);
		send_message(&courier, notifier->fuse_fd, message);
		pthread_mutex_lock(&notifier->lock);
		notifier->sending = false;
		take_off(notifier, message);
		pthread_cond_broadcast(&notifier->changed);
	}
	pthread_mutex_unlock(&notifier->lock);
	courier_end(&courier);
	return NULL;
}

/* A thread, if there is something to do for one. Under the lock. */
static int wake_thread(struct notifier *notifier)
{
	if (notifier->fuse_fd < 0 || notifier->ending)
		return 0;
	if (!notifier->running && pthread_create(&notifier->thread, NULL, notifier_run, notifier) != 0)
		return -ENOMEM;
	notifier->running = true;
	pthread_cond_broadcast(&notifier->changed);
	return 0;
}

void notifier_serve(struct notifier *notifier, int fuse_fd)
{
	pthread_mutex_lock(&notifier->lock);
	notifier->fuse_fd = fuse_fd;
	/* Without a thread, what waits is sent with what comes next. */
	if (oldest(notifier))
		(void)wake_thread(notifier);
	pthread_mutex_unlock(&notifier->lock);
}

int notifier_drain(struct notifier *notifier, int milliseconds)
{
	struct timespec until = deadline_in(milliseconds);
	int error = 0;

	pthread_mutex_lock(&notifier->lock);
	while (notifier->running && oldest(notifier) && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&notifier->changed, &notifier->lock, &until);
	error = oldest(notifier) ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&notifier->lock);
	return error;
}

int notifier_stop(struct notifier *notifier, int milliseconds)
{
	struct timespec until = deadline_in(milliseconds);
	int error = 0;

	pthread_mutex_lock(&notifier->lock);
	notifier->ending = true;
	pthread_cond_broadcast(&notifier->changed);
	while (notifier->sending && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&notifier->changed, &notifier->lock, &until);
	error = notifier->sending ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&notifier->lock);
	if (error)
		return error;
	if (notifier->running)
		pthread_join(notifier->thread, NULL);
	pthread_mutex_lock(&notifier->lock);
	notifier->running = false;
	notifier->ending = false;
	notifier->fuse_fd = -1;
	pthread_mutex_unlock(&notifier->lock);
	return 0;
}

/* --- Queueing -------------------------------------------------------------------------------------- */

/* Queue a message of code: body, then name with its NUL (when there is one). */
static int append(struct notifier *notifier, int code, const void *body, size_t body_size, const char *name)
{
	size_t name_size = name ? strlen(name) + 1 : 0;
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + body_size + name_size),
		.error = code,
	};
	int error = 0;

	pthread_mutex_lock(&notifier->lock);
	uint64_t end = end_of(notifier);
	if (place_of(header.len) > REGION_NOTICES - end)
		error = -ENOMEM;
	if (!error)
		error = wake_thread(notifier);
	if (!error) {
		char *at = notifier->space + end;

		memcpy(at, &header, sizeof(header));
		memcpy(at + sizeof(header), body, body_size);
		if (name)
			memcpy(at + sizeof(header) + body_size, name, name_size);
		atomic_store_explicit(&notifier->region->notices_end, end + place_of(header.len), memory_order_release);
	}
	pthread_mutex_unlock(&notifier->lock);
	return error;
}

int notifier_invalidate_node(struct notifier *notifier, uint64_t node, uint64_t offset, uint64_t length)
{
	struct fuse_notify_inval_inode_out out = {.ino = node};

	out.off = offset > INT64_MAX ? INT64_MAX : (int64_t)offset;
	out.len = length > INT64_MAX ? 0 : (int64_t)length;
	return append(notifier, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out), NULL);
}

int notifier_invalidate_entry(struct notifier *notifier, uint64_t parent, const char *name, bool expire_only)
{
	size_t length = strlen(name);
	struct fuse_notify_inval_entry_out out = {.parent = parent, .namelen = (uint32_t)length};

	if (length == 0 || length > DECODE_NAME_MAX)
		return -EINVAL;
	if (expire_only && atomic_load_explicit(&notifier->region->initialized, memory_order_acquire) &&
	    (notifier->region->init_flags & FUSE_HAS_EXPIRE_ONLY))
		out.flags = FUSE_EXPIRE_ONLY;
	return append(notifier, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out), name);
}

int notifier_entry_deleted(struct notifier *notifier, uint64_t parent, uint64_t child, const char *name)
{
	size_t length = strlen(name);
	struct fuse_notify_delete_out out = {.parent = parent, .child = child, .namelen = (uint32_t)length};

	if (length == 0 || length > DECODE_NAME_MAX)
		return -EINVAL;
	return append(notifier, FUSE_NOTIFY_DELETE, &out, sizeof(out), name);
}

int notifier_poll_wake(struct notifier *notifier, uint64_t wake)
{
	struct fuse_notify_poll_wakeup_out out = {.kh = wake};

	return append(notifier, FUSE_NOTIFY_POLL, &out, sizeof(out), NULL);
}
