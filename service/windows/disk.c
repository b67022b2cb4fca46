/* SPDX-License-Identifier: MIT */
#include "service/windows/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel/ioctl/names.h"
#include "channel/ioctl/status.h"
#include "service/map_request.h"
#include "service/windows/kept.h"
#include "support/text.h"

#include <windows.h>

#define CACHE_DEFAULT "C:\\cache"

struct disk_mapped {
	struct dw_host host; /* first */
	struct disks *disks;
	struct disk_mapped *next;
	uint64_t number;
	struct kept_folder kept;
	pthread_mutex_t kept_lock;
	struct dw_filesystem *fs;
	struct volume *volume;
};

/* --- What the file system may ask --- */

static void host_log(struct dw_host *host, int level, const char *message)
{
	struct disk_mapped *disk = (struct disk_mapped *)host;

	log_write(disk->disks->log, level, "disk %llu: %s", (unsigned long long)disk->number, message);
}

static int host_keep(struct dw_host *host, const char *name, uint64_t size, void **address, bool *fresh, int *fd)
{
	struct disk_mapped *disk = (struct disk_mapped *)host;
	int error;

	/* No descriptor that holes could be punched with. */
	if (fd)
		*fd = -1;
	pthread_mutex_lock(&disk->kept_lock);
	error = kept_map(&disk->kept, name, size, address, fresh);
	pthread_mutex_unlock(&disk->kept_lock);
	return error;
}

static int host_invalidate_entry(struct dw_host *host, uint64_t parent, const char *name, bool expire_only)
{
	struct disk_mapped *disk = (struct disk_mapped *)host;

	(void)name;
	(void)expire_only;
	if (disk->volume)
		volume_names_changed(disk->volume, parent);
	return 0;
}

static int host_entry_deleted(struct dw_host *host, uint64_t parent, uint64_t child, const char *name)
{
	(void)child;
	return host_invalidate_entry(host, parent, name, false);
}

/* --- A request as a map_request --- */

/* Text of the request as UTF-8 to free; NULL: no memory. Text of the driver may hold what UTF-8 cannot say: replaced.
 */
static char *text_of(const struct fs_request *request, struct fs_text text)
{
	const wchar_t *wide = (const wchar_t *)(const void *)((const uint8_t *)request + text.offset);
	int units = (int)(text.length / 2), length;
	char *out;

	if (!units)
		return text_duplicate("");
	length = WideCharToMultiByte(CP_UTF8, 0, wide, units, NULL, 0, NULL, NULL);
	out = length > 0 ? malloc((size_t)length + 1) : NULL;
	if (!out)
		return NULL;
	length = WideCharToMultiByte(CP_UTF8, 0, wide, units, out, length, NULL, NULL);
	out[length] = '\0';
	return out;
}

/* "key=value", each ended by a NUL. */
static int add_options(struct map_request *map, const char *options, size_t length)
{
	for (size_t at = 0; at < length;) {
		char *option = text_duplicate(options + at), *equals;
		int error;

		if (!option)
			return -ENOMEM;
		at += strlen(option) + 1;
		equals = strchr(option, '=');
		if (equals)
			*equals = '\0';
		error = *option ? map_request_add_option(map, option, equals ? equals + 1 : "") : 0;
		free(option);
		if (error)
			return error;
	}
	return 0;
}

static int read_request(const struct fs_request *request, struct map_request *map, char *error, size_t error_size)
{
	const struct fs_disk_added *in = &request->u.disk_added;
	char *source = text_of(request, in->source), *options = text_of(request, in->options);
	int result = source && options ? 0 : -ENOMEM;

	map->cache = text_of(request, in->cache);
	if (!result && !map->cache)
		result = -ENOMEM;
	map->read_only = in->flags & FS_DISK_READ_ONLY;
	if (!result)
		result = map_request_set_source(map, source, error, error_size);
	if (!result && in->options.length) {
		/* NULs inside: the length is that of the conversion. */
		const wchar_t *wide = (const wchar_t *)(const void *)((const uint8_t *)request + in->options.offset);
		int length = WideCharToMultiByte(CP_UTF8, 0, wide, (int)(in->options.length / 2), NULL, 0, NULL, NULL);

		result = add_options(map, options, length > 0 ? (size_t)length : 0);
	}
	free(source);
	free(options);
	return result;
}

/* --- Opening and ending --- */

