/* SPDX-License-Identifier: MIT */
#include "emulators/box/check.h"

#include "emulators/box/answer.h"
#include "emulators/box/render.h"
#include "support/text.h"

#include <string.h>

bool check_about_folder(const struct request *request)
{
	return text_starts_with(request->route->path, "/folders");
}

bool check_item(struct request *request, bool folder, const char *text, enum item_status wanted, struct item *item)
{
	struct store *store = request->emulator->store;
	int64_t key = item_key(&request->user, folder, text);
	const char *name = folder ? "folder" : "file";
	char message[REQUEST_TEXT * 2 + 64];

	if (key && item_get(store, key, item) && item->owner == request->user.id) {
		if (item_status(store, item) == wanted)
			return true;
		if (wanted == ITEM_ACTIVE) {
			answer_error(request, 404, "trashed", "Item is trashed");
			return false;
		}
	}
	text_format(message, sizeof(message), "Invalid value '%s_%s'. '%s' with value '%s_%s' not found",
		    folder ? "d" : "f", text, name, folder ? "d" : "f", text);
	answer_invalid(request, 404, NULL, name, "invalid_parameter", message);
	return false;
}

bool check_this_item(struct request *request, struct item *item)
{
	return check_item(request, check_about_folder(request), request->arguments[0], ITEM_ACTIVE, item);
}

bool check_if_match(struct request *request, const struct item *item)
{
	const char *wanted = request_header(request, "If-Match");
	char etag[24], quoted[28];

	if (!wanted)
		return true;
	text_format(etag, sizeof(etag), "%lld", (long long)item->etag);
	text_format(quoted, sizeof(quoted), "\"%s\"", etag);
	if (strcmp(wanted, "*") == 0 || strcmp(wanted, etag) == 0 || strcmp(wanted, quoted) == 0)
		return true;
	answer_error(request, 412, NULL,
		     "The resource has been modified. Please retrieve the resource again and retry");
	return false;
}

bool check_name(struct request *request, const char *name)
{
	const char *problem = name ? item_name_problem(name) : NULL;

	if (name && !problem)
		return true;
	if (!name)
		answer_invalid(request, 400, NULL, "name", "missing_parameter", "'name' is required");
	else
		answer_error(request, 400, problem,
			     strcmp(problem, "item_name_too_long") == 0 ? "Item name too long" : "Item name invalid");
	return false;
}

bool check_free(struct request *request, int64_t folder, const char *name, int64_t except)
{
	struct item other;
	json_t *conflict;

	if (!item_find(request->emulator, folder, name, &other) || other.key == except)
		return true;
	conflict = render_mini(request, &other);
	/* Box's uploads answer with one object, other calls with an array; the setting asks for arrays everywhere. */
	if (other.folder || emulator_setting(request->emulator, SETTING_CONFLICT_ARRAY))
		conflict = json_pack("[o]", conflict);
	answer_error_context(request, 409, "item_name_in_use", "Item with the same name already exists",
			     json_pack("{s:o}", "conflicts", conflict));
	return false;
}

bool check_parent(struct request *request, const json_t *body, struct item *folder)
{
	const json_t *id = json_object_get(json_object_get(body, "parent"), "id");
	char text[REQUEST_TEXT];

	if (json_is_string(id) && text_copy(text, sizeof(text), json_string_value(id)))
		return check_item(request, true, text, ITEM_ACTIVE, folder);
	answer_invalid(request, 400, NULL, "parent", "missing_parameter", "'parent.id' is required");
	return false;
}

bool check_room(struct request *request, int64_t size)
{
	if (size > request->user.upload_limit) {
		answer_error(request, 403, "file_size_limit_exceeded",
			     "File size exceeds the folder owner's file size limit");
		return false;
	}
	if (!item_room(request->emulator->store, request->user.id, size)) {
		answer_error(request, 403, "storage_limit_exceeded", "Account storage limit reached");
		return false;
	}
	return true;
}

bool check_time(struct request *request, const json_t *body, const char *name, int64_t *time)
{
	const json_t *value = json_object_get(body, name);

	if (!value || json_is_null(value))
		return true;
	if (json_is_string(value) && clock_parse(json_string_value(value), time))
		return true;
	answer_invalid(request, 400, NULL, name, "invalid_parameter", "the value is no time of RFC 3339");
	return false;
}
