/* SPDX-License-Identifier: MIT */
/*
 * names.c - names in folders
 *
 * A name stands in two structures: the hash table of the whole drive, by folder and text, and the tree of
 * its folder, by slot. A slot is a number that the folder never gives twice (but a rename
 * inside the folder keeps it), so it serves as the offset of a listing.
 *
 * The hash table grows by linear hashing: when there are more names than buckets, the next bucket in turn is split in
 * two; when there are far less, the last one is merged back. No single change ever moves more than one bucket.
 */
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

#define BUCKETS_MIN VECTOR_PAGE

static inline uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ b) * 0x9fb21c651e98df25u;

	return x ^ x >> 32;
}

static uint32_t hash_name(const struct memory *memory, uint32_t parent, const char *text, size_t length)
{
	uint64_t hash = mix(memory->root->seed, (uint64_t)parent << 8 | length), word;

	for (; length >= 8; text += 8, length -= 8) {
		memcpy(&word, text, 8);
		hash = mix(hash, word);
	}
	word = 0;
	memcpy(&word, text, length);
	hash = mix(hash, word);
	return (uint32_t)(hash ^ hash >> 29);
}

static uint32_t bucket_of(const struct memory *memory, uint32_t hash)
{
	const struct root *root = memory->root;
	uint32_t bucket = hash & root->bucket_mask;

	return bucket < root->bucket_split ? hash & (root->bucket_mask * 2 + 1) : bucket;
}

static uint32_t bucket_count(const struct root *root)
{
	return root->bucket_mask + 1 + root->bucket_split;
}

static void set(struct memory *memory, uint32_t *where, uint32_t value)
{
	arena_save(memory->arena, where, sizeof(*where));
	*where = value;
}

int names_create(struct memory *memory)
{
	struct root *root = memory->root;

	root->buckets = vector_create(memory);
	if (!root->buckets || !vector_grow(memory, root->buckets, 0))
		return -ENOSPC;
	root->bucket_mask = BUCKETS_MIN - 1;
	return 0;
}

/* Split the next bucket in turn. Failing is no error: the chains are longer then. */
static void grow(struct memory *memory)
{
	struct root *root = memory->root;
	uint32_t source = root->bucket_split, target = bucket_count(root);
	uint32_t *to = vector_grow(memory, root->buckets, target);

	if (!to)
		return;
	uint32_t *from = vector_at(memory, root->buckets, source);
	uint32_t bit = root->bucket_mask + 1;
	for (arena_ref ref = *from; ref;) {
		struct name *name = at(memory, ref);
		arena_ref next = name->next;
		if (name->hash & bit) {
			set(memory, from, next);
			set(memory, &name->next, *to);
			set(memory, to, ref);
		} else {
			from = &name->next;
		}
		ref = next;
	}
	arena_save(memory->arena, &root->bucket_mask, 2 * sizeof(uint32_t));
	root->bucket_split++;
	if (root->bucket_split == bit) {
		root->bucket_mask = root->bucket_mask * 2 + 1;
		root->bucket_split = 0;
	}
}

/* Merge the last bucket into the one that it was split from. */
static void shrink(struct memory *memory)
{
	struct root *root = memory->root;

	arena_save(memory->arena, &root->bucket_mask, 2 * sizeof(uint32_t));
	if (root->bucket_split == 0) {
		root->bucket_mask /= 2;
		root->bucket_split = root->bucket_mask + 1;
	}
	root->bucket_split--;
	uint32_t target = root->bucket_split, source = bucket_count(root);
	uint32_t *to = vector_at(memory, root->buckets, target);
	uint32_t *from = vector_at(memory, root->buckets, source);
	while (*to)
		to = &((struct name *)at(memory, *to))->next;
	set(memory, to, *from);
	set(memory, from, 0);
	if (source % VECTOR_PAGE == 0) {
		arena_ref *pages = at(memory, root->buckets);
		arena_free(memory->arena, pages[source / VECTOR_PAGE], VECTOR_PAGE * sizeof(uint32_t));
		set(memory, &pages[source / VECTOR_PAGE], 0);
	}
}

struct name *name_find(const struct memory *memory, const struct node *parent, const char *text, size_t length)
{
	uint32_t hash = hash_name(memory, parent->index, text, length);
	arena_ref ref = *vector_at(memory, memory->root->buckets, bucket_of(memory, hash));

	while (ref) {
		struct name *name = at(memory, ref);
		if (name->hash == hash && name->parent == parent->index && name->length == length &&
		    !memcmp(name->text, text, length))
			return name;
		ref = name->next;
	}
	return NULL;
}

uint64_t name_slot(const struct name *name)
{
	return (uint64_t)name->slot_high << 32 | name->slot_low;
}

int name_add(struct memory *memory, struct node *parent, const char *text, size_t length, const struct node *node,
	     uint64_t slot)
{
	struct root *root = memory->root;
	struct folder *folder = folder_of(memory, parent);
	arena_ref ref = arena_alloc(memory->arena, sizeof(struct name) + length);

	if (!ref)
		return -ENOSPC;
	SAVE(memory, folder);
	if (slot == UINT64_MAX)
		slot = folder->next_slot++;
	if (slot >> 48)
		return -ENOSPC;
	folder->count++;
	struct name *name = at(memory, ref);
	name->hash = hash_name(memory, parent->index, text, length);
	name->parent = parent->index;
	name->node = node->index;
	name->generation = node->generation;
	name->slot_low = (uint32_t)slot;
	name->slot_high = (uint16_t)(slot >> 32);
	name->length = (uint8_t)length;
	name->type = (uint8_t)(node->mode >> 12);
	memcpy(name->text, text, length);
	uint32_t *bucket = vector_at(memory, root->buckets, bucket_of(memory, name->hash));
	name->next = *bucket;
	set(memory, bucket, ref);
	SAVE(memory, &root->name_count);
	root->name_count++;
	if (root->name_count > bucket_count(root))
		grow(memory);
	return tree_set(memory, &folder->entries, slot, ref);
}

void name_remove(struct memory *memory, struct node *parent, struct name *name)
{
	struct root *root = memory->root;
	struct folder *folder = folder_of(memory, parent);
	arena_ref ref = tree_clear(memory, &folder->entries, name_slot(name));
	uint32_t *where = vector_at(memory, root->buckets, bucket_of(memory, name->hash));

	while (*where != ref)
		where = &((struct name *)at(memory, *where))->next;
	set(memory, where, name->next);
	SAVE(memory, &folder->count);
	folder->count--;
	arena_free(memory->arena, ref, sizeof(struct name) + name->length);
	SAVE(memory, &root->name_count);
	root->name_count--;
	/* Two at a time, or the buckets would not get down to half of the names as fast as these go. */
	for (unsigned i = 0; i < 2; i++)
		if (bucket_count(root) > BUCKETS_MIN && root->name_count < bucket_count(root) / 2)
			shrink(memory);
}
