/* SPDX-License-Identifier: MIT */
/*
 * text.h - small helpers for strings, and the values that people write in options
 *
 * Every function that can fail answers 0 or a negative errno, or says with a bool whether it worked; none
 * prints anything. Nothing here keeps state, so every function may be called from any thread. Builds on
 * every platform.
 */
#ifndef SUPPORT_TEXT_H
#define SUPPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copy in with its NUL to out, which has room for size bytes; false (out is cut, still terminated) when it is longer.
 * size is at least 1. */
bool text_copy(char *out, size_t size, const char *in);

/* printf into out, which has room for size bytes (at least 1); false (cut, terminated) when it does not fit. */
bool text_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A copy of in for the caller to free; NULL when in is NULL or there is no memory. */
char *text_duplicate(const char *in);

bool text_starts_with(const char *text, const char *prefix);

/* path is folder itself, or lies inside it. Both are absolute and without "." and "..". */
bool text_path_within(const char *path, const char *folder);

/*
 * Copy in to out, which has room for size bytes, with every control character replaced by '?', so that a hostile name
 * can neither break a line of the log nor speak to a terminal.
 */
void text_printable(char *out, size_t size, const char *in);

/* "yes", "no", "true", "false", "on", "off", "1", "0", and "" (an option without a value), which is yes. -EINVAL. */
int text_parse_bool(const char *text, bool *out);
/* A decimal number from 0 to maximum, and nothing else. -EINVAL, -ERANGE. */
int text_parse_number(const char *text, uint64_t maximum, uint64_t *out);
/* A number of bytes: decimal digits and one of the letters k, m, g, t (powers of 1024) or none. -EINVAL, -ERANGE. */
int text_parse_size(const char *text, uint64_t *out);
/* Seconds with decimals ("0", "1", "0.25") as nanoseconds; at most about 31 years. -EINVAL, -ERANGE. */
int text_parse_seconds(const char *text, uint64_t *out);

/*
 * 36 characters and a NUL: a UUID of version 4 written from sixteen random bytes.
 */
#define TEXT_UUID_SIZE 37
void text_uuid(char out[TEXT_UUID_SIZE], const uint8_t random[16]);

#endif
