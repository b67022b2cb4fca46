/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int print_json(json_t *value)
{
	int ret = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));

	json_decref(value);
	putchar('\n');
	return ret || fflush(stdout) ? complain("cannot write the result to standard output") : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{"map", command_map},	     {"unmap", command_unmap},	  {"list", command_list},
		{"status", command_status},  {"login", command_login},	  {"pin", command_contents},
		{"unpin", command_contents}, {"evict", command_contents}, {"sync", command_contents},
	};

	signal(SIGPIPE, SIG_IGN);
	return commands_run(commands, sizeof(commands) / sizeof(commands[0]),
			    "map, unmap, list, status, login, pin, unpin, evict or sync", argc, argv);
}
