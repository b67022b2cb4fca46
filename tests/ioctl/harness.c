/* SPDX-License-Identifier: MIT */
#include "tests/ioctl/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY 4096u

static struct dw_filesystem_ops real;
static _Atomic int64_t lookups, handles;
static _Atomic int busy[BUSY];

int64_t harness_lookups(void)
{
	return lookups;
}

int64_t harness_handles(void)
{
	return handles;
}

/* --- Operations in between --- */

static void enter(uint64_t folder)
{
	if (atomic_fetch_add(&busy[folder % BUSY], 1) != 0) {
		fprintf(stderr, "two changes of one folder at a time\n");
		abort();
	}
}

static void leave(uint64_t folder)
{
	atomic_fetch_sub(&busy[folder % BUSY], 1);
}

static int counted(int error)
{
	if (!error)
		lookups++;
	return error;
}

static int count_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			struct dw_entry *out)
{
	return counted(real.lookup(fs, req, parent, name, out));
}

static int count_mknod(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		       uint32_t mode, uint32_t major, uint32_t minor, struct dw_entry *out)
{
	int error;

	enter(parent);
	error = counted(real.mknod(fs, req, parent, name, mode, major, minor, out));
	leave(parent);
	return error;
}

static int count_mkdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		       uint32_t mode, struct dw_entry *out)
{
	int error;

	enter(parent);
	error = counted(real.mkdir(fs, req, parent, name, mode, out));
	leave(parent);
	return error;
}

static int count_create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	int error;

	enter(parent);
	error = counted(real.create(fs, req, parent, name, mode, flags, out, open));
	leave(parent);
	if (!error)
		handles++;
	return error;
}

static int count_link(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t parent,
		      const char *name, struct dw_entry *out)
{
	int error;

	enter(parent);
	error = counted(real.link(fs, req, node, parent, name, out));
	leave(parent);
	return error;
}

static int count_symlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			 const char *target, struct dw_entry *out)
{
	int error;

	enter(parent);
	error = counted(real.symlink(fs, req, parent, name, target, out));
	leave(parent);
	return error;
}

static int guard_unlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	int error;

	enter(parent);
	error = real.unlink(fs, req, parent, name);
	leave(parent);
	return error;
}

static int guard_rmdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	int error;

	enter(parent);
	error = real.rmdir(fs, req, parent, name);
	leave(parent);
	return error;
}

static int guard_rename(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			uint64_t new_parent, const char *new_name, uint32_t flags)
{
	int error;

	enter(parent);
	if (new_parent != parent)
		enter(new_parent);
	error = real.rename(fs, req, parent, name, new_parent, new_name, flags);
	if (new_parent != parent)
		leave(new_parent);
	leave(parent);
	return error;
}

static void count_forget(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list,
			 size_t count)
{
	for (size_t i = 0; i < count; i++)
		lookups -= (int64_t)list[i].count;
	real.forget(fs, req, list, count);
}

struct count_listing {
	struct dw_listing base;
	struct dw_listing *inner;
};

static bool count_add(struct dw_listing *base, const char *name, size_t length, uint64_t next,
		      const struct dw_entry *entry)
{
	struct count_listing *listing = (struct count_listing *)base;
	bool fitted = listing->inner->add(listing->inner, name, length, next, entry);

	if (fitted && base->attributes && entry->node)
		lookups++;
	return fitted;
}

static int count_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			 uint64_t offset, struct dw_listing *inner)
{
	struct count_listing listing = {.base = {.attributes = inner->attributes, .add = count_add}, .inner = inner};

	return real.readdir(fs, req, node, handle, offset, &listing.base);
}

static int count_open(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
		      struct dw_open *out)
{
	int error = real.open(fs, req, node, flags, out);

	if (!error)
		handles++;
	return error;
}

static int count_opendir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_open *out)
{
	int error = real.opendir(fs, req, node, out);

	if (!error)
		handles++;
	return error;
}

static void count_release(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle)
{
	handles--;
	if (real.release)
		real.release(fs, req, node, handle);
}

static void count_releasedir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle)
{
	handles--;
	if (real.releasedir)
		real.releasedir(fs, req, node, handle);
}

/* --- Life --- */

