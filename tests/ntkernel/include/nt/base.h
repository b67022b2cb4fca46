/* SPDX-License-Identifier: MIT */
/* base.h - annotations, scalar types, and the small structs that everything else is made of. */
#ifndef NTKERNEL_BASE_H
#define NTKERNEL_BASE_H

_Static_assert(sizeof(wchar_t) == 2, "compile with -fshort-wchar");
_Static_assert(sizeof(void *) == 8, "64 bits only");

#define NTKERNEL_HARNESS 1

/* --- Annotations, conventions, attributes ---------------------------------------------------------------- */

#define NTAPI
#define NTSYSAPI
#define NTKERNELAPI
#define NTHALAPI
#define FASTCALL
#define DECLSPEC_IMPORT
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define __declspec(x)
#define __stdcall
#define __cdecl
#define __fastcall
#define FORCEINLINE	  static inline __attribute__((always_inline, unused))
#define DECLSPEC_ALIGN(x) __attribute__((aligned(x)))
#define CONST		  const
#define VOID		  void
#define IN
#define OUT
#define OPTIONAL
#define NOTHING
#define EXTERN_C

#define _In_
#define _In_opt_
#define _In_z_
#define _In_reads_(n)
#define _In_reads_opt_(n)
#define _In_reads_bytes_(n)
#define _In_reads_bytes_opt_(n)
#define _Inout_
#define _Inout_opt_
#define _Inout_updates_(n)
#define _Inout_updates_bytes_(n)
#define _Inout_updates_bytes_opt_(n)
#define _Out_
#define _Out_opt_
#define _Out_writes_(n)
#define _Out_writes_opt_(n)
#define _Out_writes_bytes_(n)
#define _Out_writes_bytes_opt_(n)
#define _Out_writes_bytes_to_(n, m)
#define _Out_writes_bytes_to_opt_(n, m)
#define _Outptr_
#define _Outptr_opt_
#define _Outptr_result_maybenull_
#define _Outptr_result_bytebuffer_(n)
#define _Field_size_(n)
#define _Field_size_bytes_(n)
#define _Ret_maybenull_
#define _Ret_notnull_
#define _Must_inspect_result_
#define _Check_return_
#define _Success_(e)
#define _When_(c, a)
#define _At_(t, a)
#define _Pre_satisfies_(e)
#define _Post_satisfies_(e)
#define _Use_decl_annotations_
#define _Function_class_(n)
#define _Dispatch_type_(n)
#define _IRQL_requires_(l)
#define _IRQL_requires_max_(l)
#define _IRQL_requires_min_(l)
#define _IRQL_requires_same_
#define _IRQL_raises_(l)
#define _IRQL_saves_
#define _IRQL_restores_
#define _IRQL_saves_global_(k, p)
#define _IRQL_restores_global_(k, p)
#define _IRQL_uses_cancel_
#define _IRQL_always_function_max_(l)
#define _IRQL_always_function_min_(l)
#define _Requires_lock_held_(l)
#define _Requires_lock_not_held_(l)
#define _Requires_exclusive_lock_held_(l)
#define _Requires_shared_lock_held_(l)
#define _Acquires_lock_(l)
#define _Releases_lock_(l)
#define _Acquires_exclusive_lock_(l)
#define _Releases_exclusive_lock_(l)
#define _Acquires_shared_lock_(l)
#define _Releases_shared_lock_(l)
#define _Guarded_by_(l)
#define _Interlocked_
#define _Analysis_assume_(e)
#define __drv_aliasesMem
#define __drv_freesMem(k)
#define __drv_allocatesMem(k)

