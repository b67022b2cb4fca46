/* SPDX-License-Identifier: MIT */
/*
 * region.h - the memory in which a drive's requests live
 *
 * Every request of a drive passes through a slot of its region: a memfd that the keeper makes when
 * the drive is mapped, that both keeper and service map, and that outlives the service. So whatever
 * instant the service dies at, every request that the kernel has handed out and that was not answered
 * stands in a slot, together with what was noted of it, and the next service takes it up. That is
 * the whole of surviving; docs/survival.md gives the argument step by step.
 *
 * Two transports use the same slots:
 *
 * plain   The service read(2)s the request from /dev/fuse straight into the slot's buffer and
 *         write(2)s the reply.
 *
 *            IDLE --(clear header; mark)--> FETCHING --(read returned)--> DELIVERED
 *              ^                                                              | the file system
 *              +------(write returned)------ ANSWERED <--(reply stored)-------+ has done its work
 *
 *         A slot found FETCHING after a death holds a request exactly if its header is not clear:
 *         a read that was under way either copied a whole request or took none, because the buffer's pages
 *         are populated before a slot is used and the kernel cannot fault on them.
 *
 * ring    Slot i of queue q is entry i of the kernel's queue q (FUSE over io_uring). The keeper's
 *         pump thread of that CPU registers it and submits every COMMIT_AND_FETCH; the service only
 *         looks at the completion queue.
 *
 *            FETCHING --(service: completion seen)--> DELIVERED --> ANSWERED
 *               ^                                                       | service: bit in done,
 *               +---------(keeper: takes the bit, submits)--------------+ ring the doorbell
 *
 *         The service marks a slot DELIVERED before it advances the completion queue's head. The reply
 *         is copied over the request's payload only when the slot is ANSWERED, from the slot's own reply area, so a
 *         death in the middle of that copy loses nothing: the copy is made again.
 *         FORGET and INTERRUPT, which the kernel never sends by a ring, use plain slots.
 *
 *         The service's part, in this order: state ANSWERED; copy (payload into the buffer, fuse_out_header into
 *         ring.in_out, ring.ring_ent_in_out.payload_sz; commit_id and flags stay as they came);
 *         region_queue_post. The keeper's part, in this order: see the bit; read commit_id; state FETCHING;
 *         clear the bit; submit. So after a death the next service looks at the bit of done first (acquire), then at
 *         the state:
 *            - bit set: the keeper has it, there is nothing to do;
 *            - bit clear, ANSWERED: the copy may be half made, so it is made again and posted;
 *            - bit clear, DELIVERED: taken up;
 *            - bit clear, FETCHING: with the kernel, or its completion has not been looked at yet.
 *         The keeper rings every doorbell after a death, because the dead service may have had no time to.
 *
 *         Completion queue q lies in the region, in the page region_completions(q): the kernel refuses to
 *         pass an io_uring through a socket, so the service gets no io_uring, but an eventfd a queue (keeper's RING),
 *         which counts up at every completion. The service reads region_queue_peek until it is empty, then
 *         blocks in read(2) of the eventfd. A new service peeks before it reads the eventfd. Only the
 *         service takes completions. user_data is the entry; a negative res means that the kernel has cancelled the
 *         entry or refused it: SLOT_DEAD. No more than one completion an entry is ever outstanding.
 *
 *         A long reply is built in the buffer itself: where the request's payload must stay for a second run, behind
 *         it, and then reply_offset says where. The copy to the buffer's start is made in ANSWERED like any other.
 *
 * ANSWERED always means: reply and reply_size (or the payload, when reply_external) are complete; an
 * answer that is given again is refused by the kernel (-ENOENT) or ignored by the keeper (the slot is
 * no longer ANSWERED), so giving it twice does no harm.
 *
 * Who writes what: FETCHING of a ring slot is written by the keeper only, everything else by the
 * service only. state is written with release and read with acquire order.
 * All of it is shared with nobody but keeper and service, which are the same user; the keeper still
 * checks every index it reads from here.
 */
#ifndef CHANNEL_FUSE_REGION_H
#define CHANNEL_FUSE_REGION_H

#include <driveway/filesystem.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

