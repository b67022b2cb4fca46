/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the provider `memory`: options, opening and closing; the drive's lock and transactions
 */
#include "filesystems/memory/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <unistd.h>
#endif

#define ARENA_KIND    0x4d454d31u /* "MEM1" */
#define SHAPE_VERSION 1u
#define SIZE_MIN      ((uint64_t)1 << 20)
/* Address space of the arena beyond the drive's size: its log, and room for transactions that free. */
#define ARENA_EXTRA ((uint64_t)64 << 20)
#define ARENA_MAX   ((uint64_t)64 << 30)
#define DAY_NS	    ((uint64_t)86400 * 1000000000u)
#define SPINS	    200

/* Chosen when the drive is made, and true for its whole life. */
struct shape {
	uint64_t limit;
	uint64_t nodes_max;
	uint32_t version; /* written last */
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
};

/* --- Lock and transactions --- */

/* Most holders let go within a microsecond, sooner than this thread could go to sleep. */
void memory_lock_shared(struct memory *memory)
{
	for (int i = 0; i < SPINS; i++)
		if (pthread_rwlock_tryrdlock(&memory->lock) == 0)
			return;
	pthread_rwlock_rdlock(&memory->lock);
}

void memory_lock_exclusive(struct memory *memory)
{
	for (int i = 0; i < SPINS; i++)
		if (pthread_rwlock_trywrlock(&memory->lock) == 0)
			return;
	pthread_rwlock_wrlock(&memory->lock);
}

void memory_unlock(struct memory *memory)
{
	pthread_rwlock_unlock(&memory->lock);
}

uint64_t memory_used(const struct memory *memory)
{
	return arena_used(memory->arena) + (memory->root->blocks_used + memory->promised) * BLOCK_SIZE;
}

void memory_begin(struct memory *memory)
{
	memory_lock_exclusive(memory);
	memory->used_before = memory_used(memory);
	memory->taken = false;
	arena_begin(memory->arena);
}

int memory_cancel(struct memory *memory, int error)
{
	arena_rollback(memory->arena);
	/* Blocks that were taken are free again, perhaps below the cursor. */
	if (memory->taken)
		memory->cursor = 0;
	memory_unlock(memory);
	return error;
}

int memory_finish(struct memory *memory, const struct dw_request *req, uint64_t result)
{
	uint64_t used = memory_used(memory);

	if (used > memory->limit && used > memory->used_before)
		return memory_cancel(memory, -ENOSPC);
	if (arena_used(memory->arena) > memory->used_peak)
		memory->used_peak = arena_used(memory->arena);
	else if (memory->used_peak - arena_used(memory->arena) > MEMORY_SLACK)
		memory->work = true;
	if (req) {
		volatile uint64_t *notes = req->notes->word;
		notes[1] = result;
		notes[0] = arena_sequence(memory->arena) + 1;
	}
	arena_commit(memory->arena);
	memory_unlock(memory);
	return 0;
}

bool memory_replayed(struct memory *memory, const struct dw_request *req, uint64_t *result)
{
	bool done;

	if (!(req->flags & DW_REQUEST_REPLAYED) || !req->notes->word[0])
		return false;
	memory_lock_shared(memory);
	done = arena_committed(memory->arena, req->notes->word[0]);
	memory_unlock(memory);
	*result = req->notes->word[1];
	return done;
}

struct dw_time memory_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (struct dw_time){.seconds = now.tv_sec, .nanoseconds = (uint32_t)now.tv_nsec};
}

/* --- Options --- */

static uint64_t physical_memory(void)
{
#ifdef _WIN32
	MEMORYSTATUSEX status = {.dwLength = sizeof(status)};

	return GlobalMemoryStatusEx(&status) ? status.ullTotalPhys : (uint64_t)1 << 30;
#else
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : (uint64_t)1 << 30;
#endif
}

static int parse_number(const char *text, int base, uint64_t *out, const char **end)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &stop, base);
	if (errno)
		return -EINVAL;
	*end = stop;
	return 0;
}

/* Bytes, with K, M, G or T behind, or a percentage of physical memory. */
static int parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	uint64_t number;
	const char *end;
	int error = parse_number(text, 10, &number, &end);

	if (error)
		return error;
	if (*end == '%') {
		if (end[1] || number > 100)
			return -EINVAL;
		*out = physical_memory() / 100 * number;
		return 0;
	}
	if (*end) {
		const char *unit = strchr(units, *end | 0x20);
		unsigned shift = unit ? 10u * (unsigned)(unit - units + 1) : 0;
		if (!shift || end[1] || number > UINT64_MAX >> shift)
			return -EINVAL;
		number <<= shift;
	}
	*out = number;
	return 0;
}

