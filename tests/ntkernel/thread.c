/* SPDX-License-Identifier: MIT */
/*
 * thread.c - threads that take turns, waits, events, timers, DPCs, work items
 *
 * Each thread is one of the host, but only the one whose turn it is runs; `turn` is handed on under `baton`. A thread
 * that waits says by what function one can tell that it need not any longer. When nobody is ready, the clock goes to
 * the next time-out or timer; when there is none, everybody waits for ever, which fails.
 */
#include "internal.h"

#define WORKERS_MAX 64

static pthread_mutex_t baton = PTHREAD_MUTEX_INITIALIZER;
static struct _KTHREAD first, *running, *test_thread;
static LIST_ENTRY threads, work, dpcs, timers;
static unsigned long long preempt_state;
static bool waiting_idle; /* the test waits for nothing but that others stop */
static unsigned workers;
static bool booted;

struct work {
	LIST_ENTRY entry;
	void (*run)(void *a, void *b, void *c);
	void *a, *b, *c;
};

struct _KTHREAD *current(void)
{
	return running;
}

static bool always(void *argument)
{
	return true;
}

static void thread_prepare(struct _KTHREAD *thread)
{
	thread->Header.magic = MAGIC_THREAD;
	pthread_cond_init(&thread->turn, NULL);
	thread->ready = always;
	thread->references = 1;
	InsertTailList(&threads, &thread->entry);
}

void thread_boot(void)
{
	InitializeListHead(&threads);
	InitializeListHead(&work);
	InitializeListHead(&dpcs);
	InitializeListHead(&timers);
	preempt_state = 0;
	workers = 0;
	/* A test that failed has left it so. */
	if (!booted)
		pthread_mutex_lock(&baton);
	booted = true;
	/* It stays when the kernel is shut down: what is looked at then looks at the thread, too. */
	memset(&first, 0, sizeof(first));
	test_thread = running = &first;
	thread_prepare(&first);
	first.test = true;
}

static bool timers_expire(void);

/* Hands the turn over, and comes back when it is ours again. */
static void hand_to(struct _KTHREAD *next)
{
	struct _KTHREAD *me = running;

	if (next == me)
		return;
	if ((me->irql > APC_LEVEL) != (next->irql > APC_LEVEL))
		pool_irql(next->irql > APC_LEVEL);
	running = next;
	pthread_cond_signal(&next->turn);
	if (me->ended)
		return;
	while (running != me)
		pthread_cond_wait(&me->turn, &baton);
}

static bool is_ready(struct _KTHREAD *thread)
{
	return !thread->ended && (thread->ready(thread->argument) || (thread->due && thread->due <= clock_now));
}

static bool thread_waits_idle(struct _KTHREAD *thread)
{
	return thread->test && waiting_idle;
}

/* Somebody else who can run, after `after` in turn. */
static struct _KTHREAD *next_ready(struct _KTHREAD *after)
{
	for (LIST_ENTRY *at = after->entry.Flink; at != &after->entry; at = at->Flink) {
		struct _KTHREAD *thread = CONTAINING_RECORD(at, struct _KTHREAD, entry);

		if (at != &threads && !thread_waits_idle(thread) && is_ready(thread))
			return thread;
	}
	return NULL;
}

static bool work_is_there(void *argument)
{
	return !IsListEmpty(&work);
}

static void *thread_main(void *argument)
{
	struct _KTHREAD *me = argument;

	pthread_mutex_lock(&baton);
	while (running != me)
		pthread_cond_wait(&me->turn, &baton);
	me->start(me->context);
	PsTerminateSystemThread(STATUS_SUCCESS);
	return NULL;
}

static struct _KTHREAD *thread_start(PKSTART_ROUTINE start, void *context)
{
	struct _KTHREAD *thread = take(sizeof(*thread));

	thread_prepare(thread);
	thread->start = start;
	thread->context = context;
	if (pthread_create(&thread->pthread, NULL, thread_main, thread) != 0)
		nt_fail("the test itself has no more threads");
	return thread;
}

