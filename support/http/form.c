/* SPDX-License-Identifier: MIT */
/*
 * multipart/form-data, as text before the file's bytes and text behind them. libcurl's own forms are not used: when a
 * read callback pauses behind the text of an earlier field, they never go on.
 */
#include "support/http/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct text {
	char *bytes; /* malloc'd, with a NUL; NULL after there was no memory */
	size_t size;
};

static void add(struct text *text, const char *more)
{
	size_t size = strlen(more);
	char *longer = text->bytes ? realloc(text->bytes, text->size + size + 1) : NULL;

	if (!longer) {
		free(text->bytes);
		text->bytes = NULL;
		return;
	}
	memcpy(longer + text->size, more, size + 1);
	text->bytes = longer;
	text->size += size;
}

/* A name in quotes; browsers write what would end it so. */
static void add_quoted(struct text *text, const char *name)
{
	add(text, "\"");
	for (; *name; name++)
		add(text, *name == '"' ? "%22" : (const char[]){*name, 0});
	add(text, "\"");
}

static void add_field(struct text *text, const char *boundary, const struct http_field *field)
{
	add(text, "--");
	add(text, boundary);
	add(text, "\r\nContent-Disposition: form-data; name=");
	add_quoted(text, field->name);
	if (field->filename) {
		add(text, "; filename=");
		add_quoted(text, field->filename);
	}
	if (field->type) {
		add(text, "\r\nContent-Type: ");
		add(text, field->type);
	}
	add(text, "\r\n\r\n");
	if (field->text) {
		add(text, field->text);
		add(text, "\r\n");
	}
}

int transfer_make_form(struct transfer *transfer, char *boundary, size_t size)
{
	const struct http_request *request = transfer->request;
	struct text before = {.bytes = calloc(1, 1)}, after = {.bytes = calloc(1, 1)};
	struct text *text = &before;
	uint64_t random[2];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		free(before.bytes);
		free(after.bytes);
		return -ENOMEM;
	}
	snprintf(boundary, size, "driveway%016llx%016llx", (unsigned long long)random[0],
		 (unsigned long long)random[1]);
	for (size_t i = 0; i < request->field_count; i++) {
		add_field(text, boundary, &request->fields[i]);
		if (request->fields[i].source) {
			text = &after;
			add(text, "\r\n");
		}
	}
	add(text, "--");
	add(text, boundary);
	add(text, "--\r\n");
	transfer->before = before.bytes;
	transfer->before_size = before.size;
	transfer->after = after.bytes;
	transfer->after_size = after.size;
	return before.bytes && after.bytes ? 0 : -ENOMEM;
}
