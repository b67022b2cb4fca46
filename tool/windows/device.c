/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>

#include "support/text.h"
#include "tool/windows/command.h"

#define WIDE(text)    WIDE_OF(text)
#define WIDE_OF(text) L##text
#define DEVICE_NAME   L"\\\\.\\" WIDE(FS_CONTROL_NAME)

bool device_letter(const char *text, uint16_t *letter)
{
	if (!isalpha((unsigned char)text[0]) || text[1] != ':' || (text[2] && strcmp(text + 2, "\\") != 0))
		return false;
	*letter = (uint16_t)toupper((unsigned char)text[0]);
	return true;
}

DWORD device_open(HANDLE *out)
{
	*out = CreateFileW(DEVICE_NAME, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
			   OPEN_EXISTING, 0, NULL);
	return *out == INVALID_HANDLE_VALUE ? GetLastError() : 0;
}

DWORD device_control(HANDLE device, DWORD code, const void *in, DWORD in_length, void *out, DWORD out_length,
		     DWORD *got)
{
	DWORD count = 0, error = 0;

	if (!DeviceIoControl(device, code, (void *)in, in_length, out, out_length, &count, NULL))
		error = GetLastError();
	if (got)
		*got = count;
	return error;
}

DWORD device_disks(HANDLE device, struct fs_disk disks[FS_DISKS_MAX], size_t *count)
{
	DWORD got,
		error = device_control(device, IOCTL_FS_GET_DISKS, NULL, 0, disks, FS_DISKS_MAX * sizeof(*disks), &got);

	*count = error ? 0 : got / sizeof(*disks);
	return error;
}

void device_error_text(DWORD error, char *out, size_t size)
{
	wchar_t wide[512];
	DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
					      FORMAT_MESSAGE_MAX_WIDTH_MASK,
				      NULL, error, 0, wide, sizeof(wide) / sizeof(wide[0]), NULL);

	while (length && (wide[length - 1] == L' ' || wide[length - 1] == L'.'))
		length--;
	if (length)
		text_from(out, size, (const uint16_t *)wide, length);
	else
		text_format(out, size, "error %lu of Windows", error);
}

int device_complain(DWORD error)
{
	char text[512];

	if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND)
		return complain("the driver does not run: as administrator, driveway install");
	if (error == ERROR_ACCESS_DENIED)
		return complain(
			"only an administrator may do that: run it from a prompt that was opened as administrator");
	device_error_text(error, text, sizeof(text));
	return complain("the driver refuses: %s", text);
}
