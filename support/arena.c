/* SPDX-License-Identifier: MIT */
/*
 * arena.c - the heap with transactions of arena.h
 *
 *    offset 0      struct arena_header
 *    LOG_OFFSET    undo log
 *    CHUNK_OFFSET  one struct chunk for each 64 KiB of the region, also for those before the heap
 *    then          heap, from the next multiple of 64 KiB
 *
 * Undo log. A record is the old bytes, padded to 8, and behind them a struct record that says where they
 * belong; so the log can be read backwards from its end. It counts only while log_epoch is equal to sequence:
 *
 *    begin     log_used = 0, then log_epoch = sequence        the log is live
 *    save      bytes and record, then log_used                the record counts
 *    commit    sequence + 1                                   one store: log dead, number given
 *    rollback  old bytes back, newest first, log_used after each; then log_epoch = 0
 *
 * A death inside rollback does no harm: putting the same bytes back again gives the same.
 *
 * Chunks. A chunk of a class is in the class's list (header->partial) while it has room. Free chunks are in one list,
 * taken from its head and given back at its tail, so that what this transaction freed comes last; a chunk (or an
 * object) that this transaction freed is recognised by the number written into it.
 */
#include "support/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAGIC	0x414e455241575244ull
#define ARENA_VERSION	1u
#define CHUNK_SIZE	(64u << 10)
#define CLASS_COUNT	44u
#define CLASS_SIZE_MAX	32768u
#define ABORTED_COUNT	256u
#define LOG_OFFSET	8192u
#define CHUNK_OFFSET	(LOG_OFFSET + ARENA_LOG_SIZE)
#define REGION_SIZE_MAX ((uint64_t)ARENA_UNIT << 32)

enum chunk_state {
	CHUNK_UNUSED = 0,
	CHUNK_CLASS = 1,    /* objects of one size */
	CHUNK_RUN = 2,	    /* first chunk of a large object; class_or_length: chunks */
	CHUNK_RUN_TAIL = 3, /* its others */
	CHUNK_FREE = 4,	    /* in the free list, touched since it was last trimmed */
	CHUNK_TRIMMED = 5,  /* in the free list, given back to the system */
};

struct chunk {
	uint64_t freed; /* FREE: number of the transaction that freed it */
	uint32_t next;	/* partial or free list, chunk numbers, 0: none */
	uint32_t prev;
	uint16_t state;
	uint16_t class_or_length;
	uint32_t used;	/* objects handed out */
	uint32_t free;	/* first object that was given back, 0: none */
	uint32_t fresh; /* objects from this index on were never handed out */
};

struct arena_header {
	uint64_t magic; /* written last when an arena is made */
	uint32_t version;
	uint32_t kind;
	uint64_t size;
	uint64_t sequence;
	uint64_t log_epoch;
	uint64_t log_used;
	uint64_t used;
	arena_ref root;
	uint32_t chunk_count;
	uint32_t chunk_bump; /* chunks from here on were never used */
	uint32_t free_head;
	uint32_t free_tail;
	uint32_t free_count;
	uint32_t partial[CLASS_COUNT];
	uint64_t aborted_count;
	uint64_t aborted[ABORTED_COUNT]; /* numbers of transactions that deaths cut off, a ring */
};

_Static_assert(sizeof(struct arena_header) <= LOG_OFFSET, "the header fits before the log");
_Static_assert(sizeof(struct chunk) == 32, "chunk descriptors have no holes");

/* Behind the saved bytes in the log. */
struct record {
	uint64_t offset;
	uint64_t size;
};

/* What stands in an object that was given back. */
struct free_object {
	arena_ref next;
	uint32_t reserved;
	uint64_t freed;
};

/* The compiler keeps the order of stores across this; the processor shows them to a later process in that order. */
static inline void order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline struct chunk *chunk_at(const struct arena *arena, uint32_t number)
{
	return (struct chunk *)(arena->base + CHUNK_OFFSET) + number;
}

static inline uint64_t running(const struct arena *arena)
{
	return arena->header->sequence + 1;
}

static uint32_t first_heap_chunk(uint64_t size)
{
	uint64_t end = CHUNK_OFFSET + size / CHUNK_SIZE * sizeof(struct chunk);
	return (uint32_t)((end + CHUNK_SIZE - 1) / CHUNK_SIZE);
}

