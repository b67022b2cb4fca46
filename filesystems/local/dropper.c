/* SPDX-License-Identifier: MIT */
#include "dropper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/workers.h"

#define SLOW	100000u	 /* nanoseconds; a removal in memory takes 10,000 to 30,000 */
#define CLAMP	1000000u /* one very slow removal says little about the next */
#define WEIGHT	8u	 /* of the mean against one new figure */
#define LARGEST (1u << 20)
#define WORKERS 16u /* they wait for the disk, so more than there are CPUs */

struct drop {
	struct workers_job job;
	struct dropper *dropper;
	struct drop *next; /* free ones */
	int fd;
};

struct dropper {
	_Atomic uint64_t mean; /* nanoseconds that a removal takes */
	struct workers *workers;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t gone;  /* pending fell to 0 */
	uint32_t pending;
	uint32_t waiting; /* threads in dropper_wait: nothing new is taken, so that they see an end */
	struct drop *free;
	struct drop drops[];
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void learn(struct dropper *dropper, uint64_t nanoseconds)
{
	/* Two that learn at once may lose one figure. */
	uint64_t mean = atomic_load_explicit(&dropper->mean, memory_order_relaxed);

	if (nanoseconds > CLAMP)
		nanoseconds = CLAMP;
	atomic_store_explicit(&dropper->mean, mean - mean / WEIGHT + nanoseconds / WEIGHT, memory_order_relaxed);
}

static void close_timed(struct dropper *dropper, int fd)
{
	uint64_t began = now();

	close(fd);
	learn(dropper, now() - began);
}

static void run(struct workers_job *job)
{
	struct drop *drop = (struct drop *)job;
	struct dropper *dropper = drop->dropper;

	close_timed(dropper, drop->fd);
	pthread_mutex_lock(&dropper->lock);
	drop->next = dropper->free;
	dropper->free = drop;
	if (--dropper->pending == 0)
		pthread_cond_broadcast(&dropper->gone);
	pthread_mutex_unlock(&dropper->lock);
}

int dropper_create(struct dropper **out, uint32_t room)
{
	struct dropper *dropper = calloc(1, sizeof(*dropper) + room * sizeof(dropper->drops[0]));

	if (dropper == NULL)
		return -ENOMEM;
	int err = workers_create(&dropper->workers, "dropper", WORKERS);
	if (err != 0) {
		free(dropper);
		return err;
	}
	for (uint32_t i = 0; i < room; i++) {
		dropper->drops[i].job.run = run;
		dropper->drops[i].dropper = dropper;
		dropper->drops[i].next = dropper->free;
		dropper->free = &dropper->drops[i];
	}
	pthread_mutex_init(&dropper->lock, NULL);
	pthread_cond_init(&dropper->gone, NULL);
	*out = dropper;
	return 0;
}

void dropper_destroy(struct dropper *dropper)
{
	if (dropper == NULL)
		return;
	workers_destroy(dropper->workers);
	pthread_cond_destroy(&dropper->gone);
	pthread_mutex_destroy(&dropper->lock);
	free(dropper);
}

int dropper_hold(struct dropper *dropper, int folder, const char *name)
{
	struct stat st;

	if (atomic_load_explicit(&dropper->mean, memory_order_relaxed) < SLOW)
		return -1;
	int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
	    (uint64_t)st.st_blocks * 512u > LARGEST) {
		close(fd);
		return -1;
	}
	return fd;
}

void dropper_release(struct dropper *dropper, int held, uint64_t nanoseconds)
{
	struct drop *drop = NULL;

	if (held < 0) {
		learn(dropper, nanoseconds);
		return;
	}
	pthread_mutex_lock(&dropper->lock);
	if (dropper->waiting == 0 && dropper->free != NULL) {
		drop = dropper->free;
		dropper->free = drop->next;
		dropper->pending++;
	}
	pthread_mutex_unlock(&dropper->lock);
	if (drop == NULL) {
		close_timed(dropper, held);
		return;
	}
	drop->fd = held;
	if (workers_submit(dropper->workers, &drop->job) != 0)
		run(&drop->job);
}

bool dropper_busy(struct dropper *dropper)
{
	pthread_mutex_lock(&dropper->lock);
	bool busy = dropper->pending != 0;
	pthread_mutex_unlock(&dropper->lock);
	return busy;
}

bool dropper_wait(struct dropper *dropper)
{
	pthread_mutex_lock(&dropper->lock);
	bool any = dropper->pending != 0;
	dropper->waiting++;
	while (dropper->pending != 0)
		pthread_cond_wait(&dropper->gone, &dropper->lock);
	dropper->waiting--;
	pthread_mutex_unlock(&dropper->lock);
	return any;
}
