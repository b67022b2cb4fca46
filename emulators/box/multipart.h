/* SPDX-License-Identifier: MIT */
/*
 * multipart.h - taking a multipart/form-data body apart while it comes in
 *
 * The parser is given the body in pieces of any size and calls back with each part's name and its bytes, in pieces too.
 * It holds back no more than a delimiter and one line of headers, so that a part of any size passes through.
 *
 *    PREAMBLE --delimiter--> LINE_END --newline--> HEADERS --empty line--> BODY --delimiter--> LINE_END ...
 *                                \--"--"--> END
 *
 * Bytes from outside: nothing is trusted. A boundary or a header that is too long or malformed is -EINVAL, for good.
 */
#ifndef BOX_MULTIPART_H
#define BOX_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_BOUNDARY_MAX 200
#define MULTIPART_LINE_MAX     4096

enum multipart_state {
	MULTIPART_PREAMBLE,
	MULTIPART_LINE_END,
	MULTIPART_HEADERS,
	MULTIPART_BODY,
	MULTIPART_END,
	MULTIPART_BROKEN,
};

/* Each answers 0 or a negative errno, which ends the parsing. */
struct multipart_calls {
	/* A part begins; is_file: it has a file name. */
	int (*begin)(void *context, const char *name, bool is_file);
	int (*data)(void *context, const char *data, size_t size);
	int (*end)(void *context);
};

struct multipart {
	const struct multipart_calls *calls;
	void *context;
	enum multipart_state state;
	char delimiter[MULTIPART_BOUNDARY_MAX + 8]; /* "\r\n--" and the boundary */
	size_t delimiter_size;
	size_t matched; /* bytes of the delimiter seen so far */
	char line[MULTIPART_LINE_MAX];
	size_t line_size;
	char name[256];
	bool named, is_file;
	int headers; /* lines of this part so far */
};

/* content_type: the header's value. -EINVAL: it is no multipart/form-data, or has no usable boundary. */
int multipart_start(struct multipart *multipart, const char *content_type, const struct multipart_calls *calls,
		    void *context);
/* The next bytes. -EINVAL, or what a callback said. */
int multipart_feed(struct multipart *multipart, const char *data, size_t size);
/* Whether the last delimiter has come. */
bool multipart_complete(const struct multipart *multipart);

#endif
