/* SPDX-License-Identifier: MIT */
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

#define DAY	      (UINT64_C(86400) * NANOSECONDS)
#define MEBIBYTE      (UINT64_C(1) << 20)
#define READ_PARALLEL 4u
#define PATH_FLAGS    (O_PATH | O_DIRECTORY | O_CLOEXEC)

static const struct dw_remote_ops ops_all = {
	.size = sizeof(ops_all),
	.stat = folder_stat,
	.list = folder_list,
	.read = folder_read,
	.quota = folder_quota,
	.changes = folder_changes,
	.upload = folder_upload,
	.mkdir = folder_mkdir,
	.move = folder_move,
	.copy = folder_copy,
	.remove = folder_remove,
	.set_properties = folder_set_properties,
	.session_begin = folder_session_begin,
	.session_part = folder_session_part,
	.session_parts = folder_session_parts,
	.session_commit = folder_session_commit,
	.session_abort = folder_session_abort,
	.close = folder_close,
	.check_name = folder_check_name,
};

static const struct dw_remote_ops ops_read_only = {
	.size = sizeof(ops_read_only),
	.stat = folder_stat,
	.list = folder_list,
	.read = folder_read,
	.quota = folder_quota,
	.changes = folder_changes,
	.close = folder_close,
	.check_name = folder_check_name,
};

int folder_check_name(struct dw_remote *remote, const char *name)
{
	return names_check(folder_of(remote), name);
}

static void folder_free(struct folder *folder)
{
	const int fds[] = {folder->root, folder->side, folder->staging, folder->versions, folder->trash};

	index_close(&folder->index);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	faults_close(folder->faults);
	pthread_cond_destroy(&folder->changed);
	pthread_mutex_destroy(&folder->lock);
	free(folder);
}

void folder_close(struct dw_remote *remote)
{
	struct folder *folder = folder_of(remote);

	pthread_mutex_lock(&folder->lock);
	folder->closing = true;
	pthread_cond_broadcast(&folder->changed);
	while (folder->active > 0)
		pthread_cond_wait(&folder->changed, &folder->lock);
	pthread_mutex_unlock(&folder->lock);
	folder_free(folder);
}

/* --- Options ---------------------------------------------------------------------------------------------- */

static int parse_number(const char *text, uint64_t unit, uint64_t *out)
{
	char *end;
	unsigned long long value;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || value > INT64_MAX / unit)
		return -EINVAL;
	*out = value * unit;
	return 0;
}

/* Bytes, with k, m, g or t behind them as powers of 1024. */
static int parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	char digits[24];
	size_t length = strlen(text);
	const char *unit = length > 0 ? strchr(units, text[length - 1] | 0x20) : NULL;

	if (unit == NULL || *unit == '\0')
		return parse_number(text, 1, out);
	if (length > sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, length - 1);
	digits[length - 1] = '\0';
	return parse_number(digits, UINT64_C(1) << (10 * (unsigned)(unit - units + 1)), out);
}

static int parse_choice(const char *text, const char *yes, const char *no, bool *out)
{
	*out = strcmp(text, yes) == 0;
	return *out || strcmp(text, no) == 0 ? 0 : -EINVAL;
}

