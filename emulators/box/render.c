/* SPDX-License-Identifier: MIT */
#include "emulators/box/render.h"

#include "support/text.h"

#include <stdlib.h>
#include <string.h>

void fields_read(struct request *request, struct fields *fields)
{
	const char *text = request_query(request, "fields");
	char *next, *one;

	fields->given = false;
	fields->count = 0;
	if (!text || !*text)
		return;
	fields->given = true;
	text_copy(fields->text, sizeof(fields->text), text);
	next = fields->text;
	while ((one = strsep(&next, ",")) && fields->count < RENDER_FIELDS) {
		if (*one)
			fields->names[fields->count++] = one;
	}
}

json_t *render_time(int64_t time)
{
	char text[CLOCK_TEXT];

	if (!time)
		return json_null();
	clock_format(text, time);
	return json_string(text);
}

json_t *render_number_text(int64_t number)
{
	return json_sprintf("%lld", (long long)number);
}

json_t *render_user(struct emulator *emulator, int64_t id)
{
	sqlite3_stmt *statement = store_ask(emulator->store, "SELECT name, login FROM user WHERE id = ?", "i", id);
	json_t *user;

	if (!store_next(emulator->store, statement))
		return json_null();
	user = json_pack("{s:s, s:o, s:s, s:s}", "type", "user", "id", render_number_text(id), "name",
			 store_text(statement, 0), "login", store_text(statement, 1));
	store_done(statement);
	return user;
}

json_t *render_version(sqlite3_stmt *statement)
{
	return json_pack("{s:s, s:o, s:s, s:I, s:s, s:o, s:o, s:o, s:n, s:n, s:n}", "type", "file_version", "id",
			 render_number_text(sqlite3_column_int64(statement, 0)), "sha1", store_text(statement, 1),
			 "size", (json_int_t)sqlite3_column_int64(statement, 2), "name", store_text(statement, 3),
			 "created_at", render_time(sqlite3_column_int64(statement, 4)), "modified_at",
			 render_time(sqlite3_column_int64(statement, 5)), "version_number",
			 render_number_text(sqlite3_column_int64(statement, 6)), "trashed_at", "restored_at",
			 "purged_at");
}

json_t *render_metadata(struct store *store, const struct item *item, const char *scope, const char *template)
{
	sqlite3_stmt *statement;
	json_t *data;
	char id[ITEM_ID];

	if (!(item->extras & ITEM_METADATA))
		return NULL;
	statement = store_ask(store,
			      "SELECT id, version, data FROM metadata WHERE key = ? AND scope = ? AND template = ?",
			      "iss", item->key, scope, template);
	if (!store_next(store, statement))
		return NULL;
	item_id(item, id);
	data = json_loads(store_text(statement, 2), 0, NULL);
	if (data) {
		json_object_set_new(data, "$id", json_string(store_text(statement, 0)));
		json_object_set_new(data, "$type", json_sprintf("%s-6bcba49f-ca6d-4d2a-a758-57fe6edf44d0", template));
		json_object_set_new(data, "$parent", json_sprintf("%s_%s", item->folder ? "folder" : "file", id));
		json_object_set_new(data, "$scope", json_string(scope));
		json_object_set_new(data, "$template", json_string(template));
		json_object_set_new(data, "$version", json_integer(sqlite3_column_int64(statement, 1)));
		json_object_set_new(data, "$typeVersion", json_integer(2));
		json_object_set_new(data, "$canEdit", json_true());
	}
	store_done(statement);
	return data;
}

static json_t *render_etag(const struct item *item)
{
	return item->parent ? render_number_text(item->etag) : json_null();
}

static void render_parts(json_t *out, const struct item *item)
{
	char id[ITEM_ID];

	item_id(item, id);
	json_object_set_new(out, "type", json_string(item->folder ? "folder" : "file"));
	json_object_set_new(out, "id", json_string(id));
}

static json_t *render_file_version(const struct item *item)
{
	return json_pack("{s:s, s:o, s:s}", "type", "file_version", "id", render_number_text(item->version), "sha1",
			 item->sha1);
}

json_t *render_mini(struct request *request, const struct item *item)
{
	json_t *out = json_object();

	render_parts(out, item);
	json_object_set_new(out, "sequence_id", render_etag(item));
	json_object_set_new(out, "etag", render_etag(item));
	json_object_set_new(out, "name", json_string(item->name));
	if (!item->folder) {
		json_object_set_new(out, "sha1", json_string(item->sha1));
		json_object_set_new(out, "file_version", render_file_version(item));
	}
	return out;
}

