/* SPDX-License-Identifier: MIT */
/* rtl.h - run-time library, pool and executive helpers, security, generic tables, the registry and other Zw calls. */
#ifndef NTKERNEL_RTL_H
#define NTKERNEL_RTL_H

/* --- Pool ------------------------------------------------------------------------------------------------ */

typedef enum _POOL_TYPE {
	NonPagedPool = 0,
	NonPagedPoolExecute = 0,
	PagedPool = 1,
	NonPagedPoolNx = 512,
} POOL_TYPE;
typedef ULONG64 POOL_FLAGS;
#define POOL_FLAG_UNINITIALIZED		 0x0000000000000002ULL
#define POOL_FLAG_CACHE_ALIGNED		 0x0000000000000008ULL
#define POOL_FLAG_RAISE_ON_FAILURE	 0x0000000000000020ULL
#define POOL_FLAG_NON_PAGED		 0x0000000000000040ULL
#define POOL_FLAG_NON_PAGED_EXECUTE	 0x0000000000000080ULL
#define POOL_FLAG_PAGED			 0x0000000000000100ULL
#define POOL_NX_OPTIN			 1
#define POOL_RAISE_IF_ALLOCATION_FAILURE 16
#define POOL_QUOTA_FAIL_INSTEAD_OF_RAISE 8

PVOID ExAllocatePoolWithTag(POOL_TYPE type, SIZE_T size, ULONG tag);
PVOID ExAllocatePoolZero(POOL_TYPE type, SIZE_T size, ULONG tag);
PVOID ExAllocatePoolUninitialized(POOL_TYPE type, SIZE_T size, ULONG tag);
PVOID ExAllocatePool2(POOL_FLAGS flags, SIZE_T size, ULONG tag);
void ExFreePoolWithTag(PVOID memory, ULONG tag);
void ExFreePool(PVOID memory);
#define ExInitializeDriverRuntime(flags) ((void)(flags))
#define DrvRtPoolNxOptIn		 1

typedef struct _LOOKASIDE_LIST {
	ULONG tag;
	SIZE_T size;
	POOL_TYPE type;
} NPAGED_LOOKASIDE_LIST, PAGED_LOOKASIDE_LIST, *PNPAGED_LOOKASIDE_LIST, *PPAGED_LOOKASIDE_LIST;
void ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list, PVOID allocate, PVOID release, ULONG flags,
				     SIZE_T size, ULONG tag, USHORT depth);
PVOID ExAllocateFromNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list);
void ExFreeToNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list, PVOID memory);
void ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST list);

/* --- Memory ---------------------------------------------------------------------------------------------- */

#define RtlCopyMemory(d, s, n)	  memcpy((d), (s), (n))
#define RtlMoveMemory(d, s, n)	  memmove((d), (s), (n))
#define RtlZeroMemory(d, n)	  memset((d), 0, (n))
#define RtlFillMemory(d, n, v)	  memset((d), (v), (n))
#define RtlEqualMemory(a, b, n)	  (memcmp((a), (b), (n)) == 0)
#define RtlSecureZeroMemory(d, n) nt_zero_for_sure((d), (n))
SIZE_T RtlCompareMemory(const void *a, const void *b, SIZE_T size);
PVOID nt_zero_for_sure(PVOID memory, SIZE_T size);

/* --- Text ------------------------------------------------------------------------------------------------ */

