/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/drive.h"
#include "filesystems/archive/scan.h"
#include "filesystems/archive/store.h"
#include "filesystems/archive/volumes.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIMEOUT		   ((uint64_t)86400 * 1000000000) /* nothing in an archive changes */
#define CACHE_SIZE	   ((uint64_t)4 << 30)
#define DEFLATE_DECODERS   256u
#define ZIP_DECODERS	   6u
#define KEPT_DESCRIPTOR	   1u
#define KEPT_NAME	   "archive"
#define KEPT_SIZE	   4096u
#define KEPT_MAGIC	   0x4550454b57524944ull
#define ARCHIVE_ERROR_SIZE 256u

/* In kept memory: which index the ids in use belong to. */
struct kept_state {
	uint64_t magic;
	uint64_t epoch;
	uint32_t checksum;
	uint32_t node_count;
};

struct archive_options {
	uint64_t cache_size;
	const char *password;
};

void archive_log(struct archive_drive *drive, int level, const char *format, ...)
{
	char line[512];
	va_list arguments;

	if (!drive->host->log)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	drive->host->log(drive->host, level, line);
}

void archive_close(struct dw_filesystem *fs)
{
	struct archive_drive *drive = (struct archive_drive *)fs;
	uint64_t have;

	cursors_destroy(drive->deflate);
	cursors_destroy(drive->zip_member);
	if (drive->sequence) {
		have = space_spilled(drive->sequence);
		space_close(drive->sequence);
		store_spill_close(&drive->sequence_spill, have);
	}
	if (drive->base != drive->file) {
		have = drive->base ? space_spilled(drive->base) : 0;
		space_close(drive->base);
		store_spill_close(&drive->base_spill, have);
	}
	space_close(drive->file);
	free((void *)drive->members_context.bad);
	index_free(&drive->index);
	if (drive->fd >= 0)
		close(drive->fd);
	free(drive->password);
	free(drive);
}

/* "512M", "4G", "0": bytes. */
static bool parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned shift = 0;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (end == text || errno || *text == '-')
		return false;
	if (*end) {
		const char *unit = strchr(units, *end & ~0x20);

		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (value > UINT64_MAX >> shift)
		return false;
	*out = (uint64_t)value << shift;
	return true;
}

static int parse_options(const struct dw_source *source, struct archive_options *out, char *error, size_t error_size)
{
	out->cache_size = CACHE_SIZE;
	out->password = NULL;
	for (size_t i = 0; i < source->option_count; i++) {
		const struct dw_option *option = &source->options[i];

		if (strcmp(option->key, "password") == 0 && *option->value) {
			out->password = option->value;
		} else if (strcmp(option->key, "cache-size") == 0 && parse_size(option->value, &out->cache_size)) {
			continue;
		} else if (strcmp(option->key, "cache-size") == 0) {
			snprintf(error, error_size,
				 "cache-size=%s is no size; give bytes, or a number with K, M, G or T", option->value);
			return -EINVAL;
		} else if (strcmp(option->key, "password") == 0) {
			snprintf(error, error_size, "password is empty; give -o password=WORD");
			return -EINVAL;
		} else {
			snprintf(error, error_size, "archive has no option %s; it has cache-size and password",
				 option->key);
			return -EINVAL;
		}
	}
	return 0;
}

