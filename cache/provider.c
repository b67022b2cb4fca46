/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/ahead.h"
#include "cache/feed.h"
#include "cache/listing.h"
#include "cache/module.h"
#include "cache/operations.h"
#include "cache/pins.h"
#include "cache/rows.h"
#include "cache/sync.h"
#include "support/state_folder.h"
#include "support/text.h"

#define SECOND	    UINT64_C(1000000000)
#define DAY	    (86400 * SECOND)
#define MIN_FREE    (UINT64_C(1) << 30)
#define READ_AHEAD  (UINT64_C(64) << 20)
#define OPTIONS_MAX 64u
#define PATH_SIZE   4096u

static const char own_options[] = "cache-size=most bytes of what was fetched to keep (no limit; K, M, G, T)\n"
				  "cache-min-free=bytes of the cache's disk to leave free (1G)\n"
				  "read-ahead=most bytes to fetch before they are asked for (64M)\n"
				  "timeout=seconds that a call waits for the service (30)\n"
				  "sync=close waits until the bytes are safe on this machine's disk (no)\n"
				  "poll=seconds between looks at a service that does not tell what changes (60)\n"
				  "settle=seconds that a file rests before it is uploaded (1)\n"
				  "state=folder for logins (below $XDG_STATE_HOME/driveway)\n";

/* A provider of drives over remotes of one kind. */
struct wrapped {
	struct dw_provider provider; /* first */
	const struct dw_remote_provider *remote;
	char options[];
};

/* Options that are for the remote, and where its logins are. */
struct split {
	struct dw_option rest[OPTIONS_MAX];
	size_t count;
	const char *state;
};

/* --- Options ------------------------------------------------------------------------------------------- */

static int parse_own(struct cache_options *out, struct split *split, const struct dw_option *option, bool *own)
{
	const struct {
		const char *key;
		int (*parse)(const char *text, uint64_t *value);
		uint64_t *value;
	} numbers[] = {
		{"cache-size", text_parse_size, &out->cache_size},
		{"cache-min-free", text_parse_size, &out->cache_min_free},
		{"read-ahead", text_parse_size, &out->read_ahead},
		{"timeout", text_parse_seconds, &out->timeout},
		{"poll", text_parse_seconds, &out->poll},
		{"settle", text_parse_seconds, &out->settle},
	};

	*own = true;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(option->key, numbers[i].key) == 0)
			return numbers[i].parse(option->value, numbers[i].value);
	}
	if (strcmp(option->key, "sync") == 0)
		return text_parse_bool(option->value, &out->sync);
	if (strcmp(option->key, "state") == 0) {
		split->state = option->value;
		return option->value[0] == '/' ? 0 : -EINVAL;
	}
	*own = false;
	return 0;
}

static int parse_options(const struct dw_source *source, struct cache_options *out, struct split *split, char *error,
			 size_t error_size)
{
	*out = (struct cache_options){
		.cache_size = UINT64_MAX,
		.cache_min_free = MIN_FREE,
		.read_ahead = READ_AHEAD,
		.timeout = 30 * SECOND,
		.poll = 60 * SECOND,
		.settle = SECOND,
		.read_only = source->read_only,
	};
	for (size_t i = 0; i < source->option_count; i++) {
		const struct dw_option *option = &source->options[i];
		bool own;

		if (parse_own(out, split, option, &own)) {
			snprintf(error, error_size, "the option %s=%s makes no sense: see `driveway map --help`",
				 option->key, option->value);
			return -EINVAL;
		}
		if (own)
			continue;
		if (split->count == OPTIONS_MAX) {
			snprintf(error, error_size, "too many options");
			return -E2BIG;
		}
		split->rest[split->count++] = *option;
	}
	if (out->timeout < SECOND / 10 || out->poll < SECOND / 10) {
		snprintf(error, error_size, "timeout and poll are at least 0.1 seconds");
		return -EINVAL;
	}
	return 0;
}

/* --- Folders ------------------------------------------------------------------------------------------- */

static int state_folder(const char *name, const char *chosen, char *out, size_t size)
{
	int ret;

	if (chosen)
		ret = text_copy(out, size, chosen) ? 0 : -ENAMETOOLONG;
	else
		ret = state_folder_path(out, size, name);
	return ret ? ret : folders_make(out);
}

