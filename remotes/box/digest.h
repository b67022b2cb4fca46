/* SPDX-License-Identifier: MIT */
/*
 * digest.h - SHA-1 of what goes up and comes down, and base64
 *
 * Box checks every part and every file by SHA-1. It guards against broken transfers, not against forgery.
 */
#ifndef BOX_DIGEST_H
#define BOX_DIGEST_H

#include <driveway/remote.h>

#define BOX_SHA1      20
#define BOX_SHA1_HEX  41
#define BOX_SHA1_TEXT 29 /* base64 */

struct box_digest; /* one hash under way, for one thread */

/* NULL: no memory. */
struct box_digest *box_digest_begin(void);
void box_digest_add(struct box_digest *digest, const void *data, size_t size);
/* Frees digest, which may be NULL; out may be NULL. -ENOMEM, -EIO. */
int box_digest_end(struct box_digest *digest, uint8_t out[BOX_SHA1]);

/*
 * Of bytes [offset, offset + bytes) of content, read in pieces. -ECANCELED (*cancelled, may be NULL), -ENOMEM, or what
 * content->read answers.
 */
int box_digest_content(const struct dw_remote_content *content, uint64_t offset, uint64_t bytes,
		       const volatile uint32_t *cancelled, uint8_t out[BOX_SHA1]);

void box_digest_hex(const uint8_t digest[BOX_SHA1], char out[BOX_SHA1_HEX]);
void box_digest_base64(const uint8_t digest[BOX_SHA1], char out[BOX_SHA1_TEXT]);

/* RFC 4648 section 5, without padding; out has room for (size + 2) / 3 * 4 + 1. */
void box_base64url(const void *data, size_t size, char *out);

#endif
