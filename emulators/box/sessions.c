/* SPDX-License-Identifier: MIT */
#include "emulators/box/answer.h"
#include "emulators/box/check.h"
#include "emulators/box/events.h"
#include "emulators/box/render.h"
#include "emulators/box/upload.h"
#include "support/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEGABYTE (1 << 20)
#define ID_BYTES 16

/* A row of the table session. */
struct session {
	char id[2 * ID_BYTES + 1];
	int64_t user;
	int64_t file; /* the file that gets a new version, or 0 */
	int64_t parent;
	char name[ITEM_NAME];
	int64_t size, part_size, expires;
	int64_t committing; /* a commit is hashing; or how often it has answered 202 */
};

/* The path of the file that parts go into; to be freed. */
static char *session_path(struct store *store, const char *id)
{
	char *path;

	return asprintf(&path, "%s/sessions/%s", store->folder, id) < 0 ? NULL : path;
}

/* Forget a session and its parts. */
static void session_remove(struct store *store, const struct session *session)
{
	char *path = session_path(store, session->id);

	store_run(store, "DELETE FROM part WHERE session = ?", "s", session->id);
	store_run(store, "DELETE FROM session WHERE id = ?", "s", session->id);
	if (path)
		unlink(path);
	free(path);
}

/* The session of the first argument. False with the answer 404 or, when its time is over, 410. */
static bool session_find(struct request *request, struct session *session)
{
	struct emulator *emulator = request->emulator;
	sqlite3_stmt *statement;

	statement = store_ask(emulator->store,
			      "SELECT id, user, file, parent, name, size, part_size, expires, committing FROM session"
			      " WHERE id = ? AND user = ?",
			      "si", request->arguments[0], request->user.id);
	if (!store_next(emulator->store, statement)) {
		answer_error(request, 404, NULL, "There is no such upload session");
		return false;
	}
	text_copy(session->id, sizeof(session->id), store_text(statement, 0));
	session->user = sqlite3_column_int64(statement, 1);
	session->file = sqlite3_column_int64(statement, 2);
	session->parent = sqlite3_column_int64(statement, 3);
	text_copy(session->name, sizeof(session->name), store_text(statement, 4));
	session->size = sqlite3_column_int64(statement, 5);
	session->part_size = sqlite3_column_int64(statement, 6);
	session->expires = sqlite3_column_int64(statement, 7);
	session->committing = sqlite3_column_int64(statement, 8);
	store_done(statement);
	if (session->expires > clock_now(&emulator->clock))
		return true;
	answer_error(request, 410, "session_expired", "The upload session has expired");
	return false;
}

static json_t *session_json(struct request *request, const struct session *session)
{
	struct store *store = request->emulator->store;
	char base[512];
	int64_t done;

	if (!request_base(request, HOST_UPLOAD, base, sizeof(base)))
		return NULL;
	done = store_number(store, 0, "SELECT count(*) FROM part WHERE session = ?", "s", session->id);
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:{s:o, s:o, s:o, s:o, s:o, s:o}}", "id", session->id, "type",
			 "upload_session", "session_expires_at", render_time(session->expires), "part_size",
			 (json_int_t)session->part_size, "total_parts",
			 (json_int_t)((session->size + session->part_size - 1) / session->part_size),
			 "num_parts_processed", (json_int_t)done, "session_endpoints", "list_parts",
			 json_sprintf("%s/files/upload_sessions/%s/parts", base, session->id), "commit",
			 json_sprintf("%s/files/upload_sessions/%s/commit", base, session->id), "log_event",
			 json_sprintf("%s/files/upload_sessions/%s/log", base, session->id), "upload_part",
			 json_sprintf("%s/files/upload_sessions/%s", base, session->id), "status",
			 json_sprintf("%s/files/upload_sessions/%s", base, session->id), "abort",
			 json_sprintf("%s/files/upload_sessions/%s", base, session->id));
}

/* 8 MB for what is small, and so much for what is large that there are not too many parts. */
static int64_t session_part_size(struct request *request, int64_t size)
{
	int64_t wanted = emulator_setting(request->emulator, SETTING_PART_SIZE);

	if (wanted > 0)
		return wanted;
	wanted = 8 * MEGABYTE;
	while (size / wanted > 1000 && wanted < 512 * (int64_t)MEGABYTE)
		wanted *= 2;
	return wanted;
}

