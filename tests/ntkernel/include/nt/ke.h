/* SPDX-License-Identifier: MIT */
/* ke.h - IRQL, locks, events, timers, threads, work items. */
#ifndef NTKERNEL_KE_H
#define NTKERNEL_KE_H

#define PASSIVE_LEVEL  0
#define APC_LEVEL      1
#define DISPATCH_LEVEL 2
#define HIGH_LEVEL     15

KIRQL KeGetCurrentIrql(void);
KIRQL nt_raise_irql(KIRQL irql);
#define KeRaiseIrql(new, old) (*(old) = nt_raise_irql(new))
KIRQL KeRaiseIrqlToDpcLevel(void);
void KeLowerIrql(KIRQL irql);

/* --- Spin locks, mutexes, resources ---------------------------------------------------------------------- */

typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;
void KeInitializeSpinLock(PKSPIN_LOCK lock);
KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK lock);
#define KeAcquireSpinLock(lock, old) (*(old) = KeAcquireSpinLockRaiseToDpc(lock))
void KeReleaseSpinLock(PKSPIN_LOCK lock, KIRQL irql);
void KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock);
void KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK lock);
typedef struct _KLOCK_QUEUE_HANDLE {
	PKSPIN_LOCK lock;
	KIRQL OldIrql;
} KLOCK_QUEUE_HANDLE, *PKLOCK_QUEUE_HANDLE;
void KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle);
void KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE handle);
PLIST_ENTRY ExInterlockedInsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock);
PLIST_ENTRY ExInterlockedInsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock);
PLIST_ENTRY ExInterlockedRemoveHeadList(PLIST_ENTRY head, PKSPIN_LOCK lock);

/* The common beginning of what can be waited for. */
typedef struct _DISPATCHER_HEADER {
	UCHAR Type;
	UCHAR Automatic; /* a wait that it satisfies resets it */
	LONG SignalState;
	ULONG magic;
} DISPATCHER_HEADER;

typedef struct _KEVENT {
	DISPATCHER_HEADER Header;
} KEVENT, *PKEVENT, *PRKEVENT;
typedef enum _EVENT_TYPE { NotificationEvent, SynchronizationEvent } EVENT_TYPE;
typedef enum _TIMER_TYPE { NotificationTimer, SynchronizationTimer } TIMER_TYPE;
typedef enum _WAIT_TYPE { WaitAll, WaitAny } WAIT_TYPE;
typedef enum _KWAIT_REASON {
	Executive,
	FreePage,
	PageIn,
	PoolAllocation,
	DelayExecution,
	Suspended,
	UserRequest
} KWAIT_REASON;
void KeInitializeEvent(PKEVENT event, EVENT_TYPE type, BOOLEAN state);
LONG KeSetEvent(PKEVENT event, KPRIORITY increment, BOOLEAN wait);
LONG KeResetEvent(PKEVENT event);
void KeClearEvent(PKEVENT event);
LONG KeReadStateEvent(PKEVENT event);
#define IO_NO_INCREMENT	     0
#define IO_DISK_INCREMENT    1
#define EVENT_INCREMENT	     1
#define IO_NETWORK_INCREMENT 2
typedef struct _KSEMAPHORE {
	DISPATCHER_HEADER Header;
	LONG Limit;
} KSEMAPHORE, *PKSEMAPHORE;
void KeInitializeSemaphore(PKSEMAPHORE semaphore, LONG count, LONG limit);
LONG KeReleaseSemaphore(PKSEMAPHORE semaphore, KPRIORITY increment, LONG adjustment, BOOLEAN wait);
NTSTATUS KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode, BOOLEAN alertable,
			       PLARGE_INTEGER timeout);
typedef struct _KWAIT_BLOCK {
	PVOID object;
} KWAIT_BLOCK, *PKWAIT_BLOCK;
NTSTATUS KeWaitForMultipleObjects(ULONG count, PVOID objects[], WAIT_TYPE type, KWAIT_REASON reason,
				  KPROCESSOR_MODE mode, BOOLEAN alertable, PLARGE_INTEGER timeout, PKWAIT_BLOCK blocks);
NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE mode, BOOLEAN alertable, PLARGE_INTEGER interval);

typedef struct _FAST_MUTEX {
	struct _KTHREAD *Owner;
	ULONG magic;
	ULONG OldIrql;
} FAST_MUTEX, *PFAST_MUTEX;
void ExInitializeFastMutex(PFAST_MUTEX mutex);
void ExAcquireFastMutex(PFAST_MUTEX mutex);
void ExReleaseFastMutex(PFAST_MUTEX mutex);
BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX mutex);
#define ExAcquireFastMutexUnsafe ExAcquireFastMutex
#define ExReleaseFastMutexUnsafe ExReleaseFastMutex
typedef struct _KGUARDED_MUTEX {
	FAST_MUTEX mutex;
} KGUARDED_MUTEX, *PKGUARDED_MUTEX;

