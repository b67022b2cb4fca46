/* SPDX-License-Identifier: MIT */
/*
 * names.h - names and paths between a file system (bytes, mostly UTF-8) and Windows (16-bit units, mostly UTF-16)
 *
 * A name of the file system may be anything but '/' and NUL; one of Windows may not hold control characters nor any of
 * " * / : < > ? \ | , and programs lose a period or space at its end. Every name of the file system has a name on
 * Windows, and from that one it comes back as it was, byte for byte:
 *
 *    UTF-8                             its UTF-16
 *    what Windows cannot have          U+F000 + the character, as WSL and Cygwin do it: ':' is U+F03A; of periods and
 *                                      spaces only the one at the very end
 *    a byte that is not UTF-8          U+F080 to U+F0FF
 *    UTF-8 of one of those characters  its three bytes, each as one that is not UTF-8: so nothing is said twice
 *    an unpaired surrogate in UTF-8    itself
 *
 * and the other way round a name of Windows that holds an unpaired surrogate has it as three bytes. A name of Windows
 * without characters of U+F001 to U+F0FF comes back as it was, too. Names of the file system are 1 to 255 bytes long;
 * what would be longer is no name here.
 *
 * Two names are the same to Windows when they are equal in upper case, character by character, by Unicode's simple
 * mapping where it is one to one (name_fold), as the volume's table does it there. No state; any thread.
 */
#ifndef CHANNEL_IOCTL_NAMES_H
#define CHANNEL_IOCTL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_BYTES 255u
#define NAME_UNITS 255u /* that NAME_BYTES can come to */

uint16_t name_fold_other(uint16_t unit);

/* The upper-case form of one unit. */
static inline uint16_t name_fold(uint16_t unit)
{
	if (unit < 0x80)
		return unit >= 'a' && unit <= 'z' ? (uint16_t)(unit - 32) : unit;
	return name_fold_other(unit);
}

/* A name of the file system as Windows sees it: the units that it takes, at most NAME_UNITS. length: 1 to 255. */
size_t name_to_windows(const char *name, size_t length, uint16_t out[NAME_UNITS]);

/*
 * The other way: false for what is no name (empty, ".", "..", longer than 255 bytes, a character that Windows has no
 * names with). out receives a NUL too.
 */
bool name_from_windows(const uint16_t *name, size_t units, char out[NAME_BYTES + 1]);

/*
 * Text that is no name, such as the target of a link: as names, but what Windows cannot have in names is let through,
 * and a slash becomes a backslash or the other way. The length (without NUL) or -1 when room is too small.
 */
int text_from_windows(const uint16_t *text, size_t units, char *out, size_t room);
int text_to_windows(const char *text, size_t length, uint16_t *out, size_t room);

/* Are two names of the file system one to Windows? */
bool name_same(const char *a, const char *b);
/* Equal for names that are the same. */
uint32_t name_hash(const char *name);

#endif
