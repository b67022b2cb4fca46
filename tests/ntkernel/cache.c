/* SPDX-License-Identifier: MIT */
/*
 * cache.c - memory descriptor lists, sections, and what Cc and Mm tell a file system
 *
 * A section holds what its mapping has changed, as ranges of bytes; a flush writes them by paging I/O, and waits. A
 * purge drops them, or fails while a program has the file mapped.
 */
#include "internal.h"

struct dirty {
	struct dirty *next;
	LONGLONG offset;
	ULONG length;
	char data[];
};

struct section {
	SECTION_OBJECT_POINTERS *pointers;
	bool image, mapped;
	struct dirty *dirty;
	struct section *next;
	struct nt_file *file; /* referenced */
};

static struct section *sections;
static unsigned long flushes, purges;

/* --- MDLs ------------------------------------------------------------------------------------------------ */

PMDL IoAllocateMdl(PVOID address, ULONG size, BOOLEAN secondary, BOOLEAN quota, PIRP irp)
{
	PMDL mdl;

	if (current()->irql > DISPATCH_LEVEL)
		nt_fail("IoAllocateMdl at IRQL %u", current()->irql);
	if (fault())
		return NULL;
	mdl = take(sizeof(*mdl));
	*mdl = (MDL){.ByteCount = size,
		     .StartVa = (void *)((uintptr_t)address & ~0xfffULL),
		     .ByteOffset = (ULONG)((uintptr_t)address & 0xfff),
		     .magic = MAGIC_MDL};
	counts.mdls++;
	if (irp && !secondary)
		irp->MdlAddress = mdl;
	return mdl;
}

void mdl_check(PMDL mdl)
{
	if (mdl->magic != MAGIC_MDL)
		nt_fail("an MDL was never allocated, or is freed");
}

void IoFreeMdl(PMDL mdl)
{
	mdl_check(mdl);
	if (mdl->MdlFlags & MDL_PAGES_LOCKED)
		nt_fail("IoFreeMdl: the pages are locked");
	mdl->magic = 0;
	counts.mdls--;
	free(mdl);
}

PVOID MmGetMdlVirtualAddress(PMDL mdl)
{
	return (char *)mdl->StartVa + mdl->ByteOffset;
}

void MmProbeAndLockPages(PMDL mdl, KPROCESSOR_MODE mode, LOCK_OPERATION operation)
{
	char *address = MmGetMdlVirtualAddress(mdl);

	mdl_check(mdl);
	if (current()->irql > DISPATCH_LEVEL || (mode == UserMode && current()->irql > APC_LEVEL))
		nt_fail("MmProbeAndLockPages at IRQL %u", current()->irql);
	if (mdl->MdlFlags & MDL_PAGES_LOCKED)
		nt_fail("MmProbeAndLockPages: they are locked already");
	if (!address || address_is_bad(address) || address_is_bad(address + mdl->ByteCount - 1) ||
	    (current()->guard && fault()))
		ExRaiseStatus(STATUS_ACCESS_VIOLATION);
	mdl->MdlFlags |= MDL_PAGES_LOCKED;
}

void MmUnlockPages(PMDL mdl)
{
	mdl_check(mdl);
	if (!(mdl->MdlFlags & MDL_PAGES_LOCKED))
		nt_fail("MmUnlockPages: they are not locked");
	mdl->MdlFlags &= ~(MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA);
}

void MmBuildMdlForNonPagedPool(PMDL mdl)
{
	mdl_check(mdl);
	mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
	mdl->MappedSystemVa = MmGetMdlVirtualAddress(mdl);
}

PVOID MmGetSystemAddressForMdlSafe(PMDL mdl, ULONG priority)
{
	mdl_check(mdl);
	if (current()->irql > DISPATCH_LEVEL)
		nt_fail("MmGetSystemAddressForMdlSafe at IRQL %u", current()->irql);
	if (!(mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)))
		nt_fail("MmGetSystemAddressForMdlSafe: the pages are not locked");
	if (!(mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) && fault())
		return NULL;
	mdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
	mdl->MappedSystemVa = MmGetMdlVirtualAddress(mdl);
	return mdl->MappedSystemVa;
}