/* The descriptor that an earlier process kept, or the file at path. */
static int open_file(struct archive_drive *drive, const struct dw_source *source, struct stat *state, char *error,
		     size_t error_size)
{
	struct dw_host *host = drive->host;

	if (source->restarted && host->kept_fd_get && host->kept_fd_get(host, KEPT_DESCRIPTOR, &drive->fd) == 0)
		return fstat(drive->fd, state) ? -errno : 0;
	drive->fd = open(source->rest, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (drive->fd < 0 || fstat(drive->fd, state)) {
		int reason = errno;

		snprintf(error, error_size, reason == ENOENT ? "%s: there is no such file; check the path" : "%s: %s",
			 source->rest, strerror(reason));
		return -reason;
	}
	if (S_ISDIR(state->st_mode)) {
		snprintf(error, error_size, "%s is a folder; give an archive file, or use local:%s", source->rest,
			 source->rest);
		return -EISDIR;
	}
	if (!S_ISREG(state->st_mode)) {
		snprintf(error, error_size, "%s is not a regular file; copy the archive into one", source->rest);
		return -EINVAL;
	}
	if (!state->st_size) {
		snprintf(error, error_size, "%s is empty, not an archive; get the file again", source->rest);
		return -EINVAL;
	}
	if (host->kept_fd_put)
		host->kept_fd_put(host, KEPT_DESCRIPTOR, drive->fd);
	return 0;
}

static int check_whole(struct archive_drive *drive, const struct dw_source *source, char *error, size_t error_size)
{
	const char *refusal = volumes_refusal(drive->file);

	if (!refusal)
		return 0;
	snprintf(error, error_size, "%s: %s", source->rest, refusal);
	return -EOPNOTSUPP;
}

/* Whether the file is compressed as a whole. */
static int probe_filters(struct archive_drive *drive, bool *filtered)
{
	struct archive_entry *entry;
	struct archive *archive;
	int error = reader_open(&archive, drive->file, 0, READER_FILTERS, NULL);

	*filtered = false;
	if (error == -ENOMEM)
		return error;
	if (error)
		return 0;
	archive_read_next_header(archive, &entry);
	*filtered = archive_filter_count(archive) > 1;
	reader_close(archive);
	return 0;
}

static int open_base(struct archive_drive *drive, const struct dw_source *source, bool filtered, uint64_t limit)
{
	if (!filtered) {
		drive->base = drive->file;
		return 0;
	}
	drive->filters_context.base = drive->file;
	if (source->cache)
		store_spill_open(source->cache, source->rest, "base", &drive->identity, 0, limit, &drive->base_spill);
	return space_open_decoded(&drive->base, &decode_filters, &drive->filters_context, &drive->base_spill);
}

static int make_index(struct archive_drive *drive, const struct dw_source *source, const struct stat *state,
		      bool filtered, char *error, size_t error_size)
{
	const char *name = strrchr(source->rest, '/');
	char why[ARCHIVE_ERROR_SIZE] = "";
	struct scan_source from = {
		.base = drive->base,
		.filtered = filtered,
		.name = name ? name + 1 : source->rest,
		.state = state,
		.password = drive->password,
		.identity = drive->identity,
	};
	int result = scan_archive(&from, &drive->index, why, sizeof(why));

	if (result) {
		snprintf(error, error_size, "%s: %s", source->rest, *why ? why : strerror(-result));
		return result;
	}
	if (!source->cache)
		return 0;
	result = store_save_index(source->cache, source->rest, &drive->index);
	if (result)
		archive_log(drive, 1, "%s: the index could not be kept in %s: %s", source->rest, source->cache,
			    strerror(-result));
	return 0;
}

static int open_content(struct archive_drive *drive, const struct dw_source *source, uint64_t limit)
{
	const struct index_head *head = drive->index.head;
	uint64_t used = drive->base != drive->file ? space_spilled(drive->base) : 0;
	int error;

	drive->members_context = (struct decode_context){
		.base = drive->base, .index = &drive->index, .password = drive->password, .spill_fd = -1};
	error = cursors_create(&drive->deflate, &decode_deflate, &drive->members_context, DEFLATE_DECODERS);
	if (!error)
		error = cursors_create(&drive->zip_member, &decode_zip_member, &drive->members_context, ZIP_DECODERS);
	if (error || !head->sequence_count)
		return error;
	drive->members_context.bad = calloc(head->sequence_count, 1);
	if (!drive->members_context.bad)
		return -ENOMEM;
	if (source->cache)
		store_spill_open(source->cache, source->rest, "sequence", &drive->identity, head->checksum,
				 limit > used ? limit - used : 0, &drive->sequence_spill);
	drive->members_context.spill_fd = drive->sequence_spill.fd;
	return space_open_decoded(&drive->sequence, &decode_sequence, &drive->members_context, &drive->sequence_spill);
}

/* Ids that an earlier process gave out stay good as long as they mean the same. */
static void settle_epoch(struct archive_drive *drive, const struct dw_source *source)
{
	struct dw_host *host = drive->host;
	struct kept_state *state;
	void *memory;
	bool fresh;

	if (!host->keep || host->keep(host, KEPT_NAME, KEPT_SIZE, &memory, &fresh, NULL))
		return;
	state = memory;
	if (state->magic == KEPT_MAGIC &&
	    (state->checksum != drive->index.head->checksum || state->node_count != drive->index.head->node_count)) {
		state->epoch++;
		archive_log(drive, 1, "%s: the archive is another one than before the restart", source->rest);
	}
	drive->epoch = state->epoch;
	state->checksum = drive->index.head->checksum;
	state->node_count = drive->index.head->node_count;
	state->magic = KEPT_MAGIC;
}

/* Try the password on the first file that needs one. */
static int check_password(struct archive_drive *drive, const struct dw_source *source, char *error, size_t error_size)
{
	struct dw_request req = {.size = sizeof(req)};
	struct dw_notes notes = {{0}};
	volatile uint32_t interrupted = 0;
	char byte;

	req.notes = &notes;
	req.interrupted = &interrupted;
	if (!drive->index.head->encrypted)
		return 0;
	if (!(drive->index.head->flags & INDEX_PASSWORD)) {
		archive_log(drive, 1,
			    "%s: %u files are protected and cannot be read: only the passwords of zip files can",
			    source->rest, drive->index.head->encrypted);
		return 0;
	}
	if (!drive->password) {
		archive_log(drive, 1, "%s: %u files are protected; to read them, map with -o password=WORD",
			    source->rest, drive->index.head->encrypted);
		return 0;
	}
	for (uint32_t i = 0; i < drive->index.head->node_count; i++) {
		const struct index_node *node = &drive->index.nodes[i];

		if (!S_ISREG(node->mode) || !node->nlink || !(node->flags & NODE_ENCRYPTED) || !node->size)
			continue;
		if (archive_read_content(drive, i, &byte, 1, 0, &req) != -EACCES)
			return 0;
		snprintf(error, error_size,
			 "%s: the password is wrong; map again with the right -o password=", source->rest);
		return -EACCES;
	}
	return 0;
}

/* Without any attributes there is nothing to ask: the kernel learns that from the first answer and asks no more. */
static void choose_operations(struct archive_drive *drive)
{
	drive->ops = archive_ops;
	if (drive->index.head->attribute_count <= 1) {
		drive->ops.getxattr = NULL;
		drive->ops.listxattr = NULL;
	}
	if (drive->index.head->flags & INDEX_ACLS)
		drive->fs.flags |= DW_FS_ACL;
	drive->fs.ops = &drive->ops;
}

static void report(struct archive_drive *drive, const struct dw_source *source)
{
	const struct index_head *head = drive->index.head;

	archive_log(drive, 2, "%s: %s, %u nodes", source->rest, head->format, head->node_count);
	if (head->flags & INDEX_DAMAGED)
		archive_log(drive, 1, "%s: the archive is damaged or ends early (%s); what comes before is shown",
			    source->rest, head->damage);
	if (head->left_out)
		archive_log(drive, 1, "%s: %u members are not shown, their names clash or lead nowhere", source->rest,
			    head->left_out);
}

static int archive_open_source(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
			       struct dw_filesystem **out, char *error, size_t error_size)
{
	struct archive_drive *drive = calloc(1, sizeof(*drive));
	struct archive_options options;
	struct stat state;
	bool filtered = false;
	int result = -ENOMEM;

	if (!drive)
		return -ENOMEM;
	drive->host = host;
	drive->fd = drive->base_spill.fd = drive->sequence_spill.fd = -1;
	drive->fs = (struct dw_filesystem){
		.size = sizeof(struct dw_filesystem),
		.ops = &archive_ops,
		.flags = DW_FS_READ_ONLY | DW_FS_PERSISTENT | DW_FS_CACHE_SYMLINKS | DW_FS_NOWAIT |
			 DW_FS_INVALIDATES_DATA,
		.entry_timeout = TIMEOUT,
		.attr_timeout = TIMEOUT,
		.negative_timeout = TIMEOUT,
	};
	if (!*source->rest) {
		snprintf(error, error_size, "no archive is named; give archive:FILE");
		result = -EINVAL;
		goto fail;
	}
	result = parse_options(source, &options, error, error_size);
	if (result)
		goto fail;
	if (options.password && !(drive->password = strdup(options.password))) {
		result = -ENOMEM;
		goto fail;
	}
	result = open_file(drive, source, &state, error, error_size);
	if (result)
		goto fail;
	drive->identity = (struct index_identity){
		.device = state.st_dev,
		.inode = state.st_ino,
		.size = (uint64_t)state.st_size,
		.mtime_seconds = state.st_mtim.tv_sec,
		.mtime_nanoseconds = (uint64_t)state.st_mtim.tv_nsec,
	};
	result = space_open_file(&drive->file, drive->fd, drive->identity.size);
	if (result)
		goto fail;
	if (source->cache && store_load_index(source->cache, source->rest, &drive->identity, &drive->index) == 0)
		filtered = drive->index.head->flags & INDEX_FILTERED;
	else
		result = check_whole(drive, source, error, error_size);
	if (!result && !drive->index.head)
		result = probe_filters(drive, &filtered);
	if (!result)
		result = open_base(drive, source, filtered, options.cache_size);
	if (!result && !drive->index.head)
		result = make_index(drive, source, &state, filtered, error, error_size);
	if (!result)
		result = open_content(drive, source, options.cache_size);
	if (!result)
		result = check_password(drive, source, error, error_size);
	if (result)
		goto fail;
	settle_epoch(drive, source);
	choose_operations(drive);
	report(drive, source);
	*out = &drive->fs;
	return 0;

fail:
	archive_close(&drive->fs);
	return result;
}

#pragma GCC visibility push(default)
extern const struct dw_provider driveway_provider;
const struct dw_provider driveway_provider = {
	.size = sizeof(struct dw_provider),
	.version = DW_API_VERSION,
	.flags = DW_PROVIDER_PATH | DW_PROVIDER_READ_ONLY,
	.name = "archive",
	.summary = "a zip, tar, 7z, iso, cpio, rar... file as a read-only drive",
	.options = "cache-size=most bytes of unpacked data to keep on disk (4G; K, M, G, T; 0: none)\n"
		   "password=for protected zip files\n",
	.open = archive_open_source,
};
#pragma GCC visibility pop
