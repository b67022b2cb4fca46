/* SPDX-License-Identifier: MIT */
/* object.c - the driver, devices, names and links, handles, file objects, processes. */
#include "internal.h"

#define HANDLES 4096

struct link {
	LIST_ENTRY entry;
	uint16_t *name, *target;
	size_t name_length, target_length;
};

struct handle {
	enum handle_kind kind;
	void *object;
	struct nt_process *process;
	ULONG next_free;
};

struct nt_object_type {
	const char *name;
};

static struct _DRIVER_OBJECT *driver;
static DRIVER_EXTENSION driver_extension;
static LIST_ENTRY devices, links, files, processes;
static struct handle handles[HANDLES];
static struct nt_process system_process = {.account = NT_SYSTEM, .id = 4};
PEPROCESS PsInitialSystemProcess = &system_process;
static ULONG last_process;
static bool mount_manager;
static unsigned long arrivals;
static struct nt_object_type file_type = {"File"}, driver_type = {"Driver"}, device_type = {"Device"},
			     event_type = {"Event"}, thread_type = {"Thread"};
static POBJECT_TYPE file_pointer = &file_type, driver_pointer = &driver_type, device_pointer = &device_type,
		    event_pointer = &event_type, thread_pointer = &thread_type;
POBJECT_TYPE *IoFileObjectType = &file_pointer, *IoDriverObjectType = &driver_pointer,
	     *IoDeviceObjectType = &device_pointer, *ExEventObjectType = &event_pointer,
	     *PsThreadType = &thread_pointer;

void object_boot(void)
{
	InitializeListHead(&devices);
	InitializeListHead(&links);
	InitializeListHead(&files);
	InitializeListHead(&processes);
	memset(handles, 0, sizeof(handles));
	driver = NULL;
	last_process = 4;
	mount_manager = true;
	arrivals = 0;
}

static void driver_free(void)
{
	free(driver);
	driver = NULL;
}

void object_end(void)
{
	handle_check();
	if (!IsListEmpty(&devices))
		nt_fail("a device was not deleted");
	if (!IsListEmpty(&links))
		nt_fail("a symbolic link was not deleted");
	if (!IsListEmpty(&files))
		nt_fail("a file object is still referenced");
	while (!IsListEmpty(&processes))
		free(CONTAINING_RECORD(RemoveHeadList(&processes), struct nt_process, entry));
	driver_free();
}

/* --- The driver ------------------------------------------------------------------------------------------ */

static NTSTATUS invalid_request(PDEVICE_OBJECT device, PIRP irp)
{
	irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return STATUS_INVALID_DEVICE_REQUEST;
}

PDRIVER_OBJECT nt_driver(void)
{
	return driver;
}

NTSTATUS nt_load(DRIVER_INITIALIZE *entry)
{
	static WCHAR name[] = L"\\Driver\\Driveway",
		     key[] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\Driveway";
	UNICODE_STRING registry = RTL_CONSTANT_STRING(key), driver_name = RTL_CONSTANT_STRING(name);
	NTSTATUS status;

	driver = take(sizeof(*driver));
	driver->Type = 4;
	driver->Size = sizeof(*driver);
	driver->DriverName = driver_name;
	driver->DriverExtension = &driver_extension;
	for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
		driver->MajorFunction[i] = invalid_request;
	status = entry(driver, &registry);
	locks_none_held("at the end of DriverEntry", false);
	if (!NT_SUCCESS(status)) {
		nt_run();
		if (driver->DeviceObject)
			nt_fail("DriverEntry fails and leaves a device behind");
		driver_free();
		return status;
	}
	/* The I/O manager opens what DriverEntry made. */
	for (PDEVICE_OBJECT device = driver->DeviceObject; device; device = device->NextDevice)
		device->Flags &= ~DO_DEVICE_INITIALIZING;
	return status;
}

