/* SPDX-License-Identifier: MIT */
/*
 * filesystem.h - the interface between Driveway and a file system
 *
 * Whoever has data to present fills in one struct of function pointers, struct dw_filesystem_ops,
 * and exports one symbol, driveway_provider. Driveway makes a drive of it. Four operations (lookup,
 * getattr, readdir, read) make a complete read-only drive; every other member may stay NULL, and
 * its comment says what the drive does then.
 *
 * This header includes nothing of Driveway's own and links against nothing: what a file system
 * wants of its host it calls through struct dw_host, which it is given when it is opened.
 *
 * Nodes
 *   A file, folder or link is named by a node id, a number that the file system chooses; 1 is the
 *   root folder. An id that was returned by lookup, mknod, mkdir, symlink, link, create, tmpfile or
 *   (with attributes) readdir stays valid until the kernel has forgotten it: each such answer
 *   counts one, and forget gives counts back. The root needs no lookup and is never forgotten. A file system whose ids
 * never go away (an archive) leaves forget NULL.
 *
 *   node life:   (lookup, create, ...)          unlink, rmdir           forget of the last count
 *        absent -----------------------> known ---------------> orphan -----------------------> absent
 *                                          \______________________________________________________/
 *                                             forget of the last count: still on disk, not in use
 *
 * Answers
 *   A call returns 0 or a negative errno of the platform's <errno.h>. It blocks until it is done.
 *   Besides the errors listed at a member, any call may return -EIO (the data cannot be had),
 *   -ENOMEM, -ESTALE (the node id is not known any more; the kernel looks the path up again),
 *   -EINTR (dw_request.interrupted was seen set) and -ETIMEDOUT. Output arguments are read only
 *   when a call returned 0.
 *
 * Threads
 *   Calls come from several threads at once; the file system does its own locking. The kernel
 *   never runs two changes of one folder's entries, or two writes to one file, at the same time,
 *   unless the file was opened with DW_OPEN_DIRECT.
 *   A file system that sets DW_FS_NOWAIT is first called on the thread that received the request,
 *   with DW_REQUEST_NOWAIT set: it must answer at memory speed, or return -EAGAIN having changed
 *   nothing, and is then called again on a worker thread without the flag. A file system that does
 *   not set DW_FS_NOWAIT is only called on worker threads, where it may block as it likes.
 *
 * Survival
 *   The process that runs the file system may be killed at any instruction and started again; the
 *   drive stays. Requests that were under way are then given to the new process with
 *   DW_REQUEST_REPLAYED set and with the request's notes (dw_request.notes) as they were left.
 *   A file system that sets DW_FS_PERSISTENT promises: node ids and handles that it gave out before
 *   stay valid in the new process, and an operation that took effect before the death is
 *   recognised (from its notes and from kept memory, dw_host.keep) and not applied again, but
 *   answered with the result that it had. Without the flag, files that were open answer -ESTALE after a
 *   restart unless ids and handles are such by nature (computed from the data, as in an archive).
 *   An upgrade is such a death with no request under way: close is called when a drive is unmapped, and not when
 *   its process makes way for the next.
 *   docs/survival.md tells the whole story.
 *
 * Versions
 *   Every struct that crosses the boundary begins with its own size as its author's compiler saw
 *   it. New members are only added at the end, and a member beyond the other side's size counts as
 *   NULL or 0. DW_API_VERSION changes its upper 16 bits only when old plug-ins cannot work any
 *   more; they are then refused when they are loaded.
 *
 * Text is UTF-8 or whatever bytes the platform allows: a name is 1 to 255 bytes without '/' and NUL
 * and is never "." or "..". Times are nanoseconds-precise, UTC. Sizes and offsets are in bytes.
 */
#ifndef DRIVEWAY_FILESYSTEM_H
#define DRIVEWAY_FILESYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Upper 16 bits: incompatible generation. Lower 16 bits: additions. */
#define DW_API_VERSION 0x00010000u

#define DW_NODE_ROOT ((uint64_t)1)