void RtlInitUnicodeString(PUNICODE_STRING string, PCWSTR text);
NTSTATUS RtlUnicodeStringInit(PUNICODE_STRING string, PCWSTR text);
void RtlInitEmptyUnicodeString(PUNICODE_STRING string, PWCHAR buffer, USHORT size);
void RtlInitAnsiString(PANSI_STRING string, PCSZ text);
void RtlCopyUnicodeString(PUNICODE_STRING to, PCUNICODE_STRING from);
NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING to, PCUNICODE_STRING from);
NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING to, PCWSTR from);
LONG RtlCompareUnicodeString(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN caseless);
BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN caseless);
BOOLEAN RtlPrefixUnicodeString(PCUNICODE_STRING prefix, PCUNICODE_STRING string, BOOLEAN caseless);
NTSTATUS RtlHashUnicodeString(PCUNICODE_STRING string, BOOLEAN caseless, ULONG algorithm, PULONG hash);
#define HASH_STRING_ALGORITHM_DEFAULT 0
#define HASH_STRING_ALGORITHM_X65599  1
WCHAR RtlUpcaseUnicodeChar(WCHAR c);
WCHAR RtlDowncaseUnicodeChar(WCHAR c);
NTSTATUS RtlUpcaseUnicodeString(PUNICODE_STRING to, PCUNICODE_STRING from, BOOLEAN allocate);
NTSTATUS RtlDowncaseUnicodeString(PUNICODE_STRING to, PCUNICODE_STRING from, BOOLEAN allocate);
NTSTATUS RtlDuplicateUnicodeString(ULONG flags, PCUNICODE_STRING from, PUNICODE_STRING to);
void RtlFreeUnicodeString(PUNICODE_STRING string);
NTSTATUS RtlIntegerToUnicodeString(ULONG value, ULONG base, PUNICODE_STRING string);
NTSTATUS RtlInt64ToUnicodeString(ULONGLONG value, ULONG base, PUNICODE_STRING string);
NTSTATUS RtlUnicodeStringToInteger(PCUNICODE_STRING string, ULONG base, PULONG value);
NTSTATUS RtlStringFromGUID(REFGUID guid, PUNICODE_STRING string);
NTSTATUS RtlGUIDFromString(PCUNICODE_STRING string, GUID *guid);
NTSTATUS ExUuidCreate(UUID *uuid);
SIZE_T nt_wcslen(PCWSTR text);
PWCHAR nt_wcschr(PCWSTR text, WCHAR c);
#define wcslen nt_wcslen
#define wcschr nt_wcschr

/* --- Numbers and time ------------------------------------------------------------------------------------ */

ULONG RtlRandomEx(PULONG seed);
ULONG RtlRandom(PULONG seed);
void KeQuerySystemTime(PLARGE_INTEGER time);
void KeQuerySystemTimePrecise(PLARGE_INTEGER time);
LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER frequency);
void KeQueryTickCount(PLARGE_INTEGER ticks);
ULONG KeQueryTimeIncrement(void);
ULONGLONG KeQueryInterruptTime(void);
void ExSystemTimeToLocalTime(PLARGE_INTEGER system, PLARGE_INTEGER local);
void ExLocalTimeToSystemTime(PLARGE_INTEGER local, PLARGE_INTEGER system);
#define RtlULongAdd(a, b, r)	 (__builtin_add_overflow((a), (b), (r)) ? STATUS_INTEGER_OVERFLOW : STATUS_SUCCESS)
#define RtlULongMult(a, b, r)	 (__builtin_mul_overflow((a), (b), (r)) ? STATUS_INTEGER_OVERFLOW : STATUS_SUCCESS)
#define RtlULongSub(a, b, r)	 (__builtin_sub_overflow((a), (b), (r)) ? STATUS_INTEGER_OVERFLOW : STATUS_SUCCESS)
#define RtlSIZETAdd(a, b, r)	 (__builtin_add_overflow((a), (b), (r)) ? STATUS_INTEGER_OVERFLOW : STATUS_SUCCESS)
#define RtlULongLongAdd(a, b, r) (__builtin_add_overflow((a), (b), (r)) ? STATUS_INTEGER_OVERFLOW : STATUS_SUCCESS)

/* The system's preferred generator, as drivers call it through cng.sys. */
typedef PVOID BCRYPT_ALG_HANDLE;
#define BCRYPT_USE_SYSTEM_PREFERRED_RNG 0x00000002u
NTSTATUS BCryptGenRandom(BCRYPT_ALG_HANDLE algorithm, PUCHAR buffer, ULONG size, ULONG flags);