static inline uint32_t class_of(size_t size)
{
	if (size <= 256)
		return (uint32_t)((size - 1) / 16);
	uint32_t bit = 31u - (uint32_t)__builtin_clz((uint32_t)(size - 1));
	return 16u + (bit - 8u) * 4u + ((uint32_t)(size - 1) >> (bit - 2u) & 3u);
}

static inline uint32_t class_size(uint32_t class)
{
	if (class < 16)
		return (class + 1) * 16u;
	uint32_t bit = 8u + (class - 16u) / 4u;
	return (5u + (class - 16u) % 4u) << (bit - 2u);
}

static void undo(struct arena *arena)
{
	struct arena_header *header = arena->header;
	const char *log = arena->base + LOG_OFFSET;

	while (header->log_used) {
		struct record record;
		uint64_t end = header->log_used - sizeof(record);

		memcpy(&record, log + end, sizeof(record));
		uint64_t start = end - ((record.size + 7) & ~(uint64_t)7);
		memcpy(arena->base + record.offset, log + start, record.size);
		order();
		header->log_used = start;
		order();
	}
}

int arena_open(struct arena **out, void *base, uint64_t size, bool fresh, uint32_t kind, bool *rolled_back)
{
	struct arena_header *header = base;
	struct arena *arena;

	if (rolled_back)
		*rolled_back = false;
	if (size > REGION_SIZE_MAX)
		size = REGION_SIZE_MAX;
	if (size < CHUNK_OFFSET + 4 * (uint64_t)CHUNK_SIZE)
		return -EINVAL;
	/* A death before the magic was written leaves a region that is not fresh and yet holds nothing. */
	if (fresh || header->magic == 0) {
		memset(header, 0, sizeof(*header));
		header->version = ARENA_VERSION;
		header->kind = kind;
		header->size = size;
		header->sequence = 1;
		header->chunk_count = (uint32_t)(size / CHUNK_SIZE);
		header->chunk_bump = first_heap_chunk(size);
		order();
		header->magic = ARENA_MAGIC;
		order();
	}
	if (header->magic != ARENA_MAGIC || header->version != ARENA_VERSION || header->kind != kind ||
	    header->size != size)
		return -EINVAL;
	arena = malloc(sizeof(*arena));
	if (!arena)
		return -ENOMEM;
	arena->base = base;
	arena->header = header;
	arena->size = size;
	if (header->log_epoch == header->sequence) {
		undo(arena);
		header->aborted[header->aborted_count % ABORTED_COUNT] = header->sequence + 1;
		order();
		header->aborted_count++;
		order();
		header->sequence++;
		order();
		if (rolled_back)
			*rolled_back = true;
	}
	*out = arena;
	return 0;
}

void arena_close(struct arena *arena)
{
	free(arena);
}

arena_ref arena_root(const struct arena *arena)
{
	return arena->header->root;
}

void arena_set_root(struct arena *arena, arena_ref ref)
{
	arena_save(arena, &arena->header->root, sizeof(ref));
	arena->header->root = ref;
}

void arena_begin(struct arena *arena)
{
	struct arena_header *header = arena->header;

	header->log_used = 0;
	order();
	header->log_epoch = header->sequence;
	order();
}

void arena_save(struct arena *arena, void *address, size_t size)
{
	struct arena_header *header = arena->header;
	struct record record = {.offset = (uint64_t)((char *)address - arena->base), .size = size};
	size_t padded = (size + 7) & ~(size_t)7;
	char *log = arena->base + LOG_OFFSET + header->log_used;

	if (header->log_used + padded + sizeof(record) > ARENA_LOG_SIZE || record.offset + size > arena->size)
		abort();
	memcpy(log, address, size);
	memcpy(log + padded, &record, sizeof(record));
	order();
	header->log_used += padded + sizeof(record);
	order();
}

size_t arena_room(const struct arena *arena)
{
	return ARENA_LOG_SIZE - arena->header->log_used;
}

uint64_t arena_commit(struct arena *arena)
{
	order();
	arena->header->sequence++;
	order();
	return arena->header->sequence;
}

void arena_rollback(struct arena *arena)
{
	order();
	undo(arena);
	arena->header->log_epoch = 0;
	order();
}

uint64_t arena_sequence(const struct arena *arena)
{
	return arena->header->sequence;
}

bool arena_committed(const struct arena *arena, uint64_t sequence)
{
	const struct arena_header *header = arena->header;
	uint64_t count = header->aborted_count < ABORTED_COUNT ? header->aborted_count : ABORTED_COUNT;

	if (sequence == 0 || sequence > header->sequence)
		return false;
	for (uint64_t i = 0; i < count; i++)
		if (header->aborted[i] == sequence)
			return false;
	return true;
}

