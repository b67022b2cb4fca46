/* SPDX-License-Identifier: MIT */
/*
 * content.h - the bytes of files, on disk by their SHA-1
 *
 *    DIR/content/ab/abcdef...      what some version of some file holds; never changed once it is there
 *    DIR/incoming/                 uploads under way; emptied at start
 *    DIR/sessions/ID               the file that the parts of an upload session are put into
 *
 * A writer takes bytes, counts and hashes them. content_keep moves its file into place with the store's lock held, in
 * the same section that adds the version row, and content_drop removes a file when no version row names it any more:
 * the lock makes the two see one another.
 *
 * Threads: a writer is one thread's. keep and drop: with the store's lock held.
 */
#ifndef BOX_CONTENT_H
#define BOX_CONTENT_H

#include "emulators/box/store.h"

#include <openssl/evp.h>
#include <stddef.h>

#define CONTENT_SHA1 41 /* hexadecimal digits and a NUL */

struct content_writer {
	int fd;
	char *path; /* of the file, NULL when it was moved away */
	EVP_MD_CTX *hash;
	uint64_t size;
	char sha1[CONTENT_SHA1]; /* after content_finish */
};

/* Make the folders and throw away what was coming in. 0 or a negative errno of the file system. */
int content_prepare(const char *folder);

/* Start a file. A writer that was started is ended by content_discard, after content_keep too. */
int content_start(struct content_writer *writer, const char *folder);
int content_write(struct content_writer *writer, const void *data, size_t size);
/* No more bytes come: sha1 is known. */
int content_finish(struct content_writer *writer);
/* Put the finished file where its SHA-1 says. */
int content_keep(struct content_writer *writer, const char *folder);
void content_discard(struct content_writer *writer);

/* Put the file at path, whose SHA-1 is known, in its place; it is gone from path. */
int content_adopt(const char *folder, const char *path, const char *sha1);

/* A descriptor for reading, or a negative errno. */
int content_open(const char *folder, const char *sha1);
/* Remove the file if no version in the store names it. */
void content_drop(struct store *store, const char *sha1);

/* The SHA-1 of size bytes of a descriptor from offset. */
int content_hash(int fd, uint64_t offset, uint64_t size, char sha1[CONTENT_SHA1]);
/* sha1 (40 digits) as the base64 of its 20 bytes, and back; false when it is no such thing. */
void content_base64(const char *sha1, char out[32]);
bool content_from_base64(const char *text, char sha1[CONTENT_SHA1]);

#endif
