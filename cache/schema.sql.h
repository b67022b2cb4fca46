/* SPDX-License-Identifier: MIT */
/* The columns of this comment stay where they are. */
/* clang-format off */
/*
 * schema.sql.h - the tables of cache.db, format 2
 *
 * All times are nanoseconds since 1970 UTC, sizes bytes. Names, ids of the remote and such are BLOBs: bytes, compared
 * as bytes.
 *
 * meta      facts by name: format; account and root (of the remote that the folder belongs to); cursor (of the
 *           remote's feed); generation (raised when the feed has lost track); heard (raised by every listing that
 *           begins); boot (of the machine when last used);
 *           quota_total, quota_used
 * node      one row a file, folder or link that is known. Columns in the order of life:
 *    id             node id of the drive; never used again. 1 is the root
 *    parent, name   where it is; parent is NULL for an orphan (removed while open) and for the root
 *    fold           what must differ in one folder: name, or its case-folded form where the remote folds case
 *    mode, uid, gid, size, mtime, ctime, atime, btime    what stat tells. size is stale while the file is open for
 *                   writing: then its content file's size is the truth
 *    target         of a symbolic link, where known
 *    content        of a file: row of content, NULL while no byte of it is here
 *    dirty          what the server does not know yet: DIRTY_* of nodes.h; 0: as the server has it
 *    change         raised by every local change of the row: tells whether it changed while an upload was under way
 *    since          when dirty last became non-zero or the file last changed: uploads wait until it has settled
 *    attempts, retry_at, failure, error    uploads that failed, when to try again, why in one line, and as errno
 *    listed         of a folder: meta.generation in which all its children were learned; 0: never
 *    pinned         1: kept here whole, with all below it
 *    remote         id of the item on the server; NULL: the server has not got it
 *    remote_parent, remote_name, etag, version (content name), digest, remote_size, remote_mtime, rights, properties
 *                   the item as the server had it when it was last heard of; properties: those of ours (properties.h)
 *    heard          meta.heard when the server last told of the item: a complete listing that began later and did not
 *                   bring it shows that it is gone
 *    echo           1: a call of ours was answered, and the feed has not told yet how the item was after it: what it tells
 *                   until then may be older than the answer (absorb.h)
 *    hides          1: an item of the server has this place and was left out (absorb.h): when the node goes away from
 *                   it, the folder has to be listed again
 * xattr     extended attributes (names with their prefix) of nodes
 * gone      items that were removed here and not on the server yet
 *    heir           node that has the item's bytes and is to send them to another item first, or NULL
 * buried    items that we removed on the server and whose removal the feed has not told yet: older news of them, which
 *           may still come, are not to be believed
 * content   one row a content file, content/XX/ID: the bytes of one version of one file
 *    version        content name of the version whose bytes are fetched into it; NULL: made here from nothing
 *    remote         item to fetch from
 *    size           of that version; the file itself says how large local content is
 *    digest         of that version, or NULL
 *    local          1: holds bytes that the server has not got: never evicted
 *    whole          1: every byte of it is there
 *    boot           of local ones: 1: not synced since they became local; 2: so, and the machine was started anew
 *                   since: what it holds may be mixed; 0: synced
 *    used           when it was last used, in seconds
 *    bytes          allocated on disk, as last seen
 * extent    ranges [start, stop) of contents that are there, for those that are not whole, or not whole on disk.
 *    boot           0, or not zero: written since the machine was started and not yet synced to disk: not to be trusted
 *                   after the next start of the machine
 * upload    an upload session that is under way, of the content as it was at change; the server tells which parts it has
 * done      results of the latest requests, by request id: a request that is given to the service twice is answered from
 *           here and not applied again. slot = request % DATABASE_DONE_SLOTS
 * sent      uploads and new folders of which no answer has come yet (sent.h); remote is empty for something new, digest
 *           for a folder
 *    looked         1: the place was looked at, or the answer came, after it was sent
 * conflict  files that were changed here and on the server: node is the copy that was kept beside it
 */
/* clang-format on */
#ifndef CACHE_SCHEMA_SQL_H
#define CACHE_SCHEMA_SQL_H

#define DATABASE_FORMAT	    3
#define DATABASE_DONE_SLOTS 4096

