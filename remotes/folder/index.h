/* SPDX-License-Identifier: MIT */
/*
 * index.h - what the disk cannot tell: ids, etags, properties, versions, sessions, events
 *
 * One SQLite connection with its statements, which are prepared when first wanted. Every function is called under the
 * owner's lock. An error of the database marks the transaction as broken: index_end undoes it.
 *
 * The table item has a row for every file and folder that was ever seen and is not forgotten:
 *    state    live: it was on disk when it was last looked for; missing: not where it was, a scan has to tell; trashed
 *    version  counts the changes of the item: its etag
 *    stale    the file was changed by somebody: its content name is to be found anew
 * Of the ids none is ever used again. In a folder, names of live items are unique because the disk's are.
 *
 * Errors: -ENOSPC, -ENOMEM, -EROFS, DW_REMOTE_LATER (another process kept the database locked for long), -EIO.
 */
#ifndef REMOTES_FOLDER_INDEX_H
#define REMOTES_FOLDER_INDEX_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTENT_SIZE 160u

enum row_state {
	ROW_LIVE = 0,
	ROW_MISSING = 1,
	ROW_TRASHED = 2,
};

struct row {
	int64_t id; /* 0: none */
	int64_t parent;
	int type; /* enum dw_remote_type */
	int state;
	int64_t inode;
	int64_t birth; /* times in nanoseconds since 1970; birth 0: not known */
	int64_t changed;
	int64_t modified;
	int64_t bytes;
	int64_t version;
	bool stale;
	char content[CONTENT_SIZE]; /* "": never known */
	char name[NAME_MAX + 1];
	char folded[NAME_MAX + 1];
};

enum index_query {
	INDEX_META_GET,
	INDEX_META_SET,
	INDEX_ROW,
	INDEX_ROW_NAMED,
	INDEX_ROW_FOLDED,
	INDEX_ROWS_INODE,
	INDEX_ROWS_PAGE,
	INDEX_IDS_LIVE,
	INDEX_IDS_FOLDERS,
	INDEX_IDS_MISSING,
	INDEX_IDS_EDITED,
	INDEX_IDS_CHILDREN,
	INDEX_IDS_TRASH_OLD,
	INDEX_ROW_INSERT,
	INDEX_ROW_UPDATE,
	INDEX_ROW_DELETE,
	INDEX_ROW_TRASH,
	INDEX_BYTES,
	INDEX_PROPERTIES,
	INDEX_PROPERTY_SET,
	INDEX_PROPERTY_DELETE,
	INDEX_PROPERTIES_DELETE,
	INDEX_PROPERTIES_COPY,
	INDEX_VERSION_SET,
	INDEX_VERSION_GET,
	INDEX_VERSION_OLDEST,
	INDEX_VERSION_DELETE,
	INDEX_VERSION_USED,
	INDEX_EVENT_INSERT,
	INDEX_EVENT_TRIM,
	INDEX_EVENTS,
	INDEX_EVENT_LAST,
	INDEX_SESSION_INSERT,
	INDEX_SESSION,
	INDEX_SESSION_DONE,
	INDEX_SESSION_DELETE,
	INDEX_SESSION_OLD,
	INDEX_PART_SET,
	INDEX_PARTS,
	INDEX_PARTS_DELETE,
	INDEX_QUERIES, /* how many there are */
};

struct index {
	sqlite3 *database;
	sqlite3_stmt *statements[INDEX_QUERIES];
	bool begun;
	bool broken;
};

/* path: absolute. Makes the database and its tables where they are not there. */
int index_open(struct index *index, const char *path, bool durable);
void index_close(struct index *index);
int index_begin(struct index *index);
/* Commit, or undo what is broken; 0 or the error. */
int index_end(struct index *index);

/*
 * Start a query. kinds has a letter for each value: i (int64_t), t (const char *, text), n (const char *, a name:
 * bytes). NULL after an error, of which index_step will tell. Only one use of a query at a time: read all before you
 * call what may use it too.
 */
sqlite3_stmt *index_start(struct index *index, enum index_query query, const char *kinds, ...);
/* 1: a row is there. 0: no more, 0 and errors end the query. */
int index_step(struct index *index, sqlite3_stmt *statement);
/* End a query before its last row. */
void index_stop(sqlite3_stmt *statement);
/* Copy a column that is text or bytes; false: it does not fit. */
bool index_text(sqlite3_stmt *statement, int column, char *out, size_t size);

/* A query that answers rows of item: the first one, -ENOENT where there is none. The statement comes from index_start.
 */
int index_row(struct index *index, sqlite3_stmt *statement, struct row *out);
struct row_list {
	struct row *rows;
	size_t count;
};
int index_rows(struct index *index, sqlite3_stmt *statement, struct row_list *out);
struct id_list {
	int64_t *ids;
	size_t count;
	size_t room;
};
int index_ids(struct index *index, sqlite3_stmt *statement, struct id_list *out);
int id_list_add(struct id_list *list, int64_t id);
/* A query without rows. */
int index_run(struct index *index, sqlite3_stmt *statement);

/* row->id is set to the new one. */
int index_insert(struct index *index, struct row *row);
int index_update(struct index *index, const struct row *row);

struct property {
	char key[65];
	char *value;
};
struct property_list {
	struct property *list;
	size_t count;
};
int index_properties(struct index *index, int64_t id, struct property_list *out);
void property_list_clear(struct property_list *list);

#endif