bool nt_unload(void)
{
	if (!driver->DriverUnload)
		return false;
	for (PDEVICE_OBJECT device = driver->DeviceObject; device; device = device->NextDevice)
		if (device->nt->references)
			return false;
	driver->DriverUnload(driver);
	locks_none_held("at the end of DriverUnload", false);
	if (driver->DeviceObject)
		nt_fail("DriverUnload leaves a device behind");
	driver_free();
	return true;
}

/* --- Names ----------------------------------------------------------------------------------------------- */

static bool names_equal(const uint16_t *a, size_t a_length, const uint16_t *b, size_t b_length)
{
	if (a_length != b_length)
		return false;
	for (size_t i = 0; i < a_length / 2; i++)
		if (upcase(a[i]) != upcase(b[i]))
			return false;
	return true;
}

/* \DosDevices and \GLOBAL?? are \??. */
static uint16_t *canonical(const uint16_t *path, size_t length, size_t *out_length)
{
	static const char *const aliases[] = {"\\DosDevices\\", "\\GLOBAL?\?\\"};
	uint16_t *copy;

	for (unsigned i = 0; i < RTL_NUMBER_OF(aliases); i++) {
		size_t n;
		uint16_t *alias = wide(aliases[i], &n);
		bool match = length >= n && names_equal(path, n, alias, n);

		free(alias);
		if (!match)
			continue;
		copy = take(length);
		memcpy(copy, L"\\??\\", 8);
		memcpy(copy + 4, (const char *)path + n, length - n);
		*out_length = length - n + 8;
		return copy;
	}
	copy = take(length + 2);
	memcpy(copy, path, length);
	*out_length = length;
	return copy;
}

static struct link *link_find(const uint16_t *name, size_t length)
{
	for (LIST_ENTRY *at = links.Flink; at != &links; at = at->Flink) {
		struct link *link = CONTAINING_RECORD(at, struct link, entry);

		if (names_equal(link->name, link->name_length, name, length))
			return link;
	}
	return NULL;
}

static struct nt_device *device_find(const uint16_t *name, size_t length)
{
	for (LIST_ENTRY *at = devices.Flink; at != &devices; at = at->Flink) {
		struct nt_device *device = CONTAINING_RECORD(at, struct nt_device, entry);

		if (!device->deleted && device->name && names_equal(device->name, device->name_length, name, length))
			return device;
	}
	return NULL;
}