/* Owners of a resource; more than this many at a time are a bug of a test. */
#define NT_RESOURCE_OWNERS 32
typedef struct _ERESOURCE {
	LIST_ENTRY SystemResourcesList;
	ULONG magic;
	BOOLEAN exclusive;
	ULONG owners;
	ULONG waiters_exclusive;
	struct {
		struct _KTHREAD *thread;
		ULONG count;
	} owner[NT_RESOURCE_OWNERS];
} ERESOURCE, *PERESOURCE;
typedef ULONG_PTR ERESOURCE_THREAD;
NTSTATUS ExInitializeResourceLite(PERESOURCE resource);
NTSTATUS ExDeleteResourceLite(PERESOURCE resource);
NTSTATUS ExReinitializeResourceLite(PERESOURCE resource);
BOOLEAN ExAcquireResourceExclusiveLite(PERESOURCE resource, BOOLEAN wait);
BOOLEAN ExAcquireResourceSharedLite(PERESOURCE resource, BOOLEAN wait);
BOOLEAN ExAcquireSharedStarveExclusive(PERESOURCE resource, BOOLEAN wait);
BOOLEAN ExAcquireSharedWaitForExclusive(PERESOURCE resource, BOOLEAN wait);
void ExReleaseResourceLite(PERESOURCE resource);
void ExReleaseResourceForThreadLite(PERESOURCE resource, ERESOURCE_THREAD thread);
void ExConvertExclusiveToSharedLite(PERESOURCE resource);
BOOLEAN ExIsResourceAcquiredExclusiveLite(PERESOURCE resource);
ULONG ExIsResourceAcquiredSharedLite(PERESOURCE resource);
#define ExIsResourceAcquiredLite ExIsResourceAcquiredSharedLite
ERESOURCE_THREAD ExGetCurrentResourceThread(void);
void KeEnterCriticalRegion(void);
void KeLeaveCriticalRegion(void);
BOOLEAN KeAreApcsDisabled(void);
#define ExEnterCriticalRegionAndAcquireResourceExclusive(r)                                                            \
	(KeEnterCriticalRegion(), ExAcquireResourceExclusiveLite(r, TRUE))
#define ExEnterCriticalRegionAndAcquireResourceShared(r) (KeEnterCriticalRegion(), ExAcquireResourceSharedLite(r, TRUE))
#define ExReleaseResourceAndLeaveCriticalRegion(r)	 (ExReleaseResourceLite(r), KeLeaveCriticalRegion())

typedef struct _EX_PUSH_LOCK {
	ULONG_PTR value;
} EX_PUSH_LOCK, *PEX_PUSH_LOCK;

typedef struct _EX_RUNDOWN_REF {
	LONG count;
	LONG closed;
} EX_RUNDOWN_REF, *PEX_RUNDOWN_REF;
void ExInitializeRundownProtection(PEX_RUNDOWN_REF ref);
BOOLEAN ExAcquireRundownProtection(PEX_RUNDOWN_REF ref);
void ExReleaseRundownProtection(PEX_RUNDOWN_REF ref);
void ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF ref);

/* --- DPCs and timers ------------------------------------------------------------------------------------- */

struct _KDPC;
typedef void KDEFERRED_ROUTINE(struct _KDPC *dpc, PVOID context, PVOID argument1, PVOID argument2);
typedef KDEFERRED_ROUTINE *PKDEFERRED_ROUTINE;
typedef struct _KDPC {
	LIST_ENTRY entry;
	BOOLEAN queued;
	PKDEFERRED_ROUTINE routine;
	PVOID context, argument1, argument2;
	ULONG magic;
} KDPC, *PKDPC;
typedef struct _KTIMER {
	DISPATCHER_HEADER Header;
	LIST_ENTRY entry;
	BOOLEAN set;
	LONGLONG due;
	LONG period; /* milliseconds */
	PKDPC dpc;
} KTIMER, *PKTIMER;
void KeInitializeDpc(PKDPC dpc, PKDEFERRED_ROUTINE routine, PVOID context);
BOOLEAN KeInsertQueueDpc(PKDPC dpc, PVOID argument1, PVOID argument2);
BOOLEAN KeRemoveQueueDpc(PKDPC dpc);
void KeFlushQueuedDpcs(void);
void KeInitializeTimer(PKTIMER timer);
void KeInitializeTimerEx(PKTIMER timer, TIMER_TYPE type);
BOOLEAN KeSetTimer(PKTIMER timer, LARGE_INTEGER due, PKDPC dpc);
BOOLEAN KeSetTimerEx(PKTIMER timer, LARGE_INTEGER due, LONG period, PKDPC dpc);
BOOLEAN KeCancelTimer(PKTIMER timer);
BOOLEAN KeReadStateTimer(PKTIMER timer);

