/* SPDX-License-Identifier: MIT */
/*
 * sessions.c - uploads in parts
 *
 * A session is a row of the index and a file of the final length in staging, into which parts are written where they
 * belong. The receipt of a part is the digest of its bytes. A session that was made a file stays known until it
 * expires, so that commit can be asked again. If the process died after the file had taken its place and before the
 * index was committed, the file is known by its inode number.
 */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define HANDLE_BYTES 16u

struct session {
	int64_t inode;
	int64_t bytes;
	int64_t part_bytes;
	int64_t expires;
	int64_t item; /* 0: it is still open */
};

static int64_t wall_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NANOSECONDS + now.tv_nsec;
}

static void file_name(const char *handle, char out[STAGED_NAME])
{
	snprintf(out, STAGED_NAME, "s-%.*s", (int)(2 * HANDLE_BYTES), handle);
}

/* Under the transaction. DW_REMOTE_EXPIRED. */
static int session_get(struct folder *folder, const char *handle, struct session *out)
{
	sqlite3_stmt *statement;
	int err;

	if (strlen(handle) != 2 * HANDLE_BYTES || strspn(handle, "0123456789abcdef") != 2 * HANDLE_BYTES)
		return DW_REMOTE_EXPIRED;
	statement = index_start(&folder->index, INDEX_SESSION, "t", handle);
	err = index_step(&folder->index, statement);
	if (err != 1)
		return err == 0 ? DW_REMOTE_EXPIRED : err;
	*out = (struct session){
		.inode = sqlite3_column_int64(statement, 0),
		.bytes = sqlite3_column_int64(statement, 1),
		.part_bytes = sqlite3_column_int64(statement, 2),
		.expires = sqlite3_column_int64(statement, 3),
		.item = sqlite3_column_int64(statement, 4),
	};
	index_stop(statement);
	return out->expires < wall_now() ? DW_REMOTE_EXPIRED : 0;
}

static int session_forget(struct folder *folder, const char *handle)
{
	char name[STAGED_NAME];
	int err;

	file_name(handle, name);
	err = index_run(&folder->index, index_start(&folder->index, INDEX_PARTS_DELETE, "t", handle));
	if (err == 0)
		err = index_run(&folder->index, index_start(&folder->index, INDEX_SESSION_DELETE, "t", handle));
	if (err == 0 && unlinkat(folder->staging, name, 0) != 0 && errno != ENOENT)
		err = disk_error(errno);
	return err;
}

int sessions_purge(struct folder *folder)
{
	char handle[2 * HANDLE_BYTES + 1];
	int err = 0;

	while (err == 0) {
		sqlite3_stmt *statement = index_start(&folder->index, INDEX_SESSION_OLD, "i", wall_now());
		bool right;

		err = index_step(&folder->index, statement);
		if (err != 1)
			break;
		right = index_text(statement, 0, handle, sizeof(handle));
		index_stop(statement);
		err = right ? session_forget(folder, handle) : -EIO;
	}
	return err;
}

int folder_session_begin(struct dw_remote *remote, struct dw_remote_call *remote_call,
			 const struct dw_remote_place *place, const struct dw_remote_content *content,
			 struct dw_remote_session *out)
{
	struct folder *folder = folder_of(remote);
	int64_t expires = wall_now() + (int64_t)folder->session_lifetime;
	unsigned char random[HANDLE_BYTES];
	char name[STAGED_NAME] = "";
	struct statx stx;
	struct call call;
	int fd = -1;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_SESSION_BEGIN);
	if (err != 0)
		return err;
	*out = (struct dw_remote_session){.part_bytes = folder->part_bytes,
					  .expires = {expires / NANOSECONDS, (uint32_t)(expires % NANOSECONDS)}};
	err = content->bytes > INT64_MAX ? -EFBIG : place_check(&call, place, content->bytes);
	if (err == 0 && getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		err = -EIO;
	if (err != 0)
		goto out;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(out->handle + 2 * i, 3, "%02x", random[i]);
	file_name(out->handle, name);
	fd = openat(folder->staging, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0 || ftruncate(fd, (off_t)content->bytes) != 0)
		err = disk_error(errno);
	if (err == 0)
		err = tree_statx(fd, "", &stx);
	if (err == 0)
		err = tree_sync(folder, folder->staging);
	if (err == 0)
		err = tree_begin(&call);
	if (err == 0) {
		err = index_run(&folder->index, index_start(&folder->index, INDEX_SESSION_INSERT, "tiiii", out->handle,
							    (int64_t)stx.stx_ino, (int64_t)content->bytes,
							    (int64_t)out->part_bytes, expires));
		call_middle(&call);
		err = tree_finish(&call, err);
	}
out:
	if (err != 0 && fd >= 0)
		unlinkat(folder->staging, name, 0);
	if (fd >= 0)
		close(fd);
	return call_end(&call, err);
}

