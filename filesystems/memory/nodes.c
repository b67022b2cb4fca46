/* SPDX-License-Identifier: MIT */
/*
 * nodes.c - the node table
 *
 * Nodes stand in slabs of 64, which a two-level array finds by the upper bits of a node's index. A node id is
 * index and generation: a place in a slab counts its uses, so an id never means two files in turn. When
 * a slab becomes empty it is freed, and new slabs begin with a generation above all that the freed one had.
 *
 *    node_create        lookups or names       last lookup given back and last name gone
 *    (no name yet)  ->  given and taken  ->    node_release: contents, attributes and place are freed
 */
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

#define SLAB_NODES 64u

struct slab {
	uint64_t used; /* one bit a node */
	uint32_t next; /* in the list of slabs with room: slab number + 1, 0: none */
	uint32_t prev;
	arena_ref nodes;
	uint32_t number;
};

arena_ref vector_create(struct memory *memory)
{
	return arena_alloc(memory->arena, VECTOR_TOP * sizeof(arena_ref));
}

uint32_t *vector_at(const struct memory *memory, arena_ref vector, uint32_t index)
{
	const arena_ref *pages = at(memory, vector);

	if (index >= VECTOR_MAX || !pages[index / VECTOR_PAGE])
		return NULL;
	return (uint32_t *)at(memory, pages[index / VECTOR_PAGE]) + index % VECTOR_PAGE;
}

uint32_t *vector_grow(struct memory *memory, arena_ref vector, uint32_t index)
{
	arena_ref *pages = at(memory, vector);

	if (index >= VECTOR_MAX)
		return NULL;
	if (!pages[index / VECTOR_PAGE]) {
		arena_ref page = arena_alloc(memory->arena, VECTOR_PAGE * sizeof(uint32_t));
		if (!page)
			return NULL;
		SAVE(memory, &pages[index / VECTOR_PAGE]);
		pages[index / VECTOR_PAGE] = page;
	}
	return vector_at(memory, vector, index);
}

static struct slab *slab_at(const struct memory *memory, uint32_t number)
{
	const uint32_t *ref = vector_at(memory, memory->root->slabs, number);

	return ref && *ref ? at(memory, *ref) : NULL;
}

struct node *node_at(const struct memory *memory, uint32_t index)
{
	const struct slab *slab = slab_at(memory, index / SLAB_NODES);

	if (!slab || !(slab->used >> index % SLAB_NODES & 1))
		return NULL;
	return (struct node *)at(memory, slab->nodes) + index % SLAB_NODES;
}

struct node *node_find(const struct memory *memory, uint64_t id)
{
	struct node *node = node_at(memory, (uint32_t)id);

	return node && node->generation == id >> 32 ? node : NULL;
}

static void partial_push(struct memory *memory, struct slab *slab)
{
	struct root *root = memory->root;

	slab->prev = 0;
	slab->next = root->slab_partial;
	if (slab->next) {
		struct slab *next = slab_at(memory, slab->next - 1);
		SAVE(memory, &next->prev);
		next->prev = slab->number + 1;
	}
	SAVE(memory, &root->slab_partial);
	root->slab_partial = slab->number + 1;
}

static void partial_remove(struct memory *memory, struct slab *slab)
{
	struct root *root = memory->root;

	if (slab->next) {
		struct slab *next = slab_at(memory, slab->next - 1);
		SAVE(memory, &next->prev);
		next->prev = slab->prev;
	}
	if (slab->prev) {
		struct slab *prev = slab_at(memory, slab->prev - 1);
		SAVE(memory, &prev->next);
		prev->next = slab->next;
	} else {
		SAVE(memory, &root->slab_partial);
		root->slab_partial = slab->next;
	}
}

static struct slab *slab_create(struct memory *memory)
{
	struct root *root = memory->root;
	uint32_t number = root->slab_hint;

