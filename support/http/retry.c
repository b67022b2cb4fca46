/* SPDX-License-Identifier: MIT */
#include "support/http/retry.h"

#include "support/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define LOOK 50000000ull /* nanoseconds between looks at the flag */
#define DAY  (86400ull * 1000000000ull)

static uint64_t now_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A number from 0 to most. */
static uint64_t random_up_to(uint64_t most)
{
	uint64_t value = 0;

	if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
		value = now_monotonic() * 0x9e3779b97f4a7c15ull;
	return most == UINT64_MAX ? value : value % (most + 1);
}

int http_sleep(uint64_t duration, uint64_t deadline, const volatile uint32_t *cancelled)
{
	uint64_t now = now_monotonic();
	uint64_t until = now + duration;
	int error = 0;

	if (deadline && deadline < until) {
		until = deadline;
		error = -ETIMEDOUT;
	}
	while (now < until) {
		uint64_t part = until - now < LOOK || !cancelled ? until - now : LOOK;
		struct timespec pause = {.tv_sec = (time_t)(part / 1000000000u), .tv_nsec = (long)(part % 1000000000u)};

		if (cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
			return -ECANCELED;
		nanosleep(&pause, NULL);
		now = now_monotonic();
	}
	return cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED) ? -ECANCELED : error;
}

int http_backoff_wait(struct http_backoff *backoff, uint64_t asked)
{
	unsigned doublings = backoff->attempts < 20 ? backoff->attempts : 20;
	uint64_t most = backoff->first << doublings;
	uint64_t pause;

	if (most > backoff->most || most >> doublings != backoff->first)
		most = backoff->most;
	pause = asked ? asked + random_up_to(backoff->first) : random_up_to(most);
	backoff->attempts++;
	if (backoff->deadline && now_monotonic() + pause >= backoff->deadline)
		return -ETIMEDOUT;
	return http_sleep(pause, 0, backoff->cancelled);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. */
static int64_t days_to(int64_t year, unsigned month, unsigned day)
{
	int64_t era;
	unsigned of_era, of_year;

	year -= month <= 2;
	era = year / 400;
	of_era = (unsigned)(year - era * 400);
	of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + (int64_t)(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}

int http_parse_date(const char *text, int64_t *out)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	unsigned day, year, hour, minute, second;
	char month[4] = "", zone[4] = "";
	const char *found;
	int used = 0;

	if (strlen(text) > 40 || sscanf(text, "%*3[A-Za-z], %2u %3[A-Za-z] %4u %2u:%2u:%2u %3s%n", &day, month, &year,
					&hour, &minute, &second, zone, &used) != 7)
		return -EINVAL;
	found = strstr(months, month);
	if (!found || strlen(month) != 3 || (found - months) % 3 || strcmp(zone, "GMT") != 0 || text[used] ||
	    year < 1970 || year > 9999 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
		return -EINVAL;
	*out = days_to(year, (unsigned)(found - months) / 3 + 1, day) * 86400 + hour * 3600 + minute * 60 + second;
	return 0;
}

int http_parse_retry_after(const char *text, int64_t now, uint64_t *out)
{
	uint64_t seconds;
	int64_t then;

	if (!text)
		return -EINVAL;
	if (text_parse_number(text, UINT32_MAX, &seconds)) {
		if (http_parse_date(text, &then))
			return -EINVAL;
		seconds = then > now ? (uint64_t)(then - now) : 0;
	}
	*out = seconds < DAY / 1000000000u ? seconds * 1000000000u : DAY;
	return 0;
}

/* The digits at *at, which moves behind them; 18 at most. false: there are none, or more. */
static bool take_digits(const char **at, uint64_t *out)
{
	size_t count = 0;

	for (*out = 0; **at >= '0' && **at <= '9' && count < 19; (*at)++, count++)
		*out = *out * 10 + (uint64_t)(**at - '0');
	return count > 0 && count < 19;
}

int http_parse_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *total)
{
	static const char unit[] = "bytes ";

	if (!text || !text_starts_with(text, unit))
		return -EINVAL;
	text += strlen(unit);
	if (!take_digits(&text, first) || *text++ != '-' || !take_digits(&text, last) || *text++ != '/')
		return -EINVAL;
	*total = UINT64_MAX;
	if (strcmp(text, "*") != 0 && (!take_digits(&text, total) || *text))
		return -EINVAL;
	return *first <= *last && *last < *total ? 0 : -EINVAL;
}

char *http_escape(const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = malloc(strlen(text) * 3 + 1), *at = out;

	if (!out)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c)) {
			*at++ = (char)c;
		} else {
			*at++ = '%';
			*at++ = digits[c >> 4];
			*at++ = digits[c & 15];
		}
	}
	*at = 0;
	return out;
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

char *http_unescape(const char *text, size_t size)
{
	char *out = malloc(size + 1);
	size_t count = 0;

	for (size_t i = 0; out && i < size; i++) {
		char c = text[i] == '+' ? ' ' : text[i];

		if (text[i] == '%' && size - i > 2 && digit_of(text[i + 1]) >= 0 && digit_of(text[i + 2]) >= 0) {
			c = (char)(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2]));
			i += 2;
		}
		if (!c) {
			free(out);
			return NULL;
		}
		out[count++] = c;
	}
	if (out)
		out[count] = 0;
	return out;
}