NTSTATUS name_resolve(const uint16_t *path, size_t length, struct nt_device **found, uint16_t **rest,
		      size_t *rest_length)
{
	uint16_t *name = canonical(path, length, &length);

	for (unsigned hops = 0; hops < 8; hops++) {
		struct link *link = NULL;
		size_t at;

		for (at = length; at >= 2; at -= 2) {
			if (at < length && name[at / 2] != '\\')
				continue;
			*found = device_find(name, at);
			if (*found) {
				*rest_length = length - at;
				*rest = take(*rest_length + 2);
				memcpy(*rest, (char *)name + at, *rest_length);
				free(name);
				return STATUS_SUCCESS;
			}
			link = link_find(name, at);
			if (link)
				break;
		}
		if (!link)
			break;
		{
			uint16_t *next = take(link->target_length + length - at + 2);

			memcpy(next, link->target, link->target_length);
			memcpy((char *)next + link->target_length, (char *)name + at, length - at);
			length = link->target_length + length - at;
			free(name);
			name = canonical(next, length, &length);
			free(next);
		}
	}
	free(name);
	return STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS IoCreateSymbolicLink(PUNICODE_STRING name, PUNICODE_STRING target)
{
	struct link *link;
	uint16_t *copy;
	size_t length;

	irql_at_most(PASSIVE_LEVEL, __func__);
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	copy = canonical((const uint16_t *)name->Buffer, name->Length, &length);
	if (link_find(copy, length) || device_find(copy, length)) {
		free(copy);
		return STATUS_OBJECT_NAME_COLLISION;
	}
	link = take(sizeof(*link));
	link->name = copy;
	link->name_length = length;
	link->target = canonical((const uint16_t *)target->Buffer, target->Length, &link->target_length);
	InsertTailList(&links, &link->entry);
	counts.links++;
	return STATUS_SUCCESS;
}

NTSTATUS IoCreateUnprotectedSymbolicLink(PUNICODE_STRING name, PUNICODE_STRING target)
{
	return IoCreateSymbolicLink(name, target);
}

static void link_remove(struct link *link)
{
	RemoveEntryList(&link->entry);
	free(link->name);
	free(link->target);
	free(link);
	counts.links--;
}

NTSTATUS IoDeleteSymbolicLink(PUNICODE_STRING name)
{
	size_t length;
	uint16_t *copy = canonical((const uint16_t *)name->Buffer, name->Length, &length);
	struct link *link = link_find(copy, length);

	irql_at_most(PASSIVE_LEVEL, __func__);
	free(copy);
	if (!link)
		return STATUS_OBJECT_NAME_NOT_FOUND;
	link_remove(link);
	return STATUS_SUCCESS;
}

NTSTATUS ZwOpenSymbolicLinkObject(PHANDLE handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes)
{
	size_t length;
	uint16_t *copy;
	struct link *link;

	irql_at_most(PASSIVE_LEVEL, __func__);
	copy = canonical((const uint16_t *)attributes->ObjectName->Buffer, attributes->ObjectName->Length, &length);
	link = link_find(copy, length);
	free(copy);
	if (!link)
		return STATUS_OBJECT_NAME_NOT_FOUND;
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	*handle = handle_make(HANDLE_LINK, link, NULL);
	return STATUS_SUCCESS;
}

NTSTATUS ZwQuerySymbolicLinkObject(HANDLE handle, PUNICODE_STRING target, PULONG needed)
{
	struct link *link = handle_object(handle, HANDLE_LINK);

	irql_at_most(PASSIVE_LEVEL, __func__);
	if (!link)
		return STATUS_INVALID_HANDLE;
	if (needed)
		*needed = (ULONG)link->target_length;
	if (target->MaximumLength < link->target_length)
		return STATUS_BUFFER_TOO_SMALL;
	memcpy(target->Buffer, link->target, link->target_length);
	target->Length = (USHORT)link->target_length;
	return STATUS_SUCCESS;
}

/* --- Devices --------------------------------------------------------------------------------------------- */

NTSTATUS IoCreateDevice(PDRIVER_OBJECT of, ULONG extension, PUNICODE_STRING name, ULONG type, ULONG characteristics,
			BOOLEAN exclusive, PDEVICE_OBJECT *out)
{
	struct nt_device *device;
	DEVICE_OBJECT *object;

	irql_at_most(APC_LEVEL, __func__);
	*out = NULL;
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	if (name && device_find((const uint16_t *)name->Buffer, name->Length))
		return STATUS_OBJECT_NAME_COLLISION;
	device = take(sizeof(*device));
	object = take(sizeof(*object));
	device->object = object;
	device->exclusive = exclusive;
	if (name) {
		device->name = take(name->Length + 2u);
		device->name_length = name->Length;
		memcpy(device->name, name->Buffer, name->Length);
	}
	device->extension = extension;
	device->extension_memory = extension ? take(extension) : NULL;
	object->Type = 3;
	object->Size = (USHORT)(sizeof(*object) + extension);
	object->DriverObject = of;
	object->DeviceExtension = device->extension_memory;
	object->DeviceType = type;
	object->Characteristics = characteristics;
	object->Flags = DO_DEVICE_INITIALIZING | (exclusive ? DO_EXCLUSIVE : 0) | (name ? DO_DEVICE_HAS_NAME : 0);
	object->StackSize = 1;
	object->nt = device;
	if (type == FILE_DEVICE_DISK || type == FILE_DEVICE_VIRTUAL_DISK || type == FILE_DEVICE_CD_ROM) {
		object->Vpb = take(sizeof(VPB));
		object->Vpb->Type = 10;
		object->Vpb->Size = sizeof(VPB);
		object->Vpb->RealDevice = object;
		object->SectorSize = 512;
	}
	object->NextDevice = of->DeviceObject;
	of->DeviceObject = object;
	InsertTailList(&devices, &device->entry);
	counts.devices++;
	*out = object;
	return STATUS_SUCCESS;
}

NTSTATUS IoCreateDeviceSecure(PDRIVER_OBJECT of, ULONG extension, PUNICODE_STRING name, ULONG type,
			      ULONG characteristics, BOOLEAN exclusive, PCUNICODE_STRING sddl, LPCGUID class,
			      PDEVICE_OBJECT *out)
{
	nt_fail("IoCreateDeviceSecure needs a library that this kernel does not have");
}

static void device_free(struct nt_device *device)
{
	RemoveEntryList(&device->entry);
	free(device->object->Vpb);
	free(device->name);
	free(device->descriptor);
	free(device->extension_memory);
	free(device->object);
	free(device);
	counts.devices--;
}

void device_reference(DEVICE_OBJECT *object)
{
	object->nt->references++;
	object->ReferenceCount++;
}

void device_dereference(DEVICE_OBJECT *object)
{
	object->ReferenceCount--;
	if (--object->nt->references == 0 && object->nt->deleted)
		device_free(object->nt);
}

void IoDeleteDevice(PDEVICE_OBJECT object)
{
	struct nt_device *device = object->nt;
	PDEVICE_OBJECT *link = &object->DriverObject->DeviceObject;

	irql_at_most(APC_LEVEL, __func__);
	if (device->deleted)
		nt_fail("IoDeleteDevice: the device is deleted already");
	if (device->registered)
		nt_fail("IoDeleteDevice: the device is still registered as a file system");
	while (*link != object)
		link = &(*link)->NextDevice;
	*link = object->NextDevice;
	device->deleted = true;
	if (device->references == 0)
		device_free(device);
}

void IoRegisterFileSystem(PDEVICE_OBJECT object)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	object->nt->registered = true;
	object->Flags &= ~DO_DEVICE_INITIALIZING;
}