#define REGION_MAGIC	   0x4e474552u /* "REGN" */
#define REGION_VERSION	   2u	       /* of this layout: a service refuses another one */
#define REGION_PAGE	   4096u       /* alignment of what the kernel maps; no ring where pages are larger */
#define REGION_QUEUES_MAX  250u	       /* CPUs; as many as descriptors fit into one message */
#define REGION_DEPTH_MAX   64u	       /* ring slots a queue: bits of done */
#define REGION_PLAIN_SLOTS 64u
#define REGION_PAYLOAD	   (1u << 20)		    /* largest read or write */
#define REGION_BUFFER	   (REGION_PAYLOAD + 4096u) /* of one slot: payload and, for plain, its headers */
#define REGION_REPLY_MAX   512u
#define REGION_NOTICES	   (16u << 20) /* messages to the kernel that wait to be sent; address space */

enum slot_state {
	SLOT_IDLE = 0,
	SLOT_FETCHING = 1,
	SLOT_DELIVERED = 2,
	SLOT_ANSWERED = 3,
	SLOT_DEAD = 4, /* ring: the kernel has cancelled the entry, the drive is going away */
};

struct region_slot {
	_Atomic uint32_t state;	  /* enum slot_state */
	uint32_t attempts;	  /* deaths of the service by its own fault while this was DELIVERED */
	struct fuse_in_header in; /* the request's header */
	uint32_t op_size;	  /* ring: what is valid of ring.op_in; plain: 0 */
	uint32_t payload_size;	  /* plain: bytes in buffer behind the header; ring: bytes in buffer */
	int32_t error;		  /* reply: 0 or negative errno */
	uint32_t reply_size;	  /* reply: bytes behind the out header */
	uint32_t reply_external;  /* reply: they stand in the buffer already, not in reply */
	uint32_t reply_offset;	  /* reply_external: where in the buffer they begin */
	uint8_t reply[REGION_REPLY_MAX];
	struct dw_notes notes;
	_Atomic uint32_t interrupted; /* the program was signalled while it waited for the answer */
	uint32_t running;	      /* the file system was being called: a death by its own fault may be this one's */
	struct fuse_uring_req_header ring __attribute__((aligned(64)));
} __attribute__((aligned(64)));

/* One CPU's queue of ring slots. */
struct region_queue {
	_Atomic uint64_t done;	   /* bit i: slot i is ANSWERED and wants to be committed */
	_Atomic uint32_t doorbell; /* futex: counts rings of the bell */
	_Atomic uint32_t sleeping; /* the pump thread waits on doorbell, or is about to */
	_Atomic uint64_t requests; /* delivered by this queue; counted by the service, for status */
	/* Where in the page region_completions the kernel's completion queue is; written by the keeper before RING
	 * answers, read only from then on. */
	uint32_t cq_head;    /* offset of the consumer's counter */
	uint32_t cq_tail;    /* offset of the kernel's counter */
	uint32_t cq_entries; /* offset of the array of struct region_completion */
	uint32_t cq_mask;    /* number of its elements - 1 */
} __attribute__((aligned(128)));

/* struct io_uring_cqe */
struct region_completion {
	uint64_t user_data; /* entry */
	int32_t res;	    /* 0: the slot holds a request; negative errno: the entry is dead */
	uint32_t flags;
};

struct region {
	uint32_t magic;
	uint32_t version;
	uint64_t size;	      /* of the whole region, bytes */
	uint32_t queue_count; /* CPUs that the kernel counts as possible */
	uint32_t depth;	      /* ring slots a queue */
	uint32_t plain_count;
	uint32_t reserved;
	/* Agreed with the kernel by INIT; written by the service, valid once initialized is set. */
	_Atomic uint32_t initialized;
	uint32_t minor;	     /* protocol 7.minor */
	uint64_t init_flags; /* FUSE_* that both sides have */
	uint32_t max_write;
	uint32_t ring_failed;	  /* the kernel refused the ring after all: plain for good */
	_Atomic uint64_t replays; /* requests taken up by a later service, for status */
	_Atomic uint64_t requests;
	/*
	 * What lies between the two offsets in region_notices waits to be sent to the kernel (notifier.h); nothing
	 * when start is not below end. Written by the service only.
	 */
	_Atomic uint64_t notices_start;
	_Atomic uint64_t notices_end;
	struct region_queue queues[REGION_QUEUES_MAX];
};

