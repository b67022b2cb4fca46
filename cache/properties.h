/* SPDX-License-Identifier: MIT */
/*
 * properties.h - what a service cannot hold, as properties of its items
 *
 *    dw.mode        octal, type and permission bits: where it is not 0100644 of a file, 040755 of a folder
 *    dw.owner       uid:gid, where it is not the drive's own
 *    dw.mtime       SECONDS.NANOSECONDS/ITEM, where it is another second than the item's modified time, whose seconds
 *                   are ITEM: bytes that somebody sends later bring a time of their own, and this one is void
 *    dw.xattr.NAME  an extended attribute, its value in base64url. Bytes of NAME other than letters, digits and '-' are
 *                   written as _XX (hexadecimal)
 *    dw.long.HASH   one whose key would be longer than 64 bytes: its name, '.', its value, both in base64url
 *
 * A set of properties is a text: "key=value\n" for each, sorted by key. node.properties holds the set that the server
 * has; properties_want makes the set that it should have; the difference is what set_properties is called with.
 *
 * Threads: as nodes.h. What comes from the server is checked; what makes no sense counts as not there.
 */
#ifndef CACHE_PROPERTIES_H
#define CACHE_PROPERTIES_H

#include "cache/nodes.h"

#define PROPERTIES_MAX	  128u	      /* of one node, attributes among them */
#define PROPERTIES_BYTES  (64u << 10) /* of a set */
#define PROPERTIES_PREFIX "dw."

/* What a set says of a node, besides its attributes. */
struct properties_facts {
	bool has_mode, has_owner, has_mtime;
	uint32_t mode;
	uint32_t uid, gid;
	int64_t mtime;	 /* nanoseconds since 1970 */
	int64_t instead; /* of the item's modified time in this second */
};

/* The set of an item that the server has told; malloc'd. -ENOMEM. */
int properties_of_item(const struct dw_remote_item *item, char **set);
void properties_read(const char *set, struct properties_facts *out);
/* The time of a file whose item was modified at modified, both in nanoseconds since 1970. */
int64_t properties_mtime(const struct properties_facts *facts, int64_t modified);
/* Replace the node's extended attributes by those in set. */
int properties_store_xattrs(struct database_connection *connection, uint64_t id, const char *set);

/* The set that the server should have of the node; malloc'd. -ENOENT, -ENOMEM, -E2BIG. */
int properties_want(struct database_connection *connection, struct cache *cache, uint64_t id, char **set);
/* The set that it has; malloc'd. */
int properties_have(struct database_connection *connection, uint64_t id, char **set);
/* The server has set now: note it, and clear DIRTY_PROPERTIES where the node is still at change. */
int properties_sent(struct database_connection *connection, uint64_t id, int64_t change, const char *set);
/*
 * The server has new bytes of the node, and a time with them: a time in its set has to go, and where the node, when it
 * is closed, has another one, that has to be told.
 */
int properties_after_upload(struct database_connection *connection, uint64_t id, bool closed);

/* What has to be told to come from one set to another; count 0: nothing. Free with properties_change_free. */
struct properties_change {
	struct dw_remote_property *list;
	size_t count;
	char *text; /* where the keys and values are */
};
int properties_difference(const char *have, const char *want, struct properties_change *out);
void properties_change_free(struct properties_change *change);

#endif
