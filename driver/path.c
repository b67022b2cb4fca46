// SPDX-License-Identifier: MIT
/*
 * path.c - the path of a create: from the related file object and the name, checked
 *
 * A path is "\" or "\name\name...", each name of 1 to 255 characters that Windows allows in one; no stream names, no
 * "." or "..", which the I/O manager leaves to programs. PASSIVE_LEVEL.
 */
#include "driver/driveway.h"

static BOOLEAN FSNameCharacter(WCHAR character)
{
	switch (character) {
	case L'"':
	case L'*':
	case L'/':
	case L':':
	case L'<':
	case L'>':
	case L'?':
	case L'|':
	case L'\\':
		return FALSE;
	default:
		return character >= L' ';
	}
}

/* One name, without a backslash. */
BOOLEAN FSNameValid(const WCHAR *name, uint32_t count)
{
	if (count == 0 || count > FS_NAME_MAX / sizeof(WCHAR))
		return FALSE;
	if (name[0] == L'.' && (count == 1 || (count == 2 && name[1] == L'.')))
		return FALSE;
	for (uint32_t i = 0; i < count; i++)
		if (!FSNameCharacter(name[i]))
			return FALSE;
	return TRUE;
}

static BOOLEAN FSPathValid(const struct fs_path *path)
{
	uint32_t count = path->length / sizeof(WCHAR);

	if (count == 0 || path->text[0] != L'\\')
		return FALSE;
	if (count == 1)
		return TRUE;
	for (uint32_t at = 1; at <= count;) {
		uint32_t end = at;

		while (end < count && path->text[end] != L'\\')
			end++;
		if (!FSNameValid(path->text + at, end - at))
			return FALSE;
		at = end + 1;
	}
	return TRUE;
}

/* folder + "\" + name; NULL: no memory, or too long. */
struct fs_path *FSPathJoin(const struct fs_path *folder, const WCHAR *name, size_t length)
{
	size_t before = folder->length == sizeof(WCHAR) ? 0 : folder->length;
	struct fs_path *path = FSPathMake(before + (length > 0 ? sizeof(WCHAR) + length : 0));

	if (path == NULL)
		return NULL;
	RtlCopyMemory(path->text, folder->text, before);
	if (length > 0) {
		path->text[before / sizeof(WCHAR)] = L'\\';
		RtlCopyMemory(path->text + before / sizeof(WCHAR) + 1, name, length);
	}
	return path;
}

/* The folder that the path is in; of the root, the root. */
struct fs_path *FSPathParent(const struct fs_path *path)
{
	UNICODE_STRING last = FSPathLast(path);
	uint32_t length = path->length - last.Length;

	/* Its backslash goes, unless it is all there is. */
	return FSPathOf(path->text, length > sizeof(WCHAR) ? length - sizeof(WCHAR) : sizeof(WCHAR));
}

static NTSTATUS FSPathRelated(struct fs_drive *drive, const FILE_OBJECT *related, const UNICODE_STRING *name,
			      struct fs_path **path)
{
	struct fs_fcb *fcb = related->FsContext;
	struct fs_path *folder;

	if (fcb == NULL || fcb->header.NodeTypeCode != FS_NODE_FCB || fcb->drive != drive || fcb->is_volume ||
	    (name->Length > 0 && name->Buffer[0] == L'\\'))
		return STATUS_INVALID_PARAMETER;
	folder = FSFcbPath(fcb);
	if (name->Length == 0)
		*path = FSPathOf(folder->text, folder->length);
	else
		*path = FSPathJoin(folder, name->Buffer, name->Length);
	FSPathRelease(folder);
	return STATUS_SUCCESS;
}

/* is_folder: the name ended in a backslash. */
NTSTATUS FSPathOfCreate(struct fs_drive *drive, const FILE_OBJECT *object, struct fs_path **made, BOOLEAN *is_folder)
{
	UNICODE_STRING name = object->FileName;
	struct fs_path *path = NULL;
	NTSTATUS status = STATUS_SUCCESS;

	*made = NULL;
	*is_folder = FALSE;
	if (name.Length % sizeof(WCHAR) != 0)
		return STATUS_OBJECT_NAME_INVALID;
	/* Two backslashes at the beginning mean one: some programs make them of a letter and a path. */
	if (name.Length > sizeof(WCHAR) && name.Buffer[0] == L'\\' && name.Buffer[1] == L'\\') {
		name.Buffer++;
		name.Length -= sizeof(WCHAR);
	}
	if (name.Length > sizeof(WCHAR) && name.Buffer[name.Length / sizeof(WCHAR) - 1] == L'\\') {
		name.Length -= sizeof(WCHAR);
		*is_folder = TRUE;
	}
	if (name.Length > FS_PATH_MAX)
		return STATUS_OBJECT_NAME_INVALID;
	if (object->RelatedFileObject != NULL)
		status = FSPathRelated(drive, object->RelatedFileObject, &name, &path);
	else
		path = FSPathOf(name.Buffer, name.Length);
	if (!NT_SUCCESS(status))
		return status;
	if (path == NULL)
		return STATUS_INSUFFICIENT_RESOURCES;
	if (!FSPathValid(path)) {
		FSPathRelease(path);
		return STATUS_OBJECT_NAME_INVALID;
	}
	*made = path;
	return STATUS_SUCCESS;
}
