/* SPDX-License-Identifier: MIT */
/*
 * The user-mode kernel itself: what it grants, and that each broken rule is found. A driver of a page stands in for
 * one; what must fail runs in a child, whose last words are looked at.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ntkernel.h"

#define TAG  0x74736554u
#define CODE CTL_CODE(0x8000, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

static DEVICE_OBJECT *device;
static PIRP waiting;
static NTSTATUS (*behave)(PIRP irp);
static IO_CSQ csq;
static KSPIN_LOCK queue_lock;
static LIST_ENTRY queue;

static NTSTATUS done(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = information;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

static NTSTATUS dispatch(PDEVICE_OBJECT of, PIRP irp)
{
	if (IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_DEVICE_CONTROL && behave)
		return behave(irp);
	return done(irp, STATUS_SUCCESS, 0);
}

static void unload(PDRIVER_OBJECT driver)
{
	UNICODE_STRING link = RTL_CONSTANT_STRING(L"\\DosDevices\\Test");

	IoDeleteSymbolicLink(&link);
	IoDeleteDevice(device);
}

static NTSTATUS entry(PDRIVER_OBJECT driver, PUNICODE_STRING registry)
{
	UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Test"), link = RTL_CONSTANT_STRING(L"\\DosDevices\\Test");
	NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);

	if (!NT_SUCCESS(status))
		return status;
	status = IoCreateSymbolicLink(&link, &name);
	if (!NT_SUCCESS(status)) {
		IoDeleteDevice(device);
		return status;
	}
	for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
		driver->MajorFunction[i] = dispatch;
	driver->DriverUnload = unload;
	return STATUS_SUCCESS;
}

static HANDLE begin(void)
{
	struct nt_open open = {.path = "\\??\\Test", .access = GENERIC_READ | GENERIC_WRITE, .disposition = FILE_OPEN};
	struct nt_request *request;
	HANDLE handle;

	nt_boot();
	behave = NULL;
	assert_int_equal(nt_load(entry), STATUS_SUCCESS);
	request = nt_open(&open);
	handle = request->handle;
	assert_int_equal(nt_finish(request, NULL), STATUS_SUCCESS);
	return handle;
}

static void end(HANDLE handle)
{
	nt_close(handle);
	assert_true(nt_unload());
	nt_shutdown();
}

static struct nt_request *call(HANDLE handle)
{
	static char buffer[16];

	return nt_ioctl(handle, CODE, "question", 8, buffer, sizeof(buffer));
}

/* --- What goes well -------------------------------------------------------------------------------------- */

static NTSTATUS pend(PIRP irp)
{
	IoMarkIrpPending(irp);
	waiting = irp;
	return STATUS_PENDING;
}

static void test_pending(void **state)
{
	HANDLE handle = begin();
	struct nt_request *request;
	ULONG_PTR bytes;

	behave = pend;
	request = call(handle);
	assert_int_equal(request->returned, STATUS_PENDING);
	assert_false(nt_wait(request));
	done(waiting, STATUS_SUCCESS, 4);
	assert_true(nt_done(request));
	assert_int_equal(nt_finish(request, &bytes), STATUS_SUCCESS);
	assert_int_equal(bytes, 4);
	end(handle);
}

static void csq_insert(PIO_CSQ of, PIRP irp)
{
	InsertTailList(&queue, &irp->Tail.Overlay.ListEntry);
}

static void csq_remove(PIO_CSQ of, PIRP irp)
{
	RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

static PIRP csq_peek(PIO_CSQ of, PIRP irp, PVOID context)
{
	LIST_ENTRY *next = irp ? irp->Tail.Overlay.ListEntry.Flink : queue.Flink;

	return next == &queue ? NULL : CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry);
}

static void csq_acquire(PIO_CSQ of, PKIRQL irql)
{
	KeAcquireSpinLock(&queue_lock, irql);
}

static void csq_release(PIO_CSQ of, KIRQL irql)
{
	KeReleaseSpinLock(&queue_lock, irql);
}

static void csq_cancelled(PIO_CSQ of, PIRP irp)
{
	done(irp, STATUS_CANCELLED, 0);
}

static NTSTATUS enqueue(PIRP irp)
{
	IoCsqInsertIrp(&csq, irp, NULL);
	return STATUS_PENDING;
}