void IoUnregisterFileSystem(PDEVICE_OBJECT object)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	if (!object->nt->registered)
		nt_fail("IoUnregisterFileSystem: it is not registered");
	object->nt->registered = false;
}

DEVICE_OBJECT *filesystem_next(DEVICE_OBJECT *after)
{
	for (LIST_ENTRY *at = after ? after->nt->entry.Flink : devices.Flink; at != &devices; at = at->Flink)
		if (CONTAINING_RECORD(at, struct nt_device, entry)->registered)
			return CONTAINING_RECORD(at, struct nt_device, entry)->object;
	return NULL;
}

NTSTATUS IoRegisterShutdownNotification(PDEVICE_OBJECT object)
{
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	object->nt->shutdown = true;
	return STATUS_SUCCESS;
}

void IoUnregisterShutdownNotification(PDEVICE_OBJECT object)
{
	object->nt->shutdown = false;
}

void IoAcquireVpbSpinLock(PKIRQL irql)
{
	*irql = nt_raise_irql(DISPATCH_LEVEL);
}

void IoReleaseVpbSpinLock(KIRQL irql)
{
	KeLowerIrql(irql);
}

PDEVICE_OBJECT IoGetRelatedDeviceObject(PFILE_OBJECT file)
{
	return file->nt->device;
}

bool device_allows(struct nt_device *device, struct nt_process *process, ACCESS_MASK access)
{
	ACCESS_MASK granted;

	return !process || !device->descriptor || access_check(device->descriptor, process->account, access, &granted);
}

/* --- Handles --------------------------------------------------------------------------------------------- */