static int parse_digest(struct folder *folder, const char *text)
{
	static const struct {
		const char *name;
		uint32_t shown;
		uint32_t used;
	} kinds[] = {
		{"none", DW_REMOTE_DIGEST_NONE, DW_REMOTE_DIGEST_SHA1},
		{"sha1", DW_REMOTE_DIGEST_SHA1, DW_REMOTE_DIGEST_SHA1},
		{"sha256", DW_REMOTE_DIGEST_SHA256, DW_REMOTE_DIGEST_SHA256},
		{"md5", DW_REMOTE_DIGEST_MD5, DW_REMOTE_DIGEST_MD5},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(text, kinds[i].name) == 0) {
			folder->remote.digest = kinds[i].shown;
			folder->digest = kinds[i].used;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_option(struct folder *folder, const char *key, const char *value)
{
	if (strcmp(key, "read-only") == 0)
		return parse_choice(value, "yes", "no", &folder->read_only);
	if (strcmp(key, "case") == 0)
		return parse_choice(value, "fold", "keep", &folder->fold);
	if (strcmp(key, "names") == 0)
		return parse_choice(value, "windows", "any", &folder->windows_names);
	if (strcmp(key, "durable") == 0)
		return parse_choice(value, "yes", "no", &folder->durable);
	if (strcmp(key, "list-properties") == 0)
		return parse_choice(value, "yes", "no", &folder->list_properties);
	if (strcmp(key, "digest") == 0)
		return parse_digest(folder, value);
	if (strcmp(key, "hash-max") == 0)
		return parse_size(value, &folder->hash_max);
	if (strcmp(key, "quota") == 0)
		return parse_size(value, &folder->quota);
	if (strcmp(key, "upload-max") == 0)
		return parse_size(value, &folder->remote.upload_max);
	if (strcmp(key, "part") == 0)
		return parse_size(value, &folder->part_bytes) != 0 || folder->part_bytes == 0 ? -EINVAL : 0;
	if (strcmp(key, "page") == 0)
		return parse_number(value, 1, &folder->page) != 0 || folder->page == 0 || folder->page > 100000
			       ? -EINVAL
			       : 0;
	if (strcmp(key, "versions") == 0)
		return parse_number(value, 1, &folder->version_count);
	if (strcmp(key, "sessions") == 0)
		return parse_number(value, NANOSECONDS, &folder->session_lifetime);
	if (strcmp(key, "trash") == 0)
		return parse_number(value, NANOSECONDS, &folder->trash_lifetime);
	if (strcmp(key, "feed") == 0)
		return parse_number(value, 1, &folder->feed_length);
	if (strcmp(key, "rescan") == 0)
		return parse_number(value, NANOSECONDS, &folder->rescan);
	if (strcmp(key, "fail") == 0)
		return faults_add(folder->faults, value, false);
	if (strcmp(key, "delay") == 0)
		return faults_add(folder->faults, value, true);
	if (strcmp(key, "faults") == 0)
		return faults_watch(folder->faults, value);
	return -ENOENT;
}

static int parse_options(struct folder *folder, const struct dw_remote_source *source, char *error, size_t error_size)
{
	int err = 0;

	for (size_t i = 0; i < source->option_count && err == 0; i++) {
		const struct dw_option *option = &source->options[i];

		err = parse_option(folder, option->key, option->value);
		if (err == -ENOENT) {
			snprintf(error, error_size, "folder: knows no option %s", option->key);
			err = -EINVAL;
		} else if (err != 0) {
			snprintf(error, error_size, "folder: %s=%s makes no sense", option->key, option->value);
		}
	}
	return err;
}

/* --- Opening ------------------------------------------------------------------------------------------------ */

/* A folder of our own: made if it is not there, belonging to us, and no link. */
static int open_private(int dir, const char *name, int *out)
{
	struct stat state;
	int err = 0;
	int fd;

	if (mkdirat(dir, name, 0700) != 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &state) != 0)
		err = -errno;
	else if (state.st_uid != geteuid() || (state.st_mode & 022) != 0)
		err = -EPERM;
	if (err != 0) {
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

/* The hidden folder, and in path the file of the index. */
static int open_side(struct folder *folder, const struct dw_remote_source *source, const char *real, char **path,
		     char *error, size_t error_size)
{
	char name[NAME_MAX + 1] = SIDE_NAME;
	struct hash *hash = NULL;
	char *base = NULL;
	int dir = -1;
	int err = 0;

	if (folder->read_only) {
		/* Nothing is written there, so what has to be remembered stands at home. */
		char digest[CONTENT_SIZE];

		if (source->state == NULL || source->state[0] == '\0') {
			snprintf(error, error_size, "folder: a read-only folder needs a state folder");
			return -EINVAL;
		}
		err = hash_begin(&hash, DW_REMOTE_DIGEST_SHA1);
		if (err == 0)
			err = hash_add(hash, real, strlen(real));
		if (err == 0)
			err = hash_end(hash, digest);
		hash_free(hash);
		if (err == 0)
			snprintf(name, sizeof(name), "folder-%s", digest);
		base = realpath(source->state, NULL);
	} else {
		base = strdup(real);
	}
	if (err == 0 && base == NULL)
		err = -errno;
	if (err == 0) {
		dir = open(base, PATH_FLAGS);
		err = dir < 0 ? -errno : open_private(dir, name, &folder->side);
	}
	if (err == 0)
		err = open_private(folder->side, "staging", &folder->staging);
	if (err == 0)
		err = open_private(folder->side, "versions", &folder->versions);
	if (err == 0)
		err = open_private(folder->side, "trash", &folder->trash);
	if (err == 0 && asprintf(path, "%s/%s/index.db", base, name) < 0) {
		*path = NULL;
		err = -ENOMEM;
	}
	if (err != 0)
		snprintf(error, error_size, "%s/%s cannot be used: %s%s", base == NULL ? "" : base, name,
			 strerror(-err), folder->read_only ? "" : "; -o read-only=yes leaves the folder alone");
	if (dir >= 0)
		close(dir);
	free(base);
	return err;
}

/* The random name that stands in every position, made with the database. */
static int read_feed(struct folder *folder)
{
	sqlite3_stmt *statement = index_start(&folder->index, INDEX_META_GET, "t", "feed");
	unsigned char random[16];
	int err = index_step(&folder->index, statement);

	if (err == 1) {
		err = index_text(statement, 0, folder->feed, sizeof(folder->feed)) ? 0 : -EIO;
		index_stop(statement);
		return err;
	}
	if (err == 0 && getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		err = -EIO;
	if (err != 0)
		return err;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(folder->feed + 2 * i, 3, "%02x", random[i]);
	return index_run(&folder->index, index_start(&folder->index, INDEX_META_SET, "tt", "feed", folder->feed));
}

/* The row of the root folder. */
static int write_root(struct folder *folder)
{
	struct row row = {.type = DW_REMOTE_FOLDER, .state = ROW_LIVE, .version = 1};
	struct statx stx;
	struct row known;
	int err;

	err = tree_statx(folder->root, "", &stx);
	if (err != 0)
		return err;
	tree_stamp(&row, &stx);
	err = index_row(&folder->index, index_start(&folder->index, INDEX_ROW, "i", (int64_t)ROOT_ID), &known);
	if (err == -ENOENT) {
		err = index_insert(&folder->index, &row);
		return err == 0 && row.id != ROOT_ID ? -EIO : err;
	}
	if (err == 0) {
		known.inode = row.inode;
		known.birth = row.birth;
		err = index_update(&folder->index, &known);
	}
	return err;
}

static int prepare(struct folder *folder)
{
	int err;
	int end;

	err = index_begin(&folder->index);
	if (err != 0)
		return err;
	err = read_feed(folder);
	if (err == 0)
		err = write_root(folder);
	if (err == 0)
		err = sessions_purge(folder);
	if (err == 0)
		err = trash_purge(folder);
	if (err == 0)
		err = staging_purge(folder);
	if (err != 0)
		folder->index.broken = true;
	end = index_end(&folder->index);
	snprintf(folder->account, sizeof(folder->account), "folder:%s", folder->feed);
	return err != 0 ? err : end;
}

static int folder_new(struct folder **out)
{
	struct folder *folder = calloc(1, sizeof(*folder));
	pthread_condattr_t attributes;

	if (folder == NULL)
		return -ENOMEM;
	folder->root = folder->side = folder->staging = folder->versions = folder->trash = -1;
	folder->durable = true;
	folder->list_properties = true;
	folder->digest = DW_REMOTE_DIGEST_SHA1;
	folder->remote.digest = DW_REMOTE_DIGEST_SHA1;
	folder->page = 1000;
	folder->hash_max = 16 * MEBIBYTE;
	folder->quota = UINT64_MAX;
	folder->version_count = 10;
	folder->remote.upload_max = 64 * MEBIBYTE;
	folder->part_bytes = 8 * MEBIBYTE;
	folder->session_lifetime = 7 * DAY;
	folder->trash_lifetime = 30 * DAY;
	folder->feed_length = 100000;
	folder->rescan = 60 * UINT64_C(1000000000);
	pthread_mutex_init(&folder->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&folder->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (faults_open(&folder->faults) != 0) {
		folder_free(folder);
		return -ENOMEM;
	}
	*out = folder;
	return 0;
}

static int folder_open(const struct dw_remote_provider *provider, const struct dw_remote_source *source,
		       struct dw_remote **out, char *error, size_t error_size)
{
	struct folder *folder = NULL;
	char *real = NULL;
	char *path = NULL;
	struct stat state;
	int err;

	snprintf(error, error_size, "folder: out of memory");
	err = folder_new(&folder);
	if (err != 0)
		return err;
	err = parse_options(folder, source, error, error_size);
	if (err != 0)
		goto out;
	if (source->rest[0] == '\0') {
		snprintf(error, error_size, "say which folder: folder:/path/of/folder");
		err = -EINVAL;
		goto out;
	}
	folder->root = open(source->rest, PATH_FLAGS);
	real = realpath(source->rest, NULL);
	if (folder->root < 0 || real == NULL || fstat(folder->root, &state) != 0) {
		err = -errno;
		snprintf(error, error_size, "the folder %s cannot be opened: %s", source->rest, strerror(-err));
		goto out;
	}
	folder->device = state.st_dev;
	err = open_side(folder, source, real, &path, error, error_size);
	if (err != 0)
		goto out;
	err = index_open(&folder->index, path, folder->durable);
	if (err == 0)
		err = prepare(folder);
	if (err != 0) {
		snprintf(error, error_size, "%s cannot be used: %s", path, fault_error_text(err));
		goto out;
	}
	folder->remote = (struct dw_remote){
		.size = sizeof(folder->remote),
		.ops = folder->read_only ? &ops_read_only : &ops_all,
		.flags = (folder->fold ? DW_REMOTE_FOLDS_CASE : 0) | (folder->read_only ? DW_REMOTE_READ_ONLY : 0) |
			 (folder->version_count > 0 && !folder->read_only ? DW_REMOTE_VERSIONS : 0),
		.digest = folder->remote.digest,
		.root = "1",
		.account = folder->account,
		.upload_max = folder->remote.upload_max,
		.read_parallel = READ_PARALLEL,
		.read_range = MEBIBYTE,
	};
	error[0] = '\0';
	*out = &folder->remote;
out:
	free(real);
	free(path);
	if (err != 0)
		folder_free(folder);
	return err;
}

__attribute__((visibility("default"))) extern const struct dw_remote_provider driveway_remote;

const struct dw_remote_provider driveway_remote = {
	.size = sizeof(driveway_remote),
	.version = DW_REMOTE_API_VERSION,
	.flags = DW_PROVIDER_PATH,
	.name = "folder",
	.summary = "a folder of this machine or of a network drive, with the cache in front of it: folder:/mnt/nas",
	.options = "read-only=yes: change nothing in the folder\n"
		   "case=fold: names that differ only by case are one\n"
		   "names=windows: take only names that Windows takes\n"
		   "durable=no: do not wait for the disk\n"
		   "digest=sha1, sha256, md5 or none\n"
		   "hash-max=bytes up to which files that came from elsewhere are read for their content name (16m)\n"
		   "quota=bytes of all files\n"
		   "upload-max=bytes of an upload in one go (64m)\n"
		   "part=bytes of a part of a longer one (8m)\n"
		   "page=items of a page of a list (1000)\n"
		   "list-properties=no: lists come without properties\n"
		   "versions=old contents kept of a file (10)\n"
		   "sessions=seconds until an upload that was not finished is forgotten (a week)\n"
		   "trash=seconds until what was removed is gone (30 days)\n"
		   "feed=changes remembered (100000)\n"
		   "rescan=seconds between looks for changes that were made in the folder itself (60; 0: never)\n"
		   "fail=faults to make, for tests\n"
		   "delay=calls to slow down, for tests\n"
		   "faults=file with faults to make, for tests\n",
	.open = folder_open,
};
