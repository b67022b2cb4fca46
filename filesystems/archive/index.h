/* SPDX-License-Identifier: MIT */
/*
 * index.h - what an archive holds, as a tree that fits into few bytes
 *
 * An index is made once by reading all headers of an archive (scan.h through builder.h), is kept in a file
 * (store.h), and never changes while it is open. It is one block of memory with seven tables in it, the same
 * in memory and in the file, so loading is one read:
 *
 *    | head | nodes | entries | extents | sequence | attributes | names |
 *
 *    node      a file, folder, link: attributes, and where its content is
 *    entry     a name in a folder: (offset of the name, node). The entries of one folder stand together,
 *              sorted by the bytes of the name, so finding a name is a binary search and listing a
 *              folder in order is a walk. Hard links are several entries with one node.
 *    extent    one piece of a file with holes
 *    sequence  the members that have to be decoded one after another, see CONTENT_SEQUENCE
 *    attribute an extended attribute. Those of one node stand together and end with one whose name is 0; nodes with
 *              the same attributes may share them. The first of the table is such an end.
 *    names     NUL-terminated names and link targets, and the values of attributes
 *
 * Node 0 is the root folder. A node takes 96 bytes and an entry 8, so a million members with names of 20
 * bytes take 125 MB.
 *
 * Where content is
 *   CONTENT_DIRECT    at place in the base space, as it is
 *   CONTENT_EXTENTS   in extent_count pieces from extents[place] on, each at its own place in the base space
 *   CONTENT_DEFLATE   a raw deflate stream at place in the base space (zip)
 *   CONTENT_ZIP       a zip member that libarchive decodes, whose local header is at place in the base space
 *   CONTENT_ZISOFS    a zisofs file at place in the base space (zisofs.h)
 *   CONTENT_SEQUENCE  at place in the sequence space, which is all such members decoded one after another
 * The base space is the archive file, or what its compression filters make of it (space.h).
 *
 * Threads: read-only, so any.
 */
#ifndef ARCHIVE_INDEX_H
#define ARCHIVE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_MAGIC   0x58444e4957524944ull /* "DIRWINDX" read little-endian */
#define INDEX_VERSION 2u
#define INDEX_NONE    UINT32_MAX

enum index_content {
	CONTENT_NONE, /* no bytes: empty, or not a file */
	CONTENT_DIRECT,
	CONTENT_EXTENTS,
	CONTENT_DEFLATE,
	CONTENT_ZIP,
	CONTENT_SEQUENCE,
	CONTENT_ZISOFS,
};

#define NODE_ENCRYPTED (1u << 0) /* needs a password */
#define NODE_HAS_CHECK (1u << 1) /* check is the CRC-32 of the content */

struct index_node {
	uint64_t size;
	uint64_t place;	    /* see above; of a symbolic link: offset of the target in names */
	int64_t seconds[4]; /* mtime, atime, ctime, btime */
	uint32_t nanoseconds[4];
	uint32_t uid;
	uint32_t gid;
	uint32_t nlink;
	uint32_t first; /* folder: its first entry; device: major number; else: first member of the sequence table */
	uint32_t count; /* folder: number of entries; device: minor number; else: number of extents */
	uint32_t check;
	uint32_t attributes; /* number of its first attribute; 0: none */
	uint16_t mode;
	uint8_t content; /* enum index_content */
	uint8_t flags;	 /* NODE_* */
};

_Static_assert(sizeof(struct index_node) == 96, "an index costs what its description says");

#define TIME_MODIFIED 0
#define TIME_ACCESSED 1
#define TIME_CHANGED  2
#define TIME_BORN     3

struct index_entry {
	uint32_t name; /* offset in names */
	uint32_t node;
};

struct index_extent {
	uint64_t offset; /* in the file */
	uint64_t size;
	uint64_t place; /* in the base space */
};

struct index_member {
	uint64_t place; /* in the sequence space */
	uint64_t size;
	uint32_t ordinal; /* number of the member among all headers of the archive, from 0 */
	uint32_t reserved;
};

struct index_attribute {
	uint32_t name;	/* offset in names, as listxattr shows it; 0: the end of a node's attributes */
	uint32_t value; /* offset in names; any bytes */
	uint32_t size;
};

/* Which state of which file an index describes. */
struct index_identity {
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	int64_t mtime_seconds;
	uint64_t mtime_nanoseconds;
};

#define INDEX_FILTERED (1u << 0) /* the base space is decoded by filters */
#define INDEX_DAMAGED  (1u << 1) /* the archive ends early or is damaged behind what is indexed */
#define INDEX_ACLS     (1u << 2) /* some attribute is a POSIX ACL */
#define INDEX_PASSWORD (1u << 3) /* members that need a password can be read with it */

struct index_head {
	uint64_t magic;
	uint32_t version;
	uint32_t head_size;
	struct index_identity identity;
	uint64_t total_size; /* of the whole block */
	uint32_t checksum;   /* CRC-32 of everything behind the head */
	uint32_t head_checksum;
	uint32_t flags; /* INDEX_* */
	uint32_t node_count;
	uint32_t entry_count;
	uint32_t extent_count;
	uint32_t sequence_count;
	uint32_t attribute_count;
	uint32_t names_size;
	uint32_t left_out;  /* members that could not be shown */
	uint32_t encrypted; /* members that need a password */
	uint32_t reserved;
	uint64_t content_size;
	char format[64];
	char damage[160]; /* what was wrong, when INDEX_DAMAGED */
};

struct index {
	struct index_head *head; /* owns the block */
	const struct index_node *nodes;
	const struct index_entry *entries;
	const struct index_extent *extents;
	const struct index_member *sequence;
	const struct index_attribute *attributes;
	const char *names;
};

/*
 * Take a block of size bytes (malloc) over as an index, after checking all that later use relies on:
 * checksums, table bounds, every reference. The block belongs to the index when 0 is returned. -EINVAL.
 */
int index_adopt(struct index *index, void *block, size_t size);
/* Set the checksums of a block that was filled in. */
void index_seal(void *block);
void index_free(struct index *index);

/* Bytes of a block with these table sizes. */
size_t index_block_size(const struct index_head *head);

static inline const char *index_name(const struct index *index, uint32_t entry)
{
	return index->names + index->entries[entry].name;
}

/* Entry of name in folder, or INDEX_NONE. */
uint32_t index_find(const struct index *index, uint32_t folder, const char *name);

bool index_same_archive(const struct index_identity *a, const struct index_identity *b);

#endif
