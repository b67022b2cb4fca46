/* SPDX-License-Identifier: MIT */
/* names.c - names that are unusual, hostile, too long, or differ by case */
#include "suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The remote takes a name and gives it back as it is, or refuses it, as check_name says. */
static void check_name(struct suite *suite, const char *name)
{
	int said = suite->ops->check_name != NULL ? suite->ops->check_name(suite->remote, name) : 0;
	struct pattern pattern;
	struct item_list list;
	struct item item;
	int err;

	pattern_begin(suite, &pattern, 10, 1);
	err = do_upload(suite, suite->folder, name, &pattern, &item);
	EXPECT(said == 0 || said == -EINVAL || said == -ENAMETOOLONG);
	EXPECT(err == 0 || err == -EINVAL || err == -ENAMETOOLONG);
	if ((said == 0) != (err == 0))
		suite_report(__FILE__, __LINE__, "check_name says %d and upload %d of \"%s\"", said, err, name);
	if (err != 0) {
		EXPECT(do_mkdir(suite, suite->folder, name, NULL) < 0);
		return;
	}
	if (strcmp(item.name, name) != 0)
		suite_report(__FILE__, __LINE__, "\"%s\" became \"%s\"", name, item.name);
	NEED_OK(do_list(suite, suite->folder, &list));
	if (list.count != 1 || strcmp(list.items[0].name, name) != 0)
		suite_report(__FILE__, __LINE__, "\"%s\" is not listed so", name);
	item_list_clear(&list);
	EXPECT_FILE(suite, &item, 10, 1);
	NEED_OK(do_move(suite, &item, NULL, suite->folder, "plain", &item));
	NEED_OK(do_move(suite, &item, NULL, suite->folder, name, &item));
	NEED_OK(do_remove(suite, &item, NULL, false));
}

static void that_are_unusual(struct suite *suite)
{
	static const char *const names[] = {
		"a",
		" leading blank",
		"trailing blank ",
		".hidden",
		"trailing dot.",
		"two  blanks",
		"percent%20encoded",
		"question?mark",
		"hash#tag",
		"plus+and&amp;",
		"quote\"double",
		"quote'single",
		"back\\slash",
		"star*",
		"colon:",
		"pipe|",
		"<angle>",
		"semicolon;",
		"line\nbreak",
		"tab\there",
		"control\x01",
		"delete\x7f",
		"$(touch x)",
		"-rf",
		"~",
		"{\"json\": 1}",
		"null",
		"CON",
		"aux.txt",
		"\xc3\xa9 composed",
		"e\xcc\x81 decomposed",
		"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
		"\xd7\xa2\xd7\x91\xd7\xa8\xd7\x99\xd7\xaa",
		"\xf0\x9f\x98\x80 smile",
		"\xe2\x80\x8b zero width",
		"%s%n%d",
		"...",
		"..a",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_name(suite, names[i]);
}

static void that_lead_elsewhere(struct suite *suite)
{
	static const char *const names[] = {"", ".", "..", "a/b", "/", "/etc", "../up", "a/../../b"};
	struct item file = make_file(suite, "file", 10, 1);
	struct pattern pattern;
	struct item_list list;

	pattern_begin(suite, &pattern, 10, 2);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (suite->ops->check_name != NULL)
			EXPECT_RESULT(suite->ops->check_name(suite->remote, names[i]), -EINVAL);
		EXPECT_RESULT(do_upload(suite, suite->folder, names[i], &pattern, NULL), -EINVAL);
		EXPECT_RESULT(do_mkdir(suite, suite->folder, names[i], NULL), -EINVAL);
		EXPECT_RESULT(do_move(suite, &file, NULL, suite->folder, names[i], NULL), -EINVAL);
	}
	NEED_OK(do_list(suite, suite->folder, &list));
	EXPECT(list.count == 1);
	item_list_clear(&list);
}

static void that_are_long(struct suite *suite)
{
	static const size_t lengths[] = {100, 254, 255, 256, 1000};
	char name[1001];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memset(name, 'n', lengths[i]);
		name[lengths[i]] = '\0';
		check_name(suite, name);
	}
	/* 255 bytes that are 85 characters. */
	for (size_t i = 0; i < 255; i += 3)
		memcpy(name + i, "\xe6\x97\xa5", 3);
	name[255] = '\0';
	check_name(suite, name);
}

static void that_differ_by_case(struct suite *suite)
{
	struct item file = make_file(suite, "Readme", 10, 1);
	bool folds = (suite->remote->flags & DW_REMOTE_FOLDS_CASE) != 0;
	struct pattern pattern;
	struct item now;
	int want = folds ? -EEXIST : 0;

	pattern_begin(suite, &pattern, 20, 2);
	EXPECT_RESULT(do_upload(suite, suite->folder, "README", &pattern, NULL), want);
	EXPECT_RESULT(do_mkdir(suite, suite->folder, "readmE", NULL), want);
	EXPECT_FILE(suite, &file, 10, 1);
	NEED_OK(do_move(suite, &file, NULL, suite->folder, "readme", &now));
	EXPECT(strcmp(now.id, file.id) == 0 && strcmp(now.name, "readme") == 0);
	(void)make_file(suite, "\xc3\x84rger", 1, 1);
	EXPECT_RESULT(do_upload(suite, suite->folder, "\xc3\xa4rger", &pattern, NULL), want);
}

static void that_are_deep(struct suite *suite)
{
	struct item folder = make_folder(suite, suite->folder, "deep");
	struct pattern pattern;
	struct item item;

	for (int i = 0; i < 40; i++)
		folder = make_folder(suite, folder.id, "one folder in another, with a name that is not short at all");
	pattern_begin(suite, &pattern, 10, 1);
	NEED_OK(do_upload(suite, folder.id, "file", &pattern, &item));
	EXPECT_FILE(suite, &item, 10, 1);
}

const struct suite_case name_cases[] = {
	{"names_that_are_unusual", that_are_unusual, NEEDS_WRITE},
	{"names_that_lead_elsewhere", that_lead_elsewhere, NEEDS_WRITE},
	{"names_that_are_long", that_are_long, NEEDS_WRITE},
	{"names_that_differ_by_case", that_differ_by_case, NEEDS_WRITE},
	{"names_that_are_deep", that_are_deep, NEEDS_WRITE},
	{NULL, NULL, 0},
};
