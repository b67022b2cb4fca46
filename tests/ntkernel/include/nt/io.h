/* SPDX-License-Identifier: MIT */
/* io.h - drivers, devices, file objects, IRPs, MDLs, cancel-safe queues, remove locks. */
#ifndef NTKERNEL_IO_H
#define NTKERNEL_IO_H

/* --- Major and minor functions --------------------------------------------------------------------------- */

#define IRP_MJ_CREATE			0x00
#define IRP_MJ_CREATE_NAMED_PIPE	0x01
#define IRP_MJ_CLOSE			0x02
#define IRP_MJ_READ			0x03
#define IRP_MJ_WRITE			0x04
#define IRP_MJ_QUERY_INFORMATION	0x05
#define IRP_MJ_SET_INFORMATION		0x06
#define IRP_MJ_QUERY_EA			0x07
#define IRP_MJ_SET_EA			0x08
#define IRP_MJ_FLUSH_BUFFERS		0x09
#define IRP_MJ_QUERY_VOLUME_INFORMATION 0x0a
#define IRP_MJ_SET_VOLUME_INFORMATION	0x0b
#define IRP_MJ_DIRECTORY_CONTROL	0x0c
#define IRP_MJ_FILE_SYSTEM_CONTROL	0x0d
#define IRP_MJ_DEVICE_CONTROL		0x0e
#define IRP_MJ_INTERNAL_DEVICE_CONTROL	0x0f
#define IRP_MJ_SCSI			0x0f
#define IRP_MJ_SHUTDOWN			0x10
#define IRP_MJ_LOCK_CONTROL		0x11
#define IRP_MJ_CLEANUP			0x12
#define IRP_MJ_CREATE_MAILSLOT		0x13
#define IRP_MJ_QUERY_SECURITY		0x14
#define IRP_MJ_SET_SECURITY		0x15
#define IRP_MJ_POWER			0x16
#define IRP_MJ_SYSTEM_CONTROL		0x17
#define IRP_MJ_DEVICE_CHANGE		0x18
#define IRP_MJ_QUERY_QUOTA		0x19
#define IRP_MJ_SET_QUOTA		0x1a
#define IRP_MJ_PNP			0x1b
#define IRP_MJ_MAXIMUM_FUNCTION		0x1b

#define IRP_MN_NORMAL			  0x00
#define IRP_MN_QUERY_DIRECTORY		  0x01
#define IRP_MN_NOTIFY_CHANGE_DIRECTORY	  0x02
#define IRP_MN_NOTIFY_CHANGE_DIRECTORY_EX 0x03
#define IRP_MN_USER_FS_REQUEST		  0x00
#define IRP_MN_MOUNT_VOLUME		  0x01
#define IRP_MN_VERIFY_VOLUME		  0x02
#define IRP_MN_LOAD_FILE_SYSTEM		  0x03
#define IRP_MN_KERNEL_CALL		  0x04
#define IRP_MN_LOCK			  0x01
#define IRP_MN_UNLOCK_SINGLE		  0x02
#define IRP_MN_UNLOCK_ALL		  0x03
#define IRP_MN_UNLOCK_ALL_BY_KEY	  0x04
#define IRP_MN_FLUSH_AND_PURGE		  0x01
#define IRP_MN_DPC			  0x01
#define IRP_MN_MDL			  0x02
#define IRP_MN_COMPLETE			  0x04
#define IRP_MN_COMPRESSED		  0x08
#define IRP_MN_MDL_DPC			  (IRP_MN_MDL | IRP_MN_DPC)
#define IRP_MN_COMPLETE_MDL		  (IRP_MN_COMPLETE | IRP_MN_MDL)
#define IRP_MN_START_DEVICE		  0x00
#define IRP_MN_QUERY_REMOVE_DEVICE	  0x01
#define IRP_MN_REMOVE_DEVICE		  0x02
#define IRP_MN_CANCEL_REMOVE_DEVICE	  0x03
#define IRP_MN_STOP_DEVICE		  0x04
#define IRP_MN_QUERY_STOP_DEVICE	  0x05
#define IRP_MN_CANCEL_STOP_DEVICE	  0x06
#define IRP_MN_QUERY_DEVICE_RELATIONS	  0x07
#define IRP_MN_QUERY_INTERFACE		  0x08
#define IRP_MN_QUERY_CAPABILITIES	  0x09
#define IRP_MN_QUERY_ID			  0x13
#define IRP_MN_SURPRISE_REMOVAL		  0x17

