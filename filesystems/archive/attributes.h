/* SPDX-License-Identifier: MIT */
/*
 * attributes.h - extended attributes and POSIX ACLs of a member, as the drive shows them
 *
 * An archive is not to be trusted with what the kernel acts on by itself, so the families differ:
 *
 *   user.*      shown to everybody, of files and folders, the only ones that may have them
 *   trusted.*   shown to root; the kernel answers nobody else who asks for the value
 *   security.*  never: a capability makes a program privileged, labels and signatures are
 *               judged by the system's policy, and none of these is an archive's to hand out
 *   system.*    the two POSIX ACLs, made from the archive's text form; anything else is left out
 *
 * ACLs are shown in the binary form of Linux (version 2), in the order and completeness that the kernel asks for. The
 * group bits of the mode become the mask, as on any file system. One that names a user or a group without a number is
 * looked up on this machine while indexing, as when unpacking; when one name is not known, or the list makes no sense,
 * it is left out whole, since a list without one of its lines says something else. An access list that says no more
 * than the mode does is not kept. NFSv4 lists are not shown.
 *
 * Threads: one at a time.
 */
#ifndef ARCHIVE_ATTRIBUTES_H
#define ARCHIVE_ATTRIBUTES_H

#include "filesystems/archive/builder.h"

#define ATTRIBUTE_ACL_ACCESS  "system.posix_acl_access"
#define ATTRIBUTE_ACL_DEFAULT "system.posix_acl_default"

#define ACCOUNTS_MAX 16u

struct archive_entry;

/* Users and groups that were looked up; all zero at first. Holds no memory. */
struct accounts {
	struct account {
		char name[256];
		bool group;
		bool known;
		uint32_t id;
	} account[ACCOUNTS_MAX];
	unsigned next; /* is overwritten next */
};

/*
 * Put the attributes of entry into builder and set node's attributes and, with an access list, its mode. Sets
 * INDEX_ACLS in *flags where there is a list. -ENOMEM, -EFBIG.
 */
int attributes_add(struct accounts *accounts, struct archive_entry *entry, struct builder *builder,
		   struct index_node *node, uint32_t *flags);

#endif
