/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - the FUSE protocol's numbers and structs, all that we use
 *
 * <linux/fuse.h> of a stable distribution is older than the kernels that people run (Debian 12
 * ships 7.38, Linux 6.18 speaks 7.45). What it lacks is defined here and nowhere else, from the
 * kernel's include/uapi/linux/fuse.h and Documentation/filesystems/fuse/. Each group is guarded by
 * the minor version that brought it, so that a newer system header takes over.
 */
#ifndef CHANNEL_FUSE_PROTOCOL_H
#define CHANNEL_FUSE_PROTOCOL_H

#include <linux/fuse.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* What we say we speak. Older kernels answer with less, down to PROTOCOL_MINOR_MIN (Linux 5.4). */
#define PROTOCOL_MINOR	   45u
#define PROTOCOL_MINOR_MIN 31u

#if FUSE_KERNEL_MINOR_VERSION < 39
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#define FUSE_STATX		  52
struct fuse_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t __reserved;
};
struct fuse_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t __spare0[1];
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct fuse_sx_time atime;
	struct fuse_sx_time btime;
	struct fuse_sx_time ctime;
	struct fuse_sx_time mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t __spare2[14];
};
struct fuse_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};
struct fuse_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct fuse_statx stat;
};
#endif

#if FUSE_KERNEL_MINOR_VERSION < 40
#define FOPEN_PASSTHROUGH      (1 << 7)
#define FUSE_PASSTHROUGH       (1ULL << 37)
#define FUSE_NO_EXPORT_SUPPORT (1ULL << 38)
#define FUSE_HAS_RESEND	       (1ULL << 39)
#define FUSE_UNIQUE_RESEND     (1ULL << 63)
#define FUSE_NOTIFY_RESEND     7
struct fuse_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define FUSE_DEV_IOC_BACKING_OPEN  _IOW(FUSE_DEV_IOC_MAGIC, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(FUSE_DEV_IOC_MAGIC, 2, uint32_t)
#endif
/* fuse_init_out of 7.40 has max_stack_depth at byte 36 and fuse_open_out has backing_id at byte 12, both in
 * what older headers call unused or padding. */
#define PROTOCOL_INIT_OUT_STACK_DEPTH_OFFSET 36
#define PROTOCOL_OPEN_OUT_BACKING_ID_OFFSET  12

#if FUSE_KERNEL_MINOR_VERSION < 41
#define FUSE_ALLOW_IDMAP (1ULL << 40)
#endif

#if FUSE_KERNEL_MINOR_VERSION < 42
#define FUSE_OVER_IO_URING	    (1ULL << 41)
#define FUSE_URING_IN_OUT_HEADER_SZ 128
#define FUSE_URING_OP_IN_OUT_SZ	    128
struct fuse_uring_ent_in_out {
	uint64_t flags;
	uint64_t commit_id;  /* names the request in COMMIT_AND_FETCH */
	uint32_t payload_sz; /* of the request; of the reply on commit */
	uint32_t padding;
	uint64_t reserved;
};
struct fuse_uring_req_header {
	char in_out[FUSE_URING_IN_OUT_HEADER_SZ]; /* fuse_in_header, then fuse_out_header */
	char op_in[FUSE_URING_OP_IN_OUT_SZ];	  /* the operation's own struct */
	struct fuse_uring_ent_in_out ring_ent_in_out;
};
enum fuse_uring_cmd {
	FUSE_IO_URING_CMD_INVALID = 0,
	FUSE_IO_URING_CMD_REGISTER = 1,
	FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2,
};
/* The 80 bytes behind a 128-byte submission entry. */
struct fuse_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t qid;
	uint8_t padding[6];
};
#endif

#if FUSE_KERNEL_MINOR_VERSION < 43
#define FUSE_REQUEST_TIMEOUT (1ULL << 42)
#endif

#if FUSE_KERNEL_MINOR_VERSION < 45
#define FUSE_COPY_FILE_RANGE_64 53
#define FUSE_NOTIFY_INC_EPOCH	8
#define FUSE_NOTIFY_PRUNE	9
struct fuse_copy_file_range_out {
	uint64_t bytes_copied;
};
#endif

#endif
