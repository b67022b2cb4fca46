/* SPDX-License-Identifier: MIT */
#include "remotes/box/item.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHA1_BYTES 20u

bool box_number_valid(const char *text)
{
	size_t length = strlen(text);

	if (!length || length >= BOX_NUMBER_MAX)
		return false;
	for (; *text; text++) {
		char c = *text;

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
		      c == '_'))
			return false;
	}
	return true;
}

enum dw_remote_type box_id_type(const char *id)
{
	if (!*id || !box_number_valid(id + 1))
		return 0;
	return *id == 'f' ? DW_REMOTE_FILE : *id == 'd' ? DW_REMOTE_FOLDER : *id == 'w' ? DW_REMOTE_OTHER : 0;
}

const char *box_number(const char *id, enum dw_remote_type type)
{
	return box_id_type(id) == type ? id + 1 : NULL;
}

static bool parse_sha1(const char *text, uint8_t out[SHA1_BYTES])
{
	if (!text || strlen(text) != (size_t)2 * SHA1_BYTES)
		return false;
	for (size_t i = 0; i < SHA1_BYTES; i++) {
		int high = box_hex_digit(text[2 * i]), low = box_hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}

bool box_content_parse(const char *content, char version[BOX_NUMBER_MAX], uint8_t digest[20], bool *hashed)
{
	const char *dash = strrchr(content, '-');
	size_t length = dash ? (size_t)(dash - content) : strlen(content);

	*hashed = dash && parse_sha1(dash + 1, digest);
	if (!*hashed)
		length = strlen(content);
	if (!length || length >= BOX_NUMBER_MAX)
		return false;
	memcpy(version, content, length);
	version[length] = 0;
	return box_number_valid(version);
}

static bool read_id(char out[BOX_NUMBER_MAX + 2], const json_t *json, const struct box_alias *alias)
{
	const char *type = box_json_text(json, "type");

	if (!type || !box_json_copy(json, "id", out + 1, BOX_NUMBER_MAX) || !box_number_valid(out + 1))
		return false;
	out[0] = strcmp(type, "file") == 0 ? 'f' : strcmp(type, "folder") == 0 ? 'd' : 'w';
	if (alias && strcmp(out, alias->real) == 0)
		return text_copy(out, BOX_NUMBER_MAX + 2, alias->shown);
	return true;
}

static uint32_t read_rights(const json_t *permissions, enum dw_remote_type type)
{
	static const struct {
		const char *name;
		uint32_t right;
	} rights[] = {{"can_rename", DW_REMOTE_MAY_RENAME},
		      {"can_delete", DW_REMOTE_MAY_DELETE},
		      {"can_upload", DW_REMOTE_MAY_WRITE},
		      {"can_download", DW_REMOTE_MAY_READ}};
	uint32_t out = DW_REMOTE_MAY_READ | DW_REMOTE_MAY_WRITE | DW_REMOTE_MAY_RENAME | DW_REMOTE_MAY_DELETE;

	for (size_t i = 0; i < sizeof(rights) / sizeof(*rights); i++) {
		/* A folder that may not be downloaded as a whole can be listed all the same. */
		if (json_is_false(json_object_get(permissions, rights[i].name)) &&
		    (type == DW_REMOTE_FILE || rights[i].right != DW_REMOTE_MAY_READ))
			out &= ~rights[i].right;
	}
	return out;
}

static bool key_valid(const char *key)
{
	size_t length = strlen(key);

	return length && length <= BOX_KEY_MAX &&
	       strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == length;
}

void box_item_properties(struct box_item *out, const json_t *properties)
{
	const char *key;
	json_t *value;

	out->item.properties_known = true;
	out->item.property_count = 0;
	json_object_foreach((json_t *)properties, key, value)
	{
		const char *text = box_json_text(properties, key);

		if (!text || !key_valid(key) || out->item.property_count == BOX_PROPERTIES_MAX)
			continue;
		out->properties[out->item.property_count++] = (struct dw_remote_property){.key = key, .value = text};
	}
	out->item.properties = out->properties;
}

static int read_file(struct box_item *out, const json_t *json)
{
	const char *sha1 = box_json_text(json, "sha1");
	char version[BOX_NUMBER_MAX];

	if (!box_json_number(json, "size", &out->item.bytes))
		return -EPROTO;
	if (parse_sha1(sha1, out->item.digest))
		out->item.digest_length = SHA1_BYTES;
	if (!box_json_copy(json_object_get(json, "file_version"), "id", version, sizeof(version)) ||
	    !box_number_valid(version))
		return -EPROTO;
	snprintf(out->content, sizeof(out->content), out->item.digest_length ? "%s-%s" : "%s", version,
		 sha1 ? sha1 : "");
	return 0;
}

static struct dw_time first_time(const json_t *json, const char *better, const char *other)
{
	struct dw_time time = box_json_time(json, better);

	return time.seconds || time.nanoseconds ? time : box_json_time(json, other);
}

int box_item_read(struct box_item *out, const json_t *json, const char *parent, const struct box_alias *alias)
{
	const char *name = box_json_text(json, "name");
	const char *status = box_json_text(json, "item_status");
	const json_t *metadata = json_object_get(json, "metadata");
	int error = 0;

	memset(out, 0, offsetof(struct box_item, properties));
	if (!json_is_object(json) || !name || !read_id(out->id, json, alias))
		return -EPROTO;
	if (!parent || !text_copy(out->parent, sizeof(out->parent), parent)) {
		const json_t *folder = json_object_get(json, "parent");

		if (!json_is_object(folder) || !read_id(out->parent, folder, alias))
			out->parent[0] = 0;
	}
	box_json_copy(json, "etag", out->etag, sizeof(out->etag));
	out->trashed = status && strcmp(status, "active") != 0;
	out->item = (struct dw_remote_item){
		.size = sizeof(struct dw_remote_item),
		.type = out->id[0] == 'f'   ? DW_REMOTE_FILE
			: out->id[0] == 'w' ? DW_REMOTE_OTHER
					    : DW_REMOTE_FOLDER,
		.id = out->id,
		.parent = out->parent,
		.name = name,
		.etag = out->etag,
		.content = out->content,
		.created = first_time(json, "content_created_at", "created_at"),
		.modified = first_time(json, "content_modified_at", "modified_at"),
	};
	out->item.rights = read_rights(json_object_get(json, "permissions"), out->item.type);
	if (out->item.type == DW_REMOTE_FILE)
		error = read_file(out, json);
	/* null: asked for, and there are none */
	if (!error && metadata)
		box_item_properties(out, box_json_at(metadata, "global", "properties"));
	return error;
}