static void put_in_between(struct harness *harness)
{
	real = *harness->fs->ops;
	harness->ops = real;
	harness->ops.lookup = count_lookup;
	harness->ops.mknod = count_mknod;
	harness->ops.mkdir = count_mkdir;
	harness->ops.create = count_create;
	harness->ops.link = count_link;
	harness->ops.symlink = count_symlink;
	harness->ops.unlink = guard_unlink;
	harness->ops.rmdir = guard_rmdir;
	harness->ops.rename = guard_rename;
	harness->ops.forget = count_forget;
	harness->ops.readdir = count_readdir;
	harness->ops.open = count_open;
	harness->ops.opendir = count_opendir;
	harness->ops.release = count_release;
	harness->ops.releasedir = count_releasedir;
	harness->fs->ops = &harness->ops;
}

static void start(struct harness *harness)
{
	static const uint16_t label[] = {'T', 'e', 's', 't'};
	struct volume_options options = {.disk = 1,
					 .seed = 0x1234,
					 .kept = harness->kept,
					 .label = label,
					 .label_length = sizeof(label),
					 .owner = {.uid = 1000, .gid = 1000}};

	assert_int_equal(volume_create(&harness->volume, harness->fs, &options), 0);
}

void harness_create(struct harness *harness)
{
	memset(harness, 0, sizeof(*harness));
	harness->next_id = 1;
	host_create(&harness->host);
	harness->fs = host_open(&harness->host, "size", "64M", NULL);
	put_in_between(harness);
	harness->kept = calloc(1, sizeof(*harness->kept));
	assert_non_null(harness->kept);
	lookups = handles = 0;
	start(harness);
}

void harness_destroy(struct harness *harness)
{
	volume_destroy(harness->volume);
	assert_int_equal(lookups, 0);
	assert_int_equal(handles, 0);
	harness->fs->ops->close(harness->fs);
	host_destroy(&harness->host);
	free(harness->kept);
}

void harness_restart(struct harness *harness)
{
	volume_abandon(harness->volume);
	harness->fs->ops->close(harness->fs);
	harness->fs = host_open(&harness->host, "size", "64M", NULL);
	put_in_between(harness);
	start(harness);
}

int harness_set_up(void **state)
{
	struct harness *harness = malloc(sizeof(*harness));

	assert_non_null(harness);
	harness_create(harness);
	*state = harness;
	return 0;
}

int harness_tear_down(void **state)
{
	struct harness *harness = *state;

	harness_destroy(harness);
	free(harness);
	return 0;
}

/* --- Messages --- */

void message_begin(struct harness *harness, struct message *message, enum fs_type type, uint64_t file)
{
	memset(&message->in, 0, sizeof(message->in));
	message->more_size = 0;
	message->in.type = type;
	message->in.id = atomic_fetch_add(&harness->next_id, 1);
	message->in.disk = 1;
	message->in.file = file;
}

struct fs_text message_bytes(struct message *message, const void *bytes, uint32_t size)
{
	struct fs_text text = {.offset = (uint32_t)sizeof(message->in) + message->more_size, .length = size};

	assert_true(size <= HARNESS_ROOM - 8 - message->more_size);
	if (size)
		memcpy(message->more + message->more_size, bytes, size);
	message->more_size = (message->more_size + size + 7) & ~7u;
	return text;
}

