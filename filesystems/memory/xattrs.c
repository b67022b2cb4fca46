/* SPDX-License-Identifier: MIT */
/*
 * xattrs.c - extended attributes
 *
 * A node's attributes stand in one object, one after another; a change makes a new object. Names begin with user.,
 * trusted., security., or are the two of POSIX ACLs, whose meaning acl.c knows.
 */
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

#define XATTR_NAME_MAX	255u
#define XATTR_VALUE_MAX 65536u
#define XATTR_LIST_MAX	65536u
#define ACL_VALUE_MAX	4096u

struct xattrs {
	uint32_t size;	/* of the whole object */
	uint32_t names; /* bytes of a list of all names */
	uint8_t entries[];
};

/* Before each name and value, which follow without padding. */
struct entry {
	uint32_t value_size;
	uint16_t name_size; /* without a NUL */
	uint16_t reserved;
};

static struct xattrs *xattrs_of(const struct memory *memory, const struct node *node)
{
	return node->xattrs ? at(memory, node->xattrs) : NULL;
}

static size_t entry_at(const struct xattrs *xattrs, size_t offset, struct entry *out)
{
	memcpy(out, xattrs->entries + offset, sizeof(*out));
	return sizeof(*out) + out->name_size + out->value_size;
}

static size_t entries_size(const struct xattrs *xattrs)
{
	return xattrs->size - sizeof(*xattrs);
}

/* Offset of the entry with this name, or the entries' size. */
static size_t find(const struct xattrs *xattrs, const char *name, struct entry *entry)
{
	size_t offset = 0, length = strlen(name);

	while (offset < entries_size(xattrs)) {
		size_t size = entry_at(xattrs, offset, entry);
		if (entry->name_size == length && !memcmp(xattrs->entries + offset + sizeof(*entry), name, length))
			break;
		offset += size;
	}
	return offset;
}

const void *xattr_find(const struct memory *memory, const struct node *node, const char *name, size_t *size)
{
	const struct xattrs *xattrs = xattrs_of(memory, node);
	struct entry entry;

	if (!xattrs)
		return NULL;
	size_t offset = find(xattrs, name, &entry);
	if (offset == entries_size(xattrs))
		return NULL;
	*size = entry.value_size;
	return xattrs->entries + offset + sizeof(entry) + entry.name_size;
}

void xattrs_free(struct memory *memory, struct node *node)
{
	if (!node->xattrs)
		return;
	arena_free(memory->arena, node->xattrs, xattrs_of(memory, node)->size);
	SAVE(memory, &node->xattrs);
	node->xattrs = 0;
}

static uint32_t flag_of(const char *name)
{
	if (!strcmp(name, XATTR_CAPABILITY))
		return NODE_HAS_CAPABILITY;
	if (!strcmp(name, XATTR_ACCESS_ACL))
		return NODE_HAS_ACCESS_ACL;
	if (!strcmp(name, XATTR_DEFAULT_ACL))
		return NODE_HAS_DEFAULT_ACL;
	return 0;
}

int xattr_store(struct memory *memory, struct node *node, const char *name, const void *value, size_t size)
{
	const struct xattrs *old = xattrs_of(memory, node);
	size_t length = strlen(name), old_size = old ? entries_size(old) : 0, skip = old_size, skip_size = 0;
	size_t names = old ? old->names : 0;
	struct entry entry;
	arena_ref ref = 0;

	if (old)
		skip = find(old, name, &entry);
	if (skip < old_size) {
		skip_size = sizeof(entry) + entry.name_size + entry.value_size;
		names -= length + 1;
	}
	size_t kept = old_size - skip_size, added = value ? sizeof(entry) + length + size : 0;
	if (value)
		names += length + 1;
	if (names > XATTR_LIST_MAX)
		return -ENOSPC;
	if (kept + added) {
		ref = arena_alloc(memory->arena, sizeof(struct xattrs) + kept + added);
		if (!ref)
			return -ENOSPC;
		struct xattrs *new = at(memory, ref);
		new->size = (uint32_t)(sizeof(*new) + kept + added);
		new->names = (uint32_t)names;
		if (old) {
			memcpy(new->entries, old->entries, skip);
			memcpy(new->entries + skip, old->entries + skip + skip_size, kept - skip);
		}
		if (value) {
			entry = (struct entry){.value_size = (uint32_t)size, .name_size = (uint16_t)length};
			memcpy(new->entries + kept, &entry, sizeof(entry));
			memcpy(new->entries + kept + sizeof(entry), name, length);
			memcpy(new->entries + kept + sizeof(entry) + length, value, size);
		}
	}
	xattrs_free(memory, node);
	SAVE(memory, node);
	node->xattrs = ref;
	node->flags = value ? node->flags | flag_of(name) : node->flags & ~flag_of(name);
	return 0;
}

/* -EOPNOTSUPP for a name outside the known families, -EINVAL for one that is nothing but its family: xattr(7). */
static int check_name(const char *name)
{
	static const char *const families[] = {"user.", "trusted.", "security."};

	if (strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (!strcmp(name, XATTR_ACCESS_ACL) || !strcmp(name, XATTR_DEFAULT_ACL))
		return 0;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		size_t length = strlen(families[i]);

		if (!strncmp(name, families[i], length))
			return name[length] ? 0 : -EINVAL;
	}
	return -EOPNOTSUPP;
}