static void worker(void *context)
{
	for (;;) {
		struct work *item;

		running->idle = true;
		block(work_is_there, NULL, 0, "work");
		running->idle = false;
		if (IsListEmpty(&work))
			continue;
		item = CONTAINING_RECORD(RemoveHeadList(&work), struct work, entry);
		if (!item->run) {
			free(item);
			return;
		}
		item->run(item->a, item->b, item->c);
		if (running->irql != PASSIVE_LEVEL || running->critical)
			nt_fail("a work item ends at IRQL %u, in %d critical regions", running->irql,
				running->critical);
		locks_none_held("at the end of a work item", false);
		free(item);
	}
}

/* A worker that is free, when there is work. */
static void workers_see_to(void)
{
	if (IsListEmpty(&work))
		return;
	for (LIST_ENTRY *at = threads.Flink; at != &threads; at = at->Flink)
		if (CONTAINING_RECORD(at, struct _KTHREAD, entry)->idle)
			return;
	if (workers == WORKERS_MAX)
		return;
	workers++;
	thread_start(worker, NULL)->worker = true;
}

bool run_others(void)
{
	struct _KTHREAD *next;

	run_dpcs();
	workers_see_to();
	next = next_ready(running);
	if (next)
		hand_to(next);
	return next != NULL;
}

static LONGLONG next_due(void)
{
	LONGLONG due = 0;

	for (LIST_ENTRY *at = threads.Flink; at != &threads; at = at->Flink) {
		struct _KTHREAD *thread = CONTAINING_RECORD(at, struct _KTHREAD, entry);

		if (!thread->ended && thread->due && (!due || thread->due < due))
			due = thread->due;
	}
	for (LIST_ENTRY *at = timers.Flink; at != &timers; at = at->Flink) {
		KTIMER *timer = CONTAINING_RECORD(at, KTIMER, entry);

		if (!due || timer->due < due)
			due = timer->due;
	}
	return due;
}

static void all_wait(void)
{
	for (LIST_ENTRY *at = threads.Flink; at != &threads; at = at->Flink) {
		struct _KTHREAD *thread = CONTAINING_RECORD(at, struct _KTHREAD, entry);

		if (!thread->idle && !thread->ended)
			fprintf(stderr, "ntkernel: thread %p waits for %s\n", (void *)thread,
				thread->waits_for ? thread->waits_for : "its turn");
	}
	nt_fail("everybody waits for ever");
}

bool block(bool (*ready)(void *argument), void *argument, LONGLONG due, const char *what)
{
	struct _KTHREAD *me = running;

	while (!ready(argument)) {
		LONGLONG next;

		if (due && due <= clock_now)
			return false;
		me->ready = ready;
		me->argument = argument;
		me->due = due;
		me->waits_for = what;
		if (!run_others() && !ready(argument)) {
			next = next_due();
			if (thread_waits_idle(test_thread) && me != test_thread) {
				hand_to(test_thread);
			} else if (next) {
				if (next > clock_now)
					clock_now = next;
				timers_expire();
			} else if (me->worker && me->idle) {
				hand_to(test_thread);
			} else {
				all_wait();
			}
		}
		me->ready = always;
		me->due = 0;
	}
	return true;
}

void nt_run(void)
{
	if (running != test_thread) {
		nt_yield();
		return;
	}
	waiting_idle = true;
	do
		run_others();
	while (waiting_idle && (next_ready(running) || !IsListEmpty(&work) || !IsListEmpty(&dpcs)));
	waiting_idle = false;
}

void nt_yield(void)
{
	run_others();
}

int atomic_begin(void)
{
	return ++running->atomic;
}

void atomic_end(int *begun)
{
	running->atomic = *begun - 1;
}

void preempt(void)
{
	struct _KTHREAD *next = NULL, *at = running;

	if (!preempt_state || running->atomic)
		return;
	preempt_state = preempt_state * 6364136223846793005ULL + 1442695040888963407ULL;
	if (preempt_state >> 61 != 0)
		return;
	if (running->irql < DISPATCH_LEVEL)
		workers_see_to();
	for (unsigned skip = preempt_state >> 40 & 3, tries = 0; tries <= skip; tries++) {
		next = next_ready(at);
		if (!next || next == running)
			return;
		at = next;
	}
	hand_to(next);
}