static bool session_accept(struct request *request, const json_t *body, struct session *session)
{
	const char *folder = json_string_value(json_object_get(body, "folder_id"));
	const char *name = json_string_value(json_object_get(body, "file_name"));
	const json_t *size = json_object_get(body, "file_size");
	struct emulator *emulator = request->emulator;
	struct item item;

	if (*request->arguments[0]) {
		if (!check_this_item(request, &item) || (name && !check_name(request, name)) ||
		    (name && !check_free(request, item.parent, name, item.key)))
			return false;
		session->file = item.key;
		session->parent = item.parent;
		text_copy(session->name, sizeof(session->name), name ? name : item.name);
	} else {
		if (!folder) {
			answer_error(request, 400, "missing_destination", "No folder_id was provided");
			return false;
		}
		if (!check_item(request, true, folder, ITEM_ACTIVE, &item) || !check_name(request, name) ||
		    !check_free(request, item.key, name, 0))
			return false;
		session->parent = item.key;
		text_copy(session->name, sizeof(session->name), name);
	}
	if (!json_is_integer(size) || json_integer_value(size) < 0) {
		answer_invalid(request, 400, NULL, "file_size", "invalid_parameter",
			       "'file_size' is missing or no size");
		return false;
	}
	session->size = json_integer_value(size);
	if (session->size < emulator_setting(emulator, SETTING_SESSION_LEAST)) {
		answer_error(request, 400, "file_size_too_small", "The file is too small for an upload session");
		return false;
	}
	return check_room(request, session->size);
}

/* Sessions that ran out a day ago are not even told of any more. */
static void session_sweep(struct emulator *emulator)
{
	struct store *store = emulator->store;
	sqlite3_stmt *statement;
	struct session old;

	for (;;) {
		statement = store_ask(store, "SELECT id FROM session WHERE expires < ? LIMIT 1", "i",
				      clock_now(&emulator->clock) - 86400);
		if (!store_next(store, statement))
			return;
		text_copy(old.id, sizeof(old.id), store_text(statement, 0));
		store_done(statement);
		session_remove(store, &old);
	}
}

static void sessions_create_with(struct request *request, const json_t *body)
{
	struct emulator *emulator = request->emulator;
	struct session session = {.user = request->user.id};

	session_sweep(emulator);
	if (!session_accept(request, body, &session))
		return;
	if (!emulator_random_hex(session.id, ID_BYTES)) {
		answer_error(request, 500, NULL, "no random numbers");
		return;
	}
	session.part_size = session_part_size(request, session.size);
	session.expires = clock_now(&emulator->clock) + emulator_setting(emulator, SETTING_SESSION_LIFE);
	store_run(emulator->store,
		  "INSERT INTO session (id, user, file, parent, name, size, part_size, expires)"
		  " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		  "siiisiii", session.id, session.user, session.file, session.parent, session.name, session.size,
		  session.part_size, session.expires);
	answer_json(request, 201, session_json(request, &session));
}

void sessions_create(struct request *request)
{
	json_t *body = request_json(request);

	if (!body)
		return;
	sessions_create_with(request, body);
	json_decref(body);
}

void sessions_get(struct request *request)
{
	struct session session;

	if (session_find(request, &session))
		answer_json(request, 200, session_json(request, &session));
}

void sessions_abort(struct request *request)
{
	struct session session;

	if (!session_find(request, &session))
		return;
	session_remove(request->emulator->store, &session);
	answer_empty(request, 204);
}

/* "bytes first-last/total" */
static bool session_range(const char *text, int64_t *first, int64_t *last, int64_t *total)
{
	int64_t *const numbers[] = {first, last, total};
	const char marks[] = {'-', '/', '\0'};
	char digits[24];
	uint64_t number;
	size_t length;

	if (!text || strncmp(text, "bytes ", 6) != 0)
		return false;
	text += 6;
	for (int i = 0; i < 3; i++) {
		length = strspn(text, "0123456789");
		if (length >= sizeof(digits) || text[length] != marks[i])
			return false;
		text_format(digits, sizeof(digits), "%.*s", (int)length, text);
		if (text_parse_number(digits, INT64_MAX, &number))
			return false;
		*numbers[i] = (int64_t)number;
		text += length + 1;
	}
	return true;
}

