/* SPDX-License-Identifier: MIT */
/*
 * acl.c - POSIX ACLs and the mode
 *
 * The kernel checks access by ACLs and stores them as extended attributes; left to the file system is that mode and
 * ACL say the same, and that a new node inherits its folder's default ACL.
 *
 * As an attribute's value an ACL is a 32-bit version, 2, and entries of tag, permissions and id (16, 16 and 32 bits),
 * all little-endian.
 */
#include <errno.h>
#include <string.h>

#include "filesystems/memory/memory.h"

#define ACL_VERSION   2u
#define ACL_VALUE_MAX 4096u

enum acl_tag { TAG_OWNER = 1, TAG_USER = 2, TAG_GROUP_OWNER = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

#define HEADER_SIZE 4u
#define ENTRY_SIZE  8u

static uint32_t get16(const uint8_t *from)
{
	return from[0] | (uint32_t)from[1] << 8;
}

static void put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
}

static size_t entry_count(size_t size)
{
	return (size - HEADER_SIZE) / ENTRY_SIZE;
}

/* Where the permissions stand of the first entry with this tag; NULL: there is none. */
static uint8_t *permissions_of(void *value, size_t size, enum acl_tag tag)
{
	uint8_t *entry = (uint8_t *)value + HEADER_SIZE;

	for (size_t i = 0; i < entry_count(size); i++, entry += ENTRY_SIZE)
		if (get16(entry) == (uint32_t)tag)
			return entry + 2;
	return NULL;
}

int acl_to_mode(const void *value, size_t size, uint32_t *mode, bool *minimal)
{
	const uint8_t *bytes = value, *entry = bytes + HEADER_SIZE;
	uint32_t seen = 0, owner = 0, group = 0, mask = 0, other = 0;

	if (size < HEADER_SIZE || (size - HEADER_SIZE) % ENTRY_SIZE || get16(bytes) != ACL_VERSION || get16(bytes + 2))
		return -EINVAL;
	for (size_t i = 0; i < entry_count(size); i++, entry += ENTRY_SIZE) {
		uint32_t tag = get16(entry), permissions = get16(entry + 2);
		if (permissions > 7)
			return -EINVAL;
		if (tag != TAG_USER && tag != TAG_GROUP && seen & tag)
			return -EINVAL;
		seen |= tag;
		if (tag == TAG_OWNER)
			owner = permissions;
		else if (tag == TAG_GROUP_OWNER)
			group = permissions;
		else if (tag == TAG_MASK)
			mask = permissions;
		else if (tag == TAG_OTHER)
			other = permissions;
		else if (tag != TAG_USER && tag != TAG_GROUP)
			return -EINVAL;
	}
	if ((seen & (TAG_OWNER | TAG_GROUP_OWNER | TAG_OTHER)) != (TAG_OWNER | TAG_GROUP_OWNER | TAG_OTHER))
		return -EINVAL;
	if (seen & (TAG_USER | TAG_GROUP) && !(seen & TAG_MASK))
		return -EINVAL;
	*minimal = !(seen & (TAG_USER | TAG_GROUP | TAG_MASK));
	*mode = (*mode & ~0777u) | owner << 6 | (seen & TAG_MASK ? mask : group) << 3 | other;
	return 0;
}

/* The entry that stands for the group bits of the mode. */
static uint8_t *group_permissions(void *value, size_t size)
{
	uint8_t *mask = permissions_of(value, size, TAG_MASK);

	return mask ? mask : permissions_of(value, size, TAG_GROUP_OWNER);
}

void acl_apply_mode(void *value, size_t size, uint32_t mode)
{
	put16(permissions_of(value, size, TAG_OWNER), mode >> 6 & 7);
	put16(group_permissions(value, size), mode >> 3 & 7);
	put16(permissions_of(value, size, TAG_OTHER), mode & 7);
}

int acl_inherit(struct memory *memory, const struct node *parent, struct node *node, uint32_t mode, uint32_t umask)
{
	uint8_t acl[ACL_VALUE_MAX];
	size_t size = 0;
	const void *inherited = parent->flags & NODE_HAS_DEFAULT_ACL
					? xattr_find(memory, parent, XATTR_DEFAULT_ACL, &size)
					: NULL;
	bool minimal;
	int error;

	if (!inherited) {
		node->mode = mode & ~(umask & 0777);
		return 0;
	}
	memcpy(acl, inherited, size);
	/* What both the default ACL and the program allow. */
	uint8_t *owner = permissions_of(acl, size, TAG_OWNER), *other = permissions_of(acl, size, TAG_OTHER);
	uint8_t *group = group_permissions(acl, size);
	put16(owner, get16(owner) & (mode >> 6));
	put16(group, get16(group) & (mode >> 3));
	put16(other, get16(other) & mode);
	error = acl_to_mode(acl, size, &mode, &minimal);
	if (error)
		return error;
	node->mode = mode;
	if (!minimal)
		error = xattr_store(memory, node, XATTR_ACCESS_ACL, acl, size);
	if (!error && node_is(node, DW_MODE_FOLDER))
		error = xattr_store(memory, node, XATTR_DEFAULT_ACL, inherited, size);
	return error;
}

int node_kill_privileges(struct memory *memory, struct node *node, bool ids)
{
	if (ids && node->mode & (DW_MODE_SETUID | DW_MODE_SETGID)) {
		SAVE(memory, &node->mode);
		node->mode &= ~DW_MODE_SETUID;
		if (node->mode & 010)
			node->mode &= ~DW_MODE_SETGID;
	}
	return node->flags & NODE_HAS_CAPABILITY ? xattr_store(memory, node, XATTR_CAPABILITY, NULL, 0) : 0;
}
