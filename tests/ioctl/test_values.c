/* SPDX-License-Identifier: MIT */
/*
 * Names, patterns, errors, times, attributes and security descriptors: what needs no volume.
 */
#include "channel/ioctl/names.h"
#include "channel/ioctl/nt.h"
#include "channel/ioctl/pattern.h"
#include "channel/ioctl/security.h"
#include "channel/ioctl/status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint64_t state = 0x2545f4914f6cdd1d;

static uint32_t draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % below;
}

static size_t units_of(const char *text, uint16_t *out)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++)
		out[i] = (uint8_t)text[i];
	return length;
}

/* --- Names --- */

static void test_names_table(void **unused)
{
	static const struct {
		const char *name;
		uint16_t units[12];
	} table[] = {
		{"plain.txt", {'p', 'l', 'a', 'i', 'n', '.', 't', 'x', 't'}},
		{"a:b", {'a', 0xf03a, 'b'}},
		{"a\\b", {'a', 0xf05c, 'b'}},
		{"?*<>|\"", {0xf03f, 0xf02a, 0xf03c, 0xf03e, 0xf07c, 0xf022}},
		{"\x01\x1f", {0xf001, 0xf01f}},
		{"end.", {'e', 'n', 'd', 0xf02e}},
		{"end ", {'e', 'n', 'd', 0xf020}},
		{"a. .", {'a', '.', ' ', 0xf02e}},
		{"...", {'.', '.', 0xf02e}},
		{" x", {' ', 'x'}},
		{"\xc3\xa9", {0xe9}},
		{"\xf0\x9f\x98\x80", {0xd83d, 0xde00}},
		{"\xff\xc3", {0xf0ff, 0xf0c3}},
		{"\xc0\x80", {0xf0c0, 0xf080}},
		{"\xed\xa0\x80", {0xd800}},
		{"\xed\xa0\x80\xed\xb0\x80", {0xd800, 0xf0ed, 0xf0b0, 0xf080}},
		{"\xef\x80\xba", {0xf0ef, 0xf080, 0xf0ba}}, /* U+F03A itself */
		{"\xef\x81\x81", {0xf041}},		    /* stands for nothing */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint16_t units[NAME_UNITS];
		char back[NAME_BYTES + 1];
		size_t expected = 0, count = name_to_windows(table[i].name, strlen(table[i].name), units);

		while (expected < 12 && table[i].units[expected])
			expected++;
		assert_int_equal(count, expected);
		assert_memory_equal(units, table[i].units, 2 * count);
		assert_true(name_from_windows(units, count, back));
		assert_string_equal(back, table[i].name);
	}
}

static void test_names_refused(void **unused)
{
	static const char *const bad[] = {"",	".",  "..",  "a:b", "a*",   "a?",  "a<",
					  "a>", "a|", "a\"", "a/b", "a\\b", "\x01"};
	static const uint16_t dot[] = {0xf02e}, dots[] = {0xf02e, '.'}, nul[] = {'a', 0, 'b'};
	uint16_t units[NAME_UNITS + 1];
	char out[NAME_BYTES + 1];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_from_windows(units, units_of(bad[i], units), out));
	assert_false(name_from_windows(dot, 1, out));
	assert_false(name_from_windows(dots, 2, out));
	assert_false(name_from_windows(nul, 3, out));
	for (size_t i = 0; i <= NAME_UNITS; i++)
		units[i] = 'x';
	assert_true(name_from_windows(units, NAME_UNITS, out));
	assert_false(name_from_windows(units, NAME_UNITS + 1, out));
	for (size_t i = 0; i < 86; i++)
		units[i] = 0x4e00;
	assert_true(name_from_windows(units, 85, out));
	assert_false(name_from_windows(units, 86, out));
}