/* One folder for each account and root. */
static int cache_folder(const struct dw_source *source, const struct dw_remote *remote, char *out, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	unsigned length = 0;
	char name[33] = "";
	bool good = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
		    EVP_DigestUpdate(hash, remote->account, strlen(remote->account) + 1) == 1 &&
		    EVP_DigestUpdate(hash, remote->root, strlen(remote->root)) == 1 &&
		    EVP_DigestFinal_ex(hash, digest, &length) == 1;

	EVP_MD_CTX_free(hash);
	if (!good)
		return -ENOMEM;
	for (unsigned i = 0; i < 16; i++)
		snprintf(name + 2 * i, 3, "%02x", digest[i]);
	if (!text_format(out, size, "%s/%s", source->cache, name))
		return -ENAMETOOLONG;
	return folders_make(out);
}

static int lock_folder(struct cache *cache, char *error, size_t error_size)
{
	int fd;

	cache->folder_fd = open(cache->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cache->folder_fd < 0)
		return -errno;
	fd = openat(cache->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	cache->lock_fd = fd;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		snprintf(error, error_size,
			 "the cache folder %s is in use by another drive: unmap that one, or give another folder with "
			 "--cache",
			 cache->folder);
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	}
	return 0;
}

/* --- The database -------------------------------------------------------------------------------------- */

static void log_line(void *context, int level, const char *line)
{
	cache_log(context, level, "%s", line);
}

static void note_answer(void *context, int ret, const char *message)
{
	cache_note_answer(context, ret, message);
}

static int check_fact(struct database_connection *connection, const char *key, const char *value)
{
	char known[DW_REMOTE_ID_MAX + 1];
	int ret = database_get_text(connection, key, known, sizeof(known));

	if (!ret && known[0] && strcmp(known, value) != 0)
		ret = -EINVAL;
	return ret || known[0] ? ret : database_set_text(connection, key, value);
}

static int prepare_database(struct cache *cache)
{
	struct database_connection *connection = database_write(cache->database);
	int64_t generation = 0, heard = 0, total = 0, used = 0;
	int ret = check_fact(connection, "account", cache->remote->account);

	if (!ret)
		ret = check_fact(connection, "root", cache->remote->root);
	if (!ret)
		ret = database_get_number(connection, "generation", &generation);
	if (!ret && !generation) {
		generation = 1;
		ret = database_set_number(connection, "generation", generation);
	}
	if (!ret)
		ret = database_get_number(connection, "heard", &heard);
	if (!ret)
		ret = database_get_number(connection, "quota_total", &total);
	if (!ret)
		ret = database_get_number(connection, "quota_used", &used);
	atomic_store(&cache->generation, generation);
	atomic_store(&cache->heard, heard);
	cache->state.quota_total = total == INT64_MAX ? UINT64_MAX : (uint64_t)total;
	cache->state.quota_used = (uint64_t)used;
	if (!ret)
		ret = nodes_make_root(connection, cache);
	return operation_end(connection, ret);
}

/* --- Opening and closing ------------------------------------------------------------------------------- */

static void cache_close(struct dw_filesystem *fs)
{
	struct cache *cache = cache_of(fs);

	atomic_store(&cache->stopping, 1);
	if (cache->pins)
		pins_stop(cache->pins);
	if (cache->feed)
		feed_stop(cache->feed);
	if (cache->sync)
		sync_stop(cache->sync);
	if (cache->ahead)
		ahead_stop(cache->ahead);
	if (cache->listings)
		listings_stop(cache->listings);
	/* Whoever absorbs wakes it. */
	if (cache->pins)
		pins_free(cache->pins);
	if (cache->active)
		active_stop(cache->active);
	if (cache->contents)
		content_store_close(cache->contents);
	if (cache->rows)
		rows_stop(cache->rows);
	if (cache->database)
		database_close(cache->database);
	if (cache->remote)
		cache->remote->ops->close(cache->remote);
	if (cache->lock_fd >= 0)
		close(cache->lock_fd);
	if (cache->folder_fd >= 0)
		close(cache->folder_fd);
	if (cache->unicode)
		freelocale(cache->unicode);
	pthread_cond_destroy(&cache->state.changed);
	pthread_mutex_destroy(&cache->state.lock);
	free(cache->folder);
	free(cache);
}

