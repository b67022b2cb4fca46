// SPDX-License-Identifier: MIT
/*
 * file_information.c - IRP_MJ_QUERY_INFORMATION and IRP_MJ_SET_INFORMATION
 *
 * What may have changed (sizes, times, attributes) is asked of the service, and the FCB keeps it; what belongs to the
 * open (position, name, number) is answered at once. Renaming is in rename.c, deleting in disposition.c.
 *
 * The memory manager asks for sizes while it holds the FCB's resources: no routine here takes them. <= APC_LEVEL.
 */
#include "driver/driveway.h"

static FSDone FSQueryDone, FSSetDone;

/* --- Query ------------------------------------------------------------------------------------------------ */

static void FSFillBasic(FILE_BASIC_INFORMATION *basic, const struct fs_file *file)
{
	RtlZeroMemory(basic, sizeof(*basic));
	basic->CreationTime.QuadPart = (LONGLONG)file->created;
	basic->LastAccessTime.QuadPart = (LONGLONG)file->accessed;
	basic->LastWriteTime.QuadPart = (LONGLONG)file->written;
	basic->ChangeTime.QuadPart = (LONGLONG)file->changed;
	basic->FileAttributes = file->attributes != 0 ? file->attributes : FILE_ATTRIBUTE_NORMAL;
}

