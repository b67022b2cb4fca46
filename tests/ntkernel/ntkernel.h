/* SPDX-License-Identifier: MIT */
/*
 * ntkernel.h - a small NT kernel in user mode, as a test sees it
 *
 * A driver's own C is linked with this kernel into one program of Linux, where the sanitizers watch it. The kernel does
 * what Windows documents for the routines that a file system driver calls, and besides checks the rules which Windows
 * leaves to Driver Verifier or to luck. A broken rule ends the program with "ntkernel: " and what was broken.
 *
 *    IRPs        completed once, not touched afterwards, not completed while a cancel routine is set or a spin lock is
 *                held; STATUS_PENDING and IoMarkIrpPending go together; Information fits into the caller's buffer
 *    Memory      an allocation lies alone in the heap, filled with NT_PATTERN; its tag must be the one it is freed
 * with; no four neighbouring bytes of NT_PATTERN may reach a program (fewer come by chance where ids are random). Paged
 * memory may not be touched at DISPATCH_LEVEL. None may be left at nt_shutdown IRQL        every routine checks the
 * level at which it may be called Locks       are taken in one order for each pair of places that initialise them, and
 * given back by the end of a dispatch routine; resources are taken in critical regions; nobody waits for ever Faults
 * nt_fault_arm(n) lets the n-th call that may fail do so
 *
 * Threads. One thread runs at a time; others take turns when it waits, and, when nt_preempt_seed has been called, in
 * front of any kernel call, drawn from that seed. So a run with the same seed is the same run. The thread that called
 * nt_boot is the test. Work items and system threads run when a thread waits, or in nt_run. The clock stands still but
 * for nt_advance, and but for time-outs when nobody else can run.
 *
 * Programs. nt_open and its kin are system calls: they build the IRP as the I/O manager does, and call the driver. They
 * never wait: the answer is a struct nt_request, done or not. nt_wait waits. nt_finish tells the status and frees it.
 */
#ifndef NTKERNEL_H
#define NTKERNEL_H

#include <stdbool.h>

#include <ntifs.h>

#define NT_PATTERN 0xc5u

/* --- The machine ----------------------------------------------------------------------------------------- */

void nt_boot(void);
/* Everything that a driver made must be gone. */
void nt_shutdown(void);
NTSTATUS nt_load(DRIVER_INITIALIZE *entry);
/* Calls DriverUnload; false when the driver has none, or devices that are in use. */
bool nt_unload(void);
PDRIVER_OBJECT nt_driver(void);
void nt_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void nt_quiet(bool quiet); /* DbgPrint says nothing */

/* Others run until nobody can. In a thread that is not the test's: nt_yield. */
void nt_run(void);
void nt_advance(ULONG milliseconds);
void nt_preempt_seed(ULONG seed); /* 0: no more */
void nt_thread_start(void (*start)(void *context), void *context);
void nt_yield(void);

/* The n-th call from now on that may fail does, n from 1; 0: none does. */
void nt_fault_arm(unsigned long n);
bool nt_fault_fired(void);
/* Calls that could have failed since nt_fault_arm. */
unsigned long nt_fault_count(void);

struct nt_counts {
	long allocations, bytes, irps, mdls, devices, files, work_items, threads, links, resources;
};
struct nt_counts nt_count(void);
bool nt_counts_equal(const struct nt_counts *a, const struct nt_counts *b);
void nt_counts_print(const char *what, const struct nt_counts *counts);

/* An address of user space where nothing is. */
void *nt_bad_address(void);

/* --- Programs -------------------------------------------------------------------------------------------- */

#define NT_USER	  0u
#define NT_ADMIN  1u
#define NT_SYSTEM 2u
struct nt_process *nt_process_make(unsigned account);
/* Closes its handles, cancelling what is pending, as the end of a process does. */
void nt_process_end(struct nt_process *process);
void nt_process_enter(struct nt_process *process); /* NULL: the system */

struct nt_request {
	NTSTATUS returned; /* by the driver's dispatch routine; or why the I/O manager refused */
	bool done;
	IO_STATUS_BLOCK status;
	HANDLE handle; /* of an open */
	IRP *irp;      /* until it is done */
	ULONG_PTR reparse;
	struct nt_file *file;
	LIST_ENTRY entry; /* of the file's requests */
	void *user;	  /* where an answer goes */
	ULONG user_length;
	void *system, *more; /* what the I/O manager allocated */
	void (*finished)(struct nt_request *request);
	struct nt_process *process;
};

bool nt_done(const struct nt_request *request);
/* Lets others run until it is done; false when that will not happen. */
bool nt_wait(struct nt_request *request);
void nt_cancel(struct nt_request *request);
/* Must be done. */
NTSTATUS nt_finish(struct nt_request *request, ULONG_PTR *information);

