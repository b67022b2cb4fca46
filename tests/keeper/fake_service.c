/* SPDX-License-Identifier: MIT */
/*
 * A service that does what a test tells it to, one line at a time over the control socket, and serves every drive as
 * an empty folder. Answers begin with 0 or a negative errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper/client.h"
#include "tests/keeper/tiny_fuse.h"

struct fake {
	struct keeper_client *client;
	struct keeper_hello hello;
};

struct fake_drive {
	struct fake *fake;
	uint32_t id;
	int fuse_fd;
	struct region *region;
	bool ring;
	int events[KEEPER_FDS_PER_MESSAGE];
	uint32_t event_count;
	_Atomic uint32_t next_queue;
};

static int start_thread(void *(*run)(void *), void *argument)
{
	pthread_t thread;
	int ret = pthread_create(&thread, NULL, run, argument);

	if (!ret)
		pthread_detach(thread);
	return ret;
}

static void *serve_queue(void *argument)
{
	struct fake_drive *drive = argument;
	uint32_t queue = atomic_fetch_add(&drive->next_queue, 1);

	tiny_fuse_serve_queue(drive->region, queue, drive->events[queue], 0);
	return NULL;
}

static void start_ring(void *context)
{
	struct fake_drive *drive = context;

	if (!drive->ring || !tiny_fuse_has_ring(drive->region))
		return;
	if (keeper_client_ring(drive->fake->client, drive->id, drive->events, &drive->event_count))
		return;
	for (uint32_t i = 0; i < drive->event_count; i++)
		start_thread(serve_queue, drive);
}

static void *serve_drive(void *argument)
{
	struct fake_drive *drive = argument;
	int ret = tiny_fuse_serve(drive->fuse_fd, drive->region, drive->ring, start_ring, drive);

	close(drive->fuse_fd);
	if (!ret)
		keeper_client_remove(drive->fake->client, drive->id, false, NULL, 0);
	return NULL;
}

static int take_drive(struct fake *fake, const struct keeper_drive *from)
{
	struct fake_drive *drive = calloc(1, sizeof(*drive));
	off_t size = lseek(from->region_fd, 0, SEEK_END);

	drive->fake = fake;
	drive->id = from->id;
	drive->fuse_fd = from->fuse_fd;
	drive->ring = from->queues_possible > 0;
	drive->region = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, from->region_fd, 0);
	close(from->region_fd);
	if (drive->region == MAP_FAILED)
		return -ENOMEM;
	return -start_thread(serve_drive, drive);
}

/* "add FLAGS hang|serve TARGET"; fsname and spec are made up from the target */
static void do_add(struct fake *fake, const char *line, char *reply, size_t size)
{
	struct keeper_drive *drive = calloc(1, sizeof(*drive));
	char target[KEEPER_TARGET_MAX], how[16], text[KEEPER_TEXT_MAX];
	struct keeper_mount mount = {.target = target, .fsname = "fake:source", .depth = 4};
	unsigned flags;
	int ret;

	if (sscanf(line, "add %u %15s %4095[^\n]", &flags, how, target) != 3) {
		snprintf(reply, size, "%d syntax", -EINVAL);
		free(drive);
		return;
	}
	mount.flags = flags;
	mount.spec = target;
	mount.spec_size = (uint32_t)strlen(target) + 1;
	ret = keeper_client_add(fake->client, &mount, drive, text, sizeof(text));
	if (!ret && strcmp(how, "serve") == 0)
		ret = take_drive(fake, drive);
	snprintf(reply, size, "%d id=%u possible=%u %s", ret, drive->id, drive->queues_possible, text);
	free(drive);
}

static void do_drives(struct fake *fake, char *reply, size_t size)
{
	struct keeper_drive *drive = calloc(1, sizeof(*drive));
	uint32_t after = 0;
	size_t used = (size_t)snprintf(reply, size, "0");

	while (used < size && !keeper_client_drive(fake->client, after, drive)) {
		used += (size_t)snprintf(reply + used, size - used, " %u:%s:%u", drive->id, (char *)drive->spec,
					 drive->queues_started);
		close(drive->fuse_fd);
		close(drive->region_fd);
		after = drive->id;
	}
	free(drive);
}