static void test_cancel_safe_queue(void **state)
{
	HANDLE handle = begin();
	struct nt_request *first, *second;

	InitializeListHead(&queue);
	KeInitializeSpinLock(&queue_lock);
	IoCsqInitialize(&csq, csq_insert, csq_remove, csq_peek, csq_acquire, csq_release, csq_cancelled);
	behave = enqueue;
	first = call(handle);
	second = call(handle);
	nt_cancel(first);
	assert_int_equal(nt_finish(first, NULL), STATUS_CANCELLED);
	done(IoCsqRemoveNextIrp(&csq, NULL), STATUS_SUCCESS, 0);
	assert_int_equal(nt_finish(second, NULL), STATUS_SUCCESS);
	assert_null(IoCsqRemoveNextIrp(&csq, NULL));
	end(handle);
}

static int fired;
static KEVENT event;

static void tick(PKDPC dpc, PVOID context, PVOID a, PVOID b)
{
	assert_int_equal(KeGetCurrentIrql(), DISPATCH_LEVEL);
	fired++;
}

static void work(PDEVICE_OBJECT of, PVOID context)
{
	KeSetEvent(&event, 0, FALSE);
	IoFreeWorkItem(context);
}

static void test_clock_and_work(void **state)
{
	HANDLE handle = begin();
	LARGE_INTEGER due = {.QuadPart = -10000LL * 50}, long_time = {.QuadPart = -10000LL * 1000};
	PIO_WORKITEM item = IoAllocateWorkItem(device);
	KTIMER timer;
	KDPC dpc;

	KeInitializeTimer(&timer);
	KeInitializeDpc(&dpc, tick, NULL);
	KeInitializeEvent(&event, NotificationEvent, FALSE);
	fired = 0;
	KeSetTimer(&timer, due, &dpc);
	nt_advance(49);
	assert_int_equal(fired, 0);
	nt_advance(1);
	assert_int_equal(fired, 1);
	assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &long_time), STATUS_TIMEOUT);
	IoQueueWorkItem(item, work, DelayedWorkQueue, item);
	assert_int_equal(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
	end(handle);
}

static bool match(const WCHAR *pattern, const WCHAR *name)
{
	UNICODE_STRING p, n;

	RtlInitUnicodeString(&p, pattern);
	RtlInitUnicodeString(&n, name);
	return FsRtlIsNameInExpression(&p, &n, TRUE, NULL);
}

static void test_names(void **state)
{
	HANDLE handle = begin();

	assert_true(match(L"*", L"anything"));
	assert_true(match(L"*.TXT", L"a.b.txt"));
	assert_false(match(L"*.TXT", L"a.txt.b"));
	assert_true(match(L"A?C", L"abc"));
	assert_false(match(L"A?", L"a"));
	assert_true(match(L"A>>", L"a"));
	assert_true(match(L"FILE\"", L"file"));
	assert_true(match(L"<.TXT", L"a.b.txt"));
	assert_false(match(L"<.TXT", L"a.txt.b"));
	assert_true(match(L"\x410*", L"\x430\x431"));
	end(handle);
}

static void test_faults(void **state)
{
	unsigned long n;
	NTSTATUS status;

	for (n = 1;; n++) {
		nt_boot();
		nt_fault_arm(n);
		status = nt_load(entry);
		if (!nt_fault_fired())
			break;
		assert_int_equal(status, STATUS_INSUFFICIENT_RESOURCES);
		nt_shutdown();
	}
	assert_int_equal(status, STATUS_SUCCESS);
	assert_int_equal(n, 3);
	nt_fault_arm(0);
	assert_true(nt_unload());
	nt_shutdown();
}

/* --- What is found --------------------------------------------------------------------------------------- */

static NTSTATUS twice(PIRP irp)
{
	done(irp, STATUS_SUCCESS, 0);
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return STATUS_SUCCESS;
}

static NTSTATUS unmarked(PIRP irp)
{
	waiting = irp;
	return STATUS_PENDING;
}

