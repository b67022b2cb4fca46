/* SPDX-License-Identifier: MIT */
/*
 * reader.h - libarchive over a space
 *
 * Opens a libarchive handle that reads a space from a given offset on, and the decoders (cursor
 * kinds) that are made with it. Every handle belongs to one cursor or one scan, so to one thread at a time.
 *
 * Only what is decoded inside the process is switched on: no filter that runs a program, and not mtree, which names
 * files outside of the archive.
 */
#ifndef ARCHIVE_READER_H
#define ARCHIVE_READER_H

#include "filesystems/archive/cursors.h"
#include "filesystems/archive/index.h"
#include "filesystems/archive/space.h"

#include <stdatomic.h>

struct archive;

enum reader_what {
	READER_FILTERS,	   /* decompress; the content is one member, "data" */
	READER_MEMBERS,	   /* the members of an archive that is not compressed as a whole */
	READER_ZIP_MEMBER, /* one zip member, from its local header on */
};

/* Starts at offset start of space. password: NULL for none. -EINVAL (no such data there), -EIO, -ENOMEM. */
int reader_open(struct archive **out, struct space *space, uint64_t start, enum reader_what what, const char *password);
void reader_close(struct archive *archive);

/* What libarchive says of its last error, without newlines; never NULL. */
const char *reader_error(struct archive *archive);
/* A negative errno for it: -EACCES for a missing or wrong password, -ENOMEM, else -EIO. */
int reader_errno(struct archive *archive);

/* A decoder that returns this many empty blocks in a row has met damage. */
#define EMPTY_BLOCKS_MAX 1000u

/* What decoders need to know; given to cursors_create or space_open_decoded as the context. */
struct decode_context {
	struct space *base;	   /* where compressed bytes come from */
	const struct index *index; /* unused by decode_filters */
	const char *password;
	/* Of decode_sequence: one for each member, set when it is damaged, and the spill file to taint first, or -1. */
	_Atomic uint8_t *bad;
	int spill_fd;
};

/* The archive file's content behind its compression filters; member is 0. */
extern const struct cursor_kind decode_filters;
/* A node with CONTENT_DEFLATE; member is the node. */
extern const struct cursor_kind decode_deflate;
/* A node with CONTENT_ZIP; member is the node. */
extern const struct cursor_kind decode_zip_member;
/* The sequence space; member is 0. */
extern const struct cursor_kind decode_sequence;

#endif
