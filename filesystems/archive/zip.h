/* SPDX-License-Identifier: MIT */
/*
 * zip.h - where the content of a zip member is
 *
 * libarchive reads a zip file's names and attributes, but says neither how a member is compressed nor where its local
 * header is. The table of members at the end of the file (central directory) says both. A place is only believed
 * when the local header that is really there ends exactly where libarchive says that the member's data begins.
 */
#ifndef ARCHIVE_ZIP_H
#define ARCHIVE_ZIP_H

#include "filesystems/archive/space.h"
#include "filesystems/archive/window.h"

struct zip_member {
	uint64_t header; /* offset of the local header */
	uint64_t packed_size;
	uint64_t size;
	uint32_t check; /* CRC-32 of the content */
	uint16_t method;
	uint16_t flags;
};

#define ZIP_STORED	   0u
#define ZIP_DEFLATED	   8u
#define ZIP_FLAG_ENCRYPTED (1u << 0)
#define ZIP_FLAG_STREAMED  (1u << 3) /* sizes stand behind the data */

struct zip_directory;

/* Read the central directory of a file space. *out is NULL when there is none that can be read. -ENOMEM, -EIO. */
int zip_directory_read(struct zip_directory **out, struct space *space);
void zip_directory_free(struct zip_directory *directory);

/*
 * The member whose data begins at data. hint: where its local header may be when the directory (may be
 * NULL) does not have it. Returns false when no local header ends there.
 */
bool zip_locate(const struct zip_directory *directory, struct window *window, uint64_t data, uint64_t hint,
		struct zip_member *out);

#endif
