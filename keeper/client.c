/* SPDX-License-Identifier: MIT */
#include "keeper/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A question under way; lives on its asker's stack, listed in the client. */
struct call {
	struct call *next;
	struct keeper_message *message; /* question, then answer */
	int *fds;			/* received, room for KEEPER_FDS_PER_MESSAGE */
	int result;
	bool done;
};

struct keeper_client {
	int socket;
	pthread_mutex_t lock; /* all below; not held during recvmsg */
	pthread_cond_t changed;
	bool reading; /* one of the askers is in recvmsg */
	bool broken;  /* the keeper is gone */
	uint64_t last_tag;
	struct call *calls;
	struct keeper_message incoming; /* of the asker that reads */
};

/* What one call needs and is too large for a stack. */
struct exchange {
	struct call call;
	struct keeper_message message;
	int fds[KEEPER_FDS_PER_MESSAGE];
};

union control {
	char bytes[CMSG_SPACE(KEEPER_FDS_PER_MESSAGE * sizeof(int))];
	struct cmsghdr header;
};

static void close_all(int *fds, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		close(fds[i]);
		fds[i] = -1;
	}
}

static int send_message(int socket, const struct keeper_message *message, const int *fd)
{
	struct iovec part = {(void *)(uintptr_t)message, sizeof(*message)};
	union control control = {.bytes = {0}};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), fd, sizeof(int));
	}
	for (;;) {
		if (sendmsg(socket, &header, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
	}
}

/* One message and its descriptors; fds has room for KEEPER_FDS_PER_MESSAGE. */
static int receive_message(int socket, struct keeper_message *message, int *fds, uint32_t *fd_count)
{
	struct iovec part = {message, sizeof(*message)};
	union control control;
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	ssize_t length;

	*fd_count = 0;
	do {
		length = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	} while (length < 0 && errno == EINTR);
	if (length <= 0)
		return -EPIPE;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
		uint32_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		if (count > KEEPER_FDS_PER_MESSAGE - *fd_count)
			count = KEEPER_FDS_PER_MESSAGE - *fd_count;
		memcpy(fds + *fd_count, CMSG_DATA(c), count * sizeof(int));
		*fd_count += count;
	}
	if (length == sizeof(*message) && !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    message->fd_count == *fd_count)
		return 0;
	close_all(fds, *fd_count);
	*fd_count = 0;
	/* The descriptors of a whole message do not fit into this process: that message alone fails. */
	message->error = header.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
	message->fd_count = 0;
	return length == sizeof(*message) ? 0 : -EPROTO;
}

/* Give an answer to whom it belongs; under lock. */
static void deliver(struct keeper_client *client, const struct keeper_message *message, int *fds, uint32_t fd_count)
{
	for (struct call **at = &client->calls; *at; at = &(*at)->next) {
		struct call *call = *at;

		if (call->message->tag != message->tag)
			continue;
		*at = call->next;
		memcpy(call->message, message, sizeof(*message));
		memcpy(call->fds, fds, fd_count * sizeof(int));
		call->result = message->error;
		call->done = true;
		return;
	}
	close_all(fds, fd_count);
}

static void fail_all(struct keeper_client *client)
{
	client->broken = true;
	for (struct call *call = client->calls; call; call = call->next) {
		call->result = -EPIPE;
		call->done = true;
	}
	client->calls = NULL;
}

/*
 * Wait until call is done, and read answers for all as long as nobody else does. Under lock. Whoever has sent a
 * question is in here, so as long as the keeper has answers to give somebody takes them.
 */
static void wait_for(struct keeper_client *client, struct call *call)
{
	int fds[KEEPER_FDS_PER_MESSAGE];
	uint32_t fd_count;
	int ret;

	while (!call->done) {
		if (client->reading) {
			pthread_cond_wait(&client->changed, &client->lock);
			continue;
		}
		client->reading = true;
		pthread_mutex_unlock(&client->lock);
		ret = receive_message(client->socket, &client->incoming, fds, &fd_count);
		pthread_mutex_lock(&client->lock);
		client->reading = false;
		if (ret)
			fail_all(client);
		else
			deliver(client, &client->incoming, fds, fd_count);
		pthread_cond_broadcast(&client->changed);
	}
}

/*
 * Ask what exchange->message says, with fd if it is not NULL, and wait for the answer, which replaces it. Returns its
 * error; descriptors that came with an error are closed.
 */
