/* SPDX-License-Identifier: MIT */
/*
 * names.c - which names are taken, and folding of case
 *
 * Case is folded for the letters of Latin, Greek and Cyrillic whose two forms lie at a fixed distance or side by side;
 * all of them take two bytes in UTF-8, in both forms. That is what a test of a service that folds needs, not all of
 * Unicode.
 */
#include "folder.h"

#include <errno.h>
#include <string.h>

/* Continues a sequence that begins as UTF-8 in at; its length, 0: no UTF-8. */
static size_t utf8_length(const unsigned char *at)
{
	size_t length = at[0] < 0x80   ? 1
			: at[0] < 0xc2 ? 0
			: at[0] < 0xe0 ? 2
			: at[0] < 0xf0 ? 3
			: at[0] < 0xf5 ? 4
				       : 0;

	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

static bool windows_takes(const char *name)
{
	size_t length = strlen(name);

	for (const unsigned char *at = (const unsigned char *)name; *at != '\0';) {
		size_t step = utf8_length(at);

		if (step == 0 || *at < 0x20 || *at == 0x7f || strchr("\\:*?\"<>|", *at) != NULL)
			return false;
		at += step;
	}
	return name[0] != ' ' && name[length - 1] != ' ' && name[length - 1] != '.';
}

int names_check(const struct folder *folder, const char *name)
{
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/') != NULL ||
	    strcmp(name, SIDE_NAME) == 0)
		return -EINVAL;
	return folder->windows_names && !windows_takes(name) ? -EINVAL : 0;
}

/* The small letter of a character of U+0080 to U+07FF. */
static unsigned fold_character(unsigned c)
{
	if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9 && c != 0x3a2) ||
	    (c >= 0x410 && c <= 0x42f))
		return c + 32;
	if (c >= 0x400 && c <= 0x40f)
		return c + 80;
	if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177) ||
	    (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f))
		return c | 1;
	if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
		return c + (c & 1);
	return c;
}

void names_fold(const struct folder *folder, const char *name, char *out)
{
	const unsigned char *in = (const unsigned char *)name;
	size_t at = 0;

	while (in[at] != '\0' && at < NAME_MAX) {
		if (folder->fold && in[at] >= 0xc2 && in[at] < 0xe0 && (in[at + 1] & 0xc0) == 0x80 &&
		    at + 1 < NAME_MAX) {
			unsigned c = fold_character((in[at] & 0x1fu) << 6 | (in[at + 1] & 0x3fu));

			out[at++] = (char)(0xc0 | c >> 6);
			out[at++] = (char)(0x80 | (c & 0x3f));
		} else {
			bool capital = folder->fold && in[at] >= 'A' && in[at] <= 'Z';

			out[at] = (char)(capital ? in[at] + 32 : in[at]);
			at++;
		}
	}
	out[at] = '\0';
}