/* The session in a transaction of its own. */
static int session_look(struct call *call, const char *handle, struct session *out)
{
	int err = tree_begin(call);

	return err != 0 ? err : tree_finish(call, session_get(call->folder, handle, out));
}

int folder_session_part(struct dw_remote *remote, struct dw_remote_call *remote_call,
			const struct dw_remote_session *session, const struct dw_remote_content *content,
			uint64_t offset, struct dw_remote_part *out)
{
	struct folder *folder = folder_of(remote);
	char receipt[CONTENT_SIZE];
	char name[STAGED_NAME];
	struct session known;
	struct hash *hash = NULL;
	struct call call;
	uint64_t bytes = 0;
	int fd = -1;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_SESSION_PART);
	if (err != 0)
		return err;
	err = session_look(&call, session->handle, &known);
	if (err == 0 && known.item != 0)
		err = DW_REMOTE_EXPIRED;
	if (err == 0 && (content->bytes != (uint64_t)known.bytes || offset >= content->bytes ||
			 offset % (uint64_t)known.part_bytes != 0))
		err = -EINVAL;
	if (err != 0)
		goto out;
	bytes = content->bytes - offset;
	if (bytes > (uint64_t)known.part_bytes)
		bytes = (uint64_t)known.part_bytes;
	file_name(session->handle, name);
	fd = openat(folder->staging, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	err = fd >= 0 ? hash_begin(&hash, folder->digest) : errno == ENOENT ? DW_REMOTE_EXPIRED : disk_error(errno);
	if (err == 0)
		err = content_fetch(&call, content, offset, bytes, fd, hash);
	if (err == 0)
		err = hash_end(hash, receipt);
	if (err == 0 && folder->durable && fdatasync(fd) != 0)
		err = disk_error(errno);
	if (err == 0)
		err = tree_begin(&call);
	if (err == 0) {
		err = session_get(folder, session->handle, &known);
		if (err == 0)
			err = index_run(&folder->index,
					index_start(&folder->index, INDEX_PART_SET, "tiit", session->handle,
						    (int64_t)offset, (int64_t)bytes, receipt));
		call_middle(&call);
		err = tree_finish(&call, err);
	}
	if (err == 0) {
		*out = (struct dw_remote_part){.offset = offset, .bytes = bytes};
		snprintf(out->receipt, sizeof(out->receipt), "%s", receipt);
	}
out:
	hash_free(hash);
	if (fd >= 0)
		close(fd);
	return call_end(&call, err);
}

struct part_list {
	struct dw_remote_part *parts;
	size_t count;
};

/* Under the transaction: the parts that are there. */
static int parts_get(struct folder *folder, const char *handle, struct part_list *out)
{
	sqlite3_stmt *statement = index_start(&folder->index, INDEX_PARTS, "t", handle);
	size_t room = 0;
	int err;

	while ((err = index_step(&folder->index, statement)) == 1) {
		struct dw_remote_part *part;

		if (out->count == room) {
			struct dw_remote_part *more;

			room = room == 0 ? 16 : room * 2;
			more = reallocarray(out->parts, room, sizeof(*more));
			if (more == NULL) {
				err = -ENOMEM;
				break;
			}
			out->parts = more;
		}
		part = &out->parts[out->count];
		part->offset = (uint64_t)sqlite3_column_int64(statement, 0);
		part->bytes = (uint64_t)sqlite3_column_int64(statement, 1);
		if (!index_text(statement, 2, part->receipt, sizeof(part->receipt))) {
			err = -EIO;
			break;
		}
		out->count++;
	}
	if (err != 0 && statement != NULL)
		index_stop(statement);
	return err;
}

int folder_session_parts(struct dw_remote *remote, struct dw_remote_call *remote_call,
			 const struct dw_remote_session *session, const struct dw_remote_parts *parts)
{
	struct folder *folder = folder_of(remote);
	struct part_list list = {0};
	struct session known;
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_SESSION_PARTS);
	if (err != 0)
		return err;
	err = tree_begin(&call);
	if (err == 0) {
		err = session_get(folder, session->handle, &known);
		if (err == 0 && known.item != 0)
			err = DW_REMOTE_EXPIRED;
		if (err == 0)
			err = parts_get(folder, session->handle, &list);
		err = tree_finish(&call, err);
	}
	for (size_t i = 0; i < list.count && err == 0; i++)
		err = parts->part(parts, &list.parts[i]);
	free(list.parts);
	return call_end(&call, err);
}

