/* SPDX-License-Identifier: MIT */
/*
 * lock.c - IRQL, spin locks, fast mutexes, resources, and the order in which they are taken
 *
 * The class of a lock is the place that initialised it. That a lock of class B was taken while one of class A was held
 * is an edge from A to B, kept with the stack of the moment. An edge that closes a circle is a deadlock to come, and
 * fails with the stacks of both ways.
 */
#include <execinfo.h>
#include <unistd.h>

#include "internal.h"

#define CLASSES 128
#define LOCKS	8192

struct class
{
	void *site;
};

struct edge {
	int depth;
	void *stack[STACK_DEPTH];
};

struct lock {
	const void *address; /* NULL: free; never removed but by clearing */
	int class;
	char kind;
	bool gone;
};

static struct class classes[CLASSES];
static int class_count;
static struct edge edges[CLASSES][CLASSES];
static struct lock locks[LOCKS];
static size_t lock_used;

void lock_boot(void)
{
	memset(locks, 0, sizeof(locks));
	lock_used = 0;
}

void lock_end(void)
{
	for (size_t i = 0; i < lock_used; i++)
		if (locks[i].address && !locks[i].gone && locks[i].kind == 'r')
			nt_fail("a resource was not deleted");
}

static struct lock *lock_find(const void *address)
{
	for (size_t i = lock_used; i-- > 0;)
		if (locks[i].address == address && !locks[i].gone)
			return &locks[i];
	return NULL;
}

static int class_of(void *site)
{
	for (int i = 0; i < class_count; i++)
		if (classes[i].site == site)
			return i;
	if (class_count == CLASSES)
		nt_fail("there are more than %d classes of locks", CLASSES);
	classes[class_count].site = site;
	return class_count++;
}

static void lock_register(const void *address, char kind, void *site)
{
	struct lock *lock = lock_find(address);

	if (lock && lock->kind == 'r')
		nt_fail("a resource is initialised twice");
	if (!lock)
		for (size_t i = 0; i < lock_used && !lock; i++)
			if (locks[i].gone)
				lock = &locks[i];
	if (!lock) {
		if (lock_used == LOCKS)
			nt_fail("there are more than %d locks", LOCKS);
		lock = &locks[lock_used++];
	}
	*lock = (struct lock){.address = address, .class = class_of(site), .kind = kind};
}

void lock_memory_gone(const void *memory, size_t size)
{
	for (size_t i = 0; i < lock_used; i++) {
		const char *at = locks[i].address;

		if (locks[i].gone || at < (const char *)memory || at >= (const char *)memory + size)
			continue;
		if (locks[i].kind == 'r')
			nt_fail("memory with a resource that was not deleted is freed");
		if (locks[i].kind == 's' ? *(const KSPIN_LOCK *)(const void *)at != 0
					 : ((const FAST_MUTEX *)(const void *)at)->Owner != NULL)
			nt_fail("memory with a lock that is held is freed");
		locks[i].gone = true;
	}
}

static bool reaches(int from, int to, unsigned char *seen)
{
	if (from == to)
		return true;
	seen[from] = 1;
	for (int i = 0; i < class_count; i++)
		if (edges[from][i].depth && !seen[i] && reaches(i, to, seen))
			return true;
	return false;
}

static void show(const char *what, const struct edge *edge)
{
	fprintf(stderr, "ntkernel: %s\n", what);
	fflush(stderr);
	backtrace_symbols_fd(edge->stack, edge->depth, STDERR_FILENO);
}

