/* SPDX-License-Identifier: MIT */
/*
 * rows.h - rows of nodes that were read lately, in memory
 *
 * Opening a file that is here costs little but the reading of its row, so a row that was read is remembered together
 * with the state of the database that it was read from (database_state). It is believed for as long as that state is
 * the present one: any commit, of whatever, makes all that is remembered worthless. So nothing has to be invalidated by
 * those who change rows, and what is answered is what a reading transaction that begins now would answer.
 *
 * A table of ROWS places, each found by the node's number; whoever comes later takes the place. Its lock is a leaf.
 */
#ifndef CACHE_ROWS_H
#define CACHE_ROWS_H

#include "cache/cache.h"
#include "cache/nodes.h"

struct rows;

/* -ENOMEM */
int rows_start(struct rows **out);
void rows_stop(struct rows *rows);

/* As nodes_read in a reading transaction of its own. Not inside another transaction. */
int rows_read(struct cache *cache, uint64_t id, struct node_row *out);

#endif
