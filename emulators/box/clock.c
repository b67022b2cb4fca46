/* SPDX-License-Identifier: MIT */
#include "emulators/box/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#define PACIFIC (-8 * 3600)

int64_t clock_now(struct clock *clock)
{
	return (int64_t)time(NULL) + atomic_load(&clock->offset);
}

void clock_advance(struct clock *clock, int64_t seconds)
{
	atomic_fetch_add(&clock->offset, seconds);
}

void clock_format(char out[CLOCK_TEXT], int64_t time)
{
	time_t local = (time_t)(time + PACIFIC);
	struct tm parts;

	if (!gmtime_r(&local, &parts) || !strftime(out, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%S-08:00", &parts))
		snprintf(out, CLOCK_TEXT, "1970-01-01T00:00:00-00:00");
}

void clock_format_http(char out[CLOCK_TEXT], int64_t time)
{
	time_t value = (time_t)time;
	struct tm parts;

	if (!gmtime_r(&value, &parts) || !strftime(out, CLOCK_TEXT, "%a, %d %b %Y %H:%M:%S GMT", &parts))
		snprintf(out, CLOCK_TEXT, "Thu, 01 Jan 1970 00:00:00 GMT");
}

/* A number of exactly count digits within bounds, then the character after (0: anything). */
static bool clock_digits(const char **text, int count, int least, int most, char after, int *out)
{
	int value = 0;

	for (int i = 0; i < count; i++, (*text)++) {
		if (!isdigit((unsigned char)**text))
			return false;
		value = value * 10 + (**text - '0');
	}
	if (value < least || value > most || (after && *(*text)++ != after))
		return false;
	*out = value;
	return true;
}

bool clock_parse(const char *text, int64_t *time)
{
	struct tm parts = {0};
	int year, month, hours = 0, minutes = 0, sign = 0;

	if (!clock_digits(&text, 4, 1601, 9999, '-', &year) || !clock_digits(&text, 2, 1, 12, '-', &month) ||
	    !clock_digits(&text, 2, 1, 31, 0, &parts.tm_mday))
		return false;
	if (*text != 'T' && *text != 't' && *text != ' ')
		return false;
	text++;
	if (!clock_digits(&text, 2, 0, 23, ':', &parts.tm_hour) || !clock_digits(&text, 2, 0, 59, ':', &parts.tm_min) ||
	    !clock_digits(&text, 2, 0, 60, 0, &parts.tm_sec))
		return false;
	if (*text == '.') {
		if (!isdigit((unsigned char)*++text))
			return false;
		while (isdigit((unsigned char)*text))
			text++;
	}
	if (*text == '+' || *text == '-') {
		sign = *text++ == '+' ? 1 : -1;
		if (!clock_digits(&text, 2, 0, 23, ':', &hours) || !clock_digits(&text, 2, 0, 59, 0, &minutes))
			return false;
	} else if (*text == 'Z' || *text == 'z') {
		text++;
	} else {
		return false;
	}
	if (*text)
		return false;
	parts.tm_year = year - 1900;
	parts.tm_mon = month - 1;
	*time = (int64_t)timegm(&parts) - sign * (hours * 3600 + minutes * 60);
	return true;
}

int64_t clock_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