/* Called before it waits: the order is wrong whether or not the lock is free now. */
static int lock_order(const void *address, char kind)
{
	struct _KTHREAD *me = current();
	struct lock *lock = lock_find(address);
	int class;

	if (!lock) {
		if (kind != 's' || *(const KSPIN_LOCK *)address != 0)
			nt_fail("lock %p is taken and was never initialised", address);
		lock_register(address, kind, (void *)address);
		lock = lock_find(address);
	}
	class = lock->class;
	for (unsigned i = 0; i < me->held_count; i++) {
		int held = me->held[i].class;
		unsigned char seen[CLASSES] = {0};

		if (me->held[i].lock == address)
			continue;
		if (held == class)
			nt_fail("two locks that were initialised at the same place are taken together");
		if (edges[held][class].depth)
			continue;
		edges[held][class].depth = backtrace(edges[held][class].stack, STACK_DEPTH);
		if (reaches(class, held, seen)) {
			for (int next = 0; next < class_count; next++)
				if (edges[class][next].depth)
					show("a lock was taken in the other order here:", &edges[class][next]);
			show("and is taken here:", &edges[held][class]);
			nt_fail("locks are taken in a circle");
		}
	}
	return class;
}

static void hold(void *lock, int class, bool exclusive, char kind)
{
	struct _KTHREAD *me = current();

	if (me->held_count == HELD_MAX)
		nt_fail("a thread holds %d locks", HELD_MAX);
	me->held[me->held_count++] = (struct held){lock, class, exclusive, kind};
}

static void let_go(struct _KTHREAD *thread, void *lock, const char *what)
{
	for (unsigned i = thread->held_count; i-- > 0;)
		if (thread->held[i].lock == lock) {
			memmove(&thread->held[i], &thread->held[i + 1],
				(thread->held_count - i - 1) * sizeof(struct held));
			thread->held_count--;
			return;
		}
	nt_fail("%s: the thread does not hold it", what);
}

bool lock_is_held(const void *lock)
{
	struct _KTHREAD *me = current();

	for (unsigned i = 0; i < me->held_count; i++)
		if (me->held[i].lock == lock)
			return true;
	return false;
}

void locks_none_held(const char *when, bool spin_only)
{
	struct _KTHREAD *me = current();

	for (unsigned i = 0; i < me->held_count; i++)
		if (!spin_only || me->held[i].kind == 's')
			nt_fail("%s a lock (%c, initialised at %p) is held", when, me->held[i].kind,
				classes[me->held[i].class].site);
}

/* --- IRQL ------------------------------------------------------------------------------------------------ */

KIRQL KeGetCurrentIrql(void)
{
	return current()->irql;
}

KIRQL nt_raise_irql(KIRQL irql)
{
	struct _KTHREAD *me = current();
	KIRQL old = me->irql;

	if (irql < old)
		nt_fail("KeRaiseIrql from %u to %u", old, irql);
	me->irql = irql;
	if (old < DISPATCH_LEVEL && irql >= DISPATCH_LEVEL)
		pool_irql(true);
	return old;
}

KIRQL KeRaiseIrqlToDpcLevel(void)
{
	return nt_raise_irql(DISPATCH_LEVEL);
}

void KeLowerIrql(KIRQL irql)
{
	struct _KTHREAD *me = current();

	if (irql > me->irql)
		nt_fail("KeLowerIrql from %u to %u", me->irql, irql);
	if (irql < DISPATCH_LEVEL)
		locks_none_held("when IRQL is lowered", true);
	if (me->irql >= DISPATCH_LEVEL && irql < DISPATCH_LEVEL)
		pool_irql(false);
	me->irql = irql;
	run_dpcs();
}

/* --- Spin locks ------------------------------------------------------------------------------------------ */

void KeInitializeSpinLock(PKSPIN_LOCK lock)
{
	*lock = 0;
	lock_register(lock, 's', __builtin_return_address(0));
}

static bool spin_free(void *lock)
{
	return *(KSPIN_LOCK *)lock == 0;
}

static void spin_take(PKSPIN_LOCK lock)
{
	int class = lock_order(lock, 's');

	if (*lock == (KSPIN_LOCK)(uintptr_t)current())
		nt_fail("a spin lock is taken twice by one thread");
	preempt();
	block(spin_free, lock, 0, "a spin lock");
	*lock = (KSPIN_LOCK)(uintptr_t)current();
	hold(lock, class, true, 's');
}