#define UNREFERENCED_PARAMETER(p)      ((void)(p))
#define DBG_UNREFERENCED_PARAMETER(p)  ((void)(p))
#define ARRAYSIZE(a)		       (sizeof(a) / sizeof((a)[0]))
#define RTL_NUMBER_OF(a)	       (sizeof(a) / sizeof((a)[0]))
#define FIELD_OFFSET(t, m)	       ((LONG)offsetof(t, m))
#define UFIELD_OFFSET(t, m)	       ((ULONG)offsetof(t, m))
#define RTL_FIELD_SIZE(t, m)	       (sizeof(((t *)0)->m))
#define RTL_SIZEOF_THROUGH_FIELD(t, m) (offsetof(t, m) + sizeof(((t *)0)->m))
#define CONTAINING_RECORD(p, t, m)     ((t *)((char *)(p)-offsetof(t, m)))
#define C_ASSERT(e)		       _Static_assert(e, #e)
#define FlagOn(f, m)		       ((f) & (m))
#define BooleanFlagOn(f, m)	       ((BOOLEAN)(((f) & (m)) != 0))
#define SetFlag(f, m)		       ((f) |= (m))
#define ClearFlag(f, m)		       ((f) &= ~(m))
#define ALIGN_DOWN_BY(v, a)	       ((ULONG_PTR)(v) & ~((ULONG_PTR)(a)-1))
#define ALIGN_UP_BY(v, a)	       (((ULONG_PTR)(v) + (a)-1) & ~((ULONG_PTR)(a)-1))
#define ROUND_TO_PAGES(v)	       ALIGN_UP_BY(v, PAGE_SIZE)
#define PAGE_SIZE		       0x1000
#define PAGE_SHIFT		       12L
#define MAXUSHORT		       0xffff
#define MAXULONG		       0xffffffffu
#define MAXLONG			       0x7fffffff
#define MAXLONGLONG		       0x7fffffffffffffffLL
#define MAXULONGLONG		       0xffffffffffffffffULL
#define MAXUINT_PTR		       ((UINT_PTR)-1)
#ifndef min
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#endif

/* --- Scalars --------------------------------------------------------------------------------------------- */

typedef char CHAR, CCHAR, *PCHAR, *PSTR;
typedef const char *PCSTR, *PCSZ, *LPCSTR;
typedef unsigned char UCHAR, BOOLEAN, BYTE, *PUCHAR, *PBOOLEAN, *PBYTE;
typedef int16_t SHORT, CSHORT, *PSHORT;
typedef uint16_t USHORT, WORD, *PUSHORT;
typedef int32_t LONG, INT, *PLONG, BOOL;
typedef uint32_t ULONG, UINT, DWORD, *PULONG, CLONG;
typedef int32_t INT32, LONG32;
typedef uint32_t UINT32, ULONG32;
typedef long long LONGLONG, LONG64, INT64, *PLONGLONG;
typedef unsigned long long ULONGLONG, ULONG64, UINT64, DWORD64, DWORDLONG, *PULONGLONG, *PULONG64;
typedef uint8_t UINT8;
typedef uint16_t UINT16;
typedef long long LONG_PTR, INT_PTR, SSIZE_T, *PLONG_PTR;
typedef unsigned long long ULONG_PTR, UINT_PTR, DWORD_PTR, SIZE_T, KAFFINITY, *PULONG_PTR, *PSIZE_T;
typedef wchar_t WCHAR, *PWCHAR, *PWCH, *PWSTR, *LPWSTR, *NWPSTR;
typedef const wchar_t *PCWSTR, *PCWCH, *LPCWSTR, *PCWCHAR;
typedef void *PVOID, *HANDLE, **PHANDLE;
typedef const void *PCVOID;
typedef LONG NTSTATUS, *PNTSTATUS;
typedef ULONG ACCESS_MASK, *PACCESS_MASK, LCID, *PLCID;
typedef LONG KPRIORITY;
typedef USHORT WCHAR_UNSIGNED;
typedef UCHAR KIRQL, *PKIRQL;
typedef CCHAR KPROCESSOR_MODE;
typedef enum { KernelMode, UserMode, MaximumMode } MODE;
typedef LONGLONG USN;
typedef ULONG LOGICAL;

#define TRUE  ((BOOLEAN)1)
#define FALSE ((BOOLEAN)0)
#ifndef NULL
#define NULL ((void *)0)
#endif
#define ANYSIZE_ARRAY		 1
#define UNICODE_NULL		 ((WCHAR)0)
#define UNICODE_STRING_MAX_BYTES 65534
#define UNICODE_STRING_MAX_CHARS 32767

