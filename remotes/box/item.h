/* SPDX-License-Identifier: MIT */
/*
 * item.h - files and folders of Box as items of a remote
 *
 * Box numbers files and folders apart, and asks for them at different addresses. So an id towards the cache says which
 * it is: "f123" a file, "d123" a folder, "w123" a web link. Only such ids ever reach an address, as letters, digits,
 * '-' and '_' (item_number).
 *
 * A content name is "VERSION-SHA1": the number of the file's version, with which exactly these bytes can be asked for
 * again, and what they hash to, so that whoever reads all of them can check them without another call. "VERSION" alone
 * where Box has not said the SHA-1.
 *
 * The root of a drive of a folder inside the account has a made-up id (root.h) in place of its own, everywhere.
 *
 * Pure functions: any thread.
 */
#ifndef BOX_ITEM_H
#define BOX_ITEM_H

#include <driveway/remote.h>
#include <jansson.h>

#define BOX_NUMBER_MAX	   64
#define BOX_PROPERTIES_MAX 128
#define BOX_KEY_MAX	   64

/* What to ask for with fields=, so that an answer holds all that box_item_read reads. */
#define BOX_FIELDS_LIST                                                                                                \
	"type,id,etag,name,sha1,size,file_version,content_created_at,content_modified_at,created_at,modified_at,"      \
	"item_status,metadata.global.properties"
#define BOX_FIELDS_ITEM BOX_FIELDS_LIST ",parent,permissions"

/* An item and the memory that it points to; name and properties belong to the JSON that it was read from. */
struct box_item {
	struct dw_remote_item item;
	char id[BOX_NUMBER_MAX + 2];
	char parent[BOX_NUMBER_MAX + 2];
	char etag[BOX_NUMBER_MAX];
	char content[BOX_NUMBER_MAX + 44];
	bool trashed; /* item_status says so */
	struct dw_remote_property properties[BOX_PROPERTIES_MAX];
};

/* How the ids of a drive differ from Box's: NULL, or both. */
struct box_alias {
	const char *real; /* "d123" */
	const char *shown;
};

/*
 * Read an item. parent: id of the folder that it is known to be in, where the answer does not say; NULL: not known.
 * alias may be NULL. -EPROTO: it is no item.
 */
int box_item_read(struct box_item *out, const json_t *json, const char *parent, const struct box_alias *alias);
/* The properties of an answer that is nothing else. */
void box_item_properties(struct box_item *out, const json_t *properties);

/* The number in an id of this type; NULL: the id is of another type or none. */
const char *box_number(const char *id, enum dw_remote_type type);
/* DW_REMOTE_FILE, _FOLDER or _OTHER; 0: it is no id. */
enum dw_remote_type box_id_type(const char *id);
/* Whether text can stand in an address as it is. */
bool box_number_valid(const char *text);
/* Take a content name apart; digest: 20 bytes; *hashed: whether there is one. false: it is no content name. */
bool box_content_parse(const char *content, char version[BOX_NUMBER_MAX], uint8_t digest[20], bool *hashed);

#endif
