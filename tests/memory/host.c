/* SPDX-License-Identifier: MIT */
#include "tests/memory/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int host_keep(struct dw_host *base, const char *name, uint64_t size, void **address, bool *fresh, int *fd)
{
	struct host *host = (struct host *)base;
	struct host_region *region = host_find(host, name);

	*fresh = !region;
	if (!region) {
		if (host->count == HOST_REGIONS)
			return -ENOSPC;
		region = &host->regions[host->count];
		snprintf(region->name, sizeof(region->name), "%s", name);
		region->size = size;
		region->fd = memfd_create(name, MFD_CLOEXEC);
		if (region->fd < 0 || ftruncate(region->fd, (off_t)size) < 0)
			return -errno;
		region->address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, region->fd, 0);
		if (region->address == MAP_FAILED)
			return -errno;
		host->count++;
	}
	if (region->size != size)
		return -EINVAL;
	*address = region->address;
	if (fd)
		*fd = region->fd;
	return 0;
}

static void host_log(struct dw_host *host, int level, const char *message)
{
	fprintf(stderr, "log %d: %s\n", level, message);
}

void host_create(struct host *host)
{
	memset(host, 0, sizeof(*host));
	host->host.size = sizeof(host->host);
	host->host.log = host_log;
	host->host.keep = host_keep;
}

void host_destroy(struct host *host)
{
	for (unsigned i = 0; i < host->count; i++) {
		munmap(host->regions[i].address, host->regions[i].size);
		close(host->regions[i].fd);
	}
	host->count = 0;
}

struct host_region *host_find(struct host *host, const char *name)
{
	for (unsigned i = 0; i < host->count; i++)
		if (!strcmp(host->regions[i].name, name))
			return &host->regions[i];
	return NULL;
}

int host_try_open(struct host *host, struct dw_filesystem **out, char *error, size_t error_size,
		  const struct dw_option *options, size_t count)
{
	struct dw_source source = {
		.size = sizeof(source), .rest = "", .cache = "", .options = options, .option_count = count};

	error[0] = 0;
	return memory_provider.open(&memory_provider, &source, &host->host, out, error, error_size);
}

struct dw_filesystem *host_open(struct host *host, ...)
{
	struct dw_option options[8];
	struct dw_filesystem *fs = NULL;
	char error[256];
	size_t count = 0;
	va_list list;

	va_start(list, host);
	for (const char *key; (key = va_arg(list, const char *)); count++)
		options[count] = (struct dw_option){.key = key, .value = va_arg(list, const char *)};
	va_end(list);
	int result = host_try_open(host, &fs, error, sizeof(error), options, count);
	if (result)
		fail_msg("open: %d %s", result, error);
	return fs;
}

struct dw_request *request_new(struct request *request)
{
	static const uint32_t not_interrupted;

	memset(request, 0, sizeof(*request));
	request->req = (struct dw_request){
		.size = sizeof(request->req), .notes = &request->notes, .interrupted = &not_interrupted};
	return &request->req;
}

int do_lookup(struct dw_filesystem *fs, uint64_t parent, const char *name, struct dw_entry *out)
{
	struct request r;

	return fs->ops->lookup(fs, request_new(&r), parent, name, out);
}

int do_mkdir(struct dw_filesystem *fs, uint64_t parent, const char *name, uint32_t mode, struct dw_entry *out)
{
	struct request r;

	return fs->ops->mkdir(fs, request_new(&r), parent, name, mode, out);
}

int do_create(struct dw_filesystem *fs, uint64_t parent, const char *name, uint32_t mode, struct dw_entry *out)
{
	struct request r;
	struct dw_open open;

	return fs->ops->create(fs, request_new(&r), parent, name, mode, DW_O_RDWR, out, &open);
}

int do_unlink(struct dw_filesystem *fs, uint64_t parent, const char *name)
{
	struct request r;

	return fs->ops->unlink(fs, request_new(&r), parent, name);
}