/* --- Threads and processes ------------------------------------------------------------------------------- */

typedef struct _KTHREAD *PKTHREAD, *PETHREAD, *PRKTHREAD;
typedef struct nt_process *PEPROCESS, *PKPROCESS, *PRKPROCESS;
typedef void KSTART_ROUTINE(PVOID context);
typedef KSTART_ROUTINE *PKSTART_ROUTINE;
PKTHREAD KeGetCurrentThread(void);
PETHREAD PsGetCurrentThread(void);
HANDLE PsGetCurrentThreadId(void);
PEPROCESS PsGetCurrentProcess(void);
PEPROCESS IoGetCurrentProcess(void);
HANDLE PsGetCurrentProcessId(void);
HANDLE PsGetProcessId(PEPROCESS process);
BOOLEAN PsIsThreadTerminating(PETHREAD thread);
BOOLEAN PsIsSystemThread(PETHREAD thread);
BOOLEAN IoIsSystemThread(PETHREAD thread);
PEPROCESS IoThreadToProcess(PETHREAD thread);
KPROCESSOR_MODE ExGetPreviousMode(void);
PACCESS_TOKEN PsReferencePrimaryToken(PEPROCESS process);
void PsDereferencePrimaryToken(PACCESS_TOKEN token);
extern PEPROCESS PsInitialSystemProcess;
NTSTATUS PsCreateSystemThread(PHANDLE handle, ULONG access, POBJECT_ATTRIBUTES attributes, HANDLE process,
			      CLIENT_ID *client, PKSTART_ROUTINE start, PVOID context);
NTSTATUS PsTerminateSystemThread(NTSTATUS status);
KPRIORITY KeSetPriorityThread(PKTHREAD thread, KPRIORITY priority);
#define THREAD_ALL_ACCESS     0x1fffffu
#define LOW_REALTIME_PRIORITY 16
#define NtCurrentProcess()    ((HANDLE)(LONG_PTR)-1)
#define ZwCurrentProcess()    NtCurrentProcess()

/* --- Work items ------------------------------------------------------------------------------------------ */

typedef enum _WORK_QUEUE_TYPE { CriticalWorkQueue, DelayedWorkQueue, HyperCriticalWorkQueue } WORK_QUEUE_TYPE;
typedef void WORKER_THREAD_ROUTINE(PVOID context);
typedef WORKER_THREAD_ROUTINE *PWORKER_THREAD_ROUTINE;
typedef struct _WORK_QUEUE_ITEM {
	LIST_ENTRY List;
	PWORKER_THREAD_ROUTINE WorkerRoutine;
	PVOID Parameter;
} WORK_QUEUE_ITEM, *PWORK_QUEUE_ITEM;
#define ExInitializeWorkItem(item, routine, context)                                                                   \
	((item)->WorkerRoutine = (routine), (item)->Parameter = (context), (item)->List.Flink = NULL)
void ExQueueWorkItem(PWORK_QUEUE_ITEM item, WORK_QUEUE_TYPE type);

/* --- Objects --------------------------------------------------------------------------------------------- */

typedef struct nt_object_type *POBJECT_TYPE;
extern POBJECT_TYPE *IoFileObjectType, *IoDriverObjectType, *IoDeviceObjectType, *ExEventObjectType, *PsThreadType;
void ObReferenceObject(PVOID object);
LONG_PTR ObfReferenceObject(PVOID object);
LONG_PTR ObfDereferenceObject(PVOID object);
void ObDereferenceObject(PVOID object);
typedef struct _OBJECT_HANDLE_INFORMATION {
	ULONG HandleAttributes;
	ACCESS_MASK GrantedAccess;
} OBJECT_HANDLE_INFORMATION, *POBJECT_HANDLE_INFORMATION;
NTSTATUS ObReferenceObjectByHandle(HANDLE handle, ACCESS_MASK access, POBJECT_TYPE type, KPROCESSOR_MODE mode,
				   PVOID *object, POBJECT_HANDLE_INFORMATION information);
NTSTATUS ObOpenObjectByPointer(PVOID object, ULONG attributes, PVOID state, ACCESS_MASK access, POBJECT_TYPE type,
			       KPROCESSOR_MODE mode, PHANDLE handle);
NTSTATUS ZwSetSecurityObject(HANDLE handle, SECURITY_INFORMATION information, PSECURITY_DESCRIPTOR descriptor);

#endif