/* Whether the part that came is one of the session's. False with the answer set. */
static bool session_check_part(struct request *request, const struct session *session, int64_t first, int64_t last,
			       int64_t total)
{
	struct store *store = request->emulator->store;
	int64_t end = first + session->part_size < session->size ? first + session->part_size : session->size;
	sqlite3_stmt *statement;
	bool same;

	if (total != session->size || first % session->part_size || last != end - 1 || first >= session->size) {
		answer_error(request, 416, "range_not_satisfiable", "The range is none of the session's parts");
		return false;
	}
	if ((int64_t)request->writer.size != end - first) {
		answer_error(request, 412, "precondition_failed", "The body is not as long as the range");
		return false;
	}
	statement = store_ask(store, "SELECT sha1 FROM part WHERE session = ? AND offset = ?", "si", session->id,
			      first);
	if (!store_next(store, statement))
		return true;
	same = strcmp(store_text(statement, 0), request->writer.sha1) == 0;
	store_done(statement);
	if (!same)
		answer_error(request, 409, "conflict", "Another part was uploaded for this range");
	return same;
}

/* Put the part's bytes into the session's file. */
static int session_write(struct request *request, const struct session *session, int64_t offset)
{
	char *path = session_path(request->emulator->store, session->id);
	off_t from = 0, to = offset;
	size_t left = request->writer.size;
	ssize_t done;
	int fd, error = 0;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	free(path);
	if (fd < 0)
		return -errno;
	while (left && !error) {
		done = copy_file_range(request->writer.fd, &from, fd, &to, left, 0);
		if (done <= 0)
			error = done < 0 ? -errno : -EIO;
		else
			left -= (size_t)done;
	}
	if (close(fd) && !error)
		error = -errno;
	return error;
}

static json_t *session_part_json(const char *id, int64_t offset, int64_t size, const char *sha1)
{
	return json_pack("{s:s, s:I, s:I, s:s}", "part_id", id, "offset", (json_int_t)offset, "size", (json_int_t)size,
			 "sha1", sha1);
}

/* The part is in its place: write it down. */
static void session_put(struct request *request, const struct session *session, int64_t offset)
{
	struct store *store = request->emulator->store;
	char id[9];
	sqlite3_stmt *statement;

	if (!emulator_random_hex(id, 4)) {
		answer_error(request, 500, NULL, "no random numbers");
		return;
	}
	for (char *at = id; *at; at++)
		*at = (char)(*at >= 'a' ? *at - 'a' + 'A' : *at);
	store_run(store, "INSERT OR IGNORE INTO part VALUES (?, ?, ?, ?, ?)", "sisis", session->id, offset, id,
		  (int64_t)request->writer.size, request->writer.sha1);
	statement = store_ask(store, "SELECT id FROM part WHERE session = ? AND offset = ?", "si", session->id, offset);
	if (!store_next(store, statement))
		return;
	answer_json(request, 200,
		    json_pack("{s:o}", "part",
			      session_part_json(store_text(statement, 0), offset, (int64_t)request->writer.size,
						request->writer.sha1)));
	store_done(statement);
}

void sessions_put_part(struct request *request)
{
	const char *digest = request_header(request, "Digest");
	struct store *store = request->emulator->store;
	char sha1[CONTENT_SHA1];
	struct session session;
	int64_t first, last, total;
	bool good;

	if (!digest || strncasecmp(digest, "sha=", 4) != 0 || !content_from_base64(digest + 4, sha1)) {
		answer_invalid(request, 400, NULL, "digest", "invalid_parameter", "'digest' is missing or not valid");
		return;
	}
	if (!session_range(request_header(request, "Content-Range"), &first, &last, &total)) {
		answer_invalid(request, 400, NULL, "content-range", "invalid_parameter",
			       "'content-range' is missing or not valid");
		return;
	}
	if (request->body_error || content_finish(&request->writer)) {
		answer_error(request, 500, NULL, "the part cannot be stored");
		return;
	}
	store_lock(store);
	good = session_find(request, &session);
	if (good && strcmp(sha1, request->writer.sha1) != 0) {
		answer_error(request, 400, "bad_digest", "The digest did not match what was received");
		good = false;
	}
	good = good && session_check_part(request, &session, first, last, total);
	store_end(store);
	store_unlock(store);
	if (!good)
		return;
	/* Two that send the same part at a time write the same bytes. */
	if (session_write(request, &session, first)) {
		answer_error(request, 500, NULL, "the part cannot be stored");
		return;
	}
	store_lock(store);
	store_begin(store);
	if (session_find(request, &session) && session_check_part(request, &session, first, last, total))
		session_put(request, &session, first);
	if (store_commit(store))
		answer_error(request, 500, NULL, "the database failed");
	store_unlock(store);
}