HANDLE handle_make(enum handle_kind kind, void *object, struct nt_process *process)
{
	for (ULONG i = 1; i < HANDLES; i++)
		if (handles[i].kind == HANDLE_FREE) {
			handles[i] = (struct handle){kind, object, process, 0};
			return (HANDLE)(uintptr_t)(i * 4);
		}
	nt_fail("there are %d handles", HANDLES);
}

static struct handle *handle_at(HANDLE handle)
{
	uintptr_t i = (uintptr_t)handle / 4;

	return i > 0 && i < HANDLES && handles[i].kind != HANDLE_FREE ? &handles[i] : NULL;
}

void *handle_object(HANDLE handle, enum handle_kind kind)
{
	struct handle *at = handle_at(handle);

	return at && at->kind == kind ? at->object : NULL;
}

void handle_free(HANDLE handle)
{
	handle_at(handle)->kind = HANDLE_FREE;
}

void handles_of(struct nt_process *process, void (*close)(HANDLE handle))
{
	for (ULONG i = 1; i < HANDLES; i++)
		if (handles[i].kind == HANDLE_FILE && handles[i].process == process)
			close((HANDLE)(uintptr_t)(i * 4));
}

void handle_check(void)
{
	for (ULONG i = 1; i < HANDLES; i++)
		if (handles[i].kind != HANDLE_FREE)
			nt_fail("a handle (kind %d) is open at shutdown", handles[i].kind);
}

NTSTATUS ObOpenObjectByPointer(PVOID object, ULONG attributes, PVOID state, ACCESS_MASK access, POBJECT_TYPE type,
			       KPROCESSOR_MODE mode, PHANDLE handle)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	if (type && type != &device_type)
		return STATUS_OBJECT_TYPE_MISMATCH;
	if (!(attributes & OBJ_KERNEL_HANDLE))
		nt_fail("a handle of the driver's own must be a kernel handle");
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	device_reference(object);
	*handle = handle_make(HANDLE_DEVICE, object, NULL);
	return STATUS_SUCCESS;
}

NTSTATUS ZwSetSecurityObject(HANDLE handle, SECURITY_INFORMATION information, PSECURITY_DESCRIPTOR descriptor)
{
	DEVICE_OBJECT *object = handle_object(handle, HANDLE_DEVICE);
	size_t size;

	irql_at_most(PASSIVE_LEVEL, __func__);
	if (!object)
		return STATUS_INVALID_HANDLE;
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	free(object->nt->descriptor);
	object->nt->descriptor = descriptor_copy(descriptor, &size);
	return STATUS_SUCCESS;
}

NTSTATUS ZwClose(HANDLE handle)
{
	struct handle *at = handle_at(handle);
	struct handle was;

	irql_at_most(PASSIVE_LEVEL, __func__);
	if (!at)
		nt_fail("ZwClose: the handle is not open");
	was = *at;
	at->kind = HANDLE_FREE;
	if (was.kind == HANDLE_DEVICE)
		device_dereference(was.object);
	return STATUS_SUCCESS;
}

/* The mount manager is the only device of somebody else's. */
NTSTATUS ZwCreateFile(PHANDLE handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes, PIO_STATUS_BLOCK status,
		      PLARGE_INTEGER allocation, ULONG file_attributes, ULONG share, ULONG disposition, ULONG options,
		      PVOID ea, ULONG ea_length)
{
	size_t length;
	uint16_t *name = wide("\\Device\\MountPointManager", &length);
	bool same = names_equal(name, length, (const uint16_t *)attributes->ObjectName->Buffer,
				attributes->ObjectName->Length);

	free(name);
	irql_at_most(PASSIVE_LEVEL, __func__);
	if (!same || !mount_manager)
		return STATUS_OBJECT_NAME_NOT_FOUND;
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	*handle = handle_make(HANDLE_OTHER, NULL, NULL);
	status->Status = STATUS_SUCCESS;
	status->Information = FILE_OPENED;
	return STATUS_SUCCESS;
}