void nt_preempt_seed(ULONG value)
{
	preempt_state = value ? value * 2654435761ULL | 1 : 0;
}

void nt_thread_start(void (*start)(void *context), void *context)
{
	struct _KTHREAD *thread = thread_start(start, context);

	thread->process = running->process;
}

void nt_advance(ULONG milliseconds)
{
	LONGLONG end = clock_now + (LONGLONG)milliseconds * 10000;

	for (;;) {
		LONGLONG due;

		nt_run();
		due = next_due();
		if (!due || due > end)
			break;
		if (due > clock_now)
			clock_now = due;
		timers_expire();
	}
	clock_now = end;
}

void thread_end(void)
{
	for (LIST_ENTRY *at = threads.Flink; at != &threads; at = at->Flink)
		if (CONTAINING_RECORD(at, struct _KTHREAD, entry)->worker)
			work_queue(NULL, NULL, NULL, NULL);
	preempt_state = 0;
	nt_run();
	while (!IsListEmpty(&threads)) {
		struct _KTHREAD *thread = CONTAINING_RECORD(RemoveHeadList(&threads), struct _KTHREAD, entry);

		if (!thread->test && !thread->ended)
			nt_fail("a thread is still there at shutdown, it waits for %s", thread->waits_for);
		if (!thread->test) {
			pthread_mutex_unlock(&baton);
			pthread_join(thread->pthread, NULL);
			pthread_mutex_lock(&baton);
		}
		pthread_cond_destroy(&thread->turn);
		if (thread != test_thread)
			free(thread);
	}
	if (!IsListEmpty(&timers))
		nt_fail("a timer is set at shutdown");
	/* The test goes on by itself until the next boot. */
	locks_none_held("at shutdown", false);
	booted = false;
	pthread_mutex_unlock(&baton);
}

NTSTATUS PsCreateSystemThread(PHANDLE handle, ULONG access, POBJECT_ATTRIBUTES attributes, HANDLE process,
			      CLIENT_ID *client, PKSTART_ROUTINE start, PVOID context)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	counts.threads++;
	*handle = handle_make(HANDLE_THREAD, thread_start(start, context), NULL);
	return STATUS_SUCCESS;
}

NTSTATUS PsTerminateSystemThread(NTSTATUS status)
{
	struct _KTHREAD *me = running, *next;

	locks_none_held("at the end of a thread", false);
	if (me->irql != PASSIVE_LEVEL || me->critical)
		nt_fail("a thread ends at IRQL %u, in %d critical regions", me->irql, me->critical);
	me->ended = true;
	if (!me->worker && me->start)
		counts.threads -= counts.threads > 0;
	next = next_ready(me);
	hand_to(next ? next : test_thread);
	pthread_mutex_unlock(&baton);
	pthread_exit(NULL);
}

KPRIORITY KeSetPriorityThread(PKTHREAD thread, KPRIORITY priority)
{
	return 0;
}

PKTHREAD KeGetCurrentThread(void)
{
	return running;
}

PETHREAD PsGetCurrentThread(void)
{
	return running;
}

HANDLE PsGetCurrentThreadId(void)
{
	return (HANDLE)(((uintptr_t)running >> 4 & 0xffff) << 2);
}

BOOLEAN PsIsSystemThread(PETHREAD thread)
{
	return !thread->process;
}

BOOLEAN IoIsSystemThread(PETHREAD thread)
{
	return !thread->process;
}

BOOLEAN PsIsThreadTerminating(PETHREAD thread)
{
	return thread->ended;
}

PIRP IoGetTopLevelIrp(void)
{
	return running->top_level;
}

void IoSetTopLevelIrp(PIRP irp)
{
	running->top_level = irp;
}

/* --- Waits ----------------------------------------------------------------------------------------------- */

static void header_check(DISPATCHER_HEADER *header)
{
	if (header->magic != MAGIC_EVENT && header->magic != MAGIC_SEMAPHORE && header->magic != MAGIC_TIMER &&
	    header->magic != MAGIC_THREAD)
		nt_fail("%p is no event, semaphore, timer or thread, or was never initialised", (void *)header);
}

