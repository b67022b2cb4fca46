/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "tool/windows/command.h"

static void write_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

/* What stands before a value: a comma, a new line, its name. */
static void write_before(struct json_writer *writer, const char *name)
{
	if (writer->more)
		putchar(',');
	if (writer->depth)
		printf("\n%*s", (int)writer->depth * 2, "");
	writer->more = true;
	if (name) {
		write_text(name);
		fputs(": ", stdout);
	}
}

void json_begin(struct json_writer *writer, const char *name, char bracket)
{
	write_before(writer, name);
	putchar(bracket);
	writer->depth++;
	writer->more = false;
}

void json_end(struct json_writer *writer, char bracket)
{
	writer->depth--;
	if (writer->more)
		printf("\n%*s", (int)writer->depth * 2, "");
	putchar(bracket);
	writer->more = true;
}

void json_text(struct json_writer *writer, const char *name, const char *text)
{
	write_before(writer, name);
	write_text(text);
}

void json_number(struct json_writer *writer, const char *name, uint64_t number)
{
	write_before(writer, name);
	printf("%llu", (unsigned long long)number);
}

void json_bool(struct json_writer *writer, const char *name, bool value)
{
	write_before(writer, name);
	fputs(value ? "true" : "false", stdout);
}

void json_null(struct json_writer *writer, const char *name)
{
	write_before(writer, name);
	fputs("null", stdout);
}

int json_finish(void)
{
	putchar('\n');
	return fflush(stdout) || ferror(stdout) ? complain("cannot write the result to standard output") : EXIT_SUCCESS;
}
