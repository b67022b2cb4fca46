/* SPDX-License-Identifier: MIT */
/* internal.h - what the parts of the user-mode kernel share. */
#ifndef NTKERNEL_INTERNAL_H
#define NTKERNEL_INTERNAL_H

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "ntkernel.h"
#include "tests/sanitizers.h"

#if UNDER_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(address, size)	ASAN_POISON_MEMORY_REGION((address), (size))
#define UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION((address), (size))
#else
#define POISON(address, size)	((void)(address), (void)(size))
#define UNPOISON(address, size) ((void)(address), (void)(size))
#endif

#define MAGIC_EVENT	0x45564e54u
#define MAGIC_SEMAPHORE 0x53454d41u
#define MAGIC_TIMER	0x54494d45u
#define MAGIC_THREAD	0x54485244u
#define MAGIC_DPC	0x44504344u
#define MAGIC_MUTEX	0x4d555458u
#define MAGIC_RESOURCE	0x5245534fu
#define MAGIC_REMOVE	0x524d4c4bu
#define MAGIC_MDL	0x4d444c4du
#define MAGIC_LOCKS	0x464c4f43u

#define STACK_DEPTH 14
#define HELD_MAX    32

/* kernel.c */
void *take(size_t size); /* zeroed memory of the kernel itself: does not fail, is not counted */
bool fault(void);	 /* this call fails */
void irql_at_most(KIRQL irql, const char *routine);
unsigned long long draw(void);
extern LONGLONG clock_now; /* 100 ns since boot */
void bad_address_boot(void), bad_address_end(void);
bool address_is_bad(const void *address);
extern struct nt_counts counts;

/* pool.c */
void pool_end(void);
void pool_irql(bool raised);
void check_pattern(const void *bytes, size_t size, const char *what);

/* thread.c */
struct held {
	void *lock;
	int class;
	bool exclusive;
	char kind; /* s spin lock, m mutex, r resource */
};

struct guard {
	sigjmp_buf buffer;
	struct guard *outer;
	NTSTATUS status;
	int atomic;
};

struct _KTHREAD {
	DISPATCHER_HEADER Header;
	LIST_ENTRY entry;
	pthread_t pthread;
	pthread_cond_t turn;
	bool test, worker, idle, ended;
	unsigned references;
	KIRQL irql;
	int critical, atomic;
	struct nt_process *process;
	PIRP top_level;
	struct held held[HELD_MAX];
	unsigned held_count;
	struct guard *guard;
	/* What it waits for: ready(argument) tells whether it may go on. */
	bool (*ready)(void *argument);
	void *argument;
	const char *waits_for;
	LONGLONG due; /* of the wait; 0: none */
	PKSTART_ROUTINE start;
	void *context;
	unsigned dispatching;
};
void thread_boot(void), thread_end(void);
struct _KTHREAD *current(void);
/* True: ready; false: timed out. due 0: no time-out. */
bool block(bool (*ready)(void *argument), void *argument, LONGLONG due, const char *what);
void preempt(void);
/* In a function of this kernel that has lists of its own: nobody else runs in between. */
int atomic_begin(void);
void atomic_end(int *begun);
#define ATOMIC int atomic __attribute__((cleanup(atomic_end), unused)) = atomic_begin()
void run_dpcs(void);
void work_queue(void (*run)(void *a, void *b, void *c), void *a, void *b, void *c);
bool work_uses(const void *a);
void timer_gone(const void *memory, size_t size);
bool everybody_waits(void);
bool run_others(void);

/* lock.c */
void lock_boot(void), lock_end(void);
void lock_memory_gone(const void *memory, size_t size);
void locks_none_held(const char *when, bool spin_only);
bool lock_is_held(const void *lock);

/* object.c */
struct nt_device {
	DEVICE_OBJECT *object;
	uint16_t *name;
	size_t name_length; /* bytes */
	long references;    /* open files and others */
	bool deleted, exclusive, shutdown, registered;
	void *descriptor;
	size_t extension;
	void *extension_memory;
	LIST_ENTRY entry;
};
struct nt_file {
	FILE_OBJECT object;
	LIST_ENTRY entry;
	long references;
	long handles;
	bool opened, cleaned;
	ACCESS_MASK granted;
	DEVICE_OBJECT *device; /* that gets its IRPs */
	void *name_memory;
	LIST_ENTRY requests;
	struct section *section;
};
struct nt_process {
	LIST_ENTRY entry;
	unsigned account;
	ULONG id;
	long handles;
	bool ended;
};
enum handle_kind { HANDLE_FREE, HANDLE_FILE, HANDLE_DEVICE, HANDLE_THREAD, HANDLE_LINK, HANDLE_OTHER };
void object_boot(void), object_end(void);
void device_reference(DEVICE_OBJECT *device);
void device_dereference(DEVICE_OBJECT *device);
/* Follows links; rest is the part of the path behind the device's name. */
NTSTATUS name_resolve(const uint16_t *path, size_t length, struct nt_device **device, uint16_t **rest,
		      size_t *rest_length);
HANDLE handle_make(enum handle_kind kind, void *object, struct nt_process *process);
void *handle_object(HANDLE handle, enum handle_kind kind);
void handle_free(HANDLE handle);
void handles_of(struct nt_process *process, void (*close)(HANDLE handle));
void handle_check(void);
struct nt_file *file_make(DEVICE_OBJECT *device);
void file_dereference(struct nt_file *file);
DEVICE_OBJECT *filesystem_next(DEVICE_OBJECT *after);
bool device_allows(struct nt_device *device, struct nt_process *process, ACCESS_MASK access);
DEVICE_OBJECT *device_by_link(const struct nt_device *device);

/* irp.c */
enum irp_state { IRP_LIVE, IRP_COMPLETED, IRP_FREED };
struct nt_irp {
	enum irp_state state;
	int references;
	bool pending_marked; /* at the current location, by the driver */
	bool taken_back;     /* by a completion routine */
	NTSTATUS completed_with;
	struct nt_request *request; /* of a program */
	unsigned dispatches;
	size_t size;
	void (*finish)(PIRP irp);
	LIST_ENTRY entry;
};
void irp_boot(void), irp_end(void);
PIRP irp_make(CCHAR stack);
void irp_discard(PIRP irp);
void irp_mount_reference(void);

/* user.c */
void user_close_last(struct nt_file *file);
NTSTATUS mount_device(struct nt_device *device);

/* security.c */
void security_boot(void);
bool access_check(const void *descriptor, unsigned account, ACCESS_MASK desired, ACCESS_MASK *granted);
void *descriptor_copy(const void *descriptor, size_t *size);

/* rtl.c */
uint16_t *wide(const char *text, size_t *length);
unsigned upcase(unsigned c);

/* cache.c */
void section_gone(struct nt_file *file);
void mdl_check(PMDL mdl);

#endif