void IoBuildPartialMdl(PMDL source, PMDL target, PVOID address, ULONG size)
{
	mdl_check(source);
	mdl_check(target);
	target->StartVa = (void *)((uintptr_t)address & ~0xfffULL);
	target->ByteOffset = (ULONG)((uintptr_t)address & 0xfff);
	target->ByteCount = size;
	target->MdlFlags |= MDL_PARTIAL;
}

/* --- Sections -------------------------------------------------------------------------------------------- */

static struct section *section_of(SECTION_OBJECT_POINTERS *pointers)
{
	struct section *section = sections;

	while (section && section->pointers != pointers)
		section = section->next;
	return section;
}

NTSTATUS nt_section_make(HANDLE handle, bool image, bool mapped)
{
	struct nt_file *file = nt_file_object(handle)->nt;
	struct section *section;

	if (!file->object.SectionObjectPointer)
		return STATUS_INVALID_FILE_FOR_SECTION;
	section = take(sizeof(*section));
	*section = (struct section){.pointers = file->object.SectionObjectPointer,
				    .image = image,
				    .mapped = mapped,
				    .next = sections,
				    .file = file};
	file->references++;
	sections = section;
	if (image)
		section->pointers->ImageSectionObject = section;
	else
		section->pointers->DataSectionObject = section;
	return STATUS_SUCCESS;
}

static void dirty_drop(struct section *section)
{
	while (section->dirty) {
		struct dirty *dirty = section->dirty;

		section->dirty = dirty->next;
		free(dirty);
	}
}

void nt_section_drop(FILE_OBJECT *file)
{
	struct section **link = &sections, *section;

	while (*link && (*link)->file != file->nt)
		link = &(*link)->next;
	section = *link;
	if (!section)
		nt_fail("the test drops a section that is not there");
	*link = section->next;
	section->pointers->ImageSectionObject = NULL;
	section->pointers->DataSectionObject = NULL;
	dirty_drop(section);
	free(section);
	file_dereference(file->nt);
}

void section_gone(struct nt_file *file)
{
}

void nt_section_dirty(FILE_OBJECT *file, LONGLONG offset, const void *data, ULONG length)
{
	struct section *section = section_of(file->SectionObjectPointer);
	struct dirty *dirty = take(sizeof(*dirty) + length);

	dirty->offset = offset;
	dirty->length = length;
	memcpy(dirty->data, data, length);
	dirty->next = section->dirty;
	section->dirty = dirty;
}

unsigned long nt_flushes(void)
{
	return flushes;
}

unsigned long nt_purges(void)
{
	return purges;
}

void CcFlushCache(PSECTION_OBJECT_POINTERS pointers, PLARGE_INTEGER offset, ULONG length, PIO_STATUS_BLOCK status)
{
	struct section *section = section_of(pointers);

	irql_at_most(APC_LEVEL, __func__);
	locks_none_held("while CcFlushCache is called", false);
	flushes++;
	if (status)
		*status = (IO_STATUS_BLOCK){.Status = STATUS_SUCCESS};
	while (section && section->dirty) {
		struct dirty *dirty = section->dirty;
		struct nt_request *request;
		NTSTATUS result;

		section->dirty = dirty->next;
		request = nt_page_out(&section->file->object, dirty->offset, dirty->data, dirty->length);
		if (!nt_wait(request))
			nt_fail("CcFlushCache: paging I/O does not end");
		result = nt_finish(request, NULL);
		free(dirty);
		if (!NT_SUCCESS(result) && status)
			status->Status = result;
	}
}

BOOLEAN CcPurgeCacheSection(PSECTION_OBJECT_POINTERS pointers, PLARGE_INTEGER offset, ULONG length, ULONG flags)
{
	struct section *section = section_of(pointers);

	irql_at_most(APC_LEVEL, __func__);
	purges++;
	if (!section)
		return TRUE;
	if (section->mapped)
		return FALSE;
	dirty_drop(section);
	return TRUE;
}