/* Plain UTF-8 to UTF-16, on its own feet. */
static uint32_t widen(const char *text, uint16_t *out)
{
	uint32_t units = 0;

	for (const uint8_t *p = (const uint8_t *)text; *p;) {
		uint32_t c;

		if (*p < 0x80) {
			c = *p++;
		} else if (*p < 0xe0) {
			c = (*p & 0x1fu) << 6 | (p[1] & 0x3fu);
			p += 2;
		} else if (*p < 0xf0) {
			c = (*p & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
			p += 3;
		} else {
			c = (*p & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
			p += 4;
			out[units++] = (uint16_t)(0xd7c0 + (c >> 10));
			c = 0xdc00 | (c & 0x3ff);
		}
		out[units++] = (uint16_t)c;
	}
	return units;
}

static void narrow(const uint16_t *text, size_t units, char *out)
{
	for (size_t i = 0; i < units; i++) {
		if (text[i] < 0x80) {
			*out++ = (char)text[i];
		} else if (text[i] < 0x800) {
			*out++ = (char)(0xc0 | text[i] >> 6);
			*out++ = (char)(0x80 | (text[i] & 0x3f));
		} else {
			*out++ = (char)(0xe0 | text[i] >> 12);
			*out++ = (char)(0x80 | (text[i] >> 6 & 0x3f));
			*out++ = (char)(0x80 | (text[i] & 0x3f));
		}
	}
	*out = '\0';
}

struct fs_text message_text(struct message *message, const char *text)
{
	static _Thread_local uint16_t units[HARNESS_ROOM / 2];

	assert_true(strlen(text) < HARNESS_ROOM / 2);
	return message_bytes(message, units, 2 * widen(text, units));
}

static int32_t send_for(struct harness *harness, struct message *message, struct answer *answer, uint32_t *ticket)
{
	size_t size = sizeof(message->in) + message->more_size;
	struct answer *own = answer ? answer : malloc(sizeof(*own));
	uint8_t *block = malloc(size);
	int32_t status;

	assert_non_null(block);
	assert_non_null(own);
	message->in.size = (uint32_t)size;
	memcpy(block, &message->in, sizeof(message->in));
	memcpy(block + sizeof(message->in), message->more, message->more_size);
	*ticket = ioctl_dispatch(harness->volume, block, size, &own->out, own->data, sizeof(own->data));
	status = own->out.status;
	assert_int_equal(own->out.id, message->in.id);
	assert_int_equal(own->out.type, message->in.type);
	assert_int_equal(own->out.size, sizeof(own->out));
	assert_true(own->out.data <= sizeof(own->data));
	free(block);
	if (!answer)
		free(own);
	return status;
}

int32_t message_send_lost(struct harness *harness, struct message *message, struct answer *answer)
{
	uint32_t ticket;

	return send_for(harness, message, answer, &ticket);
}

int32_t message_send(struct harness *harness, struct message *message, struct answer *answer)
{
	uint32_t ticket;
	int32_t status = send_for(harness, message, answer, &ticket);

	ioctl_answered(harness->volume, ticket);
	return status;
}

/* --- Requests --- */

int32_t send_create(struct harness *harness, const char *path, const struct opening *as, struct answer *answer)
{
	struct message *message = malloc(sizeof(*message));
	int32_t status;

	assert_non_null(message);
	message_begin(harness, message, FS_CREATE, 0);
	message->in.u.create.access = as->access ? as->access : FILE_ALL_ACCESS;
	message->in.u.create.options = as->options;
	message->in.u.create.disposition = as->disposition;
	message->in.u.create.attributes = as->attributes;
	message->in.u.create.flags = as->flags;
	message->in.u.create.name = message_text(message, path);
	status = message_send(harness, message, answer);
	free(message);
	return status;
}

uint64_t open_file(struct harness *harness, const char *path, uint32_t disposition, uint32_t options)
{
	const struct opening as = {.disposition = disposition, .options = options};
	struct answer *answer = malloc(sizeof(*answer));
	uint64_t file;
	int32_t status;

	assert_non_null(answer);
	status = send_create(harness, path, &as, answer);
	if (status)
		fail_msg("%s: 0x%08x", path, (unsigned)status);
	file = answer->out.u.created.file;
	assert_true(file != 0);
	free(answer);
	return file;
}

int32_t send_simple(struct harness *harness, enum fs_type type, uint64_t file, struct answer *answer)
{
	struct message *message = malloc(sizeof(*message));
	int32_t status;

	assert_non_null(message);
	message_begin(harness, message, type, file);
	status = message_send(harness, message, answer);
	free(message);
	return status;
}

int32_t send_close(struct harness *harness, uint64_t file)
{
	return send_simple(harness, FS_CLOSE, file, NULL);
}

int32_t send_query(struct harness *harness, uint64_t file, struct answer *answer)
{
	return send_simple(harness, FS_QUERY_FILE, file, answer);
}

int32_t send_cleanup(struct harness *harness, uint64_t file, const char *delete_path)
{
	struct message *message = malloc(sizeof(*message));
	int32_t status;

	assert_non_null(message);
	message_begin(harness, message, FS_CLEANUP, file);
	if (delete_path) {
		message->in.u.cleanup.flags = FS_CLEANUP_DELETE;
		message->in.u.cleanup.name = message_text(message, delete_path);
	}
	status = message_send(harness, message, NULL);
	free(message);
	return status;
}

int32_t send_read(struct harness *harness, uint64_t file, uint64_t offset, uint32_t length, struct answer *answer)
{
	struct message *message = malloc(sizeof(*message));
	int32_t status;

	assert_non_null(message);
	message_begin(harness, message, FS_READ, file);
	message->in.u.io.offset = offset;
	message->in.u.io.length = length;
	status = message_send(harness, message, answer);
	free(message);
	return status;
}

int32_t send_write(struct harness *harness, uint64_t file, uint64_t offset, const void *bytes, uint32_t length,
		   uint32_t flags, struct answer *answer)
{
	struct message *message = malloc(sizeof(*message));
	int32_t status;

	assert_non_null(message);
	message_begin(harness, message, FS_WRITE, file);
	message->in.u.io.offset = offset;
	message->in.u.io.length = length;
	message->in.u.io.flags = flags;
	message->in.u.io.data = message_bytes(message, bytes, length).offset;
	status = message_send(harness, message, answer);
	free(message);
	return status;
}

int32_t send_rename(struct harness *harness, uint64_t file, const char *from, const char *to, uint32_t flags)
{
	struct message *message = malloc(sizeof(*message));
	int32_t status;

	assert_non_null(message);
	message_begin(harness, message, FS_RENAME, file);
	message->in.u.rename.flags = flags;
	message->in.u.rename.from = message_text(message, from);
	message->in.u.rename.to = message_text(message, to);
	status = message_send(harness, message, NULL);
	free(message);
	return status;
}

int32_t send_list(struct harness *harness, uint64_t file, const char *pattern, uint64_t marker, uint32_t room,
		  struct answer *answer)
{
	struct message *message = malloc(sizeof(*message));
	int32_t status;

	assert_non_null(message);
	message_begin(harness, message, FS_LIST, file);
	message->in.u.list.marker = marker;
	message->in.u.list.room = room;
	message->in.u.list.pattern = message_text(message, pattern);
	status = message_send(harness, message, answer);
	free(message);
	return status;
}

void make_file_at(struct harness *harness, const char *path, const char *content)
{
	uint64_t file = open_file(harness, path, FILE_CREATE, 0);

	if (content && *content)
		assert_status(send_write(harness, file, 0, content, (uint32_t)strlen(content), 0, NULL),
			      STATUS_SUCCESS);
	assert_status(send_cleanup(harness, file, NULL), STATUS_SUCCESS);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
}

void make_folder_at(struct harness *harness, const char *path)
{
	assert_status(send_close(harness, open_file(harness, path, FILE_CREATE, FILE_DIRECTORY_FILE)), STATUS_SUCCESS);
}

int32_t delete_at(struct harness *harness, const char *path)
{
	const struct opening as = {.access = DELETE, .disposition = FILE_OPEN, .options = FILE_OPEN_REPARSE_POINT};
	struct answer *answer = malloc(sizeof(*answer));
	uint64_t file;
	int32_t status;

	assert_non_null(answer);
	status = send_create(harness, path, &as, answer);
	file = answer->out.u.created.file;
	free(answer);
	if (status)
		return status;
	status = send_simple(harness, FS_CAN_DELETE, file, NULL);
	if (!status)
		status = send_cleanup(harness, file, path);
	assert_status(send_close(harness, file), STATUS_SUCCESS);
	return status;
}

void list_names(struct harness *harness, const char *path, const char *pattern, uint32_t room, char *out,
		size_t out_size)
{
	uint64_t folder = open_file(harness, path, FILE_OPEN, FILE_DIRECTORY_FILE), marker = 0;
	struct answer *answer = malloc(sizeof(*answer));
	size_t used = 0;

	assert_non_null(answer);
	out[0] = '\0';
	while (send_list(harness, folder, pattern, marker, room, answer) == STATUS_SUCCESS) {
		uint32_t at = 0;

		assert_true(answer->out.data > 0 && answer->out.data <= room);
		while (at < answer->out.data) {
			struct fs_entry entry;
			char name[1024];
			int length;

			memcpy(&entry, answer->data + at, sizeof(entry));
			assert_true(entry.size % 8 == 0 && entry.size <= answer->out.data - at);
			assert_true(entry.name_length <= entry.size - sizeof(entry));
			narrow((const uint16_t *)(const void *)(answer->data + at + sizeof(entry)),
			       entry.name_length / 2, name);
			length = snprintf(out + used, out_size - used, "%s|", name);
			assert_true(length > 0 && (size_t)length < out_size - used);
			used += (size_t)length;
			marker = entry.next;
			assert_true(marker != 0);
			at += entry.size;
		}
	}
	assert_status(answer->out.status, marker ? STATUS_NO_MORE_FILES : STATUS_NO_SUCH_FILE);
	free(answer);
	assert_status(send_close(harness, folder), STATUS_SUCCESS);
}
