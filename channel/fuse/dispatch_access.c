/* SPDX-License-Identifier: MIT */
/*
 * access(2) and chdir(2) on a drive whose permissions the kernel does not check (no default_permissions): what mode and
 * ACL say, as path_resolution(7) and acl(5) have it. With default_permissions the kernel never asks.
 *
 * The caller is the user who mapped the drive (others cannot reach it), and so is the service: its groups are
 * the caller's.
 *
 * An ACL comes as the value of an extended attribute: a 32-bit version, 2, and entries of tag, permissions and
 * id (16, 16 and 32 bits), little-endian. As in the kernel it counts only where the mode's group bits, which are its
 * mask, are not all clear.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "request.h"

#define GROUPS_MAX   1024 /* of one user that are looked at */
#define ACL_NAME     "system.posix_acl_access"
#define ACL_VERSION  2u
#define ACL_SIZE_MAX 4096u

enum acl_tag { TAG_OWNER = 1, TAG_USER = 2, TAG_GROUP_OWNER = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

struct acl_entry {
	uint16_t tag;
	uint16_t permissions;
	uint32_t id;
};

struct acl {
	uint32_t version;
	struct acl_entry entries[(ACL_SIZE_MAX - sizeof(uint32_t)) / sizeof(struct acl_entry)];
};

static bool in_group(const struct call *call, uint32_t group)
{
	gid_t groups[GROUPS_MAX];
	int count;

	if (call->req.gid == group)
		return true;
	count = getgroups(GROUPS_MAX, groups);
	for (int i = 0; i < count; i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* The ACL of the message's node; *count 0: it has none that we understand. 0 or -EAGAIN. */
static int read_acl(struct call *call, struct acl *acl, size_t *count)
{
	size_t size = sizeof(*acl);
	struct scratch scratch;
	int error;

	*count = 0;
	if (!(call->drive->fs->flags & DW_FS_ACL) || !CALL_OPS(call)->getxattr)
		return 0;
	error = CALL_OPS(call)->getxattr(CALL_FS(call), call_scratch(call, &scratch), call->message.node, ACL_NAME, acl,
					 &size);
	if (error == -EAGAIN)
		return error;
	if (!error && size >= sizeof(acl->version) && size <= sizeof(*acl) && le32toh(acl->version) == ACL_VERSION)
		*count = (size - sizeof(acl->version)) / sizeof(acl->entries[0]);
	return 0;
}

/* What an ACL grants to somebody who is not the owner; other: what the mode grants to everybody else. */
static bool acl_grants(const struct call *call, const struct acl *acl, size_t count, uint32_t file_group,
		       uint32_t other, uint32_t wanted)
{
	uint32_t mask = 07, user = 0;
	bool is_user = false, is_member = false, member_granted = false;

	for (size_t i = 0; i < count; i++) {
		const struct acl_entry *entry = &acl->entries[i];
		uint32_t permissions = le16toh(entry->permissions), id = le32toh(entry->id);

		switch (le16toh(entry->tag)) {
		case TAG_MASK:
			mask = permissions;
			break;
		case TAG_USER:
			if (id == call->req.uid) {
				is_user = true;
				user = permissions;
			}
			break;
		case TAG_GROUP_OWNER:
			id = file_group;
			__attribute__((fallthrough));
		case TAG_GROUP:
			if (in_group(call, id)) {
				is_member = true;
				member_granted |= (wanted & ~permissions) == 0;
			}
			break;
		default:
			break;
		}
	}
	if (is_user)
		return (wanted & ~(user & mask)) == 0;
	if (is_member)
		return member_granted && (wanted & ~mask) == 0;
	return (wanted & ~other) == 0;
}

static bool mode_grants(const struct call *call, const struct dw_attr *attr, uint32_t wanted)
{
	uint32_t granted;

	if (call->req.uid == 0)
		granted = 06 | ((attr->mode & 0111) || (attr->mode & DW_MODE_TYPE) == DW_MODE_FOLDER ? 01u : 0u);
	else if (call->req.uid == attr->uid)
		granted = attr->mode >> 6 & 07;
	else if (in_group(call, attr->gid))
		granted = attr->mode >> 3 & 07;
	else
		granted = attr->mode & 07;
	return (wanted & ~granted) == 0;
}

int dispatch_access(struct call *call)
{
	uint32_t wanted = call->message.in.access.mask & 07;
	struct dw_attr attr;
	struct acl acl;
	uint64_t timeout;
	size_t count = 0;
	int error = call_attr(call, 0, 0, &attr, &timeout);

	if (error)
		return error;
	if ((wanted & 02) && call->drive->read_only)
		return -EROFS;
	if (call->req.uid != 0 && call->req.uid != attr.uid && (attr.mode & 070)) {
		error = read_acl(call, &acl, &count);
		if (error)
			return error;
	}
	if (count ? !acl_grants(call, &acl, count, attr.gid, attr.mode & 07, wanted)
		  : !mode_grants(call, &attr, wanted))
		return -EACCES;
	reply_empty(call);
	return 0;
}
