/* SPDX-License-Identifier: MIT */
#include "messages.h"

#include <string.h>

#include "channel/fuse/decode.h"

size_t message_make(uint32_t opcode, void *buffer)
{
	const struct decode_shape *shape = decode_shape(opcode);
	struct fuse_in_header *header = buffer;
	char *at = (char *)(header + 1);
	union decode_arguments in;

	if (!shape->label)
		return 0;
	memset(buffer, 0, MESSAGE_MAX);
	memset(&in, 0, sizeof(in));
	switch (opcode) {
	case FUSE_WRITE:
		in.write.size = 4;
		break;
	case FUSE_SETXATTR:
		in.setxattr.size = 4;
		break;
	case FUSE_IOCTL:
		in.ioctl.in_size = 4;
		in.ioctl.out_size = 4;
		break;
	case FUSE_BATCH_FORGET:
		in.batch_forget.count = 2;
		break;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		in.read.size = 4096;
		break;
	case FUSE_INIT:
		in.init.major = FUSE_KERNEL_VERSION;
		in.init.minor = PROTOCOL_MINOR;
		break;
	default:
		break;
	}
	memcpy(at, &in, shape->whole);
	at += shape->whole;
	for (unsigned i = 0; i < shape->names; i++) {
		const char *name = i ? "other" : "name";

		memcpy(at, name, strlen(name) + 1);
		at += strlen(name) + 1;
	}
	if (opcode == FUSE_BATCH_FORGET) {
		memset(at, 0, 2 * sizeof(struct fuse_forget_one));
		at += 2 * sizeof(struct fuse_forget_one);
	} else if (shape->data) {
		memcpy(at, "data", 4);
		at += 4;
	}
	header->len = (uint32_t)(at - (char *)buffer);
	header->opcode = opcode;
	header->unique = 2;
	header->nodeid = 1;
	return header->len;
}