#define SL_FORCE_ACCESS_CHECK	       0x01
#define SL_OPEN_PAGING_FILE	       0x02
#define SL_OPEN_TARGET_DIRECTORY       0x04
#define SL_STOP_ON_SYMLINK	       0x08
#define SL_CASE_SENSITIVE	       0x80
#define SL_KEY_SPECIFIED	       0x01
#define SL_OVERRIDE_VERIFY_VOLUME      0x02
#define SL_WRITE_THROUGH	       0x04
#define SL_FAIL_IMMEDIATELY	       0x01
#define SL_EXCLUSIVE_LOCK	       0x02
#define SL_RESTART_SCAN		       0x01
#define SL_RETURN_SINGLE_ENTRY	       0x02
#define SL_INDEX_SPECIFIED	       0x04
#define SL_RETURN_ON_DISK_ENTRIES_ONLY 0x08
#define SL_NO_CURSOR_UPDATE	       0x10
#define SL_WATCH_TREE		       0x01
#define SL_PENDING_RETURNED	       0x01
#define SL_ERROR_RETURNED	       0x02
#define SL_INVOKE_ON_CANCEL	       0x20
#define SL_INVOKE_ON_SUCCESS	       0x40
#define SL_INVOKE_ON_ERROR	       0x80

#define IRP_NOCACHE		  0x00000001u
#define IRP_PAGING_IO		  0x00000002u
#define IRP_MOUNT_COMPLETION	  0x00000002u
#define IRP_SYNCHRONOUS_API	  0x00000004u
#define IRP_ASSOCIATED_IRP	  0x00000008u
#define IRP_BUFFERED_IO		  0x00000010u
#define IRP_DEALLOCATE_BUFFER	  0x00000020u
#define IRP_INPUT_OPERATION	  0x00000040u
#define IRP_SYNCHRONOUS_PAGING_IO 0x00000040u
#define IRP_CREATE_OPERATION	  0x00000080u
#define IRP_READ_OPERATION	  0x00000100u
#define IRP_WRITE_OPERATION	  0x00000200u
#define IRP_CLOSE_OPERATION	  0x00000400u
#define IRP_DEFER_IO_COMPLETION	  0x00000800u

/* --- Structs --------------------------------------------------------------------------------------------- */

typedef ULONG DEVICE_TYPE;
struct _DEVICE_OBJECT;
struct _DRIVER_OBJECT;
struct _FILE_OBJECT;
struct _IRP;
struct _IO_WORKITEM;
typedef struct _DEVICE_OBJECT *PDEVICE_OBJECT;
typedef struct _DRIVER_OBJECT *PDRIVER_OBJECT;
typedef struct _FILE_OBJECT *PFILE_OBJECT;
typedef struct _IRP *PIRP;

typedef NTSTATUS DRIVER_INITIALIZE(PDRIVER_OBJECT driver, PUNICODE_STRING registry);
typedef NTSTATUS DRIVER_DISPATCH(PDEVICE_OBJECT device, PIRP irp);
typedef void DRIVER_UNLOAD(PDRIVER_OBJECT driver);
typedef void DRIVER_CANCEL(PDEVICE_OBJECT device, PIRP irp);
typedef NTSTATUS IO_COMPLETION_ROUTINE(PDEVICE_OBJECT device, PIRP irp, PVOID context);
typedef void IO_WORKITEM_ROUTINE(PDEVICE_OBJECT device, PVOID context);
typedef DRIVER_INITIALIZE *PDRIVER_INITIALIZE;
typedef DRIVER_DISPATCH *PDRIVER_DISPATCH;
typedef DRIVER_UNLOAD *PDRIVER_UNLOAD;
typedef DRIVER_CANCEL *PDRIVER_CANCEL;
typedef IO_COMPLETION_ROUTINE *PIO_COMPLETION_ROUTINE;
typedef IO_WORKITEM_ROUTINE *PIO_WORKITEM_ROUTINE;
typedef void IO_WORKITEM_ROUTINE_EX(PVOID object, PVOID context, struct _IO_WORKITEM *item);
typedef IO_WORKITEM_ROUTINE_EX *PIO_WORKITEM_ROUTINE_EX;

typedef struct _MDL {
	struct _MDL *Next;
	CSHORT Size;
	CSHORT MdlFlags;
	PVOID Process;
	PVOID MappedSystemVa;
	PVOID StartVa;
	ULONG ByteCount;
	ULONG ByteOffset;
	ULONG magic;
	PVOID locked; /* kernel's view while the pages are locked */
} MDL, *PMDL;
#define MDL_MAPPED_TO_SYSTEM_VA	    0x0001
#define MDL_PAGES_LOCKED	    0x0002
#define MDL_SOURCE_IS_NONPAGED_POOL 0x0004
#define MDL_PARTIAL		    0x0010

