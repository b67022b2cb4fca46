/* SPDX-License-Identifier: MIT */
/* fsrtl.h - what file systems share: headers of FCBs, names, locks, oplocks, notification, the cache and sections. */
#ifndef NTKERNEL_FSRTL_H
#define NTKERNEL_FSRTL_H

/* --- FCB headers ----------------------------------------------------------------------------------------- */

typedef struct _FSRTL_COMMON_FCB_HEADER {
	CSHORT NodeTypeCode;
	CSHORT NodeByteSize;
	UCHAR Flags;
	UCHAR IsFastIoPossible;
	UCHAR Flags2;
	UCHAR Reserved : 4;
	UCHAR Version : 4;
	PERESOURCE Resource;
	PERESOURCE PagingIoResource;
	LARGE_INTEGER AllocationSize;
	LARGE_INTEGER FileSize;
	LARGE_INTEGER ValidDataLength;
} FSRTL_COMMON_FCB_HEADER, *PFSRTL_COMMON_FCB_HEADER;
typedef PVOID OPLOCK, *POPLOCK;
typedef struct _FSRTL_ADVANCED_FCB_HEADER {
	CSHORT NodeTypeCode;
	CSHORT NodeByteSize;
	UCHAR Flags;
	UCHAR IsFastIoPossible;
	UCHAR Flags2;
	UCHAR Reserved : 4;
	UCHAR Version : 4;
	PERESOURCE Resource;
	PERESOURCE PagingIoResource;
	LARGE_INTEGER AllocationSize;
	LARGE_INTEGER FileSize;
	LARGE_INTEGER ValidDataLength;
	PFAST_MUTEX FastMutex;
	LIST_ENTRY FilterContexts;
	EX_PUSH_LOCK PushLock;
	PVOID *FileContextSupportPointer;
	union {
		OPLOCK Oplock;
		PVOID ReservedForRemote;
	};
	PVOID ReservedContext;
} FSRTL_ADVANCED_FCB_HEADER, *PFSRTL_ADVANCED_FCB_HEADER;
#define FSRTL_FLAG_ADVANCED_HEADER	     0x40
#define FSRTL_FLAG_FILE_MODIFIED	     0x01
#define FSRTL_FLAG_FILE_LENGTH_CHANGED	     0x02
#define FSRTL_FLAG2_SUPPORTS_FILTER_CONTEXTS 0x02
#define FSRTL_FLAG2_IS_PAGING_FILE	     0x08
#define FSRTL_FCB_HEADER_V0		     0
#define FSRTL_FCB_HEADER_V1		     1
#define FSRTL_FCB_HEADER_V2		     2
enum _FAST_IO_POSSIBLE { FastIoIsNotPossible, FastIoIsPossible, FastIoIsQuestionable };
void FsRtlSetupAdvancedHeader(PVOID header, PFAST_MUTEX mutex);
void FsRtlSetupAdvancedHeaderEx(PVOID header, PFAST_MUTEX mutex, PVOID *context);
void FsRtlTeardownPerStreamContexts(PFSRTL_ADVANCED_FCB_HEADER header);
void FsRtlTeardownPerFileContexts(PVOID *context);
#define FsRtlEnterFileSystem() KeEnterCriticalRegion()
#define FsRtlExitFileSystem()  KeLeaveCriticalRegion()
BOOLEAN FsRtlIsNtstatusExpected(NTSTATUS status);
NTSTATUS FsRtlNormalizeNtstatus(NTSTATUS exception, NTSTATUS generic);

/* --- Names ----------------------------------------------------------------------------------------------- */