static json_t *render_path(struct request *request, const struct item *item)
{
	json_t *entries = json_array();
	struct item above;
	int64_t parent = item->parent;

	for (int depth = 0; parent && depth < ITEM_DEPTH; depth++) {
		if (!item_get(request->emulator->store, parent, &above))
			break;
		json_array_insert_new(entries, 0, render_mini(request, &above));
		parent = above.parent;
	}
	return json_pack("{s:I, s:o}", "total_count", (json_int_t)json_array_size(entries), "entries", entries);
}

static json_t *render_parent(struct request *request, const struct item *item)
{
	struct item above;

	if (!item->parent || !item_get(request->emulator->store, item->parent, &above))
		return json_null();
	return render_mini(request, &above);
}

static json_t *render_extra(struct store *store, const struct item *item, enum item_extras bit, json_t *otherwise)
{
	sqlite3_stmt *statement;
	json_t *value = NULL;

	if (!(item->extras & bit))
		return otherwise;
	statement = store_ask(store, "SELECT shared, description, tags FROM extra WHERE key = ?", "i", item->key);
	if (store_next(store, statement)) {
		if (bit == ITEM_DESCRIBED)
			value = json_string(store_text(statement, 1));
		else
			value = json_loads(store_text(statement, bit == ITEM_SHARED ? 0 : 2), 0, NULL);
		store_done(statement);
	}
	if (!value)
		return otherwise;
	json_decref(otherwise);
	return value;
}

static json_t *render_item_collection(struct request *request, const struct item *item)
{
	struct store *store = request->emulator->store;
	json_t *entries = json_array();
	struct item child;
	sqlite3_stmt *statement = store_ask(store,
					    "SELECT " ITEM_COLUMNS " FROM item WHERE parent = ? AND trashed = 0"
					    " ORDER BY folder DESC, key LIMIT 100",
					    "i", item->key);

	while (store_next(store, statement)) {
		item_read(statement, &child);
		json_array_append_new(entries, render_mini(request, &child));
	}
	return json_pack("{s:I, s:o, s:i, s:i, s:[]}", "total_count",
			 (json_int_t)store_number(store, 0,
						  "SELECT count(*) FROM item WHERE parent = ? AND trashed = 0", "i",
						  item->key),
			 "entries", entries, "offset", 0, "limit", 100, "order");
}

static int64_t render_folder_size(struct store *store, const struct item *item)
{
	if (!item->folder)
		return item->size;
	return store_number(
		store, 0,
		"WITH RECURSIVE below (key) AS (SELECT ? UNION ALL SELECT item.key FROM item JOIN below"
		" ON item.parent = below.key WHERE item.trashed = 0) SELECT sum(size) FROM item WHERE key IN"
		" below AND folder = 0",
		"i", item->key);
}

static json_t *render_permissions(const struct item *item)
{
	json_t *permissions = json_pack("{s:b, s:b, s:b, s:b, s:b, s:b}", "can_download", 1, "can_upload", 1,
					"can_rename", 1, "can_delete", 1, "can_share", 1, "can_set_share_access", 1);

	if (!item->folder && permissions) {
		json_object_set_new(permissions, "can_preview", json_true());
		json_object_set_new(permissions, "can_comment", json_true());
		json_object_set_new(permissions, "can_annotate", json_true());
		json_object_set_new(permissions, "can_view_annotations_all", json_true());
		json_object_set_new(permissions, "can_view_annotations_self", json_true());
		json_object_set_new(permissions, "can_invite_collaborator", json_true());
	}
	return permissions;
}

/* "metadata.global.properties": nested objects, merged with what is there. */
static void render_metadata_field(struct request *request, const struct item *item, const char *name, json_t *out)
{
	char text[256], *next = text, *scope, *template;
	json_t *instance, *metadata, *inner;

	if (!text_copy(text, sizeof(text), name + strlen("metadata.")))
		return;
	scope = strsep(&next, ".");
	template = next;
	if (!template)
		return;
	instance = render_metadata(request->emulator->store, item, scope, template);
	if (!instance)
		return;
	metadata = json_object_get(out, "metadata");
	if (!metadata) {
		metadata = json_object();
		json_object_set_new(out, "metadata", metadata);
	}
	inner = json_object_get(metadata, scope);
	if (!inner) {
		inner = json_object();
		json_object_set_new(metadata, scope, inner);
	}
	json_object_set_new(inner, template, instance);
}

static json_t *render_extension(const struct item *item)
{
	const char *dot = strrchr(item->name, '.');

	return json_string(dot && dot != item->name ? dot + 1 : "");
}