/* --- Debugging ------------------------------------------------------------------------------------------- */

ULONG DbgPrint(PCSTR format, ...);
ULONG DbgPrintEx(ULONG component, ULONG level, PCSTR format, ...);
#define KdPrint(x)	     ((void)0)
#define DPFLTR_IHVDRIVER_ID  77
#define DPFLTR_IHVFILESYS_ID 82
#define DPFLTR_ERROR_LEVEL   0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL   2
#define DPFLTR_INFO_LEVEL    3
void nt_assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));
#define ASSERT(e)    ((e) ? (void)0 : nt_assert_failed(#e, __FILE__, __LINE__))
#define NT_ASSERT(e) ASSERT(e)
void KeBugCheck(ULONG code) __attribute__((noreturn));
void KeBugCheckEx(ULONG code, ULONG_PTR a, ULONG_PTR b, ULONG_PTR c, ULONG_PTR d) __attribute__((noreturn));
void ExRaiseStatus(NTSTATUS status) __attribute__((noreturn));
void ExRaiseAccessViolation(void) __attribute__((noreturn));
void nt_paged_code(const char *function);
#define PAGED_CODE() nt_paged_code(__func__)

/* --- Security -------------------------------------------------------------------------------------------- */

typedef PVOID PSECURITY_DESCRIPTOR, PSID, PACCESS_TOKEN;
typedef ULONG SECURITY_INFORMATION, *PSECURITY_INFORMATION;
typedef USHORT SECURITY_DESCRIPTOR_CONTROL;
#define OWNER_SECURITY_INFORMATION 0x00000001u
#define GROUP_SECURITY_INFORMATION 0x00000002u
#define DACL_SECURITY_INFORMATION  0x00000004u
#define SACL_SECURITY_INFORMATION  0x00000008u
#define LABEL_SECURITY_INFORMATION 0x00000010u

typedef struct _SID_IDENTIFIER_AUTHORITY {
	UCHAR Value[6];
} SID_IDENTIFIER_AUTHORITY;
#define SECURITY_NT_AUTHORITY                                                                                          \
	{                                                                                                              \
		0, 0, 0, 0, 0, 5                                                                                       \
	}
typedef struct _SID {
	UCHAR Revision;
	UCHAR SubAuthorityCount;
	SID_IDENTIFIER_AUTHORITY IdentifierAuthority;
	ULONG SubAuthority[ANYSIZE_ARRAY];
} SID, *PISID;
#define SECURITY_MAX_SID_SIZE		68u
#define SID_REVISION			1
#define SECURITY_WORLD_RID		0u
#define SECURITY_LOCAL_SYSTEM_RID	18u
#define SECURITY_LOCAL_SERVICE_RID	19u
#define SECURITY_BUILTIN_DOMAIN_RID	32u
#define DOMAIN_ALIAS_RID_ADMINS		544u
#define SECURITY_AUTHENTICATED_USER_RID 11u
typedef struct _ACL {
	UCHAR AclRevision;
	UCHAR Sbz1;
	USHORT AclSize;
	USHORT AceCount;
	USHORT Sbz2;
} ACL, *PACL;
#define ACL_REVISION 2
typedef struct _ACE_HEADER {
	UCHAR AceType;
	UCHAR AceFlags;
	USHORT AceSize;
} ACE_HEADER;
typedef struct _ACCESS_ALLOWED_ACE {
	ACE_HEADER Header;
	ACCESS_MASK Mask;
	ULONG SidStart;
} ACCESS_ALLOWED_ACE, *PACCESS_ALLOWED_ACE, ACCESS_DENIED_ACE;
#define ACCESS_ALLOWED_ACE_TYPE 0
#define ACCESS_DENIED_ACE_TYPE	1
typedef struct _SECURITY_DESCRIPTOR {
	UCHAR Revision;
	UCHAR Sbz1;
	SECURITY_DESCRIPTOR_CONTROL Control;
	PSID Owner;
	PSID Group;
	PACL Sacl;
	PACL Dacl;
} SECURITY_DESCRIPTOR, *PISECURITY_DESCRIPTOR;
typedef struct _SECURITY_DESCRIPTOR_RELATIVE {
	UCHAR Revision;
	UCHAR Sbz1;
	SECURITY_DESCRIPTOR_CONTROL Control;
	ULONG Owner, Group, Sacl, Dacl;
} SECURITY_DESCRIPTOR_RELATIVE, *PISECURITY_DESCRIPTOR_RELATIVE;
#define SE_OWNER_DEFAULTED	       0x0001
#define SE_DACL_PRESENT		       0x0004
#define SE_SACL_PRESENT		       0x0010
#define SE_DACL_PROTECTED	       0x1000
#define SE_SELF_RELATIVE	       0x8000
#define SECURITY_DESCRIPTOR_REVISION   1
#define SECURITY_DESCRIPTOR_REVISION1  1
#define SECURITY_DESCRIPTOR_MIN_LENGTH 40

