/* SPDX-License-Identifier: MIT */
#include "support/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifndef _WIN32
#include <signal.h>
#endif

#define WORKERS_MAX  256u
#define IDLE_SECONDS 10
#define NAME_SIZE    16

/* All members are guarded by lock. Threads are detached: each counts itself out of threads as its last use of this. */
struct workers {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a job was submitted, or the pool ends */
	pthread_cond_t gone; /* threads fell to 0 */
	struct workers_job *first, **last;
	unsigned maximum;
	unsigned threads;
	unsigned idle;	  /* of them waiting for work */
	unsigned queued;  /* jobs in the list */
	unsigned running; /* jobs under way */
	bool ending;
	char name[NAME_SIZE];
};

int workers_create(struct workers **out, const char *name, unsigned maximum)
{
	struct workers *workers;
	size_t length = strlen(name);

	if (maximum == 0 || maximum > WORKERS_MAX)
		return -EINVAL;
	workers = calloc(1, sizeof(*workers));
	if (!workers)
		return -ENOMEM;
	workers->last = &workers->first;
	workers->maximum = maximum;
	memcpy(workers->name, name, length < NAME_SIZE ? length : NAME_SIZE - 1);
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->work, NULL);
	pthread_cond_init(&workers->gone, NULL);
	*out = workers;
	return 0;
}

/* Wait for a job. Called and returns with lock held. NULL: the thread is to end. */
static struct workers_job *next_job(struct workers *workers)
{
	struct workers_job *job;

	while (!workers->first && !workers->ending) {
		struct timespec until;
		int error;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += IDLE_SECONDS;
		workers->idle++;
		error = pthread_cond_timedwait(&workers->work, &workers->lock, &until);
		workers->idle--;
		if (error == ETIMEDOUT && !workers->first)
			return NULL;
	}
	job = workers->first;
	if (job) {
		workers->first = job->next;
		if (!workers->first)
			workers->last = &workers->first;
		workers->queued--;
		workers->running++;
	}
	return job;
}

static void *worker_run(void *context)
{
	struct workers *workers = context;
	struct workers_job *job;

#ifdef __linux__
	pthread_setname_np(pthread_self(), workers->name);
#endif
	pthread_mutex_lock(&workers->lock);
	while ((job = next_job(workers)) != NULL) {
		pthread_mutex_unlock(&workers->lock);
		job->run(job);
		pthread_mutex_lock(&workers->lock);
		workers->running--;
	}
	if (--workers->threads == 0)
		pthread_cond_broadcast(&workers->gone);
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

/* One more thread, which takes no signals. Called with lock held. */
static int start_thread(struct workers *workers)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;
#ifndef _WIN32
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, worker_run, workers);
	pthread_attr_destroy(&attributes);
#ifndef _WIN32
	pthread_sigmask(SIG_SETMASK, &before, NULL);
#endif
	if (error)
		return -EAGAIN;
	workers->threads++;
	return 0;
}

int workers_submit(struct workers *workers, struct workers_job *job)
{
	int error = 0;

	pthread_mutex_lock(&workers->lock);
	if (workers->queued >= workers->idle && workers->threads < workers->maximum)
		error = start_thread(workers);
	if (workers->threads > 0) {
		error = 0;
		job->next = NULL;
		*workers->last = job;
		workers->last = &job->next;
		workers->queued++;
		if (workers->idle > 0)
			pthread_cond_signal(&workers->work);
	}
	pthread_mutex_unlock(&workers->lock);
	return error;
}

void workers_destroy(struct workers *workers)
{
	if (!workers)
		return;
	pthread_mutex_lock(&workers->lock);
	workers->ending = true;
	pthread_cond_broadcast(&workers->work);
	while (workers->threads > 0)
		pthread_cond_wait(&workers->gone, &workers->lock);
	pthread_mutex_unlock(&workers->lock);
	pthread_cond_destroy(&workers->work);
	pthread_cond_destroy(&workers->gone);
	pthread_mutex_destroy(&workers->lock);
	free(workers);
}

unsigned workers_pending(struct workers *workers)
{
	unsigned pending;

	pthread_mutex_lock(&workers->lock);
	pending = workers->queued + workers->running;
	pthread_mutex_unlock(&workers->lock);
	return pending;
}
