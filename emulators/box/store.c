/* SPDX-License-Identifier: MIT */
#include "emulators/box/store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
	/* One process a folder, so the locks of files need not be taken for every statement. */
	"PRAGMA locking_mode = EXCLUSIVE;"
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = OFF;"
	"PRAGMA temp_store = MEMORY;"
	"PRAGMA cache_size = -65536;"
	"PRAGMA wal_autocheckpoint = 4000;"
	"CREATE TABLE IF NOT EXISTS user (id INTEGER PRIMARY KEY, login TEXT UNIQUE, name TEXT, root INTEGER,"
	" quota INTEGER, upload_limit INTEGER, used INTEGER DEFAULT 0, enterprise TEXT);"
	/* key is id * 2, and one more for a folder: files and folders are numbered apart, as at Box. */
	"CREATE TABLE IF NOT EXISTS item (key INTEGER PRIMARY KEY, owner INTEGER, parent INTEGER, folder INTEGER,"
	" name TEXT, fold TEXT, size INTEGER, sha1 TEXT, version INTEGER, etag INTEGER, created INTEGER,"
	" modified INTEGER, content_created INTEGER, content_modified INTEGER, trashed INTEGER, extras INTEGER);"
	"CREATE UNIQUE INDEX IF NOT EXISTS item_name ON item (parent, fold) WHERE trashed = 0;"
	"CREATE INDEX IF NOT EXISTS item_parent ON item (parent, folder DESC, key);"
	"CREATE INDEX IF NOT EXISTS item_trash ON item (owner, trashed) WHERE trashed > 0;"
	"CREATE TABLE IF NOT EXISTS extra (key INTEGER PRIMARY KEY, shared TEXT, description TEXT, tags TEXT);"
	"CREATE TABLE IF NOT EXISTS version (id INTEGER PRIMARY KEY, file INTEGER, number INTEGER, sha1 TEXT,"
	" size INTEGER, name TEXT, created INTEGER, modified INTEGER);"
	"CREATE INDEX IF NOT EXISTS version_file ON version (file, number);"
	"CREATE INDEX IF NOT EXISTS version_content ON version (sha1);"
	"CREATE TABLE IF NOT EXISTS metadata (key INTEGER, scope TEXT, template TEXT, id TEXT, version INTEGER,"
	" data TEXT, PRIMARY KEY (key, scope, template)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER, type TEXT, public TEXT,"
	" created INTEGER, source TEXT, creator TEXT);"
	"CREATE INDEX IF NOT EXISTS event_user ON event (user, id);"
	"CREATE TABLE IF NOT EXISTS app (client TEXT PRIMARY KEY, secret TEXT, redirects TEXT, keys TEXT, user INTEGER,"
	" enterprise TEXT);"
	"CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, kind TEXT, user INTEGER, client TEXT,"
	" expires INTEGER, family TEXT, used INTEGER, redirect TEXT, challenge TEXT) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS token_family ON token (family);"
	"CREATE TABLE IF NOT EXISTS session (id TEXT PRIMARY KEY, user INTEGER, file INTEGER, parent INTEGER, name "
	"TEXT,"
	" size INTEGER, part_size INTEGER, expires INTEGER, committing INTEGER DEFAULT 0) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS part (session TEXT, offset INTEGER, id TEXT, size INTEGER, sha1 TEXT,"
	" PRIMARY KEY (session, offset)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
	"UPDATE session SET committing = 0;";