void CcCoherencyFlushAndPurgeCache(PSECTION_OBJECT_POINTERS pointers, PLARGE_INTEGER offset, ULONG length,
				   PIO_STATUS_BLOCK status, ULONG flags)
{
	CcFlushCache(pointers, offset, length, status);
	if (!(flags & CC_FLUSH_AND_PURGE_NO_PURGE))
		CcPurgeCacheSection(pointers, offset, length, 0);
}

void CcSetFileSizes(PFILE_OBJECT file, PCC_FILE_SIZES sizes)
{
	irql_at_most(APC_LEVEL, __func__);
}

BOOLEAN CcUninitializeCacheMap(PFILE_OBJECT file, PLARGE_INTEGER size, PVOID event)
{
	irql_at_most(APC_LEVEL, __func__);
	return FALSE;
}

BOOLEAN MmFlushImageSection(PSECTION_OBJECT_POINTERS pointers, MMFLUSH_TYPE type)
{
	struct section *section = section_of(pointers);

	irql_at_most(APC_LEVEL, __func__);
	return !section || !section->mapped || (!section->image && type == MmFlushForWrite);
}

BOOLEAN MmCanFileBeTruncated(PSECTION_OBJECT_POINTERS pointers, PLARGE_INTEGER size)
{
	struct section *section = section_of(pointers);

	irql_at_most(APC_LEVEL, __func__);
	return !section || !section->mapped;
}

BOOLEAN MmForceSectionClosed(PSECTION_OBJECT_POINTERS pointers, BOOLEAN delay)
{
	return section_of(pointers) == NULL;
}

BOOLEAN MmDoesFileHaveUserWritableReferences(PSECTION_OBJECT_POINTERS pointers)
{
	return section_of(pointers) != NULL;
}

/* --- FCB headers ----------------------------------------------------------------------------------------- */

void FsRtlSetupAdvancedHeader(PVOID header, PFAST_MUTEX mutex)
{
	FSRTL_ADVANCED_FCB_HEADER *h = header;

	h->Flags |= FSRTL_FLAG_ADVANCED_HEADER;
	h->Flags2 |= FSRTL_FLAG2_SUPPORTS_FILTER_CONTEXTS;
	h->Version = FSRTL_FCB_HEADER_V2;
	InitializeListHead(&h->FilterContexts);
	if (mutex)
		h->FastMutex = mutex;
}

void FsRtlTeardownPerStreamContexts(PFSRTL_ADVANCED_FCB_HEADER header)
{
	irql_at_most(APC_LEVEL, __func__);
}

void FsRtlTeardownPerFileContexts(PVOID *context)
{
	irql_at_most(APC_LEVEL, __func__);
}

NTSTATUS FsRtlRegisterFileSystemFilterCallbacks(PDRIVER_OBJECT driver, PFS_FILTER_CALLBACKS callbacks)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	return fault() ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;
}

NTSTATUS FsRtlNotifyVolumeEvent(PFILE_OBJECT file, ULONG event)
{
	irql_at_most(PASSIVE_LEVEL, __func__);
	return STATUS_SUCCESS;
}

NTSTATUS FsRtlValidateReparsePointBuffer(ULONG size, PREPARSE_DATA_BUFFER buffer)
{
	if (size < REPARSE_DATA_BUFFER_HEADER_SIZE || size > MAXIMUM_REPARSE_DATA_BUFFER_SIZE)
		return STATUS_IO_REPARSE_DATA_INVALID;
	if ((ULONG)REPARSE_DATA_BUFFER_HEADER_SIZE + buffer->ReparseDataLength != size &&
	    (IsReparseTagMicrosoft(buffer->ReparseTag) ||
	     (ULONG)REPARSE_GUID_DATA_BUFFER_HEADER_SIZE + buffer->ReparseDataLength != size))
		return STATUS_IO_REPARSE_DATA_INVALID;
	return STATUS_SUCCESS;
}
