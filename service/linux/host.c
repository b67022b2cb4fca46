/* SPDX-License-Identifier: MIT */
/*
 * host.c - what a file system may ask of us (struct dw_host)
 *
 * Messages to the kernel go to the notifier, which takes them at any time; backing files to the channel; kept memory
 * and kept descriptors to the keeper.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service/linux/mapping.h"
#include "support/text.h"

static struct mapping *mapping_of(struct dw_host *host)
{
	return (struct mapping *)((char *)host - offsetof(struct mapping, host));
}

static void host_log(struct dw_host *host, int level, const char *message)
{
	struct mapping *mapping = mapping_of(host);

	if (level == LOG_LEVEL_ERROR)
		atomic_fetch_add(&mapping->errors, 1);
	log_write(&mapping->service->log, level, "%s: %s", mapping->drive.request->target, message);
}

static int host_invalidate_node(struct dw_host *host, uint64_t node, uint64_t offset, uint64_t length)
{
	return notifier_invalidate_node(mapping_of(host)->notifier, node, offset, length);
}

static int host_invalidate_entry(struct dw_host *host, uint64_t parent, const char *name, bool expire_only)
{
	return notifier_invalidate_entry(mapping_of(host)->notifier, parent, name, expire_only);
}

static int host_entry_deleted(struct dw_host *host, uint64_t parent, uint64_t child, const char *name)
{
	return notifier_entry_deleted(mapping_of(host)->notifier, parent, child, name);
}

static int host_poll_wake(struct dw_host *host, uint64_t wake)
{
	return notifier_poll_wake(mapping_of(host)->notifier, wake);
}

/* Backing files come from inside operations, which the channel outlives: serving needs no lock. */
static int host_backing_open(struct dw_host *host, int fd, uint32_t *id)
{
	struct mapping *mapping = mapping_of(host);

	return mapping->serving ? channel_backing_open(mapping->serving, fd, id) : -EOPNOTSUPP;
}

static int host_backing_close(struct dw_host *host, uint32_t id)
{
	struct mapping *mapping = mapping_of(host);

	return mapping->serving ? channel_backing_close(mapping->serving, id) : -EOPNOTSUPP;
}

static struct mapping_keep *find_keep(struct mapping *mapping, const char *name)
{
	for (size_t i = 0; i < mapping->keep_count; i++) {
		if (strcmp(mapping->keeps[i].name, name) == 0)
			return &mapping->keeps[i];
	}
	return NULL;
}

/* Ask the keeper for a region and map it as the next of keeps. */
static int add_keep(struct mapping *mapping, const char *name, uint64_t size, bool *fresh)
{
	struct mapping_keep *keep = &mapping->keeps[mapping->keep_count];
	int ret;

	if (mapping->keep_count == MAPPING_KEEPS_MAX)
		return -ENOSPC;
	if (!*name || !text_copy(keep->name, sizeof(keep->name), name))
		return -EINVAL;
	ret = keeper_client_keep(mapping->service->keeper, mapping->keeper_id, name, size, fresh, &keep->fd);
	if (ret)
		return ret;
	keep->address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, keep->fd, 0);
	if (keep->address == MAP_FAILED) {
		ret = -errno;
		close(keep->fd);
		return ret;
	}
	keep->size = size;
	mapping->keep_count++;
	return 0;
}

static int host_keep(struct dw_host *host, const char *name, uint64_t size, void **address, bool *fresh, int *fd)
{
	struct mapping *mapping = mapping_of(host);
	struct mapping_keep *keep;
	bool is_fresh = false;
	int ret = 0;

	pthread_mutex_lock(&mapping->keeps_lock);
	keep = find_keep(mapping, name);
	if (!keep) {
		ret = add_keep(mapping, name, size, &is_fresh);
		if (!ret)
			keep = &mapping->keeps[mapping->keep_count - 1];
	} else if (keep->size != size) {
		ret = -EINVAL;
	}
	if (!ret) {
		*address = keep->address;
		if (fresh)
			*fresh = is_fresh;
		if (fd)
			*fd = keep->fd;
	}
	pthread_mutex_unlock(&mapping->keeps_lock);
	return ret;
}

static int host_kept_fd_put(struct dw_host *host, uint64_t key, int fd)
{
	struct mapping *mapping = mapping_of(host);

	return keeper_client_fd_put(mapping->service->keeper, mapping->keeper_id, key, fd);
}

static int host_kept_fd_get(struct dw_host *host, uint64_t key, int *fd)
{
	struct mapping *mapping = mapping_of(host);

	return keeper_client_fd_get(mapping->service->keeper, mapping->keeper_id, key, fd);
}

static int host_kept_fd_drop(struct dw_host *host, uint64_t key)
{
	struct mapping *mapping = mapping_of(host);

	return keeper_client_fd_drop(mapping->service->keeper, mapping->keeper_id, key);
}

void host_prepare(struct mapping *mapping)
{
	mapping->host = (struct dw_host){
		.size = sizeof(struct dw_host),
		.log = host_log,
		.invalidate_node = host_invalidate_node,
		.invalidate_entry = host_invalidate_entry,
		.entry_deleted = host_entry_deleted,
		.poll_wake = host_poll_wake,
		.backing_open = host_backing_open,
		.backing_close = host_backing_close,
		.keep = host_keep,
		.kept_fd_put = host_kept_fd_put,
		.kept_fd_get = host_kept_fd_get,
		.kept_fd_drop = host_kept_fd_drop,
	};
}

void host_release(struct mapping *mapping)
{
	for (size_t i = 0; i < mapping->keep_count; i++) {
		munmap(mapping->keeps[i].address, mapping->keeps[i].size);
		close(mapping->keeps[i].fd);
	}
	mapping->keep_count = 0;
}
