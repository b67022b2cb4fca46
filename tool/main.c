/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <getopt.h>
#include <signal.h>
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

int print_json(json_t *value)
{
	int ret = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));

	json_decref(value);
	putchar('\n');
	return ret || fflush(stdout) ? complain("cannot write the result to standard output") : EXIT_SUCCESS;
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

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"map", command_map},	     {"unmap", command_unmap},	     {"list", command_list},
		{"status", command_status},  {"login", command_login},	     {"pin", command_contents},
		{"unpin", command_contents}, {"evict", command_contents},    {"sync", command_contents},
		{"help", command_help},	     {"version", command_version},   {"--help", command_help},
		{"-h", command_help},	     {"--version", command_version},
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return usage(NULL, "say what to do: map, unmap, list, status, login, pin, unpin, evict or sync");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	return usage(NULL, "there is no subcommand \"%s\"", argv[1]);
}