static const char database_schema[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE node("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER, name BLOB, fold BLOB,"
	"  mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, size INTEGER NOT NULL DEFAULT 0,"
	"  mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, atime INTEGER NOT NULL, btime INTEGER NOT NULL,"
	"  target BLOB, content INTEGER, dirty INTEGER NOT NULL DEFAULT 0, change INTEGER NOT NULL DEFAULT 0,"
	"  since INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, retry_at INTEGER NOT NULL DEFAULT 0,"
	"  failure TEXT, error INTEGER NOT NULL DEFAULT 0, listed INTEGER NOT NULL DEFAULT 0, pinned INTEGER NOT NULL "
	"DEFAULT 0,"
	"  remote BLOB, remote_parent BLOB, remote_name BLOB, etag BLOB, version BLOB, digest BLOB,"
	"  remote_size INTEGER, remote_mtime INTEGER, rights INTEGER NOT NULL DEFAULT 15, properties BLOB,"
	"  heard INTEGER NOT NULL DEFAULT 0, echo INTEGER NOT NULL DEFAULT 0, hides INTEGER NOT NULL DEFAULT 0);"
	"CREATE UNIQUE INDEX node_by_name ON node(parent, fold);"
	"CREATE INDEX node_by_parent ON node(parent);"
	"CREATE UNIQUE INDEX node_by_remote ON node(remote) WHERE remote IS NOT NULL;"
	"CREATE INDEX node_dirty ON node(since) WHERE dirty != 0;"
	"CREATE INDEX node_by_place ON node(remote_parent, remote_name) WHERE dirty & 2;"
	"CREATE INDEX node_pinned ON node(id) WHERE pinned != 0;"
	"CREATE INDEX node_orphan ON node(id) WHERE parent IS NULL;"
	"CREATE INDEX node_echo ON node(id) WHERE echo != 0;"
	"CREATE INDEX node_by_content ON node(content) WHERE content IS NOT NULL;"
	"CREATE TABLE xattr(node INTEGER NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(node, name))"
	"  WITHOUT ROWID;"
	"CREATE TABLE gone(id INTEGER PRIMARY KEY, remote BLOB NOT NULL UNIQUE, mode INTEGER NOT NULL, remote_parent "
	"BLOB,"
	"  remote_name BLOB, etag BLOB, version BLOB, digest BLOB, remote_size INTEGER, remote_mtime INTEGER,"
	"  properties BLOB, since INTEGER NOT NULL, heir INTEGER, attempts INTEGER NOT NULL DEFAULT 0, retry_at "
	"INTEGER NOT NULL "
	"DEFAULT 0, failure "
	"TEXT, error INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX gone_by_place ON gone(remote_parent, remote_name);"
	"CREATE TABLE buried(remote BLOB PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE content(id INTEGER PRIMARY KEY AUTOINCREMENT, version BLOB, remote BLOB, size INTEGER NOT NULL,"
	"  digest BLOB, local INTEGER NOT NULL, whole INTEGER NOT NULL, boot INTEGER NOT NULL, used INTEGER NOT NULL,"
	"  bytes INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX content_by_use ON content(used) WHERE local = 0;"
	"CREATE TABLE extent(content INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,"
	"  boot INTEGER NOT NULL, PRIMARY KEY(content, start)) WITHOUT ROWID;"
	"CREATE INDEX extent_fresh ON extent(boot) WHERE boot != 0;"
	"CREATE TABLE upload(node INTEGER PRIMARY KEY, change INTEGER NOT NULL, handle TEXT NOT NULL,"
	"  part_bytes INTEGER NOT NULL, expires INTEGER NOT NULL, bytes INTEGER NOT NULL, digest BLOB);"
	"CREATE TABLE sent(id INTEGER PRIMARY KEY, node INTEGER NOT NULL, remote BLOB NOT NULL, parent BLOB NOT NULL,"
	"  name BLOB NOT NULL, digest BLOB NOT NULL, bytes INTEGER NOT NULL, at INTEGER NOT NULL,"
	"  looked INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, retry_at INTEGER NOT NULL DEFAULT 0,"
	"  failure TEXT, error INTEGER NOT NULL DEFAULT 0, UNIQUE(node, parent, name, digest));"
	"CREATE TABLE done(slot INTEGER PRIMARY KEY, request INTEGER NOT NULL, node INTEGER NOT NULL,"
	"  value INTEGER NOT NULL);"
	"CREATE TABLE conflict(id INTEGER PRIMARY KEY, node INTEGER NOT NULL, original BLOB NOT NULL, at INTEGER NOT "
	"NULL);";

#endif