/* Takes \DosDevices\X: for the device, whatever stood there before, or removes the links of a device. */
static NTSTATUS mount_point(const MOUNTMGR_CREATE_POINT_INPUT *point, ULONG length)
{
	UNICODE_STRING link = {.Length = point->SymbolicLinkNameLength}, target = {.Length = point->DeviceNameLength};

	if (length < sizeof(*point) || length < (ULONG)point->SymbolicLinkNameOffset + link.Length ||
	    length < (ULONG)point->DeviceNameOffset + target.Length)
		nt_fail("IOCTL_MOUNTMGR_CREATE_POINT: names outside of the buffer");
	link.Buffer = (WCHAR *)((char *)point + point->SymbolicLinkNameOffset);
	target.Buffer = (WCHAR *)((char *)point + point->DeviceNameOffset);
	return IoCreateSymbolicLink(&link, &target);
}

static NTSTATUS mount_points_delete(const MOUNTMGR_MOUNT_POINT *point, ULONG length)
{
	if (length < sizeof(*point) || length < point->DeviceNameOffset + point->DeviceNameLength)
		nt_fail("IOCTL_MOUNTMGR_DELETE_POINTS: names outside of the buffer");
	for (LIST_ENTRY *at = links.Flink, *next; at != &links; at = next) {
		struct link *link = CONTAINING_RECORD(at, struct link, entry);

		next = at->Flink;
		if (names_equal(link->target, link->target_length,
				(const uint16_t *)((const char *)point + point->DeviceNameOffset),
				point->DeviceNameLength))
			link_remove(link);
	}
	return STATUS_SUCCESS;
}

NTSTATUS ZwDeviceIoControlFile(HANDLE handle, HANDLE event, PVOID apc, PVOID apc_context, PIO_STATUS_BLOCK status,
			       ULONG code, PVOID in, ULONG in_length, PVOID out, ULONG out_length)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	locks_none_held("while the mount manager is called", false);
	if (!handle_at(handle) || handle_at(handle)->kind != HANDLE_OTHER)
		return STATUS_INVALID_HANDLE;
	check_pattern(in, in_length, "what the mount manager is told");
	if (fault())
		return STATUS_INSUFFICIENT_RESOURCES;
	if (code == IOCTL_MOUNTMGR_VOLUME_ARRIVAL_NOTIFICATION)
		arrivals++;
	else if (code == IOCTL_MOUNTMGR_CREATE_POINT)
		return mount_point(in, in_length);
	else if (code == IOCTL_MOUNTMGR_DELETE_POINTS)
		return mount_points_delete(in, in_length);
	else
		return STATUS_INVALID_DEVICE_REQUEST;
	return STATUS_SUCCESS;
}

unsigned long nt_mountmgr_arrivals(void)
{
	return arrivals;
}

void nt_mountmgr_present(bool present)
{
	mount_manager = present;
}

/* --- File objects ---------------------------------------------------------------------------------------- */

struct nt_file *file_make(DEVICE_OBJECT *device)
{
	struct nt_file *file = take(sizeof(*file));

	file->object.Type = 5;
	file->object.Size = sizeof(FILE_OBJECT);
	file->object.DeviceObject = device;
	file->object.nt = file;
	file->references = 1;
	InitializeListHead(&file->requests);
	KeInitializeEvent(&file->object.Lock, SynchronizationEvent, FALSE);
	KeInitializeEvent(&file->object.Event, NotificationEvent, FALSE);
	InsertTailList(&files, &file->entry);
	device_reference(device);
	counts.files++;
	return file;
}