/* File modes as POSIX <sys/stat.h> has them, for platforms whose header lacks some. */
#define DW_MODE_TYPE	  0170000u
#define DW_MODE_SOCKET	  0140000u
#define DW_MODE_LINK	  0120000u
#define DW_MODE_FILE	  0100000u
#define DW_MODE_BLOCK	  0060000u
#define DW_MODE_FOLDER	  0040000u
#define DW_MODE_CHARACTER 0020000u
#define DW_MODE_FIFO	  0010000u
#define DW_MODE_SETUID	  0004000u
#define DW_MODE_SETGID	  0002000u
#define DW_MODE_STICKY	  0001000u

struct dw_filesystem;
struct dw_host;

struct dw_time {
	int64_t seconds;      /* since 1970-01-01 00:00:00 UTC, may be negative */
	uint32_t nanoseconds; /* 0 to 999999999 */
};

/* What stat(2) and statx(2) tell of a node. */
struct dw_attr {
	uint64_t ino; /* inode number to show; usually the node id */
	uint64_t size;
	uint64_t blocks; /* 512-byte units that are really allocated */
	uint32_t mode;	 /* type and permission bits, DW_MODE_* */
	uint32_t nlink;	 /* number of names; 0 for an orphan */
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev_major; /* of a device node */
	uint32_t rdev_minor;
	uint32_t blksize; /* preferred I/O size; 0 means 4096 */
	uint32_t reserved;
	struct dw_time atime;
	struct dw_time mtime;
	struct dw_time ctime;
	struct dw_time btime; /* birth; all zero where it is not known */
};

/* A node as the answer of lookup and of everything that makes one. */
struct dw_entry {
	uint64_t node;		/* node id; 0 in an answer of lookup means "no such name", to be remembered
				   for entry_timeout */
	uint64_t generation;	/* differs when an id is used again for another file */
	uint64_t entry_timeout; /* nanoseconds that the name may be believed; DW_TIMEOUT_DEFAULT for the
				   drive's own */
	uint64_t attr_timeout;	/* nanoseconds that attr may be believed; likewise */
	struct dw_attr attr;
};

#define DW_TIMEOUT_DEFAULT UINT64_MAX

/* dw_request.flags */
#define DW_REQUEST_NOWAIT   (1u << 0) /* answer at once or return -EAGAIN having changed nothing */
#define DW_REQUEST_REPLAYED (1u << 1) /* was given to an earlier process already; see notes */

/*
 * Memory that lives exactly as long as one request does, even across the death of the process. It
 * is all zero when the request arrives. The file system may use it as it likes: to note what it is
 * about to do and what the state was before, or that it is done and with which result.
 */
struct dw_notes {
	uint64_t word[48];
};

/* One request of one program. Valid until the call returns. */
struct dw_request {
	size_t size;
	uint64_t id;  /* differs from every other request of this drive, also across restarts */
	uint32_t uid; /* who asks; UINT32_MAX where it does not matter or cannot be expressed */
	uint32_t gid;
	uint32_t pid;	/* 0 where it is not visible */
	uint32_t umask; /* for mknod, mkdir, create, tmpfile: already applied to mode, but with DW_FS_ACL, where
			   the file system does it: only in a folder without a default ACL */
	uint32_t flags; /* DW_REQUEST_* */
	uint32_t reserved;
	struct dw_notes *notes;		      /* never NULL */
	const volatile uint32_t *interrupted; /* becomes non-zero when the program was signalled; a
						 call that blocks for long polls it */
};

/* dw_open.flags, set by open and create */
#define DW_OPEN_KEEP_CACHE  (1u << 0) /* what the kernel has cached of this file is still right */
#define DW_OPEN_DIRECT	    (1u << 1) /* no page cache: every read and write is a call */
#define DW_OPEN_NONSEEKABLE (1u << 2)
#define DW_OPEN_NO_FLUSH    (1u << 3) /* do not call flush when a descriptor is closed */
#define DW_OPEN_CACHE_DIR   (1u << 4) /* opendir: the kernel may cache the listing */

