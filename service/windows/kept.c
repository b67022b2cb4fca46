/* SPDX-License-Identifier: MIT */
#include "service/windows/kept.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <windows.h>
#include <winioctl.h>

#include "support/text.h"

static bool widen(const char *text, wchar_t out[MAX_PATH])
{
	return MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, out, MAX_PATH) > 0;
}

static bool path_of(const struct kept_folder *folder, const char *name, wchar_t out[MAX_PATH])
{
	char path[MAX_PATH];

	return text_format(path, sizeof(path), "%s\\%s.kept", folder->path, name) && widen(path, out);
}

static void remove_all(const struct kept_folder *folder)
{
	wchar_t pattern[MAX_PATH], path[MAX_PATH];
	WIN32_FIND_DATAW found;
	HANDLE search;
	char name[MAX_PATH], whole[MAX_PATH];

	if (!path_of(folder, "*", pattern))
		return;
	search = FindFirstFileW(pattern, &found);
	if (search == INVALID_HANDLE_VALUE)
		return;
	do {
		if (WideCharToMultiByte(CP_UTF8, 0, found.cFileName, -1, name, sizeof(name), NULL, NULL) > 0 &&
		    text_format(whole, sizeof(whole), "%s\\%s", folder->path, name) && widen(whole, path))
			DeleteFileW(path);
	} while (FindNextFileW(search, &found));
	FindClose(search);
}

int kept_open(struct kept_folder *folder, const char *path, bool fresh)
{
	wchar_t wide[MAX_PATH];

	memset(folder, 0, sizeof(*folder));
	if (!text_copy(folder->path, sizeof(folder->path), path) || !widen(path, wide))
		return -ENAMETOOLONG;
	if (!CreateDirectoryW(wide, NULL) && GetLastError() != ERROR_ALREADY_EXISTS)
		return -EIO;
	if (fresh)
		remove_all(folder);
	return 0;
}

static bool name_is_sound(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > 31)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
			return false;
	return true;
}

static void region_close(struct kept_region *region)
{
	if (region->address)
		UnmapViewOfFile(region->address);
	if (region->mapping)
		CloseHandle(region->mapping);
	if (region->file && region->file != INVALID_HANDLE_VALUE)
		CloseHandle(region->file);
	memset(region, 0, sizeof(*region));
}

static int region_open(struct kept_region *region, const wchar_t *path, bool *fresh)
{
	LARGE_INTEGER size;
	DWORD done;

	region->file = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ, NULL, OPEN_ALWAYS,
				   FILE_ATTRIBUTE_TEMPORARY, NULL);
	if (region->file == INVALID_HANDLE_VALUE || !GetFileSizeEx(region->file, &size))
		return -EIO;
	*fresh = size.QuadPart == 0;
	if (!*fresh && (uint64_t)size.QuadPart != region->size)
		return -EINVAL;
	/* Where files cannot be sparse, it costs disk space. */
	if (*fresh)
		(void)DeviceIoControl(region->file, FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &done, NULL);
	region->mapping = CreateFileMappingW(region->file, NULL, PAGE_READWRITE, (DWORD)(region->size >> 32),
					     (DWORD)region->size, NULL);
	if (!region->mapping)
		return GetLastError() == ERROR_DISK_FULL ? -ENOSPC : -EIO;
	region->address = MapViewOfFile(region->mapping, FILE_MAP_ALL_ACCESS, 0, 0, 0);
	return region->address ? 0 : -ENOMEM;
}

int kept_map(struct kept_folder *folder, const char *name, uint64_t size, void **address, bool *fresh)
{
	struct kept_region *region = folder->region;
	wchar_t path[MAX_PATH];
	int error;

	if (!name_is_sound(name) || size == 0 || size > INT64_MAX)
		return -EINVAL;
	for (; region < folder->region + folder->count; region++) {
		if (strcmp(region->name, name) != 0)
			continue;
		*fresh = false;
		*address = region->address;
		return region->size == size ? 0 : -EINVAL;
	}
	if (folder->count == KEPT_REGIONS)
		return -ENOSPC;
	if (!path_of(folder, name, path) || !text_copy(region->name, sizeof(region->name), name))
		return -ENAMETOOLONG;
	region->size = size;
	error = region_open(region, path, fresh);
	if (error) {
		region_close(region);
		return error;
	}
	*address = region->address;
	folder->count++;
	return 0;
}

void kept_close(struct kept_folder *folder, bool remove)
{
	wchar_t path[MAX_PATH];

	for (unsigned i = 0; i < folder->count; i++)
		region_close(&folder->region[i]);
	folder->count = 0;
	if (!remove)
		return;
	remove_all(folder);
	if (widen(folder->path, path))
		RemoveDirectoryW(path);
}