void sessions_parts(struct request *request)
{
	struct store *store = request->emulator->store;
	int64_t limit = request_query_number(request, "limit", 1000, INT64_MAX), total;
	int64_t offset = request_query_number(request, "offset", 0, INT64_MAX);
	struct session session;
	sqlite3_stmt *statement;
	json_t *entries;

	if (!session_find(request, &session))
		return;
	if (limit < 0 || offset < 0) {
		answer_error(request, 400, NULL, "limit or offset is not valid");
		return;
	}
	limit = limit > 10000 ? 10000 : limit;
	entries = json_array();
	statement = store_ask(
		store, "SELECT id, offset, size, sha1 FROM part WHERE session = ? ORDER BY offset LIMIT ? OFFSET ?",
		"sii", session.id, limit, offset);
	while (store_next(store, statement))
		json_array_append_new(entries,
				      session_part_json(store_text(statement, 0), sqlite3_column_int64(statement, 1),
							sqlite3_column_int64(statement, 2), store_text(statement, 3)));
	total = store_number(store, 0, "SELECT count(*) FROM part WHERE session = ?", "s", session.id);
	answer_json(request, 200,
		    json_pack("{s:o, s:I, s:I, s:I, s:[{s:s, s:s}]}", "entries", entries, "offset", (json_int_t)offset,
			      "limit", (json_int_t)limit, "total_count", (json_int_t)total, "order", "by", "type",
			      "direction", "ASC"));
}

/* Every part that the body names is one that came, in order and without a gap. False with the answer set. */
static bool session_check_parts(struct request *request, const struct session *session, const json_t *body)
{
	const json_t *parts = json_object_get(body, "parts"), *part;
	struct store *store = request->emulator->store;
	sqlite3_stmt *statement;
	int64_t expected = 0;
	const char *id;
	size_t at = 0;
	bool good;

	if (store_number(store, 0, "SELECT coalesce(sum(size), 0) FROM part WHERE session = ?", "s", session->id) !=
	    session->size) {
		answer_error(request, 409, "parts_missing", "Not all parts were uploaded");
		return false;
	}
	statement = store_ask(store, "SELECT id, offset, size FROM part WHERE session = ? ORDER BY offset", "s",
			      session->id);
	good = json_is_array(parts);
	while (good && store_next(store, statement)) {
		part = json_array_get(parts, at++);
		id = json_string_value(json_object_get(part, "part_id"));
		good = id && strcmp(id, store_text(statement, 0)) == 0 &&
		       json_integer_value(json_object_get(part, "offset")) == expected &&
		       json_integer_value(json_object_get(part, "size")) == sqlite3_column_int64(statement, 2);
		expected += sqlite3_column_int64(statement, 2);
	}
	store_done(statement);
	if (good && at == json_array_size(parts))
		return true;
	answer_error(request, 400, "invalid_parts", "The parts are not those that were uploaded, in their order");
	return false;
}

/* All is checked and hashed: make the file or its new version. */
static void session_publish(struct request *request, const struct session *session, const json_t *body,
			    const char *sha1)
{
	const json_t *attributes = json_object_get(body, "attributes");
	struct emulator *emulator = request->emulator;
	struct store *store = emulator->store;
	int64_t now = clock_now(&emulator->clock);
	struct item item = {.owner = session->user}, parent;
	char *path = session_path(store, session->id);
	struct fields fields;

	if (session->file) {
		if (!item_get(store, session->file, &item) || item_status(store, &item) != ITEM_ACTIVE) {
			answer_error(request, 404, "trashed", "The file is not there any more");
			goto out;
		}
		if (!check_if_match(request, &item))
			goto out;
		text_copy(item.name, sizeof(item.name), session->name);
		item.content_modified = now;
	} else {
		if (!item_get(store, session->parent, &parent) || item_status(store, &parent) != ITEM_ACTIVE) {
			answer_error(request, 404, NULL, "The folder is not there any more");
			goto out;
		}
		item.parent = session->parent;
		text_copy(item.name, sizeof(item.name), session->name);
		item.created = item.modified = item.content_created = item.content_modified = now;
	}
	if (!check_free(request, item.parent, item.name, item.key) || !check_room(request, session->size) ||
	    !check_time(request, attributes, "content_created_at", &item.content_created) ||
	    !check_time(request, attributes, "content_modified_at", &item.content_modified))
		goto out;
	if (!path || content_adopt(store->folder, path, sha1)) {
		answer_error(request, 500, NULL, "the file cannot be put in its place");
		goto out;
	}
	if (!session->file)
		item_insert(emulator, &item);
	item_add_version(emulator, &item, sha1, session->size);
	if (session->file)
		item_update(emulator, &item);
	else
		store_run(store, "UPDATE item SET version = ?, sha1 = ?, size = ? WHERE key = ?", "isii", item.version,
			  item.sha1, item.size, item.key);
	item_touch(emulator, item.parent);
	session_remove(store, session);
	events_add(request, "ITEM_UPLOAD", &item);
	fields_read(request, &fields);
	answer_json(request, 201,
		    json_pack("{s:i, s:[o]}", "total_count", 1, "entries",
			      render_item(request, &item, &fields, RENDER_FULL)));

out:
	free(path);
}

