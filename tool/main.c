/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "version.h"

int print_json(json_t *value)
{
	int ret = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));

	json_decref(value);
	putchar('\n');
	return ret || fflush(stdout) ? complain("cannot write the result to standard output") : EXIT_SUCCESS;
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
