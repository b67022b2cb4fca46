/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "tool/windows/command.h"

/* The runtime's entry where arguments are UTF-16; no header declares it. */
int wmain(int argc, wchar_t **wide);

int wmain(int argc, wchar_t **wide)
{
	static const struct command commands[] = {
		{"map", command_map},	    {"unmap", command_unmap},	  {"list", command_list},
		{"status", command_status}, {"install", command_install}, {"uninstall", command_uninstall},
	};
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
		ret = commands_run(commands, sizeof(commands) / sizeof(commands[0]),
				   "map, unmap, list, status, install or uninstall", argc, argv);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	free(argv);
	return ret;
}