typedef struct _GENERIC_MAPPING {
	ACCESS_MASK GenericRead, GenericWrite, GenericExecute, GenericAll;
} GENERIC_MAPPING, *PGENERIC_MAPPING;

typedef enum _SECURITY_IMPERSONATION_LEVEL {
	SecurityAnonymous,
	SecurityIdentification,
	SecurityImpersonation,
	SecurityDelegation
} SECURITY_IMPERSONATION_LEVEL;
typedef struct _SECURITY_SUBJECT_CONTEXT {
	PACCESS_TOKEN ClientToken;
	SECURITY_IMPERSONATION_LEVEL ImpersonationLevel;
	PACCESS_TOKEN PrimaryToken;
	PVOID ProcessAuditId;
} SECURITY_SUBJECT_CONTEXT, *PSECURITY_SUBJECT_CONTEXT;
typedef struct _LUID_AND_ATTRIBUTES {
	LUID Luid;
	ULONG Attributes;
} LUID_AND_ATTRIBUTES;
typedef struct _PRIVILEGE_SET {
	ULONG PrivilegeCount;
	ULONG Control;
	LUID_AND_ATTRIBUTES Privilege[ANYSIZE_ARRAY];
} PRIVILEGE_SET, *PPRIVILEGE_SET;
typedef struct _ACCESS_STATE {
	LUID OperationID;
	BOOLEAN SecurityEvaluated;
	BOOLEAN GenerateAudit;
	ULONG Flags;
	ACCESS_MASK RemainingDesiredAccess;
	ACCESS_MASK PreviouslyGrantedAccess;
	ACCESS_MASK OriginalDesiredAccess;
	SECURITY_SUBJECT_CONTEXT SubjectSecurityContext;
	PSECURITY_DESCRIPTOR SecurityDescriptor;
} ACCESS_STATE, *PACCESS_STATE;
#define TOKEN_HAS_TRAVERSE_PRIVILEGE 0x01u
#define TOKEN_HAS_BACKUP_PRIVILEGE   0x02u
#define TOKEN_HAS_RESTORE_PRIVILEGE  0x04u
#define SE_BACKUP_PRIVILEGE	     17
#define SE_RESTORE_PRIVILEGE	     18
#define SE_TCB_PRIVILEGE	     7
#define SE_MANAGE_VOLUME_PRIVILEGE   28
#define SE_LOAD_DRIVER_PRIVILEGE     10
#define SE_SECURITY_PRIVILEGE	     8

typedef struct _SE_EXPORTS {
	LUID SeManageVolumePrivilege, SeBackupPrivilege, SeRestorePrivilege, SeTcbPrivilege, SeLoadDriverPrivilege;
	PSID SeWorldSid, SeLocalSystemSid, SeAliasAdminsSid, SeAuthenticatedUsersSid;
} SE_EXPORTS, *PSE_EXPORTS;
extern PSE_EXPORTS SeExports;

