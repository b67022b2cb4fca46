/* SPDX-License-Identifier: MIT */
/*
 * database.h - the cache's SQLite database: connections, transactions, durability
 *
 * One file, cache.db, in write-ahead-log mode. Whatever the cache knows stands in it or in a content file
 * (content.h); memory holds copies only. The schema is in schema.sql.h with the meaning of every column;
 * docs/cache-format.md tells it to people.
 *
 * Transactions
 *   There is one writing connection, under a lock, and a few reading ones, each under a lock of its own. The file is
 *   locked against other processes for as long as it is open, and the index of the log is in this process's memory
 *   (SQLite's VFS "unix-excl"), so that a transaction costs no system calls for locks. A change is
 *   made whole by database_commit: it survives the death of this process at any later instruction. It survives the
 *   death of the machine when database_sync, called after the commit, has returned; changes that were committed
 *   later never survive without the earlier ones.
 *   Between database_write and its end, and between database_read and its end, a thread holds that connection's lock:
 *   it must not wait for a network, for a lock that is taken before this one, or begin a second transaction. Callers'
 *   locks order: every other lock of the room is taken before a connection's, none after.
 *
 * Statements are prepared once a connection and found by the address of their text, so text must be a literal (or live
 * as long as the database). database_statement hands one out reset and without bindings; it is the caller's until the
 * transaction ends or the same text is asked for again.
 *
 * Errors: SQLite's are mapped by database_error: full disk -ENOSPC, no memory -ENOMEM, a constraint -EEXIST, a damaged
 * file -EUCLEAN, else -EIO; each is logged where it is mapped, but for the constraint.
 */
#ifndef CACHE_DATABASE_H
#define CACHE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct database;
struct database_connection;

/* Takes a line for the log; any thread. level as in dw_host.log. */
typedef void (*database_log)(void *context, int level, const char *line);

/*
 * Open cache.db in folder, which is absolute, or make it. Brings an older format up to date. The caller holds the
 * folder's lock (no other process uses it). -EUCLEAN (damaged), -EPROTO (made by a newer version), -ENOMEM, -ENOSPC,
 * -EIO.
 */
int database_open(struct database **out, const char *folder, database_log log, void *context);
/* No transaction may be open. */
void database_close(struct database *database);

/* Begin to change, waiting for the one who does. Never fails before commit: what goes wrong shows in a statement. */
struct database_connection *database_write(struct database *database);
/* End it: 0, and everything is done, or an error, and nothing is. */
int database_commit(struct database_connection *connection);
void database_rollback(struct database_connection *connection);

/* Begin to read one state of the database, which includes every change that was committed before. */
struct database_connection *database_read(struct database *database);
/* The same for a row or two: on the writing connection when nobody writes, since its pages are in memory, and every
 * commit takes them away from the reading ones. Who wants to change waits for its end. */
struct database_connection *database_glance(struct database *database);
void database_read_end(struct database_connection *connection);

/*
 * A number for what is committed now, for those who remember what they read: as long as the same number is answered
 * as before a reading transaction began, another one would read the same. 0: a commit is under way.
 */
uint64_t database_state(struct database *database);

/* Make every committed change durable. Any thread, no lock is held. -EIO. */
int database_sync(struct database *database);

/* NULL when it cannot be prepared; database_step then gives the error. */
sqlite3_stmt *database_statement(struct database_connection *connection, const char *text);
/* 1: a row is there; 0: done; else a negative errno. statement may be NULL. */
int database_step(struct database_connection *connection, sqlite3_stmt *statement);
/* As database_step for statements that give no row: 0 or a negative errno. */
int database_run(struct database_connection *connection, sqlite3_stmt *statement);
/* Bind the bytes of text, which are copied; NULL binds NULL. statement may be NULL. */
void database_bind_text(sqlite3_stmt *statement, int index, const char *text);
/* Rows that the last statement changed. */
int64_t database_changed(struct database_connection *connection);
/* Row id of the last insert. */
int64_t database_inserted(struct database_connection *connection);

/* Small facts by name, table meta. Absent: *value is 0, or text is "" . -ERANGE (text does not fit). */
int database_get_number(struct database_connection *connection, const char *key, int64_t *value);
int database_set_number(struct database_connection *connection, const char *key, int64_t value);
int database_get_text(struct database_connection *connection, const char *key, char *text, size_t size);
int database_set_text(struct database_connection *connection, const char *key, const char *text);

#endif