struct dw_open {
	uint64_t handle;     /* the file system's name for this open file; 0 is as good as any */
	uint32_t flags;	     /* DW_OPEN_* */
	uint32_t backing_id; /* from dw_host.backing_open: the kernel itself reads and writes the
				backing file and read and write are not called; 0: none */
};

/* setattr: which members of dw_setattr are meant */
#define DW_SET_MODE	 (1u << 0)
#define DW_SET_UID	 (1u << 1)
#define DW_SET_GID	 (1u << 2)
#define DW_SET_SIZE	 (1u << 3)
#define DW_SET_ATIME	 (1u << 4)
#define DW_SET_MTIME	 (1u << 5)
#define DW_SET_CTIME	 (1u << 6)
#define DW_SET_ATIME_NOW (1u << 7) /* with DW_SET_ATIME: the time of the call */
#define DW_SET_MTIME_NOW (1u << 8)
#define DW_SET_KILL_PRIV                                                                                               \
	(1u << 9) /* also clear set-user-id, and set-group-id of a                                                     \
		     group-executable file */

struct dw_setattr {
	uint32_t valid; /* DW_SET_* */
	uint32_t mode;	/* permission bits only */
	uint32_t uid;
	uint32_t gid;
	uint64_t size;
	struct dw_time atime;
	struct dw_time mtime;
	struct dw_time ctime;
};

struct dw_statfs {
	uint64_t blocks; /* in units of block_size */
	uint64_t blocks_free;
	uint64_t blocks_available; /* to users without privileges */
	uint64_t files;
	uint64_t files_free;
	uint32_t block_size;
	uint32_t name_max;
};

/*
 * Where readdir puts what it finds. add copies the name and returns true when the entry fitted;
 * after false, stop and return 0. next is the offset from which a later readdir goes on behind this
 * entry; never 0.
 *   Without attributes (attributes == false): only entry->attr.mode (its type) and entry->attr.ino
 *   are read, and nothing is counted.
 *   With attributes: the whole entry is read, and each entry that fitted counts as one lookup. An
 *   entry with node == 0 gives name and type only.
 * "." and ".." may be left out; they are never counted.
 */
struct dw_listing {
	bool attributes;
	bool (*add)(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		    const struct dw_entry *entry);
};

struct dw_forget {
	uint64_t node;
	uint64_t count; /* lookups given back */
};

#define DW_LOCK_READ   0u
#define DW_LOCK_WRITE  1u
#define DW_LOCK_UNLOCK 2u

struct dw_lock {
	uint64_t start;
	uint64_t end;	/* inclusive; INT64_MAX means to the end of the file */
	uint64_t owner; /* who holds it; equal owners never conflict */
	uint32_t type;	/* DW_LOCK_* */
	uint32_t pid;	/* for getlk to show */
};

/* rename */
#define DW_RENAME_NOREPLACE (1u << 0)
#define DW_RENAME_EXCHANGE  (1u << 1)
/* setxattr */
#define DW_XATTR_CREATE	   (1u << 0)
#define DW_XATTR_REPLACE   (1u << 1)
#define DW_XATTR_KILL_SGID (1u << 2) /* with an ACL: also clear set-group-id of the file */
/* fallocate */
#define DW_FALLOCATE_KEEP_SIZE	(1u << 0)
#define DW_FALLOCATE_PUNCH_HOLE (1u << 1) /* always with KEEP_SIZE */
#define DW_FALLOCATE_ZERO_RANGE (1u << 2)
/* lseek */
#define DW_SEEK_DATA 3u
#define DW_SEEK_HOLE 4u
/* write, release */
#define DW_WRITE_CACHED	   (1u << 0) /* write-back of a page that was mapped; the caller is not known */
#define DW_WRITE_KILL_PRIV (1u << 1) /* as DW_SET_KILL_PRIV */
/* poll: event bits as poll(2) has them on Linux */
#define DW_POLL_IN  0x0001u
#define DW_POLL_OUT 0x0004u
#define DW_POLL_ERR 0x0008u
#define DW_POLL_HUP 0x0010u