typedef union _LARGE_INTEGER {
	struct {
		ULONG LowPart;
		LONG HighPart;
	};
	struct {
		ULONG LowPart;
		LONG HighPart;
	} u;
	LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER, PHYSICAL_ADDRESS;

typedef union _ULARGE_INTEGER {
	struct {
		ULONG LowPart;
		ULONG HighPart;
	};
	struct {
		ULONG LowPart;
		ULONG HighPart;
	} u;
	ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef struct _LUID {
	ULONG LowPart;
	LONG HighPart;
} LUID, *PLUID;

typedef struct _GUID {
	ULONG Data1;
	USHORT Data2;
	USHORT Data3;
	UCHAR Data4[8];
} GUID, UUID, *PGUID, *LPGUID;
typedef const GUID *LPCGUID, *REFGUID;
#define DEFINE_GUID(name, l, w1, w2, b1, b2, b3, b4, b5, b6, b7, b8)                                                   \
	static const GUID name __attribute__((unused)) = {l, w1, w2, {b1, b2, b3, b4, b5, b6, b7, b8}}
#define IsEqualGUID(a, b) (memcmp(a, b, sizeof(GUID)) == 0)

typedef struct _UNICODE_STRING {
	USHORT Length;
	USHORT MaximumLength;
	PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;
#define RTL_CONSTANT_STRING(s)                                                                                         \
	{                                                                                                              \
		sizeof(s) - sizeof((s)[0]), sizeof(s), (void *)(s)                                                     \
	}
#define DECLARE_CONST_UNICODE_STRING(name, text)                                                                       \
	const WCHAR name##_buffer[] = text;                                                                            \
	const UNICODE_STRING name = {sizeof(text) - sizeof(WCHAR), sizeof(text), (PWCH)name##_buffer}
#define DECLARE_UNICODE_STRING_SIZE(name, count)                                                                       \
	WCHAR name##_buffer[count];                                                                                    \
	UNICODE_STRING name = {0, (count) * sizeof(WCHAR), name##_buffer}

typedef struct _STRING {
	USHORT Length;
	USHORT MaximumLength;
	PCHAR Buffer;
} STRING, ANSI_STRING, OEM_STRING, UTF8_STRING, *PSTRING, *PANSI_STRING, *POEM_STRING, *PUTF8_STRING;

typedef struct _LIST_ENTRY {
	struct _LIST_ENTRY *Flink;
	struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
	struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

typedef struct _CLIENT_ID {
	HANDLE UniqueProcess;
	HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

typedef struct _OBJECT_ATTRIBUTES {
	ULONG Length;
	HANDLE RootDirectory;
	PUNICODE_STRING ObjectName;
	ULONG Attributes;
	PVOID SecurityDescriptor;
	PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;
#define OBJ_INHERIT	       0x00000002u
#define OBJ_PERMANENT	       0x00000010u
#define OBJ_CASE_INSENSITIVE   0x00000040u
#define OBJ_OPENIF	       0x00000080u
#define OBJ_KERNEL_HANDLE      0x00000200u
#define OBJ_FORCE_ACCESS_CHECK 0x00000400u
#define InitializeObjectAttributes(p, n, a, r, s)                                                                      \
	(*(p) = (OBJECT_ATTRIBUTES){sizeof(OBJECT_ATTRIBUTES), (r), (n), (a), (s), NULL})

typedef struct _IO_STATUS_BLOCK {
	union {
		NTSTATUS Status;
		PVOID Pointer;
	};
	ULONG_PTR Information;
} IO_STATUS_BLOCK, *PIO_STATUS_BLOCK;

#define HandleToULong(h) ((ULONG)(ULONG_PTR)(h))
#define HandleToUlong(h) ((ULONG)(ULONG_PTR)(h))
#define ULongToHandle(u) ((HANDLE)(ULONG_PTR)(u))
#define PtrToUlong(p)	 ((ULONG)(ULONG_PTR)(p))
#define Add2Ptr(p, n)	 ((void *)((char *)(p) + (n)))

#define NT_SUCCESS(s)	  ((NTSTATUS)(s) >= 0)
#define NT_INFORMATION(s) (((ULONG)(s)) >> 30 == 1)
#define NT_WARNING(s)	  (((ULONG)(s)) >> 30 == 2)
#define NT_ERROR(s)	  (((ULONG)(s)) >> 30 == 3)

/* --- Lists ----------------------------------------------------------------------------------------------- */

FORCEINLINE void InitializeListHead(PLIST_ENTRY head)
{
	head->Flink = head->Blink = head;
}

FORCEINLINE BOOLEAN IsListEmpty(const LIST_ENTRY *head)
{
	return head->Flink == head;
}

/* A corrupt list is a bug check on Windows; so here. */
void nt_list_corrupt(const void *entry) __attribute__((noreturn));

FORCEINLINE BOOLEAN RemoveEntryList(PLIST_ENTRY entry)
{
	PLIST_ENTRY next = entry->Flink, previous = entry->Blink;

	if (next->Blink != entry || previous->Flink != entry)
		nt_list_corrupt(entry);
	previous->Flink = next;
	next->Blink = previous;
	return next == previous;
}

FORCEINLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY head)
{
	PLIST_ENTRY entry = head->Flink;

	RemoveEntryList(entry);
	return entry;
}

FORCEINLINE PLIST_ENTRY RemoveTailList(PLIST_ENTRY head)
{
	PLIST_ENTRY entry = head->Blink;

	RemoveEntryList(entry);
	return entry;
}

FORCEINLINE void nt_list_between(PLIST_ENTRY previous, PLIST_ENTRY entry, PLIST_ENTRY next)
{
	if (previous->Flink != next || next->Blink != previous)
		nt_list_corrupt(entry);
	entry->Flink = next;
	entry->Blink = previous;
	previous->Flink = next->Blink = entry;
}

FORCEINLINE void InsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
	nt_list_between(head->Blink, entry, head);
}

FORCEINLINE void InsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
	nt_list_between(head, entry, head->Flink);
}

FORCEINLINE void AppendTailList(PLIST_ENTRY head, PLIST_ENTRY more)
{
	PLIST_ENTRY end = head->Blink;

	head->Blink->Flink = more;
	head->Blink = more->Blink;
	more->Blink->Flink = head;
	more->Blink = end;
}

/* --- Interlocked ----------------------------------------------------------------------------------------- */

#define InterlockedIncrement(p)			   ((LONG)__atomic_add_fetch((p), 1, __ATOMIC_SEQ_CST))
#define InterlockedDecrement(p)			   ((LONG)__atomic_sub_fetch((p), 1, __ATOMIC_SEQ_CST))
#define InterlockedIncrement64(p)		   ((LONG64)__atomic_add_fetch((p), 1, __ATOMIC_SEQ_CST))
#define InterlockedDecrement64(p)		   ((LONG64)__atomic_sub_fetch((p), 1, __ATOMIC_SEQ_CST))
#define InterlockedExchange(p, v)		   __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedExchange64(p, v)		   __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedExchangePointer(p, v)	   __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedExchangeAdd(p, v)		   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedExchangeAdd64(p, v)		   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedAdd(p, v)			   __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedOr(p, v)			   __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedAnd(p, v)			   __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedXor(p, v)			   __atomic_fetch_xor((p), (v), __ATOMIC_SEQ_CST)
#define InterlockedCompareExchange(p, v, c)	   __sync_val_compare_and_swap((p), (c), (v))
#define InterlockedCompareExchange64(p, v, c)	   __sync_val_compare_and_swap((p), (c), (v))
#define InterlockedCompareExchangePointer(p, v, c) __sync_val_compare_and_swap((p), (c), (v))
#define KeMemoryBarrier()			   __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define MemoryBarrier()				   __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define ReadNoFence(p)				   __atomic_load_n((p), __ATOMIC_RELAXED)
#define ReadAcquire(p)				   __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define WriteNoFence(p, v)			   __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define WriteRelease(p, v)			   __atomic_store_n((p), (v), __ATOMIC_RELEASE)

#endif
