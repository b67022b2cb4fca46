/* SPDX-License-Identifier: MIT */
/* tarball.h - writes tar headers as nobody should, for the tests of hostile archives */
#ifndef TESTS_ARCHIVE_TARBALL_H
#define TESTS_ARCHIVE_TARBALL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* type: as in ustar ('0' file, '1' hard link, '2' symbolic link, '5' folder). name: up to 100 bytes. size: what the
 * header says; content: what follows, rounded up to blocks, or NULL for nothing. */
void tarball_member(FILE *file, char type, const char *name, const char *link, uint64_t size, const char *content);
/* The same with a path of any length in a pax header. */
void tarball_long_member(FILE *file, char type, const char *path, const char *content);
/* Records "key=value" for the next member, one a line. */
void tarball_pax(FILE *file, const char *records);
void tarball_end(FILE *file);

#endif
