/* SPDX-License-Identifier: MIT */
/*
 * words.h - what the driveway command is the same in on every platform
 *
 * A subcommand returns the exit status: 0; 1 after one line on standard error that says what is wrong and
 * what to do (complain); 2 after one line about how it was called (usage). The command has one thread.
 *
 * Builds on every platform; text is UTF-8.
 */
#ifndef TOOL_WORDS_H
#define TOOL_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_MISTAKE 1
#define EXIT_USAGE   2

#define COMMAND_LINE_MAX 1024

/* As in <stdio.h>: on Windows what MinGW has in its place knows %z and %ll, too. */
#ifdef _WIN32
#define WORDS_PRINTF gnu_printf
#else
#define WORDS_PRINTF printf
#endif

/* "driveway: " and one line on standard error; returns EXIT_MISTAKE or EXIT_USAGE. command may be NULL. */
int complain(const char *format, ...) __attribute__((format(WORDS_PRINTF, 1, 2)));
int usage(const char *command, const char *format, ...) __attribute__((format(WORDS_PRINTF, 2, 3)));

/*
 * The options of a subcommand that knows --help and one more, flag, whose first letter is a short option too when
 * shorts (for getopt) has it. true: go on; optind is the first argument, and *given whether flag was there. false: end
 * with *status.
 */
bool read_options(int argc, char **argv, const char *shorts, const char *flag, bool *given, int *status);

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
};
/*
 * Run the one of the subcommands that argv names, or help or version, which every platform has; the exit status. what:
 * the names of all, as a person reads them.
 */
int commands_run(const struct command *commands, size_t count, const char *what, int argc, char **argv);

/* Of the platform's help.c. command: a subcommand, or NULL for the overview. false: there is no such subcommand. */
bool help_print(const char *command);

/*
 * Call each for every option of "key=value,key,...", where a comma that belongs to a value is written "\,"; a value
 * that is not given is "". false: no memory, or each said so, which ends it.
 */
bool options_each(const char *text, bool (*each)(void *context, const char *key, const char *value), void *context);

/* Bytes as people read them. */
void write_bytes(char *out, size_t size, int64_t bytes);

#endif