int store_open(struct store **out, const char *folder)
{
	struct store *store = calloc(1, sizeof(*store));
	char *path = NULL;
	int error = -ENOMEM;

	if (!store)
		return -ENOMEM;
	pthread_mutex_init(&store->lock, NULL);
	store->folder = strdup(folder);
	if (!store->folder || asprintf(&path, "%s/box.db", folder) < 0) {
		path = NULL;
		goto out;
	}
	error = -EIO;
	if (sqlite3_open_v2(path, &store->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK ||
	    sqlite3_busy_timeout(store->database, 5000) != SQLITE_OK ||
	    sqlite3_exec(store->database, schema, NULL, NULL, NULL) != SQLITE_OK) {
		fprintf(stderr, "driveway-box-emulator: %s: %s\n", path, sqlite3_errmsg(store->database));
		goto out;
	}
	error = 0;

out:
	free(path);
	if (error) {
		store_close(store);
		store = NULL;
	}
	*out = store;
	return error;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (int i = 0; i < STORE_STATEMENTS; i++)
		sqlite3_finalize(store->statements[i].prepared);
	sqlite3_close(store->database);
	pthread_mutex_destroy(&store->lock);
	free(store->folder);
	free(store);
}

void store_lock(struct store *store)
{
	pthread_mutex_lock(&store->lock);
}

void store_unlock(struct store *store)
{
	pthread_mutex_unlock(&store->lock);
}

static void store_fail(struct store *store, const char *text)
{
	if (!store->failed)
		fprintf(stderr, "driveway-box-emulator: %s: %s\n", sqlite3_errmsg(store->database), text);
	store->failed = true;
}

static sqlite3_stmt *store_prepared(struct store *store, const char *text)
{
	size_t at = ((uintptr_t)text * 0x9e3779b97f4a7c15u) >> 40;
	struct store_statement *slot;

	for (int i = 0; i < STORE_STATEMENTS; i++) {
		slot = &store->statements[(at + i) % STORE_STATEMENTS];
		if (slot->text == text)
			return slot->prepared;
		if (slot->text)
			continue;
		if (sqlite3_prepare_v3(store->database, text, -1, SQLITE_PREPARE_PERSISTENT, &slot->prepared, NULL) !=
		    SQLITE_OK)
			break;
		slot->text = text;
		return slot->prepared;
	}
	store_fail(store, text);
	return NULL;
}

static sqlite3_stmt *store_bound(struct store *store, const char *text, const char *types, va_list values)
{
	sqlite3_stmt *statement = store->failed ? NULL : store_prepared(store, text);
	int status = SQLITE_OK;

	if (!statement)
		return NULL;
	for (int i = 0; types[i] && status == SQLITE_OK; i++) {
		if (types[i] == 'i')
			status = sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
		else
			status = sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1,
						   SQLITE_TRANSIENT);
	}
	if (status != SQLITE_OK) {
		store_fail(store, text);
		return NULL;
	}
	return statement;
}

bool store_next(struct store *store, sqlite3_stmt *statement)
{
	int status;

	if (!statement)
		return false;
	status = sqlite3_step(statement);
	if (status == SQLITE_ROW)
		return true;
	if (status != SQLITE_DONE)
		store_fail(store, sqlite3_sql(statement));
	sqlite3_reset(statement);
	return false;
}

void store_done(sqlite3_stmt *statement)
{
	if (statement)
		sqlite3_reset(statement);
}

sqlite3_stmt *store_ask(struct store *store, const char *text, const char *types, ...)
{
	sqlite3_stmt *statement;
	va_list values;

	va_start(values, types);
	statement = store_bound(store, text, types, values);
	va_end(values);
	return statement;
}

int store_run(struct store *store, const char *text, const char *types, ...)
{
	sqlite3_stmt *statement;
	va_list values;

	va_start(values, types);
	statement = store_bound(store, text, types, values);
	va_end(values);
	if (!statement)
		return 0;
	store_next(store, statement);
	store_done(statement);
	return store->failed ? 0 : sqlite3_changes(store->database);
}

int64_t store_number(struct store *store, int64_t otherwise, const char *text, const char *types, ...)
{
	sqlite3_stmt *statement;
	va_list values;
	int64_t number = otherwise;

	va_start(values, types);
	statement = store_bound(store, text, types, values);
	va_end(values);
	if (store_next(store, statement)) {
		if (sqlite3_column_type(statement, 0) != SQLITE_NULL)
			number = sqlite3_column_int64(statement, 0);
		store_done(statement);
	}
	return number;
}

const char *store_text(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return text ? text : "";
}

void store_begin(struct store *store)
{
	store->failed = false;
	store_run(store, "BEGIN IMMEDIATE", "");
	store->writing = !store->failed;
}

int store_commit(struct store *store)
{
	if (!store->failed)
		store_run(store, "COMMIT", "");
	if (store->failed) {
		store_rollback(store);
		return -EIO;
	}
	store->writing = false;
	return 0;
}

void store_rollback(struct store *store)
{
	store->failed = false;
	if (store->writing && !sqlite3_get_autocommit(store->database))
		store_run(store, "ROLLBACK", "");
	store->writing = false;
	store->failed = false;
}

int store_end(struct store *store)
{
	int error = store->failed ? -EIO : 0;

	store->failed = false;
	return error;
}