void file_dereference(struct nt_file *file)
{
	if (--file->references > 0)
		return;
	if (file->opened)
		user_close_last(file);
	RemoveEntryList(&file->entry);
	section_gone(file);
	if (file->object.RelatedFileObject)
		ObDereferenceObject(file->object.RelatedFileObject);
	if (file->object.Vpb)
		file->object.Vpb->ReferenceCount--;
	device_dereference(file->object.DeviceObject);
	if (file->device && file->device != file->object.DeviceObject)
		device_dereference(file->device);
	free(file->name_memory);
	free(file);
	counts.files--;
}

static bool is_file(const void *object)
{
	for (LIST_ENTRY *at = files.Flink; at != &files; at = at->Flink)
		if (&CONTAINING_RECORD(at, struct nt_file, entry)->object == object)
			return true;
	return false;
}

LONG_PTR ObfReferenceObject(PVOID object)
{
	if (is_file(object))
		return ++((FILE_OBJECT *)object)->nt->references;
	if (((DISPATCHER_HEADER *)object)->magic == MAGIC_THREAD)
		return 1;
	device_reference(object);
	return ((DEVICE_OBJECT *)object)->nt->references;
}

void ObReferenceObject(PVOID object)
{
	ObfReferenceObject(object);
}

LONG_PTR ObfDereferenceObject(PVOID object)
{
	if (is_file(object))
		file_dereference(((FILE_OBJECT *)object)->nt);
	else if (((DISPATCHER_HEADER *)object)->magic != MAGIC_THREAD)
		device_dereference(object);
	return 0;
}

void ObDereferenceObject(PVOID object)
{
	ObfDereferenceObject(object);
}

NTSTATUS ObReferenceObjectByHandle(HANDLE handle, ACCESS_MASK access, POBJECT_TYPE type, KPROCESSOR_MODE mode,
				   PVOID *object, POBJECT_HANDLE_INFORMATION information)
{
	struct handle *at = handle_at(handle);

	irql_at_most(PASSIVE_LEVEL, __func__);
	if (!at)
		return STATUS_INVALID_HANDLE;
	if (at->kind == HANDLE_FILE && (!type || type == &file_type)) {
		struct nt_file *file = at->object;

		file->references++;
		*object = &file->object;
		if (information)
			*information = (OBJECT_HANDLE_INFORMATION){0, file->granted};
		return STATUS_SUCCESS;
	}
	if (at->kind == HANDLE_THREAD && (!type || type == &thread_type)) {
		*object = at->object;
		return STATUS_SUCCESS;
	}
	return STATUS_OBJECT_TYPE_MISMATCH;
}

/* --- Processes ------------------------------------------------------------------------------------------- */

struct nt_process *nt_process_make(unsigned account)
{
	struct nt_process *process = take(sizeof(*process));

	process->account = account;
	process->id = last_process += 4;
	InsertTailList(&processes, &process->entry);
	return process;
}

void nt_process_enter(struct nt_process *process)
{
	current()->process = process;
}

void nt_process_end(struct nt_process *process)
{
	struct nt_process *former = current()->process;

	current()->process = process;
	process->ended = true;
	handles_of(process, nt_close);
	current()->process = former == process ? NULL : former;
}

PEPROCESS PsGetCurrentProcess(void)
{
	return current()->process ? current()->process : PsInitialSystemProcess;
}

PEPROCESS IoGetCurrentProcess(void)
{
	return PsGetCurrentProcess();
}

HANDLE PsGetProcessId(PEPROCESS process)
{
	return ULongToHandle(process->id);
}

HANDLE PsGetCurrentProcessId(void)
{
	return PsGetProcessId(PsGetCurrentProcess());
}

PEPROCESS IoThreadToProcess(PETHREAD thread)
{
	return thread->process ? thread->process : PsInitialSystemProcess;
}

KPROCESSOR_MODE ExGetPreviousMode(void)
{
	return current()->process ? UserMode : KernelMode;
}

PACCESS_TOKEN PsReferencePrimaryToken(PEPROCESS process)
{
	return process;
}

void PsDereferencePrimaryToken(PACCESS_TOKEN token)
{
}
