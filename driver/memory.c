// SPDX-License-Identifier: MIT
/*
 * memory.c - pool, text, paths, and buffers of IRPs
 *
 * All of it may be called at DISPATCH_LEVEL but what compares paths, which looks up a table of the system's that may be
 * paged, and FSBufferMap, which locks pages.
 */
#include "driver/driveway.h"

void *FSAllocate(size_t size, ULONG tag)
{
	void *memory = ExAllocatePoolWithTag(NonPagedPoolNx, size, tag);

	if (memory != NULL)
		RtlZeroMemory(memory, size);
	return memory;
}

void FSFree(void *memory, ULONG tag)
{
	if (memory != NULL)
		ExFreePoolWithTag(memory, tag);
}

/* A piece of text with memory of its own; none for an empty one. */
NTSTATUS FSCopyText(UNICODE_STRING *to, const void *bytes, size_t length)
{
	to->Buffer = NULL;
	to->Length = to->MaximumLength = 0;
	if (length == 0)
		return STATUS_SUCCESS;
	if (length > UNICODE_STRING_MAX_BYTES)
		return STATUS_INVALID_PARAMETER;
	to->Buffer = FSAllocate(length, FS_TAG_DRIVE);
	if (to->Buffer == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	RtlCopyMemory(to->Buffer, bytes, length);
	to->Length = to->MaximumLength = (USHORT)length;
	return STATUS_SUCCESS;
}

struct fs_path *FSPathMake(size_t length)
{
	struct fs_path *path;

	if (length > FS_PATH_MAX)
		return NULL;
	path = FSAllocate(sizeof(*path) + length, FS_TAG_PATH);
	if (path != NULL) {
		path->references = 1;
		path->length = (uint32_t)length;
	}
	return path;
}

struct fs_path *FSPathOf(const void *text, size_t length)
{
	struct fs_path *path = FSPathMake(length);

	if (path != NULL)
		RtlCopyMemory(path->text, text, length);
	return path;
}

struct fs_path *FSPathRetain(struct fs_path *path)
{
	if (path != NULL)
		InterlockedIncrement(&path->references);
	return path;
}

void FSPathRelease(struct fs_path *path)
{
	if (path != NULL && InterlockedDecrement(&path->references) == 0)
		FSFree(path, FS_TAG_PATH);
}

UNICODE_STRING FSPathString(const struct fs_path *path)
{
	UNICODE_STRING string = {
		.Length = (USHORT)path->length, .MaximumLength = (USHORT)path->length, .Buffer = (WCHAR *)path->text};

	return string;
}

UNICODE_STRING FSPathLast(const struct fs_path *path)
{
	UNICODE_STRING string = FSPathString(path);
	uint32_t at = path->length / sizeof(WCHAR);

	while (at > 0 && path->text[at - 1] != L'\\')
		at--;
	string.Buffer += at;
	string.Length = string.MaximumLength = (USHORT)(path->length - at * sizeof(WCHAR));
	return string;
}

BOOLEAN FSPathEqual(const struct fs_path *a, const struct fs_path *b)
{
	UNICODE_STRING first = FSPathString(a), second = FSPathString(b);

	return first.Length == second.Length && RtlCompareUnicodeString(&first, &second, TRUE) == 0;
}

BOOLEAN FSPathBelow(const struct fs_path *path, const struct fs_path *folder)
{
	UNICODE_STRING whole = FSPathString(path), beginning = FSPathString(folder);
	uint32_t names = folder->length;

	if (names == sizeof(WCHAR)) /* the root: its backslash is the separator already */
		return path->length > names;
	if (path->length <= names || path->text[names / sizeof(WCHAR)] != L'\\')
		return FALSE;
	whole.Length = beginning.Length;
	return RtlCompareUnicodeString(&whole, &beginning, TRUE) == 0;
}

struct fs_lock_pages {
	MDL *mdl;
	KPROCESSOR_MODE mode;
	LOCK_OPERATION operation;
};

static void FSLockPages(void *context)
{
	struct fs_lock_pages *lock = context;

	MmProbeAndLockPages(lock->mdl, lock->mode, lock->operation);
}

/*
 * The volume says DO_DIRECT_IO, so that the I/O manager has locked the buffer; a driver above us may have left it to
 * us. What we lock hangs at the IRP, and is unlocked when that is completed.
 */
NTSTATUS FSBufferMap(IRP *irp, ULONG length, LOCK_OPERATION operation, uint8_t **buffer)
{
	*buffer = NULL;
	if (length == 0)
		return STATUS_SUCCESS;
	if (irp->MdlAddress == NULL) {
		struct fs_lock_pages lock = {.mode = irp->RequestorMode, .operation = operation};
		NTSTATUS status;

		if (irp->UserBuffer == NULL)
			return STATUS_INVALID_USER_BUFFER;
		lock.mdl = IoAllocateMdl(irp->UserBuffer, length, FALSE, FALSE, NULL);
		if (lock.mdl == NULL)
			return STATUS_INSUFFICIENT_RESOURCES;
		status = FSGuard(FSLockPages, &lock);
		if (!NT_SUCCESS(status)) {
			IoFreeMdl(lock.mdl);
			return STATUS_INVALID_USER_BUFFER;
		}
		irp->MdlAddress = lock.mdl;
	} else if (MmGetMdlByteCount(irp->MdlAddress) < length) {
		return STATUS_INVALID_USER_BUFFER;
	}
	*buffer = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute);
	return *buffer != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}