static const struct dw_filesystem_ops cache_ops = {
	.size = sizeof(cache_ops),
	.lookup = cache_lookup,
	.getattr = cache_getattr,
	.readdir = cache_readdir,
	.read = cache_read,
	.close = cache_close,
	.forget = cache_forget,
	.statfs = cache_statfs,
	.syncfs = cache_syncfs,
	.readlink = cache_readlink,
	.mknod = cache_mknod,
	.mkdir = cache_mkdir,
	.unlink = cache_unlink,
	.rmdir = cache_rmdir,
	.rename = cache_rename,
	.link = cache_link,
	.symlink = cache_symlink,
	.setattr = cache_setattr,
	.setxattr = cache_setxattr,
	.getxattr = cache_getxattr,
	.listxattr = cache_listxattr,
	.removexattr = cache_removexattr,
	.open = cache_open,
	.create = cache_create,
	.tmpfile = cache_tmpfile,
	.write = cache_write,
	.flush = cache_flush,
	.release = cache_release,
	.fsync = cache_fsync,
	.fsyncdir = cache_fsyncdir,
	.fallocate = cache_fallocate,
	.copy_file_range = cache_copy_file_range,
	.lseek = cache_lseek,
	.report = cache_report,
};

static bool has_op(const struct dw_remote *remote, size_t offset)
{
	const struct dw_remote_ops *ops = remote->ops;

	return ops->size >= offset + sizeof(void *) && *(void *const *)((const char *)ops + offset);
}

#define HAS(remote, member) has_op(remote, offsetof(struct dw_remote_ops, member))

static bool remote_is_read_only(const struct dw_remote *remote)
{
	return remote->flags & DW_REMOTE_READ_ONLY || !HAS(remote, upload) || !HAS(remote, mkdir) ||
	       !HAS(remote, move) || !HAS(remote, remove);
}

/* What the kernel may believe: as long as it likes, where changes are told. */
static void fill_filesystem(struct cache *cache)
{
	bool told = HAS(cache->remote, changes);
	uint64_t timeout = told ? DAY : cache->options.poll;

	cache->ops = cache_ops;
	if (!told)
		cache->ops.opendir = cache_opendir;
	cache->fs = (struct dw_filesystem){
		.size = sizeof(struct dw_filesystem),
		.ops = &cache->ops,
		.flags = DW_FS_NOWAIT | DW_FS_PERSISTENT | DW_FS_CACHE_SYMLINKS | DW_FS_BACKING |
			 DW_FS_INVALIDATES_DATA | (cache->options.read_only ? DW_FS_READ_ONLY : 0),
		.entry_timeout = timeout,
		.attr_timeout = timeout,
		.negative_timeout = timeout,
	};
}

static int open_remote(struct cache *cache, const struct dw_remote_provider *provider, const struct dw_source *source,
		       const struct split *split, char *error, size_t error_size)
{
	char state[PATH_SIZE];
	const struct dw_remote_source from = {
		.size = sizeof(from),
		.rest = source->rest,
		.state = state,
		.options = split->rest,
		.option_count = split->count,
	};
	int ret = state_folder(provider->name, split->state, state, sizeof(state));

	if (ret) {
		snprintf(error, error_size, "the folder for logins cannot be made (%s): give one with -o state=FOLDER",
			 strerror(-ret));
		return ret;
	}
	ret = provider->open(provider, &from, &cache->remote, error, error_size);
	if (ret)
		return ret;
	if (!HAS(cache->remote, stat) || !HAS(cache->remote, list) || !HAS(cache->remote, read) ||
	    !HAS(cache->remote, close) || !cache->remote->root || !cache->remote->account) {
		snprintf(error, error_size, "the provider %s is not complete", provider->name);
		return -EPROTO;
	}
	cache->options.read_only = cache->options.read_only || remote_is_read_only(cache->remote);
	return 0;
}

static int open_store(struct cache *cache, const struct dw_source *source, char *error, size_t error_size)
{
	char folder[PATH_SIZE];
	struct content_config config;
	int ret = cache_folder(source, cache->remote, folder, sizeof(folder));

	if (!ret) {
		cache->folder = text_duplicate(folder);
		ret = cache->folder ? lock_folder(cache, error, error_size) : -ENOMEM;
	}
	if (!ret)
		ret = database_open(&cache->database, cache->folder, log_line, cache);
	if (!ret)
		ret = prepare_database(cache);
	if (!ret) {
		config = (struct content_config){
			.database = cache->database,
			.folder_fd = cache->folder_fd,
			.remote = cache->remote,
			.cache_size = cache->options.cache_size,
			.cache_min_free = cache->options.cache_min_free,
			.read_ahead = cache->options.read_ahead,
			.timeout = cache->options.timeout,
			.log = log_line,
			.answered = note_answer,
			.context = cache,
		};
		ret = content_store_open(&cache->contents, &config);
	}
	if (ret && !*error)
		snprintf(error, error_size, "the cache folder %s cannot be used: %s", folder,
			 ret == -EPROTO	   ? "it was made by a newer version; give another folder with --cache"
			 : ret == -EUCLEAN ? "it was made by an older version, or is damaged; give another folder with "
					     "--cache (cache-format.md says how to find what was not sent)"
					   : strerror(-ret));
	return ret;
}