static void spin_give(PKSPIN_LOCK lock)
{
	if (*lock != (KSPIN_LOCK)(uintptr_t)current())
		nt_fail("a spin lock is released that the thread does not hold");
	let_go(current(), lock, "spin lock");
	*lock = 0;
}

KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK lock)
{
	KIRQL old = current()->irql;

	if (old > DISPATCH_LEVEL)
		nt_fail("KeAcquireSpinLock at IRQL %u", old);
	nt_raise_irql(DISPATCH_LEVEL);
	spin_take(lock);
	return old;
}

void KeReleaseSpinLock(PKSPIN_LOCK lock, KIRQL irql)
{
	if (current()->irql != DISPATCH_LEVEL)
		nt_fail("KeReleaseSpinLock at IRQL %u", current()->irql);
	spin_give(lock);
	KeLowerIrql(irql);
	preempt();
}

void KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock)
{
	if (current()->irql < DISPATCH_LEVEL)
		nt_fail("KeAcquireSpinLockAtDpcLevel at IRQL %u", current()->irql);
	spin_take(lock);
}

void KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK lock)
{
	spin_give(lock);
}

void KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle)
{
	handle->lock = lock;
	handle->OldIrql = KeAcquireSpinLockRaiseToDpc(lock);
}

void KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE handle)
{
	KeReleaseSpinLock(handle->lock, handle->OldIrql);
}

PLIST_ENTRY ExInterlockedInsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock)
{
	KIRQL irql = KeAcquireSpinLockRaiseToDpc(lock);
	PLIST_ENTRY last = IsListEmpty(head) ? NULL : head->Blink;

	InsertTailList(head, entry);
	KeReleaseSpinLock(lock, irql);
	return last;
}

PLIST_ENTRY ExInterlockedRemoveHeadList(PLIST_ENTRY head, PKSPIN_LOCK lock)
{
	KIRQL irql = KeAcquireSpinLockRaiseToDpc(lock);
	PLIST_ENTRY entry = IsListEmpty(head) ? NULL : RemoveHeadList(head);

	KeReleaseSpinLock(lock, irql);
	return entry;
}

/* --- Fast mutexes ---------------------------------------------------------------------------------------- */

void ExInitializeFastMutex(PFAST_MUTEX mutex)
{
	*mutex = (FAST_MUTEX){.magic = MAGIC_MUTEX};
	lock_register(mutex, 'm', __builtin_return_address(0));
}

static bool mutex_free(void *mutex)
{
	return !((FAST_MUTEX *)mutex)->Owner;
}

void ExAcquireFastMutex(PFAST_MUTEX mutex)
{
	int class;

	if (mutex->magic != MAGIC_MUTEX)
		nt_fail("a fast mutex was never initialised");
	if (current()->irql > APC_LEVEL)
		nt_fail("ExAcquireFastMutex at IRQL %u", current()->irql);
	if (mutex->Owner == current())
		nt_fail("a fast mutex is taken twice by one thread");
	class = lock_order(mutex, 'm');
	preempt();
	block(mutex_free, mutex, 0, "a fast mutex");
	mutex->Owner = current();
	mutex->OldIrql = nt_raise_irql(APC_LEVEL);
	hold(mutex, class, true, 'm');
}

BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX mutex)
{
	if (mutex->Owner)
		return FALSE;
	ExAcquireFastMutex(mutex);
	return TRUE;
}

void ExReleaseFastMutex(PFAST_MUTEX mutex)
{
	if (mutex->Owner != current())
		nt_fail("a fast mutex is released by a thread that does not own it");
	if (current()->irql != APC_LEVEL)
		nt_fail("ExReleaseFastMutex at IRQL %u", current()->irql);
	let_go(current(), mutex, "fast mutex");
	mutex->Owner = NULL;
	KeLowerIrql((KIRQL)mutex->OldIrql);
	preempt();
}

/* --- Resources ------------------------------------------------------------------------------------------- */