BOOLEAN FsRtlIsNameInExpression(PUNICODE_STRING expression, PUNICODE_STRING name, BOOLEAN caseless, PWCH upcase);
BOOLEAN FsRtlDoesNameContainWildCards(PUNICODE_STRING name);
BOOLEAN FsRtlAreNamesEqual(PCUNICODE_STRING a, PCUNICODE_STRING b, BOOLEAN caseless, PCWCH upcase);
void FsRtlDissectName(UNICODE_STRING path, PUNICODE_STRING first, PUNICODE_STRING rest);
#define DOS_STAR      ((WCHAR)'<')
#define DOS_QM	      ((WCHAR)'>')
#define DOS_DOT	      ((WCHAR)'"')
#define ANSI_DOS_STAR '<'
#define ANSI_DOS_QM   '>'
#define ANSI_DOS_DOT  '"'
BOOLEAN nt_is_wild(WCHAR c);
BOOLEAN nt_is_legal(WCHAR c, BOOLEAN wild);
#define FsRtlIsUnicodeCharacterWild(c)	    nt_is_wild(c)
#define FsRtlIsAnsiCharacterLegalNtfs(c, w) nt_is_legal((WCHAR)(c), (w))
#define FsRtlIsAnsiCharacterLegalFat(c, w)  nt_is_legal((WCHAR)(c), (w))

/* --- Byte-range locks ------------------------------------------------------------------------------------ */

typedef struct _FILE_LOCK_INFO {
	LARGE_INTEGER StartingByte;
	LARGE_INTEGER Length;
	BOOLEAN ExclusiveLock;
	ULONG Key;
	PFILE_OBJECT FileObject;
	PVOID ProcessId;
	LARGE_INTEGER EndingByte;
} FILE_LOCK_INFO, *PFILE_LOCK_INFO;
typedef NTSTATUS COMPLETE_LOCK_IRP_ROUTINE(PVOID context, PIRP irp);
typedef void UNLOCK_ROUTINE(PVOID context, PFILE_LOCK_INFO info);
typedef COMPLETE_LOCK_IRP_ROUTINE *PCOMPLETE_LOCK_IRP_ROUTINE;
typedef UNLOCK_ROUTINE *PUNLOCK_ROUTINE;
typedef struct _FILE_LOCK {
	PCOMPLETE_LOCK_IRP_ROUTINE CompleteLockIrpRoutine;
	PUNLOCK_ROUTINE UnlockRoutine;
	BOOLEAN FastIoIsQuestionable;
	LIST_ENTRY locks, waiters;
	ULONG magic;
} FILE_LOCK, *PFILE_LOCK;
void FsRtlInitializeFileLock(PFILE_LOCK lock, PCOMPLETE_LOCK_IRP_ROUTINE complete, PUNLOCK_ROUTINE unlock);
void FsRtlUninitializeFileLock(PFILE_LOCK lock);
PFILE_LOCK FsRtlAllocateFileLock(PCOMPLETE_LOCK_IRP_ROUTINE complete, PUNLOCK_ROUTINE unlock);
void FsRtlFreeFileLock(PFILE_LOCK lock);
NTSTATUS FsRtlProcessFileLock(PFILE_LOCK lock, PIRP irp, PVOID context);
BOOLEAN FsRtlCheckLockForReadAccess(PFILE_LOCK lock, PIRP irp);
BOOLEAN FsRtlCheckLockForWriteAccess(PFILE_LOCK lock, PIRP irp);
BOOLEAN FsRtlFastCheckLockForRead(PFILE_LOCK lock, PLARGE_INTEGER start, PLARGE_INTEGER length, ULONG key,
				  PFILE_OBJECT file, PVOID process);
BOOLEAN FsRtlFastCheckLockForWrite(PFILE_LOCK lock, PLARGE_INTEGER start, PLARGE_INTEGER length, ULONG key,
				   PFILE_OBJECT file, PVOID process);
NTSTATUS FsRtlFastUnlockAll(PFILE_LOCK lock, PFILE_OBJECT file, PEPROCESS process, PVOID context);
BOOLEAN FsRtlAreThereCurrentFileLocks(PFILE_LOCK lock);

/* --- Oplocks --------------------------------------------------------------------------------------------- */