static void FSFillStandard(FILE_STANDARD_INFORMATION *standard, const struct fs_fcb *fcb, const struct fs_file *file)
{
	BOOLEAN folder = (file->attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;

	RtlZeroMemory(standard, sizeof(*standard));
	standard->AllocationSize.QuadPart = folder ? 0 : (LONGLONG)file->allocated;
	standard->EndOfFile.QuadPart = folder ? 0 : (LONGLONG)file->size;
	standard->NumberOfLinks = file->links != 0 ? file->links : 1;
	standard->DeletePending = fcb->delete_pending;
	standard->Directory = folder;
}

static void FSFillNetwork(FILE_NETWORK_OPEN_INFORMATION *network, const struct fs_file *file)
{
	RtlZeroMemory(network, sizeof(*network));
	network->CreationTime.QuadPart = (LONGLONG)file->created;
	network->LastAccessTime.QuadPart = (LONGLONG)file->accessed;
	network->LastWriteTime.QuadPart = (LONGLONG)file->written;
	network->ChangeTime.QuadPart = (LONGLONG)file->changed;
	network->AllocationSize.QuadPart = (LONGLONG)file->allocated;
	network->EndOfFile.QuadPart = (LONGLONG)file->size;
	network->FileAttributes = file->attributes != 0 ? file->attributes : FILE_ATTRIBUTE_NORMAL;
}

/* The name, as much as there is room for; room has the fixed part. */
static NTSTATUS FSFillName(FILE_NAME_INFORMATION *name, ULONG room, const struct fs_path *path, ULONG *used)
{
	ULONG fixed = FIELD_OFFSET(FILE_NAME_INFORMATION, FileName), copied = room - fixed;

	if (copied > path->length)
		copied = path->length;
	name->FileNameLength = path->length;
	RtlCopyMemory(name->FileName, path->text, copied);
	*used = fixed + copied;
	return copied < path->length ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

static NTSTATUS FSFillAll(FILE_ALL_INFORMATION *all, ULONG room, const struct fs_ccb *ccb, const struct fs_file *file,
			  const struct fs_path *path, ULONG *used)
{
	ULONG fixed = FIELD_OFFSET(FILE_ALL_INFORMATION, NameInformation);
	NTSTATUS status;

	RtlZeroMemory(all, fixed);
	FSFillBasic(&all->BasicInformation, file);
	FSFillStandard(&all->StandardInformation, ccb->fcb, file);
	all->InternalInformation.IndexNumber.QuadPart = (LONGLONG)ccb->fcb->node;
	all->AccessInformation.AccessFlags = ccb->granted;
	if (ccb->object != NULL)
		all->PositionInformation.CurrentByteOffset = ccb->object->CurrentByteOffset;
	status = FSFillName(&all->NameInformation, room - fixed, path, used);
	*used += fixed;
	return status;
}

/* A file has one stream, a folder none. */
static NTSTATUS FSFillStream(FILE_STREAM_INFORMATION *stream, ULONG room, const struct fs_file *file, ULONG *used)
{
	static const WCHAR name[] = L"::$DATA";
	ULONG length = sizeof(name) - sizeof(WCHAR), whole = FIELD_OFFSET(FILE_STREAM_INFORMATION, StreamName) + length;

	*used = 0;
	if (file->attributes & FILE_ATTRIBUTE_DIRECTORY)
		return STATUS_SUCCESS;
	if (room < whole)
		return STATUS_BUFFER_OVERFLOW;
	RtlZeroMemory(stream, whole);
	stream->StreamNameLength = length;
	stream->StreamSize.QuadPart = (LONGLONG)file->size;
	stream->StreamAllocationSize.QuadPart = (LONGLONG)file->allocated;
	RtlCopyMemory(stream->StreamName, name, length);
	*used = whole;
	return STATUS_SUCCESS;
}

struct fs_file_id {
	uint64_t volume;
	uint8_t file[16];
};

/* How much room a class needs; 0: it is none of ours. */
static ULONG FSQueryRoom(ULONG class)
{
	switch (class) {
	case FileBasicInformation:
		return sizeof(FILE_BASIC_INFORMATION);
	case FileStandardInformation:
		return sizeof(FILE_STANDARD_INFORMATION);
	case FileNetworkOpenInformation:
		return sizeof(FILE_NETWORK_OPEN_INFORMATION);
	case FileInternalInformation:
		return sizeof(FILE_INTERNAL_INFORMATION);
	case FileEaInformation:
		return sizeof(FILE_EA_INFORMATION);
	case FilePositionInformation:
		return sizeof(FILE_POSITION_INFORMATION);
	case FileAttributeTagInformation:
		return sizeof(FILE_ATTRIBUTE_TAG_INFORMATION);
	case FileCompressionInformation:
		return sizeof(FILE_COMPRESSION_INFORMATION);
	case FileNameInformation:
	case FS_CLASS_NORMALIZED_NAME:
		return FIELD_OFFSET(FILE_NAME_INFORMATION, FileName);
	case FileAllInformation:
		return FIELD_OFFSET(FILE_ALL_INFORMATION, NameInformation) +
		       FIELD_OFFSET(FILE_NAME_INFORMATION, FileName);
	case FileStreamInformation:
		return 1;
	case FS_CLASS_ID:
		return sizeof(struct fs_file_id);
	default:
		return 0;
	}
}

static BOOLEAN FSQueryAsks(ULONG class)
{
	return class == FileBasicInformation || class == FileStandardInformation ||
	       class == FileNetworkOpenInformation || class == FileAttributeTagInformation ||
	       class == FileCompressionInformation || class == FileAllInformation || class == FileStreamInformation;
}

/* The buffer has FSQueryRoom(class) bytes at least. */
static NTSTATUS FSQueryFill(struct fs_ccb *ccb, ULONG class, void *buffer, ULONG room, ULONG_PTR *information)
{
	struct fs_path *path = FSFcbPath(ccb->fcb);
	struct fs_file file;
	ULONG used = FSQueryRoom(class);
	NTSTATUS status = STATUS_SUCCESS;

	FSFilesLock(ccb->drive);
	file = ccb->fcb->file;
	FSFilesUnlock(ccb->drive);
	switch (class) {
	case FileBasicInformation:
		FSFillBasic(buffer, &file);
		break;
	case FileStandardInformation:
		FSFillStandard(buffer, ccb->fcb, &file);
		break;
	case FileNetworkOpenInformation:
		FSFillNetwork(buffer, &file);
		break;
	case FileInternalInformation:
		((FILE_INTERNAL_INFORMATION *)buffer)->IndexNumber.QuadPart = (LONGLONG)ccb->fcb->node;
		break;
	case FileEaInformation:
		((FILE_EA_INFORMATION *)buffer)->EaSize = 0;
		break;
	case FilePositionInformation:
		((FILE_POSITION_INFORMATION *)buffer)->CurrentByteOffset.QuadPart =
			ccb->object != NULL ? ccb->object->CurrentByteOffset.QuadPart : 0;
		break;
	case FileAttributeTagInformation:
		((FILE_ATTRIBUTE_TAG_INFORMATION *)buffer)->FileAttributes = file.attributes;
		((FILE_ATTRIBUTE_TAG_INFORMATION *)buffer)->ReparseTag = file.reparse_tag;
		break;
	case FileCompressionInformation:
		RtlZeroMemory(buffer, used);
		((FILE_COMPRESSION_INFORMATION *)buffer)->CompressedFileSize.QuadPart = (LONGLONG)file.allocated;
		break;
	case FileNameInformation:
	case FS_CLASS_NORMALIZED_NAME:
		status = FSFillName(buffer, room, path, &used);
		break;
	case FileAllInformation:
		status = FSFillAll(buffer, room, ccb, &file, path, &used);
		break;
	case FileStreamInformation:
		status = FSFillStream(buffer, room, &file, &used);
		break;
	default: { /* FS_CLASS_ID */
		struct fs_file_id *id = buffer;

		RtlZeroMemory(id, sizeof(*id));
		id->volume = ccb->drive->number;
		RtlCopyMemory(id->file, &ccb->fcb->node, sizeof(ccb->fcb->node));
		break;
	}
	}
	FSPathRelease(path);
	*information = used;
	return status;
}

static NTSTATUS FSQueryDone(struct fs_pending *p, const struct fs_answer *answer)
{
	if (NT_SUCCESS(answer->status))
		FSFcbUpdate(p->ccb->fcb, &answer->response->file);
	if (p->irp == NULL)
		return STATUS_CANCELLED;
	if (!NT_SUCCESS(answer->status))
		return answer->status;
	return FSQueryFill(p->ccb, p->operation, p->buffer, p->room, &p->information);
}

NTSTATUS FSVolumeQueryInformation(struct fs_call *call)
{
	ULONG class = call->stack->Parameters.QueryFile.FileInformationClass, need = FSQueryRoom(class);
	struct fs_pending *p;
	struct fs_ccb *ccb;
	NTSTATUS status = FSCcbOfFile(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (need == 0)
		return STATUS_INVALID_PARAMETER;
	if (call->stack->Parameters.QueryFile.Length < need || call->irp->AssociatedIrp.SystemBuffer == NULL)
		return STATUS_INFO_LENGTH_MISMATCH;
	if (!FSQueryAsks(class))
		return FSQueryFill(ccb, class, call->irp->AssociatedIrp.SystemBuffer,
				   call->stack->Parameters.QueryFile.Length, &call->irp->IoStatus.Information);
	status = FSRequestMake(call->drive, ccb, call->irp, FS_QUERY_FILE, FSQueryDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->operation = class;
	p->buffer = call->irp->AssociatedIrp.SystemBuffer;
	p->room = call->stack->Parameters.QueryFile.Length;
	return FSRequestSend(call, p);
}

/* --- Set -------------------------------------------------------------------------------------------------- */

static NTSTATUS FSSetDone(struct fs_pending *p, const struct fs_answer *answer)
{
	if (!NT_SUCCESS(answer->status))
		return answer->status;
	FSFcbUpdate(p->ccb->fcb, &answer->response->file);
	FSNotifyFile(p->ccb->fcb,
		     p->request.type == FS_SET_SIZE
			     ? FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE
			     : FILE_NOTIFY_CHANGE_ATTRIBUTES | FILE_NOTIFY_CHANGE_LAST_WRITE |
				       FILE_NOTIFY_CHANGE_LAST_ACCESS | FILE_NOTIFY_CHANGE_CREATION,
		     FILE_ACTION_MODIFIED);
	return STATUS_SUCCESS;
}

/* -1 and -2 tell the file system when to leave times alone; the service sets them by itself, or not. */
static BOOLEAN FSSetTime(LARGE_INTEGER from, uint64_t *to)
{
	*to = from.QuadPart > 0 ? (uint64_t)from.QuadPart : 0;
	return from.QuadPart >= -2;
}

static NTSTATUS FSSetBasic(struct fs_call *call, struct fs_ccb *ccb)
{
	const FILE_BASIC_INFORMATION *basic = call->irp->AssociatedIrp.SystemBuffer;
	BOOLEAN folder = FSFcbIsFolder(ccb->fcb);
	struct fs_set_basic set = {.attributes = basic->FileAttributes & FILE_ATTRIBUTE_VALID_SET_FLAGS};
	struct fs_pending *p;
	NTSTATUS status;

	if (!FSSetTime(basic->CreationTime, &set.created) || !FSSetTime(basic->LastAccessTime, &set.accessed) ||
	    !FSSetTime(basic->LastWriteTime, &set.written) || !FSSetTime(basic->ChangeTime, &set.changed))
		return STATUS_INVALID_PARAMETER;
	if (((basic->FileAttributes & FILE_ATTRIBUTE_DIRECTORY) && !folder) ||
	    ((basic->FileAttributes & FILE_ATTRIBUTE_TEMPORARY) && folder))
		return STATUS_INVALID_PARAMETER;
	/* 0 leaves the attributes; NORMAL by itself takes all away. */
	if (basic->FileAttributes != 0 && set.attributes == 0)
		set.attributes = FILE_ATTRIBUTE_NORMAL;
	status = FSRequestMake(call->drive, ccb, call->irp, FS_SET_BASIC, FSSetDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->request.u.basic = set;
	return FSRequestSend(call, p);
}

static NTSTATUS FSSetSize(struct fs_call *call, struct fs_ccb *ccb, uint32_t what)
{
	/* Both structs are one 64-bit number. */
	LARGE_INTEGER size = ((const FILE_END_OF_FILE_INFORMATION *)call->irp->AssociatedIrp.SystemBuffer)->EndOfFile;
	struct fs_fcb *fcb = ccb->fcb;
	struct fs_pending *p;
	NTSTATUS status;

	if (size.QuadPart < 0 || FSFcbIsFolder(fcb))
		return STATUS_INVALID_PARAMETER;
	/* Only a cache that writes late says this. */
	if (what == FS_SIZE_END && call->stack->Parameters.SetFile.AdvanceOnly)
		return STATUS_SUCCESS;
	if ((FSCacheUsed(fcb) || fcb->section.ImageSectionObject != NULL) &&
	    (uint64_t)size.QuadPart < (uint64_t)fcb->header.FileSize.QuadPart &&
	    !MmCanFileBeTruncated(&fcb->section, &size))
		return STATUS_USER_MAPPED_FILE;
	status = FSOplockCheck(call, fcb);
	if (status == STATUS_PENDING || !NT_SUCCESS(status))
		return status;
	status = FSRequestMake(call->drive, ccb, call->irp, FS_SET_SIZE, FSSetDone, &p);
	if (!NT_SUCCESS(status))
		return status;
	p->request.u.set_size.size = (uint64_t)size.QuadPart;
	p->request.u.set_size.what = what;
	return FSRequestSend(call, p);
}

static NTSTATUS FSSetPosition(struct fs_call *call)
{
	const FILE_POSITION_INFORMATION *position = call->irp->AssociatedIrp.SystemBuffer;

	if (position->CurrentByteOffset.QuadPart < 0)
		return STATUS_INVALID_PARAMETER;
	call->stack->FileObject->CurrentByteOffset = position->CurrentByteOffset;
	return STATUS_SUCCESS;
}

static ULONG FSSetRoom(ULONG class)
{
	switch (class) {
	case FileBasicInformation:
		return sizeof(FILE_BASIC_INFORMATION);
	case FileEndOfFileInformation:
	case FileAllocationInformation:
		return sizeof(FILE_END_OF_FILE_INFORMATION);
	case FilePositionInformation:
		return sizeof(FILE_POSITION_INFORMATION);
	case FileDispositionInformation:
		return sizeof(FILE_DISPOSITION_INFORMATION);
	case FS_CLASS_DISPOSITION_EX:
		return sizeof(ULONG);
	case FileRenameInformation:
	case FileLinkInformation:
	case FS_CLASS_RENAME_EX:
	case FS_CLASS_LINK_EX:
		return FIELD_OFFSET(FILE_RENAME_INFORMATION, FileName);
	default:
		return 0;
	}
}

NTSTATUS FSVolumeSetInformation(struct fs_call *call)
{
	ULONG class = call->stack->Parameters.SetFile.FileInformationClass, need = FSSetRoom(class);
	struct fs_ccb *ccb;
	NTSTATUS status = FSCcbOfFile(call, &ccb);

	if (!NT_SUCCESS(status))
		return status;
	if (need == 0)
		return STATUS_INVALID_PARAMETER;
	if (call->stack->Parameters.SetFile.Length < need || call->irp->AssociatedIrp.SystemBuffer == NULL)
		return STATUS_INFO_LENGTH_MISMATCH;
	if (class == FilePositionInformation)
		return FSSetPosition(call);
	if (call->drive->flags & FS_DISK_READ_ONLY)
		return STATUS_MEDIA_WRITE_PROTECTED;
	switch (class) {
	case FileBasicInformation:
		return FSSetBasic(call, ccb);
	case FileEndOfFileInformation:
		return FSSetSize(call, ccb, FS_SIZE_END);
	case FileAllocationInformation:
		return FSSetSize(call, ccb, FS_SIZE_ALLOCATION);
	case FileDispositionInformation:
	case FS_CLASS_DISPOSITION_EX:
		return FSDisposition(call, ccb, class);
	default:
		return FSRename(call, ccb, class);
	}
}