static void do_keep(struct fake *fake, const char *line, char *reply, size_t size)
{
	char name[128];
	unsigned id, value = 0;
	unsigned long long bytes;
	bool fresh = false;
	unsigned char was = 0;
	int fd, ret;

	if (sscanf(line, "keep %u %127s %llu %u", &id, name, &bytes, &value) < 3) {
		snprintf(reply, size, "%d syntax", -EINVAL);
		return;
	}
	ret = keeper_client_keep(fake->client, id, name, bytes, &fresh, &fd);
	if (!ret) {
		unsigned char now = (unsigned char)value;

		if (pread(fd, &was, 1, 0) != 1 || (value && pwrite(fd, &now, 1, 0) != 1))
			ret = -EIO;
		close(fd);
	}
	snprintf(reply, size, "%d fresh=%d was=%u", ret, fresh, was);
}

static void do_fd(struct fake *fake, const char *line, char *reply, size_t size)
{
	char what[16], path[256] = "", content[64] = "";
	unsigned id;
	unsigned long long key;
	int fd = -1, ret;

	if (sscanf(line, "fd %15s %u %llu %255s", what, &id, &key, path) < 3) {
		snprintf(reply, size, "%d syntax", -EINVAL);
		return;
	}
	if (strcmp(what, "put") == 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ret = fd < 0 ? -errno : keeper_client_fd_put(fake->client, id, key, fd);
	} else if (strcmp(what, "get") == 0) {
		ret = keeper_client_fd_get(fake->client, id, key, &fd);
		if (!ret && pread(fd, content, sizeof(content) - 1, 0) < 0)
			ret = -errno;
	} else {
		ret = keeper_client_fd_drop(fake->client, id, key);
	}
	if (fd >= 0)
		close(fd);
	snprintf(reply, size, "%d %s", ret, content);
}

/* Nonsense to the keeper, and reading what it says to it. */
static void do_garbage(unsigned seed, unsigned count)
{
	static struct keeper_message message;
	static char answer[sizeof(message)];

	for (unsigned i = 0; i < count; i++) {
		union {
			char bytes[CMSG_SPACE(8 * sizeof(int))];
			struct cmsghdr header;
		} control = {.bytes = {0}};
		struct iovec part = {&message, rand_r(&seed) % 4 ? sizeof(message) : (size_t)rand_r(&seed) % 30000};
		struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
		unsigned fds = rand_r(&seed) % 3 ? 0 : (unsigned)rand_r(&seed) % 8 + 1;

		if (part.iov_len > sizeof(message))
			part.iov_len = sizeof(message);
		for (size_t at = 0; at < sizeof(message); at += sizeof(int)) {
			uint32_t value = (uint32_t)rand_r(&seed) << (rand_r(&seed) % 16);

			memcpy((char *)&message + at, &value, sizeof(value));
		}
		if (rand_r(&seed) % 8) {
			message.type = (uint32_t)rand_r(&seed) % 13;
			message.drive = (uint32_t)rand_r(&seed) % 4;
			message.fd_count = rand_r(&seed) % 2 ? fds : (uint32_t)rand_r(&seed) % 3;
			message.arg[0] = (uint64_t)rand_r(&seed) >> rand_r(&seed) % 31;
			message.flags = (uint32_t)rand_r(&seed) % 1024;
			if (message.type == KEEPER_STOP || message.type == KEEPER_REMOVE)
				message.type = KEEPER_KEEP;
			if (message.type == KEEPER_ADD && rand_r(&seed) % 16)
				message.type = KEEPER_RING;
			if (rand_r(&seed) % 2)
				message.name[8] = 0;
			if (message.type == KEEPER_ADD)
				snprintf(message.target, sizeof(message.target), "%s", "/nonexistent/driveway/target");
		}
		if (fds) {
			header.msg_control = control.bytes;
			header.msg_controllen = CMSG_SPACE(fds * sizeof(int));
			control.header.cmsg_level = SOL_SOCKET;
			control.header.cmsg_type = SCM_RIGHTS;
			control.header.cmsg_len = CMSG_LEN(fds * sizeof(int));
			for (unsigned f = 0; f < fds; f++)
				memcpy(CMSG_DATA(&control.header) + f * sizeof(int), &(int){0}, sizeof(int));
		}
		if (sendmsg(KEEPER_SOCKET, &header, MSG_NOSIGNAL | (rand_r(&seed) % 8 ? 0 : MSG_DONTWAIT)) < 0 &&
		    errno == EPIPE)
			_exit(3);
		/* sometimes let answers pile up */
		while (rand_r(&seed) % 4 && recv(KEEPER_SOCKET, answer, sizeof(answer), MSG_DONTWAIT) >= 0)
			;
		if (i % 8 == 7)
			while (recv(KEEPER_SOCKET, answer, sizeof(answer), MSG_DONTWAIT) >= 0)
				;
	}
	_exit(0);
}