/* An ACL: what it says of the mode goes into the mode, and is not stored if it says no more than that. */
static int store_acl(struct memory *memory, struct node *node, const char *name, const void *value, size_t size,
		     uint32_t flags)
{
	bool is_access = !strcmp(name, XATTR_ACCESS_ACL), minimal;
	uint32_t mode = node->mode;

	if (node_is(node, DW_MODE_LINK))
		return -EOPNOTSUPP;
	if (!is_access && !node_is(node, DW_MODE_FOLDER))
		return -EACCES;
	if (size > ACL_VALUE_MAX)
		return -E2BIG;
	int error = acl_to_mode(value, size, &mode, &minimal);
	if (error)
		return error;
	if (!is_access)
		return xattr_store(memory, node, name, value, size);
	if (flags & DW_XATTR_KILL_SGID)
		mode &= ~DW_MODE_SETGID;
	SAVE(memory, &node->mode);
	node->mode = mode;
	if (!minimal)
		return xattr_store(memory, node, name, value, size);
	return node->flags & NODE_HAS_ACCESS_ACL ? xattr_store(memory, node, name, NULL, 0) : 0;
}

int memory_setxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, const char *name,
		    const void *value, size_t size, uint32_t flags)
{
	struct memory *memory = memory_of(fs);
	size_t old_size;
	uint64_t nothing;
	int error = check_name(name);

	if (error)
		return error;
	if (size > XATTR_VALUE_MAX)
		return -E2BIG;
	if (memory_replayed(memory, req, &nothing))
		return 0;
	memory_begin(memory);
	struct node *node = node_find(memory, id);
	if (!node)
		return memory_cancel(memory, -ESTALE);
	bool exists = xattr_find(memory, node, name, &old_size);
	if (flags & DW_XATTR_CREATE && exists)
		error = -EEXIST;
	else if (flags & DW_XATTR_REPLACE && !exists)
		error = -ENODATA;
	else if (flag_of(name) & (NODE_HAS_ACCESS_ACL | NODE_HAS_DEFAULT_ACL))
		error = store_acl(memory, node, name, value, size, flags);
	else
		error = xattr_store(memory, node, name, size ? value : "", size);
	if (error)
		return memory_cancel(memory, error);
	node_touch(memory, node, 1u << TIME_CHANGE);
	return memory_finish(memory, req, 0);
}

int memory_getxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, const char *name, void *value,
		    size_t *size)
{
	struct memory *memory = memory_of(fs);
	size_t length;
	int error = check_name(name);

	if (error)
		return error;
	memory_lock_shared(memory);
	const struct node *node = node_find(memory, id);
	const void *found = node ? xattr_find(memory, node, name, &length) : NULL;
	if (!node)
		error = -ESTALE;
	else if (!found)
		error = -ENODATA;
	else if (*size && *size < length)
		error = -ERANGE;
	else if (*size)
		memcpy(value, found, length);
	if (!error)
		*size = length;
	memory_unlock(memory);
	return error;
}

int memory_listxattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, char *list, size_t *size)
{
	struct memory *memory = memory_of(fs);
	size_t room = *size, used = 0;
	int error = 0;

	memory_lock_shared(memory);
	const struct node *node = node_find(memory, id);
	const struct xattrs *xattrs = node ? xattrs_of(memory, node) : NULL;
	if (!node)
		error = -ESTALE;
	for (size_t offset = 0; xattrs && !error && offset < entries_size(xattrs);) {
		struct entry entry;
		const char *name = (const char *)xattrs->entries + offset + sizeof(entry);
		offset += entry_at(xattrs, offset, &entry);
		/* Only the administrator sees these. */
		if (req->uid != 0 && entry.name_size >= 8 && !memcmp(name, "trusted.", 8))
			continue;
		if (room && used + entry.name_size + 1u > room) {
			error = -ERANGE;
		} else if (room) {
			memcpy(list + used, name, entry.name_size);
			list[used + entry.name_size] = 0;
		}
		used += entry.name_size + 1u;
	}
	memory_unlock(memory);
	if (!error)
		*size = used;
	return error;
}

int memory_removexattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t id, const char *name)
{
	struct memory *memory = memory_of(fs);
	size_t size;
	uint64_t nothing;
	int error = check_name(name);

	if (error)
		return error;
	if (memory_replayed(memory, req, &nothing))
		return 0;
	memory_begin(memory);
	struct node *node = node_find(memory, id);
	if (!node)
		return memory_cancel(memory, -ESTALE);
	/* To take away an ACL that is not there is to set the trivial one. */
	if (!xattr_find(memory, node, name, &size))
		return memory_cancel(memory,
				     flag_of(name) & (NODE_HAS_ACCESS_ACL | NODE_HAS_DEFAULT_ACL) ? 0 : -ENODATA);
	error = xattr_store(memory, node, name, NULL, 0);
	if (error)
		return memory_cancel(memory, error);
	node_touch(memory, node, 1u << TIME_CHANGE);
	return memory_finish(memory, req, 0);
}