/* open and create: access and status flags, numbered as Linux on x86-64 numbers them */
#define DW_O_ACCMODE 00000003u
#define DW_O_RDONLY  00000000u
#define DW_O_WRONLY  00000001u
#define DW_O_RDWR    00000002u
#define DW_O_CREAT   00000100u
#define DW_O_EXCL    00000200u
#define DW_O_TRUNC   00001000u
#define DW_O_APPEND  00002000u /* for knowledge only: write always says at which offset */
#define DW_O_DIRECT  00040000u
#define DW_O_NOATIME 01000000u

/*
 * The operations. fs, req and every pointer are valid for the call only and never NULL unless it
 * says so. In every operation that takes a handle it is what open, create or opendir answered, 0 where
 * those are NULL, and DW_NO_HANDLE where the kernel names no open file.
 */
#define DW_NO_HANDLE UINT64_MAX

struct dw_filesystem_ops {
	size_t size; /* sizeof(struct dw_filesystem_ops) */

	/* --- The four that a read-only drive needs --------------------------------------------- */

	/* Find name in the folder parent. -ENOENT, -ENOTDIR, -EACCES, -ENAMETOOLONG. */
	int (*lookup)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		      struct dw_entry *out);

	/*
	 * Attributes of node. handle: an open handle of it, or DW_NO_HANDLE. *timeout comes as
	 * DW_TIMEOUT_DEFAULT and may be changed (nanoseconds that the answer may be believed).
	 */
	int (*getattr)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		       struct dw_attr *out, uint64_t *timeout);

	/*
	 * List a folder from offset on (0, or a next that an earlier listing gave, also one whose entry
	 * has since been removed). Entries that exist throughout are listed exactly once. Returns 0 at
	 * the end as well: nothing was added. -ENOTDIR, -EACCES, -EINVAL (offset was never given out).
	 */
	int (*readdir)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		       uint64_t offset, struct dw_listing *listing);

	/*
	 * Read up to size bytes at offset into buffer; *done is what was read, less than size only at
	 * the end of the file. -EISDIR, -EACCES, -EBADF (not open for reading).
	 */
	int (*read)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		    void *buffer, size_t size, uint64_t offset, size_t *done);

	/* --- Life of the whole and of nodes ----------------------------------------------------- */

	/* Last call, on no thread but this one; frees fs. NULL: nothing to free. */
	void (*close)(struct dw_filesystem *fs);

	/* Counts of lookups given back. Cannot fail. NULL: ids never go away. */
	void (*forget)(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list,
		       size_t count);

	/* NULL: zero sizes, 255-byte names. */
	int (*statfs)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out);

	/* Make everything durable, sync(2). NULL: nothing to do. -ENOSPC. */
	int (*syncfs)(struct dw_filesystem *fs, const struct dw_request *req);

	/* --- Names ------------------------------------------------------------------------------- */
	/* NULL for any of these: -EROFS if the whole drive is read-only, else -ENOSYS. All of them:
	 * -EROFS, -EACCES, -EPERM, -ENOSPC, -EDQUOT, -ENOTDIR, -ENOENT, -ENAMETOOLONG. */

	/* NULL: -EINVAL. out receives the target without a NUL; *length comes as the room in out. */
	int (*readlink)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *out,
			size_t *length);

	/* A file, FIFO, socket or device. Also used for a regular file if create is NULL. -EEXIST, -EMLINK. */
	int (*mknod)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		     uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor, struct dw_entry *out);
	/* -EEXIST, -EMLINK. */
	int (*mkdir)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		     uint32_t mode, struct dw_entry *out);
	/* -EISDIR, -EBUSY. The node lives on until it is forgotten and closed. */
	int (*unlink)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name);
	/* -ENOTEMPTY, -EBUSY. */
	int (*rmdir)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name);
	/*
	 * Atomic. flags: DW_RENAME_*. Replaces an existing target unless NOREPLACE. -EEXIST, -ENOTEMPTY,
	 * -EISDIR, -EINVAL (into itself, or flags not supported), -EXDEV, -EBUSY, -EMLINK.
	 */
	int (*rename)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		      uint64_t new_parent, const char *new_name, uint32_t flags);
	/* A further name for node. -EEXIST, -EMLINK, -EXDEV. */
	int (*link)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t new_parent,
		    const char *new_name, struct dw_entry *out);
	/* target is NUL-terminated. -EEXIST. */
	int (*symlink)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		       const char *target, struct dw_entry *out);

	/* --- Attributes -------------------------------------------------------------------------- */

	/* Change what in->valid says, all or nothing, and answer the new attributes. NULL: -EROFS or
	 * -ENOSYS. -EPERM, -EACCES, -EROFS, -EFBIG, -ENOSPC, -EISDIR, -EINVAL, -ETXTBSY. */
	int (*setattr)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		       const struct dw_setattr *in, struct dw_attr *out);

	/* NULL for any xattr member: -EOPNOTSUPP. */
	/* flags: DW_XATTR_*. value may be of size 0. -EEXIST, -ENODATA, -ENOSPC, -ERANGE, -EPERM, -E2BIG. */
	int (*setxattr)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
			const void *value, size_t size, uint32_t flags);
	/* *size comes as the room in value and leaves as the value's size; with room 0 only the size is
	 * asked. -ENODATA, -ERANGE (room is non-zero and too small). */
	int (*getxattr)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
			void *value, size_t *size);
	/* Names one after another, each with its NUL; sizes as getxattr. -ERANGE. */
	int (*listxattr)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *list,
			 size_t *size);
	/* -ENODATA. */
	int (*removexattr)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name);

	/* --- Open files -------------------------------------------------------------------------- */

	/*
	 * flags: DW_O_*, and whatever else the caller gave; O_CREAT and O_EXCL never come. DW_O_TRUNC
	 * comes and must be done. NULL: every open is fine, handle 0. -EACCES, -EROFS, -EISDIR, -ENOENT,
	 * -ETXTBSY, -EMFILE.
	 */
	int (*open)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
		    struct dw_open *out);
	/* mknod of a regular file and open in one step. NULL: mknod, then open. -EEXIST and those of open. */
	int (*create)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		      uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open);
	/* A file without a name, open; link may give it one. NULL: -EOPNOTSUPP. */
	int (*tmpfile)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, uint32_t mode,
		       uint32_t flags, struct dw_entry *out, struct dw_open *open);
	/*
	 * Write size bytes at offset; all or an error, except that *done may be less when the device is
	 * full after *done bytes. flags: DW_WRITE_*. NULL: -EROFS or -ENOSYS. -EBADF, -EFBIG, -ENOSPC, -EDQUOT.
	 */
	int (*write)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *done);
	/* A descriptor was closed; others of the same handle may be open. Its error is close(2)'s. Also drops
	 * the POSIX locks of owner. NULL: nothing to do. -ENOSPC, -EDQUOT. */
	int (*flush)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     uint64_t owner);
	/* The last descriptor of handle is closed. Called exactly once for each open. Cannot fail. */
	void (*release)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle);
	/* Make the file durable before returning; data_only as fdatasync(2). NULL: nothing to do. -ENOSPC. */
	int (*fsync)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     bool data_only);

	/* As open, release and fsync, for folders. NULL: handle 0, nothing to do. */
	int (*opendir)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_open *out);
	void (*releasedir)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle);
	int (*fsyncdir)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			bool data_only);

	/* flags: DW_FALLOCATE_*. NULL: -EOPNOTSUPP. -EOPNOTSUPP (flags), -ENOSPC, -EFBIG. */
	int (*fallocate)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			 uint64_t offset, uint64_t length, uint32_t flags);
	/* Copy inside the drive; *done may be less than size. NULL: the kernel reads and writes. -EXDEV,
	 * -EOPNOTSUPP (then the kernel does it), -ENOSPC, -EFBIG. */
	int (*copy_file_range)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node_in,
			       uint64_t handle_in, uint64_t offset_in, uint64_t node_out, uint64_t handle_out,
			       uint64_t offset_out, size_t size, size_t *done);
	/* whence: DW_SEEK_DATA or DW_SEEK_HOLE. NULL: the file is all data. -ENXIO. */
	int (*lseek)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     uint64_t offset, uint32_t whence, uint64_t *out);

	/*
	 * Locks. With all three NULL the kernel does them itself, which is right for every drive that only
	 * this machine uses, costs nothing and survives anything. getlk answers the first lock in the way, or
	 * type DW_LOCK_UNLOCK. setlk and flock: wait says whether to block until it is free, else -EAGAIN.
	 * -EINTR, -EDEADLK, -ENOLCK.
	 */
	int (*getlk)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     struct dw_lock *lock);
	int (*setlk)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     const struct dw_lock *lock, bool wait);
	int (*flock)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     uint64_t owner, uint32_t type, bool wait);

	/* A restricted ioctl: sizes are encoded in command as <asm/ioctl.h> says. *result is ioctl(2)'s value.
	 * *out_size comes as the room in out. NULL: -ENOTTY. */
	int (*ioctl)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     uint32_t command, const void *in, size_t in_size, void *out, size_t *out_size, int32_t *result);
	/* Which of events are there now; when wake is non-zero, call dw_host.poll_wake(wake) once when another
	 * one comes. NULL: always ready. */
	int (*poll)(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		    uint32_t events, uint64_t wake, uint32_t *ready);

	/* Facts about the whole for `driveway status`: one JSON object, NUL-terminated. *size comes as the room in
	 * json and leaves as the length. Never waits for a network. NULL: there are none. -ERANGE (*size is the length
	 * that it needs). */
	int (*report)(struct dw_filesystem *fs, char *json, size_t *size);
};

