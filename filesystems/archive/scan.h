/* SPDX-License-Identifier: MIT */
/*
 * scan.h - read all headers of an archive and make its index
 *
 * libarchive finds the members; for each the scan decides where its content will be read from later (index.h):
 *
 *   tar, cpio, ar, iso, warc   stored as it is: the place of the first block, checked against the block
 *                              that libarchive returned; what does not agree is decoded in sequence
 *   zip                        by the local header (zip.h), stored, deflated, or by libarchive from there
 *   7z, rar, cab, lha, xar     decoded in sequence
 *
 * Sizes that no header tells are found by decoding the member once.
 */
#ifndef ARCHIVE_SCAN_H
#define ARCHIVE_SCAN_H

#include "filesystems/archive/index.h"
#include "filesystems/archive/space.h"

#include <sys/stat.h>

struct scan_source {
	struct space *base;
	bool filtered;		  /* base is a decoded space */
	const char *name;	  /* the archive's own file name */
	const struct stat *state; /* of the archive file */
	const char *password;	  /* or NULL */
	struct index_identity identity;
};

/*
 * Make the index. An archive that is damaged or ends early gives an index of what comes before, with INDEX_DAMAGED. On
 * failure error (size bytes) says what is wrong. -EINVAL (no archive), -EIO, -ENOMEM, -EFBIG.
 */
int scan_archive(const struct scan_source *source, struct index *out, char *error, size_t error_size);

#endif
