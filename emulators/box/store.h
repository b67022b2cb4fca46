/* SPDX-License-Identifier: MIT */
/*
 * store.h - what the emulated service remembers: one SQLite database
 *
 * Everything but the bytes of files (content.h) stands in DIR/box.db: users, items, versions, tokens, events, upload
 * sessions, metadata. It survives a kill of the process (write-ahead log), not a power cut (synchronous is off): it is
 * a stand-in and a benchmark's peer, not a keeper of data.
 *
 * One connection, one lock. Statements are prepared once and found again by the address of their text, which
 * therefore must be a string literal. One statement may not be used by two loops at a time: whoever walks a tree
 * collects first.
 *
 * Errors are sticky: a statement that fails (a full disk) marks the store, everything after it does nothing, and
 * store_commit or store_end says so. Between, callers go on as if rows were missing.
 *
 * Threads: every function but open and close with the lock held (store_lock). The lock is the last one in the order:
 * nothing else is locked while it is held but events.h's wake-up.
 */
#ifndef BOX_STORE_H
#define BOX_STORE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define STORE_STATEMENTS 512 /* a power of two, above the number of statements in the program */

struct store {
	sqlite3 *database;
	pthread_mutex_t lock;
	char *folder; /* DIR */
	bool failed;
	bool writing;
	struct store_statement {
		const char *text;
		sqlite3_stmt *prepared;
	} statements[STORE_STATEMENTS];
};

/* Open or make the database in folder. -ENOMEM, -EIO. */
int store_open(struct store **out, const char *folder);
void store_close(struct store *store);

void store_lock(struct store *store);
void store_unlock(struct store *store);

/* Start a transaction. */
void store_begin(struct store *store);
/* End it; -EIO when anything failed since, and then nothing is changed. */
int store_commit(struct store *store);
void store_rollback(struct store *store);
/* After reading without a transaction: -EIO when anything failed. */
int store_end(struct store *store);

/*
 * A statement with its values bound: types has a letter a value, 'i' an int64_t, 's' a string or NULL. The rows
 * come from store_next; a loop that stops early calls store_done. NULL when the store has failed, which
 * store_next and store_done take.
 */
sqlite3_stmt *store_ask(struct store *store, const char *text, const char *types, ...);
bool store_next(struct store *store, sqlite3_stmt *statement);
void store_done(sqlite3_stmt *statement);
/* Run a statement that has no rows. How many rows it changed. */
int store_run(struct store *store, const char *text, const char *types, ...);
/* The first column of the first row, or otherwise. */
int64_t store_number(struct store *store, int64_t otherwise, const char *text, const char *types, ...);

/* A column as text, "" when it is NULL; until the next step. */
const char *store_text(sqlite3_stmt *statement, int column);

#endif