static bool signalled(void *object)
{
	DISPATCHER_HEADER *header = object;

	if (header->magic == MAGIC_THREAD)
		return CONTAINING_RECORD(header, struct _KTHREAD, Header)->ended;
	return header->SignalState > 0;
}

static void satisfy(DISPATCHER_HEADER *header)
{
	if (header->magic == MAGIC_SEMAPHORE)
		header->SignalState--;
	else if (header->Automatic)
		header->SignalState = 0;
}

static LONGLONG due_of(PLARGE_INTEGER timeout)
{
	LONGLONG due;

	if (!timeout)
		return 0;
	due = timeout->QuadPart < 0 ? clock_now - timeout->QuadPart : timeout->QuadPart - 133500000000000000LL;
	return due > 0 ? due : 1;
}

NTSTATUS KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode, BOOLEAN alertable,
			       PLARGE_INTEGER timeout)
{
	header_check(object);
	preempt();
	if (timeout && timeout->QuadPart == 0) {
		if (running->irql > DISPATCH_LEVEL)
			nt_fail("KeWaitForSingleObject above DISPATCH_LEVEL");
		if (!signalled(object))
			return STATUS_TIMEOUT;
		satisfy(object);
		return STATUS_SUCCESS;
	}
	if (running->irql > APC_LEVEL)
		nt_fail("KeWaitForSingleObject waits at IRQL %u", running->irql);
	if (!block(signalled, object, due_of(timeout), "an event"))
		return STATUS_TIMEOUT;
	satisfy(object);
	return STATUS_SUCCESS;
}

struct several {
	ULONG count;
	void **objects;
	bool all;
};

static bool several_signalled(void *argument)
{
	struct several *several = argument;
	ULONG ready = 0;

	for (ULONG i = 0; i < several->count; i++)
		ready += signalled(several->objects[i]);
	return several->all ? ready == several->count : ready > 0;
}

NTSTATUS KeWaitForMultipleObjects(ULONG count, PVOID objects[], WAIT_TYPE type, KWAIT_REASON reason,
				  KPROCESSOR_MODE mode, BOOLEAN alertable, PLARGE_INTEGER timeout, PKWAIT_BLOCK blocks)
{
	struct several several = {count, objects, type == WaitAll};

	if (count > 3 && !blocks)
		nt_fail("more than three objects need wait blocks");
	irql_at_most(APC_LEVEL, __func__);
	for (ULONG i = 0; i < count; i++)
		header_check(objects[i]);
	if (!block(several_signalled, &several, due_of(timeout), "several objects"))
		return STATUS_TIMEOUT;
	for (ULONG i = 0; i < count; i++)
		if (signalled(objects[i])) {
			satisfy(objects[i]);
			if (!several.all)
				return (NTSTATUS)i;
		}
	return STATUS_SUCCESS;
}

static bool never(void *argument)
{
	return false;
}

NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE mode, BOOLEAN alertable, PLARGE_INTEGER interval)
{
	irql_at_most(APC_LEVEL, __func__);
	block(never, NULL, due_of(interval), "time");
	return STATUS_SUCCESS;
}

void KeInitializeEvent(PKEVENT event, EVENT_TYPE type, BOOLEAN state)
{
	event->Header = (DISPATCHER_HEADER){0, type == SynchronizationEvent, state != 0, MAGIC_EVENT};
}

LONG KeSetEvent(PKEVENT event, KPRIORITY increment, BOOLEAN wait)
{
	LONG former_state = event->Header.SignalState;

	header_check(&event->Header);
	if (running->irql > DISPATCH_LEVEL)
		nt_fail("KeSetEvent at IRQL %u", running->irql);
	event->Header.SignalState = 1;
	preempt();
	return former_state;
}

LONG KeResetEvent(PKEVENT event)
{
	LONG former_state = event->Header.SignalState;

	header_check(&event->Header);
	event->Header.SignalState = 0;
	return former_state;
}

void KeClearEvent(PKEVENT event)
{
	KeResetEvent(event);
}