static int open_source(struct disk_mapped *disk, const struct map_request *map, bool restarted, char *error,
		       size_t error_size)
{
	const struct dw_provider *provider;
	struct dw_source source = {.size = sizeof(source),
				   .rest = map->rest,
				   .cache = map->cache && map->cache[0] ? map->cache : CACHE_DEFAULT,
				   .options = map->options,
				   .option_count = map->option_count,
				   .read_only = map->read_only,
				   .restarted = restarted};
	int result = providers_find(disk->disks->providers, map->provider, &provider, error, error_size);

	if (result)
		return result;
	result = provider->open(provider, &source, &disk->host, &disk->fs, error, error_size);
	return result ? result : providers_check_filesystem(disk->fs, map->provider, error, error_size);
}

static int open_volume(struct disk_mapped *disk, const struct fs_request *request)
{
	const struct fs_disk_added *in = &request->u.disk_added;
	struct volume_options options = {.disk = request->disk, .label_length = in->label.length};
	LARGE_INTEGER counter;
	void *kept;
	bool fresh;
	int error = host_keep(&disk->host, "volume", (sizeof(struct volume_kept) + 65535) & ~(uint64_t)65535, &kept,
			      &fresh, NULL);

	if (error)
		return error;
	options.kept = kept;
	options.read_only = in->flags & FS_DISK_READ_ONLY;
	options.label = (const uint16_t *)(const void *)((const uint8_t *)request + in->label.offset);
	/* Ids are the driver's alone to see; they only have to differ. */
	QueryPerformanceCounter(&counter);
	options.seed = (uint64_t)counter.QuadPart ^ request->id;
	return volume_create(&disk->volume, disk->fs, &options);
}

static void disk_end(struct disk_mapped *disk, bool unmapped)
{
	if (disk->volume && unmapped)
		volume_destroy(disk->volume);
	else if (disk->volume)
		volume_abandon(disk->volume);
	/* A process that makes way for the next leaves the file system as it is. */
	if (disk->fs && disk->fs->ops->close && unmapped)
		disk->fs->ops->close(disk->fs);
	if (unmapped)
		kept_close(&disk->kept, true);
	pthread_mutex_destroy(&disk->kept_lock);
	free(disk);
}

int32_t disks_added(struct disks *disks, const struct fs_request *request, struct volume **out)
{
	bool restarted = request->flags & FS_REQUEST_REPLAYED;
	struct disk_mapped *disk = calloc(1, sizeof(*disk));
	struct map_request *map = map_request_create();
	char error[512] = "", folder[260];
	int result = disk && map ? 0 : -ENOMEM;

	if (!result) {
		disk->host = (struct dw_host){.size = sizeof(disk->host),
					      .log = host_log,
					      .keep = host_keep,
					      .invalidate_entry = host_invalidate_entry,
					      .entry_deleted = host_entry_deleted};
		disk->disks = disks;
		disk->number = request->disk;
		pthread_mutex_init(&disk->kept_lock, NULL);
		if (!text_format(folder, sizeof(folder), "%s\\disk-%llu", disks->folder,
				 (unsigned long long)request->disk))
			result = -ENAMETOOLONG;
	}
	if (!result)
		result = kept_open(&disk->kept, folder, !restarted);
	if (!result)
		result = read_request(request, map, error, sizeof(error));
	if (!result)
		result = open_source(disk, map, restarted, error, sizeof(error));
	if (!result)
		result = open_volume(disk, request);
	map_request_free(map);
	if (result) {
		log_write(disks->log, LOG_LEVEL_ERROR, "disk %llu: %s", (unsigned long long)request->disk,
			  error[0] ? error : strerror(-result));
		if (disk && disk->disks)
			disk_end(disk, true);
		else
			free(disk);
		return status_of(result);
	}
	pthread_mutex_lock(&disks->lock);
	disk->next = disks->first;
	disks->first = disk;
	pthread_mutex_unlock(&disks->lock);
	*out = disk->volume;
	return 0;
}

void disks_removed(struct disks *disks, struct volume *volume, bool unmapped)
{
	struct disk_mapped **where, *disk;

	pthread_mutex_lock(&disks->lock);
	for (where = &disks->first; *where && (*where)->volume != volume;)
		where = &(*where)->next;
	disk = *where;
	if (disk)
		*where = disk->next;
	pthread_mutex_unlock(&disks->lock);
	if (disk)
		disk_end(disk, unmapped);
}