NTSTATUS ExInitializeResourceLite(PERESOURCE resource)
{
	if (current()->irql > DISPATCH_LEVEL)
		nt_fail("ExInitializeResourceLite at IRQL %u", current()->irql);
	memset(resource, 0, sizeof(*resource));
	resource->magic = MAGIC_RESOURCE;
	lock_register(resource, 'r', __builtin_return_address(0));
	counts.resources++;
	return STATUS_SUCCESS;
}

static void resource_check(PERESOURCE resource, const char *routine)
{
	if (resource->magic != MAGIC_RESOURCE)
		nt_fail("%s: the resource was never initialised, or is deleted", routine);
	if (current()->irql > DISPATCH_LEVEL)
		nt_fail("%s at IRQL %u", routine, current()->irql);
}

NTSTATUS ExDeleteResourceLite(PERESOURCE resource)
{
	resource_check(resource, __func__);
	if (resource->owners)
		nt_fail("a resource is deleted while somebody holds it");
	lock_find(resource)->gone = true;
	resource->magic = 0;
	counts.resources--;
	return STATUS_SUCCESS;
}

NTSTATUS ExReinitializeResourceLite(PERESOURCE resource)
{
	resource_check(resource, __func__);
	return STATUS_SUCCESS;
}

static ULONG my_share(PERESOURCE resource, struct _KTHREAD *thread)
{
	for (ULONG i = 0; i < resource->owners; i++)
		if (resource->owner[i].thread == thread)
			return i;
	return NT_RESOURCE_OWNERS;
}

static bool free_for_one(void *argument)
{
	PERESOURCE resource = argument;

	return resource->owners == 0;
}

static bool free_for_sharing(void *argument)
{
	PERESOURCE resource = argument;

	return resource->owners == 0 || !resource->exclusive;
}

static BOOLEAN resource_take(PERESOURCE resource, bool exclusive, BOOLEAN wait)
{
	struct _KTHREAD *me = current();
	ULONG mine;
	int class;

	resource_check(resource, exclusive ? "ExAcquireResourceExclusive" : "ExAcquireResourceShared");
	if (me->irql > APC_LEVEL)
		nt_fail("a resource is taken at IRQL %u", me->irql);
	if (!me->critical && me->irql < APC_LEVEL && me->process)
		nt_fail("a resource is taken outside of a critical region");
	mine = my_share(resource, me);
	if (mine < NT_RESOURCE_OWNERS) {
		if (exclusive && !resource->exclusive) {
			if (wait)
				nt_fail("a resource that the thread shares is taken exclusively");
			return FALSE;
		}
		resource->owner[mine].count++;
		return TRUE;
	}
	class = wait ? lock_order(resource, 'r') : lock_find(resource)->class;
	preempt();
	if (!wait && !(exclusive ? free_for_one : free_for_sharing)(resource))
		return FALSE;
	block(exclusive ? free_for_one : free_for_sharing, resource, 0, "a resource");
	if (resource->owners == NT_RESOURCE_OWNERS)
		nt_fail("a resource has %d owners", NT_RESOURCE_OWNERS);
	resource->exclusive = exclusive;
	resource->owner[resource->owners].thread = me;
	resource->owner[resource->owners++].count = 1;
	hold(resource, class, exclusive, 'r');
	return TRUE;
}

BOOLEAN ExAcquireResourceExclusiveLite(PERESOURCE resource, BOOLEAN wait)
{
	return resource_take(resource, true, wait);
}

BOOLEAN ExAcquireResourceSharedLite(PERESOURCE resource, BOOLEAN wait)
{
	return resource_take(resource, false, wait);
}

BOOLEAN ExAcquireSharedStarveExclusive(PERESOURCE resource, BOOLEAN wait)
{
	return resource_take(resource, false, wait);
}

BOOLEAN ExAcquireSharedWaitForExclusive(PERESOURCE resource, BOOLEAN wait)
{
	return resource_take(resource, false, wait);
}