typedef struct _VPB {
	CSHORT Type;
	CSHORT Size;
	USHORT Flags;
	USHORT VolumeLabelLength;
	PDEVICE_OBJECT DeviceObject;
	PDEVICE_OBJECT RealDevice;
	ULONG SerialNumber;
	ULONG ReferenceCount;
	WCHAR VolumeLabel[32];
} VPB, *PVPB;
#define MAXIMUM_VOLUME_LABEL_LENGTH (32 * sizeof(WCHAR))
#define VPB_MOUNTED		    0x0001
#define VPB_LOCKED		    0x0002
#define VPB_PERSISTENT		    0x0004
#define VPB_REMOVE_PENDING	    0x0008
#define VPB_RAW_MOUNT		    0x0010

typedef struct _DEVICE_OBJECT {
	CSHORT Type;
	USHORT Size;
	LONG ReferenceCount;
	PDRIVER_OBJECT DriverObject;
	PDEVICE_OBJECT NextDevice;
	PDEVICE_OBJECT AttachedDevice;
	PIRP CurrentIrp;
	ULONG Flags;
	ULONG Characteristics;
	PVPB Vpb;
	PVOID DeviceExtension;
	ULONG DeviceType;
	CCHAR StackSize;
	ULONG AlignmentRequirement;
	PSECURITY_DESCRIPTOR SecurityDescriptor;
	USHORT SectorSize;
	struct nt_device *nt; /* what is this kernel's own */
} DEVICE_OBJECT;
#define DO_BUFFERED_IO				 0x00000004u
#define DO_EXCLUSIVE				 0x00000008u
#define DO_DIRECT_IO				 0x00000010u
#define DO_DEVICE_INITIALIZING			 0x00000080u
#define DO_SHUTDOWN_REGISTERED			 0x00000800u
#define DO_BUS_ENUMERATED_DEVICE		 0x00001000u
#define DO_POWER_PAGABLE			 0x00002000u
#define DO_SYSTEM_BOOT_PARTITION		 0x00000100u
#define DO_NEVER_LAST_DEVICE			 0x00000400u
#define DO_DEVICE_HAS_NAME			 0x00000040u
#define DO_LOW_PRIORITY_FILESYSTEM		 0x00010000u
#define FILE_REMOVABLE_MEDIA			 0x00000001u
#define FILE_READ_ONLY_DEVICE			 0x00000002u
#define FILE_FLOPPY_DISKETTE			 0x00000004u
#define FILE_REMOTE_DEVICE			 0x00000010u
#define FILE_DEVICE_IS_MOUNTED			 0x00000020u
#define FILE_VIRTUAL_VOLUME			 0x00000040u
#define FILE_DEVICE_SECURE_OPEN			 0x00000100u
#define FILE_DEVICE_ALLOW_APPCONTAINER_TRAVERSAL 0x00020000u
#define FILE_DEVICE_CD_ROM			 0x00000002u
#define FILE_DEVICE_CD_ROM_FILE_SYSTEM		 0x00000003u
#define FILE_DEVICE_DISK			 0x00000007u
#define FILE_DEVICE_DISK_FILE_SYSTEM		 0x00000008u
#define FILE_DEVICE_FILE_SYSTEM			 0x00000009u
#define FILE_DEVICE_NAMED_PIPE			 0x00000011u
#define FILE_DEVICE_NETWORK			 0x00000012u
#define FILE_DEVICE_NETWORK_FILE_SYSTEM		 0x00000014u
#define FILE_DEVICE_UNKNOWN			 0x00000022u
#define FILE_DEVICE_VIRTUAL_DISK		 0x00000024u
#define FILE_DEVICE_MASS_STORAGE		 0x0000002du

struct _FAST_IO_DISPATCH;
typedef struct _DRIVER_EXTENSION {
	PDRIVER_OBJECT DriverObject;
	PVOID AddDevice;
	ULONG Count;
	UNICODE_STRING ServiceKeyName;
} DRIVER_EXTENSION, *PDRIVER_EXTENSION;
typedef struct _DRIVER_OBJECT {
	CSHORT Type;
	CSHORT Size;
	PDEVICE_OBJECT DeviceObject;
	ULONG Flags;
	PVOID DriverStart;
	ULONG DriverSize;
	PVOID DriverSection;
	PDRIVER_EXTENSION DriverExtension;
	UNICODE_STRING DriverName;
	PUNICODE_STRING HardwareDatabase;
	struct _FAST_IO_DISPATCH *FastIoDispatch;
	PDRIVER_INITIALIZE DriverInit;
	PVOID DriverStartIo;
	PDRIVER_UNLOAD DriverUnload;
	PDRIVER_DISPATCH MajorFunction[IRP_MJ_MAXIMUM_FUNCTION + 1];
} DRIVER_OBJECT;