static void execute(struct fake *fake, const char *line, char *reply, size_t size)
{
	char text[KEEPER_TEXT_MAX] = "";
	unsigned a = 0, b = 0;
	uint32_t count;
	int fds[KEEPER_FDS_PER_MESSAGE];
	int ret;

	snprintf(reply, size, "%d unknown", -EINVAL);
	if (strcmp(line, "hello") == 0) {
		snprintf(reply, size, "0 services=%llu status=%d drives=%u stay=%d pid=%d keeper=%llu",
			 (unsigned long long)fake->hello.services, fake->hello.last_status, fake->hello.drives,
			 fake->hello.stay, getpid(), (unsigned long long)fake->hello.keeper_pid);
	} else if (strncmp(line, "add ", 4) == 0) {
		do_add(fake, line, reply, size);
	} else if (strcmp(line, "drives") == 0) {
		do_drives(fake, reply, size);
	} else if (strncmp(line, "keep ", 5) == 0) {
		do_keep(fake, line, reply, size);
	} else if (strncmp(line, "fd ", 3) == 0) {
		do_fd(fake, line, reply, size);
	} else if (sscanf(line, "ring %u", &a) == 1) {
		ret = keeper_client_ring(fake->client, a, fds, &count);
		for (uint32_t i = 0; i < count; i++)
			close(fds[i]);
		snprintf(reply, size, "%d count=%u", ret, count);
	} else if (sscanf(line, "remove %u %u", &a, &b) == 2) {
		ret = keeper_client_remove(fake->client, a, b, text, sizeof(text));
		snprintf(reply, size, "%d %s", ret, text);
	} else if (strcmp(line, "stop") == 0) {
		ret = keeper_client_stop(fake->client);
		snprintf(reply, size, "%d", ret);
	} else if (strcmp(line, "abort") == 0) {
		signal(SIGABRT, SIG_DFL);
		abort();
	} else if (sscanf(line, "exit %u", &a) == 1) {
		_exit((int)a);
	} else if (strcmp(line, "deaf") == 0) {
		close(KEEPER_SOCKET);
		snprintf(reply, size, "0");
	} else if (sscanf(line, "garbage %u %u", &a, &b) == 2) {
		do_garbage(a, b);
	}
}

struct connection {
	struct fake *fake;
	int fd;
};

static void *converse(void *argument)
{
	struct connection *connection = argument;
	FILE *stream = fdopen(connection->fd, "r+");
	char line[KEEPER_TARGET_MAX + 64], reply[4096];

	while (fgets(line, sizeof(line), stream)) {
		line[strcspn(line, "\n")] = 0;
		execute(connection->fake, line, reply, sizeof(reply));
		fseek(stream, 0, SEEK_CUR);
		fprintf(stream, "%s\n", reply);
		fflush(stream);
	}
	fclose(stream);
	free(connection);
	return NULL;
}

int main(void)
{
	static struct fake fake;
	struct keeper_drive *drive = calloc(1, sizeof(*drive));
	uint32_t after = 0;

	if (getenv("FAKE_SERVICE_DIES"))
		return 7;
	if (keeper_client_open(&fake.client, KEEPER_SOCKET) || keeper_client_hello(fake.client, &fake.hello))
		return 1;
	while (!keeper_client_drive(fake.client, after, drive)) {
		after = drive->id;
		take_drive(&fake, drive);
	}
	free(drive);
	/* shared with the keeper, which does not block on it */
	fcntl(fake.hello.control_socket, F_SETFL, 0);
	for (;;) {
		struct connection *connection = calloc(1, sizeof(*connection));

		*connection = (struct connection){&fake, accept4(fake.hello.control_socket, NULL, NULL, SOCK_CLOEXEC)};
		if (connection->fd < 0)
			return 2;
		start_thread(converse, connection);
	}
}
