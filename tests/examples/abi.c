/* SPDX-License-Identifier: MIT */
/*
 * The layout that plug-ins were compiled against must not move: a member may be added at the end of a struct that
 * begins with its size, and nothing else. These are the numbers of version 1.0 on 64-bit Linux. A new last member
 * changes a size below and nothing more; any other change needs a new upper half of DW_API_VERSION.
 */
#include <driveway/filesystem.h>

#define SIZE(type, bytes)	_Static_assert(sizeof(struct type) == (bytes), #type " has another size")
#define AT(type, member, bytes) _Static_assert(offsetof(struct type, member) == (bytes), #type "." #member " has moved")

_Static_assert(DW_API_VERSION >> 16 == 1, "another generation needs other numbers here");
_Static_assert(sizeof(void *) == 8, "the numbers are those of 64-bit platforms");

SIZE(dw_time, 16);
AT(dw_time, seconds, 0);
AT(dw_time, nanoseconds, 8);

SIZE(dw_attr, 120);
AT(dw_attr, ino, 0);
AT(dw_attr, size, 8);
AT(dw_attr, blocks, 16);
AT(dw_attr, mode, 24);
AT(dw_attr, nlink, 28);
AT(dw_attr, uid, 32);
AT(dw_attr, gid, 36);
AT(dw_attr, rdev_major, 40);
AT(dw_attr, rdev_minor, 44);
AT(dw_attr, blksize, 48);
AT(dw_attr, reserved, 52);
AT(dw_attr, atime, 56);
AT(dw_attr, mtime, 72);
AT(dw_attr, ctime, 88);
AT(dw_attr, btime, 104);

SIZE(dw_entry, 152);
AT(dw_entry, node, 0);
AT(dw_entry, generation, 8);
AT(dw_entry, entry_timeout, 16);
AT(dw_entry, attr_timeout, 24);
AT(dw_entry, attr, 32);

SIZE(dw_notes, 384);
AT(dw_notes, word, 0);

SIZE(dw_request, 56);
AT(dw_request, size, 0);
AT(dw_request, id, 8);
AT(dw_request, uid, 16);
AT(dw_request, gid, 20);
AT(dw_request, pid, 24);
AT(dw_request, umask, 28);
AT(dw_request, flags, 32);
AT(dw_request, reserved, 36);
AT(dw_request, notes, 40);
AT(dw_request, interrupted, 48);

SIZE(dw_open, 16);
AT(dw_open, handle, 0);
AT(dw_open, flags, 8);
AT(dw_open, backing_id, 12);

SIZE(dw_setattr, 72);
AT(dw_setattr, valid, 0);
AT(dw_setattr, mode, 4);
AT(dw_setattr, uid, 8);
AT(dw_setattr, gid, 12);
AT(dw_setattr, size, 16);
AT(dw_setattr, atime, 24);
AT(dw_setattr, mtime, 40);
AT(dw_setattr, ctime, 56);

SIZE(dw_statfs, 48);
AT(dw_statfs, blocks, 0);
AT(dw_statfs, blocks_free, 8);
AT(dw_statfs, blocks_available, 16);
AT(dw_statfs, files, 24);
AT(dw_statfs, files_free, 32);
AT(dw_statfs, block_size, 40);
AT(dw_statfs, name_max, 44);

SIZE(dw_listing, 16);
AT(dw_listing, attributes, 0);
AT(dw_listing, add, 8);

SIZE(dw_forget, 16);
AT(dw_forget, node, 0);
AT(dw_forget, count, 8);

SIZE(dw_lock, 32);
AT(dw_lock, start, 0);
AT(dw_lock, end, 8);
AT(dw_lock, owner, 16);
AT(dw_lock, type, 24);
AT(dw_lock, pid, 28);