typedef void OPLOCK_WAIT_COMPLETE_ROUTINE(PVOID context, PIRP irp);
typedef void OPLOCK_FS_PREPOST_IRP(PVOID context, PIRP irp);
typedef OPLOCK_WAIT_COMPLETE_ROUTINE *POPLOCK_WAIT_COMPLETE_ROUTINE;
typedef OPLOCK_FS_PREPOST_IRP *POPLOCK_FS_PREPOST_IRP;
#define OPLOCK_FLAG_COMPLETE_IF_OPLOCKED	   0x00000001u
#define OPLOCK_FLAG_OPLOCK_KEY_CHECK_ONLY	   0x00000002u
#define OPLOCK_FLAG_BACK_OUT_ATOMIC_OPLOCK	   0x00000004u
#define OPLOCK_FLAG_IGNORE_OPLOCK_KEYS		   0x00000008u
#define OPLOCK_FLAG_PARENT_OBJECT		   0x00000010u
#define OPLOCK_FLAG_CLOSING_DELETE_ON_CLOSE	   0x00000020u
#define OPLOCK_FLAG_REMOVING_FILE_OR_LINK	   0x00000040u
#define OPLOCK_FLAG_BREAKING_FOR_SHARING_VIOLATION 0x00000080u
#define OPLOCK_FSCTRL_FLAG_ALL_KEYS_MATCH	   0x00000001u
#define OPLOCK_UPPER_FLAG_CHECK_NO_BREAK	   0x00010000u
void FsRtlInitializeOplock(POPLOCK oplock);
void FsRtlUninitializeOplock(POPLOCK oplock);
NTSTATUS FsRtlOplockFsctrl(POPLOCK oplock, PIRP irp, ULONG open_count);
NTSTATUS FsRtlOplockFsctrlEx(POPLOCK oplock, PIRP irp, ULONG open_count, ULONG flags);
NTSTATUS FsRtlCheckOplock(POPLOCK oplock, PIRP irp, PVOID context, POPLOCK_WAIT_COMPLETE_ROUTINE done,
			  POPLOCK_FS_PREPOST_IRP post);
NTSTATUS FsRtlCheckOplockEx(POPLOCK oplock, PIRP irp, ULONG flags, PVOID context, POPLOCK_WAIT_COMPLETE_ROUTINE done,
			    POPLOCK_FS_PREPOST_IRP post);
NTSTATUS FsRtlOplockBreakToNone(POPLOCK oplock, PIO_STACK_LOCATION stack, PIRP irp, PVOID context,
				POPLOCK_WAIT_COMPLETE_ROUTINE done, POPLOCK_FS_PREPOST_IRP post);
NTSTATUS FsRtlOplockBreakToNoneEx(POPLOCK oplock, PIRP irp, ULONG flags, PVOID context,
				  POPLOCK_WAIT_COMPLETE_ROUTINE done, POPLOCK_FS_PREPOST_IRP post);
NTSTATUS FsRtlOplockBreakH(POPLOCK oplock, PIRP irp, ULONG flags, PVOID context, POPLOCK_WAIT_COMPLETE_ROUTINE done,
			   POPLOCK_FS_PREPOST_IRP post);
BOOLEAN FsRtlOplockIsFastIoPossible(POPLOCK oplock);
BOOLEAN FsRtlCurrentBatchOplock(POPLOCK oplock);
BOOLEAN FsRtlCurrentOplock(POPLOCK oplock);
BOOLEAN FsRtlCurrentOplockH(POPLOCK oplock);
BOOLEAN FsRtlOplockIsSharedRequest(PIRP irp);
BOOLEAN FsRtlOplockKeysEqual(PFILE_OBJECT a, PFILE_OBJECT b);

/* --- Change notification --------------------------------------------------------------------------------- */