typedef struct _SECTION_OBJECT_POINTERS {
	PVOID DataSectionObject;
	PVOID SharedCacheMap;
	PVOID ImageSectionObject;
} SECTION_OBJECT_POINTERS, *PSECTION_OBJECT_POINTERS;

typedef struct _FILE_OBJECT {
	CSHORT Type;
	CSHORT Size;
	PDEVICE_OBJECT DeviceObject;
	PVPB Vpb;
	PVOID FsContext;
	PVOID FsContext2;
	PSECTION_OBJECT_POINTERS SectionObjectPointer;
	PVOID PrivateCacheMap;
	NTSTATUS FinalStatus;
	struct _FILE_OBJECT *RelatedFileObject;
	BOOLEAN LockOperation;
	BOOLEAN DeletePending;
	BOOLEAN ReadAccess;
	BOOLEAN WriteAccess;
	BOOLEAN DeleteAccess;
	BOOLEAN SharedRead;
	BOOLEAN SharedWrite;
	BOOLEAN SharedDelete;
	ULONG Flags;
	UNICODE_STRING FileName;
	LARGE_INTEGER CurrentByteOffset;
	ULONG Waiters;
	ULONG Busy;
	PVOID LastLock;
	KEVENT Lock;
	KEVENT Event;
	PVOID CompletionContext;
	KSPIN_LOCK IrpListLock;
	LIST_ENTRY IrpList;
	PVOID FileObjectExtension;
	struct nt_file *nt;
} FILE_OBJECT;
#define FO_FILE_OPEN		     0x00000001u
#define FO_SYNCHRONOUS_IO	     0x00000002u
#define FO_ALERTABLE_IO		     0x00000004u
#define FO_NO_INTERMEDIATE_BUFFERING 0x00000008u
#define FO_WRITE_THROUGH	     0x00000010u
#define FO_SEQUENTIAL_ONLY	     0x00000020u
#define FO_CACHE_SUPPORTED	     0x00000040u
#define FO_NAMED_PIPE		     0x00000080u
#define FO_STREAM_FILE		     0x00000100u
#define FO_GENERATE_AUDIT_ON_CLOSE   0x00000400u
#define FO_DIRECT_DEVICE_OPEN	     0x00000800u
#define FO_FILE_MODIFIED	     0x00001000u
#define FO_FILE_SIZE_CHANGED	     0x00002000u
#define FO_CLEANUP_COMPLETE	     0x00004000u
#define FO_TEMPORARY_FILE	     0x00008000u
#define FO_DELETE_ON_CLOSE	     0x00010000u
#define FO_OPENED_CASE_SENSITIVE     0x00020000u
#define FO_HANDLE_CREATED	     0x00040000u
#define FO_FILE_FAST_IO_READ	     0x00080000u
#define FO_RANDOM_ACCESS	     0x00100000u
#define FO_FILE_OPEN_CANCELLED	     0x00200000u
#define FO_VOLUME_OPEN		     0x00400000u
#define FO_REMOTE_ORIGIN	     0x01000000u

typedef struct _IO_SECURITY_CONTEXT {
	PVOID SecurityQos;
	PACCESS_STATE AccessState;
	ACCESS_MASK DesiredAccess;
	ULONG FullCreateOptions;
} IO_SECURITY_CONTEXT, *PIO_SECURITY_CONTEXT;