static int parse_u32(const char *text, int base, uint32_t maximum, uint32_t *out)
{
	uint64_t number;
	const char *end;
	int error = parse_number(text, base, &number, &end);

	if (error || *end || number > maximum)
		return -EINVAL;
	*out = (uint32_t)number;
	return 0;
}

static int parse_option(const struct dw_option *option, struct shape *shape, char *error, size_t error_size)
{
	uint64_t number;
	const char *end;
	int result = -EINVAL;

	if (!strcmp(option->key, "size")) {
		result = parse_size(option->value, &number);
		if (!result && (number < SIZE_MIN || number > MEMORY_SIZE_MAX))
			result = -EINVAL;
		if (!result)
			shape->limit = number;
		else
			snprintf(error, error_size,
				 "size=%s: give bytes from 1M to 8T, with K, M, G or T, or a percentage of memory",
				 option->value);
	} else if (!strcmp(option->key, "inodes")) {
		result = parse_number(option->value, 10, &number, &end);
		if (!result && (*end || number == 0))
			result = -EINVAL;
		if (!result)
			shape->nodes_max = number;
		else
			snprintf(error, error_size, "inodes=%s: give the largest number of files, 1 or more",
				 option->value);
	} else if (!strcmp(option->key, "mode")) {
		result = parse_u32(option->value, 8, 07777, &shape->mode);
		if (result)
			snprintf(error, error_size, "mode=%s: give the root folder's permissions in octal, such as 755",
				 option->value);
	} else if (!strcmp(option->key, "uid") || !strcmp(option->key, "gid")) {
		result = parse_u32(option->value, 10, UINT32_MAX - 1,
				   option->key[0] == 'u' ? &shape->uid : &shape->gid);
		if (result)
			snprintf(error, error_size, "%s=%s: give the root folder's owner as a number", option->key,
				 option->value);
	} else {
		snprintf(error, error_size, "unknown option %s; memory has size, inodes, mode, uid and gid",
			 option->key);
	}
	return result;
}

static int parse_source(const struct dw_source *source, struct shape *shape, char *error, size_t error_size)
{
	memset(shape, 0, sizeof(*shape));
	shape->limit = physical_memory() / 2;
	if (shape->limit > MEMORY_SIZE_MAX)
		shape->limit = MEMORY_SIZE_MAX;
	shape->mode = 0755;
#ifndef _WIN32
	shape->uid = (uint32_t)getuid();
	shape->gid = (uint32_t)getgid();
#endif
	if (source->rest && source->rest[0]) {
		snprintf(error, error_size, "memory: takes nothing behind the colon, but got \"%s\"", source->rest);
		return -EINVAL;
	}
	for (size_t i = 0; i < source->option_count; i++) {
		int result = parse_option(&source->options[i], shape, error, error_size);
		if (result)
			return result;
	}
	return 0;
}

/* --- Opening and closing --- */

/* What a new drive's arena holds at first: the root object and the root folder. */
static int make_drive(struct memory *memory, const struct shape *shape)
{
	struct dw_time now = memory_now();
	struct node *node;
	int error = -ENOSPC;

	arena_begin(memory->arena);
	arena_ref ref = arena_alloc(memory->arena, sizeof(struct root));
	if (!ref)
		goto fail;
	memory->root = at(memory, ref);
	memory->root->seed = ((uint64_t)now.seconds << 30 ^ now.nanoseconds ^ (uintptr_t)memory) * 0x9e3779b97f4a7c15u;
	memory->root->slabs = vector_create(memory);
	if (!memory->root->slabs)
		goto fail;
	error = names_create(memory);
	if (!error)
		error = blocks_create(memory);
	if (!error)
		error = node_create(memory, DW_MODE_FOLDER | shape->mode, shape->uid, shape->gid, &node);
	if (error)
		goto fail;
	node->nlink = 2;
	arena_set_root(memory->arena, ref);
	arena_commit(memory->arena);
	return 0;
fail:
	arena_rollback(memory->arena);
	return error;
}

static int keep(struct memory *memory, const char *name, uint64_t size, void **address, bool *fresh, int *fd,
		char *error, size_t error_size)
{
	int result = memory->host->keep(memory->host, name, size, address, fresh, fd);

	if (result && error_size && !error[0])
		snprintf(error, error_size, "cannot keep %llu bytes of memory for the drive's %s",
			 (unsigned long long)size, name);
	return result;
}

