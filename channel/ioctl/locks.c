/* SPDX-License-Identifier: MIT */
/*
 * locks.c - one lock for each node that is being changed
 *
 * A lock exists while somebody has it or waits for it, so a slow change holds up nothing but changes of its own node.
 */
#include <stdlib.h>

#include "channel/ioctl/volume_internal.h"

void locks_create(struct locks *locks)
{
	pthread_mutex_init(&locks->lock, NULL);
}

void locks_destroy(struct locks *locks)
{
	pthread_mutex_destroy(&locks->lock);
}

static struct node_lock **find(struct locks *locks, uint64_t node)
{
	struct node_lock **where = &locks->bucket[(node ^ node >> 32) % LOCK_BUCKETS];

	while (*where && (*where)->node != node)
		where = &(*where)->next;
	return where;
}

int locks_take(struct locks *locks, uint64_t node)
{
	struct node_lock **where, *lock;

	pthread_mutex_lock(&locks->lock);
	where = find(locks, node);
	lock = *where;
	if (!lock) {
		lock = calloc(1, sizeof(*lock));
		if (!lock) {
			pthread_mutex_unlock(&locks->lock);
			return -ENOMEM;
		}
		lock->node = node;
		pthread_mutex_init(&lock->mutex, NULL);
		*where = lock;
	}
	lock->users++;
	pthread_mutex_unlock(&locks->lock);
	pthread_mutex_lock(&lock->mutex);
	return 0;
}

void locks_give(struct locks *locks, uint64_t node)
{
	struct node_lock **where, *lock;

	pthread_mutex_lock(&locks->lock);
	where = find(locks, node);
	lock = *where;
	pthread_mutex_unlock(&lock->mutex);
	lock->users--;
	if (!lock->users) {
		*where = lock->next;
		pthread_mutex_destroy(&lock->mutex);
		free(lock);
	}
	pthread_mutex_unlock(&locks->lock);
}

int locks_take_two(struct locks *locks, uint64_t a, uint64_t b)
{
	uint64_t first = a < b ? a : b, second = a < b ? b : a;
	int error = locks_take(locks, first);

	if (error || first == second)
		return error;
	error = locks_take(locks, second);
	if (error)
		locks_give(locks, first);
	return error;
}

void locks_give_two(struct locks *locks, uint64_t a, uint64_t b)
{
	locks_give(locks, a);
	if (a != b)
		locks_give(locks, b);
}