BOOLEAN SeAccessCheck(PSECURITY_DESCRIPTOR descriptor, PSECURITY_SUBJECT_CONTEXT subject, BOOLEAN locked,
		      ACCESS_MASK desired, ACCESS_MASK previous, PPRIVILEGE_SET *privileges, PGENERIC_MAPPING mapping,
		      KPROCESSOR_MODE mode, PACCESS_MASK granted, PNTSTATUS status);
void SeCaptureSubjectContext(PSECURITY_SUBJECT_CONTEXT subject);
void SeReleaseSubjectContext(PSECURITY_SUBJECT_CONTEXT subject);
void SeLockSubjectContext(PSECURITY_SUBJECT_CONTEXT subject);
void SeUnlockSubjectContext(PSECURITY_SUBJECT_CONTEXT subject);
void SeFreePrivileges(PPRIVILEGE_SET privileges);
BOOLEAN SeSinglePrivilegeCheck(LUID privilege, KPROCESSOR_MODE mode);
BOOLEAN SeTokenIsAdmin(PACCESS_TOKEN token);
#define SeQuerySubjectContextToken(s) ((s)->ClientToken ? (s)->ClientToken : (s)->PrimaryToken)
LUID RtlConvertLongToLuid(LONG value);
ULONG RtlLengthSid(PSID sid);
ULONG RtlLengthRequiredSid(ULONG count);
BOOLEAN RtlValidSid(PSID sid);
BOOLEAN RtlEqualSid(PSID a, PSID b);
NTSTATUS RtlCopySid(ULONG size, PSID to, PSID from);
NTSTATUS RtlInitializeSid(PSID sid, SID_IDENTIFIER_AUTHORITY *authority, UCHAR count);
PULONG RtlSubAuthoritySid(PSID sid, ULONG index);
NTSTATUS RtlCreateSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, ULONG revision);
NTSTATUS RtlCreateAcl(PACL acl, ULONG size, ULONG revision);
NTSTATUS RtlAddAccessAllowedAce(PACL acl, ULONG revision, ACCESS_MASK access, PSID sid);
NTSTATUS RtlSetDaclSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, BOOLEAN present, PACL dacl, BOOLEAN defaulted);
NTSTATUS RtlSetOwnerSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, PSID owner, BOOLEAN defaulted);
NTSTATUS RtlSetGroupSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, PSID group, BOOLEAN defaulted);
BOOLEAN RtlValidSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor);
BOOLEAN RtlValidRelativeSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor, ULONG size, SECURITY_INFORMATION required);
BOOLEAN SeValidSecurityDescriptor(ULONG size, PSECURITY_DESCRIPTOR descriptor);
ULONG RtlLengthSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor);
NTSTATUS RtlAbsoluteToSelfRelativeSD(PSECURITY_DESCRIPTOR absolute, PSECURITY_DESCRIPTOR relative, PULONG size);
NTSTATUS SeQuerySecurityDescriptorInfo(PSECURITY_INFORMATION information, PSECURITY_DESCRIPTOR out, PULONG size,
				       PSECURITY_DESCRIPTOR *descriptor);
void RtlMapGenericMask(PACCESS_MASK mask, const GENERIC_MAPPING *mapping);

/* --- Generic tables -------------------------------------------------------------------------------------- */

