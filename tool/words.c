/* SPDX-License-Identifier: MIT */
#include "tool/words.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/text.h"
#include "version.h"

int complain(const char *format, ...)
{
	char line[COMMAND_LINE_MAX], clean[COMMAND_LINE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	text_printable(clean, sizeof(clean), line);
	fprintf(stderr, "driveway: %s\n", clean);
	return EXIT_MISTAKE;
}

int usage(const char *command, const char *format, ...)
{
	char line[COMMAND_LINE_MAX], clean[COMMAND_LINE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	text_printable(clean, sizeof(clean), line);
	fprintf(stderr, "driveway: %s: see driveway %s%s--help\n", clean, command ? command : "", command ? " " : "");
	return EXIT_USAGE;
}

bool read_options(int argc, char **argv, const char *shorts, const char *flag, bool *given, int *status)
{
	const struct option known[] = {
		{flag, no_argument, NULL, flag[0]},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*given = false;
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, known, NULL)) != -1) {
		if (c == flag[0]) {
			*given = true;
			continue;
		}
		if (c == 'h')
			*status = help_print(argv[0]) ? EXIT_SUCCESS : EXIT_MISTAKE;
		else
			*status = usage(argv[0], "%s is not an option of %s", argv[optind - 1], argv[0]);
		return false;
	}
	return true;
}

bool options_each(const char *text, bool (*each)(void *context, const char *key, const char *value), void *context)
{
	char *copy = text_duplicate(text), *from, *to, *start;
	bool more = true, ok = true;

	if (!copy)
		return false;
	for (from = to = start = copy; more && ok; from++) {
		if (from[0] == '\\' && from[1] == ',') {
			*to++ = *++from;
		} else if (*from && *from != ',') {
			*to++ = *from;
		} else {
			char *value;

			more = *from == ',';
			*to = '\0';
			value = strchr(start, '=');
			if (value)
				*value++ = '\0';
			ok = !*start || each(context, start, value ? value : "");
			to = start = from + 1;
		}
	}
	free(copy);
	return ok;
}

void write_bytes(char *out, size_t size, int64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	text_format(out, size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static int command_help(int argc, char **argv)
{
	if (argc > 2)
		return usage(NULL, "help takes one subcommand");
	if (!help_print(argc == 2 ? argv[1] : NULL))
		return usage(NULL, "there is no subcommand \"%s\"", argv[1]);
	return EXIT_SUCCESS;
}

static int command_version(int argc, char **argv)
{
	if (argc > 1)
		return usage(NULL, "version takes no arguments");
	puts("driveway " DRIVEWAY_VERSION);
	return EXIT_SUCCESS;
}

static const struct command *find(const struct command *commands, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	}
	return NULL;
}

int commands_run(const struct command *commands, size_t count, const char *what, int argc, char **argv)
{
	static const struct command common[] = {
		{"help", command_help},	      {"--help", command_help},	      {"-h", command_help},
		{"version", command_version}, {"--version", command_version},
	};
	const struct command *command;

	if (argc < 2)
		return usage(NULL, "say what to do: %s", what);
	command = find(commands, count, argv[1]);
	if (!command)
		command = find(common, sizeof(common) / sizeof(common[0]), argv[1]);
	return command ? command->run(argc - 1, argv + 1) : usage(NULL, "there is no subcommand \"%s\"", argv[1]);
}
