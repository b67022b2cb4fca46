/* SPDX-License-Identifier: MIT */
/*
 * security.h - security descriptors (self-relative) from owner, group and mode, and back
 *
 * Who: the user and group that the drive belongs to have the SIDs that the volume was given; every other id N is
 * S-1-22-1-N (users) or S-1-22-2-N (groups), as Samba shows them. All others: S-1-1-0, Everyone.
 *
 * The list of a mode: what a class of the mode may not, but a later class may, is denied first, so that evaluating the
 * list in order gives each class just its bits. r, w and x are FILE_GENERIC_READ, WRITE (of a folder with
 * FILE_DELETE_CHILD) and EXECUTE; the owner may always read and change the descriptor and the attributes, and delete.
 *
 * Back: each class has the bits whose rights to the data its SIDs are given by the list, evaluated in order; entries
 * that are only inherited, and of types other than allowing and denying, count for nothing. No list at all: everything.
 *
 * A descriptor from outside is believed in nothing: every offset and length is checked. No state; any thread.
 */
#ifndef CHANNEL_IOCTL_SECURITY_H
#define CHANNEL_IOCTL_SECURITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SID_SIZE_MAX	  68u /* with 15 sub-authorities */
#define SECURITY_SIZE_MAX 1024u

struct sid {
	uint32_t size; /* 0: none */
	uint8_t bytes[SID_SIZE_MAX];
};

/* Whose the drive is. */
struct security_owner {
	uint32_t uid;
	uint32_t gid;
	struct sid user;  /* that uid is; none: S-1-22-1-uid */
	struct sid group; /* likewise */
};

/* What a descriptor says of a file. */
struct security {
	uint32_t uid;
	uint32_t gid;
	uint32_t mode; /* permission bits */
};

/* The parts that information (SECURITY_INFORMATION) asks for; the descriptor's size. */
size_t security_build(const struct security_owner *owner, const struct security *from, bool is_folder,
		      uint32_t information, uint8_t out[SECURITY_SIZE_MAX]);

/*
 * Change what of *to is meant by information and is in the descriptor. STATUS_INVALID_SECURITY_DESCR,
 * STATUS_INVALID_OWNER and STATUS_INVALID_PRIMARY_GROUP (a SID that no id has): *to is as it was.
 */
int32_t security_parse(const struct security_owner *owner, const void *descriptor, size_t size, uint32_t information,
		       struct security *to);

/* A SID from size bytes; false when it is none. *out then has its own size. */
bool sid_read(const void *bytes, size_t size, struct sid *out);

#endif
