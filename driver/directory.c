// SPDX-License-Identifier: MIT
/*
 * directory.c - IRP_MJ_DIRECTORY_CONTROL: listings; watching is in notify.c
 *
 * The first query of a handle sets its pattern, the next ones go on where the last one stopped: at the marker of the
 * last entry that there was room for. Entries of the service have their own form (struct fs_entry); each is copied out
 * of the service's memory before it is looked at, and one that is not well formed ends the listing with
 * STATUS_DATA_ERROR.
 * <= APC_LEVEL.
 */
#include "driver/driveway.h"

static FSDone FSListDone;

#define FS_LIST_ROOM_MIN 4096u

/* Of each class: where its members lie. 0: it has none of that kind. */
struct fs_list_class {
	ULONG class;
	ULONG fixed; /* where the name is */
	ULONG ea;    /* EaSize */
	ULONG id;    /* 64 bits */
	ULONG tag;   /* ReparsePointTag */
	ULONG id128; /* 128 bits */
};

static const struct fs_list_class FSListClasses[] = {
	{FileDirectoryInformation, FIELD_OFFSET(FILE_DIRECTORY_INFORMATION, FileName), 0, 0, 0, 0},
	{FileFullDirectoryInformation, FIELD_OFFSET(FILE_FULL_DIR_INFORMATION, FileName),
	 FIELD_OFFSET(FILE_FULL_DIR_INFORMATION, EaSize), 0, 0, 0},
	{FileBothDirectoryInformation, FIELD_OFFSET(FILE_BOTH_DIR_INFORMATION, FileName),
	 FIELD_OFFSET(FILE_BOTH_DIR_INFORMATION, EaSize), 0, 0, 0},
	{FileIdFullDirectoryInformation, FIELD_OFFSET(FILE_ID_FULL_DIR_INFORMATION, FileName),
	 FIELD_OFFSET(FILE_ID_FULL_DIR_INFORMATION, EaSize), FIELD_OFFSET(FILE_ID_FULL_DIR_INFORMATION, FileId), 0, 0},
	{FileIdBothDirectoryInformation, FIELD_OFFSET(FILE_ID_BOTH_DIR_INFORMATION, FileName),
	 FIELD_OFFSET(FILE_ID_BOTH_DIR_INFORMATION, EaSize), FIELD_OFFSET(FILE_ID_BOTH_DIR_INFORMATION, FileId), 0, 0},
	/* EaSize, ReparsePointTag, a number of 128 bits, and the name follow FileNameLength. */
	{FS_CLASS_ID_EXTD_DIRECTORY, 88, 64, 0, 68, 72},
	{FileNamesInformation, FIELD_OFFSET(FILE_NAMES_INFORMATION, FileName), 0, 0, 0, 0},
};

static const struct fs_list_class *FSListClass(ULONG class)
{
	for (uint32_t i = 0; i < RTL_NUMBER_OF(FSListClasses); i++)
		if (FSListClasses[i].class == class)
			return &FSListClasses[i];
	return NULL;
}

