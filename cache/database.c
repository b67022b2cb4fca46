/* SPDX-License-Identifier: MIT */
#include "cache/database.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/schema.sql.h"
#include "support/text.h"

/* Twice as many as request threads of a drive that use the database at one time as a rule. */
#define READERS	   8
#define STATEMENTS 256 /* slots of the table of statements, a power of two; a quarter of them is in use */

struct statement {
	const char *text;
	sqlite3_stmt *prepared;
};

struct database_connection {
	struct database *database;
	pthread_mutex_t lock;
	sqlite3 *sqlite; /* of a reading connection NULL until it is first used */
	bool failed;	 /* a statement of this transaction failed: commit must not */
	int error;	 /* what it failed with */
	struct statement statements[STATEMENTS];
};

struct database {
	char path[4096];
	database_log log;
	void *context;
	int log_fd; /* of the write-ahead log */
	atomic_uint next;
	_Atomic uint64_t state; /* raised before and after each commit: odd while there is none */
	struct database_connection writer;
	struct database_connection readers[READERS];
};

static int database_error(struct database *database, int code, const char *what)
{
	char line[512];
	int ret;

	switch (code & 0xff) {
	case SQLITE_OK:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_NOMEM:
		ret = -ENOMEM;
		break;
	case SQLITE_FULL:
		ret = -ENOSPC;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		ret = -EUCLEAN;
		break;
	default:
		ret = code == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
	}
	(void)text_format(line, sizeof(line), "the cache's database %.200s: %s (%d) in: %.200s", database->path,
			  sqlite3_errstr(code), code, what);
	database->log(database->context, 0, line);
	return ret;
}

static int connection_open(struct database_connection *connection)
{
	struct database *database = connection->database;
	int code;

	if (connection->sqlite)
		return 0;
	code = sqlite3_open_v2(database->path, &connection->sqlite,
			       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				       SQLITE_OPEN_PRIVATECACHE,
			       "unix-excl");
	if (code == SQLITE_OK)
		code = sqlite3_exec(
			connection->sqlite,
			"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
			"PRAGMA cache_size = -512; PRAGMA wal_autocheckpoint = 2000;",
			NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_busy_timeout(connection->sqlite, 10000);
	if (code != SQLITE_OK) {
		sqlite3_close(connection->sqlite);
		connection->sqlite = NULL;
	}
	return database_error(database, code, "open");
}

static void connection_close(struct database_connection *connection)
{
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(connection->statements[i].prepared);
	sqlite3_close(connection->sqlite);
	pthread_mutex_destroy(&connection->lock);
}

/* Make the tables of a new database, or refuse one that a newer version made. */
static int prepare_format(struct database *database)
{
	struct database_connection *connection = database_write(database);
	sqlite3_stmt *tables;
	int64_t format = 0;
	int ret;

	tables = database_statement(connection, "SELECT 1 FROM sqlite_master WHERE name = 'meta'");
	ret = database_step(connection, tables);
	if (ret < 0)
		goto failed;
	if (ret) {
		sqlite3_reset(tables);
		ret = database_get_number(connection, "format", &format);
		if (!ret && format != DATABASE_FORMAT)
			ret = format > DATABASE_FORMAT ? -EPROTO : -EUCLEAN;
	} else {
		ret = database_error(database, sqlite3_exec(connection->sqlite, database_schema, NULL, NULL, NULL),
				     "schema");
		if (!ret)
			ret = database_set_number(connection, "format", DATABASE_FORMAT);
	}
	if (ret)
		goto failed;
	return database_commit(connection);
failed:
	database_rollback(connection);
	return ret;
}

static int open_log(struct database *database, const char *folder)
{
	char path[4096 + 8];
	int folder_fd;

	(void)text_format(path, sizeof(path), "%s-wal", database->path);
	database->log_fd = open(path, O_RDWR | O_CLOEXEC);
	if (database->log_fd < 0)
		return -errno;
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd < 0)
		return -errno;
	if (fsync(folder_fd)) {
		int ret = -errno;

		close(folder_fd);
		return ret;
	}
	close(folder_fd);
	return 0;
}

