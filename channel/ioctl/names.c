/* SPDX-License-Identifier: MIT */
#include "channel/ioctl/names.h"

#include <string.h>

#define PRIVATE 0xf000u

/* Cannot be anywhere in a name of Windows. */
static bool is_forbidden(uint32_t c)
{
	return c < 0x20 || (c < 0x80 && strchr("\"*/:<>?\\|", (int)c));
}

/* One of the characters that stand for a byte: which; or 0. */
static uint8_t stands_for(uint32_t c)
{
	uint8_t byte = (uint8_t)(c & 0xff);

	if ((c & 0xff00) != PRIVATE || c > 0xffff || byte == 0 || byte == '/')
		return 0;
	return byte >= 0x80 || is_forbidden(byte) || byte == ' ' || byte == '.' ? byte : 0;
}

/*
 * The character that text begins with and its length in bytes; a length of 0 where there is none in shortest form.
 * Surrogates are let through: unpaired ones are in use.
 */
static uint32_t decode(const char *text, size_t length, size_t *size)
{
	const uint8_t *p = (const uint8_t *)text;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c;
	size_t n;

	*size = 0;
	if (p[0] < 0x80)
		n = 1, c = p[0];
	else if (p[0] >= 0xc2 && p[0] < 0xe0)
		n = 2, c = p[0] & 0x1f;
	else if (p[0] >= 0xe0 && p[0] < 0xf0)
		n = 3, c = p[0] & 0x0f;
	else if (p[0] >= 0xf0 && p[0] < 0xf5)
		n = 4, c = p[0] & 0x07;
	else
		return 0;
	if (n > length)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff)
		return 0;
	*size = n;
	return c;
}

static size_t encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* name_to_windows and text_to_windows; as a name: what Windows has no names with is replaced. */
static size_t widen(const char *text, size_t length, bool is_name, uint16_t *out, size_t room)
{
	size_t units = 0;
	bool high = false; /* an unpaired first surrogate came just before */

	for (size_t at = 0, size; at < length; at += size) {
		uint32_t c = decode(text + at, length - at, &size);
		bool is_high = size == 3 && c >= 0xd800 && c < 0xdc00;
		bool pairs = high && size == 3 && c >= 0xdc00 && c < 0xe000;

		if (units + 2 > room && (units == room || c >= 0x10000))
			return SIZE_MAX;
		high = is_high;
		if (size == 0 || pairs || stands_for(c)) {
			/* Not UTF-8, or not in the one way that is ours: byte by byte. */
			size = 1;
			out[units++] = (uint16_t)(PRIVATE | (uint8_t)text[at]);
		} else if (is_name ? is_forbidden(c) || (at + 1 == length && (c == '.' || c == ' ')) : c == '\\') {
			out[units++] = (uint16_t)(PRIVATE | c);
		} else if (c >= 0x10000) {
			out[units++] = (uint16_t)(0xd7c0 + (c >> 10));
			out[units++] = (uint16_t)(0xdc00 | (c & 0x3ff));
		} else {
			out[units++] = (uint16_t)(!is_name && c == '/' ? '\\' : c);
		}
	}
	return units;
}

/* The other way. */
static size_t narrow(const uint16_t *text, size_t units, bool is_name, char *out, size_t room)
{
	size_t length = 0;

	for (size_t i = 0; i < units; i++) {
		uint32_t c = text[i];
		uint8_t byte = stands_for(c);
		char bytes[4];
		size_t size;

		if (c == 0 || (is_name && is_forbidden(c)))
			return SIZE_MAX;
		if (!is_name && c == '\\')
			c = '/';
		if (c >= 0xd800 && c < 0xdc00 && i + 1 < units && text[i + 1] >= 0xdc00 && text[i + 1] < 0xe000)
			c = 0x10000 + ((c - 0xd800) << 10) + (text[++i] - 0xdc00u);
		if (byte) {
			bytes[0] = (char)byte;
			size = 1;
		} else {
			size = encode(c, bytes);
		}
		if (size > room - length)
			return SIZE_MAX;
		memcpy(out + length, bytes, size);
		length += size;
	}
	return length;
}

size_t name_to_windows(const char *name, size_t length, uint16_t out[NAME_UNITS])
{
	/* Never more units than bytes. */
	return widen(name, length > NAME_BYTES ? NAME_BYTES : length, true, out, NAME_UNITS);
}

bool name_from_windows(const uint16_t *name, size_t units, char out[NAME_BYTES + 1])
{
	size_t length = narrow(name, units, true, out, NAME_BYTES);

	if (length == 0 || length == SIZE_MAX)
		return false;
	out[length] = '\0';
	return strcmp(out, ".") != 0 && strcmp(out, "..") != 0;
}

int text_from_windows(const uint16_t *text, size_t units, char *out, size_t room)
{
	size_t length = room ? narrow(text, units, false, out, room - 1) : SIZE_MAX;

	if (length == SIZE_MAX)
		return -1;
	out[length] = '\0';
	return (int)length;
}

int text_to_windows(const char *text, size_t length, uint16_t *out, size_t room)
{
	size_t units = widen(text, length, false, out, room);

	return units == SIZE_MAX ? -1 : (int)units;
}

bool name_same(const char *a, const char *b)
{
	uint16_t wide_a[NAME_UNITS], wide_b[NAME_UNITS];
	size_t units = name_to_windows(a, strlen(a), wide_a);

	if (name_to_windows(b, strlen(b), wide_b) != units)
		return false;
	for (size_t i = 0; i < units; i++)
		if (name_fold(wide_a[i]) != name_fold(wide_b[i]))
			return false;
	return true;
}

uint32_t name_hash(const char *name)
{
	uint16_t wide[NAME_UNITS];
	size_t units = name_to_windows(name, strlen(name), wide);
	uint32_t hash = 0x811c9dc5u;

	for (size_t i = 0; i < units; i++)
		hash = (hash ^ name_fold(wide[i])) * 0x01000193u;
	return hash ^ hash >> 15;
}