typedef struct _IO_STACK_LOCATION {
	UCHAR MajorFunction;
	UCHAR MinorFunction;
	UCHAR Flags;
	UCHAR Control;
	union {
		struct {
			PIO_SECURITY_CONTEXT SecurityContext;
			ULONG Options;
			DECLSPEC_ALIGN(8) USHORT FileAttributes;
			USHORT ShareAccess;
			DECLSPEC_ALIGN(8) ULONG EaLength;
		} Create;
		struct {
			ULONG Length;
			DECLSPEC_ALIGN(8) ULONG Key;
			LARGE_INTEGER ByteOffset;
		} Read, Write;
		struct {
			ULONG Length;
			PUNICODE_STRING FileName;
			ULONG FileInformationClass;
			DECLSPEC_ALIGN(8) ULONG FileIndex;
		} QueryDirectory;
		struct {
			ULONG Length;
			DECLSPEC_ALIGN(8) ULONG CompletionFilter;
		} NotifyDirectory;
		struct {
			ULONG Length;
			DECLSPEC_ALIGN(8) ULONG CompletionFilter;
			DECLSPEC_ALIGN(8) ULONG DirectoryNotifyInformationClass;
		} NotifyDirectoryEx;
		struct {
			ULONG Length;
			DECLSPEC_ALIGN(8) ULONG FileInformationClass;
		} QueryFile;
		struct {
			ULONG Length;
			DECLSPEC_ALIGN(8) ULONG FileInformationClass;
			PFILE_OBJECT FileObject;
			union {
				struct {
					BOOLEAN ReplaceIfExists;
					BOOLEAN AdvanceOnly;
				};
				ULONG ClusterCount;
				HANDLE DeleteHandle;
			};
		} SetFile;
		struct {
			ULONG Length;
			PVOID EaList;
			ULONG EaListLength;
			DECLSPEC_ALIGN(8) ULONG EaIndex;
		} QueryEa;
		struct {
			ULONG Length;
		} SetEa;
		struct {
			ULONG Length;
			DECLSPEC_ALIGN(8) ULONG FsInformationClass;
		} QueryVolume, SetVolume;
		struct {
			ULONG OutputBufferLength;
			DECLSPEC_ALIGN(8) ULONG InputBufferLength;
			DECLSPEC_ALIGN(8) ULONG FsControlCode;
			PVOID Type3InputBuffer;
		} FileSystemControl;
		struct {
			PLARGE_INTEGER Length;
			DECLSPEC_ALIGN(8) ULONG Key;
			LARGE_INTEGER ByteOffset;
		} LockControl;
		struct {
			ULONG OutputBufferLength;
			DECLSPEC_ALIGN(8) ULONG InputBufferLength;
			DECLSPEC_ALIGN(8) ULONG IoControlCode;
			PVOID Type3InputBuffer;
		} DeviceIoControl;
		struct {
			SECURITY_INFORMATION SecurityInformation;
			DECLSPEC_ALIGN(8) ULONG Length;
		} QuerySecurity;
		struct {
			SECURITY_INFORMATION SecurityInformation;
			PSECURITY_DESCRIPTOR SecurityDescriptor;
		} SetSecurity;
		struct {
			PVPB Vpb;
			PDEVICE_OBJECT DeviceObject;
		} MountVolume, VerifyVolume;
		struct {
			ULONG Type;
		} QueryDeviceRelations;
		struct {
			PVOID Argument1, Argument2, Argument3, Argument4;
		} Others;
	} Parameters;
	PDEVICE_OBJECT DeviceObject;
	PFILE_OBJECT FileObject;
	PIO_COMPLETION_ROUTINE CompletionRoutine;
	PVOID Context;
} IO_STACK_LOCATION, *PIO_STACK_LOCATION;

typedef struct _IRP {
	CSHORT Type;
	USHORT Size;
	PMDL MdlAddress;
	ULONG Flags;
	union {
		struct _IRP *MasterIrp;
		LONG IrpCount;
		PVOID SystemBuffer;
	} AssociatedIrp;
	LIST_ENTRY ThreadListEntry;
	IO_STATUS_BLOCK IoStatus;
	KPROCESSOR_MODE RequestorMode;
	BOOLEAN PendingReturned;
	CHAR StackCount;
	CHAR CurrentLocation;
	BOOLEAN Cancel;
	KIRQL CancelIrql;
	CCHAR ApcEnvironment;
	UCHAR AllocationFlags;
	PIO_STATUS_BLOCK UserIosb;
	PKEVENT UserEvent;
	union {
		struct {
			PVOID UserApcRoutine;
			PVOID UserApcContext;
		} AsynchronousParameters;
		LARGE_INTEGER AllocationSize;
	} Overlay;
	PDRIVER_CANCEL CancelRoutine;
	PVOID UserBuffer;
	union {
		struct {
			PVOID DriverContext[4];
			PETHREAD Thread;
			PCHAR AuxiliaryBuffer;
			LIST_ENTRY ListEntry;
			PIO_STACK_LOCATION CurrentStackLocation;
			PFILE_OBJECT OriginalFileObject;
		} Overlay;
		PVOID CompletionKey;
	} Tail;
	struct nt_irp *nt;
} IRP;

#define FILE_WRITE_TO_END_OF_FILE      0xffffffffu
#define FILE_USE_FILE_POINTER_POSITION 0xfffffffeu