/* dw_filesystem.flags */
#define DW_FS_NOWAIT	     (1u << 0) /* understands DW_REQUEST_NOWAIT, see "Threads" */
#define DW_FS_PERSISTENT     (1u << 1) /* see "Survival" */
#define DW_FS_READ_ONLY	     (1u << 2) /* every change is -EROFS without a call */
#define DW_FS_ACL	     (1u << 3) /* stores POSIX ACLs as xattrs, and applies umask; checked by the kernel */
#define DW_FS_CACHE_SYMLINKS (1u << 4) /* a link's target never changes while its node lives */
#define DW_FS_CHECKS_ACCESS  (1u << 5) /* checks permissions of the caller itself */
#define DW_FS_BACKING	     (1u << 6) /* will call dw_host.backing_open */
#define DW_FS_INVALIDATES_DATA                                                                                         \
	(1u << 7) /* tells of changes by dw_host.invalidate_node; without it, the                                      \
		     kernel drops cached data when it sees mtime or size change */

/* A file system that is open. Its author puts this struct first in one of his own. */
struct dw_filesystem {
	size_t size;
	const struct dw_filesystem_ops *ops;
	uint32_t flags; /* DW_FS_* */
	uint32_t reserved;
	uint64_t entry_timeout; /* nanoseconds; the drive's defaults */
	uint64_t attr_timeout;
	uint64_t negative_timeout; /* for names that are not there */
};