	while (number < root->slab_end && slab_at(memory, number))
		number++;
	uint32_t *where = vector_grow(memory, root->slabs, number);
	arena_ref ref = where ? arena_alloc(memory->arena, sizeof(struct slab)) : 0;
	arena_ref nodes = ref ? arena_alloc(memory->arena, SLAB_NODES * sizeof(struct node)) : 0;
	if (!nodes)
		return NULL;
	SAVE(memory, where);
	*where = ref;
	SAVE(memory, root);
	root->slab_hint = number + 1;
	if (number == root->slab_end)
		root->slab_end++;
	struct slab *slab = at(memory, ref);
	slab->number = number;
	slab->nodes = nodes;
	struct node *node = at(memory, nodes);
	for (uint32_t i = 0; i < SLAB_NODES; i++) {
		node[i].index = number * SLAB_NODES + i;
		node[i].generation = root->generation;
	}
	if (number == 0)
		slab->used = 1; /* index 0 is no node */
	partial_push(memory, slab);
	return slab;
}

int node_create(struct memory *memory, uint32_t mode, uint32_t uid, uint32_t gid, struct node **out)
{
	struct root *root = memory->root;
	struct slab *slab;

	if (memory->nodes_max && root->node_count >= memory->nodes_max)
		return -ENOSPC;
	slab = root->slab_partial ? slab_at(memory, root->slab_partial - 1) : slab_create(memory);
	if (!slab)
		return -ENOSPC;
	uint32_t place = (uint32_t)__builtin_ctzll(~slab->used);
	SAVE(memory, slab);
	slab->used |= (uint64_t)1 << place;
	if (!~slab->used)
		partial_remove(memory, slab);
	SAVE(memory, &root->node_count);
	root->node_count++;

	struct node *node = (struct node *)at(memory, slab->nodes) + place;
	SAVE(memory, node);
	*node = (struct node){
		.index = node->index, .generation = node->generation, .mode = mode, .uid = uid, .gid = gid};
	node_touch(memory, node, (1u << TIME_COUNT) - 1);
	if (node_is(node, DW_MODE_FOLDER)) {
		node->folder = arena_alloc(memory->arena, sizeof(struct folder));
		if (!node->folder)
			return -ENOSPC;
		folder_of(memory, node)->parent = node->index;
	}
	*out = node;
	return 0;
}

void node_release(struct memory *memory, struct node *node)
{
	struct root *root = memory->root;
	uint32_t index = node->index, number = index / SLAB_NODES;

	if (node->nlink || node->lookups || index == DW_NODE_ROOT)
		return;
	SAVE(memory, node);
	if (node_is(node, DW_MODE_FILE))
		blocks_discard(memory, &node->map);
	else if (node_is(node, DW_MODE_FOLDER))
		arena_free(memory->arena, node->folder, sizeof(struct folder));
	else if (node_is(node, DW_MODE_LINK))
		arena_free(memory->arena, node->target, node->size);
	xattrs_free(memory, node);
	*node = (struct node){.index = index, .generation = node->generation + 1};

	struct slab *slab = slab_at(memory, number);
	SAVE(memory, slab);
	if (!~slab->used)
		partial_push(memory, slab);
	slab->used &= ~((uint64_t)1 << index % SLAB_NODES);
	SAVE(memory, root);
	root->node_count--;
	if (slab->used == 0) {
		const struct node *nodes = at(memory, slab->nodes);
		for (uint32_t i = 0; i < SLAB_NODES; i++)
			if (nodes[i].generation >= root->generation)
				root->generation = nodes[i].generation + 1;
		partial_remove(memory, slab);
		if (number < root->slab_hint)
			root->slab_hint = number;
		uint32_t *where = vector_at(memory, root->slabs, number);
		arena_free(memory->arena, slab->nodes, SLAB_NODES * sizeof(struct node));
		arena_free(memory->arena, *where, sizeof(*slab));
		SAVE(memory, where);
		*where = 0;
	}
}

void node_count_lookup(struct memory *memory, struct node *node)
{
	SAVE(memory, &node->lookups);
	node->lookups++;
}

/*
 * A list may free more than one transaction should hold, so it is worked off in steps. The notes hold two pairs of
 * transaction number and entries done by then, used in turn: the one written last may belong to a
 * transaction that a death cut off, and then the other one is right.
 */
#define FORGET_STEP 256u