int do_rmdir(struct dw_filesystem *fs, uint64_t parent, const char *name)
{
	struct request r;

	return fs->ops->rmdir(fs, request_new(&r), parent, name);
}

int do_rename(struct dw_filesystem *fs, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
	      uint32_t flags)
{
	struct request r;

	return fs->ops->rename(fs, request_new(&r), parent, name, new_parent, new_name, flags);
}

int do_link(struct dw_filesystem *fs, uint64_t node, uint64_t parent, const char *name, struct dw_entry *out)
{
	struct request r;

	return fs->ops->link(fs, request_new(&r), node, parent, name, out);
}

void do_forget(struct dw_filesystem *fs, uint64_t node, uint64_t count)
{
	struct request r;
	struct dw_forget forget = {.node = node, .count = count};

	fs->ops->forget(fs, request_new(&r), &forget, 1);
}

int do_getattr(struct dw_filesystem *fs, uint64_t node, struct dw_attr *out)
{
	struct request r;
	uint64_t timeout = DW_TIMEOUT_DEFAULT;

	return fs->ops->getattr(fs, request_new(&r), node, DW_NO_HANDLE, out, &timeout);
}

int do_setattr(struct dw_filesystem *fs, uint64_t node, const struct dw_setattr *in, struct dw_attr *out)
{
	struct request r;

	return fs->ops->setattr(fs, request_new(&r), node, DW_NO_HANDLE, in, out);
}

int do_truncate(struct dw_filesystem *fs, uint64_t node, uint64_t size)
{
	struct dw_setattr in = {.valid = DW_SET_SIZE, .size = size};
	struct dw_attr out;

	return do_setattr(fs, node, &in, &out);
}

int64_t do_write(struct dw_filesystem *fs, uint64_t node, const void *buffer, size_t size, uint64_t offset)
{
	struct request r;
	size_t done = 0;
	int error = fs->ops->write(fs, request_new(&r), node, DW_O_RDWR, buffer, size, offset, 0, &done);

	return error ? error : (int64_t)done;
}

int64_t do_read(struct dw_filesystem *fs, uint64_t node, void *buffer, size_t size, uint64_t offset)
{
	struct request r;
	size_t done = 0;
	int error = fs->ops->read(fs, request_new(&r), node, DW_O_RDWR, buffer, size, offset, &done);

	return error ? error : (int64_t)done;
}

int do_fallocate(struct dw_filesystem *fs, uint64_t node, uint64_t offset, uint64_t length, uint32_t flags)
{
	struct request r;

	return fs->ops->fallocate(fs, request_new(&r), node, DW_O_RDWR, offset, length, flags);
}

struct dw_statfs do_statfs(struct dw_filesystem *fs)
{
	struct request r;
	struct dw_statfs out = {0};

	assert_int_equal(fs->ops->statfs(fs, request_new(&r), DW_NODE_ROOT, &out), 0);
	return out;
}

static bool collect(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		    const struct dw_entry *entry)
{
	struct collector *collector = (struct collector *)listing;

	if (collector->count == collector->room)
		return false;
	struct listed *listed = &collector->entries[collector->count++];
	memcpy(listed->name, name, length);
	listed->name[length] = 0;
	listed->next = next;
	listed->node = listing->attributes ? entry->node : 0;
	if (listing->attributes)
		listed->attr = entry->attr;
	else
		listed->attr = (struct dw_attr){.mode = entry->attr.mode, .ino = entry->attr.ino};
	return true;
}

int do_readdir(struct dw_filesystem *fs, uint64_t node, uint64_t offset, bool attributes, struct collector *collector)
{
	struct request r;

	collector->listing = (struct dw_listing){.attributes = attributes, .add = collect};
	collector->count = 0;
	return fs->ops->readdir(fs, request_new(&r), node, 0, offset, &collector->listing);
}

struct collector collector_new(size_t room)
{
	struct collector collector = {.room = room, .entries = malloc(room * sizeof(struct listed))};

	assert_non_null(collector.entries);
	return collector;
}

void collector_free(struct collector *collector)
{
	free(collector->entries);
}
