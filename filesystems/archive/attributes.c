/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/attributes.h"

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_SIZE_MAX	 255u
#define VALUE_SIZE_MAX	 65536u
#define LIST_SIZE_MAX	 65536u
#define ACL_ENTRIES_MAX	 1024u
#define ACCOUNT_BUFFER	 16384u
#define ACL_UNDEFINED_ID UINT32_MAX

/* The form in which the kernel takes and gives lists; numbers are little-endian. */
struct acl_entry {
	uint16_t tag;
	uint16_t permissions;
	uint32_t id;
};

struct acl {
	uint32_t version;
	struct acl_entry entries[];
};

#define ACL_VERSION 2u
#define ACL_OWNER   0x01u
#define ACL_USER    0x02u
#define ACL_OWNERS  0x04u /* the group that the file belongs to */
#define ACL_GROUP   0x08u
#define ACL_MASK    0x10u
#define ACL_OTHERS  0x20u
#define ACL_NEEDED  (ACL_OWNER | ACL_OWNERS | ACL_OTHERS)
#define ACL_NAMED   (ACL_USER | ACL_GROUP)

static bool account_look_up(const char *name, bool group, uint32_t *id)
{
	char buffer[ACCOUNT_BUFFER];
	struct passwd user, *found_user = NULL;
	struct group of, *found_group = NULL;

	if (group && getgrnam_r(name, &of, buffer, sizeof(buffer), &found_group) == 0 && found_group)
		*id = found_group->gr_gid;
	else if (!group && getpwnam_r(name, &user, buffer, sizeof(buffer), &found_user) == 0 && found_user)
		*id = found_user->pw_uid;
	else
		return false;
	return true;
}

static bool account_find(struct accounts *accounts, const char *name, bool group, uint32_t *id)
{
	struct account *account;
	size_t length = name ? strlen(name) : 0;

	if (!length || length >= sizeof(account->name))
		return false;
	for (unsigned i = 0; i < ACCOUNTS_MAX; i++) {
		account = &accounts->account[i];
		if (account->group == group && strcmp(account->name, name) == 0) {
			*id = account->id;
			return account->known;
		}
	}
	account = &accounts->account[accounts->next++ % ACCOUNTS_MAX];
	memcpy(account->name, name, length + 1);
	account->group = group;
	account->known = account_look_up(name, group, &account->id);
	*id = account->id;
	return account->known;
}

static int acl_order(const void *a, const void *b)
{
	const struct acl_entry *first = a, *second = b;

	if (first->tag != second->tag)
		return first->tag < second->tag ? -1 : 1;
	return first->id < second->id ? -1 : first->id > second->id;
}

static bool acl_read_entry(struct accounts *accounts, int tag, int permissions, int qualifier, const char *name,
			   struct acl_entry *out)
{
	*out = (struct acl_entry){.permissions = (uint16_t)(permissions & 7), .id = ACL_UNDEFINED_ID};
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		out->tag = ACL_OWNER;
		return true;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		out->tag = ACL_OWNERS;
		return true;
	case ARCHIVE_ENTRY_ACL_MASK:
		out->tag = ACL_MASK;
		return true;
	case ARCHIVE_ENTRY_ACL_OTHER:
		out->tag = ACL_OTHERS;
		return true;
	case ARCHIVE_ENTRY_ACL_USER:
	case ARCHIVE_ENTRY_ACL_GROUP:
		out->tag = tag == ARCHIVE_ENTRY_ACL_USER ? ACL_USER : ACL_GROUP;
		out->id = (uint32_t)qualifier;
		return qualifier >= 0 || account_find(accounts, name, tag == ARCHIVE_ENTRY_ACL_GROUP, &out->id);
	default:
		return false;
	}
}

/* Sort the list, add a mask that it lacks, and tell whether the kernel would take it. */
static bool acl_complete(struct acl_entry *entries, unsigned *count, unsigned *seen)
{
	unsigned mask = 0;

	*seen = 0;
	qsort(entries, *count, sizeof(*entries), acl_order);
	for (unsigned i = 0; i < *count; i++) {
		if (i && acl_order(&entries[i - 1], &entries[i]) == 0)
			return false;
		*seen |= entries[i].tag;
		if (entries[i].tag & (ACL_NAMED | ACL_OWNERS))
			mask |= entries[i].permissions;
	}
	if ((*seen & ACL_NEEDED) != ACL_NEEDED)
		return false;
	if ((*seen & ACL_NAMED) && !(*seen & ACL_MASK)) {
		entries[*count] = (struct acl_entry){ACL_MASK, (uint16_t)mask, ACL_UNDEFINED_ID};
		(*count)++;
		*seen |= ACL_MASK;
		qsort(entries, *count, sizeof(*entries), acl_order);
	}
	return true;
}

/*
 * The list of a type in the kernel's form; *out is NULL when there is none to show, else the caller's to free.
 * *mask: the permissions of its mask, or -1.
 */