typedef struct _SHARE_ACCESS {
	ULONG OpenCount;
	ULONG Readers;
	ULONG Writers;
	ULONG Deleters;
	ULONG SharedRead;
	ULONG SharedWrite;
	ULONG SharedDelete;
} SHARE_ACCESS, *PSHARE_ACCESS;

/* --- Devices and names ----------------------------------------------------------------------------------- */

NTSTATUS IoCreateDevice(PDRIVER_OBJECT driver, ULONG extension, PUNICODE_STRING name, ULONG type, ULONG characteristics,
			BOOLEAN exclusive, PDEVICE_OBJECT *device);
NTSTATUS IoCreateDeviceSecure(PDRIVER_OBJECT driver, ULONG extension, PUNICODE_STRING name, ULONG type,
			      ULONG characteristics, BOOLEAN exclusive, PCUNICODE_STRING sddl, LPCGUID class,
			      PDEVICE_OBJECT *device);
void IoDeleteDevice(PDEVICE_OBJECT device);
NTSTATUS IoCreateSymbolicLink(PUNICODE_STRING link, PUNICODE_STRING target);
NTSTATUS IoCreateUnprotectedSymbolicLink(PUNICODE_STRING link, PUNICODE_STRING target);
NTSTATUS IoDeleteSymbolicLink(PUNICODE_STRING link);
NTSTATUS ZwOpenSymbolicLinkObject(PHANDLE handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes);
NTSTATUS ZwQuerySymbolicLinkObject(HANDLE handle, PUNICODE_STRING target, PULONG length);
#define SYMBOLIC_LINK_QUERY 0x0001u
NTSTATUS ZwCreateFile(PHANDLE handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes, PIO_STATUS_BLOCK status,
		      PLARGE_INTEGER allocation, ULONG file_attributes, ULONG share, ULONG disposition, ULONG options,
		      PVOID ea, ULONG ea_length);
NTSTATUS ZwDeviceIoControlFile(HANDLE handle, HANDLE event, PVOID apc, PVOID apc_context, PIO_STATUS_BLOCK status,
			       ULONG code, PVOID in, ULONG in_length, PVOID out, ULONG out_length);
NTSTATUS IoGetDeviceObjectPointer(PUNICODE_STRING name, ACCESS_MASK access, PFILE_OBJECT *file, PDEVICE_OBJECT *device);
PDEVICE_OBJECT IoGetRelatedDeviceObject(PFILE_OBJECT file);
PDEVICE_OBJECT IoGetAttachedDeviceReference(PDEVICE_OBJECT device);
NTSTATUS IoRegisterShutdownNotification(PDEVICE_OBJECT device);
NTSTATUS IoRegisterLastChanceShutdownNotification(PDEVICE_OBJECT device);
void IoUnregisterShutdownNotification(PDEVICE_OBJECT device);
void IoRegisterFileSystem(PDEVICE_OBJECT device);
void IoUnregisterFileSystem(PDEVICE_OBJECT device);
void IoAcquireVpbSpinLock(PKIRQL irql);
void IoReleaseVpbSpinLock(KIRQL irql);
BOOLEAN IoIsOperationSynchronous(PIRP irp);
PIRP IoGetTopLevelIrp(void);
void IoSetTopLevelIrp(PIRP irp);
#define FSRTL_FSP_TOP_LEVEL_IRP	      ((LONG_PTR)0x01)
#define FSRTL_CACHE_TOP_LEVEL_IRP     ((LONG_PTR)0x02)
#define FSRTL_MOD_WRITE_TOP_LEVEL_IRP ((LONG_PTR)0x03)
#define FSRTL_FAST_IO_TOP_LEVEL_IRP   ((LONG_PTR)0x04)
#define FSRTL_MAX_TOP_LEVEL_IRP_FLAG  ((LONG_PTR)0xFFFF)

/* --- IRPs ------------------------------------------------------------------------------------------------ */

PIO_STACK_LOCATION IoGetCurrentIrpStackLocation(PIRP irp);
PIO_STACK_LOCATION IoGetNextIrpStackLocation(PIRP irp);
void IoSetNextIrpStackLocation(PIRP irp);
void IoSkipCurrentIrpStackLocation(PIRP irp);
void IoCopyCurrentIrpStackLocationToNext(PIRP irp);
void IoMarkIrpPending(PIRP irp);
void IoSetCompletionRoutine(PIRP irp, PIO_COMPLETION_ROUTINE routine, PVOID context, BOOLEAN success, BOOLEAN error,
			    BOOLEAN cancel);