int database_open(struct database **out, const char *folder, database_log log, void *context)
{
	struct database *database = calloc(1, sizeof(*database));
	int ret;

	if (!database)
		return -ENOMEM;
	database->log = log;
	database->context = context;
	database->log_fd = -1;
	atomic_init(&database->state, 1);
	database->writer.database = database;
	pthread_mutex_init(&database->writer.lock, NULL);
	for (size_t i = 0; i < READERS; i++) {
		database->readers[i].database = database;
		pthread_mutex_init(&database->readers[i].lock, NULL);
	}
	ret = text_format(database->path, sizeof(database->path), "%s/cache.db", folder) ? 0 : -ENAMETOOLONG;
	if (!ret)
		ret = connection_open(&database->writer);
	if (!ret)
		ret = prepare_format(database);
	if (!ret)
		ret = open_log(database, folder);
	if (ret) {
		database_close(database);
		return ret;
	}
	*out = database;
	return 0;
}

void database_close(struct database *database)
{
	for (size_t i = 0; i < READERS; i++)
		connection_close(&database->readers[i]);
	connection_close(&database->writer);
	if (database->log_fd >= 0)
		close(database->log_fd);
	free(database);
}

static void begin(struct database_connection *connection, const char *how)
{
	connection->failed = false;
	connection->error = 0;
	database_run(connection, database_statement(connection, how));
}

struct database_connection *database_write(struct database *database)
{
	pthread_mutex_lock(&database->writer.lock);
	begin(&database->writer, "BEGIN IMMEDIATE");
	return &database->writer;
}

static void end(struct database_connection *connection)
{
	/* A statement that was not stepped to its end would keep the transaction open. */
	for (size_t i = 0; i < STATEMENTS; i++) {
		if (connection->statements[i].prepared && sqlite3_stmt_busy(connection->statements[i].prepared))
			sqlite3_reset(connection->statements[i].prepared);
	}
}

int database_commit(struct database_connection *connection)
{
	int ret;

	end(connection);
	if (connection->failed) {
		ret = connection->error;
		database_rollback(connection);
		return ret;
	}
	atomic_fetch_add(&connection->database->state, 1);
	ret = database_run(connection, database_statement(connection, "COMMIT"));
	atomic_fetch_add(&connection->database->state, 1);
	if (ret) {
		database_rollback(connection);
		return ret;
	}
	pthread_mutex_unlock(&connection->lock);
	return 0;
}

void database_rollback(struct database_connection *connection)
{
	end(connection);
	if (connection->sqlite && !sqlite3_get_autocommit(connection->sqlite))
		sqlite3_exec(connection->sqlite, "ROLLBACK", NULL, NULL, NULL);
	pthread_mutex_unlock(&connection->lock);
}

struct database_connection *database_read(struct database *database)
{
	unsigned first = atomic_fetch_add_explicit(&database->next, 1, memory_order_relaxed);
	struct database_connection *connection = &database->readers[first % READERS];
	bool locked = false;

	/* Low numbers first: their pages and statements are warm. */
	for (size_t i = 0; i < READERS && !locked; i++) {
		if (pthread_mutex_trylock(&database->readers[i].lock) == 0) {
			connection = &database->readers[i];
			locked = true;
		}
	}
	if (!locked)
		pthread_mutex_lock(&connection->lock);
	if (connection_open(connection) == 0)
		begin(connection, "BEGIN");
	return connection;
}

struct database_connection *database_glance(struct database *database)
{
	if (pthread_mutex_trylock(&database->writer.lock))
		return database_read(database);
	begin(&database->writer, "BEGIN");
	return &database->writer;
}

void database_read_end(struct database_connection *connection)
{
	end(connection);
	if (connection->sqlite)
		database_run(connection, database_statement(connection, "COMMIT"));
	pthread_mutex_unlock(&connection->lock);
}

uint64_t database_state(struct database *database)
{
	uint64_t state = atomic_load(&database->state);

	return state % 2 ? state : 0;
}

int database_sync(struct database *database)
{
	return fdatasync(database->log_fd) ? -errno : 0;
}

