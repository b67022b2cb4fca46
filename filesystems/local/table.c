/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_KIND	 0x4c4f4301u /* "LOC", format 1 */
#define SEGMENT_BUCKETS	 4096u
#define SEGMENTS_MAX	 8192u /* 32 Mi buckets a hash */
#define INITIAL_BUCKETS	 1024u
#define IDENTITY_UNKNOWN 0u

/*
 * A hash that grows by one bucket at a time (linear hashing): buckets 0 to count - 1 are in use;
 * half is the largest power of two up to count.
 */
struct hash {
	uint64_t entries;
	uint32_t count;
	uint32_t half;
	arena_ref segments[SEGMENTS_MAX];
};

struct table_root {
	uint32_t epoch;
	uint32_t serial; /* of ids */
	uint64_t nodes;
	arena_ref root;
	uint32_t reserved;
	struct hash by_identity;
	struct hash by_name;
};

#define SAVE(table, field) arena_save((table)->arena, &(field), sizeof(field))

/* --- Hash ---------------------------------------------------------------------------------------------- */

static uint32_t mix(uint64_t value)
{
	value ^= value >> 32;
	value *= 0x9e3779b97f4a7c15u;
	value ^= value >> 29;
	value *= 0xbf58476d1ce4e5b9u;
	return (uint32_t)(value >> 32);
}

static uint32_t identity_hash(uint64_t ino, uint64_t device, uint32_t mount)
{
	return mix(ino + (device << 40) + ((uint64_t)mount << 52));
}

static uint32_t name_hash(arena_ref folder, const char *text, size_t length)
{
	uint64_t value = ((uint64_t)folder << 8) ^ length;

	while (length >= 8) {
		uint64_t word;

		memcpy(&word, text, 8);
		value = (value ^ word) * 0x9e3779b97f4a7c15u;
		value ^= value >> 31;
		text += 8;
		length -= 8;
	}
	while (length > 0) {
		value = (value ^ (unsigned char)*text++) * 0x100000001b3u;
		length--;
	}
	return mix(value);
}

static arena_ref *hash_bucket(const struct table *table, const struct hash *hash, uint32_t value)
{
	uint32_t index = value & (hash->half * 2 - 1);
	arena_ref *segment;

	if (index >= hash->count)
		index -= hash->half;
	segment = arena_at(table->arena, hash->segments[index / SEGMENT_BUCKETS]);
	return &segment[index % SEGMENT_BUCKETS];
}

static bool hash_segment(struct table *table, struct hash *hash, uint32_t index)
{
	if (hash->segments[index] != 0)
		return true;
	arena_ref segment = arena_alloc(table->arena, SEGMENT_BUCKETS * sizeof(arena_ref));
	if (segment == 0)
		return false;
	SAVE(table, hash->segments[index]);
	hash->segments[index] = segment;
	return true;
}

static bool hash_create(struct table *table, struct hash *hash)
{
	if (!hash_segment(table, hash, 0))
		return false;
	hash->count = INITIAL_BUCKETS;
	hash->half = INITIAL_BUCKETS;
	return true;
}

/* One more bucket: the entries of its lower half's bucket are divided between the two. */
static void hash_grow(struct table *table, struct hash *hash)
{
	uint32_t fresh = hash->count;
	arena_ref *low;
	arena_ref *high;

	if (fresh / SEGMENT_BUCKETS >= SEGMENTS_MAX || !hash_segment(table, hash, fresh / SEGMENT_BUCKETS))
		return;
	low = hash_bucket(table, hash, fresh);
	SAVE(table, hash->count);
	SAVE(table, hash->half);
	hash->count++;
	if (hash->count == hash->half * 2)
		hash->half *= 2;
	high = (arena_ref *)arena_at(table->arena, hash->segments[fresh / SEGMENT_BUCKETS]) + fresh % SEGMENT_BUCKETS;
	SAVE(table, *low);
	SAVE(table, *high);
	arena_ref entry = *low;
	*low = 0;
	*high = 0;
	while (entry != 0) {
		struct link *link = arena_at(table->arena, entry);
		arena_ref next = link->next;
		arena_ref *bucket = hash_bucket(table, hash, link->hash);

		SAVE(table, link->next);
		link->next = *bucket;
		*bucket = entry;
		entry = next;
	}
}