/* One member by its name; NULL: there is no such member of this item. */
static json_t *render_field(struct request *request, const struct item *item, const char *name)
{
	struct emulator *emulator = request->emulator;
	struct store *store = emulator->store;
	bool root = !item->parent;

	if (strcmp(name, "name") == 0)
		return json_string(item->name);
	if (strcmp(name, "size") == 0)
		return json_integer(render_folder_size(store, item));
	if (strcmp(name, "sequence_id") == 0 || strcmp(name, "etag") == 0)
		return render_etag(item);
	if (strcmp(name, "created_at") == 0)
		return render_time(root ? 0 : item->created);
	if (strcmp(name, "modified_at") == 0)
		return render_time(root ? 0 : item->modified);
	if (strcmp(name, "content_created_at") == 0)
		return render_time(root ? 0 : item->content_created);
	if (strcmp(name, "content_modified_at") == 0)
		return render_time(root ? 0 : item->content_modified);
	if (strcmp(name, "item_status") == 0)
		return json_string(item_status(store, item) == ITEM_ACTIVE ? "active" : "trashed");
	if (strcmp(name, "parent") == 0)
		return render_parent(request, item);
	if (strcmp(name, "path_collection") == 0)
		return render_path(request, item);
	if (strcmp(name, "description") == 0)
		return render_extra(store, item, ITEM_DESCRIBED, json_string(""));
	if (strcmp(name, "shared_link") == 0)
		return render_extra(store, item, ITEM_SHARED, json_null());
	if (strcmp(name, "tags") == 0)
		return render_extra(store, item, ITEM_TAGGED, json_array());
	if (strcmp(name, "trashed_at") == 0)
		return render_time(item->trashed);
	if (strcmp(name, "purged_at") == 0)
		return render_time(item->trashed ? item->trashed + 30 * 86400 : 0);
	if (strcmp(name, "created_by") == 0 || strcmp(name, "modified_by") == 0 || strcmp(name, "owned_by") == 0)
		return render_user(emulator, item->owner);
	if (strcmp(name, "permissions") == 0)
		return render_permissions(item);
	if (item->folder) {
		if (strcmp(name, "folder_upload_email") == 0)
			return json_null();
		if (strcmp(name, "item_collection") == 0)
			return render_item_collection(request, item);
		if (strcmp(name, "has_collaborations") == 0 || strcmp(name, "is_externally_owned") == 0)
			return json_false();
		if (strcmp(name, "sync_state") == 0)
			return json_string("not_synced");
		return NULL;
	}
	if (strcmp(name, "sha1") == 0)
		return json_string(item->sha1);
	if (strcmp(name, "file_version") == 0)
		return render_file_version(item);
	if (strcmp(name, "extension") == 0)
		return render_extension(item);
	if (strcmp(name, "lock") == 0)
		return json_null();
	if (strcmp(name, "is_package") == 0)
		return json_false();
	if (strcmp(name, "comment_count") == 0)
		return json_integer(0);
	if (strcmp(name, "version_number") == 0)
		return json_sprintf("%lld", (long long)store_number(store, 1, "SELECT number FROM version WHERE id = ?",
								    "i", item->version));
	return NULL;
}

static const char *const full_members[] = {
	"file_version",
	"sequence_id",
	"etag",
	"sha1",
	"name",
	"description",
	"size",
	"path_collection",
	"created_at",
	"modified_at",
	"trashed_at",
	"purged_at",
	"content_created_at",
	"content_modified_at",
	"created_by",
	"modified_by",
	"owned_by",
	"shared_link",
	"folder_upload_email",
	"parent",
	"item_status",
	"item_collection",
};

static json_t *render_members(struct request *request, const struct item *item, const char *const *names, size_t count)
{
	json_t *out = json_object(), *value;

	render_parts(out, item);
	for (size_t i = 0; i < count; i++) {
		value = render_field(request, item, names[i]);
		if (value)
			json_object_set_new(out, names[i], value);
	}
	return out;
}

json_t *render_full(struct request *request, const struct item *item)
{
	return render_members(request, item, full_members, sizeof(full_members) / sizeof(full_members[0]));
}

json_t *render_source(struct request *request, const struct item *item)
{
	static const char *const members[] = {
		"file_version",
		"sequence_id",
		"etag",
		"sha1",
		"name",
		"path_collection",
		"created_at",
		"modified_at",
		"content_created_at",
		"content_modified_at",
		"created_by",
		"modified_by",
		"owned_by",
		"parent",
		"item_status",
		"trashed_at",
	};
	json_t *out = render_members(request, item, members, sizeof(members) / sizeof(members[0]));

	if (!item->folder)
		json_object_set_new(out, "size", json_integer(item->size));
	return out;
}

json_t *render_item(struct request *request, const struct item *item, const struct fields *fields,
		    enum render_form form)
{
	json_t *out;

	if (!fields->given)
		return form == RENDER_MINI ? render_mini(request, item) : render_full(request, item);
	out = render_members(request, item, fields->names, (size_t)fields->count);
	json_object_set_new(out, "etag", render_etag(item));
	for (int i = 0; i < fields->count; i++) {
		if (text_starts_with(fields->names[i], "metadata."))
			render_metadata_field(request, item, fields->names[i], out);
	}
	return out;
}
