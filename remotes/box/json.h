/* SPDX-License-Identifier: MIT */
/*
 * json.h - reading what Box sends, and what only looks as if it did
 *
 * Nothing in an answer is believed: a member may be absent or of another type, numbers may be integers or reals such as
 * 1.0e+18, text may be broken UTF-8 (it is mended, so that one odd name does not hide a folder) or hold NULs (it counts
 * as absent). Pure functions: any thread.
 */
#ifndef BOX_JSON_H
#define BOX_JSON_H

#include <driveway/filesystem.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a digit of a hexadecimal number stands for; -1: it is none. */
int box_hex_digit(char c);
/* Read size bytes; NULL: they are no JSON, or there is no memory. */
json_t *box_json_parse(const char *text, size_t size);

/* The text of a member without NULs in it; NULL: there is none. A number counts as its decimal digits only in
 * box_json_copy. */
const char *box_json_text(const json_t *object, const char *key);
/* Copy the text or the integer of a member; false: there is none, or it is longer than size - 1. */
bool box_json_copy(const json_t *object, const char *key, char *out, size_t size);
/* A number that is not negative; false: there is none. */
bool box_json_number(const json_t *object, const char *key, uint64_t *out);
/* "2012-12-12T10:53:43.5-08:00"; all zero: there is none. */
struct dw_time box_json_time(const json_t *object, const char *key);
/* A member of a member: box_json_at(o, "a", "b") is o.a.b. */
json_t *box_json_at(const json_t *object, const char *key, const char *below);

/* time as "2012-12-12T10:53:43Z"; fractions are dropped. false: out of the years that can be written. */
bool box_time_text(const struct dw_time *time, char out[32]);

#endif