static int ask(struct keeper_client *client, struct exchange *exchange, const int *fd)
{
	struct call *call = &exchange->call;
	struct keeper_message *message = &exchange->message;
	uint32_t type = message->type;

	message->fd_count = fd ? 1 : 0;
	*call = (struct call){.message = message, .fds = exchange->fds};
	pthread_mutex_lock(&client->lock);
	message->tag = ++client->last_tag;
	call->next = client->calls;
	client->calls = call;
	if (client->broken)
		fail_all(client);
	if (!call->done) {
		int ret;

		pthread_mutex_unlock(&client->lock);
		ret = send_message(client->socket, message, fd);
		pthread_mutex_lock(&client->lock);
		if (ret)
			fail_all(client);
	}
	wait_for(client, call);
	pthread_mutex_unlock(&client->lock);
	if (call->result == -EPIPE) /* message is still the question */
		message->fd_count = 0;
	message->text[sizeof(message->text) - 1] = 0;
	if (!call->result && message->type == type)
		return 0;
	close_all(exchange->fds, message->fd_count);
	message->fd_count = 0;
	return call->result < 0 ? call->result : -EPROTO;
}

/* Asks and demands that an answer without error has fd_count descriptors. */
static int ask_for(struct keeper_client *client, struct exchange *exchange, const int *fd, uint32_t fd_count)
{
	int ret = ask(client, exchange, fd);

	if (ret || exchange->message.fd_count == fd_count)
		return ret;
	close_all(exchange->fds, exchange->message.fd_count);
	return -EPROTO;
}

static struct exchange *exchange_new(enum keeper_type type, uint32_t drive)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (exchange) {
		exchange->message.type = type;
		exchange->message.drive = drive;
	}
	return exchange;
}

/* Most questions: a drive and a number, perhaps a descriptor each way. */
static int ask_short(struct keeper_client *client, enum keeper_type type, uint32_t drive, uint64_t number,
		     const int *fd_in, int *fd_out)
{
	struct exchange *exchange = exchange_new(type, drive);
	int ret;

	if (!exchange)
		return -ENOMEM;
	exchange->message.arg[0] = number;
	ret = ask_for(client, exchange, fd_in, fd_out ? 1 : 0);
	if (!ret && fd_out)
		*fd_out = exchange->fds[0];
	free(exchange);
	return ret;
}

int keeper_client_open(struct keeper_client **out, int socket)
{
	struct keeper_client *client = calloc(1, sizeof(*client));

	*out = client;
	if (!client)
		return -ENOMEM;
	client->socket = socket;
	pthread_mutex_init(&client->lock, NULL);
	pthread_cond_init(&client->changed, NULL);
	return 0;
}

