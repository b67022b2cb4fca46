/* SPDX-License-Identifier: MIT */
#include "remotes/box/json.h"

#include "support/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Length of the valid UTF-8 sequence at text; 0: there is none. */
static size_t sequence_at(const unsigned char *text, size_t size)
{
	unsigned char c = text[0];
	size_t length = c < 0x80		? 1
			: c >= 0xc2 && c < 0xe0 ? 2
			: c >= 0xe0 && c < 0xf0 ? 3
			: c >= 0xf0 && c < 0xf5 ? 4
						: 0;

	if (!length || length > size)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f) || (c == 0xf0 && text[1] < 0x90) ||
	    (c == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

int box_hex_digit(char c)
{
	char lower = (char)(c | 32);

	if (c >= '0' && c <= '9')
		return c - '0';
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int hex4(const char *text, size_t size)
{
	int value = 0;

	if (size < 4)
		return -1;
	for (size_t i = 0; i < 4; i++) {
		int digit = box_hex_digit(text[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* Whether an escape \uXXXX at text is half of a pair without its other half; length: bytes that belong together. */
static bool lone_surrogate(const char *text, size_t size, size_t *length)
{
	int first = hex4(text + 2, size - 2), second;

	*length = 6;
	if (first < 0xd800 || first > 0xdfff)
		return false;
	if (first > 0xdbff || size < 12 || text[6] != '\\' || text[7] != 'u')
		return true;
	second = hex4(text + 8, size - 8);
	if (second < 0xdc00 || second > 0xdfff)
		return true;
	*length = 12;
	return false;
}

/* A copy in which everything that is no text became U+FFFD, which takes up to three bytes for one. */
static char *mended(const char *text, size_t size, size_t *out_size)
{
	static const unsigned char replacement[] = {0xef, 0xbf, 0xbd};
	char *out = size <= SIZE_MAX / 3 - 1 ? malloc(size * 3 + 1) : NULL;
	size_t at = 0;

	for (size_t i = 0; out && i < size;) {
		size_t length = sequence_at((const unsigned char *)text + i, size - i);

		if (text[i] == '\\' && size - i >= 2 && text[i + 1] != 'u') {
			length = 1 + sequence_at((const unsigned char *)text + i + 1, size - i - 1);
		} else if (text[i] == '\\' && size - i >= 6 && lone_surrogate(text + i, size - i, &length)) {
			memcpy(out + at, replacement, sizeof(replacement));
			at += sizeof(replacement);
			i += 6;
			continue;
		}
		if (!length) {
			memcpy(out + at, replacement, sizeof(replacement));
			at += sizeof(replacement);
			i++;
			continue;
		}
		length = length < size - i ? length : size - i;
		memcpy(out + at, text + i, length);
		at += length;
		i += length;
	}
	*out_size = at;
	return out;
}

json_t *box_json_parse(const char *text, size_t size)
{
	const size_t flags = JSON_ALLOW_NUL;
	json_t *json = json_loadb(text, size, flags, NULL);
	size_t better_size;
	char *better;

	if (json)
		return json;
	better = mended(text, size, &better_size);
	if (!better)
		return NULL;
	/* Integers of more than 64 bits are no reason to read nothing. */
	json = json_loadb(better, better_size, flags, NULL);
	if (!json)
		json = json_loadb(better, better_size, flags | JSON_DECODE_INT_AS_REAL, NULL);
	free(better);
	return json;
}

const char *box_json_text(const json_t *object, const char *key)
{
	const json_t *member = json_object_get(object, key);
	const char *text = json_string_value(member);

	return text && strlen(text) == json_string_length(member) ? text : NULL;
}

bool box_json_copy(const json_t *object, const char *key, char *out, size_t size)
{
	const json_t *member = json_object_get(object, key);
	const char *text = box_json_text(object, key);
	int length = -1;

	if (text)
		length = text_copy(out, size, text) ? 0 : -1;
	else if (json_is_integer(member))
		length = snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(member));
	else if (json_is_real(member))
		length = snprintf(out, size, "%.0f", json_real_value(member));
	if (length < 0 || (size_t)length >= size) {
		out[0] = 0;
		return false;
	}
	return true;
}

bool box_json_number(const json_t *object, const char *key, uint64_t *out)
{
	const json_t *member = json_object_get(object, key);

	if (json_is_integer(member) && json_integer_value(member) >= 0) {
		*out = (uint64_t)json_integer_value(member);
		return true;
	}
	if (json_is_real(member) && json_real_value(member) >= 0) {
		double value = json_real_value(member);

		*out = value < 18446744073709549568.0 ? (uint64_t)value : UINT64_MAX;
		return true;
	}
	return false;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_to(int64_t year, int64_t month, int64_t day)
{
	int64_t era, of_era, of_year;

	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	of_era = year - era * 400;
	of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* A number of at most most digits, and what stands behind it (0: anything may). */
static bool read_part(const char **text, unsigned most, char behind, unsigned *out)
{
	const char *at = *text;

	for (*out = 0; most > 0 && *at >= '0' && *at <= '9'; at++, most--)
		*out = *out * 10 + (unsigned)(*at - '0');
	if (at == *text || (behind && *at != behind))
		return false;
	*text = behind ? at + 1 : at;
	return true;
}

struct dw_time box_json_time(const json_t *object, const char *key)
{
	const char *text = box_json_text(object, key);
	unsigned year, month, day, hour, minute, second, zone_hour = 0, zone_minute = 0;
	struct dw_time out = {0, 0};
	int64_t zone = 0;
	uint32_t digit = 100000000;

	if (!text || !read_part(&text, 4, '-', &year) || !read_part(&text, 2, '-', &month) ||
	    !read_part(&text, 2, 'T', &day) || !read_part(&text, 2, ':', &hour) || !read_part(&text, 2, ':', &minute) ||
	    !read_part(&text, 2, 0, &second))
		return out;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60)
		return out;
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++) {
			out.nanoseconds += (uint32_t)(*text - '0') * digit;
			digit /= 10;
		}
	}
	if (*text == '+' || *text == '-') {
		zone = *text++ == '+' ? 1 : -1;
		if (!read_part(&text, 2, ':', &zone_hour) || !read_part(&text, 2, 0, &zone_minute))
			return (struct dw_time){0, 0};
		zone *= (int64_t)(zone_hour * 3600 + zone_minute * 60);
	}
	out.seconds = days_to(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone;
	return out;
}

json_t *box_json_at(const json_t *object, const char *key, const char *below)
{
	return json_object_get(json_object_get(object, key), below);
}

bool box_time_text(const struct dw_time *time, char out[32])
{
	time_t seconds = (time_t)time->seconds;
	struct tm parts;

	if (!gmtime_r(&seconds, &parts) || parts.tm_year < -899 || parts.tm_year > 8099)
		return false;
	return strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
}
