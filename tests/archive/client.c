/* SPDX-License-Identifier: MIT */
#include "tests/archive/client.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sanitizers.h"

extern const struct dw_provider driveway_provider;

#if UNDER_TSAN
/* libarchive calls localtime_r; the sanitizer does not see the lock that the C library takes there. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:tzset_internal\n";
}
#endif

static void host_log(struct dw_host *host, int level, const char *message)
{
	struct client_host *client = (struct client_host *)host;
	size_t used = strlen(client->log);

	snprintf(client->log + used, sizeof(client->log) - used, "%d %s\n", level, message);
}

static int host_keep(struct dw_host *host, const char *name, uint64_t size, void **address, bool *fresh, int *fd)
{
	struct client_host *client = (struct client_host *)host;

	*fresh = !client->memory;
	if (!client->memory)
		client->memory = calloc(1, size);
	*address = client->memory;
	return client->memory ? 0 : -ENOMEM;
}

static int host_fd_put(struct dw_host *host, uint64_t key, int fd)
{
	struct client_host *client = (struct client_host *)host;

	if (client->kept_fd >= 0)
		return -EEXIST;
	client->kept_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return client->kept_fd < 0 ? -errno : 0;
}

static int host_fd_get(struct dw_host *host, uint64_t key, int *fd)
{
	struct client_host *client = (struct client_host *)host;

	if (client->kept_fd < 0)
		return -ENOENT;
	*fd = fcntl(client->kept_fd, F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? -errno : 0;
}

void client_host_init(struct client_host *host)
{
	memset(host, 0, sizeof(*host));
	host->kept_fd = -1;
	host->host = (struct dw_host){
		.size = sizeof(struct dw_host),
		.log = host_log,
		.keep = host_keep,
		.kept_fd_put = host_fd_put,
		.kept_fd_get = host_fd_get,
	};
}

void client_host_free(struct client_host *host)
{
	free(host->memory);
	if (host->kept_fd >= 0)
		close(host->kept_fd);
}

int client_open(struct client *client, struct client_host *host, const char *path, const char *cache,
		const char *options, bool restarted)
{
	struct dw_option list[8];
	struct dw_source source = {
		.size = sizeof(source),
		.rest = path,
		.cache = cache,
		.options = list,
		.read_only = true,
		.restarted = restarted,
	};
	char *copy = strdup(options ? options : "");
	char *rest = copy, *one;
	int error;

	while (*copy && (one = strsep(&rest, ",")) && source.option_count < 8) {
		char *value = strchr(one, '=');

		if (value)
			*value++ = 0;
		list[source.option_count++] = (struct dw_option){.key = one, .value = value ? value : ""};
	}
	memset(client, 0, sizeof(*client));
	client->host = host;
	error = driveway_provider.open(&driveway_provider, &source, &host->host, &client->fs, client->error,
				       sizeof(client->error));
	if (error)
		client->fs = NULL;
	free(copy);
	return error;
}

void client_close(struct client *client)
{
	if (client->fs)
		client->fs->ops->close(client->fs);
	client->fs = NULL;
}

static struct dw_request request(uint32_t flags)
{
	static const volatile uint32_t never;
	static _Thread_local struct dw_notes notes;

	return (struct dw_request){
		.size = sizeof(struct dw_request), .flags = flags, .notes = &notes, .interrupted = &never};
}

int client_find(struct client *client, const char *path, struct dw_entry *out)
{
	struct dw_request req = request(DW_REQUEST_NOWAIT);
	uint64_t timeout = DW_TIMEOUT_DEFAULT;
	char *copy = strdup(path);
	char *rest = copy, *one;
	int error = 0;

	memset(out, 0, sizeof(*out));
	out->node = DW_NODE_ROOT;
	if (!*path)
		error = client->fs->ops->getattr(client->fs, &req, DW_NODE_ROOT, DW_NO_HANDLE, &out->attr, &timeout);
	while (!error && *path && (one = strsep(&rest, "/"))) {
		uint64_t parent = out->node;

		error = client->fs->ops->lookup(client->fs, &req, parent, one, out);
		if (!error && !out->node)
			error = -ENOENT;
	}
	free(copy);
	return error;
}

int client_read(struct client *client, uint64_t node, void *buffer, size_t size, uint64_t offset, size_t *done)
{
	struct dw_request req = request(DW_REQUEST_NOWAIT);
	int error = client->fs->ops->read(client->fs, &req, node, 0, buffer, size, offset, done);

	if (error != -EAGAIN)
		return error;
	req.flags = 0;
	return client->fs->ops->read(client->fs, &req, node, 0, buffer, size, offset, done);
}

int client_attributes(struct client *client, uint64_t node, uint32_t uid, char *buffer, size_t size)
{
	struct dw_request req = request(DW_REQUEST_NOWAIT);
	size_t length = size - 1, wanted = 0;
	int error;

	buffer[0] = 0;
	if (!client->fs->ops->listxattr)
		return -EOPNOTSUPP;
	req.uid = uid;
	error = client->fs->ops->listxattr(client->fs, &req, node, NULL, &wanted);
	if (!error)
		error = client->fs->ops->listxattr(client->fs, &req, node, buffer, &length);
	if (error)
		return error;
	for (size_t i = 0; i < length; i++)
		buffer[i] = buffer[i] ? buffer[i] : '\n';
	buffer[length] = 0;
	return wanted == length ? 0 : -EIO;
}

int client_attribute(struct client *client, uint64_t node, const char *name, void *value, size_t *size)
{
	struct dw_request req = request(DW_REQUEST_NOWAIT);

	if (!client->fs->ops->getxattr)
		return -EOPNOTSUPP;
	return client->fs->ops->getxattr(client->fs, &req, node, name, value, size);
}

/* Ask for all attributes of a node and use every byte of them. */
static unsigned touch_attributes(struct client *client, uint64_t node)
{
	char *names = malloc(65537), *value = malloc(65536);
	char *rest = names, *one;
	unsigned sum = 0;

	if (client_attributes(client, node, 0, names, 65537))
		*names = 0;
	while ((one = strsep(&rest, "\n")) && *one) {
		size_t size = 65536;

		if (client_attribute(client, node, one, value, &size))
			size = 0;
		for (size_t i = 0; i < size; i++)
			sum += (unsigned char)value[i];
	}
	free(names);
	free(value);
	return sum;
}

