/* SPDX-License-Identifier: MIT */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPEN_FLAGS    (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define SETTLE_ROUNDS 3

struct hash {
	EVP_MD_CTX *context;
};

int hash_begin(struct hash **out, uint32_t digest)
{
	struct hash *hash = calloc(1, sizeof(*hash));
	const EVP_MD *kind = digest == DW_REMOTE_DIGEST_SHA256 ? EVP_sha256()
			     : digest == DW_REMOTE_DIGEST_MD5  ? EVP_md5()
							       : EVP_sha1();

	if (hash == NULL)
		return -ENOMEM;
	hash->context = EVP_MD_CTX_new();
	if (hash->context == NULL || EVP_DigestInit_ex(hash->context, kind, NULL) != 1) {
		hash_free(hash);
		return -ENOMEM;
	}
	*out = hash;
	return 0;
}

int hash_add(struct hash *hash, const void *data, size_t size)
{
	return EVP_DigestUpdate(hash->context, data, size) == 1 ? 0 : -EIO;
}

int hash_end(struct hash *hash, char *content)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	if (EVP_DigestFinal_ex(hash->context, digest, &length) != 1)
		return -EIO;
	for (unsigned i = 0; i < length; i++)
		snprintf(content + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

void hash_free(struct hash *hash)
{
	if (hash == NULL)
		return;
	EVP_MD_CTX_free(hash->context);
	free(hash);
}

static uint32_t digest_bytes(uint32_t digest)
{
	return digest == DW_REMOTE_DIGEST_SHA256 ? 32 : digest == DW_REMOTE_DIGEST_MD5 ? 16 : 20;
}

/* Is content the digest of its bytes, of the kind that this folder is open with? */
static bool content_is_digest(const struct folder *folder, const char *content)
{
	return strlen(content) == 2 * digest_bytes(folder->digest) &&
	       strspn(content, "0123456789abcdef") == strlen(content);
}

uint32_t content_digest(const struct folder *folder, const char *content, uint8_t *out)
{
	static const char digits[] = "0123456789abcdef";
	uint32_t length = digest_bytes(folder->digest);

	if (folder->remote.digest == DW_REMOTE_DIGEST_NONE || !content_is_digest(folder, content))
		return 0;
	for (uint32_t i = 0; i < length; i++) {
		size_t high = (size_t)(strchr(digits, content[2 * i]) - digits);
		size_t low = (size_t)(strchr(digits, content[2 * i + 1]) - digits);

		out[i] = (uint8_t)(high << 4 | low);
	}
	return length;
}

int hash_file(struct call *call, int fd, char *content)
{
	struct hash *hash = NULL;
	char *buffer = malloc(CHUNK);
	off_t at = 0;
	int err;

	err = buffer == NULL ? -ENOMEM : hash_begin(&hash, call->folder->digest);
	while (err == 0) {
		ssize_t got = pread(fd, buffer, CHUNK, at);

		if (got < 0)
			err = disk_error(errno);
		if (got <= 0)
			break;
		at += got;
		err = hash_add(hash, buffer, (size_t)got);
		if (err == 0)
			err = call_check(call);
	}
	if (err == 0)
		err = hash_end(hash, content);
	hash_free(hash);
	free(buffer);
	return err;
}

/* --- Content names ---------------------------------------------------------------------------------------- */

/* Find the content name of an open file; now: its stamp when that was right. readable: its bytes may be read. */
static int content_find(struct call *call, int fd, bool readable, struct row *now)
{
	struct statx stx;
	int err;

	err = tree_statx(fd, "", &stx);
	for (int round = 0; err == 0 && round < SETTLE_ROUNDS; round++) {
		struct row before;

		tree_stamp(now, &stx);
		before = *now;
		if (!readable || (uint64_t)now->bytes > call->folder->hash_max)
			break;
		err = hash_file(call, fd, now->content);
		if (err == 0)
			err = tree_statx(fd, "", &stx);
		if (err != 0)
			return err;
		tree_stamp(now, &stx);
		if (now->changed == before.changed && now->modified == before.modified && now->bytes == before.bytes)
			return 0;
	}
	snprintf(now->content, sizeof(now->content), "~%" PRIx64 "-%" PRIx64 "-%" PRIx64, (uint64_t)now->inode,
		 (uint64_t)now->modified, (uint64_t)now->bytes);
	return err;
}

int content_settle(struct call *call, int dir, const struct row *row)
{
	struct folder *folder = call->folder;
	struct row now = *row;
	struct row known;
	bool readable;
	int err;
	int fd;

	fd = openat(dir, row->name, OPEN_FLAGS);
	readable = fd >= 0;
	if (!readable && errno == EACCES)
		fd = openat(dir, row->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == ENXIO ? 0 : disk_error(errno);
	err = content_find(call, fd, readable, &now);
	close(fd);
	if (err != 0)
		return err;
	err = tree_begin(call);
	if (err != 0)
		return err;
	err = index_row(&folder->index, index_start(&folder->index, INDEX_ROW, "i", row->id), &known);
	if (err == 0 && known.state == ROW_LIVE && known.type == DW_REMOTE_FILE && known.inode == now.inode &&
	    known.birth == now.birth) {
		bool seen = known.content[0] != '\0';
		bool changed = seen && (strcmp(known.content, now.content) != 0 || known.modified != now.modified ||
					known.bytes != now.bytes);

		known.changed = now.changed;
		known.modified = now.modified;
		known.bytes = now.bytes;
		known.stale = false;
		memcpy(known.content, now.content, sizeof(known.content));
		if (changed)
			known.version++;
		err = index_update(&folder->index, &known);
		if (err == 0 && changed)
			err = event_write(folder, DW_REMOTE_EVENT_CHANGED, &known);
	}
	return tree_finish(call, err == -ENOENT ? 0 : err);
}

/* --- Old versions ----------------------------------------------------------------------------------------- */

static int version_forget(struct folder *folder, int64_t id, const char *content)
{
	sqlite3_stmt *statement;
	int err;

	err = index_run(&folder->index, index_start(&folder->index, INDEX_VERSION_DELETE, "it", id, content));
	if (err != 0)
		return err;
	statement = index_start(&folder->index, INDEX_VERSION_USED, "t", content);
	err = index_step(&folder->index, statement);
	if (err == 1)
		index_stop(statement);
	else if (err == 0 && unlinkat(folder->versions, content, 0) != 0 && errno != ENOENT)
		err = disk_error(errno);
	return err < 0 ? err : 0;
}

int versions_prune(struct folder *folder, int64_t id, uint64_t keep)
{
	char content[CONTENT_SIZE];
	int err = 0;

	while (err == 0) {
		sqlite3_stmt *statement = index_start(&folder->index, INDEX_VERSION_OLDEST, "ii", id, (int64_t)keep);
		bool right;

		err = index_step(&folder->index, statement);
		if (err != 1)
			break;
		right = index_text(statement, 0, content, sizeof(content)) && strchr(content, '/') == NULL;
		index_stop(statement);
		err = right ? version_forget(folder, id, content) : -EIO;
	}
	return err;
}

int versions_keep(struct call *call, const struct reached *file)
{
	struct folder *folder = call->folder;
	const struct row *row = &file->row;
	int err;

	if (folder->version_count == 0)
		return 0;
	/* A file system without hard links keeps no versions. */
	if (linkat(file->dir, row->name, folder->versions, row->content, 0) != 0 && errno != EEXIST)
		return errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK || errno == ENOSYS ? 0
												   : disk_error(errno);
	err = index_run(&folder->index,
			index_start(&folder->index, INDEX_VERSION_SET, "iti", row->id, row->content, row->bytes));
	return err != 0 ? err : versions_prune(folder, row->id, folder->version_count);
}

/* --- read --------------------------------------------------------------------------------------------------- */

/* Open the bytes that are wanted. row: the file as it is; its stamp is to stay so, but for an old version. */
static int open_content(struct call *call, const char *id, const char *content, struct row *row, bool *old, int *fd)
{
	struct folder *folder = call->folder;
	struct reached reached = REACHED_NONE;
	int err;

	*fd = -1;
	err = tree_take(call, id, &reached);
	if (err != 0)
		return err == DW_REMOTE_TRASHED ? -ENOENT : err;
	*row = reached.row;
	*old = content != NULL && strcmp(content, row->content) != 0;
	if (row->type != DW_REMOTE_FILE) {
		err = row->type == DW_REMOTE_FOLDER ? -EISDIR : -EACCES;
	} else if (!*old) {
		*fd = openat(reached.dir, row->name, OPEN_FLAGS);
		err = *fd < 0 ? disk_error(errno) : 0;
	} else {
		sqlite3_stmt *statement = index_start(&folder->index, INDEX_VERSION_GET, "it", row->id, content);

		err = index_step(&folder->index, statement);
		if (err == 1) {
			row->bytes = sqlite3_column_int64(statement, 0);
			index_stop(statement);
			/* What the index has had as a content name has no slash in it. */
			*fd = openat(folder->versions, content, OPEN_FLAGS);
			err = *fd >= 0 ? 0 : errno == ENOENT ? DW_REMOTE_CHANGED : disk_error(errno);
		} else if (err == 0) {
			err = DW_REMOTE_CHANGED;
		}
	}
	err = tree_finish(call, err);
	reached_clear(&reached);
	return err;
}

static int read_all(struct call *call, int fd, uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink,
		    struct hash *hash)
{
	char *buffer = malloc(CHUNK);
	uint64_t done = 0;
	int err = buffer == NULL ? -ENOMEM : 0;

	while (err == 0 && done < bytes) {
		size_t want = bytes - done < CHUNK ? (size_t)(bytes - done) : CHUNK;
		int stop;
		ssize_t got;

		want = call_clip(call, done, want, &stop);
		got = want == 0 ? 0 : pread(fd, buffer, want, (off_t)(offset + done));
		if (got < 0)
			err = disk_error(errno);
		else if (got == 0 && stop == 0)
			err = DW_REMOTE_CHANGED; /* it was cut */
		if (err == 0 && got > 0) {
			err = sink->write(sink, buffer, (size_t)got, offset + done);
			if (err == 0 && hash != NULL)
				err = hash_add(hash, buffer, (size_t)got);
			done += (uint64_t)got;
		}
		if (err == 0)
			err = stop;
	}
	free(buffer);
	return err;
}

int folder_read(struct dw_remote *remote, struct dw_remote_call *remote_call, const char *id, const char *content,
		uint64_t offset, uint64_t bytes, const struct dw_remote_sink *sink)
{
	struct folder *folder = folder_of(remote);
	char found[CONTENT_SIZE] = "";
	struct hash *hash = NULL;
	struct row row = {0};
	bool old = false;
	struct statx stx;
	struct call call;
	uint64_t size;
	bool whole;
	int fd = -1;
	int err;

	err = call_begin(&call, folder, remote_call, FAULT_READ);
	if (err != 0)
		return err;
	err = open_content(&call, id, content, &row, &old, &fd);
	size = (uint64_t)row.bytes;
	whole = offset == 0 && bytes >= size && content_is_digest(folder, old ? content : row.content);
	if (offset >= size)
		bytes = 0;
	else if (bytes > size - offset)
		bytes = size - offset;
	if (err == 0 && whole)
		err = hash_begin(&hash, folder->digest);
	if (err == 0)
		err = read_all(&call, fd, offset, bytes, sink, hash);
	if (err == 0 && !old) {
		struct row now = row;

		err = tree_statx(fd, "", &stx);
		tree_stamp(&now, &stx);
		/* A link more and the file's end in the folder change ctime too; what others wrote shows in mtime. */
		if (err == 0 && (now.modified != row.modified || now.bytes != row.bytes))
			err = DW_REMOTE_CHANGED;
	}
	if (err == 0 && whole)
		err = hash_end(hash, found);
	if (err == 0 && whole && strcmp(found, old ? content : row.content) != 0)
		err = -EBADMSG;
	hash_free(hash);
	if (fd >= 0)
		close(fd);
	return call_end(&call, err);
}