/*
 * What the host does for a file system. Every function may be called from any thread from the
 * provider's open on until ops->close is called, and returns 0 or a negative errno. host is the pointer that
 * the provider's open received.
 */
struct dw_host {
	size_t size;

	/* level: 0 error, 1 warning, 2 information, 3 trace. message: one line without a newline. */
	void (*log)(struct dw_host *host, int level, const char *message);

	/*
	 * The kernel forgets what it has cached. These return at once (the message is queued), so they may be called
	 * from inside an operation. A message that was queued is sent even when this process dies, then by the next.
	 * length 0: to the end. -ENOMEM (too many wait).
	 */
	int (*invalidate_node)(struct dw_host *host, uint64_t node, uint64_t offset, uint64_t length);
	/* expire_only: ask again at the next use instead of dropping the name at once. */
	int (*invalidate_entry)(struct dw_host *host, uint64_t parent, const char *name, bool expire_only);
	/* The name is gone, and child was its node; tells programs that watch the folder. */
	int (*entry_deleted)(struct dw_host *host, uint64_t parent, uint64_t child, const char *name);
	int (*poll_wake)(struct dw_host *host, uint64_t wake);

	/*
	 * Passthrough: hand the kernel an open file that holds a node's whole content; fd stays the
	 * caller's. *id goes into dw_open.backing_id of every open of the node until the last one is released,
	 * then backing_close. An id stays valid across a restart of the service. -EOPNOTSUPP: this
	 * kernel or these privileges have none; serve read and write instead.
	 */
	int (*backing_open)(struct dw_host *host, int fd, uint32_t *id);
	int (*backing_close)(struct dw_host *host, uint32_t id);