/* The SHA-1 of what the parts make together; the lock is not held, as it takes as long as the file is large. */
static int session_hash(struct store *store, const struct session *session, char sha1[CONTENT_SHA1])
{
	char *path = session_path(store, session->id);
	int fd, error;

	if (!path)
		return -ENOMEM;
	fd = open(path, (session->size ? 0 : O_CREAT) | O_RDONLY | O_CLOEXEC, 0600);
	free(path);
	if (fd < 0)
		return -errno;
	error = content_hash(fd, 0, (uint64_t)session->size, sha1);
	close(fd);
	return error;
}

/* Whether the commit is good so far, and its turn. False with the answer set. */
static bool session_commit_begin(struct request *request, struct session *session, const json_t *body)
{
	int64_t waits = emulator_setting(request->emulator, SETTING_UPLOAD_READY_LAST);
	bool waiting;

	if (!session_find(request, session) || !session_check_parts(request, session, body))
		return false;
	/* -1: another commit of the same session is hashing. */
	waiting = session->committing < 0 || session->committing < waits;
	store_run(request->emulator->store, "UPDATE session SET committing = ? WHERE id = ?", "is",
		  session->committing < 0 ? -1
		  : waiting		  ? session->committing + 1
					  : -1,
		  session->id);
	if (waiting) {
		answer_empty(request, 202);
		answer_header(request, "Retry-After", "1");
	}
	return !waiting;
}

static void sessions_commit_with(struct request *request, const json_t *body, const char *wanted)
{
	struct emulator *emulator = request->emulator;
	struct store *store = emulator->store;
	char sha1[CONTENT_SHA1] = "";
	struct session session;
	bool good;
	int error;

	store_lock(store);
	store_begin(store);
	good = session_commit_begin(request, &session, body);
	if (store_commit(store)) {
		answer_error(request, 500, NULL, "the database failed");
		good = false;
	}
	store_unlock(store);
	if (!good)
		return;
	error = session_hash(store, &session, sha1);
	if (error)
		answer_error(request, 410, "upload_failed", "The parts cannot be read");
	else if (strcmp(sha1, wanted) != 0)
		answer_error(request, 400, "bad_digest", "The digest is not that of the parts together");
	store_lock(store);
	store_begin(store);
	if (!request->answer.status)
		session_publish(request, &session, body, sha1);
	if (request->answer.status < 400) {
		error = store_commit(store);
	} else {
		store_rollback(store);
		store_begin(store);
		store_run(store, "UPDATE session SET committing = 0 WHERE id = ?", "s", session.id);
		error = store_commit(store);
	}
	store_unlock(store);
	if (error)
		answer_error(request, 500, NULL, "the database failed");
	else if (request->answer.status < 400)
		events_wake(emulator->events);
}

void sessions_commit(struct request *request)
{
	const char *digest = request_header(request, "Digest");
	char wanted[CONTENT_SHA1];
	json_t *body;

	if (!digest || strncasecmp(digest, "sha=", 4) != 0 || !content_from_base64(digest + 4, wanted)) {
		answer_invalid(request, 400, NULL, "digest", "invalid_parameter", "'digest' is missing or not valid");
		return;
	}
	body = request_json(request);
	if (!body)
		return;
	sessions_commit_with(request, body, wanted);
	json_decref(body);
}
