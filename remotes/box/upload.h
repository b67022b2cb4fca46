/* SPDX-License-Identifier: MIT */
/*
 * upload.h - what uploads in one go and in parts have in common
 *
 * Threads: any; a struct box_sending_content belongs to one call.
 */
#ifndef BOX_UPLOAD_H
#define BOX_UPLOAD_H

#include "remotes/box/box.h"
#include "remotes/box/digest.h"

/* A piece of a content on its way. */
struct box_sending_content {
	const struct dw_remote_content *content;
	uint64_t start; /* of the piece, in the content */
	int error;	/* what content->read answered */
	struct http_source source;
};

void box_sending_init(struct box_sending_content *sending, const struct dw_remote_content *content, uint64_t start,
		      uint64_t bytes);
/* For struct box_request.sent; the context is the struct. */
void box_sending_told(void *context, uint64_t sent);

/* The SHA-1 of all of content: as it says, or by reading it. */
int box_content_digest(struct dw_remote_call *call, const struct dw_remote_content *content, uint8_t digest[BOX_SHA1]);
/* Where a place is: real ids of the file (id is set) or of the folder. The name is checked. */
int box_place_resolve(struct box *box, struct dw_remote_call *call, const struct dw_remote_place *place,
		      char real[BOX_NUMBER_MAX + 2]);
/* {"name", "parent", "content_modified_at"} as far as they are to be set; NULL: the name is no UTF-8, or no memory. */
json_t *box_attributes(const struct dw_remote_place *place, const char *real, const struct dw_remote_content *content);
/* Whether the place holds a file with this digest; answer and item are it. Any failure counts as no. */
bool box_place_holds(struct box *box, struct dw_remote_call *call, const struct dw_remote_place *place,
		     const char *real, uint64_t bytes, const uint8_t digest[BOX_SHA1], struct box_answer *answer,
		     struct box_item *item);

#endif