void ExReleaseResourceForThreadLite(PERESOURCE resource, ERESOURCE_THREAD thread)
{
	struct _KTHREAD *owner = (struct _KTHREAD *)(uintptr_t)thread;
	ULONG mine;

	resource_check(resource, "ExReleaseResource");
	mine = my_share(resource, owner);
	if (mine == NT_RESOURCE_OWNERS)
		nt_fail("a resource is released that the thread does not hold");
	if (--resource->owner[mine].count)
		return;
	resource->owner[mine] = resource->owner[--resource->owners];
	let_go(owner, resource, "resource");
	preempt();
}

void ExReleaseResourceLite(PERESOURCE resource)
{
	ExReleaseResourceForThreadLite(resource, ExGetCurrentResourceThread());
}

void ExConvertExclusiveToSharedLite(PERESOURCE resource)
{
	if (!ExIsResourceAcquiredExclusiveLite(resource))
		nt_fail("ExConvertExclusiveToShared: it is not held exclusively");
	resource->exclusive = FALSE;
}

BOOLEAN ExIsResourceAcquiredExclusiveLite(PERESOURCE resource)
{
	return resource->exclusive && my_share(resource, current()) < NT_RESOURCE_OWNERS;
}

ULONG ExIsResourceAcquiredSharedLite(PERESOURCE resource)
{
	ULONG mine = my_share(resource, current());

	return mine < NT_RESOURCE_OWNERS ? resource->owner[mine].count : 0;
}

ERESOURCE_THREAD ExGetCurrentResourceThread(void)
{
	return (ERESOURCE_THREAD)(uintptr_t)current();
}

void KeEnterCriticalRegion(void)
{
	if (current()->irql > APC_LEVEL)
		nt_fail("KeEnterCriticalRegion at IRQL %u", current()->irql);
	current()->critical++;
}

void KeLeaveCriticalRegion(void)
{
	if (current()->critical-- == 0)
		nt_fail("KeLeaveCriticalRegion without KeEnterCriticalRegion");
}

BOOLEAN KeAreApcsDisabled(void)
{
	return current()->critical > 0 || current()->irql >= APC_LEVEL;
}

/* --- Rundown and remove locks ---------------------------------------------------------------------------- */

void ExInitializeRundownProtection(PEX_RUNDOWN_REF ref)
{
	*ref = (EX_RUNDOWN_REF){0, 0};
}

BOOLEAN ExAcquireRundownProtection(PEX_RUNDOWN_REF ref)
{
	if (ref->closed)
		return FALSE;
	ref->count++;
	return TRUE;
}

void ExReleaseRundownProtection(PEX_RUNDOWN_REF ref)
{
	if (ref->count-- == 0)
		nt_fail("rundown protection is released once too often");
}

static bool run_down(void *argument)
{
	return ((EX_RUNDOWN_REF *)argument)->count == 0;
}

void ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF ref)
{
	ref->closed = 1;
	block(run_down, ref, 0, "rundown protection");
}

void IoInitializeRemoveLock(PIO_REMOVE_LOCK lock, ULONG tag, ULONG minutes, ULONG water)
{
	*lock = (IO_REMOVE_LOCK){.count = 1, .magic = MAGIC_REMOVE};
	KeInitializeEvent(&lock->event, NotificationEvent, FALSE);
}

NTSTATUS IoAcquireRemoveLock(PIO_REMOVE_LOCK lock, PVOID tag)
{
	if (lock->magic != MAGIC_REMOVE)
		nt_fail("a remove lock was never initialised");
	if (lock->removed)
		return STATUS_DELETE_PENDING;
	lock->count++;
	return STATUS_SUCCESS;
}

void IoReleaseRemoveLock(PIO_REMOVE_LOCK lock, PVOID tag)
{
	if (lock->count-- == 0)
		nt_fail("a remove lock is released once too often");
	if (lock->count == 0)
		KeSetEvent(&lock->event, 0, FALSE);
}

void IoReleaseRemoveLockAndWait(PIO_REMOVE_LOCK lock, PVOID tag)
{
	lock->removed = TRUE;
	IoReleaseRemoveLock(lock, tag);
	IoReleaseRemoveLock(lock, tag);
	KeWaitForSingleObject(&lock->event, Executive, KernelMode, FALSE, NULL);
}