sqlite3_stmt *database_statement(struct database_connection *connection, const char *text)
{
	size_t slot = ((uintptr_t)text >> 3) * 0x9e3779b97f4a7c15u >> 40;
	int code;

	if (!connection->sqlite)
		return NULL;
	for (size_t i = 0; i < STATEMENTS; i++) {
		struct statement *statement = &connection->statements[(slot + i) % STATEMENTS];

		if (statement->text == text) {
			sqlite3_reset(statement->prepared);
			sqlite3_clear_bindings(statement->prepared);
			return statement->prepared;
		}
		if (statement->text)
			continue;
		code = sqlite3_prepare_v3(connection->sqlite, text, -1, SQLITE_PREPARE_PERSISTENT, &statement->prepared,
					  NULL);
		if (code != SQLITE_OK) {
			connection->failed = true;
			connection->error = database_error(connection->database, code, text);
			return NULL;
		}
		statement->text = text;
		return statement->prepared;
	}
	connection->failed = true;
	connection->error = database_error(connection->database, SQLITE_FULL, "too many different statements");
	return NULL;
}

int database_step(struct database_connection *connection, sqlite3_stmt *statement)
{
	int code, ret;

	if (!statement)
		return connection->failed ? connection->error : -EIO;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	ret = database_error(connection->database, sqlite3_extended_errcode(connection->sqlite),
			     sqlite3_sql(statement));
	if (ret == 0)
		ret = -EIO;
	/* A constraint undoes its own statement only: the caller may go on. */
	if (ret != -EEXIST) {
		connection->failed = true;
		connection->error = ret;
	}
	return ret;
}

int database_run(struct database_connection *connection, sqlite3_stmt *statement)
{
	int ret = database_step(connection, statement);

	if (statement)
		sqlite3_reset(statement);
	return ret < 0 ? ret : 0;
}

void database_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (statement && text)
		sqlite3_bind_blob(statement, index, text, (int)strlen(text), SQLITE_TRANSIENT);
	else if (statement)
		sqlite3_bind_null(statement, index);
}

int64_t database_changed(struct database_connection *connection)
{
	return sqlite3_changes64(connection->sqlite);
}

int64_t database_inserted(struct database_connection *connection)
{
	return sqlite3_last_insert_rowid(connection->sqlite);
}

static int find_fact(struct database_connection *connection, const char *key, sqlite3_stmt **out)
{
	*out = database_statement(connection, "SELECT value FROM meta WHERE key = ?");
	if (*out)
		sqlite3_bind_text(*out, 1, key, -1, SQLITE_STATIC);
	return database_step(connection, *out);
}

int database_get_number(struct database_connection *connection, const char *key, int64_t *value)
{
	sqlite3_stmt *found;
	int ret = find_fact(connection, key, &found);

	*value = ret > 0 ? sqlite3_column_int64(found, 0) : 0;
	return ret < 0 ? ret : 0;
}

int database_get_text(struct database_connection *connection, const char *key, char *text, size_t size)
{
	sqlite3_stmt *found;
	int ret = find_fact(connection, key, &found);

	text[0] = '\0';
	if (ret <= 0)
		return ret;
	return text_copy(text, size, (const char *)sqlite3_column_text(found, 0)) ? 0 : -ERANGE;
}

int database_set_number(struct database_connection *connection, const char *key, int64_t value)
{
	sqlite3_stmt *put = database_statement(connection, "INSERT OR REPLACE INTO meta VALUES(?, ?)");

	if (put) {
		sqlite3_bind_text(put, 1, key, -1, SQLITE_STATIC);
		sqlite3_bind_int64(put, 2, value);
	}
	return database_run(connection, put);
}

int database_set_text(struct database_connection *connection, const char *key, const char *text)
{
	sqlite3_stmt *put = database_statement(connection, "INSERT OR REPLACE INTO meta VALUES(?, ?)");

	if (put) {
		sqlite3_bind_text(put, 1, key, -1, SQLITE_STATIC);
		sqlite3_bind_text(put, 2, text, -1, SQLITE_STATIC);
	}
	return database_run(connection, put);
}