typedef struct _REAL_NOTIFY_SYNC *PNOTIFY_SYNC;
typedef BOOLEAN CHECK_FOR_TRAVERSE_ACCESS(PVOID context, PVOID target, PSECURITY_SUBJECT_CONTEXT subject);
typedef BOOLEAN FILTER_REPORT_CHANGE(PVOID context, PVOID filter);
typedef CHECK_FOR_TRAVERSE_ACCESS *PCHECK_FOR_TRAVERSE_ACCESS;
typedef FILTER_REPORT_CHANGE *PFILTER_REPORT_CHANGE;
void FsRtlNotifyInitializeSync(PNOTIFY_SYNC *sync);
void FsRtlNotifyUninitializeSync(PNOTIFY_SYNC *sync);
void FsRtlNotifyFullChangeDirectory(PNOTIFY_SYNC sync, PLIST_ENTRY list, PVOID context, PSTRING name, BOOLEAN tree,
				    BOOLEAN ignore_buffer, ULONG filter, PIRP irp, PCHECK_FOR_TRAVERSE_ACCESS traverse,
				    PSECURITY_SUBJECT_CONTEXT subject);
void FsRtlNotifyFilterChangeDirectory(PNOTIFY_SYNC sync, PLIST_ENTRY list, PVOID context, PSTRING name, BOOLEAN tree,
				      BOOLEAN ignore_buffer, ULONG filter, PIRP irp,
				      PCHECK_FOR_TRAVERSE_ACCESS traverse, PSECURITY_SUBJECT_CONTEXT subject,
				      PFILTER_REPORT_CHANGE report);
void FsRtlNotifyFullReportChange(PNOTIFY_SYNC sync, PLIST_ENTRY list, PSTRING name, USHORT last, PSTRING stream,
				 PSTRING parent, ULONG filter, ULONG action, PVOID target);
void FsRtlNotifyFilterReportChange(PNOTIFY_SYNC sync, PLIST_ENTRY list, PSTRING name, USHORT last, PSTRING stream,
				   PSTRING parent, ULONG filter, ULONG action, PVOID target, PVOID filter_context);
void FsRtlNotifyCleanup(PNOTIFY_SYNC sync, PLIST_ENTRY list, PVOID context);
void FsRtlNotifyCleanupAll(PNOTIFY_SYNC sync, PLIST_ENTRY list);
#define FSRTL_VOLUME_DISMOUNT	     1u
#define FSRTL_VOLUME_DISMOUNT_FAILED 2u
#define FSRTL_VOLUME_LOCK	     3u
#define FSRTL_VOLUME_UNLOCK	     5u
#define FSRTL_VOLUME_MOUNT	     6u
NTSTATUS FsRtlNotifyVolumeEvent(PFILE_OBJECT file, ULONG event);

/* --- Fast I/O -------------------------------------------------------------------------------------------- */

struct _FILE_BASIC_INFORMATION;
struct _FILE_STANDARD_INFORMATION;
struct _FILE_NETWORK_OPEN_INFORMATION;
typedef BOOLEAN FAST_IO_CHECK_IF_POSSIBLE(PFILE_OBJECT file, PLARGE_INTEGER offset, ULONG length, BOOLEAN wait,
					  ULONG key, BOOLEAN read, PIO_STATUS_BLOCK status, PDEVICE_OBJECT device);
typedef BOOLEAN FAST_IO_READ(PFILE_OBJECT file, PLARGE_INTEGER offset, ULONG length, BOOLEAN wait, ULONG key,
			     PVOID buffer, PIO_STATUS_BLOCK status, PDEVICE_OBJECT device);
typedef void FAST_IO_ACQUIRE_FILE(PFILE_OBJECT file);
typedef void FAST_IO_RELEASE_FILE(PFILE_OBJECT file);
typedef NTSTATUS FAST_IO_ACQUIRE_FOR_MOD_WRITE(PFILE_OBJECT file, PLARGE_INTEGER end, PERESOURCE *resource,
					       PDEVICE_OBJECT device);