#define BATCH 100u

/* Takes a few entries at a time, as the kernel does. */
struct listing {
	struct dw_listing listing;
	size_t count;
	uint64_t next;
	struct {
		char name[256];
		struct dw_entry entry;
	} item[BATCH];
};

static bool listing_add(struct dw_listing *base, const char *name, size_t length, uint64_t next,
			const struct dw_entry *entry)
{
	struct listing *listing = (struct listing *)base;

	if (listing->count == BATCH || length > 255)
		return false;
	memcpy(listing->item[listing->count].name, name, length);
	listing->item[listing->count].name[length] = 0;
	listing->item[listing->count].entry = *entry;
	listing->next = next;
	listing->count++;
	return true;
}

static int list_batch(struct client *client, uint64_t node, struct listing *listing)
{
	struct dw_request req = request(DW_REQUEST_NOWAIT);

	listing->count = 0;
	listing->listing = (struct dw_listing){.attributes = true, .add = listing_add};
	return client->fs->ops->readdir(client->fs, &req, node, 0, listing->next, &listing->listing);
}

int client_list(struct client *client, uint64_t node, char *buffer, size_t size)
{
	struct listing *listing = calloc(1, sizeof(*listing));
	int error;

	buffer[0] = 0;
	do {
		error = list_batch(client, node, listing);
		for (size_t i = 0; !error && i < listing->count; i++) {
			size_t used = strlen(buffer);

			snprintf(buffer + used, size - used, "%s\n", listing->item[i].name);
		}
	} while (!error && listing->count);
	free(listing);
	return error;
}

size_t client_walk(struct client *client, uint64_t folder, size_t limit, void *buffer, size_t buffer_size,
		   uint64_t most, size_t *errors)
{
	struct listing *listing = calloc(1, sizeof(*listing));
	size_t total = 0;

	do {
		if (list_batch(client, folder, listing))
			break;
		for (size_t i = 0; i < listing->count && total < limit; i++) {
			const struct dw_entry *entry = &listing->item[i].entry;
			uint64_t offset = 0;
			size_t got = 1;

			total++;
			if (buffer && client->fs->ops->listxattr)
				((volatile char *)buffer)[0] = (char)touch_attributes(client, entry->node);
			if ((entry->attr.mode & DW_MODE_TYPE) == DW_MODE_FOLDER)
				total += client_walk(client, entry->node, limit - total, buffer, buffer_size, most,
						     errors);
			while (buffer && (entry->attr.mode & DW_MODE_TYPE) == DW_MODE_FILE && got && offset < most) {
				if (client_read(client, entry->node, buffer, buffer_size, offset, &got)) {
					if (errors)
						(*errors)++;
					break;
				}
				offset += got;
			}
		}
	} while (listing->count && total < limit);
	free(listing);
	return total;
}

char *client_folder(void)
{
	const char *base = getenv("TMPDIR");
	char *folder;

	if (asprintf(&folder, "%s/driveway-archive.XXXXXX", base ? base : "/tmp") < 0 || !mkdtemp(folder))
		abort();
	return folder;
}

static int remove_one(const char *path, const struct stat *state, int type, struct FTW *place)
{
	return remove(path);
}

void client_remove(char *folder)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(folder);
}
