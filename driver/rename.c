// SPDX-License-Identifier: MIT
/*
 * rename.c - FileRenameInformation, FileLinkInformation, and their forms with flags
 *
 * The new name is the last one of what the program gave; the folder is that of the target's file object, which the I/O
 * manager has opened with SL_OPEN_TARGET_DIRECTORY, or the file's own when there is none.
 *
 * Paths are what open files are known by to the next service, so a folder is not renamed while something below it is
 * open. A target that is open is replaced by POSIX semantics only: its name goes, its handles live on. <= APC_LEVEL.
 */
#include "driver/driveway.h"

#define FS_RENAME_FLAG_REPLACE 1u
#define FS_RENAME_FLAG_POSIX   2u

static FSDone FSRenameDone;

static BOOLEAN FSPathSameFolder(const struct fs_path *a, const struct fs_path *b)
{
	UNICODE_STRING first = FSPathString(a), second = FSPathString(b);

	first.Length -= FSPathLast(a).Length;
	second.Length -= FSPathLast(b).Length;
	return RtlEqualUnicodeString(&first, &second, TRUE);
}

static void FSRenameReport(struct fs_pending *p)
{
	uint32_t filter = FSFcbIsFolder(p->ccb->fcb) ? FILE_NOTIFY_CHANGE_DIR_NAME : FILE_NOTIFY_CHANGE_FILE_NAME;
	BOOLEAN same = FSPathSameFolder(p->paths[0], p->paths[1]);

	if (p->request.u.rename.flags & FS_RENAME_LINK) {
		FSNotifyReport(p->drive, p->paths[1], filter, FILE_ACTION_ADDED);
		return;
	}
	FSNotifyReport(p->drive, p->paths[0], filter, same ? FILE_ACTION_RENAMED_OLD_NAME : FILE_ACTION_REMOVED);
	FSNotifyReport(p->drive, p->paths[1], filter, same ? FILE_ACTION_RENAMED_NEW_NAME : FILE_ACTION_ADDED);
}

static NTSTATUS FSRenameDone(struct fs_pending *p, const struct fs_answer *answer)
{
	struct fs_fcb *fcb = p->ccb->fcb, *target;

	if (!NT_SUCCESS(answer->status))
		return answer->status;
	FSFilesLock(p->drive);
	target = FSFcbFindPath(p->drive, p->paths[1]);
	if (target != NULL && target != fcb)
		target->deleted = TRUE;
	if (!(p->request.u.rename.flags & FS_RENAME_LINK)) {
		FSPathRelease(fcb->path);
		fcb->path = FSPathRetain(p->paths[1]);
	}
	FSFilesUnlock(p->drive);
	FSRenameReport(p);
	return STATUS_SUCCESS;
}

/* The whole new path. */
static NTSTATUS FSRenameTarget(struct fs_call *call, const struct fs_path *from, const FILE_RENAME_INFORMATION *rename,
			       struct fs_path **made)
{
	const FILE_OBJECT *target = call->stack->Parameters.SetFile.FileObject;
	const WCHAR *name = rename->FileName;
	uint32_t count = rename->FileNameLength / sizeof(WCHAR), at = count;
	struct fs_fcb *folder;
	struct fs_path *parent;

	*made = NULL;
	while (at > 0 && name[at - 1] != L'\\')
		at--;
	if (!FSNameValid(name + at, count - at))
		return STATUS_OBJECT_NAME_INVALID;
	if (target != NULL) {
		folder = target->FsContext;
		if (folder == NULL || folder->header.NodeTypeCode != FS_NODE_FCB || folder->drive != call->drive ||
		    folder->is_volume)
			return STATUS_NOT_SAME_DEVICE;
		parent = FSFcbPath(folder);
	} else {
		/* A name by itself stays in its folder. */
		if (at != 0)
			return STATUS_OBJECT_NAME_INVALID;
		parent = FSPathParent(from);
	}
	if (parent != NULL)
		*made = FSPathJoin(parent, name + at, (count - at) * sizeof(WCHAR));
	FSPathRelease(parent);
	return *made != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* files_lock is held. */
static NTSTATUS FSRenameAllowed(struct fs_fcb *fcb, const struct fs_path *from, const struct fs_path *to, ULONG flags,
				BOOLEAN link)
{
	struct fs_fcb *target = FSFcbFindPath(fcb->drive, to);

	if (fcb->delete_pending || fcb->deleted)
		return STATUS_DELETE_PENDING;
	if (FSFcbIsFolder(fcb)) {
		if (link)
			return STATUS_FILE_IS_A_DIRECTORY;
		if (FSPathBelow(to, from))
			return STATUS_INVALID_PARAMETER;
		if (FSFcbOpenBelow(fcb->drive, from))
			return STATUS_ACCESS_DENIED;
	}
	if (target == NULL || target == fcb)
		return STATUS_SUCCESS;
	if (!(flags & FS_RENAME_FLAG_REPLACE))
		return STATUS_OBJECT_NAME_COLLISION;
	return flags & FS_RENAME_FLAG_POSIX ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

NTSTATUS FSRename(struct fs_call *call, struct fs_ccb *ccb, ULONG class)
{
	const FILE_RENAME_INFORMATION *rename = call->irp->AssociatedIrp.SystemBuffer;
	ULONG room = call->stack->Parameters.SetFile.Length - FIELD_OFFSET(FILE_RENAME_INFORMATION, FileName), flags;
	BOOLEAN extended = class == FS_CLASS_RENAME_EX || class == FS_CLASS_LINK_EX,
		link = class == FileLinkInformation || class == FS_CLASS_LINK_EX;
	struct fs_path *from, *to;
	struct fs_pending *p;
	NTSTATUS status;

	if (rename->FileNameLength == 0 || rename->FileNameLength > room || rename->FileNameLength % sizeof(WCHAR) != 0)
		return STATUS_INVALID_PARAMETER;
	/* The flags lie where the older form has a byte. */
	flags = *(const ULONG *)rename;
	if (!extended)
		flags = *(const UCHAR *)rename != 0 ? FS_RENAME_FLAG_REPLACE : 0;
	status = FSOplockCheck(call, ccb->fcb);
	if (status == STATUS_PENDING || !NT_SUCCESS(status))
		return status;
	from = FSFcbPath(ccb->fcb);
	if (from->length <= sizeof(WCHAR)) { /* the root */
		FSPathRelease(from);
		return STATUS_ACCESS_DENIED;
	}
	status = FSRenameTarget(call, from, rename, &to);
	if (NT_SUCCESS(status)) {
		FSFilesLock(call->drive);
		status = FSRenameAllowed(ccb->fcb, from, to, flags, link);
		FSFilesUnlock(call->drive);
	}
	if (NT_SUCCESS(status))
		status = FSRequestMake(call->drive, ccb, call->irp, FS_RENAME, FSRenameDone, &p);
	if (NT_SUCCESS(status)) {
		p->paths[0] = FSPathRetain(from);
		p->paths[1] = FSPathRetain(to);
		p->request.u.rename.flags = (flags & FS_RENAME_FLAG_REPLACE ? FS_RENAME_REPLACE : 0) |
					    (link ? FS_RENAME_LINK : 0);
		FSRequestText(p, &p->request.u.rename.from, from->text, from->length);
		FSRequestText(p, &p->request.u.rename.to, to->text, to->length);
		status = FSRequestSend(call, p);
	}
	FSPathRelease(from);
	FSPathRelease(to);
	return status;
}