PIRP IoAllocateIrp(CCHAR stack, BOOLEAN quota);
void IoFreeIrp(PIRP irp);
NTSTATUS IofCallDriver(PDEVICE_OBJECT device, PIRP irp);
#define IoCallDriver(d, i) IofCallDriver(d, i)
void IofCompleteRequest(PIRP irp, CCHAR boost);
#define IoCompleteRequest(i, b) IofCompleteRequest(i, b)
PDRIVER_CANCEL IoSetCancelRoutine(PIRP irp, PDRIVER_CANCEL routine);
BOOLEAN IoCancelIrp(PIRP irp);
void IoAcquireCancelSpinLock(PKIRQL irql);
void IoReleaseCancelSpinLock(KIRQL irql);
PEPROCESS IoGetRequestorProcess(PIRP irp);
ULONG IoGetRequestorProcessId(PIRP irp);
PIRP IoBuildDeviceIoControlRequest(ULONG code, PDEVICE_OBJECT device, PVOID in, ULONG in_size, PVOID out,
				   ULONG out_size, BOOLEAN internal, PKEVENT event, PIO_STATUS_BLOCK status);
#define IoGetFunctionCodeFromCtlCode(c) (((c) >> 2) & 0xfff)

typedef struct _IO_WORKITEM *PIO_WORKITEM;
PIO_WORKITEM IoAllocateWorkItem(PDEVICE_OBJECT device);
void IoFreeWorkItem(PIO_WORKITEM item);
void IoQueueWorkItem(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine, WORK_QUEUE_TYPE type, PVOID context);
void IoQueueWorkItemEx(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE_EX routine, WORK_QUEUE_TYPE type, PVOID context);
ULONG IoSizeofWorkItem(void);
void IoInitializeWorkItem(PVOID object, PIO_WORKITEM item);
void IoUninitializeWorkItem(PIO_WORKITEM item);

/* --- Share access ---------------------------------------------------------------------------------------- */

NTSTATUS IoCheckShareAccess(ACCESS_MASK access, ULONG share, PFILE_OBJECT file, PSHARE_ACCESS state, BOOLEAN update);
void IoSetShareAccess(ACCESS_MASK access, ULONG share, PFILE_OBJECT file, PSHARE_ACCESS state);
void IoUpdateShareAccess(PFILE_OBJECT file, PSHARE_ACCESS state);
void IoRemoveShareAccess(PFILE_OBJECT file, PSHARE_ACCESS state);

/* --- Remove locks ---------------------------------------------------------------------------------------- */

typedef struct _IO_REMOVE_LOCK {
	LONG count;
	BOOLEAN removed;
	KEVENT event;
	ULONG magic;
} IO_REMOVE_LOCK, *PIO_REMOVE_LOCK;
void IoInitializeRemoveLock(PIO_REMOVE_LOCK lock, ULONG tag, ULONG minutes, ULONG water);
NTSTATUS IoAcquireRemoveLock(PIO_REMOVE_LOCK lock, PVOID tag);
void IoReleaseRemoveLock(PIO_REMOVE_LOCK lock, PVOID tag);
void IoReleaseRemoveLockAndWait(PIO_REMOVE_LOCK lock, PVOID tag);

/* --- Cancel-safe queues ---------------------------------------------------------------------------------- */