static int start(struct cache *cache, bool restarted)
{
	int ret = rows_start(&cache->rows);

	if (!ret)
		ret = active_start(&cache->active, cache);
	if (!ret)
		ret = opened_recover(cache, restarted);
	if (!ret)
		ret = listings_start(&cache->listings, cache);
	if (!ret)
		ret = ahead_start(&cache->ahead, cache);
	if (!ret)
		ret = pins_make(&cache->pins, cache);
	if (!ret)
		ret = feed_make(&cache->feed, cache);
	if (!ret)
		ret = sync_start(&cache->sync, cache);
	if (!ret)
		ret = feed_start(cache->feed);
	if (!ret)
		ret = pins_start(cache->pins);
	return ret;
}

static int open_source(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
		       struct dw_filesystem **out, char *error, size_t error_size)
{
	const struct wrapped *wrapped = (const struct wrapped *)provider;
	struct cache *cache = calloc(1, sizeof(*cache));
	struct split *split = calloc(1, sizeof(*split));
	int ret = cache && split ? 0 : -ENOMEM;

	if (ret) {
		free(split);
		free(cache);
		return ret;
	}
	cache->host = host;
	cache->folder_fd = cache->lock_fd = -1;
	cache->uid = geteuid();
	cache->gid = getegid();
	pthread_mutex_init(&cache->state.lock, NULL);
	pthread_cond_init(&cache->state.changed, NULL);
	cache->state.since = cache_now() / (int64_t)SECOND;
	cache->unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	ret = cache->unicode ? parse_options(source, &cache->options, split, error, error_size) : -ENOMEM;
	if (!ret)
		ret = open_remote(cache, wrapped->remote, source, split, error, error_size);
	free(split);
	if (!ret) {
		fill_filesystem(cache);
		ret = open_store(cache, source, error, error_size);
	}
	if (!ret)
		ret = start(cache, source->restarted);
	if (ret) {
		if (!*error)
			snprintf(error, error_size, "%s cannot be opened: %s", wrapped->provider.name, strerror(-ret));
		cache_close(&cache->fs);
		return ret;
	}
	*out = &cache->fs;
	return 0;
}

/* --- The module ---------------------------------------------------------------------------------------- */

int cache_provider_wrap(const struct dw_remote_provider *remote, const struct dw_provider **out, char *error,
			size_t error_size)
{
	const size_t versioned = offsetof(struct dw_remote_provider, version) + sizeof(remote->version);
	const size_t whole = offsetof(struct dw_remote_provider, open) + sizeof(remote->open);
	struct wrapped *wrapped;
	size_t size;

	if (remote->size < versioned || remote->version >> 16 != DW_REMOTE_API_VERSION >> 16 || remote->size < whole) {
		snprintf(error, error_size,
			 "it was built for another version of the interface: build it again with the headers that are "
			 "installed here");
		return -EPROTO;
	}
	if (!remote->open || !remote->name) {
		snprintf(error, error_size, "it is not a complete provider: it needs a name and an open function");
		return -EINVAL;
	}
	size = sizeof(own_options) + (remote->options ? strlen(remote->options) : 0) + 1;
	wrapped = calloc(1, sizeof(*wrapped) + size);
	if (!wrapped)
		return -ENOMEM;
	(void)text_format(wrapped->options, size, "%s%s", remote->options ? remote->options : "", own_options);
	wrapped->remote = remote;
	wrapped->provider = (struct dw_provider){
		.size = sizeof(struct dw_provider),
		.version = DW_API_VERSION,
		.flags = remote->flags & DW_PROVIDER_PATH,
		.name = remote->name,
		.summary = remote->summary ? remote->summary : "",
		.options = wrapped->options,
		.open = open_source,
	};
	*out = &wrapped->provider;
	return 0;
}