/* Whatever bytes a name has, it comes back. */
static void test_names_round_trip(void **unused)
{
	static const char *const pieces[] = {"a",
					     ".",
					     " ",
					     ":",
					     "\xef\x80\xba",
					     "\xef\x82\x80",
					     "\xed\xa0\x80",
					     "\xed\xb0\x80",
					     "\xc3\xa9",
					     "\xf0\x9f\x98\x80",
					     "\xff",
					     "\x80",
					     "\xc3"};

	for (int round = 0; round < 200000; round++) {
		char name[NAME_BYTES + 1] = "", back[NAME_BYTES + 1];
		uint16_t units[NAME_UNITS];
		size_t length = 0, count;

		for (uint32_t left = 1 + draw(10); left; left--) {
			if (draw(3)) {
				const char *piece = pieces[draw(sizeof(pieces) / sizeof(pieces[0]))];

				memcpy(name + length, piece, strlen(piece));
				length += strlen(piece);
			} else {
				name[length] = (char)(1 + draw(255));
				length += name[length] != '/';
			}
		}
		name[length] = '\0';
		if (!length || !strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		count = name_to_windows(name, length, units);
		assert_true(count <= length);
		assert_true(units[count - 1] != '.' && units[count - 1] != ' ');
		assert_true(name_from_windows(units, count, back));
		assert_string_equal(back, name);
	}
}

/* A name of Windows without characters that stand for others comes back as well, unpaired surrogates and all. */
static void test_units_round_trip(void **unused)
{
	for (int round = 0; round < 100000; round++) {
		uint16_t units[20], back[NAME_UNITS];
		char name[NAME_BYTES + 1];
		size_t count = 1 + draw(20);

		for (size_t i = 0; i < count; i++) {
			units[i] = (uint16_t)(draw(2) ? 0xd800 + draw(0x800) : 0x80 + draw(0xe000));
			if (units[i] >= 0xf000)
				units[i] = 'x';
		}
		assert_true(name_from_windows(units, count, name));
		assert_int_equal(name_to_windows(name, strlen(name), back), count);
		assert_memory_equal(units, back, 2 * count);
	}
}

static void test_fold(void **unused)
{
	assert_int_equal(name_fold('a'), 'A');
	assert_int_equal(name_fold('['), '[');
	assert_int_equal(name_fold(0xe9), 0xc9);
	assert_int_equal(name_fold(0xf7), 0xf7);
	assert_int_equal(name_fold(0xff), 0x178);
	assert_int_equal(name_fold(0x3c3), 0x3a3);
	assert_int_equal(name_fold(0x3c2), 0x3a3);
	assert_int_equal(name_fold(0x44f), 0x42f);
	assert_int_equal(name_fold(0xff41), 0xff21);
	assert_int_equal(name_fold(0x131), 0x131);
	assert_int_equal(name_fold(0x17f), 0x17f);
	assert_int_equal(name_fold(0xffff), 0xffff);
	for (uint32_t c = 0; c < 0x10000; c++)
		assert_int_equal(name_fold(name_fold((uint16_t)c)), name_fold((uint16_t)c));
	assert_true(name_same("Stra\xc3\xa9", "sTRA\xc3\x89"));
	assert_int_equal(name_hash("Stra\xc3\xa9"), name_hash("sTRA\xc3\x89"));
	assert_false(name_same("a", "ab"));
	assert_false(name_same("a", "b"));
}

static void test_text(void **unused)
{
	uint16_t units[64];
	char back[64];
	int count = text_to_windows("../a:b/c\\d", 10, units, 64);

	assert_int_equal(count, 10);
	assert_int_equal(units[2], '\\');
	assert_int_equal(units[4], ':');
	assert_int_equal(units[8], 0xf05c);
	assert_int_equal(text_from_windows(units, 10, back, sizeof(back)), 10);
	assert_string_equal(back, "../a:b/c\\d");
	assert_int_equal(text_from_windows(units, 10, back, 10), -1);
	assert_int_equal(text_to_windows("abc", 3, units, 2), -1);
}

/* --- Patterns --- */

static bool matches(const char *pattern, const char *name)
{
	uint16_t wide_pattern[256], wide_name[256];
	size_t length = units_of(pattern, wide_pattern), name_length = units_of(name, wide_name);

	for (size_t i = 0; i < length; i++)
		wide_pattern[i] = name_fold(wide_pattern[i]);
	return pattern_matches(wide_pattern, length, wide_name, name_length);
}

static void test_patterns_table(void **unused)
{
	static const struct {
		const char *pattern, *name;
		bool match;
	} table[] = {
		{"*", "", true},
		{"*", "any.thing", true},
		{"", "", true},
		{"", "a", false},
		{"abc", "ABC", true},
		{"abc", "abcd", false},
		{"*.*", "abc", false},
		{"*.*", "abc.", true},
		{"*.c", "main.c", true},
		{"*.c", "main.cpp", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"a??", "ab", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		/* DOS_QM: what Win32 makes of a '?' before a period and at the end. */
		{"a>>", "a", true},
		{"a>>", "ab", true},
		{"a>>", "abc", true},
		{"a>>", "abcd", false},
		{"a>>.txt", "a.txt", true},
		{"a>>.txt", "abc.txt", true},
		{">>>", "a.b", false},
		{">.>", "a.b", true},
		{">", "", true},
		/* DOS_STAR: everything up to the last period. */
		{"<.c", "a.b.c", true},
		{"<.c", "a.c", true},
		{"<.c", "a.b", false},
		{"<", "a.b", false},
		{"<b", "a.b", false},
		{"<.b", "a.b", true},
		{"<", "ab", true},
		{"<.", "a.", true},
		{"<a", "b.a.a", false},
		{"<.a", "b.a.a", true},
		/* DOS_DOT: a period, or the end. What "*." becomes is "<" and it. */
		{"a\"", "a", true},
		{"a\"", "a.", true},
		{"a\"b", "a.b", true},
		{"a\"b", "ab", false},
		{"<\"", "abc", true},
		{"<\"", "abc.", true},
		{"<\"", "abc.d", false},
		{"<\"*", "abc", true},
		{"<\"*", "abc.d", true},
		{"a\"\"", "a", true},
		{"*\"", "a.b", true},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (matches(table[i].pattern, table[i].name) != table[i].match)
			fail_msg("%s and %s", table[i].pattern, table[i].name);
}

/* The rules once more, straight from their words, by recursion. */
static bool rules(const char *pattern, const char *name)
{
	switch (*pattern) {
	case '\0':
		return !*name;
	case '*':
		return rules(pattern + 1, name) || (*name && rules(pattern, name + 1));
	case '<':
		return rules(pattern + 1, name) ||
		       (*name && (*name != '.' || strchr(name + 1, '.')) && rules(pattern, name + 1));
	case '>':
		return *name && *name != '.' ? rules(pattern + 1, name + 1) : rules(pattern + 1, name);
	case '"':
		if (!*name)
			return rules(pattern + 1, name);
		return *name == '.' && rules(pattern + 1, name + 1);
	case '?':
		return *name && rules(pattern + 1, name + 1);
	default:
		return *name && name_fold((uint8_t)*name) == name_fold((uint8_t)*pattern) &&
		       rules(pattern + 1, name + 1);
	}
}

static void test_patterns_random(void **unused)
{
	unsigned matched = 0;

	for (int round = 0; round < 200000; round++) {
		char pattern[9] = "", name[9] = "";

		for (uint32_t i = 0, length = draw(9); i < length; i++)
			pattern[i] = "aB.*?<>\"b"[draw(9)];
		for (uint32_t i = 0, length = draw(9); i < length; i++)
			name[i] = "Ab.a"[draw(4)];
		if (matches(pattern, name) != rules(pattern, name))
			fail_msg("\"%s\" and \"%s\"", pattern, name);
		matched += matches(pattern, name);
	}
	assert_true(matched > 5000);
}

/* What would take for ever by trying. */
static void test_patterns_long(void **unused)
{
	static uint16_t pattern[PATTERN_MAX + 1], name[NAME_UNITS];

	for (size_t i = 0; i < PATTERN_MAX; i++)
		pattern[i] = i % 2 ? 'A' : '*';
	pattern[PATTERN_MAX] = 'A';
	for (size_t i = 0; i < NAME_UNITS; i++)
		name[i] = 'a';
	assert_false(pattern_matches(pattern, PATTERN_MAX, name, NAME_UNITS));
	assert_true(pattern_matches(pattern, 400, name, NAME_UNITS));
	assert_false(pattern_matches(pattern, PATTERN_MAX + 1, name, NAME_UNITS));
	assert_true(pattern_is_name(name, NAME_UNITS));
	assert_false(pattern_is_name(pattern, 2));
}

/* --- Errors, times, attributes --- */

static void test_status(void **unused)
{
	assert_int_equal(status_of(0), STATUS_SUCCESS);
	assert_int_equal(status_of(-ENOENT), STATUS_OBJECT_NAME_NOT_FOUND);
	assert_int_equal(status_of(-ENOTEMPTY), STATUS_DIRECTORY_NOT_EMPTY);
	assert_int_equal(status_of(-EIO), STATUS_UNEXPECTED_IO_ERROR);
	for (int error = 1; error < 200; error++)
		assert_false(NT_SUCCESS(status_of(-error)));
}

static void test_times(void **unused)
{
	struct dw_time time = {.seconds = 1, .nanoseconds = 250}, back;

	assert_true(time_to_windows((struct dw_time){0}) == 0);
	assert_true(time_to_windows(time) == 116444736010000002);
	assert_true(time_to_windows((struct dw_time){.seconds = -11644473601}) == 0);
	assert_true(time_to_windows((struct dw_time){.seconds = INT64_MAX}) <= INT64_MAX);
	back = time_from_windows(116444736010000002);
	assert_true(back.seconds == 1 && back.nanoseconds == 200);
	back = time_from_windows(1);
	assert_true(back.seconds == -11644473600 && back.nanoseconds == 100);
}

static void test_attributes(void **unused)
{
	struct dw_attr attr = {
		.mode = DW_MODE_FILE | 0644, .size = 5, .blocks = 8, .nlink = 2, .mtime = {.seconds = 9}};
	struct fs_file file;
	char value[STATUS_XATTR_SIZE];

	attributes_file(&attr, attributes_default(false), &file);
	assert_int_equal(file.attributes, FILE_ATTRIBUTE_ARCHIVE);
	assert_true(file.size == 5 && file.allocated == 4096 && file.links == 2);
	attributes_file(&attr, 0, &file);
	assert_int_equal(file.attributes, FILE_ATTRIBUTE_NORMAL);
	attr.mode = DW_MODE_FILE | 0444;
	attributes_file(&attr, FILE_ATTRIBUTE_HIDDEN, &file);
	assert_int_equal(file.attributes, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_READONLY);
	attr.mode = DW_MODE_FOLDER | 0555;
	attributes_file(&attr, 0, &file);
	assert_int_equal(file.attributes, FILE_ATTRIBUTE_DIRECTORY);
	assert_true(file.size == 0 && file.links == 1);
	attr.mode = DW_MODE_FIFO | 0644;
	attributes_file(&attr, 0, &file);
	assert_int_equal(file.attributes, FILE_ATTRIBUTE_REPARSE_POINT);
	assert_int_equal(file.reparse_tag, IO_REPARSE_TAG_LX_FIFO);
	for (uint32_t i = 0; i < 0x10000; i++) {
		attributes_write(attributes_kept(i, false), value);
		assert_int_equal(attributes_read(value, sizeof(value), false), attributes_kept(i, false));
	}
	assert_int_equal(attributes_read("zzzz", 4, false), FILE_ATTRIBUTE_ARCHIVE);
	assert_int_equal(attributes_read("ffffff", 6, true), 0);
	assert_int_equal(attributes_mode(0644, true), 0444);
	assert_int_equal(attributes_mode(0444, false), 0644);
	assert_int_equal(attributes_mode(0664, false), 0664);
}

/* --- Security --- */

static void test_security_round_trip(void **unused)
{
	const struct security_owner owner = {
		.uid = 7, .gid = 8, .user = {.size = 16, .bytes = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0}}};

	for (uint32_t mode = 0; mode < 512; mode++) {
		struct security from = {.uid = mode % 2 ? 7 : 1234, .gid = mode % 3 ? 8 : 99, .mode = mode}, to = {0};
		uint8_t descriptor[SECURITY_SIZE_MAX];
		size_t size = security_build(&owner, &from, mode % 5 == 0, 7, descriptor);

		assert_true(size <= SECURITY_SIZE_MAX);
		assert_int_equal(security_parse(&owner, descriptor, size, 7, &to), 0);
		assert_memory_equal(&from, &to, sizeof(to));
		/* Only what is meant. */
		to = (struct security){.uid = 1, .gid = 2, .mode = 3};
		assert_int_equal(security_parse(&owner, descriptor, size, OWNER_SECURITY_INFORMATION, &to), 0);
		assert_int_equal(to.uid, from.uid);
		assert_int_equal(to.gid, 2);
		assert_int_equal(to.mode, 3);
	}
}

static void test_security_bad(void **unused)
{
	const struct security_owner owner = {.uid = 7, .gid = 8};
	const struct security from = {.uid = 7, .gid = 8, .mode = 0750};
	uint8_t good[SECURITY_SIZE_MAX], bad[SECURITY_SIZE_MAX];
	size_t size = security_build(&owner, &from, false, 7, good);
	struct security to = from;

	/* A SID that is no user's. */
	memcpy(bad, good, size);
	bad[20 + 7] = 5;
	assert_int_equal(security_parse(&owner, bad, size, 7, &to), STATUS_INVALID_OWNER);
	/* No list: everything. */
	memcpy(bad, good, size);
	bad[16] = 0;
	assert_int_equal(security_parse(&owner, bad, size, 7, &to), 0);
	assert_int_equal(to.mode, 0777);
	for (int round = 0; round < 100000; round++) {
		size_t cut = draw(4) ? size : draw((uint32_t)size);
		struct security before = {.uid = 1, .gid = 2, .mode = 0}, after = before;

		memcpy(bad, good, size);
		for (uint32_t i = draw(6); i; i--)
			bad[draw((uint32_t)size)] = (uint8_t)(draw(3) ? draw(256) : draw(2) * 255);
		if (security_parse(&owner, bad, cut, draw(8), &after))
			assert_memory_equal(&before, &after, sizeof(after));
		assert_true(after.mode < 01000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_table),
		cmocka_unit_test(test_names_refused),
		cmocka_unit_test(test_names_round_trip),
		cmocka_unit_test(test_units_round_trip),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_patterns_table),
		cmocka_unit_test(test_patterns_random),
		cmocka_unit_test(test_patterns_long),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_security_round_trip),
		cmocka_unit_test(test_security_bad),
	};

	return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
