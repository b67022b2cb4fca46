/* SPDX-License-Identifier: MIT */
/*
 * decode.h - from the bytes of a request to its parts
 *
 * A request is a header, then the operation's own struct, then names, then data. The two transports
 * deliver this in different places (all in one run of bytes, or struct and rest apart), so the
 * decoder is given the three parts with their lengths and trusts none of them: every length is
 * checked against what was delivered, every name ends inside it. It changes nothing, allocates
 * nothing and keeps no state.
 *
 * The table of operations says for each what its struct is (the shortest that a kernel from 7.31
 * on sends, and the whole), how many names follow and whether data does. A struct that came shorter than whole
 * is filled up with zeros.
 */
#ifndef CHANNEL_FUSE_DECODE_H
#define CHANNEL_FUSE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

/* Longest name that a file system is given, without its NUL. */
#define DECODE_NAME_MAX 255u

union decode_arguments {
	struct fuse_forget_in forget;
	struct fuse_batch_forget_in batch_forget;
	struct fuse_getattr_in getattr;
	struct fuse_statx_in statx;
	struct fuse_setattr_in setattr;
	struct fuse_mknod_in mknod;
	struct fuse_mkdir_in mkdir;
	struct fuse_rename_in rename;
	struct fuse_rename2_in rename2;
	struct fuse_link_in link;
	struct fuse_open_in open;
	struct fuse_create_in create;
	struct fuse_read_in read;
	struct fuse_write_in write;
	struct fuse_release_in release;
	struct fuse_flush_in flush;
	struct fuse_fsync_in fsync;
	struct fuse_setxattr_in setxattr;
	struct fuse_getxattr_in getxattr;
	struct fuse_lk_in lk;
	struct fuse_access_in access;
	struct fuse_init_in init;
	struct fuse_interrupt_in interrupt;
	struct fuse_ioctl_in ioctl;
	struct fuse_poll_in poll;
	struct fuse_fallocate_in fallocate;
	struct fuse_lseek_in lseek;
	struct fuse_copy_file_range_in copy_file_range;
	struct fuse_syncfs_in syncfs;
	struct fuse_notify_retrieve_in notify_reply;
};

/* A request in parts. Pointers point into the bytes that were decoded. */
struct fuse_request {
	uint32_t opcode;
	uint64_t node;
	union decode_arguments in;
	const char *name; /* NUL-terminated; NULL when the operation has none */
	size_t name_length;
	const char *name2; /* second name, or the target of a symbolic link */
	size_t name2_length;
	const void *data;
	size_t data_size;
};

/* What one operation's message looks like. */
struct decode_shape {
	const char *label; /* NULL: no such operation */
	uint16_t least;	   /* bytes of the shortest struct */
	uint16_t whole;	   /* bytes of the struct as we know it */
	uint8_t names;
	bool data;
	bool no_reply;
};

/* The shape of opcode; label is NULL when it is not known. Never NULL. */
const struct decode_shape *decode_shape(uint32_t opcode);

/*
 * Take a request to parts. operation: operation_size bytes that hold the struct; payload: payload_size bytes of what
 * follows it. short_setxattr: FUSE_SETXATTR_EXT was not agreed, so that struct has 8 bytes. Returns 0, -ENOSYS
 * (operation not known), -EINVAL (too short, a name without an end, "", ".", ".." or with a slash), -ENAMETOOLONG.
 */
int decode_parts(const struct fuse_in_header *header, const void *operation, size_t operation_size, const void *payload,
		 size_t payload_size, bool short_setxattr, struct fuse_request *out);

/*
 * The same for a request in one run: body is the body_size bytes behind the header. Here also -EINVAL when
 * header->len does not say the same.
 */
int decode_run(const struct fuse_in_header *header, const void *body, size_t body_size, bool short_setxattr,
	       struct fuse_request *out);

/* Bytes of the operation's struct in a message: how the ring transport splits it off. */
size_t decode_operation_size(uint32_t opcode, bool short_setxattr);

#endif
