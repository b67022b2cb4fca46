/* SPDX-License-Identifier: MIT */
#include "cache/active.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u

/* Kept: never changes its layout but with another name for the region. */
struct slot {
	uint64_t node;
	uint64_t request;
	uint32_t generation;
	uint32_t flags;
	uint32_t backing;
	_Atomic uint32_t used; /* written last when it is claimed, first when it is freed */
};

struct active {
	pthread_mutex_t lock;
	struct active_node *buckets[BUCKETS];
	struct slot *slots; /* ACTIVE_HANDLES of them, kept memory */
	uint32_t *free;	    /* numbers of free slots, a stack */
	uint32_t free_count;
};

static struct active_node **bucket_of(struct active *active, uint64_t node)
{
	return &active->buckets[node * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

/* lock is held. */
static struct active_node *find(struct active *active, uint64_t node)
{
	struct active_node *found = *bucket_of(active, node);

	while (found && found->node != node)
		found = found->next;
	return found;
}

/* lock is held. Counted once more; NULL: no memory. */
static struct active_node *find_or_make(struct active *active, uint64_t node)
{
	struct active_node **bucket = bucket_of(active, node);
	struct active_node *found = find(active, node);

	if (!found) {
		found = calloc(1, sizeof(*found));
		if (!found)
			return NULL;
		found->node = node;
		pthread_mutex_init(&found->lock, NULL);
		found->next = *bucket;
		*bucket = found;
	}
	found->users++;
	return found;
}

static bool writes(uint32_t flags)
{
	return (flags & DW_O_ACCMODE) != DW_O_RDONLY;
}

/* What an earlier process had open. */
static int take_over(struct active *active)
{
	for (uint32_t i = ACTIVE_HANDLES; i-- > 0;) {
		struct slot *slot = &active->slots[i];
		struct active_node *node;

		if (!atomic_load(&slot->used)) {
			active->free[active->free_count++] = i;
			continue;
		}
		node = find_or_make(active, slot->node);
		if (!node)
			return -ENOMEM;
		node->opens++;
		node->writers += writes(slot->flags);
		node->backing = slot->backing;
		node->mode_chosen = true;
	}
	return 0;
}

int active_start(struct active **out, struct cache *cache)
{
	struct active *active = calloc(1, sizeof(*active));
	void *slots = NULL;
	bool fresh;
	int ret = -ENOMEM;

	if (!active)
		return -ENOMEM;
	pthread_mutex_init(&active->lock, NULL);
	active->free = calloc(ACTIVE_HANDLES, sizeof(active->free[0]));
	if (active->free)
		ret = cache->host->keep(cache->host, "handles", ACTIVE_HANDLES * sizeof(struct slot), &slots, &fresh,
					NULL);
	if (!ret) {
		active->slots = slots;
		ret = take_over(active);
	}
	if (ret) {
		active_stop(active);
		return ret;
	}
	*out = active;
	return 0;
}

void active_stop(struct active *active)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		while (active->buckets[i]) {
			struct active_node *node = active->buckets[i];

			active->buckets[i] = node->next;
			if (node->content)
				content_put(node->content);
			pthread_mutex_destroy(&node->lock);
			free(node);
		}
	}
	free(active->free);
	pthread_mutex_destroy(&active->lock);
	free(active);
}

void active_counts(struct cache *cache, uint64_t node, unsigned *opens, unsigned *writers)
{
	struct active *active = cache->active;
	struct active_node *found;

	pthread_mutex_lock(&active->lock);
	found = find(active, node);
	*opens = found ? found->opens : 0;
	*writers = found ? found->writers : 0;
	pthread_mutex_unlock(&active->lock);
}

int active_get(struct cache *cache, uint64_t node, struct active_node **out)
{
	pthread_mutex_lock(&cache->active->lock);
	*out = find_or_make(cache->active, node);
	pthread_mutex_unlock(&cache->active->lock);
	return *out ? 0 : -ENOMEM;
}

struct active_node *active_find(struct cache *cache, uint64_t node)
{
	struct active_node *found;

	pthread_mutex_lock(&cache->active->lock);
	found = find(cache->active, node);
	if (found)
		found->users++;
	pthread_mutex_unlock(&cache->active->lock);
	return found;
}

void active_put(struct cache *cache, struct active_node *node)
{
	struct active *active = cache->active;
	struct active_node **link = bucket_of(active, node->node);
	bool unused;

	pthread_mutex_lock(&active->lock);
	unused = --node->users == 0 && node->opens == 0;
	if (unused) {
		while (*link != node)
			link = &(*link)->next;
		*link = node->next;
	}
	pthread_mutex_unlock(&active->lock);
	if (!unused)
		return;
	if (node->content)
		content_put(node->content);
	pthread_mutex_destroy(&node->lock);
	free(node);
}