void keeper_client_close(struct keeper_client *client)
{
	close(client->socket);
	pthread_cond_destroy(&client->changed);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

int keeper_client_hello(struct keeper_client *client, struct keeper_hello *out)
{
	struct exchange *exchange = exchange_new(KEEPER_HELLO, 0);
	int ret;

	*out = (struct keeper_hello){.control_socket = -1};
	if (!exchange)
		return -ENOMEM;
	exchange->message.arg[0] = KEEPER_PROTOCOL;
	ret = ask_for(client, exchange, NULL, 1);
	if (!ret)
		*out = (struct keeper_hello){
			.keeper_pid = exchange->message.arg[0],
			.services = exchange->message.arg[1],
			.last_status = (int)exchange->message.arg[2],
			.drives = (uint32_t)exchange->message.arg[3],
			.stay = exchange->message.flags & KEEPER_FLAG_STAY,
			.control_socket = exchange->fds[0],
		};
	free(exchange);
	return ret;
}

/* The answers of DRIVE and ADD are alike. */
static void fill_drive(struct keeper_drive *out, const struct exchange *exchange)
{
	const struct keeper_message *message = &exchange->message;

	out->id = message->drive;
	out->flags = message->flags;
	out->queues_started = (uint32_t)message->arg[0];
	out->queues_possible = (uint32_t)message->arg[1];
	out->fuse_fd = exchange->fds[0];
	out->region_fd = exchange->fds[1];
	out->spec_size = message->spec_size <= KEEPER_SPEC_MAX ? message->spec_size : 0;
	memcpy(out->target, message->target, sizeof(out->target));
	memcpy(out->fsname, message->fsname, sizeof(out->fsname));
	memcpy(out->spec, message->spec, out->spec_size);
	out->target[sizeof(out->target) - 1] = 0;
	out->fsname[sizeof(out->fsname) - 1] = 0;
}

int keeper_client_drive(struct keeper_client *client, uint32_t after, struct keeper_drive *out)
{
	struct exchange *exchange = exchange_new(KEEPER_DRIVE, after);
	int ret;

	memset(out, 0, sizeof(*out));
	out->fuse_fd = out->region_fd = -1;
	if (!exchange)
		return -ENOMEM;
	ret = ask_for(client, exchange, NULL, 2);
	if (!ret)
		fill_drive(out, exchange);
	free(exchange);
	return ret;
}

static void give_text(char *text, uint32_t text_size, const char *from)
{
	if (text && text_size)
		snprintf(text, text_size, "%s", from);
}

int keeper_client_add(struct keeper_client *client, const struct keeper_mount *mount, struct keeper_drive *out,
		      char *text, uint32_t text_size)
{
	struct exchange *exchange;
	struct keeper_message *message;
	int ret;

	memset(out, 0, sizeof(*out));
	out->fuse_fd = out->region_fd = -1;
	give_text(text, text_size, "");
	if (strlen(mount->target) >= KEEPER_TARGET_MAX || strlen(mount->fsname) >= KEEPER_FSNAME_MAX)
		return -ENAMETOOLONG;
	if (mount->spec_size > KEEPER_SPEC_MAX)
		return -E2BIG;
	exchange = exchange_new(KEEPER_ADD, 0);
	if (!exchange)
		return -ENOMEM;
	message = &exchange->message;
	message->flags = mount->flags;
	message->arg[0] = mount->depth;
	snprintf(message->target, sizeof(message->target), "%s", mount->target);
	snprintf(message->fsname, sizeof(message->fsname), "%s", mount->fsname);
	message->spec_size = mount->spec_size;
	if (mount->spec_size)
		memcpy(message->spec, mount->spec, mount->spec_size);
	ret = ask_for(client, exchange, NULL, 2);
	if (ret)
		give_text(text, text_size, message->text);
	else
		fill_drive(out, exchange);
	free(exchange);
	return ret;
}

int keeper_client_ring(struct keeper_client *client, uint32_t drive, int *fds, uint32_t *count)
{
	struct exchange *exchange = exchange_new(KEEPER_RING, drive);
	int ret;

	*count = 0;
	if (!exchange)
		return -ENOMEM;
	ret = ask(client, exchange, NULL);
	if (!ret) {
		*count = exchange->message.fd_count;
		memcpy(fds, exchange->fds, *count * sizeof(int));
	}
	free(exchange);
	return ret;
}

int keeper_client_remove(struct keeper_client *client, uint32_t drive, bool force, char *text, uint32_t text_size)
{
	struct exchange *exchange = exchange_new(KEEPER_REMOVE, drive);
	int ret;

	give_text(text, text_size, "");
	if (!exchange)
		return -ENOMEM;
	exchange->message.flags = force ? KEEPER_FLAG_FORCE : 0;
	ret = ask_for(client, exchange, NULL, 0);
	if (ret)
		give_text(text, text_size, exchange->message.text);
	free(exchange);
	return ret;
}

int keeper_client_keep(struct keeper_client *client, uint32_t drive, const char *name, uint64_t size, bool *fresh,
		       int *fd)
{
	struct exchange *exchange;
	int ret;

	*fd = -1;
	if (!*name || strlen(name) >= KEEPER_NAME_MAX)
		return -EINVAL;
	exchange = exchange_new(KEEPER_KEEP, drive);
	if (!exchange)
		return -ENOMEM;
	memcpy(exchange->message.name, name, strlen(name) + 1);
	exchange->message.arg[0] = size;
	ret = ask_for(client, exchange, NULL, 1);
	if (!ret) {
		*fresh = exchange->message.flags & KEEPER_FLAG_FRESH;
		*fd = exchange->fds[0];
	}
	free(exchange);
	return ret;
}

int keeper_client_fd_put(struct keeper_client *client, uint32_t drive, uint64_t key, int fd)
{
	return ask_short(client, KEEPER_FD_PUT, drive, key, &fd, NULL);
}

int keeper_client_fd_get(struct keeper_client *client, uint32_t drive, uint64_t key, int *fd)
{
	*fd = -1;
	return ask_short(client, KEEPER_FD_GET, drive, key, NULL, fd);
}

int keeper_client_fd_drop(struct keeper_client *client, uint32_t drive, uint64_t key)
{
	return ask_short(client, KEEPER_FD_DROP, drive, key, NULL, NULL);
}

int keeper_client_stop(struct keeper_client *client)
{
	return ask_short(client, KEEPER_STOP, 0, 0, NULL, NULL);
}
