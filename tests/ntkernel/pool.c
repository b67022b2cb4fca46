/* SPDX-License-Identifier: MIT */
/*
 * pool.c - pool memory
 *
 * Each allocation is one of the heap's own, so that AddressSanitizer sees its ends and its end. What is known of it is
 * kept beside it, in a table by address. Paged memory is poisoned while the running thread is at DISPATCH_LEVEL or
 * above.
 */
#include "internal.h"

#define BUCKETS 4096

struct block {
	struct block *next;
	char *memory;
	size_t size;
	ULONG tag;
	bool paged;
	struct block *paged_next, **paged_link;
};

static struct block *blocks[BUCKETS];
static struct block *paged_blocks;

static struct block **find(const void *memory)
{
	struct block **link = &blocks[((uintptr_t)memory >> 4) * 2654435761u % BUCKETS];

	while (*link && (*link)->memory != memory)
		link = &(*link)->next;
	return link;
}

static const char *tag_text(ULONG tag, char text[5])
{
	for (unsigned i = 0; i < 4; i++) {
		char c = (char)(tag >> 8 * i);

		text[i] = (char)(c >= ' ' && c < 127 ? c : '?');
	}
	text[4] = 0;
	return text;
}

static void *allocate(bool paged, SIZE_T size, ULONG tag, bool zero)
{
	struct block *block, **link;
	KIRQL irql = current()->irql;

	if (irql > DISPATCH_LEVEL || (paged && irql > APC_LEVEL))
		nt_fail("pool is allocated at IRQL %u", irql);
	if (tag == 0)
		nt_fail("pool is allocated without a tag");
	if (size == 0)
		nt_fail("pool of no bytes is allocated");
	preempt();
	if (size > 64u << 20 || fault())
		return NULL;
	block = take(sizeof(*block));
	block->memory = malloc(size);
	if (!block->memory)
		nt_fail("the test itself has no memory");
	memset(block->memory, zero ? 0 : NT_PATTERN, size);
	block->size = size;
	block->tag = tag;
	block->paged = paged;
	link = find(block->memory);
	block->next = *link;
	*link = block;
	if (paged) {
		block->paged_next = paged_blocks;
		block->paged_link = &paged_blocks;
		if (paged_blocks)
			paged_blocks->paged_link = &block->paged_next;
		paged_blocks = block;
	}
	counts.allocations++;
	counts.bytes += (long)size;
	return block->memory;
}

PVOID ExAllocatePoolWithTag(POOL_TYPE type, SIZE_T size, ULONG tag)
{
	return allocate((type & 1) != 0, size, tag, false);
}

PVOID ExAllocatePoolUninitialized(POOL_TYPE type, SIZE_T size, ULONG tag)
{
	return allocate((type & 1) != 0, size, tag, false);
}

PVOID ExAllocatePoolZero(POOL_TYPE type, SIZE_T size, ULONG tag)
{
	return allocate((type & 1) != 0, size, tag, true);
}

PVOID ExAllocatePool2(POOL_FLAGS flags, SIZE_T size, ULONG tag)
{
	void *memory = allocate((flags & POOL_FLAG_PAGED) != 0, size, tag, !(flags & POOL_FLAG_UNINITIALIZED));

	if (!memory && (flags & POOL_FLAG_RAISE_ON_FAILURE))
		ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
	return memory;
}

static void release(void *memory, ULONG tag, bool any)
{
	struct block **link = find(memory), *block = *link;
	char have[5], want[5];

	if (!block)
		nt_fail("%p is freed, and is no pool memory", memory);
	if (!any && block->tag != tag)
		nt_fail("memory with tag %s is freed as %s", tag_text(block->tag, have), tag_text(tag, want));
	if (current()->irql > DISPATCH_LEVEL || (block->paged && current()->irql > APC_LEVEL))
		nt_fail("pool is freed at IRQL %u", current()->irql);
	lock_memory_gone(memory, block->size);
	timer_gone(memory, block->size);
	*link = block->next;
	if (block->paged) {
		*block->paged_link = block->paged_next;
		if (block->paged_next)
			block->paged_next->paged_link = block->paged_link;
	}
	counts.allocations--;
	counts.bytes -= (long)block->size;
	memset(memory, 0xdd, block->size);
	free(memory);
	free(block);
}

void ExFreePoolWithTag(PVOID memory, ULONG tag)
{
	release(memory, tag, tag == 0);
}

void ExFreePool(PVOID memory)
{
	release(memory, 0, true);
}

void pool_irql(bool raised)
{
	for (struct block *block = paged_blocks; block; block = block->paged_next) {
		if (raised)
			POISON(block->memory, block->size);
		else
			UNPOISON(block->memory, block->size);
	}
}

void pool_end(void)
{
	char text[5];
	bool left = false;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct block *block = blocks[i]; block; block = block->next) {
			fprintf(stderr, "ntkernel: not freed: %zu bytes, tag %s\n", block->size,
				tag_text(block->tag, text));
			left = true;
		}
	if (left)
		nt_fail("pool memory leaks");
}

void check_pattern(const void *bytes, size_t size, const char *what)
{
	const unsigned char *at = bytes;

	for (size_t i = 0, run = 0; i < size; i++) {
		run = at[i] == NT_PATTERN ? run + 1 : 0;
		if (run == 4)
			nt_fail("%s: byte %zu of %zu that leave the kernel was never filled", what, i - 3, size);
	}
}

void ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list, PVOID allocate_routine, PVOID free_routine,
				     ULONG flags, SIZE_T size, ULONG tag, USHORT depth)
{
	if (allocate_routine || free_routine)
		nt_fail("lookaside lists with routines of their own are not known here");
	*list = (NPAGED_LOOKASIDE_LIST){.tag = tag, .size = size, .type = NonPagedPoolNx};
}

PVOID ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list)
{
	return allocate(false, list->size, list->tag, false);
}

void ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list, PVOID memory)
{
	release(memory, list->tag, false);
}

void ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list)
{
	list->size = 0;
}
