/* SPDX-License-Identifier: MIT */
/*
 * ahead.h - small files are fetched before they are asked for
 *
 * Who opens small files of one folder one after another, in the order of their listing, which are not here, will open
 * the next ones too (grep -r, tar, a build): those are fetched in the background while he reads. The window begins with
 * two files and doubles with every file that was opened in order, up to 32 files or 16 MiB. A few folders are watched
 * at one time, the one that was not used for longest gives way.
 *
 * Threads: any. The lock is a leaf. Rows are made on the thread of an own worker.
 */
#ifndef CACHE_AHEAD_H
#define CACHE_AHEAD_H

#include "cache/nodes.h"

int ahead_start(struct ahead **out, struct cache *cache);
void ahead_stop(struct ahead *ahead);
/* The file of row was opened for reading. Returns at once. */
void ahead_opened(struct cache *cache, const struct node_row *row);

#endif