typedef NTSTATUS FAST_IO_RELEASE_FOR_MOD_WRITE(PFILE_OBJECT file, PERESOURCE resource, PDEVICE_OBJECT device);
typedef NTSTATUS FAST_IO_ACQUIRE_FOR_CCFLUSH(PFILE_OBJECT file, PDEVICE_OBJECT device);
typedef NTSTATUS FAST_IO_RELEASE_FOR_CCFLUSH(PFILE_OBJECT file, PDEVICE_OBJECT device);
typedef struct _FAST_IO_DISPATCH {
	ULONG SizeOfFastIoDispatch;
	FAST_IO_CHECK_IF_POSSIBLE *FastIoCheckIfPossible;
	FAST_IO_READ *FastIoRead;
	FAST_IO_READ *FastIoWrite;
	PVOID FastIoQueryBasicInfo;
	PVOID FastIoQueryStandardInfo;
	PVOID FastIoLock;
	PVOID FastIoUnlockSingle;
	PVOID FastIoUnlockAll;
	PVOID FastIoUnlockAllByKey;
	PVOID FastIoDeviceControl;
	FAST_IO_ACQUIRE_FILE *AcquireFileForNtCreateSection;
	FAST_IO_RELEASE_FILE *ReleaseFileForNtCreateSection;
	PVOID FastIoDetachDevice;
	PVOID FastIoQueryNetworkOpenInfo;
	FAST_IO_ACQUIRE_FOR_MOD_WRITE *AcquireForModWrite;
	PVOID MdlRead;
	PVOID MdlReadComplete;
	PVOID PrepareMdlWrite;
	PVOID MdlWriteComplete;
	PVOID FastIoReadCompressed;
	PVOID FastIoWriteCompressed;
	PVOID MdlReadCompleteCompressed;
	PVOID MdlWriteCompleteCompressed;
	PVOID FastIoQueryOpen;
	FAST_IO_RELEASE_FOR_MOD_WRITE *ReleaseForModWrite;
	FAST_IO_ACQUIRE_FOR_CCFLUSH *AcquireForCcFlush;
	FAST_IO_RELEASE_FOR_CCFLUSH *ReleaseForCcFlush;
} FAST_IO_DISPATCH, *PFAST_IO_DISPATCH;

typedef union _FS_FILTER_PARAMETERS {
	struct {
		PLARGE_INTEGER EndingOffset;
		PERESOURCE *ResourceToRelease;
	} AcquireForModifiedPageWriter;
	struct {
		PERESOURCE ResourceToRelease;
	} ReleaseForModifiedPageWriter;
	struct {
		ULONG SyncType; /* FS_FILTER_SECTION_SYNC_TYPE */
		ULONG PageProtection;
		PVOID OutputInformation;
		ULONG Flags;
		ULONG AllocationAttributes;
	} AcquireForSectionSynchronization;
	struct {
		PVOID Argument1, Argument2, Argument3, Argument4, Argument5;
	} Others;
} FS_FILTER_PARAMETERS, *PFS_FILTER_PARAMETERS;
#define SyncTypeOther	      0u
#define SyncTypeCreateSection 1u
typedef struct _FS_FILTER_CALLBACK_DATA {
	ULONG SizeOfFsFilterCallbackData;
	UCHAR Operation;
	UCHAR Reserved;
	PDEVICE_OBJECT DeviceObject;
	PFILE_OBJECT FileObject;
	FS_FILTER_PARAMETERS Parameters;
} FS_FILTER_CALLBACK_DATA, *PFS_FILTER_CALLBACK_DATA;
#define FS_FILTER_ACQUIRE_FOR_SECTION_SYNCHRONIZATION ((UCHAR)-1)
#define FS_FILTER_RELEASE_FOR_SECTION_SYNCHRONIZATION ((UCHAR)-2)
#define FS_FILTER_ACQUIRE_FOR_MOD_WRITE		      ((UCHAR)-3)
#define FS_FILTER_RELEASE_FOR_MOD_WRITE		      ((UCHAR)-4)
#define FS_FILTER_ACQUIRE_FOR_CC_FLUSH		      ((UCHAR)-5)
#define FS_FILTER_RELEASE_FOR_CC_FLUSH		      ((UCHAR)-6)
typedef NTSTATUS FS_FILTER_CALLBACK(PFS_FILTER_CALLBACK_DATA data, PVOID *context);
typedef void FS_FILTER_COMPLETION_CALLBACK(PFS_FILTER_CALLBACK_DATA data, NTSTATUS status, PVOID context);
typedef FS_FILTER_CALLBACK *PFS_FILTER_CALLBACK;
typedef FS_FILTER_COMPLETION_CALLBACK *PFS_FILTER_COMPLETION_CALLBACK;
typedef struct _FS_FILTER_CALLBACKS {
	ULONG SizeOfFsFilterCallbacks;
	ULONG Reserved;
	PFS_FILTER_CALLBACK PreAcquireForSectionSynchronization;
	PFS_FILTER_COMPLETION_CALLBACK PostAcquireForSectionSynchronization;
	PFS_FILTER_CALLBACK PreReleaseForSectionSynchronization;
	PFS_FILTER_COMPLETION_CALLBACK PostReleaseForSectionSynchronization;
	PFS_FILTER_CALLBACK PreAcquireForCcFlush;
	PFS_FILTER_COMPLETION_CALLBACK PostAcquireForCcFlush;
	PFS_FILTER_CALLBACK PreReleaseForCcFlush;
	PFS_FILTER_COMPLETION_CALLBACK PostReleaseForCcFlush;
	PFS_FILTER_CALLBACK PreAcquireForModifiedPageWriter;
	PFS_FILTER_COMPLETION_CALLBACK PostAcquireForModifiedPageWriter;
	PFS_FILTER_CALLBACK PreReleaseForModifiedPageWriter;
	PFS_FILTER_COMPLETION_CALLBACK PostReleaseForModifiedPageWriter;
} FS_FILTER_CALLBACKS, *PFS_FILTER_CALLBACKS;
NTSTATUS FsRtlRegisterFileSystemFilterCallbacks(PDRIVER_OBJECT driver, PFS_FILTER_CALLBACKS callbacks);
NTSTATUS FsRtlRegisterUncProvider(PHANDLE handle, PUNICODE_STRING name, BOOLEAN mailslots);
void FsRtlDeregisterUncProvider(HANDLE handle);

