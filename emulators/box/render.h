/* SPDX-License-Identifier: MIT */
/*
 * render.h - items as Box writes them in JSON
 *
 * With no fields asked for an item is written in full, or, as an entry of a list, as its mini form. With fields asked
 * for, type, id and etag are written and what was asked for; what Box does not know is left out.
 *
 * Threads: with the store's lock held.
 */
#ifndef BOX_RENDER_H
#define BOX_RENDER_H

#include "emulators/box/item.h"

#define RENDER_FIELDS 64

/* Which members to write. */
struct fields {
	bool given;
	int count;
	char text[2048];
	const char *names[RENDER_FIELDS];
};

enum render_form {
	RENDER_FULL,
	RENDER_MINI,
};

/* The fields of the query. */
void fields_read(struct request *request, struct fields *fields);

/* A new reference, or NULL when memory ran out. */
json_t *render_item(struct request *request, const struct item *item, const struct fields *fields,
		    enum render_form form);
json_t *render_full(struct request *request, const struct item *item);
/* As the source of an event: in full but for what costs a walk over a folder. */
json_t *render_source(struct request *request, const struct item *item);
json_t *render_mini(struct request *request, const struct item *item);
json_t *render_user(struct emulator *emulator, int64_t id);
/* A time, or null for 0. */
json_t *render_time(int64_t time);
json_t *render_number_text(int64_t number);
/* A version row of "id, sha1, size, name, created, modified, number". */
json_t *render_version(sqlite3_stmt *statement);
/* An instance of metadata, or NULL when there is none. */
json_t *render_metadata(struct store *store, const struct item *item, const char *scope, const char *template);

#endif
