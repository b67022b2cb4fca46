/* SPDX-License-Identifier: MIT */
/* Measures round trips of GETATTR by 1 and 2 client threads on both transports. Prints; asserts nothing. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "drive.h"

#define MILLISECONDS 1000

static struct test_drive drive;
static _Atomic uint32_t go_on;

static void without_locks(struct fake_fs *fake)
{
	fake->ops.getlk = NULL;
	fake->ops.setlk = NULL;
	fake->ops.flock = NULL;
}

static void *client(void *context)
{
	uint64_t *count = context;
	struct stat st;

	while (atomic_load_explicit(&go_on, memory_order_relaxed)) {
		if (stat(drive.path, &st) != 0)
			exit(1);
		++*count;
	}
	return NULL;
}

static uint64_t measure(unsigned clients)
{
	pthread_t threads[2];
	uint64_t counts[2] = {0};
	struct timespec from, to;

	atomic_store(&go_on, 1);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < clients; i++)
		pthread_create(&threads[i], NULL, client, &counts[i]);
	usleep(MILLISECONDS * 1000);
	atomic_store(&go_on, 0);
	for (unsigned i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (uint64_t)((double)(counts[0] + counts[1]) /
			  ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9));
}

int main(void)
{
	for (int ring = 0; ring < 2; ring++) {
		struct channel_status status;

		if (drive_open(&drive, ring != 0) != 0 || drive_serve(&drive, DW_FS_NOWAIT, without_locks, false) != 0)
			return 77;
		channel_status(drive.channel, &status);
		for (int i = 0; i < 3; i++)
			printf("%s: GETATTR a second, 1 client: %llu, 2 clients: %llu\n", status.transport,
			       (unsigned long long)measure(1), (unsigned long long)measure(2));
		drive_close(&drive);
	}
	return 0;
}
