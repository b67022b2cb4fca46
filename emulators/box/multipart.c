/* SPDX-License-Identifier: MIT */
#include "emulators/box/multipart.h"

#include "support/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX 64

/*
 * The value of a parameter such as boundary=x or name="x" behind the semicolons of a header's value. False when it is
 * missing, longer than out, or cut off.
 */
static bool multipart_parameter(const char *value, const char *name, char *out, size_t size)
{
	size_t length = strlen(name), used = 0;
	const char *at = strchr(value, ';');
	bool quoted, wanted;

	while (at) {
		at += 1 + strspn(at + 1, " \t");
		wanted = strncasecmp(at, name, length) == 0 && at[length] == '=';
		at += strcspn(at, "=;");
		if (*at != '=') {
			at = *at ? at : NULL;
			continue;
		}
		quoted = *++at == '"';
		at += quoted;
		while (*at && (quoted ? *at != '"' : *at != ';')) {
			if (quoted && *at == '\\' && at[1])
				at++;
			if (wanted && used + 1 < size)
				out[used] = *at;
			used += wanted;
			at++;
		}
		if (quoted && !*at)
			return false;
		if (wanted && used < size) {
			out[used] = '\0';
			return true;
		}
		if (wanted)
			return false;
		at = strchr(at, ';');
	}
	return false;
}

int multipart_start(struct multipart *multipart, const char *content_type, const struct multipart_calls *calls,
		    void *context)
{
	char boundary[MULTIPART_BOUNDARY_MAX + 1];
	size_t length;

	memset(multipart, 0, sizeof(*multipart));
	multipart->calls = calls;
	multipart->context = context;
	if (!content_type || strncasecmp(content_type, "multipart/form-data", 19) != 0 ||
	    !multipart_parameter(content_type, "boundary", boundary, sizeof(boundary)))
		return -EINVAL;
	length = strlen(boundary);
	while (length && boundary[length - 1] == ' ')
		boundary[--length] = '\0';
	if (!length || strpbrk(boundary, "\r\n"))
		return -EINVAL;
	if (!text_format(multipart->delimiter, sizeof(multipart->delimiter), "\r\n--%s", boundary))
		return -EINVAL;
	multipart->delimiter_size = strlen(multipart->delimiter);
	multipart->matched = 2; /* the first delimiter needs no newline before it */
	return 0;
}

bool multipart_complete(const struct multipart *multipart)
{
	return multipart->state == MULTIPART_END;
}

static int multipart_give(struct multipart *multipart, const char *data, size_t size)
{
	if (multipart->state != MULTIPART_BODY || !size)
		return 0;
	return multipart->calls->data(multipart->context, data, size);
}

/*
 * Look for the delimiter. Its carriage return stands at its start and nowhere else, so when a match breaks off, what
 * was matched is data and a new match can begin at the byte that broke it.
 */
static int multipart_search(struct multipart *multipart, const char *data, size_t size, size_t *used)
{
	const char *found;
	size_t at = 0, run, matched;
	int error;

	while (at < size) {
		if (multipart->matched == 0) {
			found = memchr(data + at, '\r', size - at);
			run = found ? (size_t)(found - data) - at : size - at;
			if ((error = multipart_give(multipart, data + at, run)))
				return error;
			at += run;
			if (!found)
				break;
		}
		if (data[at] == multipart->delimiter[multipart->matched]) {
			at++;
			if (++multipart->matched < multipart->delimiter_size)
				continue;
			multipart->matched = 0;
			error = multipart->state == MULTIPART_BODY ? multipart->calls->end(multipart->context) : 0;
			multipart->state = MULTIPART_LINE_END;
			multipart->line_size = 0;
			*used = at;
			return error;
		}
		matched = multipart->matched;
		multipart->matched = 0;
		if ((error = multipart_give(multipart, multipart->delimiter, matched)))
			return error;
		if (matched == 0)
			return -EINVAL; /* memchr found what the delimiter begins with */
	}
	*used = size;
	return 0;
}

/* A whole line of a part's headers. */
static int multipart_header(struct multipart *multipart)
{
	const char *line = multipart->line;
	char file[MULTIPART_LINE_MAX];
	int error = 0;

	if (*line) {
		if (++multipart->headers > HEADERS_MAX)
			return -EINVAL;
		if (strncasecmp(line, "Content-Disposition:", 20) == 0) {
			multipart->named = multipart_parameter(line, "name", multipart->name, sizeof(multipart->name));
			multipart->is_file = multipart_parameter(line, "filename", file, sizeof(file));
		}
		return 0;
	}
	if (!multipart->named)
		return -EINVAL;
	multipart->state = MULTIPART_BODY;
	error = multipart->calls->begin(multipart->context, multipart->name, multipart->is_file);
	multipart->matched = 0;
	return error;
}

/* One line, up to its newline, of what follows a delimiter or of headers. */
static int multipart_line(struct multipart *multipart, const char *data, size_t size, size_t *used)
{
	const char *newline;
	size_t length;
	int error = 0;

	/* Two hyphens end it all, whatever comes behind them. */
	if (multipart->state == MULTIPART_LINE_END && multipart->line_size < 2 && size > 2 - multipart->line_size)
		size = 2 - multipart->line_size;
	newline = memchr(data, '\n', size);
	length = newline ? (size_t)(newline - data) : size;
	if (multipart->line_size + length >= sizeof(multipart->line) || memchr(data, '\0', length))
		return -EINVAL;
	memcpy(multipart->line + multipart->line_size, data, length);
	multipart->line_size += length;
	multipart->line[multipart->line_size] = '\0';
	*used = length;
	if (multipart->state == MULTIPART_LINE_END && multipart->line_size >= 2 &&
	    strncmp(multipart->line, "--", 2) == 0) {
		multipart->state = MULTIPART_END;
		return 0;
	}
	if (!newline)
		return 0;
	*used = length + 1;
	if (multipart->line_size && multipart->line[multipart->line_size - 1] == '\r')
		multipart->line[--multipart->line_size] = '\0';
	if (multipart->state == MULTIPART_LINE_END) {
		if (multipart->line[strspn(multipart->line, " \t")])
			return -EINVAL;
		multipart->state = MULTIPART_HEADERS;
		multipart->headers = 0;
		multipart->named = multipart->is_file = false;
	} else {
		error = multipart_header(multipart);
	}
	multipart->line_size = 0;
	return error;
}

int multipart_feed(struct multipart *multipart, const char *data, size_t size)
{
	size_t used = 0;
	int error = 0;

	while (size && !error) {
		switch (multipart->state) {
		case MULTIPART_PREAMBLE:
		case MULTIPART_BODY:
			error = multipart_search(multipart, data, size, &used);
			break;
		case MULTIPART_LINE_END:
		case MULTIPART_HEADERS:
			error = multipart_line(multipart, data, size, &used);
			break;
		case MULTIPART_END:
			return 0;
		case MULTIPART_BROKEN:
			return -EINVAL;
		}
		data += used;
		size -= used;
	}
	if (error)
		multipart->state = MULTIPART_BROKEN;
	return error;
}