LONG KeReadStateEvent(PKEVENT event)
{
	header_check(&event->Header);
	return event->Header.SignalState;
}

void KeInitializeSemaphore(PKSEMAPHORE semaphore, LONG count, LONG limit)
{
	semaphore->Header = (DISPATCHER_HEADER){0, 0, count, MAGIC_SEMAPHORE};
	semaphore->Limit = limit;
}

LONG KeReleaseSemaphore(PKSEMAPHORE semaphore, KPRIORITY increment, LONG adjustment, BOOLEAN wait)
{
	LONG former_state = semaphore->Header.SignalState;

	header_check(&semaphore->Header);
	if (former_state + adjustment > semaphore->Limit)
		nt_fail("a semaphore is released above its limit");
	semaphore->Header.SignalState += adjustment;
	return former_state;
}

/* --- DPCs and timers ------------------------------------------------------------------------------------- */

void KeInitializeDpc(PKDPC dpc, PKDEFERRED_ROUTINE routine, PVOID context)
{
	*dpc = (KDPC){.routine = routine, .context = context, .magic = MAGIC_DPC};
}

BOOLEAN KeInsertQueueDpc(PKDPC dpc, PVOID argument1, PVOID argument2)
{
	if (dpc->magic != MAGIC_DPC)
		nt_fail("a DPC was never initialised");
	if (dpc->queued)
		return FALSE;
	dpc->argument1 = argument1;
	dpc->argument2 = argument2;
	dpc->queued = TRUE;
	InsertTailList(&dpcs, &dpc->entry);
	run_dpcs();
	return TRUE;
}

BOOLEAN KeRemoveQueueDpc(PKDPC dpc)
{
	if (!dpc->queued)
		return FALSE;
	RemoveEntryList(&dpc->entry);
	dpc->queued = FALSE;
	return TRUE;
}

void run_dpcs(void)
{
	if (running->irql >= DISPATCH_LEVEL)
		return;
	while (!IsListEmpty(&dpcs)) {
		KDPC *dpc = CONTAINING_RECORD(RemoveHeadList(&dpcs), KDPC, entry);
		KIRQL irql = nt_raise_irql(DISPATCH_LEVEL);

		dpc->queued = FALSE;
		dpc->routine(dpc, dpc->context, dpc->argument1, dpc->argument2);
		locks_none_held("at the end of a DPC", true);
		if (running->irql != DISPATCH_LEVEL)
			nt_fail("a DPC ends at IRQL %u", running->irql);
		KeLowerIrql(irql);
	}
}

void KeFlushQueuedDpcs(void)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	run_dpcs();
}

void KeInitializeTimerEx(PKTIMER timer, TIMER_TYPE type)
{
	*timer = (KTIMER){.Header = {0, type == SynchronizationTimer, 0, MAGIC_TIMER}};
}

void KeInitializeTimer(PKTIMER timer)
{
	KeInitializeTimerEx(timer, NotificationTimer);
}

BOOLEAN KeSetTimerEx(PKTIMER timer, LARGE_INTEGER due, LONG period, PKDPC dpc)
{
	BOOLEAN was_set = KeCancelTimer(timer);

	timer->due = due_of(&due);
	timer->period = period;
	timer->dpc = dpc;
	timer->set = TRUE;
	timer->Header.SignalState = 0;
	InsertTailList(&timers, &timer->entry);
	return was_set;
}

BOOLEAN KeSetTimer(PKTIMER timer, LARGE_INTEGER due, PKDPC dpc)
{
	return KeSetTimerEx(timer, due, 0, dpc);
}

BOOLEAN KeCancelTimer(PKTIMER timer)
{
	header_check(&timer->Header);
	if (!timer->set)
		return FALSE;
	RemoveEntryList(&timer->entry);
	timer->set = FALSE;
	return TRUE;
}

BOOLEAN KeReadStateTimer(PKTIMER timer)
{
	return timer->Header.SignalState > 0;
}

