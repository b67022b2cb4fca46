/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "tool/windows/command.h"
#include "version.h"

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

static int run(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"map", command_map},		{"unmap", command_unmap},     {"list", command_list},
		{"status", command_status},	{"install", command_install}, {"uninstall", command_uninstall},
		{"help", command_help},		{"version", command_version}, {"--help", command_help},
		{"--version", command_version}, {"-h", command_help},
	};

	if (argc < 2)
		return usage(NULL, "say what to do: map, unmap, list, status, install or uninstall");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	return usage(NULL, "there is no subcommand \"%s\"", argv[1]);
}

/* The runtime's entry where arguments are UTF-16; no header declares it. */
int wmain(int argc, wchar_t **wide);

int wmain(int argc, wchar_t **wide)
{
	char **argv = calloc((size_t)argc + 1, sizeof(*argv));
	int ret = EXIT_SUCCESS;

	SetConsoleOutputCP(CP_UTF8);
	if (!argv)
		return complain("out of memory");
	for (int i = 0; i < argc && ret == EXIT_SUCCESS; i++) {
		argv[i] = text_narrow(wide[i]);
		if (!argv[i])
			ret = usage(NULL, "what stands in place %d is not valid Unicode", i);
	}
	if (ret == EXIT_SUCCESS)
		ret = run(argc, argv);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	free(argv);
	return ret;
}
