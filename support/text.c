/* SPDX-License-Identifier: MIT */
#include "support/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool text_copy(char *out, size_t size, const char *in)
{
	size_t length = strlen(in);
	bool fits = length < size;

	if (!fits)
		length = size - 1;
	memcpy(out, in, length);
	out[length] = '\0';
	return fits;
}

bool text_format(char *out, size_t size, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(out, size, format, arguments);
	va_end(arguments);
	return length >= 0 && (size_t)length < size;
}

char *text_duplicate(const char *in)
{
	size_t size;
	char *out;

	if (!in)
		return NULL;
	size = strlen(in) + 1;
	out = malloc(size);
	if (out)
		memcpy(out, in, size);
	return out;
}

bool text_starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_path_within(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	while (length > 0 && folder[length - 1] == '/')
		length--;
	return strncmp(path, folder, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

void text_printable(char *out, size_t size, const char *in)
{
	size_t i;

	for (i = 0; i + 1 < size && in[i]; i++) {
		unsigned char c = (unsigned char)in[i];

		out[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	out[i] = '\0';
}

int text_parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = {"", "yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0) {
			*out = true;
			return 0;
		}
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (strcmp(text, no[i]) == 0) {
			*out = false;
			return 0;
		}
	}
	return -EINVAL;
}

/* Digits from *text on; *text is left behind them. */
static int parse_digits(const char **text, uint64_t maximum, uint64_t *out)
{
	uint64_t value = 0;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	for (; **text >= '0' && **text <= '9'; (*text)++) {
		uint64_t digit = (uint64_t)(**text - '0');

		if (digit > maximum || value > (maximum - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	*out = value;
	return 0;
}

int text_parse_number(const char *text, uint64_t maximum, uint64_t *out)
{
	uint64_t value;
	int ret = parse_digits(&text, maximum, &value);

	if (ret)
		return ret;
	if (*text)
		return -EINVAL;
	*out = value;
	return 0;
}

int text_parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	uint64_t value;
	unsigned shift = 0;
	int ret = parse_digits(&text, UINT64_MAX, &value);

	if (ret)
		return ret;
	if (*text) {
		const char *unit = strchr(units, *text | 0x20);

		if (!unit || text[1])
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*out = value << shift;
	return 0;
}

int text_parse_seconds(const char *text, uint64_t *out)
{
	const uint64_t second = 1000000000u;
	uint64_t whole, fraction = 0, unit = second;
	int ret = parse_digits(&text, 1000000000u, &whole);

	if (ret)
		return ret;
	if (*text == '.') {
		text++;
		if (*text < '0' || *text > '9')
			return -EINVAL;
		for (; *text >= '0' && *text <= '9'; text++) {
			unit /= 10;
			fraction += unit * (uint64_t)(*text - '0');
		}
	}
	if (*text)
		return -EINVAL;
	*out = whole * second + fraction;
	return 0;
}

void text_uuid(char out[TEXT_UUID_SIZE], const uint8_t random[16])
{
	uint8_t b[16];

	memcpy(b, random, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, TEXT_UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		 b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}