static bool timers_expire(void)
{
	bool any = false;

	for (LIST_ENTRY *at = timers.Flink, *next; at != &timers; at = next) {
		KTIMER *timer = CONTAINING_RECORD(at, KTIMER, entry);

		next = at->Flink;
		if (timer->due > clock_now)
			continue;
		any = true;
		timer->Header.SignalState = 1;
		if (timer->period) {
			timer->due += (LONGLONG)timer->period * 10000;
		} else {
			RemoveEntryList(&timer->entry);
			timer->set = FALSE;
		}
		if (timer->dpc && !timer->dpc->queued) {
			timer->dpc->queued = TRUE;
			InsertTailList(&dpcs, &timer->dpc->entry);
		}
	}
	run_dpcs();
	return any;
}

static bool within(const void *address, const void *memory, size_t size)
{
	return (const char *)address >= (const char *)memory && (const char *)address < (const char *)memory + size;
}

void timer_gone(const void *memory, size_t size)
{
	for (LIST_ENTRY *at = timers.Flink; at != &timers; at = at->Flink)
		if (within(at, memory, size))
			nt_fail("memory with a timer that is set is freed");
	for (LIST_ENTRY *at = dpcs.Flink; at != &dpcs; at = at->Flink)
		if (within(at, memory, size))
			nt_fail("memory with a DPC that is queued is freed");
}

/* --- Work items ------------------------------------------------------------------------------------------ */

void work_queue(void (*run)(void *a, void *b, void *c), void *a, void *b, void *c)
{
	struct work *item = take(sizeof(*item));

	item->run = run;
	item->a = a;
	item->b = b;
	item->c = c;
	InsertTailList(&work, &item->entry);
}

bool work_uses(const void *a)
{
	for (LIST_ENTRY *at = work.Flink; at != &work; at = at->Flink)
		if (CONTAINING_RECORD(at, struct work, entry)->a == a)
			return true;
	return false;
}

static void run_ex(void *item, void *unused, void *unused2)
{
	((WORK_QUEUE_ITEM *)item)->WorkerRoutine(((WORK_QUEUE_ITEM *)item)->Parameter);
}

void ExQueueWorkItem(PWORK_QUEUE_ITEM item, WORK_QUEUE_TYPE type)
{
	if (work_uses(item))
		nt_fail("a work item is queued twice");
	work_queue(run_ex, item, NULL, NULL);
}

struct _IO_WORKITEM {
	DEVICE_OBJECT *device;
	PIO_WORKITEM_ROUTINE routine;
	PIO_WORKITEM_ROUTINE_EX routine_ex;
	void *context;
	bool queued;
};

PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT device)
{
	PIO_WORKITEM item;

	if (running->irql > DISPATCH_LEVEL)
		nt_fail("IoAllocateWorkItem at IRQL %u", running->irql);
	if (fault())
		return NULL;
	item = take(sizeof(*item));
	item->device = device;
	counts.work_items++;
	return item;
}

void IoFreeWorkItem(PIO_WORKITEM item)
{
	if (item->queued)
		nt_fail("a work item is freed while it is queued");
	counts.work_items--;
	free(item);
}

static void run_item(void *argument, void *unused, void *unused2)
{
	PIO_WORKITEM item = argument;
	DEVICE_OBJECT *device = item->device;

	item->queued = false;
	if (item->routine_ex)
		item->routine_ex(device, item->context, item);
	else
		item->routine(device, item->context);
	device_dereference(device);
}

static void queue_item(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine, PIO_WORKITEM_ROUTINE_EX routine_ex,
		       PVOID context)
{
	if (running->irql > DISPATCH_LEVEL)
		nt_fail("IoQueueWorkItem at IRQL %u", running->irql);
	if (item->queued)
		nt_fail("a work item is queued twice");
	item->queued = true;
	item->routine = routine;
	item->routine_ex = routine_ex;
	item->context = context;
	device_reference(item->device);
	work_queue(run_item, item, NULL, NULL);
	preempt();
}

void IoQueueWorkItem(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine, WORK_QUEUE_TYPE type, PVOID context)
{
	queue_item(item, routine, NULL, context);
}

void IoQueueWorkItemEx(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE_EX routine, WORK_QUEUE_TYPE type, PVOID context)
{
	queue_item(item, NULL, routine, context);
}
