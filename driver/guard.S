/* SPDX-License-Identifier: MIT */
/*
 * guard.S - NTSTATUS FSGuard(void (*routine)(void *context), void *context)
 *
 * Calls routine(context) and comes back with STATUS_SUCCESS, or with the code of an exception that was raised in it: what
 * a compiler with structured exception handling makes of
 *
 *     __try { routine(context); return STATUS_SUCCESS; } __except (EXCEPTION_EXECUTE_HANDLER) { return GetExceptionCode(); }
 *
 * The one entry of the scope table has a constant as its filter, 1: the handler is always taken. __C_specific_handler
 * goes on at .Lout with the code of the exception in the register of return values. The nop keeps the address to which
 * the call returns inside of the guarded range.
 */
#ifndef __x86_64__
#error "FSGuard is written for x64 here; with a compiler that knows __try, it is the two lines above"
#endif

	.text
	.p2align 4
	.globl FSGuard
	.def FSGuard; .scl 2; .type 32; .endef
	.seh_proc FSGuard
FSGuard:
	subq $40, %rsp
	.seh_stackalloc 40
	.seh_endprologue
	movq %rcx, %rax
	movq %rdx, %rcx
.Lguarded:
	call *%rax
	nop
.Lguarded_end:
	xorl %eax, %eax
.Lout:
	addq $40, %rsp
	ret
	.seh_handler __C_specific_handler, @except
	.seh_handlerdata
	.long 1
	.rva .Lguarded
	.rva .Lguarded_end
	.long 1
	.rva .Lout
	.text
	.seh_endproc