struct nt_open {
	const char *path;  /* ASCII; or wide */
	const WCHAR *wide; /* wide_length bytes */
	USHORT wide_length;
	HANDLE folder; /* relative to it */
	ACCESS_MASK access;
	ULONG share, disposition, options, attributes;
	ULONG stack_flags; /* SL_OPEN_TARGET_DIRECTORY, SL_CASE_SENSITIVE ... */
	LONGLONG allocation;
	const void *ea;
	ULONG ea_length;
	KPROCESSOR_MODE mode; /* KernelMode: no access checks */
};
struct nt_request *nt_open(const struct nt_open *open);
/* Cleanup of the last handle may pend; nt_close waits for it. */
struct nt_request *nt_close_start(HANDLE handle);
void nt_close(HANDLE handle);
/* What is done when somebody waits and nobody can run: a service in the test's own thread. False: nothing to do. */
void nt_pump(bool (*pump)(void *context), void *context);
HANDLE nt_duplicate(HANDLE handle);
FILE_OBJECT *nt_file_object(HANDLE handle);

/* Any IRP for a handle, with the parameters as they are; the buffer is given as the device wants it. */
struct nt_io {
	UCHAR major, minor;
	UCHAR flags;	 /* of the stack location */
	ULONG irp_flags; /* IRP_PAGING_IO ... */
	void *buffer;
	ULONG length;	   /* of it */
	const void *input; /* of control codes */
	ULONG input_length;
	bool kernel;
	bool no_handle; /* paging I/O: goes on after cleanup */
	void (*set)(IO_STACK_LOCATION *stack, void *context);
	void *context;
};
struct nt_request *nt_io(HANDLE handle, const struct nt_io *io);
struct nt_request *nt_io_file(FILE_OBJECT *file, const struct nt_io *io);
/* No file object: mounts, plug and play, shutdown. */
struct nt_request *nt_io_device(DEVICE_OBJECT *device, const struct nt_io *io);

struct nt_request *nt_ioctl(HANDLE handle, ULONG code, const void *in, ULONG in_length, void *out, ULONG out_length);
struct nt_request *nt_fsctl(HANDLE handle, ULONG code, const void *in, ULONG in_length, void *out, ULONG out_length);
struct nt_request *nt_read(HANDLE handle, LONGLONG offset, void *buffer, ULONG length);
struct nt_request *nt_write(HANDLE handle, LONGLONG offset, const void *buffer, ULONG length);
struct nt_request *nt_page_in(FILE_OBJECT *file, LONGLONG offset, void *buffer, ULONG length);
struct nt_request *nt_page_out(FILE_OBJECT *file, LONGLONG offset, void *buffer, ULONG length);
struct nt_request *nt_query(HANDLE handle, FILE_INFORMATION_CLASS class, void *buffer, ULONG length);
struct nt_request *nt_set(HANDLE handle, FILE_INFORMATION_CLASS class, const void *buffer, ULONG length, HANDLE other);
struct nt_request *nt_query_volume(HANDLE handle, ULONG class, void *buffer, ULONG length);
struct nt_request *nt_set_volume(HANDLE handle, ULONG class, const void *buffer, ULONG length);
struct nt_request *nt_list(HANDLE handle, FILE_INFORMATION_CLASS class, const char *pattern, UCHAR flags, void *buffer,
			   ULONG length);
struct nt_request *nt_watch(HANDLE handle, ULONG filter, bool tree, void *buffer, ULONG length);
struct nt_request *nt_lock(HANDLE handle, LONGLONG offset, LONGLONG length, ULONG key, UCHAR flags);
struct nt_request *nt_unlock(HANDLE handle, LONGLONG offset, LONGLONG length, ULONG key);
struct nt_request *nt_flush(HANDLE handle);
struct nt_request *nt_query_security(HANDLE handle, SECURITY_INFORMATION what, void *buffer, ULONG length);
struct nt_request *nt_set_security(HANDLE handle, SECURITY_INFORMATION what, void *descriptor);

/* --- Sections: what a mapped file means to a driver ------------------------------------------------------- */

/* A section of a file: the pointers say that it is there, purges fail while it is mapped by a program. */
NTSTATUS nt_section_make(HANDLE handle, bool image, bool mapped);
void nt_section_drop(FILE_OBJECT *file);
/* Changed through the mapping: CcFlushCache writes it by paging I/O. */
void nt_section_dirty(FILE_OBJECT *file, LONGLONG offset, const void *data, ULONG length);
unsigned long nt_flushes(void), nt_purges(void);

/* Messages to the mount manager. */
unsigned long nt_mountmgr_arrivals(void);
void nt_mountmgr_present(bool present);

#endif
