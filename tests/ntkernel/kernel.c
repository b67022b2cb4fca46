/* SPDX-License-Identifier: MIT */
/* kernel.c - boot, shutdown, failing, faults, random numbers, time, and exceptions. */
#include <execinfo.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

struct nt_counts counts;
LONGLONG clock_now;
static bool quiet = true;
static unsigned long fault_at, fault_calls;
static bool fired;
static unsigned long long seed;
static void *bad;
static size_t bad_size = 16 * 4096;
static struct sigaction former;

/* A Tuesday in 2024. */
#define BOOT_TIME 133500000000000000LL

void nt_fail(const char *format, ...)
{
	void *frames[64];
	va_list arguments;

	fflush(stdout);
	fputs("ntkernel: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	fflush(stderr);
	backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
	abort();
}

void *take(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	if (!memory)
		nt_fail("the test itself has no memory");
	return memory;
}

void nt_fault_arm(unsigned long n)
{
	fault_at = n;
	fault_calls = 0;
	fired = false;
}

bool nt_fault_fired(void)
{
	return fired;
}

unsigned long nt_fault_count(void)
{
	return fault_calls;
}

bool fault(void)
{
	if (++fault_calls != fault_at)
		return false;
	fired = true;
	return true;
}

void irql_at_most(KIRQL irql, const char *routine)
{
	if (current()->irql > irql)
		nt_fail("%s called at IRQL %u, at most %u is allowed", routine, current()->irql, irql);
	preempt();
}

/* SplitMix64, without bytes that look like memory which nobody has filled. */
unsigned long long draw(void)
{
	unsigned long long z;
	bool again;

	do {
		z = seed += 0x9e3779b97f4a7c15ULL;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
		z ^= z >> 31;
		again = false;
		for (unsigned i = 0; i < 8; i++)
			again |= (z >> 8 * i & 0xff) == NT_PATTERN;
	} while (again);
	return z;
}

static void segv(int signal, siginfo_t *info, void *context)
{
	struct guard *guard = current()->guard;

	if (address_is_bad(info->si_addr) && guard) {
		guard->status = STATUS_ACCESS_VIOLATION;
		siglongjmp(guard->buffer, 1);
	}
	if (former.sa_flags & SA_SIGINFO)
		former.sa_sigaction(signal, info, context);
	else
		sigaction(signal, &former, NULL);
}

void nt_boot(void)
{
	struct sigaction action = {.sa_sigaction = segv, .sa_flags = SA_SIGINFO | SA_NODEFER};

	memset(&counts, 0, sizeof(counts));
	clock_now = 0;
	seed = 1;
	nt_fault_arm(0);
	if (!bad)
		bad = mmap(NULL, bad_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaction(SIGSEGV, &action, &former);
	thread_boot();
	lock_boot();
	irp_boot();
	object_boot();
	security_boot();
}

void nt_shutdown(void)
{
	nt_fault_arm(0);
	nt_run();
	object_end();
	irp_end();
	thread_end();
	lock_end();
	pool_end();
	if (counts.mdls || counts.work_items || counts.files || counts.devices || counts.irps || counts.links)
		nt_counts_print("left at shutdown", &counts), nt_fail("something was not given back");
	sigaction(SIGSEGV, &former, NULL);
}

bool address_is_bad(const void *address)
{
	return (const char *)address >= (char *)bad && (const char *)address < (char *)bad + bad_size;
}

void *nt_bad_address(void)
{
	return (char *)bad + 4096;
}

struct nt_counts nt_count(void)
{
	return counts;
}

bool nt_counts_equal(const struct nt_counts *a, const struct nt_counts *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

void nt_counts_print(const char *what, const struct nt_counts *c)
{
	fprintf(stderr,
		"%s: %ld allocations of %ld bytes, %ld IRPs, %ld MDLs, %ld devices, %ld files, %ld work items, "
		"%ld threads, %ld links, %ld resources\n",
		what, c->allocations, c->bytes, c->irps, c->mdls, c->devices, c->files, c->work_items, c->threads,
		c->links, c->resources);
}

/* --- Exceptions ------------------------------------------------------------------------------------------ */

/* What guard.S of the driver does by structured exception handling. */
NTSTATUS FSGuard(void (*routine)(void *context), void *context);
NTSTATUS FSGuard(void (*routine)(void *context), void *context)
{
	struct _KTHREAD *thread = current();
	struct guard guard = {.outer = thread->guard, .atomic = thread->atomic};

	if (sigsetjmp(guard.buffer, 0) != 0) {
		thread->guard = guard.outer;
		thread->atomic = guard.atomic;
		return guard.status;
	}
	thread->guard = &guard;
	routine(context);
	thread->guard = guard.outer;
	return STATUS_SUCCESS;
}

void ExRaiseStatus(NTSTATUS status)
{
	struct guard *guard = current()->guard;

	if (!guard)
		nt_fail("status %08x is raised where nothing guards against it", (unsigned)status);
	guard->status = status;
	siglongjmp(guard->buffer, 1);
}

void ExRaiseAccessViolation(void)
{
	ExRaiseStatus(STATUS_ACCESS_VIOLATION);
}

static void probe(const void *address, SIZE_T size, ULONG alignment)
{
	irql_at_most(APC_LEVEL, "ProbeForRead or ProbeForWrite");
	if (size == 0)
		return;
	if ((ULONG_PTR)address % alignment != 0)
		ExRaiseStatus(STATUS_DATATYPE_MISALIGNMENT);
	if (!address || address_is_bad(address) || address_is_bad((const char *)address + size - 1))
		ExRaiseStatus(STATUS_ACCESS_VIOLATION);
}

void ProbeForRead(const void *address, SIZE_T size, ULONG alignment)
{
	probe(address, size, alignment);
}

void ProbeForWrite(PVOID address, SIZE_T size, ULONG alignment)
{
	probe(address, size, alignment);
}

static PVOID highest = (PVOID)0x7fffffffffffULL;
PVOID *nt_highest_user_address = &highest;

PVOID MmGetSystemRoutineAddress(PUNICODE_STRING name)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	return NULL;
}

void nt_list_corrupt(const void *entry)
{
	nt_fail("the list around entry %p is corrupt: inserted or removed twice?", entry);
}

void nt_assert_failed(const char *what, const char *file, int line)
{
	nt_fail("%s:%d: assertion failed: %s", file, line, what);
}

void KeBugCheck(ULONG code)
{
	nt_fail("the driver calls KeBugCheck(%x)", code);
}

void KeBugCheckEx(ULONG code, ULONG_PTR a, ULONG_PTR b, ULONG_PTR c, ULONG_PTR d)
{
	nt_fail("the driver calls KeBugCheckEx(%x, %llx, %llx, %llx, %llx)", code, a, b, c, d);
}

void nt_paged_code(const char *function)
{
	if (current()->irql > APC_LEVEL)
		nt_fail("%s is pageable and is called at IRQL %u", function, current()->irql);
}

void nt_quiet(bool on)
{
	quiet = on;
}

ULONG DbgPrint(PCSTR format, ...)
{
	if (!quiet)
		fputs(format, stderr);
	return 0;
}

ULONG DbgPrintEx(ULONG component, ULONG level, PCSTR format, ...)
{
	if (!quiet)
		fputs(format, stderr);
	return 0;
}

/* --- Random numbers and time ----------------------------------------------------------------------------- */

ULONG RtlRandomEx(PULONG state)
{
	irql_at_most(APC_LEVEL, __func__);
	*state = (ULONG)draw();
	return *state & 0x7fffffff;
}

ULONG RtlRandom(PULONG state)
{
	return RtlRandomEx(state);
}

NTSTATUS BCryptGenRandom(BCRYPT_ALG_HANDLE algorithm, PUCHAR buffer, ULONG size, ULONG flags)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	if (fault())
		return STATUS_UNSUCCESSFUL;
	for (ULONG i = 0; i < size; i++)
		buffer[i] = (UCHAR)draw();
	return STATUS_SUCCESS;
}

NTSTATUS ExUuidCreate(UUID *uuid)
{
	irql_at_most(APC_LEVEL, __func__);
	if (fault())
		return STATUS_RETRY;
	for (unsigned i = 0; i < sizeof(*uuid); i++)
		((UCHAR *)uuid)[i] = (UCHAR)draw();
	return STATUS_SUCCESS;
}

void KeQuerySystemTime(PLARGE_INTEGER time)
{
	time->QuadPart = BOOT_TIME + clock_now;
}

void KeQuerySystemTimePrecise(PLARGE_INTEGER time)
{
	time->QuadPart = BOOT_TIME + ++clock_now;
}

ULONGLONG KeQueryInterruptTime(void)
{
	return (ULONGLONG)clock_now;
}

LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER frequency)
{
	LARGE_INTEGER value = {.QuadPart = clock_now + (LONGLONG)(draw() & 0xff)};

	if (frequency)
		frequency->QuadPart = 10000000;
	return value;
}

void KeQueryTickCount(PLARGE_INTEGER ticks)
{
	ticks->QuadPart = clock_now / 156250;
}

ULONG KeQueryTimeIncrement(void)
{
	return 156250;
}

void ExSystemTimeToLocalTime(PLARGE_INTEGER from, PLARGE_INTEGER to)
{
	*to = *from;
}

void ExLocalTimeToSystemTime(PLARGE_INTEGER from, PLARGE_INTEGER to)
{
	*to = *from;
}