static int acl_read(struct accounts *accounts, struct archive_entry *entry, int type, struct acl **out, uint32_t *size,
		    int *mask)
{
	int found, permissions, tag, qualifier, count = archive_entry_acl_reset(entry, type);
	unsigned kept = 0, seen;
	const char *name;
	struct acl *acl;
	bool sound = true;

	*out = NULL;
	*mask = -1;
	if (count <= 0 || (unsigned)count > ACL_ENTRIES_MAX)
		return 0;
	acl = calloc(1, sizeof(*acl) + ((size_t)count + 1) * sizeof(struct acl_entry));
	if (!acl)
		return -ENOMEM;
	while (sound &&
	       archive_entry_acl_next(entry, type, &found, &permissions, &tag, &qualifier, &name) == ARCHIVE_OK) {
		sound = kept < (unsigned)count &&
			acl_read_entry(accounts, tag, permissions, qualifier, name, &acl->entries[kept]);
		kept++;
	}
	if (!sound || !acl_complete(acl->entries, &kept, &seen) ||
	    (type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS && !(seen & ACL_MASK))) {
		free(acl);
		return 0;
	}
	for (unsigned i = 0; i < kept; i++) {
		struct acl_entry *one = &acl->entries[i];

		if (one->tag == ACL_MASK)
			*mask = one->permissions;
		*one = (struct acl_entry){htole16(one->tag), htole16(one->permissions), htole32(one->id)};
	}
	acl->version = htole32(ACL_VERSION);
	*size = (uint32_t)(sizeof(*acl) + kept * sizeof(struct acl_entry));
	*out = acl;
	return 0;
}

static bool attribute_is_shown(const char *name, size_t size, uint32_t mode)
{
	size_t length = strlen(name);

	if (length > NAME_SIZE_MAX || size > VALUE_SIZE_MAX)
		return false;
	if (length > 5 && strncmp(name, "user.", 5) == 0)
		return S_ISREG(mode) || S_ISDIR(mode);
	return length > 8 && strncmp(name, "trusted.", 8) == 0;
}

static int attribute_order(const void *a, const void *b)
{
	const struct builder_attribute *first = a, *second = b;

	return strcmp(first->name, second->name);
}

/* Those of the archive that are shown, sorted, each name once, within what the kernel can list. */
static uint32_t attributes_collect(struct archive_entry *entry, uint32_t mode, struct builder_attribute *list,
				   uint32_t room)
{
	size_t listed = sizeof(ATTRIBUTE_ACL_ACCESS) + sizeof(ATTRIBUTE_ACL_DEFAULT);
	uint32_t count = 0, kept = 0;
	const char *name;
	const void *value;
	size_t size;

	while (count < room && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		if (name && attribute_is_shown(name, size, mode))
			list[count++] = (struct builder_attribute){name, value && size ? value : "", (uint32_t)size};
	}
	if (count)
		qsort(list, count, sizeof(*list), attribute_order);
	for (uint32_t i = 0; i < count; i++) {
		if (kept && strcmp(list[kept - 1].name, list[i].name) == 0)
			continue;
		listed += strlen(list[i].name) + 1;
		if (listed > LIST_SIZE_MAX)
			break;
		list[kept++] = list[i];
	}
	return kept;
}

int attributes_add(struct accounts *accounts, struct archive_entry *entry, struct builder *builder,
		   struct index_node *node, uint32_t *flags)
{
	int error = 0, mask, named = archive_entry_xattr_reset(entry);
	int lists = archive_entry_acl_types(entry) & (ARCHIVE_ENTRY_ACL_TYPE_ACCESS | ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
	struct builder_attribute *list;
	struct acl *access = NULL, *defaults = NULL;
	uint32_t count, size;

	if (named <= 0 && !lists)
		return 0;
	list = calloc((size_t)(named > 0 ? named : 0) + 2, sizeof(*list));
	if (!list)
		return -ENOMEM;
	count = attributes_collect(entry, node->mode, list, (uint32_t)(named > 0 ? named : 0));
	if (lists && !S_ISLNK(node->mode))
		error = acl_read(accounts, entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &access, &size, &mask);
	if (access) {
		list[count++] = (struct builder_attribute){ATTRIBUTE_ACL_ACCESS, access, size};
		node->mode = (uint16_t)((node->mode & ~070u) | (unsigned)mask << 3);
		*flags |= INDEX_ACLS;
	}
	if (!error && lists && S_ISDIR(node->mode))
		error = acl_read(accounts, entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, &defaults, &size, &mask);
	if (defaults) {
		list[count++] = (struct builder_attribute){ATTRIBUTE_ACL_DEFAULT, defaults, size};
		*flags |= INDEX_ACLS;
	}
	if (!error)
		error = builder_attributes(builder, list, count, node);
	free(access);
	free(defaults);
	free(list);
	return error;
}