	/*
	 * Kept memory: size bytes (address space; pages cost memory only when touched) that live as long as
	 * the drive, whatever happens to this process. The first call for a name makes it, all zero, and
	 * sets *fresh; a later one, after a restart too, gives the same bytes, at another address perhaps. name: 1 to
	 * 31 bytes. *fd, unless fd is NULL, receives a descriptor of the region (mmap, fallocate to punch holes) that
	 * belongs to the host. -EINVAL (another size than before), -ENOSPC (16 regions a drive).
	 */
	int (*keep)(struct dw_host *host, const char *name, uint64_t size, void **address, bool *fresh, int *fd);

	/*
	 * Kept descriptors: the host holds a duplicate of fd under key until it is dropped, whatever
	 * happens to this process; kept_fd_get gives a new descriptor, the caller's. For files that
	 * cannot be opened again, such as one that is unlinked while open. -EEXIST, -ENOENT, -ENFILE.
	 */
	int (*kept_fd_put)(struct dw_host *host, uint64_t key, int fd);
	int (*kept_fd_get)(struct dw_host *host, uint64_t key, int *fd);
	int (*kept_fd_drop)(struct dw_host *host, uint64_t key);
};

/* What the person who maps a drive said. Strings belong to the caller; copy what is needed later. */
struct dw_option {
	const char *key;
	const char *value; /* "" where none was given */
};

struct dw_source {
	size_t size;
	const char *rest;		 /* SOURCE behind "PROVIDER:", may be empty; relative paths are made absolute
					    only by providers that set DW_PROVIDER_PATH */
	const char *cache;		 /* folder for what the provider wants to keep on disk; exists, private */
	const struct dw_option *options; /* those that are not the host's own; an unknown one is an error */
	size_t option_count;
	bool read_only;
	bool restarted; /* the drive is mapped already and an earlier process died or was replaced */
};

/* dw_provider.flags */
/* rest is a path on this machine: it is made absolute */
#define DW_PROVIDER_PATH (1u << 0)
/* all its drives are DW_FS_READ_ONLY: mounted so that every program sees it */
#define DW_PROVIDER_READ_ONLY (1u << 1)

/*
 * A provider makes file systems of a kind. A plug-in is a shared object named PROVIDER.so in the plug-in
 * folder, or given by its path, that exports
 *     const struct dw_provider driveway_provider = { .size = sizeof(struct dw_provider),
 *         .version = DW_API_VERSION, .name = "...", ... };
 */
struct dw_provider {
	size_t size;
	uint32_t version;    /* DW_API_VERSION */
	uint32_t flags;	     /* DW_PROVIDER_* */
	const char *name;    /* lower-case letters, digits, '-' */
	const char *summary; /* one line for `driveway map --help` */
	const char *options; /* "key=what it is\n..." for help; NULL: none */

	/*
	 * Open source. On success *out is a file system that lives until its ops->close. On failure a negative errno,
	 * and error (error_size bytes, comes empty) may receive one line that says what is wrong and what to do. May
	 * block (it runs on a thread of its own). No operation comes before it returns.
	 */
	int (*open)(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
		    struct dw_filesystem **out, char *error, size_t error_size);
};

#define DW_PROVIDER_SYMBOL "driveway_provider"

#ifdef __cplusplus
}
#endif

#endif
