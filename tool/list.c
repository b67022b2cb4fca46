/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/text.h"

#define COLUMNS 5

static const char *const members[COLUMNS] = {"target", "source", "label", "transport", "state"};
static const char *const titles[COLUMNS] = {"TARGET", "SOURCE", "LABEL", "TRANSPORT", "STATE"};

static const char *member(json_t *drive, size_t column, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(drive, members[column]));

	text_printable(out, size, text ? text : "");
	return out;
}

static void print_table(json_t *drives)
{
	size_t width[COLUMNS], i;
	char text[4352];
	json_t *drive;

	for (size_t column = 0; column < COLUMNS; column++) {
		width[column] = strlen(titles[column]);
		json_array_foreach(drives, i, drive)
		{
			size_t length = strlen(member(drive, column, text, sizeof(text)));

			width[column] = length > width[column] ? length : width[column];
		}
	}
	for (size_t column = 0; column < COLUMNS; column++)
		printf("%-*s%s", column + 1 < COLUMNS ? (int)width[column] : 0, titles[column],
		       column + 1 < COLUMNS ? "  " : "\n");
	json_array_foreach(drives, i, drive)
	{
		for (size_t column = 0; column < COLUMNS; column++)
			printf("%-*s%s", column + 1 < COLUMNS ? (int)width[column] : 0,
			       member(drive, column, text, sizeof(text)), column + 1 < COLUMNS ? "  " : "\n");
	}
}

int command_list(int argc, char **argv)
{
	struct jsonrpc_error error;
	json_t *result = NULL;
	bool json;
	int ret;

	if (!read_options(argc, argv, "h", "json", &json, &ret))
		return ret;
	if (argc != optind)
		return usage("list", "list takes no arguments");
	ret = client_ask("list", NULL, &result, &error);
	if (ret == -ENOENT) {
		result = json_pack("{s:[]}", "drives");
		ret = 0;
	}
	if (ret)
		return complain("%s", error.message);
	if (json)
		return print_json(result);
	if (json_array_size(json_object_get(result, "drives")) == 0)
		puts("No drive is mapped. To map one: driveway map DIR memory:");
	else
		print_table(json_object_get(result, "drives"));
	json_decref(result);
	return EXIT_SUCCESS;
}