uint64_t arena_used(const struct arena *arena)
{
	return arena->header->used;
}

static void set_u32(struct arena *arena, uint32_t *where, uint32_t value)
{
	arena_save(arena, where, sizeof(*where));
	*where = value;
}

static void add_used(struct arena *arena, int64_t bytes)
{
	arena_save(arena, &arena->header->used, sizeof(arena->header->used));
	arena->header->used += (uint64_t)bytes;
}

static void save_chunk(struct arena *arena, struct chunk *chunk)
{
	arena_save(arena, chunk, sizeof(*chunk));
}

/* Take chunk out of the free list. */
static void free_list_remove(struct arena *arena, struct chunk *chunk)
{
	struct arena_header *header = arena->header;

	if (chunk->prev)
		set_u32(arena, &chunk_at(arena, chunk->prev)->next, chunk->next);
	else
		set_u32(arena, &header->free_head, chunk->next);
	if (chunk->next)
		set_u32(arena, &chunk_at(arena, chunk->next)->prev, chunk->prev);
	else
		set_u32(arena, &header->free_tail, chunk->prev);
	set_u32(arena, &header->free_count, header->free_count - 1);
}

static void free_list_add(struct arena *arena, uint32_t number)
{
	struct arena_header *header = arena->header;
	struct chunk *chunk = chunk_at(arena, number);

	save_chunk(arena, chunk);
	*chunk = (struct chunk){.state = CHUNK_FREE, .freed = running(arena), .prev = header->free_tail};
	if (header->free_tail)
		set_u32(arena, &chunk_at(arena, header->free_tail)->next, number);
	else
		set_u32(arena, &header->free_head, number);
	set_u32(arena, &header->free_tail, number);
	set_u32(arena, &header->free_count, header->free_count + 1);
}

static bool chunk_is_free(const struct arena *arena, uint32_t number)
{
	const struct chunk *chunk = chunk_at(arena, number);

	return (chunk->state == CHUNK_FREE || chunk->state == CHUNK_TRIMMED) && chunk->freed != running(arena);
}

/* First of length chunks in a row that were given back; 0: there is no such run. */
static uint32_t find_run(const struct arena *arena, uint32_t length)
{
	uint32_t have = 0;

	if (arena->header->free_count < length)
		return 0;
	for (uint32_t i = first_heap_chunk(arena->size); i < arena->header->chunk_bump; i++) {
		have = chunk_is_free(arena, i) ? have + 1 : 0;
		if (have == length)
			return i - length + 1;
	}
	return 0;
}

/* Take length chunks in a row; their descriptors are saved. 0: the arena is full. */
static uint32_t take_chunks(struct arena *arena, uint32_t length)
{
	struct arena_header *header = arena->header;
	uint32_t first = 0;

	if (length > 1)
		first = find_run(arena, length);
	else if (header->free_head && chunk_is_free(arena, header->free_head))
		first = header->free_head;
	if (first) {
		for (uint32_t i = first; i < first + length; i++) {
			save_chunk(arena, chunk_at(arena, i));
			free_list_remove(arena, chunk_at(arena, i));
		}
		return first;
	}
	if (header->chunk_count - header->chunk_bump < length)
		return 0;
	first = header->chunk_bump;
	set_u32(arena, &header->chunk_bump, first + length);
	for (uint32_t i = first; i < first + length; i++)
		save_chunk(arena, chunk_at(arena, i));
	return first;
}

static arena_ref alloc_run(struct arena *arena, size_t size)
{
	uint32_t length = (uint32_t)((size + CHUNK_SIZE - 1) / CHUNK_SIZE);
	uint32_t first = take_chunks(arena, length);

	if (!first)
		return 0;
	for (uint32_t i = 0; i < length; i++)
		*chunk_at(arena, first + i) = (struct chunk){.state = i ? CHUNK_RUN_TAIL : CHUNK_RUN};
	chunk_at(arena, first)->class_or_length = (uint16_t)length;
	add_used(arena, (int64_t)length * CHUNK_SIZE);
	arena_ref ref = first * (CHUNK_SIZE / ARENA_UNIT);
	memset(arena_at(arena, ref), 0, size);
	return ref;
}

