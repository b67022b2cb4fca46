/* SPDX-License-Identifier: MIT */
/*
 * builder.h - an index while it is being made
 *
 * Members arrive in the order of the archive, with whatever path its maker wrote. The builder makes a clean tree
 * of them:
 *
 *   - empty components, "." and ".." of a path are dropped, so no path leaves the drive: "/etc/x" and
 *     "../../etc/x" are both etc/x; a path of which nothing is left is the root folder, or is left out
 *     when the member is no folder
 *   - a component longer than 255 bytes is cut to at most 246 bytes (not inside a UTF-8 character) and
 *     "~" and eight hexadecimal digits of a hash of the whole name
 *   - folders that a path implies are made with mode 0755 and the archive's own time and owner
 *   - of two members with one path the last one wins, as when unpacking; a folder that is named twice
 *     keeps what is in it and takes the later attributes
 *   - a member below something that is no folder (a file, a symbolic link, which is never followed) puts a folder
 *     in its place; a member that is no folder, at the path of a folder that has members, is left out
 *   - a hard link may come before its target; one whose target is missing, is itself, or is a folder is left out
 *   - attributes go with the member that has them: a later member with the same path replaces them, a hard link has
 *     those of its target
 *   - paths longer than 32 KiB or deeper than 512 folders are left out
 *
 * Threads: one at a time.
 */
#ifndef ARCHIVE_BUILDER_H
#define ARCHIVE_BUILDER_H

#include "filesystems/archive/index.h"

struct builder;

/* implied: the attributes of folders that have no header of their own. -ENOMEM. */
int builder_create(struct builder **out, const struct index_node *implied);
void builder_destroy(struct builder *builder);

/*
 * Add the member at path with node's attributes and content. target: what a symbolic link points to, else NULL. *number
 * (may be NULL) is the node, or INDEX_NONE when it was left out. -ENOMEM, -EFBIG (more than an index can hold).
 */
int builder_add(struct builder *builder, const char *path, const struct index_node *node, const char *target,
		uint32_t *number);
/*
 * Add path as a further name of what is at target. content: what the header of this name brought as the content of
 * both, else NULL.
 */
int builder_link(struct builder *builder, const char *path, const char *target, const struct index_node *content);
/* Add count extents; *first is the number of the first one. */
int builder_extents(struct builder *builder, const struct index_extent *extents, uint32_t count, uint64_t *first);
struct builder_attribute {
	const char *name;
	const void *value;
	uint32_t size;
};

/* Add the attributes of one node; sets node's attributes, to 0 when count is 0. */
int builder_attributes(struct builder *builder, const struct builder_attribute *list, uint32_t count,
		       struct index_node *node);
/* Add a member to the sequence: sets content, place and first of node. */
int builder_sequence(struct builder *builder, uint32_t ordinal, struct index_node *node);

/*
 * The finished index; the builder is then only good for builder_destroy. head: identity, flags, format and damage are
 * taken from it.
 */
int builder_finish(struct builder *builder, const struct index_head *head, struct index *out);

#endif