static void hash_add(struct table *table, struct hash *hash, struct link *link, uint32_t value)
{
	SAVE(table, hash->entries);
	if (++hash->entries > hash->count)
		hash_grow(table, hash);
	arena_ref *bucket = hash_bucket(table, hash, value);

	SAVE(table, *link);
	SAVE(table, *bucket);
	link->hash = value;
	link->next = *bucket;
	*bucket = table_ref(table, link);
}

static void hash_remove(struct table *table, struct hash *hash, struct link *link)
{
	arena_ref *at = hash_bucket(table, hash, link->hash);
	arena_ref self = table_ref(table, link);

	while (*at != self)
		at = &((struct link *)arena_at(table->arena, *at))->next;
	SAVE(table, *at);
	*at = link->next;
	SAVE(table, hash->entries);
	hash->entries--;
}

/* --- The table ----------------------------------------------------------------------------------------- */

static uint64_t new_id(struct table *table, arena_ref ref)
{
	SAVE(table, table->root->serial);
	if (++table->root->serial == 0)
		table->root->serial = 1;
	return (uint64_t)table->root->serial << 32 | ref;
}

static bool table_format(struct table *table, const struct identity *identity)
{
	arena_ref ref = arena_alloc(table->arena, sizeof(struct table_root));

	if (ref == 0)
		return false;
	table->root = arena_at(table->arena, ref);
	if (!hash_create(table, &table->root->by_identity) || !hash_create(table, &table->root->by_name))
		return false;
	struct node *node = table_enter(table, identity);
	if (node == NULL)
		return false;
	node->id = DW_NODE_ROOT;
	node->lookups = 1;
	table->root->root = table_ref(table, node);
	arena_set_root(table->arena, ref);
	return true;
}

int table_open(struct table *table, void *base, uint64_t size, bool fresh, const struct identity *root)
{
	pthread_mutexattr_t attributes;
	int err = arena_open(&table->arena, base, size, fresh, TABLE_KIND, NULL);

	if (err != 0)
		return err;
	arena_begin(table->arena);
	arena_ref ref = arena_root(table->arena);
	if (ref != 0) {
		table->root = arena_at(table->arena, ref);
	} else if (!table_format(table, root)) {
		arena_rollback(table->arena);
		arena_close(table->arena);
		return -ENOMEM;
	}
	struct node *node = table_node_at(table, table->root->root);
	if (!identity_equal(&node->identity, root))
		table_become(table, node, root);
	SAVE(table, table->root->epoch);
	table->epoch = ++table->root->epoch;
	arena_commit(table->arena);

	/* A waiter spins for a moment: what the lock is held for is far shorter than a sleep. */
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&table->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return 0;
}

void table_close(struct table *table)
{
	pthread_mutex_destroy(&table->lock);
	arena_close(table->arena);
}

void table_unlock(struct table *table)
{
	struct opened *leaving = table->leaving;

	table->leaving = NULL;
	pthread_mutex_unlock(&table->lock);
	while (leaving != NULL) {
		struct opened *opened = leaving;

		leaving = opened->next_leaving;
		opened_put(opened);
	}
}

void table_put_later(struct table *table, struct opened *opened)
{
	opened->next_leaving = table->leaving;
	table->leaving = opened;
}

void table_begin(struct table *table)
{
	arena_begin(table->arena);
}

void table_commit(struct table *table, struct dw_notes *notes)
{
	if (notes != NULL)
		notes->word[NOTE_NUMBER] = arena_sequence(table->arena) + 1;
	atomic_signal_fence(memory_order_seq_cst);
	arena_commit(table->arena);
}

void table_rollback(struct table *table)
{
	arena_rollback(table->arena);
}

bool table_noted(struct table *table, const struct dw_notes *notes)
{
	table_lock(table);
	bool committed = arena_committed(table->arena, notes->word[NOTE_NUMBER]);
	table_unlock(table);
	return committed;
}