/* Entries done, and the pair that does not say so. */
static size_t forget_progress(struct memory *memory, const uint64_t *word, unsigned *pair)
{
	uint64_t done = 0;

	*pair = 0;
	memory_lock_shared(memory);
	for (unsigned i = 0; i < 4; i += 2) {
		if (arena_committed(memory->arena, word[i]) && word[i + 1] > done) {
			done = word[i + 1];
			*pair = i ^ 2;
		}
	}
	memory_unlock(memory);
	return (size_t)done;
}

void memory_forget(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list, size_t count)
{
	struct memory *memory = memory_of(fs);
	volatile uint64_t *word = req->notes->word;
	unsigned pair = 0;
	size_t i = req->flags & DW_REQUEST_REPLAYED ? forget_progress(memory, req->notes->word, &pair) : 0;

	for (; i < count; pair ^= 2) {
		size_t stop = count - i > FORGET_STEP ? i + FORGET_STEP : count;
		memory_begin(memory);
		for (; i < stop; i++) {
			struct node *node = node_find(memory, list[i].node);
			if (!node)
				continue;
			SAVE(memory, &node->lookups);
			node->lookups -= list[i].count < node->lookups ? list[i].count : node->lookups;
			node_release(memory, node);
		}
		word[pair] = 0;
		word[pair + 1] = stop;
		word[pair] = arena_sequence(memory->arena) + 1;
		memory_finish(memory, NULL, 0);
	}
	blocks_collect(memory);
}

static struct dw_time time_of(const struct node *node, enum node_time which)
{
	return (struct dw_time){.seconds = node->seconds[which], .nanoseconds = node->nanoseconds[which]};
}

void node_attr(const struct memory *memory, const struct node *node, struct dw_attr *out)
{
	*out = (struct dw_attr){
		.ino = node_id(node),
		.size = node->size,
		.blocks = (uint64_t)node->blocks * (BLOCK_SIZE / 512),
		.mode = node->mode,
		.nlink = node->nlink,
		.uid = node->uid,
		.gid = node->gid,
		.blksize = BLOCK_SIZE,
		.atime = time_of(node, TIME_ACCESS),
		.mtime = time_of(node, TIME_MODIFY),
		.ctime = time_of(node, TIME_CHANGE),
		.btime = time_of(node, TIME_BIRTH),
	};
	if (node_is(node, DW_MODE_FOLDER)) {
		out->size = folder_of(memory, node)->count * sizeof(struct name);
	} else if (node_is(node, DW_MODE_CHARACTER) || node_is(node, DW_MODE_BLOCK)) {
		out->rdev_major = node->device.major;
		out->rdev_minor = node->device.minor;
	}
}

void node_entry(const struct memory *memory, const struct node *node, struct dw_entry *out)
{
	out->node = node_id(node);
	out->generation = 0; /* ids are not used again */
	out->entry_timeout = DW_TIMEOUT_DEFAULT;
	out->attr_timeout = DW_TIMEOUT_DEFAULT;
	node_attr(memory, node, &out->attr);
}

void node_touch(struct memory *memory, struct node *node, unsigned times)
{
	struct dw_time now = memory_now();

	arena_save(memory->arena, node->seconds, sizeof(node->seconds) + sizeof(node->nanoseconds));
	for (unsigned i = 0; i < TIME_COUNT; i++) {
		if (!(times >> i & 1))
			continue;
		node->seconds[i] = now.seconds;
		node->nanoseconds[i] = now.nanoseconds;
	}
}

static bool is_later(const struct node *node, enum node_time a, enum node_time b)
{
	if (node->seconds[a] != node->seconds[b])
		return node->seconds[a] > node->seconds[b];
	return node->nanoseconds[a] > node->nanoseconds[b];
}

bool node_atime_is_due(const struct node *node)
{
	return !is_later(node, TIME_ACCESS, TIME_MODIFY) || !is_later(node, TIME_ACCESS, TIME_CHANGE) ||
	       node->seconds[TIME_ACCESS] < memory_now().seconds - 86400;
}

void node_accessed(struct memory *memory, uint64_t id)
{
	memory_begin(memory);
	struct node *node = node_find(memory, id);
	if (node && node_atime_is_due(node))
		node_touch(memory, node, 1u << TIME_ACCESS);
	memory_finish(memory, NULL, 0);
}