/* Bytes that a region of this shape takes. */
static inline uint64_t region_slot_total(uint32_t queue_count, uint32_t depth, uint32_t plain_count)
{
	return (uint64_t)queue_count * depth + plain_count;
}

static inline uint64_t region_slots_offset(void)
{
	return (sizeof(struct region) + 4095u) & ~(uint64_t)4095u;
}

static inline uint64_t region_completions_offset(uint32_t queue_count, uint32_t depth, uint32_t plain_count)
{
	uint64_t end = region_slots_offset() +
		       region_slot_total(queue_count, depth, plain_count) * sizeof(struct region_slot);
	return (end + 4095u) & ~(uint64_t)4095u;
}

static inline uint64_t region_buffers_offset(uint32_t queue_count, uint32_t depth, uint32_t plain_count)
{
	return region_completions_offset(queue_count, depth, plain_count) + (uint64_t)queue_count * REGION_PAGE;
}

static inline uint64_t region_notices_offset(uint32_t queue_count, uint32_t depth, uint32_t plain_count)
{
	return region_buffers_offset(queue_count, depth, plain_count) +
	       region_slot_total(queue_count, depth, plain_count) * (uint64_t)REGION_BUFFER;
}

static inline uint64_t region_size(uint32_t queue_count, uint32_t depth, uint32_t plain_count)
{
	return region_notices_offset(queue_count, depth, plain_count) + REGION_NOTICES;
}

/* Slot number index: plain slots first (0 to plain_count - 1), then queue by queue. */
static inline struct region_slot *region_slot(struct region *region, uint64_t index)
{
	return (struct region_slot *)((char *)region + region_slots_offset()) + index;
}

static inline uint64_t region_ring_index(const struct region *region, uint32_t queue, uint32_t entry)
{
	return region->plain_count + (uint64_t)queue * region->depth + entry;
}

static inline void *region_buffer(struct region *region, uint64_t index)
{
	return (char *)region + region_buffers_offset(region->queue_count, region->depth, region->plain_count) +
	       index * (uint64_t)REGION_BUFFER;
}

static inline char *region_notices(struct region *region)
{
	return (char *)region + region_notices_offset(region->queue_count, region->depth, region->plain_count);
}

/* The page that holds queue's completion queue. */
static inline char *region_completions(const struct region *region, uint32_t queue)
{
	return (char *)(uintptr_t)region +
	       region_completions_offset(region->queue_count, region->depth, region->plain_count) +
	       (uint64_t)queue * REGION_PAGE;
}

/* The oldest completion of queue that was not taken, into *out; false: there is none. One thread a queue. */
static inline bool region_queue_peek(const struct region *region, uint32_t queue, struct region_completion *out)
{
	const struct region_queue *q = &region->queues[queue];
	char *page = region_completions(region, queue);
	uint32_t head = atomic_load_explicit((_Atomic uint32_t *)(page + q->cq_head), memory_order_relaxed);

	if (head == atomic_load_explicit((_Atomic uint32_t *)(page + q->cq_tail), memory_order_acquire))
		return false;
	*out = ((struct region_completion *)(page + q->cq_entries))[head & q->cq_mask];
	return true;
}

/* Take the completion that region_queue_peek gave, once its slot is marked. */
static inline void region_queue_advance(const struct region *region, uint32_t queue)
{
	_Atomic uint32_t *head = (_Atomic uint32_t *)(region_completions(region, queue) +
						      region->queues[queue].cq_head);

	atomic_store_explicit(head, atomic_load_explicit(head, memory_order_relaxed) + 1, memory_order_release);
}

/*
 * Hand the answered slots of queue, bits of entries, to the pump thread. Returns true when it sleeps: then add 1 to
 * doorbell and wake it (futex, shared).
 */
static inline bool region_queue_post(struct region *region, uint32_t queue, uint64_t entries)
{
	atomic_fetch_or_explicit(&region->queues[queue].done, entries, memory_order_seq_cst);
	return atomic_load_explicit(&region->queues[queue].sleeping, memory_order_seq_cst) != 0;
}

#endif