/* --- Cache and sections ---------------------------------------------------------------------------------- */

typedef struct _CC_FILE_SIZES {
	LARGE_INTEGER AllocationSize;
	LARGE_INTEGER FileSize;
	LARGE_INTEGER ValidDataLength;
} CC_FILE_SIZES, *PCC_FILE_SIZES;
typedef enum _MMFLUSH_TYPE { MmFlushForDelete, MmFlushForWrite } MMFLUSH_TYPE;
void CcFlushCache(PSECTION_OBJECT_POINTERS section, PLARGE_INTEGER offset, ULONG length, PIO_STATUS_BLOCK status);
BOOLEAN CcPurgeCacheSection(PSECTION_OBJECT_POINTERS section, PLARGE_INTEGER offset, ULONG length, ULONG flags);
void CcSetFileSizes(PFILE_OBJECT file, PCC_FILE_SIZES sizes);
BOOLEAN CcUninitializeCacheMap(PFILE_OBJECT file, PLARGE_INTEGER size, PVOID event);
#define CcIsFileCached(f) ((f)->SectionObjectPointer != NULL && (f)->SectionObjectPointer->SharedCacheMap != NULL)
void CcCoherencyFlushAndPurgeCache(PSECTION_OBJECT_POINTERS section, PLARGE_INTEGER offset, ULONG length,
				   PIO_STATUS_BLOCK status, ULONG flags);
#define CC_FLUSH_AND_PURGE_NO_PURGE 1u
BOOLEAN MmFlushImageSection(PSECTION_OBJECT_POINTERS section, MMFLUSH_TYPE type);
BOOLEAN MmCanFileBeTruncated(PSECTION_OBJECT_POINTERS section, PLARGE_INTEGER size);
BOOLEAN MmForceSectionClosed(PSECTION_OBJECT_POINTERS section, BOOLEAN delay);
BOOLEAN MmDoesFileHaveUserWritableReferences(PSECTION_OBJECT_POINTERS section);

#endif