static uint64_t handle_of(const struct slot *slot, uint32_t number)
{
	return (uint64_t)slot->generation << 32 | number;
}

int active_claim(struct cache *cache, struct active_node *node, const struct dw_request *req, uint32_t flags,
		 uint64_t *handle)
{
	struct active *active = cache->active;
	struct slot *slot;
	uint32_t number;
	int ret = 0;

	pthread_mutex_lock(&active->lock);
	if (!active->free_count) {
		ret = -EMFILE;
		goto out;
	}
	number = active->free[--active->free_count];
	slot = &active->slots[number];
	*handle = handle_of(slot, number);
	req->notes->word[NOTE_HANDLE] = *handle + 1;
	atomic_signal_fence(memory_order_seq_cst);
	slot->node = node->node;
	slot->request = req->id;
	slot->flags = flags;
	slot->backing = node->backing;
	atomic_store(&slot->used, 1);
	node->users++;
	node->opens++;
	node->writers += writes(flags);
out:
	pthread_mutex_unlock(&active->lock);
	return ret;
}

/* The slot of a handle that is in use; NULL. lock is held. */
static struct slot *slot_of(struct active *active, uint64_t handle)
{
	uint32_t number = (uint32_t)handle;
	struct slot *slot = number < ACTIVE_HANDLES ? &active->slots[number] : NULL;

	return slot && atomic_load(&slot->used) && slot->generation == handle >> 32 ? slot : NULL;
}

int active_claimed(struct cache *cache, const struct dw_request *req, uint64_t *handle, uint64_t *node)
{
	uint64_t noted = req->notes->word[NOTE_HANDLE];
	struct slot *slot;
	int found = 0;

	if (!noted)
		return 0;
	pthread_mutex_lock(&cache->active->lock);
	slot = slot_of(cache->active, noted - 1);
	if (slot && slot->request == req->id) {
		*handle = noted - 1;
		*node = slot->node;
		found = 1;
	}
	pthread_mutex_unlock(&cache->active->lock);
	return found;
}

int active_handle(struct cache *cache, uint64_t handle, uint64_t *node, uint32_t *flags)
{
	struct slot *slot;

	pthread_mutex_lock(&cache->active->lock);
	slot = slot_of(cache->active, handle);
	if (slot) {
		*node = slot->node;
		*flags = slot->flags;
	}
	pthread_mutex_unlock(&cache->active->lock);
	return slot ? 0 : -EBADF;
}

bool active_release(struct cache *cache, struct active_node *node, uint64_t handle, bool *last)
{
	struct active *active = cache->active;
	struct slot *slot;

	pthread_mutex_lock(&active->lock);
	slot = slot_of(active, handle);
	if (slot && slot->node == node->node) {
		atomic_store(&slot->used, 0);
		slot->generation = (slot->generation + 1) & INT32_MAX;
		active->free[active->free_count++] = (uint32_t)handle;
		node->opens--;
		node->writers -= writes(slot->flags);
	} else {
		slot = NULL;
	}
	*last = node->opens == 0;
	pthread_mutex_unlock(&active->lock);
	return slot != NULL;
}

void active_begin_change(struct cache *cache, struct active_node *node)
{
	pthread_mutex_lock(&cache->active->lock);
	node->opens++;
	node->writers++;
	pthread_mutex_unlock(&cache->active->lock);
}

void active_end_change(struct cache *cache, struct active_node *node)
{
	pthread_mutex_lock(&cache->active->lock);
	node->opens--;
	node->writers--;
	pthread_mutex_unlock(&cache->active->lock);
}

bool active_forget(struct cache *cache, uint64_t node)
{
	struct active_node *found;
	bool open = false;

	pthread_mutex_lock(&cache->active->lock);
	found = find(cache->active, node);
	if (found && found->opens) {
		found->forgotten = true;
		open = true;
	}
	pthread_mutex_unlock(&cache->active->lock);
	return !open;
}

void active_each(struct cache *cache, void (*each)(struct cache *cache, struct active_node *node, void *context),
		 void *context)
{
	struct active *active = cache->active;

	for (size_t i = 0; i < BUCKETS; i++) {
		uint64_t after = 0;

		for (;;) {
			struct active_node *next = NULL;

			/* The next by number: the bucket may change while each runs. */
			pthread_mutex_lock(&active->lock);
			for (struct active_node *one = active->buckets[i]; one; one = one->next) {
				if (one->opens && one->node > after && (!next || one->node < next->node))
					next = one;
			}
			if (next)
				next->users++;
			pthread_mutex_unlock(&active->lock);
			if (!next)
				break;
			after = next->node;
			each(cache, next, context);
			active_put(cache, next);
		}
	}
}