struct _IO_CSQ;
typedef struct _IO_CSQ IO_CSQ, *PIO_CSQ;
typedef struct _IO_CSQ_IRP_CONTEXT {
	ULONG Type;
	PIRP Irp;
	PIO_CSQ Csq;
} IO_CSQ_IRP_CONTEXT, *PIO_CSQ_IRP_CONTEXT;
typedef void IO_CSQ_INSERT_IRP(PIO_CSQ csq, PIRP irp);
typedef NTSTATUS IO_CSQ_INSERT_IRP_EX(PIO_CSQ csq, PIRP irp, PVOID context);
typedef void IO_CSQ_REMOVE_IRP(PIO_CSQ csq, PIRP irp);
typedef PIRP IO_CSQ_PEEK_NEXT_IRP(PIO_CSQ csq, PIRP irp, PVOID context);
typedef void IO_CSQ_ACQUIRE_LOCK(PIO_CSQ csq, PKIRQL irql);
typedef void IO_CSQ_RELEASE_LOCK(PIO_CSQ csq, KIRQL irql);
typedef void IO_CSQ_COMPLETE_CANCELED_IRP(PIO_CSQ csq, PIRP irp);
typedef IO_CSQ_INSERT_IRP *PIO_CSQ_INSERT_IRP;
typedef IO_CSQ_INSERT_IRP_EX *PIO_CSQ_INSERT_IRP_EX;
typedef IO_CSQ_REMOVE_IRP *PIO_CSQ_REMOVE_IRP;
typedef IO_CSQ_PEEK_NEXT_IRP *PIO_CSQ_PEEK_NEXT_IRP;
typedef IO_CSQ_ACQUIRE_LOCK *PIO_CSQ_ACQUIRE_LOCK;
typedef IO_CSQ_RELEASE_LOCK *PIO_CSQ_RELEASE_LOCK;
typedef IO_CSQ_COMPLETE_CANCELED_IRP *PIO_CSQ_COMPLETE_CANCELED_IRP;
struct _IO_CSQ {
	ULONG Type;
	PVOID insert; /* one of two types */
	PIO_CSQ_REMOVE_IRP CsqRemoveIrp;
	PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp;
	PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock;
	PIO_CSQ_RELEASE_LOCK CsqReleaseLock;
	PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp;
	PVOID ReservePointer;
};
NTSTATUS IoCsqInitialize(PIO_CSQ csq, PIO_CSQ_INSERT_IRP insert, PIO_CSQ_REMOVE_IRP remove, PIO_CSQ_PEEK_NEXT_IRP peek,
			 PIO_CSQ_ACQUIRE_LOCK acquire, PIO_CSQ_RELEASE_LOCK release,
			 PIO_CSQ_COMPLETE_CANCELED_IRP complete);
NTSTATUS IoCsqInitializeEx(PIO_CSQ csq, PIO_CSQ_INSERT_IRP_EX insert, PIO_CSQ_REMOVE_IRP remove,
			   PIO_CSQ_PEEK_NEXT_IRP peek, PIO_CSQ_ACQUIRE_LOCK acquire, PIO_CSQ_RELEASE_LOCK release,
			   PIO_CSQ_COMPLETE_CANCELED_IRP complete);
void IoCsqInsertIrp(PIO_CSQ csq, PIRP irp, PIO_CSQ_IRP_CONTEXT context);
NTSTATUS IoCsqInsertIrpEx(PIO_CSQ csq, PIRP irp, PIO_CSQ_IRP_CONTEXT context, PVOID insert_context);
PIRP IoCsqRemoveIrp(PIO_CSQ csq, PIO_CSQ_IRP_CONTEXT context);
PIRP IoCsqRemoveNextIrp(PIO_CSQ csq, PVOID peek_context);

/* --- Memory descriptor lists ----------------------------------------------------------------------------- */

typedef enum _LOCK_OPERATION { IoReadAccess, IoWriteAccess, IoModifyAccess } LOCK_OPERATION;
typedef enum _MM_PAGE_PRIORITY { LowPagePriority, NormalPagePriority = 16, HighPagePriority = 32 } MM_PAGE_PRIORITY;
typedef enum _MEMORY_CACHING_TYPE { MmNonCached, MmCached } MEMORY_CACHING_TYPE;
#define MdlMappingNoWrite   0x80000000u
#define MdlMappingNoExecute 0x40000000u
PMDL IoAllocateMdl(PVOID address, ULONG size, BOOLEAN secondary, BOOLEAN quota, PIRP irp);
void IoFreeMdl(PMDL mdl);
void IoBuildPartialMdl(PMDL source, PMDL target, PVOID address, ULONG size);
void MmProbeAndLockPages(PMDL mdl, KPROCESSOR_MODE mode, LOCK_OPERATION operation);
void MmUnlockPages(PMDL mdl);
void MmBuildMdlForNonPagedPool(PMDL mdl);
PVOID MmGetSystemAddressForMdlSafe(PMDL mdl, ULONG priority);
PVOID MmMapLockedPagesSpecifyCache(PMDL mdl, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE type, PVOID address, ULONG bug,
				   ULONG priority);
void MmUnmapLockedPages(PVOID address, PMDL mdl);
#define MmGetMdlByteCount(m)  ((m)->ByteCount)
#define MmGetMdlByteOffset(m) ((m)->ByteOffset)
PVOID MmGetMdlVirtualAddress(PMDL mdl);
void ProbeForRead(const void *address, SIZE_T size, ULONG alignment);
void ProbeForWrite(PVOID address, SIZE_T size, ULONG alignment);
PVOID MmGetSystemRoutineAddress(PUNICODE_STRING name);
extern PVOID *nt_highest_user_address;
#define MM_HIGHEST_USER_ADDRESS (*nt_highest_user_address)

#endif