typedef enum _RTL_GENERIC_COMPARE_RESULTS {
	GenericLessThan,
	GenericGreaterThan,
	GenericEqual
} RTL_GENERIC_COMPARE_RESULTS;
struct _RTL_AVL_TABLE;
typedef RTL_GENERIC_COMPARE_RESULTS RTL_AVL_COMPARE_ROUTINE(struct _RTL_AVL_TABLE *table, PVOID a, PVOID b);
typedef PVOID RTL_AVL_ALLOCATE_ROUTINE(struct _RTL_AVL_TABLE *table, CLONG size);
typedef void RTL_AVL_FREE_ROUTINE(struct _RTL_AVL_TABLE *table, PVOID memory);
typedef RTL_AVL_COMPARE_ROUTINE *PRTL_AVL_COMPARE_ROUTINE, *PRTL_GENERIC_COMPARE_ROUTINE;
typedef RTL_AVL_ALLOCATE_ROUTINE *PRTL_AVL_ALLOCATE_ROUTINE, *PRTL_GENERIC_ALLOCATE_ROUTINE;
typedef RTL_AVL_FREE_ROUTINE *PRTL_AVL_FREE_ROUTINE, *PRTL_GENERIC_FREE_ROUTINE;
typedef struct _RTL_AVL_TABLE {
	struct nt_table_node *first; /* in order */
	ULONG NumberGenericTableElements;
	PRTL_AVL_COMPARE_ROUTINE CompareRoutine;
	PRTL_AVL_ALLOCATE_ROUTINE AllocateRoutine;
	PRTL_AVL_FREE_ROUTINE FreeRoutine;
	PVOID TableContext;
} RTL_AVL_TABLE, *PRTL_AVL_TABLE, RTL_GENERIC_TABLE, *PRTL_GENERIC_TABLE;
void RtlInitializeGenericTableAvl(PRTL_AVL_TABLE table, PRTL_AVL_COMPARE_ROUTINE compare,
				  PRTL_AVL_ALLOCATE_ROUTINE allocate, PRTL_AVL_FREE_ROUTINE release, PVOID context);
PVOID RtlInsertElementGenericTableAvl(PRTL_AVL_TABLE table, PVOID element, CLONG size, PBOOLEAN added);
BOOLEAN RtlDeleteElementGenericTableAvl(PRTL_AVL_TABLE table, PVOID element);
PVOID RtlLookupElementGenericTableAvl(PRTL_AVL_TABLE table, PVOID element);
PVOID RtlGetElementGenericTableAvl(PRTL_AVL_TABLE table, ULONG index);
PVOID RtlEnumerateGenericTableWithoutSplayingAvl(PRTL_AVL_TABLE table, PVOID *restart);
BOOLEAN RtlIsGenericTableEmptyAvl(PRTL_AVL_TABLE table);
ULONG RtlNumberGenericTableElementsAvl(PRTL_AVL_TABLE table);
#define RtlInitializeGenericTable		RtlInitializeGenericTableAvl
#define RtlInsertElementGenericTable		RtlInsertElementGenericTableAvl
#define RtlDeleteElementGenericTable		RtlDeleteElementGenericTableAvl
#define RtlLookupElementGenericTable		RtlLookupElementGenericTableAvl
#define RtlGetElementGenericTable		RtlGetElementGenericTableAvl
#define RtlEnumerateGenericTableWithoutSplaying RtlEnumerateGenericTableWithoutSplayingAvl
#define RtlIsGenericTableEmpty			RtlIsGenericTableEmptyAvl
#define RtlNumberGenericTableElements		RtlNumberGenericTableElementsAvl

/* --- Registry -------------------------------------------------------------------------------------------- */

#define REG_SZ	  1u
#define REG_DWORD 4u
#define KEY_READ  0x20019u
typedef enum _KEY_VALUE_INFORMATION_CLASS {
	KeyValueBasicInformation,
	KeyValueFullInformation,
	KeyValuePartialInformation
} KEY_VALUE_INFORMATION_CLASS;
typedef struct _KEY_VALUE_PARTIAL_INFORMATION {
	ULONG TitleIndex;
	ULONG Type;
	ULONG DataLength;
	UCHAR Data[ANYSIZE_ARRAY];
} KEY_VALUE_PARTIAL_INFORMATION, *PKEY_VALUE_PARTIAL_INFORMATION;
NTSTATUS ZwOpenKey(PHANDLE handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes);
NTSTATUS ZwQueryValueKey(HANDLE handle, PUNICODE_STRING name, KEY_VALUE_INFORMATION_CLASS class, PVOID buffer,
			 ULONG size, PULONG needed);
NTSTATUS ZwClose(HANDLE handle);

#endif
