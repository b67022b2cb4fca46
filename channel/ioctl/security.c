/* SPDX-License-Identifier: MIT */
#include "channel/ioctl/security.h"

#include <string.h>

#include "channel/ioctl/nt.h"

#define HEADER_SIZE 20u /* SECURITY_DESCRIPTOR_RELATIVE */
#define ACL_SIZE    8u
#define ACE_SIZE    8u /* without the SID */
#define UNIX_USERS  1u
#define UNIX_GROUPS 2u

#define OWNER_ALWAYS                                                                                                   \
	(DELETE | READ_CONTROL | WRITE_DAC | WRITE_OWNER | SYNCHRONIZE | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES)
#define OTHERS_ALWAYS (READ_CONTROL | SYNCHRONIZE | FILE_READ_ATTRIBUTES)

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value & 0xffff);
	put16(p + 2, value >> 16);
}

/* --- SIDs --- */

bool sid_read(const void *bytes, size_t size, struct sid *out)
{
	const uint8_t *p = bytes;

	if (size < 8 || p[0] != 1 || p[1] > 15 || size < 8 + 4u * p[1])
		return false;
	out->size = 8 + 4u * p[1];
	memcpy(out->bytes, p, out->size);
	return true;
}

static struct sid sid_unix(uint32_t kind, uint32_t id)
{
	struct sid sid = {.size = 16, .bytes = {1, 2, 0, 0, 0, 0, 0, 22}};

	put32(sid.bytes + 8, kind);
	put32(sid.bytes + 12, id);
	return sid;
}

static const struct sid everyone = {.size = 12, .bytes = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}};

static bool sid_same(const struct sid *a, const struct sid *b)
{
	return a->size == b->size && !memcmp(a->bytes, b->bytes, a->size);
}

static struct sid sid_of_user(const struct security_owner *owner, uint32_t uid)
{
	return uid == owner->uid && owner->user.size ? owner->user : sid_unix(UNIX_USERS, uid);
}

static struct sid sid_of_group(const struct security_owner *owner, uint32_t gid)
{
	return gid == owner->gid && owner->group.size ? owner->group : sid_unix(UNIX_GROUPS, gid);
}

static bool id_of(const struct sid *sid, uint32_t kind, uint32_t own_id, const struct sid *own, uint32_t *out)
{
	uint32_t id = sid->size == 16 ? get32(sid->bytes + 12) : UINT32_MAX;
	struct sid expected = sid_unix(kind, id);

	if (own->size && sid_same(sid, own)) {
		*out = own_id;
		return true;
	}
	/* The last number is no id: it says "unchanged" in POSIX. */
	if (id == UINT32_MAX || !sid_same(sid, &expected))
		return false;
	*out = id;
	return true;
}

/* --- Building --- */

static uint32_t rights(uint32_t bits, bool is_folder)
{
	uint32_t mask = 0;

	if (bits & 4)
		mask |= FILE_GENERIC_READ;
	if (bits & 2)
		mask |= FILE_GENERIC_WRITE | (is_folder ? FILE_DELETE_CHILD : 0);
	if (bits & 1)
		mask |= FILE_GENERIC_EXECUTE;
	return mask;
}

/* What is refused to keep bits away: nothing that others of the three share. */
static uint32_t refused(uint32_t bits, bool is_folder)
{
	uint32_t mask = 0;

	if (bits & 4)
		mask |= FILE_READ_DATA | FILE_READ_EA;
	if (bits & 2)
		mask |= FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_EA | (is_folder ? FILE_DELETE_CHILD : 0);
	if (bits & 1)
		mask |= FILE_EXECUTE;
	return mask;
}

static size_t put_ace(uint8_t *out, uint8_t type, uint32_t mask, const struct sid *sid)
{
	out[0] = type;
	out[1] = 0;
	put16(out + 2, ACE_SIZE + sid->size);
	put32(out + 4, mask);
	memcpy(out + ACE_SIZE, sid->bytes, sid->size);
	return ACE_SIZE + sid->size;
}

static size_t put_acl(uint8_t *out, const struct sid *user, const struct sid *group, uint32_t mode, bool is_folder)
{
	uint32_t mine = mode >> 6 & 7, ours = mode >> 3 & 7, theirs = mode & 7;
	size_t size = ACL_SIZE;
	unsigned count = 3;

	if ((ours | theirs) & ~mine) {
		size += put_ace(out + size, ACE_DENIED, refused((ours | theirs) & ~mine, is_folder), user);
		count++;
	}
	size += put_ace(out + size, ACE_ALLOWED, rights(mine, is_folder) | OWNER_ALWAYS, user);
	if (theirs & ~ours) {
		size += put_ace(out + size, ACE_DENIED, refused(theirs & ~ours, is_folder), group);
		count++;
	}
	size += put_ace(out + size, ACE_ALLOWED, rights(ours, is_folder) | OTHERS_ALWAYS, group);
	size += put_ace(out + size, ACE_ALLOWED, rights(theirs, is_folder) | OTHERS_ALWAYS, &everyone);
	put16(out, ACL_REVISION);
	put16(out + 2, (uint32_t)size);
	put16(out + 4, count);
	put16(out + 6, 0);
	return size;
}