SIZE(dw_filesystem_ops, 328);
AT(dw_filesystem_ops, size, 0);
AT(dw_filesystem_ops, lookup, 8);
AT(dw_filesystem_ops, getattr, 16);
AT(dw_filesystem_ops, readdir, 24);
AT(dw_filesystem_ops, read, 32);
AT(dw_filesystem_ops, close, 40);
AT(dw_filesystem_ops, forget, 48);
AT(dw_filesystem_ops, statfs, 56);
AT(dw_filesystem_ops, syncfs, 64);
AT(dw_filesystem_ops, readlink, 72);
AT(dw_filesystem_ops, mknod, 80);
AT(dw_filesystem_ops, mkdir, 88);
AT(dw_filesystem_ops, unlink, 96);
AT(dw_filesystem_ops, rmdir, 104);
AT(dw_filesystem_ops, rename, 112);
AT(dw_filesystem_ops, link, 120);
AT(dw_filesystem_ops, symlink, 128);
AT(dw_filesystem_ops, setattr, 136);
AT(dw_filesystem_ops, setxattr, 144);
AT(dw_filesystem_ops, getxattr, 152);
AT(dw_filesystem_ops, listxattr, 160);
AT(dw_filesystem_ops, removexattr, 168);
AT(dw_filesystem_ops, open, 176);
AT(dw_filesystem_ops, create, 184);
AT(dw_filesystem_ops, tmpfile, 192);
AT(dw_filesystem_ops, write, 200);
AT(dw_filesystem_ops, flush, 208);
AT(dw_filesystem_ops, release, 216);
AT(dw_filesystem_ops, fsync, 224);
AT(dw_filesystem_ops, opendir, 232);
AT(dw_filesystem_ops, releasedir, 240);
AT(dw_filesystem_ops, fsyncdir, 248);
AT(dw_filesystem_ops, fallocate, 256);
AT(dw_filesystem_ops, copy_file_range, 264);
AT(dw_filesystem_ops, lseek, 272);
AT(dw_filesystem_ops, getlk, 280);
AT(dw_filesystem_ops, setlk, 288);
AT(dw_filesystem_ops, flock, 296);
AT(dw_filesystem_ops, ioctl, 304);
AT(dw_filesystem_ops, poll, 312);
AT(dw_filesystem_ops, report, 320);

SIZE(dw_filesystem, 48);
AT(dw_filesystem, size, 0);
AT(dw_filesystem, ops, 8);
AT(dw_filesystem, flags, 16);
AT(dw_filesystem, reserved, 20);
AT(dw_filesystem, entry_timeout, 24);
AT(dw_filesystem, attr_timeout, 32);
AT(dw_filesystem, negative_timeout, 40);

SIZE(dw_host, 96);
AT(dw_host, size, 0);
AT(dw_host, log, 8);
AT(dw_host, invalidate_node, 16);
AT(dw_host, invalidate_entry, 24);
AT(dw_host, entry_deleted, 32);
AT(dw_host, poll_wake, 40);
AT(dw_host, backing_open, 48);
AT(dw_host, backing_close, 56);
AT(dw_host, keep, 64);
AT(dw_host, kept_fd_put, 72);
AT(dw_host, kept_fd_get, 80);
AT(dw_host, kept_fd_drop, 88);

SIZE(dw_option, 16);
AT(dw_option, key, 0);
AT(dw_option, value, 8);

SIZE(dw_source, 48);
AT(dw_source, size, 0);
AT(dw_source, rest, 8);
AT(dw_source, cache, 16);
AT(dw_source, options, 24);
AT(dw_source, option_count, 32);
AT(dw_source, read_only, 40);
AT(dw_source, restarted, 41);

SIZE(dw_provider, 48);
AT(dw_provider, size, 0);
AT(dw_provider, version, 8);
AT(dw_provider, flags, 12);
AT(dw_provider, name, 16);
AT(dw_provider, summary, 24);
AT(dw_provider, options, 32);
AT(dw_provider, open, 40);

int main(void)
{
	return 0;
}
