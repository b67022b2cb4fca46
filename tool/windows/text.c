/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "tool/windows/command.h"

wchar_t *text_wide(const char *text)
{
	int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
	wchar_t *wide = length > 0 ? malloc((size_t)length * sizeof(*wide)) : NULL;

	if (wide)
		MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, length);
	return wide;
}

char *text_narrow(const wchar_t *wide)
{
	int length = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, wide, -1, NULL, 0, NULL, NULL);
	char *text = length > 0 ? malloc((size_t)length) : NULL;

	if (text)
		WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, length, NULL, NULL);
	return text;
}

void text_from(char *out, size_t size, const uint16_t *wide, size_t units)
{
	int length = units ? WideCharToMultiByte(CP_UTF8, 0, (const wchar_t *)wide, (int)units, out, (int)size - 1,
						 NULL, NULL)
			   : 0;

	out[length] = '\0';
}

char *text_full_path(const char *path)
{
	wchar_t *wide = text_wide(path), *full = NULL;
	DWORD room = wide ? GetFullPathNameW(wide, 0, NULL, NULL) : 0, length;
	char *out = NULL;

	if (room)
		full = malloc(room * sizeof(*full));
	if (full) {
		length = GetFullPathNameW(wide, room, full, NULL);
		if (length && length < room)
			out = text_narrow(full);
	}
	free(full);
	free(wide);
	return out;
}