void table_commit_done(struct table *table, struct dw_notes *notes, uint64_t done)
{
	uint64_t *word = notes->word;

	/* The number may be that of the commit before, with which NOTE_DONE_WITH items were done. */
	word[NOTE_DONE_BEFORE] = arena_committed(table->arena, word[NOTE_NUMBER]) ? word[NOTE_DONE_WITH]
										  : word[NOTE_DONE_BEFORE];
	atomic_signal_fence(memory_order_seq_cst);
	word[NOTE_NUMBER] = 0;
	atomic_signal_fence(memory_order_seq_cst);
	word[NOTE_DONE_WITH] = done;
	atomic_signal_fence(memory_order_seq_cst);
	table_commit(table, notes);
}

uint64_t table_done(struct table *table, const struct dw_notes *notes)
{
	return notes->word[table_noted(table, notes) ? NOTE_DONE_WITH : NOTE_DONE_BEFORE];
}

arena_ref table_ref(const struct table *table, const void *object)
{
	return (arena_ref)((size_t)((const char *)object - table->arena->base) / ARENA_UNIT);
}

static void *object_of(struct table *table, uint64_t id, size_t size)
{
	uint64_t offset = (uint64_t)(uint32_t)id * ARENA_UNIT;

	if (offset == 0 || offset + size > table->arena->size)
		return NULL;
	return table->arena->base + offset;
}

struct node *table_node_at(struct table *table, arena_ref ref)
{
	return arena_at(table->arena, ref);
}

struct node *table_node(struct table *table, uint64_t id)
{
	if (id == DW_NODE_ROOT)
		return table_node_at(table, table->root->root);
	struct node *node = object_of(table, id, sizeof(*node));
	return node != NULL && node->id == id ? node : NULL;
}

struct handle *table_handle_at(struct table *table, arena_ref ref)
{
	return arena_at(table->arena, ref);
}

struct handle *table_handle(struct table *table, uint64_t id)
{
	struct handle *handle = object_of(table, id, sizeof(*handle));

	return handle != NULL && handle->id == id ? handle : NULL;
}

struct name *table_name_at(struct table *table, arena_ref ref)
{
	return arena_at(table->arena, ref);
}

struct name *table_name(struct table *table, const struct node *folder, const char *text, size_t length)
{
	arena_ref parent = table_ref(table, folder);
	uint32_t value = name_hash(parent, text, length);

	for (arena_ref ref = *hash_bucket(table, &table->root->by_name, value); ref != 0;) {
		struct name *name = table_name_at(table, ref);

		if (name->link.hash == value && name->folder == parent && name->length == length &&
		    memcmp(name->text, text, length) == 0)
			return name;
		ref = name->link.next;
	}
	return NULL;
}