/* The fixed part; to has form->fixed bytes. */
static void FSListFill(const struct fs_list_class *form, uint8_t *to, const struct fs_entry *entry)
{
	const struct fs_file *file = &entry->file;
	FILE_DIRECTORY_INFORMATION *common = (void *)to;
	BOOLEAN folder = (file->attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
	BOOLEAN reparse = (file->attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;

	RtlZeroMemory(to, form->fixed);
	if (form->class == FileNamesInformation) {
		((FILE_NAMES_INFORMATION *)to)->FileNameLength = entry->name_length;
		return;
	}
	common->CreationTime.QuadPart = (LONGLONG)file->created;
	common->LastAccessTime.QuadPart = (LONGLONG)file->accessed;
	common->LastWriteTime.QuadPart = (LONGLONG)file->written;
	common->ChangeTime.QuadPart = (LONGLONG)file->changed;
	common->EndOfFile.QuadPart = folder ? 0 : (LONGLONG)file->size;
	common->AllocationSize.QuadPart = folder ? 0 : (LONGLONG)file->allocated;
	common->FileAttributes = file->attributes != 0 ? file->attributes : FILE_ATTRIBUTE_NORMAL;
	common->FileNameLength = entry->name_length;
	/* Where there is no member of its own for it, the tag of a reparse point is in EaSize. */
	if (form->tag != 0)
		*(ULONG *)(to + form->tag) = reparse ? file->reparse_tag : 0;
	else if (form->ea != 0)
		*(ULONG *)(to + form->ea) = reparse ? file->reparse_tag : 0;
	if (form->id != 0)
		*(uint64_t *)(to + form->id) = file->node;
	if (form->id128 != 0)
		*(uint64_t *)(to + form->id128) = file->node;
}

static BOOLEAN FSListNameValid(const WCHAR *name, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (name[i] < L' ' || name[i] == L'\\' || name[i] == L'/')
			return FALSE;
	return TRUE;
}

/* The next entry and its name, copied; FALSE: it is not one. */
static BOOLEAN FSListTake(const struct fs_answer *answer, uint32_t at, struct fs_entry *entry, WCHAR *name)
{
	if (answer->length - at < sizeof(*entry))
		return FALSE;
	RtlCopyMemory(entry, answer->data + at, sizeof(*entry));
	if (entry->size > answer->length - at || entry->size < sizeof(*entry) || entry->size % 8 != 0 ||
	    entry->name_length == 0 || entry->name_length > FS_NAME_MAX || entry->name_length % sizeof(WCHAR) != 0 ||
	    entry->name_length > entry->size - sizeof(*entry) || entry->next == 0)
		return FALSE;
	if (entry->file.size > INT64_MAX || entry->file.allocated > INT64_MAX)
		return FALSE;
	RtlCopyMemory(name, answer->data + at + sizeof(*entry), entry->name_length);
	return FSListNameValid(name, entry->name_length / sizeof(WCHAR));
}

/* Puts entries into the caller's buffer; marker and information are what comes of it. */
static NTSTATUS FSListCopy(struct fs_pending *p, const struct fs_answer *answer, uint64_t *marker)
{
	const struct fs_list_class *form = FSListClass(p->operation);
	BOOLEAN one = (p->request.u.list.flags & FS_LIST_ONE) != 0;
	ULONG end = 0, last = 0, count = 0;
	uint32_t at = 0;

	while (at < answer->length && !(one && count > 0)) {
		WCHAR name[FS_NAME_MAX / sizeof(WCHAR)];
		struct fs_entry entry;
		ULONG begin = (end + 7u) & ~7u, room, copied;

		if (!FSListTake(answer, at, &entry, name))
			return count > 0 ? STATUS_SUCCESS : STATUS_DATA_ERROR;
		if (begin >= p->room || p->room - begin < form->fixed + entry.name_length) {
			if (count > 0)
				break;
			/* Not even one: its beginning is handed out. */
			if (p->room < form->fixed)
				return STATUS_BUFFER_TOO_SMALL;
		}
		room = p->room - begin - form->fixed;
		copied = room < entry.name_length ? room : entry.name_length;
		RtlZeroMemory(p->buffer + end, begin - end);
		FSListFill(form, p->buffer + begin, &entry);
		RtlCopyMemory(p->buffer + begin + form->fixed, name, copied);
		if (count > 0)
			*(ULONG *)(p->buffer + last) = begin - last;
		last = begin;
		end = begin + form->fixed + copied;
		*marker = entry.next;
		p->information = end;
		count++;
		if (copied < entry.name_length)
			return STATUS_BUFFER_OVERFLOW;
		at += entry.size;
	}
	return STATUS_SUCCESS;
}

static NTSTATUS FSListDone(struct fs_pending *p, const struct fs_answer *answer)
{
	struct fs_ccb *ccb = p->ccb;
	uint64_t marker = p->request.u.list.marker;
	NTSTATUS status;

	if (p->irp == NULL)
		return STATUS_CANCELLED;
	if (!NT_SUCCESS(answer->status) && answer->status != STATUS_NO_MORE_FILES &&
	    answer->status != STATUS_NO_SUCH_FILE)
		return answer->status;
	if (!NT_SUCCESS(answer->status) || answer->length == 0)
		return ccb->listed_any ? STATUS_NO_MORE_FILES : STATUS_NO_SUCH_FILE;
	status = FSListCopy(p, answer, &marker);
	FSFilesLock(p->drive);
	ccb->marker = marker;
	if (p->information > 0)
		ccb->listed_any = TRUE;
	FSFilesUnlock(p->drive);
	return status;
}

/* Where this query begins, and by which pattern. */
static NTSTATUS FSListBegin(struct fs_call *call, struct fs_ccb *ccb, struct fs_path **pattern, uint64_t *marker)
{
	const UNICODE_STRING *asked = call->stack->Parameters.QueryDirectory.FileName;
	struct fs_path *made = NULL;

	if (asked != NULL && asked->Length > 0) {
		if (asked->Length > FS_NAME_MAX || asked->Length % sizeof(WCHAR) != 0)
			return STATUS_OBJECT_NAME_INVALID;
		made = FSPathOf(asked->Buffer, asked->Length);
		if (made == NULL)
			return STATUS_INSUFFICIENT_RESOURCES;
	}
	FSFilesLock(call->drive);
	if (!ccb->listing) {
		ccb->listing = TRUE;
		ccb->pattern = FSPathRetain(made);
	}
	if (call->stack->Flags & SL_RESTART_SCAN) {
		ccb->marker = 0;
		ccb->listed_any = FALSE;
		if (made != NULL) {
			FSPathRelease(ccb->pattern);
			ccb->pattern = FSPathRetain(made);
		}
	}
	*pattern = FSPathRetain(ccb->pattern);
	*marker = ccb->marker;
	FSFilesUnlock(call->drive);
	FSPathRelease(made);
	return STATUS_SUCCESS;
}

static NTSTATUS FSListQuery(struct fs_call *call, struct fs_ccb *ccb)
{
	ULONG length = call->stack->Parameters.QueryDirectory.Length;
	const struct fs_list_class *form = FSListClass(call->stack->Parameters.QueryDirectory.FileInformationClass);
	struct fs_path *pattern;
	struct fs_pending *p;
	uint64_t marker;
	uint8_t *buffer;
	NTSTATUS status;

	if (form == NULL)
		return STATUS_INVALID_INFO_CLASS;
	if (length < form->fixed)
		return STATUS_INFO_LENGTH_MISMATCH;
	status = FSBufferMap(call->irp, length, IoWriteAccess, &buffer);
	if (NT_SUCCESS(status))
		status = FSListBegin(call, ccb, &pattern, &marker);
	if (!NT_SUCCESS(status))
		return status;
	status = FSRequestMake(call->drive, ccb, call->irp, FS_LIST, FSListDone, &p);
	if (!NT_SUCCESS(status)) {
		FSPathRelease(pattern);
		return status;
	}
	p->paths[0] = pattern;
	p->buffer = buffer;
	p->room = length;
	p->operation = form->class;
	p->request.u.list.marker = marker;
	p->request.u.list.room = length < FS_LIST_ROOM_MIN  ? FS_LIST_ROOM_MIN
				 : length > FS_TRANSFER_MAX ? FS_TRANSFER_MAX
							    : length;
	p->request.u.list.flags = call->stack->Flags & SL_RETURN_SINGLE_ENTRY ? FS_LIST_ONE : 0;
	if (pattern != NULL)
		FSRequestText(p, &p->request.u.list.pattern, pattern->text, pattern->length);
	return FSRequestSend(call, p);
}

NTSTATUS FSVolumeDirectoryControl(struct fs_call *call)
{
	struct fs_ccb *ccb;
	NTSTATUS status = FSCcbOfFile(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (!FSFcbIsFolder(ccb->fcb))
		return STATUS_INVALID_PARAMETER;
	switch (call->stack->MinorFunction) {
	case IRP_MN_QUERY_DIRECTORY:
		return FSListQuery(call, ccb);
	case IRP_MN_NOTIFY_CHANGE_DIRECTORY:
		return FSNotifyWatch(call, ccb);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}
