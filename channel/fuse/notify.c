/* SPDX-License-Identifier: MIT */
/*
 * Messages that we begin: what the kernel shall forget, and who shall look at a file again.
 *
 * Sending one can block until a request on the same folder or file is answered (the kernel takes its locks),
 * so messages are queued and sent by a thread of their own, in order. The thread starts with the first message.
 *
 *    (call) -> queued -> being sent -> gone
 *                 ^          |
 *                 +--- ENOMEM: after a pause, up to RETRIES times
 *
 * Any other error means that there is nothing to forget: the kernel does not know the name or file (ENOENT), a folder
 * that is said to be deleted is in use (EBUSY, ENOTEMPTY), or the drive is going away.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>

#include "channel_internal.h"

#define RETRIES	    10
#define RETRY_PAUSE 50000000L /* nanoseconds */

struct message {
	struct message *next;
	uint32_t size; /* of bytes, the header included */
	char bytes[];
};

struct notifier {
	int fuse_fd;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct message *first, **last;
	bool sending;
	bool started;
	bool ending;
	pthread_t thread;
};

int notifier_create(struct notifier **out, int fuse_fd)
{
	struct notifier *notifier = calloc(1, sizeof(*notifier));
	pthread_condattr_t attributes;

	if (!notifier)
		return -ENOMEM;
	notifier->fuse_fd = fuse_fd;
	notifier->last = &notifier->first;
	pthread_mutex_init(&notifier->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&notifier->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	*out = notifier;
	return 0;
}

static void send_message(struct notifier *notifier, const struct message *message)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)message->bytes, .iov_len = message->size};

	for (int i = 0; i < RETRIES; i++) {
		struct timespec pause = {.tv_nsec = RETRY_PAUSE};

		if (writev(notifier->fuse_fd, &part, 1) >= 0)
			return;
		if (errno == EINTR)
			continue;
		if (errno != ENOMEM)
			return;
		nanosleep(&pause, NULL);
	}
}

static void *notifier_run(void *context)
{
	struct notifier *notifier = context;

	pthread_mutex_lock(&notifier->lock);
	for (;;) {
		struct message *message = notifier->first;

		if (message) {
			notifier->first = message->next;
			if (!notifier->first)
				notifier->last = &notifier->first;
			notifier->sending = true;
			pthread_mutex_unlock(&notifier->lock);
			send_message(notifier, message);
			free(message);
			pthread_mutex_lock(&notifier->lock);
			notifier->sending = false;
			continue;
		}
		pthread_cond_broadcast(&notifier->changed);
		if (notifier->ending)
			break;
		pthread_cond_wait(&notifier->changed, &notifier->lock);
	}
	pthread_mutex_unlock(&notifier->lock);
	return NULL;
}

int notifier_drain(struct notifier *notifier, int milliseconds)
{
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += milliseconds / 1000;
	until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&notifier->lock);
	while ((notifier->first || notifier->sending) && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&notifier->changed, &notifier->lock, &until);
	error = notifier->first || notifier->sending ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&notifier->lock);
	return error;
}

void notifier_destroy(struct notifier *notifier)
{
	if (!notifier)
		return;
	pthread_mutex_lock(&notifier->lock);
	notifier->ending = true;
	pthread_cond_broadcast(&notifier->changed);
	pthread_mutex_unlock(&notifier->lock);
	if (notifier->started)
		pthread_join(notifier->thread, NULL);
	pthread_cond_destroy(&notifier->changed);
	pthread_mutex_destroy(&notifier->lock);
	free(notifier);
}

/* Queue a message of code: body, then name with its NUL (when there is one). */
static int post(struct channel *channel, int code, const void *body, size_t body_size, const char *name)
{
	struct notifier *notifier = channel->notifier;
	size_t name_size = name ? strlen(name) + 1 : 0;
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + body_size + name_size),
		.error = code,
	};
	struct message *message = malloc(sizeof(*message) + header.len);
	int error = 0;

	if (!message)
		return -ENOMEM;
	message->next = NULL;
	message->size = header.len;
	memcpy(message->bytes, &header, sizeof(header));
	memcpy(message->bytes + sizeof(header), body, body_size);
	if (name)
		memcpy(message->bytes + sizeof(header) + body_size, name, name_size);
	pthread_mutex_lock(&notifier->lock);
	if (!notifier->started) {
		if (pthread_create(&notifier->thread, NULL, notifier_run, notifier) == 0)
			notifier->started = true;
		else
			error = -ENOMEM;
	}
	if (!error) {
		*notifier->last = message;
		notifier->last = &message->next;
		pthread_cond_broadcast(&notifier->changed);
	}
	pthread_mutex_unlock(&notifier->lock);
	if (error)
		free(message);
	return error;
}

int channel_invalidate_node(struct channel *channel, uint64_t node, uint64_t offset, uint64_t length)
{
	struct fuse_notify_inval_inode_out out = {.ino = node};

	out.off = offset > INT64_MAX ? INT64_MAX : (int64_t)offset;
	out.len = length > INT64_MAX ? 0 : (int64_t)length;
	return post(channel, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out), NULL);
}

int channel_invalidate_entry(struct channel *channel, uint64_t parent, const char *name, bool expire_only)
{
	size_t length = strlen(name);
	struct fuse_notify_inval_entry_out out = {.parent = parent, .namelen = (uint32_t)length};

	if (length == 0 || length > DECODE_NAME_MAX)
		return -EINVAL;
	if (expire_only && (channel->drive.flags & FUSE_HAS_EXPIRE_ONLY))
		out.flags = FUSE_EXPIRE_ONLY;
	return post(channel, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out), name);
}

int channel_entry_deleted(struct channel *channel, uint64_t parent, uint64_t child, const char *name)
{
	size_t length = strlen(name);
	struct fuse_notify_delete_out out = {.parent = parent, .child = child, .namelen = (uint32_t)length};

	if (length == 0 || length > DECODE_NAME_MAX)
		return -EINVAL;
	return post(channel, FUSE_NOTIFY_DELETE, &out, sizeof(out), name);
}

int channel_poll_wake(struct channel *channel, uint64_t wake)
{
	struct fuse_notify_poll_wakeup_out out = {.kh = wake};

	return post(channel, FUSE_NOTIFY_POLL, &out, sizeof(out), NULL);
}

int channel_backing_open(struct channel *channel, int fd, uint32_t *id)
{
	struct fuse_backing_map map = {.fd = fd};
	int result;

	if (!(channel->drive.flags & FUSE_PASSTHROUGH))
		return -EOPNOTSUPP;
	result = ioctl(channel->config.fuse_fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
	if (result > 0) {
		*id = (uint32_t)result;
		return 0;
	}
	/* Without the privilege, or over a file system that itself lies on too many others. */
	if (result == 0 || errno == EPERM || errno == ELOOP || errno == ENOTTY)
		return -EOPNOTSUPP;
	return -errno;
}

int channel_backing_close(struct channel *channel, uint32_t id)
{
	if (!(channel->drive.flags & FUSE_PASSTHROUGH))
		return -EOPNOTSUPP;
	return ioctl(channel->config.fuse_fd, FUSE_DEV_IOC_BACKING_CLOSE, &id) == 0 ? 0 : -errno;
}