size_t security_build(const struct security_owner *owner, const struct security *from, bool is_folder,
		      uint32_t information, uint8_t out[SECURITY_SIZE_MAX])
{
	struct sid user = sid_of_user(owner, from->uid), group = sid_of_group(owner, from->gid);
	uint32_t control = SE_SELF_RELATIVE;
	size_t size = HEADER_SIZE;

	memset(out, 0, HEADER_SIZE);
	out[0] = 1;
	if (information & OWNER_SECURITY_INFORMATION) {
		put32(out + 4, (uint32_t)size);
		memcpy(out + size, user.bytes, user.size);
		size += user.size;
	}
	if (information & GROUP_SECURITY_INFORMATION) {
		put32(out + 8, (uint32_t)size);
		memcpy(out + size, group.bytes, group.size);
		size += group.size;
	}
	if (information & DACL_SECURITY_INFORMATION) {
		control |= SE_DACL_PRESENT;
		put32(out + 16, (uint32_t)size);
		size += put_acl(out + size, &user, &group, from->mode, is_folder);
	}
	put16(out + 2, control);
	return size;
}

/* --- Parsing --- */

/* rwx that the list gives to who has these SIDs. */
static uint32_t granted(const uint8_t *acl, const struct sid *who, bool with_everyone)
{
	static const uint32_t needs[3] = {FILE_EXECUTE, FILE_WRITE_DATA, FILE_READ_DATA};
	uint32_t allowed = 0, denied = 0, bits = 0;
	size_t at = ACL_SIZE;

	for (unsigned left = get16(acl + 4); left; left--, at += get16(acl + at + 2)) {
		const uint8_t *ace = acl + at;
		uint32_t mask;
		struct sid sid;

		if (ace[0] > ACE_DENIED || (ace[1] & INHERIT_ONLY_ACE))
			continue;
		if (!sid_read(ace + ACE_SIZE, get16(ace + 2) - ACE_SIZE, &sid) ||
		    (!sid_same(&sid, who) && !(with_everyone && sid_same(&sid, &everyone))))
			continue;
		mask = get32(ace + 4);
		if (mask & GENERIC_ALL)
			mask |= FILE_ALL_ACCESS;
		if (mask & GENERIC_READ)
			mask |= FILE_GENERIC_READ;
		if (mask & GENERIC_WRITE)
			mask |= FILE_GENERIC_WRITE;
		if (mask & GENERIC_EXECUTE)
			mask |= FILE_GENERIC_EXECUTE;
		if (ace[0] == ACE_ALLOWED)
			allowed |= mask & ~denied;
		else
			denied |= mask & ~allowed;
	}
	for (unsigned i = 0; i < 3; i++)
		if (allowed & needs[i])
			bits |= 1u << i;
	return bits;
}

static bool acl_is_sound(const uint8_t *acl, size_t room)
{
	size_t size, at = ACL_SIZE;

	if (room < ACL_SIZE)
		return false;
	size = get16(acl + 2);
	if ((acl[0] != ACL_REVISION && acl[0] != ACL_REVISION_DS) || size < ACL_SIZE || size > room)
		return false;
	for (unsigned left = get16(acl + 4); left; left--) {
		if (size - at < ACE_SIZE || get16(acl + at + 2) < ACE_SIZE || get16(acl + at + 2) > size - at)
			return false;
		at += get16(acl + at + 2);
	}
	return true;
}

static bool part_sid(const uint8_t *p, size_t size, uint32_t offset, struct sid *out)
{
	return offset >= HEADER_SIZE && offset < size && sid_read(p + offset, size - offset, out);
}

int32_t security_parse(const struct security_owner *owner, const void *descriptor, size_t size, uint32_t information,
		       struct security *to)
{
	const uint8_t *p = descriptor;
	struct security out = *to;
	struct sid sid;

	if (size < HEADER_SIZE || p[0] != 1 || !(get16(p + 2) & SE_SELF_RELATIVE))
		return STATUS_INVALID_SECURITY_DESCR;
	if (information & OWNER_SECURITY_INFORMATION && get32(p + 4)) {
		if (!part_sid(p, size, get32(p + 4), &sid))
			return STATUS_INVALID_SECURITY_DESCR;
		if (!id_of(&sid, UNIX_USERS, owner->uid, &owner->user, &out.uid))
			return STATUS_INVALID_OWNER;
	}
	if (information & GROUP_SECURITY_INFORMATION && get32(p + 8)) {
		if (!part_sid(p, size, get32(p + 8), &sid))
			return STATUS_INVALID_SECURITY_DESCR;
		if (!id_of(&sid, UNIX_GROUPS, owner->gid, &owner->group, &out.gid))
			return STATUS_INVALID_PRIMARY_GROUP;
	}
	if (information & DACL_SECURITY_INFORMATION) {
		uint32_t offset = get32(p + 16);

		if (!(get16(p + 2) & SE_DACL_PRESENT) || !offset) {
			out.mode = 0777;
		} else {
			struct sid user = sid_of_user(owner, out.uid), group = sid_of_group(owner, out.gid);

			if (offset < HEADER_SIZE || offset > size || !acl_is_sound(p + offset, size - offset))
				return STATUS_INVALID_SECURITY_DESCR;
			out.mode = granted(p + offset, &user, true) << 6 | granted(p + offset, &group, true) << 3 |
				   granted(p + offset, &everyone, true);
		}
	}
	*to = out;
	return 0;
}