static NTSTATUS marked(PIRP irp)
{
	IoMarkIrpPending(irp);
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS forgotten(PIRP irp)
{
	return STATUS_SUCCESS;
}

static NTSTATUS different(PIRP irp)
{
	done(irp, STATUS_SUCCESS, 0);
	return STATUS_UNSUCCESSFUL;
}

static NTSTATUS too_much(PIRP irp)
{
	return done(irp, STATUS_SUCCESS, 17);
}

static NTSTATUS unfilled(PIRP irp)
{
	return done(irp, STATUS_SUCCESS, 16);
}

static void no_cancel(PDEVICE_OBJECT of, PIRP irp)
{
}

static NTSTATUS cancellable(PIRP irp)
{
	IoSetCancelRoutine(irp, no_cancel);
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS leak(PIRP irp)
{
	assert_non_null(ExAllocatePoolWithTag(NonPagedPoolNx, 8, TAG));
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS wrong_tag(PIRP irp)
{
	ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPoolNx, 8, TAG), TAG + 1);
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS raised(PIRP irp)
{
	KeRaiseIrqlToDpcLevel();
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS wait_raised(PIRP irp)
{
	KeInitializeEvent(&event, NotificationEvent, FALSE);
	KeRaiseIrqlToDpcLevel();
	KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS wait_for_ever(PIRP irp)
{
	KeInitializeEvent(&event, NotificationEvent, FALSE);
	KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS complete_locked(PIRP irp)
{
	KIRQL irql;

	KeInitializeSpinLock(&queue_lock);
	KeAcquireSpinLock(&queue_lock, &irql);
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS circle(PIRP irp)
{
	static FAST_MUTEX a, b;

	ExInitializeFastMutex(&a);
	ExInitializeFastMutex(&b);
	ExAcquireFastMutex(&a);
	ExAcquireFastMutex(&b);
	ExReleaseFastMutex(&b);
	ExReleaseFastMutex(&a);
	ExAcquireFastMutex(&b);
	ExAcquireFastMutex(&a);
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS resource_lost(PIRP irp)
{
	ERESOURCE *resource = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*resource), TAG);

	ExInitializeResourceLite(resource);
	ExFreePoolWithTag(resource, TAG);
	return done(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS unguarded(PIRP irp)
{
	ProbeForRead(nt_bad_address(), 8, 1);
	return done(irp, STATUS_SUCCESS, 0);
}

static const struct {
	NTSTATUS (*behave)(PIRP irp);
	const char *words;
} rules[] = {
	{twice, "completed twice"},
	{unmarked, "without IoMarkIrpPending"},
	{marked, "marks the IRP pending"},
	{forgotten, "has not completed the IRP"},
	{different, "completed the IRP with"},
	{too_much, "the buffer has 16 bytes"},
	{unfilled, "was never filled"},
	{cancellable, "while its cancel routine is set"},
	{leak, "pool memory leaks"},
	{wrong_tag, "is freed as"},
	{raised, "returns at IRQL 2"},
	{wait_raised, "waits at IRQL 2"},
	{wait_for_ever, "waits for ever"},
	{complete_locked, "while an IRP is completed a lock"},
	{circle, "locks are taken in a circle"},
	{resource_lost, "resource that was not deleted is freed"},
	{unguarded, "nothing guards"},
};

static void test_rules(void **state)
{
	for (size_t i = 0; i < RTL_NUMBER_OF(rules); i++) {
		char said[8192];
		size_t have = 0;
		ssize_t n;
		int ends[2], status;
		pid_t child;

		assert_int_equal(pipe(ends), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			HANDLE handle;

			dup2(ends[1], STDERR_FILENO);
			close(ends[0]);
			signal(SIGABRT, SIG_DFL);
			handle = begin();
			behave = rules[i].behave;
			nt_finish(call(handle), NULL);
			end(handle);
			_exit(0);
		}
		close(ends[1]);
		while (have < sizeof(said) - 1 && (n = read(ends[0], said + have, sizeof(said) - 1 - have)) > 0)
			have += (size_t)n;
		said[have] = 0;
		close(ends[0]);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (!strstr(said, rules[i].words) || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
			fail_msg("wanted: %s; got: %s", rules[i].words, said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pending),	       cmocka_unit_test(test_cancel_safe_queue),
		cmocka_unit_test(test_clock_and_work), cmocka_unit_test(test_names),
		cmocka_unit_test(test_faults),	       cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