static int open_regions(struct memory *memory, const struct shape *wanted, char *error, size_t error_size)
{
	struct shape *shape;
	void *address;
	bool fresh;
	int result = keep(memory, "shape", 4096, &address, &fresh, NULL, error, error_size);

	if (result)
		return result;
	shape = address;
	if (!shape->version) {
		*shape = *wanted;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		shape->version = SHAPE_VERSION;
	}
	if (shape->version != SHAPE_VERSION)
		return -EINVAL;
	memory->limit = shape->limit;
	memory->nodes_max = shape->nodes_max;
	memory->block_count = (uint32_t)(shape->limit / BLOCK_SIZE);

	uint64_t arena_size = (shape->limit + ARENA_EXTRA + 65535u) & ~(uint64_t)65535u;
	if (arena_size > ARENA_MAX)
		arena_size = ARENA_MAX;
	result = keep(memory, "arena", arena_size, &address, &fresh, &memory->arena_fd, error, error_size);
	if (result)
		return result;
	result = arena_open(&memory->arena, address, arena_size, fresh, ARENA_KIND, NULL);
	if (result)
		return result;
	result = keep(memory, "data", (uint64_t)memory->block_count * BLOCK_SIZE, &address, &fresh, &memory->data_fd,
		      error, error_size);
	if (result)
		return result;
	memory->data = address;
	uint64_t dirty_size = ((uint64_t)memory->block_count + 63) / 64 * 8;
	result = keep(memory, "dirty", (dirty_size + 4095) & ~(uint64_t)4095, &address, &fresh, NULL, error,
		      error_size);
	if (result)
		return result;
	memory->dirty = address;
	if (!arena_root(memory->arena))
		return make_drive(memory, shape);
	memory->root = at(memory, arena_root(memory->arena));
	return 0;
}

static void memory_close(struct dw_filesystem *fs)
{
	struct memory *memory = memory_of(fs);

	if (memory->arena)
		arena_close(memory->arena);
	pthread_rwlock_destroy(&memory->lock);
	free(memory);
}

static const struct dw_filesystem_ops memory_ops = {
	.size = sizeof(struct dw_filesystem_ops),
	.close = memory_close,
	.lookup = memory_lookup,
	.forget = memory_forget,
	.getattr = memory_getattr,
	.setattr = memory_setattr,
	.statfs = memory_statfs,
	.readlink = memory_readlink,
	.mknod = memory_mknod,
	.mkdir = memory_mkdir,
	.unlink = memory_unlink,
	.rmdir = memory_rmdir,
	.rename = memory_rename,
	.link = memory_link,
	.symlink = memory_symlink,
	.open = memory_open,
	.create = memory_create,
	.tmpfile = memory_tmpfile,
	.read = memory_read,
	.write = memory_write,
	.release = memory_release,
	.opendir = memory_opendir,
	.releasedir = memory_release,
	.readdir = memory_readdir,
	.fallocate = memory_fallocate,
	.copy_file_range = memory_copy_file_range,
	.lseek = memory_lseek,
	.setxattr = memory_setxattr,
	.getxattr = memory_getxattr,
	.listxattr = memory_listxattr,
	.removexattr = memory_removexattr,
};

static int memory_open_provider(const struct dw_provider *provider, const struct dw_source *source,
				struct dw_host *host, struct dw_filesystem **out, char *error, size_t error_size)
{
	struct shape shape;
	struct memory *memory;
	int result = parse_source(source, &shape, error, error_size);

	if (result)
		return result;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	memory->host = host;
	memory->data_fd = -1;
	memory->arena_fd = -1;
	memory->base.size = sizeof(memory->base);
	memory->base.ops = &memory_ops;
	memory->base.flags = DW_FS_NOWAIT | DW_FS_PERSISTENT | DW_FS_ACL | DW_FS_CACHE_SYMLINKS |
			     DW_FS_INVALIDATES_DATA;
	if (source->read_only)
		memory->base.flags |= DW_FS_READ_ONLY;
	/* Nothing changes but through the kernel, so whatever it knows stays true. */
	memory->base.entry_timeout = DAY_NS;
	memory->base.attr_timeout = DAY_NS;
	memory->base.negative_timeout = DAY_NS;
	result = -pthread_rwlock_init(&memory->lock, NULL);
	if (result) {
		free(memory);
		return result;
	}
	result = open_regions(memory, &shape, error, error_size);
	if (result) {
		memory_close(&memory->base);
		return result;
	}
	blocks_recover(memory);
	*out = &memory->base;
	return 0;
}

const struct dw_provider memory_provider = {
	.size = sizeof(struct dw_provider),
	.version = DW_API_VERSION,
	.name = "memory",
	.summary = "files kept in memory until the drive is unmapped",
	.options =
		"size=largest size of names, attributes and contents: bytes with K, M, G or T, or N% of memory (50%)\n"
		"inodes=largest number of files and folders (no limit)\n"
		"mode=permissions of the root folder, octal (755)\n"
		"uid=owner of the root folder (who maps the drive)\n"
		"gid=group of the root folder (who maps the drive)",
	.open = memory_open_provider,
};