/* Are these all the parts, and those that the session has? */
static int parts_check(struct call *call, const char *handle, const struct session *session,
		       const struct dw_remote_part *parts, size_t count)
{
	struct part_list list = {0};
	uint64_t at = 0;
	int err;

	err = tree_begin(call);
	if (err == 0)
		err = tree_finish(call, parts_get(call->folder, handle, &list));
	if (err == 0 && count != list.count)
		err = -EINVAL;
	for (size_t i = 0; i < list.count && err == 0; i++) {
		if (list.parts[i].offset != at || parts[i].offset != at || parts[i].bytes != list.parts[i].bytes ||
		    strcmp(parts[i].receipt, list.parts[i].receipt) != 0)
			err = -EINVAL;
		at += list.parts[i].bytes;
	}
	if (err == 0 && at != (uint64_t)session->bytes)
		err = -EINVAL;
	free(list.parts);
	return err;
}

/* The item that a session has become. */
static int session_answer(struct call *call, int64_t item, struct shown *shown)
{
	struct reached reached = REACHED_NONE;
	char id[24];
	int err;

	snprintf(id, sizeof(id), "%" PRId64, item);
	err = tree_take(call, id, &reached);
	if (err == 0)
		err = tree_finish(call, shown_fill(call->folder, &reached.row, true, shown));
	reached_clear(&reached);
	return err == DW_REMOTE_TRASHED ? -ENOENT : err;
}

/* The staged file is gone: it has taken its place, and the index was not told. DW_REMOTE_EXPIRED: it has not. */
static int session_recover(struct call *call, const char *handle, const struct session *session,
			   const struct dw_remote_place *place, int64_t *item)
{
	struct folder *folder = call->folder;
	struct reached reached = REACHED_NONE;
	struct row_list rows = {0};
	int err;

	/* A look at the place makes the index know what is there. */
	err = tree_take(call, place->id != NULL ? place->id : place->parent, &reached);
	if (err != 0)
		return err == DW_REMOTE_TRASHED ? -ENOENT : err;
	if (place->id == NULL)
		err = tree_compare(call, &reached);
	if (err == 0)
		err = index_rows(&folder->index, index_start(&folder->index, INDEX_ROWS_INODE, "i", session->inode),
				 &rows);
	if (err == 0)
		err = rows.count == 1 && rows.rows[0].state == ROW_LIVE ? 0 : DW_REMOTE_EXPIRED;
	if (err == 0) {
		*item = rows.rows[0].id;
		err = index_run(&folder->index, index_start(&folder->index, INDEX_SESSION_DONE, "it", *item, handle));
	}
	free(rows.rows);
	err = tree_finish(call, err);
	reached_clear(&reached);
	return err;
}

int folder_session_commit(struct dw_remote *remote, struct dw_remote_call *remote_call,
			  const struct dw_remote_session *session, const struct dw_remote_place *place,
			  const struct dw_remote_content *content, const struct dw_remote_part *parts, size_t count,
			  const struct dw_remote_items *items)
{
	struct folder *folder = folder_of(remote);
	const char *handle = session->handle;
	struct staged staged = {.fd = -1};
	struct shown shown = {0};
	struct session known;
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_SESSION_COMMIT);
	if (err != 0)
		return err;
	err = session_look(&call, handle, &known);
	if (err != 0)
		goto out;
	if (known.item == 0) {
		file_name(handle, staged.name);
		staged.fd = openat(folder->staging, staged.name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		if (staged.fd < 0 && errno == ENOENT)
			err = session_recover(&call, handle, &known, place, &known.item);
		else if (staged.fd < 0)
			err = disk_error(errno);
	}
	if (err != 0)
		goto out;
	if (known.item != 0) {
		err = session_answer(&call, known.item, &shown);
		goto out;
	}
	staged.bytes = (uint64_t)known.bytes;
	err = content->bytes == staged.bytes ? parts_check(&call, handle, &known, parts, count) : -EINVAL;
	if (err == 0)
		err = hash_file(&call, staged.fd, staged.content);
	if (err == 0)
		err = digest_check(folder, content->digest, staged.content);
	if (err == 0)
		err = place_take(&call, &staged, place, content->modified, handle, &shown);
out:
	/* What has not taken its place is still the session's. */
	staged.name[0] = '\0';
	staged_clear(folder, &staged);
	return shown_answer(&call, err, &shown, items);
}

int folder_session_abort(struct dw_remote *remote, struct dw_remote_call *remote_call,
			 const struct dw_remote_session *session)
{
	struct folder *folder = folder_of(remote);
	struct session known;
	struct call call;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_SESSION_ABORT);
	if (err != 0)
		return err;
	err = tree_begin(&call);
	if (err == 0) {
		err = session_get(folder, session->handle, &known);
		if (err == 0)
			err = session_forget(folder, session->handle);
		call_middle(&call);
		err = tree_finish(&call, err);
	}
	return call_end(&call, err);
}