void identity_of(const struct statx *stx, struct identity *out)
{
	out->ino = stx->stx_ino;
	out->device = (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
	out->mount = stx->stx_mask & STATX_MNT_ID ? (uint32_t)stx->stx_mnt_id : 0;
	out->type = stx->stx_mode & DW_MODE_TYPE;
	out->birth = stx->stx_mask & STATX_BTIME
			     ? (uint64_t)stx->stx_btime.tv_sec * 1000000000u + stx->stx_btime.tv_nsec
			     : IDENTITY_UNKNOWN;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	return a->ino == b->ino && a->device == b->device && a->mount == b->mount && a->type == b->type &&
	       (a->birth == b->birth || a->birth == IDENTITY_UNKNOWN || b->birth == IDENTITY_UNKNOWN);
}

/* --- Inside a transaction ------------------------------------------------------------------------------ */

static struct node *find_identity(struct table *table, const struct identity *identity, uint32_t value)
{
	for (arena_ref ref = *hash_bucket(table, &table->root->by_identity, value); ref != 0;) {
		struct node *node = table_node_at(table, ref);

		if (node->identity.ino == identity->ino && node->identity.device == identity->device &&
		    node->identity.mount == identity->mount)
			return node;
		ref = node->link.next;
	}
	return NULL;
}

struct node *table_enter(struct table *table, const struct identity *identity)
{
	uint32_t value = identity_hash(identity->ino, identity->device, identity->mount);
	struct node *node = find_identity(table, identity, value);

	if (node != NULL) {
		if (identity_equal(&node->identity, identity))
			return node;
		table_unhash(table, node);
		/* Its names lead to the new file, or nowhere. */
		SAVE(table, node->children);
		node->children++;
		while (node->names != 0)
			table_drop_name(table, table_name_at(table, node->names));
		node->children--;
		table_settle(table, node);
	}
	arena_ref ref = arena_alloc(table->arena, sizeof(*node));
	if (ref == 0)
		return NULL;
	node = table_node_at(table, ref);
	node->id = new_id(table, ref);
	node->identity = *identity;
	node->hashed = true;
	hash_add(table, &table->root->by_identity, &node->link, value);
	SAVE(table, table->root->nodes);
	table->root->nodes++;
	return node;
}

void table_unhash(struct table *table, struct node *node)
{
	if (!node->hashed)
		return;
	hash_remove(table, &table->root->by_identity, &node->link);
	SAVE(table, node->hashed);
	node->hashed = false;
}

void table_become(struct table *table, struct node *node, const struct identity *identity)
{
	table_unhash(table, node);
	SAVE(table, node->identity);
	SAVE(table, node->hashed);
	node->identity = *identity;
	node->hashed = true;
	hash_add(table, &table->root->by_identity, &node->link,
		 identity_hash(identity->ino, identity->device, identity->mount));
}

/* Take name out of its node's list. */
static void detach_name(struct table *table, struct name *name)
{
	struct node *node = table_node_at(table, name->node);
	arena_ref self = table_ref(table, name);
	arena_ref *at = &node->names;

	while (*at != self)
		at = &table_name_at(table, *at)->other;
	SAVE(table, *at);
	*at = name->other;
	table->name_changes++;
}

static void attach_name(struct table *table, struct name *name, struct node *node)
{
	SAVE(table, name->node);
	SAVE(table, name->other);
	SAVE(table, node->names);
	name->node = table_ref(table, node);
	name->other = node->names;
	node->names = table_ref(table, name);
	table->name_changes++;
}

bool table_set_name(struct table *table, struct node *node, struct node *folder, const char *text, size_t length)
{
	struct name *name = table_name(table, folder, text, length);

	if (name != NULL) {
		arena_ref self = table_ref(table, name);

		if (node->names == self)
			return true;
		struct node *before = table_node_at(table, name->node);
		detach_name(table, name);
		attach_name(table, name, node);
		if (before != node)
			table_settle(table, before);
		return true;
	}
	arena_ref ref = arena_alloc(table->arena, sizeof(*name) + length);
	if (ref == 0)
		return false;
	name = table_name_at(table, ref);
	name->folder = table_ref(table, folder);
	name->length = (uint16_t)length;
	memcpy(name->text, text, length);
	hash_add(table, &table->root->by_name, &name->link, name_hash(name->folder, text, length));
	SAVE(table, folder->children);
	folder->children++;
	attach_name(table, name, node);
	return true;
}

/* Free a name that is in no list any more; answers its folder, which has one child less. */
static struct node *free_name(struct table *table, struct name *name)
{
	struct node *folder = table_node_at(table, name->folder);

	hash_remove(table, &table->root->by_name, &name->link);
	SAVE(table, folder->children);
	folder->children--;
	arena_free(table->arena, table_ref(table, name), sizeof(*name) + name->length);
	return folder;
}

void table_drop_name(struct table *table, struct name *name)
{
	struct node *node = table_node_at(table, name->node);

	detach_name(table, name);
	struct node *folder = free_name(table, name);
	table_settle(table, node);
	if (folder != node)
		table_settle(table, folder);
}

/*
 * A node that goes takes its names along, and a folder that has lost its last one may go too: upwards in a
 * loop. More than one name means a file with hard links; their folders are few and settled by recursion of
 * depth one, because a folder has one name.
 */
void table_settle(struct table *table, struct node *node)
{
	while (node != NULL && node->id != DW_NODE_ROOT && node->lookups == 0 && node->handles == 0 &&
	       node->children == 0) {
		struct node *above = NULL;

		while (node->names != 0) {
			struct name *name = table_name_at(table, node->names);

			detach_name(table, name);
			struct node *folder = free_name(table, name);
			if (above != NULL && above != folder)
				table_settle(table, above);
			above = folder;
		}
		table_unhash(table, node);
		if (node->epoch == table->epoch && node->folder != NULL)
			table->folder_goes(table, node);
		SAVE(table, node->id);
		node->id = 0;
		SAVE(table, table->root->nodes);
		table->root->nodes--;
		arena_free(table->arena, table_ref(table, node), sizeof(*node));
		node = above;
	}
}

void table_count(struct table *table, struct node *node, uint64_t lookups)
{
	SAVE(table, node->lookups);
	node->lookups += lookups;
}

void table_forget(struct table *table, struct node *node, uint64_t lookups)
{
	if (node->id == DW_NODE_ROOT)
		return;
	SAVE(table, node->lookups);
	node->lookups -= lookups < node->lookups ? lookups : node->lookups;
	table_settle(table, node);
}

struct handle *table_make_handle(struct table *table, struct node *node, uint32_t flags)
{
	arena_ref ref = arena_alloc(table->arena, sizeof(struct handle));

	if (ref == 0)
		return NULL;
	struct handle *handle = table_handle_at(table, ref);
	handle->id = new_id(table, ref);
	handle->node = table_ref(table, node);
	handle->flags = flags;
	handle->next = node->handles;
	SAVE(table, node->handles);
	SAVE(table, node->handle_count);
	node->handles = ref;
	node->handle_count++;
	return handle;
}

struct opened *table_opened(const struct table *table, const struct handle *handle)
{
	return handle->epoch == table->epoch ? handle->opened : NULL;
}

void table_set_opened(struct table *table, struct handle *handle, struct opened *opened)
{
	handle->epoch = table->epoch;
	handle->opened = opened;
	handle->before = NULL;
	handle->behind = table->open_handles;
	if (handle->behind != NULL)
		handle->behind->before = handle;
	table->open_handles = handle;
}

static struct opened *take_opened(struct table *table, struct handle *handle)
{
	struct opened *opened = table_opened(table, handle);

	if (opened == NULL)
		return NULL;
	if (handle->before != NULL)
		handle->before->behind = handle->behind;
	else
		table->open_handles = handle->behind;
	if (handle->behind != NULL)
		handle->behind->before = handle->before;
	handle->opened = NULL;
	return opened;
}

void table_drop_opened(struct table *table)
{
	while (table->open_handles != NULL)
		table_put_later(table, take_opened(table, table->open_handles));
}

struct opened *table_drop_handle(struct table *table, struct handle *handle)
{
	struct node *node = table_node_at(table, handle->node);
	arena_ref self = table_ref(table, handle);
	arena_ref *at = &node->handles;
	struct opened *opened = take_opened(table, handle);

	while (*at != self)
		at = &table_handle_at(table, *at)->next;
	SAVE(table, *at);
	SAVE(table, node->handle_count);
	*at = handle->next;
	node->handle_count--;
	SAVE(table, handle->id);
	handle->id = 0;
	arena_free(table->arena, self, sizeof(*handle));
	table_settle(table, node);
	return opened;
}

void table_set_backing(struct table *table, struct node *node, uint32_t backing)
{
	SAVE(table, node->backing);
	node->backing = backing;
}

void table_set_unkept(struct table *table, struct node *node)
{
	SAVE(table, node->kept);
	node->kept = false;
}

size_t table_room(const struct table *table)
{
	return arena_room(table->arena);
}

uint64_t table_nodes(const struct table *table)
{
	return table->root->nodes;
}

/* --- Descriptors --------------------------------------------------------------------------------------- */

struct opened *opened_make(int fd, uint32_t flags)
{
	struct opened *opened = calloc(1, sizeof(*opened));

	if (opened == NULL) {
		close(fd);
		return NULL;
	}
	atomic_init(&opened->references, 1);
	opened->fd = fd;
	opened->flags = flags;
	pthread_mutex_init(&opened->lock, NULL);
	return opened;
}

struct opened *opened_get(struct opened *opened)
{
	atomic_fetch_add_explicit(&opened->references, 1, memory_order_relaxed);
	return opened;
}

void opened_put(struct opened *opened)
{
	if (opened == NULL || atomic_fetch_sub_explicit(&opened->references, 1, memory_order_acq_rel) != 1)
		return;
	close(opened->fd);
	free(opened->buffer);
	pthread_mutex_destroy(&opened->lock);
	free(opened);
}