/* Take a chunk that has no room any more out of its class's list; it is the head. Its descriptor is saved. */
static void partial_remove_head(struct arena *arena, struct chunk *chunk)
{
	set_u32(arena, &arena->header->partial[chunk->class_or_length], chunk->next);
	if (chunk->next)
		set_u32(arena, &chunk_at(arena, chunk->next)->prev, 0);
	chunk->next = 0;
}

static void partial_add(struct arena *arena, struct chunk *chunk, uint32_t number)
{
	uint32_t *head = &arena->header->partial[chunk->class_or_length];

	chunk->prev = 0;
	chunk->next = *head;
	if (*head)
		set_u32(arena, &chunk_at(arena, *head)->prev, number);
	set_u32(arena, head, number);
}

arena_ref arena_alloc(struct arena *arena, size_t size)
{
	struct arena_header *header = arena->header;

	if (size == 0 || size > ARENA_ALLOC_MAX)
		return 0;
	if (size > CLASS_SIZE_MAX)
		return alloc_run(arena, size);

	uint32_t class = class_of(size), bytes = class_size(class);
	uint32_t number = header->partial[class];
	struct chunk *chunk = chunk_at(arena, number);
	arena_ref ref;

	if (number) {
		save_chunk(arena, chunk);
	} else {
		number = take_chunks(arena, 1);
		if (!number)
			return 0;
		chunk = chunk_at(arena, number);
		*chunk = (struct chunk){.state = CHUNK_CLASS, .class_or_length = (uint16_t) class};
		partial_add(arena, chunk, number);
	}
	if (chunk->free) {
		ref = chunk->free;
		struct free_object *object = arena_at(arena, ref);
		arena_save(arena, object, object->freed == running(arena) ? bytes : sizeof(*object));
		chunk->free = object->next;
	} else {
		ref = number * (CHUNK_SIZE / ARENA_UNIT) + chunk->fresh * (bytes / ARENA_UNIT);
		chunk->fresh++;
	}
	chunk->used++;
	if (!chunk->free && chunk->fresh == CHUNK_SIZE / bytes)
		partial_remove_head(arena, chunk);
	add_used(arena, bytes);
	memset(arena_at(arena, ref), 0, bytes);
	return ref;
}

void arena_free(struct arena *arena, arena_ref ref, size_t size)
{
	uint32_t number = ref / (CHUNK_SIZE / ARENA_UNIT);
	struct chunk *chunk = chunk_at(arena, number);

	if (size > CLASS_SIZE_MAX) {
		uint32_t length = chunk->class_or_length;
		for (uint32_t i = 0; i < length; i++)
			free_list_add(arena, number + i);
		add_used(arena, -(int64_t)length * CHUNK_SIZE);
		return;
	}

	uint32_t bytes = class_size(chunk->class_or_length);
	struct free_object *object = arena_at(arena, ref);
	bool was_full = !chunk->free && chunk->fresh == CHUNK_SIZE / bytes;

	arena_save(arena, object, sizeof(*object));
	object->next = chunk->free;
	object->freed = running(arena);
	save_chunk(arena, chunk);
	chunk->free = ref;
	chunk->used--;
	add_used(arena, -(int64_t)bytes);
	if (was_full)
		partial_add(arena, chunk, number);
	/* The last chunk with room stays with its class, or a loop of alloc and free would make it again and again. */
	if (chunk->used == 0 && (chunk->prev || chunk->next)) {
		if (chunk->prev)
			set_u32(arena, &chunk_at(arena, chunk->prev)->next, chunk->next);
		else
			set_u32(arena, &arena->header->partial[chunk->class_or_length], chunk->next);
		if (chunk->next)
			set_u32(arena, &chunk_at(arena, chunk->next)->prev, chunk->prev);
		free_list_add(arena, number);
	}
}

bool arena_trim(struct arena *arena, uint32_t *cursor, uint64_t *offset, uint64_t *length)
{
	uint32_t first = *cursor ? *cursor : first_heap_chunk(arena->size);
	uint32_t last;

	while (first < arena->header->chunk_bump && chunk_at(arena, first)->state != CHUNK_FREE)
		first++;
	for (last = first; last < arena->header->chunk_bump && chunk_at(arena, last)->state == CHUNK_FREE; last++)
		chunk_at(arena, last)->state = CHUNK_TRIMMED;
	*cursor = last;
	*offset = (uint64_t)first * CHUNK_SIZE;
	*length = (uint64_t)(last - first) * CHUNK_SIZE;
	return last > first;
}
