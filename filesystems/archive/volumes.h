/* SPDX-License-Identifier: MIT */
/*
 * volumes.h - refuse one part of an archive that was cut into several files
 *
 * A part can be told by its bytes, whatever it is called:
 *
 *   zip   begins with the mark of a split archive, or its end record stands on another disk than the first
 *   rar   the main header says that the file is a volume (version 4 and 5)
 *   7z    the first part names a directory that lies behind its end; so does a file that was cut off.
 *         Later parts have no mark and are no archive by themselves.
 *
 * Shown as an archive, such a file would have members that cannot be read; saying so first is kinder.
 *
 * Threads: any.
 */
#ifndef ARCHIVE_VOLUMES_H
#define ARCHIVE_VOLUMES_H

#include "filesystems/archive/space.h"

/* What is to be said of the file, or NULL when it is whole as far as can be told. file: a file space. */
const char *volumes_refusal(struct space *file);

#endif
