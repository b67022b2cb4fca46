/* SPDX-License-Identifier: MIT */
/*
 * file.h - reads and writes that do all of it
 *
 * read(2) and write(2) may do a part, or be interrupted before they do anything; these go on until all is done or
 * cannot be. Linux only. Any thread.
 */
#ifndef SUPPORT_FILE_H
#define SUPPORT_FILE_H

#include <stddef.h>
#include <stdint.h>

/* size bytes from where fd stands. -EINVAL: the file ends before; -EIO: it cannot be read. */
int file_read(int fd, void *buffer, size_t size);
/* The same the other way. write's error; -EIO where it says that it wrote nothing. Part of it may have been written. */
int file_write(int fd, const void *buffer, size_t size);
/* At offset, without moving where fd stands. pwrite's error, likewise. */
int file_write_at(int fd, const void *buffer, size_t size, uint64_t offset);

#endif
